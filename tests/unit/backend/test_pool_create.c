/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making pools: what is refused, in which words, and what is left untouched.
 */
#include "unit/backend/pool_kit.h"

#include "base/workq.h"

#define PLACES 3

struct fixture {
	struct kit kit;
	struct diag diag;
	struct pool *pool;
};

static int set_up_with(void **state, const char *prefix)
{
	static unsigned number;
	struct fixture *f = calloc(1, sizeof(*f));
	char name[32];

	assert_non_null(f);
	snprintf(name, sizeof(name), "create%u", number++);
	kit_init(&f->kit, prefix, name, PLACES);
	*state = f;
	return 0;
}

static int set_up(void **state)
{
	return set_up_with(state, "");
}

static int set_up_fault(void **state)
{
	return set_up_with(state, "fault:");
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	mem_fail_at(0, 0);
	workq_inline(false);
	for (unsigned i = 0; i < f->kit.n; i++)
		if (!strncmp(f->kit.at[i], "fault:", 6))
			fault_clear(f->kit.at[i]);
	pool_close(f->pool);
	kit_forget(&f->kit);
	free(f);
	return 0;
}

static int create(struct fixture *f, bool force)
{
	f->diag = (struct diag)DIAG_INIT;
	return kit_create(&f->kit, 1, force, &f->diag, &f->pool);
}

static void assert_told(const struct fixture *f, const char *about)
{
	if (!strstr(f->diag.text, about))
		fail_msg("'%s' is not in: %s", about, f->diag.text);
}

static const char *path_of(const struct fixture *f, unsigned i)
{
	return driver_location_path(f->kit.at[i]);
}

static void finish(struct fixture *f)
{
	assert_int_equal(pool_begin_epoch(f->pool), 0);
	kit_publish(f->pool);
	pool_close(f->pool);
	f->pool = NULL;
}

static void test_made(void **state)
{
	struct fixture *f = *state;
	struct pool *p;

	assert_int_equal(create(f, false), 0);
	p = f->pool;
	assert_int_equal(p->n, PLACES);
	assert_int_equal(pool_up(p), PLACES);
	assert_true(p->locked);
	assert_int_equal(p->sb.epochs, 0);
	assert_int_equal(p->sb.generation, 0);
	assert_false(p->sb.manifest.present);
	assert_true(keyslot_used(p->sb.slots));
	assert_false(keyslot_used(p->sb.slots + KEY_SLOT_BYTES));
	for (unsigned i = 0; i < PLACES; i++)
		for (unsigned j = 0; j < i; j++)
			assert_memory_not_equal(&p->member[i].id,
						&p->member[j].id, 16);
}

static void test_no_pool_before_publication(void **state)
{
	struct fixture *f = *state;
	struct pool *p;

	assert_int_equal(create(f, false), 0);
	assert_int_equal(pool_begin_epoch(f->pool), 0);
	pool_close(f->pool);
	f->pool = NULL;
	assert_int_equal(kit_open_one(f->kit.at[0], &f->diag, &p),
			 -ERR_NO_SUPERBLOCK);
}

static void test_locked_while_made(void **state)
{
	struct fixture *f = *state;
	struct pool *p;

	assert_int_equal(create(f, false), 0);
	assert_int_equal(kit_create(&f->kit, 1, true, &f->diag, &p),
			 -ERR_IN_USE);
	assert_null(p);
	assert_told(f, path_of(f, 0));
}

static void test_not_empty(void **state)
{
	struct fixture *f = *state;
	struct kit_image *im;

	kit_put(f->kit.at[1], "thesis.txt", "!", 1);
	assert_int_equal(create(f, false), -ERR_NOT_EMPTY);
	assert_told(f, path_of(f, 1));
	assert_told(f, "--force");
	assert_int_equal(create(f, true), 0);
	finish(f);
	im = kit_load(f->kit.at[1]);
	assert_non_null(kit_find(im, "thesis.txt"));
	kit_image_free(im);
	f->pool = kit_must_open(f->kit.at[1]);
}

static void test_lock_file_is_nothing(void **state)
{
	struct fixture *f = *state;

	kit_put(f->kit.at[1], "mendfs.lock", "", 0);
	assert_int_equal(create(f, false), 0);
	pool_close(f->pool);
	kit_put(f->kit.at[1], "a", "", 0);
	assert_int_equal(create(f, false), -ERR_NOT_EMPTY);
}

static void test_over_an_idle_pool(void **state)
{
	struct fixture *f = *state;
	struct pool_id old;

	assert_int_equal(create(f, false), 0);
	old = f->pool->id;
	finish(f);
	for (unsigned i = 0; i < 3; i++)
		kit_mount(f->kit.at[0]);
	assert_int_equal(create(f, false), -ERR_NOT_EMPTY);
	assert_int_equal(create(f, true), 0);
	/* The old one is gone before the new one is there. */
	for (unsigned i = 0; i < PLACES; i++) {
		assert_false(kit_has(f->kit.at[i], "mendfs.super.0"));
		assert_false(kit_has(f->kit.at[i], "mendfs.super.1"));
	}
	/* Numbers of the old epochs are not used again (E1). */
	assert_int_equal(pool_begin_epoch(f->pool), 0);
	assert_int_equal(superblock_epoch(&f->pool->sb)->number, 5);
	assert_int_equal(f->pool->sb.epochs, 1);
	kit_publish(f->pool);
	pool_close(f->pool);
	f->pool = kit_must_open(f->kit.at[2]);
	assert_memory_not_equal(&f->pool->id, &old, sizeof(old));
	assert_int_equal(pool_up(f->pool), PLACES);
}

