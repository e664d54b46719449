/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Findings, by code:
 *
 *     index-sqlite               SQLite's own integrity check
 *     index-counter-low          a counter would draw a number that is in use
 *     index-root                 no root folder
 *     index-dentry-no-inode      a name without an inode
 *     index-dentry-no-parent     a name in what is no folder
 *     index-dentry-type          a name's type is not its inode's
 *     index-link-count           a link count is not the number of names
 *     index-folder-links         a folder's link count: 1, or 2 + subfolders
 *     index-folder-names         a folder with several names
 *     index-folder-unreachable   a folder that no path leads to
 *     index-orphan-not-queued    no name, and no job that will remove it
 *     index-symlink-no-inode     a target without a symlink
 *     index-symlink-no-target    a symlink without a target, or of wrong size
 *     index-xattr-no-inode       an attribute of nothing
 *     index-extent-format        a row that cannot be read, or crosses a slot
 *     index-extent-overlap       two rows show the same bytes
 *     index-extent-no-segment    a row of an unknown segment, or beyond it
 *     index-extent-no-owner      data that belongs to no file and no job
 *     index-size-below-data      data beyond a file's size, and no job
 *     index-segment-format       a description that cannot be read
 *     index-segment-refs         counts in memory are not those of the rows
 *     index-segment-dead-used    dead, and there are rows that point at it
 *     index-segment-not-dead     sealed, and nothing points at it
 *
 * Each rule is one lock hold. Texts name numbers, never names of files.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "meta/index_impl.h"

#define TEXT_BYTES 256
#define RULE_MAX   100 /* findings of one rule that are told */

struct check {
	struct index *ix;
	void (*each)(void *arg, const char *code, const char *text);
	void *arg;
	int found;
};

static void find(struct check *c, const char *code, const char *text)
{
	c->found++;
	c->each(c->arg, code, text);
}

