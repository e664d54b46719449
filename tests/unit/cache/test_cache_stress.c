/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writers, readers, write-back that fails at times, fsync, eviction and
 * readahead on threads at once, every byte verified.
 *
 * Objects consist of blocks; every block carries its name and a version, or
 * is zero. A writer announces a version before it writes it and again when it
 * has. What is read must be a version between what was finished before the read
 * and what was announced after it, and whole: a copy excludes a write.
 */
#include <stdatomic.h>

#include "unit/cache/cache_fixture.h"

#define OBJECTS	   4
#define SHARED	   3 /* this one has two writers and keeps its size */
#define BLOCK	   512u
#define OBJ_BYTES  (8 * CHUNK)
#define BLOCKS	   (OBJ_BYTES / BLOCK)
#define PER_CHUNK  (CHUNK / BLOCK)
#define REMEMBERED 256

#ifdef __SANITIZE_THREAD__
#define ROUNDS 3000
#else
#define ROUNDS 15000
#endif

struct block {
	atomic_uint begun;
	atomic_uint done;
	atomic_uchar zero[REMEMBERED]; /* was that version zeros? */
};

struct stress {
	struct fixture f;
	struct block block[OBJECTS][BLOCKS];
	atomic_uint stop;
	atomic_uint fsyncs;
	atomic_uint reads;
};

struct actor {
	struct stress *s;
	uint64_t obj;
	unsigned first; /* SHARED: blocks of this parity */
	uint64_t size;
	uint64_t rnd;
};

/* Each thread its own numbers: the shared source would order the threads. */
static unsigned draw(struct actor *a, unsigned below)
{
	a->rnd = a->rnd * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned)((a->rnd >> 33) % below);
}

static uint64_t word_of(uint64_t obj, unsigned block, unsigned version)
{
	return (obj + 1) << 56 | (uint64_t)block << 32 | version;
}

static unsigned begin(struct stress *s, uint64_t obj, unsigned b, bool zero)
{
	struct block *k = &s->block[obj][b];
	unsigned version = atomic_load(&k->done) + 1;

	atomic_store(&k->zero[version % REMEMBERED], zero);
	atomic_store(&k->begun, version);
	return version;
}

static void end(struct stress *s, uint64_t obj, unsigned b)
{
	atomic_fetch_add(&s->block[obj][b].done, 1);
}

static void write_blocks(struct actor *a, unsigned b, unsigned n)
{
	static __thread uint64_t src[OBJ_BYTES / 8];
	struct stress *s = a->s;
	size_t done;

	for (unsigned i = 0; i < n; i++) {
		unsigned version = begin(s, a->obj, b + i, false);

		for (unsigned w = 0; w < BLOCK / 8; w++)
			src[i * BLOCK / 8 + w] =
				word_of(a->obj, b + i, version);
	}
	MUST(cache_write(s->f.c, a->obj, a->size, b * BLOCK, src, n * BLOCK,
			 &done) == 0);
	MUST(done == n * BLOCK);
	a->size = MAX(a->size, (b + n) * BLOCK);
	for (unsigned i = 0; i < n; i++)
		end(s, a->obj, b + i);
}

enum erasing {
	TRUNCATE,
	ZERO,
	DISCARD
};

/* The index and the cache change as one, as they must for the owner. */
static void erase_locked(struct actor *a, enum erasing how, uint64_t off,
			 uint64_t len)
{
	struct fixture *f = &a->s->f;

	MUTEX_GUARD(&f->mu);
	if (how == ZERO) {
		fix_store_zero(f, a->obj, off, len);
		cache_zero(f->c, a->obj, off, len);
		return;
	}
	fix_store_truncate(f, a->obj, off);
	if (how == TRUNCATE)
		cache_truncate(f->c, a->obj, off);
	else
		cache_discard(f->c, a->obj);
}

static void erase(struct actor *a, enum erasing how, unsigned b, unsigned n)
{
	for (unsigned i = b; i < b + n; i++)
		begin(a->s, a->obj, i, true);
	erase_locked(a, how, b * BLOCK, n * BLOCK);
	if (how != ZERO)
		a->size = MIN(a->size, b * BLOCK);
	for (unsigned i = b; i < b + n; i++)
		end(a->s, a->obj, i);
}

static unsigned some_count(struct actor *a, unsigned most)
{
	unsigned n = draw(a, 4) ? 4 : 3 * PER_CHUNK;

	return 1 + draw(a, MIN(n, most));
}

