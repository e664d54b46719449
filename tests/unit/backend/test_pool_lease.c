/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holding a lease (L1-L4 on top of pool_lease.c): what lapses, what is fenced,
 * who gives way, and that a fenced writer does no harm.
 */
#include "unit/backend/lease_fixture.h"

#include <time.h>

#include "backend/super_format.h"

static void test_taken_on_all(void **state)
{
	struct fixture *f = *state;
	struct pool_lease_stats s;

	f->a = mount_as(f, "north");
	s = stats_of(f->a);
	assert_true(s.held);
	assert_int_equal(s.error, 0);
	assert_int_equal(s.members, 5);
	assert_int_equal(s.needed, 3);
	assert_int_equal(s.age_ms, 0);
	for (unsigned i = 0; i < 5; i++)
		assert_true(kit_has(f->kit.at[i], "lease"));
	pass(f, 3);
	assert_int_equal(stats_of(f->a).age_ms, 3000);
	pool_lease_renew(f->a);
	s = stats_of(f->a);
	assert_int_equal(s.age_ms, 0);
	assert_int_equal(s.renewed, 1);
	pool_lease_release(f->a);
	assert_false(stats_of(f->a).held);
	/* Where there is none, nothing is forbidden. */
	assert_int_equal(pool_lease_check(f->a), 0);
	pool_lease_release(f->a);
	pool_lease_fence(f->a, "nobody");
	pool_lease_renew(f->a);
	assert_int_equal(pool_lease_error(f->a), 0);
}

/* ---- L1 ---- */

static void fail_writes(struct fixture *f, unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++)
		fail_with(f, i, EIO, FAULT_OP_WRITE, "lease");
}

static void test_lapses(void **state)
{
	struct fixture *f = *state;

	f->a = mount_as(f, "north");
	fail_writes(f, 0, 3);
	pool_lease_renew(f->a);
	pass(f, 5);
	assert_int_equal(pool_lease_check(f->a), 0);
	pass(f, 1);
	assert_int_equal(pool_lease_error(f->a), -ERR_LEASE);
	/* Asking tries once more. */
	assert_int_equal(pool_lease_check(f->a), -ERR_LEASE);
	assert_int_equal(stats_of(f->a).members, 2);
	assert_int_equal(stats_of(f->a).error, -ERR_LEASE);
	clear_faults(f);
	assert_int_equal(pool_lease_error(f->a), -ERR_LEASE);
	assert_int_equal(pool_lease_check(f->a), 0);
	assert_int_equal(pool_lease_error(f->a), 0);
	kit_publish(f->a);
}

/* Others need three of five, so three that know of us are enough. */
static void test_some_fail(void **state)
{
	struct fixture *f = *state;

	f->a = mount_as(f, "north");
	fail_writes(f, 0, 2);
	for (unsigned i = 0; i < 5; i++) {
		pass(f, 5);
		pool_lease_renew(f->a);
		assert_int_equal(pool_lease_error(f->a), 0);
	}
	assert_int_equal(stats_of(f->a).members, 3);
}

/* What was written but could not be read back has not been renewed: L2. */
static void test_write_only(void **state)
{
	struct fixture *f = *state;

	f->a = mount_as(f, "north");
	for (unsigned i = 0; i < 3; i++)
		fail_with(f, i, EIO, FAULT_OP_READ, "lease");
	pass(f, 6);
	assert_int_equal(pool_lease_check(f->a), -ERR_LEASE);
	for (unsigned i = 0; i < 3; i++)
		fault_clear(f->kit.at[i]);
	assert_int_equal(pool_lease_check(f->a), 0);
}

static void test_members_go_and_come(void **state)
{
	struct fixture *f = *state;

	f->a = mount_as(f, "north");
	for (unsigned i = 1; i < 3; i++)
		backend_set_down(f->a->member[i].backend, true);
	pass(f, 7);
	assert_int_equal(pool_lease_check(f->a), 0);
	backend_set_down(f->a->member[3].backend, true);
	pass(f, 7);
	assert_int_equal(pool_lease_check(f->a), -ERR_LEASE);
	/* Its object has gone with its disk, which is another now. */
	kit_remove(f->kit.at[3], "lease");
	backend_set_down(f->a->member[3].backend, false);
	for (unsigned i = 0; i < BACKEND_STRIKES; i++)
		assert_int_equal(backend_probe(f->a->member[3].backend, 100),
				 0);
	pool_lease_renew(f->a); /* sees that it writes to nowhere */
	assert_int_equal(pool_lease_check(f->a), 0);
}

