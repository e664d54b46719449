/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What driver.h promises, asked of every kind of driver: places, names,
 * objects, listings, locks.
 */
#include "driver_kit.h"

/* ---- places ---- */

static void test_attach_says_what_is_wrong(void **state)
{
	struct fix *f = *state;
	struct driver *d = NULL;

	assert_int_equal(driver_attach("", &d), -EINVAL);
	assert_int_equal(driver_attach("mem:", &d), -EINVAL);
	assert_int_equal(driver_attach("fault:", &d), -EINVAL);
	assert_int_equal(driver_attach("tape:x", &d), -EINVAL);
	assert_int_equal(driver_attach("fault:tape:x", &d), -EINVAL);
	if (on_disk()) {
		AUTO_FREE char *none = mem_printf("%s/none", f->location);
		AUTO_FREE char *file = mem_printf("%s/file", f->location);

		put(f->d, "file", "x");
		assert_int_equal(driver_attach(none, &d), -ENOENT);
		assert_int_equal(driver_attach(file, &d), -ENOTDIR);
	}
	assert_null(d);
	driver_detach(NULL);
}

static void test_two_attach_one_place(void **state)
{
	struct fix *f = *state;
	struct driver *other;

	assert_int_equal(driver_attach(f->location, &other), 0);
	put(f->d, "a", "one");
	expect_text(other, "a", "one");
	driver_detach(other);
	expect_text(f->d, "a", "one");
}

static void test_identity_and_domain_tell_places_apart(void **state)
{
	struct fix *f = *state;
	struct drv_identity mine, same, sub;
	struct drv_usage usage, same_usage;
	struct driver *other;

	assert_int_equal(driver_identity(f->d, &mine), 0);
	assert_int_equal(driver_usage(f->d, &usage), 0);
	assert_int_equal(driver_attach(f->location, &other), 0);
	assert_int_equal(driver_identity(other, &same), 0);
	assert_int_equal(driver_usage(other, &same_usage), 0);
	driver_detach(other);
	assert_true(mine.dev == same.dev && mine.ino == same.ino);
	assert_true(usage.domain == same_usage.domain);

	AUTO_FREE char *second =
		mem_printf("%s%s", f->location, on_disk() ? "/sub" : "-sub");
	put(f->d, "sub/x", "x");
	assert_int_equal(driver_attach(second, &other), 0);
	assert_int_equal(driver_identity(other, &sub), 0);
	driver_detach(other);
	assert_false(mine.dev == sub.dev && mine.ino == sub.ino);
	if (!on_disk())
		mem_driver_forget(driver_location_path(second));
}

static void test_usage_is_plausible(void **state)
{
	struct fix *f = *state;
	struct drv_usage u;

	assert_int_equal(driver_usage(f->d, &u), 0);
	assert_true(u.total_bytes > 0);
	assert_true(u.free_bytes <= u.total_bytes);
}

/* ---- names ---- */

static void test_names(void **state)
{
	static const char *const good[] = {"a",	    "A-0_.z", "a/b",
					   "a/b/c", "...",    ".x"};
	static const char *const bad[] = {"",	      "/",	 "/a",	"a/",
					  "a//b",     "a/b/c/d", ".",	"..",
					  "a/..",     "./a",	 "a b", "a\n",
					  "\xc3\xa4", "a/b/.",	 "a:b", "a\\b"};
	char longest[DRV_NAME_MAX + 2];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(good); i++)
		assert_true(driver_name_ok(good[i]));
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(driver_name_ok(bad[i]));
	assert_false(driver_name_ok(NULL));
	memset(longest, 'x', sizeof(longest));
	longest[DRV_NAME_MAX + 1] = '\0';
	assert_false(driver_name_ok(longest));
	longest[DRV_NAME_MAX] = '\0';
	assert_true(driver_name_ok(longest));
}

static void test_longest_name_works(void **state)
{
	struct fix *f = *state;
	char name[DRV_NAME_MAX + 1] = "";
	struct seen s;

	memset(name, 'n', DRV_NAME_MAX);
	name[1] = '/';
	name[3] = '/';
	put(f->d, name, "far");
	expect_text(f->d, name, "far");
	s = list(f->d, "n/n");
	assert_int_equal(listed(&s, name), 3);
	assert_int_equal(driver_remove(f->d, name), 0);
}

