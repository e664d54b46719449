/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.c - lookup, make, link, unlink, rmdir, readlink.
 *
 * Every changing operation has the same shape: find the inodes by name, lock
 * their nodes in order, begin an operation, make sure the names still say the
 * same, change rows, end it, and only then change the nodes. If a name moved
 * meanwhile (-EAGAIN) it starts again.
 */
#include "fs/names.h"

#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/mem.h"
#include "fs/volume_impl.h"

int names_check(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || strchr(name, '/') || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0)
		return -EINVAL;
	return len > NAME_BYTES_MAX ? -ENAMETOOLONG : (int)len;
}

int names_directory(const struct node *n)
{
	/* Removed but open: nothing can be put into it any more. */
	if (n->dead || n->row.nlink == 0)
		return -ENOENT;
	return S_ISDIR(n->row.mode) ? 0 : -ENOTDIR;
}

int names_find(struct volume *v, uint64_t parent, const char *name,
	       struct dentry_row *out)
{
	int rc;

	index_lock(v->ix);
	rc = dentry_get(v->ix, parent, name, strlen(name), out);
	index_unlock(v->ix);
	return rc;
}

int names_enter(struct volume *v, uint64_t parent, const char *name,
		uint64_t ino, uint8_t type)
{
	struct dentry_row d = {
		.id = index_next(v->ix, COUNTER_DENTRY),
		.parent = parent,
		.ino = ino,
		.type = type,
		.name_len = (uint8_t)strlen(name),
	};

	memcpy(d.name, name, d.name_len + 1u);
	return dentry_insert(v->ix, &d);
}

int names_settle_data(struct volume *v, uint64_t ino)
{
	AUTO_NODE struct node *n = node_peek(v, ino);
	bool size_waits;
	int rc = 0;

	/* What is dirty is in memory (N2). */
	if (!n)
		return 0;
	if (cache_dirty_bytes(v->cache, ino) > 0)
		rc = writeback_run(v, ino, UINT64_MAX);
	mutex_lock(&n->lock);
	size_waits = S_ISREG(n->row.mode) && n->row.size != n->index_size;
	mutex_unlock(&n->lock);
	return rc == 0 && size_waits ? node_flush_attr(n) : rc;
}

/* ---- changes of several nodes ---- */

void change_begin(struct change *c, struct node *n, int64_t now)
{
	c->node = n;
	c->row = n->row;
	c->row.ctime_ns = now;
	c->unnamed = false;
	c->lazy = false;
}

int changes_store(struct change *c, unsigned n)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < n; i++) {
		if (!c[i].node || c[i].lazy)
			continue;
		c[i].unnamed = c[i].row.nlink == 0;
		/* An unlinked but open one keeps its row until the close. */
		if (!c[i].unnamed || c[i].node->opens > 0)
			rc = node_store(c[i].node, &c[i].row);
		if (rc == 0 && c[i].unnamed)
			rc = node_unname(c[i].node);
	}
	return rc;
}

void changes_done(struct change *c, unsigned n, uint64_t seq)
{
	for (unsigned i = 0; i < n; i++) {
		if (!c[i].node)
			continue;
		if (c[i].lazy) {
			c[i].node->row = c[i].row;
			node_touch(c[i].node);
			continue;
		}
		node_changed(c[i].node, &c[i].row, seq);
		if (c[i].unnamed && c[i].node->opens == 0)
			node_bury(c[i].node);
	}
}

/* ---- lookup ---- */

int posix_lookup(struct volume *v, uint64_t parent, const char *name,
		 struct attr *out)
{
	struct dentry_row d;
	int rc = names_check(name);

	if (rc > 0)
		rc = volume_alive(v);
	if (rc == 0)
		rc = names_find(v, parent, name, &d);
	return rc < 0 ? rc : posix_getattr(v, d.ino, out);
}

int posix_readlink(struct volume *v, uint64_t ino, struct bytes *target)
{
	struct inode_row row;
	int rc = volume_alive(v);

	if (rc < 0)
		return rc;
	index_lock(v->ix);
	rc = inode_get(v->ix, ino, &row);
	if (rc == 0 && !S_ISLNK(row.mode))
		rc = -EINVAL;
	if (rc == 0)
		rc = symlink_get(v->ix, ino, target);
	index_unlock(v->ix);
	return rc;
}

/* ---- make ---- */

static void new_row(struct volume *v, const struct cred *c,
		    const struct node *parent, const struct create_spec *spec,
		    struct inode_row *row)
{
	int64_t now = clock_real_ns();
	bool dir = S_ISDIR(spec->mode);

