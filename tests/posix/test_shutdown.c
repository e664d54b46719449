/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volume_shutdown: after it nothing is acknowledged, nothing is written, and
 * what was promised is there at the next opening.
 */
#include "posix_check.h"

#include <stdatomic.h>
#include <sys/xattr.h>

#include "base/clock.h"
#include "base/workq.h"

#define MIB (1u << 20)

/* ---- what the folders hold ---- */

struct print {
	struct driver *d;
	uint64_t sum;
};

static int print_object(void *arg, const char *name, uint64_t size)
{
	struct print *p = arg;
	static uint8_t buf[8 * MIB];
	uint64_t h = 0xcbf29ce484222325u;
	struct drv_file *f;
	int64_t n;

	if (size == UINT64_MAX)
		return driver_list(p->d, name, print_object, p);
	OK(driver_open(p->d, name, DRV_READ, &f));
	n = driver_read(f, buf, sizeof(buf), 0);
	driver_close(f);
	for (const char *c = name; *c; c++)
		h = (h ^ (uint8_t)*c) * 0x100000001b3u;
	for (int64_t i = 0; i < n; i++)
		h = (h ^ buf[i]) * 0x100000001b3u;
	p->sum += h;
	return 0;
}

/* Of names and contents in all folders, past the faults. */
static uint64_t folders_print(struct kit *k)
{
	struct print p = {0};

	for (int i = 0; i < KIT_FOLDERS; i++) {
		OK(driver_attach(k->location[i] + strlen("fault:"), &p.d));
		OK(driver_list(p.d, "", print_object, &p));
		driver_detach(p.d);
	}
	return p.sum;
}

/* ---- everything fails ---- */

static int never(void *arg, const struct dir_entry *e)
{
	(void)arg;
	fail_msg("an entry %s", e->name);
	return 0;
}

#define SHUT(call) assert_int_equal((call), -ERR_SHUT_DOWN)

static void names_fail(struct volume *v, uint64_t ino)
{
	struct create_spec spec = {.mode = S_IFREG | 0644};
	struct bytes target = {0};
	struct attr a;

	SHUT(posix_lookup(v, ROOT_INO, "f", &a));
	SHUT(posix_lookup(v, ROOT_INO, "none", &a));
	SHUT(posix_make(v, &kit_root, ROOT_INO, "new", &spec, &a));
	SHUT(posix_link(v, ino, ROOT_INO, "new", &a));
	SHUT(posix_unlink(v, ROOT_INO, "f"));
	SHUT(posix_rmdir(v, ROOT_INO, "d"));
	SHUT(posix_rename(v, ROOT_INO, "f", ROOT_INO, "g", 0));
	SHUT(posix_readlink(v, ino, &target));
	SHUT(posix_readdir(v, ROOT_INO, 0, true, never, NULL));
	SHUT(posix_fsyncdir(v, ROOT_INO));
}

static void inodes_fail(struct volume *v, uint64_t ino)
{
	struct attr_change c = {.set = SET_MODE, .mode = 0600};
	struct space space;
	struct attr a;
	char buf[64];

	SHUT(posix_getattr(v, ino, &a));
	SHUT(posix_setattr(v, ino, &c, &a));
	SHUT(posix_getxattr(v, ino, "user.a", buf, sizeof(buf)));
	SHUT(posix_setxattr(v, ino, "user.a", "b", 1, 0));
	SHUT(posix_listxattr(v, ino, buf, sizeof(buf)));
	SHUT(posix_removexattr(v, ino, "user.a"));
	SHUT(posix_statfs(v, &space));
}

static void files_fail(struct volume *v, struct file *f)
{
	struct file *other;
	char buf[64] = "";

	SHUT(posix_open(v, posix_file_ino(f), O_RDONLY, &other));
	SHUT(posix_open(v, posix_file_ino(f), O_RDWR | O_TRUNC, &other));
	SHUT(posix_read(f, buf, sizeof(buf), 0));
	SHUT(posix_write(f, buf, sizeof(buf), 0));
	SHUT(posix_fsync(f, false));
	SHUT(posix_fsync(f, true));
	SHUT(posix_flush(f));
	SHUT(volume_sync(v));
	SHUT(volume_error(v));
}

