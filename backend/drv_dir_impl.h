/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drv_dir_impl.h - what drv_dir.c (the methods) and drv_dir_walk.c (the way
 * down to an object) share.
 */
#ifndef MENDFS_BACKEND_DRV_DIR_IMPL_H
#define MENDFS_BACKEND_DRV_DIR_IMPL_H

#include <sys/types.h>

#include "backend/driver_impl.h"
#include "base/htab.h"
#include "base/sync.h"

#define DIR_FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW)

struct dir_driver {
	struct driver base;
	int fd;	    /* the folder */
	char *path; /* absolute, for comparing only */
	dev_t dev;
	ino_t ino;
	struct mutex mu;
	int lock_fd; /* -1: not locked */
	struct htab durable;
};

/* A way down: `len` bytes of path, made on the way if `create`. */
struct dir_walk {
	struct dir_driver *d;
	const char *path;
	size_t len;
	bool create; /* make folders that are absent */
	bool sync;   /* make the entries of all of them durable */
};

/* 0, or -ESTALE when the path leads elsewhere now. */
int dir_check_place(struct dir_driver *d);
/* rc, but "absent" only if the folder is the one that was attached. */
int dir_checked(struct dir_driver *d, int rc);
/* The folder's descriptor (dir_put_folder) or an error. */
int dir_walk(const struct dir_walk *w);
/* The same for the folder of the object `name`; *leaf_out is its last part. */
int dir_walk_to(struct dir_driver *d, const char *name, bool create,
		const char **leaf_out);
void dir_put_folder(struct dir_driver *d, int fd);
/* Makes the entry of the object `name`, and of its folders, durable. */
int dir_sync_name(struct dir_driver *d, const char *name);
/* Frees what is remembered about durable folders. */
void dir_known_release(struct dir_driver *d);

#endif
