/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_unmount.h - unmounting by another process.
 *
 * The kernel writes dirty pages during an unmount and waits for the daemon's
 * answers; a daemon that unmounted itself would, when killed meanwhile, wait
 * for itself for ever. fusermount3(1) does it for ordinary users anyway.
 */
#ifndef MENDFS_FS_FUSE_UNMOUNT_H
#define MENDFS_FS_FUSE_UNMOUNT_H

#include <stdbool.h>

#include "base/err.h"

/*
 * Unmounts what is mounted at mountpoint; lazy: takes it out of the name space
 * at once, whoever still uses it. quiet: nothing on standard error. 0, -EBUSY
 * (or another cause that fusermount3 does not tell), or why it could not be
 * run. Blocks as long as the kernel has to write.
 */
int fuse_unmount(const char *mountpoint, bool lazy, bool quiet) MUST_USE;

/*
 * Of a mount whose daemon was killed: takes it out of the name space, and all
 * that still waits for an answer fails, a thread of that daemon too. minor: of
 * the mount's device. 0, or why it could not be taken out.
 */
int fuse_unmount_force(const char *mountpoint, unsigned minor) MUST_USE;

#endif
