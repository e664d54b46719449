/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Old folders: one, as many as may be lost, all of them; halves that were
 * written apart; and what this machine remembers, damaged in every way.
 */
#include "posix_kit.h"

#include "base/log.h"
#include "base/osfile.h"
#include "fs/volume_impl.h"

/* ---- folders as a whole ---- */

#define FILES_MAX 4096

struct object {
	char name[DRV_NAME_MAX + 1];
	uint8_t *data;
	size_t len;
};

struct copy {
	unsigned n;
	struct object at[FILES_MAX];
	unsigned folders;
	char folder[FILES_MAX][DRV_NAME_MAX + 1];
};

static int note(void *arg, const char *name, uint64_t size)
{
	struct copy *c = arg;

	assert_true(c->n < FILES_MAX && c->folders < FILES_MAX);
	if (size == UINT64_MAX) {
		strcpy(c->folder[c->folders++], name);
		return 0;
	}
	strcpy(c->at[c->n].name, name);
	c->at[c->n++].len = size;
	return 0;
}

static struct driver *attach(const char *location)
{
	struct driver *d;

	OK(driver_attach(location + strlen("fault:"), &d));
	return d;
}

static struct copy *copy_of(const char *location)
{
	struct copy *c = calloc(1, sizeof(*c));
	struct driver *d = attach(location);

	assert_non_null(c);
	OK(driver_list(d, "", note, c));
	for (unsigned i = 0; i < c->folders; i++)
		OK(driver_list(d, c->folder[i], note, c));
	for (unsigned i = 0; i < c->n; i++) {
		struct object *o = &c->at[i];
		struct drv_file *f;

		o->data = malloc(o->len + 1);
		assert_non_null(o->data);
		OK(driver_open(d, o->name, DRV_READ, &f));
		assert_int_equal(driver_read(f, o->data, o->len, 0), o->len);
		driver_close(f);
	}
	driver_detach(d);
	return c;
}

static void copy_free(struct copy *c)
{
	for (unsigned i = 0; c && i < c->n; i++)
		free(c->at[i].data);
	free(c);
}

/* The folder becomes what it was, to the last object. NULL: empty. */
static void restore(const char *location, const struct copy *c)
{
	struct copy *now = copy_of(location);
	struct driver *d = attach(location);

	for (unsigned i = 0; i < now->n; i++)
		OK(driver_remove(d, now->at[i].name));
	for (unsigned i = 0; c && i < c->n; i++) {
		const struct object *o = &c->at[i];
		struct drv_file *f;

		OK(driver_open(d, o->name, DRV_WRITE | DRV_CREATE, &f));
		if (o->len > 0)
			OK(driver_write(f, o->data, o->len, 0));
		OK(driver_sync(f));
		driver_close(f);
	}
	driver_detach(d);
	copy_free(now);
}

/* ---- fixture ---- */

struct fixture {
	struct kit k;
	struct copy *old[KIT_FOLDERS];
	struct diag d;
};

static void silent(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	log_use_sink(silent, NULL);
	kit_make(&f->k);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < KIT_FOLDERS; i++)
		copy_free(f->old[i]);
	kit_end(&f->k);
	log_use_sink(NULL, NULL);
	free(f);
	return 0;
}

static void save(struct fixture *f)
{
	for (unsigned i = 0; i < f->k.o.n; i++)
		f->old[i] = copy_of(f->k.locations[i]);
}

static void put(struct fixture *f, const char *name, uint64_t seed)
{
	uint64_t ino = kit_mk(&f->k, ROOT_INO, name, S_IFREG | 0644);

	kit_write(&f->k, ino, 0, 300000, seed);
}

static void expect(struct fixture *f, const char *name, uint64_t seed)
{
	kit_expect(&f->k, kit_ino(&f->k, ROOT_INO, name), 0, 300000, seed);
}

static void expect_none(struct fixture *f, const char *name)
{
	struct attr a;

	assert_int_equal(posix_lookup(f->k.v, ROOT_INO, name, &a), -ENOENT);
}

static int try_open(struct fixture *f)
{
	int rc;

	f->d = (struct diag)DIAG_INIT;
	f->k.v = NULL;
	rc = volume_open(&f->k.o, &f->d, &f->k.v);
	if (rc < 0)
		f->k.v = NULL;
	return rc;
}

static void assert_told(const struct fixture *f, const char *about)
{
	if (!strstr(f->d.text, about))
		fail_msg("'%s' is not in: %s", about, f->d.text);
}

