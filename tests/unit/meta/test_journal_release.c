/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal lets go: release, recycling, the end of its life. Inline mode.
 * Numbers (J1, C2 ...) are those of journal.c.
 */
#include "unit/meta/journal_kit.h"

static void test_release_recycles(void **state)
{
	struct kit *k = kit_new(3, 1);
	struct journal_stats st;
	static struct kit_dir d;

	(void)state;
	kit_start(k);
	for (unsigned i = 0; i < 300; i++) {
		kit_append(k, 1);
		if (i % 10 == 9)
			kit_release(k, k->acked - rnd_below(4));
		kit_check_each(k, 3);
		/* in use, recycled, prepared */
		journal_get_stats(k->j, &st);
		kit_list(k, 0, &d);
		assert_true(d.n <= 2 + 20);
	}
	kit_release(k, k->acked);
	journal_get_stats(k->j, &st);
	assert_int_equal(st.used_bytes, 0);
	kit_list(k, 0, &d);
	assert_true(d.n <= 2);
	kit_append(k, 3);
	kit_check_each(k, 3);
	kit_free(k);
}

/* What was in a recycled file never comes back, wherever a scan begins. */
static void test_recycled_stays_gone(void **state)
{
	struct kit *k = kit_new(2, 1);

	(void)state;
	k->max_len = 3000;
	kit_start(k);
	for (unsigned i = 0; i < 200; i++) {
		struct journal_scan_result r;

		kit_append(k, 1);
		if (i % 7 == 6)
			kit_release(k, k->acked - 1);
		/* Older ones may be found, but only as one chain. */
		for (uint64_t from = k->acked > 12 ? k->acked - 12 : 1;
		     from <= k->acked + 1; from++) {
			assert_int_equal(kit_try_scan(k, 1 + i % 2, from, &r),
					 0);
			if (from > k->covered)
				assert_int_equal(r.last_seq, k->acked);
			else
				assert_true(r.last_seq == k->acked ||
					    r.records == 0);
			assert_false(from > k->covered && r.lost);
		}
	}
	kit_free(k);
}

/* The file that an append is about to use stays. */
static void test_release_during_append(void **state)
{
	struct kit *k = kit_new(2, 1);

	(void)state;
	kit_start(k);
	kit_append(k, 2);
	k->j->appending = true;
	kit_release(k, 2);
	assert_non_null(k->j->current);
	k->j->appending = false;
	kit_release(k, 2);
	assert_null(k->j->current);
	kit_append(k, 2);
	kit_check_each(k, 3);
	kit_free(k);
}

/* Every request from the i-th on fails, on all members: as if it had died. */
static bool die_at(uint64_t i)
{
	struct kit *k = kit_new(4, 1);
	bool died = false;

	k->max_len = 6000;
	kit_start(k);
	for (unsigned slot = 0; slot < 4; slot++)
		kit_fault(k, slot,
			  (struct fault_rule){.kind = i % 3 ? FAULT_ERROR
							    : FAULT_TORN,
					      .err = EIO,
					      .skip = i});
	for (unsigned n = 0; n < 40 && !died; n++) {
		died = kit_try_append(k) != 0;
		if (!died && n % 9 == 8)
			kit_release(k, k->acked - 2);
	}
	check_healthy(k);
	kit_stop(k);
	kit_check(k, KIT_ALL);
	for (unsigned slot = 0; slot < 4; slot++) /* any m of them gone */
		kit_check(k, KIT_ALL & ~(1u << slot));
	kit_free(k);
	return died;
}

static void test_death_at_every_request(void **state)
{
	uint64_t i = 0;

	(void)state;
	while (die_at(i) && i < 400)
		i++;
	assert_in_range(i, 30, 399);
}

static unsigned count_salts(struct kit *k, unsigned slot,
			    uint8_t (*salt)[KEY_SALT])
{
	static struct kit_dir d;
	unsigned n = 0;

	kit_list(k, slot, &d);
	for (unsigned i = 0; i < d.n; i++) {
		uint8_t block[JOURNAL_BLOCK];
		struct journal_head h;

		kit_read(k, slot, d.at[i].name, block, sizeof(block), 0);
		if (journal_codec_get_head(&k->pool, block, sizeof(block), &h))
			continue;
		memcpy(salt[n++], h.salt, KEY_SALT);
	}
	return n;
}

static void test_new_salt_for_a_new_life(void **state)
{
	uint8_t a[64][KEY_SALT], b[64][KEY_SALT];
	struct kit *k = kit_new(1, 0);
	unsigned n, more;

	(void)state;
	k->file_max = k->file_min;
	k->max_len = 8000;
	kit_start(k);
	kit_append(k, 8);
	kit_release(k, k->acked);
	kit_append(k, 1);
	n = count_salts(k, 0, a);
	assert_true(n > 0);
	for (unsigned round = 0; round < 5; round++) {
		kit_append(k, 8);
		kit_release(k, k->acked);
	}
	kit_append(k, 1);
	more = count_salts(k, 0, b);
	for (unsigned i = 0; i < n; i++) {
		for (unsigned x = 0; x < more; x++)
			assert_memory_not_equal(a[i], b[x], KEY_SALT);
	}
	kit_free(k);
}

/* Recycled files are used: after a while none is made any more. */
static void test_steady_state_makes_no_files(void **state)
{
	struct kit *k = kit_new(2, 1);

	(void)state;
	k->file_max = k->file_min = 65536;
	k->max_len = 3000;
	kit_start(k);
	for (unsigned i = 0; i < 60; i++) {
		kit_append(k, 2);
		kit_release(k, k->acked - 1);
	}
	for (unsigned s = 0; s < 2; s++)
		kit_fault(k, s,
			  (struct fault_rule){.kind = FAULT_ERROR,
					      .err = EIO,
					      .ops = FAULT_OP_CREATE});
	for (unsigned i = 0; i < 60; i++) {
		kit_append(k, 2);
		kit_release(k, k->acked - 1);
		kit_check_each(k, 3);
	}
	assert_int_equal(fault_hits(k->loc[0]), 0);
	kit_free(k);
}

static void test_free_removes(void **state)
{
	struct kit *k = kit_new(4, 1);

	(void)state;
	kit_start(k);
	kit_append(k, 30);
	kit_fault(k, 1,
		  (struct fault_rule){.kind = FAULT_ERROR,
				      .err = EIO,
				      .ops = FAULT_OP_WRITE,
				      .times = 1});
	kit_append(k, 30);
	kit_release(k, 40);
	kit_append(k, 3);
	journal_free(steal(&k->j), true);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(kit_count_files(k, i), 0);
	kit_free(k);
}

static void test_free_in_every_state(void **state)
{
	(void)state;
	for (unsigned records = 0; records < 12; records++) {
		struct kit *k = kit_new(3, 1);

		kit_start(k);
		kit_append(k, records);
		kit_release(k, records / 2);
		journal_free(steal(&k->j), true);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(kit_count_files(k, i), 0);
		kit_free(k);
	}
	journal_free(NULL, true);
}

static int inline_on(void **state)
{
	(void)state;
	workq_inline(true);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_release_recycles),
		cmocka_unit_test(test_recycled_stays_gone),
		cmocka_unit_test(test_release_during_append),
		cmocka_unit_test(test_death_at_every_request),
		cmocka_unit_test(test_new_salt_for_a_new_life),
		cmocka_unit_test(test_steady_state_makes_no_files),
		cmocka_unit_test(test_free_removes),
		cmocka_unit_test(test_free_in_every_state),
	};

	return cmocka_run_group_tests(tests, inline_on, NULL);
}
