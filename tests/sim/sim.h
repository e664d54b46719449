/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim.h - a simulated machine that the real engine runs on.
 *
 * A program of tests/sim is the engine (everything but FUSE and the control
 * socket) linked with other versions of base/sync.c, thread.c, clock.c,
 * osfile.c and backend/drv_mem*.c: threads are coroutines of one system
 * thread, time is a number, folders ("mem:0" .. "mem:<n-1>") and the cache
 * folder (SIM_CACHE) are memory, and whose turn it is, how long a request
 * takes and every random byte follow from one seed. The same seed gives the
 * same run, to the last byte.
 *
 * While a run is recorded, every change of a disk is kept in a trace. A cut
 * replays the trace up to any point and makes what the disks could hold if
 * the power had failed there: what was synced, and any part of what was not.
 *
 * Nothing here is safe for more than one system thread. Memory is plain
 * malloc, so that mem_fail_at counts the engine's calls only.
 */
#ifndef MENDFS_TESTS_SIM_H
#define MENDFS_TESTS_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_DISKS 8	       /* folders at most */
#define SIM_CACHE "/sim/cache" /* cache_dir= of the simulated machine */

/* ---- scheduler, time: sim_sched.c ---- */

/*
 * Runs fn(arg) as the first coroutine and returns when it does. Seeds the
 * scheduler and rnd.h. Every coroutine started meanwhile (thread_start) must
 * have ended: what is left is reported and aborts. So does a deadlock (nobody
 * can go on, no deadline is set) and a run of more than SIM_LIFE_S seconds of
 * simulated time or SIM_SWITCHES hand-overs; the message names the seed and
 * what each coroutine waits for.
 */
#define SIM_LIFE_S   (48 * 3600)
#define SIM_SWITCHES 50000000
void sim_run(uint64_t seed, void (*fn)(void *arg), void *arg);
/* Starts fn(arg) beside the caller; sim_join waits for its end. */
struct sim_thread;
struct sim_thread *sim_start(const char *name, void (*fn)(void *arg),
			     void *arg);
void sim_join(struct sim_thread *t);
/* Others' turn, if the dice say so. */
void sim_yield(void);
/* Sleeps in simulated time. */
void sim_sleep_ns(uint64_t ns);
/* How often a lock taken hands over, of 1000 (default 20; 0: never). */
void sim_set_yields(unsigned per_mille);
/* A number that two runs share only if they did the same. */
uint64_t sim_fingerprint(void);
/* Dice of the run, apart from rnd.h: what is drawn here changes no key. */
uint64_t sim_dice(uint64_t bound);

/* ---- disks: sim_disk.c ---- */

/*
 * Folders 0 .. n-1 and the cache folder become empty. Outside of sim_run, or
 * in it while nothing is attached or open.
 */
void sim_disks_reset(unsigned n);
/* A hidden folder cannot be attached, and what is attached answers -ENOENT. */
void sim_disk_hide(unsigned disk, bool hidden);
/* Room of one folder (default 1 GiB); requests beyond it get -ENOSPC. */
void sim_disk_set_bytes(unsigned disk, uint64_t total_bytes);
/* The cache folder is emptied. */
void sim_cache_clear(void);
/*
 * One whole object, to look at or to damage behind the engine's back; name as
 * drivers have it. *data belongs to the disk and is valid until it is changed.
 * false: there is none.
 */
bool sim_disk_peek(unsigned disk, const char *name, const uint8_t **data,
		   size_t *len);
/* Replaces an object (made if need be) or, with data NULL, removes it. */
void sim_disk_poke(unsigned disk, const char *name, const void *data,
		   size_t len);
/* Calls each with every object's name and size. */
void sim_disk_each(unsigned disk,
		   void (*each)(void *arg, const char *name, size_t len),
		   void *arg);

/* ---- images and traces: sim_cut.c ---- */

/* What all disks and the cache folder hold at one moment. Counted. */
struct sim_image;
/* As they are now, un-synced changes included. */
struct sim_image *sim_image_take(void);
/* The disks become this. Nothing may be attached or open. */
void sim_image_load(const struct sim_image *im);
struct sim_image *sim_image_ref(struct sim_image *im);
void sim_image_unref(struct sim_image *im);
/* Two disks' contents are exchanged, or one copied over the other. */
void sim_image_swap(struct sim_image *im, unsigned a, unsigned b);
/* In im, disk d becomes what it is in `old` (a restored backup). */
void sim_image_mix(struct sim_image *im, unsigned d,
		   const struct sim_image *old);
/* Digest over every object of the n folders (not the cache folder). */
uint64_t sim_image_digest(const struct sim_image *im);

/* A recorded run: starts from what the disks hold when recording begins. */
struct sim_trace;
struct sim_trace *sim_record(void);
/* Ends the recording; the trace is the caller's to sim_trace_free. */
void sim_record_end(struct sim_trace *t);
void sim_trace_free(struct sim_trace *t);
/*
 * Changes recorded so far. A promise made when this said p must hold after a
 * cut at any point >= p.
 */
size_t sim_trace_len(const struct sim_trace *t);

/* Where the power fails within a trace; moves forward only. */
struct sim_cut;
struct sim_cut *sim_cut_new(const struct sim_trace *t);
void sim_cut_free(struct sim_cut *c);
/* To just after the first p changes. */
void sim_cut_move(struct sim_cut *c, size_t p);
/* Changes that are not durable yet: none of them, or any of them, may last. */
unsigned sim_cut_pending(const struct sim_cut *c);

enum sim_loss {
	SIM_LOSE_ALL,  /* only what was synced lasts */
	SIM_LOSE_NONE, /* everything lasts */
	SIM_LOSE_MASK, /* change i of the pending lasts if bit i is set */
	SIM_LOSE_SOME, /* any subset, writes torn at 512 bytes; what was not
			  written yet in a grown file is zero or stale bytes */
};
/*
 * An image of the disks after the power failed there. mask: for MASK, and the
 * seed of SOME. Any number of them can be made at one point.
 */
struct sim_image *sim_cut_make(struct sim_cut *c, enum sim_loss how,
			       uint64_t mask);

#endif
