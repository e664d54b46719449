/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explore.c - one life after another; of each, states: the power fails after
 * p changes, some of what was not synced lasts, folders and the local index
 * may be missing; recover, look, judge (see explore.h).
 *
 * Which crash the next life begins with follows from the seed alone, so that a
 * state can be replayed without those explored before it.
 */
#include "explore.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "backend/aead.h"
#include "audit.h"
#include "look.h"
#include "report.h"

struct explorer {
	struct history *h;
	struct life *life;
	const struct explore_options *o;
	struct dice dice;
	uint64_t left; /* states of this life */
};

/* One recovery and what it showed. */
struct recovery {
	struct explorer *x;
	size_t p; /* in the life */
	struct cut cut;
	struct dice dice;
	bool twice; /* the second one of its state */
	bool read_only;
	unsigned dying;		 /* folders that go away meanwhile */
	int rc;			 /* of opening */
	struct sim_trace *trace; /* NULL: not recorded */
	struct seen seen;
};

/* ---- places ---- */

static void tell_place(const struct explorer *x, const struct cut *cut,
		       const struct cut *again)
{
	struct spec s = {.seed = x->h->seed,
			 .life = x->life->number,
			 .cut = *cut,
			 .twice = again != NULL};
	char text[SPEC_TEXT];

	if (again)
		s.again = *again;
	spec_print(&s, text);
	report_at("--state %s", text);
}

static uint64_t cut_seed(uint64_t seed, const struct cut *c)
{
	seed = dice_seed(seed, c->p);
	seed = dice_seed(seed, c->mask);
	return dice_seed(seed,
			 (uint64_t)c->loss << 32 | c->hidden << 1 | c->cache);
}

/* ---- one recovery ---- */

/* While a life's recovery goes on, what was before it counts. */
static bool is_early(const struct recovery *r)
{
	return r->p < r->x->life->open_len;
}

static const struct model *model_of(const struct recovery *r)
{
	return is_early(r) ? r->x->life->before : r->x->life->model;
}

static void judge(const struct recovery *r)
{
	size_t p = is_early(r) ? r->x->life->before_cut : r->p;
	struct tally *t = report_tally();
	struct verdict v;

	if (!oracle_judge(model_of(r), p, &r->seen, &v))
		report_fail("%s", v.text);
	t->in_recovery += is_early(r);
	t->required += v.promised;
	t->later += v.later;
	t->files += v.files;
	t->cells += v.cells;
}

static void die_soon(void *arg)
{
	struct recovery *r = arg;

	for (unsigned i = 0; i < r->x->h->n; i++) {
		if (!(r->dying >> i & 1))
			continue;
		sim_sleep_ns(dice_below(&r->dice, 4000000));
		sim_disk_hide(i, true);
	}
}

static int open_volume(struct recovery *r, const struct volume_options *o,
		       struct diag *diag, struct volume **out)
{
	struct sim_thread *t = r->dying ? sim_start("die", die_soon, r) : NULL;
	int rc = volume_open(o, diag, out);

	if (t)
		sim_join(t);
	return rc;
}

static void recover(void *arg)
{
	struct recovery *r = arg;
	struct history *h = r->x->h;
	struct volume_options o = h->o;
	struct diag diag = DIAG_INIT;
	bool whole = !h->thin && !r->cut.hidden && !r->twice;
	struct volume *v;
	int rc;

	o.degraded = r->cut.hidden != 0;
	o.read_only = r->read_only;
	rc = r->rc = open_volume(r, &o, &diag, &v);
	if (r->dying) {
		if (rc == 0)
			volume_crash(v);
		return;
	}
	if (rc < 0)
		report_fail("volume_open%s: %s: %s",
			    r->read_only ? " (ro)" : "", err_name(rc),
			    diag.text);
	look(v, model_of(r), h->dir, &r->seen);
	if (r->read_only) {
		volume_crash(v);
		return;
	}
	audit_volume(h, v, whole);
	if (dice_one_in(&r->dice, 4))
		audit_index(v);
	if (r->trace || !dice_one_in(&r->dice, 24)) {
		volume_crash(v);
		return;
	}
	rc = volume_close(v);
	if (rc < 0)
		report_fail("volume_close: %s", err_name(rc));
	if (!r->cut.hidden)
		audit_pool(h, whole);
}

