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

static int getattr_locked(struct node *n, struct attr *out)
{
	uint64_t bytes;
	int rc = n->dead ? -ENOENT : node_bytes(n, &bytes);

	if (rc == 0)
		attr_of_row(&n->row, bytes, out);
	return rc;
}

int posix_getattr(struct volume *v, uint64_t ino, struct attr *out)
{
	AUTO_NODE struct node *n = NULL;
	int rc = volume_alive(v);

	if (rc == 0)
		rc = node_get(v, ino, &n);
	if (rc < 0)
		return rc;
	MUTEX_GUARD(&n->lock);
	return getattr_locked(n, out);
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
static bool only_times(const struct inode_row *a, const struct inode_row *b)
{
	return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid;
}

static int store_change(struct node *n, const struct attr_change *c)
{
	struct volume *v = n->v;
	struct inode_row row = n->row;
	uint64_t seq;
	int rc;

	apply(c, &row);
	if (only_times(&row, &n->row)) {
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
	if (change->set & SET_SIZE)
		rc = truncate_lock(n);
	else
		mutex_lock(&n->lock);
	if (rc == 0)
		rc = setattr_locked(n, change);
	if (rc == 0)
		rc = getattr_locked(n, out);
	mutex_unlock(&n->lock);
	commit_maybe(v->commit);
	return rc;
}

/* ---- statfs ---- */

int posix_statfs(struct volume *v, struct space *out)
{
	struct pool_space space;
	int rc = volume_alive(v);

	if (rc < 0)
		return rc;
	space_get(v, &space);
	out->block_bytes = 4096;
	out->total_blocks = space.total_bytes / out->block_bytes;
	out->free_blocks = space.free_bytes / out->block_bytes;
	index_lock(v->ix);
	rc = inode_count(v->ix, &out->inodes);
	index_unlock(v->ix);
	return rc;
}