/* Stored modes are XORed with 0100644 (rows_inode.c). SQLite has no XOR. */
#define STORED_TYPE(m) "(((" m " & 61440) | 32768) - ((" m " & 61440) & 32768))"
#define IS_FOLDER(m)   STORED_TYPE(m) " = 16384"
#define IS_SYMLINK(m)  STORED_TYPE(m) " = 40960"
/* QUEUE_DROP_DATA, QUEUE_TRIM_DATA; QUEUE_ORPHAN; QUEUE_LOOSE */
#define DATA_JOBS   "SELECT a FROM queue WHERE kind IN (1, 3)"
#define ORPHAN_JOBS "SELECT a FROM queue WHERE kind = 2"
#define LOOSE_JOBS  "SELECT a FROM queue WHERE kind = 4"
/* Every row of a query is a finding; text takes its two numbers. */
static const struct {
	const char *code;
	const char *sql;
	const char *text; /* the row's numbers are put behind it */
} rules[] = {
	{"index-root",
	 "SELECT 1, 0 WHERE NOT EXISTS (SELECT 1 FROM inode WHERE ino = 1 "
	 "AND " IS_FOLDER("mode") ") AND EXISTS (SELECT 1 FROM inode)",
	 "inode"},
	{"index-dentry-no-inode",
	 "SELECT d.id, d.ino FROM dentry d LEFT JOIN inode i ON i.ino = d.ino "
	 "WHERE i.ino IS NULL",
	 "dentry, inode"},
	{"index-dentry-no-parent",
	 "SELECT d.id, d.parent FROM dentry d LEFT JOIN inode p "
	 "ON p.ino = d.parent WHERE p.ino IS NULL OR NOT (" IS_FOLDER(
		 "p.mode") ")",
	 "dentry, parent"},
	{"index-dentry-type",
	 "SELECT d.id, d.ino FROM dentry d JOIN inode i ON i.ino = d.ino "
	 "WHERE " STORED_TYPE("i.mode") " <> CASE d.type WHEN 0 THEN 32768 "
					"WHEN 1 THEN 16384 WHEN 2 THEN 40960 "
					"WHEN 3 THEN 4096 "
					"WHEN 4 THEN 49152 WHEN 5 THEN 8192 "
					"WHEN 6 THEN 24576 END",
	 "dentry, inode"},
	{"index-link-count",
	 "SELECT ino, nlink FROM inode i WHERE NOT (" IS_FOLDER(
		 "mode") ") AND nlink <> (SELECT count(*) FROM dentry d "
			 "INDEXED BY dentry_ino WHERE d.ino = i.ino)",
	 "inode, links"},
	{"index-folder-links",
	 "SELECT ino, nlink FROM inode i WHERE " IS_FOLDER(
		 "mode") " AND nlink > 1 AND nlink <> 2 + "
			 "(SELECT count(*) FROM dentry d "
			 "INDEXED BY dentry_parent "
			 "WHERE d.parent = i.ino AND d.type = 1)",
	 "inode, links"},
	{"index-folder-names",
	 "SELECT d.ino, count(*) FROM dentry d WHERE d.type = 1 "
	 "GROUP BY d.ino HAVING count(*) > 1 OR d.ino = 1",
	 "inode, names"},
	{"index-folder-unreachable",
	 "WITH RECURSIVE seen(ino) AS (VALUES(1) UNION "
	 "SELECT d.ino FROM seen s CROSS JOIN dentry d "
	 "INDEXED BY dentry_parent ON d.parent = s.ino WHERE d.type = 1) "
	 "SELECT ino, nlink FROM inode WHERE " IS_FOLDER(
		 "mode") " AND ino NOT IN seen AND ino NOT IN (" ORPHAN_JOBS
			 ")",
	 "inode, links"},
	{"index-orphan-not-queued",
	 "SELECT ino, nlink FROM inode i WHERE ino <> 1 AND NOT EXISTS "
	 "(SELECT 1 FROM dentry d INDEXED BY dentry_ino "
	 "WHERE d.ino = i.ino) AND ino NOT IN (" ORPHAN_JOBS ")",
	 "inode, links"},
	{"index-symlink-no-inode",
	 "SELECT s.ino, length(s.target) FROM symlink s LEFT JOIN inode i "
	 "ON i.ino = s.ino WHERE i.ino IS NULL OR NOT (" IS_SYMLINK(
		 "i.mode") ")",
	 "inode, length"},
	{"index-symlink-no-target",
	 "SELECT i.ino, i.size FROM inode i LEFT JOIN symlink s "
	 "ON s.ino = i.ino WHERE " IS_SYMLINK(
		 "i.mode") " AND length(s.target) IS NOT i.size",
	 "inode, size"},
	{"index-xattr-no-inode",
	 "SELECT x.ino, count(*) FROM xattr x LEFT JOIN inode i "
	 "ON i.ino = x.ino WHERE i.ino IS NULL GROUP BY x.ino",
	 "inode, attributes"},
	{"index-extent-no-owner",
	 "SELECT DISTINCT data, 0 FROM extent WHERE data NOT IN "
	 "(SELECT data FROM inode) AND data NOT IN (" DATA_JOBS ")",
	 "data"},
	{"index-size-below-data",
	 "SELECT i.ino, i.size FROM inode i WHERE i.data <> 0 "
	 "AND i.data NOT IN (" DATA_JOBS ") "
	 "AND i.ino NOT IN (" LOOSE_JOBS ") AND i.size < "
	 "(SELECT e.off + e.len FROM extent e WHERE e.data = i.data "
	 "ORDER BY e.off DESC LIMIT 1)",
	 "inode, size"},
};

