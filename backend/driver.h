/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver.h - what a kind of storage must be able to do, and the one checked
 * way to ask it.
 *
 * A driver keeps named objects in one folder-like place. Drivers are naive:
 * they only do what they are asked. Callers never touch driver_ops; they go
 * through the driver_* functions below, which check pre- and postconditions,
 * count and time every call.
 *
 * Names are relative, '/'-separated, at most two folders deep, made of
 * [0-9A-Za-z._-] only, at most DRV_NAME_MAX bytes; folders come into being
 * with the first object in them and stay when they are empty.
 *
 * Threads: any function may be called from any thread at the same time; a
 * drv_file may be used by several threads for reading, by one for writing.
 * All calls may block for as long as the storage does; deadlines are the
 * business of backend.h. Errors: -errno as the system has it. Absence is
 * -ENOENT and nothing else is (C6: unknown is never missing).
 */
#ifndef MENDFS_BACKEND_DRIVER_H
#define MENDFS_BACKEND_DRIVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define DRV_NAME_MAX 127
#define DRV_BLOCK    4096 /* alignment that makes direct I/O possible */
#define DRV_LOCK     "mendfs.lock" /* what driver_lock locks */

struct driver;
struct drv_file;

enum drv_open_flags {
	DRV_READ = 0,
	DRV_WRITE = 1,	/* writable; must exist unless DRV_CREATE */
	DRV_CREATE = 2, /* make it; -EEXIST if the name is taken */
	DRV_DSYNC = 4,	/* each write is durable when it returns */
	DRV_DIRECT = 8, /* bypass the page cache where possible (a wish); all
			   offsets, lengths and buffers are DRV_BLOCK-aligned,
			   but for reads up to the end of the object */
};

struct drv_usage {
	uint64_t total_bytes;
	uint64_t free_bytes; /* what an unprivileged writer can still use */
	uint64_t domain;     /* equal for places that fail together (st_dev) */
};

/* How two places are told apart and nested ones are found. */
struct drv_identity {
	uint64_t dev;
	uint64_t ino;
};

typedef int drv_list_fn(void *arg, const char *name, uint64_t size_bytes);

/*
 * The methods; semantics are those of the driver_* functions of the same
 * name. A driver allocates its own struct with struct driver as first member.
 */
struct driver_ops {
	const char *kind; /* "dir", "mem", "fault" */
	void (*detach)(struct driver *d);
	int (*open)(struct driver *d, const char *name, unsigned flags,
		    struct drv_file **out);
	int64_t (*read)(struct drv_file *f, void *buf, size_t len,
			uint64_t off);
	int (*write)(struct drv_file *f, const void *buf, size_t len,
		     uint64_t off);
	int (*sync)(struct drv_file *f);
	int (*size)(struct drv_file *f, uint64_t *out);
	void (*close)(struct drv_file *f);
	int (*remove)(struct driver *d, const char *name);
	int (*rename)(struct driver *d, const char *from, const char *to);
	int (*list)(struct driver *d, const char *folder, drv_list_fn *each,
		    void *arg);
	int (*usage)(struct driver *d, struct drv_usage *out);
	int (*identity)(struct driver *d, struct drv_identity *out);
	int (*lock)(struct driver *d, bool exclusive);
	void (*unlock)(struct driver *d);
};

/* Below ops everything belongs to the dispatcher; drivers leave it zero. */
struct driver {
	const struct driver_ops *ops;
	char *location; /* as given; owned */
	atomic_bool cut; /* nothing may change any more */
	atomic_uint open_files;
	atomic_uint_least64_t calls;
	atomic_uint_least64_t errors;
	atomic_uint_least64_t read_bytes;
	atomic_uint_least64_t written_bytes;
	atomic_uint_least64_t syncs;
	atomic_uint_least64_t busy_ns;
};

struct drv_file {
	struct driver *driver;
	unsigned flags;	       /* as opened */
	atomic_bool untrusted; /* a sync of it has failed */
};

/*
 * Is this a name the functions below take? They abort on any other, so names
 * that come from a listing or a disk are asked about first.
 */
bool driver_name_ok(const char *name);
/* The part of a location behind its kinds: "/a" of "fault:dir:/a". */
const char *driver_location_path(const char *location);

