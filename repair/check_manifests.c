/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints: is the newest the one in force, are those kept for bad days
 * readable, and which part of the index is not.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "repair/check_impl.h"

#define INDEX_WHAT "index segment"

/* "checkpoint of record 17" */
static void name_of(const struct manifest_ref *ref, char out[CHECK_SUBJECT])
{
	(void)snprintf(out, CHECK_SUBJECT, "checkpoint of record %" PRIu64,
		       ref->seq);
}

static int check_listed(struct check *c, const struct manifest *m)
{
	int rc = 0;

	for (uint32_t i = 0; i < m->segments && rc == 0; i++)
		rc = stripe_check(c, &m->segment[i].desc, INDEX_WHAT);
	return rc;
}

/* A checkpoint that is not in force. bad: what it is when it is unreadable. */
static int check_other(struct check *c, const struct manifest_ref *ref,
		       enum finding_id bad)
{
	struct manifest m = {0};
	char subject[CHECK_SUBJECT];
	uint8_t hash[32];
	int rc = stripe_check(c, &ref->segment, INDEX_WHAT);

	if (rc < 0)
		return rc;
	rc = manifest_load(c->t->store, ref, &m, hash);
	if (rc == 0)
		rc = check_listed(c, &m);
	else if (!check_own_trouble(rc)) {
		name_of(ref, subject);
		check_report(c, bad, subject, "%s", err_text(rc));
		c->index_known = false;
		rc = 0;
	}
	manifest_release(&m);
	return rc;
}

static bool in_force(const struct check *c, const struct manifest_ref *ref)
{
	const struct manifest_ref *now = &c->t->pool->sb.manifest;

	return c->t->manifest && ref->present && now->present &&
	       ref->segment.stripe.v == now->segment.stripe.v;
}

static int check_candidate(struct check *c, const struct superblock *sb)
{
	if (sb->manifest.present)
		return check_other(c, &sb->manifest,
				   FINDING_MANIFEST_UNREADABLE);
	check_report(c, FINDING_MANIFEST_UNREADABLE, "checkpoint",
		     "a superblock names none");
	return 0;
}

/* Superblocks newer than the one whose manifest is in force; all if none. */
static int check_newer(struct check *c)
{
	AUTO_FREE struct superblock *sb = mem_alloc(sizeof(*sb));
	char subject[CHECK_SUBJECT];
	unsigned passed = 0;
	int rc = sb ? 0 : -ENOMEM;

	for (unsigned i = 0; rc == 0; i++) {
		rc = pool_candidate(c->t->pool, i, sb);
		if (rc < 0 || in_force(c, &sb->manifest))
			break;
		rc = check_candidate(c, sb);
		passed++;
	}
	if (rc == -ENOENT)
		rc = 0;
	c->unsure |= passed > 0;
	if (rc == 0 && c->t->manifest && passed > 0) {
		name_of(&c->t->pool->sb.manifest, subject);
		check_tell(c, FINDING_MANIFEST_OLDER_USED, subject);
	}
	return rc;
}

/* ---- the one in force ---- */

static int check_region(struct check *c, uint32_t region, void *buf)
{
	const struct manifest *m = c->t->manifest;
	const struct region_entry *e = &m->region[region];
	int rc = manifest_read_region(c->t->store, m, region, buf);
	char subject[CHECK_SUBJECT];

	if (rc == 0 || check_own_trouble(rc))
		return rc;
	(void)snprintf(subject, sizeof(subject), "region %" PRIu32, region);
	check_report(c, FINDING_REGION_UNREADABLE, subject,
		     "%s, in index segment %" PRIu64, err_text(rc),
		     m->segment[e->segment].desc.id.v);
	return 0;
}

/* Opening the index has read and hashed all regions; else find the bad ones. */
static int check_regions(struct check *c)
{
	AUTO_FREE void *buf = mem_alloc(INDEX_REGION);
	int rc = buf ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < c->t->manifest->regions && rc == 0; i++) {
		rc = check_go_on(c);
		if (rc == 0)
			rc = check_region(c, i, buf);
	}
	if (rc == 0)
		check_report(c, FINDING_INDEX_UNREADABLE, "index", "%s",
			     err_text(c->t->index_rc));
	return rc;
}

static int check_in_force(struct check *c)
{
	const struct manifest *m = c->t->manifest;
	int rc = stripe_check(c, &c->t->pool->sb.manifest.segment, INDEX_WHAT);

	if (rc == 0)
		rc = check_listed(c, m);
	for (unsigned i = 0; i < m->kept && rc == 0; i++)
		rc = check_other(c, &m->keep[i].ref, FINDING_MANIFEST_KEPT);
	return rc;
}

int check_manifests(struct check *c)
{
	const struct manifest *m = c->t->manifest;
	int rc;

	c->index_known = m != NULL;
	rc = check_newer(c);
	if (rc == 0 && m)
		rc = check_in_force(c);
	if (rc == 0)
		rc = stripe_flush(c);
	if (rc == 0 && m && !c->t->ix)
		rc = check_regions(c);
	return rc;
}
