/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_seeds FOLDER: writes the seeds of all targets there. */
#include "fuzz/seeds.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/osfile.h"

static const char *out_folder;

void seed_write(struct bytes *b, const char *target, const char *name, ...)
{
	AUTO_FREE char *folder = mem_printf("%s/%s", out_folder, target);
	AUTO_FREE char *path = NULL;
	AUTO_FD int fd = -1;
	char file[64];
	va_list ap;

	va_start(ap, name);
	(void)vsnprintf(file, sizeof(file), name, ap);
	va_end(ap);
	path = mem_printf("%s/%s", folder, file);
	MUST(folder && path && os_mkdir_parents(folder, 0700) == 0);
	fd = os_openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	MUST(fd >= 0 && os_pwrite(fd, b->data, b->len, 0) == 0);
	bytes_release(b);
}

void seed_u8(struct bytes *b, unsigned v)
{
	MUST(bytes_add_u8(b, (uint8_t)v) == 0);
}

void seed_u16(struct bytes *b, size_t v)
{
	seed_u8(b, v & 0xff);
	seed_u8(b, v >> 8 & 0xff);
}

void seed_raw(struct bytes *b, const void *p, size_t len)
{
	MUST(bytes_add(b, p, len) == 0);
}

void seed_number(struct bytes *b, uint64_t v)
{
	if (v < 0xf8) {
		seed_u8(b, (unsigned)v);
		return;
	}
	seed_u8(b, 0xff);
	MUST(bytes_add_u64(b, v) == 0);
}

void seed_bytes(struct bytes *b, const void *p, size_t len)
{
	len = MIN(len, (size_t)UINT16_MAX);
	seed_u16(b, len);
	seed_raw(b, p, len);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: fuzz_seeds FOLDER\n");
		return 2;
	}
	out_folder = argv[1];
	fuzz_start();
	seeds_made();
	seeds_index();
	seeds_real();
	return 0;
}
