/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One job of the write-back: see writeback.c for the invariants.
 */
#include "fs/wb_impl.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"

#define JOB_PIECES 4096

void wb_job_free(struct wb_job *j)
{
	for (unsigned i = 0; i < j->groups; i++)
		if (j->group[i].node)
			node_put(j->group[i].node);
	mem_free(j->piece);
	mem_free(j->placed);
	mem_free(j->group);
	mem_free(j->late);
	mem_free(j);
}

struct wb_job *wb_job_new(struct wb_run *run)
{
	struct wb_job *j = mem_zalloc(sizeof(*j));

	if (!j)
		return NULL;
	j->run = run;
	j->v = run->v;
	j->piece = mem_calloc(JOB_PIECES, sizeof(*j->piece));
	if (!j->piece) {
		wb_job_free(j);
		return NULL;
	}
	return j;
}

/* ---- collecting ---- */

static unsigned count_groups(const struct wb_job *j)
{
	unsigned groups = 0;

	for (unsigned i = 0; i < j->n; i++)
		if (i == 0 || j->piece[i].obj != j->piece[i - 1].obj)
			groups++;
	return groups;
}

/* Splits the pieces by inode and draws the turns; wb_lock is held. */
static void job_group(struct wb_job *j)
{
	struct wb_group *g = NULL;

	for (unsigned i = 0; i < j->n; i++) {
		if (i > 0 && j->piece[i].obj == j->piece[i - 1].obj) {
			g->n++;
			g->bytes += j->piece[i].len;
			continue;
		}
		g = &j->group[j->groups++];
		g->first = i;
		g->n = 1;
		g->bytes = j->piece[i].len;
		/* Dirty inodes are in memory (N2), dead ones may be gone. */
		g->node = node_peek(j->v, j->piece[i].obj);
		if (g->node)
			g->turn = g->node->wb_issued++;
	}
}

/* Groups [from, to) go into one segment. */
static void job_select(struct wb_job *j, unsigned from, unsigned to)
{
	j->from = from;
	j->to = to;
	j->bytes = 0;
	for (unsigned i = from; i < to; i++)
		j->bytes += j->group[i].bytes;
	j->streamed = j->bytes > JOURNALED_MAX;
	j->listed = false;
	j->desc = (struct seg_desc){0};
}

int wb_job_collect(struct wb_job *j, uint64_t ino, uint64_t before_ns)
{
	unsigned groups;

	j->n = cache_collect(j->v->cache, ino, before_ns,
			     j->v->pool->geo.segment_bytes, j->piece,
			     JOB_PIECES);
	if (j->n == 0)
		return 0;
	groups = count_groups(j);
	j->placed = mem_calloc(j->n, sizeof(*j->placed));
	j->group = mem_calloc(groups, sizeof(*j->group));
	if (!j->placed || !j->group) {
		cache_complete(j->v->cache, j->piece, j->n, -ENOMEM);
		return -ENOMEM;
	}
	job_group(j);
	job_select(j, 0, j->groups);
	return 1;
}

/* ---- encoding ---- */

static int encode_piece(struct wb_job *j, struct seg_build *b, uint64_t data,
			unsigned i, void *scratch)
{
	const struct cache_piece *p = &j->piece[i];
	struct wb_placed *out = &j->placed[i];
	int rc = cache_copy(j->v->cache, p, scratch);

	if (rc == -ESTALE)
		return 0;
	if (rc < 0)
		return rc;
	if (!b)
		return jseg_add(j->v->js, data, p->off, scratch, p->len,
				&out->segment, &out->ref);
	out->segment = seg_build_id(b);
	return seg_build_add(b, data, p->off, scratch, p->len,
			     j->v->pool->geo.level, &out->ref);
}

int wb_job_encode(struct wb_job *j, struct wb_group *g, struct seg_build *b)
{
	AUTO_FREE void *scratch = mem_alloc_aligned(j->v->chunk_bytes);
	int rc = scratch ? 0 : -ENOMEM;

	mutex_lock(&g->node->lock);
	g->data = g->node->row.data;
	mutex_unlock(&g->node->lock);
	memset(&j->placed[g->first], 0, g->n * sizeof(j->placed[0]));
	for (unsigned i = 0; rc == 0 && i < g->n; i++)
		rc = encode_piece(j, b, g->data, g->first + i, scratch);
	return rc;
}

