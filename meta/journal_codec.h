/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_codec.h - names, headers and records of journal files as bytes.
 *
 * Pure functions over memory; the layout is journal_format.h. Not for callers
 * of journal.h.
 */
#ifndef MENDFS_META_JOURNAL_CODEC_H
#define MENDFS_META_JOURNAL_CODEC_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "backend/aead.h"
#include "backend/keyring.h"
#include "backend/pool.h"
#include "meta/journal_format.h"

#define JOURNAL_FOLDER "journal"
#define JOURNAL_NAME   64 /* a name with its zero byte fits */

/* What a name says. */
struct journal_name {
	uint64_t epoch;
	uint64_t file;
	uint32_t attempt; /* 0: no suffix */
};
void journal_codec_name(const struct journal_name *n, char out[JOURNAL_NAME]);
/* -EINVAL: not such a name. */
int journal_codec_parse(const char *name, struct journal_name *out) MUST_USE;

/* A file header, decoded. */
struct journal_head {
	uint64_t epoch;
	uint8_t epoch_id[16];
	uint64_t file;
	uint64_t size;
	uint64_t first_seq;
	uint8_t chain[JOURNAL_CHAIN];
	uint8_t salt[KEY_SALT];
};
/* Fills one block. 0 or keyring_mac's errors. */
int journal_codec_put_head(const struct pool *p, const struct journal_head *h,
			   uint8_t block[JOURNAL_BLOCK]) MUST_USE;
/*
 * Checks and decodes. -ERR_FORMAT: no header; -ERR_FEATURE: of a later
 * version; -ERR_FOREIGN: of another pool; -ERR_AUTH; -ERR_TRUNCATED: len is
 * below its size; -ERR_RANGE: impossible numbers.
 */
int journal_codec_get_head(const struct pool *p, const void *block, size_t len,
			   struct journal_head *out) MUST_USE;
/* The context that seals the records of files with this salt. */
int journal_codec_key(const struct pool *p, const uint8_t salt[KEY_SALT],
		      struct aead **out) MUST_USE;

/* A record's header, decoded, and its tag. */
struct journal_record {
	uint64_t epoch;
	uint64_t file;
	uint64_t seq;
	uint64_t acked;
	uint8_t chain[JOURNAL_CHAIN];
	uint8_t tag[AEAD_TAG];
	uint32_t len; /* of the payload */
};
/* Bytes of a file that a record with this payload takes. */
uint64_t journal_codec_room(size_t len);
/*
 * The whole record as it goes to position pos of its file, in a new buffer of
 * r->len payload bytes' room (journal_codec_room); sets r->tag. `into` comes
 * from the caller so that its absence is known before a nonce is used.
 */
int journal_codec_seal(struct aead *a, uint64_t pos, struct journal_record *r,
		       const void *payload, struct buf *into) MUST_USE;
/*
 * Decodes a record header (sizeof(struct journal_record_header) bytes at
 * block). -ENOENT: all zero, nothing was written here; -ERR_FORMAT: something
 * else; -ERR_RANGE: a payload longer than JOURNAL_RECORD_MAX.
 */
int journal_codec_peek(const uint8_t *block,
		       struct journal_record *out) MUST_USE;
/*
 * Opens the record whose journal_codec_room(r->len) bytes are at `bytes` (r
 * from journal_codec_peek of them) into plain[r->len]; sets r->tag. -ERR_AUTH.
 */
int journal_codec_open(struct aead *a, uint64_t pos, struct journal_record *r,
		       const uint8_t *bytes, void *plain) MUST_USE;

#endif
