/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recording, and what a power cut leaves.
 *
 * U1  A cut knows what is durable (objects, and names that lead to them) and
 *     the changes since, in their order. Moving forward adds changes; a sync
 *     applies those it covers to what is durable.
 * U2  After a cut any subset of the changes that are not durable may last, in
 *     their order; a name change is done or not, a write may be torn.
 * U3  A removal, or the old name of a rename, only ever takes away the name of
 *     the object that it was made for.
 * U4  Changes of one name become durable in their order: syncing an object
 *     also makes durable what happened to its name before it had it.
 */
#include "sim_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* ---- images ---- */

struct stored {
	char *name;
	uint32_t object; /* within a cut */
	struct blob *blob;
};

struct table {
	struct stored *item;
	size_t count, cap;
};

struct sim_image {
	unsigned refs;
	unsigned folders;
	struct table place[SIM_PLACES];
};

static struct stored *table_find(struct table *t, const char *name)
{
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->item[i].name, name) == 0)
			return &t->item[i];
	return NULL;
}

/* Takes the reference to blob. */
static void table_set(struct table *t, const char *name, uint32_t object,
		      struct blob *blob)
{
	struct stored *it = table_find(t, name);

	if (it) {
		blob_unref(it->blob);
		it->object = object;
		it->blob = blob;
		return;
	}
	if (t->count == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 32;
		t->item = sim_grow(t->item, t->cap, sizeof(*t->item));
	}
	t->item[t->count++] =
		(struct stored){sim_alloc(1, strlen(name) + 1), object, blob};
	strcpy(t->item[t->count - 1].name, name);
}

static void table_drop(struct table *t, struct stored *it)
{
	free(it->name);
	blob_unref(it->blob);
	memmove(it, it + 1,
		(size_t)(t->item + t->count - (it + 1)) * sizeof(*it));
	t->count--;
}

static void table_clear(struct table *t)
{
	while (t->count > 0)
		table_drop(t, &t->item[t->count - 1]);
	free(t->item);
	*t = (struct table){0};
}

static void table_copy(struct table *to, const struct table *from)
{
	*to = (struct table){0};
	to->item = sim_alloc(from->count + 8, sizeof(*to->item));
	to->cap = from->count + 8;
	for (size_t i = 0; i < from->count; i++) {
		const struct stored *it = &from->item[i];
		size_t len = strlen(it->name) + 1;

		to->item[i] = (struct stored){sim_alloc(1, len), it->object,
					      blob_ref(it->blob)};
		memcpy(to->item[i].name, it->name, len);
	}
	to->count = from->count;
}

static struct sim_image *image_new(void)
{
	struct sim_image *im = sim_alloc(1, sizeof(*im));

	im->refs = 1;
	im->folders = sim_folders;
	return im;
}

struct sim_image *sim_image_take(void)
{
	struct sim_image *im = image_new();

	for (unsigned p = 0; p < SIM_PLACES; p++)
		for (size_t i = 0; i < sim_place[p].count; i++) {
			const struct sim_object *o = sim_place[p].object[i];

			if (!o->folder)
				table_set(&im->place[p], o->name, o->id,
					  blob_ref(o->blob));
		}
	return im;
}

static void load_one(unsigned place, const struct stored *it)
{
	char part[SIM_NAME];
	struct sim_object *o;

	for (size_t i = 1; it->name[i]; i++) {
		if (it->name[i] != '/')
			continue;
		memcpy(part, it->name, i);
		part[i] = 0;
		if (!sim_find(place, part))
			(void)sim_link_new(place, part, true);
	}
	o = sim_link_new(place, it->name, false);
	blob_unref(o->blob);
	o->blob = blob_ref(it->blob);
}

void sim_image_load(const struct sim_image *im)
{
	for (unsigned p = 0; p < SIM_PLACES; p++) {
		MUST(sim_place[p].attached == 0);
		sim_place_clear(p);
		for (size_t i = 0; i < im->place[p].count; i++)
			load_one(p, &im->place[p].item[i]);
	}
	sim_folders = im->folders;
}

struct sim_image *sim_image_ref(struct sim_image *im)
{
	im->refs++;
	return im;
}

void sim_image_unref(struct sim_image *im)
{
	if (!im || --im->refs > 0)
		return;
	for (unsigned p = 0; p < SIM_PLACES; p++)
		table_clear(&im->place[p]);
	free(im);
}

