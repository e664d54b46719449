/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The numbers (1)..(3) are those of the proof on top of erasure.c. The field
 * arithmetic here is our own, so that a fault of the library cannot prove
 * itself right.
 */
#include "unit/base/base_test.h"

#include <string.h>

#include "backend/erasure.h"
#include "base/mem.h"
#include "base/rnd.h"
#include "base/workq.h"

#define LEN_MAX 200

struct geometry {
	unsigned k, m;
};

/* What pools get by default. */
static const struct geometry defaults[] = {
	{1, 0}, {1, 1}, {2, 1}, {2, 2}, {3, 2}, {4, 2},	 {5, 2},
	{6, 2}, {6, 3}, {7, 3}, {8, 3}, {9, 3}, {10, 3},
};

/* --- GF(2^8) with the polynomial x^8 + x^4 + x^3 + x^2 + 1 ------------- */

static uint8_t product[256][256];
static uint8_t inverse[256];

static uint8_t times(uint8_t a, uint8_t b)
{
	uint8_t r = 0;

	for (; b; b >>= 1) {
		if (b & 1)
			r ^= a;
		a = (uint8_t)(a << 1 ^ (a & 0x80 ? 0x1d : 0));
	}
	return r;
}

static int field_make(void **state)
{
	(void)state;
	for (unsigned a = 0; a < 256; a++) {
		for (unsigned b = 0; b < 256; b++) {
			product[a][b] = times((uint8_t)a, (uint8_t)b);
			if (product[a][b] == 1)
				inverse[a] = (uint8_t)b;
		}
	}
	return 0;
}

/* Gauss; destroys a, which has rows of n. */
static bool regular(uint8_t a[EC_PARITY_MAX][EC_PARITY_MAX], unsigned n)
{
	for (unsigned c = 0; c < n; c++) {
		unsigned p = c;

		while (p < n && !a[p][c])
			p++;
		if (p == n)
			return false;
		for (unsigned j = c; j < n; j++) {
			uint8_t t = a[p][j];

			a[p][j] = a[c][j];
			a[c][j] = t;
		}
		for (unsigned i = c + 1; i < n; i++) {
			uint8_t f = product[a[i][c]][inverse[a[c][c]]];

			for (unsigned j = c; f && j < n; j++)
				a[i][j] ^= product[f][a[c][j]];
		}
	}
	return true;
}

/* --- a stripe ----------------------------------------------------------- */

struct stripe {
	unsigned k, m;
	size_t len;
	uint8_t frag[EC_TOTAL_MAX][LEN_MAX];
	uint8_t made[EC_TOTAL_MAX][LEN_MAX + 1]; /* one byte of guard */
};

#define GUARD 0x5a

static void encode(struct stripe *s)
{
	const uint8_t *data[EC_DATA_MAX];
	uint8_t *parity[EC_PARITY_MAX];

	for (unsigned i = 0; i < s->k; i++)
		data[i] = s->frag[i];
	for (unsigned i = 0; i < s->m; i++)
		parity[i] = s->frag[s->k + i];
	assert_int_equal(erasure_encode(s->k, s->m, s->len, data, parity), 0);
}

static void stripe_make(struct stripe *s, struct geometry g, size_t len)
{
	s->k = g.k;
	s->m = g.m;
	s->len = len;
	for (unsigned i = 0; i < g.k; i++)
		rnd_bytes(s->frag[i], len);
	encode(s);
}

/* Rebuilds the fragments of `want` from those not in `lost`. */
static int rebuild(struct stripe *s, uint32_t lost, uint32_t want)
{
	const uint8_t *have[EC_TOTAL_MAX];
	uint8_t *out[EC_TOTAL_MAX];

	for (unsigned i = 0; i < s->k + s->m; i++) {
		have[i] = lost >> i & 1 ? NULL : s->frag[i];
		out[i] = want >> i & 1 ? s->made[i] : NULL;
		memset(s->made[i], GUARD, s->len + 1);
	}
	return erasure_rebuild(s->k, s->m, s->len, have, out);
}

static void check_made(const struct stripe *s, uint32_t want)
{
	for (unsigned i = 0; i < s->k + s->m; i++) {
		if (want >> i & 1)
			assert_memory_equal(s->made[i], s->frag[i], s->len);
		else if (s->len)
			assert_int_equal(s->made[i][0], GUARD);
		assert_int_equal(s->made[i][s->len], GUARD);
	}
}

