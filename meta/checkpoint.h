/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint.h - the index into the pool, incrementally.
 *
 * One run: rotate and seal the journaled segment; cut a record S and freeze
 * the index in the same lock hold (C10); write changed regions into index
 * segments, with the live rest of index segments that fell under half live;
 * write the manifest; publish superblocks; then, when all reachable members
 * have them: release journal files (C3), remove index segments no kept
 * manifest needs, and remove data segments that were dead at S (C5).
 *
 * A failed run leaves the previous checkpoint in force and loses nothing; what
 * it wrote is removed as far as possible.
 *
 * Threads: checkpoint_run calls are serialised inside; no lock that a FUSE
 * thread takes is held while it waits for backends.
 */
#ifndef MENDFS_META_CHECKPOINT_H
#define MENDFS_META_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "meta/commit.h"
#include "meta/manifest.h"

struct checkpoint;

struct checkpoint_options {
	struct pool *pool; /* all borrowed */
	struct store *store;
	struct index *ix;
	struct jseg *js;
	struct commit *commit;
	struct journal *journal;	 /* may be NULL (recovery, mkfs) */
	const struct manifest *manifest; /* in force, copied; NULL: none yet */
};
int checkpoint_new(const struct checkpoint_options *o,
		   struct checkpoint **out) MUST_USE;
void checkpoint_free(struct checkpoint *ck);
void checkpoint_set_journal(struct checkpoint *ck, struct journal *journal);

/*
 * Makes a checkpoint. 0: durable and in force. hash_out (may be NULL): SHA-256
 * of the new manifest; seq_out (may be NULL): its record.
 */
int checkpoint_run(struct checkpoint *ck, uint8_t hash_out[32],
		   uint64_t *seq_out) MUST_USE;

/*
 * Is one due? The journal holds more than max(64 MiB, index/4) or half of its
 * space, or room is short and dead segments wait for their removal.
 */
bool checkpoint_due(struct checkpoint *ck);
/*
 * Would one give room back? There are dead segments, more than the last one
 * could not remove, or it is some time ago that it could not (a member that has
 * fragments of them was away); and none has just failed.
 */
bool checkpoint_frees(struct checkpoint *ck);

/* Raw bytes the pool should keep free for checkpoint, journal and heal. */
uint64_t checkpoint_reserve(struct checkpoint *ck);

struct checkpoint_stats {
	uint64_t runs, failed;
	uint64_t seq;	    /* of the one in force */
	int64_t created_ns; /* of the one in force */
	bool everywhere;    /* all reachable members name it (C3) */
	uint64_t regions_written, regions_total;
	uint64_t segments;	   /* index segments in force */
	uint64_t segments_removed; /* data segments deleted when dead */
};
void checkpoint_get_stats(struct checkpoint *ck, struct checkpoint_stats *out);

/*
 * Recovery: brings the local file at o->path to the manifest's state. `clean`:
 * its clean mark matches this manifest, nothing is done. Else every region is
 * hashed against the manifest and differing ones are fetched; a missing or
 * unreadable file is made anew. Durable when 0. fetched_out: regions read from
 * the pool.
 */
int checkpoint_restore_index(struct store *s, const struct manifest *m,
			     const struct index_options *o, bool clean,
			     uint32_t *fetched_out) MUST_USE;

#endif
