/* SPDX-License-Identifier: Apache-2.0 */
/* Write-back that fails: whom it concerns, whom it must not, and what those who
 * wait are told. */
#include "posix_check.h"

#include "base/must.h"
#include "base/workq.h"

#define SMALL 5000

/* What is large needs segments, what is small has the journal. */
static void no_segments(struct kit *k, int err)
{
	kit_fault_all(k, (struct fault_rule){.kind = FAULT_ERROR,
					     .ops = FAULT_OP_CREATE,
					     .prefix = "data/",
					     .err = err});
}

static int flush_of(struct kit *k, uint64_t ino)
{
	struct file *f = kit_fopen(k, ino, O_RDWR);
	int rc = posix_flush(f);

	posix_close(f);
	return rc;
}

static uint64_t named(struct kit *k, const char *prefix, unsigned i)
{
	char name[32];

	snprintf(name, sizeof(name), "%s%u", prefix, i);
	return kit_has(k, ROOT_INO, name) ? kit_ino(k, ROOT_INO, name)
					  : kit_new_file(k, name);
}

/* Nothing is written before it is asked for. */
static void much_memory(struct kit *k)
{
	kit_close(k);
	k->o.cache_bytes = 256 * KIT_MIB;
	kit_open(k);
	service_stop(k->v);
}

/* ---- W5: the others ---- */

/*
 * A large file that cannot be written is older than small ones, which can: in
 * jobs of its own, and in the one that it shares with the first of them.
 */
static void others_are_written(struct kit *k, size_t large)
{
	uint64_t big, small[20];

	much_memory(k);
	big = kit_new_file(k, "big");
	OK(volume_sync(k->v));
	no_segments(k, ENOSPC);
	kit_write(k, big, 0, large, 1);
	for (unsigned i = 0; i < 20; i++) {
		small[i] = named(k, "small", i);
		kit_write(k, small[i], 0, SMALL, i + 2);
	}
	assert_int_equal(writeback_run(k->v, CACHE_ANY, UINT64_MAX), -ENOSPC);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(cache_dirty_bytes(k->v->cache, small[i]), 0);
		OK(flush_of(k, small[i]));
	}
	assert_int_equal(flush_of(k, big), -ENOSPC);
	OK(commit_all(k->v->commit));
	kit_crash(k);
	kit_clear(k);
	kit_open(k);
	for (unsigned i = 0; i < 20; i++)
		kit_expect(k, small[i], 0, SMALL, i + 2);
	kit_sound(k);
}

static void others_behind_a_large_file(void **state)
{
	others_are_written(*state, 20 * KIT_MIB);
}

static void others_beside_a_large_file(void **state)
{
	others_are_written(*state, 3 * KIT_MIB);
}

/* The same in the background, by age; and sync makes the rest durable. */
static void sync_saves_the_others(void **state)
{
	struct kit *k = *state;
	uint64_t big = kit_new_file(k, "big"), small = kit_new_file(k, "small");

	OK(volume_sync(k->v));
	no_segments(k, ENOSPC);
	kit_write(k, big, 0, 6 * KIT_MIB, 1);
	kit_write(k, small, 0, SMALL, 2);
	assert_int_equal(volume_sync(k->v), -ENOSPC);
	kit_crash(k);
	kit_clear(k);
	kit_open(k);
	kit_expect(k, small, 0, SMALL, 2);
	kit_sound(k);
}

static void background_saves_the_others(void **state)
{
	struct kit *k = *state;
	uint64_t big, small, end = clock_mono_ms() + 20000;

	kit_close(k);
	k->o.commit_seconds = 1;
	k->o.cache_bytes = 256 * KIT_MIB;
	kit_open(k);
	big = kit_new_file(k, "big");
	small = kit_new_file(k, "small");
	OK(volume_sync(k->v));
	no_segments(k, ENOSPC);
	kit_write(k, big, 0, 60 * KIT_MIB, 1);
	kit_write(k, small, 0, SMALL, 2);
	while (cache_dirty_bytes(k->v->cache, small) > 0) {
		assert_true(clock_mono_ms() < end);
		usleep(10000);
	}
	assert_true(cache_dirty_bytes(k->v->cache, big) == 60 * KIT_MIB);
}

