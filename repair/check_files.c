/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks: which of them open, and in which files those that do not lie.
 *
 * A segment with too few good fragments may still give most of its chunks:
 * what lies in a range whose fragment is good, or whose damage does not meet
 * that of the others. So its chunks are read, and a file is named only for
 * what was really tried. With read_data all chunks are; bytes of open segments
 * come from the journal.
 *
 * Extents are read in batches; what was found is told in their order.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "meta/lookup.h"
#include "repair/check_impl.h"

/* Bytes of one data id that cannot be read; key: the data id. */
struct hit {
	struct hnode node;
	uint64_t bytes;
	uint64_t lo, hi; /* all lie in between */
};

struct extent_job {
	struct check *c;
	struct extent_row row;
	struct segment_row seg;
	int rc[EXTENT_CHUNKS_MAX]; /* of each chunk */
};

struct pass {
	struct check *c;
	unsigned jobs;
	struct extent_job job[CHECK_BATCH];
	struct extent_row row[CHECK_BATCH]; /* one page */
	struct segment_row seg;		    /* of the row before */
};

/* ---- reading ---- */

static int read_chunk(const struct extent_job *j, uint64_t off,
		      const struct chunk_ref *ref, void *plain)
{
	const struct check_target *t = j->c->t;

	if (j->seg.desc.stripe.v == 0)
		return jseg_read(t->js, j->seg.desc.id, j->row.data, off, ref,
				 plain);
	return store_read_chunk(t->store, &j->seg.desc, j->row.data, off, ref,
				plain);
}

static void read_each(struct extent_job *j, uint8_t *plain)
{
	uint64_t off = j->row.off - j->row.skip;

	for (uint32_t i = 0; i < j->row.n; i++) {
		j->rc[i] = read_chunk(j, off, &j->row.ref[i], plain);
		off += j->row.ref[i].plain_len;
	}
}

static void read_extent(void *arg)
{
	struct extent_job *j = arg;
	const struct extent_row *row = &j->row;
	AUTO_FREE uint8_t *plain = NULL;
	size_t len = 0;
	int rc = -ENOMEM;

	for (uint32_t i = 0; i < row->n; i++)
		len += row->ref[i].plain_len;
	plain = mem_alloc(len);
	for (uint32_t i = 0; !plain && i < row->n; i++)
		j->rc[i] = rc;
	if (!plain)
		return;
	if (j->seg.desc.stripe.v != 0)
		rc = store_read_run(j->c->t->store, &j->seg.desc, row->data,
				    row->off - row->skip, row->ref, row->n,
				    plain);
	if (rc != 0)
		read_each(j, plain);
}

/* ---- telling ---- */

static int add_hit(struct check *c, uint64_t data, uint64_t lo, uint64_t hi)
{
	struct hnode *n = htab_find(&c->hits, data);
	struct hit *h = n ? container_of(n, struct hit, node) : NULL;

	if (!h) {
		h = mem_zalloc(sizeof(*h));
		if (!h)
			return -ENOMEM;
		h->lo = lo;
		htab_insert(&c->hits, &h->node, data);
	}
	h->bytes += hi - lo;
	h->lo = MIN(h->lo, lo);
	h->hi = MAX(h->hi, hi);
	return 0;
}

static bool is_damaged(const struct check *c, struct seg_id id)
{
	return htab_find(&c->damaged, id.v) != NULL;
}

/* Once for each open segment: it counts as damaged then. */
static int tell_open(struct check *c, struct seg_id id)
{
	struct damaged_segment *s;
	char subject[64];

	if (is_damaged(c, id))
		return 0;
	s = mem_zalloc(sizeof(*s));
	if (!s)
		return -ENOMEM;
	htab_insert(&c->damaged, &s->node, id.v);
	(void)snprintf(subject, sizeof(subject), "segment %" PRIu64, id.v);
	check_tell(c, FINDING_SEGMENT_OPEN_EMPTY, subject);
	return 0;
}

static int tell_chunk(const struct extent_job *j, unsigned i)
{
	struct check *c = j->c;
	struct seg_id id = j->row.segment;
	char subject[64];

	if (j->seg.desc.stripe.v == 0 && j->rc[i] == -ENOENT)
		return tell_open(c, id);
	if (is_damaged(c, id))
		return 0;
	(void)snprintf(subject, sizeof(subject), "segment %" PRIu64, id.v);
	check_report(c, FINDING_CHUNK_DAMAGED, subject,
		     "position %" PRIu32 ": %s", j->row.ref[i].pos,
		     err_text(j->rc[i]));
	return 0;
}

