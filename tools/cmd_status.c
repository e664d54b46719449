/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_status.c - mendfs status: of mounts by their daemons, of folders that
 * are not mounted by what they tell without the passphrase.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "fs/control_status.h"
#include "tools/cli.h"
#include "tools/client.h"
#include "tools/location.h"
#include "tools/peek.h"
#include "tools/status_text.h"

#define ANSWER_MS 10000

struct status_args {
	bool problems_only;
	bool verbose;
	bool json;
	/* result */
	json_t *list; /* what is printed with --json */
	unsigned shown, seen;
	int worst;	    /* exit code */
	const char *folder; /* absolute: only the mount that it belongs to */
};

/* ---- options ---- */

CLI_TAKE_FLAG(struct status_args, problems, problems_only = true)
CLI_TAKE_FLAG(struct status_args, verbose, verbose = true)
CLI_TAKE_FLAG(struct status_args, json, json = true)

static const struct cli_option options[] = {
	{"problems", 'x', NULL, "only what is not well; exit code 1 if any is",
	 take_problems},
	{"verbose", 'v', NULL, "also counters of cache, journal, segments",
	 take_verbose},
	{"json", 0, NULL, "as JSON: a list of objects", take_json},
};

static const struct cli_command command = {
	.name = "mendfs status",
	.operands = "[MNT|SRC]",
	.summary = "Shows the state of a mount, of an unmounted folder, or of "
		   "all mounts.",
	.options = options,
	.n = ARRAY_LEN(options),
	.min = 0,
	.max = 1,
};

/* ---- output ---- */

static bool is_well(const json_t *j)
{
	const char *s = json_string_value(json_object_get(j, "state"));

	return s && strcmp(s, "healthy") == 0;
}

/* Takes the reference. */
static void show(struct status_args *a, json_t *j)
{
	a->seen++;
	if (a->problems_only && !is_well(j))
		a->worst = MAX(a->worst, CLI_FAILED);
	if (a->problems_only && is_well(j)) {
		json_decref(j);
		return;
	}
	if (a->json) {
		json_array_append_new(a->list, j);
	} else {
		if (a->shown)
			putchar('\n');
		status_text_mount(j, a->verbose);
		json_decref(j);
	}
	a->shown++;
}

static void complain(struct status_args *a, int rc, const struct diag *diag)
{
	int code = cli_fail(command.name, rc, diag);

	a->seen++;
	a->worst = MAX(a->worst, code);
}

/* ---- mounts ---- */

static void show_mount(struct status_args *a, const struct mounted *m)
{
	struct diag diag = DIAG_INIT;
	json_t *j = NULL;
	int rc = client_call(m, "status", ANSWER_MS, &diag, &j);

	if (rc < 0)
		complain(a, rc, &diag);
	else
		show(a, j);
}

static bool has_folder(const json_t *status, const char *path)
{
	json_t *list = json_object_get(status, "backends"), *b;
	size_t i;

	json_array_foreach(list, i, b)
	{
		const char *p = json_string_value(json_object_get(b, "path"));

		if (p && strcmp(p, path) == 0)
			return true;
	}
	return false;
}

static int each_mount(void *arg, const struct mounted *m)
{
	struct status_args *a = arg;

	if (strcmp(m->type, FUSE_MOUNTS_TYPE) == 0)
		show_mount(a, m);
	return 0;
}

/* Shows the mount that a folder belongs to. */
static int each_for_folder(void *arg, const struct mounted *m)
{
	struct status_args *a = arg;
	struct diag diag = DIAG_INIT;
	json_t *j = NULL;

	if (strcmp(m->type, FUSE_MOUNTS_TYPE) != 0 ||
	    client_call(m, "status", ANSWER_MS, &diag, &j) < 0)
		return 0;
	if (!has_folder(j, a->folder)) {
		json_decref(j);
		return 0;
	}
	show(a, j);
	return 1;
}

/* ---- folders ---- */

static json_t *folder_json(const char *location, const struct sb_clear *c)
{
	char hex[2 * sizeof(struct pool_id) + 1];
	pid_t owner = peek_lock_owner(location);

	hex_encode(hex, c->pool.b, sizeof(c->pool.b));
	return json_pack("{s:b,s:o,s:s,s:{s:s},s:i,s:I,s:i}", "ok", 1, "folder",
			 control_status_text(location), "state",
			 owner ? "locked" : "not mounted", "pool", "id", hex,
			 "slot", (int)c->slot, "generation",
			 (json_int_t)c->generation, "lock_pid", (int)owner);
}

static void show_folder(struct status_args *a, const char *source)
{
	AUTO_FREE char *location = location_absolute(source);
	struct diag diag = DIAG_INIT;
	struct sb_clear c;
	json_t *j;
	int rc;

	if (!location) {
		complain(a, -ENOMEM, NULL);
		return;
	}
	a->folder = driver_location_path(location);
	if (fuse_mounts_each(each_for_folder, a) == 1)
		return;
	rc = peek_folder(location, &c);
	if (rc < 0) {
		diag_fail(&diag, rc, "%s: %s", a->folder, err_text(rc));
		complain(a, rc, &diag);
		return;
	}
	j = folder_json(location, &c);
	if (a->json) {
		json_array_append_new(a->list, j);
	} else {
		status_text_folder(j);
		json_decref(j);
	}
}

/* ---- the whole ---- */

static void show_one(struct status_args *a, const char *what)
{
	struct mounted m;

	if (client_find(what, true, NULL, &m) < 0) {
		show_folder(a, what);
		return;
	}
	show_mount(a, &m);
	mounted_release(&m);
}

static void show_all(struct status_args *a)
{
	struct diag diag = DIAG_INIT;
	int rc = fuse_mounts_each(each_mount, a);

	if (rc < 0)
		complain(a, rc, &diag);
	else if (!a->json && a->seen == 0)
		printf("no mendfs is mounted\n");
}

int cmd_status(int argc, char **argv)
{
	struct status_args a = {0};
	int code, first = cli_parse(&command, argc, argv, &a, &code);

	if (first < 0)
		return code;
	a.list = json_array();
	if (!a.list)
		return cli_fail(command.name, -ENOMEM, NULL);
	if (first < argc)
		show_one(&a, argv[first]);
	else
		show_all(&a);
	if (a.json) {
		json_dumpf(a.list, stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (a.problems_only && a.seen > 0 && a.worst == CLI_OK) {
		printf("all mendfs mounts are healthy\n");
	}
	json_decref(a.list);
	return a.worst;
}
