/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is special about folders; the rest is in contract/test_driver.c.
 * D1-D5 are the rules on top of drv_dir.c.
 */
#include "unit/base/base_place.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include "backend/driver.h"
#include "base/buf.h"

struct fix {
	struct place *p; /* p->path/pool is the folder */
	char *path;
	struct driver *d;
};

static int set_up(void **state)
{
	struct fix *f = mem_zalloc(sizeof(*f));
	void *place;

	if (make_place(&place) != 0)
		return -1;
	f->p = place;
	f->path = in(f->p, "pool");
	*state = f;
	if (mkdir(f->path, 0700) != 0)
		return -1;
	return driver_attach(f->path, &f->d);
}

static int tear_down(void **state)
{
	struct fix *f = *state;
	void *place = f->p;

	os_fail_at(0, 0, 0);
	driver_detach(f->d);
	mem_free(f->path);
	mem_free(f);
	return drop_place(&place);
}

/* ---- helpers ---- */

static int open_rc(struct driver *d, const char *name, unsigned flags)
{
	struct drv_file *o = NULL;
	int rc = driver_open(d, name, flags, &o);

	driver_close(o);
	return rc;
}

static struct drv_file *created(struct driver *d, const char *name)
{
	struct drv_file *o;

	assert_int_equal(driver_open(d, name, DRV_WRITE | DRV_CREATE, &o), 0);
	return o;
}

static void put(struct driver *d, const char *name, const char *text)
{
	struct drv_file *o = created(d, name);

	assert_int_equal(driver_write(o, text, strlen(text), 0), 0);
	assert_int_equal(driver_sync(o), 0);
	driver_close(o);
}

static int read_rc(struct driver *d, const char *name, char got[16])
{
	struct drv_file *o;
	int rc = driver_open(d, name, DRV_READ, &o);

	if (rc != 0)
		return rc;
	rc = (int)driver_read(o, got, 16, 0);
	driver_close(o);
	return rc;
}

static char *below(struct fix *f, const char *name)
{
	char *path = mem_printf("%s/%s", f->path, name);

	assert_non_null(path);
	return path;
}

struct seen {
	unsigned count;
	char name[16][300];
	uint64_t size[16];
};

static int see(void *arg, const char *name, uint64_t size)
{
	struct seen *s = arg;

	assert_true(s->count < ARRAY_LEN(s->name));
	snprintf(s->name[s->count], sizeof(s->name[0]), "%s", name);
	s->size[s->count++] = size;
	return 0;
}

static bool saw(const struct seen *s, const char *name)
{
	for (unsigned i = 0; i < s->count; i++) {
		if (strcmp(s->name[i], name) == 0)
			return true;
	}
	return false;
}

/* ---- D1: nothing leads out ---- */

static void test_symlinked_folders_are_not_followed(void **state)
{
	struct fix *f = *state;
	AUTO_FREE char *outside = in(f->p, "outside");
	AUTO_FREE char *link = below(f, "data");
	AUTO_FREE char *victim = in(f->p, "outside/x");
	struct seen s = {0};
	char got[16];
	int fd;

	assert_int_equal(mkdir(outside, 0700), 0);
	fd = new_file(f->p, "outside/x");
	os_close(fd);
	assert_int_equal(symlink(outside, link), 0);
	assert_int_equal(open_rc(f->d, "data/n", DRV_WRITE | DRV_CREATE),
			 -ENOTDIR);
	assert_int_equal(read_rc(f->d, "data/x", got), -ENOTDIR);
	assert_int_equal(driver_remove(f->d, "data/x"), -ENOTDIR);
	assert_int_equal(driver_rename(f->d, "data/x", "y"), -ENOTDIR);
	assert_int_equal(driver_list(f->d, "data", see, &s), -ENOTDIR);
	put(f->d, "a", "mine");
	assert_int_equal(driver_rename(f->d, "a", "data/a"), -ENOTDIR);
	assert_int_equal(access(victim, F_OK), 0);
}

