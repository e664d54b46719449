/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease.h - what a lease says: who writes to the pool, and that he is alive.
 *
 * A mount that may write has a lease, a small object in every member that it
 * writes again and again with a growing counter. Who holds it, what follows
 * from it and who waits for whom is in pool_lease.h; here are its bytes, and a
 * list of the leases that were seen.
 *
 * A lease that cannot be read or does not authenticate proves nothing and is
 * no error here. Plain values; no locks.
 */
#ifndef MENDFS_BACKEND_LEASE_H
#define MENDFS_BACKEND_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/host.h"
#include "backend/ids.h"
#include "backend/keyring.h"
#include "backend/lease_format.h"

#define LEASE_NAME "lease" /* the object */
#define LEASE_FILE (LEASE_SLOTS * LEASE_SLOT)
#define LEASE_ID   16

enum lease_state {
	LEASE_HELD = 1,
	LEASE_RELEASED = 2,  /* unmounted: nothing more will be written */
	LEASE_WITHDRAWN = 3, /* never wrote: gave way to another */
};

struct lease {
	uint64_t epoch; /* number */
	uint8_t epoch_id[16];
	uint8_t owner[LEASE_ID];
	uint64_t counter;
	enum lease_state state;
	uint8_t host[LEASE_ID]; /* zeros: not known, also below */
	uint8_t boot[LEASE_ID];
	uint64_t pid;
	uint64_t started;
	char name[HOST_TEXT + 1]; /* of the host, for people */
};

/* Which machine and process it is of. 0 or -EIO. */
int lease_set_host(struct lease *l, const struct host *h,
		   const struct keyring *keys) MUST_USE;

/* What one mount seals its leases with. */
struct lease_seal {
	struct pool_id pool;
	uint8_t salt[KEY_SALT];
	struct aead *aead;
};
/* Draws a salt. 0, -ENOMEM, -EIO. */
int lease_seal_init(struct lease_seal *s, const struct pool_id *pool,
		    const struct keyring *keys) MUST_USE;
void lease_seal_release(struct lease_seal *s);
/* The content of a slot; each counter once. 0, -ENOMEM, -EIO. */
int lease_encode(const struct lease_seal *s, const struct lease *l,
		 struct buf **out) MUST_USE;
/* Where it belongs in the object. */
uint64_t lease_offset(const struct lease *l);

/*
 * One slot. -ERR_TRUNCATED, -ERR_FORMAT (also: another pool's), -ERR_AUTH,
 * -ERR_RANGE, -ENOMEM.
 */
int lease_decode(const void *data, size_t len, const struct pool_id *pool,
		 const struct keyring *keys, struct lease *out) MUST_USE;

/* The newest known of each owner. */
struct lease_list {
	struct lease *at;
	unsigned n;
	unsigned cap;
};
void lease_list_release(struct lease_list *list);
/* NULL: none. */
const struct lease *lease_list_find(const struct lease_list *list,
				    const uint8_t owner[LEASE_ID]);
/* Only if it is newer than what is known of its owner. 0 or -ENOMEM. */
int lease_list_add(struct lease_list *list, const struct lease *l) MUST_USE;
struct lease_reader {
	const struct pool_id *pool;
	const struct keyring *keys;
	uint64_t from;	      /* epochs of lower numbers are passed over */
	const uint8_t *known; /* so are slots with this salt; NULL: none are */
};
/*
 * The same with all leases in the content of an object. 0, -ENOMEM, -EIO (not
 * of the storage's making).
 */
int lease_list_read(struct lease_list *list, const struct buf *content,
		    const struct lease_reader *r) MUST_USE;

/*
 * Can its owner still be at work, as far as this machine can know? Not if the
 * owner is another process of this very machine that has ended, or ran before
 * it was started anew. `self`: this process's own, as lease_set_host made it;
 * a lease of this very process does not count either: its locks have told.
 */
bool lease_may_live(const struct lease *l, const struct lease *self);

/* "host NAME, process PID" for people. */
void lease_describe(const struct lease *l, char *text, size_t len);

#endif
