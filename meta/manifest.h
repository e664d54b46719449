/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest.h - the table of contents of a checkpoint: which index segment
 * holds which region of the index file, and what older checkpoints are kept.
 *
 * A manifest is one sealed chunk in an index segment of its own; the
 * superblock points to it (struct manifest_ref). It is the only record of the
 * index segments: they never appear in the index. Layout: manifest_format.h.
 */
#ifndef MENDFS_META_MANIFEST_H
#define MENDFS_META_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "backend/pool.h"
#include "backend/store.h"

#define MANIFEST_KEPT 5 /* newest before, hour, day, week, one spare */
#define REGION_HASH   16

/* Where one region is. segment: index into manifest.segment[]. */
struct region_entry {
	uint32_t segment;
	uint8_t hash[REGION_HASH]; /* of the plain region, SHA-256 cut */
	struct chunk_ref ref;	   /* owner: see manifest_format.h */
};

struct manifest_segment {
	struct seg_desc desc;
	uint32_t live; /* stored bytes of regions that point here */
};

/* An older checkpoint kept for when the newest cannot be read. */
struct manifest_kept {
	int64_t created_ns;
	struct manifest_ref ref;
};

struct manifest {
	uint64_t seq;	      /* the state after this record (C10) */
	uint8_t epoch_id[16]; /* records of this epoch follow */
	uint64_t bytes_from;  /* first record whose carried segment bytes are
				 still needed; seq + 1 if none (C3) */
	int64_t created_ns;
	uint32_t regions;
	struct region_entry *region; /* owned */
	uint32_t segments;
	struct manifest_segment *segment; /* owned */
	unsigned kept;
	struct manifest_kept keep[MANIFEST_KEPT]; /* newest first */
};

void manifest_release(struct manifest *m);
/* SHA-256 of INDEX_REGION bytes, cut. 0 or sha256's errors. */
int manifest_hash_region(const void *plain, uint8_t out[REGION_HASH]) MUST_USE;
/*
 * Appends to out. -EINVAL: m breaks a rule that manifest_decode checks;
 * -ENOMEM.
 */
int manifest_encode(const struct manifest *m, struct bytes *out) MUST_USE;
/*
 * Every number checked; -ERR_TRUNCATED/-ERR_RANGE/-ERR_FORMAT, -ERR_FEATURE (a
 * newer version), -ENOMEM. *out is zeroed after a failure.
 */
int manifest_decode(const void *data, size_t len,
		    struct manifest *out) MUST_USE;

/*
 * Reads the manifest a superblock points to. hash_out (may be NULL): SHA-256
 * of its bytes, the identity used by the local clean mark. store_read_chunk's
 * and manifest_decode's errors; -ERR_CORRUPT: not the one ref is about.
 */
int manifest_load(struct store *s, const struct manifest_ref *ref,
		  struct manifest *out, uint8_t hash_out[32]) MUST_USE;

/* Regions that manifest_read_regions takes at a time. */
#define MANIFEST_RUN 16
/* Do regions r and r + 1 lie back to back? */
bool manifest_adjoins(const struct manifest *m, uint32_t region);
/*
 * Reads n (1..MANIFEST_RUN) regions from `first` on, each of which adjoins the
 * next, INDEX_REGION bytes each, and compares their hashes. -EINVAL: not such
 * regions; -ERR_CORRUPT: another content than the manifest says; else
 * store_read_run's errors.
 */
int manifest_read_regions(struct store *s, const struct manifest *m,
			  uint32_t first, unsigned n, void *out) MUST_USE;
/* The same for one. */
int manifest_read_region(struct store *s, const struct manifest *m,
			 uint32_t region, void *out) MUST_USE;

#endif
