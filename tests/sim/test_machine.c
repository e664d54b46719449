/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated machine's threads and time (sim_sched.c), without an engine:
 * what one seed decides, what ends a run, and that waiting is waiting.
 */
#include "unit/base/base_test.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "base/rnd.h"
#include "base/sync.h"
#include "base/thread.h"
#include "sim.h"

#define SECOND 1000000000ULL

/* ---- one seed, one run ---- */

#define WORKERS 5

struct race {
	struct mutex mu;
	char order[64]; /* who held the lock, in turn */
	unsigned n;
	uint64_t key; /* of rnd.h */
};

struct racer {
	struct race *r;
	char name;
};

static void race(void *arg)
{
	struct racer *me = arg;

	for (unsigned i = 0; i < 10; i++) {
		mutex_lock(&me->r->mu);
		me->r->order[me->r->n++] = me->name;
		mutex_unlock(&me->r->mu);
		sim_sleep_ns(sim_dice(1000));
	}
}

static void run_race(void *arg)
{
	struct race *r = arg;
	struct racer racer[WORKERS];
	struct sim_thread *t[WORKERS];

	mutex_init(&r->mu);
	rnd_bytes(&r->key, sizeof(r->key));
	for (unsigned i = 0; i < WORKERS; i++) {
		racer[i] = (struct racer){r, (char)('a' + i)};
		t[i] = sim_start("racer", race, &racer[i]);
	}
	for (unsigned i = 0; i < WORKERS; i++)
		sim_join(t[i]);
	mutex_destroy(&r->mu);
}

static void the_seed_decides_everything(void **state)
{
	struct race a = {.n = 0}, b = {.n = 0}, other;
	uint64_t print;
	unsigned differ = 0;

	(void)state;
	sim_run(7, run_race, &a);
	print = sim_fingerprint();
	sim_run(7, run_race, &b);
	assert_true(sim_fingerprint() == print);
	assert_string_equal(a.order, b.order);
	assert_int_equal(strlen(a.order), 10 * WORKERS);
	assert_true(a.key == b.key);
	for (uint64_t seed = 8; seed < 18; seed++) {
		memset(&other, 0, sizeof(other));
		sim_run(seed, run_race, &other);
		assert_true(sim_fingerprint() != print);
		assert_true(other.key != a.key);
		differ += strcmp(other.order, a.order) != 0;
	}
	assert_int_equal(differ, 10);
}

static void draw_key(void *arg)
{
	struct mutex mu;

	mutex_init(&mu);
	for (uint64_t i = *(uint64_t *)arg; i > 0; i--)
		(void)sim_dice(10);
	rnd_bytes(arg, 8);
	mutex_lock(&mu);
	mutex_unlock(&mu);
	mutex_destroy(&mu);
}

static void dice_change_no_key(void **state)
{
	uint64_t none = 0, some = 17;

	(void)state;
	sim_run(3, draw_key, &none);
	sim_run(3, draw_key, &some);
	assert_true(none == some);
}

/* ---- hand-overs ---- */

struct pair {
	struct mutex mu;
	unsigned n;
	bool overtaken;
};

static void count_up(void *arg)
{
	struct pair *p = arg;

	for (unsigned i = 0; i < 200; i++) {
		unsigned before = p->n;

		mutex_lock(&p->mu);
		p->overtaken = p->overtaken || p->n != before;
		p->n++;
		mutex_unlock(&p->mu);
	}
}

static void run_pair(void *arg)
{
	struct pair *p = arg;
	struct sim_thread *t, *u;

	mutex_init(&p->mu);
	t = sim_start("one", count_up, p);
	u = sim_start("two", count_up, p);
	sim_join(t);
	sim_join(u);
	mutex_destroy(&p->mu);
}

static void locks_hand_over_as_often_as_told(void **state)
{
	struct pair often = {.n = 0}, never = {.n = 0};

	(void)state;
	sim_set_yields(500);
	sim_run(1, run_pair, &often);
	sim_set_yields(0);
	sim_run(1, run_pair, &never);
	sim_set_yields(20);
	assert_int_equal(often.n, 400);
	assert_int_equal(never.n, 400);
	assert_true(often.overtaken);
	assert_false(never.overtaken);
}

/* ---- mutexes ---- */