	*row = (struct inode_row){
		.ino = index_next(v->ix, COUNTER_INO),
		.mode = S_ISLNK(spec->mode) ? (S_IFLNK | 0777)
					    : spec->mode & ~c->umask,
		.uid = c->uid,
		.gid = c->gid,
		.nlink = dir ? 2 : 1,
		.size = spec->target ? strlen(spec->target) : 0,
		.rdev = spec->rdev,
		.generation = 1,
		.atime_ns = now,
		.mtime_ns = now,
		.ctime_ns = now,
		.btime_ns = now,
	};
	if (S_ISREG(spec->mode))
		row->data = index_next(v->ix, COUNTER_DATA);
	if (parent->row.mode & S_ISGID) {
		row->gid = parent->row.gid;
		if (dir)
			row->mode |= S_ISGID;
	}
}

static int make_op(struct change *parent, const char *name,
		   const struct create_spec *spec, const struct inode_row *row)
{
	struct volume *v = parent->node->v;
	struct dentry_row d;
	int rc = dentry_get(v->ix, parent->row.ino, name, strlen(name), &d);

	if (rc != -ENOENT)
		return rc < 0 ? rc : -EEXIST;
	rc = inode_insert(v->ix, row);
	if (rc == 0 && spec->target)
		rc = symlink_insert(v->ix, row->ino, spec->target, row->size);
	if (rc == 0)
		rc = names_enter(v, parent->row.ino, name, row->ino,
				 names_type(row->mode));
	return rc < 0 ? rc : changes_store(parent, 1);
}

static int make_locked(struct node *parent, const struct cred *c,
		       const char *name, const struct create_spec *spec,
		       struct inode_row *row)
{
	struct volume *v = parent->v;
	struct change ch;
	struct node *n;
	uint64_t seq;
	int rc = names_directory(parent);

	if (rc < 0)
		return rc;
	new_row(v, c, parent, spec, row);
	change_begin(&ch, parent, row->mtime_ns);
	ch.row.mtime_ns = row->mtime_ns;
	if (S_ISDIR(row->mode))
		ch.row.nlink++;
	else
		ch.lazy = true;
	rc = index_begin(v->ix);
	if (rc < 0)
		return rc;
	seq = commit_open_seq(v->commit);
	n = node_adopt(v, row, seq);
	rc = index_end(v->ix, make_op(&ch, name, spec, row));
	if (rc == 0)
		changes_done(&ch, 1, seq);
	node_adopted(n, rc == 0);
	return rc;
}

static int check_spec(const struct create_spec *spec)
{
	size_t len;

	if (!S_ISLNK(spec->mode))
		return 0;
	len = strlen(spec->target);
	if (len == 0)
		return -ENOENT;
	return len > SYMLINK_MAX ? -ENAMETOOLONG : 0;
}

/* Room an inode and its name take in the index and its copies, generously. */
#define NAME_ROOM 2048

int posix_make(struct volume *v, const struct cred *c, uint64_t parent,
	       const char *name, const struct create_spec *spec,
	       struct attr *out)
{
	AUTO_NODE struct node *p = NULL;
	struct inode_row row;
	int rc = names_check(name);

	if (rc > 0)
		rc = check_spec(spec);
	if (rc == 0)
		rc = volume_writable(v);
	if (rc == 0)
		rc = space_take(v, NAME_ROOM);
	if (rc == 0)
		rc = node_get(v, parent, &p);
	if (rc < 0)
		return rc;
	mutex_lock(&p->lock);
	rc = make_locked(p, c, name, spec, &row);
	mutex_unlock(&p->lock);
	commit_maybe(v->commit);
	if (rc == 0)
		attr_of_row(&row, 0, out);
	return rc;
}

/* ---- link ---- */

static int link_op(struct change ch[2], const char *name)
{
	struct volume *v = ch[0].node->v;
	struct dentry_row d;
	int rc = dentry_get(v->ix, ch[0].row.ino, name, strlen(name), &d);

	if (rc != -ENOENT)
		return rc < 0 ? rc : -EEXIST;
	rc = names_enter(v, ch[0].row.ino, name, ch[1].row.ino,
			 names_type(ch[1].row.mode));
	return rc < 0 ? rc : changes_store(ch, 2);
}

static int link_check(const struct node *parent, const struct node *n)
{
	int rc = names_directory(parent);

	if (rc < 0)
		return rc;
	if (n->dead || n->row.nlink == 0)
		return -ENOENT;
	if (S_ISDIR(n->row.mode))
		return -EPERM;
	return n->row.nlink >= LINKS_MAX ? -EMLINK : 0;
}

