/* SPDX-License-Identifier: Apache-2.0 */
/* Journaled segments: what records carry, what recovery makes of it. J1..J4
 * are jseg.c's. */
#include "unit/meta/commit_kit.h"

#include <stdatomic.h>

#define FULL_DATA                                                     \
	((struct fault_rule){.kind = FAULT_ERROR,                     \
			     .ops = FAULT_OP_WRITE | FAULT_OP_CREATE, \
			     .prefix = "data/",                       \
			     .err = ENOSPC})

static uint64_t sync_all(struct engine *e)
{
	OK(commit_all(e->commit));
	return commit_durable(e->commit);
}

static enum seg_state state_of(struct engine *e, struct seg_id id)
{
	struct segment_row row;

	index_lock(e->ix);
	OK(segment_get(e->ix, id, &row));
	index_unlock(e->ix);
	return row.state;
}

static uint64_t stripe_of(struct engine *e, struct seg_id id)
{
	struct segment_row row;

	index_lock(e->ix);
	OK(segment_get(e->ix, id, &row));
	index_unlock(e->ix);
	return row.desc.stripe.v;
}

static uint64_t stripes_made(struct engine *e)
{
	struct store_stats st;

	store_get_stats(e->store, &st);
	return st.segments_written;
}

/* ---- carry and restore ---- */

static void what_records_carry_comes_back(void **state)
{
	enum {
		N = 300
	};
	struct engine *e = *state;
	struct sealed *s = calloc(N, sizeof(*s));

	rnd_seed(test_seed());
	for (unsigned i = 0; i < N; i++) {
		uint32_t len = 1 + (uint32_t)rnd_below(ENGINE_CHUNK);

		engine_write(e, i + 1, rnd_below(1000) * ENGINE_CHUNK, len,
			     &s[i]);
		engine_expect(e, &s[i]);
		if (rnd_below(20) == 0)
			sync_all(e);
	}
	sync_all(e);
	engine_crash(e);
	assert_false(engine_recover(e).lost);
	/* Before sealing: from memory, as a read-only mount does. */
	for (unsigned i = 0; i < N; i++)
		engine_expect(e, &s[i]);
	OK(jseg_seal_restored(e->js));
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(state_of(e, s[i].segment), SEG_SEALED);
		engine_expect(e, &s[i]);
	}
	free(s);
}

static void nothing_is_carried_twice(void **state)
{
	struct engine *e = *state;
	struct bytes a = {0}, b = {0};
	struct jseg_carry *c;
	struct sealed s;

	OK(engine_try_add(e, 1, 0, 9999, &s));
	assert_int_equal(jseg_pending(e->js), s.ref.stored_len);
	OK(jseg_carry_begin(e->js, 1, &c));
	assert_int_equal(jseg_pending(e->js), 0);
	OK(jseg_carry_encode(c, &a));
	assert_true(a.len > s.ref.stored_len);
	jseg_carry_end(c, true);
	OK(jseg_carry_begin(e->js, 2, &c));
	OK(jseg_carry_encode(c, &b));
	jseg_carry_end(c, true);
	assert_int_equal(b.len, 1); /* no segments */
	bytes_release(&a);
	bytes_release(&b);
}

static void a_failed_carry_goes_to_the_next(void **state)
{
	struct engine *e = *state;
	struct bytes a = {0}, b = {0};
	struct jseg_carry *c;
	struct sealed s, t;

	OK(engine_try_add(e, 1, 0, 9999, &s));
	OK(jseg_carry_begin(e->js, 1, &c));
	OK(jseg_carry_encode(c, &a));
	OK(engine_try_add(e, 2, 0, 5000, &t));
	assert_int_equal(jseg_pending(e->js), t.ref.stored_len);
	jseg_carry_end(c, false);
	assert_int_equal(jseg_pending(e->js),
			 s.ref.stored_len + t.ref.stored_len);
	OK(jseg_carry_begin(e->js, 2, &c));
	OK(jseg_carry_encode(c, &b));
	assert_true(b.len > a.len + t.ref.stored_len);
	jseg_carry_end(c, true);
	assert_int_equal(jseg_pending(e->js), 0);
	jseg_carry_end(NULL, true);
	bytes_release(&a);
	bytes_release(&b);
}

static void sealed_while_it_is_carried(void **state)
{
	struct engine *e = *state;
	struct bytes out = {0};
	struct jseg_carry *c;
	struct sealed s;
	uint64_t seq = engine_write(e, 1, 0, 9999, &s);

	OK(jseg_carry_begin(e->js, seq, &c));
	OK(jseg_rotate(e->js, true));
	assert_int_equal(state_of(e, s.segment), SEG_SEALED);
	/* Its memory stays as long as the carry lives. */
	jseg_forget(e->js, UINT64_MAX);
	OK(jseg_carry_encode(c, &out));
	assert_true(out.len > s.ref.stored_len);
	jseg_carry_end(c, false);
	/* What has a stripe needs no record. */
	assert_int_equal(jseg_pending(e->js), 0);
	engine_expect(e, &s);
	bytes_release(&out);
}

