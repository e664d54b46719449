/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histories of pools with bad folders, by seed.
 *
 * A history has a few lives, from a mount to its end; m of its folders at most
 * are bad, always the same ones, as nothing heals yet. Bad is either honest (a
 * folder says that it failed, is late or is away) or not: rot, lost writes,
 * misdirected ones, folders as they were another day, swapped, doubled, empty.
 * Whatever it is, all that was promised is there and no read fails.
 *
 *     test_atlas [--seed N] [--count N]
 */
#include "atlas.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

#define OLD_IMAGES 4

struct history {
	struct atlas a;
	bool honest;
	bool bad[SIM_DISKS];
	unsigned bads;
	bool doubled; /* two folders, given together, would be refused */
	struct sim_image *old[OLD_IMAGES]; /* of days before */
	unsigned olds;
	struct sim_trace *trace; /* of this life; NULL: its end is no cut */
	size_t end;		 /* changes when the power failed */
	bool last;
};

static struct history *the; /* of the run */

/* ---- a life ---- */

static void roll_rules(struct history *h)
{
	for (unsigned i = 0; i < h->a.n; i++)
		if (h->bad[i])
			atlas_random_rules(&h->a, i, h->honest);
}

static void reroll_rules(struct history *h)
{
	for (unsigned i = 0; i < h->a.n; i++)
		fault_clear(h->a.location[i]);
	roll_rules(h);
}

static void end_life(struct atlas *a)
{
	if (the->trace)
		the->end = sim_trace_len(the->trace);
	if (the->trace || dice_one_in(&a->dice, 2))
		atlas_crash(a);
	else
		atlas_close(a);
}

/*
 * With m + 1 good folders nothing may fail. With fewer, a full one is no reason
 * to promise less than m (but an honest ENOSPC), and one that fails now and
 * then is none either.
 */
static bool is_roomy(const struct history *h)
{
	return h->a.n - h->bads > h->a.m;
}

static bool is_folders_error(int rc)
{
	return rc == -EIO || rc == -ENOSPC || rc == -ETIMEDOUT ||
	       rc == -ESTALE || rc == -EROFS || rc == -EACCES;
}

static void open_with_faults(struct atlas *a)
{
	struct diag d = DIAG_INIT;
	int rc = atlas_try_open(a, &d);

	if (rc == 0)
		return;
	if (is_roomy(the) || !is_folders_error(rc) || !d.text[0])
		atlas_wrong(a, "volume_open: %s: %s", err_name(rc), d.text);
	for (unsigned i = 0; i < a->n; i++)
		fault_clear(a->location[i]);
	atlas_open(a);
}

static void live(struct atlas *a)
{
	roll_rules(the);
	open_with_faults(a);
	atlas_look(a, LOOK_ALL, false);
	for (unsigned i = 0; i < 3; i++) {
		atlas_work(a, 12);
		if (dice_one_in(&a->dice, 2))
			reroll_rules(the);
	}
	atlas_look(a, LOOK_ALL, true);
	end_life(a);
}

static void look_only(struct atlas *a)
{
	atlas_open(a);
	atlas_look(a, LOOK_ALL, false);
}

/* ---- between lives ---- */

/* Two bad ones change places, or a bad one becomes a copy of a good one. */
static void mix_up(struct history *h)
{
	struct atlas *a = &h->a;
	struct sim_image *im = sim_image_take();
	unsigned x = 0, y, good = 0;

	while (!h->bad[x])
		x++;
	for (y = x + 1; y < a->n && !h->bad[y];)
		y++;
	while (h->bad[good])
		good++;
	if (getenv("ATLAS_LOG"))
		fprintf(stderr, "mix up %u with %u\n", x, y < a->n ? y : good);
	if (y < a->n) {
		sim_image_swap(im, x, y);
		sim_image_load(im);
	} else {
		atlas_copy_folder(good, x);
	}
	/* now, or when one of them becomes an older image of itself */
	h->doubled = true;
	sim_image_unref(im);
}

static void damage(struct history *h)
{
	struct atlas *a = &h->a;

	for (unsigned i = 0; i < a->n; i++)
		if (h->bad[i])
			atlas_random_damage(
				a, i, h->old[dice_below(&a->dice, h->olds)]);
	if (dice_one_in(&a->dice, 5))
		mix_up(h);
}

static void give_all(struct atlas *a)
{
	a->o.n = a->n;
	for (unsigned i = 0; i < a->n; i++)
		a->given[i] = a->location[i];
}

/* All folders, or one good one that leads to the others. */
static void choose_given(struct history *h)
{
	struct atlas *a = &h->a;
	unsigned good = 0;

	give_all(a);
	if (!h->doubled && !dice_one_in(&a->dice, 3))
		return;
	while (h->bad[good])
		good++;
	a->given[0] = a->location[good];
	a->o.n = 1;
}

static void keep_image(struct history *h)
{
	unsigned at = h->olds < OLD_IMAGES
			      ? h->olds++
			      : (unsigned)dice_below(&h->a.dice, OLD_IMAGES);

	sim_image_unref(h->old[at]);
	h->old[at] = sim_image_take();
}

