/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <malloc.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fail_seam.h"

#define ALIGNMENT 4096

static struct fail_seam seam;

void mem_fail_at(uint64_t n, int forever)
{
	fail_seam_set(&seam, n, ENOMEM, forever);
}

uint64_t mem_count(void)
{
	return atomic_load(&seam.count);
}

static bool must_fail(void)
{
	return fail_seam_hit(&seam) != 0;
}

/* The C library may answer NULL for 0 bytes, or free in realloc. */
static size_t at_least_one(size_t size)
{
	return size ? size : 1;
}

void *mem_alloc(size_t size)
{
	return must_fail() ? NULL : malloc(at_least_one(size));
}

void *mem_zalloc(size_t size)
{
	return must_fail() ? NULL : calloc(1, at_least_one(size));
}

void *mem_calloc(size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total))
		return NULL;
	return mem_zalloc(total);
}

void *mem_realloc(void *p, size_t size)
{
	return must_fail() ? NULL : realloc(p, at_least_one(size));
}

char *mem_strdup(const char *s)
{
	size_t size = strlen(s) + 1;
	char *copy = mem_alloc(size);

	if (copy)
		memcpy(copy, s, size);
	return copy;
}

char *mem_printf(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	if (must_fail())
		return NULL;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	return text;
}

static bool round_up(size_t size, size_t unit, size_t *out)
{
	if (__builtin_add_overflow(at_least_one(size), unit - 1, out))
		return false;
	*out -= *out % unit;
	return true;
}

void *mem_alloc_aligned(size_t size)
{
	size_t whole;

	if (must_fail() || !round_up(size, ALIGNMENT, &whole))
		return NULL;
	return aligned_alloc(ALIGNMENT, whole);
}

void mem_trim(void)
{
	malloc_trim(0);
}

void mem_free(void *p)
{
	free(p);
}

/*
 * Whole pages of their own: a lock or an advice covers a page, and two keys
 * on one page would undo each other's.
 */
static bool secure_size(size_t size, size_t *whole_out)
{
	return round_up(size, (size_t)sysconf(_SC_PAGESIZE), whole_out);
}

void *mem_secure_alloc(size_t size)
{
	size_t whole;
	void *p;

	if (must_fail() || !secure_size(size, &whole))
		return NULL;
	p = mmap(NULL, whole, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	/* Both are best effort: an unlocked key beats no filesystem. */
	(void)mlock(p, whole);
	(void)madvise(p, whole, MADV_DONTDUMP);
	return p;
}

void mem_secure_free(void *p, size_t size)
{
	size_t whole;

	if (!p || !secure_size(size, &whole))
		return;
	mem_wipe(p, whole);
	(void)munmap(p, whole);
}

void mem_wipe(void *p, size_t size)
{
	if (size)
		explicit_bzero(p, size);
}
