/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node.c - inodes in memory (see node.h).
 *
 * Invariants:
 *   N1  at most one node per inode number is in the table, and whoever wants
 *       to change an inode does so through it, under its lock.
 *   N2  a node with dirty data or dirty attributes holds a reference on
 *       itself (holds_ref), so newer attributes than the index's are never
 *       forgotten.
 *   N3  an inode without names is deleted when nobody has it open; until then
 *       a QUEUE_ORPHAN row says so, for recovery.
 *   N4  nodes_lock is a leaf: nothing is locked under it.
 */
#include "fs/node.h"

#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/mutant.h"
#include "fs/gaps.h"
#include "fs/truncate.h"
#include "fs/volume_impl.h"

#define NODES_IDLE LIMIT(4096, 3)
#define SUM_ROWS   2048 /* in one hold of the index lock */

int node_table_init(struct volume *v)
{
	int rc = htab_init(&v->nodes);

	if (rc == 0)
		mutex_init(&v->nodes_lock);
	TAILQ_INIT(&v->idle_nodes);
	return rc;
}

static void node_free(struct node *n)
{
	mutex_destroy(&n->lock);
	mem_free(n);
}

void node_table_release(struct volume *v)
{
	struct hnode *h, *next;

	for (h = htab_first(&v->nodes); h; h = next) {
		next = htab_next(&v->nodes, h);
		htab_remove(&v->nodes, h);
		node_free(container_of(h, struct node, hash));
	}
	htab_release(&v->nodes);
	mutex_destroy(&v->nodes_lock);
}

/* With a reference; NULL if it is not in memory. nodes_lock is held. */
static struct node *peek_locked(struct volume *v, uint64_t ino)
{
	struct hnode *h = htab_find(&v->nodes, ino);
	struct node *n = h ? container_of(h, struct node, hash) : NULL;

	if (n && n->refs++ == 0) {
		TAILQ_REMOVE(&v->idle_nodes, n, idle);
		v->idle_count--;
	}
	return n;
}

struct node *node_ref_locked(struct node *n)
{
	return peek_locked(n->v, n->hash.key);
}

struct node *node_peek(struct volume *v, uint64_t ino)
{
	MUTEX_GUARD(&v->nodes_lock);
	return peek_locked(v, ino);
}

static struct node *node_new(struct volume *v, uint64_t seq)
{
	struct node *n = mem_zalloc(sizeof(*n));

	if (!n)
		return NULL;
	n->v = v;
	n->refs = 1;
	n->seq = seq;
	atomic_store(&n->cut_from, UINT64_MAX);
	mutex_init(&n->lock);
	return n;
}

/* Reads the row into a node that is not in the table yet. */
static int node_load(struct volume *v, uint64_t ino, struct node **out)
{
	struct node *n = node_new(v, 0);
	uint64_t border = UINT64_MAX;
	int rc;

	if (!n)
		return -ENOMEM;
	index_lock(v->ix);
	rc = inode_get(v->ix, ino, &n->row);
	if (rc == 0)
		rc = truncate_border(v, n->row.data, &border);
	/* Its newest change may still be in the open record. */
	n->seq = index_seq(v->ix) + (index_pending(v->ix) > 0);
	index_unlock(v->ix);
	if (rc < 0) {
		node_free(n);
		return rc;
	}
	atomic_store(&n->data, n->row.data);
	atomic_store(&n->cut_from, border);
	n->index_size = n->row.size;
	*out = n;
	return 0;
}

struct node *node_adopt(struct volume *v, const struct inode_row *row,
			uint64_t seq)
{
	struct node *n = node_new(v, seq);

	if (!n)
		return NULL;
	n->row = *row;
	atomic_store(&n->data, row->data);
	n->index_size = row->size;
	n->eattrs = EATTRS_NONE;
	n->stored_known = true;
	mutex_lock(&v->nodes_lock);
	htab_insert(&v->nodes, &n->hash, row->ino);
	mutex_unlock(&v->nodes_lock);
	return n;
}

