/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holding a lease: taking it, renewing it, knowing whether it still holds.
 *
 * n members, q = n - quorum + 1 (pool_quorum: how many another host needs).
 * A renewal of a member is: write the lease to it, then read it back, with all
 * that others have written there. It counts from just before the write began.
 *
 * L1  Acknowledging needs q members renewed within LEASE_FENCE_MS, asked after
 *     the record is durable. Any quorum has one of these q in common with
 *     them, so a host that found a quorum unchanged for LEASE_TAKEOVER_MS
 *     began to look after the last renewal that an acknowledgement rested on,
 *     and reads journals and superblocks later still: it finds the record. A
 *     process that was stopped in between may answer late, but not wrongly.
 *     Time is CLOCK_BOOTTIME, so that a suspend counts.
 * L2  One that could not renew may go on later, as after a suspend, if nobody
 *     took over meanwhile. Whoever takes over writes its lease to a quorum and
 *     reads it back; whoever resumes does the same on q members. On a member
 *     in common one of the two sees the other: the resuming one is fenced, or
 *     the other withdraws. The same settles it between two that begin at the
 *     same time. Each writes to slots of its own (lease_format.h), so neither
 *     wipes out what the other must see.
 * L3  What a fenced writer had begun must do no harm. Its records are of an
 *     older epoch. A superblock is renamed into place only after the lease was
 *     checked with the new file there (pool_publish), and whoever takes over
 *     removes such files (pool_epoch.c): then the rename fails, or happened
 *     before it looked. Objects are deleted, and journals reused, only after
 *     the lease was checked with the superblocks in place: then whoever takes
 *     over has read these, and needs what is deleted as little.
 * L4  One that began with fewer than a quorum (-o degraded) cannot keep others
 *     from one; the user has said that there are none. It needs q members all
 *     the same, or a majority of those it began with where these are fewer.
 * L5  On one host nobody waits after a crash: flock is free, so the owner has
 *     ended or the machine was started anew. Two machines that pretend to be
 *     one (the same machine-id and name) are told apart by their boot ids
 *     only, and that looks like a restart: the later one takes over at once,
 *     the other is fenced at its next renewal, and what it acknowledged until
 *     then is lost. Hence mendfs(7) asks for machine-ids of their own.
 */
#include "backend/pool_lease_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rnd.h"

#define ROUND_MS   1500 /* of LEASE_RENEW_MS */
#define RELEASE_MS 1000

/* ---- what is known ---- */

static int newest_first(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x < y) - (x > y);
}

/* Since when enough members were renewed; 0: they were not. */
static uint64_t renewed_locked(const struct pool_lease *l)
{
	uint64_t at[POOL_MEMBERS_MAX];

	for (unsigned i = 0; i < l->n; i++)
		at[i] = l->m[i].renewed_ns;
	qsort(at, l->n, sizeof(at[0]), newest_first);
	return l->need ? at[l->need - 1] : 0;
}

static unsigned members_locked(const struct pool_lease *l, uint64_t now)
{
	unsigned n = 0;

	for (unsigned i = 0; i < l->n; i++)
		n += l->m[i].renewed_ns && now - l->m[i].renewed_ns < FENCE_NS;
	return n;
}

/* L1 */
int lease_error_locked(const struct pool_lease *l)
{
	uint64_t renewed = renewed_locked(l);

	if (l->fenced)
		return l->fenced;
	return renewed && clock_boot_ns() - renewed < FENCE_NS ? 0 : -ERR_LEASE;
}

void lease_fence(struct pool_lease *l, const char *by)
{
	mutex_lock(&l->mu);
	if (l->fenced) {
		mutex_unlock(&l->mu);
		return;
	}
	l->fenced = -ERR_FENCED;
	snprintf(l->by, sizeof(l->by), "%s", by);
	cond_broadcast(&l->changed);
	mutex_unlock(&l->mu);
	log_event(LOG_LVL_ERROR, "fenced", "epoch=%llu by=\"%s\"",
		  (unsigned long long)l->self.epoch, by);
}

