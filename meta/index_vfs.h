/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_vfs.h - SQLite's view of an index_file: a VFS of its own for each.
 *
 * SQLite may open one file through it, the database; journals and temporary
 * files live in memory (index_db.c sets the pragmas), so any other is refused.
 */
#ifndef MENDFS_META_INDEX_VFS_H
#define MENDFS_META_INDEX_VFS_H

#include "base/err.h"
#include "meta/index_file.h"

struct index_vfs;

/* Registers. f is borrowed and must outlive it. 0 or -ENOMEM. */
int index_vfs_new(struct index_file *f, struct index_vfs **out);
/* Unregisters; no connection uses it any more. NULL is allowed. */
void index_vfs_free(struct index_vfs *v);
/* For sqlite3_open_v2. */
const char *index_vfs_name(const struct index_vfs *v);
/*
 * While on, a write that fails is answered in a way that makes SQLite keep the
 * page for later and its transaction as it is.
 */
void index_vfs_forgive(struct index_vfs *v, bool on);
/*
 * The code behind SQLite's last "I/O error", 0 if there was none. Index lock.
 */
int index_vfs_error(const struct index_vfs *v);

#endif
