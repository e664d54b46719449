/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The members a journal may lie on: what is known of them, whose turn it is,
 * and letting them go. See journal.c for states and invariants.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "meta/journal_impl.h"

#define BACKOFF_MS	10000 /* until a failed recruit is tried again */
#define BACKOFF_FULL_MS 1000  /* the same after ENOSPC */

/* ---- getting to know the members ---- */

static uint32_t attempt_after(const struct journal *j, struct bio *list)
{
	uint32_t after = 0;

	for (unsigned i = 0; i < bio_list_count(list); i++) {
		struct journal_name n;
		uint64_t size;

		if (journal_codec_parse(bio_list_at(list, i, &size), &n) ||
		    n.epoch != j->epoch)
			continue;
		after = MAX(after, n.attempt + 1);
	}
	return after;
}

static void note_names(struct journal *j, unsigned slot, struct bio *list)
{
	struct journal_member *m = &j->member[slot];
	uint32_t after = attempt_after(j, list);

	MUTEX_GUARD(&j->mu);
	m->next_attempt = MAX(m->next_attempt, after);
	m->listed = true;
}

static bool is_full(int rc)
{
	return rc == -ENOSPC || rc == -EDQUOT;
}

static void back_off_locked(struct journal_member *m, int rc)
{
	uint64_t ms = is_full(rc) ? BACKOFF_FULL_MS : BACKOFF_MS;

	m->why = rc;
	m->silent &= rc == -ETIMEDOUT;
	m->failures++;
	m->retry_ns = clock_mono_ns() + ms * NS_PER_MS;
}

static void survey_end(struct journal *j, unsigned slot, struct bio *usage,
		       struct bio *list, uint64_t until_ns)
{
	int usage_rc = bio_wait(usage, until_ns);
	int list_rc = bio_wait(list, until_ns);

	if (!list_rc)
		note_names(j, slot, list);
	if (usage_rc || list_rc) {
		MUTEX_GUARD(&j->mu);
		back_off_locked(&j->member[slot],
				usage_rc ? usage_rc : list_rc);
		j->member[slot].silent = usage_rc == -ETIMEDOUT;
	}
	bio_unref(usage);
	bio_unref(list);
}

void journal_members_survey(struct journal *j)
{
	uint64_t until_ns = clock_mono_ns() + POOL_DEADLINE_MS * NS_PER_MS;
	struct bio *usage[POOL_MEMBERS_MAX] = {NULL};
	struct bio *list[POOL_MEMBERS_MAX] = {NULL};
	bool asked[POOL_MEMBERS_MAX] = {false};

	for (unsigned i = 0; i < j->pool->n; i++) {
		struct backend *b = j->pool->member[i].backend;

		asked[i] = journal_up(j->pool, i);
		if (!asked[i])
			continue;
		usage[i] = bio_new_usage();
		(void)bio_submit(b, usage[i]);
		list[i] = bio_new_list(JOURNAL_FOLDER);
		(void)bio_submit(b, list[i]);
	}
	for (unsigned i = 0; i < j->pool->n; i++) {
		if (asked[i])
			survey_end(j, i, usage[i], list[i], until_ns);
	}
}

static int ask_names(struct journal *j, unsigned slot)
{
	AUTO_BIO struct bio *list = bio_new_list(JOURNAL_FOLDER);
	int rc = bio_run(j->pool->member[slot].backend, list);

	if (!rc)
		note_names(j, slot, list);
	return rc;
}

int journal_members_enlist(struct journal *j, unsigned slot)
{
	struct journal_member *m = &j->member[slot];
	int rc = m->listed ? 0 : ask_names(j, slot);

	if (rc)
		return rc;
	MUTEX_GUARD(&j->mu);
	m->attempt = m->next_attempt++;
	return 0;
}

/* ---- choosing ---- */

/* What speaks for a candidate, the weightiest first. */
struct rank {
	bool up; /* not SUSPECT */
	unsigned failures;
	bool new_domain; /* no copy fails together with it */
	uint64_t free_bytes;
};

static bool better(const struct rank *a, const struct rank *b)
{
	if (a->up != b->up)
		return a->up;
	if (a->failures != b->failures)
		return a->failures < b->failures;
	if (a->new_domain != b->new_domain)
		return a->new_domain;
	return a->free_bytes > b->free_bytes;
}

static bool domain_taken_locked(struct journal *j, const struct drv_usage *u)
{
	for (unsigned i = 0; i < j->pool->n; i++) {
		const struct journal_member *m = &j->member[i];
		struct drv_usage other;

		if (m->role != JOURNAL_COPY || m->lagging)
			continue;
		backend_usage(j->pool->member[i].backend, &other);
		if (other.total_bytes && u->total_bytes &&
		    other.domain == u->domain)
			return true;
	}
	return false;
}

static struct rank rank_locked(struct journal *j, unsigned slot)
{
	struct backend *b = j->pool->member[slot].backend;
	struct drv_usage u;

	backend_usage(b, &u);
	return (struct rank){
		.up = backend_get_state(b) == BACKEND_UP,
		.failures = j->member[slot].failures,
		.new_domain = !domain_taken_locked(j, &u),
		.free_bytes = u.free_bytes,
	};
}

