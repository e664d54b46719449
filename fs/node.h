/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node.h - inodes in memory (private to fs/).
 *
 * A node holds the newest attributes of one inode, newer than the index while
 * it has dirty data (size) or dirty attributes (times). It is referenced by
 * open files, by operations, and by its own dirtiness; some thousand without
 * references are kept, so that hot attributes need no look into the index.
 * Every change of an inode goes through its node, under its lock, so that
 * nobody works from an older row.
 *
 * Lock order: node locks in ascending inode order -> index lock. A node's
 * lock may be held while waiting for nothing slower than the index lock and
 * the cache.
 */
#ifndef MENDFS_FS_NODE_H
#define MENDFS_FS_NODE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/htab.h"
#include "base/ranges.h"
#include "base/sync.h"
#include "fs/posix.h"
#include "meta/rows.h"

/* What is known of an inode's extended attributes. */
enum eattr_known {
	EATTRS_UNKNOWN,
	EATTRS_NONE,
	EATTRS_SOME
};

TAILQ_HEAD(node_list, node);

struct node {
	struct hnode hash;	/* key = ino; table lock */
	unsigned refs;		/* table lock */
	TAILQ_ENTRY(node) idle; /* without references; table lock */
	struct volume *v;

	struct mutex lock;
	/* --- under lock --- */
	struct inode_row row;	/* newest; row.size is what stat shows */
	uint64_t index_size;	/* the size the index has (C11): <= row.size, or
				   larger never */
	uint64_t cut_size;	/* what the last truncate made it, ... */
	uint64_t cut_ns;	/* ... and when; 0: none yet */
	uint64_t seq;		/* record with its newest change */
	unsigned opens;		/* open files */
	atomic_bool dirty_attr; /* row's times are newer than the index; read
				   without the lock to find candidates */
	bool holds_ref;		/* one ref because of dirtiness */
	enum eattr_known eattrs;
	bool stored_known;     /* stored_bytes is what the index says, and
				  follows what operations change */
	uint64_t stored_bytes; /* visible bytes in extents */
	bool dead;	       /* deleted: every operation answers -ENOENT */
	int wb_error;	       /* write-back failed: every fsync fails until the
				  data is safe */
	uint64_t wb_failed_ns; /* when it did last */
	/* row.data for fills: a write may fill, under the lock. It changes
	 * before the cache is told to forget what the old one held. */
	atomic_uint_least64_t data;
	/* From here on all is a hole, though rows may say otherwise: a large
	 * cut is under way (truncate.c). UINT64_MAX: none is. For fills, too.
	 */
	atomic_uint_least64_t cut_from;
	/* gaps.c: what may still be on its way below the size */
	struct ranges gaps;
	atomic_bool has_gaps;
	atomic_uint_least64_t gaps_ns; /* since when */
	bool gaps_left;	  /* they will never be filled */
	bool loose;	  /* there is a QUEUE_LOOSE job */
	/* order of entering write-back results, see writeback.c */
	uint64_t wb_issued, wb_done; /* under the write-back lock */
};

/*
 * The node of an inode, loaded from the index if need be, with a reference.
 * -ENOENT: no such inode.
 */
int node_get(struct volume *v, uint64_t ino, struct node **out) MUST_USE;
/*
 * [op] The node of an inode that the operation is making, from its row, with a
 * reference: in the table before anybody can find the number, so that N1 holds
 * from the start. NULL: no memory, it is left to node_get.
 */
struct node *node_adopt(struct volume *v, const struct inode_row *row,
			uint64_t seq);
/* After the operation: kept, or not. NULL is allowed. */
void node_adopted(struct node *n, bool kept);
/* Only if it is in memory already; NULL otherwise. */
struct node *node_peek(struct volume *v, uint64_t ino);
struct node *node_ref(struct node *n);
/* [nodes_lock] The same for one in the table. */
struct node *node_ref_locked(struct node *n);
void node_put(struct node *n);
static inline void node_auto_put_(struct node **n)
{
	if (*n)
		node_put(*n);
}
#define AUTO_NODE __attribute__((cleanup(node_auto_put_)))

/* Locks several nodes (NULLs and repetitions allowed) in the right order. */
void nodes_lock(struct node **n, unsigned count);
void nodes_unlock(struct node **n, unsigned count);

/*
 * [lock, op] Writes the row to the index as it will be: `row` becomes
 * n->row's new value once the operation is kept: call node_changed after
 * index_end succeeded.
 */
int node_store(struct node *n, const struct inode_row *row) MUST_USE;
/* [lock] After a kept operation that stored `row`. */
void node_changed(struct node *n, const struct inode_row *row, uint64_t seq);

/*
 * [lock] Visible bytes, those on their way included: for st_blocks. Dirty bytes
 * count beside those they will take the place of, but never beyond the size.
 */
int node_bytes(struct node *n, uint64_t *out) MUST_USE;

/* [lock] Its times (or in-memory size) changed only in memory. */
void node_touch(struct node *n);
/* [lock] Nothing is dirty any more if the cache says so: drops its own ref
 * soon (the caller still holds one). */
void node_settle(struct node *n);

/*
 * [lock, op] The inode lost its last name: deletes it now if nobody has it
 * open, else notes it as an orphan. The cache is dropped by
 * node_bury after the operation was kept.
 */
int node_unname(struct node *n) MUST_USE;
/* [lock] After a kept operation in which node_unname deleted it. */
void node_bury(struct node *n);
/* Deletes an orphan if nobody needs it any more: after the last close, or one
 * that could not be deleted then. */
void node_reap(struct volume *v, uint64_t ino);

/* Attributes as stat shows them; data_bytes: what st_blocks counts. */
void attr_of_row(const struct inode_row *row, uint64_t data_bytes,
		 struct attr *out);

#endif
