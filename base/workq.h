/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workq.h - threads: pools that run jobs, and tickers that call back.
 *
 * The only place of the engine that creates threads, so that a deterministic
 * test can do without them: after workq_inline(true) every queue made has no
 * threads, a job runs inside workq_submit, and a ticker runs only when the
 * test calls ticker_run.
 */
#ifndef MENDFS_BASE_WORKQ_H
#define MENDFS_BASE_WORKQ_H

#include <stdbool.h>
#include <stdint.h>

struct workq;
struct ticker;

/* Test seam, process-wide; affects queues and tickers made afterwards. */
void workq_inline(bool on);
bool workq_is_inline(void);

/*
 * A queue with `threads` workers (1..64) named `name` (at most 15 characters
 * are shown by the system). 0 or -ENOMEM, -EAGAIN.
 */
int workq_new(const char *name, unsigned threads, struct workq **out);
/*
 * Runs the jobs still queued, then ends the workers and frees the queue. Must
 * not be called from one of its own jobs. NULL is allowed.
 */
void workq_free(struct workq *q);
/*
 * Like workq_free but gives up waiting after timeout_ms: workers that hang in
 * a job are left behind (detached) and the queue's memory with them. Jobs not
 * started are dropped with `cancel` called for each (may be NULL).
 * Returns true when everything ended in time.
 */
bool workq_abandon(struct workq *q, uint64_t timeout_ms,
		   void (*cancel)(void *arg));
/* Queues fn(arg), first in first out. 0, -ENOMEM or -ERR_STOPPED. */
int workq_submit(struct workq *q, void (*fn)(void *arg), void *arg);
/*
 * Returns when every job submitted before has ended; does not wait for later
 * ones. Must not be called from one of the queue's own jobs. Inline: at once.
 */
void workq_drain(struct workq *q);
/* Jobs queued and running. */
unsigned workq_load(struct workq *q);

/*
 * A thread that calls fn(arg) every period_ms (>= 1; the first time one period
 * from now), and at once when poked. Pokes before a call begins are one call;
 * one during a call asks for another. Calls never overlap. 0 or -ENOMEM,
 * -EAGAIN.
 */
int ticker_new(const char *name, uint64_t period_ms, void (*fn)(void *arg),
	       void *arg, struct ticker **out);
/* Asks for a call soon; from any thread, also from inside fn. */
void ticker_poke(struct ticker *t);
/* Inline mode: calls fn(arg) now, if not called by fn. Else: ticker_poke. */
void ticker_run(struct ticker *t);
/* Waits for a running call to end, then frees; not from fn. NULL: nothing. */
void ticker_free(struct ticker *t);

#endif
