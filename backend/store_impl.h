/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_impl.h - what the files of store.h share. Not for other modules.
 */
#ifndef MENDFS_BACKEND_STORE_IMPL_H
#define MENDFS_BACKEND_STORE_IMPL_H

#include <stdatomic.h>

#include "backend/fragment.h"
#include "backend/store.h"

struct store {
	struct pool *pool;
	_Atomic uint64_t reserve_bytes;
	_Atomic uint64_t deadline_ms;
	store_suspect_fn *suspect_fn;
	void *suspect_arg;
	struct {
		_Atomic uint64_t segments_written;
		_Atomic uint64_t payload_bytes;
		_Atomic uint64_t raw_bytes;
		_Atomic uint64_t chunks_read;
		_Atomic uint64_t chunks_rebuilt;
		_Atomic uint64_t restripes;
		_Atomic uint64_t fragments_suspect;
	} count;
};

/* The member's backend, or NULL if it is not there or DOWN. */
struct backend *store_member(const struct store *s, unsigned slot);
/* The same for the home of fragment i. */
struct backend *store_home(const struct store *s, const struct seg_desc *d,
			   unsigned i);
/* When a round of requests that begins now has to be over. */
uint64_t store_deadline_ns(const struct store *s);
/* New request to read fragment i; NULL: no memory. */
struct bio *store_get(const struct seg_desc *d, unsigned i, uint32_t off,
		      uint32_t len, bool direct);
/* Did it end with all `len` bytes? 0, its error, or -ERR_TRUNCATED. */
int store_got(struct bio *bio, int rc, uint32_t len);

/* Bit i of mask: remove fragment i. 0, or the first error but absence. */
int store_remove_some(struct store *s, const struct seg_desc *d, uint32_t mask);

/*
 * Bytes [off, off+len) of the data of fragment `index`, and what knows whether
 * they are right: open returns 0, -ERR_AUTH or -ERR_CORRUPT (they are not), or
 * another error, which ends the reading. It may be called several times; bytes
 * are valid during the call.
 */
struct span {
	const struct seg_desc *d;
	unsigned index;
	uint32_t off;
	uint32_t len; /* at most SPAN_MAX */
	int (*open)(void *arg, const uint8_t *bytes);
	void *arg;
};
#define SPAN_MAX (SEG_CHUNK_MAX + 65536u)

/*
 * A span of a data fragment from the other fragments. late: the read of the
 * nearest one that is still on its way, or NULL; the reference is taken.
 * Fragments found bad are or-ed into *suspect.
 */
int store_gather(struct store *s, const struct span *sp, struct bio *late,
		 uint32_t *suspect) MUST_USE;

/* How much is checked before open is asked; see store_gather.c. */
enum gather_way {
	GATHER_QUICK,
	GATHER_CHECKED,
	GATHER_TAGGED
};
/* A span of any fragment, parity too, in one way only. */
int store_gather_by(struct store *s, const struct span *sp,
		    enum gather_way way) MUST_USE;

/* Does this result of reading say that the fragment is missing or bad? */
static inline bool store_proves_damage(int rc)
{
	return rc == -ENOENT || rc == -ERR_TRUNCATED || rc == -ERR_AUTH ||
	       rc == -ERR_CORRUPT || rc == -ERR_FORMAT || rc == -ERR_RANGE;
}

/*
 * How long a read of this backend may take before others are asked too; NULL:
 * the least of all.
 */
uint64_t store_hedge_ns(struct backend *b);

/*
 * Reads what fragment i's file holds, past the page cache: its header, checked
 * (fragment_header_check's errors; tags_out is filled), or its padded data,
 * unchecked. Also bio_wait's errors, -ERR_TRUNCATED, -ERR_BACKEND_DOWN.
 */
int store_load_header(struct store *s, const struct seg_desc *d, unsigned i,
		      uint64_t deadline_ns,
		      struct frag_tags *tags_out) MUST_USE;
int store_load_data(struct store *s, const struct seg_desc *d, unsigned i,
		    uint64_t deadline_ns, struct buf **out) MUST_USE;
/* Tags of the stripe from any fragment's header; -ERR_UNAVAILABLE: none. */
int store_load_tags(struct store *s, const struct seg_desc *d,
		    uint64_t deadline_ns, struct frag_tags *tags_out) MUST_USE;

#endif
