/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One round of renewing a lease on all members. What it is worth is in
 * pool_lease.c.
 *
 * A round waits for nobody: a member that is late goes on in the next one, so
 * each has a step of its own. What is under way belongs to the round, and
 * rounds never overlap: they are the ticker's, and, before it is there and
 * after it has ended, those of who begins or releases the lease. mu guards
 * what others ask for.
 */
#include <string.h>

#include "base/clock.h"
#include "backend/pool_lease_impl.h"

#define SLICE_MS 50

/* ---- one member ---- */

static void submit(struct lease_member *m, enum step step, struct bio *bio)
{
	if (!bio) {
		m->rc = -ENOMEM;
		m->step = STEP_NONE;
		return;
	}
	m->step = step;
	m->bio = bio;
	bio_set_urgent(bio);
	(void)bio_submit(m->backend, bio); /* bio_done tells */
}

static void submit_write(struct pool_lease *l, struct lease_member *m)
{
	m->start_ns = clock_boot_ns();
	buf_unref(m->slot);
	m->slot = buf_ref(l->slot);
	m->off = lease_offset(&l->self);
	submit(m, STEP_WRITE, bio_new_jwrite(m->file, l->slot, m->off));
}

/* While the lease is being taken, everybody who is new counts: L2. */
static bool is_conflict(const struct pool_lease *l, const struct lease *other)
{
	const struct lease *seen;

	if (!memcmp(other->owner, l->self.owner, LEASE_ID) ||
	    other->state == LEASE_WITHDRAWN)
		return false;
	if (other->epoch >= l->self.epoch)
		return true;
	if (l->need)
		return false;
	seen = lease_list_find(&pool_impl_of(l->pool)->leases, other->owner);
	return !seen || other->counter > seen->counter;
}

static int meet_others(struct pool_lease *l, const struct lease_list *list)
{
	for (unsigned i = 0; i < list->n; i++)
		if (is_conflict(l, &list->at[i])) {
			char by[160];

			lease_describe(&list->at[i], by, sizeof(by));
			lease_fence(l, by);
			return -ERR_FENCED;
		}
	return 0;
}

/* Is it what others read that was written to? */
static bool is_there(const struct lease_member *m, const struct buf *content)
{
	const struct buf *slot = m->slot;

	return content->len >= m->off + slot->len &&
	       !memcmp(content->data + m->off, slot->data, slot->len);
}

static int look_back(struct pool_lease *l, struct lease_member *m)
{
	const struct lease_reader r = {
		.pool = &l->seal.pool,
		.keys = l->pool->keys,
		.from = pool_impl_of(l->pool)->leases_from,
		.known = l->seal.salt,
	};
	const struct buf *content = bio_data(m->bio);
	struct lease_list list = {.n = 0};
	int rc = lease_list_read(&list, content, &r);

	if (!rc)
		rc = meet_others(l, &list);
	if (!rc && !is_there(m, content))
		rc = -ESTALE;
	lease_list_release(&list);
	return rc;
}

static void renewed(struct pool_lease *l, struct lease_member *m)
{
	MUTEX_GUARD(&l->mu);
	m->renewed_ns = m->start_ns;
	if (!lease_error_locked(l))
		cond_broadcast(&l->changed);
}

/* What follows a step that ended well. */
static int go_on(struct pool_lease *l, struct lease_member *m, enum step done)
{
	int rc = 0;

	switch (done) {
	case STEP_OPEN:
	case STEP_CREATE:
		m->file = bio_jfile(m->bio);
		submit_write(l, m);
		break;
	case STEP_WRITE:
		if (!l->last)
			submit(m, STEP_READ,
			       bio_new_get(LEASE_NAME, 0, LEASE_FILE, true));
		break;
	case STEP_READ:
		rc = look_back(l, m);
		if (!rc)
			renewed(l, m);
		break;
	case STEP_NONE:
		break;
	}
	return rc;
}

static void go_wrong(struct lease_member *m, enum step done, int rc)
{
	if (done == STEP_OPEN && rc == -ENOENT) {
		submit(m, STEP_CREATE, bio_new_jopen(LEASE_NAME, LEASE_FILE));
		return;
	}
	m->rc = rc;
	/* It takes no more, or may not be the one that others see. */
	jfile_close(steal(&m->file));
}

static void advance(struct pool_lease *l, struct lease_member *m)
{
	struct bio *bio = m->bio;
	enum step done = m->step;
	int rc;

	if (!bio || !bio_done(bio, &rc))
		return;
	m->step = STEP_NONE;
	if (!rc)
		rc = go_on(l, m, done);
	if (rc)
		go_wrong(m, done, rc);
	if (m->bio == bio)
		m->bio = NULL;
	bio_unref(bio);
}

static void start(struct pool_lease *l, struct lease_member *m)
{
	if (m->step != STEP_NONE || m->started || !m->backend ||
	    backend_get_state(m->backend) == BACKEND_DOWN)
		return;
	m->started = true;
	m->rc = 0;
	if (m->file)
		submit_write(l, m);
	else
		submit(m, STEP_OPEN, bio_new_jopen(LEASE_NAME, 0));
}

/* ---- rounds ---- */

/* Waits for what is under way, at most a moment; false: nothing is. */
static bool wait_some(struct pool_lease *l, uint64_t until_ns)
{
	struct bio *bio[POOL_MEMBERS_MAX];
	uint64_t slice_ns = clock_mono_ns() + SLICE_MS * NS_PER_MS;
	unsigned n = 0;

	for (unsigned i = 0; i < l->n; i++)
		if (l->m[i].bio)
			bio[n++] = l->m[i].bio;
	if (n)
		(void)bio_wait_some(bio, n, 1, MIN(slice_ns, until_ns));
	return n > 0;
}

static int make_slot(struct pool_lease *l)
{
	buf_unref(steal(&l->slot));
	l->self.counter++;
	return lease_encode(&l->seal, &l->self, &l->slot);
}

int lease_run_round(struct pool_lease *l, uint64_t wait_ms)
{
	uint64_t until = clock_mono_ns() + wait_ms * NS_PER_MS;
	int rc = make_slot(l);

	if (rc)
		return rc; /* the next round may have memory */
	for (unsigned i = 0; i < l->n; i++)
		l->m[i].started = false;
	do {
		/* First what the round before left behind. */
		for (unsigned i = 0; i < l->n; i++) {
			advance(l, &l->m[i]);
			start(l, &l->m[i]);
		}
	} while (wait_some(l, until) && clock_mono_ns() < until);
	for (unsigned i = 0; i < l->n; i++)
		advance(l, &l->m[i]);
	return 0;
}

bool lease_is_busy(const struct pool_lease *l)
{
	for (unsigned i = 0; i < l->n; i++)
		if (l->m[i].bio)
			return true;
	return false;
}
