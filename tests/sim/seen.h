/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seen.h - what a look into a mounted volume found: names, attributes, and the
 * content of files as the numbers of the writes it comes from.
 */
#ifndef MENDFS_TESTS_SIM_SEEN_H
#define MENDFS_TESTS_SIM_SEEN_H

#include <stdbool.h>
#include <stdint.h>

#define THREADS	   4 /* clients at most */
#define DIRS	   3 /* folders that all clients share */
#define NAMES	   5 /* of one client in one folder */
#define SLOTS	   (DIRS * NAMES)
#define XATTRS	   2
#define THINGS_MAX 220

#define CELL_GARBAGE UINT32_MAX /* nothing that was ever written there */

struct seen_inode {
	uint64_t ino;
	unsigned thing; /* of the model; 0: it knows of none */
	uint32_t mode, nlink;
	unsigned names; /* found */
	uint64_t size;
	int64_t mtime;
	uint32_t xattr[XATTRS];
	uint32_t cells;
	uint32_t *cell; /* stamps */
	char wrong[96]; /* what is wrong by itself, "" if nothing is */
};

struct seen {
	unsigned slot[THREADS][SLOTS]; /* 1 + which inode; 0: free */
	struct seen_inode inode[THREADS * SLOTS];
	unsigned inodes;
	uint64_t dir[DIRS];
	char wrong[160]; /* what is wrong with the whole */
};

void seen_free(struct seen *s);
/* The same to the last byte? Else a difference is told in text[len]. */
bool seen_same(const struct seen *a, const struct seen *b, char *text,
	       unsigned len);

#endif
