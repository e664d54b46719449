/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks of the simulated machine, and the driver "mem:<number>" on them.
 *
 * A disk shows every change at once, as a running system does; what a power
 * cut would leave of it is found out later from the recording (sim_cut.c).
 * Every request takes a little simulated time, so that others get their turn.
 */
#include "sim_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/driver_impl.h"
#include "base/mem.h"
#include "base/mutant.h"

#define DEVICE	      0x73696d0000000000ULL /* no st_dev looks like this */
#define TOTAL_BYTES   (1ULL << 30)
#define DELAY_NS      60000
#define SYNC_DELAY_NS 800000

struct sim_place sim_place[SIM_PLACES];
unsigned sim_folders;

static uint32_t next_id;

/* ---- objects ---- */

struct sim_object *sim_find(unsigned place, const char *name)
{
	const struct sim_place *p = &sim_place[place];
	uint64_t h = sim_hash(name, strlen(name), 0);

	for (size_t i = 0; i < p->count; i++)
		if (p->object[i]->hash == h &&
		    strcmp(p->object[i]->name, name) == 0)
			return p->object[i];
	return NULL;
}

static void set_name(struct sim_object *o, const char *name)
{
	size_t len = strlen(name);

	MUST(len < SIM_NAME);
	memcpy(o->name, name, len + 1);
	o->hash = sim_hash(name, len, 0);
}

static void link_in(struct sim_place *p, struct sim_object *o)
{
	if (p->count == p->cap) {
		p->cap = p->cap ? 2 * p->cap : 64;
		p->object = sim_grow(p->object, p->cap,
				     sizeof(struct sim_object *));
	}
	p->object[p->count++] = o;
	o->linked = true;
}

struct sim_object *sim_link_new(unsigned place, const char *name, bool folder)
{
	struct sim_object *o = sim_alloc(1, sizeof(*o));

	set_name(o, name);
	o->id = ++next_id;
	o->folder = folder;
	o->blob = folder ? NULL : blob_new();
	link_in(&sim_place[place], o);
	return o;
}

static void release(struct sim_object *o)
{
	if (o->linked || o->opened > 0)
		return;
	blob_unref(o->blob);
	free(o);
}

void sim_unlink_object(unsigned place, struct sim_object *o)
{
	struct sim_place *p = &sim_place[place];
	size_t i = 0;

	while (p->object[i] != o)
		i++;
	memmove(&p->object[i], &p->object[i + 1],
		(--p->count - i) * sizeof(struct sim_object *));
	o->linked = false;
	release(o);
}

void sim_object_close(struct sim_object *o)
{
	MUST(o->opened > 0);
	o->opened--;
	release(o);
}

void sim_place_clear(unsigned place)
{
	struct sim_place *p = &sim_place[place];

	while (p->count > 0)
		sim_unlink_object(place, p->object[p->count - 1]);
}

/* The folders on the way to an object come into being with it. */
static void make_folders(unsigned place, const char *name)
{
	char part[SIM_NAME];

	for (size_t i = 1; name[i]; i++) {
		if (name[i] != '/')
			continue;
		memcpy(part, name, i);
		part[i] = 0;
		if (!sim_find(place, part))
			(void)sim_link_new(place, part, true);
	}
}

struct sim_object *sim_make(unsigned place, const char *name)
{
	struct sim_object *o;

	make_folders(place, name);
	o = sim_link_new(place, name, false);
	sim_record_change(CHANGE_MAKE, place, o, 0, NULL, 0, NULL);
	return o;
}

void sim_write(unsigned place, struct sim_object *o, const void *buf,
	       size_t len, uint64_t off)
{
	blob_write(&o->blob, buf, len, off);
	sim_record_change(CHANGE_WRITE, place, o, off, buf, len, NULL);
	sim_note(sim_hash(buf, MIN(len, (size_t)64), off + len + place));
}

void sim_truncate(unsigned place, struct sim_object *o, size_t len)
{
	blob_resize(&o->blob, len);
	sim_record_change(CHANGE_TRUNCATE, place, o, len, NULL, 0, NULL);
}

