/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver that misbehaves: each kind of rule, alone and together.
 */
#include "unit/base/base_place.h"

#include <stdatomic.h>
#include <time.h>

#include "backend/driver.h"
#include "backend/drv_fault.h"
#include "base/buf.h"
#include "base/workq.h"

#define PLACE "fault:mem:fault-test"

static int set_up(void **state)
{
	struct driver *d = NULL;

	if (driver_attach(PLACE, &d) != 0)
		return -1;
	*state = d;
	return 0;
}

static int tear_down(void **state)
{
	int rc;

	fault_clear(PLACE);
	driver_detach(*state);
	rc = fault_power_cut(PLACE); /* nothing to undo is left to the next */
	mem_driver_forget("fault-test");
	return rc;
}

/* ---- helpers ---- */

static void add(const struct fault_rule *r)
{
	assert_int_equal(fault_add(PLACE, r), 0);
}

static void add_kind(enum fault_kind kind, const char *prefix)
{
	const struct fault_rule r = {.kind = kind,
				     .ops = FAULT_OP_ALL,
				     .prefix = prefix,
				     .err = EIO};

	add(&r);
}

static struct drv_file *opened(struct driver *d, const char *name,
			       unsigned flags)
{
	struct drv_file *f = NULL;

	assert_int_equal(driver_open(d, name, flags, &f), 0);
	return f;
}

static int open_rc(struct driver *d, const char *name, unsigned flags)
{
	struct drv_file *f = NULL;
	int rc = driver_open(d, name, flags, &f);

	driver_close(f);
	return rc;
}

static int create_rc(struct driver *d, const char *name)
{
	return open_rc(d, name, DRV_WRITE | DRV_CREATE);
}

/* write and sync at off of an object that exists, or is made */
static int write_at(struct driver *d, const char *name, const char *text,
		    uint64_t off)
{
	struct drv_file *f;
	int rc = driver_open(d, name, DRV_WRITE, &f);

	if (rc == -ENOENT)
		rc = driver_open(d, name, DRV_WRITE | DRV_CREATE, &f);
	if (rc != 0)
		return rc;
	rc = driver_write(f, text, strlen(text), off);
	if (rc == 0)
		rc = driver_sync(f);
	driver_close(f);
	return rc;
}

static void expect_text(struct driver *d, const char *name, const char *text)
{
	struct drv_file *f = opened(d, name, DRV_READ);
	char got[256] = "";

	assert_int_equal(driver_read(f, got, sizeof(got) - 1, 0), strlen(text));
	assert_string_equal(got, text);
	driver_close(f);
}

static int see(void *arg, const char *name, uint64_t size)
{
	(void)name;
	(void)size;
	++*(unsigned *)arg;
	return 0;
}

static int list_rc(struct driver *d, const char *folder)
{
	unsigned n = 0;

	return driver_list(d, folder, see, &n);
}

/* Everything a driver can be asked; the bit of each that failed with rc. */
static unsigned ops_failing_with(struct driver *d, int rc)
{
	struct drv_file *f = NULL;
	struct drv_usage u;
	unsigned bad = 0;
	char got[4];

	bad |= open_rc(d, "a", DRV_READ) == rc ? FAULT_OP_OPEN : 0;
	bad |= create_rc(d, "new") == rc ? FAULT_OP_CREATE : 0;
	bad |= list_rc(d, "") == rc ? FAULT_OP_LIST : 0;
	bad |= driver_usage(d, &u) == rc ? FAULT_OP_USAGE : 0;
	bad |= driver_lock(d, false) == rc ? FAULT_OP_LOCK : 0;
	bad |= driver_rename(d, "a", "b") == rc ? FAULT_OP_RENAME : 0;
	bad |= driver_remove(d, "b") == rc ? FAULT_OP_REMOVE : 0;
	if (driver_open(d, "c", DRV_WRITE, &f) != 0)
		return bad;
	bad |= driver_write(f, "x", 1, 0) == rc ? FAULT_OP_WRITE : 0;
	bad |= driver_read(f, got, 1, 0) == rc ? FAULT_OP_READ : 0;
	bad |= driver_sync(f) == rc ? FAULT_OP_SYNC : 0;
	driver_close(f);
	return bad;
}

