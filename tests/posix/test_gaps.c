/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that arrive before those in front of them, as a kernel that caches
 * writes hands them on: a crash never shows zeros for what was on its way.
 */
#include "posix_check.h"

#include "fs/gaps.h"

#define BLOCK (1u << 20)

static struct file *open_new(struct kit *k, const char *name, uint64_t *ino)
{
	*ino = kit_mk(k, ROOT_INO, name, S_IFREG | 0644);
	return kit_fopen(k, *ino, O_RDWR);
}

/* Block i of the file arrives. */
static void arrives(struct file *f, unsigned i)
{
	uint8_t *p = malloc(BLOCK);

	kit_pattern(p, BLOCK, (uint64_t)i * BLOCK, 1);
	assert_int_equal(posix_write(f, p, BLOCK, (uint64_t)i * BLOCK), BLOCK);
	free(p);
}

/* What is in memory becomes durable, but nobody has asked for it. */
static void background(struct kit *k)
{
	OK(writeback_run(k->v, CACHE_ANY, UINT64_MAX));
	OK(node_flush_attrs(k->v));
	OK(commit_all(k->v->commit));
}

static void crash_open(struct kit *k, struct file *f)
{
	posix_close(f);
	kit_crash(k);
	kit_open(k);
	kit_sound(k);
}

/* A crash as the file is, without the close. */
static uint64_t size_after_crash(struct kit *k, struct file *f, uint64_t ino)
{
	OK(volume_shutdown(k->v, SHUTDOWN_KEEPS_NOTHING));
	crash_open(k, f);
	return kit_attr(k, ino).size;
}

static void short_and_not_zero(void **state)
{
	struct kit *k = *state;
	uint64_t ino;
	struct file *f = open_new(k, "f", &ino);

	arrives(f, 0);
	arrives(f, 2);
	arrives(f, 3);
	background(k);
	assert_int_equal(size_after_crash(k, f, ino), BLOCK);
	kit_expect(k, ino, 0, BLOCK, 1);
}

/* What came too early is not found in a hole that is made there later. */
static void nothing_is_left_beyond(void **state)
{
	static const uint8_t zero[BLOCK];
	struct kit *k = *state;
	uint8_t *got = malloc(BLOCK);
	uint64_t ino;
	struct file *f = open_new(k, "f", &ino);

	arrives(f, 2);
	background(k);
	assert_int_equal(size_after_crash(k, f, ino), 0);
	OK(kit_set_size(k, ino, 4 * BLOCK));
	OK(volume_sync(k->v));
	kit_recrash(k);
	f = kit_fopen(k, ino, O_RDONLY);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(posix_read(f, got, BLOCK, i * BLOCK), BLOCK);
		assert_memory_equal(got, zero, BLOCK);
	}
	posix_close(f);
	free(got);
}

static void filled_in_any_order(void **state)
{
	static const unsigned order[][4] = {
		{3, 2, 1, 0}, {1, 0, 3, 2}, {2, 0, 3, 1}, {3, 0, 2, 1}};
	struct kit *k = *state;
	uint64_t ino;

	for (unsigned i = 0; i < 4; i++) {
		char name[2] = {(char)('0' + i), 0};
		struct file *f = open_new(k, name, &ino);

		for (unsigned j = 0; j < 4; j++) {
			arrives(f, order[i][j]);
			background(k);
		}
		assert_int_equal(size_after_crash(k, f, ino), 4 * BLOCK);
		kit_expect(k, ino, 0, 4 * BLOCK, 1);
	}
}

/* Who syncs or closes has sent everything: it is a hole. */
static void holes_are_kept(void **state)
{
	struct kit *k = *state;
	uint64_t ino;
	struct file *f = open_new(k, "synced", &ino);

	arrives(f, 2);
	OK(posix_fsync(f, false));
	assert_int_equal(size_after_crash(k, f, ino), 3 * BLOCK);
	kit_expect(k, ino, 2 * BLOCK, BLOCK, 1);

	f = open_new(k, "flushed", &ino);
	arrives(f, 2);
	OK(posix_flush(f));
	background(k);
	assert_int_equal(size_after_crash(k, f, ino), 3 * BLOCK);

	f = open_new(k, "closed", &ino);
	arrives(f, 2);
	posix_close(f);
	background(k);
	kit_recrash(k);
	assert_int_equal(kit_attr(k, ino).size, 3 * BLOCK);

	f = open_new(k, "all", &ino);
	arrives(f, 2);
	OK(volume_sync(k->v));
	assert_int_equal(size_after_crash(k, f, ino), 3 * BLOCK);

	f = open_new(k, "old", &ino);
	arrives(f, 2);
	gaps_close_all(k->v, UINT64_MAX); /* as the keeper, after a long time */
	background(k);
	assert_int_equal(size_after_crash(k, f, ino), 3 * BLOCK);
}

