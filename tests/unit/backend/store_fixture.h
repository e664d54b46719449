/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_fixture.h - a pool made by hand over "fault:mem:" places, segments of
 * known content, and hands to damage single files.
 */
#ifndef MENDFS_TESTS_STORE_FIXTURE_H
#define MENDFS_TESTS_STORE_FIXTURE_H

#include "unit/base/base_test.h"

#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rnd.h"
#include "base/workq.h"
#include "backend/compress.h"
#include "backend/drv_fault.h"
#include "backend/fragment.h"
#include "backend/store.h"

#define FIXTURE_MEMBERS	 12
#define FIXTURE_CLOSE_MS 2000

struct fixture {
	struct pool pool;
	struct store *store;
	char loc[FIXTURE_MEMBERS][64]; /* "fault:mem:..." */
	struct backend *hidden[FIXTURE_MEMBERS];
};

static inline void quiet(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

static inline const char *plain_loc(const struct fixture *f, unsigned slot)
{
	return f->loc[slot] + strlen("fault:");
}

/* A superblock that shows which member the place is. */
static inline void put_superblock(struct fixture *f, unsigned slot)
{
	struct superblock *sb = mem_zalloc(sizeof(*sb));
	struct bytes image = {0};
	struct driver *drv;
	struct drv_file *file;

	assert_non_null(sb);
	sb->pool = f->pool.id;
	sb->generation = 1;
	sb->geo = f->pool.geo;
	sb->n = f->pool.n;
	for (unsigned i = 0; i < sb->n; i++)
		sb->member[i].id = f->pool.member[i].id;
	assert_int_equal(superblock_encode(sb, slot, f->pool.keys, &image), 0);
	assert_int_equal(driver_attach(plain_loc(f, slot), &drv), 0);
	assert_int_equal(driver_open(drv, "mendfs.super.0",
				     DRV_WRITE | DRV_CREATE, &file),
			 0);
	assert_int_equal(driver_write(file, image.data, image.len, 0), 0);
	driver_close(file);
	driver_detach(drv);
	bytes_release(&image);
	mem_free(sb);
}

static inline struct fixture *fixture_new(unsigned n, unsigned k, unsigned m)
{
	static unsigned made;
	struct fixture *f = mem_zalloc(sizeof(*f));

	assert_non_null(f);
	assert_true(n <= FIXTURE_MEMBERS);
	log_use_sink(quiet, NULL);
	rnd_bytes(&f->pool.id, sizeof(f->pool.id));
	assert_int_equal(keyring_new(&f->pool.keys), 0);
	f->pool.geo = (struct geometry){.k = (uint8_t)k,
					.m = (uint8_t)m,
					.chunk_bytes = 128 << 10,
					.segment_bytes = 16 << 20,
					.cipher = CIPHER_AES_256_GCM,
					.level = COMPRESS_LEVEL_DEF};
	f->pool.n = n;
	made++;
	for (unsigned i = 0; i < n; i++) {
		struct member *one = &f->pool.member[i];

		rnd_bytes(&one->id, sizeof(one->id));
		snprintf(f->loc[i], sizeof(f->loc[i]), "fault:mem:store%u-%u",
			 made, i);
		assert_int_equal(backend_open(f->loc[i], 5000, &one->backend),
				 0);
	}
	for (unsigned i = 0; i < n; i++)
		put_superblock(f, i);
	assert_int_equal(store_new(&f->pool, &f->store), 0);
	return f;
}

static inline void fixture_free(struct fixture *f)
{
	store_free(f->store);
	for (unsigned i = 0; i < f->pool.n; i++) {
		struct member *one = &f->pool.member[i];

		fault_clear(f->loc[i]);
		backend_close(one->backend, FIXTURE_CLOSE_MS);
		backend_close(f->hidden[i], FIXTURE_CLOSE_MS);
		mem_driver_forget(plain_loc(f, i) + strlen("mem:"));
	}
	keyring_free(f->pool.keys);
	mem_free(f);
	log_use_sink(NULL, NULL);
}

/* Takes members out of the pool, bit per slot; 0 brings all back. */
static inline void hide(struct fixture *f, unsigned mask)
{
	for (unsigned i = 0; i < f->pool.n; i++) {
		struct backend **at = &f->pool.member[i].backend;

		if ((mask >> i & 1) && *at)
			f->hidden[i] = steal(at);
		else if (!(mask >> i & 1) && !*at)
			*at = steal(&f->hidden[i]);
	}
}

static inline void fault(struct fixture *f, unsigned slot, enum fault_kind kind,
			 unsigned ops, int err)
{
	struct fault_rule rule = {
		.kind = kind, .ops = ops, .prefix = "", .err = err};

	assert_int_equal(fault_add(f->loc[slot], &rule), 0);
}

/* ---- single files ---- */

static inline struct buf *file_read(const struct fixture *f, unsigned slot,
				    const char *name)
{
	struct drv_file *file;
	struct driver *drv;
	struct buf *b;
	uint64_t size;

	assert_int_equal(driver_attach(plain_loc(f, slot), &drv), 0);
	assert_int_equal(driver_open(drv, name, DRV_READ, &file), 0);
	assert_int_equal(driver_size(file, &size), 0);
	b = buf_new(size);
	assert_non_null(b);
	assert_int_equal(driver_read(file, b->data, size, 0), size);
	driver_close(file);
	driver_detach(drv);
	return b;
}

static inline void file_remove(const struct fixture *f, unsigned slot,
			       const char *name)
{
	struct driver *drv;

	assert_int_equal(driver_attach(plain_loc(f, slot), &drv), 0);
	assert_int_equal(driver_remove(drv, name), 0);
	driver_detach(drv);
}

static inline bool file_exists(const struct fixture *f, unsigned slot,
			       const char *name)
{
	struct drv_file *file;
	struct driver *drv;
	int rc;

	assert_int_equal(driver_attach(plain_loc(f, slot), &drv), 0);
	rc = driver_open(drv, name, DRV_READ, &file);
	if (rc == 0)
		driver_close(file);
	driver_detach(drv);
	return rc == 0;
}

/* Puts len bytes in the place of what is there, if anything. */
static inline void file_write(const struct fixture *f, unsigned slot,
			      const char *name, const void *data, size_t len)
{
	struct drv_file *file;
	struct driver *drv;
	int rc;

	assert_int_equal(driver_attach(plain_loc(f, slot), &drv), 0);
	rc = driver_remove(drv, name);
	assert_true(rc == 0 || rc == -ENOENT);
	assert_int_equal(driver_open(drv, name, DRV_WRITE | DRV_CREATE, &file),
			 0);
	assert_int_equal(driver_write(file, data, len, 0), 0);
	driver_close(file);
	driver_detach(drv);
}

static inline struct buf *frag_read(const struct fixture *f,
				    const struct seg_desc *d, unsigned i)
{
	char name[DRV_NAME_MAX + 1];

	frag_name(d, i, name);
	return file_read(f, d->home[i], name);
}

static inline void frag_write(const struct fixture *f, const struct seg_desc *d,
			      unsigned i, const struct buf *b, size_t len)
{
	char name[DRV_NAME_MAX + 1];

	frag_name(d, i, name);
	file_write(f, d->home[i], name, b->data, len);
}

static inline void frag_remove(const struct fixture *f,
			       const struct seg_desc *d, unsigned i)
{
	char name[DRV_NAME_MAX + 1];

	frag_name(d, i, name);
	file_remove(f, d->home[i], name);
}

static inline bool frag_exists(const struct fixture *f,
			       const struct seg_desc *d, unsigned i)
{
	char name[DRV_NAME_MAX + 1];

	frag_name(d, i, name);
	return file_exists(f, d->home[i], name);
}

static inline void frag_flip(const struct fixture *f, const struct seg_desc *d,
			     unsigned i, size_t at)
{
	struct buf *b = frag_read(f, d, i);

	assert_true(at < b->len);
	b->data[at] ^= 0x40;
	frag_write(f, d, i, b, b->len);
	buf_unref(b);
}

/* ---- segments of known content ---- */

#define SAMPLE_CHUNKS  160
#define SAMPLE_DATA_ID 77

struct sample {
	struct seg_build *b;
	struct seg_desc d;
	unsigned n;
	uint32_t chunk; /* plain bytes of each */
	struct chunk_ref ref[SAMPLE_CHUNKS];
};

/* Chunk i; every third one compresses. */
static inline void sample_fill(unsigned i, uint32_t len, uint8_t *out)
{
	uint64_t x = 0x9e3779b97f4a7c15u * (i + 1);

	for (uint32_t at = 0; at < len; at++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		out[at] = i % 3 == 2 ? (uint8_t)(at / 64 + i) : (uint8_t)x;
	}
}

static inline struct sample *sample_of(const struct seg_context *cx,
				       enum seg_kind kind, unsigned n,
				       uint32_t chunk)
{
	static uint64_t next_id = 0xabc000;
	struct sample *s = mem_zalloc(sizeof(*s));
	uint8_t *plain = mem_alloc(chunk);

	assert_non_null(s);
	assert_true(n <= SAMPLE_CHUNKS);
	s->n = n;
	s->chunk = chunk;
	assert_int_equal(seg_build_new(cx, kind, (struct seg_id){next_id++},
				       MAX(n, 1u) * chunk, NULL, &s->b),
			 0);
	for (unsigned i = 0; i < n; i++) {
		sample_fill(i, chunk, plain);
		assert_int_equal(seg_build_add(s->b, SAMPLE_DATA_ID,
					       (uint64_t)i * chunk, plain,
					       chunk, COMPRESS_LEVEL_DEF,
					       &s->ref[i]),
				 0);
	}
	mem_free(plain);
	return s;
}

static inline struct sample *sample_new(struct fixture *f, unsigned n,
					uint32_t chunk)
{
	struct seg_context cx;

	pool_seg_context(&f->pool, &cx);
	return sample_of(&cx, SEG_DATA, n, chunk);
}

static inline struct sample *sample_written(struct fixture *f, unsigned n,
					    uint32_t chunk)
{
	struct sample *s = sample_new(f, n, chunk);

	assert_int_equal(store_write(f->store, s->b, &s->d), 0);
	return s;
}

static inline void sample_free(struct sample *s)
{
	seg_build_free(s->b);
	mem_free(s);
}

/* Reads chunk i from the store; the result, and 0 only if it is right. */
static inline int sample_read(struct fixture *f, const struct sample *s,
			      unsigned i)
{
	uint8_t *plain = malloc(s->chunk), *want = malloc(s->chunk);
	int rc = store_read_chunk(f->store, &s->d, SAMPLE_DATA_ID,
				  (uint64_t)i * s->chunk, &s->ref[i], plain);

	if (rc == 0) {
		sample_fill(i, s->chunk, want);
		assert_memory_equal(plain, want, s->chunk);
	}
	free(plain);
	free(want);
	return rc;
}

static inline void sample_read_all(struct fixture *f, const struct sample *s)
{
	for (unsigned i = 0; i < s->n; i++)
		assert_int_equal(sample_read(f, s, i), 0);
}

/* Complete: every fragment is there, and right to the last bit. */
static inline void assert_complete(struct fixture *f, const struct seg_desc *d)
{
	enum frag_state state[EC_TOTAL_MAX];
	uint32_t seen = 0;

	assert_int_equal(store_check(f->store, d, true, state),
			 fragment_count(d));
	for (unsigned i = 0; i < fragment_count(d); i++) {
		assert_false(seen >> d->home[i] & 1);
		seen |= 1u << d->home[i];
	}
}

#endif
