/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_impl.h - what the files of the FUSE adapter share (private).
 *
 * fuse_mount.c  a mounted volume: session, loop, signals, end
 * fuse_wire.c   between kernel and libfuse: what libfuse 3.14 does not know
 * fuse_ops.c    requests about inodes and names
 * fuse_file.c   requests about open files
 * fuse_dir.c    listing of directories
 * fuse_ioctl.c  shutdown
 * fuse_pages.c  the page collector
 *
 * Every handler decodes, calls one posix_* function and replies; it keeps no
 * state of its own. The node id of an inode is its number: numbers are never
 * reused, so nothing is counted and FORGET means nothing.
 */
#ifndef MENDFS_FS_FUSE_IMPL_H
#define MENDFS_FS_FUSE_IMPL_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "fs/fuse_pages.h"
#include "fs/posix.h"

/*
 * Names and attributes stay valid in the kernel: this daemon is the only one
 * that changes them, and every change comes through the kernel.
 */
#define FUSE_VALID_SECONDS 86400.0

/*
 * Workers of the session. Some may wait for a slow folder (reads, fsync), so
 * there are more than processors; the kernel is told to send less background
 * work (readahead, write-back) at a time than there are workers, so that some
 * are always left for what a program waits for.
 */
#define FUSE_THREADS_MAX    32
#define FUSE_THREADS_IDLE   4 /* at least; else processors + 2 */
#define FUSE_BACKGROUND	    24
#define FUSE_CONGESTION	    18
#define FUSE_WRITE_BYTES    (1u << 20)
#define FUSE_AHEAD_BYTES    (4u << 20)
#define FUSE_PARKED_THREADS 4

struct fuse_mount {
	struct volume *v; /* borrowed */
	struct fuse_session *se;
	struct fuse_pages *pages;
	struct workq *parked;  /* throttled writes */
	struct workq *signals; /* one job: waits for signals */
	int stop_fd;	       /* eventfd: ends that job */
	pthread_t main;	       /* runs the loop */
	atomic_bool ended;     /* the loop has returned */
	bool detached;	       /* taken out of the name space by us */
	char *mountpoint;
	unsigned major, minor;
	/* fuse_wire.c */
	atomic_uint_least64_t init_unique;
	atomic_uint init_offered; /* flags of the kernel's INIT */
	/* set by INIT, constant afterwards */
	bool writeback;	 /* the kernel caches writes */
	bool no_opendir; /* and lets us leave out OPENDIR */
};

static inline struct fuse_mount *fuse_mount_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* The one place where an error becomes an answer. rc <= 0. */
void fuse_ops_reply(fuse_req_t req, int rc);
void fuse_ops_stat(const struct attr *a, struct stat *out);
void fuse_ops_entry(const struct attr *a, struct fuse_entry_param *out);
void fuse_ops_cred(fuse_req_t req, struct cred *out);

/* fuse_file.c */
void fuse_file_create(fuse_req_t req, fuse_ino_t parent, const char *name,
		      mode_t mode, struct fuse_file_info *fi);
void fuse_file_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fuse_file_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi);
void fuse_file_write(fuse_req_t req, fuse_ino_t ino, const char *buf,
		     size_t size, off_t off, struct fuse_file_info *fi);
void fuse_file_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fuse_file_release(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi);
void fuse_file_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
		     struct fuse_file_info *fi);

/* fuse_dir.c */
void fuse_dir_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fuse_dir_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		   struct fuse_file_info *fi);
void fuse_dir_read_plus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
			struct fuse_file_info *fi);
void fuse_dir_release(fuse_req_t req, fuse_ino_t ino,
		      struct fuse_file_info *fi);
void fuse_dir_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
		    struct fuse_file_info *fi);

/* fuse_ioctl.c */
void fuse_ioctl_any(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg,
		    struct fuse_file_info *fi, unsigned flags, const void *in,
		    size_t in_size, size_t out_size);

extern const struct fuse_lowlevel_ops fuse_ops_table;
extern const struct fuse_custom_io fuse_wire_io;

#endif
