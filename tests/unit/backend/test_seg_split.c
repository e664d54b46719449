/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/backend/store_fixture.h"

#define CHUNK 4096u

static struct seg_context cx;

static int setup(void **state)
{
	(void)state;
	rnd_bytes(&cx.pool, sizeof(cx.pool));
	cx.cipher = CIPHER_AES_256_GCM;
	cx.key_epoch = 5;
	return keyring_new(&cx.keys);
}

static int teardown(void **state)
{
	(void)state;
	seg_keys_forget(cx.keys);
	keyring_free(cx.keys);
	return 0;
}

static struct seg_build *build_new(uint32_t cap, const uint8_t *salt)
{
	struct seg_build *b;

	assert_int_equal(seg_build_new(&cx, SEG_DATA, (struct seg_id){9}, cap,
				       salt, &b),
			 0);
	return b;
}

/* The best possible longest range, the slow way. */
static uint32_t best_longest(const uint32_t *piece, unsigned n, unsigned k)
{
	static uint32_t best[26][400];

	for (unsigned i = 0; i <= n; i++)
		best[0][i] = i ? UINT32_MAX : 0;
	for (unsigned j = 1; j <= k; j++) {
		for (unsigned i = 0; i <= n; i++) {
			uint32_t sum = 0;

			best[j][i] = best[j - 1][i];
			for (unsigned l = i; l-- > 0;) {
				sum += piece[l];
				best[j][i] = MIN(best[j][i],
						 MAX(sum, best[j - 1][l]));
			}
		}
	}
	return best[k][n];
}

static void check_split(const struct seg_build *b, const uint32_t *end,
			unsigned n, unsigned k)
{
	uint32_t bound[EC_DATA_MAX], piece[400], at = 0, longest = 0;

	for (unsigned i = 0; i < n; i++)
		piece[i] = end[i] - (i ? end[i - 1] : 0);
	seg_build_split(b, k, bound);
	for (unsigned i = 0; i < k; i++) {
		bool border = bound[i] == 0;

		assert_true(bound[i] >= at);
		longest = MAX(longest, bound[i] - at);
		at = bound[i];
		for (unsigned j = 0; j < n; j++)
			border |= bound[i] == end[j];
		assert_true(border);
	}
	assert_int_equal(at, seg_build_len(b));
	if (k > 1) /* the table is in the last range */
		assert_true(bound[k - 2] <= (n > 1 ? end[n - 2] : 0));
	assert_int_equal(longest, best_longest(piece, n, k));
}

static void split_is_as_even_as_possible(void **state)
{
	uint8_t *plain = malloc(64 << 10);
	uint32_t end[400];

	(void)state;
	rnd_seed(test_seed());
	for (unsigned round = 0; round < 60; round++) {
		struct seg_build *b = build_new(4 << 20, NULL);
		unsigned n = 0, want = (unsigned)rnd_below(60);

		rnd_bytes(plain, 64 << 10);
		while (n < want) {
			uint32_t most = round % 3 ? 64 << 10 : 300;
			uint32_t len = 1 + (uint32_t)rnd_below(most);
			struct chunk_ref ref;

			assert_int_equal(seg_build_add(b, 1, n, plain, len,
						       COMPRESS_NONE, &ref),
					 0);
			end[n++] = ref.pos + ref.stored_len;
		}
		assert_int_equal(seg_build_finish(b), 0);
		end[n++] = seg_build_len(b);
		for (unsigned k = 1; k <= EC_DATA_MAX; k++)
			check_split(b, end, n, k);
		seg_build_free(b);
	}
	rnd_unseed();
	free(plain);
}

/* Equal chunks: no range differs by more than one from another. */
static void equal_chunks_split_evenly(void **state)
{
	uint8_t plain[CHUNK];
	uint32_t bound[EC_DATA_MAX];

	(void)state;
	rnd_bytes(plain, sizeof(plain));
	for (unsigned n = 1; n <= 40; n++) {
		struct seg_build *b = build_new(64 * CHUNK, NULL);
		struct chunk_ref ref;

		for (unsigned i = 0; i < n; i++)
			assert_int_equal(seg_build_add(b, 1, i, plain, CHUNK,
						       COMPRESS_NONE, &ref),
					 0);
		assert_int_equal(seg_build_finish(b), 0);
		for (unsigned k = 2; k <= MIN(n, 24u); k++) {
			uint32_t low = UINT32_MAX, high = 0, at = 0;

			seg_build_split(b, k, bound);
			for (unsigned i = 0; i < k; i++) {
				uint32_t len = (bound[i] - at) / CHUNK;

				low = MIN(low, len);
				high = MAX(high, len);
				at = bound[i];
			}
			assert_true(high - low <= 1);
		}
		seg_build_free(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(split_is_as_even_as_possible),
		cmocka_unit_test(equal_chunks_split_evenly),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
