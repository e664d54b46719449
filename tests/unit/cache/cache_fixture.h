/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_fixture.h - a store in memory for the tests of the chunk cache.
 *
 * A store object is an array of bytes and a size. The fill function can be told
 * to fail, and to stop at a gate until the test opens it; it poisons what it
 * does not fill and aborts when two fills of one chunk overlap.
 */
#ifndef MENDFS_TESTS_CACHE_FIXTURE_H
#define MENDFS_TESTS_CACHE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/rnd.h"
#include "base/sync.h"
#include "base/workq.h"
#include "cache/cache.h"

#define KIB    1024u
#define MIB    (1024u * 1024u)
#define CHUNK  (16u * KIB)
#define BUDGET (8u * MIB)

#define FIX_OBJECTS 8
#define FIX_SLOTS   1024
#define FIX_POISON  0xee
/* Objects from here on have no end: every byte is fix_pattern. */
#define FIX_ENDLESS 1000

struct fix_object {
	uint8_t *data; /* cap bytes */
	size_t cap;
	size_t size;
};

struct fixture {
	struct cache *c;
	struct mutex mu; /* the store; the owner's lock towards the cache */
	struct fix_object obj[FIX_OBJECTS];
	uint32_t chunk_bytes;
	int fill_rc;	    /* < 0: fills fail */
	unsigned fill_odds; /* fail only one in so many; 0: all */
	uint64_t fills;
	unsigned wanted; /* calls of want_writeback */
	/* Fills of gate_obj stop at a gate while it is shut. */
	struct cond gate_cv;
	uint64_t gate_obj;
	bool gate_shut;
	unsigned at_gate;
	uint8_t filling[FIX_OBJECTS][FIX_SLOTS];
};

static inline uint8_t fix_pattern(uint64_t obj, uint64_t off)
{
	return (uint8_t)(off * 7 + (off >> 8) * 3 + obj * 13 + 1);
}

static inline void fix_pass_gate(struct fixture *f, uint64_t obj)
{
	if (obj != f->gate_obj || !f->gate_shut)
		return;
	f->at_gate++;
	cond_broadcast(&f->gate_cv);
	while (f->gate_shut)
		cond_wait(&f->gate_cv, &f->mu);
	f->at_gate--;
}

static inline bool fix_must_fail(struct fixture *f)
{
	return f->fill_rc && (!f->fill_odds || rnd_below(f->fill_odds) == 0);
}

static inline int64_t fix_fill_endless(struct fixture *f, uint64_t obj,
				       uint64_t start, uint8_t *buf)
{
	for (uint32_t i = 0; i < f->chunk_bytes; i++)
		buf[i] = fix_pattern(obj, start + i);
	return f->chunk_bytes;
}

/* The store as it is before the gate: that is what a late fill answers. */
static inline int64_t fix_fill_from(struct fixture *f, uint64_t obj,
				    uint64_t start, uint8_t *buf)
{
	const struct fix_object *o;
	size_t n;

	if (obj >= FIX_ENDLESS)
		return fix_fill_endless(f, obj, start, buf);
	o = &f->obj[obj];
	memset(buf, FIX_POISON, f->chunk_bytes);
	if (start >= o->size)
		return 0;
	n = MIN(o->size - start, f->chunk_bytes);
	memcpy(buf, o->data + start, n);
	return (int64_t)n;
}

static inline int64_t fix_fill(void *ctx, uint64_t obj, uint64_t chunk,
			       void *buf)
{
	struct fixture *f = ctx;
	uint8_t *busy = &f->filling[obj % FIX_OBJECTS][chunk % FIX_SLOTS];
	bool exact = obj < FIX_OBJECTS && chunk < FIX_SLOTS;
	int64_t n;

	MUTEX_GUARD(&f->mu);
	MUST(!exact || !*busy);
	*busy = exact;
	f->fills++;
	n = fix_fill_from(f, obj, chunk * f->chunk_bytes, buf);
	if (fix_must_fail(f))
		n = f->fill_rc;
	fix_pass_gate(f, obj);
	*busy = false;
	return n;
}

static inline void fix_want(void *ctx)
{
	struct fixture *f = ctx;

	MUTEX_GUARD(&f->mu);
	f->wanted++;
}

static const struct cache_ops fix_ops = {
	.fill = fix_fill,
	.want_writeback = fix_want,
};

static inline struct cache_config fix_config(struct fixture *f)
{
	return (struct cache_config){
		.budget_bytes = BUDGET,
		.chunk_bytes = f->chunk_bytes,
		.ops = &fix_ops,
		.ctx = f,
	};
}

static inline void fix_init(struct fixture *f, uint32_t chunk_bytes)
{
	memset(f, 0, sizeof(*f));
	f->chunk_bytes = chunk_bytes;
	f->gate_obj = CACHE_ANY;
	mutex_init(&f->mu);
	cond_init(&f->gate_cv);
}

static inline void fix_start(struct fixture *f)
{
	struct cache_config cfg;

	fix_init(f, CHUNK);
	cfg = fix_config(f);
	assert_int_equal(cache_new(&cfg, &f->c), 0);
}

