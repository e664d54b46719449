/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folders that lie, stay away, or are all there is.
 */
#include "scenes.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "stage.h"

static const struct stage_shape four = {.n = 4, .k = 2, .m = 2};

/*
 * Three disks fail to sync a fragment, and say that a second sync went well
 * though the data is gone (as file systems do): nobody may believe that (C7).
 */
void scene_second_sync(void *arg)
{
	struct fault_rule fails = {.kind = FAULT_ERROR,
				   .ops = FAULT_OP_SYNC,
				   .prefix = "data/",
				   .times = 1,
				   .err = EIO};
	struct fault_rule lies = {.kind = FAULT_LOST_SYNC,
				  .ops = FAULT_OP_SYNC,
				  .prefix = "data/",
				  .skip = 1,
				  .times = 1};
	const size_t len = 1500 * STAGE_KIB; /* a segment of its own */
	struct stage st;

	(void)arg;
	stage_make(&st, &four);
	stage_open(&st);
	for (unsigned i = 0; i < 3; i++) {
		stage_fault(&st, i, &fails);
		stage_fault(&st, i, &lies);
	}
	stage_save(&st, "a", len, 1);
	stage_clear(&st);
	stage_power_cut(&st, SIM_LOSE_ALL, 0);
	stage_open(&st);
	stage_expect(&st, "a", len, 1, "A");
	stage_end(&st);
}

/*
 * Of three folders one has seen the last mount. It alone knows the newest
 * checkpoint, and that is the one.
 */
void scene_newest_alone(void *arg)
{
	struct stage st;

	(void)arg;
	stage_make(&st, &four);
	stage_open(&st);
	stage_save(&st, "a", 3000, 1);
	stage_close(&st);
	stage_show_only(&st, 0xc);
	st.o.degraded = true;
	stage_open(&st);
	stage_save(&st, "b", 3000, 2);
	stage_close(&st);
	stage_show_only(&st, 0x7);
	st.o.degraded = false;
	sim_cache_clear(); /* another machine */
	stage_open(&st);
	stage_expect(&st, "a", 3000, 1, "A");
	stage_expect(&st, "b", 3000, 2, "A");
	stage_end(&st);
}

static void note_journal(void *arg, const char *name, size_t len)
{
	/* What was only made ahead has no header. */
	*(bool *)arg |= strncmp(name, "journal/", 8) == 0 && len > 0 &&
			!strstr(name, "-00000000");
}

static unsigned without_journal(const struct stage *st)
{
	for (unsigned i = 0; i < st->o.n; i++) {
		bool has = false;

		sim_disk_each(i, note_journal, &has);
		if (!has)
			return i;
	}
	violated("C2", "every folder has a journal: the scenario is void");
}

/*
 * One folder of four, which happens to lack the journal: nothing can be known
 * about what was acknowledged last, so no epoch may begin (C6).
 */
void scene_too_few(void *arg)
{
	struct stage st;

	(void)arg;
	stage_make(&st, &four);
	stage_open(&st);
	stage_save(&st, "a", 3000, 1);
	stage_power_cut(&st, SIM_LOSE_ALL, 0);
	stage_show_only(&st, 1u << without_journal(&st));
	sim_cache_clear();
	st.o.degraded = true;
	if (stage_try_open(&st) == 0)
		stage_expect(&st, "a", 3000, 1, "C6");
	stage_end(&st);
}
