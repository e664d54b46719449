/* SPDX-License-Identifier: Apache-2.0 */
/* Names: make, lookup, link, unlink, rmdir, readlink; link counts and times;
 * inodes without names. */
#include "posix_check.h"

static const uint32_t types[] = {S_IFREG,  S_IFDIR, S_IFLNK, S_IFIFO,
				 S_IFSOCK, S_IFCHR, S_IFBLK};
#define TYPES ARRAY_LEN(types)

/* ---- making ---- */

static void every_type_is_made(void **state)
{
	struct kit *k = *state;
	struct cred me = {.uid = 7, .gid = 8, .umask = 027};
	uint64_t inodes = kit_inodes(k);

	for (unsigned i = 0; i < TYPES; i++) {
		struct create_spec s = {.mode = types[i] | 06777,
					.rdev = 0x1234 + i,
					.target = "there"};
		bool dir = S_ISDIR(types[i]), lnk = S_ISLNK(types[i]);
		int64_t before = clock_real_ns();
		struct attr a, b;
		char name[8];

		if (!lnk)
			s.target = NULL;
		snprintf(name, sizeof(name), "n%u", i);
		OK(posix_make(k->v, &me, ROOT_INO, name, &s, &a));
		assert_int_equal(a.mode,
				 types[i] | (lnk ? 0777 : 06777 & ~027));
		assert_int_equal(a.nlink, dir ? 2 : 1);
		assert_int_equal(a.uid, 7);
		assert_int_equal(a.gid, 8);
		assert_int_equal(a.rdev, s.rdev);
		assert_int_equal(a.size, dir ? 4096 : lnk ? 5 : 0);
		assert_true(a.mtime_ns >= before && a.ctime_ns == a.mtime_ns &&
			    a.atime_ns == a.mtime_ns);
		OK(posix_lookup(k->v, ROOT_INO, name, &b));
		kit_same_attr(&a, &b);
		assert_true(kit_attr(k, ROOT_INO).mtime_ns >= a.mtime_ns);
	}
	assert_int_equal(kit_attr(k, ROOT_INO).nlink, 3);
	assert_int_equal(kit_inodes(k), inodes + TYPES);
	kit_reopen(k);
	for (unsigned i = 0; i < TYPES; i++) {
		char name[8];
		struct attr a;

		snprintf(name, sizeof(name), "n%u", i);
		OK(posix_lookup(k->v, ROOT_INO, name, &a));
		assert_int_equal(a.mode & S_IFMT, types[i]);
		assert_int_equal(a.rdev, 0x1234 + i);
	}
	kit_sound(k);
}

static void a_taken_name_is_taken(void **state)
{
	struct kit *k = *state;

	for (unsigned i = 0; i < TYPES; i++) {
		char name[8];
		struct attr before, after;

		snprintf(name, sizeof(name), "n%u", i);
		OK(kit_try_mk(k, ROOT_INO, name, types[i] | 0644));
		before = kit_attr(k, ROOT_INO);
		for (unsigned j = 0; j < TYPES; j++)
			assert_int_equal(kit_try_mk(k, ROOT_INO, name,
						    types[j] | 0644),
					 -EEXIST);
		after = kit_attr(k, ROOT_INO);
		kit_same_attr(&before, &after);
	}
	kit_sound(k);
}

static void parents_must_be_folders(void **state)
{
	struct kit *k = *state;
	uint64_t file = kit_mk(k, ROOT_INO, "file", S_IFREG | 0644);
	uint64_t dir = kit_mk(k, ROOT_INO, "dir", S_IFDIR | 0755);
	struct attr a;

	assert_int_equal(kit_try_mk(k, file, "x", S_IFREG | 0644), -ENOTDIR);
	assert_int_equal(kit_try_mk(k, 999999, "x", S_IFREG | 0644), -ENOENT);
	assert_int_equal(kit_try_lookup(k, 999999, "x"), -ENOENT);
	assert_int_equal(posix_link(k->v, file, file, "x", &a), -EPERM);
	assert_int_equal(posix_link(k->v, dir, file, "x", &a), -ENOTDIR);
	assert_int_equal(posix_link(k->v, file, 999999, "x", &a), -ENOENT);
	assert_int_equal(posix_rename(k->v, ROOT_INO, "file", 999999, "x", 0),
			 -ENOENT);
	assert_int_equal(posix_rename(k->v, ROOT_INO, "dir", file, "x", 0),
			 -ENOTDIR);
	kit_sound(k);
}

