/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UP, SUSPECT, DOWN: what brings a place from one to the other.
 */
#include "backend_kit.h"

/* ---- the breaker ---- */

static void bring_down(struct backend *b)
{
	add_rule(FAULT_ERROR, FAULT_OP_OPEN, "ill");
	for (unsigned i = 0; i < BACKEND_STRIKES; i++)
		assert_int_equal(get_rc(b, "ill"), -EIO);
	assert_int_equal(backend_get_state(b), BACKEND_DOWN);
}

static void test_failures_in_a_row(void **state)
{
	struct backend *b = *state;

	assert_int_equal(put(b, "ok", "x"), 0);
	add_rule(FAULT_ERROR, FAULT_OP_OPEN, "ill");
	assert_int_equal(backend_get_state(b), BACKEND_UP);
	assert_int_equal(get_rc(b, "ill"), -EIO);
	assert_int_equal(backend_get_state(b), BACKEND_SUSPECT);
	assert_int_equal(get_rc(b, "ill"), -EIO);
	assert_int_equal(get_rc(b, "ok"), 0); /* breaks the row */
	assert_int_equal(get_rc(b, "ill"), -EIO);
	assert_int_equal(get_rc(b, "ill"), -EIO);
	assert_int_equal(backend_get_state(b), BACKEND_SUSPECT);
	assert_int_equal(get_rc(b, "ill"), -EIO);
	assert_int_equal(backend_get_state(b), BACKEND_DOWN);
	assert_int_equal(get_rc(b, "ok"), -ERR_BACKEND_DOWN);
}

static void test_suspect_comes_back(void **state)
{
	struct backend *b = *state;

	assert_int_equal(put(b, "ok", "x"), 0);
	add_rule(FAULT_ERROR, FAULT_OP_OPEN, "ill");
	assert_int_equal(get_rc(b, "ill"), -EIO);
	assert_int_equal(get_rc(b, "ok"), 0);
	assert_int_equal(backend_get_state(b), BACKEND_SUSPECT);
	assert_int_equal(get_rc(b, "ok"), 0);
	assert_int_equal(get_rc(b, "ok"), 0);
	assert_int_equal(backend_get_state(b), BACKEND_UP);
}

static void test_answers_are_not_failures(void **state)
{
	struct backend *b = *state;

	assert_int_equal(put(b, "a", "x"), 0);
	add_rule(FAULT_FULL, FAULT_OP_ALL, "full");
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(get_rc(b, "none"), -ENOENT);
		assert_int_equal(put(b, "a", "x"), -EEXIST);
		assert_int_equal(put(b, "full", "x"), -ENOSPC);
	}
	assert_int_equal(backend_get_state(b), BACKEND_UP);
}

static void test_own_trouble_says_nothing(void **state)
{
	static const int errs[] = {EMFILE, ENFILE, ENOMEM};
	struct backend *b = *state;

	for (unsigned i = 0; i < ARRAY_LEN(errs); i++) {
		struct fault_rule r = {.kind = FAULT_ERROR,
				       .ops = FAULT_OP_OPEN,
				       .prefix = "e",
				       .times = 5,
				       .err = errs[i]};

		assert_int_equal(fault_add(PLACE, &r), 0);
		for (unsigned k = 0; k < r.times; k++)
			assert_int_equal(get_rc(b, "e"), -errs[i]);
		fault_clear(PLACE);
	}
	assert_int_equal(backend_get_state(b), BACKEND_UP);
}

/* C6: on an unmounted disk everything is "absent"; that is no answer. */
static void test_vanished_folder_goes_down(void **state)
{
	struct backend *b = *state;

	add_rule(FAULT_VANISH, FAULT_OP_ALL, "");
	assert_int_equal(put(b, "a", "x"), -ENOENT);
	assert_int_equal(get_rc(b, "a"), -ENOENT);
	assert_int_equal(backend_probe(b, LONG_MS), -ENOENT);
	assert_int_equal(get_rc(b, "a"), -ENOENT);
	assert_int_equal(backend_get_state(b), BACKEND_SUSPECT);
	assert_int_equal(put(b, "b", "x"), -ENOENT);
	assert_int_equal(backend_get_state(b), BACKEND_DOWN);
}

static void test_only_probes_bring_it_up(void **state)
{
	struct backend *b = *state;

	bring_down(b);
	fault_clear(PLACE);
	assert_int_equal(get_rc(b, "x"), -ERR_BACKEND_DOWN);
	assert_int_equal(backend_probe(b, LONG_MS), 0);
	assert_int_equal(backend_probe(b, LONG_MS), 0);
	add_rule(FAULT_ERROR, FAULT_OP_USAGE, "");
	assert_int_equal(backend_probe(b, LONG_MS), -EIO);
	fault_clear(PLACE);
	assert_int_equal(backend_probe(b, LONG_MS), 0);
	assert_int_equal(backend_probe(b, LONG_MS), 0);
	assert_int_equal(backend_get_state(b), BACKEND_DOWN);
	assert_int_equal(backend_probe(b, LONG_MS), 0);
	assert_int_equal(backend_get_state(b), BACKEND_UP);
	assert_int_equal(put(b, "x", "x"), 0);
}

