/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statement logs, after authentication: index_replay on an index that holds
 * some of everything.
 *
 * The log of its next record. A log that fails leaves no trace; after one that
 * succeeds everything can still be read, whatever it says, and the next
 * operation still works or fails cleanly.
 */
#include "fuzz/fuzz.h"

#include <string.h>

#include "fuzz/fuzz_kit_index.h"
#include "meta/index_impl.h"

static struct index *ix; /* as made, whenever a run begins */

struct state {
	uint64_t seq, counter[COUNTER_COUNT], inodes;
	struct segment_totals totals;
};

static void note(struct state *s)
{
	memset(s, 0, sizeof(*s));
	index_lock(ix);
	s->seq = index_seq(ix);
	for (unsigned i = 0; i < COUNTER_COUNT; i++)
		s->counter[i] = index_peek(ix, (enum index_counter)i);
	MUST(inode_count(ix, &s->inodes) == 0);
	segment_get_totals(ix, &s->totals);
	index_unlock(ix);
}

static void check_untouched(const struct state *before)
{
	struct state after;

	ix->counts_stale = true; /* count the rows themselves */
	note(&after);
	MUST(memcmp(before, &after, sizeof(after)) == 0);
}

/* Operations on whatever the log has made of it. */
static void go_on(void)
{
	AUTO(bytes_release) struct bytes log = {0};

	fuzz_index_read_all(ix);
	fuzz_index_check(ix);
	for (unsigned i = 0; i < FUZZ_CHANGES; i++)
		(void)!fuzz_index_change(ix, i);
	index_lock(ix);
	(void)!index_cut(ix, index_seq(ix) + 1, true, &log);
	index_unlock(ix);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct state before;
	int rc;

	fuzz_start();
	if (!ix) {
		(void)fuzz_index();
		ix = fuzz_index_open();
		note(&before);
	}
	rc = index_replay(ix, before.seq + 1, data, size);
	if (rc == 0) {
		MUST(index_seq(ix) == before.seq + 1);
		go_on();
		(void)index_close(ix, false);
		ix = fuzz_index_open();
		return 0;
	}
	FUZZ_ONE_OF(rc, -ERR_REPLAY, -ERR_TRUNCATED, -ERR_RANGE, -EFBIG);
	check_untouched(&before);
	return 0;
}