/* The image is used up. */
static void run_recovery(struct recovery *r, struct sim_image *im, bool record)
{
	struct history *h = r->x->h;
	struct tally *t = report_tally();

	sim_image_load(im);
	sim_image_unref(im);
	if (!r->cut.cache)
		sim_cache_clear();
	world_hide(h, r->cut.hidden);
	sim_set_yields(dice_one_in(&r->dice, 4) ? 20 : 0);
	if (record)
		r->trace = sim_record();
	sim_run(dice_roll(&r->dice), recover, r);
	if (record)
		sim_record_end(r->trace);
	world_hide(h, 0);
	t->states++;
	t->degraded += r->cut.hidden != 0;
	t->cacheless += !r->cut.cache;
	t->looks += r->read_only;
}

/* ---- a second failure ---- */

/* What a recovery without these wrote may be what counts. */
static bool can_follow(const struct history *h, unsigned hidden,
		       unsigned hidden_then)
{
	unsigned up = history_all(h) & ~hidden;
	unsigned left = (unsigned)__builtin_popcount(up & ~hidden_then);
	unsigned all = (unsigned)__builtin_popcount(up);
	unsigned max = MIN(h->m, all - 1);

	return history_can_miss(h, hidden_then) &&
	       (!hidden || all - left <= max);
}

static unsigned some_hidden(const struct history *h, struct dice *d,
			    unsigned before)
{
	for (unsigned i = 0; i < 20; i++) {
		unsigned hidden = (unsigned)dice_below(d, history_all(h) + 1);

		if (can_follow(h, before, hidden))
			return hidden;
	}
	return 0;
}

static void try_again(struct recovery *first, struct sim_cut *cut,
		      const struct cut *again)
{
	struct recovery r = {
		.x = first->x, .p = first->p, .cut = *again, .twice = true};
	char text[200];

	tell_place(r.x, &first->cut, again);
	r.dice.state = cut_seed(cut_seed(r.x->h->seed, &first->cut), again);
	sim_cut_move(cut, again->p);
	run_recovery(&r, sim_cut_make(cut, again->loss, again->mask), false);
	if (again->p == sim_trace_len(first->trace) && !first->dying) {
		report_tally()->again++;
		if (!seen_same(&first->seen, &r.seen, text, sizeof(text)))
			report_fail("%s", text);
	}
	judge(&r);
	report_tally()->second++;
	seen_free(&r.seen);
}

static int by_place(const void *a, const void *b)
{
	const struct cut *x = a, *y = b;

	return x->p < y->p ? -1 : x->p > y->p;
}

/* Cuts in a recovery; the last one after its end, with all of it lost that may
 * be (H). */
static void cut_recovery(struct recovery *r)
{
	struct explorer *x = r->x;
	size_t len = sim_trace_len(r->trace);
	struct sim_cut *cut = sim_cut_new(r->trace);
	struct cut again[6];
	unsigned n = ARRAY_LEN(again);

	for (unsigned i = 0; i < n; i++)
		again[i] = (struct cut){
			.p = i + 1 < n ? dice_below(&x->dice, len + 1) : len,
			.loss = i + 1 < n
					? (enum sim_loss)(
						  dice_one_in(&x->dice, 4)
							  ? SIM_LOSE_SOME
							  : dice_below(&x->dice,
								       2))
					: SIM_LOSE_ALL,
			.mask = dice_roll(&x->dice),
			.hidden = r->dying ? 0
					   : some_hidden(x->h, &x->dice,
							 r->cut.hidden),
			.cache = dice_below(&x->dice, 2),
		};
	qsort(again, n, sizeof(*again), by_place);
	for (unsigned i = 0; i < n; i++)
		try_again(r, cut, &again[i]);
	sim_cut_free(cut);
	x->left -= MIN(x->left, n);
}

/* ---- one cut ---- */

static void count_loss(const struct cut *c, unsigned pending)
{
	struct tally *t = report_tally();

	t->pending += pending > 0;
	t->lose_all += c->loss == SIM_LOSE_ALL;
	t->lose_none += c->loss == SIM_LOSE_NONE;
	t->lose_mask += c->loss == SIM_LOSE_MASK;
	t->lose_some += c->loss == SIM_LOSE_SOME;
}

