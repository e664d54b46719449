/* SPDX-License-Identifier: Apache-2.0 */
/* Files: reading, writing, appending, holes, sizes, times. */
#include "posix_check.h"

static uint64_t payload_written(struct kit *k)
{
	struct volume_status st;

	OK(volume_get_status(k->v, &st));
	return st.store.payload_bytes;
}

/* ---- reading ---- */

static void reads_end_with_the_file(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_new_file(k, "f");
	struct file *f = kit_fopen(k, ino, O_RDWR);
	uint8_t buf[100];

	assert_int_equal(posix_read(f, buf, 100, 0), 0);
	assert_int_equal(posix_read(f, buf, 0, 0), 0);
	kit_write(k, ino, 0, 1000, 1);
	assert_int_equal(posix_read(f, buf, 100, 0), 100);
	assert_int_equal(posix_read(f, buf, 100, 950), 50);
	assert_int_equal(posix_read(f, buf, 100, 999), 1);
	assert_int_equal(posix_read(f, buf, 100, 1000), 0);
	assert_int_equal(posix_read(f, buf, 100, UINT64_MAX), 0);
	assert_int_equal(posix_read(f, buf, 100, INT64_MAX), 0);
	assert_int_equal(posix_read(f, buf, 0, 10), 0);
	assert_int_equal(posix_write(f, buf, 0, 5000), 0);
	assert_int_equal(kit_attr(k, ino).size, 1000);
	assert_int_equal(posix_file_ino(f), ino);
	posix_close(f);
}

static void what_cannot_be_opened(void **state)
{
	struct kit *k = *state;
	uint64_t dir = kit_mk(k, ROOT_INO, "dir", S_IFDIR | 0755);
	uint64_t fifo = kit_mk(k, ROOT_INO, "fifo", S_IFIFO | 0644);
	struct file *f;
	uint8_t b;

	assert_int_equal(posix_open(k->v, 99999, O_RDONLY, &f), -ENOENT);
	assert_int_equal(posix_open(k->v, dir, O_RDWR, &f), -EISDIR);
	assert_int_equal(posix_open(k->v, dir, O_RDONLY | O_TRUNC, &f),
			 -EISDIR);
	f = kit_fopen(k, dir, O_RDONLY);
	assert_int_equal(posix_read(f, &b, 1, 0), -EISDIR);
	posix_close(f);
	assert_int_equal(kit_set_size(k, dir, 0), -EISDIR);
	assert_int_equal(kit_set_size(k, fifo, 0), -EINVAL);
	assert_int_equal(kit_set_size(k, 99999, 0), -ENOENT);
}

/* ---- borders ---- */

static void writes_at_every_border(void **state)
{
	static const uint64_t border[] = {0,
					  4096,
					  KIT_CHUNK,
					  3 * KIT_CHUNK,
					  KIT_SLOT,
					  4 * KIT_MIB,
					  4 * KIT_MIB + KIT_SLOT};
	static const size_t len[] = {1,
				     2,
				     511,
				     4096,
				     65537,
				     KIT_CHUNK - 1,
				     KIT_CHUNK,
				     KIT_CHUNK + 1,
				     KIT_SLOT,
				     KIT_SLOT + 300,
				     2 * KIT_SLOT + 1};
	struct kit *k = *state;
	uint64_t ino = kit_new_file(k, "f"), seed = 1;
	size_t size = 8 * KIT_MIB;
	uint8_t *want = calloc(1, size), *got = malloc(size);
	struct file *f = kit_fopen(k, ino, O_RDWR);
	uint64_t end = 0;

	for (unsigned i = 0; i < ARRAY_LEN(border) * ARRAY_LEN(len); i++) {
		uint64_t b = border[i / ARRAY_LEN(len)];
		size_t n = len[i % ARRAY_LEN(len)];

		for (int side = -1; side <= 1; side++) {
			uint64_t off = side < 0 ? b - MIN(b, n) : b;

			off += side > 0;
			kit_pattern(want + off, n, off, seed);
			kit_write(k, ino, off, n, seed++);
			end = MAX(end, off + n);
		}
		if (i % 11 == 5)
			kit_drop_cache(k);
		assert_int_equal(kit_attr(k, ino).size, end);
	}
	assert_int_equal(posix_read(f, got, size, 0), end);
	assert_memory_equal(want, got, end);
	kit_drop_cache(k);
	assert_int_equal(posix_read(f, got, size, 0), end);
	assert_memory_equal(want, got, end);
	posix_close(f);
	kit_sound(k);
	kit_recrash(k);
	f = kit_fopen(k, ino, O_RDONLY);
	assert_int_equal(posix_read(f, got, size, 0), end);
	assert_memory_equal(want, got, end);
	posix_close(f);
	free(want);
	free(got);
}

