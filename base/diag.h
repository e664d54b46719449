/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diag.h - what a person is told when opening or making a pool fails.
 *
 * An error code says which cause; a diag adds the thing, the cause and the
 * next command in words. Functions that people meet directly (mkfs, mount,
 * fsck) take one; the first message set wins, so that the innermost function,
 * which knows most, is the one that is heard. Not thread-safe: one caller.
 */
#ifndef MENDFS_BASE_DIAG_H
#define MENDFS_BASE_DIAG_H

#define DIAG_SIZE 2048

struct diag {
	char text[DIAG_SIZE]; /* "" = nothing set; no trailing newline */
};

#define DIAG_INIT          \
	{                  \
		.text = "" \
	}

/*
 * Sets the text unless one is set already (or d is NULL), and returns rc, so
 * that callers can write: return diag_fail(d, -ERR_FOREIGN, "%s: ...", path).
 */
int diag_fail(struct diag *d, int rc, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The text, or err_text(rc) where none was set. Never NULL. */
const char *diag_text(const struct diag *d, int rc);

#endif
