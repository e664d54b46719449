/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keyslot_format.h - a key slot as it lies on the disk: 256 bytes,
 * little-endian, part of the superblock. Read and written by keyring.c only.
 *
 * A slot of zeros is empty. The checksum stands at the same place in every
 * version, so that a damaged slot and one of a newer version can be told
 * apart.
 *
 * Argon2id (RFC 9106, version 0x13; no secret, no associated data) makes 64
 * bytes of the passphrase, the salt and the cost: 32 bytes wrapping key W, 32
 * bytes commitment key C.
 *
 *   wrapped    = AES-256-GCM(W, nonce, aad = pool || bytes 0..71, master key),
 *                the tag behind it
 *   commitment = HMAC-SHA256(C, "mendfs key slot" || pool || bytes 0..119)
 *   checksum   = SHA-256(bytes 0..223)
 *
 * pool is the pool's 16-byte id. zero1..zero3 are written as zeros and not
 * read; zero3 is covered by the superblock's MAC only. All numbers are in byte
 * arrays: no padding, no alignment.
 */
#ifndef MENDFS_BACKEND_KEYSLOT_FORMAT_H
#define MENDFS_BACKEND_KEYSLOT_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define KEYSLOT_MAGIC	     "MKSL" /* 4 bytes, no zero behind them */
#define KEYSLOT_VERSION	     1
#define KEYSLOT_KDF_ARGON2ID 1
#define KEYSLOT_WRAP_AES_GCM 1
#define KEYSLOT_COMMIT_LABEL "mendfs key slot" /* 15 bytes */

struct keyslot_disk {
	uint8_t magic[4];
	uint8_t version[2];
	uint8_t kdf;
	uint8_t wrap;
	uint8_t time[4];    /* passes */
	uint8_t mem_kib[4]; /* memory */
	uint8_t lanes[4];
	uint8_t zero1[4];
	uint8_t salt[32];
	uint8_t nonce[12];
	uint8_t zero2[4];
	uint8_t wrapped[48]; /* master key 32, tag 16 */
	uint8_t commitment[32];
	uint8_t zero3[72];
	uint8_t checksum[32];
};

#define KEYSLOT_AAD_BYTES    offsetof(struct keyslot_disk, wrapped)
#define KEYSLOT_COMMIT_BYTES offsetof(struct keyslot_disk, commitment)
#define KEYSLOT_SUMMED_BYTES offsetof(struct keyslot_disk, checksum)

_Static_assert(offsetof(struct keyslot_disk, version) == 4, "layout");
_Static_assert(offsetof(struct keyslot_disk, kdf) == 6, "layout");
_Static_assert(offsetof(struct keyslot_disk, wrap) == 7, "layout");
_Static_assert(offsetof(struct keyslot_disk, time) == 8, "layout");
_Static_assert(offsetof(struct keyslot_disk, mem_kib) == 12, "layout");
_Static_assert(offsetof(struct keyslot_disk, lanes) == 16, "layout");
_Static_assert(offsetof(struct keyslot_disk, salt) == 24, "layout");
_Static_assert(offsetof(struct keyslot_disk, nonce) == 56, "layout");
_Static_assert(offsetof(struct keyslot_disk, wrapped) == 72, "layout");
_Static_assert(offsetof(struct keyslot_disk, commitment) == 120, "layout");
_Static_assert(offsetof(struct keyslot_disk, checksum) == 224, "layout");
_Static_assert(sizeof(struct keyslot_disk) == 256, "layout");

#endif
