/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects that nothing refers to: what a mount left that was cut off, or that
 * could not be deleted because its folder was away. They do no harm, and one
 * is only called so where everything that might refer to it could be read:
 * never when a newer checkpoint, records or folders are out of sight.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "backend/backend.h"
#include "repair/check_impl.h"

struct folder {
	struct check *c;
	unsigned member;
	struct backend *backend;
	const char *top; /* "data" or "index" */
};

/* "data/2a/<segment>-<stripe>.<fragment>": the last two. */
static bool parse(const char *name, uint64_t *stripe, unsigned long *fragment)
{
	const char *dash = strrchr(name, '-');
	char *end;

	if (!dash)
		return false;
	*stripe = strtoull(dash + 1, &end, 16);
	if (*end != '.')
		return false;
	*fragment = strtoul(end + 1, &end, 10);
	return *end == 0;
}

/* Is it the very object that something refers to, in the right folder? */
static bool is_known(const struct folder *f, const char *name)
{
	struct seg_desc d = {0};
	const struct known_stripe *k;
	const struct hnode *n;
	unsigned long fragment;
	char right[DRV_NAME_MAX + 1];

	if (!parse(name, &d.stripe.v, &fragment))
		return false;
	n = htab_find(&f->c->stripes, d.stripe.v);
	if (!n)
		return false;
	k = (const struct known_stripe *)n;
	if (fragment >= k->n || k->home[fragment] != f->member)
		return false;
	d.id = k->id;
	d.kind = k->kind;
	frag_name(&d, (unsigned)fragment, right);
	return strcmp(name, right) == 0;
}

static void look_at(const struct folder *f, const char *name, uint64_t size)
{
	struct check *c = f->c;

	if (size == UINT64_MAX || is_known(f, name))
		return;
	c->totals->orphans++;
	c->totals->orphan_bytes += size;
	check_report(c, FINDING_ORPHAN_OBJECT, check_member_path(c, f->member),
		     "%s, %" PRIu64 " bytes", name, size);
}

/* 0, or an error of this process. *out NULL: told. */
static int list(const struct folder *f, const char *name, struct bio **out)
{
	struct bio *bio = bio_new_list(name);
	int rc = bio_run(f->backend, bio);

	*out = bio;
	if (rc == 0)
		return 0;
	bio_unref(bio);
	*out = NULL;
	if (check_own_trouble(rc))
		return rc;
	check_report(f->c, FINDING_FOLDER_UNLISTED,
		     check_member_path(f->c, f->member), "%s: %s", name,
		     err_text(rc));
	return 0;
}

static int walk_sub(const struct folder *f, const char *name)
{
	AUTO_BIO struct bio *objects = NULL;
	int rc = list(f, name, &objects);

	for (unsigned i = 0; objects && i < bio_list_count(objects); i++) {
		uint64_t size;
		const char *object = bio_list_at(objects, i, &size);

		look_at(f, object, size);
	}
	return rc < 0 ? rc : check_go_on(f->c);
}

static int walk_top(const struct folder *f)
{
	AUTO_BIO struct bio *subs = NULL;
	int rc = list(f, f->top, &subs);

	for (unsigned i = 0; subs && i < bio_list_count(subs) && rc == 0; i++) {
		uint64_t size;
		const char *name = bio_list_at(subs, i, &size);

		if (size != UINT64_MAX)
			look_at(f, name, size);
		else if (driver_name_ok(name))
			rc = walk_sub(f, name);
	}
	return rc;
}

static int walk_member(struct check *c, unsigned i)
{
	struct folder f = {
		.c = c,
		.member = i,
		.backend = c->t->pool->member[i].backend,
		.top = "data",
	};
	int rc = 0;

	if (!f.backend)
		return 0;
	if (c->data_known)
		rc = walk_top(&f);
	f.top = "index";
	if (rc == 0 && c->index_known)
		rc = walk_top(&f);
	return rc;
}

int check_objects(struct check *c)
{
	int rc = 0;

	if (c->unsure)
		return 0;
	for (unsigned i = 0; i < c->t->pool->n && rc == 0; i++)
		rc = walk_member(c, i);
	return rc;
}
