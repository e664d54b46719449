/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores and the objects in them: M1-M3 of drv_mem.c.
 */
#include "backend/drv_mem_impl.h"

#include <string.h>

#include "base/mem.h"

static struct mutex registry_mu = {PTHREAD_MUTEX_INITIALIZER};
static LIST_HEAD(store_list,
		 mem_store) registry = LIST_HEAD_INITIALIZER(registry);
static uint64_t last_id;

/* ---- objects, with store->mu held ---- */

struct mem_object *mem_find(struct mem_store *s, const char *name, size_t len)
{
	uint64_t key = driver_name_hash(name, len);

	for (struct hnode *n = htab_find(&s->objects, key); n != NULL;
	     n = htab_find_next(n)) {
		struct mem_object *o = container_of(n, struct mem_object, node);

		if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
			return o;
	}
	return NULL;
}

static struct mem_object *mem_insert(struct mem_store *s, const char *name,
				     size_t len, bool folder)
{
	struct mem_object *o = mem_zalloc(sizeof(*o));

	if (o == NULL)
		return NULL;
	o->refs = 1;
	o->folder = folder;
	memcpy(o->name, name, len);
	htab_insert(&s->objects, &o->node, driver_name_hash(name, len));
	return o;
}

void mem_put_object(struct mem_store *s, struct mem_object *o)
{
	if (--o->refs > 0)
		return;
	s->used_bytes -= o->charged;
	mem_free(o->data);
	mem_free(o);
}

void mem_take_out(struct mem_store *s, struct mem_object *o)
{
	htab_remove(&s->objects, &o->node);
	mem_put_object(s, o);
}

/* Makes the folders on the way to name. */
int mem_make_folders(struct mem_store *s, const char *name)
{
	for (const char *p = strchr(name, '/'); p != NULL;
	     p = strchr(p + 1, '/')) {
		size_t len = (size_t)(p - name);
		struct mem_object *o = mem_find(s, name, len);

		if (o == NULL)
			o = mem_insert(s, name, len, true);
		if (o == NULL)
			return -ENOMEM;
		if (!o->folder)
			return -ENOTDIR;
	}
	return 0;
}

/* -ENOTDIR where an object stands in a folder's place, else -ENOENT. */
static int absent(struct mem_store *s, const char *name)
{
	for (const char *p = strchr(name, '/'); p != NULL;
	     p = strchr(p + 1, '/')) {
		struct mem_object *o = mem_find(s, name, (size_t)(p - name));

		if (o == NULL)
			return -ENOENT;
		if (!o->folder)
			return -ENOTDIR;
	}
	return -ENOENT;
}

int mem_get_object(struct mem_store *s, const char *name,
		   struct mem_object **out)
{
	struct mem_object *o = mem_find(s, name, strlen(name));

	if (o == NULL)
		return absent(s, name);
	if (o->folder)
		return -EISDIR;
	*out = o;
	return 0;
}

int mem_create_object(struct mem_store *s, const char *name,
		      struct mem_object **out)
{
	size_t len = strlen(name);
	int rc;

	if (mem_find(s, name, len) != NULL)
		return -EEXIST;
	rc = mem_make_folders(s, name);
	if (rc != 0)
		return rc;
	*out = mem_insert(s, name, len, false);
	return *out != NULL ? 0 : -ENOMEM;
}

uint64_t mem_free_bytes(const struct mem_store *s)
{
	return s->total_bytes - MIN(s->total_bytes, s->used_bytes);
}

int mem_grow(struct mem_store *s, struct mem_object *o, uint64_t size)
{
	uint64_t need, cap = MAX(o->cap, (uint64_t)DRV_BLOCK);
	uint8_t *data;

	if (size > MEM_TOTAL)
		return -ENOSPC;
	need = MAX(o->charged, (size + DRV_BLOCK - 1) / DRV_BLOCK * DRV_BLOCK);
	if (need - o->charged > mem_free_bytes(s))
		return -ENOSPC;
	while (cap < size)
		cap *= 2;
	if (cap > o->cap) {
		data = mem_realloc(o->data, cap);
		if (data == NULL)
			return -ENOMEM;
		memset(data + o->cap, 0, cap - o->cap);
		o->data = data;
		o->cap = cap;
	}
	s->used_bytes += need - o->charged;
	o->charged = need;
	return 0;
}

/* ---- stores, with registry_mu held ---- */

static struct mem_store *store_find(const char *name)
{
	struct mem_store *s;

	LIST_FOREACH (s, &registry, link) {
		if (strcmp(s->name, name) == 0)
			return s;
	}
	return NULL;
}

static struct mem_store *store_new(const char *name)
{
	struct mem_store *s = mem_zalloc(sizeof(*s));

	if (s == NULL)
		return NULL;
	s->name = mem_strdup(name);
	if (s->name == NULL || htab_init(&s->objects) != 0) {
		mem_free(s->name);
		mem_free(s);
		return NULL;
	}
	mutex_init(&s->mu);
	s->total_bytes = MEM_TOTAL;
	s->id = ++last_id;
	LIST_INSERT_HEAD(&registry, s, link);
	return s;
}

static void store_free(struct mem_store *s)
{
	LIST_REMOVE(s, link);
	for (struct hnode *n = htab_first(&s->objects), *next; n != NULL;
	     n = next) {
		next = htab_next(&s->objects, n);
		mem_take_out(s, container_of(n, struct mem_object, node));
	}
	htab_release(&s->objects);
	mutex_destroy(&s->mu);
	mem_free(s->name);
	mem_free(s);
}

void mem_driver_forget(const char *name)
{
	struct mem_store *s;

	MUTEX_GUARD(&registry_mu);
	s = store_find(name);
	if (s == NULL)
		return;
	s->forget = true;
	if (s->attached == 0)
		store_free(s);
}

struct mem_store *mem_store_get(const char *name)
{
	struct mem_store *s;

	MUTEX_GUARD(&registry_mu);
	s = store_find(name);
	if (s == NULL)
		s = store_new(name);
	if (s != NULL)
		s->attached++;
	return s;
}

int mem_driver_size(const char *name, uint64_t bytes)
{
	struct mem_store *s = mem_store_get(name);

	if (s == NULL)
		return -ENOMEM;
	mutex_lock(&s->mu);
	s->total_bytes = bytes;
	mutex_unlock(&s->mu);
	mem_store_put(s);
	return 0;
}

void mem_store_put(struct mem_store *s)
{
	MUTEX_GUARD(&registry_mu);
	if (--s->attached == 0 && s->forget)
		store_free(s);
}
