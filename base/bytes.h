/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bytes.h - little-endian numbers, and bounds-checked readers and writers.
 *
 * Every parser of a format that a backend holds reads through struct reader:
 * it never reads past the end, and one failed get makes all later ones fail
 * (they then return 0), so a parser checks once at the end. A writer does the
 * same for a fixed buffer. Plain values; no locks.
 */
#ifndef MENDFS_BASE_BYTES_H
#define MENDFS_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <endian.h>

static inline uint16_t get_le16(const void *p)
{
	uint16_t v;
	memcpy(&v, p, 2);
	return le16toh(v);
}
static inline uint32_t get_le32(const void *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return le32toh(v);
}
static inline uint64_t get_le64(const void *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
	return le64toh(v);
}
static inline void put_le16(void *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, 2);
}
static inline void put_le32(void *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, 4);
}
static inline void put_le64(void *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, 8);
}

struct reader {
	const uint8_t *p;   /* next byte */
	const uint8_t *end; /* one past the last */
	bool bad;	    /* a get went past the end or a varint was ill */
};

struct writer {
	uint8_t *start;
	uint8_t *p;
	uint8_t *end;
	bool full; /* a put did not fit; nothing was written by it */
};

static inline struct reader reader_of(const void *p, size_t len)
{
	/* Nothing may come as (NULL, 0); reader_take's NULL means bad. */
	const uint8_t *start = p ? p : (const void *)"";

	return (struct reader){.p = start, .end = start + len};
}
static inline size_t reader_left(const struct reader *r)
{
	return (size_t)(r->end - r->p);
}
/* len bytes inside the reader's memory, or NULL (and r->bad). */
const uint8_t *reader_take(struct reader *r, size_t len);
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
/* LEB128, at most 10 bytes; an overlong or overflowing one is bad. */
uint64_t reader_varint(struct reader *r);
/* Copies len bytes to dst (zeros when bad). */
void reader_bytes(struct reader *r, void *dst, size_t len);

static inline struct writer writer_of(void *p, size_t len)
{
	return (struct writer){.start = p, .p = p, .end = (uint8_t *)p + len};
}
static inline size_t writer_len(const struct writer *w)
{
	return (size_t)(w->p - w->start);
}
void writer_u8(struct writer *w, uint8_t v);
void writer_u16(struct writer *w, uint16_t v);
void writer_u32(struct writer *w, uint32_t v);
void writer_u64(struct writer *w, uint64_t v);
void writer_varint(struct writer *w, uint64_t v);
void writer_bytes(struct writer *w, const void *src, size_t len);
/* len zero bytes */
void writer_zero(struct writer *w, size_t len);

/*
 * A byte string that grows: for records and documents of unknown length.
 * Zero-initialise; bytes_release when done. Adds return 0 or -ENOMEM and
 * leave the content as it was on failure.
 */
struct bytes {
	uint8_t *data;
	size_t len;
	size_t cap;
};
int bytes_reserve(struct bytes *b, size_t more);
int bytes_add(struct bytes *b, const void *src, size_t len);
int bytes_add_u8(struct bytes *b, uint8_t v);
int bytes_add_u32(struct bytes *b, uint32_t v);
int bytes_add_u64(struct bytes *b, uint64_t v);
int bytes_add_varint(struct bytes *b, uint64_t v);
void bytes_release(struct bytes *b);

/* Lower-case hex of len bytes into out (2 * len + 1 bytes). */
void hex_encode(char *out, const void *p, size_t len);
/*
 * Exactly len bytes from 2 * len hex digits of either case; -EINVAL otherwise
 * (out is then undefined). What follows the digits is not looked at, a string
 * that ends too early is not read past its end.
 */
int hex_decode(void *out, size_t len, const char *hex);

#endif
