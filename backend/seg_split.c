/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Splitting a payload into k ranges.
 *
 * The payload is a row of pieces that must stay whole: one for each chunk (with
 * the gap before it), and the table (with what nobody noted before it). The
 * smallest possible longest range L comes from a binary search; then every
 * border is put as close to an even split as L leaves room for: not above what
 * a range of L reaches (and not into the last piece, which belongs to the last
 * range), not below what the ranges behind need.
 */
#include "backend/seg_impl.h"

#include <string.h>

#include "base/mem.h"
#include "base/must.h"

/* Piece i of pieces() ends here. */
static uint32_t piece_end(const struct seg_build *b, uint32_t i)
{
	return i < b->count ? seg_entry_end(&b->entry[i]) : b->len;
}

/* The last border <= limit; 0 if none. */
static uint32_t border_below(const struct seg_build *b, uint32_t limit)
{
	uint32_t lo = 0, hi = b->count + 1; /* ends below lo are <= limit */

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (piece_end(b, mid) <= limit)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? piece_end(b, lo - 1) : 0;
}

/* The first border >= limit. */
static uint32_t border_above(const struct seg_build *b, uint32_t limit)
{
	uint32_t lo = 0, hi = b->count;

	if (limit == 0)
		return 0;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (piece_end(b, mid) >= limit)
			hi = mid;
		else
			lo = mid + 1;
	}
	return piece_end(b, lo);
}

/* Where range `left` from the end must begin at the earliest, for all left. */
static bool reaches(const struct seg_build *b, unsigned k, uint32_t longest,
		    uint32_t *low)
{
	uint32_t at = b->len;

	for (unsigned i = k; i-- > 0;) {
		uint32_t next =
			border_above(b, at > longest ? at - longest : 0);

		if (next == at && at > 0)
			return false; /* one piece alone is longer */
		at = next;
		low[i] = at; /* range i may begin here */
	}
	return at == 0;
}

static uint32_t shortest_longest(const struct seg_build *b, unsigned k)
{
	uint32_t low[EC_DATA_MAX];
	uint32_t lo = (b->len + k - 1) / k, hi = b->len;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (reaches(b, k, mid, low))
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/* The border nearest to `ideal` within [lo, hi], both borders. */
static uint32_t nearest(const struct seg_build *b, uint32_t ideal, uint32_t lo,
			uint32_t hi)
{
	uint32_t down, up;

	if (ideal <= lo)
		return lo;
	if (ideal >= hi)
		return hi;
	down = MAX(border_below(b, ideal), lo);
	up = MIN(border_above(b, ideal), hi);
	return ideal - down <= up - ideal ? down : up;
}

void seg_build_split(const struct seg_build *b, unsigned k, uint32_t *bound_out)
{
	uint32_t low[EC_DATA_MAX + 1];
	uint32_t last = b->count ? piece_end(b, b->count - 1) : 0;
	uint32_t at = 0, longest;

	MUST(b->state == BUILD_FINISHED && k >= 1 && k <= EC_DATA_MAX);
	longest = shortest_longest(b, k);
	MUST(reaches(b, k, longest, low));
	for (unsigned i = 0; i + 1 < k; i++) {
		uint32_t reach = MIN(longest, b->len - at);
		uint32_t hi = MIN(border_below(b, at + reach), last);
		uint32_t lo = MAX(low[i + 1], at);

		at = nearest(b, at + (b->len - at) / (k - i), lo, hi);
		bound_out[i] = at;
	}
	bound_out[k - 1] = b->len;
}
