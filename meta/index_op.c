/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations and records.
 *
 *               index_begin          op_run            index_end, kept
 *      idle ---------------> in_op --------> saved ----------------------> idle
 *                              |               |    dead marks, space, log
 *                              |               +-- index_end, undone ----> idle
 *                              +-- index_end ----------------------------> idle
 *      idle -- index_cut: counters and seq as one operation, COMMIT -----> idle
 *
 * 1. SQLite's transaction is open (in_txn) from the first change of a record
 *    to its cut; the savepoint (saved) from the first change of an operation
 *    to its end. Who only reads pays for neither.
 * 2. The record's log holds the operations that were kept, whole and in order;
 *    op_log those of the open one. A statement that changed no row is not
 *    noted: it has no effect at replay either.
 * 3. Everything that can fail comes before the savepoint is released: memory
 *    for the log, space in the file, dead marks. Applying what is left to do in
 *    memory cannot fail.
 * 4. Pages that changed are written out every FLUSH_STATEMENTS statements, so
 *    that a COMMIT finds few of them and no hold of the lock is long.
 * 5. If tables and log could disagree (an undo, a release after the log was
 *    joined, or a COMMIT failed; SQLite dropped the transaction) the statements
 *    turn sticky (C8).
 */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"
#include "meta/index_clear.h"
#include "meta/index_impl.h"
#include "meta/stmt_log.h"

#define LOG_HEADS   20	 /* bytes at most of version and entry count */
#define PAGES_AHEAD 1024 /* reserved beyond what is there */

/* Who holds the lock so long lets others have it next. */
#define LONG_NS	  100000
#define WAY_NS	  50000
#define WAY_TRIES 20

/* ---- the lock ---- */

void index_lock(struct index *ix)
{
	if (!mutex_trylock(&ix->lock)) {
		atomic_fetch_add(&ix->waiting, 1);
		mutex_lock(&ix->lock);
		atomic_fetch_sub(&ix->waiting, 1);
		atomic_fetch_add(&ix->passed, 1);
	}
	ix->locked_at_ns = clock_mono_ns();
}

/*
 * Lets one of those go first that wait. Who makes one long operation after
 * another would shut them out: they are slower to wake up than it is to come
 * back.
 */
static void give_way(struct index *ix)
{
	uint64_t passed = atomic_load(&ix->passed);

	MUTEX_GUARD(&ix->way);
	for (unsigned i = 0; i < WAY_TRIES; i++) {
		if (!atomic_load(&ix->waiting) ||
		    atomic_load(&ix->passed) != passed)
			return;
		(void)cond_wait_until(&ix->never, &ix->way,
				      clock_mono_ns() + WAY_NS);
	}
}

void index_unlock(struct index *ix)
{
	uint64_t held = clock_mono_ns() - ix->locked_at_ns;

	if (held > atomic_load(&ix->longest_ns))
		atomic_store(&ix->longest_ns, held);
	mutex_unlock(&ix->lock);
	if (held > LONG_NS && atomic_load(&ix->waiting))
		give_way(ix);
}

uint64_t index_longest_hold_ns(struct index *ix)
{
	return atomic_load(&ix->longest_ns);
}

void index_forget_holds(struct index *ix)
{
	atomic_store(&ix->longest_ns, 0);
}

/* ---- statements ---- */

static int open_savepoint(struct index *ix)
{
	int rc = 0;

	if (ix->saved)
		return 0;
	if (!ix->in_txn)
		rc = stmt_control(ix->stmts, CONTROL_BEGIN);
	if (rc)
		return rc;
	ix->in_txn = true;
	rc = stmt_control(ix->stmts, CONTROL_SAVE);
	ix->saved = !rc;
	return rc;
}

static int run_and_note(struct index *ix, enum stmt_no no,
			const struct value *v, unsigned n)
{
	int changed, rc = open_savepoint(ix);

	if (rc)
		return rc;
	changed = stmt_run(ix->stmts, no, v, n);
	if (changed <= 0)
		return changed;
	rc = stmt_log_add(&ix->op_log, no, (unsigned)changed, v, n);
	if (rc)
		return rc;
	ix->op_entries++;
	return changed;
}

