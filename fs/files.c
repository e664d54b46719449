/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files.c - open files: read, write, truncate, fsync.
 *
 * Data goes through the chunk cache under the inode's number. A write holds
 * the node's lock while it copies, so that size and content change together;
 * a read does not: it takes the size first and bounds itself by it.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/mem.h"
#include "fs/gaps.h"
#include "fs/truncate.h"
#include "fs/volume_impl.h"

/* A writer waits at most this long for the dirty limit, then goes on: a slow
 * store must not hang it for ever. */
#define THROTTLE_NS	 30000000000ULL
#define THROTTLE_LOOK_NS 1000000000ULL

struct file {
	struct node *node;
	int flags;
};

static bool writes(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
}

static int open_locked(struct node *n, int flags)
{
	int rc = 0;

	if (n->dead)
		return -ENOENT;
	if (S_ISDIR(n->row.mode) && writes(flags))
		return -EISDIR;
	if (flags & O_TRUNC)
		rc = truncate_locked(n, 0);
	if (rc == 0)
		n->opens++;
	return rc;
}

int posix_open(struct volume *v, uint64_t ino, int flags, struct file **out)
{
	AUTO_FREE struct file *f = mem_zalloc(sizeof(*f));
	AUTO_NODE struct node *n = NULL;
	int rc = f ? volume_alive(v) : -ENOMEM;

	if (rc == 0 && writes(flags))
		rc = volume_writable(v);
	if (rc == 0)
		rc = node_get(v, ino, &n);
	if (rc < 0)
		return rc;
	if (flags & O_TRUNC)
		rc = truncate_lock(n);
	else
		mutex_lock(&n->lock);
	if (rc == 0)
		rc = open_locked(n, flags);
	mutex_unlock(&n->lock);
	if (rc < 0)
		return rc;
	f->flags = flags;
	f->node = steal(&n);
	*out = steal(&f);
	return 0;
}

void posix_close(struct file *f)
{
	struct node *n = f->node;
	bool reap;

	mutex_lock(&n->lock);
	if (n->opens == 1)
		gaps_close(n);
	reap = --n->opens == 0 && n->row.nlink == 0 && !n->dead;
	mutex_unlock(&n->lock);
	if (reap)
		node_reap(n->v, n->hash.key);
	node_put(n);
	mem_free(f);
}

void posix_abandon(struct file *f)
{
	struct node *n = f->node;

	mutex_lock(&n->lock);
	gaps_leave(n);
	mutex_unlock(&n->lock);
	posix_close(f);
}

uint64_t posix_file_ino(const struct file *f)
{
	return f->node->hash.key;
}

/* ---- reading ---- */

#define DAY_NS (86400LL * 1000000000)

/* relatime: at most once a day, or when it would not show the last change. */
static void update_atime(struct node *n)
{
	struct inode_row *r = &n->row;
	int64_t now;

	if (n->v->atime == ATIME_NO || n->v->read_only)
		return;
	now = clock_real_ns();
	if (n->v->atime == ATIME_REL && r->atime_ns > r->mtime_ns &&
	    r->atime_ns > r->ctime_ns && now - r->atime_ns < DAY_NS)
		return;
	r->atime_ns = now;
	node_touch(n);
}

ssize_t posix_read(struct file *f, void *buf, size_t len, uint64_t off)
{
	struct node *n = f->node;
	uint64_t size;
	bool dir;
	int rc = volume_alive(n->v);

	if (rc < 0)
		return rc;
	mutex_lock(&n->lock);
	size = n->row.size;
	dir = S_ISDIR(n->row.mode);
	if (len > 0 && !dir)
		update_atime(n);
	mutex_unlock(&n->lock);
	if (dir)
		return -EISDIR;
	if (off >= size)
		return 0;
	len = MIN(len, size - off);
	rc = cache_read(n->v->cache, n->hash.key, size, off, len, buf);
	return rc < 0 ? rc : (ssize_t)len;
}

