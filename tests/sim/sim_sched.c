/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Coroutines in place of threads: base/sync.h, base/thread.h and base/clock.h
 * for the simulated machine.
 *
 * S1  One coroutine runs at a time; it goes on until it has to wait, or until
 *     the dice hand over where it takes a lock or asks a disk.
 * S2  Who runs next is drawn among those that can: woken ones, and sleepers
 *     whose deadline has come.
 * S3  Time stands still while somebody can run, but for a tick per look at the
 *     clock; when nobody can, it jumps to the next deadline.
 * S4  A struct mutex or cond is used as memory of our own; all zero bytes (as
 *     MUTEX_INIT has them in front) is a free one.
 * S5  A coroutine whose function has returned keeps its stack until another
 *     one runs.
 * S6  Who waits is counted in the mutex or condition until it is woken or its
 *     time is up, not until it runs: the memory may be gone then.
 */
#include "sim_impl.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fail_seam.h"
#include "base/host.h"
#include "base/rnd.h"
#include "base/sync.h"
#include "base/thread.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define STACK_BYTES (1u << 20)
#else
#define STACK_BYTES (256u << 10)
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

#define TICK_NS	 200	       /* a look at the clock */
#define START_NS 1000000000ULL /* the clock when a run begins */
#define EPOCH_NS 1700000000000000000LL
#define GUARD	 4096
#define NEVER	 UINT64_MAX

enum thread_state {
	READY,
	WAITING, /* for `on`, or until deadline_ns */
	ENDED
};

struct sim_thread {
	ucontext_t context;
	uint8_t *stack; /* the mapping, guard page first; NULL: the first one */
	enum thread_state state;
	const void *on; /* mutex, cond or thread; NULL: only the clock */
	const char *why;
	unsigned *waiters;    /* counted there while waiting (S6) */
	uint64_t deadline_ns; /* of a wait; NEVER */
	bool timed_out;
	bool detached;
	char name[16];
	void *(*run)(void *arg);
	void (*fn)(void *arg); /* of sim_start */
	void *arg;
#if defined(__SANITIZE_ADDRESS__)
	void *fake_stack;
	const void *bottom;
	size_t size;
#endif
#if defined(__SANITIZE_THREAD__)
	void *fiber;
#endif
};

struct sim_mutex {
	struct sim_thread *owner;
	unsigned waiters;
};
struct sim_cond {
	unsigned waiters;
};
_Static_assert(sizeof(struct sim_mutex) <= 16 &&
		       sizeof(struct sim_mutex) <= sizeof(struct mutex) &&
		       sizeof(struct sim_cond) <= sizeof(struct cond),
	       "S4: kind of a static mutex lies behind our bytes");

static struct {
	struct sim_thread **thread;
	size_t count, cap;
	struct sim_thread *now, *first;
	struct sim_thread *ended; /* its stack is still in use (S5) */
	uint64_t time_ns;
	uint64_t seed, dice, turns;
	uint64_t print;
	uint64_t switches;
	unsigned yields;
	uint8_t *stacks; /* free ones, linked through their last bytes */
} s = {.time_ns = START_NS, .yields = 20};

static struct fail_seam start_seam;

/* ---- small things ---- */

void *sim_alloc(size_t n, size_t size)
{
	void *p = calloc(n, size);

	MUST(p);
	return p;
}

void *sim_grow(void *p, size_t n, size_t size)
{
	p = reallocarray(p, n, size);
	MUST(p);
	return p;
}

