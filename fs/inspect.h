/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect.h - a pool opened for a check: for reading, as far as it can be.
 *
 * A mount wants all or nothing; a check wants to see what is left. So this
 * goes the way of a read-only opening (recovery.c) and only fails where there
 * is nothing to look at: no pool, wrong passphrase, in use, no place for the
 * index. What is damaged is noted and passed over. Nothing is written in any
 * folder of the pool; the index lies in a private folder of its own.
 */
#ifndef MENDFS_FS_INSPECT_H
#define MENDFS_FS_INSPECT_H

#include <stdbool.h>

#include "fs/volume.h"
#include "meta/jseg.h"
#include "meta/local.h"
#include "meta/manifest.h"

struct inspect {
	struct volume *volume; /* owns the four below */
	struct pool *pool;
	struct store *store;
	struct index *ix; /* NULL: index_rc */
	struct jseg *js;  /* NULL without ix */
	int manifest_rc;  /* 0: manifest is the one in force */
	struct manifest manifest;
	int index_rc; /* how restoring the index ended */
	bool scanned; /* the journal was read in: */
	int scan_rc;
	struct journal_scan_result scan;
	int local_rc; /* 0: local is what this machine remembers; -ENOENT:
			 nothing; -ERR_AUTH: it cannot be read */
	struct local_state local;
};

/*
 * Of `o` location, n, pass, pass_len and cache_dir count. 0, or pool_open's
 * and local_open's errors, -ENOMEM, with a diag. One thread.
 */
int inspect_open(const struct volume_options *o, struct diag *diag,
		 struct inspect **out) MUST_USE;
/* Closes and removes the private folder. NULL is allowed. */
void inspect_close(struct inspect *in);

#endif
