/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/meta/index_test.h"

struct expected {
	const char *code;
	unsigned seen, others;
};

static void note_code(void *arg, const char *code, const char *text)
{
	struct expected *e = arg;

	assert_true(strlen(text) > 0);
	if (!strcmp(code, e->code))
		e->seen++;
	else
		e->others++;
}

static void assert_found(struct index *ix, const char *code)
{
	struct expected e = {.code = code};
	int n = index_check(ix, note_code, &e);

	assert_int_equal(n, e.seen + e.others);
	if (!e.seen)
		fail_msg("%s not found", code);
}

/* What the operation does is found as `code`, and then undone by another. */
#define DAMAGE(code, ...)                                  \
	do {                                               \
		struct index *d_ = sound_index(w);         \
		begin(d_);                                 \
		assert_true(OP_RUN(d_, __VA_ARGS__) == 1); \
		end(d_);                                   \
		assert_found(d_, code);                    \
	} while (0)

/* A root, folder 2, file 3 with data 1 in segment 1, symlink 4. */
static struct index *sound_index(struct world *w)
{
	struct inode_row folder = folder_row(2), file = file_row(3);
	struct inode_row link = file_row(4), root = folder_row(ROOT_INO);
	struct dentry_row names[] = {
		name_row(3, ROOT_INO, "folder", 2, DT_DIR),
		name_row(4, 2, "file", 3, DT_REG),
		name_row(5, 2, "link", 4, DT_LNK),
	};
	struct seg_desc seg = segment_desc(1, true);
	struct extent_row e = chunk_row(1, 0, 2, 1, 0);

	(void)index_close(steal(&w->ix), false);
	OK(index_create(&w->o, &w->ix));
	add_root(w->ix);
	draw_to(w->ix, COUNTER_INO, 4);
	draw_to(w->ix, COUNTER_DENTRY, 5);
	draw_to(w->ix, COUNTER_DATA, 1);
	draw_to(w->ix, COUNTER_SEGMENT, 1);
	draw_to(w->ix, COUNTER_QUEUE, 9);
	file.data = 1;
	file.size = 2 * CHUNK;
	link.mode = S_IFLNK | 0777;
	link.size = 4;
	begin(w->ix);
	OK(inode_insert(w->ix, &folder));
	OK(inode_insert(w->ix, &file));
	OK(inode_insert(w->ix, &link));
	root.nlink = 3;
	OK(inode_update(w->ix, &root));
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		OK(dentry_insert(w->ix, &names[i]));
	OK(symlink_insert(w->ix, 4, "file", 4));
	OK(segment_insert(w->ix, &seg, SEG_SEALED));
	OK(extent_put(w->ix, &e));
	end(w->ix);
	return w->ix;
}

#define MODE(m) V_INT((m) ^ (S_IFREG | 0644))
#define INODE(ino, mode, nlink, size, data)                                 \
	STMT_INODE_UPDATE, V_INT(ino), MODE(mode), V_INT(0), V_INT(0),      \
		V_INT(nlink), V_INT(size), V_INT(data), V_INT(0), V_INT(0), \
		V_INT(0), V_INT(0), V_INT(0), V_INT(0), V_INT(1)
#define EXTENT(data, off, len, segment, pos, blob)               \
	STMT_EXTENT_INSERT, V_INT(data), V_INT(off), V_INT(len), \
		V_INT(segment), V_INT(pos), V_INT(0), V_INT(1),  \
		V_BLOB(blob, sizeof(blob) - 1)

