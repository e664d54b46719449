/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gaps.c - see gaps.h.
 *
 * Gaps are counted in units, rounded outwards: too much of a gap costs a crash
 * a few bytes at the end of a file, too little would show zeros.
 */
#include "fs/gaps.h"

#include "base/clock.h"
#include "base/mem.h"
#include "fs/volume_impl.h"

#define UNIT  4096u
#define BATCH 64

static uint32_t units(uint64_t bytes)
{
	return (uint32_t)MIN(bytes / UNIT, (uint64_t)UINT32_MAX);
}

static uint32_t units_up(uint64_t bytes)
{
	return units(bytes) + (bytes % UNIT != 0 && units(bytes) < UINT32_MAX);
}

static void set_gaps(struct node *n)
{
	bool any = n->gaps.n > 0;

	if (any && !atomic_load(&n->has_gaps))
		atomic_store(&n->gaps_ns, clock_mono_ns());
	atomic_store(&n->has_gaps, any);
}

/* One for all where there are too many. */
static void add_gap(struct node *n, uint32_t lo, uint32_t hi)
{
	struct ranges *g = &n->gaps;

	if (lo >= hi || ranges_add(g, lo, hi) == 0)
		return;
	lo = MIN(lo, g->r[0].lo);
	hi = MAX(hi, g->r[g->n - 1].hi);
	*g = (struct ranges){.n = 1, .r = {{lo, hi}}};
}

/* What does not fit stays a gap. */
static void fill_gap(struct node *n, uint32_t lo, uint32_t hi)
{
	if (lo < hi && n->gaps.n > 0)
		(void)ranges_cut(&n->gaps, lo, hi);
}

void gaps_wrote(struct node *n, uint64_t size, uint64_t off, uint64_t end)
{
	if (off <= size && n->gaps.n == 0)
		return;
	if (off > size)
		add_gap(n, units(size), units_up(off));
	fill_gap(n, units_up(off), units(end));
	set_gaps(n);
}

void gaps_cut(struct node *n, uint64_t size)
{
	fill_gap(n, units_up(size), UINT32_MAX);
	set_gaps(n);
}

void gaps_close(struct node *n)
{
	if (n->gaps.n == 0 || n->gaps_left)
		return;
	n->gaps.n = 0;
	set_gaps(n);
	/* The index's size may follow, and the job may go. */
	if (!n->dead)
		node_touch(n);
}

void gaps_leave(struct node *n)
{
	n->gaps_left = n->gaps.n > 0;
	/* Not to be looked at by gaps_close_all again and again. */
	atomic_store(&n->has_gaps, false);
}

uint64_t gaps_first(const struct node *n)
{
	return n->gaps.n > 0 ? (uint64_t)n->gaps.r[0].lo * UNIT : UINT64_MAX;
}

/* ---- the job ---- */

int gaps_note(struct node *n)
{
	struct queue_row job;
	int rc;

	if (n->loose)
		return 0;
	rc = queue_find(n->v->ix, QUEUE_LOOSE, n->hash.key, &job);
	if (rc == -ENOENT)
		rc = queue_add(n->v->ix, QUEUE_LOOSE, n->hash.key, 0);
	return rc;
}

int gaps_forget(struct node *n)
{
	struct queue_row job;
	int rc = queue_find(n->v->ix, QUEUE_LOOSE, n->hash.key, &job);

	if (rc == 0)
		rc = queue_remove(n->v->ix, job.id);
	return rc == -ENOENT ? 0 : rc;
}

/* ---- all inodes ---- */

static unsigned some_with_gaps(struct volume *v, uint64_t before_ns,
			       struct node **out)
{
	struct hnode *h;
	unsigned n = 0;

	MUTEX_GUARD(&v->nodes_lock);
	for (h = htab_first(&v->nodes); h && n < BATCH;
	     h = htab_next(&v->nodes, h)) {
		struct node *node = container_of(h, struct node, hash);

		if (atomic_load(&node->has_gaps) &&
		    atomic_load(&node->gaps_ns) <= before_ns)
			out[n++] = node_ref_locked(node);
	}
	return n;
}

void gaps_close_all(struct volume *v, uint64_t before_ns)
{
	struct node *some[BATCH];
	unsigned n;

	do {
		n = some_with_gaps(v, before_ns, some);
		for (unsigned i = 0; i < n; i++) {
			mutex_lock(&some[i]->lock);
			gaps_close(some[i]);
			mutex_unlock(&some[i]->lock);
			node_put(some[i]);
		}
	} while (n == BATCH);
}

/* One operation. 1: the job is done, 0: more is left. */
static int recover_step(struct volume *v, const struct queue_row *job)
{
	struct inode_row row;
	int rc = index_begin(v->ix), done = 1;

	if (rc < 0)
		return rc;
	rc = inode_get(v->ix, job->a, &row);
	if (rc == 0 && row.data)
		done = extent_cut(v->ix, row.data, row.size, UINT64_MAX,
				  ROWS_PER_OP);
	if (rc == -ENOENT)
		rc = 0;
	if (rc == 0 && done == 1)
		rc = queue_remove(v->ix, job->id);
	rc = index_end(v->ix, done < 0 ? done : rc);
	return rc < 0 ? rc : done;
}

int gaps_recover(struct volume *v)
{
	struct queue_row job = {0};
	int rc = 0;

	while (rc >= 0) {
		index_lock(v->ix);
		rc = queue_next(v->ix, job.id, &job);
		index_unlock(v->ix);
		while (rc == 0 && job.kind == QUEUE_LOOSE) {
			rc = recover_step(v, &job);
			commit_maybe(v->commit);
		}
	}
	return rc == -ENOENT ? 0 : rc;
}
