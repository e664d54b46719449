/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How data that does not compress is told (looks_random)
 *
 * Photos, films and archives are most of what large pools hold, and zstd
 * takes its time to find out that they do not shrink. Two looks at a sample
 * cost a few microseconds:
 *
 * (1) The bytes of 32 runs, spread over the block, are counted. For n bytes
 *     of noise the sum of the squared counts is about n + n^2/256. 15 % more
 *     already means less than 7.8 bits of entropy per byte, so that Huffman
 *     coding has something to gain: compress.
 * (2) Noise that repeats (a copied photo) passes (1) but shrinks well. The
 *     hashes of 8 bytes at every multiple of a fixed distance are put into a
 *     table; then every offset within some short stretches is looked up. A
 *     stretch as long as that distance that lies in a repeated part must meet
 *     one of the entries whatever the distance of the repetition is.
 *
 * Both may err; then a block stays as it is that would have shrunk a little,
 * or zstd tries in vain.
 */
#include "backend/compress.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include <zstd.h>

#include "base/bytes.h"
#include "base/mem.h"

#define SAMPLE_MIN   4096u /* shorter blocks are simply tried */
#define RUNS	     32u
#define RUN_BYTES    64u
#define ANCHORS	     512u
#define STRETCHES    4u
#define ANCHOR_SLOTS 2048u /* a power of two */

struct contexts {
	ZSTD_CCtx *c;
	ZSTD_DCtx *d;
};

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool key_ok;

static void contexts_free(void *arg)
{
	struct contexts *x = arg;

	ZSTD_freeCCtx(x->c);
	ZSTD_freeDCtx(x->d);
	mem_free(x);
}

static void key_make(void)
{
	key_ok = pthread_key_create(&key, contexts_free) == 0;
}

/* This thread's; NULL: no memory. */
static struct contexts *contexts_get(void)
{
	pthread_once(&key_once, key_make);
	if (!key_ok)
		return NULL;

	struct contexts *x = pthread_getspecific(key);
	if (x)
		return x;
	x = mem_zalloc(sizeof(*x));
	if (x && pthread_setspecific(key, x) != 0) {
		mem_free(x);
		return NULL;
	}
	return x;
}

static ZSTD_CCtx *compressor(void)
{
	struct contexts *x = contexts_get();

	if (x && !x->c)
		x->c = ZSTD_createCCtx();
	return x ? x->c : NULL;
}

static ZSTD_DCtx *decompressor(void)
{
	struct contexts *x = contexts_get();

	if (x && !x->d)
		x->d = ZSTD_createDCtx();
	return x ? x->d : NULL;
}

/* (1); len >= SAMPLE_MIN */
static bool bytes_look_even(const uint8_t *in, size_t len)
{
	const uint32_t n = RUNS * RUN_BYTES;
	uint16_t count[256] = {0};
	size_t stride = len / RUNS;
	uint32_t squares = 0;

	for (uint32_t i = 0; i < RUNS; i++) {
		/* not always at the same place of a page of a database */
		size_t shift =
			(i * 0x9e3779b1u >> 8) % (stride - RUN_BYTES + 1);
		const uint8_t *p = in + i * stride + shift;

		for (uint32_t j = 0; j < RUN_BYTES; j++)
			count[p[j]]++;
	}
	for (uint32_t i = 0; i < 256; i++)
		squares += (uint32_t)count[i] * count[i];
	return squares < n + n / 256 * n / 100 * 115;
}

static uint64_t anchor_hash(const uint8_t *p)
{
	return get_le64(p) * 0x9e3779b97f4a7c15u;
}

struct anchors {
	uint32_t tag[ANCHOR_SLOTS]; /* high part of the hash */
	uint32_t pos[ANCHOR_SLOTS];
};

static void anchors_fill(struct anchors *a, const uint8_t *in, size_t len,
			 size_t step)
{
	memset(a->tag, 0, sizeof(a->tag));
	for (size_t pos = 0; pos + 8 <= len; pos += step) {
		uint64_t h = anchor_hash(in + pos);
		size_t slot = (h >> 20) % ANCHOR_SLOTS;

		a->tag[slot] = (uint32_t)(h >> 32);
		a->pos[slot] = (uint32_t)pos;
	}
}

/* (2); len >= SAMPLE_MIN and below 4 GiB */
static bool repeats(const uint8_t *in, size_t len)
{
	struct anchors a;
	/* at most ANCHORS of them; odd sizes round up */
	size_t step = (len + ANCHORS - 1) / ANCHORS;

	anchors_fill(&a, in, len, step);
	for (size_t s = 1; s <= STRETCHES; s++) {
		size_t first = len / (STRETCHES + 1) * s;

		for (size_t pos = first; pos < first + step; pos++) {
			uint64_t h = anchor_hash(in + pos);
			size_t slot = (h >> 20) % ANCHOR_SLOTS;

			if (a.tag[slot] == (uint32_t)(h >> 32) &&
			    a.pos[slot] != pos)
				return true;
		}
	}
	return false;
}

static bool looks_random(const uint8_t *in, size_t len)
{
	if (len < SAMPLE_MIN || len > UINT32_MAX)
		return false;
	return bytes_look_even(in, len) && !repeats(in, len);
}

size_t compress_try(int level, const void *in, size_t len, void *out)
{
	size_t limit = len - len / 16;

	if (level == COMPRESS_NONE || limit <= 1 || looks_random(in, len))
		return 0;

	ZSTD_CCtx *ctx = compressor();
	if (!ctx)
		return 0;
	/* zstd gives up as soon as it would take more than that */
	size_t n = ZSTD_compressCCtx(ctx, out, limit - 1, in, len, level);
	return ZSTD_isError(n) ? 0 : n;
}

/*
 * Only what compress_try writes: one frame of today's format that names its
 * size, and nothing behind it. Keeps zstd's decoders of older formats out.
 */
static bool frame_ok(const void *in, size_t len, size_t out_len)
{
	if (len < 4 || get_le32(in) != ZSTD_MAGICNUMBER)
		return false;
	return ZSTD_getFrameContentSize(in, len) == out_len &&
	       ZSTD_findFrameCompressedSize(in, len) == len;
}

int decompress(const void *in, size_t len, void *out, size_t out_len)
{
	if (!frame_ok(in, len, out_len))
		return -ERR_CORRUPT;

	ZSTD_DCtx *ctx = decompressor();
	if (!ctx)
		return -ENOMEM;
	size_t n = ZSTD_decompressDCtx(ctx, out, out_len, in, len);
	return n == out_len ? 0 : -ERR_CORRUPT;
}