static void a_sealed_one_needs_no_record(void **state)
{
	struct engine *e = *state;
	struct sealed s;

	engine_write(e, 1, 0, 9999, &s);
	assert_true(jseg_pending(e->js) > 0);
	OK(jseg_rotate(e->js, true));
	assert_int_equal(jseg_pending(e->js), 0);
	sync_all(e);
	engine_crash(e);
	assert_false(engine_recover(e).lost);
	OK(jseg_seal_restored(e->js));
	engine_expect(e, &s);
}

/* ---- how long records must stay ---- */

static void records_stay_until_the_seal_is_durable(void **state)
{
	struct engine *e = *state;
	struct sealed s;
	uint64_t first, seal;
	uint8_t plain[100];

	assert_int_equal(jseg_needed_from(e->js), UINT64_MAX);
	engine_write(e, 1, 0, 100, &s);
	assert_int_equal(jseg_needed_from(e->js), UINT64_MAX);
	first = sync_all(e);
	assert_int_equal(jseg_needed_from(e->js), first);
	engine_write(e, 2, 0, 100, &s);
	sync_all(e);
	assert_int_equal(jseg_needed_from(e->js), first);
	OK(jseg_rotate(e->js, true));
	/* Striped, but the journal does not say so yet (C4). */
	index_lock(e->ix);
	seal = commit_open_seq(e->commit);
	index_unlock(e->ix);
	jseg_forget(e->js, seal - 1);
	assert_int_equal(jseg_needed_from(e->js), first);
	OK(jseg_read(e->js, s.segment, s.data, s.off, &s.ref, plain));
	assert_int_equal(sync_all(e), seal);
	assert_int_equal(jseg_needed_from(e->js), UINT64_MAX);
	assert_int_equal(jseg_read(e->js, s.segment, s.data, s.off, &s.ref,
				   plain),
			 -ENOENT);
	engine_expect(e, &s);
}

static void a_seal_that_fails_is_made_good(void **state)
{
	struct engine *e = *state;
	struct sealed s, t;
	uint64_t first;

	engine_write(e, 1, 0, 9999, &s);
	first = sync_all(e);
	engine_fault_all(e, FULL_DATA);
	assert_true(jseg_rotate(e->js, true) < 0);
	assert_int_equal(state_of(e, s.segment), SEG_OPEN);
	engine_expect(e, &s);
	/* Life goes on in another segment. */
	engine_write(e, 2, 0, 9999, &t);
	assert_int_not_equal(t.segment.v, s.segment.v);
	sync_all(e);
	assert_true(jseg_rotate(e->js, true) < 0);
	assert_int_equal(jseg_needed_from(e->js), first);
	engine_clear(e);
	OK(jseg_rotate(e->js, true));
	assert_int_equal(state_of(e, s.segment), SEG_SEALED);
	assert_int_equal(state_of(e, t.segment), SEG_SEALED);
	sync_all(e);
	assert_int_equal(jseg_needed_from(e->js), UINT64_MAX);
	engine_expect(e, &s);
	engine_expect(e, &t);
}

/* ---- recovery's odd cases ---- */

/* A commit came between the segment's row and its first chunk. */
static void a_row_without_bytes_is_no_damage(void **state)
{
	struct engine *e = *state;
	struct seg_context cx;
	struct seg_build *b;
	struct seg_desc d;
	struct sealed s;

	engine_write(e, 1, 0, 100, &s);
	OK(jseg_rotate(e->js, true));
	pool_seg_context(e->pool, &cx);
	OK(seg_build_new(&cx, SEG_DATA,
			 (struct seg_id){index_next(e->ix, COUNTER_SEGMENT)},
			 e->cap, NULL, &b));
	seg_build_describe(b, &d);
	OK(index_begin(e->ix));
	OK(index_end(e->ix, segment_insert(e->ix, &d, SEG_OPEN)));
	seg_build_free(b);
	sync_all(e);
	engine_crash(e);
	assert_false(engine_recover(e).lost);
	OK(jseg_seal_restored(e->js));
	engine_expect(e, &s);
}

/* But one whose bytes are missing is. */
static void a_row_whose_bytes_are_lost_is_damage(void **state)
{
	struct engine *e = *state;
	struct sealed s;

	engine_write(e, 1, 0, 100, &s);
	sync_all(e);
	jseg_free(steal(&e->js));
	engine_jseg(e);
	assert_int_equal(jseg_seal_restored(e->js), -ERR_UNAVAILABLE);
}

