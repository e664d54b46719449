/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon.h - becoming a daemon that the caller can trust: the command returns
 * when the work has begun, or with the daemon's own failure.
 *
 * The fork happens before there is any thread. The child keeps terminal and
 * working directory until it is ready, so that it can ask and complain, and
 * that an interrupt reaches it.
 */
#ifndef MENDFS_TOOLS_DAEMON_H
#define MENDFS_TOOLS_DAEMON_H

#include "base/err.h"

/*
 * No core dumps, no tracing by others, umask 0, SIGPIPE ignored, as many
 * descriptors as allowed, and exempt from the throttling of writers where that
 * is permitted. Before any thread.
 */
void daemon_harden(void);

struct daemon {
	int ready_fd; /* the child's end; -1: in the foreground */
};
/*
 * Forks. In the child: returns 0. In the parent: waits, and returns 1 with
 * *exit_out: 0 when the child is ready, else the child's exit code. Negative:
 * could not fork.
 */
int daemon_fork(struct daemon *d, int *exit_out) MUST_USE;
/*
 * The child: leaves terminal, session and directory, sends the log to syslog,
 * and tells the parent. Nothing in the foreground.
 */
int daemon_ready(struct daemon *d) MUST_USE;
/*
 * The child, instead: its exit code, when it has said why. The parent does not
 * wait for its end, as a thread that hangs in a folder may keep it from ending.
 * Returns code.
 */
int daemon_failed(struct daemon *d, int code);

#endif
