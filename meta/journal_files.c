/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files before and after their use. See journal.c for states and invariants.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"
#include "meta/journal_impl.h"

#define REMOVE_BATCH 32

/* ---- one file ---- */

static uint64_t number_locked(struct journal *j)
{
	return ++j->last_number;
}

struct journal_file *journal_file_new(struct journal *j, uint64_t size)
{
	struct journal_file *f = mem_zalloc(sizeof(*f));

	if (!f)
		return NULL;
	MUTEX_GUARD(&j->mu);
	f->head.size = size;
	f->head.file = number_locked(j);
	return f;
}

void journal_file_bury_locked(struct journal *j, struct journal_file *f)
{
	if (!f)
		return;
	for (unsigned i = 0; i < j->pool->n; i++)
		journal_copy_bury_locked(j, f->copy[i]);
	aead_free(f->aead);
	mem_free(f);
}

/* Waits a little for a file that is being made: it is nearly ready. */
static struct journal_file *next_locked(struct journal *j, uint64_t until_ns)
{
	while (j->preparing && cond_wait_until(&j->changed, &j->mu, until_ns))
		;
	return steal(&j->next);
}

static struct journal_file *take_next(struct journal *j, uint64_t bytes)
{
	uint64_t until_ns = clock_mono_ns() + journal_patience_ns(j);
	struct journal_file *f;

	MUTEX_GUARD(&j->mu);
	f = next_locked(j, until_ns);
	/* One made in place of it may have come into use before it was ready.
	 */
	if (f && (f->head.size < bytes || f->head.file <= j->last_taken))
		journal_file_bury_locked(j, steal(&f));
	return f;
}

struct journal_file *journal_file_take(struct journal *j, uint64_t bytes)
{
	struct journal_file *f = take_next(j, bytes);

	if (!f)
		f = journal_file_new(j, MAX(j->file_min, bytes));
	if (!f)
		return NULL;
	MUTEX_GUARD(&j->mu);
	MUST(f->head.file > j->last_taken); /* J5 */
	j->last_taken = f->head.file;
	f->head.first_seq = j->next_seq;
	f->last_seq = j->next_seq - 1;
	TAILQ_INSERT_TAIL(&j->files, f, link);
	return f;
}

/* ---- making the next one ahead of need ---- */

static bool next_wanted_locked(struct journal *j)
{
	struct journal_file *f = j->current;

	if (j->next || j->preparing)
		return false;
	if (f && f->used <= f->head.size / 2)
		return false;
	if (f)
		j->plan = MAX(j->plan, MIN(j->file_max, 2 * f->head.size));
	return true;
}

/* A recycled file under its new number, or a new one; NULL: no memory. */
static struct journal_file *draft(struct journal *j)
{
	struct journal_file *f;

	mutex_lock(&j->mu);
	f = steal(&j->recycled);
	if (f && f->head.size < j->plan)
		journal_file_bury_locked(j, steal(&f));
	if (f)
		f->head.file = number_locked(j);
	mutex_unlock(&j->mu);
	return f ? f : journal_file_new(j, j->plan);
}

/* Is this copy still one of its member's? */
static bool is_current_locked(const struct journal *j,
			      const struct journal_copy *c)
{
	const struct journal_member *m = &j->member[c->slot];

	return m->role == JOURNAL_COPY && m->attempt == c->name.attempt;
}

static void bury_stale_locked(struct journal *j, struct journal_file *f)
{
	for (unsigned i = 0; i < j->pool->n; i++) {
		if (f->copy[i] && !is_current_locked(j, f->copy[i]))
			journal_copy_bury_locked(j, steal(&f->copy[i]));
	}
}

/* What a recycled file is renamed to, and what has to be made. */
struct plan {
	struct journal_set renamed;
	struct journal_set made;
};

static void plan_locked(struct journal *j, struct journal_file *f,
			struct plan *p)
{
	bury_stale_locked(j, f);
	for (unsigned i = 0; i < j->pool->n; i++) {
		struct journal_copy *c;

		if (j->member[i].role != JOURNAL_COPY)
			continue;
		c = journal_copy_new(j, i, f->head.file);
		if (f->copy[i])
			p->renamed.copy[i] = c;
		else
			p->made.copy[i] = c;
	}
}

