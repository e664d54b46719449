/* SPDX-License-Identifier: Apache-2.0 */
#include "base_test.h"

#include <stdatomic.h>

#include "base/sync.h"

struct shared {
	struct mutex mu;
	struct cond cv;
	int value;
};

static void shared_init(struct shared *s)
{
	mutex_init(&s->mu);
	cond_init(&s->cv);
	s->value = 0;
}

static void shared_destroy(struct shared *s)
{
	cond_destroy(&s->cv);
	mutex_destroy(&s->mu);
}

static pthread_t start(void *(*run)(void *), void *arg)
{
	pthread_t t;

	assert_int_equal(pthread_create(&t, NULL, run, arg), 0);
	return t;
}

static void join(pthread_t t)
{
	assert_int_equal(pthread_join(t, NULL), 0);
}

static void *count_up(void *arg)
{
	struct shared *s = arg;

	for (int i = 0; i < 5000; i++) {
		MUTEX_GUARD(&s->mu);
		s->value++;
	}
	return NULL;
}

static void a_mutex_excludes(void **state)
{
	struct shared s;
	pthread_t t[3];

	(void)state;
	shared_init(&s);
	for (int i = 0; i < 3; i++)
		t[i] = start(count_up, &s);
	for (int i = 0; i < 3; i++)
		join(t[i]);
	assert_int_equal(s.value, 15000);
	shared_destroy(&s);
}

static void *try_to_lock(void *arg)
{
	struct shared *s = arg;

	s->value = mutex_trylock(&s->mu);
	if (s->value)
		mutex_unlock(&s->mu);
	return NULL;
}

static void trylock_tells_whether_it_is_held(void **state)
{
	struct shared s;

	(void)state;
	shared_init(&s);
	mutex_lock(&s.mu);
	join(start(try_to_lock, &s));
	assert_int_equal(s.value, 0);
	mutex_unlock(&s.mu);
	join(start(try_to_lock, &s));
	assert_int_equal(s.value, 1);
	shared_destroy(&s);
}

static void a_guard_ends_with_its_scope(void **state)
{
	static struct mutex mu = MUTEX_INIT;

	(void)state;
	for (int i = 0; i < 2; i++) {
		MUTEX_GUARD(&mu);
		assert_false(mutex_trylock(&mu));
	}
	assert_true(mutex_trylock(&mu));
	mutex_unlock(&mu);
}

static void lock_twice(void)
{
	struct mutex mu;

	mutex_init(&mu);
	mutex_lock(&mu);
	mutex_lock(&mu);
}

static void unlock_unlocked(void)
{
	struct mutex mu;

	mutex_init(&mu);
	mutex_unlock(&mu);
}

static void misuse_aborts(void **state)
{
	(void)state;
	assert_true(aborts(lock_twice));
	assert_true(aborts(unlock_unlocked));
}

/* Hands the turn from odd to even and back. */
static void *wait_for_odd(void *arg)
{
	struct shared *s = arg;

	MUTEX_GUARD(&s->mu);
	for (int i = 0; i < 200; i++) {
		while (s->value % 2 == 0)
			cond_wait(&s->cv, &s->mu);
		s->value++;
		cond_signal(&s->cv);
	}
	return NULL;
}

static void conditions_hand_over(void **state)
{
	struct shared s;
	pthread_t t;

	(void)state;
	shared_init(&s);
	t = start(wait_for_odd, &s);
	mutex_lock(&s.mu);
	for (int i = 0; i < 200; i++) {
		while (s.value % 2)
			cond_wait(&s.cv, &s.mu);
		s.value++;
		cond_signal(&s.cv);
	}
	mutex_unlock(&s.mu);
	join(t);
	assert_int_equal(s.value, 400);
	shared_destroy(&s);
}

static void a_deadline_in_the_past_times_out_at_once(void **state)
{
	struct shared s;

	(void)state;
	shared_init(&s);
	mutex_lock(&s.mu);
	assert_false(cond_wait_until(&s.cv, &s.mu, 0));
	assert_false(cond_wait_until(&s.cv, &s.mu, clock_mono_ns()));
	assert_false(mutex_trylock(&s.mu));
	mutex_unlock(&s.mu);
	shared_destroy(&s);
}

