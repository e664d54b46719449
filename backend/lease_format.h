/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease_format.h - the bytes of a lease (disk version 1).
 *
 * The file `lease` of a member has LEASE_SLOTS slots of LEASE_SLOT bytes, each
 * written in place by one request. A slot holds, zeros behind them,
 *
 *     header    struct lease_header, in the clear
 *     body      struct lease_body, sealed: ciphertext || 16-byte tag
 *
 * A lease of epoch number e and counter c lies in slot 2 * (e % 2) + c % 2. So
 * a torn write leaves the one before, and two mounts of which the later one
 * took over from the earlier do not write over each other.
 *
 * The body is sealed with AES-256-GCM whatever the pool's cipher: key
 * HKDF(master, "lease", salt of the mount), the counter as position nonce,
 * associated data: the header. host and boot are the first 16 bytes of
 * HMAC-SHA256 under "lease host" and "lease boot", zeros: not known.
 *
 * All integers little-endian.
 */
#ifndef MENDFS_BACKEND_LEASE_FORMAT_H
#define MENDFS_BACKEND_LEASE_FORMAT_H

#include <stdint.h>

#define LEASE_MAGIC   0x3141454c444e454dULL /* "MENDLEA1" */
#define LEASE_VERSION 1
#define LEASE_SLOT    4096
#define LEASE_SLOTS   4

struct lease_header {
	uint64_t magic;
	uint32_t version;
	uint32_t body_len; /* sealed, with its tag */
	uint8_t pool[16];
	uint8_t salt[32]; /* random, one for each mount */
	uint64_t counter; /* from 1 on, never twice with one salt */
} __attribute__((packed));
_Static_assert(sizeof(struct lease_header) == 72, "lease_header is on disk");

struct lease_body {
	uint64_t epoch;
	uint8_t epoch_id[16];
	uint8_t owner[16]; /* random, one for each mount */
	uint8_t host[16];
	uint8_t boot[16];
	uint64_t pid;
	uint64_t started; /* clock ticks after boot; 0: not known */
	uint8_t state;	  /* enum lease_state */
	uint8_t name_len;
	uint8_t name[64]; /* of the host, zeros behind it */
	uint8_t zero[6];
} __attribute__((packed));
_Static_assert(sizeof(struct lease_body) == 160, "lease_body is on disk");

#endif
