/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_file.c - requests about open files.
 *
 * With the writeback cache the kernel reads and writes whole pages on any
 * handle of an inode, so every handle is opened for reading too, appending is
 * the kernel's business, and O_SYNC is: it sends FSYNC after the write.
 */
#include "fs/fuse_impl.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/workq.h"
#include "fs/volume_impl.h"

static struct fuse_handle *handle_of(const struct fuse_file_info *fi)
{
	return (struct fuse_handle *)(uintptr_t)fi->fh;
}

static struct file *file_of(const struct fuse_file_info *fi)
{
	return handle_of(fi)->file;
}

static bool writes(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY;
}

/* What posix_open shall know of the flags of open(2). */
static int engine_flags(const struct fuse_mount *m,
			const struct fuse_file_info *fi)
{
	int flags = fi->flags & ~(O_CREAT | O_EXCL);

	/* With the writeback cache the kernel sends FSYNC for these. */
	if (!fi->direct_io)
		flags &= ~(O_SYNC | O_DSYNC);
	if (!m->writeback)
		return flags;
	flags &= ~O_APPEND;
	/* Without the cache's detour the kernel leaves the times to us. */
	if (!fi->direct_io)
		flags |= OPEN_TIMES_GIVEN;
	if ((flags & O_ACCMODE) == O_WRONLY)
		flags = (flags & ~O_ACCMODE) | O_RDWR;
	return flags;
}

/* Opens and fills fi. */
static int open_inode(struct fuse_mount *m, uint64_t ino,
		      struct fuse_file_info *fi)
{
	AUTO_FREE struct fuse_handle *h = mem_zalloc(sizeof(*h));
	int rc;

	if (!h)
		return -ENOMEM;
	h->writes = writes(fi->flags);
	/* Then writes go through at once, to tell of ENOSPC. */
	fi->direct_io = h->writes && space_nearly_full(m->v);
	rc = posix_open(m->v, ino, engine_flags(m, fi), &h->file);
	if (rc < 0)
		return rc;
	fi->keep_cache = 1;
	fi->noflush = !h->writes;
	fi->fh = (uintptr_t)h;
	fuse_pages_add(m->pages, steal(&h));
	return 0;
}

static void close_inode(struct fuse_mount *m, const struct fuse_file_info *fi)
{
	fuse_pages_remove(m->pages, handle_of(fi));
}

void fuse_file_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fuse_mount *m = fuse_mount_of(req);
	int rc = open_inode(m, ino, fi);

	if (rc < 0)
		fuse_ops_reply(req, rc);
	else if (fuse_reply_open(req, fi) == -ENOENT)
		close_inode(m, fi); /* whoever asked is gone */
}

/* Another may have made it since the kernel looked. */
static int make_or_find(fuse_req_t req, uint64_t parent, const char *name,
			mode_t mode, int flags, struct attr *a)
{
	struct create_spec spec = {.mode = S_IFREG | (mode & ~(mode_t)S_IFMT)};
	struct volume *v = fuse_mount_of(req)->v;
	struct cred c;
	int rc;

	fuse_ops_cred(req, &c);
	do {
		rc = posix_make(v, &c, parent, name, &spec, a);
		if (rc != -EEXIST || (flags & O_EXCL))
			return rc;
		rc = posix_lookup(v, parent, name, a);
	} while (rc == -ENOENT);
	return rc;
}

void fuse_file_create(fuse_req_t req, fuse_ino_t parent, const char *name,
		      mode_t mode, struct fuse_file_info *fi)
{
	struct fuse_mount *m = fuse_mount_of(req);
	struct fuse_entry_param e;
	struct attr a;
	int rc = make_or_find(req, parent, name, mode, fi->flags, &a);

	if (rc == 0)
		rc = open_inode(m, a.ino, fi);
	if (rc < 0) {
		fuse_ops_reply(req, rc);
		return;
	}
	fuse_ops_entry(&a, &e);
	if (fuse_reply_create(req, &e, fi) == -ENOENT)
		close_inode(m, fi);
}

void fuse_file_release(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	(void)ino;
	close_inode(fuse_mount_of(req), fi);
	fuse_reply_err(req, 0);
}

void fuse_file_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	AUTO_FREE char *buf = mem_alloc(size);
	ssize_t n = -ENOMEM;

	(void)ino;
	if (buf)
		n = posix_read(file_of(fi), buf, size, (uint64_t)off);
	if (n < 0)
		fuse_ops_reply(req, (int)n);
	else
		fuse_reply_buf(req, buf, (size_t)n);
}

/* ---- writing ---- */

static void reply_write(fuse_req_t req, ssize_t n)
{
	if (n < 0)
		fuse_ops_reply(req, (int)n);
	else
		fuse_reply_write(req, (size_t)n);
}

/* A write that has to wait for the dirty limit, with its bytes. */
struct parked {
	fuse_req_t req;
	struct file *file;
	uint64_t off;
	size_t size;
	char data[];
};

static void write_parked(void *arg)
{
	AUTO_FREE struct parked *p = arg;

	reply_write(p->req, posix_write(p->file, p->data, p->size, p->off));
}

/*
 * Lets threads of its own wait, so that no worker does and reads go on. The
 * kernel keeps the file open and the pages as they are until the answer. The
 * number is bounded by FUSE_BACKGROUND, and by one for each writing program.
 */
static int park(fuse_req_t req, const struct parked *head, const char *buf)
{
	struct fuse_mount *m = fuse_mount_of(req);
	struct parked *p = mem_alloc(sizeof(*p) + head->size);
	int rc;

	if (!p)
		return -ENOMEM;
	*p = *head;
	memcpy(p->data, buf, head->size);
	rc = workq_submit(m->parked, write_parked, p);
	if (rc < 0)
		mem_free(p);
	return rc;
}

void fuse_file_write(fuse_req_t req, fuse_ino_t ino, const char *buf,
		     size_t size, off_t off, struct fuse_file_info *fi)
{
	struct parked head = {
		.req = req,
		.file = file_of(fi),
		.off = (uint64_t)off,
		.size = size,
	};
	int rc;

	(void)ino;
	if (!cache_over_limit(fuse_mount_of(req)->v->cache)) {
		reply_write(req, posix_write(head.file, buf, size, head.off));
		return;
	}
	rc = park(req, &head, buf);
	if (rc < 0)
		fuse_ops_reply(req, rc);
}

/* ---- durability ---- */

void fuse_file_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fuse_ops_reply(req, posix_flush(file_of(fi)));
}

void fuse_file_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
		     struct fuse_file_info *fi)
{
	(void)ino;
	fuse_ops_reply(req, posix_fsync(file_of(fi), datasync != 0));
}
