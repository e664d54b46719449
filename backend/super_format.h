/* SPDX-License-Identifier: Apache-2.0 */
/*
 * super_format.h - the bytes of a superblock slot and of an epoch claim (disk
 * version 1).
 *
 * A slot file, mendfs.super.0 or .1:
 *
 *     header    struct super_header, in the clear
 *     body      body_len bytes: ciphertext || 16-byte tag
 *     zeros     up to a multiple of SB_ALIGN less the trailer
 *     trailer   struct super_trailer
 *
 * The first 16 bytes of the header and the CRC at the very end keep their
 * meaning in every version, so that a torn slot is told from one that a newer
 * mendfs wrote. The body is sealed with AES-256-GCM whatever the pool's
 * cipher: key HKDF(master, "superblock"), a fresh random nonce each time (far
 * fewer than 2^32 of them in a pool's life), associated data: the header. The
 * MAC is HMAC-SHA256 under "superblock mac" over all that comes before it.
 *
 * The body, without padding:
 *
 *     k u8, m u8, cipher u8, zero u8
 *     chunk_bytes u32, segment_bytes u32, level i32
 *     created i64 (ns since 1970)
 *     n u8, epochs u8, manifest u8 (0 or 1), label_len u8
 *     label
 *     n times:       id[16], epoch_had[16], epoch_sent[16],
 *                    path_len u16, path
 *     epochs times:  number u64, id[16], parent[16]         (newest last)
 *     if manifest:   seq u64, epoch_id[16],
 *                    pos u32, stored_len u32, plain_len u32, codec u8,
 *                    the segment as seg_desc_encode writes it
 *
 * An epoch claim, the file epoch.<number in decimal>, is struct super_claim;
 * its MAC is under "epoch claim".
 *
 * All integers little-endian.
 */
#ifndef MENDFS_BACKEND_SUPER_FORMAT_H
#define MENDFS_BACKEND_SUPER_FORMAT_H

#include <stdint.h>

#define SB_MAGIC   0x31505553444e454dULL /* "MENDSUP1" */
#define SB_VERSION 1
#define SB_ALIGN   4096

/* Features this code knows; any other bit: see superblock.h. */
#define SB_INCOMPAT_KNOWN  0ULL
#define SB_RO_COMPAT_KNOWN 0ULL

struct super_header {
	uint64_t magic;
	uint32_t version;
	uint32_t total_len; /* of the slot file, a multiple of SB_ALIGN */
	uint64_t incompat;
	uint64_t ro_compat;
	uint8_t pool[16];
	uint8_t self[16]; /* backend id of the folder it lies in */
	uint64_t generation;
	uint32_t body_len; /* sealed, with its tag */
	uint8_t member;	   /* member slot of the folder it lies in */
	uint8_t zero[3];
	uint8_t nonce[12];
	uint8_t zero_too[4];
	uint8_t key_slots[8 * 256];
} __attribute__((packed));
_Static_assert(sizeof(struct super_header) == 2144, "super_header is on disk");

struct super_trailer {
	uint8_t mac[32];
	uint32_t crc; /* CRC32C of all before */
} __attribute__((packed));
_Static_assert(sizeof(struct super_trailer) == 36, "super_trailer is on disk");

#define CLAIM_MAGIC   0x314d4c43444e454dULL /* "MENDCLM1" */
#define CLAIM_VERSION 1

struct super_claim {
	uint64_t magic;
	uint32_t version;
	uint32_t zero;
	uint8_t pool[16];
	uint64_t number;
	uint8_t id[16];
	uint8_t parent[16];
	uint8_t mac[32]; /* of all before */
} __attribute__((packed));
_Static_assert(sizeof(struct super_claim) == 104, "super_claim is on disk");

#endif
