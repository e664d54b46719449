/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queues of a place and its breaker: everything that is done with mu held.
 * Invariants B1-B4 and the breaker's diagram are in backend.c.
 */
#include "backend/backend_impl.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/must.h"

/* ---- after the lock ---- */

void after_init(struct after *a)
{
	TAILQ_INIT(&a->drop);
	a->changed = false;
}

static void log_state(const struct backend *b, enum backend_state state)
{
	static const char *const event[] = {
		[BACKEND_UP] = "backend_up",
		[BACKEND_SUSPECT] = "backend_suspect",
		[BACKEND_DOWN] = "backend_down",
	};

	log_event(state == BACKEND_DOWN ? LOG_LVL_WARN : LOG_LVL_INFO,
		  event[state], "location=%s", b->location);
}

void after_run(struct backend *b, struct after *a)
{
	struct bio *r;

	if (a->changed)
		log_state(b, a->state);
	while ((r = TAILQ_FIRST(&a->drop)) != NULL) {
		TAILQ_REMOVE(&a->drop, r, link);
		bio_finish(r);
	}
}

static void set_state_locked(struct backend *b, enum backend_state state,
			     struct after *a)
{
	if (b->state == state)
		return;
	b->state = state;
	b->strikes = 0;
	b->good = 0;
	a->changed = true;
	a->state = state;
}

/* ---- the queues ---- */

static void queue_locked(struct bio_list *l, struct bio *r)
{
	TAILQ_INSERT_TAIL(l, r, link);
	r->on = l;
}

static void unqueue_locked(struct bio *r)
{
	TAILQ_REMOVE(r->on, r, link);
	r->on = NULL;
}

/* Ends a queued request without running it. */
static void drop_locked(struct bio *r, int rc, struct after *a)
{
	unqueue_locked(r);
	r->rc = rc;
	if (r->op == BIO_USAGE)
		r->b->usage_asked = false;
	TAILQ_INSERT_TAIL(&a->drop, r, link);
}

static void drop_all_locked(struct bio_list *l, int rc, struct after *a)
{
	struct bio *r;

	while ((r = TAILQ_FIRST(l)) != NULL)
		drop_locked(r, rc, a);
}

/* Nothing behind a lost write is begun (B3). */
static void jfile_break_locked(struct jfile *f, int rc, struct after *a)
{
	f->broken = true;
	drop_all_locked(&f->queue, rc, a);
}

void backend_drop_queued_locked(struct backend *b, int rc, struct after *a)
{
	struct jfile *f;

	TAILQ_FOREACH (f, &b->jfiles, link) {
		if (f->active == NULL)
			continue;
		jfile_break_locked(f, rc, a);
		if (f->active->on != NULL)
			f->active = NULL; /* it is in urgent */
	}
	drop_all_locked(&b->urgent, rc, a);
	drop_all_locked(&b->bulk, rc, a);
}

bool bio_is_urgent(const struct bio *r)
{
	return r->op == BIO_JWRITE || r->op == BIO_USAGE ||
	       r->op == BIO_LOCK || r->urgent;
}

static void jwrite_queue_locked(struct backend *b, struct bio *r)
{
	struct jfile *f = r->jfile;

	if (f->active != NULL) {
		queue_locked(&f->queue, r);
		return;
	}
	f->active = r;
	queue_locked(&b->urgent, r);
}

void jfile_next_locked(struct bio *r, struct after *a)
{
	struct jfile *f = r->jfile;
	struct bio *next;

	MUST(f->active == r);
	f->active = NULL;
	if (r->rc != 0)
		jfile_break_locked(f, -EIO, a);
	next = TAILQ_FIRST(&f->queue);
	if (next == NULL)
		return;
	unqueue_locked(next);
	f->active = next;
	queue_locked(&f->b->urgent, next);
}

static int refusal_locked(const struct backend *b, const struct bio *r)
{
	if (b->stopping)
		return -ERR_STOPPED;
	if (b->state == BACKEND_DOWN && !r->probe)
		return -ERR_BACKEND_DOWN;
	if (r->op == BIO_JWRITE && r->jfile->broken)
		return -EIO;
	return 0;
}

int backend_admit_locked(struct backend *b, struct bio *r)
{
	int rc = refusal_locked(b, r);

	MUST(r->op != BIO_JWRITE || r->jfile->b == b);
	if (rc != 0)
		return rc;
	if (b->is_inline) {
		atomic_store(&r->state, BIO_RUNNING);
		if (r->op == BIO_JWRITE)
			r->jfile->active = r;
		return 0;
	}
	atomic_store(&r->state, BIO_QUEUED);
	if (r->op == BIO_JWRITE)
		jwrite_queue_locked(b, r);
	else
		queue_locked(bio_is_urgent(r) ? &b->urgent : &b->bulk, r);
	cond_signal(&b->work);
	return 0;
}

struct bio *backend_take_work_locked(struct backend *b)
{
	struct bio *r = TAILQ_FIRST(&b->urgent);

