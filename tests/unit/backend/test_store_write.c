/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/backend/store_fixture.h"

#include "base/clock.h"

#define CHUNK (64u << 10)

static int with_threads(void **state)
{
	(void)state;
	workq_inline(false);
	return 0;
}

static int without_threads(void **state)
{
	(void)state;
	workq_inline(true);
	return 0;
}

static void assert_shape(const struct seg_desc *d, unsigned k, unsigned m)
{
	assert_int_equal(d->k, k);
	assert_int_equal(d->m, m);
}

/* Objects below data/ of a member. */
static int count_object(void *arg, const char *name, uint64_t size)
{
	unsigned *n = arg;

	(void)name;
	*n += size != UINT64_MAX;
	return 0;
}

static unsigned objects(const struct fixture *f, const struct seg_build *b)
{
	char folder[16];
	unsigned n = 0;

	snprintf(folder, sizeof(folder), "data/%02x",
		 (unsigned)(seg_build_id(b).v & 0xff));
	for (unsigned i = 0; i < f->pool.n; i++) {
		struct driver *drv;

		assert_int_equal(driver_attach(plain_loc(f, i), &drv), 0);
		assert_int_equal(driver_list(drv, folder, count_object, &n), 0);
		driver_detach(drv);
	}
	return n;
}

static void name_is_as_documented(void **state)
{
	struct seg_desc d = {.id.v = 0x1234abcd,
			     .stripe.v = 0xfedcba9876543210,
			     .kind = SEG_DATA};
	char name[DRV_NAME_MAX + 1];

	(void)state;
	frag_name(&d, 5, name);
	assert_string_equal(name,
			    "data/cd/000000001234abcd-fedcba9876543210.5");
	d.kind = SEG_INDEX;
	frag_name(&d, 31, name);
	assert_string_equal(name,
			    "index/cd/000000001234abcd-fedcba9876543210.31");
}

static void writes_a_complete_stripe(void **state)
{
	static const unsigned shape[][3] = {{1, 1, 0}, {2, 1, 1}, {3, 2, 1},
					    {4, 2, 2}, {6, 4, 2}, {9, 4, 2}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shape); i++) {
		struct fixture *f =
			fixture_new(shape[i][0], shape[i][1], shape[i][2]);
		struct sample *s = sample_written(f, 13, CHUNK);
		struct store_stats st;

		assert_shape(&s->d, shape[i][1], shape[i][2]);
		assert_complete(f, &s->d);
		assert_int_equal(objects(f, s->b), fragment_count(&s->d));
		sample_read_all(f, s);
		store_get_stats(f->store, &st);
		assert_int_equal(st.segments_written, 1);
		assert_int_equal(st.payload_bytes, s->d.payload_len);
		assert_true(st.raw_bytes > st.payload_bytes);
		assert_int_equal(st.chunks_read, 13);
		assert_int_equal(st.chunks_rebuilt, 0);
		assert_int_equal(st.restripes, 0);
		assert_int_equal(store_reachable(f->store, &s->d),
				 fragment_count(&s->d));
		sample_free(s);
		fixture_free(f);
	}
}

static void small_segments_have_one_range(void **state)
{
	struct fixture *f = fixture_new(6, 4, 2);
	struct sample *s = sample_written(f, 1, 10000);

	(void)state;
	assert_shape(&s->d, 1, 2);
	assert_complete(f, &s->d);
	sample_read_all(f, s);
	sample_free(s);
	s = sample_written(f, 0, 1); /* a table only */
	assert_shape(&s->d, 1, 2);
	assert_complete(f, &s->d);
	sample_free(s);
	fixture_free(f);
}

static void fewer_members_smaller_geometry(void **state)
{
	static const unsigned want[][2] = {{0, 0}, {1, 0}, {1, 1}, {1, 2},
					   {2, 2}, {3, 2}, {4, 2}};

	(void)state;
	for (unsigned u = 1; u <= 6; u++) {
		struct fixture *f = fixture_new(6, 4, 2);
		struct sample *s;

		hide(f, 0x3fu << u & 0x3f);
		s = sample_written(f, 13, CHUNK);
		assert_shape(&s->d, want[u][0], want[u][1]);
		assert_complete(f, &s->d);
		sample_read_all(f, s);
		sample_free(s);
		fixture_free(f);
	}
}

