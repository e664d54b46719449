/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A segment becomes a stripe.
 *
 * store_write tries stripes until one is complete (C1: k+m fragments durable,
 * none may stay unwritten):
 *
 *   plan      geometry and homes by who is up, has room and did not fail here
 *   build     the fragment files
 *   put       a round of requests with one deadline; a fragment that failed
 *             or is late goes to a member without a part in the stripe, under
 *             the same name; as long as there is one
 *   give up   what was written is removed; the next stripe has a new id, so
 *             requests left behind can never be taken for parts of it
 *
 * A member that fails once is out for the rest of the call, so it ends.
 */
#include "backend/store_impl.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "base/rnd.h"
#include "backend/placement.h"
#include "backend/pool_lease.h"

/* Assumed where no member has told its free space yet. */
#define FREE_UNKNOWN (1ull << 40)

struct writing {
	struct store *s;
	struct seg_context cx;
	struct seg_build *b;
	uint32_t failed; /* bit per slot: did not write in this call */
	uint32_t full;	 /* bit per slot: said ENOSPC in this call */
	struct seg_desc d;
	struct place_candidate cand[POOL_MEMBERS_MAX];
	unsigned n; /* candidates: up and not failed, full ones too */
	struct buf *file[EC_TOTAL_MAX];
	struct bio *put[EC_TOTAL_MAX];
	uint32_t durable; /* bit per fragment */
};

static bool has_bit(uint32_t set, unsigned i)
{
	return set >> i & 1;
}

/* ---- plan ---- */

static uint64_t room_of(const struct writing *w, unsigned slot,
			const struct drv_usage *u, uint64_t unknown)
{
	uint64_t reserve = w->d.kind == SEG_INDEX ? 0 : w->s->reserve_bytes;

	if (has_bit(w->full, slot))
		return 0;
	if (u->total_bytes == 0)
		return unknown;
	return u->free_bytes > reserve ? u->free_bytes - reserve : 0;
}

/* Who can be asked, and how much room there is. */
static void find_candidates(struct writing *w)
{
	struct drv_usage usage[POOL_MEMBERS_MAX];
	uint64_t most = 0;

	w->n = 0;
	for (unsigned i = 0; i < w->s->pool->n; i++) {
		struct backend *b = store_member(w->s, i);

		if (!b || has_bit(w->failed, i))
			continue;
		backend_usage(b, &usage[w->n]);
		most = MAX(most, usage[w->n].free_bytes);
		w->cand[w->n++].slot = i;
	}
	for (unsigned i = 0; i < w->n; i++) {
		struct place_candidate *c = &w->cand[i];

		c->free_bytes = room_of(w, c->slot, &usage[i],
					most ? most : FREE_UNKNOWN);
		c->domain = usage[i].total_bytes ? usage[i].domain
						 : UINT64_MAX - c->slot;
	}
}

static unsigned with_room(const struct writing *w, uint64_t need)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w->n; i++)
		n += w->cand[i].free_bytes >= need;
	return n;
}

static void shape(struct writing *w, unsigned u)
{
	const struct geometry *geo = &w->s->pool->geo;
	unsigned k, m;

	placement_geometry(u, w->d.payload_len < SEG_SMALL ? 1 : geo->k, geo->m,
			   &k, &m);
	w->d.k = (uint8_t)k;
	w->d.m = (uint8_t)m;
	memset(w->d.bound, 0, sizeof(w->d.bound));
	seg_build_split(w->b, k, w->d.bound);
}

static uint64_t biggest_file(const struct seg_desc *d)
{
	uint64_t most = 0;

	for (unsigned i = 0; i < fragment_count(d); i++)
		most = MAX(most, (uint64_t)fragment_file_len(d, i));
	return most;
}

/*
 * The widest geometry for which there is room. Full members cost width only:
 * data that would be less redundant than the members that are up allow is not
 * written at all.
 */
static int plan(struct writing *w)
{
	unsigned homes[EC_TOTAL_MAX], m_due, fit;
	uint64_t need = 0;
	int rc;

	find_candidates(w);
	if (w->n == 0)
		return -ERR_UNAVAILABLE;
	m_due = MIN((unsigned)w->s->pool->geo.m, w->n - 1);
	for (unsigned u = w->n; u > 0; u = MIN(u - 1, fit)) {
		shape(w, u);
		need = biggest_file(&w->d);
		fit = with_room(w, need);
		if (fit >= fragment_count(&w->d))
			break;
		if (fit == 0)
			return -ENOSPC;
	}
	if (w->d.m < m_due)
		return -ENOSPC;
	rc = placement_choose(w->cand, w->n, fragment_count(&w->d), w->d.m,
			      need, homes);
	for (unsigned i = 0; rc == 0 && i < fragment_count(&w->d); i++)
		w->d.home[i] = (uint8_t)homes[i];
	return rc;
}

/* ---- put ---- */

static int submit(struct writing *w, unsigned i)
{
	struct backend *b = store_home(w->s, &w->d, i);
	char name[DRV_NAME_MAX + 1];

	frag_name(&w->d, i, name);
	w->put[i] = bio_new_put(name, w->file[i]);
	if (!w->put[i])
		return -ENOMEM;
	if (b)
		(void)bio_submit(b, w->put[i]);
	else /* went down since it was chosen */
		bio_unref(steal(&w->put[i]));
	return 0;
}

static bool takes_part(const struct writing *w, unsigned slot)
{
	for (unsigned i = 0; i < fragment_count(&w->d); i++) {
		if (w->d.home[i] == slot)
			return true;
	}
	return false;
}

