/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drv_fault.h - the driver that misbehaves on demand.
 *
 * "fault:LOCATION" wraps any driver and passes everything on until a rule
 * says otherwise. Rules are set at run time, from any thread, on the driver
 * found by its full location: the test tool and the chaos demonstration are
 * the same thing. Attaching twice gives two drivers sharing one rule list,
 * which lives until the process ends or fault_clear.
 */
#ifndef MENDFS_BACKEND_DRV_FAULT_H
#define MENDFS_BACKEND_DRV_FAULT_H

#include <stdint.h>

#include "base/err.h"

enum fault_kind {
	FAULT_ERROR,	 /* the call fails with -err */
	FAULT_DELAY,	 /* the call takes ms longer */
	FAULT_HANG,	 /* the call does not return until fault_clear */
	FAULT_TORN,	 /* a write does its first half (512-byte multiple) and
			    fails with -EIO */
	FAULT_BITROT,	 /* one bit of what a read returns is flipped */
	FAULT_LOST_SYNC, /* sync (or a DRV_DSYNC write) says 0 and does nothing;
			    what was written since the last true sync is gone
			    after fault_power_cut */
	FAULT_VANISH,	 /* every call but attach fails with -ENOENT, as on an
			    empty folder whose disk is not mounted */
	FAULT_FULL,	 /* writes and creates fail with -ENOSPC, usage says 0
			    free */
	FAULT_KINDS,	 /* their number */
};

/*
 * A kind only ever hits the calls it is about (FAULT_TORN: writes), so
 * FAULT_OP_ALL is always a fine choice. Asking for the size counts as a read,
 * for the identity as a usage; a rename has both its names; a listing the
 * folder's with a '/'; usage, lock and attach have the name "".
 */
enum fault_op {
	FAULT_OP_OPEN = 1,
	FAULT_OP_CREATE = 2,
	FAULT_OP_READ = 4,
	FAULT_OP_WRITE = 8,
	FAULT_OP_SYNC = 16,
	FAULT_OP_REMOVE = 32,
	FAULT_OP_LIST = 64,
	FAULT_OP_USAGE = 128,
	FAULT_OP_RENAME = 256,
	FAULT_OP_LOCK = 512,
	FAULT_OP_ATTACH = 1024,
	FAULT_OP_ALL = 2047,
};

struct fault_rule {
	enum fault_kind kind;
	unsigned ops;	    /* enum fault_op, or-ed */
	const char *prefix; /* only names starting so; "" = all; copied */
	uint64_t skip;	    /* the first so many matching calls go well */
	uint64_t times;	    /* then so many are hit; 0 = all */
	int err;	    /* FAULT_ERROR: positive errno */
	uint64_t ms;	    /* FAULT_DELAY */
};

/*
 * location: with its "fault:" prefix; need not be attached yet. Rules work in
 * the order they were added, and several may hit one call (a delay, then an
 * error). 0, -ENOMEM, -EINVAL (no fault location, or the rule can hit nothing).
 */
int fault_add(const char *location, const struct fault_rule *rule);
/* Drops all rules; hanging calls go on. */
void fault_clear(const char *location);
/*
 * Takes back what was written without a true sync while a FAULT_LOST_SYNC rule
 * covered the name: objects made since are removed, bytes and size of others
 * are as at their last true sync. Simplified: removing an object, renaming it
 * and what the rename replaced are durable at once. No file of the place may
 * be open, and no rule may hit it meanwhile (the rules are not asked). 0 or
 * the error of the wrapped driver.
 */
int fault_power_cut(const char *location) MUST_USE;
/* Calls hit by a rule since the last fault_clear. */
uint64_t fault_hits(const char *location);

#endif
