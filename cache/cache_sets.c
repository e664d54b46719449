/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The byte sets of a chunk.
 *
 * Nearly every chunk is valid from its start to its end, so one range per set
 * is kept inline and room for more is allocated only while the valid bytes are
 * in several pieces. Then every dirty or writing byte lies in the one valid
 * range, so its set can always be widened to a single range: marking cannot
 * fail, with or without that room.
 */
#include "cache/cache_impl.h"

#include "base/must.h"

#define MANY_BYTES (SET_COUNT * sizeof(struct ranges))

struct range chunk_set_span(const struct chunk *ch, enum chunk_set which)
{
	const struct ranges *s;

	if (!ch->many)
		return ch->one[which];
	s = &ch->many[which];
	if (!s->n)
		return (struct range){0, 0};
	return (struct range){s->r[0].lo, s->r[s->n - 1].hi};
}

void chunk_set_put(struct chunk *ch, enum chunk_set which,
		   const struct ranges *s)
{
	if (ch->many) {
		ch->many[which] = *s;
		return;
	}
	MUST(s->n <= 1);
	ch->one[which] = s->n ? s->r[0] : (struct range){0, 0};
}

void chunk_set_clear(struct chunk *ch, enum chunk_set which)
{
	if (ch->many)
		ch->many[which].n = 0;
	else
		ch->one[which] = (struct range){0, 0};
}

int chunk_sets_widen(struct cache *c, struct chunk *ch)
{
	struct ranges *many;

	if (ch->many)
		return 0;
	many = mem_zalloc(MANY_BYTES);
	if (!many)
		return -ENOMEM;
	for (unsigned i = 0; i < SET_COUNT; i++)
		many[i] = chunk_set(ch, i);
	ch->many = many;
	c->bytes += MANY_BYTES;
	cache_shrink(c);
	return 0;
}

void chunk_sets_narrow(struct cache *c, struct chunk *ch)
{
	if (!ch->many)
		return;
	MUST(ch->many[SET_VALID].n <= 1);
	for (unsigned i = 0; i < SET_COUNT; i++)
		ch->one[i] = chunk_set_span(ch, i);
	mem_free(steal(&ch->many));
	c->bytes -= MANY_BYTES;
}

static struct range span_of(struct range a, struct range b)
{
	if (a.lo == a.hi)
		return b;
	return (struct range){MIN(a.lo, b.lo), MAX(a.hi, b.hi)};
}

/* One range for all of s that lies in v. */
static struct range span_within(const struct ranges *s, struct range v)
{
	struct range sum = {0, 0};

	for (uint32_t i = 0; i < s->n; i++) {
		if (s->r[i].lo >= v.lo && s->r[i].hi <= v.hi)
			sum = span_of(sum, s->r[i]);
	}
	return sum;
}

/* Too many ranges: as many as there are valid ones will do. */
static void mark_coarsely(struct ranges *s, const struct ranges *valid,
			  struct range r)
{
	struct ranges sum = {.n = 0};

	for (uint32_t i = 0; i < valid->n; i++) {
		struct range in = span_within(s, valid->r[i]);

		if (r.lo >= valid->r[i].lo && r.hi <= valid->r[i].hi)
			in = span_of(in, r);
		if (in.lo < in.hi)
			sum.r[sum.n++] = in;
	}
	*s = sum;
}

void chunk_set_mark(struct chunk *ch, enum chunk_set which, struct range r)
{
	if (!ch->many)
		ch->one[which] = span_of(ch->one[which], r);
	else if (ranges_add(&ch->many[which], r.lo, r.hi))
		mark_coarsely(&ch->many[which], &ch->many[SET_VALID], r);
}

void chunk_sets_cut(struct chunk *ch, uint32_t from, uint32_t chunk_bytes)
{
	for (unsigned i = 0; i < SET_COUNT; i++) {
		struct ranges s = chunk_set(ch, i);

		/* The end of a range goes, or all of it: never one more. */
		MUST(ranges_cut(&s, from, chunk_bytes) == 0);
		chunk_set_put(ch, i, &s);
	}
}

static uint32_t common_bytes(const struct ranges *a, const struct ranges *b)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < a->n; i++) {
		for (uint32_t j = 0; j < b->n; j++) {
			uint32_t lo = MAX(a->r[i].lo, b->r[j].lo);
			uint32_t hi = MIN(a->r[i].hi, b->r[j].hi);

			sum += lo < hi ? hi - lo : 0;
		}
	}
	return sum;
}

uint32_t chunk_dirty_bytes(const struct chunk *ch)
{
	struct ranges d = chunk_set(ch, SET_DIRTY);
	struct ranges w = chunk_set(ch, SET_WRITING);

	return ranges_total(&d) + ranges_total(&w) - common_bytes(&d, &w);
}
