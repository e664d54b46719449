/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A local file that is being brought to a manifest's state.
 *
 * How many pages the database has is known from page 1 only. While region 0
 * may still be an old one, a page beyond that number reads as zeros though it
 * was never written; if the new page 1 says that it belongs to the database,
 * and the caller found zeros to be right, it is sealed when the image closes.
 */
#include <fcntl.h>
#include <string.h>

#include "base/mem.h"
#include "base/osfile.h"
#include "meta/index_page.h"

struct index_image {
	int fd;
	int rc; /* first error of a write */
	struct page_seal *seal;
	uint32_t pages;	    /* of the database, by its page 1; 0: unknown */
	uint32_t pages_old; /* the same when it was opened */
	uint8_t region[INDEX_REGION];
};

static void image_free(struct index_image *im)
{
	os_close(im->fd);
	page_seal_free(im->seal);
	mem_free(im);
}

/* Up to len bytes, the rest zeros. Bytes read or an error. */
static ssize_t read_some(struct index_image *im, uint64_t off, void *buf,
			 size_t len)
{
	ssize_t n = os_pread(im->fd, buf, len, off);

	if (n >= 0)
		memset((uint8_t *)buf + n, 0, len - (size_t)n);
	return n;
}

/* A file whose page 1 does not open has no known length; that is no error. */
static int learn_pages(struct index_image *im)
{
	ssize_t n = read_some(im, 0, im->region, INDEX_PAGE);

	if (n < 0)
		return (int)n;
	if (n == INDEX_PAGE && !page_open(im->seal, 1, im->region))
		im->pages = get_be32(im->region + DB_PAGE_COUNT);
	im->pages_old = im->pages;
	return 0;
}

int index_image_open(const struct index_options *o, bool fresh,
		     struct index_image **out)
{
	int flags = fresh ? O_RDWR | O_CREAT | O_TRUNC : O_RDWR;
	struct index_image *im = mem_zalloc(sizeof(*im));
	int rc;

	if (!im)
		return -ENOMEM;
	im->fd = os_openat(AT_FDCWD, o->path, flags, 0600);
	rc = im->fd < 0 ? im->fd : page_seal_new(o, &im->seal);
	if (!rc && !fresh)
		rc = learn_pages(im);
	if (rc)
		image_free(im);
	else
		*out = im;
	return rc;
}

static int open_page(struct index_image *im, uint64_t pgno, bool there,
		     uint8_t *page)
{
	if (im->pages && pgno > im->pages) {
		memset(page, 0, INDEX_PAGE);
		return 0;
	}
	if (!there)
		return -ERR_TRUNCATED;
	if (pgno == DB_PENDING_PAGE && page_is_blank(page))
		return 0;
	return page_open(im->seal, (uint32_t)pgno, page);
}

int index_image_read(struct index_image *im, uint32_t region, void *out)
{
	uint64_t off = (uint64_t)region * INDEX_REGION;
	ssize_t n = read_some(im, off, out, INDEX_REGION);

	for (unsigned i = 0; n >= 0 && i < PAGES_PER_REGION; i++) {
		uint8_t *page = (uint8_t *)out + (size_t)i * INDEX_PAGE;
		bool there = (i + 1) * INDEX_PAGE <= (size_t)n;
		int rc = open_page(im, REGION_FIRST(region) + i, there, page);

		if (rc)
			return rc;
	}
	return n < 0 ? (int)n : 0;
}

static int seal_region(struct index_image *im, uint32_t region,
		       const uint8_t *plain)
{
	uint64_t first = REGION_FIRST(region);

	for (unsigned i = 0; i < PAGES_PER_REGION; i++) {
		size_t at = (size_t)i * INDEX_PAGE;
		int rc = page_seal(im->seal, (uint32_t)(first + i), plain + at,
				   im->region + at);

		if (rc)
			return rc;
	}
	return os_pwrite(im->fd, im->region, INDEX_REGION,
			 (uint64_t)region * INDEX_REGION);
}

int index_image_write(struct index_image *im, uint32_t region,
		      const void *plain)
{
	int rc = seal_region(im, region, plain);

	if (!rc && region == 0)
		im->pages = get_be32((const uint8_t *)plain + DB_PAGE_COUNT);
	if (rc && !im->rc)
		im->rc = rc;
	return rc;
}

/* See on top. */
static int seal_blank(struct index_image *im, uint32_t pgno)
{
	uint8_t zeros[INDEX_PAGE] = {0};
	uint64_t off = PAGE_OFFSET(pgno);
	ssize_t n = read_some(im, off, im->region, INDEX_PAGE);
	int rc;

	if (n < 0)
		return (int)n;
	if (!page_is_blank(im->region) || pgno == DB_PENDING_PAGE)
		return 0;
	rc = page_seal(im->seal, pgno, zeros, im->region);
	return rc ? rc : os_pwrite(im->fd, im->region, INDEX_PAGE, off);
}

static int seal_blanks(struct index_image *im)
{
	int rc = 0;

	for (uint32_t p = im->pages_old + 1; !rc && p <= im->pages; p++)
		rc = seal_blank(im, p);
	return rc;
}

int index_image_close(struct index_image *im, uint32_t regions)
{
	int rc = im->rc;

	if (regions && !rc && im->pages_old)
		rc = seal_blanks(im);
	if (regions && !rc)
		rc = os_ftruncate(im->fd, (uint64_t)regions * INDEX_REGION);
	if (regions && !rc)
		rc = os_fsync(im->fd);
	image_free(im);
	return rc;
}
