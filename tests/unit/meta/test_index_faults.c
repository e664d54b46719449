/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/meta/index_test.h"

/* ---- failures ---- */

static void assert_sticky(struct index *ix)
{
	struct region_set set;
	struct bytes log = {0};
	struct inode_row row;

	assert_int_equal(index_begin(ix), -ERR_STICKY);
	index_lock(ix);
	assert_int_equal(inode_get(ix, 1, &row), -ERR_STICKY);
	assert_int_equal(index_cut(ix, index_seq(ix) + 1, true, &log),
			 -ERR_STICKY);
	assert_int_equal(index_freeze(ix, &set), -ERR_STICKY);
	index_unlock(ix);
	assert_int_equal(index_replay(ix, index_seq(ix) + 1, "\1", 1),
			 -ERR_STICKY);
	assert_int_equal(index_check(ix, tell_finding, NULL), -ERR_STICKY);
}

static void a_failed_cut_is_sticky(void **state)
{
	struct world *w = *state;
	struct bytes log = {0};

	add_root(w->ix);
	index_lock(w->ix);
	os_fail_at(1, EIO, 1);
	assert_int_equal(index_cut(w->ix, 1, true, &log), -EIO);
	os_fail_at(0, 0, 0);
	index_unlock(w->ix);
	assert_sticky(w->ix);
	assert_int_equal(index_close(steal(&w->ix), true), -ERR_STICKY);
}

/* Grows the index by about a page. */
static int grow(struct index *ix, uint64_t ino)
{
	static uint8_t value[INDEX_PAGE];
	int rc = index_begin(ix);

	if (rc)
		return rc;
	return index_end(ix,
			 xattr_set(ix, ino, "user.x", value, sizeof(value)));
}

static void a_full_disk_fails_the_operation_only(void **state)
{
	struct world *w = *state;
	uint64_t ino = 0;
	int rc = 0;

	cut_away(w->ix);
	os_fail_at(1, ENOSPC, 1);
	while (!rc) {
		/* Nothing is written early: a write into what is allocated
		 * does not fail for lack of room, but the seam cannot tell. */
		w->ix->unflushed = 0;
		rc = grow(w->ix, ++ino);
	}
	os_fail_at(0, 0, 0);
	assert_int_equal(rc, -ENOSPC);
	/* what was kept fits into the space that had been allocated */
	assert_in_range(ino * INDEX_PAGE, 6u << 20, 9u << 20);
	cut_away(w->ix);
	OK(grow(w->ix, ino));
	cut_away(w->ix);
	OK(index_close(steal(&w->ix), true));
	OK(index_open(&w->o, &w->ix));
	begin(w->ix);
	for (uint64_t i = 1; i <= ino; i++)
		OK(xattr_remove(w->ix, i, "user.x"));
	end(w->ix);
}

/* Pages written early that cannot be written now are written later. */
static void an_early_write_may_fail(void **state)
{
	struct world *w = *state;
	struct inode_row row;

	add_root(w->ix);
	cut_away(w->ix);
	for (uint64_t ino = 2; ino < 2000; ino++) {
		os_fail_at(ino % 5 == 0, ino % 2 ? EIO : ENOSPC, 1);
		row = file_row(ino);
		DO(w->ix, inode_insert(w->ix, &row));
		os_fail_at(0, 0, 0);
	}
	cut_away(w->ix);
	OK(index_close(steal(&w->ix), true));
	OK(index_open(&w->o, &w->ix));
	index_lock(w->ix);
	for (uint64_t ino = 2; ino < 2000; ino++)
		OK(inode_get(w->ix, ino, &row));
	index_unlock(w->ix);
}

/* A caller that overlooks a failure does not get half an operation kept. */
static void a_spoilt_operation_is_not_kept(void **state)
{
	struct world *w = *state;
	static uint8_t value[40000];
	struct inode_row row = file_row(5);
	size_t pending = index_pending(w->ix);
	int rc = 0;

	for (uint64_t i = 1; !rc && i < 9; i++) {
		begin(w->ix);
		OK(inode_insert(w->ix, &row));
		mem_fail_at(i, 0);
		rc = xattr_set(w->ix, 5, "user.x", value, sizeof(value));
		mem_fail_at(0, 0);
		if (!rc)
			assert_int_equal(index_end(w->ix, -EIO), -EIO);
	}
	assert_int_equal(rc, -ENOMEM);
	assert_int_equal(index_end(w->ix, 0), -ENOMEM);
	assert_int_equal(index_pending(w->ix), pending);
	begin(w->ix);
	assert_int_equal(inode_get(w->ix, 5, &row), -ENOENT);
	end(w->ix);
}

/* How far a scenario came without an error. */
struct outcome {
	unsigned files; /* whose operation was kept */
	uint64_t seq;
	bool closed;
};

static int one_file(struct world *w, struct outcome *o)
{
	uint64_t ino = 2 + o->files;
	struct inode_row row = file_row(ino);
	struct dentry_row d;
	char name[32];
	int rc;

	snprintf(name, sizeof(name), "file-%u", o->files);
	d = name_row(3 + o->files, ROOT_INO, name, ino, DT_REG);
	draw_to(w->ix, COUNTER_INO, ino);
	draw_to(w->ix, COUNTER_DENTRY, d.id);
	rc = index_begin(w->ix);
	if (rc)
		return rc;
	rc = inode_insert(w->ix, &row);
	if (!rc)
		rc = dentry_insert(w->ix, &d);
	if (!rc)
		rc = xattr_set(w->ix, ino, "user.x", "value", 5);
	rc = index_end(w->ix, rc);
	o->files += !rc;
	return rc;
}