static void try_cut(struct explorer *x, struct sim_cut *cut,
		    const struct cut *c, const struct cut *again)
{
	struct recovery r = {.x = x, .p = c->p, .cut = *c};
	struct sim_cut *second;
	bool record;

	tell_place(x, c, NULL);
	r.dice.state = cut_seed(dice_seed(x->h->seed, x->life->number), c);
	sim_cut_move(cut, c->p);
	count_loss(c, sim_cut_pending(cut));
	r.read_only = dice_one_in(&r.dice, 12);
	record = !r.read_only && dice_one_in(&r.dice, 40);
	if (record && dice_one_in(&r.dice, 3))
		r.dying = (unsigned)dice_below(&r.dice, history_all(x->h) + 1);
	run_recovery(&r, sim_cut_make(cut, c->loss, c->mask), record);
	report_tally()->dying += r.dying != 0;
	if (!r.dying)
		judge(&r);
	x->left -= x->left > 0;
	if (record && again) {
		second = sim_cut_new(r.trace);
		try_again(&r, second, again);
		sim_cut_free(second);
	} else if (record) {
		cut_recovery(&r);
	}
	sim_trace_free(r.trace);
	seen_free(&r.seen);
}

/* With each set of folders that may be missing, and without the cache. */
static void try_all_ways(struct explorer *x, struct sim_cut *cut, struct cut c)
{
	for (unsigned hidden = 0; hidden <= history_all(x->h); hidden++) {
		if (!history_can_miss(x->h, hidden))
			continue;
		c.hidden = hidden;
		c.cache = true;
		try_cut(x, cut, &c, NULL);
		c.cache = false;
		try_cut(x, cut, &c, NULL);
	}
}

static void try_all(struct explorer *x, struct sim_cut *cut, size_t p)
{
	struct cut c = {.p = p};
	unsigned pending;

	sim_cut_move(cut, p);
	pending = sim_cut_pending(cut);
	try_all_ways(x, cut, c);
	if (pending == 0)
		return;
	c.loss = SIM_LOSE_NONE;
	try_all_ways(x, cut, c);
	c.loss = SIM_LOSE_MASK;
	for (c.mask = 1; pending <= 4 && c.mask + 1 < 1ULL << pending; c.mask++)
		try_all_ways(x, cut, c);
	c.loss = SIM_LOSE_SOME;
	for (unsigned i = 0; i < 4; i++) {
		c.mask = dice_roll(&x->dice);
		try_all_ways(x, cut, c);
	}
}

static enum sim_loss some_loss(struct dice *d, unsigned pending)
{
	switch (dice_below(d, 8)) {
	case 0:
	case 1:
		return SIM_LOSE_ALL;
	case 2:
		return SIM_LOSE_NONE;
	case 3:
	case 4:
		return pending <= 64 ? SIM_LOSE_MASK : SIM_LOSE_SOME;
	default:
		return SIM_LOSE_SOME;
	}
}

static void choose(struct explorer *x, struct sim_cut *cut, struct cut *c)
{
	unsigned pending;

	sim_cut_move(cut, c->p);
	pending = sim_cut_pending(cut);
	c->loss = pending ? some_loss(&x->dice, pending) : SIM_LOSE_ALL;
	c->mask = dice_roll(&x->dice);
	if (c->loss == SIM_LOSE_MASK && pending < 64)
		c->mask &= (1ULL << pending) - 1;
	if (c->loss != SIM_LOSE_MASK && c->loss != SIM_LOSE_SOME)
		c->mask = 0;
	c->hidden =
		dice_one_in(&x->dice, 3) ? 0 : some_hidden(x->h, &x->dice, 0);
	c->cache = dice_below(&x->dice, 2);
}

/* ---- one life ---- */

static bool cut_same(const struct cut *a, const struct cut *b)
{
	return a->p == b->p && a->loss == b->loss && a->mask == b->mask &&
	       a->hidden == b->hidden && a->cache == b->cache;
}

#define EACH_MAX 32

