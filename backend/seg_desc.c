/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoded: u64 segment, u64 stripe, u8 kind, k, m, u32 key epoch, payload
 * length, table position, 32 bytes salt, then k times u32 bound, then k+m
 * times u8 home.
 */
#include "backend/segment.h"

int seg_desc_encode(const struct seg_desc *d, struct bytes *out)
{
	uint8_t raw[SEG_DESC_MAX];
	struct writer w = writer_of(raw, sizeof(raw));

	writer_u64(&w, d->id.v);
	writer_u64(&w, d->stripe.v);
	writer_u8(&w, (uint8_t)d->kind);
	writer_u8(&w, d->k);
	writer_u8(&w, d->m);
	writer_u32(&w, d->key_epoch);
	writer_u32(&w, d->payload_len);
	writer_u32(&w, d->table_pos);
	writer_bytes(&w, d->salt, sizeof(d->salt));
	for (unsigned i = 0; i < d->k; i++)
		writer_u32(&w, d->bound[i]);
	writer_bytes(&w, d->home, (size_t)d->k + d->m);
	return bytes_add(out, raw, writer_len(&w));
}

static bool geometry_valid(const struct seg_desc *d)
{
	if (d->stripe.v == 0)
		return d->k == 0 && d->m == 0;
	return d->k >= 1 && d->k <= EC_DATA_MAX && d->m <= EC_PARITY_MAX;
}

static bool head_valid(const struct seg_desc *d)
{
	return (d->kind == SEG_DATA || d->kind == SEG_INDEX) &&
	       geometry_valid(d) && d->payload_len <= SEG_PAYLOAD_MAX &&
	       d->table_pos <= d->payload_len;
}

static bool lists_valid(const struct seg_desc *d)
{
	uint32_t end = 0;

	for (unsigned i = 0; i < d->k; i++) {
		if (d->bound[i] < end)
			return false;
		end = d->bound[i];
	}
	for (unsigned i = 0; i < (unsigned)d->k + d->m; i++) {
		if (d->home[i] >= EC_TOTAL_MAX)
			return false;
	}
	return d->k == 0 || end == d->payload_len;
}

int seg_desc_decode(struct reader *r, struct seg_desc *out)
{
	struct seg_desc d = {0};

	d.id.v = reader_u64(r);
	d.stripe.v = reader_u64(r);
	d.kind = reader_u8(r);
	d.k = reader_u8(r);
	d.m = reader_u8(r);
	d.key_epoch = reader_u32(r);
	d.payload_len = reader_u32(r);
	d.table_pos = reader_u32(r);
	reader_bytes(r, d.salt, sizeof(d.salt));
	if (r->bad)
		return -ERR_TRUNCATED;
	if (!head_valid(&d))
		return -ERR_RANGE;
	for (unsigned i = 0; i < d.k; i++)
		d.bound[i] = reader_u32(r);
	reader_bytes(r, d.home, (size_t)d.k + d.m);
	if (r->bad)
		return -ERR_TRUNCATED;
	if (!lists_valid(&d))
		return -ERR_RANGE;
	*out = d;
	return 0;
}
