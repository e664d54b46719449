/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service.c - what goes on in the background of an open volume.
 *
 *   flusher   writes back what is old enough, or all when much is dirty
 *   keeper    commits in time, works off the queue, makes checkpoints
 *
 * Both are tickers; neither holds a lock while it works but ckpt_lock, which
 * only serialises checkpoints.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "fs/gaps.h"
#include "fs/volume_impl.h"

/* By then a kernel has handed on what was written before (30 s to begin, and a
 * throttled request waits as long). */
#define GAPS_NS 120000000000ULL

#define TICK_MS		500
#define FAILING_TICK_NS 2000000000ULL

/* ---- write-back ---- */

/* Nothing more is to be written. */
static bool is_over(struct volume *v)
{
	return volume_alive(v) < 0 || pool_lease_error(v->pool) == -ERR_FENCED;
}

static void flush_tick(void *arg)
{
	struct volume *v = arg;
	uint64_t now = clock_mono_ns();
	uint64_t before = now > v->commit_ns ? now - v->commit_ns : 0;

	if (is_over(v))
		return;
	/* Nobody is helped by trying all the time. */
	if (writeback_failing(v) < 0 &&
	    now - v->last_flush_ns < FAILING_TICK_NS)
		return;
	v->last_flush_ns = now;
	/* Much is dirty: then age does not matter. */
	if (atomic_exchange(&v->flush_wanted, false))
		before = UINT64_MAX;
	/* Errors stay with the inodes and come back from their fsync. */
	if (writeback_run(v, CACHE_ANY, before) < 0)
		log_event(LOG_LVL_DEBUG, "flush_incomplete", "all=%d",
			  before == UINT64_MAX);
}

void service_want_writeback(void *volume)
{
	struct volume *v = volume;

	atomic_store(&v->flush_wanted, true);
	if (v->flusher)
		ticker_poke(v->flusher);
}

/* ---- the queue of large jobs ---- */

static int step_op(struct volume *v, const struct queue_row *job)
{
	struct queue_row row;
	int rc = index_begin(v->ix);
	int done = 0;

	if (rc < 0)
		return rc;
	/* Whoever made it may have finished it meanwhile, and have made another
	 * with a border of its own. */
	rc = queue_find(v->ix, job->kind, job->a, &row);
	if (rc == 0)
		done = extent_cut(v->ix, job->a,
				  row.kind == QUEUE_TRIM_DATA ? row.b : 0,
				  UINT64_MAX, ROWS_PER_OP);
	if (rc == 0 && done == 1)
		rc = queue_remove(v->ix, row.id);
	if (rc == -ENOENT) {
		done = 1;
		rc = 0;
	}
	if (done < 0)
		rc = done;
	rc = index_end(v->ix, rc);
	return rc < 0 ? rc : done;
}

int service_job_step(struct volume *v, const struct queue_row *job)
{
	int rc = commit_blocked(v->commit);

	if (rc == 0)
		rc = step_op(v, job);
	commit_maybe(v->commit);
	return rc;
}

static int next_job(struct volume *v, uint64_t after, struct queue_row *out)
{
	int rc;

	index_lock(v->ix);
	rc = queue_next(v->ix, after, out);
	index_unlock(v->ix);
	return rc;
}

/* Nodes loaded from now on need not look for a border. */
static void note_no_cuts(struct volume *v)
{
	if (!atomic_load(&v->cuts))
		return;
	index_lock(v->ix);
	if (queue_any(v->ix, QUEUE_TRIM_DATA) == 0)
		atomic_store(&v->cuts, false);
	index_unlock(v->ix);
}

int service_run_queue(struct volume *v)
{
	struct queue_row job = {0};
	int rc = 0;

	while (rc >= 0) {
		rc = next_job(v, job.id, &job);
		if (rc < 0)
			break;
		if (job.kind == QUEUE_ORPHAN) {
			node_reap(v, job.a);
			continue;
		}
		if (job.kind == QUEUE_LOOSE) /* recovery's */
			continue;
		do {
			rc = service_job_step(v, &job);
		} while (rc == 0);
	}
	note_no_cuts(v);
	return rc == -ENOENT ? 0 : rc;
}

/* ---- commits and checkpoints ---- */

/*
 * What this machine will remember of the pool, not clean while mounted: the
 * newest record known to be durable. ckpt_lock is held.
 */