/* Some states after p. None twice: the same seed would draw the same keys. */
static void explore_place(struct explorer *x, struct sim_cut *cut, size_t p,
			  uint64_t each)
{
	struct cut c[EACH_MAX];
	unsigned n = 0;

	for (uint64_t k = 0; k < MIN(each, EACH_MAX) && x->left > 0; k++) {
		bool known = false;

		c[n] = (struct cut){.p = p};
		choose(x, cut, &c[n]);
		for (unsigned i = 0; i < n; i++)
			known |= cut_same(&c[i], &c[n]);
		if (!known)
			try_cut(x, cut, &c[n++], NULL);
	}
}

static void explore_some(struct explorer *x)
{
	size_t len = sim_trace_len(x->life->trace);
	struct sim_cut *cut = sim_cut_new(x->life->trace);
	uint64_t n = MAX(x->left, 1), each = 1 + n / (len + 1);
	uint64_t places = MAX(n / each, 1);

	for (uint64_t i = 0; i < places && x->left > 0; i++) {
		uint64_t from = i * (len + 1) / places;
		uint64_t to = (i + 1) * (len + 1) / places;

		explore_place(x, cut,
			      from + dice_below(&x->dice, MAX(to - from, 1)),
			      each);
	}
	sim_cut_free(cut);
}

static void explore_life(struct explorer *x)
{
	const struct spec *only = x->o->only;
	struct sim_cut *cut;

	if (only && only->life != x->life->number)
		return;
	if (!only && !x->o->small) {
		explore_some(x);
		return;
	}
	cut = sim_cut_new(x->life->trace);
	if (only)
		try_cut(x, cut, &only->cut, only->twice ? &only->again : NULL);
	for (size_t p = 0; !only && p <= sim_trace_len(x->life->trace); p++)
		try_all(x, cut, p);
	sim_cut_free(cut);
}

/* ---- one history ---- */

/* Now and then a folder is what it was at the beginning of the life before. */
static void grow_stale(struct life *next, const struct life *l, struct dice *d)
{
	struct history *h = next->h;
	unsigned folder = (unsigned)dice_below(d, h->n);

	/* Or another machine had the pool, and the index here is old. */
	if (dice_one_in(d, 6))
		sim_image_mix(next->start, SIM_DISKS, l->start);
	if (h->thin || dice_below(d, 3))
		return;
	sim_image_mix(next->start, folder, l->start);
	history_limit(h, history_all(h) & ~(1u << folder), h->m - 1);
	report_tally()->stale++;
}

/* The crash that the next life begins with. l's model becomes its past. */
static void next_life(struct life *next, struct life *l)
{
	struct dice d = {dice_seed(l->h->seed, 200 + l->number)};
	size_t len = sim_trace_len(l->trace);
	struct sim_cut *cut = sim_cut_new(l->trace);

	*next = (struct life){.h = l->h, .number = l->number + 1};
	next->before_cut = len;
	if (dice_below(&d, 3))
		next->before_cut =
			l->open_len + dice_below(&d, len - l->open_len + 1);
	sim_cut_move(cut, next->before_cut);
	next->start = sim_cut_make(cut, some_loss(&d, 99), dice_roll(&d));
	sim_cut_free(cut);
	next->before = steal(&l->model);
	if (dice_one_in(&d, 5))
		next->hidden = some_hidden(l->h, &d, 0);
	else
		grow_stale(next, l, &d);
}

static void explore(struct history *h, const struct explore_options *o)
{
	struct life life = {.h = h, .start = sim_image_ref(h->made)}, next;
	struct explorer x = {
		.h = h, .life = &life, .o = o, .dice = {dice_seed(h->seed, 3)}};

	for (;;) {
		report_at("--seed %" PRIu64 " (life %u)", h->seed, life.number);
		life_run(&life);
		history_missed(h, life.hidden | life.lost);
		x.left = MAX(o->states / h->lives, 1);
		explore_life(&x);
		if (life.number + 1 == h->lives ||
		    (o->only && life.number == o->only->life))
			break;
		next_life(&next, &life);
		life_release(&life);
		life = next;
	}
	life_release(&life);
}

void explore_history(uint64_t seed, const struct explore_options *o)
{
	static struct history h;

	report_at("--seed %" PRIu64 " (making the pool)", seed);
	aead_track_nonces(true);
	history_begin(&h, seed, o->small);
	explore(&h, o);
	history_end(&h);
	aead_track_nonces(false);
	report_tally()->histories++;
}
