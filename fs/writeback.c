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
 *       never covers bytes that are still on their way (C11). What would pass
 *       bytes whose write-back failed fails with them, and comes again.
 *   W2  a piece enters only if the cache still holds its generation, checked
 *       under the node's lock, which truncate takes too (C12).
 *   W3  a streaming segment is OPEN (with its stripe) from the first operation
 *       that refers to it to the last; then it is SEALED. So it cannot be taken
 *       for dead in between; recovery seals what it finds in this state.
 *   W4  turns are given and jobs queued in one hold of wb_lock: a job waits
 *       only for jobs that started before it, so there is no cycle.
 */

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "fs/truncate.h"
#include "fs/volume_impl.h"

#define JOURNALED_MAX (1u << 20)
#define JOB_PIECES    4096
#define PIECES_PER_OP 1024
#define JOBS_AHEAD    2 /* of one caller */
#define TRIES	      16

struct placed {
	struct seg_id segment;
	struct chunk_ref ref; /* stored_len 0: not stored (stale) */
};

/* The pieces of one inode. */
struct group {
	struct node *node; /* with a reference; NULL: the inode is gone */
	uint64_t turn;
	uint64_t data;
	unsigned first, n; /* pieces */
};

/* One writeback_run: counts its jobs. */
struct run {
	struct volume *v;
	unsigned under_way; /* wb_lock */
	int rc;		    /* first error; wb_lock */
};

struct job {
	struct run *run;
	struct volume *v;
	unsigned n, groups;
	uint64_t bytes;
	struct cache_piece *piece;
	struct placed *placed;
	struct group *group;
	bool streamed;
	bool listed; /* the streaming segment's row is in the index */
	struct seg_desc desc;
};

int writeback_init(struct volume *v)
{
	mutex_init(&v->wb_lock);
	cond_init(&v->wb_turned);
	return workq_new("encode", 2, &v->encoders);
}

void writeback_release(struct volume *v)
{
	workq_free(v->encoders);
	cond_destroy(&v->wb_turned);
	mutex_destroy(&v->wb_lock);
}

static void job_free(struct job *j)
{
	for (unsigned i = 0; i < j->groups; i++)
		if (j->group[i].node)
			node_put(j->group[i].node);
	mem_free(j->piece);
	mem_free(j->placed);
	mem_free(j->group);
	mem_free(j);
}

static struct job *job_new(struct run *run)
{
	struct job *j = mem_zalloc(sizeof(*j));

	if (!j)
		return NULL;
	j->run = run;
	j->v = run->v;
	j->piece = mem_calloc(JOB_PIECES, sizeof(*j->piece));
	if (!j->piece) {
		job_free(j);
		return NULL;
	}
	return j;
}

/* ---- collecting ---- */

static unsigned count_groups(const struct job *j)
{
	unsigned groups = 0;

	for (unsigned i = 0; i < j->n; i++)
		if (i == 0 || j->piece[i].obj != j->piece[i - 1].obj)
			groups++;
	return groups;
}

/* Splits the pieces by inode and draws the turns; wb_lock is held. */
static void job_group(struct job *j)
{
	struct group *g = NULL;

	for (unsigned i = 0; i < j->n; i++) {
		j->bytes += j->piece[i].len;
		if (i > 0 && j->piece[i].obj == j->piece[i - 1].obj) {
			g->n++;
			continue;
		}
		g = &j->group[j->groups++];
		g->first = i;
		g->n = 1;
		/* Dirty inodes are in memory (N2), dead ones may be gone. */
		g->node = node_peek(j->v, j->piece[i].obj);
		if (g->node)
			g->turn = g->node->wb_issued++;
	}
}

/*
 * 1: a job was collected, 0: nothing is dirty. wb_lock is held. What was
 * collected and cannot be worked on for lack of memory is given back.
 */
static int job_collect(struct job *j, uint64_t ino, uint64_t before_ns)
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
	j->streamed = j->bytes > JOURNALED_MAX;
	return 1;
}

/* ---- encoding ---- */