void sim_remove(unsigned place, struct sim_object *o)
{
	sim_record_change(CHANGE_REMOVE, place, o, 0, NULL, 0, NULL);
	sim_unlink_object(place, o);
}

void sim_rename(unsigned place, struct sim_object *o, const char *to)
{
	struct sim_object *old = sim_find(place, to);

	if (old == o)
		return;
	make_folders(place, to);
	sim_record_change(CHANGE_RENAME, place, o, 0, NULL, 0, to);
	if (old)
		sim_unlink_object(place, old);
	set_name(o, to);
}

/* ---- for tests ---- */

void sim_disks_reset(unsigned n)
{
	MUST(n >= 1 && n <= SIM_DISKS);
	for (unsigned i = 0; i < SIM_PLACES; i++) {
		MUST(sim_place[i].attached == 0);
		sim_place_clear(i);
		sim_place[i].hidden = false;
		sim_place[i].total_bytes = TOTAL_BYTES;
	}
	sim_folders = n;
}

void sim_disk_hide(unsigned disk, bool hidden)
{
	sim_place[disk].hidden = hidden;
}

void sim_disk_set_bytes(unsigned disk, uint64_t total_bytes)
{
	sim_place[disk].total_bytes = total_bytes;
}

void sim_cache_clear(void)
{
	sim_place_clear(SIM_LOCAL);
}

bool sim_disk_peek(unsigned disk, const char *name, const uint8_t **data,
		   size_t *len)
{
	static uint8_t *peeked;
	const struct sim_object *o = sim_find(disk, name);

	if (!o || o->folder)
		return false;
	free(peeked);
	*len = blob_len(o->blob);
	peeked = sim_alloc(*len + 1, 1);
	*data = peeked;
	(void)blob_read(o->blob, peeked, *len, 0);
	return true;
}

void sim_disk_poke(unsigned disk, const char *name, const void *data,
		   size_t len)
{
	struct sim_object *o = sim_find(disk, name);

	if (!data) {
		if (o)
			sim_unlink_object(disk, o);
		return;
	}
	make_folders(disk, name);
	if (!o)
		o = sim_link_new(disk, name, false);
	blob_resize(&o->blob, 0);
	blob_write(&o->blob, data, len, 0);
}

void sim_disk_each(unsigned disk,
		   void (*each)(void *arg, const char *name, size_t len),
		   void *arg)
{
	const struct sim_place *p = &sim_place[disk];

	for (size_t i = 0; i < p->count; i++)
		if (!p->object[i]->folder)
			each(arg, p->object[i]->name,
			     blob_len(p->object[i]->blob));
}

/* ---- the driver ---- */

struct sim_driver {
	struct driver base;
	unsigned place;
	bool has_shared, has_exclusive;
};

struct sim_file {
	struct drv_file base;
	struct sim_object *object;
};

static unsigned place_of(struct driver *d)
{
	return container_of(d, struct sim_driver, base)->place;
}

static struct sim_file *file_of(struct drv_file *f)
{
	return container_of(f, struct sim_file, base);
}

/* -ENOENT: as an empty folder whose disk is not mounted. */
static int request(unsigned place, uint64_t delay_ns)
{
	if (sim_dice(4) == 0)
		sim_sleep_ns(1 + sim_dice(delay_ns));
	return sim_place[place].hidden ? -ENOENT : 0;
}

static uint64_t used_bytes(const struct sim_place *p)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < p->count; i++)
		if (!p->object[i]->folder)
			sum += (blob_len(p->object[i]->blob) + 4095) / 4096 *
			       4096;
	return sum;
}

/* Looks closely only where room may be short. */
static bool has_room(const struct sim_place *p, uint64_t more)
{
	return p->total_bytes >= TOTAL_BYTES ||
	       used_bytes(p) + more <= p->total_bytes;
}

static int drv_open(struct driver *d, const char *name, unsigned flags,
		    struct drv_file **out)
{
	unsigned place = place_of(d);
	int rc = request(place, DELAY_NS);
	struct sim_object *o;
	struct sim_file *f;

