/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_view.h - reading the records of one copy of one journal file.
 *
 * A view keeps one window of the file in memory: JOURNAL_WINDOW bytes, or one
 * record where that is longer. Nothing it reads is trusted before it
 * authenticates, and no length is used before it is checked. One thread at a
 * time. Not for callers of journal.h.
 */
#ifndef MENDFS_META_JOURNAL_VIEW_H
#define MENDFS_META_JOURNAL_VIEW_H

#include "base/buf.h"
#include "base/bytes.h"
#include "backend/backend.h"
#include "meta/journal_codec.h"

/* Is the member's backend there and not DOWN? */
bool journal_up(const struct pool *p, unsigned slot);

#define JOURNAL_WINDOW (1u << 20)

struct journal_view {
	struct backend *backend; /* borrowed */
	char name[JOURNAL_NAME];
	uint64_t end;	 /* nothing is read from here on */
	struct buf *win; /* NULL: none yet */
	uint64_t win_pos;
	int rc; /* of the first read that failed; no more are tried then */
};
/* Drops the window. */
void journal_view_release(struct journal_view *v);

/*
 * Makes bytes [pos, pos + len) available at *out until the next call; pos a
 * multiple of JOURNAL_BLOCK. -ERR_TRUNCATED: the file ends before that; else
 * the error of the read, which is then in v->rc.
 */
int journal_view_get(struct journal_view *v, uint64_t pos, size_t len,
		     const uint8_t **out) MUST_USE;

/* What the records of a file have in common. */
struct journal_key {
	struct aead *aead;
	uint64_t epoch;
	uint64_t file;
};
/*
 * The record at pos, authenticated; its payload is in plain->data then (the
 * buffer is grown as needed, plain->len is the payload's length). The caller
 * still has to compare seq and chain. -ENOENT: nothing was written here;
 * -ERR_FORMAT, -ERR_RANGE, -ERR_TRUNCATED, -ERR_AUTH: not a whole record of
 * this file (r is filled in if a record of this file begins here); -ENOMEM;
 * or a read error.
 */
int journal_view_record(struct journal_view *v, const struct journal_key *k,
			uint64_t pos, struct journal_record *r,
			struct bytes *plain) MUST_USE;

#endif
