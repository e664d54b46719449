/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows.h - the tables of the index, row by row.
 *
 * Readers are [locked], changers [op] (see index.h). Every changer runs
 * statements of the one numbered table in stmt_table.h with all their inputs
 * as parameters, so that replay does exactly the same. Rows carry `born`, the
 * snapshot generation they were written in (index_peek(COUNTER_GENERATION)
 * is drawn by the changers themselves). All return 0 or an error; -ENOENT: no
 * such row.
 */
#ifndef MENDFS_META_ROWS_H
#define MENDFS_META_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "backend/segment.h"
#include "meta/index.h"

#define NAME_BYTES_MAX 255
#define ROOT_INO       1

/* ---- inode ---- */
struct inode_row {
	uint64_t ino;
	uint32_t mode; /* type and permission bits, as st_mode */
	uint32_t uid, gid;
	uint32_t nlink;
	uint64_t size; /* bytes; target length of a symlink */
	uint64_t data; /* data id, 0: none yet */
	uint64_t rdev;
	uint32_t flags;
	uint32_t generation; /* of the inode number (always 1: never reused) */
	int64_t atime_ns, mtime_ns, ctime_ns, btime_ns;
};
int inode_get(struct index *ix, uint64_t ino, struct inode_row *out) MUST_USE;
int inode_insert(struct index *ix, const struct inode_row *row) MUST_USE;
/* All columns but ino, generation, btime. */
int inode_update(struct index *ix, const struct inode_row *row) MUST_USE;
/* The row, its xattrs and its symlink target; extents are not touched. */
int inode_delete(struct index *ix, uint64_t ino) MUST_USE;
/* Kept in memory: O(1). */
int inode_count(struct index *ix, uint64_t *out) MUST_USE;

int symlink_get(struct index *ix, uint64_t ino, struct bytes *target) MUST_USE;
int symlink_insert(struct index *ix, uint64_t ino, const void *target,
		   size_t len) MUST_USE;

/* ---- dentry ---- */
struct dentry_row {
	uint64_t id; /* readdir cookie: unique, stable, grows */
	uint64_t parent;
	uint64_t ino;
	uint8_t type; /* DT_* */
	uint8_t name_len;
	char name[NAME_BYTES_MAX + 1]; /* any bytes but '/' and NUL */
};
int dentry_get(struct index *ix, uint64_t parent, const char *name, size_t len,
	       struct dentry_row *out) MUST_USE;
/* -EEXIST: the name or the id is taken (the operation may go on). */
int dentry_insert(struct index *ix, const struct dentry_row *row) MUST_USE;
/* Points the name at another inode (rename over an existing name). */
int dentry_retarget(struct index *ix, uint64_t id, uint64_t ino,
		    uint8_t type) MUST_USE;
int dentry_delete(struct index *ix, uint64_t id) MUST_USE;
/*
 * Entries of parent with id > after in ascending order, with their inodes
 * when `inodes` (else row zero but ino); each() returning non-zero ends it and
 * is returned. each must not call row functions. -ERR_CORRUPT: a name that is
 * none (others that look at it answer the same), or one without an inode, only
 * noticed with `inodes`.
 */
int dentry_list(struct index *ix, uint64_t parent, uint64_t after, bool inodes,
		int (*each)(void *arg, const struct dentry_row *d,
			    const struct inode_row *i),
		void *arg) MUST_USE;
/* 1: has entries, 0: empty. */
int dentry_any(struct index *ix, uint64_t parent) MUST_USE;
/* One name of an inode, -ENOENT if it has none: for paths. `after`: id of the
 * last one seen, 0 first. */
int dentry_of_inode(struct index *ix, uint64_t ino, uint64_t after,
		    struct dentry_row *out) MUST_USE;

/* ---- xattr ---- */
int xattr_get(struct index *ix, uint64_t ino, const char *name,
	      struct bytes *value) MUST_USE;
/* Replaces or inserts. */
int xattr_set(struct index *ix, uint64_t ino, const char *name,
	      const void *value, size_t len) MUST_USE;
int xattr_remove(struct index *ix, uint64_t ino, const char *name) MUST_USE;
/* Names, each NUL-terminated, appended to out. */
int xattr_list(struct index *ix, uint64_t ino, struct bytes *out) MUST_USE;

/* ---- extents ---- */
#define EXTENT_CHUNKS_MAX 8 /* a slot: 8 chunks */

/*
 * A run of file bytes [off, off+len) of one data id, inside one slot, kept as
 * n chunks back to back in one segment. The first `skip` plain bytes of the
 * first chunk and what the last holds beyond len are not visible (cut away by
 * later writes): chunk i starts at plain offset off - skip + sum of the plain
 * lengths before it.
 */
struct extent_row {
	uint64_t data;
	uint64_t off;
	uint32_t len;
	uint32_t skip;
	struct seg_id segment;
	uint32_t n;
	struct chunk_ref ref[EXTENT_CHUNKS_MAX];
};
/*
 * Rows that meet [off, off+len), ascending; at most max of them into out.
 * Returns how many. off above INT64_MAX: -EINVAL.
 */
