/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stmt.h - prepared statements of one connection, typed values in and out.
 *
 * Statements are prepared when first used and stay. The holder of the index
 * lock calls everything here.
 *
 * Sticky (C8): once SQLite has given up a transaction on its own, or the owner
 * says so, every call answers -ERR_STICKY.
 */
#ifndef MENDFS_META_STMT_H
#define MENDFS_META_STMT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "meta/index_vfs.h"
#include "meta/stmt_table.h"

#define STMT_VALUES_MAX 16

struct sqlite3;

/* Numbers are part of the statement log's format (stmt_log.h). */
enum value_type {
	VALUE_NULL = 0,
	VALUE_INT = 1,
	VALUE_BLOB = 2,
	VALUE_TEXT = 3
};

/* What a parameter is bound to; p is borrowed for the call. */
struct value {
	enum value_type type;
	int64_t i;
	const void *p;
	size_t len;
};
#define V_INT(x) ((struct value){.type = VALUE_INT, .i = (int64_t)(x)})
#define V_BLOB(ptr, n) \
	((struct value){.type = VALUE_BLOB, .p = (ptr), .len = (n)})

struct stmts;

/* db and v are borrowed. 0 or -ENOMEM. */
int stmts_new(struct sqlite3 *db, const struct index_vfs *v,
	      struct stmts **out);
/* Finalises. NULL is allowed. */
void stmts_free(struct stmts *s);

void stmts_set_sticky(struct stmts *s);
bool stmts_sticky(const struct stmts *s);

/*
 * How many parameters statement `no` has; -ERR_REPLAY: there is no such
 * statement (numbers come from journals).
 */
int stmt_params(struct stmts *s, uint64_t no) MUST_USE;
/* Runs it; rows changed, or an error (-EEXIST: a key is taken). */
int stmt_run(struct stmts *s, enum stmt_no no, const struct value *v,
	     unsigned n) MUST_USE;

enum stmt_control {
	CONTROL_BEGIN,
	CONTROL_COMMIT,
	CONTROL_ROLLBACK, /* of the whole transaction */
	CONTROL_SAVE,
	CONTROL_KEEP, /* ends the savepoint */
	CONTROL_UNDO, /* to the savepoint and ends it */
	CONTROL_COUNT
};
/* An UNDO or ROLLBACK that fails makes everything sticky; so does COMMIT. */
int stmt_control(struct stmts *s, enum stmt_control c);
/*
 * Writes the pages changed so far to the file, so that COMMIT need not. Between
 * statements. With index_vfs_forgive a failure has no effect.
 */
void stmts_flush(struct stmts *s);

/* One run of a query. On the stack: AUTO(query_end) struct query q = {0}; */
struct query {
	struct stmts *s;
	void *stmt;
	bool once; /* not from the table: finalised at the end */
};
int query_begin(struct query *q, struct stmts *s, enum query_no no,
		const struct value *v, unsigned n) MUST_USE;
/* SQL that is not in the table, for checks; no parameters. */
int query_begin_sql(struct query *q, struct stmts *s, const char *sql) MUST_USE;
/* 1: a row is there, 0: no more. What columns point at lives until the next
 * call. */
int query_row(struct query *q) MUST_USE;
int64_t query_int(const struct query *q, int column);
bool query_is_null(const struct query *q, int column);
/* Never NULL. */
const void *query_blob(const struct query *q, int column, size_t *len_out);
/* Idempotent. */
void query_end(struct query *q);

#endif