/* Whose turn it is, or, for C2, who may be asked out of turn. */
static bool eligible_locked(struct journal *j, unsigned slot, uint64_t now,
			    enum journal_need need)
{
	const struct journal_member *m = &j->member[slot];

	if (m->role != JOURNAL_NONE || !journal_up(j->pool, slot))
		return false;
	return now >= m->retry_ns ||
	       (need == JOURNAL_FOR_C2 && !m->silent && !is_full(m->why));
}

static int best_locked(struct journal *j, enum journal_need need)
{
	uint64_t now = clock_mono_ns();
	struct rank best = {0};
	int found = -1;

	for (unsigned i = 0; i < j->pool->n; i++) {
		struct rank r;

		if (!eligible_locked(j, i, now, need))
			continue;
		r = rank_locked(j, i);
		if (found >= 0 && !better(&r, &best))
			continue;
		best = r;
		found = (int)i;
	}
	return found;
}

static int find_role_locked(const struct journal *j, enum journal_role role,
			    bool up)
{
	for (unsigned i = 0; i < j->pool->n; i++) {
		if (j->member[i].role == role &&
		    (!up || journal_up(j->pool, i)))
			return (int)i;
	}
	return -1;
}

int journal_members_recruit(struct journal *j, enum journal_need need)
{
	bool for_spare = need == JOURNAL_FOR_SPARE;
	uint64_t until_ns = clock_mono_ns() + BACKEND_DEADLINE_MS * NS_PER_MS;
	int slot;

	MUTEX_GUARD(&j->mu);
	for (;;) {
		slot = -1;
		if (!for_spare)
			slot = find_role_locked(j, JOURNAL_SPARE, true);
		if (slot < 0)
			slot = best_locked(j, need);
		if (slot >= 0)
			break;
		/* One that is being made a spare is soon to be had. */
		if (for_spare ||
		    find_role_locked(j, JOURNAL_JOINING, true) < 0 ||
		    !cond_wait_until(&j->changed, &j->mu, until_ns))
			return -ERR_UNAVAILABLE;
	}
	j->member[slot].role = JOURNAL_JOINING;
	return slot;
}

/* ---- dropping ---- */

static void bury_slot_locked(struct journal *j, struct journal_file_list *l,
			     unsigned slot)
{
	struct journal_file *f;

	TAILQ_FOREACH (f, l, link) {
		/* The appender may be reading the others' without the lock. */
		if (f->copy[slot])
			journal_copy_bury_locked(j, steal(&f->copy[slot]));
	}
}

static void strip_locked(struct journal *j, unsigned slot)
{
	bury_slot_locked(j, &j->files, slot);
	bury_slot_locked(j, &j->released, slot);
	if (j->next)
		journal_copy_bury_locked(j, steal(&j->next->copy[slot]));
	if (j->recycled)
		journal_copy_bury_locked(j, steal(&j->recycled->copy[slot]));
	journal_copy_bury_locked(j, steal(&j->member[slot].spare));
}

/*
 * A copy that failed may be taken on again at once, in new files, if nobody
 * else can; a recruit that failed, or who does not answer, not so soon.
 */
void journal_members_drop(struct journal *j, unsigned slot, int rc)
{
	struct journal_member *m = &j->member[slot];
	bool was_copy;

	mutex_lock(&j->mu);
	was_copy = m->role == JOURNAL_COPY;
	strip_locked(j, slot);
	m->role = JOURNAL_NONE;
	m->lagging = false;
	back_off_locked(m, rc);
	if (was_copy && rc != -ETIMEDOUT)
		m->retry_ns = 0;
	cond_broadcast(&j->changed);
	mutex_unlock(&j->mu);
	log_event(LOG_LVL_WARN,
		  was_copy ? "journal_copy_lost" : "journal_copy_refused",
		  "member=%u rc=%s", slot, err_name(rc));
}

void journal_members_give_up(struct journal *j, unsigned slot)
{
	mutex_lock(&j->mu);
	j->member[slot].silent = true;
	mutex_unlock(&j->mu);
	journal_members_drop(j, slot, -ETIMEDOUT);
}

/* ---- how many there are ---- */

static bool is_missing_locked(struct journal *j, unsigned slot)
{
	const struct journal_member *m = &j->member[slot];

	return m->role != JOURNAL_COPY && !m->silent &&
	       journal_up(j->pool, slot);
}

unsigned journal_members_reachable_locked(struct journal *j)
{
	unsigned u = journal_count_locked(j);

	for (unsigned i = 0; i < j->pool->n; i++)
		u += is_missing_locked(j, i);
	return u;
}

/* Room can be made, so that is said first; then what is our own trouble. */
int journal_members_why(struct journal *j)
{
	bool full = false, memory = false;

	MUTEX_GUARD(&j->mu);
	for (unsigned i = 0; i < j->pool->n; i++) {
		if (!is_missing_locked(j, i))
			continue;
		full |= is_full(j->member[i].why);
		memory |= j->member[i].why == -ENOMEM;
	}
	if (full)
		return -ENOSPC;
	return memory ? -ENOMEM : -EIO;
}
