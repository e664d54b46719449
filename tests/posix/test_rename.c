/* SPDX-License-Identifier: Apache-2.0 */
/* rename: every kind onto every kind, trees, EXCHANGE and NOREPLACE; and what
 * new names bring with them. */
#include "posix_check.h"

/* ---- rename: every kind onto every kind ---- */

enum kind {
	NONE,
	FILE_,
	OPEN_FILE,
	LINKED,
	EMPTY_DIR,
	FULL_DIR,
	SYMLINK,
	FIFO,
	KINDS
};

static uint64_t put(struct kit *k, uint64_t parent, const char *name,
		    enum kind kind, struct file **open)
{
	uint64_t ino = 0;
	struct attr a;

	switch (kind) {
	case FILE_:
	case OPEN_FILE:
	case LINKED:
		ino = kit_mk(k, parent, name, S_IFREG | 0644);
		kit_write(k, ino, 0, 3000, ino);
		if (kind == LINKED)
			OK(posix_link(k->v, ino, ROOT_INO, name, &a));
		if (kind == OPEN_FILE)
			*open = kit_fopen(k, ino, O_RDWR);
		break;
	case EMPTY_DIR:
	case FULL_DIR:
		ino = kit_mk(k, parent, name, S_IFDIR | 0755);
		if (kind == FULL_DIR)
			kit_mk(k, ino, "in", S_IFDIR | 0755);
		break;
	case SYMLINK:
		ino = kit_symlink(k, parent, name, "t");
		break;
	case FIFO:
		ino = kit_mk(k, parent, name, S_IFIFO | 0644);
		break;
	default:
		break;
	}
	return ino;
}

static bool is_dir(enum kind k)
{
	return k == EMPTY_DIR || k == FULL_DIR;
}

/* What rename(2) says. */
static int expected(enum kind from, enum kind to, unsigned flags)
{
	if (from == NONE)
		return -ENOENT;
	if (flags == RENAME_NOREPLACE)
		return to == NONE ? 0 : -EEXIST;
	if (flags == RENAME_EXCHANGE)
		return to == NONE ? -ENOENT : 0;
	if (to == NONE)
		return 0;
	if (is_dir(from) && !is_dir(to))
		return -ENOTDIR;
	if (!is_dir(from) && is_dir(to))
		return -EISDIR;
	return to == FULL_DIR ? -ENOTEMPTY : 0;
}

struct pair {
	uint64_t p, q; /* parents */
	enum kind from, to;
	unsigned flags;
	struct file *open[2];
};

static unsigned subdirs(enum kind at)
{
	return is_dir(at);
}

static void expect_links(struct kit *k, const struct pair *c, enum kind at_p,
			 enum kind at_q)
{
	if (c->p == c->q) {
		assert_int_equal(kit_attr(k, c->p).nlink,
				 2 + subdirs(at_p) + subdirs(at_q));
		return;
	}
	assert_int_equal(kit_attr(k, c->p).nlink, 2 + subdirs(at_p));
	assert_int_equal(kit_attr(k, c->q).nlink, 2 + subdirs(at_q));
}

static void expect_at(struct kit *k, uint64_t parent, const char *name,
		      uint64_t ino)
{
	if (ino)
		assert_int_equal(kit_ino(k, parent, name), ino);
	else
		assert_int_equal(kit_try_lookup(k, parent, name), -ENOENT);
}

/* What became of an inode that was replaced. */
static void expect_replaced(struct kit *k, const struct pair *c, uint64_t ino)
{
	struct attr a;
	int rc = posix_getattr(k->v, ino, &a);

	if (c->to == LINKED) {
		OK(rc);
		assert_int_equal(a.nlink, 1);
	} else if (c->to == OPEN_FILE) {
		OK(rc);
		assert_int_equal(a.nlink, 0);
		kit_expect(k, ino, 0, 3000, ino);
	} else {
		assert_int_equal(rc, -ENOENT);
	}
}

