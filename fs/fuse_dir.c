/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_dir.c - requests about directories.
 *
 * Directories have no handles: a listing goes on from the cookie of the last
 * entry, whoever asks. Where the kernel allows it OPENDIR is refused once and
 * for all, and the kernel then keeps listings in its own cache.
 */
#include "fs/fuse_impl.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

void fuse_dir_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	if (fuse_mount_of(req)->no_opendir)
		fuse_reply_err(req, ENOSYS);
	else
		fuse_reply_open(req, fi);
}

void fuse_dir_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, 0);
}

struct listing {
	fuse_req_t req;
	char *buf;
	size_t size, used;
};

/* needed: what an entry takes; 1 when there was no room for it. */
static int count(struct listing *l, size_t needed)
{
	if (needed > l->size - l->used)
		return 1;
	l->used += needed;
	return 0;
}

static int add(void *arg, const struct dir_entry *e)
{
	struct listing *l = arg;
	struct stat st = {.st_ino = e->ino, .st_mode = DTTOIF(e->type)};

	return count(l, fuse_add_direntry(l->req, l->buf + l->used,
					  l->size - l->used, e->name, &st,
					  (off_t)e->cookie));
}

static int add_plus(void *arg, const struct dir_entry *e)
{
	struct listing *l = arg;
	struct fuse_entry_param p;

	fuse_ops_entry(e->attr, &p);
	/* Node id 0: not a lookup; the kernel knows these two anyway. */
	if (strcmp(e->name, ".") == 0 || strcmp(e->name, "..") == 0)
		p.ino = 0;
	return count(l, fuse_add_direntry_plus(l->req, l->buf + l->used,
					       l->size - l->used, e->name, &p,
					       (off_t)e->cookie));
}

static void list(fuse_req_t req, uint64_t dir, size_t size, off_t off,
		 bool plus)
{
	AUTO_FREE char *buf = mem_alloc(size);
	struct listing l = {.req = req, .buf = buf, .size = size};
	int rc = -ENOMEM;

	if (buf)
		rc = posix_readdir(fuse_mount_of(req)->v, dir, (uint64_t)off,
				   plus, plus ? add_plus : add, &l);
	/* An error behind the first entries comes with the next request. */
	if (rc < 0 && l.used == 0)
		fuse_ops_reply(req, rc);
	else
		fuse_reply_buf(req, buf, l.used);
}

void fuse_dir_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		   struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, false);
}

void fuse_dir_read_plus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
			struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, true);
}

/* ---- fsync ---- */

static void sync_all(void *arg, int rc)
{
	fuse_req_t req = arg;

	if (rc == 0)
		rc = posix_fsyncdir(fuse_mount_of(req)->v, ROOT_INO);
	fuse_ops_reply(req, rc);
}

/*
 * fsync of the root means everything, the kernel's pages included: for that
 * the collector answers, as no handler may wait for the mount itself (C13).
 */
void fuse_dir_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
		    struct fuse_file_info *fi)
{
	struct fuse_mount *m = fuse_mount_of(req);
	int rc;

	(void)datasync;
	(void)fi;
	if (ino != ROOT_INO) {
		fuse_ops_reply(req, posix_fsyncdir(m->v, ino));
		return;
	}
	rc = fuse_pages_start(m->pages, sync_all, req);
	if (rc < 0)
		fuse_ops_reply(req, rc);
}