static void test_symlinked_objects_are_not_followed(void **state)
{
	struct fix *f = *state;
	AUTO_FREE char *link = below(f, "link");
	char got[16];
	int fd = new_file(f->p, "secret");

	assert_int_equal(os_pwrite(fd, "secret", 6, 0), 0);
	os_close(fd);
	assert_int_equal(symlink("../secret", link), 0);
	assert_int_equal(read_rc(f->d, "link", got), -ELOOP);
	assert_int_equal(open_rc(f->d, "link", DRV_WRITE), -ELOOP);
	assert_int_equal(open_rc(f->d, "link", DRV_WRITE | DRV_CREATE),
			 -EEXIST);
	put(f->d, "a", "mine");
	assert_int_equal(driver_rename(f->d, "a", "link"), 0);
	assert_int_equal(read_rc(f->d, "link", got), 4);
	fd = os_openat(f->p->dir, "secret", O_RDONLY, 0);
	assert_int_equal(os_pread(fd, got, 16, 0), 6);
	os_close(fd);
}

/* D5: no writer is there, so a careless open would wait for one. */
static void test_fifo_does_not_hang(void **state)
{
	struct fix *f = *state;
	AUTO_FREE char *fifo = below(f, "fifo");
	char got[16];

	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(read_rc(f->d, "fifo", got), -ENXIO);
	assert_int_equal(open_rc(f->d, "fifo", DRV_WRITE), -ENXIO);
}

static void test_lock_file_may_not_be_a_symlink(void **state)
{
	struct fix *f = *state;
	AUTO_FREE char *link = below(f, DRV_LOCK);
	AUTO_FREE char *target = in(f->p, "target");

	assert_int_equal(symlink("../target", link), 0);
	assert_int_equal(driver_lock(f->d, true), -ELOOP);
	assert_int_equal(access(target, F_OK), -1);
}

/* ---- D2: the folder that was attached ---- */

static void expect_stale(struct driver *d)
{
	struct drv_identity id;
	struct drv_usage u;
	struct seen s = {0};

	assert_int_equal(driver_usage(d, &u), -ESTALE);
	assert_int_equal(driver_identity(d, &id), -ESTALE);
	assert_int_equal(driver_lock(d, true), -ESTALE);
	assert_int_equal(driver_lock(d, false), -ESTALE);
	assert_int_equal(open_rc(d, "none", DRV_READ), -ESTALE);
	assert_int_equal(open_rc(d, "no/ne", DRV_READ), -ESTALE);
	assert_int_equal(driver_remove(d, "none"), -ESTALE);
	assert_int_equal(driver_rename(d, "none", "other"), -ESTALE);
	assert_int_equal(driver_list(d, "none", see, &s), -ESTALE);
}

static void test_another_folder_in_its_place(void **state)
{
	struct fix *f = *state;
	AUTO_FREE char *away = in(f->p, "away");
	struct drv_usage u;
	char got[16];

	put(f->d, "a", "one");
	assert_int_equal(rename(f->path, away), 0);
	expect_stale(f->d);
	assert_int_equal(mkdir(f->path, 0700), 0);
	expect_stale(f->d);
	assert_int_equal(read_rc(f->d, "a", got), 3); /* it is still ours */
	assert_int_equal(rmdir(f->path), 0);
	assert_int_equal(rename(away, f->path), 0);
	assert_int_equal(driver_usage(f->d, &u), 0);
	assert_int_equal(open_rc(f->d, "none", DRV_READ), -ENOENT);
}

static void test_removed_folder_is_not_empty(void **state)
{
	struct fix *f = *state;

	assert_int_equal(rmdir(f->path), 0);
	expect_stale(f->d);
	assert_int_equal(open_rc(f->d, "new", DRV_WRITE | DRV_CREATE), -ESTALE);
	assert_int_equal(open_rc(f->d, "n/ew", DRV_WRITE | DRV_CREATE),
			 -ESTALE);
}

static void test_relative_path_survives_chdir(void **state)
{
	struct fix *f = *state;
	AUTO_FREE char *before = getcwd(NULL, 0);
	struct drv_usage u;
	struct driver *d;

	assert_int_equal(chdir(f->p->path), 0);
	assert_int_equal(driver_attach("dir:pool", &d), 0);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(driver_usage(d, &u), 0);
	put(d, "a", "x");
	driver_detach(d);
	assert_int_equal(chdir(before), 0);
}

