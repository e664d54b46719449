/* SPDX-License-Identifier: Apache-2.0 */
/* Group commit: shared records, failed appends, hooks, records that grew too
 * large. K1..K4 are commit.c's. */
#include "unit/meta/commit_kit.h"

#include <stdatomic.h>

#define THREADS 8

static uint64_t records(struct engine *e)
{
	struct journal_stats st;

	journal_get_stats(e->journal, &st);
	return st.records;
}

/* ---- sharing ---- */

struct worker {
	struct engine *e;
	unsigned ops;
	uint64_t ino[400];
	unsigned failed, acked;
};

static void touch_and_wait(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < w->ops; i++) {
		uint64_t seq = engine_touch(w->e, &w->ino[i]);
		int rc = commit_wait(w->e->commit, seq);

		if (rc < 0) {
			w->failed++;
			continue;
		}
		w->acked++;
		assert_true(commit_durable(w->e->commit) >= seq);
	}
}

static struct worker *work(struct engine *e, unsigned ops)
{
	struct worker *w = calloc(THREADS, sizeof(*w));
	struct workq *q;

	OK(workq_new("test", THREADS, &q));
	for (unsigned i = 0; i < THREADS; i++) {
		w[i] = (struct worker){.e = e, .ops = ops};
		OK(workq_submit(q, touch_and_wait, &w[i]));
	}
	workq_free(q);
	return w;
}

static void threads_share_records(void **state)
{
	struct engine *e = *state;
	struct worker *w;
	unsigned ops = 0;

	engine_fault_all(e, (struct fault_rule){.kind = FAULT_DELAY,
						.ops = FAULT_OP_WRITE,
						.prefix = "journal/",
						.ms = 2});
	w = work(e, 100);
	for (unsigned i = 0; i < THREADS; i++)
		ops += w[i].acked;
	assert_int_equal(ops, THREADS * 100);
	assert_true(records(e) <= ops / 3);
	assert_true(records(e) >= 100); /* one thread waits for each of its */
	engine_crash(e);
	assert_false(engine_recover(e).lost);
	for (unsigned i = 0; i < THREADS; i++)
		for (unsigned j = 0; j < 100; j++)
			assert_true(engine_has(e, w[i].ino[j]));
	free(w);
}

static void nothing_open_costs_nothing(void **state)
{
	struct engine *e = *state;
	uint64_t seq, before;

	OK(commit_all(e->commit));
	seq = engine_touch(e, NULL);
	OK(commit_wait(e->commit, seq));
	before = records(e);
	OK(commit_all(e->commit));
	OK(commit_wait(e->commit, seq));
	/* The open record has nothing in it: all there is is durable. */
	index_lock(e->ix);
	seq = commit_open_seq(e->commit);
	index_unlock(e->ix);
	OK(commit_wait(e->commit, seq));
	assert_int_equal(records(e), before);
}

/* ---- appends that fail ---- */

static void a_failed_append_acknowledges_nobody(void **state)
{
	struct engine *e = *state;
	uint64_t a, b, first, second, durable;

	OK(commit_wait(e->commit, engine_touch(e, NULL)));
	durable = commit_durable(e->commit);
	engine_fail_journal(e);
	first = engine_touch(e, &a);
	assert_true(commit_wait(e->commit, first) < 0);
	assert_true(commit_error(e->commit) < 0);
	assert_int_equal(commit_durable(e->commit), durable);
	/* What comes later waits behind it (K2). */
	second = engine_touch(e, &b);
	assert_true(second > first);
	assert_true(commit_wait(e->commit, second) < 0);
	assert_true(commit_all(e->commit) < 0);
	commit_maybe(e->commit);
	assert_int_equal(commit_durable(e->commit), durable);
	engine_heal(e);
	OK(commit_wait(e->commit, first));
	assert_true(commit_durable(e->commit) >= first);
	OK(commit_wait(e->commit, second));
	OK(commit_error(e->commit));
	engine_crash(e);
	assert_false(engine_recover(e).lost);
	assert_true(engine_has(e, a));
	assert_true(engine_has(e, b));
}

struct gate {
	unsigned open; /* so many more answers are yes */
	unsigned asked;
	int rc;
};

