/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding pools: who belongs to it, what may be given, which slot counts,
 * locks, folders that fail.
 */
#include "unit/backend/pool_fixture.h"

#include "base/clock.h"

#define HANG_MS 150 /* patience with what never answers */

/* ---- finding ---- */

static void test_any_one_finds_all(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < f->kit.n; i++) {
		struct pool *p = kit_must_open(f->kit.at[i]);

		assert_int_equal(p->n, 5);
		assert_int_equal(pool_up(p), 5);
		assert_int_equal(p->geo.k, 3);
		assert_int_equal(p->geo.m, 2);
		assert_int_equal(p->sb.epochs, 1);
		assert_string_equal(p->sb.label, "kit");
		assert_true(p->locked);
		assert_false(p->read_only);
		assert_false(p->diverged);
		for (unsigned j = 0; j < 5; j++) {
			assert_string_equal(p->member[j].path, f->kit.at[j]);
			assert_int_equal(p->member[j].why, 0);
			assert_int_equal(p->member[j].sb_gen, 1);
		}
		pool_close(p);
	}
}

static void test_sizes(void **state)
{
	struct fixture *f = *state;

	for (unsigned n = 1; n <= POOL_MEMBERS_MAX; n += 1 + n / 2) {
		struct kit k;
		unsigned want_k, m;
		char name[16];

		snprintf(name, sizeof(name), "size%u", n);
		kit_init(&k, "", name, n);
		geometry_default(n, &want_k, &m);
		kit_make(&k, m);
		f->pool = kit_must_open(k.at[n - 1]);
		assert_int_equal(pool_up(f->pool), n);
		close_pool(f);
		kit_forget(&k);
	}
}

static void test_all_given(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(open_some(f, 0, 5), 0);
	assert_int_equal(pool_up(f->pool), 5);
}

static void test_keys_are_the_same(void **state)
{
	struct fixture *f = *state;
	uint8_t a[32], b[32];

	assert_int_equal(open_some(f, 0, 1), 0);
	assert_int_equal(keyring_mac(f->pool->keys, "x", "y", 1, a), 0);
	close_pool(f);
	assert_int_equal(open_some(f, 3, 1), 0);
	assert_int_equal(keyring_mac(f->pool->keys, "x", "y", 1, b), 0);
	assert_memory_equal(a, b, sizeof(a));
}

static void test_seg_context(void **state)
{
	struct fixture *f = *state;
	struct seg_context cx;

	assert_int_equal(open_some(f, 0, 1), 0);
	pool_seg_context(f->pool, &cx);
	assert_memory_equal(&cx.pool, &f->pool->id, sizeof(cx.pool));
	assert_ptr_equal(cx.keys, f->pool->keys);
	assert_int_equal(cx.cipher, CIPHER_AES_256_GCM);
}

/* The disks were plugged in the other way round: identity is inside. */
static void test_swapped_contents(void **state)
{
	struct fixture *f = *state;
	struct kit_image *a = kit_hide(f->kit.at[0]);
	struct kit_image *d = kit_hide(f->kit.at[3]);
	struct pool *p;

	kit_show(f->kit.at[0], d);
	kit_show(f->kit.at[3], a);
	p = f->pool = kit_must_open(f->kit.at[1]);
	assert_int_equal(pool_up(p), 5);
	assert_string_equal(p->member[0].path, f->kit.at[3]);
	assert_string_equal(p->member[3].path, f->kit.at[0]);
	assert_string_equal(p->sb.member[0].path, f->kit.at[3]);
	/* And what is written says so from then on. */
	assert_int_equal(pool_begin_epoch(p), 0);
	kit_publish(p);
	close_pool(f);
	f->pool = kit_must_open(f->kit.at[0]);
	assert_int_equal(pool_up(f->pool), 5);
	assert_string_equal(f->pool->member[3].path, f->kit.at[0]);
}

