/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local.c - the cache folder of one pool.
 *
 * Private folders are <pool id>.<random>. One whose owner crashed is known by
 * its lock being free; a new one is without lock for a moment too and may be
 * taken for such, so after locking it is made sure that it is still there.
 */
#include "meta/local.h"

#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/osfile.h"
#include "base/rnd.h"
#include "meta/local_format.h"

#define ID_HEX	   (2 * sizeof(struct pool_id))
#define STATE_NAME "state"
#define INDEX_NAME "index"
#define TRIES	   16 /* to make a private folder */

/* ---- where ---- */

static char *home_folder(void)
{
	const char *home = secure_getenv("HOME");
	struct passwd pw, *found = NULL;
	char text[4096];

	if (home && home[0] == '/')
		return mem_strdup(home);
	if (getpwuid_r(geteuid(), &pw, text, sizeof(text), &found) == 0 &&
	    found && found->pw_dir[0] == '/')
		return mem_strdup(found->pw_dir);
	return mem_strdup("/var");
}

char *local_default_folder(void)
{
	const char *xdg = secure_getenv("XDG_CACHE_HOME");
	AUTO_FREE char *home = NULL;

	if (xdg && xdg[0] == '/')
		return mem_printf("%s/mendfs", xdg);
	if (geteuid() == 0)
		return mem_strdup("/var/cache/mendfs");
	home = home_folder();
	return home ? mem_printf("%s/.cache/mendfs", home) : NULL;
}

/* Made by us, and nobody else can put anything into it. */
static bool is_own_folder(const char *path)
{
	struct stat st;
	int rc = os_mkdirat(AT_FDCWD, path, 0700);

	if (rc < 0 && rc != -EEXIST)
		return false;
	return os_lstat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
	       st.st_uid == geteuid() && (st.st_mode & 022) == 0;
}

bool local_spare_folder(unsigned i, char **out)
{
	const char *const place[] = {secure_getenv("XDG_RUNTIME_DIR"),
				     "/dev/shm", secure_getenv("TMPDIR"),
				     "/tmp"};

	*out = NULL;
	if (i >= ARRAY_LEN(place))
		return false;
	if (place[i] && place[i][0] == '/')
		*out = mem_printf("%s/mendfs-%u", place[i],
				  (unsigned)geteuid());
	if (*out && !is_own_folder(*out)) {
		mem_free(*out);
		*out = NULL;
	}
	return true;
}

/* ---- folders ---- */

/* 0, -ERR_IN_USE, or what flock says. */
static int try_lock(int fd)
{
	int rc = os_flock(fd);

	return rc == -EWOULDBLOCK ? -ERR_IN_USE : rc;
}

/* Some file systems have no such lock; the pool's folders have theirs. */
static bool cannot_lock(int rc)
{
	return rc == -EBADF || rc == -ENOLCK || rc == -EOPNOTSUPP ||
	       rc == -EINVAL;
}

static int open_folder(const char *path)
{
	return os_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
			 0);
}

