/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fragments of segments: several segments are asked about at the same
 * time, and told of in the order they came.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "backend/fragment.h"
#include "repair/check_impl.h"

uint64_t stripe_bytes(const struct seg_desc *d)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < fragment_count(d); i++)
		sum += fragment_file_len(d, i);
	return sum;
}

int stripe_know(struct check *c, const struct seg_desc *d)
{
	struct known_stripe *k;

	if (htab_find(&c->stripes, d->stripe.v))
		return 1;
	k = mem_zalloc(sizeof(*k));
	if (!k)
		return -ENOMEM;
	k->id = d->id;
	k->kind = d->kind;
	k->n = fragment_count(d);
	memcpy(k->home, d->home, k->n);
	htab_insert(&c->stripes, &k->node, d->stripe.v);
	return 0;
}

/* ---- asking ---- */

static void ask(void *arg)
{
	struct stripe_job *j = arg;

	j->good = store_check(j->c->t->store, &j->desc, j->c->o->read_data,
			      j->state);
}

int stripe_check(struct check *c, const struct seg_desc *d, const char *what)
{
	struct stripe_job *j = &c->job[c->jobs];
	int rc = stripe_know(c, d);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	*j = (struct stripe_job){.c = c, .desc = *d, .what = what};
	c->jobs++;
	rc = workq_submit(c->q, ask, j);
	if (rc == 0 && c->jobs == CHECK_BATCH)
		rc = stripe_flush(c);
	return rc;
}

/* ---- telling ---- */

static bool is_away(const struct check *c, unsigned slot)
{
	const struct pool *p = c->t->pool;

	return slot >= p->n || !p->member[slot].backend;
}

/* Of a member that is not there nothing is told: it was, once. */
static void tell_fragment(const struct stripe_job *j, unsigned i)
{
	struct check *c = j->c;
	unsigned home = j->desc.home[i];
	char subject[CHECK_SUBJECT], name[DRV_NAME_MAX + 1];
	enum finding_id id = FINDING_SEGMENT_FRAGMENT_UNREAD;

	if (j->state[i] == FRAG_GOOD ||
	    (j->state[i] == FRAG_UNKNOWN && is_away(c, home)))
		return;
	if (j->state[i] == FRAG_MISSING)
		id = FINDING_SEGMENT_FRAGMENT_MISSING;
	if (j->state[i] == FRAG_BAD)
		id = FINDING_SEGMENT_FRAGMENT_BAD;
	(void)snprintf(subject, sizeof(subject), "%s %" PRIu64 " fragment %u",
		       j->what, j->desc.id.v, i);
	frag_name(&j->desc, i, name);
	check_report(c, id, subject, "%s/%s", check_member_path(c, home), name);
}

static unsigned count(const struct stripe_job *j, enum frag_state state)
{
	unsigned n = 0;

	for (unsigned i = 0; i < fragment_count(&j->desc); i++)
		n += j->state[i] == state;
	return n;
}

static int note_damaged(struct check *c, const struct seg_desc *d)
{
	struct damaged_segment *s;

	if (d->kind != SEG_DATA)
		return 0;
	s = mem_zalloc(sizeof(*s));
	if (!s)
		return -ENOMEM;
	htab_insert(&c->damaged, &s->node, d->id.v);
	return 0;
}

static int tell_segment(const struct stripe_job *j)
{
	const struct seg_desc *d = &j->desc;
	struct check *c = j->c;
	unsigned all = fragment_count(d);
	enum finding_id id = FINDING_SEGMENT_DEGRADED;
	char subject[64];

	(void)snprintf(subject, sizeof(subject), "%s %" PRIu64, j->what,
		       d->id.v);
	if (d->m < c->t->pool->geo.m)
		check_report(c, FINDING_SEGMENT_THIN, subject,
			     "it can lose %u fragments, the pool wants %u",
			     d->m, c->t->pool->geo.m);
	if (j->good == all)
		return 0;
	if (j->good < d->k)
		id = j->good + count(j, FRAG_UNKNOWN) < d->k
			     ? FINDING_SEGMENT_LOST
			     : FINDING_SEGMENT_UNAVAILABLE;
	check_report(c, id, subject, "%u of %u fragments are good, it needs %u",
		     j->good, all, d->k);
	return j->good < d->k ? note_damaged(c, d) : 0;
}

static int tell(const struct stripe_job *j)
{
	struct check *c = j->c;
	unsigned all = fragment_count(&j->desc);

	if (j->desc.kind == SEG_DATA)
		c->totals->segments++;
	else
		c->totals->index_segments++;
	c->totals->fragments += all;
	for (unsigned i = 0; i < all; i++)
		tell_fragment(j, i);
	check_advance(c, stripe_bytes(&j->desc));
	return tell_segment(j);
}

int stripe_flush(struct check *c)
{
	int rc = 0;

	workq_drain(c->q);
	for (unsigned i = 0; i < c->jobs && rc == 0; i++)
		rc = tell(&c->job[i]);
	c->jobs = 0;
	return rc < 0 ? rc : check_go_on(c);
}