uint64_t sim_mix(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ULL;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

uint64_t sim_hash(const void *p, size_t len, uint64_t seed)
{
	const uint8_t *b = p;
	uint64_t h = seed ^ 0xcbf29ce484222325ULL, w;

	for (; len >= 8; b += 8, len -= 8) {
		memcpy(&w, b, 8);
		h = (h ^ w) * 0x9fb21c651e98df25ULL;
		h ^= h >> 29;
	}
	for (; len > 0; b++, len--)
		h = (h ^ *b) * 0x100000001b3ULL;
	return h ^ (h >> 32);
}

void sim_note(uint64_t what)
{
	s.print = (s.print ^ what) * 0x9fb21c651e98df25ULL;
	s.print ^= s.print >> 31;
}

uint64_t sim_fingerprint(void)
{
	return s.print;
}

uint64_t sim_dice(uint64_t bound)
{
	return sim_mix(&s.dice) % bound;
}

void sim_set_yields(unsigned per_mille)
{
	s.yields = per_mille;
}

static const char *const state_names[] = {"ready", "waiting", "ended"};

static void die(const char *why)
{
	fprintf(stderr, "sim: %s (seed %llu, time %.3f s)\n", why,
		(unsigned long long)s.seed,
		(double)(s.time_ns - START_NS) / 1e9);
	for (size_t i = 0; i < s.count; i++) {
		const struct sim_thread *t = s.thread[i];

		fprintf(stderr, "  %c %-15s %s %s %p\n", t == s.now ? '*' : ' ',
			t->name, state_names[t->state], t->why ? t->why : "",
			t->on);
	}
	abort();
}

/* ---- stacks ---- */

static uint8_t *stack_take(void)
{
	uint8_t *p = s.stacks;

	if (p) {
		memcpy(&s.stacks, p + GUARD, sizeof(s.stacks));
		return p;
	}
	p = mmap(NULL, GUARD + STACK_BYTES, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	MUST(p != MAP_FAILED);
	MUST(mprotect(p, GUARD, PROT_NONE) == 0);
	return p;
}

static void stack_give(uint8_t *p)
{
	memcpy(p + GUARD, &s.stacks, sizeof(s.stacks));
	s.stacks = p;
}

/* ---- switching ---- */

/* Right after s.now has come to run, from wherever. */
static void arrive(void)
{
	struct sim_thread *e = s.ended;

#if defined(__SANITIZE_ADDRESS__)
	struct sim_thread *me = s.now;
	const void *bottom;
	size_t size;

	__sanitizer_finish_switch_fiber(me->fake_stack, &bottom, &size);
	if (!s.first->bottom && me != s.first) {
		s.first->bottom = bottom;
		s.first->size = size;
	}
#endif
	s.ended = NULL;
	if (e && e->stack) {
		stack_give(e->stack);
		e->stack = NULL;
	}
	if (e && e->detached) {
#if defined(__SANITIZE_THREAD__)
		__tsan_destroy_fiber(e->fiber);
#endif
		free(e);
	}
}

static void switch_to(struct sim_thread *t)
{
	struct sim_thread *me = s.now;

	if (t == me)
		return;
	if (++s.switches > SIM_SWITCHES)
		die("too many hand-overs");
	s.now = t;
#if defined(__SANITIZE_ADDRESS__)
	__sanitizer_start_switch_fiber(me->state == ENDED ? NULL
							  : &me->fake_stack,
				       t->bottom, t->size);
#endif
#if defined(__SANITIZE_THREAD__)
	__tsan_switch_to_fiber(t->fiber, 0);
#endif
	MUST(swapcontext(&me->context, &t->context) == 0);
	arrive();
}

static bool can_run(const struct sim_thread *t)
{
	return t->state == READY ||
	       (t->state == WAITING && t->deadline_ns <= s.time_ns);
}

/* S3 */
static void pass_time(void)
{
	uint64_t next = NEVER;

	for (size_t i = 0; i < s.count; i++) {
		const struct sim_thread *t = s.thread[i];

		if (t->state == WAITING && t->deadline_ns < next)
			next = t->deadline_ns;
	}
	if (next == NEVER)
		die("deadlock");
	s.time_ns = next;
	if (s.time_ns - START_NS > SIM_LIFE_S * 1000000000ULL)
		die("the run does not end");
}

/* S2 */
static struct sim_thread *pick(void)
{
	size_t able = 0, which;

	for (size_t i = 0; i < s.count; i++)
		able += can_run(s.thread[i]);
	if (able == 0)
		return NULL;
	which = able == 1 ? 0 : sim_mix(&s.turns) % able;
	for (size_t i = 0;; i++)
		if (can_run(s.thread[i]) && which-- == 0)
			return s.thread[i];
}

/* S6 */
static void wake(struct sim_thread *t)
{
	if (t->waiters)
		--*t->waiters;
	t->waiters = NULL;
	t->state = READY;
	t->on = NULL;
}

static void hand_over(void)
{
	struct sim_thread *t = pick();

	while (!t) {
		pass_time();
		t = pick();
	}
	if (t->state == WAITING) {
		t->timed_out = true;
		wake(t);
	}
	sim_note((uint64_t)t->name[0] + s.time_ns);
	switch_to(t);
}

/* False: the deadline came first. */
static bool wait_for(const void *on, unsigned *waiters, const char *why,
		     uint64_t deadline_ns)
{
	struct sim_thread *me = s.now;

	if (!s.first)
		die("waiting outside of sim_run");
	me->state = WAITING;
	me->on = on;
	me->waiters = waiters;
	if (waiters)
		++*waiters;
	me->why = why;
	me->deadline_ns = deadline_ns;
	me->timed_out = false;
	hand_over();
	return !me->timed_out;
}

static void wake_all(const void *on)
{
	for (size_t i = 0; i < s.count; i++)
		if (s.thread[i]->state == WAITING && s.thread[i]->on == on)
			wake(s.thread[i]);
}

void sim_yield(void)
{
	if (s.first && s.yields && sim_mix(&s.turns) % 1000 < s.yields)
		hand_over();
}

void sim_sleep_ns(uint64_t ns)
{
	if (s.first)
		(void)wait_for(NULL, NULL, "sleeps", s.time_ns + ns);
}

/* ---- coroutines ---- */

static void thread_add(struct sim_thread *t)
{
	if (s.count == s.cap) {
		s.cap = s.cap ? 2 * s.cap : 64;
		s.thread =
			sim_grow(s.thread, s.cap, sizeof(struct sim_thread *));
	}
	s.thread[s.count++] = t;
}

static void thread_take_out(const struct sim_thread *t)
{
	size_t i = 0;

	while (s.thread[i] != t)
		i++;
	memmove(&s.thread[i], &s.thread[i + 1],
		(--s.count - i) * sizeof(struct sim_thread *));
}

static void entry(void)
{
	struct sim_thread *me = s.now;

	arrive();
	me->run(me->arg);
	me->state = ENDED;
	s.ended = me;
	thread_take_out(me);
	wake_all(me);
	hand_over();
	die("an ended thread goes on");
}

static struct sim_thread *thread_new(const char *name, void *(*run)(void *arg),
				     void *arg)
{
	struct sim_thread *t = sim_alloc(1, sizeof(*t));

	MUST(s.first);
	snprintf(t->name, sizeof(t->name), "%s", name);
	t->run = run;
	t->arg = arg;
	t->deadline_ns = NEVER;
	t->stack = stack_take();
	MUST(getcontext(&t->context) == 0);
	t->context.uc_stack.ss_sp = t->stack + GUARD;
	t->context.uc_stack.ss_size = STACK_BYTES;
	makecontext(&t->context, entry, 0);
#if defined(__SANITIZE_ADDRESS__)
	t->bottom = t->stack + GUARD;
	t->size = STACK_BYTES;
#endif
#if defined(__SANITIZE_THREAD__)
	t->fiber = __tsan_create_fiber(0);
#endif
	thread_add(t);
	return t;
}

int thread_start(const char *name, void *(*run)(void *), void *arg,
		 pthread_t *out)
{
	if (fail_seam_hit(&start_seam))
		return -EAGAIN;
	*out = (pthread_t)thread_new(name, run, arg);
	sim_yield();
	return 0;
}

void thread_fail_at(uint64_t n, int forever)
{
	fail_seam_set(&start_seam, n, EAGAIN, forever);
}

static struct sim_thread *thread_of(pthread_t t)
{
	return (struct sim_thread *)t; /* NOLINT: an integer type here */
}

static void join(struct sim_thread *t)
{
	while (t->state != ENDED)
		(void)wait_for(t, NULL, "joins", NEVER);
	MUST(s.ended != t);
#if defined(__SANITIZE_THREAD__)
	__tsan_destroy_fiber(t->fiber);
#endif
	free(t);
}

void thread_join(pthread_t t)
{
	join(thread_of(t));
}

void thread_detach(pthread_t t)
{
	struct sim_thread *x = thread_of(t);

	if (x->state == ENDED)
		join(x);
	else
		x->detached = true;
}

bool thread_is_self(pthread_t t)
{
	return thread_of(t) == s.now;
}

struct plain {
	void (*fn)(void *arg);
	void *arg;
};

static void *run_plain(void *arg)
{
	struct plain p = *(struct plain *)arg;

	free(arg);
	p.fn(p.arg);
	return NULL;
}

struct sim_thread *sim_start(const char *name, void (*fn)(void *arg), void *arg)
{
	struct plain *p = sim_alloc(1, sizeof(*p));

	*p = (struct plain){fn, arg};
	return thread_new(name, run_plain, p);
}

void sim_join(struct sim_thread *t)
{
	join(t);
}

/* ---- a run ---- */

static void on_abort(int sig)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "sim: aborted, seed %llu\n",
			 (unsigned long long)s.seed);

	(void)!write(STDERR_FILENO, line, (size_t)n);
	signal(sig, SIG_DFL);
	raise(sig);
}

