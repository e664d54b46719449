/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks and their objects, the memory they take, and the one function that
 * draws the consequences of a change: chunk_settle. See cache.c for the states
 * and invariants that it keeps.
 */
#include "cache/cache_impl.h"

#include "base/pages.h"

#include <string.h>

#include "base/clock.h"
#include "base/must.h"
#include "base/mutant.h"

/* ---- finding ---- */

struct cache_object *cache_object_find(const struct cache *c, uint64_t obj)
{
	struct hnode *n = htab_find(&c->objects, obj);

	return n ? container_of(n, struct cache_object, node) : NULL;
}

static struct chunk *object_chunk_from(const struct cache_object *o,
				       uint64_t number)
{
	struct tree_node *n = cache_tree_from(&o->chunks, number);

	return n ? container_of(n, struct chunk, node) : NULL;
}

struct chunk *chunk_from(const struct cache *c, uint64_t obj, uint64_t number)
{
	struct cache_object *o = cache_object_find(c, obj);

	return o ? object_chunk_from(o, number) : NULL;
}

/* ---- making and freeing ---- */

static struct cache_object *object_new(struct cache *c, uint64_t obj)
{
	struct cache_object *o = mem_zalloc(sizeof(*o));

	if (!o)
		return NULL;
	o->chunks.salt = c->salt;
	o->dirty.salt = c->salt;
	TAILQ_INIT(&o->writing);
	htab_insert(&c->objects, &o->node, obj);
	c->bytes += sizeof(*o);
	return o;
}

/* I1: an object without chunks is nothing. */
static void object_free_if_empty(struct cache *c, struct cache_object *o)
{
	if (o->chunks.root)
		return;
	htab_remove(&c->objects, &o->node);
	c->bytes -= sizeof(*o);
	mem_free(o);
}

static struct chunk *chunk_new(struct cache *c, struct cache_object *o,
			       uint64_t number)
{
	struct chunk *ch = mem_zalloc(sizeof(*ch));

	if (!ch)
		return NULL;
	ch->object = o;
	ch->zero_from = c->chunk_bytes;
	cache_tree_insert(&o->chunks, &ch->node, number);
	c->chunks++;
	c->bytes += sizeof(*ch);
	return ch;
}

static struct chunk *pin(struct cache *c, struct chunk *ch)
{
	ch->pins++;
	if (ch->on_lru) {
		TAILQ_REMOVE(&c->lru, ch, link);
		ch->on_lru = false;
	}
	return ch;
}

struct chunk *chunk_get(struct cache *c, uint64_t obj, uint64_t number)
{
	struct cache_object *o = cache_object_find(c, obj);
	struct chunk *ch = o ? object_chunk_from(o, number) : NULL;

	if (ch && chunk_number(ch) == number)
		return pin(c, ch);
	if (!o)
		o = object_new(c, obj);
	if (!o)
		return NULL;
	ch = chunk_new(c, o, number);
	if (ch)
		pin(c, ch);
	else
		object_free_if_empty(c, o);
	cache_shrink(c);
	return ch;
}

void chunk_put(struct cache *c, struct chunk *ch)
{
	ch->pins--;
	chunk_settle(c, ch);
	cache_shrink(c);
}

static bool chunk_idle(const struct chunk *ch)
{
	return !ch->pins && !ch->filling && !ch->inflight;
}

void chunk_free(struct cache *c, struct chunk *ch)
{
	struct cache_object *o = ch->object;

	MUST(chunk_idle(ch) && chunk_set_empty(ch, SET_DIRTY));
	if (ch->on_lru)
		TAILQ_REMOVE(&c->lru, ch, link);
	chunk_set_clear(ch, SET_VALID);
	chunk_sets_narrow(c, ch);
	chunk_buf_free(c, ch->buf, ch->cap);
	cache_tree_remove(&o->chunks, &ch->node);
	c->chunks--;
	c->bytes -= sizeof(*ch);
	mem_free(ch);
	object_free_if_empty(c, o);
}

/* ---- memory ---- */

