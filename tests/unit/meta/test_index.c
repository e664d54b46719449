/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/meta/index_test.h"

/* ---- operations and records ---- */

static void a_fresh_index_is_empty(void **state)
{
	struct index *ix = ((struct world *)*state)->ix;
	struct segment_totals t;
	struct bytes log = {0};
	uint64_t n;

	index_lock(ix);
	assert_int_equal(index_seq(ix), 0);
	OK(inode_count(ix, &n));
	assert_int_equal(n, 0);
	segment_get_totals(ix, &t);
	assert_int_equal(t.segments, 0);
	assert_int_equal(index_cut(ix, 1, false, &log), -ENODATA);
	assert_int_equal(index_cut(ix, 2, true, &log), -EINVAL);
	assert_int_equal(index_cut(ix, 0, true, &log), -EINVAL);
	index_unlock(ix);
	assert_null(log.data);
	assert_int_equal(index_peek(ix, COUNTER_INO), 2);
	assert_int_equal(index_peek(ix, COUNTER_DENTRY), 3);
	assert_int_equal(index_peek(ix, COUNTER_DATA), 1);
	assert_int_equal(index_peek(ix, COUNTER_SEGMENT), 1);
	assert_sound(ix);
	assert_true(index_longest_hold_ns(ix) > 0);
}

static void bad_options_are_refused(void **state)
{
	static const uint32_t bad[] = {0, 1, 8192, 16385, 8u << 20, UINT32_MAX};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		w->o.chunk_bytes = bad[i];
		assert_int_equal(index_create(&w->o, &w->ix), -EINVAL);
	}
	OK(index_close(NULL, true));
}

static void an_undone_operation_leaves_no_trace(void **state)
{
	struct world *w = *state;
	struct inode_row row = file_row(5);
	size_t pending;
	struct bytes log;

	add_root(w->ix);
	pending = index_pending(w->ix);
	assert_true(pending > 0);
	begin(w->ix);
	OK(inode_insert(w->ix, &row));
	OK(xattr_set(w->ix, 5, "user.x", "1", 1));
	assert_int_equal(index_end(w->ix, -ENAMETOOLONG), -ENAMETOOLONG);
	assert_int_equal(index_pending(w->ix), pending);
	begin(w->ix);
	assert_int_equal(inode_get(w->ix, 5, &row), -ENOENT);
	assert_int_equal(index_end(w->ix, 17), 17); /* any result is kept */
	assert_int_equal(index_pending(w->ix), pending);
	log = cut(w->ix);
	assert_null(memmem(log.data, log.len, "user.x", 6));
	bytes_release(&log);
}

static void operations_after_an_undone_one_are_kept(void **state)
{
	struct world *w = *state;
	struct inode_row row = file_row(5);
	uint64_t n;

	begin(w->ix);
	OK(inode_insert(w->ix, &row));
	assert_int_equal(index_end(w->ix, -EIO), -EIO);
	DO(w->ix, inode_insert(w->ix, &row));
	begin(w->ix);
	OK(inode_delete(w->ix, 5));
	assert_int_equal(index_end(w->ix, -EIO), -EIO);
	cut_away(w->ix);
	OK(index_close(steal(&w->ix), true));
	OK(index_open(&w->o, &w->ix));
	index_lock(w->ix);
	OK(inode_count(w->ix, &n));
	index_unlock(w->ix);
	assert_int_equal(n, 1);
}

static void counters_are_part_of_the_record(void **state)
{
	struct world *w = *state;
	uint64_t ino, next;

	for (unsigned i = 0; i < 100; i++)
		ino = index_next(w->ix, COUNTER_INO);
	assert_int_equal(ino, 101);
	cut_away(w->ix);
	(void)index_next(w->ix, COUNTER_INO); /* not in any record */
	OK(index_close(steal(&w->ix), true));
	OK(index_open(&w->o, &w->ix));
	next = index_peek(w->ix, COUNTER_INO);
	assert_int_equal(next, 102);
	index_lock(w->ix);
	assert_int_equal(index_seq(w->ix), 1);
	index_unlock(w->ix);
}

