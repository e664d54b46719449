/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was written without a true sync: F3 of drv_fault.c.
 */
#include "backend/drv_fault_impl.h"

#include <string.h>

#include "base/mem.h"
#include "base/must.h"

struct fault_undo {
	TAILQ_ENTRY(fault_undo) link;
	bool created; /* the object was made; nothing below counts */
	uint64_t off;
	uint64_t old_size; /* of the object */
	size_t len;	   /* bytes of old content at off */
	uint8_t *old;
	char name[DRV_NAME_MAX + 1];
};

void fault_copy_name(char to[static DRV_NAME_MAX + 1], const char *name)
{
	MUST(strlen(name) <= DRV_NAME_MAX);
	memcpy(to, name, strlen(name) + 1);
}

/* ---- what a power cut takes back (F3) ---- */

static void undo_free(struct fault_undo *u)
{
	mem_free(u->old);
	mem_free(u);
}
static void undo_auto_free(struct fault_undo **u)
{
	if (*u != NULL)
		undo_free(*u);
}

static bool wants_undo(struct fault_point *p, const char *name)
{
	struct fault_armed *r;

	MUTEX_GUARD(&p->mu);
	TAILQ_FOREACH (r, &p->rules, link) {
		if (r->r.kind == FAULT_LOST_SYNC && fault_covers(r, name))
			return true;
	}
	return false;
}

static void undo_keep(struct fault_point *p, struct fault_undo *u)
{
	MUTEX_GUARD(&p->mu);
	TAILQ_INSERT_TAIL(&p->undos, u, link);
}

static struct fault_undo *undo_new(const char *name)
{
	struct fault_undo *u = mem_zalloc(sizeof(*u));

	if (u != NULL)
		fault_copy_name(u->name, name);
	return u;
}

int fault_record_create(struct fault_point *p, const char *name)
{
	struct fault_undo *u;

	if (!wants_undo(p, name))
		return 0;
	u = undo_new(name);
	if (u == NULL)
		return -ENOMEM;
	u->created = true;
	undo_keep(p, u);
	return 0;
}

int fault_record_write(struct fault_file *f, size_t len, uint64_t off)
{
	struct fault_point *p = f->driver->point;
	AUTO(undo_auto_free) struct fault_undo *u = NULL;
	int64_t n;
	int rc;

	if (!wants_undo(p, f->name))
		return 0;
	u = undo_new(f->name);
	if (u == NULL)
		return -ENOMEM;
	u->old = mem_alloc_aligned(MAX(len, (size_t)DRV_BLOCK));
	if (u->old == NULL)
		return -ENOMEM;
	rc = driver_size(f->inner, &u->old_size);
	if (rc != 0)
		return rc;
	n = driver_read(f->inner, u->old, len, off);
	if (n < 0)
		return (int)n;
	u->off = off;
	u->len = (size_t)n;
	undo_keep(p, steal(&u));
	return 0;
}

void fault_forget_undos(struct fault_point *p, const char *name)
{
	struct fault_undo *u, *next;

	MUTEX_GUARD(&p->mu);
	for (u = TAILQ_FIRST(&p->undos); u != NULL; u = next) {
		next = TAILQ_NEXT(u, link);
		if (strcmp(u->name, name) != 0)
			continue;
		TAILQ_REMOVE(&p->undos, u, link);
		undo_free(u);
	}
}

void fault_rename_undos(struct fault_point *p, const char *from, const char *to)
{
	struct fault_undo *u;

	fault_forget_undos(p, to);
	MUTEX_GUARD(&p->mu);
	TAILQ_FOREACH (u, &p->undos, link) {
		if (strcmp(u->name, from) == 0)
			fault_copy_name(u->name, to);
	}
}

static int write_new(struct driver *d, const char *name, const void *data,
		     uint64_t size)
{
	struct drv_file *f;
	int rc = driver_open(d, name, DRV_WRITE | DRV_CREATE, &f);

	if (rc != 0)
		return rc;
	rc = driver_write(f, data, size, 0);
	if (rc == 0)
		rc = driver_sync(f);
	driver_close(f);
	return rc;
}

/* Drivers cannot shorten an object, so it is made anew. */
static int shorten(struct driver *d, const char *name, uint64_t size)
{
	AUTO_FREE uint8_t *data = mem_alloc(size);
	struct drv_file *f;
	int64_t n;
	int rc;

	if (data == NULL)
		return -ENOMEM;
	rc = driver_open(d, name, DRV_READ, &f);
	if (rc != 0)
		return rc;
	n = driver_read(f, data, size, 0);
	driver_close(f);
	if (n < 0)
		return (int)n;
	rc = driver_remove(d, name);
	return rc != 0 ? rc : write_new(d, name, data, size);
}

static int restore_bytes(struct driver *d, const struct fault_undo *u)
{
	struct drv_file *f;
	uint64_t size = 0;
	int rc = driver_open(d, u->name, DRV_WRITE, &f);

	if (rc != 0)
		return rc;
	rc = driver_write(f, u->old, u->len, u->off);
	if (rc == 0)
		rc = driver_sync(f);
	if (rc == 0)
		rc = driver_size(f, &size);
	driver_close(f);
	if (rc == 0 && size > u->old_size)
		rc = shorten(d, u->name, u->old_size);
	return rc;
}

static struct fault_undo *take_newest(struct fault_point *p)
{
	struct fault_undo *u;

	MUTEX_GUARD(&p->mu);
	u = TAILQ_LAST(&p->undos, fault_undo_list);
	if (u != NULL)
		TAILQ_REMOVE(&p->undos, u, link);
	return u;
}

int fault_power_cut(const char *location)
{
	struct fault_point *p = fault_point_find(location);
	struct driver *d;
	struct fault_undo *u;
	int rc;

	if (p == NULL)
		return 0;
	rc = driver_attach(location + strlen(FAULT_PREFIX), &d);
	if (rc != 0)
		return rc;
	while (rc == 0 && (u = take_newest(p)) != NULL) {
		rc = u->created ? driver_remove(d, u->name)
				: restore_bytes(d, u);
		undo_free(u);
	}
	driver_detach(d);
	return rc;
}
