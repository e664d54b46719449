/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints that fail at every step: what was durable before stays so, and
 * the pool can always be recovered.
 */
#include "unit/meta/checkpoint_kit.h"

#define SUPER	    "mendfs.super"
#define START_FILES 300

/* What is known to be in the pool. */
struct expect {
	uint64_t files;
	uint64_t data[4096];
	unsigned datas;
};

struct fail {
	struct kit *k;
	struct expect want;
};

static int make(void **state)
{
	struct fail *f = calloc(1, sizeof(*f));

	rnd_seed(test_seed());
	workq_inline(true);
	f->k = kit_new(4, 2);
	kit_make(f->k);
	/* more than the regions that are looked at anyway */
	kit_mount(f->k);
	kit_add_files(f->k, START_FILES);
	kit_set_blobs(f->k, 2, 2 + START_FILES);
	kit_run(f->k);
	kit_crash(f->k);
	f->want.files = 1 + START_FILES;
	*state = f;
	return 0;
}

static int drop(void **state)
{
	struct fail *f = *state;

	kit_free(f->k);
	workq_inline(false);
	rnd_unseed();
	free(f);
	return 0;
}

#define WITH_POOL(test) cmocka_unit_test_setup_teardown(test, make, drop)

static void work(struct fail *f, unsigned files, unsigned smalls)
{
	kit_add_files(f->k, files);
	f->want.files += files + smalls;
	while (smalls--) {
		int64_t data = kit_add_small(f->k);

		assert_true(data > 0);
		f->want.data[f->want.datas++ % 4096] = (uint64_t)data;
	}
}

static void judge(struct fail *f)
{
	struct kit *k = f->k;
	uint64_t files;

	kit_check(k);
	kit_compare(k);
	index_lock(k->ix);
	OK(inode_count(k->ix, &files));
	index_unlock(k->ix);
	assert_int_equal(files, f->want.files);
	for (unsigned i = 0; i < MIN(f->want.datas, 4096u); i += 7)
		OK(kit_read_small(k, f->want.data[i]));
}

static void crash_and_judge(struct fail *f, bool lose_local)
{
	kit_crash(f->k);
	kit_clear_faults(f->k);
	if (lose_local)
		kit_lose_local(f->k);
	kit_mount(f->k);
	judge(f);
}

static uint64_t hits(const struct kit *k)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < k->n; i++)
		n += fault_hits(k->loc[i]);
	return n;
}

/* ---- the i-th call, for all i ---- */

/* Round i: this rule on the first `members` ones, after i good calls each. */
static void every_call(struct fail *f, struct fault_rule rule, unsigned members)
{
	struct kit *k = f->k;
	unsigned failed = 0;
	bool hit = true;

	kit_mount(k);
	for (unsigned i = 0; hit; i++) {
		int rc;

		assert_true(i < 200);
		work(f, 30, 2);
		OK(commit_all(k->commit));
		rule.skip = i;
		for (unsigned j = 0; j < members; j++)
			kit_fault(k, j, rule);
		rc = checkpoint_run(k->ck, NULL, NULL);
		failed += rc < 0;
		hit = hits(k) > 0;
		/* Half of the time it goes on first. */
		kit_clear_faults(k);
		if (i % 2 && rc < 0 && members <= k->m)
			kit_run(k);
		crash_and_judge(f, i % 4 < 2);
	}
	printf("failed runs: %u\n", failed);
}

static void test_everything_ends_at_call_i(void **state)
{
	every_call(*state, (struct fault_rule){.kind = FAULT_ERROR, .err = EIO},
		   4);
}

static void test_two_members_end_at_call_i(void **state)
{
	every_call(*state, (struct fault_rule){.kind = FAULT_ERROR, .err = EIO},
		   2);
}

static void test_call_i_fails_once_everywhere(void **state)
{
	every_call(*state,
		   (struct fault_rule){
			   .kind = FAULT_ERROR, .times = 1, .err = EIO},
		   4);
}

static void test_full_from_call_i_on(void **state)
{
	every_call(*state, (struct fault_rule){.kind = FAULT_FULL}, 4);
}

static void test_torn_at_call_i(void **state)
{
	every_call(*state, (struct fault_rule){.kind = FAULT_TORN}, 4);
}

/* ---- memory and local files ---- */

/* What changed before a run that failed is in the next one. */
static void test_changes_are_not_forgotten(void **state)
{
	struct fail *f = *state;
	struct kit *k = f->k;

	kit_mount(k);
	kit_set_blobs(k, 2 + START_FILES / 3, 2 + START_FILES / 2);
	kit_fault_all(k, (struct fault_rule){.kind = FAULT_FULL,
					     .prefix = "index/"});
	assert_int_equal(checkpoint_run(k->ck, NULL, NULL), -ENOSPC);
	kit_clear_faults(k);
	kit_run(k);
	kit_compare(k);
}

