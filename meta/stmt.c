/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/stmt.h"

#include <string.h>

#include <sqlite3.h>

#include "base/mem.h"
#include "base/must.h"
#include "meta/index_db.h"

struct stmts {
	struct sqlite3 *db;
	const struct index_vfs *vfs;
	bool sticky;
	bool in_txn; /* as far as we know; SQLite may have ended it */
	sqlite3_stmt *run[STMT_LIMIT];
	sqlite3_stmt *query[QUERY_COUNT];
	sqlite3_stmt *control[CONTROL_COUNT + 1];
};

static const char *const run_sql[STMT_LIMIT] = {
#define STMT_SQL_(number, name, sql) [number] = sql,
	STMT_TABLE(STMT_SQL_)
#undef STMT_SQL_
};
static const char *const query_sql[QUERY_COUNT] = {
#define QUERY_SQL_(name, sql) sql,
	QUERY_TABLE(QUERY_SQL_)
#undef QUERY_SQL_
};
#define CONTROL_RELEASE CONTROL_COUNT /* second half of UNDO */
static const char *const control_sql[CONTROL_COUNT + 1] = {
	[CONTROL_BEGIN] = "BEGIN",	  [CONTROL_COMMIT] = "COMMIT",
	[CONTROL_ROLLBACK] = "ROLLBACK",  [CONTROL_SAVE] = "SAVEPOINT op",
	[CONTROL_KEEP] = "RELEASE op",	  [CONTROL_UNDO] = "ROLLBACK TO op",
	[CONTROL_RELEASE] = "RELEASE op",
};

/*
 * The code of a failure. After some of them SQLite has rolled the whole
 * transaction back: kept operations are gone from the tables and not from the
 * log.
 */
static int failed(struct stmts *s, int code)
{
	int rc = index_db_error(s->vfs, code);

	if (rc && s->in_txn && sqlite3_get_autocommit(s->db))
		s->sticky = true;
	return rc;
}

static int prepare(struct stmts *s, const char *sql, unsigned flags,
		   sqlite3_stmt **slot)
{
	if (*slot)
		return 0;
	return failed(s, sqlite3_prepare_v3(s->db, sql, -1, flags, slot, NULL));
}

/*
 * Control statements are prepared at once: undoing must not depend on memory.
 */
int stmts_new(struct sqlite3 *db, const struct index_vfs *v, struct stmts **out)
{
	struct stmts *s = mem_zalloc(sizeof(*s));
	int rc = 0;

	if (!s)
		return -ENOMEM;
	s->db = db;
	s->vfs = v;
	for (size_t i = 0; !rc && i < ARRAY_LEN(control_sql); i++)
		rc = prepare(s, control_sql[i], SQLITE_PREPARE_PERSISTENT,
			     &s->control[i]);
	if (rc)
		stmts_free(s);
	else
		*out = s;
	return rc;
}

static void finalize_all(sqlite3_stmt **stmt, size_t n)
{
	for (size_t i = 0; i < n; i++)
		(void)sqlite3_finalize(stmt[i]);
}

void stmts_free(struct stmts *s)
{
	if (!s)
		return;
	finalize_all(s->run, ARRAY_LEN(s->run));
	finalize_all(s->query, ARRAY_LEN(s->query));
	finalize_all(s->control, ARRAY_LEN(s->control));
	mem_free(s);
}

void stmts_set_sticky(struct stmts *s)
{
	s->sticky = true;
}

bool stmts_sticky(const struct stmts *s)
{
	return s->sticky;
}

static int bind_one(sqlite3_stmt *stmt, int at, const struct value *v)
{
	/* A NULL pointer would bind NULL. */
	const void *p = v->p ? v->p : "";

	switch (v->type) {
	case VALUE_INT:
		return sqlite3_bind_int64(stmt, at, v->i);
	case VALUE_BLOB:
		return sqlite3_bind_blob64(stmt, at, p, v->len, SQLITE_STATIC);
	case VALUE_TEXT:
		return sqlite3_bind_text64(stmt, at, p, v->len, SQLITE_STATIC,
					   SQLITE_UTF8);
	default:
		return sqlite3_bind_null(stmt, at);
	}
}

