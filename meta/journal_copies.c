/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies: making their files, and bringing a member up to date. See journal.c
 * for states and invariants.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/mutant.h"
#include "meta/journal_impl.h"

#define CREATE_STEP (4u << 20) /* zeros written by one request */

/* ---- one copy ---- */

struct journal_copy *journal_copy_new(const struct journal *j, unsigned slot,
				      uint64_t number)
{
	struct journal_copy *c = mem_zalloc(sizeof(*c));

	if (!c)
		return NULL;
	c->backend = j->pool->member[slot].backend;
	c->slot = slot;
	c->name = (struct journal_name){
		.epoch = j->epoch,
		.file = number,
		.attempt = j->member[slot].attempt,
	};
	return c;
}

void journal_copy_bury_locked(struct journal *j, struct journal_copy *c)
{
	if (!c)
		return;
	TAILQ_INSERT_TAIL(&j->dead, c, link);
	j->care = true;
}

/* ---- requests to several members ---- */

unsigned journal_wait(struct bio **bio, uint64_t patience_ns)
{
	const unsigned all = POOL_MEMBERS_MAX;
	uint64_t now = clock_mono_ns();
	uint64_t hard = now + BACKEND_DEADLINE_MS * NS_PER_MS;
	unsigned ok =
		bio_wait_some(bio, all, all, MIN(hard, now + patience_ns));

	/* While none has ended it is not known to be slow. */
	if (ok || !bio_wait_some(bio, all, 1, hard))
		return ok;
	return bio_wait_some(bio, all, all,
			     MIN(hard, clock_mono_ns() + patience_ns));
}

int journal_end(struct bio *bio)
{
	return bio_wait(bio, 1); /* a deadline long ago */
}

/* Runs one request per member; set->rc tells. Takes the requests. */
static void run_round(struct journal_set *set, struct bio **bio,
		      uint64_t patience_ns)
{
	for (unsigned i = 0; i < POOL_MEMBERS_MAX; i++) {
		if (bio[i])
			(void)bio_submit(set->copy[i]->backend, bio[i]);
	}
	(void)journal_wait(bio, patience_ns);
	for (unsigned i = 0; i < POOL_MEMBERS_MAX; i++) {
		if (set->copy[i] && !set->rc[i])
			set->rc[i] = journal_end(bio[i]);
	}
}

static void open_round(struct journal_set *set, uint64_t bytes,
		       uint64_t patience_ns)
{
	struct bio *bio[POOL_MEMBERS_MAX] = {NULL};
	char name[JOURNAL_NAME];

	for (unsigned i = 0; i < POOL_MEMBERS_MAX; i++) {
		if (!set->copy[i])
			continue;
		journal_codec_name(&set->copy[i]->name, name);
		bio[i] = bio_new_jopen(name, bytes);
	}
	run_round(set, bio, patience_ns);
	for (unsigned i = 0; i < POOL_MEMBERS_MAX; i++) {
		if (set->copy[i] && !set->rc[i]) {
			set->copy[i]->handle = bio_jfile(bio[i]);
			set->copy[i]->bytes = bytes;
		}
		bio_unref(bio[i]);
	}
}

static void zero_round(struct journal_set *set, struct buf *zeros, uint64_t off,
		       uint64_t patience_ns)
{
	struct bio *bio[POOL_MEMBERS_MAX] = {NULL};

	for (unsigned i = 0; i < POOL_MEMBERS_MAX; i++) {
		if (set->copy[i] && !set->rc[i])
			bio[i] = bio_new_jwrite(set->copy[i]->handle, zeros,
						off);
	}
	run_round(set, bio, patience_ns);
	for (unsigned i = 0; i < POOL_MEMBERS_MAX; i++) {
		if (set->copy[i] && !set->rc[i])
			set->copy[i]->bytes = off + zeros->len;
		bio_unref(bio[i]);
	}
}

/* In steps, so that no single request takes long on a slow member. */
void journal_copies_create(struct journal_set *set, uint64_t bytes,
			   uint64_t patience_ns)
{
	uint64_t step = MIN(bytes, (uint64_t)CREATE_STEP);
	AUTO_BUF struct buf *zeros = NULL;

	MUST(bytes >= JOURNAL_BLOCK);
	open_round(set, step, patience_ns);
	if (bytes > step)
		zeros = buf_new(step);
	if (!zeros)
		return; /* shorter than wished, which is allowed */
	memset(zeros->data, 0, step);
	for (uint64_t off = step; off < bytes; off += step)
		zero_round(set, zeros, MIN(off, bytes - step), patience_ns);
}

/* ---- taking on ---- */