/* ---- what a name may be ---- */

static void expect_refused(struct kit *k, const char *name, int rc)
{
	uint64_t file = kit_ino(k, ROOT_INO, "file");
	struct attr a;

	assert_int_equal(kit_try_lookup(k, ROOT_INO, name), rc);
	assert_int_equal(kit_try_mk(k, ROOT_INO, name, S_IFREG | 0644), rc);
	assert_int_equal(posix_link(k->v, file, ROOT_INO, name, &a), rc);
	assert_int_equal(posix_unlink(k->v, ROOT_INO, name), rc);
	assert_int_equal(posix_rmdir(k->v, ROOT_INO, name), rc);
	assert_int_equal(
		posix_rename(k->v, ROOT_INO, "file", ROOT_INO, name, 0), rc);
	assert_int_equal(posix_rename(k->v, ROOT_INO, name, ROOT_INO, "new", 0),
			 rc);
}

static void names_that_cannot_be(void **state)
{
	struct kit *k = *state;
	char name[5000];

	kit_mk(k, ROOT_INO, "file", S_IFREG | 0644);
	expect_refused(k, "", -EINVAL);
	expect_refused(k, ".", -EINVAL);
	expect_refused(k, "..", -EINVAL);
	expect_refused(k, "a/b", -EINVAL);
	expect_refused(k, "/", -EINVAL);
	memset(name, 'x', sizeof(name));
	name[256] = '\0';
	expect_refused(k, name, -ENAMETOOLONG);
	name[256] = 'x';
	name[4999] = '\0';
	expect_refused(k, name, -ENAMETOOLONG);
}

static void names_of_any_bytes(void **state)
{
	struct kit *k = *state;
	uint64_t dir = kit_mk(k, ROOT_INO, "dir", S_IFDIR | 0755), ino[256];
	char longest[256], name[4] = {0};
	uint64_t last;

	memset(longest, '\xff', 255);
	longest[255] = '\0';
	last = kit_mk(k, dir, longest, S_IFREG | 0644);
	for (int c = 1; c < 256; c++) {
		name[0] = (char)c;
		name[1] = c == '.' ? '.' : '\0';
		name[2] = c == '.' ? '.' : '\0';
		if (c != '/')
			ino[c] = kit_mk(k, dir, name, S_IFREG | 0644);
	}
	/* Case and normal forms are nobody's business. */
	assert_int_not_equal(kit_ino(k, dir, "a"), kit_ino(k, dir, "A"));
	kit_mk(k, dir, "\xc3\xa9", S_IFREG | 0644);
	kit_mk(k, dir, "e\xcc\x81", S_IFREG | 0644);
	OK(volume_sync(k->v));
	kit_recrash(k);
	assert_int_equal(kit_ino(k, dir, longest), last);
	for (int c = 1; c < 256; c++) {
		name[0] = (char)c;
		name[1] = c == '.' ? '.' : '\0';
		name[2] = c == '.' ? '.' : '\0';
		if (c != '/')
			assert_int_equal(kit_ino(k, dir, name), ino[c]);
	}
	kit_sound(k);
}

/* ---- symlinks ---- */

static void expect_target(struct kit *k, uint64_t ino, const char *want)
{
	struct bytes t = {0};

	OK(posix_readlink(k->v, ino, &t));
	assert_int_equal(t.len, strlen(want));
	assert_memory_equal(t.data, want, t.len);
	bytes_release(&t);
	assert_int_equal(kit_attr(k, ino).size, strlen(want));
}

