/* SPDX-License-Identifier: Apache-2.0 */
/* Files: reading, writing, appending, truncating, holes, sizes, times; errors
 * of the store; and long random sequences against a model in memory. */
#include "posix_check.h"

#include "base/must.h"
#include "base/workq.h"
#include "backend/store.h"

#define KIB   1024u
#define MIB   (1024u * KIB)
#define CHUNK (128 * KIB)
#define SLOT  (8 * CHUNK)

static uint64_t new_file(struct kit *k, const char *name)
{
	return kit_mk(k, ROOT_INO, name, S_IFREG | 0644);
}

static void expect_zero(struct kit *k, uint64_t ino, uint64_t off, size_t len)
{
	uint8_t *got = malloc(len);
	struct file *f = kit_fopen(k, ino, O_RDONLY);

	memset(got, 1, len);
	assert_int_equal(posix_read(f, got, len, off), len);
	for (size_t i = 0; i < len; i++)
		if (got[i])
			fail_msg("byte %zu is %u", i, got[i]);
	posix_close(f);
	free(got);
}

static void drop_cache(struct kit *k)
{
	OK(volume_sync(k->v));
	cache_drop_clean(k->v->cache, CACHE_ANY);
}

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
	uint64_t ino = new_file(k, "f");
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
	static const uint64_t border[] = {
		0, 4096, CHUNK, 3 * CHUNK, SLOT, 4 * MIB, 4 * MIB + SLOT};
	static const size_t len[] = {1,	    2,		511,	     4096,
				     65537, CHUNK - 1,	CHUNK,	     CHUNK + 1,
				     SLOT,  SLOT + 300, 2 * SLOT + 1};
	struct kit *k = *state;
	uint64_t ino = new_file(k, "f"), seed = 1;
	size_t size = 8 * MIB;
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
			drop_cache(k);
		assert_int_equal(kit_attr(k, ino).size, end);
	}
	assert_int_equal(posix_read(f, got, size, 0), end);
	assert_memory_equal(want, got, end);
	drop_cache(k);
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
	uint64_t ino = new_file(k, "f");
	size_t size = 2 * SLOT;
	uint8_t *want = malloc(size);
	static const unsigned step[] = {3, 7, 16, 64, 129};

	kit_write(k, ino, 0, size, 1);
	kit_pattern(want, size, 0, 1);
	for (unsigned s = 0; s < ARRAY_LEN(step); s++) {
		size_t every = step[s] * 1021 * KIB / 64;

		for (uint64_t off = 0; off + 700 < size; off += every) {
			kit_write(k, ino, off, 700, 2 + s);
			kit_pattern(want + off, 700, off, 2 + s);
		}
		drop_cache(k);
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
	uint64_t ino = new_file(k, "f"), at = (1ULL << 62) - 5;
	uint64_t before = payload_written(k);

	OK(kit_set_size(k, ino, 1ULL << 62));
	assert_int_equal(kit_attr(k, ino).size, 1ULL << 62);
	assert_int_equal(kit_attr(k, ino).blocks, 0);
	expect_zero(k, ino, 0, 300000);
	expect_zero(k, ino, 1ULL << 61, 300000);
	OK(volume_sync(k->v));
	assert_int_equal(payload_written(k), before);
	kit_write(k, ino, at, 10, 1);
	kit_write(k, ino, 3ULL << 40, 10, 2);
	assert_int_equal(kit_attr(k, ino).size, at + 10);
	drop_cache(k);
	kit_expect(k, ino, at, 10, 1);
	kit_expect(k, ino, 3ULL << 40, 10, 2);
	expect_zero(k, ino, at - 70000, 70000);
	expect_zero(k, ino, (3ULL << 40) + 10, 200000);
	assert_int_equal(kit_attr(k, ino).blocks, 1);
	kit_reopen(k);
	assert_int_equal(kit_attr(k, ino).size, at + 10);
	kit_expect(k, ino, at, 10, 1);
	OK(kit_set_size(k, ino, (3ULL << 40) + 5));
	kit_expect(k, ino, 3ULL << 40, 5, 2);
	OK(kit_set_size(k, ino, at + 10));
	expect_zero(k, ino, at - 10, 20);
	kit_sound(k);
	assert_true(payload_written(k) < 2 * MIB);
}

