/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle.c - what may be found after a cut at p.
 *
 * O1  Ordered events are found up to some point of their one order, so of each
 *     thread the first q. If anything found began at time t (the last of those
 *     q, or a write), every ordered event that ended before t is found.
 * O2  A promise that ended at or before p sets such a t, and settles contents:
 *     of one thing, or of all.
 * O3  A rename or link settles the content of what gets a name, if it is found
 *     itself and nobody had the file open.
 * O4  A cell is what it was when it was last settled, or of a write since; zero
 *     only if it was in the file and zero at some moment since. What a
 *     truncate that is found cut off does not come back.
 * O5  The size lies between the smallest and the largest since.
 *
 * The smallest q of each thread that fit to its names, attributes and files is
 * found first and raised until O1 holds for all: if any choice fits, this one
 * does.
 */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "model.h"

#define UNCARED	  UINT32_MAX
#define TIMES_MAX 8

/* A thread at the cut. */
struct part {
	unsigned begun; /* ordered events */
	unsigned lo;	/* of them are found at least */
	unsigned promised;
	unsigned q;
	bool match[EVENTS_MAX + 1];
};

struct judge {
	const struct model *m;
	size_t p;
	const struct seen *seen;
	struct verdict *v;
	struct part part[THREADS];
	uint64_t after; /* O1: all that ended before */
	uint64_t all;	/* O2: contents of all settled that ended before */
};

/* A file while its events pass by. */
struct content {
	uint32_t base[CELLS_MAX], cur[CELLS_MAX];
	unsigned since[CELLS_MAX]; /* events that count */
	bool zero[CELLS_MAX];
	uint32_t size, min, max;
	int64_t mtime, mtimes[TIMES_MAX]; /* 0: any */
	unsigned times;
	bool any_time;
};

