/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gather_impl.h - what store_gather.c and gather_source.c share.
 */
#ifndef MENDFS_BACKEND_GATHER_IMPL_H
#define MENDFS_BACKEND_GATHER_IMPL_H

#include "backend/store_impl.h"

#define BLOCKS_MAX (SPAN_MAX / FRAG_CRC_BLOCK + 2)

enum part {
	PART_DATA,
	PART_HEADER,
	PART_TABLE,
	PARTS
};

enum source_state {
	SOURCE_IDLE,   /* may be asked */
	SOURCE_ASKED,  /* requests under way */
	SOURCE_LATE,   /* the same, but others were asked instead */
	SOURCE_READ,   /* good[] says which blocks can be used */
	SOURCE_FAILED, /* of no use */
};

struct source {
	enum source_state state;
	unsigned index; /* of the fragment */
	struct backend *backend;
	struct bio *bio[PARTS]; /* NULL: not needed */
	uint32_t part;		/* bytes of the window that the file has */
	const uint8_t *window;	/* len bytes, zeros behind the part */
	uint8_t *own;		/* memory of a window that had to be padded */
	bool good[BLOCKS_MAX];
};

struct gather {
	struct store *s;
	struct seg_context cx;
	const struct span *sp;
	const struct seg_desc *d;
	bool checked; /* else quick */
	uint32_t off; /* the window, the same in every range */
	uint32_t len;
	uint32_t block; /* what is rebuilt at a time */
	unsigned n;
	struct source src[EC_TOTAL_MAX];
	struct bio *late; /* the nearest fragment's first read, or NULL */
	uint64_t deadline;
	uint64_t hedge_ns;
	unsigned answered; /* fragments whose data came when checking */
	uint32_t suspect;  /* bit per fragment */
};

/* All fragments that can be asked, the most promising first. */
void gather_add_sources(struct gather *g);
/* Requests under way are left to their backend, which minds the time. */
void gather_drop_sources(struct gather *g);

/* How much of the window the fragment's file has: src->part. */
void source_set_part(const struct gather *g, struct source *src);
/* IDLE -> ASKED, or READ if nothing need be read. 0 or -ENOMEM. */
int source_ask(struct gather *g, struct source *src) MUST_USE;
/* Have all its requests ended? */
bool source_ended(const struct source *src);
/* Then: -> READ or FAILED. 0 or -ENOMEM. */
int source_judge(struct gather *g, struct source *src) MUST_USE;

static inline bool source_under_way(const struct source *src)
{
	return src->state == SOURCE_ASKED || src->state == SOURCE_LATE;
}

#endif
