/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stage.h - a pool on the simulated machine for scenarios that are written by
 * hand: one thing is done, the power fails or a folder misbehaves, and what
 * was promised is looked at.
 *
 * What must not happen ends the program: violated() prints which invariant and
 * exits with 1 (letters: DESIGN.md; C1 to C13: ARCHITECTURE.md). STAGE_OK is
 * for what a scenario needs in order to get that far.
 *
 * Folders are "fault:mem:<i>", so any of them can misbehave (drv_fault.h).
 * No two seals of a run may share key and nonce (invariant I): that is watched
 * all the time.
 */
#ifndef MENDFS_TESTS_SIM_STAGE_H
#define MENDFS_TESTS_SIM_STAGE_H

#include "sim.h"

#include "backend/drv_fault.h"
#include "fs/posix.h"

#define STAGE_CHUNK   (16u << 10)
#define STAGE_SEGMENT (2u << 20)
#define STAGE_KIB     1024u

struct stage {
	struct volume *v; /* NULL: not mounted */
	struct volume_options o;
	struct sim_trace *trace;
	char location[SIM_DISKS][32];
	const char *locations[SIM_DISKS];
};

struct stage_shape {
	unsigned n, k, m;
	uint32_t journal_file_bytes; /* 0: default */
	size_t cache_bytes;	     /* 0: default */
};

_Noreturn void violated(const char *invariant, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Fails the scenario itself. */
void stage_ok_(long rc, const char *what);
#define STAGE_OK(call) stage_ok_((long)(call), #call)

/* ---- life of the pool ---- */

/* Makes a pool and begins to record; the machine is running. */
void stage_make(struct stage *st, const struct stage_shape *shape);
/* volume_open's result. */
int stage_try_open(struct stage *st) MUST_USE;
/* A pool that must be fit to be mounted: else invariant A. */
void stage_open(struct stage *st);
void stage_close(struct stage *st);
/* The process dies, the disks stay as they are seen. */
void stage_kill(struct stage *st);
/* The power fails now, or did after p changes of the trace. */
void stage_power_cut(struct stage *st, enum sim_loss how, uint64_t mask);
void stage_power_cut_at(struct stage *st, size_t p, enum sim_loss how,
			uint64_t mask);
/* At the end: the process dies, rules are dropped. */
void stage_end(struct stage *st);

/* Folders in the mask are away, the others there. Not while mounted. */
void stage_show_only(struct stage *st, unsigned mask);
void stage_fault(struct stage *st, unsigned folder,
		 const struct fault_rule *rule);
void stage_clear(struct stage *st);
/*
 * fsck, with everything read: any finding of at least WARNING is a violation
 * of `invariant`. Not mounted.
 */
void stage_fsck(struct stage *st, const char *invariant);
/* The index's own rules, G. */
void stage_check_index(struct stage *st);

/* ---- files, by name in the root folder ---- */

/* Bytes that only (seed, offset) gives. */
void stage_pattern(uint8_t *out, size_t len, uint64_t off, uint64_t seed);
/* Made if it is not there. */
struct file *stage_file(struct stage *st, const char *name);
bool stage_has(struct stage *st, const char *name);
uint64_t stage_ino(struct stage *st, const char *name);
/* posix_write's result for bytes of `seed`. */
ssize_t stage_write(struct file *f, uint64_t off, size_t len, uint64_t seed);
/* Whole file: written, fsynced, closed. All must go well. */
void stage_save(struct stage *st, const char *name, size_t len, uint64_t seed);
/* What stage_save did is there: else the invariant is violated. */
void stage_expect(struct stage *st, const char *name, size_t len, uint64_t seed,
		  const char *invariant);
/* Its bytes are what `from` gives, up to whatever size it has: else B. */
void stage_expect_no_garbage(struct stage *st, const char *name, uint64_t seed);

#endif
