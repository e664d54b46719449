/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explore.h - cuts the power in a life, recovers, looks.
 */
#ifndef MENDFS_TESTS_SIM_EXPLORE_H
#define MENDFS_TESTS_SIM_EXPLORE_H

#include "world.h"

/* One failure of the power and with what it is recovered from. */
struct cut {
	size_t p; /* after so many changes */
	enum sim_loss loss;
	uint64_t mask;
	unsigned hidden; /* folders missing then */
	bool cache;	 /* the local index is still there */
};

/* How to get to one state: printed on failure, given to --state. */
struct spec {
	uint64_t seed;
	unsigned life;
	struct cut cut;
	bool twice; /* the power fails again, in that recovery */
	struct cut again;
};

#define SPEC_TEXT 200
void spec_print(const struct spec *s, char out[SPEC_TEXT]);
/* false: it is none. */
bool spec_parse(const char *text, struct spec *out);

struct explore_options {
	uint64_t states; /* of one history, about */
	bool small;	 /* every cut, every subset, every way to recover */
	const struct spec *only;
};
/* A whole history. */
void explore_history(uint64_t seed, const struct explore_options *o);

#endif
