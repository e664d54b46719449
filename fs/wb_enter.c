/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a job has encoded enters the index: see writeback.c for the invariants.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/mutant.h"
#include "fs/gaps.h"
#include "fs/truncate.h"
#include "fs/wb_impl.h"

#define TRIES 16

/* Does piece i+1 go on where the row ends, in file, slot and segment? */
static bool joins(const struct wb_job *j, const struct extent_row *row,
		  unsigned i)
{
	uint64_t slot = (uint64_t)j->v->chunk_bytes * EXTENT_CHUNKS_MAX;
	const struct chunk_ref *last = &row->ref[row->n - 1];
	const struct wb_placed *p = &j->placed[i];

	return row->n < EXTENT_CHUNKS_MAX &&
	       j->piece[i].off == row->off + row->len &&
	       j->piece[i].off / slot == row->off / slot &&
	       /* a chunk in the middle of a run is a whole one */
	       (row->off + row->len) % j->v->chunk_bytes == 0 &&
	       p->segment.v == row->segment.v &&
	       p->ref.pos == last->pos + last->stored_len;
}

/* -ESTALE: its segment was dead before anything referred to it, and may even be
 * forgotten by now. */
static int put_row(struct index *ix, const struct extent_row *row)
{
	return segment_usable(ix, row->segment) ? extent_put(ix, row) : -ESTALE;
}

/*
 * Enters pieces from *at on of a group as extents, as many as an operation may
 * change, raising *end to their last byte and *at behind the last one. Within
 * an operation, under the node's lock (W2).
 */
static int put_extents(struct wb_job *j, const struct wb_group *g, unsigned *at,
		       uint64_t *end)
{
	struct extent_row row = {0};
	unsigned i;
	int rc = 0;

	for (i = *at; rc == 0 && i < g->first + g->n; i++) {
		const struct cache_piece *p = &j->piece[i];

		if (!j->placed[i].ref.stored_len ||
		    (!cache_current(j->v->cache, p) &&
		     !MUTANT(EXTENTS_AFTER_TRUNCATE)))
			continue;
		MUST(p->off < g->node->row.size); /* W2 */
		if (row.n > 0 && !joins(j, &row, i)) {
			rc = put_row(j->v->ix, &row);
			row.n = 0;
			/* One row may take the place of hundreds. */
			if (index_op_changes(j->v->ix) >= ROWS_PER_OP)
				break;
		}
		if (row.n == 0)
			row = (struct extent_row){
				.data = g->data,
				.off = p->off,
				.segment = j->placed[i].segment,
			};
		row.ref[row.n++] = j->placed[i].ref;
		row.len += p->len;
		*end = MAX(*end, p->off + p->len);
	}
	if (rc == 0 && row.n > 0)
		rc = put_row(j->v->ix, &row);
	*at = i;
	return rc;
}

/* The streaming segment's row, with the first operation that needs it. */
static int list_segment(struct wb_job *j)
{
	/* Without a stripe all of it was stale. */
	if (!j->streamed || j->listed || j->desc.stripe.v == 0)
		return 0;
	return segment_insert(j->v->ix, &j->desc, SEG_OPEN);
}

/* One operation, with the pieces from *at on that it may enter. */
static int enter_op(struct wb_job *j, struct wb_group *g, unsigned *at)
{
	struct node *n = g->node;
	uint64_t before = n->index_size, end = 0, seq;
	bool loose = n->loose;
	int64_t bytes = 0;
	int rc = index_begin(j->v->ix);

	if (rc < 0)
		return rc;
	seq = commit_open_seq(j->v->commit);
	rc = list_segment(j);
	if (rc == 0)
		rc = put_extents(j, g, at, &end);
	bytes = extent_op_bytes(j->v->ix);
	n->index_size =
		MAX(n->index_size, MIN(MIN(end, n->row.size), gaps_first(n)));
	if (rc == 0 && end > gaps_first(n)) {
		rc = gaps_note(n);
		loose = true;
	}
	if (rc == 0 && end > 0)
		rc = node_store(n, &n->row);
	rc = index_end(j->v->ix, rc);
	if (rc < 0) {
		n->index_size = before;
		return rc;
	}
	j->listed = true;
	n->loose = loose;
	n->stored_bytes += (uint64_t)bytes;
	if (end > 0)
		node_changed(n, &n->row, seq);
	return 0;
}

/* Would the size pass bytes that could not be stored (C11)? */
static bool passes_gap(const struct wb_job *j, const struct wb_group *g)
{
	const struct cache_piece *last = &j->piece[g->first + g->n - 1];

	return last->off + last->len > g->node->index_size &&
	       cache_failed_before(j->v->cache, &j->piece[g->first], g->n);
}

static int enter_locked(struct wb_job *j, struct wb_group *g)
{
	unsigned at = g->first;
	int rc = 0;

	if (passes_gap(j, g))
		return g->node->wb_error ? g->node->wb_error : -EIO;
	while (rc == 0 && at < g->first + g->n) {
		rc = commit_blocked(j->v->commit);
		if (rc == 0)
			rc = enter_op(j, g, &at);
	}
	return rc;
}

/*
 * Enters what is encoded; the node is locked when it returns. A journaled
 * segment may have got its stripe before the first extent in it was entered,
 * and so be dead: then the pieces go into another.
 */
static int enter_or_again(struct wb_job *j, struct wb_group *g, int rc)
{
	struct node *n = g->node;

	for (unsigned tries = 0;; tries++) {
		if (rc == 0)
			rc = truncate_lock(n);
		else
			mutex_lock(&n->lock);
		if (rc == 0 && !n->dead)
			rc = enter_locked(j, g);
		if (rc != -ESTALE || j->streamed || tries == TRIES)
			return rc;
		mutex_unlock(&n->lock);
		rc = wb_job_encode(j, g, NULL);
	}
}

/* W1: waits for the group's turn. */
static void await_turn(struct volume *v, const struct wb_group *g)
{
	MUTEX_GUARD(&v->wb_lock);
	while (g->node->wb_done != g->turn)
		cond_wait(&v->wb_turned, &v->wb_lock);
}

static void end_turn(struct volume *v, const struct wb_group *g)
{
	MUTEX_GUARD(&v->wb_lock);
	g->node->wb_done++;
	cond_broadcast(&v->wb_turned);
}

int wb_enter_group(struct wb_job *j, struct wb_group *g, int rc)
{
	struct volume *v = j->v;

	if (!g->node) {
		cache_complete(v->cache, &j->piece[g->first], g->n, 0);
		return 0;
	}
	await_turn(v, g);
	rc = enter_or_again(j, g, rc);
	j->stored += rc == 0;
	cache_complete(v->cache, &j->piece[g->first], g->n, rc);
	if (rc < 0) {
		g->node->wb_error = rc;
		g->node->wb_failed_ns = clock_mono_ns();
	} else if (!cache_failed(v->cache, g->node->hash.key))
		g->node->wb_error = 0;
	/* A size grown by truncate waits for its data: see node_flush_attr. */
	if (g->node->index_size != g->node->row.size || g->node->loose)
		node_touch(g->node);
	node_settle(g->node);
	mutex_unlock(&g->node->lock);
	end_turn(v, g);
	return rc;
}