static void test_over_a_mounted_pool(void **state)
{
	struct fixture *f = *state;
	struct pool *p, *other;
	struct kit two = {.n = 2, .at = {f->kit.at[2], f->kit.at[1]}};

	assert_int_equal(create(f, false), 0);
	finish(f);
	p = kit_must_open(f->kit.at[0]);
	f->diag = (struct diag)DIAG_INIT;
	assert_int_equal(kit_create(&two, 1, true, &f->diag, &other),
			 -ERR_IN_USE);
	assert_told(f, "mendfs umount");
	kit_publish(p);
	pool_close(p);
	f->pool = kit_must_open(f->kit.at[1]);
	assert_int_equal(pool_up(f->pool), PLACES);
}

static void test_twice_the_same(void **state)
{
	struct fixture *f = *state;

	f->kit.at[2] = f->kit.at[0];
	assert_int_equal(create(f, false), -ERR_DUPLICATE);
	assert_told(f, path_of(f, 0));
	assert_told(f, "the same folder");
}

static void test_no_such_folder(void **state)
{
	struct fixture *f = *state;
	struct kit_image *im;

	f->kit.at[1] = "/no/such/folder";
	assert_int_equal(create(f, false), -ENOENT);
	assert_told(f, "/no/such/folder");
	/* The others were not touched. */
	im = kit_load(f->kit.at[0]);
	assert_int_equal(im->n, 0);
	kit_image_free(im);
	f->kit.at[1] = f->kit.name[1];
}

static int create_with(struct fixture *f, const struct pool_create_options *o)
{
	f->diag = (struct diag)DIAG_INIT;
	return pool_create(o, &f->diag, &f->pool);
}

static void test_options(void **state)
{
	struct fixture *f = *state;
	char label[SB_LABEL_MAX + 2];
	struct pool_create_options o = {.location = f->kit.at,
					.n = PLACES,
					.geo = kit_geometry(2, 1),
					.label = "",
					.pass = KIT_PASS,
					.pass_len = strlen(KIT_PASS)};

	o.pass_len = 0;
	assert_int_equal(create_with(f, &o), -EINVAL);
	assert_told(f, "passphrase");
	o.pass_len = strlen(KIT_PASS);
	memset(label, 'x', sizeof(label));
	label[SB_LABEL_MAX + 1] = '\0';
	o.label = label;
	assert_int_equal(create_with(f, &o), -EINVAL);
	assert_told(f, "--label");
	o.label = label + 1;
	o.geo = kit_geometry(3, 1);
	assert_int_equal(create_with(f, &o), -EINVAL);
	assert_told(f, "4 folders");
	o.geo = kit_geometry(1, 1);
	assert_int_equal(create_with(f, &o), 0);
	finish(f);
	f->pool = kit_must_open(f->kit.at[0]);
	assert_string_equal(f->pool->sb.label, label + 1);
	assert_int_equal(f->pool->geo.k, 1);
	assert_int_equal(f->pool->n, PLACES);
}

static void fault(struct fixture *f, unsigned i, unsigned ops, int err,
		  const char *prefix)
{
	struct fault_rule r = {
		.kind = FAULT_ERROR, .ops = ops, .prefix = prefix, .err = err};

	assert_int_equal(fault_add(f->kit.at[i], &r), 0);
}

static void test_not_writable(void **state)
{
	struct fixture *f = *state;

	fault(f, 2, FAULT_OP_LOCK, EROFS, "");
	assert_int_equal(create(f, false), -EROFS);
	assert_told(f, path_of(f, 2));
	assert_null(f->pool);
}

static void test_cannot_list(void **state)
{
	struct fixture *f = *state;

	fault(f, 1, FAULT_OP_LIST, EIO, "");
	assert_int_equal(create(f, false), -EIO);
	assert_told(f, path_of(f, 1));
}

/* Never a new pool beside an old superblock that could not be wiped. */
static void test_cannot_wipe(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(create(f, false), 0);
	finish(f);
	fault(f, 1, FAULT_OP_RENAME, EIO, "");
	assert_int_equal(create(f, true), -EIO);
	assert_told(f, path_of(f, 1));
	assert_null(f->pool);
}

static void test_no_memory(void **state)
{
	struct fixture *f = *state;
	unsigned fails = 0;

	workq_inline(true);
	for (unsigned i = 1, fired = 1; fired; i++) {
		int rc;

		mem_fail_at(i, 0);
		rc = create(f, true);
		fired = mem_count() >= i;
		mem_fail_at(0, 0);
		if (rc && rc != -ENOMEM)
			fail_msg("allocation %u: %s", i, err_name(rc));
		fails += rc != 0;
		pool_close(f->pool);
		f->pool = NULL;
	}
	assert_true(fails > 20);
}

#define T(f)	   cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define T_FAULT(f) cmocka_unit_test_setup_teardown(f, set_up_fault, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_made),
		T(test_no_pool_before_publication),
		T(test_locked_while_made),
		T(test_not_empty),
		T(test_lock_file_is_nothing),
		T(test_over_an_idle_pool),
		T(test_over_a_mounted_pool),
		T(test_twice_the_same),
		T(test_no_such_folder),
		T(test_options),
		T_FAULT(test_not_writable),
		T_FAULT(test_cannot_list),
		T_FAULT(test_cannot_wipe),
		T(test_no_memory),
	};

	return cmocka_run_group_tests(tests, kit_start, kit_stop);
}
