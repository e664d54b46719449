/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fill.c - from index and segments to the cache.
 *
 * Rows are copied under the index lock; reading happens without it. A segment
 * may meanwhile be sealed, moved or removed: a failed read looks the rows up
 * once more before it is believed (C5), for each place that fails. Segments
 * that leave memory one after another may do so in every pass.
 */
#include "fs/volume_impl.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"

/* A 4 MiB chunk overwritten in 4 KiB steps has a thousand rows. */
#define FILL_ROWS  64
#define LOOKS	   2  /* at one place before a failure is believed */
#define LOOKS_GONE 16 /* before it is believed that a segment is nowhere */

struct fill {
	struct volume *v;
	uint64_t data;
	uint64_t start, end; /* byte range of the chunk in the data */
	uint8_t *buf;
	uint64_t at; /* bytes before this are in buf */
	uint64_t failed_at;
	unsigned failures; /* there */
};

struct fill_rows {
	int n;
	struct extent_row row[FILL_ROWS];
	struct segment_row seg[FILL_ROWS];
};

static int rows_load(struct fill *f, struct fill_rows *rows)
{
	struct index *ix = f->v->ix;
	int rc = 0;

	index_lock(ix);
	rows->n = extent_find(ix, f->data, f->at, f->end - f->at, rows->row,
			      FILL_ROWS);
	for (int i = 0; rc == 0 && i < rows->n; i++) {
		if (i > 0 &&
		    rows->row[i].segment.v == rows->row[i - 1].segment.v)
			rows->seg[i] = rows->seg[i - 1];
		else
			rc = segment_get(ix, rows->row[i].segment,
					 &rows->seg[i]);
	}
	index_unlock(ix);
	if (rc == -ENOENT)
		rc = -ERR_CORRUPT; /* an extent without its segment */
	return rc < 0 ? rc : rows->n;
}

static int read_ref(struct fill *f, const struct segment_row *seg, uint64_t off,
		    const struct chunk_ref *ref, void *plain)
{
	if (seg->desc.stripe.v == 0)
		return jseg_read(f->v->js, seg->desc.id, f->data, off, ref,
				 plain);
	return store_read_chunk(f->v->store, &seg->desc, f->data, off, ref,
				plain);
}

/* Copies what of one sealed chunk is visible and wanted. */
static int fill_ref(struct fill *f, const struct segment_row *seg,
		    const struct chunk_ref *ref, uint64_t off, uint64_t lo,
		    uint64_t hi)
{
	AUTO_FREE uint8_t *plain = NULL;
	int rc;

	if (lo == off && hi == off + ref->plain_len)
		return read_ref(f, seg, off, ref, f->buf + (lo - f->start));
	plain = mem_alloc(ref->plain_len);
	if (!plain)
		return -ENOMEM;
	rc = read_ref(f, seg, off, ref, plain);
	if (rc == 0)
		memcpy(f->buf + (lo - f->start), plain + (lo - off), hi - lo);
	return rc;
}

static int fill_row(struct fill *f, const struct extent_row *row,
		    const struct segment_row *seg)
{
	uint64_t off = row->off - row->skip;
	uint64_t lo = MAX(row->off, f->at);
	uint64_t hi = MIN(row->off + row->len, f->end);
	int rc = 0;

	if (lo > f->at)
		memset(f->buf + (f->at - f->start), 0, lo - f->at);
	for (uint32_t i = 0; rc == 0 && i < row->n; i++) {
		uint64_t end = off + row->ref[i].plain_len;

		if (end > lo && off < hi)
			rc = fill_ref(f, seg, &row->ref[i], off, MAX(off, lo),
				      MIN(end, hi));
		off = end;
	}
	if (rc == 0)
		f->at = hi;
	return rc;
}

/* One pass over the rows from f->at; 1: all done, 0: more may follow. */
static int fill_pass(struct fill *f, struct fill_rows *rows)
{
	int n = rows_load(f, rows);
	int rc = 0;

	for (int i = 0; rc == 0 && i < n; i++)
		rc = fill_row(f, &rows->row[i], &rows->seg[i]);
	if (n < 0 || rc < 0)
		return n < 0 ? n : rc;
	return n < FILL_ROWS;
}

/* What a pass came to; 0 also when the rows have to be looked up again. */
static int believe(struct fill *f, int rc)
{
	unsigned looks = rc == -ENOENT ? LOOKS_GONE : LOOKS;

	if (rc >= 0)
		return rc;
	if (f->failed_at != f->at)
		f->failures = 0;
	f->failed_at = f->at;
	return ++f->failures < looks ? 0 : rc;
}

int64_t fill_chunk(void *volume, uint64_t ino, uint64_t chunk, void *buf)
{
	struct volume *v = volume;
	AUTO_NODE struct node *n = NULL;
	AUTO_FREE struct fill_rows *rows = mem_alloc(sizeof(*rows));
	struct fill f = {.v = v, .buf = buf};
	int rc = rows ? node_get(v, ino, &n) : -ENOMEM;

	if (rc < 0)
		return rc;
	/* Not under the node's lock: who fills may be a writer that holds it.
	 * A racing truncate makes the result stale; the cache drops it (C12).
	 */
	f.data = atomic_load(&n->data);
	f.start = f.at = chunk * v->chunk_bytes;
	f.end = MIN(f.start + v->chunk_bytes, atomic_load(&n->cut_from));
	if (f.data == 0 || f.end <= f.start)
		return 0;
	do {
		rc = believe(&f, fill_pass(&f, rows));
	} while (rc == 0);
	if (rc < 0)
		log_event(LOG_LVL_ERROR, "read_failed",
			  "ino=%llu offset=%llu rc=%s", (unsigned long long)ino,
			  (unsigned long long)f.at, err_name(rc));
	return rc < 0 ? rc : (int64_t)(f.at - f.start);
}
