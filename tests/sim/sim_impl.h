/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_impl.h - what the files of the simulated machine share (private).
 */
#ifndef MENDFS_TESTS_SIM_IMPL_H
#define MENDFS_TESTS_SIM_IMPL_H

#include "sim.h"

#include <sys/types.h>

#include "base/must.h"

#define SIM_LOCAL  SIM_DISKS /* the disk that the cache folder lies on */
#define SIM_PLACES (SIM_DISKS + 1)
#define SIM_NAME   192 /* a name or path with its zero byte */
#define SIM_SECTOR 512 /* what a torn write is torn into */

/*
 * Bytes with a count of owners: sim_blob.c. What changes one takes the place
 * the pointer lies in, and puts a copy there if others own it too.
 */
struct blob;
struct blob *blob_new(void);
/* NULL is allowed, here and below. */
struct blob *blob_ref(struct blob *b);
void blob_unref(struct blob *b);
size_t blob_len(const struct blob *b);
/* Grown with zeros, or cut. */
void blob_resize(struct blob **at, size_t len);
void blob_write(struct blob **at, const void *buf, size_t len, size_t off);
/* Bytes read: fewer than len at the end only. */
size_t blob_read(const struct blob *b, void *buf, size_t len, size_t off);
uint64_t blob_hash(const struct blob *b, uint64_t seed);

/* An object or a folder of a place. Found by name while it is linked. */
struct sim_object {
	char name[SIM_NAME];
	uint64_t hash;	 /* of name */
	uint32_t id;	 /* never used twice within a recording */
	unsigned opened; /* files */
	bool linked;
	bool folder;
	struct blob *blob; /* NULL: a folder */
};

struct sim_place {
	struct sim_object **object; /* linked ones, in order of creation */
	size_t count, cap;
	uint64_t total_bytes;
	bool hidden;
	unsigned shared; /* locks held */
	bool exclusive;
	unsigned attached;
};

extern struct sim_place sim_place[SIM_PLACES];
extern unsigned sim_folders; /* of the pool, as reset */

uint64_t sim_hash(const void *p, size_t len, uint64_t seed);
/* splitmix64: the next number of *state. */
uint64_t sim_mix(uint64_t *state);
/* Notes something that two equal runs must share. */
void sim_note(uint64_t what);

/* calloc and realloc that do not fail. */
void *sim_alloc(size_t n, size_t size);
void *sim_grow(void *p, size_t n, size_t size);

/* ---- objects: sim_disk.c ---- */
struct sim_object *sim_find(unsigned place, const char *name);
/* Made, linked; not recorded. */
struct sim_object *sim_link_new(unsigned place, const char *name, bool folder);
/* Out of the table; freed with its last file. Not recorded. */
void sim_unlink_object(unsigned place, struct sim_object *o);
/* Everything of the place is gone. */
void sim_place_clear(unsigned place);
void sim_object_close(struct sim_object *o);
/* These change an object and record it. */
struct sim_object *sim_make(unsigned place, const char *name);
void sim_write(unsigned place, struct sim_object *o, const void *buf,
	       size_t len, uint64_t off);
void sim_truncate(unsigned place, struct sim_object *o, size_t len);
void sim_remove(unsigned place, struct sim_object *o);
void sim_rename(unsigned place, struct sim_object *o, const char *to);

/* ---- recording: sim_cut.c ---- */
enum sim_change_kind {
	CHANGE_MAKE,	 /* name -> object */
	CHANGE_WRITE,	 /* data at off */
	CHANGE_TRUNCATE, /* to off bytes */
	CHANGE_REMOVE,	 /* name, which was object's */
	CHANGE_RENAME,	 /* of object, from name to name2 */
	SYNC_OBJECT,	 /* content, size and name of object are durable */
	SYNC_CONTENT,	 /* content and size only */
	SYNC_WRITE,	 /* the newest write of object is durable */
	SYNC_NAMES,	 /* every name of the place is durable */
};

struct sim_change {
	enum sim_change_kind kind;
	uint8_t place;
	uint32_t object;
	uint64_t off;
	uint8_t *data;
	size_t len;
	char *name, *name2;
};

/* No-op while nothing is recorded. c: what is pointed to is copied. */
void sim_record_change(enum sim_change_kind kind, unsigned place,
		       const struct sim_object *o, uint64_t off,
		       const void *data, size_t len, const char *name2);

#endif
