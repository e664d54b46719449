/* SPDX-License-Identifier: Apache-2.0 */
/*
 * promise.h - a load that writes down what it was promised, and a check of it.
 *
 * promise_load.c  makes the load: some processes, each in a folder of its own,
 *                 until the file system fails them or the time is over
 * promise_check.c compares a folder with what was written down
 * promise.c       both as a command
 *
 * The manifest lies outside of the file system under test: a file for each
 * process, a line for each event. What is about to be done is noted before the
 * system call, what is promised after it. So after a crash at any instant the
 * manifest holds everything that may be there and everything that must be.
 *
 *   c PATH                 make a file         m PATH   make a folder
 *   r FROM TO              rename, replacing   d PATH   remove a folder
 *   l FROM TO              hard link           u PATH   remove a name
 *   w PATH FIRST N STAMP   write N cells from FIRST on
 *   t PATH N               cut or grow to N cells
 *   f PATH                 promised: this file and its newest name
 *   s                      promised: all names
 *   S                      promised: all names and files
 *
 * Files consist of cells, and a cell tells by which write, in which place of
 * a file and by whom it was written. Only the last of these events can be
 * undone or half done, as a process does one thing at a time.
 */
#ifndef MENDFS_TESTS_PROMISE_H
#define MENDFS_TESTS_PROMISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CELL	  256
#define PATH_ROOM 64 /* of a path in a process's folder */
#define CELLS_MAX 65536

struct cell {
	uint32_t stamp; /* of the write, from 1 on */
	uint32_t at;	/* cell of the file */
	uint8_t rest[CELL - 8];
};

/* key: one for each process and round. */
void cell_fill(struct cell *c, uint64_t key, uint32_t stamp, uint32_t at);
/* The same for all processes of one manifest. */
uint64_t cell_key(const char *manifest, unsigned process);

#define PROCESSES 7

struct load {
	const char *folder;   /* on the file system; made */
	const char *manifest; /* the files get .0, .1 ... */
	double seconds;
	uint64_t seed;
};
/* 0: the time is over; 1: the file system failed; 2: in an unexpected way. */
int promise_load(const struct load *l);

/* 0: all promises are kept; else says which are not. */
int promise_check(const char *folder, const char *manifest);

#endif