/* Three mounts: one file stays, one goes, one comes. */
static void live(struct fixture *f)
{
	kit_open(&f->k);
	put(f, "stays", 1);
	put(f, "goes", 2);
	kit_close(&f->k);
	save(f);
	kit_open(&f->k);
	OK(posix_unlink(f->k.v, ROOT_INO, "goes"));
	put(f, "comes", 3);
	kit_close(&f->k);
}

static void expect_now(struct fixture *f)
{
	expect(f, "stays", 1);
	expect(f, "comes", 3);
	expect_none(f, "goes");
}

/* ---- some are old ---- */

/* Away while things were written and deleted; then a fully fresh index. */
static void test_stale_folder_returns(void **state)
{
	struct fixture *f = *state;

	kit_open(&f->k);
	put(f, "stays", 1);
	put(f, "goes", 2);
	kit_close(&f->k);
	save(f);
	restore(f->k.locations[4], NULL);
	kit_open(&f->k);
	assert_int_equal(pool_up(f->k.v->pool), KIT_FOLDERS - 1);
	OK(posix_unlink(f->k.v, ROOT_INO, "goes"));
	put(f, "comes", 3);
	kit_close(&f->k);
	restore(f->k.locations[4], f->old[4]);
	kit_open(&f->k);
	assert_int_equal(pool_up(f->k.v->pool), KIT_FOLDERS);
	expect_now(f);
	kit_close(&f->k);
	kit_lose_cache(&f->k);
	/* What it does not have the others do. */
	restore(f->k.locations[0], NULL);
	restore(f->k.locations[1], NULL);
	kit_open(&f->k);
	expect_now(f);
	kit_close(&f->k);
}

/* It names the epoch, too, in its journal: nothing of that counts. */
static void test_stale_after_a_crash(void **state)
{
	struct fixture *f = *state;
	uint64_t ino;

	kit_open(&f->k);
	put(f, "stays", 1);
	put(f, "goes", 2);
	OK(volume_sync(f->k.v));
	kit_crash(&f->k);
	save(f);
	kit_open(&f->k);
	OK(posix_unlink(f->k.v, ROOT_INO, "goes"));
	put(f, "comes", 3);
	ino = kit_ino(&f->k, ROOT_INO, "comes");
	kit_fsync(&f->k, ino);
	kit_crash(&f->k);
	for (unsigned i = 0; i < 2; i++)
		restore(f->k.locations[i], f->old[i]);
	kit_lose_cache(&f->k);
	kit_open(&f->k);
	expect_now(f);
	kit_close(&f->k);
}

/* Any two of six may come from a backup. */
static void test_some_restored(void **state)
{
	struct fixture *f = *state;
	struct copy *now[KIT_FOLDERS];

	live(f);
	for (unsigned i = 0; i < KIT_FOLDERS; i++)
		now[i] = copy_of(f->k.locations[i]);
	for (unsigned i = 0; i < KIT_FOLDERS; i++) {
		unsigned j = (i + 1 + i / 3) % KIT_FOLDERS;

		for (unsigned m = 0; m < KIT_FOLDERS; m++)
			restore(f->k.locations[m],
				m == i || m == j ? f->old[m] : now[m]);
		/* Of the round before, which never was. */
		kit_lose_cache(&f->k);
		kit_open(&f->k);
		expect_now(f);
		kit_close(&f->k);
	}
	for (unsigned i = 0; i < KIT_FOLDERS; i++)
		copy_free(now[i]);
}

/* ---- all are old ---- */

static void restore_all(struct fixture *f)
{
	for (unsigned i = 0; i < f->k.o.n; i++)
		restore(f->k.locations[i], f->old[i]);
}

static void test_all_restored(void **state)
{
	struct fixture *f = *state;

	live(f);
	restore_all(f);
	assert_int_equal(try_open(f), -ERR_ROLLBACK);
	assert_told(f, "older");
	assert_told(f, "accept_rollback");
	f->k.o.read_only = true;
	assert_int_equal(try_open(f), -ERR_ROLLBACK);
	f->k.o.read_only = false;
	f->k.o.accept_rollback = true;
	assert_int_equal(try_open(f), 0);
	expect(f, "goes", 2);
	put(f, "after", 4);
	kit_close(&f->k);
	/* That is the truth now. */
	f->k.o.accept_rollback = false;
	kit_open(&f->k);
	expect(f, "after", 4);
	expect_none(f, "comes");
	kit_close(&f->k);
}

