/* SPDX-License-Identifier: Apache-2.0 */
#include "base_test.h"

#include <errno.h>
#include <string.h>

#include "base/htab.h"
#include "base/mem.h"
#include "base/rnd.h"

#define ENTRIES 1000
#define KEYS	300 /* fewer than entries: keys repeat */
#define ROUNDS	20000

struct item {
	struct hnode node;
	bool in;
	bool visited;
};

static int seam_off(void **state)
{
	(void)state;
	mem_fail_at(0, 0);
	rnd_unseed();
	return 0;
}

static struct item *item_of(struct hnode *n)
{
	return container_of(n, struct item, node);
}

static void insert_all(struct htab *t, struct item *items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		htab_insert(t, &items[i].node, i);
}

static void find_all(const struct htab *t, const struct item *items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_ptr_equal(htab_find(t, i), &items[i].node);
}

static void an_empty_table_has_nothing(void **state)
{
	struct htab t;

	(void)state;
	assert_int_equal(htab_init(&t), 0);
	assert_null(htab_find(&t, 0));
	assert_null(htab_first(&t));
	htab_release(&t);
}

static void no_memory_is_reported(void **state)
{
	struct htab t;

	(void)state;
	mem_fail_at(1, 0);
	assert_int_equal(htab_init(&t), -ENOMEM);
	htab_release(&t);
}

static void it_grows_with_its_entries(void **state)
{
	static struct item items[ENTRIES];
	struct htab t;

	(void)state;
	assert_int_equal(htab_init(&t), 0);
	insert_all(&t, items, ENTRIES);
	assert_int_equal(t.count, ENTRIES);
	assert_true(t.mask + 1 >= ENTRIES);
	find_all(&t, items, ENTRIES);
	assert_null(htab_find(&t, ENTRIES));
	htab_release(&t);
}

static void growth_without_memory_only_costs_time(void **state)
{
	static struct item items[ENTRIES];
	struct htab t;

	(void)state;
	assert_int_equal(htab_init(&t), 0);
	mem_fail_at(1, 1);
	insert_all(&t, items, ENTRIES - 1);
	assert_true(t.mask + 1 < ENTRIES / 2);
	find_all(&t, items, ENTRIES - 1);
	/* and it is made up for */
	mem_fail_at(0, 0);
	htab_insert(&t, &items[ENTRIES - 1].node, ENTRIES - 1);
	find_all(&t, items, ENTRIES);
	htab_release(&t);
}

static void iteration_survives_removal(void **state)
{
	static struct item items[100];
	unsigned visits = 0;
	struct htab t;

	(void)state;
	assert_int_equal(htab_init(&t), 0);
	insert_all(&t, items, 100);
	for (struct hnode *n = htab_first(&t); n; n = htab_next(&t, n)) {
		assert_false(item_of(n)->visited);
		item_of(n)->visited = true;
		visits++;
		if (n->key % 3)
			htab_remove(&t, n);
	}
	assert_int_equal(visits, 100);
	assert_int_equal(t.count, 34);
	for (uint64_t key = 0; key < 100; key++)
		assert_int_equal(htab_find(&t, key) != NULL, key % 3 == 0);
	htab_release(&t);
}

static void remove_absent(void)
{
	struct hnode n = {.key = 1};
	struct htab t;

	(void)htab_init(&t);
	htab_remove(&t, &n);
}

static void removing_what_is_not_there_is_a_bug(void **state)
{
	(void)state;
	assert_true(aborts(remove_absent));
}

static unsigned table_count(const struct htab *t, uint64_t key)
{
	unsigned n = 0;

	for (struct hnode *e = htab_find(t, key); e; e = htab_find_next(e)) {
		assert_true(e->key == key);
		assert_true(item_of(e)->in);
		n++;
	}
	return n;
}

static unsigned model_count(const struct item *items, uint64_t key)
{
	unsigned n = 0;

	for (int i = 0; i < ENTRIES; i++)
		n += items[i].in && items[i].node.key == key;
	return n;
}

static void check_iteration(const struct htab *t, struct item *items)
{
	size_t visits = 0;

	for (int i = 0; i < ENTRIES; i++)
		items[i].visited = false;
	for (struct hnode *n = htab_first(t); n; n = htab_next(t, n)) {
		assert_true(item_of(n)->in);
		assert_false(item_of(n)->visited);
		item_of(n)->visited = true;
		visits++;
	}
	assert_int_equal(visits, t->count);
}

static void toggle(struct htab *t, struct item *item)
{
	if (item->in)
		htab_remove(t, &item->node);
	else
		htab_insert(t, &item->node, rnd_below(KEYS));
	item->in = !item->in;
}

static void a_model_agrees(void **state)
{
	static struct item items[ENTRIES];
	size_t count = 0;
	struct htab t;

	(void)state;
	rnd_seed(test_seed());
	assert_int_equal(htab_init(&t), 0);
	for (int i = 0; i < ROUNDS; i++) {
		struct item *item = &items[rnd_below(ENTRIES)];
		uint64_t key;

		count += item->in ? -1 : 1;
		toggle(&t, item);
		key = item->node.key;
		assert_int_equal(t.count, count);
		assert_int_equal(table_count(&t, key), model_count(items, key));
		if (i % 1000 == 0)
			check_iteration(&t, items);
	}
	check_iteration(&t, items);
	htab_release(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_table_has_nothing),
		cmocka_unit_test_teardown(no_memory_is_reported, seam_off),
		cmocka_unit_test(it_grows_with_its_entries),
		cmocka_unit_test_teardown(growth_without_memory_only_costs_time,
					  seam_off),
		cmocka_unit_test(iteration_survives_removal),
		cmocka_unit_test(removing_what_is_not_there_is_a_bug),
		cmocka_unit_test_teardown(a_model_agrees, seam_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
