/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Races, each made to happen: a fill stops at a gate while the test changes the
 * chunk. And who waits: for fills, for room, for write-backs, for readahead.
 */
#include "unit/cache/cache_fixture.h"

#include "cache/cache_impl.h"

/* A read on a thread of its own. */
struct reader {
	struct fixture *f;
	struct workq *q;
	uint64_t size;
	uint8_t dst[CHUNK];
	int rc;
};

static void run_reader(void *arg)
{
	struct reader *r = arg;

	r->rc = cache_read(r->f->c, 1, r->size, 0, CHUNK, r->dst);
}

static void reader_start(struct reader *r, struct fixture *f)
{
	memset(r, 0, sizeof(*r));
	r->f = f;
	r->size = CHUNK;
	assert_int_equal(workq_new("reader", 1, &r->q), 0);
	assert_int_equal(workq_submit(r->q, run_reader, r), 0);
}

static void reader_end(struct reader *r)
{
	workq_free(r->q);
	cache_check(r->f->c);
}

/* Bytes [lo, hi) are `byte`, the others the pattern. */
static void expect_patched(const uint8_t *got, unsigned lo, unsigned hi,
			   int byte)
{
	for (unsigned i = 0; i < CHUNK; i++)
		assert_int_equal(got[i],
				 i >= lo && i < hi ? byte : fix_pattern(1, i));
}

static int state_of_first(struct fixture *f)
{
	const struct chunk *ch;

	MUTEX_GUARD(&f->c->lock);
	ch = chunk_from(f->c, 1, 0);
	return ch ? (int)ch->state : -1;
}

/* A reader of chunk 0 of a pattern object, stopped inside its fill. */
static void start_at_gate(struct fixture *f, struct reader *r)
{
	fix_start(f);
	fix_store_pattern(f, 1, CHUNK);
	fix_shut_gate(f, 1);
	reader_start(r, f);
	fix_await_gate(f, 1);
	assert_int_equal(state_of_first(f), CHUNK_READING);
}

static void a_write_does_not_wait_for_a_fill(void **state)
{
	struct fixture f;
	struct reader r;

	(void)state;
	start_at_gate(&f, &r);
	fix_write(&f, 1, CHUNK, 100, 5000, 'w');
	assert_int_equal(state_of_first(&f), CHUNK_DIRTY);
	fix_expect(&f, 1, CHUNK, 100, 5000, 'w');
	fix_open_gate(&f);
	reader_end(&r);
	assert_int_equal(r.rc, 0);
	assert_int_equal(f.fills, 1);
	expect_patched(r.dst, 100, 5100, 'w');
	assert_int_equal(cache_dirty_bytes(f.c, 1), 5000);
	fix_stop(&f);
}

/* Written, written back and complete while the store's old answer is away. */
static void a_write_back_overtakes_a_fill(void **state)
{
	struct fixture f;
	struct reader r;
	struct cache_piece p;

	(void)state;
	start_at_gate(&f, &r);
	fix_write(&f, 1, CHUNK, 100, 100, 'w');
	assert_int_equal(cache_collect(f.c, 1, UINT64_MAX, MIB, &p, 1), 1);
	cache_complete(f.c, &p, 1, 0);
	assert_int_equal(state_of_first(&f), CHUNK_READING);
	cache_drop_clean(f.c, CACHE_ANY);
	fix_open_gate(&f);
	reader_end(&r);
	expect_patched(r.dst, 100, 200, 'w');
	fix_stop(&f);
}

static void a_fill_overtaken_by_truncate(void **state)
{
	struct fixture f;
	struct reader r;

	(void)state;
	start_at_gate(&f, &r);
	fix_store_truncate(&f, 1, 1000);
	fix_store_write(&f, 1, 0, "new", 3);
	cache_truncate(f.c, 1, 1000);
	cache_check(f.c);
	fix_open_gate(&f);
	reader_end(&r);
	/* C12: not the answer from before. */
	assert_int_equal(r.rc, 0);
	assert_int_equal(f.fills, 2);
	assert_memory_equal(r.dst, "new", 3);
	assert_int_equal(r.dst[999], fix_pattern(1, 999));
	assert_int_equal(r.dst[1000], 0);
	assert_int_equal(r.dst[CHUNK - 1], 0);
	fix_stop(&f);
}

