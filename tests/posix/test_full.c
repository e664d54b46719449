/* SPDX-License-Identifier: Apache-2.0 */
/* Folders that really fill up, and have room again. */
#include "posix_check.h"

#include <stdatomic.h>

#include "base/must.h"
#include "base/workq.h"

#define FOLDER_BYTES (48u << 20)
#define FILES	     256
#define PATIENCE_MS  20000

/* Every folder holds so much and no more. */
static void folders_hold(struct kit *k, uint64_t bytes)
{
	for (unsigned i = 0; i < KIT_FOLDERS; i++)
		OK(mem_driver_size(k->location[i] + strlen("fault:mem:"),
				   bytes));
}

static int small_folders(void **state)
{
	struct kit *k = calloc(1, sizeof(*k));

	if (!getenv("MENDFS_TEST_LOG"))
		log_use_sink(kit_quiet, NULL);
	kit_make_segments(k, 1 << 20);
	folders_hold(k, FOLDER_BYTES);
	k->o.commit_seconds = 1;
	kit_open(k);
	*state = k;
	return 0;
}

#define WITH_SMALL(test) \
	cmocka_unit_test_setup_teardown(test, small_folders, kit_stop)

static char *name_of(unsigned i)
{
	static char name[16];

	snprintf(name, sizeof(name), "f%u", i);
	return name;
}

static uint64_t runs(struct kit *k)
{
	struct checkpoint_stats st;

	checkpoint_get_stats(k->v->checkpoint, &st);
	return st.runs;
}

/* Bytes that file i has, and what is in them. */
struct shelf {
	uint64_t ino[FILES];
	size_t len[FILES];
};

/* One file after another until one does not fit; how many there are. */
static unsigned fill_up(struct kit *k, struct shelf *s)
{
	const size_t step = 128 * KIT_KIB, len = KIT_MIB;
	uint8_t *p = malloc(step);
	unsigned i, files = 0;
	ssize_t rc = 0;

	for (i = 0; i < FILES && rc != -ENOSPC; i++) {
		struct file *f;

		if (kit_has(k, ROOT_INO, name_of(i)))
			continue;
		rc = kit_try_mk(k, ROOT_INO, name_of(i), S_IFREG | 0644);
		if (rc < 0)
			break;
		s->ino[i] = kit_ino(k, ROOT_INO, name_of(i));
		s->len[i] = 0;
		f = kit_fopen(k, s->ino[i], O_RDWR);
		while (s->len[i] < len) {
			kit_pattern(p, step, s->len[i], i);
			rc = posix_write(f, p, step, s->len[i]);
			if (rc < 0)
				break;
			s->len[i] += step;
		}
		/* What was accepted finds its room. */
		OK(posix_fsync(f, false));
		OK(posix_flush(f));
		posix_close(f);
		files++;
	}
	free(p);
	assert_int_equal(rc, -ENOSPC);
	return files;
}

static void expect_shelf(struct kit *k, const struct shelf *s)
{
	for (unsigned i = 0; i < FILES; i++)
		if (kit_has(k, ROOT_INO, name_of(i)) && s->len[i] > 0)
			kit_expect(k, s->ino[i], 0, s->len[i], i);
}

static void until_room(struct kit *k, uint64_t ino)
{
	uint64_t end = clock_mono_ms() + PATIENCE_MS;
	struct file *f = kit_fopen(k, ino, O_RDWR);
	static uint8_t buf[128 * 1024];
	ssize_t rc;

	while ((rc = posix_write(f, buf, sizeof(buf), 0)) < 0) {
		assert_int_equal(rc, -ENOSPC);
		assert_true(clock_mono_ms() < end);
		usleep(20000);
	}
	OK(posix_fsync(f, false));
	posix_close(f);
}

/* A little may still fit. */
static void expect_no_room(struct kit *k, uint64_t ino)
{
	struct file *f = kit_fopen(k, ino, O_RDWR | O_SYNC);
	static uint8_t buf[128 * 1024];
	ssize_t rc = 0;

	for (unsigned i = 0; i < 800 && rc >= 0; i++) {
		kit_pattern(buf, sizeof(buf), i * sizeof(buf), 99);
		rc = posix_write(f, buf, sizeof(buf), i * sizeof(buf));
	}
	assert_int_equal(rc, -ENOSPC);
	posix_close(f);
}