static void rename_copies(struct journal_file *f, struct journal_set *to)
{
	struct bio *bio[POOL_MEMBERS_MAX] = {NULL};
	char old[JOURNAL_NAME], new[JOURNAL_NAME];

	for (unsigned i = 0; i < POOL_MEMBERS_MAX; i++) {
		if (!to->copy[i])
			continue;
		journal_codec_name(&f->copy[i]->name, old);
		journal_codec_name(&to->copy[i]->name, new);
		bio[i] = bio_new_rename(old, new);
		if (bio[i])
			(void)bio_submit(to->copy[i]->backend, bio[i]);
	}
	(void)journal_wait(bio, BACKEND_DEADLINE_MS * NS_PER_MS);
	for (unsigned i = 0; i < POOL_MEMBERS_MAX; i++) {
		to->rc[i] = journal_end(bio[i]);
		bio_unref(bio[i]);
	}
}

/* After a failure either name may exist: both are buried. */
static void adopt_renamed_locked(struct journal *j, struct journal_file *f,
				 struct journal_set *set)
{
	for (unsigned i = 0; i < j->pool->n; i++) {
		struct journal_copy *c = set->copy[i];

		if (c && !set->rc[i]) {
			f->copy[i]->name = c->name;
			mem_free(c);
		} else if (f->copy[i]) {
			journal_copy_bury_locked(j, steal(&f->copy[i]));
			journal_copy_bury_locked(j, c);
		}
	}
}