uint32_t chunk_cap_for(uint32_t high)
{
	uint32_t cap = CHUNK_CAP_MIN;

	while (cap < high)
		cap *= 2;
	return cap;
}

#define TRIM_BYTES (16u << 20)

uint8_t *chunk_buf_new(struct cache *c, uint32_t cap)
{
	uint8_t *buf;

	c->bytes += cap;
	cache_shrink(c);
	/* Small ones need no alignment, which would double them. */
	buf = cap < PAGES_MIN ? mem_alloc(cap) : pages_alloc(cap);
	if (!buf)
		c->bytes -= cap;
	return buf;
}

void chunk_buf_free(struct cache *c, uint8_t *buf, uint32_t cap)
{
	if (!buf)
		return;
	c->bytes -= cap;
	if (cap >= PAGES_MIN) {
		pages_free(buf, cap);
		return;
	}
	mem_free(buf);
	/* The heap keeps what is freed in its middle; others need it. */
	c->heap_freed += cap;
	if (c->heap_freed < TRIM_BYTES)
		return;
	c->heap_freed = 0;
	mem_trim();
}

/* Everything on the list may go, so nothing has to be searched (I6). */
void cache_shrink(struct cache *c)
{
	struct chunk *ch = TAILQ_FIRST(&c->dirty_by_age);

	while (c->bytes > c->budget && !TAILQ_EMPTY(&c->lru)) {
		chunk_free(c, TAILQ_LAST(&c->lru, chunk_list));
		c->evictions++;
	}
	if (MUTANT(EVICT_DIRTY) && c->bytes > c->budget && ch && chunk_idle(ch))
		chunk_drop(c, ch);
}

/* ---- what is known, and the state ---- */

bool chunk_knows(const struct chunk *ch, uint32_t lo, uint32_t hi)
{
	struct ranges valid = chunk_set(ch, SET_VALID);

	return ranges_has(&valid, lo, MIN(hi, ch->zero_from));
}

bool chunk_blank(const struct cache *c, const struct chunk *ch)
{
	return ch->zero_from == c->chunk_bytes &&
	       chunk_set_empty(ch, SET_VALID);
}

enum chunk_state chunk_state_of(const struct cache *c, const struct chunk *ch)
{
	bool dirty = !chunk_set_empty(ch, SET_DIRTY);
	bool blank = chunk_blank(c, ch);

	if (blank && (ch->inflight || (ch->filling && ch->fill_stale)))
		return CHUNK_DISCARDED;
	if (ch->inflight)
		return dirty ? CHUNK_REDIRTIED : CHUNK_WRITING;
	if (dirty)
		return ch->failed ? CHUNK_FAILED : CHUNK_DIRTY;
	return ch->filling ? CHUNK_READING : CHUNK_CLEAN;
}

/* No bytes are outside the store: nothing can have failed, or wait. */
static void settle_failed(struct cache *c, struct chunk *ch)
{
	int change;

	if (chunk_set_empty(ch, SET_DIRTY) && chunk_set_empty(ch, SET_WRITING))
		ch->failed = false;
	change = ch->failed - ch->failed_counted;
	ch->object->failed += (unsigned)change;
	c->failed_now += (uint64_t)(int64_t)change;
	ch->failed_counted = ch->failed;
}

/* I7. The time is taken under the lock, so the list is in its order. */
static void settle_age(struct cache *c, struct chunk *ch)
{
	bool dirty = !chunk_set_empty(ch, SET_DIRTY);
	bool listed = ch->dirtied_ns != 0;

	if (dirty && !listed) {
		ch->dirtied_ns = MAX(clock_mono_ns(), 1);
		TAILQ_INSERT_TAIL(&c->dirty_by_age, ch, age);
		cache_tree_insert(&ch->object->dirty, &ch->dirty_node,
				  chunk_number(ch));
	} else if (!dirty && listed) {
		ch->dirtied_ns = 0;
		TAILQ_REMOVE(&c->dirty_by_age, ch, age);
		cache_tree_remove(&ch->object->dirty, &ch->dirty_node);
	}
	if (!dirty && chunk_set_empty(ch, SET_WRITING))
		ch->unsafe_ns = 0;
	else if (!ch->unsafe_ns)
		ch->unsafe_ns = ch->dirtied_ns;
}

