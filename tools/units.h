/* SPDX-License-Identifier: Apache-2.0 */
/*
 * units.h - sizes and durations as people write them.
 *
 * No state; any thread.
 */
#ifndef MENDFS_TOOLS_UNITS_H
#define MENDFS_TOOLS_UNITS_H

#include <stdint.h>

#include "base/err.h"

/* "65536", "64K", "1.5G", "16MiB": powers of 1024. -EINVAL, -ERANGE. */
int units_parse_size(const char *text, uint64_t *bytes_out) MUST_USE;
/* "5", "5s", "10m", "1h", "1d". -EINVAL, -ERANGE. */
int units_parse_duration(const char *text, uint64_t *seconds_out) MUST_USE;
/* A whole number from min to max. -EINVAL, -ERANGE. */
int units_parse_number(const char *text, uint64_t min, uint64_t max,
		       uint64_t *out) MUST_USE;

#define UNITS_TEXT 16
/* "512", "128K", "1.5G"; returns buf. */
const char *units_size(uint64_t bytes, char buf[UNITS_TEXT]);

#endif
