/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extent rows of an index: chunks_decode and the rules of a row.
 *
 * small u8 (chunks of few bytes, whose lengths a fuzzer hits), off, len, skip,
 * pos (numbers), lo u8, hi u8 (cuts, as parts of the row), then the blob. A
 * blob has one spelling; a part of a good row is a good row.
 */
#include "fuzz/fuzz.h"

#include <string.h>

#include "meta/index_impl.h"

#define CHUNK_USUAL (16u << 10)
#define CHUNK_SMALL 100u

static uint32_t chunk_bytes;

static void check_part(const struct extent_row *row, uint64_t lo, uint64_t hi)
{
	struct extent_row part;
	uint64_t stored = 0;

	extent_trim(row, lo, hi, &part);
	MUST(extent_valid(&part, chunk_bytes));
	MUST(part.off == lo && part.off + part.len == hi);
	for (uint32_t i = 0; i < part.n; i++)
		stored += part.ref[i].stored_len;
	MUST(extent_live_bytes(&part) <= stored);
	MUST(extent_live_bytes(&part) <= extent_live_bytes(row));
}

static void check_parts(const struct extent_row *row, unsigned a, unsigned b)
{
	uint64_t lo = row->off + (uint64_t)row->len * a / 256;
	uint64_t hi = lo + 1 + (row->off + row->len - lo - 1) * b / 256;

	check_part(row, lo, hi);
	if (lo > row->off)
		check_part(row, row->off, lo);
	if (hi < row->off + row->len)
		check_part(row, hi, row->off + row->len);
}

static void check_spelling(const struct extent_row *row, const uint8_t *blob,
			   size_t len)
{
	uint8_t again[CHUNKS_BLOB_MAX];

	MUST(row->n >= 1 && row->n <= EXTENT_CHUNKS_MAX);
	MUST(chunks_encode(row, chunk_bytes, again) == len);
	MUST(memcmp(again, blob, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(data, size);
	struct extent_row row = {0};
	uint32_t pos;
	unsigned a, b;
	int rc;

	fuzz_start();
	chunk_bytes = fuzz_pick(&r, 2) ? CHUNK_SMALL : CHUNK_USUAL;
	row.off = fuzz_number(&r);
	row.len = (uint32_t)fuzz_number(&r);
	row.skip = (uint32_t)fuzz_number(&r);
	pos = (uint32_t)fuzz_number(&r);
	a = fuzz_pick(&r, 256);
	b = fuzz_pick(&r, 256);
	rc = chunks_decode(r.p, reader_left(&r), pos, chunk_bytes, &row);
	FUZZ_ONE_OF(rc, 0, -ERR_CORRUPT);
	if (rc)
		return 0;
	check_spelling(&row, r.p, reader_left(&r));
	if (extent_valid(&row, chunk_bytes))
		check_parts(&row, a, b);
	return 0;
}
