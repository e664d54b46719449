/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz.h - what the fuzz targets and the maker of their seeds share.
 *
 * A target is one function, LLVMFuzzerTestOneInput. Its first byte says in
 * which of the target's modes the rest is meant: in "raw" modes the parser
 * gets the bytes as they are (before authentication); in "sealed" modes the
 * target seals them with the keys below, so that the code behind
 * authentication sees what the fuzzer made up. Nothing of the engine is
 * compiled differently for it.
 *
 * Everything is deterministic: keys, ids and random bytes follow from fixed
 * seeds, jobs run inline. A broken property aborts by MUST.
 */
#ifndef MENDFS_TESTS_FUZZ_H
#define MENDFS_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/must.h"
#include "backend/keyring.h"
#include "backend/pool.h"
#include "backend/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * First thing in every target, idempotent: silent log, cheap key derivation,
 * inline jobs. Seeds the random source each time, so that an input does the
 * same whatever ran before it.
 */
void fuzz_start(void);

/* The master key of all sealed modes. */
struct keyring *fuzz_keys(void);
extern const struct pool_id fuzz_pool_id;
/* AES-256-GCM, key epoch 1. */
void fuzz_context(struct seg_context *out);
#define FUZZ_PASS "fuzz"

/*
 * The next byte of r below n; 0 when there is none: an input that ends early
 * asks for the plainest case.
 */
unsigned fuzz_pick(struct reader *r, unsigned n);
/* A number that is often small or at an edge. */
uint64_t fuzz_number(struct reader *r);
/* 0, 1, next to max, max, one more, or any number. */
uint64_t fuzz_edge(struct reader *r, uint64_t max);
/* At most max bytes, length first; a short input gives what there is. */
const uint8_t *fuzz_bytes(struct reader *r, size_t max, size_t *len_out);
/* Nothing but this byte, b bytes of it: ids from a small set. */
void fuzz_fill(void *p, size_t len, uint8_t b);

/* A copy in a heap block of exactly this size, so that ASan sees its end. */
uint8_t *fuzz_copy(const void *p, size_t len);

/* Is rc one of these? For the list of results that a header promises. */
bool fuzz_is_one(int rc, const int *of, size_t n);
#define FUZZ_ONE_OF(rc, ...)                               \
	MUST(fuzz_is_one((rc), (const int[]){__VA_ARGS__}, \
			 sizeof((const int[]){__VA_ARGS__}) / sizeof(int)))

/*
 * A path for a file of this process that has no name anywhere: the same file
 * for the same i (0..3), which is emptied.
 */
#define FUZZ_FILES 4
const char *fuzz_file(unsigned i);
void fuzz_file_write(unsigned i, const void *p, size_t len, uint64_t off);

/* ---- folders in memory: "mem:fuzz-0" ... ---- */

#define FUZZ_FOLDERS 4
/* Forgets what they hold. */
void fuzz_folders_clear(void);
const char *fuzz_location(unsigned folder);
/* Makes an object, unless it is there or the name is none. */
void fuzz_put(unsigned folder, const char *name, const void *p, size_t len);
/* Reads one; NULL: there is none. mem_free. */
uint8_t *fuzz_get(unsigned folder, const char *name, size_t *len_out);
/* A pool by hand of the first n folders, no superblocks. */
void fuzz_pool_open(struct pool *p, unsigned n, unsigned m);
void fuzz_pool_close(struct pool *p);

#endif