/* When all of them fail nobody tries them all each time. */
static void a_failing_store_is_not_stormed(void **state)
{
	struct kit *k = *state;
	uint64_t hits;

	much_memory(k);
	for (unsigned i = 0; i < 60; i++)
		(void)named(k, "f", i);
	OK(volume_sync(k->v));
	no_segments(k, ENOSPC);
	for (unsigned i = 0; i < 60; i++)
		kit_write(k, named(k, "f", i), 0, 3 * KIT_MIB / 2, i);
	assert_int_equal(writeback_run(k->v, CACHE_ANY, UINT64_MAX), -ENOSPC);
	hits = fault_hits(k->location[0]);
	printf("%llu creations failed in the first folder\n",
	       (unsigned long long)hits);
	assert_in_range(hits, 1, 40);
	kit_clear(k);
	OK(volume_sync(k->v));
	for (unsigned i = 0; i < 60; i++)
		kit_expect(k, named(k, "f", i), 0, 3 * KIT_MIB / 2, i);
}

/* ---- who waits for the dirty limit ---- */

/*
 * With nothing but failures there is no end to wait for: an answer soon, and
 * what was accepted is there when the store is well again.
 */
static void throttled_writers_are_told(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_new_file(k, "f"), off = 0, end, begun;
	size_t step = 512 * KIT_KIB;
	uint8_t *p = malloc(step);
	struct file *f;
	ssize_t rc = 0;

	OK(volume_sync(k->v));
	f = kit_fopen(k, ino, O_RDWR);
	/* Not one that takes a folder down. */
	no_segments(k, ENOTDIR);
	end = clock_mono_ms() + 25000;
	while (rc >= 0) {
		kit_pattern(p, step, off, 3);
		rc = posix_write(f, p, step, off);
		off += rc > 0 ? (uint64_t)rc : 0;
		assert_true(clock_mono_ms() < end);
	}
	printf("%llu bytes, then %s\n", (unsigned long long)off,
	       err_name((int)rc));
	assert_true(off >= 14 * KIT_MIB); /* the limit */
	/* From now on at once. */
	begun = clock_mono_ms();
	for (unsigned i = 0; i < 5; i++)
		assert_true(posix_write(f, p, step, off) < 0);
	assert_true(clock_mono_ms() - begun < 1000);
	kit_expect(k, ino, 0, off, 3);
	kit_clear(k);
	OK(posix_fsync(f, false));
	kit_pattern(p, step, off, 3);
	assert_int_equal(posix_write(f, p, step, off), step);
	off += step;
	OK(posix_fsync(f, false));
	posix_close(f);
	free(p);
	kit_recrash(k);
	kit_expect(k, ino, 0, off, 3);
	kit_sound(k);
}

/* A store that is slow, or fails now and then, is waited for. */
static void slow_is_not_failing(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_new_file(k, "f");

	OK(volume_sync(k->v));
	kit_fault_all(k, (struct fault_rule){.kind = FAULT_ERROR,
					     .ops = FAULT_OP_CREATE,
					     .prefix = "data/",
					     .times = 2,
					     .err = ENOTDIR});
	kit_fault_all(k, (struct fault_rule){.kind = FAULT_DELAY,
					     .ops = FAULT_OP_CREATE,
					     .prefix = "data/",
					     .ms = 100});
	for (unsigned i = 0; i < 60; i++)
		kit_write(k, ino, i * KIT_MIB, KIT_MIB, 1);
	OK(writeback_failing(k->v));
	kit_fsync(k, ino);
	kit_recrash(k);
	kit_expect(k, ino, 0, 60 * KIT_MIB, 1);
}

/* ---- W3: a segment that could not be sealed at once ---- */

