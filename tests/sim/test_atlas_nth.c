/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One fixed scenario, again and again: the i-th allocation fails, the i-th call
 * of a folder, of all folders or of the cache folder, the i-th start of a
 * thread; once, and from then on. For all i, or for every so manieth.
 *
 * Whatever failed: errors are ones that a user may be shown, reads give what
 * was written, nothing hangs or is left behind, and without faults all that
 * was promised is there.
 *
 *     test_atlas_nth [--every N] [--only NAME] [--at I]
 */
#include "atlas.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/osfile.h"
#include "base/thread.h"

#define FOLDERS 4
#define THREADS 60 /* started by the scenario, about */

struct seam {
	const char *name;
	void (*set)(struct atlas *a, uint64_t i, bool forever);
	/* How many there are in a run without faults; NULL: found by trying. */
	uint64_t (*count)(void);
	unsigned share; /* 1 of so many is tried by default */
};

static struct sim_image *start; /* a pool with some files, not unmounted */
static struct atlas at_start;

/* ---- the seams ---- */

static void set_memory(struct atlas *a, uint64_t i, bool forever)
{
	(void)a;
	mem_fail_at(i, forever);
}

static void set_local(struct atlas *a, uint64_t i, bool forever)
{
	(void)a;
	os_fail_at(i, i % 2 ? EIO : ENOSPC, forever);
}

static void set_files(struct atlas *a, uint64_t i, bool forever)
{
	(void)a;
	os_fail_at(i, EMFILE, forever);
}

static void set_threads(struct atlas *a, uint64_t i, bool forever)
{
	(void)a;
	thread_fail_at(i, forever);
}

static void set_folder(struct atlas *a, unsigned f, int err, uint64_t i,
		       bool forever)
{
	struct fault_rule r = atlas_error(err);

	r.skip = i - 1;
	r.times = forever ? 0 : 1;
	if (i > 0)
		atlas_rule(a, f, r);
}

static void set_one(struct atlas *a, uint64_t i, bool forever)
{
	set_folder(a, 1, EIO, i, forever);
}

static void set_all(struct atlas *a, uint64_t i, bool forever)
{
	for (unsigned f = 0; f < FOLDERS; f++)
		set_folder(a, f, EIO, i, forever);
}

static void set_all_files(struct atlas *a, uint64_t i, bool forever)
{
	for (unsigned f = 0; f < FOLDERS; f++)
		set_folder(a, f, EMFILE, i, forever);
}

static void set_all_full(struct atlas *a, uint64_t i, bool forever)
{
	for (unsigned f = 0; i > 0 && f < FOLDERS; f++)
		atlas_rule(a, f,
			   (struct fault_rule){.kind = FAULT_FULL,
					       .skip = i - 1,
					       .times = forever ? 0 : 1});
}

static uint64_t folder_calls(void)
{
	return fault_hits("fault:mem:1");
}

static const struct seam seams[] = {
	{"memory", set_memory, mem_count, 97},
	{"local", set_local, os_count, 7},
	{"local-emfile", set_files, os_count, 11},
	{"threads", set_threads, NULL, 1},
	{"one-folder", set_one, folder_calls, 5},
	{"all-folders", set_all, folder_calls, 5},
	{"all-folders-emfile", set_all_files, folder_calls, 7},
	{"all-folders-full", set_all_full, folder_calls, 7},
};

/* ---- the scenario ---- */

static void work(struct atlas *a)
{
	atlas_put(a, 0, 3);
	atlas_write(a, 1, 0, 40);
	atlas_write(a, 2, 0, 1);
	(void)atlas_fsync(a, 1);
	(void)atlas_sync_names(a);
	atlas_rename(a, 2, 3);
	atlas_unlink(a, 1);
	(void)atlas_sync_names(a);
	atlas_write(a, 4, 0, 300);
	(void)atlas_fsync(a, 4);
	atlas_write(a, 0, 1, 6);
	(void)atlas_sync(a);
	atlas_write(a, 3, 0, 2);
}

static bool may_refuse(int rc)
{
	switch (err_errno(rc)) {
	case ENOMEM:
	case EMFILE:
	case EAGAIN:
	case EIO:
	case ENOSPC:
	case ENODEV: /* too few folders */
	case ETIMEDOUT:
		return true;
	default:
		return false;
	}
}

static const struct seam *seam;
static uint64_t nth;
static bool forever;

