/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way down to an object's folder, and which names are durable: D1-D3 of
 * drv_dir.c.
 */
#include "backend/drv_dir_impl.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/osfile.h"

/* A folder below the top whose entry is durable. */
struct known {
	struct hnode node;
	char path[];
};

/* ---- is it still the same folder (D2) ---- */

int dir_check_place(struct dir_driver *d)
{
	struct stat st;

	if (stat(d->path, &st) != 0)
		return errno == ENOENT || errno == ENOTDIR ? -ESTALE : -errno;
	return st.st_dev == d->dev && st.st_ino == d->ino ? 0 : -ESTALE;
}

/* rc, but "absent" only if the folder is the one that was attached. */
int dir_checked(struct dir_driver *d, int rc)
{
	int place = rc == -ENOENT ? dir_check_place(d) : 0;

	return place != 0 ? place : rc;
}

/* ---- folders whose entry is durable (D3) ---- */

static struct known *known_find(struct dir_driver *d, const char *path,
				size_t len)
{
	uint64_t key = driver_name_hash(path, len);

	for (struct hnode *n = htab_find(&d->durable, key); n != NULL;
	     n = htab_find_next(n)) {
		struct known *k = container_of(n, struct known, node);

		if (strlen(k->path) == len && memcmp(k->path, path, len) == 0)
			return k;
	}
	return NULL;
}

static bool is_durable(struct dir_driver *d, const char *path, size_t len)
{
	MUTEX_GUARD(&d->mu);
	return known_find(d, path, len) != NULL;
}

/* Without memory it stays unknown and is synced again the next time. */
static void set_durable(struct dir_driver *d, const char *path, size_t len)
{
	struct known *k;

	MUTEX_GUARD(&d->mu);
	if (known_find(d, path, len) != NULL)
		return;
	k = mem_zalloc(sizeof(*k) + len + 1);
	if (k == NULL)
		return;
	memcpy(k->path, path, len);
	htab_insert(&d->durable, &k->node, driver_name_hash(path, len));
}

/* Somebody removed the folder and it was made anew. */
static void clear_durable(struct dir_driver *d, const char *path, size_t len)
{
	struct known *k;

	MUTEX_GUARD(&d->mu);
	k = known_find(d, path, len);
	if (k != NULL)
		htab_remove(&d->durable, &k->node);
	mem_free(k);
}

void dir_known_release(struct dir_driver *d)
{
	for (struct hnode *n = htab_first(&d->durable), *next; n != NULL;
	     n = next) {
		next = htab_next(&d->durable, n);
		htab_remove(&d->durable, n);
		mem_free(container_of(n, struct known, node));
	}
	htab_release(&d->durable);
}

/* ---- walking (D1) ---- */

void dir_put_folder(struct dir_driver *d, int fd)
{
	if (fd != d->fd)
		os_close(fd);
}

/* Opens the component path[at, end) inside the folder `parent`. */
static int walk_enter(const struct dir_walk *w, int parent, size_t at,
		      size_t end)
{
	char part[DRV_NAME_MAX + 1] = "";
	int fd, rc;

	memcpy(part, w->path + at, end - at);
	fd = os_openat(parent, part, DIR_FOLDER_FLAGS, 0);
	if (fd == -ENOENT && w->create) {
		rc = os_mkdirat(parent, part, 0700);
		if (rc != 0 && rc != -EEXIST)
			return rc;
		clear_durable(w->d, w->path, end);
		fd = os_openat(parent, part, DIR_FOLDER_FLAGS, 0);
	}
	return fd;
}

/* Some file systems have no fsync of folders and say EINVAL. */
static int sync_folder(int fd)
{
	int rc = os_fsync(fd);

	return rc == -EINVAL ? 0 : rc;
}

static int walk_sync_entry(const struct dir_walk *w, int parent, size_t end)
{
	int rc;

	if (!w->sync || is_durable(w->d, w->path, end))
		return 0;
	rc = sync_folder(parent);
	if (rc == 0)
		set_durable(w->d, w->path, end);
	return rc;
}

/* The folder's descriptor (dir_put_folder) or an error. */
int dir_walk(const struct dir_walk *w)
{
	int fd = w->d->fd;

	for (size_t at = 0, end; at < w->len; at = end + 1) {
		int rc, next;

		end = at + strcspn(w->path + at, "/");
		rc = walk_sync_entry(w, fd, end);
		next = rc == 0 ? walk_enter(w, fd, at, end) : rc;
		dir_put_folder(w->d, fd);
		if (next < 0)
			return next;
		fd = next;
	}
	return fd;
}

/* The folder of the object `name`; *leaf_out is its last component. */
int dir_walk_to(struct dir_driver *d, const char *name, bool create,
		const char **leaf_out)
{
	struct dir_walk w = {.d = d,
			     .path = name,
			     .len = driver_folder_len(name),
			     .create = create};

	*leaf_out = name + w.len + (w.len > 0);
	return dir_walk(&w);
}

/* Makes the entry of the object `name`, and of its folders, durable. */
int dir_sync_name(struct dir_driver *d, const char *name)
{
	struct dir_walk w = {.d = d,
			     .path = name,
			     .len = driver_folder_len(name),
			     .sync = true};
	int fd = dir_walk(&w);
	int rc;

	if (fd < 0)
		return fd;
	rc = sync_folder(fd);
	dir_put_folder(d, fd);
	return rc;
}
