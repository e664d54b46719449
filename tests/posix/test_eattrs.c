/* SPDX-License-Identifier: Apache-2.0 */
/* Extended attributes. */
#include "posix_check.h"

#include <sys/xattr.h>

static int set(struct kit *k, uint64_t ino, const char *name, const char *value,
	       int flags)
{
	return posix_setxattr(k->v, ino, name, value, strlen(value), flags);
}

static void expect(struct kit *k, uint64_t ino, const char *name,
		   const char *want)
{
	char got[256];
	ssize_t n = posix_getxattr(k->v, ino, name, got, sizeof(got));

	assert_int_equal(n, strlen(want));
	assert_memory_equal(got, want, (size_t)n);
}

static bool listed(struct kit *k, uint64_t ino, const char *name)
{
	char buf[4096];
	ssize_t n = posix_listxattr(k->v, ino, buf, sizeof(buf));
	unsigned times = 0;

	assert_true(n >= 0);
	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(buf + at) + 1)
		times += strcmp(buf + at, name) == 0;
	assert_true(times <= 1);
	return times == 1;
}

static void set_get_list_remove(void **state)
{
	struct kit *k = *state;
	static const uint32_t types[] = {S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO};

	for (unsigned i = 0; i < ARRAY_LEN(types); i++) {
		uint64_t ino;
		int64_t before;
		struct attr a, b;
		char name[8];

		snprintf(name, sizeof(name), "n%u", i);
		OK(kit_try_mk(k, ROOT_INO, name, types[i] | 0644));
		ino = kit_ino(k, ROOT_INO, name);
		a = kit_attr(k, ino);
		assert_int_equal(posix_listxattr(k->v, ino, NULL, 0), 0);
		before = clock_real_ns();
		OK(set(k, ino, "user.a", "one", 0));
		b = kit_attr(k, ino);
		assert_true(b.ctime_ns >= before);
		assert_int_equal(a.mtime_ns, b.mtime_ns);
		OK(set(k, ino, "security.selinux", "label", 0));
		expect(k, ino, "user.a", "one");
		OK(set(k, ino, "user.a", "another and longer", 0));
		expect(k, ino, "user.a", "another and longer");
		assert_true(listed(k, ino, "user.a"));
		assert_true(listed(k, ino, "security.selinux"));
		before = clock_real_ns();
		OK(posix_removexattr(k->v, ino, "user.a"));
		assert_true(kit_attr(k, ino).ctime_ns >= before);
		assert_false(listed(k, ino, "user.a"));
		assert_int_equal(posix_getxattr(k->v, ino, "user.a", NULL, 0),
				 -ENODATA);
		b = kit_attr(k, ino);
		assert_int_equal(posix_removexattr(k->v, ino, "user.a"),
				 -ENODATA);
		assert_int_equal(kit_attr(k, ino).ctime_ns, b.ctime_ns);
	}
	OK(volume_sync(k->v));
	kit_recrash(k);
	expect(k, kit_ino(k, ROOT_INO, "n0"), "security.selinux", "label");
	expect(k, kit_ino(k, ROOT_INO, "n1"), "security.selinux", "label");
	kit_sound(k);
}

static void flags(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644);

	assert_int_equal(set(k, ino, "user.a", "x", XATTR_REPLACE), -ENODATA);
	OK(set(k, ino, "user.a", "x", XATTR_CREATE));
	assert_int_equal(set(k, ino, "user.a", "y", XATTR_CREATE), -EEXIST);
	expect(k, ino, "user.a", "x");
	OK(set(k, ino, "user.a", "z", XATTR_REPLACE));
	expect(k, ino, "user.a", "z");
	assert_int_equal(set(k, ino, "user.a", "w", 4), -EINVAL);
	expect(k, ino, "user.a", "z");
	kit_sound(k);
}

