/* SPDX-License-Identifier: Apache-2.0 */
/* Reading, writing, forgetting: one thread, by hand. */
#include "unit/cache/cache_fixture.h"

#include "base/ranges.h"

static void bad_configurations_are_refused(void **state)
{
	struct fixture f;
	struct cache_config good, cfg;
	struct cache *c = NULL;

	(void)state;
	fix_init(&f, CHUNK);
	good = fix_config(&f);
	cfg = good;
	cfg.chunk_bytes = CHUNK + 4096;
	assert_int_equal(cache_new(&cfg, &c), -EINVAL);
	cfg.chunk_bytes = CHUNK / 2;
	assert_int_equal(cache_new(&cfg, &c), -EINVAL);
	cfg.chunk_bytes = 8 * MIB;
	assert_int_equal(cache_new(&cfg, &c), -EINVAL);
	cfg = good;
	cfg.budget_bytes = CACHE_BUDGET_MIN - 1;
	assert_int_equal(cache_new(&cfg, &c), -EINVAL);
	cfg = good;
	cfg.dirty_limit_bytes = BUDGET + 1;
	assert_int_equal(cache_new(&cfg, &c), -EINVAL);
	assert_null(c);
	cache_free(NULL);
	fix_stop(&f);
}

static void a_read_fills_once(void **state)
{
	struct fixture f;
	uint8_t dst[CHUNK];

	(void)state;
	fix_start(&f);
	fix_store_pattern(&f, 1, 3 * CHUNK);
	assert_int_equal(cache_read(f.c, 1, 3 * CHUNK, CHUNK - 5, 10, dst), 0);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(dst[i], fix_pattern(1, CHUNK - 5 + i));
	assert_int_equal(f.fills, 2);
	assert_int_equal(cache_read(f.c, 1, 3 * CHUNK, 0, CHUNK, dst), 0);
	assert_int_equal(f.fills, 2);
	assert_int_equal(fix_stats(&f).hits, 1);
	assert_int_equal(fix_stats(&f).misses, 2);
	cache_check(f.c);
	fix_stop(&f);
}

static void beyond_the_end_is_zero_and_not_filled(void **state)
{
	struct fixture f;

	(void)state;
	fix_start(&f);
	fix_store_pattern(&f, 1, 100);
	fix_expect(&f, 1, 100, 100, 5 * CHUNK, 0);
	assert_int_equal(f.fills, 0);
	fix_expect(&f, 1, 0, 0, CHUNK, 0);
	fix_expect(&f, 1, 100, UINT64_MAX - 10, 10, 0);
	assert_int_equal(f.fills, 0);
	assert_int_equal(fix_stats(&f).chunks, 0);
	fix_stop(&f);
}

/* A hole costs a header, a small file 4 KiB. */
static void short_chunks_have_small_buffers(void **state)
{
	struct fixture f;
	uint64_t header;

	(void)state;
	fix_start(&f);
	fix_expect(&f, 1, 4 * CHUNK, 0, CHUNK, 0);
	header = fix_stats(&f).bytes;
	assert_true(header < 512);
	cache_discard(f.c, 1);
	assert_int_equal(fix_stats(&f).bytes, 0);

	fix_write(&f, 2, 0, 0, 100, 'a');
	assert_int_equal(fix_stats(&f).bytes, header + 4096);
	fix_write(&f, 2, 100, 4096, 1, 'b');
	assert_int_equal(fix_stats(&f).bytes, header + 8192);
	fix_expect(&f, 2, CHUNK, 100, 3996, 0);
	fix_expect(&f, 2, CHUNK, 4097, CHUNK - 4097, 0);
	assert_int_equal(f.fills, 1);
	cache_discard(f.c, 2);

	fix_store_pattern(&f, 3, 5000);
	fix_expect(&f, 3, 5001, 5000, 1, 0);
	assert_int_equal(fix_stats(&f).bytes, header + 8192);
	fix_stop(&f);
}

static void a_chunk_beyond_the_end_needs_no_fill(void **state)
{
	struct fixture f;

	(void)state;
	fix_start(&f);
	fix_write(&f, 1, 50, CHUNK + 10, 10, 'x');
	fix_expect(&f, 1, CHUNK + 20, CHUNK, 10, 0);
	fix_expect(&f, 1, 2 * CHUNK, CHUNK + 10, 10, 'x');
	fix_expect(&f, 1, 2 * CHUNK, CHUNK + 20, CHUNK - 20, 0);
	assert_int_equal(f.fills, 0);
	/* The end lies in the chunk: only what is before it is not known. */
	fix_store_pattern(&f, 2, 100);
	fix_write(&f, 2, 100, 200, 10, 'y');
	fix_expect(&f, 2, 210, 100, 100, 0);
	assert_int_equal(f.fills, 0);
	fix_expect(&f, 2, 210, 205, 5, 'y');
	assert_int_equal(f.fills, 0);
	fix_flush(&f, 2);
	cache_drop_clean(f.c, 2);
	fix_expect(&f, 2, 210, 100, 100, 0);
	fix_stop(&f);
}

