/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One place at work: its lanes, its queue, its breaker.
 *
 * Lanes are BACKEND_LANES loops on threads of a workq, woken by `work`. They
 * serve three queues, in this order:
 *   urgent  jwrites, usage, lock: short ones that somebody waits for
 *   dead    journal files to close
 *   bulk    the rest, on all lanes but one: a journal write never waits for
 *           BACKEND_LANES big transfers
 *
 * Invariants (under mu):
 * B1  A QUEUED request is in exactly one of urgent, bulk or its jfile's queue;
 *     a RUNNING one is some lane's; a DONE one is in none.
 * B2  Of one jfile at most one jwrite (active) is in urgent or RUNNING; so they
 *     run in the order submitted.
 * B3  Once a jwrite failed or was given up, its jfile is broken: no later one
 *     is begun, so a file never has a good record behind a hole (C9).
 * B4  A request given up before it began never begins: what its maker does
 *     instead cannot be overtaken by it.
 * B5  Whatever may hang (driver calls, attach, detach) is done by a lane or by
 *     the attach job, never by a caller. Exceptions: inline mode has no lanes,
 *     and whoever closes a place before any of its lanes came to life detaches
 *     it (nothing but the attach job has used it then).
 * B6  `lanes` counts loops that will still leave; the last one closes files and
 *     detaches. All memory lives until its last user: the owner, a lane, a
 *     jfile or a submitted request has dropped its reference.
 *
 * Breaker:
 *   UP -> SUSPECT     strike_locked, first failure
 *   SUSPECT -> UP     good_locked, BACKEND_STRIKES good answers in a row
 *   SUSPECT -> DOWN   strike_locked, BACKEND_STRIKES failures in a row;
 *                     timeout_locked, nothing answered since it was submitted
 *   any -> DOWN       backend_set_down
 *   DOWN -> UP        good_locked of probes, BACKEND_STRIKES in a row
 * Going DOWN ends all queued requests with -ERR_BACKEND_DOWN.
 *
 * Locks: mu is never held over a driver call, a log line or the end of a
 * request; `struct after` carries these out of it.
 */
#include "backend/backend_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"

#define USAGE_FRESH_NS (500 * NS_PER_MS)
#define FOREVER_MS     (1ULL << 40) /* longer waits are cut to this */

/* ---- lanes ---- */

static void run_locked(struct backend *b, struct lane *lane, struct bio *r)
{
	struct after a;
	int rc;

	after_init(&a);
	lane->bio = r;
	mutex_unlock(&b->mu);
	rc = bio_exec(r);
	mutex_lock(&b->mu);
	r->rc = rc;
	lane->bio = NULL;
	b->bulk_running -= !bio_is_urgent(r);
	backend_account_locked(b, r, &a);
	if (r->op == BIO_JWRITE)
		jfile_next_locked(r, &a);
	if (b->held_down)
		cond_broadcast(&b->changed);
	mutex_unlock(&b->mu);
	after_run(b, &a);
	bio_finish(r);
	mutex_lock(&b->mu);
}

static void jfile_free(struct jfile *f)
{
	driver_close(f->file);
	backend_unref(f->b);
	mem_free(f);
}

static struct jfile *take_dead_locked(struct backend *b)
{
	struct jfile *f = TAILQ_FIRST(&b->dead);

	if (f != NULL)
		TAILQ_REMOVE(&b->dead, f, link);
	return f;
}

/* One piece of work; false: there is none. */
static bool lane_step_locked(struct backend *b, struct lane *lane)
{
	struct jfile *f = NULL;
	struct bio *r = NULL;

	if (TAILQ_EMPTY(&b->urgent))
		f = take_dead_locked(b);
	if (f == NULL)
		r = backend_take_work_locked(b);
	if (r != NULL)
		run_locked(b, lane, r);
	if (f != NULL) {
		mutex_unlock(&b->mu);
		jfile_free(f);
		mutex_lock(&b->mu);
	}
	return r != NULL || f != NULL;
}

/* The driver's file of some handle still held; NULL: there is none left. */
static struct drv_file *take_file(struct backend *b)
{
	struct jfile *f;

	MUTEX_GUARD(&b->mu);
	TAILQ_FOREACH (f, &b->jfiles, link) {
		if (f->file != NULL)
			return steal(&f->file);
	}
	return NULL;
}

static struct jfile *take_dead(struct backend *b)
{
	MUTEX_GUARD(&b->mu);
	return take_dead_locked(b);
}

/* No lane is left (B6). */
static void io_end(struct backend *b)
{
	struct drv_file *file;
	struct jfile *f;

	while ((file = take_file(b)) != NULL)
		driver_close(file);
	while ((f = take_dead(b)) != NULL)
		jfile_free(f);
	driver_detach(b->driver);
	mutex_lock(&b->mu);
	b->io_ended = true;
	cond_broadcast(&b->changed);
	mutex_unlock(&b->mu);
}

