/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a new mount may do, by how many members answer (u of n, parity m):
 *
 *     u >= n-m, majority of n     read-write
 *     u >= n-m, no majority       read-write if degraded, else read-only
 *     u <  n-m, u > 0             read-only; read-write only if degraded and
 *                                 accept_rollback
 *     u == 0                      refused
 *
 * n-m members hold at least one copy of every acknowledged record (C2), so a
 * writer that sees fewer may build on a state that others have gone beyond.
 * Without a majority somebody else may be writing to the other half. Both
 * numbers together are the quorum; members whose lease could not be read do
 * not count towards it, as they would not tell of another writer.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mutant.h"
#include "backend/driver.h"
#include "backend/pool_impl.h"

#define LIST_MAX 1200

static void list_add(char *list, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void list_add(char *list, const char *fmt, ...)
{
	size_t len = strlen(list);
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(list + len, LIST_MAX - len, fmt, ap) < 0)
		list[len] = '\0';
	va_end(ap);
}

/* "/a (No such file or directory), /b (folder is empty ...)" */
static void list_missing(const struct pool *p, char list[LIST_MAX])
{
	list[0] = '\0';
	for (unsigned i = 0; i < p->n; i++) {
		const struct member *m = &p->member[i];
		const char *path = m->path ? m->path : p->sb.member[i].path;

		if (member_up(m))
			continue;
		list_add(list, "%s%s (%s)", list[0] ? ", " : "",
			 driver_location_path(path),
			 err_text(m->why ? m->why : -ERR_BACKEND_DOWN));
	}
}

static void tell_no_majority(const struct pool *p, unsigned up,
			     struct diag *diag)
{
	char missing[LIST_MAX];

	list_missing(p, missing);
	diag_fail(diag, 0,
		  "only %u of %u folders are there, no majority: somebody else "
		  "may be writing to the others. Missing: %s. Attach them and "
		  "try again, mount with -o ro, or, if you are sure that the "
		  "others are not in use, with -o degraded",
		  up, p->n, missing);
}

static void tell_unread(const struct pool *p, struct diag *diag)
{
	char unread[LIST_MAX] = "";

	for (unsigned i = 0; i < p->n; i++)
		if (member_up(&p->member[i]) && p->member[i].lease_unread)
			list_add(unread, "%s%s", unread[0] ? ", " : "",
				 driver_location_path(p->member[i].path));
	diag_fail(diag, 0,
		  "another host may have the pool mounted: its lease cannot be "
		  "read in %s. Check these folders and try again, mount with "
		  "-o ro, or, if you are sure that nobody uses the pool, with "
		  "-o degraded",
		  unread);
}

static void tell_too_few(const struct pool *p, unsigned up, struct diag *diag)
{
	char missing[LIST_MAX];

	list_missing(p, missing);
	diag_fail(diag, 0,
		  "only %u of %u folders are there, writing needs %u. Missing: "
		  "%s. Attach them and try again, or mount with -o ro; -o "
		  "degraded,accept_rollback writes without them and may lose "
		  "what was acknowledged last",
		  up, p->n, p->n - p->geo.m, missing);
}

static void tell_none(const struct pool *p, struct diag *diag)
{
	char missing[LIST_MAX];

	list_missing(p, missing);
	diag_fail(diag, 0,
		  "none of the %u folders can be reached: %s. Attach them and "
		  "try again",
		  p->n, missing);
}

/* What keeps a pool read-only whoever is there. 0: nothing does. */
static int frozen(const struct pool *p, struct diag *diag)
{
	if (superblock_must_not_write(&p->sb))
		return diag_fail(diag, -ERR_FEATURE,
				 "the pool uses features that this version of "
				 "mendfs can only read: mount with -o ro, or "
				 "update mendfs");
	if (p->diverged)
		return diag_fail(diag, -ERR_DIVERGED,
				 "the pool's folders hold histories that went "
				 "apart: it can be mounted with -o ro only");
	if (p->read_only)
		return diag_fail(diag, -EROFS,
				 "the pool was opened for reading only");
	return 0;
}

unsigned pool_quorum(const struct pool *p)
{
	return MAX(p->n / 2 + 1, p->n - p->geo.m);
}

/* Would the members that were heard have told of a writer on another host? */
static bool would_know(const struct pool *p)
{
	unsigned heard = 0;

	for (unsigned i = 0; i < p->n; i++)
		heard += member_up(&p->member[i]) && !p->member[i].lease_unread;
	return heard >=
	       (MUTANT(EPOCH_WITH_TOO_FEW) ? p->n / 2 + 1 : pool_quorum(p));
}

static enum pool_access judge_counts(const struct pool *p,
				     const struct pool_rule_options *o,
				     struct diag *diag, int *rc_out)
{
	unsigned up = pool_up(p);
	bool enough = up + p->geo.m >= p->n || MUTANT(EPOCH_WITH_TOO_FEW);

	if (enough && would_know(p))
		return POOL_READ_WRITE;
	if (o->degraded && (enough || o->accept_rollback))
		return POOL_READ_WRITE;
	*rc_out = enough ? -ERR_NO_MAJORITY : -ERR_TOO_FEW;
	if (enough && 2 * up > p->n)
		tell_unread(p, diag);
	else if (enough)
		tell_no_majority(p, up, diag);
	else
		tell_too_few(p, up, diag);
	return POOL_READ_ONLY;
}

enum pool_access pool_judge(const struct pool *p,
			    const struct pool_rule_options *o,
			    struct diag *diag, int *rc_out)
{
	*rc_out = 0;
	if (!pool_up(p)) {
		*rc_out = -ERR_TOO_FEW;
		tell_none(p, diag);
		return POOL_REFUSED;
	}
	if (o->read_only)
		return POOL_READ_ONLY;
	*rc_out = frozen(p, diag);
	if (*rc_out)
		return POOL_READ_ONLY;
	return judge_counts(p, o, diag, rc_out);
}
