/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_db.h - the SQLite connection of an index, and its schema.
 */
#ifndef MENDFS_META_INDEX_DB_H
#define MENDFS_META_INDEX_DB_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "meta/index_vfs.h"

struct sqlite3;

/*
 * Once per process, before the first index_vfs_new: SQLite takes its memory
 * from base/mem.h and leaves locking to us. 0 or -ENOMEM.
 */
int index_db_start(void) MUST_USE;

/*
 * Opens a connection through v, cache_bytes of page cache. create: the file is
 * fresh, it gets the schema (committed). One thread at a time uses it.
 */
int index_db_open(const struct index_vfs *v, size_t cache_bytes, bool create,
		  struct sqlite3 **out) MUST_USE;
/* Statements must be finalised. An open transaction is lost. NULL allowed. */
void index_db_close(struct sqlite3 *db);

/* SQLite's (extended) result code as one of ours, 0 for SQLITE_OK. */
int index_db_error(const struct index_vfs *v, int code);

#endif
