/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem.h - memory, and the ways it is given back.
 *
 * Every allocation of the engine passes here, so that a test can let the i-th
 * one fail. All return NULL on failure (callers answer -ENOMEM); size 0 gives
 * a unique pointer. Thread-safe.
 */
#ifndef MENDFS_BASE_MEM_H
#define MENDFS_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

void *mem_alloc(size_t size) __attribute__((malloc, alloc_size(1)));
void *mem_zalloc(size_t size) __attribute__((malloc, alloc_size(1)));
/* n * size with overflow check, zeroed. */
void *mem_calloc(size_t n, size_t size) __attribute__((malloc));
/* As realloc(); on failure the old block stays. */
void *mem_realloc(void *p, size_t size);
char *mem_strdup(const char *s);
/* asprintf that returns NULL on failure. */
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Block aligned to 4096 bytes (for O_DIRECT), not zeroed. Free: mem_free. */
void *mem_alloc_aligned(size_t size);
/* NULL is allowed. */
void mem_free(void *p);
/*
 * Gives whole pages that are free in the heap back to the system, wherever
 * they lie. Takes milliseconds: after many MiB were freed.
 */
void mem_trim(void);

/*
 * Memory for keys: locked into RAM where the limit allows, excluded from core
 * dumps, wiped when freed. Zeroed. Free with mem_secure_free only.
 */
void *mem_secure_alloc(size_t size);
void mem_secure_free(void *p, size_t size);
/* Overwrites; the compiler may not leave it out. */
void mem_wipe(void *p, size_t size);

/*
 * Test seam: the n-th allocation from now on (1 = the next) fails; with
 * `forever` every later one too. n = 0 switches it off. Process-wide.
 */
void mem_fail_at(uint64_t n, int forever);
/* Allocations counted since mem_fail_at was last called. */
uint64_t mem_count(void);

/* Scope-bound clean-up: AUTO_FREE char *p = mem_strdup(s); */
static inline void mem_auto_free_(void *pp)
{
	mem_free(*(void **)pp);
}
#define AUTO_FREE __attribute__((cleanup(mem_auto_free_)))
#define AUTO(fn)  __attribute__((cleanup(fn)))

/* Takes the value out of `var` and leaves NULL: return steal(&p); */
#define steal(pp)                                   \
	({                                          \
		__typeof__(*(pp)) steal_v_ = *(pp); \
		*(pp) = NULL;                       \
		steal_v_;                           \
	})

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#endif
