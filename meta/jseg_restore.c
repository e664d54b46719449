/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery: journaled segments out of the records that carry them, and their
 * sealing (J4 of jseg.c).
 */
#include "meta/jseg_impl.h"

#include "base/log.h"
#include "base/mem.h"
#include "meta/rows.h"

/* The part that takes a restored segment's bytes; NULL with 0: not needed. */
static int restored_part(struct jseg *js, struct seg_id id, struct jpart **out)
{
	struct segment_row row;
	struct seg_build *b;
	int rc;

	*out = jseg_part_find_locked(js, id);
	if (*out)
		return 0;
	index_lock(js->o.ix);
	rc = segment_get(js->o.ix, id, &row);
	index_unlock(js->o.ix);
	if (rc == -ENOENT || (rc == 0 && row.state != SEG_OPEN))
		return 0;
	if (rc < 0)
		return rc;
	rc = seg_build_new(&js->cx, SEG_DATA, id, js->o.cap, row.desc.salt, &b);
	if (rc < 0)
		return rc;
	rc = jseg_part_new(js, b, out);
	if (rc == 0) {
		(*out)->restored = true;
		(*out)->state = PART_WAITING; /* not striped yet */
	}
	return rc;
}

static int restore_chunk(struct jpart *p, struct reader *r,
			 const uint8_t **sealed, size_t *left)
{
	uint64_t data = reader_varint(r), off = reader_varint(r);
	struct chunk_ref ref = {.pos = reader_u32(r)};
	uint32_t stored = reader_u32(r);
	int rc;

	ref.plain_len = reader_u32(r);
	ref.stored_len = stored >> 1;
	ref.codec = stored & 1 ? CODEC_ZSTD : CODEC_RAW;
	if (r->bad || ref.stored_len > *left)
		return -ERR_TRUNCATED;
	*left -= ref.stored_len;
	*sealed += ref.stored_len;
	if (!p)
		return 0;
	rc = seg_build_restore(p->build, ref.pos, *sealed - ref.stored_len,
			       ref.stored_len);
	if (rc == 0)
		rc = seg_build_note(p->build, data, off, &ref);
	return rc;
}

/* The entries say how long the bytes behind them are: find their sum. */
static int entries_total(struct reader r, uint64_t n, size_t *total_out,
			 size_t *entries_out)
{
	size_t before = reader_left(&r);
	uint64_t total = 0;

	for (uint64_t i = 0; i < n && !r.bad; i++) {
		reader_varint(&r);
		reader_varint(&r);
		reader_u32(&r);
		total += reader_u32(&r) >> 1;
		reader_u32(&r);
	}
	*entries_out = before - reader_left(&r);
	*total_out = (size_t)total;
	return r.bad || total > reader_left(&r) ? -ERR_TRUNCATED : 0;
}

static int restore_segment(struct jseg *js, struct reader *r)
{
	struct seg_id id = {reader_u64(r)};
	uint64_t n = reader_varint(r);
	size_t total, entries_len;
	struct reader entries;
	const uint8_t *sealed;
	struct jpart *p;
	int rc = r->bad ? -ERR_TRUNCATED
			: entries_total(*r, n, &total, &entries_len);

	if (rc < 0)
		return rc;
	entries = reader_of(reader_take(r, entries_len), entries_len);
	sealed = reader_take(r, total);
	rc = restored_part(js, id, &p);
	for (uint64_t i = 0; rc == 0 && i < n; i++)
		rc = restore_chunk(p, &entries, &sealed, &total);
	return rc;
}

int jseg_restore(struct jseg *js, struct reader *r)
{
	uint64_t n = reader_varint(r);
	int rc = r->bad ? -ERR_TRUNCATED : 0;

	for (uint64_t i = 0; rc == 0 && i < n; i++)
		rc = restore_segment(js, r);
	return rc;
}

/*
 * Later records may say that a stripe has it all: that one is to be believed.
 * What was restored may be less, as chunks that a stripe had in time were never
 * carried.
 */
static int drop_striped(struct jseg *js)
{
	struct jpart *p, *next;
	int rc = 0;

	for (p = TAILQ_FIRST(&js->parts); p; p = next) {
		struct segment_row row;

		next = TAILQ_NEXT(p, entry);
		index_lock(js->o.ix);
		rc = segment_get(js->o.ix, seg_build_id(p->build), &row);
		index_unlock(js->o.ix);
		if (rc == 0 && row.state == SEG_OPEN)
			continue;
		if (rc < 0 && rc != -ENOENT)
			return rc;
		mutex_lock(&js->listing);
		jseg_part_unlist_locked(js, p);
		mutex_unlock(&js->listing);
	}
	return 0;
}

/* A record was cut between a segment's row and its first chunk: it becomes
 * dead, having neither stripe nor extents, and goes. */
static int drop_empty(struct jseg *js, const struct segment_row *row)
{
	struct index *ix = js->o.ix;
	int rc = index_begin(ix);

	if (rc == 0)
		rc = index_end(ix, segment_seal(ix, &row->desc));
	if (rc == 0)
		rc = index_begin(ix);
	return rc < 0 ? rc : index_end(ix, segment_delete(ix, row->desc.id));
}

/* An OPEN row that extents point to must have its bytes. */
static int check_open_row(struct jseg *js, const struct segment_row *row)
{
	if (jseg_part_find_locked(js, row->desc.id))
		return 0;
	if (row->refs == 0)
		return drop_empty(js, row);
	log_event(LOG_LVL_ERROR, "open_segment_lost", "segment=%llu",
		  (unsigned long long)row->desc.id.v);
	return -ERR_UNAVAILABLE;
}

static int check_open_rows(struct jseg *js)
{
	struct segment_row row;
	struct seg_id after = {0};
	int n, rc = 0;

	do {
		index_lock(js->o.ix);
		n = segment_list(js->o.ix, SEG_OPEN, after, &row, 1);
		index_unlock(js->o.ix);
		if (n == 1)
			rc = check_open_row(js, &row);
		after = row.desc.id;
	} while (n == 1 && rc == 0);
	return rc < 0 ? rc : n;
}

int jseg_seal_restored(struct jseg *js)
{
	int rc = drop_striped(js);

	if (rc == 0)
		rc = check_open_rows(js);
	return rc < 0 ? rc : jseg_rotate(js, true);
}
