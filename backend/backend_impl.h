/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend_impl.h - what backend.c (the place and its lanes),
 * backend_queue.c (its queues and breaker), bio.c (requests and waiting) and
 * bio_exec.c (doing them) share.
 *
 * Not for callers of backend.h. Functions named _locked want backend.mu held.
 */
#ifndef MENDFS_BACKEND_BACKEND_IMPL_H
#define MENDFS_BACKEND_BACKEND_IMPL_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "backend/backend.h"
#include "base/bytes.h"
#include "base/sync.h"
#include "base/workq.h"

#define NS_PER_MS	1000000ULL
#define BACKEND_SAMPLES 64 /* requests the median is made of */

enum bio_op {
	BIO_PUT,
	BIO_GET,
	BIO_REMOVE,
	BIO_RENAME,
	BIO_LIST,
	BIO_USAGE,
	BIO_IDENTITY,
	BIO_LOCK,
	BIO_JOPEN,
	BIO_JWRITE
};

/* NEW -> QUEUED -> RUNNING -> DONE; refused or given up: straight to DONE. */
enum bio_state {
	BIO_NEW,
	BIO_QUEUED,
	BIO_RUNNING,
	BIO_DONE
};

TAILQ_HEAD(bio_list, bio);

struct list_item {
	size_t at; /* where its name begins in bio.names */
	uint64_t size;
};

struct bio {
	atomic_uint refs;
	atomic_int state;
	atomic_uint_least64_t waiters; /* bit i: bucket i wants to know */
	enum bio_op op;
	int rc; /* constant once DONE */

	/* From submission on. */
	struct backend *b; /* one reference */
	uint64_t submit_ns;

	/* Guarded by b->mu. */
	TAILQ_ENTRY(bio) link;
	struct bio_list *on; /* the list it is in */
	uint64_t start_ns;
	bool late; /* counted as a timeout already */

	/* What to do; constant from submission on. */
	bool probe; /* runs in state DOWN, too */
	bool direct;
	bool urgent; /* by bio_set_urgent */
	bool exclusive;
	char *name;
	char *name2;
	uint64_t off; /* jopen: bytes to create */
	size_t len;

	/* Content of put and jwrite; result of get. */
	struct buf *buf;
	/* The file of jwrite (one reference); result of jopen. */
	struct jfile *jfile;
	bool jfile_taken; /* the caller owns the result now */

	/* Other results. */
	struct drv_usage usage;
	struct drv_identity identity;
	struct bytes names;
	struct list_item *item;
	unsigned items;
	unsigned items_cap;
};

struct jfile {
	atomic_uint refs;  /* the handle and every jwrite */
	struct backend *b; /* one reference */
	TAILQ_ENTRY(jfile) link;
	struct drv_file *file; /* NULL once the driver is gone */
	/* Guarded by b->mu. */
	struct bio *active;    /* the jwrite that is queued or running */
	struct bio_list queue; /* those after it */
	bool broken;	       /* one failed or was given up: no more */
};
TAILQ_HEAD(jfile_list, jfile);

struct lane {
	struct bio *bio; /* what it runs, or NULL */
};

struct backend {
	atomic_uint refs; /* the owner, lanes, jfiles, submitted requests */
	char *location;
	bool is_inline;
	struct workq *threads;
	struct driver *driver; /* constant while lanes run */

	struct mutex mu; /* guards all below */
	struct cond work;
	struct cond changed; /* attach_ended, io_ended, or a cut place's lanes */
	bool attach_ended;
	bool attach_given_up;
	int attach_rc;
	bool stopping;
	bool has_lanes; /* constant once opened */
	bool io_ended;	/* files are closed, the driver is detached */

	unsigned lanes;	   /* loops that will still leave */
	unsigned numbered; /* loops that have taken their lane */
	struct lane lane[BACKEND_LANES];
	struct bio_list urgent;
	struct bio_list bulk;
	unsigned bulk_running;
	struct jfile_list jfiles; /* open ones */
	struct jfile_list dead;	  /* to be closed by a lane */

	enum backend_state state;
	bool held_down;	  /* by hand */
	unsigned strikes; /* failures in a row */
	unsigned good;	  /* good answers in a row */
	uint64_t last_answer_ns;

	struct drv_usage usage;
	uint64_t usage_ns; /* when it was true; 0 = never */
	bool usage_asked;

	uint64_t sample_ns[BACKEND_SAMPLES];
	unsigned samples; /* taken so far */
};

/* What has to be done once the lock is released. */
struct after {
	struct bio_list drop; /* requests that ended without running */
	bool changed;
	enum backend_state state;
};
void after_init(struct after *a);
void after_run(struct backend *b, struct after *a);

struct backend *backend_ref(struct backend *b);
void backend_unref(struct backend *b);
/* Queues r, or the code that refuses it. */
int backend_admit_locked(struct backend *b, struct bio *r);
/* The request a free lane runs next, or NULL. */
struct bio *backend_take_work_locked(struct backend *b);
/* Counts the result of r, which ran. */
void backend_account_locked(struct backend *b, struct bio *r, struct after *a);
/* r has not ended in time: takes it out of its queue, or marks it. */
void backend_give_up_locked(struct backend *b, struct bio *r, struct after *a);
/* Looks for requests that run too long. */
void backend_overdue_locked(struct backend *b, uint64_t now_ns,
			    struct after *a);
void backend_go_down_locked(struct backend *b, struct after *a);
/* Ends all requests that have not begun with rc. */
void backend_drop_queued_locked(struct backend *b, int rc, struct after *a);
/* Is it served before others, and on any lane? */
bool bio_is_urgent(const struct bio *r);
/* r ran and is no longer its file's active one; queues the next. */
void jfile_next_locked(struct bio *r, struct after *a);
void jfile_unref(struct jfile *f);

/* Does what r says, without a lock; the result. */
int bio_exec(struct bio *r);
/* Publishes r->rc, wakes waiters and drops the lane's reference. */
void bio_finish(struct bio *r);

#endif