void sim_image_swap(struct sim_image *im, unsigned a, unsigned b)
{
	struct table t = im->place[a];

	im->place[a] = im->place[b];
	im->place[b] = t;
}

void sim_image_mix(struct sim_image *im, unsigned d,
		   const struct sim_image *old)
{
	table_clear(&im->place[d]);
	table_copy(&im->place[d], &old->place[d]);
}

/* Order does not count, so the digests of the objects are added. */
uint64_t sim_image_digest(const struct sim_image *im)
{
	uint64_t sum = 0;

	for (unsigned p = 0; p < SIM_DISKS; p++)
		for (size_t i = 0; i < im->place[p].count; i++) {
			const struct stored *it = &im->place[p].item[i];
			uint64_t h = sim_hash(it->name, strlen(it->name), p);

			sum += blob_hash(it->blob, h);
		}
	return sum;
}

/* ---- recording ---- */

struct sim_trace {
	struct sim_image *start;
	struct sim_change *change;
	size_t count, cap;
};

static struct sim_trace *recording;

struct sim_trace *sim_record(void)
{
	MUST(!recording);
	recording = sim_alloc(1, sizeof(*recording));
	recording->start = sim_image_take();
	return recording;
}

void sim_record_end(struct sim_trace *t)
{
	MUST(recording == t);
	recording = NULL;
}

void sim_trace_free(struct sim_trace *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->count; i++) {
		free(t->change[i].data);
		free(t->change[i].name);
		free(t->change[i].name2);
	}
	free(t->change);
	sim_image_unref(t->start);
	free(t);
}

size_t sim_trace_len(const struct sim_trace *t)
{
	return t->count;
}

static char *copy_name(const char *name)
{
	char *p = name ? strdup(name) : NULL;

	MUST(!name || p);
	return p;
}

void sim_record_change(enum sim_change_kind kind, unsigned place,
		       const struct sim_object *o, uint64_t off,
		       const void *data, size_t len, const char *name2)
{
	struct sim_trace *t = recording;
	struct sim_change *c;

	if (!t)
		return;
	if (t->count == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 1024;
		t->change = sim_grow(t->change, t->cap, sizeof(*t->change));
	}
	c = &t->change[t->count++];
	*c = (struct sim_change){
		.kind = kind,
		.place = (uint8_t)place,
		.object = o ? o->id : 0,
		.off = off,
		.name = copy_name(o ? o->name : NULL),
		.name2 = copy_name(name2),
	};
	if (kind != CHANGE_WRITE)
		return;
	c->len = len;
	c->data = sim_alloc(len + 1, 1);
	memcpy(c->data, data, len);
}

/* ---- what is durable, and what is not ---- */

/* Durable content of an object, whether a durable name leads to it or not. */
struct content {
	uint32_t object; /* 0: a free place */
	struct blob *blob;
};

struct sim_cut {
	const struct sim_trace *trace;
	size_t at;
	struct table name[SIM_PLACES]; /* durable; blobs are those of content */
	struct content *content;       /* a hash table, at most half full */
	size_t contents, contents_cap;
	const struct sim_change **pending;
	size_t pendings, pendings_cap;
};

static struct content *content_slot(struct content *in, size_t cap,
				    uint32_t object)
{
	size_t i = object * 2654435761u & (cap - 1);

	while (in[i].object && in[i].object != object)
		i = (i + 1) & (cap - 1);
	return &in[i];
}

static void contents_grow(struct sim_cut *c)
{
	size_t cap = c->contents_cap ? 2 * c->contents_cap : 256;
	struct content *bigger = sim_alloc(cap, sizeof(*bigger));

	for (size_t i = 0; i < c->contents_cap; i++)
		if (c->content[i].object)
			*content_slot(bigger, cap, c->content[i].object) =
				c->content[i];
	free(c->content);
	c->content = bigger;
	c->contents_cap = cap;
}

/* Made empty if need be. */
static struct blob **content_of(struct sim_cut *c, uint32_t object)
{
	struct content *x;

	if (2 * c->contents >= c->contents_cap)
		contents_grow(c);
	x = content_slot(c->content, c->contents_cap, object);
	if (!x->object) {
		*x = (struct content){object, blob_new()};
		c->contents++;
	}
	return &x->blob;
}

struct sim_cut *sim_cut_new(const struct sim_trace *t)
{
	struct sim_cut *c = sim_alloc(1, sizeof(*c));

