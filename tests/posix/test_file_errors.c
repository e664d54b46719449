/* SPDX-License-Identifier: Apache-2.0 */
/* The store fails or is slow: what fsync says, and that no crash shows zeros
 * where data was on its way (C11); and what deleted files leave behind. */
#include "posix_check.h"

#include "base/must.h"
#include "base/workq.h"
#include "backend/store.h"

/* The name space of fragments of the segment that will be made next. */
static void fail_segment(struct kit *k, uint64_t segment, int err)
{
	struct seg_desc d = {.id = {segment}, .kind = SEG_DATA};
	char name[DRV_NAME_MAX + 1];
	struct fault_rule r = {.kind = FAULT_ERROR,
			       .ops = FAULT_OP_CREATE | FAULT_OP_WRITE,
			       .prefix = name,
			       .err = err};

	frag_name(&d, 0, name);
	*strrchr(name, '-') = '\0';
	kit_fault_all(k, r);
}

static void an_error_lasts_until_the_data_is_safe(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_new_file(k, "f");
	struct file *f = kit_fopen(k, ino, O_RDWR);

	kit_write(k, ino, 0, 3 * KIT_MIB, 1);
	kit_fault_all(k, (struct fault_rule){.kind = FAULT_ERROR,
					     .ops = FAULT_OP_CREATE,
					     .prefix = "data/",
					     .err = ENOSPC});
	assert_int_equal(posix_fsync(f, false), -ENOSPC);
	assert_int_equal(posix_fsync(f, false), -ENOSPC);
	assert_int_equal(posix_flush(f), -ENOSPC);
	assert_true(volume_sync(k->v) < 0);
	kit_expect(k, ino, 0, 3 * KIT_MIB, 1);
	kit_clear(k);
	OK(posix_fsync(f, false));
	OK(posix_flush(f));
	posix_close(f);
	kit_recrash(k);
	kit_expect(k, ino, 0, 3 * KIT_MIB, 1);
	kit_sound(k);
}

static void an_error_ends_with_the_data(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_new_file(k, "f");
	struct file *f = kit_fopen(k, ino, O_RDWR);

	kit_write(k, ino, 0, 3 * KIT_MIB, 1);
	kit_fault_all(k, (struct fault_rule){.kind = FAULT_ERROR,
					     .ops = FAULT_OP_CREATE,
					     .prefix = "data/",
					     .err = ENOSPC});
	assert_int_equal(posix_fsync(f, false), -ENOSPC);
	/* Nothing is left that could be lost. */
	OK(kit_set_size(k, ino, 0));
	OK(posix_fsync(f, false));
	OK(posix_flush(f));
	posix_close(f);
}

/* Memory fails while a chunk is sealed; small files go one way, large ones
 * another. */
static void a_flipped_bit_is_never_written(void **state)
{
	static const size_t sizes[] = {3000, 200000, 3 * KIT_MIB};
	struct kit *k = *state;

	k->o.verify = true;
	kit_recrash(k);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		char name[8];
		uint64_t ino;
		struct file *f;

		snprintf(name, sizeof(name), "f%zu", i);
		ino = kit_new_file(k, name);
		f = kit_fopen(k, ino, O_RDWR);
		kit_write(k, ino, 0, sizes[i], i);
		seg_flip_at(1);
		assert_int_equal(posix_fsync(f, false), -ERR_CORRUPT);
		OK(posix_fsync(f, false));
		posix_close(f);
	}
	kit_recrash(k);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		char name[8];

		snprintf(name, sizeof(name), "f%zu", i);
		kit_expect(k, kit_ino(k, ROOT_INO, name), 0, sizes[i], i);
	}
	kit_sound(k);
}

static void slow_segment(struct kit *k, uint64_t segment, uint64_t ms)
{
	struct seg_desc d = {.id = {segment}, .kind = SEG_DATA};
	char name[DRV_NAME_MAX + 1];
	struct fault_rule r = {.kind = FAULT_DELAY,
			       .ops = FAULT_OP_CREATE,
			       .prefix = name,
			       .ms = ms};

	frag_name(&d, 0, name);
	*strrchr(name, '-') = '\0';
	kit_fault_all(k, r);
}

/* With so much memory that nothing is written before it is asked for. */
static void much_memory(struct kit *k)
{
	kit_close(k);
	k->o.cache_bytes = 256 * KIT_MIB;
	kit_open(k);
}

