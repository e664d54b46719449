/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attrs.c - getattr, setattr, statfs.
 */
#include <sys/stat.h>

#include "base/clock.h"
#include "base/mem.h"
#include "fs/truncate.h"
#include "fs/volume_impl.h"

#define STAT_BLOCK	512
#define DIRECTORY_BYTES 4096 /* what programs expect to see */

void attr_of_row(const struct inode_row *row, uint64_t data_bytes,
		 struct attr *out)
{
	*out = (struct attr){
		.ino = row->ino,
		.mode = row->mode,
		.nlink = row->nlink,
		.uid = row->uid,
		.gid = row->gid,
		.rdev = row->rdev,
		.size = S_ISDIR(row->mode) ? DIRECTORY_BYTES : row->size,
		.blocks = (data_bytes + STAT_BLOCK - 1) / STAT_BLOCK,
		.atime_ns = row->atime_ns,
		.mtime_ns = row->mtime_ns,
		.ctime_ns = row->ctime_ns,
		.btime_ns = row->btime_ns,
		.generation = row->generation,
	};
}

/* Bytes of data, those on their way included. Takes the index lock. */
static int data_bytes(struct volume *v, const struct inode_row *row,
		      uint64_t *out)
{
	int rc;

	*out = 0;
	if (!S_ISREG(row->mode) || row->size == 0)
		return 0;
	index_lock(v->ix);
	rc = extent_bytes(v->ix, row->data, out);
	index_unlock(v->ix);
	*out += cache_dirty_bytes(v->cache, row->ino);
	return rc;
}

int posix_getattr(struct volume *v, uint64_t ino, struct attr *out)
{
	struct node *n = node_peek(v, ino);
	struct inode_row row;
	uint64_t bytes;
	int rc = 0;

	if (n) {
		mutex_lock(&n->lock);
		row = n->row;
		rc = n->dead ? -ENOENT : 0;
		mutex_unlock(&n->lock);
		node_put(n);
	} else {
		index_lock(v->ix);
		rc = inode_get(v->ix, ino, &row);
		index_unlock(v->ix);
	}
	if (rc == 0)
		rc = data_bytes(v, &row, &bytes);
	if (rc == 0)
		attr_of_row(&row, bytes, out);
	return rc;
}

/* ---- setattr ---- */

/* A change of owner or content by others takes the set-id bits away. */
static void kill_set_id(struct inode_row *row)
{
	if (!S_ISREG(row->mode))
		return;
	row->mode &= ~(uint32_t)S_ISUID;
	if (row->mode & S_IXGRP)
		row->mode &= ~(uint32_t)S_ISGID;
}

static void apply(const struct attr_change *c, struct inode_row *row)
{
	int64_t now = clock_real_ns();

	if (c->set & SET_MODE)
		row->mode =
			(row->mode & S_IFMT) | (c->mode & ~(uint32_t)S_IFMT);
	if (c->set & SET_UID)
		row->uid = c->uid;
	if (c->set & SET_GID)
		row->gid = c->gid;
	if (c->set & SET_KILL_SUIDGID)
		kill_set_id(row);
	if (c->set & (SET_ATIME | SET_ATIME_NOW))
		row->atime_ns = c->set & SET_ATIME_NOW ? now : c->atime_ns;
	if (c->set & (SET_MTIME | SET_MTIME_NOW))
		row->mtime_ns = c->set & SET_MTIME_NOW ? now : c->mtime_ns;
	row->ctime_ns = c->set & SET_CTIME ? c->ctime_ns : now;
}

/* Only times: they stay in memory until the next commit of attributes. */
#define TIMES_ONLY \
	(SET_ATIME | SET_MTIME | SET_CTIME | SET_ATIME_NOW | SET_MTIME_NOW)

static int store_change(struct node *n, const struct attr_change *c)
{
	struct volume *v = n->v;
	struct inode_row row = n->row;
	uint64_t seq;
	int rc;

	apply(c, &row);
	if ((c->set & ~(unsigned)TIMES_ONLY) == 0) {
		n->row = row;
		node_touch(n);
		return 0;
	}
	rc = index_begin(v->ix);
	if (rc < 0)
		return rc;
	seq = commit_open_seq(v->commit);
	rc = index_end(v->ix, node_store(n, &row));
	if (rc == 0)
		node_changed(n, &row, seq);
	return rc;
}

static int setattr_locked(struct node *n, const struct attr_change *c)
{
	int rc = n->dead ? -ENOENT : 0;

	if (rc == 0 && (c->set & SET_SIZE))
		rc = truncate_locked(n, c->size);
	if (rc == 0 && (c->set & ~(unsigned)SET_SIZE))
		rc = store_change(n, c);
	return rc;
}

int posix_setattr(struct volume *v, uint64_t ino,
		  const struct attr_change *change, struct attr *out)
{
	AUTO_NODE struct node *n = NULL;
	int rc = volume_writable(v);

	if (rc == 0)
		rc = node_get(v, ino, &n);
	if (rc < 0)
		return rc;
	mutex_lock(&n->lock);
	rc = setattr_locked(n, change);
	mutex_unlock(&n->lock);
	commit_maybe(v->commit);
	return rc < 0 ? rc : posix_getattr(v, ino, out);
}

/* ---- statfs ---- */

int posix_statfs(struct volume *v, struct space *out)
{
	struct pool_space space;
	int rc;

	space_get(v, &space);
	out->block_bytes = 4096;
	out->total_blocks = space.total_bytes / out->block_bytes;
	out->free_blocks = space.free_bytes / out->block_bytes;
	index_lock(v->ix);
	rc = inode_count(v->ix, &out->inodes);
	index_unlock(v->ix);
	return rc;
}
