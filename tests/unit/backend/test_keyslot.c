/* SPDX-License-Identifier: Apache-2.0 */
/* Key slots: wrapping, unlocking, and every way in which a slot is bad. */
#include "unit/base/base_test.h"

#include <string.h>

#include "backend/keyring.h"
#include "backend/keyslot_format.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "base/rnd.h"
#include "base/workq.h"

static const uint8_t pool[16] = {1, 2, 3};
static const struct kdf_cost cheap = {1, 8, 1};

struct slots {
	uint8_t b[KEY_SLOTS][KEY_SLOT_BYTES];
};

static int cheap_slots(void **state)
{
	(void)state;
	kdf_override(&cheap);
	return 0;
}

static struct keyring *keyring_make(void)
{
	struct keyring *k = NULL;

	assert_int_equal(keyring_new(&k), 0);
	return k;
}

static void wrap(const struct keyring *k, const char *pass, uint8_t *slot)
{
	assert_int_equal(keyring_wrap(k, pool, pass, strlen(pass), slot), 0);
}

static int unlock(const struct slots *s, const char *pass)
{
	struct keyring *k = NULL;
	unsigned slot = 99;

	int rc = keyring_unlock(s->b[0], pool, pass, strlen(pass), &k, &slot);
	if (rc) {
		assert_null(k);
		assert_int_equal(slot, 99);
	} else {
		assert_non_null(k);
		assert_in_range(slot, 0, KEY_SLOTS - 1);
	}
	keyring_free(k);
	return rc ? rc : (int)slot;
}

/* The two hold the same master key. */
static void check_same(const struct keyring *a, const struct keyring *b)
{
	uint8_t x[32];
	uint8_t y[32];

	assert_int_equal(keyring_derive(a, "p", NULL, NULL, 0, x, 32), 0);
	assert_int_equal(keyring_derive(b, "p", NULL, NULL, 0, y, 32), 0);
	assert_memory_equal(x, y, 32);
}

/* As somebody who may write to the folder would. */
static void sum_again(uint8_t *slot)
{
	assert_int_equal(sha256(slot, KEYSLOT_SUMMED_BYTES,
				slot + KEYSLOT_SUMMED_BYTES),
			 0);
}

static struct slots one_slot(const char *pass)
{
	struct keyring *k = keyring_make();
	struct slots s = {0};

	wrap(k, pass, s.b[0]);
	keyring_free(k);
	return s;
}

static void put_cost(uint8_t *slot, uint32_t time, uint32_t mem, uint32_t lanes)
{
	put_le32(slot + offsetof(struct keyslot_disk, time), time);
	put_le32(slot + offsetof(struct keyslot_disk, mem_kib), mem);
	put_le32(slot + offsetof(struct keyslot_disk, lanes), lanes);
	sum_again(slot);
}

/* --- good slots --------------------------------------------------------- */

static void round_trip(void **state)
{
	struct keyring *k = keyring_make();
	struct keyring *back = NULL;
	struct slots s = {0};
	unsigned slot;

	(void)state;
	for (unsigned i = 0; i < KEY_SLOTS; i++) {
		memset(&s, 0, sizeof(s));
		wrap(k, "open sesame", s.b[i]);
		assert_int_equal(keyring_unlock(s.b[0], pool, "open sesame", 11,
						&back, &slot),
				 0);
		assert_int_equal(slot, i);
		check_same(k, back);
		keyring_free(back);
		assert_int_equal(unlock(&s, "open Sesame"), -ERR_PASSPHRASE);
		assert_int_equal(unlock(&s, "open sesame "), -ERR_PASSPHRASE);
		assert_int_equal(unlock(&s, "open sesam"), -ERR_PASSPHRASE);
	}
	keyring_free(k);
}

static void several_slots(void **state)
{
	struct keyring *k = keyring_make();
	struct slots s = {0};

	(void)state;
	wrap(k, "one", s.b[1]);
	wrap(k, "two", s.b[3]);
	wrap(k, "three", s.b[7]);
	wrap(k, "two", s.b[4]); /* the first that opens counts */
	assert_int_equal(unlock(&s, "one"), 1);
	assert_int_equal(unlock(&s, "two"), 3);
	assert_int_equal(unlock(&s, "three"), 7);
	assert_int_equal(unlock(&s, "four"), -ERR_PASSPHRASE);
	memset(s.b[3], 0, KEY_SLOT_BYTES);
	assert_int_equal(unlock(&s, "two"), 4);
	keyring_free(k);
}