static int run_rule(struct check *c, const char *code, const char *sql,
		    const char *what)
{
	AUTO(query_end) struct query q = {0};
	int told = 0, rc = query_begin_sql(&q, c->ix->stmts, sql);

	while (!rc && told < RULE_MAX && (rc = query_row(&q)) == 1) {
		char text[TEXT_BYTES];

		(void)snprintf(text, sizeof(text), "%s: %" PRId64 ", %" PRId64,
			       what, query_int(&q, 0), query_int(&q, 1));
		find(c, code, text);
		told++;
		rc = 0;
	}
	return rc;
}

/* Numbers in use must lie below what their counter would draw. */
static const struct {
	enum index_counter counter;
	const char *sql;
} in_use[] = {
	{COUNTER_INO, "SELECT max(ino) FROM inode"},
	{COUNTER_DENTRY, "SELECT max(id) FROM dentry"},
	{COUNTER_DATA, "SELECT max(data) FROM inode"},
	{COUNTER_DATA, "SELECT max(data) FROM extent"},
	{COUNTER_SEGMENT, "SELECT max(id) FROM segment"},
	{COUNTER_QUEUE, "SELECT max(id) FROM queue"},
};

static int check_counters(struct check *c)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < ARRAY_LEN(in_use); i++) {
		AUTO(query_end) struct query q = {0};
		uint64_t next = index_peek(c->ix, in_use[i].counter);
		char text[TEXT_BYTES];

		rc = query_begin_sql(&q, c->ix->stmts, in_use[i].sql);
		if (!rc)
			rc = query_one(&q);
		if (rc || (uint64_t)query_int(&q, 0) < next)
			continue;
		(void)snprintf(text, sizeof(text),
			       "counter, next: %d, %" PRIu64,
			       (int)in_use[i].counter, next);
		find(c, "index-counter-low", text);
	}
	return rc;
}

static int check_rules(struct check *c)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < ARRAY_LEN(rules); i++) {
		index_lock(c->ix);
		rc = run_rule(c, rules[i].code, rules[i].sql, rules[i].text);
		index_unlock(c->ix);
	}
	return rc;
}

static int check_sqlite(struct check *c)
{
	AUTO(query_end) struct query q = {0};
	int rc = query_begin_sql(&q, c->ix->stmts, "PRAGMA integrity_check");

	while (!rc && (rc = query_row(&q)) == 1) {
		size_t len;
		const char *text = query_blob(&q, 0, &len);

		if (len != 2 || memcmp(text, "ok", 2)) {
			char copy[TEXT_BYTES];

			(void)snprintf(copy, sizeof(copy), "%.*s", (int)len,
				       text);
			find(c, "index-sqlite", copy);
		}
		rc = 0;
	}
	return rc;
}

/* ---- segments and extents ---- */

/* A row's own form, and where it points. */
static void check_extent(struct check *c, const struct extent_row *row)
{
	const struct chunk_ref *last = &row->ref[row->n - 1];
	struct seg_counts seg = refs_get(&c->ix->refs, row->segment);
	char text[TEXT_BYTES];

	(void)snprintf(text, sizeof(text),
		       "data, offset, segment: %" PRIu64 ", %" PRIu64
		       ", %" PRIu64,
		       row->data, row->off, row->segment.v);
	if (!seg.state ||
	    (seg.state != SEG_OPEN &&
	     (uint64_t)last->pos + last->stored_len > seg.payload))
		find(c, "index-extent-no-segment", text);
	if (seg.state == SEG_DEAD)
		find(c, "index-segment-dead-used", text);
}

static void check_pair(struct check *c, const struct extent_row *a,
		       const struct extent_row *b)
{
	char text[TEXT_BYTES];

	if (a->data != b->data || a->off + a->len <= b->off)
		return;
	(void)snprintf(text, sizeof(text),
		       "data, offsets: %" PRIu64 ", %" PRIu64 ", %" PRIu64,
		       a->data, a->off, b->off);
	find(c, "index-extent-overlap", text);
}

static void bad_extent(struct check *c, const struct query *q)
{
	char text[TEXT_BYTES];

	(void)snprintf(text, sizeof(text),
		       "data, offset: %" PRId64 ", %" PRId64, query_int(q, 0),
		       query_int(q, 1));
	find(c, "index-extent-format", text);
}

