/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.h - the control socket of a running daemon.
 *
 * A Unix stream socket, found by the device number of the mount
 * (control_path.h). A client sends one line, a JSON object with a "command",
 * and gets one line back, a JSON object with "ok": true and the result, or
 * "ok": false with "error" (name of the code) and "message". Commands:
 *
 *   ping     {"ok": true, "pid": N}
 *   status   control_status.h
 *   sync     everything written so far, the kernel's pages included, is
 *            durable when the answer comes
 *   wait     answered at once, as ping; then the connection stays open, and
 *            before the daemon ends it gets {"closed": true, "error": null} or
 *            the name of what kept data from becoming durable. The end of the
 *            connection is the end of the process.
 *
 * Only root and the user of the daemon are served. A line has at most
 * CONTROL_LINE_MAX bytes and must come within CONTROL_TIMEOUT_MS. Requests
 * have threads of their own; none is one that answers FUSE requests.
 */
#ifndef MENDFS_FS_CONTROL_H
#define MENDFS_FS_CONTROL_H

#include "base/diag.h"
#include "base/err.h"
#include "fs/volume.h"

#define CONTROL_LINE_MAX   4096
#define CONTROL_TIMEOUT_MS 5000

struct control;

struct control_options {
	struct volume *v;	/* borrowed until control_quiesce */
	const char *mountpoint; /* copied */
	unsigned major, minor;	/* of the mount */
	int (*sync)(void *arg); /* until control_quiesce */
	void *arg;
};

/* Listens. Errors come with a diag. */
int control_start(const struct control_options *o, struct diag *diag,
		  struct control **out) MUST_USE;
/*
 * Removes the socket and ends requests that are being answered: the volume is
 * not used any more when it returns. Those who wait go on waiting. NULL is
 * allowed, as below.
 */
void control_quiesce(struct control *c);
/*
 * Tells those who wait how the volume was closed (rc of volume_close), frees.
 * Their connections are left open on purpose: the process ends next.
 */
void control_finish(struct control *c, int rc);

#endif
