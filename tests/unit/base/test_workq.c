/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers Q1 to Q4 are those on top of base/workq.c. */
#include "base_test.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/sync.h"
#include "base/thread.h"
#include "base/workq.h"

static int seams_off(void **state)
{
	(void)state;
	mem_fail_at(0, 0);
	thread_fail_at(0, 0);
	return 0;
}

static struct workq *new_queue(unsigned threads)
{
	struct workq *q = NULL;

	assert_int_equal(workq_new("test", threads, &q), 0);
	assert_non_null(q);
	return q;
}

static void count(void *arg)
{
	atomic_fetch_add((atomic_uint *)arg, 1);
}

static void wait_for_latch(void *arg)
{
	latch_wait(arg);
}

/* Q1 */

struct order {
	unsigned next;
	bool wrong;
};

struct order_job {
	struct order *order;
	unsigned number;
};

static void check_order(void *arg)
{
	struct order_job *j = arg;

	if (j->order->next++ != j->number)
		j->order->wrong = true;
}

static void one_worker_keeps_the_order(void **state)
{
	struct workq *q = new_queue(1);
	struct order order = {0};
	struct order_job job[100];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(job); i++) {
		job[i] = (struct order_job){&order, i};
		assert_int_equal(workq_submit(q, check_order, &job[i]), 0);
	}
	workq_free(q);
	assert_int_equal(order.next, ARRAY_LEN(job));
	assert_false(order.wrong);
}

static void meet_others(void *arg)
{
	latch_down(arg);
	latch_wait(arg);
}

