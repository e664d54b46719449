/* SPDX-License-Identifier: Apache-2.0 */
#include "base_test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "base/sync.h"
#include "base/thread.h"
#include "base/workq.h"

#define HOUR_MS (3600 * 1000ULL)

/* What the callback does is decided by these. */
struct probe {
	struct ticker *t;
	struct latch calls; /* opens after so many calls */
	struct mutex mu;
	unsigned calls_left;
	unsigned total;
	bool poke_once;
	bool overlapped;
	pthread_t ran_in;
};

static void probe_init(struct probe *p, unsigned calls)
{
	*p = (struct probe){.calls_left = calls};
	latch_init(&p->calls, calls);
	mutex_init(&p->mu);
}

static void probe_destroy(struct probe *p)
{
	latch_destroy(&p->calls);
	mutex_destroy(&p->mu);
}

static void on_tick(void *arg)
{
	struct probe *p = arg;
	bool poke;

	if (!mutex_trylock(&p->mu)) {
		p->overlapped = true;
		return;
	}
	p->ran_in = pthread_self();
	p->total++;
	poke = p->poke_once;
	p->poke_once = false;
	if (poke)
		ticker_poke(p->t);
	if (p->calls_left) {
		p->calls_left--;
		latch_down(&p->calls);
	}
	mutex_unlock(&p->mu);
}

static void start(struct probe *p, uint64_t period_ms)
{
	assert_int_equal(ticker_new("tick", period_ms, on_tick, p, &p->t), 0);
}

static bool called_in_time(struct probe *p)
{
	return latch_wait_until(&p->calls, patience_deadline());
}

static int seams_off(void **state)
{
	(void)state;
	clock_replace(NULL);
	mem_fail_at(0, 0);
	thread_fail_at(0, 0);
	workq_inline(false);
	return 0;
}

static void it_calls_again_and_again(void **state)
{
	uint64_t begin = clock_mono_ms();
	struct probe p;

	(void)state;
	probe_init(&p, 4);
	start(&p, 3);
	assert_true(called_in_time(&p));
	ticker_free(p.t);
	/* the first call comes one period after the start */
	assert_true(clock_mono_ms() - begin >= 11);
	assert_false(p.overlapped);
	probe_destroy(&p);
}

static void a_poke_does_not_wait_for_the_period(void **state)
{
	struct probe p;

	(void)state;
	probe_init(&p, 1);
	start(&p, HOUR_MS);
	ticker_poke(p.t);
	assert_true(called_in_time(&p));
	ticker_free(p.t);
	assert_int_equal(p.total, 1);
	probe_destroy(&p);
}

static void run_is_a_poke_where_there_is_a_thread(void **state)
{
	struct probe p;

	(void)state;
	probe_init(&p, 1);
	start(&p, UINT64_MAX);
	ticker_run(p.t);
	assert_true(called_in_time(&p));
	assert_false(pthread_equal(p.ran_in, pthread_self()));
	ticker_free(p.t);
	probe_destroy(&p);
}

static void a_poke_inside_a_call_asks_for_one_more(void **state)
{
	struct probe p;

	(void)state;
	probe_init(&p, 2);
	p.poke_once = true;
	start(&p, HOUR_MS);
	/* on_tick reads p.t, which start has set by now */
	ticker_poke(p.t);
	assert_true(called_in_time(&p));
	ticker_free(p.t);
	assert_int_equal(p.total, 2);
	assert_false(p.overlapped);
	probe_destroy(&p);
}

struct slow {
	struct latch begun;
	atomic_bool ended;
};

static void take_long(void *arg)
{
	struct slow *s = arg;

	latch_down(&s->begun);
	for (int i = 0; i < 1000; i++)
		sched_yield();
	atomic_store(&s->ended, true);
}