static void test_missing_is_left_out(void **state)
{
	struct fixture *f = *state;
	struct kit_image *im = kit_hide(f->kit.at[4]);
	struct kit_image *after;

	f->pool = kit_must_open(f->kit.at[0]);
	assert_int_equal(pool_up(f->pool), 4);
	assert_null(f->pool->member[4].backend);
	assert_int_equal(f->pool->member[4].why, -ERR_EMPTY_FOLDER);
	assert_string_equal(f->pool->member[4].path, f->kit.at[4]);
	assert_int_equal(pool_begin_epoch(f->pool), 0);
	kit_publish(f->pool);
	/* An unmounted disk's folder is never written to. */
	after = kit_load(f->kit.at[4]);
	assert_int_equal(after->n, 0);
	kit_image_free(after);
	kit_image_free(im);
}

static void test_strange_place_is_left_out(void **state)
{
	struct fixture *f = *state;
	struct kit_image *im = kit_hide(f->kit.at[2]);

	kit_put(f->kit.at[2], "holiday.jpg", "x", 1);
	f->pool = kit_must_open(f->kit.at[0]);
	assert_int_equal(f->pool->member[2].why, -ERR_NO_SUPERBLOCK);
	kit_image_free(im);
}

static void test_foreign_place_is_left_out(void **state)
{
	struct fixture *f = *state;
	struct kit other;

	kit_init(&other, "", "foreign", 1);
	kit_make(&other, 0);
	kit_image_free(kit_hide(f->kit.at[2]));
	kit_show(f->kit.at[2], kit_load(other.at[0]));
	f->pool = kit_must_open(f->kit.at[0]);
	assert_int_equal(f->pool->member[2].why, -ERR_FOREIGN);
	kit_forget(&other);
}

/* A sibling's copy lies where a member was. */
static void test_wrong_member_is_left_out(void **state)
{
	struct fixture *f = *state;

	kit_image_free(kit_hide(f->kit.at[2]));
	kit_show(f->kit.at[2], kit_load(f->kit.at[1]));
	f->pool = kit_must_open(f->kit.at[0]);
	assert_int_equal(pool_up(f->pool), 4);
	assert_string_equal(f->pool->member[1].path, f->kit.at[1]);
	assert_int_equal(f->pool->member[2].why, -ERR_OTHER_MEMBER);
}

/* ---- what is given ---- */

static void test_given_typo(void **state)
{
	struct fixture *f = *state;
	const char *at[] = {f->kit.at[0], "/no/such/folder"};

	assert_int_equal(kit_open_list(at, 2, (struct kit_open){0}, &f->diag,
				       &f->pool),
			 -ENOENT);
	assert_null(f->pool);
	assert_told(f, "/no/such/folder");
}

/* In fstab all are named; one that is away must not matter more than if not. */
static void test_given_member_is_away(void **state)
{
	struct fixture *f = *state;

	kit_image_free(kit_hide(f->kit.at[1]));
	assert_int_equal(open_some(f, 0, 5), 0);
	assert_int_equal(pool_up(f->pool), 4);
	assert_int_equal(f->pool->member[1].why, -ERR_EMPTY_FOLDER);
}

static void test_given_only_empty(void **state)
{
	struct fixture *f = *state;

	kit_image_free(kit_hide(f->kit.at[1]));
	assert_int_equal(open_some(f, 1, 1), -ERR_EMPTY_FOLDER);
	assert_told(f, path_of(f, 1));
	assert_told(f, "mount the disk");
}

static void test_given_no_pool(void **state)
{
	struct fixture *f = *state;

	kit_image_free(kit_hide(f->kit.at[1]));
	kit_put(f->kit.at[1], "notes.txt", "x", 1);
	assert_int_equal(open_some(f, 1, 1), -ERR_NO_SUPERBLOCK);
	assert_told(f, path_of(f, 1));
}

static void test_given_twice(void **state)
{
	struct fixture *f = *state;
	const char *at[] = {f->kit.at[0], f->kit.at[1], f->kit.at[0]};

	assert_int_equal(kit_open_list(at, 3, (struct kit_open){0}, &f->diag,
				       &f->pool),
			 -ERR_DUPLICATE);
	assert_told(f, path_of(f, 0));
}

