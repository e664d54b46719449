/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_umount.c - mendfs umount.
 *
 * The kernel says that a FUSE file system is gone before its daemon has made
 * the last changes durable. So a connection to the daemon is opened first, and
 * the command returns when the daemon has said how it went and has ended.
 */
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/host.h"
#include "base/mem.h"
#include "fs/fuse_unmount.h"
#include "tools/cli.h"
#include "tools/client.h"

#define ANSWER_MS   10000
#define PROGRESS_MS 1000
#define ENDED_MS    10000
#define LOOK_MS	    20

struct umount_args {
	const char *who;
	bool lazy;
};

/* ---- options ---- */

CLI_TAKE_FLAG(struct umount_args, lazy, lazy = true)

static const struct cli_option options[] = {
	{"lazy", 'l', NULL, "detach now, end when nobody uses it any more",
	 take_lazy},
};

static const struct cli_command command = {
	.name = "mendfs umount",
	.operands = "MNT",
	.summary = "Unmounts, and returns when everything is durable and the "
		   "daemon has ended.",
	.options = options,
	.n = ARRAY_LEN(options),
	.min = 1,
	.max = 1,
};

/* ---- unmounting ---- */

/* A dead mount serves nobody: who still uses it must not keep it. */
static int detach(const struct umount_args *a, const struct mounted *m,
		  bool dead)
{
	if (dead)
		return fuse_unmount_force(m->path, m->minor);
	if (geteuid() != 0)
		return fuse_unmount(m->path, a->lazy, false);
	if (umount2(m->path, UMOUNT_NOFOLLOW | (a->lazy ? MNT_DETACH : 0)) < 0)
		return -errno;
	return 0;
}

/*
 * Was its daemon killed, but is still there? It may have been in the kernel,
 * waiting for its own answers; *pid is set then.
 */
static bool is_killed(const struct mounted *m, pid_t *pid)
{
	struct host_process p;

	return client_owner(m, pid) == 0 && host_process(*pid, &p) == 0 &&
	       p.dead;
}

/* Its locks of the folders go with it. */
static void await_end(pid_t pid)
{
	uint64_t until = clock_mono_ms() + ENDED_MS;
	struct host_process p;

	while (host_process(pid, &p) == 0 && clock_mono_ms() < until)
		(void)poll(NULL, 0, LOOK_MS);
}

static int fail_detach(const struct mounted *m, int rc, struct diag *diag)
{
	if (rc == -EBUSY)
		return diag_fail(
			diag, rc,
			"%s is in use; 'fuser -vm %s' shows by whom, "
			"'mendfs umount --lazy %s' detaches it all the "
			"same",
			m->path, m->path, m->path);
	return diag_fail(diag, rc, "%s: cannot unmount: %s", m->path,
			 err_text(rc));
}

/* ---- waiting for the daemon ---- */

/* Asks to be told of the end. c->fd is -1 where nobody answers. */
static int subscribe(const struct mounted *m, struct client *c)
{
	json_t *answer = NULL;
	int rc = client_open(m, c);

	if (rc < 0) {
		*c = (struct client){.fd = -1};
		return rc;
	}
	rc = client_send(c, "wait");
	if (rc == 0)
		rc = client_receive(c, ANSWER_MS, &answer);
	json_decref(answer);
	if (rc < 0) {
		client_close(c);
		*c = (struct client){.fd = -1};
	}
	return rc;
}

static void show_progress(const struct umount_args *a, uint64_t since_ms)
{
	uint64_t seconds = (clock_mono_ms() - since_ms) / 1000;

	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%s: writing what is left ... %llu s ",
			a->who, (unsigned long long)seconds);
	else if (seconds == 10)
		fprintf(stderr, "%s: writing what is left\n", a->who);
}