static int create_one(struct journal_copy *c, uint64_t bytes,
		      uint64_t patience_ns)
{
	struct journal_set set = {0};

	set.copy[c->slot] = c;
	journal_copies_create(&set, bytes, patience_ns);
	return set.rc[c->slot];
}

/* Gives the spare's empty file to c. */
static int use_spare(struct journal *j, struct journal_copy *c)
{
	struct journal_member *m = &j->member[c->slot];
	char from[JOURNAL_NAME], to[JOURNAL_NAME];
	AUTO_BIO struct bio *r = NULL;
	int rc;

	journal_codec_name(&m->spare->name, from);
	journal_codec_name(&c->name, to);
	r = bio_new_rename(from, to);
	rc = bio_run(c->backend, r);
	if (rc)
		return rc;
	MUTEX_GUARD(&j->mu);
	c->handle = steal(&m->spare->handle);
	c->bytes = m->spare->bytes;
	mem_free(steal(&m->spare));
	return 0;
}

/* The copy of f on the member, its bytes included. */
static int join_file(struct journal *j, struct journal_file *f, unsigned slot,
		     bool last, uint64_t patience_ns)
{
	struct journal_copy *c = journal_copy_new(j, slot, f->head.file);
	uint64_t ahead = last ? MIN(f->head.size, j->file_min) : JOURNAL_BLOCK;
	int rc;

	if (!c)
		return -ENOMEM;
	if (last && j->member[slot].spare)
		rc = use_spare(j, c);
	else
		rc = create_one(c, ahead, patience_ns);
	mutex_lock(&j->mu);
	f->copy[slot] = c;
	mutex_unlock(&j->mu);
	return rc || !f->used ? rc : journal_move_file(j, f, c);
}

/* The uncovered files, oldest first; they stay while j->moving (J8). */
static int snapshot(struct journal *j, struct journal_file ***out,
		    unsigned *n_out)
{
	struct journal_file *f;
	unsigned n = 0;

	MUTEX_GUARD(&j->mu);
	TAILQ_FOREACH (f, &j->files, link)
		n++;
	*out = mem_calloc(MAX(n, 1u), sizeof(**out));
	if (!*out)
		return -ENOMEM;
	*n_out = 0;
	TAILQ_FOREACH (f, &j->files, link)
		(*out)[(*n_out)++] = f;
	j->moving = true;
	return 0;
}

static int join_files(struct journal *j, unsigned slot, uint64_t patience_ns)
{
	AUTO_FREE struct journal_file **files = NULL;
	unsigned n = 0;
	int rc = snapshot(j, &files, &n);

	for (unsigned i = 0; i < n && !rc; i++) {
		if ((files[i]->used && !MUTANT(MOVE_WITHOUT_OLD)) || i == n - 1)
			rc = join_file(j, files[i], slot, i == n - 1,
				       patience_ns);
	}
	MUTEX_GUARD(&j->mu);
	j->moving = false;
	j->care = true;
	return rc;
}

/* J1: every file with records is there. */
static void check_copy_locked(const struct journal *j, unsigned slot)
{
	const struct journal_file *f;

	TAILQ_FOREACH (f, &j->files, link)
		MUST(!f->used || f->copy[slot]);
}

static int join(struct journal *j, unsigned slot, uint64_t patience_ns)
{
	struct journal_member *m = &j->member[slot];
	int rc = m->spare ? 0 : journal_members_enlist(j, slot);

	if (!rc)
		rc = join_files(j, slot, patience_ns);
	if (rc)
		return rc;
	mutex_lock(&j->mu);
	check_copy_locked(j, slot);
	m->role = JOURNAL_COPY;
	m->why = 0;
	m->silent = false;
	j->replaced += j->started;
	mutex_unlock(&j->mu);
	if (j->started)
		log_event(LOG_LVL_INFO, "journal_copy_made", "member=%u", slot);
	return 0;
}

int journal_copies_add(struct journal *j)
{
	int rc = -ERR_UNAVAILABLE;

	for (;;) {
		int slot = journal_members_recruit(j, JOURNAL_FOR_COPY);

		if (slot < 0)
			return rc;
		rc = join(j, (unsigned)slot, journal_patience_ns(j));
		if (!rc)
			return 0;
		journal_members_drop(j, (unsigned)slot, rc);
	}
}

int journal_copies_insist(struct journal *j)
{
	int slot = journal_members_recruit(j, JOURNAL_FOR_C2), rc;

	if (slot < 0)
		return slot;
	rc = join(j, (unsigned)slot, BACKEND_DEADLINE_MS * NS_PER_MS);
	if (rc == -ETIMEDOUT)
		journal_members_give_up(j, (unsigned)slot);
	else if (rc)
		journal_members_drop(j, (unsigned)slot, rc);
	return rc;
}
