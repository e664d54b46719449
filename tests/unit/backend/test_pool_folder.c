/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools in real folders: paths, links, moves, permissions.
 */
#include "unit/backend/pool_kit.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
	char base[64];
	char path[PATH_MAX]; /* of the last at() */
	struct kit kit;	     /* base/disk/a, b, c */
	struct diag diag;
	struct pool *pool;
};

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* A path below the test's own folder, until the next call. */
static const char *at(struct fixture *f, const char *name)
{
	snprintf(f->path, sizeof(f->path), "%s/%s", f->base, name);
	return f->path;
}

static void make_folder(struct fixture *f, const char *name)
{
	assert_int_equal(mkdir(at(f, name), 0700), 0);
}

static int set_up(void **state)
{
	const char *tmp = getenv("TMPDIR");
	struct fixture *f = calloc(1, sizeof(*f));
	char real[PATH_MAX];

	assert_non_null(f);
	snprintf(real, sizeof(real), "%s/mendfs-pool-XXXXXX",
		 tmp && strlen(tmp) < 40 ? tmp : "/tmp");
	assert_non_null(mkdtemp(real));
	snprintf(f->base, sizeof(f->base), "%.63s", real);
	make_folder(f, "disk");
	f->kit.n = 3;
	for (unsigned i = 0; i < 3; i++) {
		snprintf(f->kit.name[i], sizeof(f->kit.name[i]), "%s/disk/%c",
			 f->base, 'a' + (int)i);
		f->kit.at[i] = f->kit.name[i];
		assert_int_equal(mkdir(f->kit.at[i], 0700), 0);
	}
	*state = f;
	return 0;
}

