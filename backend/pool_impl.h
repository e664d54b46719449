/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_impl.h - what the files pool_*.c share. Not for callers of pool.h.
 *
 * Making or finding a pool goes through three things:
 *
 *   struct folders   places that were looked at, each with what its two
 *                    superblock slots held and, when it is of no use, why
 *                    (pool_folder.c, pool_attach.c)
 *   struct history   the distinct superblocks that authenticate, newest first
 *                    (pool_history.c)
 *   struct pool_impl the result
 *
 * One thread works on them; only pool_attach.c has helpers of its own.
 */
#ifndef MENDFS_BACKEND_POOL_IMPL_H
#define MENDFS_BACKEND_POOL_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/mem.h"
#include "backend/backend.h"
#include "backend/lease.h"
#include "backend/pool.h"
#include "backend/superblock.h"

#define SB_SLOTS 2

/* ---- requests to several places at once ---- */

/*
 * One request to one place. bio NULL: nothing to do, rc stays. `to` and `bio`
 * are borrowed until fan_run, which takes the caller's reference of bio.
 */
struct fan {
	struct backend *to;
	struct bio *bio;
	int rc;
};

/*
 * Submits all, then waits for all until one common deadline, so that several
 * hung places cost no more than one. Each rc is the request's result then;
 * a NULL bio that has a place is -ENOMEM. Bios stay valid: fan_release.
 */
void fan_run(struct fan *f, unsigned n, uint64_t deadline_ms);
void fan_release(struct fan *f, unsigned n);
/*
 * Is this error one of the process and not of the place it asked? Then nothing
 * follows from it for the place: the whole attempt has to fail.
 */
bool fan_own_trouble(int rc);

/* ---- places ---- */

struct slot_image {
	struct buf *data; /* as read; NULL: could not be */
	int rc;		  /* 0: whole; else why it counts as absent */
	struct sb_clear clear;
};

struct body;

struct folder {
	char *location;		 /* with its kind, absolute for folders */
	char *real;		 /* resolved path; NULL: it has none */
	struct backend *backend; /* owned; NULL unless rc is 0 */
	struct drv_identity identity;
	bool given; /* by the user, not guessed */
	int rc;	    /* why it is of no use, else 0 */
	struct slot_image image[SB_SLOTS];
	unsigned rank; /* in the order of locking: member slot, once known */
	struct body *newest;  /* of its authentic slots; NULL: none yet */
	unsigned newest_slot; /* the slot that holds it */
	struct backend_id id; /* of the member it is, once newest is set */
	bool lease_unread;    /* whether it holds a lease is not known */
};

struct folders {
	struct folder *at;
	unsigned n;
	unsigned cap;
};

/*
 * Attaches n more places at the same time, at most deadline_ms for all of
 * them, and appends them in the order given. A place that cannot be attached
 * is appended with its rc. 0 or -ENOMEM.
 */
int folders_attach(struct folders *fs, const char *const *location, unsigned n,
		   bool given, uint64_t deadline_ms) MUST_USE;
/* Closes what is still attached. */
void folders_release(struct folders *fs);

/* Gives it up for the reason rc: its backend is closed. */
void folder_drop(struct folder *f, int rc);
/* The path as people know it. */
const char *folder_path(const struct folder *f);
/* Puts rc, the place, its cause and the next command into diag. */
int folder_fail(const struct folder *f, int rc, struct diag *diag);

/*
 * Reads both slots of the places from index `first` on that are not dropped,
 * at the same time. A place without a whole slot is dropped with its cause:
 * -ERR_EMPTY_FOLDER, -ERR_NO_SUPERBLOCK, -ERR_CORRUPT, -ERR_FEATURE or what
 * the storage said. 0 or -ENOMEM.
 */
int folders_read(struct folders *fs, unsigned first,
		 uint64_t deadline_ms) MUST_USE;
/* The newer whole slot by what it says of itself; NULL: none. */
const struct slot_image *folder_best(const struct folder *f);

/*
 * Does it hold anything that somebody may want to keep? 0: only what every
 * file system or a failed mkfs leaves behind; 1: yes; or an error.
 */
int folder_in_use(const struct folder *f, uint64_t deadline_ms) MUST_USE;

/*
 * The first place, in order, that is the same as (-ERR_DUPLICATE) or lies in
 * or around (-ERR_NESTED) an earlier one, as *index_out, the earlier one as
 * *other_out. 0: none. Only places from index `first` on are judged.
 */
int folders_overlap(const struct folders *fs, unsigned first,
		    unsigned *index_out, unsigned *other_out);

/*
 * Locks every place that is not dropped: the one with the lowest rank first, so
 * that of two mounts one wins, then the others at the same time. -ERR_IN_USE
 * with a diag: one is taken. A place that cannot be locked for another reason
 * is dropped.
 */
int folders_lock(struct folders *fs, bool exclusive, uint64_t deadline_ms,
		 struct diag *diag) MUST_USE;

/* ---- superblocks that authenticate ---- */

