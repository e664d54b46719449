/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world.c - pools, lives (see world.h).
 */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/limit.h"
#include "base/mem.h"
#include "base/must.h"
#include "backend/compress.h"
#include "backend/drv_fault.h"
#include "fs/volume_impl.h"
#include "client.h"
#include "look.h"
#include "report.h"

static const char pass[] = "secret";

/* ---- which folders may be missing ---- */

unsigned history_all(const struct history *h)
{
	return (1u << h->n) - 1;
}

static unsigned bits(unsigned mask)
{
	return (unsigned)__builtin_popcount(mask);
}

bool history_can_miss(const struct history *h, unsigned hidden)
{
	if (bits(hidden) > h->m)
		return false;
	for (unsigned i = 0; i < h->limits; i++)
		if (bits(hidden & h->limit[i].mask) > h->limit[i].max)
			return false;
	return true;
}

void history_limit(struct history *h, unsigned mask, unsigned max)
{
	MUST(h->limits < LIMITS);
	h->limit[h->limits++] = (struct limit){mask, max};
	h->thin = true;
}

void history_missed(struct history *h, unsigned hidden)
{
	unsigned up = history_all(h) & ~hidden;

	if (hidden)
		history_limit(h, up, MIN(h->m, bits(up) - 1));
}

void world_hide(const struct history *h, unsigned hidden)
{
	for (unsigned i = 0; i < h->n; i++) {
		sim_disk_hide(i, hidden >> i & 1);
		fault_clear(h->location[i]);
	}
}

/* ---- a pool ---- */

static void choose_shape(struct history *h, struct dice *d)
{
	static const struct {
		unsigned weight, k, m;
	} shape[] = {{50, 2, 2}, {18, 2, 1}, {14, 3, 2}, {10, 1, 1}, {8, 4, 2}};
	uint64_t n = dice_below(d, 100);

	for (unsigned i = 0; i < ARRAY_LEN(shape); i++) {
		h->k = shape[i].k;
		h->m = shape[i].m;
		if (n < shape[i].weight)
			break;
		n -= shape[i].weight;
	}
	h->n = h->k + h->m;
	h->threads = 1 + (unsigned)dice_below(d, THREADS);
	h->steps = 8 + (unsigned)dice_below(d, 40);
	h->lives = 2 + (unsigned)dice_below(d, LIVES_MAX - 1);
	h->big = dice_one_in(d, 6);
}

struct making {
	struct history *h;
	struct pool_create_options po;
};

static void make_folder(struct history *h, struct volume *v, unsigned d)
{
	static const struct cred root = {.umask = 0};
	struct create_spec s = {.mode = S_IFDIR | 0755};
	char name[16];
	struct attr a;
	int rc;

	snprintf(name, sizeof(name), "folder-%u", d);
	rc = posix_make(v, &root, h->dir[d - 1], name, &s, &a);
	if (rc < 0)
		report_fail("mkdir: %s", err_name(rc));
	h->dir[d] = a.ino;
}

static void make_pool(void *arg)
{
	struct making *mk = arg;
	struct history *h = mk->h;
	struct diag diag = DIAG_INIT;
	struct volume *v;
	int rc = volume_make(&mk->po, 0, 0, NULL, &diag);

	if (rc < 0)
		report_fail("volume_make: %s: %s", err_name(rc), diag.text);
	rc = volume_open(&h->o, &diag, &v);
	if (rc < 0)
		report_fail("first volume_open: %s: %s", err_name(rc),
			    diag.text);
	h->dir[0] = ROOT_INO;
	for (unsigned d = 1; d < DIRS; d++)
		make_folder(h, v, d);
	rc = volume_close(v);
	if (rc < 0)
		report_fail("first volume_close: %s", err_name(rc));
}

static void make_small(struct history *h)
{
	h->n = 2;
	h->k = h->m = h->threads = 1;
	h->steps = 4;
	h->lives = 2;
	h->big = false;
}

