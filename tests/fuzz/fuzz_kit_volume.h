/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_kit_volume.h - a real pool of three folders (2+1) in memory, made by
 * the engine: files from before a checkpoint, and files that only the journal
 * has, as after a crash.
 *
 * It is made once; what the folders hold then is kept and can be put back,
 * with changes. Ids and keys are its own, not those of fuzz.h.
 */
#ifndef MENDFS_TESTS_FUZZ_KIT_VOLUME_H
#define MENDFS_TESTS_FUZZ_KIT_VOLUME_H

#include <stddef.h>
#include <stdint.h>

#include "backend/driver.h"
#include "fs/volume.h"

#define FUZZ_MEMBERS 3
#define FUZZ_OLD     6 /* files in the checkpoint */
#define FUZZ_NEW     4 /* files in the journal */

struct fuzz_object {
	unsigned folder;
	char name[DRV_NAME_MAX + 1];
	uint8_t *data;
	size_t len;
};

struct fuzz_volume {
	struct fuzz_object *object; /* in a stable order */
	unsigned n;
};

/* Made at the first call. */
const struct fuzz_volume *fuzz_volume(void);
/* The folders are empty, then the objects are put. */
void fuzz_volume_put(const struct fuzz_object *object, unsigned n);
/* What volume_open takes; a cache folder that is emptied by each call. */
void fuzz_volume_options(struct volume_options *out);

/*
 * Walks over an open one and reads every file that can be found: what can be
 * read is what was written, or the file is empty. true: nothing is missing.
 */
bool fuzz_volume_check(struct volume *v);

#endif
