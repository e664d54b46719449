/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal when folders fail, go away and come back.
 */
#include "scenes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "stage.h"

#define JOURNAL	    "journal/"
#define ALLOCATIONS 100 /* that fail, one at a time */

static const struct stage_shape four = {
	.n = 4, .k = 2, .m = 2, .journal_file_bytes = 16 * STAGE_KIB};

/* ---- which folders hold what ---- */

struct tally {
	const char *prefix;
	unsigned objects;
};

static void count_one(void *arg, const char *name, size_t len)
{
	struct tally *t = arg;

	(void)len;
	t->objects += strncmp(name, t->prefix, strlen(t->prefix)) == 0;
}

/* Objects of a folder whose names begin so. */
static unsigned objects_of(unsigned folder, const char *prefix)
{
	struct tally t = {.prefix = prefix};

	sim_disk_each(folder, count_one, &t);
	return t.objects;
}

/* The folder with the most journal files. */
static unsigned journal_keeper(const struct stage *st)
{
	unsigned best = 0;

	for (unsigned i = 1; i < st->o.n; i++)
		if (objects_of(i, JOURNAL) > objects_of(best, JOURNAL))
			best = i;
	return best;
}

/* ---- scenarios ---- */

/* Tries an fsync until it goes well: folders are well again. */
static void fsync_at_last(struct file *f)
{
	int rc = -EIO;

	for (unsigned i = 0; rc < 0 && i < 100; i++) {
		rc = posix_fsync(f, false);
		if (rc < 0)
			sim_sleep_ns(1000000000);
	}
	STAGE_OK(rc);
}

/*
 * No copy takes a record; when the folders are well again it is appended once
 * more. Its place in the file is used up (C9).
 */
void scene_seal_again(void *arg)
{
	struct fault_rule bad = {.kind = FAULT_ERROR,
				 .ops = FAULT_OP_WRITE,
				 .prefix = JOURNAL,
				 .err = EIO};
	struct stage st;
	struct file *f;

	(void)arg;
	stage_make(&st, &four);
	stage_open(&st);
	stage_save(&st, "a", 3000, 1);
	f = stage_file(&st, "b");
	STAGE_OK(stage_write(f, 0, 3000, 2));
	for (unsigned i = 0; i < st.o.n; i++)
		stage_fault(&st, i, &bad);
	if (posix_fsync(f, false) == 0)
		violated("C2", "fsync returned 0 though no journal took it");
	stage_clear(&st);
	fsync_at_last(f);
	posix_close(f);
	stage_power_cut(&st, SIM_LOSE_ALL, 0);
	stage_open(&st);
	stage_expect(&st, "a", 3000, 1, "A");
	stage_expect(&st, "b", 3000, 2, "A");
	stage_end(&st);
}

/*
 * A member that holds the journal fails; another takes over. After a power cut
 * every record is on m+1 members (C2), those in older files too.
 */
void scene_moved_journal(void *arg)
{
	struct fault_rule bad = {.kind = FAULT_ERROR,
				 .ops = FAULT_OP_WRITE | FAULT_OP_CREATE,
				 .prefix = JOURNAL,
				 .err = EIO};
	struct stage st;

	(void)arg;
	stage_make(&st, &four);
	stage_open(&st);
	for (unsigned i = 0; i < 3; i++)
		stage_save(&st, (char[]){(char)('a' + i), 0}, 9000, i);
	stage_fault(&st, journal_keeper(&st), &bad);
	stage_save(&st, "z", 3000, 9);
	stage_power_cut(&st, SIM_LOSE_ALL, 0);
	stage_clear(&st);
	stage_fsck(&st, "C2");
	stage_open(&st);
	stage_expect(&st, "a", 9000, 0, "A");
	stage_expect(&st, "z", 3000, 9, "A");
	stage_end(&st);
}

/*
 * A folder that is away for one mount comes back with journal files of the
 * mount before, longer and with higher numbers than those that count.
 */
