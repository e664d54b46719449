/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stuff.h - what clients call and put into things, such that whoever finds it
 * knows where it comes from.
 */
#ifndef MENDFS_TESTS_SIM_STUFF_H
#define MENDFS_TESTS_SIM_STUFF_H

#include <stddef.h>
#include <stdint.h>

#define STUFF_NAME_MAX	256
#define STUFF_XATTR_MAX 3000
#define STUFF_UNIT_MAX	4096

/*
 * Fills n cells of `unit` bytes from cell `first` on of inode `ino` with write
 * number `stamp` (1..250). Every third write does not compress.
 */
void stuff_fill(uint8_t *out, uint64_t ino, uint32_t unit, uint32_t first,
		uint32_t n, unsigned stamp);
/* The write that a cell comes from; 0: it is zero; CELL_GARBAGE. */
uint32_t stuff_read(const uint8_t *cell, uint64_t ino, uint32_t unit,
		    uint32_t at);

/* The name of a slot. */
void stuff_name(unsigned thread, unsigned slot, char out[STUFF_NAME_MAX]);
/* Attribute x's name; value number `value` (> 0) of it, its length. */
const char *stuff_xattr_name(unsigned x);
size_t stuff_xattr(uint32_t value, uint8_t out[STUFF_XATTR_MAX]);
/* The number of a value; CELL_GARBAGE. */
uint32_t stuff_xattr_read(const uint8_t *data, size_t len);
/* Target of a symbolic link of a thread. */
void stuff_target(unsigned thread, char out[STUFF_NAME_MAX]);

#endif