static void test_not_published(void **state)
{
	struct fixture *f = *state;
	struct kit_image *was[5];
	bool all = true;

	f->a = mount_as(f, "north");
	fail_writes(f, 0, 5);
	pass(f, 7);
	for (unsigned i = 0; i < 5; i++)
		was[i] = kit_load(f->kit.at[i]);
	assert_int_equal(pool_publish(f->a, &all), -ERR_LEASE);
	assert_false(all);
	for (unsigned i = 0; i < 5; i++) {
		struct kit_image *is = kit_load(f->kit.at[i]);

		/* Not even the new file is left. */
		kit_assert_same(was[i], is);
		kit_image_free(is);
		kit_image_free(was[i]);
	}
	clear_faults(f);
	kit_publish(f->a);
}

/* ---- L2 ---- */

static void test_suspended(void **state)
{
	struct fixture *f = *state;

	f->a = mount_as(f, "north");
	pass(f, 3600);
	assert_int_equal(pool_lease_error(f->a), -ERR_LEASE);
	assert_int_equal(pool_lease_check(f->a), 0);
	kit_publish(f->a);
}

/* north stops; south takes over, up to its first checkpoint. */
static void take_over(struct fixture *f)
{
	f->a = mount_as(f, "north");
	assert_waited(open_waiting(f, "south", &f->b));
	assert_int_equal(pool_begin_epoch(f->b), 0);
	assert_int_equal(begin_lease(f, f->b, false), 0);
	kit_publish(f->b);
}

static void test_taken_over(void **state)
{
	struct fixture *f = *state;
	struct kit_image *was[5];
	bool all = true;

	take_over(f);
	for (unsigned i = 0; i < 5; i++)
		was[i] = kit_load(f->kit.at[i]);
	assert_int_equal(pool_lease_error(f->a), -ERR_LEASE);
	assert_int_equal(pool_lease_check(f->a), -ERR_FENCED);
	assert_int_equal(pool_publish(f->a, &all), -ERR_FENCED);
	assert_false(all);
	assert_non_null(strstr(stats_of(f->a).by, "host south"));
	/* For good, though nothing keeps it from renewing. */
	pass(f, 2);
	pool_lease_renew(f->a);
	assert_int_equal(pool_lease_check(f->a), -ERR_FENCED);
	pool_lease_release(f->a);
	for (unsigned i = 0; i < 5; i++) {
		struct kit_image *is = kit_load(f->kit.at[i]);

		/* But for the one lease that it wrote to look back. */
		kit_remove(f->kit.at[i], "lease");
		kit_put(f->kit.at[i], "lease", kit_find(is, "lease")->data,
			LEASE_FILE);
		memcpy(kit_find(was[i], "lease")->data,
		       kit_find(is, "lease")->data, LEASE_FILE);
		kit_assert_same(was[i], is);
		kit_image_free(is);
		kit_image_free(was[i]);
	}
	pool_lease_renew(f->b);
	assert_int_equal(pool_lease_check(f->b), 0);
	kit_publish(f->b);
}

/* Its end does not bring back who was taken over from. */
static void test_taken_over_and_released(void **state)
{
	struct fixture *f = *state;

	take_over(f);
	pool_lease_release(f->b);
	crash(&f->b);
	assert_int_equal(pool_lease_check(f->a), -ERR_FENCED);
}

/* One member in common is enough. */
static void test_seen_on_one(void **state)
{
	struct fixture *f = *state;

	take_over(f);
	for (unsigned i = 0; i < 4; i++)
		kit_put(f->kit.at[i], "lease", "", 0);
	assert_int_equal(pool_lease_check(f->a), -ERR_FENCED);
}

