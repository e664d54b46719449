/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/base/base_test.h"

#include <string.h>

#include "backend/checksum.h"
#include "base/mem.h"
#include "base/rnd.h"

/* The definition, bit by bit: polynomial 0x1EDC6F41, reflected. */
static uint32_t crc_by_bits(const uint8_t *p, size_t len)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		for (int b = 0; b < 8; b++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

static void published_values(void **state)
{
	uint8_t b[32];

	(void)state;
	/* RFC 3720, B.4 */
	memset(b, 0, sizeof(b));
	assert_int_equal(crc32c(b, 32), 0x8a9136aa);
	memset(b, 0xff, sizeof(b));
	assert_int_equal(crc32c(b, 32), 0x62a8ab43);
	for (uint8_t i = 0; i < 32; i++)
		b[i] = i;
	assert_int_equal(crc32c(b, 32), 0x46dd794e);
	for (uint8_t i = 0; i < 32; i++)
		b[i] = (uint8_t)(31 - i);
	assert_int_equal(crc32c(b, 32), 0x113fdb5c);
	assert_int_equal(crc32c("123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(NULL, 0), 0);
}

static void every_length_and_alignment(void **state)
{
	uint8_t b[1100];

	(void)state;
	rnd_seed(test_seed());
	rnd_bytes(b, sizeof(b));
	rnd_unseed();
	for (size_t align = 0; align < 16; align++)
		for (size_t len = 0; len < 600; len++)
			assert_int_equal(crc32c(b + align, len),
					 crc_by_bits(b + align, len));
	for (size_t len = 600; len <= sizeof(b); len++)
		assert_int_equal(crc32c(b, len), crc_by_bits(b, len));
}

/* Longer than one call into the library takes. */
static void large(void **state)
{
	const size_t sizes[] = {(1 << 20) - 1, 1 << 20, (1 << 20) + 1,
				(3 << 20) + 77};
	uint8_t *b = mem_alloc((3 << 20) + 77);

	(void)state;
	assert_non_null(b);
	rnd_seed(test_seed());
	rnd_bytes(b, (3 << 20) + 77);
	rnd_unseed();
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		assert_int_equal(crc32c(b, sizes[i]), crc_by_bits(b, sizes[i]));
	mem_free(b);
}

static void every_flipped_bit_shows(void **state)
{
	uint8_t b[257] = {0};

	(void)state;
	uint32_t whole = crc32c(b, sizeof(b));
	for (size_t bit = 0; bit < 8 * sizeof(b); bit++) {
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(crc32c(b, sizeof(b)), whole);
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(crc32c(b, sizeof(b)), whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_values),
		cmocka_unit_test(every_length_and_alignment),
		cmocka_unit_test(large),
		cmocka_unit_test(every_flipped_bit_shows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
