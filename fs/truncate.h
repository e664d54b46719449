/* SPDX-License-Identifier: Apache-2.0 */
/*
 * truncate.h - changing a file's size (private to fs/).
 */
#ifndef MENDFS_FS_TRUNCATE_H
#define MENDFS_FS_TRUNCATE_H

#include "fs/node.h"

/*
 * [node lock] Sets the size of a regular file: grows sparse, or cuts extents
 * and cache. Times mtime and ctime become now. -EINVAL: not a regular file;
 * -EISDIR; -EFBIG. Atomic; after a crash a large cut is finished by recovery.
 */
int truncate_locked(struct node *n, uint64_t size) MUST_USE;
/*
 * [node lock] Ends a large cut that an error broke off: before extents may
 * enter the index above its border, or its job would take these away.
 */
int truncate_finish(struct node *n) MUST_USE;

#endif