/* Started anew, it still is this one: no recovery waits for a lease. */
static const struct host sim_host = {.machine = "simulated",
				     .boot = "simulated",
				     .name = "simulated",
				     .pid = 1};

void sim_run(uint64_t seed, void (*fn)(void *arg), void *arg)
{
	struct sim_thread first = {.name = "first", .deadline_ns = NEVER};

	MUST(!s.first);
	signal(SIGABRT, on_abort);
	host_replace(&sim_host);
	s.seed = s.dice = s.turns = seed;
	(void)sim_mix(&s.turns);
	s.turns ^= 0x7475726e73ULL;
	s.print = seed;
	s.switches = 0;
	s.time_ns = START_NS;
	s.first = s.now = &first;
#if defined(__SANITIZE_THREAD__)
	first.fiber = __tsan_get_current_fiber();
#endif
	thread_add(&first);
	rnd_seed(seed);
	fn(arg);
	thread_take_out(&first);
	if (s.count > 0)
		die("threads are left");
	s.first = s.now = NULL;
}

/* ---- clock.h ---- */

uint64_t clock_mono_ns(void)
{
	s.time_ns += TICK_NS;
	return s.time_ns;
}

uint64_t clock_boot_ns(void)
{
	return clock_mono_ns();
}

int64_t clock_real_ns(void)
{
	return EPOCH_NS + (int64_t)clock_mono_ns();
}

