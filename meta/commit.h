/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commit.h - group commit: operations become records, records become durable.
 *
 * Record payload: varint length of the statement log, the log, then what the
 * journaled segments carry (jseg.h).
 *
 * commit_wait is the only way to durability: the first waiter becomes the
 * leader, cuts the open record and appends it; those who come meanwhile wait
 * and share the next. If an append fails the record is kept and tried again
 * before anything newer; nobody is told "durable" meanwhile (C2).
 *
 * Threads: any. Not inside an operation.
 */
#ifndef MENDFS_META_COMMIT_H
#define MENDFS_META_COMMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/limit.h"
#include "meta/index.h"
#include "meta/journal.h"
#include "meta/jseg.h"

/* A record is closed when this much waits for it. */
#define COMMIT_RECORD_BYTES LIMIT(1u << 20, 12u << 10)

struct commit;

/* journal NULL (recovery, mkfs): records are cut but not appended, and count
 * as durable only through the checkpoint that follows. */
int commit_new(struct index *ix, struct jseg *js, struct journal *journal,
	       struct commit **out) MUST_USE;
void commit_free(struct commit *c);
void commit_set_journal(struct commit *c, struct journal *journal);
/*
 * gate(arg) is asked before a record is appended, and again once it is in the
 * journal: with an error nobody is told that it is durable, and the leader
 * asks again the next time. It may block. NULL: none.
 */
void commit_set_gate(struct commit *c, int (*gate)(void *arg), void *arg);

/* Number of the open record: an operation that ends in this lock hold is
 * durable once commit_durable() >= it. [locked or op] */
uint64_t commit_open_seq(struct commit *c);

/* Returns 0 when record seq is durable on min(m+1, u) copies. */
int commit_wait(struct commit *c, uint64_t seq) MUST_USE;
/* Makes all operations ended before the call durable. */
int commit_all(struct commit *c) MUST_USE;
/* Closes the record in the background manner if enough waits for it: called
 * after operations and jseg_add; returns at once when little waits, and waits
 * for the leader when very much does. Errors are kept for commit_wait. */
void commit_maybe(struct commit *c);

/*
 * Cuts a record, empty or not, calls hook(arg, seq) in the same lock hold,
 * then appends it. For checkpoints. The hook's error is returned (the record
 * is appended all the same).
 */
int commit_cut_hook(struct commit *c, int (*hook)(void *arg, uint64_t seq),
		    void *arg, uint64_t *seq_out) MUST_USE;

/*
 * Ends it: from the return on no record becomes durable and every call that
 * would wait for one answers rc, a negative error. What was durable stays so.
 */
void commit_stop(struct commit *c, int rc);

/* Highest durable record. */
uint64_t commit_durable(struct commit *c);
/* The error that keeps records from becoming durable now, or 0. */
int commit_error(struct commit *c);
/*
 * The same, but 0 as long as the open record can take more operations. Who
 * would begin some that can be refused asks before: commit_maybe cannot hold
 * them back while appending fails, and a record has its limit.
 */
int commit_blocked(struct commit *c);

#endif
