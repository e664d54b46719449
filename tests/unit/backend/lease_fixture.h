/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease_fixture.h - two hosts on the same folders.
 *
 * Pools of 5 places (3+2) behind the fault driver, without threads, on a clock
 * that moves when the test says so or, from the moment on that somebody says
 * that he waits for a lease, a bit with every look. Whoever opens gives up the
 * flocks of this process at once, as another host would not see them.
 */
#ifndef MENDFS_TESTS_LEASE_FIXTURE_H
#define MENDFS_TESTS_LEASE_FIXTURE_H

#include "unit/backend/pool_kit.h"

#include "base/clock.h"
#include "base/host.h"
#include "base/workq.h"
#include "backend/backend_impl.h"
#include "backend/pool_lease.h"

#define SECOND 1000000000ULL

struct world {
	uint64_t now_ns;
	uint64_t step_ns;
	unsigned waits; /* begun */
	/* called every second of that time while the clock moves by itself */
	void (*each_second)(void *arg);
	void *arg;
	uint64_t second_ns;
	bool inside;
};

struct fixture {
	struct kit kit;
	struct diag diag;
	struct pool *a, *b;
	struct world w;
	struct clock_source clock;
};

static inline uint64_t world_mono(void *arg)
{
	struct world *w = arg;

	if (w->inside)
		return w->now_ns;
	w->now_ns += w->step_ns;
	w->inside = true;
	while (w->step_ns && w->each_second &&
	       w->now_ns - w->second_ns >= SECOND) {
		w->second_ns += SECOND;
		w->each_second(w->arg);
	}
	w->inside = false;
	return w->now_ns;
}

static inline int64_t world_real(void *arg)
{
	return (int64_t)world_mono(arg);
}

static inline void world_listen(void *arg, enum log_level level,
				const char *line)
{
	struct world *w = arg;

	(void)level;
	if (!strstr(line, "lease_wait"))
		return;
	w->waits++;
	w->step_ns = SECOND / 20;
	w->second_ns = w->now_ns;
}

static inline int set_up(void **state)
{
	static unsigned number;
	struct fixture *f = calloc(1, sizeof(*f));
	char name[32];

	assert_non_null(f);
	f->w.now_ns = 1000 * SECOND;
	f->clock = (struct clock_source){world_mono, world_real, &f->w};
	clock_replace(&f->clock);
	log_use_sink(world_listen, &f->w);
	workq_inline(true);
	snprintf(name, sizeof(name), "lease%u", number++);
	kit_init(&f->kit, "fault:", name, 5);
	kit_make(&f->kit, 2);
	*state = f;
	return 0;
}

static inline void clear_faults(struct fixture *f)
{
	for (unsigned i = 0; i < f->kit.n; i++)
		fault_clear(f->kit.at[i]);
}

static inline int tear_down(void **state)
{
	struct fixture *f = *state;

	mem_fail_at(0, 0);
	host_replace(NULL);
	clear_faults(f);
	pool_close(f->a);
	pool_close(f->b);
	workq_inline(false);
	clock_replace(NULL);
	log_use_sink(kit_quiet, NULL);
	kit_forget(&f->kit);
	free(f);
	return 0;
}

/* Host names tell machines apart; "boot" and pid may change. */
static inline void be_host(const char *name, const char *boot, int pid)
{
	struct host h = {.pid = pid, .started = 1};

	snprintf(h.machine, sizeof(h.machine), "machine of %s", name);
	snprintf(h.name, sizeof(h.name), "%s", name);
	snprintf(h.boot, sizeof(h.boot), "%s", boot);
	host_replace(&h);
}

static inline void give_up_flock(struct pool *p)
{
	for (unsigned i = 0; i < p->n; i++)
		if (p->member[i].backend)
			driver_unlock(p->member[i].backend->driver);
}

static inline int try_open(struct fixture *f, struct pool **out)
{
	int rc;

	f->diag = (struct diag)DIAG_INIT;
	rc = kit_open_one(f->kit.at[0], &f->diag, out);
	f->w.step_ns = 0;
	return rc;
}

static inline struct pool *must_open(struct fixture *f)
{
	struct pool *p;

	if (try_open(f, &p))
		fail_msg("open: %s", f->diag.text);
	give_up_flock(p);
	return p;
}

static inline int begin_lease(struct fixture *f, struct pool *p, bool degraded)
{
	f->diag = (struct diag)DIAG_INIT;
	return pool_lease_begin(p, degraded, &f->diag);
}

/* As a mount does it, up to its first checkpoint. */
static inline struct pool *mount_as(struct fixture *f, const char *name)
{
	struct pool *p;

	be_host(name, "boot-1", 100);
	p = must_open(f);
	assert_int_equal(pool_begin_epoch(p), 0);
	if (begin_lease(f, p, false))
		fail_msg("lease: %s", f->diag.text);
	kit_publish(p);
	return p;
}

/* How long the host of that name waits; it has begun nothing yet then. */
static inline uint64_t open_waiting(struct fixture *f, const char *name,
				    struct pool **out)
{
	uint64_t start = f->w.now_ns;

	be_host(name, "boot-1", 100);
	*out = must_open(f);
	return f->w.now_ns - start;
}

static inline void assert_waited(uint64_t ns)
{
	assert_true(ns >= LEASE_TAKEOVER_MS / 1000 * SECOND);
	assert_true(ns < 2 * LEASE_TAKEOVER_MS / 1000 * SECOND);
}

static inline void crash(struct pool **p)
{
	pool_close(*p);
	*p = NULL;
}

static inline void pass(struct fixture *f, unsigned seconds)
{
	f->w.now_ns += seconds * SECOND;
}

static inline void fail_with(struct fixture *f, unsigned i, int err,
			     unsigned ops, const char *prefix)
{
	struct fault_rule r = {.kind = err ? FAULT_ERROR : FAULT_HANG,
			       .ops = ops,
			       .prefix = prefix,
			       .err = err};

	assert_int_equal(fault_add(f->kit.at[i], &r), 0);
}

static inline void assert_told(const struct fixture *f, const char *about)
{
	if (!strstr(f->diag.text, about))
		fail_msg("'%s' is not in: %s", about, f->diag.text);
}

static inline struct pool_lease_stats stats_of(struct pool *p)
{
	struct pool_lease_stats s;

	pool_lease_get_stats(p, &s);
	return s;
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

#endif
