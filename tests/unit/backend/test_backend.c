/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place at work: requests, waiting and deadlines, usage, the median. B1-B6
 * are the invariants on top of backend.c.
 */
#include "backend_kit.h"

/* ---- requests ---- */

static void test_put_get_remove(void **state)
{
	struct backend *b = *state;

	assert_int_equal(put(b, "d/a", "hello"), 0);
	assert_int_equal(put(b, "d/a", "other"), -EEXIST);
	expect_text(b, "d/a", "hello");
	assert_int_equal(put(b, "empty", ""), 0);
	expect_text(b, "empty", "");
	assert_int_equal(remove_rc(b, "d/a"), 0);
	assert_int_equal(remove_rc(b, "d/a"), -ENOENT);
	assert_int_equal(get_rc(b, "d/a"), -ENOENT);
	assert_int_equal(backend_get_state(b), BACKEND_UP);
}

static void test_content_is_counted_not_copied(void **state)
{
	struct backend *b = *state;
	struct buf *content = text_buf("x");
	struct bio *r = bio_new_put("a", content);

	assert_int_equal(atomic_load(&content->refs), 2);
	assert_int_equal(bio_run(b, r), 0);
	bio_unref(r);
	backend_close(b, LONG_MS); /* lanes have dropped theirs then */
	assert_int_equal(atomic_load(&content->refs), 1);
	buf_unref(content);
	assert_int_equal(backend_open(PLACE, LONG_MS, &b), 0);
	*state = b;
}

static void expect_range(struct backend *b, uint64_t off, size_t len,
			 bool direct)
{
	const size_t size = 3 * DRV_BLOCK + 100;
	AUTO_BIO struct bio *r = bio_new_get("r", off, len, direct);
	size_t want = off >= size ? 0 : MIN(len, size - off);

	assert_int_equal(bio_run(b, r), 0);
	assert_int_equal(bio_data(r)->len, want);
	for (size_t i = 0; i < want; i++)
		assert_int_equal(bio_data(r)->data[i],
				 (uint8_t)((off + i) * 31 >> 3));
}

static void test_get_any_range(void **state)
{
	static const uint64_t at[] = {0,    1,	   4095,  4096,	 4097,
				      8192, 12288, 12387, 12388, 20000};
	AUTO_BUF struct buf *c = buf_new(3 * DRV_BLOCK + 100);
	struct backend *b = *state;

	for (size_t i = 0; i < c->len; i++)
		c->data[i] = (uint8_t)(i * 31 >> 3);
	AUTO_BIO struct bio *r = bio_new_put("r", c);

	assert_int_equal(bio_run(b, r), 0);
	for (unsigned i = 0; i < ARRAY_LEN(at); i++) {
		for (unsigned k = 0; k < ARRAY_LEN(at); k++) {
			expect_range(b, at[i], at[k], false);
			expect_range(b, at[i], at[k], true);
		}
	}
}

static void test_get_beyond_all_numbers(void **state)
{
	struct backend *b = *state;
	AUTO_BIO struct bio *r = bio_new_get("a", UINT64_MAX, 10, true);
	AUTO_BIO struct bio *q = bio_new_get("a", 10, SIZE_MAX, false);

	assert_int_equal(put(b, "a", "x"), 0);
	assert_int_equal(bio_run(b, r), -EINVAL);
	assert_int_equal(bio_run(b, q), -EINVAL);
	assert_int_equal(backend_get_state(b), BACKEND_UP);
}

static void test_rename_and_lock(void **state)
{
	struct backend *b = *state;
	AUTO_BIO struct bio *r = bio_new_rename("a", "q/b");
	AUTO_BIO struct bio *l = bio_new_lock(true);
	AUTO_BIO struct bio *again = bio_new_lock(true);
	struct backend *other;

	assert_int_equal(put(b, "a", "moved"), 0);
	assert_int_equal(bio_run(b, r), 0);
	expect_text(b, "q/b", "moved");
	assert_int_equal(bio_run(b, l), 0);
	assert_int_equal(backend_open(PLACE, LONG_MS, &other), 0);
	assert_int_equal(bio_run(other, again), -ERR_IN_USE);
	assert_int_equal(backend_get_state(other), BACKEND_UP);
	backend_close(other, LONG_MS);
}

static void test_closing_drops_the_lock(void **state)
{
	AUTO_BIO struct bio *first = bio_new_lock(true);
	AUTO_BIO struct bio *second = bio_new_lock(true);
	struct backend *b = *state;

	assert_int_equal(bio_run(b, first), 0);
	backend_close(b, LONG_MS);
	assert_int_equal(backend_open(PLACE, LONG_MS, &b), 0);
	*state = b;
	assert_int_equal(bio_run(b, second), 0);
}

