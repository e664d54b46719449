/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_path.h - where the control socket of a mount is.
 *
 * <folder>/<major>-<minor>.sock by the mount's device number. The folder is
 * /run/mendfs for root, else $XDG_RUNTIME_DIR/mendfs-<uid>; where these cannot
 * be made, /tmp/mendfs-<uid>. It belongs to the daemon's user with mode 0700;
 * any other is not used.
 */
#ifndef MENDFS_FS_CONTROL_PATH_H
#define MENDFS_FS_CONTROL_PATH_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

#include "base/err.h"

/*
 * The address for a daemon of this process's user; makes the folder. -EACCES:
 * what is there does not belong to us alone.
 */
int control_path_make(unsigned major, unsigned minor,
		      struct sockaddr_un *out) MUST_USE;

/*
 * Connects to the daemon of a mount made by uid. Only a peer that runs as uid
 * or as root counts. A close-on-exec socket, -ENOENT or -ECONNREFUSED (nobody
 * listens: the daemon is gone), -EACCES.
 */
int control_path_connect(unsigned major, unsigned minor, uint32_t uid) MUST_USE;

/* Does the process at the other end run as uid or as root? */
int control_path_check_peer(int fd, uid_t uid) MUST_USE;

#endif
