/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse_mounts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/osfile.h"

#define MOUNTINFO     "/proc/self/mountinfo"
#define MOUNTINFO_MAX (64u << 20)
#define FIELDS_MIN    5 /* before the optional ones and the "-" */

void mounted_release(struct mounted *m)
{
	mem_free(steal(&m->path));
	mem_free(steal(&m->source));
	mem_free(steal(&m->type));
}

/* ---- one line ---- */

/* The kernel writes space, tab, newline and backslash as \ooo. In place. */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' &&
		    s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 |
				       (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

static bool has_option(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = list; p; p = strchr(p, ',')) {
		p += *p == ',';
		if (strncmp(p, name, len) == 0 &&
		    (p[len] == ',' || p[len] == '\0'))
			return true;
	}
	return false;
}

static uint32_t option_uid(const char *list)
{
	const char *p = strstr(list, "user_id=");

	return p ? (uint32_t)strtoul(p + strlen("user_id="), NULL, 10) : 0;
}

/*
 * "36 35 0:98 / /mnt rw,noatime shared:1 - fuse.mendfs source rw,user_id=0".
 * The strings of m point into line. false: not such a line.
 */
static bool parse_line(char *line, struct mounted *m)
{
	char *dash = strstr(line, " - "), *save = NULL;
	char *field[FIELDS_MIN + 1];
	char *super;

	if (!dash)
		return false;
	*dash = '\0';
	for (unsigned i = 0; i <= FIELDS_MIN; i++) {
		field[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!field[i])
			return false;
	}
	m->type = strtok_r(dash + 3, " ", &save);
	m->source = strtok_r(NULL, " ", &save);
	super = strtok_r(NULL, " ", &save);
	if (!super || sscanf(field[2], "%u:%u", &m->major, &m->minor) != 2)
		return false;
	m->path = field[4];
	m->read_only = has_option(field[5], "ro") || has_option(super, "ro");
	m->uid = option_uid(super);
	unescape(m->path);
	unescape(m->source);
	return true;
}

int fuse_mounts_each(int (*each)(void *arg, const struct mounted *m), void *arg)
{
	AUTO_FREE uint8_t *text = NULL;
	struct mounted m;
	size_t len;
	int rc = os_read_file(MOUNTINFO, MOUNTINFO_MAX, &text, &len);
	char *line, *save = NULL;

	if (rc < 0)
		return rc;
	line = strtok_r((char *)text, "\n", &save);
	while (line && rc == 0) {
		if (parse_line(line, &m))
			rc = each(arg, &m);
		line = strtok_r(NULL, "\n", &save);
	}
	return rc;
}

/* ---- finding ---- */

struct search {
	const char *path;
	bool inside;
	size_t best; /* length of the best mount point so far */
	struct mounted *out;
};

static bool matches(const struct search *s, const char *mount, size_t len)
{
	if (!s->inside)
		return strcmp(mount, s->path) == 0;
	if (len == 1)
		return true; /* "/" */
	return strncmp(s->path, mount, len) == 0 &&
	       (s->path[len] == '/' || s->path[len] == '\0');
}

static int copy(const struct mounted *m, struct mounted *out)
{
	struct mounted c = *m;

	c.path = mem_strdup(m->path);
	c.source = mem_strdup(m->source);
	c.type = mem_strdup(m->type);
	if (!c.path || !c.source || !c.type) {
		mounted_release(&c);
		return -ENOMEM;
	}
	mounted_release(out);
	*out = c;
	return 0;
}

/* Later lines cover earlier ones of the same place. */
static int consider(void *arg, const struct mounted *m)
{
	struct search *s = arg;
	size_t len = strlen(m->path);

	if (!matches(s, m->path, len) || len < s->best)
		return 0;
	s->best = len;
	return copy(m, s->out);
}

int fuse_mounts_find(const char *path, bool inside, struct mounted *out)
{
	struct search s = {.path = path, .inside = inside, .out = out};
	int rc;

	*out = (struct mounted){0};
	rc = fuse_mounts_each(consider, &s);
	if (rc == 0 && (!out->type || strcmp(out->type, FUSE_MOUNTS_TYPE) != 0))
		rc = -ENOENT;
	if (rc < 0)
		mounted_release(out);
	return rc;
}

static int same_device(void *arg, const struct mounted *m)
{
	const unsigned *device = arg;

	return m->major == device[0] && m->minor == device[1];
}

bool fuse_mounts_shared(unsigned major, unsigned minor)
{
	unsigned device[2] = {major, minor};

	return fuse_mounts_each(same_device, device) == 1;
}
