/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache.h - the chunk cache: plaintext of file chunks, clean and dirty, within
 * a fixed budget of memory.
 *
 * An object is a 64-bit number (the inode); it consists of chunks of
 * chunk_bytes. Bytes enter by cache_write (dirty) or by the fill function
 * (clean, read from the store); dirty ones leave by a write-back cycle that
 * the owner drives: cache_collect -> cache_copy -> (make it durable, enter it
 * in the index) -> cache_complete. The cache knows nothing of segments, sizes
 * or files; the owner bounds reads by the file size.
 *
 * States of a chunk and who may change them (the full table with invariants
 * stands in cache.c; tests cite it):
 *   CLEAN      all valid bytes are in the store
 *   READING    a fill is under way; others wait
 *   DIRTY      some valid bytes are only here
 *   WRITING    collected, not yet complete
 *   REDIRTIED  WRITING and written again since
 *   FAILED     DIRTY, and the last write-back of it failed
 *   DISCARDED  dropped while READING or WRITING; freed when that ends
 * Only CLEAN chunks are on the LRU list, so a dirty one cannot be evicted.
 *
 * Each chunk has a generation; cache_truncate, cache_zero and cache_discard
 * raise it, and results of fills and write-backs that started from an older
 * one are thrown away (C12).
 *
 * A chunk's buffer grows in powers of two (4 KiB .. chunk_bytes) with its
 * highest valid byte, so that a small file costs little; bytes of a wholly
 * valid chunk beyond its buffer read as zero.
 *
 * The budget counts buffers and headers. Clean chunks are evicted for every
 * allocation above it; dirty ones never, so it is overshot by as much as the
 * owner lets writers pass the dirty limit (beyond budget - limit), plus one
 * chunk per thread that fills.
 *
 * Threads: every function from any thread. The cache's lock is never held
 * across fill or want_writeback.
 */
#ifndef MENDFS_CACHE_CACHE_H
#define MENDFS_CACHE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define CACHE_ANY	 UINT64_MAX /* every object */
#define CACHE_BUDGET_MIN (8u << 20)

struct cache;

struct cache_ops {
	/*
	 * Reads chunk number `chunk` of `obj` from the store into buf
	 * (chunk_bytes long, not zeroed). Returns the number of leading bytes
	 * it wrote; all beyond are zero (hole, or end of file). Holes before
	 * that it zeroes itself. May block; errors are passed to the reader.
	 * Called without locks, at most once at a time per chunk.
	 */
	int64_t (*fill)(void *ctx, uint64_t obj, uint64_t chunk, void *buf);
	/* Write-back would be good now: dirty bytes passed half the limit.
	 * Must not block. */
	void (*want_writeback)(void *ctx);
};

struct cache_config {
	size_t budget_bytes; /* >= CACHE_BUDGET_MIN */
	/* Of buffers with dirty bytes, however few; 0: half the budget. */
	size_t dirty_limit_bytes;
	uint32_t chunk_bytes;	     /* power of two, 16 KiB..4 MiB */
	unsigned readahead_threads;  /* 0: no readahead */
	unsigned readahead_chunks;   /* how far ahead of a sequential reader */
	const struct cache_ops *ops; /* borrowed */
	void *ctx;
};

/* 0, -EINVAL (a value out of its range), -ENOMEM or -EAGAIN (no thread). */
int cache_new(const struct cache_config *config, struct cache **out) MUST_USE;
/* Ends readahead; dirty bytes still in it are dropped. NULL is allowed. */
void cache_free(struct cache *c);

/*
 * Copies [off, off+len) of obj to dst, filling chunks as needed. obj_size: the
 * object's size, beyond which nothing is filled or read ahead (bytes there
 * read as zero). A sequential reader makes the cache read ahead.
 * 0, or the first error of a fill (-ENOMEM when no buffer can be had).
 */
int cache_read(struct cache *c, uint64_t obj, uint64_t obj_size, uint64_t off,
	       size_t len, void *dst) MUST_USE;

/*
 * Copies len bytes from src into the cache as dirty. obj_size: the size before
 * this write (a chunk wholly beyond it is known to be zero and needs no fill,
 * now or later). Does not wait for the store and does not throttle, with one
 * exception: a chunk whose valid ranges became too many is filled first.
 * 0, -ENOMEM, or the error of that fill; then nothing or a leading part (*done
 * bytes) was taken.
 */
int cache_write(struct cache *c, uint64_t obj, uint64_t obj_size, uint64_t off,
		const void *src, size_t len, size_t *done) MUST_USE;

/* Is the dirty limit reached (by what is dirty or WRITING)? */
bool cache_over_limit(struct cache *c);
/* Waits until it is not, or until deadline_ns (clock_mono_ns). */
void cache_throttle(struct cache *c, uint64_t deadline_ns);

