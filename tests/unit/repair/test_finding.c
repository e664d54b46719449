/* SPDX-License-Identifier: Apache-2.0 */
/* The table of findings: ids are unique, well formed and say something. */
#include "unit/base/base_test.h"

#include <string.h>

#include "repair/finding.h"

static void ids_are_unique_and_found(void **state)
{
	(void)state;
	for (unsigned i = 0; i < FINDING_COUNT; i++) {
		const char *name = finding_name(i);

		assert_int_equal(finding_by_name(name), i);
		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz-"),
				 strlen(name));
		assert_true(strlen(name) < 32);
	}
	assert_int_equal(finding_by_name("no-such-finding"), FINDING_COUNT);
	assert_int_equal(finding_by_name(""), FINDING_COUNT);
}

/* They stand in lines, after a colon and before a bracket. */
static void texts_are_sentences_without_end(void **state)
{
	(void)state;
	for (unsigned i = 0; i < FINDING_COUNT; i++) {
		const char *text[] = {finding_meaning(i), finding_todo(i)};

		for (unsigned t = 0; t < 2; t++) {
			size_t len = strlen(text[t]);

			assert_true(len > 5 && len < 120);
			assert_true(text[t][len - 1] != '.');
			assert_null(strchr(text[t], '\n'));
			assert_true(text[t][0] >= 'a' && text[t][0] <= 'z');
		}
	}
}

static void severities_have_names(void **state)
{
	(void)state;
	assert_string_equal(severity_name(SEVERITY_INFO), "info");
	assert_string_equal(severity_name(SEVERITY_WARNING), "warning");
	assert_string_equal(severity_name(SEVERITY_ERROR), "error");
	for (unsigned i = 0; i < FINDING_COUNT; i++)
		assert_true((unsigned)finding_severity(i) < SEVERITY_COUNT);
	/* What scripts rely on. */
	assert_int_equal(finding_severity(FINDING_SEGMENT_LOST),
			 SEVERITY_ERROR);
	assert_int_equal(finding_severity(FINDING_SEGMENT_DEGRADED),
			 SEVERITY_WARNING);
	assert_int_equal(finding_severity(FINDING_ORPHAN_OBJECT),
			 SEVERITY_INFO);
}

/* Every code that index_check.c lists has its row. */
static void codes_of_the_index_are_known(void **state)
{
	static const char *const codes[] = {
		"index-sqlite",
		"index-counter-low",
		"index-root",
		"index-dentry-no-inode",
		"index-dentry-no-parent",
		"index-dentry-type",
		"index-link-count",
		"index-folder-links",
		"index-folder-names",
		"index-folder-unreachable",
		"index-orphan-not-queued",
		"index-symlink-no-inode",
		"index-symlink-no-target",
		"index-xattr-no-inode",
		"index-extent-format",
		"index-extent-overlap",
		"index-extent-no-segment",
		"index-extent-no-owner",
		"index-size-below-data",
		"index-segment-format",
		"index-segment-refs",
		"index-segment-dead-used",
		"index-segment-not-dead",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		assert_int_not_equal(finding_by_name(codes[i]), FINDING_COUNT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_are_unique_and_found),
		cmocka_unit_test(texts_are_sentences_without_end),
		cmocka_unit_test(severities_have_names),
		cmocka_unit_test(codes_of_the_index_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
