/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "base/must.h"
#include "base/mutant.h"
#include "meta/index_impl.h"
#include "meta/stmt_log.h"

static int replay_entry(struct index *ix, struct reader *r)
{
	struct value values[STMT_VALUES_MAX];
	uint64_t no = reader_varint(r);
	uint64_t changed = reader_varint(r);
	int rc, n;

	if (r->bad)
		return -ERR_TRUNCATED;
	n = stmt_params(ix->stmts, no);
	if (n < 0)
		return n;
	MUST(n <= STMT_VALUES_MAX);
	rc = stmt_log_values(r, values, (unsigned)n);
	if (rc)
		return rc;
	rc = stmt_run(ix->stmts, (enum stmt_no)no, values, (unsigned)n);
	if (rc == -EEXIST || rc == -EINVAL)
		return -ERR_REPLAY;
	if (rc < 0)
		return rc;
	if (MUTANT(SKIP_ROW_COUNT))
		return 0;
	return (uint64_t)rc == changed && changed ? 0 : -ERR_REPLAY;
}

static int replay_operation(struct index *ix, struct reader *r)
{
	uint64_t entries = reader_varint(r);
	int rc = 0;

	if (r->bad)
		return -ERR_TRUNCATED;
	if (!entries)
		return -ERR_RANGE;
	for (uint64_t i = 0; !rc && i < entries; i++)
		rc = replay_entry(ix, r);
	return rc;
}

static int replay_all(struct index *ix, struct reader *r)
{
	uint64_t version = reader_varint(r);
	int rc = 0;

	if (r->bad)
		return -ERR_TRUNCATED;
	if (version != INDEX_VERSION)
		return -ERR_REPLAY;
	while (!rc && reader_left(r))
		rc = replay_operation(ix, r);
	return rc;
}

/* One that only undone operations have opened. */
static int drop_transaction(struct index *ix)
{
	bool open = ix->in_txn;

	ix->in_txn = false;
	ix->undone = false;
	return open ? stmt_control(ix->stmts, CONTROL_ROLLBACK) : 0;
}

/*
 * Runs the record and reads what it left. Its last operation must have stored
 * the number that the journal calls it by.
 */
static int replay_record(struct index *ix, uint64_t seq, struct reader *r,
			 struct meta_state *meta)
{
	int rc = replay_all(ix, r);

	if (rc)
		return rc;
	rc = index_read_meta(ix, meta);
	if (rc == -ERR_CORRUPT || rc == -ERR_FEATURE)
		return -ERR_REPLAY;
	return rc || meta->seq == seq ? rc : -ERR_REPLAY;
}

static int replay_locked(struct index *ix, uint64_t seq, struct reader *r)
{
	struct meta_state meta = {0};
	int rc;

	if (stmts_sticky(ix->stmts))
		return -ERR_STICKY;
	if (ix->ops)
		return -EBUSY;
	if (seq != ix->seq + 1)
		return -ERR_REPLAY;
	rc = drop_transaction(ix);
	if (!rc)
		rc = stmt_control(ix->stmts, CONTROL_BEGIN);
	if (rc)
		return rc;
	rc = replay_record(ix, seq, r, &meta);
	if (rc) {
		(void)stmt_control(ix->stmts, CONTROL_ROLLBACK);
		return rc;
	}
	rc = stmt_control(ix->stmts, CONTROL_COMMIT);
	if (rc)
		return rc;
	index_take_meta(ix, &meta);
	ix->counts_stale = true;
	return 0;
}

int index_replay(struct index *ix, uint64_t seq, const void *log, size_t len)
{
	struct reader r = reader_of(log, len);
	int rc;

	index_lock(ix);
	MUST(!ix->in_op);
	rc = replay_locked(ix, seq, &r);
	index_unlock(ix);
	return rc;
}