/* ---- renewing ---- */

/* Says so when it lapses, and when it is well again. */
static void tell(struct pool_lease *l)
{
	unsigned members, need;
	bool was, is;

	mutex_lock(&l->mu);
	was = l->lapsed;
	is = l->lapsed = !l->fenced && lease_error_locked(l) != 0;
	members = members_locked(l, clock_boot_ns());
	need = l->need;
	l->rounds++;
	mutex_unlock(&l->mu);
	if (is != was)
		log_event(is ? LOG_LVL_WARN : LOG_LVL_INFO,
			  is ? "lease_lapsed" : "lease_renewed",
			  "members=%u needed=%u", members, need);
}

static bool is_fenced(struct pool_lease *l)
{
	MUTEX_GUARD(&l->mu);
	return l->fenced != 0;
}

static void renew(void *arg)
{
	struct pool_lease *l = arg;

	if (is_fenced(l))
		return;
	(void)lease_run_round(l, ROUND_MS);
	tell(l);
}

/* ---- beginning and end ---- */

static void lease_free(struct pool_lease *l)
{
	ticker_free(l->ticker);
	for (unsigned i = 0; i < l->n; i++) {
		bio_unref(l->m[i].bio);
		buf_unref(l->m[i].slot);
		jfile_close(l->m[i].file);
	}
	buf_unref(l->slot);
	lease_seal_release(&l->seal);
	cond_destroy(&l->changed);
	mutex_destroy(&l->mu);
	mem_free(l);
}

void pool_lease_drop(struct pool_lease *l)
{
	if (l)
		lease_free(l);
}

static int lease_new(struct pool *p, struct pool_lease **out)
{
	const struct epoch *e = superblock_epoch(&p->sb);
	struct pool_lease *l = mem_zalloc(sizeof(*l));
	struct host h;
	int rc;

	if (!l)
		return -ENOMEM;
	mutex_init(&l->mu);
	cond_init(&l->changed);
	l->pool = p;
	l->n = p->n;
	l->quorum = pool_quorum(p);
	l->is_inline = workq_is_inline();
	for (unsigned i = 0; i < p->n; i++)
		l->m[i].backend = p->member[i].backend;
	l->self.epoch = e->number;
	memcpy(l->self.epoch_id, e->id, sizeof(l->self.epoch_id));
	rnd_bytes(l->self.owner, sizeof(l->self.owner));
	l->self.state = LEASE_HELD;
	host_get(&h);
	rc = lease_set_host(&l->self, &h, p->keys);
	if (!rc)
		rc = lease_seal_init(&l->seal, &p->id, p->keys);
	if (rc)
		lease_free(l);
	else
		*out = l;
	return rc;
}

static unsigned holders(struct pool_lease *l)
{
	unsigned n = 0;

	MUTEX_GUARD(&l->mu);
	for (unsigned i = 0; i < l->n; i++)
		n += l->m[i].renewed_ns != 0;
	return n;
}

/* L4 */
static void set_need(struct pool_lease *l, unsigned held)
{
	unsigned q = l->n - l->quorum + 1;

	MUTEX_GUARD(&l->mu);
	l->need = held >= q ? q : held / 2 + 1;
}

static int fail_few(struct pool_lease *l, unsigned held, struct diag *diag)
{
	const char *path = NULL;
	int why = 0;

	for (unsigned i = 0; i < l->n; i++) {
		const struct lease_member *m = &l->m[i];

		if (!m->backend || m->renewed_ns)
			continue;
		if (fan_own_trouble(m->rc))
			return m->rc;
		if (!path) {
			path = backend_path(m->backend);
			why = m->rc ? m->rc : -ETIMEDOUT;
		}
	}
	return diag_fail(diag, -ERR_NO_MAJORITY,
			 "the lease that keeps other hosts out could be "
			 "written in %u of %u folders only, %u are needed (%s: "
			 "%s). Check the folders, or, if you are sure that "
			 "nobody else uses the pool, mount with -o degraded",
			 held, l->n, l->quorum, path ? path : "missing ones",
			 err_text(path ? why : -ERR_BACKEND_DOWN));
}

