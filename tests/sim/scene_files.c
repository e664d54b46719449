/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One file, and what happens to it at the same time.
 */
#include "scenes.h"

#include <stdlib.h>

#include "base/mem.h"
#include "fs/volume_impl.h"
#include "stage.h"

#define LEN (512 * STAGE_KIB)

static void set_size(struct stage *st, const char *name, uint64_t size)
{
	struct attr_change c = {.set = SET_SIZE, .size = size};
	struct attr a;

	STAGE_OK(posix_setattr(st->v, stage_ino(st, name), &c, &a));
}

static void expect_zeros(struct stage *st, const char *name, size_t len)
{
	struct file *f = stage_file(st, name);
	uint8_t *p = malloc(len);

	STAGE_OK(posix_read(f, p, len, 0));
	for (size_t i = 0; i < len; i++)
		if (p[i])
			violated("C12", "%s: byte %zu was cut off and is back",
				 name, i);
	free(p);
	posix_close(f);
}

/* More is dirty than the cache may hold. */
void scene_small_memory(void *arg)
{
	const struct stage_shape shape = {
		.n = 2, .k = 1, .m = 1, .cache_bytes = CACHE_BUDGET_MIN};
	const size_t len = 3 * CACHE_BUDGET_MIN / 2;
	struct stage st;
	struct file *f;

	(void)arg;
	stage_make(&st, &shape);
	stage_open(&st);
	f = stage_file(&st, "a");
	STAGE_OK(stage_write(f, 0, len, 1));
	stage_expect(&st, "a", len, 1, "C12");
	STAGE_OK(posix_fsync(f, false));
	posix_close(f);
	stage_power_cut(&st, SIM_LOSE_ALL, 0);
	stage_open(&st);
	stage_expect(&st, "a", len, 1, "A");
	stage_end(&st);
}

static void run_fsync(void *arg)
{
	STAGE_OK(posix_fsync(arg, false));
}

/* A file is cut off while its data is on the way to the store. */
void scene_cut_in_flight(void *arg)
{
	const struct stage_shape shape = {.n = 2, .k = 1, .m = 1};
	struct sim_thread *t;
	struct stage st;
	struct file *f;

	(void)arg;
	stage_make(&st, &shape);
	stage_open(&st);
	sim_set_yields(200);
	f = stage_file(&st, "a");
	for (unsigned i = 0; i < 8; i++) {
		STAGE_OK(stage_write(f, 0, LEN, i));
		t = sim_start("fsync", run_fsync, f);
		/* Time stands still as long as anybody has work. */
		for (uint64_t n = sim_dice(60); n > 0; n--)
			sim_yield();
		set_size(&st, "a", 0);
		sim_join(t);
		stage_check_index(&st);
		set_size(&st, "a", LEN);
		expect_zeros(&st, "a", LEN);
	}
	posix_close(f);
	sim_set_yields(20);
	stage_end(&st);
}

static void run_read(void *arg)
{
	uint8_t *p = malloc(LEN);

	STAGE_OK(posix_read(arg, p, LEN, 0));
	free(p);
}

/* A file is cut off while it is being read from the store. */
void scene_cut_in_fill(void *arg)
{
	const struct stage_shape shape = {.n = 2, .k = 1, .m = 1};
	struct sim_thread *t;
	struct stage st;
	struct file *f;

	(void)arg;
	stage_make(&st, &shape);
	stage_open(&st);
	f = stage_file(&st, "a");
	for (unsigned i = 0; i < 8; i++) {
		STAGE_OK(stage_write(f, 0, LEN, i));
		STAGE_OK(volume_sync(st.v));
		STAGE_OK(jseg_rotate(st.v->js, true));
		cache_drop_clean(st.v->cache, CACHE_ANY);
		t = sim_start("read", run_read, f);
		sim_sleep_ns(sim_dice(1000000));
		set_size(&st, "a", 0);
		set_size(&st, "a", LEN);
		sim_join(t);
		expect_zeros(&st, "a", LEN);
	}
	posix_close(f);
	stage_end(&st);
}

/*
 * D4: nobody asks for anything to be safe; after a while it is, the name, the
 * bytes and the mode, whatever was not synced is lost and any two folders are
 * away.
 */
void scene_by_itself(void *arg)
{
	const struct stage_shape shape = {.n = 4, .k = 2, .m = 2};
	struct stage st;
	struct file *f;

	(void)arg;
	stage_make(&st, &shape);
	stage_open(&st);
	f = stage_file(&st, "f");
	STAGE_OK(stage_write(f, 0, 100 * STAGE_KIB, 7));
	posix_close(f);
	sim_sleep_ns(15000000000ULL); /* three times commit= */
	stage_power_cut(&st, SIM_LOSE_ALL, 0);
	stage_show_only(&st, sim_dice(2) ? 3 : 12);
	sim_cache_clear();
	st.o.degraded = true;
	stage_open(&st);
	stage_expect(&st, "f", 100 * STAGE_KIB, 7, "D4");
	stage_end(&st);
}