static void test_usage_is_what_the_system_says(void **state)
{
	struct fix *f = *state;
	struct drv_identity id;
	struct drv_usage u;
	struct statvfs v;
	struct stat st;

	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(statvfs(f->path, &v), 0);
	assert_int_equal(driver_usage(f->d, &u), 0);
	assert_int_equal(driver_identity(f->d, &id), 0);
	assert_true(u.domain == st.st_dev);
	assert_true(id.dev == st.st_dev && id.ino == st.st_ino);
	assert_true(u.total_bytes == (uint64_t)v.f_blocks * v.f_frsize);
}

/* ---- listing ---- */

static void test_foreign_names(void **state)
{
	struct fix *f = *state;
	AUTO_FREE char *spaced = below(f, "my photo.jpg");
	AUTO_FREE char *folder = below(f, "lost+found");
	AUTO_FREE char *inside = below(f, "x/a b");
	AUTO_FREE char *fifo = below(f, "x/fifo");
	AUTO_FREE char *link = below(f, "dangling");
	AUTO_FREE char *long_name = NULL;
	char name[256];
	struct seen s = {0};

	memset(name, 'n', 255);
	name[255] = '\0';
	long_name = below(f, name);
	put(f->d, "x/good", "1");
	os_close(os_openat(AT_FDCWD, spaced, O_CREAT | O_RDWR, 0600));
	os_close(os_openat(AT_FDCWD, inside, O_CREAT | O_RDWR, 0600));
	os_close(os_openat(AT_FDCWD, long_name, O_CREAT | O_RDWR, 0600));
	assert_int_equal(mkdir(folder, 0700), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(symlink("nowhere", link), 0);
	assert_int_equal(driver_list(f->d, "", see, &s), 0);
	assert_int_equal(s.count, 5);
	assert_true(saw(&s, "my photo.jpg") && saw(&s, "lost+found"));
	assert_true(saw(&s, "dangling") && saw(&s, name) && saw(&s, "x"));
	s.count = 0;
	assert_int_equal(driver_list(f->d, "x", see, &s), 0);
	assert_int_equal(s.count, 1);
	assert_string_equal(s.name[0], "x/good");
}

static void test_nobody_else_may_look(void **state)
{
	struct fix *f = *state;
	AUTO_FREE char *folder = below(f, "x");
	AUTO_FREE char *file = below(f, "x/a");
	struct stat st;

	put(f->d, "x/a", "x");
	assert_int_equal(stat(folder, &st), 0);
	assert_int_equal(st.st_mode & 077, 0);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 077, 0);
}

/* ---- D3: names ---- */

/* System calls that driver_sync of a new object takes. */
static uint64_t sync_calls(struct driver *d, const char *name)
{
	struct drv_file *o = created(d, name);
	uint64_t calls;

	os_fail_at(0, 0, 0);
	assert_int_equal(driver_sync(o), 0);
	calls = os_count();
	driver_close(o);
	return calls;
}

static void test_folders_are_synced_once(void **state)
{
	struct fix *f = *state;
	AUTO_FREE char *folder = below(f, "x/y");
	uint64_t first = sync_calls(f->d, "x/y/a");
	uint64_t second = sync_calls(f->d, "x/y/b");
	uint64_t sibling = sync_calls(f->d, "x/z/c");
	uint64_t top = sync_calls(f->d, "d");
	struct driver *again;

	/* file, x's entry, y's entry, then the folder itself */
	assert_int_equal(first, second + 2);
	assert_int_equal(sibling, second + 1);
	assert_int_equal(top, 2);
	/* another process cannot know what this one has synced */
	assert_int_equal(driver_attach(f->path, &again), 0);
	assert_int_equal(sync_calls(again, "x/y/e"), first);
	driver_detach(again);
	/* nor does it last when somebody makes the folder anew */
	assert_int_equal(driver_remove(f->d, "x/y/a"), 0);
	assert_int_equal(driver_remove(f->d, "x/y/b"), 0);
	assert_int_equal(driver_remove(f->d, "x/y/e"), 0);
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(sync_calls(f->d, "x/y/a"), second + 1);
}