static void test_location_path(void **state)
{
	(void)state;
	assert_string_equal(driver_location_path("/a/b"), "/a/b");
	assert_string_equal(driver_location_path("dir:/a"), "/a");
	assert_string_equal(driver_location_path("fault:dir:/a"), "/a");
	assert_string_equal(driver_location_path("fault:mem:x"), "x");
	assert_string_equal(driver_location_path("/a/mem:x"), "/a/mem:x");
}

/* ---- objects ---- */

static void test_create_takes_the_name(void **state)
{
	struct fix *f = *state;
	struct drv_file *o;

	assert_int_equal(open_rc(f->d, "a", DRV_READ), -ENOENT);
	assert_int_equal(open_rc(f->d, "a", DRV_WRITE), -ENOENT);
	assert_int_equal(open_rc(f->d, "no/folder/a", DRV_READ), -ENOENT);
	o = opened(f->d, "a", DRV_WRITE | DRV_CREATE);
	assert_int_equal(open_rc(f->d, "a", DRV_WRITE | DRV_CREATE), -EEXIST);
	driver_close(o);
	assert_int_equal(open_rc(f->d, "a", DRV_WRITE | DRV_CREATE), -EEXIST);
	assert_int_equal(open_rc(f->d, "a", DRV_WRITE), 0);
	driver_close(NULL);
}

static void test_folders_come_with_objects(void **state)
{
	struct fix *f = *state;

	put(f->d, "x/y/one", "1");
	put(f->d, "x/y/two", "2");
	put(f->d, "x/three", "3");
	expect_text(f->d, "x/y/one", "1");
	expect_text(f->d, "x/y/two", "2");
	expect_text(f->d, "x/three", "3");
}

static void test_object_is_no_folder(void **state)
{
	struct fix *f = *state;
	const unsigned create = DRV_WRITE | DRV_CREATE;
	struct seen s = {0};

	put(f->d, "a", "x");
	put(f->d, "b/c", "y");
	assert_int_equal(open_rc(f->d, "a/b", create), -ENOTDIR);
	assert_int_equal(open_rc(f->d, "a/b", DRV_READ), -ENOTDIR);
	assert_int_equal(driver_list(f->d, "a", see, &s), -ENOTDIR);
	assert_int_equal(open_rc(f->d, "b", DRV_READ), -EISDIR);
	assert_int_equal(open_rc(f->d, "b", create), -EEXIST);
	assert_int_equal(driver_remove(f->d, "b"), -EISDIR);
	assert_int_equal(driver_rename(f->d, "a", "b"), -EISDIR);
	expect_text(f->d, "a", "x");
	expect_text(f->d, "b/c", "y");
}

static void test_reads_are_short_at_the_end_only(void **state)
{
	struct fix *f = *state;
	struct drv_file *o;
	char got[16] = "";

	put(f->d, "a", "0123456789");
	o = opened(f->d, "a", DRV_READ);
	assert_int_equal(driver_read(o, got, 4, 3), 4);
	assert_memory_equal(got, "3456", 4);
	assert_int_equal(driver_read(o, got, 16, 7), 3);
	assert_memory_equal(got, "789", 3);
	assert_int_equal(driver_read(o, got, 16, 10), 0);
	assert_int_equal(driver_read(o, got, 16, 1u << 30), 0);
	assert_int_equal(driver_read(o, got, 0, 0), 0);
	driver_close(o);
}

static void test_writes_overwrite_and_extend(void **state)
{
	static const char zeros[90];
	struct fix *f = *state;
	struct drv_file *o = opened(f->d, "a", DRV_WRITE | DRV_CREATE);
	char got[128];
	uint64_t size;

	assert_int_equal(driver_size(o, &size), 0);
	assert_int_equal(size, 0);
	assert_int_equal(driver_write(o, "abcdef", 6, 0), 0);
	assert_int_equal(driver_write(o, "XY", 2, 2), 0);
	assert_int_equal(driver_write(o, "end", 3, 96), 0);
	assert_int_equal(driver_write(o, "", 0, 0), 0);
	assert_int_equal(driver_size(o, &size), 0);
	assert_int_equal(size, 99);
	assert_int_equal(driver_read(o, got, sizeof(got), 0), 99);
	assert_memory_equal(got, "abXYef", 6);
	assert_memory_equal(got + 6, zeros, 90);
	assert_memory_equal(got + 96, "end", 3);
	assert_int_equal(driver_sync(o), 0);
	assert_int_equal(driver_sync(o), 0);
	driver_close(o);
}

