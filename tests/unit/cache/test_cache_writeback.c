/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Write-back and the state table of cache.c: every transition by hand. Object 1
 * has one chunk in most tests, so "the" chunk is number 0.
 */
#include "unit/cache/cache_fixture.h"

#include "cache/cache_impl.h"

/* -1: there is none. */
static int state_of(struct fixture *f, uint64_t obj, uint64_t number)
{
	const struct chunk *ch;

	MUTEX_GUARD(&f->c->lock);
	ch = chunk_from(f->c, obj, number);
	return ch && chunk_number(ch) == number ? (int)ch->state : -1;
}

#define expect_state(f, want) assert_int_equal(state_of(f, 1, 0), want)

static struct cache_piece collect_one(struct fixture *f, uint64_t obj)
{
	struct cache_piece p;

	assert_int_equal(cache_collect(f->c, obj, UINT64_MAX, MIB, &p, 1), 1);
	cache_check(f->c);
	return p;
}

static void complete(struct fixture *f, const struct cache_piece *p, int rc)
{
	cache_complete(f->c, p, 1, rc);
	cache_check(f->c);
}

static void expect_copy(struct fixture *f, const struct cache_piece *p,
			int byte)
{
	uint8_t *dst = malloc(p->len);

	assert_int_equal(cache_copy(f->c, p, dst), 0);
	for (uint32_t i = 0; i < p->len; i++)
		assert_int_equal(dst[i], byte);
	free(dst);
}