static void adopt_made_locked(struct journal *j, struct journal_file *f,
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

static bool has_copies(const struct journal_file *f)
{
	for (unsigned i = 0; i < POOL_MEMBERS_MAX; i++) {
		if (f->copy[i])
			return true;
	}
	return false;
}

/* Numbers rise in the order of use (J5): one that comes too late waits. */
static void publish_locked(struct journal *j, struct journal_file *f)
{
	bury_stale_locked(j, f);
	if (!has_copies(f))
		journal_file_bury_locked(j, f);
	else if (f->head.file > j->last_taken)
		j->next = f;
	else if (!j->recycled)
		j->recycled = f;
	else
		journal_file_bury_locked(j, f);
}

static void make_next(struct journal *j, struct journal_file *f)
{
	struct plan p = {0};

	mutex_lock(&j->mu);
	plan_locked(j, f, &p);
	mutex_unlock(&j->mu);
	rename_copies(f, &p.renamed);
	journal_copies_create(&p.made, f->head.size,
			      BACKEND_DEADLINE_MS * NS_PER_MS);
	MUTEX_GUARD(&j->mu);
	adopt_renamed_locked(j, f, &p.renamed);
	adopt_made_locked(j, f, &p.made);
	publish_locked(j, f);
}

static void prepare_next(struct journal *j)
{
	struct journal_file *f;

	mutex_lock(&j->mu);
	j->preparing = next_wanted_locked(j);
	if (!j->preparing) {
		mutex_unlock(&j->mu);
		return;
	}
	mutex_unlock(&j->mu);
	f = draft(j);
	if (f)
		make_next(j, f);
	MUTEX_GUARD(&j->mu);
	j->preparing = false;
	cond_broadcast(&j->changed);
}

/* ---- the spare ---- */

static bool has_spare(struct journal *j)
{
	int gone = -1;
	bool found = false;

	mutex_lock(&j->mu);
	for (unsigned i = 0; i < j->pool->n; i++) {
		if (j->member[i].role != JOURNAL_SPARE)
			continue;
		if (journal_up(j->pool, i))
			found = true;
		else
			gone = (int)i;
	}
	mutex_unlock(&j->mu);
	if (gone >= 0)
		journal_members_drop(j, (unsigned)gone, -ERR_BACKEND_DOWN);
	return found;
}

static int make_spare_on(struct journal *j, unsigned slot)
{
	struct journal_set set = {0};
	int rc = journal_members_enlist(j, slot);

	if (rc)
		return rc;
	set.copy[slot] = journal_copy_new(j, slot, 0);
	if (!set.copy[slot])
		return -ENOMEM;
	journal_copies_create(&set, j->plan, BACKEND_DEADLINE_MS * NS_PER_MS);
	MUTEX_GUARD(&j->mu);
	if (set.rc[slot]) {
		journal_copy_bury_locked(j, set.copy[slot]);
		return set.rc[slot];
	}
	j->member[slot].spare = set.copy[slot];
	j->member[slot].role = JOURNAL_SPARE;
	j->member[slot].why = 0;
	j->member[slot].silent = false;
	cond_broadcast(&j->changed);
	return 0;
}

void journal_make_spare(struct journal *j)
{
	int slot = 0, rc = -1;

	while (rc && slot >= 0 && !has_spare(j)) {
		slot = journal_members_recruit(j, JOURNAL_FOR_SPARE);
		if (slot < 0)
			break;
		rc = make_spare_on(j, (unsigned)slot);
		if (rc)
			journal_members_drop(j, (unsigned)slot, rc);
	}
}

/* ---- clearing away ---- */

/* Worth keeping: whole on every member, and as long as the next should be. */
static bool reusable_locked(const struct journal *j,
			    const struct journal_file *f)
{
	if (j->recycled || f->spoiled || f->head.size < j->plan)
		return false;
	for (unsigned i = 0; i < j->pool->n; i++) {
		if (f->copy[i] && f->copy[i]->bytes < f->head.size)
			return false;
	}
	return has_copies(f);
}

static void retire_released(struct journal *j)
{
	struct journal_file *f;

	MUTEX_GUARD(&j->mu);
	while (!j->moving && (f = TAILQ_FIRST(&j->released))) {
		TAILQ_REMOVE(&j->released, f, link);
		if (!reusable_locked(j, f)) {
			journal_file_bury_locked(j, f);
			continue;
		}
		aead_free(steal(&f->aead));
		f->used = 0;
		j->recycled = f;
	}
}

/* Files with lower numbers are not needed by anybody. */
static uint64_t lowest_needed_locked(const struct journal *j)
{
	const struct journal_file *f = TAILQ_FIRST(&j->files);

	return f ? f->head.file : UINT64_MAX;
}

/* Moves up to REMOVE_BATCH copies from `from` into nothing or to `kept`. */
static void remove_batch(struct journal_copy_list *from, uint64_t below,
			 struct journal_copy_list *kept)
{
	struct journal_copy *c, *going[REMOVE_BATCH];
	struct bio *bio[REMOVE_BATCH];
	char name[JOURNAL_NAME];
	unsigned n = 0;

	while (n < REMOVE_BATCH && (c = TAILQ_FIRST(from))) {
		TAILQ_REMOVE(from, c, link);
		if (c->handle)
			jfile_close(steal(&c->handle));
		if (c->name.file >= below) {
			TAILQ_INSERT_TAIL(kept, c, link);
			continue;
		}
		journal_codec_name(&c->name, name);
		bio[n] = bio_new_remove(name);
		(void)bio_submit(c->backend, bio[n]);
		going[n++] = c;
	}
	for (unsigned i = 0; i < n; i++) {
		int rc = bio_wait(bio[i], 0);

		bio_unref(bio[i]);
		if (rc && rc != -ENOENT)
			TAILQ_INSERT_TAIL(kept, going[i], link);
		else
			mem_free(going[i]);
	}
}

void journal_remove_dead(struct journal *j, bool all)
{
	struct journal_copy_list mine = TAILQ_HEAD_INITIALIZER(mine);
	struct journal_copy_list kept = TAILQ_HEAD_INITIALIZER(kept);
	uint64_t below;

	mutex_lock(&j->mu);
	below = all ? UINT64_MAX : lowest_needed_locked(j);
	TAILQ_CONCAT(&mine, &j->dead, link);
	mutex_unlock(&j->mu);
	while (!TAILQ_EMPTY(&mine))
		remove_batch(&mine, below, &kept);
	MUTEX_GUARD(&j->mu);
	TAILQ_CONCAT(&j->dead, &kept, link);
}

/* ---- the background job ---- */

void journal_maintain(void *arg)
{
	struct journal *j = arg;

	mutex_lock(&j->mu);
	j->kicked = false;
	mutex_unlock(&j->mu);
	retire_released(j);
	prepare_next(j);
	journal_make_spare(j);
	journal_remove_dead(j, false);
}

void journal_kick(struct journal *j)
{
	bool queued;

	mutex_lock(&j->mu);
	queued = j->kicked;
	j->kicked = true;
	mutex_unlock(&j->mu);
	if (queued || workq_submit(j->q, journal_maintain, j) == 0)
		return;
	/* No memory: what is left undone will be found the next time. */
	MUTEX_GUARD(&j->mu);
	j->kicked = false;
}