void node_adopted(struct node *n, bool kept)
{
	if (!n)
		return;
	if (!kept)
		n->dead = true; /* nobody else has it */
	node_put(n);
}

int node_get(struct volume *v, uint64_t ino, struct node **out)
{
	uint64_t *left = &v->nodes_left[ino % ARRAY_LEN(v->nodes_left)];
	struct node *n = NULL;
	uint64_t seen;
	int rc;

	for (;;) {
		mutex_lock(&v->nodes_lock);
		*out = peek_locked(v, ino);
		seen = *left;
		mutex_unlock(&v->nodes_lock);
		if (*out)
			return 0;
		rc = node_load(v, ino, &n);
		if (rc < 0)
			return rc;
		mutex_lock(&v->nodes_lock);
		*out = peek_locked(v, ino);
		/* The row may be older than what a node wrote that came and
		 * went meanwhile. */
		if (!*out && *left == seen) {
			htab_insert(&v->nodes, &n->hash, ino);
			*out = steal(&n);
		}
		mutex_unlock(&v->nodes_lock);
		if (n)
			node_free(n);
		if (*out)
			return 0;
	}
}

struct node *node_ref(struct node *n)
{
	MUTEX_GUARD(&n->v->nodes_lock);
	n->refs++;
	return n;
}

/* Takes it out of the table for good; nodes_lock is held. */
static struct node *leave_locked(struct volume *v, struct node *n)
{
	htab_remove(&v->nodes, &n->hash);
	v->nodes_left[n->hash.key % ARRAY_LEN(v->nodes_left)]++;
	return n;
}

/* The last reference is gone; what is returned is to be freed. */
static struct node *rest_locked(struct volume *v, struct node *n)
{
	struct node *oldest;

	if (n->dead)
		return leave_locked(v, n);
	TAILQ_INSERT_HEAD(&v->idle_nodes, n, idle);
	if (++v->idle_count <= NODES_IDLE)
		return NULL;
	oldest = TAILQ_LAST(&v->idle_nodes, node_list);
	TAILQ_REMOVE(&v->idle_nodes, oldest, idle);
	v->idle_count--;
	return leave_locked(v, oldest);
}

void node_put(struct node *n)
{
	struct volume *v = n->v;
	struct node *gone = NULL;

	mutex_lock(&v->nodes_lock);
	if (--n->refs == 0)
		gone = rest_locked(v, n);
	mutex_unlock(&v->nodes_lock);
	if (gone)
		node_free(gone);
}

/* ---- locking several ---- */

static void sort_by_ino(struct node **n, unsigned count)
{
	for (unsigned i = 1; i < count; i++)
		for (unsigned j = i; j > 0; j--) {
			struct node *a = n[j - 1], *b = n[j];

			if (!b || (a && a->hash.key <= b->hash.key))
				break;
			n[j - 1] = b;
			n[j] = a;
		}
}

void nodes_lock(struct node **n, unsigned count)
{
	sort_by_ino(n, count);
	for (unsigned i = 0; i < count && n[i]; i++)
		if (i == 0 || n[i] != n[i - 1])
			mutex_lock(&n[i]->lock);
}

void nodes_unlock(struct node **n, unsigned count)
{
	for (unsigned i = count; i-- > 0;)
		if (n[i] && (i == 0 || n[i] != n[i - 1]))
			mutex_unlock(&n[i]->lock);
}

/* ---- changing ---- */

/*
 * The index gets the size that extents or an explicit truncate justify (C11):
 * callers set row->size to the new truth and n->index_size to what the index
 * may say before they call. Once nothing of the file is dirty the two are the
 * same: node_flush_attr.
 */
int node_store(struct node *n, const struct inode_row *row)
{
	struct inode_row r = *row;

	MUST(!S_ISREG(r.mode) || n->index_size <= r.size); /* C11 */
	if (S_ISREG(r.mode) && !MUTANT(SIZE_BEFORE_EXTENTS))
		r.size = n->index_size;
	return inode_update(n->v->ix, &r);
}

