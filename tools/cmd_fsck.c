/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsck.mendfs: checks a pool that is not mounted, and changes nothing.
 *
 * Exit codes are fsck(8)'s, not those of the other commands. -p is what boot
 * scripts say: there, what the pool's redundancy makes good does not count, so
 * that a pool that can be mounted is mounted.
 */
#include <signal.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "fs/inspect.h"
#include "repair/check.h"
#include "tools/cli.h"
#include "tools/fsck_output.h"
#include "tools/holder.h"
#include "tools/location.h"
#include "tools/passphrase.h"

#define WHO "fsck.mendfs"

enum fsck_exit {
	FSCK_CLEAN = 0,
	FSCK_ERRORS_LEFT = 4,
	FSCK_FAILED = 8,
	FSCK_USAGE = 16,
	FSCK_CANCELLED = 32
};

struct fsck_args {
	bool dry, preen, yes;
	bool verbose, json, read_data;
	const char *passfile;
	const char *cache_dir;
};

/* ---- options ---- */

#define TAKE_FLAG(field)                                       \
	static int take_##field(void *into, const char *value, \
				struct diag *diag)             \
	{                                                      \
		(void)value;                                   \
		(void)diag;                                    \
		((struct fsck_args *)into)->field = true;      \
		return 0;                                      \
	}
TAKE_FLAG(dry)
TAKE_FLAG(preen)
TAKE_FLAG(yes)
TAKE_FLAG(verbose)
TAKE_FLAG(json)
TAKE_FLAG(read_data)
#undef TAKE_FLAG

static int take_passfile(void *into, const char *value, struct diag *diag)
{
	(void)diag;
	((struct fsck_args *)into)->passfile = value;
	return 0;
}

static int take_cache_dir(void *into, const char *value, struct diag *diag)
{
	(void)diag;
	((struct fsck_args *)into)->cache_dir = value;
	return 0;
}

static const struct cli_option options[] = {
	{NULL, 'n', NULL, "check only; what is always done now", take_dry},
	{NULL, 'p', NULL, "for boot scripts: only what is lost counts",
	 take_preen},
	{NULL, 'a', NULL, "the same as -p", take_preen},
	{NULL, 'y', NULL, "repair all; not possible yet, checks only",
	 take_yes},
	{"verbose", 'v', NULL, "show every finding, also harmless ones",
	 take_verbose},
	{"read-data", 0, NULL, "read and verify every byte, not headers only",
	 take_read_data},
	{"json", 0, NULL, "one JSON object instead of lines", take_json},
	{"passfile", 0, "FILE", "read the passphrase from FILE, - is stdin",
	 take_passfile},
	{"cache-dir", 0, "DIR", "where the index is put for the check",
	 take_cache_dir},
};

static void more_help(void)
{
	printf("\nSRC is any folder of the pool, or several joined by ':'. The "
	       "pool must not be\nmounted. Nothing is changed.\n\n"
	       "exit codes: 0 clean, 4 errors are left, 8 the check failed, 16 "
	       "usage error,\n32 cancelled\n");
}

static const struct cli_command command = {
	.name = WHO,
	.operands = "SRC",
	.summary = "check a pool that is not mounted",
	.options = options,
	.n = ARRAY_LEN(options),
	.min = 1,
	.max = 1,
	.more_help = more_help,
};

/* ---- being stopped ---- */

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
	(void)number;
	stopped = 1;
}

/* The private folder is removed before the end; a second signal ends it. */
static void catch_signals(void)
{
	const struct sigaction sa = {
		.sa_handler = on_signal,
		.sa_flags = (int)SA_RESETHAND,
	};

	(void)sigaction(SIGINT, &sa, NULL);
	(void)sigaction(SIGTERM, &sa, NULL);
	(void)sigaction(SIGHUP, &sa, NULL);
}

static bool is_cancelled(void *arg)
{
	(void)arg;
	return stopped;
}

/* ---- checking ---- */

