/* SPDX-License-Identifier: Apache-2.0 */
#include "base/osfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/fail_seam.h"
#include "base/mem.h"
#include "base/rnd.h"

#define READ_STEP 65536

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

/* One step: a folder that is there already is as good as a new one. */
static int mkdir_or_keep(const char *path, mode_t mode)
{
	int rc = os_mkdirat(AT_FDCWD, path, mode);
	int fd;

	if (rc != -EEXIST)
		return rc;
	fd = os_openat(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
	os_close(fd);
	return fd < 0 ? fd : 0;
}

int os_mkdir_parents(const char *path, mode_t mode)
{
	AUTO_FREE char *prefix = mem_strdup(path);

	if (!prefix)
		return -ENOMEM;
	for (size_t i = 1; path[0] && path[i]; i++) {
		int rc;

		if (path[i] != '/' || path[i - 1] == '/')
			continue;
		prefix[i] = '\0';
		rc = mkdir_or_keep(prefix, mode);
		prefix[i] = '/';
		if (rc)
			return rc;
	}
	return mkdir_or_keep(path, mode);
}

/* The folder of path, opened; *name_out points at path's last component. */
static int open_folder_of(const char *path, const char **name_out)
{
	const char *slash = strrchr(path, '/');
	AUTO_FREE char *folder = NULL;

	*name_out = slash ? slash + 1 : path;
	if (!slash)
		folder = mem_strdup(".");
	else
		folder = mem_printf("%.*s", (int)(slash - path + 1), path);
	if (!folder)
		return -ENOMEM;
	return os_openat(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY, 0);
}

static int write_new_file(int dir, const char *name, const void *buf,
			  size_t len)
{
	AUTO_FD int fd =
		os_openat(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	int rc;

	if (fd < 0)
		return fd;
	rc = os_pwrite(fd, buf, len, 0);
	if (!rc)
		rc = os_fsync(fd);
	if (rc)
		(void)unlinkat(dir, name, 0);
	return rc;
}

int os_replace_file(const char *path, const void *buf, size_t len)
{
	AUTO_FREE char *temp = NULL;
	const char *name;
	AUTO_FD int dir = open_folder_of(path, &name);
	int rc;

	if (dir < 0)
		return dir;
	temp = mem_printf("%s.%016llx.tmp", name,
			  (unsigned long long)rnd_u64());
	if (!temp)
		return -ENOMEM;
	rc = write_new_file(dir, temp, buf, len);
	if (rc)
		return rc;
	rc = os_renameat(dir, temp, dir, name);
	if (rc) {
		(void)unlinkat(dir, temp, 0);
		return rc;
	}
	return os_fsync(dir);
}

/* Sizes from stat are a hint only: those of /proc say 0, and files grow. */
static int read_to_end(int fd, size_t max, struct bytes *b)
{
	for (;;) {
		size_t room = MIN(max - b->len, (size_t)READ_STEP) + 1;
		ssize_t n;
		int rc = bytes_reserve(b, room);

		if (rc)
			return rc;
		n = os_pread(fd, b->data + b->len, room, b->len);
		if (n < 0)
			return (int)n;
		b->len += (size_t)n;
		if (b->len > max)
			return -EFBIG;
		if ((size_t)n < room)
			return 0;
	}
}

int os_read_file(const char *path, size_t max, uint8_t **out, size_t *len_out)
{
	AUTO_FD int fd = os_openat(AT_FDCWD, path, O_RDONLY, 0);
	AUTO(bytes_release) struct bytes b = {0};
	int rc;

	if (fd < 0)
		return fd;
	rc = read_to_end(fd, max, &b);
	if (rc)
		return rc;
	b.data[b.len] = '\0';
	*len_out = b.len;
	*out = steal(&b.data);
	return 0;
}