static void cut_power(struct history *h)
{
	static const enum sim_loss how[] = {SIM_LOSE_ALL, SIM_LOSE_SOME,
					    SIM_LOSE_NONE};
	struct sim_cut *c;
	struct sim_image *im;

	sim_record_end(h->trace);
	c = sim_cut_new(h->trace);
	sim_cut_move(c, h->end);
	im = sim_cut_make(c, how[dice_below(&h->a.dice, 3)],
			  dice_roll(&h->a.dice));
	sim_image_load(im);
	sim_image_unref(im);
	sim_cut_free(c);
	sim_trace_free(h->trace);
	h->trace = NULL;
}

static void one_life(struct history *h, unsigned number)
{
	struct atlas *a = &h->a;

	snprintf(a->doing, sizeof(a->doing), "life %u", number);
	keep_image(h);
	if (!h->honest && number > 0)
		damage(h);
	choose_given(h);
	if (dice_one_in(&a->dice, 3))
		sim_cache_clear();
	if (dice_one_in(&a->dice, 3))
		h->trace = sim_record();
	atlas_run(a, live);
	if (h->trace)
		cut_power(h);
}

/* ---- the end of a history ---- */

/*
 * Bad folders that were honest only miss things: of the others so many may go
 * as were promised to while the bad ones were away.
 */
static void lose_others(struct history *h)
{
	struct atlas *a = &h->a;
	unsigned may = MIN(a->m, a->n - h->bads - 1), left = may;

	for (unsigned i = 0; i < a->n && left > 0; i++)
		if (!h->bad[i] && dice_one_in(&a->dice, 2)) {
			sim_disk_hide(i, true);
			left--;
		}
	sim_cache_clear();
	snprintf(a->doing, sizeof(a->doing), "others are lost");
	give_all(a);
	atlas_run(a, look_only);
	for (unsigned i = 0; i < a->n; i++)
		sim_disk_hide(i, false);
}

static void final_check(struct atlas *a)
{
	struct atlas_found *f = calloc(1, sizeof(*f));

	ATLAS_MUST(a, f);
	atlas_check(a, true, f);
	if (f->totals.findings[SEVERITY_ERROR] > 0)
		for (unsigned i = 0; i < FINDING_COUNT; i++)
			if (f->n[i] && finding_severity(i) == SEVERITY_ERROR)
				atlas_wrong(a, "a check finds %s",
					    finding_name(i));
	free(f);
}

static void begin(struct history *h, uint64_t seed)
{
	struct dice d = {dice_seed(seed, 2)};
	struct atlas_shape s = {.n = 4 + (unsigned)dice_below(&d, 3)};

	*h = (struct history){.honest = dice_one_in(&d, 2)};
	s.m = 1 + (unsigned)dice_below(&d, 2);
	s.k = 1 + (unsigned)dice_below(&d, s.n - s.m);
	atlas_begin(&h->a, seed, &s);
	h->bads = 1 + (unsigned)dice_below(&d, s.m);
	for (unsigned left = h->bads; left > 0;) {
		unsigned i = (unsigned)dice_below(&d, s.n);

		left -= !h->bad[i];
		h->bad[i] = true;
	}
	h->a.strict = is_roomy(h);
}

static void history(uint64_t seed)
{
	struct history *h = calloc(1, sizeof(*h));
	struct atlas *a = &h->a;
	unsigned lives;

	the = h;
	begin(h, seed);
	if (getenv("ATLAS_LOG"))
		fprintf(stderr, "n=%u k=%u m=%u bad=%u%u%u%u%u%u honest=%d\n",
			a->n, a->k, a->m, h->bad[0], h->bad[1], h->bad[2],
			h->bad[3], h->bad[4], h->bad[5], h->honest);
	lives = 2 + (unsigned)dice_below(&a->dice, 3);
	for (unsigned i = 0; i < lives; i++)
		one_life(h, i);
	snprintf(a->doing, sizeof(a->doing), "faults are over");
	choose_given(h);
	atlas_run(a, look_only);
	snprintf(a->doing, sizeof(a->doing), "final check");
	atlas_run(a, final_check);
	if (h->honest)
		lose_others(h);
	for (unsigned i = 0; i < h->olds; i++)
		sim_image_unref(h->old[i]);
	atlas_end(a);
	free(h);
}

int main(int argc, char **argv)
{
	uint64_t seed = 1, count = 60;

	for (int i = 1; i + 1 < argc; i += 2) {
		uint64_t value = strtoull(argv[i + 1], NULL, 0);

		if (strcmp(argv[i], "--seed") == 0)
			seed = value;
		else if (strcmp(argv[i], "--count") == 0)
			count = value;
	}
	for (uint64_t i = 0; i < count; i++) {
		if (getenv("ATLAS_LOG"))
			fprintf(stderr, "seed %llu\n",
				(unsigned long long)(seed + i));
		history(seed + i);
	}
	printf("histories %llu to %llu: all well\n", (unsigned long long)seed,
	       (unsigned long long)(seed + count - 1));
	return 0;
}
