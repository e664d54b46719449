/* SPDX-License-Identifier: Apache-2.0 */
#include "promise_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *must_alloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		abort();
	return p;
}

/* ---- the manifest ---- */

static bool parse(const char *line, struct event *e)
{
	*e = (struct event){.op = line[0]};
	switch (e->op) {
	case 'w':
		return sscanf(line, "w %63s %u %u %u", e->path, &e->first,
			      &e->n, &e->stamp) == 4;
	case 't':
		return sscanf(line, "t %63s %u", e->path, &e->n) == 2;
	case 'r':
	case 'l':
		return sscanf(line + 1, " %63s %63s", e->path, e->to) == 2;
	case 's':
	case 'S':
		return true;
	default:
		return strchr("cmduf", e->op) &&
		       sscanf(line + 1, " %63s", e->path) == 1;
	}
}

static bool is_promise(const struct event *e)
{
	return e->op == 'f' || e->op == 's' || e->op == 'S';
}

static void add_event(struct record *r, const struct event *e)
{
	if ((r->events & (r->events - 1)) == 0) {
		size_t room = r->events ? 2 * r->events : 1;

		r->event = realloc(r->event, room * sizeof(*e));
		if (!r->event)
			abort();
	}
	r->event[r->events++] = *e;
	r->stamps = e->stamp > r->stamps ? e->stamp : r->stamps;
	r->files += e->op == 'c';
	r->promises += is_promise(e);
}

int record_read(const char *manifest, unsigned id, struct record *r)
{
	char path[1024], line[256];
	struct event e;
	FILE *f;

	*r = (struct record){.id = id, .key = cell_key(manifest, id)};
	snprintf(path, sizeof(path), "%s.%u", manifest, id);
	f = fopen(path, "r");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (!parse(line, &e)) {
			fclose(f);
			return -1;
		}
		add_event(r, &e);
	}
	fclose(f);
	return 1;
}

/* ---- names ---- */

static struct entry *find(struct names *n, const char *path)
{
	for (unsigned i = 0; i < n->n; i++)
		if (strcmp(n->at[i].path, path) == 0)
			return &n->at[i];
	return NULL;
}

void names_add(struct names *n, const char *path, uint32_t file)
{
	struct entry *e = &n->at[n->n++];

	if (n->n > NAMES_MAX)
		abort();
	memcpy(e->path, path, PATH_ROOM);
	e->file = file;
}

static void take_out(struct names *n, const char *path)
{
	struct entry *e = find(n, path);

	if (e)
		*e = n->at[--n->n];
}

/* Of these both stay, and nobody is asked to rename. */
static bool one_file(struct names *n, const char *from, const char *to)
{
	const struct entry *a = find(n, from), *b = find(n, to);

	return a && b && a->file == b->file && a->file != FOLDER;
}

/* The name itself, or what lies in it. */
static void move(struct names *n, const char *from, const char *to)
{
	size_t len = strlen(from);

	if (one_file(n, from, to))
		return;
	take_out(n, to);
	for (unsigned i = 0; i < n->n; i++) {
		char *path = n->at[i].path, rest[PATH_ROOM];

		if (strncmp(path, from, len) != 0 ||
		    (path[len] && path[len] != '/'))
			continue;
		memcpy(rest, path + len, PATH_ROOM - len);
		snprintf(path, PATH_ROOM, "%.31s%.31s", to, rest);
	}
}

bool names_apply(struct names *n, const struct event *e)
{
	switch (e->op) {
	case 'c':
		names_add(n, e->path, n->files++);
		break;
	case 'm':
		names_add(n, e->path, FOLDER);
		break;
	case 'u':
	case 'd':
		take_out(n, e->path);
		break;
	case 'r':
		move(n, e->path, e->to);
		break;
	case 'l':
		names_add(n, e->to, find(n, e->path)->file);
		break;
	default:
		return false;
	}
	n->moment++;
	return true;
}

static uint64_t hash_of(const char *path, bool folder)
{
	uint64_t h = folder ? 0x9e3779b97f4a7c15ULL : 0xcbf29ce484222325ULL;

	for (; *path; path++)
		h = (h ^ (uint8_t)*path) * 0x100000001b3ULL;
	return h ^ h >> 29;
}

uint64_t names_hash(const struct names *n)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n->n; i++)
		sum += hash_of(n->at[i].path, n->at[i].file == FOLDER);
	return sum;
}

/* ---- files ---- */

static void *grown(void *old, uint32_t from, uint32_t to, size_t size)
{
	char *p = realloc(old, to * size);

	if (!p)
		abort();
	memset(p + from * size, 0, (to - from) * size);
	return p;
}

