/* SPDX-License-Identifier: Apache-2.0 */
/*
 * truncate.h - changing a file's size (private to fs/).
 */
#ifndef MENDFS_FS_TRUNCATE_H
#define MENDFS_FS_TRUNCATE_H

#include "fs/node.h"

/*
 * Locks the node once no large cut of it is under way; what is left of one is
 * cut first, with nothing locked. To be called before the size is changed, and
 * before extents may enter the index above the border, or the cut would take
 * these away. On an error (appending records fails) it is locked too.
 */
int truncate_lock(struct node *n) MUST_USE;
/*
 * [node locked by truncate_lock] Sets the size of a regular file: grows sparse,
 * or cuts extents and cache. Times mtime and ctime become now. -EINVAL: not a
 * regular file; -EISDIR; -EFBIG. Atomic and done when it returns, though rows
 * above the new size may be removed later, in the background.
 */
int truncate_locked(struct node *n, uint64_t size) MUST_USE;
/*
 * [index locked] Where data's rows end to count: *border, UINT64_MAX: all do.
 * For nodes that are loaded while a cut is under way.
 */
int truncate_border(struct volume *v, uint64_t data, uint64_t *border) MUST_USE;

#endif
