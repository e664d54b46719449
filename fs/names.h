/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.h - what names.c and rename.c share (private to fs/).
 */
#ifndef MENDFS_FS_NAMES_H
#define MENDFS_FS_NAMES_H

#include <sys/stat.h>

#include "fs/node.h"

/* DT_* of a mode. */
static inline uint8_t names_type(uint32_t mode)
{
	return (mode & S_IFMT) >> 12;
}

/* -EINVAL or -ENAMETOOLONG for what cannot be a name; else its length. */
int names_check(const char *name) MUST_USE;

/* [node lock] 0 if n is a directory that still exists. */
int names_directory(const struct node *n) MUST_USE;

/* The entry, without an operation. */
int names_find(struct volume *v, uint64_t parent, const char *name,
	       struct dentry_row *out) MUST_USE;

/* Adds an entry under a fresh id. [op] */
int names_enter(struct volume *v, uint64_t parent, const char *name,
		uint64_t ino, uint8_t type) MUST_USE;

/*
 * Before a name is given to a file: its dirty data goes into the open record
 * or an earlier one, so that no crash leaves the name with an empty file. Of a
 * file that is still open for writing only what lies below its first gap counts
 * (gaps.h): the kernel may still have the rest.
 */
int names_settle_data(struct volume *v, uint64_t ino) MUST_USE;

/* One node's new row within an operation that changes several. */
struct change {
	struct node *node; /* NULL: unused */
	struct inode_row row;
	bool unnamed; /* it lost its last name */
	bool lazy;    /* only times change: they stay in memory for now */
};
/* Starts a change: row = the node's newest with ctime now. */
void change_begin(struct change *c, struct node *n, int64_t now);
/* [op] Stores the rows; unnames those whose link count became 0. */
int changes_store(struct change *c, unsigned n) MUST_USE;
/* [node locks] After the operation was kept. */
void changes_done(struct change *c, unsigned n, uint64_t seq);

#endif
