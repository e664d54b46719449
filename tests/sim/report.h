/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.h - where a worker is, what it counted, and what went wrong. Kept in
 * memory shared with the process that started it, which tells the place also
 * when the worker died.
 */
#ifndef MENDFS_TESTS_SIM_REPORT_H
#define MENDFS_TESTS_SIM_REPORT_H

#include <stdbool.h>
#include <stdint.h>

/* X(name, what it counts) */
#define TALLY_TABLE(X)                                          \
	X(histories, "histories")                               \
	X(lives, "lives")                                       \
	X(states, "states")                                     \
	X(changes, "changes of disks recorded")                 \
	X(events, "operations of clients")                      \
	X(reads, "files read by clients")                       \
	X(promises, "promises made")                            \
	X(pending, "states with changes that were not durable") \
	X(lose_all, "states that lost all of them")             \
	X(lose_none, "states that lost none")                   \
	X(lose_mask, "states with an exact subset")             \
	X(lose_some, "states with a random subset, torn")       \
	X(degraded, "recoveries with folders missing")          \
	X(cacheless, "recoveries without the local index")      \
	X(looks, "read-only looks")                             \
	X(second, "cuts inside a recovery")                     \
	X(again, "recoveries repeated")                         \
	X(in_recovery, "cuts inside the recovery of a life")    \
	X(stale, "lives with a stale folder")                   \
	X(hidden, "lives with missing folders")                 \
	X(faulty, "lives with a folder that fails")             \
	X(faults, "requests that failed")                       \
	X(refused, "promises that were refused then")           \
	X(dying, "recoveries in which folders went away")       \
	X(required, "operations required by promises")          \
	X(later, "operations found beyond what was promised")   \
	X(files, "files read")                                  \
	X(cells, "cells compared")                              \
	X(audits, "full scans")                                 \
	X(segments, "segments whose fragments were checked")

struct tally {
#define TALLY_FIELD_(name, text) uint64_t name;
	TALLY_TABLE(TALLY_FIELD_)
#undef TALLY_FIELD_
};

#define REPORT_SPEC 256

/* One worker's. */
struct report {
	struct tally tally;
	char spec[REPORT_SPEC]; /* how to come here again: --state */
	char failure[4096];
	volatile bool stop;
};

/* The report of this process from now on. */
void report_use(struct report *r);
struct tally *report_tally(void);
/* Where we are. */
void report_at(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Tells what is wrong and ends the process. */
_Noreturn void report_fail(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));
/* The engine's log is kept for a failure; verbose: shown at once. */
void report_log(bool verbose);
void report_print_tally(const struct tally *t);
void report_add_tally(struct tally *sum, const struct tally *t);

#endif