static void expect_times(struct kit *k, const struct pair *c, int64_t before,
			 uint64_t moved, bool changed)
{
	struct attr p = kit_attr(k, c->p), q = kit_attr(k, c->q);

	assert_int_equal(p.mtime_ns >= before, changed);
	assert_int_equal(p.ctime_ns >= before, changed);
	assert_int_equal(q.mtime_ns >= before, changed);
	assert_int_equal(q.ctime_ns >= before, changed);
	if (moved)
		assert_int_equal(kit_attr(k, moved).ctime_ns >= before,
				 changed);
}

static void one_rename(struct kit *k, struct pair *c)
{
	uint64_t a = put(k, c->p, "a", c->from, &c->open[0]);
	uint64_t b = put(k, c->q, "b", c->to, &c->open[1]);
	int want = expected(c->from, c->to, c->flags);
	int64_t before = clock_real_ns();
	int rc = posix_rename(k->v, c->p, "a", c->q, "b", c->flags);

	if (rc != want)
		fail_msg("kind %d onto %d, flags %u, %s parent: %s, not %s",
			 c->from, c->to, c->flags,
			 c->p == c->q ? "same" : "other", err_name(rc),
			 err_name(want));
	expect_times(k, c, before, a, rc == 0);
	if (rc < 0) {
		expect_at(k, c->p, "a", a);
		expect_at(k, c->q, "b", b);
		expect_links(k, c, c->from, c->to);
		return;
	}
	expect_at(k, c->q, "b", a);
	if (c->flags == RENAME_EXCHANGE) {
		expect_at(k, c->p, "a", b);
		expect_links(k, c, c->to, c->from);
		return;
	}
	expect_at(k, c->p, "a", 0);
	expect_links(k, c, NONE, c->from);
	if (b)
		expect_replaced(k, c, b);
}

static void sweep(struct kit *k, uint64_t parent, const char *name)
{
	struct attr a;

	if (posix_lookup(k->v, parent, name, &a) < 0)
		return;
	if (S_ISDIR(a.mode)) {
		sweep(k, a.ino, "in");
		OK(posix_rmdir(k->v, parent, name));
	} else {
		OK(posix_unlink(k->v, parent, name));
	}
}

static void every_kind_onto_every_kind(void **state)
{
	static const unsigned flags[] = {0, RENAME_NOREPLACE, RENAME_EXCHANGE};
	struct kit *k = *state;
	uint64_t inodes;

	for (unsigned i = 0; i < 2 * 3 * KINDS * KINDS; i++) {
		struct pair c = {.from = (enum kind)(i % KINDS),
				 .to = (enum kind)(i / KINDS % KINDS),
				 .flags = flags[i / KINDS / KINDS % 3]};
		bool same = i / KINDS / KINDS / 3;

		inodes = kit_inodes(k);
		c.p = c.q = kit_mk(k, ROOT_INO, "p", S_IFDIR | 0755);
		if (!same)
			c.q = kit_mk(k, ROOT_INO, "q", S_IFDIR | 0755);
		one_rename(k, &c);
		for (unsigned j = 0; j < 2; j++)
			if (c.open[j])
				posix_close(c.open[j]);
		sweep(k, c.p, "a");
		sweep(k, c.p, "b");
		sweep(k, c.q, "a");
		sweep(k, c.q, "b");
		sweep(k, ROOT_INO, "a");
		sweep(k, ROOT_INO, "b");
		sweep(k, ROOT_INO, "p");
		sweep(k, ROOT_INO, "q");
		assert_int_equal(kit_inodes(k), inodes);
	}
	assert_int_equal(kit_attr(k, ROOT_INO).nlink, 2);
	kit_sound(k);
}

/* ---- rename: trees ---- */

static int move(struct kit *k, uint64_t p, const char *a, uint64_t q,
		const char *b)
{
	return posix_rename(k->v, p, a, q, b, 0);
}

