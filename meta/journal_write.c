/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Appending. See journal.c for states and invariants.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/mutant.h"
#include "base/rnd.h"
#include "meta/journal_impl.h"

#define INSIST_TRIES (2 * BACKEND_STRIKES) /* for each member */

/* One write to all copies of a file. */
struct write {
	struct journal_file *f;
	struct buf *b;
	uint64_t pos;
	uint64_t hard_ns; /* nobody is waited for beyond */
	struct bio *bio[POOL_MEMBERS_MAX];
};

/* ---- how many copies there must be ---- */

/*
 * Members that answer count in u (C2), also if all they say is no: that they
 * are full, or cannot write. Those that do not answer, or are DOWN, do not.
 */
static bool enough_copies(struct journal *j)
{
	unsigned copies;

	MUTEX_GUARD(&j->mu);
	copies = journal_count_locked(j);
	return copies >= MIN(j->wanted, journal_members_reachable_locked(j));
}

static unsigned count(struct journal *j)
{
	MUTEX_GUARD(&j->mu);
	return journal_count_locked(j);
}

/*
 * Those that have failed lately have their turn later, but not while C2 needs
 * them: then they are asked until one can, or the breaker says that it is DOWN
 * (BACKEND_STRIKES failures in a row; it may answer others well in between), or
 * that is enough.
 */
static void top_up(struct journal *j)
{
	unsigned tries = INSIST_TRIES * j->pool->n;

	while (count(j) < j->wanted && journal_copies_add(j) == 0)
		;
	while (tries-- && !enough_copies(j))
		if (journal_copies_insist(j) == -ERR_UNAVAILABLE)
			break;
}

/* ---- writing to all copies ---- */

static int submit_all(struct write *w)
{
	for (unsigned i = 0; i < POOL_MEMBERS_MAX; i++) {
		struct journal_copy *c = w->f->copy[i];

		if (!c)
			continue;
		w->bio[i] = bio_new_jwrite(c->handle, w->b, w->pos);
		if (!w->bio[i])
			return -ENOMEM;
	}
	for (unsigned i = 0; i < POOL_MEMBERS_MAX; i++) {
		if (w->bio[i])
			(void)bio_submit(w->f->copy[i]->backend, w->bio[i]);
	}
	return 0;
}

/* None has ended well: the result of one that failed. */
static int failure(struct write *w)
{
	int rc = -ERR_UNAVAILABLE;

	for (unsigned i = 0; i < POOL_MEMBERS_MAX; i++) {
		if (w->bio[i] && bio_wait(w->bio[i], w->hard_ns) == -ENOSPC)
			rc = -ENOSPC;
	}
	return rc;
}

static void drop_failed(struct journal *j, struct write *w)
{
	for (unsigned i = 0; i < POOL_MEMBERS_MAX; i++) {
		int rc = 0;

		if (!w->bio[i])
			continue;
		if (!bio_done(w->bio[i], &rc)) {
			MUTEX_GUARD(&j->mu);
			j->member[i].lagging = true;
		} else if (rc) {
			journal_members_drop(j, i, rc);
		}
	}
}

/* Replaced by another if there is one, else waited for. */
static void settle_laggard(struct journal *j, struct write *w, unsigned slot)
{
	struct bio *bio = w->bio[slot];
	int rc = 0;

	if (!bio_done(bio, &rc)) {
		if (journal_copies_add(j) == 0) {
			(void)journal_end(bio);
			rc = -ETIMEDOUT;
		} else {
			rc = bio_wait(bio, w->hard_ns);
			if (rc == -ETIMEDOUT) {
				journal_members_give_up(j, slot);
				return;
			}
		}
	}
	if (rc) {
		journal_members_drop(j, slot, rc);
		return;
	}
	MUTEX_GUARD(&j->mu);
	j->member[slot].lagging = false;
}

static int settle(struct journal *j, struct write *w)
{
	const bool early = MUTANT(ACK_EARLY);

	if (!(early ? bio_wait_some(w->bio, POOL_MEMBERS_MAX, 1, w->hard_ns)
		    : journal_wait(w->bio, journal_patience_ns(j))))
		return failure(w); /* J6 */
	mutex_lock(&j->mu);
	w->f->used = w->pos + w->b->len;
	mutex_unlock(&j->mu);
	if (early)
		return 0;
	drop_failed(j, w);
	for (unsigned i = 0; i < POOL_MEMBERS_MAX; i++) {
		if (w->bio[i] && j->member[i].lagging)
			settle_laggard(j, w, i);
	}
	top_up(j);
	return 0;
}