static void test_allocation_i_fails(void **state)
{
	struct fail *f = *state;
	struct kit *k = f->k;
	uint64_t i = 1;
	bool hit;
	unsigned failed = 0;

	kit_mount(k);
	do {
		int rc;

		work(f, 3, 1);
		OK(commit_all(k->commit));
		mem_fail_at(i, 0);
		rc = checkpoint_run(k->ck, NULL, NULL);
		hit = mem_count() >= i;
		mem_fail_at(0, 0);
		failed += rc < 0;
		if (rc < 0 || i % 8 == 0)
			crash_and_judge(f, i % 3 == 0);
		i += 1 + i / 10;
	} while (hit);
	assert_true(failed > 10);
	printf("allocations: %llu, failed runs: %u\n", (unsigned long long)i,
	       failed);
}

static void test_local_call_i_fails(void **state)
{
	struct fail *f = *state;
	struct kit *k = f->k;
	uint64_t i = 1;
	bool hit;
	unsigned failed = 0;

	kit_mount(k);
	do {
		work(f, 3, 1);
		OK(commit_all(k->commit));
		os_fail_at(i, ENOSPC, 0);
		failed += checkpoint_run(k->ck, NULL, NULL) < 0;
		hit = os_count() >= i;
		os_fail_at(0, 0, 0);
		crash_and_judge(f, false);
		i += 1 + i / 20;
	} while (hit);
	printf("local calls: %llu, failed runs: %u\n", (unsigned long long)i,
	       failed);
}

static void test_restore_fails_at_local_call_i(void **state)
{
	struct fail *f = *state;
	struct kit *k = f->k;
	uint64_t i = 0;
	bool hit;

	kit_mount(k);
	work(f, 500, 0);
	kit_run(k);
	kit_crash(k);
	do {
		struct manifest m = {0};
		int rc;

		kit_lose_local(k);
		os_fail_at(++i, EIO, 0);
		rc = kit_restore(k, &m, false, true);
		hit = os_count() >= i;
		os_fail_at(0, 0, 0);
		manifest_release(&m);
		kit_crash(k);
		if (rc == 0)
			continue;
		/* what it left is no obstacle */
		OK(kit_restore(k, &m, false, true));
		kit_check(k);
		manifest_release(&m);
		kit_crash(k);
	} while (hit);
	kit_mount(k);
	judge(f);
}

/* ---- P1: nothing is left of what was not published ---- */

static void test_failed_run_leaves_no_litter(void **state)
{
	struct fail *f = *state;
	struct kit *k = f->k;
	struct kit_usage before;

	kit_mount(k);
	work(f, 500, 0);
	before = kit_usage(k);
	/* First the regions cannot be written, then the manifest. */
	for (unsigned skip = 0; skip < 2; skip++) {
		struct manifest_ref in_force = k->pool->sb.manifest;

		kit_fault_all(k, (struct fault_rule){.kind = FAULT_ERROR,
						     .ops = FAULT_OP_CREATE,
						     .prefix = "index/",
						     .skip = skip,
						     .err = ENOSPC});
		assert_true(checkpoint_run(k->ck, NULL, NULL) < 0);
		kit_clear_faults(k);
		assert_int_equal(kit_usage(k).index_objects,
				 before.index_objects);
		assert_memory_equal(&in_force, &k->pool->sb.manifest,
				    sizeof(in_force));
		assert_false(k->ck->doubt_ref.present);
	}
	kit_run(k);
	crash_and_judge(f, true);
}

/* ---- P2: in doubt ---- */

static void fail_super(struct kit *k, unsigned members)
{
	for (unsigned i = 0; i < members; i++)
		kit_fault(k, i,
			  (struct fault_rule){.kind = FAULT_ERROR,
					      .ops = FAULT_OP_RENAME,
					      .prefix = SUPER,
					      .err = ENOSPC});
}

static void test_doubt_is_published_later(void **state)
{
	struct fail *f = *state;
	struct kit *k = f->k;
	struct manifest_ref before;
	struct kit_usage usage;
	uint64_t doubtful;

	kit_mount(k);
	before = k->pool->sb.manifest;
	work(f, 500, 0);
	fail_super(k, 2); /* on two of three that are needed */
	assert_true(checkpoint_run(k->ck, NULL, NULL) < 0);
	assert_true(k->ck->doubt_ref.present);
	assert_memory_equal(&before, &k->pool->sb.manifest, sizeof(before));
	doubtful = k->ck->doubt_ref.segment.stripe.v;
	usage = kit_usage(k);
	/* However often: it writes nothing more. */
	for (unsigned i = 0; i < 5; i++)
		assert_true(checkpoint_run(k->ck, NULL, NULL) < 0);
	assert_int_equal(kit_usage(k).index_objects, usage.index_objects);
	kit_clear_faults(k);
	work(f, 10, 0);
	kit_run(k);
	assert_false(k->ck->doubt_ref.present);
	assert_int_equal(k->ck->base.keep[0].ref.segment.stripe.v, doubtful);
	crash_and_judge(f, true);
}