/* Resumes between the other's look and its lease: the other gives way. */
static void test_resumes_in_time(void **state)
{
	struct fixture *f = *state;

	f->a = mount_as(f, "north");
	assert_waited(open_waiting(f, "south", &f->b));
	assert_int_equal(pool_begin_epoch(f->b), 0);
	assert_int_equal(pool_lease_check(f->a), 0);
	assert_int_equal(begin_lease(f, f->b, false), -ERR_IN_USE);
	assert_told(f, "host north");
	assert_false(stats_of(f->b).held);
	crash(&f->b);
	for (unsigned i = 0; i < 3; i++) {
		pass(f, 2);
		pool_lease_renew(f->a);
	}
	assert_int_equal(pool_lease_check(f->a), 0);
	kit_publish(f->a);
	/* And once it ends everything is as ever. */
	pool_lease_release(f->a);
	crash(&f->a);
	f->b = mount_as(f, "south");
}

/* Two that begin at the same time: never both, in whatever order. */
static void begin_both(struct fixture *f, bool later_first)
{
	int a, b;

	be_host("north", "boot-1", 100);
	f->a = must_open(f);
	be_host("south", "boot-1", 100);
	f->b = must_open(f);
	be_host("north", "boot-1", 100);
	assert_int_equal(pool_begin_epoch(f->a), 0);
	assert_int_equal(pool_begin_epoch(f->b), 0);
	assert_int_equal(superblock_epoch(&f->a->sb)->number, 2);
	assert_int_equal(superblock_epoch(&f->b->sb)->number, 3);
	if (later_first) {
		b = begin_lease(f, f->b, false);
		a = begin_lease(f, f->a, false);
	} else {
		a = begin_lease(f, f->a, false);
		b = begin_lease(f, f->b, false);
	}
	assert_int_equal(a, later_first ? -ERR_IN_USE : 0);
	assert_int_equal(b, later_first ? 0 : -ERR_IN_USE);
	pass(f, 2);
	pool_lease_renew(later_first ? f->b : f->a);
	kit_publish(later_first ? f->b : f->a);
}

static void test_two_begin(void **state)
{
	begin_both(*state, false);
}

static void test_two_begin_later_first(void **state)
{
	begin_both(*state, true);
}

/* ---- L3 ---- */

/*
 * A superblock on its way into a slot when the writer was stopped: whoever
 * takes over removes it, so the rename that comes later has nothing to rename.
 */
static void test_rename_comes_late(void **state)
{
	struct fixture *f = *state;
	AUTO_BIO struct bio *late = NULL;
	char name[SUPER_TEMP_MAX];
	uint64_t generation;
	struct bytes slot = {0};

	f->a = mount_as(f, "north");
	slot_temp_name(f->a->sb.generation + 1, name);
	assert_int_equal(superblock_encode(&f->a->sb, 4, f->a->keys, &slot), 0);
	kit_put(f->kit.at[4], name, slot.data, slot.len);
	bytes_release(&slot);
	assert_waited(open_waiting(f, "south", &f->b));
	assert_int_equal(pool_begin_epoch(f->b), 0);
	assert_false(kit_has(f->kit.at[4], name));
	assert_int_equal(begin_lease(f, f->b, false), 0);
	kit_publish(f->b);
	generation = f->b->sb.generation;
	late = bio_new_rename(name, "mendfs.super.0");
	assert_int_equal(bio_run(f->a->member[4].backend, late), -ENOENT);
	crash(&f->b);
	crash(&f->a);
	be_host("south", "boot-1", 100);
	f->b = must_open(f);
	assert_int_equal(f->b->sb.generation, generation);
}

/* Without any lease: what is newer in a slot is not overwritten. */
static void test_newer_is_kept(void **state)
{
	struct fixture *f = *state;
	struct kit_image *old[5], *newer[5];
	bool all;

	be_host("north", "boot-1", 100);
	f->a = must_open(f);
	assert_int_equal(pool_begin_epoch(f->a), 0);
	for (unsigned i = 0; i < 5; i++)
		old[i] = kit_load(f->kit.at[i]);
	f->b = mount_as(f, "south");
	crash(&f->b);
	/* Seen by the one member that has it. */
	for (unsigned i = 0; i < 4; i++) {
		kit_store(f->kit.at[i], old[i]);
		kit_image_free(old[i]);
	}
	kit_image_free(old[4]);
	for (unsigned i = 0; i < 5; i++)
		newer[i] = kit_load(f->kit.at[i]);
	assert_int_equal(pool_publish(f->a, &all), -ERR_FENCED);
	for (unsigned i = 0; i < 5; i++) {
		struct kit_image *is = kit_load(f->kit.at[i]);

		kit_assert_same(newer[i], is);
		kit_image_free(is);
		kit_image_free(newer[i]);
	}
}

