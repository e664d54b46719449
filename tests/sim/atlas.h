/* SPDX-License-Identifier: Apache-2.0 */
/*
 * atlas.h - a pool on the simulated machine, what was put into it, and every
 * way to hurt its folders: what the fault atlas is made of.
 *
 * The model is simple on purpose: one client, files of cells that tell whose
 * and which write they are, so that a byte nobody wrote there is seen whatever
 * happened. What was promised (by fsync and fsyncdir) must be found; what was
 * not may be found, old or new, but never anything else.
 *
 * Volumes live inside of sim_run; disks, model and rules outlast it. What is
 * wrong ends the program with a message and the seed.
 */
#ifndef MENDFS_TESTS_SIM_ATLAS_H
#define MENDFS_TESTS_SIM_ATLAS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "backend/drv_fault.h"
#include "backend/driver.h"
#include "dice.h"
#include "fs/posix.h"
#include "fs/volume.h"
#include "repair/check.h"
#include "sim.h"

#define ATLAS_FILES 10
#define ATLAS_CELLS 420 /* of one file at most */
#define ATLAS_NAMES 8	/* what a slot may hold, unpromised */
#define CELL	    4096

/* One file ever made: the same name may be made again. */
struct atlas_body {
	uint64_t ino;	     /* 0: not known, the call that made it failed */
	uint32_t number;     /* in its cells; never used twice */
	uint32_t version;    /* of the newest write, tried or done */
	unsigned cells;	     /* the largest size so far */
	unsigned sure, safe; /* size at least: live; promised */
	uint32_t now[ATLAS_CELLS];  /* newest version tried */
	uint32_t cell[ATLAS_CELLS]; /* newest version that was accepted */
	uint32_t promised[ATLAS_CELLS];
};

struct atlas_slot {
	struct atlas_body
		*may[ATLAS_NAMES]; /* NULL: no file. [0] is promised,
				      the last one is what it is now */
	unsigned n;
	bool unsure; /* the last change failed: it or the one before */
};

struct atlas {
	uint64_t seed;
	unsigned n, k, m;
	char location[SIM_DISKS][24];
	const char *locations[SIM_DISKS];
	const char *given[SIM_DISKS]; /* of o */
	struct volume_options o;
	struct volume *v; /* while open */
	struct atlas_slot slot[ATLAS_FILES];
	uint32_t bodies;
	struct dice dice;
	bool strict;			   /* work must not fail */
	unsigned errors;		   /* of calls, so far */
	unsigned reads_failed, cells_read; /* of the last check */
	char doing[64];			   /* for messages */
};

struct atlas_shape {
	unsigned n, k, m;
	uint32_t segment_bytes; /* 0: 1 MiB */
	uint32_t journal_bytes; /* of a file; 0: 128 KiB */
};

/* Ends the program. */
void atlas_wrong(const struct atlas *a, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 2, 3)));
#define ATLAS_MUST(a, cond)                                                  \
	do {                                                                 \
		if (!(cond))                                                 \
			atlas_wrong(a, "%s:%d: %s", __FILE_NAME__, __LINE__, \
				    #cond);                                  \
	} while (0)
#define ATLAS_OK(a, call)                                                  \
	do {                                                               \
		int atlas_rc_ = (int)(call);                               \
		if (atlas_rc_ < 0)                                         \
			atlas_wrong(a, "%s:%d: %s: %s", __FILE_NAME__,     \
				    __LINE__, #call, err_name(atlas_rc_)); \
	} while (0)

/* Fresh disks and a pool on them. Frees nothing: atlas_end does. */
void atlas_begin(struct atlas *a, uint64_t seed, const struct atlas_shape *s);
void atlas_end(struct atlas *a);
/* The model forgets one file, or everything; the disks stay. */
void atlas_absent(struct atlas *a, unsigned slot);
void atlas_forget(struct atlas *a);

/*
 * sim_run with the volume closed before and after. Rules set are dropped at
 * its end, and what hung in them goes on and ends.
 */
void atlas_run(struct atlas *a, void (*fn)(struct atlas *a));

/* ---- in a run: a volume ---- */
int atlas_try_open(struct atlas *a, struct diag *d);
void atlas_open(struct atlas *a);
void atlas_close(struct atlas *a);
/* Nothing volatile lasts. */
void atlas_crash(struct atlas *a);

/* ---- in a run: work; the model follows ---- */
/* Errors are counted; which are fine: err_is_clean. */
void atlas_write(struct atlas *a, unsigned slot, unsigned first, unsigned n);
/* 0, or its error. */
int atlas_fsync(struct atlas *a, unsigned slot);
int atlas_sync_names(struct atlas *a);
int atlas_sync(struct atlas *a);
void atlas_unlink(struct atlas *a, unsigned slot);
/* Over what `to` names. */
void atlas_rename(struct atlas *a, unsigned slot, unsigned to);
/* Something of these, so many times. */
void atlas_work(struct atlas *a, unsigned steps);
/* Makes a file of so many cells and promises it. */
void atlas_put(struct atlas *a, unsigned slot, unsigned cells);

/* ---- in a run: looking ---- */
enum atlas_look {
	LOOK_ALL,  /* everything promised is there, no read fails */
	LOOK_TRUE, /* reads may fail with -EIO; what they give is right */
};
/*
 * All names and cells. live: in the life that wrote them; else what was found
 * counts as promised from now on, if the volume is writable.
 */
void atlas_look(struct atlas *a, enum atlas_look how, bool live);
/* Reads one file in chunks: a bit for each chunk that fails. -1: lookup. */
uint64_t atlas_bad_chunks(struct atlas *a, unsigned slot);
void atlas_name(unsigned slot, char out[16]);

/* What a check without a mount says; nothing is changed by it. */
struct atlas_found {
	uint64_t n[FINDING_COUNT];
	bool file[ATLAS_FILES]; /* named as unreadable */
	struct check_totals totals;
};
void atlas_check(struct atlas *a, bool read_data, struct atlas_found *out);

/* ---- folders: rules while it runs (atlas_faults.c) ---- */
struct fault_rule atlas_error(int err);
void atlas_rule(struct atlas *a, unsigned folder, struct fault_rule r);
/* Rules by dice. honest: what was answered is true (no rot, no lost syncs). */
void atlas_random_rules(struct atlas *a, unsigned folder, bool honest);

/* ---- folders: damage behind the engine's back, between runs ---- */
struct atlas_object {
	char name[DRV_NAME_MAX + 1];
	size_t len;
};
struct atlas_objects {
	struct atlas_object *at;
	unsigned n;
};
/* Those of a folder whose names begin so, in order; release frees. */
void atlas_list(unsigned folder, const char *prefix, struct atlas_objects *out);
void atlas_list_release(struct atlas_objects *o);
void atlas_flip(unsigned folder, const char *name, uint64_t bit);
void atlas_copy_folder(unsigned from, unsigned to);
void atlas_empty_folder(unsigned folder);
/* Objects of a folder are damaged by dice; old: an image of another day. */
void atlas_random_damage(struct atlas *a, unsigned folder,
			 const struct sim_image *old);

#endif
