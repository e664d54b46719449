/* SPDX-License-Identifier: Apache-2.0 */
/* A check of an index that breaks its own rules, and of open segments. */
#include "unit/repair/check_kit.h"

#include "base/rnd.h"
#include "fs/volume_impl.h"
#include "meta/lookup.h"

static void a_name_without_an_inode(void **state)
{
	struct dentry_row d = {.parent = ROOT_INO,
			       .ino = 4711,
			       .type = 8,
			       .name_len = 5,
			       .name = "ghost"};
	struct kit k;
	struct seen *s;

	(void)state;
	kit_begin(&k);
	kit_open(&k);
	d.id = index_next(k.v->ix, COUNTER_DENTRY);
	OK(index_begin(k.v->ix));
	OK(index_end(k.v->ix, dentry_insert(k.v->ix, &d)));
	OK(volume_sync(k.v));
	kit_crash(&k);
	s = kit_check(&k, false);
	EXPECT(s, INDEX_DENTRY_NO_INODE, 1);
	assert_non_null(
		strstr(s->subject[FINDING_INDEX_DENTRY_NO_INODE], "4711"));
	assert_int_equal(seen_bad(s), 1);
	free(s);
	kit_end(&k);
}

/* Rows of a file whose bytes no record carries. */
static void an_open_segment_without_bytes(void **state)
{
	struct kit k;
	struct seen *s;
	struct seg_desc d = {.kind = SEG_DATA};
	struct extent_row e = {.len = 1000, .n = 1};
	struct inode_row row;
	uint64_t ino;

	(void)state;
	kit_begin(&k);
	kit_open(&k);
	ino = kit_mk(&k, ROOT_INO, "hollow", S_IFREG | 0644);
	kit_write(&k, kit_mk(&k, ROOT_INO, "sound", S_IFREG | 0644), 0, 500, 1);
	OK(volume_sync(k.v));
	d.id.v = index_next(k.v->ix, COUNTER_SEGMENT);
	rnd_bytes(d.salt, sizeof(d.salt));
	e.data = index_next(k.v->ix, COUNTER_DATA);
	e.segment = d.id;
	e.ref[0] = (struct chunk_ref){
		.stored_len = 1016, .plain_len = 1000, .codec = CODEC_RAW};
	OK(index_begin(k.v->ix));
	OK(inode_get(k.v->ix, ino, &row));
	row.data = e.data;
	row.size = 1000;
	OK(segment_insert(k.v->ix, &d, SEG_OPEN));
	OK(inode_update(k.v->ix, &row));
	OK(index_end(k.v->ix, extent_put(k.v->ix, &e)));
	OK(commit_all(k.v->commit));
	kit_crash(&k);
	for (unsigned all = 0; all < 2; all++) {
		s = kit_check(&k, all != 0);
		EXPECT(s, SEGMENT_OPEN_EMPTY, 1);
		EXPECT(s, FILE_UNREADABLE, 1);
		EXPECT(s, CHUNK_DAMAGED, 0);
		assert_string_equal(s->hit[0], "/hollow");
		assert_int_equal(seen_bad(s), 2);
		free(s);
	}
	kit_end(&k);
}

/* The row says that the chunk is another file's: it does not open as that. */
static void an_extent_that_points_at_another_chunk(void **state)
{
	struct kit k;
	struct seen *s;
	struct extent_row e;
	struct inode_row a, b;

	(void)state;
	kit_begin(&k);
	kit_open(&k);
	kit_write(&k, kit_mk(&k, ROOT_INO, "a", S_IFREG | 0644), 0, 3000, 1);
	kit_write(&k, kit_mk(&k, ROOT_INO, "b", S_IFREG | 0644), 0, 3000, 2);
	kit_close(&k);
	kit_open(&k);
	a.ino = kit_ino(&k, ROOT_INO, "a");
	b.ino = kit_ino(&k, ROOT_INO, "b");
	OK(index_begin(k.v->ix));
	OK(inode_get(k.v->ix, a.ino, &a));
	OK(inode_get(k.v->ix, b.ino, &b));
	assert_int_equal(extent_find(k.v->ix, a.data, 0, 1, &e, 1), 1);
	e.data = b.data;
	OK(index_end(k.v->ix, extent_put(k.v->ix, &e)));
	kit_close(&k);
	s = kit_check(&k, false);
	assert_int_equal(seen_bad(s), 0);
	free(s);
	s = kit_check(&k, true);
	EXPECT(s, CHUNK_DAMAGED, 1);
	EXPECT(s, FILE_UNREADABLE, 1);
	assert_string_equal(s->hit[0], "/b");
	free(s);
	kit_end(&k);
}

