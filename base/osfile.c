/* SPDX-License-Identifier: Apache-2.0 */
#include "base/osfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail_seam.h"

static struct fail_seam seam;

void os_fail_at(uint64_t n, int err, int forever)
{
	fail_seam_set(&seam, n, err, forever);
}

uint64_t os_count(void)
{
	return atomic_load(&seam.count);
}

/*
 * The result of a system call that answers -1 and errno, repeated while a
 * signal interrupts it. An error other than EINTR is never retried: a second
 * fsync may succeed with the data gone (C7).
 */
#define CALL(expr)                                                \
	({                                                        \
		int call_err_ = fail_seam_hit(&seam);             \
		ssize_t call_rc_ = -call_err_;                    \
		if (!call_err_) {                                 \
			do {                                      \
				call_rc_ = (expr);                \
			} while (call_rc_ < 0 && errno == EINTR); \
			if (call_rc_ < 0)                         \
				call_rc_ = -errno;                \
		}                                                 \
		call_rc_;                                         \
	})

int os_openat(int dirfd, const char *path, int flags, mode_t mode)
{
	return (int)CALL(openat(dirfd, path, flags | O_CLOEXEC, mode));
}

/* Linux has freed the descriptor even when close says EINTR. */
void os_close(int fd)
{
	if (fd >= 0)
		(void)close(fd);
}

/* One count for the whole transfer, however many pieces it takes. */
static ssize_t pread_all(int fd, uint8_t *p, size_t len, uint64_t off)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n =
			pread(fd, p + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static ssize_t pwrite_all(int fd, const uint8_t *p, size_t len, uint64_t off)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n =
			pwrite(fd, p + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0) {
			errno = EIO; /* no progress and no reason */
			return -1;
		}
		done += (size_t)n;
	}
	return 0;
}

ssize_t os_pread(int fd, void *buf, size_t len, uint64_t off)
{
	return CALL(pread_all(fd, buf, len, off));
}

int os_pwrite(int fd, const void *buf, size_t len, uint64_t off)
{
	return (int)CALL(pwrite_all(fd, buf, len, off));
}

int os_fsync(int fd)
{
	return (int)CALL(fsync(fd));
}

int os_fdatasync(int fd)
{
	return (int)CALL(fdatasync(fd));
}

int os_ftruncate(int fd, uint64_t size)
{
	return (int)CALL(ftruncate(fd, (off_t)size));
}

int os_fallocate(int fd, uint64_t off, uint64_t len)
{
	int rc = (int)CALL(fallocate(fd, 0, (off_t)off, (off_t)len));

	return rc == -ENOSYS ? -EOPNOTSUPP : rc;
}

int os_fsize(int fd, uint64_t *size_out)
{
	struct stat st;
	int rc = (int)CALL(fstat(fd, &st));

	if (rc == 0)
		*size_out = (uint64_t)st.st_size;
	return rc;
}

int os_unlinkat(int dirfd, const char *path, int flags)
{
	return (int)CALL(unlinkat(dirfd, path, flags));
}

int os_renameat(int olddir, const char *old, int newdir, const char *new_name)
{
	return (int)CALL(renameat(olddir, old, newdir, new_name));
}

int os_mkdirat(int dirfd, const char *path, mode_t mode)
{
	return (int)CALL(mkdirat(dirfd, path, mode));
}

int os_fstat(int fd, struct stat *out)
{
	return (int)CALL(fstat(fd, out));
}

int os_lstat(const char *path, struct stat *out)
{
	return (int)CALL(lstat(path, out));
}

int os_fchmod(int fd, mode_t mode)
{
	return (int)CALL(fchmod(fd, mode));
}

int os_realpath(const char *path, char *out)
{
	return (int)CALL(realpath(path, out) ? 0 : -1);
}

int os_flock(int fd)
{
	return (int)CALL(flock(fd, LOCK_EX | LOCK_NB));
}

/* The stream's own descriptor: closing the stream closes it. */
static int open_stream(int dirfd, DIR **out)
{
	int fd = os_openat(dirfd, ".", O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0)
		return fd;
	*out = fdopendir(fd);
	if (*out)
		return 0;
	os_close(fd);
	return -ENOMEM;
}

static bool is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int os_each_name(int dirfd, int (*each)(void *arg, const char *name), void *arg)
{
	struct dirent *e;
	DIR *dir;
	int rc = open_stream(dirfd, &dir);

	if (rc < 0)
		return rc;
	while (rc == 0) {
		errno = 0;
		e = readdir(dir);
		if (!e) {
			rc = -errno;
			break;
		}
		if (!is_dot(e->d_name))
			rc = each(arg, e->d_name);
	}
	closedir(dir);
	return rc;
}
