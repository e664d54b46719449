/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bringing uncovered files to a new copy.
 *
 * Records are read from a copy that answers, authenticated, gathered and
 * written in large pieces; one that is damaged in a copy comes from another.
 * Where all have it damaged, what follows is taken over as it is: the record
 * was lost before, and the later ones need their copy.
 */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "meta/journal_impl.h"

struct move {
	struct journal_file *f;
	struct journal_copy *to;
	struct journal_key key;
	struct journal_view view[POOL_MEMBERS_MAX];
	unsigned views;
	unsigned favourite; /* the view that had the last record */
	uint64_t pos;	    /* of the next record */
	uint64_t seq;
	uint8_t chain[JOURNAL_CHAIN];
	struct bytes plain; /* scratch */
	struct buf *stage;  /* gathered, not yet written */
	uint64_t stage_pos;
};

/* ---- writing ---- */

static int flush(struct move *m)
{
	AUTO_BUF struct buf *b = steal(&m->stage);
	AUTO_BIO struct bio *r = NULL;

	if (!b)
		return 0;
	r = bio_new_jwrite(m->to->handle, b, m->stage_pos);
	return bio_run(m->to->backend, r);
}

/* Adds bytes (whole blocks) that belong behind what is staged. */
static int stage(struct move *m, const uint8_t *bytes, size_t len)
{
	int rc = 0;

	if (m->stage && m->stage->len + len > m->stage->cap)
		rc = flush(m);
	if (rc)
		return rc;
	if (!m->stage) {
		m->stage = buf_new(MAX(len, (size_t)JOURNAL_WINDOW));
		if (!m->stage)
			return -ENOMEM;
		m->stage->len = 0;
		m->stage_pos = m->pos;
	}
	memcpy(m->stage->data + m->stage->len, bytes, len);
	m->stage->len += len;
	m->pos += len;
	return 0;
}

/* ---- reading ---- */

static struct journal_view *view_at(struct move *m, unsigned i)
{
	return &m->view[(m->favourite + i) % m->views];
}

static bool follows(const struct move *m, const struct journal_record *r)
{
	return r->seq == m->seq &&
	       memcmp(r->chain, m->chain, sizeof(m->chain)) == 0;
}

/* The raw bytes of the next record, from the first copy that has it right. */
static int next_record(struct move *m, struct journal_record *r,
		       const uint8_t **bytes)
{
	int rc = -ERR_UNAVAILABLE;

	for (unsigned i = 0; i < m->views; i++) {
		struct journal_view *v = view_at(m, i);

		rc = journal_view_record(v, &m->key, m->pos, r, &m->plain);
		if (rc == -ENOMEM)
			return rc;
		if (rc || !follows(m, r))
			continue;
		m->favourite = (m->favourite + i) % m->views;
		return journal_view_get(
			v, m->pos, (size_t)journal_codec_room(r->len), bytes);
	}
	return rc ? rc : -ERR_CORRUPT;
}

static int move_record(struct move *m)
{
	struct journal_record r;
	const uint8_t *bytes;
	int rc = next_record(m, &r, &bytes);

	if (rc)
		return rc;
	m->seq++;
	memcpy(m->chain, r.tag, sizeof(m->chain));
	return stage(m, bytes, (size_t)journal_codec_room(r.len));
}

static int move_raw_piece(struct move *m)
{
	size_t len = (size_t)MIN(m->f->used - m->pos, (uint64_t)JOURNAL_WINDOW);
	const uint8_t *bytes;
	int rc = -ERR_UNAVAILABLE;

	for (unsigned i = 0; i < m->views; i++) {
		rc = journal_view_get(view_at(m, i), m->pos, len, &bytes);
		if (!rc)
			return stage(m, bytes, len);
	}
	return rc;
}

/* Is it the record that is bad, and not the copies that cannot be read? */
static bool is_damage(int rc)
{
	return rc == -ERR_AUTH || rc == -ERR_FORMAT || rc == -ERR_RANGE ||
	       rc == -ERR_CORRUPT || rc == -ENOENT || rc == -ERR_TRUNCATED;
}

static int move_records(struct move *m)
{
	int rc = 0;

	while (!rc && m->pos < m->f->used)
		rc = move_record(m);
	if (!is_damage(rc))
		return rc;
	log_event(LOG_LVL_ERROR, "journal_record_damaged",
		  "file=%llu seq=%llu copies=%u",
		  (unsigned long long)m->f->head.file,
		  (unsigned long long)m->seq, m->views);
	for (rc = 0; !rc && m->pos < m->f->used;)
		rc = move_raw_piece(m);
	return rc;
}

/* ---- all of a file ---- */

/* One that lags would make everybody wait; when it does, others are there. */
static void add_views(struct journal *j, struct move *m)
{
	MUTEX_GUARD(&j->mu);
	for (unsigned i = 0; i < j->pool->n; i++) {
		struct journal_copy *c = m->f->copy[i];
		struct journal_view *v = &m->view[m->views];

		if (!c || c == m->to || j->member[i].role != JOURNAL_COPY ||
		    j->member[i].lagging)
			continue;
		v->backend = c->backend;
		v->end = m->f->used;
		journal_codec_name(&c->name, v->name);
		m->views++;
	}
}

static int move_head(struct journal *j, struct move *m)
{
	uint8_t block[JOURNAL_BLOCK];
	int rc = journal_codec_put_head(j->pool, &m->f->head, block);

	return rc ? rc : stage(m, block, sizeof(block));
}

int journal_move_file(struct journal *j, struct journal_file *f,
		      struct journal_copy *to)
{
	struct move m = {
		.f = f,
		.to = to,
		.key = {f->aead, f->head.epoch, f->head.file},
		.seq = f->head.first_seq,
	};
	int rc;

	memcpy(m.chain, f->head.chain, sizeof(m.chain));
	add_views(j, &m);
	rc = move_head(j, &m);
	if (!rc)
		rc = move_records(&m);
	if (!rc)
		rc = flush(&m);
	buf_unref(m.stage);
	bytes_release(&m.plain);
	for (unsigned i = 0; i < m.views; i++)
		journal_view_release(&m.view[i]);
	return rc;
}
