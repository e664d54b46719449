/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/base/base_test.h"

#include <string.h>

#include "backend/keyring.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "base/rnd.h"
#include "base/workq.h"

static const uint8_t pool[16] = {1, 2, 3};
static const uint8_t salt_a[KEY_SALT] = {0xa};
static const uint8_t salt_b[KEY_SALT] = {0xb};

static struct keyring *keyring_make(void)
{
	struct keyring *k = NULL;

	assert_int_equal(keyring_new(&k), 0);
	assert_non_null(k);
	return k;
}

struct derived {
	uint8_t b[64];
};

static struct derived derive(const struct keyring *k, const char *purpose,
			     const uint8_t *salt, const char *context)
{
	struct derived d;

	assert_int_equal(keyring_derive(k, purpose, salt, context,
					strlen(context), d.b, sizeof(d.b)),
			 0);
	return d;
}

static bool same(struct derived x, struct derived y)
{
	/* a shared beginning would be as bad as the whole */
	bool whole = memcmp(x.b, y.b, sizeof(x.b)) == 0;

	assert_true(whole || memcmp(x.b, y.b, 8) != 0);
	return whole;
}

/* --- hashes ------------------------------------------------------------- */

static void check_sha(const char *text, const char *hex)
{
	uint8_t got[32];
	uint8_t want[32];

	assert_int_equal(hex_decode(want, 32, hex), 0);
	assert_int_equal(sha256(text, strlen(text), got), 0);
	assert_memory_equal(got, want, 32);
}

/* FIPS 180-2 */
static void sha256_published_values(void **state)
{
	(void)state;
	check_sha("", "e3b0c44298fc1c149afbf4c8996fb924"
		      "27ae41e4649b934ca495991b7852b855");
	check_sha("abc", "ba7816bf8f01cfea414140de5dae2223"
			 "b00361a396177a9cb410ff61f20015ad");
	check_sha("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		  "248d6a61d20638b8e5c026930c3e6039"
		  "a33ce45964ff2167f6ecedd419db06c1");
}

static void mac_equal_is_exact(void **state)
{
	uint8_t a[KEY_MAC] = {0};
	uint8_t b[KEY_MAC] = {0};

	(void)state;
	for (size_t bit = 0; bit < 8 * sizeof(a); bit++) {
		assert_true(mac_equal(a, b, sizeof(a)));
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(mac_equal(a, b, sizeof(a)));
		b[bit / 8] = 0;
	}
	assert_true(mac_equal(a, b, 0));
}

/* --- derived keys ------------------------------------------------------- */