static void scenario(struct atlas *a)
{
	struct diag d = DIAG_INIT;
	int rc;

	seam->set(a, nth, forever);
	rc = atlas_try_open(a, &d);
	if (rc < 0 && !may_refuse(rc))
		atlas_wrong(a, "volume_open: %s: %s", err_name(rc), d.text);
	if (rc == 0) {
		atlas_look(a, LOOK_TRUE, false);
		work(a);
		atlas_look(a, LOOK_TRUE, true);
		atlas_close(a);
	}
	seam->set(a, 0, false);
}

static void without_faults(struct atlas *a)
{
	atlas_open(a);
	atlas_look(a, LOOK_ALL, false);
	atlas_put(a, 5, 2);
	atlas_close(a);
}

/* ---- the model as it was at the start ---- */

static void model_restore(struct atlas *a)
{
	struct atlas keep = *a;

	*a = at_start;
	memcpy(a->given, keep.given, sizeof(a->given));
	for (unsigned i = 0; i < ATLAS_FILES; i++)
		for (unsigned j = 0; j < a->slot[i].n; j++) {
			struct atlas_body *b = a->slot[i].may[j];

			if (!b)
				continue;
			a->slot[i].may[j] = malloc(sizeof(*b));
			ATLAS_MUST(a, a->slot[i].may[j]);
			*a->slot[i].may[j] = *b;
		}
}

static void one(struct atlas *a)
{
	model_restore(a);
	sim_image_load(start);
	a->strict = nth == 0;
	snprintf(a->doing, sizeof(a->doing), "%s %llu%s", seam->name,
		 (unsigned long long)nth, forever ? " and all later" : "");
	atlas_run(a, scenario);
	a->strict = true;
	atlas_run(a, without_faults);
	atlas_forget(a);
}

static void prepare(struct atlas *a)
{
	atlas_open(a);
	atlas_put(a, 6, 30);
	atlas_put(a, 7, 1);
	atlas_put(a, 8, 5);
	atlas_crash(a);
}

/* Calls of the scenario without faults, by the seam's own count. */
static uint64_t counted;

static void count_scenario(struct atlas *a)
{
	/* a rule that does nothing counts what it meets */
	atlas_rule(a, 1, (struct fault_rule){.kind = FAULT_DELAY});
	seam->set(a, 0, false);
	atlas_open(a);
	work(a);
	atlas_close(a);
	counted = seam->count();
}

static uint64_t count(struct atlas *a)
{
	if (!seam->count)
		return THREADS;
	model_restore(a);
	sim_image_load(start);
	a->strict = true;
	snprintf(a->doing, sizeof(a->doing), "counting %s", seam->name);
	atlas_run(a, count_scenario);
	atlas_forget(a);
	return counted;
}

static void try_all(struct atlas *a, uint64_t every, uint64_t only)
{
	uint64_t n = count(a), tried = 0;

	every = every ? every : seam->share;
	/* somewhat more: failures make for more calls */
	for (uint64_t i = only ? only : 1; i <= n + n / 10; i += every)
		for (unsigned f = 0; f < 2; f++) {
			nth = i;
			forever = f == 1;
			one(a);
			tried++;
			if (only && f == 1)
				return;
		}
	printf("%s: %llu calls, %llu runs\n", seam->name, (unsigned long long)n,
	       (unsigned long long)tried);
}

int main(int argc, char **argv)
{
	const struct atlas_shape shape = {.n = FOLDERS, .k = 2, .m = 1};
	const char *only = NULL;
	uint64_t every = 0, at = 0;
	static struct atlas a;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--only") == 0)
			only = argv[i + 1];
		else if (strcmp(argv[i], "--every") == 0)
			every = strtoull(argv[i + 1], NULL, 0);
		else if (strcmp(argv[i], "--at") == 0)
			at = strtoull(argv[i + 1], NULL, 0);
	}
	atlas_begin(&a, 1, &shape);
	atlas_run(&a, prepare);
	start = sim_image_take();
	at_start = a;
	for (unsigned i = 0; i < ARRAY_LEN(seams); i++) {
		seam = &seams[i];
		if (!only || strcmp(only, seam->name) == 0)
			try_all(&a, every, at);
	}
	atlas_forget(&at_start);
	sim_image_unref(start);
	sim_disks_reset(FOLDERS);
	return 0;
}
