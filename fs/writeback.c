/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writeback.c - from the cache to segments and index.
 *
 * A job is what one cache_collect gave: pieces of one or many inodes, up to a
 * segment's worth. It goes through
 *
 *     collect -> encode (compress, seal) -> place -> enter -> complete
 *
 * Small jobs (at most JOURNALED_MAX bytes) are sealed into the journaled
 * segment: the next record carries the bytes. Larger ones become a streaming
 * segment of their own, whose extents enter the index only when its stripe is
 * durable (C1), so that no record waits for it.
 *
 * Invariants:
 *   W1  results enter the index per inode in the order they were collected
 *       (turns), and collecting ascends within an inode: the index's size
 *       never covers bytes that are still on their way (C11), nor those that
 *       have not even arrived (gaps.h). What would pass
 *       bytes whose write-back failed fails with them, and comes again.
 *   W2  a piece enters only if the cache still holds its generation, checked
 *       under the node's lock, which truncate takes too (C12).
 *   W3  a streaming segment is OPEN (with its stripe) from the first operation
 *       that refers to it to the last; then it is SEALED. So it cannot be taken
 *       for dead in between; recovery seals what it finds in this state. One
 *       that cannot be sealed at once is sealed later (writeback_seal_late).
 *   W4  turns are given and jobs queued in one hold of wb_lock: a job waits
 *       only for jobs that started before it, so there is no cycle.
 *   W5  a failure is that of the inode it happened to: inodes whose segment
 *       cannot be made are tried again one by one, and what a failed job has
 *       left uncollected is too. Only when FAILS_MAX inodes have failed in a
 *       row is it taken to be the store, and the others wait for the next time.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "fs/wb_impl.h"

#define JOBS_AHEAD 2 /* of one caller */
/* With nothing but failures for so long the store counts as failing. */
#define FAILING_NS 5000000000ULL

int writeback_init(struct volume *v)
{
	mutex_init(&v->wb_lock);
	cond_init(&v->wb_turned);
	TAILQ_INIT(&v->wb_unsealed);
	return workq_new("encode", 2, &v->encoders);
}

void writeback_release(struct volume *v)
{
	struct unsealed *u;

	workq_free(v->encoders);
	while ((u = TAILQ_FIRST(&v->wb_unsealed))) {
		TAILQ_REMOVE(&v->wb_unsealed, u, link);
		mem_free(u);
	}
	cond_destroy(&v->wb_turned);
	mutex_destroy(&v->wb_lock);
}

/* How the store does, for writers that wait for it. wb_lock is held. */
static void note_outcome(struct volume *v, unsigned stored, int rc)
{
	if (stored > 0)
		v->wb_failing_ns = 0;
	else if (rc < 0 && !v->wb_failing_ns)
		v->wb_failing_ns = clock_mono_ns();
	if (rc < 0)
		v->wb_failing = rc;
}

static void job_run(void *arg)
{
	struct wb_job *j = arg;
	struct wb_run *run = j->run;
	struct volume *v = j->v;
	int rc = wb_job_work(j);
	unsigned stored = j->stored;

	if (rc < 0)
		log_event(LOG_LVL_ERROR, "writeback_failed",
			  "pieces=%u inodes=%u stored=%u rc=%s", j->n,
			  j->groups, stored, err_name(rc));
	wb_job_free(j);
	commit_maybe(v->commit);
	MUTEX_GUARD(&v->wb_lock);
	note_outcome(v, stored, rc);
	if (run->rc == 0)
		run->rc = rc;
	run->under_way--;
	cond_broadcast(&v->wb_turned);
}

/* ---- running ---- */

/*
 * Collects one job and gets it going: large ones on an encoder, small ones
 * here. 1: one was found, 0: nothing is dirty.
 */
static int run_one(struct wb_run *run, uint64_t ino, uint64_t before_ns)
{
	struct volume *v = run->v;
	struct wb_job *j = wb_job_new(run);
	bool here;
	int rc;

	if (!j)
		return -ENOMEM;
	mutex_lock(&v->wb_lock);
	rc = wb_job_collect(j, ino, before_ns);
	here = !j->streamed || workq_is_inline();
	if (rc == 1) {
		run->under_way++;
		if (!here && workq_submit(v->encoders, job_run, j) < 0)
			here = true;
	}
	mutex_unlock(&v->wb_lock);
	if (rc == 1 && here)
		job_run(j);
	else if (rc != 1)
		wb_job_free(j);
	return rc;
}