static int ask(void *arg)
{
	struct gate *g = arg;

	g->asked++;
	if (g->open == 0)
		return g->rc;
	g->open--;
	return 0;
}

/* K3: it is in the journal, but who may say so is not known. */
static void a_shut_gate_acknowledges_nobody(void **state)
{
	struct engine *e = *state;
	struct gate g = {.open = 2, .rc = -ERR_LEASE};
	uint64_t a, b, first, second, durable, before;

	commit_set_gate(e->commit, ask, &g);
	OK(commit_wait(e->commit, engine_touch(e, NULL)));
	assert_int_equal(g.asked, 2);
	durable = commit_durable(e->commit);
	before = records(e);
	/* Shut before: nothing is appended. */
	first = engine_touch(e, &a);
	assert_int_equal(commit_wait(e->commit, first), -ERR_LEASE);
	assert_int_equal(records(e), before);
	/* Shut between: appended once, and not again. */
	g.open = 1;
	assert_int_equal(commit_wait(e->commit, first), -ERR_LEASE);
	assert_int_equal(commit_error(e->commit), -ERR_LEASE);
	assert_int_equal(records(e), before + 1);
	second = engine_touch(e, &b);
	assert_int_equal(commit_wait(e->commit, second), -ERR_LEASE);
	assert_int_equal(commit_durable(e->commit), durable);
	assert_int_equal(records(e), before + 1);
	g.open = UINT_MAX;
	OK(commit_wait(e->commit, second));
	assert_int_equal(records(e), before + 2);
	assert_true(commit_durable(e->commit) >= second);
	/* For good, and what is durable stays so. */
	g = (struct gate){.rc = -ERR_FENCED};
	assert_int_equal(commit_wait(e->commit, engine_touch(e, NULL)),
			 -ERR_FENCED);
	OK(commit_wait(e->commit, second));
	engine_crash(e);
	assert_false(engine_recover(e).lost);
	assert_true(engine_has(e, a));
	assert_true(engine_has(e, b));
}

static void failing_now_and_then(void **state)
{
	struct engine *e = *state;
	struct worker *w;
	unsigned failed = 0;

	/* Every folder fails for a while, at different times. */
	for (unsigned i = 0; i < ENGINE_FOLDERS; i++) {
		struct fault_rule r = {.kind = FAULT_ERROR,
				       .ops = FAULT_OP_WRITE,
				       .prefix = "journal/",
				       .err = ENOSPC,
				       .skip = 20 + i,
				       .times = 30};

		OK(fault_add(e->loc[i], &r));
	}
	w = work(e, 60);
	for (unsigned i = 0; i < THREADS; i++)
		failed += w[i].failed;
	printf("%u waits failed\n", failed);
	engine_heal(e);
	engine_crash(e);
	assert_false(engine_recover(e).lost);
	/* Whether it was told "failed" or not: it was kept and went through. */
	for (unsigned i = 0; i < THREADS; i++)
		for (unsigned j = 0; j < 60; j++)
			assert_true(engine_has(e, w[i].ino[j]));
	free(w);
}

static void a_crash_with_a_record_in_hand(void **state)
{
	struct engine *e = *state;
	uint64_t kept, lost;
	struct sealed s;

	OK(commit_wait(e->commit, engine_touch(e, &kept)));
	engine_fail_journal(e);
	(void)engine_write(e, 1, 0, 5000, &s);
	assert_true(commit_wait(e->commit, engine_touch(e, &lost)) < 0);
	engine_crash(e);
	engine_clear(e);
	assert_false(engine_recover(e).lost);
	assert_true(engine_has(e, kept));
	assert_false(engine_has(e, lost));
}

/* The i-th allocation of a commit fails. */
static void one_allocation_fails(struct engine *e, unsigned i,
				 unsigned count[3])
{
	uint64_t kept, later, seq, durable;
	struct sealed s;
	int rc;

	OK(commit_wait(e->commit, engine_touch(e, &kept)));
	(void)engine_write(e, 1, 0, 3000, &s);
	seq = engine_touch(e, &later);
	durable = commit_durable(e->commit);
	mem_fail_at(i, 0);
	rc = commit_wait(e->commit, seq);
	mem_fail_at(0, 0);
	if (rc < 0)
		assert_int_equal(commit_durable(e->commit), durable);
	count[0] += rc == 0;
	if (rc < 0)
		rc = commit_wait(e->commit, seq);
	/* Only a record whose log was lost makes it sticky (C8). */
	assert_true(rc == 0 || rc == -ERR_STICKY);
	if (rc < 0) {
		count[2]++;
		assert_int_equal(commit_all(e->commit), -ERR_STICKY);
		assert_int_equal(commit_durable(e->commit), durable);
	}
	engine_crash(e);
	assert_false(engine_recover(e).lost);
	assert_true(engine_has(e, kept));
	assert_int_equal(engine_has(e, later), rc == 0);
	count[1]++;
}

