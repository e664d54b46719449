/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/daemon.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/osfile.h"
#include "tools/cli.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

void daemon_harden(void)
{
	struct rlimit none = {0, 0}, files;

	umask(0);
	signal(SIGPIPE, SIG_IGN);
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
}

/* How the child ended that did not become ready. */
static int reap(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return CLI_FAILED;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	if (WIFSIGNALED(status))
		fprintf(stderr, "mendfs: ended by signal %d\n",
			WTERMSIG(status));
	return CLI_FAILED;
}

/*
 * The child handles the interrupts of the terminal; should it die of one, we
 * tell how. We must not leave before it, or the shell takes the terminal back
 * while it still asks for the passphrase. Its byte is its exit code.
 */
static int await(pid_t child, int fd)
{
	unsigned char c;
	ssize_t n;

	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	do {
		n = read(fd, &c, 1);
	} while (n < 0 && errno == EINTR);
	return n == 1 ? c : reap(child);
}

int daemon_fork(struct daemon *d, int *exit_out)
{
	int fd[2];
	pid_t child;

	d->ready_fd = -1;
	if (pipe2(fd, O_CLOEXEC) < 0)
		return -errno;
	fflush(NULL);
	child = fork();
	if (child == 0) {
		os_close(fd[0]);
		d->ready_fd = fd[1];
		return 0;
	}
	os_close(fd[1]);
	if (child < 0) {
		os_close(fd[0]);
		return -EAGAIN;
	}
	*exit_out = await(child, fd[0]);
	os_close(fd[0]);
	return 1;
}

static int close_terminal(void)
{
	AUTO_FD int null = os_openat(AT_FDCWD, "/dev/null", O_RDWR, 0);

	if (null < 0)
		return null;
	fflush(NULL);
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (dup2(null, fd) < 0)
			return -errno;
	return 0;
}

static int leave_terminal(void)
{
	if (setsid() < 0 || chdir("/") < 0)
		return -errno;
	return close_terminal();
}

static int tell_parent(struct daemon *d, int code)
{
	unsigned char c = (unsigned char)code;
	int rc = write(d->ready_fd, &c, 1) < 0 ? -errno : 0;

	os_close(d->ready_fd);
	d->ready_fd = -1;
	return rc;
}

int daemon_ready(struct daemon *d)
{
	int rc;

	if (d->ready_fd < 0)
		return 0;
	log_use_syslog();
	rc = leave_terminal();
	return rc < 0 ? rc : tell_parent(d, CLI_OK);
}

int daemon_failed(struct daemon *d, int code)
{
	if (d->ready_fd >= 0 && close_terminal() == 0)
		(void)tell_parent(d, code);
	return code;
}
