/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index.h - the local database of the namespace and all extents.
 *
 * A cache of what checkpoints and journal hold: it may be lost at any time
 * and is rebuilt byte for byte from them. SQLite behind one lock; every page
 * sealed on disk (index_vfs.c). Rows are reached through the functions of
 * rows.h; this header has what is around them: operations, records, replay,
 * regions.
 *
 * Operation: index_begin .. any row functions .. index_end. It holds the
 * index lock, is one savepoint, and is atomic: index_end(ix, rc < 0) leaves no
 * trace of it, neither in the tables nor in the statement log. An operation
 * must be short (no I/O but the local file's, at most 4,096 changed rows).
 *
 * Record: all operations since the last index_cut. index_cut ends SQLite's
 * transaction, so the file holds the state after exactly that record (C10),
 * and hands out the statement log to be made durable.
 *
 * Sticky error (C8): if SQLite or the local file fails where tables and log
 * could disagree (a failed rollback, a failed cut), every later call answers
 * -ERR_STICKY.
 *
 * Threads: all functions from any thread. Those marked [op] only between
 * index_begin and index_end of the same thread; those marked [locked] between
 * index_lock and index_unlock or in an operation.
 */
#ifndef MENDFS_META_INDEX_H
#define MENDFS_META_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "backend/ids.h"
#include "backend/keyring.h"

#define INDEX_VERSION  1	    /* of schema and statement table */
#define INDEX_PAGE     4096	    /* bytes, 32 of them reserved */
#define INDEX_REGION   (256u << 10) /* bytes: 64 pages */
#define INDEX_ROWS_MAX 4096	    /* changed by one operation at most */

struct index;

struct index_options {
	const char *path; /* of the local file; its .cow lies beside it */
	struct pool_id pool;
	const struct keyring *keys; /* borrowed */
	const uint8_t *salt;	    /* KEY_SALT bytes: this file's key */
	uint32_t chunk_bytes;	    /* the pool's; a slot is 8 chunks */
	size_t cache_bytes;	    /* SQLite's page cache; 0: 16 MiB */
};

/*
 * Makes a fresh index (an existing file is replaced): schema, counters, and
 * nothing else (no root inode). It has one open record like any other.
 */
int index_create(const struct index_options *o, struct index **out) MUST_USE;
/*
 * Opens an existing local file. -ENOENT, -ERR_AUTH (a page was not sealed by
 * this key), -ERR_FEATURE (another INDEX_VERSION), -ERR_CORRUPT. Its content is
 * taken to be what the last checkpoint holds: no region counts as changed.
 * Reads all extent rows (for the segments' references).
 */
int index_open(const struct index_options *o, struct index **out) MUST_USE;
/*
 * Closes. With sync the file is complete and fsynced, or else: -EBUSY (the open
 * record has operations: they are lost), -ERR_STICKY, or what fsync says.
 * NULL is allowed.
 */
int index_close(struct index *ix, bool sync);

void index_lock(struct index *ix);
void index_unlock(struct index *ix);

int index_begin(struct index *ix) MUST_USE;
/*
 * rc >= 0 keeps the operation, rc < 0 undoes it. Returns rc, or an error when
 * keeping failed (then it is undone): -ENOSPC where the local disk has no room
 * for the pages it added, -ENOMEM. A changer that failed with anything but
 * -ENOENT, -EEXIST or -EINVAL has spoilt the operation: it is undone and that
 * error returned whatever rc is. Releases the lock. Segments whose last
 * reference the operation took are marked dead within it.
 */
int index_end(struct index *ix, int rc) MUST_USE;

/* Statements that have changed something in the open operation. [op] */
unsigned index_op_changes(const struct index *ix);

/* Bytes of statement log waiting in the open record. [any thread] */
size_t index_pending(struct index *ix);

/* ---- counters: next free numbers, part of every record ---- */
enum index_counter {
	COUNTER_INO,	 /* inode numbers, from 2; 1 is the root */
	COUNTER_DENTRY,	 /* dentry ids = readdir cookies, from 3 */
	COUNTER_DATA,	 /* data ids, from 1 */
	COUNTER_SEGMENT, /* segment ids, data and index alike, from 1 */
	COUNTER_QUEUE,
	COUNTER_GENERATION, /* snapshot generation g; rows are born at g */
	COUNTER_COUNT
};
/* Draws the next number. Any thread, without the index lock; its new value is
 * in the record of any operation that ends later. */
uint64_t index_next(struct index *ix, enum index_counter which);
/* The next number that would be drawn. */
uint64_t index_peek(struct index *ix, enum index_counter which);

/* ---- records ---- */

/*
 * Ends the open record as number seq: stores seq and the counters, commits
 * SQLite's transaction, moves the statement log to *log (initialised; the
 * caller releases). [locked] `empty_ok` false: -ENODATA when no operation was
 * made since the last cut (nothing happens then).
 */
int index_cut(struct index *ix, uint64_t seq, bool empty_ok,
	      struct bytes *log) MUST_USE;
/* seq of the last cut (0: none). [locked] */
uint64_t index_seq(struct index *ix);

/*
 * Runs the statement log of record seq (index_seq() + 1, else -ERR_REPLAY) in
 * one transaction. -ERR_REPLAY when a statement is unknown or changes another
 * number of rows than it did then; -ERR_TRUNCATED/-ERR_RANGE for an ill-formed
 * log. Nothing of the record remains on failure. Afterwards the file holds
 * exactly that record's state.
 */
int index_replay(struct index *ix, uint64_t seq, const void *log,
		 size_t len) MUST_USE;

/* ---- regions: what a checkpoint copies ---- */

struct region_set {
	uint32_t regions; /* the file's length in regions */
	uint8_t *bits;	  /* one bit a region, set: changed; owned */
};
void region_set_release(struct region_set *s);
static inline bool region_is_set(const struct region_set *s, uint32_t r)
{
	return (s->bits[r / 8] >> (r % 8)) & 1;
}

/*
 * Right after index_cut in the same lock hold: freezes the file as it is and
 * returns the regions changed since the last successful checkpoint. Until
 * index_thaw, index_region_read gives the frozen content: a page is copied
 * (as sealed bytes, to the .cow file) before it is overwritten. If that fails
 * once, index_region_read answers the error until the thaw; nothing else is
 * harmed. One freeze at a time (-EBUSY). [locked]
 */
int index_freeze(struct index *ix, struct region_set *changed) MUST_USE;
/*
 * Plain content (INDEX_REGION bytes; reserved bytes of pages and what lies
 * beyond the end are zero) of a region: frozen, or live when not frozen and
 * the caller holds the lock. Not [locked] while frozen.
 */
int index_region_read(struct index *ix, uint32_t region, void *out) MUST_USE;
/* Ends the freeze. !done: the changed regions count as changed again. */
void index_thaw(struct index *ix, bool done);

/*
 * Building a local file from regions, before index_open: creates (fresh) or
 * opens path, -ENOENT without it, and writes sealed pages. One thread.
 */
struct index_image;
int index_image_open(const struct index_options *o, bool fresh,
		     struct index_image **out) MUST_USE;
/* -ERR_AUTH/-ERR_TRUNCATED when the region is not readable as it is. */
int index_image_read(struct index_image *im, uint32_t region,
		     void *out) MUST_USE;
int index_image_write(struct index_image *im, uint32_t region,
		      const void *plain) MUST_USE;
/*
 * Cuts the file to so many regions and fsyncs it; frees in any case. Returns
 * the first error of a write or of this. regions 0: the file is given up, it
 * stays as it is.
 */
int index_image_close(struct index_image *im, uint32_t regions);

/* ---- checks ---- */

/*
 * SQLite's integrity check and the cross-table rules (each dentry has its
 * inode, link counts, each extent its segment, no overlaps, slots respected,
 * sizes, reference counts): calls each(arg, code, text) per finding; stable
 * codes are listed in index_check.c, texts name no files. Returns the number of
 * findings or an error. Long: each rule is one hold of the lock, O(rows), and
 * the first one reads the whole file. [not locked]
 */
int index_check(struct index *ix,
		void (*each)(void *arg, const char *code, const char *text),
		void *arg) MUST_USE;

uint64_t index_bytes(struct index *ix); /* of the local file */
/* Of the lock, in ns: so far, or since the last index_forget_holds. */
uint64_t index_longest_hold_ns(struct index *ix);
void index_forget_holds(struct index *ix);

#endif