static void test_list(void **state)
{
	struct backend *b = *state;
	AUTO_BIO struct bio *none = bio_new_list("nothing");
	AUTO_BIO struct bio *r = bio_new_list("d");
	bool seen[200] = {false};
	uint64_t size;

	for (unsigned i = 0; i < ARRAY_LEN(seen); i++) {
		AUTO_FREE char *name = mem_printf("d/%u", i);

		assert_int_equal(put(b, name, "123"), 0);
	}
	assert_int_equal(bio_run(b, none), 0);
	assert_int_equal(bio_list_count(none), 0);
	assert_int_equal(bio_run(b, r), 0);
	assert_int_equal(bio_list_count(r), ARRAY_LEN(seen));
	for (unsigned i = 0; i < bio_list_count(r); i++) {
		unsigned n = 0;

		assert_int_equal(sscanf(bio_list_at(r, i, &size), "d/%u", &n),
				 1);
		assert_int_equal(size, 3);
		assert_false(seen[n]);
		seen[n] = true;
	}
}

static void test_failed_put_is_taken_back(void **state)
{
	struct backend *b = *state;

	add_rule(FAULT_ERROR, FAULT_OP_WRITE, "w");
	add_rule(FAULT_ERROR, FAULT_OP_SYNC, "s");
	assert_int_equal(put(b, "w", "x"), -EIO);
	assert_int_equal(get_rc(b, "w"), -ENOENT);
	assert_int_equal(put(b, "s", "x"), -EIO);
	assert_int_equal(get_rc(b, "s"), -ENOENT);
	assert_int_equal(put(b, "ok", "x"), 0);
}

static void test_no_request_is_no_memory(void **state)
{
	struct backend *b = *state;

	assert_int_equal(bio_submit(b, NULL), -ENOMEM);
	assert_int_equal(bio_run(b, NULL), -ENOMEM);
	assert_int_equal(bio_wait(NULL, 0), -ENOMEM);
	bio_unref(NULL);
	jfile_close(NULL);
	backend_close(NULL, 0);
}

static void test_location_and_path(void **state)
{
	assert_string_equal(backend_location(*state), PLACE);
	assert_string_equal(backend_path(*state), "backend-test");
}

/* ---- waiting ---- */

static void test_wait_some(void **state)
{
	struct backend *b = *state;
	struct bio *r[5] = {NULL};
	int rc;

	add_rule(FAULT_HANG, FAULT_OP_ALL, "hang");
	add_rule(FAULT_ERROR, FAULT_OP_ALL, "bad");
	r[0] = submitted(b, new_put("hang", "x"));
	r[1] = submitted(b, new_put("bad", "x"));
	r[3] = submitted(b, new_put("good1", "x"));
	r[4] = submitted(b, new_put("good2", "x"));
	assert_int_equal(bio_wait_some(r, 5, 2, in_ms(LONG_MS)), 2);
	assert_false(bio_done(r[0], &rc));
	assert_int_equal(bio_wait_some(r, 5, 3, in_ms(SHORT_MS)), 2);
	assert_true(bio_done(r[1], &rc));
	assert_int_equal(rc, -EIO);
	assert_int_equal(bio_wait_some(r + 1, 4, 9, in_ms(LONG_MS)), 2);
	fault_clear(PLACE);
	assert_int_equal(bio_wait_some(r, 5, 3, in_ms(LONG_MS)), 3);
	assert_int_equal(bio_wait_some(NULL, 0, 1, 0), 0);
	assert_int_equal(bio_wait_some(r, 5, 0, 0), 3);
	for (unsigned i = 0; i < 5; i++)
		bio_unref(r[i]);
}

static void test_timeout_leaves_it_behind(void **state)
{
	struct backend *b = *state;
	AUTO_BIO struct bio *r = NULL;
	int rc;

	add_rule(FAULT_HANG, FAULT_OP_WRITE, "a");
	r = submitted(b, new_put("a", "kept"));
	assert_int_equal(bio_wait(r, in_ms(SHORT_MS)), -ETIMEDOUT);
	assert_false(bio_done(r, &rc));
	assert_int_equal(backend_get_state(b), BACKEND_SUSPECT);
	assert_int_equal(put(b, "b", "x"), 0);
	fault_clear(PLACE);
	assert_int_equal(bio_wait(r, in_ms(LONG_MS)), 0);
	expect_text(b, "a", "kept");
}

static void test_owner_may_leave_first(void **state)
{
	struct backend *b = *state;
	struct bio *r;

	add_rule(FAULT_HANG, FAULT_OP_WRITE, "a");
	r = submitted(b, new_put("a", "kept"));
	assert_int_equal(bio_wait(r, in_ms(SHORT_MS)), -ETIMEDOUT);
	bio_unref(r);
	fault_clear(PLACE);
	backend_close(b, LONG_MS);
	assert_int_equal(backend_open(PLACE, LONG_MS, &b), 0);
	*state = b;
	expect_text(b, "a", "kept");
}

