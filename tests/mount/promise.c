/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Usage: promise load FOLDER MANIFEST SECONDS SEED
 *        promise check FOLDER MANIFEST
 * Exit codes of load: promise.h. Of check: 0, or 1 if a promise is broken.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "promise.h"

uint64_t cell_key(const char *manifest, unsigned process)
{
	const char *slash = strrchr(manifest, '/');
	uint64_t h = 0xcbf29ce484222325ULL + process;

	for (const char *p = slash ? slash + 1 : manifest; *p; p++)
		h = (h ^ (uint8_t)*p) * 0x100000001b3ULL;
	return h;
}

/* Every second write is of bytes that can be compressed. */
void cell_fill(struct cell *c, uint64_t key, uint32_t stamp, uint32_t at)
{
	uint64_t step = stamp % 2 ? 0x9e3779b97f4a7c15ULL : 0;
	uint64_t x = key ^ ((uint64_t)stamp << 32 | at);

	c->stamp = stamp;
	c->at = at;
	for (size_t i = 0; i < sizeof(c->rest); i++) {
		uint64_t y = x ^ x >> 31;

		y *= 0xbf58476d1ce4e5b9ULL;
		c->rest[i] = (uint8_t)(y >> 29);
		x += step;
	}
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 6 && strcmp(argv[1], "load") == 0) {
		struct load l = {
			.folder = argv[2],
			.manifest = argv[3],
			.seconds = strtod(argv[4], NULL),
			.seed = strtoull(argv[5], NULL, 0),
		};

		return promise_load(&l);
	}
	if (argc == 4 && strcmp(argv[1], "check") == 0)
		return promise_check(argv[2], argv[3]);
	fprintf(stderr, "usage: promise load FOLDER MANIFEST SECONDS SEED\n"
			"       promise check FOLDER MANIFEST\n");
	return 64;
}
