/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mutant.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const struct mutant_info table[] = {
#define MUTANT_INFO_(name, breaks, what) {#name, breaks, what},
	MUTANT_TABLE(MUTANT_INFO_)
#undef MUTANT_INFO_
};

const struct mutant_info *mutant_info(enum mutant m)
{
	return m > MUTANT_NONE && m < MUTANTS ? &table[m - 1] : NULL;
}

#ifdef MENDFS_MUTANTS

enum mutant mutant_chosen;

int mutant_choose(const char *name)
{
	mutant_chosen = MUTANT_NONE;
	if (!name || !name[0])
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (strcmp(table[i].name, name) == 0)
			mutant_chosen = (enum mutant)(i + 1);
	return mutant_chosen == MUTANT_NONE ? -ENOENT : 0;
}

/* A mistyped name would look like a mutant that nothing notices. */
__attribute__((constructor)) static void choose_at_start(void)
{
	const char *name = getenv("MENDFS_MUTANT");

	if (mutant_choose(name) == 0)
		return;
	fprintf(stderr, "MENDFS_MUTANT=%s: no such mutant\n", name);
	exit(2);
}

#else

int mutant_choose(const char *name)
{
	return !name || !name[0] ? 0 : -ENOENT;
}

#endif
