/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What osfile.h offers beyond single calls, made of those.
 */
#include "base/osfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/rnd.h"

#define READ_STEP 65536

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
		(void)os_unlinkat(dir, name, 0);
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
		(void)os_unlinkat(dir, temp, 0);
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