static int tell(struct extent_job *j)
{
	const struct extent_row *row = &j->row;
	uint64_t off = row->off - row->skip, stored = 0;
	int rc = 0;

	for (uint32_t i = 0; i < row->n && rc == 0; i++) {
		uint64_t end = off + row->ref[i].plain_len;
		uint64_t lo = MAX(off, row->off);
		uint64_t hi = MIN(end, row->off + row->len);

		off = end;
		stored += row->ref[i].stored_len;
		if (check_own_trouble(j->rc[i]))
			return j->rc[i];
		j->c->totals->chunks_opened += j->rc[i] == 0;
		if (j->rc[i] == 0)
			continue;
		rc = tell_chunk(j, i);
		if (rc == 0)
			rc = add_hit(j->c, row->data, lo, hi);
	}
	if (j->c->o->read_data)
		check_advance(j->c, stored);
	return rc;
}

static int flush(struct pass *p)
{
	int rc = 0;

	workq_drain(p->c->q);
	for (unsigned i = 0; i < p->jobs && rc == 0; i++)
		rc = tell(&p->job[i]);
	p->jobs = 0;
	return rc < 0 ? rc : check_go_on(p->c);
}

/* ---- all extents ---- */

static bool is_wanted(const struct pass *p)
{
	return p->c->o->read_data || p->seg.desc.stripe.v == 0 ||
	       is_damaged(p->c, p->seg.desc.id);
}

/* A row without its segment was told by check_index.c. */
static int begin(struct pass *p, const struct extent_row *row)
{
	struct extent_job *j = &p->job[p->jobs];
	int rc = 0;

	if (p->seg.desc.id.v != row->segment.v) {
		index_lock(p->c->t->ix);
		rc = segment_get(p->c->t->ix, row->segment, &p->seg);
		index_unlock(p->c->t->ix);
	}
	if (rc < 0) {
		p->seg.desc.id.v = 0;
		return check_own_trouble(rc)
			       ? rc
			       : add_hit(p->c, row->data, row->off,
					 row->off + row->len);
	}
	if (!is_wanted(p))
		return 0;
	*j = (struct extent_job){.c = p->c, .row = *row, .seg = p->seg};
	p->jobs++;
	return workq_submit(p->c->q, read_extent, j);
}

static int walk_extents(struct pass *p)
{
	struct index *ix = p->c->t->ix;
	struct extent_place after = {0};
	int n = CHECK_BATCH, rc = 0;

	for (bool first = true; rc == 0 && n == CHECK_BATCH; first = false) {
		index_lock(ix);
		n = lookup_extents(ix, first ? NULL : &after, p->row,
				   CHECK_BATCH);
		index_unlock(ix);
		for (int i = 0; i < n && rc == 0; i++)
			rc = begin(p, &p->row[i]);
		if (rc == 0)
			rc = flush(p);
		if (n > 0)
			after = (struct extent_place){p->row[n - 1].data,
						      p->row[n - 1].off};
	}
	return rc < 0 ? rc : MIN(n, 0);
}

/* ---- whose data it is ---- */

static int tell_file(struct check *c, const struct data_owner *o,
		     const struct hit *h)
{
	AUTO(bytes_release) struct bytes path = {0};
	char inode[64];
	int rc;

	index_lock(c->t->ix);
	rc = lookup_path(c->t->ix, o->ino, &path);
	index_unlock(c->t->ix);
	if (check_own_trouble(rc))
		return rc;
	(void)snprintf(inode, sizeof(inode), "inode %" PRIu64, o->ino);
	c->totals->files_hit++;
	check_report(c, FINDING_FILE_UNREADABLE,
		     rc == 0 ? (const char *)path.data : inode,
		     "%" PRIu64 " bytes between %" PRIu64 " and %" PRIu64,
		     h->bytes, h->lo, h->hi);
	return 0;
}

static int tell_files(struct check *c)
{
	struct data_owner o[CHECK_BATCH];
	uint64_t after = 0;
	int n = CHECK_BATCH, rc = 0;

	while (rc == 0 && n == CHECK_BATCH) {
		index_lock(c->t->ix);
		n = lookup_owners(c->t->ix, after, o, CHECK_BATCH);
		index_unlock(c->t->ix);
		for (int i = 0; i < n && rc == 0; i++) {
			struct hnode *h = htab_find(&c->hits, o[i].data);

			if (h)
				rc = tell_file(c, &o[i],
					       container_of(h, struct hit,
							    node));
		}
		if (n > 0)
			after = o[n - 1].ino;
	}
	return rc < 0 ? rc : MIN(n, 0);
}

int check_files(struct check *c)
{
	AUTO_FREE struct pass *p = NULL;
	int rc;

	if (!c->t->ix)
		return 0;
	p = mem_zalloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->c = c;
	rc = walk_extents(p);
	/* Jobs point into p. */
	workq_drain(c->q);
	if (rc == 0 && c->hits.count > 0)
		rc = tell_files(c);
	if (rc < 0 && !check_own_trouble(rc)) {
		check_report(c, FINDING_INDEX_UNREADABLE, "table of extents",
			     "%s", err_text(rc));
		rc = 0;
	}
	return rc;
}
