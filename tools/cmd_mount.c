/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_mount.c - mendfs mount, and mount.mendfs as mount(8) calls it.
 *
 * The order of the end matters: the mount is gone first, then the volume is
 * closed (which makes everything durable), then those who wait are told, and
 * with the process its connections and locks go.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/osfile.h"
#include "fs/control.h"
#include "fs/fuse_mount.h"
#include "fs/fuse_mounts.h"
#include "tools/cli.h"
#include "tools/client.h"
#include "tools/daemon.h"
#include "tools/holder.h"
#include "tools/location.h"
#include "tools/mount_opts.h"
#include "tools/passphrase.h"

struct mount_args {
	const char *who;
	struct mount_opts opts;
	struct locations folders;
	char *mountpoint; /* owned, absolute */
	const char *name_space;
	bool foreground;
	bool fake;
	bool verbose;
};

/* ---- options ---- */

static int take_options(void *into, const char *value, struct diag *diag)
{
	struct mount_args *a = into;

	return mount_opts_parse(&a->opts, value, diag);
}

CLI_TAKE_FLAG(struct mount_args, foreground, foreground = true)
CLI_TAKE_FLAG(struct mount_args, fake, fake = true)
CLI_TAKE_FLAG(struct mount_args, sloppy, opts.sloppy = true)
CLI_TAKE_FLAG(struct mount_args, verbose, verbose = true)
CLI_TAKE_FLAG(struct mount_args, read_only, opts.volume.read_only = true)
CLI_TAKE_FLAG(struct mount_args, read_write, opts.volume.read_only = false)

static int take_name_space(void *into, const char *value, struct diag *diag)
{
	struct mount_args *a = into;

	(void)diag;
	a->name_space = value;
	return 0;
}

static const struct cli_option mount_options[] = {
	{"foreground", 'f', NULL, "stay in the foreground, log to stderr",
	 take_foreground},
	{"options", 'o', "OPT,...", "mount options, see below", take_options},
	{"verbose", 'v', NULL, "say what was mounted", take_verbose},
};

static const struct cli_command mount_command = {
	.name = "mendfs mount",
	.operands = "SRC MNT",
	.summary = "Mounts a pool: SRC is any folder of it, or several joined "
		   "by ':'.",
	.options = mount_options,
	.n = ARRAY_LEN(mount_options),
	.min = 2,
	.max = 2,
	.more_help = mount_opts_help,
};

static const struct cli_option helper_options[] = {
	{"options", 'o', "OPT,...", "mount options, see below", take_options},
	{"fake", 'f', NULL, "check the arguments, but do not mount", take_fake},
	{"sloppy", 's', NULL, "skip unknown mount options with a warning",
	 take_sloppy},
	{"no-mtab", 'n', NULL, "no effect", cli_take_nothing},
	{"verbose", 'v', NULL, "say what was mounted", take_verbose},
	{"read-only", 'r', NULL, "as -o ro", take_read_only},
	{"read-write", 'w', NULL, "as -o rw", take_read_write},
	{"namespace", 'N', "NS", "mount in the mount namespace NS",
	 take_name_space},
	{"types", 't', "TYPE", "no effect", cli_take_nothing},
};

static const struct cli_command helper_command = {
	.name = "mount.mendfs",
	.operands = "SRC MNT",
	.summary = "Mounts a pool: SRC is any folder of it, or several joined "
		   "by ':'.",
	.options = helper_options,
	.n = ARRAY_LEN(helper_options),
	.min = 2,
	.max = 2,
	.more_help = mount_opts_help,
};

/* ---- checks before the fork ---- */

/* A process number or a file, as mount(8) has it. */
static int enter_name_space(const char *ns, struct diag *diag)
{
	bool number = ns[strspn(ns, "0123456789")] == '\0';
	AUTO_FREE char *path =
		number ? mem_printf("/proc/%s/ns/mnt", ns) : mem_strdup(ns);
	AUTO_FD int fd = -1;
	int rc;

	if (!path)
		return -ENOMEM;
	rc = fd = os_openat(AT_FDCWD, path, O_RDONLY, 0);
	if (rc >= 0 && setns(fd, CLONE_NEWNS) < 0)
		rc = -errno;
	return rc < 0 ? diag_fail(diag, rc, "namespace %s: %s", ns,
				  err_text(rc))
		      : 0;
}

