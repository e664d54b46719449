/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include "base/mem.h"
#include "base/must.h"
#include "base/pages.h"

struct buf *buf_new(size_t size)
{
	AUTO_FREE struct buf *b = mem_alloc(sizeof(*b));

	if (!b)
		return NULL;
	b->cap = pages_round(size);
	b->len = size;
	b->data = pages_alloc(size);
	if (!b->data)
		return NULL;
	atomic_init(&b->refs, 1);
	return steal(&b);
}

struct buf *buf_ref(struct buf *b)
{
	MUST(atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed) > 0);
	return b;
}

void buf_unref(struct buf *b)
{
	unsigned before;

	if (!b)
		return;
	/* Every other holder's reads come before the free. */
	before = atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel);
	MUST(before > 0);
	if (before > 1)
		return;
	pages_free(b->data, b->cap);
	mem_free(b);
}
