/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers R1 and R2 are those on top of base/ranges.c. */
#include "base_test.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/ranges.h"
#include "base/rnd.h"

#define UNIVERSE 200 /* numbers in the model */
#define ROUNDS	 20000

static void check_invariants(const struct ranges *s)
{
	assert_true(s->n <= RANGES_MAX);
	for (uint32_t i = 0; i < s->n; i++) {
		assert_true(s->r[i].lo < s->r[i].hi); /* R1 */
		if (i)
			assert_true(s->r[i - 1].hi < s->r[i].lo); /* R2 */
	}
}

static void fill_to_the_brim(struct ranges *s)
{
	*s = (struct ranges){0};
	for (uint32_t i = 0; i < RANGES_MAX; i++)
		assert_int_equal(ranges_add(s, 10 * i, 10 * i + 5), 0);
	assert_int_equal(s->n, RANGES_MAX);
}

static void touching_ranges_become_one(void **state)
{
	struct ranges s = {0};

	(void)state;
	assert_int_equal(ranges_add(&s, 10, 20), 0);
	assert_int_equal(ranges_add(&s, 30, 40), 0);
	assert_int_equal(ranges_add(&s, 20, 30), 0);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.r[0].lo, 10);
	assert_int_equal(s.r[0].hi, 40);
}

static void a_cut_in_the_middle_splits(void **state)
{
	struct ranges s = {0};

	(void)state;
	assert_int_equal(ranges_add(&s, 0, 100), 0);
	assert_int_equal(ranges_cut(&s, 40, 60), 0);
	assert_int_equal(s.n, 2);
	assert_true(ranges_has(&s, 0, 40) && ranges_has(&s, 60, 100));
	assert_false(ranges_meets(&s, 40, 60));
	assert_int_equal(ranges_total(&s), 80);
}

static void an_add_that_does_not_fit_changes_nothing(void **state)
{
	struct ranges s, before;

	(void)state;
	fill_to_the_brim(&s);
	before = s;
	assert_int_equal(ranges_add(&s, 7, 8), -ENOSPC);
	assert_memory_equal(&s, &before, sizeof(s));
	/* growing one and joining two need no room */
	assert_int_equal(ranges_add(&s, 5, 6), 0);
	assert_int_equal(s.n, RANGES_MAX);
	assert_int_equal(ranges_add(&s, 6, 10), 0);
	assert_int_equal(s.n, RANGES_MAX - 1);
}

static void a_split_that_does_not_fit_changes_nothing(void **state)
{
	struct ranges s, before;

	(void)state;
	fill_to_the_brim(&s);
	before = s;
	assert_int_equal(ranges_cut(&s, 2, 3), -ENOSPC);
	assert_memory_equal(&s, &before, sizeof(s));
	/* cuts at an edge, or across one whole range, fit */
	assert_int_equal(ranges_cut(&s, 0, 1), 0);
	assert_int_equal(ranges_cut(&s, 12, 33), 0);
	assert_int_equal(s.n, RANGES_MAX - 1);
	check_invariants(&s);
}

static void the_ends_of_the_numbers_are_usable(void **state)
{
	struct ranges s = {0};

	(void)state;
	assert_int_equal(ranges_add(&s, UINT32_MAX - 1, UINT32_MAX), 0);
	assert_int_equal(ranges_add(&s, 0, 1), 0);
	assert_int_equal(s.n, 2);
	assert_int_equal(ranges_add(&s, 0, UINT32_MAX), 0);
	assert_int_equal(s.n, 1);
	assert_int_equal(ranges_total(&s), UINT32_MAX);
	assert_int_equal(ranges_cut(&s, 0, UINT32_MAX), 0);
	assert_int_equal(s.n, 0);
}

static void empty_questions_have_answers(void **state)
{
	struct ranges s = {0};

	(void)state;
	assert_true(ranges_has(&s, 5, 5));
	assert_false(ranges_meets(&s, 5, 5));
	assert_int_equal(ranges_add(&s, 0, 10), 0);
	assert_false(ranges_meets(&s, 5, 5));
	assert_int_equal(ranges_cut(&s, 5, 5), 0);
	assert_int_equal(s.n, 1);
}

static uint32_t runs_in(const bool *map)
{
	uint32_t runs = 0;

	for (int i = 0; i < UNIVERSE; i++)
		runs += map[i] && (i == 0 || !map[i - 1]);
	return runs;
}

static uint32_t members(const bool *map, uint32_t lo, uint32_t hi)
{
	uint32_t n = 0;

	for (uint32_t i = lo; i < hi; i++)
		n += map[i];
	return n;
}

static void draw(uint32_t *lo, uint32_t *hi)
{
	*lo = (uint32_t)rnd_below(UNIVERSE);
	*hi = *lo + 1 + (uint32_t)rnd_below(MIN(UNIVERSE - *lo, 20u));
}

static void compare_with_map(const struct ranges *s, const bool *map)
{
	uint32_t lo, hi, n;

	check_invariants(s);
	assert_int_equal(s->n, runs_in(map));
	assert_int_equal(ranges_total(s), members(map, 0, UNIVERSE));
	draw(&lo, &hi);
	n = members(map, lo, hi);
	assert_int_equal(ranges_has(s, lo, hi), n == hi - lo);
	assert_int_equal(ranges_meets(s, lo, hi), n > 0);
}

/* One random operation on both; true when the set had no room for it. */
static bool step(struct ranges *s, bool *map)
{
	bool add = rnd_below(2), next[UNIVERSE];
	struct ranges before = *s;
	uint32_t lo, hi;
	int rc;

	draw(&lo, &hi);
	memcpy(next, map, sizeof(next));
	memset(next + lo, add, hi - lo);
	rc = add ? ranges_add(s, lo, hi) : ranges_cut(s, lo, hi);
	if (runs_in(next) > RANGES_MAX) {
		assert_int_equal(rc, -ENOSPC);
		assert_memory_equal(s, &before, sizeof(before));
		return true;
	}
	assert_int_equal(rc, 0);
	memcpy(map, next, sizeof(next));
	return false;
}

static void a_bitmap_agrees(void **state)
{
	struct ranges s = {0};
	bool map[UNIVERSE] = {false};
	int refused = 0;

	(void)state;
	rnd_seed(test_seed());
	for (int i = 0; i < ROUNDS; i++) {
		refused += step(&s, map);
		compare_with_map(&s, map);
	}
	/* else the full case was not tested at all */
	assert_true(refused > 0);
	rnd_unseed();
}

static void add_backwards(void)
{
	struct ranges s = {0};

	(void)ranges_add(&s, 5, 5);
}

static void adding_nothing_is_a_bug(void **state)
{
	(void)state;
	assert_true(aborts(add_backwards));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(touching_ranges_become_one),
		cmocka_unit_test(a_cut_in_the_middle_splits),
		cmocka_unit_test(an_add_that_does_not_fit_changes_nothing),
		cmocka_unit_test(a_split_that_does_not_fit_changes_nothing),
		cmocka_unit_test(the_ends_of_the_numbers_are_usable),
		cmocka_unit_test(empty_questions_have_answers),
		cmocka_unit_test(a_bitmap_agrees),
		cmocka_unit_test(adding_nothing_is_a_bug),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