static int set_up_pool(void **state)
{
	struct fixture *f;

	set_up(state);
	f = *state;
	kit_make(&f->kit, 1);
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	pool_close(f->pool);
	nftw(f->base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

static void assert_told(const struct fixture *f, const char *about)
{
	if (!strstr(f->diag.text, about))
		fail_msg("'%s' is not in: %s", about, f->diag.text);
}

static void move(struct fixture *f, const char *from, const char *to)
{
	char old[PATH_MAX];

	strcpy(old, at(f, from));
	assert_int_equal(rename(old, at(f, to)), 0);
}

static unsigned count_entries(const char *path)
{
	DIR *d = opendir(path);
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void test_from_any_one(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 3; i++) {
		struct pool *p = kit_must_open(f->kit.at[i]);

		assert_int_equal(pool_up(p), 3);
		pool_close(p);
	}
}

/* Relative, with kind, with a slash at the end, through a link. */
static void test_spellings(void **state)
{
	struct fixture *f = *state;
	char here[PATH_MAX];
	struct pool *p;
	char name[256];

	assert_non_null(getcwd(here, sizeof(here)));
	assert_int_equal(symlink(f->kit.at[1], at(f, "link")), 0);
	assert_int_equal(chdir(f->base), 0);
	snprintf(name, sizeof(name), "dir:%s/", f->kit.at[0]);
	p = kit_must_open(name);
	assert_string_equal(p->member[0].path, f->kit.at[0]);
	pool_close(p);
	p = kit_must_open("disk/c");
	assert_string_equal(p->member[2].path, f->kit.at[2]);
	pool_close(p);
	p = kit_must_open(at(f, "link"));
	assert_string_equal(p->member[1].path, f->kit.at[1]);
	assert_int_equal(pool_up(p), 3);
	pool_close(p);
	assert_int_equal(chdir(here), 0);
}

static void test_linked_twice(void **state)
{
	struct fixture *f = *state;
	const char *two[2] = {f->kit.at[1], NULL};

	assert_int_equal(symlink(f->kit.at[1], at(f, "link")), 0);
	two[1] = f->path;
	assert_int_equal(kit_open_list(two, 2, (struct kit_open){0}, &f->diag,
				       &f->pool),
			 -ERR_DUPLICATE);
}

static void test_moved_as_a_whole(void **state)
{
	struct fixture *f = *state;

	move(f, "disk", "usb");
	f->pool = kit_must_open(at(f, "usb/b"));
	assert_int_equal(pool_up(f->pool), 3);
	assert_string_equal(f->pool->member[0].path, at(f, "usb/a"));
	/* Remembered from the next superblock on. */
	assert_int_equal(pool_begin_epoch(f->pool), 0);
	kit_publish(f->pool);
	pool_close(f->pool);
	f->pool = kit_must_open(at(f, "usb/c"));
	assert_int_equal(pool_up(f->pool), 3);
	assert_string_equal(f->pool->sb.member[0].path, at(f, "usb/a"));
}

/* /x/one/pool, /x/two/pool -> /y/one/pool, /y/two/pool */
static void test_moved_deeper(void **state)
{
	struct fixture *f = *state;

	make_folder(f, "x");
	make_folder(f, "x/one");
	make_folder(f, "x/two");
	make_folder(f, "x/three");
	move(f, "disk/a", "x/one/pool");
	move(f, "disk/b", "x/two/pool");
	move(f, "disk/c", "x/three/pool");
	{
		char name[3][256];
		const char *all[3] = {name[0], name[1], name[2]};

		snprintf(name[0], 256, "%s/x/one/pool", f->base);
		snprintf(name[1], 256, "%s/x/two/pool", f->base);
		snprintf(name[2], 256, "%s/x/three/pool", f->base);
		assert_int_equal(kit_open_list(all, 3, (struct kit_open){0},
					       &f->diag, &f->pool),
				 0);
	}
	assert_int_equal(pool_begin_epoch(f->pool), 0);
	kit_publish(f->pool);
	pool_close(f->pool);
	move(f, "x", "y");
	f->pool = kit_must_open(at(f, "y/two/pool"));
	assert_int_equal(pool_up(f->pool), 3);
}

static void copy_file(const char *from, const char *to)
{
	char data[1 << 16];
	FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
	size_t n;

	assert_non_null(in);
	assert_non_null(out);
	while ((n = fread(data, 1, sizeof(data), in)) > 0)
		assert_int_equal(fwrite(data, 1, n, out), n);
	fclose(in);
	fclose(out);
}

static void copy_folder(struct fixture *f, const char *from, const char *to)
{
	char a[PATH_MAX], b[PATH_MAX];
	struct dirent *e;
	DIR *d;

	make_folder(f, to);
	d = opendir(at(f, from));
	assert_non_null(d);
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(a, sizeof(a), "%s/%s/%s", f->base, from, e->d_name);
		snprintf(b, sizeof(b), "%s/%s/%s", f->base, to, e->d_name);
		copy_file(a, b);
	}
	closedir(d);
}

/* A backup of all folders is opened as such, not mixed with the original. */
static void test_copied_as_a_whole(void **state)
{
	struct fixture *f = *state;

	make_folder(f, "backup");
	copy_folder(f, "disk/a", "backup/a");
	copy_folder(f, "disk/b", "backup/b");
	copy_folder(f, "disk/c", "backup/c");
	f->pool = kit_must_open(at(f, "backup/b"));
	assert_int_equal(pool_up(f->pool), 3);
	assert_string_equal(f->pool->member[0].path, at(f, "backup/a"));
	assert_string_equal(f->pool->member[2].path, at(f, "backup/c"));
}

static void test_missing_folder(void **state)
{
	struct fixture *f = *state;

	move(f, "disk/b", "gone");
	f->pool = kit_must_open(f->kit.at[0]);
	assert_int_equal(f->pool->member[1].why, -ENOENT);
	pool_close(f->pool);
	/* Named explicitly: a known member, so only missing, however spelt. */
	strcat(f->kit.name[1], "/");
	assert_int_equal(kit_open_list(f->kit.at, 3, (struct kit_open){0},
				       &f->diag, &f->pool),
			 0);
	assert_int_equal(pool_up(f->pool), 2);
}

static void test_unmounted_disk(void **state)
{
	struct fixture *f = *state;

	move(f, "disk/b", "gone");
	make_folder(f, "disk/b");
	make_folder(f, "disk/b/lost+found");
	f->pool = kit_must_open(f->kit.at[0]);
	assert_int_equal(f->pool->member[1].why, -ERR_EMPTY_FOLDER);
	assert_int_equal(pool_begin_epoch(f->pool), 0);
	kit_publish(f->pool);
	assert_int_equal(count_entries(at(f, "disk/b")), 1);
}

static void test_nested(void **state)
{
	struct fixture *f = *state;
	const char *two[2] = {f->kit.at[0], NULL};
	struct kit kit = {.n = 2, .at = {f->kit.at[0], NULL}};
	char inner[256];

	snprintf(inner, sizeof(inner), "%s/inner", f->kit.at[0]);
	assert_int_equal(mkdir(inner, 0700), 0);
	two[1] = kit.at[1] = inner;
	assert_int_equal(kit_create(&kit, 1, true, &f->diag, &f->pool),
			 -ERR_NESTED);
	assert_told(f, "inner");
	f->diag = (struct diag)DIAG_INIT;
	assert_int_equal(kit_open_list(two, 2, (struct kit_open){0}, &f->diag,
				       &f->pool),
			 -ERR_NESTED);
	assert_told(f, "inside");
}

/* "/a/b" is not in "/a/bc". */
static void test_not_nested(void **state)
{
	struct fixture *f = *state;
	char name[256];
	struct kit kit = {.n = 2, .at = {f->kit.at[0], name}};

	snprintf(name, sizeof(name), "%s2", f->kit.at[0]);
	assert_int_equal(mkdir(name, 0700), 0);
	kit_make(&kit, 1);
	f->pool = kit_must_open(name);
	assert_int_equal(pool_up(f->pool), 2);
}

static void test_file_instead_of_folder(void **state)
{
	struct fixture *f = *state;
	const char *file = at(f, "file");

	copy_file("/dev/null", file);
	assert_int_equal(kit_open_one(file, &f->diag, &f->pool), -ENOTDIR);
	assert_told(f, "file");
}

static void test_lost_and_found_alone(void **state)
{
	struct fixture *f = *state;

	make_folder(f, "disk/a/lost+found");
	assert_int_equal(kit_create(&f->kit, 1, false, &f->diag, &f->pool), 0);
	pool_close(f->pool);
	/* What that attempt left behind is no obstacle to the next. */
	assert_int_equal(kit_create(&f->kit, 1, false, &f->diag, &f->pool), 0);
	pool_close(f->pool);
	make_folder(f, "disk/b/photos");
	assert_int_equal(kit_create(&f->kit, 1, false, &f->diag, &f->pool),
			 -ERR_NOT_EMPTY);
	f->pool = NULL;
	assert_told(f, f->kit.at[1]);
}

/* Names and the times of their last change. */
static void list_state(const char *path, char *out, size_t len)
{
	static const char *const names[] = {"mendfs.super.0", "mendfs.super.1",
					    "mendfs.lock", "epoch.1"};
	struct stat st;
	size_t used = (size_t)snprintf(out, len, "%u:", count_entries(path));

	assert_int_equal(stat(path, &st), 0);
	used += (size_t)snprintf(out + used, len - used, "%ld.%ld",
				 (long)st.st_mtim.tv_sec,
				 (long)st.st_mtim.tv_nsec);
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		char name[PATH_MAX];

		snprintf(name, sizeof(name), "%s/%s", path, names[i]);
		if (stat(name, &st))
			continue;
		used += (size_t)snprintf(out + used, len - used,
					 " %s %ld.%ld %ld", names[i],
					 (long)st.st_mtim.tv_sec,
					 (long)st.st_mtim.tv_nsec,
					 (long)st.st_size);
	}
}