/* ---- rules ---- */

static void test_bad_rules(void **state)
{
	const struct fault_rule good = {
		.kind = FAULT_ERROR, .ops = 1, .prefix = "", .err = EIO};
	struct fault_rule r = good;

	(void)state;
	assert_int_equal(fault_add("mem:fault-test", &r), -EINVAL);
	r.err = 0;
	assert_int_equal(fault_add(PLACE, &r), -EINVAL);
	r = good;
	r.ops = 0;
	assert_int_equal(fault_add(PLACE, &r), -EINVAL);
	r = good;
	r.kind = FAULT_KINDS;
	assert_int_equal(fault_add(PLACE, &r), -EINVAL);
	r = good;
	r.kind = FAULT_TORN; /* can never tear an open */
	assert_int_equal(fault_add(PLACE, &r), -EINVAL);
	mem_fail_at(1, 1);
	assert_int_equal(fault_add(PLACE, &good), -ENOMEM);
	mem_fail_at(0, 0);
	assert_int_equal(fault_hits("fault:mem:never-named"), 0);
	fault_clear("fault:mem:never-named");
	assert_int_equal(fault_power_cut("fault:mem:never-named"), 0);
}

static void test_each_op_alone(void **state)
{
	struct driver *d = *state;

	for (unsigned op = 1; op < FAULT_OP_ATTACH; op <<= 1) {
		const struct fault_rule r = {.kind = FAULT_ERROR,
					     .ops = op,
					     .prefix = "",
					     .err = EUCLEAN};

		(void)!driver_remove(d, "new");
		(void)!driver_remove(d, "b");
		assert_int_equal(write_at(d, "a", "x", 0), 0);
		assert_int_equal(write_at(d, "c", "x", 0), 0);
		add(&r);
		assert_int_equal(ops_failing_with(d, -EUCLEAN), op);
		fault_clear(PLACE);
	}
}

static void test_skip_and_times(void **state)
{
	struct driver *d = *state;
	const struct fault_rule r = {.kind = FAULT_ERROR,
				     .ops = FAULT_OP_OPEN,
				     .prefix = "",
				     .skip = 2,
				     .times = 3,
				     .err = EIO};
	static const int want[] = {0, 0, -EIO, -EIO, -EIO, 0, 0};

	assert_int_equal(create_rc(d, "a"), 0);
	add(&r);
	for (unsigned i = 0; i < ARRAY_LEN(want); i++)
		assert_int_equal(open_rc(d, "a", DRV_READ), want[i]);
	assert_int_equal(fault_hits(PLACE), 3);
	fault_clear(PLACE);
	assert_int_equal(fault_hits(PLACE), 0);
}

static void test_prefix(void **state)
{
	struct driver *d = *state;

	assert_int_equal(create_rc(d, "data/a"), 0);
	assert_int_equal(create_rc(d, "date"), 0);
	add_kind(FAULT_ERROR, "data/");
	assert_int_equal(open_rc(d, "data/a", DRV_READ), -EIO);
	assert_int_equal(create_rc(d, "data/b"), -EIO);
	assert_int_equal(list_rc(d, "data"), -EIO);
	assert_int_equal(driver_rename(d, "data/a", "x"), -EIO);
	assert_int_equal(driver_rename(d, "date", "data/x"), -EIO);
	assert_int_equal(open_rc(d, "date", DRV_READ), 0);
	assert_int_equal(list_rc(d, ""), 0);
	assert_int_equal(driver_lock(d, false), 0);
	assert_int_equal(fault_hits(PLACE), 5);
}

static void test_two_attaches_share_rules(void **state)
{
	struct driver *d = *state, *other;

	assert_int_equal(driver_attach(PLACE, &other), 0);
	assert_int_equal(create_rc(d, "a"), 0);
	add_kind(FAULT_ERROR, "a");
	assert_int_equal(open_rc(d, "a", DRV_READ), -EIO);
	assert_int_equal(open_rc(other, "a", DRV_READ), -EIO);
	assert_int_equal(fault_hits(PLACE), 2);
	driver_detach(other);
}