struct body {
	struct superblock sb;
	uint8_t digest[32];
};

struct history {
	struct body **at; /* newest first after history_order */
	unsigned n;
	unsigned cap;
};

/* Adds a copy unless it is there; *out is the one kept. 0, -ENOMEM, -EIO. */
int history_add(struct history *h, const struct superblock *sb,
		struct body **out) MUST_USE;
/* Is a later than b by ancestry, then by generation? */
bool history_newer(const struct body *a, const struct body *b);
/* Sorts, newest first. */
void history_order(struct history *h);
/* An ordered one: is at[0] not later than all others? */
bool history_diverged(const struct history *h);
/* Says who diverged from whom, and returns -ERR_DIVERGED. */
int history_fail_diverged(const struct history *h, const struct folders *fs,
			  struct diag *diag);
void history_release(struct history *h);

/*
 * Authenticates the slots of the places from index `first` on, adds them to
 * the history and fills newest and id. A place with no authentic slot is
 * dropped with -ERR_AUTH (or -ERR_RANGE). 0, -ENOMEM or -EIO.
 */
int folders_authenticate(struct folders *fs, unsigned first,
			 const struct keyring *keys,
			 struct history *h) MUST_USE;

/* ---- finding the others ---- */

/*
 * Looks for every member that some superblock of h names and that is not
 * among fs: where it was last seen, or moved along with a member that was
 * found elsewhere. Appends what it looked at; finds are authenticated and
 * added to h. 0 or -ENOMEM, -EIO.
 */
int pool_find_members(struct folders *fs, struct history *h,
		      const struct keyring *keys,
		      uint64_t deadline_ms) MUST_USE;
/* The place that is this member, or NULL. */
struct folder *pool_find_by_id(const struct folders *fs,
			       const struct backend_id *id);
/* The place that was looked at under this location, or NULL. */
struct folder *pool_find_by_location(const struct folders *fs,
				     const char *location);

/* ---- other hosts: pool_watch.c ---- */

struct watch_options {
	const struct keyring *keys;
	const struct pool_id *pool;
	uint64_t from; /* number of the newest published epoch */
	uint64_t deadline_ms;
	struct diag *diag;
};
/*
 * Waits until no other host can be at work on the pool: not at all where no
 * lease is held, else LEASE_TAKEOVER_MS. -ERR_IN_USE with a diag: one is. *out
 * gets all leases seen; lease_unread of the places is set. Also -ENOMEM, -EIO.
 */
int folders_watch(struct folders *fs, const struct watch_options *o,
		  struct lease_list *out) MUST_USE;
/* Puts -ERR_IN_USE and whose lease it is into diag. */
int pool_watch_refuse(const struct lease *l, struct diag *diag);
/* Whose lease is held, "host NAME, process PID"; text stays if nobody's is. */
void folders_tell_owner(struct folders *fs, const struct watch_options *o,
			char *text, size_t len);

/* ---- the pool ---- */

/* How the next superblock goes to a member. */
struct slot_turn {
	unsigned next; /* slot to write: the older or invalid one */
	/* A write to the slot that was left behind and may still come true:
	 * the slot is not to be trusted with anything newer until then. */
	struct bio *late[SB_SLOTS];
};

struct pool_impl {
	struct pool pub; /* first: pool_impl_of */
	struct history history;
	struct slot_turn turn[POOL_MEMBERS_MAX];
	struct lease_list leases; /* as seen by folders_watch */
	uint64_t leases_from; /* number of the newest published epoch then */
};
_Static_assert(offsetof(struct pool_impl, pub) == 0, "pool_impl_of");

static inline struct pool_impl *pool_impl_of(struct pool *p)
{
	return (struct pool_impl *)(void *)p;
}
static inline const struct pool_impl *pool_impl_of_const(const struct pool *p)
{
	return (const struct pool_impl *)(const void *)p;
}

/* The two slot files of a place. */
extern const char *const slot_name[SB_SLOTS];
/*
 * What a superblock is called until it is durable and renamed to its slot.
 * Starts with SUPER_TEMP; room for SUPER_TEMP_MAX bytes.
 */
#define SUPER_TEMP     "mendfs.super.new-"
#define SUPER_TEMP_MAX 48
void slot_temp_name(uint64_t generation, char out[SUPER_TEMP_MAX]);

/* Can this member be asked now? */
bool member_up(const struct member *m);

/* Stops renewing the lease and forgets it, as a crash would. NULL: nothing. */
void pool_lease_drop(struct pool_lease *l);

/*
 * How many members another host needs to take the pool over without being told
 * that nobody else has it: n-m, and a majority.
 */
unsigned pool_quorum(const struct pool *p);

struct space_member {
	uint64_t free_bytes;
	uint64_t total_bytes;
	uint64_t domain;
};
/* The formula of pool_space over the members that are up. */
void pool_space_of(const struct space_member *s, unsigned n,
		   const struct geometry *g, struct pool_space *out);

#endif
