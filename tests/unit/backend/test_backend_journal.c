/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Journal files: their order, and what the first failure means (B2, B3).
 */
#include "backend_kit.h"

/* ---- journal files ---- */

static void test_jfile(void **state)
{
	struct backend *b = *state;
	const uint64_t size = 600 * DRV_BLOCK; /* more than one step */
	struct jfile *f = jopen(b, "journal/1-0", size);
	AUTO_BIO struct bio *all = NULL, *again = NULL;

	assert_int_equal(jwrite(b, f, 7, 0), 0);
	assert_int_equal(jwrite(b, f, 8, 599), 0);
	jfile_close(f);
	assert_int_equal(byte_at(b, "journal/1-0", 0), 7);
	assert_int_equal(byte_at(b, "journal/1-0", 1), 0);
	assert_int_equal(byte_at(b, "journal/1-0", 598), 0);
	assert_int_equal(byte_at(b, "journal/1-0", 599), 8);
	all = bio_new_get("journal/1-0", 0, size * 2, false);
	assert_int_equal(bio_run(b, all), 0);
	assert_int_equal(bio_data(all)->len, size);
	again = bio_new_jopen("journal/1-0", size);
	assert_int_equal(bio_run(b, again), -EEXIST);
	f = jopen(b, "journal/1-0", 0);
	assert_int_equal(jwrite(b, f, 9, 1), 0);
	jfile_close(f);
	assert_int_equal(byte_at(b, "journal/1-0", 1), 9);
}

static void test_jopen_of_nothing(void **state)
{
	struct backend *b = *state;
	AUTO_BIO struct bio *r = bio_new_jopen("journal/none", 0);

	assert_int_equal(bio_run(b, r), -ENOENT);
	assert_int_equal(backend_get_state(b), BACKEND_UP);
}

static void test_failed_jopen_is_taken_back(void **state)
{
	struct backend *b = *state;
	AUTO_BIO struct bio *r = bio_new_jopen("j", 2 * DRV_BLOCK);

	add_rule(FAULT_ERROR, FAULT_OP_SYNC, "j");
	assert_int_equal(bio_run(b, r), -EIO);
	assert_int_equal(get_rc(b, "j"), -ENOENT);
}

/* Nobody asked for the handle: the last unref closes it. */
static void test_untaken_jfile_is_closed(void **state)
{
	struct backend *b = *state;
	AUTO_BIO struct bio *r = bio_new_jopen("j", DRV_BLOCK);

	assert_int_equal(bio_run(b, r), 0);
}

static void test_jwrites_keep_their_order(void **state) /* B2 */
{
	struct backend *b = *state;
	struct jfile *f = jopen(b, "j", 4 * DRV_BLOCK);
	struct bio *r[200];

	for (unsigned i = 0; i < ARRAY_LEN(r); i++)
		r[i] = submitted(b, new_jwrite(f, (uint8_t)i, i % 4));
	assert_int_equal(bio_wait_some(r, ARRAY_LEN(r), ARRAY_LEN(r), 0),
			 ARRAY_LEN(r));
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(byte_at(b, "j", i), 196 + i);
	for (unsigned i = 0; i < ARRAY_LEN(r); i++)
		bio_unref(r[i]);
	jfile_close(f);
}

static void test_failed_jwrite_ends_the_file(void **state) /* B3 */
{
	struct backend *b = *state;
	struct jfile *f = jopen(b, "j", 4 * DRV_BLOCK);
	struct fault_rule hang = {.kind = FAULT_HANG,
				  .ops = FAULT_OP_WRITE,
				  .prefix = "j",
				  .times = 1};
	struct bio *r[3];

	assert_int_equal(jwrite(b, f, 1, 0), 0);
	assert_int_equal(fault_add(PLACE, &hang), 0);
	r[0] = submitted(b, new_jwrite(f, 2, 1));
	wait_hits(1);
	r[1] = submitted(b, new_jwrite(f, 3, 2));
	r[2] = submitted(b, new_jwrite(f, 4, 3));
	assert_int_equal(bio_wait(r[0], in_ms(SHORT_MS)), -ETIMEDOUT);
	assert_int_equal(bio_wait(r[1], in_ms(LONG_MS)), -EIO);
	assert_int_equal(bio_wait(r[2], in_ms(LONG_MS)), -EIO);
	assert_int_equal(jwrite(b, f, 5, 2), -EIO);
	fault_clear(PLACE);
	(void)bio_wait(r[0], in_ms(LONG_MS));
	assert_int_equal(jwrite(b, f, 5, 2), -EIO);
	jfile_close(f);
	assert_int_equal(byte_at(b, "j", 2), 0);
	assert_int_equal(byte_at(b, "j", 3), 0);
	for (unsigned i = 0; i < 3; i++)
		bio_unref(r[i]);
}