static void test_newer_fences(void **state)
{
	struct fixture *f = *state;
	struct kit_image *im;
	bool all;

	f->a = mount_as(f, "north");
	im = kit_load(f->kit.at[2]);
	assert_waited(open_waiting(f, "south", &f->b));
	assert_int_equal(pool_begin_epoch(f->b), 0);
	kit_publish(f->b);
	crash(&f->b);
	/* No lease tells of it, but the slots do. */
	assert_int_equal(pool_lease_check(f->a), 0);
	assert_int_equal(pool_publish(f->a, &all), -ERR_FENCED);
	assert_int_equal(pool_lease_check(f->a), -ERR_FENCED);
	kit_image_free(im);
}

/* A folder that drops what is written, or shows another's object. */
static void test_written_elsewhere(void **state)
{
	struct fixture *f = *state;
	struct kit_image *old[3];

	f->a = mount_as(f, "north");
	for (unsigned i = 0; i < 3; i++)
		old[i] = kit_load(f->kit.at[i]);
	pass(f, 2);
	pool_lease_renew(f->a);
	pass(f, 5);
	/* The object is replaced: what is held open is not what others see. */
	for (unsigned i = 0; i < 3; i++) {
		kit_put(f->kit.at[i], "lease", kit_find(old[i], "lease")->data,
			LEASE_FILE);
		kit_image_free(old[i]);
	}
	pool_lease_renew(f->a);
	assert_int_equal(stats_of(f->a).members, 5);
	pass(f, 2);
	assert_int_equal(pool_lease_error(f->a), -ERR_LEASE);
	/* It is noticed, and the new one is written to. */
	assert_int_equal(pool_lease_check(f->a), 0);
	assert_int_equal(stats_of(f->a).members, 5);
}

/* ---- L4, and members that do not take part ---- */

static void test_too_few_take_it(void **state)
{
	struct fixture *f = *state;

	be_host("north", "boot-1", 100);
	for (unsigned i = 1; i < 4; i++)
		fail_with(f, i, ENOSPC, FAULT_OP_CREATE, "lease");
	f->a = must_open(f);
	assert_int_equal(pool_begin_epoch(f->a), 0);
	assert_int_equal(begin_lease(f, f->a, false), -ERR_NO_MAJORITY);
	assert_told(f, driver_location_path(f->kit.at[1]));
	assert_told(f, "2 of 5");
	assert_told(f, "degraded");
	assert_false(stats_of(f->a).held);
	assert_int_equal(begin_lease(f, f->a, true), 0);
	/* A majority of these two. */
	assert_int_equal(stats_of(f->a).needed, 2);
	fail_with(f, 0, EIO, FAULT_OP_WRITE, "lease");
	pass(f, 7);
	assert_int_equal(pool_lease_check(f->a), -ERR_LEASE);
}

static void test_nobody_takes_it(void **state)
{
	struct fixture *f = *state;

	be_host("north", "boot-1", 100);
	for (unsigned i = 0; i < 5; i++)
		fail_with(f, i, EROFS, FAULT_OP_CREATE, "lease");
	f->a = must_open(f);
	assert_int_equal(pool_begin_epoch(f->a), 0);
	assert_int_equal(begin_lease(f, f->a, true), -ERR_NO_MAJORITY);
}

/* q = n - quorum + 1: with it nobody else finds a quorum without us. */
static void test_numbers(void **state)
{
	static const struct {
		uint8_t n, m, quorum;
	} want[] = {
		{1, 0, 1}, {2, 1, 2},  {2, 0, 2},   {3, 1, 2},
		{3, 2, 2}, {4, 2, 3},  {5, 2, 3},   {6, 2, 4},
		{9, 3, 6}, {10, 2, 8}, {13, 3, 10}, {32, 8, 24},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		struct pool p = {.n = want[i].n, .geo = {.m = want[i].m}};

		assert_int_equal(pool_quorum(&p), want[i].quorum);
		/* No harder than mounting, and never two at once. */
		assert_true(want[i].quorum >= want[i].n - want[i].m);
		assert_true(2 * want[i].quorum > want[i].n);
	}
}

