/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <string.h>

#include "base/mem.h"
#include "meta/index_impl.h"

/*
 * Stored types: files are 0 and directories 1, which take no byte. Disk format.
 */
static const uint8_t type_of_code[] = {DT_REG,	DT_DIR, DT_LNK, DT_FIFO,
				       DT_SOCK, DT_CHR, DT_BLK};

static int type_code(uint8_t type)
{
	for (unsigned i = 0; i < ARRAY_LEN(type_of_code); i++) {
		if (type_of_code[i] == type)
			return (int)i;
	}
	return -EINVAL;
}

/* Columns id, parent, ino, type, name. */
static int dentry_from_query(const struct query *q, struct dentry_row *out)
{
	uint64_t code = (uint64_t)query_int(q, 3);
	size_t len;
	const void *name = query_blob(q, 4, &len);

	if (code >= ARRAY_LEN(type_of_code) || !len || len > NAME_BYTES_MAX ||
	    memchr(name, '/', len) || memchr(name, '\0', len))
		return -ERR_CORRUPT;
	out->id = (uint64_t)query_int(q, 0);
	out->parent = (uint64_t)query_int(q, 1);
	out->ino = (uint64_t)query_int(q, 2);
	out->type = type_of_code[code];
	out->name_len = (uint8_t)len;
	memcpy(out->name, name, len);
	out->name[len] = '\0';
	return 0;
}

int dentry_get(struct index *ix, uint64_t parent, const char *name, size_t len,
	       struct dentry_row *out)
{
	AUTO(query_end) struct query q = {0};
	int rc = QUERY(&q, ix, QUERY_DENTRY_GET, V_INT(parent),
		       V_BLOB(name, len));

	if (!rc)
		rc = query_one(&q);
	return rc ? rc : dentry_from_query(&q, out);
}

int dentry_insert(struct index *ix, const struct dentry_row *row)
{
	int type = type_code(row->type), rc;

	if (type < 0 || !row->name_len)
		return -EINVAL;
	rc = OP_RUN(ix, STMT_DENTRY_INSERT, V_INT(row->id), V_INT(row->parent),
		    V_INT(row->ino), V_INT(type), V_INT(born_now(ix)),
		    V_BLOB(row->name, row->name_len));
	return rc < 0 ? rc : 0;
}

int dentry_retarget(struct index *ix, uint64_t id, uint64_t ino, uint8_t type)
{
	int code = type_code(type);

	if (code < 0)
		return -EINVAL;
	return OP_RUN_ONE(ix, STMT_DENTRY_RETARGET, V_INT(id), V_INT(ino),
			  V_INT(code), V_INT(born_now(ix)));
}

int dentry_delete(struct index *ix, uint64_t id)
{
	return OP_RUN_ONE(ix, STMT_DENTRY_DELETE, V_INT(id));
}

#define FIRST_INODE_COLUMN 5

/* A name without an inode is damage: no attributes are made up for it. */
static int row_inode(const struct query *q, bool inodes, struct inode_row *out)
{
	if (!inodes)
		return 0;
	if (query_is_null(q, FIRST_INODE_COLUMN))
		return -ERR_CORRUPT;
	inode_from_query(q, FIRST_INODE_COLUMN, out);
	return 0;
}

int dentry_list(struct index *ix, uint64_t parent, uint64_t after, bool inodes,
		int (*each)(void *arg, const struct dentry_row *d,
			    const struct inode_row *i),
		void *arg)
{
	AUTO(query_end) struct query q = {0};
	struct dentry_row d;
	int rc = QUERY(&q, ix,
		       inodes ? QUERY_DENTRY_LIST_INODES : QUERY_DENTRY_LIST,
		       V_INT(parent), V_INT(after));

	while (!rc && (rc = query_row(&q)) == 1) {
		struct inode_row i = {0};

		rc = dentry_from_query(&q, &d);
		if (!rc)
			rc = row_inode(&q, inodes, &i);
		i.ino = d.ino;
		if (!rc)
			rc = each(arg, &d, &i);
	}
	return rc;
}

int dentry_any(struct index *ix, uint64_t parent)
{
	AUTO(query_end) struct query q = {0};
	int rc = QUERY(&q, ix, QUERY_DENTRY_ANY, V_INT(parent));

	return rc ? rc : query_row(&q);
}

int dentry_of_inode(struct index *ix, uint64_t ino, uint64_t after,
		    struct dentry_row *out)
{
	AUTO(query_end) struct query q = {0};
	int rc = QUERY(&q, ix, QUERY_DENTRY_OF_INODE, V_INT(ino), V_INT(after));

	if (!rc)
		rc = query_one(&q);
	return rc ? rc : dentry_from_query(&q, out);
}
