/* SPDX-License-Identifier: Apache-2.0 */
/* Changing sizes: what is cut away, what a grown file shows, many rows, and
 * which size a crash leaves. */
#include "posix_check.h"

/* ---- truncating ---- */

static void cut_and_grown_reads_zero(void **state)
{
	static const uint64_t cut[] = {0,
				       1,
				       4095,
				       KIT_CHUNK - 1,
				       KIT_CHUNK,
				       KIT_CHUNK + 1,
				       KIT_SLOT - 1,
				       KIT_SLOT,
				       KIT_SLOT + 7};
	struct kit *k = *state;
	size_t size = KIT_SLOT + KIT_CHUNK + 999;

	for (unsigned i = 0; i < 4 * ARRAY_LEN(cut); i++) {
		uint64_t at = cut[i % ARRAY_LEN(cut)],
			 ino = kit_new_file(k, "f");

		kit_write(k, ino, 0, size, i);
		if (i / ARRAY_LEN(cut) & 1)
			kit_drop_cache(k); /* only in the store */
		OK(kit_set_size(k, ino, at));
		if (i / ARRAY_LEN(cut) & 2)
			kit_drop_cache(k);
		OK(kit_set_size(k, ino, size));
		if (at)
			kit_expect(k, ino, 0, at, i);
		kit_expect_zero(k, ino, at, size - at);
		kit_drop_cache(k);
		if (at)
			kit_expect(k, ino, 0, at, i);
		kit_expect_zero(k, ino, at, size - at);
		/* Growing by a write instead of a truncate. */
		OK(kit_set_size(k, ino, at));
		kit_write(k, ino, size, 10, i);
		kit_expect_zero(k, ino, at, size - at);
		kit_expect(k, ino, size, 10, i);
		OK(posix_unlink(k->v, ROOT_INO, "f"));
	}
	kit_sound(k);
}

static void truncated_by_open(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_new_file(k, "f");
	struct file *f;

	kit_write(k, ino, 0, 300000, 1);
	f = kit_fopen(k, ino, O_WRONLY | O_TRUNC);
	assert_int_equal(kit_attr(k, ino).size, 0);
	kit_write(k, ino, 5, 10, 2);
	posix_close(f);
	kit_reopen(k);
	assert_int_equal(kit_attr(k, ino).size, 15);
	kit_expect_zero(k, ino, 0, 5);
	kit_expect(k, ino, 5, 10, 2);
}

/* A file of so many rows that they are worked off in several operations. */
static uint64_t many_rows(struct kit *k, const char *name, unsigned rows)
{
	uint64_t ino = kit_new_file(k, name);
	struct file *f = kit_fopen(k, ino, O_RDWR);
	uint8_t b[16];

	for (unsigned i = 0; i < rows; i++) {
		uint64_t off = (uint64_t)i * KIT_SLOT / 4;

		kit_pattern(b, sizeof(b), off, 5);
		assert_int_equal(posix_write(f, b, sizeof(b), off), sizeof(b));
	}
	OK(posix_fsync(f, false));
	posix_close(f);
	return ino;
}

#define ROWS (2 * ROWS_PER_OP + 500)

static void cutting_many_rows(void **state)
{
	struct kit *k = *state;
	uint64_t ino = many_rows(k, "f", ROWS), row = KIT_SLOT / 4;
	uint64_t other = many_rows(k, "g", ROWS);

	/* In the middle of a row, over the limit of an operation. */
	OK(kit_set_size(k, ino, 100 * row + 8));
	/* Written at once behind the border: must not be cut later. */
	kit_write(k, ino, 2000 * row, 100000, 6);
	OK(volume_sync(k->v));
	OK(service_run_queue(k->v));
	kit_expect(k, ino, 100 * row, 8, 5);
	kit_expect_zero(k, ino, 100 * row + 8, 100000);
	kit_expect_zero(k, ino, 1999 * row, 100000);
	kit_expect(k, ino, 2000 * row, 100000, 6);
	/* To nothing: the data is queued, and new data comes at once. */
	OK(kit_set_size(k, other, 0));
	kit_write(k, other, 7 * row, 100, 7);
	kit_expect_zero(k, other, 0, 100000);
	OK(volume_sync(k->v));
	kit_recrash(k);
	kit_expect(k, ino, 2000 * row, 100000, 6);
	kit_expect_zero(k, ino, 150 * row, 100000);
	kit_expect_zero(k, other, 3 * row, 100);
	kit_expect(k, other, 7 * row, 100, 7);
	kit_sound(k);
	OK(posix_unlink(k->v, ROOT_INO, "f"));
	OK(posix_unlink(k->v, ROOT_INO, "g"));
	OK(service_run_queue(k->v));
	kit_sound(k);
}

static void unlinking_many_rows(void **state)
{
	struct kit *k = *state;
	uint64_t inodes = kit_inodes(k);
	struct volume_status st;

	many_rows(k, "f", ROWS);
	OK(posix_unlink(k->v, ROOT_INO, "f"));
	OK(volume_sync(k->v));
	kit_recrash(k); /* the queue goes on */
	assert_int_equal(kit_inodes(k), inodes);
	kit_sound(k);
	kit_reopen(k);
	OK(volume_get_status(k->v, &st));
	assert_int_equal(st.segments.live_bytes, 0);
}

/* The last dirty bytes were cut away, and another operation came between. */
static void a_size_that_waits_for_nothing(void **state)
{
	struct kit *k = *state;

	for (unsigned i = 0; i < 3; i++) {
		uint64_t ino = kit_new_file(k, "a");
		struct attr_change c = {.set = SET_MODE, .mode = 0600};
		struct attr a;

		kit_write(k, ino, 800 * KIT_KIB, 100, 1);
		OK(kit_set_size(k, ino, 500 * KIT_KIB));
		OK(posix_setattr(k->v, ino, &c, &a));
		if (i == 0)
			OK(volume_sync(k->v));
		else
			kit_fsync(k, ino);
		kit_recrash(k);
		assert_int_equal(kit_attr(k, ino).size, 500 * KIT_KIB);
		kit_expect_zero(k, ino, 0, 500 * KIT_KIB);
		OK(posix_unlink(k->v, ROOT_INO, "a"));
	}
	kit_sound(k);
}

/* C11: nor by a truncate, while the bytes below are only in memory. */
static void growing_does_not_justify_dirty_bytes(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_new_file(k, "f");
	size_t size;

	kit_write(k, ino, 0, 100000, 1);
	OK(kit_set_size(k, ino, 300000));
	OK(commit_all(k->v->commit));
	kit_recrash(k);
	size = kit_attr(k, ino).size;
	if (size)
		kit_expect(k, ino, 0, MIN(size, 100000), 1);
	kit_sound(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_KIT(cut_and_grown_reads_zero),
		WITH_KIT(truncated_by_open),
		WITH_KIT(cutting_many_rows),
		WITH_KIT(unlinking_many_rows),
		WITH_KIT(a_size_that_waits_for_nothing),
		WITH_KIT(growing_does_not_justify_dirty_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
