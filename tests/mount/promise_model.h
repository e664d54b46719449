/* SPDX-License-Identifier: Apache-2.0 */
/*
 * promise_model.h - what a manifest says of names and files.
 *
 * A record is a manifest as read. A moment is the state of all names between
 * two changes of them; moments are counted from 0. A replay of a record up to
 * moment f has the names of f, and for each file what its cells may be. P1 to
 * P4 are in promise_check.c.
 */
#ifndef MENDFS_TESTS_PROMISE_MODEL_H
#define MENDFS_TESTS_PROMISE_MODEL_H

#include "promise.h"

#define NAMES_MAX 512
#define FOLDER	  UINT32_MAX /* instead of a file's number */

struct event {
	char op;
	char path[PATH_ROOM], to[PATH_ROOM];
	uint32_t first, n, stamp;
};

struct entry {
	char path[PATH_ROOM];
	uint32_t file;
};

struct names {
	struct entry at[NAMES_MAX];
	unsigned n;
	uint32_t files; /* numbered so far */
	uint32_t moment;
};

struct file {
	uint32_t *cur, *stable;
	bool *zero_ok;
	uint32_t room; /* of these, in cells */
	uint32_t size, stable_size, min, max;
	uint32_t promised; /* newest write when it was stable */
};

struct written {
	uint32_t file, first, n;
};

/* What is known of one process. */
struct record {
	unsigned id;
	uint64_t key;
	struct event *event;
	size_t events;
	uint32_t stamps, files, promises;
};

/* A replay of the record up to moment F. */
struct replay {
	const struct record *r;
	uint32_t f;
	struct names now, at_f;
	struct file *file;	 /* by number */
	struct written *written; /* by stamp */
	uint32_t stamp;		 /* newest */
};

/* calloc that ends the process instead of failing. */
void *must_alloc(size_t n, size_t size);

/* 1: read, 0: there is none, -1: it is damaged. free(r->event). */
int record_read(const char *manifest, unsigned id, struct record *r);
/* The last moment that was promised (P1). */
uint32_t record_promised(const struct record *r);

void names_add(struct names *n, const char *path, uint32_t file);
/* Is it a change of names? Then it is done, and a new moment begins. */
bool names_apply(struct names *n, const struct event *e);
/* Of paths and types, in any order. */
uint64_t names_hash(const struct names *n);

struct replay *replay_new(const struct record *r, uint32_t f);
void replay_free(struct replay *p);
/* May cell c of file i have been made by write v (0: is it zeros)? P3, P4. */
bool replay_cell_ok(const struct replay *p, uint32_t i, uint32_t c, uint32_t v);
/* Names that the file has at moment f. */
unsigned replay_links(const struct replay *p, uint32_t i);

#endif
