/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_ioctl.c - the one control request that is known: shutdown, with the
 * number and the flags that XFS and ext4 have, so that test suites made for
 * them cut this file system off in the same way.
 *
 * The number says that four bytes are read from the kernel, though the caller
 * passes them in. A FUSE kernel goes by the number and sends us none, only the
 * address. So they are read from the caller's memory. Where that is not allowed
 * (we are not root and the system restricts ptrace, or the caller is in a name
 * space of processes that we do not see) nothing is kept: most callers want
 * just that, and no promise is broken by it.
 */
#include "fs/fuse_impl.h"

#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"

#define IOCTL_SHUTDOWN 0x8004587d /* _IOR('X', 125, uint32_t) */

/* Flags of the caller. */
enum going_flags {
	GOING_FLUSH_ALL = 0,
	GOING_FLUSH_LOG = 1,
	GOING_FLUSH_NOTHING = 2,
};

static uint32_t flags_of(fuse_req_t req, void *arg)
{
	uint32_t flags = GOING_FLUSH_NOTHING;
	struct iovec to = {.iov_base = &flags, .iov_len = sizeof(flags)};
	struct iovec from = {.iov_base = arg, .iov_len = sizeof(flags)};
	pid_t pid = fuse_req_ctx(req)->pid;

	if (pid <= 0 || process_vm_readv(pid, &to, 1, &from, 1, 0) !=
				(ssize_t)sizeof(flags))
		return GOING_FLUSH_NOTHING;
	return flags;
}

static void reply(fuse_req_t req, int rc)
{
	if (rc < 0)
		fuse_ops_reply(req, rc);
	else
		fuse_reply_ioctl(req, 0, NULL, 0);
}

static void shut_down_all(void *arg, int rc)
{
	fuse_req_t req = arg;

	if (rc == 0)
		rc = volume_shutdown(fuse_mount_of(req)->v, SHUTDOWN_KEEPS_ALL);
	reply(req, rc);
}

static int shut_down(fuse_req_t req, uint32_t flags)
{
	struct fuse_mount *m = fuse_mount_of(req);

	switch (flags) {
	case GOING_FLUSH_ALL:
		/* The kernel's pages too: no handler may wait for them (C13).
		 */
		return fuse_pages_start(m->pages, shut_down_all, req);
	case GOING_FLUSH_LOG:
		return volume_shutdown(m->v, SHUTDOWN_KEEPS_RECORDS);
	case GOING_FLUSH_NOTHING:
		return volume_shutdown(m->v, SHUTDOWN_KEEPS_NOTHING);
	default:
		return -EINVAL;
	}
}

void fuse_ioctl_any(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg,
		    struct fuse_file_info *fi, unsigned flags, const void *in,
		    size_t in_size, size_t out_size)
{
	uid_t uid = fuse_req_ctx(req)->uid;
	uint32_t going;
	int rc;

	(void)ino;
	(void)fi;
	(void)flags;
	(void)in;
	(void)in_size;
	(void)out_size;
	if (cmd != IOCTL_SHUTDOWN) {
		fuse_ops_reply(req, -ENOTTY);
		return;
	}
	if (uid != 0 && uid != geteuid()) {
		fuse_ops_reply(req, -EPERM);
		return;
	}
	going = flags_of(req, arg);
	rc = shut_down(req, going);
	if (rc < 0 || going != GOING_FLUSH_ALL)
		reply(req, rc);
}
