/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/base/base_test.h"

#include <string.h>

#include "backend/aead.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "base/rnd.h"
#include "base/workq.h"

static const enum cipher both[] = {CIPHER_AES_256_GCM,
				   CIPHER_CHACHA20_POLY1305};

/* --- published values --------------------------------------------------- */

struct vector {
	enum cipher cipher;
	const char *key, *nonce, *aad, *plain, *sealed; /* hex */
};

#define ZERO12 "000000000000000000000000"
#define ZERO32 "00000000000000000000000000000000"
#define KEY_15                             \
	"feffe9928665731c6d6a8f9467308308" \
	"feffe9928665731c6d6a8f9467308308"
#define PLAIN_16                                                           \
	"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72" \
	"1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define CIPHER_16                                                          \
	"522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa" \
	"8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"

static const struct vector vectors[] = {
	/* The GCM specification's test cases 13 to 16 (McGrew, Viega). */
	{CIPHER_AES_256_GCM, ZERO32 ZERO32, ZERO12, "", "",
	 "530f8afbc74536b9a963b4f1c4cb738b"},
	{CIPHER_AES_256_GCM, ZERO32 ZERO32, ZERO12, "", ZERO32,
	 "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
	{CIPHER_AES_256_GCM, KEY_15, "cafebabefacedbaddecaf888", "",
	 PLAIN_16 "1aafd255",
	 CIPHER_16 "898015adb094dac5d93471bdec1a502270e3cc6c"},
	{CIPHER_AES_256_GCM, KEY_15, "cafebabefacedbaddecaf888",
	 "feedfacedeadbeeffeedfacedeadbeefabaddad2", PLAIN_16,
	 CIPHER_16 "76fc6ece0f4e1768cddf8853bb2d551b"},
	/* NIST CAVS, gcmEncryptExtIV256: no text, 128 bits of data. */
	{CIPHER_AES_256_GCM,
	 "78dc4e0aaf52d935c3c01eea57428f00"
	 "ca1fd475f5da86a49c8dd73d68c8e223",
	 "d79cf22d504cc793c3fb6c8a", "b96baa8c1c75a671bfb2d08d06be5f36", "",
	 "3e5d486aa2e30b22e040b85723a06e76"},
	/* RFC 8439, 2.8.2 */
	{CIPHER_CHACHA20_POLY1305,
	 "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
	 "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
	 "4c616469657320616e642047656e746c656d656e206f662074686520636c6173"
	 "73206f66202739393a204966204920636f756c64206f6666657220796f75206f"
	 "6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73"
	 "637265656e20776f756c642062652069742e",
	 "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
	 "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
	 "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
	 "3ff4def08e4b7a9de576d26586cec64b6116"
	 "1ae10b594f09e26a7e902ecbd0600691"},
};

struct unhexed {
	uint8_t bytes[256];
	size_t len;
};

static struct unhexed unhex(const char *text)
{
	struct unhexed u = {.len = strlen(text) / 2};

	assert_int_equal(hex_decode(u.bytes, u.len, text), 0);
	return u;
}

static struct aead *aead_of(enum cipher c, const uint8_t *key)
{
	struct aead *a = NULL;

	assert_int_equal(aead_new(c, key, &a), 0);
	assert_non_null(a);
	return a;
}

static void check_vector(const struct vector *v)
{
	struct unhexed key = unhex(v->key);
	struct unhexed nonce = unhex(v->nonce);
	struct unhexed bound = unhex(v->aad);
	struct unhexed plain = unhex(v->plain);
	struct unhexed sealed = unhex(v->sealed);
	struct aad aad = {bound.bytes, bound.len};
	uint8_t out[256];

	assert_int_equal(key.len, AEAD_KEY);
	assert_int_equal(nonce.len, AEAD_NONCE);
	assert_int_equal(sealed.len, plain.len + AEAD_TAG);
	struct aead *a = aead_of(v->cipher, key.bytes);
	assert_int_equal(
		aead_seal(a, nonce.bytes, aad, plain.bytes, plain.len, out), 0);
	assert_memory_equal(out, sealed.bytes, sealed.len);
	assert_int_equal(aead_open(a, nonce.bytes, aad, out, sealed.len, out),
			 0);
	assert_memory_equal(out, plain.bytes, plain.len);
	if (plain.len == 0) {
		assert_int_equal(aead_tag(a, nonce.bytes, bound.bytes,
					  bound.len, out),
				 0);
		assert_memory_equal(out, sealed.bytes, AEAD_TAG);
	}
	aead_free(a);
}

static void published_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++)
		check_vector(&vectors[i]);
}

