/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a checkpoint that is everywhere sets free.
 *
 * Index segments: those of checkpoints that are no longer kept, unless one
 * that is kept, or the one in force, needs them (P4 in checkpoint.c). Data
 * segments: their rows say since which record they are dead; first the
 * fragments go, then the rows, so that a crash in between only makes the next
 * run look for fragments that are gone.
 *
 * Removal is spread over a few threads: a pool of slow folders takes long for
 * each, and there may be thousands.
 */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/mutant.h"
#include "meta/checkpoint_impl.h"
#include "meta/rows.h"

#define ROWS 256 /* deleted by one operation */

/* ---- removal ---- */

struct removal {
	struct store *store;
	const struct seg_desc *d; /* NULL: not asked for */
	int rc;
};

static void removal_job(void *arg)
{
	struct removal *job = arg;

	job->rc = store_remove(job->store, job->d);
}

/* Each job's rc tells. */
static void remove_all(struct checkpoint *ck, struct removal *job, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!job[i].d)
			continue;
		job[i].store = ck->o.store;
		if (workq_submit(ck->q, removal_job, &job[i]) < 0)
			removal_job(&job[i]);
	}
	workq_drain(ck->q);
}

/* ---- index segments ---- */

/* Does an error of reading say that it will never be read? */
static bool is_proven(int rc)
{
	return rc == -ERR_CORRUPT || rc == -ERR_FORMAT || rc == -ERR_RANGE ||
	       rc == -ERR_TRUNCATED || rc == -ERR_FEATURE;
}

/* Learns which segments an older checkpoint stands on. */
static int learn(struct checkpoint *ck, struct past *p)
{
	const struct seg_desc *d = &p->ref.segment;
	struct manifest m;
	int rc;

	if (p->known)
		return 0;
	if (store_reachable(ck->o.store, d) < d->k)
		return -ERR_UNAVAILABLE;
	rc = manifest_load(ck->o.store, &p->ref, &m, NULL);
	if (rc < 0)
		return rc;
	rc = past_segments(&m, &p->ref, &p->segs);
	manifest_release(&m);
	if (rc < 0)
		desc_list_release(&p->segs);
	p->known = rc == 0;
	return rc;
}

/* Those of p that are not in the set become garbage. */
static int discard(struct checkpoint *ck, const struct past *p,
		   const struct stripe_set *needed)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < p->segs.n; i++)
		if (!stripe_set_has(needed, &p->segs.v[i]))
			rc = desc_list_add(&ck->garbage, &p->segs.v[i]);
	return rc;
}

/*
 * What is not kept leaves the list; its segments become garbage. One that
 * cannot be read now waits for the next time; one that can never be read
 * leaves its segments to the search for orphans.
 */
static int drop_past(struct checkpoint *ck, const struct stripe_set *needed)
{
	unsigned n = 0;
	int rc = 0;

	for (unsigned i = 0; i < ck->pasts; i++) {
		struct past *p = &ck->past[i];
		int one = p->kept ? 0 : learn(ck, p);

		if (!p->kept && one == 0)
			one = discard(ck, p, needed);
		if (p->kept || (one < 0 && !is_proven(one)))
			ck->past[n++] = *p;
		else
			past_release(p);
		if (one == -ENOMEM)
			rc = one;
	}
	ck->pasts = n;
	return rc;
}

/* Everything that must stay. *all_known_out: nothing is missing in it. */
static int find_needed(struct checkpoint *ck, struct stripe_set *needed,
		       bool *all_known_out)
{
	AUTO(desc_list_release) struct desc_list base = {0};
	int rc = past_segments(&ck->base, &ck->base_ref, &base);

	if (rc == 0)
		rc = stripe_set_add(needed, &base);
	*all_known_out = true;
	for (unsigned i = 0; rc == 0 && i < ck->pasts; i++) {
		struct past *p = &ck->past[i];

		if (!p->kept)
			continue;
		if (learn(ck, p) < 0)
			*all_known_out = false;
		rc = stripe_set_add(needed, &p->segs);
	}
	stripe_set_sort(needed);
	return rc;
}

