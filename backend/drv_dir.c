/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects as files of one folder.
 *
 * D1  Everything is opened relative to the descriptor of the folder that was
 *     attached, one component at a time and never through a symlink: what
 *     another program puts into the folder cannot lead us out of it.
 * D2  The folder that was attached is the only one: when another disk comes to
 *     lie over its path, or the path is taken away, its files are still those
 *     behind the descriptor. Calls that cannot be wrong about that (read,
 *     write, sync) do not ask; usage, identity and lock, and every answer
 *     "absent", first compare the path's st_dev and st_ino with what was
 *     attached and say -ESTALE when they differ. So an unmounted disk is never
 *     taken for lost objects, and the next probe notices. Whoever wants the
 *     new folder attaches it.
 * D3  Names: a new object is durable when its content is, and every folder on
 *     the way to it has been synced since its entry was made. Folders whose
 *     own entry is known to be durable are remembered in `durable`; those made
 *     by an earlier process are not known to be.
 * D4  O_DIRECT is set after open, because a file system that refuses it in
 *     open may have made the file already. Refused then or at the first
 *     transfer (EINVAL), the file goes through the page cache.
 * D5  O_NONBLOCK keeps a FIFO put in an object's place from holding a lane.
 *
 * mu guards lock_fd and durable; no other lock is taken under it.
 */
#include "backend/drv_dir_impl.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/mutant.h"
#include "base/osfile.h"

struct dir_file {
	struct drv_file base;
	int fd;
	bool is_new;	    /* its name was never synced */
	atomic_bool direct; /* O_DIRECT is on */
	char name[DRV_NAME_MAX + 1];
};

static struct dir_driver *dir_of(struct driver *d)
{
	return container_of(d, struct dir_driver, base);
}

static struct dir_file *file_of(struct drv_file *f)
{
	return container_of(f, struct dir_file, base);
}

/* ---- objects ---- */

static int open_flags(unsigned flags)
{
	int o = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;

	o |= flags & DRV_WRITE ? O_RDWR : O_RDONLY;
	o |= flags & DRV_CREATE ? O_CREAT | O_EXCL : 0;
	o |= flags & DRV_DSYNC ? O_DSYNC : 0;
	return o;
}

/* A wish (D4): what the file system says to it does not matter. */
static bool set_direct(int fd, bool on)
{
	int now = fcntl(fd, F_GETFL);

	if (now < 0)
		return false;
	now = on ? now | O_DIRECT : now & ~O_DIRECT;
	return fcntl(fd, F_SETFL, now) == 0 && on;
}

/* Objects are regular files; reading a device may do anything. */
static int check_regular(int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return S_ISREG(st.st_mode) ? 0 : -ENXIO;
}

static int open_fd(struct dir_driver *d, const char *name, unsigned flags)
{
	const char *leaf;
	int folder = dir_walk_to(d, name, flags & DRV_CREATE, &leaf);
	int fd, rc;

	if (folder < 0)
		return folder;
	fd = os_openat(folder, leaf, open_flags(flags), 0600);
	dir_put_folder(d, folder);
	if (fd < 0)
		return fd;
	rc = check_regular(fd);
	if (rc != 0)
		os_close(fd);
	return rc != 0 ? rc : fd;
}

static int dir_open(struct driver *base, const char *name, unsigned flags,
		    struct drv_file **out)
{
	struct dir_driver *d = dir_of(base);
	struct dir_file *f = mem_zalloc(sizeof(*f));
	int fd;

	if (f == NULL)
		return -ENOMEM;
	fd = open_fd(d, name, flags);
	if (fd < 0) {
		mem_free(f);
		return dir_checked(d, fd);
	}
	f->fd = fd;
	f->is_new = flags & DRV_CREATE;
	if (flags & DRV_DIRECT)
		atomic_init(&f->direct, set_direct(fd, true));
	memcpy(f->name, name, strlen(name));
	*out = &f->base;
	return 0;
}

/* After EINVAL: true if the call is worth repeating, without O_DIRECT now. */
static bool give_up_direct(struct dir_file *f)
{
	if (!atomic_exchange(&f->direct, false))
		return false;
	(void)set_direct(f->fd, false);
	return true;
}

static int64_t dir_read(struct drv_file *base, void *buf, size_t len,
			uint64_t off)
{
	struct dir_file *f = file_of(base);
	ssize_t n = os_pread(f->fd, buf, len, off);

	if (n == -EINVAL && give_up_direct(f))
		n = os_pread(f->fd, buf, len, off);
	return n;
}

static int dir_write(struct drv_file *base, const void *buf, size_t len,
		     uint64_t off)
{
	struct dir_file *f = file_of(base);
	int rc = os_pwrite(f->fd, buf, len, off);

	if (rc == -EINVAL && give_up_direct(f))
		rc = os_pwrite(f->fd, buf, len, off);
	return rc;
}

