/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dice.h - random numbers of the test itself: each use has a generator of its
 * own, made of the seed and of what it is for, so that what one part draws
 * changes nothing elsewhere.
 */
#ifndef MENDFS_TESTS_SIM_DICE_H
#define MENDFS_TESTS_SIM_DICE_H

#include <stdbool.h>
#include <stdint.h>

struct dice {
	uint64_t state;
};

static inline uint64_t dice_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

/* Another seed for each (seed, what). */
static inline uint64_t dice_seed(uint64_t seed, uint64_t what)
{
	return dice_mix(dice_mix(seed + 0x9e3779b97f4a7c15ULL) +
			what * 0xd1342543de82ef95ULL + 1);
}

static inline uint64_t dice_roll(struct dice *d)
{
	return dice_mix(d->state += 0x9e3779b97f4a7c15ULL);
}

/* In [0, bound), bound >= 1. */
static inline uint64_t dice_below(struct dice *d, uint64_t bound)
{
	return dice_roll(d) % bound;
}

/* True once in so many times. */
static inline bool dice_one_in(struct dice *d, uint64_t n)
{
	return dice_below(d, n) == 0;
}

#endif