int extent_find(struct index *ix, uint64_t data, uint64_t off, uint64_t len,
		struct extent_row *out, unsigned max) MUST_USE;
/*
 * Enters a row; what it overlaps is cut to fit (rows split, trimmed, removed).
 * -EINVAL: breaks a rule of struct extent_row (chunks not back to back, a
 * chunk of which nothing is visible, a slot's border inside). -ESTALE: its
 * segment is DEAD. The segment's own row may be entered later in the operation.
 */
int extent_put(struct index *ix, const struct extent_row *row) MUST_USE;
/*
 * Takes [off, off+len) (len UINT64_MAX: to the end) out of a data id. Changes
 * at most max_rows rows, from the END of the range downwards; returns 1 when
 * done, 0 when more is left.
 */
int extent_cut(struct index *ix, uint64_t data, uint64_t off, uint64_t len,
	       unsigned max_rows) MUST_USE;
/* Number of rows of a data id, counted up to max: O(result). */
int extent_count(struct index *ix, uint64_t data, unsigned max) MUST_USE;
/*
 * Adds to *sum the visible bytes of rows from *off on, at most max rows (about
 * 100 ns each), and sets *off to where it goes on. 1: that was all, 0: more may
 * follow. What lies at or above `end` does not count.
 */
int extent_sum(struct index *ix, uint64_t data, uint64_t end, unsigned max,
	       uint64_t *off, uint64_t *sum) MUST_USE;
/* All of a data id, in one hold: for checks. */
int extent_bytes(struct index *ix, uint64_t data, uint64_t *out) MUST_USE;
/* Visible bytes that the open operation has added so far, less those that it
 * has taken away, over all data ids. [op] */
int64_t extent_op_bytes(const struct index *ix);

/* ---- segments ---- */
enum seg_state {
	SEG_OPEN = 1,	/* its bytes are in journal records (no stripe) */
	SEG_SEALED = 2, /* the stripe in its desc is durable */
	SEG_DEAD = 3,	/* nothing refers to it since record dead_seq */
};
struct segment_row {
	struct seg_desc desc;
	enum seg_state state;
	uint64_t dead_seq;
	uint32_t refs;	     /* extent rows that point here (kept in memory) */
	uint64_t live_bytes; /* stored bytes still visible, about (memory) */
};
int segment_get(struct index *ix, struct seg_id id,
		struct segment_row *out) MUST_USE;
/* Is there a row of it, and not a DEAD one? In memory: O(1). [op] too */
bool segment_usable(struct index *ix, struct seg_id id);
/* state OPEN or SEALED. If nothing refers to it when the operation ends and
 * it is SEALED it is marked DEAD at once. */
int segment_insert(struct index *ix, const struct seg_desc *desc,
		   enum seg_state state) MUST_USE;
/*
 * OPEN -> SEALED with its stripe; or a new stripe for a SEALED one. A DEAD one
 * is not changed: -ESTALE.
 */
int segment_seal(struct index *ix, const struct seg_desc *desc) MUST_USE;
/* Forgets a DEAD one (its fragments are gone); -ENOENT if it is none. */
int segment_delete(struct index *ix, struct seg_id id) MUST_USE;
/*
 * Segments of a state with id > after, ascending: up to max into out; returns
 * how many.
 */
int segment_list(struct index *ix, enum seg_state state, struct seg_id after,
		 struct segment_row *out, unsigned max) MUST_USE;
struct segment_totals {
	uint64_t segments, open, dead; /* all of them; those of a state */
	uint64_t payload_bytes;	       /* of all, dead ones included */
	uint64_t live_bytes;
};
/* Without what the open operation does. [locked] */
void segment_get_totals(struct index *ix, struct segment_totals *out);

/* ---- queue of large jobs ---- */
enum queue_kind {
	QUEUE_DROP_DATA = 1, /* a = data id: remove all its extents */
	QUEUE_ORPHAN = 2,    /* a = ino: unlinked but open */
	QUEUE_TRIM_DATA = 3, /* a = data id, b = offset: remove from there */
	QUEUE_LOOSE = 4,     /* a = ino: after a crash remove what lies beyond
				its size */
};
struct queue_row {
	uint64_t id;
	enum queue_kind kind;
	uint64_t a, b;
};
int queue_add(struct index *ix, enum queue_kind kind, uint64_t a,
	      uint64_t b) MUST_USE;
int queue_remove(struct index *ix, uint64_t id) MUST_USE;
/* First job with id > after; -ENOENT. */
int queue_next(struct index *ix, uint64_t after,
	       struct queue_row *out) MUST_USE;
/* Is there a job of this kind? 1: yes, 0: no. */
int queue_any(struct index *ix, enum queue_kind kind) MUST_USE;
/* The job of this kind and a; -ENOENT. */
int queue_find(struct index *ix, enum queue_kind kind, uint64_t a,
	       struct queue_row *out) MUST_USE;

#endif
