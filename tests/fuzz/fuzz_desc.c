/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segment descriptions, as superblock, manifest and index hold them:
 * seg_desc_decode. Every one has one spelling.
 */
#include "fuzz/fuzz.h"

#include <string.h>

#include "backend/fragment.h"

static void check(const struct seg_desc *d)
{
	uint32_t end = 0;

	MUST(d->payload_len <= SEG_PAYLOAD_MAX);
	MUST(d->table_pos <= d->payload_len);
	MUST(d->k <= EC_DATA_MAX && d->m <= EC_PARITY_MAX);
	for (unsigned i = 0; i < d->k; i++) {
		MUST(fragment_start(d, i) == end && d->bound[i] >= end);
		end = d->bound[i];
	}
	MUST(d->k == 0 || end == d->payload_len);
	for (unsigned i = 0; i < fragment_count(d); i++)
		MUST(fragment_file_len(d, i) >= FRAG_HEADER);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(bytes_release) struct bytes out = {0};
	struct reader r = reader_of(data, size);
	struct seg_desc d;
	int rc;

	fuzz_start();
	rc = seg_desc_decode(&r, &d);
	FUZZ_ONE_OF(rc, 0, -ERR_RANGE, -ERR_TRUNCATED);
	if (rc)
		return 0;
	check(&d);
	MUST(seg_desc_encode(&d, &out) == 0);
	MUST(out.len <= SEG_DESC_MAX && out.len == size - reader_left(&r));
	MUST(memcmp(out.data, data, out.len) == 0);
	return 0;
}