static void run_writer(void *arg)
{
	struct actor *a = arg;

	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned b = draw(a, BLOCKS), dice = draw(a, 100);

		if (a->obj == SHARED)
			write_blocks(a, b / 2 * 2 + a->first, 1);
		else if (dice < 90)
			write_blocks(a, b, some_count(a, BLOCKS - b));
		else if (dice < 94)
			erase(a, TRUNCATE, b, BLOCKS - b);
		else if (dice < 99)
			erase(a, ZERO, b, some_count(a, BLOCKS - b));
		else
			erase(a, DISCARD, 0, BLOCKS);
		if (draw(a, 50) == 0)
			cache_throttle(a->s->f.c, clock_mono_ns() + 1000000);
	}
}

/* Some version in [lo, hi] was zeros? One too old to know may have been. */
static bool zero_allowed(struct block *k, unsigned lo, unsigned hi)
{
	if (lo == 0 || hi - lo >= REMEMBERED / 2)
		return true;
	for (unsigned v = lo; v <= hi; v++) {
		if (atomic_load(&k->zero[v % REMEMBERED]))
			return true;
	}
	return false;
}

static void check_block(struct stress *s, uint64_t obj, unsigned b,
			const uint64_t *got, unsigned lo)
{
	struct block *k = &s->block[obj][b];
	unsigned hi = atomic_load(&k->begun);
	unsigned version = (unsigned)got[0];

	for (unsigned w = 1; w < BLOCK / 8; w++)
		MUST(got[w] == got[0]);
	if (!got[0]) {
		MUST(zero_allowed(k, lo, hi));
		return;
	}
	MUST(got[0] == word_of(obj, b, version));
	MUST(version >= lo && version <= hi);
}

static void read_blocks(struct actor *a, uint64_t obj, unsigned b, unsigned n)
{
	static __thread uint64_t dst[OBJ_BYTES / 8];
	unsigned lo[BLOCKS];

	for (unsigned i = 0; i < n; i++)
		lo[i] = atomic_load(&a->s->block[obj][b + i].done);
	MUST(cache_read(a->s->f.c, obj, OBJ_BYTES, b * BLOCK, n * BLOCK, dst) ==
	     0);
	for (unsigned i = 0; i < n; i++)
		check_block(a->s, obj, b + i, dst + i * BLOCK / 8, lo[i]);
	atomic_fetch_add(&a->s->reads, 1);
}

static void run_reader(void *arg)
{
	struct actor *a = arg;

	while (!atomic_load(&a->s->stop)) {
		unsigned b = draw(a, BLOCKS);

		read_blocks(a, draw(a, OBJECTS), b, some_count(a, BLOCKS - b));
	}
}

/* One collection; some pieces fail, some are left out for no reason. */
static void write_back(struct actor *a, uint64_t obj, unsigned odds)
{
	static __thread uint8_t bytes[CHUNK];
	struct fixture *f = &a->s->f;
	struct cache_piece p[16];
	unsigned n = cache_collect(f->c, obj, UINT64_MAX, 4 * CHUNK, p, 16);

	for (unsigned i = 0; i < n; i++) {
		int rc = cache_copy(f->c, &p[i], bytes);

		if (!rc && odds && draw(a, odds) == 0)
			rc = -EIO;
		mutex_lock(&f->mu);
		if (!rc)
			rc = fix_store_piece(f, &p[i], bytes);
		mutex_unlock(&f->mu);
		cache_complete(f->c, &p[i], 1, rc);
	}
}

static void run_flusher(void *arg)
{
	struct actor *a = arg;

	while (!atomic_load(&a->s->stop)) {
		if (draw(a, 2))
			write_back(a, CACHE_ANY, 8);
		else
			write_back(a, draw(a, OBJECTS), 8);
	}
}

/* What was finished before an fsync is in the store after it. */
static void check_stored(struct stress *s, uint64_t obj, const unsigned *lo)
{
	static __thread uint64_t all[OBJ_BYTES / 8];
	size_t size;

	memset(all, 0, sizeof(all));
	mutex_lock(&s->f.mu);
	size = MIN(s->f.obj[obj].size, OBJ_BYTES);
	if (size)
		memcpy(all, s->f.obj[obj].data, size);
	mutex_unlock(&s->f.mu);
	for (unsigned b = 0; b < BLOCKS; b++)
		check_block(s, obj, b, all + b * BLOCK / 8, lo[b]);
}

