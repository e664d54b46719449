/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_kit.h - pools in memory for the tests of pool_*.c: places that can be
 * saved, hidden, swapped and compared as a whole.
 */
#ifndef MENDFS_TESTS_POOL_KIT_H
#define MENDFS_TESTS_POOL_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after those it stands on */
#include <cmocka.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rnd.h"
#include "backend/compress.h"
#include "backend/driver.h"
#include "backend/drv_fault.h"
#include "backend/keyring.h"
#include "backend/pool.h"
#include "backend/pool_impl.h"

#define KIT_MAX	 40
#define KIT_PASS "correct horse"
#define KIT_SEED 20261120u

struct kit {
	unsigned n;
	char name[KIT_MAX][128]; /* locations */
	const char *at[KIT_MAX];
};

static inline void kit_quiet(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

static inline int kit_start(void **state)
{
	static const struct kdf_cost cheap = {
		.time = 1, .mem_kib = KDF_MEM_KIB_MIN, .lanes = 1};

	(void)state;
	printf("seed %u\n", KIT_SEED);
	rnd_seed(KIT_SEED);
	kdf_override(&cheap);
	log_use_sink(kit_quiet, NULL);
	return 0;
}

static inline int kit_stop(void **state)
{
	(void)state;
	kdf_override(NULL);
	rnd_unseed();
	log_use_sink(NULL, NULL);
	return 0;
}

/* n fresh places named after the test: <prefix>mem:<test>-<letter>. */
static inline void kit_init(struct kit *k, const char *prefix, const char *test,
			    unsigned n)
{
	k->n = n;
	for (unsigned i = 0; i < n; i++) {
		snprintf(k->name[i], sizeof(k->name[i]), "%smem:%s-%c", prefix,
			 test, 'a' + (int)i);
		k->at[i] = k->name[i];
	}
}

static inline void kit_forget(struct kit *k)
{
	for (unsigned i = 0; i < k->n; i++)
		mem_driver_forget(driver_location_path(k->at[i]));
}

static inline struct geometry kit_geometry(unsigned k, unsigned m)
{
	return (struct geometry){.k = (uint8_t)k,
				 .m = (uint8_t)m,
				 .chunk_bytes = 128u << 10,
				 .segment_bytes = 16u << 20,
				 .cipher = CIPHER_AES_256_GCM,
				 .level = COMPRESS_LEVEL_DEF};
}

static inline int kit_create(const struct kit *k, unsigned m, bool force,
			     struct diag *diag, struct pool **out)
{
	struct pool_create_options o = {
		.location = k->at,
		.n = k->n,
		.geo = kit_geometry(k->n - m, m),
		.label = "kit",
		.pass = KIT_PASS,
		.pass_len = strlen(KIT_PASS),
		.force = force,
	};

	return pool_create(&o, diag, out);
}

static inline void kit_publish(struct pool *p)
{
	bool all;

	assert_true(pool_publish(p, &all) > 0);
}

/* A pool with one epoch and one superblock on each place, closed. */
static inline void kit_make(const struct kit *k, unsigned m)
{
	struct diag d = DIAG_INIT;
	struct pool *p;

	if (kit_create(k, m, false, &d, &p))
		fail_msg("create: %s", d.text);
	assert_int_equal(pool_begin_epoch(p), 0);
	kit_publish(p);
	pool_close(p);
}

struct kit_open {
	const char *pass; /* NULL: KIT_PASS */
	bool read_only;
	uint64_t deadline_ms;
};

static inline int kit_open_list(const char *const *at, unsigned n,
				struct kit_open ko, struct diag *diag,
				struct pool **out)
{
	const char *pass = ko.pass ? ko.pass : KIT_PASS;
	struct pool_open_options o = {
		.location = at,
		.n = n,
		.pass = pass,
		.pass_len = strlen(pass),
		.read_only = ko.read_only,
		.deadline_ms = ko.deadline_ms,
	};

	return pool_open(&o, diag, out);
}

static inline int kit_open_one(const char *at, struct diag *diag,
			       struct pool **out)
{
	return kit_open_list(&at, 1, (struct kit_open){0}, diag, out);
}

/* Opens by one place; it must work. */
static inline struct pool *kit_must_open(const char *at)
{
	struct diag d = DIAG_INIT;
	struct pool *p;

	if (kit_open_one(at, &d, &p))
		fail_msg("open: %s", d.text);
	return p;
}

/* One more mount: epoch, superblock, end. */
static inline void kit_mount(const char *at)
{
	struct pool *p = kit_must_open(at);

	assert_int_equal(pool_begin_epoch(p), 0);
	kit_publish(p);
	pool_close(p);
}

/* ---- places as a whole ---- */

#define KIT_FILES 128

struct kit_file {
	char name[DRV_NAME_MAX + 1];
	uint8_t *data;
	size_t len;
};

/* Everything in a place, sorted by name. */
struct kit_image {
	unsigned n;
	struct kit_file file[KIT_FILES];
};

static inline struct driver *kit_attach(const char *location)
{
	struct driver *d;

	/* Round the rules of a fault driver. */
	if (!strncmp(location, "fault:", 6))
		location += 6;
	assert_int_equal(driver_attach(location, &d), 0);
	return d;
}

static inline int kit_note(void *arg, const char *name, uint64_t size)
{
	struct kit_image *im = arg;

	if (size == UINT64_MAX)
		return 0;
	assert_true(im->n < KIT_FILES);
	snprintf(im->file[im->n].name, sizeof(im->file[0].name), "%s", name);
	im->file[im->n++].len = size;
	return 0;
}

static inline int kit_by_name(const void *a, const void *b)
{
	return strcmp(((const struct kit_file *)a)->name,
		      ((const struct kit_file *)b)->name);
}

static inline void kit_load_file(struct driver *d, struct kit_file *f)
{
	struct drv_file *h;

	assert_int_equal(driver_open(d, f->name, DRV_READ, &h), 0);
	f->data = malloc(f->len + 1);
	assert_non_null(f->data);
	assert_int_equal(driver_read(h, f->data, f->len, 0), (int64_t)f->len);
	driver_close(h);
}

/* Top folder only: superblocks, lock and claims are there. */
static inline struct kit_image *kit_load(const char *location)
{
	struct kit_image *im = calloc(1, sizeof(*im));
	struct driver *d = kit_attach(location);

	assert_non_null(im);
	assert_int_equal(driver_list(d, "", kit_note, im), 0);
	qsort(im->file, im->n, sizeof(im->file[0]), kit_by_name);
	for (unsigned i = 0; i < im->n; i++)
		kit_load_file(d, &im->file[i]);
	driver_detach(d);
	return im;
}

static inline void kit_image_free(struct kit_image *im)
{
	for (unsigned i = 0; i < im->n; i++)
		free(im->file[i].data);
	free(im);
}

static inline void kit_assert_same(const struct kit_image *a,
				   const struct kit_image *b)
{
	assert_int_equal(a->n, b->n);
	for (unsigned i = 0; i < a->n; i++) {
		assert_string_equal(a->file[i].name, b->file[i].name);
		assert_int_equal(a->file[i].len, b->file[i].len);
		assert_memory_equal(a->file[i].data, b->file[i].data,
				    a->file[i].len);
	}
}

static inline struct kit_file *kit_find(struct kit_image *im, const char *name)
{
	for (unsigned i = 0; i < im->n; i++)
		if (!strcmp(im->file[i].name, name))
			return &im->file[i];
	return NULL;
}

static inline bool kit_has(const char *location, const char *name)
{
	struct kit_image *im = kit_load(location);
	bool has = kit_find(im, name) != NULL;

	kit_image_free(im);
	return has;
}

static inline void kit_put(const char *location, const char *name,
			   const void *data, size_t len)
{
	struct driver *d = kit_attach(location);
	struct drv_file *h;
	int rc = driver_remove(d, name);

	assert_true(!rc || rc == -ENOENT);
	assert_int_equal(driver_open(d, name, DRV_WRITE | DRV_CREATE, &h), 0);
	if (len)
		assert_int_equal(driver_write(h, data, len, 0), 0);
	assert_int_equal(driver_sync(h), 0);
	driver_close(h);
	driver_detach(d);
}

static inline void kit_remove(const char *location, const char *name)
{
	struct driver *d = kit_attach(location);

	assert_int_equal(driver_remove(d, name), 0);
	driver_detach(d);
}

/* Makes the place hold exactly this. */
static inline void kit_store(const char *location, const struct kit_image *im)
{
	struct kit_image *old = kit_load(location);

	for (unsigned i = 0; i < old->n; i++)
		kit_remove(location, old->file[i].name);
	kit_image_free(old);
	for (unsigned i = 0; im && i < im->n; i++)
		kit_put(location, im->file[i].name, im->file[i].data,
			im->file[i].len);
}

/* Empties the place, as when its disk is not mounted. */
static inline struct kit_image *kit_hide(const char *location)
{
	struct kit_image *im = kit_load(location);

	kit_store(location, NULL);
	return im;
}

static inline void kit_show(const char *location, struct kit_image *im)
{
	kit_store(location, im);
	kit_image_free(im);
}

/* Flips a bit of one file. */
static inline void kit_damage(const char *location, const char *name,
			      size_t off)
{
	struct kit_image *im = kit_load(location);
	struct kit_file *f = kit_find(im, name);

	assert_non_null(f);
	assert_true(off < f->len);
	f->data[off] ^= 0x10;
	kit_put(location, name, f->data, f->len);
	kit_image_free(im);
}

#endif
