/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same bytes from the other fragments.
 *
 * Three ways, each tried when the one before did not give what authenticates:
 *
 *   quick    just the bytes wanted, from any k others; nothing but the
 *            chunk's own tag is checked. What a missing folder costs.
 *   checked  whole checksum blocks of all fragments, past the page cache, with
 *            header and table; every block is rebuilt from whatever fragments
 *            have a good copy of it. Finds rot, swapped and stale files.
 *   tagged   whole fragments, one after the other, against their keyed tags.
 *            Finds what a malicious folder changed with fitting checksums.
 *
 * A source is one fragment that is asked. Sources that are late are not given
 * up: more are asked, and whoever answers first is taken; only the deadline of
 * the whole read ends the waiting.
 */
#include "backend/gather_impl.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

static bool opens_wrong(int rc)
{
	return rc == -ERR_AUTH || rc == -ERR_CORRUPT;
}

/* ---- waiting ---- */

static int harvest(struct gather *g)
{
	int rc = 0;

	for (unsigned i = 0; i < g->n && rc == 0; i++) {
		if (source_under_way(&g->src[i]) && source_ended(&g->src[i]))
			rc = source_judge(g, &g->src[i]);
	}
	return rc;
}

/* Until something new ended, or it is time to ask more. */
static void wait_some(struct gather *g, uint64_t until)
{
	struct bio *bio[EC_TOTAL_MAX * PARTS + 1];
	unsigned n = 0;
	int rc;

	if (g->late)
		bio[n++] = g->late;
	for (unsigned i = 0; i < g->n; i++) {
		for (unsigned p = 0; p < PARTS; p++) {
			struct bio *one = g->src[i].bio[p];

			if (source_under_way(&g->src[i]) && one &&
			    !bio_done(one, &rc))
				bio[n++] = one;
		}
	}
	if (n)
		bio_wait_some(bio, n, 1, until);
}

/* 1: the first read came after all and is good. 0: not (yet). */
static int late_answer(struct gather *g)
{
	int rc;

	if (!g->late || !bio_done(g->late, &rc))
		return 0;
	rc = store_got(g->late, rc, g->sp->len);
	if (rc == 0)
		rc = g->sp->open(g->sp->arg, bio_data(g->late)->data);
	bio_unref(steal(&g->late));
	if (rc == 0)
		return 1;
	if (store_proves_damage(rc))
		g->suspect |= 1u << g->sp->index;
	return rc == -ENOMEM ? rc : 0;
}

static bool block_ready(const struct gather *g, uint32_t b)
{
	unsigned good = 0;

	for (unsigned i = 0; i < g->n; i++) {
		const struct source *src = &g->src[i];

		if (src->state != SOURCE_READ || !src->good[b])
			continue;
		if (src->index == g->sp->index)
			return true;
		good++;
	}
	return good >= g->d->k;
}

static bool all_ready(const struct gather *g)
{
	for (uint32_t at = 0; at < g->len; at += g->block) {
		if (!block_ready(g, at / g->block))
			return false;
	}
	return true;
}

static unsigned count_state(const struct gather *g, enum source_state state)
{
	unsigned n = 0;

	for (unsigned i = 0; i < g->n; i++)
		n += g->src[i].state == state;
	return n;
}

/* Enough for k answers if all goes well; everybody when checking. */
static int ask_more(struct gather *g)
{
	unsigned hope =
		count_state(g, SOURCE_READ) + count_state(g, SOURCE_ASKED);
	int rc = 0;

	for (unsigned i = 0; i < g->n && rc == 0; i++) {
		struct source *src = &g->src[i];

		if (src->state != SOURCE_IDLE ||
		    (!g->checked && hope >= g->d->k))
			continue;
		g->hedge_ns = MAX(g->hedge_ns, store_hedge_ns(src->backend));
		rc = source_ask(g, src);
		hope++;
	}
	return rc;
}

/* Those asked long enough ago no longer count on. */
static void mark_late(struct gather *g)
{
	for (unsigned i = 0; i < g->n; i++) {
		if (g->src[i].state == SOURCE_ASKED)
			g->src[i].state = SOURCE_LATE;
	}
}

static bool waiting(const struct gather *g)
{
	bool any = g->late != NULL;

	for (unsigned i = 0; i < g->n; i++)
		any |= source_under_way(&g->src[i]);
	return any;
}

/*
 * 0: all blocks can be rebuilt. 1: the first read came and is good.
 * -ERR_UNAVAILABLE: neither, and nothing more will come in time.
 */
static int collect(struct gather *g)
{
	uint64_t now, until;
	int rc;

	for (;;) {
		rc = harvest(g);
		if (rc == 0)
			rc = late_answer(g);
		if (rc || all_ready(g))
			return rc;
		rc = ask_more(g);
		if (rc)
			return rc;
		now = clock_mono_ns();
		if (now >= g->deadline || (!waiting(g) && !all_ready(g)))
			return -ERR_UNAVAILABLE;
		until = MIN(g->deadline, now + g->hedge_ns);
		wait_some(g, until);
		if (clock_mono_ns() >= until)
			mark_late(g);
	}
}

/* ---- rebuilding ---- */

