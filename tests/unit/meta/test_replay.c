/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/meta/index_test.h"

#include <inttypes.h>

#include "meta/stmt_log.h"

#define RECORDS 60

static void replay(struct index *ix, const struct bytes *log)
{
	index_lock(ix);
	uint64_t seq = index_seq(ix) + 1;
	index_unlock(ix);
	OK(index_replay(ix, seq, log->data, log->len));
}

static void a_replayed_workload_gives_the_same_file(void **state)
{
	struct world *w = *state;
	struct index *twin = open_twin(w);
	struct play p = {.ix = w->ix};
	struct segment_totals a, b;
	uint64_t na, nb;

	rnd_seed(test_seed());
	add_root(w->ix);
	for (unsigned r = 0; r < RECORDS; r++) {
		struct bytes log;

		for (uint64_t i = rnd_below(60); i > 0; i--)
			play_operation(&p);
		log = cut(w->ix);
		replay(twin, &log);
		bytes_release(&log);
		if (r % 8 == 0)
			assert_same_regions(w->ix, twin);
	}
	assert_true(p.undone > 50);
	assert_same_regions(w->ix, twin);
	for (unsigned i = 0; i < COUNTER_COUNT; i++)
		assert_int_equal(index_peek(w->ix, i), index_peek(twin, i));
	segment_get_totals(w->ix, &a);
	segment_get_totals(twin, &b);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_true(a.dead > 0);
	OK(inode_count(w->ix, &na));
	OK(inode_count(twin, &nb));
	assert_int_equal(na, nb);
}

/* Closing and opening between records leaves no mark in the file. */
static void replay_goes_on_after_opening_again(void **state)
{
	struct world *w = *state;
	struct play p = {.ix = w->ix};

	(void)open_twin(w);
	w->twin_o.cache_bytes = 64u << 10;
	rnd_seed(test_seed());
	add_root(w->ix);
	for (unsigned r = 0; r < 12; r++) {
		struct bytes log;

		for (unsigned i = 0; i < 40; i++)
			play_operation(&p);
		log = cut(w->ix);
		OK(index_close(steal(&w->twin), r % 2 == 0));
		OK(index_open(&w->twin_o, &w->twin));
		replay(w->twin, &log);
		bytes_release(&log);
		assert_same_regions(w->ix, w->twin);
	}
	assert_sound(w->twin);
}

/* An index that was replayed is one to work with. */
static void operations_follow_a_replay(void **state)
{
	struct world *w = *state;
	struct play p = {.ix = w->ix};
	struct bytes log;

	(void)open_twin(w);
	rnd_seed(test_seed());
	add_root(w->ix);
	for (unsigned i = 0; i < 300; i++)
		play_operation(&p);
	log = cut(w->ix);
	replay(w->twin, &log);
	bytes_release(&log);
	p.ix = w->twin;
	for (unsigned i = 0; i < 300; i++)
		play_operation(&p);
	assert_sound(w->twin);
	log = cut(w->twin);
	replay(w->ix, &log);
	bytes_release(&log);
	assert_same_regions(w->ix, w->twin);
	assert_sound(w->ix);
}

/* ---- what must not be replayed ---- */

/* A record of some operations, and a twin that stands right before it. */
static struct bytes some_record(struct world *w)
{
	struct play p = {.ix = w->ix};
	struct bytes log;

	(void)open_twin(w);
	rnd_seed(test_seed());
	add_root(w->ix);
	for (unsigned i = 0; i < 30; i++)
		play_operation(&p);
	log = cut(w->ix);
	replay(w->twin, &log);
	bytes_release(&log);
	for (unsigned i = 0; i < 20; i++)
		play_operation(&p);
	return cut(w->ix);
}

static uint8_t *contents(struct index *ix, size_t *len_out)
{
	uint32_t regions = regions_of(ix);
	uint8_t *all = mem_alloc((size_t)regions * INDEX_REGION);

	for (uint32_t r = 0; r < regions; r++)
		OK(index_region_read(ix, r, all + (size_t)r * INDEX_REGION));
	*len_out = (size_t)regions * INDEX_REGION;
	return all;
}

static void assert_contents(struct index *ix, const uint8_t *want, size_t len)
{
	size_t n;
	AUTO_FREE uint8_t *got = contents(ix, &n);

	assert_int_equal(n, len);
	assert_memory_equal(got, want, len);
}

static void truncated_logs_are_refused(void **state)
{
	struct world *w = *state;
	AUTO(bytes_release) struct bytes log = some_record(w);
	AUTO_FREE uint8_t *before = NULL;
	size_t len;

	before = contents(w->twin, &len);
	for (size_t n = 0; n < log.len; n++) {
		/* of its own, so that reading on is noticed */
		AUTO_FREE uint8_t *part = mem_alloc(n);
		int rc;

		memcpy(part, log.data, n);
		rc = index_replay(w->twin, 2, part, n);
		assert_true(rc == -ERR_TRUNCATED || rc == -ERR_REPLAY);
	}
	assert_contents(w->twin, before, len);
	assert_int_equal(index_replay(w->twin, 1, log.data, log.len),
			 -ERR_REPLAY);
	assert_int_equal(index_replay(w->twin, 3, log.data, log.len),
			 -ERR_REPLAY);
	replay(w->twin, &log);
	assert_same_regions(w->ix, w->twin);
}