	if (r == NULL && b->bulk_running < BACKEND_LANES - 1)
		r = TAILQ_FIRST(&b->bulk);
	if (r == NULL)
		return NULL;
	unqueue_locked(r);
	b->bulk_running += !bio_is_urgent(r);
	atomic_store(&r->state, BIO_RUNNING);
	r->start_ns = clock_mono_ns();
	return r;
}

/* ---- the breaker ---- */

enum outcome {
	OUTCOME_GOOD,	 /* it works, even if the answer is no */
	OUTCOME_ABSENT,	 /* it answers, but an empty mount point would, too */
	OUTCOME_NEUTRAL, /* says nothing about the place */
	OUTCOME_BAD
};

/* Absence is an answer only where an object may be absent (C6). */
static bool may_be_absent(const struct bio *r)
{
	return r->op == BIO_GET || r->op == BIO_REMOVE || r->op == BIO_RENAME ||
	       (r->op == BIO_JOPEN && r->off == 0);
}

static enum outcome judge(const struct bio *r)
{
	switch (-r->rc) {
	case 0:
	case EEXIST:
	case ENOSPC:
	case EDQUOT:
	case ERR_IN_USE:
		return OUTCOME_GOOD;
	case ENOENT:
		return may_be_absent(r) ? OUTCOME_ABSENT : OUTCOME_BAD;
	/* our own trouble */
	case ENOMEM:
	case EMFILE:
	case ENFILE:
	case EINVAL:
	/* one object's, made so by somebody else */
	case EISDIR:
	case ENOTDIR:
	case ELOOP:
	case ENXIO:
		return OUTCOME_NEUTRAL;
	default:
		return OUTCOME_BAD;
	}
}

void backend_go_down_locked(struct backend *b, struct after *a)
{
	set_state_locked(b, BACKEND_DOWN, a);
	backend_drop_queued_locked(b, -ERR_BACKEND_DOWN, a);
}

static void strike_locked(struct backend *b, struct after *a)
{
	b->good = 0;
	if (b->state == BACKEND_DOWN)
		return;
	if (b->state == BACKEND_UP)
		set_state_locked(b, BACKEND_SUSPECT, a);
	if (++b->strikes >= BACKEND_STRIKES)
		backend_go_down_locked(b, a);
}

static void timeout_locked(struct backend *b, struct bio *r, struct after *a)
{
	bool suspect = b->state == BACKEND_SUSPECT;

	r->late = true;
	strike_locked(b, a);
	if (suspect && b->state != BACKEND_DOWN &&
	    b->last_answer_ns < r->submit_ns)
		backend_go_down_locked(b, a);
}

static void good_locked(struct backend *b, const struct bio *r, struct after *a)
{
	bool counts = b->state == BACKEND_SUSPECT ||
		      (b->state == BACKEND_DOWN && r->probe && !b->held_down);

	b->strikes = 0;
	if (counts && ++b->good >= BACKEND_STRIKES)
		set_state_locked(b, BACKEND_UP, a);
}

static void sample_locked(struct backend *b, uint64_t ns)
{
	b->sample_ns[b->samples++ % BACKEND_SAMPLES] = ns;
}

static void keep_usage_locked(struct backend *b, const struct bio *r,
			      uint64_t now_ns)
{
	b->usage_asked = false;
	if (r->rc != 0)
		return;
	b->usage = r->usage;
	b->usage_ns = now_ns;
}

void backend_account_locked(struct backend *b, struct bio *r, struct after *a)
{
	uint64_t now = clock_mono_ns();
	enum outcome o = judge(r);

	if (r->op == BIO_USAGE)
		keep_usage_locked(b, r, now);
	if (r->late || o == OUTCOME_NEUTRAL)
		return; /* a late answer was counted when it was missed */
	if (o == OUTCOME_BAD) {
		strike_locked(b, a);
		return;
	}
	b->last_answer_ns = now;
	sample_locked(b, now - r->start_ns);
	if (o == OUTCOME_GOOD)
		good_locked(b, r, a);
}

void backend_give_up_locked(struct backend *b, struct bio *r, struct after *a)
{
	bool counted = r->late;
	int state = atomic_load(&r->state);

	/* QUEUED but in no queue: another thread is about to end it */
	if (state == BIO_DONE || (state == BIO_QUEUED && r->on == NULL))
		return;
	if (state == BIO_QUEUED) {
		if (r->op == BIO_JWRITE && r->jfile->active == r)
			r->jfile->active = NULL;
		drop_locked(r, -ETIMEDOUT, a);
	}
	if (r->op == BIO_JWRITE)
		jfile_break_locked(r->jfile, -EIO, a);
	if (!counted)
		timeout_locked(b, r, a);
}

void backend_overdue_locked(struct backend *b, uint64_t now_ns, struct after *a)
{
	const uint64_t patience = BACKEND_DEADLINE_MS * NS_PER_MS;

	for (unsigned i = 0; i < BACKEND_LANES; i++) {
		struct bio *r = b->lane[i].bio;

		if (r != NULL && !r->late && now_ns > r->start_ns + patience)
			timeout_locked(b, r, a);
	}
}
