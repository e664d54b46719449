/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err.h - the one table of mendfs's own error codes.
 *
 * Every fallible function returns an int: 0 or a non-negative result, else a
 * negative code. Codes up to 4095 are the system's (-ENOENT); above that they
 * are ours and come from ERR_TABLE: one code per cause. They are mapped to an
 * errno in one place (err_errno), where a FUSE request is answered, and to an
 * exit code in one place in tools/.
 *
 * No state, no locks; every function may be called from any thread.
 */
#ifndef MENDFS_BASE_ERR_H
#define MENDFS_BASE_ERR_H

#include <errno.h>

/* Functions whose result must not be dropped silently. */
#define MUST_USE __attribute__((warn_unused_result))

/* X(name, errno class, text) */
#define ERR_TABLE(X)                                                           \
	/* what is read from a backend is not what was written */              \
	X(ERR_CORRUPT, EIO, "data is damaged")                                 \
	X(ERR_AUTH, EIO, "authentication failed")                              \
	X(ERR_TRUNCATED, EIO, "object is shorter than it must be")             \
	X(ERR_FORMAT, EIO, "not in mendfs's format")                           \
	X(ERR_RANGE, EIO, "a stored number is out of its range")               \
	X(ERR_FEATURE, EPROTONOSUPPORT, "unknown incompatible format feature") \
	X(ERR_UNAVAILABLE, EIO, "too few fragments can be read")               \
	X(ERR_REPLAY, EIO, "journal replay does not match the index")          \
	/* keys */                                                             \
	X(ERR_PASSPHRASE, EACCES, "no key slot opens with this passphrase")    \
	X(ERR_KEYSLOT, EIO, "key slot is damaged")                             \
	X(ERR_REVOKED, EACCES, "passphrase has been revoked")                  \
	X(ERR_KDF_LIMIT, EIO, "key derivation parameters out of bounds")       \
	/* folders */                                                          \
	X(ERR_NO_SUPERBLOCK, ENODEV, "folder has no mendfs superblock")        \
	X(ERR_EMPTY_FOLDER, ENODEV, "folder is empty (disk not mounted?)")     \
	X(ERR_FOREIGN, ENODEV, "folder belongs to another pool")               \
	X(ERR_OTHER_MEMBER, ENODEV, "folder holds another member of the pool") \
	X(ERR_DUPLICATE, EINVAL, "folder given twice")                         \
	X(ERR_NESTED, EINVAL, "folder lies inside another")                    \
	X(ERR_NOT_EMPTY, EEXIST, "folder is not empty")                        \
	X(ERR_BACKEND_DOWN, EIO, "backend is not reachable")                   \
	/* who may write */                                                    \
	X(ERR_TOO_FEW, ENODEV, "too few backends")                             \
	X(ERR_NO_MAJORITY, ENODEV, "no majority of the backends")              \
	X(ERR_IN_USE, EBUSY, "pool is in use by another mount")                \
	X(ERR_DIVERGED, EUCLEAN, "two histories of the pool diverge")          \
	X(ERR_ROLLBACK, EUCLEAN, "pool is older than what was acknowledged")   \
	X(ERR_LEASE, EIO, "the pool's lease could not be renewed in time")     \
	X(ERR_FENCED, EROFS, "another mount has taken over the pool")          \
	X(ERR_STICKY, EROFS, "volume is in error state until remounted")       \
	X(ERR_SHUT_DOWN, EIO, "volume was shut down; unmount it")              \
	/* other */                                                            \
	X(ERR_USAGE, EINVAL, "usage error")                                    \
	X(ERR_MISMATCH, EIO, "internal row count mismatch")                    \
	X(ERR_STOPPED, ESHUTDOWN, "service is shutting down")

enum err_code {
	ERR_FIRST_ = 4095,
#define ERR_ENUM_(name, errno_class, text) name,
	ERR_TABLE(ERR_ENUM_)
#undef ERR_ENUM_
	ERR_LAST_
};

/*
 * The errno (positive) that answers a system call for `rc`.
 * rc: 0 or a negative code. Returns 0 for 0, EIO for a code not in the table.
 */
int err_errno(int rc);

/* "ERR_CORRUPT" or "EIO"; never NULL; static storage. */
const char *err_name(int rc);

/* A sentence fragment without a full stop; never NULL; static storage. */
const char *err_text(int rc);

#endif