static unsigned parts_in_domain(const struct writing *w, uint64_t domain,
				unsigned except)
{
	unsigned parts = 0;

	for (unsigned c = 0; c < w->n; c++)
		for (unsigned i = 0; i < fragment_count(&w->d); i++)
			parts += i != except &&
				 w->cand[c].slot == w->d.home[i] &&
				 w->cand[c].domain == domain;
	return parts;
}

/*
 * A member for fragment i in place of its home, from a domain with fewer than
 * m parts if there is one. -ENOSPC: none.
 */
static int find_spare(const struct writing *w, unsigned i, unsigned *slot_out)
{
	struct place_candidate any[POOL_MEMBERS_MAX], good[POOL_MEMBERS_MAX];
	uint64_t need = fragment_file_len(&w->d, i);
	unsigned anys = 0, goods = 0;

	for (unsigned c = 0; c < w->n; c++) {
		const struct place_candidate *one = &w->cand[c];

		if (takes_part(w, one->slot) ||
		    has_bit(w->failed | w->full, one->slot))
			continue;
		any[anys++] = *one;
		if (parts_in_domain(w, one->domain, i) <
		    MAX((unsigned)w->d.m, 1u))
			good[goods++] = *one;
	}
	if (placement_choose(good, goods, 1, 1, need, slot_out) == 0)
		return 0;
	return placement_choose(any, anys, 1, 1, need, slot_out);
}

/* rc of a put -> the member's mark. Ours alone: returned. */
static int blame(struct writing *w, unsigned i, int rc)
{
	unsigned slot = w->d.home[i];

	if (rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE)
		return rc;
	if (rc == -ENOSPC || rc == -EDQUOT)
		w->full |= 1u << slot;
	else
		w->failed |= 1u << slot;
	log_event(LOG_LVL_WARN, "fragment_not_written", "member=%u rc=%s", slot,
		  err_name(rc));
	return 0;
}

/* One round is over: takes what is durable, marks who failed. */
static int judge(struct writing *w, uint64_t deadline)
{
	int rc = 0;

	for (unsigned i = 0; i < fragment_count(&w->d); i++) {
		int put_rc;

		if (has_bit(w->durable, i))
			continue;
		put_rc = w->put[i] ? bio_wait(w->put[i], deadline)
				   : -ERR_BACKEND_DOWN;
		bio_unref(steal(&w->put[i]));
		if (put_rc == 0)
			w->durable |= 1u << i;
		else if (rc == 0)
			rc = blame(w, i, put_rc);
	}
	return rc;
}

/* New homes for what is not durable. -EAGAIN: there are too few. */
static int rehome(struct writing *w)
{
	unsigned slot;

	for (unsigned i = 0; i < fragment_count(&w->d); i++) {
		if (has_bit(w->durable, i))
			continue;
		if (find_spare(w, i, &slot))
			return -EAGAIN;
		w->d.home[i] = (uint8_t)slot;
	}
	return 0;
}

static int put_all(struct writing *w)
{
	uint32_t all = (uint32_t)((1ull << fragment_count(&w->d)) - 1);
	int rc = 0;

	if (MUTANT(STRIPE_WITHOUT_LAST))
		w->durable = 1u << (fragment_count(&w->d) - 1);
	while (rc == 0) {
		uint64_t deadline = store_deadline_ns(w->s);

		for (unsigned i = 0; i < fragment_count(&w->d) && !rc; i++) {
			if (!has_bit(w->durable, i))
				rc = submit(w, i);
		}
		if (rc == 0)
			rc = judge(w, deadline);
		if (rc || w->durable == all)
			return rc;
		rc = rehome(w);
	}
	return rc;
}

/* ---- stripes ---- */

/*
 * Requests that do not end in time are left to themselves; what they may still
 * write are orphans of a stripe that nobody will ever name.
 */
static void discard(struct writing *w)
{
	uint64_t deadline = store_deadline_ns(w->s);

	for (unsigned i = 0; i < fragment_count(&w->d); i++) {
		if (w->put[i] && bio_wait(w->put[i], deadline) == 0)
			w->durable |= 1u << i;
		bio_unref(steal(&w->put[i]));
	}
	if (w->durable)
		(void)store_remove_some(w->s, &w->d, w->durable);
}

/* -EAGAIN: a smaller one may do. */
static int try_stripe(struct writing *w)
{
	int rc;

	w->durable = 0;
	do
		w->d.stripe.v = rnd_u64();
	while (w->d.stripe.v == 0);
	rc = plan(w);
	if (rc)
		return rc;
	rc = fragment_build(&w->cx, &w->d,
			    seg_build_at(w->b, 0, w->d.payload_len), w->file);
	if (rc)
		return rc;
	rc = put_all(w);
	for (unsigned i = 0; i < fragment_count(&w->d); i++)
		buf_unref(steal(&w->file[i]));
	if (rc)
		discard(w);
	return rc;
}

static void count_stripe(struct store *s, const struct seg_desc *d)
{
	s->count.segments_written++;
	s->count.payload_bytes += d->payload_len;
	for (unsigned i = 0; i < fragment_count(d); i++)
		s->count.raw_bytes += fragment_file_len(d, i);
}

int store_write(struct store *s, struct seg_build *b, struct seg_desc *out)
{
	struct writing w = {.s = s, .b = b};
	int rc = seg_build_finish(b);

	if (rc)
		return rc;
	/* Nobody would ever refer to it. */
	if (pool_lease_error(s->pool) == -ERR_FENCED)
		return -ERR_FENCED;
	pool_seg_context(s->pool, &w.cx);
	seg_build_describe(b, &w.d);
	while ((rc = try_stripe(&w)) == -EAGAIN)
		s->count.restripes++;
	if (rc)
		return rc;
	count_stripe(s, &w.d);
	*out = w.d;
	return 0;
}