static void the_largest_file(void **state)
{
	struct kit *k = *state;
	uint64_t ino = new_file(k, "f");
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
	drop_cache(k);
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
	uint64_t ino = new_file(k, "f");

	kit_write(k, ino, 0, 512, 1);
	assert_int_equal(kit_attr(k, ino).blocks, 1);
	OK(volume_sync(k->v));
	assert_int_equal(kit_attr(k, ino).blocks, 1);
	kit_write(k, ino, SLOT, 100000, 1);
	OK(volume_sync(k->v));
	assert_int_equal(kit_attr(k, ino).blocks, (100000 + 512 + 511) / 512);
	kit_write(k, ino, SLOT, 100000, 2); /* the same once more */
	OK(volume_sync(k->v));
	assert_int_equal(kit_attr(k, ino).blocks, (100000 + 512 + 511) / 512);
	OK(kit_set_size(k, ino, 100));
	assert_int_equal(kit_attr(k, ino).blocks, 1);
	OK(kit_set_size(k, ino, 0));
	assert_int_equal(kit_attr(k, ino).blocks, 0);
	OK(kit_set_size(k, ino, 10 * MIB));
	assert_int_equal(kit_attr(k, ino).blocks, 0);
}

/* ---- truncating ---- */

static void cut_and_grown_reads_zero(void **state)
{
	static const uint64_t cut[] = {0,	  1,	 4095,
				       CHUNK - 1, CHUNK, CHUNK + 1,
				       SLOT - 1,  SLOT,	 SLOT + 7};
	struct kit *k = *state;
	size_t size = SLOT + CHUNK + 999;

	for (unsigned i = 0; i < 4 * ARRAY_LEN(cut); i++) {
		uint64_t at = cut[i % ARRAY_LEN(cut)], ino = new_file(k, "f");

		kit_write(k, ino, 0, size, i);
		if (i / ARRAY_LEN(cut) & 1)
			drop_cache(k); /* only in the store */
		OK(kit_set_size(k, ino, at));
		if (i / ARRAY_LEN(cut) & 2)
			drop_cache(k);
		OK(kit_set_size(k, ino, size));
		if (at)
			kit_expect(k, ino, 0, at, i);
		expect_zero(k, ino, at, size - at);
		drop_cache(k);
		if (at)
			kit_expect(k, ino, 0, at, i);
		expect_zero(k, ino, at, size - at);
		/* Growing by a write instead of a truncate. */
		OK(kit_set_size(k, ino, at));
		kit_write(k, ino, size, 10, i);
		expect_zero(k, ino, at, size - at);
		kit_expect(k, ino, size, 10, i);
		OK(posix_unlink(k->v, ROOT_INO, "f"));
	}
	kit_sound(k);
}

static void truncated_by_open(void **state)
{
	struct kit *k = *state;
	uint64_t ino = new_file(k, "f");
	struct file *f;

	kit_write(k, ino, 0, 300000, 1);
	f = kit_fopen(k, ino, O_WRONLY | O_TRUNC);
	assert_int_equal(kit_attr(k, ino).size, 0);
	kit_write(k, ino, 5, 10, 2);
	posix_close(f);
	kit_reopen(k);
	assert_int_equal(kit_attr(k, ino).size, 15);
	expect_zero(k, ino, 0, 5);
	kit_expect(k, ino, 5, 10, 2);
}