/* Is the folder at path the one opened? */
static bool still_there(int fd, const char *path)
{
	struct stat a, b;

	return os_fstat(fd, &a) == 0 && os_lstat(path, &b) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static bool is_temporary(const char *name)
{
	size_t len = strlen(name);

	return strncmp(name, STATE_NAME ".", strlen(STATE_NAME ".")) == 0 &&
	       len > 4 && strcmp(name + len - 4, ".tmp") == 0;
}

static bool is_ours(const char *name)
{
	return strcmp(name, STATE_NAME) == 0 || strcmp(name, INDEX_NAME) == 0 ||
	       strcmp(name, INDEX_NAME ".cow") == 0 || is_temporary(name);
}

struct removal {
	int fd;
	bool (*which)(const char *name);
};

static int remove_one(void *arg, const char *name)
{
	const struct removal *r = arg;

	if (r->which(name))
		(void)os_unlinkat(r->fd, name, 0);
	return 0;
}

/* Removes the files of the folder that `which` says yes to. */
static void remove_files(int fd, bool (*which)(const char *name))
{
	(void)os_each_name(fd, remove_one, &(struct removal){fd, which});
}

/* The folder goes if nothing but our files is in it. */
static void remove_folder(int fd, const char *path)
{
	remove_files(fd, is_ours);
	(void)os_unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

/* A private folder without owner. */
static void remove_left_behind(const char *path)
{
	AUTO_FD int fd = open_folder(path);

	if (fd >= 0 && try_lock(fd) == 0)
		remove_folder(fd, path);
}

static bool is_private_name(const char *name, const char *hex)
{
	return strncmp(name, hex, ID_HEX) == 0 && name[ID_HEX] == '.' &&
	       strlen(name) == ID_HEX + 1 + 16;
}

struct sweeping {
	const char *cache_dir, *hex;
};

static int sweep_one(void *arg, const char *name)
{
	const struct sweeping *s = arg;
	AUTO_FREE char *path = NULL;

	if (!is_private_name(name, s->hex))
		return 0;
	path = mem_printf("%s/%s", s->cache_dir, name);
	if (path)
		remove_left_behind(path);
	return 0;
}

static void sweep(const char *cache_dir, const char *hex)
{
	AUTO_FD int fd =
		os_openat(AT_FDCWD, cache_dir, O_RDONLY | O_DIRECTORY, 0);

	if (fd >= 0)
		(void)os_each_name(fd, sweep_one,
				   &(struct sweeping){cache_dir, hex});
}

/* ---- opening ---- */

/* Nobody else may look into it, whatever it was before. */
static int make_ours(int fd)
{
	struct stat st;
	int rc = os_fstat(fd, &st);

	if (rc < 0)
		return rc;
	if (st.st_uid != geteuid())
		return -EACCES;
	return (st.st_mode & 07777) == 0700 ? 0 : os_fchmod(fd, 0700);
}

/* Opens and locks l->folder, which exists. */
static int enter(struct local *l)
{
	int rc;

	l->lock_fd = open_folder(l->folder);
	if (l->lock_fd < 0)
		return l->lock_fd;
	rc = make_ours(l->lock_fd);
	if (rc == 0)
		rc = try_lock(l->lock_fd);
	return cannot_lock(rc) ? 0 : rc;
}

static int enter_pools(struct local *l, const char *cache_dir, const char *hex)
{
	int rc;

	l->folder = mem_printf("%s/%s", cache_dir, hex);
	if (!l->folder)
		return -ENOMEM;
	rc = os_mkdir_parents(l->folder, 0700);
	if (rc == 0)
		rc = enter(l);
	if (rc == 0)
		remove_files(l->lock_fd, is_temporary);
	return rc;
}

/* One attempt; -EAGAIN: somebody else has cleared it away or taken it. */
static int enter_new(struct local *l, const char *cache_dir, const char *hex)
{
	int rc;

	mem_free(l->folder);
	l->folder = mem_printf("%s/%s.%016llx", cache_dir, hex,
			       (unsigned long long)rnd_u64());
	if (!l->folder)
		return -ENOMEM;
	rc = os_mkdirat(AT_FDCWD, l->folder, 0700);
	if (rc == 0) {
		rc = enter(l);
		if (rc == 0 && still_there(l->lock_fd, l->folder))
			return 0;
		if (rc == 0 || rc == -ENOENT || rc == -ERR_IN_USE)
			rc = -EAGAIN;
		os_close(l->lock_fd);
		l->lock_fd = -1;
	}
	return rc == -EEXIST ? -EAGAIN : rc;
}

static int enter_private(struct local *l, const char *cache_dir,
			 const char *hex)
{
	int rc = os_mkdir_parents(cache_dir, 0700);

	if (rc < 0)
		return rc;
	sweep(cache_dir, hex);
	rc = -EAGAIN;
	for (unsigned i = 0; rc == -EAGAIN && i < TRIES; i++)
		rc = enter_new(l, cache_dir, hex);
	l->private = rc == 0;
	return rc;
}

/* Absolute: the process may change its working directory. */
static int name_files(struct local *l)
{
	char real[PATH_MAX];
	char *folder;
	int rc = os_realpath(l->folder, real);

	if (rc < 0)
		return rc;
	folder = mem_strdup(real);
	if (!folder)
		return -ENOMEM;
	mem_free(l->folder);
	l->folder = folder;
	l->index_path = mem_printf("%s/" INDEX_NAME, folder);
	l->state_path = mem_printf("%s/" STATE_NAME, folder);
	return l->index_path && l->state_path ? 0 : -ENOMEM;
}

int local_open(const char *cache_dir, const struct pool_id *pool, bool private,
	       struct diag *diag, struct local *out)
{
	struct local l = {.lock_fd = -1};
	char hex[ID_HEX + 1];
	int rc;

	hex_encode(hex, pool->b, sizeof(pool->b));
	rc = private ? enter_private(&l, cache_dir, hex)
		     : enter_pools(&l, cache_dir, hex);
	if (rc == 0)
		rc = name_files(&l);
	*out = l;
	if (rc == 0)
		return 0;
	if (rc == -ERR_IN_USE)
		diag_fail(diag, rc,
			  "%s is in use by another process: the pool is "
			  "mounted on this machine already",
			  l.folder);
	else
		diag_fail(diag, rc,
			  "cache folder %s: %s; choose another one with "
			  "cache_dir=",
			  l.folder ? l.folder : cache_dir, err_text(rc));
	local_close(out);
	return rc;
}

void local_close(struct local *l)
{
	if (!l->folder)
		return;
	if (l->private && l->lock_fd >= 0)
		remove_folder(l->lock_fd, l->folder);
	os_close(l->lock_fd);
	mem_free(l->folder);
	mem_free(l->index_path);
	mem_free(l->state_path);
	*l = (struct local){.lock_fd = -1};
}

/* ---- the state file ---- */

#define MAC_AT offsetof(struct local_file, mac)

static void decode(const uint8_t *raw, struct local_state *out)
{
	struct reader r = reader_of(raw, sizeof(struct local_file));

	reader_take(&r, 12);
	out->clean = reader_u32(&r) & LOCAL_CLEAN;
	reader_bytes(&r, out->salt, sizeof(out->salt));
	reader_bytes(&r, out->manifest_hash, sizeof(out->manifest_hash));
	out->seq = reader_u64(&r);
	out->mark_epoch = reader_u64(&r);
	reader_bytes(&r, out->mark_epoch_id, sizeof(out->mark_epoch_id));
	out->mark_seq = reader_u64(&r);
}

int local_load(const struct local *l, const struct keyring *keys,
	       struct local_state *out)
{
	AUTO_FREE uint8_t *raw = NULL;
	uint8_t mac[KEY_MAC];
	size_t len;
	int rc = os_read_file(l->state_path, sizeof(struct local_file), &raw,
			      &len);

	if (rc == -EFBIG || (rc == 0 && (len != sizeof(struct local_file) ||
					 get_le64(raw) != LOCAL_MAGIC ||
					 get_le32(raw + 8) != LOCAL_VERSION)))
		return -ENOENT;
	if (rc < 0)
		return rc;
	rc = keyring_mac(keys, LOCAL_PURPOSE, raw, MAC_AT, mac);
	if (rc < 0)
		return rc;
	if (!mac_equal(mac, raw + MAC_AT, sizeof(mac)))
		return -ENOENT;
	decode(raw, out);
	return 0;
}

int local_peek(const char *cache_dir, const struct pool_id *pool,
	       const struct keyring *keys, struct local_state *out)
{
	AUTO_FREE char *fallback = cache_dir ? NULL : local_default_folder();
	AUTO_FREE char *path = NULL;
	char hex[ID_HEX + 1];
	struct stat st;
	int rc;

	if (!cache_dir)
		cache_dir = fallback;
	hex_encode(hex, pool->b, sizeof(pool->b));
	path = cache_dir ? mem_printf("%s/%s/" STATE_NAME, cache_dir, hex)
			 : NULL;
	if (!path)
		return -ENOMEM;
	rc = local_load(&(struct local){.state_path = path}, keys, out);
	return rc == -ENOENT && os_lstat(path, &st) == 0 ? -ERR_AUTH : rc;
}

int local_store(const struct local *l, const struct keyring *keys,
		const struct local_state *state)
{
	uint8_t raw[sizeof(struct local_file)];
	struct writer w = writer_of(raw, sizeof(raw));
	int rc;

	writer_u64(&w, LOCAL_MAGIC);
	writer_u32(&w, LOCAL_VERSION);
	writer_u32(&w, state->clean ? LOCAL_CLEAN : 0);
	writer_bytes(&w, state->salt, sizeof(state->salt));
	writer_bytes(&w, state->manifest_hash, sizeof(state->manifest_hash));
	writer_u64(&w, state->seq);
	writer_u64(&w, state->mark_epoch);
	writer_bytes(&w, state->mark_epoch_id, sizeof(state->mark_epoch_id));
	writer_u64(&w, state->mark_seq);
	rc = keyring_mac(keys, LOCAL_PURPOSE, raw, MAC_AT, raw + MAC_AT);
	return rc < 0 ? rc : os_replace_file(l->state_path, raw, sizeof(raw));
}
