/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse_unmount.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/osfile.h"

#define PROGRAM	    "fusermount3"
#define CONNECTIONS "/sys/fs/fuse/connections"

/* posix_spawn takes char *const[], but does not change the strings. */
struct arguments {
	char *word[8];
	unsigned n;
};

static void add(struct arguments *a, const char *word)
{
	union {
		const char *in;
		char *out;
	} u = {.in = word};

	a->word[a->n++] = u.out;
}

/* Our threads block signals; the child must not inherit that. */
static int spawn(char *const *argv, pid_t *pid)
{
	posix_spawnattr_t attr;
	sigset_t none;
	int rc = posix_spawnattr_init(&attr);

	if (rc != 0)
		return -rc;
	sigemptyset(&none);
	rc = posix_spawnattr_setsigmask(&attr, &none);
	if (rc == 0)
		rc = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	if (rc == 0)
		rc = posix_spawnp(pid, PROGRAM, NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	return -rc;
}

int fuse_unmount(const char *mountpoint, bool lazy, bool quiet)
{
	struct arguments a = {0};
	pid_t pid;
	int status, rc;

	add(&a, PROGRAM);
	add(&a, "-u");
	if (quiet)
		add(&a, "-q");
	if (lazy)
		add(&a, "-z");
	add(&a, "--");
	add(&a, mountpoint);
	rc = spawn(a.word, &pid);
	if (rc < 0)
		return rc;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EBUSY;
}

/* By the kernel's list of connections, if that is mounted: systemd does. */
static int abort_connection(unsigned minor)
{
	AUTO_FREE char *path = mem_printf(CONNECTIONS "/%u/abort", minor);
	AUTO_FD int fd = -1;
	int rc = path ? 0 : -ENOMEM;

	if (rc == 0)
		rc = fd = os_openat(AT_FDCWD, path, O_WRONLY, 0);
	return rc < 0 ? rc : os_pwrite(fd, "1", 1, 0);
}

int fuse_unmount_force(const char *mountpoint, unsigned minor)
{
	int rc;

	if (geteuid() == 0) {
		rc = umount2(mountpoint,
			     UMOUNT_NOFOLLOW | MNT_FORCE | MNT_DETACH);
		return rc < 0 ? -errno : 0;
	}
	rc = abort_connection(minor);
	if (rc < 0)
		log_event(LOG_LVL_INFO, "abort", "minor=%u rc=%s", minor,
			  err_name(rc));
	return fuse_unmount(mountpoint, true, false);
}