/* One dirty byte range of one chunk on its way to the store. */
struct cache_piece {
	uint64_t obj;
	uint64_t off;  /* in the object */
	uint32_t len;  /* never crosses a chunk border */
	bool whole;    /* all the chunk's valid content starts at its border
			  and is this piece: the chunk is known wholly, and is
			  zero from the piece's end on */
	void *chunk_;  /* the cache's own */
	uint64_t gen_; /* the cache's own */
};

/*
 * Picks dirty chunks of obj (or CACHE_ANY) that became dirty at or before
 * dirtied_before_ns (UINT64_MAX: all), in ascending order within an object,
 * oldest object first, until max pieces or max_bytes are reached (at least one
 * chunk if there is any), and makes them WRITING. Chunks already WRITING are
 * not picked, nor any of the object behind one that is REDIRTIED: later bytes
 * never pass earlier ones; see cache_wait_written. All dirty ranges of a chunk
 * come together; a chunk that is wholly valid and has several dirty ranges
 * comes as one piece spanning them. Only where max is too small for the first
 * chunk's ranges (there are 16 at most) the rest of it stays dirty. Returns the
 * number of pieces. A chunk whose write-back failed counts as dirtied then.
 */
unsigned cache_collect(struct cache *c, uint64_t obj,
		       uint64_t dirtied_before_ns, size_t max_bytes,
		       struct cache_piece *out, unsigned max);

/*
 * All objects with bytes that could be collected, those with the oldest first:
 * *n of them, mem_free(*out). O(dirty chunks): for when something has failed.
 * -ENOMEM.
 */
int cache_list_dirty(struct cache *c, uint64_t **out, size_t *n) MUST_USE;

/*
 * Copies the piece's bytes to dst (piece->len), consistent with respect to
 * concurrent writes. -ESTALE: discarded or truncated meanwhile; do not store
 * it, but complete it all the same.
 */
int cache_copy(struct cache *c, const struct cache_piece *p,
	       void *dst) MUST_USE;

/* May this piece's result still be applied? (generation unchanged) */
bool cache_current(struct cache *c, const struct cache_piece *p);

/*
 * Ends the write-back of n pieces: rc 0: they are in the store and the index
 * says so; else they are dirty again and the chunk is FAILED. Every collected
 * piece must be completed exactly once.
 */
void cache_complete(struct cache *c, const struct cache_piece *p, unsigned n,
		    int rc);

/*
 * Waits until no chunk of obj (CACHE_ANY: of any) is WRITING that was WRITING
 * at the call.
 */
void cache_wait_written(struct cache *c, uint64_t obj);

/* Dirty (or WRITING) bytes of an object, or of all with CACHE_ANY. */
uint64_t cache_dirty_bytes(struct cache *c, uint64_t obj);
/*
 * Has obj (or any with CACHE_ANY) a chunk whose last write-back failed? True in
 * state FAILED, and also while that chunk is written back again: until it is
 * safe.
 */
bool cache_failed(struct cache *c, uint64_t obj);
/*
 * p: n >= 1 pieces of one object, ascending, collected and not complete. Has
 * the object, below the end of the last of them, a chunk that cache_failed is
 * about and that is none of theirs? Who enters them would tell of later bytes
 * before earlier ones.
 */
bool cache_failed_before(struct cache *c, const struct cache_piece *p,
			 unsigned n);
/*
 * Is everything of obj (or of all) that was written at or before
 * written_before_ns in the store? This alone decides whether an fsync is done:
 * what another thread had collected may have failed, gone stale or been written
 * again, and be dirty or on its way once more when cache_wait_written returns.
 * DESIGN.md has the loop.
 */
bool cache_stored(struct cache *c, uint64_t obj, uint64_t written_before_ns);

/*
 * The object ends at `size` now: bytes beyond are dropped or zero.
 *
 * Of this and the next two: change the index first, then call, and let no other
 * thread look at cache_current and enter a piece in the index between the two
 * (C12; DESIGN.md says why). They wait for nobody but, cache_zero, for copies.
 */
void cache_truncate(struct cache *c, uint64_t obj, uint64_t size);
/*
 * [off, off+len) reads as zero now, as a hole that the owner has made in the
 * store before the call. What was dirty in it need not be written any more.
 */
void cache_zero(struct cache *c, uint64_t obj, uint64_t off, uint64_t len);
/* Drops everything of obj, dirty too. */
void cache_discard(struct cache *c, uint64_t obj);
/* Drops what is clean of obj (or all), as if evicted. */
void cache_drop_clean(struct cache *c, uint64_t obj);

struct cache_stats {
	uint64_t bytes;	      /* buffers and headers now */
	uint64_t dirty_bytes; /* now */
	uint64_t chunks;      /* now */
	uint64_t hits, misses, evictions, readahead, throttled;
	uint64_t failed; /* write-backs that failed */
};
void cache_get_stats(struct cache *c, struct cache_stats *out);

/* Verifies every invariant of the state table; aborts. For tests. */
void cache_check(struct cache *c);

#endif
