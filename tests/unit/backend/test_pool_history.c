/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a folder says may be old, forged or of another history: which key
 * slots, which superblock and which side of a divergence is believed.
 */
#include "unit/backend/pool_fixture.h"

/* ---- passphrases ---- */

static void test_wrong_passphrase_leaves_no_trace(void **state)
{
	struct fixture *f = *state;
	struct kit_image *before[5];

	for (unsigned i = 0; i < 5; i++)
		before[i] = kit_load(f->kit.at[i]);
	assert_int_equal(open_as(f, 0, "wrong"), -ERR_PASSPHRASE);
	assert_null(f->pool);
	assert_told(f, path_of(f, 0));
	assert_int_equal(open_as(f, 1, ""), -ERR_PASSPHRASE);
	for (unsigned i = 0; i < 5; i++) {
		struct kit_image *after = kit_load(f->kit.at[i]);

		kit_assert_same(before[i], after);
		kit_image_free(before[i]);
		kit_image_free(after);
	}
}

/* As long as any copy of the slot is whole, the passphrase works. */
static void test_damaged_key_slot(void **state)
{
	struct fixture *f = *state;
	struct pool *p = kit_must_open(f->kit.at[0]);

	assert_int_equal(pool_begin_epoch(p), 0);
	p->sb.slots[20] ^= 1;
	kit_publish(p);
	pool_close(p);
	/* Older slots still have it, but the newest one does not. */
	assert_int_equal(open_as(f, 0, KIT_PASS), -ERR_REVOKED);
	for (unsigned i = 0; i < 5; i++)
		kit_remove(f->kit.at[i], "mendfs.super.0");
	memset(&f->diag, 0, sizeof(f->diag));
	assert_int_equal(open_as(f, 0, KIT_PASS), -ERR_KEYSLOT);
	assert_told(f, "damaged");
}

static void change_passphrase(struct fixture *f, unsigned via)
{
	struct pool *p = kit_must_open(f->kit.at[via]);

	assert_int_equal(pool_begin_epoch(p), 0);
	memset(p->sb.slots, 0, sizeof(p->sb.slots));
	assert_int_equal(keyring_wrap(p->keys, p->id.b, "new", 3, p->sb.slots),
			 0);
	kit_publish(p);
	/* Twice, so that no slot knows the old one. */
	kit_publish(p);
	pool_close(p);
}

static void test_revoked_through_stale_folder(void **state)
{
	struct fixture *f = *state;
	struct kit_image *stale = kit_hide(f->kit.at[4]);
	struct kit_image *lone;

	change_passphrase(f, 0);
	kit_show(f->kit.at[4], stale);
	assert_int_equal(open_as(f, 0, "new"), 0);
	assert_int_equal(pool_up(f->pool), 5);
	close_pool(f);
	assert_int_equal(open_as(f, 0, KIT_PASS), -ERR_PASSPHRASE);
	lone = kit_load(f->kit.at[4]);
	memset(&f->diag, 0, sizeof(f->diag));
	assert_int_equal(open_as(f, 4, KIT_PASS), -ERR_REVOKED);
	assert_null(f->pool);
	assert_told(f, "revoked");
	/* No lock file either. */
	stale = kit_load(f->kit.at[4]);
	kit_assert_same(lone, stale);
	kit_image_free(lone);
	kit_image_free(stale);
	/* Named together, the newest one's slots are asked first. */
	assert_int_equal(open_some(f, 3, 2), -ERR_REVOKED);
	/* The stale folder alone does not know the new one. */
	memset(&f->diag, 0, sizeof(f->diag));
	assert_int_equal(open_as(f, 4, "new"), -ERR_PASSPHRASE);
	assert_told(f, "another folder");
}

/*
 * A folder that lies: a huge generation and key slots that open nothing must
 * not keep the true ones from being tried.
 */
static void forge(struct fixture *f, bool with_own_slots)
{
	struct superblock *sb = calloc(1, sizeof(*sb));
	struct keyring *own;
	struct bytes slot = {0};
	struct pool *p = kit_must_open(f->kit.at[0]);

	assert_non_null(sb);
	*sb = p->sb;
	pool_close(p);
	sb->generation = SB_NUMBER_MAX;
	assert_int_equal(keyring_new(&own), 0);
	if (with_own_slots) {
		memset(sb->slots, 0, sizeof(sb->slots));
		assert_int_equal(
			keyring_wrap(own, sb->pool.b, "evil", 4, sb->slots), 0);
	}
	sb->epoch[0].id[0] ^= 1;
	assert_int_equal(superblock_encode(sb, 2, own, &slot), 0);
	kit_put(f->kit.at[2], "mendfs.super.1", slot.data, slot.len);
	assert_int_equal(open_some(f, 0, 5), 0);
	assert_int_equal(f->pool->sb.generation, 1);
	assert_false(f->pool->diverged);
	assert_int_equal(pool_up(f->pool), 5);
	close_pool(f);
	/* Both of its slots forged: a stranger. */
	kit_put(f->kit.at[2], "mendfs.super.0", slot.data, slot.len);
	assert_int_equal(open_some(f, 0, 5), 0);
	assert_int_equal(f->pool->member[2].why, -ERR_AUTH);
	close_pool(f);
	keyring_free(own);
	bytes_release(&slot);
	free(sb);
}

static void test_forged_key_slots(void **state)
{
	forge(*state, true);
}

static void test_forged_superblock(void **state)
{
	forge(*state, false);
}

/* ---- histories ---- */