static void test_jwrite_error_stops_later_ones(void **state) /* B3 */
{
	struct backend *b = *state;
	struct jfile *f = jopen(b, "j", 2 * DRV_BLOCK);
	struct jfile *other = jopen(b, "k", 2 * DRV_BLOCK);
	struct fault_rule bad = {.kind = FAULT_ERROR,
				 .ops = FAULT_OP_WRITE,
				 .prefix = "j",
				 .times = 1,
				 .err = EIO};

	assert_int_equal(fault_add(PLACE, &bad), 0);
	assert_int_equal(jwrite(b, f, 1, 0), -EIO);
	assert_int_equal(jwrite(b, f, 2, 1), -EIO);
	assert_int_equal(byte_at(b, "j", 1), 0);
	assert_int_equal(jwrite(b, other, 2, 1), 0);
	jfile_close(f);
	jfile_close(other);
}

static void test_jwrite_given_up_in_queue(void **state)
{
	struct backend *b = *state;
	struct jfile *f = jopen(b, "j", 4 * DRV_BLOCK);
	struct bio *r[3];

	add_rule(FAULT_HANG, FAULT_OP_WRITE, "j");
	for (unsigned i = 0; i < 3; i++)
		r[i] = submitted(b, new_jwrite(f, 1, i));
	assert_int_equal(bio_wait(r[2], in_ms(SHORT_MS)), -ETIMEDOUT);
	assert_int_equal(bio_wait(r[1], in_ms(LONG_MS)), -EIO);
	fault_clear(PLACE);
	assert_int_equal(bio_wait(r[0], in_ms(LONG_MS)), 0);
	assert_int_equal(byte_at(b, "j", 0), 1);
	assert_int_equal(byte_at(b, "j", 2), 0);
	jfile_close(f);
	for (unsigned i = 0; i < 3; i++)
		bio_unref(r[i]);
}

/* Bulk requests that hang or crawl never hold all lanes. */
static void test_journal_passes_bulk(void **state)
{
	struct backend *b = *state;
	struct jfile *f = jopen(b, "j", DRV_BLOCK);
	struct bio *r[BACKEND_LANES * 2];

	add_rule(FAULT_HANG, FAULT_OP_OPEN, "h");
	for (unsigned i = 0; i < ARRAY_LEN(r); i++)
		r[i] = submitted(b, bio_new_get("h", 0, 1, false));
	assert_int_equal(jwrite(b, f, 1, 0), 0);
	assert_int_equal(backend_probe(b, LONG_MS), 0);
	fault_clear(PLACE);
	for (unsigned i = 0; i < ARRAY_LEN(r); i++) {
		assert_int_equal(bio_wait(r[i], in_ms(LONG_MS)), -ENOENT);
		bio_unref(r[i]);
	}
	jfile_close(f);
}

static void test_going_down_breaks_queued_jwrites(void **state)
{
	struct backend *b = *state;
	struct jfile *f = jopen(b, "j", 4 * DRV_BLOCK);
	struct bio *r[2];

	add_rule(FAULT_HANG, FAULT_OP_WRITE, "j");
	r[0] = submitted(b, new_jwrite(f, 1, 0));
	wait_hits(1);
	r[1] = submitted(b, new_jwrite(f, 1, 1));
	backend_set_down(b, true);
	assert_int_equal(bio_wait(r[1], in_ms(LONG_MS)), -ERR_BACKEND_DOWN);
	assert_int_equal(jwrite(b, f, 1, 2), -ERR_BACKEND_DOWN);
	fault_clear(PLACE);
	assert_int_equal(bio_wait(r[0], in_ms(LONG_MS)), 0);
	backend_set_down(b, false);
	for (unsigned i = 0; i < BACKEND_STRIKES; i++)
		assert_int_equal(backend_probe(b, LONG_MS), 0);
	assert_int_equal(jwrite(b, f, 1, 1), -EIO);
	jfile_close(f);
	for (unsigned i = 0; i < 2; i++)
		bio_unref(r[i]);
}

static void test_jfile_closed_under_a_hung_write(void **state)
{
	struct backend *b = *state;
	struct jfile *f = jopen(b, "j", DRV_BLOCK);
	AUTO_BIO struct bio *r = NULL;

	add_rule(FAULT_HANG, FAULT_OP_WRITE, "j");
	r = submitted(b, new_jwrite(f, 1, 0));
	assert_int_equal(bio_wait(r, in_ms(SHORT_MS)), -ETIMEDOUT);
	jfile_close(f);
	fault_clear(PLACE);
	assert_int_equal(bio_wait(r, in_ms(LONG_MS)), 0);
	assert_int_equal(byte_at(b, "j", 0), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_jfile),
		CASE(test_jopen_of_nothing),
		CASE(test_failed_jopen_is_taken_back),
		CASE(test_untaken_jfile_is_closed),
		CASE(test_jwrites_keep_their_order),
		CASE(test_failed_jwrite_ends_the_file),
		CASE(test_jwrite_error_stops_later_ones),
		CASE(test_jwrite_given_up_in_queue),
		CASE(test_journal_passes_bulk),
		CASE(test_going_down_breaks_queued_jwrites),
		CASE(test_jfile_closed_under_a_hung_write),
	};

	return RUN_CASES(tests);
}
