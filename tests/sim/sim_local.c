/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls on the simulated machine's cache folder: base/osfile.h.
 *
 * L1  Objects are named by their whole path; folders too.
 * L2  fsync of a file makes its content and size durable, not its name; fsync
 *     of a folder makes the names in it durable. As a careful disk does.
 * L3  There is nothing outside of the cache folder: the machine the test runs
 *     on is not looked at.
 */
#include "sim_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail_seam.h"
#include "base/mem.h"
#include "base/osfile.h"

#define FILES	 64
#define FIRST_FD 1000

struct open_file {
	struct sim_object *object; /* NULL: free */
	struct sim_object *locks;  /* the object this one holds the lock of */
};
static struct open_file file[FILES];

static struct fail_seam seam;

void os_fail_at(uint64_t n, int err, int forever)
{
	fail_seam_set(&seam, n, err, forever);
}

uint64_t os_count(void)
{
	return atomic_load(&seam.count);
}

#define MAY_FAIL()                                    \
	do {                                          \
		int fail_err_ = fail_seam_hit(&seam); \
		if (fail_err_)                        \
			return -fail_err_;            \
	} while (0)

static struct open_file *file_of(int fd)
{
	MUST(fd >= FIRST_FD && fd < FIRST_FD + FILES &&
	     file[fd - FIRST_FD].object);
	return &file[fd - FIRST_FD];
}

/* ---- names ---- */

/* The whole path without doubled or trailing slashes; false: too long. */
static bool whole(int dirfd, const char *path, char out[SIM_NAME])
{
	const char *base = "";
	size_t n = 0;

	if (path[0] != '/')
		base = dirfd == AT_FDCWD ? "/" : file_of(dirfd)->object->name;
	for (unsigned part = 0; part < 2; part++) {
		const char *p = part == 0 ? base : path;

		if (part == 1 && strcmp(p, ".") == 0)
			break;
		if (part == 1 && n > 0 && out[n - 1] != '/')
			out[n++] = '/';
		for (; *p; p++) {
			if (n + 2 >= SIM_NAME)
				return false;
			if (*p != '/' || n == 0 || out[n - 1] != '/')
				out[n++] = *p;
		}
	}
	while (n > 1 && out[n - 1] == '/')
		n--;
	out[n] = 0;
	return true;
}

static bool is_top(const char *path)
{
	return strcmp(path, "/") == 0 || strcmp(path, "/sim") == 0 ||
	       strcmp(path, SIM_CACHE) == 0;
}

/* The first three folders are always there. */
static struct sim_object *look_up(const char *path)
{
	struct sim_object *o = sim_find(SIM_LOCAL, path);

	return o || !is_top(path) ? o : sim_link_new(SIM_LOCAL, path, true);
}

static bool has_parent(const char *path)
{
	char parent[SIM_NAME];
	char *slash;
	const struct sim_object *o;

	snprintf(parent, sizeof(parent), "%s", path);
	slash = strrchr(parent, '/');
	slash[slash == parent] = 0;
	o = look_up(parent);
	return o && o->folder;
}

static int new_fd(struct sim_object *o)
{
	for (int i = 0; i < FILES; i++)
		if (!file[i].object) {
			file[i].object = o;
			o->opened++;
			return FIRST_FD + i;
		}
	return -EMFILE;
}

int os_openat(int dirfd, const char *path, int flags, mode_t mode)
{
	char name[SIM_NAME];
	struct sim_object *o;

	(void)mode;
	MAY_FAIL();
	if (!whole(dirfd, path, name))
		return -ENAMETOOLONG;
	o = look_up(name);
	if (o && (flags & O_CREAT) && (flags & O_EXCL))
		return -EEXIST;
	if (o && (flags & O_DIRECTORY) && !o->folder)
		return -ENOTDIR;
	if (o && o->folder && (flags & O_ACCMODE) != O_RDONLY)
		return -EISDIR;
	if (!o && (!(flags & O_CREAT) || !has_parent(name)))
		return -ENOENT;
	if (!o)
		o = sim_make(SIM_LOCAL, name);
	else if ((flags & O_TRUNC) && !o->folder)
		sim_truncate(SIM_LOCAL, o, 0);
	return new_fd(o);
}

void os_close(int fd)
{
	struct open_file *f;

	if (fd < 0)
		return;
	f = file_of(fd);
	sim_object_close(f->object);
	*f = (struct open_file){0};
}

/* ---- content ---- */

ssize_t os_pread(int fd, void *buf, size_t len, uint64_t off)
{
	MAY_FAIL();
	return (ssize_t)blob_read(file_of(fd)->object->blob, buf, len, off);
}

int os_pwrite(int fd, const void *buf, size_t len, uint64_t off)
{
	MAY_FAIL();
	sim_write(SIM_LOCAL, file_of(fd)->object, buf, len, off);
	return 0;
}

int os_fsync(int fd)
{
	struct sim_object *o = file_of(fd)->object;

	MAY_FAIL();
	sim_record_change(o->folder ? SYNC_NAMES : SYNC_CONTENT, SIM_LOCAL, o,
			  0, NULL, 0, NULL);
	return 0;
}

