/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of the store:
 *   store.c         life, members, names, removal, counters
 *   store_write.c   a segment becomes a stripe
 *   store_read.c    chunks, runs and tables; the nearest fragment first
 *   store_gather.c  the same bytes from the other fragments
 *   store_check.c   judging and remaking fragments
 */
#include "backend/store_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define NS_PER_MS 1000000ull

/* ---- life ---- */

/* Without it the first segments would be placed blindly. */
static int learn_usage(struct store *s)
{
	struct bio *bio[POOL_MEMBERS_MAX] = {NULL};
	struct backend *b;
	int rc = 0;

	for (unsigned i = 0; i < s->pool->n; i++) {
		b = store_member(s, i);
		if (!b)
			continue;
		bio[i] = bio_new_usage();
		if (bio[i])
			(void)bio_submit(b, bio[i]);
		else
			rc = -ENOMEM;
	}
	bio_wait_some(bio, s->pool->n, s->pool->n,
		      clock_mono_ns() + STORE_USAGE_MS * NS_PER_MS);
	for (unsigned i = 0; i < s->pool->n; i++)
		bio_unref(bio[i]);
	return rc;
}

int store_new(struct pool *pool, struct store **out)
{
	struct store *s = mem_zalloc(sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	s->pool = pool;
	s->deadline_ms = BACKEND_DEADLINE_MS;
	rc = learn_usage(s);
	if (rc) {
		store_free(s);
		return rc;
	}
	*out = s;
	return 0;
}

void store_free(struct store *s)
{
	if (!s)
		return;
	seg_keys_forget(s->pool->keys);
	mem_free(s);
}

void store_set_reserve(struct store *s, uint64_t bytes_per_member)
{
	s->reserve_bytes = bytes_per_member;
}

void store_set_deadline(struct store *s, uint64_t ms)
{
	s->deadline_ms = ms;
}

void store_on_suspect(struct store *s, store_suspect_fn *fn, void *arg)
{
	s->suspect_fn = fn;
	s->suspect_arg = arg;
}

void store_get_stats(const struct store *s, struct store_stats *out)
{
	*out = (struct store_stats){
		.segments_written = s->count.segments_written,
		.payload_bytes = s->count.payload_bytes,
		.raw_bytes = s->count.raw_bytes,
		.chunks_read = s->count.chunks_read,
		.chunks_rebuilt = s->count.chunks_rebuilt,
		.restripes = s->count.restripes,
		.fragments_suspect = s->count.fragments_suspect,
	};
}

/* ---- members ---- */

struct backend *store_member(const struct store *s, unsigned slot)
{
	struct backend *b =
		slot < s->pool->n ? s->pool->member[slot].backend : NULL;

	return b && backend_get_state(b) != BACKEND_DOWN ? b : NULL;
}

struct backend *store_home(const struct store *s, const struct seg_desc *d,
			   unsigned i)
{
	return store_member(s, d->home[i]);
}

unsigned store_reachable(struct store *s, const struct seg_desc *d)
{
	unsigned up = 0;

	for (unsigned i = 0; i < fragment_count(d); i++)
		up += store_home(s, d, i) != NULL;
	return up;
}

uint64_t store_deadline_ns(const struct store *s)
{
	return clock_mono_ns() + s->deadline_ms * NS_PER_MS;
}

/* ---- requests ---- */

void frag_name(const struct seg_desc *d, unsigned index, char *out)
{
	snprintf(out, DRV_NAME_MAX + 1,
		 "%s/%02x/%016" PRIx64 "-%016" PRIx64 ".%u",
		 d->kind == SEG_INDEX ? "index" : "data",
		 (unsigned)(d->id.v & 0xff), d->id.v, d->stripe.v, index);
}

struct bio *store_get(const struct seg_desc *d, unsigned i, uint32_t off,
		      uint32_t len, bool direct)
{
	char name[DRV_NAME_MAX + 1];

	frag_name(d, i, name);
	return bio_new_get(name, off, len, direct);
}

int store_got(struct bio *bio, int rc, uint32_t len)
{
	if (rc < 0)
		return rc;
	return bio_data(bio)->len == len ? 0 : -ERR_TRUNCATED;
}

int store_remove_some(struct store *s, const struct seg_desc *d, uint32_t mask)
{
	uint64_t deadline = store_deadline_ns(s);
	struct bio *bio[EC_TOTAL_MAX] = {NULL};
	char name[DRV_NAME_MAX + 1];
	int first = 0, rc;

	for (unsigned i = 0; i < fragment_count(d); i++) {
		struct backend *b = store_home(s, d, i);

		if (!(mask >> i & 1) || !b)
			continue;
		frag_name(d, i, name);
		bio[i] = bio_new_remove(name);
		if (bio[i])
			(void)bio_submit(b, bio[i]);
		else
			first = -ENOMEM;
	}
	for (unsigned i = 0; i < fragment_count(d); i++) {
		rc = bio[i] ? bio_wait(bio[i], deadline) : 0;
		if (rc && rc != -ENOENT && !first)
			first = rc;
		bio_unref(bio[i]);
	}
	return first;
}

int store_remove(struct store *s, const struct seg_desc *d)
{
	return store_remove_some(s, d, UINT32_MAX);
}