static void test_attach_may_fail(void **state)
{
	const struct fault_rule r = {.kind = FAULT_ERROR,
				     .ops = FAULT_OP_ATTACH,
				     .prefix = "",
				     .times = 1,
				     .err = EACCES};
	struct driver *d;

	(void)state;
	add(&r);
	assert_int_equal(driver_attach(PLACE, &d), -EACCES);
	assert_int_equal(driver_attach(PLACE, &d), 0);
	driver_detach(d);
}

static void test_rules_before_any_attach(void **state)
{
	static const char place[] = "fault:fault:mem:later";
	const struct fault_rule r = {.kind = FAULT_ERROR,
				     .ops = FAULT_OP_CREATE,
				     .prefix = "",
				     .err = EIO};
	struct driver *d;

	(void)state;
	assert_int_equal(fault_add(place, &r), 0);
	assert_int_equal(driver_attach(place, &d), 0);
	assert_int_equal(create_rc(d, "a"), -EIO);
	fault_clear(place);
	assert_int_equal(create_rc(d, "a"), 0);
	driver_detach(d);
	mem_driver_forget("later");
}

/* ---- kinds ---- */

static void test_delay_then_error(void **state)
{
	struct driver *d = *state;
	const struct fault_rule slow = {.kind = FAULT_DELAY,
					.ops = FAULT_OP_OPEN,
					.prefix = "",
					.ms = 15};
	uint64_t start = clock_mono_ns();

	add(&slow);
	add_kind(FAULT_ERROR, "");
	assert_int_equal(open_rc(d, "a", DRV_READ), -EIO);
	assert_true(clock_mono_ns() - start >= 15000000);
	assert_int_equal(fault_hits(PLACE), 1);
}

struct hang {
	struct driver *d;
	atomic_int rc;
};

static void hang_in_create(void *arg)
{
	struct hang *h = arg;

	atomic_store(&h->rc, create_rc(h->d, "h"));
}

static void test_hang_until_cleared(void **state)
{
	struct hang h = {.d = *state, .rc = 1};
	uint64_t end = patience_deadline();
	struct workq *q;

	add_kind(FAULT_HANG, "h");
	assert_int_equal(workq_new("hang", 1, &q), 0);
	assert_int_equal(workq_submit(q, hang_in_create, &h), 0);
	while (fault_hits(PLACE) == 0)
		assert_true(clock_mono_ns() < end);
	assert_int_equal(create_rc(*state, "other"), 0);
	assert_int_equal(open_rc(*state, "g", DRV_READ), -ENOENT);
	assert_int_equal(atomic_load(&h.rc), 1);
	fault_clear(PLACE);
	workq_free(q);
	assert_int_equal(atomic_load(&h.rc), 0);
}

static void test_torn_write(void **state)
{
	struct driver *d = *state;
	AUTO_BUF struct buf *b = buf_new(3 * 1024 + 100);
	struct drv_file *f = opened(d, "a", DRV_WRITE | DRV_CREATE);
	uint8_t got[4096];

	memset(b->data, 'o', b->len);
	assert_int_equal(driver_write(f, b->data, b->len, 0), 0);
	memset(b->data, 'n', b->len);
	add_kind(FAULT_TORN, "");
	assert_int_equal(driver_write(f, b->data, b->len, 0), -EIO);
	assert_int_equal(driver_write(f, b->data, 1000, 2048), -EIO);
	assert_int_equal(driver_read(f, got, sizeof(got), 0), b->len);
	for (size_t i = 0; i < b->len; i++)
		assert_int_equal(got[i], i < 1536 ? 'n' : 'o');
	driver_close(f);
}