static void lane_leave(void *arg)
{
	struct backend *b = arg;
	bool last;

	mutex_lock(&b->mu);
	last = --b->lanes == 0;
	mutex_unlock(&b->mu);
	if (last)
		io_end(b);
	backend_unref(b);
}

static void lane_loop(void *arg)
{
	struct backend *b = arg;
	struct lane *lane;

	mutex_lock(&b->mu);
	lane = &b->lane[b->numbered++];
	for (;;) {
		if (lane_step_locked(b, lane))
			continue;
		if (b->stopping)
			break;
		cond_wait(&b->work, &b->mu);
	}
	mutex_unlock(&b->mu);
	lane_leave(b);
}

/* ---- journal files ---- */

void jfile_unref(struct jfile *f)
{
	struct backend *b = f->b;
	bool lane_closes;

	if (atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) > 1)
		return;
	mutex_lock(&b->mu);
	TAILQ_REMOVE(&b->jfiles, f, link);
	lane_closes = f->file != NULL && !b->is_inline;
	if (lane_closes) {
		TAILQ_INSERT_TAIL(&b->dead, f, link);
		cond_signal(&b->work);
	}
	mutex_unlock(&b->mu);
	if (!lane_closes)
		jfile_free(f);
}

void jfile_close(struct jfile *f)
{
	if (f != NULL)
		jfile_unref(f);
}

/* ---- opening and closing ---- */

static struct backend *backend_new(const char *location)
{
	struct backend *b = mem_zalloc(sizeof(*b));

	if (b == NULL)
		return NULL;
	b->location = mem_strdup(location);
	if (b->location == NULL) {
		mem_free(b);
		return NULL;
	}
	atomic_init(&b->refs, 1);
	b->is_inline = workq_is_inline();
	mutex_init(&b->mu);
	cond_init(&b->work);
	cond_init(&b->changed);
	TAILQ_INIT(&b->urgent);
	TAILQ_INIT(&b->bulk);
	TAILQ_INIT(&b->jfiles);
	TAILQ_INIT(&b->dead);
	return b;
}

struct backend *backend_ref(struct backend *b)
{
	atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
	return b;
}

void backend_unref(struct backend *b)
{
	if (b == NULL)
		return;
	if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) > 1)
		return;
	cond_destroy(&b->changed);
	cond_destroy(&b->work);
	mutex_destroy(&b->mu);
	mem_free(b->location);
	mem_free(b);
}

static void attach_job(void *arg)
{
	struct backend *b = arg;
	struct driver *d = NULL;
	int rc = driver_attach(b->location, &d);
	bool given_up;

	mutex_lock(&b->mu);
	given_up = b->attach_given_up;
	if (!given_up)
		b->driver = d;
	b->attach_rc = rc;
	b->attach_ended = true;
	cond_signal(&b->changed);
	mutex_unlock(&b->mu);
	if (given_up)
		driver_detach(d);
	backend_unref(b);
}

static void attach_cancelled(void *arg)
{
	backend_unref(arg);
}

static uint64_t deadline_in(uint64_t ms)
{
	return clock_mono_ns() + MIN(ms, FOREVER_MS) * NS_PER_MS;
}

/* The result of the attach job; -ETIMEDOUT: it will see to itself. */
static int attach_wait(struct backend *b, uint64_t deadline_ms)
{
	uint64_t deadline = deadline_in(deadline_ms);

	MUTEX_GUARD(&b->mu);
	while (!b->attach_ended) {
		if (cond_wait_until(&b->changed, &b->mu, deadline) ||
		    b->attach_ended)
			continue;
		b->attach_given_up = true;
		return -ETIMEDOUT;
	}
	return b->attach_rc;
}

static int attach(struct backend *b, uint64_t deadline_ms)
{
	int rc;

	if (b->is_inline)
		return driver_attach(b->location, &b->driver);
	rc = workq_submit(b->threads, attach_job, backend_ref(b));
	if (rc != 0) {
		backend_unref(b);
		return rc;
	}
	return attach_wait(b, deadline_ms);
}

/* A loop leaves only after `stopping`, so none of these is the last one yet. */
static int start_lanes(struct backend *b)
{
	int rc = 0;

	for (unsigned i = 0; i < BACKEND_LANES && rc == 0; i++) {
		mutex_lock(&b->mu);
		b->lanes++;
		mutex_unlock(&b->mu);
		rc = workq_submit(b->threads, lane_loop, backend_ref(b));
		b->has_lanes = rc == 0 || i > 0;
		if (rc == 0)
			continue;
		mutex_lock(&b->mu);
		b->lanes--;
		mutex_unlock(&b->mu);
		backend_unref(b);
	}
	return rc;
}

/* The attach job has ended or was given up; ends all the rest of b. */
static int open_failed(struct backend *b, int rc)
{
	(void)workq_abandon(b->threads, 0, attach_cancelled);
	backend_unref(b);
	return rc;
}

int backend_open(const char *location, uint64_t deadline_ms,
		 struct backend **out)
{
	struct backend *b = backend_new(location);
	int rc;

