/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compress.h - zstd, with a cheap way out for data that does not compress.
 *
 * Contexts are kept per thread inside; any thread may call.
 */
#ifndef MENDFS_BACKEND_COMPRESS_H
#define MENDFS_BACKEND_COMPRESS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define COMPRESS_NONE	   (-1000) /* level: off */
#define COMPRESS_LEVEL_DEF 1

/*
 * Compresses len bytes into out, which holds len bytes. Returns the size
 * (less than len - len/16), or 0 when it is not worth it: level
 * COMPRESS_NONE, a sample looks random, or the result is hardly smaller.
 */
size_t compress_try(int level, const void *in, size_t len, void *out);
/*
 * The inverse: len bytes that compress_try wrote, no more and no less, become
 * exactly out_len bytes. Never writes past out_len. 0, -ERR_CORRUPT (out holds
 * nothing usable) or -ENOMEM.
 */
int decompress(const void *in, size_t len, void *out, size_t out_len) MUST_USE;

#endif