static void test_begin_no_memory(void **state)
{
	struct fixture *f = *state;
	unsigned fails = 0;
	int rc = -1;

	be_host("north", "boot-1", 100);
	f->a = must_open(f);
	assert_int_equal(pool_begin_epoch(f->a), 0);
	for (unsigned i = 1; rc; i++) {
		mem_fail_at(i, 0);
		rc = begin_lease(f, f->a, false);
		mem_fail_at(0, 0);
		if (rc && rc != -ENOMEM)
			fail_msg("allocation %u: %s", i, err_name(rc));
		fails += rc != 0;
	}
	assert_true(fails > 2);
	pass(f, 6);
	assert_int_equal(pool_lease_check(f->a), 0);
}

static void test_renew_no_memory(void **state)
{
	struct fixture *f = *state;
	uint64_t counted = 1;

	f->a = mount_as(f, "north");
	for (unsigned i = 1; i <= counted; i++) {
		pass(f, 5);
		mem_fail_at(i, 0);
		pool_lease_renew(f->a);
		counted = mem_count();
		mem_fail_at(0, 0);
		assert_true(i < 1000);
		pool_lease_renew(f->a);
		assert_int_equal(stats_of(f->a).members, 5);
	}
	mem_fail_at(1, 1);
	pool_lease_renew(f->a);
	pass(f, 6);
	assert_int_equal(pool_lease_check(f->a), -ERR_LEASE);
	mem_fail_at(0, 0);
	assert_int_equal(pool_lease_check(f->a), 0);
}

/* ---- with threads, twenty times as fast ---- */

static uint64_t fast_ns(void *arg)
{
	struct timespec ts;

	(void)arg;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return 20 * ((uint64_t)ts.tv_sec * SECOND + (uint64_t)ts.tv_nsec);
}

static int64_t fast_real(void *arg)
{
	return (int64_t)fast_ns(arg);
}

static void sleep_fast(unsigned seconds)
{
	const struct timespec ts = {.tv_sec = seconds / 20,
				    .tv_nsec = seconds % 20 * 50000000L};

	nanosleep(&ts, NULL);
}

/* A member that hangs holds up nobody, and is left behind at the end. */
static void test_renewer(void **state)
{
	static const struct clock_source fast = {fast_ns, fast_real, NULL};
	struct fixture *f = *state;
	uint64_t before;

	workq_inline(false);
	clock_replace(&fast);
	be_host("north", "boot-1", 100);
	f->a = must_open(f);
	assert_int_equal(pool_begin_epoch(f->a), 0);
	assert_int_equal(begin_lease(f, f->a, false), 0);
	sleep_fast(20);
	assert_int_equal(pool_lease_check(f->a), 0);
	assert_true(stats_of(f->a).renewed > 1);
	fail_with(f, 0, 0, FAULT_OP_WRITE, "lease");
	fail_with(f, 3, 0, FAULT_OP_READ, "lease");
	before = stats_of(f->a).renewed;
	sleep_fast(20);
	assert_int_equal(pool_lease_check(f->a), 0);
	assert_int_equal(stats_of(f->a).members, 3);
	assert_true(stats_of(f->a).renewed > before);
	/* One too many: whoever asks waits until it goes on. */
	fail_with(f, 4, 0, FAULT_OP_WRITE, "lease");
	sleep_fast(12);
	assert_int_equal(pool_lease_check(f->a), -ERR_LEASE);
	fault_clear(f->kit.at[4]);
	for (unsigned i = 0; i < 10 && pool_lease_check(f->a); i++)
		;
	assert_int_equal(pool_lease_check(f->a), 0);
	pool_lease_release(f->a);
	clear_faults(f);
	crash(&f->a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_taken_on_all),
		T(test_lapses),
		T(test_some_fail),
		T(test_write_only),
		T(test_members_go_and_come),
		T(test_not_published),
		T(test_suspended),
		T(test_taken_over),
		T(test_taken_over_and_released),
		T(test_seen_on_one),
		T(test_resumes_in_time),
		T(test_two_begin),
		T(test_two_begin_later_first),
		T(test_rename_comes_late),
		T(test_newer_is_kept),
		T(test_newer_fences),
		T(test_written_elsewhere),
		T(test_too_few_take_it),
		T(test_nobody_takes_it),
		T(test_numbers),
		T(test_begin_no_memory),
		T(test_renew_no_memory),
		T(test_renewer),
	};

	return cmocka_run_group_tests(tests, kit_start, kit_stop);
}
