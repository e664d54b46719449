/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stmt_log.h - the statement log of a record, as journals carry it.
 *
 *     varint INDEX_VERSION
 *     per operation: varint count (>= 1), so many entries
 *     entry: varint statement number, varint rows changed, its values
 *     value: one byte type | n << 2, type 0 null, 1 integer, 2 blob, 3 text.
 *            n < 63 is the number itself, n = 63: a varint (>= 63) follows.
 *            The number is an integer in zigzag coding, or a length with so
 *            many bytes behind it; 0 for null.
 *
 * How many values an entry has follows from the statement (stmt_params). Every
 * log has exactly one spelling. Plain functions, no locks.
 */
#ifndef MENDFS_META_STMT_LOG_H
#define MENDFS_META_STMT_LOG_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "meta/stmt.h"

/* Appends an entry; 0 or -ENOMEM, then the log is as it was. */
int stmt_log_add(struct bytes *log, enum stmt_no no, unsigned changed,
		 const struct value *v, unsigned n) MUST_USE;

/* Reads n values; they point into r's memory. -ERR_TRUNCATED, -ERR_RANGE. */
int stmt_log_values(struct reader *r, struct value *out, unsigned n) MUST_USE;

#endif
