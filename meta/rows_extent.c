/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 1. Rows of a data id never overlap and never cross a slot, so whatever meets
 *    [off, ...) begins at or after the start of off's slot.
 * 2. Cutting [lo, hi) out of a row leaves a left part (same key), a right part
 *    (key hi), both, or nothing: one TRIM, a TRIM and an INSERT, a DELETE. The
 *    C code decides; the statements say it with all numbers.
 * 3. Rows are read in batches and changed after the query has ended.
 */
#include "base/mem.h"
#include "meta/index_impl.h"

#define BATCH 16

static uint64_t row_end(const struct extent_row *row)
{
	return row->off + row->len;
}

/* The end of [off, off + len), as far as SQLite's integers go. */
static uint64_t range_end(uint64_t off, uint64_t len)
{
	return len > INT64_MAX - off ? INT64_MAX : off + len;
}

static uint64_t slot_start(const struct index *ix, uint64_t off)
{
	return off - off % slot_bytes(ix);
}

/* A number of 32 bits; false: the column holds another one. */
static bool take_u32(const struct query *q, int column, uint32_t *out)
{
	int64_t v = query_int(q, column);

	*out = (uint32_t)v;
	return v >= 0 && v <= UINT32_MAX;
}

/* Columns data, off, len, segment, pos, skip, chunks. */
int extent_from_query(struct index *ix, const struct query *q,
		      struct extent_row *out)
{
	size_t len;
	const void *blob = query_blob(q, 6, &len);
	uint32_t pos;
	int rc;

	out->data = (uint64_t)query_int(q, 0);
	out->off = (uint64_t)query_int(q, 1);
	out->segment.v = (uint64_t)query_int(q, 3);
	if (!take_u32(q, 2, &out->len) || !take_u32(q, 4, &pos) ||
	    !take_u32(q, 5, &out->skip))
		return -ERR_CORRUPT;
	rc = chunks_decode(blob, len, pos, ix->chunk_bytes, out);
	if (rc)
		return rc;
	return extent_valid(out, ix->chunk_bytes) ? 0 : -ERR_CORRUPT;
}

struct span {
	uint64_t data, lo, hi;
};

/* Rows that meet s, in the query's order, at most max. Returns how many. */
static int find(struct index *ix, enum query_no order, const struct span *s,
		struct extent_row *out, unsigned max)
{
	AUTO(query_end) struct query q = {0};
	unsigned n = 0;
	int rc = QUERY(&q, ix, order, V_INT(s->data),
		       V_INT(slot_start(ix, s->lo)), V_INT(s->hi));

	while (!rc && n < max && (rc = query_row(&q)) == 1) {
		rc = extent_from_query(ix, &q, &out[n]);
		if (!rc && row_end(&out[n]) > s->lo)
			n++;
	}
	return rc < 0 ? rc : (int)n;
}

int extent_find(struct index *ix, uint64_t data, uint64_t off, uint64_t len,
		struct extent_row *out, unsigned max)
{
	struct span s = {data, off, range_end(off, len)};

	if (off > INT64_MAX)
		return -EINVAL;
	return find(ix, QUERY_EXTENT_UP, &s, out, max);
}

/* ---- changing single rows; references follow ---- */

static int insert(struct index *ix, const struct extent_row *row)
{
	uint8_t blob[CHUNKS_BLOB_MAX];
	size_t len = chunks_encode(row, ix->chunk_bytes, blob);
	int rc = OP_RUN(ix, STMT_EXTENT_INSERT, V_INT(row->data),
			V_INT(row->off), V_INT(row->len), V_INT(row->segment.v),
			V_INT(row->ref[0].pos), V_INT(row->skip),
			V_INT(born_now(ix)), V_BLOB(blob, len));

	if (rc < 0)
		return rc;
	ix->bytes_op += row->len;
	return op_doubt(ix, refs_add(&ix->refs, row->segment, 1,
				     (int64_t)extent_live_bytes(row)));
}

static int trim(struct index *ix, const struct extent_row *old,
		const struct extent_row *row)
{
	uint8_t blob[CHUNKS_BLOB_MAX];
	size_t len = chunks_encode(row, ix->chunk_bytes, blob);
	int64_t live = (int64_t)extent_live_bytes(row) -
		       (int64_t)extent_live_bytes(old);
	int rc = OP_RUN_ONE(ix, STMT_EXTENT_TRIM, V_INT(old->data),
			    V_INT(old->off), V_INT(row->off), V_INT(row->len),
			    V_INT(row->ref[0].pos), V_INT(row->skip),
			    V_INT(born_now(ix)), V_BLOB(blob, len));

	if (rc)
		return rc;
	ix->bytes_op += (int64_t)row->len - (int64_t)old->len;
	return op_doubt(ix, refs_add(&ix->refs, row->segment, 0, live));
}

