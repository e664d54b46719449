/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Columns are coded so that the usual value takes no byte: mode as its
 * difference (XOR) from a plain file with 0644, times as differences from
 * mtime. A difference wraps around and so does the sum: every int64 survives.
 */
#include <sys/stat.h>

#include "base/mem.h"
#include "meta/index_impl.h"

#define USUAL_MODE (S_IFREG | 0644u)

/* Columns in the order of INODE_COLS. */
enum {
	COL_INO,
	COL_MODE,
	COL_UID,
	COL_GID,
	COL_NLINK,
	COL_SIZE,
	COL_DATA,
	COL_MTIME,
	COL_ATIME,
	COL_CTIME,
	COL_BTIME,
	COL_RDEV,
	COL_FLAGS,
	COL_GENERATION
};

static int64_t time_code(int64_t t, int64_t mtime)
{
	return (int64_t)((uint64_t)t - (uint64_t)mtime);
}

static int64_t time_decode(int64_t code, int64_t mtime)
{
	return (int64_t)((uint64_t)code + (uint64_t)mtime);
}

/* c: the column of i.ino; the others follow. */
void inode_from_query(const struct query *q, int c, struct inode_row *out)
{
	int64_t mtime = query_int(q, c + COL_MTIME);

	*out = (struct inode_row){
		.ino = (uint64_t)query_int(q, c + COL_INO),
		.mode = (uint32_t)query_int(q, c + COL_MODE) ^ USUAL_MODE,
		.uid = (uint32_t)query_int(q, c + COL_UID),
		.gid = (uint32_t)query_int(q, c + COL_GID),
		.nlink = (uint32_t)query_int(q, c + COL_NLINK),
		.size = (uint64_t)query_int(q, c + COL_SIZE),
		.data = (uint64_t)query_int(q, c + COL_DATA),
		.rdev = (uint64_t)query_int(q, c + COL_RDEV),
		.flags = (uint32_t)query_int(q, c + COL_FLAGS),
		.generation = (uint32_t)query_int(q, c + COL_GENERATION),
		.mtime_ns = mtime,
		.atime_ns = time_decode(query_int(q, c + COL_ATIME), mtime),
		.ctime_ns = time_decode(query_int(q, c + COL_CTIME), mtime),
		.btime_ns = time_decode(query_int(q, c + COL_BTIME), mtime),
	};
}

int inode_get(struct index *ix, uint64_t ino, struct inode_row *out)
{
	AUTO(query_end) struct query q = {0};
	int rc = QUERY(&q, ix, QUERY_INODE_GET, V_INT(ino));

	if (!rc)
		rc = query_one(&q);
	if (!rc)
		inode_from_query(&q, 0, out);
	return rc;
}

int inode_insert(struct index *ix, const struct inode_row *row)
{
	int64_t mtime = row->mtime_ns;
	int rc = OP_RUN(ix, STMT_INODE_INSERT, V_INT(row->ino),
			V_INT(row->mode ^ USUAL_MODE), V_INT(row->uid),
			V_INT(row->gid), V_INT(row->nlink), V_INT(row->size),
			V_INT(row->data), V_INT(mtime),
			V_INT(time_code(row->atime_ns, mtime)),
			V_INT(time_code(row->ctime_ns, mtime)),
			V_INT(time_code(row->btime_ns, mtime)),
			V_INT(row->rdev), V_INT(row->flags),
			V_INT(row->generation), V_INT(born_now(ix)));

	if (rc < 0)
		return rc;
	ix->inodes_op++;
	return 0;
}

/* The stored birth time, which an update keeps. */
static int get_btime(struct index *ix, uint64_t ino, int64_t *out)
{
	AUTO(query_end) struct query q = {0};
	int rc = QUERY(&q, ix, QUERY_INODE_BTIME, V_INT(ino));

	if (!rc)
		rc = query_one(&q);
	if (!rc)
		*out = time_decode(query_int(&q, 1), query_int(&q, 0));
	return rc;
}

int inode_update(struct index *ix, const struct inode_row *row)
{
	int64_t mtime = row->mtime_ns, btime;
	int rc = get_btime(ix, row->ino, &btime);

	if (rc)
		return rc;
	return OP_RUN_ONE(ix, STMT_INODE_UPDATE, V_INT(row->ino),
			  V_INT(row->mode ^ USUAL_MODE), V_INT(row->uid),
			  V_INT(row->gid), V_INT(row->nlink), V_INT(row->size),
			  V_INT(row->data), V_INT(mtime),
			  V_INT(time_code(row->atime_ns, mtime)),
			  V_INT(time_code(row->ctime_ns, mtime)),
			  V_INT(time_code(btime, mtime)), V_INT(row->rdev),
			  V_INT(row->flags), V_INT(born_now(ix)));
}

int inode_delete(struct index *ix, uint64_t ino)
{
	int rc = OP_RUN_ONE(ix, STMT_INODE_DELETE, V_INT(ino));

	if (rc)
		return rc;
	ix->inodes_op--;
	rc = OP_RUN(ix, STMT_XATTR_DELETE_ALL, V_INT(ino));
	if (rc >= 0)
		rc = OP_RUN(ix, STMT_SYMLINK_DELETE, V_INT(ino));
	return rc < 0 ? rc : 0;
}

int inode_count(struct index *ix, uint64_t *out)
{
	int rc = index_load_counts(ix);

	if (!rc)
		*out = ix->inodes + (uint64_t)ix->inodes_op;
	return rc;
}

int symlink_get(struct index *ix, uint64_t ino, struct bytes *target)
{
	AUTO(query_end) struct query q = {0};
	int rc = QUERY(&q, ix, QUERY_SYMLINK_GET, V_INT(ino));
	const void *p;
	size_t len;

	if (!rc)
		rc = query_one(&q);
	if (rc)
		return rc;
	p = query_blob(&q, 0, &len);
	return bytes_add(target, p, len);
}

int symlink_insert(struct index *ix, uint64_t ino, const void *target,
		   size_t len)
{
	int rc = OP_RUN(ix, STMT_SYMLINK_INSERT, V_INT(ino),
			V_BLOB(target, len));

	return rc < 0 ? rc : 0;
}
