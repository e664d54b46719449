/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing with hung lanes, inline mode, no memory, many threads.
 */
#include "backend_kit.h"

/* ---- opening and closing ---- */

static void test_open_errors(void **state)
{
	struct backend *b;

	(void)state;
	assert_int_equal(backend_open("dir:/none/at/all", LONG_MS, &b),
			 -ENOENT);
	assert_int_equal(backend_open("tape:x", LONG_MS, &b), -EINVAL);
}

static void test_open_does_not_wait_for_ever(void **state)
{
	struct backend *b = NULL;

	(void)state;
	add_rule(FAULT_HANG, FAULT_OP_ATTACH, "");
	assert_int_equal(backend_open(PLACE, SHORT_MS, &b), -ETIMEDOUT);
	assert_int_equal(backend_open(PLACE, 0, &b), -ETIMEDOUT);
	fault_clear(PLACE); /* the lane left behind detaches what it got */
	assert_int_equal(backend_open(PLACE, LONG_MS, &b), 0);
	backend_close(b, LONG_MS);
}

static void test_close_runs_what_is_queued(void **state)
{
	struct backend *b = *state;
	struct bio *r[20];

	for (unsigned i = 0; i < ARRAY_LEN(r); i++) {
		AUTO_FREE char *name = mem_printf("q/%u", i);

		r[i] = submitted(b, new_put(name, "x"));
	}
	backend_close(b, LONG_MS);
	for (unsigned i = 0; i < ARRAY_LEN(r); i++) {
		assert_int_equal(bio_wait(r[i], 0), 0);
		bio_unref(r[i]);
	}
	assert_int_equal(backend_open(PLACE, LONG_MS, &b), 0);
	*state = b;
}

/* How many drivers hold the memory store: it goes with the last of them. */
static bool store_is_empty(void)
{
	struct drv_file *f = NULL;
	struct driver *d;
	int rc;

	assert_int_equal(driver_attach("mem:backend-test", &d), 0);
	rc = driver_open(d, "mark", DRV_READ, &f);
	driver_close(f);
	driver_detach(d);
	return rc == -ENOENT;
}

static void test_close_with_a_hung_lane(void **state)
{
	struct backend *b = *state;
	struct jfile *f = jopen(b, "j", 2 * DRV_BLOCK);
	uint64_t end = patience_deadline();
	struct bio *hung, *queued, *jw[2];
	struct timespec nap = {.tv_nsec = 200000};

	assert_int_equal(put(b, "mark", "x"), 0);
	add_rule(FAULT_HANG, FAULT_OP_WRITE, "");
	hung = submitted(b, new_put("h", "x"));
	jw[0] = submitted(b, new_jwrite(f, 1, 0));
	wait_hits(2);
	jw[1] = submitted(b, new_jwrite(f, 2, 1));
	queued = submitted(b, bio_new_get("mark", 0, 1, false));
	backend_close(b, SHORT_MS);
	assert_int_equal(bio_wait(queued, in_ms(LONG_MS)), 0);
	assert_int_equal(bio_wait(jw[1], in_ms(LONG_MS)), -ERR_STOPPED);
	assert_int_equal(bio_wait(hung, in_ms(SHORT_MS)), -ETIMEDOUT);
	assert_int_equal(bio_wait(jw[0], in_ms(SHORT_MS)), -ETIMEDOUT);

	mem_driver_forget("backend-test"); /* once the lanes have detached */
	assert_false(store_is_empty());
	fault_clear(PLACE);
	assert_int_equal(bio_wait(hung, in_ms(LONG_MS)), 0);
	while (!store_is_empty()) {
		assert_true(clock_mono_ns() < end);
		nanosleep(&nap, NULL);
	}
	jfile_close(f); /* after its backend */
	bio_unref(hung);
	bio_unref(queued);
	bio_unref(jw[0]);
	bio_unref(jw[1]);
	assert_int_equal(backend_open(PLACE, LONG_MS, &b), 0);
	*state = b;
}

static void test_double_submit_aborts_body(void)
{
	struct bio *r = bio_new_usage();
	struct backend *b;

	workq_inline(true);
	if (backend_open("mem:twice", 0, &b) == 0) {
		(void)bio_submit(b, r);
		(void)bio_submit(b, r);
	}
}
static void wait_unsubmitted(void)
{
	(void)bio_wait(bio_new_usage(), 1);
}
static void result_of_nothing(void)
{
	(void)bio_usage(bio_new_usage());
}

static void test_programmers_errors_abort(void **state)
{
	(void)state;
	assert_true(aborts(test_double_submit_aborts_body));
	assert_true(aborts(wait_unsubmitted));
	assert_true(aborts(result_of_nothing));
}

/* ---- inline mode ---- */

static void test_inline_mode(void **state)
{
	struct drv_usage u;
	struct backend *b;
	struct jfile *f;

	(void)state;
	workq_inline(true);
	assert_int_equal(backend_open("mem:inline", 0, &b), 0);
	assert_int_equal(put(b, "a", "x"), 0);
	expect_text(b, "a", "x");
	backend_usage(b, &u);
	assert_true(u.total_bytes > 0);
	f = jopen(b, "j", 2 * DRV_BLOCK);
	assert_int_equal(jwrite(b, f, 1, 0), 0);
	assert_int_equal(jwrite(b, f, 1, 1), 0);
	jfile_close(f);
	f = jopen(b, "j", 0);
	backend_close(b, 0);
	jfile_close(f);
	workq_inline(false);
	mem_driver_forget("inline");
}