static void nobody_there(void **state)
{
	struct fixture *f = fixture_new(3, 2, 1);
	struct sample *s = sample_new(f, 5, CHUNK);

	(void)state;
	hide(f, 7);
	assert_int_equal(store_write(f->store, s->b, &s->d), -ERR_UNAVAILABLE);
	hide(f, 0);
	assert_int_equal(store_write(f->store, s->b, &s->d), 0);
	assert_complete(f, &s->d);
	sample_free(s);
	fixture_free(f);
}

/* A spare takes over the fragment: same stripe, nothing is written twice. */
static void spares_take_over(void **state)
{
	(void)state;
	for (unsigned bad = 1; bad <= 2; bad++) {
		struct fixture *f = fixture_new(8, 4, 2);
		struct sample *s = sample_new(f, 13, CHUNK);
		struct store_stats st;

		for (unsigned i = 0; i < bad; i++)
			fault(f, i, FAULT_ERROR, FAULT_OP_WRITE, EIO);
		assert_int_equal(store_write(f->store, s->b, &s->d), 0);
		assert_shape(&s->d, 4, 2);
		for (unsigned i = 0; i < 6; i++)
			assert_true(s->d.home[i] >= bad);
		assert_complete(f, &s->d);
		sample_read_all(f, s);
		store_get_stats(f->store, &st);
		assert_int_equal(st.restripes, 0);
		assert_int_equal(objects(f, s->b), 6);
		sample_free(s);
		fixture_free(f);
	}
}

/* With every way to fail a write, up to all but one member. */
static void no_spare_means_a_smaller_stripe(void **state)
{
	static const struct {
		enum fault_kind kind;
		unsigned ops;
		int err;
	} way[] = {
		{FAULT_ERROR, FAULT_OP_CREATE, EIO},
		{FAULT_ERROR, FAULT_OP_CREATE, EROFS},
		{FAULT_ERROR, FAULT_OP_WRITE, EIO},
		{FAULT_ERROR, FAULT_OP_SYNC, EIO},
		{FAULT_TORN, FAULT_OP_WRITE, 0},
		{FAULT_VANISH, FAULT_OP_ALL, 0},
	};
	static const unsigned want[][2] = {{4, 2}, {3, 2}, {2, 2},
					   {1, 2}, {1, 1}, {1, 0}};

	(void)state;
	for (size_t w = 0; w < ARRAY_LEN(way); w++) {
		for (unsigned bad = 1; bad <= 5; bad++) {
			struct fixture *f = fixture_new(6, 4, 2);
			struct sample *s = sample_new(f, 13, CHUNK);
			struct store_stats st;

			for (unsigned i = 0; i < bad; i++)
				fault(f, i, way[w].kind, way[w].ops,
				      way[w].err);
			assert_int_equal(store_write(f->store, s->b, &s->d), 0);
			assert_shape(&s->d, want[bad][0], want[bad][1]);
			for (unsigned i = 0; i < bad; i++)
				fault_clear(f->loc[i]);
			assert_complete(f, &s->d);
			sample_read_all(f, s);
			store_get_stats(f->store, &st);
			assert_true(st.restripes >= 1);
			/* nothing of the attempts before stayed */
			assert_int_equal(objects(f, s->b),
					 fragment_count(&s->d));
			sample_free(s);
			fixture_free(f);
		}
	}
}

static void all_members_failing(void **state)
{
	struct fixture *f = fixture_new(4, 2, 2);
	struct sample *s = sample_new(f, 13, CHUNK);
	uint8_t plain[CHUNK];

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		fault(f, i, FAULT_ERROR, FAULT_OP_SYNC, EIO);
	assert_int_equal(store_write(f->store, s->b, &s->d), -ERR_UNAVAILABLE);
	/* the data is not lost, and can be written later */
	assert_int_equal(
		seg_build_read(s->b, SAMPLE_DATA_ID, 0, &s->ref[0], plain), 0);
	for (unsigned i = 0; i < 4; i++) {
		fault_clear(f->loc[i]);
		for (unsigned probes = 0; probes < 2 * BACKEND_STRIKES;
		     probes++)
			(void)backend_probe(f->pool.member[i].backend, 1000);
	}
	assert_int_equal(store_write(f->store, s->b, &s->d), 0);
	assert_complete(f, &s->d);
	sample_free(s);
	fixture_free(f);
}