static void test_crash_in_doubt(void **state)
{
	struct fail *f = *state;
	struct kit *k = f->k;

	for (unsigned members = 2; members <= 4; members++) {
		kit_mount(k);
		work(f, 100, 3);
		OK(commit_all(k->commit));
		fail_super(k, members);
		assert_true(checkpoint_run(k->ck, NULL, NULL) < 0);
		work(f, 100, 3);
		OK(commit_all(k->commit));
		crash_and_judge(f, members % 2);
		kit_crash(k);
	}
}

/* ---- P3: not on all members ---- */

static void test_not_everywhere(void **state)
{
	struct fail *f = *state;
	struct kit *k = f->k;
	struct journal_stats js;
	struct kit_usage usage;
	uint64_t data;

	kit_mount(k);
	work(f, 100, 1);
	data = f->want.data[f->want.datas - 1];
	kit_run(k);
	OK(kit_drop_data(k, data));
	f->want.datas--;
	OK(commit_all(k->commit));
	usage = kit_usage(k);
	fail_super(k, 1);
	kit_run(k); /* in force all the same */
	journal_get_stats(k->journal, &js);
	assert_true(js.used_bytes > 0);
	assert_true(kit_usage(k).index_objects > usage.index_objects);
	assert_int_equal(kit_usage(k).data_objects, usage.data_objects);
	kit_run(k);
	assert_int_equal(kit_usage(k).data_objects, usage.data_objects);
	kit_clear_faults(k);
	kit_run(k);
	journal_get_stats(k->journal, &js);
	assert_int_equal(js.used_bytes, 0);
	assert_int_equal(kit_usage(k).data_objects, 0);
	assert_int_equal(k->ck->pasts, k->ck->base.kept);
	/* the extents of that file are gone */
	index_lock(k->ix);
	OK(extent_count(k->ix, data, 1));
	index_unlock(k->ix);
	crash_and_judge(f, true);
}

/* ---- P7: the journal lacks room, or members ---- */

static void without_journal(struct fail *f, struct fault_rule rule)
{
	struct kit *k = f->k;

	kit_mount(k);
	work(f, 100, 5);
	OK(commit_all(k->commit));
	work(f, 100, 0);
	rule.prefix = "journal/";
	kit_fault_all(k, rule);
	kit_run(k);
	assert_true(commit_error(k->commit) < 0);
	kit_clear_faults(k);
	work(f, 10, 1);
	OK(commit_all(k->commit));
	assert_int_equal(commit_error(k->commit), 0);
	crash_and_judge(f, true);
	kit_crash(k);
}

static void test_full_journal(void **state)
{
	without_journal(*state, (struct fault_rule){.kind = FAULT_FULL});
}

/* Neither takes a member down. */
static void test_failing_journal(void **state)
{
	without_journal(*state, (struct fault_rule){.kind = FAULT_ERROR,
						    .err = ENOTDIR});
	without_journal(*state, (struct fault_rule){.kind = FAULT_ERROR,
						    .ops = FAULT_OP_WRITE,
						    .err = ENOTDIR});
}

/* ---- a fragment cannot be removed now ---- */

static void test_removal_is_tried_again(void **state)
{
	struct fail *f = *state;
	struct kit *k = f->k;
	struct checkpoint_stats st;
	uint64_t data;

	kit_mount(k);
	work(f, 100, 1);
	data = f->want.data[--f->want.datas];
	kit_run(k);
	OK(kit_drop_data(k, data));
	/* Once each: a member that fails more often is taken for down. */
	kit_fault_all(k, (struct fault_rule){.kind = FAULT_ERROR,
					     .ops = FAULT_OP_REMOVE,
					     .prefix = "data/",
					     .times = 1,
					     .err = EIO});
	kit_fault_all(k, (struct fault_rule){.kind = FAULT_ERROR,
					     .ops = FAULT_OP_REMOVE,
					     .prefix = "index/",
					     .times = 1,
					     .err = EIO});
	kit_run(k);
	assert_true(k->ck->garbage.n > 0);
	assert_true(kit_usage(k).data_objects > 0);
	checkpoint_get_stats(k->ck, &st);
	assert_int_equal(st.segments_removed, 0);
	kit_clear_faults(k);
	kit_run(k);
	assert_int_equal(k->ck->garbage.n, 0);
	assert_int_equal(kit_usage(k).data_objects, 0);
	crash_and_judge(f, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_POOL(test_everything_ends_at_call_i),
		WITH_POOL(test_two_members_end_at_call_i),
		WITH_POOL(test_call_i_fails_once_everywhere),
		WITH_POOL(test_full_from_call_i_on),
		WITH_POOL(test_torn_at_call_i),
		WITH_POOL(test_changes_are_not_forgotten),
		WITH_POOL(test_allocation_i_fails),
		WITH_POOL(test_local_call_i_fails),
		WITH_POOL(test_restore_fails_at_local_call_i),
		WITH_POOL(test_failed_run_leaves_no_litter),
		WITH_POOL(test_doubt_is_published_later),
		WITH_POOL(test_crash_in_doubt),
		WITH_POOL(test_not_everywhere),
		WITH_POOL(test_full_journal),
		WITH_POOL(test_failing_journal),
		WITH_POOL(test_removal_is_tried_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
