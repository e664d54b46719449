/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store used by many threads at once, while members misbehave.
 */
#include "unit/backend/store_fixture.h"

#define CHUNK	(32u << 10)
#define CHUNKS	12
#define WORKERS 4
#define ROUNDS	12

/* cmocka's assertions belong to the main thread: the others count. */
struct worker {
	struct fixture *f;
	const struct sample *shared; /* read by all */
	unsigned seed;
	unsigned wrong_data;
	unsigned write_errors;
	unsigned read_errors;
};

static void read_one(struct worker *w, const struct seg_desc *d,
		     const struct chunk_ref *ref, unsigned i)
{
	uint8_t plain[CHUNK], want[CHUNK];
	int rc = store_read_chunk(w->f->store, d, SAMPLE_DATA_ID,
				  (uint64_t)i * CHUNK, ref, plain);

	sample_fill(i, CHUNK, want);
	if (rc)
		w->read_errors++;
	else if (memcmp(plain, want, CHUNK) != 0)
		w->wrong_data++;
}

static int fill(struct seg_build *b, struct chunk_ref *ref)
{
	uint8_t plain[CHUNK];
	int rc = 0;

	for (unsigned i = 0; i < CHUNKS && rc == 0; i++) {
		sample_fill(i, CHUNK, plain);
		rc = seg_build_add(b, SAMPLE_DATA_ID, (uint64_t)i * CHUNK,
				   plain, CHUNK, 1, &ref[i]);
	}
	return rc;
}

static void round_trip(struct worker *w, unsigned round)
{
	struct seg_id id = {w->seed * 1000 + round};
	struct chunk_ref ref[CHUNKS];
	enum frag_state now[EC_TOTAL_MAX];
	struct seg_context cx;
	struct seg_build *b;
	struct seg_desc d;
	int rc;

	pool_seg_context(&w->f->pool, &cx);
	if (seg_build_new(&cx, SEG_DATA, id, CHUNKS * CHUNK, NULL, &b)) {
		w->write_errors++;
		return;
	}
	rc = fill(b, ref);
	if (rc == 0)
		rc = store_write(w->f->store, b, &d);
	seg_build_free(b);
	if (rc) {
		w->write_errors++;
		return;
	}
	for (unsigned i = 0; i < CHUNKS; i++) {
		read_one(w, &d, &ref[i], i);
		read_one(w, &w->shared->d, &w->shared->ref[i], i);
	}
	(void)store_check(w->f->store, &d, round & 1, now);
	w->write_errors += store_remove(w->f->store, &d) == -ENOMEM;
}

static void work(void *arg)
{
	struct worker *w = arg;

	for (unsigned round = 0; round < ROUNDS; round++)
		round_trip(w, round);
}

static void run_workers(struct fixture *f, const struct sample *shared,
			void (*meanwhile)(struct fixture *f, unsigned step),
			unsigned steps)
{
	struct worker w[WORKERS];
	struct workq *q;

	assert_int_equal(workq_new("test", WORKERS, &q), 0);
	for (unsigned i = 0; i < WORKERS; i++) {
		w[i] = (struct worker){.f = f, .shared = shared, .seed = i + 1};
		assert_int_equal(workq_submit(q, work, &w[i]), 0);
	}
	for (unsigned s = 0; s < steps; s++)
		meanwhile(f, s);
	workq_drain(q);
	workq_free(q);
	for (unsigned i = 0; i < WORKERS; i++) {
		assert_int_equal(w[i].wrong_data, 0);
		assert_int_equal(w[i].write_errors, 0);
		assert_int_equal(w[i].read_errors, 0);
	}
}

static void nothing(struct fixture *f, unsigned step)
{
	(void)f;
	(void)step;
}

static void many_threads_write_and_read(void **state)
{
	struct fixture *f = fixture_new(6, 3, 2);
	struct sample *s = sample_written(f, CHUNKS, CHUNK);
	struct store_stats st;

	(void)state;
	run_workers(f, s, nothing, 0);
	store_get_stats(f->store, &st);
	assert_int_equal(st.segments_written, 1 + WORKERS * ROUNDS);
	assert_int_equal(st.chunks_read, 2 * WORKERS * ROUNDS * CHUNKS);
	sample_free(s);
	fixture_free(f);
}

/* Never more than m members at a time, and never out of service for long. */
static void trouble(struct fixture *f, unsigned step)
{
	static const enum fault_kind kind[] = {FAULT_BITROT, FAULT_DELAY,
					       FAULT_ERROR, FAULT_FULL};
	unsigned slot = step % 2;
	struct fault_rule rule = {.kind = kind[step % ARRAY_LEN(kind)],
				  .ops = FAULT_OP_ALL,
				  .prefix = "data/",
				  .times = 3,
				  .err = EIO,
				  .ms = 2};

	assert_int_equal(fault_add(f->loc[slot], &rule), 0);
	(void)backend_probe(f->pool.member[slot].backend, 1000);
	if (step % 8 == 7)
		fault_clear(f->loc[slot]);
}

static void many_threads_in_trouble(void **state)
{
	struct fixture *f = fixture_new(7, 3, 2);
	struct sample *s = sample_written(f, CHUNKS, CHUNK);

	(void)state;
	frag_flip(f, &s->d, 0, FRAG_HEADER + 5);
	run_workers(f, s, trouble, 200);
	sample_free(s);
	fixture_free(f);
}

static void a_store_without_memory_is_not_made(void **state)
{
	struct fixture *f = fixture_new(3, 2, 1);
	struct store *s;
	int rc;

	(void)state;
	workq_inline(true);
	for (unsigned i = 1; i < 3; i++) {
		mem_fail_at(i, 1);
		rc = store_new(&f->pool, &s);
		mem_fail_at(0, 0);
		assert_int_equal(rc, -ENOMEM);
	}
	workq_inline(false);
	store_free(NULL);
	fixture_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_threads_write_and_read),
		cmocka_unit_test(many_threads_in_trouble),
		cmocka_unit_test(a_store_without_memory_is_not_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
