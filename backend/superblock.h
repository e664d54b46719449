/* SPDX-License-Identifier: Apache-2.0 */
/*
 * superblock.h - the root of trust in each member folder.
 *
 * Two slots, the files mendfs.super.0 and .1, written alternately: a torn one
 * counts as absent. In the clear: identity, features and key slots. Sealed
 * under the master key: geometry, membership, epochs and the manifest
 * pointer. A MAC under the master key covers the whole. The byte layout is in
 * super_format.h.
 */
#ifndef MENDFS_BACKEND_SUPERBLOCK_H
#define MENDFS_BACKEND_SUPERBLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "backend/aead.h"
#include "backend/ids.h"
#include "backend/keyring.h"
#include "backend/segment.h"

#define POOL_MEMBERS_MAX 32
#define SB_LABEL_MAX	 63
#define SB_PATH_MAX	 1023
#define SB_EPOCHS	 32
#define SB_MAX_BYTES	 (128u << 10) /* of one slot, checked before reading */
/* Epochs and generations end here: who counts on never comes round to 0. */
#define SB_NUMBER_MAX ((uint64_t)INT64_MAX)

struct geometry {
	uint8_t k, m;
	uint32_t chunk_bytes;	/* power of two, 16 KiB..4 MiB */
	uint32_t segment_bytes; /* payload, 1 MiB..32 MiB, multiple of chunk */
	enum cipher cipher;
	int16_t level; /* compress.h */
};

struct epoch {
	uint64_t number; /* 0 = none */
	uint8_t id[16];
	uint8_t parent[16]; /* zero for the first */
};

/* Where the newest manifest is (meta/checkpoint). */
struct manifest_ref {
	bool present;
	uint64_t seq;		 /* the record it is the state after (C10) */
	uint8_t epoch_id[16];	 /* only records of this epoch are replayed */
	struct seg_desc segment; /* index segment holding it ... */
	struct chunk_ref chunk;	 /* ... as this chunk */
};

/*
 * A member that was away for more than SB_EPOCHS mounts shows an epoch that
 * has left the list. So the list is helped by what each member was last given:
 * the newest epoch its own superblock was seen to hold, and the one that was
 * being written to it since. It shows one of the two when it comes back,
 * unless it was written to by somebody else.
 */
struct sb_member {
	struct backend_id id;
	uint8_t epoch_had[16];	    /* zero: none */
	uint8_t epoch_sent[16];	    /* zero: none */
	char path[SB_PATH_MAX + 1]; /* a hint */
};

/* Decoded; the same on every member but for the generation in flight. */
struct superblock {
	struct pool_id pool;
	uint64_t generation; /* grows with every publication */
	uint8_t slots[KEY_SLOTS * KEY_SLOT_BYTES];
	struct geometry geo;
	char label[SB_LABEL_MAX + 1];
	int64_t created_ns;
	unsigned n;
	struct sb_member member[POOL_MEMBERS_MAX];
	unsigned epochs; /* newest last */
	struct epoch epoch[SB_EPOCHS];
	struct manifest_ref manifest;
	uint64_t incompat, ro_compat;
};

/* What can be read without a passphrase. */
struct sb_clear {
	struct pool_id pool;
	struct backend_id self;
	unsigned slot; /* member slot of this folder */
	uint64_t generation;
	uint64_t incompat, ro_compat;
	uint8_t slots[KEY_SLOTS * KEY_SLOT_BYTES];
};

/*
 * Encodes for member `self`; the result, appended to the empty `out`, is one
 * slot file's content. Each call draws a nonce. -EINVAL: sb breaks a rule that
 * superblock_decode checks; -ENOMEM, -EIO.
 */
int superblock_encode(const struct superblock *sb, unsigned self,
		      const struct keyring *keys, struct bytes *out) MUST_USE;
/*
 * The clear part; nothing of it is proven. -ERR_FORMAT (no magic),
 * -ERR_TRUNCATED, -ERR_CORRUPT (its checksum fails: torn), -ERR_FEATURE
 * (incompatible features or a newer version).
 */
int superblock_peek(const void *data, size_t len,
		    struct sb_clear *out) MUST_USE;
/*
 * The whole, authenticated. Also -ERR_AUTH, and -ERR_RANGE when an authentic
 * one breaks a rule. *out is undefined after a failure.
 */
int superblock_decode(const void *data, size_t len, const struct keyring *keys,
		      struct superblock *out, unsigned *self_out) MUST_USE;

/* Features that make it readable but not writable by this code. */
bool superblock_must_not_write(const struct superblock *sb);

/* The newest epoch, or NULL: the pool was never mounted. */
const struct epoch *superblock_epoch(const struct superblock *sb);

/* Adds as the newest; the oldest of SB_EPOCHS goes. */
void superblock_add_epoch(struct superblock *sb, const struct epoch *e);

/*
 * Is a an ancestor of b, or the same: do b's epochs, or what b knows of its
 * members, hold a's newest? One without epochs is an ancestor of all.
 */
bool superblock_descends(const struct superblock *b,
			 const struct superblock *a);

/* SHA-256 of all that it says: equal for the same superblock on any member. */
int superblock_digest(const struct superblock *sb, uint8_t out[32]) MUST_USE;

#endif
