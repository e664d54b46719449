/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model.h - what was asked of the file system in one life, in order, and what
 * may therefore be found after the power failed somewhere in it.
 *
 * A life is the time from one recovery to the next. Several client threads
 * work in it, each on names and inodes of its own, in folders shared by all;
 * so what one of them did is one sequence of events. An event knows when it
 * began and ended, twice: in changes of the disks (s, e: a cut at p finds only
 * what began before p, and a promise holds if e <= p), and in a time of the
 * model's own (t0, t1: the order among threads).
 *
 * Events that are one operation of the index are "ordered": a crash leaves a
 * prefix of them all. What is written to files is not; it follows later, by
 * itself, or at a promise.
 *
 * What an ordered event changes are variables of its thread: a slot is a name
 * in a folder (value: the thing it names, 0: none); each thing has a mode and
 * extended attributes.
 */
#ifndef MENDFS_TESTS_SIM_MODEL_H
#define MENDFS_TESTS_SIM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "seen.h"

#define EVENTS_MAX 600 /* of one thread in one life */
#define VARS_MAX   (SLOTS + THINGS_MAX * VARS_OF_THING)
#define STAMPS_MAX 250 /* of one thing: they fit into a byte */
#define CELLS_MAX  1024

enum var_of_thing {
	VAR_MODE,  /* permission bits */
	VAR_XATTR, /* and the next */
	VARS_OF_THING = VAR_XATTR + XATTRS
};

/* An inode. Kept as long as it may be found. */
struct thing {
	uint64_t ino; /* 0: being made */
	unsigned thread;
	uint32_t type; /* S_IFMT bits */
	uint32_t unit; /* files: bytes of a cell */
	unsigned vars; /* the first of its variables */
	/* when this life began; durable */
	uint32_t base_cells;
	uint32_t *base; /* stamps */
	int64_t base_mtime;
	/* now */
	uint32_t cells;
	unsigned stamps, stamps_before;
	unsigned write_of[STAMPS_MAX + 1]; /* event, by stamp */
	unsigned *event; /* those about its content or times */
	unsigned events;
	int64_t mtime; /* given by the last utimens; 0: something else */
};

enum event_kind {
	EV_CHANGE,   /* ordered: variables only */
	EV_TRUNCATE, /* ordered: a file's size */
	EV_WRITE,
	EV_TIMES,
	EV_PROMISE /* fsync: of one thing, or of everything */
};

struct var_set {
	uint16_t var;
	uint32_t value;
};

struct event {
	enum event_kind kind;
	size_t s, e;
	uint64_t t0, t1;
	unsigned order; /* ordered events of the thread before this one */
	unsigned thing; /* 0: none, or everything */
	unsigned sets;	/* CHANGE */
	struct var_set set[3];
	unsigned settled[2]; /* CHANGE: content of these is not newer */
	uint32_t first, n;   /* WRITE: cells; TRUNCATE: first is the size */
	unsigned stamp;
	int64_t mtime;
	bool times;	/* PROMISE: also the times */
	bool data;	/* PROMISE of everything: contents too */
	uint64_t after; /* PROMISE: ordered ones that ended before then ... */
	unsigned own;	/* ... and so many of this thread */
};

struct client_log {
	struct event event[EVENTS_MAX];
	unsigned events, ordered;
	unsigned at[EVENTS_MAX]; /* the ordered ones */
	uint32_t base[VARS_MAX], now[VARS_MAX];
	unsigned vars;
};

struct model {
	unsigned threads;
	struct client_log *log[THREADS];
	struct thing thing[THINGS_MAX + 1];
	unsigned things;
	uint64_t clock;
	size_t (*position)(void *arg); /* changes of the disks so far */
	void *arg;
};

struct model *model_new(unsigned threads);
void model_free(struct model *m);
/*
 * A model that begins where `seen` was found, which is durable now. `m` is not
 * changed.
 */
struct model *model_next(const struct model *m, const struct seen *seen);

/* ---- what clients tell ---- */

/* Room for so many more events of a thread? */
bool model_has_room(const struct model *m, unsigned thread);
/* An event begins; the rest of it is filled in by the caller, before it does
 * the thing. */
struct event *model_begin(struct model *m, unsigned thread,
			  enum event_kind kind, unsigned thing);
void event_set(struct event *ev, unsigned var, uint32_t value);
/* It is done: the model's own state follows. */
void model_end(struct model *m, unsigned thread, struct event *ev);
/* Cells [first, first + n) are written with a new stamp; NULL: no more room. */
struct event *model_write(struct model *m, unsigned thread, unsigned t,
			  uint32_t first, uint32_t n);
/* It failed, and has changed nothing. */
void model_cancel(struct model *m, unsigned thread, struct event *ev);
/* A promise about t, or about everything (t 0), begins. */
struct event *model_promise(struct model *m, unsigned thread, unsigned t);
/* A new thing of a thread, inode unknown; 0: no room. */
unsigned model_thing(struct model *m, unsigned thread, uint32_t type,
		     uint32_t unit);

/* The thing with this inode number, 0: none. */
unsigned model_find(const struct model *m, uint64_t ino);
uint32_t model_var(const struct model *m, unsigned thing,
		   enum var_of_thing var);

/* ---- the oracle: oracle.c ---- */

struct verdict {
	char text[2000];   /* what is wrong, if anything is */
	unsigned later;	   /* ordered events found beyond what was promised */
	unsigned promised; /* ordered events promised */
	unsigned files, cells, newer; /* looked at; cells newer than promised */
};
/*
 * May `seen` be what is found after a cut at p? false: v->text tells why not.
 */
bool oracle_judge(const struct model *m, size_t p, const struct seen *seen,
		  struct verdict *v);

/* What a file holds while nothing fails: stamps to cell[CELLS_MAX]; how many.
 */
uint32_t oracle_content(const struct model *m, unsigned thing, uint32_t *cell);

#endif
