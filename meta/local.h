/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local.h - what one machine remembers of a pool, in its cache folder: the
 * salt of the local index file, the clean mark, and the high-water mark.
 *
 * <cache folder>/<pool id, hex>/state (this file), index (meta/index.h),
 * index.cow. All may vanish or be torn at any time: that costs time, never
 * data. The state file is replaced atomically and carries a MAC; one that does
 * not authenticate counts as absent. The folder is 0700, files 0600.
 *
 * Who owns the folder's lock may use and replace everything in it. Threads:
 * one at a time.
 */
#ifndef MENDFS_META_LOCAL_H
#define MENDFS_META_LOCAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/err.h"
#include "backend/ids.h"
#include "backend/keyring.h"

struct local_state {
	uint8_t salt[KEY_SALT]; /* of the index file's key */
	bool clean;		/* the index file is exactly this: */
	uint8_t manifest_hash[32];
	uint64_t seq;
	/* high-water mark: newest epoch and record acknowledged here */
	uint64_t mark_epoch;
	uint8_t mark_epoch_id[16];
	uint64_t mark_seq;
};

struct local {
	char *folder;	  /* <cache folder>/<pool id> */
	char *index_path; /* in it */
	char *state_path;
	int lock_fd;  /* flock on the folder */
	bool private; /* removed by local_close */
};

/*
 * Default cache folder: $XDG_CACHE_HOME/mendfs (an absolute path, else it does
 * not count), else /var/cache/mendfs for root and ~/.cache/mendfs for others.
 * mem_free; NULL: no memory.
 */
char *local_default_folder(void);
/*
 * Where a folder can be made when the cache folder has no room: the i-th such
 * place, from 0, made if need be and the caller's own. false: there is no i-th.
 * *out (mem_free) is NULL where it cannot be used.
 */
bool local_spare_folder(unsigned i, char **out);

/*
 * Makes the pool's folder below cache_dir if need be and locks it (-ERR_IN_USE
 * if another process has it). -EACCES, -EROFS, -ENOSPC ... come with a diag.
 * A read-only mount gets a private folder (`private`) of a name of its own
 * beside the pool's, removed on close; what a crash left of such ones is
 * removed too. On failure *out is such that local_close does nothing.
 */
int local_open(const char *cache_dir, const struct pool_id *pool, bool private,
	       struct diag *diag, struct local *out) MUST_USE;
void local_close(struct local *l);

/*
 * -ENOENT: none, torn, of another version or pool. Errors of the file system
 * as they are: whether there is one is unknown then.
 */
int local_load(const struct local *l, const struct keyring *keys,
	       struct local_state *out) MUST_USE;
/*
 * The same without opening: what this machine remembers of a pool, in
 * cache_dir or, when NULL, the default folder. Somebody else may have it open.
 * -ENOENT: nothing; -ERR_AUTH: torn, or of another pool.
 */
int local_peek(const char *cache_dir, const struct pool_id *pool,
	       const struct keyring *keys, struct local_state *out) MUST_USE;
/* Durable when 0. */
int local_store(const struct local *l, const struct keyring *keys,
		const struct local_state *state) MUST_USE;

#endif
