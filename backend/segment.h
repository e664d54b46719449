/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment.h - building, describing and decoding segments.
 *
 * A segment is a write-once container of sealed chunks (seg_format.h). While
 * it is built its payload lies in memory at a fixed address; when finished the
 * store (store.h) turns it into a stripe of fragments. A struct seg_desc says
 * all that is needed to read it and is what index and manifest keep.
 */
#ifndef MENDFS_BACKEND_SEGMENT_H
#define MENDFS_BACKEND_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "backend/erasure.h"
#include "backend/ids.h"
#include "backend/keyring.h"
#include "backend/seg_format.h"

#define SEG_DESC_MAX 256 /* encoded bytes at most */
#define SEG_DESC_MIN 63	 /* and at least */

/* Everything needed to read a segment. Plain value. */
struct seg_desc {
	struct seg_id id;
	struct stripe_id stripe; /* 0 while only journaled: then k = m = 0 */
	enum seg_kind kind;
	uint8_t k, m;
	uint32_t key_epoch;
	uint32_t payload_len;
	uint32_t table_pos;
	uint8_t salt[KEY_SALT];
	uint32_t bound[EC_DATA_MAX]; /* end of data range i */
	uint8_t home[EC_TOTAL_MAX];  /* member slot of fragment i */
};

/* Appends to out; 0 or -ENOMEM. At most SEG_DESC_MAX bytes. */
int seg_desc_encode(const struct seg_desc *d, struct bytes *out) MUST_USE;
/*
 * Checks every number: sizes and bounds fit together, homes are below
 * EC_TOTAL_MAX. -ERR_RANGE/-ERR_TRUNCATED. Consumes from r.
 */
int seg_desc_decode(struct reader *r, struct seg_desc *out) MUST_USE;

/* Where one sealed chunk lies in a payload, and how to open it. */
struct chunk_ref {
	uint32_t pos;	     /* first byte */
	uint32_t stored_len; /* with tag */
	uint32_t plain_len;  /* 1..4 MiB */
	enum codec codec;
};

/* What a pool's segments have in common. */
struct seg_context {
	struct pool_id pool;
	struct keyring *keys; /* borrowed */
	enum cipher cipher;
	uint32_t key_epoch;
	bool verify; /* what was sealed is opened again and compared */
};

/* ---- building ---- */

struct seg_build;

/*
 * An empty open segment of at most `cap` payload bytes (tags and table come
 * on top, so that cap / chunk size incompressible chunks fit), with this id
 * and salt (salt NULL: a fresh random one). It takes cap/256 + 1024 chunks at
 * most. Memory is only touched as it fills. 0, -ENOMEM, -EIO, -EINVAL (cap 0
 * or above SEG_PAYLOAD_MAX/2).
 */
int seg_build_new(const struct seg_context *cx, enum seg_kind kind,
		  struct seg_id id, uint32_t cap, const uint8_t *salt,
		  struct seg_build **out) MUST_USE;
void seg_build_free(struct seg_build *b);

/*
 * Compresses (level as compress.h) and seals len bytes (1..min(cap,
 * SEG_CHUNK_MAX), else -EINVAL and nothing changed) as the next chunk.
 * -ENOSPC: does not fit, nothing changed. Any other failure ends the segment:
 * later adds answer -EIO; its position may have been sealed (C9), so it stays
 * behind as a gap. What was added before can still be read and finished. With
 * cx.verify: -ERR_CORRUPT if what was sealed is not what was given (a fault of
 * this machine's memory), or -ENOMEM, both such failures.
 * One adder at a time (the caller locks); seg_build_read may run beside it for
 * chunks that were added before.
 */
int seg_build_add(struct seg_build *b, uint64_t data_id, uint64_t offset,
		  const void *plain, uint32_t len, int level,
		  struct chunk_ref *out) MUST_USE;
/*
 * Test seam: in the n-th chunk added from now on a bit flips between
 * compression and sealing, as bad memory does it; n = 0: off. Process-wide.
 */