static void written_bytes_win_over_the_store(void **state)
{
	struct fixture f;
	uint8_t dst[CHUNK];

	(void)state;
	fix_start(&f);
	fix_store_pattern(&f, 1, CHUNK);
	fix_write(&f, 1, CHUNK, 1000, 1000, 'w');
	assert_int_equal(f.fills, 0);
	assert_int_equal(cache_read(f.c, 1, CHUNK, 0, CHUNK, dst), 0);
	assert_int_equal(f.fills, 1);
	for (unsigned i = 0; i < CHUNK; i++)
		assert_int_equal(dst[i], i >= 1000 && i < 2000
						 ? 'w'
						 : fix_pattern(1, i));
	cache_check(f.c);
	fix_stop(&f);
}

/* I4: one range more than fit: the chunk is filled, nothing is lost. */
static void many_ranges_force_a_fill(void **state)
{
	struct fixture f;
	uint8_t dst[CHUNK];
	size_t done;

	(void)state;
	fix_start(&f);
	fix_store_pattern(&f, 1, CHUNK);
	for (unsigned i = 0; i < RANGES_MAX; i++)
		fix_write(&f, 1, CHUNK, i * 100, 10, 'r');
	assert_int_equal(f.fills, 0);
	assert_int_equal(cache_dirty_bytes(f.c, 1), 10 * RANGES_MAX);
	f.fill_rc = -EIO;
	assert_int_equal(cache_write(f.c, 1, CHUNK, 8000, "q", 1, &done), -EIO);
	assert_int_equal(done, 0);
	cache_check(f.c);
	f.fill_rc = 0;
	fix_write(&f, 1, CHUNK, 8000, 10, 'r');
	assert_int_equal(f.fills, 2);
	assert_int_equal(cache_read(f.c, 1, CHUNK, 0, CHUNK, dst), 0);
	for (unsigned i = 0; i < CHUNK; i++) {
		bool mine = i >= 8000 ? i < 8010 : i < 1600 && i % 100 < 10;

		assert_int_equal(dst[i], mine ? 'r' : fix_pattern(1, i));
	}
	fix_flush(&f, 1);
	assert_memory_equal(f.obj[1].data, dst, CHUNK);
	fix_stop(&f);
}

/* More dirty ranges than fit in few valid ones: gaps are taken along. */
static void many_dirty_ranges_are_joined(void **state)
{
	struct fixture f;
	struct cache_piece p[4];

	(void)state;
	fix_start(&f);
	fix_store_pattern(&f, 1, CHUNK);
	fix_write(&f, 1, CHUNK, 0, 8000, 'a');
	fix_write(&f, 1, CHUNK, 9000, 1000, 'a');
	fix_flush(&f, 1);
	for (unsigned i = 0; i < 2 * RANGES_MAX; i++)
		fix_write(&f, 1, CHUNK, 100 + i * 200, 20, 'b');
	fix_write(&f, 1, CHUNK, 9100, 10, 'b');
	assert_int_equal(f.fills, 0);
	assert_true(cache_dirty_bytes(f.c, 1) >= 2 * RANGES_MAX * 20 + 10);
	assert_true(cache_collect(f.c, 1, UINT64_MAX, MIB, p, 1) == 1);
	cache_complete(f.c, p, 1, -EIO);
	cache_check(f.c);
	fix_flush(&f, 1);
	assert_int_equal(f.obj[1].data[100], 'b');
	assert_int_equal(f.obj[1].data[120], 'a');
	assert_int_equal(f.obj[1].data[100 + 31 * 200 + 19], 'b');
	assert_int_equal(f.obj[1].data[9109], 'b');
	assert_int_equal(f.obj[1].data[9110], 'a');
	assert_int_equal(f.obj[1].data[8500], fix_pattern(1, 8500));
	fix_stop(&f);
}

