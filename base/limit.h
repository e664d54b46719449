/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limit.h - bounds that only large pools and large files reach.
 *
 *     #define ROWS_PER_OP LIMIT(256, 4)
 *
 * is 256. Compiled with MENDFS_MUTANTS, which only the simulation does, it is
 * 4 while limits_small is true, so that small ones meet them too. Not for sizes
 * of arrays or anything on disk. limits_small changes while no pool is open.
 */
#ifndef MENDFS_BASE_LIMIT_H
#define MENDFS_BASE_LIMIT_H

#include <stdbool.h>

extern bool limits_small; /* there is none but in the simulation */

#ifdef MENDFS_MUTANTS
#define LIMIT(usual, small) (limits_small ? (small) : (usual))
#else
#define LIMIT(usual, small) (usual)
#endif

#endif
