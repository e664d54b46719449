/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/client.h"

#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/statfs.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/osfile.h"
#include "fs/control_path.h"
#include "tools/location.h"

/* ---- mounts ---- */

/*
 * An absolute path without a look at its last part: of a dead mount nothing
 * can be asked, but the folder above it can.
 */
static char *resolve_above(const char *path)
{
	AUTO_FREE char *copy = mem_strdup(path);
	AUTO_FREE char *above = NULL;
	char *slash;
	size_t len;

	if (!copy)
		return NULL;
	len = strlen(copy);
	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = '\0';
	slash = strrchr(copy, '/');
	if (!slash || strcmp(slash, "/..") == 0 || strcmp(slash, "/.") == 0)
		return location_absolute_path(copy);
	*slash = '\0';
	above = location_absolute_path(*copy ? copy : "/");
	if (!above)
		return NULL;
	return mem_printf("%s/%s", strcmp(above, "/") ? above : "", slash + 1);
}

int client_find(const char *path, bool inside, struct diag *diag,
		struct mounted *out)
{
	AUTO_FREE char *plain = resolve_above(path);
	AUTO_FREE char *real = NULL;
	int rc = plain ? fuse_mounts_find(plain, false, out) : -ENOMEM;

	if (rc == -ENOENT) {
		real = location_absolute_path(path);
		rc = real ? fuse_mounts_find(real, inside, out) : -ENOMEM;
	}
	if (rc == -ENOENT)
		return diag_fail(diag, rc,
				 "%s is not %s mendfs mount; 'mendfs status' "
				 "lists them",
				 path, inside ? "in a" : "a");
	return rc;
}

/* ---- connection ---- */

int client_open(const struct mounted *m, struct client *out)
{
	int fd = control_path_connect(m->major, m->minor, m->uid);

	if (fd < 0)
		return fd;
	*out = (struct client){.fd = fd, .buf = mem_alloc(CLIENT_LINE_MAX)};
	if (out->buf)
		return 0;
	os_close(fd);
	return -ENOMEM;
}

void client_close(struct client *c)
{
	os_close(c->fd);
	mem_free(c->buf);
}

int client_send(struct client *c, const char *command)
{
	AUTO_FREE char *line = mem_printf("{\"command\":\"%s\"}\n", command);
	ssize_t n;

	if (!line)
		return -ENOMEM;
	/* So short that the kernel takes it whole. */
	n = send(c->fd, line, strlen(line), MSG_NOSIGNAL);
	if (n < 0)
		return -errno;
	return (size_t)n == strlen(line) ? 0 : -EPIPE;
}

static int receive_more(struct client *c, uint64_t deadline_ms)
{
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	uint64_t now = clock_mono_ms();
	int wait = -1, n;
	ssize_t got;

	if (c->len == CLIENT_LINE_MAX)
		return -EBADMSG;
	if (deadline_ms != CLIENT_FOREVER)
		wait = now < deadline_ms ? (int)(deadline_ms - now) : 0;
	n = poll(&p, 1, wait);
	if (n == 0)
		return -ETIMEDOUT;
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	got = recv(c->fd, c->buf + c->len, CLIENT_LINE_MAX - c->len, 0);
	if (got < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	c->len += (size_t)got;
	return got == 0 ? -EPIPE : 0;
}

int client_receive(struct client *c, uint64_t timeout_ms, json_t **out)
{
	uint64_t deadline = timeout_ms == CLIENT_FOREVER
				    ? CLIENT_FOREVER
				    : clock_mono_ms() + timeout_ms;
	char *end;
	int rc;

	while (!(end = memchr(c->buf, '\n', c->len))) {
		rc = receive_more(c, deadline);
		if (rc < 0)
			return rc;
	}
	*out = json_loadb(c->buf, (size_t)(end - c->buf), 0, NULL);
	end++;
	c->len -= (size_t)(end - c->buf);
	memmove(c->buf, end, c->len);
	return *out ? 0 : -EBADMSG;
}

/* ---- the other end ---- */

/* Only where nobody listens: else it might wait for the daemon. */
static bool is_disconnected(const struct mounted *m)
{
	struct statfs st;

	return statfs(m->path, &st) < 0 &&
	       (errno == ENOTCONN || errno == ECONNABORTED);
}

static int ping(struct client *c)
{
	json_t *answer = NULL;
	int rc = client_send(c, "ping");

	if (rc == 0)
		rc = client_receive(c, CLIENT_PING_MS, &answer);
	json_decref(answer);
	return rc;
}

enum client_state client_state(const struct mounted *m)
{
	struct client c;
	int rc = client_open(m, &c);

	if (rc == 0) {
		rc = ping(&c);
		client_close(&c);
	}
	if (rc == 0)
		return CLIENT_ALIVE;
	if (rc == -ETIMEDOUT)
		return CLIENT_HUNG;
	return is_disconnected(m) ? CLIENT_DEAD : CLIENT_ALIVE;
}

int client_owner(const struct mounted *m, pid_t *out)
{
	AUTO_FD int fd = control_path_connect(m->major, m->minor, m->uid);
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (fd < 0)
		return fd;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	*out = peer.pid;
	return 0;
}

/* ---- calls ---- */

int client_code(const char *name)
{
	for (int rc = -1; name && rc > -ERR_LAST_; rc--)
		if (strcmp(err_name(rc), name) == 0)
			return rc;
	return -EIO;
}

static int fail_reach(const struct mounted *m, int rc, struct diag *diag)
{
	if (rc == -ETIMEDOUT)
		return diag_fail(diag, rc,
				 "%s: its daemon does not answer; a folder of "
				 "the pool may hang",
				 m->path);
	if (is_disconnected(m))
		return diag_fail(diag, -ENOTCONN,
				 "%s: its daemon is gone (killed or crashed); "
				 "clear it with 'mendfs umount %s', then mount "
				 "again",
				 m->path, m->path);
	if (rc == -EACCES)
		return diag_fail(diag, rc,
				 "%s was mounted by user %u: ask as that user "
				 "or as root",
				 m->path, m->uid);
	return diag_fail(diag, rc, "%s: cannot reach its daemon: %s", m->path,
			 err_text(rc));
}

static int exchange(struct client *c, const char *command, uint64_t timeout_ms,
		    json_t **out)
{
	int rc = client_send(c, command);

	return rc < 0 ? rc : client_receive(c, timeout_ms, out);
}

int client_call(const struct mounted *m, const char *command,
		uint64_t timeout_ms, struct diag *diag, json_t **out)
{
	struct client c;
	const char *message;
	int rc = client_open(m, &c);

	if (rc < 0)
		return fail_reach(m, rc, diag);
	rc = exchange(&c, command, timeout_ms, out);
	client_close(&c);
	if (rc < 0)
		return fail_reach(m, rc, diag);
	if (json_is_true(json_object_get(*out, "ok")))
		return 0;
	rc = client_code(json_string_value(json_object_get(*out, "error")));
	message = json_string_value(json_object_get(*out, "message"));
	rc = diag_fail(diag, rc, "%s: %s", m->path,
		       message ? message : err_text(rc));
	json_decref(*out);
	return rc;
}
