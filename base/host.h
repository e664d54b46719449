/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.h - which machine this is, since which start, and who runs on it.
 *
 * Told by /etc/machine-id, the node name and the kernel's boot id, all of them
 * readable by anybody. What cannot be read is "" and equals nothing. Thread
 * safe. A test can pretend to be another machine.
 */
#ifndef MENDFS_BASE_HOST_H
#define MENDFS_BASE_HOST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define HOST_TEXT 64 /* bytes of each, at most */

struct host {
	char machine[HOST_TEXT + 1]; /* outlives a reboot */
	char boot[HOST_TEXT + 1];    /* does not */
	char name[HOST_TEXT + 1];    /* for people */
	pid_t pid;		     /* of this process */
	uint64_t started;	     /* of it; see host_process. 0: unknown */
};

/* This one. Read once; the pid is always that of the caller. */
void host_get(struct host *out);
/* Test seam: this from now on, pid and all; NULL: the truth. Process-wide. */
void host_replace(const struct host *pretended);

/* A process of this machine, as /proc has it. */
struct host_process {
	uint64_t started; /* clock ticks after boot: tells it from another of
			     its number */
	char name[16];
	bool dead;  /* killed, or ended but for threads that cannot end */
	bool stuck; /* a thread of it waits in the kernel and takes no signal */
};
/*
 * -ESRCH: there is none, or it has ended and only its number is left. Other
 * errors: not known.
 */
int host_process(pid_t pid, struct host_process *out) MUST_USE;

#endif
