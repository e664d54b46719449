/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens while a checkpoint is being made or a segment sealed. Each
 * scenario runs several rounds on one pool, with other moments.
 */
#include "scenes.h"

#include <stdio.h>

#include "base/mem.h"
#include "fs/volume_impl.h"
#include "stage.h"

#define ROUNDS 30
#define LEN    6000

static const struct stage_shape four = {
	.n = 4, .k = 2, .m = 2, .journal_file_bytes = 64 * STAGE_KIB};

static void run_checkpoint(void *arg)
{
	struct stage *st = arg;

	STAGE_OK(service_checkpoint(st->v, NULL, NULL));
}

static void run_rotate(void *arg)
{
	struct stage *st = arg;

	STAGE_OK(jseg_rotate(st->v->js, true));
}

/* Some time in what the other thread does; most of it waits for disks. */
static void wait_a_little(uint64_t at_most_ns)
{
	if (sim_dice(4) == 0)
		sim_yield();
	else
		sim_sleep_ns(1 + sim_dice(at_most_ns));
}

/*
 * The power fails at any moment between p and now. That something was removed
 * is not durable by itself, so it is not enough to lose all that may be lost.
 */
static void cut_since(struct stage *st, size_t p)
{
	enum sim_loss how = sim_dice(2) ? SIM_LOSE_NONE : SIM_LOSE_SOME;
	size_t now = sim_trace_len(st->trace);

	stage_power_cut_at(st, p + sim_dice(now - p + 1), how, sim_dice(1000));
}

static const char *name_of(unsigned i, char out[16])
{
	snprintf(out, 16, "f%u", i);
	return out;
}

/*
 * One file is saved while a checkpoint is being made: its record may be the
 * last one covered, the first that is not, or its bytes may lie in a segment
 * that is still open at the cut.
 */
void scene_save_in_checkpoint(void *arg)
{
	char name[16];
	struct stage st;

	(void)arg;
	stage_make(&st, &four);
	stage_open(&st);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct sim_thread *t;
		size_t p;

		stage_save(&st, "x", LEN, i);
		t = sim_start("checkpoint", run_checkpoint, &st);
		wait_a_little(3000000);
		stage_save(&st, name_of(i, name), LEN, i);
		p = sim_trace_len(st.trace);
		sim_join(t);
		/* What the checkpoint has set free is used again. */
		sim_sleep_ns(5000000);
		stage_save(&st, "y", LEN, i);
		cut_since(&st, p);
		stage_open(&st);
		stage_expect(&st, "x", LEN, i, "A");
		stage_expect(&st, name, LEN, i, "A");
	}
	stage_end(&st);
}

/*
 * A file goes while a checkpoint is being made, and nobody asks for that to be
 * durable. After a power cut it is there or not, but if it is, with its data.
 */
void scene_unlink_in_checkpoint(void *arg)
{
	struct sim_thread *t;
	struct stage st;

	(void)arg;
	stage_make(&st, &four);
	stage_open(&st);
	for (unsigned i = 0; i < ROUNDS; i++) {
		stage_save(&st, "d", LEN, i);
		STAGE_OK(service_checkpoint(st.v, NULL, NULL));
		stage_save(&st, "x", LEN, i);
		t = sim_start("checkpoint", run_checkpoint, &st);
		wait_a_little(3000000);
		STAGE_OK(posix_unlink(st.v, ROOT_INO, "d"));
		sim_join(t);
		cut_since(&st, sim_trace_len(st.trace));
		stage_open(&st);
		stage_expect(&st, "x", LEN, i, "A");
		if (stage_has(&st, "d"))
			stage_expect(&st, "d", LEN, i, "C5");
	}
	stage_end(&st);
}

/*
 * Files are saved while the segment that holds the first of them is being
 * sealed. The power fails; recovery finds one or two open segments; and then it
 * fails again.
 */
void scene_save_while_sealing(void *arg)
{
	struct stage st;

	(void)arg;
	stage_make(&st, &four);
	stage_open(&st);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct sim_thread *t;
		struct file *f;
		size_t p;

		f = stage_file(&st, "x");
		STAGE_OK(stage_write(f, 0, LEN, i));
		STAGE_OK(writeback_run(st.v, CACHE_ANY, UINT64_MAX));
		if (sim_dice(2))
			STAGE_OK(posix_fsync(f, false));
		t = sim_start("seal", run_rotate, &st);
		wait_a_little(500000);
		STAGE_OK(posix_fsync(f, false));
		posix_close(f);
		stage_save(&st, "y", LEN, i);
		p = sim_trace_len(st.trace);
		sim_join(t);
		stage_power_cut_at(&st, p, SIM_LOSE_ALL, 0);
		stage_open(&st);
		stage_power_cut(&st, SIM_LOSE_ALL, 0);
		stage_open(&st);
		stage_expect(&st, "x", LEN, i, "A");
		stage_expect(&st, "y", LEN, i, "A");
	}
	stage_end(&st);
}