	c->trace = t;
	for (unsigned p = 0; p < SIM_PLACES; p++) {
		table_copy(&c->name[p], &t->start->place[p]);
		for (size_t i = 0; i < c->name[p].count; i++) {
			struct stored *it = &c->name[p].item[i];
			struct blob **b = content_of(c, it->object);

			blob_unref(*b);
			*b = blob_ref(it->blob);
			/* Names are looked up in content from here on. */
			blob_unref(it->blob);
			it->blob = NULL;
		}
	}
	return c;
}

void sim_cut_free(struct sim_cut *c)
{
	for (unsigned p = 0; p < SIM_PLACES; p++)
		table_clear(&c->name[p]);
	for (size_t i = 0; i < c->contents_cap; i++)
		blob_unref(c->content[i].blob);
	free(c->content);
	free(c->pending);
	free(c);
}

/* Takes the name away if it is still the object's (U3). */
static void unname(struct table *t, const char *name, uint32_t object)
{
	struct stored *it = table_find(t, name);

	if (it && it->object == object)
		table_drop(t, it);
}

static bool is_content(const struct sim_change *w)
{
	return w->kind == CHANGE_WRITE || w->kind == CHANGE_TRUNCATE;
}

static void apply_name(struct table *t, const struct sim_change *w)
{
	switch (w->kind) {
	case CHANGE_MAKE:
		table_set(t, w->name, w->object, NULL);
		break;
	case CHANGE_REMOVE:
		unname(t, w->name, w->object);
		break;
	case CHANGE_RENAME:
		unname(t, w->name, w->object);
		table_set(t, w->name2, w->object, NULL);
		break;
	default:
		break;
	}
}

static void apply(struct sim_cut *c, const struct sim_change *w)
{
	if (w->kind == CHANGE_WRITE)
		blob_write(content_of(c, w->object), w->data, w->len, w->off);
	else if (w->kind == CHANGE_TRUNCATE)
		blob_resize(content_of(c, w->object), w->off);
	else
		apply_name(&c->name[w->place], w);
}

static bool covers(const struct sim_change *sync, const struct sim_change *w,
		   bool newest_write)
{
	if (sync->place != w->place)
		return false;
	switch (sync->kind) {
	case SYNC_OBJECT:
		return w->object == sync->object;
	case SYNC_CONTENT:
		return w->object == sync->object && is_content(w);
	case SYNC_WRITE:
		return newest_write;
	default:
		return !is_content(w);
	}
}

static bool is_name(const struct sim_change *w, const char *name)
{
	return name && (strcmp(w->name, name) == 0 ||
			(w->name2 && strcmp(w->name2, name) == 0));
}

/* U4: does pending i change a name that `sync` makes durable with a later
 * one? */
static bool is_before(const struct sim_cut *c, size_t i,
		      const struct sim_change *sync)
{
	const struct sim_change *w = c->pending[i];

	if (sync->kind != SYNC_OBJECT || is_content(w) ||
	    w->place != sync->place)
		return false;
	for (size_t k = i + 1; k < c->pendings; k++) {
		const struct sim_change *later = c->pending[k];

		if (later->object == sync->object && !is_content(later) &&
		    (is_name(w, later->name) || is_name(w, later->name2)))
			return true;
	}
	return false;
}

/* U1 */
static void sync_to(struct sim_cut *c, const struct sim_change *sync)
{
	size_t kept = 0, newest = SIZE_MAX;

	for (size_t i = 0; i < c->pendings; i++)
		if (c->pending[i]->kind == CHANGE_WRITE &&
		    c->pending[i]->object == sync->object)
			newest = i;
	for (size_t i = 0; i < c->pendings; i++) {
		if (covers(sync, c->pending[i], i == newest) ||
		    is_before(c, i, sync))
			apply(c, c->pending[i]);
		else
			c->pending[kept++] = c->pending[i];
	}
	c->pendings = kept;
}

void sim_cut_move(struct sim_cut *c, size_t p)
{
	MUST(p >= c->at && p <= c->trace->count);
	for (; c->at < p; c->at++) {
		const struct sim_change *w = &c->trace->change[c->at];

		if (w->kind >= SYNC_OBJECT) {
			sync_to(c, w);
			continue;
		}
		if (c->pendings == c->pendings_cap) {
			c->pendings_cap =
				c->pendings_cap ? 2 * c->pendings_cap : 64;
			c->pending = sim_grow(c->pending, c->pendings_cap,
					      sizeof(struct sim_change *));
		}
		c->pending[c->pendings++] = w;
	}
}