static int one_cut(struct world *w, struct outcome *o)
{
	AUTO(bytes_release) struct bytes log = {0};
	int rc;

	index_lock(w->ix);
	rc = index_cut(w->ix, o->seq + 1, true, &log);
	index_unlock(w->ix);
	o->seq += !rc;
	return rc;
}

static int one_freeze(struct world *w)
{
	AUTO(region_set_release) struct region_set set = {0};
	int rc;

	index_lock(w->ix);
	rc = index_freeze(w->ix, &set);
	index_unlock(w->ix);
	return rc;
}

static int frozen_part(struct world *w, struct outcome *o)
{
	AUTO_FREE uint8_t *region = mem_alloc(INDEX_REGION);
	int rc = region ? one_file(w, o) : -ENOMEM;

	if (!rc)
		rc = one_cut(w, o);
	return rc ? rc : index_region_read(w->ix, 0, region);
}

static int scenario(struct world *w, struct outcome *o)
{
	int rc = 0;

	for (unsigned i = 0; !rc && i < 3; i++)
		rc = one_file(w, o);
	if (!rc)
		rc = one_cut(w, o);
	if (!rc)
		rc = one_freeze(w);
	if (rc)
		return rc;
	rc = frozen_part(w, o);
	index_thaw(w->ix, !rc);
	if (!rc)
		rc = one_file(w, o);
	if (!rc)
		rc = one_cut(w, o);
	if (rc)
		return rc;
	rc = index_close(steal(&w->ix), true);
	o->closed = !rc;
	return rc ? rc : index_open(&w->o, &w->ix);
}

/* Exactly the files of the operations that were kept. */
static void assert_files(struct index *ix, unsigned files)
{
	struct dentry_row d;
	char name[32];

	index_lock(ix);
	for (unsigned i = 0; i < files + 2; i++) {
		snprintf(name, sizeof(name), "file-%u", i);
		assert_int_equal(dentry_get(ix, ROOT_INO, name, strlen(name),
					    &d),
				 i < files ? 0 : -ENOENT);
	}
	index_unlock(ix);
	assert_sound(ix);
}

/* After a failure at any place: all kept and no more, or sticky. */
static void judge(struct world *w, struct outcome *o)
{
	int rc;

	if (!w->ix && o->closed)
		OK(index_open(&w->o, &w->ix));
	if (!w->ix)
		return;
	rc = index_begin(w->ix);
	if (rc == -ERR_STICKY) {
		assert_sticky(w->ix);
		return;
	}
	OK(rc);
	end(w->ix);
	assert_files(w->ix, o->files);
	OK(one_file(w, o));
	OK(one_cut(w, o));
	OK(index_close(steal(&w->ix), true));
	OK(index_open(&w->o, &w->ix));
	assert_files(w->ix, o->files);
}

static void fresh_start(struct world *w)
{
	(void)index_close(steal(&w->ix), false);
	OK(index_create(&w->o, &w->ix));
	add_root(w->ix);
}

static void every_failing_file_call(void **state)
{
	struct world *w = *state;

	for (int forever = 0; forever < 2; forever++) {
		unsigned failed = 0;
		int rc = -1;

		for (uint64_t i = 1; rc; i++) {
			struct outcome o = {0};

			fresh_start(w);
			os_fail_at(i, EIO, forever);
			rc = scenario(w, &o);
			os_fail_at(0, 0, 0);
			assert_true(rc == 0 || rc == -EIO || rc == -ERR_STICKY);
			judge(w, &o);
			failed += rc != 0;
		}
		assert_true(failed > 20);
	}
}

/* All of them if MENDFS_TEST_ALL is set, else one in four, by the seed. */
static uint64_t stride(void)
{
	return getenv("MENDFS_TEST_ALL") ? 1 : 1 + rnd_below(7);
}

static void every_failing_allocation(void **state)
{
	struct world *w = *state;
	unsigned failed = 0;

	rnd_seed(test_seed());
	/*
	 * Run 0 counts. SQLite can do without some of them, so that a good run
	 * is not the end.
	 */
	for (uint64_t i = 0, last = 1; i <= last; i += stride()) {
		struct outcome o = {0};
		int rc;

		fresh_start(w);
		mem_fail_at(i, 0);
		rc = scenario(w, &o);
		last = MAX(last, mem_count());
		mem_fail_at(0, 0);
		assert_true(rc == 0 || rc == -ENOMEM || rc == -ERR_STICKY);
		judge(w, &o);
		failed += rc != 0;
	}
	assert_true(failed > 100);
}

static void creating_may_fail_anywhere(void **state)
{
	struct world *w = *state;
	int rc = -1;

	rnd_seed(test_seed());
	for (uint64_t i = 1; rc; i++) {
		os_fail_at(i, EACCES, 0);
		rc = index_create(&w->o, &w->ix);
		os_fail_at(0, 0, 0);
		assert_true(rc == 0 || rc == -EACCES);
	}
	OK(index_close(steal(&w->ix), false));
	for (uint64_t i = 0, last = 1; i <= last;
	     i += stride()) { /* 0 counts */
		mem_fail_at(i, 0);
		rc = index_create(&w->o, &w->ix);
		last = MAX(last, mem_count());
		mem_fail_at(0, 0);
		assert_true(rc == 0 || rc == -ENOMEM);
		(void)index_close(steal(&w->ix), false);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_INDEX(a_failed_cut_is_sticky),
		WITH_INDEX(a_full_disk_fails_the_operation_only),
		WITH_INDEX(an_early_write_may_fail),
		WITH_INDEX(a_spoilt_operation_is_not_kept),
		IN_WORLD(every_failing_file_call),
		IN_WORLD(every_failing_allocation),
		IN_WORLD(creating_may_fail_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