static void test_second_sync_needs_no_names(void **state)
{
	struct fix *f = *state;
	struct drv_file *o = created(f->d, "x/a");

	assert_int_equal(driver_sync(o), 0);
	os_fail_at(0, 0, 0);
	assert_int_equal(driver_sync(o), 0);
	assert_int_equal(os_count(), 1);
	driver_close(o);
}

/* C7: whichever call of a sync fails, the file is never trusted again. */
static void test_any_call_of_a_sync_may_fail(void **state)
{
	struct fix *f = *state;
	uint64_t calls = 0;

	for (uint64_t i = 1; i == 1 || i <= calls; i++) {
		AUTO_FREE char *name = mem_printf("f%u/y/a", (unsigned)i);
		struct drv_file *o = created(f->d, name);

		os_fail_at(i, EIO, 0);
		assert_int_equal(driver_sync(o), -EIO);
		os_fail_at(0, 0, 0);
		assert_int_equal(driver_sync(o), -EIO);
		assert_int_equal(os_count(), 0); /* it was not even asked */
		driver_close(o);
		if (calls == 0)
			calls = sync_calls(f->d, "count/y/a");
	}
	assert_true(calls >= 6);
}

static void test_failed_dsync_write_is_remembered(void **state)
{
	struct fix *f = *state;
	struct drv_file *o;

	put(f->d, "j", "....");
	assert_int_equal(driver_open(f->d, "j", DRV_WRITE | DRV_DSYNC, &o), 0);
	os_fail_at(1, EIO, 0);
	assert_int_equal(driver_write(o, "x", 1, 0), -EIO);
	assert_int_equal(driver_sync(o), -EIO);
	driver_close(o);
}

/* ---- errors are passed on ---- */

static int script(struct driver *d)
{
	struct drv_file *o = NULL;
	struct seen s = {0};
	char got[4];
	int rc = driver_open(d, "x/y/a", DRV_WRITE | DRV_CREATE, &o);

	if (rc == 0)
		rc = driver_write(o, "abc", 3, 0);
	if (rc == 0)
		rc = driver_sync(o);
	if (rc == 0)
		rc = (int)driver_read(o, got, 3, 0) < 0 ? -EMFILE : 0;
	driver_close(o);
	if (rc == 0)
		rc = driver_rename(d, "x/y/a", "b");
	if (rc == 0)
		rc = driver_list(d, "x/y", see, &s);
	if (rc == 0)
		rc = driver_lock(d, true);
	driver_unlock(d);
	return rc != 0 ? rc : driver_remove(d, "b");
}

static unsigned open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (d && readdir(d))
		n++;
	closedir(d);
	return n;
}

/* EMFILE stays EMFILE: "no descriptor" is never "no object" (C6). */
static void test_any_call_may_fail(void **state)
{
	struct fix *f = *state;
	unsigned before = open_descriptors();
	unsigned failed = 0;
	uint64_t count;
	uint64_t i = 0;

	do {
		int rc;

		os_fail_at(++i, EMFILE, 0);
		rc = script(f->d);
		count = os_count();
		os_fail_at(0, 0, 0);
		assert_true(rc == 0 || rc == -EMFILE);
		failed += rc != 0;
		(void)!driver_remove(f->d, "x/y/a");
		(void)!driver_remove(f->d, "b");
		assert_int_equal(open_descriptors(), before);
	} while (count >= i);
	assert_true(failed > 20);
	assert_int_equal(script(f->d), 0);
}

/* D4 */
static void test_direct_is_given_up_silently(void **state)
{
	struct fix *f = *state;
	AUTO_BUF struct buf *b = buf_new(DRV_BLOCK);
	struct drv_file *o;

	memset(b->data, 'd', b->len);
	assert_int_equal(driver_open(f->d, "a",
				     DRV_WRITE | DRV_CREATE | DRV_DIRECT, &o),
			 0);
	os_fail_at(1, EINVAL, 0);
	assert_int_equal(driver_write(o, b->data, b->len, 0), 0);
	os_fail_at(0, 0, 0);
	assert_int_equal(driver_write(o, b->data, b->len, DRV_BLOCK), 0);
	driver_close(o);
	assert_int_equal(driver_open(f->d, "a", DRV_READ | DRV_DIRECT, &o), 0);
	memset(b->data, 0, b->len);
	os_fail_at(1, EINVAL, 0);
	assert_int_equal(driver_read(o, b->data, b->len, DRV_BLOCK), b->len);
	os_fail_at(0, 0, 0);
	assert_int_equal(b->data[DRV_BLOCK - 1], 'd');
	driver_close(o);
}