static void names(void **state)
{
	enum cipher c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(both); i++) {
		assert_int_equal(cipher_parse(cipher_name(both[i]), &c), 0);
		assert_int_equal(c, both[i]);
	}
	assert_string_equal(cipher_name(CIPHER_AES_256_GCM), "aes-256-gcm");
	assert_string_equal(cipher_name(CIPHER_CHACHA20_POLY1305),
			    "chacha20-poly1305");
	assert_int_equal(cipher_parse("", &c), -EINVAL);
	assert_int_equal(cipher_parse("aes-256-gc", &c), -EINVAL);
	assert_int_equal(cipher_parse("aes-256-gcmm", &c), -EINVAL);
	assert_int_equal(cipher_parse("AES-256-GCM", &c), -EINVAL);
	assert_non_null(cipher_name((enum cipher)77));
}

static void unknown_cipher(void **state)
{
	uint8_t key[AEAD_KEY] = {0};
	struct aead *a = NULL;

	(void)state;
	assert_int_equal(aead_new((enum cipher)0, key, &a), -EINVAL);
	assert_int_equal(aead_new((enum cipher)3, key, &a), -EINVAL);
	assert_null(a);
	aead_free(NULL);
}

/* --- round trips -------------------------------------------------------- */

static void round_trip(enum cipher c, size_t len, size_t aad_len)
{
	uint8_t key[AEAD_KEY];
	uint8_t nonce[AEAD_NONCE];
	uint8_t *plain = mem_alloc(len);
	uint8_t *bound = mem_alloc(aad_len);
	uint8_t *apart = mem_alloc(len + AEAD_TAG);
	uint8_t *place = mem_alloc(len + AEAD_TAG);
	struct aad aad = {bound, aad_len};

	assert_true(plain && bound && apart && place);
	rnd_bytes(key, sizeof(key));
	rnd_bytes(nonce, sizeof(nonce));
	rnd_bytes(plain, len);
	rnd_bytes(bound, aad_len);
	memcpy(place, plain, len);
	struct aead *a = aead_of(c, key);
	assert_int_equal(aead_seal(a, nonce, aad, plain, len, apart), 0);
	assert_int_equal(aead_seal(a, nonce, aad, place, len, place), 0);
	assert_memory_equal(apart, place, len + AEAD_TAG);
	if (len >= 16)
		assert_memory_not_equal(apart, plain, len);

	/* another context, so nothing but the key and the bytes counts */
	aead_free(a);
	a = aead_of(c, key);
	memset(place, 0, len);
	assert_int_equal(aead_open(a, nonce, aad, apart, len + AEAD_TAG, place),
			 0);
	assert_memory_equal(place, plain, len);
	assert_int_equal(aead_open(a, nonce, aad, apart, len + AEAD_TAG, apart),
			 0);
	assert_memory_equal(apart, plain, len);
	aead_free(a);
	mem_free(plain);
	mem_free(bound);
	mem_free(apart);
	mem_free(place);
}

static void round_trips(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(both); i++) {
		for (size_t len = 0; len <= 300; len++)
			round_trip(both[i], len, len % 67);
		/* around the step in which OpenSSL is fed */
		for (size_t len = (1 << 20) - 2; len <= (1 << 20) + 2; len++)
			round_trip(both[i], len, 1);
		round_trip(both[i], (3 << 20) + 5, (2 << 20) + 9);
	}
}

