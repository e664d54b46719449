/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of free pages is SQLite's: page 1 names the first trunk page, each
 * trunk the next one and up to a thousand leaves. Trunks have content that
 * counts, leaves have none.
 */
#include "meta/index_clear.h"

#include <string.h>

#include "meta/index_page.h"

static int clear_page(struct index_file *f, uint32_t pgno)
{
	uint8_t page[INDEX_PAGE];
	int rc;

	if (!index_file_written(f, pgno))
		return 0;
	rc = index_file_read(f, pgno, page);
	if (rc || page_is_blank(page))
		return rc;
	memset(page, 0, sizeof(page));
	return index_file_write(f, pgno, page);
}

/* A trunk page: the next trunk, a count, so many numbers of free pages. */
static int clear_leaves(struct index_file *f, const uint8_t *trunk)
{
	uint32_t n = get_be32(trunk + 4);

	if (n > PAGE_USABLE / 4 - 2)
		return -ERR_CORRUPT;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t pgno = get_be32(trunk + 8 + (size_t)4 * i);
		int rc = -ERR_CORRUPT;

		if (pgno > 1 && pgno <= index_file_pages(f))
			rc = clear_page(f, pgno);
		if (rc)
			return rc;
	}
	return 0;
}

int index_clear_free(struct index_file *f)
{
	uint8_t page[INDEX_PAGE];
	uint32_t limit = index_file_pages(f);
	int rc = index_file_read(f, 1, page);
	uint32_t trunk = get_be32(page + DB_FREE_TRUNK);

	/* No chain of trunks is longer than the file. */
	for (uint32_t i = 0; !rc && trunk && i < limit; i++) {
		rc = index_file_read(f, trunk, page);
		if (!rc)
			rc = clear_leaves(f, page);
		trunk = get_be32(page);
	}
	return rc;
}
