/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fragment.h - the k+m files that a segment becomes (seg_format.h): their
 * shape, making them, and judging what came back.
 *
 * Pure functions over memory; no I/O, no locks, any thread. A segment's shape
 * follows from its desc (seg_desc_decode or fragment_header_parse checked it):
 * i is a fragment index below d->k + d->m everywhere.
 */
#ifndef MENDFS_BACKEND_FRAGMENT_H
#define MENDFS_BACKEND_FRAGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "backend/segment.h"

static inline unsigned fragment_count(const struct seg_desc *d)
{
	return (unsigned)d->k + d->m;
}
/* Where data range i begins in the payload; i < d->k. */
static inline uint32_t fragment_start(const struct seg_desc *d, unsigned i)
{
	return i ? d->bound[i - 1] : 0;
}
/* Bytes of the longest range. */
uint32_t fragment_longest(const struct seg_desc *d);
/* Bytes of data in fragment i. */
uint32_t fragment_data_len(const struct seg_desc *d, unsigned i);
/* The same, padded as in the file. */
uint32_t fragment_padded_len(const struct seg_desc *d, unsigned i);
/* Bytes of the checksum table as in the file, and where it begins. */
uint32_t fragment_table_len(const struct seg_desc *d, unsigned i);
uint32_t fragment_table_off(const struct seg_desc *d, unsigned i);
/* Bytes of the whole file. */
uint32_t fragment_file_len(const struct seg_desc *d, unsigned i);
/* The data range that holds [pos, pos+len), or -ERR_RANGE. */
int fragment_find(const struct seg_desc *d, uint32_t pos, uint32_t len);

/* One tag for each fragment of a stripe. */
struct frag_tags {
	uint8_t tag[EC_TOTAL_MAX][AEAD_TAG];
};

/*
 * Makes the whole files of all k+m fragments of a payload into out[k+m], each
 * with one reference for the caller. d: everything but home is used. 0,
 * -ENOMEM, -EIO; on failure out[] is all NULL.
 */
int fragment_build(const struct seg_context *cx, const struct seg_desc *d,
		   const uint8_t *payload, struct buf **out) MUST_USE;

/*
 * A file of fragment i whose data is still to be filled in by the caller, at
 * ->data + FRAG_HEADER; or NULL. Then fragment_finish makes it whole: padding,
 * table, header. 0, -ENOMEM, -EIO.
 */
struct buf *fragment_new(const struct seg_desc *d, unsigned i);
int fragment_finish(const struct seg_context *cx, const struct seg_desc *d,
		    unsigned i, const struct frag_tags *tags,
		    struct buf *file) MUST_USE;

/*
 * Reads a header of len bytes: whose fragment is it? *d_out has everything but
 * home. Checked in this order: -ERR_TRUNCATED (len < FRAG_HEADER),
 * -ERR_FORMAT (no magic), -ERR_FEATURE (version), -ERR_CORRUPT (its checksum:
 * rot), -ERR_AUTH (forged, or of another pool), -ERR_RANGE. tags_out may be
 * NULL.
 */
int fragment_header_parse(const struct seg_context *cx, const void *header,
			  size_t len, struct seg_desc *d_out, unsigned *i_out,
			  struct frag_tags *tags_out) MUST_USE;
/*
 * Is it the header of fragment i of d's stripe? As above; -ERR_AUTH also when
 * it is authentic but of something else (swapped or renamed files).
 */
int fragment_header_check(const struct seg_context *cx,
			  const struct seg_desc *d, unsigned i,
			  const void *header,
			  struct frag_tags *tags_out) MUST_USE;

/* Does block b of the padded data fit the table (fragment_table_len bytes)? */
bool fragment_block_good(const struct seg_desc *d, unsigned i,
			 const uint8_t *table, uint32_t b,
			 const uint8_t *block);
/* Bytes of block b; 0 beyond the last. */
uint32_t fragment_block_len(const struct seg_desc *d, unsigned i, uint32_t b);

/* Is `data` (fragment_data_len bytes) what tag i says? 0, -ERR_AUTH, ... */
int fragment_tag_check(const struct seg_context *cx, const struct seg_desc *d,
		       unsigned i, const struct frag_tags *tags,
		       const uint8_t *data) MUST_USE;

/*
 * Judges a whole file as read (len bytes): length, header, all checksums, all
 * padding, and its tag. 0 or the error that says what is wrong.
 */
int fragment_file_check(const struct seg_context *cx, const struct seg_desc *d,
			unsigned i, const uint8_t *file, size_t len) MUST_USE;

#endif
