/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dirs.c - readdir and fsync of directories.
 *
 * Entries are copied out of the index in batches; newer attributes of inodes
 * in memory and the caller's function are looked at between, without the
 * index lock.
 */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "fs/volume_impl.h"

#define BATCH	   64
#define COOKIE_DOT 1
#define COOKIE_UP  2

struct batch {
	unsigned n;
	struct dentry_row d[BATCH];
	struct inode_row i[BATCH];
};

struct listing {
	struct volume *v;
	uint64_t dir;
	uint64_t after;
	bool attrs;
	int (*each)(void *arg, const struct dir_entry *e);
	void *arg;
};

static int take(void *arg, const struct dentry_row *d,
		const struct inode_row *i)
{
	struct batch *b = arg;

	b->d[b->n] = *d;
	b->i[b->n] = *i;
	return ++b->n == BATCH;
}

static int load_batch(const struct listing *l, struct batch *b)
{
	int rc;

	b->n = 0;
	index_lock(l->v->ix);
	rc = dentry_list(l->v->ix, l->dir, l->after, false, take, b);
	index_unlock(l->v->ix);
	return rc < 0 ? rc : 0;
}

/* Hands out one entry; 1: the caller has enough. */
static int give(struct listing *l, const char *name, uint64_t ino, uint8_t type,
		uint64_t cookie)
{
	struct attr attr;
	struct dir_entry e = {
		.name = name, .ino = ino, .type = type, .cookie = cookie};
	int rc;

	if (l->attrs) {
		rc = posix_getattr(l->v, ino, &attr);
		if (rc == -ENOENT)
			return 0; /* removed since the batch was read */
		if (rc < 0)
			return rc;
		e.attr = &attr;
	}
	rc = l->each(l->arg, &e);
	if (rc == 0)
		l->after = cookie;
	return rc != 0;
}

static int give_batch(struct listing *l, const struct batch *b)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < b->n; i++)
		rc = give(l, b->d[i].name, b->d[i].ino, b->d[i].type,
			  b->d[i].id);
	return rc;
}

static int parent_of(struct volume *v, uint64_t dir, uint64_t *out)
{
	struct dentry_row d;
	int rc;

	*out = ROOT_INO;
	if (dir == ROOT_INO)
		return 0;
	index_lock(v->ix);
	rc = dentry_of_inode(v->ix, dir, 0, &d);
	index_unlock(v->ix);
	*out = d.parent;
	return rc;
}

static int give_dots(struct listing *l)
{
	uint64_t parent;
	int rc = 0;

	if (l->after < COOKIE_DOT)
		rc = give(l, ".", l->dir, DT_DIR, COOKIE_DOT);
	if (rc != 0 || l->after >= COOKIE_UP)
		return rc;
	rc = parent_of(l->v, l->dir, &parent);
	return rc < 0 ? rc : give(l, "..", parent, DT_DIR, COOKIE_UP);
}

int posix_readdir(struct volume *v, uint64_t dir, uint64_t after, bool attrs,
		  int (*each)(void *arg, const struct dir_entry *e), void *arg)
{
	struct listing l = {v, dir, after, attrs, each, arg};
	AUTO_FREE struct batch *b = mem_alloc(sizeof(*b));
	struct attr attr;
	int rc = b ? posix_getattr(v, dir, &attr) : -ENOMEM;

	if (rc == 0 && !S_ISDIR(attr.mode))
		rc = -ENOTDIR;
	if (rc == 0)
		rc = give_dots(&l);
	while (rc == 0) {
		rc = load_batch(&l, b);
		if (rc == 0)
			rc = b->n == 0 ? 1 : give_batch(&l, b);
	}
	return rc < 0 ? rc : 0;
}

int posix_fsyncdir(struct volume *v, uint64_t dir)
{
	AUTO_NODE struct node *n = node_peek(v, dir);
	int rc = volume_alive(v);

	if (rc < 0 || v->read_only)
		return rc;
	if (n)
		rc = node_flush_attr(n);
	if (rc < 0)
		return rc;
	/* fsync of the root means all of it, file contents included. */
	return dir == ROOT_INO ? volume_sync(v) : commit_all(v->commit);
}