static void any_bytes_are_a_passphrase(void **state)
{
	struct keyring *k = keyring_make();
	struct keyring *back = NULL;
	struct slots s = {0};
	unsigned slot;
	char *big = mem_alloc(100000);

	(void)state;
	assert_non_null(big);
	memset(big, 0, 100000);
	assert_int_equal(keyring_wrap(k, pool, big, 100000, s.b[0]), 0);
	assert_int_equal(
		keyring_unlock(s.b[0], pool, big, 100000, &back, &slot), 0);
	check_same(k, back);
	keyring_free(back);
	/* zero bytes are bytes */
	for (size_t len = 99990; len < 100000; len++)
		assert_int_equal(keyring_unlock(s.b[0], pool, big, len, &back,
						&slot),
				 -ERR_PASSPHRASE);
	mem_free(big);
	keyring_free(k);
}

static void no_empty_passphrase(void **state)
{
	struct keyring *k = keyring_make();
	struct slots s = {0};
	struct slots zero = {0};

	(void)state;
	assert_int_equal(keyring_wrap(k, pool, "", 0, s.b[0]), -EINVAL);
	assert_memory_equal(&s, &zero, sizeof(s));
	wrap(k, "x", s.b[0]);
	assert_int_equal(unlock(&s, ""), -ERR_PASSPHRASE);
	assert_int_equal(unlock(&zero, "x"), -ERR_PASSPHRASE);
	keyring_free(k);
}

static void used(void **state)
{
	struct slots s = one_slot("x");

	(void)state;
	assert_true(keyslot_used(s.b[0]));
	for (size_t i = 0; i < KEY_SLOT_BYTES; i++) {
		assert_false(keyslot_used(s.b[1]));
		s.b[1][i] = 1;
		assert_true(keyslot_used(s.b[1]));
		s.b[1][i] = 0;
	}
}

/* Nothing of the one slot is in the other, and no secret in either. */
static void slots_are_random(void **state)
{
	struct keyring *k = keyring_make();
	struct slots s = {0};

	(void)state;
	wrap(k, "same", s.b[0]);
	wrap(k, "same", s.b[1]);
	const struct keyslot_disk *a = (const void *)s.b[0];
	const struct keyslot_disk *b = (const void *)s.b[1];
	assert_memory_not_equal(a->salt, b->salt, sizeof(a->salt));
	assert_memory_not_equal(a->nonce, b->nonce, sizeof(a->nonce));
	assert_memory_not_equal(a->wrapped, b->wrapped, 32);
	assert_memory_not_equal(a->commitment, b->commitment, 32);
	keyring_free(k);
}

static void other_pool(void **state)
{
	struct slots s = one_slot("pass");
	struct keyring *k = NULL;
	unsigned slot;

	(void)state;
	for (size_t i = 0; i < sizeof(pool); i++) {
		uint8_t other[sizeof(pool)];

		memcpy(other, pool, sizeof(pool));
		other[i] ^= 0x80;
		assert_int_equal(keyring_unlock(s.b[0], other, "pass", 4, &k,
						&slot),
				 -ERR_PASSPHRASE);
	}
}

/* --- the format --------------------------------------------------------- */

/* Made by other programs (Python's cryptography and hashlib). */
static const char golden_slot[] =
	"4d4b534c01000101020000004000000002000000000000000001020304050607"
	"08090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fa0a1a2a3a4a5a6a7"
	"a8a9aaab00000000e0f487c76948fae63675a5375c9cc1cef7d0db550308c708"
	"39aa38c32401d9912dda5649ae587bc0b820b59605d5e79b1dfa4ea9a7b72418"
	"e8b63dfb9b0772e7e5ce559c057042d552ac4020d2094ede0000000000000000"
	"0000000000000000000000000000000000000000000000000000000000000000"
	"0000000000000000000000000000000000000000000000000000000000000000"
	"38c7529f89ef8cc17f533105189108ff5c6cc2c9bba38e0c8a782244419142f5";
