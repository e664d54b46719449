/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects in memory: the reference of what a driver answers, for tests.
 *
 * M1  A store is found by its name; all who attach the name share it. It stays
 *     when the last one detaches, unless it was to be forgotten.
 * M2  Folders are entries like objects, made with the first object in them and
 *     kept when they become empty, as on a disk.
 * M3  An object that is removed or replaced while open lives until the last
 *     file of it is closed.
 * M4  All is durable at once. What is lost without power is drv_fault.c's
 *     business.
 *
 * Locks: registry_mu, then store.mu.
 */
#include "backend/drv_mem_impl.h"

#include <string.h>

#include "base/mem.h"

#define MEM_DEVICE 0x6d656d0000000000ULL /* no st_dev looks like this */

struct mem_driver {
	struct driver base;
	struct mem_store *store;
	bool has_shared; /* guarded by store->mu */
	bool has_exclusive;
};

struct mem_file {
	struct drv_file base;
	struct mem_store *store;
	struct mem_object *object;
};

static struct mem_driver *mem_of(struct driver *d)
{
	return container_of(d, struct mem_driver, base);
}

static struct mem_file *file_of(struct drv_file *f)
{
	return container_of(f, struct mem_file, base);
}

/* ---- methods on objects ---- */

static int mem_open(struct driver *d, const char *name, unsigned flags,
		    struct drv_file **out)
{
	struct mem_store *s = mem_of(d)->store;
	struct mem_file *f = mem_zalloc(sizeof(*f));
	int rc;

	if (f == NULL)
		return -ENOMEM;
	MUTEX_GUARD(&s->mu);
	rc = flags & DRV_CREATE ? mem_create_object(s, name, &f->object)
				: mem_get_object(s, name, &f->object);
	if (rc != 0) {
		mem_free(f);
		return rc;
	}
	f->object->refs++;
	f->store = s;
	*out = &f->base;
	return 0;
}

static int64_t mem_read(struct drv_file *base, void *buf, size_t len,
			uint64_t off)
{
	struct mem_file *f = file_of(base);
	struct mem_object *o = f->object;
	size_t n;

	MUTEX_GUARD(&f->store->mu);
	if (off >= o->size || len == 0)
		return 0;
	n = MIN(len, o->size - off);
	memcpy(buf, o->data + off, n);
	return (int64_t)n;
}

static int mem_write(struct drv_file *base, const void *buf, size_t len,
		     uint64_t off)
{
	struct mem_file *f = file_of(base);
	struct mem_object *o = f->object;
	int rc;

	if (len == 0)
		return 0;
	MUTEX_GUARD(&f->store->mu);
	rc = mem_grow(f->store, o, off + len);
	if (rc != 0)
		return rc;
	memcpy(o->data + off, buf, len);
	o->size = MAX(o->size, off + len);
	return 0;
}

static int mem_sync(struct drv_file *base)
{
	(void)base;
	return 0;
}

static int mem_size(struct drv_file *base, uint64_t *out)
{
	struct mem_file *f = file_of(base);

	MUTEX_GUARD(&f->store->mu);
	*out = f->object->size;
	return 0;
}

static void mem_close(struct drv_file *base)
{
	struct mem_file *f = file_of(base);
	struct mem_store *s = f->store;

	mutex_lock(&s->mu);
	mem_put_object(s, f->object);
	mutex_unlock(&s->mu);
	mem_free(f);
}

static int mem_remove(struct driver *d, const char *name)
{
	struct mem_store *s = mem_of(d)->store;
	struct mem_object *o;
	int rc;

	MUTEX_GUARD(&s->mu);
	rc = mem_get_object(s, name, &o);
	if (rc == 0)
		mem_take_out(s, o);
	return rc;
}

static int mem_rename(struct driver *d, const char *from, const char *to)
{
	struct mem_store *s = mem_of(d)->store;
	size_t len = strlen(to);
	struct mem_object *o, *old;
	int rc;

	MUTEX_GUARD(&s->mu);
	rc = mem_get_object(s, from, &o);
	if (rc == 0)
		rc = mem_make_folders(s, to);
	if (rc != 0)
		return rc;
	old = mem_find(s, to, len);
	if (old != NULL && old->folder)
		return -EISDIR;
	if (old != NULL)
		mem_take_out(s, old);
	htab_remove(&s->objects, &o->node);
	memcpy(o->name, to, len + 1);
	htab_insert(&s->objects, &o->node, driver_name_hash(to, len));
	return 0;
}

/* ---- listing: a copy first, since `each` may call the driver ---- */

struct mem_entry {
	uint64_t size;
	char name[DRV_NAME_MAX + 1];
};

static bool directly_in(const char *name, const char *folder)
{
	size_t len = driver_folder_len(name);

	return len == strlen(folder) && memcmp(name, folder, len) == 0;
}

