/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rnd.h - random bytes. getrandom(2) unless a test seeds it; a seeded source
 * is deterministic and unfit for keys outside tests. Thread-safe.
 */
#ifndef MENDFS_BASE_RND_H
#define MENDFS_BASE_RND_H

#include <stddef.h>
#include <stdint.h>

/* Fills p. Aborts if the system has no randomness: there is no way on. */
void rnd_bytes(void *p, size_t len);
uint64_t rnd_u64(void);
/* Uniform in [0, bound), bound >= 1. */
uint64_t rnd_below(uint64_t bound);
/* Test seam: deterministic from here on (splitmix64); process-wide. */
void rnd_seed(uint64_t seed);
/* Back to getrandom(2). */
void rnd_unseed(void);

#endif
