/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_wire.c - between the kernel and libfuse.
 *
 * libfuse 3.14 does not know FUSE_HANDLE_KILLPRIV_V2. Without it the kernel
 * asks for "security.capability" before every single write(2); with it, it
 * asks once per inode, and tells us when a write or truncation has to take
 * set-user-id and set-group-id away. So the answer to INIT is amended on its
 * way out, and WRITE requests are looked at on their way in.
 *
 * The readahead limit that libfuse answers is the kernel's default; it is
 * raised here too, so that the administrator's (or our) read_ahead_kb counts.
 */
#include "fs/fuse_impl.h"

#include <linux/fuse.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

/* Before the write that made it necessary, as its content counts only then. */
static void kill_set_id(struct fuse_mount *m, uint64_t ino)
{
	struct attr_change change = {.set = SET_KILL_SUIDGID};
	struct attr attr;
	int state, rc;

	/* libfuse cancels its workers where they read: not in here. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	rc = posix_setattr(m->v, ino, &change, &attr);
	if (rc < 0)
		log_event(LOG_LVL_WARN, "set_id_kept", "rc=%s", err_name(rc));
	else
		(void)fuse_lowlevel_notify_inval_inode(m->se, ino, -1, 0);
	pthread_setcancelstate(state, NULL);
}

static void look_at_init(struct fuse_mount *m, const struct fuse_in_header *h,
			 size_t len)
{
	const struct fuse_init_in *in = (const void *)(h + 1);

	if (len < sizeof(*h) + offsetof(struct fuse_init_in, flags) +
			  sizeof(in->flags))
		return;
	atomic_store(&m->init_offered, in->flags);
	atomic_store(&m->init_unique, h->unique);
}

static void look_at_write(struct fuse_mount *m, const struct fuse_in_header *h,
			  size_t len)
{
	const struct fuse_write_in *in = (const void *)(h + 1);

	if (len >= sizeof(*h) + sizeof(*in) &&
	    (in->write_flags & FUSE_WRITE_KILL_SUIDGID))
		kill_set_id(m, h->nodeid);
}

static ssize_t wire_read(int fd, void *buf, size_t len, void *userdata)
{
	struct fuse_mount *m = userdata;
	const struct fuse_in_header *h = buf;
	ssize_t n = read(fd, buf, len);

	if (n < (ssize_t)sizeof(*h))
		return n;
	if (h->opcode == FUSE_WRITE)
		look_at_write(m, h, (size_t)n);
	else if (h->opcode == FUSE_INIT)
		look_at_init(m, h, (size_t)n);
	return n;
}

static void amend_init(struct fuse_mount *m, const struct iovec *iov)
{
	struct fuse_init_out *out = iov->iov_base;

	if (iov->iov_len <
	    offsetof(struct fuse_init_out, flags) + sizeof(out->flags))
		return;
	out->max_readahead = MAX(out->max_readahead, FUSE_AHEAD_BYTES);
	out->flags |= atomic_load(&m->init_offered) & FUSE_HANDLE_KILLPRIV_V2;
}

static ssize_t wire_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	struct fuse_mount *m = userdata;
	const struct fuse_out_header *h = iov->iov_base;

	if (count > 1 && h->unique != 0 && h->error == 0 &&
	    h->unique == atomic_load(&m->init_unique)) {
		amend_init(m, &iov[1]);
		atomic_store(&m->init_unique, 0);
	}
	return writev(fd, iov, count);
}

const struct fuse_custom_io fuse_wire_io = {
	.read = wire_read,
	.writev = wire_writev,
};
