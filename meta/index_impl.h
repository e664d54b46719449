/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_impl.h - what the parts of the index share: index_*.c and rows_*.c,
 * nobody else. Everything here is under the index lock but what says so.
 */
#ifndef MENDFS_META_INDEX_IMPL_H
#define MENDFS_META_INDEX_IMPL_H

#include <stdatomic.h>

#include "base/sync.h"
#include "meta/index.h"
#include "meta/index_file.h"
#include "meta/index_refs.h"
#include "meta/index_vfs.h"
#include "meta/rows.h"
#include "meta/stmt.h"

struct sqlite3;

/* Pages are written out after so many statements. One changes two or three of
 * them on average: about 2 ms. */
#define FLUSH_STATEMENTS 128

/* Keys of the table meta: disk format. */
enum meta_key {
	META_VERSION = 1,
	META_CHUNK_BYTES = 2,
	META_SEQ = 3,
	META_COUNTER = 16, /* + enum index_counter */
};

struct index {
	struct mutex lock;
	uint64_t locked_at_ns;
	atomic_uint_fast64_t longest_ns; /* any thread */
	atomic_uint waiting, passed;	 /* for the lock; after waiting */
	struct mutex way;		 /* for giving way; a leaf */
	struct cond never;		 /* nobody signals it */

	struct index_file *file;
	struct index_vfs *vfs;
	struct sqlite3 *db;
	struct stmts *stmts;
	uint32_t chunk_bytes;

	/* the open operation */
	bool in_op;
	bool saved;   /* its savepoint is set: something was changed */
	int op_error; /* first failure that leaves its rows in doubt */
	unsigned op_entries;
	struct bytes op_log;

	/* the file's length: pages there are at most, pages reserved */
	uint32_t pages_bound, pages_sure;

	/* the open record */
	bool in_txn;
	unsigned ops;
	unsigned unflushed; /* statements whose pages are in memory only */
	bool undone; /* an operation that had changed rows was rolled back */
	struct bytes log;
	atomic_size_t pending; /* log.len; any thread */

	/* counters and seq: drawn, and as the table has them */
	atomic_uint_fast64_t counter[COUNTER_COUNT]; /* any thread */
	uint64_t stored[COUNTER_COUNT];
	uint64_t seq;

	/* what is kept in memory about rows */
	bool counts_stale; /* a replay passed: load before use */
	struct refs refs;
	uint64_t inodes;
	int64_t inodes_op; /* what the open operation adds */
	int64_t bytes_op;  /* the same of visible bytes in extents */
};

static inline uint64_t slot_bytes(const struct index *ix)
{
	return (uint64_t)ix->chunk_bytes * EXTENT_CHUNKS_MAX;
}
static inline int64_t born_now(struct index *ix)
{
	return (int64_t)index_peek(ix, COUNTER_GENERATION);
}

/*
 * Runs a changing statement in the open operation and notes it in its log.
 * Rows changed, or an error; -EEXIST leaves the operation as it was, any other
 * one makes index_end undo it.
 */
int op_run(struct index *ix, enum stmt_no no, const struct value *v,
	   unsigned n) MUST_USE;
/* The same for a statement that must hit one row: 0, or -ENOENT for none. */
int op_run_one(struct index *ix, enum stmt_no no, const struct value *v,
	       unsigned n) MUST_USE;
#define OP_RUN(ix, no, ...)                                  \
	op_run(ix, no, (const struct value[]){__VA_ARGS__},  \
	       sizeof((const struct value[]){__VA_ARGS__}) / \
		       sizeof(struct value))
#define OP_RUN_ONE(ix, no, ...)                                  \
	op_run_one(ix, no, (const struct value[]){__VA_ARGS__},  \
		   sizeof((const struct value[]){__VA_ARGS__}) / \
			   sizeof(struct value))
#define QUERY(q, ix, no, ...)                                                \
	query_begin(q, (ix)->stmts, no, (const struct value[]){__VA_ARGS__}, \
		    sizeof((const struct value[]){__VA_ARGS__}) /            \
			    sizeof(struct value))

/*
 * Notes a failure after which rows and memory do not agree, so that index_end
 * undoes the operation whatever its caller says. Returns rc.
 */
int op_doubt(struct index *ix, int rc) MUST_USE;

/* The first and only row of a query: 0, -ENOENT, or an error. */
int query_one(struct query *q) MUST_USE;

/* An operation without the lock's taking and leaving, for index_cut. */
int op_finish(struct index *ix, int rc) MUST_USE;

/* What the table meta says. */
struct meta_state {
	uint64_t seq;
	uint64_t counter[COUNTER_COUNT];
};
/* Reads it; -ERR_FEATURE, -ERR_CORRUPT (another version, chunk size, key). */
int index_read_meta(struct index *ix, struct meta_state *out) MUST_USE;
/* From now on seq and counters are these. */
void index_take_meta(struct index *ix, const struct meta_state *m);
/* Loads refs and the number of inodes unless they are current. */
int index_load_counts(struct index *ix) MUST_USE;

/* An inode row from a query's INODE_COLS, the first of which is column c.
 * (rows_inode.c) */
void inode_from_query(const struct query *q, int c, struct inode_row *out);
/* An extent row from a query's EXTENT_COLS; -ERR_CORRUPT. (rows_extent.c) */
int extent_from_query(struct index *ix, const struct query *q,
		      struct extent_row *out) MUST_USE;

/* ---- rows_chunks.c: extent rows without their table ---- */

/* One chunk: three varints' worth of bytes at most, see there. */
#define CHUNKS_BLOB_MAX (EXTENT_CHUNKS_MAX * 10)

/* Encodes a row's chunks; bytes used. The row is valid. */
size_t chunks_encode(const struct extent_row *row, uint32_t chunk_bytes,
		     uint8_t out[CHUNKS_BLOB_MAX]);
/* Fills out->n and out->ref from a blob, first chunk at pos. -ERR_CORRUPT. */
int chunks_decode(const void *blob, size_t len, uint32_t pos,
		  uint32_t chunk_bytes, struct extent_row *out) MUST_USE;
/* Does the row keep every rule of struct extent_row? */
bool extent_valid(const struct extent_row *row, uint32_t chunk_bytes);
/*
 * out = the part [lo, hi) of in, lo < hi inside of it: chunks of which nothing
 * is left are dropped.
 */
void extent_trim(const struct extent_row *in, uint64_t lo, uint64_t hi,
		 struct extent_row *out);
/* Stored bytes that count as live: of each chunk the visible fraction. */
uint64_t extent_live_bytes(const struct extent_row *row);

#endif