static int dir_sync(struct drv_file *base)
{
	struct dir_file *f = file_of(base);
	int rc = os_fdatasync(f->fd);

	if (rc != 0 || !f->is_new)
		return rc;
	if (!MUTANT(SKIP_FOLDER_SYNC))
		rc = dir_sync_name(dir_of(base->driver), f->name);
	if (rc == 0)
		f->is_new = false;
	return rc;
}

static int dir_size(struct drv_file *base, uint64_t *out)
{
	return os_fsize(file_of(base)->fd, out);
}

static void dir_close(struct drv_file *base)
{
	struct dir_file *f = file_of(base);

	os_close(f->fd);
	mem_free(f);
}

static int dir_remove(struct driver *base, const char *name)
{
	struct dir_driver *d = dir_of(base);
	const char *leaf;
	int folder = dir_walk_to(d, name, false, &leaf);
	int rc;

	if (folder < 0)
		return dir_checked(d, folder);
	rc = os_unlinkat(folder, leaf, 0);
	dir_put_folder(d, folder);
	return dir_checked(d, rc);
}

static int rename_between(struct dir_driver *d, const char *from,
			  const char *to)
{
	const char *from_leaf, *to_leaf;
	int from_fd = dir_walk_to(d, from, false, &from_leaf);
	int to_fd, rc;

	if (from_fd < 0)
		return from_fd;
	to_fd = dir_walk_to(d, to, true, &to_leaf);
	rc = to_fd < 0 ? to_fd
		       : os_renameat(from_fd, from_leaf, to_fd, to_leaf);
	if (to_fd >= 0)
		dir_put_folder(d, to_fd);
	dir_put_folder(d, from_fd);
	return rc;
}

/* The new entry first: between the two syncs both names may exist. */
static int dir_rename(struct driver *base, const char *from, const char *to)
{
	struct dir_driver *d = dir_of(base);
	int rc = dir_checked(d, rename_between(d, from, to));

	if (rc == 0)
		rc = dir_sync_name(d, to);
	if (rc == 0)
		rc = dir_sync_name(d, from);
	return rc;
}

/* ---- listing ---- */

struct listing {
	const char *folder; /* "" = top */
	drv_list_fn *each;
	void *arg;
};

static bool plain_name(const char *name)
{
	return driver_name_ok(name) && strchr(name, '/') == NULL;
}