/* ---- writing ---- */

static void wrote(struct file *f, uint64_t end)
{
	struct node *n = f->node;

	n->row.size = MAX(n->row.size, end);
	if (!(f->flags & OPEN_TIMES_GIVEN)) {
		n->row.mtime_ns = clock_real_ns();
		n->row.ctime_ns = n->row.mtime_ns;
	}
	node_touch(n);
}

/* Copies into the cache; *done bytes were taken. */
static int write_locked(struct file *f, const void *buf, size_t len,
			uint64_t off, size_t *done)
{
	struct node *n = f->node;
	int rc;

	if (f->flags & O_APPEND)
		off = n->row.size;
	if (off > FILE_SIZE_MAX || len > FILE_SIZE_MAX - off)
		return -EFBIG;
	rc = cache_write(n->v->cache, n->hash.key, n->row.size, off, buf, len,
			 done);
	if (*done > 0) {
		gaps_wrote(n, n->row.size, off, off + *done);
		wrote(f, off + *done);
	}
	return rc;
}

/* Takes room and waits for the dirty limit, but not for what will not end: a
 * full pool, or one that nothing can be written to. */
static int admit(struct volume *v, size_t len)
{
	uint64_t now = clock_mono_ns(), deadline = now + THROTTLE_NS;
	int rc = space_take(v, len);

	while (rc == 0 && now < deadline && cache_over_limit(v->cache)) {
		rc = writeback_failing(v);
		if (rc < 0)
			break;
		cache_throttle(v->cache, now + THROTTLE_LOOK_NS);
		now = clock_mono_ns();
		rc = volume_alive(v);
		if (rc == 0)
			rc = space_take(v, 0);
	}
	return rc;
}

ssize_t posix_write(struct file *f, const void *buf, size_t len, uint64_t off)
{
	struct volume *v = f->node->v;
	size_t done = 0;
	int rc = volume_writable(v);

	if (rc == 0)
		rc = admit(v, len);
	if (rc < 0)
		return rc;
	mutex_lock(&f->node->lock);
	rc = write_locked(f, buf, len, off, &done);
	mutex_unlock(&f->node->lock);
	if (done > 0 && (f->flags & (O_SYNC | O_DSYNC))) {
		int synced = posix_fsync(f, true);

		if (synced < 0)
			return synced;
	}
	return done > 0 ? (ssize_t)done : rc;
}

/* ---- durability ---- */

/* Is the size, which reading needs, newer than the index's? */
static bool size_waits(struct node *n)
{
	MUTEX_GUARD(&n->lock);
	return n->row.size != n->index_size;
}

/* [lock] An error is over when nothing is left that could be lost. */
static int write_error(struct node *n)
{
	if (n->wb_error && !cache_failed(n->v->cache, n->hash.key))
		n->wb_error = 0;
	return n->wb_error;
}

int posix_fsync(struct file *f, bool datasync)
{
	struct node *n = f->node;
	struct volume *v = n->v;
	uint64_t seq;
	int rc = volume_alive(v);

	if (rc < 0 || v->read_only)
		return rc;
	service_make_room(v);
	mutex_lock(&n->lock);
	gaps_close(n);
	mutex_unlock(&n->lock);
	rc = writeback_run(v, n->hash.key, UINT64_MAX);
	if (rc == 0 && (!datasync || size_waits(n)))
		rc = node_flush_attr(n);
	if (rc < 0)
		return rc;
	mutex_lock(&n->lock);
	rc = write_error(n);
	seq = n->seq;
	mutex_unlock(&n->lock);
	return rc < 0 ? rc : commit_wait(v->commit, seq);
}

int posix_flush(struct file *f)
{
	struct node *n = f->node;
	int rc = volume_alive(n->v);

	if (rc < 0)
		return rc;
	MUTEX_GUARD(&n->lock);
	gaps_close(n);
	return write_error(n);
}