/* The twin's file, byte for byte, to go back to. */
static struct bytes save(struct world *w)
{
	struct bytes raw = {0};

	OK(index_close(steal(&w->twin), true));
	OK(os_read_file(w->twin_path, 64u << 20, &raw.data, &raw.len));
	OK(index_open(&w->twin_o, &w->twin));
	return raw;
}

static void restore(struct world *w, const struct bytes *raw)
{
	int fd;

	(void)index_close(steal(&w->twin), false);
	fd = os_openat(AT_FDCWD, w->twin_path, O_WRONLY | O_TRUNC, 0);
	OK(os_pwrite(fd, raw->data, raw->len, 0));
	os_close(fd);
	OK(index_open(&w->twin_o, &w->twin));
}

static void changed_logs_do_no_harm(void **state)
{
	struct world *w = *state;
	AUTO(bytes_release) struct bytes log = some_record(w);
	AUTO(bytes_release) struct bytes raw = save(w);
	AUTO_FREE uint8_t *before = NULL;
	unsigned refused = 0;
	size_t len;

	before = contents(w->twin, &len);
	for (unsigned i = 0; i < 600; i++) {
		size_t at = rnd_below(log.len);
		uint8_t was = log.data[at];
		int rc;

		log.data[at] ^= (uint8_t)(1u << rnd_below(8));
		rc = index_replay(w->twin, 2, log.data, log.len);
		log.data[at] = was;
		assert_true(rc == 0 || rc == -ERR_TRUNCATED ||
			    rc == -ERR_REPLAY || rc == -ERR_RANGE);
		refused += rc != 0;
		if (rc == 0) /* another value of the same form */
			restore(w, &raw);
	}
	assert_true(refused > 10);
	assert_contents(w->twin, before, len);
	replay(w->twin, &log);
	assert_same_regions(w->ix, w->twin);
}

static int replay_these(struct world *w, const void *log, size_t len)
{
	return index_replay(w->ix, 1, log, len);
}

static void unknown_things_are_refused(void **state)
{
	struct world *w = *state;
	static const uint8_t other_version[] = {INDEX_VERSION + 1};
	static const uint8_t no_entries[] = {INDEX_VERSION, 0};
	static const uint8_t no_statement[] = {INDEX_VERSION, 1, 0, 1};
	static const uint8_t beyond[] = {INDEX_VERSION, 1, STMT_LIMIT, 1};
	static const uint8_t far[] = {INDEX_VERSION, 1,	   0xff, 0xff,
				      0xff,	     0xff, 0xf,	 1};
	static const uint8_t no_seq[] = {INDEX_VERSION};
	/* DELETE FROM inode WHERE ino = 3: there is none */
	static const uint8_t no_row[] = {INDEX_VERSION, 1, STMT_INODE_DELETE, 1,
					 6u << 2 | VALUE_INT};
	static const uint8_t no_rows[] = {INDEX_VERSION, 1, STMT_INODE_DELETE,
					  0, 6u << 2 | VALUE_INT};
	/* 62 in the long form; a null with a number */
	static const uint8_t overlong[] = {INDEX_VERSION,	 1,
					   STMT_INODE_DELETE,	 1,
					   63u << 2 | VALUE_INT, 62};
	static const uint8_t odd_null[] = {INDEX_VERSION, 1, STMT_INODE_DELETE,
					   1, 1u << 2 | VALUE_NULL};

	assert_int_equal(replay_these(w, NULL, 0), -ERR_TRUNCATED);
#define REFUSED(log, rc) \
	assert_int_equal(replay_these(w, log, sizeof(log)), -(rc))
	REFUSED(other_version, ERR_REPLAY);
	REFUSED(no_entries, ERR_RANGE);
	REFUSED(no_statement, ERR_REPLAY);
	REFUSED(beyond, ERR_REPLAY);
	REFUSED(far, ERR_REPLAY);
	REFUSED(no_seq, ERR_REPLAY);
	REFUSED(no_row, ERR_REPLAY);
	REFUSED(no_rows, ERR_REPLAY);
	REFUSED(overlong, ERR_RANGE);
	REFUSED(odd_null, ERR_RANGE);
	index_lock(w->ix);
	assert_int_equal(index_seq(w->ix), 0);
	index_unlock(w->ix);
	assert_sound(w->ix);
}

static void an_open_record_is_in_the_way(void **state)
{
	struct world *w = *state;
	AUTO(bytes_release) struct bytes log = some_record(w);
	struct inode_row row = file_row(1u << 30);

	begin(w->twin); /* undone: not in the way */
	OK(inode_insert(w->twin, &row));
	assert_int_equal(index_end(w->twin, -EIO), -EIO);
	replay(w->twin, &log);
	assert_same_regions(w->ix, w->twin);
	DO(w->twin, inode_insert(w->twin, &row));
	assert_int_equal(index_replay(w->twin, 3, log.data, log.len), -EBUSY);
}

