/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chunks of an extent row, as one blob. Per chunk
 *
 *     varint  stored length << 2 | codec << 1 | partial
 *     varint  plain length, only if partial
 *
 * A chunk that is not partial holds the pool's chunk size, one that is holds
 * less: each row has one spelling. Chunks lie back to back from the row's
 * position on. A stored length is never 0 (it includes the
 * tag), so a leading zero byte is free for a later format.
 */
#include "base/mem.h"
#include "meta/index_impl.h"

#define CODEC_BIT   1
#define STORED_BITS 2

size_t chunks_encode(const struct extent_row *row, uint32_t chunk_bytes,
		     uint8_t out[CHUNKS_BLOB_MAX])
{
	struct writer w = writer_of(out, CHUNKS_BLOB_MAX);

	for (uint32_t i = 0; i < row->n; i++) {
		const struct chunk_ref *c = &row->ref[i];
		bool partial = c->plain_len != chunk_bytes;

		writer_varint(&w, (uint64_t)c->stored_len << STORED_BITS |
					  (uint64_t)c->codec << CODEC_BIT |
					  partial);
		if (partial)
			writer_varint(&w, c->plain_len);
	}
	return writer_len(&w);
}

static int decode_one(struct reader *r, uint32_t pos, uint32_t chunk_bytes,
		      struct chunk_ref *out)
{
	uint64_t head = reader_varint(r);
	bool partial = head & 1;
	uint64_t plain = partial ? reader_varint(r) : chunk_bytes;
	uint64_t stored = head >> STORED_BITS;

	if (r->bad || !stored || stored > UINT32_MAX - pos || !plain ||
	    plain > chunk_bytes - partial)
		return -ERR_CORRUPT;
	*out = (struct chunk_ref){
		.pos = pos,
		.stored_len = (uint32_t)stored,
		.plain_len = (uint32_t)plain,
		.codec = head >> CODEC_BIT & 1 ? CODEC_ZSTD : CODEC_RAW,
	};
	return 0;
}

int chunks_decode(const void *blob, size_t len, uint32_t pos,
		  uint32_t chunk_bytes, struct extent_row *out)
{
	struct reader r = reader_of(blob, len);

	out->n = 0;
	while (reader_left(&r)) {
		int rc = -ERR_CORRUPT;

		if (out->n < EXTENT_CHUNKS_MAX)
			rc = decode_one(&r, pos, chunk_bytes,
					&out->ref[out->n]);
		if (rc)
			return rc;
		pos += out->ref[out->n++].stored_len;
	}
	return out->n ? 0 : -ERR_CORRUPT;
}

static bool chunks_valid(const struct extent_row *row, uint32_t chunk_bytes)
{
	for (uint32_t i = 0; i < row->n; i++) {
		const struct chunk_ref *c = &row->ref[i];

		if (!c->plain_len || c->plain_len > chunk_bytes ||
		    !c->stored_len || c->stored_len > UINT32_MAX - c->pos ||
		    (c->codec != CODEC_RAW && c->codec != CODEC_ZSTD))
			return false;
		if (i && c->pos != c[-1].pos + c[-1].stored_len)
			return false;
	}
	return true;
}

static uint64_t plain_sum(const struct extent_row *row)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < row->n; i++)
		sum += row->ref[i].plain_len;
	return sum;
}

bool extent_valid(const struct extent_row *row, uint32_t chunk_bytes)
{
	uint64_t slot = (uint64_t)chunk_bytes * EXTENT_CHUNKS_MAX;
	uint64_t end = (uint64_t)row->skip + row->len, sum;

	if (!row->n || row->n > EXTENT_CHUNKS_MAX || !row->len ||
	    row->off > INT64_MAX - slot || row->skip > row->off % slot ||
	    row->off % slot + row->len > slot ||
	    !chunks_valid(row, chunk_bytes))
		return false;
	sum = plain_sum(row);
	return row->skip < row->ref[0].plain_len && end <= sum &&
	       end > sum - row->ref[row->n - 1].plain_len;
}

void extent_trim(const struct extent_row *in, uint64_t lo, uint64_t hi,
		 struct extent_row *out)
{
	uint64_t skip = in->skip + (lo - in->off);
	uint64_t sum = 0;
	uint32_t first = 0, n = 0;

	while (skip >= in->ref[first].plain_len)
		skip -= in->ref[first++].plain_len;
	while (sum < skip + (hi - lo))
		sum += in->ref[first + n++].plain_len;
	*out = (struct extent_row){
		.data = in->data,
		.off = lo,
		.len = (uint32_t)(hi - lo),
		.skip = (uint32_t)skip,
		.segment = in->segment,
		.n = n,
	};
	for (uint32_t i = 0; i < n; i++)
		out->ref[i] = in->ref[first + i];
}

uint64_t extent_live_bytes(const struct extent_row *row)
{
	uint64_t at = 0, lo = row->skip, hi = lo + row->len, live = 0;

	for (uint32_t i = 0; i < row->n; i++) {
		const struct chunk_ref *c = &row->ref[i];
		uint64_t from = MAX(at, lo);

		at += c->plain_len;
		live += c->stored_len * (MIN(at, hi) - from) / c->plain_len;
	}
	return live;
}
