/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies behind the place where a chain cannot be followed.
 *
 * Records begin at block borders and each authenticates alone, so a copy is
 * searched block by block. Behind a last record there is nothing of the same
 * file, so a search ends after a gap longer than any record; and as a folder
 * may forge what only looks like a record, after PROBE_TRIES that fail.
 */
#include <string.h>

#include "base/mem.h"
#include "meta/journal_scan.h"

#define PROBE_TRIES 64

struct probe {
	struct scan *s;
	struct scan_file *f;
	struct scan_copy *c;
	uint64_t pos;
	uint64_t limit; /* the search ends here if nothing comes */
	unsigned tries; /* left */
	struct journal_record r;
};

/* Does a record of this file, and of a later seq, seem to begin here? */
static bool plausible(struct probe *p, const uint8_t *at)
{
	struct journal_record r;

	return journal_codec_peek(at, &r) == 0 && r.file == p->f->key.file &&
	       r.epoch == p->f->key.epoch && r.seq >= p->s->seq;
}

static void extend(struct probe *p)
{
	p->limit = p->pos + journal_codec_room(JOURNAL_RECORD_MAX);
}

/* One block further: 0 with a record in p->r, -EAGAIN, or it is over. */
static int step(struct probe *p)
{
	const uint8_t *at;
	int rc = journal_view_get(&p->c->view, p->pos, JOURNAL_BLOCK, &at);

	if (rc)
		return rc;
	if (!plausible(p, at)) {
		p->pos += JOURNAL_BLOCK;
		return -EAGAIN;
	}
	extend(p);
	rc = journal_view_record(&p->c->view, &p->f->key, p->pos, &p->r,
				 &p->s->plain);
	if (rc) {
		p->tries--;
		p->pos += JOURNAL_BLOCK;
		return rc == -ENOMEM ? rc : -EAGAIN;
	}
	p->pos += journal_codec_room(p->r.len);
	return 0;
}

/* The next record at or behind p->pos; -ENOENT: there is none. */
static int next(struct probe *p)
{
	int rc = -EAGAIN;

	while (rc == -EAGAIN && p->pos < p->limit && p->tries)
		rc = step(p);
	if (!rc)
		extend(p);
	return rc && rc != -ENOMEM ? -ENOENT : rc;
}

static struct probe begin(struct scan *s, struct scan_file *f, unsigned copy,
			  uint64_t pos)
{
	struct probe p = {.s = s, .f = f, .c = &f->copy[copy], .pos = pos};

	p.tries = s->hung[p.c->slot] ? 0 : PROBE_TRIES;
	extend(&p);
	return p;
}

/* 0: found, -ENOENT or -ENOMEM. */
static int resume_in(struct probe *p, uint64_t *pos)
{
	int rc;

	while (!(rc = next(p))) {
		if (p->r.seq != p->s->from_seq)
			continue;
		*pos = p->pos - journal_codec_room(p->r.len);
		p->s->seq = p->r.seq;
		memcpy(p->s->chain, p->r.chain, sizeof(p->s->chain));
		return 0;
	}
	return rc;
}

int journal_probe_resume(struct scan *s, struct scan_file *f, uint64_t *pos)
{
	int rc = -ENOENT;

	for (unsigned i = 0; i < f->copies && rc == -ENOENT; i++) {
		struct probe p = begin(s, f, i, *pos);

		rc = resume_in(&p, pos);
	}
	if (!rc)
		s->result->damaged += s->bad;
	return rc;
}

static int look_through(struct scan *s, struct scan_file *f, uint64_t pos)
{
	int rc = journal_scan_key(s, f);

	for (unsigned i = 0; i < f->copies && !rc; i++) {
		struct probe p = begin(s, f, i, pos);

		while (!(rc = next(&p)))
			s->result->acked = MAX(s->result->acked, p.r.acked);
		if (rc == -ENOENT)
			rc = 0;
		journal_view_release(&f->copy[i].view);
	}
	return rc;
}

int journal_probe_rest(struct scan *s, struct scan_file *last, uint64_t pos)
{
	struct scan_file *f = last ? last : s->file;
	int rc = 0;

	if (!s->files)
		return 0;
	for (; f < s->file + s->files && !rc; f++)
		rc = look_through(s, f, f == last ? pos : JOURNAL_BLOCK);
	return rc;
}