/* Between two checkpoints: what was acknowledged is known by its number. */
static void test_all_restored_within_an_epoch(void **state)
{
	struct fixture *f = *state;

	kit_open(&f->k);
	put(f, "stays", 1);
	OK(volume_sync(f->k.v));
	OK(service_checkpoint(f->k.v, NULL, NULL));
	save(f);
	put(f, "comes", 3);
	OK(volume_sync(f->k.v));
	OK(service_checkpoint(f->k.v, NULL, NULL));
	kit_crash(&f->k);
	restore_all(f);
	assert_int_equal(try_open(f), -ERR_ROLLBACK);
	f->k.o.accept_rollback = true;
	assert_int_equal(try_open(f), 0);
	expect(f, "stays", 1);
	expect_none(f, "comes");
	kit_close(&f->k);
}

/*
 * No checkpoint after the copy was made, but the machine remembers records,
 * too, in the background.
 */
static void die_between_checkpoints(struct fixture *f)
{
	struct volume *v;
	uint64_t mark = 0;

	f->k.o.commit_seconds = 1;
	kit_open(&f->k);
	v = f->k.v;
	put(f, "stays", 1);
	OK(volume_sync(v));
	save(f);
	put(f, "comes", 3);
	OK(volume_sync(v));
	while (mark < commit_durable(v->commit)) {
		MUTEX_GUARD(&v->ckpt_lock);
		mark = v->local_state.mark_seq;
	}
	kit_crash(&f->k);
}

static void test_a_crash_is_none(void **state)
{
	struct fixture *f = *state;

	die_between_checkpoints(f);
	kit_open(&f->k);
	expect(f, "stays", 1);
	expect(f, "comes", 3);
	kit_close(&f->k);
}

static void test_all_restored_between_checkpoints(void **state)
{
	struct fixture *f = *state;

	die_between_checkpoints(f);
	restore_all(f);
	assert_int_equal(try_open(f), -ERR_ROLLBACK);
	assert_told(f, "accept_rollback");
	f->k.o.read_only = true;
	assert_int_equal(try_open(f), -ERR_ROLLBACK);
	f->k.o.read_only = false;
	f->k.o.accept_rollback = true;
	assert_int_equal(try_open(f), 0);
	expect(f, "stays", 1);
	expect_none(f, "comes");
	kit_close(&f->k);
}

/* Another machine knows nothing of it. */
static void test_all_restored_elsewhere(void **state)
{
	struct fixture *f = *state;

	live(f);
	restore_all(f);
	kit_lose_cache(&f->k);
	kit_open(&f->k);
	expect(f, "goes", 2);
	kit_close(&f->k);
}

/* ---- what this machine remembers ---- */

static char *state_path(struct fixture *f, const char *name)
{
	char hex[2 * sizeof(struct pool_id) + 1];
	struct copy *c = copy_of(f->k.locations[0]);
	struct sb_clear clear;
	char *path;

	for (unsigned i = 0; i < c->n; i++)
		if (strcmp(c->at[i].name, "mendfs.super.0") == 0)
			OK(superblock_peek(c->at[i].data, c->at[i].len,
					   &clear));
	hex_encode(hex, clear.pool.b, sizeof(clear.pool.b));
	copy_free(c);
	path = mem_printf("%s/%s/%s", f->k.cache, hex, name);
	assert_non_null(path);
	return path;
}

static void damage(const char *path, size_t keep, uint8_t flip)
{
	AUTO_FREE uint8_t *data = NULL;
	size_t len;

	OK(os_read_file(path, 64 << 20, &data, &len));
	if (keep < len)
		len = keep;
	for (size_t i = 0; i < len; i += 97)
		data[i] ^= flip;
	OK(os_replace_file(path, data, len));
}

static void test_memory_heals(void **state)
{
	struct fixture *f = *state;
	AUTO_FREE char *path = NULL;
	AUTO_FREE char *index = NULL;

	live(f);
	path = state_path(f, "state");
	index = state_path(f, "index");
	for (unsigned i = 0; i < 10; i++) {
		switch (i) {
		case 0:
			damage(path, 0, 0);
			break;
		case 1:
			damage(path, 40, 0);
			break;
		case 2:
			damage(path, SIZE_MAX, 0xff);
			break;
		case 3:
			OK(os_unlinkat(AT_FDCWD, path, 0));
			break;
		case 4:
			damage(index, 0, 0);
			break;
		case 5:
			damage(index, 70000, 0);
			break;
		case 6:
			OK(os_unlinkat(AT_FDCWD, index, 0));
			break;
		case 7:
			damage(index, SIZE_MAX, 0x5a);
			OK(os_unlinkat(AT_FDCWD, path, 0));
			break;
		case 8:
			kit_lose_cache(&f->k);
			break;
		default:
			break;
		}
		kit_open(&f->k);
		expect_now(f);
		kit_close(&f->k);
	}
}