static void free_waits_for_a_call(void **state)
{
	struct slow s = {.ended = false};
	struct ticker *t;

	(void)state;
	latch_init(&s.begun, 1);
	assert_int_equal(ticker_new("tick", HOUR_MS, take_long, &s, &t), 0);
	ticker_poke(t);
	latch_wait(&s.begun);
	ticker_free(t);
	assert_true(atomic_load(&s.ended));
	latch_destroy(&s.begun);
}

static void free_does_not_wait_for_the_period(void **state)
{
	uint64_t begin = clock_mono_ns();
	struct probe p;

	(void)state;
	probe_init(&p, 1);
	start(&p, HOUR_MS);
	ticker_free(p.t);
	assert_true(clock_mono_ns() - begin < PATIENCE_NS);
	assert_int_equal(p.total, 0);
	probe_destroy(&p);
}

static atomic_uint_fast64_t fake_ns;

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

static const struct clock_source fake = {fake_mono, fake_real, NULL};

static void the_period_is_in_the_time_of_the_clock(void **state)
{
	uint64_t deadline_ns = patience_deadline();
	struct probe p;
	int i;

	(void)state;
	probe_init(&p, 2);
	atomic_store(&fake_ns, 1);
	clock_replace(&fake);
	start(&p, HOUR_MS);
	/* the ticker may look at the clock late: an hour more each time */
	for (i = 0; i < 10000; i++) {
		atomic_fetch_add(&fake_ns, HOUR_MS * 1000000);
		if (latch_wait_until(&p.calls, clock_mono_ns()))
			break;
		usleep(1000);
	}
	clock_replace(NULL);
	assert_true(clock_mono_ns() < deadline_ns);
	ticker_free(p.t);
	probe_destroy(&p);
}

static void failures_are_reported(void **state)
{
	struct probe p;

	(void)state;
	probe_init(&p, 1);
	mem_fail_at(1, 0);
	assert_int_equal(ticker_new("tick", 1, on_tick, &p, &p.t), -ENOMEM);
	thread_fail_at(1, 0);
	assert_int_equal(ticker_new("tick", 1, on_tick, &p, &p.t), -EAGAIN);
	assert_null(p.t);
	probe_destroy(&p);
}

/* inline mode */

static void inline_it_runs_only_when_told(void **state)
{
	struct probe p;

	(void)state;
	workq_inline(true);
	thread_fail_at(1, 1);
	probe_init(&p, 2);
	start(&p, 1);
	ticker_poke(p.t);
	assert_int_equal(p.total, 0);
	ticker_run(p.t);
	assert_int_equal(p.total, 1);
	assert_true(pthread_equal(p.ran_in, pthread_self()));
	ticker_run(p.t);
	assert_int_equal(p.total, 2);
	ticker_free(p.t);
	probe_destroy(&p);
}

struct nested {
	struct ticker *t;
	unsigned calls;
};

static void run_again(void *arg)
{
	struct nested *n = arg;

	if (++n->calls < 5)
		ticker_run(n->t);
}

static void inline_calls_do_not_overlap(void **state)
{
	struct nested n = {0};

	(void)state;
	workq_inline(true);
	assert_int_equal(ticker_new("tick", 1, run_again, &n, &n.t), 0);
	ticker_run(n.t);
	assert_int_equal(n.calls, 1);
	ticker_run(n.t);
	assert_int_equal(n.calls, 2);
	ticker_free(n.t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_calls_again_and_again),
		cmocka_unit_test(a_poke_does_not_wait_for_the_period),
		cmocka_unit_test(run_is_a_poke_where_there_is_a_thread),
		cmocka_unit_test(a_poke_inside_a_call_asks_for_one_more),
		cmocka_unit_test(free_waits_for_a_call),
		cmocka_unit_test(free_does_not_wait_for_the_period),
		cmocka_unit_test_teardown(
			the_period_is_in_the_time_of_the_clock, seams_off),
		cmocka_unit_test_teardown(failures_are_reported, seams_off),
		cmocka_unit_test_teardown(inline_it_runs_only_when_told,
					  seams_off),
		cmocka_unit_test_teardown(inline_calls_do_not_overlap,
					  seams_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