void scene_stale_journal(void *arg)
{
	struct stage st;
	unsigned away;

	(void)arg;
	stage_make(&st, &four);
	stage_open(&st);
	for (unsigned i = 0; i < 8; i++)
		stage_save(&st, "a", 9000, i);
	stage_power_cut(&st, SIM_LOSE_ALL, 0);
	away = journal_keeper(&st);
	stage_show_only(&st, ~(1u << away));
	stage_open(&st);
	stage_save(&st, "b", 3000, 20);
	stage_power_cut(&st, SIM_LOSE_ALL, 0);
	stage_show_only(&st, UINT32_MAX);
	stage_open(&st);
	stage_expect(&st, "a", 9000, 7, "A");
	stage_expect(&st, "b", 3000, 20, "A");
	stage_end(&st);
}

/*
 * Journals cannot be read while the pool is opened: unknown is not missing
 * (C6). It must be refused, and well again afterwards.
 */
void scene_unread_journal(void *arg)
{
	struct fault_rule bad = {.kind = FAULT_ERROR,
				 .ops = FAULT_OP_READ,
				 .prefix = JOURNAL,
				 .err = EIO};
	struct stage st;

	(void)arg;
	stage_make(&st, &four);
	stage_open(&st);
	stage_save(&st, "a", 3000, 1);
	stage_power_cut(&st, SIM_LOSE_ALL, 0);
	for (unsigned i = 0; i < st.o.n; i++)
		stage_fault(&st, i, &bad);
	if (stage_try_open(&st) == 0)
		violated("C6", "mounted though no journal could be read");
	stage_clear(&st);
	stage_open(&st);
	stage_expect(&st, "a", 3000, 1, "A");
	stage_end(&st);
}

enum outcome {
	UNHARMED, /* there were not so many allocations */
	KEPT,	  /* something failed, and the fsync after it went well */
	NOT_KEPT,
};

/* fsync of a new file with its i-th allocation failing (from 0). */
static enum outcome fsync_short_of_memory(struct stage *st, const char *name,
					  uint64_t i)
{
	struct file *f = stage_file(st, name);
	enum outcome out = KEPT;

	STAGE_OK(stage_write(f, 0, 3000, i));
	mem_fail_at(i + 1, 0);
	if (posix_fsync(f, false) == 0 && mem_count() <= i)
		out = UNHARMED;
	mem_fail_at(0, 0);
	if (out == KEPT && posix_fsync(f, false) < 0)
		out = NOT_KEPT;
	posix_close(f);
	return out;
}

/* Allocations of an fsync that goes well. */
static uint64_t count_allocations(struct stage *st)
{
	struct file *f = stage_file(st, "count");

	STAGE_OK(stage_write(f, 0, 3000, 1));
	mem_fail_at(0, 0);
	STAGE_OK(posix_fsync(f, false));
	posix_close(f);
	return mem_count();
}

/*
 * One of the allocations of an fsync fails, of the last ones in turn: those
 * that make and append the record. Where a record is lost nothing may be
 * acknowledged any more (C8).
 */
void scene_lost_record(void *arg)
{
	uint64_t first = UINT64_MAX;
	char name[16];
	struct stage st;

	(void)arg;
	stage_make(&st, &four);
	for (unsigned i = 0; i < ALLOCATIONS; i++) {
		enum outcome out;

		stage_open(&st);
		if (i == 0)
			first = count_allocations(&st) - ALLOCATIONS / 2;
		snprintf(name, sizeof(name), "f%u", i);
		out = fsync_short_of_memory(&st, name, first + i);
		stage_power_cut(&st, SIM_LOSE_ALL, 0);
		if (out == NOT_KEPT)
			continue;
		stage_open(&st);
		stage_expect(&st, name, 3000, first + i, "C8");
		stage_kill(&st);
	}
	stage_end(&st);
}