static int delete (struct index *ix, const struct extent_row *old)
{
	int64_t live = (int64_t)extent_live_bytes(old);
	int rc = OP_RUN_ONE(ix, STMT_EXTENT_DELETE, V_INT(old->data),
			    V_INT(old->off));

	if (rc)
		return rc;
	ix->bytes_op -= old->len;
	return op_doubt(ix, refs_add(&ix->refs, old->segment, -1, -live));
}

/* Takes [lo, hi) out of a row that meets it (2.). */
static int cut_row(struct index *ix, const struct extent_row *old, uint64_t lo,
		   uint64_t hi)
{
	bool has_left = old->off<lo, has_right = row_end(old)> hi;
	struct extent_row left, right;
	int rc;

	if (!has_left && !has_right)
		return delete (ix, old);
	if (has_right)
		extent_trim(old, hi, row_end(old), &right);
	if (!has_left)
		return trim(ix, old, &right);
	extent_trim(old, old->off, lo, &left);
	rc = trim(ix, old, &left);
	return rc || !has_right ? rc : insert(ix, &right);
}

/* ---- ranges ---- */

static int cut_batch(struct index *ix, const struct span *s,
		     const struct extent_row *rows, int n)
{
	int rc = 0;

	for (int i = 0; !rc && i < n; i++)
		rc = cut_row(ix, &rows[i], s->lo, s->hi);
	return rc;
}

/* A row that was cut no longer meets the range, so each find goes on. */
int extent_cut(struct index *ix, uint64_t data, uint64_t off, uint64_t len,
	       unsigned max_rows)
{
	struct span s = {data, off, range_end(off, len)};
	struct extent_row rows[BATCH];
	int n;

	if (off > INT64_MAX)
		return -EINVAL;
	while (max_rows) {
		unsigned want = MIN(max_rows, (unsigned)BATCH);
		int rc;

		n = find(ix, QUERY_EXTENT_DOWN, &s, rows, want);
		if (n < 0)
			return n;
		rc = cut_batch(ix, &s, rows, n);
		if (rc)
			return rc;
		if ((unsigned)n < want)
			return 1;
		max_rows -= want;
	}
	n = find(ix, QUERY_EXTENT_DOWN, &s, rows, 1);
	return n < 0 ? n : n == 0;
}

int extent_put(struct index *ix, const struct extent_row *row)
{
	int rc;

	if (!extent_valid(row, ix->chunk_bytes))
		return -EINVAL;
	if (refs_get(&ix->refs, row->segment).state == SEG_DEAD)
		return -ESTALE;
	rc = extent_cut(ix, row->data, row->off, row->len, UINT32_MAX);
	return rc < 0 ? rc : insert(ix, row);
}

/* ---- sums ---- */

static int number(struct query *q, uint64_t *out)
{
	int rc = query_one(q);

	if (!rc)
		*out = (uint64_t)query_int(q, 0);
	return rc;
}

int extent_count(struct index *ix, uint64_t data, unsigned max)
{
	AUTO(query_end) struct query q = {0};
	uint64_t n = 0;
	int rc = QUERY(&q, ix, QUERY_EXTENT_COUNT, V_INT(data), V_INT(max));

	if (!rc)
		rc = number(&q, &n);
	return rc ? rc : (int)n;
}

int extent_sum(struct index *ix, uint64_t data, uint64_t end, unsigned max,
	       uint64_t *off, uint64_t *sum)
{
	AUTO(query_end) struct query q = {0};
	unsigned n = 0;
	int rc = QUERY(&q, ix, QUERY_EXTENT_LENGTHS, V_INT(data), V_INT(*off),
		       V_INT(max));

	while (!rc && (rc = query_row(&q)) == 1) {
		uint64_t at = (uint64_t)query_int(&q, 0);
		uint64_t len = (uint64_t)query_int(&q, 1);

		if (at >= end)
			return 1;
		*sum += MIN(len, end - at);
		*off = at + 1; /* a key, not a byte */
		n++;
		rc = 0;
	}
	return rc < 0 ? rc : n < max;
}

int extent_bytes(struct index *ix, uint64_t data, uint64_t *out)
{
	uint64_t off = 0;
	int rc;

	*out = 0;
	rc = extent_sum(ix, data, UINT64_MAX, UINT32_MAX, &off, out);
	return MIN(rc, 0);
}

int64_t extent_op_bytes(const struct index *ix)
{
	return ix->bytes_op;
}
