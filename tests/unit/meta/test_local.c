/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache folder: where it is, who may have it, and a state file that is
 * whole or absent.
 */
#include "unit/base/base_place.h"

#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "meta/local.h"
#include "meta/local_format.h"

#define OK(call) assert_int_equal(call, 0)

static const struct pool_id pool = {{0xab, 1, 2}};
static const char hex[] = "ab010200000000000000000000000000";

struct fixture {
	struct place *place;
	char *cache;
	struct keyring *keys;
};

static int make(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	OK(make_place((void **)&f->place));
	f->cache = in(f->place, "a/cache");
	OK(keyring_new(&f->keys));
	*state = f;
	return 0;
}

static int drop(void **state)
{
	struct fixture *f = *state;

	OK(drop_place((void **)&f->place));
	mem_free(f->cache);
	keyring_free(f->keys);
	free(f);
	return 0;
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, make, drop)

static struct local open_it(struct fixture *f, bool private)
{
	struct diag d = DIAG_INIT;
	struct local l;

	if (local_open(f->cache, &pool, private, &d, &l))
		fail_msg("%s", d.text);
	return l;
}

static unsigned mode_of(const char *path)
{
	struct stat st;

	OK(stat(path, &st));
	return st.st_mode & 07777;
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static void touch(const char *folder, const char *name)
{
	char *path = mem_printf("%s/%s", folder, name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs("x", file);
	fclose(file);
	mem_free(path);
}

/* ---- where ---- */

static void expect_default(const char *want)
{
	char *got = local_default_folder();

	assert_string_equal(got, want);
	mem_free(got);
}

static void test_default_folder(void **state)
{
	char *home = getenv("HOME") ? strdup(getenv("HOME")) : NULL;
	char *xdg = getenv("XDG_CACHE_HOME") ? strdup(getenv("XDG_CACHE_HOME"))
					     : NULL;
	bool root = geteuid() == 0;

	(void)state;
	setenv("HOME", "/home/of", 1);
	setenv("XDG_CACHE_HOME", "/some/where", 1);
	expect_default("/some/where/mendfs");
	/* The specification: relative paths are to be ignored. */
	setenv("XDG_CACHE_HOME", "some/where", 1);
	expect_default(root ? "/var/cache/mendfs" : "/home/of/.cache/mendfs");
	setenv("XDG_CACHE_HOME", "", 1);
	expect_default(root ? "/var/cache/mendfs" : "/home/of/.cache/mendfs");
	unsetenv("XDG_CACHE_HOME");
	expect_default(root ? "/var/cache/mendfs" : "/home/of/.cache/mendfs");
	if (xdg)
		setenv("XDG_CACHE_HOME", xdg, 1);
	if (home)
		setenv("HOME", home, 1);
	free(xdg);
	free(home);
}

static void test_paths_and_modes(void **state)
{
	struct fixture *f = *state;
	char *folder = mem_printf("%s/%s", f->cache, hex);
	mode_t old = umask(0);
	struct local l = open_it(f, false);
	struct local_state s = {0};
	char *index = mem_printf("%s/index", folder);
	char *st = mem_printf("%s/state", folder);

	assert_string_equal(l.folder, folder);
	assert_string_equal(l.index_path, index);
	assert_string_equal(l.state_path, st);
	assert_int_equal(mode_of(folder), 0700);
	assert_int_equal(mode_of(f->cache), 0700);
	OK(local_store(&l, f->keys, &s));
	assert_int_equal(mode_of(l.state_path), 0600);
	local_close(&l);
	assert_true(exists(st));
	/* an old folder that others can look into */
	OK(chmod(folder, 0755));
	l = open_it(f, false);
	assert_int_equal(mode_of(folder), 0700);
	local_close(&l);
	local_close(&l); /* twice is once */
	umask(old);
	mem_free(folder);
	mem_free(index);
	mem_free(st);
}

static void test_relative_path_becomes_absolute(void **state)
{
	struct fixture *f = *state;
	char cwd[PATH_MAX];
	struct local l;

	assert_non_null(getcwd(cwd, sizeof(cwd)));
	OK(chdir(f->place->path));
	OK(local_open("x/y", &pool, false, NULL, &l));
	OK(chdir(cwd));
	assert_int_equal(l.index_path[0], '/');
	assert_true(exists(l.folder));
	local_close(&l);
}

/* ---- who may have it ---- */

static void test_one_at_a_time(void **state)
{
	struct fixture *f = *state;
	struct local l = open_it(f, false), other;
	struct diag d = DIAG_INIT;
	struct pool_id another = {{9}};

	assert_int_equal(local_open(f->cache, &pool, false, &d, &other),
			 -ERR_IN_USE);
	assert_non_null(strstr(d.text, hex));
	assert_null(other.folder);
	local_close(&other);
	OK(local_open(f->cache, &another, false, &d, &other));
	local_close(&other);
	local_close(&l);
	l = open_it(f, false);
	local_close(&l);
}

static void test_errors_have_words(void **state)
{
	struct fixture *f = *state;
	struct diag d = DIAG_INIT;
	struct local l;

	touch(f->place->path, "a");
	assert_int_equal(local_open(f->cache, &pool, false, &d, &l), -ENOTDIR);
	assert_non_null(strstr(d.text, "cache_dir="));
	assert_null(l.folder);
	d.text[0] = 0;
	assert_int_equal(local_open(f->cache, &pool, true, &d, &l), -ENOTDIR);
	assert_non_null(strstr(d.text, "cache_dir="));
}

static void test_no_links_are_followed(void **state)
{
	struct fixture *f = *state;
	char *folder = mem_printf("%s/%s", f->cache, hex);
	struct local l;
	int rc;

	OK(os_mkdir_parents(f->cache, 0700));
	OK(symlink("/tmp", folder));
	rc = local_open(f->cache, &pool, false, NULL, &l);
	assert_true(rc == -ELOOP || rc == -ENOTDIR);
	assert_int_not_equal(mode_of("/tmp"), 0700);
	mem_free(folder);
}

/* Fails wholly, or works although something could not be tidied up. */
static bool try_open(struct fixture *f, bool private)
{
	struct local l;
	int rc = local_open(f->cache, &pool, private, NULL, &l);

	if (rc < 0)
		assert_null(l.folder);
	else
		assert_true(exists(l.folder));
	local_close(&l);
	return rc == 0;
}

static void every_call_fails(struct fixture *f, bool private)
{
	unsigned failed = 0;
	uint64_t i = 0, calls;

	do {
		os_fail_at(++i, EIO, 0);
		failed += !try_open(f, private);
		calls = os_count();
		os_fail_at(0, 0, 0);
	} while (calls >= i);
	assert_true(failed > 4);
	i = 0;
	do {
		mem_fail_at(++i, 0);
		failed += !try_open(f, private);
		calls = mem_count();
		mem_fail_at(0, 0);
	} while (calls >= i);
	assert_true(failed > 8);
}

static void test_every_call_fails(void **state)
{
	every_call_fails(*state, false);
	every_call_fails(*state, true);
}

/* ---- private ones ---- */

static void test_private(void **state)
{
	struct fixture *f = *state;
	struct local pools = open_it(f, false);
	struct local a = open_it(f, true), b = open_it(f, true);
	char *path = strdup(a.folder);

	assert_string_not_equal(a.folder, pools.folder);
	assert_string_not_equal(a.folder, b.folder);
	assert_int_equal(mode_of(a.folder), 0700);
	touch(a.folder, "index");
	touch(a.folder, "index.cow");
	touch(a.folder, "state");
	touch(a.folder, "state.0123456789abcdef.tmp");
	local_close(&a);
	assert_false(exists(path));
	assert_true(exists(b.folder));
	assert_true(exists(pools.folder));
	local_close(&b);
	local_close(&pools);
	free(path);
}

/* Nothing that is not ours is ever removed. */
static void test_private_with_a_foreign_file(void **state)
{
	struct fixture *f = *state;
	struct local a = open_it(f, true);
	char *path = mem_printf("%s/letter", a.folder);

	touch(a.folder, "letter");
	touch(a.folder, "index");
	local_close(&a);
	assert_true(exists(path));
	a = open_it(f, true);
	assert_true(exists(path));
	local_close(&a);
	mem_free(path);
}

static void test_what_a_crash_left(void **state)
{
	struct fixture *f = *state;
	char *left = mem_printf("%s/%s.0123456789abcdef", f->cache, hex);
	char *used = mem_printf("%s/%s.fedcba9876543210", f->cache, hex);
	char *other = mem_printf("%s/%s.keep", f->cache, hex);
	struct local l;
	int fd;

	OK(os_mkdir_parents(left, 0700));
	touch(left, "index");
	OK(mkdir(used, 0700));
	touch(used, "index");
	OK(mkdir(other, 0700));
	fd = open(used, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	OK(flock(fd, LOCK_EX));
	l = open_it(f, true);
	assert_false(exists(left));
	assert_true(exists(used));
	assert_true(exists(other));
	local_close(&l);
	close(fd);
	mem_free(left);
	mem_free(used);
	mem_free(other);
}

static void test_temporary_files_go(void **state)
{
	struct fixture *f = *state;
	struct local l = open_it(f, false);
	char *temp = mem_printf("%s/state.0123456789abcdef.tmp", l.folder);

	touch(l.folder, "state.0123456789abcdef.tmp");
	touch(l.folder, "index");
	local_close(&l);
	l = open_it(f, false);
	assert_false(exists(temp));
	assert_true(exists(l.index_path));
	local_close(&l);
	mem_free(temp);
}

/* ---- the state ---- */

static struct local_state sample(void)
{
	struct local_state s = {
		.clean = true,
		.seq = 0x1122334455667788,
		.mark_epoch = 9,
		.mark_seq = 0x99aabbccddeeff00,
	};

	memset(s.salt, 1, sizeof(s.salt));
	memset(s.manifest_hash, 2, sizeof(s.manifest_hash));
	memset(s.mark_epoch_id, 3, sizeof(s.mark_epoch_id));
	return s;
}

static void test_state_round_trip(void **state)
{
	struct fixture *f = *state;
	struct local l = open_it(f, false);
	struct local_state s = sample(), got;

	assert_int_equal(local_load(&l, f->keys, &got), -ENOENT);
	for (unsigned i = 0; i < 2; i++) {
		OK(local_store(&l, f->keys, &s));
		OK(local_load(&l, f->keys, &got));
		assert_int_equal(got.clean, s.clean);
		assert_memory_equal(got.salt, s.salt, sizeof(s.salt));
		assert_memory_equal(got.manifest_hash, s.manifest_hash, 32);
		assert_memory_equal(got.mark_epoch_id, s.mark_epoch_id, 16);
		assert_int_equal(got.seq, s.seq);
		assert_int_equal(got.mark_epoch, s.mark_epoch);
		assert_int_equal(got.mark_seq, s.mark_seq);
		s.clean = false;
		s.seq++;
	}
	local_close(&l);
}

static void write_raw(const struct local *l, const uint8_t *p, size_t len)
{
	OK(os_replace_file(l->state_path, p, len));
}

/* Any bit, any length, any other key: it is not there. */
static void test_damaged_is_absent(void **state)
{
	struct fixture *f = *state;
	struct local l = open_it(f, false);
	struct local_state s = sample(), got;
	struct keyring *other;
	uint8_t *raw;
	size_t len;

	OK(local_store(&l, f->keys, &s));
	OK(os_read_file(l.state_path, 4096, &raw, &len));
	assert_int_equal(len, sizeof(struct local_file));
	for (size_t bit = 0; bit < len * 8; bit += 3) {
		raw[bit / 8] ^= (uint8_t)(1u << bit % 8);
		write_raw(&l, raw, len);
		assert_int_equal(local_load(&l, f->keys, &got), -ENOENT);
		raw[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t cut = 0; cut < len; cut += 7) {
		write_raw(&l, raw, cut);
		assert_int_equal(local_load(&l, f->keys, &got), -ENOENT);
	}
	raw = mem_realloc(raw, len + 1);
	raw[len] = 0;
	write_raw(&l, raw, len + 1);
	assert_int_equal(local_load(&l, f->keys, &got), -ENOENT);
	write_raw(&l, raw, len);
	OK(local_load(&l, f->keys, &got));
	OK(keyring_new(&other));
	assert_int_equal(local_load(&l, other, &got), -ENOENT);
	keyring_free(other);
	mem_free(raw);
	local_close(&l);
}

/* Unknown is not absent. */
static void test_unreadable_is_unknown(void **state)
{
	struct fixture *f = *state;
	struct local l = open_it(f, false);
	struct local_state s = sample(), got;

	OK(local_store(&l, f->keys, &s));
	os_fail_at(1, EACCES, 0);
	assert_int_equal(local_load(&l, f->keys, &got), -EACCES);
	os_fail_at(2, EIO, 0);
	assert_int_equal(local_load(&l, f->keys, &got), -EIO);
	os_fail_at(0, 0, 0);
	local_close(&l);
}

static void test_failed_store_keeps_the_old(void **state)
{
	struct fixture *f = *state;
	struct local l = open_it(f, false);
	struct local_state s = sample(), got;
	uint64_t i = 0;
	int rc;

	OK(local_store(&l, f->keys, &s));
	do {
		struct local_state next = s;

		next.seq++;
		os_fail_at(++i, ENOSPC, 0);
		rc = local_store(&l, f->keys, &next);
		os_fail_at(0, 0, 0);
		OK(local_load(&l, f->keys, &got));
		assert_true(got.seq == next.seq ||
			    (rc < 0 && got.seq == s.seq));
	} while (rc < 0);
	assert_true(i > 4);
	local_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default_folder),
		WITH_FOLDER(test_paths_and_modes),
		WITH_FOLDER(test_relative_path_becomes_absolute),
		WITH_FOLDER(test_one_at_a_time),
		WITH_FOLDER(test_errors_have_words),
		WITH_FOLDER(test_no_links_are_followed),
		WITH_FOLDER(test_every_call_fails),
		WITH_FOLDER(test_private),
		WITH_FOLDER(test_private_with_a_foreign_file),
		WITH_FOLDER(test_what_a_crash_left),
		WITH_FOLDER(test_temporary_files_go),
		WITH_FOLDER(test_state_round_trip),
		WITH_FOLDER(test_damaged_is_absent),
		WITH_FOLDER(test_unreadable_is_unknown),
		WITH_FOLDER(test_failed_store_keeps_the_old),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
