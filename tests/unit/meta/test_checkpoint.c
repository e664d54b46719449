/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints that go well: what is written, what comes back, what is
 * removed.
 */
#include "unit/meta/checkpoint_kit.h"

static int make(void **state)
{
	struct kit *k = kit_new(4, 2);

	rnd_seed(test_seed());
	kit_make(k);
	*state = k;
	return 0;
}

static int make_wide(void **state)
{
	struct kit *k = kit_new(4, 2);

	rnd_seed(test_seed());
	k->segment_bytes = 8 * KIT_SEGMENT;
	kit_make(k);
	*state = k;
	return 0;
}

static int drop(void **state)
{
	kit_free(*state);
	rnd_unseed();
	return 0;
}

#define WITH_POOL(test) cmocka_unit_test_setup_teardown(test, make, drop)
#define WITH_WIDE_SEGMENTS(test) \
	cmocka_unit_test_setup_teardown(test, make_wide, drop)

static struct checkpoint_stats stats(struct kit *k)
{
	struct checkpoint_stats s;

	checkpoint_get_stats(k->ck, &s);
	return s;
}

/* ---- writing and restoring ---- */

static void test_mkfs_then_mount(void **state)
{
	struct kit *k = *state;

	kit_mount(k);
	kit_check(k);
	kit_compare(k);
	assert_int_equal(stats(k).runs, 1);
	assert_int_equal(stats(k).failed, 0);
	assert_int_equal(stats(k).seq, kit_seq(k));
}

static void test_restore_from_scratch(void **state)
{
	struct kit *k = *state;
	uint64_t files, seq;

	kit_mount(k);
	kit_add_files(k, 3000);
	kit_run(k);
	kit_compare(k);
	seq = k->mark;
	kit_crash(k);
	kit_lose_local(k);
	kit_mount(k);
	assert_true(k->fetched > 3);
	assert_int_equal(k->scan.records, 0);
	assert_true(kit_seq(k) > seq);
	kit_check(k);
	index_lock(k->ix);
	OK(inode_count(k->ix, &files));
	index_unlock(k->ix);
	assert_int_equal(files, 3001);
}

static void test_restore_over_stale_file(void **state)
{
	struct kit *k = *state;
	uint32_t regions;

	kit_mount(k);
	kit_add_files(k, 3000);
	kit_run(k);
	regions = k->ck->base.regions;
	kit_crash(k);
	/* The local file is as new as the manifest, or a little newer. */
	kit_mount(k);
	assert_true(k->fetched < 3);
	kit_add_files(k, 10);
	OK(commit_all(k->commit));
	kit_crash(k);
	kit_mount(k);
	assert_true(k->fetched > 0 && k->fetched < regions);
	assert_true(k->scan.records > 0);
	kit_check(k);
	kit_compare(k);
}

static void flip_byte(const char *path, long off)
{
	FILE *f = fopen(path, "r+");
	int c;

	assert_non_null(f);
	assert_int_equal(fseek(f, off, SEEK_SET), 0);
	c = fgetc(f);
	assert_int_equal(fseek(f, off, SEEK_SET), 0);
	assert_int_not_equal(fputc(c ^ 1, f), EOF);
	assert_int_equal(fclose(f), 0);
}

/* Whichever region is damaged, that one is fetched. */
static void test_restore_of_one_region(void **state)
{
	struct kit *k = *state;
	struct manifest m = {0};

	kit_mount(k);
	kit_add_files(k, 2000);
	kit_run(k);
	kit_crash(k);
	OK(kit_restore(k, &m, false, true));
	kit_crash(k);
	for (uint32_t r = 0; r < m.regions; r++) {
		struct manifest again = {0};

		flip_byte(k->index_path, (long)r * INDEX_REGION + 77);
		OK(kit_restore(k, &again, false, true));
		/* Page 1 says where the last one ends. */
		assert_in_range(k->fetched, 1, r == 0 ? 2 : 1);
		kit_check(k);
		manifest_release(&again);
		kit_crash(k);
	}
	manifest_release(&m);
}