unsigned sim_cut_pending(const struct sim_cut *c)
{
	return (unsigned)c->pendings;
}

/* ---- making an image ---- */

/* The contents that differ from the durable ones, found by object. */
struct making {
	struct sim_cut *c;
	struct content *changed;
	size_t count;
};

static struct blob **changed_of(struct making *m, uint32_t object)
{
	for (size_t i = 0; i < m->count; i++)
		if (m->changed[i].object == object)
			return &m->changed[i].blob;
	m->changed[m->count] =
		(struct content){object, blob_ref(*content_of(m->c, object))};
	return &m->changed[m->count++].blob;
}

enum tear {
	TEAR_NOT,
	TEAR_HEAD, /* the first sectors last */
	TEAR_TAIL,
	TEAR_ANY,
	TEAR_ALL, /* none; but the file has grown */
	TEARS
};

/* Sectors that do not last stay as they are, or are whatever lay there. */
static void torn_write(struct blob **b, const struct sim_change *w,
		       uint64_t *dice)
{
	enum tear how = (enum tear)(sim_mix(dice) % TEARS);
	size_t old_len = blob_len(*b), len = w->len;
	size_t border = len ? sim_mix(dice) % len / SIM_SECTOR * SIM_SECTOR : 0;
	bool stale = sim_mix(dice) % 2;
	uint64_t junk[SIM_SECTOR / 8];

	if (w->off + len > old_len)
		blob_resize(b, w->off + len);
	for (size_t i = 0; i < len; i += SIM_SECTOR) {
		size_t n = MIN((size_t)SIM_SECTOR, len - i);
		size_t at = w->off + i;
		bool lasts = how == TEAR_NOT	? true
			     : how == TEAR_HEAD ? i < border
			     : how == TEAR_TAIL ? i >= border
			     : how == TEAR_ANY	? sim_mix(dice) % 2
						: false;

		if (lasts) {
			blob_write(b, w->data + i, n, at);
		} else if (stale && at >= old_len) {
			for (size_t k = 0; k < ARRAY_LEN(junk); k++)
				junk[k] = sim_mix(dice);
			blob_write(b, junk, n, at);
		}
	}
}

static void keep(struct making *m, struct sim_image *im,
		 const struct sim_change *w, uint64_t *dice)
{
	if (!is_content(w))
		apply_name(&im->place[w->place], w);
	else if (w->kind == CHANGE_TRUNCATE)
		blob_resize(changed_of(m, w->object), w->off);
	else if (dice)
		torn_write(changed_of(m, w->object), w, dice);
	else
		blob_write(changed_of(m, w->object), w->data, w->len, w->off);
}

static bool lasts(enum sim_loss how, uint64_t mask, size_t i, uint64_t *dice)
{
	switch (how) {
	case SIM_LOSE_ALL:
		return false;
	case SIM_LOSE_NONE:
		return true;
	case SIM_LOSE_MASK:
		return i < 64 && (mask >> i & 1);
	default:
		return sim_mix(dice) % 2;
	}
}

static void fill_in(struct making *m, struct sim_image *im)
{
	for (unsigned p = 0; p < SIM_PLACES; p++)
		for (size_t i = 0; i < im->place[p].count; i++) {
			struct stored *it = &im->place[p].item[i];
			struct blob *b = NULL;

			for (size_t k = 0; k < m->count && !b; k++)
				if (m->changed[k].object == it->object)
					b = m->changed[k].blob;
			if (!b)
				b = *content_of(m->c, it->object);
			it->blob = blob_ref(b);
		}
}

struct sim_image *sim_cut_make(struct sim_cut *c, enum sim_loss how,
			       uint64_t mask)
{
	struct sim_image *im = image_new();
	struct making m = {.c = c};
	uint64_t dice = mask;

	im->folders = c->trace->start->folders;
	m.changed = sim_alloc(c->pendings + 1, sizeof(*m.changed));
	for (unsigned p = 0; p < SIM_PLACES; p++)
		table_copy(&im->place[p], &c->name[p]);
	for (size_t i = 0; i < c->pendings; i++)
		if (lasts(how, mask, i, &dice))
			keep(&m, im, c->pending[i],
			     how == SIM_LOSE_SOME ? &dice : NULL);
	fill_in(&m, im);
	for (size_t i = 0; i < m.count; i++)
		blob_unref(m.changed[i].blob);
	free(m.changed);
	return im;
}