/* The mount has ended, and the program that wrote could not write on. */
static void abandoned(void **state)
{
	struct kit *k = *state;
	uint64_t ino;
	struct file *f = open_new(k, "f", &ino);

	arrives(f, 0);
	arrives(f, 2);
	background(k);
	posix_abandon(f);
	kit_close(k);
	kit_open(k);
	kit_sound(k);
	assert_int_equal(kit_attr(k, ino).size, BLOCK);
	kit_expect(k, ino, 0, BLOCK, 1);

	f = open_new(k, "g", &ino);
	arrives(f, 0);
	arrives(f, 1);
	posix_abandon(f);
	kit_close(k);
	kit_open(k);
	kit_expect(k, ino, 0, 2 * BLOCK, 1);
}

/* Cuts below, in and above a gap. */
static void cut(void **state)
{
	static const uint64_t to[] = {BLOCK / 2, BLOCK + 9, 2 * BLOCK + 5,
				      5 * BLOCK};
	struct kit *k = *state;
	uint64_t ino, size;

	for (unsigned i = 0; i < 4; i++) {
		char name[2] = {(char)('0' + i), 0};
		struct file *f = open_new(k, name, &ino);

		arrives(f, 0);
		arrives(f, 2);
		background(k);
		OK(kit_set_size(k, ino, to[i]));
		background(k);
		assert_int_equal(kit_attr(k, ino).size, to[i]);
		size = size_after_crash(k, f, ino);
		assert_int_equal(size, MIN(to[i], BLOCK));
		kit_expect(k, ino, 0, size, 1);
	}
}

/* More gaps than are told apart; the queue is empty in the end. */
static void many(void **state)
{
	struct kit *k = *state;
	uint64_t ino;
	struct file *f = open_new(k, "f", &ino);
	struct queue_row job;

	for (unsigned i = 1; i < 60; i += 2) {
		assert_int_equal(posix_write(f, "data", 4, 12288ULL * i), 4);
		background(k);
	}
	index_lock(k->v->ix);
	OK(queue_find(k->v->ix, QUEUE_LOOSE, ino, &job));
	index_unlock(k->v->ix);
	for (unsigned i = 0; i < 60; i += 2) {
		assert_int_equal(posix_write(f, "data", 4, 12288ULL * i), 4);
		background(k);
	}
	OK(posix_fsync(f, false));
	background(k);
	index_lock(k->v->ix);
	assert_int_equal(queue_find(k->v->ix, QUEUE_LOOSE, ino, &job), -ENOENT);
	index_unlock(k->v->ix);
	assert_int_equal(size_after_crash(k, f, ino), 12288 * 59 + 4);
}

/* Removed while open, with a job that nobody needs any more. */
static void removed(void **state)
{
	struct kit *k = *state;
	uint64_t ino;
	struct file *f = open_new(k, "f", &ino);
	struct queue_row job;

	arrives(f, 2);
	background(k);
	OK(posix_unlink(k->v, ROOT_INO, "f"));
	posix_close(f);
	index_lock(k->v->ix);
	assert_int_equal(queue_next(k->v->ix, 0, &job), -ENOENT);
	index_unlock(k->v->ix);
	kit_sound(k);

	f = open_new(k, "g", &ino);
	arrives(f, 2);
	background(k);
	OK(posix_unlink(k->v, ROOT_INO, "g"));
	OK(volume_shutdown(k->v, SHUTDOWN_KEEPS_RECORDS));
	crash_open(k, f);
	index_lock(k->v->ix);
	assert_int_equal(queue_next(k->v->ix, 0, &job), -ENOENT);
	index_unlock(k->v->ix);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_KIT(short_and_not_zero),
		WITH_KIT(nothing_is_left_beyond),
		WITH_KIT(filled_in_any_order),
		WITH_KIT(holes_are_kept),
		WITH_KIT(abandoned),
		WITH_KIT(cut),
		WITH_KIT(many),
		WITH_KIT(removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