/* Feeding in steps gives what a sender who feeds otherwise would get. */
static void steps_do_not_show(void **state)
{
	enum {
		LEN = (1 << 20) + 4096
	};
	uint8_t key[AEAD_KEY] = {1};
	uint8_t nonce[AEAD_NONCE] = {2};
	uint8_t *b = mem_zalloc(LEN + AEAD_TAG);

	(void)state;
	assert_non_null(b);
	for (size_t i = 0; i < ARRAY_LEN(both); i++) {
		/* both are stream ciphers: the key stream of a long message
		 * begins with that of a short one */
		uint8_t head[64 + AEAD_TAG] = {0};
		struct aead *a = aead_of(both[i], key);

		memset(b, 0, LEN);
		assert_int_equal(aead_seal(a, nonce, (struct aad){NULL, 0}, b,
					   LEN, b),
				 0);
		assert_int_equal(aead_seal(a, nonce, (struct aad){NULL, 0},
					   head, 64, head),
				 0);
		assert_memory_equal(b, head, 64);
		assert_memory_not_equal(b + (1 << 20), head, 64);
		aead_free(a);
	}
	mem_free(b);
}

/* Sealing, opening, failing and tagging by one context in any order. */
static void context_keeps_no_state(void **state)
{
	uint8_t key[AEAD_KEY] = {9};
	struct aad aad = {"x", 1};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(both); i++) {
		struct aead *old = aead_of(both[i], key);

		for (unsigned t = 0; t < 2000; t++) {
			uint8_t nonce[AEAD_NONCE];
			uint8_t b[2][100 + AEAD_TAG] = {{0}};
			size_t len = rnd_below(100);
			struct aead *fresh = aead_of(both[i], key);

			aead_nonce_position(nonce, t);
			assert_int_equal(
				aead_seal(old, nonce, aad, b[0], len, b[0]), 0);
			assert_int_equal(aead_seal(fresh, nonce, aad, b[1], len,
						   b[1]),
					 0);
			assert_memory_equal(b[0], b[1], sizeof(b[0]));
			if (rnd_below(2)) {
				b[1][len] ^= 1;
				assert_int_equal(aead_open(old, nonce, aad,
							   b[1], len + AEAD_TAG,
							   b[1]),
						 -ERR_AUTH);
			}
			if (rnd_below(2))
				assert_int_equal(aead_tag(old, nonce, b[0], len,
							  b[1]),
						 0);
			assert_int_equal(aead_open(old, nonce, aad, b[0],
						   len + AEAD_TAG, b[0]),
					 0);
			aead_free(fresh);
		}
		aead_free(old);
	}
}

static void nonce_of_position(void **state)
{
	uint8_t nonce[AEAD_NONCE];

	(void)state;
	aead_nonce_position(nonce, 0x0102030405060708u);
	assert_memory_equal(nonce, "\x08\x07\x06\x05\x04\x03\x02\x01\0\0\0\0",
			    AEAD_NONCE);
}

/* --- tampering ---------------------------------------------------------- */

struct sealed {
	uint8_t key[AEAD_KEY];
	uint8_t nonce[AEAD_NONCE];
	uint8_t bound[20];
	uint8_t bytes[40 + AEAD_TAG];
};

static int open_sealed(enum cipher c, const struct sealed *s, size_t len,
		       size_t bound_len)
{
	uint8_t out[sizeof(s->bytes)];
	struct aead *a = aead_of(c, s->key);

	memset(out, 0xaa, sizeof(out));
	int rc = aead_open(a, s->nonce, (struct aad){s->bound, bound_len},
			   s->bytes, len, out);
	if (rc && len > AEAD_TAG) {
		/* no plaintext that was not authenticated */
		for (size_t i = 0; i < len - AEAD_TAG; i++)
			assert_int_equal(out[i], 0);
		assert_int_equal(out[len - AEAD_TAG], 0xaa);
	}
	aead_free(a);
	return rc;
}

static struct sealed sealed_make(enum cipher c)
{
	struct sealed s;

	rnd_bytes(&s, sizeof(s));
	struct aead *a = aead_of(c, s.key);
	assert_int_equal(
		aead_seal(a, s.nonce, (struct aad){s.bound, sizeof(s.bound)},
			  s.bytes, sizeof(s.bytes) - AEAD_TAG, s.bytes),
		0);
	aead_free(a);
	return s;
}

