/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages.h - large blocks of memory whose return to the system is certain.
 *
 * The heap scatters and keeps what is freed of large sizes, the more so when
 * one thread allocates and another frees, so that a steady load grows the
 * process. Blocks of PAGES_MIN bytes and more are therefore mappings of their
 * own; up to a bound, freed ones are kept for the next request that fits, which
 * saves the page faults. Smaller ones come from the heap. Thread-safe.
 */
#ifndef MENDFS_BASE_PAGES_H
#define MENDFS_BASE_PAGES_H

#include <stddef.h>

#define PAGES_MIN (64u << 10)

/*
 * What pages_alloc really gives for a size: whole pages of 4096; from 1 MiB on
 * one of eight steps between powers of two, so that similar sizes can use each
 * other's blocks. 0: too large.
 */
size_t pages_round(size_t size);
/*
 * pages_round(size) bytes aligned to 4096, content undefined. NULL: no memory.
 * Counts as one allocation of mem.h for its test seam.
 */
void *pages_alloc(size_t size);
/* size: as given to pages_alloc, or its rounding. NULL is allowed. */
void pages_free(void *p, size_t size);

#endif
