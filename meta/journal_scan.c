/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery: reading all that is left of one epoch's journal.
 *
 * 1. Headers. Every object in journal/ of every reachable member is asked for
 *    its header; those of the epoch are grouped by identical header. Names
 *    are not believed.
 * 2. The chain. It begins with the last file whose first seq is not above
 *    from_seq. The next record is taken from any copy in which it
 *    authenticates, with the right seq and chain value. A later file that
 *    begins with just that seq and chain goes before: the append at this place
 *    had failed (journal_format.h).
 * 3. The end. Nothing authenticates: a tail that was never acknowledged, or
 *    damage. Records that come later tell (journal_probe.c).
 *
 * Unknown is not missing (C6): if at the end so much could not be read that
 * fewer than n-m members have had their say, although so many were reachable
 * at first, the answer is -ERR_UNAVAILABLE.
 */
#include "meta/journal_scan.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/mutant.h"

/* ---- headers ---- */

static void note_unread(struct scan *s, unsigned slot, int rc)
{
	s->unread[slot] = true;
	if (rc == -ETIMEDOUT || rc == -ERR_BACKEND_DOWN)
		s->hung[slot] = true;
	log_event(LOG_LVL_WARN, "journal_copy_unread", "member=%u rc=%s", slot,
		  err_name(rc));
}

static bool same_head(const struct journal_head *a,
		      const struct journal_head *b)
{
	return a->file == b->file && a->size == b->size &&
	       a->first_seq == b->first_seq &&
	       memcmp(a->salt, b->salt, sizeof(a->salt)) == 0 &&
	       memcmp(a->chain, b->chain, sizeof(a->chain)) == 0;
}

static int group_for(struct scan *s, const struct journal_head *h,
		     struct scan_file **out)
{
	struct scan_file *grown;

