/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf.h - a reference-counted block of 4096-aligned memory.
 *
 * Used wherever bytes outlive the call that made them: an I/O on a hung folder
 * keeps its reference, so the caller may time out and go on. The content is
 * written by its maker before it is shared and is constant afterwards.
 */
#ifndef MENDFS_BASE_BUF_H
#define MENDFS_BASE_BUF_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	atomic_uint refs;
	size_t cap; /* allocated bytes, a multiple of 4096 (pages.h) */
	size_t len; /* bytes in use, set by the maker */
	uint8_t *data;
};

/* One reference, content undefined, len = size. NULL: no memory. */
struct buf *buf_new(size_t size);
struct buf *buf_ref(struct buf *b);
/* NULL is allowed; the last reference frees. */
void buf_unref(struct buf *b);
static inline void buf_auto_unref_(struct buf **b)
{
	buf_unref(*b);
}
#define AUTO_BUF __attribute__((cleanup(buf_auto_unref_)))

#endif
