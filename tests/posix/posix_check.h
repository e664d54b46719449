/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix_check.h - more of posix_kit.h: set-up of a test with an open volume,
 * a seed, and a look below the surface.
 */
#ifndef MENDFS_TESTS_POSIX_CHECK_H
#define MENDFS_TESTS_POSIX_CHECK_H

#include "posix_kit.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rnd.h"
#include "fs/volume_impl.h"

#define KIT_KIB	  1024u
#define KIT_MIB	  (1024u * KIT_KIB)
#define KIT_CHUNK (128 * KIT_KIB) /* of kit_make */
#define KIT_SLOT  (8 * KIT_CHUNK)

static inline void kit_quiet(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

/* MENDFS_TEST_SEED or the constant; printed. */
static inline uint64_t kit_seed(uint64_t usual)
{
	const char *text = getenv("MENDFS_TEST_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : usual;

	printf("MENDFS_TEST_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

/* A generator of its own for each model, so that keys and salts drawn by the
 * volume (and its threads) do not change what a seed does. */
struct dice {
	uint64_t state;
};
static inline uint64_t dice_roll(struct dice *d)
{
	uint64_t x = d->state += 0x9e3779b97f4a7c15ULL;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}
static inline uint64_t dice_below(struct dice *d, uint64_t bound)
{
	return dice_roll(d) % bound;
}

/* ---- set-up ---- */

static inline int kit_start(void **state)
{
	struct kit *k = calloc(1, sizeof(*k));

	if (!getenv("MENDFS_TEST_LOG"))
		log_use_sink(kit_quiet, NULL);
	kit_make(k);
	kit_open(k);
	*state = k;
	return 0;
}

static inline int kit_stop(void **state)
{
	struct kit *k = *state;

	kit_end(k);
	free(k);
	log_use_sink(NULL, NULL);
	return 0;
}

#define WITH_KIT(test) \
	cmocka_unit_test_setup_teardown(test, kit_start, kit_stop)

/* ---- rules between the tables ---- */

static inline void kit_tell(void *arg, const char *code, const char *text)
{
	(void)arg;
	printf("finding %s: %s\n", code, text);
}

/* Everything is consistent, in memory and in the index. */
static inline void kit_sound(struct kit *k)
{
	OK(volume_sync(k->v));
	cache_check(k->v->cache);
	assert_int_equal(index_check(k->v->ix, kit_tell, NULL), 0);
}

/* Fragments of data segments in all folders. */
static inline int kit_count_fragment(void *arg, const char *name, uint64_t size)
{
	(void)name;
	*(unsigned *)arg += size != UINT64_MAX;
	return 0;
}

static inline unsigned kit_fragments(struct kit *k)
{
	unsigned n = 0;

	for (int i = 0; i < KIT_FOLDERS; i++) {
		struct driver *d;

		OK(driver_attach(k->location[i] + strlen("fault:"), &d));
		for (unsigned x = 0; x < 256; x++) {
			char folder[16];

			snprintf(folder, sizeof(folder), "data/%02x", x);
			OK(driver_list(d, folder, kit_count_fragment, &n));
		}
		driver_detach(d);
	}
	return n;
}

/* ---- shorthand ---- */

static inline struct attr kit_attr(struct kit *k, uint64_t ino)
{
	struct attr a;

	OK(posix_getattr(k->v, ino, &a));
	return a;
}

/* Field by field: there is padding. */
static inline void kit_same_attr(const struct attr *a, const struct attr *b)
{
	assert_int_equal(a->ino, b->ino);
	assert_int_equal(a->mode, b->mode);
	assert_int_equal(a->nlink, b->nlink);
	assert_int_equal(a->uid, b->uid);
	assert_int_equal(a->gid, b->gid);
	assert_int_equal(a->rdev, b->rdev);
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->blocks, b->blocks);
	assert_int_equal(a->atime_ns, b->atime_ns);
	assert_int_equal(a->mtime_ns, b->mtime_ns);
	assert_int_equal(a->ctime_ns, b->ctime_ns);
	assert_int_equal(a->btime_ns, b->btime_ns);
	assert_int_equal(a->generation, b->generation);
}

static inline int kit_try_lookup(struct kit *k, uint64_t parent,
				 const char *name)
{
	struct attr a;

	return posix_lookup(k->v, parent, name, &a);
}

static inline bool kit_has(struct kit *k, uint64_t parent, const char *name)
{
	int rc = kit_try_lookup(k, parent, name);

	assert_true(rc == 0 || rc == -ENOENT);
	return rc == 0;
}

static inline int kit_try_mk(struct kit *k, uint64_t parent, const char *name,
			     uint32_t mode)
{
	struct create_spec s = {.mode = mode,
				.target = S_ISLNK(mode) ? "target" : NULL};
	struct attr a;

	return posix_make(k->v, &kit_root, parent, name, &s, &a);
}

static inline uint64_t kit_symlink(struct kit *k, uint64_t parent,
				   const char *name, const char *target)
{
	struct create_spec s = {.mode = S_IFLNK | 0777, .target = target};
	struct attr a;

	OK(posix_make(k->v, &kit_root, parent, name, &s, &a));
	return a.ino;
}

static inline struct file *kit_fopen(struct kit *k, uint64_t ino, int flags)
{
	struct file *f;

	OK(posix_open(k->v, ino, flags, &f));
	return f;
}

static inline int kit_set_size(struct kit *k, uint64_t ino, uint64_t size)
{
	struct attr_change c = {.set = SET_SIZE, .size = size};
	struct attr a;

	return posix_setattr(k->v, ino, &c, &a);
}

static inline uint64_t kit_inodes(struct kit *k)
{
	struct space s;

	OK(posix_statfs(k->v, &s));
	return s.inodes;
}

static inline void kit_reopen(struct kit *k)
{
	kit_close(k);
	kit_open(k);
}

static inline void kit_recrash(struct kit *k)
{
	kit_crash(k);
	kit_open(k);
}

/* Hides folder i, or shows all again. */
static inline void kit_hide(struct kit *k, int i)
{
	struct fault_rule gone = {
		.kind = FAULT_VANISH, .ops = FAULT_OP_ALL, .prefix = ""};

	OK(fault_add(k->location[i], &gone));
}

static inline void kit_fault_all(struct kit *k, struct fault_rule rule)
{
	for (int i = 0; i < KIT_FOLDERS; i++)
		OK(fault_add(k->location[i], &rule));
}

static inline void kit_clear(struct kit *k)
{
	for (int i = 0; i < KIT_FOLDERS; i++)
		fault_clear(k->location[i]);
}

static inline uint64_t kit_new_file(struct kit *k, const char *name)
{
	return kit_mk(k, ROOT_INO, name, S_IFREG | 0644);
}

static inline void kit_expect_zero(struct kit *k, uint64_t ino, uint64_t off,
				   size_t len)
{
	uint8_t *got = malloc(len);
	struct file *f = kit_fopen(k, ino, O_RDONLY);

	memset(got, 1, len);
	assert_int_equal(posix_read(f, got, len, off), len);
	for (size_t i = 0; i < len; i++)
		if (got[i])
			fail_msg("byte %zu is %u", i, got[i]);
	posix_close(f);
	free(got);
}

static inline void kit_drop_cache(struct kit *k)
{
	OK(volume_sync(k->v));
	cache_drop_clean(k->v->cache, CACHE_ANY);
}

#endif
