/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is another host at work on the pool? Asked by every opening that may write,
 * after the locks (which tell of this host) and before the superblocks are
 * read for the second time: whoever ended since the first reading has left
 * something newer there.
 *
 * Leases of epochs before the newest published one do not count: their owner
 * was taken over from. So old leases that a folder repeats keep nobody out,
 * and of one owner only a growing counter is a sign of life.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/sync.h"
#include "backend/pool_impl.h"
#include "backend/pool_lease.h"

#define POLL_MS	      1000
#define POLL_PATIENCE 2000 /* with one folder */

struct watch {
	struct folders *fs;
	const struct watch_options *o;
	struct lease self;
	struct lease_list first; /* as found */
	struct lease_list now;
};

static void watch_release(struct watch *w)
{
	lease_list_release(&w->first);
	lease_list_release(&w->now);
}

static int take(struct watch *w, struct folder *f, struct fan *fan)
{
	struct lease_reader r = {
		.pool = w->o->pool, .keys = w->o->keys, .from = w->o->from};

	f->lease_unread = fan->rc && fan->rc != -ENOENT;
	if (fan_own_trouble(fan->rc))
		return fan->rc;
	return fan->rc ? 0 : lease_list_read(&w->now, bio_data(fan->bio), &r);
}

static int read_all(struct watch *w, uint64_t deadline_ms)
{
	unsigned n = w->fs->n;
	AUTO_FREE struct fan *fan = mem_calloc(n, sizeof(*fan));
	int rc = fan ? 0 : -ENOMEM;

	for (unsigned i = 0; !rc && i < n; i++) {
		struct folder *f = &w->fs->at[i];

		if (f->rc)
			continue;
		fan[i].to = f->backend;
		fan[i].bio = bio_new_get(LEASE_NAME, 0, LEASE_FILE, true);
		bio_set_urgent(fan[i].bio);
	}
	if (rc)
		return rc;
	fan_run(fan, n, deadline_ms);
	for (unsigned i = 0; !rc && i < n; i++)
		if (fan[i].to)
			rc = take(w, &w->fs->at[i], &fan[i]);
	fan_release(fan, n);
	return rc;
}

/* Somebody whose end must be waited for; NULL: nobody. */
static const struct lease *suspect(const struct watch *w)
{
	for (unsigned i = 0; i < w->now.n; i++)
		if (lease_may_live(&w->now.at[i], &w->self))
			return &w->now.at[i];
	return NULL;
}

/* Somebody who has renewed his lease since; NULL: nobody. */
static const struct lease *alive(const struct watch *w)
{
	for (unsigned i = 0; i < w->now.n; i++) {
		const struct lease *l = &w->now.at[i];
		const struct lease *was = lease_list_find(&w->first, l->owner);

		if ((!was || was->counter < l->counter) &&
		    lease_may_live(l, &w->self))
			return l;
	}
	return NULL;
}

static int copy(const struct lease_list *from, struct lease_list *to)
{
	int rc = 0;

	for (unsigned i = 0; i < from->n && !rc; i++)
		rc = lease_list_add(to, &from->at[i]);
	return rc;
}

int pool_watch_refuse(const struct lease *l, struct diag *diag)
{
	char who[160];

	lease_describe(l, who, sizeof(who));
	return diag_fail(diag, -ERR_IN_USE,
			 "the pool is mounted by another host: %s. Unmount it "
			 "there with 'mendfs umount'; if that host is gone, "
			 "try again: a lease that is not renewed for %d "
			 "seconds ends",
			 who, LEASE_TAKEOVER_MS / 1000);
}

static void pause_ms(uint64_t ms)
{
	uint64_t until = clock_mono_ns() + ms * 1000000;
	struct mutex mu;
	struct cond never;

	mutex_init(&mu);
	cond_init(&never);
	mutex_lock(&mu);
	while (cond_wait_until(&never, &mu, until))
		;
	mutex_unlock(&mu);
	cond_destroy(&never);
	mutex_destroy(&mu);
}

static void tell(const struct lease *l)
{
	char who[160];

	lease_describe(l, who, sizeof(who));
	log_event(LOG_LVL_WARN, "lease_wait", "seconds=%d of=\"%s\"",
		  LEASE_TAKEOVER_MS / 1000, who);
}

static int wait_for_end(struct watch *w)
{
	uint64_t start = clock_boot_ns();
	int rc = 0;

	while (!rc && suspect(w) &&
	       clock_boot_ns() - start < LEASE_TAKEOVER_MS * 1000000ULL) {
		pause_ms(POLL_MS);
		rc = read_all(w, POLL_PATIENCE);
		if (!rc && alive(w))
			rc = pool_watch_refuse(alive(w), w->o->diag);
	}
	return rc;
}

int folders_watch(struct folders *fs, const struct watch_options *o,
		  struct lease_list *out)
{
	AUTO(watch_release) struct watch w = {.fs = fs, .o = o};
	struct host h;
	int rc;

	host_get(&h);
	rc = lease_set_host(&w.self, &h, o->keys);
	if (!rc)
		rc = read_all(&w, o->deadline_ms);
	if (!rc)
		rc = copy(&w.now, &w.first);
	if (!rc && suspect(&w)) {
		tell(suspect(&w));
		rc = wait_for_end(&w);
	}
	if (rc)
		return rc;
	*out = w.now;
	w.now = (struct lease_list){.n = 0};
	return 0;
}

/* A short look, to tell who has the locks. */
void folders_tell_owner(struct folders *fs, const struct watch_options *o,
			char *text, size_t len)
{
	AUTO(watch_release) struct watch w = {.fs = fs, .o = o};
	const struct lease *newest = NULL;

	if (read_all(&w, POLL_PATIENCE))
		return;
	for (unsigned i = 0; i < w.now.n; i++) {
		const struct lease *l = &w.now.at[i];

		if (l->state == LEASE_HELD &&
		    (!newest || l->epoch > newest->epoch))
			newest = l;
	}
	if (newest)
		lease_describe(newest, text, len);
}
