/* SPDX-License-Identifier: Apache-2.0 */
/*
 * osfile.h - file system calls, complete or failed: EINTR and short transfers
 * are dealt with here, and a test can let the i-th call fail.
 *
 * Functions return 0 (or a count) or -errno. They keep no state; any thread.
 */
#ifndef MENDFS_BASE_OSFILE_H
#define MENDFS_BASE_OSFILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* As openat(2) plus O_CLOEXEC; the descriptor or -errno. */
int os_openat(int dirfd, const char *path, int flags, mode_t mode);
/* Closes and ignores the result (data is judged by fsync). fd < 0: nothing. */
void os_close(int fd);
/* Up to len bytes; fewer only at the end of the file. Bytes read or -errno. */
ssize_t os_pread(int fd, void *buf, size_t len, uint64_t off);
/* All of len or an error; 0 or -errno. */
int os_pwrite(int fd, const void *buf, size_t len, uint64_t off);
int os_fsync(int fd);
int os_fdatasync(int fd);
int os_ftruncate(int fd, uint64_t size);
/* Blocks really allocated up to size; -EOPNOTSUPP where there is no such. */
int os_fallocate(int fd, uint64_t off, uint64_t len);
int os_fsize(int fd, uint64_t *size_out);
int os_unlinkat(int dirfd, const char *path, int flags);
int os_renameat(int olddir, const char *old, int newdir, const char *new_name);
int os_mkdirat(int dirfd, const char *path, mode_t mode);
int os_fstat(int fd, struct stat *out);
int os_lstat(const char *path, struct stat *out);
int os_fchmod(int fd, mode_t mode);
/* As realpath(3); `out` has room for PATH_MAX bytes. */
int os_realpath(const char *path, char *out);
/* Exclusive flock(2), without waiting: -EWOULDBLOCK if somebody has it. */
int os_flock(int fd);
/*
 * Calls each(arg, name) for every entry of the folder dirfd but "." and "..",
 * in no order; each may remove it. A non-zero answer ends that and is returned.
 */
int os_each_name(int dirfd, int (*each)(void *arg, const char *name),
		 void *arg);

/* mkdir -p. */
int os_mkdir_parents(const char *path, mode_t mode);
/*
 * Writes path anew with these bytes, mode 0600: temporary file, fsync, rename,
 * fsync of the folder. The old content stays on any failure, except that when
 * the last fsync fails either one may be found after a power cut. A crash, or
 * a removal that fails as well, leaves "<name>.<16 hex digits>.tmp" behind.
 */
int os_replace_file(const char *path, const void *buf, size_t len);
/*
 * Whole file of at most max bytes into *out (mem_free); -EFBIG beyond. A zero
 * byte that *len_out does not count follows, so that text is a string. The
 * file's stated size is not relied on: files of /proc can be read.
 */
int os_read_file(const char *path, size_t max, uint8_t **out, size_t *len_out);

/*
 * Test seam: the n-th call of this module from now on fails with -err (1 = the
 * next), with `forever` all later ones too; n = 0: off. Process-wide. The last
 * three functions above count as the calls that they make; os_close does not.
 */
void os_fail_at(uint64_t n, int err, int forever);
uint64_t os_count(void);

static inline void os_auto_close_(int *fd)
{
	os_close(*fd);
}
#define AUTO_FD __attribute__((cleanup(os_auto_close_)))

#endif
