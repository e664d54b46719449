/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal with real threads: members that hang or are slow, maintenance
 * beside appends, statistics from everywhere. Time runs faster here, so that
 * no deadline takes long.
 */
#include "unit/meta/journal_kit.h"

#include <pthread.h>
#include <sys/stat.h>
#include <time.h>

#define SPEED 16 /* times the real clock */

static uint64_t fast_ns(void *arg)
{
	struct timespec ts;

	(void)arg;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec) *
	       SPEED;
}

static int64_t real_ns(void *arg)
{
	(void)arg;
	return 0;
}

static const struct clock_source fast = {.mono_ns = fast_ns,
					 .real_ns = real_ns};

static int threads_on(void **state)
{
	(void)state;
	workq_inline(false);
	return 0;
}

static int slow_clock(void **state)
{
	(void)state;
	clock_replace(NULL);
	return 0;
}

/* Waits for the background to have nothing to do. */
static void settle(struct kit *k)
{
	workq_drain(k->j->q);
}

/* ---- members that do not answer ---- */

static void test_hanging_copy_is_replaced(void **state)
{
	struct kit *k = kit_new(4, 1);
	struct journal_stats st;
	uint64_t before;

	(void)state;
	kit_start(k);
	kit_append(k, 20);
	settle(k);
	assert_int_equal(kit_spare(k), 2);
	clock_replace(&fast);
	kit_fault(k, 0,
		  (struct fault_rule){.kind = FAULT_HANG,
				      .ops = FAULT_OP_WRITE,
				      .prefix = "journal/"});
	before = clock_mono_ns();
	kit_append(k, 1);
	/* not to the end of the backend's patience */
	assert_true(clock_mono_ns() - before < 9000 * NS_PER_MS);
	assert_false(kit_holders(k) & 1);
	kit_append(k, 20);
	journal_get_stats(k->j, &st);
	assert_int_equal(st.copies, 2);
	assert_true(st.replaced >= 1);
	kit_clear(k, 0);
	kit_check_each(k, kit_holders(k));
	clock_replace(NULL);
	kit_free(k);
}

/* Nobody can take over: it is waited for to the end, then done without. */
static void test_hanging_copy_without_spare(void **state)
{
	struct kit *k = kit_new(2, 1);
	struct journal_stats st;

	(void)state;
	kit_start(k);
	kit_append(k, 5);
	settle(k);
	clock_replace(&fast);
	kit_fault(k, 1, (struct fault_rule){.kind = FAULT_HANG});
	kit_append(k, 1);
	journal_get_stats(k->j, &st);
	assert_int_equal(st.copies, 1);
	kit_append(k, 10);
	kit_clear(k, 1);
	kit_check_each(k, 1);
	clock_replace(NULL);
	kit_free(k);
}

/* Slow, but it comes, and there is nobody else: it stays. */
static void test_slow_copy_without_spare(void **state)
{
	struct kit *k = kit_new(2, 1);

	(void)state;
	kit_start(k);
	kit_append(k, 5);
	settle(k);
	clock_replace(&fast);
	kit_fault(k, 1,
		  (struct fault_rule){.kind = FAULT_DELAY,
				      .ops = FAULT_OP_WRITE,
				      .ms = 3000 / SPEED,
				      .times = 1});
	kit_append(k, 1);
	assert_int_equal(kit_holders(k), 3);
	kit_append(k, 5);
	kit_check_each(k, 3);
	clock_replace(NULL);
	kit_free(k);
}

/* All are slow: that is the machine, and no reason to replace one. */
static void test_all_copies_slow(void **state)
{
	struct kit *k = kit_new(4, 1);
	struct journal_stats st;

	(void)state;
	kit_start(k);
	kit_append(k, 5);
	settle(k);
	clock_replace(&fast);
	for (unsigned i = 0; i < 2; i++)
		kit_fault(k, i,
			  (struct fault_rule){.kind = FAULT_DELAY,
					      .ops = FAULT_OP_WRITE,
					      .ms = 3000 / SPEED,
					      .times = 1});
	kit_append(k, 1);
	journal_get_stats(k->j, &st);
	assert_int_equal(st.replaced, 0);
	assert_int_equal(kit_holders(k), 3);
	kit_check_each(k, 3);
	clock_replace(NULL);
	kit_free(k);
}