/* Torn, cut, foreign, a folder: whatever lies there. */
static void test_restore_over_garbage(void **state)
{
	struct kit *k = *state;

	kit_mount(k);
	kit_add_files(k, 2000);
	kit_run(k);
	kit_crash(k);
	flip_byte(k->index_path, 100); /* page 1: the length is unknown */
	kit_mount(k);
	kit_check(k);
	kit_crash(k);
	OK(truncate(k->index_path, INDEX_REGION + 5000));
	kit_mount(k);
	kit_check(k);
	kit_crash(k);
	OK(truncate(k->index_path, 0));
	kit_mount(k);
	kit_check(k);
	kit_crash(k);
	k->salt[0] ^= 1; /* another key */
	kit_mount(k);
	kit_check(k);
	kit_compare(k);
	kit_crash(k);
	kit_lose_local(k);
	OK(symlink("/nowhere/at/all", k->index_path));
	kit_mount(k);
	kit_check(k);
}

static void test_clean_mark(void **state)
{
	struct kit *k = *state;

	kit_mount(k);
	kit_add_files(k, 2000);
	kit_run(k);
	kit_crash(k);
	OK(kit_mount_try(k, true));
	assert_int_equal(k->fetched, 0);
	kit_check(k);
	kit_compare(k);
	kit_run(k);
	kit_crash(k);
	/* A mark that lies is found out where it is cheap. */
	kit_lose_local(k);
	OK(kit_mount_try(k, true));
	assert_true(k->fetched > 3);
	kit_check(k);
}

static void test_any_n_minus_m(void **state)
{
	struct kit *k = *state;
	struct fault_rule gone = {.kind = FAULT_VANISH};

	kit_mount(k);
	kit_add_files(k, 2000);
	kit_run(k);
	kit_crash(k);
	for (unsigned a = 0; a < k->n; a++)
		for (unsigned b = a + 1; b < k->n; b++) {
			struct manifest m = {0};

			kit_fault(k, a, gone);
			kit_fault(k, b, gone);
			kit_lose_local(k);
			OK(kit_restore(k, &m, false, true));
			kit_check(k);
			manifest_release(&m);
			kit_crash(k);
			kit_clear_faults(k);
		}
}

/* ---- journaled bytes ---- */

static void test_carried_bytes_survive(void **state)
{
	struct kit *k = *state;
	int64_t before, after;

	kit_mount(k);
	before = kit_add_small(k);
	assert_true(before > 0);
	OK(commit_all(k->commit));
	kit_run(k);
	after = kit_add_small(k);
	assert_true(after > 0);
	OK(commit_all(k->commit));
	kit_crash(k);
	kit_lose_local(k);
	kit_mount(k);
	OK(kit_read_small(k, (uint64_t)before));
	OK(kit_read_small(k, (uint64_t)after));
	kit_check(k);
}

/* The checkpoint seals what was open: nothing of the journal is needed. */
static void test_checkpoint_frees_the_journal(void **state)
{
	struct kit *k = *state;
	struct journal_stats js;

	kit_mount(k);
	for (unsigned i = 0; i < 20; i++)
		assert_true(kit_add_small(k) > 0);
	OK(commit_all(k->commit));
	kit_run(k);
	assert_int_equal(k->ck->base.bytes_from, k->ck->base.seq + 1);
	assert_int_equal(jseg_needed_from(k->js), UINT64_MAX);
	journal_get_stats(k->journal, &js);
	assert_int_equal(js.used_bytes, 0);
	assert_false(checkpoint_due(k->ck));
}

/* ---- increments ---- */