static void symlinks(void **state)
{
	struct kit *k = *state;
	struct create_spec s = {.mode = S_IFLNK | 0777};
	char target[SYMLINK_MAX + 2];
	uint64_t one, most, gone;
	struct bytes t = {0};
	struct attr a;

	memset(target, '/', sizeof(target));
	target[SYMLINK_MAX + 1] = '\0';
	s.target = target;
	assert_int_equal(posix_make(k->v, &kit_root, ROOT_INO, "over", &s, &a),
			 -ENAMETOOLONG);
	s.target = "";
	assert_int_equal(posix_make(k->v, &kit_root, ROOT_INO, "none", &s, &a),
			 -ENOENT);
	target[SYMLINK_MAX] = '\0';
	most = kit_symlink(k, ROOT_INO, "most", target);
	one = kit_symlink(k, ROOT_INO, "one", "\xfe");
	gone = kit_symlink(k, ROOT_INO, "gone", "../x");
	expect_target(k, most, target);
	OK(posix_unlink(k->v, ROOT_INO, "gone"));
	assert_int_equal(posix_readlink(k->v, gone, &t), -ENOENT);
	assert_int_equal(posix_readlink(k->v, ROOT_INO, &t), -EINVAL);
	assert_int_equal(
		posix_readlink(k->v, kit_mk(k, ROOT_INO, "f", S_IFREG | 0644),
			       &t),
		-EINVAL);
	OK(posix_rename(k->v, ROOT_INO, "one", ROOT_INO, "two", 0));
	OK(posix_link(k->v, one, ROOT_INO, "three", &a));
	assert_int_equal(a.nlink, 2);
	OK(volume_sync(k->v));
	kit_recrash(k);
	expect_target(k, most, target);
	expect_target(k, kit_ino(k, ROOT_INO, "three"), "\xfe");
	assert_int_equal(kit_ino(k, ROOT_INO, "two"), one);
	kit_sound(k);
}

/* ---- link ---- */

static void hard_links(void **state)
{
	struct kit *k = *state;
	uint64_t dir = kit_mk(k, ROOT_INO, "dir", S_IFDIR | 0755);
	uint64_t file = kit_mk(k, dir, "a", S_IFREG | 0644);
	int64_t before;
	struct file *f;
	struct attr a;

	kit_write(k, file, 0, 5000, 1);
	before = clock_real_ns();
	OK(posix_link(k->v, file, ROOT_INO, "b", &a));
	assert_int_equal(a.ino, file);
	assert_int_equal(a.nlink, 2);
	assert_int_equal(a.size, 5000);
	assert_true(a.ctime_ns >= before && a.mtime_ns < before);
	assert_true(kit_attr(k, ROOT_INO).mtime_ns >= before);
	assert_true(kit_attr(k, dir).mtime_ns < before);
	assert_int_equal(posix_link(k->v, file, dir, "a", &a), -EEXIST);
	assert_int_equal(posix_link(k->v, dir, ROOT_INO, "d", &a), -EPERM);
	assert_int_equal(posix_link(k->v, ROOT_INO, dir, "d", &a), -EPERM);
	assert_int_equal(posix_link(k->v, 12345678, dir, "d", &a), -ENOENT);
	assert_int_equal(kit_attr(k, file).nlink, 2);
	before = clock_real_ns();
	OK(posix_unlink(k->v, dir, "a"));
	assert_int_equal(kit_attr(k, file).nlink, 1);
	assert_true(kit_attr(k, file).ctime_ns >= before);
	kit_expect(k, kit_ino(k, ROOT_INO, "b"), 0, 5000, 1);
	/* Without a name there is nothing to link to. */
	f = kit_fopen(k, file, O_RDWR);
	OK(posix_unlink(k->v, ROOT_INO, "b"));
	assert_int_equal(kit_attr(k, file).nlink, 0);
	assert_int_equal(posix_link(k->v, file, dir, "c", &a), -ENOENT);
	posix_close(f);
	assert_int_equal(posix_link(k->v, file, dir, "c", &a), -ENOENT);
	kit_sound(k);
}

static void links_have_a_limit(void **state)
{
	struct kit *k = *state;
	uint64_t file = kit_mk(k, ROOT_INO, "file", S_IFREG | 0644);
	struct attr a;
	char name[16];
	unsigned step = 1;

	/* The count is set near the limit by hand; names would take long. */
	for (unsigned i = 1; i < 4; i++) {
		snprintf(name, sizeof(name), "l%u", i);
		OK(posix_link(k->v, file, ROOT_INO, name, &a));
		step++;
	}
	{
		AUTO_NODE struct node *n = NULL;

		OK(node_get(k->v, file, &n));
		mutex_lock(&n->lock);
		n->row.nlink = LINKS_MAX - 1;
		mutex_unlock(&n->lock);
		OK(posix_link(k->v, file, ROOT_INO, "last", &a));
		assert_int_equal(a.nlink, LINKS_MAX);
		assert_int_equal(posix_link(k->v, file, ROOT_INO, "more", &a),
				 -EMLINK);
		mutex_lock(&n->lock);
		n->row.nlink = step + 1;
		mutex_unlock(&n->lock);
		OK(posix_unlink(k->v, ROOT_INO, "last"));
	}
	assert_int_equal(kit_attr(k, file).nlink, step);
	kit_sound(k);
}

