/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_pages.h - the files the kernel has open, and the page collector that
 * brings their dirty pages in.
 *
 * Under the writeback cache the newest content of a file may be in the
 * kernel's pages only. A file's fsync and close bring them in by themselves;
 * what means "everything" (sync of the mount, later snapshots) asks here. For
 * each inode open for writing the kernel is told to drop its pages, which
 * makes it write the dirty ones first and waits until they were answered.
 * Inodes not open for writing have none: the last close writes them.
 *
 * This waits for our own mount, so it is done by one thread of its own and by
 * no handler of a request (C13).
 */
#ifndef MENDFS_FS_FUSE_PAGES_H
#define MENDFS_FS_FUSE_PAGES_H

#include <stdbool.h>
#include <sys/queue.h>

#include "base/err.h"

struct file;
struct fuse_pages;
struct fuse_session;

/* One open file; allocated with mem_alloc. */
struct fuse_handle {
	TAILQ_ENTRY(fuse_handle) link;
	struct file *file; /* owned */
	bool writes;
};

/* se is borrowed and outlives it. 0, -ENOMEM, -EAGAIN. */
int fuse_pages_new(struct fuse_session *se, struct fuse_pages **out) MUST_USE;
/*
 * Closes the files that are still open (the mount was cut off). Requests must
 * not come any more. NULL is allowed.
 */
void fuse_pages_free(struct fuse_pages *p);

/* Files as they are opened and closed; from any thread. */
void fuse_pages_add(struct fuse_pages *p, struct fuse_handle *h);
/* Takes it out, closes the file and frees it. */
void fuse_pages_remove(struct fuse_pages *p, struct fuse_handle *h);

/*
 * Collects on the collector's thread, then calls then(arg, rc) there. rc 0:
 * everything written before the call has arrived. Returns 0, or an error and
 * `then` is not called: -ERR_STOPPED after fuse_pages_stop, -ENOMEM.
 */
int fuse_pages_start(struct fuse_pages *p, void (*then)(void *arg, int rc),
		     void *arg) MUST_USE;
/* The same, and waits. Not from a handler of a request. */
int fuse_pages_collect(struct fuse_pages *p) MUST_USE;
/* No more after those under way, which it waits for: requests must still be
 * answered meanwhile. */
void fuse_pages_stop(struct fuse_pages *p);

#endif