/* Rewriting in small steps: rows are split, trimmed and replaced. */
static void overwriting_in_patterns(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_new_file(k, "f");
	size_t size = 2 * KIT_SLOT;
	uint8_t *want = malloc(size);
	static const unsigned step[] = {3, 7, 16, 64, 129};

	kit_write(k, ino, 0, size, 1);
	kit_pattern(want, size, 0, 1);
	for (unsigned s = 0; s < ARRAY_LEN(step); s++) {
		size_t every = step[s] * 1021 * KIT_KIB / 64;

		for (uint64_t off = 0; off + 700 < size; off += every) {
			kit_write(k, ino, off, 700, 2 + s);
			kit_pattern(want + off, 700, off, 2 + s);
		}
		kit_drop_cache(k);
		{
			struct file *f = kit_fopen(k, ino, O_RDONLY);
			uint8_t *got = malloc(size);

			assert_int_equal(posix_read(f, got, size, 0), size);
			assert_memory_equal(want, got, size);
			posix_close(f);
			free(got);
		}
		kit_sound(k);
	}
	free(want);
}

/* ---- holes and sizes ---- */

static void holes_take_no_room(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_new_file(k, "f"), at = (1ULL << 62) - 5;
	uint64_t before = payload_written(k);

	OK(kit_set_size(k, ino, 1ULL << 62));
	assert_int_equal(kit_attr(k, ino).size, 1ULL << 62);
	assert_int_equal(kit_attr(k, ino).blocks, 0);
	kit_expect_zero(k, ino, 0, 300000);
	kit_expect_zero(k, ino, 1ULL << 61, 300000);
	OK(volume_sync(k->v));
	assert_int_equal(payload_written(k), before);
	kit_write(k, ino, at, 10, 1);
	kit_write(k, ino, 3ULL << 40, 10, 2);
	assert_int_equal(kit_attr(k, ino).size, at + 10);
	kit_drop_cache(k);
	kit_expect(k, ino, at, 10, 1);
	kit_expect(k, ino, 3ULL << 40, 10, 2);
	kit_expect_zero(k, ino, at - 70000, 70000);
	kit_expect_zero(k, ino, (3ULL << 40) + 10, 200000);
	assert_int_equal(kit_attr(k, ino).blocks, 1);
	kit_reopen(k);
	assert_int_equal(kit_attr(k, ino).size, at + 10);
	kit_expect(k, ino, at, 10, 1);
	OK(kit_set_size(k, ino, (3ULL << 40) + 5));
	kit_expect(k, ino, 3ULL << 40, 5, 2);
	OK(kit_set_size(k, ino, at + 10));
	kit_expect_zero(k, ino, at - 10, 20);
	kit_sound(k);
	assert_true(payload_written(k) < 2 * KIT_MIB);
}

static void the_largest_file(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_new_file(k, "f");
	struct file *f = kit_fopen(k, ino, O_RDWR);
	uint8_t buf[8] = "abcdefg";
	struct attr_change c = {.set = SET_SIZE, .size = FILE_SIZE_MAX + 1};
	struct attr a;

	assert_int_equal(posix_setattr(k->v, ino, &c, &a), -EFBIG);
	assert_int_equal(posix_write(f, buf, 1, FILE_SIZE_MAX), -EFBIG);
	assert_int_equal(posix_write(f, buf, 2, FILE_SIZE_MAX - 1), -EFBIG);
	assert_int_equal(posix_write(f, buf, 1, UINT64_MAX), -EFBIG);
	assert_int_equal(kit_attr(k, ino).size, 0);
	assert_int_equal(posix_write(f, buf, 7, FILE_SIZE_MAX - 7), 7);
	assert_int_equal(kit_attr(k, ino).size, FILE_SIZE_MAX);
	kit_drop_cache(k);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(posix_read(f, buf, 8, FILE_SIZE_MAX - 7), 7);
	assert_string_equal((char *)buf, "abcdefg");
	posix_close(f);
	f = kit_fopen(k, ino, O_WRONLY | O_APPEND);
	assert_int_equal(posix_write(f, buf, 1, 0), -EFBIG);
	posix_close(f);
	kit_sound(k);
	OK(posix_unlink(k->v, ROOT_INO, "f"));
	kit_sound(k);
}

