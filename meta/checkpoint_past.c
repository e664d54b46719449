/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Older checkpoints: which are kept, and the segments they stand on.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "meta/checkpoint_impl.h"

#define HOUR_NS (3600 * 1000000000LL)
#define DAY_NS	(24 * HOUR_NS)
#define WEEK_NS (7 * DAY_NS)

/* ---- lists and sets of segments ---- */

/* Makes room for one more of n items of this size. */
static int grow(void **v, size_t n, size_t *cap, size_t item)
{
	size_t wide = *cap ? *cap * 2 : 8;
	void *more;

	if (n < *cap)
		return 0;
	more = mem_realloc(*v, wide * item);
	if (!more)
		return -ENOMEM;
	*v = more;
	*cap = wide;
	return 0;
}

int desc_list_add(struct desc_list *l, const struct seg_desc *d)
{
	void *v = l->v;
	int rc = grow(&v, l->n, &l->cap, sizeof(*l->v));

	l->v = v;
	if (rc == 0)
		l->v[l->n++] = *d;
	return rc;
}

void desc_list_release(struct desc_list *l)
{
	mem_free(l->v);
	*l = (struct desc_list){0};
}

int stripe_set_add(struct stripe_set *s, const struct desc_list *l)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < l->n; i++) {
		void *v = s->v;

		rc = grow(&v, s->n, &s->cap, sizeof(*s->v));
		s->v = v;
		if (rc == 0)
			s->v[s->n++] = l->v[i].stripe.v;
	}
	return rc;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

void stripe_set_sort(struct stripe_set *s)
{
	if (s->n)
		qsort(s->v, s->n, sizeof(*s->v), by_value);
}

bool stripe_set_has(const struct stripe_set *s, const struct seg_desc *d)
{
	return s->n &&
	       bsearch(&d->stripe.v, s->v, s->n, sizeof(*s->v), by_value);
}

void stripe_set_release(struct stripe_set *s)
{
	mem_free(s->v);
	*s = (struct stripe_set){0};
}

int past_segments(const struct manifest *m, const struct manifest_ref *ref,
		  struct desc_list *out)
{
	int rc = desc_list_add(out, &ref->segment);

	for (uint32_t i = 0; rc == 0 && i < m->segments; i++)
		rc = desc_list_add(out, &m->segment[i].desc);
	return rc;
}

void past_release(struct past *p)
{
	desc_list_release(&p->segs);
	*p = (struct past){0};
}

/* ---- which are kept ---- */

static bool within(int64_t created_ns, int64_t now_ns, int64_t span_ns)
{
	return created_ns <= now_ns &&
	       (uint64_t)now_ns - (uint64_t)created_ns <= (uint64_t)span_ns;
}

unsigned checkpoint_select(const int64_t *created_ns, unsigned n,
			   int64_t now_ns, bool scarce,
			   unsigned out[MANIFEST_KEPT])
{
	static const int64_t span[] = {HOUR_NS, DAY_NS, WEEK_NS};
	unsigned kept = 0;

	if (n == 0)
		return 0;
	out[kept++] = 0;
	/* A longer span never ends at a newer one: the order is kept. */
	for (unsigned s = 0; !scarce && s < ARRAY_LEN(span); s++) {
		unsigned oldest = 0;

		for (unsigned i = 1; i < n; i++)
			if (within(created_ns[i], now_ns, span[s]))
				oldest = i;
		if (oldest > out[kept - 1])
			out[kept++] = oldest;
	}
	return kept;
}

/*
 * What the next checkpoint may keep, newest first, at most 1 + ck->pasts. What
 * was dropped once stays so: segments of it may be gone.
 */
static unsigned find_candidates(const struct checkpoint *ck,
				struct manifest_kept *out)
{
	unsigned n = 0;

	if (ck->base.regions)
		out[n++] = (struct manifest_kept){ck->base.created_ns,
						  ck->base_ref};
	for (unsigned i = 0; i < ck->pasts; i++)
		if (ck->past[i].kept)
			out[n++] =
				(struct manifest_kept){ck->past[i].created_ns,
						       ck->past[i].ref};
	return n;
}

int checkpoint_keep(struct checkpoint *ck, struct manifest *m, bool scarce)
{
	AUTO_FREE struct manifest_kept *c =
		mem_calloc(ck->pasts + 1, sizeof(*c));
	AUTO_FREE int64_t *created =
		mem_calloc(ck->pasts + 1, sizeof(*created));
	unsigned chosen[MANIFEST_KEPT], n;

	if (!c || !created)
		return -ENOMEM;
	n = find_candidates(ck, c);
	for (unsigned i = 0; i < n; i++)
		created[i] = c[i].created_ns;
	m->kept = checkpoint_select(created, n, m->created_ns, scarce, chosen);
	for (unsigned i = 0; i < m->kept; i++)
		m->keep[i] = c[chosen[i]];
	return 0;
}

static bool keeps(const struct manifest *m, const struct past *p)
{
	for (unsigned i = 0; i < m->kept; i++)
		if (m->keep[i].ref.segment.stripe.v == p->ref.segment.stripe.v)
			return true;
	return false;
}

int checkpoint_prepare(struct checkpoint *ck, struct past *former)
{
	struct past *wide =
		mem_realloc(ck->past, (ck->pasts + 1) * sizeof(*wide));
	int rc;

	if (!wide)
		return -ENOMEM;
	ck->past = wide;
	*former = (struct past){.created_ns = ck->base.created_ns,
				.ref = ck->base_ref,
				.known = true};
	if (ck->base.regions == 0)
		return 0;
	rc = past_segments(&ck->base, &ck->base_ref, &former->segs);
	if (rc < 0)
		past_release(former);
	return rc;
}

void checkpoint_advance(struct checkpoint *ck, struct past *former,
			struct manifest *m, const struct manifest_ref *ref)
{
	if (ck->base.regions) {
		memmove(ck->past + 1, ck->past, ck->pasts * sizeof(*ck->past));
		ck->past[0] = *former;
		ck->pasts++;
		*former = (struct past){0};
	}
	manifest_release(&ck->base);
	ck->base = *m;
	ck->base_ref = *ref;
	*m = (struct manifest){0};
	for (unsigned i = 0; i < ck->pasts; i++)
		ck->past[i].kept = keeps(&ck->base, &ck->past[i]);
}
