/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_lease.h - one writer among several hosts.
 *
 * On one host flock tells who writes (driver_lock). Between hosts a lease
 * does: the writer renews it every LEASE_RENEW_MS on all members; one that
 * could not on enough of them for LEASE_FENCE_MS acknowledges nothing until it
 * could again; another host takes over once it has seen LEASE_TAKEOVER_MS
 * without a change (pool_open waits for that). A writer that learns that it
 * was taken over from is fenced for good. Why that is sound is on top of
 * pool_lease.c.
 *
 * There is at most one lease per pool, in the pool. Mounts that only read have
 * none, and none is needed for anything below to answer: where there is none,
 * everything is allowed.
 *
 * Threads: begin, release and drop by one thread, while no other uses the
 * pool; the rest by any.
 */
#ifndef MENDFS_BACKEND_POOL_LEASE_H
#define MENDFS_BACKEND_POOL_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/err.h"
#include "backend/pool.h"

#define LEASE_RENEW_MS	  2000
#define LEASE_FENCE_MS	  6000
#define LEASE_TAKEOVER_MS 15000

/*
 * Takes the lease for p's newest epoch and goes on renewing it. After
 * pool_begin_epoch, before anything is published. degraded: the user says
 * that nobody else uses the pool, so fewer members will do.
 *
 * -ERR_IN_USE: somebody else has begun meanwhile, or was alive after all; the
 * lease is withdrawn. -ERR_NO_MAJORITY: too few members took it. Both with a
 * diag. Also -ENOMEM, -EAGAIN, -EIO.
 */
int pool_lease_begin(struct pool *p, bool degraded, struct diag *diag) MUST_USE;
/*
 * Unmounted: nothing more will be written, others need not wait. Called by
 * pool_close's caller when all is done; pool_close itself only forgets the
 * lease, as a crash would.
 */
void pool_lease_release(struct pool *p);

/*
 * May what is durable now be acknowledged, and what was published be believed?
 * To be asked after the fact. 0: nobody had taken over when it was asked.
 * Waits for a renewal that is late, at most LEASE_FENCE_MS: then -ERR_LEASE,
 * and it may be asked again. -ERR_FENCED: never again.
 */
int pool_lease_check(struct pool *p) MUST_USE;
/* The same without waiting. */
int pool_lease_error(struct pool *p);
/* Somebody else's epoch was met: fenced for good. No-op without a lease. */
void pool_lease_fence(struct pool *p, const char *why);
/* One renewal now; what the renewer does every LEASE_RENEW_MS. */
void pool_lease_renew(struct pool *p);

struct pool_lease_stats {
	bool held;	  /* there is a lease at all */
	int error;	  /* as pool_lease_error */
	unsigned members; /* that were renewed within LEASE_FENCE_MS */
	unsigned needed;
	uint64_t renewed; /* renewals tried so far */
	uint64_t age_ms;  /* since enough members were renewed */
	char by[160];	  /* fenced: by whom, for people; else "" */
};
void pool_lease_get_stats(struct pool *p, struct pool_lease_stats *out);

#endif