static void a_fill_overtaken_by_zero(void **state)
{
	struct fixture f;
	struct reader r;

	(void)state;
	start_at_gate(&f, &r);
	fix_store_zero(&f, 1, 10, 500);
	cache_zero(f.c, 1, 10, 500);
	fix_open_gate(&f);
	reader_end(&r);
	assert_int_equal(f.fills, 2);
	expect_patched(r.dst, 10, 510, 0);
	fix_stop(&f);
}

static void a_fill_overtaken_by_discard(void **state)
{
	struct fixture f;
	struct reader r;

	(void)state;
	start_at_gate(&f, &r);
	fix_store_truncate(&f, 1, 0);
	cache_discard(f.c, 1);
	cache_check(f.c);
	assert_int_equal(state_of_first(&f), CHUNK_DISCARDED);
	/* The number lives again at once, on top of the stale fill. */
	fix_write(&f, 1, 0, 50, 10, 'n');
	assert_int_equal(state_of_first(&f), CHUNK_DIRTY);
	fix_expect(&f, 1, 60, 0, 50, 0);
	fix_open_gate(&f);
	reader_end(&r);
	assert_int_equal(r.rc, 0);
	assert_int_equal(f.fills, 1);
	assert_int_equal(r.dst[0], 0);
	assert_int_equal(r.dst[59], 'n');
	assert_int_equal(r.dst[60], 0);
	fix_stop(&f);
}

/* The error of a fill that no longer counts is not the reader's. */
static void a_stale_fill_fails(void **state)
{
	struct fixture f;
	struct reader r;

	(void)state;
	fix_start(&f);
	fix_store_pattern(&f, 1, CHUNK);
	fix_shut_gate(&f, 1);
	f.fill_rc = -EIO;
	reader_start(&r, &f);
	fix_await_gate(&f, 1);
	mutex_lock(&f.mu);
	f.fill_rc = 0;
	mutex_unlock(&f.mu);
	cache_discard(f.c, 1);
	fix_open_gate(&f);
	reader_end(&r);
	assert_int_equal(r.rc, 0);
	expect_patched(r.dst, 0, 0, 0);
	fix_stop(&f);
}

static unsigned waiting_readers(struct fixture *f)
{
	const struct chunk *ch;

	MUTEX_GUARD(&f->c->lock);
	ch = chunk_from(f->c, 1, 0);
	return ch ? ch->pins : 0;
}

/* One fill for all who want the chunk, its error too. */
static void a_fill_is_shared(void **state)
{
	struct fixture f;
	struct reader r[4];

	(void)state;
	for (int rc = 0; rc >= -EIO; rc -= EIO) {
		fix_start(&f);
		fix_store_pattern(&f, 1, CHUNK);
		fix_shut_gate(&f, 1);
		f.fill_rc = rc;
		for (unsigned i = 0; i < 4; i++)
			reader_start(&r[i], &f);
		fix_await_gate(&f, 1);
		while (waiting_readers(&f) < 4)
			;
		fix_open_gate(&f);
		for (unsigned i = 0; i < 4; i++) {
			reader_end(&r[i]);
			assert_int_equal(r[i].rc, rc);
		}
		assert_int_equal(f.fills, 1);
		fix_stop(&f);
	}
}

