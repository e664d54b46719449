/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend.h - one place of the pool at work: a driver, its own threads,
 * deadlines and a circuit breaker.
 *
 * Everybody above the drivers talks to a place through requests (struct bio).
 * A request runs on one of the backend's own threads (its lane), so a hung
 * folder blocks nothing but itself: the waiter gives up at its deadline and
 * the request is left behind. That is why requests own what they touch:
 * content is a counted struct buf, names are copied.
 *
 * States:  UP -> SUSPECT (a request timed out or failed with an I/O error)
 *          SUSPECT -> UP (BACKEND_STRIKES good answers in a row)
 *          SUSPECT -> DOWN (BACKEND_STRIKES failures in a row, or a timeout
 *          while nothing was answered since the request was submitted)
 *          DOWN -> UP only through backend_probe finding it well
 *          BACKEND_STRIKES times in a row.
 * While DOWN, bio_submit answers -ERR_BACKEND_DOWN at once, and so end the
 * requests still queued when it goes DOWN. EEXIST, ENOSPC, EDQUOT and
 * ERR_IN_USE are answers, not failures of the backend; so is ENOENT where an
 * object may be absent (get, remove, rename, jopen of an old one), though it
 * proves nothing good either; of a put, a listing or a usage it is a failure:
 * that is an unmounted disk (C6). Our own lack of
 * memory or descriptors, and an object that is no regular file, say nothing
 * about the backend. A request that nobody waits for counts as timed out when
 * it has run for BACKEND_DEADLINE_MS.
 *
 * Threads: every function from any thread. In inline mode (workq.h) requests
 * run inside bio_submit and never time out.
 */
#ifndef MENDFS_BACKEND_BACKEND_H
#define MENDFS_BACKEND_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "backend/driver.h"

#define BACKEND_LANES	    4	  /* threads per backend */
#define BACKEND_STRIKES	    3	  /* answers in a row that change the state */
#define BACKEND_DEADLINE_MS 10000 /* default patience for one request */

enum backend_state {
	BACKEND_UP,
	BACKEND_SUSPECT,
	BACKEND_DOWN
};

struct backend;

/*
 * Attaches location (driver.h) within deadline_ms; the wait for a hung folder
 * ends then with -ETIMEDOUT. 0 or driver_attach's errors.
 */
int backend_open(const char *location, uint64_t deadline_ms,
		 struct backend **out) MUST_USE;
/*
 * Submits no more. Requests queued and running have deadline_ms to end; then
 * those not begun end with -ERR_STOPPED and hung ones are left behind (their
 * memory with them). The place's lock is dropped when the last of them ends.
 * Requests and journal files of b may still be waited for and closed. NULL is
 * allowed.
 */
void backend_close(struct backend *b, uint64_t deadline_ms);

const char *backend_location(const struct backend *b);
/* The folder's path for people: location without its kind. */
const char *backend_path(const struct backend *b);
enum backend_state backend_get_state(struct backend *b);
/*
 * true: takes it out of service by hand (offline), whatever probes say.
 * false: probes may bring it back.
 */
void backend_set_down(struct backend *b, bool down);
/*
 * backend_cut: nothing in the place is changed any more, for good; what was
 * begun may still end. backend_still: waits at most deadline_ms until all of
 * that has ended; takes the cut place out of service, so nothing is begun
 * either. False: something hangs, and may yet end one call it has begun.
 */
void backend_cut(struct backend *b);
bool backend_still(struct backend *b, uint64_t deadline_ms);
/*
 * One light request (usage) with this deadline; counts towards UP when it is
 * DOWN. Returns the request's result.
 */
int backend_probe(struct backend *b, uint64_t deadline_ms);
/* The last usage known, at most a second old when the backend answers; the
 * call itself never blocks (a refresh is queued). All zero before the first. */
void backend_usage(struct backend *b, struct drv_usage *out);
/* Milliseconds a typical (median of recent) request takes; 0 = none yet. */
uint64_t backend_median_ms(struct backend *b);
void backend_get_stats(struct backend *b, struct driver_stats *out);

/*
 * A request. Make one with a bio_new_* (NULL: no memory), submit, wait, look
 * at the result, unref. The maker holds one reference, the lane another while
 * it runs. submit, wait, run and unref take NULL for a request that there was
 * no memory for and answer -ENOMEM.
 *
 * Journal writes, usage and lock go before all others, and one lane is kept
 * free for them: big transfers do not hold up a commit.
 */
