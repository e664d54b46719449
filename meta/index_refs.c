/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/index_refs.h"

#include "base/mem.h"

int refs_init(struct refs *r)
{
	*r = (struct refs){0};
	return htab_init(&r->table);
}

static struct seg_ref *ref_of(struct hnode *n)
{
	return n ? container_of(n, struct seg_ref, node) : NULL;
}

void refs_release(struct refs *r)
{
	struct hnode *next;

	if (!r->table.bucket)
		return;
	for (struct hnode *n = htab_first(&r->table); n; n = next) {
		next = htab_next(&r->table, n);
		mem_free(ref_of(n));
	}
	htab_release(&r->table);
}

/* The entry, made if need be, with `now` ready to be changed. NULL: no memory.
 */
static struct seg_ref *touch(struct refs *r, struct seg_id id)
{
	struct seg_ref *ref = ref_of(htab_find(&r->table, id.v));

	if (!ref) {
		ref = mem_zalloc(sizeof(*ref));
		if (!ref)
			return NULL;
		htab_insert(&r->table, &ref->node, id.v);
	}
	if (!ref->touched) {
		ref->touched = true;
		ref->now = ref->settled;
		ref->touched_next = r->touched;
		r->touched = ref;
	}
	return ref;
}

int refs_add(struct refs *r, struct seg_id id, int rows, int64_t live)
{
	struct seg_ref *ref = touch(r, id);

	if (!ref)
		return -ENOMEM;
	ref->now.rows += (uint32_t)rows;
	ref->now.live += (uint64_t)live;
	return 0;
}

int refs_set_state(struct refs *r, struct seg_id id, unsigned state,
		   uint32_t payload)
{
	struct seg_ref *ref = touch(r, id);

	if (!ref)
		return -ENOMEM;
	ref->now.state = state;
	ref->now.payload = payload;
	return 0;
}

struct seg_counts refs_get(const struct refs *r, struct seg_id id)
{
	const struct seg_ref *ref = ref_of(htab_find(&r->table, id.v));

	if (!ref)
		return (struct seg_counts){0};
	return ref->touched ? ref->now : ref->settled;
}

/* Adds (or, negative, takes away) one segment's part of the totals. */
static void count(struct segment_totals *t, const struct seg_counts *c,
		  bool add)
{
	uint64_t sign = add ? 1 : UINT64_MAX;

	t->live_bytes += sign * c->live;
	if (!c->state)
		return;
	t->segments += sign;
	t->open += c->state == SEG_OPEN ? sign : 0;
	t->dead += c->state == SEG_DEAD ? sign : 0;
	t->payload_bytes += sign * c->payload;
}

/* Ends the touched state of the first entry; drops one that says nothing. */
static void pop(struct refs *r)
{
	struct seg_ref *ref = r->touched;

	r->touched = ref->touched_next;
	ref->touched = false;
	if (ref->settled.state || ref->settled.rows)
		return;
	htab_remove(&r->table, &ref->node);
	mem_free(ref);
}

void refs_apply(struct refs *r)
{
	while (r->touched) {
		struct seg_ref *ref = r->touched;

		count(&r->totals, &ref->settled, false);
		count(&r->totals, &ref->now, true);
		ref->settled = ref->now;
		pop(r);
	}
}

void refs_undo(struct refs *r)
{
	while (r->touched)
		pop(r);
}
