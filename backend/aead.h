/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aead.h - authenticated encryption with associated data, by OpenSSL.
 *
 * AES-256-GCM (NIST SP 800-38D) or ChaCha20-Poly1305 (RFC 8439); 32-byte
 * keys, 12-byte nonces, 16-byte tags. Nonces are the caller's duty: a (key,
 * nonce) pair must never seal twice (C9). After aead_track_nonces(true) every
 * pair is remembered and a repetition aborts.
 * A context may be used by one thread at a time.
 */
#ifndef MENDFS_BACKEND_AEAD_H
#define MENDFS_BACKEND_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define AEAD_KEY   32
#define AEAD_NONCE 12
#define AEAD_TAG   16

enum cipher {
	CIPHER_AES_256_GCM = 1,
	CIPHER_CHACHA20_POLY1305 = 2
};

/* "aes-256-gcm" / "chacha20-poly1305"; -EINVAL. */
int cipher_parse(const char *name, enum cipher *out);
const char *cipher_name(enum cipher c);

struct aead;
/*
 * Only the expanded key is kept, in OpenSSL's memory; aead_free wipes it. The
 * caller wipes his. 0, -EINVAL (unknown cipher), -ENOMEM, -EIO (this OpenSSL
 * does not have the cipher).
 */
int aead_new(enum cipher c, const uint8_t key[AEAD_KEY], struct aead **out);
/* Wipes. NULL is allowed. */
void aead_free(struct aead *a);

/* Nonce of a position in a write-once stream: u64 little-endian, u32 zero. */
void aead_nonce_position(uint8_t nonce[AEAD_NONCE], uint64_t position);

struct aad {
	const void *data;
	size_t len;
};

/*
 * Seals len bytes of in to out: len bytes of ciphertext, then AEAD_TAG bytes.
 * in == out is allowed. 0 or -ENOMEM/-EIO (OpenSSL failed; out was wiped).
 */
int aead_seal(struct aead *a, const uint8_t nonce[AEAD_NONCE], struct aad aad,
	      const void *in, size_t len, void *out) MUST_USE;
/*
 * Opens len bytes (ciphertext and tag; fewer than AEAD_TAG never open) to out
 * (len - AEAD_TAG bytes; in == out allowed). -ERR_AUTH or -EIO: out holds
 * nothing usable and was wiped.
 */
int aead_open(struct aead *a, const uint8_t nonce[AEAD_NONCE], struct aad aad,
	      const void *in, size_t len, void *out) MUST_USE;

/*
 * A keyed tag over data (no encryption): GMAC under the context's key for
 * AES, Poly1305 otherwise. Same rule for nonces, but the same data may be
 * tagged again under the same pair: a tag is checked by making it anew and
 * mac_equal, or by aead_open of the tag alone with the data as aad.
 */
int aead_tag(struct aead *a, const uint8_t nonce[AEAD_NONCE], const void *data,
	     size_t len, uint8_t tag[AEAD_TAG]) MUST_USE;

/*
 * Test seam: invariant (I), no pair twice. Each call forgets the pairs noted so
 * far (a test that seeds the random source anew makes the same keys again).
 * While on, sealing and tagging allocate (-ENOMEM). Process-wide; slow.
 */
void aead_track_nonces(bool on);

#endif
