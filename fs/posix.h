/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix.h - the file system, free of FUSE: what a mount, a tool or a test can
 * ask of a volume.
 *
 * Every function may be called from any thread at any time between
 * volume_open and volume_close. Inodes are named by number (ROOT_INO = 1);
 * numbers are never reused, so nobody counts who knows one. An inode without
 * names lives while it is open. Access rights are checked by the caller (the
 * kernel, default_permissions); rules that belong to the operation itself
 * (set-group-id inheritance, clearing of set-id bits, sticky renames excepted)
 * are kept here. Names are byte strings of 1..255 bytes without '/' and NUL:
 * -ENAMETOOLONG, -EINVAL.
 *
 * Results are 0 or a count, or a negative error: -ENOENT (also: no such inode
 * any more), -EEXIST, -ENOTDIR, -EISDIR, -ENOTEMPTY, -EMLINK, -EFBIG, -ENOSPC,
 * -EROFS, -EIO and the private codes of base/err.h.
 *
 * Durability: nothing is durable before posix_fsync, posix_fsyncdir or
 * volume_sync returned 0, or the commit interval passed.
 */
#ifndef MENDFS_FS_POSIX_H
#define MENDFS_FS_POSIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/bytes.h"
#include "base/err.h"
#include "fs/volume.h"

#define LINKS_MAX	65000
#define SYMLINK_MAX	4095
#define EATTR_BYTES_MAX 65536
/* The index keeps offsets as 63 bits and needs a slot beyond the last one. */
#define FILE_SIZE_MAX (INT64_MAX - (32LL << 20))

/* Who asks. */
struct cred {
	uint32_t uid, gid;
	uint32_t umask;
	uint32_t groups_n; /* supplementary groups, if known */
	const uint32_t *groups;
};

struct attr {
	uint64_t ino;
	uint32_t mode, nlink, uid, gid;
	uint64_t rdev;
	uint64_t size;
	uint64_t blocks; /* of 512 bytes: visible data */
	int64_t atime_ns, mtime_ns, ctime_ns, btime_ns;
	uint32_t generation;
};

/* ---- names (names.c, rename.c) ---- */
int posix_lookup(struct volume *v, uint64_t parent, const char *name,
		 struct attr *out) MUST_USE;
struct create_spec {
	uint32_t mode;	    /* type and permission bits, before the umask */
	uint64_t rdev;	    /* for device nodes */
	const char *target; /* for symlinks */
};
/* mknod, mkdir, symlink and create by spec->mode's type. */
int posix_make(struct volume *v, const struct cred *c, uint64_t parent,
	       const char *name, const struct create_spec *spec,
	       struct attr *out) MUST_USE;
int posix_link(struct volume *v, uint64_t ino, uint64_t parent,
	       const char *name, struct attr *out) MUST_USE;
int posix_unlink(struct volume *v, uint64_t parent, const char *name) MUST_USE;
int posix_rmdir(struct volume *v, uint64_t parent, const char *name) MUST_USE;
/* flags: 0, RENAME_NOREPLACE, RENAME_EXCHANGE; else -EINVAL. Atomic. */
int posix_rename(struct volume *v, uint64_t parent, const char *name,
		 uint64_t new_parent, const char *new_name,
		 unsigned flags) MUST_USE;
int posix_readlink(struct volume *v, uint64_t ino,
		   struct bytes *target) MUST_USE;

/* ---- attributes (attrs.c) ---- */
int posix_getattr(struct volume *v, uint64_t ino, struct attr *out) MUST_USE;

enum set_bits {
	SET_MODE = 1,
	SET_UID = 2,
	SET_GID = 4,
	SET_SIZE = 8,
	SET_ATIME = 16,
	SET_MTIME = 32,
	SET_CTIME = 64,
	SET_ATIME_NOW = 128,
	SET_MTIME_NOW = 256,
	SET_KILL_SUIDGID = 512, /* a write or chown by other than the owner */
};
struct attr_change {
	unsigned set; /* enum set_bits */
	uint32_t mode, uid, gid;
	uint64_t size;
	int64_t atime_ns, mtime_ns, ctime_ns;
};
int posix_setattr(struct volume *v, uint64_t ino,
		  const struct attr_change *change, struct attr *out) MUST_USE;

