/* SPDX-License-Identifier: Apache-2.0 */
#include "base/host.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/osfile.h"
#include "base/sync.h"

#define STAT_MAX 4096
#define FILE_MAX 4096

static struct mutex mu = MUTEX_INIT;
static struct host known;
static bool is_known;
static struct host pretended;
static bool is_pretended;

/* The first word of a file; "" where there is none. */
static void read_word(const char *path, char out[HOST_TEXT + 1])
{
	AUTO_FREE uint8_t *text = NULL;
	size_t len;

	out[0] = '\0';
	if (os_read_file(path, FILE_MAX, &text, &len) < 0)
		return;
	len = strcspn((char *)text, " \t\r\n");
	if (len <= HOST_TEXT)
		snprintf(out, HOST_TEXT + 1, "%.*s", (int)len, (char *)text);
}

/* Some systems write this while the id is still to be made. */
static void drop_placeholder(char *id)
{
	if (strcmp(id, "uninitialized") == 0)
		id[0] = '\0';
}

static void read_name(char out[HOST_TEXT + 1])
{
	struct utsname u;

	out[0] = '\0';
	if (uname(&u) == 0)
		snprintf(out, HOST_TEXT + 1, "%.*s", HOST_TEXT, u.nodename);
}

static void read_host(struct host *h)
{
	struct host_process self;

	read_word("/etc/machine-id", h->machine);
	drop_placeholder(h->machine);
	read_word("/proc/sys/kernel/random/boot_id", h->boot);
	read_name(h->name);
	h->pid = getpid();
	h->started = host_process(h->pid, &self) == 0 ? self.started : 0;
}

void host_get(struct host *out)
{
	MUTEX_GUARD(&mu);
	if (is_pretended) {
		*out = pretended;
		return;
	}
	/* A daemon is not the process that it was forked from. */
	if (!is_known || known.pid != getpid())
		read_host(&known);
	is_known = known.boot[0] != '\0';
	*out = known;
}

void host_replace(const struct host *h)
{
	MUTEX_GUARD(&mu);
	is_pretended = h != NULL;
	if (h)
		pretended = *h;
}

/* ---- processes ---- */

struct stat_line {
	char name[16];
	char state;
	uint64_t started;
};

/* "4711 (a name) S 1 ..."; the name may hold anything. */
static int read_stat(const char *path, struct stat_line *out)
{
	AUTO_FREE uint8_t *text = NULL;
	char *from, *to, *field, *save = NULL;
	size_t len;
	int rc = os_read_file(path, STAT_MAX, &text, &len);

	if (rc < 0)
		return rc == -ENOENT ? -ESRCH : rc;
	from = strchr((char *)text, '(');
	to = strrchr((char *)text, ')');
	if (!from || !to || to < from || to[1] != ' ')
		return -ESRCH;
	*to = '\0';
	snprintf(out->name, sizeof(out->name), "%s", from + 1);
	out->state = to[2];
	/* The state is the third field, the start the 22nd. */
	field = strtok_r(to + 2, " ", &save);
	for (int i = 3; field && i < 22; i++)
		field = strtok_r(NULL, " ", &save);
	if (!field)
		return -ESRCH;
	out->started = strtoull(field, NULL, 10);
	return 0;
}

struct threads {
	pid_t pid;
	unsigned living;
	bool stuck;
};

static bool has_ended(char state)
{
	return state == 'Z' || state == 'X';
}

static int look_at_thread(void *arg, const char *tid)
{
	struct threads *t = arg;
	AUTO_FREE char *path =
		mem_printf("/proc/%d/task/%s/stat", (int)t->pid, tid);
	struct stat_line s;

	if (!path || read_stat(path, &s) < 0 || has_ended(s.state))
		return 0;
	t->living++;
	t->stuck |= s.state == 'D';
	return 0;
}

int host_process(pid_t pid, struct host_process *out)
{
	AUTO_FREE char *path = mem_printf("/proc/%d/stat", (int)pid);
	AUTO_FREE char *tasks = mem_printf("/proc/%d/task", (int)pid);
	struct threads t = {.pid = pid};
	struct stat_line s = {0};
	AUTO_FD int fd = -1;
	int rc = path && tasks ? read_stat(path, &s) : -ENOMEM;

	if (rc < 0)
		return rc;
	fd = os_openat(AT_FDCWD, tasks, O_RDONLY | O_DIRECTORY, 0);
	if (fd >= 0)
		(void)os_each_name(fd, look_at_thread, &t);
	if (t.living == 0)
		return -ESRCH;
	*out = (struct host_process){
		.started = s.started,
		.dead = has_ended(s.state),
		.stuck = t.stuck,
	};
	memcpy(out->name, s.name, sizeof(out->name));
	return 0;
}
