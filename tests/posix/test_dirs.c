/* SPDX-License-Identifier: Apache-2.0 */
/* readdir: cookies, stability under change, many entries, attributes. */
#include "posix_check.h"

#include <dirent.h>

#define MANY 5000

/* ---- taking entries ---- */

struct taken {
	char name[NAME_BYTES_MAX + 1];
	uint64_t ino, cookie, size;
	uint8_t type;
	bool attrs;
};
struct listing {
	struct taken *e;
	unsigned n, room;
	unsigned stop_at; /* takes no more than so many */
};

static int take(void *arg, const struct dir_entry *d)
{
	struct listing *l = arg;
	struct taken *t;

	if (l->n == l->stop_at)
		return 1;
	if (l->n == l->room) {
		l->room = l->room ? 2 * l->room : 64;
		l->e = realloc(l->e, l->room * sizeof(*l->e));
	}
	t = &l->e[l->n++];
	*t = (struct taken){.ino = d->ino,
			    .cookie = d->cookie,
			    .type = d->type,
			    .attrs = d->attr != NULL};
	snprintf(t->name, sizeof(t->name), "%s", d->name);
	if (d->attr) {
		assert_int_equal(d->attr->ino, d->ino);
		assert_int_equal((d->attr->mode & S_IFMT) >> 12, d->type);
		t->size = d->attr->size;
	}
	return 0;
}

static struct listing list(struct kit *k, uint64_t dir, uint64_t after,
			   bool attrs, unsigned stop_at)
{
	struct listing l = {.stop_at = stop_at};

	OK(posix_readdir(k->v, dir, after, attrs, take, &l));
	return l;
}

static struct listing list_all(struct kit *k, uint64_t dir)
{
	return list(k, dir, 0, false, UINT32_MAX);
}

static int find(const struct listing *l, const char *name)
{
	for (unsigned i = 0; i < l->n; i++)
		if (strcmp(l->e[i].name, name) == 0)
			return (int)i;
	return -1;
}

static void number(char *name, unsigned i)
{
	sprintf(name, "entry-%u", i);
}

/* ---- tests ---- */

static void dots_come_first(void **state)
{
	struct kit *k = *state;
	uint64_t a = kit_mk(k, ROOT_INO, "a", S_IFDIR | 0755);
	uint64_t b = kit_mk(k, a, "b", S_IFDIR | 0755);
	struct listing l;

	for (unsigned attrs = 0; attrs < 2; attrs++) {
		l = list(k, b, 0, attrs, UINT32_MAX);
		assert_int_equal(l.n, 2);
		assert_string_equal(l.e[0].name, ".");
		assert_string_equal(l.e[1].name, "..");
		assert_int_equal(l.e[0].ino, b);
		assert_int_equal(l.e[1].ino, a);
		assert_int_equal(l.e[0].cookie, 1);
		assert_int_equal(l.e[1].cookie, 2);
		assert_int_equal(l.e[0].type, DT_DIR);
		assert_int_equal(l.e[1].attrs, attrs);
		free(l.e);
	}
	l = list_all(k, ROOT_INO);
	assert_int_equal(l.n, 3);
	assert_int_equal(l.e[1].ino, ROOT_INO);
	free(l.e);
	l = list(k, ROOT_INO, 1, false, UINT32_MAX);
	assert_int_equal(l.n, 2);
	assert_string_equal(l.e[0].name, "..");
	free(l.e);
	/* After a move .. is the new parent. */
	OK(posix_rename(k->v, a, "b", ROOT_INO, "b", 0));
	l = list_all(k, b);
	assert_int_equal(l.e[1].ino, ROOT_INO);
	free(l.e);
}

static void what_is_no_folder(void **state)
{
	struct kit *k = *state;
	uint64_t file = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644);
	struct listing l = {.stop_at = UINT32_MAX};

	assert_int_equal(posix_readdir(k->v, file, 0, false, take, &l),
			 -ENOTDIR);
	assert_int_equal(posix_readdir(k->v, 99999, 0, false, take, &l),
			 -ENOENT);
	assert_int_equal(l.n, 0);
}

