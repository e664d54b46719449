/* SPDX-License-Identifier: Apache-2.0 */
/* Full folders: who is told, what still works, and that nothing that was
 * accepted is lost. */
#include "posix_check.h"

#define KIB 1024u
#define MIB (1024u * KIB)

#define PATIENCE_MS 15000

#define FULL(where)           \
	((struct fault_rule){ \
		.kind = FAULT_FULL, .ops = FAULT_OP_ALL, .prefix = (where)})

static void full(struct kit *k, unsigned folders)
{
	struct fault_rule r = FULL("");

	for (unsigned i = 0; i < folders; i++)
		OK(fault_add(k->location[i], &r));
}

/* All is well again: until the volume knows, it may say no. */
static void until_synced(struct kit *k)
{
	uint64_t end = clock_mono_ms() + PATIENCE_MS;
	int rc;

	while ((rc = volume_sync(k->v)) < 0) {
		if (clock_mono_ms() > end)
			fail_msg("still %s", err_name(rc));
		usleep(20000);
	}
}

static void until_accepted(struct kit *k, uint64_t ino, uint64_t seed)
{
	uint64_t end = clock_mono_ms() + PATIENCE_MS;
	struct file *f = kit_fopen(k, ino, O_RDWR);
	uint8_t buf[10000];
	ssize_t rc;

	kit_pattern(buf, sizeof(buf), 0, seed);
	while ((rc = posix_write(f, buf, sizeof(buf), 0)) < 0) {
		assert_int_equal(rc, -ENOSPC);
		assert_true(clock_mono_ms() < end);
		usleep(20000);
	}
	posix_close(f);
}

/* Writes until there is no room; bytes accepted. */
static uint64_t until_refused(struct kit *k, uint64_t ino, size_t step,
			      uint64_t seed)
{
	uint64_t end = clock_mono_ms() + PATIENCE_MS, off = 0;
	struct file *f = kit_fopen(k, ino, O_RDWR);
	uint8_t *buf = malloc(step);
	ssize_t rc;

	for (;;) {
		kit_pattern(buf, step, off, seed);
		rc = posix_write(f, buf, step, off);
		if (rc < 0)
			break;
		off += (uint64_t)rc;
		assert_true(clock_mono_ms() < end);
		usleep(2000);
	}
	assert_int_equal(rc, -ENOSPC);
	assert_int_equal(posix_write(f, buf, step, off), -ENOSPC);
	posix_close(f);
	free(buf);
	return off;
}

static void everything_full(void **state)
{
	struct kit *k = *state;
	uint64_t old = kit_mk(k, ROOT_INO, "old", S_IFREG | 0644);
	uint64_t ino = kit_mk(k, ROOT_INO, "new", S_IFREG | 0644);
	uint64_t bytes;
	struct space s;

	kit_mk(k, ROOT_INO, "gone", S_IFREG | 0644);
	kit_mk(k, ROOT_INO, "dir", S_IFDIR | 0755);
	kit_write(k, old, 0, 3 * MIB, 1);
	OK(volume_sync(k->v));
	full(k, KIT_FOLDERS);
	bytes = until_refused(k, ino, 40000, 2);
	printf("%llu bytes were accepted\n", (unsigned long long)bytes);
	OK(posix_statfs(k->v, &s));
	assert_int_equal(s.free_blocks, 0);
	assert_true(space_nearly_full(k->v));
	/* Reading and removing go on. */
	kit_expect(k, old, 0, 3 * MIB, 1);
	kit_expect(k, ino, 0, bytes, 2);
	assert_int_equal(kit_try_mk(k, ROOT_INO, "more", S_IFREG | 0644),
			 -ENOSPC);
	OK(posix_unlink(k->v, ROOT_INO, "gone"));
	OK(posix_rmdir(k->v, ROOT_INO, "dir"));
	OK(posix_rename(k->v, ROOT_INO, "old", ROOT_INO, "older", 0));
	OK(kit_set_size(k, old, 2 * MIB));
	assert_true(volume_sync(k->v) < 0);
	kit_clear(k);
	until_synced(k);
	until_accepted(k, kit_mk(k, ROOT_INO, "more", S_IFREG | 0644), 3);
	until_synced(k);
	kit_recrash(k);
	kit_expect(k, kit_ino(k, ROOT_INO, "older"), 0, 2 * MIB, 1);
	kit_expect(k, ino, 0, bytes, 2);
	kit_expect(k, kit_ino(k, ROOT_INO, "more"), 0, 10000, 3);
	assert_false(kit_has(k, ROOT_INO, "gone"));
	assert_false(kit_has(k, ROOT_INO, "dir"));
	kit_sound(k);
}

/* Data that was dirty when the folders filled up is written in the end. */
static void dirty_when_it_fills_up(void **state)
{
	struct kit *k = *state;
	uint64_t small = kit_mk(k, ROOT_INO, "small", S_IFREG | 0644);
	uint64_t large = kit_mk(k, ROOT_INO, "large", S_IFREG | 0644);

	kit_write(k, small, 0, 5000, 1);
	kit_write(k, large, 0, 9 * MIB, 2);
	full(k, KIT_FOLDERS);
	for (unsigned i = 0; i < 3; i++) {
		struct file *f = kit_fopen(k, i % 2 ? small : large, O_RDWR);

		assert_true(posix_fsync(f, false) < 0);
		posix_close(f);
	}
	assert_true(volume_sync(k->v) < 0);
	kit_expect(k, small, 0, 5000, 1);
	kit_expect(k, large, 0, 9 * MIB, 2);
	kit_clear(k);
	until_synced(k);
	kit_recrash(k);
	kit_expect(k, small, 0, 5000, 1);
	kit_expect(k, large, 0, 9 * MIB, 2);
	kit_sound(k);
}

