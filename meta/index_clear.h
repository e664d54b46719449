/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_clear.h - no content is left in free pages.
 */
#ifndef MENDFS_META_INDEX_CLEAR_H
#define MENDFS_META_INDEX_CLEAR_H

#include "meta/index_file.h"

/*
 * Zeroes the free pages that rolled-back operations left with content: SQLite
 * writes them, replay does not. Between transactions only. Reads the list of
 * free pages, and those of them that were written since the last
 * index_file_forget_written. An error of the file, or -ERR_CORRUPT.
 */
int index_clear_free(struct index_file *f) MUST_USE;

#endif
