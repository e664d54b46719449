/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants D, E, G (see audit.h). */
#include "audit.h"

#include <stdio.h>
#include <string.h>

#include "fs/inspect.h"
#include "fs/volume_impl.h"
#include "repair/check.h"
#include "report.h"

/* ---- D ---- */

static void audit_segment(const struct history *h, struct volume *v,
			  const struct seg_desc *d, bool whole)
{
	enum frag_state state[EC_TOTAL_MAX];
	unsigned good = store_check(v->store, d, false, state);

	report_tally()->segments++;
	if (good < d->k)
		report_fail("D segment %llu: %u good fragments of %u+%u",
			    (unsigned long long)d->id.v, good, d->k, d->m);
	if (whole && (good != (unsigned)(d->k + d->m) || d->m != h->m))
		report_fail("D segment %llu: %u good fragments of %u+%u, "
			    "though no folder was ever missing",
			    (unsigned long long)d->id.v, good, d->k, d->m);
}

static void audit_segments(const struct history *h, struct volume *v,
			   bool whole)
{
	struct segment_totals totals;
	struct segment_row row;
	struct seg_id after = {0};
	int n;

	for (;;) {
		index_lock(v->ix);
		n = segment_list(v->ix, SEG_SEALED, after, &row, 1);
		segment_get_totals(v->ix, &totals);
		index_unlock(v->ix);
		if (n <= 0)
			break;
		after = row.desc.id;
		audit_segment(h, v, &row.desc, whole);
	}
	if (n < 0)
		report_fail("D segments: %s", err_name(n));
	if (totals.open > 0)
		report_fail("D %llu segments are open after recovery",
			    (unsigned long long)totals.open);
}

/* ---- E ---- */

static void audit_epochs(const struct history *h, struct volume *v)
{
	const struct superblock *sb = &v->pool->sb;
	const struct epoch *e = sb->epoch;
	unsigned up = 0, claims = 0;
	char name[32];

	/* Two that were only claimed, each without the other's folder, may
	 * have one number; the newest has its own. */
	for (unsigned i = 1; i < sb->epochs; i++)
		if (e[i].number < e[i - 1].number + (i + 1 == sb->epochs) ||
		    memcmp(e[i].id, e[i - 1].id, sizeof(e->id)) == 0)
			report_fail("E epoch %llu comes after %llu",
				    (unsigned long long)e[i].number,
				    (unsigned long long)e[i - 1].number);
	snprintf(name, sizeof(name), "epoch.%llu",
		 (unsigned long long)e[sb->epochs - 1].number);
	for (unsigned i = 0; i < h->n; i++) {
		const uint8_t *data;
		size_t len;

		if (!v->pool->member[i].backend)
			continue;
		up++;
		claims += sim_disk_peek(i, name, &data, &len);
	}
	if (2 * claims <= up)
		report_fail("E %s is on %u of %u folders", name, claims, up);
}

void audit_volume(const struct history *h, struct volume *v, bool whole)
{
	audit_segments(h, v, whole);
	audit_epochs(h, v);
}

/* ---- G ---- */

static void tell(void *arg, const char *code, const char *text)
{
	char *out = arg;

	if (!out[0])
		snprintf(out, 400, "%s: %s", code, text);
}

void audit_index(struct volume *v)
{
	char text[400] = "";
	int n = index_check(v->ix, tell, text);

	report_tally()->audits++;
	if (n != 0)
		report_fail("G %d findings: %s", n, text);
}

/* ---- as fsck does ---- */

struct findings {
	bool whole;
	char text[600];
};

static void take_finding(void *arg, const struct finding *f)
{
	struct findings *all = arg;
	enum severity bad = all->whole ? SEVERITY_WARNING : SEVERITY_ERROR;

	if (finding_severity(f->id) >= bad && !all->text[0])
		snprintf(all->text, sizeof(all->text), "%s %.300s %.200s",
			 finding_name(f->id), f->subject, f->detail);
}

static struct check_target target_of(const struct inspect *in)
{
	return (struct check_target){
		.pool = in->pool,
		.store = in->store,
		.manifest = in->manifest_rc == 0 ? &in->manifest : NULL,
		.ix = in->ix,
		.index_rc = in->index_rc,
		.js = in->js,
		.scanned = in->scanned,
		.scan_rc = in->scan_rc,
		.scan = in->scan,
		.local = in->local_rc == 0 ? &in->local : NULL,
		.local_unreadable = in->local_rc == -ERR_AUTH,
	};
}

void audit_pool(const struct history *h, bool whole)
{
	struct findings all = {.whole = whole};
	struct check_options co = {
		.read_data = true, .report = take_finding, .arg = &all};
	struct check_totals totals;
	struct check_target t;
	struct inspect *in;
	struct diag diag = DIAG_INIT;
	int rc = inspect_open(&h->o, &diag, &in);

	if (rc < 0)
		report_fail("fsck cannot open: %s: %s", err_name(rc),
			    diag.text);
	t = target_of(in);
	rc = check_pool(&t, &co, &totals);
	inspect_close(in);
	if (rc < 0)
		report_fail("fsck: %s", err_name(rc));
	if (all.text[0])
		report_fail("fsck: %s", all.text);
	report_tally()->audits++;
}
