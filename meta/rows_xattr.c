/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "meta/index_impl.h"

int xattr_get(struct index *ix, uint64_t ino, const char *name,
	      struct bytes *value)
{
	AUTO(query_end) struct query q = {0};
	int rc = QUERY(&q, ix, QUERY_XATTR_GET, V_INT(ino),
		       V_BLOB(name, strlen(name)));
	const void *p;
	size_t len;

	if (!rc)
		rc = query_one(&q);
	if (rc)
		return rc;
	p = query_blob(&q, 0, &len);
	return bytes_add(value, p, len);
}

int xattr_set(struct index *ix, uint64_t ino, const char *name,
	      const void *value, size_t len)
{
	int rc = OP_RUN(ix, STMT_XATTR_SET, V_INT(ino),
			V_BLOB(name, strlen(name)), V_BLOB(value, len),
			V_INT(born_now(ix)));

	return rc < 0 ? rc : 0;
}

int xattr_remove(struct index *ix, uint64_t ino, const char *name)
{
	return OP_RUN_ONE(ix, STMT_XATTR_DELETE, V_INT(ino),
			  V_BLOB(name, strlen(name)));
}

int xattr_list(struct index *ix, uint64_t ino, struct bytes *out)
{
	AUTO(query_end) struct query q = {0};
	size_t before = out->len;
	int rc = QUERY(&q, ix, QUERY_XATTR_LIST, V_INT(ino));

	while (!rc && (rc = query_row(&q)) == 1) {
		size_t len;
		const void *name = query_blob(&q, 0, &len);

		rc = bytes_add(out, name, len);
		if (!rc)
			rc = bytes_add_u8(out, 0);
	}
	if (rc)
		out->len = before;
	return rc;
}