static const char golden_key[] =
	"0b341db2a23ce2d65671bef56401501fb3df62c111b82c963b53f551c7464757";
static const char golden_long_key[] =
	"1132ec827e2fbf7d1d07f00fb0e39d54c005699786e59539f742fd4c7c0309b2"
	"e76e307796235a630acd8a2e176c670adf8c8581f0b626ace22ac7dc0b4d5e25";
static const char golden_mac[] =
	"6d502ae3562cea3d72593c2eed789e34d64f85fdbd19cbdb80f13da38302a66b";

static void check_hex(const uint8_t *got, size_t len, const char *hex)
{
	uint8_t want[64];

	assert_int_equal(hex_decode(want, len, hex), 0);
	assert_memory_equal(got, want, len);
}

static void check_golden(bool inline_threads)
{
	struct slots s = {0};
	struct keyring *k = NULL;
	uint8_t golden_pool[16];
	uint8_t salt[KEY_SALT];
	uint8_t out[64];
	unsigned slot;

	for (uint8_t i = 0; i < 16; i++)
		golden_pool[i] = (uint8_t)(0x10 + i);
	for (uint8_t i = 0; i < KEY_SALT; i++)
		salt[i] = i;
	assert_int_equal(hex_decode(s.b[2], KEY_SLOT_BYTES, golden_slot), 0);
	workq_inline(inline_threads);
	assert_int_equal(keyring_unlock(s.b[0], golden_pool,
					"correct horse\0battery", 21, &k,
					&slot),
			 0);
	workq_inline(false);
	assert_int_equal(slot, 2);
	assert_int_equal(keyring_derive(k, "segment", NULL, NULL, 0, out, 32),
			 0);
	check_hex(out, 32, golden_key);
	assert_int_equal(keyring_derive(k, "segment", salt, "ctx", 3, out, 64),
			 0);
	check_hex(out, 64, golden_long_key);
	assert_int_equal(keyring_mac(k, "super", "header", 6, out), 0);
	check_hex(out, 32, golden_mac);
	keyring_free(k);
}

/*
 * Somebody who knows the passphrase commits to a wrapped key that does not
 * open: the passphrase is right, the slot is not.
 */
static void commitment_to_nonsense(void **state)
{
	static const char commitment[] = "110d80ea4214744eea44b906ed6d488ad8381"
					 "91b8c1d3b641ff91503b6981a11";
	struct slots s = {0};
	struct keyring *k = NULL;
	uint8_t golden_pool[16];
	unsigned slot;

	(void)state;
	for (uint8_t i = 0; i < 16; i++)
		golden_pool[i] = (uint8_t)(0x10 + i);
	assert_int_equal(hex_decode(s.b[0], KEY_SLOT_BYTES, golden_slot), 0);
	s.b[0][offsetof(struct keyslot_disk, wrapped)] ^= 1;
	assert_int_equal(
		hex_decode(s.b[0] + KEYSLOT_COMMIT_BYTES, 32, commitment), 0);
	sum_again(s.b[0]);
	assert_int_equal(keyring_unlock(s.b[0], golden_pool,
					"correct horse\0battery", 21, &k,
					&slot),
			 -ERR_KEYSLOT);
	assert_null(k);
}

/* The number of threads must not change what comes out. */
static void golden(void **state)
{
	(void)state;
	check_golden(false);
	check_golden(true);
}

/* --- bad slots ---------------------------------------------------------- */

