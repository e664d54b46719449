/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/lookup.h"

#include <string.h>

#include "base/mem.h"
#include "meta/index_impl.h"

int lookup_extents(struct index *ix, const struct extent_place *after,
		   struct extent_row *out, unsigned max)
{
	AUTO(query_end) struct query q = {0};
	int64_t data = after ? (int64_t)after->data : -1;
	int64_t off = after ? (int64_t)after->off : -1;
	unsigned n = 0;
	int rc = QUERY(&q, ix, QUERY_EXTENT_AFTER, V_INT(data), V_INT(off));

	while (!rc && n < max && (rc = query_row(&q)) == 1) {
		rc = extent_from_query(ix, &q, &out[n]);
		if (!rc)
			n++;
		if (rc != -ENOMEM)
			rc = 0;
	}
	return rc < 0 ? rc : (int)n;
}

int lookup_owners(struct index *ix, uint64_t after, struct data_owner *out,
		  unsigned max)
{
	AUTO(query_end) struct query q = {0};
	unsigned n = 0;
	int rc = QUERY(&q, ix, QUERY_INODE_DATA, V_INT(after), V_INT(max));

	while (!rc && (rc = query_row(&q)) == 1) {
		out[n++] = (struct data_owner){
			.ino = (uint64_t)query_int(&q, 0),
			.data = (uint64_t)query_int(&q, 1),
			.size = (uint64_t)query_int(&q, 2),
		};
		rc = 0;
	}
	return rc < 0 ? rc : (int)n;
}

/* ---- paths ---- */

static void reverse(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len / 2; i++) {
		uint8_t b = p[i];

		p[i] = p[len - 1 - i];
		p[len - 1 - i] = b;
	}
}

/* Appends "name/" backwards: the whole is turned round at the end. */
static int add_backwards(struct bytes *out, const struct dentry_row *d)
{
	size_t start = out->len;
	int rc = bytes_add(out, d->name, d->name_len);

	if (rc)
		return rc;
	reverse(out->data + start, d->name_len);
	return bytes_add_u8(out, '/');
}

int lookup_path(struct index *ix, uint64_t ino, struct bytes *out)
{
	struct dentry_row d;
	int rc = 0;

	for (unsigned depth = 0; !rc && ino != ROOT_INO; depth++) {
		if (depth == LOOKUP_DEPTH_MAX)
			return -ELOOP;
		rc = dentry_of_inode(ix, ino, 0, &d);
		if (!rc)
			rc = add_backwards(out, &d);
		ino = d.parent;
	}
	if (!rc && out->len == 0)
		rc = bytes_add_u8(out, '/');
	if (rc)
		return rc;
	reverse(out->data, out->len);
	rc = bytes_add_u8(out, 0);
	if (!rc)
		out->len--;
	return rc;
}
