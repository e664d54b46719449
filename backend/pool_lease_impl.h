/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_lease_impl.h - what pool_lease.c (what a lease is worth) and
 * pool_renew.c (renewing it) share. Not for callers of pool_lease.h.
 */
#ifndef MENDFS_BACKEND_POOL_LEASE_IMPL_H
#define MENDFS_BACKEND_POOL_LEASE_IMPL_H

#include "base/sync.h"
#include "base/workq.h"
#include "backend/pool_impl.h"
#include "backend/pool_lease.h"

#define NS_PER_MS 1000000ULL
#define FENCE_NS  (LEASE_FENCE_MS * NS_PER_MS)

enum step {
	STEP_NONE,
	STEP_OPEN,   /* the object */
	STEP_CREATE, /* it was not there */
	STEP_WRITE,
	STEP_READ
};

struct lease_member {
	struct backend *backend; /* borrowed; NULL: not there */
	/* the round's */
	struct jfile *file;
	struct bio *bio; /* under way; NULL: nothing is */
	enum step step;
	bool started;	   /* in this round */
	uint64_t start_ns; /* of the write */
	struct buf *slot;  /* what was written ... */
	uint64_t off;	   /* ... there */
	int rc;		   /* why it was not renewed last */
	/* under mu */
	uint64_t renewed_ns; /* 0: never */
};

struct pool_lease {
	struct pool *pool;
	struct lease_seal seal;
	struct ticker *ticker;
	bool is_inline;
	unsigned n, quorum;
	struct lease_member m[POOL_MEMBERS_MAX];

	/* the round's */
	struct lease self;
	struct buf *slot; /* what this round writes */
	bool last;	  /* no reading back: it is the end */

	struct mutex mu;
	struct cond changed;
	unsigned need; /* members; 0: being taken */
	int fenced;    /* 0, or for good */
	bool lapsed;   /* and told */
	uint64_t rounds;
	char by[160];
};

/* 0, -ERR_FENCED or -ERR_LEASE; mu is held. */
int lease_error_locked(const struct pool_lease *l);
/* For good; `by` is for people. */
void lease_fence(struct pool_lease *l, const char *by);

/*
 * Renews it on all members and waits for them, at most wait_ms. Members that
 * are late go on in the next round. 0; -ENOMEM, -EIO: nothing was begun.
 */
int lease_run_round(struct pool_lease *l, uint64_t wait_ms);
/* Is a member of the last round late? */
bool lease_is_busy(const struct pool_lease *l);

#endif