	for (unsigned i = 0; i < s->files; i++) {
		*out = &s->file[i];
		if (same_head(&s->file[i].head, h))
			return 0;
	}
	grown = mem_realloc(s->file, (s->files + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	s->file = grown;
	*out = &s->file[s->files++];
	**out = (struct scan_file){.head = *h};
	(*out)->key.epoch = h->epoch;
	(*out)->key.file = h->file;
	return 0;
}

/* The view goes into the group of its header. */
static int enter(struct scan *s, const struct journal_head *h, unsigned slot,
		 const struct journal_view *v)
{
	struct scan_file *f;
	struct scan_copy *grown;
	int rc = group_for(s, h, &f);

	if (rc)
		return rc;
	grown = mem_realloc(f->copy, (f->copies + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	f->copy = grown;
	f->copy[f->copies] = (struct scan_copy){.view = *v, .slot = slot};
	f->copy[f->copies].view.win = NULL;
	f->copy[f->copies].view.end = MIN(v->end, h->size);
	f->copies++;
	return 0;
}

static bool is_wanted(const struct scan *s, const struct journal_head *h)
{
	return MUTANT(DROP_EPOCH_CHECK) ||
	       memcmp(h->epoch_id, s->epoch_id, sizeof(h->epoch_id)) == 0;
}

static int read_head(struct scan *s, unsigned slot, const char *name,
		     struct journal_head *h)
{
	AUTO_BIO struct bio *r = bio_new_get(name, 0, JOURNAL_BLOCK, true);
	int rc = bio_run(s->pool->member[slot].backend, r);

	if (!rc)
		return journal_codec_get_head(s->pool, bio_data(r)->data,
					      bio_data(r)->len, h);
	if (rc != -ENOENT && rc != -ENOMEM)
		note_unread(s, slot, rc);
	return rc;
}

/* What has no good header of the epoch is passed over. */
static int look_at(struct scan *s, unsigned slot, const char *name,
		   uint64_t size)
{
	/* Whole blocks: a torn end is taken for a shorter file. */
	struct journal_view v = {.backend = s->pool->member[slot].backend,
				 .end = size - size % JOURNAL_BLOCK};
	struct journal_head h;
	int rc;

	if (size == UINT64_MAX || strlen(name) >= sizeof(v.name) ||
	    !driver_name_ok(name))
		return 0;
	memcpy(v.name, name, strlen(name) + 1);
	rc = read_head(s, slot, name, &h);
	if (!rc && is_wanted(s, &h))
		rc = enter(s, &h, slot, &v);
	return rc == -ENOMEM ? rc : 0;
}

static int look_at_all(struct scan *s, unsigned slot, struct bio *list)
{
	unsigned n = bio_list_count(list);
	int rc = 0;

	if (n > JOURNAL_SCAN_FILES) {
		log_event(LOG_LVL_WARN, "journal_too_many_files",
			  "member=%u files=%u", slot, n);
		n = JOURNAL_SCAN_FILES;
	}
	for (unsigned i = 0; i < n && !rc && !s->hung[slot]; i++) {
		uint64_t size;
		const char *name = bio_list_at(list, i, &size);

		rc = look_at(s, slot, name, size);
	}
	return rc;
}

/* All lists at the same time, then the headers. */
static int find_files(struct scan *s)
{
	struct bio *list[POOL_MEMBERS_MAX] = {NULL};
	int rc = 0;

	for (unsigned i = 0; i < s->pool->n; i++) {
		if (!journal_up(s->pool, i))
			continue;
		s->reachable++;
		list[i] = bio_new_list(JOURNAL_FOLDER);
		if (!list[i])
			rc = -ENOMEM;
		else
			(void)bio_submit(s->pool->member[i].backend, list[i]);
	}
	for (unsigned i = 0; i < s->pool->n; i++) {
		int list_rc = list[i] ? bio_wait(list[i], 0) : 0;

		if (list_rc)
			note_unread(s, i, list_rc);
		else if (list[i] && !rc)
			rc = look_at_all(s, i, list[i]);
		bio_unref(list[i]);
	}
	return rc;
}

static int by_number(const void *a, const void *b)
{
	const struct journal_head *x = &((const struct scan_file *)a)->head;
	const struct journal_head *y = &((const struct scan_file *)b)->head;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	if (x->first_seq != y->first_seq)
		return x->first_seq < y->first_seq ? -1 : 1;
	return 0;
}

/* ---- the chain ---- */

int journal_scan_key(struct scan *s, struct scan_file *f)
{
	if (f->key.aead)
		return 0;
	return journal_codec_key(s->pool, f->head.salt, &f->key.aead);
}

static void leave(struct scan_file *f)
{
	for (unsigned i = 0; i < f->copies; i++)
		journal_view_release(&f->copy[i].view);
}

static bool follows(const struct scan *s, uint64_t seq, const uint8_t *chain)
{
	return seq == s->seq && memcmp(chain, s->chain, sizeof(s->chain)) == 0;
}

/* The latest file behind f that goes on where the chain is now, or NULL. */
static struct scan_file *successor(struct scan *s, struct scan_file *f)
{
	for (struct scan_file *g = s->file + s->files - 1; g > f; g--) {
		if (follows(s, g->head.first_seq, g->head.chain))
			return g;
	}
	return NULL;
}

static void note_failure(struct scan *s, struct scan_copy *c, int rc)
{
	if (c->view.rc == -ETIMEDOUT || c->view.rc == -ERR_BACKEND_DOWN)
		s->hung[c->slot] = true;
	else if (!c->view.rc && rc != -ENOENT && rc != -ERR_TRUNCATED)
		s->bad++;
}

/* Record s->seq from the first copy that has it. -ENOENT: none has. */
static int fetch(struct scan *s, struct scan_file *f, uint64_t pos,
		 struct journal_record *r)
{
	s->bad = 0;
	for (unsigned i = 0; i < f->copies; i++) {
		unsigned n = (f->favourite + i) % f->copies;
		struct scan_copy *c = &f->copy[n];
		int rc;

		if (s->hung[c->slot])
			continue;
		rc = journal_view_record(&c->view, &f->key, pos, r, &s->plain);
		if (rc == -ENOMEM)
			return rc;
		if (rc || !follows(s, r->seq, r->chain)) {
			note_failure(s, c, rc);
			continue;
		}
		f->favourite = n;
		s->result->damaged += s->bad;
		return 0;
	}
	return -ENOENT;
}

struct taker {
	int (*each)(void *arg, uint64_t seq, const void *payload, size_t len);
	void *arg;
};

static int accept(struct scan *s, const struct journal_record *r,
		  const struct taker *t)
{
	int rc = 0;

	s->result->acked = MAX(s->result->acked, r->acked);
	s->seq = r->seq + 1;
	memcpy(s->chain, r->tag, sizeof(s->chain));
	if (r->seq < s->from_seq)
		return 0;
	rc = t->each(t->arg, r->seq, s->plain.data, s->plain.len);
	if (rc)
		return rc;
	s->result->records++;
	s->result->last_seq = r->seq;
	return 0;
}

/* Until the chain leaves the file. *pos: where. */
static int follow(struct scan *s, struct scan_file *f, uint64_t *pos,
		  const struct taker *t)
{
	int rc = journal_scan_key(s, f);

	while (!rc && !successor(s, f)) {
		struct journal_record r;

		rc = fetch(s, f, *pos, &r);
		if (rc)
			break;
		rc = accept(s, &r, t);
		*pos += journal_codec_room(r.len);
	}
	return rc == -ENOENT ? 0 : rc;
}

/* What is damaged before from_seq does no harm: it is covered. */
static int walk_file(struct scan *s, struct scan_file *f, uint64_t *pos,
		     const struct taker *t)
{
	int rc;

	*pos = JOURNAL_BLOCK;
	rc = follow(s, f, pos, t);
	if (rc || s->seq >= s->from_seq || successor(s, f))
		return rc;
	rc = journal_probe_resume(s, f, pos);
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	return follow(s, f, pos, t);
}

static struct scan_file *first_file(struct scan *s)
{
	struct scan_file *first = NULL;

	for (unsigned i = 0; i < s->files; i++) {
		if (s->file[i].head.first_seq <= s->from_seq)
			first = &s->file[i];
	}
	return first;
}

/* ---- the end ---- */

/* Have fewer had their say than the promise needs, of those that were up? */
static bool too_few_heard(struct scan *s, const struct scan_file *last)
{
	unsigned need = s->pool->n - s->pool->geo.m, unread = 0;

	for (unsigned i = 0; last && i < last->copies; i++) {
		if (last->copy[i].view.rc)
			s->unread[last->copy[i].slot] = true;
	}
	for (unsigned i = 0; i < s->pool->n; i++)
		unread += (s->unread[i] || s->hung[i]) &&
			  !MUTANT(UNREACHABLE_IS_MISSING);
	s->result->heard = s->reachable - unread;
	return unread && s->reachable >= need && s->reachable - unread < need;
}

static int finish(struct scan *s, struct scan_file *last, uint64_t pos)
{
	struct journal_scan_result *res = s->result;
	unsigned bad = s->bad;
	int rc;

	if (too_few_heard(s, last)) {
		log_event(LOG_LVL_ERROR, "journal_unreadable", "seq=%llu",
			  (unsigned long long)s->seq);
		return -ERR_UNAVAILABLE;
	}
	rc = journal_probe_rest(s, last, pos);
	if (rc)
		return rc;
	res->lost = res->acked > res->last_seq;
	if (!res->lost)
		return 0;
	res->damaged += bad;
	log_event(LOG_LVL_ERROR, "journal_records_lost",
		  "after=%llu acked=%llu", (unsigned long long)res->last_seq,
		  (unsigned long long)res->acked);
	return 0;
}

static int walk(struct scan *s, const struct taker *t)
{
	struct scan_file *f = first_file(s), *next;
	uint64_t pos = 0;
	int rc;

	if (!f)
		return finish(s, NULL, 0);
	s->seq = f->head.first_seq;
	memcpy(s->chain, f->head.chain, sizeof(s->chain));
	for (;; f = next) {
		s->bad = 0;
		rc = walk_file(s, f, &pos, t);
		if (rc)
			return rc;
		next = successor(s, f);
		if (!next)
			return finish(s, f, pos);
		leave(f);
	}
}

static void scan_release(struct scan *s)
{
	for (unsigned i = 0; i < s->files; i++) {
		leave(&s->file[i]);
		aead_free(s->file[i].key.aead);
		mem_free(s->file[i].copy);
	}
	mem_free(s->file);
	bytes_release(&s->plain);
}

int journal_scan(struct pool *p, const uint8_t epoch_id[16], uint64_t from_seq,
		 int (*each)(void *arg, uint64_t seq, const void *payload,
			     size_t len),
		 void *arg, struct journal_scan_result *out)
{
	const struct taker t = {each, arg};
	struct scan s = {
		.pool = p,
		.epoch_id = epoch_id,
		.from_seq = from_seq,
		.seq = from_seq,
		.result = out,
	};
	int rc;

	*out = (struct journal_scan_result){.last_seq = from_seq - 1};
	rc = find_files(&s);
	if (!rc && s.files)
		qsort(s.file, s.files, sizeof(*s.file), by_number);
	if (!rc)
		rc = walk(&s, &t);
	scan_release(&s);
	return rc;
}
