/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checksum.h - CRC32C (Castagnoli), by ISA-L. Finds accidents, not attackers.
 */
#ifndef MENDFS_BACKEND_CHECKSUM_H
#define MENDFS_BACKEND_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* CRC32C as in RFC 3720 (initial and final inversion included). */
uint32_t crc32c(const void *data, size_t len);

#endif