static void test_given_copy(void **state)
{
	struct fixture *f = *state;

	kit_show(f->kit.at[3], kit_load(f->kit.at[0]));
	assert_int_equal(open_some(f, 0, 5), -ERR_DUPLICATE);
	assert_told(f, path_of(f, 0));
	assert_told(f, path_of(f, 3));
}

static void test_given_foreign(void **state)
{
	struct fixture *f = *state;
	struct kit other;
	const char *at[2] = {f->kit.at[0], NULL};

	kit_init(&other, "", "foreign2", 1);
	kit_make(&other, 0);
	at[1] = other.at[0];
	assert_int_equal(kit_open_list(at, 2, (struct kit_open){0}, &f->diag,
				       &f->pool),
			 -ERR_FOREIGN);
	assert_told(f, driver_location_path(other.at[0]));
	kit_forget(&other);
}

static void test_given_nothing(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(open_some(f, 0, 0), -EINVAL);
	assert_null(f->pool);
}

/* A member that was taken out of the pool is no member. */
static void test_given_removed_member(void **state)
{
	struct fixture *f = *state;
	struct pool *p = kit_must_open(f->kit.at[0]);

	assert_int_equal(pool_begin_epoch(p), 0);
	p->sb.n = 4;
	p->sb.geo.k = 2;
	p->n = 4;
	kit_publish(p);
	pool_close(p);
	assert_int_equal(open_some(f, 4, 1), -ERR_FOREIGN);
	assert_told(f, path_of(f, 4));
	memset(&f->diag, 0, sizeof(f->diag));
	f->pool = kit_must_open(f->kit.at[0]);
	assert_int_equal(f->pool->n, 4);
	assert_int_equal(pool_up(f->pool), 4);
}

/* ---- slots ---- */

static void test_torn_slot(void **state)
{
	struct fixture *f = *state;

	kit_mount(f->kit.at[0]);
	/* Generation 2 is in slot 1 everywhere; tear it on one, on all. */
	kit_damage(f->kit.at[0], "mendfs.super.1", 700);
	f->pool = kit_must_open(f->kit.at[0]);
	assert_int_equal(f->pool->sb.generation, 2);
	assert_int_equal(f->pool->member[0].sb_gen, 1);
	assert_int_equal(f->pool->member[1].sb_gen, 2);
	close_pool(f);
	for (unsigned i = 1; i < 5; i++)
		kit_damage(f->kit.at[i], "mendfs.super.1", 4095);
	f->pool = kit_must_open(f->kit.at[0]);
	assert_int_equal(f->pool->sb.generation, 1);
	/* The torn ones are written over, the whole ones stay. */
	assert_int_equal(pool_begin_epoch(f->pool), 0);
	kit_publish(f->pool);
	close_pool(f);
	for (unsigned i = 0; i < 5; i++)
		kit_damage(f->kit.at[i], "mendfs.super.1", 3);
	f->pool = kit_must_open(f->kit.at[2]);
	assert_int_equal(f->pool->sb.generation, 1);
}

static void test_newest_on_one_member_only(void **state)
{
	struct fixture *f = *state;
	struct kit_image *old[5];

	for (unsigned i = 0; i < 5; i++)
		old[i] = kit_load(f->kit.at[i]);
	kit_mount(f->kit.at[0]);
	kit_mount(f->kit.at[0]);
	for (unsigned i = 0; i < 5; i++) {
		if (i != 3)
			kit_store(f->kit.at[i], old[i]);
		kit_image_free(old[i]);
	}
	f->pool = kit_must_open(f->kit.at[0]);
	assert_int_equal(f->pool->sb.generation, 3);
	assert_int_equal(f->pool->member[0].sb_gen, 1);
	assert_int_equal(f->pool->member[3].sb_gen, 3);
	assert_int_equal(pool_up(f->pool), 5);
}

