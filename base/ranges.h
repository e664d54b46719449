/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ranges.h - a small sorted set of disjoint, non-adjacent half-open ranges of
 * 32-bit numbers: which bytes of a chunk are valid or dirty.
 *
 * Up to RANGES_MAX ranges, inline, no allocation. When one more would not fit,
 * ranges_add says so and changes nothing. Plain value; no locks.
 */
#ifndef MENDFS_BASE_RANGES_H
#define MENDFS_BASE_RANGES_H

#include <stdbool.h>
#include <stdint.h>

#define RANGES_MAX 16

struct range {
	uint32_t lo; /* first */
	uint32_t hi; /* one past the last; lo < hi */
};
struct ranges {
	uint32_t n;
	struct range r[RANGES_MAX];
};

/* 0, or -ENOSPC when it would take more than RANGES_MAX. lo < hi. */
int ranges_add(struct ranges *s, uint32_t lo, uint32_t hi);
/* Takes [lo, hi) out; 0 or -ENOSPC (a split did not fit; unchanged). */
int ranges_cut(struct ranges *s, uint32_t lo, uint32_t hi);
/* Is all of [lo, hi) in the set? */
bool ranges_has(const struct ranges *s, uint32_t lo, uint32_t hi);
/* Does any byte of [lo, hi) lie in the set? */
bool ranges_meets(const struct ranges *s, uint32_t lo, uint32_t hi);
/* Sum of lengths. */
uint32_t ranges_total(const struct ranges *s);

#endif
