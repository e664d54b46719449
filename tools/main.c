/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - one program, several names: what it does depends on how it is
 * called, and as "mendfs" on the first word.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tools/cli.h"

struct entry {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv);
};

/* By argv[0]. */
static const struct entry programs[] = {
	{"mkfs.mendfs", "make a pool", cmd_mkfs},
	{"mount.mendfs", "mount a pool, for mount(8)", cmd_mount_helper},
	{"fsck.mendfs", "check a pool", cmd_fsck},
};

/* By the word behind "mendfs". */
static const struct entry commands[] = {
	{"mkfs", "make a pool (the same as mkfs.mendfs)", cmd_mkfs},
	{"mount", "mount a pool", cmd_mount},
	{"umount", "unmount, and wait until everything is durable", cmd_umount},
	{"status", "show the state of mounts and folders", cmd_status},
	{"sync", "make everything durable now", cmd_sync},
	{"fsck", "check a pool (the same as fsck.mendfs)", cmd_fsck},
};

static const struct entry *find(const struct entry *e, size_t n,
				const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(e[i].name, name) == 0)
			return &e[i];
	return NULL;
}

static int help(void)
{
	printf("usage: mendfs COMMAND [OPTION]... [ARGUMENT]...\n"
	       "Any handful of folders as one file system: compressed, "
	       "encrypted, erasure coded.\n\ncommands:\n");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		printf("  %-12s%s\n", commands[i].name, commands[i].summary);
	printf("\noptions:\n"
	       "  -h, --help     show this help\n"
	       "  -V, --version  show the version\n"
	       "\n'mendfs COMMAND --help' tells more, as do mendfs(1) and "
	       "mendfs(7).\n");
	return CLI_OK;
}

static int version(void)
{
	printf("mendfs %s\n", MENDFS_VERSION);
	return CLI_OK;
}

static bool is_one_of(const char *word, const char *a, const char *b)
{
	return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

static int run_command(int argc, char **argv)
{
	const struct entry *e;

	if (argc < 2) {
		(void)help();
		return CLI_USAGE;
	}
	if (is_one_of(argv[1], "--help", "-h") || strcmp(argv[1], "help") == 0)
		return help();
	if (is_one_of(argv[1], "--version", "-V"))
		return version();
	e = find(commands, ARRAY_LEN(commands), argv[1]);
	if (e)
		return e->run(argc - 1, argv + 1);
	fprintf(stderr,
		"mendfs: unknown command '%s'; 'mendfs --help' lists them\n",
		argv[1]);
	return CLI_USAGE;
}

int main(int argc, char **argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *name = slash ? slash + 1 : argc > 0 ? argv[0] : "mendfs";
	const struct entry *e = find(programs, ARRAY_LEN(programs), name);
	int code;

	if (!e)
		code = run_command(argc, argv);
	else if (argc == 2 && is_one_of(argv[1], "--version", "-V"))
		code = version();
	else
		code = e->run(argc, argv);
	if (fflush(stdout) != 0 && code == CLI_OK)
		code = CLI_FAILED;
	return code;
}