void node_changed(struct node *n, const struct inode_row *row, uint64_t seq)
{
	n->row = *row;
	n->seq = seq;
	atomic_store(&n->data, row->data);
	/* A size that waits for no data any more still has to be written. */
	atomic_store(&n->dirty_attr,
		     S_ISREG(row->mode) && n->gaps.n == 0 &&
			     row->size != n->index_size &&
			     cache_dirty_bytes(n->v->cache, n->hash.key) == 0);
	node_settle(n);
}

/* Takes or gives back the reference of N2. */
static void hold(struct node *n, bool want)
{
	if (n->holds_ref == want)
		return;
	n->holds_ref = want;
	if (want)
		node_ref(n);
	else
		node_put(n); /* never the last: the caller has one */
}

void node_touch(struct node *n)
{
	atomic_store(&n->dirty_attr, true);
	hold(n, true);
}

void node_settle(struct node *n)
{
	bool dirty = n->dirty_attr || n->row.size != n->index_size;

	if (S_ISREG(n->row.mode))
		dirty |= n->loose ||
			 cache_dirty_bytes(n->v->cache, n->hash.key) > 0;
	else
		dirty = n->dirty_attr;
	hold(n, dirty && !n->dead);
}

/*
 * What the index may say by now (C11): all of it when nothing is on its way,
 * or what an explicit truncate said when all that was written before is stored:
 * others may write all the time.
 */
static uint64_t safe_size(struct node *n)
{
	struct cache *c = n->v->cache;
	uint64_t size = n->index_size;

	if (cache_dirty_bytes(c, n->hash.key) == 0)
		size = n->row.size;
	else if (n->cut_ns && n->cut_size > n->index_size &&
		 cache_stored(c, n->hash.key, n->cut_ns))
		size = n->cut_size;
	return MAX(n->index_size, MIN(size, gaps_first(n)));
}

/* Nothing is beyond the index's size any more. */
static bool is_settled(const struct node *n, uint64_t size)
{
	return n->loose && n->gaps.n == 0 && size == n->row.size;
}

int node_flush_attr(struct node *n)
{
	struct volume *v = n->v;
	uint64_t before, size, seq;
	bool settled;
	int rc;

	MUTEX_GUARD(&n->lock);
	before = n->index_size;
	size = safe_size(n);
	settled = is_settled(n, size);
	if (n->dead || (!n->dirty_attr && size == before && !settled))
		return 0;
	rc = index_begin(v->ix);
	if (rc < 0)
		return rc;
	seq = commit_open_seq(v->commit);
	n->index_size = size;
	rc = node_store(n, &n->row);
	if (rc == 0 && settled)
		rc = gaps_forget(n);
	rc = index_end(v->ix, rc);
	if (rc < 0) {
		n->index_size = before;
		return rc;
	}
	n->loose &= !settled;
	node_changed(n, &n->row, seq);
	return 0;
}

/* Some dirty node after another; nodes_lock is not held on return. */
static unsigned dirty_some(struct volume *v, struct node **out, unsigned max)
{
	unsigned n = 0;
	struct hnode *h;

	MUTEX_GUARD(&v->nodes_lock);
	for (h = htab_first(&v->nodes); h && n < max;
	     h = htab_next(&v->nodes, h)) {
		struct node *node = container_of(h, struct node, hash);

		/* A stale answer only costs a round. */
		if (!atomic_load(&node->dirty_attr))
			continue;
		out[n++] = peek_locked(v, h->key);
	}
	return n;
}

int node_flush_attrs(struct volume *v)
{
	struct node *batch[64];
	unsigned n;
	int rc = 0;

	do {
		n = dirty_some(v, batch, ARRAY_LEN(batch));
		for (unsigned i = 0; i < n; i++) {
			if (rc == 0)
				rc = node_flush_attr(batch[i]);
			node_put(batch[i]);
		}
	} while (n == ARRAY_LEN(batch) && rc == 0);
	return rc;
}

/*
 * Nobody else changes rows below the border meanwhile, so the index lock need
 * not be held all the time.
 */