static void hold_over_sleep(void *arg)
{
	struct pair *p = arg;

	mutex_lock(&p->mu);
	assert_int_equal(p->n++ % 2, 0);
	sim_sleep_ns(100);
	assert_int_equal(p->n++ % 2, 1);
	mutex_unlock(&p->mu);
}

static void run_exclusion(void *arg)
{
	struct pair *p = arg;
	struct sim_thread *t[8];

	mutex_init(&p->mu);
	for (unsigned i = 0; i < 8; i++)
		t[i] = sim_start("holder", hold_over_sleep, p);
	assert_true(mutex_trylock(&p->mu));
	assert_int_equal(p->n % 2, 0);
	sim_sleep_ns(5000);
	assert_false(mutex_trylock(&p->mu));
	mutex_unlock(&p->mu);
	for (unsigned i = 0; i < 8; i++)
		sim_join(t[i]);
	mutex_destroy(&p->mu);
}

static void a_mutex_excludes(void **state)
{
	struct pair p = {.n = 0};

	(void)state;
	sim_set_yields(0);
	sim_run(5, run_exclusion, &p);
	sim_set_yields(20);
	assert_int_equal(p.n, 16);
}

static struct mutex static_mu = MUTEX_INIT;

static void lock_twice(void *arg)
{
	(void)arg;
	mutex_lock(&static_mu);
	mutex_lock(&static_mu);
}

static void run_lock_twice(void)
{
	sim_run(1, lock_twice, NULL);
}

static void lock_anothers(void *arg)
{
	mutex_lock(arg);
}

static void unlock_anothers(void *arg)
{
	(void)arg;
	sim_join(sim_start("owner", lock_anothers, &static_mu));
	mutex_unlock(&static_mu);
}

static void run_unlock_anothers(void)
{
	sim_run(1, unlock_anothers, NULL);
}

static void destroy_held(void *arg)
{
	(void)arg;
	mutex_lock(&static_mu);
	mutex_destroy(&static_mu);
}

static void run_destroy_held(void)
{
	sim_run(1, destroy_held, NULL);
}

static void misuse_aborts(void **state)
{
	(void)state;
	assert_true(aborts(run_lock_twice));
	assert_true(aborts(run_unlock_anothers));
	assert_true(aborts(run_destroy_held));
	/* a static one is free at first, and outside of a run, too */
	mutex_lock(&static_mu);
	assert_false(mutex_trylock(&static_mu));
	mutex_unlock(&static_mu);
}

/* ---- time ---- */

static void hours_cost_nothing(void *arg)
{
	uint64_t before = clock_mono_ns();
	int64_t real = clock_real_ns();

	(void)arg;
	sim_sleep_ns(10 * 3600 * SECOND);
	assert_true(clock_mono_ns() >= before + 10 * 3600 * SECOND);
	assert_true(clock_mono_ns() < before + 10 * 3600 * SECOND + SECOND);
	assert_true(clock_real_ns() - real >= (int64_t)(10 * 3600 * SECOND));
}

static void time_jumps_when_nobody_can_run(void **state)
{
	(void)state;
	sim_run(1, hours_cost_nothing, NULL);
	assert_true(clock_is_replaced());
}

struct napper {
	uint64_t ns;
	uint64_t *woke; /* numbers in order */
	unsigned *n;
};

static void nap(void *arg)
{
	struct napper *me = arg;

	sim_sleep_ns(me->ns);
	me->woke[(*me->n)++] = me->ns;
}

static void run_naps(void *arg)
{
	static const uint64_t ns[4] = {3 * SECOND, SECOND, 4 * SECOND,
				       2 * SECOND};
	uint64_t woke[4];
	unsigned n = 0;
	struct napper napper[4];
	struct sim_thread *t[4];

	(void)arg;
	for (unsigned i = 0; i < 4; i++) {
		napper[i] = (struct napper){ns[i], woke, &n};
		t[i] = sim_start("napper", nap, &napper[i]);
	}
	for (unsigned i = 0; i < 4; i++)
		sim_join(t[i]);
	for (unsigned i = 0; i < 4; i++)
		assert_true(woke[i] == (i + 1) * SECOND);
}

static void sleepers_wake_in_the_order_of_their_deadlines(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 10; seed++)
		sim_run(seed, run_naps, NULL);
}

