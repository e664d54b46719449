/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check. A moment is the state of all names between two changes of them.
 *
 *   P1  The names found are those of one moment, F, not before the last that
 *       was promised: by s, S, or by f, as the state found is that of one
 *       moment, for all names that were there when the file changed last.
 *   P2  What was written after the first change of names that is not there
 *       cannot be there either.
 *   P3  A file promised by f or S, or closed and then named by an r or l that
 *       is there, has each cell as it was then, or as a later write made it.
 *   P4  Other cells hold what some write made of them; zeros only where the
 *       file was cut or grown by a cut. Its length is one it had since.
 *
 * Names alone do not always tell which moment it is, so every moment with
 * these names is tried.
 */
#include "promise_model.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOLD_MAX 3

static char why[512]; /* of the last mismatch */

__attribute__((format(printf, 1, 2))) static bool differs(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return false;
}

/* ---- what is found ---- */

static bool walk(int dir, const char *prefix, struct names *out);

static bool found(int dir, const char *name, const char *prefix,
		  struct names *out)
{
	char path[PATH_ROOM];
	struct stat st;
	int fd;
	bool ok;

	snprintf(path, sizeof(path), "%.30s%s%.30s", prefix, *prefix ? "/" : "",
		 name);
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return differs("%s: %s", path, strerror(errno));
	names_add(out, path, S_ISDIR(st.st_mode) ? FOLDER : 0);
	if (!S_ISDIR(st.st_mode))
		return S_ISREG(st.st_mode) || differs("%s: not a file", path);
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return differs("%s: %s", path, strerror(errno));
	ok = walk(fd, path, out);
	close(fd);
	return ok;
}

static bool walk(int dir, const char *prefix, struct names *out)
{
	DIR *d = fdopendir(dup(dir));
	struct dirent *e;
	bool ok = d;

	while (ok && (errno = 0, e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			ok = found(dir, e->d_name, prefix, out);
	if (ok && errno)
		ok = differs("reading %s: %s", prefix, strerror(errno));
	if (d)
		closedir(d);
	return ok;
}

/* ---- files ---- */

/* The write that made this cell, 0 for zeros; false: no write did. */
static bool stamp_of(const struct record *r, const struct cell *got,
		     uint32_t at, uint32_t *out)
{
	static const struct cell zero;
	struct cell want;

	*out = 0;
	if (memcmp(got, &zero, CELL) == 0)
		return true;
	if (got->stamp == 0 || got->stamp > r->stamps)
		return false;
	*out = got->stamp;
	cell_fill(&want, r->key, got->stamp, at);
	return memcmp(got, &want, CELL) == 0;
}

static bool check_cells(const struct replay *p, const struct entry *e,
			const struct cell *got, uint32_t cells)
{
	const struct file *f = &p->file[e->file];
	uint32_t v;

	for (uint32_t c = 0; c < cells; c++) {
		if (!stamp_of(p->r, &got[c], c, &v))
			return differs("%s: cell %u of %u is garbage: stamp "
				       "%u, place %u",
				       e->path, c, cells, got[c].stamp,
				       got[c].at);
		if (!replay_cell_ok(p, e->file, c, v))
			return differs("%s: cell %u of %u is of write %u; "
				       "promised %u of %u by write %u; newest "
				       "%u of %u",
				       e->path, c, cells, v,
				       c < f->stable_size ? f->stable[c] : 0,
				       f->stable_size, f->promised,
				       c < f->size ? f->cur[c] : 0, f->size);
	}
	return true;
}

static bool check_open_file(const struct replay *p, const struct entry *e,
			    int fd)
{
	static struct cell got[CELLS_MAX + 1];
	struct file *f = &p->file[e->file];
	uint32_t cells;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return differs("%s: %s", e->path, strerror(errno));
	cells = (uint32_t)(st.st_size / CELL);
	if (st.st_size % CELL || cells < f->min || cells > f->max)
		return differs("%s: %lld bytes are not %u..%u cells", e->path,
			       (long long)st.st_size, f->min, f->max);
	if (st.st_nlink != replay_links(p, e->file))
		return differs("%s: %u links", e->path, (unsigned)st.st_nlink);
	n = read(fd, got, sizeof(got));
	if (n != st.st_size)
		return differs("%s: read %zd: %s", e->path, n, strerror(errno));
	return check_cells(p, e, got, cells);
}

static bool check_file(const struct replay *p, int dir, const struct entry *e)
{
	int fd = openat(dir, e->path, O_RDONLY | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return differs("%s: %s", e->path, strerror(errno));
	ok = check_open_file(p, e, fd);
	close(fd);
	return ok;
}

/* ---- moments ---- */

/* Are the files those of moment f? */
static bool is_moment(const struct record *r, uint32_t f, int dir)
{
	struct replay *p = replay_new(r, f);
	bool ok = true;

	for (unsigned i = 0; ok && i < p->at_f.n; i++)
		if (p->at_f.at[i].file != FOLDER)
			ok = check_file(p, dir, &p->at_f.at[i]);
	replay_free(p);
	return ok;
}

/* Tries each moment with these names, newest last. */
static bool find_moment(const struct record *r, uint64_t hash, int dir)
{
	struct names *n = must_alloc(1, sizeof(*n));
	uint32_t promised = record_promised(r), tried = 0;
	char *told = must_alloc(TOLD_MAX, sizeof(why));
	bool ok = false;

	for (size_t i = 0; !ok && i <= r->events; i++) {
		if (i > 0 && !names_apply(n, &r->event[i - 1]))
			continue;
		if (n->moment < promised || names_hash(n) != hash)
			continue;
		ok = is_moment(r, n->moment, dir);
		snprintf(told + tried++ % TOLD_MAX * sizeof(why), sizeof(why),
			 "not %u: %.480s", n->moment, why);
	}
	if (!ok)
		printf("process %u: BROKEN: no moment of %u..%u is what is "
		       "there (%u with these names)\n",
		       r->id, promised, n->moment, tried);
	for (uint32_t i = 0; !ok && i < TOLD_MAX && i < tried; i++)
		printf("  %s\n", told + i * sizeof(why));
	free(told);
	free(n);
	return ok;
}

static bool check_process(const struct record *r, const char *folder)
{
	struct names *there = must_alloc(1, sizeof(*there));
	char path[1024];
	int dir;
	bool ok;

	snprintf(path, sizeof(path), "%s/%u", folder, r->id);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ok = dir >= 0 || differs("%s: %s", path, strerror(errno));
	ok = ok && walk(dir, "", there);
	if (!ok)
		printf("process %u: BROKEN: %s\n", r->id, why);
	ok = ok && find_moment(r, names_hash(there), dir);
	if (dir >= 0)
		close(dir);
	free(there);
	return ok;
}

int promise_check(const char *folder, const char *manifest)
{
	unsigned long promises = 0, events = 0;
	struct record r;
	int bad = 0, rc;

	for (unsigned i = 0; i < PROCESSES; i++) {
		rc = record_read(manifest, i, &r);
		if (rc < 0)
			printf("process %u: manifest is damaged\n", i);
		if (rc < 0 || (rc == 1 && !check_process(&r, folder)))
			bad = 1;
		promises += r.promises;
		events += r.events;
		free(r.event);
	}
	printf("promises=%lu events=%lu broken=%d\n", promises, events, bad);
	return bad;
}