static int list_entry(const struct listing *l, int fd, const char *leaf)
{
	char name[DRV_NAME_MAX + 1 + NAME_MAX + 1];
	bool top = l->folder[0] == '\0';
	struct stat st;
	int len;

	if (strcmp(leaf, ".") == 0 || strcmp(leaf, "..") == 0)
		return 0;
	len = snprintf(name, sizeof(name), "%s%s%s", l->folder, top ? "" : "/",
		       leaf);
	if (!top && (len > DRV_NAME_MAX || !plain_name(leaf)))
		return 0;
	if (fstatat(fd, leaf, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? 0 : -errno; /* gone since */
	if (S_ISDIR(st.st_mode))
		return l->each(l->arg, name, UINT64_MAX);
	if (!top && !S_ISREG(st.st_mode))
		return 0;
	return l->each(l->arg, name, (uint64_t)st.st_size);
}

static int list_stream(const struct listing *l, DIR *dir)
{
	for (;;) {
		const struct dirent *e;
		int rc;

		errno = 0;
		e = readdir(dir);
		if (e == NULL)
			return -errno;
		rc = list_entry(l, dirfd(dir), e->d_name);
		if (rc != 0)
			return rc;
	}
}

/* A descriptor of its own, since reading moves its offset. */
static int open_listed(struct dir_driver *d, const char *folder)
{
	struct dir_walk w = {.d = d, .path = folder, .len = strlen(folder)};
	int fd = dir_walk(&w);
	int own;

	if (fd < 0)
		return fd;
	own = os_openat(fd, ".", DIR_FOLDER_FLAGS, 0);
	dir_put_folder(d, fd);
	return own;
}

static int dir_list(struct driver *base, const char *folder, drv_list_fn *each,
		    void *arg)
{
	struct listing l = {.folder = folder, .each = each, .arg = arg};
	struct dir_driver *d = dir_of(base);
	int fd = open_listed(d, folder);
	DIR *dir;
	int rc;

	if (fd < 0) {
		rc = dir_checked(d, fd);
		return rc == -ENOENT ? 0 : rc;
	}
	dir = fdopendir(fd);
	if (dir == NULL) {
		rc = -errno;
		os_close(fd);
		return rc;
	}
	rc = list_stream(&l, dir);
	(void)closedir(dir);
	return rc;
}

/* ---- the place as a whole ---- */

static int dir_usage(struct driver *base, struct drv_usage *out)
{
	struct dir_driver *d = dir_of(base);
	struct statvfs v;
	int rc = dir_check_place(d);

	if (rc != 0)
		return rc;
	if (fstatvfs(d->fd, &v) != 0)
		return -errno;
	out->total_bytes = (uint64_t)v.f_blocks * v.f_frsize;
	out->free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
	out->free_bytes = MIN(out->free_bytes, out->total_bytes);
	out->domain = d->dev;
	return 0;
}

static int dir_identity(struct driver *base, struct drv_identity *out)
{
	struct dir_driver *d = dir_of(base);

	*out = (struct drv_identity){.dev = d->dev, .ino = d->ino};
	return dir_check_place(d);
}

static int flock_now(int fd, bool exclusive)
{
	int rc;

	do {
		rc = flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB);
	} while (rc != 0 && errno == EINTR);
	if (rc == 0)
		return 0;
	return errno == EWOULDBLOCK ? -ERR_IN_USE : -errno;
}

/* A lock on a file that somebody removed meanwhile keeps nobody out. */
static int check_lock_file(struct dir_driver *d, int fd)
{
	struct stat held, named;

	if (fstat(fd, &held) != 0 ||
	    fstatat(d->fd, DRV_LOCK, &named, AT_SYMLINK_NOFOLLOW) != 0)
		return -errno;
	return held.st_ino == named.st_ino ? 0 : -ERR_IN_USE;
}

/* The locked descriptor, -ENOENT when there is nothing to share, or an error */
static int take_lock(struct dir_driver *d, bool exclusive)
{
	int flags = O_NOFOLLOW | O_NONBLOCK;
	int fd, rc;

	flags |= exclusive ? O_RDWR | O_CREAT : O_RDONLY;
	fd = os_openat(d->fd, DRV_LOCK, flags, 0600);
	if (fd < 0)
		return fd;
	rc = flock_now(fd, exclusive);
	if (rc == 0)
		rc = check_lock_file(d, fd);
	if (rc != 0)
		os_close(fd);
	return rc != 0 ? rc : fd;
}

static int dir_lock(struct driver *base, bool exclusive)
{
	struct dir_driver *d = dir_of(base);
	int rc = dir_check_place(d);

	if (rc != 0)
		return rc;
	MUTEX_GUARD(&d->mu);
	if (d->lock_fd >= 0)
		return flock_now(d->lock_fd, exclusive);
	rc = take_lock(d, exclusive);
	if (rc == -ENOENT && !exclusive)
		return 0;
	if (rc < 0)
		return rc;
	d->lock_fd = rc;
	return 0;
}

static void dir_unlock(struct driver *base)
{
	struct dir_driver *d = dir_of(base);

	MUTEX_GUARD(&d->mu);
	os_close(d->lock_fd);
	d->lock_fd = -1;
}

static void dir_detach(struct driver *base)
{
	struct dir_driver *d = dir_of(base);

	os_close(d->lock_fd);
	os_close(d->fd);
	if (d->durable.bucket != NULL)
		dir_known_release(d);
	mutex_destroy(&d->mu);
	mem_free(d->path);
	mem_free(d);
}

static const struct driver_ops dir_ops = {
	.kind = "dir",
	.detach = dir_detach,
	.open = dir_open,
	.read = dir_read,
	.write = dir_write,
	.sync = dir_sync,
	.size = dir_size,
	.close = dir_close,
	.remove = dir_remove,
	.rename = dir_rename,
	.list = dir_list,
	.usage = dir_usage,
	.identity = dir_identity,
	.lock = dir_lock,
	.unlock = dir_unlock,
};

/* The process may change its working folder later. */
static char *absolute(const char *place)
{
	char *cwd, *path;

	if (place[0] == '/')
		return mem_strdup(place);
	cwd = getcwd(NULL, 0);
	path = cwd != NULL ? mem_printf("%s/%s", cwd, place) : NULL;
	free(cwd);
	return path;
}

static int dir_init(struct dir_driver *d, const char *place)
{
	struct stat st;

	d->path = absolute(place);
	if (d->path == NULL || htab_init(&d->durable) != 0)
		return -ENOMEM;
	d->fd = os_openat(AT_FDCWD, d->path, O_RDONLY | O_DIRECTORY, 0);
	if (d->fd < 0)
		return d->fd;
	if (fstat(d->fd, &st) != 0)
		return -errno;
	d->dev = st.st_dev;
	d->ino = st.st_ino;
	return 0;
}

int drv_dir_attach(const char *place, struct driver **out)
{
	struct dir_driver *d = mem_zalloc(sizeof(*d));
	int rc;

	if (d == NULL)
		return -ENOMEM;
	d->base.ops = &dir_ops;
	d->fd = -1;
	d->lock_fd = -1;
	mutex_init(&d->mu);
	rc = dir_init(d, place);
	if (rc != 0)
		dir_detach(&d->base);
	else
		*out = &d->base;
	return rc;
}
