/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One list of waiting jobs, one lock, a fixed set of workers.
 *
 * States of a queue:
 *
 *   OPEN ---- free, abandon ----> STOPPING ---- timeout ----> ORPHANED
 *   takes jobs                    takes none                  last worker frees
 *
 * Invariants (under q->mu):
 * Q1  Jobs get rising numbers; the waiting list is in their order.
 * Q2  running[i] is the number of the job that worker i runs, or 0.
 * Q3  `alive` workers may still touch q. q is freed by whoever sees it at 0:
 *     the caller of free or abandon, or in ORPHANED the last worker.
 * Q4  A job runs without the lock held.
 */
#include "base/workq.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/sync.h"
#include "base/thread.h"

#define THREADS_MAX 64
#define NS_PER_MS   1000000ULL

struct job {
	STAILQ_ENTRY(job) link;
	uint64_t number; /* from 1 */
	void (*fn)(void *arg);
	void *arg;
};
STAILQ_HEAD(job_list, job);

enum workq_state {
	WORKQ_OPEN,
	WORKQ_STOPPING,
	WORKQ_ORPHANED
};

struct workq {
	struct mutex mu;
	struct cond work;  /* a job has come, or the state has changed */
	struct cond ended; /* a job or a worker has ended */
	enum workq_state state;
	bool is_inline;
	struct job_list waiting;
	unsigned load; /* jobs waiting and running */
	uint64_t last_number;
	unsigned started;  /* threads made: the ones to join */
	unsigned numbered; /* workers that have taken their index */
	unsigned alive;	   /* workers not yet gone (Q3) */
	uint64_t running[THREADS_MAX];
	pthread_t thread[THREADS_MAX];
};

static atomic_bool inline_mode;

void workq_inline(bool on)
{
	atomic_store(&inline_mode, on);
}

bool workq_is_inline(void)
{
	return atomic_load(&inline_mode);
}

static struct workq *queue_alloc(void)
{
	struct workq *q = mem_zalloc(sizeof(*q));

	if (!q)
		return NULL;
	mutex_init(&q->mu);
	cond_init(&q->work);
	cond_init(&q->ended);
	STAILQ_INIT(&q->waiting);
	q->is_inline = workq_is_inline();
	return q;
}

static void queue_release(struct workq *q)
{
	MUST(STAILQ_EMPTY(&q->waiting));
	cond_destroy(&q->ended);
	cond_destroy(&q->work);
	mutex_destroy(&q->mu);
	mem_free(q);
}

/* The next job, or NULL when there will be none. */
static struct job *next_job_locked(struct workq *q)
{
	struct job *j;

	while (STAILQ_EMPTY(&q->waiting) && q->state == WORKQ_OPEN)
		cond_wait(&q->work, &q->mu);
	j = STAILQ_FIRST(&q->waiting);
	if (j)
		STAILQ_REMOVE_HEAD(&q->waiting, link);
	return j;
}

static void run_job_locked(struct workq *q, unsigned me, struct job *j)
{
	q->running[me] = j->number;
	mutex_unlock(&q->mu);
	j->fn(j->arg);
	mem_free(j);
	mutex_lock(&q->mu);
	q->running[me] = 0;
	q->load--;
	cond_broadcast(&q->ended);
}

/* True: this was the last one of an orphaned queue, which is now ours (Q3). */
static bool worker_leaves_locked(struct workq *q)
{
	q->alive--;
	cond_broadcast(&q->ended);
	return q->alive == 0 && q->state == WORKQ_ORPHANED;
}

static void *worker(void *arg)
{
	struct workq *q = arg;
	struct job *j;
	unsigned me;
	bool last;

	mutex_lock(&q->mu);
	me = q->numbered++;
	while ((j = next_job_locked(q)))
		run_job_locked(q, me, j);
	last = worker_leaves_locked(q);
	mutex_unlock(&q->mu);
	if (last)
		queue_release(q);
	return NULL;
}

/* Workers wait for the lock until every thread[i] is in its place. */
static int start_workers(struct workq *q, const char *name, unsigned threads)
{
	MUTEX_GUARD(&q->mu);
	for (; q->started < threads; q->started++, q->alive++) {
		int rc = thread_start(name, worker, q, &q->thread[q->started]);

		if (rc)
			return rc;
	}
	return 0;
}

int workq_new(const char *name, unsigned threads, struct workq **out)
{
	struct workq *q;
	int rc;

	MUST(threads >= 1 && threads <= THREADS_MAX);
	q = queue_alloc();
	if (!q)
		return -ENOMEM;
	rc = q->is_inline ? 0 : start_workers(q, name, threads);
	if (rc)
		workq_free(q);
	else
		*out = q;
	return rc;
}

