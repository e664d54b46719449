/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_kit_index.h - an index with some of everything in it, always the same,
 * for the targets that read or change one.
 *
 * It is made once by the engine's own functions; what its file holds then is
 * kept in memory, sealed and plain, and put back by a few writes.
 */
#ifndef MENDFS_TESTS_FUZZ_KIT_INDEX_H
#define MENDFS_TESTS_FUZZ_KIT_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "meta/index.h"
#include "meta/index_page.h"

#define FUZZ_CHUNK (16u << 10)
/* Numbers that mean something in it. */
#define FUZZ_INODES   12 /* 1..12: root, folders, files, a symlink */
#define FUZZ_SEGMENTS 6	 /* 1..3 open, 4 and 5 sealed, 6 dead */
#define FUZZ_DATA     8	 /* data ids 1..8 */

struct fuzz_index {
	struct index_options o;
	uint32_t pages;
	uint8_t *sealed; /* pages * INDEX_PAGE */
	uint8_t *plain;	 /* the same, opened */
	uint64_t seq;	 /* of its last record */
};

/* Made at the first call; lies in fuzz_file(0). */
const struct fuzz_index *fuzz_index(void);
/* Puts the file back as it was. */
void fuzz_index_restore(void);
/* The same with other content, len bytes from the start on. */
void fuzz_index_write(const uint8_t *sealed, size_t len);
/* restore and index_open, which must succeed. */
struct index *fuzz_index_open(void);

/*
 * Operations that succeed on it, one a number, n (0 .. FUZZ_CHANGES - 1): what
 * a file system does. Not inside an operation.
 */
#define FUZZ_CHANGES 12
int fuzz_index_change(struct index *ix, unsigned n) MUST_USE;

/*
 * Reads all kinds of rows and checks that what comes back keeps the rules of
 * rows.h; rows that cannot be read are allowed.
 */
void fuzz_index_read_all(struct index *ix);
/* index_check: whatever it finds, it comes to an end. */
void fuzz_index_check(struct index *ix);

#endif
