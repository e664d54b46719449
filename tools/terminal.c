/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terminal.c - a line from the terminal without echo.
 *
 * Whatever ends the reading, the terminal echoes again afterwards: signals
 * that would end or stop the process are noted meanwhile, and sent again once
 * the terminal is as it was.
 */
#include "tools/passphrase.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/osfile.h"

static const int watched[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP};

static volatile sig_atomic_t caught;

static void on_signal(int signo)
{
	caught = signo;
}

static void catch_signals(struct sigaction *old)
{
	struct sigaction sa = {.sa_handler = on_signal};

	caught = 0;
	for (size_t i = 0; i < ARRAY_LEN(watched); i++)
		sigaction(watched[i], &sa, &old[i]);
}

static void restore_signals(const struct sigaction *old)
{
	for (size_t i = 0; i < ARRAY_LEN(watched); i++)
		sigaction(watched[i], &old[i], NULL);
	if (caught)
		raise(caught);
}

/* Up to a newline or the end. -EINTR: a signal was noted. */
static int read_line(int fd, char *buf, size_t size, size_t *len_out)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, buf + len, 1);

		if (n < 0)
			return -errno;
		if (n == 0 || buf[len] == '\n')
			break;
		len++;
	}
	*len_out = len;
	return 0;
}

static int ask(int fd, const char *prompt, char *buf, size_t size,
	       size_t *len_out)
{
	struct termios old, quiet;
	int rc;

	if (tcgetattr(fd, &old) < 0)
		return -errno;
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
	if (tcsetattr(fd, TCSAFLUSH, &quiet) < 0)
		return -errno;
	if (write(fd, prompt, strlen(prompt)) < 0)
		rc = -errno;
	else
		rc = read_line(fd, buf, size, len_out);
	(void)tcsetattr(fd, TCSAFLUSH, &old);
	if (write(fd, "\n", 1) < 0 && rc == 0)
		rc = -errno;
	return rc;
}

int passphrase_ask(const char *prompt, char *buf, size_t size, size_t *len_out)
{
	struct sigaction old[ARRAY_LEN(watched)];
	AUTO_FD int fd = os_openat(AT_FDCWD, "/dev/tty", O_RDWR | O_NOCTTY, 0);
	int rc;

	if (fd < 0)
		return -ENXIO;
	do {
		catch_signals(old);
		rc = ask(fd, prompt, buf, size, len_out);
		restore_signals(old);
		/* Stopped and gone on: ask again. */
	} while (rc == -EINTR && caught == SIGTSTP);
	return rc;
}