static void full_and_empty_again(void **state)
{
	struct kit *k = *state;
	struct shelf *s = calloc(1, sizeof(*s));
	uint64_t other = kit_new_file(k, "other");
	unsigned first = 0;

	for (unsigned round = 0; round < 3; round++) {
		unsigned files = fill_up(k, s);

		printf("%u files fit\n", files);
		first = round ? first : files;
		assert_true(files > 20);
		/* Most of what was there is there again. */
		assert_true(files > first / 3);
		expect_no_room(k, other);
		/* All else goes on. */
		OK(volume_sync(k->v));
		OK(service_checkpoint(k->v, NULL, NULL));
		cache_drop_clean(k->v->cache, CACHE_ANY);
		expect_shelf(k, s);
		for (unsigned i = round; i < FILES; i += 2)
			if (kit_has(k, ROOT_INO, name_of(i)))
				OK(posix_unlink(k->v, ROOT_INO, name_of(i)));
		OK(volume_sync(k->v));
		until_room(k, other);
		expect_shelf(k, s);
		if (round == 1) {
			kit_recrash(k);
			expect_shelf(k, s);
		}
	}
	kit_sound(k);
	free(s);
}

/* Closing and opening a pool that is full. */
static void full_across_mounts(void **state)
{
	struct kit *k = *state;
	struct shelf *s = calloc(1, sizeof(*s));

	(void)fill_up(k, s);
	kit_reopen(k);
	expect_shelf(k, s);
	kit_lose_cache(k);
	kit_recrash(k);
	expect_shelf(k, s);
	OK(posix_unlink(k->v, ROOT_INO, name_of(0)));
	OK(posix_unlink(k->v, ROOT_INO, name_of(1)));
	OK(posix_unlink(k->v, ROOT_INO, name_of(2)));
	OK(volume_sync(k->v));
	kit_reopen(k);
	until_room(k, s->ino[5]);
	kit_sound(k);
	free(s);
}

/* ---- room that no checkpoint can give back ---- */

static void write_in_vain(struct kit *k, uint64_t ino, uint64_t ms)
{
	uint64_t end = clock_mono_ms() + ms;
	struct file *f = kit_fopen(k, ino, O_RDWR);
	static uint8_t buf[128 * 1024];

	while (clock_mono_ms() < end) {
		ssize_t rc = posix_write(f, buf, sizeof(buf), 0);

		MUST(rc > 0 || rc == -ENOSPC);
	}
	posix_close(f);
}

struct vain {
	struct kit *k;
	uint64_t ino;
};

static void vain_job(void *arg)
{
	struct vain *v = arg;

	write_in_vain(v->k, v->ino, 1500);
}

/*
 * A folder has fragments of what was deleted, and does not remove them: nobody
 * makes one checkpoint after another for that. Once it does, there is room.
 */
static void no_storm_of_checkpoints(void **state)
{
	struct kit *k = *state;
	struct shelf *s = calloc(1, sizeof(*s));
	struct fault_rule stays = {.kind = FAULT_ERROR,
				   .ops = FAULT_OP_REMOVE,
				   .prefix = "data/",
				   .err = ENOTDIR};
	struct vain v[4];
	struct workq *q;
	uint64_t before;

	(void)fill_up(k, s);
	OK(volume_sync(k->v));
	kit_fault_all(k, stays);
	for (unsigned i = 0; i < 10; i++)
		OK(posix_unlink(k->v, ROOT_INO, name_of(i)));
	OK(volume_sync(k->v));
	before = runs(k);
	OK(workq_new("vain", ARRAY_LEN(v), &q));
	for (unsigned i = 0; i < ARRAY_LEN(v); i++) {
		v[i] = (struct vain){.k = k, .ino = s->ino[11 + i]};
		OK(workq_submit(q, vain_job, &v[i]));
	}
	workq_free(q);
	printf("%llu checkpoints\n", (unsigned long long)(runs(k) - before));
	assert_in_range(runs(k) - before, 1, 4);
	kit_clear(k);
	/* More was deleted: that is worth another one at once. */
	OK(posix_unlink(k->v, ROOT_INO, name_of(10)));
	until_room(k, s->ino[12]);
	kit_sound(k);
	free(s);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		WITH_SMALL(full_and_empty_again),
		WITH_SMALL(full_across_mounts),
		WITH_SMALL(no_storm_of_checkpoints),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
