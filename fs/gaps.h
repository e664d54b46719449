/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gaps.h - data that came before what lies in front of it (private to fs/).
 *
 * A kernel that caches writes hands pages on in no sure order. When bytes
 * beyond the end of a file arrive, those in between may be a hole, or on their
 * way. As long as that is open the index's size does not pass them (C11): after
 * a crash the file is short, and shows no zeros for what was written. It is
 * settled when they arrive, or when all that was written must have arrived:
 * fsync, a close, a sync of everything, a long time. What others write to the
 * file at that very moment may be taken for a hole then: what was asked for
 * goes first.
 *
 * Extents beyond the index's size may enter it meanwhile. A QUEUE_LOOSE job
 * goes with the first of them, so that recovery cuts them off again: or they
 * would show up in a hole that is made there later.
 *
 * All but gaps_close_all and gaps_recover are called with the node locked.
 */
#ifndef MENDFS_FS_GAPS_H
#define MENDFS_FS_GAPS_H

#include <stdint.h>

#include "fs/node.h"

/* [off, end) was accepted; the size was `size` before. */
void gaps_wrote(struct node *n, uint64_t size, uint64_t off, uint64_t end);
/* The file was cut or grown to `size`. */
void gaps_cut(struct node *n, uint64_t size);
/* All that was written has arrived: what is missing is a hole. */
void gaps_close(struct node *n);
/* It never will: those that there are stay open. */
void gaps_leave(struct node *n);
/* Where the first may begin; UINT64_MAX: there is none. */
uint64_t gaps_first(const struct node *n);

/* [op] Extents beyond gaps_first are being entered; n->loose when kept. */
int gaps_note(struct node *n) MUST_USE;
/* [op] There are none any more; !n->loose when kept. */
int gaps_forget(struct node *n) MUST_USE;

/* Of all inodes, where the first was noticed at or before then. */
void gaps_close_all(struct volume *v, uint64_t before_ns);
/* Cuts off what a crash has left beyond sizes. While recovering. */
int gaps_recover(struct volume *v) MUST_USE;

#endif
