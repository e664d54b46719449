/* SPDX-License-Identifier: Apache-2.0 */
#include "repair/finding.h"

#include <string.h>

#include "base/mem.h"

static const struct {
	const char *name;
	enum severity severity;
	const char *meaning;
	const char *todo;
} table[] = {
#define FINDING_ROW_(name, id, severity, meaning, todo) \
	{id, SEVERITY_##severity, meaning, todo},
	FINDING_TABLE(FINDING_ROW_)
#undef FINDING_ROW_
};

_Static_assert(ARRAY_LEN(table) == FINDING_COUNT, "one row per finding");

const char *finding_name(enum finding_id id)
{
	return table[id].name;
}

enum severity finding_severity(enum finding_id id)
{
	return table[id].severity;
}

const char *finding_meaning(enum finding_id id)
{
	return table[id].meaning;
}

const char *finding_todo(enum finding_id id)
{
	return table[id].todo;
}

enum finding_id finding_by_name(const char *name)
{
	unsigned i = 0;

	while (i < FINDING_COUNT && strcmp(table[i].name, name) != 0)
		i++;
	return (enum finding_id)i;
}

const char *severity_name(enum severity s)
{
	static const char *const names[] = {"info", "warning", "error"};

	_Static_assert(ARRAY_LEN(names) == SEVERITY_COUNT, "one per severity");
	return names[s];
}
