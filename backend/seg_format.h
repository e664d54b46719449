/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seg_format.h - the bytes of segments and fragments (disk version 1).
 *
 * PAYLOAD of a segment: sealed chunks back to back, then the sealed table.
 * Between chunks there may be gaps (zeros): what failed or was rolled back
 * keeps its position, as none is ever sealed twice (C9).
 *
 * A sealed chunk is ciphertext || 16-byte tag; the ciphertext is of the zstd
 * frame (codec 1) or of the plain bytes (codec 0). Key: HKDF(master, segment
 * salt, "segment"). Nonce: the position of its first byte in the payload.
 * Associated data: struct seg_aad.
 *
 * The sealed table, from table_pos to the payload's end, is
 *
 *     salt     SEG_TABLE_SALT random bytes, drawn for each sealing
 *     entries  struct seg_table_entry, one per chunk, ascending by position,
 *              encrypted
 *     tag      16 bytes
 *
 * Key: HKDF(master, segment salt, "segment table", context = the table's
 * salt). Nonce: table_pos. Associated data: struct seg_aad with data id
 * SEG_TABLE_DATA_ID, offset 0, position table_pos, plain_len = bytes of
 * entries, codec 0. It has a key of its own because the same open segment may
 * be recovered several times, each time with another tail: under the
 * segment's key two tables, or a table and a lost chunk, would share a nonce.
 *
 * RANGES. The payload is split into k contiguous ranges at the ends of sealed
 * chunks, none of which straddles two ranges; the table is in the last range.
 * Range i is the data of fragment i; some may be empty. For parity every range
 * is padded (virtually) with zeros to the longest one.
 *
 * A FRAGMENT FILE is
 *
 *     header   FRAG_HEADER bytes: struct frag_header, zeros
 *     data     data_len bytes, zero-padded to a multiple of FRAG_ALIGN;
 *              data_len is the range's length, for parity (index >= k) the
 *              longest range's
 *     table    CRC32C (u32) of each FRAG_CRC_BLOCK of the padded data (the
 *              last may be shorter), zero-padded to a multiple of FRAG_ALIGN
 *
 * so its size follows from the header alone, and everything is aligned for
 * direct I/O. With data_len 0 it is the header only.
 *
 * Its name: data/xx/SSSSSSSSSSSSSSSS-TTTTTTTTTTTTTTTT.N (index/... for index
 * segments): xx the low byte of the segment id, S its id, T the stripe id, all
 * lower-case hex, N the fragment index in decimal.
 *
 * All integers little-endian.
 */
#ifndef MENDFS_BACKEND_SEG_FORMAT_H
#define MENDFS_BACKEND_SEG_FORMAT_H

#include <stdint.h>

#define FRAG_MAGIC     0x31475246444e454dULL /* "MENDFRG1" */
#define FRAG_VERSION   1
#define FRAG_HEADER    4096
#define FRAG_ALIGN     4096
#define FRAG_CRC_BLOCK 65536

#define SEG_PAYLOAD_MAX	  (64u << 20) /* what a reader accepts */
#define SEG_SMALL	  (64u << 10) /* below: k = 1 */
#define SEG_TABLE_DATA_ID 0	      /* "data id" of the table in its AAD */
#define SEG_TABLE_SALT	  16
#define SEG_CHUNK_MAX	  (4u << 20) /* plain bytes of one chunk */

enum codec {
	CODEC_RAW = 0,
	CODEC_ZSTD = 1
};

/* Associated data of every sealed chunk; packed, 56 bytes. */
struct seg_aad {
	uint8_t pool[16];
	uint64_t segment;
	uint64_t data_id; /* owner; index segments: 1 for regions */
	uint64_t offset;  /* of the first plain byte in the data */
	uint32_t position;
	uint32_t plain_len;
	uint32_t key_epoch;
	uint8_t codec;
	uint8_t kind; /* enum seg_kind */
	uint8_t zero[2];
} __attribute__((packed));
_Static_assert(sizeof(struct seg_aad) == 56, "seg_aad is on disk");

/* One entry of the table at the end of a payload; packed, 27 bytes. */
struct seg_table_entry {
	uint64_t data_id;
	uint64_t offset;
	uint32_t position;
	uint32_t stored_len_codec; /* stored length << 1 | codec */
	uint8_t plain_len[3];	   /* plain length - 1, 24 bits */
} __attribute__((packed));
_Static_assert(sizeof(struct seg_table_entry) == 27, "on disk");

/*
 * Fragment header, packed, 740 bytes; the rest of FRAG_HEADER is zero.
 *
 * tag[i] covers the data_len bytes of fragment i (without padding), under
 * HKDF(master, salt, "fragment", context = stripe id as u64), nonce i: each
 * fragment can be verified alone, and a rebuilt one against any header of its
 * stripe.
 * mac: HMAC-SHA256 of all before it, key "fragment header".
 * header_crc: CRC32C of all before it, the mac included; it tells rot from
 * forgery and needs no key.
 */
struct frag_header {
	uint64_t magic;
	uint32_t version;
	uint32_t key_epoch;
	uint8_t pool[16];
	uint64_t segment;
	uint64_t stripe;
	uint8_t kind; /* enum seg_kind */
	uint8_t k;
	uint8_t m;
	uint8_t index; /* of this fragment, 0..k+m-1 */
	uint32_t payload_len;
	uint32_t table_pos; /* of the sealed table; payload_len if none */
	uint32_t data_len;  /* bytes of data in this file */
	uint8_t salt[32];
	uint32_t bound[24]; /* end of range i, i < k; else 0 */
	uint8_t tag[32][16];
	uint8_t mac[32];
	uint32_t header_crc;
} __attribute__((packed));
_Static_assert(sizeof(struct frag_header) == 740, "frag_header is on disk");

#endif
