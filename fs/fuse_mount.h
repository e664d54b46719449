/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_mount.h - a volume as a mounted file system.
 *
 *   fuse_mount_new    mounts; requests wait in the kernel from now on
 *   fuse_mount_run    serves them until it is unmounted
 *   fuse_mount_free   gives back what is left; unmounts if need be
 *
 * SIGTERM, SIGINT and SIGHUP unmount cleanly. Where programs still use the
 * file system then, what they have written so far is brought in, it is taken
 * out of the name space, and they get errors from there on.
 *
 * One thread calls these, the one that signals may interrupt: the process's
 * main thread. The volume is borrowed; closing it is the caller's business,
 * after fuse_mount_free.
 */
#ifndef MENDFS_FS_FUSE_MOUNT_H
#define MENDFS_FS_FUSE_MOUNT_H

#include <stdbool.h>

#include "base/diag.h"
#include "base/err.h"
#include "fs/volume.h"

struct fuse_mount;

struct fuse_mount_options {
	const char *mountpoint; /* absolute, without links; a directory */
	const char *source;	/* shown in the list of mounts */
	const char *kernel;	/* "nosuid,noexec" or "": for mount(2) */
	bool allow_other;
};

/*
 * Mounts. A volume that is read-only is mounted read-only. As root, readahead
 * and the share of memory that may be dirty are raised, as far as possible.
 * Errors come with a diag.
 */
int fuse_mount_new(struct volume *v, const struct fuse_mount_options *o,
		   struct diag *diag, struct fuse_mount **out) MUST_USE;
/* Returns 0 when it was unmounted, or why the requests came to an end. */
int fuse_mount_run(struct fuse_mount *m) MUST_USE;
/* NULL is allowed. */
void fuse_mount_free(struct fuse_mount *m);

/* The device number that files of this mount show. */
unsigned fuse_mount_major(const struct fuse_mount *m);
unsigned fuse_mount_minor(const struct fuse_mount *m);
/*
 * Everything written so far, the kernel's pages included, is durable. From any
 * thread but one that answers requests, until fuse_mount_free.
 */
int fuse_mount_sync(struct fuse_mount *m) MUST_USE;

#endif
