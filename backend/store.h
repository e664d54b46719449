/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h - segments onto backends and back: placement, striping, degraded
 * reads and writes, verification.
 *
 * Threads: every function from any thread. Blocking: all wait for backends,
 * each with its deadline; none holds a lock while it waits.
 */
#ifndef MENDFS_BACKEND_STORE_H
#define MENDFS_BACKEND_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "backend/pool.h"
#include "backend/segment.h"

#define STORE_USAGE_MS 1000 /* patience for free space in store_new */

struct store;

/*
 * pool is borrowed and outlives the store. Asks every member for its free
 * space once and waits at most STORE_USAGE_MS for the answers. 0 or -ENOMEM.
 */
int store_new(struct pool *pool, struct store **out) MUST_USE;
/* Requests that hang are left behind. Drops cached keys. NULL is allowed. */
void store_free(struct store *s);

/*
 * Bytes that new data segments leave free on every member, so that
 * checkpoints (index segments), journals and healing can still write. 0 at
 * first.
 */
void store_set_reserve(struct store *s, uint64_t bytes_per_member);
/* Patience with one round of requests; BACKEND_DEADLINE_MS at first. */
void store_set_deadline(struct store *s, uint64_t ms);
/*
 * Calls fn(arg, d, index) for every fragment that a read found missing or
 * damaged, from the reading thread, which holds no lock; d is only valid
 * during the call. It may have been the bus or a folder that is not mounted:
 * store_check tells. Set before the first read.
 */
typedef void store_suspect_fn(void *arg, const struct seg_desc *d,
			      unsigned index);
void store_on_suspect(struct store *s, store_suspect_fn *fn, void *arg);

/*
 * Makes a stripe of a finished segment: adaptive geometry by the members that
 * are up (with u < k+m: max(1, u-m) + min(m, u-1); payload under SEG_SMALL: k
 * = 1), placement (placement.h), encoding, k+m put requests. A fragment that
 * cannot be written goes to a spare member; when none is left the segment is
 * striped again under a new stripe id and smaller geometry. Durable when 0:
 * *out then names a complete stripe. -ENOSPC: no room on enough members (full
 * ones cost width, never redundancy: m stays what the members that are up
 * allow); -ERR_UNAVAILABLE: nobody is there to write to; -ERR_FENCED: another
 * mount has taken over; -ENOMEM, -EIO.
 * Half-written fragments of failed attempts are removed as far as possible
 * (else they are orphans). Finishes b if it is not yet; b is not freed and
 * nobody may add to it meanwhile.
 */
int store_write(struct store *s, struct seg_build *b,
		struct seg_desc *out) MUST_USE;

/*
 * Reads and opens one chunk to plain (ref->plain_len bytes). Normally one
 * read of one backend. When that fails, is late or does not authenticate, the
 * bytes are rebuilt from the others, ignoring blocks whose checksum fails.
 * -ERR_UNAVAILABLE: fewer than k good fragments; -ERR_CORRUPT: enough of them,
 * but what comes out is not what was sealed, or ref does not fit d; -ENOMEM.
 * After an error plain holds nothing to be used.
 */
int store_read_chunk(struct store *s, const struct seg_desc *d,
		     uint64_t data_id, uint64_t offset,
		     const struct chunk_ref *ref, void *plain) MUST_USE;

/*
 * The same for a run of n chunks that lie back to back in the payload
 * (ref[i].pos + stored_len == ref[i+1].pos), owners data_id at offset,
 * offset + plain_len ...: one read for all where they share a range. Stops at
 * the first failure.
 */
int store_read_run(struct store *s, const struct seg_desc *d, uint64_t data_id,
		   uint64_t offset, const struct chunk_ref *ref, unsigned n,
		   void *plain) MUST_USE;

/*
 * Reads and lists the table of a segment (seg_table_open): same errors, and
 * what `each` returns.
 */
int store_read_table(struct store *s, const struct seg_desc *d,
		     int (*each)(void *arg, uint64_t data_id, uint64_t offset,
				 const struct chunk_ref *ref),
		     void *arg) MUST_USE;

/*
 * Makes fragment `index` of a stripe anew from the others, compares it with
 * its tag and writes it to member `slot`, durable when 0. d is not changed:
 * the caller then has home[index] = slot recorded. -EEXIST: the member has an
 * object of that name (a bad one must be moved away first); -ERR_UNAVAILABLE:
 * fewer than k good fragments, or the member is not there; -ENOSPC, -EIO,
 * -ETIMEDOUT ... of the write.
 */
int store_rebuild(struct store *s, const struct seg_desc *d, unsigned index,
		  unsigned slot) MUST_USE;

/*
 * Deletes all fragments of a stripe; members that are away keep theirs
 * (orphans for later). 0, or the first error that is not absence.
 */
int store_remove(struct store *s, const struct seg_desc *d) MUST_USE;

/* Members up that hold a fragment of it; enough to read if >= k. */
unsigned store_reachable(struct store *s, const struct seg_desc *d);

enum frag_state {
	FRAG_GOOD,
	FRAG_UNKNOWN, /* backend not reachable, or an I/O error (C6) */
	FRAG_MISSING, /* proven: not there, and the folder shows the
			 superblock of this very member */
	FRAG_BAD,     /* header, length, checksum or tag is wrong */
};
/*
 * Checks every fragment: header and size; with read_data also checksums and
 * keyed tags. state_out[k+m]. Returns the number of good ones.
 */
unsigned store_check(struct store *s, const struct seg_desc *d, bool read_data,
		     enum frag_state *state_out);

/* Counters since store_new. */
struct store_stats {
	uint64_t segments_written;
	uint64_t payload_bytes; /* written */
	uint64_t raw_bytes;	/* written, with parity and headers */
	uint64_t chunks_read;
	uint64_t chunks_rebuilt; /* read by reconstruction */
	uint64_t restripes;
	uint64_t fragments_suspect; /* seen bad while reading */
};
void store_get_stats(const struct store *s, struct store_stats *out);

/*
 * Name of a fragment's object into out[DRV_NAME_MAX + 1]: only id, stripe and
 * kind of d are used.
 */
void frag_name(const struct seg_desc *d, unsigned index, char *out);

#endif
