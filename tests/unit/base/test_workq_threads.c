/* SPDX-License-Identifier: Apache-2.0 */
/* Where jobs run: what a worker's thread is like, and doing without one. */
#include "base_test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "base/thread.h"
#include "base/workq.h"

static int seams_off(void **state)
{
	(void)state;
	mem_fail_at(0, 0);
	thread_fail_at(0, 0);
	workq_inline(false);
	return 0;
}

static struct workq *new_queue(unsigned threads)
{
	struct workq *q = NULL;

	assert_int_equal(workq_new("test", threads, &q), 0);
	return q;
}

static void count(void *arg)
{
	atomic_fetch_add((atomic_uint *)arg, 1);
}

struct seen {
	sigset_t mask;
	char name[32];
};

static void look_around(void *arg)
{
	struct seen *s = arg;

	pthread_sigmask(SIG_BLOCK, NULL, &s->mask);
	pthread_getname_np(pthread_self(), s->name, sizeof(s->name));
}

static void look_from(const char *name, struct seen *s)
{
	struct workq *q;

	assert_int_equal(workq_new(name, 1, &q), 0);
	assert_int_equal(workq_submit(q, look_around, s), 0);
	workq_free(q);
}

static void workers_leave_signals_to_the_main_thread(void **state)
{
	sigset_t before, after;
	struct seen s;

	(void)state;
	pthread_sigmask(SIG_BLOCK, NULL, &before);
	look_from("test", &s);
	pthread_sigmask(SIG_BLOCK, NULL, &after);
	for (int i = 1; i < NSIG; i++) {
		assert_int_equal(sigismember(&before, i),
				 sigismember(&after, i));
	}
	assert_true(sigismember(&s.mask, SIGTERM));
	assert_true(sigismember(&s.mask, SIGINT));
	assert_true(sigismember(&s.mask, SIGHUP));
	assert_false(sigismember(&s.mask, SIGSEGV));
	assert_false(sigismember(&s.mask, SIGABRT));
}

static void workers_have_names(void **state)
{
	struct seen s;

	(void)state;
	look_from("backend", &s);
	assert_string_equal(s.name, "backend");
	look_from("a-name-longer-than-is-shown", &s);
	assert_string_equal(s.name, "a-name-longer-t");
}

/* inline mode */

static void note_thread(void *arg)
{
	*(pthread_t *)arg = pthread_self();
}

static void inline_jobs_run_in_the_caller(void **state)
{
	struct workq *q;
	pthread_t ran_in = 0;

	(void)state;
	assert_false(workq_is_inline());
	workq_inline(true);
	assert_true(workq_is_inline());
	/* no thread could be made */
	thread_fail_at(1, 1);
	q = new_queue(4);
	assert_int_equal(workq_submit(q, note_thread, &ran_in), 0);
	assert_true(pthread_equal(ran_in, pthread_self()));
	assert_int_equal(workq_load(q), 0);
	workq_drain(q);
	workq_free(q);
	assert_true(workq_abandon(new_queue(1), 0, NULL));
}

static void the_mode_is_that_of_the_making(void **state)
{
	struct workq *threaded = new_queue(1), *q;
	pthread_t ran_in = pthread_self();

	(void)state;
	workq_inline(true);
	q = new_queue(1);
	assert_int_equal(workq_submit(threaded, note_thread, &ran_in), 0);
	workq_drain(threaded);
	assert_false(pthread_equal(ran_in, pthread_self()));
	workq_inline(false);
	assert_int_equal(workq_submit(q, note_thread, &ran_in), 0);
	assert_true(pthread_equal(ran_in, pthread_self()));
	workq_free(threaded);
	workq_free(q);
}

struct nest {
	struct workq *q;
	unsigned depth, deepest;
	unsigned load;
	int rc;
};

static void go_deeper(void *arg)
{
	struct nest *n = arg;

	n->depth++;
	n->deepest = MAX(n->deepest, n->depth);
	n->load = MAX(n->load, workq_load(n->q));
	if (n->deepest < 3)
		n->rc = workq_submit(n->q, go_deeper, n);
	n->depth--;
}

static void inline_jobs_may_submit(void **state)
{
	struct nest n = {0};

	(void)state;
	workq_inline(true);
	n.q = new_queue(1);
	assert_int_equal(workq_submit(n.q, go_deeper, &n), 0);
	assert_int_equal(n.rc, 0);
	assert_int_equal(n.depth, 0);
	assert_int_equal(n.deepest, 3);
	assert_int_equal(n.load, 3);
	assert_int_equal(workq_load(n.q), 0);
	workq_free(n.q);
}

static void inline_submit_can_fail(void **state)
{
	struct workq *q;
	atomic_uint ran = 0;

	(void)state;
	workq_inline(true);
	q = new_queue(1);
	mem_fail_at(1, 0);
	assert_int_equal(workq_submit(q, count, &ran), -ENOMEM);
	assert_int_equal(atomic_load(&ran), 0);
	workq_free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(workers_leave_signals_to_the_main_thread),
		cmocka_unit_test(workers_have_names),
		cmocka_unit_test_teardown(inline_jobs_run_in_the_caller,
					  seams_off),
		cmocka_unit_test_teardown(the_mode_is_that_of_the_making,
					  seams_off),
		cmocka_unit_test_teardown(inline_jobs_may_submit, seams_off),
		cmocka_unit_test_teardown(inline_submit_can_fail, seams_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