/* ---- failures in between ---- */

/* As it was before, or as it has to be afterwards; sticky ones are reopened. */
static void judge(struct world *w, int rc, const uint8_t *before, size_t len)
{
	int now = index_begin(w->twin);

	if (now == 0) {
		end(w->twin);
	} else {
		assert_int_equal(now, -ERR_STICKY);
		assert_int_not_equal(rc, 0);
		(void)index_close(steal(&w->twin), false);
		return;
	}
	if (rc)
		assert_contents(w->twin, before, len);
	else
		assert_same_regions(w->ix, w->twin);
}

static void a_replay_may_fail_anywhere(void **state)
{
	struct world *w = *state;
	AUTO(bytes_release) struct bytes log = some_record(w);
	AUTO(bytes_release) struct bytes raw = save(w);
	AUTO_FREE uint8_t *before = NULL;
	unsigned failed = 0;
	size_t len;
	int rc = -1;

	before = contents(w->twin, &len);
	for (uint64_t i = 1; rc; i++) {
		restore(w, &raw);
		os_fail_at(i, EIO, 0);
		rc = index_replay(w->twin, 2, log.data, log.len);
		os_fail_at(0, 0, 0);
		judge(w, rc, before, len);
	}
	for (uint64_t i = 0, last = 1; i <= last; i += 1 + rnd_below(7)) {
		restore(w, &raw);
		mem_fail_at(i, 0);
		rc = index_replay(w->twin, 2, log.data, log.len);
		last = MAX(last, mem_count());
		mem_fail_at(0, 0);
		assert_true(rc == 0 || rc == -ENOMEM);
		judge(w, rc, before, len);
		failed += rc != 0;
	}
	assert_true(failed > 3);
}

/* ---- the coding of values ---- */

static void values_come_back(void **state)
{
	static const int64_t numbers[] = {0,	   1,	      -1,	31, -31,
					  -32,	   32,	      62,	63, 64,
					  1 << 20, INT64_MAX, INT64_MIN};
	static uint8_t big[70000];
	struct value v[ARRAY_LEN(numbers) + 5], got[ARRAY_LEN(v)];
	AUTO(bytes_release) struct bytes log = {0};
	unsigned n = 0;
	struct reader r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		v[n++] = V_INT(numbers[i]);
	v[n++] = V_BLOB(NULL, 0);
	v[n++] = V_BLOB(big, 62);
	v[n++] = V_BLOB(big, 63);
	v[n++] = V_BLOB(big, sizeof(big));
	v[n++] = (struct value){.type = VALUE_TEXT, .p = "text", .len = 4};
	OK(stmt_log_add(&log, STMT_META_SET, 300, v, n));
	r = reader_of(log.data, log.len);
	assert_int_equal(reader_varint(&r), STMT_META_SET);
	assert_int_equal(reader_varint(&r), 300);
	OK(stmt_log_values(&r, got, n));
	assert_int_equal(reader_left(&r), 0);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(got[i].type, v[i].type);
		assert_true(got[i].i == v[i].i);
		assert_int_equal(got[i].len, v[i].len);
		if (v[i].len)
			assert_memory_equal(got[i].p, v[i].p, v[i].len);
	}
	for (size_t cut_at = 0; cut_at < log.len; cut_at += 1 + cut_at / 50) {
		r = reader_of(log.data, cut_at);
		(void)reader_varint(&r);
		(void)reader_varint(&r);
		if (!r.bad)
			assert_int_equal(stmt_log_values(&r, got, n),
					 -ERR_TRUNCATED);
	}
}

/* Numbers of statements are disk format. */
static void numbers_of_statements_stay(void **state)
{
	(void)state;
	assert_int_equal(STMT_META_SET, 1);
	assert_int_equal(STMT_INODE_INSERT, 3);
	assert_int_equal(STMT_DENTRY_INSERT, 8);
	assert_int_equal(STMT_XATTR_SET, 11);
	assert_int_equal(STMT_EXTENT_INSERT, 14);
	assert_int_equal(STMT_EXTENT_DELETE, 16);
	assert_int_equal(STMT_SEGMENT_INSERT, 17);
	assert_int_equal(STMT_SEGMENT_DELETE, 20);
	assert_int_equal(STMT_QUEUE_REMOVE, 22);
	assert_int_equal(STMT_LIMIT, 23);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_INDEX(a_replayed_workload_gives_the_same_file),
		WITH_INDEX(replay_goes_on_after_opening_again),
		WITH_INDEX(operations_follow_a_replay),
		WITH_INDEX(truncated_logs_are_refused),
		WITH_INDEX(changed_logs_do_no_harm),
		WITH_INDEX(unknown_things_are_refused),
		WITH_INDEX(an_open_record_is_in_the_way),
		WITH_INDEX(a_replay_may_fail_anywhere),
		cmocka_unit_test(values_come_back),
		cmocka_unit_test(numbers_of_statements_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