	if (rc < 0)
		return rc;
	o = sim_find(place, name);
	if (!o && !(flags & DRV_CREATE))
		return -ENOENT;
	if (o && (flags & DRV_CREATE))
		return -EEXIST;
	if (o && o->folder)
		return -EISDIR;
	if (!o && !has_room(&sim_place[place], 4096))
		return -ENOSPC;
	f = mem_zalloc(sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->object = o ? o : sim_make(place, name);
	f->object->opened++;
	*out = &f->base;
	return 0;
}

static int64_t drv_read(struct drv_file *base, void *buf, size_t len,
			uint64_t off)
{
	int rc = request(place_of(base->driver), DELAY_NS);

	if (rc < 0)
		return rc;
	return (int64_t)blob_read(file_of(base)->object->blob, buf, len, off);
}

static int drv_write(struct drv_file *base, const void *buf, size_t len,
		     uint64_t off)
{
	unsigned place = place_of(base->driver);
	struct sim_object *o = file_of(base)->object;
	int rc = request(place, DELAY_NS);
	size_t had = blob_len(o->blob);
	uint64_t more = off + len > had ? off + len - had : 0;

	if (rc < 0 || len == 0)
		return rc;
	if (more > 0 && !has_room(&sim_place[place], more))
		return -ENOSPC;
	sim_write(place, o, buf, len, off);
	if (!(base->flags & DRV_DSYNC))
		return 0;
	rc = request(place, SYNC_DELAY_NS);
	if (rc == 0)
		sim_record_change(SYNC_WRITE, place, o, 0, NULL, 0, NULL);
	return rc;
}

static int drv_sync(struct drv_file *base)
{
	unsigned place = place_of(base->driver);
	int rc = request(place, SYNC_DELAY_NS);

	if (rc == 0)
		sim_record_change(
			MUTANT(SKIP_FOLDER_SYNC) ? SYNC_CONTENT : SYNC_OBJECT,
			place, file_of(base)->object, 0, NULL, 0, NULL);
	return rc;
}

static int drv_size(struct drv_file *base, uint64_t *out)
{
	*out = blob_len(file_of(base)->object->blob);
	return request(place_of(base->driver), DELAY_NS);
}

static void drv_close(struct drv_file *base)
{
	sim_object_close(file_of(base)->object);
	mem_free(file_of(base));
}

static int drv_remove(struct driver *d, const char *name)
{
	unsigned place = place_of(d);
	int rc = request(place, DELAY_NS);
	struct sim_object *o = rc == 0 ? sim_find(place, name) : NULL;

	if (!o)
		return rc < 0 ? rc : -ENOENT;
	if (o->folder)
		return -EISDIR;
	sim_remove(place, o);
	return 0;
}

static int drv_rename(struct driver *d, const char *from, const char *to)
{
	unsigned place = place_of(d);
	int rc = request(place, DELAY_NS);
	struct sim_object *o, *old;

	if (rc < 0)
		return rc;
	o = sim_find(place, from);
	old = sim_find(place, to);
	if (!o)
		return -ENOENT;
	if (o->folder || (old && old->folder))
		return -EISDIR;
	sim_rename(place, o, to);
	rc = request(place, SYNC_DELAY_NS);
	if (rc == 0)
		sim_record_change(SYNC_NAMES, place, NULL, 0, NULL, 0, NULL);
	return rc;
}

static bool directly_in(const char *name, const char *folder)
{
	size_t len = strlen(folder);
	const char *rest = name + len;

	if (len > 0 && (strncmp(name, folder, len) != 0 || *rest++ != '/'))
		return false;
	return *rest && !strchr(rest, '/');
}

struct listed {
	char name[SIM_NAME];
	uint64_t size;
};

/* A copy, since `each` may call the driver. */
static size_t collect(unsigned place, const char *folder, struct listed *out)
{
	const struct sim_place *p = &sim_place[place];
	size_t n = 0;

	for (size_t i = 0; i < p->count; i++) {
		const struct sim_object *o = p->object[i];

		if (!directly_in(o->name, folder))
			continue;
		memcpy(out[n].name, o->name, SIM_NAME);
		out[n++].size = o->folder ? UINT64_MAX : blob_len(o->blob);
	}
	return n;
}

static int drv_list(struct driver *d, const char *folder, drv_list_fn *each,
		    void *arg)
{
	unsigned place = place_of(d);
	int rc = request(place, DELAY_NS);
	struct sim_object *o;
	struct listed *l;
	size_t n, turn;

	if (rc < 0)
		return rc;
	o = sim_find(place, folder);
	if (o && !o->folder)
		return -ENOTDIR;
	l = sim_alloc(sim_place[place].count + 1, sizeof(*l));
	n = collect(place, folder, l);
	turn = n > 0 ? sim_dice(n) : 0; /* no order */
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = each(arg, l[(i + turn) % n].name, l[(i + turn) % n].size);
	free(l);
	return rc;
}

static int drv_usage(struct driver *d, struct drv_usage *out)
{
	unsigned place = place_of(d);
	const struct sim_place *p = &sim_place[place];
	uint64_t used = used_bytes(p);

	out->total_bytes = p->total_bytes;
	out->free_bytes = used < p->total_bytes ? p->total_bytes - used : 0;
	out->domain = DEVICE + place;
	return request(place, DELAY_NS);
}

static int drv_identity(struct driver *d, struct drv_identity *out)
{
	*out = (struct drv_identity){.dev = DEVICE, .ino = place_of(d)};
	return request(place_of(d), DELAY_NS);
}

static void drop_lock(struct sim_driver *d)
{
	struct sim_place *p = &sim_place[d->place];

	p->shared -= d->has_shared;
	p->exclusive = p->exclusive && !d->has_exclusive;
	d->has_shared = d->has_exclusive = false;
}

static int drv_lock(struct driver *base, bool exclusive)
{
	struct sim_driver *d = container_of(base, struct sim_driver, base);
	struct sim_place *p = &sim_place[d->place];
	int rc = request(d->place, DELAY_NS);

	if (rc < 0)
		return rc;
	if ((p->exclusive && !d->has_exclusive) ||
	    (exclusive && p->shared > d->has_shared))
		return -ERR_IN_USE;
	drop_lock(d);
	if (exclusive && !sim_find(d->place, DRV_LOCK))
		(void)sim_make(d->place, DRV_LOCK);
	if (exclusive)
		p->exclusive = d->has_exclusive = true;
	else if (sim_find(d->place, DRV_LOCK)) {
		p->shared++;
		d->has_shared = true;
	}
	return 0;
}

static void drv_unlock(struct driver *d)
{
	drop_lock(container_of(d, struct sim_driver, base));
}

static void drv_detach(struct driver *base)
{
	struct sim_driver *d = container_of(base, struct sim_driver, base);

	drop_lock(d);
	sim_place[d->place].attached--;
	mem_free(d);
}

static const struct driver_ops sim_ops = {
	.kind = "mem",
	.detach = drv_detach,
	.open = drv_open,
	.read = drv_read,
	.write = drv_write,
	.sync = drv_sync,
	.size = drv_size,
	.close = drv_close,
	.remove = drv_remove,
	.rename = drv_rename,
	.list = drv_list,
	.usage = drv_usage,
	.identity = drv_identity,
	.lock = drv_lock,
	.unlock = drv_unlock,
};

int drv_mem_attach(const char *place, struct driver **out)
{
	unsigned long number = strtoul(place, NULL, 10);
	struct sim_driver *d;

	if (number >= sim_folders || sim_place[number].hidden)
		return -ENOENT;
	d = mem_zalloc(sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->base.ops = &sim_ops;
	d->place = (unsigned)number;
	sim_place[number].attached++;
	*out = &d->base;
	return 0;
}

/* Disks are reset, never forgotten. */
void mem_driver_forget(const char *name)
{
	(void)name;
}