static void every_bit_is_summed(void **state)
{
	struct slots s = one_slot("pass");

	(void)state;
	for (size_t bit = 0; bit < 8 * KEY_SLOT_BYTES; bit++) {
		s.b[0][bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(unlock(&s, "pass"), -ERR_KEYSLOT);
		s.b[0][bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(unlock(&s, "pass"), 0);
}

/* An attacker puts the checksum right; the lowest bit of each byte. */
static void every_byte_is_authenticated(void **state)
{
	const struct slots good = one_slot("pass");
	unsigned seen[2] = {0, 0};

	(void)state;
	for (size_t i = 0; i < KEYSLOT_SUMMED_BYTES; i++) {
		struct slots s = good;

		s.b[0][i] ^= 1;
		sum_again(s.b[0]);
		int rc = unlock(&s, "pass");
		if (i >= offsetof(struct keyslot_disk, zero3)) {
			/* room for later, read by nobody */
			assert_int_equal(rc, 0);
		} else if (i < 4) {
			assert_int_equal(rc, -ERR_KEYSLOT);
		} else if (i < 8) {
			assert_int_equal(rc, -ERR_FEATURE);
		} else {
			assert_true(rc == -ERR_PASSPHRASE ||
				    rc == -ERR_KDF_LIMIT);
			seen[rc == -ERR_PASSPHRASE]++;
		}
	}
	/* the cost has 9 bytes whose lowest bit leads out of the bounds */
	assert_int_equal(seen[0], 9);
	assert_int_equal(seen[1], 135);
}

static void check_refused(struct slots *s, uint32_t time, uint32_t mem,
			  uint32_t lanes)
{
	put_cost(s->b[0], time, mem, lanes);
	mem_fail_at(0, 0);
	assert_int_equal(unlock(s, "pass"), -ERR_KDF_LIMIT);
	/* what holds the keys; Argon2's memory would be a second one */
	assert_in_range(mem_count(), 0, 1);
}

/* Refused before a minute or a gigabyte is spent. */
static void costs_out_of_bounds(void **state)
{
	struct slots s = one_slot("pass");

	(void)state;
	check_refused(&s, 0, 8, 1);
	check_refused(&s, KDF_TIME_MAX + 1, 8, 1);
	check_refused(&s, UINT32_MAX, 8, 1);
	check_refused(&s, 1, 0, 1);
	check_refused(&s, 1, 7, 1);
	check_refused(&s, 1, 15, 2);
	check_refused(&s, 1, 127, 16);
	check_refused(&s, 1, KDF_MEM_KIB_MAX + 1, 1);
	check_refused(&s, 1, UINT32_MAX, 1);
	check_refused(&s, 1, 8, 0);
	check_refused(&s, 1, 1024, KDF_LANES_MAX + 1);
	check_refused(&s, 1, 1024, UINT32_MAX);
	check_refused(&s, UINT32_MAX, UINT32_MAX, UINT32_MAX);
	/* the bounds themselves are in, just not what was wrapped with */
	put_cost(s.b[0], KDF_TIME_MAX, 8, 1);
	assert_int_equal(unlock(&s, "pass"), -ERR_PASSPHRASE);
	put_cost(s.b[0], 1, 128, KDF_LANES_MAX);
	assert_int_equal(unlock(&s, "pass"), -ERR_PASSPHRASE);
	put_cost(s.b[0], 1, 8, 1);
	assert_int_equal(unlock(&s, "pass"), 0);
}

static void override_out_of_bounds(void **state)
{
	const struct kdf_cost bad = {KDF_TIME_MAX + 1, 8, 1};
	struct keyring *k = keyring_make();
	struct slots s = {0};
	struct slots zero = {0};

	(void)state;
	kdf_override(&bad);
	assert_int_equal(keyring_wrap(k, pool, "pass", 4, s.b[0]),
			 -ERR_KDF_LIMIT);
	kdf_override(&cheap);
	assert_memory_equal(&s, &zero, sizeof(s));
	keyring_free(k);
}

/* The slot says what it was made with. */
static void cost_is_stored(void **state)
{
	const struct kdf_cost cost = {2, 64, 3};
	struct keyring *k = keyring_make();
	struct slots s = {0};

	(void)state;
	kdf_override(&cost);
	wrap(k, "pass", s.b[0]);
	kdf_override(&cheap);
	const struct keyslot_disk *d = (const void *)s.b[0];
	assert_int_equal(get_le32(d->time), 2);
	assert_int_equal(get_le32(d->mem_kib), 64);
	assert_int_equal(get_le32(d->lanes), 3);
	assert_int_equal(unlock(&s, "pass"), 0);
	keyring_free(k);
}

/* A bad slot neither hides a good one nor what is wrong. */
static void which_error_is_told(void **state)
{
	struct slots s = one_slot("good");
	struct slots bad = one_slot("pass");

	(void)state;
	memcpy(s.b[5], s.b[0], KEY_SLOT_BYTES);
	memcpy(s.b[0], bad.b[0], KEY_SLOT_BYTES);
	s.b[0][100] ^= 1;
	assert_int_equal(unlock(&s, "good"), 5);
	assert_int_equal(unlock(&s, "wrong"), -ERR_KEYSLOT);

	memcpy(s.b[1], bad.b[0], KEY_SLOT_BYTES);
	put_cost(s.b[1], 0, 8, 1);
	memcpy(s.b[2], bad.b[0], KEY_SLOT_BYTES);
	s.b[2][4]++; /* the version */
	sum_again(s.b[2]);
	assert_int_equal(unlock(&s, "good"), 5);
	assert_int_equal(unlock(&s, "wrong"), -ERR_KEYSLOT);
	memset(s.b[0], 0, KEY_SLOT_BYTES);
	assert_int_equal(unlock(&s, "wrong"), -ERR_KDF_LIMIT);
	memcpy(s.b[7], s.b[1], KEY_SLOT_BYTES);
	memset(s.b[1], 0, KEY_SLOT_BYTES);
	assert_int_equal(unlock(&s, "wrong"), -ERR_KDF_LIMIT);
	memset(s.b[7], 0, KEY_SLOT_BYTES);
	assert_int_equal(unlock(&s, "wrong"), -ERR_FEATURE);
	memset(s.b[2], 0, KEY_SLOT_BYTES);
	assert_int_equal(unlock(&s, "wrong"), -ERR_PASSPHRASE);
	assert_int_equal(unlock(&s, "good"), 5);
}

/* No memory on one slot: not "wrong passphrase", but others are tried. */
static void no_memory_on_one_slot(void **state)
{
	struct slots s = one_slot("first");
	struct slots other = one_slot("second");

	(void)state;
	memcpy(s.b[1], other.b[0], KEY_SLOT_BYTES);
	mem_fail_at(1, 0);
	assert_int_equal(unlock(&s, "first"), -ENOMEM);
	mem_fail_at(1, 0);
	assert_int_equal(unlock(&s, "second"), 1);
	s.b[1][100] ^= 1;
	mem_fail_at(1, 0);
	assert_int_equal(unlock(&s, "first"), -ENOMEM);
	mem_fail_at(0, 0);
	assert_int_equal(unlock(&s, "first"), 0);
}

static void garbage(void **state)
{
	(void)state;
	for (unsigned t = 0; t < 500; t++) {
		struct slots s;

		rnd_bytes(&s, sizeof(s));
		assert_int_equal(unlock(&s, "pass"), -ERR_KEYSLOT);
		for (unsigned i = 0; i < KEY_SLOTS; i++) {
			memcpy(s.b[i], KEYSLOT_MAGIC "\1\0\1\1", 8);
			put_cost(s.b[i], 1 + (uint32_t)rnd_below(2),
				 (uint32_t)rnd_below(40),
				 (uint32_t)rnd_below(4));
		}
		int rc = unlock(&s, "pass");
		assert_true(rc == -ERR_PASSPHRASE || rc == -ERR_KDF_LIMIT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(several_slots),
		cmocka_unit_test(any_bytes_are_a_passphrase),
		cmocka_unit_test(no_empty_passphrase),
		cmocka_unit_test(used),
		cmocka_unit_test(slots_are_random),
		cmocka_unit_test(other_pool),
		cmocka_unit_test(golden),
		cmocka_unit_test(commitment_to_nonsense),
		cmocka_unit_test(every_bit_is_summed),
		cmocka_unit_test(every_byte_is_authenticated),
		cmocka_unit_test(costs_out_of_bounds),
		cmocka_unit_test(override_out_of_bounds),
		cmocka_unit_test(cost_is_stored),
		cmocka_unit_test(which_error_is_told),
		cmocka_unit_test(no_memory_on_one_slot),
		cmocka_unit_test(garbage),
	};

	rnd_seed(test_seed());
	return cmocka_run_group_tests(tests, cheap_slots, NULL);
}
