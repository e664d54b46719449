/* SPDX-License-Identifier: Apache-2.0 */
#include "base_test.h"

#include <string.h>

#include "base/mem.h"

static int seam_off(void **state)
{
	(void)state;
	mem_fail_at(0, 0);
	return 0;
}

static void only_the_nth_allocation_fails(void **state)
{
	(void)state;
	mem_fail_at(3, 0);
	for (int i = 1; i <= 5; i++) {
		AUTO_FREE char *p = mem_alloc(1);

		assert_int_equal(p == NULL, i == 3);
	}
	assert_int_equal(mem_count(), 5);
}

static void forever_means_all_later_ones(void **state)
{
	(void)state;
	mem_fail_at(2, 1);
	for (int i = 1; i <= 4; i++) {
		AUTO_FREE char *p = mem_alloc(1);

		assert_int_equal(p == NULL, i >= 2);
	}
}

static void every_kind_can_fail_and_counts_once(void **state)
{
	char *old = mem_strdup("old");

	(void)state;
	mem_fail_at(1, 1);
	assert_null(mem_alloc(1));
	assert_null(mem_zalloc(1));
	assert_null(mem_calloc(1, 1));
	assert_null(mem_strdup("x"));
	assert_null(mem_printf("%d", 1));
	assert_null(mem_alloc_aligned(1));
	assert_null(mem_secure_alloc(1));
	assert_null(mem_realloc(old, 100));
	assert_int_equal(mem_count(), 8);
	/* the block survives a failed realloc */
	assert_string_equal(old, "old");
	mem_free(old);
}

static void zero_switches_off_and_restarts_the_count(void **state)
{
	AUTO_FREE char *p = NULL;

	(void)state;
	mem_fail_at(1, 1);
	assert_null(mem_alloc(1));
	mem_fail_at(0, 1);
	assert_int_equal(mem_count(), 0);
	p = mem_alloc(1);
	assert_non_null(p);
	assert_int_equal(mem_count(), 1);
}

static void size_zero_gives_a_unique_pointer(void **state)
{
	AUTO_FREE char *a = mem_alloc(0);
	AUTO_FREE char *b = mem_zalloc(0);
	AUTO_FREE char *c = mem_calloc(0, 8);
	AUTO_FREE char *d = mem_realloc(mem_alloc(8), 0);
	AUTO_FREE char *e = mem_alloc_aligned(0);

	(void)state;
	assert_true(a && b && c && d && e);
	assert_true(a != b && b != c && c != d && d != e);
}

static void zeroed_kinds_are_zeroed(void **state)
{
	static const char zero[64];
	AUTO_FREE char *a = mem_zalloc(sizeof(zero));
	AUTO_FREE char *b = mem_calloc(8, 8);

	(void)state;
	assert_memory_equal(a, zero, sizeof(zero));
	assert_memory_equal(b, zero, sizeof(zero));
}

static void sizes_that_overflow_are_refused(void **state)
{
	/* volatile: the compiler would warn of the size it sees */
	volatile size_t huge = SIZE_MAX;

	(void)state;
	assert_null(mem_calloc(huge / 2 + 1, 2));
	assert_null(mem_alloc_aligned(huge));
	assert_null(mem_secure_alloc(huge));
}

static void text_is_copied_and_formatted(void **state)
{
	AUTO_FREE char *copy = mem_strdup("copy");
	AUTO_FREE char *empty = mem_strdup("");
	AUTO_FREE char *made = mem_printf("%s-%04d", "made", 7);

	(void)state;
	assert_string_equal(copy, "copy");
	assert_string_equal(empty, "");
	assert_string_equal(made, "made-0007");
}

static void aligned_blocks_are_aligned(void **state)
{
	static const size_t size[] = {1, 4095, 4096, 4097, 100000};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(size); i++) {
		AUTO_FREE uint8_t *p = mem_alloc_aligned(size[i]);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 4096, 0);
		memset(p, 0xff, size[i]);
	}
}

/* Does the kernel flag the mapping that starts at p with this flag? */
static bool mapping_has_flag(const void *p, const char *flag)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	char line[512], start[32];
	bool here = false, found = false;

	assert_non_null(smaps);
	snprintf(start, sizeof(start), "%lx-", (unsigned long)(uintptr_t)p);
	while (fgets(line, sizeof(line), smaps)) {
		if (strncmp(line, start, strlen(start)) == 0)
			here = true;
		if (here && strncmp(line, "VmFlags:", 8) == 0) {
			found = strstr(line, flag) != NULL;
			break;
		}
	}
	fclose(smaps);
	return found;
}

static void secure_memory_is_zeroed_and_kept_out_of_dumps(void **state)
{
	static const uint8_t zero[100];
	uint8_t *p = mem_secure_alloc(sizeof(zero));

	(void)state;
	assert_non_null(p);
	assert_memory_equal(p, zero, sizeof(zero));
	assert_true(mapping_has_flag(p, " dd"));
	memset(p, 0xa5, sizeof(zero));
	mem_secure_free(p, sizeof(zero));
	mem_secure_free(NULL, 100);
}

static void wipe_clears_just_what_it_is_told(void **state)
{
	uint8_t p[4] = {1, 2, 3, 4};
	static const uint8_t want[4] = {1, 0, 0, 4};

	(void)state;
	mem_wipe(p + 1, 2);
	assert_memory_equal(p, want, sizeof(p));
	mem_wipe(NULL, 0);
}

static void steal_leaves_null(void **state)
{
	AUTO_FREE char *p = mem_strdup("mine");
	AUTO_FREE char *q = steal(&p);

	(void)state;
	assert_null(p);
	assert_string_equal(q, "mine");
}

struct outer {
	int before;
	int member;
};

static void container_of_finds_the_outer_struct(void **state)
{
	struct outer o = {1, 2};
	int *inner = &o.member;

	(void)state;
	assert_ptr_equal(container_of(inner, struct outer, member), &o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(only_the_nth_allocation_fails,
					  seam_off),
		cmocka_unit_test_teardown(forever_means_all_later_ones,
					  seam_off),
		cmocka_unit_test_teardown(every_kind_can_fail_and_counts_once,
					  seam_off),
		cmocka_unit_test_teardown(
			zero_switches_off_and_restarts_the_count, seam_off),
		cmocka_unit_test(size_zero_gives_a_unique_pointer),
		cmocka_unit_test(zeroed_kinds_are_zeroed),
		cmocka_unit_test(sizes_that_overflow_are_refused),
		cmocka_unit_test(text_is_copied_and_formatted),
		cmocka_unit_test(aligned_blocks_are_aligned),
		cmocka_unit_test(secure_memory_is_zeroed_and_kept_out_of_dumps),
		cmocka_unit_test(wipe_clears_just_what_it_is_told),
		cmocka_unit_test(steal_leaves_null),
		cmocka_unit_test(container_of_finds_the_outer_struct),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
