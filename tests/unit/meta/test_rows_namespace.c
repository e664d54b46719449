/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/meta/index_test.h"

/* ---- inodes ---- */

static void assert_same_inode(const struct inode_row *a,
			      const struct inode_row *b)
{
	assert_int_equal(a->ino, b->ino);
	assert_int_equal(a->mode, b->mode);
	assert_int_equal(a->uid, b->uid);
	assert_int_equal(a->gid, b->gid);
	assert_int_equal(a->nlink, b->nlink);
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->data, b->data);
	assert_int_equal(a->rdev, b->rdev);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->generation, b->generation);
	assert_true(a->atime_ns == b->atime_ns);
	assert_true(a->mtime_ns == b->mtime_ns);
	assert_true(a->ctime_ns == b->ctime_ns);
	assert_true(a->btime_ns == b->btime_ns);
}

static const struct inode_row odd_inodes[] = {
	{.ino = 10},
	{.ino = 11,
	 .mode = UINT32_MAX,
	 .uid = UINT32_MAX,
	 .gid = UINT32_MAX - 1,
	 .nlink = UINT32_MAX,
	 .size = INT64_MAX,
	 .data = INT64_MAX,
	 .rdev = UINT64_MAX,
	 .flags = UINT32_MAX,
	 .generation = UINT32_MAX,
	 .atime_ns = INT64_MIN,
	 .mtime_ns = INT64_MAX,
	 .ctime_ns = INT64_MIN,
	 .btime_ns = -1},
	{.ino = 12,
	 .mode = S_IFDIR | 07777,
	 .atime_ns = INT64_MAX,
	 .mtime_ns = INT64_MIN,
	 .btime_ns = INT64_MAX},
	{.ino = 13, .mode = S_IFREG | 0644, .mtime_ns = -1, .atime_ns = 1},
	{.ino = INT64_MAX, .mode = S_IFSOCK},
};

static void inodes_come_back_as_they_were(void **state)
{
	struct index *ix = ((struct world *)*state)->ix;
	struct inode_row got;

	for (size_t i = 0; i < ARRAY_LEN(odd_inodes); i++) {
		DO(ix, inode_insert(ix, &odd_inodes[i]));
		index_lock(ix);
		OK(inode_get(ix, odd_inodes[i].ino, &got));
		index_unlock(ix);
		assert_same_inode(&got, &odd_inodes[i]);
	}
}

static void an_update_keeps_birth_and_generation(void **state)
{
	struct index *ix = ((struct world *)*state)->ix;

	for (size_t i = 0; i < ARRAY_LEN(odd_inodes); i++) {
		struct inode_row row = odd_inodes[i], want, got;

		DO(ix, inode_insert(ix, &row));
		want = odd_inodes[(i + 1) % ARRAY_LEN(odd_inodes)];
		want.ino = row.ino;
		DO(ix, inode_update(ix, &want));
		want.generation = row.generation;
		want.btime_ns = row.btime_ns;
		index_lock(ix);
		OK(inode_get(ix, row.ino, &got));
		index_unlock(ix);
		assert_same_inode(&got, &want);
	}
}

static void what_is_not_there_is_said(void **state)
{
	struct index *ix = ((struct world *)*state)->ix;
	struct inode_row row = file_row(5);
	struct bytes b = {0};

	begin(ix);
	assert_int_equal(inode_get(ix, 5, &row), -ENOENT);
	assert_int_equal(inode_update(ix, &row), -ENOENT);
	assert_int_equal(inode_delete(ix, 5), -ENOENT);
	assert_int_equal(symlink_get(ix, 5, &b), -ENOENT);
	assert_int_equal(dentry_delete(ix, 5), -ENOENT);
	assert_int_equal(dentry_retarget(ix, 5, 1, DT_REG), -ENOENT);
	assert_int_equal(xattr_remove(ix, 5, "user.x"), -ENOENT);
	assert_int_equal(xattr_get(ix, 5, "user.x", &b), -ENOENT);
	OK(inode_insert(ix, &row));
	assert_int_equal(inode_insert(ix, &row), -EEXIST);
	end(ix); /* a taken key does not harm the operation */
	index_lock(ix);
	OK(inode_get(ix, 5, &row));
	index_unlock(ix);
	assert_int_equal(b.len, 0);
}

static uint64_t inodes(struct index *ix)
{
	uint64_t n;

	index_lock(ix);
	OK(inode_count(ix, &n));
	index_unlock(ix);
	return n;
}

