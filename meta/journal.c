/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members (by pool slot):
 *
 *     NONE --recruit--> JOINING --joined--> COPY
 *      ^                   |  \--made--> SPARE --recruit--> JOINING
 *      +------- drop ------+---------------+---- COPY
 *
 * Files:
 *
 *     (new) -> next -> open (current, last of files) -> ended (in files)
 *       ^                                                   |
 *       +--- recycled <--- released <---- journal_release --+
 *                              \--> dead: closed and removed
 *
 * Invariants:
 * J1  A member is COPY only if it durably holds the header and all used bytes
 *     of every file in `files` (a lagging one: all but the write under way).
 *     C2 follows: an append returns 0 only with as many as it must have.
 * J2  Salt and header of a file are drawn and written when it is opened, not
 *     when it is made: a file made ahead or recycled has no valid header of
 *     its new number. What an earlier life left in it is under another key.
 * J3  No position is sealed twice: `used` only grows, and any failure after a
 *     record was sealed ends the file (C9). Its number is never used again.
 * J4  A failed write is never tried again on its file (C7): the copy is
 *     dropped, or the file is spoiled and ends.
 * J5  Numbers of files rise in the order of their use. last_seq does not
 *     fall from one file to the next, so what may be released is a prefix.
 * J6  The last member that holds records is not dropped for a failed write:
 *     what is in its ended files is read when another takes over.
 * J7  A name is used once: a member that is taken on again gets a new attempt
 *     number, so requests left behind on it cannot touch the new files.
 * J8  Files in `files` and `released` keep their handles and keys while
 *     `moving`.
 *
 * Threads: the appender opens files and takes on or drops copies; one
 * background job at a time (journal_maintain) makes `next` and the spare and
 * clears away. Both change the structures only with mu held and do their I/O
 * without it: what they work on is not in any structure meanwhile, or is only
 * read. journal_release moves files from list to list.
 *
 * Locks: mu, then the locks inside backend.h.
 */
#include <string.h>

#include "base/mem.h"
#include "base/must.h"
#include "base/mutant.h"
#include "base/rnd.h"
#include "meta/journal_impl.h"

#define PATIENCE_MS	1000
#define PATIENCE_FACTOR 10
#define LIMIT_FLOOR	(64ULL << 20)

unsigned journal_count_locked(const struct journal *j)
{
	unsigned n = 0;

	for (unsigned i = 0; i < j->pool->n; i++)
		n += j->member[i].role == JOURNAL_COPY;
	return n;
}

/* A slow copy must not make patience longer, so the fastest one counts. */
uint64_t journal_patience_ns(struct journal *j)
{
	uint64_t best = UINT64_MAX;

	MUTEX_GUARD(&j->mu);
	for (unsigned i = 0; i < j->pool->n; i++) {
		uint64_t ms = 0;

		if (j->member[i].role == JOURNAL_COPY)
			ms = backend_median_ms(j->pool->member[i].backend);
		if (ms)
			best = MIN(best, ms);
	}
	if (best == UINT64_MAX)
		best = 0;
	return MAX(best * PATIENCE_FACTOR, (uint64_t)PATIENCE_MS) * NS_PER_MS;
}

/* ---- sizes ---- */

/* Of the smallest member whose size is known; 0: of none. */
static uint64_t smallest_member(const struct journal *j)
{
	uint64_t smallest = 0;

	for (unsigned i = 0; i < j->pool->n; i++) {
		struct drv_usage u = {0};

		if (journal_up(j->pool, i))
			backend_usage(j->pool->member[i].backend, &u);
		if (u.total_bytes && (!smallest || u.total_bytes < smallest))
			smallest = u.total_bytes;
	}
	return smallest;
}

static uint64_t whole_blocks(uint64_t bytes)
{
	return bytes / JOURNAL_BLOCK * JOURNAL_BLOCK;
}

static void set_sizes(struct journal *j, const struct journal_options *o)
{
	uint64_t smallest = smallest_member(j);
	uint64_t bound = smallest ? smallest : UINT64_MAX;

	j->file_min =
		whole_blocks(o->file_min ? o->file_min : JOURNAL_FILE_MIN);
	j->file_min = MAX(j->file_min, 2ULL * JOURNAL_BLOCK);
	j->file_max =
		whole_blocks(o->file_max ? o->file_max : JOURNAL_FILE_MAX);
	j->file_max = MIN(j->file_max, whole_blocks(bound / 256));
	j->file_max = MAX(j->file_max, j->file_min);
	j->limit = MIN(MAX(LIMIT_FLOOR, 4 * j->file_max), bound / 64);
	if (o->file_max)
		j->limit = 8 * j->file_max;
	j->limit = MAX(j->limit, 2 * j->file_min);
	j->plan = j->file_min;
}

/* ---- life ---- */

static struct journal *journal_alloc(const struct journal_options *o)
{
	struct journal *j = mem_zalloc(sizeof(*j));
	const struct superblock *sb = &o->pool->sb;

