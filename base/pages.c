/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages.c - large blocks and the pool of freed ones.
 *
 * A kept block begins with its list entry. Invariant: kept_bytes is the sum of
 * the sizes in `kept`, and at most KEEP_BYTES; both under pool_lock, a leaf.
 */
#include "base/pages.h"

#include <sanitizer/asan_interface.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/queue.h>

#include "base/mem.h"
#include "base/must.h"
#include "base/sync.h"

#define PAGE	   ((size_t)4096)
#define MIB	   ((size_t)1 << 20)
#define KEEP_BYTES (16u << 20)

struct kept {
	TAILQ_ENTRY(kept) entry;
	size_t size;
};
TAILQ_HEAD(kept_list, kept);

static struct mutex pool_lock = MUTEX_INIT;
static struct kept_list kept = TAILQ_HEAD_INITIALIZER(kept);
static size_t kept_bytes;

/* A kept block of exactly this size, or NULL. */
static void *pool_take(size_t size)
{
	struct kept *k;

	MUTEX_GUARD(&pool_lock);
	TAILQ_FOREACH (k, &kept, entry)
		if (k->size == size)
			break;
	if (!k)
		return NULL;
	TAILQ_REMOVE(&kept, k, entry);
	kept_bytes -= size;
	ASAN_UNPOISON_MEMORY_REGION(k, size);
	return k;
}

static void unmap(void *p, size_t size)
{
	MUST(munmap(p, size) == 0);
}

/* Keeps the newest; what has lain longest makes room. */
static void pool_keep(void *p, size_t size)
{
	struct kept *k = p, *old;

	MUTEX_GUARD(&pool_lock);
	while (kept_bytes + size > KEEP_BYTES) {
		old = TAILQ_LAST(&kept, kept_list);
		TAILQ_REMOVE(&kept, old, entry);
		kept_bytes -= old->size;
		ASAN_UNPOISON_MEMORY_REGION(old, old->size);
		unmap(old, old->size);
	}
	kept_bytes += size;
	k->size = size;
	TAILQ_INSERT_HEAD(&kept, k, entry);
	ASAN_POISON_MEMORY_REGION(k + 1, size - sizeof(*k));
}

size_t pages_round(size_t size)
{
	size_t step = PAGE;

	if (size > SIZE_MAX / 4)
		return 0;
	while (step * 16 <= size && size >= MIB)
		step *= 2;
	return MAX((size + step - 1) / step, (size_t)1) * step;
}

void *pages_alloc(size_t size)
{
	AUTO_FREE void *token = NULL;
	size_t n = pages_round(size);
	void *p;

	if (n == 0)
		return NULL;
	if (n < PAGES_MIN)
		return mem_alloc_aligned(n);
	token = mem_alloc(1); /* lets the i-th allocation fail here too */
	if (!token)
		return NULL;
	p = pool_take(n);
	if (p)
		return p;
	p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		 -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

void pages_free(void *p, size_t size)
{
	size_t n = pages_round(size);

	if (n < PAGES_MIN)
		mem_free(p);
	else if (p && n > KEEP_BYTES)
		unmap(p, n);
	else if (p)
		pool_keep(p, n);
}