/* ---- unlink, rmdir ---- */

static void removing(void **state)
{
	struct kit *k = *state;
	uint64_t inodes = kit_inodes(k);
	uint64_t dir, ino[TYPES];
	char name[8];

	for (unsigned i = 0; i < TYPES; i++) {
		bool is_dir = S_ISDIR(types[i]);

		snprintf(name, sizeof(name), "n%u", i);
		OK(kit_try_mk(k, ROOT_INO, name, types[i] | 0755));
		ino[i] = kit_ino(k, ROOT_INO, name);
		if (is_dir)
			assert_int_equal(posix_unlink(k->v, ROOT_INO, name),
					 -EISDIR);
		else
			assert_int_equal(posix_rmdir(k->v, ROOT_INO, name),
					 -ENOTDIR);
	}
	dir = kit_ino(k, ROOT_INO, "n1");
	kit_mk(k, dir, "sub", S_IFDIR | 0755);
	kit_mk(k, dir, "file", S_IFREG | 0644);
	assert_int_equal(kit_attr(k, dir).nlink, 3);
	assert_int_equal(posix_rmdir(k->v, ROOT_INO, "n1"), -ENOTEMPTY);
	OK(posix_rmdir(k->v, dir, "sub"));
	assert_int_equal(kit_attr(k, dir).nlink, 2);
	assert_int_equal(posix_rmdir(k->v, ROOT_INO, "n1"), -ENOTEMPTY);
	OK(posix_unlink(k->v, dir, "file"));
	for (unsigned i = 0; i < TYPES; i++) {
		int64_t before = clock_real_ns();
		struct attr a;

		snprintf(name, sizeof(name), "n%u", i);
		if (S_ISDIR(types[i]))
			OK(posix_rmdir(k->v, ROOT_INO, name));
		else
			OK(posix_unlink(k->v, ROOT_INO, name));
		assert_int_equal(posix_getattr(k->v, ino[i], &a), -ENOENT);
		assert_true(kit_attr(k, ROOT_INO).mtime_ns >= before);
		assert_true(kit_attr(k, ROOT_INO).ctime_ns >= before);
		assert_int_equal(posix_unlink(k->v, ROOT_INO, name), -ENOENT);
		assert_int_equal(posix_rmdir(k->v, ROOT_INO, name), -ENOENT);
	}
	assert_int_equal(kit_attr(k, ROOT_INO).nlink, 2);
	assert_int_equal(kit_try_mk(k, dir, "x", S_IFREG | 0644), -ENOENT);
	assert_int_equal(kit_inodes(k), inodes);
	kit_sound(k);
}

static int move(struct kit *k, uint64_t p, const char *a, uint64_t q,
		const char *b)
{
	return posix_rename(k->v, p, a, q, b, 0);
}

/* ---- set-group-id ---- */

static void folders_hand_down_their_group(void **state)
{
	struct kit *k = *state;
	struct cred me = {.uid = 5, .gid = 6, .umask = 0};
	struct attr_change c = {
		.set = SET_MODE | SET_GID, .mode = S_ISGID | 0775, .gid = 77};
	uint64_t dir = kit_mk(k, ROOT_INO, "dir", S_IFDIR | 0755);
	struct create_spec s = {.mode = S_IFDIR | 0755};
	struct attr a;

	OK(posix_setattr(k->v, dir, &c, &a));
	assert_int_equal(a.mode, S_IFDIR | S_ISGID | 0775);
	OK(posix_make(k->v, &me, dir, "sub", &s, &a));
	assert_int_equal(a.gid, 77);
	assert_int_equal(a.mode, S_IFDIR | S_ISGID | 0755);
	OK(posix_make(k->v, &me, a.ino, "sub", &s, &a));
	assert_int_equal(a.gid, 77);
	assert_true(a.mode & S_ISGID);
	s.mode = S_IFREG | 0644;
	OK(posix_make(k->v, &me, a.ino, "file", &s, &a));
	assert_int_equal(a.gid, 77);
	assert_int_equal(a.mode, S_IFREG | 0644);
	OK(posix_make(k->v, &me, ROOT_INO, "file", &s, &a));
	assert_int_equal(a.gid, 6);
	kit_sound(k);
}