static void test_torn_direct_write(void **state)
{
	void *place = NULL;
	struct driver *d;
	struct drv_file *f;
	AUTO_BUF struct buf *b = buf_new(DRV_BLOCK);
	AUTO_FREE char *where = NULL;

	(void)state;
	assert_int_equal(make_place(&place), 0);
	where = mem_printf("fault:dir:%s", ((struct place *)place)->path);
	const struct fault_rule r = {
		.kind = FAULT_TORN, .ops = FAULT_OP_WRITE, .prefix = ""};

	assert_int_equal(driver_attach(where, &d), 0);
	f = opened(d, "a", DRV_WRITE | DRV_CREATE | DRV_DIRECT | DRV_DSYNC);
	memset(b->data, 'o', b->len);
	assert_int_equal(driver_write(f, b->data, b->len, 0), 0);
	memset(b->data, 'n', b->len);
	assert_int_equal(fault_add(where, &r), 0);
	assert_int_equal(driver_write(f, b->data, b->len, 0), -EIO);
	assert_int_equal(driver_read(f, b->data, b->len, 0), b->len);
	for (size_t i = 0; i < b->len; i++)
		assert_int_equal(b->data[i], i < 2048 ? 'n' : 'o');
	assert_int_equal(driver_sync(f), -EIO); /* remembered: C7 */
	driver_close(f);
	driver_detach(d);
	fault_clear(where);
	assert_int_equal(drop_place(&place), 0);
}

static unsigned bits_differing(const uint8_t *a, const uint8_t *b, size_t len)
{
	unsigned n = 0;

	for (size_t i = 0; i < len; i++)
		n += (unsigned)__builtin_popcount(a[i] ^ b[i]);
	return n;
}

static void test_bitrot(void **state)
{
	struct driver *d = *state;
	uint8_t good[1000] = {0}, bad[1000], again[1000];
	struct drv_file *f = opened(d, "a", DRV_WRITE | DRV_CREATE);

	assert_int_equal(driver_write(f, good, sizeof(good), 0), 0);
	add_kind(FAULT_BITROT, "");
	assert_int_equal(driver_read(f, bad, sizeof(bad), 0), sizeof(bad));
	assert_int_equal(bits_differing(good, bad, sizeof(good)), 1);
	assert_int_equal(driver_read(f, again, sizeof(again), 0),
			 sizeof(again));
	assert_memory_equal(bad, again, sizeof(bad)); /* rot stays */
	assert_int_equal(driver_read(f, bad, 10, 1000), 0);
	assert_int_equal(driver_read(f, bad, 1, 999), 1);
	assert_int_equal(bits_differing(good, bad, 1), 1);
	fault_clear(PLACE);
	assert_int_equal(driver_read(f, bad, sizeof(bad), 0), sizeof(bad));
	assert_memory_equal(good, bad, sizeof(good));
	driver_close(f);
}

static void test_vanish(void **state)
{
	struct driver *d = *state, *other;

	assert_int_equal(write_at(d, "a", "x", 0), 0);
	assert_int_equal(write_at(d, "c", "x", 0), 0);
	add_kind(FAULT_VANISH, "");
	assert_int_equal(ops_failing_with(d, -ENOENT),
			 FAULT_OP_OPEN | FAULT_OP_CREATE | FAULT_OP_LIST |
				 FAULT_OP_USAGE | FAULT_OP_LOCK |
				 FAULT_OP_RENAME | FAULT_OP_REMOVE);
	assert_int_equal(driver_attach(PLACE, &other), 0);
	driver_detach(other);
	fault_clear(PLACE);
	expect_text(d, "a", "x");
}

static void test_full(void **state)
{
	struct driver *d = *state;
	struct drv_usage u;

	assert_int_equal(write_at(d, "c", "x", 0), 0);
	add_kind(FAULT_FULL, "");
	assert_int_equal(create_rc(d, "new"), -ENOSPC);
	assert_int_equal(write_at(d, "c", "y", 0), -ENOSPC);
	assert_int_equal(driver_usage(d, &u), 0);
	assert_int_equal(u.free_bytes, 0);
	assert_true(u.total_bytes > 0);
	expect_text(d, "c", "x");
	assert_int_equal(driver_remove(d, "c"), 0); /* never needs space */
}

