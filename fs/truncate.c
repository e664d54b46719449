/* SPDX-License-Identifier: Apache-2.0 */
/*
 * truncate.c - changing a file's size.
 *
 * One operation sets the size and cuts what rows it can. Where there are more
 * it leaves a QUEUE_TRIM_DATA job, which the queue's worker goes on with, and
 * the node remembers the border (cut_from): from there on the file is a hole
 * for readers, whatever rows there still are, until the job is done. Before
 * anything may enter the index above the border the rest is cut by whoever
 * wants to enter it (truncate_lock), with nothing locked. A cut to nothing of a
 * file with many rows gives it a new data id instead and queues the old one.
 */
#include "fs/truncate.h"

#include <sys/stat.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"
#include "fs/gaps.h"
#include "fs/volume_impl.h"

/*
 * Cuts what one operation can. 1: all, 0: a job was left, and readers see a
 * hole once the operation is kept.
 */
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
	if (rc != 0)
		return rc;
	atomic_store(&n->v->cuts, true);
	return queue_add(ix, QUEUE_TRIM_DATA, row->data, row->size);
}

int truncate_border(struct volume *v, uint64_t data, uint64_t *border)
{
	struct queue_row job;
	int rc = -ENOENT;

	*border = UINT64_MAX;
	if (data && atomic_load(&v->cuts))
		rc = queue_find(v->ix, QUEUE_TRIM_DATA, data, &job);
	if (rc == 0)
		*border = job.b;
	return rc == -ENOENT ? 0 : rc;
}

/* [lock] Has the worker finished? */
static int look_at_border(struct node *n)
{
	struct index *ix = n->v->ix;
	uint64_t border;
	int rc;

	index_lock(ix);
	rc = truncate_border(n->v, n->row.data, &border);
	index_unlock(ix);
	if (rc == 0)
		atomic_store(&n->cut_from, border);
	return rc;
}

int truncate_lock(struct node *n)
{
	for (;;) {
		struct queue_row job = {.kind = QUEUE_TRIM_DATA};
		int rc = 0;

		mutex_lock(&n->lock);
		if (atomic_load(&n->cut_from) != UINT64_MAX)
			rc = look_at_border(n);
		if (rc < 0 || atomic_load(&n->cut_from) == UINT64_MAX)
			return rc;
		job.a = n->row.data;
		mutex_unlock(&n->lock);
		rc = service_job_step(n->v, &job);
		if (rc < 0) {
			mutex_lock(&n->lock);
			return rc;
		}
	}
}

int truncate_locked(struct node *n, uint64_t size)
{
	struct volume *v = n->v;
	struct inode_row row = n->row;
	uint64_t before = n->index_size, seq;
	int64_t bytes = 0;
	bool dirty = cache_dirty_bytes(v->cache, n->hash.key) > 0;
	int rc, done = 1;

	if (S_ISDIR(row.mode))
		return -EISDIR;
	if (!S_ISREG(row.mode))
		return -EINVAL;
	if (size > FILE_SIZE_MAX)
		return -EFBIG;
	MUST(atomic_load(&n->cut_from) == UINT64_MAX);
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
	n->index_size = dirty || gaps_first(n) < size ? MIN(before, size) : size;
	bytes = extent_op_bytes(v->ix);
	rc = index_end(v->ix, done < 0 ? done : node_store(n, &row));
	if (rc < 0) {
		n->index_size = before;
		return rc;
	}
	if (done == 0) {
		atomic_store(&n->cut_from, size);
		n->stored_known = false;
	} else if (row.data != n->row.data) {
		n->stored_bytes = 0;
		n->stored_known = true;
	} else {
		n->stored_bytes += (uint64_t)bytes;
	}
	atomic_store(&n->data, row.data);
	if (size < n->row.size)
		cache_truncate(v->cache, n->hash.key, size);
	gaps_cut(n, size);
	n->cut_size = size;
	n->cut_ns = clock_mono_ns();
	node_changed(n, &row, seq);
	if (n->index_size != size)
		node_touch(n);
	return 0;
}
