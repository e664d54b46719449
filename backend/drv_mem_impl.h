/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drv_mem_impl.h - what drv_mem.c (the methods) and drv_mem_store.c (stores
 * and objects) share. But for mem_store_*, store.mu is held by the caller.
 */
#ifndef MENDFS_BACKEND_DRV_MEM_IMPL_H
#define MENDFS_BACKEND_DRV_MEM_IMPL_H

#include <sys/queue.h>

#include "backend/driver_impl.h"
#include "base/htab.h"
#include "base/sync.h"

#define MEM_TOTAL (1ULL << 40) /* bytes a store holds at first */

struct mem_object {
	struct hnode node;
	unsigned refs; /* the table's and one per file */
	bool folder;
	uint8_t *data;
	uint64_t size;
	uint64_t cap;	  /* bytes of memory */
	uint64_t charged; /* bytes of the store */
	char name[DRV_NAME_MAX + 1];
};

struct mem_store {
	LIST_ENTRY(mem_store) link;
	char *name;
	uint64_t id;
	unsigned attached; /* guarded by registry_mu, as forget */
	bool forget;
	struct mutex mu; /* guards all below */
	struct htab objects;
	uint64_t used_bytes;
	uint64_t total_bytes;
	unsigned shared; /* holders of the lock */
	bool exclusive;
};

/* The store of that name, made if need be; NULL: no memory. */
struct mem_store *mem_store_get(const char *name);
void mem_store_put(struct mem_store *s);

/* The entry (object or folder) whose name is these len bytes, or NULL. */
struct mem_object *mem_find(struct mem_store *s, const char *name, size_t len);
/* 0 and an object, borrowed; -ENOENT, -ENOTDIR, -EISDIR. */
int mem_get_object(struct mem_store *s, const char *name,
		   struct mem_object **out);
/* The same for a new one; -EEXIST, -ENOTDIR, -ENOMEM. */
int mem_create_object(struct mem_store *s, const char *name,
		      struct mem_object **out);
uint64_t mem_free_bytes(const struct mem_store *s);
/* Makes the folders on the way to name; 0, -ENOTDIR, -ENOMEM. */
int mem_make_folders(struct mem_store *s, const char *name);
/* Room for `size` bytes, new ones zero; 0, -ENOSPC, -ENOMEM. */
int mem_grow(struct mem_store *s, struct mem_object *o, uint64_t size);
/* Takes it out of the table; it stays while files of it are open. */
void mem_take_out(struct mem_store *s, struct mem_object *o);
void mem_put_object(struct mem_store *s, struct mem_object *o);

#endif
