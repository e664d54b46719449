/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/meta/index_test.h"

#include <inttypes.h>

#include "meta/stmt_log.h"

#define RECORDS 60

static void replay(struct index *ix, const struct bytes *log)
{
	index_lock(ix);
	uint64_t seq = index_seq(ix) + 1;
	index_unlock(ix);
	OK(index_replay(ix, seq, log->data, log->len));
}

static void a_replayed_workload_gives_the_same_file(void **state)
{
	struct world *w = *state;
	struct index *twin = open_twin(w);
	struct play p = {.ix = w->ix};
	struct segment_totals a, b;
	uint64_t na, nb;

	rnd_seed(test_seed());
	add_root(w->ix);
	for (unsigned r = 0; r < RECORDS; r++) {
		struct bytes log;

		for (uint64_t i = rnd_below(60); i > 0; i--)
			play_operation(&p);
		log = cut(w->ix);
		replay(twin, &log);
		bytes_release(&log);
		if (r % 8 == 0)
			assert_same_regions(w->ix, twin);
	}
	assert_true(p.undone > 50);
	assert_same_regions(w->ix, twin);
	for (unsigned i = 0; i < COUNTER_COUNT; i++)
		assert_int_equal(index_peek(w->ix, i), index_peek(twin, i));
	segment_get_totals(w->ix, &a);
	segment_get_totals(twin, &b);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_true(a.dead > 0);
	OK(inode_count(w->ix, &na));
	OK(inode_count(twin, &nb));
	assert_int_equal(na, nb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_INDEX(a_replayed_workload_gives_the_same_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
