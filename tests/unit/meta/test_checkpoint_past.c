/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which older checkpoints are kept, and the lists they are made of.
 */
#include "unit/meta/checkpoint_kit.h"

#define SECOND 1000000000LL
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define NOW    (1000 * DAY)

/* ages: newest first, in the order of the list; expected: numbers. */
static void expect(const int64_t *age, unsigned n, bool scarce,
		   const unsigned *want, unsigned wanted)
{
	int64_t created[16];
	unsigned got[MANIFEST_KEPT], kept;

	for (unsigned i = 0; i < n; i++)
		created[i] = NOW - age[i];
	kept = checkpoint_select(created, n, NOW, scarce, got);
	assert_int_equal(kept, wanted);
	for (unsigned i = 0; i < kept; i++)
		assert_int_equal(got[i], want[i]);
}

#define LIST(...)                       \
	(const int64_t[]){__VA_ARGS__}, \
		sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)
#define WANT(...)                        \
	(const unsigned[]){__VA_ARGS__}, \
		sizeof((unsigned[]){__VA_ARGS__}) / sizeof(unsigned)

static void test_select(void **state)
{
	unsigned got[MANIFEST_KEPT];

	(void)state;
	assert_int_equal(checkpoint_select(NULL, 0, NOW, false, got), 0);
	expect(LIST(MINUTE), false, WANT(0));
	/* however old the newest is */
	expect(LIST(50 * DAY), false, WANT(0));
	expect(LIST(MINUTE, 2 * MINUTE), false, WANT(0, 1));
	expect(LIST(MINUTE, 2 * MINUTE, 3 * MINUTE), false, WANT(0, 2));
	expect(LIST(MINUTE, 50 * MINUTE, 70 * MINUTE), false, WANT(0, 1, 2));
	expect(LIST(MINUTE, 59 * MINUTE, 23 * HOUR, 6 * DAY), false,
	       WANT(0, 1, 2, 3));
	expect(LIST(MINUTE, 2 * MINUTE, 59 * MINUTE, 5 * HOUR, 23 * HOUR,
		    2 * DAY, 6 * DAY, 8 * DAY),
	       false, WANT(0, 2, 4, 6));
	/* the edges belong to it */
	expect(LIST(MINUTE, HOUR, DAY, 7 * DAY), false, WANT(0, 1, 2, 3));
	expect(LIST(MINUTE, HOUR + 1, DAY + 1, 7 * DAY + 1), false,
	       WANT(0, 1, 2));
}

static void test_select_scarce(void **state)
{
	(void)state;
	expect(LIST(MINUTE, 59 * MINUTE, 23 * HOUR), true, WANT(0));
}

static void test_select_with_jumping_clock(void **state)
{
	unsigned got[MANIFEST_KEPT];
	int64_t extreme[] = {INT64_MAX, INT64_MIN, 0};

	(void)state;
	/* made in the future: the clock was put back */
	expect(LIST(-DAY, -2 * DAY), false, WANT(0));
	expect(LIST(MINUTE, -400 * DAY, 30 * MINUTE), false, WANT(0, 2));
	expect(LIST(-MINUTE, 30 * MINUTE, -DAY), false, WANT(0, 1));
	assert_int_equal(checkpoint_select(extreme, 3, INT64_MAX, false, got),
			 1);
	assert_int_equal(checkpoint_select(extreme, 3, INT64_MIN, false, got),
			 2);
}

/* None is older than a week; most of the time there is one of days ago. */
static void test_select_over_time(void **state)
{
	struct {
		int64_t created[MANIFEST_KEPT + 1];
		unsigned n;
	} list = {.n = 0};
	int64_t now = NOW;
	unsigned long_ago = 0;

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		unsigned got[MANIFEST_KEPT], kept;
		int64_t next[MANIFEST_KEPT];

		kept = checkpoint_select(list.created, list.n, now, false, got);
		assert_true(kept <= 4);
		for (unsigned j = 0; j < kept; j++)
			next[j] = list.created[got[j]];
		if (i > 100) {
			assert_true(now - next[0] == MINUTE);
			assert_true(now - next[kept - 1] <= 7 * DAY);
		}
		long_ago += i > 0 && now - next[kept - 1] > DAY;
		list.created[0] = now;
		memcpy(list.created + 1, next, kept * sizeof(next[0]));
		list.n = kept + 1;
		now += MINUTE;
	}
	assert_true(long_ago > 20000 / 2);
}