static void check_pattern(struct stripe *s, uint32_t lost)
{
	assert_int_equal(rebuild(s, lost, lost), 0);
	check_made(s, lost);
}

static uint32_t all_of(const struct stripe *s)
{
	return (uint32_t)((1ULL << (s->k + s->m)) - 1);
}

/* Every pattern of 0..m losses. */
static void check_all_patterns(struct geometry g, size_t len)
{
	static struct stripe s;
	unsigned patterns = 0;

	stripe_make(&s, g, len);
	for (uint64_t lost = 0; lost <= all_of(&s); lost++) {
		if ((unsigned)__builtin_popcountll(lost) > g.m)
			continue;
		check_pattern(&s, (uint32_t)lost);
		patterns++;
	}
	assert_true(patterns >= 1 + (g.m ? g.k + g.m : 0));
}

static uint32_t random_losses(const struct stripe *s, unsigned count)
{
	uint32_t lost = 0;

	while ((unsigned)__builtin_popcount(lost) < count)
		lost |= 1u << rnd_below(s->k + s->m);
	return lost;
}

/* --- tests -------------------------------------------------------------- */

static void default_geometries_lose_anything(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(defaults); i++) {
		check_all_patterns(defaults[i], LEN_MAX);
		check_all_patterns(defaults[i], 67);
	}
}

static void small_geometries_lose_anything(void **state)
{
	(void)state;
	for (unsigned k = 1; k <= 13; k++)
		for (unsigned m = 0; m <= 3; m++)
			check_all_patterns((struct geometry){k, m}, 33);
}

static void large_geometries_lose_anything(void **state)
{
	(void)state;
	check_all_patterns((struct geometry){10, 4}, 17);
	check_all_patterns((struct geometry){16, 4}, 17);
	check_all_patterns((struct geometry){8, 8}, 17);
}

/* Ten million patterns are too many: some thousand by chance. */
static void largest_geometry_loses_much(void **state)
{
	static struct stripe s;

	(void)state;
	stripe_make(&s, (struct geometry){EC_DATA_MAX, EC_PARITY_MAX}, 40);
	for (unsigned t = 0; t < 2000; t++)
		check_pattern(&s, random_losses(&s, t % EC_PARITY_MAX));
	for (unsigned t = 0; t < 5000; t++)
		check_pattern(&s, random_losses(&s, EC_PARITY_MAX));
}

/* Encoding the unit vectors shows the matrix. */
static void matrix_of(struct geometry g, struct stripe *s)
{
	s->k = g.k;
	s->m = g.m;
	s->len = g.k;
	memset(s->frag, 0, sizeof(s->frag));
	for (unsigned i = 0; i < g.k; i++)
		s->frag[i][i] = 1;
	encode(s);
}

/* (1), for all there is; by (2) and (3) no pattern can fail then. */
static void every_matrix_is_cauchy(void **state)
{
	static struct stripe s;

	(void)state;
	for (unsigned k = 1; k <= EC_DATA_MAX; k++) {
		for (unsigned m = 1; m <= EC_PARITY_MAX; m++) {
			matrix_of((struct geometry){k, m}, &s);
			for (unsigned i = k; i < k + m; i++)
				for (unsigned j = 0; j < k; j++)
					assert_int_equal(
						product[s.frag[i][j]][i ^ j],
						1);
		}
	}
}

/* (2), computed: the square of these parity rows and data columns. */
static void check_square(const struct stripe *s, unsigned rows, unsigned cols)
{
	uint8_t a[EC_PARITY_MAX][EC_PARITY_MAX];
	unsigned n = 0;

	for (unsigned r = rows; r; r &= r - 1, n++) {
		const uint8_t *row = s->frag[s->k + (unsigned)__builtin_ctz(r)];
		unsigned j = 0;

		for (unsigned c = cols; c; c &= c - 1)
			a[n][j++] = row[__builtin_ctz(c)];
	}
	assert_true(regular(a, n));
}

static void check_squares(const struct stripe *s)
{
	for (unsigned cols = 1; cols < 1u << s->k; cols++) {
		int n = __builtin_popcount(cols);

		if (n > (int)s->m)
			continue;
		for (unsigned rows = 1; rows < 1u << s->m; rows++)
			if (__builtin_popcount(rows) == n)
				check_square(s, rows, cols);
	}
}

