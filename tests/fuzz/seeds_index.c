/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "fuzz/fuzz_kit_index.h"
#include "fuzz/seeds.h"
#include "meta/index_impl.h"

/* ---- logs ---- */

static struct bytes cut(struct index *ix)
{
	struct bytes log = {0};

	index_lock(ix);
	MUST(index_cut(ix, index_seq(ix) + 1, true, &log) == 0);
	index_unlock(ix);
	return log;
}

/* Changes [from, to) as one record. */
static void log_seed(unsigned from, unsigned to)
{
	struct index *ix = fuzz_index_open();
	struct bytes log;

	for (unsigned i = from; i < to; i++)
		MUST(fuzz_index_change(ix, i) >= 0);
	log = cut(ix);
	seed_write(&log, "replay", "changes-%u-%u", from, to);
	(void)index_close(ix, false);
}

/* ---- pages ---- */

/* A patch that changes nothing: where it lies is what matters. */
static void page_seed(const struct fuzz_index *fi, unsigned page, unsigned at)
{
	const unsigned len = 24;
	struct bytes b = {0};

	seed_u8(&b, 1);
	seed_u8(&b, page);
	seed_u16(&b, at);
	seed_u8(&b, len);
	seed_raw(&b, fi->plain + (size_t)page * INDEX_PAGE + at, len);
	seed_write(&b, "index", "page-%u-%u", page, at);
}

static void raw_seed(unsigned page)
{
	struct bytes b = {0};

	seed_u8(&b, 0);
	seed_u8(&b, page);
	seed_u16(&b, 77);
	seed_u8(&b, 1);
	seed_u8(&b, 0xaa);
	seed_write(&b, "index", "raw-%u", page);
}

/* ---- rows ---- */

static void desc_seed(const struct seg_desc *d)
{
	struct bytes b = {0};

	MUST(seg_desc_encode(d, &b) == 0);
	seed_write(&b, "desc", "segment-%u", (unsigned)d->id.v);
}

static void extent_seed(const struct extent_row *e)
{
	uint8_t blob[CHUNKS_BLOB_MAX];
	size_t len = chunks_encode(e, FUZZ_CHUNK, blob);
	struct bytes b = {0};

	seed_u8(&b, 0);
	seed_number(&b, e->off);
	seed_number(&b, e->len);
	seed_number(&b, e->skip);
	seed_number(&b, e->ref[0].pos);
	seed_u8(&b, 77);
	seed_u8(&b, 99);
	seed_raw(&b, blob, len);
	seed_write(&b, "extent", "row-%u-%u", (unsigned)e->data,
		   (unsigned)e->off);
}

static void row_seeds(struct index *ix)
{
	struct segment_row s;
	struct extent_row e[8];

	/* cut in the middle: rows with hidden parts */
	MUST(fuzz_index_change(ix, 8) >= 0);
	index_lock(ix);
	for (uint64_t id = 1; id <= FUZZ_SEGMENTS; id++)
		if (segment_get(ix, (struct seg_id){id}, &s) == 0)
			desc_seed(&s.desc);
	for (uint64_t data = 1; data <= FUZZ_DATA; data++) {
		int n = extent_find(ix, data, 0, UINT64_MAX, e, 8);

		for (int i = 0; i < n; i++)
			extent_seed(&e[i]);
	}
	index_unlock(ix);
}

void seeds_index(void)
{
	const struct fuzz_index *fi = fuzz_index();
	struct index *ix;

	for (unsigned i = 0; i < FUZZ_CHANGES; i++)
		log_seed(i, i + 1);
	log_seed(0, FUZZ_CHANGES);
	for (unsigned page = 0; page < fi->pages; page++) {
		page_seed(fi, page, page ? 0 : 100);
		/* rows are at the end of a page */
		page_seed(fi, page, PAGE_USABLE - 24);
		raw_seed(page);
	}
	page_seed(fi, 0, 16);
	ix = fuzz_index_open();
	row_seeds(ix);
	(void)index_close(ix, false);
}
