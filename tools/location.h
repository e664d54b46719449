/* SPDX-License-Identifier: Apache-2.0 */
/*
 * location.h - folders as the user names them, made absolute.
 *
 * A location is a path, optionally behind the kinds of driver.h ("dir:",
 * "fault:", "mem:"). The daemon leaves its working directory, and superblocks
 * remember paths, so nothing relative goes further than this. No state.
 */
#ifndef MENDFS_TOOLS_LOCATION_H
#define MENDFS_TOOLS_LOCATION_H

#include "base/err.h"

/*
 * The location with an absolute path, links resolved where the folder exists;
 * mem_free. NULL: no memory.
 */
char *location_absolute(const char *location);
/* The same for a plain path. */
char *location_absolute_path(const char *path);

struct locations {
	char **at; /* n of them; owned */
	unsigned n;
};
/* One folder, or several joined by ':'; absolute. -EINVAL (empty), -ENOMEM. */
int locations_split(const char *source, struct locations *out) MUST_USE;
/* Operands as they are. */
int locations_take(char *const *words, unsigned n,
		   struct locations *out) MUST_USE;
void locations_release(struct locations *l);
/* For parameters that promise not to change the strings. */
const char *const *locations_list(const struct locations *l);

#endif
