/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Write-back: collect, copy, complete. The bytes of SET_DIRTY become
 * SET_WRITING when they are picked; what is written from then on is SET_DIRTY
 * again. When all pieces of a chunk are complete, SET_WRITING is forgotten, or
 * becomes dirty again where one of them did not reach the store.
 */
#include "cache/cache_impl.h"

#include "base/must.h"

/* ---- collect ---- */

struct picking {
	uint64_t before_ns;
	size_t max_bytes;
	struct cache_piece *out;
	unsigned max;
	unsigned n;
	size_t bytes;
	bool full; /* no further chunk fits */
};

static bool is_due(const struct chunk *ch, const struct picking *p)
{
	return !ch->inflight && ch->dirtied_ns <= p->before_ns;
}

/* The ranges that pieces are made of: one where nothing in between is unknown.
 */
static struct ranges ranges_to_write(const struct cache *c,
				     const struct chunk *ch)
{
	struct ranges s = chunk_set(ch, SET_DIRTY);

	if (!chunk_knows(ch, 0, c->chunk_bytes))
		return s;
	s.r[0] = chunk_set_span(ch, SET_DIRTY);
	s.n = 1;
	return s;
}

/* Only a first chunk may be split, when there is no place for all of it. */
static bool fits(struct picking *p, struct ranges *s)
{
	unsigned left = p->max - p->n;

	if (p->n &&
	    (s->n > left ||
	     ranges_total(s) > p->max_bytes - MIN(p->bytes, p->max_bytes)))
		return false;
	s->n = MIN(s->n, left);
	return s->n > 0;
}

static void add_piece(struct cache *c, struct chunk *ch, struct range r,
		      struct picking *p)
{
	bool whole = r.lo == 0 && r.hi == ch->zero_from &&
		     chunk_knows(ch, 0, c->chunk_bytes);

	p->out[p->n++] = (struct cache_piece){
		.obj = ch->object->node.key,
		.off = chunk_number(ch) * c->chunk_bytes + r.lo,
		.len = r.hi - r.lo,
		.whole = whole,
		.chunk_ = ch,
		.gen_ = ch->gen,
	};
	p->bytes += r.hi - r.lo;
}

/* Those that stay dirty are what a piece could not be made of. */
static void dirty_to_writing(struct chunk *ch, const struct ranges *picked)
{
	struct ranges dirty = chunk_set(ch, SET_DIRTY);

	for (uint32_t i = 0; i < picked->n; i++)
		MUST(ranges_cut(&dirty, picked->r[i].lo, picked->r[i].hi) == 0);
	chunk_set_put(ch, SET_DIRTY, &dirty);
	chunk_set_put(ch, SET_WRITING, picked);
}

static void pick_chunk(struct cache *c, struct chunk *ch, struct picking *p)
{
	struct ranges s = ranges_to_write(c, ch);

	if (!fits(p, &s)) {
		p->full = true;
		return;
	}
	for (uint32_t i = 0; i < s.n; i++)
		add_piece(c, ch, s.r[i], p);
	dirty_to_writing(ch, &s);
	ch->inflight = s.n;
	ch->lost = false;
	ch->broken = false;
	ch->collect_no = c->collect_no;
	TAILQ_INSERT_TAIL(&c->writing, ch, link);
	TAILQ_INSERT_TAIL(&ch->object->writing, ch, obj_link);
	chunk_settle(c, ch);
}

static void pick_object(struct cache *c, struct cache_object *o,
			struct picking *p)
{
	struct tree_node *n = cache_tree_from(&o->dirty, 0);

	while (n && !p->full) {
		uint64_t next = n->key + 1;
		struct chunk *ch = container_of(n, struct chunk, dirty_node);

		/* Written again while on its way: later bytes of the object
		 * must not get into the store before these. */
		if (ch->inflight)
			return;
		if (is_due(ch, p))
			pick_chunk(c, ch, p);
		n = cache_tree_from(&o->dirty, next);
	}
}

/*
 * The oldest chunk that can be picked says which object is next; its other
 * chunks go with it. What is passed over stays in the list, so the walk goes on
 * from there.
 */
