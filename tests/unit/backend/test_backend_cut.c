/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place that is cut off: nothing in it changes any more, whatever was queued
 * or had begun.
 */
#include "backend_kit.h"

static void nothing_changes(void **state)
{
	struct backend *b = *state;
	struct jfile *f = jopen(b, "journal/a", 4 * DRV_BLOCK);

	assert_int_equal(put(b, "d/a", "hello"), 0);
	assert_int_equal(jwrite(b, f, 7, 0), 0);
	backend_cut(b);
	/* Before it is taken out of service, too. */
	assert_int_equal(put(b, "d/b", "other"), -EIO);
	assert_int_equal(jwrite(b, f, 8, 1), -EIO);
	expect_text(b, "d/a", "hello");
	assert_int_equal(byte_at(b, "journal/a", 1), 0);
	assert_true(backend_still(b, LONG_MS));
	assert_int_equal(backend_get_state(b), BACKEND_DOWN);
	assert_int_equal(put(b, "d/b", "other"), -ERR_BACKEND_DOWN);
	for (int i = 0; i < 2 * BACKEND_STRIKES; i++)
		(void)backend_probe(b, LONG_MS);
	assert_int_equal(backend_get_state(b), BACKEND_DOWN);
	assert_true(backend_still(b, LONG_MS));
	jfile_close(f);
}

static int rename_rc(struct backend *b)
{
	AUTO_BIO struct bio *r = bio_new_rename("d/a", "d/b");

	return bio_run(b, r);
}

static int create_rc(struct backend *b)
{
	AUTO_BIO struct bio *r = bio_new_jopen("journal/b", DRV_BLOCK);

	return bio_run(b, r);
}

static void neither_renamed_nor_created(void **state)
{
	struct backend *b = *state;

	assert_int_equal(put(b, "d/a", "hello"), 0);
	backend_cut(b);
	assert_int_equal(rename_rc(b), -EIO);
	assert_int_equal(create_rc(b), -EIO);
	expect_text(b, "d/a", "hello");
	assert_int_equal(get_rc(b, "journal/b"), -ENOENT);
}

/* What hangs in its first call does not make its second. */
static void a_hang_does_not_go_on(void **state)
{
	struct backend *b = *state;
	AUTO_BIO struct bio *r = new_put("d/a", "hello");
	AUTO_BIO struct bio *queued = new_put("d/b", "other");

	add_rule(FAULT_HANG, FAULT_OP_CREATE, "d/a");
	submitted(b, r);
	wait_hits(1);
	backend_cut(b);
	submitted(b, queued);
	assert_false(backend_still(b, SHORT_MS));
	fault_clear(PLACE);
	assert_true(backend_still(b, LONG_MS));
	assert_int_equal(bio_wait(r, 0), -EIO);
	assert_true(bio_wait(queued, 0) < 0);
	backend_close(b, LONG_MS);
	assert_int_equal(backend_open(PLACE, LONG_MS, &b), 0);
	*state = b;
	expect_text(b, "d/a", ""); /* created, and no more */
	assert_int_equal(get_rc(b, "d/b"), -ENOENT);
}

/* backend_still returns only after what was under way has ended. */
static void what_had_begun_ends(void **state)
{
	struct fault_rule slow = {.kind = FAULT_DELAY,
				  .ops = FAULT_OP_WRITE,
				  .prefix = "",
				  .ms = 100};
	struct backend *b = *state;
	AUTO_BIO struct bio *r = new_put("d/a", "hello");
	int rc = 1;

	assert_int_equal(fault_add(PLACE, &slow), 0);
	submitted(b, r);
	wait_hits(1);
	backend_cut(b);
	assert_true(backend_still(b, LONG_MS));
	assert_true(bio_wait(r, 0) != 0); /* its sync was refused */
	assert_true(bio_done(r, &rc));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(nothing_changes),
		CASE(neither_renamed_nor_created),
		CASE(a_hang_does_not_go_on),
		CASE(what_had_begun_ends),
	};

	return RUN_CASES(tests);
}