static void squares_are_regular(void **state)
{
	static struct stripe s;

	(void)state;
	for (unsigned k = 1; k <= EC_DATA_MAX; k++) {
		for (unsigned m = 1; m <= EC_PARITY_MAX; m++) {
			/* the number of cases grows as C(k + m, m) */
			if (k > 13 && m > 4)
				continue;
			matrix_of((struct geometry){k, m}, &s);
			check_squares(&s);
		}
	}
}

/* The check itself must be able to say no. */
static void singular_is_noticed(void **state)
{
	uint8_t a[EC_PARITY_MAX][EC_PARITY_MAX] = {{1, 2}, {2, 4}};
	uint8_t b[EC_PARITY_MAX][EC_PARITY_MAX] = {{0, 2}, {2, 0}};

	(void)state;
	assert_false(regular(a, 2));
	assert_true(regular(b, 2));
}

/* The matrix is part of the disk format. */
static void matrix_stays(void **state)
{
	static const uint8_t golden[3][4] = {{0x47, 0xa7, 0x7a, 0xba},
					     {0xa7, 0x47, 0xba, 0x7a},
					     {0x7a, 0xba, 0x47, 0xa7}};
	static struct stripe s;

	(void)state;
	matrix_of((struct geometry){4, 3}, &s);
	for (unsigned i = 0; i < 3; i++)
		assert_memory_equal(s.frag[4 + i], golden[i], 4);
}

static void every_length(void **state)
{
	static struct stripe s;

	(void)state;
	for (size_t len = 0; len <= LEN_MAX; len++) {
		stripe_make(&s, (struct geometry){5, 3}, len);
		check_pattern(&s, 1 << 0 | 1 << 3 | 1 << 6);
		stripe_make(&s, (struct geometry){1, 2}, len);
		check_pattern(&s, 1 << 0 | 1 << 1);
		stripe_make(&s, (struct geometry){24, 8}, len);
		check_pattern(&s, 0xff << 4);
	}
}

/* Longer than one round inside, at odd addresses, and against definition. */
static void long_blocks(void **state)
{
	enum {
		K = 3,
		M = 8,
		LEN = 100003
	};
	uint8_t *mem = mem_alloc((K + 2 * M) * (LEN + 1));
	const uint8_t *have[K + M] = {NULL};
	uint8_t *want[K + M] = {NULL};
	uint8_t *parity[M];

	(void)state;
	assert_non_null(mem);
	for (unsigned i = 0; i < K; i++)
		have[i] = mem + i * (LEN + 1);
	for (unsigned i = 0; i < M; i++)
		parity[i] = mem + (K + i) * (LEN + 1);
	rnd_bytes(mem, K * (LEN + 1));
	assert_int_equal(erasure_encode(K, M, LEN, have, parity), 0);
	for (unsigned i = 0; i < M; i++) {
		for (size_t b = 0; b < LEN; b++) {
			uint8_t sum = 0;

			for (unsigned j = 0; j < K; j++)
				sum ^= product[inverse[(K + i) ^ j]]
					      [have[j][b]];
			assert_int_equal(parity[i][b], sum);
		}
	}

	const uint8_t *data[K] = {have[0], have[1], have[2]};
	for (unsigned i = 0; i < K; i++)
		have[i] = NULL;
	for (unsigned i = 0; i < M; i++)
		have[K + i] = i < 5 ? NULL : parity[i];
	for (unsigned i = 0; i < K + 5; i++)
		want[i] = mem + (K + M + i) * (LEN + 1);
	assert_int_equal(erasure_rebuild(K, M, LEN, have, want), 0);
	for (unsigned i = 0; i < K; i++)
		assert_memory_equal(want[i], data[i], LEN);
	for (unsigned i = 0; i < 5; i++)
		assert_memory_equal(want[K + i], parity[i], LEN);
	mem_free(mem);
}

/* Wanting less or more than what is lost. */
static void want_is_free(void **state)
{
	static struct stripe s;

	(void)state;
	stripe_make(&s, (struct geometry){4, 3}, 50);
	for (uint32_t lost = 0; lost <= all_of(&s); lost++) {
		if (__builtin_popcount(lost) > 3)
			continue;
		for (uint32_t want = 0; want <= all_of(&s); want++) {
			assert_int_equal(rebuild(&s, lost, want), 0);
			check_made(&s, want);
		}
	}
}