static int link_locked(struct node *parent, struct node *n, const char *name)
{
	struct volume *v = n->v;
	int64_t now = clock_real_ns();
	struct change ch[2];
	uint64_t seq;
	int rc = link_check(parent, n);

	if (rc == 0)
		rc = index_begin(v->ix);
	if (rc < 0)
		return rc;
	change_begin(&ch[0], parent, now);
	ch[0].row.mtime_ns = now;
	ch[0].lazy = true;
	change_begin(&ch[1], n, now);
	ch[1].row.nlink++;
	seq = commit_open_seq(v->commit);
	rc = index_end(v->ix, link_op(ch, name));
	if (rc == 0)
		changes_done(ch, 2, seq);
	return rc;
}

int posix_link(struct volume *v, uint64_t ino, uint64_t parent,
	       const char *name, struct attr *out)
{
	AUTO_NODE struct node *p = NULL;
	AUTO_NODE struct node *n = NULL;
	struct node *both[2];
	int rc = names_check(name);

	if (rc > 0)
		rc = volume_writable(v);
	if (rc == 0)
		rc = names_settle_data(v, ino);
	if (rc == 0)
		rc = node_get(v, parent, &p);
	if (rc == 0)
		rc = node_get(v, ino, &n);
	if (rc < 0)
		return rc;
	if (p == n)
		return -EPERM;
	both[0] = p;
	both[1] = n;
	nodes_lock(both, 2);
	rc = link_locked(p, n, name);
	nodes_unlock(both, 2);
	commit_maybe(v->commit);
	return rc < 0 ? rc : posix_getattr(v, ino, out);
}

/* ---- unlink and rmdir ---- */

/* The name must still mean this inode; then it goes. */
static int remove_op(struct change ch[2], const char *name)
{
	struct volume *v = ch[0].node->v;
	struct dentry_row d;
	int rc = dentry_get(v->ix, ch[0].row.ino, name, strlen(name), &d);

	if (rc == 0 && d.ino != ch[1].row.ino)
		rc = -EAGAIN;
	if (rc == 0 && S_ISDIR(ch[1].row.mode))
		rc = dentry_any(v->ix, d.ino) == 0 ? 0 : -ENOTEMPTY;
	if (rc == 0)
		rc = dentry_delete(v->ix, d.id);
	return rc < 0 ? rc : changes_store(ch, 2);
}

static int remove_locked(struct node *parent, struct node *n, const char *name,
			 bool dir)
{
	struct volume *v = n->v;
	int64_t now = clock_real_ns();
	struct change ch[2];
	uint64_t seq;
	int rc = names_directory(parent);

	if (rc == 0 && n->dead)
		rc = -EAGAIN;
	if (rc == 0 && dir != S_ISDIR(n->row.mode))
		rc = dir ? -ENOTDIR : -EISDIR;
	if (rc == 0)
		rc = index_begin(v->ix);
	if (rc < 0)
		return rc;
	change_begin(&ch[0], parent, now);
	ch[0].row.mtime_ns = now;
	change_begin(&ch[1], n, now);
	ch[1].row.nlink = dir ? 0 : ch[1].row.nlink - 1;
	ch[0].lazy = !dir;
	if (dir)
		ch[0].row.nlink--;
	seq = commit_open_seq(v->commit);
	rc = index_end(v->ix, remove_op(ch, name));
	if (rc == 0)
		changes_done(ch, 2, seq);
	return rc;
}

static int remove_once(struct volume *v, uint64_t parent, const char *name,
		       bool dir)
{
	AUTO_NODE struct node *p = NULL;
	AUTO_NODE struct node *n = NULL;
	struct node *both[2];
	struct dentry_row d;
	int rc = names_find(v, parent, name, &d);

	if (rc == 0)
		rc = node_get(v, parent, &p);
	if (rc == 0) {
		rc = node_get(v, d.ino, &n);
		if (rc == -ENOENT)
			rc = -EAGAIN; /* another took the name away */
	}
	if (rc < 0)
		return rc;
	both[0] = p;
	both[1] = n;
	nodes_lock(both, 2);
	rc = remove_locked(p, n, name, dir);
	nodes_unlock(both, 2);
	return rc;
}

static int remove_name(struct volume *v, uint64_t parent, const char *name,
		       bool dir)
{
	int rc = names_check(name);

	if (rc > 0)
		rc = volume_writable(v);
	if (rc < 0)
		return rc;
	do {
		rc = remove_once(v, parent, name, dir);
	} while (rc == -EAGAIN);
	commit_maybe(v->commit);
	return rc;
}

int posix_unlink(struct volume *v, uint64_t parent, const char *name)
{
	return remove_name(v, parent, name, false);
}

int posix_rmdir(struct volume *v, uint64_t parent, const char *name)
{
	return remove_name(v, parent, name, true);
}