static void every_allocation_fails_once(void **state)
{
	unsigned count[3] = {0};

	for (unsigned i = 1; i < 30; i++) {
		void *e;

		assert_int_equal(engine_start(&e), 0);
		one_allocation_fails(e, i, count);
		assert_int_equal(engine_stop(&e), 0);
	}
	printf("%u went well, %u sticky, of %u\n", count[0], count[2],
	       count[1]);
	assert_true(count[0] > 0 && count[0] < count[1]);
	(void)state;
}

static void a_failed_cut_is_sticky(void **state)
{
	struct engine *e = *state;
	uint64_t kept, lost = 0, seq = 0;
	int rc = 0;

	OK(commit_wait(e->commit, engine_touch(e, &kept)));
	for (unsigned i = 1; i < 40 && rc != -ERR_STICKY; i++) {
		seq = engine_touch(e, &lost);
		os_fail_at(i, EIO, 1);
		rc = commit_wait(e->commit, seq);
		os_fail_at(0, 0, 0);
		if (rc < 0)
			break;
		kept = lost;
	}
	assert_true(rc < 0);
	assert_true(commit_durable(e->commit) < seq);
	assert_int_equal(commit_wait(e->commit, seq), -ERR_STICKY);
	assert_int_equal(commit_error(e->commit), -ERR_STICKY);
	assert_int_equal(commit_all(e->commit), -ERR_STICKY);
	assert_int_equal(index_begin(e->ix), -ERR_STICKY);
	commit_maybe(e->commit);
	engine_crash(e);
	assert_false(engine_recover(e).lost);
	assert_true(engine_has(e, kept));
	assert_false(engine_has(e, lost));
}

/* ---- hooks ---- */

struct hooked {
	struct engine *e;
	uint64_t seq;
	unsigned calls;
	int rc;
};

static int hook(void *arg, uint64_t seq)
{
	struct hooked *h = arg;

	h->calls++;
	h->seq = seq;
	/* In the lock hold of the cut: nothing came after it (C10). */
	assert_int_equal(index_seq(h->e->ix), seq);
	assert_int_equal(index_pending(h->e->ix), 0);
	return h->rc;
}

static void a_hook_sees_exactly_its_record(void **state)
{
	struct engine *e = *state;
	struct hooked h = {.e = e};
	uint64_t seq, before = records(e), ino, last;

	/* An empty record too. */
	OK(commit_cut_hook(e->commit, hook, &h, &seq));
	assert_int_equal(h.calls, 1);
	assert_int_equal(seq, h.seq);
	assert_int_equal(records(e), before + 1);
	assert_int_equal(commit_durable(e->commit), seq);
	/* Its error comes back, and the record is appended all the same. */
	h.rc = -ENOMEM;
	(void)engine_touch(e, &ino);
	assert_int_equal(commit_cut_hook(e->commit, hook, &h, &seq), -ENOMEM);
	assert_int_equal(h.calls, 2);
	assert_int_equal(commit_durable(e->commit), seq);
	/* An append that fails: told, and made good by the next. */
	h.rc = 0;
	engine_fail_journal(e);
	assert_true(commit_cut_hook(e->commit, hook, &h, &seq) < 0);
	assert_int_equal(h.calls, 3);
	assert_true(commit_durable(e->commit) < h.seq);
	/* Nothing but a checkpoint can make room, so that one is cut. */
	assert_true(commit_cut_hook(e->commit, hook, &h, &seq) < 0);
	assert_int_equal(h.calls, 4);
	assert_int_equal(h.seq, seq);
	(void)engine_touch(e, &last);
	assert_true(commit_all(e->commit) < 0);
	assert_true(commit_durable(e->commit) < seq - 1);
	engine_heal(e);
	assert_true(commit_durable(e->commit) > seq);
	OK(commit_cut_hook(e->commit, hook, &h, &seq));
	assert_int_equal(h.calls, 5);
	assert_int_equal(commit_durable(e->commit), seq);
	engine_crash(e);
	assert_false(engine_recover(e).lost);
	assert_true(engine_has(e, ino));
	assert_true(engine_has(e, last));
}