static void damage_both(struct fixture *f, unsigned i)
{
	kit_damage(f->kit.at[i], "mendfs.super.0", 900);
	kit_damage(f->kit.at[i], "mendfs.super.1", 901);
}

static void test_both_slots_damaged(void **state)
{
	struct fixture *f = *state;

	kit_mount(f->kit.at[0]);
	damage_both(f, 2);
	f->pool = kit_must_open(f->kit.at[0]);
	assert_int_equal(f->pool->member[2].why, -ERR_CORRUPT);
	close_pool(f);
	assert_int_equal(open_some(f, 0, 5), 0);
	assert_int_equal(pool_up(f->pool), 4);
	close_pool(f);
	assert_int_equal(open_some(f, 2, 1), -ERR_CORRUPT);
	assert_told(f, path_of(f, 2));
	assert_told(f, "another folder");
}

static void test_huge_slot_file(void **state)
{
	struct fixture *f = *state;
	uint8_t *big = calloc(1, 2 * SB_MAX_BYTES);

	assert_non_null(big);
	kit_put(f->kit.at[2], "mendfs.super.0", big, 2 * SB_MAX_BYTES);
	kit_put(f->kit.at[2], "mendfs.super.1", big, 0);
	free(big);
	f->pool = kit_must_open(f->kit.at[0]);
	assert_int_equal(f->pool->member[2].why, -ERR_CORRUPT);
}

static void test_candidates(void **state)
{
	struct fixture *f = *state;
	struct superblock *sb = calloc(1, sizeof(*sb));

	assert_non_null(sb);
	kit_mount(f->kit.at[0]);
	f->pool = kit_must_open(f->kit.at[0]);
	assert_int_equal(pool_candidate(f->pool, 0, sb), 0);
	assert_int_equal(sb->generation, 2);
	assert_int_equal(pool_candidate(f->pool, 1, sb), 0);
	assert_int_equal(sb->generation, 1);
	assert_int_equal(pool_candidate(f->pool, 2, sb), -ENOENT);
	free(sb);
}

static void test_adopt(void **state)
{
	struct fixture *f = *state;
	struct superblock *old = calloc(1, sizeof(*old));
	struct pool *p = kit_must_open(f->kit.at[0]);
	struct backend *was;

	assert_non_null(old);
	/* Now: 4 members, a new passphrase. */
	assert_int_equal(pool_begin_epoch(p), 0);
	p->n = p->sb.n = 4;
	p->geo.k = p->sb.geo.k = 2;
	memset(p->sb.slots, 0, sizeof(p->sb.slots));
	assert_int_equal(keyring_wrap(p->keys, p->id.b, "new", 3, p->sb.slots),
			 0);
	kit_publish(p);
	pool_close(p);
	assert_int_equal(open_as(f, 0, "new"), 0);
	p = f->pool;
	assert_int_equal(pool_candidate(p, 1, old), 0);
	assert_int_equal(old->n, 5);
	was = p->member[2].backend;
	assert_int_equal(pool_adopt(p, old), 0);
	assert_int_equal(p->n, 5);
	assert_int_equal(p->geo.k, 3);
	assert_ptr_equal(p->member[2].backend, was);
	assert_null(p->member[4].backend);
	assert_string_equal(p->member[4].path, f->kit.at[4]);
	/* Neither the passphrase nor the history goes back. */
	assert_int_equal(p->sb.generation, 2);
	assert_int_equal(p->sb.epochs, 2);
	assert_int_equal(pool_begin_epoch(p), 0);
	kit_publish(p);
	close_pool(f);
	free(old);
	assert_int_equal(open_as(f, 0, KIT_PASS), -ERR_PASSPHRASE);
	assert_int_equal(open_as(f, 0, "new"), 0);
	assert_int_equal(f->pool->sb.generation, 3);
}

/* ---- locks ---- */

