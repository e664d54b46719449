/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint_impl.h - what the files of checkpoint.h share. Not for callers.
 *
 *   checkpoint.c          the essay; life, one run from cut to publication
 *   checkpoint_write.c    a frozen index becomes index segments and a manifest
 *   checkpoint_past.c     the older ones: which are kept, what they hold
 *   checkpoint_reclaim.c  what a checkpoint sets free
 *   checkpoint_restore.c  from a manifest to the local index file
 */
#ifndef MENDFS_META_CHECKPOINT_IMPL_H
#define MENDFS_META_CHECKPOINT_IMPL_H

#include "base/sync.h"
#include "base/workq.h"
#include "meta/checkpoint.h"

/* Segments by the random ids of their stripes. */
struct stripe_set {
	uint64_t *v; /* owned; sorted once stripe_set_sort was called */
	size_t n, cap;
};

/* A list of segments. */
struct desc_list {
	struct seg_desc *v; /* owned */
	size_t n, cap;
};

/* One checkpoint that is durable: the one in force, or an older one. */
struct past {
	int64_t created_ns;
	struct manifest_ref ref;
	bool known;	       /* segs is complete */
	bool kept;	       /* by the manifest in force */
	struct desc_list segs; /* its manifest's own segment first */
};

struct checkpoint {
	struct checkpoint_options o; /* journal, manifest: see below */

	/* One run at a time; guards this part. */
	struct mutex run;
	struct manifest base;	       /* in force; regions 0: none */
	struct manifest_ref base_ref;  /* where it is */
	struct manifest doubt;	       /* durable, but perhaps not published; */
	struct manifest_ref doubt_ref; /* present: there is one */
	uint8_t doubt_hash[32];
	struct past *past; /* older than base, newest first */
	unsigned pasts;
	/* Segments that nothing needs but that could not be removed. */
	struct desc_list garbage;
	uint64_t first_own; /* segment ids from here on were drawn by us */
	struct workq *q;

	/* Guards what others ask about; never held across I/O. */
	struct mutex mu;
	struct journal *journal;
	uint64_t retry_ns; /* after a failed run: not due before */
	/* Dead segments that the last run could not remove, and when it is
	 * worth while to try again. */
	uint64_t stuck;
	uint64_t stuck_retry_ns;
	struct checkpoint_stats stats;
};

/* What one run carries along. */
struct run {
	struct checkpoint *ck;
	bool frozen;		   /* the index is, and `changed` is set */
	struct region_set changed; /* owned */
	struct manifest next;	   /* owned */
	struct manifest_ref ref;
	uint8_t hash[32]; /* of the manifest */
	struct desc_list written;
	uint64_t regions_written;
};

/* ---- checkpoint_write.c ---- */

/*
 * Makes the frozen index durable in the pool: index segments and manifest.
 * Fills r->next (but seq, epoch_id, bytes_from, created_ns and what is kept,
 * which are set), r->ref and r->hash; r->written lists all segments made, also
 * when it fails. Nothing points to them yet.
 */
int checkpoint_write(struct run *r) MUST_USE;

/* ---- checkpoint_past.c ---- */

int desc_list_add(struct desc_list *l, const struct seg_desc *d) MUST_USE;
void desc_list_release(struct desc_list *l);
int stripe_set_add(struct stripe_set *s, const struct desc_list *l) MUST_USE;
void stripe_set_sort(struct stripe_set *s);
bool stripe_set_has(const struct stripe_set *s, const struct seg_desc *d);
void stripe_set_release(struct stripe_set *s);

/* All segments of a manifest, its own first. */
int past_segments(const struct manifest *m, const struct manifest_ref *ref,
		  struct desc_list *out) MUST_USE;
void past_release(struct past *p);

/*
 * Which of n older checkpoints are kept beside a new one: those at the numbers
 * out[0..returned), ascending. created_ns: when each was made, newest first.
 * The newest always; of the last hour, day and week (by now_ns) the oldest
 * each: it stays until it is as old as that, then one that is kept for a
 * shorter span takes its place. Times decide only what is kept longer, so a
 * clock that jumps costs history, not safety: one made in the future counts
 * for no span. With scarce space the newest is all.
 */
unsigned checkpoint_select(const int64_t *created_ns, unsigned n,
			   int64_t now_ns, bool scarce,
			   unsigned out[MANIFEST_KEPT]);
/* Enters what is to be kept into m->keep: of base and ck->past. */
int checkpoint_keep(struct checkpoint *ck, struct manifest *m,
		    bool scarce) MUST_USE;
/*
 * What checkpoint_advance needs, as it must not fail: room in ck->past, and
 * the checkpoint in force as an older one. past_release afterwards.
 */
int checkpoint_prepare(struct checkpoint *ck, struct past *former) MUST_USE;
/* Puts m in force (takes it), and `former` first among the older ones. */
void checkpoint_advance(struct checkpoint *ck, struct past *former,
			struct manifest *m, const struct manifest_ref *ref);

/* ---- checkpoint_reclaim.c ---- */

/*
 * The checkpoint in force is on all reachable members: removes index segments
 * that no kept checkpoint needs, and data segments that were dead at its
 * record (C5). What fails is tried again after the next checkpoint. Returns
 * how many of these data segments are left.
 */
uint64_t checkpoint_reclaim(struct checkpoint *ck);

#endif