static int write_all(struct journal *j, struct journal_file *f, struct buf *b,
		     uint64_t pos)
{
	struct write w = {
		.f = f,
		.b = b,
		.pos = pos,
		.hard_ns = clock_mono_ns() + BACKEND_DEADLINE_MS * NS_PER_MS,
	};
	int rc = submit_all(&w);

	if (!rc)
		rc = settle(j, &w);
	for (unsigned i = 0; i < POOL_MEMBERS_MAX; i++)
		bio_unref(w.bio[i]);
	return rc;
}

/* ---- opening a file ---- */

/* The copies that f lacks on members that should have it. */
static void missing_locked(struct journal *j, const struct journal_file *f,
			   struct journal_set *set)
{
	for (unsigned i = 0; i < j->pool->n; i++) {
		if (j->member[i].role != JOURNAL_COPY || f->copy[i])
			continue;
		set->copy[i] = journal_copy_new(j, i, f->head.file);
	}
}

static void attach_locked(struct journal *j, struct journal_file *f,
			  struct journal_set *set)
{
	for (unsigned i = 0; i < j->pool->n; i++) {
		struct journal_copy *c = set->copy[i];

		if (c && !set->rc[i])
			f->copy[i] = c;
		else
			journal_copy_bury_locked(j, c);
	}
}

static unsigned holders(const struct journal_file *f)
{
	unsigned n = 0;

	for (unsigned i = 0; i < POOL_MEMBERS_MAX; i++)
		n += f->copy[i] != NULL;
	return n;
}

static bool lacks(struct journal *j, const struct journal_file *f,
		  unsigned slot)
{
	MUTEX_GUARD(&j->mu);
	return j->member[slot].role == JOURNAL_COPY && !f->copy[slot];
}

/* Members that hold records but cannot hold this file. */
static void drop_without(struct journal *j, const struct journal_file *f,
			 const struct journal_set *set)
{
	for (unsigned i = 0; i < j->pool->n; i++) {
		if (lacks(j, f, i))
			journal_members_drop(j, i,
					     set->rc[i] ? set->rc[i] : -ENOMEM);
	}
}

static int why_none(const struct journal_set *set)
{
	for (unsigned i = 0; i < POOL_MEMBERS_MAX; i++) {
		if (set->rc[i] == -ENOSPC)
			return -ENOSPC;
	}
	return -ERR_UNAVAILABLE;
}

/* Its files on all copies, or on those that can. */
static int equip(struct journal *j, struct journal_file *f)
{
	struct journal_set set = {0};
	int rc = 0;

	mutex_lock(&j->mu);
	missing_locked(j, f, &set);
	mutex_unlock(&j->mu);
	/* Somebody waits, so no more zeros than the shortest file has. */
	journal_copies_create(&set, MIN(f->head.size, j->file_min),
			      3 * journal_patience_ns(j));
	mutex_lock(&j->mu);
	attach_locked(j, f, &set);
	mutex_unlock(&j->mu);
	if (!holders(f) && journal_copies_add(j)) /* J6: reads the others */
		rc = why_none(&set);
	if (!rc)
		drop_without(j, f, &set);
	return rc;
}

/* Draws the new life's salt and describes it (J2). */
static int begin_life(struct journal *j, struct journal_file *f)
{
	uint8_t salt[KEY_SALT];
	int rc;

	rnd_bytes(salt, sizeof(salt));
	if (MUTANT(REUSE_SALT) && f->head.epoch) /* it had a life */
		memcpy(salt, f->head.salt, sizeof(salt));
	rc = journal_codec_key(j->pool, salt, &f->aead);
	if (rc)
		return rc;
	MUTEX_GUARD(&j->mu);
	MUST(!f->used && memcmp(f->head.salt, salt, sizeof(salt))); /* C9 */
	f->head.epoch = j->epoch;
	memcpy(f->head.epoch_id, j->epoch_id, sizeof(j->epoch_id));
	memcpy(f->head.chain, j->chain, sizeof(j->chain));
	memcpy(f->head.salt, salt, sizeof(salt));
	return 0;
}

