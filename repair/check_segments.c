/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which data segments there are. Sealed ones have fragments; so have open ones
 * that were being entered when the mount ended. Other open ones have their
 * bytes in the journal: check_files.c reads those. Dead ones may be half gone
 * already, so they only count as known.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "repair/check_impl.h"

#define PAGE 32

typedef int each_fn(struct check *c, const struct segment_row *row);

static int walk(struct check *c, enum seg_state state, each_fn *each)
{
	AUTO_FREE struct segment_row *row = mem_calloc(PAGE, sizeof(*row));
	struct seg_id after = {0};
	int n = PAGE, rc = row ? 0 : -ENOMEM;

	while (rc == 0 && n == PAGE) {
		index_lock(c->t->ix);
		n = segment_list(c->t->ix, state, after, row, PAGE);
		index_unlock(c->t->ix);
		for (int i = 0; i < n && rc == 0; i++)
			rc = each(c, &row[i]);
		if (n > 0)
			after = row[n - 1].desc.id;
	}
	if (n < 0 && rc == 0)
		rc = n;
	return rc;
}

static int add_up(struct check *c, const struct segment_row *row)
{
	c->todo += stripe_bytes(&row->desc);
	return 0;
}

int check_add_up(struct check *c)
{
	const struct manifest *m = c->t->manifest;
	struct segment_totals totals = {0};
	int rc = 0;

	for (uint32_t i = 0; m && i < m->segments; i++)
		c->todo += stripe_bytes(&m->segment[i].desc);
	if (c->t->ix)
		rc = walk(c, SEG_SEALED, add_up);
	if (c->t->ix && c->o->read_data) {
		index_lock(c->t->ix);
		segment_get_totals(c->t->ix, &totals);
		index_unlock(c->t->ix);
	}
	c->todo += totals.live_bytes;
	return check_own_trouble(rc) ? rc : 0;
}

static int look_at(struct check *c, const struct segment_row *row)
{
	char subject[64];

	if (row->desc.stripe.v != 0)
		return stripe_check(c, &row->desc, "segment");
	if (row->state == SEG_OPEN)
		return 0;
	(void)snprintf(subject, sizeof(subject), "segment: %" PRIu64,
		       row->desc.id.v);
	check_report(c, FINDING_INDEX_SEGMENT_FORMAT, subject,
		     "it is sealed and has no fragments");
	return 0;
}

static int know(struct check *c, const struct segment_row *row)
{
	int rc = row->desc.stripe.v ? stripe_know(c, &row->desc) : 0;

	return rc < 0 ? rc : 0;
}

static int walk_all(struct check *c)
{
	int rc = walk(c, SEG_SEALED, look_at);

	if (rc == 0)
		rc = walk(c, SEG_OPEN, look_at);
	if (rc == 0)
		rc = walk(c, SEG_DEAD, know);
	return rc;
}

int check_segments(struct check *c)
{
	int rc;

	if (!c->t->ix)
		return 0;
	rc = walk_all(c);
	c->data_known = rc == 0;
	if (check_own_trouble(rc))
		return rc;
	if (rc < 0)
		check_report(c, FINDING_INDEX_UNREADABLE, "table of segments",
			     "%s", err_text(rc));
	return stripe_flush(c);
}
