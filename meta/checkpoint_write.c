/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a frozen index to the pool.
 *
 * What is written: regions that changed since the checkpoint in force (by
 * their hash; what the index says is only where to look), the live rest of
 * segments that fell under half live, so that the segments of one checkpoint
 * take at most twice the room of the index, and the content of small segments
 * when there are many of them, so that their number stays small too. All of it
 * is read from the frozen local file: it is nearer than the pool.
 *
 * next.segment starts as a copy of the base's list; segments written are
 * appended, and the one being filled already has its number. Those that lost
 * their last region leave the list at the end.
 */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "backend/compress.h"
#include "backend/keyring.h"
#include "meta/checkpoint_impl.h"
#include "meta/index_page.h"
#include "meta/manifest_format.h"

#define NO_SEGMENT UINT32_MAX
/* Segments below this share of a full one are small ... */
#define SMALL_SHARE 4
/* ... and are written together when there are more of them than this. */
#define SMALL_MAX 16

struct writer_state {
	struct run *r;
	struct seg_context cx;
	struct seg_build *build; /* being filled; NULL: none */
	uint32_t old_segments;	 /* of the base */
	uint8_t *plain;		 /* one region */
};

/* ---- segments ---- */

/* Room is made first, so that nothing is written and then forgotten. */
static int reserve_entry(struct run *r)
{
	struct manifest_segment *wide =
		mem_realloc(r->next.segment,
			    ((size_t)r->next.segments + 1) * sizeof(*wide));

	if (!wide)
		return -ENOMEM;
	r->next.segment = wide;
	return 0;
}

/* Writes a segment and notes it among those written. */
static int write_segment(struct run *r, struct seg_build *b,
			 struct seg_desc *out)
{
	static const struct seg_desc none;
	int rc = desc_list_add(&r->written, &none);

	if (rc < 0)
		return rc;
	rc = store_write(r->ck->o.store, b, out);
	if (rc < 0)
		r->written.n--;
	else
		r->written.v[r->written.n - 1] = *out;
	return rc;
}

static int open_segment(struct writer_state *w, uint32_t cap,
			struct seg_build **out)
{
	struct index *ix = w->r->ck->o.ix;
	struct seg_id id = {index_next(ix, COUNTER_SEGMENT)};

	return seg_build_new(&w->cx, SEG_INDEX, id, cap, NULL, out);
}

/* Ends the segment being filled, if there is one. */
static int flush(struct writer_state *w)
{
	struct run *r = w->r;
	struct seg_desc d;
	int rc;

	if (!w->build)
		return 0;
	rc = reserve_entry(r);
	if (rc == 0)
		rc = write_segment(r, w->build, &d);
	seg_build_free(steal(&w->build));
	if (rc == 0)
		r->next.segment[r->next.segments++] =
			(struct manifest_segment){.desc = d};
	return rc;
}

/* w->plain becomes the content of a region. */
static int put_region(struct writer_state *w, uint32_t region,
		      const uint8_t hash[REGION_HASH])
{
	struct run *r = w->r;
	struct region_entry e;
	int rc = -ENOSPC;

	while (rc == -ENOSPC) {
		if (!w->build)
			rc = open_segment(w, r->ck->o.pool->geo.segment_bytes,
					  &w->build);
		else
			rc = 0;
		if (rc < 0)
			return rc;
		rc = seg_build_add(w->build, MANIFEST_DATA_REGION,
				   (uint64_t)region * INDEX_REGION, w->plain,
				   INDEX_REGION, COMPRESS_LEVEL_DEF, &e.ref);
		if (rc != -ENOSPC)
			break;
		if (seg_build_count(w->build) == 0)
			return rc;
		rc = flush(w);
		if (rc == 0)
			rc = -ENOSPC;
	}
	if (rc < 0)
		return rc;
	e.segment = r->next.segments;
	memcpy(e.hash, hash, REGION_HASH);
	r->next.region[region] = e;
	r->regions_written++;
	return 0;
}