static void a_timeout_is_not_early(void **state)
{
	struct shared s;
	uint64_t deadline;

	(void)state;
	shared_init(&s);
	mutex_lock(&s.mu);
	deadline = clock_mono_ns() + 20000000;
	while (cond_wait_until(&s.cv, &s.mu, deadline))
		;
	assert_true(clock_mono_ns() >= deadline);
	assert_false(mutex_trylock(&s.mu));
	mutex_unlock(&s.mu);
	shared_destroy(&s);
}

static void *set_and_broadcast(void *arg)
{
	struct shared *s = arg;

	MUTEX_GUARD(&s->mu);
	s->value = 1;
	cond_broadcast(&s->cv);
	return NULL;
}

static void a_signal_comes_before_the_deadline(void **state)
{
	static const uint64_t never[] = {UINT64_MAX, UINT64_MAX - 1};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct shared s;
		bool woken = true;
		pthread_t t;

		shared_init(&s);
		mutex_lock(&s.mu);
		t = start(set_and_broadcast, &s);
		while (!s.value && woken)
			woken = cond_wait_until(&s.cv, &s.mu, never[i]);
		mutex_unlock(&s.mu);
		join(t);
		assert_true(woken);
		shared_destroy(&s);
	}
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

static int system_clocks(void **state)
{
	(void)state;
	clock_replace(NULL);
	return 0;
}

/* Once the waiter has let go of the mutex, it sleeps: then an hour goes by. */
static void *pass_an_hour(void *arg)
{
	struct shared *s = arg;

	MUTEX_GUARD(&s->mu);
	atomic_store(&fake_ns, 3600 * 1000000000ULL);
	return NULL;
}

static void a_replaced_clock_rules_the_deadline(void **state)
{
	struct shared s;
	pthread_t t;

	(void)state;
	shared_init(&s);
	atomic_store(&fake_ns, 1);
	clock_replace(&fake);
	mutex_lock(&s.mu);
	t = start(pass_an_hour, &s);
	while (cond_wait_until(&s.cv, &s.mu, 3600 * 1000000000ULL))
		;
	assert_int_equal(clock_mono_ns(), 3600 * 1000000000ULL);
	mutex_unlock(&s.mu);
	join(t);
	shared_destroy(&s);
}

static void *latch_down_twice(void *arg)
{
	latch_down(arg);
	latch_down(arg);
	return NULL;
}

static void a_latch_opens_at_zero(void **state)
{
	struct latch l;
	pthread_t t;

	(void)state;
	latch_init(&l, 3);
	t = start(latch_down_twice, &l);
	latch_down(&l);
	latch_wait(&l);
	assert_int_equal(l.count, 0);
	assert_true(latch_wait_until(&l, 0));
	join(t);
	latch_destroy(&l);
}

static void a_latch_without_count_is_open(void **state)
{
	struct latch l;

	(void)state;
	latch_init(&l, 0);
	latch_wait(&l);
	assert_true(latch_wait_until(&l, 0));
	latch_destroy(&l);
}

static void a_latch_can_be_given_up(void **state)
{
	struct latch l;

	(void)state;
	latch_init(&l, 2);
	latch_down(&l);
	assert_false(latch_wait_until(&l, clock_mono_ns() + 1000000));
	latch_down(&l);
	assert_true(latch_wait_until(&l, patience_deadline()));
	latch_destroy(&l);
}

static void latch_below_zero(void)
{
	struct latch l;

	latch_init(&l, 1);
	latch_down(&l);
	latch_down(&l);
}

static void a_latch_below_zero_is_a_bug(void **state)
{
	(void)state;
	assert_true(aborts(latch_below_zero));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mutex_excludes),
		cmocka_unit_test(trylock_tells_whether_it_is_held),
		cmocka_unit_test(a_guard_ends_with_its_scope),
		cmocka_unit_test(misuse_aborts),
		cmocka_unit_test(conditions_hand_over),
		cmocka_unit_test(a_deadline_in_the_past_times_out_at_once),
		cmocka_unit_test(a_timeout_is_not_early),
		cmocka_unit_test(a_signal_comes_before_the_deadline),
		cmocka_unit_test_teardown(a_replaced_clock_rules_the_deadline,
					  system_clocks),
		cmocka_unit_test(a_latch_opens_at_zero),
		cmocka_unit_test(a_latch_without_count_is_open),
		cmocka_unit_test(a_latch_can_be_given_up),
		cmocka_unit_test(a_latch_below_zero_is_a_bug),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
