/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/base/base_test.h"

#include "backend/placement.h"
#include "base/rnd.h"

#define GIB (1ull << 30)

static void geometry_follows_who_is_up(void **state)
{
	static const struct {
		unsigned u, k, m, want_k, want_m;
	} rows[] = {
		{6, 4, 2, 4, 2},  {9, 4, 2, 4, 2},   {5, 4, 2, 3, 2},
		{4, 4, 2, 2, 2},  {3, 4, 2, 1, 2},   {2, 4, 2, 1, 1},
		{1, 4, 2, 1, 0},  {0, 4, 2, 0, 0},   {1, 1, 1, 1, 0},
		{2, 1, 1, 1, 1},  {2, 2, 1, 1, 1},   {1, 3, 0, 1, 0},
		{2, 3, 0, 2, 0},  {12, 10, 3, 9, 3}, {3, 10, 3, 1, 2},
		{4, 10, 3, 1, 3},
	};
	unsigned k, m;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		placement_geometry(rows[i].u, rows[i].k, rows[i].m, &k, &m);
		assert_int_equal(k, rows[i].want_k);
		assert_int_equal(m, rows[i].want_m);
		assert_true(k + m <= rows[i].u);
	}
}

/* Each slot at most once, all of them candidates with room. */
static void check_choice(const struct place_candidate *c, unsigned n,
			 const unsigned *slot, unsigned want, uint64_t need)
{
	uint64_t seen = 0;

	for (unsigned i = 0; i < want; i++) {
		bool found = false;

		assert_false(seen >> slot[i] & 1);
		seen |= 1ull << slot[i];
		for (unsigned j = 0; j < n; j++)
			found |=
				c[j].slot == slot[i] && c[j].free_bytes >= need;
		assert_true(found);
	}
}

static unsigned most_in_domain(const struct place_candidate *c, unsigned n,
			       const unsigned *slot, unsigned want)
{
	unsigned most = 0;

	for (unsigned j = 0; j < n; j++) {
		unsigned same = 0;

		for (unsigned i = 0; i < want; i++)
			for (unsigned l = 0; l < n; l++)
				same += c[l].slot == slot[i] &&
					c[l].domain == c[j].domain;
		most = same > most ? same : most;
	}
	return most;
}

static void domains_share_at_most_m(void **state)
{
	struct place_candidate c[9];
	unsigned slot[9];

	(void)state;
	rnd_seed(test_seed());
	/* three disks with three folders each, the first one huge */
	for (unsigned i = 0; i < 9; i++)
		c[i] = (struct place_candidate){
			20 + i, i < 3 ? 1000 * GIB : GIB, i / 3};
	for (unsigned round = 0; round < 300; round++) {
		assert_int_equal(placement_choose(c, 9, 6, 2, 1, slot), 0);
		check_choice(c, 9, slot, 6, 1);
		assert_int_equal(most_in_domain(c, 9, slot, 6), 2);
	}
	rnd_unseed();
}

static void too_few_domains_share_as_little_as_possible(void **state)
{
	struct place_candidate c[8];
	unsigned slot[8];

	(void)state;
	rnd_seed(test_seed());
	for (unsigned i = 0; i < 8; i++)
		c[i] = (struct place_candidate){i, GIB, i < 4};
	for (unsigned round = 0; round < 100; round++) {
		assert_int_equal(placement_choose(c, 8, 6, 2, 1, slot), 0);
		check_choice(c, 8, slot, 6, 1);
		assert_int_equal(most_in_domain(c, 8, slot, 6), 3);
		/* m = 0 knows no share, but still spreads */
		assert_int_equal(placement_choose(c, 8, 2, 0, 1, slot), 0);
		assert_int_equal(most_in_domain(c, 8, slot, 2), 1);
	}
	rnd_unseed();
}

static void more_space_is_chosen_more_often(void **state)
{
	struct place_candidate c[3] = {
		{0, 80 * GIB, 0}, {1, 20 * GIB, 1}, {2, 0, 2}};
	unsigned hits[3] = {0}, slot[1];

	(void)state;
	rnd_seed(test_seed());
	for (unsigned round = 0; round < 10000; round++) {
		assert_int_equal(placement_choose(c, 3, 1, 1, 1, slot), 0);
		hits[slot[0]]++;
	}
	assert_int_equal(hits[2], 0);
	assert_in_range(hits[0], 7700, 8300);
	rnd_unseed();
}

static void extreme_sizes_do_not_overflow(void **state)
{
	struct place_candidate c[64];
	unsigned slot[64];

	(void)state;
	for (unsigned i = 0; i < 64; i++)
		c[i] = (struct place_candidate){i, UINT64_MAX, i};
	assert_int_equal(placement_choose(c, 64, 64, 1, UINT64_MAX, slot), 0);
	check_choice(c, 64, slot, 64, UINT64_MAX);
	for (unsigned i = 0; i < 64; i++)
		c[i].free_bytes = 0;
	assert_int_equal(placement_choose(c, 64, 64, 1, 0, slot), 0);
	check_choice(c, 64, slot, 64, 0);
}

static void too_few_with_room_is_enospc(void **state)
{
	struct place_candidate c[3] = {{0, 10, 0}, {1, 20, 1}, {2, 30, 2}};
	unsigned slot[3];

	(void)state;
	assert_int_equal(placement_choose(c, 3, 2, 1, 20, slot), 0);
	assert_int_equal(placement_choose(c, 3, 2, 1, 21, slot), -ENOSPC);
	assert_int_equal(placement_choose(c, 3, 4, 1, 0, slot), -ENOSPC);
	assert_int_equal(placement_choose(c, 0, 1, 1, 0, slot), -ENOSPC);
	assert_int_equal(placement_choose(c, 0, 0, 1, 0, slot), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(geometry_follows_who_is_up),
		cmocka_unit_test(domains_share_at_most_m),
		cmocka_unit_test(too_few_domains_share_as_little_as_possible),
		cmocka_unit_test(more_space_is_chosen_more_often),
		cmocka_unit_test(extreme_sizes_do_not_overflow),
		cmocka_unit_test(too_few_with_room_is_enospc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
