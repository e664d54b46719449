/* SPDX-License-Identifier: Apache-2.0 */
/* commit_stop: from its return on nothing becomes durable (C2). */
#include "unit/meta/commit_kit.h"

struct waiter {
	struct engine *e;
	uint64_t ino, seq;
	int rc;
};

static void wait_for_it(void *arg)
{
	struct waiter *w = arg;

	w->rc = commit_wait(w->e->commit, w->seq);
}

static void nothing_more(void **state)
{
	struct engine *e = *state;
	uint64_t kept, lost, seq = engine_touch(e, &kept);

	OK(commit_wait(e->commit, seq));
	commit_stop(e->commit, -ERR_SHUT_DOWN);
	OK(commit_wait(e->commit, seq)); /* it is durable already */
	seq = engine_touch(e, &lost);
	assert_int_equal(commit_wait(e->commit, seq), -ERR_SHUT_DOWN);
	assert_int_equal(commit_all(e->commit), -ERR_SHUT_DOWN);
	assert_int_equal(commit_cut_hook(e->commit, NULL, NULL, &seq),
			 -ERR_SHUT_DOWN);
	commit_maybe(e->commit);
	assert_int_equal(commit_error(e->commit), -ERR_SHUT_DOWN);
	engine_crash(e);
	assert_false(engine_recover(e).lost);
	assert_true(engine_has(e, kept));
	assert_false(engine_has(e, lost));
}

/* In the middle of an append that goes well in the end: too late. */
static void while_appending(void **state)
{
	struct engine *e = *state;
	struct waiter w[2] = {{.e = e, .rc = 1}, {.e = e, .rc = 1}};
	uint64_t durable;
	struct workq *q;

	OK(commit_wait(e->commit, engine_touch(e, NULL)));
	durable = commit_durable(e->commit);
	engine_fault_all(e, (struct fault_rule){.kind = FAULT_DELAY,
						.ops = FAULT_OP_WRITE,
						.prefix = "journal/",
						.ms = 300});
	OK(workq_new("waiters", 2, &q));
	for (unsigned i = 0; i < 2; i++) {
		w[i].seq = engine_touch(e, &w[i].ino);
		OK(workq_submit(q, wait_for_it, &w[i]));
	}
	while (fault_hits(e->loc[0]) + fault_hits(e->loc[1]) +
		       fault_hits(e->loc[2]) + fault_hits(e->loc[3]) ==
	       0)
		sched_yield();
	commit_stop(e->commit, -ERR_SHUT_DOWN);
	workq_free(q);
	assert_int_equal(commit_durable(e->commit), durable);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(w[i].rc, -ERR_SHUT_DOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_ENGINE(nothing_more),
		WITH_ENGINE(while_appending),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
