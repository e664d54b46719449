/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.h - the members of a pool, how it is made, found, unlocked, judged and
 * claimed.
 *
 * A pool is n member folders (backends). Each carries a superblock
 * (superblock.h) with the whole membership, geometry, key slots, the epochs
 * and the pointer to the newest manifest. Member slots 0..n-1 are stable: they
 * are what seg_desc.home[] names.
 *
 * Ownership: struct pool owns its backends and keyring; it is made by
 * pool_create or pool_open and freed by pool_close. Fields are read by
 * everybody; member[].backend changes only under a mount's single writer.
 */
#ifndef MENDFS_BACKEND_POOL_H
#define MENDFS_BACKEND_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/err.h"
#include "backend/aead.h"
#include "backend/backend.h"
#include "backend/ids.h"
#include "backend/keyring.h"
#include "backend/segment.h"
#include "backend/superblock.h"

#define POOL_DEADLINE_MS 5000 /* patience with one folder at mount */

struct member {
	struct backend_id id;
	char *path;		 /* owned; where it is, or was last seen */
	struct backend *backend; /* NULL: not reachable */
	uint64_t sb_gen;	 /* generation of its newest valid superblock */
	int why;		 /* why it is not reachable, else 0 */
	bool lease_unread;	 /* whether another host holds a lease on it
				    was not to be seen when it was opened */
};

struct pool {
	struct pool_id id;
	struct geometry geo;
	struct keyring *keys;
	unsigned n;
	struct member member[POOL_MEMBERS_MAX];
	struct superblock sb; /* the one in force */
	bool read_only;	      /* opened so, or a feature forbids to write */
	bool locked;
	bool verify; /* see segment.h; its user sets it before a store is made */
	bool diverged;		  /* two histories; sb is of one of them */
	struct pool_lease *lease; /* owned; pool_lease.h. NULL: none */
};

/* k, m by number of folders as documented in mkfs.mendfs(8). n >= 1. */
void geometry_default(unsigned n, unsigned *k, unsigned *m);
/* -EINVAL with a diag for impossible k, m, sizes. */
int geometry_check(const struct geometry *g, unsigned n,
		   struct diag *diag) MUST_USE;

struct pool_create_options {
	const char *const *location; /* n of them: driver.h locations */
	unsigned n;
	struct geometry geo;
	const char *label; /* at most SB_LABEL_MAX bytes, "" allowed */
	const char *pass;
	size_t pass_len;
	bool force; /* folders may be non-empty; a folder that holds a valid
		       superblock is refused even then unless it is idle: the
		       old superblocks are removed first */
};

/*
 * Makes a pool: checks folders (exist, empty or force, distinct, not nested,
 * writable), draws ids and keys, claims locks. Writes NO superblock yet:
 * nothing is a pool until pool_publish put one with a manifest in place.
 * Exclusive locks are held. Errors come with a diag naming folder and cause.
 */
int pool_create(const struct pool_create_options *o, struct diag *diag,
		struct pool **out) MUST_USE;

struct pool_open_options {
	const char *const *location; /* at least one folder of the pool */
	unsigned n;
	const char *pass;
	size_t pass_len;
	bool read_only;	      /* shared locks, nothing is written anywhere */
	uint64_t deadline_ms; /* per folder; 0 = POOL_DEADLINE_MS */
};

/*
 * Finds the pool: reads the given folders' superblocks, unlocks, finds the
 * other members by the paths the superblock remembers (and moved along with a
 * given folder, when the whole pool moved), checks identity, takes locks.
 * Members that are missing, empty, foreign, damaged or hung are left out with
 * their cause in member[].why. Given explicitly (in location) they are errors:
 * -ERR_EMPTY_FOLDER, -ERR_NO_SUPERBLOCK, -ERR_CORRUPT, -ENOENT, -ETIMEDOUT
 * ..., unless it is the place where a member was last seen: a list of folders
 * in fstab must not keep a pool from being mounted that can do without one of
 * them. Always errors: -ERR_FOREIGN, -ERR_DUPLICATE, -ERR_NESTED among those
 * given. Also -ERR_PASSPHRASE, -ERR_KEYSLOT, -ERR_REVOKED, -ERR_IN_USE,
 * -ERR_DIVERGED (read_only opens: allowed, the side with the highest
 * generation is taken, pool.diverged set, and diag says what the sides are),
 * -ERR_FEATURE, -ENOMEM, -EMFILE.
 * Features that forbid writing make pool.read_only true. Nothing is written,
 * whatever happens, but for the lock file of an exclusive lock in folders of
 * the pool AFTER the passphrase was right.
 *
 * One that is not read_only waits while another host may be at work on the pool
 * (pool_lease.h): up to LEASE_TAKEOVER_MS and says so in the log, or
 * -ERR_IN_USE.
 */