/* I10, also while the store is being read. */
static void a_fill_makes_room_first(void **state)
{
	struct fixture f;
	struct reader r;
	uint8_t byte;

	(void)state;
	fix_start(&f);
	for (uint64_t i = 0; i < BUDGET / CHUNK; i++)
		assert_int_equal(cache_read(f.c, FIX_ENDLESS, UINT64_MAX,
					    i * CHUNK, 1, &byte),
				 0);
	fix_store_pattern(&f, 1, CHUNK);
	fix_shut_gate(&f, 1);
	reader_start(&r, &f);
	fix_await_gate(&f, 1);
	cache_check(f.c);
	assert_true(fix_stats(&f).bytes <= BUDGET);
	fix_open_gate(&f);
	reader_end(&r);
	expect_patched(r.dst, 0, 0, 0);
	fix_stop(&f);
}

/* ---- waiting ---- */

static void run_flush(void *arg)
{
	fix_flush(arg, CACHE_ANY);
}

static void throttle_waits_for_room(void **state)
{
	struct fixture f;
	struct cache_config cfg;
	struct workq *q;

	(void)state;
	fix_init(&f, CHUNK);
	cfg = fix_config(&f);
	cfg.dirty_limit_bytes = 4 * CHUNK;
	assert_int_equal(cache_new(&cfg, &f.c), 0);
	assert_int_equal(workq_new("flush", 1, &q), 0);
	for (unsigned i = 0; i < 50; i++) {
		fix_write(&f, 1, i * 4 * CHUNK, i * 4 * CHUNK, 4 * CHUNK, 'a');
		assert_true(cache_over_limit(f.c));
		assert_int_equal(workq_submit(q, run_flush, &f), 0);
		cache_throttle(f.c, UINT64_MAX);
		assert_false(cache_over_limit(f.c));
		workq_drain(q);
	}
	workq_free(q);
	fix_stop(&f);
}

static void throttle_ends_at_its_deadline(void **state)
{
	struct fixture f;
	struct cache_config cfg;
	uint64_t deadline;

	(void)state;
	fix_init(&f, CHUNK);
	cfg = fix_config(&f);
	cfg.dirty_limit_bytes = CHUNK;
	assert_int_equal(cache_new(&cfg, &f.c), 0);
	fix_write(&f, 1, 0, 0, CHUNK, 'a');
	f.wanted = 0;
	deadline = clock_mono_ns() + 20000000;
	cache_throttle(f.c, deadline);
	assert_true(clock_mono_ns() >= deadline);
	assert_true(cache_over_limit(f.c));
	assert_int_equal(f.wanted, 1);
	fix_stop(&f);
}

struct waiter {
	struct fixture *f;
	uint64_t obj;
	struct latch began, ended;
};

static void run_waiter(void *arg)
{
	struct waiter *w = arg;

	latch_down(&w->began);
	cache_wait_written(w->f->c, w->obj);
	latch_down(&w->ended);
}

static void waits_for_what_is_under_way(struct fixture *f, uint64_t obj)
{
	struct waiter w = {.f = f, .obj = obj};
	struct cache_piece p[3];
	struct workq *q;
	uint64_t soon;

	latch_init(&w.began, 1);
	latch_init(&w.ended, 1);
	assert_int_equal(workq_new("waiter", 1, &q), 0);
	fix_write(f, 1, 0, 0, 10, 'a');
	fix_write(f, 1, 0, CHUNK, 10, 'a');
	assert_int_equal(cache_collect(f->c, 1, UINT64_MAX, 1, &p[0], 1), 1);
	assert_int_equal(workq_submit(q, run_waiter, &w), 0);
	latch_wait(&w.began);
	/* It may not have begun to wait; in no case may it end. */
	soon = clock_mono_ns() + 5000000;
	assert_false(latch_wait_until(&w.ended, soon));
	/* Picked afterwards: not waited for. */
	assert_int_equal(cache_collect(f->c, 1, UINT64_MAX, MIB, &p[1], 1), 1);
	cache_complete(f->c, &p[0], 1, 0);
	latch_wait(&w.ended);
	cache_complete(f->c, &p[1], 1, 0);
	workq_free(q);
	latch_destroy(&w.ended);
	latch_destroy(&w.began);
	cache_discard(f->c, 1);
}