static void test_second_writes_only_changes(void **state)
{
	struct kit *k = *state;
	uint64_t before;

	kit_mount(k);
	kit_add_files(k, 8000);
	kit_run(k);
	assert_true(k->ck->base.regions > 10);
	before = stats(k).regions_written;
	kit_run(k);
	/* seq is a row too */
	assert_in_range(stats(k).regions_written - before, 1, 2);
	before = stats(k).regions_written;
	kit_add_files(k, 1);
	kit_run(k);
	assert_in_range(stats(k).regions_written - before, 1, 8);
	assert_true(stats(k).regions_written - before <
		    k->ck->base.regions / 2);
	kit_compare(k);
}

#define BLOBS 1000u /* of 3000 bytes, on a page each */

static void make_blobs(struct kit *k, unsigned n)
{
	kit_mount(k);
	kit_add_files(k, n);
	kit_set_blobs(k, 2, 2 + n);
	kit_run(k);
	assert_true(k->ck->base.regions > 18);
}

/* Changes here and there leave many small segments: they are joined. */
static void test_segments_stay_few(void **state)
{
	struct kit *k = *state;
	uint64_t full;
	unsigned most = 0;

	make_blobs(k, 3 * BLOBS);
	full = kit_usage(k).index_bytes;
	for (unsigned i = 0; i < 200; i++) {
		OK(kit_set_blob(k, 2 + rnd_below(3 * BLOBS)));
		kit_run(k);
		most = MAX(most, k->ck->base.segments);
		if (i % 25 == 24)
			assert_true(kit_usage(k).index_bytes < 3 * full);
	}
	printf("regions: %u, segments at most: %u\n", k->ck->base.regions,
	       most);
	assert_true(most < 26); /* of 61 regions; 45 if none were joined */
	kit_compare(k);
	kit_crash(k);
	kit_lose_local(k);
	kit_mount(k);
	kit_compare(k);
	kit_check(k);
}

/*
 * The worst case: of all that a checkpoint writes, one part is never written
 * again and would hold the rest.
 */
static void test_space_is_bounded(void **state)
{
	struct kit *k = *state;
	const unsigned rounds = 16;
	uint64_t full;

	make_blobs(k, BLOBS);
	full = kit_usage(k).index_bytes;
	for (unsigned i = 0; i < rounds; i++) {
		kit_set_blobs(k, 2 + i * BLOBS / rounds, 2 + BLOBS);
		kit_run(k);
	}
	printf("first: %llu, last: %llu\n", (unsigned long long)full,
	       (unsigned long long)kit_usage(k).index_bytes);
	/* its own, a newer and an older one that is kept */
	assert_true(kit_usage(k).index_bytes < 3 * full);
	kit_compare(k);
}

/* ---- removal ---- */

static void test_dead_data_is_removed(void **state)
{
	struct kit *k = *state;
	struct kit_usage u;
	int64_t data;

	kit_mount(k);
	data = kit_add_small(k);
	assert_true(data > 0);
	kit_run(k); /* sealed by it */
	u = kit_usage(k);
	assert_true(u.data_objects > 0);
	OK(kit_drop_data(k, (uint64_t)data));
	assert_int_equal(kit_usage(k).data_objects, u.data_objects);
	kit_run(k);
	assert_int_equal(kit_usage(k).data_objects, 0);
	assert_int_equal(stats(k).segments_removed, 1);
	kit_check(k);
	/* its row goes with the record after */
	kit_run(k);
	kit_crash(k);
	kit_lose_local(k);
	kit_mount(k);
	kit_check(k);
}

/* C5: dead, but not yet in a checkpoint. */
static void test_dead_later_than_the_cut_stays(void **state)
{
	struct kit *k = *state;
	struct kit_usage u;
	int64_t data;

	kit_mount(k);
	data = kit_add_small(k);
	kit_run(k);
	u = kit_usage(k);
	OK(kit_drop_data(k, (uint64_t)data));
	OK(commit_all(k->commit));
	/* the checkpoint in force was cut before */
	checkpoint_reclaim(k->ck);
	assert_int_equal(kit_usage(k).data_objects, u.data_objects);
	kit_run(k);
	assert_int_equal(kit_usage(k).data_objects, 0);
}