/* The journal has the bytes, and later the word that a stripe has them. */
static void a_seal_that_the_journal_knows_is_believed(void **state)
{
	struct engine *e = *state;
	struct sealed s;
	uint64_t stripe, made;

	engine_write(e, 1, 0, 9999, &s);
	sync_all(e);
	OK(jseg_rotate(e->js, true));
	stripe = stripe_of(e, s.segment);
	sync_all(e);
	engine_crash(e);
	made = stripes_made(e);
	assert_false(engine_recover(e).lost);
	OK(jseg_seal_restored(e->js));
	/* No second stripe: the first would never be removed. */
	assert_int_equal(stripe_of(e, s.segment), stripe);
	assert_int_equal(stripes_made(e), made);
	engine_expect(e, &s);
}

/* And the same when nothing refers to it any more. */
static void a_dead_segment_is_not_sealed_again(void **state)
{
	struct engine *e = *state;
	struct sealed s, t;

	engine_write(e, 1, 0, 9999, &s);
	sync_all(e);
	OK(jseg_rotate(e->js, true));
	sync_all(e);
	engine_write(e, 1, 0, 9999, &t); /* all of it */
	sync_all(e);
	assert_int_equal(state_of(e, s.segment), SEG_DEAD);
	engine_crash(e);
	assert_false(engine_recover(e).lost);
	OK(jseg_seal_restored(e->js));
	assert_int_equal(state_of(e, s.segment), SEG_DEAD);
	engine_expect(e, &t);
}

/* Overwritten before it was sealed: the stripe is dead from the start. */
static void an_unused_open_segment_is_sealed_dead(void **state)
{
	struct engine *e = *state;
	struct sealed s;

	engine_write(e, 1, 0, 9999, &s);
	sync_all(e);
	OK(index_begin(e->ix));
	OK(index_end(e->ix,
		     extent_cut(e->ix, 1, 0, UINT64_MAX, 100) < 0 ? -EIO : 0));
	sync_all(e);
	engine_crash(e);
	assert_false(engine_recover(e).lost);
	OK(jseg_seal_restored(e->js));
	assert_int_equal(state_of(e, s.segment), SEG_DEAD);
}

/* ---- ill-formed payloads ---- */

static struct bytes some_payload(struct engine *e)
{
	struct bytes out = {0};
	struct jseg_carry *c;
	struct sealed s;
	uint64_t seq = 0;

	/* Two segments, so that there is something to confuse. */
	for (unsigned i = 0; i < 12; i++) {
		seq = engine_write(e, i + 1, i * ENGINE_CHUNK, 700 + i, &s);
		if (i == 5)
			OK(jseg_rotate(e->js, false));
	}
	OK(jseg_carry_begin(e->js, seq, &c));
	OK(jseg_carry_encode(c, &out));
	jseg_carry_end(c, true);
	assert_true(out.len > 100);
	return out;
}

static int restore(struct engine *e, const uint8_t *p, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1); /* so that ASan sees its end */
	struct reader r = reader_of(copy, len);
	int rc;

	memcpy(copy, p, len);
	engine_jseg(e);
	rc = jseg_restore(e->js, &r);
	jseg_free(steal(&e->js));
	free(copy);
	return rc;
}

static bool known_error(int rc)
{
	return rc == -ERR_TRUNCATED || rc == -ERR_RANGE || rc == -ERR_REPLAY ||
	       rc == -ENOSPC || rc == -EINVAL;
}

static void ill_formed_payloads_are_errors(void **state)
{
	struct engine *e = *state;
	struct bytes good = some_payload(e);
	uint8_t *bad = malloc(good.len);
	unsigned refused = 0;

	/* The rows must say OPEN, so sealing must not have got so far. */
	jseg_free(steal(&e->js));
	rnd_seed(test_seed());
	OK(restore(e, good.data, good.len));
	for (size_t len = 0; len < good.len; len += 1 + len / 16) {
		int rc = restore(e, good.data, len);

		assert_int_equal(rc, -ERR_TRUNCATED);
	}
	for (unsigned i = 0; i < 3000; i++) {
		int rc;

		memcpy(bad, good.data, good.len);
		for (uint64_t n = 1 + rnd_below(4); n > 0; n--) {
			size_t at = rnd_below(rnd_below(2) ? 200 : good.len);

			bad[at] = rnd_below(2) ? (uint8_t)rnd_u64()
					       : (uint8_t)(bad[at] ^ 0x80);
		}
		rc = restore(e, bad, good.len);
		assert_true(rc == 0 || known_error(rc));
		refused += rc < 0;
	}
	printf("%u of 3000 refused\n", refused);
	assert_true(refused > 500);
	free(bad);
	bytes_release(&good);
	engine_jseg(e);
}