/* ---- regions ---- */

/* Does the first region look like the start of a database of this length? */
static bool root_valid(const uint8_t *plain, uint32_t regions)
{
	uint32_t pages = get_be32(plain + DB_PAGE_COUNT);

	return memcmp(plain, "SQLite format 3", 16) == 0 && pages > 0 &&
	       REGIONS_FOR((uint64_t)pages) <= regions;
}

/* Writes a region unless it is as it was; anyway: even then. */
static int visit(struct writer_state *w, uint32_t region, bool anyway)
{
	struct run *r = w->r;
	const struct region_entry *e = &r->next.region[region];
	uint8_t hash[REGION_HASH];
	int rc = index_region_read(r->ck->o.ix, region, w->plain);

	if (rc == 0)
		rc = manifest_hash_region(w->plain, hash);
	if (rc < 0)
		return rc;
	if (region == 0 && !root_valid(w->plain, r->next.regions)) {
		log_event(LOG_LVL_ERROR, "index_root_bad", "regions=%u",
			  r->next.regions);
		return -ERR_CORRUPT;
	}
	if (!anyway && e->segment != NO_SEGMENT &&
	    memcmp(e->hash, hash, REGION_HASH) == 0)
		return 0;
	return put_region(w, region, hash);
}

/*
 * The first region is looked at for root_valid, the last because what lies
 * behind the end of the file reads as zeros: it changes when the file shrinks.
 */
static int visit_changed(struct writer_state *w)
{
	struct run *r = w->r;
	uint32_t last = r->next.regions - 1;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i <= last; i++)
		if (i == 0 || i == last || region_is_set(&r->changed, i) ||
		    r->next.region[i].segment == NO_SEGMENT)
			rc = visit(w, i, false);
	return rc;
}

/* ---- segments worth rewriting ---- */

/* Live bytes by segment; one more entry for the segment being filled. */
static uint64_t *count_live(const struct manifest *m)
{
	uint64_t *live = mem_calloc((size_t)m->segments + 1, sizeof(*live));

	for (uint32_t i = 0; live && i < m->regions; i++)
		live[m->region[i].segment] += m->region[i].ref.stored_len;
	return live;
}

static bool is_sparse(const struct seg_desc *d, uint64_t live)
{
	return live > 0 && live * 2 < d->table_pos;
}

static bool is_small(const struct seg_desc *d, uint64_t live, uint32_t full)
{
	return live > 0 && d->table_pos < full / SMALL_SHARE;
}

static int rewrite_segments(struct writer_state *w)
{
	struct manifest *m = &w->r->next;
	uint32_t full = w->r->ck->o.pool->geo.segment_bytes;
	AUTO_FREE uint64_t *live = count_live(m);
	AUTO_FREE bool *chosen = mem_calloc(w->old_segments + 1, sizeof(bool));
	unsigned small = 0;
	int rc = live && chosen ? 0 : -ENOMEM;

	for (uint32_t s = 0; rc == 0 && s < w->old_segments; s++)
		small += is_small(&m->segment[s].desc, live[s], full);
	for (uint32_t s = 0; rc == 0 && s < w->old_segments; s++) {
		const struct seg_desc *d = &m->segment[s].desc;

		chosen[s] = is_sparse(d, live[s]) ||
			    (small > SMALL_MAX && is_small(d, live[s], full));
	}
	for (uint32_t i = 0; rc == 0 && i < m->regions; i++) {
		uint32_t s = m->region[i].segment;

		if (s < w->old_segments && chosen[s])
			rc = visit(w, i, true);
	}
	return rc;
}

