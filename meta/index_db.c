/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schema is disk format: tables and columns as they are here lie in every
 * checkpoint. Choices:
 *
 * 1. A stored integer of 0 or 1 takes no byte beyond its type code, so columns
 *    are coded to be 0 or 1 in the usual case (rows_inode.c, rows_dentry.c).
 * 2. Declared types are those that never make SQLite convert what is bound.
 * 3. dentry_parent(parent) has the row's id behind it by nature: readdir order.
 * 4. hist_* hold versions of rows that a snapshot may need: `died` is the
 *    first generation that does not see them. They are empty without
 *    snapshots.
 * 5. secure_delete: freed bytes become zeros, so that a file rebuilt by replay
 *    is equal to the last byte, and free pages compress to nothing.
 */
#include "meta/index_db.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "base/mem.h"
#include "base/sync.h"
#include "meta/index_page.h"

#define INODE_COLUMNS                                                 \
	"mode INT, uid INT, gid INT, nlink INT, size INT, data INT, " \
	"mtime INT, atime INT, ctime INT, btime INT, rdev INT, "      \
	"flags INT, generation INT, born INT"
#define DENTRY_COLUMNS "parent INT, ino INT, type INT, born INT, name BLOB"
#define EXTENT_COLUMNS                                                 \
	"data INT, off INT, len INT, segment INT, pos INT, skip INT, " \
	"born INT, chunks BLOB"
#define XATTR_COLUMNS "ino INT, name BLOB, value BLOB, born INT"

static const char *const schema[] = {
	"CREATE TABLE meta(key INTEGER PRIMARY KEY, value INT)",

	"CREATE TABLE inode(ino INTEGER PRIMARY KEY, " INODE_COLUMNS ")",
	"CREATE TABLE symlink(ino INTEGER PRIMARY KEY, target BLOB)",
	"CREATE TABLE dentry(id INTEGER PRIMARY KEY, " DENTRY_COLUMNS ")",
	"CREATE UNIQUE INDEX dentry_name ON dentry(parent, name)",
	"CREATE INDEX dentry_parent ON dentry(parent)",
	"CREATE INDEX dentry_ino ON dentry(ino)",
	"CREATE TABLE xattr(" XATTR_COLUMNS ", PRIMARY KEY(ino, name)) "
	"WITHOUT ROWID",

	"CREATE TABLE extent(" EXTENT_COLUMNS ", PRIMARY KEY(data, off)) "
	"WITHOUT ROWID",
	/* a chunk run that several data ids show: references beyond one */
	"CREATE TABLE shared(segment INT, pos INT, extra INT, "
	"PRIMARY KEY(segment, pos)) WITHOUT ROWID",
	"CREATE TABLE segment(id INTEGER PRIMARY KEY, state INT, "
	"dead_seq INT, descr BLOB)",
	"CREATE INDEX segment_state ON segment(state) WHERE state <> 2",

	"CREATE TABLE queue(id INTEGER PRIMARY KEY, kind INT, a INT, b INT)",
	"CREATE INDEX queue_kind ON queue(kind, a)",

	"CREATE TABLE snapshot(id INTEGER PRIMARY KEY, dir INT, "
	"generation INT, created INT, flags INT, name BLOB)",
	"CREATE UNIQUE INDEX snapshot_name ON snapshot(dir, name)",
	"CREATE INDEX snapshot_generation ON snapshot(generation)",
	"CREATE TABLE hist_inode(ino INT, died INT, " INODE_COLUMNS
	", PRIMARY KEY(ino, died)) WITHOUT ROWID",
	"CREATE TABLE hist_dentry(id INT, " DENTRY_COLUMNS ", died INT, "
	"PRIMARY KEY(parent, name, died)) WITHOUT ROWID",
	"CREATE INDEX hist_dentry_ino ON hist_dentry(ino, died)",
	"CREATE TABLE hist_extent(" EXTENT_COLUMNS ", died INT, "
	"PRIMARY KEY(data, off, died)) WITHOUT ROWID",
	"CREATE TABLE hist_xattr(" XATTR_COLUMNS ", died INT, "
	"PRIMARY KEY(ino, name, died)) WITHOUT ROWID",
};

/* ---- SQLite's memory ---- */

static void *x_malloc(int size)
{
	return mem_alloc((size_t)size);
}

static void *x_realloc(void *p, int size)
{
	return mem_realloc(p, (size_t)size);
}