static int swap(struct kit *k, uint64_t p, const char *a, uint64_t q,
		const char *b)
{
	return posix_rename(k->v, p, a, q, b, RENAME_EXCHANGE);
}

static void not_into_its_own_subtree(void **state)
{
	struct kit *k = *state;
	uint64_t a = kit_mk(k, ROOT_INO, "a", S_IFDIR | 0755);
	uint64_t b = kit_mk(k, a, "b", S_IFDIR | 0755);
	uint64_t c = kit_mk(k, b, "c", S_IFDIR | 0755);

	kit_mk(k, c, "file", S_IFREG | 0644);
	assert_int_equal(move(k, ROOT_INO, "a", a, "x"), -EINVAL);
	assert_int_equal(move(k, ROOT_INO, "a", b, "x"), -EINVAL);
	assert_int_equal(move(k, ROOT_INO, "a", c, "x"), -EINVAL);
	assert_int_equal(move(k, ROOT_INO, "a", b, "c"), -EINVAL);
	assert_int_equal(swap(k, ROOT_INO, "a", b, "c"), -EINVAL);
	assert_int_equal(swap(k, b, "c", ROOT_INO, "a"), -EINVAL);
	assert_int_equal(swap(k, ROOT_INO, "a", a, "b"), -EINVAL);
	assert_int_equal(swap(k, a, "b", ROOT_INO, "a"), -EINVAL);
	/* Onto a folder above it: that one is not empty. */
	assert_int_equal(move(k, b, "c", ROOT_INO, "a"), -ENOTEMPTY);
	/* A file may be exchanged with nothing above it. */
	assert_int_equal(swap(k, c, "file", ROOT_INO, "a"), -EINVAL);
	assert_int_equal(swap(k, c, "file", a, "b"), -EINVAL);
	/* Upwards is fine. */
	OK(move(k, b, "c", ROOT_INO, "c"));
	assert_int_equal(kit_attr(k, b).nlink, 2);
	assert_int_equal(kit_attr(k, ROOT_INO).nlink, 4);
	OK(move(k, ROOT_INO, "a", c, "a"));
	assert_int_equal(kit_attr(k, ROOT_INO).nlink, 3);
	assert_int_equal(kit_attr(k, c).nlink, 3);
	assert_int_equal(move(k, ROOT_INO, "c", b, "c"), -EINVAL);
	kit_sound(k);
}

static void exchanging_folders_across_parents(void **state)
{
	struct kit *k = *state;
	uint64_t p = kit_mk(k, ROOT_INO, "p", S_IFDIR | 0755);
	uint64_t q = kit_mk(k, ROOT_INO, "q", S_IFDIR | 0755);
	uint64_t a = kit_mk(k, p, "a", S_IFDIR | 0755);
	uint64_t b = kit_mk(k, q, "b", S_IFDIR | 0755);
	uint64_t f = kit_mk(k, p, "f", S_IFREG | 0644);

	kit_mk(k, a, "in-a", S_IFDIR | 0755);
	OK(swap(k, p, "a", q, "b"));
	assert_int_equal(kit_ino(k, p, "a"), b);
	assert_int_equal(kit_ino(k, q, "b"), a);
	assert_int_equal(kit_attr(k, p).nlink, 3);
	assert_int_equal(kit_attr(k, q).nlink, 3);
	OK(swap(k, p, "f", q, "b")); /* a folder for a file */
	assert_int_equal(kit_ino(k, p, "f"), a);
	assert_int_equal(kit_ino(k, q, "b"), f);
	assert_int_equal(kit_attr(k, p).nlink, 4);
	assert_int_equal(kit_attr(k, q).nlink, 2);
	assert_true(kit_has(k, a, "in-a"));
	/* Brothers of one parent. */
	OK(swap(k, p, "a", p, "f"));
	assert_int_equal(kit_ino(k, p, "a"), a);
	assert_int_equal(kit_attr(k, p).nlink, 4);
	kit_sound(k);
	kit_reopen(k);
	kit_sound(k);
	assert_int_equal(kit_ino(k, p, "a"), a);
}

