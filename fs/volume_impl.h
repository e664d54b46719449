/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volume_impl.h - struct volume and what the files of fs/ share (private).
 */
#ifndef MENDFS_FS_VOLUME_IMPL_H
#define MENDFS_FS_VOLUME_IMPL_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "base/htab.h"
#include "base/limit.h"
#include "base/sync.h"
#include "base/workq.h"
#include "fs/node.h"
#include "fs/volume.h"
#include "meta/commit.h"
#include "meta/index.h"
#include "meta/jseg.h"
#include "meta/local.h"

/* More extent rows than this are worked off in several operations: about 3 ms
 * each, as others wait for the index meanwhile. */
#define ROWS_PER_OP LIMIT(256, 4)

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
	atomic_bool shut; /* never to false: shutdown.c */
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
	struct mutex wb_lock; /* collecting, turns, and what follows */
	struct cond wb_turned;
	TAILQ_HEAD(, unsealed) wb_unsealed;
	uint64_t
		wb_failing_ns; /* nothing but failures since; 0: it goes well */
	int wb_failing;	       /* the last one */
	atomic_uint wb_rounds;

	/* service.c: flusher, commits, checkpoints, the queue of large jobs */
	struct ticker *flusher;
	struct ticker *keeper;
	struct mutex ckpt_lock;
	uint64_t last_flush_ns;	 /* flusher only */
	uint64_t last_commit_ns; /* keeper only */
	uint64_t last_probe_ns;	 /* keeper only */
	atomic_bool flush_wanted;
	atomic_bool cuts; /* there may be QUEUE_TRIM_DATA jobs; set in an
			     operation, cleared with the index locked */

	/* space.c */
	struct mutex reclaim_lock; /* one writer makes room; before ckpt_lock */
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
/*
 * The last error when write-back has failed for some seconds, whatever was
 * tried, and what failed is still dirty; else 0. For who would wait for it.
 */
int writeback_failing(struct volume *v);
/* Seals streamed segments that could not be sealed when they were entered. */
int writeback_seal_late(struct volume *v) MUST_USE;

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

/*
 * One operation of a job (its kind and a): 1: the job is done, 0: more of it is
 * left. No lock is held: it may wait for records, or fail as they do.
 */
int service_job_step(struct volume *v, const struct queue_row *job) MUST_USE;

/* ---- space.c ---- */
/* Reserves room for len bytes about to be accepted; -ENOSPC. */
int space_take(struct volume *v, uint64_t len) MUST_USE;
void space_get(struct volume *v, struct pool_space *out);
/* Is so little left that writers should be told by write(2) itself? */
bool space_nearly_full(struct volume *v);

/* ---- node.c ---- */
int node_table_init(struct volume *v) MUST_USE;
void node_table_release(struct volume *v);
/* Writes the attributes of every node that is dirty in memory only. */
int node_flush_attrs(struct volume *v) MUST_USE;
/* The same for one. */
int node_flush_attr(struct node *n) MUST_USE;

/* -ERR_SHUT_DOWN after volume_shutdown, else 0. */
int volume_alive(struct volume *v) MUST_USE;
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