static void remember(struct volume *v, uint64_t seq)
{
	const struct superblock *sb = &v->pool->sb;
	const struct epoch *e = &sb->epoch[sb->epochs - 1];
	struct local_state *s = &v->local_state;
	int rc;

	if (memcmp(s->mark_epoch_id, e->id, sizeof(s->mark_epoch_id)) == 0)
		seq = MAX(seq, s->mark_seq);
	s->clean = false;
	s->mark_epoch = e->number;
	memcpy(s->mark_epoch_id, e->id, sizeof(s->mark_epoch_id));
	s->mark_seq = seq;
	rc = local_store(&v->local, v->pool->keys, s);
	if (rc < 0)
		log_event(LOG_LVL_WARN, "local_state", "rc=%s", err_name(rc));
}

/* ckpt_lock is held. */
static int checkpoint_locked(struct volume *v, uint8_t hash_out[32],
			     uint64_t *seq_out)
{
	uint64_t seq = 0;
	int rc;

	rc = checkpoint_run(v->checkpoint, hash_out, &seq);
	if (rc < 0)
		return rc;
	remember(v, seq);
	if (seq_out)
		*seq_out = seq;
	return 0;
}

int service_checkpoint(struct volume *v, uint8_t hash_out[32],
		       uint64_t *seq_out)
{
	MUTEX_GUARD(&v->ckpt_lock);
	return checkpoint_locked(v, hash_out, seq_out);
}

/* Not due: one has just failed. */
static bool journal_is_full(struct volume *v)
{
	struct journal_stats js;

	journal_get_stats(v->journal, &js);
	return js.used_bytes / 9 >= js.limit_bytes / 10 &&
	       checkpoint_due(v->checkpoint);
}

void service_make_room(struct volume *v)
{
	if (!v->journal || !journal_is_full(v))
		return;
	MUTEX_GUARD(&v->ckpt_lock);
	/* Many may have waited for one. A failure shows in the commits that
	 * follow. */
	if (journal_is_full(v) && checkpoint_locked(v, NULL, NULL) < 0)
		log_event(LOG_LVL_WARN, "journal_full", "pending=%zu",
			  index_pending(v->ix));
}

/*
 * Records between two checkpoints, too: else all folders could be set back to
 * a moment between these, unnoticed. Not while a checkpoint is made: it will
 * remember itself.
 */
static void remember_durable(struct volume *v)
{
	uint64_t seq = commit_durable(v->commit);

	if (!mutex_trylock(&v->ckpt_lock))
		return;
	if (seq > v->local_state.mark_seq)
		remember(v, seq);
	mutex_unlock(&v->ckpt_lock);
}

#define PROBE_NS	  2000000000ULL
#define PROBE_DEADLINE_MS 500

/* Members that went down may be well again; several good answers tell. */
static void probe_members(struct volume *v, uint64_t now)
{
	if (now - v->last_probe_ns < PROBE_NS)
		return;
	v->last_probe_ns = now;
	for (unsigned i = 0; i < v->pool->n; i++) {
		struct backend *b = v->pool->member[i].backend;

		if (b && backend_get_state(b) == BACKEND_DOWN &&
		    backend_probe(b, PROBE_DEADLINE_MS) == 0)
			log_event(LOG_LVL_INFO, "probe_well", "member=%u", i);
	}
}

static void keep_tick(void *arg)
{
	struct volume *v = arg;
	uint64_t now = clock_mono_ns();
	int rc = 0;

	if (is_over(v))
		return;
	probe_members(v, now);
	if (now - v->last_commit_ns >= v->commit_ns) {
		v->last_commit_ns = now;
		if (now > GAPS_NS)
			gaps_close_all(v, now - GAPS_NS);
		rc = node_flush_attrs(v);
		if (rc == 0)
			rc = commit_all(v->commit);
		if (rc == 0)
			remember_durable(v);
	}
	if (rc == 0)
		rc = writeback_seal_late(v);
	if (rc == 0)
		rc = service_run_queue(v);
	if (rc == 0 && checkpoint_due(v->checkpoint))
		rc = service_checkpoint(v, NULL, NULL);
	if (rc < 0)
		log_event(LOG_LVL_ERROR, "keeper", "rc=%s", err_name(rc));
}

int service_start(struct volume *v)
{
	int rc;

	v->last_commit_ns = clock_mono_ns();
	rc = ticker_new("flusher", TICK_MS, flush_tick, v, &v->flusher);
	if (rc == 0)
		rc = ticker_new("keeper", TICK_MS, keep_tick, v, &v->keeper);
	return rc;
}

void service_stop(struct volume *v)
{
	ticker_free(steal(&v->flusher));
	ticker_free(steal(&v->keeper));
}