static void await_jobs(struct wb_run *run, unsigned left)
{
	MUTEX_GUARD(&run->v->wb_lock);
	while (run->under_way > left)
		cond_wait(&run->v->wb_turned, &run->v->wb_lock);
}

static int run_error(struct wb_run *run)
{
	MUTEX_GUARD(&run->v->wb_lock);
	return run->rc;
}

/* Collects job after job until one fails; waits for all of them. */
static int run_jobs(struct volume *v, uint64_t ino, uint64_t before_ns)
{
	struct wb_run run = {.v = v};
	int rc;

	do {
		await_jobs(&run, JOBS_AHEAD - 1);
		rc = run_error(&run);
		if (rc == 0)
			rc = run_one(&run, ino, before_ns);
	} while (rc == 1);
	await_jobs(&run, 0);
	return rc < 0 ? rc : run_error(&run);
}

/* Has it been tried in this pass, on its own? */
static bool has_failed_since(struct volume *v, uint64_t ino, uint64_t since)
{
	AUTO_NODE struct node *n = node_peek(v, ino);

	if (!n)
		return false;
	MUTEX_GUARD(&n->lock);
	return n->wb_error && n->wb_failed_ns >= since;
}

struct pass {
	struct volume *v;
	uint64_t before_ns;
	uint64_t start_ns;
};

/*
 * W5: one by one, either those that the journal takes or the others. Begins
 * elsewhere each time, as those that fail may be many.
 */
static void run_alone(const struct pass *p, const uint64_t *ino, size_t n,
		      bool large)
{
	struct volume *v = p->v;
	size_t start = atomic_fetch_add(&v->wb_rounds, FAILS_MAX);
	unsigned fails = 0;

	for (size_t i = 0; i < n && fails < FAILS_MAX; i++) {
		uint64_t one = ino[(start + i) % n];
		int rc;

		if (large != (cache_dirty_bytes(v->cache, one) >
			      JOURNALED_MAX) ||
		    has_failed_since(v, one, p->start_ns))
			continue;
		rc = run_jobs(v, one, p->before_ns);
		fails = rc < 0 ? fails + 1 : 0;
	}
}

static void run_others(const struct pass *p)
{
	AUTO_FREE uint64_t *ino = NULL;
	size_t n = 0;

	if (cache_list_dirty(p->v->cache, &ino, &n) < 0)
		return;
	run_alone(p, ino, n, false);
	run_alone(p, ino, n, true);
}

/* One pass over what is dirty now. */
static int run_pass(struct volume *v, uint64_t ino, uint64_t before_ns)
{
	struct pass p = {v, before_ns, clock_mono_ns()};
	int rc = run_jobs(v, ino, before_ns);

	if (rc < 0 && ino == CACHE_ANY)
		run_others(&p);
	return rc;
}

int writeback_failing(struct volume *v)
{
	uint64_t since;
	int rc;

	mutex_lock(&v->wb_lock);
	since = v->wb_failing_ns;
	rc = v->wb_failing;
	mutex_unlock(&v->wb_lock);
	if (!since || clock_mono_ns() - since < FAILING_NS)
		return 0;
	/* What failed may be gone meanwhile. */
	return cache_failed(v->cache, CACHE_ANY) ? rc : 0;
}

int writeback_run(struct volume *v, uint64_t ino, uint64_t before_ns)
{
	uint64_t start = clock_mono_ns();
	int rc;

	if (before_ns != UINT64_MAX)
		return run_pass(v, ino, before_ns);
	/*
	 * Some of it may be on its way in others' jobs, and may come back
	 * dirty when these fail or went stale.
	 */
	do {
		cache_wait_written(v->cache, ino);
		rc = run_pass(v, ino, UINT64_MAX);
		cache_wait_written(v->cache, ino);
	} while (rc == 0 && !cache_stored(v->cache, ino, start));
	/* What failed in company may have gone well alone. */
	if (ino == CACHE_ANY && cache_stored(v->cache, ino, start))
		return 0;
	return rc;
}
