/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/meta/index_test.h"

static struct segment_row get(struct index *ix, uint64_t id)
{
	struct segment_row row;

	index_lock(ix);
	OK(segment_get(ix, (struct seg_id){id}, &row));
	index_unlock(ix);
	return row;
}

static int state_of(struct index *ix, uint64_t id)
{
	struct segment_row row;
	int rc;

	index_lock(ix);
	rc = segment_get(ix, (struct seg_id){id}, &row);
	index_unlock(ix);
	return rc ? rc : (int)row.state;
}

static void add(struct index *ix, uint64_t id, bool sealed)
{
	struct seg_desc d = segment_desc(id, sealed);

	OK(segment_insert(ix, &d, sealed ? SEG_SEALED : SEG_OPEN));
}

static void descriptions_come_back(void **state)
{
	struct index *ix = ((struct world *)*state)->ix;
	struct seg_desc open = segment_desc(7, false);
	struct seg_desc sealed = segment_desc(7, true);
	struct segment_row row;

	DO(ix, segment_insert(ix, &open, SEG_OPEN));
	row = get(ix, 7);
	assert_int_equal(row.state, SEG_OPEN);
	assert_memory_equal(row.desc.salt, open.salt, sizeof(open.salt));
	assert_int_equal(row.desc.stripe.v, 0);
	begin(ix);
	assert_int_equal(segment_insert(ix, &open, SEG_OPEN), -EEXIST);
	assert_int_equal(segment_insert(ix, &open, SEG_DEAD), -EINVAL);
	end(ix);
	begin(ix);
	struct extent_row e = chunk_row(1, 0, 1, 7, 0);
	OK(extent_put(ix, &e));
	OK(segment_seal(ix, &sealed));
	end(ix);
	row = get(ix, 7);
	assert_int_equal(row.state, SEG_SEALED);
	assert_int_equal(row.desc.stripe.v, sealed.stripe.v);
	assert_int_equal(row.desc.k, 2);
	assert_int_equal(row.desc.home[2], 2);
	/* striped anew */
	sealed.stripe.v = 4711;
	DO(ix, segment_seal(ix, &sealed));
	assert_int_equal(get(ix, 7).desc.stripe.v, 4711);
	assert_int_equal(state_of(ix, 8), -ENOENT);
}

static void a_sealed_segment_dies_with_its_last_row(void **state)
{
	struct index *ix = ((struct world *)*state)->ix;
	struct extent_row a = chunk_row(1, 0, 2, 7, 0);
	struct extent_row b = chunk_row(2, 0, 1, 7, 500000);
	struct segment_row row;

	draw_to(ix, COUNTER_SEGMENT, 7);
	cut_away(ix);
	cut_away(ix);
	begin(ix);
	OK(extent_put(ix, &a)); /* the segment's row may come after */
	OK(extent_put(ix, &b));
	add(ix, 7, true);
	OK(segment_get(ix, (struct seg_id){7}, &row));
	assert_int_equal(row.refs, 2);
	end(ix);
	row = get(ix, 7);
	assert_int_equal(row.refs, 2);
	assert_int_equal(row.live_bytes, 3 * (CHUNK + 16));
	begin(ix);
	assert_int_equal(extent_cut(ix, 1, 0, UINT64_MAX, 10), 1);
	OK(segment_get(ix, (struct seg_id){7}, &row));
	assert_int_equal(row.refs, 1);
	assert_int_equal(index_end(ix, -EINTR), -EINTR);
	row = get(ix, 7);
	assert_int_equal(row.refs, 2);
	assert_int_equal(row.live_bytes, 3 * (CHUNK + 16));
	begin(ix);
	assert_int_equal(extent_cut(ix, 1, 0, UINT64_MAX, 10), 1);
	assert_int_equal(extent_cut(ix, 2, 0, UINT64_MAX, 10), 1);
	end(ix);
	row = get(ix, 7);
	assert_int_equal(row.state, SEG_DEAD);
	assert_int_equal(row.dead_seq, 3);
	assert_int_equal(row.refs, 0);
	assert_int_equal(row.live_bytes, 0);
	assert_sound(ix);
}

static void a_replaced_row_within_one_operation_does_not_kill(void **state)
{
	struct index *ix = ((struct world *)*state)->ix;
	struct extent_row a = chunk_row(1, 0, 2, 7, 0);

	begin(ix);
	add(ix, 7, true);
	OK(extent_put(ix, &a));
	end(ix);
	begin(ix);
	assert_int_equal(extent_cut(ix, 1, 0, UINT64_MAX, 10), 1);
	OK(extent_put(ix, &a));
	end(ix);
	assert_int_equal(state_of(ix, 7), SEG_SEALED);
	DO(ix, extent_put(ix, &a)); /* over itself */
	assert_int_equal(state_of(ix, 7), SEG_SEALED);
	assert_int_equal(get(ix, 7).refs, 1);
}

static void open_segments_live_until_they_are_sealed(void **state)
{
	struct index *ix = ((struct world *)*state)->ix;
	struct seg_desc sealed = segment_desc(7, true);
	struct extent_row a = chunk_row(1, 0, 2, 7, 0);

	begin(ix);
	add(ix, 7, false);
	OK(extent_put(ix, &a));
	end(ix);
	begin(ix);
	assert_int_equal(extent_cut(ix, 1, 0, UINT64_MAX, 10), 1);
	end(ix);
	assert_int_equal(state_of(ix, 7), SEG_OPEN);
	DO(ix, segment_seal(ix, &sealed));
	assert_int_equal(state_of(ix, 7), SEG_DEAD);
	begin(ix);
	add(ix, 8, true); /* nothing ever refers to it */
	end(ix);
	assert_int_equal(state_of(ix, 8), SEG_DEAD);
}

