/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Epochs: which of several authentic superblocks is the newest (history_*).
 *
 * Up to BODIES superblocks: members u8, generation u8, epochs u8, then number,
 * id, parent (a byte each) per epoch and had, sent (a byte each) per member.
 * An id is one byte repeated, so that they meet often.
 */
#include "fuzz/fuzz.h"

#include <string.h>

#include "backend/pool_impl.h"

#define BODIES 8

static void read_body(struct reader *r, struct superblock *sb)
{
	*sb = (struct superblock){
		.pool = fuzz_pool_id,
		.n = 1 + fuzz_pick(r, 4),
		.generation = fuzz_pick(r, 256),
		.epochs = fuzz_pick(r, SB_EPOCHS + 1),
	};
	for (unsigned i = 0; i < sb->epochs; i++) {
		sb->epoch[i].number = fuzz_pick(r, 256);
		fuzz_fill(sb->epoch[i].id, 16, (uint8_t)fuzz_pick(r, 256));
		fuzz_fill(sb->epoch[i].parent, 16, (uint8_t)fuzz_pick(r, 256));
	}
	for (unsigned i = 0; i < sb->n; i++) {
		struct sb_member *m = &sb->member[i];

		fuzz_fill(m->id.b, 16, (uint8_t)(i + 1));
		fuzz_fill(m->epoch_had, 16, (uint8_t)fuzz_pick(r, 256));
		fuzz_fill(m->epoch_sent, 16, (uint8_t)fuzz_pick(r, 256));
	}
}

/* Is there one that at[i] is not newer than, and that is newer than it? */
static bool has_newer(const struct history *h, unsigned i)
{
	for (unsigned j = 0; j < h->n; j++)
		if (j != i && history_newer(h->at[j], h->at[i]))
			return true;
	return false;
}

static bool has_tip(const struct history *h)
{
	for (unsigned i = 0; i < h->n; i++)
		if (!has_newer(h, i))
			return true;
	return false;
}

/* The first: nobody is newer, and of those with nobody newer the highest. */
static void check_first(const struct history *h)
{
	if (!has_tip(h))
		return;
	MUST(!has_newer(h, 0));
	for (unsigned i = 1; i < h->n; i++)
		MUST(has_newer(h, i) ||
		     h->at[i]->sb.generation <= h->at[0]->sb.generation);
}

static void check_pairs(const struct history *h)
{
	for (unsigned i = 0; i < h->n; i++)
		for (unsigned j = 0; j < h->n; j++)
			MUST(!history_newer(h->at[i], h->at[j]) ||
			     !history_newer(h->at[j], h->at[i]));
}

static void check_diverged(const struct history *h)
{
	struct folder folder[BODIES] = {{0}};
	struct folders fs = {.at = folder, .n = h->n};
	struct diag d = DIAG_INIT;
	bool all_older = true;

	for (unsigned i = 0; i < h->n; i++) {
		static char place[] = "/a/folder";

		folder[i].location = place;
		folder[i].newest = h->at[i];
		all_older &= i == 0 || history_newer(h->at[0], h->at[i]);
	}
	MUST(history_diverged(h) == !all_older);
	MUST(history_fail_diverged(h, &fs, &d) == -ERR_DIVERGED);
	MUST(strnlen(d.text, sizeof(d.text)) < sizeof(d.text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct superblock sb;
	struct reader r = reader_of(data, size);
	struct history h = {0};

	fuzz_start();
	for (unsigned i = 0; i < BODIES && reader_left(&r); i++) {
		struct body *kept, *again;

		read_body(&r, &sb);
		MUST(history_add(&h, &sb, &kept) == 0);
		MUST(history_add(&h, &sb, &again) == 0 && again == kept);
	}
	if (h.n) {
		check_pairs(&h);
		history_order(&h);
		check_first(&h);
		check_diverged(&h);
	}
	history_release(&h);
	return 0;
}