static int rebuild_block(const struct gather *g, uint32_t at, uint8_t *out)
{
	const uint8_t *have[EC_TOTAL_MAX] = {NULL};
	uint8_t *want[EC_TOTAL_MAX] = {NULL};
	uint32_t len = MIN(g->len - at, g->block);

	for (unsigned i = 0; i < g->n; i++) {
		const struct source *src = &g->src[i];

		if (src->state != SOURCE_READ || !src->good[at / g->block])
			continue;
		have[src->index] = src->window + at;
	}
	if (have[g->sp->index]) {
		memcpy(out + at, have[g->sp->index], len);
		return 0;
	}
	want[g->sp->index] = out + at;
	return erasure_rebuild(g->d->k, g->d->m, len, have, want);
}

/* Rebuilds the window and shows the span to who can judge it. */
static int deliver(const struct gather *g)
{
	AUTO_FREE uint8_t *out = mem_alloc(g->len);
	int rc = 0;

	if (!out)
		return -ENOMEM;
	for (uint32_t at = 0; at < g->len && rc == 0; at += g->block)
		rc = rebuild_block(g, at, out);
	return rc ? rc : g->sp->open(g->sp->arg, out + g->sp->off - g->off);
}

static void set_window(struct gather *g, bool whole_blocks)
{
	uint32_t unit = whole_blocks ? FRAG_CRC_BLOCK : 1;
	uint32_t off = g->sp->off;
	uint32_t end = (off + g->sp->len + unit - 1) / unit * unit;

	g->off = off / unit * unit;
	g->len = end - g->off;
	g->block = whole_blocks ? FRAG_CRC_BLOCK : g->len;
}

/* quick or checked */
static int gather_way(struct gather *g, bool checked)
{
	int rc;

	g->checked = checked;
	set_window(g, checked);
	gather_add_sources(g);
	rc = collect(g);
	if (rc == 0)
		rc = deliver(g);
	gather_drop_sources(g);
	return rc;
}

/* ---- tagged ---- */

/* The padded data of a fragment that is what its tag says. */
static int load_tagged(struct gather *g, unsigned index,
		       const struct frag_tags *tags, struct buf **out)
{
	int rc = store_load_data(g->s, g->d, index, g->deadline, out);

	if (rc == 0)
		rc = fragment_tag_check(&g->cx, g->d, index, tags,
					(*out)->data);
	if (store_proves_damage(rc))
		g->suspect |= 1u << index;
	return rc;
}

/* Adds the fragment as a source that has been read, if it is good. */
static int take_tagged(struct gather *g, unsigned index,
		       const struct frag_tags *tags)
{
	struct source *src = &g->src[g->n];
	AUTO_BUF struct buf *data = NULL;
	int rc;

	*src = (struct source){.index = index, .state = SOURCE_READ};
	source_set_part(g, src);
	rc = src->part ? load_tagged(g, index, tags, &data) : 0;
	if (rc)
		return rc == -ENOMEM ? rc : 0;
	src->own = mem_zalloc(g->len);
	if (!src->own)
		return -ENOMEM;
	if (src->part)
		memcpy(src->own, data->data + g->off, src->part);
	src->window = src->own;
	src->good[0] = true;
	g->n++;
	return 0;
}

static int tagged_way(struct gather *g)
{
	struct frag_tags tags;
	int rc;

	g->checked = false;
	set_window(g, false);
	rc = store_load_tags(g->s, g->d, g->deadline, &tags);
	for (unsigned i = 0; i < fragment_count(g->d) && rc == 0; i++) {
		if (block_ready(g, 0))
			break;
		rc = take_tagged(g, i, &tags);
	}
	if (rc == 0)
		rc = block_ready(g, 0) ? deliver(g) : -ERR_UNAVAILABLE;
	gather_drop_sources(g);
	return rc;
}

/* ---- all ways ---- */

static int one_way(struct gather *g, enum gather_way way)
{
	return way == GATHER_TAGGED ? tagged_way(g)
				    : gather_way(g, way == GATHER_CHECKED);
}

static bool another_way(int rc)
{
	return opens_wrong(rc) || rc == -ERR_UNAVAILABLE;
}

static int all_ways(struct gather *g)
{
	int rc = one_way(g, GATHER_QUICK);

	if (!another_way(rc))
		return rc;
	rc = one_way(g, GATHER_CHECKED);
	if (!another_way(rc) || g->answered < g->d->k)
		return rc;
	return one_way(g, GATHER_TAGGED);
}

static struct gather gather_of(struct store *s, const struct span *sp)
{
	struct gather g = {.s = s,
			   .sp = sp,
			   .d = sp->d,
			   .deadline = store_deadline_ns(s),
			   .hedge_ns = store_hedge_ns(NULL)};

	pool_seg_context(s->pool, &g.cx);
	return g;
}

static int result(int rc)
{
	if (rc == 1) /* the late one came */
		return 0;
	return opens_wrong(rc) ? -ERR_CORRUPT : rc;
}

int store_gather(struct store *s, const struct span *sp, struct bio *late,
		 uint32_t *suspect)
{
	struct gather g = gather_of(s, sp);
	int rc;

	g.late = late;
	rc = all_ways(&g);
	bio_unref(g.late);
	*suspect |= g.suspect;
	return result(rc);
}

int store_gather_by(struct store *s, const struct span *sp, enum gather_way way)
{
	struct gather g = gather_of(s, sp);

	return result(one_way(&g, way));
}
