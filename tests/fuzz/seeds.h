/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seeds.h - the maker of seeds: inputs for the targets from what the engine
 * itself writes, one file each below <out>/<target>/.
 *
 * Modes are numbers here and have names in the targets (first byte of an
 * input): what a target calls 0, 1, 2 is in the comment on its top, in order.
 */
#ifndef MENDFS_TESTS_FUZZ_SEEDS_H
#define MENDFS_TESTS_FUZZ_SEEDS_H

#include "fuzz/fuzz.h"

/* Writes one; its name is only for people. Releases b. */
void seed_write(struct bytes *b, const char *target, const char *name, ...)
	__attribute__((format(printf, 3, 4)));

/* Putting one together; memory is there. */
void seed_u8(struct bytes *b, unsigned v);
void seed_u16(struct bytes *b, size_t v);
void seed_raw(struct bytes *b, const void *p, size_t len);
/* What fuzz_number reads as v. */
void seed_number(struct bytes *b, uint64_t v);
/* What fuzz_bytes reads. */
void seed_bytes(struct bytes *b, const void *p, size_t len);

/* seeds_made.c: of things made for the purpose */
void seeds_made(void);
/* seeds_index.c: of the index of fuzz_kit_index.h */
void seeds_index(void);
/* seeds_real.c: of the pool of fuzz_kit_volume.h */
void seeds_real(void);

#endif