static void test_in_use(void **state)
{
	struct fixture *f = *state;
	const struct kit_open ro = {.read_only = true};
	struct pool *p;

	f->pool = kit_must_open(f->kit.at[0]);
	assert_int_equal(kit_open_one(f->kit.at[3], &f->diag, &p), -ERR_IN_USE);
	assert_null(p);
	assert_told(f, path_of(f, 0));
	assert_told(f, "mendfs status");
	assert_told(f, "mendfs umount");
	assert_int_equal(kit_open_list(f->kit.at, 1, ro, NULL, &p),
			 -ERR_IN_USE);
	/* The attempt took nothing away from the one who has it. */
	assert_int_equal(pool_begin_epoch(f->pool), 0);
	kit_publish(f->pool);
	close_pool(f);
	f->pool = kit_must_open(f->kit.at[3]);
}

static void test_readers_share(void **state)
{
	struct fixture *f = *state;
	const struct kit_open ro = {.read_only = true};
	struct pool *a, *b;
	bool all;

	assert_int_equal(kit_open_list(f->kit.at, 1, ro, NULL, &a), 0);
	assert_int_equal(kit_open_list(f->kit.at, 5, ro, NULL, &b), 0);
	assert_true(a->read_only);
	assert_int_equal(pool_begin_epoch(a), -EROFS);
	assert_int_equal(pool_publish(a, &all), -EROFS);
	assert_int_equal(open_some(f, 0, 1), -ERR_IN_USE);
	pool_close(a);
	pool_close(b);
	f->pool = kit_must_open(f->kit.at[0]);
}

static void test_reading_writes_nothing(void **state)
{
	struct fixture *f = *state;
	const struct kit_open ro = {.read_only = true};
	struct kit_image *before[5];

	for (unsigned i = 0; i < 5; i++)
		before[i] = kit_load(f->kit.at[i]);
	assert_int_equal(kit_open_list(f->kit.at, 1, ro, NULL, &f->pool), 0);
	for (unsigned i = 0; i < 5; i++) {
		struct kit_image *after = kit_load(f->kit.at[i]);

		kit_assert_same(before[i], after);
		kit_image_free(before[i]);
		kit_image_free(after);
	}
}

/* ---- faults ---- */

static void fault(struct fixture *f, unsigned i, enum fault_kind kind,
		  unsigned ops, const char *prefix)
{
	struct fault_rule r = {
		.kind = kind, .ops = ops, .prefix = prefix, .err = EIO};

	assert_int_equal(fault_add(f->kit.at[i], &r), 0);
}

static void test_hung_member(void **state)
{
	struct fixture *f = *state;
	const struct kit_open ko = {.deadline_ms = HANG_MS};
	uint64_t start;

	/* Two of them: their patience must not add up. */
	fault(f, 3, FAULT_HANG, FAULT_OP_ALL, "");
	fault(f, 4, FAULT_HANG, FAULT_OP_ALL, "");
	start = clock_mono_ms();
	assert_int_equal(kit_open_list(f->kit.at, 1, ko, &f->diag, &f->pool),
			 0);
	/* Attaching, then reading: once each; and much room for a slow host. */
	assert_in_range(clock_mono_ms() - start, HANG_MS, 20 * HANG_MS);
	assert_int_equal(pool_up(f->pool), 3);
	assert_int_equal(f->pool->member[3].why, -ETIMEDOUT);
	assert_int_equal(f->pool->member[4].why, -ETIMEDOUT);
}

static void test_hung_given(void **state)
{
	struct fixture *f = *state;
	const struct kit_open ko = {.deadline_ms = HANG_MS};

	fault(f, 3, FAULT_HANG, FAULT_OP_ALL, "");
	assert_int_equal(kit_open_list(f->kit.at, 5, ko, &f->diag, &f->pool),
			 0);
	assert_int_equal(f->pool->member[3].why, -ETIMEDOUT);
	close_pool(f);
	assert_int_equal(kit_open_list(&f->kit.at[3], 1, ko, &f->diag,
				       &f->pool),
			 -ETIMEDOUT);
	assert_told(f, path_of(f, 3));
}

