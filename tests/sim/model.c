/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model.c - the events of one life, as clients tell them (see model.h).
 */
#include "model.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/must.h"

static void *zalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	MUST(p != NULL);
	return p;
}

struct model *model_new(unsigned threads)
{
	struct model *m = zalloc(1, sizeof(*m));

	m->threads = threads;
	m->clock = 1;
	for (unsigned i = 0; i < threads; i++) {
		m->log[i] = zalloc(1, sizeof(*m->log[i]));
		m->log[i]->vars = SLOTS;
	}
	return m;
}

void model_free(struct model *m)
{
	if (!m)
		return;
	for (unsigned i = 0; i < m->threads; i++)
		free(m->log[i]);
	for (unsigned i = 1; i <= m->things; i++) {
		free(m->thing[i].base);
		free(m->thing[i].event);
	}
	free(m);
}

unsigned model_find(const struct model *m, uint64_t ino)
{
	for (unsigned i = 1; i <= m->things; i++)
		if (m->thing[i].ino == ino)
			return i;
	return 0;
}

uint32_t model_var(const struct model *m, unsigned thing, enum var_of_thing var)
{
	const struct thing *t = &m->thing[thing];

	return m->log[t->thread]->now[t->vars + var];
}

/* ---- a new life ---- */

static unsigned adopt(struct model *m, const struct thing *old,
		      const struct seen_inode *si)
{
	struct thing *t = &m->thing[++m->things];
	struct client_log *log = m->log[old->thread];

	*t = (struct thing){
		.ino = old->ino,
		.thread = old->thread,
		.type = old->type,
		.unit = old->unit,
		.vars = log->vars,
		.base_cells = si->cells,
		.cells = si->cells,
		.base_mtime = si->mtime,
		.mtime = si->mtime,
		.stamps = old->stamps,
		.stamps_before = old->stamps,
	};
	t->base = zalloc(si->cells, sizeof(*t->base));
	if (si->cells)
		memcpy(t->base, si->cell, si->cells * sizeof(*t->base));
	t->event = zalloc(EVENTS_MAX, sizeof(*t->event));
	log->base[t->vars + VAR_MODE] = si->mode & 07777;
	for (unsigned x = 0; x < XATTRS; x++)
		log->base[t->vars + VAR_XATTR + x] = si->xattr[x];
	log->vars += VARS_OF_THING;
	return m->things;
}

struct model *model_next(const struct model *m, const struct seen *seen)
{
	struct model *next = model_new(m->threads);
	unsigned became[THREADS * SLOTS];

	for (unsigned i = 0; i < seen->inodes; i++) {
		const struct seen_inode *si = &seen->inode[i];

		MUST(si->thing != 0);
		became[i] = adopt(next, &m->thing[si->thing], si);
	}
	for (unsigned u = 0; u < m->threads; u++) {
		for (unsigned s = 0; s < SLOTS; s++)
			if (seen->slot[u][s])
				next->log[u]->base[s] =
					became[seen->slot[u][s] - 1];
		memcpy(next->log[u]->now, next->log[u]->base,
		       sizeof(next->log[u]->now));
	}
	return next;
}

/* ---- events ---- */

bool model_has_room(const struct model *m, unsigned thread)
{
	return m->log[thread]->events + 4 <= EVENTS_MAX;
}

unsigned model_thing(struct model *m, unsigned thread, uint32_t type,
		     uint32_t unit)
{
	struct client_log *log = m->log[thread];
	struct thing *t;

	if (m->things == THINGS_MAX)
		return 0;
	t = &m->thing[++m->things];
	*t = (struct thing){
		.thread = thread,
		.type = type,
		.unit = unit,
		.vars = log->vars,
	};
	t->event = zalloc(EVENTS_MAX, sizeof(*t->event));
	log->vars += VARS_OF_THING;
	return m->things;
}

static void thing_note(struct model *m, unsigned thing, unsigned event)
{
	struct thing *t = &m->thing[thing];

	if (thing)
		t->event[t->events++] = event;
}

struct event *model_begin(struct model *m, unsigned thread,
			  enum event_kind kind, unsigned thing)
{
	struct client_log *log = m->log[thread];
	struct event *ev = &log->event[log->events];

	MUST(log->events < EVENTS_MAX);
	*ev = (struct event){
		.kind = kind,
		.thing = thing,
		.s = m->position(m->arg),
		.e = SIZE_MAX,
		.t0 = m->clock++,
		.t1 = UINT64_MAX,
		.order = log->ordered,
	};
	if (kind == EV_CHANGE || kind == EV_TRUNCATE)
		log->at[log->ordered++] = log->events;
	if (kind != EV_CHANGE)
		thing_note(m, thing, log->events);
	log->events++;
	return ev;
}

void event_set(struct event *ev, unsigned var, uint32_t value)
{
	MUST(ev->sets < 3);
	ev->set[ev->sets++] = (struct var_set){(uint16_t)var, value};
}

struct event *model_write(struct model *m, unsigned thread, unsigned t,
			  uint32_t first, uint32_t n)
{
	struct thing *th = &m->thing[t];
	struct event *ev;

	if (th->stamps == STAMPS_MAX)
		return NULL;
	MUST(first + n <= CELLS_MAX);
	ev = model_begin(m, thread, EV_WRITE, t);
	ev->first = first;
	ev->n = n;
	ev->stamp = ++th->stamps;
	th->write_of[ev->stamp] = (unsigned)(ev - m->log[thread]->event);
	return ev;
}

/*
 * fsync waits for the record with the newest change of the inode, and so for
 * everything before it. What that change is may depend on write-back; it is not
 * before the last thing done to it began.
 */
struct event *model_promise(struct model *m, unsigned thread, unsigned t)
{
	struct client_log *log = m->log[thread];
	struct event *ev = model_begin(m, thread, EV_PROMISE, t);

	if (!t) {
		ev->after = ev->t0;
		ev->own = log->ordered;
		ev->times = ev->data = true;
		return ev;
	}
	for (unsigned i = 0; i + 1 < log->events; i++) {
		const struct event *old = &log->event[i];
		bool about = old->thing == t || old->settled[0] == t ||
			     old->settled[1] == t;

		if (!about || old->kind == EV_PROMISE || old->kind == EV_TIMES)
			continue;
		ev->after = old->t0;
		if (old->kind == EV_CHANGE || old->kind == EV_TRUNCATE)
			ev->own = old->order + 1;
	}
	return ev;
}

void model_cancel(struct model *m, unsigned thread, struct event *ev)
{
	ev->sets = 0;
	ev->settled[0] = ev->settled[1] = 0;
	model_end(m, thread, ev);
}

void model_end(struct model *m, unsigned thread, struct event *ev)
{
	struct client_log *log = m->log[thread];
	struct thing *t = &m->thing[ev->thing];

	ev->e = m->position(m->arg);
	ev->t1 = m->clock++;
	for (unsigned i = 0; i < ev->sets; i++)
		log->now[ev->set[i].var] = ev->set[i].value;
	for (unsigned i = 0; i < 2; i++)
		thing_note(m, ev->settled[i], (unsigned)(ev - log->event));
	if (ev->kind == EV_TRUNCATE)
		t->cells = ev->first;
	if (ev->kind == EV_WRITE && ev->first + ev->n > t->cells)
		t->cells = ev->first + ev->n;
	if (ev->kind == EV_TIMES)
		t->mtime = ev->mtime;
	if (ev->kind == EV_TRUNCATE || ev->kind == EV_WRITE)
		t->mtime = 0;
}