static void test_given_up_in_queue_never_runs(void **state) /* B4 */
{
	struct backend *b = *state;
	AUTO_BIO struct bio *late = NULL;
	struct bio *hung[BACKEND_LANES - 1];
	int rc;

	add_rule(FAULT_HANG, FAULT_OP_READ, "h");
	assert_int_equal(put(b, "h", "x"), 0);
	for (unsigned i = 0; i < ARRAY_LEN(hung); i++)
		hung[i] = submitted(b, bio_new_get("h", 0, 1, false));
	wait_hits(ARRAY_LEN(hung));
	late = submitted(b, new_put("late", "x"));
	assert_int_equal(bio_wait(late, in_ms(SHORT_MS)), -ETIMEDOUT);
	assert_true(bio_done(late, &rc));
	assert_int_equal(rc, -ETIMEDOUT);
	fault_clear(PLACE);
	for (unsigned i = 0; i < ARRAY_LEN(hung); i++) {
		assert_int_equal(bio_wait(hung[i], in_ms(LONG_MS)), 0);
		bio_unref(hung[i]);
	}
	assert_int_equal(get_rc(b, "late"), -ENOENT);
}

struct waiters {
	struct bio *r;
	atomic_uint ok;
};

static void wait_for_it(void *arg)
{
	struct waiters *w = arg;

	if (bio_wait(w->r, in_ms(LONG_MS)) == 0)
		atomic_fetch_add(&w->ok, 1);
}

static void test_many_wait_for_one(void **state)
{
	struct backend *b = *state;
	struct waiters w = {0};
	struct workq *q;

	add_rule(FAULT_HANG, FAULT_OP_WRITE, "a");
	w.r = submitted(b, new_put("a", "x"));
	assert_int_equal(workq_new("waiters", 16, &q), 0);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(workq_submit(q, wait_for_it, &w), 0);
	fault_clear(PLACE);
	workq_free(q);
	assert_int_equal(atomic_load(&w.ok), 16);
	bio_unref(w.r);
}

/* ---- usage, median, counters ---- */

static void test_usage_never_blocks(void **state)
{
	struct backend *b = *state;
	struct drv_usage u;

	add_rule(FAULT_HANG, FAULT_OP_USAGE, "");
	backend_usage(b, &u);
	assert_int_equal(u.total_bytes, 0);
	wait_hits(1);
	backend_usage(b, &u);
	backend_usage(b, &u);
	assert_int_equal(u.total_bytes, 0);
	assert_int_equal(fault_hits(PLACE), 1); /* one refresh at a time */
	fault_clear(PLACE);
	assert_int_equal(backend_probe(b, LONG_MS), 0);
	backend_usage(b, &u);
	assert_true(u.total_bytes > 0);
}

static void test_usage_request_is_fresh(void **state)
{
	struct backend *b = *state;
	AUTO_BIO struct bio *r = bio_new_usage();

	assert_int_equal(bio_run(b, r), 0);
	assert_true(bio_usage(r)->total_bytes > 0);
}

static void test_median(void **state)
{
	struct backend *b = *state;
	struct fault_rule slow = {.kind = FAULT_DELAY,
				  .ops = FAULT_OP_OPEN,
				  .prefix = "slow",
				  .ms = 20};

	assert_int_equal(backend_median_ms(b), 0);
	assert_int_equal(get_rc(b, "x"), -ENOENT);
	assert_true(backend_median_ms(b) >= 1);
	assert_int_equal(fault_add(PLACE, &slow), 0);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(get_rc(b, "slow"), -ENOENT);
	assert_true(backend_median_ms(b) >= 20);
}

static void test_stats(void **state)
{
	struct backend *b = *state;
	struct driver_stats s;

	assert_int_equal(put(b, "a", "12345"), 0);
	backend_get_stats(b, &s);
	assert_int_equal(s.written_bytes, 5);
	assert_int_equal(s.syncs, 1);
	assert_true(s.calls >= 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_put_get_remove),
		CASE(test_content_is_counted_not_copied),
		CASE(test_get_any_range),
		CASE(test_get_beyond_all_numbers),
		CASE(test_rename_and_lock),
		CASE(test_closing_drops_the_lock),
		CASE(test_list),
		CASE(test_failed_put_is_taken_back),
		CASE(test_no_request_is_no_memory),
		CASE(test_location_and_path),
		CASE(test_wait_some),
		CASE(test_timeout_leaves_it_behind),
		CASE(test_owner_may_leave_first),
		CASE(test_given_up_in_queue_never_runs),
		CASE(test_many_wait_for_one),
		CASE(test_usage_never_blocks),
		CASE(test_usage_request_is_fresh),
		CASE(test_median),
		CASE(test_stats),
	};

	return RUN_CASES(tests);
}