static void inodes_are_counted(void **state)
{
	struct world *w = *state;
	struct inode_row a = file_row(5), b = file_row(6);
	uint64_t n;

	assert_int_equal(inodes(w->ix), 0);
	begin(w->ix);
	OK(inode_insert(w->ix, &a));
	OK(inode_insert(w->ix, &b));
	OK(inode_count(w->ix, &n));
	assert_int_equal(n, 2);
	assert_int_equal(index_end(w->ix, -EIO), -EIO);
	assert_int_equal(inodes(w->ix), 0);
	DO(w->ix, inode_insert(w->ix, &a));
	DO(w->ix, inode_insert(w->ix, &b));
	DO(w->ix, inode_delete(w->ix, 5));
	assert_int_equal(inodes(w->ix), 1);
	cut_away(w->ix);
	OK(index_close(steal(&w->ix), true));
	OK(index_open(&w->o, &w->ix));
	assert_int_equal(inodes(w->ix), 1);
}

static void deleting_an_inode_takes_its_belongings(void **state)
{
	struct index *ix = ((struct world *)*state)->ix;
	struct inode_row row = file_row(7);
	AUTO(bytes_release) struct bytes b = {0};

	row.mode = S_IFLNK | 0777;
	begin(ix);
	OK(inode_insert(ix, &row));
	OK(symlink_insert(ix, 7, "target", 6));
	OK(xattr_set(ix, 7, "user.a", "1", 1));
	OK(xattr_set(ix, 7, "user.b", "2", 1));
	OK(xattr_set(ix, 8, "user.a", "3", 1));
	end(ix);
	DO(ix, inode_delete(ix, 7));
	index_lock(ix);
	assert_int_equal(symlink_get(ix, 7, &b), -ENOENT);
	OK(xattr_list(ix, 7, &b));
	assert_int_equal(b.len, 0);
	OK(xattr_get(ix, 8, "user.a", &b));
	index_unlock(ix);
	assert_int_equal(b.len, 1);
}

static void symlink_targets_are_bytes(void **state)
{
	struct index *ix = ((struct world *)*state)->ix;
	AUTO(bytes_release) struct bytes b = {0};
	char target[4095];

	for (unsigned i = 0; i < sizeof(target); i++)
		target[i] = (char)(1 + i % 255);
	DO(ix, symlink_insert(ix, 9, target, sizeof(target)));
	index_lock(ix);
	OK(symlink_get(ix, 9, &b));
	index_unlock(ix);
	assert_int_equal(b.len, sizeof(target));
	assert_memory_equal(b.data, target, b.len);
}

/* ---- names ---- */

static void names_are_bytes(void **state)
{
	struct index *ix = ((struct world *)*state)->ix;
	struct dentry_row got;
	char name[NAME_BYTES_MAX + 1];

	for (unsigned len = 1; len <= NAME_BYTES_MAX; len++) {
		struct dentry_row d;

		for (unsigned i = 0; i < len; i++)
			name[i] = (char)(1 + (i * 7 + len) % 255);
		name[len] = '\0';
		for (char *slash = name; (slash = strchr(slash, '/'));)
			*slash = '0';
		d = name_row(100 + len, 3, name, len, DT_REG);
		DO(ix, dentry_insert(ix, &d));
		index_lock(ix);
		OK(dentry_get(ix, 3, name, len, &got));
		index_unlock(ix);
		assert_int_equal(got.id, d.id);
		assert_int_equal(got.parent, 3);
		assert_int_equal(got.ino, len);
		assert_int_equal(got.type, DT_REG);
		assert_int_equal(got.name_len, len);
		assert_string_equal(got.name, name);
	}
}

static void names_are_unique_in_a_folder(void **state)
{
	struct index *ix = ((struct world *)*state)->ix;
	struct dentry_row a = name_row(10, 1, "a", 5, DT_REG), got;
	struct dentry_row again = name_row(11, 1, "a", 6, DT_REG);
	struct dentry_row other = name_row(12, 2, "a", 6, DT_DIR);
	struct dentry_row longer = name_row(13, 1, "aa", 7, DT_LNK);

	begin(ix);
	OK(dentry_insert(ix, &a));
	assert_int_equal(dentry_insert(ix, &again), -EEXIST);
	assert_int_equal(dentry_insert(ix, &a), -EEXIST);
	OK(dentry_insert(ix, &other));
	OK(dentry_insert(ix, &longer));
	end(ix);
	index_lock(ix);
	OK(dentry_get(ix, 1, "a", 1, &got));
	assert_int_equal(got.ino, 5);
	assert_int_equal(dentry_get(ix, 1, "", 0, &got), -ENOENT);
	assert_int_equal(dentry_get(ix, 1, "A", 1, &got), -ENOENT);
	assert_int_equal(dentry_get(ix, 3, "a", 1, &got), -ENOENT);
	index_unlock(ix);
}