static void a_fill_error_reaches_the_reader(void **state)
{
	struct fixture f;
	uint8_t dst[3 * CHUNK];

	(void)state;
	fix_start(&f);
	fix_store_pattern(&f, 1, 3 * CHUNK);
	f.fill_rc = -ERR_UNAVAILABLE;
	assert_int_equal(cache_read(f.c, 1, 3 * CHUNK, 0, 3 * CHUNK, dst),
			 -ERR_UNAVAILABLE);
	assert_int_equal(f.fills, 1);
	/* Nothing is remembered: no chunk, no object. */
	assert_int_equal(fix_stats(&f).bytes, 0);
	/* Bytes that are here are read all the same. */
	fix_write(&f, 1, 3 * CHUNK, 10, 10, 'z');
	fix_expect(&f, 1, 3 * CHUNK, 10, 10, 'z');
	assert_int_equal(cache_read(f.c, 1, 3 * CHUNK, 0, 20, dst),
			 -ERR_UNAVAILABLE);
	cache_check(f.c);
	f.fill_rc = 0;
	assert_int_equal(cache_read(f.c, 1, 3 * CHUNK, 0, 20, dst), 0);
	assert_int_equal(dst[9], fix_pattern(1, 9));
	assert_int_equal(dst[10], 'z');
	fix_stop(&f);
}

static void truncate_drops_and_zeroes(void **state)
{
	struct fixture f;

	(void)state;
	fix_start(&f);
	fix_write(&f, 1, 0, 0, 3 * CHUNK, 't');
	cache_truncate(f.c, 1, CHUNK + 100);
	cache_check(f.c);
	assert_int_equal(fix_stats(&f).chunks, 2);
	assert_int_equal(cache_dirty_bytes(f.c, 1), CHUNK + 100);
	fix_expect(&f, 1, 3 * CHUNK, CHUNK, 100, 't');
	fix_expect(&f, 1, 3 * CHUNK, CHUNK + 100, CHUNK - 100, 0);
	assert_int_equal(f.fills, 0);
	/* Written beyond the cut: what lies between stays zero. */
	fix_write(&f, 1, CHUNK + 100, CHUNK + 200, 10, 'u');
	fix_expect(&f, 1, 3 * CHUNK, CHUNK + 100, 100, 0);
	fix_expect(&f, 1, 3 * CHUNK, CHUNK + 200, 10, 'u');
	fix_expect(&f, 1, 3 * CHUNK, CHUNK + 210, CHUNK - 210, 0);
	cache_truncate(f.c, 1, CHUNK);
	assert_int_equal(cache_dirty_bytes(f.c, 1), CHUNK);
	cache_truncate(f.c, 1, 0);
	assert_int_equal(fix_stats(&f).bytes, 0);
	cache_truncate(f.c, 1, 7);
	cache_check(f.c);
	fix_stop(&f);
}

/* The store may still answer with what was cut off. */
static void a_fill_cannot_bring_back_what_was_cut(void **state)
{
	struct fixture f;

	(void)state;
	fix_start(&f);
	fix_write(&f, 1, CHUNK, 10, 10, 'k');
	fix_store_pattern(&f, 1, CHUNK);
	cache_truncate(f.c, 1, 1000);
	fix_expect(&f, 1, CHUNK, 1000, CHUNK - 1000, 0);
	f.obj[1].data[0] = 'm';
	fix_expect(&f, 1, CHUNK, 0, 1, 'm');
	fix_expect(&f, 1, CHUNK, 1000, CHUNK - 1000, 0);
	fix_stop(&f);
}

static void zero_makes_holes(void **state)
{
	struct fixture f;

	(void)state;
	fix_start(&f);
	fix_write(&f, 1, 0, 0, 4 * CHUNK, 'h');
	cache_zero(f.c, 1, 100, 3 * CHUNK);
	cache_check(f.c);
	assert_int_equal(fix_stats(&f).chunks, 2);
	assert_int_equal(cache_dirty_bytes(f.c, 1), CHUNK);
	fix_expect(&f, 1, 4 * CHUNK, 0, 100, 'h');
	fix_expect(&f, 1, 4 * CHUNK, 100, 3 * CHUNK, 0);
	fix_expect(&f, 1, 4 * CHUNK, 3 * CHUNK + 100, CHUNK - 100, 'h');
	/* In the middle of a range: zeros that are written are right too. */
	cache_zero(f.c, 1, 10, 10);
	fix_expect(&f, 1, 4 * CHUNK, 0, 10, 'h');
	fix_expect(&f, 1, 4 * CHUNK, 10, 10, 0);
	fix_expect(&f, 1, 4 * CHUNK, 20, 80, 'h');
	cache_zero(f.c, 1, 5, 0);
	cache_zero(f.c, 1, CHUNK, CHUNK);
	cache_zero(f.c, 77, 0, UINT64_MAX);
	fix_flush(&f, 1);
	assert_int_equal(f.obj[1].data[15], 0);
	assert_int_equal(f.obj[1].data[25], 'h');
	fix_stop(&f);
}

