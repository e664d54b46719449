/* SPDX-License-Identifier: Apache-2.0 */
/*
 * look.h - looks at everything in a mounted volume.
 */
#ifndef MENDFS_TESTS_SIM_LOOK_H
#define MENDFS_TESTS_SIM_LOOK_H

#include "fs/posix.h"
#include "model.h"

/*
 * Reads all names, attributes and contents. What is wrong by itself (errors,
 * bytes that nobody wrote, counts that do not fit) is told in *out. dir: the
 * shared folders' inodes.
 */
void look(struct volume *v, const struct model *m, const uint64_t dir[DIRS],
	  struct seen *out);

#endif
