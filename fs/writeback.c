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

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/mutant.h"
#include "fs/gaps.h"
#include "fs/truncate.h"
#include "fs/volume_impl.h"

#define JOURNALED_MAX LIMIT(1u << 20, 24u << 10)
#define JOB_PIECES    4096
#define JOBS_AHEAD    2 /* of one caller */
#define TRIES	      16
#define FAILS_MAX     16
/* With nothing but failures for so long the store counts as failing. */
#define FAILING_NS 5000000000ULL

struct placed {
	struct seg_id segment;
	struct chunk_ref ref; /* stored_len 0: not stored (stale) */
};

/* The pieces of one inode. */
struct group {
	struct node *node; /* with a reference; NULL: the inode is gone */
	uint64_t turn;
	uint64_t data;
	uint64_t bytes;
	unsigned first, n; /* pieces */
};

/* A streaming segment that is to be sealed (W3). */
struct unsealed {
	TAILQ_ENTRY(unsealed) link;
	struct seg_desc desc;
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
	unsigned stored; /* groups that are in the index now */
	struct cache_piece *piece;
	struct placed *placed;
	struct group *group;
	/* The groups [from, to) that share a segment. */
	unsigned from, to;
	uint64_t bytes;
	bool streamed;
	bool listed; /* the streaming segment's row is in the index */
	struct seg_desc desc;
	struct unsealed *late; /* for W3, made ahead */
};

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

static void job_free(struct job *j)
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
static void job_select(struct job *j, unsigned from, unsigned to)
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
	job_select(j, 0, j->groups);
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
	memset(&j->placed[g->first], 0, g->n * sizeof(j->placed[0]));
	for (unsigned i = 0; rc == 0 && i < g->n; i++)
		rc = encode_piece(j, b, g->data, g->first + i, scratch);
	return rc;
}

static int encode_pieces(struct job *j, struct seg_build *b)
{
	int rc = 0;

	for (unsigned g = j->from; rc == 0 && g < j->to; g++)
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

static int encode(struct job *j)
{
	return j->streamed ? encode_streamed(j) : encode_pieces(j, NULL);
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
static int put_extents(struct job *j, const struct group *g, unsigned *at,
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
static int list_segment(struct job *j)
{
	/* Without a stripe all of it was stale. */
	if (!j->streamed || j->listed || j->desc.stripe.v == 0)
		return 0;
	return segment_insert(j->v->ix, &j->desc, SEG_OPEN);
}

/* One operation, with the pieces from *at on that it may enter. */
static int enter_op(struct job *j, struct group *g, unsigned *at)
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
static bool passes_gap(const struct job *j, const struct group *g)
{
	const struct cache_piece *last = &j->piece[g->first + g->n - 1];

	return last->off + last->len > g->node->index_size &&
	       cache_failed_before(j->v->cache, &j->piece[g->first], g->n);
}

static int enter_group_locked(struct job *j, struct group *g)
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
static int enter_or_again(struct job *j, struct group *g, int rc)
{
	struct node *n = g->node;

	for (unsigned tries = 0;; tries++) {
		if (rc == 0)
			rc = truncate_lock(n);
		else
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

static int seal_op(struct volume *v, const struct seg_desc *d)
{
	int rc = index_begin(v->ix);

	return rc < 0 ? rc : index_end(v->ix, segment_seal(v->ix, d));
}

/* W3: nothing more will refer to it by this job. */
static void seal_streamed(struct job *j)
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
static int enter_selected(struct job *j, int rc)
{
	int first = rc;

	for (unsigned g = j->from; g < j->to; g++) {
		int one = enter_group(j, &j->group[g], rc);

		if (first == 0)
			first = one;
	}
	seal_streamed(j);
	return first;
}

/* W5. The first error. */
static int work_alone(struct job *j)
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
static int work(struct job *j)
{
	int rc;

	if (j->groups > 1 && !j->streamed)
		return work_alone(j);
	rc = encode(j);
	return rc < 0 && j->groups > 1 ? work_alone(j) : enter_selected(j, rc);
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
	struct job *j = arg;
	struct run *run = j->run;
	struct volume *v = j->v;
	int rc = work(j);
	unsigned stored = j->stored;

	if (rc < 0)
		log_event(LOG_LVL_ERROR, "writeback_failed",
			  "pieces=%u inodes=%u stored=%u rc=%s", j->n,
			  j->groups, stored, err_name(rc));
	job_free(j);
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

/* Collects job after job until one fails; waits for all of them. */
static int run_jobs(struct volume *v, uint64_t ino, uint64_t before_ns)
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
