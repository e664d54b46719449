/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "backend/compress.h"
#include "backend/erasure.h"
#include "backend/pool.h"

#define DATA_DEFAULT_MAX 10
#define CHUNK_MIN	 (16u << 10)
#define CHUNK_MAX	 (4u << 20)
#define SEGMENT_MIN	 (1u << 20)
#define SEGMENT_MAX	 (32u << 20)
#define LEVEL_MIN	 (-99)
#define LEVEL_MAX	 22

/*
 * One parity up to three folders, where a second would halve the room, two up
 * to eight, then three: the more folders, the sooner a second one fails while
 * the first is being mended.
 */
void geometry_default(unsigned n, unsigned *k, unsigned *m)
{
	if (n <= 1)
		*m = 0;
	else if (n <= 3)
		*m = 1;
	else
		*m = n <= 8 ? 2 : 3;
	*k = MAX(n, 1u) - *m;
	*k = MIN(*k, (unsigned)DATA_DEFAULT_MAX);
}

static int check_counts(const struct geometry *g, unsigned n, struct diag *diag)
{
	unsigned w = (unsigned)g->k + g->m;

	if (n < 1 || n > POOL_MEMBERS_MAX)
		return diag_fail(diag, -EINVAL,
				 "%u folders: a pool has 1 to %u of them", n,
				 POOL_MEMBERS_MAX);
	if (g->k < 1 || g->k > EC_DATA_MAX)
		return diag_fail(diag, -EINVAL,
				 "--data %u: must be between 1 and %u", g->k,
				 EC_DATA_MAX);
	if (g->m > EC_PARITY_MAX)
		return diag_fail(diag, -EINVAL,
				 "--parity %u: must be between 0 and %u", g->m,
				 EC_PARITY_MAX);
	if (w > n)
		return diag_fail(
			diag, -EINVAL,
			"%u data + %u parity need %u folders, but %u %s given;"
			" give more folders or lower --data or --parity",
			g->k, g->m, w, n, n == 1 ? "is" : "are");
	return 0;
}

static int check_sizes(const struct geometry *g, struct diag *diag)
{
	uint32_t c = g->chunk_bytes, s = g->segment_bytes;

	if (c < CHUNK_MIN || c > CHUNK_MAX || (c & (c - 1)))
		return diag_fail(diag, -EINVAL,
				 "--chunk-size %u: must be a power of two from "
				 "16K to 4M",
				 c);
	if (s < SEGMENT_MIN || s > SEGMENT_MAX || s % c)
		return diag_fail(diag, -EINVAL,
				 "--segment-size %u: must be a multiple of the "
				 "chunk size from 1M to 32M",
				 s);
	return 0;
}

static int check_codec(const struct geometry *g, struct diag *diag)
{
	if (g->cipher != CIPHER_AES_256_GCM &&
	    g->cipher != CIPHER_CHACHA20_POLY1305)
		return diag_fail(diag, -EINVAL, "--cipher: unknown cipher %d",
				 (int)g->cipher);
	if (g->level != COMPRESS_NONE &&
	    (g->level < LEVEL_MIN || g->level > LEVEL_MAX))
		return diag_fail(diag, -EINVAL,
				 "--compression: level %d is not between %d "
				 "and %d",
				 g->level, LEVEL_MIN, LEVEL_MAX);
	return 0;
}

int geometry_check(const struct geometry *g, unsigned n, struct diag *diag)
{
	int rc = check_counts(g, n, diag);

	if (!rc)
		rc = check_sizes(g, diag);
	return rc ? rc : check_codec(g, diag);
}
