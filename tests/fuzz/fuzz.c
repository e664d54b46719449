/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/osfile.h"
#include "base/rnd.h"
#include "base/workq.h"
#include "backend/driver.h"

#define KEY_SEED 20261120u
#define RUN_SEED 4711u
#define CLOSE_MS 2000

const struct pool_id fuzz_pool_id = {{0xf0, 1, 2, 3, 4, 5, 6, 7}};

static void quiet(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	if (getenv("MENDFS_TEST_LOG"))
		fprintf(stderr, "%d %s\n", level, line);
}

void fuzz_start(void)
{
	static const struct kdf_cost cheap = {
		.time = 1, .mem_kib = KDF_MEM_KIB_MIN, .lanes = 1};
	static bool started;

	rnd_seed(RUN_SEED);
	if (started)
		return;
	started = true;
	log_use_sink(quiet, NULL);
	kdf_override(&cheap);
	workq_inline(true);
}

struct keyring *fuzz_keys(void)
{
	static struct keyring *keys;

	if (keys)
		return keys;
	rnd_seed(KEY_SEED);
	MUST(keyring_new(&keys) == 0);
	rnd_seed(RUN_SEED);
	return keys;
}

void fuzz_context(struct seg_context *out)
{
	*out = (struct seg_context){
		.pool = fuzz_pool_id,
		.keys = fuzz_keys(),
		.cipher = CIPHER_AES_256_GCM,
		.key_epoch = 1,
	};
}

/* ---- taking an input apart ---- */

unsigned fuzz_pick(struct reader *r, unsigned n)
{
	return reader_left(r) ? reader_u8(r) % n : 0;
}

uint64_t fuzz_number(struct reader *r)
{
	unsigned b = fuzz_pick(r, 256);

	if (b < 0xf8)
		return b;
	if (b < 0xfa)
		return UINT32_MAX - fuzz_pick(r, 256);
	if (b < 0xfc)
		return UINT64_MAX - fuzz_pick(r, 256);
	if (b == 0xfc)
		return (uint64_t)INT64_MAX - fuzz_pick(r, 256);
	if (b == 0xfd)
		return reader_left(r) < 2 ? 0 : reader_u16(r);
	if (b == 0xfe)
		return reader_left(r) < 4 ? 0 : reader_u32(r);
	return reader_left(r) < 8 ? 0 : reader_u64(r);
}

uint64_t fuzz_edge(struct reader *r, uint64_t max)
{
	const uint64_t edge[] = {0, 1, max - 1, max, max + 1};
	unsigned i = fuzz_pick(r, ARRAY_LEN(edge) + 1);

	return i < ARRAY_LEN(edge) ? edge[i] : fuzz_number(r);
}

const uint8_t *fuzz_bytes(struct reader *r, size_t max, size_t *len_out)
{
	size_t want = reader_left(r) < 2 ? SIZE_MAX : reader_u16(r);

	*len_out = MIN(MIN(want, max), reader_left(r));
	return reader_take(r, *len_out);
}

void fuzz_fill(void *p, size_t len, uint8_t b)
{
	memset(p, b, len);
}

uint8_t *fuzz_copy(const void *p, size_t len)
{
	uint8_t *copy = mem_alloc(len);

	MUST(copy);
	if (len)
		memcpy(copy, p, len);
	return copy;
}

bool fuzz_is_one(int rc, const int *of, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (rc == of[i])
			return true;
	fprintf(stderr, "result %d (%s)\n", rc, err_name(rc));
	return false;
}

/* ---- files ---- */

static int file_fd[FUZZ_FILES] = {-1, -1, -1, -1};

const char *fuzz_file(unsigned i)
{
	static char path[FUZZ_FILES][32];

	MUST(i < FUZZ_FILES);
	if (file_fd[i] < 0) {
		file_fd[i] = memfd_create("mendfs-fuzz", MFD_CLOEXEC);
		MUST(file_fd[i] >= 0);
		snprintf(path[i], sizeof(path[i]), "/proc/self/fd/%d",
			 file_fd[i]);
	}
	MUST(os_ftruncate(file_fd[i], 0) == 0);
	return path[i];
}

void fuzz_file_write(unsigned i, const void *p, size_t len, uint64_t off)
{
	MUST(os_pwrite(file_fd[i], p, len, off) == 0);
}

/* ---- folders ---- */

static char location[FUZZ_FOLDERS][32];

const char *fuzz_location(unsigned folder)
{
	MUST(folder < FUZZ_FOLDERS);
	snprintf(location[folder], sizeof(location[0]), "mem:fuzz-%u", folder);
	return location[folder];
}

void fuzz_folders_clear(void)
{
	for (unsigned i = 0; i < FUZZ_FOLDERS; i++)
		mem_driver_forget(fuzz_location(i) + strlen("mem:"));
}

void fuzz_put(unsigned folder, const char *name, const void *p, size_t len)
{
	struct driver *d;
	struct drv_file *f;

	if (!driver_name_ok(name))
		return;
	MUST(driver_attach(fuzz_location(folder), &d) == 0);
	if (driver_open(d, name, DRV_WRITE | DRV_CREATE, &f) == 0) {
		MUST(len == 0 || driver_write(f, p, len, 0) == 0);
		driver_close(f);
	}
	driver_detach(d);
}

static uint8_t *read_all(struct drv_file *f, size_t *len_out)
{
	uint64_t size;
	uint8_t *p;

	MUST(driver_size(f, &size) == 0);
	p = mem_alloc(size);
	MUST(p && (size == 0 || driver_read(f, p, size, 0) == (int64_t)size));
	*len_out = size;
	return p;
}

uint8_t *fuzz_get(unsigned folder, const char *name, size_t *len_out)
{
	uint8_t *p = NULL;
	struct driver *d;
	struct drv_file *f;

	MUST(driver_attach(fuzz_location(folder), &d) == 0);
	if (driver_open(d, name, DRV_READ, &f) == 0) {
		p = read_all(f, len_out);
		driver_close(f);
	}
	driver_detach(d);
	return p;
}

void fuzz_pool_open(struct pool *p, unsigned n, unsigned m)
{
	*p = (struct pool){
		.id = fuzz_pool_id,
		.geo = {.k = (uint8_t)(n - m),
			.m = (uint8_t)m,
			.chunk_bytes = 16u << 10,
			.segment_bytes = 1u << 20,
			.cipher = CIPHER_AES_256_GCM,
			.level = 1},
		.keys = fuzz_keys(),
		.n = n,
	};
	for (unsigned i = 0; i < n; i++) {
		fuzz_fill(p->member[i].id.b, 16, (uint8_t)(i + 1));
		MUST(backend_open(fuzz_location(i), CLOSE_MS,
				  &p->member[i].backend) == 0);
	}
}

void fuzz_pool_close(struct pool *p)
{
	for (unsigned i = 0; i < p->n; i++)
		backend_close(p->member[i].backend, CLOSE_MS);
}
