/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eattrs.c - extended attributes.
 *
 * Names and values as the caller gives them; which name spaces a user may
 * touch is the kernel's business.
 */
#include <string.h>
#include <sys/xattr.h>

#include "base/clock.h"
#include "base/mem.h"
#include "fs/volume_impl.h"

static int check_name(const char *name)
{
	size_t len = strlen(name);

	if (len == 0)
		return -EINVAL;
	return len > NAME_BYTES_MAX ? -ERANGE : 0;
}

/* Copies a result as getxattr(2) and listxattr(2) do, and releases it. */
static ssize_t give(struct bytes *b, int rc, void *buf, size_t size)
{
	ssize_t n = rc < 0 ? rc : (ssize_t)b->len;

	if (n > 0 && size > 0) {
		if (b->len > size)
			n = -ERANGE;
		else
			memcpy(buf, b->data, b->len);
	}
	bytes_release(b);
	return n;
}

/* The kernel asks about every file it writes to: mostly there are none. */
static int learn_eattrs(struct node *n)
{
	struct bytes names = {0};
	int rc = 0;

	MUTEX_GUARD(&n->lock);
	if (n->dead)
		return -ENOENT;
	if (n->eattrs == EATTRS_UNKNOWN) {
		index_lock(n->v->ix);
		rc = xattr_list(n->v->ix, n->hash.key, &names);
		index_unlock(n->v->ix);
	}
	if (rc == 0 && n->eattrs == EATTRS_UNKNOWN)
		n->eattrs = names.len ? EATTRS_SOME : EATTRS_NONE;
	bytes_release(&names);
	return rc < 0 ? rc : n->eattrs == EATTRS_SOME;
}

ssize_t posix_getxattr(struct volume *v, uint64_t ino, const char *name,
		       void *buf, size_t size)
{
	AUTO_NODE struct node *n = NULL;
	struct bytes value = {0};
	int rc = volume_alive(v);

	if (rc == 0)
		rc = node_get(v, ino, &n);
	if (rc == 0)
		rc = learn_eattrs(n);
	if (rc <= 0)
		return rc < 0 ? rc : -ENODATA;
	index_lock(v->ix);
	rc = xattr_get(v->ix, ino, name, &value);
	index_unlock(v->ix);
	return give(&value, rc == -ENOENT ? -ENODATA : rc, buf, size);
}

ssize_t posix_listxattr(struct volume *v, uint64_t ino, char *buf, size_t size)
{
	struct bytes names = {0};
	struct inode_row row;
	int rc = volume_alive(v);

	if (rc < 0)
		return rc;
	index_lock(v->ix);
	rc = xattr_list(v->ix, ino, &names);
	if (rc == 0 && names.len == 0)
		rc = inode_get(v->ix, ino, &row);
	index_unlock(v->ix);
	return give(&names, rc, buf, size);
}

static int set_op(struct node *n, const char *name, const void *value,
		  size_t size, int flags)
{
	struct bytes old = {0};
	int rc = xattr_get(n->v->ix, n->hash.key, name, &old);
	bool there = rc == 0;

	bytes_release(&old);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	if (there && (flags & XATTR_CREATE))
		return -EEXIST;
	if (!there && (flags & XATTR_REPLACE))
		return -ENODATA;
	return xattr_set(n->v->ix, n->hash.key, name, value, size);
}

/* One operation that changes an attribute and the inode's ctime. */
struct eattr_op {
	const char *name;
	const void *value; /* NULL: remove */
	size_t size;
	int flags;
};

static int change_locked(struct node *n, const struct eattr_op *op)
{
	struct volume *v = n->v;
	struct inode_row row = n->row;
	uint64_t seq;
	int rc = n->dead ? -ENOENT : index_begin(v->ix);

	if (rc < 0)
		return rc;
	seq = commit_open_seq(v->commit);
	row.ctime_ns = clock_real_ns();
	if (op->value)
		rc = set_op(n, op->name, op->value, op->size, op->flags);
	else
		rc = xattr_remove(v->ix, n->hash.key, op->name);
	if (rc == -ENOENT)
		rc = -ENODATA;
	if (rc == 0)
		rc = node_store(n, &row);
	rc = index_end(v->ix, rc);
	if (rc == 0) {
		node_changed(n, &row, seq);
		n->eattrs = EATTRS_UNKNOWN;
	}
	return rc;
}

static int change(struct volume *v, uint64_t ino, const struct eattr_op *op)
{
	AUTO_NODE struct node *n = NULL;
	int rc = check_name(op->name);

	if (rc == 0)
		rc = volume_writable(v);
	if (rc == 0)
		rc = node_get(v, ino, &n);
	if (rc < 0)
		return rc;
	mutex_lock(&n->lock);
	rc = change_locked(n, op);
	mutex_unlock(&n->lock);
	commit_maybe(v->commit);
	return rc;
}

int posix_setxattr(struct volume *v, uint64_t ino, const char *name,
		   const void *value, size_t size, int flags)
{
	struct eattr_op op = {name, value, size, flags};
	int rc;

	if (size > EATTR_BYTES_MAX)
		return -E2BIG;
	if (flags & ~(XATTR_CREATE | XATTR_REPLACE))
		return -EINVAL;
	if (!op.value)
		op.value = ""; /* an empty value is a value */
	rc = space_take(v, size);
	return rc < 0 ? rc : change(v, ino, &op);
}

int posix_removexattr(struct volume *v, uint64_t ino, const char *name)
{
	struct eattr_op op = {.name = name};

	return change(v, ino, &op);
}
