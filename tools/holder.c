/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/holder.h"

#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include "base/host.h"
#include "base/mem.h"
#include "tools/client.h"
#include "tools/peek.h"

struct holder {
	pid_t pid;
	struct host_process process;
	char *mountpoint; /* NULL: not found */
	enum client_state state;
};

static pid_t find_pid(const struct locations *folders)
{
	pid_t pid = 0;

	for (unsigned i = 0; i < folders->n && !pid; i++)
		pid = peek_lock_owner(folders->at[i]);
	return pid;
}

/* Is it the mount of that process? */
static int match(void *arg, const struct mounted *m)
{
	struct holder *h = arg;
	pid_t pid;

	if (strcmp(m->type, FUSE_MOUNTS_TYPE) != 0 ||
	    client_owner(m, &pid) < 0 || pid != h->pid)
		return 0;
	h->mountpoint = mem_strdup(m->path);
	h->state = client_state(m);
	return 1;
}

static void tell_living(const struct holder *h, char *text, size_t len)
{
	if (!h->mountpoint)
		snprintf(text, len, "'kill %d' ends it", (int)h->pid);
	else if (h->state == CLIENT_ALIVE)
		snprintf(text, len, "'mendfs umount %s' ends it",
			 h->mountpoint);
	else
		snprintf(text, len,
			 "it does not answer: 'kill -9 %d' ends it (what was "
			 "synced is safe), then 'mendfs umount --lazy %s' "
			 "clears its mount",
			 (int)h->pid, h->mountpoint);
}

static void tell_state(const struct holder *h, char *text, size_t len)
{
	if (h->process.dead && h->mountpoint)
		snprintf(
			text, len,
			"it was killed, but is not gone: 'mendfs umount %s' "
			"clears its mount and frees it, if it does not hang in "
			"a folder that does not answer; then 'umount -f' of "
			"the file system that folder is on does, or a restart "
			"of the machine",
			h->mountpoint);
	else if (h->process.dead)
		snprintf(text, len,
			 "it was killed, but hangs in a folder that does not "
			 "answer. 'umount -f' of the file system that folder "
			 "is on frees it (for a FUSE one, killing its server "
			 "does, too); failing that, only a restart of the "
			 "machine");
	else if (h->process.stuck && h->state != CLIENT_ALIVE)
		snprintf(text, len,
			 "it hangs in a folder that does not answer: 'kill -9 "
			 "%d', then 'umount -f' of the file system that "
			 "folder is on",
			 (int)h->pid);
	else
		tell_living(h, text, len);
}

void holder_tell(const struct locations *folders, struct diag *diag)
{
	struct holder h = {.pid = find_pid(folders), .state = CLIENT_HUNG};
	char what[DIAG_SIZE];
	size_t len = strlen(diag->text);

	if (!h.pid || host_process(h.pid, &h.process) < 0)
		return;
	if (fuse_mounts_each(match, &h) < 0)
		h.mountpoint = NULL; /* it goes without saying where */
	tell_state(&h, what, sizeof(what));
	snprintf(diag->text + len, sizeof(diag->text) - len,
		 ". Process %d (%s) has locked it%s%s: %s", (int)h.pid,
		 h.process.name, h.mountpoint ? ", for the mount on " : "",
		 h.mountpoint ? h.mountpoint : "", what);
	mem_free(h.mountpoint);
}
