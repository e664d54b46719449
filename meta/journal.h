/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal.h - the replicated, encrypted log of records.
 *
 * m+1 members in different failure domains hold identical copies of a chain
 * of journal files journal/<epoch>-<number> (epoch number and file number, 16
 * and 8 hex digits); one more member holds a spare (an empty file made ahead).
 * Files are zero-filled when made (4 MiB first, doubling to 64 MiB, bounded by
 * 1/256 of the smallest member but at least 4 MiB), written with direct and
 * synchronous I/O, and recycled under a new number and a new salt. Layout:
 * journal_format.h.
 *
 * Records: {length, epoch, seq, chain to the previous, acknowledged-up-to}
 * as associated data, the payload sealed; key HKDF(master, file salt), nonce
 * the record's position in the file (C9: a failed append ends that file).
 * A record has at most JOURNAL_RECORD_MAX payload bytes.
 *
 * One appender at a time (the caller serialises appends; commit.c does);
 * everything else from any thread.
 */
#ifndef MENDFS_META_JOURNAL_H
#define MENDFS_META_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "backend/pool.h"

#define JOURNAL_RECORD_MAX (8u << 20)
#define JOURNAL_FILE_MIN   (4u << 20)
#define JOURNAL_FILE_MAX   (64u << 20)

struct journal;

struct journal_options {
	struct pool *pool; /* borrowed; its newest epoch is the journal's */
	uint64_t next_seq; /* of the first record */
	uint32_t file_min; /* 0: JOURNAL_FILE_MIN; tests make it small */
	uint32_t file_max; /* 0: JOURNAL_FILE_MAX; given: 8 of them are all
			      the space there is */
};

/*
 * Starts the journal of p's newest epoch: picks the members, makes the first
 * file on each of them and the spare, durable headers included. Works with
 * fewer than m+1 members up (says so in journal_copies). -ERR_UNAVAILABLE:
 * none; -ENOSPC.
 */
int journal_new(const struct journal_options *o, struct journal **out) MUST_USE;
/* Closes files; removes them from the members when `remove` (after a
 * checkpoint that covers everything). NULL is allowed. */
void journal_free(struct journal *j, bool remove);

/*
 * Appends record seq (the last one's + 1). Returns when it is durable on
 * min(m+1, u) copies (C2), with copies that failed or are slow replaced by the
 * spare or another member after all uncovered records were copied there.
 *
 * Members that answer count in u, also those that cannot hold a copy: one that
 * is full, so that without another the answer is -ENOSPC, and one that fails
 * otherwise. That one is asked again at once until it can or is DOWN (the
 * breaker of backend.h decides); if neither comes soon the answer is -EIO. One
 * that is DOWN, or has not answered within BACKEND_DEADLINE_MS when it was
 * asked last, does not count.
 *
 * `acked`: the last seq acknowledged to anyone, below seq. Errors: nothing may
 * be acknowledged; the file ends (C9) and the same record may be appended again
 * (it goes to a new file). -ENOSPC, -ERR_UNAVAILABLE (no copy took it), -EFBIG
 * (more than JOURNAL_RECORD_MAX; nothing was done), -ENOMEM, -EIO.
 */
int journal_append(struct journal *j, uint64_t seq, uint64_t acked,
		   const void *payload, size_t len) MUST_USE;
/*
 * Did an append fail for what the journal lacks: room, or members that can hold
 * a copy? Then a checkpoint, which needs no journal, may put an end to it.
 */
static inline bool journal_lacks(int rc)
{
	return rc == -ENOSPC || rc == -EIO || rc == -ERR_UNAVAILABLE;
}

/*
 * Records up to `covered` are in a durable checkpoint whose superblocks are
 * on all reachable members, and no segment's bytes in records up to it are
 * needed (C3): files with nothing newer are recycled or removed.
 */
void journal_release(struct journal *j, uint64_t covered);

struct journal_stats {
	unsigned copies;	 /* members that hold all uncovered records */
	unsigned copies_wanted;	 /* m+1 */
	uint64_t used_bytes;	 /* in files not released, one copy */
	uint64_t limit_bytes;	 /* of space for one copy: operations should
				    wait at 90 % */
	uint64_t records, bytes; /* since journal_new */
	uint64_t replaced;	 /* copies moved */
};
void journal_get_stats(struct journal *j, struct journal_stats *out);

struct journal_scan_result {
	uint64_t records;  /* handed out */
	uint64_t last_seq; /* of the last one; from_seq - 1 if none */
	uint64_t acked;	   /* highest acknowledged-up-to seen */
	uint64_t damaged;  /* copies of records found damaged; the first
			      good copy is enough, so others are not known */
	bool lost;	   /* acked > last_seq: acknowledged data is missing */
	unsigned heard;	   /* members whose copies could be read to the end */
};
/*
 * Recovery: reads all journal files of the epoch `epoch_id` on all reachable
 * members, merges the copies and hands out records from_seq, from_seq + 1, ...
 * once each, in order, until the chain ends: each(arg, seq, payload, len),
 * non-zero ends it and is returned. A record damaged in one copy is taken from
 * another. Memory is bounded by one journal file per member plus two records.
 * Nothing is written.
 *
 * -ERR_UNAVAILABLE: at the end so many members could not be read (unknown is
 * not missing, C6) that fewer than n-m were heard, though so many were up. What
 * was handed out is right, but there may be more. Also -ENOMEM.
 */
int journal_scan(struct pool *p, const uint8_t epoch_id[16], uint64_t from_seq,
		 int (*each)(void *arg, uint64_t seq, const void *payload,
			     size_t len),
		 void *arg, struct journal_scan_result *out) MUST_USE;

/*
 * Removes journal files of other epochs than the newest from the reachable
 * members. Only after a checkpoint of the newest epoch is durable on all of
 * them. Files that are no journal's, of another pool, of a later epoch or not
 * to be read stay. Returns the first error met; the others are gone then.
 */
int journal_remove_old(struct pool *p) MUST_USE;

#endif