static atomic_bool hooks_stop;

static void hook_loop(void *arg)
{
	struct hooked *h = arg;

	while (!atomic_load(&hooks_stop)) {
		uint64_t seq;

		OK(commit_cut_hook(h->e->commit, hook, h, &seq));
		assert_int_equal(h->seq, seq);
		assert_true(commit_durable(h->e->commit) >= seq);
	}
}

static void hooks_beside_commits(void **state)
{
	struct engine *e = *state;
	struct hooked h = {.e = e};
	struct workq *q;
	struct worker *w;

	atomic_store(&hooks_stop, false);
	OK(workq_new("hooks", 1, &q));
	OK(workq_submit(q, hook_loop, &h));
	w = work(e, 100);
	atomic_store(&hooks_stop, true);
	workq_free(q);
	assert_true(h.calls > 0);
	engine_crash(e);
	assert_false(engine_recover(e).lost);
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(w[i].failed, 0);
		for (unsigned j = 0; j < 100; j++)
			assert_true(engine_has(e, w[i].ino[j]));
	}
	free(w);
}

/* ---- without a journal ---- */

static void without_a_journal_cut_is_durable(void **state)
{
	struct engine *e = *state;
	uint64_t seq, before = records(e);

	commit_set_journal(e->commit, NULL);
	seq = engine_touch(e, NULL);
	OK(commit_wait(e->commit, seq));
	assert_true(commit_durable(e->commit) >= seq);
	assert_int_equal(records(e), before);
}

/* ---- a lot at once ---- */

/* So many fsyncs meet in one record that it is larger than a record may be. */
static void more_bytes_than_a_record_takes(void **state)
{
	struct engine *e = *state;
	enum {
		CHUNKS = 2 * JOURNAL_RECORD_MAX / ENGINE_CHUNK
	};
	struct sealed *s = calloc(CHUNKS, sizeof(*s));
	uint64_t seq = 0;

	/* Odd data ids: bytes that do not compress. */
	for (unsigned i = 0; i < CHUNKS; i++)
		seq = engine_write(e, 2 * i + 1, 0, ENGINE_CHUNK, &s[i]);
	OK(commit_wait(e->commit, seq));
	engine_crash(e);
	assert_false(engine_recover(e).lost);
	OK(jseg_seal_restored(e->js));
	for (unsigned i = 0; i < CHUNKS; i += 17)
		engine_expect(e, &s[i]);
	free(s);
}

static void a_record_is_closed_when_enough_waits(void **state)
{
	struct engine *e = *state;
	struct sealed s;
	uint64_t durable = commit_durable(e->commit);
	unsigned i;

	for (i = 0; commit_durable(e->commit) == durable; i++) {
		assert_true(i * ENGINE_CHUNK < 2 * COMMIT_RECORD_BYTES);
		(void)engine_write(e, 2 * i + 1, 0, ENGINE_CHUNK, &s);
		commit_maybe(e->commit);
	}
	assert_true(i * ENGINE_CHUNK > COMMIT_RECORD_BYTES / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_ENGINE(threads_share_records),
		WITH_ENGINE(nothing_open_costs_nothing),
		WITH_ENGINE(a_failed_append_acknowledges_nobody),
		WITH_ENGINE(a_shut_gate_acknowledges_nobody),
		WITH_ENGINE(failing_now_and_then),
		WITH_ENGINE(a_crash_with_a_record_in_hand),
		cmocka_unit_test(every_allocation_fails_once),
		WITH_ENGINE(a_failed_cut_is_sticky),
		WITH_ENGINE(a_hook_sees_exactly_its_record),
		WITH_ENGINE(hooks_beside_commits),
		WITH_ENGINE(without_a_journal_cut_is_durable),
		WITH_LARGE(more_bytes_than_a_record_takes),
		WITH_LARGE(a_record_is_closed_when_enough_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