static int write_head(struct journal *j, struct journal_file *f)
{
	AUTO_BUF struct buf *b = buf_new(JOURNAL_BLOCK);
	int rc;

	if (!b)
		return -ENOMEM;
	rc = journal_codec_put_head(j->pool, &f->head, b->data);
	return rc ? rc : write_all(j, f, b, 0);
}

int journal_open_file(struct journal *j, uint64_t room)
{
	struct journal_file *f = journal_file_take(j, JOURNAL_BLOCK + room);
	int rc;

	if (!f)
		return -ENOMEM;
	rc = begin_life(j, f);
	if (!rc)
		rc = equip(j, f);
	if (!rc)
		rc = write_head(j, f);
	MUTEX_GUARD(&j->mu);
	j->care = true;
	if (rc)
		f->spoiled = true;
	else
		j->current = f;
	return rc;
}

/* ---- records ---- */

/* The open file if it has room, else the one opened for this record. */
static int file_with_room(struct journal *j, uint64_t room,
			  struct journal_file **out)
{
	struct journal_file *f;
	int rc = 0;

	mutex_lock(&j->mu);
	f = j->current;
	mutex_unlock(&j->mu);
	if (!f || f->head.size - f->used < room)
		rc = journal_open_file(j, room);
	if (rc)
		return rc;
	MUTEX_GUARD(&j->mu);
	*out = j->current;
	MUST(!j->current->spoiled); /* J3 */
	j->current->last_seq = j->next_seq;
	return 0;
}

static void end_file(struct journal *j, struct journal_file *f)
{
	MUTEX_GUARD(&j->mu);
	f->spoiled = true;
	j->current = NULL;
}

/* Seals b at the end of f and writes it; any failure ends f (C9). */
static int put_record(struct journal *j, struct journal_file *f,
		      struct journal_record *r, const void *payload,
		      struct buf *b)
{
	int rc = journal_codec_seal(f->aead, f->used, r, payload, b);

	if (!rc)
		rc = write_all(j, f, b, f->used);
	if (!rc && !enough_copies(j))
		rc = journal_members_why(j);
	if (rc && !MUTANT(SEAL_AGAIN))
		end_file(j, f);
	return rc;
}

static int append(struct journal *j, uint64_t acked, const void *payload,
		  size_t len)
{
	uint64_t room = journal_codec_room(len);
	AUTO_BUF struct buf *b = buf_new((size_t)room);
	struct journal_record r = {.len = (uint32_t)len, .acked = acked};
	struct journal_file *f;
	int rc = b ? file_with_room(j, room, &f) : -ENOMEM;

	if (rc)
		return rc;
	r.epoch = j->epoch;
	r.file = f->head.file;
	r.seq = j->next_seq;
	memcpy(r.chain, j->chain, sizeof(r.chain));
	rc = put_record(j, f, &r, payload, b);
	if (rc)
		return rc;
	memcpy(j->chain, r.tag, sizeof(j->chain));
	j->next_seq++;
	MUTEX_GUARD(&j->mu);
	j->records++;
	j->bytes += room;
	return 0;
}

static void begin_append(struct journal *j)
{
	MUTEX_GUARD(&j->mu);
	MUST(!j->appending);
	j->appending = true;
}

/* Is there something for the background? */
static bool end_append(struct journal *j)
{
	const struct journal_file *f;
	bool care;

	MUTEX_GUARD(&j->mu);
	f = j->current;
	j->appending = false;
	care = j->care || (f && !j->next && f->used > f->head.size / 2);
	j->care = false;
	return care;
}

int journal_append(struct journal *j, uint64_t seq, uint64_t acked,
		   const void *payload, size_t len)
{
	int rc;

	if (len > JOURNAL_RECORD_MAX)
		return -EFBIG;
	begin_append(j);
	MUST(seq == j->next_seq && acked < seq);
	top_up(j);
	rc = enough_copies(j) ? append(j, acked, payload, len)
			      : journal_members_why(j);
	if (end_append(j))
		journal_kick(j);
	if (rc)
		log_event(LOG_LVL_ERROR, "journal_append_failed",
			  "seq=%llu rc=%s", (unsigned long long)seq,
			  err_name(rc));
	return rc;
}
