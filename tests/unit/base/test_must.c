/* SPDX-License-Identifier: Apache-2.0 */
#include "base_test.h"

#include "base/must.h"

static void break_a_promise(void)
{
	MUST(1 + 1 == 3);
}

static void a_broken_promise_aborts(void **state)
{
	(void)state;
	assert_true(aborts(break_a_promise));
}

static void a_kept_one_is_evaluated_once(void **state)
{
	int evaluated = 0;

	(void)state;
	MUST(++evaluated == 1);
	assert_int_equal(evaluated, 1);
}

static void keep_a_promise(void)
{
	MUST(1 + 1 == 2);
}

static void the_tests_can_tell(void **state)
{
	(void)state;
	assert_false(aborts(keep_a_promise));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_broken_promise_aborts),
		cmocka_unit_test(a_kept_one_is_evaluated_once),
		cmocka_unit_test(the_tests_can_tell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