static void onto_itself(void **state)
{
	struct kit *k = *state;
	uint64_t file = kit_mk(k, ROOT_INO, "file", S_IFREG | 0644);
	uint64_t dir = kit_mk(k, ROOT_INO, "dir", S_IFDIR | 0755);
	struct attr before, after, a;

	kit_mk(k, dir, "in", S_IFREG | 0644);
	OK(posix_link(k->v, file, dir, "other", &a));
	before = kit_attr(k, file);
	OK(move(k, ROOT_INO, "file", ROOT_INO, "file"));
	OK(move(k, ROOT_INO, "dir", ROOT_INO, "dir"));
	OK(swap(k, ROOT_INO, "dir", ROOT_INO, "dir"));
	/* Two names of one file: nothing happens, both stay. */
	OK(move(k, ROOT_INO, "file", dir, "other"));
	OK(move(k, dir, "other", ROOT_INO, "file"));
	OK(swap(k, dir, "other", ROOT_INO, "file"));
	assert_int_equal(kit_ino(k, ROOT_INO, "file"), file);
	assert_int_equal(kit_ino(k, dir, "other"), file);
	after = kit_attr(k, file);
	kit_same_attr(&before, &after);
	/* The name is taken, whoever has it. */
	assert_int_equal(posix_rename(k->v, ROOT_INO, "file", dir, "other",
				      RENAME_NOREPLACE),
			 -EEXIST);
	assert_int_equal(posix_rename(k->v, ROOT_INO, "file", ROOT_INO, "file",
				      RENAME_NOREPLACE),
			 -EEXIST);
	assert_int_equal(posix_rename(k->v, ROOT_INO, "file", ROOT_INO, "x",
				      RENAME_NOREPLACE | RENAME_EXCHANGE),
			 -EINVAL);
	assert_int_equal(posix_rename(k->v, ROOT_INO, "file", ROOT_INO, "x",
				      1u << 7),
			 -EINVAL);
	kit_sound(k);
}

/* ---- a new name never shows an empty file ---- */

static uint64_t fresh(struct kit *k, const char *name, uint64_t seed)
{
	uint64_t ino = kit_mk(k, ROOT_INO, name, S_IFREG | 0644);

	kit_write(k, ino, 0, 300000, seed);
	return ino;
}

static void names_bring_their_data(void **state)
{
	struct kit *k = *state;
	struct attr a;

	/* Nobody syncs the files, only the folder. */
	fresh(k, "replaced", 1);
	fresh(k, "temp", 2);
	fresh(k, "left", 3);
	fresh(k, "right", 4);
	OK(move(k, ROOT_INO, "temp", ROOT_INO, "replaced"));
	OK(swap(k, ROOT_INO, "left", ROOT_INO, "right"));
	OK(posix_link(k->v, fresh(k, "first", 5), ROOT_INO, "second", &a));
	OK(commit_all(k->v->commit));
	kit_recrash(k);
	kit_expect(k, kit_ino(k, ROOT_INO, "replaced"), 0, 300000, 2);
	kit_expect(k, kit_ino(k, ROOT_INO, "left"), 0, 300000, 4);
	kit_expect(k, kit_ino(k, ROOT_INO, "right"), 0, 300000, 3);
	kit_expect(k, kit_ino(k, ROOT_INO, "second"), 0, 300000, 5);
	kit_sound(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_KIT(every_kind_onto_every_kind),
		WITH_KIT(not_into_its_own_subtree),
		WITH_KIT(exchanging_folders_across_parents),
		WITH_KIT(onto_itself),
		WITH_KIT(names_bring_their_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