static void pick_any(struct cache *c, struct picking *p)
{
	struct chunk *passed = NULL, *ch;

	while (!p->full) {
		ch = passed ? TAILQ_NEXT(passed, age)
			    : TAILQ_FIRST(&c->dirty_by_age);
		if (!ch || ch->dirtied_ns > p->before_ns)
			return;
		if (is_due(ch, p))
			pick_object(c, ch->object, p);
		/* Not picked: on its way, or behind one that is. */
		if (ch->dirtied_ns)
			passed = ch;
	}
}

unsigned cache_collect(struct cache *c, uint64_t obj,
		       uint64_t dirtied_before_ns, size_t max_bytes,
		       struct cache_piece *out, unsigned max)
{
	struct picking p = {.before_ns = dirtied_before_ns,
			    .max_bytes = max_bytes,
			    .out = out,
			    .max = max};
	struct cache_object *o;

	MUTEX_GUARD(&c->lock);
	c->collect_no++;
	if (obj == CACHE_ANY) {
		pick_any(c, &p);
		return p.n;
	}
	o = cache_object_find(c, obj);
	if (o)
		pick_object(c, o, &p);
	return p.n;
}

/* Each object once; out may be NULL. */
static size_t list_dirty(struct cache *c, uint64_t *out)
{
	struct chunk *ch;
	size_t n = 0;

	c->collect_no++;
	TAILQ_FOREACH (ch, &c->dirty_by_age, age) {
		if (ch->object->listed_no == c->collect_no)
			continue;
		ch->object->listed_no = c->collect_no;
		if (out)
			out[n] = ch->object->node.key;
		n++;
	}
	return n;
}

