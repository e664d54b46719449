/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint.c - one run, and what is asked about checkpoints. The other files
 * are listed in checkpoint_impl.h.
 *
 * A run:
 *
 *   1 seal journaled segments                              jseg_rotate
 *   2 close record S; in the same lock hold: forget segments whose stripe S
 *     names, note which journal records are still needed, freeze the index
 *   3 index segments, manifest; read the manifest back     checkpoint_write
 *   4 superblocks                                          pool_publish
 *   5 if all reachable members have them: release the journal, remove what
 *     nothing needs any more                               checkpoint_reclaim
 *
 * Invariants:
 *   P1  Up to step 4 nothing points to what the run wrote: a failure removes
 *       it, and the checkpoint in force before is untouched.
 *   P2  After an attempt at step 4 that failed, some member may name the new
 *       checkpoint, or will when a late rename ends. It is in doubt: it stays,
 *       as does all that the one in force needs, and the next run first
 *       publishes it again. So there is at most one in doubt.
 *   P3  Nothing is deleted, and no journal file released, unless the
 *       checkpoint that allows it is on all reachable members (C3, C5).
 *   P4  What an older checkpoint holds is unknown until its manifest was
 *       read. While one that is kept is unknown, only segments that this
 *       object wrote itself are removed: they are younger (C6).
 *   P5  Segment numbers drawn here are above those of all checkpoints seen.
 *       They are drawn after the cut, so a crash would draw them again
 *       otherwise.
 *   P6  A checkpoint names no bytes that only the journal has, unless there
 *       is a journal (C1).
 *   P7  Record S need not be durable in the journal for the checkpoint to be
 *       made if the journal only lacks room, or members that can hold all that
 *       is uncovered: to relieve it of that is what the checkpoint is for, and
 *       it holds S itself.
 *
 * Locks: run -> (inside commit and jseg, nothing of ours is taken); mu is a
 * leaf.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/mutant.h"
#include "meta/checkpoint_impl.h"
#include "meta/rows.h"

#define THREADS	 4 /* that remove segments */
#define DUE_MIN	 (64u << 20)
#define RETRY_NS (5 * 1000000000ULL)
#define STUCK_NS (30 * 1000000000ULL)
/* Numbers that P5 may skip: more index segments than a manifest can list. */
#define SKIP_MAX (1u << 20)

/* ---- life ---- */

/* P5. The manifest is authentic, but a number from it bounds no loop. */
static int skip_numbers(struct index *ix, const struct manifest *m,
			const struct manifest_ref *ref)
{
	uint64_t last = ref->segment.id.v;

	for (uint32_t i = 0; i < m->segments; i++)
		last = MAX(last, m->segment[i].desc.id.v);
	if (last > index_peek(ix, COUNTER_SEGMENT) + SKIP_MAX)
		return -ERR_RANGE;
	while (index_peek(ix, COUNTER_SEGMENT) <= last)
		(void)index_next(ix, COUNTER_SEGMENT);
	return 0;
}

static int copy_manifest(const struct manifest *from, struct manifest *to)
{
	*to = *from;
	to->region = mem_calloc(from->regions, sizeof(*to->region));
	to->segment = mem_calloc(from->segments, sizeof(*to->segment));
	if (!to->region || !to->segment) {
		manifest_release(to);
		return -ENOMEM;
	}
	memcpy(to->region, from->region, from->regions * sizeof(*to->region));
	memcpy(to->segment, from->segment,
	       from->segments * sizeof(*to->segment));
	return 0;
}

static void show_in_force(struct checkpoint *ck)
{
	MUTEX_GUARD(&ck->mu);
	ck->stats.seq = ck->base.seq;
	ck->stats.created_ns = ck->base.created_ns;
	ck->stats.regions_total = ck->base.regions;
	ck->stats.segments = ck->base.segments;
}