/* ---- conditions ---- */

struct wait {
	struct mutex mu;
	struct cond cv;
	bool set;
	unsigned woken;
	uint64_t ns; /* until it is set */
};

static void set_later(void *arg)
{
	struct wait *w = arg;

	sim_sleep_ns(w->ns);
	mutex_lock(&w->mu);
	w->set = true;
	cond_signal(&w->cv);
	mutex_unlock(&w->mu);
}

/* True: it was signalled; after so many simulated nanoseconds. */
static bool wait_up_to(struct wait *w, uint64_t patience, uint64_t *took)
{
	struct sim_thread *t = sim_start("setter", set_later, w);
	uint64_t before = clock_mono_ns();
	bool signalled = true;

	mutex_lock(&w->mu);
	while (!w->set && signalled)
		signalled = cond_wait_until(&w->cv, &w->mu, before + patience);
	*took = clock_mono_ns() - before;
	mutex_unlock(&w->mu);
	sim_join(t);
	return signalled;
}

static void run_deadlines(void *arg)
{
	struct wait w = {.ns = SECOND};
	uint64_t took;

	(void)arg;
	mutex_init(&w.mu);
	cond_init(&w.cv);
	assert_true(wait_up_to(&w, 2 * SECOND, &took));
	assert_true(took >= SECOND && took < SECOND + SECOND / 100);
	w.set = false;
	w.ns = 3 * SECOND;
	assert_false(wait_up_to(&w, 2 * SECOND, &took));
	assert_true(took >= 2 * SECOND && took < 2 * SECOND + SECOND / 100);
	mutex_lock(&w.mu);
	assert_false(cond_wait_until(&w.cv, &w.mu, 0));
	assert_false(cond_wait_until(&w.cv, &w.mu, clock_mono_ns()));
	mutex_unlock(&w.mu);
	cond_destroy(&w.cv);
	mutex_destroy(&w.mu);
}

static void conditions_have_deadlines_in_simulated_time(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 10; seed++)
		sim_run(seed, run_deadlines, NULL);
}

static void wait_for_set(void *arg)
{
	struct wait *w = arg;

	mutex_lock(&w->mu);
	while (!w->set)
		cond_wait(&w->cv, &w->mu);
	w->woken++;
	mutex_unlock(&w->mu);
}

static void run_broadcast(void *arg)
{
	struct wait w = {.set = false};
	struct sim_thread *t[6];

	(void)arg;
	mutex_init(&w.mu);
	cond_init(&w.cv);
	for (unsigned i = 0; i < 6; i++)
		t[i] = sim_start("waiter", wait_for_set, &w);
	sim_sleep_ns(SECOND);
	w.set = true;
	cond_signal(&w.cv);
	sim_sleep_ns(SECOND);
	assert_int_equal(w.woken, 1);
	cond_broadcast(&w.cv);
	for (unsigned i = 0; i < 6; i++)
		sim_join(t[i]);
	assert_int_equal(w.woken, 6);
	cond_destroy(&w.cv);
	mutex_destroy(&w.mu);
}

static void one_is_signalled_and_all_are_told(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 10; seed++)
		sim_run(seed, run_broadcast, NULL);
}

/* ---- threads ---- */

static void *say_so(void *arg)
{
	sim_sleep_ns(SECOND);
	++*(unsigned *)arg;
	return NULL;
}

static void run_threads(void *arg)
{
	unsigned n = 0;
	pthread_t t, u;

	(void)arg;
	assert_int_equal(thread_start("joined", say_so, &n, &t), 0);
	assert_false(thread_is_self(t));
	thread_join(t);
	assert_int_equal(n, 1);
	/* detached while it runs, and after its end */
	assert_int_equal(thread_start("running", say_so, &n, &t), 0);
	thread_detach(t);
	assert_int_equal(thread_start("over", say_so, &n, &u), 0);
	sim_sleep_ns(2 * SECOND);
	assert_int_equal(n, 3);
	thread_detach(u);
	thread_fail_at(2, 0);
	assert_int_equal(thread_start("first", say_so, &n, &t), 0);
	assert_int_equal(thread_start("second", say_so, &n, &u), -EAGAIN);
	thread_join(t);
	thread_fail_at(1, 1);
	assert_int_equal(thread_start("third", say_so, &n, &u), -EAGAIN);
	assert_int_equal(thread_start("fourth", say_so, &n, &u), -EAGAIN);
	thread_fail_at(0, 0);
}

