/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.h - a mounted mendfs seen by a command: finding the mount, and
 * talking to its daemon by the control socket (fs/control.h). One thread.
 */
#ifndef MENDFS_TOOLS_CLIENT_H
#define MENDFS_TOOLS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/diag.h"
#include "base/err.h"
#include "fs/fuse_mounts.h"

struct json_t; /* of jansson */

#define CLIENT_LINE_MAX (1u << 20)
#define CLIENT_FOREVER	UINT64_MAX

/*
 * The mendfs mount that the user means: mounted at path, or, with `inside`,
 * holding it. Errors come with a diag.
 */
int client_find(const char *path, bool inside, struct diag *diag,
		struct mounted *out) MUST_USE;

enum client_state {
	CLIENT_ALIVE,
	CLIENT_DEAD, /* still mounted, but its daemon is gone */
	CLIENT_HUNG, /* its daemon is there and does not answer */
};
/* Never waits for the mount, and at most CLIENT_PING_MS for its daemon. */
#define CLIENT_PING_MS 3000
enum client_state client_state(const struct mounted *m);
/*
 * The process that serves the mount, also when it hangs. -ENOENT,
 * -ECONNREFUSED: it is gone; -EACCES: another's.
 */
int client_owner(const struct mounted *m, pid_t *out) MUST_USE;

struct client {
	int fd;
	char *buf; /* CLIENT_LINE_MAX bytes */
	size_t len;
};
/* -ECONNREFUSED, -ENOENT: nobody listens; -EACCES: another's mount. */
int client_open(const struct mounted *m, struct client *out) MUST_USE;
/* Sends {"command": command}. */
int client_send(struct client *c, const char *command) MUST_USE;
/*
 * The next line's object; json_decref. -ETIMEDOUT after timeout_ms, -EPIPE:
 * the daemon has ended; -EBADMSG.
 */
int client_receive(struct client *c, uint64_t timeout_ms,
		   struct json_t **out) MUST_USE;
void client_close(struct client *c);

/*
 * All in one. An answer with "ok": false is an error with its message as diag;
 * so is a daemon that cannot be reached.
 */
int client_call(const struct mounted *m, const char *command,
		uint64_t timeout_ms, struct diag *diag,
		struct json_t **out) MUST_USE;

/* The code with this name ("ERR_TOO_FEW", "EIO"); -EIO for unknown ones. */
int client_code(const char *name);

#endif
