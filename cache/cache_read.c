/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading, and filling chunks from the store.
 *
 * A fill reads into a buffer of its own without any lock. When it ends, what
 * the chunk held already (written meanwhile, or dirty from before) wins over
 * what the store said, and nothing is taken at all if the generation has been
 * raised (C12).
 */
#include "cache/cache_impl.h"

#include <string.h>

#include "base/must.h"
#include "base/mutant.h"

/* ---- filling ---- */

/* A smaller buffer for a short chunk; the large one where there is none. */
static uint8_t *fit(struct cache *c, uint8_t *buf, uint32_t high,
		    uint32_t *cap_out)
{
	uint32_t cap = high ? chunk_cap_for(high) : 0;
	uint8_t *small = NULL;

	*cap_out = c->chunk_bytes;
	if (cap == c->chunk_bytes)
		return buf;
	if (cap && !(small = chunk_buf_new(c, cap)))
		return buf;
	if (cap)
		memcpy(small, buf, high);
	chunk_buf_free(c, buf, c->chunk_bytes);
	*cap_out = cap;
	return small;
}

/*
 * Takes over buf, of which the store has written n bytes. Bytes from zero_from
 * on are zero whatever the store says: the object was cut there.
 */
static void merge(struct cache *c, struct chunk *ch, uint8_t *buf, uint32_t n)
{
	struct ranges valid = chunk_set(ch, SET_VALID);
	uint32_t high = chunk_set_span(ch, SET_VALID).hi;
	uint32_t old_cap = ch->cap;
	uint8_t *old = ch->buf;

	n = MIN(n, ch->zero_from);
	if (high > n)
		memset(buf + n, 0, high - n);
	for (uint32_t i = 0; i < valid.n; i++)
		memcpy(buf + valid.r[i].lo, old + valid.r[i].lo,
		       valid.r[i].hi - valid.r[i].lo);
	high = MAX(high, n);
	ch->buf = fit(c, buf, high, &ch->cap);
	chunk_buf_free(c, old, old_cap);
	ch->zero_from = high;
	valid = (struct ranges){.n = high > 0, .r = {{0, high}}};
	chunk_set_put(ch, SET_VALID, &valid);
	chunk_sets_narrow(c, ch);
}

/* Drops the lock while somebody else works with the content. */
static int end_fill(struct cache *c, struct chunk *ch, uint8_t *buf, int64_t n)
{
	bool taken = false;
	int rc = n < 0 ? (int)n : 0;

	MUST(n <= (int64_t)c->chunk_bytes);
	chunk_writer_begin(c, ch);
	if (ch->fill_stale && !MUTANT(STALE_FILL))
		rc = 0;
	else if (!rc)
		taken = true;
	if (taken)
		merge(c, ch, buf, (uint32_t)n);
	else
		chunk_buf_free(c, buf, c->chunk_bytes);
	chunk_writer_end(c, ch);
	return rc;
}

static int run_fill(struct cache *c, struct chunk *ch)
{
	uint64_t obj = ch->object->node.key;
	uint8_t *buf = chunk_buf_new(c, c->chunk_bytes);
	int64_t n;

	if (!buf)
		return -ENOMEM;
	ch->filling = true;
	ch->fill_stale = false;
	ch->fill_no++;
	chunk_settle(c, ch);
	mutex_unlock(&c->lock);
	n = c->ops->fill(c->ctx, obj, chunk_number(ch), buf);
	mutex_lock(&c->lock);
	ch->fill_rc = end_fill(c, ch, buf, n);
	ch->filling = false;
	chunk_settle(c, ch);
	cache_shrink(c);
	chunk_wake(c, ch);
	return ch->fill_rc;
}

/* The result of a fill goes to everybody who waited for it. */
static int wait_fill(struct cache *c, struct chunk *ch)
{
	uint32_t mine = ch->fill_no;

	while (ch->filling && ch->fill_no == mine)
		chunk_wait(c, ch);
	return ch->fill_no == mine ? ch->fill_rc : 0;
}

int chunk_fill(struct cache *c, struct chunk *ch)
{
	return ch->filling ? wait_fill(c, ch) : run_fill(c, ch);
}

/* ---- reading ---- */

static int read_chunk(struct cache *c, struct chunk *ch, struct range r,
		      uint8_t *dst)
{
	bool hit = true;
	int rc;

	for (;;) {
		if (chunk_reader_wait(c, ch))
			continue;
		if (chunk_knows(ch, r.lo, r.hi))
			break;
		hit = false;
		rc = chunk_fill(c, ch);
		if (rc) {
			c->misses++;
			return rc;
		}
	}
	c->hits += hit;
	c->misses += !hit;
	chunk_copy_out(c, ch, r, dst);
	return 0;
}

static int read_locked(struct cache *c, uint64_t obj, uint64_t off,
		       uint64_t end, uint8_t *dst)
{
	while (off < end) {
		uint64_t number = off / c->chunk_bytes;
		uint64_t start = number * c->chunk_bytes;
		struct range r = {(uint32_t)(off - start), c->chunk_bytes};
		struct chunk *ch = chunk_get(c, obj, number);
		int rc;

		if (!ch)
			return -ENOMEM;
		r.hi = (uint32_t)MIN(end - start, c->chunk_bytes);
		rc = read_chunk(c, ch, r, dst);
		chunk_put(c, ch);
		if (rc)
			return rc;
		dst += r.hi - r.lo;
		off = start + r.hi;
	}
	return 0;
}

/* The chunks of one large read come in parallel where there are threads. */
static void ask_for_rest(struct cache *c, uint64_t obj, uint64_t off,
			 uint64_t end)
{
	uint64_t next = off / c->chunk_bytes + 1;
	uint64_t past = (end - 1) / c->chunk_bytes + 1;

	if (next < past)
		cache_ahead_ask(c, obj, next, past);
}

int cache_read(struct cache *c, uint64_t obj, uint64_t obj_size, uint64_t off,
	       size_t len, void *dst)
{
	uint64_t there = off < obj_size ? MIN(obj_size - off, len) : 0;
	int rc;

	MUST(obj != CACHE_ANY);
	memset((uint8_t *)dst + there, 0, len - there);
	if (!there)
		return 0;
	mutex_lock(&c->lock);
	ask_for_rest(c, obj, off, off + there);
	rc = read_locked(c, obj, off, off + there, dst);
	if (!rc)
		cache_ahead_note(c, obj, obj_size, off, off + there);
	mutex_unlock(&c->lock);
	return rc;
}
