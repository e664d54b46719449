/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Epochs (E1-E5 on top of pool_epoch.c) and publication: what a crash, a full
 * or hung folder, or somebody else's claim in between does to them.
 */
#include "unit/backend/pool_kit.h"

#include "backend/super_format.h"
#include "base/workq.h"

struct fixture {
	struct kit kit; /* 5 places, 3+2, behind the fault driver */
	struct diag diag;
	struct pool *pool;
};

static int set_up(void **state)
{
	static unsigned number;
	struct fixture *f = calloc(1, sizeof(*f));
	char name[32];

	assert_non_null(f);
	snprintf(name, sizeof(name), "epoch%u", number++);
	kit_init(&f->kit, "fault:", name, 5);
	kit_make(&f->kit, 2);
	f->pool = kit_must_open(f->kit.at[0]);
	*state = f;
	return 0;
}

static void clear_faults(struct fixture *f)
{
	for (unsigned i = 0; i < f->kit.n; i++)
		fault_clear(f->kit.at[i]);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	mem_fail_at(0, 0);
	workq_inline(false);
	clear_faults(f);
	pool_close(f->pool);
	kit_forget(&f->kit);
	free(f);
	return 0;
}

static void reopen(struct fixture *f, unsigned via)
{
	pool_close(f->pool);
	f->pool = NULL;
	f->pool = kit_must_open(f->kit.at[via]);
}

static void fail_with(struct fixture *f, unsigned i, int err, unsigned ops,
		      const char *prefix)
{
	struct fault_rule r = {.kind = err ? FAULT_ERROR : FAULT_HANG,
			       .ops = ops,
			       .prefix = prefix,
			       .err = err};

	assert_int_equal(fault_add(f->kit.at[i], &r), 0);
}

static uint64_t number_of(const struct fixture *f)
{
	return superblock_epoch(&f->pool->sb)->number;
}

static void begin(struct fixture *f)
{
	assert_int_equal(pool_begin_epoch(f->pool), 0);
}

static unsigned count_named(const char *location, const char *prefix)
{
	struct kit_image *im = kit_load(location);
	unsigned n = 0;

	for (unsigned i = 0; i < im->n; i++)
		n += !strncmp(im->file[i].name, prefix, strlen(prefix));
	kit_image_free(im);
	return n;
}

static bool has_claim(struct fixture *f, unsigned i, unsigned number)
{
	char name[32];

	snprintf(name, sizeof(name), "epoch.%u", number);
	return kit_has(f->kit.at[i], name);
}

/* ---- epochs ---- */

static void test_chain(void **state)
{
	struct fixture *f = *state;
	const struct superblock *sb = &f->pool->sb;

	assert_int_equal(number_of(f), 1);
	begin(f);
	assert_int_equal(sb->epochs, 2);
	assert_int_equal(number_of(f), 2);
	assert_memory_equal(sb->epoch[1].parent, sb->epoch[0].id, 16);
	assert_memory_not_equal(sb->epoch[1].id, sb->epoch[0].id, 16);
	for (unsigned i = 0; i < 5; i++)
		assert_true(has_claim(f, i, 2));
	/* Not written before it is published. */
	assert_int_equal(f->pool->member[0].sb_gen, 1);
	kit_publish(f->pool);
	reopen(f, 2);
	assert_int_equal(f->pool->sb.epochs, 2);
}

static void test_claim_content(void **state)
{
	struct fixture *f = *state;
	const struct epoch *e;
	struct kit_image *im;
	struct super_claim c;

	begin(f);
	e = superblock_epoch(&f->pool->sb);
	im = kit_load(f->kit.at[3]);
	assert_int_equal(kit_find(im, "epoch.2")->len, sizeof(c));
	memcpy(&c, kit_find(im, "epoch.2")->data, sizeof(c));
	assert_memory_equal(c.pool, f->pool->id.b, 16);
	assert_memory_equal(c.id, e->id, 16);
	assert_memory_equal(c.parent, e->parent, 16);
	kit_image_free(im);
}

static void test_old_claims_go(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 6; i++) {
		begin(f);
		kit_publish(f->pool);
		reopen(f, i % 5);
	}
	assert_int_equal(number_of(f), 7);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(count_named(f->kit.at[i], "epoch."), 3);
		for (unsigned c = 5; c <= 7; c++)
			assert_true(has_claim(f, i, c));
	}
}