/* Members that hang: the round ends at its deadline, not with them. */
static void hung_members_are_replaced(void **state)
{
	(void)state;
	for (unsigned bad = 1; bad <= 3; bad++) {
		struct fixture *f = fixture_new(7, 4, 2);
		struct sample *s = sample_new(f, 13, CHUNK);
		uint64_t began;

		store_set_deadline(f->store, 200);
		for (unsigned i = 0; i < bad; i++)
			fault(f, i, FAULT_HANG, FAULT_OP_CREATE, 0);
		began = clock_mono_ms();
		assert_int_equal(store_write(f->store, s->b, &s->d), 0);
		assert_true(clock_mono_ms() - began < 5000);
		assert_shape(&s->d, bad == 3 ? 2 : bad == 2 ? 3 : 4, 2);
		for (unsigned i = 0; i < fragment_count(&s->d); i++)
			assert_true(s->d.home[i] >= bad);
		store_set_deadline(f->store, 10000);
		assert_complete(f, &s->d);
		for (unsigned i = 0; i < bad; i++)
			fault_clear(f->loc[i]);
		sample_read_all(f, s);
		sample_free(s);
		fixture_free(f);
	}
}

/* ---- space ---- */

/* A full member costs width, but never redundancy. */
static void full_members_cost_width_only(void **state)
{
	static const unsigned ops[] = {FAULT_OP_WRITE | FAULT_OP_CREATE,
				       FAULT_OP_ALL};

	(void)state;
	for (size_t o = 0; o < ARRAY_LEN(ops); o++) {
		for (unsigned full = 0; full <= 6; full++) {
			struct fixture *f = fixture_new(6, 4, 2);
			struct sample *s = sample_new(f, 13, CHUNK);
			int rc;

			for (unsigned i = 0; i < full; i++) {
				fault(f, i, FAULT_FULL, ops[o], 0);
				(void)backend_probe(f->pool.member[i].backend,
						    1000);
			}
			rc = store_write(f->store, s->b, &s->d);
			if (full <= 3) {
				assert_int_equal(rc, 0);
				assert_shape(&s->d, 4 - full, 2);
				assert_complete(f, &s->d);
				sample_read_all(f, s);
				assert_int_equal(objects(f, s->b), 6 - full);
			} else {
				assert_int_equal(rc, -ENOSPC);
				assert_int_equal(objects(f, s->b), 0);
			}
			sample_free(s);
			fixture_free(f);
		}
	}
}

/* The reserve is for index segments. */
static void reserve_is_kept_from_data(void **state)
{
	struct fixture *f = fixture_new(3, 2, 1);
	struct sample *data = sample_new(f, 5, CHUNK), *index;
	struct seg_context cx;

	(void)state;
	pool_seg_context(&f->pool, &cx);
	index = sample_of(&cx, SEG_INDEX, 5, CHUNK);
	store_set_reserve(f->store, 1ull << 50);
	assert_int_equal(store_write(f->store, data->b, &data->d), -ENOSPC);
	assert_int_equal(store_write(f->store, index->b, &index->d), 0);
	assert_complete(f, &index->d);
	sample_read_all(f, index);
	store_set_reserve(f->store, 1 << 20);
	assert_int_equal(store_write(f->store, data->b, &data->d), 0);
	assert_complete(f, &data->d);
	sample_free(data);
	sample_free(index);
	fixture_free(f);
}

/* Full and broken ones at once. */
static void full_and_broken_members(void **state)
{
	struct fixture *f = fixture_new(6, 4, 2);
	struct sample *s = sample_new(f, 13, CHUNK);

	(void)state;
	fault(f, 0, FAULT_FULL, FAULT_OP_WRITE | FAULT_OP_CREATE, 0);
	fault(f, 1, FAULT_ERROR, FAULT_OP_SYNC, EIO);
	fault(f, 2, FAULT_VANISH, FAULT_OP_ALL, 0);
	assert_int_equal(store_write(f->store, s->b, &s->d), 0);
	assert_shape(&s->d, 1, 2);
	assert_complete(f, &s->d);
	sample_free(s);
	fixture_free(f);
}

