/* SPDX-License-Identifier: Apache-2.0 */
/* The set of used nonces, which guards invariant (I) in other tests. */
#include "unit/base/base_test.h"

#include <string.h>

#include "backend/aead.h"
#include "base/mem.h"
#include "base/workq.h"

static const uint8_t key_1[AEAD_KEY] = {1};
static const uint8_t key_2[AEAD_KEY] = {2};

static struct aead *aead_of(enum cipher c, const uint8_t *key)
{
	struct aead *a = NULL;

	assert_int_equal(aead_new(c, key, &a), 0);
	return a;
}

static void seal_at(struct aead *a, uint64_t position)
{
	uint8_t nonce[AEAD_NONCE];
	uint8_t b[4 + AEAD_TAG] = {0};

	aead_nonce_position(nonce, position);
	assert_int_equal(aead_seal(a, nonce, (struct aad){NULL, 0}, b, 4, b),
			 0);
}

static void tag_at(struct aead *a, uint64_t position, const char *text)
{
	uint8_t nonce[AEAD_NONCE];
	uint8_t tag[AEAD_TAG];

	aead_nonce_position(nonce, position);
	assert_int_equal(aead_tag(a, nonce, text, strlen(text), tag), 0);
}

static void seal_once(const uint8_t *key, uint64_t position)
{
	struct aead *a = aead_of(CIPHER_AES_256_GCM, key);

	seal_at(a, position);
	aead_free(a);
}

static void seal_twice(void)
{
	struct aead *a = aead_of(CIPHER_AES_256_GCM, key_1);

	seal_at(a, 7);
	seal_at(a, 7);
}

/* The same key derived a second time. */
static void seal_twice_apart(void)
{
	seal_once(key_1, 7);
	seal_once(key_2, 7);
	seal_once(key_1, 7);
}

static void seal_then_tag(void)
{
	struct aead *a = aead_of(CIPHER_CHACHA20_POLY1305, key_1);

	seal_at(a, 7);
	tag_at(a, 7, "text");
}

static void tag_then_seal(void)
{
	struct aead *a = aead_of(CIPHER_CHACHA20_POLY1305, key_1);

	tag_at(a, 7, "text");
	seal_at(a, 7);
}

static void tag_two_texts(void)
{
	struct aead *a = aead_of(CIPHER_AES_256_GCM, key_1);

	tag_at(a, 7, "text");
	tag_at(a, 7, "other");
}

static void tag_no_text(void)
{
	struct aead *a = aead_of(CIPHER_AES_256_GCM, key_1);

	tag_at(a, 7, "");
	tag_at(a, 7, "other");
}

static void (*const sins[])(void) = {seal_twice,    seal_twice_apart,
				     seal_then_tag, tag_then_seal,
				     tag_two_texts, tag_no_text};

static void repetition_aborts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sins); i++) {
		aead_track_nonces(true);
		assert_true(aborts(sins[i]));
	}
	aead_track_nonces(false);
}

static void off_by_default_and_again(void **state)
{
	(void)state;
	seal_once(key_1, 7);
	seal_once(key_1, 7);
	assert_false(aborts(seal_twice_apart));
	aead_track_nonces(true);
	assert_true(aborts(seal_twice_apart));
	aead_track_nonces(false);
	assert_false(aborts(seal_twice_apart));
}

static void harmless_uses(struct aead *a)
{
	uint8_t nonce[AEAD_NONCE];
	uint8_t b[4 + AEAD_TAG] = {0};
	uint8_t plain[4];

	for (uint64_t i = 10; i < 3000; i++)
		seal_at(a, i * 0x100000001u);
	aead_nonce_position(nonce, 10 * 0x100000001u);
	nonce[11] = 1; /* another one, by its last byte */
	assert_int_equal(aead_seal(a, nonce, (struct aad){NULL, 0}, b, 4, b),
			 0);
	for (int i = 0; i < 3; i++) {
		/* opening uses nothing up, nor does checking a tag */
		assert_int_equal(aead_open(a, nonce, (struct aad){NULL, 0}, b,
					   sizeof(b), plain),
				 0);
		tag_at(a, 1, "text");
		tag_at(a, 2, "");
	}
}

/* The second round: every switching on begins with an empty set. */
static void harmless_uses_pass(void **state)
{
	struct aead *a = aead_of(CIPHER_AES_256_GCM, key_1);

	(void)state;
	for (int i = 0; i < 2; i++) {
		aead_track_nonces(true);
		harmless_uses(a);
	}
	aead_track_nonces(false);
	aead_free(a);
}

/* Without memory nothing is sealed, and the pair stays free. */
static void no_memory(void **state)
{
	struct aead *a = aead_of(CIPHER_AES_256_GCM, key_1);
	uint8_t nonce[AEAD_NONCE] = {0};
	uint8_t b[AEAD_TAG] = {0};
	uint8_t zero[AEAD_TAG] = {0};

	(void)state;
	aead_track_nonces(true);
	mem_fail_at(1, 0);
	assert_int_equal(aead_seal(a, nonce, (struct aad){NULL, 0}, b, 0, b),
			 -ENOMEM);
	mem_fail_at(1, 0);
	assert_int_equal(aead_tag(a, nonce, b, 1, b), -ENOMEM);
	mem_fail_at(0, 0);
	assert_memory_equal(b, zero, AEAD_TAG);
	assert_int_equal(aead_seal(a, nonce, (struct aad){NULL, 0}, b, 0, b),
			 0);
	aead_track_nonces(false);
	aead_free(a);
}

static void thread_job(void *arg)
{
	const uint64_t *part = arg;
	struct aead *a = aead_of(CIPHER_AES_256_GCM, key_1);

	for (uint64_t i = 0; i < 500; i++)
		seal_at(a, *part << 32 | i);
	aead_free(a);
}

static void run_threads(uint64_t part[4])
{
	struct workq *q;

	assert_int_equal(workq_new("nonces", 4, &q), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(workq_submit(q, thread_job, &part[i]), 0);
	workq_free(q);
}

static void threads_that_overlap(void)
{
	run_threads((uint64_t[]){0, 1, 2, 1});
}

static void threads(void **state)
{
	(void)state;
	aead_track_nonces(true);
	run_threads((uint64_t[]){0, 1, 2, 3});
	aead_track_nonces(true);
	assert_true(aborts(threads_that_overlap));
	aead_track_nonces(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(off_by_default_and_again),
		cmocka_unit_test(repetition_aborts),
		cmocka_unit_test(harmless_uses_pass),
		cmocka_unit_test(no_memory),
		cmocka_unit_test(threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
