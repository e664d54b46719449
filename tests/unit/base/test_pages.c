/* SPDX-License-Identifier: Apache-2.0 */
#include "base_test.h"

#include <string.h>

#include "base/mem.h"
#include "base/pages.h"

#define MIB ((size_t)1 << 20)

static int seam_off(void **state)
{
	(void)state;
	mem_fail_at(0, 0);
	return 0;
}

static void sizes_are_rounded_up(void **state)
{
	static const size_t size[] = {0,	1,	     4096,
				      4097,	65535,	     131073,
				      MIB,	MIB + 1,     7 * MIB + 1,
				      16 * MIB, 17 * MIB + 5};
	static const size_t want[] = {4096,
				      4096,
				      4096,
				      8192,
				      65536,
				      135168,
				      MIB,
				      MIB + (128 << 10),
				      7 * MIB + (512 << 10),
				      16 * MIB,
				      18 * MIB};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(size); i++) {
		void *p = pages_alloc(size[i]);

		assert_non_null(p);
		assert_int_equal(pages_round(size[i]), want[i]);
		assert_int_equal(pages_round(want[i]), want[i]);
		assert_int_equal((uintptr_t)p % 4096, 0);
		memset(p, 1, want[i]);
		pages_free(p, size[i]);
	}
	assert_int_equal(pages_round(SIZE_MAX), 0);
}

/* A freed large block serves the next request that fits, and no other. */
static void large_blocks_are_used_again(void **state)
{
	size_t n = 5 * MIB, big = 9 * MIB, less = 5 * MIB - 4000;
	void *a = pages_alloc(n), *b, *c;

	(void)state;
	memset(a, 1, n);
	pages_free(a, n);
	b = pages_alloc(big);
	assert_ptr_not_equal(b, a);
	c = pages_alloc(less);
	assert_ptr_equal(c, a);
	memset(c, 2, less);
	pages_free(b, big);
	pages_free(c, less);
}

/* However much is freed at once, only a bounded part stays mapped. */
static void kept_memory_is_bounded(void **state)
{
	void *p[40];
	unsigned again = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(p); i++) {
		p[i] = pages_alloc(4 * MIB);
		assert_non_null(p[i]);
		memset(p[i], 0xaa, 4 * MIB);
	}
	for (size_t i = 0; i < ARRAY_LEN(p); i++)
		pages_free(p[i], 4 * MIB);
	/* What was kept comes back dirty, what was not is fresh zeros. */
	for (size_t i = 0; i < ARRAY_LEN(p); i++) {
		p[i] = pages_alloc(4 * MIB);
		again += ((unsigned char *)p[i])[4 * MIB - 1] == 0xaa;
	}
	assert_in_range(again, 1, 4);
	for (size_t i = 0; i < ARRAY_LEN(p); i++)
		pages_free(p[i], 4 * MIB);
}

static void no_memory_gives_null(void **state)
{
	volatile size_t huge = SIZE_MAX;

	(void)state;
	for (size_t n = 4096; n <= MIB; n *= 16) {
		mem_fail_at(1, 0);
		assert_null(pages_alloc(n));
		mem_fail_at(0, 0);
	}
	assert_null(pages_alloc(huge));
	pages_free(NULL, MIB);
	pages_free(NULL, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_rounded_up),
		cmocka_unit_test(large_blocks_are_used_again),
		cmocka_unit_test(kept_memory_is_bounded),
		cmocka_unit_test_teardown(no_memory_gives_null, seam_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
