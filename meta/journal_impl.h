/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_impl.h - what the files of journal.h share. Not for its callers.
 *
 *   journal.c         the essay: states, invariants, locks; life of a journal
 *   journal_write.c   appending: records, opening files, settling a write
 *   journal_members.c the members it may lie on: choosing, letting go
 *   journal_copies.c  making copies, bringing a member up to date
 *   journal_move.c    bringing what is uncovered to a new copy
 *   journal_files.c   files ahead of need and after it, in the background
 *   journal_scan.c    recovery
 *   journal_probe.c   what lies behind the end of a chain
 *   journal_old.c     files of other epochs
 *   journal_view.c    reading one copy; journal_codec.c: bytes
 *
 * Functions named _locked want journal.mu held.
 */
#ifndef MENDFS_META_JOURNAL_IMPL_H
#define MENDFS_META_JOURNAL_IMPL_H

#include <sys/queue.h>

#include "base/sync.h"
#include "base/workq.h"
#include "meta/journal.h"
#include "meta/journal_codec.h"
#include "meta/journal_view.h"

#define NS_PER_MS 1000000ULL

/* One file on one member. */
struct journal_copy {
	TAILQ_ENTRY(journal_copy) link; /* in journal.dead */
	struct backend *backend;	/* borrowed */
	unsigned slot;
	struct journal_name name;
	uint64_t bytes;	      /* of zeros written ahead */
	struct jfile *handle; /* NULL: not open */
};
TAILQ_HEAD(journal_copy_list, journal_copy);

/* Copies by member slot, and how the last request for each ended. */
struct journal_set {
	struct journal_copy *copy[POOL_MEMBERS_MAX];
	int rc[POOL_MEMBERS_MAX];
};

/* One file number: the same on every member that holds copies. */
struct journal_file {
	TAILQ_ENTRY(journal_file) link;
	struct journal_head head; /* epoch, number, size, salt, ... */
	uint64_t used;		  /* bytes that count */
	uint64_t last_seq;	  /* first_seq - 1: no record yet */
	bool spoiled;		  /* an append failed: never used again */
	struct aead *aead;	  /* append thread only */
	struct journal_copy *copy[POOL_MEMBERS_MAX]; /* NULL: not there */
};
TAILQ_HEAD(journal_file_list, journal_file);

enum journal_role {
	JOURNAL_NONE,
	JOURNAL_COPY,	 /* holds all that is uncovered */
	JOURNAL_JOINING, /* is being made a copy or a spare */
	JOURNAL_SPARE,	 /* holds an empty file */
};

struct journal_member {
	enum journal_role role;
	bool listed;  /* next_attempt is above all names seen there */
	int why;      /* the last attempt to use it failed so; 0: it did not */
	bool silent;  /* it had all the time there is, and no answer */
	bool lagging; /* append thread: has not answered a write */
	uint32_t attempt; /* in the names of the copies it holds */
	uint32_t next_attempt;
	unsigned failures;	    /* so far */
	uint64_t retry_ns;	    /* it is not tried again before */
	struct journal_copy *spare; /* role SPARE */
};

struct journal {
	struct pool *pool; /* borrowed */
	uint64_t epoch;
	uint8_t epoch_id[16];
	unsigned wanted; /* m+1 */
	uint64_t file_min, file_max, limit;
	struct workq *q;

	/* The append thread's own. */
	uint64_t next_seq;
	uint8_t chain[JOURNAL_CHAIN];

	struct mutex mu; /* guards all below */
	struct cond changed;
	struct journal_member member[POOL_MEMBERS_MAX];
	struct journal_file_list files;	   /* not released, oldest first */
	struct journal_file_list released; /* waiting for maintenance */
	struct journal_file *current;	   /* last of files; NULL: none open */
	struct journal_file *next;	   /* made ahead, without header */
	struct journal_file *recycled;	   /* released, waiting for new use */
	struct journal_copy_list dead;	   /* to be closed and removed */
	uint64_t last_number;		   /* of files so far */
	uint64_t last_taken;		   /* of those that came into use */
	uint64_t plan;			   /* size of the next file */
	bool appending;			   /* an append is under way */
	bool moving;	/* files are read for a new copy: none may go */
	bool preparing; /* `next` is being made */
	bool kicked;	/* maintenance is queued */
	bool care;	/* something has changed that it should see */
	bool started;	/* journal_new is over: changes are replacements */
	uint64_t records, bytes, replaced;
};

/* ---- journal.c ---- */

