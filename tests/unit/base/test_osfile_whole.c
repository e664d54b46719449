/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of osfile.h that are made of several system calls. */
#include "base_place.h"

#include <errno.h>
#include <sys/stat.h>

static void parents_are_made(void **state)
{
	const struct place *p = *state;
	AUTO_FREE char *path = in(p, "a//b/c/");

	assert_int_equal(os_mkdir_parents(path, 0700), 0);
	assert_int_equal(faccessat(p->dir, "a/b/c", F_OK, 0), 0);
	/* and again */
	assert_int_equal(os_mkdir_parents(path, 0700), 0);
	assert_int_equal(os_mkdir_parents("/", 0700), 0);
	assert_int_equal(os_mkdir_parents("", 0700), -ENOENT);
}

static void a_file_in_the_way_is_an_error(void **state)
{
	AUTO_FREE char *path = in(*state, "file");
	AUTO_FREE char *below = in(*state, "file/x/y");

	os_close(new_file(*state, "file"));
	assert_int_equal(os_mkdir_parents(path, 0700), -ENOTDIR);
	assert_int_equal(os_mkdir_parents(below, 0700), -ENOTDIR);
}

static void making_parents_can_fail(void **state)
{
	AUTO_FREE char *path = in(*state, "a/b");

	os_fail_at(2, EIO, 0);
	assert_int_equal(os_mkdir_parents(path, 0700), -EIO);
	mem_fail_at(1, 0);
	assert_int_equal(os_mkdir_parents(path, 0700), -ENOMEM);
}

/* whole files */

static void expect_content(const char *path, const char *want)
{
	AUTO_FREE uint8_t *got = NULL;
	size_t len;

	assert_int_equal(os_read_file(path, 1000, &got, &len), 0);
	assert_int_equal(len, strlen(want));
	assert_string_equal((char *)got, want);
}

static void a_file_is_replaced(void **state)
{
	const struct place *p = *state;
	AUTO_FREE char *path = in(p, "f");
	struct stat st;

	assert_int_equal(os_replace_file(path, "one", 3), 0);
	expect_content(path, "one");
	assert_int_equal(os_replace_file(path, "", 0), 0);
	expect_content(path, "");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(names_in(p), 1);
}

static void a_relative_name_is_replaced_too(void **state)
{
	const struct place *p = *state;
	AUTO_FREE char *path = in(p, "f");
	AUTO_FD int old = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc;

	assert_int_equal(fchdir(p->dir), 0);
	rc = os_replace_file("f", "here", 4);
	assert_int_equal(fchdir(old), 0);
	assert_int_equal(rc, 0);
	expect_content(path, "here");
}

static int remove_if_temporary(void *arg, const char *name)
{
	const struct place *p = arg;

	return strstr(name, ".tmp") ? os_unlinkat(p->dir, name, 0) : 0;
}

static void remove_temporary(struct place *p)
{
	assert_int_equal(os_each_name(p->dir, remove_if_temporary, p), 0);
}

/* The last step is the fsync of the folder: by then the name has moved. */
static void a_failed_replacement_leaves_the_old_content(void **state)
{
	struct place *p = *state;
	AUTO_FREE char *path = in(p, "f");
	uint64_t steps;

	os_fail_at(0, 0, 0);
	assert_int_equal(os_replace_file(path, "old", 3), 0);
	steps = os_count();
	assert_true(steps >= 5);
	for (uint64_t i = 1; i < steps; i++) {
		os_fail_at(i, EIO, 0);
		assert_int_equal(os_replace_file(path, "new", 3), -EIO);
		os_fail_at(0, 0, 0);
		expect_content(path, "old");
		assert_int_equal(names_in(p), 1);
	}
	/* Where nothing works any more, not even the removal does. */
	for (uint64_t i = 1; i < steps; i++) {
		os_fail_at(i, EIO, 1);
		assert_int_equal(os_replace_file(path, "new", 3), -EIO);
		os_fail_at(0, 0, 0);
		expect_content(path, "old");
		remove_temporary(p);
		assert_int_equal(names_in(p), 1);
	}
	os_fail_at(steps, EIO, 0);
	assert_int_equal(os_replace_file(path, "new", 3), -EIO);
	os_fail_at(0, 0, 0);
	expect_content(path, "new");
	assert_int_equal(names_in(p), 1);
}

