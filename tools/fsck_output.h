/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsck_output.h - what fsck.mendfs shows: findings as lines or as one JSON
 * object, progress on a terminal, a summary. One thread.
 */
#ifndef MENDFS_TOOLS_FSCK_OUTPUT_H
#define MENDFS_TOOLS_FSCK_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "repair/check.h"

struct json_t;

struct fsck_output {
	bool verbose; /* all findings, also those of no harm */
	bool json;
	bool progress;			/* standard error is a terminal */
	uint64_t seen[FINDING_COUNT];	/* how many of each */
	uint64_t hidden[FINDING_COUNT]; /* of them, not shown */
	struct json_t *findings; /* jansson.h */
	bool failed; /* no memory for the JSON */
	uint64_t begun_ns, shown_ns;
	bool line_open; /* a progress line stands on the terminal */
};

/* 0 or -ENOMEM; fsck_output_release afterwards in any case. */
int fsck_output_init(struct fsck_output *out, bool verbose, bool json) MUST_USE;
void fsck_output_release(struct fsck_output *out);

/* For struct check_options; arg: the output. */
void fsck_output_finding(void *arg, const struct finding *f);
void fsck_output_progress(void *arg, uint64_t done, uint64_t total);

struct fsck_summary {
	const struct pool *pool;
	struct check_totals totals;
	bool read_data;
	bool complete; /* the check came to its end */
	int exit_code;
};
/* -ENOMEM: the JSON could not be made, nothing was printed. */
int fsck_output_end(struct fsck_output *out,
		    const struct fsck_summary *s) MUST_USE;

#endif