/* Oldest first, each once, and only what could be collected. */
static void dirty_objects_are_listed(void **state)
{
	struct cache_piece p[4];
	struct fixture f;
	uint64_t *obj;
	size_t n;

	(void)state;
	fix_start(&f);
	assert_int_equal(cache_list_dirty(f.c, &obj, &n), 0);
	assert_int_equal(n, 0);
	mem_free(obj);
	fix_write(&f, 3, 0, 0, 10, 'a');
	fix_write(&f, 1, 0, 0, 10, 'b');
	fix_write(&f, 3, 2 * CHUNK, 2 * CHUNK, 10, 'c');
	fix_write(&f, 2, 0, 0, 10, 'd');
	assert_int_equal(cache_list_dirty(f.c, &obj, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(obj[0], 3);
	assert_int_equal(obj[1], 1);
	assert_int_equal(obj[2], 2);
	mem_free(obj);
	p[0] = collect_one(&f, 1);
	assert_int_equal(cache_collect(f.c, 3, UINT64_MAX, MIB, p + 1, 3), 2);
	assert_int_equal(cache_list_dirty(f.c, &obj, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(obj[0], 2);
	mem_free(obj);
	/* What has failed is tried again after the others. */
	cache_complete(f.c, p + 1, 2, -EIO);
	complete(&f, p, 0);
	assert_int_equal(cache_list_dirty(f.c, &obj, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(obj[0], 2);
	assert_int_equal(obj[1], 3);
	mem_free(obj);
	mem_fail_at(1, 0);
	assert_int_equal(cache_list_dirty(f.c, &obj, &n), -ENOMEM);
	mem_fail_at(0, 0);
	fix_stop(&f);
}

static void clean_dirty_writing_clean(void **state)
{
	struct fixture f;
	struct cache_piece p;

	(void)state;
	fix_start(&f);
	fix_expect(&f, 1, CHUNK, 0, CHUNK, 0);
	expect_state(&f, CHUNK_CLEAN);
	fix_write(&f, 1, CHUNK, 100, 50, 'a');
	expect_state(&f, CHUNK_DIRTY);
	p = collect_one(&f, 1);
	expect_state(&f, CHUNK_WRITING);
	assert_int_equal(p.obj, 1);
	assert_int_equal(p.off, 100);
	assert_int_equal(p.len, 50);
	assert_false(p.whole);
	assert_true(cache_current(f.c, &p));
	expect_copy(&f, &p, 'a');
	/* Still dirty for who asks, still read from here, not picked twice. */
	assert_int_equal(cache_dirty_bytes(f.c, 1), 50);
	fix_expect(&f, 1, CHUNK, 100, 50, 'a');
	assert_int_equal(cache_collect(f.c, 1, UINT64_MAX, MIB, &p, 1), 0);
	complete(&f, &p, 0);
	expect_state(&f, CHUNK_CLEAN);
	assert_int_equal(cache_dirty_bytes(f.c, CACHE_ANY), 0);
	fix_stop(&f);
}

/* Only what was written since is dirty afterwards. */
static void redirtied_bytes_alone_stay_dirty(void **state)
{
	struct fixture f;
	struct cache_piece p;

	(void)state;
	fix_start(&f);
	fix_write(&f, 1, 0, 0, 1000, 'a');
	p = collect_one(&f, 1);
	assert_true(p.whole);
	fix_write(&f, 1, 1000, 200, 100, 'b');
	expect_state(&f, CHUNK_REDIRTIED);
	assert_int_equal(cache_dirty_bytes(f.c, 1), 1000);
	complete(&f, &p, 0);
	expect_state(&f, CHUNK_DIRTY);
	assert_int_equal(cache_dirty_bytes(f.c, 1), 100);
	p = collect_one(&f, 1);
	assert_int_equal(p.off, 200);
	assert_int_equal(p.len, 100);
	expect_copy(&f, &p, 'b');
	complete(&f, &p, 0);
	expect_state(&f, CHUNK_CLEAN);
	fix_stop(&f);
}

static void failure_makes_the_union_dirty(void **state)
{
	struct fixture f;
	struct cache_piece p;

	(void)state;
	fix_start(&f);
	fix_write(&f, 1, 0, 0, 1000, 'a');
	p = collect_one(&f, 1);
	fix_write(&f, 1, 1000, 2000, 100, 'b');
	assert_false(cache_failed(f.c, 1));
	complete(&f, &p, -EIO);
	expect_state(&f, CHUNK_FAILED);
	assert_true(cache_failed(f.c, 1));
	assert_true(cache_failed(f.c, CACHE_ANY));
	assert_false(cache_failed(f.c, 2));
	assert_int_equal(fix_stats(&f).failed, 1);
	fix_write(&f, 1, 2100, 10, 1, 'a');
	expect_state(&f, CHUNK_FAILED);
	p = collect_one(&f, 1);
	assert_int_equal(p.off, 0);
	assert_int_equal(p.len, 2100);
	expect_state(&f, CHUNK_WRITING);
	complete(&f, &p, 0);
	expect_state(&f, CHUNK_CLEAN);
	assert_false(cache_failed(f.c, 1));
	fix_stop(&f);
}

static void failed_then_forgotten(void **state)
{
	struct fixture f;
	struct cache_piece p;

	(void)state;
	fix_start(&f);
	fix_write(&f, 1, 0, 100, 1000, 'a');
	p = collect_one(&f, 1);
	complete(&f, &p, -EIO);
	/* Nothing dirty is left: there is nothing to have failed. */
	cache_truncate(f.c, 1, 50);
	cache_check(f.c);
	assert_false(cache_failed(f.c, 1));
	fix_write(&f, 1, 50, 50, 10, 'b');
	expect_state(&f, CHUNK_DIRTY);
	cache_discard(f.c, 1);
	assert_false(cache_failed(f.c, CACHE_ANY));
	expect_state(&f, -1);
	fix_stop(&f);
}

/* C12: a result is believed only if nothing was cut meanwhile. */
static void a_stale_piece_is_dirty_again(void **state)
{
	struct fixture f;
	struct cache_piece p;
	uint8_t dst[1000];

	(void)state;
	fix_start(&f);
	fix_write(&f, 1, 0, 0, 1000, 'a');
	p = collect_one(&f, 1);
	cache_truncate(f.c, 1, 300);
	cache_check(f.c);
	assert_false(cache_current(f.c, &p));
	assert_int_equal(cache_copy(f.c, &p, dst), -ESTALE);
	expect_state(&f, CHUNK_WRITING);
	complete(&f, &p, 0);
	expect_state(&f, CHUNK_DIRTY);
	assert_int_equal(cache_dirty_bytes(f.c, 1), 300);
	assert_int_equal(fix_stats(&f).failed, 0);
	p = collect_one(&f, 1);
	assert_int_equal(p.len, 300);
	assert_true(p.whole);
	cache_zero(f.c, 1, 0, 100);
	assert_int_equal(cache_copy(f.c, &p, dst), -ESTALE);
	complete(&f, &p, -ESTALE);
	expect_state(&f, CHUNK_DIRTY);
	fix_flush(&f, 1);
	assert_int_equal(f.obj[1].data[99], 0);
	assert_int_equal(f.obj[1].data[100], 'a');
	fix_stop(&f);
}

static void discarded_while_writing(void **state)
{
	struct fixture f;
	struct cache_piece p;
	uint8_t dst[1000];

	(void)state;
	fix_start(&f);
	fix_write(&f, 1, 0, 0, 1000, 'a');
	p = collect_one(&f, 1);
	cache_discard(f.c, 1);
	cache_check(f.c);
	expect_state(&f, CHUNK_DISCARDED);
	assert_int_equal(cache_dirty_bytes(f.c, CACHE_ANY), 0);
	assert_int_equal(cache_copy(f.c, &p, dst), -ESTALE);
	complete(&f, &p, -ESTALE);
	expect_state(&f, -1);
	assert_int_equal(fix_stats(&f).bytes, 0);
	fix_stop(&f);
}

/* The number is used again before the old piece is back. */
static void discarded_and_written_again(void **state)
{
	struct fixture f;
	struct cache_piece p;
	int rcs[] = {0, -EIO, -ESTALE};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rcs); i++) {
		fix_start(&f);
		fix_write(&f, 1, 0, 0, 1000, 'a');
		p = collect_one(&f, 1);
		cache_discard(f.c, 1);
		fix_write(&f, 1, 0, 500, 10, 'n');
		expect_state(&f, CHUNK_REDIRTIED);
		assert_int_equal(cache_dirty_bytes(f.c, 1), 10);
		fix_expect(&f, 1, 510, 0, 500, 0);
		assert_int_equal(f.fills, 0);
		complete(&f, &p, rcs[i]);
		assert_int_equal(cache_dirty_bytes(f.c, 1), 10);
		p = collect_one(&f, 1);
		/* The zeros before it are known: the object ended at 0. */
		assert_int_equal(p.off, 500);
		expect_copy(&f, &p, 'n');
		complete(&f, &p, 0);
		expect_state(&f, CHUNK_CLEAN);
		fix_stop(&f);
	}
}

/* Several ranges with unknown bytes between: several pieces, one fate. */
static void pieces_of_a_chunk_share_their_fate(void **state)
{
	struct fixture f;
	struct cache_piece p[4];

	(void)state;
	fix_start(&f);
	fix_store_pattern(&f, 1, CHUNK);
	for (unsigned i = 0; i < 3; i++)
		fix_write(&f, 1, CHUNK, 1000 * i, 100, 'a' + (int)i);
	assert_int_equal(cache_collect(f.c, 1, UINT64_MAX, MIB, p, 4), 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(p[i].off, 1000 * i);
		assert_int_equal(p[i].len, 100);
		assert_false(p[i].whole);
		expect_copy(&f, &p[i], 'a' + (int)i);
	}
	complete(&f, &p[0], 0);
	complete(&f, &p[1], -EIO);
	expect_state(&f, CHUNK_WRITING);
	complete(&f, &p[2], 0);
	expect_state(&f, CHUNK_FAILED);
	assert_int_equal(cache_dirty_bytes(f.c, 1), 300);
	assert_int_equal(cache_collect(f.c, 1, UINT64_MAX, MIB, p, 4), 3);
	cache_complete(f.c, p, 3, 0);
	expect_state(&f, CHUNK_CLEAN);
	fix_stop(&f);
}

/* The chunk becomes wholly known while its pieces are away. */
static void filled_while_writing(void **state)
{
	struct fixture f;
	struct cache_piece p[4];
	uint8_t dst[CHUNK];

	(void)state;
	fix_start(&f);
	fix_store_pattern(&f, 1, CHUNK);
	fix_write(&f, 1, CHUNK, 0, 100, 'a');
	fix_write(&f, 1, CHUNK, 5000, 100, 'b');
	assert_int_equal(cache_collect(f.c, 1, UINT64_MAX, MIB, p, 4), 2);
	assert_int_equal(cache_read(f.c, 1, CHUNK, 0, CHUNK, dst), 0);
	cache_check(f.c);
	expect_copy(&f, &p[0], 'a');
	expect_copy(&f, &p[1], 'b');
	complete(&f, &p[1], 0);
	complete(&f, &p[0], 0);
	expect_state(&f, CHUNK_CLEAN);
	assert_int_equal(dst[4999], fix_pattern(1, 4999));
	assert_int_equal(dst[5000], 'b');
	fix_stop(&f);
}

static void a_known_chunk_comes_in_one_piece(void **state)
{
	struct fixture f;
	struct cache_piece p[4];

	(void)state;
	fix_start(&f);
	fix_expect(&f, 1, CHUNK, 0, CHUNK, 0);
	fix_write(&f, 1, CHUNK, 100, 10, 'a');
	fix_write(&f, 1, CHUNK, 900, 10, 'a');
	assert_int_equal(cache_collect(f.c, 1, UINT64_MAX, MIB, p, 4), 1);
	assert_int_equal(p[0].off, 100);
	assert_int_equal(p[0].len, 810);
	complete(&f, &p[0], 0);
	fix_write(&f, 1, CHUNK, 0, CHUNK, 'a');
	assert_int_equal(cache_collect(f.c, 1, UINT64_MAX, MIB, p, 4), 1);
	assert_true(p[0].whole);
	complete(&f, &p[0], 0);
	fix_stop(&f);
}

/* Where something before or after it is not known, no piece is whole. */
static void whole_means_wholly_known(void **state)
{
	struct fixture f;
	struct cache_piece p;

	(void)state;
	fix_start(&f);
	fix_store_pattern(&f, 1, CHUNK);
	fix_write(&f, 1, CHUNK, 0, 1000, 'a');
	p = collect_one(&f, 1);
	assert_false(p.whole);
	complete(&f, &p, 0);
	fix_store_pattern(&f, 2, 100);
	fix_write(&f, 2, 100, 100, 1000, 'a');
	p = collect_one(&f, 2);
	assert_false(p.whole);
	complete(&f, &p, 0);
	/* An object that is only this: whole, although the chunk is longer. */
	fix_write(&f, 3, 0, 0, 10, 'a');
	p = collect_one(&f, 3);
	assert_true(p.whole);
	complete(&f, &p, 0);
	fix_write(&f, 3, 10, 10, 10, 'a');
	p = collect_one(&f, 3);
	assert_false(p.whole);
	complete(&f, &p, 0);
	fix_stop(&f);
}

static void no_place_for_all_pieces(void **state)
{
	struct fixture f;
	struct cache_piece p[4];

	(void)state;
	fix_start(&f);
	fix_store_pattern(&f, 1, CHUNK);
	for (unsigned i = 0; i < 3; i++)
		fix_write(&f, 1, CHUNK, 1000 * i, 100, 'a');
	assert_int_equal(cache_collect(f.c, 1, UINT64_MAX, MIB, p, 0), 0);
	assert_int_equal(cache_collect(f.c, 1, UINT64_MAX, MIB, p, 2), 2);
	cache_check(f.c);
	expect_state(&f, CHUNK_REDIRTIED);
	cache_complete(f.c, p, 2, 0);
	expect_state(&f, CHUNK_DIRTY);
	assert_int_equal(cache_dirty_bytes(f.c, 1), 100);
	assert_int_equal(cache_collect(f.c, 1, UINT64_MAX, MIB, p, 4), 1);
	assert_int_equal(p[0].off, 2000);
	complete(&f, &p[0], 0);
	fix_stop(&f);
}

static void limits_of_a_collection(void **state)
{
	struct fixture f;
	struct cache_piece p[8];

	(void)state;
	fix_start(&f);
	for (unsigned i = 4; i-- > 0;)
		fix_write(&f, 1, 0, i * CHUNK, CHUNK, 'a');
	/* At least one, however large; ascending; whole chunks. */
	assert_int_equal(cache_collect(f.c, 1, UINT64_MAX, 1, p, 8), 1);
	assert_int_equal(p[0].off, 0);
	assert_int_equal(
		cache_collect(f.c, 1, UINT64_MAX, 2 * CHUNK + 5, p + 1, 8), 2);
	assert_int_equal(p[1].off, CHUNK);
	assert_int_equal(p[2].off, 2 * CHUNK);
	assert_int_equal(cache_collect(f.c, 2, UINT64_MAX, MIB, p + 3, 5), 0);
	assert_int_equal(
		cache_collect(f.c, CACHE_ANY, UINT64_MAX, MIB, p + 3, 5), 1);
	cache_complete(f.c, p, 4, 0);
	cache_check(f.c);
	fix_stop(&f);
}

static uint64_t now_ns;

static uint64_t test_mono(void *arg)
{
	(void)arg;
	return now_ns;
}

static int64_t test_real(void *arg)
{
	(void)arg;
	return 0;
}

static const struct clock_source test_clock = {test_mono, test_real, NULL};

/* I7: oldest object first, all that is due of it, nothing that is not. */
static void the_oldest_object_goes_first(void **state)
{
	struct fixture f;
	struct cache_piece p[8];

	(void)state;
	fix_start(&f);
	clock_replace(&test_clock);
	now_ns = 10;
	fix_write(&f, 7, 0, CHUNK, 10, 'a');
	now_ns = 20;
	fix_write(&f, 3, 0, 0, 10, 'a');
	now_ns = 30;
	fix_write(&f, 7, 0, 0, 10, 'a');
	now_ns = 40;
	fix_write(&f, 5, 0, 0, 10, 'a');
	fix_write(&f, 7, 0, 2 * CHUNK, 10, 'a');
	assert_int_equal(cache_collect(f.c, CACHE_ANY, 9, MIB, p, 8), 0);
	assert_int_equal(cache_collect(f.c, CACHE_ANY, 30, MIB, p, 8), 3);
	assert_int_equal(p[0].obj, 7);
	assert_int_equal(p[0].off, 0);
	assert_int_equal(p[1].obj, 7);
	assert_int_equal(p[1].off, CHUNK);
	assert_int_equal(p[2].obj, 3);
	/* What was written again is passed over, and is due from then on. */
	now_ns = 50;
	fix_write(&f, 3, 10, 0, 10, 'b');
	assert_int_equal(cache_collect(f.c, CACHE_ANY, 60, MIB, p + 3, 5), 2);
	assert_int_equal(p[3].obj, 5);
	assert_int_equal(p[4].obj, 7);
	now_ns = 60;
	cache_complete(f.c, p, 5, 0);
	assert_int_equal(cache_collect(f.c, CACHE_ANY, 49, MIB, p, 8), 0);
	assert_int_equal(cache_collect(f.c, CACHE_ANY, 50, MIB, p, 8), 1);
	assert_int_equal(p[0].obj, 3);
	/* A failed one is due again from the failure on. */
	now_ns = 70;
	complete(&f, &p[0], -EIO);
	assert_int_equal(cache_collect(f.c, CACHE_ANY, 69, MIB, p, 8), 0);
	assert_int_equal(cache_collect(f.c, CACHE_ANY, 70, MIB, p, 8), 1);
	complete(&f, &p[0], 0);
	clock_replace(NULL);
	fix_stop(&f);
}

/* I13: what fsync asks, whatever happens on the way. */
static void stored_means_stored(void **state)
{
	struct fixture f;
	struct cache_piece p;

	(void)state;
	fix_start(&f);
	clock_replace(&test_clock);
	assert_true(cache_stored(f.c, 1, UINT64_MAX));
	now_ns = 10;
	fix_write(&f, 1, 0, 0, 1000, 'a');
	assert_true(cache_stored(f.c, 1, 9));
	assert_false(cache_stored(f.c, 1, 10));
	p = collect_one(&f, 1);
	assert_false(cache_stored(f.c, 1, 10));
	assert_false(cache_stored(f.c, CACHE_ANY, 10));
	assert_true(cache_stored(f.c, 2, 10));
	/* Failed, and not forgotten while it is tried again. */
	now_ns = 20;
	complete(&f, &p, -EIO);
	assert_false(cache_stored(f.c, 1, 10));
	assert_false(cache_stored(f.c, CACHE_ANY, 10));
	p = collect_one(&f, 1);
	assert_true(cache_failed(f.c, 1));
	/* Stale: still neither stored nor excused. */
	cache_truncate(f.c, 1, 500);
	complete(&f, &p, -ESTALE);
	assert_true(cache_failed(f.c, 1));
	assert_false(cache_stored(f.c, 1, 10));
	/* Stored; what came since is not. */
	p = collect_one(&f, 1);
	now_ns = 30;
	fix_write(&f, 1, 500, 0, 10, 'b');
	assert_false(cache_stored(f.c, 1, 10));
	complete(&f, &p, 0);
	assert_false(cache_failed(f.c, 1));
	assert_true(cache_stored(f.c, 1, 29));
	assert_true(cache_stored(f.c, CACHE_ANY, 29));
	assert_false(cache_stored(f.c, 1, 30));
	fix_flush(&f, 1);
	assert_true(cache_stored(f.c, 1, UINT64_MAX));
	assert_true(cache_stored(f.c, CACHE_ANY, UINT64_MAX));
	clock_replace(NULL);
	fix_stop(&f);
}

/* dirtied_ns 0 means "not listed": the clock may well say 0. */
static void dirty_at_time_zero(void **state)
{
	struct fixture f;

	(void)state;
	fix_start(&f);
	clock_replace(&test_clock);
	now_ns = 0;
	fix_write(&f, 1, 0, 0, 10, 'a');
	assert_int_equal(fix_flush(&f, CACHE_ANY), 1);
	clock_replace(NULL);
	fix_stop(&f);
}

static void write_back_is_wanted_from_half_the_limit_on(void **state)
{
	struct fixture f;
	struct cache_config cfg;

	(void)state;
	fix_init(&f, CHUNK);
	cfg = fix_config(&f);
	cfg.dirty_limit_bytes = 8 * CHUNK;
	assert_int_equal(cache_new(&cfg, &f.c), 0);
	fix_write(&f, 1, 0, 0, 3 * CHUNK, 'a');
	assert_int_equal(f.wanted, 0);
	fix_write(&f, 1, 0, 3 * CHUNK, CHUNK, 'a');
	assert_int_equal(f.wanted, 1);
	assert_false(cache_over_limit(f.c));
	cache_throttle(f.c, UINT64_MAX);
	fix_write(&f, 1, 0, 4 * CHUNK, 4 * CHUNK, 'a');
	assert_true(cache_over_limit(f.c));
	/* Memory counts: a byte at the end of a chunk holds all of it. */
	fix_flush(&f, 1);
	for (unsigned i = 0; i < 8; i++) {
		assert_false(cache_over_limit(f.c));
		fix_write(&f, 2, 8 * CHUNK, i * CHUNK + CHUNK - 1, 1, 'b');
	}
	assert_true(cache_over_limit(f.c));
	cache_throttle(f.c, 0);
	assert_int_equal(fix_stats(&f).throttled, 1);
	fix_stop(&f);
}

static void nothing_to_wait_for(void **state)
{
	struct fixture f;

	(void)state;
	fix_start(&f);
	cache_wait_written(f.c, 1);
	cache_wait_written(f.c, CACHE_ANY);
	fix_write(&f, 1, 0, 0, 10, 'a');
	cache_wait_written(f.c, 1);
	assert_int_equal(cache_dirty_bytes(f.c, 99), 0);
	fix_stop(&f);
}

/* A cut makes a chunk clean while more is there than the budget allows. */
static void cut_under_pressure(void **state)
{
	struct fixture f;

	(void)state;
	fix_start(&f);
	fix_write(&f, 1, 0, 0, 100, 'a');
	fix_flush(&f, 1);
	fix_write(&f, 1, 100, 100, 100, 'b');
	fix_write(&f, 2, 0, 0, BUDGET, 'c');
	cache_truncate(f.c, 1, 100);
	cache_check(f.c);
	expect_state(&f, -1);
	fix_expect(&f, 1, 100, 0, 100, 'a');
	fix_stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dirty_objects_are_listed),
		cmocka_unit_test(clean_dirty_writing_clean),
		cmocka_unit_test(redirtied_bytes_alone_stay_dirty),
		cmocka_unit_test(failure_makes_the_union_dirty),
		cmocka_unit_test(failed_then_forgotten),
		cmocka_unit_test(a_stale_piece_is_dirty_again),
		cmocka_unit_test(discarded_while_writing),
		cmocka_unit_test(discarded_and_written_again),
		cmocka_unit_test(pieces_of_a_chunk_share_their_fate),
		cmocka_unit_test(filled_while_writing),
		cmocka_unit_test(a_known_chunk_comes_in_one_piece),
		cmocka_unit_test(whole_means_wholly_known),
		cmocka_unit_test(no_place_for_all_pieces),
		cmocka_unit_test(limits_of_a_collection),
		cmocka_unit_test(the_oldest_object_goes_first),
		cmocka_unit_test(stored_means_stored),
		cmocka_unit_test(dirty_at_time_zero),
		cmocka_unit_test(write_back_is_wanted_from_half_the_limit_on),
		cmocka_unit_test(nothing_to_wait_for),
		cmocka_unit_test(cut_under_pressure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