static void derived_keys_differ(void **state)
{
	struct keyring *k = keyring_make();
	struct keyring *other = keyring_make();
	const struct derived d[] = {
		derive(k, "segment", salt_a, "ctx"),
		derive(k, "segment", salt_b, "ctx"),
		derive(k, "segment", NULL, "ctx"),
		derive(k, "journal", salt_a, "ctx"),
		derive(k, "segment", salt_a, "cty"),
		derive(k, "segment", salt_a, ""),
		derive(k, "segmentc", salt_a, "tx"),
		derive(k, "segmentctx", salt_a, ""),
		derive(other, "segment", salt_a, "ctx"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(d); i++)
		for (size_t j = 0; j < ARRAY_LEN(d); j++)
			assert_int_equal(same(d[i], d[j]), i == j);
	assert_true(same(d[0], derive(k, "segment", salt_a, "ctx")));
	keyring_free(k);
	keyring_free(other);
	keyring_free(NULL);
}

static void derive_lengths(void **state)
{
	struct keyring *k = keyring_make();
	struct derived whole = derive(k, "p", salt_a, "c");
	uint8_t context[1024] = {0};

	(void)state;
	for (size_t len = 1; len <= 64; len++) {
		uint8_t out[65];

		memset(out, 0x5a, sizeof(out));
		assert_int_equal(
			keyring_derive(k, "p", salt_a, "c", 1, out, len), 0);
		assert_memory_equal(out, whole.b, len);
		assert_int_equal(out[len], 0x5a);
	}
	assert_int_equal(keyring_derive(k, "p", salt_a, "c", 1, whole.b, 0),
			 -EINVAL);
	assert_int_equal(keyring_derive(k, "p", salt_a, "c", 1, whole.b, 65),
			 -EINVAL);
	assert_int_equal(keyring_derive(k, "p", salt_a, context,
					sizeof(context), whole.b, 64),
			 0);
	keyring_free(k);
}

static void aead_is_of_the_derived_key(void **state)
{
	struct keyring *k = keyring_make();
	struct derived d;
	uint8_t nonce[AEAD_NONCE] = {0};
	uint8_t tag[2][AEAD_TAG];
	struct aead *a[2];

	(void)state;
	assert_int_equal(keyring_derive(k, "p", salt_a, "c", 1, d.b, AEAD_KEY),
			 0);
	for (int c = CIPHER_AES_256_GCM; c <= CIPHER_CHACHA20_POLY1305; c++) {
		assert_int_equal(keyring_aead(k, (enum cipher)c, "p", salt_a,
					      "c", 1, &a[0]),
				 0);
		assert_int_equal(aead_new((enum cipher)c, d.b, &a[1]), 0);
		for (int i = 0; i < 2; i++) {
			assert_int_equal(aead_tag(a[i], nonce, "x", 1, tag[i]),
					 0);
			aead_free(a[i]);
		}
		assert_memory_equal(tag[0], tag[1], AEAD_TAG);
	}
	assert_int_equal(keyring_aead(k, (enum cipher)9, "p", salt_a, "c", 1,
				      &a[0]),
			 -EINVAL);
	keyring_free(k);
}

static void mac_depends_on_all(void **state)
{
	struct keyring *k = keyring_make();
	struct keyring *other = keyring_make();
	uint8_t m[5][KEY_MAC];

	(void)state;
	assert_int_equal(keyring_mac(k, "p", "data", 4, m[0]), 0);
	assert_int_equal(keyring_mac(k, "q", "data", 4, m[1]), 0);
	assert_int_equal(keyring_mac(k, "p", "datA", 4, m[2]), 0);
	assert_int_equal(keyring_mac(other, "p", "data", 4, m[3]), 0);
	assert_int_equal(keyring_mac(k, "p", NULL, 0, m[4]), 0);
	for (size_t i = 0; i < 5; i++)
		for (size_t j = 0; j < 5; j++)
			assert_int_equal(mac_equal(m[i], m[j], KEY_MAC),
					 i == j);
	assert_int_equal(keyring_mac(k, "p", "data", 4, m[1]), 0);
	assert_memory_equal(m[0], m[1], KEY_MAC);
	keyring_free(k);
	keyring_free(other);
}

/* --- no memory, threads ------------------------------------------------- */

/* Every allocation on the way fails once. */
static void no_memory(void **state)
{
	const struct kdf_cost cheap = {1, 8, 1};
	uint8_t slots[KEY_SLOTS * KEY_SLOT_BYTES] = {0};
	uint8_t untouched[KEY_SLOT_BYTES] = {0};
	struct keyring *k = NULL;
	unsigned n, slot;
	int rc;

	(void)state;
	mem_fail_at(1, 0);
	assert_int_equal(keyring_new(&k), -ENOMEM);
	mem_fail_at(0, 0);
	assert_null(k);
	k = keyring_make();

	kdf_override(&cheap);
	for (n = 1, rc = -ENOMEM; rc; n++) {
		mem_fail_at(n, 0);
		rc = keyring_wrap(k, pool, "pass", 4, slots);
		mem_fail_at(0, 0);
		if (rc) {
			assert_int_equal(rc, -ENOMEM);
			assert_memory_equal(slots, untouched, KEY_SLOT_BYTES);
		}
	}
	assert_true(n > 3);
	kdf_override(NULL);

	struct keyring *back = NULL;
	for (n = 1, rc = -ENOMEM; rc; n++) {
		mem_fail_at(n, 0);
		rc = keyring_unlock(slots, pool, "pass", 4, &back, &slot);
		mem_fail_at(0, 0);
		if (rc) {
			assert_int_equal(rc, -ENOMEM);
			assert_null(back);
		}
	}
	assert_true(n > 4);
	assert_true(
		same(derive(k, "p", NULL, ""), derive(back, "p", NULL, "")));
	keyring_free(k);
	keyring_free(back);
}

struct job {
	const struct keyring *k;
	struct derived want;
	bool ok;
};

static void thread_job(void *arg)
{
	struct job *j = arg;

	j->ok = true;
	for (unsigned i = 0; i < 200; i++) {
		struct derived d;
		uint8_t mac[KEY_MAC];

		j->ok &= keyring_derive(j->k, "p", salt_a, "c", 1, d.b,
					sizeof(d.b)) == 0 &&
			 same(d, j->want) &&
			 keyring_mac(j->k, "q", "x", 1, mac) == 0;
	}
}

static void threads(void **state)
{
	struct keyring *k = keyring_make();
	struct job jobs[8];
	struct workq *q;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
		jobs[i] = (struct job){k, derive(k, "p", salt_a, "c"), false};
	assert_int_equal(workq_new("keyring", 4, &q), 0);
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
		assert_int_equal(workq_submit(q, thread_job, &jobs[i]), 0);
	workq_free(q);
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
		assert_true(jobs[i].ok);
	keyring_free(k);
}

/* --- what a passphrase costs -------------------------------------------- */

static void check_cost(const struct kdf_cost *c)
{
	assert_in_range(c->time, 3, KDF_TIME_MAX);
	assert_in_range(c->mem_kib, 8 * c->lanes, 256 * 1024);
	assert_in_range(c->lanes, 1, 4);
}

static void calibrated_cost(void **state)
{
	struct kdf_cost c;

	(void)state;
	uint64_t start = clock_mono_ns();
	kdf_calibrate(700, &c);
	uint64_t ns = clock_mono_ns() - start;
	printf("calibrated in %llu ms: %u passes, %u KiB, %u lanes\n",
	       (unsigned long long)ns / 1000000, c.time, c.mem_kib, c.lanes);
	check_cost(&c);
	/* 0.3 s on a machine of its own; here others work too */
	assert_true(ns < 5000000000u);
}

/* A clock that goes on by `step` each time it is looked at. */
struct steps {
	uint64_t now, step;
};

static uint64_t steps_mono(void *arg)
{
	struct steps *s = arg;

	return s->now += s->step;
}

static int64_t steps_real(void *arg)
{
	(void)arg;
	return 0;
}

static struct kdf_cost calibrate_with(uint64_t step, uint32_t target_ms)
{
	struct steps s = {0, step};
	struct clock_source source = {steps_mono, steps_real, &s};
	struct kdf_cost c;

	clock_replace(&source);
	kdf_calibrate(target_ms, &c);
	clock_replace(NULL);
	check_cost(&c);
	return c;
}

static void calibration_scales(void **state)
{
	(void)state;
	/* 25 ms for 4 MiB, with one pass or three: by the bound on what is
	 * believed 1.5625 ms per MiB and 1.5625 ms per MiB and pass */
	struct kdf_cost c = calibrate_with(25000000, 700);
	assert_in_range(c.mem_kib, 111 * 1024, 113 * 1024);
	assert_int_equal(c.time, 3);
	/* more time than the most memory takes with three passes */
	c = calibrate_with(25000000, 4000);
	assert_int_equal(c.mem_kib, 256 * 1024);
	assert_in_range(c.time, 8, 9);
	c = calibrate_with(25000000, 4000000);
	assert_int_equal(c.time, KDF_TIME_MAX);
	/* a slow machine, no time at all, a clock that stands: the floor */
	for (unsigned i = 0; i < 3; i++) {
		c = i == 0   ? calibrate_with(1000000000, 700)
		    : i == 1 ? calibrate_with(25000000, 0)
			     : calibrate_with(0, 700);
		assert_int_equal(c.mem_kib, 64 * 1024);
		assert_int_equal(c.time, 3);
	}
}

static void calibration_without_memory(void **state)
{
	struct kdf_cost c;

	(void)state;
	mem_fail_at(1, 1);
	kdf_calibrate(700, &c);
	mem_fail_at(0, 0);
	check_cost(&c);
	assert_int_equal(c.time, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads), /* first: HKDF's cache */
		cmocka_unit_test(sha256_published_values),
		cmocka_unit_test(mac_equal_is_exact),
		cmocka_unit_test(derived_keys_differ),
		cmocka_unit_test(derive_lengths),
		cmocka_unit_test(aead_is_of_the_derived_key),
		cmocka_unit_test(mac_depends_on_all),
		cmocka_unit_test(no_memory),
		cmocka_unit_test(calibrated_cost),
		cmocka_unit_test(calibration_scales),
		cmocka_unit_test(calibration_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