static void wait_written_waits_for_what_is_under_way(void **state)
{
	struct fixture f;

	(void)state;
	fix_start(&f);
	waits_for_what_is_under_way(&f, 1);
	waits_for_what_is_under_way(&f, CACHE_ANY);
	fix_stop(&f);
}

/* ---- readahead ---- */

static void start_ahead(struct fixture *f, unsigned threads, unsigned chunks)
{
	struct cache_config cfg;

	fix_init(f, CHUNK);
	cfg = fix_config(f);
	cfg.readahead_threads = threads;
	cfg.readahead_chunks = chunks;
	assert_int_equal(cache_new(&cfg, &f->c), 0);
}

static void read_at(struct fixture *f, uint64_t obj, uint64_t size,
		    uint64_t off, size_t len)
{
	uint8_t *dst = malloc(len);

	assert_int_equal(cache_read(f->c, obj, size, off, len, dst), 0);
	for (size_t i = 0; i < len; i += 61)
		assert_int_equal(dst[i], fix_pattern(obj, off + i));
	free(dst);
	cache_check(f->c);
}

static void sequential_readers_are_preceded(void **state)
{
	struct fixture f;
	uint64_t misses;

	(void)state;
	workq_inline(true);
	start_ahead(&f, 1, 8);
	read_at(&f, FIX_ENDLESS, 100 * CHUNK, 0, CHUNK);
	assert_int_equal(fix_stats(&f).readahead, 0);
	read_at(&f, FIX_ENDLESS, 100 * CHUNK, CHUNK, CHUNK);
	misses = fix_stats(&f).misses;
	for (unsigned i = 2; i < 50; i++)
		read_at(&f, FIX_ENDLESS, 100 * CHUNK, i * CHUNK, CHUNK);
	assert_int_equal(fix_stats(&f).misses, misses);
	assert_int_equal(fix_stats(&f).readahead, 56);
	/* Nothing beyond the end. */
	for (unsigned i = 50; i < 100; i++)
		read_at(&f, FIX_ENDLESS, 100 * CHUNK, i * CHUNK, CHUNK);
	assert_int_equal(f.fills, 100);
	workq_inline(false);
	fix_stop(&f);
}

static void streams_out_of_order_count_as_streams(void **state)
{
	static const unsigned order[] = {1, 0, 2, 4, 3, 6, 5, 7};
	struct fixture f;

	(void)state;
	workq_inline(true);
	start_ahead(&f, 1, 8);
	for (unsigned i = 0; i < ARRAY_LEN(order); i++)
		read_at(&f, FIX_ENDLESS, 100 * CHUNK, order[i] * CHUNK, CHUNK);
	assert_true(fix_stats(&f).readahead >= 8);
	workq_inline(false);
	fix_stop(&f);
}

static void random_readers_are_left_alone(void **state)
{
	struct fixture f;

	(void)state;
	workq_inline(true);
	start_ahead(&f, 1, 8);
	for (unsigned i = 0; i < 100; i++)
		read_at(&f, FIX_ENDLESS, 10000 * CHUNK,
			(i * 37 % 100 + 10) * 10 * CHUNK, 500);
	assert_int_equal(fix_stats(&f).readahead, 0);
	workq_inline(false);
	fix_stop(&f);
}

static void run_large_read(void *arg)
{
	struct fixture *f = arg;
	uint8_t dst[4 * CHUNK];

	MUST(cache_read(f->c, 1, sizeof(dst), 0, sizeof(dst), dst) == 0);
	for (unsigned i = 0; i < sizeof(dst); i++)
		MUST(dst[i] == fix_pattern(1, i));
}