static void sizes(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644);
	static char big[EATTR_BYTES_MAX + 1], got[EATTR_BYTES_MAX + 1];
	char buf[64];

	kit_pattern((uint8_t *)big, sizeof(big), 0, 3);
	OK(posix_setxattr(k->v, ino, "user.big", big, EATTR_BYTES_MAX, 0));
	assert_int_equal(posix_setxattr(k->v, ino, "user.over", big,
					EATTR_BYTES_MAX + 1, 0),
			 -E2BIG);
	OK(posix_setxattr(k->v, ino, "user.none", NULL, 0, 0));
	OK(posix_setxattr(k->v, ino, "user.empty", "", 0, XATTR_CREATE));
	/* Size 0 asks how much there is. */
	assert_int_equal(posix_getxattr(k->v, ino, "user.big", NULL, 0),
			 EATTR_BYTES_MAX);
	assert_int_equal(posix_getxattr(k->v, ino, "user.big", buf, 64),
			 -ERANGE);
	assert_int_equal(posix_getxattr(k->v, ino, "user.none", buf, 64), 0);
	assert_int_equal(posix_getxattr(k->v, ino, "user.empty", buf, 64), 0);
	assert_int_equal(posix_getxattr(k->v, ino, "user.empty", NULL, 0), 0);
	assert_int_equal(posix_setxattr(k->v, ino, "user.empty", "x", 1,
					XATTR_CREATE),
			 -EEXIST);
	assert_int_equal(posix_listxattr(k->v, ino, NULL, 0), 9 + 10 + 11);
	assert_int_equal(posix_listxattr(k->v, ino, buf, 29), -ERANGE);
	assert_int_equal(posix_listxattr(k->v, ino, buf, 30), 30);
	kit_reopen(k);
	assert_int_equal(posix_getxattr(k->v, ino, "user.big", got,
					sizeof(got)),
			 EATTR_BYTES_MAX);
	assert_memory_equal(got, big, EATTR_BYTES_MAX);
	kit_sound(k);
}

static void names(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644);
	char name[300];

	memset(name, 'n', sizeof(name));
	memcpy(name, "user.", 5);
	name[255] = '\0';
	OK(set(k, ino, name, "v", 0));
	expect(k, ino, name, "v");
	name[255] = 'n';
	name[256] = '\0';
	assert_int_equal(set(k, ino, name, "v", 0), -ERANGE);
	assert_int_equal(set(k, ino, "", "v", 0), -EINVAL);
	OK(set(k, ino, "user.\xff/\n", "w", 0));
	expect(k, ino, "user.\xff/\n", "w");
	assert_true(listed(k, ino, "user.\xff/\n"));
}

static void inodes_that_are_not_there(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644);
	struct file *f = kit_fopen(k, ino, O_RDONLY);
	char buf[8];

	OK(set(k, ino, "user.a", "x", 0));
	OK(posix_unlink(k->v, ROOT_INO, "f"));
	/* Open, so it is still there. */
	expect(k, ino, "user.a", "x");
	OK(set(k, ino, "user.b", "y", 0));
	posix_close(f);
	assert_int_equal(set(k, ino, "user.b", "y", 0), -ENOENT);
	assert_int_equal(posix_removexattr(k->v, ino, "user.a"), -ENOENT);
	assert_int_equal(posix_getxattr(k->v, ino, "user.a", buf, 8), -ENOENT);
	assert_int_equal(posix_listxattr(k->v, ino, buf, 8), -ENOENT);
	kit_sound(k);
}

static void many(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644);
	struct dice dice = {kit_seed(7)};
	char model[60][40];

	memset(model, 0, sizeof(model));
	for (unsigned i = 0; i < 3000; i++) {
		unsigned at = (unsigned)dice_below(&dice, 60);
		char name[32];

		snprintf(name, sizeof(name), "user.%u", at);
		if (dice_below(&dice, 3) == 0) {
			assert_int_equal(posix_removexattr(k->v, ino, name),
					 model[at][0] ? 0 : -ENODATA);
			model[at][0] = '\0';
		} else {
			snprintf(model[at], sizeof(model[at]), "%u", i);
			OK(set(k, ino, name, model[at], 0));
		}
		if (i % 997 == 0) {
			kit_fsync(k, ino);
			kit_recrash(k);
		}
	}
	for (unsigned at = 0; at < 60; at++) {
		char name[32];

		snprintf(name, sizeof(name), "user.%u", at);
		assert_int_equal(listed(k, ino, name), model[at][0] != 0);
		if (model[at][0])
			expect(k, ino, name, model[at]);
	}
	kit_sound(k);
	OK(posix_unlink(k->v, ROOT_INO, "f"));
	kit_sound(k);
}

/* A dirty size and times do not get lost by a change of attributes. */
static void beside_dirty_data(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644);

	kit_write(k, ino, 0, 300000, 1);
	OK(set(k, ino, "user.a", "x", 0));
	assert_int_equal(kit_attr(k, ino).size, 300000);
	kit_fsync(k, ino);
	kit_recrash(k);
	kit_expect(k, ino, 0, 300000, 1);
	expect(k, ino, "user.a", "x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_KIT(set_get_list_remove),
		WITH_KIT(flags),
		WITH_KIT(sizes),
		WITH_KIT(names),
		WITH_KIT(inodes_that_are_not_there),
		WITH_KIT(many),
		WITH_KIT(beside_dirty_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