/* Entries into *out (mem_free); their number or -ENOMEM. */
static int64_t snapshot(struct mem_store *s, const char *folder,
			struct mem_entry **out)
{
	int64_t n = 0;

	MUTEX_GUARD(&s->mu);
	*out = mem_calloc(s->objects.count + 1, sizeof(**out));
	if (*out == NULL)
		return -ENOMEM;
	for (struct hnode *h = htab_first(&s->objects); h != NULL;
	     h = htab_next(&s->objects, h)) {
		struct mem_object *o = container_of(h, struct mem_object, node);

		if (!directly_in(o->name, folder))
			continue;
		(*out)[n].size = o->folder ? UINT64_MAX : o->size;
		memcpy((*out)[n++].name, o->name, sizeof(o->name));
	}
	return n;
}

/* Listing an object is the mistake the system calls ENOTDIR. */
static int check_folder(struct mem_store *s, const char *folder)
{
	const struct mem_object *o;

	MUTEX_GUARD(&s->mu);
	o = mem_find(s, folder, strlen(folder));
	return o != NULL && !o->folder ? -ENOTDIR : 0;
}

static int mem_list(struct driver *d, const char *folder, drv_list_fn *each,
		    void *arg)
{
	struct mem_store *s = mem_of(d)->store;
	AUTO_FREE struct mem_entry *entry = NULL;
	int64_t n;
	int rc = check_folder(s, folder);

	if (rc != 0)
		return rc;
	n = snapshot(s, folder, &entry);
	if (n < 0)
		return (int)n;
	for (int64_t i = 0; i < n && rc == 0; i++)
		rc = each(arg, entry[i].name, entry[i].size);
	return rc;
}

/* ---- the place as a whole ---- */

static int mem_usage(struct driver *d, struct drv_usage *out)
{
	struct mem_store *s = mem_of(d)->store;

	MUTEX_GUARD(&s->mu);
	out->total_bytes = s->total_bytes;
	out->free_bytes = mem_free_bytes(s);
	out->domain = MEM_DEVICE + s->id;
	return 0;
}

static int mem_identity(struct driver *d, struct drv_identity *out)
{
	*out = (struct drv_identity){.dev = MEM_DEVICE,
				     .ino = mem_of(d)->store->id};
	return 0;
}

static void drop_lock(struct mem_driver *m)
{
	m->store->shared -= m->has_shared;
	m->store->exclusive = m->store->exclusive && !m->has_exclusive;
	m->has_shared = false;
	m->has_exclusive = false;
}

static int lock_shared(struct mem_driver *m)
{
	struct mem_store *s = m->store;

	if (s->exclusive && !m->has_exclusive)
		return -ERR_IN_USE;
	drop_lock(m);
	if (mem_find(s, DRV_LOCK, strlen(DRV_LOCK)) == NULL)
		return 0;
	m->has_shared = true;
	s->shared++;
	return 0;
}

static int lock_exclusive(struct mem_driver *m)
{
	struct mem_store *s = m->store;
	struct mem_object *o;
	int rc;

	if (s->shared > m->has_shared || (s->exclusive && !m->has_exclusive))
		return -ERR_IN_USE;
	rc = mem_create_object(s, DRV_LOCK, &o);
	if (rc != 0 && rc != -EEXIST)
		return rc;
	drop_lock(m);
	m->has_exclusive = true;
	s->exclusive = true;
	return 0;
}

static int mem_lock(struct driver *d, bool exclusive)
{
	struct mem_driver *m = mem_of(d);

	MUTEX_GUARD(&m->store->mu);
	return exclusive ? lock_exclusive(m) : lock_shared(m);
}

static void mem_unlock(struct driver *d)
{
	struct mem_driver *m = mem_of(d);

	MUTEX_GUARD(&m->store->mu);
	drop_lock(m);
}

static void mem_detach(struct driver *d)
{
	mem_unlock(d);
	mem_store_put(mem_of(d)->store);
	mem_free(mem_of(d));
}

static const struct driver_ops mem_ops = {
	.kind = "mem",
	.detach = mem_detach,
	.open = mem_open,
	.read = mem_read,
	.write = mem_write,
	.sync = mem_sync,
	.size = mem_size,
	.close = mem_close,
	.remove = mem_remove,
	.rename = mem_rename,
	.list = mem_list,
	.usage = mem_usage,
	.identity = mem_identity,
	.lock = mem_lock,
	.unlock = mem_unlock,
};

int drv_mem_attach(const char *place, struct driver **out)
{
	AUTO_FREE struct mem_driver *m = mem_zalloc(sizeof(*m));

	if (m == NULL)
		return -ENOMEM;
	m->store = mem_store_get(place);
	if (m->store == NULL)
		return -ENOMEM;
	m->base.ops = &mem_ops;
	*out = &steal(&m)->base;
	return 0;
}
