/* SPDX-License-Identifier: Apache-2.0 */
/* Verifies the invariants that cache.c lists; the numbers are the same. */
#include "cache/cache_impl.h"

#include "base/must.h"

struct sums {
	size_t bytes, dirty_mem;
	uint64_t dirty_bytes, chunks, failed, lru, aged, writing;
};

/* Sorted, disjoint, not touching, below `end`. */
static void check_set(const struct ranges *s, uint32_t end)
{
	uint32_t from = 0;

	MUST(s->n <= RANGES_MAX);
	for (uint32_t i = 0; i < s->n; i++) {
		MUST(s->r[i].lo < s->r[i].hi && s->r[i].hi <= end);
		MUST(i == 0 || s->r[i].lo > from);
		from = s->r[i].hi;
	}
}

static void check_subset(const struct chunk *ch, enum chunk_set which)
{
	struct ranges s = chunk_set(ch, which);
	struct ranges valid = chunk_set(ch, SET_VALID);

	check_set(&s, ch->cap);
	for (uint32_t i = 0; i < s.n; i++)
		MUST(ranges_has(&valid, s.r[i].lo, s.r[i].hi));
}

static void check_memory(const struct cache *c, const struct chunk *ch)
{
	struct ranges valid = chunk_set(ch, SET_VALID);

	check_set(&valid, MIN(ch->cap, ch->zero_from)); /* I2 */
	MUST(ch->zero_from <= c->chunk_bytes);
	MUST((ch->cap != 0) == (ch->buf != NULL));
	MUST(!ch->cap ||
	     (ch->cap >= CHUNK_CAP_MIN && ch->cap <= c->chunk_bytes &&
	      (ch->cap & (ch->cap - 1)) == 0));
	check_subset(ch, SET_DIRTY); /* I3 */
	check_subset(ch, SET_WRITING);
	MUST(!ch->many || valid.n > 1 || ch->writer); /* I4 */
}

static void check_lists(const struct cache *c, const struct chunk *ch)
{
	bool idle = !ch->pins && !ch->filling && !ch->inflight;
	bool dirty = !chunk_set_empty(ch, SET_DIRTY);
	bool writing = !chunk_set_empty(ch, SET_WRITING);

	MUST(ch->state == chunk_state_of(c, ch));		/* I5 */
	MUST(ch->on_lru == (ch->state == CHUNK_CLEAN && idle)); /* I6 */
	MUST(dirty == (ch->dirtied_ns != 0));			/* I7 */
	MUST(dirty || writing || !ch->failed);
	MUST((dirty || writing) == (ch->unsafe_ns != 0));	    /* I13 */
	MUST(!dirty || ch->unsafe_ns <= ch->dirtied_ns);	    /* I13 */
	MUST(ch->inflight || !writing);				    /* I8 */
	MUST(!idle || !chunk_blank(c, ch));			    /* I11 */
	MUST(ch->dirty_counted == chunk_dirty_bytes(ch));	    /* I9 */
	MUST(ch->mem_counted == (ch->dirty_counted ? ch->cap : 0)); /* I9 */
}

static void check_chunk(const struct cache *c, const struct chunk *ch)
{
	MUST(!ch->writer || !ch->readers); /* I12 */
	MUST(ch->pins >= ch->readers + ch->claims + ch->writer);
	check_memory(c, ch);
	check_lists(c, ch);
}

static void add_chunk(const struct cache *c, const struct chunk *ch,
		      struct sums *s)
{
	s->bytes += sizeof(*ch) + ch->cap;
	s->bytes += ch->many ? SET_COUNT * sizeof(struct ranges) : 0;
	s->bytes += ch->filling ? c->chunk_bytes : 0;
	s->dirty_mem += ch->mem_counted;
	s->dirty_bytes += ch->dirty_counted;
	s->chunks++;
	s->failed += ch->failed;
	s->lru += ch->on_lru;
	s->aged += ch->dirtied_ns != 0;
	s->writing += ch->inflight != 0;
}

static void add_sums(struct sums *to, const struct sums *s)
{
	to->bytes += s->bytes;
	to->dirty_mem += s->dirty_mem;
	to->dirty_bytes += s->dirty_bytes;
	to->chunks += s->chunks;
	to->failed += s->failed;
	to->lru += s->lru;
	to->aged += s->aged;
	to->writing += s->writing;
}

static uint64_t count_nodes(const struct cache_tree *t)
{
	struct tree_node *n = cache_tree_from(t, 0);
	uint64_t count = 0;

	for (; n; n = cache_tree_from(t, n->key + 1))
		count++;
	return count;
}

/* Same length and same members: every dirty chunk is looked up. */
static void check_in_dirty_tree(const struct chunk *ch)
{
	const struct tree_node *n =
		cache_tree_from(&ch->object->dirty, chunk_number(ch));

	MUST((n == &ch->dirty_node) == (ch->dirtied_ns != 0));
}

static void check_object(const struct cache *c, const struct cache_object *o,
			 struct sums *all)
{
	struct tree_node *n = cache_tree_from(&o->chunks, 0);
	struct sums s = {.bytes = sizeof(*o)};
	const struct chunk *ch;
	uint64_t last = 0, writing = 0;

	MUST(n); /* I1 */
	for (; n; n = cache_tree_from(&o->chunks, n->key + 1)) {
		ch = container_of(n, struct chunk, node);
		MUST(ch->object == o); /* I1 */
		check_chunk(c, ch);
		check_in_dirty_tree(ch);
		add_chunk(c, ch, &s);
	}
	TAILQ_FOREACH (ch, &o->writing, obj_link) {
		MUST(ch->object == o && ch->inflight &&
		     ch->collect_no >= last); /* I8 */
		last = ch->collect_no;
		writing++;
	}
	MUST(writing == s.writing);		/* I8 */
	MUST(count_nodes(&o->dirty) == s.aged); /* I7 */
	MUST(o->dirty_bytes == s.dirty_bytes);	/* I9 */
	MUST(o->failed == s.failed);		/* I9 */
	add_sums(all, &s);
}

/* Members are the chunks that say so (check_lists), their number is right. */
static void check_cache_lists(const struct cache *c, const struct sums *s)
{
	uint64_t lru = 0, aged = 0, writing = 0, last = 0;
	const struct chunk *ch;

	TAILQ_FOREACH (ch, &c->lru, link) {
		MUST(ch->on_lru); /* I6 */
		lru++;
	}
	TAILQ_FOREACH (ch, &c->dirty_by_age, age) {
		MUST(ch->dirtied_ns >= last); /* I7 */
		last = ch->dirtied_ns;
		aged++;
	}
	last = 0;
	TAILQ_FOREACH (ch, &c->writing, link) {
		MUST(ch->inflight && ch->collect_no >= last); /* I8 */
		last = ch->collect_no;
		writing++;
	}
	MUST(lru == s->lru && aged == s->aged && writing == s->writing);
}

void cache_check(struct cache *c)
{
	struct sums s = {0};
	struct hnode *n;

	MUTEX_GUARD(&c->lock);
	for (n = htab_first(&c->objects); n; n = htab_next(&c->objects, n))
		check_object(c, container_of(n, struct cache_object, node), &s);
	check_cache_lists(c, &s);
	MUST(c->bytes == s.bytes && c->dirty_mem == s.dirty_mem); /* I9 */
	MUST(c->dirty_bytes == s.dirty_bytes && c->chunks == s.chunks);
	MUST(c->failed_now == s.failed);
	MUST(c->bytes <= c->budget || TAILQ_EMPTY(&c->lru)); /* I10 */
}