static void test_failed_sync_is_remembered(void **state)
{
	struct driver *d = *state;
	struct drv_file *f = opened(d, "a", DRV_WRITE | DRV_CREATE);
	const struct fault_rule once = {.kind = FAULT_ERROR,
					.ops = FAULT_OP_SYNC,
					.prefix = "",
					.times = 1,
					.err = ENOSPC};

	add(&once);
	assert_int_equal(driver_sync(f), -ENOSPC);
	assert_int_equal(driver_sync(f), -EIO);
	assert_int_equal(driver_write(f, "x", 1, 0), 0);
	assert_int_equal(driver_sync(f), -EIO);
	driver_close(f);
	assert_int_equal(fault_hits(PLACE), 1);
}

/* ---- lost syncs and power cuts ---- */

static void test_power_cut_takes_back_writes(void **state)
{
	struct driver *d = *state;

	assert_int_equal(write_at(d, "a", "0123456789", 0), 0);
	assert_int_equal(write_at(d, "x/kept", "kept", 0), 0);
	add_kind(FAULT_LOST_SYNC, "");
	assert_int_equal(write_at(d, "a", "ABC", 2), 0);
	assert_int_equal(write_at(d, "a", "DEF", 4), 0);
	assert_int_equal(write_at(d, "a", "longer than before", 8), 0);
	assert_int_equal(write_at(d, "a", "and more", 40), 0);
	assert_int_equal(write_at(d, "x/new", "new", 0), 0);
	expect_text(d, "x/new", "new");
	assert_int_equal(fault_power_cut(PLACE), 0);
	expect_text(d, "a", "0123456789");
	expect_text(d, "x/kept", "kept");
	assert_int_equal(open_rc(d, "x/new", DRV_READ), -ENOENT);
	assert_int_equal(fault_power_cut(PLACE), 0); /* once is enough */
	expect_text(d, "a", "0123456789");
}

static void test_true_sync_keeps(void **state)
{
	struct driver *d = *state;

	add_kind(FAULT_LOST_SYNC, "");
	assert_int_equal(write_at(d, "a", "lost and found", 0), 0);
	assert_int_equal(write_at(d, "b", "lost", 0), 0);
	fault_clear(PLACE);
	assert_int_equal(write_at(d, "a", "k", 0), 0); /* truly synced */
	assert_int_equal(fault_power_cut(PLACE), 0);
	expect_text(d, "a", "kost and found");
	assert_int_equal(open_rc(d, "b", DRV_READ), -ENOENT);
}

static void test_only_covered_names_are_lost(void **state)
{
	struct driver *d = *state;

	add_kind(FAULT_LOST_SYNC, "lost/");
	assert_int_equal(write_at(d, "lost/a", "x", 0), 0);
	assert_int_equal(write_at(d, "kept/a", "x", 0), 0);
	assert_int_equal(fault_power_cut(PLACE), 0);
	assert_int_equal(open_rc(d, "lost/a", DRV_READ), -ENOENT);
	expect_text(d, "kept/a", "x");
}

static void test_some_syncs_are_lost(void **state)
{
	struct driver *d = *state;
	const struct fault_rule third = {.kind = FAULT_LOST_SYNC,
					 .ops = FAULT_OP_SYNC,
					 .prefix = "",
					 .skip = 2};

	add(&third);
	assert_int_equal(write_at(d, "a", "1", 0), 0);
	assert_int_equal(write_at(d, "a", "2", 1), 0);
	assert_int_equal(write_at(d, "a", "3", 2), 0);
	assert_int_equal(write_at(d, "a", "4", 3), 0);
	assert_int_equal(fault_power_cut(PLACE), 0);
	expect_text(d, "a", "12");
}

static void test_dsync_writes_are_lost_too(void **state)
{
	struct driver *d = *state;
	const struct fault_rule second = {.kind = FAULT_LOST_SYNC,
					  .ops = FAULT_OP_SYNC,
					  .prefix = "j",
					  .skip = 1};
	struct drv_file *f;

	assert_int_equal(write_at(d, "j", "........", 0), 0);
	add(&second);
	f = opened(d, "j", DRV_WRITE | DRV_DSYNC);
	assert_int_equal(driver_write(f, "11", 2, 0), 0);
	assert_int_equal(driver_write(f, "22", 2, 2), 0);
	assert_int_equal(driver_write(f, "33", 2, 4), 0);
	driver_close(f);
	expect_text(d, "j", "112233..");
	assert_int_equal(fault_power_cut(PLACE), 0);
	expect_text(d, "j", "11......");
}