static void test_taken_down_by_hand(void **state)
{
	struct backend *b = *state;

	backend_set_down(b, true);
	assert_int_equal(backend_get_state(b), BACKEND_DOWN);
	assert_int_equal(put(b, "x", "x"), -ERR_BACKEND_DOWN);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(backend_probe(b, LONG_MS), 0);
	assert_int_equal(backend_get_state(b), BACKEND_DOWN);
	backend_set_down(b, false);
	assert_int_equal(backend_get_state(b), BACKEND_DOWN);
	for (unsigned i = 0; i < BACKEND_STRIKES; i++)
		assert_int_equal(backend_probe(b, LONG_MS), 0);
	assert_int_equal(backend_get_state(b), BACKEND_UP);
}

static void test_hung_place_goes_down_fast(void **state)
{
	struct backend *b = *state;
	struct bio *r[2];

	add_rule(FAULT_HANG, FAULT_OP_ALL, "");
	for (unsigned i = 0; i < 2; i++)
		r[i] = submitted(b, bio_new_get("a", 0, 1, false));
	assert_int_equal(bio_wait(r[0], in_ms(SHORT_MS)), -ETIMEDOUT);
	assert_int_equal(backend_get_state(b), BACKEND_SUSPECT);
	assert_int_equal(bio_wait(r[1], in_ms(SHORT_MS)), -ETIMEDOUT);
	assert_int_equal(backend_get_state(b), BACKEND_DOWN);
	assert_int_equal(backend_probe(b, SHORT_MS), -ETIMEDOUT);
	for (unsigned i = 0; i < 2; i++)
		bio_unref(r[i]);
}

static void test_slow_but_answering_is_not_down(void **state)
{
	struct backend *b = *state;
	struct bio *r[2];

	assert_int_equal(put(b, "ok", "x"), 0);
	add_rule(FAULT_HANG, FAULT_OP_ALL, "hang");
	for (unsigned i = 0; i < 2; i++) {
		r[i] = submitted(b, bio_new_get("hang", 0, 1, false));
		assert_int_equal(get_rc(b, "ok"), 0);
		assert_int_equal(bio_wait(r[i], in_ms(SHORT_MS)), -ETIMEDOUT);
		assert_int_equal(backend_get_state(b), BACKEND_SUSPECT);
	}
	for (unsigned i = 0; i < 2; i++)
		bio_unref(r[i]);
}

static void test_going_down_ends_what_waits(void **state)
{
	struct backend *b = *state;
	struct bio *r[BACKEND_LANES + 4];
	unsigned down = 0;
	int rc;

	add_rule(FAULT_HANG, FAULT_OP_ALL, "");
	for (unsigned i = 0; i < ARRAY_LEN(r); i++)
		r[i] = submitted(b, bio_new_get("a", 0, 1, false));
	wait_hits(BACKEND_LANES - 1);
	backend_set_down(b, true);
	for (unsigned i = 0; i < ARRAY_LEN(r); i++)
		down += bio_done(r[i], &rc) && rc == -ERR_BACKEND_DOWN;
	assert_int_equal(down, ARRAY_LEN(r) - (BACKEND_LANES - 1));
	fault_clear(PLACE);
	for (unsigned i = 0; i < ARRAY_LEN(r); i++) {
		rc = bio_wait(r[i], in_ms(LONG_MS));
		assert_true(rc == -ENOENT || rc == -ERR_BACKEND_DOWN);
		bio_unref(r[i]);
	}
}

static atomic_uint_least64_t fake_ns;

static uint64_t fake_mono(void *arg)
{
	(void)arg;
	return atomic_load(&fake_ns);
}
static int64_t fake_real(void *arg)
{
	(void)arg;
	return 0;
}

/* Nobody waits for these two; the breaker notices all the same. */
static void test_overdue_without_waiters(void **state)
{
	const struct clock_source fake = {.mono_ns = fake_mono,
					  .real_ns = fake_real};
	struct backend *b = *state;
	struct bio *r[2];

	atomic_store(&fake_ns, clock_mono_ns());
	clock_replace(&fake);
	add_rule(FAULT_HANG, FAULT_OP_ALL, "");
	for (unsigned i = 0; i < 2; i++)
		r[i] = submitted(b, bio_new_get("a", 0, 1, false));
	while (fault_hits(PLACE) < 2)
		;
	atomic_fetch_add(&fake_ns, BACKEND_DEADLINE_MS * 1000000ULL - 1);
	assert_int_equal(backend_get_state(b), BACKEND_UP);
	atomic_fetch_add(&fake_ns, 2);
	assert_int_equal(backend_get_state(b), BACKEND_DOWN);
	clock_replace(NULL);
	fault_clear(PLACE);
	for (unsigned i = 0; i < 2; i++) {
		(void)bio_wait(r[i], in_ms(LONG_MS));
		bio_unref(r[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_failures_in_a_row),
		CASE(test_suspect_comes_back),
		CASE(test_answers_are_not_failures),
		CASE(test_own_trouble_says_nothing),
		CASE(test_vanished_folder_goes_down),
		CASE(test_only_probes_bring_it_up),
		CASE(test_taken_down_by_hand),
		CASE(test_hung_place_goes_down_fast),
		CASE(test_slow_but_answering_is_not_down),
		CASE(test_going_down_ends_what_waits),
		CASE(test_overdue_without_waiters),
	};

	return RUN_CASES(tests);
}
