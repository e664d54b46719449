/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.c - the parts of a check in order, and what they share.
 *
 *   check_super.c      members, superblock slots, this machine's memory
 *   check_journal.c    copies of the journal
 *   check_manifests.c  checkpoints: manifests, index segments, regions
 *   check_index.c      the index's own rules
 *   check_segments.c   which data segments there are
 *   check_stripe.c     the fragments of a segment
 *   check_files.c      chunks: what is really lost, and whose it is
 *   check_objects.c    objects that nothing refers to
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "backend/driver.h"
#include "repair/check_impl.h"

#define DETAIL_BYTES 512
/* A check is in no hurry: an answer that comes late is no damage. */
#define PATIENCE_MS 60000
/* Whole fragments are in memory when data is read. */
#define THREADS_HEADERS 8
#define THREADS_DATA	2

static void hand_out(struct check *c, enum finding_id id, const char *subject,
		     const char *detail)
{
	struct finding f = {.id = id, .subject = subject, .detail = detail};

	c->totals->findings[finding_severity(id)]++;
	c->o->report(c->o->arg, &f);
}

void check_tell(struct check *c, enum finding_id id, const char *subject)
{
	hand_out(c, id, subject, "");
}

void check_report(struct check *c, enum finding_id id, const char *subject,
		  const char *detail, ...)
{
	char text[DETAIL_BYTES];
	va_list ap;

	va_start(ap, detail);
	(void)vsnprintf(text, sizeof(text), detail, ap);
	va_end(ap);
	hand_out(c, id, subject, text);
}

const char *check_member_path(const struct check *c, unsigned slot)
{
	const struct pool *p = c->t->pool;

	if (slot >= p->n || !p->member[slot].path)
		return "?";
	return driver_location_path(p->member[slot].path);
}

int check_go_on(struct check *c)
{
	if (c->o->cancelled && c->o->cancelled(c->o->arg))
		return -ECANCELED;
	return 0;
}

void check_advance(struct check *c, uint64_t bytes)
{
	c->done += bytes;
	if (c->o->progress)
		c->o->progress(c->o->arg, MIN(c->done, c->todo), c->todo);
}

bool check_own_trouble(int rc)
{
	return rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE ||
	       rc == -ECANCELED;
}

static int run(struct check *c)
{
	static int (*const part[])(struct check *) = {
		check_super,	check_journal, check_manifests, check_rules,
		check_segments, check_files,   check_objects,
	};
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(part) && rc == 0; i++) {
		rc = check_go_on(c);
		if (rc == 0)
			rc = part[i](c);
	}
	return rc;
}

static int init(struct check *c)
{
	int rc = htab_init(&c->stripes);

	if (rc == 0)
		rc = htab_init(&c->damaged);
	if (rc == 0)
		rc = htab_init(&c->hits);
	if (rc == 0)
		rc = workq_new("check",
			       c->o->read_data ? THREADS_DATA : THREADS_HEADERS,
			       &c->q);
	return rc;
}

/* In all three tables the node comes first in its entry. */
static void drop_all(struct htab *t)
{
	struct hnode *next, *n = t->bucket ? htab_first(t) : NULL;

	for (; n; n = next) {
		next = htab_next(t, n);
		htab_remove(t, n);
		mem_free(n);
	}
	htab_release(t);
}

int check_pool(const struct check_target *t, const struct check_options *o,
	       struct check_totals *totals)
{
	AUTO_FREE struct check *c = mem_zalloc(sizeof(*c));
	int rc;

	*totals = (struct check_totals){0};
	if (!c)
		return -ENOMEM;
	c->t = t;
	c->o = o;
	c->totals = totals;
	store_set_deadline(t->store, PATIENCE_MS);
	rc = init(c);
	if (rc == 0)
		rc = run(c);
	workq_free(c->q);
	drop_all(&c->stripes);
	drop_all(&c->damaged);
	drop_all(&c->hits);
	return rc;
}