/* The checkpoint that the pool's superblock names. */
static int adopt(struct checkpoint *ck, const struct manifest *m)
{
	const struct manifest_ref *ref = &ck->o.pool->sb.manifest;
	int rc;

	if (!ref->present || ref->seq != m->seq ||
	    memcmp(ref->epoch_id, m->epoch_id, sizeof(m->epoch_id)) != 0)
		return -EINVAL;
	rc = skip_numbers(ck->o.ix, m, ref);
	if (rc == 0)
		rc = copy_manifest(m, &ck->base);
	if (rc < 0)
		return rc;
	ck->base_ref = *ref;
	ck->past = mem_calloc(m->kept, sizeof(*ck->past));
	if (!ck->past)
		return -ENOMEM;
	ck->pasts = m->kept;
	for (unsigned i = 0; i < m->kept; i++)
		ck->past[i] = (struct past){.created_ns = m->keep[i].created_ns,
					    .ref = m->keep[i].ref,
					    .kept = true};
	return 0;
}

static struct journal *get_journal(struct checkpoint *ck)
{
	MUTEX_GUARD(&ck->mu);
	return ck->journal;
}

/*
 * What data has to leave free on each member: half of the reserve, and what a
 * journal takes there at most: its limit, a record beyond that, a file ahead.
 */
static uint64_t reserve_each(const struct pool *p,
			     const struct pool_space *space,
			     const struct journal_stats *js, uint64_t reserve)
{
	uint64_t journal = js->limit_bytes / 2 * 3;

	return MIN(MAX(reserve / p->n / 2, journal), space->smallest_total / 4);
}

/*
 * New data is accepted only while all of the reserve is free, more than what
 * the members are told (`each`): the difference takes what was accepted by an
 * estimate that turns out too low.
 */
static uint64_t find_reserve(struct checkpoint *ck, uint64_t *each)
{
	const struct pool *p = ck->o.pool;
	struct journal *journal = get_journal(ck);
	unsigned k = p->geo.k, width = k + p->geo.m;
	struct journal_stats js = {0};
	struct pool_space space;
	uint64_t twice, total;

	if (journal)
		journal_get_stats(journal, &js);
	pool_space(p, &space);
	twice = 2 * index_bytes(ck->o.ix) / k * width +
		js.limit_bytes * js.copies_wanted;
	total = MIN(MAX(space.raw_total / 32, twice), space.raw_total / 4);
	*each = reserve_each(p, &space, &js, total);
	return MAX(total, *each * p->n / 4 * 5);
}

static void set_reserve(struct checkpoint *ck)
{
	uint64_t each;

	(void)find_reserve(ck, &each);
	store_set_reserve(ck->o.store, each);
}

int checkpoint_new(const struct checkpoint_options *o, struct checkpoint **out)
{
	struct checkpoint *ck = mem_zalloc(sizeof(*ck));
	int rc = 0;

	if (!ck)
		return -ENOMEM;
	ck->o = *o;
	ck->o.manifest = NULL;
	ck->journal = o->journal;
	mutex_init(&ck->run);
	mutex_init(&ck->mu);
	if (o->manifest)
		rc = adopt(ck, o->manifest);
	if (rc == 0)
		rc = workq_new("reclaim", THREADS, &ck->q);
	if (rc < 0) {
		checkpoint_free(ck);
		return rc;
	}
	ck->first_own = index_peek(o->ix, COUNTER_SEGMENT);
	show_in_force(ck);
	set_reserve(ck);
	*out = ck;
	return 0;
}

void checkpoint_free(struct checkpoint *ck)
{
	if (!ck)
		return;
	workq_free(ck->q);
	for (unsigned i = 0; i < ck->pasts; i++)
		past_release(&ck->past[i]);
	mem_free(ck->past);
	manifest_release(&ck->base);
	manifest_release(&ck->doubt);
	desc_list_release(&ck->garbage);
	mutex_destroy(&ck->mu);
	mutex_destroy(&ck->run);
	mem_free(ck);
}

void checkpoint_set_journal(struct checkpoint *ck, struct journal *journal)
{
	mutex_lock(&ck->mu);
	ck->journal = journal;
	mutex_unlock(&ck->mu);
	set_reserve(ck);
}

/* ---- the cut ---- */

/* Step 2; the index lock is held. */
static int at_cut(void *arg, uint64_t seq)
{
	struct run *r = arg;
	struct checkpoint *ck = r->ck;
	uint64_t needed;
	int rc;

	MUST(index_seq(ck->o.ix) == seq); /* C10 */
	jseg_forget(ck->o.js, seq);
	needed = jseg_needed_from(ck->o.js);
	r->next.seq = seq;
	r->next.bytes_from =
		MUTANT(RECYCLE_OPEN_BYTES) ? seq + 1 : MIN(needed, seq + 1);
	r->next.created_ns = clock_real_ns();
	rc = index_freeze(ck->o.ix, &r->changed);
	r->frozen = rc == 0;
	return rc;
}