static void blocks_count_visible_data(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_new_file(k, "f");

	kit_write(k, ino, 0, 512, 1);
	assert_int_equal(kit_attr(k, ino).blocks, 1);
	OK(volume_sync(k->v));
	assert_int_equal(kit_attr(k, ino).blocks, 1);
	kit_write(k, ino, KIT_SLOT, 100000, 1);
	OK(volume_sync(k->v));
	assert_int_equal(kit_attr(k, ino).blocks, (100000 + 512 + 511) / 512);
	kit_write(k, ino, KIT_SLOT, 100000, 2); /* the same once more */
	OK(volume_sync(k->v));
	assert_int_equal(kit_attr(k, ino).blocks, (100000 + 512 + 511) / 512);
	OK(kit_set_size(k, ino, 100));
	assert_int_equal(kit_attr(k, ino).blocks, 1);
	OK(kit_set_size(k, ino, 0));
	assert_int_equal(kit_attr(k, ino).blocks, 0);
	OK(kit_set_size(k, ino, 10 * KIT_MIB));
	assert_int_equal(kit_attr(k, ino).blocks, 0);
}

/* ---- append and sync ---- */

static void appending(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_new_file(k, "f");
	struct file *f = kit_fopen(k, ino, O_WRONLY | O_APPEND);
	struct file *g = kit_fopen(k, ino, O_WRONLY | O_APPEND);
	uint64_t off = 0;

	for (unsigned i = 0; i < 300; i++) {
		size_t len = 1 + i * 37 % 3000;
		uint8_t buf[3000];

		kit_pattern(buf, len, off, 9);
		/* Where the caller thinks it is does not matter. */
		assert_int_equal(posix_write(i % 3 ? f : g, buf, len, i * 99),
				 len);
		off += len;
	}
	assert_int_equal(kit_attr(k, ino).size, off);
	kit_expect(k, ino, 0, off, 9);
	OK(kit_set_size(k, ino, 10));
	kit_pattern((uint8_t[4]){0}, 4, 10, 9);
	posix_close(f);
	posix_close(g);
}

static void synchronous_writes_last(void **state)
{
	static const int flags[] = {O_SYNC, O_DSYNC, O_SYNC | O_APPEND};
	struct kit *k = *state;

	for (unsigned i = 0; i < ARRAY_LEN(flags); i++) {
		uint64_t ino = kit_new_file(k, "f");
		struct file *f = kit_fopen(k, ino, O_RDWR | flags[i]);
		uint8_t buf[5000];
		struct attr a;

		kit_pattern(buf, sizeof(buf), 0, i);
		assert_int_equal(posix_write(f, buf, sizeof(buf), 0),
				 sizeof(buf));
		a = kit_attr(k, ino);
		posix_close(f);
		kit_recrash(k);
		kit_expect(k, ino, 0, 5000, i);
		if (flags[i] & O_SYNC & ~O_DSYNC)
			assert_int_equal(kit_attr(k, ino).mtime_ns, a.mtime_ns);
		OK(posix_unlink(k->v, ROOT_INO, "f"));
	}
}

/* fdatasync: what reading needs, the size too. */
static void datasync_keeps_what_reading_needs(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_new_file(k, "f");
	struct file *f = kit_fopen(k, ino, O_RDWR);

	kit_write(k, ino, 0, 100, 1);
	OK(posix_fsync(f, true));
	kit_write(k, ino, 100, 200000, 1);
	OK(kit_set_size(k, ino, 5 * KIT_MIB)); /* grown with dirty data below */
	OK(posix_fsync(f, true));
	posix_close(f);
	kit_recrash(k);
	assert_int_equal(kit_attr(k, ino).size, 5 * KIT_MIB);
	kit_expect(k, ino, 0, 200100, 1);
	kit_expect_zero(k, ino, 200100, 100000);
	kit_sound(k);
}

/* ---- times ---- */

static void set_times(struct kit *k, uint64_t ino, int64_t at, int64_t mt)
{
	struct attr_change c = {
		.set = SET_ATIME | SET_MTIME, .atime_ns = at, .mtime_ns = mt};
	struct attr a;

	OK(posix_setattr(k->v, ino, &c, &a));
	assert_int_equal(a.atime_ns, at);
	assert_int_equal(a.mtime_ns, mt);
}

