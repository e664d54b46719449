/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random operations on one thread, compared with a plain array: whatever the
 * order of writes, cuts, holes, evictions, write-backs and their failures, a
 * read returns what was written last, and after a flush so does the store. All
 * invariants of cache.c are checked after every step.
 */
#include "unit/cache/cache_fixture.h"

#define OBJECTS	  3
#define SPACE	  (6 * CHUNK)
#define STEPS	  2500
#define IN_FLIGHT 64

/* One thread: there it is only slow. */
#ifdef __SANITIZE_THREAD__
#define SEEDS 2
#else
#define SEEDS 6
#endif

struct flight {
	struct cache_piece p;
	uint8_t *bytes; /* NULL: not copied yet */
};

struct model {
	struct fixture f;
	uint8_t data[OBJECTS][SPACE];
	uint64_t size[OBJECTS];
	struct flight flight[IN_FLIGHT];
	unsigned flights;
	uint64_t now_ns;
};

static uint64_t model_clock(void *arg)
{
	struct model *m = arg;

	return m->now_ns += 1000;
}

static int64_t model_real(void *arg)
{
	(void)arg;
	return 0;
}

/* Mostly small, sometimes near chunk borders, sometimes large. */
static uint64_t some_offset(uint64_t below)
{
	uint64_t off = rnd_below(below);

	if (rnd_below(4) == 0)
		off = off / CHUNK * CHUNK;
	if (rnd_below(6) == 0 && off + 1 < below)
		off++;
	return off;
}

static uint64_t some_length(uint64_t most)
{
	uint64_t bound = rnd_below(3) ? 700 : rnd_below(2) ? CHUNK : 3 * CHUNK;

	return 1 + rnd_below(MIN(bound, most));
}

static void step_write(struct model *m, uint64_t o)
{
	static uint8_t src[SPACE];
	uint64_t off = some_offset(SPACE), len = some_length(SPACE - off);
	size_t done;
	int rc;

	for (uint64_t i = 0; i < len; i++)
		src[i] = (uint8_t)(rnd_below(255) + 1);
	rc = cache_write(m->f.c, o, m->size[o], off, src, len, &done);
	/* Only a fill that could not be avoided fails (it is told to). */
	assert_true(rc == 0 || rc == -EIO);
	assert_true(rc || done == len);
	memcpy(m->data[o] + off, src, done);
	if (done)
		m->size[o] = MAX(m->size[o], off + done);
}

static void compare(const uint8_t *got, const uint8_t *want, uint64_t len,
		    uint64_t o, uint64_t off)
{
	if (memcmp(got, want, len) == 0)
		return;
	for (uint64_t i = 0; i < len; i++) {
		if (got[i] != want[i])
			fail_msg("obj %llu off %llu: %u, not %u",
				 (unsigned long long)o,
				 (unsigned long long)(off + i), got[i],
				 want[i]);
	}
}

static void step_read(struct model *m, uint64_t o)
{
	static uint8_t dst[SPACE];
	uint64_t off = some_offset(SPACE), len = some_length(SPACE - off);
	int rc = cache_read(m->f.c, o, m->size[o], off, len, dst);

	if (rc)
		assert_int_equal(rc, -EIO);
	else
		compare(dst, m->data[o] + off, len, o, off);
}

static void step_truncate(struct model *m, uint64_t o)
{
	uint64_t size = some_offset(SPACE);

	fix_store_truncate(&m->f, o, size);
	cache_truncate(m->f.c, o, size);
	memset(m->data[o] + size, 0, SPACE - size);
	m->size[o] = size;
}

static void step_zero(struct model *m, uint64_t o)
{
	uint64_t off = some_offset(SPACE), len = some_length(SPACE - off);

	fix_store_zero(&m->f, o, off, len);
	cache_zero(m->f.c, o, off, len);
	memset(m->data[o] + off, 0, len);
}

static void step_discard(struct model *m, uint64_t o)
{
	fix_store_truncate(&m->f, o, 0);
	cache_discard(m->f.c, o);
	memset(m->data[o], 0, SPACE);
	m->size[o] = 0;
}

static void step_collect(struct model *m, uint64_t o)
{
	struct cache_piece p[IN_FLIGHT];
	unsigned room = IN_FLIGHT - m->flights, n;
	uint64_t before =
		rnd_below(2) ? UINT64_MAX : m->now_ns - rnd_below(m->now_ns);

	if (!room)
		return;
	n = cache_collect(m->f.c, rnd_below(3) ? o : CACHE_ANY, before,
			  rnd_below(4 * CHUNK), p,
			  1 + (unsigned)rnd_below(room));
	for (unsigned i = 0; i < n; i++)
		m->flight[m->flights++] = (struct flight){p[i], NULL};
}

static void copy_piece(struct model *m, struct flight *fl)
{
	bool current = cache_current(m->f.c, &fl->p);
	int rc;

	if (!fl->bytes)
		fl->bytes = malloc(fl->p.len);
	rc = cache_copy(m->f.c, &fl->p, fl->bytes);
	assert_int_equal(rc, current ? 0 : -ESTALE);
	if (rc) {
		free(fl->bytes);
		fl->bytes = NULL;
		return;
	}
	compare(fl->bytes, m->data[fl->p.obj] + fl->p.off, fl->p.len, fl->p.obj,
		fl->p.off);
}

