/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_mounts.h - which mendfs file systems are mounted, by the kernel's own
 * list (/proc/self/mountinfo). Never asks a mounted file system itself, so
 * that a dead or hung one cannot hold up the caller.
 *
 * No state; any thread.
 */
#ifndef MENDFS_FS_FUSE_MOUNTS_H
#define MENDFS_FS_FUSE_MOUNTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define FUSE_MOUNTS_TYPE "fuse.mendfs"

struct mounted {
	char *path;   /* the mount point, absolute; owned, as the others */
	char *source; /* label or first folder */
	char *type;   /* FUSE_MOUNTS_TYPE for ours */
	unsigned major, minor;
	uint32_t uid; /* who mounted it; 0 where it is not said */
	bool read_only;
};
void mounted_release(struct mounted *m);

/*
 * Calls each(arg, m) for every mount of any kind in the order of mounting; m
 * is valid during the call. A non-zero answer ends it and is returned. 0 or a
 * negative error.
 */
int fuse_mounts_each(int (*each)(void *arg, const struct mounted *m),
		     void *arg) MUST_USE;

/*
 * The mendfs mount at `path` (absolute, without trailing '/'): what is mounted
 * there last. With `inside`, the one that path lies in. -ENOENT: there is none
 * or it is of another kind. Release out after 0.
 */
int fuse_mounts_find(const char *path, bool inside,
		     struct mounted *out) MUST_USE;

/* Another mendfs mount point of the same file system (bind mounts). */
bool fuse_mounts_shared(unsigned major, unsigned minor);

#endif