/* `scan` gets the references that the rows have. */
static int scan_extents(struct check *c, struct refs *scan)
{
	AUTO(query_end) struct query q = {0};
	struct extent_row row[2] = {0}; /* this and the one before */
	int rc = query_begin(&q, c->ix->stmts, QUERY_EXTENT_ALL, NULL, 0);

	for (unsigned i = 0; !rc && (rc = query_row(&q)) == 1; i ^= 1) {
		rc = extent_from_query(c->ix, &q, &row[i]);
		if (rc) {
			bad_extent(c, &q);
			rc = 0;
			continue;
		}
		check_extent(c, &row[i]);
		check_pair(c, &row[i ^ 1], &row[i]);
		rc = refs_add(scan, row[i].segment, 1,
			      (int64_t)extent_live_bytes(&row[i]));
	}
	return rc;
}

/* States and payloads; what cannot be read is a finding. */
static int scan_segments(struct check *c, struct refs *scan)
{
	AUTO(query_end) struct query q = {0};
	int rc = query_begin(&q, c->ix->stmts, QUERY_SEGMENT_ALL, NULL, 0);

	while (!rc && (rc = query_row(&q)) == 1) {
		struct seg_desc desc;
		size_t len;
		const void *p = query_blob(&q, 3, &len);
		struct reader r = reader_of(p, len);
		uint64_t id = (uint64_t)query_int(&q, 0);
		char text[TEXT_BYTES];

		rc = seg_desc_decode(&r, &desc);
		if (!rc && !reader_left(&r) && desc.id.v == id) {
			rc = refs_set_state(scan, desc.id,
					    (unsigned)query_int(&q, 1),
					    desc.payload_len);
			continue;
		}
		(void)snprintf(text, sizeof(text), "segment: %" PRIu64, id);
		find(c, "index-segment-format", text);
		rc = 0;
	}
	return rc;
}

static void check_ref(struct check *c, const struct seg_ref *ref)
{
	struct seg_id id = {ref->node.key};
	struct seg_counts has = ref->settled, mem = refs_get(&c->ix->refs, id);
	char text[TEXT_BYTES];

	(void)snprintf(text, sizeof(text),
		       "segment, rows, counted: %" PRIu64 ", %" PRIu32
		       ", %" PRIu32,
		       id.v, has.rows, mem.rows);
	if (has.rows != mem.rows || has.live != mem.live ||
	    has.state != mem.state || has.payload != mem.payload)
		find(c, "index-segment-refs", text);
	if (has.state == SEG_SEALED && !has.rows)
		find(c, "index-segment-not-dead", text);
}

static int check_refs(struct check *c)
{
	AUTO(refs_release) struct refs scan;
	int rc = refs_init(&scan);

	if (!rc)
		rc = scan_segments(c, &scan);
	if (!rc)
		rc = scan_extents(c, &scan);
	if (rc)
		return rc;
	refs_apply(&scan);
	if (scan.table.count != c->ix->refs.table.count)
		find(c, "index-segment-refs", "number of segments");
	for (struct hnode *n = htab_first(&scan.table); n;
	     n = htab_next(&scan.table, n))
		check_ref(c, container_of(n, struct seg_ref, node));
	return 0;
}

int index_check(struct index *ix,
		void (*each)(void *arg, const char *code, const char *text),
		void *arg)
{
	struct check c = {.ix = ix, .each = each, .arg = arg};
	int rc;

	index_lock(ix);
	rc = index_load_counts(ix);
	if (!rc)
		rc = check_sqlite(&c);
	if (!rc)
		rc = check_refs(&c);
	if (!rc)
		rc = check_counters(&c);
	index_unlock(ix);
	if (!rc)
		rc = check_rules(&c);
	return rc ? rc : c.found;
}