/* E1: also names without content, and of members that have no superblock. */
static void test_above_all_seen(void **state)
{
	struct fixture *f = *state;

	kit_put(f->kit.at[3], "epoch.41", "", 0);
	begin(f);
	assert_int_equal(number_of(f), 42);
	assert_int_equal(f->pool->sb.epochs, 2);
}

static void test_strange_names(void **state)
{
	static const char *const names[] = {
		"epoch.007",
		"epoch.",
		"epoch.9x",
		"epoch.-9",
		"epoch.99999999999999999999999",
		"epoch.18446744073709551615",
		"epoch.4294967299",
	};
	struct fixture *f = *state;

	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		kit_put(f->kit.at[1], names[i], "x", 1);
	begin(f);
	/* E4: too far ahead to be true. */
	assert_int_equal(number_of(f), 2);
}

static void take_numbers(struct fixture *f, unsigned i, unsigned times)
{
	struct fault_rule r = {.kind = FAULT_ERROR,
			       .ops = FAULT_OP_CREATE,
			       .prefix = "epoch.",
			       .times = times,
			       .err = EEXIST};

	assert_int_equal(fault_add(f->kit.at[i], &r), 0);
}

/* E2: numbers of old, on members that could not be listed. */
static void test_used_numbers(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 3; i++) {
		fail_with(f, i, EIO, FAULT_OP_LIST, "");
		take_numbers(f, i, 4);
	}
	begin(f);
	assert_int_equal(number_of(f), 6);
	assert_int_equal(f->pool->sb.epochs, 2);
}

static void test_all_numbers_used(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 3; i++) {
		fail_with(f, i, EIO, FAULT_OP_LIST, "");
		take_numbers(f, i, 0);
	}
	assert_int_equal(pool_begin_epoch(f->pool), -ERR_IN_USE);
	assert_int_equal(f->pool->sb.epochs, 1);
}

/* E2: a claim that was not there a moment ago: give way, and to all of it. */
static void test_beaten(void **state)
{
	struct fixture *f = *state;

	take_numbers(f, 0, 1);
	assert_int_equal(pool_begin_epoch(f->pool), -ERR_IN_USE);
	assert_int_equal(f->pool->sb.epochs, 1);
	for (unsigned i = 0; i < 5; i++)
		assert_false(has_claim(f, i, 2));
	/* The first member that answers decides. */
	backend_set_down(f->pool->member[0].backend, true);
	take_numbers(f, 1, 1);
	assert_int_equal(pool_begin_epoch(f->pool), -ERR_IN_USE);
	assert_false(has_claim(f, 2, 2));
}

/* A minority of claims that are not ours does no harm. */
static void test_beaten_on_few(void **state)
{
	struct fixture *f = *state;

	take_numbers(f, 3, 1);
	take_numbers(f, 4, 1);
	begin(f);
	assert_int_equal(number_of(f), 2);
}

/* A majority of all, not only of those that are there. */
static void test_majority_of_all(void **state)
{
	struct fixture *f = *state;

	backend_set_down(f->pool->member[4].backend, true);
	fail_with(f, 0, ENOSPC, FAULT_OP_CREATE, "epoch.");
	begin(f);
	reopen(f, 0);
	backend_set_down(f->pool->member[4].backend, true);
	fail_with(f, 1, ENOSPC, FAULT_OP_CREATE, "epoch.");
	assert_int_equal(pool_begin_epoch(f->pool), -ENOSPC);
}

static void test_two_cannot_claim(void **state)
{
	struct fixture *f = *state;

	fail_with(f, 0, ENOSPC, FAULT_OP_CREATE, "epoch.");
	fail_with(f, 1, ENOSPC, FAULT_OP_CREATE, "epoch.");
	begin(f);
	assert_int_equal(number_of(f), 2);
}

static void test_three_cannot_claim(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 3; i++)
		fail_with(f, i, ENOSPC, FAULT_OP_CREATE, "epoch.");
	assert_int_equal(pool_begin_epoch(f->pool), -ENOSPC);
	assert_int_equal(f->pool->sb.epochs, 1);
}

static void test_nobody_there(void **state)
{
	struct fixture *f = *state;
	bool all;

	for (unsigned i = 0; i < 5; i++)
		backend_set_down(f->pool->member[i].backend, true);
	assert_int_equal(pool_begin_epoch(f->pool), -ERR_UNAVAILABLE);
	assert_int_equal(pool_publish(f->pool, &all), -ERR_UNAVAILABLE);
	assert_false(all);
}

