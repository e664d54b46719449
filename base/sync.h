/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sync.h - mutexes, conditions and latches.
 *
 * Thin over pthreads: a failing lock call is a programmer's error and aborts.
 * Conditions wait on the monotonic clock. The lock order of the whole project
 * is a table in ARCHITECTURE.md.
 */
#ifndef MENDFS_BASE_SYNC_H
#define MENDFS_BASE_SYNC_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct mutex {
	pthread_mutex_t m;
};
struct cond {
	pthread_cond_t c;
};

/* For static ones; never destroyed. */
#define MUTEX_INIT                                           \
	{                                                    \
		.m = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP \
	}

void mutex_init(struct mutex *mu);
void mutex_destroy(struct mutex *mu);
void mutex_lock(struct mutex *mu);
/* false: somebody else holds it. */
bool mutex_trylock(struct mutex *mu);
void mutex_unlock(struct mutex *mu);

void cond_init(struct cond *c);
void cond_destroy(struct cond *c);
void cond_wait(struct cond *c, struct mutex *mu);
/*
 * Until signalled or clock_mono_ns() >= deadline_ns; false: timed out. The
 * deadline is in the time of clock.h: where a test has replaced the clock, its
 * advance is noticed within some milliseconds. UINT64_MAX: no deadline.
 */
bool cond_wait_until(struct cond *c, struct mutex *mu, uint64_t deadline_ns);
void cond_signal(struct cond *c);
void cond_broadcast(struct cond *c);

/* Scope-bound: MUTEX_GUARD(&x->lock); unlocks when the scope ends. */
static inline void mutex_auto_unlock_(struct mutex **mu)
{
	mutex_unlock(*mu);
}
#define SYNC_CAT2_(a, b) a##b
#define SYNC_CAT_(a, b)	 SYNC_CAT2_(a, b)
#define MUTEX_GUARD(mu)                                                     \
	__attribute__((cleanup(mutex_auto_unlock_), unused)) struct mutex * \
	SYNC_CAT_(guard_, __LINE__) = ({                                    \
		mutex_lock(mu);                                             \
		(mu);                                                       \
	})

/* Counts down to zero; waiters go on then. */
struct latch {
	struct mutex mu;
	struct cond cv;
	uint32_t count;
};
void latch_init(struct latch *l, uint32_t count);
void latch_destroy(struct latch *l);
void latch_down(struct latch *l);
void latch_wait(struct latch *l);
/* false: deadline passed with count > 0. */
bool latch_wait_until(struct latch *l, uint64_t deadline_ns);

#endif
