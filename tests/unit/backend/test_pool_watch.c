/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who waits for whom: openings on this and on other hosts after a mount that
 * ended, crashed, or is at work.
 */
#include "unit/backend/lease_fixture.h"

static void test_released_is_free(void **state)
{
	struct fixture *f = *state;
	uint64_t start;

	f->a = mount_as(f, "north");
	pool_lease_release(f->a);
	crash(&f->a);
	start = f->w.now_ns;
	f->b = mount_as(f, "south");
	assert_int_equal(f->w.now_ns, start);
	assert_int_equal(superblock_epoch(&f->b->sb)->number, 3);
}

static void test_same_host_waits_for_nothing(void **state)
{
	struct fixture *f = *state;

	f->a = mount_as(f, "north");
	crash(&f->a);
	f->a = mount_as(f, "north");
	crash(&f->a);
	/* Another process of the same machine, which has ended. */
	be_host("north", "boot-1", 0x7fffffff);
	f->a = must_open(f);
	assert_int_equal(pool_begin_epoch(f->a), 0);
	assert_int_equal(begin_lease(f, f->a, false), 0);
	crash(&f->a);
	f->a = mount_as(f, "north");
	crash(&f->a);
	/* The machine was started anew. */
	be_host("north", "boot-2", 100);
	f->a = must_open(f);
	assert_int_equal(f->w.now_ns, 1000 * SECOND);
}

static void test_other_host_waits(void **state)
{
	struct fixture *f = *state;

	f->a = mount_as(f, "north");
	crash(&f->a);
	assert_waited(open_waiting(f, "south", &f->b));
	assert_int_equal(pool_begin_epoch(f->b), 0);
	assert_int_equal(begin_lease(f, f->b, false), 0);
	kit_publish(f->b);
	assert_int_equal(superblock_epoch(&f->b->sb)->number, 3);
	/* Its own crash concerns others, but not itself. */
	crash(&f->b);
	f->b = mount_as(f, "south");
	crash(&f->b);
	assert_int_equal(f->w.waits, 1);
	assert_waited(open_waiting(f, "north", &f->a));
}

static void test_unknown_host_waits(void **state)
{
	struct fixture *f = *state;
	const struct host nobody = {.pid = 1};
	uint64_t start = f->w.now_ns;

	f->a = mount_as(f, "north");
	crash(&f->a);
	host_replace(&nobody);
	f->b = must_open(f);
	assert_waited(f->w.now_ns - start);
}

static void renew_a(void *arg)
{
	struct fixture *f = arg;

	pool_lease_renew(f->a);
}

static void test_living_keeps_others_out(void **state)
{
	struct fixture *f = *state;
	uint64_t start;

	f->a = mount_as(f, "north");
	be_host("south", "boot-1", 100);
	f->w.each_second = renew_a;
	f->w.arg = f;
	for (unsigned i = 0; i < 3; i++) {
		start = f->w.now_ns;
		assert_int_equal(try_open(f, &f->b), -ERR_IN_USE);
		assert_told(f, "host north");
		assert_told(f, "process 100");
		assert_told(f, "umount");
		/* That is seen at once. */
		assert_true(f->w.now_ns - start < 8 * SECOND);
		assert_int_equal(pool_lease_check(f->a), 0);
	}
	kit_publish(f->a);
}

static void release_a(void *arg)
{
	struct fixture *f = arg;

	if (!f->a)
		return;
	kit_publish(f->a);
	pool_lease_release(f->a);
	crash(&f->a);
}

/* What it published meanwhile must not be missed. */
static void test_ends_while_others_wait(void **state)
{
	struct fixture *f = *state;
	uint64_t generation;

	f->a = mount_as(f, "north");
	generation = f->a->sb.generation;
	be_host("south", "boot-1", 100);
	f->w.each_second = release_a;
	f->w.arg = f;
	assert_int_equal(try_open(f, &f->b), -ERR_IN_USE);
	assert_told(f, "try again");
	assert_null(f->a);
	f->b = mount_as(f, "south");
	assert_int_equal(f->b->sb.generation, generation + 2);
}

