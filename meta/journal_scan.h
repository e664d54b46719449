/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_scan.h - the state of one journal_scan, for its two files. Not for
 * callers of journal.h.
 */
#ifndef MENDFS_META_JOURNAL_SCAN_H
#define MENDFS_META_JOURNAL_SCAN_H

#include "meta/journal.h"
#include "meta/journal_view.h"

/* Files looked at in one member's folder; a journal has far fewer. */
#define JOURNAL_SCAN_FILES 4096

/* One copy of a file as found. */
struct scan_copy {
	struct journal_view view;
	unsigned slot;
};

/* Copies with identical headers. */
struct scan_file {
	struct journal_head head;
	struct journal_key key; /* key.aead NULL: not derived yet */
	struct scan_copy *copy;
	unsigned copies;
	unsigned favourite; /* had the last record */
};

struct scan {
	struct pool *pool;
	const uint8_t *epoch_id;
	uint64_t from_seq;
	struct scan_file *file; /* by number, then first seq */
	unsigned files;
	unsigned reachable;	       /* members at the start */
	bool unread[POOL_MEMBERS_MAX]; /* names or headers were not to be had */
	bool hung[POOL_MEMBERS_MAX];   /* not asked again */
	uint64_t seq;		       /* of the next record of the chain */
	uint8_t chain[JOURNAL_CHAIN];
	unsigned bad; /* copies that have something else where it should be */
	struct bytes plain;
	struct journal_scan_result *result;
};

/* Derives the file's key if need be. */
int journal_scan_key(struct scan *s, struct scan_file *f) MUST_USE;

/*
 * The chain cannot be followed beyond *pos of this file and has not come to
 * from_seq yet, so what is damaged is covered: looks for record from_seq
 * further on. 0 and *pos, s->seq, s->chain set to it; -ENOENT; -ENOMEM.
 */
int journal_probe_resume(struct scan *s, struct scan_file *f,
			 uint64_t *pos) MUST_USE;
/*
 * The chain ends at position pos of this file: notes the highest acked of all
 * records behind it that authenticate, in this and the later files. Reads
 * until a gap longer than any record. 0, or the key's or -ENOMEM.
 */
int journal_probe_rest(struct scan *s, struct scan_file *f,
		       uint64_t pos) MUST_USE;

#endif
