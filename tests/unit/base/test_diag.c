/* SPDX-License-Identifier: Apache-2.0 */
#include "base_test.h"

#include <string.h>

#include "base/diag.h"
#include "base/err.h"

static void first_message_wins(void **state)
{
	struct diag d = DIAG_INIT;

	(void)state;
	assert_int_equal(diag_fail(&d, -ERR_FOREIGN, "%s: %d", "inner", 1),
			 -ERR_FOREIGN);
	assert_int_equal(diag_fail(&d, -EIO, "outer"), -EIO);
	assert_string_equal(diag_text(&d, -EIO), "inner: 1");
}

static void without_a_message_the_code_speaks(void **state)
{
	struct diag d = DIAG_INIT;

	(void)state;
	assert_string_equal(diag_text(&d, -ERR_FOREIGN),
			    err_text(-ERR_FOREIGN));
	assert_string_equal(diag_text(NULL, -EIO), err_text(-EIO));
}

static void no_diag_is_allowed(void **state)
{
	(void)state;
	assert_int_equal(diag_fail(NULL, -ENOENT, "%s", "nobody reads"),
			 -ENOENT);
}

static void long_text_is_cut(void **state)
{
	struct diag d = DIAG_INIT;
	char text[2 * DIAG_SIZE];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	diag_fail(&d, -EIO, "%s", text);
	assert_int_equal(strlen(diag_text(&d, -EIO)), DIAG_SIZE - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_message_wins),
		cmocka_unit_test(without_a_message_the_code_speaks),
		cmocka_unit_test(no_diag_is_allowed),
		cmocka_unit_test(long_text_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