static void test_dsync_files(void **state)
{
	struct fix *f = *state;
	struct drv_file *o;

	put(f->d, "j", "........");
	o = opened(f->d, "j", DRV_WRITE | DRV_DSYNC);
	assert_int_equal(driver_write(o, "ab", 2, 3), 0);
	assert_int_equal(driver_sync(o), 0);
	driver_close(o);
	expect_text(f->d, "j", "...ab...");
}

static void test_direct_files(void **state)
{
	struct fix *f = *state;
	AUTO_BUF struct buf *b = buf_new(4 * DRV_BLOCK);
	AUTO_BUF struct buf *got = buf_new(8 * DRV_BLOCK);
	const unsigned direct = DRV_WRITE | DRV_DIRECT;
	struct drv_file *o = opened(f->d, "d/x", direct | DRV_CREATE);

	fill(b->data, b->len, 1);
	assert_int_equal(driver_write(o, b->data, b->len, 0), 0);
	assert_int_equal(driver_write(o, b->data, DRV_BLOCK, DRV_BLOCK), 0);
	assert_int_equal(driver_sync(o), 0);
	driver_close(o);
	o = opened(f->d, "d/x", DRV_WRITE);
	assert_int_equal(driver_write(o, "tail", 4, b->len), 0);
	assert_int_equal(driver_sync(o), 0);
	driver_close(o);

	o = opened(f->d, "d/x", DRV_READ | DRV_DIRECT);
	assert_int_equal(driver_read(o, got->data, got->len, 0), b->len + 4);
	assert_memory_equal(got->data, b->data, DRV_BLOCK);
	assert_memory_equal(got->data + DRV_BLOCK, b->data, DRV_BLOCK);
	assert_memory_equal(got->data + 2 * DRV_BLOCK, b->data + 2 * DRV_BLOCK,
			    2 * DRV_BLOCK);
	assert_memory_equal(got->data + b->len, "tail", 4);
	assert_int_equal(driver_read(o, got->data, DRV_BLOCK, b->len), 4);
	assert_memory_equal(got->data, "tail", 4);
	assert_int_equal(driver_read(o, got->data, DRV_BLOCK, got->len), 0);
	driver_close(o);
}

static void test_remove(void **state)
{
	struct fix *f = *state;

	put(f->d, "a/b", "x");
	assert_int_equal(driver_remove(f->d, "a/b"), 0);
	assert_int_equal(driver_remove(f->d, "a/b"), -ENOENT);
	assert_int_equal(driver_remove(f->d, "q/b"), -ENOENT);
	assert_int_equal(open_rc(f->d, "a/b", DRV_READ), -ENOENT);
	put(f->d, "a/b", "again");
	expect_text(f->d, "a/b", "again");
}

static void test_rename(void **state)
{
	struct fix *f = *state;

	put(f->d, "a", "first");
	put(f->d, "b", "second and longer");
	assert_int_equal(driver_rename(f->d, "none", "b"), -ENOENT);
	expect_text(f->d, "b", "second and longer");
	assert_int_equal(driver_rename(f->d, "a", "b"), 0);
	expect_text(f->d, "b", "first");
	assert_int_equal(open_rc(f->d, "a", DRV_READ), -ENOENT);
	assert_int_equal(driver_rename(f->d, "b", "q/r/c"), 0);
	expect_text(f->d, "q/r/c", "first");
	assert_int_equal(driver_rename(f->d, "q/r/c", "q/c"), 0);
	expect_text(f->d, "q/c", "first");
	assert_int_equal(driver_rename(f->d, "q/r/c", "q/c"), -ENOENT);
}

/* ---- listing ---- */

static void test_list(void **state)
{
	struct fix *f = *state;
	struct seen s = list(f->d, "");

	assert_int_equal(s.count, 0);
	s = list(f->d, "none/at");
	assert_int_equal(s.count, 0);
	put(f->d, "top", "12345");
	put(f->d, "x/one", "1");
	put(f->d, "x/y/two", "22");
	put(f->d, "x/y/three", "");
	put(f->d, "xy/z", "333");

	s = list(f->d, "");
	assert_int_equal(s.count, 3);
	assert_int_equal(listed(&s, "top"), 5);
	assert_int_equal(listed(&s, "x"), INT64_MAX);
	assert_int_equal(listed(&s, "xy"), INT64_MAX);
	s = list(f->d, "x");
	assert_int_equal(s.count, 2);
	assert_int_equal(listed(&s, "x/one"), 1);
	assert_int_equal(listed(&s, "x/y"), INT64_MAX);
	s = list(f->d, "x/y");
	assert_int_equal(s.count, 2);
	assert_int_equal(listed(&s, "x/y/two"), 2);
	assert_int_equal(listed(&s, "x/y/three"), 0);
	assert_int_equal(driver_remove(f->d, "x/y/two"), 0);
	assert_int_equal(driver_remove(f->d, "x/y/three"), 0);
	s = list(f->d, "x/y");
	assert_int_equal(s.count, 0);
}

