/* SPDX-License-Identifier: Apache-2.0 */
#include "base_test.h"

#include <string.h>

#include "base/mem.h"
#include "base/rnd.h"

static int unseed(void **state)
{
	(void)state;
	rnd_unseed();
	return 0;
}

static void seeded_numbers_are_those_of_splitmix64(void **state)
{
	/* the first outputs of the published generator for this seed */
	static const uint64_t want[] = {
		6457827717110365317u,  3203168211198807973u,
		9817491932198370423u,  4593380528125082431u,
		16408922859458223821u,
	};

	(void)state;
	rnd_seed(1234567);
	for (size_t i = 0; i < ARRAY_LEN(want); i++)
		assert_true(rnd_u64() == want[i]);
}

static void same_seed_same_bytes(void **state)
{
	uint8_t a[37], b[37];

	(void)state;
	rnd_seed(5);
	rnd_bytes(a, sizeof(a));
	rnd_seed(5);
	rnd_bytes(b, sizeof(b));
	assert_memory_equal(a, b, sizeof(a));
	rnd_seed(6);
	rnd_bytes(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
}

static void system_bytes_do_not_repeat(void **state)
{
	uint8_t a[32], b[32];

	(void)state;
	rnd_seed(5);
	rnd_unseed();
	rnd_bytes(a, sizeof(a));
	rnd_bytes(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
}

/* More than getrandom gives in one piece without being interruptible. */
static void long_requests_are_filled_to_the_end(void **state)
{
	enum {
		SIZE = 100000
	};
	AUTO_FREE uint8_t *p = mem_zalloc(SIZE + 1);
	static const uint8_t zero[32];

	(void)state;
	rnd_bytes(p, SIZE);
	assert_memory_not_equal(p + SIZE - sizeof(zero), zero, sizeof(zero));
	assert_int_equal(p[SIZE], 0);
	rnd_bytes(p, 0);
}

static void below_stays_below_and_reaches_all(void **state)
{
	unsigned seen[6] = {0};

	(void)state;
	rnd_seed(1);
	for (int i = 0; i < 6000; i++) {
		uint64_t v = rnd_below(6);

		assert_true(v < 6);
		seen[v]++;
	}
	/* 1000 expected each; 6 standard deviations are 173 */
	for (int i = 0; i < 6; i++)
		assert_in_range(seen[i], 827, 1173);
}

/*
 * With this bound a plain remainder would give results below 2^62 twice as
 * often as the others, that is in half of all draws instead of a third.
 */
static void below_is_uniform_for_large_bounds(void **state)
{
	const uint64_t bound = 3ULL << 62;
	int low = 0;

	(void)state;
	rnd_seed(2);
	for (int i = 0; i < 3000; i++)
		low += rnd_below(bound) < 1ULL << 62;
	assert_in_range(low, 850, 1150);
}

static void below_one_is_zero(void **state)
{
	(void)state;
	assert_int_equal(rnd_below(1), 0);
	assert_true(rnd_below(UINT64_MAX) < UINT64_MAX);
}

static void below_zero(void)
{
	rnd_below(0);
}

static void below_zero_is_a_bug(void **state)
{
	(void)state;
	assert_true(aborts(below_zero));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(
			seeded_numbers_are_those_of_splitmix64, unseed),
		cmocka_unit_test_teardown(same_seed_same_bytes, unseed),
		cmocka_unit_test_teardown(system_bytes_do_not_repeat, unseed),
		cmocka_unit_test(long_requests_are_filled_to_the_end),
		cmocka_unit_test_teardown(below_stays_below_and_reaches_all,
					  unseed),
		cmocka_unit_test_teardown(below_is_uniform_for_large_bounds,
					  unseed),
		cmocka_unit_test(below_one_is_zero),
		cmocka_unit_test(below_zero_is_a_bug),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
