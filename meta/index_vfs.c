/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 1. SQLite reads and writes whole pages but for its header (100 bytes at 0,
 *    16 at 24): such reads are cut out of the opened page.
 * 2. Page 1 carries a change counter and the version of the library that
 *    wrote last. Neither says anything about the content, and both would make
 *    a replayed file differ from the original: they are written as constants.
 *    With one connection in exclusive locking mode nobody compares them.
 * 3. There is nothing to lock and nothing to sync: one process, one
 *    connection, synchronous=OFF; index_close syncs.
 */
#include "meta/index_vfs.h"

#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rnd.h"
#include "meta/index_page.h"

#define FIXED_CHANGES  1
#define FIXED_WRITER   3040000
#define PATH_BYTES_MAX 64 /* of the name that stands for the file */

struct index_vfs {
	sqlite3_vfs base;
	char name[32];
	struct index_file *file;
	int error;
	bool forgive; /* write errors */
};

struct vfs_file {
	sqlite3_file base;
	struct index_vfs *vfs;
};

static struct index_vfs *vfs_of(sqlite3_file *file)
{
	return ((struct vfs_file *)(void *)file)->vfs;
}

/* Remembers the cause; SQLite's own codes are too coarse. */
static int fail(struct index_vfs *v, int rc, int sqlite_code)
{
	v->error = rc;
	if (rc == -ENOMEM)
		return SQLITE_IOERR_NOMEM;
	if (rc == -ENOSPC || rc == -EDQUOT)
		return SQLITE_FULL;
	return sqlite_code;
}

static int x_close(sqlite3_file *file)
{
	(void)file;
	return SQLITE_OK;
}

static int read_part(struct index_vfs *v, void *buf, int len, sqlite3_int64 off)
{
	uint8_t page[INDEX_PAGE];
	size_t at = (size_t)(off % INDEX_PAGE);
	int rc;

	if (len < 0 || at + (size_t)len > INDEX_PAGE)
		return -EINVAL;
	rc = index_file_read(v->file, (uint32_t)(off / INDEX_PAGE) + 1, page);
	if (!rc)
		memcpy(buf, page + at, (size_t)len);
	return rc;
}

static int x_read(sqlite3_file *file, void *buf, int len, sqlite3_int64 off)
{
	struct index_vfs *v = vfs_of(file);
	uint32_t pgno = (uint32_t)(off / INDEX_PAGE) + 1;
	int rc;

	if (pgno > index_file_pages(v->file)) {
		memset(buf, 0, (size_t)len);
		return SQLITE_IOERR_SHORT_READ;
	}
	if (len == INDEX_PAGE && off % INDEX_PAGE == 0)
		rc = index_file_read(v->file, pgno, buf);
	else
		rc = read_part(v, buf, len, off);
	return rc ? fail(v, rc, SQLITE_IOERR_READ) : SQLITE_OK;
}

/* See 2. */
static int write_first(struct index_vfs *v, const void *buf)
{
	uint8_t page[INDEX_PAGE];

	memcpy(page, buf, sizeof(page));
	put_be32(page + DB_CHANGE_COUNTER, FIXED_CHANGES);
	put_be32(page + DB_VALID_FOR, FIXED_CHANGES);
	put_be32(page + DB_WRITER_VERSION, FIXED_WRITER);
	return index_file_write(v->file, 1, page);
}

static int x_write(sqlite3_file *file, const void *buf, int len,
		   sqlite3_int64 off)
{
	struct index_vfs *v = vfs_of(file);
	int rc;

	if (len != INDEX_PAGE || off % INDEX_PAGE)
		rc = -EINVAL;
	else if (off == 0)
		rc = write_first(v, buf);
	else
		rc = index_file_write(v->file, (uint32_t)(off / INDEX_PAGE) + 1,
				      buf);
	if (rc && v->forgive)
		return SQLITE_BUSY; /* others mark its pager as broken */
	return rc ? fail(v, rc, SQLITE_IOERR_WRITE) : SQLITE_OK;
}

/* Also called when pages that an undone operation had spilled are let go. */
static int x_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	index_file_set_pages(vfs_of(file)->file, (uint32_t)(size / INDEX_PAGE));
	return SQLITE_OK;
}

static int x_sync(sqlite3_file *file, int flags)
{
	(void)file;
	(void)flags;
	return SQLITE_OK;
}

