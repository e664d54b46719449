/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening, closing, and what is loaded into memory; the rest of index.h is in
 * index_op.c, index_replay.c, index_file.c, index_image.c and index_check.c.
 */
#include <string.h>

#include "base/mem.h"
#include "base/must.h"
#include "meta/index_db.h"
#include "meta/index_impl.h"

#define CACHE_DEFAULT (16u << 20)
#define CHUNK_MIN     (16u << 10)
#define CHUNK_MAX     (4u << 20)

static const uint64_t first_number[COUNTER_COUNT] = {
	[COUNTER_INO] = 2,
	[COUNTER_DENTRY] = 3,
	[COUNTER_DATA] = 1,
	[COUNTER_SEGMENT] = 1,
	[COUNTER_QUEUE] = 1,
	/* born = 1 takes no byte in a row */
	[COUNTER_GENERATION] = 1,
};

/* ---- what is loaded ---- */

/* One row of the table. */
static int read_meta_row(struct index *ix, int64_t key, uint64_t value,
			 struct meta_state *out)
{
	if (key == META_VERSION)
		return value == INDEX_VERSION ? 0 : -ERR_FEATURE;
	if (key == META_CHUNK_BYTES)
		return value == ix->chunk_bytes ? 0 : -ERR_CORRUPT;
	if (key == META_SEQ)
		out->seq = value;
	else if (key >= META_COUNTER && key < META_COUNTER + COUNTER_COUNT)
		out->counter[key - META_COUNTER] = value;
	else
		return -ERR_FEATURE;
	return 0;
}

int index_read_meta(struct index *ix, struct meta_state *out)
{
	AUTO(query_end) struct query q = {0};
	int rows = 0, rc = query_begin(&q, ix->stmts, QUERY_META_ALL, NULL, 0);

	while (!rc && (rc = query_row(&q)) == 1) {
		rc = read_meta_row(ix, query_int(&q, 0),
				   (uint64_t)query_int(&q, 1), out);
		rows++;
	}
	if (!rc && rows != 3 + COUNTER_COUNT)
		rc = -ERR_CORRUPT;
	return rc;
}

void index_take_meta(struct index *ix, const struct meta_state *m)
{
	ix->seq = m->seq;
	for (unsigned i = 0; i < COUNTER_COUNT; i++) {
		ix->stored[i] = m->counter[i];
		atomic_store(&ix->counter[i], m->counter[i]);
	}
}

static int load_segments(struct index *ix, struct refs *refs)
{
	AUTO(query_end) struct query q = {0};
	int rc = query_begin(&q, ix->stmts, QUERY_SEGMENT_ALL, NULL, 0);

	while (!rc && (rc = query_row(&q)) == 1) {
		struct seg_desc desc;
		size_t len;
		const void *p = query_blob(&q, 3, &len);
		struct reader r = reader_of(p, len);

		rc = seg_desc_decode(&r, &desc);
		if (!rc)
			rc = refs_set_state(refs, desc.id,
					    (unsigned)query_int(&q, 1),
					    desc.payload_len);
	}
	return rc;
}

static int load_extents(struct index *ix, struct refs *refs)
{
	AUTO(query_end) struct query q = {0};
	int rc = query_begin(&q, ix->stmts, QUERY_EXTENT_ALL, NULL, 0);

	while (!rc && (rc = query_row(&q)) == 1) {
		struct extent_row row;

		rc = extent_from_query(ix, &q, &row);
		if (!rc)
			rc = refs_add(refs, row.segment, 1,
				      (int64_t)extent_live_bytes(&row));
	}
	return rc;
}

static int load_inodes(struct index *ix)
{
	AUTO(query_end) struct query q = {0};
	int rc = query_begin(&q, ix->stmts, QUERY_INODE_COUNT, NULL, 0);

	if (!rc)
		rc = query_one(&q);
	if (!rc)
		ix->inodes = (uint64_t)query_int(&q, 0);
	return rc;
}

int index_load_counts(struct index *ix)
{
	struct refs fresh;
	int rc;

	if (!ix->counts_stale)
		return 0;
	rc = refs_init(&fresh);
	if (!rc)
		rc = load_segments(ix, &fresh);
	if (!rc)
		rc = load_extents(ix, &fresh);
	if (!rc)
		rc = load_inodes(ix);
	if (rc) {
		refs_release(&fresh);
		return rc;
	}
	refs_apply(&fresh);
	refs_release(&ix->refs);
	ix->refs = fresh;
	ix->counts_stale = false;
	return 0;
}

