/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check_impl.h - what the files of check.h share. Not for callers.
 *
 * Each part returns 0 or an error that ends the check: of this process, or
 * -ECANCELED. What is wrong with the pool is reported, never returned.
 */
#ifndef MENDFS_REPAIR_CHECK_IMPL_H
#define MENDFS_REPAIR_CHECK_IMPL_H

#include "base/htab.h"
#include "base/workq.h"
#include "meta/rows.h"
#include "repair/check.h"

#define CHECK_BATCH   16  /* segments or extents at work at a time */
#define CHECK_SUBJECT 256 /* bytes for most subjects; a path may be longer */

/* One segment's fragments. */
struct stripe_job {
	struct check *c;
	struct seg_desc desc;
	const char *what; /* "segment", "index segment": for people */
	unsigned good;
	enum frag_state state[EC_TOTAL_MAX];
};

struct check {
	const struct check_target *t;
	const struct check_options *o;
	struct check_totals *totals;
	struct workq *q;
	uint64_t done, todo; /* bytes: progress */
	struct htab stripes; /* struct known_stripe: all that count */
	struct htab damaged; /* struct damaged_segment: of data */
	struct htab hits;    /* struct hit: data that cannot be read */
	bool index_known;    /* stripes holds every index segment in use */
	bool data_known;     /* and every data segment */
	bool unsure;	     /* newer state of the pool may be out of sight */
	unsigned jobs;
	struct stripe_job job[CHECK_BATCH];
};

/* A stripe that something refers to; key: the stripe id. */
struct known_stripe {
	struct hnode node;
	struct seg_id id;
	enum seg_kind kind;
	unsigned n;
	uint8_t home[EC_TOTAL_MAX];
};

/* A data segment with less than k good fragments; key: the segment id. */
struct damaged_segment {
	struct hnode node;
};

/* Counts and hands out. */
void check_tell(struct check *c, enum finding_id id, const char *subject);
void check_report(struct check *c, enum finding_id id, const char *subject,
		  const char *detail, ...)
	__attribute__((format(printf, 4, 5)));
/* The path of a member's folder as people know it. */
const char *check_member_path(const struct check *c, unsigned slot);
/* -ECANCELED when somebody wants it to end. */
int check_go_on(struct check *c) MUST_USE;
/* So many bytes were looked after. */
void check_advance(struct check *c, uint64_t bytes);
/* An error of this process, not of the pool: it ends the check. */
bool check_own_trouble(int rc);

/* ---- check_stripe.c: segments' fragments, several at a time ---- */

/* Bytes of all its files. */
uint64_t stripe_bytes(const struct seg_desc *d);
/* Counts as referred to; 1: it did already. 0, -ENOMEM. */
int stripe_know(struct check *c, const struct seg_desc *d) MUST_USE;
/* Will be looked at, unless it was; by stripe_flush at the latest. */
int stripe_check(struct check *c, const struct seg_desc *d,
		 const char *what) MUST_USE;
int stripe_flush(struct check *c) MUST_USE;

/* ---- the parts, in order ---- */
/* What lies ahead, for progress. */
int check_add_up(struct check *c) MUST_USE;
int check_super(struct check *c) MUST_USE;
int check_journal(struct check *c) MUST_USE;
int check_manifests(struct check *c) MUST_USE;
int check_rules(struct check *c) MUST_USE;
int check_segments(struct check *c) MUST_USE;
int check_files(struct check *c) MUST_USE;
int check_objects(struct check *c) MUST_USE;

#endif