/* What is not known stays unknown: the store is asked. */
static void zero_asks_the_store_about_the_rest(void **state)
{
	struct fixture f;
	uint8_t dst[CHUNK];

	(void)state;
	fix_start(&f);
	fix_store_pattern(&f, 1, CHUNK);
	fix_write(&f, 1, CHUNK, 1000, 100, 'd');
	fix_store_zero(&f, 1, 1050, 100);
	cache_zero(f.c, 1, 1050, 100);
	cache_check(f.c);
	assert_int_equal(cache_dirty_bytes(f.c, 1), 50);
	assert_int_equal(cache_read(f.c, 1, CHUNK, 0, CHUNK, dst), 0);
	for (unsigned i = 0; i < CHUNK; i++) {
		int want = i < 1000 || i >= 1150 ? fix_pattern(1, i)
			   : i < 1050		 ? 'd'
						 : 0;

		assert_int_equal(dst[i], want);
	}
	fix_stop(&f);
}

/* I1 */
static void objects_vanish_with_their_chunks(void **state)
{
	struct fixture f;

	(void)state;
	fix_start(&f);
	for (unsigned i = 1; i < 1000; i++) {
		fix_write(&f, i, 0, 0, 10, 'o');
		if (i % 2)
			cache_discard(f.c, i);
	}
	assert_int_equal(fix_stats(&f).chunks, 499);
	for (unsigned i = 1; i < 1000; i++)
		cache_discard(f.c, i);
	assert_int_equal(fix_stats(&f).bytes, 0);
	cache_check(f.c);
	fix_stop(&f);
}

static void drop_clean_leaves_the_dirty(void **state)
{
	struct fixture f;

	(void)state;
	fix_start(&f);
	fix_expect(&f, 1, 2 * CHUNK, 0, 2 * CHUNK, 0);
	fix_write(&f, 1, 2 * CHUNK, 2 * CHUNK, 10, 'c');
	fix_expect(&f, 2, CHUNK, 0, CHUNK, 0);
	cache_drop_clean(f.c, 1);
	cache_check(f.c);
	assert_int_equal(fix_stats(&f).chunks, 2);
	cache_drop_clean(f.c, CACHE_ANY);
	assert_int_equal(fix_stats(&f).chunks, 1);
	fix_expect(&f, 1, 3 * CHUNK, 2 * CHUNK, 10, 'c');
	fix_stop(&f);
}

/* Chunks of the largest size, and one object at the end of the number space. */
static void large_chunks_and_far_offsets(void **state)
{
	struct fixture f;
	struct cache_config cfg;
	uint64_t far = (uint64_t)INT64_MAX - 5 * MIB;

	(void)state;
	fix_init(&f, 4 * MIB);
	cfg = fix_config(&f);
	assert_int_equal(cache_new(&cfg, &f.c), 0);
	fix_write(&f, 1, 0, far, 5 * MIB, 'f');
	fix_expect(&f, 1, far + 5 * MIB, far, 5 * MIB, 'f');
	fix_expect(&f, 1, far + 5 * MIB, 0, 10, 0);
	cache_truncate(f.c, 1, far);
	assert_int_equal(cache_dirty_bytes(f.c, 1), 0);
	fix_stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_configurations_are_refused),
		cmocka_unit_test(a_read_fills_once),
		cmocka_unit_test(beyond_the_end_is_zero_and_not_filled),
		cmocka_unit_test(short_chunks_have_small_buffers),
		cmocka_unit_test(a_chunk_beyond_the_end_needs_no_fill),
		cmocka_unit_test(written_bytes_win_over_the_store),
		cmocka_unit_test(many_ranges_force_a_fill),
		cmocka_unit_test(many_dirty_ranges_are_joined),
		cmocka_unit_test(a_fill_error_reaches_the_reader),
		cmocka_unit_test(truncate_drops_and_zeroes),
		cmocka_unit_test(a_fill_cannot_bring_back_what_was_cut),
		cmocka_unit_test(zero_makes_holes),
		cmocka_unit_test(zero_asks_the_store_about_the_rest),
		cmocka_unit_test(objects_vanish_with_their_chunks),
		cmocka_unit_test(drop_clean_leaves_the_dirty),
		cmocka_unit_test(large_chunks_and_far_offsets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