/* An error is not absence, and the other slot is good enough. */
static void test_slot_with_io_error(void **state)
{
	struct fixture *f = *state;

	kit_mount(f->kit.at[0]);
	fault(f, 2, FAULT_ERROR, FAULT_OP_READ, "mendfs.super.1");
	f->pool = kit_must_open(f->kit.at[0]);
	assert_int_equal(f->pool->member[2].why, 0);
	assert_int_equal(f->pool->member[2].sb_gen, 1);
	close_pool(f);
	fault(f, 2, FAULT_ERROR, FAULT_OP_READ, "mendfs.super.0");
	f->pool = kit_must_open(f->kit.at[0]);
	assert_int_equal(f->pool->member[2].why, -EIO);
}

static void test_vanished(void **state)
{
	struct fixture *f = *state;

	fault(f, 2, FAULT_VANISH, FAULT_OP_ALL, "");
	f->pool = kit_must_open(f->kit.at[0]);
	assert_int_equal(pool_up(f->pool), 4);
	assert_int_not_equal(f->pool->member[2].why, 0);
}

static void test_lock_fails_on_one(void **state)
{
	struct fixture *f = *state;

	fault(f, 2, FAULT_ERROR, FAULT_OP_LOCK, "");
	f->pool = kit_must_open(f->kit.at[0]);
	assert_int_equal(pool_up(f->pool), 4);
	assert_int_equal(f->pool->member[2].why, -EIO);
}

/* Out of descriptors says nothing about the folder. */
static void test_out_of_descriptors(void **state)
{
	struct fixture *f = *state;
	struct fault_rule r = {.kind = FAULT_ERROR,
			       .ops = FAULT_OP_OPEN,
			       .prefix = "",
			       .err = EMFILE};

	assert_int_equal(fault_add(f->kit.at[2], &r), 0);
	assert_int_equal(open_some(f, 0, 1), -EMFILE);
	assert_null(f->pool);
}

static void test_no_memory(void **state)
{
	struct fixture *f = *state;
	unsigned fails = 0;
	int rc;

	workq_inline(true);
	for (unsigned i = 1, fired = 1; fired; i++) {
		mem_fail_at(i, 0);
		rc = open_some(f, 0, 2);
		fired = mem_count() >= i;
		mem_fail_at(0, 0);
		if (rc && rc != -ENOMEM)
			fail_msg("allocation %u: %s", i, err_name(rc));
		fails += rc != 0;
		/* A member is not missing for want of memory. */
		if (!rc && pool_up(f->pool) != 5)
			fail_msg("allocation %u: a member got lost", i);
		close_pool(f);
	}
	assert_true(fails > 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_any_one_finds_all),
		T_BARE(test_sizes),
		T(test_all_given),
		T(test_keys_are_the_same),
		T(test_seg_context),
		T(test_swapped_contents),
		T(test_missing_is_left_out),
		T(test_strange_place_is_left_out),
		T(test_foreign_place_is_left_out),
		T(test_wrong_member_is_left_out),
		T(test_given_typo),
		T(test_given_member_is_away),
		T(test_given_only_empty),
		T(test_given_no_pool),
		T(test_given_twice),
		T(test_given_copy),
		T(test_given_foreign),
		T(test_given_nothing),
		T(test_given_removed_member),
		T(test_torn_slot),
		T(test_newest_on_one_member_only),
		T(test_both_slots_damaged),
		T(test_huge_slot_file),
		T(test_candidates),
		T(test_adopt),
		T(test_in_use),
		T(test_readers_share),
		T(test_reading_writes_nothing),
		T_FAULT(test_hung_member),
		T_FAULT(test_hung_given),
		T_FAULT(test_slot_with_io_error),
		T_FAULT(test_vanished),
		T_FAULT(test_lock_fails_on_one),
		T_FAULT(test_out_of_descriptors),
		T(test_no_memory),
	};

	return cmocka_run_group_tests(tests, kit_start, kit_stop);
}