int pool_open(const struct pool_open_options *o, struct diag *diag,
	      struct pool **out) MUST_USE;
/* Closes members, drops locks, wipes keys; hung members are left behind after
 * two seconds for all. NULL is allowed. */
void pool_close(struct pool *p);

/*
 * Nothing in any member is changed any more, for good, by whomever. Waits at
 * most deadline_ms for what was begun; false: something hangs in a member and
 * may still change it by the one call it is in.
 */
bool pool_cut(struct pool *p, uint64_t deadline_ms);

/*
 * The distinct superblock bodies found, newest first (by ancestry of epochs,
 * then generation). pool_open puts [0] in force; recovery adopts another when
 * [0]'s manifest cannot be read. -ENOENT beyond the last.
 */
int pool_candidate(const struct pool *p, unsigned i,
		   struct superblock *out) MUST_USE;
/*
 * Puts it in force (copies). Key slots, epochs and generation stay those in
 * force before: no revoked passphrase comes back, and what is written next
 * descends from all that was seen. Members it does not name are closed. 0, or
 * -ENOMEM and nothing changed.
 */
int pool_adopt(struct pool *p, const struct superblock *sb);

/* Members with a backend that is not DOWN. */
unsigned pool_up(const struct pool *p);

enum pool_access {
	POOL_REFUSED,
	POOL_READ_ONLY,
	POOL_READ_WRITE
};
struct pool_rule_options {
	bool read_only;
	bool degraded;
	bool accept_rollback;
};
/*
 * What a new mount may do: read-write with >= n-m members and a majority of
 * n; with >= n-m but no majority only if degraded; below n-m read-only (the
 * caller must still check that every referenced segment has k fragments), and
 * read-write there only with degraded and accept_rollback. When less is given
 * than asked for, diag says why, which folders are missing and the next
 * command, and *rc_out is -ERR_TOO_FEW or -ERR_NO_MAJORITY.
 */
enum pool_access pool_judge(const struct pool *p,
			    const struct pool_rule_options *o,
			    struct diag *diag, int *rc_out);

/*
 * Begins an epoch: claims epoch.<number> by exclusive creation on every
 * reachable member with a number above all seen; counts with a majority of
 * all members, or of the reachable ones where these are fewer. Enters it (with
 * its parent) into p->sb, which is NOT written: pool_publish does, and nothing
 * may be acknowledged before that, nor before pool_lease_begin. Epochs that
 * were claimed but never published are entered as ancestors (pool_epoch.c).
 * Old claim files are removed, and superblocks that somebody had begun to
 * write. -ERR_IN_USE if somebody else begins one at this moment, -EROFS if p is
 * read-only, else what kept the members from taking the claim.
 */
int pool_begin_epoch(struct pool *p) MUST_USE;

/*
 * Writes p->sb (generation + 1) to the older slot of every reachable member,
 * each durable. Returns the number of members written, or an error when fewer
 * than min(m+1, reachable) succeeded (call it again: a later one replaces it).
 * `reached_all` tells whether every reachable member has it (C3). Only after
 * pool_begin_epoch: what two writers publish in one epoch cannot be told
 * apart from a divergence. One call at a time.
 *
 * What is newer is not overwritten: -ERR_FENCED if a member holds a superblock
 * that p->sb does not descend from, or the lease is lost; -ERR_LEASE if that
 * is not known (pool_lease.h). After these two nothing may be deleted that an
 * older superblock needs.
 */
int pool_publish(struct pool *p, bool *reached_all) MUST_USE;

struct pool_space {
	uint64_t total_bytes; /* user data the pool could hold at k+m */
	uint64_t free_bytes;  /* user data that can still be written */
	uint64_t raw_total;
	uint64_t raw_free;
	uint64_t smallest_total; /* of the smallest member */
	/* User data that fits beside free_bytes in stripes with fewer data
	 * fragments, as members fill up one after another. */
	uint64_t narrow_bytes;
};
/*
 * By the last usages of the members that are up: with w = k+m, the largest T
 * with sum(min(free_i, T)) >= w * T over distinct members gives k * T. With
 * fewer than k+m up, k and m are what placement_geometry makes of them.
 * Folders sharing a file system (same domain and size) share its free space:
 * it is counted once, in equal parts. Never blocks.
 */
void pool_space(const struct pool *p, struct pool_space *out);
/* Asks the members first and waits for them, at most deadline_ms. */
void pool_space_fresh(const struct pool *p, uint64_t deadline_ms,
		      struct pool_space *out);

void pool_seg_context(const struct pool *p, struct seg_context *out);

#endif