/* Room for so many cells. */
static void grow(struct file *f, uint32_t cells)
{
	uint32_t room = f->room ? f->room : 16;

	while (room < cells)
		room *= 2;
	if (room == f->room)
		return;
	f->cur = grown(f->cur, f->room, room, sizeof(*f->cur));
	f->stable = grown(f->stable, f->room, room, sizeof(*f->stable));
	f->zero_ok = grown(f->zero_ok, f->room, room, sizeof(*f->zero_ok));
	f->room = room;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static void file_write(struct replay *p, uint32_t i, const struct event *e)
{
	struct file *f = &p->file[i];

	grow(f, e->first + e->n);
	for (uint32_t c = e->first; c < e->first + e->n; c++)
		f->cur[c] = e->stamp;
	f->size = larger(f->size, e->first + e->n);
	f->max = larger(f->max, f->size);
	p->written[e->stamp] = (struct written){i, e->first, e->n};
	p->stamp = e->stamp;
}

static void file_cut(struct file *f, uint32_t cells)
{
	grow(f, cells);
	f->max = larger(f->max, cells);
	for (uint32_t c = cells < f->size ? cells : f->size; c < f->max; c++) {
		f->cur[c] = 0;
		f->zero_ok[c] = true;
	}
	f->size = cells;
	f->min = cells < f->min ? cells : f->min;
}

static void file_stable(struct replay *p, struct file *f)
{
	for (uint32_t c = 0; c < f->room; c++) {
		f->stable[c] = f->cur[c];
		f->zero_ok[c] = false;
	}
	f->stable_size = f->min = f->max = f->size;
	f->promised = p->stamp;
}

bool replay_cell_ok(const struct replay *p, uint32_t i, uint32_t c, uint32_t v)
{
	const struct file *f = &p->file[i];
	const struct written *w = &p->written[v];

	if (v == 0)
		return f->zero_ok[c] || (c < f->stable_size && !f->stable[c]);
	if (c < f->stable_size && v == f->stable[c])
		return true;
	return v > f->promised && w->file == i && c >= w->first &&
	       c < w->first + w->n;
}

unsigned replay_links(const struct replay *p, uint32_t file)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->at_f.n; i++)
		n += p->at_f.at[i].file == file;
	return n;
}

/* ---- replaying up to a moment ---- */

static struct file *file_at(struct replay *p, const char *path)
{
	struct entry *e = find(&p->now, path);

	return e && e->file != FOLDER ? &p->file[e->file] : NULL;
}

static void replay_promise(struct replay *p, const struct event *e)
{
	struct file *f = file_at(p, e->path);

	if (e->op == 'f' && f)
		file_stable(p, f);
	for (uint32_t i = 0; e->op == 'S' && i < p->now.files; i++)
		file_stable(p, &p->file[i]);
}

static void replay_change(struct replay *p, const struct event *e)
{
	struct file *f = file_at(p, e->path);

	/* P3: closed before. */
	if ((e->op == 'r' && f && !one_file(&p->now, e->path, e->to)) ||
	    (e->op == 'l' && f))
		file_stable(p, f);
	if (e->op == 'w')
		file_write(p, find(&p->now, e->path)->file, e);
	if (e->op == 't')
		file_cut(f, e->n);
}

struct replay *replay_new(const struct record *r, uint32_t f)
{
	struct replay *p = must_alloc(1, sizeof(*p));

	p->r = r;
	p->f = f;
	p->file = must_alloc(r->files, sizeof(*p->file));
	p->written = must_alloc((size_t)r->stamps + 1, sizeof(*p->written));
	for (size_t i = 0; i < r->events; i++) {
		const struct event *e = &r->event[i];
		bool names = strchr("cmurdl", e->op);

		if (is_promise(e))
			replay_promise(p, e);
		else if (p->now.moment < p->f ||
			 (p->now.moment == p->f && !names)) /* P2 */
			replay_change(p, e);
		names_apply(&p->now, e);
		if (p->now.moment == p->f)
			p->at_f = p->now;
	}
	return p;
}

void replay_free(struct replay *p)
{
	for (uint32_t i = 0; i < p->r->files; i++) {
		free(p->file[i].cur);
		free(p->file[i].stable);
		free(p->file[i].zero_ok);
	}
	free(p->file);
	free(p->written);
	free(p);
}

/* Are the files those of moment f? */
uint32_t record_promised(const struct record *r)
{
	struct names *n = must_alloc(1, sizeof(*n));
	uint32_t *since = must_alloc((size_t)r->files, sizeof(*since));
	uint32_t promised = 0;

	for (size_t i = 0; i < r->events; i++) {
		const struct event *e = &r->event[i];
		bool names = names_apply(n, e);
		struct entry *x = find(n, names && e->to[0] ? e->to : e->path);

		/* Named or changed now. */
		if (strchr("crlwt", e->op) && x && x->file != FOLDER)
			since[x->file] = n->moment;
		if (e->op == 'f' && x)
			promised = larger(promised, since[x->file]);
		if (e->op == 's' || e->op == 'S')
			promised = n->moment;
	}
	free(since);
	free(n);
	return promised;
}

/* Tries each moment with these names, newest last. */
