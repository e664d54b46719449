/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two hosts and one pool: what a writer that lost its lease says, what the one
 * after it finds, and that a lapse without a successor is only a lapse.
 *
 * Both hosts are in this process. The first one reaches the folders through
 * the fault driver, so that its renewals alone can be stopped; the second one
 * directly. Time runs twenty times as fast.
 */
#include "posix_kit.h"

#include <time.h>

#include "backend/backend_impl.h"
#include "backend/pool_lease.h"
#include "base/clock.h"
#include "base/host.h"
#include "base/log.h"
#include "fs/volume_impl.h"

struct fixture {
	struct kit k;  /* the first host */
	struct kit k2; /* the second one */
	char cache2[96];
};

static uint64_t fast_ns(void *arg)
{
	struct timespec ts;

	(void)arg;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return 20 *
	       ((uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec);
}

static int64_t fast_real(void *arg)
{
	return (int64_t)fast_ns(arg);
}

static const struct clock_source fast = {fast_ns, fast_real, NULL};

static void be_host(const char *name)
{
	struct host h = {.boot = "boot", .pid = 1, .started = 1};

	snprintf(h.machine, sizeof(h.machine), "machine of %s", name);
	snprintf(h.name, sizeof(h.name), "%s", name);
	host_replace(&h);
}

static void silent(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	log_use_sink(silent, NULL);
	clock_replace(&fast);
	be_host("north");
	kit_make(&f->k);
	f->k2 = f->k;
	for (int i = 0; i < KIT_FOLDERS; i++)
		f->k2.locations[i] = f->k.location[i] + strlen("fault:");
	f->k2.o.location = f->k2.locations;
	snprintf(f->cache2, sizeof(f->cache2), "%s/south", f->k.cache);
	f->k2.o.cache_dir = f->cache2;
	*state = f;
	return 0;
}

static void clear(struct fixture *f)
{
	for (int i = 0; i < KIT_FOLDERS; i++)
		fault_clear(f->k.location[i]);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	clear(f);
	if (f->k2.v)
		kit_crash(&f->k2);
	kit_end(&f->k);
	host_replace(NULL);
	clock_replace(NULL);
	log_use_sink(NULL, NULL);
	free(f);
	return 0;
}

/* The other host would not see them. */
static void give_up_flock(struct volume *v)
{
	for (unsigned i = 0; i < v->pool->n; i++)
		driver_unlock(v->pool->member[i].backend->driver);
}

static void open_north(struct fixture *f)
{
	be_host("north");
	f->k.o.location = f->k.locations;
	kit_open(&f->k);
	give_up_flock(f->k.v);
}

static int try_south(struct fixture *f, struct diag *d)
{
	be_host("south");
	f->k2.o.location = f->k2.locations;
	return volume_open(&f->k2.o, d, &f->k2.v);
}

static void open_south(struct fixture *f)
{
	struct diag d = DIAG_INIT;

	if (try_south(f, &d) < 0)
		fail_msg("south: %s", d.text);
	give_up_flock(f->k2.v);
}

/* Its renewals hang, nothing else does. */
static void stop_renewing(struct fixture *f)
{
	struct fault_rule r = {
		.kind = FAULT_HANG, .ops = FAULT_OP_WRITE, .prefix = "lease"};

	for (int i = 0; i < KIT_FOLDERS; i++)
		assert_int_equal(fault_add(f->k.location[i], &r), 0);
}

static uint64_t put(struct kit *k, const char *name, uint64_t seed)
{
	uint64_t ino = kit_mk(k, ROOT_INO, name, S_IFREG | 0644);

	kit_write(k, ino, 0, 5000, seed);
	return ino;
}

static void expect(struct kit *k, const char *name, uint64_t seed)
{
	kit_expect(k, kit_ino(k, ROOT_INO, name), 0, 5000, seed);
}

static int fsync_of(struct kit *k, uint64_t ino)
{
	struct file *file;
	int rc;

	OK(posix_open(k->v, ino, O_RDONLY, &file));
	rc = posix_fsync(file, false);
	posix_close(file);
	return rc;
}

/* Until asking gives this; asking waits by itself. */
static void await(struct kit *k, uint64_t ino, int rc)
{
	for (int i = 0; i < 100; i++)
		if (fsync_of(k, ino) == rc)
			return;
	fail_msg("never: %s", err_name(rc));
}

static void await_error(struct volume *v, int rc)
{
	const struct timespec nap = {.tv_nsec = 20000000};

	for (int i = 0; i < 500 && volume_error(v) != rc; i++)
		nanosleep(&nap, NULL);
	assert_int_equal(volume_error(v), rc);
}

static void test_taken_over(void **state)
{
	struct fixture *f = *state;
	struct create_spec spec = {.mode = S_IFREG | 0644};
	struct volume_status st;
	struct attr a;
	uint64_t ino;

	open_north(f);
	ino = put(&f->k, "promised", 1);
	OK(fsync_of(&f->k, ino));
	stop_renewing(f);
	open_south(f);
	expect(&f->k2, "promised", 1);
	ino = put(&f->k2, "south", 2);
	OK(fsync_of(&f->k2, ino));
	/* The first host writes on, and is told nothing but errors. */
	ino = put(&f->k, "north", 3);
	assert_int_equal(fsync_of(&f->k, ino), -ERR_LEASE);
	assert_int_equal(volume_sync(f->k.v), -ERR_LEASE);
	clear(f);
	await(&f->k, ino, -ERR_FENCED);
	assert_int_equal(err_errno(-ERR_FENCED), EROFS);
	assert_int_equal(volume_error(f->k.v), -ERR_FENCED);
	assert_int_equal(posix_make(f->k.v, &kit_root, ROOT_INO, "x", &spec,
				    &a),
			 -ERR_FENCED);
	OK(volume_get_status(f->k.v, &st));
	assert_int_equal(st.error, -ERR_FENCED);
	assert_non_null(strstr(st.lease.by, "south"));
	assert_int_equal(volume_close(f->k.v), -ERR_FENCED);
	f->k.v = NULL;
	/* Nothing of it is there, and the second host is well. */
	ino = put(&f->k2, "more", 4);
	OK(fsync_of(&f->k2, ino));
	kit_crash(&f->k2);
	open_south(f);
	expect(&f->k2, "promised", 1);
	expect(&f->k2, "south", 2);
	expect(&f->k2, "more", 4);
	assert_int_equal(posix_lookup(f->k2.v, ROOT_INO, "x", &a), -ENOENT);
	kit_close(&f->k2);
	open_north(f);
	expect(&f->k, "more", 4);
	kit_close(&f->k);
}

/* As after a suspend: nobody was there, so it goes on. */
static void test_only_lapsed(void **state)
{
	struct fixture *f = *state;
	uint64_t ino;

	open_north(f);
	stop_renewing(f);
	await_error(f->k.v, -ERR_LEASE);
	ino = put(&f->k, "one", 1);
	assert_int_equal(fsync_of(&f->k, ino), -ERR_LEASE);
	clear(f);
	await(&f->k, ino, 0);
	await_error(f->k.v, 0);
	ino = put(&f->k, "two", 2);
	OK(fsync_of(&f->k, ino));
	kit_crash(&f->k);
	open_north(f);
	expect(&f->k, "one", 1);
	expect(&f->k, "two", 2);
	kit_close(&f->k);
}

static void test_living_is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct diag d = DIAG_INIT;
	uint64_t ino;

	open_north(f);
	ino = put(&f->k, "one", 1);
	OK(fsync_of(&f->k, ino));
	assert_int_equal(try_south(f, &d), -ERR_IN_USE);
	assert_non_null(strstr(d.text, "host north"));
	ino = put(&f->k, "two", 2);
	OK(fsync_of(&f->k, ino));
	kit_close(&f->k);
	/* Released: nobody waits. */
	open_south(f);
	expect(&f->k2, "two", 2);
	kit_close(&f->k2);
}

/* Taken over by one that crashes before its first checkpoint, and so on. */
static void test_many_hands(void **state)
{
	struct fixture *f = *state;
	char name[16];
	uint64_t ino;

	for (uint64_t i = 0; i < 4; i++) {
		struct kit *k = i % 2 ? &f->k2 : &f->k;

		if (i % 2)
			open_south(f);
		else
			open_north(f);
		for (uint64_t j = 0; j < i; j++) {
			snprintf(name, sizeof(name), "file%d", (int)j);
			expect(k, name, j);
		}
		snprintf(name, sizeof(name), "file%d", (int)i);
		ino = put(k, name, i);
		OK(fsync_of(k, ino));
		kit_crash(k);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_taken_over),
		T(test_only_lapsed),
		T(test_living_is_left_alone),
		T(test_many_hands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