/* The whole journal hangs: an error, and it goes on when it comes back. */
static void test_all_copies_hang(void **state)
{
	struct kit *k = kit_new(2, 1);

	(void)state;
	kit_start(k);
	kit_append(k, 5);
	settle(k);
	clock_replace(&fast);
	for (unsigned i = 0; i < 2; i++)
		kit_fault(k, i,
			  (struct fault_rule){.kind = FAULT_HANG,
					      .ops = FAULT_OP_WRITE});
	assert_int_not_equal(kit_try_append(k), 0);
	for (unsigned i = 0; i < 2; i++) {
		kit_clear(k, i);
		while (backend_get_state(k->pool.member[i].backend) !=
		       BACKEND_UP)
			(void)backend_probe(k->pool.member[i].backend, 1000);
	}
	kit_append(k, 5);
	kit_check_each(k, kit_holders(k));
	clock_replace(NULL);
	kit_free(k);
}

/* A member hangs from the start: the others begin without it. */
static void test_start_beside_a_hanging_member(void **state)
{
	struct kit *k = kit_new(3, 1);

	(void)state;
	clock_replace(&fast);
	kit_fault(k, 0, (struct fault_rule){.kind = FAULT_HANG});
	kit_start(k);
	assert_int_equal(kit_holders(k), 6);
	kit_append(k, 20);
	kit_clear(k, 0);
	kit_check_each(k, 6);
	clock_replace(NULL);
	kit_free(k);
}

static void test_scan_beside_a_hanging_member(void **state)
{
	struct kit *k = kit_new(3, 1);

	(void)state;
	kit_start(k);
	kit_append(k, 20);
	kit_stop(k);
	clock_replace(&fast);
	for (unsigned slot = 0; slot < 3; slot++) {
		/* at once, or when records are read */
		kit_fault(k, slot,
			  (struct fault_rule){
				  .kind = FAULT_HANG,
				  .ops = FAULT_OP_READ | FAULT_OP_LIST,
				  .skip = slot ? 0
					       : kit_count_files(k, 0) + 1});
		kit_check(k, KIT_ALL);
		kit_clear(k, slot);
		while (backend_get_state(k->pool.member[slot].backend) !=
		       BACKEND_UP)
			(void)backend_probe(k->pool.member[slot].backend, 1000);
	}
	clock_replace(NULL);
	kit_free(k);
}

/* ---- beside each other ---- */

struct crowd {
	struct kit *k;
	atomic_bool stop;
	atomic_uint_least64_t acked;
};

static void *release_all_the_time(void *arg)
{
	struct crowd *c = arg;

	while (!atomic_load(&c->stop)) {
		journal_release(c->k->j, atomic_load(&c->acked));
		sched_yield();
	}
	return NULL;
}

static void *look_all_the_time(void *arg)
{
	struct crowd *c = arg;

	while (!atomic_load(&c->stop)) {
		struct journal_stats st;

		journal_get_stats(c->k->j, &st);
		assert_true(st.copies <= 4 && st.copies_wanted == 2);
		sched_yield();
	}
	return NULL;
}

static void crowd(unsigned faults)
{
	struct kit *k = kit_new(4, 1);
	struct crowd c = {.k = k};
	pthread_t releaser, watcher;

	kit_start(k);
	assert_int_equal(
		pthread_create(&releaser, NULL, release_all_the_time, &c), 0);
	assert_int_equal(pthread_create(&watcher, NULL, look_all_the_time, &c),
			 0);
	for (unsigned i = 0; i < 400; i++) {
		if (faults && i % 50 == 49)
			kit_fault(k, i / 50 % 4,
				  (struct fault_rule){.kind = FAULT_ERROR,
						      .err = EIO,
						      .ops = FAULT_OP_WRITE,
						      .times = 1});
		while (kit_try_append(k))
			assert_true(faults);
		atomic_store(&c.acked, k->acked);
	}
	atomic_store(&c.stop, true);
	pthread_join(releaser, NULL);
	pthread_join(watcher, NULL);
	k->covered = k->acked;
	kit_append(k, 10);
	settle(k);
	kit_check_each(k, kit_holders(k));
	journal_free(steal(&k->j), true);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(kit_count_files(k, i), 0);
	kit_free(k);
}