struct bio;

/*
 * put: create `name` (DRV_CREATE), write all of content, sync, close: durable
 * when its result is 0. If it fails after creation the object is removed
 * again as far as possible. -EEXIST if the name is taken. Takes a reference of
 * its own to content, as jwrite does.
 */
struct bio *bio_new_put(const char *name, struct buf *content);
/*
 * get: up to len bytes from off, bio_data() then holds them. Fewer at the end
 * of the object only. direct: past the page cache (any off and len). -EINVAL
 * where off + len is beyond what a file can be.
 */
struct bio *bio_new_get(const char *name, uint64_t off, size_t len,
			bool direct);
struct bio *bio_new_remove(const char *name);
struct bio *bio_new_rename(const char *from, const char *to);
/*
 * list: the objects of a folder, as bio_list_count() / bio_list_at().
 */
struct bio *bio_new_list(const char *folder);
/* Fresh usage, then bio_usage(). */
struct bio *bio_new_usage(void);
/* lock/unlock of the whole place (driver_lock). */
struct bio *bio_new_lock(bool exclusive);

/*
 * Journal files stay open between requests. The handle belongs to its
 * backend; jfile_close may be called while requests are left behind, and after
 * backend_close.
 */
struct jfile;
/*
 * jopen: opens name for durable writes (DRV_WRITE|DRV_DSYNC|DRV_DIRECT). With
 * create_bytes > 0 it is created with that many zero bytes really written and
 * synced. create_bytes: a multiple of DRV_BLOCK. The result is bio_jfile().
 */
struct bio *bio_new_jopen(const char *name, uint64_t create_bytes);
/*
 * jwrite: content to off, durable when its result is 0. off, len multiples of
 * DRV_BLOCK. Requests of one file run in the order submitted. After one that
 * failed, timed out or was dropped, all later ones of this handle end with -EIO
 * without being tried: there is never a good record behind a hole (C9).
 */
struct bio *bio_new_jwrite(struct jfile *f, struct buf *content, uint64_t off);
void jfile_close(struct jfile *f);

/*
 * Before it is submitted: it is served as a journal write would be. For short
 * requests that something depends on. NULL is allowed.
 */
void bio_set_urgent(struct bio *r);

struct bio *bio_ref(struct bio *r);
void bio_unref(struct bio *r);
static inline void bio_auto_unref_(struct bio **r)
{
	bio_unref(*r);
}
#define AUTO_BIO __attribute__((cleanup(bio_auto_unref_)))

/* Queues it. 0, or the error it already ended with (state DOWN, no memory);
 * bio_wait may be called either way. A bio is submitted once. */
int bio_submit(struct backend *b, struct bio *r);
/*
 * Waits for the end. Returns the request's result, or -ETIMEDOUT when
 * clock_mono_ns() passed deadline_ns (0 = the default from submission). That
 * counts as a failure of the backend. A request that had not begun then never
 * does; one that runs is left behind, and may be waited for again.
 */
int bio_wait(struct bio *r, uint64_t deadline_ns);
/*
 * Waits until at least `need` of the n submitted requests (NULLs are skipped)
 * ended with 0, or all ended, or the deadline passed (0 = the default from
 * now). Returns the number that ended with 0. Leaves the others queued or
 * running and counts nothing against their backends; bio_done tells.
 */
unsigned bio_wait_some(struct bio **r, unsigned n, unsigned need,
		       uint64_t deadline_ns);
/* Has it ended? *rc_out is its result then. */
bool bio_done(struct bio *r, int *rc_out);

/* Results; valid once the request ended with 0, until the last unref. */
struct buf *bio_data(struct bio *r); /* borrowed; len = bytes read */
/* From the first call on it is the caller's to jfile_close; if never called,
 * the last unref of the request closes it. */
struct jfile *bio_jfile(struct bio *r);
unsigned bio_list_count(struct bio *r);
const char *bio_list_at(struct bio *r, unsigned i, uint64_t *size_out);
const struct drv_usage *bio_usage(struct bio *r);

/* What tells the place from others (driver_identity), within deadline_ms. */
int backend_identity(struct backend *b, uint64_t deadline_ms,
		     struct drv_identity *out) MUST_USE;

/* submit + wait with the default deadline, for callers with one request. */
int bio_run(struct backend *b, struct bio *r);

#endif