/* What was remembered before a crash is kept where the rest is rebuilt. */
static void test_mark_outlives_the_index(void **state)
{
	struct fixture *f = *state;
	AUTO_FREE char *index = NULL;

	live(f);
	index = state_path(f, "index");
	OK(os_unlinkat(AT_FDCWD, index, 0));
	restore_all(f);
	assert_int_equal(try_open(f), -ERR_ROLLBACK);
}

/* ---- two halves ---- */

static int set_up_four(void **state)
{
	struct fixture *f;
	struct diag d = DIAG_INIT;
	struct pool_create_options po = {
		.n = 4,
		.geo = {.k = 2,
			.m = 2,
			.chunk_bytes = 128 << 10,
			.segment_bytes = 4 << 20,
			.cipher = CIPHER_AES_256_GCM,
			.level = 1},
		.label = "four",
		.pass = "secret",
		.pass_len = 6,
		.force = true,
	};

	set_up(state);
	f = *state;
	po.location = f->k.locations;
	f->k.o.n = 4;
	if (volume_make(&po, 0, 0, NULL, &d) < 0)
		fail_msg("volume_make: %s", d.text);
	return 0;
}

/* The half from `first` on alone, on a machine of its own. */
static void write_half(struct fixture *f, unsigned first, const char *name)
{
	unsigned other = first ? 0 : 2;
	struct copy *away[2];

	for (unsigned i = 0; i < 2; i++) {
		away[i] = copy_of(f->k.locations[other + i]);
		restore(f->k.locations[other + i], NULL);
	}
	kit_lose_cache(&f->k);
	f->k.o.degraded = false;
	assert_int_equal(try_open(f), -ERR_NO_MAJORITY);
	f->k.o.degraded = true;
	assert_int_equal(try_open(f), 0);
	put(f, name, first);
	kit_close(&f->k);
	f->k.o.degraded = false;
	for (unsigned i = 0; i < 2; i++) {
		restore(f->k.locations[other + i], away[i]);
		copy_free(away[i]);
	}
}

static void test_halves(void **state)
{
	struct fixture *f = *state;
	struct attr a;

	kit_open(&f->k);
	put(f, "both", 7);
	kit_close(&f->k);
	write_half(f, 0, "left");
	write_half(f, 2, "right");
	kit_lose_cache(&f->k);
	for (unsigned i = 0; i < 3; i++) {
		f->k.o.degraded = i > 0;
		f->k.o.accept_rollback = i > 1;
		assert_int_equal(try_open(f), -ERR_DIVERGED);
		assert_told(f, "side 1");
		assert_told(f, "side 2");
		for (unsigned j = 0; j < 4; j++)
			assert_told(f, driver_location_path(f->k.locations[j]));
	}
	f->k.o.degraded = f->k.o.accept_rollback = false;
	f->k.o.read_only = true;
	assert_int_equal(try_open(f), 0);
	assert_told(f, "side 2");
	assert_true(f->k.v->pool->diverged);
	expect(f, "both", 7);
	assert_int_equal((posix_lookup(f->k.v, ROOT_INO, "left", &a) == 0) +
				 (posix_lookup(f->k.v, ROOT_INO, "right", &a) ==
				  0),
			 1);
	kit_close(&f->k);
}

/* The user decides: the other half is taken away, and made anew later. */
static void test_one_half_is_kept(void **state)
{
	struct fixture *f = *state;

	kit_open(&f->k);
	put(f, "both", 7);
	kit_close(&f->k);
	write_half(f, 0, "left");
	write_half(f, 2, "right");
	kit_lose_cache(&f->k);
	restore(f->k.locations[2], NULL);
	restore(f->k.locations[3], NULL);
	f->k.o.degraded = true;
	assert_int_equal(try_open(f), 0);
	expect(f, "both", 7);
	expect(f, "left", 0);
	expect_none(f, "right");
	kit_close(&f->k);
}

#define T(f)  cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define T4(f) cmocka_unit_test_setup_teardown(f, set_up_four, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_stale_folder_returns),
		T(test_stale_after_a_crash),
		T(test_some_restored),
		T(test_all_restored),
		T(test_all_restored_within_an_epoch),
		T(test_a_crash_is_none),
		T(test_all_restored_between_checkpoints),
		T(test_all_restored_elsewhere),
		T(test_memory_heals),
		T(test_mark_outlives_the_index),
		T4(test_halves),
		T4(test_one_half_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