/* ---- memory ---- */

static void out_of_memory_leaves_nothing_behind(void **state)
{
	struct fixture *f = fixture_new(5, 2, 1);
	struct sample *s = sample_new(f, 5, 30000);
	bool reached = true;

	(void)state;
	for (unsigned i = 1; reached; i++) {
		int rc;

		mem_fail_at(i, 0);
		rc = store_write(f->store, s->b, &s->d);
		reached = mem_count() >= i;
		mem_fail_at(0, 0);
		assert_true(rc == 0 || (rc == -ENOMEM && reached));
		if (rc == 0 && reached)
			assert_int_equal(store_remove(f->store, &s->d), 0);
		if (reached)
			assert_int_equal(objects(f, s->b), 0);
	}
	assert_complete(f, &s->d);
	sample_read_all(f, s);
	sample_free(s);
	fixture_free(f);
}

/* ---- removal ---- */

static void remove_takes_all_that_can_be_reached(void **state)
{
	struct fixture *f = fixture_new(6, 4, 2);
	struct sample *s = sample_written(f, 13, CHUNK);

	(void)state;
	hide(f, 1u << s->d.home[2]);
	assert_int_equal(store_reachable(f->store, &s->d), 5);
	assert_int_equal(store_remove(f->store, &s->d), 0);
	hide(f, 0);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(frag_exists(f, &s->d, i), i == 2);
	assert_int_equal(store_remove(f->store, &s->d), 0);
	assert_int_equal(store_remove(f->store, &s->d), 0);
	assert_int_equal(objects(f, s->b), 0);
	fault(f, s->d.home[0], FAULT_ERROR, FAULT_OP_REMOVE, EROFS);
	assert_int_equal(store_remove(f->store, &s->d), -EROFS);
	sample_free(s);
	fixture_free(f);
}

static void two_stripes_of_a_segment_live_side_by_side(void **state)
{
	struct fixture *f = fixture_new(6, 4, 2);
	struct sample *s = sample_written(f, 13, CHUNK);
	struct seg_desc first = s->d;

	(void)state;
	assert_int_equal(store_write(f->store, s->b, &s->d), 0);
	assert_int_not_equal(first.stripe.v, s->d.stripe.v);
	assert_complete(f, &first);
	assert_complete(f, &s->d);
	assert_int_equal(store_remove(f->store, &first), 0);
	assert_complete(f, &s->d);
	sample_read_all(f, s);
	sample_free(s);
	fixture_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(name_is_as_documented),
		cmocka_unit_test_setup(writes_a_complete_stripe,
				       without_threads),
		cmocka_unit_test_setup(writes_a_complete_stripe, with_threads),
		cmocka_unit_test_setup(small_segments_have_one_range,
				       without_threads),
		cmocka_unit_test_setup(fewer_members_smaller_geometry,
				       without_threads),
		cmocka_unit_test_setup(nobody_there, without_threads),
		cmocka_unit_test_setup(spares_take_over, without_threads),
		cmocka_unit_test_setup(spares_take_over, with_threads),
		cmocka_unit_test_setup(no_spare_means_a_smaller_stripe,
				       without_threads),
		cmocka_unit_test_setup(all_members_failing, without_threads),
		cmocka_unit_test_setup(hung_members_are_replaced, with_threads),
		cmocka_unit_test_setup(full_members_cost_width_only,
				       without_threads),
		cmocka_unit_test_setup(reserve_is_kept_from_data,
				       without_threads),
		cmocka_unit_test_setup(full_and_broken_members,
				       without_threads),
		cmocka_unit_test_setup(out_of_memory_leaves_nothing_behind,
				       without_threads),
		cmocka_unit_test_setup(remove_takes_all_that_can_be_reached,
				       without_threads),
		cmocka_unit_test_setup(
			two_stripes_of_a_segment_live_side_by_side,
			without_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