void seg_flip_at(uint64_t n);

/*
 * Recovery: puts sealed bytes that a journal record carried back to their
 * position, in ascending order; gaps become zeros. A segment so restored takes
 * no adds (C9). -ERR_RANGE: not ascending, or beyond what a segment of this
 * cap can hold; -EINVAL: it has adds or is finished.
 */
int seg_build_restore(struct seg_build *b, uint32_t pos, const void *sealed,
		      uint32_t len) MUST_USE;
/*
 * Recovery: what lies at a restored position, for the table; in any order,
 * the same position may come again. -ERR_RANGE: not inside what was restored,
 * or impossible lengths; -ENOSPC: too many; -EINVAL: nothing was restored, or
 * finished; -ENOMEM.
 */
int seg_build_note(struct seg_build *b, uint64_t data_id, uint64_t offset,
		   const struct chunk_ref *ref) MUST_USE;

/*
 * Seals the table behind the chunks; no adds afterwards. Idempotent; may be
 * tried again after a failure. 0, -ENOMEM, -EIO, -ERR_RANGE (noted chunks
 * overlap).
 */
int seg_build_finish(struct seg_build *b) MUST_USE;

uint32_t seg_build_len(const struct seg_build *b);   /* payload so far */
uint32_t seg_build_count(const struct seg_build *b); /* chunks so far */
/* Chunk number i (< seg_build_count): its owner and place. May run beside an
 * adder. */
void seg_build_entry(const struct seg_build *b, uint32_t i, uint64_t *data_id,
		     uint64_t *offset, struct chunk_ref *ref);
const uint8_t *seg_build_salt(const struct seg_build *b);
struct seg_id seg_build_id(const struct seg_build *b);
/* Payload bytes [pos, pos+len), valid until seg_build_free. */
const uint8_t *seg_build_at(const struct seg_build *b, uint32_t pos,
			    uint32_t len);
/* Opens one chunk straight from the open segment's memory. */
int seg_build_read(struct seg_build *b, uint64_t data_id, uint64_t offset,
		   const struct chunk_ref *ref, void *plain) MUST_USE;

/*
 * Splits a finished payload into k ranges (1..EC_DATA_MAX) at chunk borders:
 * the longest is as short as can be, the others as even as that allows, the
 * table is in the last. bound_out[i] = end of range i.
 */
void seg_build_split(const struct seg_build *b, unsigned k,
		     uint32_t *bound_out);
/* Fills the part of a desc that the build knows (not k, m, stripe, homes). */
void seg_build_describe(const struct seg_build *b, struct seg_desc *out);

/* ---- decoding ---- */

/*
 * Opens a sealed chunk's bytes (ref->stored_len at `sealed`) to plain
 * (ref->plain_len). -ERR_AUTH: not what was sealed; -ERR_CORRUPT. Derives the
 * segment's key (kept in a small cache by salt); thread-safe.
 */
int chunk_open(const struct seg_context *cx, const struct seg_desc *d,
	       uint64_t data_id, uint64_t offset, const struct chunk_ref *ref,
	       const void *sealed, void *plain) MUST_USE;

/* Drops the keys that chunk_open keeps for this keyring; before it is freed. */
void seg_keys_forget(const struct keyring *keys);

/*
 * Opens and lists the table of a payload whose tail [table_pos, payload_len)
 * is at `sealed`: calls each for every chunk, ascending by position; a
 * non-zero answer ends the listing and is returned. For salvage and fsck.
 * -ERR_AUTH, -ERR_CORRUPT (impossible numbers), -ENOMEM.
 */
int seg_table_open(const struct seg_context *cx, const struct seg_desc *d,
		   const void *sealed,
		   int (*each)(void *arg, uint64_t data_id, uint64_t offset,
			       const struct chunk_ref *ref),
		   void *arg) MUST_USE;

#endif