/* One large read asks for all its chunks at once: they meet at the gate. */
static void a_large_read_fills_in_parallel(void **state)
{
	struct fixture f;
	struct workq *q;

	(void)state;
	start_ahead(&f, 3, 8);
	fix_store_pattern(&f, 1, 4 * CHUNK);
	fix_shut_gate(&f, 1);
	assert_int_equal(workq_new("reader", 1, &q), 0);
	assert_int_equal(workq_submit(q, run_large_read, &f), 0);
	fix_await_gate(&f, 4);
	cache_check(f.c);
	fix_open_gate(&f);
	workq_free(q);
	assert_int_equal(f.fills, 4);
	fix_stop(&f);
}

static void readahead_on_threads(void **state)
{
	struct fixture f;

	(void)state;
	start_ahead(&f, 3, 8);
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < 200; i++)
			read_at(&f, FIX_ENDLESS + round, 200 * CHUNK, i * CHUNK,
				CHUNK);
	}
	assert_true(fix_stats(&f).bytes <= BUDGET);
	fix_stop(&f);
}

static void run_open_gate(void *arg)
{
	fix_open_gate(arg);
}

/* Jobs that have not begun do nothing any more; the one under way ends. */
static void freed_with_readahead_under_way(void **state)
{
	struct fixture f;
	struct workq *q;

	(void)state;
	start_ahead(&f, 1, 8);
	fix_store_pattern(&f, 1, 50 * CHUNK);
	read_at(&f, 1, 50 * CHUNK, 0, 2 * CHUNK);
	workq_drain(f.c->ahead_queue);
	fix_shut_gate(&f, 1);
	{
		MUTEX_GUARD(&f.c->lock);
		cache_ahead_ask(f.c, 1, 10, 20);
	}
	fix_await_gate(&f, 1);
	assert_int_equal(workq_new("opener", 1, &q), 0);
	assert_int_equal(workq_submit(q, run_open_gate, &f), 0);
	cache_free(f.c);
	f.c = NULL;
	workq_free(q);
	fix_stop(&f);
}

static void a_failed_readahead_is_silent(void **state)
{
	struct fixture f;

	(void)state;
	workq_inline(true);
	start_ahead(&f, 1, 8);
	fix_store_pattern(&f, 1, 20 * CHUNK);
	read_at(&f, 1, 20 * CHUNK, 0, CHUNK);
	read_at(&f, 1, 3 * CHUNK, CHUNK, CHUNK);
	assert_int_equal(fix_stats(&f).readahead, 1);
	f.fill_rc = -EIO;
	read_at(&f, 1, 20 * CHUNK, 2 * CHUNK, CHUNK);
	assert_int_equal(fix_stats(&f).readahead, 1);
	f.fill_rc = 0;
	for (unsigned i = 3; i < 20; i++)
		read_at(&f, 1, 20 * CHUNK, i * CHUNK, CHUNK);
	workq_inline(false);
	fix_stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_write_does_not_wait_for_a_fill),
		cmocka_unit_test(a_write_back_overtakes_a_fill),
		cmocka_unit_test(a_fill_overtaken_by_truncate),
		cmocka_unit_test(a_fill_overtaken_by_zero),
		cmocka_unit_test(a_fill_overtaken_by_discard),
		cmocka_unit_test(a_stale_fill_fails),
		cmocka_unit_test(a_fill_is_shared),
		cmocka_unit_test(a_fill_makes_room_first),
		cmocka_unit_test(throttle_waits_for_room),
		cmocka_unit_test(throttle_ends_at_its_deadline),
		cmocka_unit_test(wait_written_waits_for_what_is_under_way),
		cmocka_unit_test(sequential_readers_are_preceded),
		cmocka_unit_test(streams_out_of_order_count_as_streams),
		cmocka_unit_test(random_readers_are_left_alone),
		cmocka_unit_test(a_large_read_fills_in_parallel),
		cmocka_unit_test(readahead_on_threads),
		cmocka_unit_test(freed_with_readahead_under_way),
		cmocka_unit_test(a_failed_readahead_is_silent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
