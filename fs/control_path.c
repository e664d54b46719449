/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control_path.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/osfile.h"

#define ROOT_FOLDER "/run/mendfs"
#define CANDIDATES  3

/*
 * The i-th folder where the socket of a daemon of uid may be; mem_free. NULL:
 * there is no such, or no memory (then the next one will do).
 */
static char *candidate(uint32_t uid, unsigned i)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (uid == 0 && i == 0)
		return mem_strdup(ROOT_FOLDER);
	if (i == 2)
		return mem_printf("/tmp/mendfs-%u", uid);
	if (uid == 0)
		return NULL;
	if (i == 1)
		return mem_printf("/run/user/%u/mendfs-%u", uid, uid);
	if (uid == geteuid() && runtime && runtime[0] == '/')
		return mem_printf("%s/mendfs-%u", runtime, uid);
	return NULL;
}

static int make_address(const char *folder, unsigned major, unsigned minor,
			struct sockaddr_un *out)
{
	int n;

	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	n = snprintf(out->sun_path, sizeof(out->sun_path), "%s/%u-%u.sock",
		     folder, major, minor);
	return n < 0 || (size_t)n >= sizeof(out->sun_path) ? -ENAMETOOLONG : 0;
}

/* A folder of ours alone, and no link to one. */
static int check_folder(const char *folder, uint32_t uid)
{
	struct stat st;

	if (lstat(folder, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	if (st.st_uid != uid || (st.st_mode & 077))
		return -EACCES;
	return 0;
}

static int make_folder(const char *folder)
{
	int rc = os_mkdirat(AT_FDCWD, folder, 0700);

	return rc < 0 && rc != -EEXIST ? rc : check_folder(folder, geteuid());
}

int control_path_make(unsigned major, unsigned minor, struct sockaddr_un *out)
{
	int rc = -ENOENT;

	for (unsigned i = 0; rc < 0 && i < CANDIDATES; i++) {
		AUTO_FREE char *folder = candidate(geteuid(), i);

		if (!folder)
			continue;
		rc = make_folder(folder);
		if (rc == 0)
			rc = make_address(folder, major, minor, out);
	}
	return rc;
}

int control_path_check_peer(int fd, uid_t uid)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	return peer.uid == uid || peer.uid == 0 ? 0 : -EACCES;
}

static int connect_to(const char *folder, unsigned major, unsigned minor,
		      uint32_t uid)
{
	AUTO_FD int fd = -1;
	struct sockaddr_un addr;
	int rc = make_address(folder, major, minor, &addr);
	int out;

	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	rc = control_path_check_peer(fd, uid);
	if (rc < 0)
		return rc;
	out = fd;
	fd = -1;
	return out;
}

int control_path_connect(unsigned major, unsigned minor, uint32_t uid)
{
	int rc = -ENOENT, first = 0;

	for (unsigned i = 0; i < CANDIDATES; i++) {
		AUTO_FREE char *folder = candidate(uid, i);

		if (!folder)
			continue;
		rc = connect_to(folder, major, minor, uid);
		if (rc >= 0)
			return rc;
		/* What tells more than "nothing there" is kept. */
		if (first == 0 || first == -ENOENT)
			first = rc;
	}
	return first ? first : rc;
}
