/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix_kit.h - a volume on in-memory folders for tests without a mount.
 *
 * kit_make gives a fresh pool of n folders, kit_open opens it, kit_close
 * unmounts, kit_crash drops everything volatile. Folders are "mem:" ones
 * wrapped in "fault:", so that any of them can be hidden or made to fail.
 */
#ifndef MENDFS_TESTS_POSIX_KIT_H
#define MENDFS_TESTS_POSIX_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/drv_fault.h"
#include "backend/driver.h"
#include "base/mem.h"
#include "fs/posix.h"
#include "fs/volume.h"
#include "meta/checkpoint.h"

#define KIT_FOLDERS 6

struct kit {
	struct volume *v;
	struct volume_options o;
	char location[KIT_FOLDERS][64];
	const char *locations[KIT_FOLDERS];
	char cache[64];
};

static const struct cred kit_root = {.umask = 022};

static inline void kit_ok(int rc, const char *what)
{
	if (rc < 0)
		fail_msg("%s: %s (%s)", what, err_name(rc), err_text(rc));
}
#define OK(call) kit_ok((int)(call), #call)

/* The folder of the kit in use: removed at the end also when a test fails. */
static char kit_scratch[64];

static inline void kit_clean(void)
{
	char cmd[128];

	if (!kit_scratch[0])
		return;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", kit_scratch);
	if (system(cmd) != 0)
		fprintf(stderr, "left behind: %s\n", kit_scratch);
	kit_scratch[0] = 0;
}

/* segment_bytes: of the pool's segments. */
static inline void kit_make_segments(struct kit *k, uint32_t segment_bytes)
{
	static int round;
	static const struct kdf_cost cheap = {1, 8, 1};
	struct diag d = DIAG_INIT;
	struct pool_create_options po = {
		.n = KIT_FOLDERS,
		.geo = {.k = 4,
			.m = 2,
			.chunk_bytes = 128 << 10,
			.segment_bytes = segment_bytes,
			.cipher = CIPHER_AES_256_GCM,
			.level = 1},
		.label = "kit",
		.pass = "secret",
		.pass_len = 6,
	};
	int rc;

	*k = (struct kit){0};
	round++;
	kdf_override(&cheap);
	strcpy(k->cache, "/tmp/mendfs-kit.XXXXXX");
	assert_non_null(mkdtemp(k->cache));
	if (round == 1)
		atexit(kit_clean);
	kit_clean();
	strcpy(kit_scratch, k->cache);
	setenv("XDG_CACHE_HOME", k->cache, 1);
	for (int i = 0; i < KIT_FOLDERS; i++) {
		snprintf(k->location[i], sizeof(k->location[i]),
			 "fault:mem:kit-%d-%d-%d", getpid(), round, i);
		k->locations[i] = k->location[i];
	}
	po.location = k->locations;
	rc = volume_make(&po, 0, 0, NULL, &d);
	if (rc < 0)
		fail_msg("volume_make: %s: %s", err_name(rc), d.text);
	k->o = (struct volume_options){
		.location = k->locations,
		.n = KIT_FOLDERS,
		.pass = "secret",
		.pass_len = 6,
		.cache_dir = k->cache,
		.cache_bytes = 32 << 20,
	};
}

static inline void kit_make(struct kit *k)
{
	kit_make_segments(k, 4 << 20);
}

static inline void kit_open(struct kit *k)
{
	struct diag d = DIAG_INIT;
	int rc = volume_open(&k->o, &d, &k->v);

	if (rc < 0)
		fail_msg("volume_open: %s: %s", err_name(rc), d.text);
}

static inline void kit_close(struct kit *k)
{
	OK(volume_close(k->v));
	k->v = NULL;
}

static inline void kit_crash(struct kit *k)
{
	volume_crash(k->v);
	k->v = NULL;
}

/* The local index and state are gone. */
static inline void kit_lose_cache(struct kit *k)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s/*", k->cache);
	assert_int_equal(system(cmd), 0);
}

static inline void kit_end(struct kit *k)
{
	if (k->v)
		kit_crash(k);
	for (int i = 0; i < KIT_FOLDERS; i++) {
		fault_clear(k->location[i]);
		mem_driver_forget(k->location[i] + strlen("fault:mem:"));
	}
	kit_clean();
}

/* ---- shorthand ---- */

static inline uint64_t kit_mk(struct kit *k, uint64_t parent, const char *name,
			      uint32_t mode)
{
	struct create_spec s = {.mode = mode};
	struct attr a;

	OK(posix_make(k->v, &kit_root, parent, name, &s, &a));
	return a.ino;
}

static inline uint64_t kit_ino(struct kit *k, uint64_t parent, const char *name)
{
	struct attr a;

	OK(posix_lookup(k->v, parent, name, &a));
	return a.ino;
}

/* Bytes that depend on a seed and on where they stand. */
static inline void kit_pattern(uint8_t *p, size_t len, uint64_t off,
			       uint64_t seed)
{
	for (size_t i = 0; i < len; i++) {
		uint64_t x = (off + i) / 8 * 0x9e3779b97f4a7c15ULL + seed;

		x ^= x >> 29;
		x *= 0xbf58476d1ce4e5b9ULL;
		p[i] = (uint8_t)(x >> (8 * ((off + i) % 8)));
	}
}

static inline void kit_write(struct kit *k, uint64_t ino, uint64_t off,
			     size_t len, uint64_t seed)
{
	uint8_t *p = malloc(len);
	struct file *f;

	kit_pattern(p, len, off, seed);
	OK(posix_open(k->v, ino, O_RDWR, &f));
	assert_int_equal(posix_write(f, p, len, off), len);
	posix_close(f);
	free(p);
}

static inline void kit_expect(struct kit *k, uint64_t ino, uint64_t off,
			      size_t len, uint64_t seed)
{
	uint8_t *want = malloc(len), *got = malloc(len);
	struct file *f;

	kit_pattern(want, len, off, seed);
	OK(posix_open(k->v, ino, O_RDONLY, &f));
	assert_int_equal(posix_read(f, got, len, off), len);
	posix_close(f);
	assert_memory_equal(got, want, len);
	free(want);
	free(got);
}

static inline void kit_fsync(struct kit *k, uint64_t ino)
{
	struct file *f;

	OK(posix_open(k->v, ino, O_RDWR, &f));
	OK(posix_fsync(f, false));
	posix_close(f);
}

#endif
