/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shuts file systems down as if the power failed, by the request that mendfs,
 * ext4 and XFS have for it.
 * Usage: power_off FLAGS PATH...    FLAGS: 0 keeps all, 1 what was journaled,
 *                                   2 only what is durable already
 * All paths are opened before the first is shut down. Exit code: 0, or 1 with
 * the errno by name on standard error.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SHUTDOWN  _IOR('X', 125, uint32_t)
#define PATHS_MAX 64

static int fail(const char *path)
{
	fprintf(stderr, "power_off: %s: %s\n", path, strerrorname_np(errno));
	return 1;
}

int main(int argc, char **argv)
{
	int fd[PATHS_MAX], n = argc - 2;
	uint32_t flags;

	if (n < 1 || n > PATHS_MAX)
		return 2;
	flags = (uint32_t)strtoul(argv[1], NULL, 0);
	for (int i = 0; i < n; i++) {
		fd[i] = open(argv[2 + i], O_RDONLY | O_CLOEXEC);
		if (fd[i] < 0)
			return fail(argv[2 + i]);
	}
	for (int i = 0; i < n; i++)
		if (ioctl(fd[i], SHUTDOWN, &flags) < 0)
			return fail(argv[2 + i]);
	return 0;
}