static void every_type_is_told(void **state)
{
	static const struct {
		uint32_t mode;
		uint8_t type;
	} kinds[] = {{S_IFREG, DT_REG},	 {S_IFDIR, DT_DIR},   {S_IFLNK, DT_LNK},
		     {S_IFIFO, DT_FIFO}, {S_IFSOCK, DT_SOCK}, {S_IFCHR, DT_CHR},
		     {S_IFBLK, DT_BLK}};
	struct kit *k = *state;
	struct listing l;

	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
		char name[32];

		number(name, i);
		OK(kit_try_mk(k, ROOT_INO, name, kinds[i].mode | 0644));
	}
	l = list(k, ROOT_INO, 0, true, UINT32_MAX);
	assert_int_equal(l.n, 2 + ARRAY_LEN(kinds));
	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
		char name[32];
		int at;

		number(name, i);
		at = find(&l, name);
		assert_true(at >= 0);
		assert_int_equal(l.e[at].type, kinds[i].type);
	}
	free(l.e);
	/* A name that is given to another kind of inode tells the new one. */
	OK(posix_rename(k->v, ROOT_INO, "entry-0", ROOT_INO, "entry-1",
			RENAME_EXCHANGE));
	OK(posix_rename(k->v, ROOT_INO, "entry-2", ROOT_INO, "entry-3", 0));
	l = list_all(k, ROOT_INO);
	assert_int_equal(l.e[find(&l, "entry-0")].type, DT_DIR);
	assert_int_equal(l.e[find(&l, "entry-1")].type, DT_REG);
	assert_int_equal(l.e[find(&l, "entry-3")].type, DT_LNK);
	assert_int_equal(find(&l, "entry-2"), -1);
	free(l.e);
}

static void many_entries_in_any_portion(void **state)
{
	static const unsigned portion[] = {1, 2, 63, 64, 65, 1000};
	struct kit *k = *state;
	uint64_t dir = kit_mk(k, ROOT_INO, "dir", S_IFDIR | 0755);
	struct listing all;

	for (unsigned i = 0; i < MANY; i++) {
		char name[32];

		number(name, i);
		kit_mk(k, dir, name, S_IFREG | 0644);
	}
	all = list(k, dir, 0, true, UINT32_MAX);
	assert_int_equal(all.n, MANY + 2);
	for (unsigned i = 1; i < all.n; i++)
		assert_true(all.e[i].cookie > all.e[i - 1].cookie);
	for (unsigned p = 0; p < ARRAY_LEN(portion); p++) {
		unsigned seen = 0, most = p < 2 ? 300 : MANY + 2;
		uint64_t after = 0;

		while (seen < most) {
			struct listing l =
				list(k, dir, after, false, portion[p]);

			if (l.n == 0)
				break;
			for (unsigned i = 0; i < l.n; i++, seen++) {
				assert_true(seen < all.n);
				assert_string_equal(l.e[i].name,
						    all.e[seen].name);
				assert_int_equal(l.e[i].ino, all.e[seen].ino);
			}
			after = l.e[l.n - 1].cookie;
			free(l.e);
		}
		assert_true(seen >= most);
	}
	{
		struct listing l =
			list(k, dir, all.e[all.n - 1].cookie, false, 10);

		assert_int_equal(l.n, 0);
		free(l.e);
	}
	free(all.e);
	/* Cookies outlive the mount. */
	all = list(k, dir, 0, false, 2500);
	kit_reopen(k);
	{
		struct listing l =
			list(k, dir, all.e[2499].cookie, false, UINT32_MAX);

		assert_int_equal(l.n, MANY + 2 - 2500);
		free(l.e);
	}
	free(all.e);
}

/* What is there all the time is seen once, whatever goes on beside it. */
static void stable_under_change(void **state)
{
	struct kit *k = *state;
	struct dice dice = {kit_seed(5)};
	uint64_t dir = kit_mk(k, ROOT_INO, "dir", S_IFDIR | 0755);
	unsigned seen[400] = {0}, made = 400;
	uint64_t after = 0;
	bool end = false;

	/* Even numbers stay; odd ones come, go and move. */
	for (unsigned i = 0; i < 400; i++) {
		char name[32];

		number(name, i);
		kit_mk(k, dir, name, S_IFREG | 0644);
	}
	while (!end) {
		struct listing l = list(k, dir, after, dice_below(&dice, 2),
					1 + (unsigned)dice_below(&dice, 30));

		end = l.n == 0;
		for (unsigned i = 0; i < l.n; i++) {
			unsigned nr;

			after = l.e[i].cookie;
			if (sscanf(l.e[i].name, "entry-%u", &nr) == 1 &&
			    nr < 400)
				seen[nr]++;
		}
		free(l.e);
		for (unsigned i = 0; i < 10; i++) {
			unsigned odd = 1 + 2 * (unsigned)dice_below(&dice, 200);
			char name[32], other[32];

			number(name, odd);
			number(other, 1 + 2 * (unsigned)dice_below(&dice, 200));
			if (kit_has(k, dir, name)) {
				if (dice_below(&dice, 2))
					OK(posix_unlink(k->v, dir, name));
				else
					OK(posix_rename(k->v, dir, name, dir,
							other, 0));
			} else if (dice_below(&dice, 3)) {
				kit_mk(k, dir, name, S_IFREG | 0644);
			} else if (made < 600) {
				number(name, made++);
				kit_mk(k, dir, name, S_IFREG | 0644);
			}
		}
	}
	for (unsigned i = 0; i < 400; i += 2)
		assert_int_equal(seen[i], 1);
	kit_sound(k);
}