static void test_many_dead(void **state)
{
	struct kit *k = *state;

	kit_mount(k);
	for (unsigned i = 0; i < 300; i++) {
		struct seg_desc d = {.id = {index_next(k->ix, COUNTER_SEGMENT)},
				     .stripe = {rnd_u64() | 1},
				     .kind = SEG_DATA,
				     .k = 1};

		OK(index_begin(k->ix));
		OK(index_end(k->ix, segment_insert(k->ix, &d, SEG_SEALED)));
	}
	kit_run(k);
	assert_int_equal(stats(k).segments_removed, 300);
	kit_check(k);
}

/* Every index object belongs to the one in force or one that is kept. */
static void assert_no_litter(struct kit *k)
{
	struct stripe_set set = {0};
	struct desc_list l = {0};
	unsigned objects = 0;

	OK(past_segments(&k->ck->base, &k->ck->base_ref, &l));
	OK(stripe_set_add(&set, &l));
	for (unsigned i = 0; i < k->ck->base.kept; i++) {
		const struct manifest_ref *ref = &k->ck->base.keep[i].ref;
		struct manifest m;

		OK(manifest_load(k->store, ref, &m, NULL));
		OK(past_segments(&m, ref, &l));
		manifest_release(&m);
	}
	stripe_set_sort(&set);
	for (size_t i = 0; i < l.n; i++) {
		bool twice = false;

		for (size_t j = 0; j < i; j++)
			twice |= l.v[j].stripe.v == l.v[i].stripe.v;
		if (!twice)
			objects += l.v[i].k + l.v[i].m;
	}
	assert_int_equal(kit_usage(k).index_objects, objects);
	stripe_set_release(&set);
	desc_list_release(&l);
}

static void test_old_index_segments_go(void **state)
{
	struct kit *k = *state;

	kit_mount(k);
	kit_add_files(k, 1000);
	for (unsigned i = 0; i < 10; i++) {
		kit_add_files(k, 20);
		kit_run(k);
		assert_no_litter(k);
	}
	/* A new mount knows the kept ones by name only. */
	kit_crash(k);
	kit_mount(k);
	assert_no_litter(k);
	kit_run(k);
	assert_no_litter(k);
	kit_compare(k);
}

#define DAYS(n) ((n)*24 * 3600 * 1000000000LL)

/* All that an older checkpoint stands on can be read. */
static void assert_whole(struct kit *k, const struct manifest_ref *ref)
{
	struct manifest m;

	OK(manifest_load(k->store, ref, &m, NULL));
	free(kit_pool_regions(k, &m));
	manifest_release(&m);
}

static void rewrite_all(struct kit *k)
{
	kit_set_blobs(k, 2, 2 + BLOBS);
	kit_run(k);
}

static void fail_object(struct kit *k, const struct seg_desc *d)
{
	char prefix[64];

	snprintf(prefix, sizeof(prefix), "index/%02x/%016llx-%016llx",
		 (unsigned)(d->id.v & 0xff), (unsigned long long)d->id.v,
		 (unsigned long long)d->stripe.v);
	kit_fault_all(k, (struct fault_rule){.kind = FAULT_ERROR,
					     .ops = FAULT_OP_OPEN,
					     .prefix = prefix,
					     .err = ENOENT});
}

/*
 * P4. A kept one that cannot be read now: what it may need stays, although all
 * others that stood on it are dropped.
 */
