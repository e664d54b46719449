/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large copies are made without the cache's lock. With chunks of 4 MiB each
 * takes so long that all of them overlap in time; nobody may ever see half of
 * one (I12), or a buffer that was replaced under his hands.
 */
#include <stdatomic.h>

#include "unit/cache/cache_fixture.h"

#define BIG  (4 * MIB)
#define HALF (BIG / 2)

#ifdef __SANITIZE_THREAD__
#define ROUNDS 10
#else
#define ROUNDS 60
#endif

struct copies {
	struct fixture f;
	atomic_uint stop;
	unsigned seen; /* copies of pieces that were compared */
};

static void expect_uniform(const uint8_t *p, size_t len)
{
	MUST(memcmp(p, p + 1, len - 1) == 0);
}

static void put(struct copies *s, int byte, uint8_t *src)
{
	size_t done;

	memset(src, byte, HALF);
	MUST(cache_write(s->f.c, 1, BIG, 0, src, HALF, &done) == 0);
}

static void run_writer(void *arg)
{
	struct copies *s = arg;
	uint8_t *src = malloc(HALF);

	for (int i = 1; i <= ROUNDS; i++)
		put(s, i, src);
	atomic_store(&s->stop, 1);
	free(src);
}

/* Every other round the chunk begins anew, with unknown bytes. */
static void run_discarder(void *arg)
{
	struct copies *s = arg;
	uint8_t *src = malloc(HALF);

	for (int i = 1; i <= ROUNDS; i++) {
		if (i % 2)
			cache_discard(s->f.c, 1);
		put(s, i, src);
	}
	atomic_store(&s->stop, 1);
	free(src);
}

static void run_reader(void *arg)
{
	struct copies *s = arg;
	uint8_t *dst = malloc(HALF);

	while (!atomic_load(&s->stop)) {
		MUST(cache_read(s->f.c, 1, BIG, 0, HALF, dst) == 0);
		expect_uniform(dst, HALF);
	}
	free(dst);
}

/* Asks for what the writer never writes, so a fill is merged. */
static void run_filler(void *arg)
{
	struct copies *s = arg;
	uint8_t byte;

	while (!atomic_load(&s->stop)) {
		MUST(cache_read(s->f.c, 1, BIG, HALF + 5, 1, &byte) == 0);
		MUST(byte == 0);
	}
}

/* Punches what is zero anyway, and half a block more than that. */
static void run_zeroer(void *arg)
{
	struct copies *s = arg;

	while (!atomic_load(&s->stop))
		cache_zero(s->f.c, 1, 0, HALF + 1);
}

static void run_flusher(void *arg)
{
	struct copies *s = arg;
	uint8_t *dst = malloc(BIG);
	struct cache_piece p;

	while (!atomic_load(&s->stop)) {
		if (!cache_collect(s->f.c, 1, UINT64_MAX, BIG, &p, 1))
			continue;
		if (cache_copy(s->f.c, &p, dst) == 0) {
			expect_uniform(dst, p.len);
			s->seen++;
		}
		cache_complete(s->f.c, &p, 1, -EIO);
	}
	free(dst);
}

static void run(void (*const fn[])(void *), unsigned n)
{
	struct copies *s = calloc(1, sizeof(*s));
	struct cache_config cfg;
	struct workq *q;

	fix_init(&s->f, BIG);
	cfg = fix_config(&s->f);
	cfg.budget_bytes = 64 * MIB;
	assert_int_equal(cache_new(&cfg, &s->f.c), 0);
	fix_store_reserve(&s->f, 1, BIG);
	s->f.obj[1].size = BIG;
	assert_int_equal(workq_new("copies", n, &q), 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(workq_submit(q, fn[i], s), 0);
	workq_free(q);
	cache_check(s->f.c);
	fix_stop(&s->f);
	free(s);
}

static void a_write_is_seen_whole(void **state)
{
	static void (*const fn[])(void *) = {run_writer, run_reader, run_reader,
					     run_flusher};

	(void)state;
	run(fn, ARRAY_LEN(fn));
}

static void a_merge_waits_for_copies(void **state)
{
	static void (*const fn[])(void *) = {run_discarder, run_reader,
					     run_filler, run_flusher};

	(void)state;
	run(fn, ARRAY_LEN(fn));
}

static void a_hole_is_seen_whole(void **state)
{
	static void (*const fn[])(void *) = {run_writer, run_reader, run_zeroer,
					     run_flusher};

	(void)state;
	run(fn, ARRAY_LEN(fn));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_write_is_seen_whole),
		cmocka_unit_test(a_merge_waits_for_copies),
		cmocka_unit_test(a_hole_is_seen_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
