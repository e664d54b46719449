/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/stmt_log.h"

#define TYPE_BITS 2
#define TYPE_MASK 3u
#define INLINE	  63u /* and above: as a varint */

static uint64_t zigzag(int64_t i)
{
	return (uint64_t)i << 1 ^ (uint64_t)(i >> 63);
}

static int64_t unzigzag(uint64_t u)
{
	return (int64_t)(u >> 1 ^ -(u & 1));
}

static int add_head(struct bytes *log, enum value_type type, uint64_t n)
{
	uint64_t shown = n < INLINE ? n : INLINE;
	int rc = bytes_add_u8(log, (uint8_t)(shown << TYPE_BITS | type));

	if (!rc && shown == INLINE)
		rc = bytes_add_varint(log, n);
	return rc;
}

static int add_value(struct bytes *log, const struct value *v)
{
	int rc;

	switch (v->type) {
	case VALUE_INT:
		return add_head(log, VALUE_INT, zigzag(v->i));
	case VALUE_BLOB:
	case VALUE_TEXT:
		rc = add_head(log, v->type, v->len);
		return rc ? rc : bytes_add(log, v->p, v->len);
	default:
		return add_head(log, VALUE_NULL, 0);
	}
}

int stmt_log_add(struct bytes *log, enum stmt_no no, unsigned changed,
		 const struct value *v, unsigned n)
{
	size_t before = log->len;
	int rc = bytes_add_varint(log, no);

	if (!rc)
		rc = bytes_add_varint(log, changed);
	for (unsigned i = 0; !rc && i < n; i++)
		rc = add_value(log, &v[i]);
	if (rc)
		log->len = before;
	return rc;
}

static int read_value(struct reader *r, struct value *out)
{
	uint8_t head = reader_u8(r);
	uint64_t n = head >> TYPE_BITS;

	*out = (struct value){.type = (enum value_type)(head & TYPE_MASK)};
	if (n == INLINE) {
		n = reader_varint(r);
		if (!r->bad && n < INLINE)
			return -ERR_RANGE;
	}
	if (out->type == VALUE_NULL && n)
		return -ERR_RANGE;
	if (out->type == VALUE_INT)
		out->i = unzigzag(n);
	if (out->type == VALUE_BLOB || out->type == VALUE_TEXT) {
		out->p = n <= reader_left(r) ? reader_take(r, (size_t)n) : NULL;
		out->len = (size_t)n;
		if (!out->p)
			return -ERR_TRUNCATED;
	}
	return r->bad ? -ERR_TRUNCATED : 0;
}

int stmt_log_values(struct reader *r, struct value *out, unsigned n)
{
	int rc = 0;

	for (unsigned i = 0; !rc && i < n; i++)
		rc = read_value(r, &out[i]);
	return rc;
}