static void the_dead_stay_dead(void **state)
{
	struct index *ix = ((struct world *)*state)->ix;
	struct seg_desc d = segment_desc(7, true);
	struct extent_row a = chunk_row(1, 0, 2, 7, 0);

	DO(ix, segment_insert(ix, &d, SEG_SEALED));
	assert_int_equal(state_of(ix, 7), SEG_DEAD);
	begin(ix);
	assert_int_equal(segment_seal(ix, &d), -ESTALE);
	assert_int_equal(extent_put(ix, &a), -ESTALE);
	end(ix);
	d.id.v = 8;
	begin(ix);
	assert_int_equal(segment_seal(ix, &d), -ENOENT);
	add(ix, 9, false);
	end(ix);
	begin(ix);
	assert_int_equal(segment_delete(ix, (struct seg_id){9}), -ENOENT);
	assert_int_equal(segment_delete(ix, (struct seg_id){8}), -ENOENT);
	OK(segment_delete(ix, (struct seg_id){7}));
	end(ix);
	assert_int_equal(state_of(ix, 7), -ENOENT);
	assert_int_equal(state_of(ix, 9), SEG_OPEN);
}

static void an_undone_operation_leaves_states_alone(void **state)
{
	struct index *ix = ((struct world *)*state)->ix;
	struct seg_desc sealed = segment_desc(7, true);
	struct segment_totals before, after;

	draw_to(ix, COUNTER_SEGMENT, 9);
	begin(ix);
	add(ix, 7, false);
	add(ix, 8, true);
	end(ix);
	segment_get_totals(ix, &before);
	assert_int_equal(before.segments, 2);
	assert_int_equal(before.open, 1);
	assert_int_equal(before.dead, 1);
	assert_int_equal(before.payload_bytes, 32u << 20);
	begin(ix);
	OK(segment_seal(ix, &sealed));
	OK(segment_delete(ix, (struct seg_id){8}));
	add(ix, 9, false);
	assert_int_equal(index_end(ix, -EIO), -EIO);
	segment_get_totals(ix, &after);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(state_of(ix, 7), SEG_OPEN);
	assert_int_equal(state_of(ix, 8), SEG_DEAD);
	assert_int_equal(state_of(ix, 9), -ENOENT);
	assert_sound(ix);
}

static void segments_are_listed_by_state(void **state)
{
	struct index *ix = ((struct world *)*state)->ix;
	struct segment_row rows[8];
	struct seg_id after = {0};
	int n;

	begin(ix);
	for (uint64_t id = 1; id <= 30; id++) {
		struct extent_row e = chunk_row(id, 0, 1, id, 0);

		add(ix, id, id % 3 != 0); /* 3, 6, ...: open */
		if (id % 3 == 1)	  /* 2, 5, ...: dead */
			OK(extent_put(ix, &e));
	}
	end(ix);
	index_lock(ix);
	n = segment_list(ix, SEG_SEALED, after, rows, 8);
	assert_int_equal(n, 8);
	for (int i = 0; i < n; i++)
		assert_int_equal(rows[i].desc.id.v, 1 + 3 * i);
	assert_int_equal(rows[0].refs, 1);
	after = rows[7].desc.id;
	assert_int_equal(segment_list(ix, SEG_SEALED, after, rows, 8), 2);
	after.v = 0;
	assert_int_equal(segment_list(ix, SEG_DEAD, after, rows, 4), 4);
	assert_int_equal(rows[3].desc.id.v, 11);
	after.v = 27;
	assert_int_equal(segment_list(ix, SEG_OPEN, after, rows, 8), 1);
	assert_int_equal(rows[0].desc.id.v, 30);
	after.v = 30;
	assert_int_equal(segment_list(ix, SEG_OPEN, after, rows, 8), 0);
	index_unlock(ix);
}

static void counts_are_the_same_after_opening_again(void **state)
{
	struct world *w = *state;
	struct play p = {.ix = w->ix};
	struct segment_totals before, after;

	rnd_seed(test_seed());
	add_root(w->ix);
	for (unsigned i = 0; i < 800; i++)
		play_operation(&p);
	segment_get_totals(w->ix, &before);
	assert_true(before.dead > 0 && before.open > 0);
	assert_sound(w->ix);
	cut_away(w->ix);
	OK(index_close(steal(&w->ix), true));
	OK(index_open(&w->o, &w->ix));
	segment_get_totals(w->ix, &after);
	assert_memory_equal(&before, &after, sizeof(before));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_INDEX(descriptions_come_back),
		WITH_INDEX(a_sealed_segment_dies_with_its_last_row),
		WITH_INDEX(a_replaced_row_within_one_operation_does_not_kill),
		WITH_INDEX(open_segments_live_until_they_are_sealed),
		WITH_INDEX(the_dead_stay_dead),
		WITH_INDEX(an_undone_operation_leaves_states_alone),
		WITH_INDEX(segments_are_listed_by_state),
		WITH_INDEX(counts_are_the_same_after_opening_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