static int fail_mountpoint(const char *path, int rc, struct diag *diag)
{
	if (rc == -ENOTCONN)
		return diag_fail(diag, rc,
				 "%s: a mount whose daemon is gone is still "
				 "there; clear it with 'mendfs umount %s'",
				 path, path);
	if (rc == -ENOENT)
		return diag_fail(diag, rc,
				 "%s: there is no such directory; make it with "
				 "'mkdir -p %s'",
				 path, path);
	return diag_fail(diag, rc, "%s: %s", path, err_text(rc));
}

/* A dead mount may still look like a directory: the kernel remembers it. */
static int check_free(const char *path, const char *given, struct diag *diag)
{
	struct mounted there;
	enum client_state state;
	int rc = fuse_mounts_find(path, false, &there);

	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	state = client_state(&there);
	mounted_release(&there);
	if (state == CLIENT_DEAD)
		return fail_mountpoint(given, -ENOTCONN, diag);
	rc = -EBUSY;
	if (state == CLIENT_HUNG)
		return diag_fail(diag, rc,
				 "%s: a mendfs is mounted there whose daemon "
				 "does not answer; 'mendfs umount --lazy %s' "
				 "detaches it",
				 given, given);
	return diag_fail(diag, rc,
			 "%s: a mendfs is mounted there already; "
			 "'mendfs umount %s' ends that",
			 given, given);
}

/* Before anything is asked of a mount that might hang. */
static int check_free_by_name(const char *path, struct diag *diag)
{
	struct mounted there;
	int rc = client_find(path, false, NULL, &there);

	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	rc = check_free(there.path, path, diag);
	mounted_release(&there);
	return rc;
}

static int check_mountpoint(struct mount_args *a, const char *path,
			    struct diag *diag)
{
	struct stat st;
	char *real;
	int rc = check_free_by_name(path, diag);

	if (rc < 0)
		return rc;
	if (stat(path, &st) < 0)
		rc = -errno;
	else if (!S_ISDIR(st.st_mode))
		rc = -ENOTDIR;
	if (rc < 0)
		return fail_mountpoint(path, rc, diag);
	real = realpath(path, NULL);
	if (!real)
		return fail_mountpoint(path, -errno, diag);
	a->mountpoint = mem_strdup(real);
	free(real);
	return a->mountpoint ? check_free(a->mountpoint, path, diag) : -ENOMEM;
}

static int prepare(struct mount_args *a, char *const *operand,
		   struct diag *diag)
{
	int rc = a->name_space ? enter_name_space(a->name_space, diag) : 0;

	if (rc == 0) {
		rc = locations_split(operand[0], &a->folders);
		if (rc == -EINVAL)
			rc = diag_fail(diag, -ERR_USAGE,
				       "'%s': an empty folder name",
				       operand[0]);
	}
	return rc < 0 ? rc : check_mountpoint(a, operand[1], diag);
}

/* ---- serving ---- */

static int open_volume(struct mount_args *a, struct diag *diag,
		       struct volume **out)
{
	struct passphrase_options po = {.who = a->who,
					.file = a->opts.passfile};
	struct volume_options vo = a->opts.volume;
	struct passphrase pass;
	int rc = passphrase_get(&po, diag, &pass);

	if (rc < 0)
		return rc;
	vo.location = locations_list(&a->folders);
	vo.n = a->folders.n;
	vo.mountpoint = a->mountpoint;
	vo.pass = pass.text;
	vo.pass_len = pass.len;
	rc = volume_open(&vo, diag, out);
	passphrase_release(&pass);
	if (rc == -ERR_IN_USE)
		holder_tell(&a->folders, diag);
	return rc;
}

