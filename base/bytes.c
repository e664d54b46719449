/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

#include <errno.h>

#include "base/mem.h"

#define VARINT_MAX   10 /* ceil(64 / 7) */
#define FIRST_BYTES  64
#define HALF_OF_SIZE (SIZE_MAX / 2)

const uint8_t *reader_take(struct reader *r, size_t len)
{
	const uint8_t *taken = r->p;

	if (r->bad || len > reader_left(r)) {
		r->bad = true;
		return NULL;
	}
	r->p += len;
	return taken;
}

uint8_t reader_u8(struct reader *r)
{
	const uint8_t *p = reader_take(r, 1);

	return p ? *p : 0;
}

uint16_t reader_u16(struct reader *r)
{
	const uint8_t *p = reader_take(r, 2);

	return p ? get_le16(p) : 0;
}

uint32_t reader_u32(struct reader *r)
{
	const uint8_t *p = reader_take(r, 4);

	return p ? get_le32(p) : 0;
}

uint64_t reader_u64(struct reader *r)
{
	const uint8_t *p = reader_take(r, 8);

	return p ? get_le64(p) : 0;
}

static uint64_t bad_varint(struct reader *r)
{
	r->bad = true;
	return 0;
}

/*
 * Every number has exactly one spelling, so that what was authenticated by
 * its value is also what its bytes say.
 */
uint64_t reader_varint(struct reader *r)
{
	uint64_t v = 0;

	/* The tenth byte ends it, whatever it holds. */
	for (unsigned i = 0;; i++) {
		uint8_t b = reader_u8(r);

		if (r->bad)
			return 0;
		if (i == VARINT_MAX - 1 && b > 1)
			return bad_varint(r); /* above 2^64 - 1 */
		v |= (uint64_t)(b & 0x7f) << (7 * i);
		if (b & 0x80)
			continue;
		return b || !i ? v : bad_varint(r);
	}
}

void reader_bytes(struct reader *r, void *dst, size_t len)
{
	const uint8_t *p = reader_take(r, len);

	if (!len)
		return;
	if (p)
		memcpy(dst, p, len);
	else
		memset(dst, 0, len);
}

/* Room for len bytes, or NULL; once full, always full. */
static uint8_t *writer_take(struct writer *w, size_t len)
{
	uint8_t *taken = w->p;

	if (w->full || len > (size_t)(w->end - w->p)) {
		w->full = true;
		return NULL;
	}
	w->p += len;
	return taken;
}

void writer_u8(struct writer *w, uint8_t v)
{
	writer_bytes(w, &v, 1);
}

void writer_u16(struct writer *w, uint16_t v)
{
	v = htole16(v);
	writer_bytes(w, &v, sizeof(v));
}

void writer_u32(struct writer *w, uint32_t v)
{
	v = htole32(v);
	writer_bytes(w, &v, sizeof(v));
}

void writer_u64(struct writer *w, uint64_t v)
{
	v = htole64(v);
	writer_bytes(w, &v, sizeof(v));
}

static size_t varint_encode(uint8_t out[VARINT_MAX], uint64_t v)
{
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		out[n++] = (uint8_t)v | 0x80;
	out[n++] = (uint8_t)v;
	return n;
}

void writer_varint(struct writer *w, uint64_t v)
{
	uint8_t code[VARINT_MAX];

	writer_bytes(w, code, varint_encode(code, v));
}

void writer_bytes(struct writer *w, const void *src, size_t len)
{
	uint8_t *p = writer_take(w, len);

	if (p && len)
		memcpy(p, src, len);
}

void writer_zero(struct writer *w, size_t len)
{
	uint8_t *p = writer_take(w, len);

	if (p && len)
		memset(p, 0, len);
}

int bytes_reserve(struct bytes *b, size_t more)
{
	size_t need, cap;
	uint8_t *data;

	if (more <= b->cap - b->len)
		return 0;
	if (__builtin_add_overflow(b->len, more, &need))
		return -ENOMEM;
	cap = b->cap < HALF_OF_SIZE ? 2 * b->cap : need;
	cap = MAX(MAX(cap, need), (size_t)FIRST_BYTES);
	data = mem_realloc(b->data, cap);
	if (!data)
		return -ENOMEM;
	b->data = data;
	b->cap = cap;
	return 0;
}

int bytes_add(struct bytes *b, const void *src, size_t len)
{
	int rc = bytes_reserve(b, len);

	if (rc || !len)
		return rc;
	memcpy(b->data + b->len, src, len);
	b->len += len;
	return 0;
}

int bytes_add_u8(struct bytes *b, uint8_t v)
{
	return bytes_add(b, &v, 1);
}

int bytes_add_u32(struct bytes *b, uint32_t v)
{
	v = htole32(v);
	return bytes_add(b, &v, sizeof(v));
}

int bytes_add_u64(struct bytes *b, uint64_t v)
{
	v = htole64(v);
	return bytes_add(b, &v, sizeof(v));
}

int bytes_add_varint(struct bytes *b, uint64_t v)
{
	uint8_t code[VARINT_MAX];

	return bytes_add(b, code, varint_encode(code, v));
}

void bytes_release(struct bytes *b)
{
	mem_free(b->data);
	*b = (struct bytes){0};
}

void hex_encode(char *out, const void *p, size_t len)
{
	static const char digit[] = "0123456789abcdef";
	const uint8_t *src = p;

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digit[src[i] >> 4];
		out[2 * i + 1] = digit[src[i] & 15];
	}
	out[2 * len] = '\0';
}

/* 0..15, or -1. */
static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int hex_decode(void *out, size_t len, const char *hex)
{
	uint8_t *dst = out;

	for (size_t i = 0; i < len; i++) {
		int high = hex_value(hex[2 * i]);
		/* Not read behind an early end of the string. */
		int low = high < 0 ? -1 : hex_value(hex[2 * i + 1]);

		if (low < 0)
			return -EINVAL;
		dst[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}
