/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jseg.h - journaled segments: open segments whose bytes travel in journal
 * records until their stripe is durable.
 *
 * What an fsync needs is sealed into the current one (jseg_add), whose row in
 * the index is OPEN; the next record carries all bytes sealed so far
 * (jseg_carry). A full or rotated segment is sealed in the background: finish,
 * stripe, segment_seal operation. Its memory and its journal records are kept
 * until the record of that operation is durable (C4).
 *
 * Threads: any. Lock order: add lock -> index lock -> list lock.
 */
#ifndef MENDFS_META_JSEG_H
#define MENDFS_META_JSEG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/limit.h"
#include "backend/segment.h"
#include "backend/store.h"
#include "meta/index.h"

struct jseg;

struct jseg_options {
	struct index *ix; /* borrowed, as all */
	struct store *store;
	struct pool *pool;
	uint32_t cap; /* payload bytes of one segment */
};
int jseg_new(const struct jseg_options *o, struct jseg **out) MUST_USE;
/* Waits for background sealing; what is still open is dropped (its bytes are
 * in the journal). NULL is allowed. */
void jseg_free(struct jseg *js);

/* No chunk is added while this much waits for a record: it is striped first. */
#define JSEG_PENDING_MAX LIMIT(4u << 20, 64u << 10)

/*
 * Compresses and seals one chunk into the current segment (a new one when it
 * is full). Not inside an operation. The bytes are in the record that is open
 * when it returns, or an earlier one: enter the extent in an operation begun
 * afterwards. May wait for segments to be striped: when there are too many, or
 * JSEG_PENDING_MAX is reached; fails as that does.
 */
int jseg_add(struct jseg *js, uint64_t data_id, uint64_t offset,
	     const void *plain, uint32_t len, struct seg_id *segment_out,
	     struct chunk_ref *ref_out) MUST_USE;

/* Bytes sealed but not yet carried by a record: a record is limited. */
size_t jseg_pending(struct jseg *js);

/* Sealed bytes that have no stripe yet, carried by a record or not. */
uint64_t jseg_unstriped(struct jseg *js);

/*
 * What record seq has to carry; call in the lock hold of its index_cut.
 * jseg_carry_encode then appends it to the record payload, with no lock held:
 *     varint number of segments, each
 *         u64 segment id, varint number of chunks, each
 *             varint data id, varint offset, u32 position,
 *             u32 stored length << 1 | codec, u32 plain length
 *         the sealed bytes of these chunks, back to back
 */
struct jseg_carry;
int jseg_carry_begin(struct jseg *js, uint64_t seq,
		     struct jseg_carry **out) MUST_USE;
int jseg_carry_encode(const struct jseg_carry *c, struct bytes *out) MUST_USE;
/* !ok: the bytes still need carrying by a later record. NULL is allowed. */
void jseg_carry_end(struct jseg_carry *c, bool ok);

/*
 * Opens a chunk of a segment that is still in memory. -ENOENT: it is not (any
 * more): read the segment's row again.
 */
int jseg_read(struct jseg *js, struct seg_id id, uint64_t data_id,
	      uint64_t offset, const struct chunk_ref *ref,
	      void *plain) MUST_USE;

/* Ends the current segment and queues its sealing; wait: for all sealing to
 * end. 0, or the first error of a sealing that has not been made good. */
int jseg_rotate(struct jseg *js, bool wait) MUST_USE;

/*
 * First record that carried bytes of a segment not forgotten yet;
 * UINT64_MAX: none. Records from there on must stay (C3).
 */
uint64_t jseg_needed_from(struct jseg *js);
/* Forgets (and frees) segments whose seal record is among those up to
 * `durable`. */
void jseg_forget(struct jseg *js, uint64_t durable);

/*
 * Recovery: takes what a record carried (the encoding above). The segment's
 * row must be in the index by then (OPEN; SEALED ones are skipped).
 * -ERR_TRUNCATED/-ERR_RANGE/-ERR_REPLAY for an ill-formed part.
 */
int jseg_restore(struct jseg *js, struct reader *r) MUST_USE;
/*
 * Recovery, after all records: stripes every restored segment and enters it
 * (C9: none is appended to), unless a later record said that it has a stripe.
 * Rows still OPEN without bytes, but with extents, are damage:
 * -ERR_UNAVAILABLE. Waits.
 */
int jseg_seal_restored(struct jseg *js) MUST_USE;

#endif
