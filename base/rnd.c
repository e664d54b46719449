/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rnd.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/sync.h"

static struct mutex lock = MUTEX_INIT;
static bool seeded;
static uint64_t state;

/* Steele, Lea, Flood: "Fast splittable pseudorandom number generators". */
static uint64_t splitmix64_next(void)
{
	uint64_t z = (state += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* The bytes are the same on every machine: numbers are laid down as LE. */
static bool fill_seeded(uint8_t *p, size_t len)
{
	uint8_t word[8];

	MUTEX_GUARD(&lock);
	if (!seeded)
		return false;
	while (len) {
		size_t n = MIN(len, sizeof(word));

		put_le64(word, splitmix64_next());
		memcpy(p, word, n);
		p += n;
		len -= n;
	}
	return true;
}

static void fill_from_system(uint8_t *p, size_t len)
{
	while (len) {
		ssize_t n = getrandom(p, len, 0);

		MUST(n > 0 || (n < 0 && errno == EINTR));
		if (n < 0)
			continue;
		p += n;
		len -= (size_t)n;
	}
}

void rnd_bytes(void *p, size_t len)
{
	if (!fill_seeded(p, len))
		fill_from_system(p, len);
}

uint64_t rnd_u64(void)
{
	uint8_t word[8];

	rnd_bytes(word, sizeof(word));
	return get_le64(word);
}

/*
 * 2^64 mod bound values at the low end would make the small results likelier;
 * they are drawn again.
 */
uint64_t rnd_below(uint64_t bound)
{
	uint64_t skip, v;

	MUST(bound >= 1);
	skip = -bound % bound;
	do {
		v = rnd_u64();
	} while (v < skip);
	return v % bound;
}

void rnd_seed(uint64_t seed)
{
	MUTEX_GUARD(&lock);
	state = seed;
	seeded = true;
}

void rnd_unseed(void)
{
	MUTEX_GUARD(&lock);
	state = 0;
	seeded = false;
}
