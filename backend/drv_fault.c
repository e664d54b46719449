/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver that misbehaves on demand.
 *
 * F1  A point is what a location's rules and undo records hang on. Points are
 *     made when first named and stay until the process ends.
 * F2  A call first collects what the rules say, then waits out delay and hang
 *     without a lock, then acts.
 * F3  Undo records are kept per write, oldest first, while a FAULT_LOST_SYNC
 *     rule covers the name; a true sync drops those of its object. A power cut
 *     applies them from the newest to the oldest.
 *
 * Locks: points_mu and point.mu are never held together, nor over a call of
 * the wrapped driver.
 */
#include "backend/drv_fault_impl.h"

#include <string.h>

#include "base/mem.h"

#define SECTOR 512 /* what a torn write is torn at */

static struct fault_driver *fault_of(struct driver *d)
{
	return container_of(d, struct fault_driver, base);
}

static struct fault_file *file_of(struct drv_file *f)
{
	return container_of(f, struct fault_file, base);
}

static int open_inner(struct fault_driver *d, struct fault_file *f)
{
	unsigned op = f->flags & DRV_CREATE ? FAULT_OP_CREATE : FAULT_OP_OPEN;
	struct fault_effect e = fault_consult(d->point, op, f->name);
	int rc = e.rc;

	if (rc == 0)
		rc = driver_open(d->inner, f->name, f->flags, &f->inner);
	if (rc != 0 || !(f->flags & DRV_CREATE))
		return rc;
	rc = fault_record_create(d->point, f->name);
	if (rc != 0) {
		driver_close(f->inner);
		(void)!driver_remove(d->inner, f->name);
	}
	return rc;
}

static int fault_open(struct driver *base, const char *name, unsigned flags,
		      struct drv_file **out)
{
	struct fault_file *f = mem_zalloc(sizeof(*f));
	int rc;

	if (f == NULL)
		return -ENOMEM;
	f->driver = fault_of(base);
	f->flags = flags;
	fault_copy_name(f->name, name);
	rc = open_inner(f->driver, f);
	if (rc != 0)
		mem_free(f);
	else
		*out = &f->base;
	return rc;
}

/* The same read of the same object rots in the same place. */
static void flip_bit(const struct fault_file *f, uint8_t *buf, uint64_t bytes,
		     uint64_t off)
{
	uint64_t bit;

	if (bytes == 0)
		return;
	bit = (driver_name_hash(f->name, strlen(f->name)) + off) % (bytes * 8);
	buf[bit / 8] ^= (uint8_t)(1u << (bit % 8));
}

static int64_t fault_read(struct drv_file *base, void *buf, size_t len,
			  uint64_t off)
{
	struct fault_file *f = file_of(base);
	struct fault_effect e =
		fault_consult(f->driver->point, FAULT_OP_READ, f->name);
	int64_t n;

	if (e.rc != 0)
		return e.rc;
	n = driver_read(f->inner, buf, len, off);
	if (e.bitrot && n > 0)
		flip_bit(f, buf, (uint64_t)n, off);
	return n;
}

/* Through another file: half a write need not suit direct I/O. */
static int write_half(struct fault_file *f, const void *buf, size_t len,
		      uint64_t off)
{
	size_t half = len / 2 / SECTOR * SECTOR;
	struct drv_file *plain;
	int rc;

	if (half == 0)
		return -EIO;
	rc = driver_open(f->driver->inner, f->name,
			 f->flags & (DRV_WRITE | DRV_DSYNC), &plain);
	if (rc != 0)
		return rc;
	rc = driver_write(plain, buf, half, off);
	driver_close(plain);
	return rc != 0 ? rc : -EIO;
}

/* A write that is a sync as well asks the rules about that, too. */
static void after_dsync_write(struct fault_file *f)
{
	struct fault_call c = {
		.op = FAULT_OP_SYNC, .name = f->name, .only_lost_sync = true};

	if (!fault_consult_call(f->driver->point, &c).lost)
		fault_forget_undos(f->driver->point, f->name);
}

static int fault_write(struct drv_file *base, const void *buf, size_t len,
		       uint64_t off)
{
	struct fault_file *f = file_of(base);
	struct fault_effect e =
		fault_consult(f->driver->point, FAULT_OP_WRITE, f->name);
	int rc = e.rc;

	if (rc == 0)
		rc = fault_record_write(f, len, off);
	if (rc != 0)
		return rc;
	if (e.torn)
		return write_half(f, buf, len, off);
	rc = driver_write(f->inner, buf, len, off);
	if (rc == 0 && (f->flags & DRV_DSYNC))
		after_dsync_write(f);
	return rc;
}

