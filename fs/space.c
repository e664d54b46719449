/* SPDX-License-Identifier: Apache-2.0 */
/*
 * space.c - how much can still be accepted.
 *
 * Room is taken when bytes are accepted, not when they are written, so that
 * nothing accepted fails later for lack of space. The members' usage is asked
 * at most once a second; between two looks only `taken` grows.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "fs/volume_impl.h"

#define LOOK_NS 1000000000ULL

void space_get(struct volume *v, struct pool_space *out)
{
	uint64_t reserve;

	pool_space(v->pool, out);
	/* The reserve is raw; what users may fill is its share of data. */
	reserve = checkpoint_reserve(v->checkpoint) /
		  (v->pool->geo.k + v->pool->geo.m) * v->pool->geo.k;
	out->free_bytes -= MIN(out->free_bytes, reserve);
}

/* space_lock is held. */
static void look(struct volume *v)
{
	uint64_t now = clock_mono_ns();
	struct pool_space space;

	if (v->space_checked_ns && now - v->space_checked_ns < LOOK_NS)
		return;
	space_get(v, &space);
	v->space_free = space.free_bytes;
	v->space_taken = cache_dirty_bytes(v->cache, CACHE_ANY);
	v->space_checked_ns = now;
}

int space_take(struct volume *v, uint64_t len)
{
	MUTEX_GUARD(&v->space_lock);
	look(v);
	if (v->space_taken + len > v->space_free)
		return -ENOSPC;
	v->space_taken += len;
	return 0;
}
