/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jseg_impl.h - what jseg.c (life, adding, sealing), jseg_carry.c (into
 * records) and jseg_restore.c (out of them) share. States, invariants and
 * locks are on top of jseg.c.
 */
#ifndef MENDFS_META_JSEG_IMPL_H
#define MENDFS_META_JSEG_IMPL_H

#include <sys/queue.h>

#include "base/sync.h"
#include "base/workq.h"
#include "meta/jseg.h"

enum part_state {
	PART_OPEN,
	PART_SEALING,
	PART_SEALED,
	PART_WAITING
};

struct jpart {
	TAILQ_ENTRY(jpart) entry;
	struct jseg *js;
	struct seg_build *build;
	enum part_state state;
	unsigned refs;	   /* list, readers, carries */
	uint32_t carried;  /* chunks in records */
	uint64_t first;	   /* first record that carried chunks; 0: none */
	uint64_t seal_seq; /* record of segment_seal; 0: none yet */
	uint64_t round;	   /* of the last retry */
	bool restored;	   /* by recovery */
	int rc;		   /* why sealing failed */
};
TAILQ_HEAD(jpart_list, jpart);

struct jseg {
	struct jseg_options o;
	struct seg_context cx;
	struct workq *sealer;
	struct mutex adding;   /* J1 */
	struct jpart *current; /* under adding */
	struct mutex listing;
	struct jpart_list parts; /* oldest first */
	unsigned unsealed;	 /* parts SEALING */
	/* Sealed bytes not carried. Signed: a carry may take a chunk before its
	 * adder has counted it. */
	int64_t pending;
	uint64_t round;
};

/* Drops a reference; listing is held, also below. */
void jseg_part_unref_locked(struct jpart *p);
void jseg_part_unlist_locked(struct jseg *js, struct jpart *p);
struct jpart *jseg_part_find_locked(struct jseg *js, struct seg_id id);
/* Makes a part around a build it takes over, and lists it. 0 or -ENOMEM. */
int jseg_part_new(struct jseg *js, struct seg_build *build, struct jpart **out);
/* Sealed bytes of the chunks [from, to). */
uint32_t jseg_chunks_bytes(const struct seg_build *b, uint32_t from,
			   uint32_t to);

#endif
