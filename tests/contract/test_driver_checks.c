/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the dispatcher adds to every kind of driver, and what must hold with
 * many threads and without memory.
 */
#include "driver_kit.h"

#include <stdatomic.h>

#include "base/workq.h"

#define THREADS 8

/* ---- the dispatcher ---- */

static void test_counters(void **state)
{
	struct fix *f = *state;
	struct driver_stats before, after;
	struct drv_file *o;
	char got[8];

	driver_get_stats(f->d, &before);
	assert_int_equal(open_rc(f->d, "a", DRV_READ), -ENOENT);
	o = opened(f->d, "a", DRV_WRITE | DRV_CREATE);
	assert_int_equal(open_rc(f->d, "a", DRV_WRITE | DRV_CREATE), -EEXIST);
	assert_int_equal(driver_write(o, "12345", 5, 0), 0);
	assert_int_equal(driver_sync(o), 0);
	assert_int_equal(driver_read(o, got, 8, 2), 3);
	driver_close(o);
	assert_int_equal(open_rc(f->d, "a/b", DRV_READ), -ENOTDIR);
	driver_get_stats(f->d, &after);
	assert_int_equal(after.calls - before.calls, 8);
	assert_int_equal(after.errors - before.errors, 1);
	assert_int_equal(after.read_bytes - before.read_bytes, 3);
	assert_int_equal(after.written_bytes - before.written_bytes, 5);
	assert_int_equal(after.syncs - before.syncs, 1);
	assert_true(after.busy_ns > before.busy_ns);
}

static struct driver *wronged; /* by the functions below, in a child */

static void bad_name(void)
{
	struct drv_file *f;

	(void)!driver_open(wronged, "../up", DRV_READ, &f);
}
static void bad_rename(void)
{
	(void)!driver_rename(wronged, "a", "a");
}
static void create_for_reading(void)
{
	struct drv_file *f;

	(void)!driver_open(wronged, "new", DRV_CREATE, &f);
}
static void write_for_reading(void)
{
	(void)!driver_write(opened(wronged, "a", DRV_READ), "x", 1, 0);
}
static void sync_for_reading(void)
{
	(void)!driver_sync(opened(wronged, "a", DRV_READ));
}
static void write_unaligned(void)
{
	(void)!driver_write(opened(wronged, "a", DRV_WRITE | DRV_DIRECT), "x",
			    1, 0);
}
static void detach_with_files(void)
{
	(void)opened(wronged, "a", DRV_READ);
	driver_detach(wronged);
}
static void list_too_deep(void)
{
	struct seen s = {0};

	(void)!driver_list(wronged, "a/b/c", see, &s);
}

static void test_programmers_errors_abort(void **state)
{
	struct fix *f = *state;

	put(f->d, "a", "x");
	wronged = f->d;
	assert_true(aborts(bad_name));
	assert_true(aborts(bad_rename));
	assert_true(aborts(create_for_reading));
	assert_true(aborts(write_for_reading));
	assert_true(aborts(sync_for_reading));
	assert_true(aborts(write_unaligned));
	assert_true(aborts(detach_with_files));
	assert_true(aborts(list_too_deep));
}

/* ---- threads ---- */

struct crowd {
	struct driver *d;
	struct drv_file *shared; /* filled with fill(.., 7) */
	atomic_uint next;
	atomic_uint ill;
};

static bool churn_one(struct driver *d, const char *name, unsigned i)
{
	struct drv_file *f;
	unsigned got = 0;
	bool ok;

	if (driver_open(d, name, DRV_WRITE | DRV_CREATE, &f) != 0)
		return false;
	ok = driver_write(f, &i, sizeof(i), 0) == 0 && driver_sync(f) == 0;
	driver_close(f);
	if (!ok || driver_open(d, name, DRV_READ, &f) != 0)
		return false;
	ok = driver_read(f, &got, sizeof(got), 0) == sizeof(got) && got == i;
	driver_close(f);
	return ok && driver_remove(d, name) == 0;
}

