/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mutexes are of the error-checking kind: locking twice, or unlocking what
 * another thread holds, aborts at the place instead of hanging somewhere else.
 */
#include "base/sync.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"

#define NS_PER_S 1000000000ULL

/* How late the advance of a test's clock may be noticed. */
#define REPLACED_SLICE_NS 5000000ULL
/* Keeps "never" (UINT64_MAX) within what a timespec holds. */
#define SYSTEM_SLICE_NS (3600 * NS_PER_S)

void mutex_init(struct mutex *mu)
{
	pthread_mutexattr_t attr;

	MUST(pthread_mutexattr_init(&attr) == 0);
	MUST(pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK) == 0);
	MUST(pthread_mutex_init(&mu->m, &attr) == 0);
	MUST(pthread_mutexattr_destroy(&attr) == 0);
}

void mutex_destroy(struct mutex *mu)
{
	MUST(pthread_mutex_destroy(&mu->m) == 0);
}

void mutex_lock(struct mutex *mu)
{
	MUST(pthread_mutex_lock(&mu->m) == 0);
}

bool mutex_trylock(struct mutex *mu)
{
	int rc = pthread_mutex_trylock(&mu->m);

	MUST(rc == 0 || rc == EBUSY);
	return rc == 0;
}

void mutex_unlock(struct mutex *mu)
{
	MUST(pthread_mutex_unlock(&mu->m) == 0);
}

void cond_init(struct cond *c)
{
	pthread_condattr_t attr;

	MUST(pthread_condattr_init(&attr) == 0);
	MUST(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
	MUST(pthread_cond_init(&c->c, &attr) == 0);
	MUST(pthread_condattr_destroy(&attr) == 0);
}

void cond_destroy(struct cond *c)
{
	MUST(pthread_cond_destroy(&c->c) == 0);
}

void cond_wait(struct cond *c, struct mutex *mu)
{
	MUST(pthread_cond_wait(&c->c, &mu->m) == 0);
}

/* The system's clock, whatever clock.h was told: pthreads waits on it. */
static struct timespec system_time_in(uint64_t ns)
{
	struct timespec ts;

	MUST(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
	ns += (uint64_t)ts.tv_nsec;
	ts.tv_sec += (time_t)(ns / NS_PER_S);
	ts.tv_nsec = (long)(ns % NS_PER_S);
	return ts;
}

bool cond_wait_until(struct cond *c, struct mutex *mu, uint64_t deadline_ns)
{
	for (;;) {
		uint64_t slice = clock_is_replaced() ? REPLACED_SLICE_NS
						     : SYSTEM_SLICE_NS;
		uint64_t now = clock_mono_ns();
		struct timespec until;
		int rc;

		if (now >= deadline_ns)
			return false;
		until = system_time_in(MIN(slice, deadline_ns - now));
		rc = pthread_cond_timedwait(&c->c, &mu->m, &until);
		MUST(rc == 0 || rc == ETIMEDOUT);
		if (rc == 0)
			return true;
	}
}

void cond_signal(struct cond *c)
{
	MUST(pthread_cond_signal(&c->c) == 0);
}

void cond_broadcast(struct cond *c)
{
	MUST(pthread_cond_broadcast(&c->c) == 0);
}
