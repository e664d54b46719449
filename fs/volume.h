/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volume.h - a mounted (or offline) pool as a whole: owns everything below,
 * opens it (recovery.c), keeps it going (write-back, commit, checkpoint,
 * queue), closes it.
 *
 * What can be done with its files is in posix.h. volume_open/close by one
 * thread; the rest from any.
 */
#ifndef MENDFS_FS_VOLUME_H
#define MENDFS_FS_VOLUME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/err.h"
#include "backend/pool.h"
#include "backend/pool_lease.h"
#include "backend/store.h"
#include "meta/checkpoint.h"
#include "meta/journal.h"
#include "meta/rows.h"
#include "cache/cache.h"

struct volume;

enum atime_mode {
	ATIME_REL,
	ATIME_NO,
	ATIME_STRICT
};

struct volume_options {
	const char *const *location; /* folders given, at least one */
	unsigned n;
	const char *pass;
	size_t pass_len;
	const char *cache_dir;	 /* NULL: local_default_folder() */
	size_t cache_bytes;	 /* 0: 256 MiB */
	unsigned commit_seconds; /* 0: 5 */
	uint32_t journal_file_bytes; /* test seam: of every journal file, the
					whole journal is 8 of them; 0: as
					journal.h says */
	enum atime_mode atime;
	bool read_only; /* writes nothing in any folder */
	bool degraded;
	bool accept_rollback;
	bool verify; /* open every chunk again that was sealed, and compare */
	const char *mountpoint; /* NULL, or refused where it lies in a folder
				   of the pool or the cache, or these in it */
};

/*
 * Makes a pool with an empty root directory owned by uid:gid (mode 0755) and
 * a first checkpoint, and closes it. `o->location` etc. as pool_create.
 * `reached` (may be NULL) gets a sentence of warning, if any (no redundancy,
 * fewer failure domains than m + 1).
 */
int volume_make(const struct pool_create_options *o, uint32_t uid, uint32_t gid,
		struct diag *warning, struct diag *diag) MUST_USE;

/*
 * Opens: finds and unlocks the pool, judges what may be done, begins an epoch,
 * recovers, starts the background services. diag tells thing, cause and next
 * command on failure; nothing was written by a refused open.
 */
int volume_open(const struct volume_options *o, struct diag *diag,
		struct volume **out) MUST_USE;
/*
 * Makes everything durable, checkpoints, marks the local index clean, frees.
 * Returns the first error: data that could not be made durable is then lost.
 */
int volume_close(struct volume *v) MUST_USE;
/* Test seam and emergency exit: drops everything volatile, writes nothing. */
void volume_crash(struct volume *v);

/* What is made durable before a shutdown. */
enum shutdown_keeps {
	SHUTDOWN_KEEPS_ALL,	/* as volume_sync */
	SHUTDOWN_KEEPS_RECORDS, /* operations so far; not data only in memory */
	SHUTDOWN_KEEPS_NOTHING, /* but what is durable already */
};
/*
 * Ends the volume at this instant, as power loss would, though it stays open:
 * for tests of what survives. When it returns 0 nothing is acknowledged and no
 * folder is changed any more, with one exception: where a folder hangs, the
 * one system call that it is in may still happen. Every later operation
 * answers -ERR_SHUT_DOWN, and volume_close only lets go. From any thread, more
 * than once. An error: what shall be kept cannot be, and nothing was ended.
 */
int volume_shutdown(struct volume *v, enum shutdown_keeps keeps) MUST_USE;

/* Everything written so far is durable. */
int volume_sync(struct volume *v) MUST_USE;
bool volume_read_only(const struct volume *v);
/*
 * 0 when well. What lasts until it is closed: the sticky error (C8),
 * -ERR_SHUT_DOWN, -ERR_FENCED (another mount has taken over). What may pass:
 * -ERR_LEASE, and why the last record could not be appended.
 */
int volume_error(struct volume *v);

struct volume_status {
	const struct pool *pool; /* borrowed; members' states through it */
	bool read_only;
	int error;
	uint64_t epoch;
	struct pool_space space;
	struct segment_totals segments;
	struct cache_stats cache;
	struct store_stats store;
	struct journal_stats journal;
	struct checkpoint_stats checkpoint;
	struct pool_lease_stats lease;
	uint64_t inodes, index_bytes, durable_seq;
};
int volume_get_status(struct volume *v, struct volume_status *out) MUST_USE;

#endif