int op_doubt(struct index *ix, int rc)
{
	if (rc < 0 && !ix->op_error)
		ix->op_error = rc;
	return rc;
}

int op_run(struct index *ix, enum stmt_no no, const struct value *v, unsigned n)
{
	int rc;

	MUST(ix->in_op);
	rc = run_and_note(ix, no, v, n);
	return rc == -EEXIST ? rc : op_doubt(ix, rc);
}

int op_run_one(struct index *ix, enum stmt_no no, const struct value *v,
	       unsigned n)
{
	int rc = op_run(ix, no, v, n);

	if (rc < 0)
		return rc;
	return rc ? 0 : -ENOENT;
}

int query_one(struct query *q)
{
	int rc = query_row(q);

	if (rc < 0)
		return rc;
	return rc ? 0 : -ENOENT;
}

/* ---- operations ---- */

int index_begin(struct index *ix)
{
	int rc;

	index_lock(ix);
	MUST(!ix->in_op);
	rc = stmts_sticky(ix->stmts) ? -ERR_STICKY : index_load_counts(ix);
	if (rc)
		index_unlock(ix);
	else
		ix->in_op = true;
	return rc;
}

/* A sealed segment that nothing refers to any more dies with this record. */
static int mark_dead(struct index *ix)
{
	uint64_t seq = ix->seq + 1;

	for (struct seg_ref *r = ix->refs.touched; r; r = r->touched_next) {
		int rc;

		if (r->now.state != SEG_SEALED || r->now.rows)
			continue;
		rc = OP_RUN_ONE(ix, STMT_SEGMENT_DEAD, V_INT(r->node.key),
				V_INT(seq));
		if (rc)
			return rc == -ENOENT ? -ERR_CORRUPT : rc;
		r->now.state = SEG_DEAD;
	}
	return 0;
}

/* Pages that the open operation can have added, generously: each changed row
 * may split its way up in the table and two indexes. */
static uint32_t pages_added(const struct index *ix)
{
	return 16 + 4 * ix->op_entries + (uint32_t)(ix->op_log.len / 1024);
}

/* Asks SQLite, and makes room for what the next operations may add too. */
static int reserve_exactly(struct index *ix)
{
	AUTO(query_end) struct query q = {0};
	int rc = query_begin(&q, ix->stmts, QUERY_PAGE_COUNT, NULL, 0);

	if (!rc)
		rc = query_one(&q);
	if (rc)
		return rc;
	ix->pages_bound = (uint32_t)query_int(&q, 0);
	ix->pages_sure = ix->pages_bound + PAGES_AHEAD;
	if (index_file_reserve(ix->file, ix->pages_sure) == 0)
		return 0;
	ix->pages_sure = ix->pages_bound;
	return index_file_reserve(ix->file, ix->pages_bound);
}

/*
 * The file has room for what the operation added. SQLite is only asked how
 * many pages there are when a running upper bound passes what is reserved.
 */
static int reserve_space(struct index *ix)
{
	uint32_t added = pages_added(ix);

	if (ix->pages_bound + added > ix->pages_sure)
		return reserve_exactly(ix);
	ix->pages_bound += added;
	return 0;
}

/* The log's memory was reserved before. */
static void join_log(struct index *ix)
{
	int rc = 0;

	if (!ix->log.len)
		rc = bytes_add_varint(&ix->log, INDEX_VERSION);
	if (!rc)
		rc = bytes_add_varint(&ix->log, ix->op_entries);
	if (!rc)
		rc = bytes_add(&ix->log, ix->op_log.data, ix->op_log.len);
	MUST(rc == 0);
	ix->ops++;
	ix->unflushed += ix->op_entries;
	atomic_store(&ix->pending, ix->log.len);
}

static int keep(struct index *ix)
{
	int rc = mark_dead(ix);

	if (!rc && !ix->saved)
		return 0;
	if (!rc)
		rc = reserve_space(ix);
	if (!rc)
		rc = bytes_reserve(&ix->log, LOG_HEADS + ix->op_log.len);
	if (!rc)
		rc = stmt_control(ix->stmts, CONTROL_KEEP);
	if (rc)
		return rc;
	ix->saved = false;
	if (ix->op_entries)
		join_log(ix);
	return 0;
}

