/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local index file: index_open and all readers of rows.
 *
 * raw      patches of the file as it lies on the disk
 * sealed   patches of its pages in plain, which are sealed again: what a
 *          checkpoint's regions or a fault in memory can bring
 *
 * A patch: page u8, offset u16, length u8, bytes.
 */
#include "fuzz/fuzz.h"

#include <string.h>

#include "fuzz/fuzz_kit_index.h"

enum {
	MODE_RAW,
	MODE_SEALED,
	MODES
};

static void patch(struct reader *r, uint8_t *file, size_t usable, bool *hit)
{
	uint32_t pages = fuzz_index()->pages;

	while (reader_left(r) >= 4) {
		uint32_t page = reader_u8(r) % pages;
		size_t at = reader_u16(r) % usable;
		size_t len = reader_u8(r);
		const uint8_t *p;

		len = MIN(MIN(len, usable - at), reader_left(r));
		p = reader_take(r, len);
		memcpy(file + (size_t)page * INDEX_PAGE + at, p, len);
		hit[page] = true;
	}
}

/* Seals the pages that were hit. */
static void seal(const uint8_t *plain, const bool *hit, uint8_t *sealed)
{
	const struct fuzz_index *fi = fuzz_index();
	struct page_seal *s;

	MUST(page_seal_new(&fi->o, &s) == 0);
	for (uint32_t i = 0; i < fi->pages; i++) {
		size_t at = (size_t)i * INDEX_PAGE;

		if (hit[i])
			MUST(page_seal(s, i + 1, plain + at, sealed + at) == 0);
	}
	page_seal_free(s);
}

static void change(struct index *ix)
{
	AUTO(bytes_release) struct bytes log = {0};

	for (unsigned i = 0; i < FUZZ_CHANGES; i++)
		(void)!fuzz_index_change(ix, i);
	index_lock(ix);
	(void)!index_cut(ix, index_seq(ix) + 1, true, &log);
	index_unlock(ix);
	fuzz_index_read_all(ix);
}

static void use(const uint8_t *sealed, size_t len)
{
	struct index *ix;
	int rc;

	fuzz_index_write(sealed, len);
	rc = index_open(&fuzz_index()->o, &ix);
	if (rc)
		return;
	fuzz_index_read_all(ix);
	fuzz_index_check(ix);
	change(ix);
	(void)index_close(ix, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(data, size);
	const struct fuzz_index *fi;
	AUTO_FREE uint8_t *sealed = NULL, *plain = NULL;
	bool hit[256] = {false};
	size_t len;

	fuzz_start();
	fi = fuzz_index();
	len = (size_t)fi->pages * INDEX_PAGE;
	MUST(fi->pages <= ARRAY_LEN(hit));
	sealed = fuzz_copy(fi->sealed, len);
	if (fuzz_pick(&r, MODES) == MODE_RAW) {
		patch(&r, sealed, INDEX_PAGE, hit);
	} else {
		plain = fuzz_copy(fi->plain, len);
		patch(&r, plain, PAGE_USABLE, hit);
		seal(plain, hit, sealed);
	}
	use(sealed, len);
	return 0;
}
