/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load. One process for each kind of work:
 *
 *   append   small appends, each followed by an fsync
 *   replace  write aside, fsync, rename over, fsync of the folder; some of
 *            these left out
 *   churn    many small files: made, linked, renamed, removed
 *   stream   big files, an fsync at the end
 *   patch    writes anywhere, cuts, fsync
 *   tree     folders within folders, renamed and removed
 *   lazy     all of these without any fsync but one of everything, rarely
 */
#include "promise.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BURST		 (4096 * CELL) /* the largest write */
#define BYTES_PER_SECOND 12e6	       /* of one process */

enum {
	LOAD_ENDED,
	LOAD_CUT_OFF,
	LOAD_UNEXPECTED
};

/* This process. */
static struct {
	unsigned id;
	int log;
	int lock; /* shared by those that write */
	uint64_t key, dice;
	uint32_t stamp;
	double begun, until, bytes;
	int root; /* of the file system */
	bool never_sync;
	struct cell *burst;
} me;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint32_t roll(uint32_t n)
{
	me.dice = me.dice * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(me.dice >> 33) % n;
}

static bool chance(uint32_t percent)
{
	return roll(100) < percent;
}

/* ---- the manifest ---- */

__attribute__((format(printf, 1, 2))) static void note(const char *fmt, ...)
{
	char line[2 * PATH_ROOM + 64];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (write(me.log, line, (size_t)n) != n) {
		perror("manifest");
		_exit(LOAD_UNEXPECTED);
	}
}

/* What a file system says that has gone away. */
static bool is_cut_off(int err)
{
	return err == EIO || err == ENOTCONN || err == ECONNABORTED ||
	       err == ENODEV || err == EROFS || err == ESHUTDOWN;
}

static void must(bool ok, const char *what)
{
	int err = errno;

	if (ok)
		return;
	if (is_cut_off(err))
		_exit(LOAD_CUT_OFF);
	fprintf(stderr, "process %u: %s: %s\n", me.id, what, strerror(err));
	_exit(LOAD_UNEXPECTED);
}

/* ---- the events ---- */

static int do_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644);

	must(fd >= 0, "open");
	return fd;
}

static void do_close(int fd)
{
	must(close(fd) == 0, "close");
}

static void do_make(const char *path)
{
	note("c %s\n", path);
	do_close(do_open(path, O_CREAT | O_EXCL | O_WRONLY));
}

static void do_mkdir(const char *path)
{
	note("m %s\n", path);
	must(mkdir(path, 0755) == 0, "mkdir");
}

static void do_rmdir(const char *path)
{
	note("d %s\n", path);
	must(rmdir(path) == 0, "rmdir");
}

static void do_unlink(const char *path)
{
	note("u %s\n", path);
	must(unlink(path) == 0, "unlink");
}

static void do_rename(const char *from, const char *to)
{
	note("r %s %s\n", from, to);
	must(rename(from, to) == 0, "rename");
}

static void do_link(const char *from, const char *to)
{
	note("l %s %s\n", from, to);
	must(link(from, to) == 0, "link");
}

static void do_cut(const char *path, uint32_t cells)
{
	note("t %s %u\n", path, cells);
	must(truncate(path, (off_t)cells * CELL) == 0, "truncate");
}

/* Disks of tests are small, and space comes back with the next checkpoint. */
static void keep_pace(size_t len)
{
	double early;

	me.bytes += (double)len;
	early = me.bytes / BYTES_PER_SECOND - (now() - me.begun);
	if (early > 0.2)
		usleep((useconds_t)(early * 1e6));
}

/* A file system that goes away may have taken a part. */
static void write_all(int fd, const void *buf, size_t len, off_t off)
{
	const char *p = buf;
	ssize_t n;

	for (; len > 0; len -= (size_t)n, p += n, off += n) {
		n = pwrite(fd, p, len, off);
		must(n > 0, "write");
	}
}

static void do_write(int fd, const char *path, uint32_t first, uint32_t n)
{
	size_t len = (size_t)n * CELL;

	keep_pace(len);
	me.stamp++;
	for (uint32_t i = 0; i < n; i++)
		cell_fill(&me.burst[i], me.key, me.stamp, first + i);
	note("w %s %u %u %u\n", path, first, n, me.stamp);
	write_all(fd, me.burst, len, (off_t)first * CELL);
}