static void test_unknown_is_kept(void **state)
{
	struct kit *k = *state;
	struct manifest_ref old;

	kit_set_time(DAYS(20000));
	make_blobs(k, BLOBS);
	kit_set_time(DAYS(20030)); /* what is there is too old */
	kit_run(k);
	old = k->ck->base_ref;
	kit_set_time(DAYS(20032));
	kit_run(k);
	kit_crash(k);
	fail_object(k, &old.segment);
	kit_mount(k);
	kit_set_time(DAYS(20034));
	for (unsigned i = 0; i < 4; i++)
		rewrite_all(k);
	assert_true(k->ck->garbage.n > 0);
	kit_clear_faults(k);
	assert_int_equal(
		k->ck->base.keep[k->ck->base.kept - 1].ref.segment.stripe.v,
		old.segment.stripe.v);
	assert_whole(k, &old);
	/* Once it can be read, what it does not need goes. */
	kit_run(k);
	assert_no_litter(k);
	assert_whole(k, &old);
	/* After a week it goes itself. */
	kit_set_time(DAYS(20040));
	kit_run(k);
	assert_no_litter(k);
}

/* P5: what a crash would draw again. */
static void test_numbers_are_not_drawn_twice(void **state)
{
	struct kit *k = *state;
	uint64_t last;

	kit_mount(k);
	kit_run(k);
	last = k->ck->base_ref.segment.id.v;
	assert_true(index_peek(k->ix, COUNTER_SEGMENT) > last);
	kit_crash(k);
	kit_lose_local(k);
	kit_mount(k);
	assert_true(k->ck->first_own > last);
	assert_true(k->ck->base_ref.segment.id.v > last);
}

/* ---- what is asked ---- */

static void test_reserve(void **state)
{
	struct kit *k = *state;
	struct pool_space space;
	struct journal_stats js;
	uint64_t want;

	kit_mount(k);
	pool_space(k->pool, &space);
	assert_true(space.raw_total > 0);
	assert_int_equal(checkpoint_reserve(k->ck), space.raw_total / 32);
	journal_get_stats(k->journal, &js);
	want = 4 * index_bytes(k->ix) + 3 * js.limit_bytes;
	assert_true(want < space.raw_total / 32);
}

static void test_due_by_space(void **state)
{
	struct kit *k = *state;
	struct journal_stats js;
	uint8_t plain[KIT_CHUNK];
	struct seg_id id;
	struct chunk_ref ref;

	kit_mount(k);
	assert_false(checkpoint_due(k->ck));
	journal_get_stats(k->journal, &js);
	for (unsigned i = 0;
	     js.used_bytes <= MIN(js.limit_bytes / 2, 64u << 20); i++) {
		assert_false(checkpoint_due(k->ck));
		kit_fill(i, plain, sizeof(plain));
		for (unsigned j = 0; j < 16; j++)
			OK(jseg_add(k->js, 1, i, plain, sizeof(plain), &id,
				    &ref));
		OK(commit_all(k->commit));
		journal_get_stats(k->journal, &js);
	}
	assert_true(checkpoint_due(k->ck));
	kit_run(k);
	assert_false(checkpoint_due(k->ck));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_POOL(test_mkfs_then_mount),
		WITH_POOL(test_restore_from_scratch),
		WITH_POOL(test_restore_over_stale_file),
		WITH_POOL(test_restore_of_one_region),
		WITH_POOL(test_restore_over_garbage),
		WITH_POOL(test_clean_mark),
		WITH_POOL(test_any_n_minus_m),
		WITH_POOL(test_carried_bytes_survive),
		WITH_POOL(test_checkpoint_frees_the_journal),
		WITH_POOL(test_second_writes_only_changes),
		WITH_WIDE_SEGMENTS(test_segments_stay_few),
		WITH_POOL(test_space_is_bounded),
		WITH_POOL(test_dead_data_is_removed),
		WITH_POOL(test_dead_later_than_the_cut_stays),
		WITH_POOL(test_many_dead),
		WITH_POOL(test_old_index_segments_go),
		WITH_POOL(test_unknown_is_kept),
		WITH_POOL(test_numbers_are_not_drawn_twice),
		WITH_POOL(test_reserve),
		WITH_POOL(test_due_by_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
