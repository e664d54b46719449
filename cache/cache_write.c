/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing into the cache, and holding back who writes too much.
 */
#include "cache/cache_impl.h"

#include <string.h>

#include "base/must.h"

/* What is left to write. */
struct write_span {
	uint64_t off;
	const uint8_t *src;
	size_t len;
};

/* A larger buffer with the same content. The caller is the chunk's writer. */
static int grow(struct cache *c, struct chunk *ch, uint32_t high)
{
	uint32_t cap = chunk_cap_for(high);
	uint8_t *buf;

	if (high <= ch->cap)
		return 0;
	buf = chunk_buf_new(c, cap);
	if (!buf)
		return -ENOMEM;
	if (ch->cap)
		memcpy(buf, ch->buf, ch->cap);
	chunk_buf_free(c, ch->buf, ch->cap);
	ch->buf = buf;
	ch->cap = cap;
	return 0;
}

/* What becomes valid by writing r: from the known zeros on, if r is in them. */
static int add_valid(const struct chunk *ch, struct range r, struct ranges *out)
{
	*out = chunk_set(ch, SET_VALID);
	return ranges_add(out, MIN(r.lo, ch->zero_from), r.hi);
}

/*
 * Gets all that taking r can need, so that it cannot fail half-way. 0, -ENOMEM,
 * or -ENOSPC: valid ranges would become too many.
 */
static int reserve(struct cache *c, struct chunk *ch, struct range r)
{
	struct ranges valid;
	int rc = add_valid(ch, r, &valid);

	if (!rc && valid.n > 1)
		rc = chunk_sets_widen(c, ch);
	if (!rc)
		rc = grow(c, ch, r.hi);
	return rc;
}

/*
 * r was copied into the buffer. A cut may have come since reserve; the zeros
 * before r are therefore made only now, and a cut never makes more ranges of
 * what was reserved for: it takes away what lies beyond it.
 */
static void take(struct chunk *ch, struct range r)
{
	struct ranges valid;

	MUST(add_valid(ch, r, &valid) == 0);
	if (ch->zero_from < r.lo)
		memset(ch->buf + ch->zero_from, 0, r.lo - ch->zero_from);
	ch->zero_from = MAX(ch->zero_from, r.hi);
	chunk_set_put(ch, SET_VALID, &valid);
	chunk_set_mark(ch, SET_DIRTY, r);
}

static void copy_in(struct cache *c, struct chunk *ch, struct range r,
		    const uint8_t *src)
{
	bool unlocked = r.hi - r.lo > COPY_LOCKED_MAX;
	uint8_t *dst = ch->buf + r.lo;

	if (unlocked)
		mutex_unlock(&c->lock);
	memcpy(dst, src, r.hi - r.lo);
	if (unlocked)
		mutex_lock(&c->lock);
}

/* Becomes the writer, with everything reserved; 0 or an error. */
static int writer_begin_reserved(struct cache *c, struct chunk *ch,
				 struct range r, uint32_t end)
{
	int rc;

	for (;;) {
		chunk_writer_begin(c, ch);
		if (chunk_blank(c, ch))
			ch->zero_from = end;
		rc = reserve(c, ch, r);
		chunk_settle(c, ch);
		if (!rc)
			return 0;
		chunk_writer_end(c, ch);
		if (rc != -ENOSPC)
			return rc;
		rc = chunk_fill(c, ch);
		if (rc)
			return rc;
	}
}

/* end: where the object ends in this chunk. */
static int write_chunk(struct cache *c, struct chunk *ch, struct range r,
		       uint32_t end, const uint8_t *src)
{
	int rc = writer_begin_reserved(c, ch, r, end);

	if (rc)
		return rc;
	copy_in(c, ch, r, src);
	take(ch, r);
	chunk_writer_end(c, ch);
	return 0;
}

/* Where the object of obj_size bytes ends in the chunk that begins at start. */
static uint32_t end_within(const struct cache *c, uint64_t obj_size,
			   uint64_t start)
{
	if (obj_size <= start)
		return 0;
	return (uint32_t)MIN(obj_size - start, c->chunk_bytes);
}

static int write_locked(struct cache *c, uint64_t obj, uint64_t obj_size,
			struct write_span *w)
{
	while (w->len) {
		uint64_t number = w->off / c->chunk_bytes;
		uint64_t start = number * c->chunk_bytes;
		struct range r = {.lo = (uint32_t)(w->off - start)};
		struct chunk *ch = chunk_get(c, obj, number);
		int rc;

		if (!ch)
			return -ENOMEM;
		r.hi = (uint32_t)MIN(r.lo + w->len, c->chunk_bytes);
		rc = write_chunk(c, ch, r, end_within(c, obj_size, start),
				 w->src);
		chunk_put(c, ch);
		if (rc)
			return rc;
		w->off += r.hi - r.lo;
		w->src += r.hi - r.lo;
		w->len -= r.hi - r.lo;
	}
	return 0;
}

int cache_write(struct cache *c, uint64_t obj, uint64_t obj_size, uint64_t off,
		const void *src, size_t len, size_t *done)
{
	struct write_span w = {off, src, len};
	bool due;
	int rc;

	MUST(obj != CACHE_ANY);
	mutex_lock(&c->lock);
	rc = write_locked(c, obj, obj_size, &w);
	due = c->dirty_mem >= c->dirty_limit / 2;
	mutex_unlock(&c->lock);
	*done = len - w.len;
	if (due)
		c->ops->want_writeback(c->ctx);
	return rc;
}

/* ---- the limit ---- */

static bool over_limit(const struct cache *c)
{
	return c->dirty_mem >= c->dirty_limit;
}

bool cache_over_limit(struct cache *c)
{
	MUTEX_GUARD(&c->lock);
	return over_limit(c);
}

static bool must_wait(struct cache *c)
{
	MUTEX_GUARD(&c->lock);
	c->throttled += over_limit(c);
	return over_limit(c);
}

void cache_throttle(struct cache *c, uint64_t deadline_ns)
{
	if (!must_wait(c))
		return;
	/* Who waits must not depend on somebody else's write to start it. */
	c->ops->want_writeback(c->ctx);
	MUTEX_GUARD(&c->lock);
	while (over_limit(c) &&
	       cond_wait_until(&c->room, &c->lock, deadline_ns))
		;
}