/* ---- without a name ---- */

static void unlinked_and_open(void **state)
{
	struct kit *k = *state;
	uint64_t inodes = kit_inodes(k);
	uint64_t ino = kit_mk(k, ROOT_INO, "file", S_IFREG | 0644);
	struct file *f = kit_fopen(k, ino, O_RDWR);
	struct file *g = kit_fopen(k, ino, O_RDONLY);
	uint8_t buf[100];
	struct attr a;

	kit_write(k, ino, 0, 300000, 1);
	OK(posix_unlink(k->v, ROOT_INO, "file"));
	assert_int_equal(kit_attr(k, ino).nlink, 0);
	kit_expect(k, ino, 0, 300000, 1);
	kit_write(k, ino, 300000, 100000, 1);
	OK(posix_fsync(f, false));
	kit_expect(k, ino, 0, 400000, 1);
	OK(kit_set_size(k, ino, 350000));
	kit_write(k, ino, 5 << 20, 100, 2);
	OK(volume_sync(k->v));
	cache_drop_clean(k->v->cache, CACHE_ANY);
	kit_expect(k, ino, 0, 350000, 1);
	kit_sound(k);
	/* A new file of that name is another one. */
	assert_int_not_equal(kit_mk(k, ROOT_INO, "file", S_IFREG | 0644), ino);
	posix_close(f);
	assert_int_equal(posix_read(g, buf, 100, 0), 100);
	assert_int_equal(kit_inodes(k), inodes + 2);
	posix_close(g);
	assert_int_equal(posix_getattr(k->v, ino, &a), -ENOENT);
	assert_int_equal(posix_open(k->v, ino, O_RDONLY, &f), -ENOENT);
	assert_int_equal(kit_inodes(k), inodes + 1);
	kit_sound(k);
}

static void dirty_when_it_vanishes(void **state)
{
	struct kit *k = *state;

	for (unsigned i = 0; i < 20; i++) {
		uint64_t ino = kit_mk(k, ROOT_INO, "file", S_IFREG | 0644);
		struct file *f = kit_fopen(k, ino, O_RDWR);
		struct cache_stats st;

		kit_write(k, ino, 0, 200000, i);
		OK(posix_unlink(k->v, ROOT_INO, "file"));
		kit_write(k, ino, 200000, 1000, i);
		posix_close(f);
		cache_get_stats(k->v->cache, &st);
		assert_int_equal(st.dirty_bytes, 0);
	}
	kit_sound(k);
}

static void removed_and_open_folder(void **state)
{
	struct kit *k = *state;
	uint64_t inodes = kit_inodes(k);
	uint64_t dir = kit_mk(k, ROOT_INO, "dir", S_IFDIR | 0755);
	uint64_t file = kit_mk(k, ROOT_INO, "file", S_IFREG | 0644);
	uint64_t other = kit_mk(k, ROOT_INO, "other", S_IFDIR | 0755);
	struct file *f = kit_fopen(k, dir, O_RDONLY);
	struct attr a;

	OK(posix_rmdir(k->v, ROOT_INO, "dir"));
	assert_int_equal(kit_attr(k, dir).nlink, 0);
	assert_int_equal(kit_try_mk(k, dir, "x", S_IFREG | 0644), -ENOENT);
	assert_int_equal(kit_try_mk(k, dir, "x", S_IFDIR | 0755), -ENOENT);
	assert_int_equal(posix_link(k->v, file, dir, "x", &a), -ENOENT);
	assert_int_equal(move(k, ROOT_INO, "file", dir, "x"), -ENOENT);
	assert_int_equal(move(k, ROOT_INO, "other", dir, "x"), -ENOENT);
	posix_close(f);
	assert_int_equal(posix_getattr(k->v, dir, &a), -ENOENT);
	/* Replaced by a rename while open. */
	dir = kit_mk(k, ROOT_INO, "dir", S_IFDIR | 0755);
	f = kit_fopen(k, dir, O_RDONLY);
	OK(move(k, ROOT_INO, "other", ROOT_INO, "dir"));
	assert_int_equal(kit_ino(k, ROOT_INO, "dir"), other);
	assert_int_equal(kit_try_mk(k, dir, "x", S_IFREG | 0644), -ENOENT);
	posix_close(f);
	OK(posix_rmdir(k->v, ROOT_INO, "dir"));
	OK(posix_unlink(k->v, ROOT_INO, "file"));
	assert_int_equal(kit_inodes(k), inodes);
	kit_sound(k);
}

