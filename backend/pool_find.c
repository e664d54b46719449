/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding the members that nobody named.
 *
 * Superblocks remember where each member was. A member that is now found
 * elsewhere says how the pool may have moved: the end that its old and its new
 * path have in common is cut off both, and what is left of the old one is
 * replaced by what is left of the new one in the paths of the others. Besides,
 * a sibling may simply lie beside it. Those guesses come before the remembered
 * paths: where a whole pool was copied, the copies belong together.
 *
 * Whatever is found counts by the id in its authentic superblock, never by
 * where it was. A round looks at all guesses at the same time; what it finds
 * may know of more members (it may be newer), hence another round.
 */
#include <string.h>

#include "backend/pool_impl.h"

#define ROUNDS_MAX  4
#define GUESSES_MAX 128

struct guesses {
	char *at[GUESSES_MAX];
	unsigned n;
};

static void guesses_release(struct guesses *g)
{
	for (unsigned i = 0; i < g->n; i++)
		mem_free(g->at[i]);
	g->n = 0;
}

struct folder *pool_find_by_id(const struct folders *fs,
			       const struct backend_id *id)
{
	for (unsigned i = 0; i < fs->n; i++) {
		struct folder *f = &fs->at[i];

		if (!f->rc && f->newest && !memcmp(&f->id, id, sizeof(*id)))
			return f;
	}
	return NULL;
}

struct folder *pool_find_by_location(const struct folders *fs,
				     const char *location)
{
	for (unsigned i = 0; i < fs->n; i++)
		if (!strcmp(fs->at[i].location, location))
			return &fs->at[i];
	return NULL;
}

/* Takes `location` (NULL: no memory). */
static int guess(struct guesses *g, const struct folders *fs, char *location)
{
	AUTO_FREE char *own = location;

	if (!own)
		return -ENOMEM;
	if (!own[0] || g->n == GUESSES_MAX || pool_find_by_location(fs, own))
		return 0;
	for (unsigned i = 0; i < g->n; i++)
		if (!strcmp(g->at[i], own))
			return 0;
	g->at[g->n++] = steal(&own);
	return 0;
}

/* Bytes of the end that a and b share, cut before a '/'. */
static size_t common_end(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b), n = 0, whole = 0;

	while (n < la && n < lb && a[la - 1 - n] == b[lb - 1 - n]) {
		n++;
		if (a[la - n] == '/')
			whole = n;
	}
	return whole;
}

/* `was` moved to `is`: where would `other` be? */
static int guess_moved(struct guesses *g, const struct folders *fs,
		       const char *was, const char *is, const char *other)
{
	size_t end = common_end(was, is);
	size_t from = strlen(was) - end, to = strlen(is) - end;

	if (strncmp(other, was, from) != 0 || other[from] != '/')
		return 0;
	return guess(g, fs, mem_printf("%.*s%s", (int)to, is, other + from));
}

static int guess_beside(struct guesses *g, const struct folders *fs,
			const char *is, const char *other)
{
	const char *parent = strrchr(is, '/');
	const char *name = strrchr(other, '/');

	if (!parent || !name)
		return 0;
	return guess(g, fs, mem_printf("%.*s%s", (int)(parent - is), is, name));
}

/* By what became of every member that was found elsewhere. */
static int guess_by_others(struct guesses *g, const struct folders *fs,
			   const struct superblock *sb, const char *other)
{
	int rc = 0;

	for (unsigned i = 0; i < sb->n && !rc; i++) {
		const struct folder *f = pool_find_by_id(fs, &sb->member[i].id);
		const char *was = sb->member[i].path;

		if (!f || !strcmp(f->location, was))
			continue;
		rc = guess_moved(g, fs, was, f->location, other);
		if (!rc)
			rc = guess_beside(g, fs, f->location, other);
	}
	return rc;
}

static int guess_members(struct guesses *g, const struct folders *fs,
			 const struct superblock *sb)
{
	int rc = 0;

	for (unsigned i = 0; i < sb->n && !rc; i++) {
		const char *path = sb->member[i].path;

		if (pool_find_by_id(fs, &sb->member[i].id))
			continue;
		rc = guess_by_others(g, fs, sb, path);
		if (!rc)
			rc = guess(g, fs, mem_strdup(path));
	}
	return rc;
}

static const struct pool_id *pool_of(const struct history *h)
{
	return &h->at[0]->sb.pool;
}

/* Places of other pools need no key to be told. */
static void drop_strangers(struct folders *fs, unsigned first,
			   const struct history *h)
{
	unsigned index, other;
	int rc;

	for (unsigned i = first; i < fs->n; i++) {
		struct folder *f = &fs->at[i];

		if (!f->rc && memcmp(&folder_best(f)->clear.pool, pool_of(h),
				     sizeof(struct pool_id)))
			folder_drop(f, -ERR_FOREIGN);
	}
	while ((rc = folders_overlap(fs, first, &index, &other)))
		folder_drop(&fs->at[index], rc);
}

/* The first of several copies of a member counts: guesses come in order. */
static void drop_copies(struct folders *fs, unsigned first)
{
	for (unsigned i = first; i < fs->n; i++) {
		struct folder *f = &fs->at[i];

		if (!f->rc && pool_find_by_id(fs, &f->id) != f)
			folder_drop(f, -ERR_DUPLICATE);
	}
}

static int look_at(struct folders *fs, const struct guesses *g,
		   struct history *h, const struct keyring *keys,
		   uint64_t deadline_ms)
{
	unsigned first = fs->n;
	const char *location[GUESSES_MAX];
	int rc;

	for (unsigned i = 0; i < g->n; i++)
		location[i] = g->at[i];
	rc = folders_attach(fs, location, g->n, false, deadline_ms);
	if (!rc)
		rc = folders_read(fs, first, deadline_ms);
	if (rc)
		return rc;
	drop_strangers(fs, first, h);
	rc = folders_authenticate(fs, first, keys, h);
	if (!rc)
		drop_copies(fs, first);
	return rc;
}

int pool_find_members(struct folders *fs, struct history *h,
		      const struct keyring *keys, uint64_t deadline_ms)
{
	for (unsigned round = 0; round < ROUNDS_MAX; round++) {
		AUTO(guesses_release) struct guesses g = {.n = 0};
		int rc = 0;

		for (unsigned i = 0; i < h->n && !rc; i++)
			rc = guess_members(&g, fs, &h->at[i]->sb);
		if (!rc && g.n)
			rc = look_at(fs, &g, h, keys, deadline_ms);
		if (rc || !g.n)
			return rc;
	}
	return 0;
}