/* A buffer that is there already and wanted in the same place. */
static void want_in_place(void **state)
{
	static struct stripe s, old;
	const uint8_t *have[5];
	uint8_t *want[5];

	(void)state;
	stripe_make(&s, (struct geometry){3, 2}, 50);
	old = s;
	for (unsigned i = 0; i < 5; i++) {
		want[i] = s.frag[i];
		have[i] = i == 1 || i == 4 ? NULL : s.frag[i];
	}
	memset(s.frag[1], 0, 50);
	memset(s.frag[4], 0, 50);
	assert_int_equal(erasure_rebuild(3, 2, 50, have, want), 0);
	assert_memory_equal(s.frag, old.frag, sizeof(s.frag));
}

static void too_few(void **state)
{
	static struct stripe s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(defaults); i++) {
		stripe_make(&s, defaults[i], 20);
		uint32_t lost = random_losses(&s, s.m + 1);
		assert_int_equal(rebuild(&s, lost, lost), -ERR_UNAVAILABLE);
		check_made(&s, 0);
		assert_int_equal(rebuild(&s, all_of(&s), 1), -ERR_UNAVAILABLE);
	}
}

static void bad_geometry(void **state)
{
	const struct geometry bad[] = {{0, 0}, {0, 2},	{25, 0},  {25, 8},
				       {1, 9}, {24, 9}, {256, 1}, {1, 256}};
	uint8_t block[8] = {0};
	const uint8_t *in[EC_TOTAL_MAX + 8];
	uint8_t *out[EC_TOTAL_MAX + 8];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(in); i++) {
		in[i] = block;
		out[i] = block;
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(erasure_encode(bad[i].k, bad[i].m, 8, in, out),
				 -EINVAL);
		assert_int_equal(erasure_rebuild(bad[i].k, bad[i].m, 8, in,
						 out),
				 -EINVAL);
	}
}

/* Must be the first test that uses this geometry. */
static void no_memory_for_tables(void **state)
{
	static struct stripe s = {.k = 23, .m = 7, .len = 9};
	const uint8_t *data[EC_DATA_MAX];
	uint8_t *parity[EC_PARITY_MAX];

	(void)state;
	for (unsigned i = 0; i < s.k; i++)
		data[i] = s.frag[i];
	for (unsigned i = 0; i < s.m; i++)
		parity[i] = s.made[i];
	mem_fail_at(1, 0);
	assert_int_equal(erasure_encode(s.k, s.m, s.len, data, parity),
			 -ENOMEM);
	assert_int_equal(erasure_encode(s.k, s.m, s.len, data, parity), 0);
	/* and from now on none is needed */
	mem_fail_at(1, 1);
	assert_int_equal(erasure_encode(s.k, s.m, s.len, data, parity), 0);
	assert_int_equal(mem_count(), 0);
	mem_fail_at(0, 0);
}

static void thread_job(void *arg)
{
	struct stripe *s = arg;

	for (unsigned k = 14; k < 20; k++) {
		stripe_make(s, (struct geometry){k, 5}, 100);
		check_pattern(s, random_losses(s, 5));
	}
}

/* All threads meet the geometries for the first time at once. */
static void threads(void **state)
{
	enum {
		N = 4
	};
	struct stripe *s = mem_calloc(N, sizeof(*s));
	struct workq *q;

	(void)state;
	assert_non_null(s);
	assert_int_equal(workq_new("erasure", N, &q), 0);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(workq_submit(q, thread_job, &s[i]), 0);
	workq_free(q);
	mem_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_memory_for_tables),
		cmocka_unit_test(threads),
		cmocka_unit_test(default_geometries_lose_anything),
		cmocka_unit_test(small_geometries_lose_anything),
		cmocka_unit_test(large_geometries_lose_anything),
		cmocka_unit_test(largest_geometry_loses_much),
		cmocka_unit_test(every_matrix_is_cauchy),
		cmocka_unit_test(squares_are_regular),
		cmocka_unit_test(singular_is_noticed),
		cmocka_unit_test(matrix_stays),
		cmocka_unit_test(every_length),
		cmocka_unit_test(long_blocks),
		cmocka_unit_test(want_is_free),
		cmocka_unit_test(want_in_place),
		cmocka_unit_test(too_few),
		cmocka_unit_test(bad_geometry),
	};

	rnd_seed(test_seed());
	return cmocka_run_group_tests(tests, field_make, NULL);
}
