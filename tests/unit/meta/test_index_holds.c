/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No hold of the index lock is long, whatever the operations, the record or
 * the checkpoint are about. What takes the time is pages, so the calls of the
 * system in one hold are counted; times are printed, and asserted if asked for
 * (MENDFS_TEST_TIMES), as other things run on the machine, too.
 */
#include "unit/meta/index_test.h"

#include "base/clock.h"

#define PER_OP	  256
#define PER_SEG	  16
#define RECORD	  (1u << 20) /* as commit.h closes them */
#define DATA	  1
#define HOLD_MS	  5
#define CALLS_MAX 500 /* of a flush, with each page copied before */

struct bench {
	struct index *ix;
	uint64_t rows, files;
	uint64_t calls; /* of the worst hold so far */
};

/* As many as a file of 100 GiB, if asked for. */
static uint64_t many(uint64_t usual)
{
	return getenv("MENDFS_TEST_ALL") ? 10 * usual : usual;
}

static void note_calls(struct bench *b)
{
	b->calls = MAX(b->calls, os_count());
	os_fail_at(0, 0, 0); /* counts anew */
}

static void say(struct bench *b, const char *what)
{
	double ms = (double)index_longest_hold_ns(b->ix) / 1e6;

	printf("%-28s %8.3f ms, %4llu calls\n", what, ms,
	       (unsigned long long)b->calls);
	assert_true(b->calls <= CALLS_MAX);
	if (getenv("MENDFS_TEST_TIMES"))
		assert_true(ms < HOLD_MS);
	b->calls = 0;
	index_forget_holds(b->ix);
}

static void end_op(struct bench *b)
{
	end(b->ix);
	note_calls(b);
	if (index_pending(b->ix) < RECORD)
		return;
	cut_away(b->ix);
	note_calls(b);
}

static struct extent_row slot_row(uint64_t i)
{
	return chunk_row(DATA, 8 * i, 8, 1 + i / PER_SEG, 0);
}

static void put_some(struct bench *b, uint64_t from, uint64_t to)
{
	begin(b->ix);
	for (uint64_t i = from; i < to; i++) {
		struct extent_row row = slot_row(i);
		struct seg_desc d = segment_desc(row.segment.v, true);

		if (i % PER_SEG == 0)
			OK(segment_insert(b->ix, &d, SEG_SEALED));
		OK(extent_put(b->ix, &row));
	}
	end_op(b);
}

static void make_file(struct bench *b)
{
	struct inode_row row = file_row(index_next(b->ix, COUNTER_INO));
	uint64_t id = index_next(b->ix, COUNTER_DENTRY);
	struct dentry_row d;
	char name[32];

	snprintf(name, sizeof(name), "%016" PRIx64, rnd_u64());
	d = name_row(id, ROOT_INO, name, row.ino, DT_REG);
	begin(b->ix);
	OK(inode_insert(b->ix, &row));
	OK(dentry_insert(b->ix, &d));
	end_op(b);
}

static void touch_files(struct bench *b)
{
	for (uint64_t i = 0; i < b->files; i++) {
		struct inode_row row = file_row(2 + rnd_below(b->files));

		row.mtime_ns += (int64_t)i;
		begin(b->ix);
		OK(inode_update(b->ix, &row));
		end_op(b);
	}
}

static void sum_up(struct bench *b)
{
	uint64_t off = 0, sum = 0;
	int rc;

	do {
		index_lock(b->ix);
		rc = extent_sum(b->ix, DATA, UINT64_MAX, 2048, &off, &sum);
		index_unlock(b->ix);
		note_calls(b);
	} while (rc == 0);
	assert_int_equal(rc, 1);
	assert_int_equal(sum, b->rows * SLOT);
}

static void freeze_and_touch(struct bench *b)
{
	struct region_set set;
	struct bytes log = {0};

	index_lock(b->ix);
	OK(index_cut(b->ix, index_seq(b->ix) + 1, true, &log));
	OK(index_freeze(b->ix, &set));
	index_unlock(b->ix);
	note_calls(b);
	bytes_release(&log);
	say(b, "cut and freeze");
	touch_files(b);
	index_thaw(b->ix, true);
	region_set_release(&set);
	say(b, "changes while frozen");
}

static void drop_all(struct bench *b)
{
	int done;

	do {
		begin(b->ix);
		done = extent_cut(b->ix, DATA, 0, UINT64_MAX, PER_OP);
		assert_true(done >= 0);
		end_op(b);
	} while (done == 0);
}

/* One operation is taken back while thousands of pages are free. */
static void undo_one(struct bench *b)
{
	begin(b->ix);
	for (uint64_t i = 0; i < 100; i++) {
		struct inode_row row = file_row(index_next(b->ix, COUNTER_INO));

		OK(inode_insert(b->ix, &row));
	}
	assert_int_equal(index_end(b->ix, -ECANCELED), -ECANCELED);
	note_calls(b);
	cut_away(b->ix);
	note_calls(b);
}

static void no_hold_is_long(void **state)
{
	struct bench b = {.ix = ((struct world *)*state)->ix,
			  .rows = many(30000),
			  .files = many(30000)};

	rnd_seed(test_seed());
	add_root(b.ix);
	draw_to(b.ix, COUNTER_DATA, DATA);
	draw_to(b.ix, COUNTER_SEGMENT, 1 + b.rows / PER_SEG);
	note_calls(&b);
	b.calls = 0;
	for (uint64_t i = 0; i < b.rows; i += PER_OP)
		put_some(&b, i, MIN(i + PER_OP, b.rows));
	say(&b, "rows entered");
	for (uint64_t i = 0; i < b.files; i++)
		make_file(&b);
	say(&b, "files made");
	touch_files(&b);
	say(&b, "files changed at random");
	sum_up(&b);
	say(&b, "rows summed up");
	freeze_and_touch(&b);
	drop_all(&b);
	say(&b, "rows dropped");
	undo_one(&b);
	say(&b, "an operation undone");
	printf("%.1f MB\n", (double)index_bytes(b.ix) / 1e6);
	assert_sound(b.ix);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_INDEX(no_hold_is_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