/* E3: claimed everywhere, published on one member, which is then away. */
static void crash_while_publishing(struct fixture *f, unsigned survivor)
{
	struct kit_image *im;
	bool all;

	begin(f);
	for (unsigned i = 0; i < 5; i++)
		if (i != survivor)
			fail_with(f, i, EIO, FAULT_OP_RENAME, "");
	assert_int_equal(pool_publish(f->pool, &all), -EIO);
	assert_false(all);
	clear_faults(f);
	pool_close(f->pool);
	f->pool = NULL;
	im = kit_hide(f->kit.at[survivor]);
	f->pool = kit_must_open(f->kit.at[(survivor + 1) % 5]);
	assert_int_equal(f->pool->sb.generation, 1);
	begin(f);
	kit_publish(f->pool);
	pool_close(f->pool);
	f->pool = NULL;
	kit_show(f->kit.at[survivor], im);
}

static void test_unfinished_epoch(void **state)
{
	struct fixture *f = *state;

	crash_while_publishing(f, 2);
	/* Old, not a divergence. */
	f->pool = kit_must_open(f->kit.at[2]);
	assert_int_equal(pool_up(f->pool), 5);
	assert_int_equal(number_of(f), 3);
	assert_int_equal(f->pool->sb.epochs, 3);
	assert_false(f->pool->diverged);
}

/* Several crashes in a row, each a child of the one before. */
static void test_unfinished_epochs(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 6; i++) {
		begin(f);
		reopen(f, 0);
	}
	assert_int_equal(f->pool->sb.epochs, 1);
	/* E5: 1 is covered and went; none of the others before they are. */
	assert_int_equal(count_named(f->kit.at[0], "epoch."), 6);
	assert_false(has_claim(f, 0, 1));
	begin(f);
	assert_int_equal(number_of(f), 8);
	assert_int_equal(f->pool->sb.epochs, 8);
	kit_publish(f->pool);
	reopen(f, 0);
	begin(f);
	kit_publish(f->pool);
	assert_int_equal(count_named(f->kit.at[0], "epoch."), 3);
}

/* With fewer than n-m members nothing is known of what others published. */
static void test_unfinished_not_adopted_below(void **state)
{
	struct fixture *f = *state;
	struct kit_image *im[3];

	begin(f);
	pool_close(f->pool);
	f->pool = NULL;
	for (unsigned i = 0; i < 3; i++)
		im[i] = kit_hide(f->kit.at[i]);
	f->pool = kit_must_open(f->kit.at[4]);
	begin(f);
	assert_int_equal(f->pool->sb.epochs, 2);
	for (unsigned i = 0; i < 3; i++)
		kit_image_free(im[i]);
}

/* E4: a claim that is not authentic gives no ancestor. */
static void test_forged_claim(void **state)
{
	struct fixture *f = *state;

	begin(f);
	for (unsigned i = 0; i < 5; i++)
		kit_damage(f->kit.at[i], "epoch.2",
			   offsetof(struct super_claim, id));
	reopen(f, 0);
	begin(f);
	assert_int_equal(number_of(f), 3);
	assert_int_equal(f->pool->sb.epochs, 2);
}

/* Nor one that was given another number. */
static void test_renamed_claim(void **state)
{
	struct fixture *f = *state;
	struct kit_image *im;
	struct kit_file *c;

	begin(f);
	pool_close(f->pool);
	f->pool = NULL;
	for (unsigned i = 0; i < 5; i++) {
		im = kit_load(f->kit.at[i]);
		c = kit_find(im, "epoch.2");
		kit_put(f->kit.at[i], "epoch.5", c->data, c->len);
		kit_remove(f->kit.at[i], "epoch.2");
		kit_image_free(im);
	}
	f->pool = kit_must_open(f->kit.at[0]);
	begin(f);
	assert_int_equal(number_of(f), 6);
	assert_int_equal(f->pool->sb.epochs, 2);
}

static void test_begin_no_memory(void **state)
{
	struct fixture *f = *state;
	unsigned fails = 0;

	pool_close(f->pool);
	f->pool = NULL;
	workq_inline(true);
	f->pool = kit_must_open(f->kit.at[0]);
	begin(f);
	reopen(f, 0);
	for (unsigned i = 1, fired = 1; fired; i++) {
		int rc;

		mem_fail_at(i, 0);
		rc = pool_begin_epoch(f->pool);
		fired = mem_count() >= i;
		mem_fail_at(0, 0);
		if (rc && rc != -ENOMEM)
			fail_msg("allocation %u: %s", i, err_name(rc));
		fails += rc != 0;
	}
	assert_true(fails > 3);
	kit_publish(f->pool);
	reopen(f, 3);
	assert_int_equal(pool_up(f->pool), 5);
}

