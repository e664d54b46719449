/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a pool as mkfs.mendfs does, but with a key derivation that takes no
 * time and next to no memory: for tests that mount often, and for images that
 * have to open on the smallest machine.
 * Usage: cheap_pool PASSPHRASE K M FOLDER...
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "fs/volume.h"

int main(int argc, char **argv)
{
	static const struct kdf_cost cheap = {1, 64, 1};
	struct pool_create_options o = {0};
	struct diag diag = DIAG_INIT;
	int rc;

	if (argc < 5)
		return 2;
	o = (struct pool_create_options){
		.location = (const char *const *)&argv[4],
		.n = (unsigned)argc - 4,
		.geo = {.k = (uint8_t)atoi(argv[2]),
			.m = (uint8_t)atoi(argv[3]),
			.chunk_bytes = 128 << 10,
			.segment_bytes = 4 << 20,
			.cipher = CIPHER_AES_256_GCM,
			.level = 1},
		.label = "test",
		.pass = argv[1],
		.pass_len = strlen(argv[1]),
	};
	kdf_override(&cheap);
	rc = volume_make(&o, 0, 0, NULL, &diag);
	if (rc < 0)
		fprintf(stderr, "cheap_pool: %s: %s\n", err_name(rc),
			diag.text);
	return rc < 0;
}