static int bind_all(struct stmts *s, sqlite3_stmt *stmt, const struct value *v,
		    unsigned n)
{
	MUST((int)n == sqlite3_bind_parameter_count(stmt));
	for (unsigned i = 0; i < n; i++) {
		int code = bind_one(stmt, (int)i + 1, &v[i]);

		if (code != SQLITE_OK)
			return failed(s, code);
	}
	return 0;
}

static int prepare_run(struct stmts *s, enum stmt_no no)
{
	return prepare(s, run_sql[no], SQLITE_PREPARE_PERSISTENT, &s->run[no]);
}

int stmt_params(struct stmts *s, uint64_t no)
{
	int rc;

	if (no >= STMT_LIMIT || !run_sql[no])
		return -ERR_REPLAY;
	rc = prepare_run(s, (enum stmt_no)no);
	return rc ? rc : sqlite3_bind_parameter_count(s->run[no]);
}

/* Steps to the end and resets; the first error counts. */
static int run_to_end(struct stmts *s, sqlite3_stmt *stmt)
{
	int code = sqlite3_step(stmt);
	int reset = sqlite3_reset(stmt);

	if (code == SQLITE_DONE || code == SQLITE_ROW)
		code = reset;
	return failed(s, code);
}

int stmt_run(struct stmts *s, enum stmt_no no, const struct value *v,
	     unsigned n)
{
	int rc;

	if (s->sticky)
		return -ERR_STICKY;
	rc = prepare_run(s, no);
	if (!rc)
		rc = bind_all(s, s->run[no], v, n);
	if (!rc)
		rc = run_to_end(s, s->run[no]);
	return rc ? rc : sqlite3_changes(s->db);
}

static bool must_not_fail(enum stmt_control c)
{
	return c == CONTROL_COMMIT || c == CONTROL_ROLLBACK ||
	       c == CONTROL_UNDO;
}

int stmt_control(struct stmts *s, enum stmt_control c)
{
	int rc;

	if (s->sticky)
		return -ERR_STICKY;
	if (c == CONTROL_ROLLBACK)
		s->in_txn = false; /* it may have ended already */
	rc = run_to_end(s, s->control[c]);
	if (!rc && c == CONTROL_UNDO)
		rc = run_to_end(s, s->control[CONTROL_RELEASE]);
	if (!rc && c == CONTROL_BEGIN)
		s->in_txn = true;
	if (!rc && c == CONTROL_COMMIT)
		s->in_txn = false;
	if (rc && must_not_fail(c))
		s->sticky = true;
	return rc;
}

/* What is not written now, COMMIT writes. */
void stmts_flush(struct stmts *s)
{
	if (!s->sticky)
		(void)failed(s, sqlite3_db_cacheflush(s->db));
}

/* ---- queries ---- */

int query_begin(struct query *q, struct stmts *s, enum query_no no,
		const struct value *v, unsigned n)
{
	int rc;

	if (s->sticky)
		return -ERR_STICKY;
	rc = prepare(s, query_sql[no], SQLITE_PREPARE_PERSISTENT,
		     &s->query[no]);
	if (rc)
		return rc;
	MUST(!sqlite3_stmt_busy(s->query[no]));
	*q = (struct query){.s = s, .stmt = s->query[no]};
	return bind_all(s, s->query[no], v, n);
}

int query_begin_sql(struct query *q, struct stmts *s, const char *sql)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	if (s->sticky)
		return -ERR_STICKY;
	rc = prepare(s, sql, 0, &stmt);
	if (!rc)
		*q = (struct query){.s = s, .stmt = stmt, .once = true};
	return rc;
}

int query_row(struct query *q)
{
	int code = sqlite3_step(q->stmt);

	if (code == SQLITE_ROW)
		return 1;
	return code == SQLITE_DONE ? 0 : failed(q->s, code);
}

int64_t query_int(const struct query *q, int column)
{
	return sqlite3_column_int64(q->stmt, column);
}

bool query_is_null(const struct query *q, int column)
{
	return sqlite3_column_type(q->stmt, column) == SQLITE_NULL;
}

const void *query_blob(const struct query *q, int column, size_t *len_out)
{
	const void *p = sqlite3_column_blob(q->stmt, column);

	*len_out = (size_t)sqlite3_column_bytes(q->stmt, column);
	return p ? p : "";
}

void query_end(struct query *q)
{
	if (q->stmt && q->once)
		(void)sqlite3_finalize(q->stmt);
	else if (q->stmt)
		(void)sqlite3_reset(q->stmt);
	q->stmt = NULL;
}
