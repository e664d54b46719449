/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contents of objects: pages that many contents may share.
 *
 * B1  A page that is NULL is all zeros; so is what lies behind the end within
 *     the last page.
 * B2  A page is written in place only if its one owner is a blob of one owner.
 */
#include "sim_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define PAGE 4096u

struct page {
	unsigned refs;
	uint8_t data[PAGE];
};

struct blob {
	unsigned refs;
	size_t len;
	size_t pages; /* places in page[] */
	struct page **page;
};

static size_t pages_for(size_t len)
{
	return (len + PAGE - 1) / PAGE;
}

static void page_unref(struct page *g)
{
	if (g && --g->refs == 0)
		free(g);
}

struct blob *blob_new(void)
{
	struct blob *b = sim_alloc(1, sizeof(*b));

	b->refs = 1;
	return b;
}

struct blob *blob_ref(struct blob *b)
{
	if (b)
		b->refs++;
	return b;
}

void blob_unref(struct blob *b)
{
	if (!b || --b->refs > 0)
		return;
	for (size_t i = 0; i < b->pages; i++)
		page_unref(b->page[i]);
	free(b->page);
	free(b);
}

size_t blob_len(const struct blob *b)
{
	return b->len;
}

/* *b becomes one that nobody else has. */
static void own(struct blob **b)
{
	struct blob *old = *b, *mine;

	if (old->refs == 1)
		return;
	mine = blob_new();
	mine->len = old->len;
	mine->pages = old->pages;
	mine->page = sim_alloc(old->pages + 1, sizeof(struct page *));
	for (size_t i = 0; i < old->pages; i++) {
		mine->page[i] = old->page[i];
		if (mine->page[i])
			mine->page[i]->refs++;
	}
	old->refs--;
	*b = mine;
}

/* A page to write to (B2). */
static struct page *own_page(struct blob *b, size_t i)
{
	struct page *g = b->page[i];

	if (g && g->refs == 1)
		return g;
	b->page[i] = sim_alloc(1, sizeof(*g));
	b->page[i]->refs = 1;
	if (g) {
		memcpy(b->page[i]->data, g->data, PAGE);
		g->refs--;
	}
	return b->page[i];
}

static void make_room(struct blob *b, size_t pages)
{
	size_t more;

	if (pages <= b->pages)
		return;
	more = MAX(pages, b->pages + b->pages / 2);
	b->page = sim_grow(b->page, more, sizeof(struct page *));
	memset(b->page + b->pages, 0,
	       (more - b->pages) * sizeof(struct page *));
	b->pages = more;
}

void blob_resize(struct blob **at, size_t len)
{
	struct blob *b;
	size_t keep = pages_for(len);

	own(at);
	b = *at;
	make_room(b, keep);
	for (size_t i = keep; i < b->pages; i++) {
		page_unref(b->page[i]);
		b->page[i] = NULL;
	}
	if (len < b->len && len % PAGE && b->page[keep - 1])
		memset(own_page(b, keep - 1)->data + len % PAGE, 0,
		       PAGE - len % PAGE);
	b->len = len;
}

void blob_write(struct blob **at, const void *buf, size_t len, size_t off)
{
	const uint8_t *p = buf;
	struct blob *b;

	if (off + len > (*at)->len)
		blob_resize(at, off + len);
	own(at);
	b = *at;
	while (len > 0) {
		size_t in = off % PAGE, n = MIN(len, PAGE - in);

		memcpy(own_page(b, off / PAGE)->data + in, p, n);
		p += n;
		off += n;
		len -= n;
	}
}

size_t blob_read(const struct blob *b, void *buf, size_t len, size_t off)
{
	uint8_t *p = buf;
	size_t left;

	if (off >= b->len)
		return 0;
	len = MIN(len, b->len - off);
	for (left = len; left > 0;) {
		size_t in = off % PAGE, n = MIN(left, PAGE - in);
		const struct page *g = b->page[off / PAGE];

		if (g)
			memcpy(p, g->data + in, n);
		else
			memset(p, 0, n);
		p += n;
		off += n;
		left -= n;
	}
	return len;
}

uint64_t blob_hash(const struct blob *b, uint64_t seed)
{
	static const uint8_t zeros[PAGE];
	uint64_t h = sim_hash(&b->len, sizeof(b->len), seed);

	for (size_t i = 0; i < pages_for(b->len); i++)
		h = sim_hash(b->page[i] ? b->page[i]->data : zeros, PAGE, h);
	return h;
}