static void every_type_is_kept(void **state)
{
	static const uint8_t type[] = {DT_REG,	DT_DIR, DT_LNK, DT_FIFO,
				       DT_SOCK, DT_CHR, DT_BLK};
	struct index *ix = ((struct world *)*state)->ix;
	struct dentry_row d = name_row(50, 1, "x", 1, DT_UNKNOWN), got;

	begin(ix);
	assert_int_equal(dentry_insert(ix, &d), -EINVAL);
	d.type = DT_REG;
	d.name_len = 0;
	assert_int_equal(dentry_insert(ix, &d), -EINVAL);
	d.name_len = 1;
	OK(dentry_insert(ix, &d));
	assert_int_equal(dentry_retarget(ix, 50, 2, DT_WHT), -EINVAL);
	for (unsigned i = 0; i < sizeof(type); i++) {
		OK(dentry_retarget(ix, 50, i + 1, type[i]));
		OK(dentry_get(ix, 1, "x", 1, &got));
		assert_int_equal(got.type, type[i]);
		assert_int_equal(got.ino, i + 1);
	}
	end(ix);
}

struct listing {
	unsigned n, stop_at;
	uint64_t last, ino;
	bool inodes;
};

static int take_entry(void *arg, const struct dentry_row *d,
		      const struct inode_row *i)
{
	struct listing *l = arg;

	assert_true(d->id > l->last);
	assert_int_equal(i->ino, d->ino);
	assert_int_equal(i->mode, l->inodes ? S_IFREG | 0644 : 0);
	l->last = d->id;
	return ++l->n == l->stop_at ? 77 : 0;
}

static void folders_are_listed_in_order_of_id(void **state)
{
	struct index *ix = ((struct world *)*state)->ix;
	struct listing l = {.stop_at = 30};

	begin(ix);
	for (unsigned i = 0; i < 100; i++) {
		uint64_t id = 10 + (i * 37) % 100;
		struct inode_row row = file_row(id);
		struct dentry_row d;
		char name[32];

		snprintf(name, sizeof(name), "%u", i);
		d = name_row(id, 2 + i % 2, name, id, DT_REG);
		OK(dentry_insert(ix, &d));
		OK(inode_insert(ix, &row));
	}
	end(ix);
	index_lock(ix);
	assert_int_equal(dentry_list(ix, 2, 0, false, take_entry, &l), 77);
	assert_int_equal(l.n, 30);
	l.inodes = true;
	OK(dentry_list(ix, 2, l.last, true, take_entry, &l));
	assert_int_equal(l.n, 50);
	OK(dentry_list(ix, 2, l.last, true, take_entry, &l));
	OK(dentry_list(ix, 4, 0, true, take_entry, &l));
	assert_int_equal(l.n, 50);
	assert_int_equal(dentry_any(ix, 2), 1);
	assert_int_equal(dentry_any(ix, 4), 0);
	index_unlock(ix);
}

static void a_name_without_inode_is_damage(void **state)
{
	struct index *ix = ((struct world *)*state)->ix;
	struct dentry_row d = name_row(10, 1, "a", 5, DT_REG);
	struct listing l = {0};

	DO(ix, dentry_insert(ix, &d));
	index_lock(ix);
	assert_int_equal(dentry_list(ix, 1, 0, true, take_entry, &l),
			 -ERR_CORRUPT);
	OK(dentry_list(ix, 1, 0, false, take_entry, &l));
	assert_int_equal(l.n, 1);
	index_unlock(ix);
}

/* Nobody may follow such a name somewhere else. */
static void a_name_that_is_none_is_damage(void **state)
{
	static const struct dentry_row bad[] = {
		{.id = 10, .parent = 1, .ino = 5, .name_len = 3, .name = "a/b"},
		{.id = 11, .parent = 2, .ino = 5, .name_len = 3, .name = "a\0b"},
	};
	struct index *ix = ((struct world *)*state)->ix;
	struct listing l = {0};

	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		struct dentry_row d = bad[i], got;

		d.type = DT_REG;
		DO(ix, dentry_insert(ix, &d));
		index_lock(ix);
		assert_int_equal(dentry_list(ix, d.parent, 0, false, take_entry,
					     &l),
				 -ERR_CORRUPT);
		assert_int_equal(dentry_of_inode(ix, 5, d.id - 1, &got),
				 -ERR_CORRUPT);
		index_unlock(ix);
	}
	assert_int_equal(l.n, 0);
}