static void test_reading_waits_for_nobody(void **state)
{
	struct fixture *f = *state;
	struct kit_open ko = {.read_only = true};

	f->a = mount_as(f, "north");
	be_host("south", "boot-1", 100);
	assert_int_equal(kit_open_list(f->kit.at, 1, ko, &f->diag, &f->b), 0);
	assert_int_equal(f->w.now_ns, 1000 * SECOND);
	assert_false(stats_of(f->b).held);
	assert_int_equal(pool_lease_check(f->b), 0);
}

/* flock tells first; the lease says who it is. */
static void test_locks_name_the_owner(void **state)
{
	struct fixture *f = *state;

	be_host("north", "boot-1", 4711);
	if (try_open(f, &f->a))
		fail_msg("open: %s", f->diag.text);
	assert_int_equal(pool_begin_epoch(f->a), 0);
	assert_int_equal(begin_lease(f, f->a, false), 0);
	kit_publish(f->a);
	assert_int_equal(try_open(f, &f->b), -ERR_IN_USE);
	assert_told(f, "host north, process 4711");
	assert_told(f, driver_location_path(f->kit.at[0]));
}

/* ---- damage and malice ---- */

static void test_damaged_proves_nothing(void **state)
{
	struct fixture *f = *state;
	char garbage[LEASE_FILE];

	f->a = mount_as(f, "north");
	crash(&f->a);
	rnd_bytes(garbage, sizeof(garbage));
	kit_remove(f->kit.at[0], "lease");
	kit_put(f->kit.at[1], "lease", garbage, sizeof(garbage));
	kit_put(f->kit.at[2], "lease", garbage, 17);
	kit_put(f->kit.at[3], "lease", "", 0);
	kit_put(f->kit.at[4], "lease", garbage, LEASE_SLOT + 1);
	f->b = mount_as(f, "south");
	assert_int_equal(f->w.now_ns, 1000 * SECOND);
	assert_int_equal(stats_of(f->b).members, 5);
}

static uint64_t slot_in_use(struct fixture *f, unsigned i)
{
	struct kit_image *im = kit_load(f->kit.at[i]);
	const struct kit_file *file = kit_find(im, "lease");
	uint64_t newest = 0, at = 0;

	for (unsigned s = 0; s < LEASE_SLOTS; s++) {
		struct lease l;

		if (!lease_decode(file->data + s * LEASE_SLOT, LEASE_SLOT,
				  &f->a->id, f->a->keys, &l) &&
		    l.counter > newest) {
			newest = l.counter;
			at = s * LEASE_SLOT;
		}
	}
	assert_true(newest > 0);
	kit_image_free(im);
	return at;
}

/* A torn write leaves the one before. */
static void test_torn(void **state)
{
	struct fixture *f = *state;

	f->a = mount_as(f, "north");
	pool_lease_renew(f->a);
	for (unsigned i = 0; i < 5; i++)
		kit_damage(f->kit.at[i], "lease", slot_in_use(f, i) + 100);
	crash(&f->a);
	assert_waited(open_waiting(f, "south", &f->b));
}

/* One honest member is enough to learn of a lease. */
static void test_hidden_by_most(void **state)
{
	struct fixture *f = *state;

	f->a = mount_as(f, "north");
	crash(&f->a);
	for (unsigned i = 0; i < 4; i++)
		kit_put(f->kit.at[i], "lease", "x", 1);
	assert_waited(open_waiting(f, "south", &f->b));
}

struct replay {
	struct fixture *f;
	struct kit_image *old[8];
	unsigned n, next;
};

static void replay_one(void *arg)
{
	struct replay *r = arg;
	struct kit_file *file;

	if (r->next == r->n)
		r->next = 0;
	file = kit_find(r->old[r->next++], "lease");
	kit_put(r->f->kit.at[2], "lease", file->data, file->len);
}