/* As many as may be lost: the others are enough, with the same redundancy. */
static void some_full(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644);
	struct space s;

	full(k, 2);
	/* Until it is known that there are no wide stripes any more. */
	do {
		usleep(20000);
		OK(posix_statfs(k->v, &s));
	} while (s.free_blocks > 0);
	/* There are narrow ones. */
	assert_false(space_nearly_full(k->v));
	for (unsigned i = 0; i < 20; i++) {
		kit_write(k, ino, i * MIB, MIB, 1);
		if (i % 5 == 0)
			kit_fsync(k, ino);
	}
	OK(volume_sync(k->v));
	kit_crash(k);
	/* Two of those that took it are away now. */
	kit_clear(k);
	kit_hide(k, 3);
	kit_hide(k, 5);
	kit_open(k);
	kit_expect(k, ino, 0, 20 * MIB, 1);
	kit_crash(k);
	kit_clear(k);
	kit_open(k);
	kit_sound(k);
}

/* Too few for the redundancy that is promised: an error, and no loss. */
static void most_full(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644);
	struct file *f;

	OK(volume_sync(k->v));
	full(k, 4);
	kit_write(k, ino, 0, 5 * MIB, 1);
	f = kit_fopen(k, ino, O_RDWR);
	printf("fsync says %s\n", err_name(posix_fsync(f, false)));
	posix_close(f);
	kit_expect(k, ino, 0, 5 * MIB, 1);
	kit_clear(k);
	until_synced(k);
	kit_recrash(k);
	kit_expect(k, ino, 0, 5 * MIB, 1);
	kit_sound(k);
}

/* Only segments find no room; what is small goes on through the journal. */
static void no_room_for_segments(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644);
	uint64_t large = kit_mk(k, ROOT_INO, "g", S_IFREG | 0644);
	struct file *f = kit_fopen(k, large, O_RDWR);

	kit_fault_all(k, FULL("data/"));
	for (unsigned i = 0; i < 12; i++) {
		kit_write(k, ino, i * 500 * KIB, 500 * KIB, 1);
		kit_fsync(k, ino);
	}
	kit_write(k, large, 0, 5 * MIB, 2);
	assert_int_equal(posix_fsync(f, false), -ENOSPC);
	posix_close(f);
	kit_expect(k, ino, 0, 6000 * KIB, 1);
	kit_crash(k); /* what was fsynced is in the journal only */
	kit_clear(k);
	kit_open(k);
	kit_expect(k, ino, 0, 6000 * KIB, 1);
	kit_sound(k);
}

static void names_of(struct kit *k, const char *prefix, unsigned from,
		     unsigned n)
{
	for (unsigned i = from; i < from + n; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%s-%u", prefix, i);
		assert_true(kit_has(k, ROOT_INO, name));
	}
}

/*
 * No record can be written for a long time: what waits for it must not grow
 * beyond what a record takes, and all that was accepted comes in the end.
 */
static void no_room_for_records(void **state)
{
	struct kit *k = *state;
	char name[32];
	unsigned n;
	int rc = 0;

	kit_fault_all(k, FULL("journal/"));
	assert_int_equal(volume_sync(k->v), 0); /* nothing to write */
	for (n = 0; n < 60000; n++) {
		snprintf(name, sizeof(name), "file-%u", n);
		rc = kit_try_mk(k, ROOT_INO, name, S_IFREG | 0644);
		if (rc < 0)
			break;
		if (n == 10)
			assert_true(volume_sync(k->v) < 0);
	}
	printf("%u made, then %s\n", n, err_name(rc));
	kit_clear(k);
	until_synced(k);
	kit_recrash(k);
	names_of(k, "file", 0, n);
	OK(kit_try_mk(k, ROOT_INO, "more", S_IFREG | 0644));
	kit_sound(k);
}

static void closing_while_full(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644);
	uint64_t kept = kit_mk(k, ROOT_INO, "kept", S_IFREG | 0644);

	kit_write(k, kept, 0, 2 * MIB, 1);
	OK(volume_sync(k->v));
	kit_write(k, ino, 0, 3 * MIB, 2);
	full(k, KIT_FOLDERS);
	/* It cannot be made durable, and says so. */
	assert_true(volume_close(k->v) < 0);
	k->v = NULL;
	kit_clear(k);
	kit_open(k);
	kit_expect(k, kept, 0, 2 * MIB, 1);
	kit_sound(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_KIT(everything_full),
		WITH_KIT(dirty_when_it_fills_up),
		WITH_KIT(some_full),
		WITH_KIT(most_full),
		WITH_KIT(no_room_for_segments),
		WITH_KIT(no_room_for_records),
		WITH_KIT(closing_while_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