static void times(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_new_file(k, "f");
	struct attr_change c = {.set = SET_MODE | SET_UID | SET_GID,
				.mode = 04751,
				.uid = 3,
				.gid = 4};
	int64_t before = clock_real_ns();
	struct attr a;

	kit_write(k, ino, 0, 10, 1);
	a = kit_attr(k, ino);
	assert_true(a.mtime_ns >= before && a.ctime_ns >= before);
	assert_true(a.btime_ns < before);
	set_times(k, ino, -5000000001, 1LL << 61);
	before = clock_real_ns();
	OK(posix_setattr(k->v, ino, &c, &a));
	assert_int_equal(a.mode, S_IFREG | 04751);
	assert_int_equal(a.uid, 3);
	assert_int_equal(a.gid, 4);
	assert_int_equal(a.mtime_ns, 1LL << 61);
	assert_true(a.ctime_ns >= before);
	/* Truncating to the same size changes them all the same. */
	before = clock_real_ns();
	OK(kit_set_size(k, ino, 10));
	a = kit_attr(k, ino);
	assert_true(a.mtime_ns >= before && a.mtime_ns < 1LL << 61);
	/* Set-id bits go when somebody else writes. */
	c.set = SET_KILL_SUIDGID;
	OK(posix_setattr(k->v, ino, &c, &a));
	assert_int_equal(a.mode, S_IFREG | 0751);
	c = (struct attr_change){.set = SET_ATIME_NOW | SET_MTIME_NOW};
	before = clock_real_ns();
	OK(posix_setattr(k->v, ino, &c, &a));
	assert_true(a.atime_ns >= before && a.mtime_ns >= before);
	set_times(k, ino, -7, 77);
	a = kit_attr(k, ino);
	kit_fsync(k, ino);
	kit_recrash(k);
	{
		struct attr b = kit_attr(k, ino);

		kit_same_attr(&a, &b);
	}
	set_times(k, ino, 8, 9);
	OK(volume_sync(k->v));
	kit_recrash(k);
	assert_int_equal(kit_attr(k, ino).atime_ns, 8);
	assert_int_equal(kit_attr(k, ino).mtime_ns, 9);
	set_times(k, ROOT_INO, 10, 11);
	kit_reopen(k);
	assert_int_equal(kit_attr(k, ROOT_INO).atime_ns, 10);
	assert_int_equal(kit_attr(k, ROOT_INO).mtime_ns, 11);
}

/* Does reading change atime when it was at `at` and mtime at `mt`? */
static bool reading_shows(struct kit *k, uint64_t ino, int64_t at, int64_t mt)
{
	struct file *f = kit_fopen(k, ino, O_RDONLY);
	struct attr_change c = {.set = SET_ATIME | SET_MTIME | SET_CTIME,
				.atime_ns = at,
				.mtime_ns = mt,
				.ctime_ns = mt};
	struct attr a;
	uint8_t b;

	OK(posix_setattr(k->v, ino, &c, &a));
	assert_int_equal(posix_read(f, &b, 1, 0), 1);
	posix_close(f);
	a = kit_attr(k, ino);
	assert_int_equal(a.mtime_ns, mt);
	assert_int_equal(a.ctime_ns, mt);
	return a.atime_ns != at;
}

static void access_times(void **state)
{
	const int64_t hour = 3600000000000LL;
	struct kit *k = *state;
	uint64_t ino = kit_new_file(k, "f");
	int64_t now = clock_real_ns();

	kit_write(k, ino, 0, 10, 1);
	assert_true(reading_shows(k, ino, now - 2 * hour, now - hour));
	assert_true(reading_shows(k, ino, now - hour, now - hour));
	assert_false(reading_shows(k, ino, now - hour, now - 2 * hour));
	assert_true(reading_shows(k, ino, now - 25 * hour, now - 30 * hour));
	kit_close(k);
	k->o.atime = ATIME_NO;
	kit_open(k);
	assert_false(reading_shows(k, ino, now - 2 * hour, now - hour));
	kit_close(k);
	k->o.atime = ATIME_STRICT;
	kit_open(k);
	assert_true(reading_shows(k, ino, now - hour, now - 2 * hour));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_KIT(reads_end_with_the_file),
		WITH_KIT(what_cannot_be_opened),
		WITH_KIT(writes_at_every_border),
		WITH_KIT(overwriting_in_patterns),
		WITH_KIT(holes_take_no_room),
		WITH_KIT(the_largest_file),
		WITH_KIT(blocks_count_visible_data),
		WITH_KIT(appending),
		WITH_KIT(synchronous_writes_last),
		WITH_KIT(datasync_keeps_what_reading_needs),
		WITH_KIT(times),
		WITH_KIT(access_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
