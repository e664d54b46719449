/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_impl.h - what the files of the chunk cache share. Private to cache/.
 *
 * States, invariants and locking are explained on top of cache.c. Unless said
 * otherwise every function here is called with the cache's lock held and keeps
 * it; those marked "drops the lock" give it up for a while, so what was looked
 * up before has to be looked at again. Pinned chunks stay where they are.
 */
#ifndef MENDFS_CACHE_CACHE_IMPL_H
#define MENDFS_CACHE_CACHE_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/htab.h"
#include "base/mem.h"
#include "base/ranges.h"
#include "base/sync.h"
#include "base/workq.h"
#include "cache/cache.h"
#include "cache/cache_tree.h"

#define CHUNK_CAP_MIN	 4096u
#define CACHE_WAIT_SLOTS 16

/* Larger copies are made without the lock. */
#define COPY_LOCKED_MAX 4096u

enum chunk_state {
	CHUNK_CLEAN,
	CHUNK_READING,
	CHUNK_DIRTY,
	CHUNK_WRITING,
	CHUNK_REDIRTIED,
	CHUNK_FAILED,
	CHUNK_DISCARDED
};

/* The three sets of bytes of a chunk. */
enum chunk_set {
	SET_VALID,   /* the buffer holds what the object holds */
	SET_DIRTY,   /* not in the store and not on the way there */
	SET_WRITING, /* collected, outcome unknown */
	SET_COUNT
};

struct cache_object;

struct chunk {
	struct tree_node node;	     /* in object->chunks, by number */
	struct tree_node dirty_node; /* in object->dirty (I7) */
	TAILQ_ENTRY(chunk) link;     /* in cache->lru or cache->writing */
	TAILQ_ENTRY(chunk) age;	     /* in cache->dirty_by_age (I7) */
	TAILQ_ENTRY(chunk) obj_link; /* in object->writing (I8) */
	struct cache_object *object;
	uint8_t *buf;
	struct ranges *many; /* SET_COUNT of them, or NULL: one[] counts (I4) */
	struct range one[SET_COUNT]; /* empty: lo == hi == 0 */
	uint64_t gen;
	uint64_t dirtied_ns; /* when SET_DIRTY got its first byte; 0: empty */
	uint64_t unsafe_ns;  /* the same of SET_DIRTY and SET_WRITING (I13) */
	uint64_t collect_no; /* which collection it was picked in */
	uint32_t cap;	     /* bytes of buf */
	uint32_t zero_from;  /* bytes from here on are zero, buf or not */
	uint32_t dirty_counted; /* what the sums hold for it (I9) */
	uint32_t mem_counted;
	uint32_t pins;	   /* threads that hold a pointer to it */
	uint32_t readers;  /* threads that copy out of buf without the lock */
	uint32_t claims;   /* threads that wait to be the writer */
	uint32_t inflight; /* pieces collected and not completed */
	uint32_t fill_no;  /* counts fills */
	int fill_rc;	   /* of the last one that ended */
	uint8_t state;	   /* enum chunk_state, set by chunk_settle only */
	bool writer;	   /* one thread changes buf or replaces it */
	bool filling;
	bool fill_stale; /* the fill under way started from an older gen */
	bool lost;	 /* a piece of this collection is not in the store */
	bool broken;	 /* and that was a failure */
	bool failed;	 /* the last write-back that ended has failed */
	bool failed_counted;
	bool on_lru;
};
TAILQ_HEAD(chunk_list, chunk);

struct cache_object {
	struct hnode node;	   /* in cache->objects, by id */
	struct cache_tree chunks;  /* never empty (I1) */
	struct cache_tree dirty;   /* chunks with a SET_DIRTY */
	struct chunk_list writing; /* in the order of collection */
	uint64_t dirty_bytes;
	unsigned failed;    /* chunks with that flag */
	uint64_t listed_no; /* of the last listing it was part of */
	unsigned run;	    /* reads in sequence so far */
	uint64_t next_off;  /* where the sequence goes on */
	uint64_t ahead_end; /* chunks before it were asked for already */
};

struct cache {
	struct mutex lock;
	struct cond wait[CACHE_WAIT_SLOTS]; /* by chunk: writer, reader, fill */
	struct cond room;		    /* dirty memory fell below limit */
	struct cond written;		    /* a write-back ended */
	const struct cache_ops *ops;
	void *ctx;
	size_t budget;
	size_t dirty_limit;
	uint32_t chunk_bytes;
	unsigned ahead_chunks;
	struct workq *ahead_queue; /* NULL: no readahead */
	unsigned ahead_pending;	   /* jobs submitted and not ended */
	bool stopping;
	uint64_t salt;
	struct htab objects;
	struct chunk_list lru;		/* most recently used first */
	struct chunk_list dirty_by_age; /* oldest first */
	struct chunk_list writing;	/* in the order of collection */
	uint64_t collect_no;
	size_t bytes;	   /* buffers and headers */
	size_t heap_freed; /* of small buffers, since the last trim */
	size_t dirty_mem;  /* buffers of chunks with dirty or writing bytes */
	uint64_t dirty_bytes;
	uint64_t chunks;
	uint64_t failed_now;
	uint64_t hits, misses, evictions, readahead, throttled, failed;
};

/* ---- cache_sets.c: which bytes ---- */

