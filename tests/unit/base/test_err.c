/* SPDX-License-Identifier: Apache-2.0 */
#include "base_test.h"

#include <limits.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

struct row {
	int code;
	int errno_class;
	const char *name;
	const char *text;
};

static const struct row rows[] = {
#define ROW(name, errno_class, text) {name, errno_class, #name, text},
	ERR_TABLE(ROW)
#undef ROW
};

static void every_code_maps_to_its_row(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(err_errno(-rows[i].code), rows[i].errno_class);
		assert_string_equal(err_name(-rows[i].code), rows[i].name);
		assert_string_equal(err_text(-rows[i].code), rows[i].text);
	}
}

static void codes_lie_above_those_of_the_system(void **state)
{
	(void)state;
	assert_int_equal(rows[0].code, 4096);
	assert_int_equal(rows[ARRAY_LEN(rows) - 1].code, ERR_LAST_ - 1);
}

static void texts_are_fragments_and_differ(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = strlen(rows[i].text);

		assert_true(len > 0);
		assert_int_not_equal(rows[i].text[len - 1], '.');
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(rows[i].text, rows[j].text);
	}
}

static void system_codes_pass_through(void **state)
{
	(void)state;
	assert_int_equal(err_errno(-ENOENT), ENOENT);
	assert_string_equal(err_name(-ENOENT), "ENOENT");
	assert_string_equal(err_text(-ENOENT), strerror(ENOENT));
	assert_int_equal(err_errno(-4095), 4095);
}

static void success_is_not_an_error(void **state)
{
	(void)state;
	assert_int_equal(err_errno(0), 0);
	assert_string_equal(err_name(0), "OK");
	assert_string_equal(err_text(0), "success");
}

static void unknown_codes_are_eio(void **state)
{
	static const int unknown[] = {-ERR_LAST_, -ERR_LAST_ - 1, INT_MIN,
				      INT_MAX, 1};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
		assert_int_equal(err_errno(unknown[i]), EIO);
		assert_string_equal(err_name(unknown[i]), "ERR_UNKNOWN");
		assert_non_null(err_text(unknown[i]));
	}
	assert_string_equal(err_name(-4000), "ERR_UNKNOWN");
	assert_string_equal(err_text(-4000), "unknown error");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_maps_to_its_row),
		cmocka_unit_test(codes_lie_above_those_of_the_system),
		cmocka_unit_test(texts_are_fragments_and_differ),
		cmocka_unit_test(system_codes_pass_through),
		cmocka_unit_test(success_is_not_an_error),
		cmocka_unit_test(unknown_codes_are_eio),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