static void settle_sums(struct cache *c, struct chunk *ch)
{
	uint32_t bytes = chunk_dirty_bytes(ch);
	uint32_t mem = bytes ? ch->cap : 0;
	bool was_over = c->dirty_mem >= c->dirty_limit;

	c->dirty_bytes += bytes - (uint64_t)ch->dirty_counted;
	ch->object->dirty_bytes += bytes - (uint64_t)ch->dirty_counted;
	c->dirty_mem += mem - (size_t)ch->mem_counted;
	ch->dirty_counted = bytes;
	ch->mem_counted = mem;
	if (was_over && c->dirty_mem < c->dirty_limit)
		cond_broadcast(&c->room);
}

static void settle_lru(struct cache *c, struct chunk *ch)
{
	bool wanted = ch->state == CHUNK_CLEAN && chunk_idle(ch);

	if (wanted && !ch->on_lru)
		TAILQ_INSERT_HEAD(&c->lru, ch, link);
	else if (!wanted && ch->on_lru)
		TAILQ_REMOVE(&c->lru, ch, link);
	ch->on_lru = wanted;
}

bool chunk_settle(struct cache *c, struct chunk *ch)
{
	/* A writer may have made room that it is about to need. */
	if (ch->many && !ch->writer && ch->many[SET_VALID].n <= 1)
		chunk_sets_narrow(c, ch);
	settle_age(c, ch);
	settle_sums(c, ch);
	settle_failed(c, ch);
	ch->state = (uint8_t)chunk_state_of(c, ch);
	if (chunk_idle(ch) && chunk_blank(c, ch)) {
		chunk_free(c, ch);
		return true;
	}
	settle_lru(c, ch);
	return false;
}

void chunk_drop(struct cache *c, struct chunk *ch)
{
	for (unsigned i = 0; i < SET_COUNT; i++)
		chunk_set_clear(ch, i);
	ch->zero_from = c->chunk_bytes;
	ch->gen++;
	ch->fill_stale = true;
	chunk_settle(c, ch);
}

/* ---- many readers or one writer ---- */

static struct cond *wait_slot(struct cache *c, const struct chunk *ch)
{
	uint64_t x = (uintptr_t)ch * 0x9e3779b97f4a7c15ULL;

	return &c->wait[(x >> 32) % CACHE_WAIT_SLOTS];
}

void chunk_wait(struct cache *c, struct chunk *ch)
{
	cond_wait(wait_slot(c, ch), &c->lock);
}

/* Who waits has a pin, so has who wakes. */
void chunk_wake(struct cache *c, struct chunk *ch)
{
	if (ch->pins > 1)
		cond_broadcast(wait_slot(c, ch));
}

void chunk_writer_begin(struct cache *c, struct chunk *ch)
{
	ch->claims++;
	while (ch->writer || ch->readers)
		chunk_wait(c, ch);
	ch->claims--;
	ch->writer = true;
}

void chunk_writer_end(struct cache *c, struct chunk *ch)
{
	ch->writer = false;
	chunk_wake(c, ch);
}

/* Waiting writers go first: readers that follow each other never end. */
bool chunk_reader_wait(struct cache *c, struct chunk *ch)
{
	if (!ch->writer && !ch->claims)
		return false;
	chunk_wait(c, ch);
	return true;
}

void chunk_copy_out(struct cache *c, struct chunk *ch, struct range r,
		    uint8_t *dst)
{
	uint32_t end = MAX(MIN(r.hi, ch->zero_from), r.lo);
	bool unlocked = r.hi - r.lo > COPY_LOCKED_MAX;
	const uint8_t *src = ch->buf;

	if (unlocked) {
		ch->readers++;
		mutex_unlock(&c->lock);
	}
	if (end > r.lo)
		memcpy(dst, src + r.lo, end - r.lo);
	memset(dst + (end - r.lo), 0, r.hi - end);
	if (unlocked) {
		mutex_lock(&c->lock);
		if (--ch->readers == 0)
			chunk_wake(c, ch);
	}
}