static void do_fsync(int fd, const char *path)
{
	if (me.never_sync)
		return;
	must((chance(50) ? fsync(fd) : fdatasync(fd)) == 0, "fsync");
	note("f %s\n", path);
}

static void do_fsyncdir(const char *path)
{
	int fd;

	if (me.never_sync)
		return;
	fd = do_open(path, O_RDONLY | O_DIRECTORY);
	must(fsync(fd) == 0, "fsync of a folder");
	close(fd);
	note("s\n");
}

/* ---- kinds of work: each call is a step ---- */

static uint32_t cells_of(int fd)
{
	struct stat st;

	must(fstat(fd, &st) == 0, "fstat");
	return (uint32_t)(st.st_size / CELL);
}

static bool exists(const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0)
		return true;
	must(errno == ENOENT, "lstat");
	return false;
}

static const char *name(char *out, const char *stem, unsigned i)
{
	snprintf(out, PATH_ROOM, "%s%u", stem, i);
	return out;
}

static void step_append(void)
{
	static int fd[3] = {-1, -1, -1};
	unsigned i = roll(3);
	char path[PATH_ROOM];
	uint32_t size;

	name(path, "log", i);
	if (fd[i] < 0) {
		if (!exists(path))
			do_make(path);
		fd[i] = do_open(path, O_WRONLY);
	}
	size = cells_of(fd[i]);
	do_write(fd[i], path, size, 1 + roll(12));
	if (chance(85))
		do_fsync(fd[i], path);
	if (size > 4000 || chance(1)) {
		do_close(fd[i]);
		fd[i] = -1;
		do_unlink(path);
	}
}

static void step_replace(void)
{
	char path[PATH_ROOM];
	uint32_t n = roll(2) ? roll(20) : roll(2000);
	int fd;

	name(path, "config", roll(6));
	if (exists("aside")) /* of a round before */
		do_unlink("aside");
	do_make("aside");
	fd = do_open("aside", O_WRONLY);
	if (n > 0)
		do_write(fd, "aside", 0, n);
	if (chance(75))
		do_fsync(fd, "aside");
	do_close(fd);
	do_rename("aside", path);
	if (chance(60))
		do_fsyncdir(".");
}

static void touch_file(const char *path)
{
	int fd = do_open(path, O_WRONLY);
	uint32_t size = cells_of(fd);

	do_write(fd, path, roll(size + 1), 1 + roll(4));
	if (chance(30))
		do_fsync(fd, path);
	do_close(fd);
}

static void step_churn(void)
{
	char a[PATH_ROOM], b[PATH_ROOM];
	uint32_t what = roll(100);

	name(a, "n", roll(24));
	name(b, "n", roll(24));
	if (what < 8)
		do_fsyncdir(".");
	else if (!exists(a))
		do_make(a);
	else if (what < 40)
		touch_file(a);
	else if (what < 60)
		do_unlink(a);
	else if (strcmp(a, b) == 0)
		do_cut(a, roll(4));
	else if (what < 85 || exists(b))
		do_rename(a, b);
	else
		do_link(a, b);
}

static void step_stream(void)
{
	uint32_t n, at = 0, left = 2048 + roll(CELLS_MAX / 2);
	char path[PATH_ROOM];
	int fd;

	name(path, "big", roll(3));
	if (exists(path))
		do_unlink(path);
	do_make(path);
	fd = do_open(path, O_WRONLY);
	for (; left > 0 && now() < me.until; left -= n, at += n) {
		n = 1 + roll(4096);
		n = n < left ? n : left;
		do_write(fd, path, at, n);
		if (chance(2))
			do_fsync(fd, path);
	}
	do_fsync(fd, path);
	do_close(fd);
}

static void step_patch(void)
{
	uint32_t what = roll(100), size;
	char path[PATH_ROOM];
	int fd;

	name(path, "patch", roll(3));
	if (!exists(path))
		do_make(path);
	fd = do_open(path, O_RDWR);
	size = cells_of(fd);
	if (what < 12)
		do_cut(path, roll(size * 2 + 64) % 6000);
	else if (what < 30)
		do_write(fd, path, roll(size + 1), 1 + roll(900));
	else
		do_write(fd, path, roll(size + 1), 1 + roll(8));
	if (chance(40))
		do_fsync(fd, path);
	do_close(fd);
}

