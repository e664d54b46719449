/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chunk cache: states, invariants, locking. This file makes and frees the
 * cache; the map of the others is in DESIGN.md.
 *
 * FACTS AND STATES
 *
 * A chunk's state is no variable that functions change; it follows from facts,
 * in chunk_state_of (the first line that holds):
 *
 *   DISCARDED  nothing known, and pieces in flight or a stale fill under way
 *   REDIRTIED  pieces in flight, SET_DIRTY not empty
 *   WRITING    pieces in flight
 *   FAILED     SET_DIRTY not empty, the last write-back failed
 *   DIRTY      SET_DIRTY not empty
 *   READING    a fill is under way
 *   CLEAN      else
 *
 * A fill may also be under way in DIRTY, FAILED, WRITING and REDIRTIED (a part
 * was written, the rest is wanted). Functions change facts and then call
 * chunk_settle, which sets the state, the lists and the sums.
 *
 *               chunk_get
 *                   |            run_fill
 *                   v       ------------------>
 *          +----> CLEAN                          READING --- chunk_drop ---+
 *          |        |       <------------------     |                      |
 *          |        |            run_fill           |                      |
 *          |        | write_chunk                   | write_chunk          |
 *          |        v                               |                      |
 *          |      DIRTY <---------------------------+                      |
 *          |        |  ^                                                   |
 * complete |   pick |  | end_writing: stale, or written again              |
 *       ok |        v  |                                                   |
 *          +---- WRITING ------ chunk_drop --------------> DISCARDED <-----+
 *          |      |   ^                                      |  |
 *          |      |   | pick               write_chunk with  |  | the last
 *    write_chunk  |   |                    pieces in flight  |  | piece, or
 *          |      |   |                    -> REDIRTIED;     |  | the fill,
 *          v      |   |                    in a stale fill   |  | ends: freed
 *     REDIRTIED   |   |                    -> DIRTY          v  v
 *          |      |   |
 *          |      v   |
 *          +--> FAILED           (end_writing with an error)
 *
 *   from       to         function         condition
 *   -          CLEAN      chunk_get        pinned and blank for the moment
 *   CLEAN      READING    run_fill         bytes are wanted that are not known
 *   READING    CLEAN      run_fill         merged; error or stale: as before
 *   CLEAN      DIRTY      write_chunk
 *   READING    DIRTY      write_chunk      the fill goes on
 *   DIRTY      WRITING    pick_chunk
 *   FAILED     WRITING    pick_chunk
 *   WRITING    REDIRTIED  write_chunk      (or: not all ranges were picked)
 *   WRITING    CLEAN      end_writing      all pieces stored and current
 *   WRITING    DIRTY      end_writing      a piece was stale: union is dirty
 *   WRITING    FAILED     end_writing      a piece failed: union is dirty
 *   REDIRTIED  DIRTY      end_writing      stored: what came since; stale:
 * union REDIRTIED  FAILED     end_writing      a piece failed: union READING
 * DISCARDED  chunk_drop       truncate, zero, discard WRITING    DISCARDED
 * chunk_drop       the same; REDIRTIED too DIRTY      (freed)    chunk_drop the
 * same; CLEAN and FAILED too; READING if a fill goes on under DIRTY, FAILED
 *   DISCARDED  REDIRTIED  write_chunk      pieces in flight
 *   DISCARDED  DIRTY      write_chunk      a stale fill under way
 *   DISCARDED  READING    run_fill         the next one, after the stale one
 *   DISCARDED  (freed)    chunk_settle     the last piece, fill or pin ended
 *   CLEAN      (freed)    cache_shrink, cache_drop_clean
 *
 * A chunk never leaves its object while anything refers to it: dropping a busy
 * one empties it. So there is one struct per number at any time, hence one
 * fill.
 *
 * WHAT IS KNOWN
 *
 * SET_VALID are bytes that stand in buf. Bytes from zero_from on are zero, in
 * buf or not. A chunk is known where either holds, blank where neither does
 * (nothing valid, zero_from at the chunk's end). A short file's last chunk is
 * known wholly with a small buffer; so is a hole, with none.
 *
 * GENERATIONS (C12)
 *
 * cut, chunk_drop and zero_part raise gen and set fill_stale. A fill that
 * ends stale is thrown away. A piece whose gen_ is not the chunk's is never
 * believed to be stored: what is left of its bytes is dirty again.
 *
 * INVARIANTS (cache_check; whenever the lock is free)
 *
 *   I1   An object has at least one chunk; its chunks are those that say so.
 *   I2   SET_VALID lies below zero_from and below cap; cap is 0 (no buf) or a
 *        power of two from 4 KiB to chunk_bytes.
 *   I3   SET_DIRTY and SET_WRITING are subsets of SET_VALID.
 *   I4   There is room for many ranges only if SET_VALID has several, or a
 *        writer is about to make them.
 *   I5   state is what chunk_state_of says.
 *   I6   The LRU list holds exactly the CLEAN chunks that are idle: no pins, no
 *        fill, nothing in flight. So a dirty chunk cannot be evicted.
 *   I7   A chunk is in its object's dirty tree and in dirty_by_age exactly if
 *        SET_DIRTY is not empty; then dirtied_ns is not 0, and the list is in
 *        the order of dirtied_ns. After a failed write-back a chunk counts as
 *        dirtied then, which spaces out retries and lets others go first.
 *   I8   A chunk is in the two lists `writing` exactly if pieces are in flight;
 *        both are in the order of collect_no. Else SET_WRITING is empty.
 *   I9   bytes, dirty_mem, dirty_bytes, chunks, failed_now and the object's
 *        sums are the sums of what the chunks say.
 *   I10  If bytes exceeds the budget, the LRU list is empty.
 *   I11  An idle chunk is not blank.
 *   I12  A chunk has a writer or readers, not both, and they have pins.
 *   I13  unsafe_ns is not 0 exactly if SET_DIRTY or SET_WRITING has bytes, and
 *        then none of them was written before it. Failing or going stale does
 *        not change it, being stored does: that is what fsync asks for.
 *
 * LOCKS
 *
 * One mutex guards everything but the content of buffers. Content is copied
 * out by readers and in by one writer (chunk_copy_out, chunk_writer_begin), for
 * large copies without the mutex; a buffer is replaced only by the writer. A
 * thread is reader or writer of one chunk at a time, and while it waits for a
 * fill it is neither. The mutex is innermost: nothing is called with it held
 * but memory and the clock. Cutting and dropping touch no content and so wait
 * for nobody; what was copied in meanwhile is taken as written after the cut.
 */
#include "cache/cache_impl.h"

#include "base/must.h"
#include "base/rnd.h"

#define CHUNK_BYTES_MIN (16u << 10)
#define CHUNK_BYTES_MAX (4u << 20)

static bool config_valid(const struct cache_config *f)
{
	uint32_t n = f->chunk_bytes;

	return n >= CHUNK_BYTES_MIN && n <= CHUNK_BYTES_MAX &&
	       (n & (n - 1)) == 0 && f->budget_bytes >= CACHE_BUDGET_MIN &&
	       f->dirty_limit_bytes <= f->budget_bytes;
}

static void init(struct cache *c, const struct cache_config *f)
{
	mutex_init(&c->lock);
	for (unsigned i = 0; i < CACHE_WAIT_SLOTS; i++)
		cond_init(&c->wait[i]);
	cond_init(&c->room);
	cond_init(&c->written);
	TAILQ_INIT(&c->lru);
	TAILQ_INIT(&c->dirty_by_age);
	TAILQ_INIT(&c->writing);
	c->ops = f->ops;
	c->ctx = f->ctx;
	c->budget = f->budget_bytes;
	c->dirty_limit = f->dirty_limit_bytes ? f->dirty_limit_bytes
					      : f->budget_bytes / 2;
	c->chunk_bytes = f->chunk_bytes;
	c->salt = rnd_u64();
}

int cache_new(const struct cache_config *config, struct cache **out)
{
	struct cache *c;
	int rc;

	if (!config_valid(config))
		return -EINVAL;
	c = mem_zalloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	init(c, config);
	rc = htab_init(&c->objects);
	if (!rc)
		rc = cache_ahead_start(c, config->readahead_threads,
				       config->readahead_chunks);
	if (rc)
		cache_free(c);
	else
		*out = c;
	return rc;
}

/* The owner is gone, so nobody will complete what is in flight. */
static void forget_chunk(struct cache *c, struct chunk *ch)
{
	MUST(!ch->pins);
	if (ch->inflight) {
		TAILQ_REMOVE(&c->writing, ch, link);
		TAILQ_REMOVE(&ch->object->writing, ch, obj_link);
	}
	ch->inflight = 0;
	chunk_drop(c, ch);
}

static void forget_all(struct cache *c)
{
	struct hnode *n;

	while ((n = htab_first(&c->objects)))
		forget_chunk(c, chunk_from(c, n->key, 0));
	MUST(!c->bytes && !c->chunks && !c->dirty_bytes);
}

void cache_free(struct cache *c)
{
	if (!c)
		return;
	cache_ahead_stop(c);
	if (c->objects.bucket)
		forget_all(c);
	htab_release(&c->objects);
	cond_destroy(&c->written);
	cond_destroy(&c->room);
	for (unsigned i = 0; i < CACHE_WAIT_SLOTS; i++)
		cond_destroy(&c->wait[i]);
	mutex_destroy(&c->lock);
	mem_free(c);
}

void cache_get_stats(struct cache *c, struct cache_stats *out)
{
	MUTEX_GUARD(&c->lock);
	*out = (struct cache_stats){
		.bytes = c->bytes,
		.dirty_bytes = c->dirty_bytes,
		.chunks = c->chunks,
		.hits = c->hits,
		.misses = c->misses,
		.evictions = c->evictions,
		.readahead = c->readahead,
		.throttled = c->throttled,
		.failed = c->failed,
	};
}
