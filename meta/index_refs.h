/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_refs.h - what refers to each segment: kept in memory, recomputed when
 * an index is opened.
 *
 * An operation's changes are noted beside the settled numbers and are applied
 * when it is kept, forgotten when it is undone. Under the index lock.
 */
#ifndef MENDFS_META_INDEX_REFS_H
#define MENDFS_META_INDEX_REFS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/htab.h"
#include "meta/rows.h"

/* State 0: the table has no such row. */
struct seg_counts {
	unsigned state; /* enum seg_state or 0 */
	uint32_t payload;
	uint32_t rows;
	uint64_t live;
};

struct seg_ref {
	struct hnode node; /* key: segment id */
	struct seg_counts settled;
	struct seg_counts now; /* with the open operation */
	bool touched;	       /* now counts */
	struct seg_ref *touched_next;
};

struct refs {
	struct htab table;
	struct seg_ref *touched;
	struct segment_totals totals; /* of settled numbers */
};

/* 0 or -ENOMEM. */
int refs_init(struct refs *r);
void refs_release(struct refs *r);

/* Adds so many extent rows and live bytes, in the open operation. -ENOMEM. */
int refs_add(struct refs *r, struct seg_id id, int rows, int64_t live) MUST_USE;
/* The segment's row now has this state (0: removed) and payload. -ENOMEM. */
int refs_set_state(struct refs *r, struct seg_id id, unsigned state,
		   uint32_t payload) MUST_USE;
/* With what the open operation did; zeros for an unknown one. */
struct seg_counts refs_get(const struct refs *r, struct seg_id id);

void refs_apply(struct refs *r);
void refs_undo(struct refs *r);

#endif