static void a_replacement_without_memory_changes_nothing(void **state)
{
	AUTO_FREE char *path = in(*state, "f");

	assert_int_equal(os_replace_file(path, "old", 3), 0);
	for (int i = 1; i <= 2; i++) {
		mem_fail_at(i, 0);
		assert_int_equal(os_replace_file(path, "new", 3), -ENOMEM);
	}
	mem_fail_at(0, 0);
	expect_content(path, "old");
}

static void a_folder_is_not_replaced(void **state)
{
	const struct place *p = *state;
	AUTO_FREE char *folder = in(p, "d");
	AUTO_FREE char *slash = in(p, "d/");
	AUTO_FREE char *absent = in(p, "absent/f");

	assert_int_equal(os_mkdirat(p->dir, "d", 0700), 0);
	assert_int_equal(os_replace_file(folder, "x", 1), -EISDIR);
	assert_int_equal(os_replace_file(slash, "x", 1), -ENOENT);
	assert_int_equal(os_replace_file(absent, "x", 1), -ENOENT);
	assert_int_equal(names_in(p), 1);
}

static void a_file_of_at_most_max_is_read(void **state)
{
	AUTO_FREE char *path = in(*state, "f");
	uint8_t *got = NULL;
	size_t len = 0;

	assert_int_equal(os_replace_file(path, "12345", 5), 0);
	assert_int_equal(os_read_file(path, 4, &got, &len), -EFBIG);
	assert_int_equal(os_read_file(path, 0, &got, &len), -EFBIG);
	assert_null(got);
	assert_int_equal(os_read_file(path, 5, &got, &len), 0);
	assert_int_equal(len, 5);
	mem_free(got);
	assert_int_equal(os_read_file(path, SIZE_MAX, &got, &len), 0);
	assert_string_equal((char *)got, "12345");
	mem_free(got);
}

/* Around the size of one read, where an error by one would show. */
static void files_of_many_reads_are_read(void **state)
{
	static const size_t sizes[] = {65535, 65536, 65537, 131074, 300000};
	AUTO_FREE char *path = in(*state, "f");
	AUTO_FREE uint8_t *data = mem_alloc(300000);

	for (size_t i = 0; i < 300000; i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		AUTO_FREE uint8_t *got = NULL;
		size_t len = 0;

		assert_int_equal(os_replace_file(path, data, sizes[i]), 0);
		assert_int_equal(os_read_file(path, sizes[i], &got, &len), 0);
		assert_int_equal(len, sizes[i]);
		assert_memory_equal(got, data, len);
	}
}

static void files_that_state_no_size_are_read(void **state)
{
	AUTO_FREE uint8_t *got = NULL;
	size_t len = 0;

	(void)state;
	assert_int_equal(os_read_file("/proc/self/stat", 4096, &got, &len), 0);
	assert_true(len > 10);
	assert_int_equal(strlen((char *)got), len);
}

static void reading_a_file_can_fail(void **state)
{
	AUTO_FREE char *path = in(*state, "f");
	uint8_t *got = NULL;
	size_t len;

	assert_int_equal(os_replace_file(path, "12345", 5), 0);
	for (int i = 1; i <= 2; i++) {
		os_fail_at(i, EIO, 0);
		assert_int_equal(os_read_file(path, 9, &got, &len), -EIO);
	}
	mem_fail_at(1, 0);
	assert_int_equal(os_read_file(path, 9, &got, &len), -ENOMEM);
	assert_int_equal(os_read_file("/", 9, &got, &len), -EISDIR);
	assert_null(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(parents_are_made),
		IN_PLACE(a_file_in_the_way_is_an_error),
		IN_PLACE(making_parents_can_fail),
		IN_PLACE(a_file_is_replaced),
		IN_PLACE(a_relative_name_is_replaced_too),
		IN_PLACE(a_failed_replacement_leaves_the_old_content),
		IN_PLACE(a_replacement_without_memory_changes_nothing),
		IN_PLACE(a_folder_is_not_replaced),
		IN_PLACE(a_file_of_at_most_max_is_read),
		IN_PLACE(files_of_many_reads_are_read),
		IN_PLACE(files_that_state_no_size_are_read),
		IN_PLACE(reading_a_file_can_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
