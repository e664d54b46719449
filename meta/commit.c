/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commit.c - group commit (see commit.h).
 *
 * Life of a record:
 *
 *     open --cut--> in hand --append ok--> durable
 *                     |  ^
 *       append failed +--+ (kept in c->hand[], tried again by the next leader;
 *       or gate shut        one that is in the journal waits for the gate only)
 *
 * Invariants, all under c->mu but for what the leader holds:
 *   K1  `leading` is true for one thread at a time; only it cuts records and
 *       touches `hand`.
 *   K2  records reach the journal in the order of their numbers: no record is
 *       cut while one is in hand, but by a checkpoint when the journal lacks
 *       room or members, as only it can make it do without what needs them;
 *       then they queue up.
 *   K3  durable only grows, and only after journal_append returned 0 (C2) and
 *       the gate was found open after that: whoever took the pool over until
 *       then has the record.
 *   K4  the index lock is not held during an append.
 *   K5  a record stays below JOURNAL_RECORD_MAX, or it could never be
 *       appended: jseg_add takes no more when JSEG_PENDING_MAX of sealed bytes
 *       wait (should it be more than CARRY_MAX all the same, it is striped
 *       before the cut), and who adds to the log waits while LOG_MAX waits
 *       (commit_maybe), or is refused while nothing can be appended
 *       (commit_blocked).
 */
#include "meta/commit.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/mutant.h"
#include "base/sync.h"

#define CARRY_MAX LIMIT(JOURNAL_RECORD_MAX / 8 * 5, 96u << 10)
#define LOG_MAX	  LIMIT(JOURNAL_RECORD_MAX / 4, 24u << 10)
#define HANDS_MAX 8 /* one, and those of checkpoints that failed */

/* A cut record on its way to the journal. */
struct hand {
	uint64_t seq;
	struct bytes payload;
	struct jseg_carry *carry;
	bool appended; /* it is in the journal */
};

struct commit {
	struct index *ix;
	struct jseg *js;
	struct mutex mu;
	struct cond changed;
	struct journal *journal; /* leader reads it; set while none leads */
	int (*gate)(void *arg);	 /* the same */
	void *gate_arg;
	bool leading;
	uint64_t durable;
	int error;   /* of the last append, 0 when it went well */
	int stopped; /* why nothing becomes durable any more, or 0 */
	struct hand hand[HANDS_MAX]; /* oldest first */
	unsigned hands;
};

typedef int hook_fn(void *arg, uint64_t seq);

int commit_new(struct index *ix, struct jseg *js, struct journal *journal,
	       struct commit **out)
{
	struct commit *c = mem_zalloc(sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->ix = ix;
	c->js = js;
	c->journal = journal;
	mutex_init(&c->mu);
	cond_init(&c->changed);
	index_lock(ix);
	c->durable = index_seq(ix);
	index_unlock(ix);
	*out = c;
	return 0;
}

static void hand_release(struct hand *h, bool ok)
{
	jseg_carry_end(h->carry, ok);
	bytes_release(&h->payload);
	*h = (struct hand){0};
}

void commit_free(struct commit *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < c->hands; i++)
		hand_release(&c->hand[i], false);
	cond_destroy(&c->changed);
	mutex_destroy(&c->mu);
	mem_free(c);
}

void commit_set_journal(struct commit *c, struct journal *journal)
{
	MUTEX_GUARD(&c->mu);
	c->journal = journal;
}

void commit_set_gate(struct commit *c, int (*gate)(void *arg), void *arg)
{
	MUTEX_GUARD(&c->mu);
	c->gate = gate;
	c->gate_arg = arg;
}

uint64_t commit_open_seq(struct commit *c)
{
	return index_seq(c->ix) + 1;
}

uint64_t commit_durable(struct commit *c)
{
	MUTEX_GUARD(&c->mu);
	return c->durable;
}

int commit_error(struct commit *c)
{
	MUTEX_GUARD(&c->mu);
	return c->error;
}

void commit_stop(struct commit *c, int rc)
{
	MUTEX_GUARD(&c->mu);
	c->stopped = rc;
	c->error = rc;
	cond_broadcast(&c->changed);
}

/* What no later append makes good. */
static int lasting_error(const struct commit *c)
{
	if (MUTANT(FORGET_STICKY))
		return c->stopped;
	return c->stopped || c->error == -ERR_STICKY ? c->error : 0;
}

int commit_blocked(struct commit *c)
{
	return index_pending(c->ix) > LOG_MAX ? commit_error(c) : 0;
}

/* What the leader is asked for. */
struct order {
	hook_fn *hook; /* NULL: an ordinary record, not made when empty */
	void *arg;
	uint64_t seq_out;
	int hook_rc;
};

/* K5: what has a stripe needs no record. */
static int limit_carry(struct commit *c)
{
	int rc = 0;

	while (rc == 0 && jseg_pending(c->js) > CARRY_MAX)
		rc = jseg_rotate(c->js, true);
	return rc;
}

/* The part of a cut that needs the index lock (K4). */
static int cut_locked(struct commit *c, struct order *o, struct bytes *log)
{
	struct hand *h = &c->hand[c->hands];
	uint64_t seq = commit_open_seq(c);
	bool needed = o->hook || jseg_pending(c->js) > 0;
	int rc = jseg_carry_begin(c->js, seq, &h->carry);

	if (rc < 0)
		return rc;
	rc = index_cut(c->ix, seq, needed, log);
	if (rc < 0) {
		jseg_carry_end(steal(&h->carry), false);
		return rc;
	}
	c->hands++;
	h->seq = seq;
	o->seq_out = seq;
	if (o->hook && !MUTANT(CUT_BETWEEN))
		o->hook_rc = o->hook(o->arg, seq);
	return 0;
}