static bool read_shared(struct crowd *c, unsigned i)
{
	uint8_t want[64], got[64];

	fill(want, sizeof(want), 7 + i);
	return driver_read(c->shared, got, sizeof(got), i) == sizeof(got) &&
	       memcmp(want, got, sizeof(got)) == 0;
}

static void churn(void *arg)
{
	struct crowd *c = arg;
	unsigned me = atomic_fetch_add(&c->next, 1);

	for (unsigned i = 0; i < 20; i++) {
		char name[64];

		/* everybody makes the same folders at the same time */
		snprintf(name, sizeof(name), "c/%u/%u", i, me);
		if (!churn_one(c->d, name, i) || !read_shared(c, i))
			atomic_fetch_add(&c->ill, 1);
	}
}

static void test_many_threads(void **state)
{
	struct fix *f = *state;
	struct crowd c = {.d = f->d};
	struct workq *q;
	uint8_t bytes[256];

	fill(bytes, sizeof(bytes), 7);
	c.shared = opened(f->d, "shared", DRV_WRITE | DRV_CREATE);
	assert_int_equal(driver_write(c.shared, bytes, sizeof(bytes), 0), 0);
	assert_int_equal(workq_new("crowd", THREADS, &q), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(workq_submit(q, churn, &c), 0);
	workq_free(q);
	driver_close(c.shared);
	assert_int_equal(atomic_load(&c.ill), 0);
}

static void create_contested(void *arg)
{
	struct crowd *c = arg;
	int rc = open_rc(c->d, "only/one", DRV_WRITE | DRV_CREATE);

	if (rc == 0)
		atomic_fetch_add(&c->next, 1);
	else if (rc != -EEXIST)
		atomic_fetch_add(&c->ill, 1);
}

static void test_one_creator_wins(void **state)
{
	struct fix *f = *state;
	struct crowd c = {.d = f->d};
	struct workq *q;

	assert_int_equal(workq_new("crowd", THREADS, &q), 0);
	for (unsigned i = 0; i < THREADS * 4; i++)
		assert_int_equal(workq_submit(q, create_contested, &c), 0);
	workq_free(q);
	assert_int_equal(atomic_load(&c.next), 1);
	assert_int_equal(atomic_load(&c.ill), 0);
}

/* ---- no memory ---- */

/* Some of everything; the first error that is not the wanted kind of answer. */
static int script(const char *location)
{
	struct driver *d = NULL;
	struct drv_file *f = NULL;
	struct seen s = {0};
	int rc = driver_attach(location, &d);

	if (rc != 0)
		return rc;
	rc = driver_lock(d, true);
	if (rc == 0)
		rc = driver_open(d, "s/t/a", DRV_WRITE | DRV_CREATE, &f);
	if (rc == 0)
		rc = driver_write(f, "abc", 3, 0);
	if (rc == 0)
		rc = driver_sync(f);
	driver_close(f);
	if (rc == 0)
		rc = driver_rename(d, "s/t/a", "s/b");
	if (rc == 0)
		rc = driver_list(d, "s", see, &s);
	if (rc == 0)
		rc = driver_remove(d, "s/b");
	driver_detach(d);
	return rc;
}

static void clean(struct driver *d)
{
	static const char *const names[] = {"s/t/a", "s/b", DRV_LOCK};

	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		(void)!driver_remove(d, names[i]);
}

static void test_any_allocation_may_fail(void **state)
{
	struct fix *f = *state;
	unsigned failed = 0;

	for (unsigned i = 1;; i++) {
		uint64_t count;
		int rc;

		mem_fail_at(i, 0);
		rc = script(f->location);
		count = mem_count();
		mem_fail_at(0, 0);
		assert_true(rc == 0 || rc == -ENOMEM);
		failed += rc != 0;
		clean(f->d);
		if (count < i)
			break;
	}
	assert_true(failed > 1);
	assert_int_equal(script(f->location), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_counters),
		CASE(test_programmers_errors_abort),
		CASE(test_many_threads),
		CASE(test_one_creator_wins),
		CASE(test_any_allocation_may_fail),
	};

	return RUN_KINDS(tests);
}