static void workers_run_side_by_side(void **state)
{
	struct workq *q = new_queue(4);
	struct latch all;

	(void)state;
	latch_init(&all, 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(workq_submit(q, meet_others, &all), 0);
	assert_true(latch_wait_until(&all, patience_deadline()));
	workq_free(q);
	latch_destroy(&all);
}

static void free_runs_what_is_queued(void **state)
{
	struct workq *q = new_queue(1);
	atomic_uint ran = 0;
	struct latch gate;

	(void)state;
	latch_init(&gate, 1);
	assert_int_equal(workq_submit(q, wait_for_latch, &gate), 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(workq_submit(q, count, &ran), 0);
	assert_int_equal(workq_load(q), 11);
	assert_int_equal(atomic_load(&ran), 0);
	latch_down(&gate);
	workq_free(q);
	assert_int_equal(atomic_load(&ran), 10);
	latch_destroy(&gate);
}

static void null_is_freed(void **state)
{
	(void)state;
	workq_free(NULL);
	assert_true(workq_abandon(NULL, 0, NULL));
	ticker_free(NULL);
}

static void an_idle_queue_is_freed(void **state)
{
	(void)state;
	workq_free(new_queue(64));
	assert_true(workq_abandon(new_queue(64), 20000, NULL));
}

static void yield_and_count(void *arg)
{
	for (int i = 0; i < 50; i++)
		sched_yield();
	count(arg);
}

struct slow {
	struct latch begun;
	atomic_uint ended;
};

static void begin_and_end_late(void *arg)
{
	struct slow *s = arg;

	latch_down(&s->begun);
	for (int i = 0; i < 1000; i++)
		sched_yield();
	count(&s->ended);
}

static void drain_waits_for_a_running_job(void **state)
{
	struct workq *q = new_queue(1);
	struct slow s = {.ended = 0};

	(void)state;
	latch_init(&s.begun, 1);
	assert_int_equal(workq_submit(q, begin_and_end_late, &s), 0);
	latch_wait(&s.begun);
	workq_drain(q);
	assert_int_equal(atomic_load(&s.ended), 1);
	workq_free(q);
	latch_destroy(&s.begun);
}

static void drain_waits_for_all_before_it(void **state)
{
	struct workq *q = new_queue(3);
	atomic_uint ran = 0;

	(void)state;
	workq_drain(q);
	for (unsigned round = 1; round <= 20; round++) {
		for (int i = 0; i < 5; i++) {
			assert_int_equal(workq_submit(q, yield_and_count, &ran),
					 0);
		}
		workq_drain(q);
		assert_int_equal(atomic_load(&ran), 5 * round);
		assert_int_equal(workq_load(q), 0);
	}
	workq_free(q);
}

/* A job that queues itself again until it is told to stop, or gives up. */
struct chain {
	struct workq *q;
	uint64_t deadline_ns;
	atomic_bool stop;
	atomic_bool gave_up;
	atomic_int rc;
};

static void link_on(void *arg)
{
	struct chain *c = arg;

	if (atomic_load(&c->stop))
		return;
	if (clock_mono_ns() >= c->deadline_ns)
		atomic_store(&c->gave_up, true);
	else
		atomic_store(&c->rc, workq_submit(c->q, link_on, c));
}

/* Two chains on one worker: there is always a job waiting. */
static void drain_does_not_wait_for_later_jobs(void **state)
{
	struct chain c = {.q = new_queue(1),
			  .deadline_ns = patience_deadline()};

	(void)state;
	assert_int_equal(workq_submit(c.q, link_on, &c), 0);
	assert_int_equal(workq_submit(c.q, link_on, &c), 0);
	workq_drain(c.q);
	assert_false(atomic_load(&c.gave_up));
	assert_true(workq_load(c.q) > 0);
	atomic_store(&c.stop, true);
	workq_free(c.q);
	/* the last link may have met the queue's end */
	assert_true(atomic_load(&c.rc) == 0 ||
		    atomic_load(&c.rc) == -ERR_STOPPED);
}

/* abandon */

static struct workq *stopping;
static int rc_when_stopping;
static unsigned load_when_stopping;
static unsigned cancelled;
static struct latch *open_when_cancelled;

static void cancel_job(void *arg)
{
	assert_ptr_equal(arg, &cancelled);
	cancelled++;
	load_when_stopping = workq_load(stopping);
	rc_when_stopping = workq_submit(stopping, count, NULL);
	if (open_when_cancelled)
		latch_down(open_when_cancelled);
}

static void must_not_run(void *arg)
{
	(void)arg;
	abort();
}

/* One worker busy until hung->gate opens, and `queued` jobs behind it. */
struct hung {
	struct latch begun;
	struct latch gate;
	struct latch ended;
};

static void hang(void *arg)
{
	struct hung *h = arg;

	latch_down(&h->begun);
	latch_wait(&h->gate);
	latch_down(&h->ended);
}

static struct workq *hung_queue(struct hung *h, unsigned queued)
{
	struct workq *q = new_queue(1);

	latch_init(&h->begun, 1);
	latch_init(&h->gate, 1);
	latch_init(&h->ended, 1);
	assert_int_equal(workq_submit(q, hang, h), 0);
	latch_wait(&h->begun);
	for (unsigned i = 0; i < queued; i++)
		assert_int_equal(workq_submit(q, must_not_run, &cancelled), 0);
	cancelled = 0;
	rc_when_stopping = 0;
	open_when_cancelled = NULL;
	stopping = q;
	return q;
}

static void hung_release(struct hung *h)
{
	latch_wait(&h->ended);
	latch_destroy(&h->begun);
	latch_destroy(&h->gate);
	latch_destroy(&h->ended);
}

/* The worker, once it is let go, frees the queue itself (Q3). */
static void abandon_leaves_a_hung_job_behind(void **state)
{
	struct hung h;
	struct workq *q = hung_queue(&h, 3);
	uint64_t start = clock_mono_ns();

	(void)state;
	assert_false(workq_abandon(q, 10, cancel_job));
	assert_true(clock_mono_ns() - start >= 10 * 1000000ULL);
	assert_int_equal(cancelled, 3);
	assert_int_equal(load_when_stopping, 1);
	assert_int_equal(rc_when_stopping, -ERR_STOPPED);
	latch_down(&h.gate);
	hung_release(&h);
}

static void abandon_without_a_cancel_drops_the_jobs(void **state)
{
	struct hung h;
	struct workq *q = hung_queue(&h, 3);

	(void)state;
	assert_false(workq_abandon(q, 0, NULL));
	latch_down(&h.gate);
	hung_release(&h);
}

static void abandon_sees_a_job_end_in_time(void **state)
{
	struct hung h;
	struct workq *q = hung_queue(&h, 1);

	(void)state;
	open_when_cancelled = &h.gate;
	assert_true(workq_abandon(q, 20000, cancel_job));
	assert_int_equal(cancelled, 1);
	hung_release(&h);
}

static void abandon_with_a_huge_timeout_does_not_wrap(void **state)
{
	struct hung h;
	struct workq *q = hung_queue(&h, 1);

	(void)state;
	open_when_cancelled = &h.gate;
	assert_true(workq_abandon(q, UINT64_MAX, cancel_job));
	hung_release(&h);
}

/* Of two workers one hangs: the other one is not the last. */
static void abandon_with_one_of_two_hung(void **state)
{
	struct workq *q = new_queue(2);
	atomic_uint ran = 0;
	struct hung h;

	(void)state;
	latch_init(&h.begun, 1);
	latch_init(&h.gate, 1);
	latch_init(&h.ended, 1);
	assert_int_equal(workq_submit(q, hang, &h), 0);
	latch_wait(&h.begun);
	assert_int_equal(workq_submit(q, count, &ran), 0);
	assert_false(workq_abandon(q, 10, NULL));
	latch_down(&h.gate);
	hung_release(&h);
}

/* failures */

static void no_memory_is_reported(void **state)
{
	struct workq *q = NULL;
	atomic_uint ran = 0;

	(void)state;
	mem_fail_at(1, 0);
	assert_int_equal(workq_new("test", 2, &q), -ENOMEM);
	assert_null(q);
	q = new_queue(2);
	mem_fail_at(1, 0);
	assert_int_equal(workq_submit(q, count, &ran), -ENOMEM);
	assert_int_equal(workq_load(q), 0);
	assert_int_equal(workq_submit(q, count, &ran), 0);
	workq_free(q);
	assert_int_equal(atomic_load(&ran), 1);
}

static void any_worker_may_fail_to_start(void **state)
{
	struct workq *q = NULL;

	(void)state;
	for (unsigned i = 1; i <= 4; i++) {
		thread_fail_at(i, 0);
		assert_int_equal(workq_new("test", 4, &q), -EAGAIN);
		assert_null(q);
	}
}

static void free_myself(void *arg)
{
	workq_free(arg);
}

static void free_from_a_job(void)
{
	struct workq *q;

	if (workq_new("test", 1, &q) == 0 &&
	    workq_submit(q, free_myself, q) == 0)
		pause();
}

static void drain_myself(void *arg)
{
	workq_drain(arg);
}

static void drain_from_a_job(void)
{
	struct workq *q;

	if (workq_new("test", 1, &q) == 0 &&
	    workq_submit(q, drain_myself, q) == 0)
		pause();
}

static void no_threads(void)
{
	struct workq *q;

	(void)workq_new("test", 0, &q);
}

static void misuse_aborts(void **state)
{
	(void)state;
	assert_true(aborts(free_from_a_job));
	assert_true(aborts(drain_from_a_job));
	assert_true(aborts(no_threads));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* forks, so it comes before there are threads */
		cmocka_unit_test(misuse_aborts),
		cmocka_unit_test(one_worker_keeps_the_order),
		cmocka_unit_test(workers_run_side_by_side),
		cmocka_unit_test(free_runs_what_is_queued),
		cmocka_unit_test(null_is_freed),
		cmocka_unit_test(an_idle_queue_is_freed),
		cmocka_unit_test(drain_waits_for_a_running_job),
		cmocka_unit_test(drain_waits_for_all_before_it),
		cmocka_unit_test(drain_does_not_wait_for_later_jobs),
		cmocka_unit_test(abandon_leaves_a_hung_job_behind),
		cmocka_unit_test(abandon_without_a_cancel_drops_the_jobs),
		cmocka_unit_test(abandon_sees_a_job_end_in_time),
		cmocka_unit_test(abandon_with_a_huge_timeout_does_not_wrap),
		cmocka_unit_test(abandon_with_one_of_two_hung),
		cmocka_unit_test_teardown(no_memory_is_reported, seams_off),
		cmocka_unit_test_teardown(any_worker_may_fail_to_start,
					  seams_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