int os_fdatasync(int fd)
{
	return os_fsync(fd);
}

int os_ftruncate(int fd, uint64_t size)
{
	MAY_FAIL();
	sim_truncate(SIM_LOCAL, file_of(fd)->object, size);
	return 0;
}

/* Room is no question here; the size grows as by the system's call. */
int os_fallocate(int fd, uint64_t off, uint64_t len)
{
	struct sim_object *o = file_of(fd)->object;

	MAY_FAIL();
	if (off + len > blob_len(o->blob))
		sim_truncate(SIM_LOCAL, o, off + len);
	return 0;
}

int os_fsize(int fd, uint64_t *size_out)
{
	MAY_FAIL();
	*size_out = blob_len(file_of(fd)->object->blob);
	return 0;
}

/* ---- changes of names ---- */

static bool is_empty(const struct sim_object *folder)
{
	const struct sim_place *p = &sim_place[SIM_LOCAL];
	size_t len = strlen(folder->name);

	for (size_t i = 0; i < p->count; i++)
		if (strncmp(p->object[i]->name, folder->name, len) == 0 &&
		    p->object[i]->name[len] == '/')
			return false;
	return true;
}

int os_unlinkat(int dirfd, const char *path, int flags)
{
	char name[SIM_NAME];
	struct sim_object *o;

	MAY_FAIL();
	o = whole(dirfd, path, name) ? sim_find(SIM_LOCAL, name) : NULL;
	if (!o)
		return -ENOENT;
	if (!!(flags & AT_REMOVEDIR) != o->folder)
		return o->folder ? -EISDIR : -ENOTDIR;
	if (!o->folder)
		sim_remove(SIM_LOCAL, o);
	else if (!is_empty(o))
		return -ENOTEMPTY;
	else
		sim_unlink_object(SIM_LOCAL, o);
	return 0;
}

int os_renameat(int olddir, const char *old, int newdir, const char *new_name)
{
	char from[SIM_NAME], to[SIM_NAME];
	struct sim_object *o;

	MAY_FAIL();
	if (!whole(olddir, old, from) || !whole(newdir, new_name, to))
		return -ENAMETOOLONG;
	o = sim_find(SIM_LOCAL, from);
	if (!o || !has_parent(to))
		return -ENOENT;
	MUST(!o->folder);
	sim_rename(SIM_LOCAL, o, to);
	return 0;
}

/* A folder is durable at once: it holds nothing that matters by itself. */
int os_mkdirat(int dirfd, const char *path, mode_t mode)
{
	char name[SIM_NAME];

	(void)mode;
	MAY_FAIL();
	if (!whole(dirfd, path, name))
		return -ENAMETOOLONG;
	if (look_up(name))
		return -EEXIST;
	if (!has_parent(name))
		return -ENOENT;
	(void)sim_link_new(SIM_LOCAL, name, true);
	return 0;
}

/* ---- questions ---- */

static void describe(const struct sim_object *o, struct stat *out)
{
	*out = (struct stat){
		.st_dev = 1,
		.st_ino = o->id,
		.st_uid = geteuid(),
		.st_mode = o->folder ? S_IFDIR | 0700 : S_IFREG | 0600,
		.st_nlink = 1,
		.st_size = o->folder ? 0 : (off_t)blob_len(o->blob),
	};
}

int os_fstat(int fd, struct stat *out)
{
	MAY_FAIL();
	describe(file_of(fd)->object, out);
	return 0;
}

int os_lstat(const char *path, struct stat *out)
{
	char name[SIM_NAME];
	const struct sim_object *o;

	MAY_FAIL();
	o = whole(AT_FDCWD, path, name) ? look_up(name) : NULL;
	if (!o)
		return -ENOENT;
	describe(o, out);
	return 0;
}

int os_fchmod(int fd, mode_t mode)
{
	(void)file_of(fd);
	(void)mode;
	MAY_FAIL();
	return 0;
}

int os_realpath(const char *path, char *out)
{
	char name[SIM_NAME];

	MAY_FAIL();
	if (path[0] != '/' || !whole(AT_FDCWD, path, name) || !look_up(name))
		return -ENOENT;
	memcpy(out, name, strlen(name) + 1);
	return 0;
}

int os_flock(int fd)
{
	struct open_file *f = file_of(fd);

	MAY_FAIL();
	for (int i = 0; i < FILES; i++)
		if (&file[i] != f && file[i].locks == f->object)
			return -EWOULDBLOCK;
	f->locks = f->object;
	return 0;
}

int os_each_name(int dirfd, int (*each)(void *arg, const char *name), void *arg)
{
	const struct sim_place *p = &sim_place[SIM_LOCAL];
	const char *folder = file_of(dirfd)->object->name;
	size_t len = strlen(folder), n = 0;
	char(*name)[SIM_NAME] = sim_alloc(p->count + 1, sizeof(*name));
	int rc = 0;

	for (size_t i = 0; i < p->count; i++) {
		const char *other = p->object[i]->name;

		if (strncmp(other, folder, len) == 0 && other[len] == '/' &&
		    !strchr(other + len + 1, '/'))
			strcpy(name[n++], other + len + 1);
	}
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = each(arg, name[i]);
	free(name);
	return rc;
}
