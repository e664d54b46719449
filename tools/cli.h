/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.h - what all commands share: option tables, help, messages, exit codes.
 *
 * A command describes itself by a table; parsing and --help follow from it.
 * One thread.
 */
#ifndef MENDFS_TOOLS_CLI_H
#define MENDFS_TOOLS_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/diag.h"
#include "base/err.h"

/* Documented in mendfs.1. */
enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_PASSPHRASE = 3,
	CLI_TOO_FEW = 4,
	CLI_IN_USE = 5,
	CLI_DAMAGE = 6,
	CLI_ROLLBACK = 7
};

struct cli_option {
	const char *name;  /* without dashes; NULL: it has a letter only */
	char letter;	   /* '\0': it has a name only */
	const char *value; /* what follows it, for the help; NULL: nothing */
	const char *help;
	/*
	 * Stores it in the command's own struct. 0 or an error with a diag
	 * that tells what is wrong with the value.
	 */
	int (*take)(void *into, const char *value, struct diag *diag);
};

/* Defines take_<field>: sets a flag of the command's own struct `type`. */
#define CLI_TAKE_FLAG(type, field, setting)                    \
	static int take_##field(void *into, const char *value, \
				struct diag *diag)             \
	{                                                      \
		(void)value;                                   \
		(void)diag;                                    \
		((type *)into)->setting;                       \
		return 0;                                      \
	}
/* An option that others expect and that means nothing here. */
int cli_take_nothing(void *into, const char *value, struct diag *diag);

struct cli_command {
	const char *name;     /* "mendfs status", for messages */
	const char *operands; /* "[MNT|SRC]" */
	const char *summary;
	const struct cli_option *options;
	size_t n;
	unsigned min, max;	 /* operands */
	void (*more_help)(void); /* printed below the options; may be NULL */
};

/*
 * Reads the options of argv (argv[0] is skipped) into `into`; operands are
 * moved to the end. Returns the index of the first one. Otherwise -1: the
 * command is over (help was asked for, or a message was printed) and *exit_out
 * is its exit code.
 */
int cli_parse(const struct cli_command *c, int argc, char **argv, void *into,
	      int *exit_out) MUST_USE;

/* The exit code for rc; 0 for rc >= 0. */
int cli_exit_code(int rc);
/* Prints what d or rc says, after `who`, and returns the exit code. */
int cli_fail(const char *who, int rc, const struct diag *d);
/* "who: warning: ..." on standard error. */
void cli_warn(const char *who, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* A usage message with a hint at --help; returns CLI_USAGE. */
int cli_usage(const struct cli_command *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* May colours be used on this stream (a terminal, and no NO_COLOR)? */
bool cli_colour(int fd);

/* Commands, each main()-like: cmd_<name>.c. */
int cmd_mkfs(int argc, char **argv);
int cmd_mount(int argc, char **argv);
int cmd_mount_helper(int argc, char **argv);
int cmd_umount(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_sync(int argc, char **argv);
int cmd_fsck(int argc, char **argv);

#endif
