/* SPDX-License-Identifier: Apache-2.0 */
#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>

/* stdio, not the log: the log's own lock may be what failed. */
void must_fail_(const char *file, int line, const char *func, const char *cond)
{
	fprintf(stderr, "mendfs: bug at %s:%d %s: %s\n", file, line, func,
		cond);
	abort();
}
