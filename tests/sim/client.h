/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.h - one of those who work on a pool during a life.
 */
#ifndef MENDFS_TESTS_SIM_CLIENT_H
#define MENDFS_TESTS_SIM_CLIENT_H

#include "world.h"

struct client {
	struct life *l;
	unsigned thread;
	struct dice dice;
	unsigned steps;
	unsigned promise_rate; /* of 100 */
	struct file *held;     /* a file kept open ... */
	unsigned held_thing;   /* ... and what it is */
	uint32_t values;       /* of attributes, so far */
};
/* All of its steps. */
void client_run(void *client);

/* ---- what its parts share: client.c ---- */
uint64_t client_roll(struct client *c, uint64_t bound);
struct model *client_model(struct client *c);
struct event *client_begin(struct client *c, enum event_kind kind,
			   unsigned thing);
/* Nothing may fail: rc < 0 ends the run, unless folders fail. */
void client_end(struct client *c, struct event *ev, int64_t rc,
		const char *what);
/* The thing in a slot, 0: none; a thing itself. */
unsigned client_at(struct client *c, unsigned slot);
struct thing *client_thing(struct client *c, unsigned t);
/* 0: none was found. */
unsigned client_some_file(struct client *c);

/* ---- contents and promises: client_files.c ---- */
/* The file kept open, or another handle; client_let_go closes that. */
struct file *client_open(struct client *c, unsigned t, int flags);
void client_let_go(struct client *c, struct file *f);
void client_fsync(struct client *c, unsigned t, struct file *f, bool datasync);
/* d: which of the shared folders. */
void client_fsyncdir(struct client *c, unsigned d);
void client_write_some(struct client *c, unsigned t);
void client_write(struct client *c);
void client_truncate(struct client *c);
/* Reads a file and compares. */
void client_read(struct client *c);
/* Keeps a file open, or closes it. */
void client_hold(struct client *c);
/* Some fsync, or a sync of all. */
void client_promise(struct client *c);

#endif