static void step_copy(struct model *m)
{
	if (m->flights)
		copy_piece(m, &m->flight[rnd_below(m->flights)]);
}

static int outcome(struct model *m, struct flight *fl)
{
	if (!fl->bytes || rnd_below(4) == 0)
		return rnd_below(2) ? -EIO : -ENOSPC;
	return fix_store_piece(&m->f, &fl->p, fl->bytes);
}

static void step_complete(struct model *m)
{
	unsigned i = (unsigned)rnd_below(MAX(m->flights, 1));
	struct flight fl;

	if (!m->flights)
		return;
	fl = m->flight[i];
	m->flight[i] = m->flight[--m->flights];
	cache_complete(m->f.c, &fl.p, 1, outcome(m, &fl));
	free(fl.bytes);
}

/* More clean data than the budget holds: everything clean is evicted. */
static void step_pressure(struct model *m)
{
	static uint8_t dst[BUDGET];

	assert_int_equal(
		cache_read(m->f.c, FIX_ENDLESS, UINT64_MAX, 0, BUDGET, dst), 0);
	assert_true(fix_stats(&m->f).evictions > 0);
}

static void step(struct model *m)
{
	uint64_t o = rnd_below(OBJECTS), dice = rnd_below(1000);

	m->f.fill_rc = rnd_below(10) ? 0 : -EIO;
	if (dice < 300)
		step_write(m, o);
	else if (dice < 550)
		step_read(m, o);
	else if (dice < 600)
		step_truncate(m, o);
	else if (dice < 640)
		step_zero(m, o);
	else if (dice < 650)
		step_discard(m, o);
	else if (dice < 660)
		cache_drop_clean(m->f.c, rnd_below(2) ? o : CACHE_ANY);
	else if (dice < 780)
		step_collect(m, o);
	else if (dice < 890)
		step_copy(m);
	else
		step_complete(m);
	m->f.fill_rc = 0;
	if (dice == 999)
		step_pressure(m);
}

static void settle(struct model *m)
{
	while (m->flights)
		step_complete(m);
	fix_flush(&m->f, CACHE_ANY);
	cache_check(m->f.c);
	assert_int_equal(cache_dirty_bytes(m->f.c, CACHE_ANY), 0);
	assert_false(cache_failed(m->f.c, CACHE_ANY));
}

/* The store alone has it all; and once more through an empty cache. */
static void compare_all(struct model *m)
{
	static uint8_t dst[SPACE];

	for (uint64_t o = 0; o < OBJECTS; o++) {
		const struct fix_object *s = &m->f.obj[o];

		fix_store_reserve(&m->f, o, SPACE);
		compare(s->data, m->data[o], SPACE, o, 0);
	}
	cache_drop_clean(m->f.c, CACHE_ANY);
	assert_int_equal(fix_stats(&m->f).chunks, 0);
	assert_int_equal(fix_stats(&m->f).bytes, 0);
	for (uint64_t o = 0; o < OBJECTS; o++) {
		assert_int_equal(
			cache_read(m->f.c, o, m->size[o], 0, SPACE, dst), 0);
		compare(dst, m->data[o], SPACE, o, 0);
	}
}

static void run(uint64_t seed, unsigned readahead)
{
	struct model *m = calloc(1, sizeof(*m));
	struct clock_source clock = {model_clock, model_real, m};
	struct cache_config cfg;

	print_message("seed=%llu readahead=%u\n", (unsigned long long)seed,
		      readahead);
	rnd_seed(seed);
	m->now_ns = 1;
	clock_replace(&clock);
	workq_inline(true);
	fix_init(&m->f, CHUNK);
	cfg = fix_config(&m->f);
	cfg.readahead_threads = readahead;
	cfg.readahead_chunks = readahead;
	assert_int_equal(cache_new(&cfg, &m->f.c), 0);
	for (unsigned i = 1; i <= STEPS; i++) {
		step(m);
		cache_check(m->f.c);
		if (i % 500 == 0) {
			settle(m);
			compare_all(m);
		}
	}
	fix_stop(&m->f);
	workq_inline(false);
	clock_replace(NULL);
	rnd_unseed();
	free(m);
}

static void random_operations(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++)
		run(seed, 0);
}

static void random_operations_with_readahead(void **state)
{
	(void)state;
	for (uint64_t seed = 101; seed <= 100 + SEEDS / 2; seed++)
		run(seed, 4);
}

/* With pieces still in flight: everything must be given back all the same. */
static void freed_in_the_middle(void **state)
{
	(void)state;
	for (uint64_t seed = 201; seed <= 204; seed++) {
		struct model *m = calloc(1, sizeof(*m));

		print_message("seed=%llu\n", (unsigned long long)seed);
		rnd_seed(seed);
		m->now_ns = 1;
		fix_start(&m->f);
		for (unsigned i = 0; i < 300; i++)
			step(m);
		for (unsigned i = 0; i < m->flights; i++)
			free(m->flight[i].bytes);
		fix_stop(&m->f);
		rnd_unseed();
		free(m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations),
		cmocka_unit_test(random_operations_with_readahead),
		cmocka_unit_test(freed_in_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