/* A folder that shows older leases one after another is no sign of life. */
static void test_replayed(void **state)
{
	struct fixture *f = *state;
	struct replay r = {.f = f};

	f->a = mount_as(f, "north");
	for (; r.n < ARRAY_LEN(r.old); r.n++) {
		pool_lease_renew(f->a);
		r.old[r.n] = kit_load(f->kit.at[2]);
	}
	pool_lease_renew(f->a);
	crash(&f->a);
	f->w.each_second = replay_one;
	f->w.arg = &r;
	assert_waited(open_waiting(f, "south", &f->b));
	f->w.each_second = NULL;
	crash(&f->b);
	/* Nor does the lease of an epoch that is long over count. */
	f->b = mount_as(f, "north");
	pool_lease_release(f->b);
	crash(&f->b);
	replay_one(&r);
	f->b = mount_as(f, "south");
	assert_int_equal(f->w.waits, 1);
	for (unsigned i = 0; i < r.n; i++)
		kit_image_free(r.old[i]);
}

/* ---- members that cannot be asked ---- */

static enum pool_access judge(struct fixture *f, bool degraded, int *rc)
{
	struct pool_rule_options o = {.degraded = degraded};

	f->diag = (struct diag)DIAG_INIT;
	return pool_judge(f->b, &o, &f->diag, rc);
}

static void test_unread(void **state)
{
	struct fixture *f = *state;
	int rc;

	f->a = mount_as(f, "north");
	pool_lease_release(f->a);
	crash(&f->a);
	fail_with(f, 1, EIO, FAULT_OP_OPEN, "lease");
	fail_with(f, 3, EIO, FAULT_OP_READ, "lease");
	be_host("south", "boot-1", 100);
	f->b = must_open(f);
	assert_true(f->b->member[1].lease_unread);
	assert_true(f->b->member[3].lease_unread);
	assert_false(f->b->member[0].lease_unread);
	/* Three have told: a quorum of 5 with 3+2. */
	assert_int_equal(judge(f, false, &rc), POOL_READ_WRITE);
	crash(&f->b);
	fail_with(f, 4, EACCES, FAULT_OP_OPEN, "lease");
	f->b = must_open(f);
	assert_int_equal(judge(f, false, &rc), POOL_READ_ONLY);
	assert_int_equal(rc, -ERR_NO_MAJORITY);
	assert_told(f, driver_location_path(f->kit.at[4]));
	assert_told(f, "degraded");
	assert_int_equal(judge(f, true, &rc), POOL_READ_WRITE);
}

static void test_no_memory(void **state)
{
	struct fixture *f = *state;
	unsigned fails = 0;
	int rc = -1;

	f->a = mount_as(f, "north");
	pool_lease_release(f->a);
	crash(&f->a);
	be_host("south", "boot-1", 100);
	for (unsigned i = 1; rc; i++) {
		mem_fail_at(i, 0);
		rc = try_open(f, &f->b);
		mem_fail_at(0, 0);
		if (rc && rc != -ENOMEM)
			fail_msg("allocation %u: %s", i, err_name(rc));
		fails += rc != 0;
	}
	assert_true(fails > 20);
	assert_int_equal(pool_up(f->b), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_released_is_free),
		T(test_same_host_waits_for_nothing),
		T(test_other_host_waits),
		T(test_unknown_host_waits),
		T(test_living_keeps_others_out),
		T(test_ends_while_others_wait),
		T(test_reading_waits_for_nobody),
		T(test_locks_name_the_owner),
		T(test_damaged_proves_nothing),
		T(test_torn),
		T(test_hidden_by_most),
		T(test_replayed),
		T(test_unread),
		T(test_no_memory),
	};

	return cmocka_run_group_tests(tests, kit_start, kit_stop);
}