static int x_size(void *p)
{
	return p ? (int)malloc_usable_size(p) : 0;
}

static int x_roundup(int size)
{
	return (size + 7) & ~7;
}

static int x_init(void *arg)
{
	(void)arg;
	return SQLITE_OK;
}

static void x_shutdown(void *arg)
{
	(void)arg;
}

static const sqlite3_mem_methods memory = {
	.xMalloc = x_malloc,
	.xFree = mem_free,
	.xRealloc = x_realloc,
	.xSize = x_size,
	.xRoundup = x_roundup,
	.xInit = x_init,
	.xShutdown = x_shutdown,
};

int index_db_start(void)
{
	static struct mutex once = MUTEX_INIT;
	static bool configured;

	MUTEX_GUARD(&once);
	if (!configured) {
		(void)sqlite3_config(SQLITE_CONFIG_MALLOC, &memory);
		(void)sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
		(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
		configured = true;
	}
	return sqlite3_initialize() == SQLITE_OK ? 0 : -ENOMEM;
}

/* ---- errors ---- */

static int constraint_error(int code)
{
	switch (code) {
	case SQLITE_CONSTRAINT_UNIQUE:
	case SQLITE_CONSTRAINT_PRIMARYKEY:
	case SQLITE_CONSTRAINT_ROWID:
		return -EEXIST;
	default:
		return -EINVAL;
	}
}

static int io_error(const struct index_vfs *v, int code)
{
	int rc = index_vfs_error(v);

	if (code == SQLITE_IOERR_NOMEM)
		return -ENOMEM;
	return rc ? rc : -EIO;
}

int index_db_error(const struct index_vfs *v, int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
		return 0;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_TOOBIG:
		return -EFBIG;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_SCHEMA:
		return -ERR_CORRUPT;
	case SQLITE_CONSTRAINT:
		return constraint_error(code);
	case SQLITE_MISMATCH:
		return -EINVAL;
	default:
		return io_error(v, code);
	}
}

/* ---- the connection ---- */

static int run(struct sqlite3 *db, const struct index_vfs *v, const char *sql)
{
	return index_db_error(v, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

static int create_schema(struct sqlite3 *db, const struct index_vfs *v)
{
	int rc = run(db, v, "BEGIN");

	for (size_t i = 0; !rc && i < ARRAY_LEN(schema); i++)
		rc = run(db, v, schema[i]);
	return rc ? rc : run(db, v, "COMMIT");
}

/* What must be set before the file is first read or written. */
static int configure(struct sqlite3 *db, const struct index_vfs *v,
		     size_t cache_bytes)
{
	static const char *const pragma[] = {
		"PRAGMA locking_mode = EXCLUSIVE",
		"PRAGMA synchronous = OFF",
		"PRAGMA temp_store = MEMORY",
		"PRAGMA mmap_size = 0",
		"PRAGMA page_size = 4096",
		"PRAGMA auto_vacuum = NONE",
		"PRAGMA secure_delete = ON",
		"PRAGMA trusted_schema = OFF",
	};
	int reserved = PAGE_RESERVED;
	char text[64];
	int rc = 0;

	for (size_t i = 0; !rc && i < ARRAY_LEN(pragma); i++)
		rc = run(db, v, pragma[i]);
	if (rc)
		return rc;
	(void)snprintf(text, sizeof(text), "PRAGMA cache_size = -%zu",
		       cache_bytes / 1024);
	rc = run(db, v, text);
	if (rc)
		return rc;
	return index_db_error(
		v, sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES,
					&reserved));
}

static int prepare(struct sqlite3 *db, const struct index_vfs *v,
		   size_t cache_bytes, bool create)
{
	int rc = configure(db, v, cache_bytes);

	/* This one reads the header, so it comes after the others. */
	if (!rc)
		rc = run(db, v, "PRAGMA journal_mode = MEMORY");
	if (!rc && create)
		rc = create_schema(db, v);
	return rc;
}

int index_db_open(const struct index_vfs *v, size_t cache_bytes, bool create,
		  struct sqlite3 **out)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
		    SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
	struct sqlite3 *db = NULL;
	int rc = index_db_error(v, sqlite3_open_v2("index", &db, flags,
						   index_vfs_name(v)));

	if (!rc)
		rc = prepare(db, v, cache_bytes, create);
	if (rc)
		index_db_close(db);
	else
		*out = db;
	return rc;
}

void index_db_close(struct sqlite3 *db)
{
	(void)sqlite3_close(db);
}