static void threads_are_joined_or_detached(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 10; seed++)
		sim_run(seed, run_threads, NULL);
}

static void stack_user(void *arg)
{
	volatile unsigned far[25 << 10];
	unsigned mine = *(unsigned *)arg, wrong = 0;

	for (size_t i = 0; i < ARRAY_LEN(far); i++)
		far[i] = mine;
	sim_sleep_ns(1 + sim_dice(100));
	for (size_t i = 0; i < ARRAY_LEN(far); i++)
		wrong += far[i] != mine;
	assert_int_equal(wrong, 0);
}

static void run_many(void *arg)
{
	struct sim_thread *t[40];
	unsigned number[40];

	(void)arg;
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 40; i++) {
			number[i] = i + 100 * round;
			t[i] = sim_start("user", stack_user, &number[i]);
		}
		for (unsigned i = 0; i < 40; i++)
			sim_join(t[i]);
	}
}

static void stacks_are_apart(void **state)
{
	(void)state;
	sim_run(1, run_many, NULL);
}

/* ---- runs that cannot end well ---- */

/* What fn() says on stderr before it aborts; "" if it does not. */
static const char *last_words(void (*fn)(void))
{
	static char text[4096];
	ssize_t n;
	size_t len = 0;
	int fd[2], status;
	pid_t pid;

	assert_int_equal(pipe(fd), 0);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL);
		dup2(fd[1], STDERR_FILENO);
		fn();
		_exit(0);
	}
	close(fd[1]);
	while ((n = read(fd[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = 0;
	close(fd[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
		text[0] = 0;
	return text;
}

static void expect_words(void (*fn)(void), const char *what, const char *who)
{
	const char *text = last_words(fn);

	if (!strstr(text, what) || !strstr(text, "seed 11") ||
	    !strstr(text, who))
		fail_msg("wanted \"%s\", \"seed 11\" and \"%s\": %s", what, who,
			 text);
}

static void lock_and_wait(void *arg)
{
	(void)arg;
	mutex_lock(&static_mu);
	sim_join(sim_start("forsaken", lock_anothers, &static_mu));
}

static void deadlock(void)
{
	sim_run(11, lock_and_wait, NULL);
}

static void wait_for_nothing(void *arg)
{
	struct wait w = {.set = false};

	(void)arg;
	mutex_init(&w.mu);
	cond_init(&w.cv);
	mutex_lock(&w.mu);
	cond_wait(&w.cv, &w.mu);
}

static void lost_wakeup(void)
{
	sim_run(11, wait_for_nothing, NULL);
}

static void leave_one(void *arg)
{
	pthread_t t;

	assert_int_equal(thread_start("leftover", say_so, arg, &t), 0);
}

static void leftover(void)
{
	unsigned n = 0;

	sim_run(11, leave_one, &n);
}

static void poll_for_ever(void *arg)
{
	(void)arg;
	for (;;)
		sim_sleep_ns(60 * SECOND);
}

static void endless(void)
{
	sim_run(11, poll_for_ever, NULL);
}

static void hopeless_runs_say_why(void **state)
{
	(void)state;
	expect_words(deadlock, "deadlock", "forsaken");
	expect_words(lost_wakeup, "deadlock", "waits");
	expect_words(leftover, "threads are left", "leftover");
	expect_words(endless, "does not end", "sleeps");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_seed_decides_everything),
		cmocka_unit_test(dice_change_no_key),
		cmocka_unit_test(locks_hand_over_as_often_as_told),
		cmocka_unit_test(a_mutex_excludes),
		cmocka_unit_test(misuse_aborts),
		cmocka_unit_test(time_jumps_when_nobody_can_run),
		cmocka_unit_test(sleepers_wake_in_the_order_of_their_deadlines),
		cmocka_unit_test(conditions_have_deadlines_in_simulated_time),
		cmocka_unit_test(one_is_signalled_and_all_are_told),
		cmocka_unit_test(threads_are_joined_or_detached),
		cmocka_unit_test(stacks_are_apart),
		cmocka_unit_test(hopeless_runs_say_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