static void every_bit_counts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(both); i++) {
		struct sealed s = sealed_make(both[i]);
		uint8_t *raw = (uint8_t *)&s;

		for (size_t bit = 0; bit < 8 * sizeof(s); bit++) {
			raw[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(open_sealed(both[i], &s,
						     sizeof(s.bytes),
						     sizeof(s.bound)),
					 -ERR_AUTH);
			raw[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		assert_int_equal(open_sealed(both[i], &s, sizeof(s.bytes),
					     sizeof(s.bound)),
				 0);
	}
}

static void every_length_counts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(both); i++) {
		struct sealed s = sealed_make(both[i]);

		for (size_t len = 0; len < sizeof(s.bytes); len++)
			assert_int_equal(open_sealed(both[i], &s, len,
						     sizeof(s.bound)),
					 -ERR_AUTH);
		for (size_t len = 0; len < sizeof(s.bound); len++)
			assert_int_equal(open_sealed(both[i], &s,
						     sizeof(s.bytes), len),
					 -ERR_AUTH);
		assert_int_equal(open_sealed(both[1 - i], &s, sizeof(s.bytes),
					     sizeof(s.bound)),
				 -ERR_AUTH);
	}
}

/* Text and associated data must not flow into each other. */
static void border_counts(void **state)
{
	uint8_t key[AEAD_KEY] = {3};
	uint8_t nonce[AEAD_NONCE] = {0};
	uint8_t b[32 + AEAD_TAG] = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(both); i++) {
		struct aead *a = aead_of(both[i], key);

		assert_int_equal(
			aead_seal(a, nonce, (struct aad){b, 16}, b, 16, b), 0);
		assert_int_equal(aead_open(a, nonce, (struct aad){NULL, 0}, b,
					   32, b),
				 -ERR_AUTH);
		aead_free(a);
	}
}

static void tag_is_checked_by_open(void **state)
{
	uint8_t key[AEAD_KEY] = {4};
	uint8_t nonce[AEAD_NONCE] = {5};
	uint8_t data[1000];
	uint8_t tag[AEAD_TAG];

	(void)state;
	rnd_bytes(data, sizeof(data));
	for (size_t i = 0; i < ARRAY_LEN(both); i++) {
		struct aead *a = aead_of(both[i], key);
		struct aad all = {data, sizeof(data)};

		assert_int_equal(aead_tag(a, nonce, data, sizeof(data), tag),
				 0);
		assert_int_equal(aead_open(a, nonce, all, tag, AEAD_TAG, NULL),
				 0);
		data[999] ^= 1;
		assert_int_equal(aead_open(a, nonce, all, tag, AEAD_TAG, NULL),
				 -ERR_AUTH);
		data[999] ^= 1;
		nonce[0] ^= 1;
		assert_int_equal(aead_open(a, nonce, all, tag, AEAD_TAG, NULL),
				 -ERR_AUTH);
		aead_free(a);
	}
}

/* --- memory, threads ---------------------------------------------------- */

static void no_memory(void **state)
{
	uint8_t key[AEAD_KEY] = {6};
	struct aead *a = NULL;

	(void)state;
	mem_fail_at(1, 0);
	assert_int_equal(aead_new(CIPHER_AES_256_GCM, key, &a), -ENOMEM);
	mem_fail_at(0, 0);
	assert_null(a);
}

static void thread_job(void *arg)
{
	const enum cipher *c = arg;

	for (unsigned i = 0; i < 50; i++)
		round_trip(*c, rnd_below(5000), 3);
}

static void threads(void **state)
{
	struct workq *q;
	enum cipher c[8];

	(void)state;
	assert_int_equal(workq_new("aead", 4, &q), 0);
	for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
		c[i] = both[i % 2];
		assert_int_equal(workq_submit(q, thread_job, &c[i]), 0);
	}
	workq_free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads), /* first: the ciphers' cache */
		cmocka_unit_test(published_values),
		cmocka_unit_test(names),
		cmocka_unit_test(unknown_cipher),
		cmocka_unit_test(round_trips),
		cmocka_unit_test(steps_do_not_show),
		cmocka_unit_test(context_keeps_no_state),
		cmocka_unit_test(nonce_of_position),
		cmocka_unit_test(every_bit_counts),
		cmocka_unit_test(every_length_counts),
		cmocka_unit_test(border_counts),
		cmocka_unit_test(tag_is_checked_by_open),
		cmocka_unit_test(no_memory),
	};

	rnd_seed(test_seed());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
