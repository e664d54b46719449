/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ids.h - identities, each its own type so that one cannot pass as another.
 * Plain values.
 */
#ifndef MENDFS_BACKEND_IDS_H
#define MENDFS_BACKEND_IDS_H

#include <stdint.h>

struct pool_id {
	uint8_t b[16]; /* random */
};
struct backend_id {
	uint8_t b[16]; /* random */
};
/* Drawn from a counter of the index; unique within a pool's history, but for
 * segments of lives that were never acknowledged (the stripe id differs). */
struct seg_id {
	uint64_t v;
};
/* Random: one placing of a segment. */
struct stripe_id {
	uint64_t v;
};

/* Which family a segment belongs to: its folder and its key purpose. */
enum seg_kind { SEG_DATA = 1, SEG_INDEX = 2 };

#endif
