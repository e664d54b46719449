/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tickers of workq.h. One thread, asleep until the next call is due or
 * somebody pokes it; the calls are made without the lock.
 */
#include "base/workq.h"

#include <errno.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/sync.h"
#include "base/thread.h"

#define NS_PER_MS 1000000ULL
/* A year: longer periods mean "only when poked". */
#define PERIOD_MAX_MS (365ULL * 24 * 3600 * 1000)

struct ticker {
	struct mutex mu;
	struct cond wake; /* poked or stop has become true */
	bool poked;
	bool stop;
	bool calling; /* inline mode: fn is on the stack */
	bool is_inline;
	uint64_t period_ns;
	void (*fn)(void *arg);
	void *arg;
	pthread_t thread;
};

/* False: the ticker ends. A poke during a call asks for one more. */
static bool wait_for_turn(struct ticker *t, uint64_t due_ns)
{
	MUTEX_GUARD(&t->mu);
	while (!t->stop && !t->poked) {
		if (!cond_wait_until(&t->wake, &t->mu, due_ns))
			break;
	}
	t->poked = false;
	return !t->stop;
}

static void *tick(void *arg)
{
	struct ticker *t = arg;
	uint64_t start_ns = clock_mono_ns();

	while (wait_for_turn(t, start_ns + t->period_ns)) {
		start_ns = clock_mono_ns();
		t->fn(t->arg);
	}
	return NULL;
}

static struct ticker *ticker_alloc(uint64_t period_ms, void (*fn)(void *arg),
				   void *arg)
{
	struct ticker *t = mem_zalloc(sizeof(*t));

	if (!t)
		return NULL;
	mutex_init(&t->mu);
	cond_init(&t->wake);
	t->is_inline = workq_is_inline();
	t->period_ns = MIN(period_ms, PERIOD_MAX_MS) * NS_PER_MS;
	t->fn = fn;
	t->arg = arg;
	return t;
}

static void ticker_release(struct ticker *t)
{
	cond_destroy(&t->wake);
	mutex_destroy(&t->mu);
	mem_free(t);
}

int ticker_new(const char *name, uint64_t period_ms, void (*fn)(void *arg),
	       void *arg, struct ticker **out)
{
	struct ticker *t;
	int rc;

	MUST(period_ms > 0);
	t = ticker_alloc(period_ms, fn, arg);
	if (!t)
		return -ENOMEM;
	rc = t->is_inline ? 0 : thread_start(name, tick, t, &t->thread);
	if (rc)
		ticker_release(t);
	else
		*out = t;
	return rc;
}

void ticker_poke(struct ticker *t)
{
	MUTEX_GUARD(&t->mu);
	t->poked = true;
	cond_signal(&t->wake);
}

/* False: a call is under way, and calls never overlap. */
static bool begin_call(struct ticker *t)
{
	MUTEX_GUARD(&t->mu);
	if (t->calling)
		return false;
	t->calling = true;
	t->poked = false;
	return true;
}

void ticker_run(struct ticker *t)
{
	if (!t->is_inline) {
		ticker_poke(t);
		return;
	}
	if (!begin_call(t))
		return;
	t->fn(t->arg);
	MUTEX_GUARD(&t->mu);
	t->calling = false;
}

void ticker_free(struct ticker *t)
{
	if (!t)
		return;
	if (!t->is_inline) {
		MUST(!thread_is_self(t->thread));
		mutex_lock(&t->mu);
		t->stop = true;
		cond_signal(&t->wake);
		mutex_unlock(&t->mu);
		thread_join(t->thread);
	}
	MUST(!t->calling);
	ticker_release(t);
}