void clock_replace(const struct clock_source *source)
{
	MUST(!source); /* it is a simulated one already */
}

bool clock_is_replaced(void)
{
	return true;
}

/* ---- sync.h ---- */

static struct sim_mutex *mutex_of(struct mutex *mu)
{
	return (struct sim_mutex *)mu;
}

/* Outside of sim_run there is one thread, and it still must not lock twice. */
static struct sim_thread *self(void)
{
	static struct sim_thread outside;

	return s.now ? s.now : &outside;
}

void mutex_init(struct mutex *mu)
{
	memset(mu, 0, sizeof(*mu));
}

void mutex_destroy(struct mutex *mu)
{
	MUST(!mutex_of(mu)->owner && mutex_of(mu)->waiters == 0);
}

static void take(struct sim_mutex *m)
{
	MUST(m->owner != self());
	while (m->owner)
		(void)wait_for(m, &m->waiters, "locks", NEVER);
	m->owner = self();
}

void mutex_lock(struct mutex *mu)
{
	sim_yield();
	take(mutex_of(mu));
}

bool mutex_trylock(struct mutex *mu)
{
	struct sim_mutex *m = mutex_of(mu);

	sim_yield();
	if (m->owner)
		return false;
	m->owner = self();
	return true;
}

void mutex_unlock(struct mutex *mu)
{
	struct sim_mutex *m = mutex_of(mu);

	MUST(m->owner == self());
	m->owner = NULL;
	if (m->waiters > 0)
		wake_all(m);
}

static struct sim_cond *cond_of(struct cond *c)
{
	return (struct sim_cond *)c;
}

void cond_init(struct cond *c)
{
	memset(c, 0, sizeof(*c));
}

void cond_destroy(struct cond *c)
{
	MUST(cond_of(c)->waiters == 0);
}

bool cond_wait_until(struct cond *c, struct mutex *mu, uint64_t deadline_ns)
{
	struct sim_cond *x = cond_of(c);
	bool signalled;

	if (clock_mono_ns() >= deadline_ns)
		return false;
	mutex_unlock(mu);
	signalled = wait_for(x, &x->waiters, "waits", deadline_ns);
	take(mutex_of(mu));
	return signalled;
}

void cond_wait(struct cond *c, struct mutex *mu)
{
	(void)cond_wait_until(c, mu, NEVER);
}

void cond_broadcast(struct cond *c)
{
	if (cond_of(c)->waiters > 0)
		wake_all(cond_of(c));
}

/* Any one of those that wait. */
void cond_signal(struct cond *c)
{
	const struct sim_cond *x = cond_of(c);
	size_t n = 0, which;

	if (x->waiters == 0)
		return;
	for (size_t i = 0; i < s.count; i++)
		n += s.thread[i]->state == WAITING && s.thread[i]->on == x;
	if (n == 0)
		return;
	which = n == 1 ? 0 : sim_mix(&s.turns) % n;
	for (size_t i = 0; i < s.count; i++)
		if (s.thread[i]->state == WAITING && s.thread[i]->on == x &&
		    which-- == 0) {
			wake(s.thread[i]);
			return;
		}
}