static void tree_make(const char *top)
{
	char path[2 * PATH_ROOM];
	int fd;

	do_mkdir(top);
	snprintf(path, sizeof(path), "%s/sub", top);
	do_mkdir(path);
	snprintf(path, sizeof(path), "%s/sub/leaf", top);
	do_make(path);
	fd = do_open(path, O_WRONLY);
	do_write(fd, path, 0, 1 + roll(40));
	if (chance(30))
		do_fsync(fd, path);
	do_close(fd);
	if (chance(50))
		do_fsyncdir(top);
}

static void tree_remove(const char *top)
{
	char path[2 * PATH_ROOM];

	snprintf(path, sizeof(path), "%s/sub/leaf", top);
	do_unlink(path);
	snprintf(path, sizeof(path), "%s/sub", top);
	do_rmdir(path);
	do_rmdir(top);
	if (chance(50))
		do_fsyncdir(".");
}

static void step_tree(void)
{
	char a[PATH_ROOM], b[PATH_ROOM];

	name(a, "tree", roll(8));
	name(b, "tree", roll(8));
	if (!exists(a))
		tree_make(a);
	else if (exists(b))
		tree_remove(b);
	else
		do_rename(a, b);
	if (chance(20))
		do_fsyncdir(".");
}

static void step_lazy(void)
{
	static void (*const step[])(void) = {step_append, step_replace,
					     step_churn,  step_patch,
					     step_tree,	  step_stream};
	unsigned which = roll(200);

	me.never_sync = true;
	if (which > 0) {
		step[which < 5 ? 5 : which % 5]();
		return;
	}
	/* Not while others write: see gaps.h on what a sync takes for a hole.
	 */
	flock(me.lock, LOCK_EX);
	must(fsync(me.root) == 0, "fsync of the root");
	note("S\n");
}

static void (*const work[PROCESSES])(void) = {
	step_append, step_replace, step_churn, step_stream,
	step_patch,  step_tree,	   step_lazy,
};

/* ---- the processes ---- */

static void run(const struct load *l, unsigned id)
{
	char path[1024];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	me.id = id;
	me.key = cell_key(l->manifest, id);
	me.dice = l->seed * PROCESSES + id;
	me.begun = now();
	me.until = me.begun + l->seconds;
	me.burst = malloc(BURST);
	snprintf(path, sizeof(path), "%s.%u", l->manifest, id);
	me.log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	snprintf(path, sizeof(path), "%s/%u", l->folder, id);
	me.lock = open(l->manifest, O_RDONLY | O_CREAT | O_CLOEXEC, 0644);
	if (me.log < 0 || me.lock < 0 || !me.burst || chdir(path) < 0)
		must(false, "start");
	while (now() < me.until) {
		flock(me.lock, LOCK_SH);
		work[id]();
		flock(me.lock, LOCK_UN);
	}
	_exit(LOAD_ENDED);
}

/* Opened early, as the mount point may be taken away. */
static int open_root(const char *folder)
{
	struct stat above, here;
	int up, fd = do_open(folder, O_RDONLY | O_DIRECTORY);

	for (;;) {
		up = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		must(up >= 0 && fstat(up, &above) == 0 && fstat(fd, &here) == 0,
		     "open of the root");
		if (above.st_dev != here.st_dev || above.st_ino == here.st_ino)
			break;
		close(fd);
		fd = up;
	}
	close(up);
	return fd;
}

static void make_folders(const struct load *l)
{
	char path[1024];
	int fd;

	must(mkdir(l->folder, 0755) == 0, "mkdir");
	for (unsigned i = 0; i < PROCESSES; i++) {
		snprintf(path, sizeof(path), "%s/%u", l->folder, i);
		must(mkdir(path, 0755) == 0, "mkdir");
	}
	fd = do_open(l->folder, O_RDONLY | O_DIRECTORY);
	must(fsync(fd) == 0, "fsync");
	close(fd);
	me.root = open_root(l->folder);
}

int promise_load(const struct load *l)
{
	int status, worst = LOAD_ENDED;

	make_folders(l);
	for (unsigned i = 0; i < PROCESSES; i++)
		if (fork() == 0)
			run(l, i);
	while (wait(&status) > 0) {
		int code = WIFEXITED(status) ? WEXITSTATUS(status)
					     : LOAD_UNEXPECTED;

		worst = code > worst ? code : worst;
	}
	return worst;
}
