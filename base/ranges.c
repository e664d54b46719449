/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invariants, after every call:
 * R1  n <= RANGES_MAX, and every range has lo < hi.
 * R2  r[i].hi < r[i + 1].lo: sorted, disjoint and not even touching, so that
 *     a run of members is always one range.
 */
#include "base/ranges.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/must.h"

/* Index of the first range that ends at or after x, or n. */
static uint32_t first_ending_from(const struct ranges *s, uint32_t x)
{
	uint32_t i = 0;

	while (i < s->n && s->r[i].hi < x)
		i++;
	return i;
}

/* Index of the first range that ends after x, or n. */
static uint32_t first_ending_after(const struct ranges *s, uint32_t x)
{
	uint32_t i = first_ending_from(s, x);

	return i < s->n && s->r[i].hi == x ? i + 1 : i;
}

/* Puts `count` ranges in the place of r[from .. to). */
static int splice(struct ranges *s, uint32_t from, uint32_t to,
		  const struct range *with, uint32_t count)
{
	uint32_t n = s->n - (to - from) + count;

	if (n > RANGES_MAX)
		return -ENOSPC;
	memmove(&s->r[from + count], &s->r[to], (s->n - to) * sizeof(s->r[0]));
	memcpy(&s->r[from], with, count * sizeof(*with));
	s->n = n;
	return 0;
}

int ranges_add(struct ranges *s, uint32_t lo, uint32_t hi)
{
	struct range sum = {lo, hi};
	uint32_t from, to;

	MUST(lo < hi);
	from = first_ending_from(s, lo);
	for (to = from; to < s->n && s->r[to].lo <= hi; to++) {
		sum.lo = MIN(sum.lo, s->r[to].lo);
		sum.hi = MAX(sum.hi, s->r[to].hi);
	}
	return splice(s, from, to, &sum, 1);
}

int ranges_cut(struct ranges *s, uint32_t lo, uint32_t hi)
{
	uint32_t from = first_ending_after(s, lo), to, count = 0;
	struct range rest[2];

	MUST(lo <= hi);
	for (to = from; to < s->n && s->r[to].lo < hi; to++)
		;
	if (lo == hi || from == to)
		return 0;
	if (s->r[from].lo < lo)
		rest[count++] = (struct range){s->r[from].lo, lo};
	if (s->r[to - 1].hi > hi)
		rest[count++] = (struct range){hi, s->r[to - 1].hi};
	return splice(s, from, to, rest, count);
}

bool ranges_has(const struct ranges *s, uint32_t lo, uint32_t hi)
{
	uint32_t i = first_ending_from(s, hi);

	return lo >= hi || (i < s->n && s->r[i].lo <= lo);
}

bool ranges_meets(const struct ranges *s, uint32_t lo, uint32_t hi)
{
	uint32_t i = first_ending_after(s, lo);

	return lo < hi && i < s->n && s->r[i].lo < hi;
}

uint32_t ranges_total(const struct ranges *s)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < s->n; i++)
		sum += s->r[i].hi - s->r[i].lo;
	return sum;
}
