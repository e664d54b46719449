/* SPDX-License-Identifier: Apache-2.0 */
/* The budget, eviction, and allocations that fail. */
#include "unit/cache/cache_fixture.h"

static void read_chunk(struct fixture *f, uint64_t obj, uint64_t number)
{
	static uint8_t dst[CHUNK];
	uint64_t off = number * CHUNK;

	assert_int_equal(cache_read(f->c, obj, UINT64_MAX, off, CHUNK, dst), 0);
	for (unsigned i = 0; i < CHUNK; i += 97)
		assert_int_equal(dst[i], fix_pattern(obj, off + i));
}

/* I10 */
static void clean_data_keeps_to_the_budget(void **state)
{
	struct fixture f;

	(void)state;
	fix_start(&f);
	for (uint64_t i = 0; i < 2 * BUDGET / CHUNK; i++) {
		read_chunk(&f, FIX_ENDLESS, i);
		assert_true(fix_stats(&f).bytes <= BUDGET);
	}
	cache_check(f.c);
	assert_true(fix_stats(&f).bytes > BUDGET - 3 * CHUNK);
	assert_true(fix_stats(&f).evictions >= BUDGET / CHUNK);
	fix_stop(&f);
}

/* Holes have no buffer, but their headers count. */
static void a_sparse_object_keeps_to_the_budget(void **state)
{
	struct fixture f;
	uint8_t byte;

	(void)state;
	fix_start(&f);
	for (uint64_t i = 0; i < 60000; i++)
		assert_int_equal(
			cache_read(f.c, 1, UINT64_MAX, i * CHUNK, 1, &byte), 0);
	assert_true(fix_stats(&f).bytes <= BUDGET);
	assert_true(fix_stats(&f).evictions > 0);
	cache_check(f.c);
	fix_stop(&f);
}

static void the_least_recently_used_goes(void **state)
{
	struct fixture f;
	uint64_t i, fills;

	(void)state;
	fix_start(&f);
	for (i = 0; fix_stats(&f).evictions == 0; i++) {
		read_chunk(&f, FIX_ENDLESS, 1);
		read_chunk(&f, FIX_ENDLESS, i);
	}
	fills = f.fills;
	read_chunk(&f, FIX_ENDLESS, 1);
	read_chunk(&f, FIX_ENDLESS, i - 1);
	read_chunk(&f, FIX_ENDLESS, 2);
	assert_int_equal(f.fills, fills);
	read_chunk(&f, FIX_ENDLESS, 0);
	assert_int_equal(f.fills, fills + 1);
	fix_stop(&f);
}

/* I6: dirty data stays, above the budget too; clean data goes for it. */
static void dirty_data_is_never_evicted(void **state)
{
	struct fixture f;

	(void)state;
	fix_start(&f);
	for (uint64_t i = 0; i < BUDGET / CHUNK / 2; i++)
		read_chunk(&f, FIX_ENDLESS, i);
	fix_write(&f, 1, 0, 0, BUDGET + MIB, 'd');
	assert_true(fix_stats(&f).bytes > BUDGET);
	assert_int_equal(fix_stats(&f).chunks, (BUDGET + MIB) / CHUNK);
	read_chunk(&f, FIX_ENDLESS, 0);
	cache_check(f.c);
	assert_int_equal(fix_stats(&f).chunks, (BUDGET + MIB) / CHUNK);
	fix_expect(&f, 1, BUDGET + MIB, 0, BUDGET + MIB, 'd');
	fix_flush(&f, 1);
	assert_true(fix_stats(&f).bytes <= BUDGET);
	fix_expect(&f, 1, BUDGET + MIB, 0, BUDGET + MIB, 'd');
	fix_stop(&f);
}

/* An unpacked archive: many objects of one small chunk. */
static void many_small_files(void **state)
{
	enum {
		FILES = 12000
	};
	struct fixture f;
	struct cache_config cfg;
	uint64_t each;

	(void)state;
	fix_init(&f, 128 * KIB);
	cfg = fix_config(&f);
	cfg.budget_bytes = 128 * MIB;
	assert_int_equal(cache_new(&cfg, &f.c), 0);
	for (uint64_t i = 1; i <= FILES; i++) {
		size_t done;

		assert_int_equal(
			cache_write(f.c, i, 0, 0, &i, sizeof(i), &done), 0);
	}
	each = fix_stats(&f).bytes / FILES;
	print_message("bytes for a small file: %llu\n",
		      (unsigned long long)each);
	assert_true(each < 4096 + 400);
	cache_check(f.c);
	for (;;) {
		struct cache_piece p[256];
		unsigned n =
			cache_collect(f.c, CACHE_ANY, UINT64_MAX, MIB, p, 256);

		if (!n)
			break;
		for (unsigned i = 0; i < n; i++) {
			uint64_t id;

			assert_true(p[i].whole);
			assert_int_equal(cache_copy(f.c, &p[i], &id), 0);
			assert_int_equal(id, p[i].obj);
		}
		cache_complete(f.c, p, n, 0);
	}
	cache_check(f.c);
	for (uint64_t i = 1; i <= FILES; i++)
		cache_discard(f.c, i);
	assert_int_equal(fix_stats(&f).bytes, 0);
	fix_stop(&f);
}

