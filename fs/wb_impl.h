/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wb_impl.h - what the files of the write-back share. The essay with the
 * invariants (W1 to W5) is in writeback.c.
 *
 *   writeback.c  runs and passes: what is collected when, and by whom
 *   wb_job.c     one job: collecting, encoding, sealing
 *   wb_enter.c   its results enter the index
 */
#ifndef MENDFS_FS_WB_IMPL_H
#define MENDFS_FS_WB_IMPL_H

#include "base/limit.h"
#include "fs/volume_impl.h"

/* Jobs above it are streamed. */
#define JOURNALED_MAX LIMIT(1u << 20, 24u << 10)
/* Failures of different inodes in a row that make it the store's (W5). */
#define FAILS_MAX 16

struct wb_placed {
	struct seg_id segment;
	struct chunk_ref ref; /* stored_len 0: not stored (stale) */
};

/* The pieces of one inode. */
struct wb_group {
	struct node *node; /* with a reference; NULL: the inode is gone */
	uint64_t turn;
	uint64_t data;
	uint64_t bytes;
	unsigned first, n; /* pieces */
};

/* A streaming segment that is to be sealed (W3). */
struct unsealed {
	TAILQ_ENTRY(unsealed) link;
	struct seg_desc desc;
};

/* One writeback_run: counts its jobs. */
struct wb_run {
	struct volume *v;
	unsigned under_way; /* wb_lock */
	int rc;		    /* first error; wb_lock */
};

struct wb_job {
	struct wb_run *run;
	struct volume *v;
	unsigned n, groups;
	unsigned stored; /* groups that are in the index now */
	struct cache_piece *piece;
	struct wb_placed *placed;
	struct wb_group *group;
	/* The groups [from, to) that share a segment. */
	unsigned from, to;
	uint64_t bytes;
	bool streamed;
	bool listed; /* the streaming segment's row is in the index */
	struct seg_desc desc;
	struct unsealed *late; /* for W3, made ahead */
};

/* ---- wb_job.c ---- */

/* NULL: no memory. */
struct wb_job *wb_job_new(struct wb_run *run);
void wb_job_free(struct wb_job *j);
/*
 * 1: a job was collected, 0: nothing is dirty. wb_lock is held. What was
 * collected and cannot be worked on for lack of memory is given back.
 */
int wb_job_collect(struct wb_job *j, uint64_t ino, uint64_t before_ns) MUST_USE;
/* Encodes and enters all of it; the first error. */
int wb_job_work(struct wb_job *j) MUST_USE;
/* Encodes one group into b, or into the journaled segment (NULL). */
int wb_job_encode(struct wb_job *j, struct wb_group *g,
		  struct seg_build *b) MUST_USE;

/* ---- wb_enter.c ---- */

/*
 * rc: how encoding went. Waits for the group's turn, enters it, completes its
 * pieces whatever happens, and remembers a failure in the node until the data
 * is safe. The first error.
 */
int wb_enter_group(struct wb_job *j, struct wb_group *g, int rc) MUST_USE;

#endif