/*
 * Cuts the open record into the next hand. 0 also when there was nothing to
 * cut. The payload may fail to be put together for lack of memory after the
 * cut: then nothing is ever appended any more.
 */
static int hand_cut(struct commit *c, struct order *o)
{
	struct bytes log = {0};
	struct hand *h = &c->hand[c->hands];
	int rc = limit_carry(c);

	if (rc < 0)
		return rc;
	index_lock(c->ix);
	rc = cut_locked(c, o, &log);
	index_unlock(c->ix);
	if (rc == -ENODATA)
		return 0;
	if (rc < 0)
		return rc;
	rc = bytes_add_varint(&h->payload, log.len);
	if (rc == 0)
		rc = bytes_add(&h->payload, log.data, log.len);
	if (rc == 0)
		rc = jseg_carry_encode(h->carry, &h->payload);
	if (rc == 0 && h->payload.len > JOURNAL_RECORD_MAX)
		rc = -EFBIG; /* K5 was broken */
	bytes_release(&log);
	if (rc < 0)
		/* The log is gone: this record can never be made durable. */
		log_event(LOG_LVL_ERROR, "record_lost", "seq=%llu rc=%s",
			  (unsigned long long)h->seq, err_name(rc));
	return rc < 0 ? -ERR_STICKY : 0;
}

/* K3: hand[0] is durable, unless that came too late. */
static int hand_done(struct commit *c)
{
	struct hand h = c->hand[0];

	MUTEX_GUARD(&c->mu);
	if (c->stopped)
		return c->stopped;
	c->hands--;
	memmove(&c->hand[0], &c->hand[1], c->hands * sizeof(h));
	c->hand[c->hands] = (struct hand){0};
	MUST(h.seq == c->durable + 1); /* K2 */
	c->durable = h.seq;
	hand_release(&h, true);
	return 0;
}

static int ask_gate(struct commit *c)
{
	return c->gate ? c->gate(c->gate_arg) : 0;
}

static int append(struct commit *c, struct journal *journal, struct hand *h)
{
	int rc = h->appended ? 0 : ask_gate(c);

	if (rc == 0 && journal && !h->appended)
		rc = journal_append(journal, h->seq, c->durable,
				    h->payload.data, h->payload.len);
	if (rc < 0)
		return rc;
	h->appended = true;
	return ask_gate(c);
}

static int append_hands(struct commit *c, struct journal *journal)
{
	while (c->hands > 0) {
		int rc = append(c, journal, &c->hand[0]);

		if (rc == 0)
			rc = hand_done(c);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* The leader's round: what is in hand first, then the open record. */
static int lead(struct commit *c, struct order *o)
{
	struct journal *journal = c->journal;
	int rc = append_hands(c, journal), cut;

	if (rc < 0 &&
	    (!journal_lacks(rc) || !o->hook || c->hands == HANDS_MAX))
		return rc;
	cut = hand_cut(c, o);
	if (cut < 0)
		return cut;
	return rc < 0 ? rc : append_hands(c, journal);
}

/* Runs one round as leader; c->mu is held on entry and exit. */
static int lead_locked(struct commit *c, struct order *o)
{
	int rc;

	c->leading = true;
	mutex_unlock(&c->mu);
	rc = lead(c, o);
	if (MUTANT(CUT_BETWEEN) && o->hook && rc == 0) {
		index_lock(c->ix);
		o->hook_rc = o->hook(o->arg, o->seq_out);
		index_unlock(c->ix);
	}
	mutex_lock(&c->mu);
	if (rc == 0)
		jseg_forget(c->js, c->durable);
	if (!lasting_error(c))
		c->error = rc;
	c->leading = false;
	cond_broadcast(&c->changed);
	return rc;
}

int commit_wait(struct commit *c, uint64_t seq)
{
	struct order o = {0};

	MUTEX_GUARD(&c->mu);
	while (c->durable < seq) {
		int rc;

		if (lasting_error(c))
			return c->error;
		if (c->leading) {
			cond_wait(&c->changed, &c->mu);
			continue;
		}
		rc = lead_locked(c, &o);
		if (rc < 0)
			return rc;
		if (o.seq_out == 0)
			break; /* nothing was open: all of it is durable */
	}
	return 0;
}

int commit_all(struct commit *c)
{
	uint64_t seq;

	index_lock(c->ix);
	seq = index_seq(c->ix);
	if (index_pending(c->ix) > 0 || jseg_pending(c->js) > 0)
		seq++;
	index_unlock(c->ix);
	return commit_wait(c, seq);
}

void commit_maybe(struct commit *c)
{
	size_t waiting = index_pending(c->ix) + jseg_pending(c->js);
	struct order o = {0};

	if (waiting < COMMIT_RECORD_BYTES)
		return;
	mutex_lock(&c->mu);
	while (c->leading && index_pending(c->ix) > LOG_MAX)
		cond_wait(&c->changed, &c->mu); /* K5 */
	if (!c->leading && c->error == 0)
		(void)lead_locked(c, &o);
	mutex_unlock(&c->mu);
}

int commit_cut_hook(struct commit *c, hook_fn *hook, void *arg,
		    uint64_t *seq_out)
{
	struct order o = {.hook = hook, .arg = arg};
	int rc;

	MUTEX_GUARD(&c->mu);
	while (c->leading)
		cond_wait(&c->changed, &c->mu);
	if (lasting_error(c))
		return c->error;
	rc = lead_locked(c, &o);
	*seq_out = o.seq_out;
	if (o.hook_rc < 0)
		return o.hook_rc;
	return rc;
}