static int cut(struct run *r)
{
	struct checkpoint *ck = r->ck;
	const struct epoch *e = superblock_epoch(&ck->o.pool->sb);
	uint64_t seq;
	bool carried;
	int rc;

	MUST(e);
	memcpy(r->next.epoch_id, e->id, sizeof(r->next.epoch_id));
	rc = commit_cut_hook(ck->o.commit, at_cut, r, &seq);
	if (!r->frozen)
		return rc;
	carried = r->next.bytes_from <= r->next.seq;
	if (journal_lacks(rc) && !carried)
		return 0; /* P7 */
	if (rc == 0 && carried && !get_journal(ck))
		return -ERR_UNAVAILABLE; /* P6 */
	return rc;
}

/* ---- publication ---- */

/*
 * Puts a durable checkpoint in force. An error means that it is in doubt (P2);
 * the superblock in memory names the one before again.
 */
static int publish(struct checkpoint *ck, const struct manifest_ref *ref,
		   bool *all_out)
{
	struct pool *p = ck->o.pool;
	struct manifest_ref before = p->sb.manifest;
	int rc;

	p->sb.manifest = *ref;
	rc = pool_publish(p, all_out);
	if (rc >= 0)
		return 0;
	p->sb.manifest = before;
	return rc;
}

static void show_everywhere(struct checkpoint *ck, bool all)
{
	MUTEX_GUARD(&ck->mu);
	ck->stats.everywhere = all;
}

static uint64_t count_dead(struct checkpoint *ck)
{
	struct segment_totals totals;

	index_lock(ck->o.ix);
	segment_get_totals(ck->o.ix, &totals);
	index_unlock(ck->o.ix);
	return totals.dead;
}

static void note_stuck(struct checkpoint *ck, uint64_t left)
{
	MUTEX_GUARD(&ck->mu);
	ck->stuck = left;
	ck->stuck_retry_ns = clock_mono_ns() + STUCK_NS;
}

/* Step 5. */
static void settle(struct checkpoint *ck, bool all)
{
	uint64_t covered = MIN(ck->base.seq, ck->base.bytes_from - 1);
	struct journal *journal = get_journal(ck);

	show_in_force(ck);
	show_everywhere(ck, all);
	set_reserve(ck);
	if (!all) {
		note_stuck(ck, count_dead(ck));
		log_event(LOG_LVL_WARN, "checkpoint_not_everywhere", "seq=%llu",
			  (unsigned long long)ck->base.seq);
		return;
	}
	MUST(jseg_needed_from(ck->o.js) > covered); /* C3 */
	if (journal)
		journal_release(journal, covered);
	note_stuck(ck, checkpoint_reclaim(ck));
}

/* P2: what is in doubt comes first. */
static int settle_doubt(struct checkpoint *ck)
{
	struct past former = {0};
	bool all;
	int rc;

	if (!ck->doubt_ref.present)
		return 0;
	rc = checkpoint_prepare(ck, &former);
	if (rc == 0)
		rc = publish(ck, &ck->doubt_ref, &all);
	if (rc == 0) {
		checkpoint_advance(ck, &former, &ck->doubt, &ck->doubt_ref);
		ck->doubt_ref.present = false;
		settle(ck, all);
	}
	past_release(&former);
	return rc;
}

/* ---- a run ---- */

static bool space_is_scarce(struct checkpoint *ck)
{
	struct pool_space space;

	pool_space(ck->o.pool, &space);
	return space.raw_free < checkpoint_reserve(ck);
}

/* P1. What cannot be removed now is an orphan. */
static void undo_writes(struct run *r)
{
	for (size_t i = 0; i < r->written.n; i++) {
		const struct seg_desc *d = &r->written.v[i];
		int rc = store_remove(r->ck->o.store, d);

		if (rc < 0)
			log_event(LOG_LVL_INFO, "index_segment_stays",
				  "segment=%llx stripe=%llx rc=%s",
				  (unsigned long long)d->id.v,
				  (unsigned long long)d->stripe.v,
				  err_name(rc));
	}
}