static int fail_taken(struct pool_lease *l, struct diag *diag)
{
	return diag_fail(diag, -ERR_IN_USE,
			 "the pool is being mounted by another host at this "
			 "moment, or is in use there: %s; try again",
			 l->by);
}

/* Waits for members that are late only as long as they are needed. */
static int ask_all(struct pool_lease *l)
{
	uint64_t until = clock_mono_ns() + BACKEND_DEADLINE_MS * NS_PER_MS;
	int rc;

	do {
		rc = lease_run_round(l, ROUND_MS);
	} while (!rc && !is_fenced(l) && holders(l) < l->quorum &&
		 lease_is_busy(l) && clock_mono_ns() < until);
	return rc;
}

static int take_it(struct pool_lease *l, bool degraded, struct diag *diag)
{
	int rc = ask_all(l);
	unsigned held = holders(l);

	if (rc)
		return rc;
	if (is_fenced(l))
		return fail_taken(l, diag);
	if (held < l->quorum && !(degraded && held))
		return fail_few(l, held, diag);
	set_need(l, held);
	return ticker_new("lease", LEASE_RENEW_MS, renew, l, &l->ticker);
}

/* The last round: what it says is true from now on. */
static void end_as(struct pool_lease *l, enum lease_state state)
{
	ticker_free(steal(&l->ticker));
	l->last = true;
	l->self.state = state;
	(void)lease_run_round(l, RELEASE_MS);
}

int pool_lease_begin(struct pool *p, bool degraded, struct diag *diag)
{
	struct pool_lease *l;
	int rc = lease_new(p, &l);

	if (rc)
		return rc;
	rc = take_it(l, degraded, diag);
	if (rc) {
		end_as(l, LEASE_WITHDRAWN);
		lease_free(l);
		return rc;
	}
	p->lease = l;
	return 0;
}

void pool_lease_release(struct pool *p)
{
	struct pool_lease *l = steal(&p->lease);

	if (!l)
		return;
	if (!is_fenced(l))
		end_as(l, LEASE_RELEASED);
	lease_free(l);
}

/* ---- asking ---- */

int pool_lease_error(struct pool *p)
{
	struct pool_lease *l = p->lease;

	if (!l)
		return 0;
	MUTEX_GUARD(&l->mu);
	return lease_error_locked(l);
}

void pool_lease_renew(struct pool *p)
{
	struct pool_lease *l = p->lease;

	if (l)
		ticker_run(l->ticker);
}

int pool_lease_check(struct pool *p)
{
	struct pool_lease *l = p->lease;
	int rc = pool_lease_error(p);
	uint64_t until;

	if (rc != -ERR_LEASE)
		return rc;
	pool_lease_renew(p);
	until = clock_mono_ns() + FENCE_NS;
	MUTEX_GUARD(&l->mu);
	while ((rc = lease_error_locked(l)) == -ERR_LEASE && !l->is_inline &&
	       cond_wait_until(&l->changed, &l->mu, until))
		;
	return rc;
}

void pool_lease_fence(struct pool *p, const char *why)
{
	struct pool_lease *l = p->lease;

	if (l)
		lease_fence(l, why);
}

void pool_lease_get_stats(struct pool *p, struct pool_lease_stats *out)
{
	struct pool_lease *l = p->lease;
	uint64_t now, since;

	*out = (struct pool_lease_stats){.held = l != NULL};
	if (!l)
		return;
	MUTEX_GUARD(&l->mu);
	now = clock_boot_ns();
	since = renewed_locked(l);
	out->error = lease_error_locked(l);
	out->members = members_locked(l, now);
	out->needed = l->need;
	out->renewed = l->rounds;
	out->age_ms = since ? (now - since) / NS_PER_MS : 0;
	memcpy(out->by, l->by, sizeof(out->by));
}
