/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lookup.h - the tables of the index read the other way round: all extents,
 * whose data it is, and by which path people know it. For checks and reports.
 *
 * All functions are [locked] (see index.h) and change nothing. Lists come in
 * pages, so that the lock need not be held between them.
 */
#ifndef MENDFS_META_LOOKUP_H
#define MENDFS_META_LOOKUP_H

#include "meta/rows.h"

#define LOOKUP_DEPTH_MAX 4096 /* folders in one path */

struct extent_place {
	uint64_t data;
	uint64_t off;
};
/*
 * Extents behind `after` (NULL: from the first) by
 * (data, off), at most max of them. Returns how many; fewer than max: there are
 * no more. Rows that cannot be understood are left out (index_check tells of
 * them). -ENOMEM, -ERR_STICKY, what SQLite says.
 */
int lookup_extents(struct index *ix, const struct extent_place *after,
		   struct extent_row *out, unsigned max) MUST_USE;

/* An inode that has data. */
struct data_owner {
	uint64_t ino;
	uint64_t data;
	uint64_t size; /* of the file, in bytes */
};
/* Those with ino > after, ascending, at most max. Returns how many. */
int lookup_owners(struct index *ix, uint64_t after, struct data_owner *out,
		  unsigned max) MUST_USE;

/*
 * One path of an inode from the root, "/a/b", as a string (out->len does not
 * count the zero byte); out is empty before. -ENOENT: no path leads to it;
 * -ELOOP: folders lie in each other; -ENOMEM.
 */
int lookup_path(struct index *ix, uint64_t ino, struct bytes *out) MUST_USE;

#endif