/* An entry taken away while the reader stands on it. */
static void going_on_behind_what_is_gone(void **state)
{
	struct kit *k = *state;
	uint64_t dir = kit_mk(k, ROOT_INO, "dir", S_IFDIR | 0755);
	struct listing l, rest;

	for (unsigned i = 0; i < 10; i++) {
		char name[32];

		number(name, i);
		kit_mk(k, dir, name, S_IFREG | 0644);
	}
	l = list(k, dir, 0, false, 6);
	OK(posix_unlink(k->v, dir, l.e[5].name));
	OK(posix_unlink(k->v, dir, "entry-9"));
	rest = list(k, dir, l.e[5].cookie, true, UINT32_MAX);
	assert_int_equal(rest.n, 10 + 2 - 6 - 1);
	free(rest.e);
	/* And the name once more: a new entry, with a new cookie. */
	kit_mk(k, dir, l.e[5].name, S_IFREG | 0644);
	rest = list_all(k, dir);
	assert_true(rest.e[find(&rest, l.e[5].name)].cookie > l.e[5].cookie);
	free(rest.e);
	free(l.e);
}

static void attributes_are_the_newest(void **state)
{
	struct kit *k = *state;
	uint64_t dir = kit_mk(k, ROOT_INO, "dir", S_IFDIR | 0755);
	uint64_t a = kit_mk(k, dir, "a", S_IFREG | 0644);
	uint64_t b = kit_mk(k, dir, "b", S_IFREG | 0644);
	struct listing l;

	kit_write(k, b, 0, 77, 1);
	OK(volume_sync(k->v));
	/* Only in memory. */
	kit_write(k, a, 0, 100000, 1);
	kit_write(k, b, 500, 10, 1);
	l = list(k, dir, 0, true, UINT32_MAX);
	assert_int_equal(l.e[find(&l, "a")].size, 100000);
	assert_int_equal(l.e[find(&l, "b")].size, 510);
	free(l.e);
	OK(kit_set_size(k, a, 5));
	l = list(k, dir, 0, true, UINT32_MAX);
	assert_int_equal(l.e[find(&l, "a")].size, 5);
	free(l.e);
}

static void a_removed_folder_has_no_entries(void **state)
{
	struct kit *k = *state;
	uint64_t dir = kit_mk(k, ROOT_INO, "dir", S_IFDIR | 0755);
	struct file *f = kit_fopen(k, dir, O_RDONLY);
	struct listing l = {.stop_at = UINT32_MAX};
	int rc;

	OK(posix_rmdir(k->v, ROOT_INO, "dir"));
	rc = posix_readdir(k->v, dir, 0, true, take, &l);
	assert_true(rc == 0 || rc == -ENOENT);
	assert_true(l.n <= 2);
	free(l.e);
	posix_close(f);
}

static void a_synced_folder_lasts(void **state)
{
	struct kit *k = *state;
	uint64_t dir = kit_mk(k, ROOT_INO, "dir", S_IFDIR | 0755);
	uint64_t file;
	struct listing l;

	for (unsigned i = 0; i < 100; i++) {
		char name[32];

		number(name, i);
		kit_mk(k, dir, name, S_IFREG | 0644);
	}
	OK(posix_fsyncdir(k->v, dir));
	kit_recrash(k);
	l = list_all(k, dir);
	assert_int_equal(l.n, 102);
	free(l.e);
	/* Of the root: all of it, data too. */
	file = kit_mk(k, dir, "file", S_IFREG | 0644);
	kit_write(k, file, 0, 70000, 1);
	OK(posix_fsyncdir(k->v, ROOT_INO));
	kit_recrash(k);
	kit_expect(k, file, 0, 70000, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_KIT(dots_come_first),
		WITH_KIT(what_is_no_folder),
		WITH_KIT(every_type_is_told),
		WITH_KIT(many_entries_in_any_portion),
		WITH_KIT(stable_under_change),
		WITH_KIT(going_on_behind_what_is_gone),
		WITH_KIT(attributes_are_the_newest),
		WITH_KIT(a_removed_folder_has_no_entries),
		WITH_KIT(a_synced_folder_lasts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