static void test_lists(void **state)
{
	struct desc_list l = {0};
	struct stripe_set s = {0};
	struct seg_desc d = {0};

	(void)state;
	stripe_set_sort(&s);
	assert_false(stripe_set_has(&s, &d));
	for (uint64_t i = 0; i < 1000; i++) {
		d.stripe.v = i * 0x9e3779b97f4a7c15u;
		OK(desc_list_add(&l, &d));
	}
	OK(stripe_set_add(&s, &l));
	stripe_set_sort(&s);
	for (uint64_t i = 0; i < 1000; i++) {
		d.stripe.v = i * 0x9e3779b97f4a7c15u;
		assert_true(stripe_set_has(&s, &d));
		d.stripe.v++;
		assert_false(stripe_set_has(&s, &d));
	}
	desc_list_release(&l);
	stripe_set_release(&s);
}

static void test_lists_without_memory(void **state)
{
	struct desc_list l = {0};
	struct seg_desc d = {.stripe = {7}};
	struct stripe_set s = {0};

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		OK(desc_list_add(&l, &d));
	mem_fail_at(1, 1);
	assert_int_equal(desc_list_add(&l, &d), -ENOMEM);
	assert_int_equal(l.n, 8);
	assert_int_equal(stripe_set_add(&s, &l), -ENOMEM);
	mem_fail_at(0, 0);
	OK(desc_list_add(&l, &d));
	assert_int_equal(l.n, 9);
	desc_list_release(&l);
	stripe_set_release(&s);
}

/* What was dropped once is not kept again. */
static void test_dropped_stays_dropped(void **state)
{
	struct past past[3] = {{.created_ns = NOW - MINUTE, .kept = false},
			       {.created_ns = NOW - 2 * MINUTE, .kept = true},
			       {.created_ns = NOW - 3 * MINUTE}};
	struct checkpoint ck = {.past = past, .pasts = 3};
	struct manifest m = {.created_ns = NOW};

	(void)state;
	OK(checkpoint_keep(&ck, &m, false));
	assert_int_equal(m.kept, 1);
	assert_int_equal(m.keep[0].created_ns, NOW - 2 * MINUTE);
	ck.base.regions = 1;
	ck.base.created_ns = NOW - SECOND;
	OK(checkpoint_keep(&ck, &m, false));
	assert_int_equal(m.kept, 2);
	assert_int_equal(m.keep[0].created_ns, NOW - SECOND);
	assert_int_equal(m.keep[1].created_ns, NOW - 2 * MINUTE);
	OK(checkpoint_keep(&ck, &m, true));
	assert_int_equal(m.kept, 1);
	ck.base.regions = 0;
	ck.pasts = 0;
	OK(checkpoint_keep(&ck, &m, false));
	assert_int_equal(m.kept, 0);
}

/* ---- over time, with a pool ---- */

static void test_history_of_a_pool(void **state)
{
	struct kit *k = kit_new(3, 1);

	(void)state;
	rnd_seed(test_seed());
	kit_set_time(NOW);
	workq_inline(true);
	kit_make(k);
	kit_mount(k);
	for (unsigned i = 0; i < 60; i++) {
		kit_now += 5 * HOUR;
		kit_add_files(k, 5);
		kit_run(k);
		if (i % 20 == 19) {
			kit_crash(k);
			kit_mount(k);
		}
	}
	assert_int_equal(k->ck->base.kept, 3); /* no two in an hour */
	for (unsigned i = 0; i < k->ck->base.kept; i++) {
		const struct manifest_kept *kept = &k->ck->base.keep[i];
		struct manifest m;

		OK(manifest_load(k->store, &kept->ref, &m, NULL));
		assert_int_equal(m.created_ns, kept->created_ns);
		free(kit_pool_regions(k, &m));
		manifest_release(&m);
	}
	assert_true(kit_now - k->ck->base.keep[2].created_ns > 2 * DAY);
	kit_free(k);
	workq_inline(false);
	rnd_unseed();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_select),
		cmocka_unit_test(test_select_scarce),
		cmocka_unit_test(test_select_with_jumping_clock),
		cmocka_unit_test(test_select_over_time),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_lists_without_memory),
		cmocka_unit_test(test_dropped_stays_dropped),
		cmocka_unit_test(test_history_of_a_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
