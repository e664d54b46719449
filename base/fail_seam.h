/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fail_seam.h - lets the n-th call of a module fail, for tests.
 *
 * A module keeps one static, zero-initialised struct fail_seam, asks it at
 * the top of every call that can fail, and exports thin wrappers of set and
 * count. Any thread may ask; a test sets while nothing else runs if it wants
 * an exact n.
 */
#ifndef MENDFS_BASE_FAIL_SEAM_H
#define MENDFS_BASE_FAIL_SEAM_H

#include <stdatomic.h>
#include <stdint.h>

struct fail_seam {
	atomic_uint_fast64_t count; /* calls since the last set */
	atomic_uint_fast64_t at;    /* the one that fails; 0: none */
	atomic_int err;
	atomic_int forever; /* those after it fail too */
};

/* Counts the call; returns err if this one must fail, else 0. */
static inline int fail_seam_hit(struct fail_seam *s)
{
	uint64_t nth = atomic_fetch_add(&s->count, 1) + 1;
	uint64_t at = atomic_load(&s->at);

	if (!at || nth < at || (nth > at && !atomic_load(&s->forever)))
		return 0;
	return atomic_load(&s->err);
}

/* Switched off first, so that a concurrent call sees no mixed setting. */
static inline void fail_seam_set(struct fail_seam *s, uint64_t n, int err,
				 int forever)
{
	atomic_store(&s->at, 0);
	atomic_store(&s->err, err);
	atomic_store(&s->forever, forever);
	atomic_store(&s->count, 0);
	atomic_store(&s->at, n);
}

#endif