/* A file of so many rows that they are worked off in several operations. */
static uint64_t many_rows(struct kit *k, const char *name, unsigned rows)
{
	uint64_t ino = new_file(k, name);
	struct file *f = kit_fopen(k, ino, O_RDWR);
	uint8_t b[16];

	for (unsigned i = 0; i < rows; i++) {
		uint64_t off = (uint64_t)i * SLOT / 4;

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
	uint64_t ino = many_rows(k, "f", ROWS), row = SLOT / 4;
	uint64_t other = many_rows(k, "g", ROWS);

	/* In the middle of a row, over the limit of an operation. */
	OK(kit_set_size(k, ino, 100 * row + 8));
	/* Written at once behind the border: must not be cut later. */
	kit_write(k, ino, 2000 * row, 100000, 6);
	OK(volume_sync(k->v));
	OK(service_run_queue(k->v));
	kit_expect(k, ino, 100 * row, 8, 5);
	expect_zero(k, ino, 100 * row + 8, 100000);
	expect_zero(k, ino, 1999 * row, 100000);
	kit_expect(k, ino, 2000 * row, 100000, 6);
	/* To nothing: the data is queued, and new data comes at once. */
	OK(kit_set_size(k, other, 0));
	kit_write(k, other, 7 * row, 100, 7);
	expect_zero(k, other, 0, 100000);
	OK(volume_sync(k->v));
	kit_recrash(k);
	kit_expect(k, ino, 2000 * row, 100000, 6);
	expect_zero(k, ino, 150 * row, 100000);
	expect_zero(k, other, 3 * row, 100);
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

/* ---- append and sync ---- */

static void appending(void **state)
{
	struct kit *k = *state;
	uint64_t ino = new_file(k, "f");
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
		uint64_t ino = new_file(k, "f");
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
	uint64_t ino = new_file(k, "f");
	struct file *f = kit_fopen(k, ino, O_RDWR);

	kit_write(k, ino, 0, 100, 1);
	OK(posix_fsync(f, true));
	kit_write(k, ino, 100, 200000, 1);
	OK(kit_set_size(k, ino, 5 * MIB)); /* grown with dirty data below */
	OK(posix_fsync(f, true));
	posix_close(f);
	kit_recrash(k);
	assert_int_equal(kit_attr(k, ino).size, 5 * MIB);
	kit_expect(k, ino, 0, 200100, 1);
	expect_zero(k, ino, 200100, 100000);
	kit_sound(k);
}

/* The last dirty bytes were cut away, and another operation came between. */
static void a_size_that_waits_for_nothing(void **state)
{
	struct kit *k = *state;

	for (unsigned i = 0; i < 3; i++) {
		uint64_t ino = new_file(k, "a");
		struct attr_change c = {.set = SET_MODE, .mode = 0600};
		struct attr a;

		kit_write(k, ino, 800 * KIB, 100, 1);
		OK(kit_set_size(k, ino, 500 * KIB));
		OK(posix_setattr(k->v, ino, &c, &a));
		if (i == 0)
			OK(volume_sync(k->v));
		else
			kit_fsync(k, ino);
		kit_recrash(k);
		assert_int_equal(kit_attr(k, ino).size, 500 * KIB);
		expect_zero(k, ino, 0, 500 * KIB);
		OK(posix_unlink(k->v, ROOT_INO, "a"));
	}
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
	uint64_t ino = new_file(k, "f");
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
	uint64_t ino = new_file(k, "f");
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

/* ---- the store fails ---- */

/* The name space of fragments of the segment that will be made next. */
static void fail_segment(struct kit *k, uint64_t segment, int err)
{
	struct seg_desc d = {.id = {segment}, .kind = SEG_DATA};
	char name[DRV_NAME_MAX + 1];
	struct fault_rule r = {.kind = FAULT_ERROR,
			       .ops = FAULT_OP_CREATE | FAULT_OP_WRITE,
			       .prefix = name,
			       .err = err};

	frag_name(&d, 0, name);
	*strrchr(name, '-') = '\0';
	kit_fault_all(k, r);
}

static void an_error_lasts_until_the_data_is_safe(void **state)
{
	struct kit *k = *state;
	uint64_t ino = new_file(k, "f");
	struct file *f = kit_fopen(k, ino, O_RDWR);

	kit_write(k, ino, 0, 3 * MIB, 1);
	kit_fault_all(k, (struct fault_rule){.kind = FAULT_ERROR,
					     .ops = FAULT_OP_CREATE,
					     .prefix = "data/",
					     .err = ENOSPC});
	assert_int_equal(posix_fsync(f, false), -ENOSPC);
	assert_int_equal(posix_fsync(f, false), -ENOSPC);
	assert_int_equal(posix_flush(f), -ENOSPC);
	assert_true(volume_sync(k->v) < 0);
	kit_expect(k, ino, 0, 3 * MIB, 1);
	kit_clear(k);
	OK(posix_fsync(f, false));
	OK(posix_flush(f));
	posix_close(f);
	kit_recrash(k);
	kit_expect(k, ino, 0, 3 * MIB, 1);
	kit_sound(k);
}

static void an_error_ends_with_the_data(void **state)
{
	struct kit *k = *state;
	uint64_t ino = new_file(k, "f");
	struct file *f = kit_fopen(k, ino, O_RDWR);

	kit_write(k, ino, 0, 3 * MIB, 1);
	kit_fault_all(k, (struct fault_rule){.kind = FAULT_ERROR,
					     .ops = FAULT_OP_CREATE,
					     .prefix = "data/",
					     .err = ENOSPC});
	assert_int_equal(posix_fsync(f, false), -ENOSPC);
	/* Nothing is left that could be lost. */
	OK(kit_set_size(k, ino, 0));
	OK(posix_fsync(f, false));
	OK(posix_flush(f));
	posix_close(f);
}

static void slow_segment(struct kit *k, uint64_t segment, uint64_t ms)
{
	struct seg_desc d = {.id = {segment}, .kind = SEG_DATA};
	char name[DRV_NAME_MAX + 1];
	struct fault_rule r = {.kind = FAULT_DELAY,
			       .ops = FAULT_OP_CREATE,
			       .prefix = name,
			       .ms = ms};

	frag_name(&d, 0, name);
	*strrchr(name, '-') = '\0';
	kit_fault_all(k, r);
}

/* With so much memory that nothing is written before it is asked for. */
static void much_memory(struct kit *k)
{
	kit_close(k);
	k->o.cache_bytes = 256 * MIB;
	kit_open(k);
}

/* C11: the size must not pass bytes whose write-back failed. */
static void a_gap_never_becomes_zeros(void **state)
{
	struct kit *k = *state;
	uint64_t ino = new_file(k, "f"), size;
	size_t all = 14 * MIB;
	struct file *f;

	much_memory(k);
	f = kit_fopen(k, ino, O_RDWR);
	/* The first of several segments fails. */
	fail_segment(k, index_peek(k->v->ix, COUNTER_SEGMENT), ENOSPC);
	kit_write(k, ino, 0, all, 1);
	assert_true(posix_fsync(f, false) < 0);
	OK(commit_all(k->v->commit));
	posix_close(f);
	kit_crash(k);
	kit_clear(k);
	kit_open(k);
	size = kit_attr(k, ino).size;
	printf("%llu bytes are there\n", (unsigned long long)size);
	assert_true(size < all);
	if (size)
		kit_expect(k, ino, 0, size, 1);
	kit_sound(k);
}

/* And all of it comes once the store is well. */
static void a_gap_is_filled_later(void **state)
{
	struct kit *k = *state;
	uint64_t ino = new_file(k, "f");
	size_t all = 14 * MIB;

	much_memory(k);
	fail_segment(k, index_peek(k->v->ix, COUNTER_SEGMENT), ENOSPC);
	kit_write(k, ino, 0, all, 1);
	assert_true(volume_sync(k->v) < 0);
	OK(volume_sync(k->v));
	kit_recrash(k);
	kit_expect(k, ino, 0, all, 1);
	kit_sound(k);
}

static uint64_t index_size(struct kit *k, uint64_t ino, uint64_t *bytes)
{
	struct inode_row row;

	index_lock(k->v->ix);
	OK(inode_get(k->v->ix, ino, &row));
	OK(extent_bytes(k->v->ix, row.data, bytes));
	index_unlock(k->v->ix);
	return row.size;
}

static void write_back(void *arg)
{
	struct kit *k = arg;

	MUST(writeback_run(k->v, CACHE_ANY, UINT64_MAX) == 0);
}

/* C11: the size must not pass bytes that take longer than others. */
static void a_slow_segment_is_waited_for(void **state)
{
	struct kit *k = *state;
	uint64_t ino = new_file(k, "f"), bytes;
	size_t all = 14 * MIB;
	struct workq *q;

	much_memory(k);
	slow_segment(k, index_peek(k->v->ix, COUNTER_SEGMENT), 400);
	kit_write(k, ino, 0, all, 1);
	OK(workq_new("write", 1, &q));
	OK(workq_submit(q, write_back, k));
	while (workq_load(q) > 0) {
		uint64_t size = index_size(k, ino, &bytes);

		/* There is no hole in it. */
		assert_true(bytes >= size);
		usleep(1000);
	}
	workq_free(q);
	assert_int_equal(index_size(k, ino, &bytes), all);
	kit_recrash(k);
}

/* C11: nor by a truncate, while the bytes below are only in memory. */
static void growing_does_not_justify_dirty_bytes(void **state)
{
	struct kit *k = *state;
	uint64_t ino = new_file(k, "f");
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

/* ---- what is deleted leaves nothing behind ---- */

static void the_store_is_empty_in_the_end(void **state)
{
	struct kit *k = *state;
	struct volume_status st;

	for (unsigned i = 0; i < 6; i++) {
		char name[8];
		uint64_t ino;

		snprintf(name, sizeof(name), "f%u", i);
		ino = new_file(k, name);
		kit_write(k, ino, 0, 100000 << i, i);
		if (i == 3)
			kit_recrash(k); /* perhaps nothing of it is there */
		if (kit_has(k, ROOT_INO, name))
			kit_fsync(k, kit_ino(k, ROOT_INO, name));
	}
	assert_true(kit_fragments(k) > 0);
	for (unsigned i = 0; i < 6; i++) {
		char name[8];

		snprintf(name, sizeof(name), "f%u", i);
		if (kit_has(k, ROOT_INO, name))
			OK(posix_unlink(k->v, ROOT_INO, name));
	}
	kit_reopen(k);
	kit_reopen(k);
	OK(volume_get_status(k->v, &st));
	assert_int_equal(st.segments.open, 0);
	assert_int_equal(st.segments.live_bytes, 0);
	assert_int_equal(kit_fragments(k), 0);
	kit_sound(k);
}

/* ---- against a model ---- */

#define FILES	 6
#define FILE_MAX (2 * MIB + 300 * KIB)
#define OPS	 3000

struct model {
	struct kit *k;
	struct dice dice;
	uint64_t ino[FILES];
	uint8_t *data[FILES];
	size_t size[FILES];
	uint64_t seed;
};

/* Likes borders. */
static uint64_t some_offset(struct model *m, uint64_t max)
{
	static const uint64_t unit[] = {CHUNK, SLOT, 4096, 4 * CHUNK};
	uint64_t off = dice_below(&m->dice, max);

	if (dice_below(&m->dice, 2)) {
		uint64_t u = unit[dice_below(&m->dice, ARRAY_LEN(unit))];

		off = off / u * u + dice_below(&m->dice, 3);
		off -= MIN(off, 1);
	}
	return MIN(off, max - 1);
}

static size_t some_length(struct model *m)
{
	static const uint64_t max[] = {10,	 4096,	    4096,
				       40 * KIB, CHUNK + 9, SLOT / 2};

	return 1 +
	       dice_below(&m->dice, max[dice_below(&m->dice, ARRAY_LEN(max))]);
}

static void model_write(struct model *m, unsigned i, uint64_t off, int flags)
{
	size_t len = some_length(m);
	struct file *f = kit_fopen(m->k, m->ino[i], O_RDWR | flags);

	len = MIN(len, FILE_MAX - off);
	if (off > m->size[i])
		memset(m->data[i] + m->size[i], 0, off - m->size[i]);
	/* Some of it compresses. */
	if (dice_below(&m->dice, 3))
		kit_pattern(m->data[i] + off, len, off, m->seed++);
	else
		memset(m->data[i] + off, (int)m->seed++, len);
	assert_int_equal(posix_write(f, m->data[i] + off, len, off), len);
	posix_close(f);
	m->size[i] = MAX(m->size[i], off + len);
}

static void model_truncate(struct model *m, unsigned i)
{
	uint64_t size = dice_below(&m->dice, 8) ? some_offset(m, FILE_MAX) : 0;

	OK(kit_set_size(m->k, m->ino[i], size));
	if (size > m->size[i])
		memset(m->data[i] + m->size[i], 0, size - m->size[i]);
	m->size[i] = size;
}

static void model_read(struct model *m, unsigned i, uint64_t off, size_t len)
{
	uint8_t *got = malloc(len + 1);
	struct file *f = kit_fopen(m->k, m->ino[i], O_RDONLY);
	size_t want = off < m->size[i] ? MIN(len, m->size[i] - off) : 0;

	assert_int_equal(posix_read(f, got, len, off), want);
	if (want && memcmp(got, m->data[i] + off, want)) {
		size_t at = 0;

		while (got[at] == m->data[i][off + at])
			at++;
		fail_msg("file %u differs at %llu of %zu", i,
			 (unsigned long long)(off + at), m->size[i]);
	}
	posix_close(f);
	free(got);
}

static void model_compare(struct model *m)
{
	for (unsigned i = 0; i < FILES; i++) {
		assert_int_equal(kit_attr(m->k, m->ino[i]).size, m->size[i]);
		model_read(m, i, 0, FILE_MAX);
	}
}

static void model_restart(struct model *m, bool crash)
{
	if (crash) {
		OK(volume_sync(m->k->v));
		kit_crash(m->k);
	} else {
		kit_close(m->k);
	}
	if (dice_below(&m->dice, 3) == 0)
		kit_lose_cache(m->k);
	kit_open(m->k);
	model_compare(m);
}

static void model_step(struct model *m)
{
	unsigned i = (unsigned)dice_below(&m->dice, FILES);
	uint64_t what = dice_below(&m->dice, 1000);

	if (what < 400)
		model_write(m, i, some_offset(m, FILE_MAX), 0);
	else if (what < 500)
		model_write(m, i, MIN(m->size[i], FILE_MAX - 1),
			    m->size[i] < FILE_MAX ? O_APPEND : 0);
	else if (what < 510)
		model_write(m, i, some_offset(m, FILE_MAX), O_SYNC);
	else if (what < 580)
		model_truncate(m, i);
	else if (what < 900)
		model_read(m, i, some_offset(m, FILE_MAX), some_length(m));
	else if (what < 950)
		kit_fsync(m->k, m->ino[i]);
	else if (what < 970)
		drop_cache(m->k);
	else if (what < 986)
		cache_drop_clean(m->k->v->cache, m->ino[i]);
	else if (what < 993)
		OK(service_checkpoint(m->k->v, NULL, NULL));
	else
		model_restart(m, what < 997);
}

static void play(struct kit *k, uint64_t seed)
{
	struct model m = {.k = k, .dice = {kit_seed(seed)}, .seed = seed};

	for (unsigned i = 0; i < FILES; i++) {
		char name[8];

		snprintf(name, sizeof(name), "f%u", i);
		m.ino[i] = new_file(k, name);
		m.data[i] = malloc(FILE_MAX);
	}
	for (unsigned i = 0; i < OPS; i++)
		model_step(&m);
	model_compare(&m);
	kit_sound(k);
	for (unsigned i = 0; i < FILES; i++)
		free(m.data[i]);
}

static void random_operations_1(void **state)
{
	play(*state, 1);
}

static void random_operations_2(void **state)
{
	play(*state, 2);
}

static void random_operations_3(void **state)
{
	struct kit *k = *state;

	/* With little memory. */
	kit_close(k);
	k->o.cache_bytes = 8 * MIB;
	kit_open(k);
	play(k, 3);
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
		WITH_KIT(cut_and_grown_reads_zero),
		WITH_KIT(truncated_by_open),
		WITH_KIT(cutting_many_rows),
		WITH_KIT(unlinking_many_rows),
		WITH_KIT(appending),
		WITH_KIT(synchronous_writes_last),
		WITH_KIT(datasync_keeps_what_reading_needs),
		WITH_KIT(a_size_that_waits_for_nothing),
		WITH_KIT(times),
		WITH_KIT(access_times),
		WITH_KIT(an_error_lasts_until_the_data_is_safe),
		WITH_KIT(an_error_ends_with_the_data),
		WITH_KIT(a_gap_never_becomes_zeros),
		WITH_KIT(a_gap_is_filled_later),
		WITH_KIT(a_slow_segment_is_waited_for),
		WITH_KIT(growing_does_not_justify_dirty_bytes),
		WITH_KIT(the_store_is_empty_in_the_end),
		WITH_KIT(random_operations_1),
		WITH_KIT(random_operations_2),
		WITH_KIT(random_operations_3),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