static void damage_to_names_is_found(void **state)
{
	struct world *w = *state;

	assert_sound(sound_index(w));
	DAMAGE("index-dentry-no-inode", STMT_INODE_DELETE, V_INT(3));
	DAMAGE("index-dentry-no-parent", STMT_INODE_DELETE, V_INT(2));
	DAMAGE("index-dentry-no-parent", INODE(2, S_IFREG | 0644, 1, 0, 0));
	DAMAGE("index-dentry-type", STMT_DENTRY_RETARGET, V_INT(4), V_INT(3),
	       V_INT(2), V_INT(1));
	DAMAGE("index-dentry-type", INODE(3, S_IFIFO | 0644, 1, 2 * CHUNK, 1));
	DAMAGE("index-link-count", INODE(3, S_IFREG | 0644, 2, 2 * CHUNK, 1));
	DAMAGE("index-folder-links", INODE(1, S_IFDIR | 0755, 2, 0, 0));
	DAMAGE("index-folder-names", STMT_DENTRY_INSERT, V_INT(6), V_INT(1),
	       V_INT(2), V_INT(1), V_INT(1), V_BLOB("x", 1));
	DAMAGE("index-folder-names", STMT_DENTRY_INSERT, V_INT(6), V_INT(2),
	       V_INT(1), V_INT(1), V_INT(1), V_BLOB("x", 1));
	DAMAGE("index-folder-unreachable", STMT_DENTRY_DELETE, V_INT(3));
	DAMAGE("index-orphan-not-queued", STMT_DENTRY_DELETE, V_INT(4));
	DAMAGE("index-root", STMT_INODE_DELETE, V_INT(1));
	DAMAGE("index-symlink-no-target", STMT_SYMLINK_DELETE, V_INT(4));
	DAMAGE("index-symlink-no-target", INODE(4, S_IFLNK | 0777, 1, 5, 0));
	DAMAGE("index-symlink-no-inode", STMT_SYMLINK_INSERT, V_INT(3),
	       V_BLOB("x", 1));
	DAMAGE("index-xattr-no-inode", STMT_XATTR_SET, V_INT(99),
	       V_BLOB("a", 1), V_BLOB("b", 1), V_INT(1));
	DAMAGE("index-counter-low", STMT_QUEUE_ADD, V_INT(10), V_INT(2),
	       V_INT(3), V_INT(0));
}

static void damage_to_data_is_found(void **state)
{
	struct world *w = *state;

	DAMAGE("index-size-below-data",
	       INODE(3, S_IFREG | 0644, 1, 2 * CHUNK - 1, 1));
	DAMAGE("index-extent-no-owner",
	       INODE(3, S_IFREG | 0644, 1, 2 * CHUNK, 0));
	DAMAGE("index-extent-format", EXTENT(1, 2 * CHUNK, CHUNK, 1, 0, "\0"));
	DAMAGE("index-extent-format", /* no chunk could hold so much */
	       EXTENT(1, 2 * CHUNK, CHUNK + 1, 1, 0, "\x80\x01"));
	DAMAGE("index-extent-overlap",
	       EXTENT(1, CHUNK, CHUNK, 1, 0, "\x80\x01"));
	DAMAGE("index-extent-no-segment",
	       EXTENT(1, 2 * CHUNK, CHUNK, 2, 0, "\x80\x01"));
	DAMAGE("index-extent-no-segment",
	       EXTENT(1, 2 * CHUNK, CHUNK, 1, (16 << 20) - 31, "\x80\x01"));
	DAMAGE("index-segment-refs",
	       EXTENT(1, 2 * CHUNK, CHUNK, 1, 0, "\x80\x01"));
	DAMAGE("index-segment-not-dead", STMT_EXTENT_DELETE, V_INT(1),
	       V_INT(0));
	DAMAGE("index-segment-format", STMT_SEGMENT_SEAL, V_INT(1),
	       V_BLOB("x", 1));
	DAMAGE("index-segment-refs", STMT_SEGMENT_DEAD, V_INT(1), V_INT(1));
}

/* The counts in memory come from the rows once it is opened again. */
static void used_dead_segments_are_found(void **state)
{
	struct world *w = *state;
	struct index *ix = sound_index(w);

	begin(ix);
	assert_int_equal(OP_RUN(ix, STMT_SEGMENT_DEAD, V_INT(1), V_INT(1)), 1);
	end(ix);
	cut_away(ix);
	OK(index_close(steal(&w->ix), true));
	OK(index_open(&w->o, &w->ix));
	assert_found(w->ix, "index-segment-dead-used");
}

static void jobs_excuse_what_they_will_remove(void **state)
{
	struct world *w = *state;
	struct index *ix = sound_index(w);
	struct inode_row row;

	begin(ix);
	OK(inode_get(ix, 3, &row));
	row.nlink = 0;
	OK(dentry_delete(ix, 4));
	OK(queue_add(ix, QUEUE_ORPHAN, 3, 0));
	row.size = 5;
	OK(queue_add(ix, QUEUE_TRIM_DATA, 1, 5));
	OK(inode_update(ix, &row));
	end(ix);
	assert_sound(ix);
	begin(ix);
	OK(inode_delete(ix, 3));
	OK(queue_add(ix, QUEUE_DROP_DATA, 1, 0));
	end(ix);
	assert_sound(ix);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD(damage_to_names_is_found),
		IN_WORLD(damage_to_data_is_found),
		IN_WORLD(used_dead_segments_are_found),
		IN_WORLD(jobs_excuse_what_they_will_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