/* C11: the size must not pass bytes whose write-back failed. */
static void a_gap_never_becomes_zeros(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_new_file(k, "f"), size;
	size_t all = 14 * KIT_MIB;
	struct file *f;

	much_memory(k);
	f = kit_fopen(k, ino, O_RDWR);
	/* The first of several segments fails. */
	fail_segment(k, index_peek(k->v->ix, COUNTER_SEGMENT), ENOSPC);
	kit_write(k, ino, 0, all, 1);
	assert_true(posix_fsync(f, false) < 0);
	OK(commit_all(k->v->commit));
	posix_close(f);
	kit_crash(k);
	kit_clear(k);
	kit_open(k);
	size = kit_attr(k, ino).size;
	printf("%llu bytes are there\n", (unsigned long long)size);
	assert_true(size < all);
	if (size)
		kit_expect(k, ino, 0, size, 1);
	kit_sound(k);
}

/* And all of it comes once the store is well. */
static void a_gap_is_filled_later(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_new_file(k, "f");
	size_t all = 14 * KIT_MIB;

	much_memory(k);
	fail_segment(k, index_peek(k->v->ix, COUNTER_SEGMENT), ENOSPC);
	kit_write(k, ino, 0, all, 1);
	assert_true(volume_sync(k->v) < 0);
	OK(volume_sync(k->v));
	kit_recrash(k);
	kit_expect(k, ino, 0, all, 1);
	kit_sound(k);
}

static uint64_t index_size(struct kit *k, uint64_t ino, uint64_t *bytes)
{
	struct inode_row row;

	index_lock(k->v->ix);
	OK(inode_get(k->v->ix, ino, &row));
	OK(extent_bytes(k->v->ix, row.data, bytes));
	index_unlock(k->v->ix);
	return row.size;
}

static void write_back(void *arg)
{
	struct kit *k = arg;

	MUST(writeback_run(k->v, CACHE_ANY, UINT64_MAX) == 0);
}

/* C11: the size must not pass bytes that take longer than others. */
static void a_slow_segment_is_waited_for(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_new_file(k, "f"), bytes;
	size_t all = 14 * KIT_MIB;
	struct workq *q;

	much_memory(k);
	slow_segment(k, index_peek(k->v->ix, COUNTER_SEGMENT), 400);
	kit_write(k, ino, 0, all, 1);
	OK(workq_new("write", 1, &q));
	OK(workq_submit(q, write_back, k));
	while (workq_load(q) > 0) {
		uint64_t size = index_size(k, ino, &bytes);

		/* There is no hole in it. */
		assert_true(bytes >= size);
		usleep(1000);
	}
	workq_free(q);
	assert_int_equal(index_size(k, ino, &bytes), all);
	kit_recrash(k);
}

static void the_store_is_empty_in_the_end(void **state)
{
	struct kit *k = *state;
	struct volume_status st;

	for (unsigned i = 0; i < 6; i++) {
		char name[8];
		uint64_t ino;

		snprintf(name, sizeof(name), "f%u", i);
		ino = kit_new_file(k, name);
		kit_write(k, ino, 0, 100000 << i, i);
		if (i == 3)
			kit_recrash(k); /* perhaps nothing of it is there */
		if (kit_has(k, ROOT_INO, name))
			kit_fsync(k, kit_ino(k, ROOT_INO, name));
	}
	assert_true(kit_fragments(k) > 0);
	for (unsigned i = 0; i < 6; i++) {
		char name[8];

		snprintf(name, sizeof(name), "f%u", i);
		if (kit_has(k, ROOT_INO, name))
			OK(posix_unlink(k->v, ROOT_INO, name));
	}
	kit_reopen(k);
	kit_reopen(k);
	OK(volume_get_status(k->v, &st));
	assert_int_equal(st.segments.open, 0);
	assert_int_equal(st.segments.live_bytes, 0);
	assert_int_equal(kit_fragments(k), 0);
	kit_sound(k);
}

static struct seg_desc segment_at(struct kit *k, uint64_t ino, uint64_t off)
{
	struct extent_row row;
	struct segment_row seg;
	struct inode_row i;

	index_lock(k->v->ix);
	OK(inode_get(k->v->ix, ino, &i));
	assert_int_equal(extent_find(k->v->ix, i.data, off, 1, &row, 1), 1);
	OK(segment_get(k->v->ix, row.segment, &seg));
	index_unlock(k->v->ix);
	assert_true(seg.desc.stripe.v != 0);
	return seg.desc;
}

/* Reads of fragment n fail times[n] times; 0: always. */
static void fail_reads(struct kit *k, const struct seg_desc *d,
		       const uint64_t *times)
{
	for (unsigned n = 0; n < (unsigned)d->k + d->m; n++) {
		char name[DRV_NAME_MAX + 1];
		struct fault_rule r = {.kind = FAULT_ERROR,
				       .ops = FAULT_OP_READ | FAULT_OP_OPEN,
				       .prefix = name,
				       .times = times ? times[n] : 0,
				       .err = ENOTDIR};

		frag_name(d, n, name);
		OK(fault_add(k->location[d->home[n]], &r));
	}
}

