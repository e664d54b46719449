/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passphrase.h - where the passphrase comes from. Never from argv.
 *
 * The first of these that is there: the file given (- is standard input), the
 * file that MENDFS_PASSFILE names, the systemd credential "mendfs", the
 * terminal (without echo). One newline at the end does not count. One thread.
 */
#ifndef MENDFS_TOOLS_PASSPHRASE_H
#define MENDFS_TOOLS_PASSPHRASE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/diag.h"
#include "base/err.h"

#define PASSPHRASE_MAX 4096

/* In locked memory that core dumps leave out. Zero-initialise. */
struct passphrase {
	char *text; /* not NUL-terminated */
	size_t len; /* 1..PASSPHRASE_MAX */
};

struct passphrase_options {
	const char *who;  /* for the prompt and warnings */
	const char *file; /* NULL: not given */
	bool confirm;	  /* on the terminal: twice */
};

/*
 * 0, or an error with a diag: -EINVAL (empty, too long, or the two differ),
 * -ENXIO (no terminal either), -ENOENT ...
 */
int passphrase_get(const struct passphrase_options *o, struct diag *diag,
		   struct passphrase *out) MUST_USE;
/* Wipes. Empty ones are allowed. */
void passphrase_release(struct passphrase *p);

/* Private: terminal.c. Reads a line without echo, without its newline. */
int passphrase_ask(const char *prompt, char *buf, size_t size,
		   size_t *len_out) MUST_USE;

#endif