static void undo(struct index *ix)
{
	if (ix->saved) {
		ix->undone |= ix->op_entries > 0;
		/* Sticky if it fails; the caller's error says enough. */
		(void)stmt_control(ix->stmts, CONTROL_UNDO);
		ix->saved = false;
	}
	refs_undo(&ix->refs);
	ix->inodes_op = 0;
}

int op_finish(struct index *ix, int rc)
{
	int kept = 0;

	MUST(ix->in_op);
	if (rc >= 0 && ix->op_error)
		rc = ix->op_error;
	if (rc >= 0)
		kept = keep(ix);
	if (kept < 0)
		rc = kept;
	if (rc < 0)
		undo(ix);
	refs_apply(&ix->refs);
	ix->inodes += (uint64_t)ix->inodes_op;
	ix->inodes_op = 0;
	ix->bytes_op = 0;
	ix->op_log.len = 0;
	ix->op_entries = 0;
	ix->op_error = 0;
	ix->in_op = false;
	return rc;
}

/* 4. A page that cannot be written now is written by the COMMIT, if it can. */
static void flush_some(struct index *ix)
{
	if (ix->unflushed < FLUSH_STATEMENTS)
		return;
	ix->unflushed = 0;
	index_vfs_forgive(ix->vfs, true);
	stmts_flush(ix->stmts);
	index_vfs_forgive(ix->vfs, false);
}

int index_end(struct index *ix, int rc)
{
	rc = op_finish(ix, rc);
	flush_some(ix);
	index_unlock(ix);
	return rc;
}

unsigned index_op_changes(const struct index *ix)
{
	return ix->op_entries;
}

size_t index_pending(struct index *ix)
{
	return atomic_load(&ix->pending);
}

/* ---- counters ---- */

uint64_t index_next(struct index *ix, enum index_counter which)
{
	return atomic_fetch_add(&ix->counter[which], 1);
}

uint64_t index_peek(struct index *ix, enum index_counter which)
{
	return atomic_load(&ix->counter[which]);
}

/* ---- records ---- */

static int set_meta(struct index *ix, unsigned key, uint64_t value)
{
	int rc = OP_RUN_ONE(ix, STMT_META_SET, V_INT(key), V_INT(value));

	return rc == -ENOENT ? -ERR_CORRUPT : rc;
}

/* now_out: what the counters were when they were written. */
static int store_meta(struct index *ix, uint64_t seq, uint64_t *now_out)
{
	int rc = set_meta(ix, META_SEQ, seq);

	for (unsigned i = 0; !rc && i < COUNTER_COUNT; i++) {
		now_out[i] = index_peek(ix, (enum index_counter)i);
		if (now_out[i] != ix->stored[i])
			rc = set_meta(ix, META_COUNTER + i, now_out[i]);
	}
	return rc;
}

/* Ends SQLite's transaction; from here on there is no way back. */
static int commit(struct index *ix)
{
	int rc = stmt_control(ix->stmts, CONTROL_COMMIT);

	ix->in_txn = false;
	if (!rc && ix->undone)
		rc = index_clear_free(ix->file);
	index_file_forget_written(ix->file);
	if (rc)
		stmts_set_sticky(ix->stmts);
	ix->undone = false;
	ix->unflushed = 0;
	return rc;
}

int index_cut(struct index *ix, uint64_t seq, bool empty_ok, struct bytes *log)
{
	uint64_t now[COUNTER_COUNT];
	int rc;

	MUST(!ix->in_op);
	if (stmts_sticky(ix->stmts))
		return -ERR_STICKY;
	if (seq != ix->seq + 1)
		return -EINVAL;
	if (!ix->ops && !empty_ok)
		return -ENODATA;
	ix->in_op = true;
	rc = op_finish(ix, store_meta(ix, seq, now));
	if (!rc)
		rc = commit(ix);
	if (rc)
		return rc;
	ix->seq = seq;
	memcpy(ix->stored, now, sizeof(now));
	bytes_release(log);
	*log = ix->log;
	ix->log = (struct bytes){0};
	ix->ops = 0;
	atomic_store(&ix->pending, 0);
	return 0;
}

uint64_t index_seq(struct index *ix)
{
	return ix->seq;
}