static void keep_doubt(struct run *r)
{
	struct checkpoint *ck = r->ck;

	ck->doubt = r->next;
	ck->doubt_ref = r->ref;
	r->next = (struct manifest){0};
}

/* Steps 3 and 4. The index is thawed afterwards. */
static int make_durable(struct run *r, bool *all_out)
{
	struct checkpoint *ck = r->ck;
	struct past former = {0};
	int rc = checkpoint_keep(ck, &r->next, space_is_scarce(ck));

	if (rc == 0)
		rc = checkpoint_write(r);
	if (rc == 0)
		rc = checkpoint_prepare(ck, &former);
	if (rc < 0) {
		undo_writes(r);
	} else {
		rc = publish(ck, &r->ref, all_out);
		if (rc < 0)
			keep_doubt(r);
		else
			checkpoint_advance(ck, &former, &r->next, &r->ref);
	}
	past_release(&former);
	index_thaw(ck->o.ix, rc == 0);
	return rc;
}

static int run_once(struct run *r)
{
	struct checkpoint *ck = r->ck;
	bool all = false;
	int rc = settle_doubt(ck);

	if (rc == 0)
		rc = jseg_rotate(ck->o.js, true);
	if (rc == 0)
		rc = cut(r);
	if (rc == 0)
		rc = make_durable(r, &all);
	else if (r->frozen)
		index_thaw(ck->o.ix, false);
	if (rc == 0)
		settle(ck, all);
	return rc;
}

static void count_run(struct run *r, int rc)
{
	struct checkpoint *ck = r->ck;

	MUTEX_GUARD(&ck->mu);
	ck->stats.runs++;
	ck->stats.failed += rc < 0;
	ck->stats.regions_written += r->regions_written;
	ck->retry_ns = rc < 0 ? clock_mono_ns() + RETRY_NS : 0;
}

int checkpoint_run(struct checkpoint *ck, uint8_t hash_out[32],
		   uint64_t *seq_out)
{
	struct run r = {.ck = ck};
	int rc;

	MUTEX_GUARD(&ck->run);
	rc = run_once(&r);
	count_run(&r, rc);
	if (rc < 0)
		log_event(LOG_LVL_ERROR, "checkpoint_failed", "rc=%s",
			  err_name(rc));
	if (rc == 0 && hash_out)
		memcpy(hash_out, r.hash, sizeof(r.hash));
	if (rc == 0 && seq_out)
		*seq_out = ck->base.seq;
	region_set_release(&r.changed);
	manifest_release(&r.next);
	desc_list_release(&r.written);
	return rc;
}

/* ---- what is asked ---- */

static bool has_just_failed(struct checkpoint *ck)
{
	MUTEX_GUARD(&ck->mu);
	return ck->retry_ns && clock_mono_ns() < ck->retry_ns;
}

bool checkpoint_frees(struct checkpoint *ck)
{
	uint64_t dead = count_dead(ck);

	if (dead == 0 || has_just_failed(ck))
		return false;
	MUTEX_GUARD(&ck->mu);
	return dead > ck->stuck || clock_mono_ns() >= ck->stuck_retry_ns;
}

/* Is room short while dead segments hold some? */
static bool space_waits(struct checkpoint *ck)
{
	struct pool_space space;

	pool_space(ck->o.pool, &space);
	return space.raw_free <= 2 * checkpoint_reserve(ck) &&
	       checkpoint_frees(ck);
}

bool checkpoint_due(struct checkpoint *ck)
{
	struct journal *journal = get_journal(ck);
	struct journal_stats js;

	if (!journal || has_just_failed(ck))
		return false;
	journal_get_stats(journal, &js);
	return js.used_bytes > MAX(DUE_MIN, index_bytes(ck->o.ix) / 4) ||
	       js.used_bytes > js.limit_bytes / 2 || space_waits(ck);
}

uint64_t checkpoint_reserve(struct checkpoint *ck)
{
	uint64_t each;

	return find_reserve(ck, &each);
}

void checkpoint_get_stats(struct checkpoint *ck, struct checkpoint_stats *out)
{
	MUTEX_GUARD(&ck->mu);
	*out = ck->stats;
}
