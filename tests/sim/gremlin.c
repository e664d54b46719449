/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gremlin.c - what happens by itself while clients work, and promises nothing:
 * background work of the engine at odd times, folders that go away or fail.
 */
#include "backend/drv_fault.h"
#include "base/mem.h"
#include "fs/volume_impl.h"
#include "report.h"
#include "world.h"

enum stir {
	STIR_WRITEBACK,
	STIR_ATTRS,
	STIR_COMMIT,
	STIR_CHECKPOINT,
	STIR_ROTATE,
	STIR_QUEUE,
	STIR_FORGET,
	STIRS
};

static unsigned bits(unsigned mask)
{
	return (unsigned)__builtin_popcount(mask);
}

/* May it go on without these? A majority stays, or nobody may write. */
static bool can_lose(const struct life *l, unsigned folder)
{
	unsigned gone = l->hidden | l->lost | 1u << folder;

	return 2 * (l->h->n - bits(gone)) > l->h->n &&
	       history_can_miss(l->h, gone);
}

/* A folder goes away while work goes on. */
static void lose_one(struct life *l)
{
	unsigned d = (unsigned)dice_below(&l->dice, l->h->n);

	if (!can_lose(l, d))
		return;
	sim_disk_hide(d, true);
	l->lost |= 1u << d;
}

/* One folder fails for some requests. */
static void fail_one(struct life *l)
{
	static const char *const prefix[] = {
		"",	 "",	   "journal/",	  "journal/",
		"data/", "index/", "mendfs.super"};
	static const unsigned ops[] = {
		FAULT_OP_ALL & ~(unsigned)FAULT_OP_ATTACH, FAULT_OP_WRITE,
		FAULT_OP_SYNC, FAULT_OP_CREATE,
		FAULT_OP_WRITE | FAULT_OP_SYNC | FAULT_OP_CREATE};
	static const enum fault_kind kind[] = {FAULT_ERROR, FAULT_ERROR,
					       FAULT_TORN, FAULT_DELAY};
	struct fault_rule rule = {
		.kind = kind[dice_below(&l->dice, ARRAY_LEN(kind))],
		.ops = ops[dice_below(&l->dice, ARRAY_LEN(ops))],
		.prefix = prefix[dice_below(&l->dice, ARRAY_LEN(prefix))],
		.skip = dice_below(&l->dice, 6),
		.times = 1 + dice_below(&l->dice, 5),
		.err = dice_below(&l->dice, 4) ? EIO : ENOSPC,
		.ms = dice_below(&l->dice, 3000),
	};

	unsigned d = (unsigned)dice_below(&l->dice, l->h->n);

	/* -EINVAL: a rule that could hit nothing */
	if (l->faulty >> d & 1)
		(void)fault_add(l->h->location[d], &rule);
}

bool gremlin_excuses(const struct life *l, int rc)
{
	return l->faulty && (rc == -EIO || rc == -ENOSPC || rc == -ETIMEDOUT ||
			     rc == -ERR_BACKEND_DOWN || rc == -ERR_UNAVAILABLE);
}

static int do_stir(struct life *l, enum stir what)
{
	struct volume *v = l->v;

	switch (what) {
	case STIR_WRITEBACK:
		return writeback_run(v, CACHE_ANY, UINT64_MAX);
	case STIR_ATTRS:
		return node_flush_attrs(v);
	case STIR_COMMIT:
		return commit_all(v->commit);
	case STIR_CHECKPOINT:
		return service_checkpoint(v, NULL, NULL);
	case STIR_ROTATE:
		return jseg_rotate(v->js, dice_one_in(&l->dice, 2));
	case STIR_QUEUE:
		return service_run_queue(v);
	default:
		cache_drop_clean(v->cache, CACHE_ANY);
		return 0;
	}
}

static void stir(struct life *l)
{
	enum stir what = (enum stir)dice_below(&l->dice, STIRS);
	int rc;

	if (!(l->stirs >> what & 1))
		return;
	rc = do_stir(l, what);
	if (rc < 0 && !gremlin_excuses(l, rc))
		report_fail("background work %u: %s", what, err_name(rc));
}

void gremlin_prepare(struct life *l)
{
	unsigned some = (unsigned)dice_below(&l->dice, history_all(l->h) + 1);

	l->hasty = dice_one_in(&l->dice, 2);
	l->stirs = (unsigned)dice_below(&l->dice, 1u << STIRS);
	if (dice_one_in(&l->dice, 3))
		l->stirs = ~0u;
	if (dice_below(&l->dice, 3) || !some ||
	    !history_can_miss(l->h, l->hidden | some))
		return;
	/* What they fail to take they have not. */
	l->faulty = some;
	l->lost |= some;
	report_tally()->faulty++;
}

void gremlin_run(void *life)
{
	struct life *l = life;
	uint64_t slow = 1 + dice_below(&l->dice, l->hasty ? 4 : 400);
	bool may_lose = dice_one_in(&l->dice, 6);

	while (!l->ended) {
		sim_sleep_ns(dice_below(&l->dice, slow * 1000000));
		if (may_lose && dice_one_in(&l->dice, 10))
			lose_one(l);
		for (unsigned i = 0; l->faulty && i < 3; i++)
			fail_one(l);
		if (!l->ended)
			stir(l);
	}
	for (unsigned i = 0; i < l->h->n; i++) {
		report_tally()->faults += fault_hits(l->h->location[i]);
		fault_clear(l->h->location[i]);
	}
}
