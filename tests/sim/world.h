/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world.h - a pool of the simulated machine and those who work on it: a
 * history is a number of lives, each from one recovery to the next power
 * failure or unmount.
 */
#ifndef MENDFS_TESTS_SIM_WORLD_H
#define MENDFS_TESTS_SIM_WORLD_H

#include "dice.h"
#include "fs/posix.h"
#include "model.h"
#include "sim.h"

#define LIVES_MAX 4
#define LIMITS	  (2 * LIVES_MAX)

/*
 * Of the folders in `mask` at most `max` may be missing: others never had what
 * was written last, or had it and lost it.
 */
struct limit {
	unsigned mask, max;
};

struct history {
	uint64_t seed;
	unsigned n, k, m;
	unsigned threads, steps, lives;
	bool big; /* much is written: streaming segments */
	struct volume_options o;
	char location[SIM_DISKS][24];
	const char *locations[SIM_DISKS];
	uint64_t dir[DIRS]; /* the folders that clients share */
	struct limit limit[LIMITS];
	unsigned limits;
	bool thin;		/* something was written with folders missing */
	struct sim_image *made; /* the pool when it was made */
};

/* One life and what came of it. */
struct life {
	struct history *h;
	unsigned number;
	struct dice dice;
	struct sim_image *start;
	unsigned hidden; /* folders missing from its beginning */
	struct sim_trace *trace;
	size_t open_len; /* changes when recovery had ended */
	/* until then what counts is an earlier life's cut ... */
	struct model *before;
	size_t before_cut;
	/* ... and this from then on */
	struct model *model;
	/* while it lasts */
	struct volume *v;
	struct seen first;
	bool ended;	 /* clients are done */
	unsigned lost;	 /* folders that went away or failed meanwhile */
	unsigned stirs;	 /* what goes on in the background, by bits */
	unsigned faulty; /* folders that fail now and then */
	bool hasty;	 /* nobody sleeps for long */
};

/* Makes the pool. small: of two folders, one client does very little. */
void history_begin(struct history *h, uint64_t seed, bool small);
void history_end(struct history *h);
/* May these folders be missing in a recovery now? */
bool history_can_miss(const struct history *h, unsigned hidden);
/* From now on at most `max` of `mask`. */
void history_limit(struct history *h, unsigned mask, unsigned max);
unsigned history_all(const struct history *h);
/* What is written while these are missing survives the loss of so many more. */
void history_missed(struct history *h, unsigned hidden);

/* Hides exactly these folders; none fails any more. */
void world_hide(const struct history *h, unsigned hidden);

/*
 * Lives a life: loads l->start, recovers, checks what is there against
 * l->before, lets clients work, ends. Fills in trace, open_len and model.
 */
void life_run(struct life *l);
void life_release(struct life *l);

/* ---- what happens by itself: gremlin.c ---- */
/* Chooses what it will be in this life. */
void gremlin_prepare(struct life *l);
/* Background work and trouble at odd times, until l->ended. */
void gremlin_run(void *life);
/* May what reaches into folders fail now? */
bool gremlin_excuses(const struct life *l, int rc);

#endif