/* ---- no memory, no descriptors ---- */

static int script(void)
{
	AUTO_BIO struct bio *p = NULL, *g = NULL, *l = NULL, *j = NULL;
	AUTO_BUF struct buf *content = buf_new(5);
	struct backend *b = NULL;
	int rc = content ? backend_open("mem:script", 0, &b) : -ENOMEM;

	if (rc != 0)
		return rc;
	p = bio_new_put("d/a", content);
	rc = bio_run(b, p);
	g = bio_new_get("d/a", 0, 5, false);
	rc = rc ? rc : bio_run(b, g);
	l = bio_new_list("d");
	rc = rc ? rc : bio_run(b, l);
	j = bio_new_jopen("j", DRV_BLOCK);
	rc = rc ? rc : bio_run(b, j);
	backend_close(b, 0);
	return rc;
}

/* Inline, so that the i-th allocation is always the same one. */
static void test_any_allocation_may_fail(void **state)
{
	unsigned failed = 0;
	uint64_t count;
	unsigned i = 0;

	(void)state;
	workq_inline(true);
	do {
		int rc;

		mem_fail_at(++i, 0);
		rc = script();
		count = mem_count();
		mem_fail_at(0, 0);
		assert_true(rc == 0 || rc == -ENOMEM);
		failed += rc != 0;
		mem_driver_forget("script");
	} while (count >= i);
	workq_inline(false);
	assert_true(failed > 10);
}

static void test_open_without_memory(void **state)
{
	unsigned failed = 0;

	(void)state;
	for (unsigned i = 1; i < 40; i++) {
		struct backend *b = NULL;
		int rc;

		mem_fail_at(i, 0);
		rc = backend_open("mem:few", LONG_MS, &b);
		mem_fail_at(0, 0);
		assert_true(rc == 0 || rc == -ENOMEM);
		failed += rc != 0;
		if (rc == 0)
			backend_close(b, LONG_MS);
	}
	assert_true(failed > 5);
	mem_driver_forget("few");
}

/* ---- a crowd ---- */

struct crowd {
	struct backend *b;
	struct jfile *f;
	atomic_uint next;
	atomic_uint ill;
};

static void crowd_member(void *arg)
{
	struct crowd *c = arg;
	unsigned me = atomic_fetch_add(&c->next, 1);

	for (unsigned i = 0; i < 25; i++) {
		AUTO_FREE char *name = mem_printf("c/%u-%u", me, i);
		AUTO_BUF struct buf *text = buf_new(1);
		AUTO_BIO struct bio *p = bio_new_put(name, text);
		AUTO_BIO struct bio *j = new_jwrite(c->f, (uint8_t)me, me);
		struct bio *both[2] = {p, j};
		struct drv_usage u;

		text->data[0] = (uint8_t)me;
		if (bio_submit(c->b, p) != 0 || bio_submit(c->b, j) != 0 ||
		    bio_wait_some(both, 2, 2, 0) != 2)
			atomic_fetch_add(&c->ill, 1);
		backend_usage(c->b, &u);
		(void)backend_median_ms(c->b);
		if (get_rc(c->b, name) != 0 || remove_rc(c->b, name) != 0)
			atomic_fetch_add(&c->ill, 1);
	}
}

static void test_many_threads(void **state)
{
	struct crowd c = {.b = *state};
	struct workq *q;

	c.f = jopen(c.b, "j", 8 * DRV_BLOCK);
	assert_int_equal(workq_new("crowd", 8, &q), 0);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(workq_submit(q, crowd_member, &c), 0);
	workq_free(q);
	assert_int_equal(atomic_load(&c.ill), 0);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(byte_at(c.b, "j", i), i);
	jfile_close(c.f);
	assert_int_equal(backend_get_state(c.b), BACKEND_UP);
}

/* Time-outs race with the ends of their requests. */
static void hasty_member(void *arg)
{
	struct crowd *c = arg;
	unsigned me = atomic_fetch_add(&c->next, 1);

	for (unsigned i = 0; i < 100; i++) {
		AUTO_BIO struct bio *r = bio_new_get("a", 0, 1, false);
		int rc = bio_submit(c->b, r);

		if (rc == 0)
			rc = bio_wait(r, clock_mono_ns() + me * 3000);
		if (rc != 0 && rc != -ETIMEDOUT && rc != -ERR_BACKEND_DOWN)
			atomic_fetch_add(&c->ill, 1);
		if (rc == -ERR_BACKEND_DOWN)
			(void)backend_probe(c->b, LONG_MS);
	}
}

static void test_hasty_threads(void **state)
{
	struct crowd c = {.b = *state};
	struct workq *q;

	log_set_level(LOG_LVL_ERROR);
	assert_int_equal(put(c.b, "a", "x"), 0);
	assert_int_equal(workq_new("crowd", 8, &q), 0);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(workq_submit(q, hasty_member, &c), 0);
	workq_free(q);
	assert_int_equal(atomic_load(&c.ill), 0);
	log_set_level(LOG_LVL_WARN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_close_runs_what_is_queued),
		CASE(test_close_with_a_hung_lane),
		CASE(test_many_threads),
		CASE(test_hasty_threads),
		cmocka_unit_test(test_open_errors),
		cmocka_unit_test(test_open_does_not_wait_for_ever),
		cmocka_unit_test(test_programmers_errors_abort),
		cmocka_unit_test(test_inline_mode),
		cmocka_unit_test(test_any_allocation_may_fail),
		cmocka_unit_test(test_open_without_memory),
	};

	return RUN_CASES(tests);
}