static void everything_fails(void **state)
{
	struct kit *k = *state;
	struct volume_status st;
	struct file *f;
	uint64_t ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644), before;

	kit_mk(k, ROOT_INO, "d", S_IFDIR | 0755);
	kit_write(k, ino, 0, 3 * MIB, 1);
	OK(posix_open(k->v, ino, O_RDWR, &f));
	OK(volume_shutdown(k->v, SHUTDOWN_KEEPS_NOTHING));
	before = folders_print(k);
	names_fail(k->v, ino);
	inodes_fail(k->v, ino);
	files_fail(k->v, f);
	OK(volume_get_status(k->v, &st));
	assert_int_equal(st.error, -ERR_SHUT_DOWN);
	OK(volume_shutdown(k->v, SHUTDOWN_KEEPS_ALL));
	posix_close(f);
	kit_close(k);
	assert_int_equal(folders_print(k), before);
}

static void read_only_too(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644);
	struct attr a;

	kit_close(k);
	k->o.read_only = true;
	kit_open(k);
	OK(volume_shutdown(k->v, SHUTDOWN_KEEPS_ALL));
	SHUT(posix_getattr(k->v, ino, &a));
	kit_close(k);
	k->o.read_only = false;
	kit_open(k);
	assert_int_equal(kit_ino(k, ROOT_INO, "f"), ino);
}

/* ---- what is kept ---- */

static void what_is_kept(void **state)
{
	static const enum shutdown_keeps keeps[] = {SHUTDOWN_KEEPS_ALL,
						    SHUTDOWN_KEEPS_RECORDS,
						    SHUTDOWN_KEEPS_NOTHING};
	struct kit *k = *state;
	struct attr a;

	for (unsigned i = 0; i < 3; i++) {
		char name[2] = {(char)('0' + i), 0}, late[3] = {'x', name[0]};
		uint64_t ino = kit_mk(k, ROOT_INO, name, S_IFREG | 0644);

		kit_write(k, ino, 0, 5000, i);
		kit_fsync(k, ino);
		kit_write(k, ino, 5000, 5000, i);
		kit_mk(k, ROOT_INO, late, S_IFREG | 0644);
		OK(volume_shutdown(k->v, keeps[i]));
		kit_close(k);
		kit_open(k);
		kit_expect(k, ino, 0, 5000, i);
		assert_int_equal(posix_lookup(k->v, ROOT_INO, late, &a),
				 i == 2 ? -ENOENT : 0);
		OK(posix_getattr(k->v, ino, &a));
		assert_int_equal(a.size, i == 0 ? 10000 : 5000);
	}
}

/* What shall be kept cannot be: nothing is ended. */
static void cannot_be_kept(void **state)
{
	struct fault_rule full = {
		.kind = FAULT_FULL, .ops = FAULT_OP_ALL, .prefix = ""};
	struct kit *k = *state;
	uint64_t ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644);
	struct attr a;

	kit_write(k, ino, 0, 2 * MIB, 1);
	for (int i = 0; i < KIT_FOLDERS; i++)
		OK(fault_add(k->location[i], &full));
	assert_int_equal(volume_shutdown(k->v, SHUTDOWN_KEEPS_ALL), -ENOSPC);
	OK(posix_getattr(k->v, ino, &a));
	for (int i = 0; i < KIT_FOLDERS; i++)
		fault_clear(k->location[i]);
	OK(volume_shutdown(k->v, SHUTDOWN_KEEPS_ALL));
	kit_close(k);
	kit_open(k);
	kit_expect(k, ino, 0, 2 * MIB, 1);
}

/* ---- in the middle of work ---- */

#define WRITERS 4

struct appender {
	struct kit *k;
	uint64_t ino;
	unsigned id;
	size_t step;
	bool lazy;	   /* does not sync */
	uint64_t promised; /* bytes */
};