/* Time that a copy has: max(1 s, 10 medians of the fastest copy), in ns. */
uint64_t journal_patience_ns(struct journal *j);
/* Members that hold copies. */
unsigned journal_count_locked(const struct journal *j);

/* ---- journal_copies.c ---- */

/* NULL: no memory. The name is of the member's present attempt. */
struct journal_copy *journal_copy_new(const struct journal *j, unsigned slot,
				      uint64_t number);
/* Hands it over for closing and removal. NULL is allowed. */
void journal_copy_bury_locked(struct journal *j, struct journal_copy *c);

/*
 * Waits for requests by slot (NULLs are skipped): for all of them, but for
 * those that lag behind the first good one by more than patience_ns. Returns
 * how many have ended with 0.
 */
unsigned journal_wait(struct bio **bio, uint64_t patience_ns);
/* The request's result; one that has not ended is given up: -ETIMEDOUT. */
int journal_end(struct bio *bio);
/*
 * Makes and opens the files of the set with `bytes` zero bytes each (at least
 * one block), at the same time; set->rc[slot] tells. What fails stays in the
 * set, to be buried. patience_ns: see journal_wait.
 */
void journal_copies_create(struct journal_set *set, uint64_t bytes,
			   uint64_t patience_ns);
/*
 * Makes one more member hold everything that is uncovered, the file that is
 * open or being opened included. -ERR_UNAVAILABLE: there is none; else the
 * error of the last one tried.
 */
int journal_copies_add(struct journal *j) MUST_USE;
/*
 * The same without regard to who has failed before, for one member that
 * answers (and has room, as far as is known), and with all the patience there
 * is: C2 needs it now. -ERR_UNAVAILABLE: there is none.
 */
int journal_copies_insist(struct journal *j) MUST_USE;

/* ---- journal_members.c ---- */

/* Learns usage and names on all members, at the same time. */
void journal_members_survey(struct journal *j);
enum journal_need {
	JOURNAL_FOR_SPARE, /* an existing one is not taken, nobody waited for */
	JOURNAL_FOR_COPY,
	JOURNAL_FOR_C2, /* also one whose last attempt is not long ago */
};
/*
 * The best member to take on next; JOURNAL_JOINING from now on. Its slot, or
 * -ERR_UNAVAILABLE.
 */
int journal_members_recruit(struct journal *j, enum journal_need need) MUST_USE;
/* Names for the copies of a recruit that has none yet. 0 or a list's error. */
int journal_members_enlist(struct journal *j, unsigned slot) MUST_USE;
/* The member holds nothing any more; rc is why. */
void journal_members_drop(struct journal *j, unsigned slot, int rc);
/*
 * The same for one that did not answer within BACKEND_DEADLINE_MS: it does not
 * count as reachable (C2) until it answers again.
 */
void journal_members_give_up(struct journal *j, unsigned slot);
/* Members that hold copies, and others that are up and not silent: u. */
unsigned journal_members_reachable_locked(struct journal *j);
/* There are too few copies: what to tell, by what the others failed with. */
int journal_members_why(struct journal *j) MUST_USE;

/* ---- journal_move.c ---- */

/*
 * Brings f's used bytes to the open copy `to`, durably, from the members that
 * hold f; every record is authenticated on the way and taken from another
 * copy where it is damaged.
 */
int journal_move_file(struct journal *j, struct journal_file *f,
		      struct journal_copy *to) MUST_USE;

/* ---- journal_files.c ---- */

struct journal_file *journal_file_new(struct journal *j, uint64_t size);
/* Buries its copies and frees it. NULL is allowed. */
void journal_file_bury_locked(struct journal *j, struct journal_file *f);
/*
 * The file made ahead if it has room for `bytes`, else a new one without any
 * copies; now last of j->files. NULL: no memory.
 */
struct journal_file *journal_file_take(struct journal *j, uint64_t bytes);
/* Has the background look after released files, dead copies, the next file
 * and the spare. */
void journal_kick(struct journal *j);
/* What journal_kick queues. */
void journal_maintain(void *arg);
/* Makes the spare if there is none; no error if it cannot be made. */
void journal_make_spare(struct journal *j);
/* Closes dead copies and removes what may go; `all`: even what is young. */
void journal_remove_dead(struct journal *j, bool all);

/* ---- journal_write.c ---- */

/*
 * Opens a file for records from j->next_seq on, the first of which takes
 * `room` bytes: header durable on all copies. It is j->current then.
 */
int journal_open_file(struct journal *j, uint64_t room) MUST_USE;

#endif