/* C5: each place that fails is looked up once more, not each read. */
static void two_places_fail_in_a_read(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_new_file(k, "f"), times[EC_TOTAL_MAX];
	struct file *f = kit_fopen(k, ino, O_RDWR);
	struct seg_desc d;
	char c;

	for (unsigned i = 0; i < 3; i++) {
		kit_write(k, ino, i * 20000, 10000, 1);
		kit_fsync(k, ino);
		OK(jseg_rotate(k->v->js, true));
	}
	kit_drop_cache(k);
	/* A segment that cannot be read is tried twice. */
	d = segment_at(k, ino, 0);
	fail_reads(k, &d, NULL);
	assert_true(posix_read(f, &c, 1, 0) < 0);
	posix_close(f);
	for (unsigned n = 0; n < (unsigned)d.k + d.m; n++) {
		times[n] = fault_hits(k->location[d.home[n]]) / 2;
		assert_true(times[n] > 0);
	}
	kit_clear(k);
	for (unsigned i = 0; i < 3; i++) {
		d = segment_at(k, ino, i * 20000);
		fail_reads(k, &d, times);
	}
	for (unsigned i = 0; i < 3; i++)
		kit_expect(k, ino, i * 20000, 10000, 1);
}

/* st_blocks: what is overwritten does not count twice. */
static void blocks_while_dirty(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_new_file(k, "f"), full = 3 * KIT_MIB / 512;

	service_stop(k->v);
	kit_write(k, ino, 0, 3 * KIT_MIB, 1);
	assert_int_equal(kit_attr(k, ino).blocks, full);
	OK(volume_sync(k->v));
	assert_int_equal(kit_attr(k, ino).blocks, full);
	kit_write(k, ino, KIT_MIB, KIT_MIB, 2);
	assert_int_equal(kit_attr(k, ino).blocks, full);
	OK(volume_sync(k->v));
	assert_int_equal(kit_attr(k, ino).blocks, full);
	/* A hole in it, and what is known follows every change. */
	OK(kit_set_size(k, ino, KIT_MIB));
	OK(kit_set_size(k, ino, 4 * KIT_MIB));
	assert_int_equal(kit_attr(k, ino).blocks, KIT_MIB / 512);
	kit_write(k, ino, 3 * KIT_MIB, KIT_MIB / 2, 3);
	OK(volume_sync(k->v));
	assert_int_equal(kit_attr(k, ino).blocks, 3 * KIT_MIB / 2 / 512);
	kit_recrash(k);
	assert_int_equal(kit_attr(k, ino).blocks, 3 * KIT_MIB / 2 / 512);
}

/* Of an inode that is gone, as an older version or a crash may leave it. */
static void a_stale_orphan_goes(void **state)
{
	struct kit *k = *state;
	struct queue_row job;
	int rc;

	OK(index_begin(k->v->ix));
	OK(index_end(k->v->ix, queue_add(k->v->ix, QUEUE_ORPHAN, 4711, 0)));
	OK(service_run_queue(k->v));
	index_lock(k->v->ix);
	rc = queue_find(k->v->ix, QUEUE_ORPHAN, 4711, &job);
	index_unlock(k->v->ix);
	assert_int_equal(rc, -ENOENT);
	/* One that is open stays, and goes with its last close. */
	(void)kit_new_file(k, "f");
	{
		uint64_t ino = kit_ino(k, ROOT_INO, "f");
		struct file *f = kit_fopen(k, ino, O_RDWR);

		OK(posix_unlink(k->v, ROOT_INO, "f"));
		OK(service_run_queue(k->v));
		assert_int_equal(posix_write(f, "x", 1, 0), 1);
		posix_close(f);
	}
	index_lock(k->v->ix);
	rc = queue_any(k->v->ix, QUEUE_ORPHAN);
	index_unlock(k->v->ix);
	assert_int_equal(rc, 0);
	kit_sound(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_KIT(an_error_lasts_until_the_data_is_safe),
		WITH_KIT(an_error_ends_with_the_data),
		WITH_KIT(a_flipped_bit_is_never_written),
		WITH_KIT(a_gap_never_becomes_zeros),
		WITH_KIT(a_gap_is_filled_later),
		WITH_KIT(a_slow_segment_is_waited_for),
		WITH_KIT(the_store_is_empty_in_the_end),
		WITH_KIT(two_places_fail_in_a_read),
		WITH_KIT(blocks_while_dirty),
		WITH_KIT(a_stale_orphan_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