static int some_payload_start(void **state)
{
	int rc = engine_start(state);
	struct engine *e;

	if (rc == 0) {
		e = *state;
		engine_fault_all(e, FULL_DATA); /* nothing gets sealed */
	}
	return rc;
}

/* ---- many at once ---- */

#define ADDERS 4
#define ROUNDS 150

struct adder {
	struct engine *e;
	unsigned id;
	struct sealed s[ROUNDS];
};

static void add_and_commit(void *arg)
{
	struct adder *a = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint32_t len = 1 + (a->id * 977 + i * 131) % ENGINE_CHUNK;
		uint64_t seq = engine_write(a->e, a->id * ROUNDS + i + 1,
					    i * ENGINE_CHUNK, len, &a->s[i]);

		if (i % 7 == a->id)
			OK(commit_wait(a->e->commit, seq));
		if (i % 50 == 49)
			OK(jseg_rotate(a->e->js, a->id == 0));
		engine_expect(a->e, &a->s[i / 2]);
	}
}

static void adding_carrying_sealing_reading(void **state)
{
	struct engine *e = *state;
	struct adder *a = calloc(ADDERS, sizeof(*a));
	struct workq *q;

	OK(workq_new("add", ADDERS, &q));
	for (unsigned i = 0; i < ADDERS; i++) {
		a[i].e = e;
		a[i].id = i;
		OK(workq_submit(q, add_and_commit, &a[i]));
	}
	workq_free(q);
	sync_all(e);
	for (unsigned i = 0; i < ADDERS; i++)
		for (unsigned j = 0; j < ROUNDS; j += 3)
			engine_expect(e, &a[i].s[j]);
	engine_crash(e);
	assert_false(engine_recover(e).lost);
	OK(jseg_seal_restored(e->js));
	for (unsigned i = 0; i < ADDERS; i++)
		for (unsigned j = 0; j < ROUNDS; j++)
			engine_expect(e, &a[i].s[j]);
	free(a);
}

/* The i-th allocation fails; false: the index gave up (C8). */
static bool memory_fails_once(struct engine *e, unsigned i)
{
	struct sealed s, t, u;
	int rc, sealed;

	OK(engine_try_add(e, 1, 0, 5000, &s));
	mem_fail_at(i, 0);
	rc = engine_try_add(e, 2, 0, 6000, &t);
	sealed = jseg_rotate(e->js, true);
	mem_fail_at(0, 0);
	assert_true(sealed == 0 || sealed == -ENOMEM || sealed == -ERR_STICKY);
	if (index_begin(e->ix) < 0)
		return false;
	OK(index_end(e->ix, 0));
	/* Nothing of it lasts. */
	engine_write(e, 3, 0, 7000, &u);
	OK(jseg_rotate(e->js, true));
	assert_int_not_equal(state_of(e, s.segment), SEG_OPEN);
	if (rc == 0)
		assert_int_not_equal(state_of(e, t.segment), SEG_OPEN);
	engine_expect(e, &u);
	sync_all(e);
	assert_int_equal(jseg_needed_from(e->js), UINT64_MAX);
	return true;
}

static void memory_fails_at_every_place(void **state)
{
	unsigned well = 0;

	for (unsigned i = 1; i < 30; i++) {
		void *e;

		assert_int_equal(engine_start(&e), 0);
		well += memory_fails_once(e, i);
		assert_int_equal(engine_stop(&e), 0);
	}
	printf("went on after %u of 29\n", well);
	assert_true(well > 10);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_ENGINE(what_records_carry_comes_back),
		WITH_ENGINE(nothing_is_carried_twice),
		WITH_ENGINE(a_failed_carry_goes_to_the_next),
		WITH_ENGINE(sealed_while_it_is_carried),
		WITH_ENGINE(a_sealed_one_needs_no_record),
		WITH_ENGINE(records_stay_until_the_seal_is_durable),
		WITH_ENGINE(a_seal_that_fails_is_made_good),
		WITH_ENGINE(a_row_without_bytes_is_no_damage),
		WITH_ENGINE(a_row_whose_bytes_are_lost_is_damage),
		WITH_ENGINE(a_seal_that_the_journal_knows_is_believed),
		WITH_ENGINE(a_dead_segment_is_not_sealed_again),
		WITH_ENGINE(an_unused_open_segment_is_sealed_dead),
		cmocka_unit_test_setup_teardown(ill_formed_payloads_are_errors,
						some_payload_start,
						engine_stop),
		WITH_ENGINE(adding_carrying_sealing_reading),
		cmocka_unit_test(memory_fails_at_every_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