static void names_of_an_inode_are_found(void **state)
{
	struct index *ix = ((struct world *)*state)->ix;
	uint64_t after = 0;
	struct dentry_row got;

	begin(ix);
	for (unsigned i = 0; i < 5; i++) {
		char name[] = {(char)('a' + i), 0};
		struct dentry_row d = name_row(20 - i, 1 + i, name, 9, DT_REG);

		OK(dentry_insert(ix, &d));
	}
	for (unsigned i = 0; i < 5; i++) {
		OK(dentry_of_inode(ix, 9, after, &got));
		assert_int_equal(got.id, 16 + i);
		assert_int_equal(got.parent, 5 - i);
		after = got.id;
	}
	assert_int_equal(dentry_of_inode(ix, 9, after, &got), -ENOENT);
	OK(dentry_delete(ix, 16));
	OK(dentry_of_inode(ix, 9, 0, &got));
	assert_int_equal(got.id, 17);
	end(ix);
}

/* ---- xattrs and jobs ---- */

static void xattrs_are_set_replaced_and_removed(void **state)
{
	struct index *ix = ((struct world *)*state)->ix;
	AUTO(bytes_release) struct bytes b = {0};
	static uint8_t big[65536];

	memset(big, 0xab, sizeof(big));
	begin(ix);
	OK(xattr_set(ix, 3, "user.big", big, sizeof(big)));
	OK(xattr_set(ix, 3, "user.empty", NULL, 0));
	OK(xattr_set(ix, 3, "user.a", "one", 3));
	OK(xattr_set(ix, 3, "user.a", "second", 6));
	OK(xattr_set(ix, 4, "user.z", "", 0));
	end(ix);
	index_lock(ix);
	OK(xattr_get(ix, 3, "user.a", &b));
	assert_int_equal(b.len, 6);
	assert_memory_equal(b.data, "second", 6);
	OK(xattr_get(ix, 3, "user.empty", &b));
	assert_int_equal(b.len, 6);
	OK(xattr_get(ix, 3, "user.big", &b));
	assert_int_equal(b.len, 6 + sizeof(big));
	assert_memory_equal(b.data + 6, big, sizeof(big));
	b.len = 0;
	OK(xattr_list(ix, 3, &b));
	assert_int_equal(b.len, 27);
	assert_memory_equal(b.data, "user.a\0user.big\0user.empty", 27);
	index_unlock(ix);
	DO(ix, xattr_remove(ix, 3, "user.big"));
	b.len = 0;
	index_lock(ix);
	OK(xattr_list(ix, 3, &b));
	index_unlock(ix);
	assert_int_equal(b.len, 18);
}

static void jobs_are_queued(void **state)
{
	struct index *ix = ((struct world *)*state)->ix;
	struct queue_row a, b, c;

	begin(ix);
	assert_int_equal(queue_next(ix, 0, &a), -ENOENT);
	OK(queue_add(ix, QUEUE_DROP_DATA, 5, 0));
	OK(queue_add(ix, QUEUE_TRIM_DATA, 5, 1 << 20));
	OK(queue_add(ix, QUEUE_ORPHAN, 6, UINT64_MAX));
	end(ix);
	begin(ix);
	OK(queue_next(ix, 0, &a));
	OK(queue_next(ix, a.id, &b));
	OK(queue_next(ix, b.id, &c));
	assert_int_equal(queue_next(ix, c.id, &c), -ENOENT);
	assert_int_equal(a.kind, QUEUE_DROP_DATA);
	assert_int_equal(b.kind, QUEUE_TRIM_DATA);
	assert_int_equal(b.b, 1 << 20);
	OK(queue_find(ix, QUEUE_ORPHAN, 6, &c));
	assert_true(c.b == UINT64_MAX);
	assert_int_equal(queue_find(ix, QUEUE_ORPHAN, 5, &c), -ENOENT);
	OK(queue_remove(ix, a.id));
	assert_int_equal(queue_remove(ix, a.id), -ENOENT);
	OK(queue_next(ix, 0, &a));
	assert_int_equal(a.id, b.id);
	end(ix);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_INDEX(inodes_come_back_as_they_were),
		WITH_INDEX(an_update_keeps_birth_and_generation),
		WITH_INDEX(what_is_not_there_is_said),
		WITH_INDEX(inodes_are_counted),
		WITH_INDEX(deleting_an_inode_takes_its_belongings),
		WITH_INDEX(symlink_targets_are_bytes),
		WITH_INDEX(names_are_bytes),
		WITH_INDEX(names_are_unique_in_a_folder),
		WITH_INDEX(every_type_is_kept),
		WITH_INDEX(folders_are_listed_in_order_of_id),
		WITH_INDEX(a_name_without_inode_is_damage),
		WITH_INDEX(a_name_that_is_none_is_damage),
		WITH_INDEX(names_of_an_inode_are_found),
		WITH_INDEX(xattrs_are_set_replaced_and_removed),
		WITH_INDEX(jobs_are_queued),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