static void test_release_beside_appends(void **state)
{
	(void)state;
	crowd(0);
}

static void test_replacement_beside_release(void **state)
{
	(void)state;
	crowd(1);
}

/* Files are made ahead: no append makes its own once that is going. */
static void test_files_are_ready_in_time(void **state)
{
	struct kit *k = kit_new(3, 1);

	(void)state;
	k->file_min = k->file_max = 65536;
	k->max_len = 4000;
	kit_start(k);
	for (unsigned i = 0; i < 100; i++) {
		kit_append(k, 1);
		settle(k);
		assert_true(k->j->next || k->j->current->used <=
						  k->j->current->head.size / 2);
	}
	kit_check_each(k, kit_holders(k));
	kit_free(k);
}

/* One that was made ahead but comes too late does not break the order (J5). */
static void test_file_made_too_late(void **state)
{
	struct kit *k = kit_new(2, 1);

	(void)state;
	k->max_len = 2500;
	k->file_max = k->file_min;
	kit_start(k);
	clock_replace(&fast);
	for (unsigned round = 0; round < 3; round++) {
		kit_fault(k, 0,
			  (struct fault_rule){.kind = FAULT_DELAY,
					      .ops = FAULT_OP_CREATE |
						     FAULT_OP_RENAME,
					      .ms = 3000 / SPEED,
					      .times = 1});
		for (unsigned i = 0; i < 20; i++)
			kit_append(k, 1);
		settle(k);
		kit_append(k, 10);
		kit_check_each(k, kit_holders(k));
		kit_release(k, k->acked - 3);
	}
	kit_check_each(k, kit_holders(k));
	clock_replace(NULL);
	kit_free(k);
}

/* ---- real files ---- */

static void on_disk(const char *base)
{
	struct kit *k = kit_new_at(4, 1, base);

	k->file_max = 1u << 20;
	kit_start(k);
	for (unsigned i = 0; i < 60; i++) {
		kit_append(k, 1);
		if (i % 20 == 19)
			kit_release(k, k->acked - 3);
		if (i == 30)
			kit_fault(k, 0,
				  (struct fault_rule){.kind = FAULT_ERROR,
						      .err = EIO,
						      .ops = FAULT_OP_WRITE,
						      .times = 1});
	}
	settle(k);
	kit_check_each(k, kit_holders(k));
	kit_stop(k);
	kit_check(k, KIT_ALL);
	kit_epoch(k, 8);
	kit_start(k);
	kit_append(k, 3);
	k->covered = k->acked - 3;
	assert_int_equal(journal_remove_old(&k->pool), 0);
	kit_check_each(k, kit_holders(k));
	journal_free(steal(&k->j), true);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(kit_count_files(k, i), 0);
	kit_free(k);
}

static void test_on_disk(void **state)
{
	const char *tmp = getenv("TMPDIR");
	char top[256], base[300], path[400];

	(void)state;
	snprintf(top, sizeof(top), "%s/journal-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(top));
	snprintf(base, sizeof(base), "dir:%s/m", top);
	for (unsigned i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/m%u", top, i);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	on_disk(base);
	for (unsigned i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/m%u/journal", top, i);
		(void)!rmdir(path); /* not on each */
		snprintf(path, sizeof(path), "%s/m%u", top, i);
		assert_int_equal(rmdir(path), 0);
	}
	assert_int_equal(rmdir(top), 0);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_teardown(fn, slow_clock)
	const struct CMUnitTest tests[] = {
		TEST(test_hanging_copy_is_replaced),
		TEST(test_hanging_copy_without_spare),
		TEST(test_slow_copy_without_spare),
		TEST(test_all_copies_slow),
		TEST(test_all_copies_hang),
		TEST(test_start_beside_a_hanging_member),
		TEST(test_scan_beside_a_hanging_member),
		TEST(test_release_beside_appends),
		TEST(test_replacement_beside_release),
		TEST(test_files_are_ready_in_time),
		TEST(test_file_made_too_late),
		TEST(test_on_disk),
	};

	return cmocka_run_group_tests(tests, threads_on, NULL);
}
