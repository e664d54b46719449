/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forgetting content: truncate, zero, discard, and clean chunks on request.
 *
 * Each walks the object's chunks by number and looks the next one up anew:
 * dropping a chunk may free it, and with the last one the object.
 */
#include "cache/cache_impl.h"

#include <string.h>

/* Drops all chunks with numbers in [from, to). */
static void drop_chunks(struct cache *c, uint64_t obj, uint64_t from,
			uint64_t to)
{
	struct chunk *ch;

	while ((ch = chunk_from(c, obj, from)) && chunk_number(ch) < to) {
		from = chunk_number(ch) + 1;
		chunk_drop(c, ch);
	}
}

static struct chunk *chunk_at(const struct cache *c, uint64_t obj,
			      uint64_t number)
{
	struct chunk *ch = chunk_from(c, obj, number);

	return ch && chunk_number(ch) == number ? ch : NULL;
}

/* The object ends inside this chunk. */
static void cut(struct cache *c, struct chunk *ch, uint32_t end)
{
	chunk_sets_cut(ch, end, c->chunk_bytes);
	ch->zero_from = MIN(ch->zero_from, end);
	ch->gen++;
	ch->fill_stale = true;
	chunk_settle(c, ch);
}

void cache_truncate(struct cache *c, uint64_t obj, uint64_t size)
{
	uint64_t number = size / c->chunk_bytes;
	uint32_t end = (uint32_t)(size % c->chunk_bytes);
	struct chunk *ch;

	MUTEX_GUARD(&c->lock);
	ch = end ? chunk_at(c, obj, number) : NULL;
	if (ch)
		cut(c, ch, end);
	drop_chunks(c, obj, number + (end != 0), UINT64_MAX);
	cache_shrink(c); /* what was dirty may be clean now */
}

void cache_discard(struct cache *c, uint64_t obj)
{
	MUTEX_GUARD(&c->lock);
	drop_chunks(c, obj, 0, UINT64_MAX);
}

/*
 * The bytes stay valid, as zeros. They also stop being dirty where that leaves
 * a set that can be kept; otherwise the zeros are written, which is right too.
 */
static void zero_content(struct chunk *ch, struct range r)
{
	struct ranges valid = chunk_set(ch, SET_VALID);
	struct ranges dirty = chunk_set(ch, SET_DIRTY);

	for (uint32_t i = 0; i < valid.n; i++) {
		uint32_t lo = MAX(valid.r[i].lo, r.lo);
		uint32_t hi = MIN(valid.r[i].hi, r.hi);

		if (lo < hi)
			memset(ch->buf + lo, 0, hi - lo);
	}
	if (ranges_cut(&dirty, r.lo, r.hi) == 0 && (ch->many || dirty.n <= 1))
		chunk_set_put(ch, SET_DIRTY, &dirty);
}

/* Part of a chunk. Drops the lock while others work with the content. */
static void zero_part(struct cache *c, uint64_t obj, uint64_t number,
		      struct range r)
{
	struct chunk *ch = chunk_at(c, obj, number);

	if (!ch)
		return;
	ch = chunk_get(c, obj, number);
	chunk_writer_begin(c, ch);
	zero_content(ch, r);
	ch->gen++;
	ch->fill_stale = true;
	chunk_writer_end(c, ch);
	chunk_put(c, ch);
}

void cache_zero(struct cache *c, uint64_t obj, uint64_t off, uint64_t len)
{
	uint64_t end = off + len;
	uint64_t first = off / c->chunk_bytes, last = end / c->chunk_bytes;
	struct range head = {(uint32_t)(off % c->chunk_bytes), c->chunk_bytes};
	struct range tail = {0, (uint32_t)(end % c->chunk_bytes)};

	if (!len)
		return;
	MUTEX_GUARD(&c->lock);
	if (first == last) {
		zero_part(c, obj, first, (struct range){head.lo, tail.hi});
		return;
	}
	if (head.lo)
		zero_part(c, obj, first, head);
	drop_chunks(c, obj, first + (head.lo != 0), last);
	if (tail.hi)
		zero_part(c, obj, last, tail);
}

static void drop_clean_of(struct cache *c, uint64_t obj)
{
	uint64_t from = 0;
	struct chunk *ch;

	while ((ch = chunk_from(c, obj, from))) {
		from = chunk_number(ch) + 1;
		if (ch->on_lru)
			chunk_free(c, ch);
	}
}

void cache_drop_clean(struct cache *c, uint64_t obj)
{
	MUTEX_GUARD(&c->lock);
	if (obj != CACHE_ANY) {
		drop_clean_of(c, obj);
		return;
	}
	while (!TAILQ_EMPTY(&c->lru))
		chunk_free(c, TAILQ_FIRST(&c->lru));
}