	if (!j)
		return NULL;
	MUST(sb->epochs > 0 && o->next_seq > 0);
	j->pool = o->pool;
	j->epoch = sb->epoch[sb->epochs - 1].number;
	memcpy(j->epoch_id, sb->epoch[sb->epochs - 1].id, sizeof(j->epoch_id));
	j->wanted = o->pool->geo.m + !MUTANT(JOURNAL_ON_M);
	j->next_seq = o->next_seq;
	rnd_bytes(j->chain, sizeof(j->chain));
	mutex_init(&j->mu);
	cond_init(&j->changed);
	TAILQ_INIT(&j->files);
	TAILQ_INIT(&j->released);
	TAILQ_INIT(&j->dead);
	j->appending = true; /* until journal_new is over */
	return j;
}

/* They hold all there is, which is nothing yet. */
static void first_copies(struct journal *j)
{
	for (unsigned n = 0; n < j->wanted;) {
		int slot = journal_members_recruit(j, JOURNAL_FOR_COPY);
		int rc;

		if (slot < 0)
			break;
		rc = journal_members_enlist(j, (unsigned)slot);
		if (rc) {
			journal_members_drop(j, (unsigned)slot, rc);
			continue;
		}
		mutex_lock(&j->mu);
		j->member[slot].role = JOURNAL_COPY;
		mutex_unlock(&j->mu);
		n++;
	}
}

static int begin(struct journal *j, const struct journal_options *o)
{
	int rc = workq_new("journal", 1, &j->q);

	if (rc)
		return rc;
	journal_members_survey(j);
	set_sizes(j, o);
	first_copies(j);
	rc = journal_open_file(j, 0);
	if (rc)
		return rc;
	journal_make_spare(j);
	mutex_lock(&j->mu);
	j->appending = false;
	j->started = true;
	mutex_unlock(&j->mu);
	return 0;
}

int journal_new(const struct journal_options *o, struct journal **out)
{
	struct journal *j = journal_alloc(o);
	int rc;

	if (!j)
		return -ENOMEM;
	rc = begin(j, o);
	if (rc)
		journal_free(j, true);
	else
		*out = j;
	return rc;
}

static void bury_list_locked(struct journal *j, struct journal_file_list *l)
{
	struct journal_file *f;

	while ((f = TAILQ_FIRST(l))) {
		TAILQ_REMOVE(l, f, link);
		journal_file_bury_locked(j, f);
	}
}

static void bury_all(struct journal *j)
{
	MUTEX_GUARD(&j->mu);
	j->current = NULL;
	bury_list_locked(j, &j->files);
	bury_list_locked(j, &j->released);
	journal_file_bury_locked(j, steal(&j->next));
	journal_file_bury_locked(j, steal(&j->recycled));
	for (unsigned i = 0; i < j->pool->n; i++)
		journal_copy_bury_locked(j, steal(&j->member[i].spare));
}

void journal_free(struct journal *j, bool remove)
{
	struct journal_copy *c;

	if (!j)
		return;
	workq_free(j->q);
	bury_all(j);
	if (remove)
		journal_remove_dead(j, true);
	while ((c = TAILQ_FIRST(&j->dead))) {
		TAILQ_REMOVE(&j->dead, c, link);
		if (c->handle)
			jfile_close(c->handle);
		mem_free(c);
	}
	cond_destroy(&j->changed);
	mutex_destroy(&j->mu);
	mem_free(j);
}

/* ---- release, statistics ---- */

/* The next file that record `covered` sets free (J5), or NULL. */
static struct journal_file *releasable_locked(struct journal *j,
					      uint64_t covered)
{
	struct journal_file *f = TAILQ_FIRST(&j->files);
	bool empty;

	if (!f || f->last_seq > covered + MUTANT(RECYCLE_EARLY))
		return NULL;
	empty = f->last_seq < f->head.first_seq;
	if (!TAILQ_NEXT(f, link) && (j->appending || empty))
		return NULL;
	return f;
}

void journal_release(struct journal *j, uint64_t covered)
{
	struct journal_file *f;
	bool any = false;

	mutex_lock(&j->mu);
	while ((f = releasable_locked(j, covered))) {
		TAILQ_REMOVE(&j->files, f, link);
		TAILQ_INSERT_TAIL(&j->released, f, link);
		if (j->current == f)
			j->current = NULL;
		any = true;
	}
	mutex_unlock(&j->mu);
	if (any)
		journal_kick(j);
}

void journal_get_stats(struct journal *j, struct journal_stats *out)
{
	struct journal_file *f;

	MUTEX_GUARD(&j->mu);
	*out = (struct journal_stats){
		.copies = journal_count_locked(j),
		.copies_wanted = j->wanted,
		.limit_bytes = j->limit,
		.records = j->records,
		.bytes = j->bytes,
		.replaced = j->replaced,
	};
	TAILQ_FOREACH (f, &j->files, link)
		out->used_bytes += f == j->current ? f->used : f->head.size;
}