static int encode_pieces(struct wb_job *j, struct seg_build *b)
{
	int rc = 0;

	for (unsigned g = j->from; rc == 0 && g < j->to; g++)
		if (j->group[g].node)
			rc = wb_job_encode(j, &j->group[g], b);
	return rc;
}

/* Encodes into a segment of its own and makes its stripe durable. */
static int encode_streamed(struct wb_job *j)
{
	struct seg_context cx;
	struct seg_build *b = NULL;
	struct seg_id id = {index_next(j->v->ix, COUNTER_SEGMENT)};
	uint32_t cap = (uint32_t)j->bytes; /* tags come on top */
	int rc;

	if (!j->late)
		j->late = mem_zalloc(sizeof(*j->late));
	if (!j->late)
		return -ENOMEM;
	pool_seg_context(j->v->pool, &cx);
	rc = seg_build_new(&cx, SEG_DATA, id, cap, NULL, &b);
	if (rc < 0)
		return rc;
	rc = encode_pieces(j, b);
	if (rc == 0 && seg_build_count(b) > 0) {
		rc = seg_build_finish(b);
		if (rc == 0)
			rc = store_write(j->v->store, b, &j->desc);
	}
	seg_build_free(b);
	return rc;
}

static int encode(struct wb_job *j)
{
	return j->streamed ? encode_streamed(j) : encode_pieces(j, NULL);
}

/* ---- sealing ---- */

static int seal_op(struct volume *v, const struct seg_desc *d)
{
	int rc = index_begin(v->ix);

	return rc < 0 ? rc : index_end(v->ix, segment_seal(v->ix, d));
}

/* W3: nothing more will refer to it by this job. */
static void seal_streamed(struct wb_job *j)
{
	struct unsealed *late;

	if (!j->streamed || j->desc.stripe.v == 0)
		return;
	if (!j->listed) {
		/* All of it was stale: nobody knows this stripe. */
		if (store_remove(j->v->store, &j->desc) < 0)
			log_event(LOG_LVL_INFO, "stripe_stays", "segment=%llu",
				  (unsigned long long)j->desc.id.v);
		return;
	}
	if (seal_op(j->v, &j->desc) == 0)
		return;
	late = steal(&j->late);
	late->desc = j->desc;
	MUTEX_GUARD(&j->v->wb_lock);
	TAILQ_INSERT_TAIL(&j->v->wb_unsealed, late, link);
}

int writeback_seal_late(struct volume *v)
{
	struct unsealed *u;
	int rc = 0;

	do {
		mutex_lock(&v->wb_lock);
		u = TAILQ_FIRST(&v->wb_unsealed);
		if (u)
			TAILQ_REMOVE(&v->wb_unsealed, u, link);
		mutex_unlock(&v->wb_lock);
		if (!u)
			return 0;
		rc = commit_blocked(v->commit);
		if (rc == 0)
			rc = seal_op(v, &u->desc);
		if (rc == 0)
			mem_free(u);
	} while (rc == 0);
	MUTEX_GUARD(&v->wb_lock);
	TAILQ_INSERT_HEAD(&v->wb_unsealed, u, link);
	return rc;
}

/* ---- a job ---- */

/* rc: how encoding the selected groups went. The first error. */
static int enter_selected(struct wb_job *j, int rc)
{
	int first = rc;

	for (unsigned g = j->from; g < j->to; g++) {
		int one = wb_enter_group(j, &j->group[g], rc);

		if (first == 0)
			first = one;
	}
	seal_streamed(j);
	return first;
}

/* W5. The first error. */
static int work_alone(struct wb_job *j)
{
	unsigned fails = 0;
	int first = 0, one = 0;

	for (unsigned g = 0; g < j->groups; g++) {
		job_select(j, g, g + 1);
		one = enter_selected(j, fails < FAILS_MAX ? encode(j) : one);
		fails = one < 0 ? fails + 1 : 0;
		if (first == 0)
			first = one;
	}
	return first;
}

/* What is journaled needs no company. */
int wb_job_work(struct wb_job *j)
{
	int rc;

	if (j->groups > 1 && !j->streamed)
		return work_alone(j);
	rc = encode(j);
	return rc < 0 && j->groups > 1 ? work_alone(j) : enter_selected(j, rc);
}