/*
 * Attaches the place `location`: "/a/path" or "dir:/a/path" (a folder that
 * must exist), "mem:NAME" (process-wide, shared by all who attach NAME; kept
 * until mem_driver_forget), "fault:LOCATION" (wraps any of these; see
 * drv_fault.h). 0, -ENOENT, -ENOTDIR, -EACCES, -EINVAL (unknown kind), ...
 */
int driver_attach(const char *location, struct driver **out) MUST_USE;
/* Closes; drops the lock. All its files must be closed. NULL is allowed. */
void driver_detach(struct driver *d);

/*
 * Opens one object, for reading and, with DRV_WRITE, also for writing.
 * -ENOENT, -EEXIST, -EMFILE ... A folder of that name: -EISDIR; an object where
 * name has a folder: -ENOTDIR; what is neither: -ELOOP, -ENXIO. A new object's
 * name is durable only after driver_sync of it returned 0.
 */
int driver_open(struct driver *d, const char *name, unsigned flags,
		struct drv_file **out) MUST_USE;
/* Bytes read: len, or fewer at the end of the object only; or an error. */
int64_t driver_read(struct drv_file *f, void *buf, size_t len,
		    uint64_t off) MUST_USE;
/* All of it or an error (then the content of that range is undefined). */
int driver_write(struct drv_file *f, const void *buf, size_t len,
		 uint64_t off) MUST_USE;
/*
 * Content, size and name (and its folders) are durable when it returns 0.
 * After a failure the object must not be trusted whatever a later call says
 * (C7): the dispatcher remembers and answers -EIO to every later sync.
 */
int driver_sync(struct drv_file *f) MUST_USE;
int driver_size(struct drv_file *f, uint64_t *out) MUST_USE;
void driver_close(struct drv_file *f);
/*
 * 0 or -ENOENT ... Durable at some later time only; nothing may depend on an
 * object being gone.
 */
int driver_remove(struct driver *d, const char *name) MUST_USE;
/* Replaces `to` if it exists; the names are durable when it returns 0. */
int driver_rename(struct driver *d, const char *from, const char *to) MUST_USE;
/*
 * Calls each(arg, "folder/name" or "name", size) for every object directly in
 * `folder` ("" = top), and for sub-folders with size UINT64_MAX, in no order.
 * A folder that does not exist is empty. A non-zero answer of each ends the
 * listing and is returned. Foreign names (not of the alphabet above) are
 * passed too at the top level, so that a folder with strange files is not
 * taken for empty. each may call the driver.
 */
int driver_list(struct driver *d, const char *folder, drv_list_fn *each,
		void *arg) MUST_USE;
int driver_usage(struct driver *d, struct drv_usage *out) MUST_USE;
int driver_identity(struct driver *d, struct drv_identity *out) MUST_USE;
/*
 * One exclusive or many shared holders on this host (flock on mendfs.lock,
 * which is created if need be when exclusive; a shared lock on a place
 * without the file succeeds and writes nothing). -ERR_IN_USE if taken. A lock
 * already held by this driver is changed to the kind asked for.
 */
int driver_lock(struct driver *d, bool exclusive) MUST_USE;
void driver_unlock(struct driver *d);

/*
 * From now on nothing in the place is changed: opening for writing, write,
 * sync, remove and rename answer -EIO. Calls under way may still end. For good.
 */
void driver_cut(struct driver *d);

/* Counters of one driver, all monotonic. */
struct driver_stats {
	uint64_t calls;
	uint64_t errors; /* results < 0 but -ENOENT and -EEXIST */
	uint64_t read_bytes;
	uint64_t written_bytes;
	uint64_t syncs;
	uint64_t busy_ns; /* time spent in the driver, all threads */
};
void driver_get_stats(const struct driver *d, struct driver_stats *out);

/* Objects of "mem:NAME" are dropped once it is not attached. */
void mem_driver_forget(const char *name);
/* "mem:NAME" holds so many bytes from now on, and says so; 1 TiB if never
 * called. What it has beyond stays. 0 or -ENOMEM. */
int mem_driver_size(const char *name, uint64_t bytes);

#endif