/* Appends and syncs until it fails. */
static void write_on(void *arg)
{
	struct appender *w = arg;
	uint8_t *p = malloc(w->step);
	struct file *f;
	int rc = posix_open(w->k->v, w->ino, O_RDWR, &f);
	uint64_t off = 0;

	if (rc == 0) {
		while (rc == 0) {
			ssize_t n;

			kit_pattern(p, w->step, off, w->id);
			n = posix_write(f, p, w->step, off);
			rc = n < 0 ? (int)n : 0;
			if (rc == 0 && !w->lazy)
				rc = posix_fsync(f, false);
			off += w->step;
			if (rc == 0)
				w->promised = off;
		}
		posix_close(f);
	}
	if (rc != -ERR_SHUT_DOWN)
		printf("writer %u ended with %s\n", w->id, err_name(rc));
	free(p);
}

static void shut_down_after(struct kit *k, unsigned ms)
{
	struct appender w[WRITERS];
	struct workq *q;
	uint64_t before;
	char name[32];

	OK(workq_new("writers", WRITERS, &q));
	for (unsigned i = 0; i < WRITERS; i++) {
		snprintf(name, sizeof(name), "w%u-%u", ms, i);
		w[i] = (struct appender){
			.k = k, .id = i, .step = 700u << 4 * i};
		w[i].ino = kit_mk(k, ROOT_INO, name, S_IFREG | 0644);
		OK(workq_submit(q, write_on, &w[i]));
	}
	(void)usleep(ms * 1000);
	OK(volume_shutdown(k->v, SHUTDOWN_KEEPS_NOTHING));
	before = folders_print(k);
	workq_free(q); /* waits for them */
	kit_close(k);
	assert_int_equal(folders_print(k), before);
	kit_open(k);
	for (unsigned i = 0; i < WRITERS; i++)
		if (w[i].promised)
			kit_expect(k, w[i].ino, 0, w[i].promised, i);
}

static void under_load(void **state)
{
	for (unsigned ms = 1; ms < 200; ms += ms / 2 + 7)
		shut_down_after(*state, ms);
}

/* Who waits for the dirty limit does not wait for ever. */
static void throttled(void **state)
{
	struct fault_rule slow = {.kind = FAULT_DELAY,
				  .ops = FAULT_OP_CREATE,
				  .prefix = "data/",
				  .ms = 300};
	struct kit *k = *state;
	struct appender w = {.k = k, .step = 2 * MIB, .lazy = true};
	struct workq *q;
	uint64_t begun;

	for (int i = 0; i < KIT_FOLDERS; i++)
		OK(fault_add(k->location[i], &slow));
	w.ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644);
	OK(workq_new("writer", 1, &q));
	OK(workq_submit(q, write_on, &w));
	while (!cache_over_limit(k->v->cache))
		(void)usleep(1000);
	(void)usleep(50000); /* until it waits for it */
	begun = clock_mono_ms();
	OK(volume_shutdown(k->v, SHUTDOWN_KEEPS_NOTHING));
	workq_free(q);
	assert_true(clock_mono_ms() - begun < 10000);
}

/* ---- a folder that hangs ---- */

static void with_a_hang(void **state)
{
	struct fault_rule hang = {.kind = FAULT_HANG,
				  .ops = FAULT_OP_WRITE,
				  .prefix = "journal/",
				  .times = 1};
	struct kit *k = *state;
	uint64_t ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644), before;
	bool hit = false;

	kit_write(k, ino, 0, 5000, 1);
	kit_fsync(k, ino);
	for (int i = 0; i < KIT_FOLDERS && !hit; i++) {
		OK(fault_add(k->location[i], &hang));
		kit_write(k, ino, 5000, 5000, 1);
		kit_fsync(k, ino); /* the others have it */
		hit = fault_hits(k->location[i]) > 0;
	}
	assert_true(hit);
	OK(volume_shutdown(k->v, SHUTDOWN_KEEPS_NOTHING));
	before = folders_print(k);
	kit_close(k);
	assert_int_equal(folders_print(k), before);
	for (int i = 0; i < KIT_FOLDERS; i++)
		fault_clear(k->location[i]);
	kit_open(k);
	kit_expect(k, ino, 0, 10000, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_KIT(everything_fails), WITH_KIT(read_only_too),
		WITH_KIT(what_is_kept),	    WITH_KIT(cannot_be_kept),
		WITH_KIT(under_load),	    WITH_KIT(throttled),
		WITH_KIT(with_a_hang),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
