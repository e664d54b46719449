/* SPDX-License-Identifier: Apache-2.0 */
/*
 * truncate.c - changing a file's size.
 *
 * The first operation sets the size and, when not all rows can be cut in it,
 * leaves a QUEUE_TRIM_DATA job. The rest is cut at once, still under the
 * node's lock, so that nothing new is written above the border meanwhile; if
 * that fails, whoever would write there next finishes it (truncate_finish);
 * after a crash recovery finishes the job before anybody writes. A cut to
 * nothing of a file with many rows gives it a new data id instead and queues
 * the old one.
 */
#include "fs/truncate.h"

#include <sys/stat.h>

#include "base/clock.h"
#include "base/mem.h"
#include "fs/volume_impl.h"

/* Cuts in the first operation; 1: done, 0: a job was left. */
static int first_cut(struct node *n, struct inode_row *row)
{
	struct index *ix = n->v->ix;
	int rc;

	if (row->size == 0) {
		int rows = extent_count(ix, row->data, ROWS_PER_OP + 1);

		if (rows > ROWS_PER_OP) {
			rc = queue_add(ix, QUEUE_DROP_DATA, row->data, 0);
			row->data = index_next(ix, COUNTER_DATA);
			return rc < 0 ? rc : 1;
		}
	}
	rc = extent_cut(ix, row->data, row->size, UINT64_MAX, ROWS_PER_OP);
	if (rc == 0)
		rc = queue_add(ix, QUEUE_TRIM_DATA, row->data, row->size);
	else
		return rc;
	return rc < 0 ? rc : 0;
}

/* One operation; 1: no job is left, 0: perhaps one is. */
static int cut_more(struct node *n)
{
	struct index *ix = n->v->ix;
	struct queue_row job;
	int rc, done = 0;

	rc = index_begin(ix);
	if (rc < 0)
		return rc;
	rc = queue_find(ix, QUEUE_TRIM_DATA, n->row.data, &job);
	if (rc == 0)
		done = extent_cut(ix, n->row.data, job.b, UINT64_MAX,
				  ROWS_PER_OP);
	if (rc == 0 && done == 1)
		rc = queue_remove(ix, job.id);
	if (done < 0)
		rc = done;
	rc = index_end(ix, rc);
	/* The queue's worker got there first. */
	return rc == -ENOENT ? 1 : MIN(rc, 0);
}

static int is_cut(struct node *n)
{
	struct index *ix = n->v->ix;
	struct queue_row job;
	int rc;

	index_lock(ix);
	rc = queue_find(ix, QUEUE_TRIM_DATA, n->row.data, &job);
	index_unlock(ix);
	return rc == -ENOENT ? 1 : MIN(rc, 0);
}

int truncate_finish(struct node *n)
{
	int done = is_cut(n);

	while (done == 0) {
		commit_maybe(n->v->commit); /* K5 */
		done = cut_more(n);
	}
	return MIN(done, 0);
}

int truncate_locked(struct node *n, uint64_t size)
{
	struct volume *v = n->v;
	struct inode_row row = n->row;
	uint64_t before = n->index_size, seq;
	bool dirty = cache_dirty_bytes(v->cache, n->hash.key) > 0;
	int rc, done = 1;

	if (S_ISDIR(row.mode))
		return -EISDIR;
	if (!S_ISREG(row.mode))
		return -EINVAL;
	if (size > FILE_SIZE_MAX)
		return -EFBIG;
	rc = truncate_finish(n);
	if (rc < 0)
		return rc;
	row.mtime_ns = row.ctime_ns = clock_real_ns();
	rc = index_begin(v->ix);
	if (rc < 0)
		return rc;
	seq = commit_open_seq(v->commit);
	row.size = size;
	if (size < n->row.size)
		done = first_cut(n, &row);
	/* An explicit truncate justifies the size (C11), but not while bytes
	 * below it are only in memory: a crash would show zeros for them. */
	n->index_size = dirty ? MIN(before, size) : size;
	rc = index_end(v->ix, done < 0 ? done : node_store(n, &row));
	if (rc < 0) {
		n->index_size = before;
		return rc;
	}
	atomic_store(&n->data, row.data);
	n->stored_known = false;
	if (size < n->row.size)
		cache_truncate(v->cache, n->hash.key, size);
	n->cut_size = size;
	n->cut_ns = clock_mono_ns();
	node_changed(n, &row, seq);
	if (n->index_size != size)
		node_touch(n);
	if (done == 0)
		done = truncate_finish(n);
	n->stored_known = false;
	return MIN(done, 0);
}
