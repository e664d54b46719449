/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/placement.h"

#include <stdbool.h>

#include "base/mem.h"
#include "base/rnd.h"

/* Members of a pool at most; more candidates are a caller's mistake. */
#define CANDIDATES_MAX 64

struct choice {
	const struct place_candidate *c[CANDIDATES_MAX]; /* still to be had */
	unsigned n;
};

/* In units of 64 KiB, so that the sum of all cannot overflow. */
static uint64_t weight(const struct place_candidate *c)
{
	return (c->free_bytes >> 16) + 1;
}

static unsigned in_domain(const struct choice *ch, uint64_t domain,
			  unsigned upto)
{
	unsigned count = 0;

	for (unsigned i = 0; i < upto; i++)
		count += ch->c[i]->domain == domain;
	return count;
}

/* How many can be taken with at most `limit` of one domain. */
static unsigned capacity(const struct choice *ch, unsigned limit)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < ch->n; i++)
		sum += in_domain(ch, ch->c[i]->domain, i) < limit;
	return sum;
}

static const struct place_candidate *draw(struct choice *ch)
{
	uint64_t total = 0, at;
	unsigned i;

	for (i = 0; i < ch->n; i++)
		total += weight(ch->c[i]);
	at = rnd_below(total);
	for (i = 0; i + 1 < ch->n && at >= weight(ch->c[i]); i++)
		at -= weight(ch->c[i]);
	return ch->c[i];
}

static void drop(struct choice *ch, const struct place_candidate *one)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < ch->n; i++) {
		if (ch->c[i] != one)
			ch->c[kept++] = ch->c[i];
	}
	ch->n = kept;
}

static void drop_domain(struct choice *ch, uint64_t domain)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < ch->n; i++) {
		if (ch->c[i]->domain != domain)
			ch->c[kept++] = ch->c[i];
	}
	ch->n = kept;
}

/*
 * A domain leaves the choice when `limit` of it are taken. As capacity(limit)
 * >= want, a candidate is left for every draw.
 */
static void take(struct choice *ch, unsigned want, unsigned limit,
		 unsigned *slot_out)
{
	struct choice taken = {.n = 0};

	while (taken.n < want) {
		const struct place_candidate *one = draw(ch);

		slot_out[taken.n] = one->slot;
		taken.c[taken.n++] = one;
		drop(ch, one);
		if (in_domain(&taken, one->domain, taken.n) == limit)
			drop_domain(ch, one->domain);
	}
}

int placement_choose(const struct place_candidate *c, unsigned n, unsigned want,
		     unsigned m, uint64_t need_bytes, unsigned *slot_out)
{
	struct choice ch = {.n = 0};
	unsigned limit = MAX(m, 1u);

	for (unsigned i = 0; i < n && ch.n < CANDIDATES_MAX; i++) {
		if (c[i].free_bytes >= need_bytes)
			ch.c[ch.n++] = &c[i];
	}
	if (ch.n < want)
		return -ENOSPC;
	while (capacity(&ch, limit) < want)
		limit++;
	take(&ch, want, limit, slot_out);
	return 0;
}

void placement_geometry(unsigned u, unsigned k, unsigned m, unsigned *k_out,
			unsigned *m_out)
{
	if (u >= k + m || u == 0) {
		*k_out = u ? k : 0;
		*m_out = u ? m : 0;
		return;
	}
	*k_out = u > m ? u - m : 1;
	*m_out = MIN(m, u - 1);
}