static void test_wrong_passphrase_writes_nothing(void **state)
{
	struct fixture *f = *state;
	char before[3][512], after[512];

	for (unsigned i = 0; i < 3; i++) {
		char name[PATH_MAX];

		snprintf(name, sizeof(name), "%s/mendfs.lock", f->kit.at[i]);
		unlink(name);
		list_state(f->kit.at[i], before[i], sizeof(before[i]));
	}
	assert_int_equal(kit_open_list(f->kit.at, 3,
				       (struct kit_open){.pass = "wrong"},
				       &f->diag, &f->pool),
			 -ERR_PASSPHRASE);
	for (unsigned i = 0; i < 3; i++) {
		list_state(f->kit.at[i], after, sizeof(after));
		assert_string_equal(before[i], after);
	}
	/* Reading with the right one writes nothing either. */
	assert_int_equal(kit_open_list(f->kit.at, 3,
				       (struct kit_open){.read_only = true},
				       &f->diag, &f->pool),
			 0);
	for (unsigned i = 0; i < 3; i++) {
		list_state(f->kit.at[i], after, sizeof(after));
		assert_string_equal(before[i], after);
	}
}

static void test_in_use(void **state)
{
	struct fixture *f = *state;
	struct pool *p;

	f->pool = kit_must_open(f->kit.at[0]);
	assert_int_equal(kit_open_one(f->kit.at[1], &f->diag, &p), -ERR_IN_USE);
	assert_told(f, f->kit.at[0]);
	assert_int_equal(kit_create(&f->kit, 1, true, NULL, &p), -ERR_IN_USE);
}

#define T(f)	  cmocka_unit_test_setup_teardown(f, set_up_pool, tear_down)
#define T_BARE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_from_any_one),
		T(test_spellings),
		T(test_linked_twice),
		T(test_moved_as_a_whole),
		T(test_moved_deeper),
		T(test_copied_as_a_whole),
		T(test_missing_folder),
		T(test_unmounted_disk),
		T(test_nested),
		T_BARE(test_not_nested),
		T(test_file_instead_of_folder),
		T_BARE(test_lost_and_found_alone),
		T(test_wrong_passphrase_writes_nothing),
		T(test_in_use),
	};

	return cmocka_run_group_tests(tests, kit_start, kit_stop);
}