void history_begin(struct history *h, uint64_t seed, bool small)
{
	static const struct kdf_cost cheap = {1, 8, 1};
	struct dice d = {dice_seed(seed, 1)};
	struct making mk = {.h = h};

	*h = (struct history){.seed = seed};
	choose_shape(h, &d);
	if (small)
		make_small(h);
	for (unsigned i = 0; i < h->n; i++) {
		snprintf(h->location[i], sizeof(h->location[i]), "fault:mem:%u",
			 i);
		h->locations[i] = h->location[i];
	}
	h->o = (struct volume_options){
		.location = h->locations,
		.n = h->n,
		.pass = pass,
		.pass_len = sizeof(pass) - 1,
		.cache_dir = SIM_CACHE,
		.cache_bytes = h->big ? 32 << 20 : 12 << 20,
		.journal_file_bytes = 8u << 10 << dice_below(&d, 6),
		.atime = ATIME_NO,
	};
	mk.po = (struct pool_create_options){
		.location = h->locations,
		.n = h->n,
		.geo = {.k = (uint8_t)h->k,
			.m = (uint8_t)h->m,
			.chunk_bytes = 16 << 10,
			.segment_bytes = 1 << 20,
			.cipher = dice_below(&d, 4) ? CIPHER_AES_256_GCM
						    : CIPHER_CHACHA20_POLY1305,
			.level = dice_below(&d, 3) ? 1 : COMPRESS_NONE},
		.label = "sim",
		.pass = pass,
		.pass_len = sizeof(pass) - 1,
	};
	kdf_override(&cheap);
	limits_small = dice_below(&d, 2);
	setenv("XDG_CACHE_HOME", SIM_CACHE, 1);
	sim_disks_reset(h->n);
	world_hide(h, 0);
	sim_set_yields(0);
	sim_run(dice_seed(seed, 2), make_pool, &mk);
	h->made = sim_image_take();
}

void history_end(struct history *h)
{
	sim_image_unref(h->made);
}

/* ---- a life ---- */

static size_t position(void *trace)
{
	return sim_trace_len(trace);
}

/* What recovery made of the crash before is settled from now on. */
static void take_stock(struct life *l)
{
	struct model *nothing = l->before ? NULL : model_new(l->h->threads);
	struct verdict v;

	look(l->v, l->before ? l->before : nothing, l->h->dir, &l->first);
	if (!oracle_judge(l->before ? l->before : nothing, l->before_cut,
			  &l->first, &v))
		report_fail("life %u begins wrong: %s", l->number, v.text);
	l->model = model_next(l->before ? l->before : nothing, &l->first);
	l->model->position = position;
	l->model->arg = l->trace;
	model_free(nothing);
}

static void clients_work(struct life *l)
{
	static const unsigned rates[] = {0, 4, 12, 30};
	struct client client[THREADS] = {0};
	struct sim_thread *t[THREADS], *gremlin;

	for (unsigned u = 0; u < l->h->threads; u++) {
		client[u] = (struct client){
			.l = l,
			.thread = u,
			.dice = {dice_roll(&l->dice)},
			.steps = l->h->steps / 2 +
				 (unsigned)dice_below(&l->dice, l->h->steps),
			.promise_rate = rates[dice_below(&l->dice, 4)],
			.values = l->number * 10000,
		};
		t[u] = sim_start("client", client_run, &client[u]);
	}
	gremlin_prepare(l);
	gremlin = sim_start("gremlin", gremlin_run, l);
	for (unsigned u = 0; u < l->h->threads; u++)
		sim_join(t[u]);
	l->ended = true;
	sim_join(gremlin);
}

static void end_life(struct life *l)
{
	struct event *ev;
	int rc;

	if (dice_below(&l->dice, 3)) {
		volume_crash(l->v);
		return;
	}
	ev = model_promise(l->model, 0, 0);
	rc = volume_close(l->v);
	if (rc < 0 && !gremlin_excuses(l, rc))
		report_fail("volume_close: %s", err_name(rc));
	if (rc < 0)
		return;
	model_end(l->model, 0, ev);
	report_tally()->promises++;
}

static void live(void *arg)
{
	struct life *l = arg;
	struct volume_options o = l->h->o;
	struct diag diag = DIAG_INIT;
	int rc;

	o.degraded = l->hidden != 0;
	rc = volume_open(&o, &diag, &l->v);
	if (rc < 0)
		report_fail("life %u: volume_open: %s: %s", l->number,
			    err_name(rc), diag.text);
	l->open_len = l->before ? sim_trace_len(l->trace) : 0;
	take_stock(l);
	clients_work(l);
	end_life(l);
	/* Closing left behind what was slow; all of it ends. */
	if (l->faulty)
		sim_sleep_ns(4 * 3600 * 1000000000ULL);
}

void life_run(struct life *l)
{
	struct tally *t = report_tally();

	l->dice.state = dice_seed(l->h->seed, 100 + l->number);
	sim_image_load(l->start);
	world_hide(l->h, l->hidden);
	l->trace = sim_record();
	sim_set_yields((unsigned)dice_below(
		&l->dice, dice_one_in(&l->dice, 3) ? 400 : 60));
	sim_run(dice_roll(&l->dice), live, l);
	sim_record_end(l->trace);
	sim_set_yields(0);
	world_hide(l->h, 0);
	t->lives++;
	t->changes += sim_trace_len(l->trace);
	t->hidden += (l->hidden | l->lost) != 0;
}

void life_release(struct life *l)
{
	seen_free(&l->first);
	sim_trace_free(l->trace);
	sim_image_unref(l->start);
	model_free(l->model);
	model_free(l->before);
}
