/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much more user data fits.
 *
 * A stripe takes one fragment on each of w = k+m distinct members. With T
 * stripes' worth of one fragment each, a member can take part in at most
 * min(free, T) of it, and by the theorem on (0,1)-matrices with given row
 * sums (Gale, Ryser) T is possible exactly if those parts sum up to w * T. So
 * the largest such T counts, and k * T is user data.
 */
#include <string.h>

#include "backend/placement.h"
#include "backend/pool_impl.h"

static void sort_up(uint64_t *v, unsigned n)
{
	for (unsigned i = 1; i < n; i++)
		for (unsigned j = i; j > 0 && v[j - 1] > v[j]; j--) {
			uint64_t t = v[j];

			v[j] = v[j - 1];
			v[j - 1] = t;
		}
}

/*
 * The largest T with sum(min(v[i], T)) >= w * T; v ascending. Between v[j-1]
 * and v[j] the sum is (v[0] + ... + v[j-1]) + (n - j) * T, so T is bounded
 * there by that first part over w - (n - j). As long as n - j >= w, every T
 * will do.
 */
static uint64_t largest_layer(const uint64_t *v, unsigned n, unsigned w)
{
	unsigned __int128 sum = 0;
	uint64_t t = 0;

	for (unsigned j = 0; j <= n; j++) {
		uint64_t up_to = j < n ? v[j] : UINT64_MAX;

		if (n - j >= w) {
			t = up_to;
		} else {
			unsigned __int128 bound = sum / (w - (n - j));

			if (bound >= (j ? v[j - 1] : 0))
				t = (uint64_t)MIN(bound,
						  (unsigned __int128)up_to);
		}
		if (j < n)
			sum += v[j];
	}
	return t;
}

static uint64_t user_bytes(const uint64_t *v, unsigned n, unsigned k,
			   unsigned w)
{
	unsigned __int128 bytes = (unsigned __int128)largest_layer(v, n, w) * k;

	return (uint64_t)MIN(bytes, (unsigned __int128)UINT64_MAX);
}

/*
 * The same for stripes with fewer and fewer data fragments, each width as often
 * as it goes, on what the layers of k + m leave. v is used up.
 */
static uint64_t narrow_bytes(uint64_t *v, unsigned n, unsigned k, unsigned m)
{
	unsigned __int128 bytes = 0;

	for (unsigned left = k; left > 0; left--) {
		uint64_t t = largest_layer(v, n, left + m);

		if (left < k)
			bytes += (unsigned __int128)t * left;
		for (unsigned i = 0; i < n; i++)
			v[i] -= MIN(v[i], t);
	}
	return (uint64_t)MIN(bytes, (unsigned __int128)UINT64_MAX);
}

static bool shares(const struct space_member *a, const struct space_member *b)
{
	return a->domain == b->domain && a->total_bytes == b->total_bytes;
}

/* Members of one file system have equal parts of its space. */
static void split(const struct space_member *s, unsigned n, unsigned i,
		  uint64_t *free_out, uint64_t *total_out)
{
	uint64_t least = s[i].free_bytes;
	unsigned sharers = 0;

	for (unsigned j = 0; j < n; j++)
		if (shares(&s[i], &s[j])) {
			sharers++;
			least = MIN(least, s[j].free_bytes);
		}
	*free_out = least / sharers;
	*total_out = s[i].total_bytes / sharers;
}

static uint64_t add_capped(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

void pool_space_of(const struct space_member *s, unsigned n,
		   const struct geometry *g, struct pool_space *out)
{
	uint64_t free_bytes[POOL_MEMBERS_MAX], total[POOL_MEMBERS_MAX];
	unsigned k, m;

	*out = (struct pool_space){0};
	if (!n)
		return;
	for (unsigned i = 0; i < n; i++) {
		split(s, n, i, &free_bytes[i], &total[i]);
		out->raw_free = add_capped(out->raw_free, free_bytes[i]);
		out->raw_total = add_capped(out->raw_total, total[i]);
	}
	sort_up(free_bytes, n);
	sort_up(total, n);
	placement_geometry(n, g->k, g->m, &k, &m);
	out->smallest_total = total[0];
	out->free_bytes = user_bytes(free_bytes, n, k, k + m);
	out->total_bytes = user_bytes(total, n, k, k + m);
	out->narrow_bytes = narrow_bytes(free_bytes, n, k, m);
}

void pool_space(const struct pool *p, struct pool_space *out)
{
	struct space_member s[POOL_MEMBERS_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < p->n; i++) {
		struct drv_usage u;

		if (!member_up(&p->member[i]))
			continue;
		backend_usage(p->member[i].backend, &u);
		s[n++] = (struct space_member){.free_bytes = u.free_bytes,
					       .total_bytes = u.total_bytes,
					       .domain = u.domain};
	}
	pool_space_of(s, n, &p->geo, out);
}

void pool_space_fresh(const struct pool *p, uint64_t deadline_ms,
		      struct pool_space *out)
{
	struct fan f[POOL_MEMBERS_MAX] = {0};

	for (unsigned i = 0; i < p->n; i++) {
		f[i].to = p->member[i].backend;
		f[i].bio = f[i].to ? bio_new_usage() : NULL;
	}
	/* Each answer is kept by its backend; who is late keeps its old one. */
	fan_run(f, p->n, deadline_ms);
	fan_release(f, p->n);
	pool_space(p, out);
}