/* One write-back whose n-th allocation fails; 1: it left a segment unsealed. */
static int unsealed_after(struct kit *k, uint64_t n, uint64_t *count)
{
	uint64_t ino = kit_new_file(k, "f");
	int left;

	kit_write(k, ino, 0, 2 * KIT_MIB, 1);
	mem_fail_at(n, 0);
	(void)!writeback_run(k->v, ino, UINT64_MAX);
	*count = mem_count();
	mem_fail_at(0, 0);
	mutex_lock(&k->v->wb_lock);
	left = !TAILQ_EMPTY(&k->v->wb_unsealed);
	mutex_unlock(&k->v->wb_lock);
	if (volume_sync(k->v) < 0) { /* the index is lost, with all else */
		kit_recrash(k);
		left = 0;
	}
	if (left == 0 && kit_has(k, ROOT_INO, "f"))
		OK(posix_unlink(k->v, ROOT_INO, "f"));
	return left;
}

static void sealed_later(void **state)
{
	struct kit *k = *state;
	struct volume_status st;
	uint64_t count, scratch;
	int left = 0;

	/* Without threads, so that n means the same place each time. */
	kit_close(k);
	workq_inline(true);
	kit_open(k);
	(void)unsealed_after(k, 0, &count); /* statements are prepared */
	(void)unsealed_after(k, 0, &count);
	for (uint64_t n = count + 10; left == 0 && n > 0; n--)
		left = unsealed_after(k, n, &scratch);
	assert_int_equal(left, 1);
	OK(writeback_seal_late(k->v));
	OK(jseg_rotate(k->v->js, true));
	OK(volume_get_status(k->v, &st));
	/* Nothing of it is left until the next mount. */
	assert_int_equal(st.segments.open, 0);
	kit_expect(k, kit_ino(k, ROOT_INO, "f"), 0, 2 * KIT_MIB, 1);
	kit_sound(k);
	kit_crash(k);
	workq_inline(false);
}

/* ---- a segment that has a stripe, is dead and gone before its first extent
 * ---- */

static void write_back_one(void *arg)
{
	struct node *n = arg;

	MUST(writeback_run(n->v, n->hash.key, UINT64_MAX) == 0);
}

static void gone_before_it_is_entered(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_new_file(k, "f");
	struct volume *v = k->v;
	struct volume_status st;
	struct workq *q;
	struct node *n;

	service_stop(v);
	OK(volume_sync(v));
	OK(node_get(v, ino, &n));
	/* The job encodes, and then waits for a turn before its own. */
	mutex_lock(&v->wb_lock);
	n->wb_issued++;
	mutex_unlock(&v->wb_lock);
	kit_write(k, ino, 0, SMALL, 1);
	OK(workq_new("write", 1, &q));
	OK(workq_submit(q, write_back_one, n));
	while (jseg_pending(v->js) == 0)
		usleep(100);
	OK(jseg_rotate(v->js, true));
	for (unsigned i = 0; i < 2; i++)
		OK(service_checkpoint(v, NULL, NULL));
	OK(volume_get_status(v, &st));
	assert_int_equal(st.segments.segments, 0);
	mutex_lock(&v->wb_lock);
	n->wb_done++;
	cond_broadcast(&v->wb_turned);
	mutex_unlock(&v->wb_lock);
	workq_free(q);
	node_put(n);
	OK(volume_sync(v));
	kit_recrash(k);
	kit_expect(k, ino, 0, SMALL, 1);
	kit_sound(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_KIT(others_behind_a_large_file),
		WITH_KIT(others_beside_a_large_file),
		WITH_KIT(sync_saves_the_others),
		WITH_KIT(background_saves_the_others),
		WITH_KIT(a_failing_store_is_not_stormed),
		WITH_KIT(throttled_writers_are_told),
		WITH_KIT(slow_is_not_failing),
		WITH_KIT(gone_before_it_is_entered),
		WITH_KIT(sealed_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
