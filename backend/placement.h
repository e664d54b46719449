/* SPDX-License-Identifier: Apache-2.0 */
/*
 * placement.h - which members get the fragments of a stripe. Pure functions.
 */
#ifndef MENDFS_BACKEND_PLACEMENT_H
#define MENDFS_BACKEND_PLACEMENT_H

#include <stdint.h>

#include "base/err.h"

struct place_candidate {
	unsigned slot;	     /* member slot */
	uint64_t free_bytes; /* after its reserve */
	uint64_t domain;     /* equal: they fail together */
};

/*
 * Picks `want` distinct candidates, at random with weights by free space, at
 * most `m` per domain as long as the candidates allow it (then as few as
 * possible), into slot_out[want]. Candidates with free_bytes < need_bytes are
 * left out. -ENOSPC: fewer than want remain. Randomness: base/rnd.h.
 */
int placement_choose(const struct place_candidate *c, unsigned n, unsigned want,
		     unsigned m, uint64_t need_bytes,
		     unsigned *slot_out) MUST_USE;

/* Geometry while u members are usable: policy (k, m) or what u allows. */
void placement_geometry(unsigned u, unsigned k, unsigned m, unsigned *k_out,
			unsigned *m_out);

#endif