static int sum_bytes(struct node *n)
{
	struct index *ix = n->v->ix;
	uint64_t end = MIN(n->row.size, atomic_load(&n->cut_from));
	uint64_t off = 0, sum = 0;
	int rc;

	do {
		index_lock(ix);
		rc = extent_sum(ix, n->row.data, end, SUM_ROWS, &off, &sum);
		index_unlock(ix);
	} while (rc == 0);
	if (rc < 0)
		return rc;
	n->stored_bytes = sum;
	n->stored_known = true;
	return 0;
}

int node_bytes(struct node *n, uint64_t *out)
{
	struct volume *v = n->v;
	int rc = 0;

	*out = 0;
	if (!S_ISREG(n->row.mode) || n->row.size == 0)
		return 0;
	if (!n->stored_known)
		rc = sum_bytes(n);
	if (rc == 0)
		*out = MIN(n->row.size,
			   n->stored_bytes +
				   cache_dirty_bytes(v->cache, n->hash.key));
	return rc;
}

/* ---- inodes without names ---- */

int data_drop(struct volume *v, uint64_t data)
{
	int rows;

	if (data == 0)
		return 0;
	rows = extent_count(v->ix, data, ROWS_PER_OP + 1);
	if (rows < 0)
		return rows;
	if (rows > ROWS_PER_OP)
		return queue_add(v->ix, QUEUE_DROP_DATA, data, 0);
	rows = extent_cut(v->ix, data, 0, UINT64_MAX, INDEX_ROWS_MAX);
	return rows < 0 ? rows : 0;
}

static int delete_inode(struct node *n)
{
	int rc = inode_delete(n->v->ix, n->hash.key);

	if (rc == 0)
		rc = data_drop(n->v, n->row.data);
	if (rc == 0 && n->loose)
		rc = gaps_forget(n);
	return rc;
}

int node_unname(struct node *n)
{
	if (n->opens > 0)
		return queue_add(n->v->ix, QUEUE_ORPHAN, n->hash.key, 0);
	return delete_inode(n);
}

void node_bury(struct node *n)
{
	n->dead = true;
	atomic_store(&n->dirty_attr, false);
	cache_discard(n->v->cache, n->hash.key);
	hold(n, false);
}

static int reap_op(struct node *n)
{
	struct index *ix = n->v->ix;
	struct queue_row job;
	int rc = index_begin(ix);

	if (rc < 0)
		return rc;
	rc = queue_find(ix, QUEUE_ORPHAN, n->hash.key, &job);
	if (rc == 0)
		rc = queue_remove(ix, job.id);
	if (rc == 0)
		rc = delete_inode(n);
	return index_end(ix, rc);
}

/* The job of an inode that is gone. */
static int drop_orphan(struct volume *v, uint64_t ino)
{
	struct queue_row job;
	int rc = index_begin(v->ix);

	if (rc < 0)
		return rc;
	rc = queue_find(v->ix, QUEUE_ORPHAN, ino, &job);
	if (rc == 0)
		rc = queue_remove(v->ix, job.id);
	rc = index_end(v->ix, rc);
	return rc == -ENOENT ? 0 : rc;
}

void node_reap(struct volume *v, uint64_t ino)
{
	AUTO_NODE struct node *n = NULL;
	int rc = node_get(v, ino, &n);

	if (rc == -ENOENT)
		rc = drop_orphan(v, ino);
	if (rc < 0)
		log_event(LOG_LVL_WARN, "orphan_stays", "ino=%llu rc=%s",
			  (unsigned long long)ino, err_name(rc));
	if (!n)
		return;
	MUTEX_GUARD(&n->lock);
	if (n->dead || n->row.nlink > 0 || n->opens > 0)
		return;
	rc = reap_op(n);
	if (rc == 0)
		node_bury(n);
	else if (rc != -ENOENT)
		log_event(LOG_LVL_WARN, "orphan_stays", "ino=%llu rc=%s",
			  (unsigned long long)ino, err_name(rc));
}
