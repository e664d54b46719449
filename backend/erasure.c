/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why every k of the k+m fragments give the data back, for every geometry
 *
 * (1) The generator has k + m rows of k numbers of GF(2^8): the identity on
 *     top (a data fragment is its data), below it the parity rows
 *     c[i][j] = 1 / (i + j), k <= i < k + m, 0 <= j < k, where + is xor.
 *     i and j are different numbers below 256, so no denominator is zero.
 * (2) Such a matrix is a Cauchy matrix for the points x_i = i and y_j = j.
 *     Any choice of its rows and columns is a Cauchy matrix again, and a
 *     square one has the determinant
 *         prod_{a<b} (x_a + x_b)(y_a + y_b) / prod_{a,b} (x_a + y_b),
 *     which is not zero because all the points differ.
 * (3) Let some k rows of the generator be left, r of them parity. Expanding
 *     along the k - r identity rows leaves the r x r matrix of these parity
 *     rows at the columns of the lost data: not singular by (2). So the k x k
 *     matrix of the rows left can be inverted, and that is all a rebuild needs.
 *
 * This holds for every k + m <= 256, so for all of 1..24 x 0..8. The test
 * checks that the matrix is (1) for each of them, and computes what (2) and
 * (3) say for as many patterns as time allows.
 *
 * The points depend on k: a stripe must be read with the geometry that it was
 * written with. The matrix is part of the disk format.
 */
#include "backend/erasure.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include <isa-l/erasure_code.h>

#include "base/mem.h"
#include "base/must.h"

/* What ISA-L makes of one coefficient for its vector code. */
#define TABLE_BYTES 32
/* Bytes of each block per round: the sources of a round stay in the cache
 * while ISA-L passes over them again for the 7th and 8th row, and ISA-L's
 * lengths are int. */
#define STEP ((size_t)32 * 1024)

struct product {
	unsigned k;    /* sources */
	unsigned rows; /* results, at most EC_PARITY_MAX */
	size_t len;
	uint8_t *tables; /* TABLE_BYTES * k * rows */
	const uint8_t *const *in;
	uint8_t *const *out;
};

/*
 * Parity tables by geometry, made at first use and kept: 345 KiB if a process
 * met every geometry there is.
 */
static _Atomic(uint8_t *) parity_tables[EC_DATA_MAX + 1][EC_PARITY_MAX + 1];

static bool geometry_ok(unsigned k, unsigned m)
{
	return k >= 1 && k <= EC_DATA_MAX && m <= EC_PARITY_MAX;
}

static void multiply(const struct product *p)
{
	unsigned char *in[EC_DATA_MAX];
	unsigned char *out[EC_PARITY_MAX];

	for (size_t off = 0; off < p->len; off += STEP) {
		size_t n = MIN(STEP, p->len - off);

		/* ISA-L's prototype lacks the const of its sources. */
		for (unsigned i = 0; i < p->k; i++)
			in[i] = (unsigned char *)(uintptr_t)(p->in[i] + off);
		for (unsigned i = 0; i < p->rows; i++)
			out[i] = p->out[i] + off;
		ec_encode_data((int)n, (int)p->k, (int)p->rows, p->tables, in,
			       out);
	}
}

static uint8_t *tables_make(unsigned k, unsigned m)
{
	uint8_t matrix[EC_TOTAL_MAX * EC_DATA_MAX];
	uint8_t *tables = mem_alloc((size_t)TABLE_BYTES * k * m);

	if (!tables)
		return NULL;
	gf_gen_cauchy1_matrix(matrix, (int)(k + m), (int)k);
	ec_init_tables((int)k, (int)m, matrix + (size_t)k * k, tables);
	return tables;
}

/* NULL: no memory. */
static uint8_t *tables_get(unsigned k, unsigned m)
{
	uint8_t *seen = atomic_load(&parity_tables[k][m]);
	if (seen)
		return seen;

	uint8_t *made = tables_make(k, m);
	if (!made)
		return NULL;
	if (atomic_compare_exchange_strong(&parity_tables[k][m], &seen, made))
		return made;
	mem_free(made); /* another thread was faster */
	return seen;
}

int erasure_encode(unsigned k, unsigned m, size_t len,
		   const uint8_t *const *data, uint8_t *const *parity)
{
	if (!geometry_ok(k, m))
		return -EINVAL;
	if (m == 0 || len == 0)
		return 0;

	struct product p = {
		.k = k,
		.rows = m,
		.len = len,
		.tables = tables_get(k, m),
		.in = data,
		.out = parity,
	};
	if (!p.tables)
		return -ENOMEM;
	multiply(&p);
	return 0;
}

/*
 * Coefficients that make fragment want[0..rows) of the k fragments source[]:
 * the generator's row of the wanted times the inverse of the sources' rows.
 */
static void rebuild_rows(unsigned k, unsigned m, const unsigned *source,
			 const unsigned *want, unsigned rows, uint8_t *coeff)
{
	uint8_t matrix[EC_TOTAL_MAX * EC_DATA_MAX];
	uint8_t left[EC_DATA_MAX * EC_DATA_MAX];
	uint8_t inverse[EC_DATA_MAX * EC_DATA_MAX];

	gf_gen_cauchy1_matrix(matrix, (int)(k + m), (int)k);
	for (unsigned i = 0; i < k; i++)
		memcpy(left + i * k, matrix + source[i] * k, k);
	int singular = gf_invert_matrix(left, inverse, (int)k);
	MUST(!singular); /* (3) */

	for (unsigned r = 0; r < rows; r++) {
		const uint8_t *row = matrix + want[r] * k;

		for (unsigned j = 0; j < k; j++) {
			uint8_t sum = 0;

			for (unsigned t = 0; t < k; t++)
				sum ^= gf_mul(row[t], inverse[t * k + j]);
			coeff[r * k + j] = sum;
		}
	}
}

/* The first k fragments that are there; false: fewer. */
static bool choose_sources(unsigned k, unsigned m, const uint8_t *const *have,
			   unsigned *source)
{
	unsigned n = 0;

	for (unsigned i = 0; i < k + m && n < k; i++)
		if (have[i])
			source[n++] = i;
	return n == k;
}

int erasure_rebuild(unsigned k, unsigned m, size_t len,
		    const uint8_t *const *have, uint8_t *const *want)
{
	unsigned source[EC_DATA_MAX];
	unsigned lost[EC_PARITY_MAX];
	const uint8_t *in[EC_DATA_MAX];
	uint8_t *out[EC_PARITY_MAX];
	uint8_t coeff[EC_PARITY_MAX * EC_DATA_MAX];
	uint8_t tables[TABLE_BYTES * EC_PARITY_MAX * EC_DATA_MAX];
	unsigned rows = 0;

	if (!geometry_ok(k, m))
		return -EINVAL;
	if (!choose_sources(k, m, have, source))
		return -ERR_UNAVAILABLE;
	for (unsigned i = 0; i < k + m; i++) {
		if (!want[i])
			continue;
		if (have[i]) {
			memmove(want[i], have[i], len);
			continue;
		}
		/* k are there, so at most m of the k + m come here */
		out[rows] = want[i];
		lost[rows++] = i;
	}
	if (rows == 0 || len == 0)
		return 0;

	rebuild_rows(k, m, source, lost, rows, coeff);
	ec_init_tables((int)k, (int)rows, coeff, tables);
	for (unsigned i = 0; i < k; i++)
		in[i] = have[source[i]];
	multiply(&(struct product){.k = k,
				   .rows = rows,
				   .len = len,
				   .tables = tables,
				   .in = in,
				   .out = out});
	return 0;
}
