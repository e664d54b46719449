/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drv_fault_impl.h - what drv_fault.c (the methods), drv_fault_rules.c (what
 * the rules say to a call) and drv_fault_undo.c (what a power cut takes back)
 * share.
 */
#ifndef MENDFS_BACKEND_DRV_FAULT_IMPL_H
#define MENDFS_BACKEND_DRV_FAULT_IMPL_H

#include <sys/queue.h>

#include "backend/driver_impl.h"
#include "backend/drv_fault.h"
#include "base/sync.h"

#define FAULT_PREFIX "fault:"

/* A rule at work. */
struct fault_armed {
	TAILQ_ENTRY(fault_armed) link;
	struct fault_rule r;
	uint64_t seen; /* matching calls */
	char prefix[];
};

struct fault_undo;
TAILQ_HEAD(fault_undo_list, fault_undo);

/* What a location's rules and undo records hang on (F1). */
struct fault_point {
	LIST_ENTRY(fault_point) link;
	struct mutex mu;
	struct cond cleared;
	TAILQ_HEAD(, fault_armed) rules;
	struct fault_undo_list undos;
	uint64_t clears; /* times fault_clear was called */
	uint64_t hits;
	char location[];
};

/* What the rules want from one call. */
struct fault_effect {
	uint64_t ms;
	uint64_t clears; /* of the point when it was asked */
	bool hang;
	bool torn;
	bool bitrot;
	bool lost;
	bool full;
	int rc;
};

/* A call as rules see it. */
struct fault_call {
	unsigned op; /* one enum fault_op */
	const char *name;
	const char *name2;   /* or NULL */
	bool only_lost_sync; /* no other kind is asked */
};

struct fault_driver {
	struct driver base;
	struct driver *inner;
	struct fault_point *point;
};

struct fault_file {
	struct drv_file base;
	struct drv_file *inner;
	struct fault_driver *driver;
	unsigned flags;
	char name[DRV_NAME_MAX + 1];
};

/* NULL: nobody has named it yet. */
struct fault_point *fault_point_find(const char *location);
/* Made if need be; NULL: no memory. */
struct fault_point *fault_point_get(const char *location);
/* Is the name (or NULL: no) one of the rule's? */
bool fault_covers(const struct fault_armed *r, const char *name);
/* Asks the rules, and waits as long as they say (F2). */
struct fault_effect fault_consult_call(struct fault_point *p,
				       const struct fault_call *c);
struct fault_effect fault_consult(struct fault_point *p, unsigned op,
				  const char *name);

/* An object was made, is about to be written: 0 or an error of the driver. */
int fault_record_create(struct fault_point *p, const char *name);
int fault_record_write(struct fault_file *f, size_t len, uint64_t off);
/* What is written to name is durable now. */
void fault_forget_undos(struct fault_point *p, const char *name);
void fault_rename_undos(struct fault_point *p, const char *from,
			const char *to);

/* strcpy with a check; names are at most DRV_NAME_MAX long. */
void fault_copy_name(char to[static DRV_NAME_MAX + 1], const char *name);

#endif
