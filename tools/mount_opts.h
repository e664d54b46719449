/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount_opts.h - the list behind -o: one table of what is known.
 *
 * Ours are applied, the kernel's are passed on, what is meant for mount(8) or
 * the boot is skipped, and anything else is refused by name. One thread.
 */
#ifndef MENDFS_TOOLS_MOUNT_OPTS_H
#define MENDFS_TOOLS_MOUNT_OPTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/err.h"
#include "base/log.h"
#include "fs/volume.h"

struct mount_opts {
	/* Strings are owned by the struct below. */
	struct volume_options volume; /* without folders and passphrase */
	bool allow_other;
	bool sloppy; /* unknown ones are skipped, with a warning */
	enum log_level log;
	char *passfile;	 /* owned; NULL: not given */
	char *cache_dir; /* owned, absolute; = volume.cache_dir */
	char *kernel;	 /* owned: "nosuid,noexec", "" or NULL */
};

void mount_opts_init(struct mount_opts *o);
void mount_opts_release(struct mount_opts *o);
/* Adds a list ("ro,commit=10"). -EINVAL with a diag, -ENOMEM. */
int mount_opts_parse(struct mount_opts *o, const char *list,
		     struct diag *diag) MUST_USE;
/* The table, for --help. */
void mount_opts_help(void);

#endif