static int x_file_size(sqlite3_file *file, sqlite3_int64 *out)
{
	*out = (sqlite3_int64)index_file_pages(vfs_of(file)->file) * INDEX_PAGE;
	return SQLITE_OK;
}

static int x_lock(sqlite3_file *file, int level)
{
	(void)file;
	(void)level;
	return SQLITE_OK;
}

static int x_check_reserved(sqlite3_file *file, int *out)
{
	(void)file;
	*out = 0;
	return SQLITE_OK;
}

static int x_control(sqlite3_file *file, int op, void *arg)
{
	(void)file;
	(void)op;
	(void)arg;
	return SQLITE_NOTFOUND;
}

static int x_sector_size(sqlite3_file *file)
{
	(void)file;
	return INDEX_PAGE;
}

static int x_characteristics(sqlite3_file *file)
{
	(void)file;
	return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods methods = {
	.iVersion = 1,
	.xClose = x_close,
	.xRead = x_read,
	.xWrite = x_write,
	.xTruncate = x_truncate,
	.xSync = x_sync,
	.xFileSize = x_file_size,
	.xLock = x_lock,
	.xUnlock = x_lock,
	.xCheckReservedLock = x_check_reserved,
	.xFileControl = x_control,
	.xSectorSize = x_sector_size,
	.xDeviceCharacteristics = x_characteristics,
};

static int x_open(sqlite3_vfs *base, const char *name, sqlite3_file *file,
		  int flags, int *flags_out)
{
	struct vfs_file *vf = (struct vfs_file *)(void *)file;

	(void)name;
	vf->base.pMethods = NULL;
	if (!(flags & SQLITE_OPEN_MAIN_DB))
		return SQLITE_CANTOPEN;
	vf->base.pMethods = &methods;
	vf->vfs = base->pAppData;
	if (flags_out)
		*flags_out = flags;
	return SQLITE_OK;
}

static int x_delete(sqlite3_vfs *base, const char *name, int sync_dir)
{
	(void)base;
	(void)name;
	(void)sync_dir;
	return SQLITE_OK;
}

/* No journal or write-ahead log lies beside the file. */
static int x_access(sqlite3_vfs *base, const char *name, int flags, int *out)
{
	(void)base;
	(void)name;
	(void)flags;
	*out = 0;
	return SQLITE_OK;
}

static int x_full_path(sqlite3_vfs *base, const char *name, int size, char *out)
{
	(void)base;
	(void)snprintf(out, (size_t)size, "%s", name);
	return SQLITE_OK;
}

static int x_randomness(sqlite3_vfs *base, int len, char *out)
{
	(void)base;
	rnd_bytes(out, (size_t)len);
	return len;
}

static int x_sleep(sqlite3_vfs *base, int us)
{
	(void)base;
	return us;
}

/* Julian day number; no statement asks for the time. */
static int x_current_time(sqlite3_vfs *base, double *out)
{
	(void)base;
	*out = 2440587.5 + (double)clock_real_ns() / 86400e9;
	return SQLITE_OK;
}

static int x_last_error(sqlite3_vfs *base, int len, char *out)
{
	(void)base;
	(void)len;
	(void)out;
	return 0;
}

int index_vfs_new(struct index_file *f, struct index_vfs **out)
{
	struct index_vfs *v = mem_zalloc(sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->file = f;
	(void)snprintf(v->name, sizeof(v->name), "mendfs-%p", (void *)v);
	v->base = (sqlite3_vfs){
		.iVersion = 1,
		.szOsFile = sizeof(struct vfs_file),
		.mxPathname = PATH_BYTES_MAX,
		.zName = v->name,
		.pAppData = v,
		.xOpen = x_open,
		.xDelete = x_delete,
		.xAccess = x_access,
		.xFullPathname = x_full_path,
		.xRandomness = x_randomness,
		.xSleep = x_sleep,
		.xCurrentTime = x_current_time,
		.xGetLastError = x_last_error,
	};
	if (sqlite3_vfs_register(&v->base, 0) != SQLITE_OK) {
		mem_free(v);
		return -ENOMEM;
	}
	*out = v;
	return 0;
}

void index_vfs_free(struct index_vfs *v)
{
	if (!v)
		return;
	(void)sqlite3_vfs_unregister(&v->base);
	mem_free(v);
}

const char *index_vfs_name(const struct index_vfs *v)
{
	return v->name;
}

void index_vfs_forgive(struct index_vfs *v, bool on)
{
	v->forgive = on;
}

int index_vfs_error(const struct index_vfs *v)
{
	return v->error;
}
