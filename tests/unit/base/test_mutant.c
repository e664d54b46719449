/* SPDX-License-Identifier: Apache-2.0 */
#include "base_test.h"

#include <errno.h>
#include <string.h>

#include "base/mutant.h"

/* What everybody but the simulation runs has none of them. */
static void there_are_none_here(void **state)
{
	(void)state;
	assert_int_equal(mutant_choose(NULL), 0);
	assert_int_equal(mutant_choose(""), 0);
	for (unsigned i = MUTANT_NONE + 1; i < MUTANTS; i++)
		assert_int_equal(mutant_choose(
					 mutant_info((enum mutant)i)->name),
				 -ENOENT);
	assert_false(MUTANT(SKIP_FOLDER_SYNC));
	assert_false(MUTANT(STALE_FILL));
}

/* "C1 C2": of C1 to C13. */
static void assert_invariants(const char *text)
{
	while (*text) {
		unsigned n;
		int len;

		assert_int_equal(sscanf(text, "C%u%n", &n, &len), 1);
		assert_in_range(n, 1, 13);
		text += len;
		text += *text == ' ';
	}
}

static void the_table_is_sound(void **state)
{
	(void)state;
	assert_null(mutant_info(MUTANT_NONE));
	assert_null(mutant_info(MUTANTS));
	for (unsigned i = MUTANT_NONE + 1; i < MUTANTS; i++) {
		const struct mutant_info *m = mutant_info((enum mutant)i);

		assert_true(m->name[0] && m->breaks[0] && m->what[0]);
		assert_invariants(m->breaks);
		for (unsigned k = MUTANT_NONE + 1; k < i; k++)
			assert_string_not_equal(
				m->name, mutant_info((enum mutant)k)->name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_are_none_here),
		cmocka_unit_test(the_table_is_sound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