static void fsync_object(struct actor *a, uint64_t obj)
{
	unsigned lo[BLOCKS];
	uint64_t now;

	for (unsigned b = 0; b < BLOCKS; b++)
		lo[b] = atomic_load(&a->s->block[obj][b].done);
	now = clock_mono_ns();
	while (!cache_stored(a->s->f.c, obj, now)) {
		write_back(a, obj, 0);
		cache_wait_written(a->s->f.c, obj);
	}
	check_stored(a->s, obj, lo);
	atomic_fetch_add(&a->s->fsyncs, 1);
}

static void run_fsync(void *arg)
{
	struct actor *a = arg;

	while (!atomic_load(&a->s->stop))
		fsync_object(a, draw(a, OBJECTS));
}

/* Evicts, drops, and looks whether everything is in order. */
static void run_nuisance(void *arg)
{
	struct actor *a = arg;
	struct fixture *f = &a->s->f;
	uint8_t byte;

	while (!atomic_load(&a->s->stop)) {
		uint64_t off = draw(a, 2 * BUDGET);

		MUST(cache_read(f->c, FIX_ENDLESS, UINT64_MAX, off, 1, &byte) ==
		     0);
		MUST(byte == fix_pattern(FIX_ENDLESS, off));
		if (draw(a, 20) == 0)
			cache_drop_clean(f->c, draw(a, OBJECTS));
		if (draw(a, 100) == 0)
			cache_drop_clean(f->c, CACHE_ANY);
		if (draw(a, 20) == 0)
			cache_check(f->c);
		MUST(fix_stats(f).bytes <= BUDGET);
	}
}

static void start(struct stress *s)
{
	struct cache_config cfg;

	fix_init(&s->f, CHUNK);
	cfg = fix_config(&s->f);
	cfg.dirty_limit_bytes = 12 * CHUNK;
	cfg.readahead_threads = 2;
	cfg.readahead_chunks = 4;
	assert_int_equal(cache_new(&cfg, &s->f.c), 0);
	fix_store_reserve(&s->f, SHARED, OBJ_BYTES);
	s->f.obj[SHARED].size = OBJ_BYTES;
}

static void run_all(struct stress *s, struct workq *writers,
		    struct workq *others)
{
	struct actor actor[10];
	void (*const other[])(void *) = {run_reader,  run_reader, run_flusher,
					 run_flusher, run_fsync,  run_nuisance};

	for (unsigned i = 0; i < ARRAY_LEN(actor); i++)
		actor[i] = (struct actor){.s = s, .rnd = 77 + i};
	for (unsigned i = 0; i < ARRAY_LEN(other); i++)
		assert_int_equal(workq_submit(others, other[i], &actor[i]), 0);
	for (unsigned i = 6; i < 10; i++) {
		actor[i].obj = i == 9 ? SHARED : i - 6;
		if (actor[i].obj == 2)
			actor[i].obj = SHARED;
		actor[i].first = i == 9;
		actor[i].size = actor[i].obj == SHARED ? OBJ_BYTES : 0;
		assert_int_equal(workq_submit(writers, run_writer, &actor[i]),
				 0);
	}
	workq_drain(writers);
	atomic_store(&s->stop, 1);
	workq_drain(others);
}

static void everything_at_once(void **state)
{
	struct stress *s = calloc(1, sizeof(*s));
	struct workq *writers, *others;
	struct actor last = {.s = s, .rnd = 1};

	(void)state;
	start(s);
	assert_int_equal(workq_new("writers", 4, &writers), 0);
	assert_int_equal(workq_new("others", 6, &others), 0);
	run_all(s, writers, others);
	for (uint64_t o = 0; o < OBJECTS; o++) {
		fsync_object(&last, o);
		read_blocks(&last, o, 0, BLOCKS);
	}
	cache_check(s->f.c);
	assert_int_equal(cache_dirty_bytes(s->f.c, CACHE_ANY), 0);
	assert_false(cache_failed(s->f.c, CACHE_ANY));
	cache_drop_clean(s->f.c, CACHE_ANY);
	for (uint64_t o = 0; o < OBJECTS; o++)
		read_blocks(&last, o, 0, BLOCKS);
	print_message("reads=%u fsyncs=%u failed=%llu readahead=%llu\n",
		      atomic_load(&s->reads), atomic_load(&s->fsyncs),
		      (unsigned long long)fix_stats(&s->f).failed,
		      (unsigned long long)fix_stats(&s->f).readahead);
	workq_free(others);
	workq_free(writers);
	fix_stop(&s->f);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