/* ---- extended attributes (eattrs.c) ---- */
/* The value's size; copied to buf if size > 0 (-ERANGE if it is too small).
 * -ENODATA: there is none. */
ssize_t posix_getxattr(struct volume *v, uint64_t ino, const char *name,
		       void *buf, size_t size) MUST_USE;
/* flags: 0, XATTR_CREATE, XATTR_REPLACE. */
int posix_setxattr(struct volume *v, uint64_t ino, const char *name,
		   const void *value, size_t size, int flags) MUST_USE;
/* NUL-separated names; as getxattr for size. */
ssize_t posix_listxattr(struct volume *v, uint64_t ino, char *buf,
			size_t size) MUST_USE;
int posix_removexattr(struct volume *v, uint64_t ino,
		      const char *name) MUST_USE;

/* ---- directories (dirs.c) ---- */
struct dir_entry {
	const char *name; /* NUL-terminated, valid during the call */
	uint64_t ino;
	uint8_t type;	 /* DT_* */
	uint64_t cookie; /* pass as `after` to go on behind this entry */
	const struct attr *attr; /* only if asked for, else NULL */
};
/*
 * Entries after cookie `after` (0: from the start; "." and ".." come first
 * with cookies 1 and 2) until each returns non-zero (that entry counts as not
 * taken, 0 is returned) or the end. Stable under change: an entry that is
 * there all the time is seen once. attr of "." and ".." is given too.
 * each() must not call back into the volume.
 */
int posix_readdir(struct volume *v, uint64_t dir, uint64_t after, bool attrs,
		  int (*each)(void *arg, const struct dir_entry *e),
		  void *arg) MUST_USE;
/* All namespace changes so far are durable. */
int posix_fsyncdir(struct volume *v, uint64_t dir) MUST_USE;

/* ---- files (files.c) ---- */
struct file;
/*
 * Beside the flags of open(2): writes leave the time stamps alone, as the
 * caller sets them (a kernel that caches writes knows when they happened).
 */
#define OPEN_TIMES_GIVEN (1 << 30)
/* flags as open(2): access mode, O_TRUNC, O_APPEND, O_SYNC, O_DSYNC. */
int posix_open(struct volume *v, uint64_t ino, int flags,
	       struct file **out) MUST_USE;
/* The last close of an inode without names deletes it. */
void posix_close(struct file *f);
/*
 * Closes what its user has not closed and cannot write to any more: what was
 * on its way to here is lost, and the file ends before the first gap.
 */
void posix_abandon(struct file *f);
uint64_t posix_file_ino(const struct file *f);
/* Up to len bytes; fewer at the end of the file only. */
ssize_t posix_read(struct file *f, void *buf, size_t len,
		   uint64_t off) MUST_USE;
/*
 * All of len; or fewer bytes, the first ones, where an error came after them;
 * or the error, and nothing was taken. O_APPEND: off is ignored. Throttled by
 * the dirty limit; -ENOSPC when the pool has no room for it: what was accepted
 * is never refused later for lack of space. With the limit reached, and nothing
 * but failures of the store for some seconds, that failure: what was taken
 * before is kept and tried again.
 */
ssize_t posix_write(struct file *f, const void *buf, size_t len,
		    uint64_t off) MUST_USE;
/*
 * Durable with data and attributes (datasync: what reading needs). After a
 * failed write-back it fails until the data is safe. -ENOSPC; -EIO, or a code
 * of that class, when too few folders can take it. It may be called again.
 */
int posix_fsync(struct file *f, bool datasync) MUST_USE;
/* close(2) of one descriptor: tells of a failed write-back until the data is
 * safe. */
int posix_flush(struct file *f) MUST_USE;

/* ---- the volume as a whole ---- */
struct space {
	uint64_t block_bytes;
	uint64_t total_blocks, free_blocks; /* of user data */
	uint64_t inodes;		    /* in use */
};
int posix_statfs(struct volume *v, struct space *out) MUST_USE;

#endif