static bool wrong(struct judge *j, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static bool wrong(struct judge *j, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(j->v->text, sizeof(j->v->text), fmt, ap);
	va_end(ap);
	return false;
}

/* ---- what must be there at least ---- */

/* Ordered events of a thread that ended before t. */
static unsigned ended_before(const struct client_log *log, uint64_t t)
{
	unsigned n = log->ordered;

	while (n > 0 && log->event[log->at[n - 1]].t1 >= t)
		n--;
	return n;
}

static void count_begun(struct judge *j)
{
	for (unsigned u = 0; u < j->m->threads; u++) {
		const struct client_log *log = j->m->log[u];
		unsigned n = log->ordered;

		while (n > 0 && log->event[log->at[n - 1]].s >= j->p)
			n--;
		j->part[u].begun = n;
	}
}

static void count_promises(struct judge *j)
{
	for (unsigned u = 0; u < j->m->threads; u++) {
		const struct client_log *log = j->m->log[u];

		for (unsigned i = 0; i < log->events; i++) {
			const struct event *ev = &log->event[i];

			if (ev->kind != EV_PROMISE || ev->e > j->p)
				continue;
			j->after = MAX(j->after, ev->after);
			j->part[u].lo = MAX(j->part[u].lo, ev->own);
			if (!ev->thing && ev->data)
				j->all = MAX(j->all, ev->t0);
		}
	}
	for (unsigned u = 0; u < j->m->threads; u++) {
		struct part *part = &j->part[u];

		part->lo = MAX(part->lo, ended_before(j->m->log[u], j->after));
		part->promised = part->lo;
		j->v->promised += part->lo;
	}
}

/* O1 for what was read from one file. */
static bool count_writes_of(struct judge *j, const struct seen_inode *si)
{
	const struct thing *t = &j->m->thing[si->thing];
	const struct client_log *log = j->m->log[t->thread];
	struct part *part = &j->part[t->thread];

	for (uint32_t c = 0; c < si->cells; c++) {
		const struct event *ev;

		if (si->cell[c] <= t->stamps_before)
			continue;
		if (si->cell[c] > t->stamps)
			return wrong(j, "F thing %u: cell %u was never written",
				     si->thing, c);
		ev = &log->event[t->write_of[si->cell[c]]];
		if (ev->s >= j->p)
			return wrong(j, "F thing %u: cell %u from the future",
				     si->thing, c);
		part->lo = MAX(part->lo, ev->order);
		j->after = MAX(j->after, ev->t0);
	}
	return true;
}

static bool count_writes(struct judge *j)
{
	for (unsigned i = 0; i < j->seen->inodes; i++) {
		const struct seen_inode *si = &j->seen->inode[i];

		if (si->wrong[0])
			return wrong(j, "F inode %llu thing %u: %s",
				     (unsigned long long)si->ino, si->thing,
				     si->wrong);
		if (!si->thing)
			return wrong(j, "C inode %llu is nobody's",
				     (unsigned long long)si->ino);
		if (!count_writes_of(j, si))
			return false;
	}
	return true;
}

/* ---- names and attributes ---- */

static void observe(const struct judge *j, unsigned u, uint32_t *value)
{
	memset(value, 0xff, j->m->log[u]->vars * sizeof(*value));
	for (unsigned s = 0; s < SLOTS; s++) {
		unsigned i = j->seen->slot[u][s];

		value[s] = i ? j->seen->inode[i - 1].thing : 0;
	}
	for (unsigned i = 0; i < j->seen->inodes; i++) {
		const struct seen_inode *si = &j->seen->inode[i];
		const struct thing *t = &j->m->thing[si->thing];

		if (t->thread != u)
			continue;
		value[t->vars + VAR_MODE] = si->mode & 07777;
		for (unsigned x = 0; x < XATTRS; x++)
			value[t->vars + VAR_XATTR + x] = si->xattr[x];
	}
}

static bool differs(const uint32_t *value, unsigned var, uint32_t is)
{
	return value[var] != UNCARED && value[var] != is;
}

/* Which numbers of ordered events fit to the names and attributes found? */
static void match_vars(struct judge *j, unsigned u)
{
	static uint32_t value[VARS_MAX], is[VARS_MAX];
	const struct client_log *log = j->m->log[u];
	struct part *part = &j->part[u];
	unsigned bad = 0;

	observe(j, u, value);
	memcpy(is, log->base, log->vars * sizeof(*is));
	for (unsigned i = 0; i < log->vars; i++)
		bad += differs(value, i, is[i]);
	part->match[0] = bad == 0;
	for (unsigned q = 0; q < part->begun; q++) {
		const struct event *ev = &log->event[log->at[q]];

		for (unsigned i = 0; i < ev->sets; i++) {
			unsigned var = ev->set[i].var;

			bad -= differs(value, var, is[var]);
			is[var] = ev->set[i].value;
			bad += differs(value, var, is[var]);
		}
		part->match[q + 1] = bad == 0;
	}
}

/* ---- contents ---- */

static void settle(struct content *f, unsigned event, bool times)
{
	for (uint32_t c = 0; c < CELLS_MAX; c++) {
		f->base[c] = c < f->size ? f->cur[c] : 0;
		f->since[c] = event;
		f->zero[c] = c < f->size && f->cur[c] == 0;
	}
	f->min = f->max = f->size;
	if (!times)
		return;
	f->times = 0;
	f->any_time = f->mtime == 0;
	f->mtimes[f->times++] = f->mtime;
}

static void become_zero(struct content *f, uint32_t from, uint32_t to)
{
	for (uint32_t c = from; c < to; c++) {
		f->cur[c] = 0;
		f->zero[c] = true;
	}
}

static void pass_write(struct content *f, const struct event *ev)
{
	become_zero(f, f->size, ev->first);
	for (uint32_t c = ev->first; c < ev->first + ev->n; c++)
		f->cur[c] = ev->stamp;
	f->size = MAX(f->size, ev->first + ev->n);
	f->max = MAX(f->max, f->size);
	f->mtime = 0;
	f->any_time = true;
}

static void pass_truncate(struct content *f, uint32_t size, unsigned event)
{
	for (uint32_t c = size; c < CELLS_MAX; c++) {
		f->base[c] = f->cur[c] = 0;
		f->since[c] = event;
		f->zero[c] = false;
	}
	become_zero(f, f->size, size);
	f->size = f->max = size;
	f->min = MIN(f->min, size);
	f->mtime = 0;
	f->any_time = true;
}

static void pass_times(struct content *f, int64_t mtime)
{
	f->mtime = mtime;
	if (f->times < TIMES_MAX)
		f->mtimes[f->times++] = mtime;
	else
		f->any_time = true;
}

static void content_start(struct content *f, const struct thing *t)
{
	f->size = t->base_cells;
	if (t->base_cells)
		memcpy(f->cur, t->base, t->base_cells * sizeof(*f->cur));
	memset(f->cur + f->size, 0, (CELLS_MAX - f->size) * sizeof(*f->cur));
	f->mtime = t->base_mtime;
	settle(f, 0, true);
}

/* true: neither this event nor a later one of the file can be found. */
static bool is_beyond(const struct judge *j, const struct event *ev, unsigned q)
{
	if (ev->s >= j->p)
		return true;
	if (ev->kind == EV_CHANGE || ev->kind == EV_TRUNCATE)
		return ev->order >= q;
	return ev->kind != EV_PROMISE && ev->order > q;
}

static void pass(const struct judge *j, struct content *f,
		 const struct event *ev, unsigned event)
{
	switch (ev->kind) {
	case EV_WRITE:
		pass_write(f, ev);
		break;
	case EV_TRUNCATE:
		pass_truncate(f, ev->first, event);
		break;
	case EV_TIMES:
		pass_times(f, ev->mtime);
		break;
	case EV_CHANGE: /* O3 */
		settle(f, event, false);
		break;
	case EV_PROMISE:
		if (ev->e <= j->p)
			settle(f, event, ev->times);
	}
}

static void content_follow(const struct judge *j, struct content *f,
			   const struct thing *t, unsigned q)
{
	const struct client_log *log = j->m->log[t->thread];
	bool settled = j->all == 0;

	content_start(f, t);
	for (unsigned i = 0; i < t->events; i++) {
		const struct event *ev = &log->event[t->event[i]];

		if (!settled && ev->t1 > j->all) {
			settle(f, t->event[i], true);
			settled = true;
		}
		if (is_beyond(j, ev, q))
			break;
		pass(j, f, ev, t->event[i]);
	}
	if (!settled)
		settle(f, EVENTS_MAX, true);
}

uint32_t oracle_content(const struct model *m, unsigned thing, uint32_t *cell)
{
	static struct content f;
	const struct judge everything = {.m = m, .p = SIZE_MAX};

	content_follow(&everything, &f, &m->thing[thing], UINT_MAX);
	memcpy(cell, f.cur, f.size * sizeof(*cell));
	return f.size;
}

static bool cell_ok(const struct content *f, const struct thing *t,
		    const struct client_log *log, uint32_t c, uint32_t stamp)
{
	const struct event *ev;

	if (stamp == 0)
		return f->zero[c];
	if (stamp == f->base[c])
		return true;
	if (stamp <= t->stamps_before || t->write_of[stamp] < f->since[c])
		return false;
	ev = &log->event[t->write_of[stamp]];
	return c >= ev->first && c < ev->first + ev->n;
}

static bool mtime_ok(const struct content *f, int64_t mtime)
{
	for (unsigned i = 0; i < f->times; i++)
		if (f->mtimes[i] == mtime)
			return true;
	return f->any_time;
}

/* What was done to a thing, for people: [order]what(begun-ended). */
static bool tell_thing(struct judge *j, unsigned thing)
{
	static const char *const what[] = {"change", "truncate", "write",
					   "times", "promise"};
	const struct thing *t = &j->m->thing[thing];
	const struct client_log *log = j->m->log[t->thread];
	size_t at = strlen(j->v->text);

	for (unsigned i = 0; i < log->events; i++) {
		const struct event *ev = &log->event[i];
		bool all = ev->kind == EV_PROMISE && !ev->thing;

		if (ev->s >= j->p || at + 80 > sizeof(j->v->text))
			break;
		if (!all && ev->thing != thing && ev->settled[0] != thing &&
		    ev->settled[1] != thing)
			continue;
		at += (size_t)snprintf(j->v->text + at, sizeof(j->v->text) - at,
				       "; %u: [%u]%s%s %u+%u(%zu-%zd)", i,
				       ev->order, what[ev->kind],
				       all ? " all" : "", ev->first, ev->n,
				       ev->s, (ssize_t)ev->e);
	}
	return false;
}

/* A and B for one file, if q ordered events of its thread are found. */
static bool file_fits(struct judge *j, const struct seen_inode *si, unsigned q)
{
	static struct content f;
	const struct thing *t = &j->m->thing[si->thing];
	const struct client_log *log = j->m->log[t->thread];

	content_follow(j, &f, t, q);
	if (!mtime_ok(&f, si->mtime))
		return wrong(j, "A thing %u at %u: mtime %lld, not %lld",
			     si->thing, q, (long long)si->mtime,
			     (long long)f.mtimes[0]);
	if (!S_ISREG(t->type))
		return true;
	if (si->cells < f.min || si->cells > f.max)
		return wrong(j, "A thing %u at %u: %u cells, not %u..%u",
			     si->thing, q, si->cells, f.min, f.max);
	for (uint32_t c = 0; c < si->cells; c++)
		if (!cell_ok(&f, t, log, c, si->cell[c]))
			return wrong(j,
				     "%c thing %u at %u: cell %u of %u (%u "
				     "bytes each) is %u; settled %u, since "
				     "event %u; newest %u",
				     si->cell[c] ? 'A' : 'B', si->thing, q, c,
				     si->cells, t->unit, si->cell[c], f.base[c],
				     f.since[c], f.cur[c]);
	return true;
}

static bool fits(struct judge *j, unsigned u, unsigned q)
{
	if (!j->part[u].match[q])
		return false;
	for (unsigned i = 0; i < j->seen->inodes; i++) {
		const struct seen_inode *si = &j->seen->inode[i];

		if (j->m->thing[si->thing].thread == u && !file_fits(j, si, q))
			return tell_thing(j, si->thing);
	}
	return true;
}

/* ---- all threads together ---- */

/* C: what contradicts itself, for people. */
static bool tell_names(struct judge *j, unsigned u)
{
	static uint32_t value[VARS_MAX];
	const struct client_log *log = j->m->log[u];
	const struct part *part = &j->part[u];
	char fit[256] = "";
	size_t at = 0;

	observe(j, u, value);
	for (unsigned q = 0; q <= part->begun && at + 8 < sizeof(fit); q++)
		if (part->match[q])
			at += (size_t)snprintf(fit + at, sizeof(fit) - at,
					       " %u", q);
	at = (size_t)snprintf(
		j->v->text, sizeof(j->v->text),
		"C thread %u: names and attributes fit after%s of %u ordered "
		"events, %u are needed (%u promised); found",
		u, fit[0] ? fit : " none", part->begun, part->lo,
		part->promised);
	for (unsigned i = 0; i < log->vars; i++)
		if (value[i] != UNCARED && at + 24 < sizeof(j->v->text))
			at += (size_t)snprintf(j->v->text + at,
					       sizeof(j->v->text) - at,
					       " %u=%u", i, value[i]);
	return false;
}

/* Raises q of a thread to the smallest that fits and is at least lo. */
static bool raise_to(struct judge *j, unsigned u, unsigned lo)
{
	struct part *part = &j->part[u];

	part->lo = MAX(part->lo, lo);
	j->v->text[0] = 0;
	for (part->q = part->lo; part->q <= part->begun; part->q++)
		if (fits(j, u, part->q)) {
			j->v->text[0] = 0;
			return true;
		}
	/* A file that does not fit has told so. */
	return j->v->text[0] ? false : tell_names(j, u);
}

static bool is_one_moment(struct judge *j)
{
	bool changed;

	for (unsigned u = 0; u < j->m->threads; u++)
		if (!raise_to(j, u, 0))
			return false;
	do {
		changed = false;
		for (unsigned u = 0; u < j->m->threads; u++) {
			const struct client_log *log = j->m->log[u];
			unsigned q = j->part[u].q;

			if (q > 0)
				j->after = MAX(j->after,
					       log->event[log->at[q - 1]].t0);
		}
		for (unsigned u = 0; u < j->m->threads; u++) {
			unsigned need = ended_before(j->m->log[u], j->after);

			if (need <= j->part[u].q)
				continue;
			changed = true;
			if (!raise_to(j, u, need))
				return false;
		}
	} while (changed);
	return true;
}

bool oracle_judge(const struct model *m, size_t p, const struct seen *seen,
		  struct verdict *v)
{
	static struct judge j;

	memset(v, 0, sizeof(*v));
	memset(&j, 0, sizeof(j));
	j.m = m;
	j.p = p;
	j.seen = seen;
	j.v = v;
	if (seen->wrong[0])
		return wrong(&j, "%s", seen->wrong);
	count_begun(&j);
	count_promises(&j);
	if (!count_writes(&j))
		return false;
	for (unsigned u = 0; u < m->threads; u++)
		match_vars(&j, u);
	if (!is_one_moment(&j))
		return false;
	for (unsigned u = 0; u < m->threads; u++)
		v->later += j.part[u].q - j.part[u].promised;
	for (unsigned i = 0; i < seen->inodes; i++) {
		v->files += seen->inode[i].cells > 0;
		v->cells += seen->inode[i].cells;
	}
	return true;
}