/* ---- opening and closing ---- */

static void index_free(struct index *ix)
{
	stmts_free(ix->stmts);
	index_db_close(ix->db);
	index_vfs_free(ix->vfs);
	refs_release(&ix->refs);
	bytes_release(&ix->log);
	bytes_release(&ix->op_log);
	cond_destroy(&ix->never);
	mutex_destroy(&ix->way);
	mutex_destroy(&ix->lock);
	mem_free(ix);
}

/*
 * These rows are part of every new index and so of none's log. The counters
 * are at their first numbers already.
 */
static int insert_meta(struct index *ix, unsigned key, uint64_t value)
{
	const struct value v[] = {V_INT(key), V_INT(value)};
	int rc = stmt_run(ix->stmts, STMT_META_INSERT, v, ARRAY_LEN(v));

	return rc < 0 ? rc : 0;
}

static int fill_meta(struct index *ix)
{
	int rc = stmt_control(ix->stmts, CONTROL_BEGIN);

	if (!rc)
		rc = insert_meta(ix, META_VERSION, INDEX_VERSION);
	if (!rc)
		rc = insert_meta(ix, META_CHUNK_BYTES, ix->chunk_bytes);
	if (!rc)
		rc = insert_meta(ix, META_SEQ, 0);
	for (unsigned i = 0; !rc && i < COUNTER_COUNT; i++)
		rc = insert_meta(ix, META_COUNTER + i, first_number[i]);
	return rc ? rc : stmt_control(ix->stmts, CONTROL_COMMIT);
}

static int set_up(struct index *ix, const struct index_options *o, bool create)
{
	size_t cache = o->cache_bytes ? o->cache_bytes : CACHE_DEFAULT;
	struct meta_state meta;
	int rc = index_file_open(o, create, &ix->file);

	if (!rc)
		rc = index_vfs_new(ix->file, &ix->vfs);
	if (!rc)
		rc = index_db_open(ix->vfs, cache, create, &ix->db);
	if (!rc)
		rc = stmts_new(ix->db, ix->vfs, &ix->stmts);
	if (!rc && create)
		rc = fill_meta(ix);
	if (!rc)
		rc = index_read_meta(ix, &meta);
	if (rc)
		return rc;
	index_take_meta(ix, &meta);
	return index_load_counts(ix);
}

static bool chunk_size_ok(uint32_t bytes)
{
	return bytes >= CHUNK_MIN && bytes <= CHUNK_MAX &&
	       (bytes & (bytes - 1)) == 0;
}

static int open_index(const struct index_options *o, bool create,
		      struct index **out)
{
	struct index *ix;
	int rc;

	if (!chunk_size_ok(o->chunk_bytes))
		return -EINVAL;
	rc = index_db_start();
	if (rc)
		return rc;
	ix = mem_zalloc(sizeof(*ix));
	if (!ix)
		return -ENOMEM;
	mutex_init(&ix->lock);
	mutex_init(&ix->way);
	cond_init(&ix->never);
	ix->chunk_bytes = o->chunk_bytes;
	ix->counts_stale = true;
	rc = set_up(ix, o, create);
	if (rc)
		(void)index_close(ix, false);
	else
		*out = ix;
	return rc;
}

int index_create(const struct index_options *o, struct index **out)
{
	return open_index(o, true, out);
}

int index_open(const struct index_options *o, struct index **out)
{
	return open_index(o, false, out);
}

int index_close(struct index *ix, bool sync)
{
	struct index_file *file;
	int rc = 0, closed;

	if (!ix)
		return 0;
	MUST(!ix->in_op);
	if (sync && stmts_sticky(ix->stmts))
		rc = -ERR_STICKY;
	else if (sync && ix->ops)
		rc = -EBUSY;
	file = ix->file;
	index_free(ix);
	closed = index_file_close(file, sync && !rc);
	return rc ? rc : closed;
}

/* ---- regions and numbers ---- */

int index_freeze(struct index *ix, struct region_set *changed)
{
	*changed = (struct region_set){0};
	if (stmts_sticky(ix->stmts))
		return -ERR_STICKY;
	MUST(!ix->in_txn);
	return index_file_freeze(ix->file, changed);
}

int index_region_read(struct index *ix, uint32_t region, void *out)
{
	return index_file_region(ix->file, region, out);
}

void index_thaw(struct index *ix, bool done)
{
	index_file_thaw(ix->file, done);
}

uint64_t index_bytes(struct index *ix)
{
	return (uint64_t)index_file_pages(ix->file) * INDEX_PAGE;
}
