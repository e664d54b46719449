/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manifests, in plain as the store hands them over: manifest_decode. Every
 * one has one spelling, and takes no more memory than its bytes warrant.
 */
#include "fuzz/fuzz.h"

#include <string.h>

#include "meta/manifest.h"

static void check(const struct manifest *m)
{
	MUST(m->seq > 0 && m->regions > 0 && m->kept <= MANIFEST_KEPT);
	for (uint32_t i = 0; i < m->regions; i++) {
		const struct region_entry *e = &m->region[i];

		MUST(e->segment < m->segments);
		MUST(e->ref.pos + e->ref.stored_len <=
		     m->segment[e->segment].desc.table_pos);
		(void)manifest_adjoins(m, i);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(bytes_release) struct bytes out = {0};
	AUTO(manifest_release) struct manifest m;
	int rc;

	fuzz_start();
	rc = manifest_decode(data, size, &m);
	FUZZ_ONE_OF(rc, 0, -ERR_TRUNCATED, -ERR_RANGE, -ERR_FORMAT,
		    -ERR_FEATURE);
	if (rc) {
		MUST(!m.region && !m.segment);
		return 0;
	}
	check(&m);
	MUST(manifest_encode(&m, &out) == 0);
	MUST(out.len == size && memcmp(out.data, data, size) == 0);
	return 0;
}