static void test_each_ends_the_listing(void **state)
{
	struct fix *f = *state;
	struct seen s = {.stop_at = 2, .stop_rc = 7};

	put(f->d, "a", "");
	put(f->d, "b", "");
	put(f->d, "c", "");
	assert_int_equal(driver_list(f->d, "", see, &s), 7);
	assert_int_equal(s.count, 2);
	s = (struct seen){.stop_at = 1, .stop_rc = -EXDEV};
	assert_int_equal(driver_list(f->d, "", see, &s), -EXDEV);
	assert_int_equal(s.count, 1);
}

static int remove_listed(void *arg, const char *name, uint64_t size)
{
	(void)size;
	return driver_remove(arg, name);
}

static void test_each_may_use_the_driver(void **state)
{
	struct fix *f = *state;
	struct seen s;

	put(f->d, "x/a", "");
	put(f->d, "x/b", "");
	assert_int_equal(driver_list(f->d, "x", remove_listed, f->d), 0);
	s = list(f->d, "x");
	assert_int_equal(s.count, 0);
}

/* ---- locks ---- */

static void test_one_exclusive_or_many_shared(void **state)
{
	struct fix *f = *state;
	struct driver *a = f->d, *b, *c;

	assert_int_equal(driver_attach(f->location, &b), 0);
	assert_int_equal(driver_attach(f->location, &c), 0);
	assert_int_equal(driver_lock(a, true), 0);
	assert_int_equal(driver_lock(b, true), -ERR_IN_USE);
	assert_int_equal(driver_lock(b, false), -ERR_IN_USE);
	driver_unlock(a);
	assert_int_equal(driver_lock(b, false), 0);
	assert_int_equal(driver_lock(c, false), 0);
	assert_int_equal(driver_lock(a, true), -ERR_IN_USE);
	driver_unlock(b);
	assert_int_equal(driver_lock(a, true), -ERR_IN_USE);
	driver_detach(c);
	assert_int_equal(driver_lock(a, true), 0);
	assert_int_equal(driver_lock(a, true), 0);
	assert_int_equal(driver_lock(b, false), -ERR_IN_USE);
	assert_int_equal(driver_lock(a, false), 0);
	assert_int_equal(driver_lock(b, false), 0);
	driver_unlock(b);
	driver_unlock(b);
	driver_detach(b);
}

static void test_shared_lock_writes_nothing(void **state)
{
	struct fix *f = *state;
	struct driver *b;
	struct seen s;

	assert_int_equal(driver_attach(f->location, &b), 0);
	assert_int_equal(driver_lock(f->d, false), 0);
	s = list(f->d, "");
	assert_int_equal(s.count, 0);
	assert_int_equal(driver_lock(b, true), 0);
	s = list(f->d, "");
	assert_int_equal(s.count, 1);
	assert_int_equal(listed(&s, DRV_LOCK), 0);
	driver_detach(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_attach_says_what_is_wrong),
		CASE(test_two_attach_one_place),
		CASE(test_identity_and_domain_tell_places_apart),
		CASE(test_usage_is_plausible),
		CASE(test_names),
		CASE(test_longest_name_works),
		CASE(test_location_path),
		CASE(test_create_takes_the_name),
		CASE(test_folders_come_with_objects),
		CASE(test_object_is_no_folder),
		CASE(test_reads_are_short_at_the_end_only),
		CASE(test_writes_overwrite_and_extend),
		CASE(test_dsync_files),
		CASE(test_direct_files),
		CASE(test_remove),
		CASE(test_rename),
		CASE(test_list),
		CASE(test_each_ends_the_listing),
		CASE(test_each_may_use_the_driver),
		CASE(test_one_exclusive_or_many_shared),
		CASE(test_shared_lock_writes_nothing),
	};

	return RUN_KINDS(tests);
}
