/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base_place.h - a folder for each test that needs files.
 */
#ifndef MENDFS_TESTS_BASE_PLACE_H
#define MENDFS_TESTS_BASE_PLACE_H

#include "base_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <string.h>

#include "base/mem.h"
#include "base/osfile.h"

/* Every test has an empty folder of its own. */
struct place {
	char path[PATH_MAX];
	int dir;
};

static inline int make_place(void **state)
{
	struct place *p = mem_zalloc(sizeof(*p));
	const char *tmp = getenv("TMPDIR");

	snprintf(p->path, sizeof(p->path), "%s/mendfs-test-XXXXXX",
		 tmp ? tmp : "/tmp");
	if (!mkdtemp(p->path))
		return -1;
	p->dir = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = p;
	return p->dir < 0 ? -1 : 0;
}

static inline int remove_one(const char *path, const struct stat *st, int type,
			     struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

static inline int drop_place(void **state)
{
	struct place *p = *state;
	int rc;

	os_fail_at(0, 0, 0);
	mem_fail_at(0, 0);
	close(p->dir);
	rc = nftw(p->path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	mem_free(p);
	return rc;
}

static inline char *in(const struct place *p, const char *name)
{
	char *path = mem_printf("%s/%s", p->path, name);

	assert_non_null(path);
	return path;
}

static inline unsigned names_in(const struct place *p)
{
	DIR *d = opendir(p->path);
	unsigned n = 0;

	assert_non_null(d);
	for (struct dirent *e = readdir(d); e; e = readdir(d))
		n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
	closedir(d);
	return n;
}

static inline int new_file(const struct place *p, const char *name)
{
	int fd = os_openat(p->dir, name, O_RDWR | O_CREAT | O_EXCL, 0600);

	assert_true(fd >= 0);
	return fd;
}

#define IN_PLACE(test) \
	cmocka_unit_test_setup_teardown(test, make_place, drop_place)

#endif
