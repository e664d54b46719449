/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rnd.h"
#include "cache/cache_tree.h"

#define KEYS 512

/* T1, depth on the way. */
static unsigned check(const struct tree_node *n, uint64_t lo, uint64_t hi)
{
	unsigned left, right;

	if (!n)
		return 0;
	assert_true(n->key >= lo && n->key < hi);
	left = check(n->left, lo, n->key);
	right = check(n->right, n->key + 1, hi);
	return 1 + MAX(left, right);
}

static void expect_like(const struct cache_tree *t, const bool *in)
{
	uint64_t next = KEYS;

	for (uint64_t key = KEYS; key-- > 0;) {
		const struct tree_node *n;

		if (in[key])
			next = key;
		n = cache_tree_from(t, key);
		if (next == KEYS)
			assert_null(n);
		else
			assert_int_equal(n->key, next);
	}
	assert_null(cache_tree_from(t, KEYS));
}

static void random_order_matches_a_table(void **state)
{
	static struct tree_node node[KEYS];
	bool in[KEYS] = {false};
	struct cache_tree t = {.salt = 0};

	(void)state;
	print_message("seed=1\n");
	rnd_seed(1);
	t.salt = rnd_u64();
	for (unsigned step = 0; step < 4000; step++) {
		uint64_t key = rnd_below(KEYS);

		if (in[key])
			cache_tree_remove(&t, &node[key]);
		else
			cache_tree_insert(&t, &node[key], key);
		in[key] = !in[key];
		check(t.root, 0, KEYS);
		if (step % 50 == 0)
			expect_like(&t, in);
	}
	rnd_unseed();
}

static void rising_keys_stay_shallow(void **state)
{
	enum {
		MANY = 20000
	};
	static struct tree_node node[MANY];
	struct cache_tree t = {.salt = 42};
	unsigned depth;

	(void)state;
	for (uint64_t i = 0; i < MANY; i++)
		cache_tree_insert(&t, &node[i], i);
	depth = check(t.root, 0, MANY);
	assert_true(depth < 60);
	for (uint64_t i = 0; i < MANY; i++)
		cache_tree_remove(&t, &node[i]);
	assert_null(t.root);
}

static void largest_key(void **state)
{
	struct cache_tree t = {.salt = 7};
	struct tree_node a, b;

	(void)state;
	cache_tree_insert(&t, &a, UINT64_MAX);
	cache_tree_insert(&t, &b, 0);
	assert_ptr_equal(cache_tree_from(&t, 0), &b);
	assert_ptr_equal(cache_tree_from(&t, 1), &a);
	cache_tree_remove(&t, &b);
	assert_ptr_equal(cache_tree_from(&t, 0), &a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_order_matches_a_table),
		cmocka_unit_test(rising_keys_stay_shallow),
		cmocka_unit_test(largest_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
