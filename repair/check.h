/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.h - looks at everything a pool consists of and tells what is not as
 * it should be. Changes nothing, anywhere.
 *
 * What is looked at: both superblock slots of each member; the copies of the
 * journal; the manifests in force and kept, and their index segments; the
 * index's own rules; the fragments of every segment; objects that nothing
 * refers to. Fragments are judged by header and size; with read_data by all
 * their bytes and keyed tags, and then every chunk a file refers to is opened
 * end to end. Where a segment has too few good fragments its chunks are read
 * in any case, so that the files named are those really hit.
 *
 * Unknown is not missing (C6): what cannot be reached is told as such, never
 * as lost.
 *
 * Threads: one caller; helpers of its own read ahead, callbacks come from the
 * caller's thread only.
 */
#ifndef MENDFS_REPAIR_CHECK_H
#define MENDFS_REPAIR_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "backend/pool.h"
#include "backend/store.h"
#include "meta/index.h"
#include "meta/journal.h"
#include "meta/jseg.h"
#include "meta/local.h"
#include "meta/manifest.h"
#include "repair/finding.h"

/*
 * A pool opened for reading, as far as it could be. All borrowed; nobody else
 * uses them during the check. The store's patience is raised for it.
 */
struct check_target {
	struct pool *pool;
	struct store *store;
	const struct manifest *manifest; /* in force; NULL: none is readable */
	struct index *ix; /* restored and replayed; NULL: see index_rc */
	int index_rc;	  /* why there is no index */
	struct jseg *js;  /* bytes of open segments; NULL without ix */
	bool scanned;	  /* scan counts: the journal was looked for */
	int scan_rc;	  /* how reading it in ended */
	struct journal_scan_result scan;
	const struct local_state *local; /* this machine's; NULL: none */
	bool local_unreadable;		 /* there is one, but it is of no use */
};

struct check_options {
	bool read_data;
	/* Called for each finding. */
	void (*report)(void *arg, const struct finding *f);
	/* Bytes looked after, of about so many; NULL: not wanted. */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	/* true ends the check soon; NULL: never. */
	bool (*cancelled)(void *arg);
	void *arg; /* for these three */
};

struct check_totals {
	uint64_t findings[SEVERITY_COUNT];
	uint64_t segments;	 /* of data, looked at */
	uint64_t index_segments; /* and of checkpoints */
	uint64_t fragments;	 /* of both */
	uint64_t chunks_opened;
	uint64_t files_hit;
	uint64_t orphans, orphan_bytes;
};

/*
 * Runs all of it. 0: it came to its end, whatever was found; -ECANCELED;
 * -ENOMEM or another error of this process: it is incomplete. *totals is
 * filled as far as it came.
 */
int check_pool(const struct check_target *t, const struct check_options *o,
	       struct check_totals *totals) MUST_USE;

#endif