/* ---- the i-th allocation fails ---- */

struct script {
	struct fixture f;
	uint8_t want[4 * CHUNK];
	uint64_t size;
	unsigned failed; /* calls that said -ENOMEM */
};

static void script_write(struct script *s, uint64_t off, size_t len, int byte)
{
	uint8_t src[CHUNK + 100];
	size_t done;
	int rc;

	memset(src, byte, len);
	rc = cache_write(s->f.c, 1, s->size, off, src, len, &done);
	assert_true(rc == -ENOMEM || (rc == 0 && done == len));
	s->failed += rc != 0;
	memcpy(s->want + off, src, done);
	if (done)
		s->size = MAX(s->size, off + done);
	cache_check(s->f.c);
}

static void script_read(struct script *s)
{
	uint8_t dst[4 * CHUNK];
	int rc = cache_read(s->f.c, 1, s->size, 0, sizeof(dst), dst);

	assert_true(rc == 0 || rc == -ENOMEM);
	s->failed += rc != 0;
	if (!rc)
		assert_memory_equal(dst, s->want, sizeof(dst));
	cache_check(s->f.c);
}

static void script_run(struct script *s)
{
	fix_store_pattern(&s->f, 1, CHUNK + 500);
	for (unsigned i = 0; i < CHUNK + 500; i++)
		s->want[i] = fix_pattern(1, i);
	s->size = CHUNK + 500;
	script_write(s, 100, 100, 'a');
	script_write(s, 1000, 100, 'b');
	script_write(s, CHUNK - 50, 100, 'c');
	script_write(s, 2 * CHUNK + 1, CHUNK + 50, 'd');
	script_read(s);
	script_write(s, 3 * CHUNK + 5000, 4000, 'e');
	fix_flush(&s->f, 1);
	cache_drop_clean(s->f.c, 1);
	script_read(s);
	cache_truncate(s->f.c, 1, 2 * CHUNK + 10);
	fix_store_truncate(&s->f, 1, 2 * CHUNK + 10);
	memset(s->want + 2 * CHUNK + 10, 0, 2 * CHUNK - 10);
	s->size = 2 * CHUNK + 10;
	script_write(s, 3 * CHUNK, 10, 'f');
	cache_zero(s->f.c, 1, 50, 75);
	fix_store_zero(&s->f, 1, 50, 75);
	memset(s->want + 50, 0, 75);
	script_read(s);
}

/* False: no allocation was left to fail. */
static bool script_with_failure(uint64_t at, int forever)
{
	struct script *s = calloc(1, sizeof(*s));
	struct cache_config cfg;
	bool reached;
	int rc;

	fix_init(&s->f, CHUNK);
	cfg = fix_config(&s->f);
	cfg.readahead_threads = 1;
	cfg.readahead_chunks = 2;
	mem_fail_at(at, forever);
	rc = cache_new(&cfg, &s->f.c);
	assert_true(rc == 0 || rc == -ENOMEM);
	if (rc == 0)
		script_run(s);
	reached = mem_count() >= at;
	mem_fail_at(0, 0);
	if (rc == 0) {
		/* Nothing is broken for good. */
		s->failed = 0;
		script_read(s);
		assert_int_equal(s->failed, 0);
		fix_flush(&s->f, CACHE_ANY);
		cache_drop_clean(s->f.c, CACHE_ANY);
		script_read(s);
		assert_int_equal(s->failed, 0);
	}
	fix_stop(&s->f);
	free(s);
	return reached;
}

static void every_allocation_may_fail(void **state)
{
	uint64_t at = 1;

	(void)state;
	workq_inline(true);
	for (int forever = 0; forever < 2; forever++) {
		for (at = 1; script_with_failure(at, forever); at++)
			;
		print_message("allocations=%llu\n", (unsigned long long)at - 1);
		assert_true(at > 20);
	}
	workq_inline(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clean_data_keeps_to_the_budget),
		cmocka_unit_test(a_sparse_object_keeps_to_the_budget),
		cmocka_unit_test(the_least_recently_used_goes),
		cmocka_unit_test(dirty_data_is_never_evicted),
		cmocka_unit_test(many_small_files),
		cmocka_unit_test(every_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
