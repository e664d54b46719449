/* SPDX-License-Identifier: Apache-2.0 */
/*
 * htab.h - an intrusive hash table with 64-bit keys.
 *
 * The table never owns entries. Inserting cannot fail once the table exists:
 * growth that finds no memory leaves longer chains. Chained buckets, doubled
 * at load 1; the key is mixed with a 64-bit finalizer (splitmix64), so counters
 * spread well. Not thread-safe: callers hold their own lock.
 */
#ifndef MENDFS_BASE_HTAB_H
#define MENDFS_BASE_HTAB_H

#include <stddef.h>
#include <stdint.h>

struct hnode {
	struct hnode *next;
	uint64_t key;
};
struct htab {
	struct hnode **bucket;
	size_t mask; /* buckets - 1 */
	size_t count;
};

/* 0 or -ENOMEM. */
int htab_init(struct htab *t);
/* Frees the buckets, not the entries. */
void htab_release(struct htab *t);
/* First entry with this key, or NULL. */
struct hnode *htab_find(const struct htab *t, uint64_t key);
/* The next one with the same key after n, or NULL (keys may repeat). */
struct hnode *htab_find_next(const struct hnode *n);
void htab_insert(struct htab *t, struct hnode *n, uint64_t key);
/* n must be in t. */
void htab_remove(struct htab *t, struct hnode *n);
/* Iteration in no order; removing the visited entry is allowed. */
struct hnode *htab_first(const struct htab *t);
struct hnode *htab_next(const struct htab *t, const struct hnode *n);

#endif