/* ---- publication ---- */

static void test_alternates(void **state)
{
	struct fixture *f = *state;
	struct kit_image *was, *is;

	begin(f);
	was = kit_load(f->kit.at[1]);
	for (unsigned g = 2; g < 8; g++) {
		const char *old = g % 2 ? "mendfs.super.1" : "mendfs.super.0";
		bool all = false;
		struct sb_clear c;
		struct kit_file *a;

		f->pool->sb.created_ns++;
		assert_int_equal(pool_publish(f->pool, &all), 5);
		assert_true(all);
		assert_int_equal(f->pool->sb.generation, g);
		is = kit_load(f->kit.at[1]);
		/* The newer one was not touched. */
		a = kit_find(is, old);
		assert_memory_equal(kit_find(was, old)->data, a->data, a->len);
		a = kit_find(is, g % 2 ? "mendfs.super.0" : "mendfs.super.1");
		assert_int_equal(superblock_peek(a->data, a->len, &c), 0);
		assert_int_equal(c.generation, g);
		kit_image_free(was);
		was = is;
	}
	kit_image_free(was);
}

static void test_some_fail(void **state)
{
	struct fixture *f = *state;
	bool all = true;

	begin(f);
	fail_with(f, 1, ENOSPC, FAULT_OP_CREATE | FAULT_OP_WRITE,
		  "mendfs.super");
	fail_with(f, 3, EIO, FAULT_OP_SYNC, "mendfs.super");
	assert_int_equal(pool_publish(f->pool, &all), 3);
	assert_false(all);
	assert_int_equal(f->pool->member[1].sb_gen, 1);
	assert_int_equal(f->pool->member[2].sb_gen, 2);
	clear_faults(f);
	assert_int_equal(pool_publish(f->pool, &all), 5);
	assert_true(all);
	reopen(f, 3);
	assert_int_equal(f->pool->sb.generation, 3);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(f->pool->member[i].sb_gen, 3);
}

static void test_too_many_fail(void **state)
{
	struct fixture *f = *state;
	bool all = true;

	begin(f);
	for (unsigned i = 0; i < 3; i++)
		fail_with(f, i, ENOSPC, FAULT_OP_CREATE, "mendfs.super");
	assert_int_equal(pool_publish(f->pool, &all), -ENOSPC);
	assert_false(all);
	/* The number is used up all the same. */
	assert_int_equal(f->pool->sb.generation, 2);
	clear_faults(f);
	assert_int_equal(pool_publish(f->pool, &all), 5);
	assert_int_equal(f->pool->sb.generation, 3);
}

/* With two members up, both must have it. */
static void test_min_of_m_and_up(void **state)
{
	struct fixture *f = *state;
	bool all;

	begin(f);
	for (unsigned i = 2; i < 5; i++)
		backend_set_down(f->pool->member[i].backend, true);
	assert_int_equal(pool_publish(f->pool, &all), 2);
	assert_true(all);
	fail_with(f, 0, EIO, FAULT_OP_RENAME, "");
	assert_int_equal(pool_publish(f->pool, &all), -EIO);
}

/* Power cut at every step of a slot's writing: one slot is always whole. */
static void test_torn_at_every_step(void **state)
{
	static const unsigned ops[] = {FAULT_OP_CREATE, FAULT_OP_WRITE,
				       FAULT_OP_SYNC, FAULT_OP_RENAME};
	struct fixture *f = *state;

	begin(f);
	kit_publish(f->pool);
	for (unsigned i = 0; i < ARRAY_LEN(ops); i++) {
		bool all;

		for (unsigned j = 0; j < 5; j++)
			fail_with(f, j, EIO, ops[i], "mendfs.super");
		assert_int_equal(pool_publish(f->pool, &all), -EIO);
		clear_faults(f);
		reopen(f, i);
		assert_int_equal(f->pool->sb.generation, 2 + i);
		assert_int_equal(pool_up(f->pool), 5);
		begin(f);
		kit_publish(f->pool);
	}
}

