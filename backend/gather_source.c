/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One fragment as a source of store_gather.c: asking it, and judging what it
 * brings.
 */
#include "backend/gather_impl.h"

#include <string.h>

#include "base/mem.h"

/* ---- sources ---- */

/* Better ones first: in service, then fast. */
static bool prefer(const struct source *a, const struct source *b)
{
	bool a_up = backend_get_state(a->backend) == BACKEND_UP;
	bool b_up = backend_get_state(b->backend) == BACKEND_UP;

	if (a_up != b_up)
		return a_up;
	return backend_median_ms(a->backend) < backend_median_ms(b->backend);
}

static void add_source(struct gather *g, unsigned index)
{
	struct source one = {.index = index,
			     .backend = store_home(g->s, g->d, index)};
	unsigned at = g->n++;

	while (at > 0 && prefer(&one, &g->src[at - 1])) {
		g->src[at] = g->src[at - 1];
		at--;
	}
	g->src[at] = one;
}

void gather_add_sources(struct gather *g)
{
	for (unsigned i = 0; i < fragment_count(g->d); i++) {
		if (i == g->sp->index && !g->checked)
			continue; /* has just failed */
		if (store_home(g->s, g->d, i))
			add_source(g, i);
	}
}

static void drop_source(struct source *src)
{
	for (unsigned p = 0; p < PARTS; p++)
		bio_unref(steal(&src->bio[p]));
	mem_free(steal(&src->own));
}

void gather_drop_sources(struct gather *g)
{
	for (unsigned i = 0; i < g->n; i++)
		drop_source(&g->src[i]);
	g->n = 0;
}

/* ---- asking ---- */

void source_set_part(const struct gather *g, struct source *src)
{
	uint32_t have = g->checked ? fragment_padded_len(g->d, src->index)
				   : fragment_data_len(g->d, src->index);

	src->part = have > g->off ? MIN(have - g->off, g->len) : 0;
}

static int request(struct gather *g, struct source *src, enum part p,
		   uint32_t off, uint32_t len)
{
	src->bio[p] = store_get(g->d, src->index, off, len, g->checked);
	if (!src->bio[p])
		return -ENOMEM;
	(void)bio_submit(src->backend, src->bio[p]);
	return 0;
}

static int pad_window(struct gather *g, struct source *src)
{
	if (src->part == g->len) {
		src->window = bio_data(src->bio[PART_DATA])->data;
		return 0;
	}
	src->own = mem_zalloc(g->len);
	if (!src->own)
		return -ENOMEM;
	if (src->part)
		memcpy(src->own, bio_data(src->bio[PART_DATA])->data,
		       src->part);
	src->window = src->own;
	return 0;
}

/* A range that ends before the window is known to be zeros there. */
int source_ask(struct gather *g, struct source *src)
{
	int rc;

	source_set_part(g, src);
	src->state = SOURCE_ASKED;
	if (src->part == 0) {
		src->state = SOURCE_READ;
		memset(src->good, true, sizeof(src->good));
		return pad_window(g, src);
	}
	rc = request(g, src, PART_DATA, FRAG_HEADER + g->off, src->part);
	if (rc == 0 && g->checked)
		rc = request(g, src, PART_HEADER, 0, FRAG_HEADER);
	if (rc == 0 && g->checked)
		rc = request(g, src, PART_TABLE,
			     fragment_table_off(g->d, src->index),
			     fragment_table_len(g->d, src->index));
	return rc;
}

/* ---- judging ---- */

static void fail_source(struct gather *g, struct source *src, int rc)
{
	src->state = SOURCE_FAILED;
	if (store_proves_damage(rc))
		g->suspect |= 1u << src->index;
}

static void check_blocks(struct gather *g, struct source *src)
{
	const uint8_t *table = bio_data(src->bio[PART_TABLE])->data;

	for (uint32_t at = 0; at < g->len; at += g->block) {
		uint32_t b = (g->off + at) / FRAG_CRC_BLOCK;
		bool good = at >= src->part ||
			    fragment_block_good(g->d, src->index, table, b,
						src->window + at);

		src->good[at / g->block] = good;
		if (!good)
			g->suspect |= 1u << src->index;
	}
}

static uint32_t part_len(const struct gather *g, const struct source *src,
			 enum part p)
{
	if (p == PART_DATA)
		return src->part;
	return p == PART_HEADER ? FRAG_HEADER
				: fragment_table_len(g->d, src->index);
}

/* All its requests ended: what is it worth? */
int source_judge(struct gather *g, struct source *src)
{
	int rc = 0;

	for (unsigned p = 0; p < PARTS && rc == 0; p++) {
		if (!src->bio[p])
			continue;
		(void)bio_done(src->bio[p], &rc);
		rc = store_got(src->bio[p], rc, part_len(g, src, p));
		g->answered += g->checked && p == PART_DATA && rc == 0;
	}
	if (rc == 0 && g->checked)
		rc = fragment_header_check(
			&g->cx, g->d, src->index,
			bio_data(src->bio[PART_HEADER])->data, NULL);
	if (rc) {
		fail_source(g, src, rc);
		return rc == -ENOMEM ? rc : 0;
	}
	rc = pad_window(g, src);
	if (rc)
		return rc;
	src->state = SOURCE_READ;
	if (g->checked)
		check_blocks(g, src);
	else
		src->good[0] = true;
	return 0;
}

bool source_ended(const struct source *src)
{
	int rc;

	for (unsigned p = 0; p < PARTS; p++) {
		if (src->bio[p] && !bio_done(src->bio[p], &rc))
			return false;
	}
	return true;
}