static void test_einval_without_direct_is_an_error(void **state)
{
	struct fix *f = *state;
	struct drv_file *o = created(f->d, "a");

	os_fail_at(1, EINVAL, 0);
	assert_int_equal(driver_write(o, "x", 1, 0), -EINVAL);
	os_fail_at(0, 0, 0);
	driver_close(o);
}

/* A file system in memory knows no O_DIRECT, at least in older kernels. */
static void test_direct_on_tmpfs(void **state)
{
	AUTO_BUF struct buf *b = buf_new(2 * DRV_BLOCK);
	char path[] = "/dev/shm/mendfs-test-XXXXXX";
	struct drv_file *o;
	struct driver *d;

	(void)state;
	if (!mkdtemp(path))
		skip();
	assert_int_equal(driver_attach(path, &d), 0);
	assert_int_equal(driver_open(d, "a",
				     DRV_WRITE | DRV_CREATE | DRV_DIRECT |
					     DRV_DSYNC,
				     &o),
			 0);
	assert_int_equal(driver_write(o, b->data, b->len, 0), 0);
	assert_int_equal(driver_sync(o), 0);
	driver_close(o);
	assert_int_equal(driver_remove(d, "a"), 0);
	driver_detach(d);
	assert_int_equal(rmdir(path), 0);
}

/* ---- the lock between processes ---- */

static int lock_in_child(const char *path, bool exclusive)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		struct driver *d;
		int rc = driver_attach(path, &d);

		rc = rc ? rc : driver_lock(d, exclusive);
		_exit(rc == 0 ? 0 : rc == -ERR_IN_USE ? 1 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_lock_between_processes(void **state)
{
	struct fix *f = *state;

	assert_int_equal(driver_lock(f->d, true), 0);
	assert_int_equal(lock_in_child(f->path, true), 1);
	assert_int_equal(lock_in_child(f->path, false), 1);
	driver_unlock(f->d);
	assert_int_equal(lock_in_child(f->path, true), 0); /* and died */
	assert_int_equal(driver_lock(f->d, false), 0);
	assert_int_equal(lock_in_child(f->path, false), 0);
	assert_int_equal(lock_in_child(f->path, true), 1);
}

/* In a child: what somebody without the right to the folder is told. */
static int ask_without_permission(struct fix *f)
{
	struct driver *d;
	struct drv_usage u;

	if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)
		return 2;
	(void)!chmod(f->path, 0);
	if (driver_attach(f->path, &d) != -EACCES)
		return 3;
	if (open_rc(f->d, "a", DRV_READ) != -EACCES)
		return 4;
	if (open_rc(f->d, "new", DRV_WRITE | DRV_CREATE) != -EACCES)
		return 5;
	return driver_usage(f->d, &u) == -ESTALE ? 6 : 0;
}

static void test_no_permission(void **state)
{
	struct fix *f = *state;
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(ask_without_permission(f));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(chmod(f->path, 0700), 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_symlinked_folders_are_not_followed),
		CASE(test_symlinked_objects_are_not_followed),
		CASE(test_fifo_does_not_hang),
		CASE(test_lock_file_may_not_be_a_symlink),
		CASE(test_another_folder_in_its_place),
		CASE(test_removed_folder_is_not_empty),
		CASE(test_relative_path_survives_chdir),
		CASE(test_usage_is_what_the_system_says),
		CASE(test_foreign_names),
		CASE(test_nobody_else_may_look),
		CASE(test_folders_are_synced_once),
		CASE(test_second_sync_needs_no_names),
		CASE(test_any_call_of_a_sync_may_fail),
		CASE(test_failed_dsync_write_is_remembered),
		CASE(test_any_call_may_fail),
		CASE(test_direct_is_given_up_silently),
		CASE(test_einval_without_direct_is_an_error),
		CASE(test_direct_on_tmpfs),
		CASE(test_lock_between_processes),
		CASE(test_no_permission),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