static inline struct ranges chunk_set(const struct chunk *ch,
				      enum chunk_set which)
{
	struct ranges s;

	if (ch->many)
		return ch->many[which];
	s.n = ch->one[which].lo < ch->one[which].hi;
	s.r[0] = ch->one[which];
	return s;
}
static inline bool chunk_set_empty(const struct chunk *ch, enum chunk_set which)
{
	return ch->many ? ch->many[which].n == 0
			: ch->one[which].lo == ch->one[which].hi;
}
/* From the first byte to the last; {0, 0} when empty. */
struct range chunk_set_span(const struct chunk *ch, enum chunk_set which);
/* s->n <= 1 unless the chunk has room for many. */
void chunk_set_put(struct chunk *ch, enum chunk_set which,
		   const struct ranges *s);
void chunk_set_clear(struct chunk *ch, enum chunk_set which);
/* Room for more than one range per set; 0 or -ENOMEM. */
int chunk_sets_widen(struct cache *c, struct chunk *ch);
/* The opposite; SET_VALID has at most one range, the others become spans. */
void chunk_sets_narrow(struct cache *c, struct chunk *ch);
/*
 * Adds valid bytes to SET_DIRTY or SET_WRITING. Cannot fail: where ranges get
 * too many, valid bytes between them are taken along.
 */
void chunk_set_mark(struct chunk *ch, enum chunk_set which, struct range r);
/* Takes [from, chunk end) out of all three. */
void chunk_sets_cut(struct chunk *ch, uint32_t from, uint32_t chunk_bytes);
/* Number of bytes that are dirty or writing. */
uint32_t chunk_dirty_bytes(const struct chunk *ch);

/* ---- cache_chunk.c: chunks, objects, memory, states ---- */

struct cache_object *cache_object_find(const struct cache *c, uint64_t obj);
static inline uint64_t chunk_number(const struct chunk *ch)
{
	return ch->node.key;
}
/* The chunk with the smallest number >= number, or NULL. */
struct chunk *chunk_from(const struct cache *c, uint64_t obj, uint64_t number);
/* That chunk, made if need be, pinned. NULL: no memory. */
struct chunk *chunk_get(struct cache *c, uint64_t obj, uint64_t number);
/* Ends a pin; the chunk may be gone afterwards. */
void chunk_put(struct cache *c, struct chunk *ch);
/* Are the bytes known, from the buffer or as zeros? */
bool chunk_knows(const struct chunk *ch, uint32_t lo, uint32_t hi);
/* Is nothing known of it? */
bool chunk_blank(const struct cache *c, const struct chunk *ch);
/* The state that the chunk's facts make. */
enum chunk_state chunk_state_of(const struct cache *c, const struct chunk *ch);
/*
 * To be called after every change of facts: sets the state, the lists and the
 * sums accordingly. Frees a chunk that nobody needs: true, and ch is gone.
 */
bool chunk_settle(struct cache *c, struct chunk *ch);
/* Nothing is known of it any more, results under way are thrown away (C12). */
void chunk_drop(struct cache *c, struct chunk *ch);
/* Takes an idle chunk away. */
void chunk_free(struct cache *c, struct chunk *ch);
/* Evicts clean chunks until the budget is kept, if that is possible. */
void cache_shrink(struct cache *c);

/* Buffer size for bytes [0, high). */
uint32_t chunk_cap_for(uint32_t high);
/* Counted in the budget, others evicted for it. NULL: no memory. */
uint8_t *chunk_buf_new(struct cache *c, uint32_t cap);
void chunk_buf_free(struct cache *c, uint8_t *buf, uint32_t cap);

/*
 * The chunk's content: many readers or one writer. ch is pinned. Both drop the
 * lock while they wait. A writer may replace buf and copy into it unlocked.
 */
void chunk_writer_begin(struct cache *c, struct chunk *ch);
void chunk_writer_end(struct cache *c, struct chunk *ch);
/* Is somebody changing the content, or waiting to? Then wait. */
bool chunk_reader_wait(struct cache *c, struct chunk *ch);
/*
 * Copies known bytes to dst; chunk_reader_wait said false. Drops the lock for
 * large copies.
 */
void chunk_copy_out(struct cache *c, struct chunk *ch, struct range r,
		    uint8_t *dst);
void chunk_wait(struct cache *c, struct chunk *ch);
void chunk_wake(struct cache *c, struct chunk *ch);

/* ---- cache_read.c ---- */

/*
 * Makes the chunk wholly known, or waits for who does. 0: look again (a result
 * may have been thrown away); else -ENOMEM or the fill's error. ch is pinned.
 * Drops the lock.
 */
int chunk_fill(struct cache *c, struct chunk *ch);

/* ---- cache_ahead.c: readahead ---- */

/* 0, -ENOMEM or -EAGAIN. Not locked. */
int cache_ahead_start(struct cache *c, unsigned threads, unsigned chunks);
/* Not locked. */
void cache_ahead_stop(struct cache *c);
/* Asks for chunks [from, to) of obj. Drops the lock. */
void cache_ahead_ask(struct cache *c, uint64_t obj, uint64_t from, uint64_t to);
/* [off, end) was read; obj_size as in cache_read. Drops the lock. */
void cache_ahead_note(struct cache *c, uint64_t obj, uint64_t obj_size,
		      uint64_t off, uint64_t end);

#endif