static int encode_piece(struct job *j, struct seg_build *b, uint64_t data,
			unsigned i, void *scratch)
{
	const struct cache_piece *p = &j->piece[i];
	struct placed *out = &j->placed[i];
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

static int encode_group(struct job *j, struct group *g, struct seg_build *b)
{
	AUTO_FREE void *scratch = mem_alloc_aligned(j->v->chunk_bytes);
	int rc = scratch ? 0 : -ENOMEM;

	mutex_lock(&g->node->lock);
	g->data = g->node->row.data;
	mutex_unlock(&g->node->lock);
	for (unsigned i = 0; rc == 0 && i < g->n; i++)
		rc = encode_piece(j, b, g->data, g->first + i, scratch);
	return rc;
}

static int encode_pieces(struct job *j, struct seg_build *b)
{
	int rc = 0;

	for (unsigned g = 0; rc == 0 && g < j->groups; g++)
		if (j->group[g].node)
			rc = encode_group(j, &j->group[g], b);
	return rc;
}

/* Encodes into a segment of its own and makes its stripe durable. */
static int encode_streamed(struct job *j)
{
	struct seg_context cx;
	struct seg_build *b = NULL;
	struct seg_id id = {index_next(j->v->ix, COUNTER_SEGMENT)};
	uint32_t cap = (uint32_t)j->bytes; /* tags come on top */
	int rc;

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

/* ---- entering ---- */

/* Does piece i+1 go on where the row ends, in file, slot and segment? */
static bool joins(const struct job *j, const struct extent_row *row, unsigned i)
{
	uint64_t slot = (uint64_t)j->v->chunk_bytes * EXTENT_CHUNKS_MAX;
	const struct chunk_ref *last = &row->ref[row->n - 1];
	const struct placed *p = &j->placed[i];

	return row->n < EXTENT_CHUNKS_MAX &&
	       j->piece[i].off == row->off + row->len &&
	       j->piece[i].off / slot == row->off / slot &&
	       /* a chunk in the middle of a run is a whole one */
	       (row->off + row->len) % j->v->chunk_bytes == 0 &&
	       p->segment.v == row->segment.v &&
	       p->ref.pos == last->pos + last->stored_len;
}

/*
 * Enters pieces [from, to) of a group as extents, raising *end to their last
 * byte. Within an operation, under the node's lock (W2).
 */
static int put_extents(struct job *j, const struct group *g, unsigned from,
		       unsigned to, uint64_t *end)
{
	struct extent_row row = {0};
	int rc = 0;

	for (unsigned i = from; rc == 0 && i < to; i++) {
		const struct cache_piece *p = &j->piece[i];

		if (!j->placed[i].ref.stored_len ||
		    !cache_current(j->v->cache, p))
			continue;
		if (row.n > 0 && !joins(j, &row, i)) {
			rc = extent_put(j->v->ix, &row);
			row.n = 0;
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
		rc = extent_put(j->v->ix, &row);
	return rc;
}

/* The streaming segment's row, with the first operation that needs it. */
static int list_segment(struct job *j)
{
	/* Without a stripe all of it was stale. */
	if (!j->streamed || j->listed || j->desc.stripe.v == 0)
		return 0;
	return segment_insert(j->v->ix, &j->desc, SEG_OPEN);
}

static int enter_op(struct job *j, struct group *g, unsigned from, unsigned to)
{
	struct node *n = g->node;
	uint64_t before = n->index_size, end = 0, seq;
	int rc = index_begin(j->v->ix);

	if (rc < 0)
		return rc;
	seq = commit_open_seq(j->v->commit);
	rc = list_segment(j);
	if (rc == 0)
		rc = put_extents(j, g, from, to, &end);
	n->index_size = MAX(n->index_size, MIN(end, n->row.size));
	if (rc == 0 && end > 0)
		rc = node_store(n, &n->row);
	rc = index_end(j->v->ix, rc);
	if (rc < 0) {
		n->index_size = before;
		return rc;
	}
	j->listed = true;
	n->stored_known = false;
	if (end > 0)
		node_changed(n, &n->row, seq);
	return 0;
}

/* Would the size pass bytes that could not be stored (C11)? */
static bool passes_gap(const struct job *j, const struct group *g)
{
	const struct cache_piece *last = &j->piece[g->first + g->n - 1];

	return last->off + last->len > g->node->index_size &&
	       cache_failed_before(j->v->cache, &j->piece[g->first], g->n);
}

static int enter_group_locked(struct job *j, struct group *g)
{
	int rc = 0;

	if (passes_gap(j, g))
		return g->node->wb_error ? g->node->wb_error : -EIO;
	rc = commit_blocked(j->v->commit);
	if (rc == 0)
		rc = truncate_finish(g->node);
	for (unsigned i = 0; rc == 0 && i < g->n; i += PIECES_PER_OP)
		rc = enter_op(j, g, g->first + i,
			      g->first + MIN(i + PIECES_PER_OP, g->n));
	return rc;
}

/*
 * Enters what is encoded; the node is locked when it returns. A journaled
 * segment may have got its stripe before the first extent in it was entered,
 * and so be dead: then the pieces go into another.
 */
static int enter_or_again(struct job *j, struct group *g, int rc)
{
	struct node *n = g->node;

	for (unsigned tries = 0;; tries++) {
		mutex_lock(&n->lock);
		if (rc == 0 && !n->dead)
			rc = enter_group_locked(j, g);
		if (rc != -ESTALE || j->streamed || tries == TRIES)
			return rc;
		mutex_unlock(&n->lock);
		rc = encode_group(j, g, NULL);
	}
}

/* W1: waits for the group's turn. */
static void await_turn(struct volume *v, const struct group *g)
{
	MUTEX_GUARD(&v->wb_lock);
	while (g->node->wb_done != g->turn)
		cond_wait(&v->wb_turned, &v->wb_lock);
}

static void end_turn(struct volume *v, const struct group *g)
{
	MUTEX_GUARD(&v->wb_lock);
	g->node->wb_done++;
	cond_broadcast(&v->wb_turned);
}

/*
 * rc: how encoding went. Completes the group's pieces whatever happens, and
 * remembers a failure in the node until the data is safe.
 */
static int enter_group(struct job *j, struct group *g, int rc)
{
	struct volume *v = j->v;

	if (!g->node) {
		cache_complete(v->cache, &j->piece[g->first], g->n, 0);
		return 0;
	}
	await_turn(v, g);
	rc = enter_or_again(j, g, rc);
	cache_complete(v->cache, &j->piece[g->first], g->n, rc);
	if (rc < 0)
		g->node->wb_error = rc;
	else if (!cache_failed(v->cache, g->node->hash.key))
		g->node->wb_error = 0;
	/* A size grown by truncate waits for its data: see node_flush_attr. */
	if (g->node->index_size != g->node->row.size)
		node_touch(g->node);
	node_settle(g->node);
	mutex_unlock(&g->node->lock);
	end_turn(v, g);
	return rc;
}

/* W3: nothing more will refer to it by this job. */
static int seal_streamed(struct job *j)
{
	int rc;

	if (!j->streamed || j->desc.stripe.v == 0)
		return 0;
	if (!j->listed)
		/* All of it was stale: nobody knows this stripe. */
		return store_remove(j->v->store, &j->desc);
	rc = index_begin(j->v->ix);
	if (rc < 0)
		return rc;
	return index_end(j->v->ix, segment_seal(j->v->ix, &j->desc));
}

static void job_run(void *arg)
{
	struct job *j = arg;
	struct run *run = j->run;
	struct volume *v = j->v;
	int rc = j->streamed ? encode_streamed(j) : encode_pieces(j, NULL);
	int first = rc;

	for (unsigned g = 0; g < j->groups; g++) {
		int one = enter_group(j, &j->group[g], rc);

		if (first == 0)
			first = one;
	}
	rc = seal_streamed(j);
	if (first == 0)
		first = rc;
	if (first < 0)
		log_event(LOG_LVL_ERROR, "writeback_failed", "bytes=%llu rc=%s",
			  (unsigned long long)j->bytes, err_name(first));
	job_free(j);
	commit_maybe(v->commit);
	MUTEX_GUARD(&v->wb_lock);
	if (run->rc == 0)
		run->rc = first;
	run->under_way--;
	cond_broadcast(&v->wb_turned);
}

/* ---- running ---- */

/*
 * Collects one job and gets it going: large ones on an encoder, small ones
 * here. 1: one was found, 0: nothing is dirty.
 */
static int run_one(struct run *run, uint64_t ino, uint64_t before_ns)
{
	struct volume *v = run->v;
	struct job *j = job_new(run);
	bool here;
	int rc;

	if (!j)
		return -ENOMEM;
	mutex_lock(&v->wb_lock);
	rc = job_collect(j, ino, before_ns);
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
		job_free(j);
	return rc;
}

static void await_jobs(struct run *run, unsigned left)
{
	MUTEX_GUARD(&run->v->wb_lock);
	while (run->under_way > left)
		cond_wait(&run->v->wb_turned, &run->v->wb_lock);
}

static int run_error(struct run *run)
{
	MUTEX_GUARD(&run->v->wb_lock);
	return run->rc;
}

/* One pass over what is dirty now; waits for all of its jobs. */
static int run_pass(struct volume *v, uint64_t ino, uint64_t before_ns)
{
	struct run run = {.v = v};
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
	return rc;
}
