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

#define LOOK_NS		 1000000000ULL
#define LOOK_DEADLINE_MS 500
#define NEARLY_FULL	 (64u << 20)

/* Tags, tables, headers, padding, uneven ranges: at most so much more. */
static uint64_t with_overhead(uint64_t len)
{
	return len + len / 16 + 1024;
}

/* The reserve is raw; what users may fill is its share of data. */
static void leave_reserve(struct volume *v, struct pool_space *s)
{
	const struct geometry *g = &v->pool->geo;
	uint64_t reserve =
		checkpoint_reserve(v->checkpoint) / (g->k + g->m) * g->k;

	/* The last room is that of narrow stripes. */
	if (s->narrow_bytes < reserve)
		s->free_bytes -= MIN(s->free_bytes, reserve - s->narrow_bytes);
	s->narrow_bytes -= MIN(s->narrow_bytes, reserve);
}

void space_get(struct volume *v, struct pool_space *out)
{
	pool_space(v->pool, out);
	leave_reserve(v, out);
}

/* Of stripes of any width. */
static uint64_t all_free(const struct pool_space *s)
{
	return s->free_bytes + MIN(s->narrow_bytes, UINT64_MAX - s->free_bytes);
}

bool space_nearly_full(struct volume *v)
{
	struct pool_space s;

	space_get(v, &s);
	return all_free(&s) < NEARLY_FULL;
}

/* Enters a look at the members. space_lock is held. */
static void looked(struct volume *v, const struct pool_space *s, uint64_t dirty,
		   uint64_t unseen)
{
	struct store_stats st;

	store_get_stats(v->store, &st);
	v->space_free = all_free(s);
	/* What records carry gets its stripe later. */
	v->space_taken = with_overhead(dirty) + unseen +
			 with_overhead(jseg_unstriped(v->js));
	v->space_written = st.payload_bytes;
	v->space_checked_ns = clock_mono_ns();
}

/*
 * space_lock is held. The members' own figures may be a second old, so what
 * was written since the last look counts as not in them yet.
 */
static void look(struct volume *v)
{
	struct store_stats st;
	struct pool_space space;

	if (v->space_checked_ns &&
	    clock_mono_ns() - v->space_checked_ns < LOOK_NS)
		return;
	space_get(v, &space);
	store_get_stats(v->store, &st);
	looked(v, &space, cache_dirty_bytes(v->cache, CACHE_ANY),
	       st.payload_bytes - v->space_written);
}

/*
 * A sure look. What is dirty is asked first: what is written back meanwhile
 * counts twice rather than not at all.
 */
static void look_again(struct volume *v)
{
	uint64_t dirty = cache_dirty_bytes(v->cache, CACHE_ANY);
	struct pool_space space;

	pool_space_fresh(v->pool, LOOK_DEADLINE_MS, &space);
	leave_reserve(v, &space);
	MUTEX_GUARD(&v->space_lock);
	looked(v, &space, dirty, 0);
}

static int take(struct volume *v, uint64_t len)
{
	MUTEX_GUARD(&v->space_lock);
	look(v);
	if (v->space_taken + with_overhead(len) > v->space_free)
		return -ENOSPC;
	v->space_taken += with_overhead(len);
	return 0;
}

/* Does deleted data still hold room that the queue or a checkpoint would give
 * back? */
static bool room_waits(struct volume *v)
{
	struct queue_row job = {0};
	int rc;

	index_lock(v->ix);
	do {
		/* Open files without names keep theirs. */
		rc = queue_next(v->ix, job.id, &job);
	} while (rc == 0 &&
		 (job.kind == QUEUE_ORPHAN || job.kind == QUEUE_LOOSE));
	index_unlock(v->ix);
	return rc == 0 || checkpoint_frees(v->checkpoint);
}

/*
 * Whoever deletes and writes again expects the room to be there. One at a time:
 * the others find it made, or know that it cannot be.
 */
static int make_room(struct volume *v, uint64_t len)
{
	int rc;

	MUTEX_GUARD(&v->reclaim_lock);
	rc = take(v, len);
	if (rc == 0 || !room_waits(v))
		return rc;
	rc = service_run_queue(v);
	if (rc == 0)
		rc = service_checkpoint(v, NULL, NULL);
	if (rc < 0)
		return -ENOSPC;
	look_again(v);
	return take(v, len);
}

int space_take(struct volume *v, uint64_t len)
{
	int rc = take(v, len);

	if (rc == 0)
		return 0;
	look_again(v);
	rc = take(v, len);
	if (rc < 0)
		rc = make_room(v, len);
	/* Where nobody can be asked there is no room either. */
	return rc < 0 && pool_up(v->pool) == 0 ? -ERR_UNAVAILABLE : rc;
}