static int fault_sync(struct drv_file *base)
{
	struct fault_file *f = file_of(base);
	struct fault_effect e =
		fault_consult(f->driver->point, FAULT_OP_SYNC, f->name);
	int rc;

	if (e.rc != 0 || e.lost)
		return e.rc;
	rc = driver_sync(f->inner);
	if (rc == 0)
		fault_forget_undos(f->driver->point, f->name);
	return rc;
}

static int fault_size(struct drv_file *base, uint64_t *out)
{
	struct fault_file *f = file_of(base);
	struct fault_effect e =
		fault_consult(f->driver->point, FAULT_OP_READ, f->name);

	return e.rc != 0 ? e.rc : driver_size(f->inner, out);
}

static void fault_close(struct drv_file *base)
{
	struct fault_file *f = file_of(base);

	driver_close(f->inner);
	mem_free(f);
}

static int fault_remove(struct driver *base, const char *name)
{
	struct fault_driver *d = fault_of(base);
	struct fault_effect e = fault_consult(d->point, FAULT_OP_REMOVE, name);
	int rc = e.rc != 0 ? e.rc : driver_remove(d->inner, name);

	if (rc == 0)
		fault_forget_undos(d->point, name);
	return rc;
}

static int fault_rename(struct driver *base, const char *from, const char *to)
{
	struct fault_driver *d = fault_of(base);
	struct fault_call c = {
		.op = FAULT_OP_RENAME, .name = from, .name2 = to};
	struct fault_effect e = fault_consult_call(d->point, &c);
	int rc = e.rc != 0 ? e.rc : driver_rename(d->inner, from, to);

	if (rc == 0)
		fault_rename_undos(d->point, from, to);
	return rc;
}

static int fault_list(struct driver *base, const char *folder,
		      drv_list_fn *each, void *arg)
{
	struct fault_driver *d = fault_of(base);
	char name[DRV_NAME_MAX + 2] = "";
	struct fault_effect e;

	if (folder[0] != '\0') {
		fault_copy_name(name, folder);
		strcat(name, "/");
	}
	e = fault_consult(d->point, FAULT_OP_LIST, name);
	return e.rc != 0 ? e.rc : driver_list(d->inner, folder, each, arg);
}

static int fault_usage(struct driver *base, struct drv_usage *out)
{
	struct fault_driver *d = fault_of(base);
	struct fault_effect e = fault_consult(d->point, FAULT_OP_USAGE, "");
	int rc = e.rc != 0 ? e.rc : driver_usage(d->inner, out);

	if (e.full)
		out->free_bytes = 0;
	return rc;
}

static int fault_identity(struct driver *base, struct drv_identity *out)
{
	struct fault_driver *d = fault_of(base);
	struct fault_effect e = fault_consult(d->point, FAULT_OP_USAGE, "");

	return e.rc != 0 ? e.rc : driver_identity(d->inner, out);
}

static int fault_lock(struct driver *base, bool exclusive)
{
	struct fault_driver *d = fault_of(base);
	struct fault_effect e = fault_consult(d->point, FAULT_OP_LOCK, "");

	return e.rc != 0 ? e.rc : driver_lock(d->inner, exclusive);
}

static void fault_unlock(struct driver *base)
{
	driver_unlock(fault_of(base)->inner);
}

static void fault_detach(struct driver *base)
{
	struct fault_driver *d = fault_of(base);

	driver_detach(d->inner);
	mem_free(d);
}

static const struct driver_ops fault_ops = {
	.kind = "fault",
	.detach = fault_detach,
	.open = fault_open,
	.read = fault_read,
	.write = fault_write,
	.sync = fault_sync,
	.size = fault_size,
	.close = fault_close,
	.remove = fault_remove,
	.rename = fault_rename,
	.list = fault_list,
	.usage = fault_usage,
	.identity = fault_identity,
	.lock = fault_lock,
	.unlock = fault_unlock,
};

int drv_fault_attach(const char *place, struct driver **out)
{
	AUTO_FREE char *location = mem_printf(FAULT_PREFIX "%s", place);
	AUTO_FREE struct fault_driver *d = mem_zalloc(sizeof(*d));
	struct fault_effect e;
	int rc;

	if (location == NULL || d == NULL)
		return -ENOMEM;
	d->point = fault_point_get(location);
	if (d->point == NULL)
		return -ENOMEM;
	e = fault_consult(d->point, FAULT_OP_ATTACH, "");
	rc = e.rc != 0 ? e.rc : driver_attach(place, &d->inner);
	if (rc != 0)
		return rc;
	d->base.ops = &fault_ops;
	*out = &steal(&d)->base;
	return 0;
}
