/* SPDX-License-Identifier: Apache-2.0 */
#include "base_test.h"

#include <time.h>

#include "base/clock.h"

static uint64_t fake_mono(void *arg)
{
	return *(uint64_t *)arg;
}

static int64_t fake_real(void *arg)
{
	return -(int64_t) * (uint64_t *)arg;
}

static int system_clocks(void **state)
{
	(void)state;
	clock_replace(NULL);
	return 0;
}

static void monotonic_does_not_go_back(void **state)
{
	uint64_t last = clock_mono_ns();

	(void)state;
	assert_true(last > 0);
	for (int i = 0; i < 1000; i++) {
		uint64_t now = clock_mono_ns();

		assert_true(now >= last);
		last = now;
	}
}

static void real_clock_is_the_calendar(void **state)
{
	int64_t before = time(NULL);
	int64_t now = clock_real_ns() / 1000000000;
	int64_t after = time(NULL);

	(void)state;
	/* time() may lag behind by a tick of the kernel */
	assert_true(now >= before && now <= after + 1);
}

static void a_source_replaces_both_clocks(void **state)
{
	uint64_t value = 7000000;
	const struct clock_source source = {fake_mono, fake_real, &value};

	(void)state;
	assert_false(clock_is_replaced());
	clock_replace(&source);
	assert_true(clock_is_replaced());
	assert_int_equal(clock_mono_ns(), 7000000);
	assert_int_equal(clock_mono_ms(), 7);
	assert_true(clock_real_ns() == -7000000);
	value = 8000000;
	assert_int_equal(clock_mono_ms(), 8);
	clock_replace(NULL);
	assert_false(clock_is_replaced());
	assert_true(clock_real_ns() > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(monotonic_does_not_go_back),
		cmocka_unit_test(real_clock_is_the_calendar),
		cmocka_unit_test_teardown(a_source_replaces_both_clocks,
					  system_clocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
