/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of the statement log: stmt_log_values; and the numbers below them.
 *
 * n u8, then the values. Every log has one spelling.
 */
#include "fuzz/fuzz.h"

#include <string.h>

#include "meta/stmt_log.h"

static void check_spelling(const struct value *v, unsigned n,
			   const uint8_t *from, size_t len)
{
	AUTO(bytes_release) struct bytes log = {0};

	MUST(stmt_log_add(&log, STMT_META_SET, 1, v, n) == 0);
	/* two bytes: the statement's number and the rows it changed */
	MUST(log.len == len + 2);
	MUST(memcmp(log.data + 2, from, len) == 0);
}

static void check_inside(const struct value *v, const uint8_t *from, size_t len)
{
	const uint8_t *p = v->p;

	if (v->type != VALUE_BLOB && v->type != VALUE_TEXT)
		return;
	MUST(p >= from && v->len <= (size_t)(from + len - p));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct value v[STMT_VALUES_MAX];
	struct reader r = reader_of(data, size);
	unsigned n = fuzz_pick(&r, STMT_VALUES_MAX + 1);
	const uint8_t *from = r.p;
	size_t len;
	int rc;

	fuzz_start();
	rc = stmt_log_values(&r, v, n);
	FUZZ_ONE_OF(rc, 0, -ERR_TRUNCATED, -ERR_RANGE);
	if (rc)
		return 0;
	len = (size_t)(r.p - from);
	for (unsigned i = 0; i < n; i++)
		check_inside(&v[i], from, len);
	check_spelling(v, n, from, len);
	return 0;
}