int cache_list_dirty(struct cache *c, uint64_t **out, size_t *n)
{
	MUTEX_GUARD(&c->lock);
	*n = list_dirty(c, NULL);
	*out = mem_calloc(*n + 1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	(void)list_dirty(c, *out);
	return 0;
}

/* ---- copy ---- */

static struct range range_of(const struct cache *c, const struct cache_piece *p)
{
	uint32_t lo = (uint32_t)(p->off % c->chunk_bytes);

	return (struct range){lo, lo + p->len};
}

/* An uncompleted piece keeps its chunk where it is. */
static int copy_locked(struct cache *c, const struct cache_piece *p, void *dst)
{
	struct chunk *ch = p->chunk_;

	while (p->gen_ == ch->gen) {
		if (chunk_reader_wait(c, ch))
			continue;
		chunk_copy_out(c, ch, range_of(c, p), dst);
		return 0;
	}
	return -ESTALE;
}

int cache_copy(struct cache *c, const struct cache_piece *p, void *dst)
{
	struct chunk *ch = p->chunk_;
	int rc;

	MUTEX_GUARD(&c->lock);
	MUST(ch->inflight);
	ch->pins++;
	rc = copy_locked(c, p, dst);
	chunk_put(c, ch);
	return rc;
}

bool cache_current(struct cache *c, const struct cache_piece *p)
{
	const struct chunk *ch = p->chunk_;

	MUTEX_GUARD(&c->lock);
	MUST(ch->inflight);
	return p->gen_ == ch->gen;
}

/* ---- complete ---- */

static void writing_to_dirty(struct chunk *ch)
{
	struct ranges w = chunk_set(ch, SET_WRITING);

	for (uint32_t i = 0; i < w.n; i++)
		chunk_set_mark(ch, SET_DIRTY, w.r[i]);
}

/* All pieces of the chunk are back. */
static void end_writing(struct cache *c, struct chunk *ch)
{
	TAILQ_REMOVE(&c->writing, ch, link);
	TAILQ_REMOVE(&ch->object->writing, ch, obj_link);
	if (ch->lost)
		writing_to_dirty(ch);
	else
		ch->unsafe_ns = ch->dirtied_ns;
	chunk_set_clear(ch, SET_WRITING);
	ch->failed = ch->broken || (ch->lost && ch->failed);
	c->failed += ch->broken;
	chunk_settle(c, ch);
}

/* -ESTALE says that a piece was left out; that is no failure of the store. */
static void complete_piece(struct cache *c, const struct cache_piece *p, int rc)
{
	struct chunk *ch = p->chunk_;

	MUST(ch->inflight);
	if (rc || p->gen_ != ch->gen)
		ch->lost = true;
	if (rc && rc != -ESTALE)
		ch->broken = true;
	if (--ch->inflight == 0)
		end_writing(c, ch);
}

void cache_complete(struct cache *c, const struct cache_piece *p, unsigned n,
		    int rc)
{
	MUTEX_GUARD(&c->lock);
	for (unsigned i = 0; i < n; i++)
		complete_piece(c, &p[i], rc);
	cache_shrink(c);
	cond_broadcast(&c->written);
}

/* ---- waiting and asking ---- */

static const struct chunk *oldest_writing(const struct cache *c, uint64_t obj)
{
	const struct cache_object *o;

	if (obj == CACHE_ANY)
		return TAILQ_FIRST(&c->writing);
	o = cache_object_find(c, obj);
	return o ? TAILQ_FIRST(&o->writing) : NULL;
}

void cache_wait_written(struct cache *c, uint64_t obj)
{
	const struct chunk *ch;
	uint64_t upto;

	MUTEX_GUARD(&c->lock);
	upto = c->collect_no;
	while ((ch = oldest_writing(c, obj)) && ch->collect_no <= upto)
		cond_wait(&c->written, &c->lock);
}

uint64_t cache_dirty_bytes(struct cache *c, uint64_t obj)
{
	const struct cache_object *o;

	MUTEX_GUARD(&c->lock);
	if (obj == CACHE_ANY)
		return c->dirty_bytes;
	o = cache_object_find(c, obj);
	return o ? o->dirty_bytes : 0;
}

bool cache_failed(struct cache *c, uint64_t obj)
{
	const struct cache_object *o;

	MUTEX_GUARD(&c->lock);
	if (obj == CACHE_ANY)
		return c->failed_now != 0;
	o = cache_object_find(c, obj);
	return o && o->failed;
}

static bool is_among(const struct chunk *ch, const struct cache_piece *p,
		     unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (p[i].chunk_ == ch)
			return true;
	return false;
}

static bool failed_before(const struct cache_object *o, uint64_t end,
			  const struct cache_piece *p, unsigned n)
{
	struct tree_node *t = cache_tree_from(&o->dirty, 0);
	const struct chunk *ch;

	for (; t && t->key < end; t = cache_tree_from(&o->dirty, t->key + 1)) {
		ch = container_of(t, struct chunk, dirty_node);
		if (ch->failed && !is_among(ch, p, n))
			return true;
	}
	TAILQ_FOREACH (ch, &o->writing, obj_link) {
		if (ch->failed && chunk_number(ch) < end && !is_among(ch, p, n))
			return true;
	}
	return false;
}

bool cache_failed_before(struct cache *c, const struct cache_piece *p,
			 unsigned n)
{
	uint64_t last = p[n - 1].off / c->chunk_bytes;
	const struct cache_object *o;

	MUTEX_GUARD(&c->lock);
	o = cache_object_find(c, p->obj);
	return o && o->failed && failed_before(o, last, p, n);
}

static bool is_stored(const struct chunk *ch, uint64_t before_ns)
{
	return !ch->unsafe_ns || ch->unsafe_ns > before_ns;
}

static bool object_stored(const struct cache_object *o, uint64_t before_ns)
{
	struct tree_node *n = cache_tree_from(&o->dirty, 0);
	const struct chunk *ch;

	for (; n; n = cache_tree_from(&o->dirty, n->key + 1)) {
		ch = container_of(n, struct chunk, dirty_node);
		if (!is_stored(ch, before_ns))
			return false;
	}
	TAILQ_FOREACH (ch, &o->writing, obj_link) {
		if (!is_stored(ch, before_ns))
			return false;
	}
	return true;
}

static bool all_stored(const struct cache *c, uint64_t before_ns)
{
	const struct chunk *ch;

	TAILQ_FOREACH (ch, &c->dirty_by_age, age) {
		if (!is_stored(ch, before_ns))
			return false;
	}
	TAILQ_FOREACH (ch, &c->writing, link) {
		if (!is_stored(ch, before_ns))
			return false;
	}
	return true;
}

bool cache_stored(struct cache *c, uint64_t obj, uint64_t written_before_ns)
{
	const struct cache_object *o;

	MUTEX_GUARD(&c->lock);
	if (obj == CACHE_ANY)
		return all_stored(c, written_before_ns);
	o = cache_object_find(c, obj);
	return !o || object_stored(o, written_before_ns);
}
