/* SPDX-License-Identifier: Apache-2.0 */
/*
 * erasure.h - systematic Reed-Solomon over GF(2^8) by ISA-L, Cauchy matrix
 * (gf_gen_cauchy1_matrix): every k of the k+m fragments give the data back.
 *
 * k 1..EC_DATA_MAX, m 0..EC_PARITY_MAX. Tables are built per call geometry and
 * cached per process; thread-safe.
 */
#ifndef MENDFS_BACKEND_ERASURE_H
#define MENDFS_BACKEND_ERASURE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define EC_DATA_MAX   24
#define EC_PARITY_MAX 8
#define EC_TOTAL_MAX  (EC_DATA_MAX + EC_PARITY_MAX)

/*
 * Parity of k data blocks of len bytes each into m blocks of len bytes.
 * 0, -EINVAL, -ENOMEM.
 */
int erasure_encode(unsigned k, unsigned m, size_t len,
		   const uint8_t *const *data, uint8_t *const *parity) MUST_USE;

/*
 * Rebuilds blocks. have[i] for i < k+m is the block of fragment i or NULL; at
 * least k are there (else -ERR_UNAVAILABLE). want[i] non-NULL: a buffer of len
 * bytes that gets fragment i (data or parity).
 */
int erasure_rebuild(unsigned k, unsigned m, size_t len,
		    const uint8_t *const *have, uint8_t *const *want) MUST_USE;

#endif