/* Removes garbage but what an unknown checkpoint might need (P4). */
static int sweep(struct checkpoint *ck, const struct stripe_set *needed,
		 bool all_known)
{
	struct desc_list *g = &ck->garbage;
	AUTO_FREE struct removal *job = mem_calloc(g->n + 1, sizeof(*job));
	size_t left = 0;

	if (!job)
		return -ENOMEM;
	for (size_t i = 0; i < g->n; i++)
		if (!stripe_set_has(needed, &g->v[i]) &&
		    (all_known || g->v[i].id.v >= ck->first_own))
			job[i].d = &g->v[i];
	remove_all(ck, job, g->n);
	for (size_t i = 0; i < g->n; i++)
		if (!job[i].d || job[i].rc < 0)
			g->v[left++] = g->v[i];
	g->n = left;
	return 0;
}

/*
 * Several checkpoints dropped at a time may share segments; to remove one twice
 * does no harm.
 */
static int reclaim_index(struct checkpoint *ck)
{
	AUTO(stripe_set_release) struct stripe_set needed = {0};
	bool all_known;
	int rc = find_needed(ck, &needed, &all_known);

	if (rc == 0)
		rc = drop_past(ck, &needed);
	return rc < 0 ? rc : sweep(ck, &needed, all_known);
}

/* ---- data segments ---- */

struct dead {
	struct segment_row row[ROWS];
	struct removal job[ROWS];
};

static int forget_rows(struct checkpoint *ck, const struct dead *d, int n)
{
	uint64_t removed = 0;
	int rc = index_begin(ck->o.ix);

	if (rc < 0)
		return rc;
	for (int i = 0; rc == 0 && i < n; i++) {
		if (!d->job[i].d || d->job[i].rc < 0)
			continue;
		MUST(d->row[i].dead_seq <= ck->base.seq); /* C5 */
		rc = segment_delete(ck->o.ix, d->row[i].desc.id);
		removed++;
	}
	rc = index_end(ck->o.ix, rc);
	if (rc < 0)
		return rc;
	MUTEX_GUARD(&ck->mu);
	ck->stats.segments_removed += removed;
	return 0;
}

static int list_dead(struct checkpoint *ck, struct seg_id after, struct dead *d)
{
	int n;

	index_lock(ck->o.ix);
	n = segment_list(ck->o.ix, SEG_DEAD, after, d->row, ROWS);
	index_unlock(ck->o.ix);
	return n;
}

static int reclaim_data(struct checkpoint *ck, uint64_t *left)
{
	AUTO_FREE struct dead *d = mem_alloc(sizeof(*d));
	struct seg_id after = {0};
	int n, rc = 0;

	if (!d)
		return -ENOMEM;
	do {
		n = list_dead(ck, after, d);
		if (n <= 0)
			return n;
		after = d->row[n - 1].desc.id;
		for (int i = 0; i < n; i++) {
			bool free_now = d->row[i].dead_seq <= ck->base.seq ||
					MUTANT(DELETE_EARLY);

			d->job[i] = (struct removal){
				.d = free_now ? &d->row[i].desc : NULL};
		}
		remove_all(ck, d->job, (size_t)n);
		for (int i = 0; i < n; i++)
			*left += d->job[i].d && d->job[i].rc < 0;
		rc = forget_rows(ck, d, n);
	} while (rc == 0 && n == ROWS);
	return rc;
}

uint64_t checkpoint_reclaim(struct checkpoint *ck)
{
	uint64_t left = 0;
	int index = reclaim_index(ck);
	int data = reclaim_data(ck, &left);

	if (index < 0 || data < 0 || left > 0)
		log_event(LOG_LVL_WARN, "reclaim_incomplete",
			  "index=%s data=%s left=%llu", err_name(index),
			  err_name(data), (unsigned long long)left);
	return left;
}
