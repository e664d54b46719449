/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/location.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "backend/driver.h"

static const char *const kinds[] = {"dir", "fault", "mem"};

static bool is_kind(const char *word, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strlen(kinds[i]) == len && memcmp(kinds[i], word, len) == 0)
			return true;
	return false;
}

char *location_absolute_path(const char *path)
{
	char *real = realpath(path, NULL);
	char *out;

	if (real) {
		out = mem_strdup(real);
		free(real);
		return out;
	}
	if (path[0] == '/')
		return mem_strdup(path);
	real = getcwd(NULL, 0);
	out = mem_printf("%s/%s", real ? real : "", path);
	free(real);
	return out;
}

char *location_absolute(const char *location)
{
	const char *path = driver_location_path(location);
	size_t kind = (size_t)(path - location);
	AUTO_FREE char *full = NULL;

	/* "mem:NAME" is no path. */
	if (kind >= 4 && strncmp(path - 4, "mem:", 4) == 0)
		return mem_strdup(location);
	full = location_absolute_path(path);
	return full ? mem_printf("%.*s%s", (int)kind, location, full) : NULL;
}

static int add(struct locations *l, const char *location)
{
	char **more = mem_realloc(l->at, (l->n + 1) * sizeof(*more));
	char *full;

	if (!more)
		return -ENOMEM;
	l->at = more;
	full = location_absolute(location);
	if (!full)
		return -ENOMEM;
	l->at[l->n++] = full;
	return 0;
}

/* The ':' behind the location at s (or its end): kinds keep theirs. */
static char *location_end(char *s)
{
	char *end = s + strcspn(s, ":");

	while (*end == ':' && is_kind(s, (size_t)(end - s))) {
		s = end + 1;
		end = s + strcspn(s, ":");
	}
	return end;
}

int locations_split(const char *source, struct locations *out)
{
	AUTO_FREE char *text = mem_strdup(source);
	char *s = text, *end;
	int rc = text ? 0 : -ENOMEM;
	bool last = false;

	*out = (struct locations){0};
	while (rc == 0 && !last) {
		end = location_end(s);
		last = *end == '\0';
		*end = '\0';
		rc = *s ? add(out, s) : -EINVAL;
		s = end + 1;
	}
	if (rc < 0)
		locations_release(out);
	return rc;
}

int locations_take(char *const *words, unsigned n, struct locations *out)
{
	int rc = 0;

	*out = (struct locations){0};
	for (unsigned i = 0; rc == 0 && i < n; i++)
		rc = add(out, words[i]);
	if (rc < 0)
		locations_release(out);
	return rc;
}

void locations_release(struct locations *l)
{
	for (unsigned i = 0; i < l->n; i++)
		mem_free(l->at[i]);
	mem_free(l->at);
	*l = (struct locations){0};
}

const char *const *locations_list(const struct locations *l)
{
	return (const char *const *)l->at;
}