/* Takes segments without regions out of the list. */
static int drop_empty(struct manifest *m)
{
	AUTO_FREE uint64_t *live = count_live(m);
	AUTO_FREE uint32_t *number =
		mem_calloc((size_t)m->segments + 1, sizeof(*number));
	uint32_t n = 0;

	if (!live || !number)
		return -ENOMEM;
	for (uint32_t s = 0; s < m->segments; s++) {
		if (live[s] == 0)
			continue;
		number[s] = n;
		m->segment[n] = m->segment[s];
		m->segment[n++].live = (uint32_t)live[s];
	}
	for (uint32_t i = 0; i < m->regions; i++)
		m->region[i].segment = number[m->region[i].segment];
	m->segments = n;
	return 0;
}

/* ---- the whole ---- */

/* next becomes the base with the new number of regions. */
static int start(struct run *r)
{
	const struct manifest *base = &r->ck->base;
	struct manifest *m = &r->next;

	if (r->changed.regions == 0)
		return -ERR_CORRUPT;
	m->regions = r->changed.regions;
	m->region = mem_calloc(m->regions, sizeof(*m->region));
	m->segment =
		mem_calloc((size_t)base->segments + 1, sizeof(*m->segment));
	if (!m->region || !m->segment)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->regions; i++)
		if (i < base->regions)
			m->region[i] = base->region[i];
		else
			m->region[i].segment = NO_SEGMENT;
	m->segments = base->segments;
	if (base->segments)
		memcpy(m->segment, base->segment,
		       base->segments * sizeof(*m->segment));
	return 0;
}

static int write_regions(struct writer_state *w)
{
	int rc = visit_changed(w);

	if (rc == 0)
		rc = rewrite_segments(w);
	if (rc == 0)
		rc = flush(w);
	seg_build_free(steal(&w->build));
	return rc < 0 ? rc : drop_empty(&w->r->next);
}

/* Could what was written be read in an emergency? */
static int read_back(struct run *r)
{
	struct manifest m;
	uint8_t hash[32];
	int rc = manifest_load(r->ck->o.store, &r->ref, &m, hash);

	if (rc < 0)
		return rc;
	manifest_release(&m);
	return memcmp(hash, r->hash, sizeof(hash)) == 0 ? 0 : -ERR_CORRUPT;
}

static int seal_manifest(struct writer_state *w, const struct bytes *coded)
{
	struct run *r = w->r;
	struct seg_build *b;
	int rc = open_segment(w, (uint32_t)coded->len, &b);

	if (rc < 0)
		return rc;
	rc = seg_build_add(b, MANIFEST_DATA_SELF, 0, coded->data,
			   (uint32_t)coded->len, COMPRESS_LEVEL_DEF,
			   &r->ref.chunk);
	if (rc == 0)
		rc = write_segment(r, b, &r->ref.segment);
	seg_build_free(b);
	return rc;
}

static int write_manifest(struct writer_state *w)
{
	AUTO(bytes_release) struct bytes coded = {0};
	struct run *r = w->r;
	int rc = manifest_encode(&r->next, &coded);

	if (rc == 0 && coded.len > SEG_CHUNK_MAX)
		rc = -EFBIG;
	if (rc == 0)
		rc = sha256(coded.data, coded.len, r->hash);
	if (rc == 0)
		rc = seal_manifest(w, &coded);
	if (rc < 0)
		return rc;
	r->ref.present = true;
	r->ref.seq = r->next.seq;
	memcpy(r->ref.epoch_id, r->next.epoch_id, sizeof(r->ref.epoch_id));
	return read_back(r);
}

int checkpoint_write(struct run *r)
{
	struct writer_state w = {.r = r, .old_segments = r->ck->base.segments};
	int rc;

	pool_seg_context(r->ck->o.pool, &w.cx);
	w.plain = mem_alloc(INDEX_REGION);
	rc = w.plain ? start(r) : -ENOMEM;
	if (rc == 0)
		rc = write_regions(&w);
	if (rc == 0)
		rc = write_manifest(&w);
	mem_free(w.plain);
	return rc;
}