/* What a crash left under the temporary name is replaced, then removed. */
static void test_left_over_name(void **state)
{
	struct fixture *f = *state;
	char name[SUPER_TEMP_MAX];
	bool all;

	begin(f);
	slot_temp_name(2, name);
	kit_put(f->kit.at[1], name, "torn", 4);
	slot_temp_name(77, name);
	kit_put(f->kit.at[2], name, "torn", 4);
	assert_int_equal(pool_publish(f->pool, &all), 5);
	reopen(f, 1);
	assert_int_equal(f->pool->sb.generation, 2);
	begin(f);
	assert_int_equal(count_named(f->kit.at[2], SUPER_TEMP), 0);
}

/*
 * A rename that hangs may come true later: its slot is left alone until then,
 * and what was published meanwhile is not lost.
 */
static void test_late_rename(void **state)
{
	struct fixture *f = *state;
	struct slot_turn *turn = &pool_impl_of(f->pool)->turn[4];
	struct fan late = {.to = f->pool->member[4].backend};
	bool all;
	int rc;

	begin(f);
	/* As pool_publish leaves it behind, without its ten seconds. */
	fail_with(f, 4, 0, FAULT_OP_RENAME, "mendfs.super.new-900");
	kit_put(f->kit.at[4], "mendfs.super.new-900", "old", 3);
	late.bio = bio_new_rename("mendfs.super.new-900", "mendfs.super.1");
	assert_non_null(late.bio);
	fan_run(&late, 1, 50);
	assert_int_equal(late.rc, -ETIMEDOUT);
	assert_int_equal(turn->next, 1);
	turn->late[1] = bio_ref(late.bio);
	backend_set_down(late.to, false);
	assert_int_equal(pool_publish(f->pool, &all), 5);
	assert_int_equal(pool_publish(f->pool, &all), 5);
	assert_int_equal(turn->next, 1);
	clear_faults(f);
	while (!bio_done(late.bio, &rc))
		assert_int_equal(bio_wait_some(&late.bio, 1, 1, 0), 1);
	fan_release(&late, 1);
	/* It came true; the newest is still there, and slot 1 is free again. */
	assert_int_equal(pool_publish(f->pool, &all), 5);
	assert_null(turn->late[1]);
	assert_int_equal(turn->next, 0);
	reopen(f, 4);
	assert_int_equal(f->pool->member[4].sb_gen, 4);
}

static void test_both_slots_late(void **state)
{
	struct fixture *f = *state;
	struct slot_turn *turn = &pool_impl_of(f->pool)->turn[4];
	/* Never submitted, so never done. */
	struct bio *r = bio_new_list("");
	bool all;

	begin(f);
	turn->late[0] = bio_ref(r);
	turn->late[1] = r;
	assert_int_equal(pool_publish(f->pool, &all), 4);
	assert_false(all);
	assert_int_equal(f->pool->member[4].sb_gen, 1);
}

static void test_publish_no_memory(void **state)
{
	struct fixture *f = *state;
	unsigned fails = 0;

	pool_close(f->pool);
	f->pool = NULL;
	workq_inline(true);
	f->pool = kit_must_open(f->kit.at[0]);
	begin(f);
	for (unsigned i = 1, fired = 1; fired; i++) {
		bool all = false;
		int rc;

		mem_fail_at(i, 0);
		rc = pool_publish(f->pool, &all);
		fired = mem_count() >= i;
		mem_fail_at(0, 0);
		if (rc < 0 && rc != -ENOMEM)
			fail_msg("allocation %u: %s", i, err_name(rc));
		assert_int_equal(all, rc == 5);
		fails += rc != 5;
	}
	assert_true(fails > 10);
	kit_publish(f->pool);
	reopen(f, 3);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(f->pool->member[i].sb_gen,
				 f->pool->sb.generation);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_chain),
		T(test_claim_content),
		T(test_old_claims_go),
		T(test_above_all_seen),
		T(test_strange_names),
		T(test_used_numbers),
		T(test_all_numbers_used),
		T(test_beaten),
		T(test_beaten_on_few),
		T(test_majority_of_all),
		T(test_two_cannot_claim),
		T(test_three_cannot_claim),
		T(test_nobody_there),
		T(test_unfinished_epoch),
		T(test_unfinished_epochs),
		T(test_unfinished_not_adopted_below),
		T(test_forged_claim),
		T(test_renamed_claim),
		T(test_begin_no_memory),
		T(test_alternates),
		T(test_some_fail),
		T(test_too_many_fail),
		T(test_min_of_m_and_up),
		T(test_torn_at_every_step),
		T(test_left_over_name),
		T(test_late_rename),
		T(test_both_slots_late),
		T(test_publish_no_memory),
	};

	return cmocka_run_group_tests(tests, kit_start, kit_stop);
}