/* Label or first folder: what the list of mounts shows. */
static const char *source_of(const struct mount_args *a, struct volume *v)
{
	struct volume_status st;

	if (volume_get_status(v, &st) == 0 && st.pool->sb.label[0])
		return st.pool->sb.label;
	return a->folders.at[0];
}

static int sync_mount(void *arg)
{
	return fuse_mount_sync(arg);
}

static int start_mount(const struct mount_args *a, struct volume *v,
		       struct diag *diag, struct fuse_mount **out)
{
	struct fuse_mount_options mo = {
		.mountpoint = a->mountpoint,
		.source = source_of(a, v),
		.kernel = a->opts.kernel ? a->opts.kernel : "",
		.allow_other = a->opts.allow_other,
	};

	return fuse_mount_new(v, &mo, diag, out);
}

static int start_control(const struct mount_args *a, struct volume *v,
			 struct fuse_mount *m, struct diag *diag,
			 struct control **out)
{
	struct control_options co = {
		.v = v,
		.mountpoint = a->mountpoint,
		.major = fuse_mount_major(m),
		.minor = fuse_mount_minor(m),
		.sync = sync_mount,
		.arg = m,
	};

	return control_start(&co, diag, out);
}

/* Once mounted: until it is unmounted. */
static int serve(const struct mount_args *a, struct daemon *d, struct volume *v,
		 struct diag *diag)
{
	struct fuse_mount *m = NULL;
	struct control *c = NULL;
	int rc = start_mount(a, v, diag, &m), closed;

	if (rc == 0)
		rc = start_control(a, v, m, diag, &c);
	if (rc == 0 && a->verbose)
		printf("%s: mounted on %s\n", a->folders.at[0], a->mountpoint);
	if (rc == 0)
		rc = daemon_ready(d);
	if (rc == 0)
		rc = fuse_mount_run(m);
	control_quiesce(c);
	fuse_mount_free(m);
	closed = volume_close(v);
	if (closed < 0)
		log_event(LOG_LVL_ERROR, "close", "rc=%s text=\"%s\"",
			  err_name(closed), err_text(closed));
	control_finish(c, closed);
	return closed < 0 ? closed : rc;
}

static int run(struct mount_args *a, struct daemon *d)
{
	struct diag diag = DIAG_INIT;
	struct volume *v;
	int rc;

	daemon_harden();
	log_set_level(a->opts.log);
	rc = open_volume(a, &diag, &v);
	if (rc < 0)
		return daemon_failed(d, cli_fail(a->who, rc, &diag));
	/* Less than was asked for: why, and what to do. */
	if (diag.text[0])
		cli_warn(a->who, "%s", diag.text);
	diag = (struct diag)DIAG_INIT;
	rc = serve(a, d, v, &diag);
	return rc < 0 ? cli_fail(a->who, rc, &diag) : CLI_OK;
}

static int mount_main(const struct cli_command *cmd, struct mount_args *a,
		      int argc, char **argv)
{
	struct daemon d = {.ready_fd = -1};
	struct diag diag = DIAG_INIT;
	int code, rc = 0, first = cli_parse(cmd, argc, argv, a, &code);

	if (first < 0)
		return code;
	rc = prepare(a, argv + first, &diag);
	if (rc < 0)
		return cli_fail(a->who, rc, &diag);
	if (a->fake)
		return CLI_OK;
	if (!a->foreground)
		rc = daemon_fork(&d, &code);
	if (rc < 0)
		return cli_fail(a->who, rc, NULL);
	return rc == 1 ? code : run(a, &d);
}

static int with_args(const struct cli_command *cmd, int argc, char **argv)
{
	struct mount_args a = {.who = cmd->name};
	int code;

	mount_opts_init(&a.opts);
	code = mount_main(cmd, &a, argc, argv);
	mount_opts_release(&a.opts);
	locations_release(&a.folders);
	mem_free(a.mountpoint);
	return code;
}

int cmd_mount(int argc, char **argv)
{
	return with_args(&mount_command, argc, argv);
}

int cmd_mount_helper(int argc, char **argv)
{
	return with_args(&helper_command, argc, argv);
}