/* Mounts places first.. first+n-1 while the others are away. */
static void mount_apart(struct fixture *f, unsigned first, unsigned n,
			unsigned times)
{
	struct kit_image *away[5] = {0};

	for (unsigned i = 0; i < 5; i++)
		if (i < first || i >= first + n)
			away[i] = kit_hide(f->kit.at[i]);
	while (times--)
		kit_mount(f->kit.at[first]);
	for (unsigned i = 0; i < 5; i++)
		if (away[i])
			kit_show(f->kit.at[i], away[i]);
}

static void test_stale_member(void **state)
{
	struct fixture *f = *state;

	mount_apart(f, 0, 4, 3);
	f->pool = kit_must_open(f->kit.at[4]);
	assert_int_equal(f->pool->sb.generation, 4);
	assert_int_equal(f->pool->sb.epochs, 4);
	assert_int_equal(pool_up(f->pool), 5);
	assert_int_equal(f->pool->member[4].sb_gen, 1);
}

/* Longer away than superblocks list epochs: old, not diverged. */
static void test_very_stale_member(void **state)
{
	struct fixture *f = *state;

	kit_mount(f->kit.at[0]);
	mount_apart(f, 0, 4, SB_EPOCHS + 5);
	f->pool = kit_must_open(f->kit.at[4]);
	assert_int_equal(pool_up(f->pool), 5);
	assert_int_equal(f->pool->member[4].sb_gen, 2);
	assert_int_equal(f->pool->sb.generation, SB_EPOCHS + 7);
}

static void test_divergence(void **state)
{
	struct fixture *f = *state;
	struct pool_rule_options rule = {0};
	int rc;

	mount_apart(f, 0, 2, 1);
	mount_apart(f, 2, 3, 3);
	assert_int_equal(open_some(f, 0, 5), -ERR_DIVERGED);
	assert_null(f->pool);
	for (unsigned i = 0; i < 5; i++)
		assert_told(f, path_of(f, i));
	assert_told(f, "epoch 2 (");
	assert_told(f, "epoch 4 (");
	assert_told(f, "-o ro");
	/* To look at it is allowed; to write is not. */
	memset(&f->diag, 0, sizeof(f->diag));
	assert_int_equal(kit_open_list(f->kit.at, 1,
				       (struct kit_open){.read_only = true},
				       &f->diag, &f->pool),
			 0);
	assert_true(f->pool->diverged);
	assert_int_equal(f->pool->sb.generation, 4);
	assert_int_equal(pool_judge(f->pool, &rule, &f->diag, &rc),
			 POOL_READ_ONLY);
	assert_int_equal(rc, -ERR_DIVERGED);
	close_pool(f);
	/* One side alone is a pool as ever. */
	mount_apart(f, 2, 3, 1);
}

/* The same number of mounts and publications on both sides. */
static void test_divergence_of_equals(void **state)
{
	struct fixture *f = *state;

	mount_apart(f, 0, 2, 2);
	mount_apart(f, 3, 2, 2);
	assert_int_equal(open_some(f, 2, 1), -ERR_DIVERGED);
}

/* Two writers in one epoch. */
static void test_divergence_within_an_epoch(void **state)
{
	struct fixture *f = *state;
	struct kit_image *first;
	struct pool *p = kit_must_open(f->kit.at[0]);

	p->sb.created_ns++;
	kit_publish(p);
	pool_close(p);
	first = kit_hide(f->kit.at[0]);
	for (unsigned i = 1; i < 5; i++)
		kit_remove(f->kit.at[i], "mendfs.super.1");
	p = kit_must_open(f->kit.at[1]);
	p->sb.created_ns--;
	kit_publish(p);
	pool_close(p);
	kit_show(f->kit.at[0], first);
	assert_int_equal(open_some(f, 0, 1), -ERR_DIVERGED);
}

/* ---- features ---- */

static void publish_features(struct fixture *f, uint64_t incompat,
			     uint64_t ro_compat)
{
	f->pool = kit_must_open(f->kit.at[0]);
	assert_int_equal(pool_begin_epoch(f->pool), 0);
	f->pool->sb.incompat = incompat;
	f->pool->sb.ro_compat = ro_compat;
	kit_publish(f->pool);
	close_pool(f);
}

static void test_newer_format(void **state)
{
	struct fixture *f = *state;

	publish_features(f, 1ULL << 9, 0);
	/* The older slot can be read, but must not be believed. */
	assert_int_equal(open_some(f, 0, 1), -ERR_FEATURE);
	assert_told(f, "update mendfs");
	assert_null(f->pool);
}

static void test_read_only_feature(void **state)
{
	struct fixture *f = *state;
	const struct pool_rule_options rw = {.degraded = true};
	struct pool *other;
	int rc;

	publish_features(f, 0, 1ULL << 9);
	assert_int_equal(open_some(f, 0, 1), 0);
	assert_true(f->pool->read_only);
	assert_int_equal(pool_begin_epoch(f->pool), -EROFS);
	assert_int_equal(pool_judge(f->pool, &rw, &f->diag, &rc),
			 POOL_READ_ONLY);
	assert_int_equal(rc, -ERR_FEATURE);
	/* So it holds shared locks only. */
	other = kit_must_open(f->kit.at[1]);
	pool_close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_wrong_passphrase_leaves_no_trace),
		T(test_damaged_key_slot),
		T(test_revoked_through_stale_folder),
		T(test_forged_key_slots),
		T(test_forged_superblock),
		T(test_stale_member),
		T(test_very_stale_member),
		T(test_divergence),
		T(test_divergence_of_equals),
		T(test_divergence_within_an_epoch),
		T(test_newer_format),
		T(test_read_only_feature),
	};

	return cmocka_run_group_tests(tests, kit_start, kit_stop);
}