static void an_open_record_is_not_closed_as_complete(void **state)
{
	struct world *w = *state;
	struct inode_row row = file_row(5);

	cut_away(w->ix);
	DO(w->ix, inode_insert(w->ix, &row));
	assert_int_equal(index_close(steal(&w->ix), true), -EBUSY);
	OK(index_open(&w->o, &w->ix));
	index_lock(w->ix);
	assert_int_equal(inode_get(w->ix, 5, &row), -ENOENT);
	index_unlock(w->ix);
}

static void creating_replaces_what_is_there(void **state)
{
	struct world *w = *state;

	add_root(w->ix);
	cut_away(w->ix);
	OK(index_close(steal(&w->ix), true));
	OK(index_create(&w->o, &w->ix));
	assert_sound(w->ix);
	index_lock(w->ix);
	assert_int_equal(index_seq(w->ix), 0);
	index_unlock(w->ix);
}

static void another_version_is_refused(void **state)
{
	struct world *w = *state;

	begin(w->ix);
	assert_int_equal(OP_RUN(w->ix, STMT_META_SET, V_INT(META_VERSION),
				V_INT(INDEX_VERSION + 1)),
			 1);
	end(w->ix);
	cut_away(w->ix);
	OK(index_close(steal(&w->ix), true));
	assert_int_equal(index_open(&w->o, &w->ix), -ERR_FEATURE);
}

static void another_chunk_size_is_refused(void **state)
{
	struct world *w = *state;

	OK(index_close(steal(&w->ix), true));
	w->o.chunk_bytes *= 2;
	assert_int_equal(index_open(&w->o, &w->ix), -ERR_CORRUPT);
}

/* ---- room ---- */

#define FOLDERS	   100
#define PER_FOLDER 500

static void small_file(struct index *ix, unsigned folder, unsigned n)
{
	struct inode_row row = file_row(index_next(ix, COUNTER_INO));
	uint64_t id = index_next(ix, COUNTER_DENTRY);
	struct extent_row e;
	struct dentry_row d;
	char name[32];

	row.size = 3000 + n % 1000;
	row.data = index_next(ix, COUNTER_DATA);
	snprintf(name, sizeof(name), "document-%05u-%c.txt",
		 (n * 7919) % PER_FOLDER, 'a' + n % 26);
	d = name_row(id, 2 + folder, name, row.ino, DT_REG);
	e = chunk_row(row.data, 0, 1, 1000 + id / 8000,
		      (uint32_t)(id % 8000 * 2000));
	e.len = (uint32_t)row.size;
	e.ref[0].plain_len = e.len;
	e.ref[0].stored_len = 1500 + n % 500;
	begin(ix);
	OK(inode_insert(ix, &row));
	OK(dentry_insert(ix, &d));
	OK(extent_put(ix, &e));
	end(ix);
}

static void a_small_file_takes_little_room(void **state)
{
	struct index *ix = ((struct world *)*state)->ix;
	uint64_t before = index_bytes(ix);
	double each;

	draw_to(ix, COUNTER_INO, FOLDERS + 1);
	for (unsigned d = 0; d < FOLDERS; d++) {
		for (unsigned n = 0; n < PER_FOLDER; n++)
			small_file(ix, d, n);
		cut_away(ix);
	}
	each = (double)(index_bytes(ix) - before) / (FOLDERS * PER_FOLDER);
	printf("bytes per small file: %.1f\n", each);
	assert_true(each <= 215);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_INDEX(a_fresh_index_is_empty),
		IN_WORLD(bad_options_are_refused),
		WITH_INDEX(an_undone_operation_leaves_no_trace),
		WITH_INDEX(operations_after_an_undone_one_are_kept),
		WITH_INDEX(counters_are_part_of_the_record),
		WITH_INDEX(an_open_record_is_not_closed_as_complete),
		WITH_INDEX(creating_replaces_what_is_there),
		WITH_INDEX(another_version_is_refused),
		WITH_INDEX(another_chunk_size_is_refused),
		WITH_INDEX(a_small_file_takes_little_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