	if (b == NULL)
		return -ENOMEM;
	rc = workq_new("backend", BACKEND_LANES, &b->threads);
	if (rc == 0)
		rc = attach(b, deadline_ms);
	if (rc != 0)
		return open_failed(b, rc);
	rc = b->is_inline ? 0 : start_lanes(b);
	if (rc != 0)
		backend_close(b, deadline_ms);
	else
		*out = b;
	return rc;
}

/* Has a lane ended all I/O by then? */
static bool stop(struct backend *b, uint64_t deadline_ns)
{
	MUTEX_GUARD(&b->mu);
	MUST(!b->stopping);
	b->stopping = true;
	cond_broadcast(&b->work);
	while (b->has_lanes && !b->io_ended &&
	       cond_wait_until(&b->changed, &b->mu, deadline_ns))
		;
	return b->io_ended;
}

static void drop_queued(struct backend *b)
{
	struct after a;

	after_init(&a);
	mutex_lock(&b->mu);
	backend_drop_queued_locked(b, -ERR_STOPPED, &a);
	mutex_unlock(&b->mu);
	after_run(b, &a);
}

void backend_close(struct backend *b, uint64_t deadline_ms)
{
	if (b == NULL)
		return;
	if (stop(b, deadline_in(deadline_ms)))
		workq_free(b->threads);
	else
		(void)workq_abandon(b->threads, 0, lane_leave);
	drop_queued(b);
	if (!b->has_lanes)
		io_end(b);
	backend_unref(b);
}

/* ---- asking ---- */

const char *backend_location(const struct backend *b)
{
	return b->location;
}

const char *backend_path(const struct backend *b)
{
	return driver_location_path(b->location);
}

enum backend_state backend_get_state(struct backend *b)
{
	enum backend_state state;
	struct after a;

	after_init(&a);
	mutex_lock(&b->mu);
	backend_overdue_locked(b, clock_mono_ns(), &a);
	state = b->state;
	mutex_unlock(&b->mu);
	after_run(b, &a);
	return state;
}

void backend_set_down(struct backend *b, bool down)
{
	struct after a;

	after_init(&a);
	mutex_lock(&b->mu);
	b->held_down = down;
	b->good = 0;
	if (down)
		backend_go_down_locked(b, &a);
	mutex_unlock(&b->mu);
	after_run(b, &a);
}

void backend_cut(struct backend *b)
{
	driver_cut(b->driver);
}

static bool is_still_locked(const struct backend *b)
{
	for (unsigned i = 0; i < BACKEND_LANES; i++)
		if (b->lane[i].bio != NULL)
			return false;
	return true;
}

bool backend_still(struct backend *b, uint64_t deadline_ms)
{
	uint64_t deadline = deadline_in(deadline_ms);

	backend_set_down(b, true);
	MUTEX_GUARD(&b->mu);
	while (!is_still_locked(b) &&
	       cond_wait_until(&b->changed, &b->mu, deadline))
		;
	return is_still_locked(b);
}

int backend_probe(struct backend *b, uint64_t deadline_ms)
{
	AUTO_BIO struct bio *r = bio_new_usage();
	int rc;

	if (r == NULL)
		return -ENOMEM;
	r->probe = true;
	rc = bio_submit(b, r);
	if (rc != 0)
		return rc;
	return bio_wait(r, deadline_in(deadline_ms));
}

/* Does this caller have to ask the driver again? */
static bool usage_is_old(struct backend *b)
{
	MUTEX_GUARD(&b->mu);
	if (b->usage_asked || b->stopping || b->state == BACKEND_DOWN)
		return false;
	if (b->usage_ns != 0 && clock_mono_ns() - b->usage_ns < USAGE_FRESH_NS)
		return false;
	b->usage_asked = true;
	return true;
}

static void usage_not_asked(struct backend *b)
{
	MUTEX_GUARD(&b->mu);
	b->usage_asked = false;
}

void backend_usage(struct backend *b, struct drv_usage *out)
{
	if (usage_is_old(b)) {
		AUTO_BIO struct bio *r = bio_new_usage();

		if (bio_submit(b, r) != 0)
			usage_not_asked(b);
	}
	MUTEX_GUARD(&b->mu);
	*out = b->usage;
}

static int compare_ns(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x;
	uint64_t b = *(const uint64_t *)y;

	return (a > b) - (a < b);
}

uint64_t backend_median_ms(struct backend *b)
{
	uint64_t ns[BACKEND_SAMPLES];
	unsigned n;

	mutex_lock(&b->mu);
	n = MIN(b->samples, BACKEND_SAMPLES);
	memcpy(ns, b->sample_ns, sizeof(ns));
	mutex_unlock(&b->mu);
	if (n == 0)
		return 0;
	qsort(ns, n, sizeof(ns[0]), compare_ns);
	return MAX((ns[n / 2] + NS_PER_MS - 1) / NS_PER_MS, (uint64_t)1);
}

void backend_get_stats(struct backend *b, struct driver_stats *out)
{
	driver_get_stats(b->driver, out);
}