static inline void fix_stop(struct fixture *f)
{
	cache_free(f->c);
	for (unsigned i = 0; i < FIX_OBJECTS; i++)
		free(f->obj[i].data);
	cond_destroy(&f->gate_cv);
	mutex_destroy(&f->mu);
}

/* Room for `size` bytes in the store; content zero where new. */
static inline void fix_store_reserve(struct fixture *f, uint64_t obj,
				     size_t size)
{
	struct fix_object *o = &f->obj[obj];

	if (size <= o->cap)
		return;
	o->data = realloc(o->data, size);
	MUST(o->data);
	memset(o->data + o->cap, 0, size - o->cap);
	o->cap = size;
}

static inline void fix_store_write(struct fixture *f, uint64_t obj,
				   uint64_t off, const void *src, size_t len)
{
	struct fix_object *o = &f->obj[obj];

	fix_store_reserve(f, obj, off + len);
	memcpy(o->data + off, src, len);
	o->size = MAX(o->size, off + len);
}

static inline void fix_store_zero(struct fixture *f, uint64_t obj, uint64_t off,
				  uint64_t len)
{
	struct fix_object *o = &f->obj[obj];

	if (off < o->cap)
		memset(o->data + off, 0, MIN(len, o->cap - off));
}

static inline void fix_store_truncate(struct fixture *f, uint64_t obj,
				      uint64_t size)
{
	struct fix_object *o = &f->obj[obj];

	fix_store_zero(f, obj, size, UINT64_MAX);
	o->size = MIN(o->size, size);
}

/* An object of `size` pattern bytes in the store. */
static inline void fix_store_pattern(struct fixture *f, uint64_t obj,
				     size_t size)
{
	fix_store_reserve(f, obj, size);
	for (size_t i = 0; i < size; i++)
		f->obj[obj].data[i] = fix_pattern(obj, i);
	f->obj[obj].size = size;
}

/* As the owner does: in the store if the piece is current, else left out. */
static inline int fix_store_piece(struct fixture *f,
				  const struct cache_piece *p,
				  const void *bytes)
{
	uint64_t chunk = p->off / f->chunk_bytes * f->chunk_bytes;

	if (!cache_current(f->c, p))
		return -ESTALE;
	if (p->whole)
		fix_store_zero(f, p->obj, chunk, f->chunk_bytes);
	fix_store_write(f, p->obj, p->off, bytes, p->len);
	return 0;
}

/* Writes back everything of obj that can be collected. Pieces written. */
static inline unsigned fix_flush(struct fixture *f, uint64_t obj)
{
	struct cache_piece p[32];
	unsigned n, total = 0;

	while ((n = cache_collect(f->c, obj, UINT64_MAX, MIB, p, 32))) {
		for (unsigned i = 0; i < n; i++) {
			uint8_t *bytes = malloc(p[i].len);
			int rc = cache_copy(f->c, &p[i], bytes);

			MUTEX_GUARD(&f->mu);
			if (!rc)
				rc = fix_store_piece(f, &p[i], bytes);
			cache_complete(f->c, &p[i], 1, rc);
			free(bytes);
		}
		total += n;
	}
	return total;
}

static inline void fix_write(struct fixture *f, uint64_t obj, uint64_t obj_size,
			     uint64_t off, size_t len, int byte)
{
	uint8_t *src = malloc(len);
	size_t done = 0;

	memset(src, byte, len);
	assert_int_equal(cache_write(f->c, obj, obj_size, off, src, len, &done),
			 0);
	assert_int_equal(done, len);
	free(src);
	cache_check(f->c);
}

/* All of [off, off+len) must read as `byte`. */
static inline void fix_expect(struct fixture *f, uint64_t obj,
			      uint64_t obj_size, uint64_t off, size_t len,
			      int byte)
{
	uint8_t *dst = malloc(len);

	memset(dst, FIX_POISON, len);
	assert_int_equal(cache_read(f->c, obj, obj_size, off, len, dst), 0);
	for (size_t i = 0; i < len; i++) {
		if (dst[i] != (uint8_t)byte)
			fail_msg("obj %llu off %llu: %u, not %d",
				 (unsigned long long)obj,
				 (unsigned long long)(off + i), dst[i], byte);
	}
	free(dst);
	cache_check(f->c);
}

static inline struct cache_stats fix_stats(struct fixture *f)
{
	struct cache_stats s;

	cache_get_stats(f->c, &s);
	return s;
}

static inline void fix_shut_gate(struct fixture *f, uint64_t obj)
{
	MUTEX_GUARD(&f->mu);
	f->gate_obj = obj;
	f->gate_shut = true;
}

static inline void fix_open_gate(struct fixture *f)
{
	MUTEX_GUARD(&f->mu);
	f->gate_shut = false;
	cond_broadcast(&f->gate_cv);
}

static inline void fix_await_gate(struct fixture *f, unsigned n)
{
	MUTEX_GUARD(&f->mu);
	while (f->at_gate < n)
		cond_wait(&f->gate_cv, &f->mu);
}

#endif