/* ---- lookup.h ---- */

static void paths_are_found(void **state)
{
	struct bytes path = {0};
	struct kit k;
	uint64_t ino = ROOT_INO;

	(void)state;
	kit_begin(&k);
	kit_open(&k);
	index_lock(k.v->ix);
	OK(lookup_path(k.v->ix, ROOT_INO, &path));
	index_unlock(k.v->ix);
	assert_string_equal((char *)path.data, "/");
	bytes_release(&path);
	path = (struct bytes){0};
	ino = kit_mk(&k, ino, "one", S_IFDIR | 0755);
	ino = kit_mk(&k, ino, "two\n", S_IFDIR | 0755);
	ino = kit_mk(&k, ino, "\xff", S_IFREG | 0644);
	index_lock(k.v->ix);
	OK(lookup_path(k.v->ix, ino, &path));
	assert_string_equal((char *)path.data, "/one/two\n/\xff");
	path.len = 0;
	assert_int_equal(lookup_path(k.v->ix, 999, &path), -ENOENT);
	index_unlock(k.v->ix);
	bytes_release(&path);
	kit_end(&k);
}

/* Two folders in each other: no path, and no endless search for one. */
static void folders_in_a_ring(void **state)
{
	struct dentry_row d = {.type = 4, .name_len = 1, .name = "x"};
	struct bytes path = {0};
	struct kit k;
	uint64_t a, b;

	(void)state;
	kit_begin(&k);
	kit_open(&k);
	a = kit_mk(&k, ROOT_INO, "a", S_IFDIR | 0755);
	b = kit_mk(&k, a, "b", S_IFDIR | 0755);
	OK(index_begin(k.v->ix));
	OK(dentry_get(k.v->ix, ROOT_INO, "a", 1, &d));
	OK(dentry_delete(k.v->ix, d.id));
	d.parent = b;
	OK(dentry_insert(k.v->ix, &d));
	assert_int_equal(lookup_path(k.v->ix, b, &path), -ELOOP);
	(void)!index_end(k.v->ix, -ECANCELED);
	bytes_release(&path);
	kit_end(&k);
}

static void extents_come_in_pages(void **state)
{
	struct extent_place after = {0};
	struct extent_row row[4];
	unsigned total = 0;
	uint64_t bytes = 0;
	struct kit k;
	int n;

	(void)state;
	kit_begin(&k);
	kit_open(&k);
	kit_write_all(&k);
	OK(volume_sync(k.v));
	do {
		index_lock(k.v->ix);
		n = lookup_extents(k.v->ix, total ? &after : NULL, row, 4);
		index_unlock(k.v->ix);
		assert_true(n >= 0);
		for (int i = 0; i < n; i++) {
			assert_true(total == 0 || row[i].data > after.data ||
				    (row[i].data == after.data &&
				     row[i].off > after.off));
			after = (struct extent_place){row[i].data, row[i].off};
			bytes += row[i].len;
			total++;
		}
	} while (n == 4);
	/* 9 MiB in slots of 1 MiB, and three small ones. */
	assert_true(total >= 9 + 3);
	assert_int_equal(bytes, 9 * MIB + 1000 + 200000 + 100);
	kit_end(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_without_an_inode),
		cmocka_unit_test(an_open_segment_without_bytes),
		cmocka_unit_test(an_extent_that_points_at_another_chunk),
		cmocka_unit_test(paths_are_found),
		cmocka_unit_test(folders_in_a_ring),
		cmocka_unit_test(extents_come_in_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