static void make_target(const struct inspect *in, struct check_target *t)
{
	*t = (struct check_target){
		.pool = in->pool,
		.store = in->store,
		.manifest = in->manifest_rc == 0 ? &in->manifest : NULL,
		.ix = in->ix,
		.index_rc = in->index_rc,
		.js = in->js,
		.scanned = in->scanned,
		.scan_rc = in->scan_rc,
		.scan = in->scan,
		.local = in->local_rc == 0 ? &in->local : NULL,
		.local_unreadable =
			in->local_rc != 0 && in->local_rc != -ENOENT,
	};
}

static int exit_code(const struct fsck_args *a, int rc,
		     const struct check_totals *t)
{
	uint64_t bad = t->findings[SEVERITY_ERROR];
	int code = FSCK_CLEAN;

	if (!a->preen)
		bad += t->findings[SEVERITY_WARNING];
	if (bad > 0)
		code |= FSCK_ERRORS_LEFT;
	if (rc == -ECANCELED)
		code |= FSCK_CANCELLED;
	else if (rc < 0)
		code |= FSCK_FAILED;
	return code;
}

static int check(const struct fsck_args *a, const struct inspect *in)
{
	struct fsck_output out;
	struct check_options co = {
		.read_data = a->read_data,
		.report = fsck_output_finding,
		.progress = fsck_output_progress,
		.cancelled = is_cancelled,
		.arg = &out,
	};
	struct fsck_summary s = {.pool = in->pool, .read_data = a->read_data};
	struct check_target t;
	int rc = fsck_output_init(&out, a->verbose, a->json);

	make_target(in, &t);
	if (rc == 0)
		rc = check_pool(&t, &co, &s.totals);
	s.complete = rc == 0;
	s.exit_code = exit_code(a, rc, &s.totals);
	if (rc < 0 && rc != -ECANCELED)
		(void)cli_fail(WHO, rc, NULL);
	rc = fsck_output_end(&out, &s);
	fsck_output_release(&out);
	if (rc < 0) {
		(void)cli_fail(WHO, rc, NULL);
		return FSCK_FAILED;
	}
	return s.exit_code;
}

static int open_pool(const struct fsck_args *a, const struct locations *l,
		     struct diag *diag, struct inspect **out)
{
	struct passphrase_options po = {.who = WHO, .file = a->passfile};
	struct passphrase pass = {0};
	struct volume_options vo = {
		.location = locations_list(l),
		.n = l->n,
		.cache_dir = a->cache_dir,
	};
	int rc = passphrase_get(&po, diag, &pass);

	if (rc < 0)
		return rc;
	vo.pass = pass.text;
	vo.pass_len = pass.len;
	catch_signals();
	rc = inspect_open(&vo, diag, out);
	passphrase_release(&pass);
	if (rc == -ERR_IN_USE)
		holder_tell(l, diag);
	return rc;
}

static int run(const struct fsck_args *a, const char *source)
{
	struct locations l = {0};
	struct diag diag = DIAG_INIT;
	struct inspect *in = NULL;
	int code = FSCK_FAILED, rc = locations_split(source, &l);

	if (rc == 0)
		rc = open_pool(a, &l, &diag, &in);
	if (rc < 0)
		(void)cli_fail(WHO, rc, &diag);
	else
		code = check(a, in);
	inspect_close(in);
	locations_release(&l);
	return code;
}

/* Findings tell it in better words. */
static void drop_line(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

int cmd_fsck(int argc, char **argv)
{
	struct fsck_args a = {0};
	int code, first = cli_parse(&command, argc, argv, &a, &code);

	if (first < 0)
		return code == CLI_OK ? FSCK_CLEAN : FSCK_USAGE;
	if (a.dry + a.preen + a.yes > 1) {
		(void)cli_usage(&command, "-n, -p and -y exclude each other");
		return FSCK_USAGE;
	}
	if (!a.dry && !a.preen)
		fprintf(stderr, WHO ": this version does not repair yet; it "
				    "checks and changes nothing, as with -n\n");
	if (!a.verbose)
		log_use_sink(drop_line, NULL);
	return run(&a, argv[first]);
}
