/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keyring.h - the master key, its key slots, and the keys derived from it.
 *
 * The master key is random. Each of KEY_SLOTS slots wraps it under a key made
 * from a passphrase by Argon2id (RFC 9106), sealed with AES-256-GCM, plus a
 * commitment value, as AES-GCM alone is not key-committing. All other keys
 * come from the master key by HKDF-SHA256 (RFC 5869) with a random salt.
 * Keys live in locked, undumpable memory and are wiped.
 *
 * A keyring may be used by several threads at a time.
 */
#ifndef MENDFS_BACKEND_KEYRING_H
#define MENDFS_BACKEND_KEYRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "backend/aead.h"

#define KEY_SLOTS      8
#define KEY_SLOT_BYTES 256 /* on disk, little-endian */
#define KEY_SALT       32
#define KEY_MAC	       32 /* HMAC-SHA256 */

/* Bounds that are checked before Argon2id runs with stored parameters. */
#define KDF_TIME_MAX	64u
#define KDF_MEM_KIB_MIN 8u
#define KDF_MEM_KIB_MAX (4u * 1024 * 1024)
#define KDF_LANES_MAX	16u

struct kdf_cost {
	uint32_t time;	  /* passes, 1.. */
	uint32_t mem_kib; /* memory in KiB */
	uint32_t lanes;
};

/*
 * A cost that takes about target_ms on this machine (memory at most 256 MiB
 * and a quarter of RAM; lanes at most 4 and the processors), but never less
 * than 3 passes over 64 MiB, or over that quarter. Measures for up to 0.3 s.
 * Slots are made with a target of 700.
 */
void kdf_calibrate(uint32_t target_ms, struct kdf_cost *out);
/* Test seam: every slot made from now on uses this cost; NULL: calibrated. */
void kdf_override(const struct kdf_cost *cost);

struct keyring;

/* A fresh random master key. 0 or -ENOMEM. */
int keyring_new(struct keyring **out);
void keyring_free(struct keyring *k);

/*
 * Wraps the master key under the passphrase (len >= 1, else -EINVAL) into
 * slot[KEY_SLOT_BYTES]. pool: 16 bytes bound in as associated data. Takes as
 * long as the cost says, plus the calibration. 0, -EINVAL, -ENOMEM, -EAGAIN (no
 * threads), -ERR_KDF_LIMIT (kdf_override out of bounds), -EIO; slot is written
 * only on success. The layout is in keyslot_format.h.
 */
int keyring_wrap(const struct keyring *k, const uint8_t pool[16],
		 const char *pass, size_t len,
		 uint8_t slot[KEY_SLOT_BYTES]) MUST_USE;

/*
 * Tries the slots (KEY_SLOTS * KEY_SLOT_BYTES) in order. On success *slot_out
 * is the one that opened. -ERR_PASSPHRASE: none opens. -ERR_KEYSLOT: none
 * opens and at least one is damaged (its checksum fails). -ERR_KDF_LIMIT: as
 * before, parameters out of bounds (or more memory than this machine has).
 * -ERR_FEATURE: as before, a slot of a newer version. -ENOMEM, -EAGAIN, -EIO:
 * the system failed on a slot that may well have opened. Several of these: the
 * system first, then in the order damaged, bounds, version. An all-zero slot
 * is empty. Takes one Argon2id run for each slot tried.
 */
int keyring_unlock(const uint8_t *slots, const uint8_t pool[16],
		   const char *pass, size_t len, struct keyring **out,
		   unsigned *slot_out) MUST_USE;

/* Is the slot in use (not all zero)? */
bool keyslot_used(const uint8_t slot[KEY_SLOT_BYTES]);

/*
 * HKDF-SHA256(master, salt, "mendfs " || purpose || 0 || context) -> out_len
 * bytes (1..64, else -EINVAL). The zero byte keeps ("a", "bc") and ("ab", "c")
 * apart. salt NULL = none. context: at most 1024 bytes. 0 or -EIO.
 */
int keyring_derive(const struct keyring *k, const char *purpose,
		   const uint8_t salt[KEY_SALT], const void *context,
		   size_t context_len, uint8_t *out, size_t out_len) MUST_USE;

/* derive + aead_new in one step. */
int keyring_aead(const struct keyring *k, enum cipher c, const char *purpose,
		 const uint8_t salt[KEY_SALT], const void *context,
		 size_t context_len, struct aead **out) MUST_USE;

/* HMAC-SHA256 under the key derived for `purpose`. */
int keyring_mac(const struct keyring *k, const char *purpose, const void *data,
		size_t len, uint8_t mac[KEY_MAC]) MUST_USE;
/* Constant-time comparison; true = equal. */
bool mac_equal(const void *a, const void *b, size_t len);

/* SHA-256 without a key, for fingerprints. */
int sha256(const void *data, size_t len, uint8_t out[32]) MUST_USE;

#endif
