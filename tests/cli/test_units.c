/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes, durations and numbers as people write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "tools/units.h"

#define KI 1024ULL

static void sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{"0", 0},
		{"65536", 65536},
		{"7B", 7},
		{"64k", 64 * KI},
		{"64K", 64 * KI},
		{"64KB", 64 * KI},
		{"64KiB", 64 * KI},
		{"1.5M", 1536 * KI},
		{"0.5G", 512 * KI * KI},
		{"2T", 2 * KI * KI * KI * KI},
		{"15E", 15ULL << 60},
		{"18446744073709551615", UINT64_MAX},
	};
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(units_parse_size(good[i].text, &v), 0);
		assert_true(v == good[i].bytes);
	}
}

static void ill_sizes(void **state)
{
	static const char *const ill[] = {"",	  "K",	   "-1",  "+1",
					  " 1",	  "1 ",	   "1.",  "1.K",
					  ".5K",  "1.5e3", "1KK", "1iB",
					  "0x10", "1,5K",  "1Q",  "1Ki"};
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ill); i++)
		assert_int_equal(units_parse_size(ill[i], &v), -EINVAL);
	assert_int_equal(units_parse_size("16E", &v), -ERANGE);
	assert_int_equal(units_parse_size("15.9999999999999999999E", &v),
			 -ERANGE);
	assert_int_equal(units_parse_size("18446744073709551616", &v), -ERANGE);
}

static void durations(void **state)
{
	uint64_t v;

	(void)state;
	assert_int_equal(units_parse_duration("5", &v), 0);
	assert_int_equal(v, 5);
	assert_int_equal(units_parse_duration("5s", &v), 0);
	assert_int_equal(v, 5);
	assert_int_equal(units_parse_duration("10m", &v), 0);
	assert_int_equal(v, 600);
	assert_int_equal(units_parse_duration("1h", &v), 0);
	assert_int_equal(v, 3600);
	assert_int_equal(units_parse_duration("2d", &v), 0);
	assert_int_equal(v, 172800);
	assert_int_equal(units_parse_duration("5S", &v), -EINVAL);
	assert_int_equal(units_parse_duration("-5", &v), -EINVAL);
	assert_int_equal(units_parse_duration("1.5h", &v), -EINVAL);
	assert_int_equal(units_parse_duration("5124095576030432h", &v),
			 -ERANGE);
}

static void numbers(void **state)
{
	uint64_t v;

	(void)state;
	assert_int_equal(units_parse_number("8", 0, 8, &v), 0);
	assert_int_equal(v, 8);
	assert_int_equal(units_parse_number("9", 0, 8, &v), -ERANGE);
	assert_int_equal(units_parse_number("0", 1, 8, &v), -ERANGE);
	assert_int_equal(units_parse_number("8x", 0, 8, &v), -EINVAL);
	assert_int_equal(units_parse_number("", 0, 8, &v), -EINVAL);
}

static void printing(void **state)
{
	char buf[UNITS_TEXT];

	(void)state;
	assert_string_equal(units_size(0, buf), "0");
	assert_string_equal(units_size(1023, buf), "1023");
	assert_string_equal(units_size(1024, buf), "1K");
	assert_string_equal(units_size(1536, buf), "1.5K");
	assert_string_equal(units_size(128 * KI, buf), "128K");
	assert_string_equal(units_size(5 * KI * KI * KI, buf), "5G");
	assert_string_equal(units_size(UINT64_MAX, buf), "16E");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),     cmocka_unit_test(ill_sizes),
		cmocka_unit_test(durations), cmocka_unit_test(numbers),
		cmocka_unit_test(printing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
