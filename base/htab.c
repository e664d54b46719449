/* SPDX-License-Identifier: Apache-2.0 */
#include "base/htab.h"

#include <errno.h>

#include "base/mem.h"
#include "base/must.h"

#define FIRST_BUCKETS 16

/* The finalizer of splitmix64: every input bit reaches the low ones. */
static uint64_t mix(uint64_t key)
{
	key = (key ^ (key >> 30)) * 0xbf58476d1ce4e5b9;
	key = (key ^ (key >> 27)) * 0x94d049bb133111eb;
	return key ^ (key >> 31);
}

static struct hnode **chain_of(const struct htab *t, uint64_t key)
{
	return &t->bucket[mix(key) & t->mask];
}

int htab_init(struct htab *t)
{
	*t = (struct htab){.mask = FIRST_BUCKETS - 1};
	t->bucket = mem_calloc(FIRST_BUCKETS, sizeof(*t->bucket));
	return t->bucket ? 0 : -ENOMEM;
}

void htab_release(struct htab *t)
{
	mem_free(t->bucket);
	*t = (struct htab){0};
}

static struct hnode *first_with_key(struct hnode *n, uint64_t key)
{
	while (n && n->key != key)
		n = n->next;
	return n;
}

struct hnode *htab_find(const struct htab *t, uint64_t key)
{
	return first_with_key(*chain_of(t, key), key);
}

struct hnode *htab_find_next(const struct hnode *n)
{
	return first_with_key(n->next, n->key);
}

static void push(struct htab *t, struct hnode *n)
{
	struct hnode **chain = chain_of(t, n->key);

	n->next = *chain;
	*chain = n;
}

/* Without memory the table stays as it is, and the next insert tries again. */
static void try_grow(struct htab *t)
{
	size_t old_buckets = t->mask + 1;
	struct hnode **old = t->bucket;
	struct hnode **wide = mem_calloc(old_buckets, 2 * sizeof(*wide));

	if (!wide)
		return;
	t->bucket = wide;
	t->mask = 2 * old_buckets - 1;
	for (size_t i = 0; i < old_buckets; i++) {
		struct hnode *next;

		for (struct hnode *n = old[i]; n; n = next) {
			next = n->next;
			push(t, n);
		}
	}
	mem_free(old);
}

void htab_insert(struct htab *t, struct hnode *n, uint64_t key)
{
	if (t->count > t->mask)
		try_grow(t);
	n->key = key;
	push(t, n);
	t->count++;
}

/* n keeps its link, so that htab_next still works on the removed entry. */
void htab_remove(struct htab *t, struct hnode *n)
{
	struct hnode **link = chain_of(t, n->key);

	while (*link && *link != n)
		link = &(*link)->next;
	MUST(*link);
	*link = n->next;
	t->count--;
}

static struct hnode *first_from(const struct htab *t, size_t bucket)
{
	for (size_t i = bucket; i <= t->mask; i++) {
		if (t->bucket[i])
			return t->bucket[i];
	}
	return NULL;
}

struct hnode *htab_first(const struct htab *t)
{
	return first_from(t, 0);
}

struct hnode *htab_next(const struct htab *t, const struct hnode *n)
{
	if (n->next)
		return n->next;
	return first_from(t, (mix(n->key) & t->mask) + 1);
}
