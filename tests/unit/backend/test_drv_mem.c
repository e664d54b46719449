/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is special about stores in memory; the rest is in
 * contract/test_driver.c. M1-M4 are the rules on top of drv_mem.c.
 */
#include "unit/base/base_place.h"

#include "backend/driver.h"

static struct driver *attached(const char *location)
{
	struct driver *d = NULL;

	assert_int_equal(driver_attach(location, &d), 0);
	return d;
}

static void put(struct driver *d, const char *name, const char *text)
{
	struct drv_file *f;

	assert_int_equal(driver_open(d, name, DRV_WRITE | DRV_CREATE, &f), 0);
	assert_int_equal(driver_write(f, text, strlen(text), 0), 0);
	driver_close(f);
}

static bool has(struct driver *d, const char *name)
{
	struct drv_file *f = NULL;
	int rc = driver_open(d, name, DRV_READ, &f);

	driver_close(f);
	assert_true(rc == 0 || rc == -ENOENT);
	return rc == 0;
}

static uint64_t free_bytes(struct driver *d)
{
	struct drv_usage u;

	assert_int_equal(driver_usage(d, &u), 0);
	return u.free_bytes;
}

static void test_store_outlives_its_users(void **state) /* M1 */
{
	struct driver *d = attached("mem:stay");

	(void)state;
	put(d, "a", "x");
	driver_detach(d);
	d = attached("mem:stay");
	assert_true(has(d, "a"));
	driver_detach(d);
	mem_driver_forget("stay");
	d = attached("mem:stay");
	assert_false(has(d, "a"));
	driver_detach(d);
	mem_driver_forget("stay");
	mem_driver_forget("stay");
}

static void test_forgotten_once_not_attached(void **state) /* M1 */
{
	struct driver *d = attached("mem:used");
	struct driver *other = attached("mem:used");

	(void)state;
	put(d, "a", "x");
	mem_driver_forget("used");
	assert_true(has(d, "a"));
	driver_detach(d);
	assert_true(has(other, "a"));
	driver_detach(other);
	d = attached("mem:used");
	assert_false(has(d, "a"));
	mem_driver_forget("used");
	driver_detach(d);
}

static void test_names_are_different_stores(void **state)
{
	struct driver *d = attached("mem:one");
	struct driver *other = attached("mem:two");

	(void)state;
	put(d, "a", "x");
	assert_false(has(other, "a"));
	driver_detach(d);
	driver_detach(other);
	mem_driver_forget("one");
	mem_driver_forget("two");
}

static void test_space_comes_back(void **state) /* M3 */
{
	struct driver *d = attached("mem:space");
	uint64_t empty = free_bytes(d);
	struct drv_file *f;
	char got[4] = "";

	(void)state;
	put(d, "a", "old");
	put(d, "b", "new");
	assert_true(free_bytes(d) < empty);
	assert_int_equal(driver_open(d, "a", DRV_READ, &f), 0);
	assert_int_equal(driver_rename(d, "b", "a"), 0);
	assert_int_equal(driver_remove(d, "a"), 0);
	assert_false(has(d, "a"));
	assert_int_equal(driver_read(f, got, 3, 0), 3);
	assert_string_equal(got, "old");
	assert_true(free_bytes(d) < empty);
	driver_close(f);
	assert_true(free_bytes(d) == empty);
	driver_detach(d);
	mem_driver_forget("space");
}

static void test_size_beyond_the_store(void **state)
{
	struct driver *d = attached("mem:huge");
	struct drv_file *f;
	uint64_t size;

	(void)state;
	assert_int_equal(driver_open(d, "a", DRV_WRITE | DRV_CREATE, &f), 0);
	assert_int_equal(driver_write(f, "x", 1, 1ULL << 60), -ENOSPC);
	assert_int_equal(driver_size(f, &size), 0);
	assert_int_equal(size, 0);
	driver_close(f);
	driver_detach(d);
	mem_driver_forget("huge");
}

/* A place that fills up, and has room again. */
static void test_a_small_store(void **state)
{
	struct driver *d = attached("mem:small");
	static const uint8_t block[DRV_BLOCK];
	struct drv_usage u;
	struct drv_file *f;

	(void)state;
	put(d, "a", "kept");
	assert_int_equal(mem_driver_size("small", 5 * DRV_BLOCK), 0);
	assert_int_equal(driver_usage(d, &u), 0);
	assert_int_equal(u.total_bytes, 5 * DRV_BLOCK);
	assert_int_equal(u.free_bytes, 4 * DRV_BLOCK);
	assert_int_equal(driver_open(d, "b", DRV_WRITE | DRV_CREATE, &f), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(driver_write(f, block, sizeof(block),
					      i * sizeof(block)),
				 0);
	assert_int_equal(driver_write(f, block, 1, 4 * sizeof(block)), -ENOSPC);
	assert_int_equal(driver_write(f, "over", 4, 0), 0);
	assert_true(free_bytes(d) == 0);
	assert_int_equal(mem_driver_size("small", DRV_BLOCK), 0);
	assert_true(free_bytes(d) == 0);
	assert_true(has(d, "a"));
	driver_close(f);
	assert_int_equal(driver_remove(d, "b"), 0);
	assert_int_equal(mem_driver_size("small", 3 * DRV_BLOCK), 0);
	assert_true(free_bytes(d) == 2 * DRV_BLOCK);
	driver_detach(d);
	mem_driver_forget("small");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_store_outlives_its_users),
		cmocka_unit_test(test_forgotten_once_not_attached),
		cmocka_unit_test(test_names_are_different_stores),
		cmocka_unit_test(test_space_comes_back),
		cmocka_unit_test(test_size_beyond_the_store),
		cmocka_unit_test(test_a_small_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