/* A worker that waited for itself would wait for ever. */
static bool is_own_worker_locked(const struct workq *q)
{
	for (unsigned i = 0; i < q->started; i++) {
		if (thread_is_self(q->thread[i]))
			return true;
	}
	return false;
}

static void stop_locked(struct workq *q)
{
	MUST(q->state == WORKQ_OPEN && !is_own_worker_locked(q));
	q->state = WORKQ_STOPPING;
	cond_broadcast(&q->work);
}

static void join_and_release(struct workq *q)
{
	for (unsigned i = 0; i < q->started; i++)
		thread_join(q->thread[i]);
	queue_release(q);
}

void workq_free(struct workq *q)
{
	if (!q)
		return;
	mutex_lock(&q->mu);
	stop_locked(q);
	mutex_unlock(&q->mu);
	join_and_release(q);
}

/* Stops the queue and hands over the jobs that have not begun. */
static void stop_and_take(struct workq *q, struct job_list *out)
{
	struct job *j;

	MUTEX_GUARD(&q->mu);
	stop_locked(q);
	STAILQ_INIT(out);
	STAILQ_CONCAT(out, &q->waiting);
	STAILQ_FOREACH (j, out, link)
		q->load--;
	cond_broadcast(&q->ended);
}

static void cancel_jobs(struct job_list *list, void (*cancel)(void *arg))
{
	while (!STAILQ_EMPTY(list)) {
		struct job *j = STAILQ_FIRST(list);

		STAILQ_REMOVE_HEAD(list, link);
		if (cancel)
			cancel(j->arg);
		mem_free(j);
	}
}

/* False: workers are left, and q belongs to the last of them from now on. */
static bool workers_gone_until(struct workq *q, uint64_t deadline_ns)
{
	MUTEX_GUARD(&q->mu);
	while (q->alive && cond_wait_until(&q->ended, &q->mu, deadline_ns))
		;
	if (!q->alive)
		return true;
	q->state = WORKQ_ORPHANED;
	for (unsigned i = 0; i < q->started; i++)
		thread_detach(q->thread[i]);
	return false;
}

static uint64_t deadline_in(uint64_t ms)
{
	uint64_t ns;

	if (__builtin_mul_overflow(ms, NS_PER_MS, &ns) ||
	    __builtin_add_overflow(ns, clock_mono_ns(), &ns))
		return UINT64_MAX;
	return ns;
}

bool workq_abandon(struct workq *q, uint64_t timeout_ms,
		   void (*cancel)(void *arg))
{
	uint64_t deadline_ns = deadline_in(timeout_ms);
	struct job_list dropped;

	if (!q)
		return true;
	stop_and_take(q, &dropped);
	cancel_jobs(&dropped, cancel);
	if (!workers_gone_until(q, deadline_ns))
		return false;
	join_and_release(q);
	return true;
}

/* -ERR_STOPPED, or 0 and the job counts from now on. */
static int enter_job(struct workq *q, struct job *j)
{
	MUTEX_GUARD(&q->mu);
	if (q->state != WORKQ_OPEN)
		return -ERR_STOPPED;
	j->number = ++q->last_number;
	q->load++;
	if (q->is_inline)
		return 0;
	STAILQ_INSERT_TAIL(&q->waiting, j, link);
	cond_signal(&q->work);
	return 0;
}

static void run_inline(struct workq *q, struct job *j)
{
	j->fn(j->arg);
	mem_free(j);
	MUTEX_GUARD(&q->mu);
	q->load--;
}

/* The inline mode allocates too: there, a test can let it fail exactly. */
int workq_submit(struct workq *q, void (*fn)(void *arg), void *arg)
{
	bool is_inline = q->is_inline;
	struct job *j = mem_alloc(sizeof(*j));
	int rc;

	if (!j)
		return -ENOMEM;
	*j = (struct job){.fn = fn, .arg = arg};
	rc = enter_job(q, j);
	if (rc)
		mem_free(j);
	else if (is_inline)
		run_inline(q, j);
	return rc;
}

static bool busy_up_to_locked(const struct workq *q, uint64_t number)
{
	const struct job *head = STAILQ_FIRST(&q->waiting);

	if (head && head->number <= number)
		return true;
	for (unsigned i = 0; i < q->started; i++) {
		if (q->running[i] && q->running[i] <= number)
			return true;
	}
	return false;
}

/* By number, so that later jobs, even without an end, do not hold it up. */
void workq_drain(struct workq *q)
{
	uint64_t last;

	MUTEX_GUARD(&q->mu);
	MUST(!is_own_worker_locked(q));
	last = q->last_number;
	while (busy_up_to_locked(q, last))
		cond_wait(&q->ended, &q->mu);
}

unsigned workq_load(struct workq *q)
{
	MUTEX_GUARD(&q->mu);
	return q->load;
}