static void test_unsynced_writes_are_lost(void **state)
{
	struct driver *d = *state;
	struct drv_file *f;

	assert_int_equal(write_at(d, "a", "old", 0), 0);
	add_kind(FAULT_LOST_SYNC, "a");
	f = opened(d, "a", DRV_WRITE);
	assert_int_equal(driver_write(f, "new!", 4, 0), 0);
	driver_close(f);
	assert_int_equal(fault_power_cut(PLACE), 0);
	expect_text(d, "a", "old");
}

static void test_names_are_durable_at_once(void **state)
{
	struct driver *d = *state;

	assert_int_equal(write_at(d, "a", "old", 0), 0);
	assert_int_equal(write_at(d, "c", "gone", 0), 0);
	add_kind(FAULT_LOST_SYNC, "");
	assert_int_equal(write_at(d, "a", "new", 0), 0);
	assert_int_equal(driver_rename(d, "a", "b"), 0);
	assert_int_equal(write_at(d, "c", "x", 0), 0);
	assert_int_equal(driver_remove(d, "c"), 0);
	assert_int_equal(fault_power_cut(PLACE), 0);
	expect_text(d, "b", "old");
	assert_int_equal(open_rc(d, "a", DRV_READ), -ENOENT);
	assert_int_equal(open_rc(d, "c", DRV_READ), -ENOENT);
}

static void test_recording_needs_memory(void **state)
{
	struct driver *d = *state;
	unsigned failed = 0;

	assert_int_equal(write_at(d, "a", "old", 0), 0);
	add_kind(FAULT_LOST_SYNC, "");
	for (unsigned i = 1; i < 12; i++) {
		int rc;

		mem_fail_at(i, 0);
		rc = write_at(d, "a", "new", 0);
		if (rc == 0)
			rc = write_at(d, "b", "x", 0);
		mem_fail_at(0, 0);
		assert_true(rc == 0 || rc == -ENOMEM);
		failed += rc != 0;
		(void)!driver_remove(d, "b");
	}
	assert_true(failed >= 6);
	assert_int_equal(fault_power_cut(PLACE), 0);
	expect_text(d, "a", "old");
}

/* ---- rules change while calls run ---- */

static void use_it(void *arg)
{
	struct driver *d = arg;

	for (unsigned i = 0; i < 200; i++) {
		char name[32];

		snprintf(name, sizeof(name), "n%u", i % 4);
		(void)!write_at(d, name, "some text", i % 7);
		(void)!driver_remove(d, name);
	}
}

static void steer_it(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 50; i++) {
		add_kind((enum fault_kind)(i % FAULT_KINDS), "n");
		if (i % 4 == 3)
			fault_clear(PLACE);
		(void)fault_hits(PLACE);
	}
	fault_clear(PLACE);
}

static void test_steered_while_running(void **state)
{
	struct workq *q;

	assert_int_equal(workq_new("users", 5, &q), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(workq_submit(q, use_it, *state), 0);
	assert_int_equal(workq_submit(q, steer_it, NULL), 0);
	workq_free(q);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_bad_rules),
		CASE(test_each_op_alone),
		CASE(test_skip_and_times),
		CASE(test_prefix),
		CASE(test_two_attaches_share_rules),
		CASE(test_attach_may_fail),
		CASE(test_rules_before_any_attach),
		CASE(test_delay_then_error),
		CASE(test_hang_until_cleared),
		CASE(test_torn_write),
		CASE(test_torn_direct_write),
		CASE(test_bitrot),
		CASE(test_vanish),
		CASE(test_full),
		CASE(test_failed_sync_is_remembered),
		CASE(test_power_cut_takes_back_writes),
		CASE(test_true_sync_keeps),
		CASE(test_only_covered_names_are_lost),
		CASE(test_some_syncs_are_lost),
		CASE(test_dsync_writes_are_lost_too),
		CASE(test_unsynced_writes_are_lost),
		CASE(test_names_are_durable_at_once),
		CASE(test_recording_needs_memory),
		CASE(test_steered_while_running),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
