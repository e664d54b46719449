/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_file.h - the local index file: sealed pages, growth ahead of need,
 * which regions changed, and the frozen view a checkpoint copies.
 *
 * Knows pages, not SQLite's calls (index_vfs.c translates those). Pages are
 * numbered from 1 and are INDEX_PAGE bytes, their reserved bytes zero when
 * plain. Errors are codes of base/err.h.
 *
 * Threads: the holder of the index lock calls everything; index_file_region,
 * index_file_thaw and index_file_pages may run beside it.
 */
#ifndef MENDFS_META_INDEX_FILE_H
#define MENDFS_META_INDEX_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "meta/index.h"

struct index_file;

/*
 * fresh: an empty file, whatever was there. Otherwise -ENOENT, -ERR_AUTH (page
 * 1 does not open), -ERR_CORRUPT (shorter than page 1 says). All regions of a
 * fresh file count as changed, none of an existing one.
 */
int index_file_open(const struct index_options *o, bool fresh,
		    struct index_file **out) MUST_USE;
/* With sync: cut to its pages and fsynced. Frees in any case. NULL is allowed.
 */
int index_file_close(struct index_file *f, bool sync);

/* -ERR_AUTH, -ERR_TRUNCATED (beyond the end) or what the system says. */
int index_file_read(struct index_file *f, uint32_t pgno,
		    uint8_t *plain) MUST_USE;
/* A frozen page is copied out first; that failing breaks the freeze only. */
int index_file_write(struct index_file *f, uint32_t pgno,
		     const uint8_t *plain) MUST_USE;

/* The file's length in pages; any thread. */
uint32_t index_file_pages(const struct index_file *f);
void index_file_set_pages(struct index_file *f, uint32_t pages);
/*
 * Makes sure that so many pages can be written without asking the disk for
 * space. -ENOSPC, -ENOMEM.
 */
int index_file_reserve(struct index_file *f, uint32_t pages) MUST_USE;

/* See index_freeze, index_region_read, index_thaw. */
int index_file_freeze(struct index_file *f,
		      struct region_set *changed) MUST_USE;
int index_file_region(struct index_file *f, uint32_t region,
		      uint8_t *out) MUST_USE;
void index_file_thaw(struct index_file *f, bool done);

/* Was this page written since the last index_file_forget_written? */
bool index_file_written(struct index_file *f, uint32_t pgno);
void index_file_forget_written(struct index_file *f);

#endif
