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
 * Without a majority somebody else may be writing to the other half.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

static enum pool_access judge_counts(const struct pool *p,
				     const struct pool_rule_options *o,
				     struct diag *diag, int *rc_out)
{
	unsigned up = pool_up(p);
	bool enough = up + p->geo.m >= p->n;

	if (enough && 2 * up > p->n)
		return POOL_READ_WRITE;
	if (o->degraded && (enough || o->accept_rollback))
		return POOL_READ_WRITE;
	*rc_out = enough ? -ERR_NO_MAJORITY : -ERR_TOO_FEW;
	if (enough)
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
