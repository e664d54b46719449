/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volume_impl.h - struct volume and what the files of fs/ share (private).
 */
#ifndef MENDFS_FS_VOLUME_IMPL_H
#define MENDFS_FS_VOLUME_IMPL_H

#include <stdatomic.h>

#include "base/htab.h"
#include "base/sync.h"
#include "base/workq.h"
#include "fs/node.h"
#include "fs/volume.h"
#include "meta/commit.h"
#include "meta/index.h"
#include "meta/jseg.h"
#include "meta/local.h"

/* More extent rows than this are worked off in several operations. */
#define ROWS_PER_OP 1024

struct volume {
	/* set by opening, constant afterwards */
	struct pool *pool;
	struct store *store;
	struct index *ix;
	struct jseg *js;
	struct journal *journal;
	struct commit *commit;
	struct checkpoint *checkpoint;
	struct cache *cache;
	struct local local;
	struct local_state local_state; /* under ckpt_lock after opening */
	bool read_only;
	enum atime_mode atime;
	uint64_t commit_ns;
	uint32_t chunk_bytes;

	/* inodes in memory: node.c */
	struct mutex nodes_lock;
	struct htab nodes;
	struct node_list idle_nodes; /* without references, last used first */
	unsigned idle_count;
	uint64_t nodes_left[64]; /* nodes that left the table, by ino % 64 */

	struct mutex rename_lock; /* before all node locks */

	/* writeback.c */
	struct workq *encoders;
	struct mutex wb_lock; /* collecting, turns */
	struct cond wb_turned;

	/* service.c: flusher, commits, checkpoints, the queue of large jobs */
	struct ticker *flusher;
	struct ticker *keeper;
	struct mutex ckpt_lock;
	uint64_t last_commit_ns; /* keeper only */
	uint64_t last_probe_ns;	 /* keeper only */
	atomic_bool flush_wanted;

	/* space.c */
	struct mutex space_lock;
	uint64_t space_checked_ns;
	uint64_t space_free;	/* user bytes, when checked */
	uint64_t space_taken;	/* accepted since */
	uint64_t space_written; /* the store's payload bytes, when checked */
};

/* ---- fill.c: from index and segments to the cache ---- */
int64_t fill_chunk(void *volume, uint64_t ino, uint64_t chunk, void *buf);

/* ---- writeback.c: from the cache to segments and index ---- */
int writeback_init(struct volume *v) MUST_USE;
void writeback_release(struct volume *v);
/*
 * Writes what is dirty in ino (or CACHE_ANY) and became dirty at or before
 * before_ns: it is in the open record or an earlier one when 0 is returned,
 * not yet durable. Errors stay with the nodes too (wb_error).
 */
int writeback_run(struct volume *v, uint64_t ino, uint64_t before_ns) MUST_USE;

/* ---- service.c ---- */
int service_start(struct volume *v) MUST_USE;
void service_stop(struct volume *v);
/* Cache callback: write-back would be good now. */
void service_want_writeback(void *volume);
/* Works off the queue of large jobs until it is empty. */
int service_run_queue(struct volume *v) MUST_USE;
/*
 * At 90 % of the journal's space whoever would add to it makes a checkpoint
 * first. Before an operation, with no lock held.
 */
void service_make_room(struct volume *v);
int service_checkpoint(struct volume *v, uint8_t hash_out[32],
		       uint64_t *seq_out) MUST_USE;

/* ---- space.c ---- */
/* Reserves room for len bytes about to be accepted; -ENOSPC. */
int space_take(struct volume *v, uint64_t len) MUST_USE;
void space_get(struct volume *v, struct pool_space *out);

/* ---- node.c ---- */
int node_table_init(struct volume *v) MUST_USE;
void node_table_release(struct volume *v);
/* Writes the attributes of every node that is dirty in memory only. */
int node_flush_attrs(struct volume *v) MUST_USE;
/* The same for one. */
int node_flush_attr(struct node *n) MUST_USE;
/* Numbers of those with dirty data or attributes; the caller frees. While
 * closing only. */
int node_list_dirty(struct volume *v, uint64_t **out, size_t *n_out) MUST_USE;

/* -EROFS or the sticky error, if changes are not allowed; else 0. */
int volume_writable(struct volume *v) MUST_USE;

/* Releases an inode's data id within an operation: now, or queued. [op] */
int data_drop(struct volume *v, uint64_t data) MUST_USE;

/* ---- volume.c ---- */
/* One that has nothing open yet; volume_crash lets go of it. */
int volume_new(const struct volume_options *o, struct volume **out) MUST_USE;
int volume_make_cache(struct volume *v,
		      const struct volume_options *o) MUST_USE;

/* ---- recovery.c ---- */
int recovery_open(struct volume *v, const struct volume_options *o,
		  struct diag *diag) MUST_USE;
/*
 * The steps of a read-only opening, going on where what is damaged allows it.
 * 0: the pool is open, *out tells how far it came; o as inspect.c makes it.
 */
struct inspect;
int recovery_inspect(struct volume *v, const struct volume_options *o,
		     struct diag *diag, struct inspect *out) MUST_USE;

#endif