/* The next line; its end with -EPIPE. */
static int wait_line(const struct umount_args *a, struct client *c,
		     json_t **out)
{
	uint64_t since = clock_mono_ms();
	bool shown = false;
	int rc;

	while ((rc = client_receive(c, PROGRESS_MS, out)) == -ETIMEDOUT) {
		show_progress(a, since);
		shown = true;
	}
	if (shown && isatty(STDERR_FILENO))
		fputc('\n', stderr);
	return rc;
}

static int judge(const struct mounted *m, const json_t *last, struct diag *diag)
{
	const char *code = json_string_value(json_object_get(last, "error"));
	const char *text = json_string_value(json_object_get(last, "message"));

	if (!last)
		return diag_fail(diag, -EIO,
				 "%s: the daemon ended without saying that "
				 "everything is durable; the system log tells "
				 "why. What was synced is safe",
				 m->path);
	if (!code)
		return 0;
	return diag_fail(diag, client_code(code),
			 "%s: unmounted, but not everything could be made "
			 "durable: %s. What was synced before is safe",
			 m->path, text ? text : code);
}

static int wait_end(const struct umount_args *a, const struct mounted *m,
		    struct client *c, struct diag *diag)
{
	json_t *last = NULL, *extra = NULL;
	int rc = wait_line(a, c, &last);

	/* It has said how it went; now it only has to end. */
	while (rc == 0) {
		rc = wait_line(a, c, &extra);
		json_decref(extra);
		extra = NULL;
	}
	rc = rc == -EPIPE ? judge(m, last, diag) : rc;
	json_decref(last);
	return rc;
}

/* ---- the whole ---- */

/* Whoever waits for it might wait for ever. */
static int fail_hung(const struct mounted *m, struct diag *diag)
{
	pid_t pid = 0;

	if (client_owner(m, &pid) < 0)
		pid = 0;
	return diag_fail(diag, -ETIMEDOUT,
			 "%s: its daemon (process %d) does not answer. Wait, "
			 "or 'kill -9 %d', which loses what is not synced, "
			 "and 'mendfs umount --lazy %s'",
			 m->path, (int)pid, (int)pid, m->path);
}

static int unmount(const struct umount_args *a, const struct mounted *m,
		   struct diag *diag)
{
	struct client c = {.fd = -1};
	enum client_state state = client_state(m);
	bool killed, dead = state == CLIENT_DEAD;
	int rc, told = -ENOTCONN;
	pid_t pid;

	killed = state == CLIENT_HUNG && is_killed(m, &pid);
	dead |= killed;
	if (state == CLIENT_HUNG && !dead && !a->lazy)
		return fail_hung(m, diag);
	if (state == CLIENT_ALIVE)
		told = subscribe(m, &c);
	rc = detach(a, m, dead);
	if (rc == 0 && killed)
		await_end(pid);
	if (rc < 0)
		rc = fail_detach(m, rc, diag);
	else if (dead)
		cli_warn(a->who,
			 "%s: its daemon was gone already; the next mount "
			 "recovers what was synced",
			 m->path);
	else if (told < 0)
		cli_warn(a->who,
			 "%s: the daemon cannot be reached (%s); it may still "
			 "be writing",
			 m->path, err_text(told));
	else if (!a->lazy && !fuse_mounts_shared(m->major, m->minor))
		rc = wait_end(a, m, &c, diag);
	if (c.fd >= 0)
		client_close(&c);
	return rc;
}

int cmd_umount(int argc, char **argv)
{
	struct umount_args a = {.who = command.name};
	struct diag diag = DIAG_INIT;
	struct mounted m;
	int code, rc, first = cli_parse(&command, argc, argv, &a, &code);

	if (first < 0)
		return code;
	rc = client_find(argv[first], false, &diag, &m);
	if (rc == 0) {
		rc = unmount(&a, &m, &diag);
		mounted_release(&m);
	}
	if (rc < 0)
		(void)cli_fail(a.who, rc, &diag);
	return rc < 0 ? CLI_FAILED : CLI_OK;
}
