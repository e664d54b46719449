/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_format.h - the bytes of journal files (disk version 1).
 *
 * A journal file is a header block and records, everything in blocks of
 * JOURNAL_BLOCK bytes:
 *
 *     block 0     struct journal_file_header, rest zero
 *     then        records back to back, each padded with zeros to a block
 *     after them  zeros, or what an earlier life of the file left behind
 *
 * A record is struct journal_record_header in the clear, the sealed payload
 * (as long as the payload), its 16-byte tag, padding. Key: HKDF(master, salt
 * of the file, "journal"). Nonce: the record's first byte's position in the
 * file. Associated data: the record header. All copies of a file number are
 * identical as far as they go.
 *
 * A file may be shorter than its header says; what is not there was not
 * written. A file counts only if its header's MAC is right; name and place
 * say nothing. Name: journal/EEEEEEEEEEEEEEEE-NNNNNNNN, E the epoch's number,
 * N the file's, lower-case hex; on a member that had to make its copies anew
 * in the same epoch followed by a dot and the hex number of the attempt. N is
 * 0 for a spare.
 *
 * Order. Within an epoch, records have seq without gaps and each carries the
 * tag of the one before (`chain`). A file's header names the first seq and
 * the chain value it begins with, so that reading may begin at any file. If a
 * file begins with a seq and chain that also an earlier file could go on with
 * at some position, the append there had failed and the later file counts.
 *
 * All integers little-endian.
 */
#ifndef MENDFS_META_JOURNAL_FORMAT_H
#define MENDFS_META_JOURNAL_FORMAT_H

#include <stdint.h>

#define JOURNAL_MAGIC	     0x314e524a444e454dULL /* "MENDJRN1" */
#define JOURNAL_VERSION	     1
#define JOURNAL_BLOCK	     4096
#define JOURNAL_RECORD_MAGIC 0x4345524au /* "JREC" */
#define JOURNAL_CHAIN	     16

/* What a reader accepts as a file's size. */
#define JOURNAL_SIZE_LIMIT (1ULL << 30)

struct journal_file_header {
	uint64_t magic;
	uint32_t version;
	uint32_t zero;
	uint8_t pool[16];
	uint64_t epoch;
	uint8_t epoch_id[16];
	uint64_t file; /* number, from 1 */
	uint64_t size; /* of the file in bytes, this block included */
	uint64_t first_seq;
	uint8_t chain[JOURNAL_CHAIN]; /* before the first record */
	uint8_t salt[32];	      /* fresh for every life of a file */
	uint8_t mac[32]; /* HMAC-SHA256 of all before, "journal header" */
} __attribute__((packed));
_Static_assert(sizeof(struct journal_file_header) == 160, "on disk");
_Static_assert(sizeof(struct journal_file_header) <= JOURNAL_BLOCK, "fits");

struct journal_record_header {
	uint32_t magic;
	uint32_t len; /* payload bytes */
	uint64_t epoch;
	uint64_t file;
	uint64_t seq;
	uint8_t chain[JOURNAL_CHAIN]; /* tag of record seq - 1 */
	uint64_t acked;		      /* highest seq acknowledged to anyone */
	uint8_t zero[8];
} __attribute__((packed));
_Static_assert(sizeof(struct journal_record_header) == 64, "on disk");

#endif