static void a_crash_ends_what_has_no_name(void **state)
{
	struct kit *k = *state;
	uint64_t inodes = kit_inodes(k), ino[8];
	struct file *f[8];
	struct attr a;

	for (unsigned lose = 0; lose < 2; lose++) {
		for (unsigned i = 0; i < 8; i++) {
			ino[i] = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644);
			kit_write(k, ino[i], 0, 70000 << i, 1);
			/* Left open: the crash closes it. */
			f[i] = kit_fopen(k, ino[i], O_RDWR);
			OK(posix_unlink(k->v, ROOT_INO, "f"));
		}
		OK(volume_sync(k->v));
		assert_int_equal(kit_inodes(k), inodes + 8);
		kit_crash(k);
		if (lose)
			kit_lose_cache(k);
		kit_open(k);
		assert_int_equal(kit_inodes(k), inodes);
		for (unsigned i = 0; i < 8; i++) {
			mem_free(f[i]);
			assert_int_equal(posix_getattr(k->v, ino[i], &a),
					 -ENOENT);
		}
		kit_sound(k);
	}
}

/* ---- nothing may change ---- */

static void read_only(void **state)
{
	struct kit *k = *state;
	uint64_t file = kit_mk(k, ROOT_INO, "file", S_IFREG | 0644);
	struct attr_change c = {.set = SET_MODE, .mode = 0};
	struct file *f;
	struct attr a;

	kit_mk(k, ROOT_INO, "dir", S_IFDIR | 0755);
	kit_write(k, file, 0, 1000, 1);
	kit_close(k);
	k->o.read_only = true;
	kit_open(k);
	assert_true(volume_read_only(k->v));
	assert_int_equal(kit_try_mk(k, ROOT_INO, "x", S_IFREG | 0644), -EROFS);
	assert_int_equal(posix_link(k->v, file, ROOT_INO, "x", &a), -EROFS);
	assert_int_equal(posix_unlink(k->v, ROOT_INO, "file"), -EROFS);
	assert_int_equal(posix_rmdir(k->v, ROOT_INO, "dir"), -EROFS);
	assert_int_equal(move(k, ROOT_INO, "file", ROOT_INO, "x"), -EROFS);
	assert_int_equal(posix_setattr(k->v, file, &c, &a), -EROFS);
	assert_int_equal(posix_setxattr(k->v, file, "user.a", "b", 1, 0),
			 -EROFS);
	assert_int_equal(posix_open(k->v, file, O_WRONLY, &f), -EROFS);
	assert_int_equal(posix_open(k->v, file, O_RDONLY | O_TRUNC, &f),
			 -EROFS);
	kit_expect(k, file, 0, 1000, 1);
	OK(volume_sync(k->v));
	OK(posix_fsyncdir(k->v, ROOT_INO));
	k->o.read_only = false;
	kit_close(k);
	kit_open(k);
	kit_expect(k, file, 0, 1000, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_KIT(every_type_is_made),
		WITH_KIT(a_taken_name_is_taken),
		WITH_KIT(parents_must_be_folders),
		WITH_KIT(names_that_cannot_be),
		WITH_KIT(names_of_any_bytes),
		WITH_KIT(symlinks),
		WITH_KIT(hard_links),
		WITH_KIT(links_have_a_limit),
		WITH_KIT(removing),
		WITH_KIT(folders_hand_down_their_group),
		WITH_KIT(unlinked_and_open),
		WITH_KIT(dirty_when_it_vanishes),
		WITH_KIT(removed_and_open_folder),
		WITH_KIT(a_crash_ends_what_has_no_name),
		WITH_KIT(read_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
