/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/meta/index_test.h"

/* ---- a model: where each byte of a data id comes from ---- */

#define SMALL_CHUNK (16u << 10)
#define SMALL_SLOT  (8 * SMALL_CHUNK)
#define MODEL_BYTES (3 * SMALL_SLOT)

struct origin {
	uint32_t segment; /* 0: a hole */
	uint32_t chunk;	  /* position of its chunk */
	uint32_t at;	  /* in the chunk's plain bytes */
};

static struct origin model[MODEL_BYTES];

static void model_put(struct origin *m, const struct extent_row *e)
{
	uint64_t at = e->skip, end = at + e->len, start = 0, off = e->off;

	for (uint32_t i = 0; i < e->n; i++) {
		for (; at < end && at < start + e->ref[i].plain_len; at++)
			m[off++] = (struct origin){(uint32_t)e->segment.v,
						   e->ref[i].pos,
						   (uint32_t)(at - start)};
		start += e->ref[i].plain_len;
	}
	assert_int_equal(off, e->off + e->len);
}

/* What the rows show must be what the model says, byte by byte. */
static void assert_like_model(struct index *ix)
{
	static struct extent_row rows[4096];
	static struct origin shown[MODEL_BYTES];
	uint64_t end = 0, bytes = 0, sum;
	int n;

	memset(shown, 0, sizeof(shown));
	index_lock(ix);
	n = extent_find(ix, 1, 0, UINT64_MAX, rows, ARRAY_LEN(rows));
	OK(extent_bytes(ix, 1, &sum));
	assert_int_equal(extent_count(ix, 1, UINT32_MAX >> 1), n);
	index_unlock(ix);
	assert_in_range(n, 0, ARRAY_LEN(rows) - 1);
	for (int i = 0; i < n; i++) {
		assert_true(rows[i].off >= end);
		assert_true(extent_valid(&rows[i], SMALL_CHUNK));
		end = rows[i].off + rows[i].len;
		bytes += rows[i].len;
		model_put(shown, &rows[i]);
	}
	assert_int_equal(sum, bytes);
	assert_memory_equal(shown, model, sizeof(model));
}

/* Any valid row: chunks of any length, parts of the outer ones hidden. */
static struct extent_row random_row(uint64_t segment)
{
	struct extent_row e = {.data = 1, .segment = {segment}};
	uint32_t slot = (uint32_t)rnd_below(3) * SMALL_SLOT, start;
	uint32_t sum = 0, pos = (uint32_t)rnd_below(1000), tail;

	start = (uint32_t)rnd_below(SMALL_SLOT - 1);
	if (rnd_below(3))
		start -= start % SMALL_CHUNK;
	while (e.n < EXTENT_CHUNKS_MAX && sum < SMALL_SLOT - start) {
		uint32_t left = MIN(SMALL_SLOT - start - sum, SMALL_CHUNK);
		struct chunk_ref *c = &e.ref[e.n++];

		c->plain_len =
			rnd_below(3) ? left : 1 + (uint32_t)rnd_below(left);
		c->stored_len = 17 + (uint32_t)rnd_below(c->plain_len);
		c->codec = (enum codec)rnd_below(2);
		c->pos = pos;
		pos += c->stored_len;
		sum += c->plain_len;
		if (!rnd_below(3))
			break;
	}
	if (rnd_below(2))
		e.skip = (uint32_t)rnd_below(e.ref[0].plain_len);
	tail = (uint32_t)rnd_below(e.ref[e.n - 1].plain_len);
	if (rnd_below(2) || sum - e.skip <= tail)
		tail = 0;
	e.off = slot + start + e.skip;
	e.len = sum - e.skip - tail;
	return e;
}

static void model_step(struct index *ix, uint64_t segment)
{
	struct extent_row e = random_row(segment);
	bool keep = rnd_below(6) != 0, punch = rnd_below(4) == 0;

	assert_true(extent_valid(&e, SMALL_CHUNK));
	begin(ix);
	if (punch)
		assert_int_equal(extent_cut(ix, 1, e.off, e.len, 4096), 1);
	else
		OK(extent_put(ix, &e));
	assert_int_equal(index_end(ix, keep ? 0 : -EIO), keep ? 0 : -EIO);
	if (keep && punch)
		memset(model + e.off, 0, e.len * sizeof(*model));
	else if (keep)
		model_put(model, &e);
}

static void rows_show_the_last_written_bytes(void **state)
{
	struct world *w = *state;

	w->o.chunk_bytes = SMALL_CHUNK;
	OK(index_create(&w->o, &w->ix));
	memset(model, 0, sizeof(model));
	rnd_seed(test_seed());
	for (unsigned i = 1; i <= 600; i++) {
		model_step(w->ix, i);
		if (i % 10 == 0)
			assert_like_model(w->ix);
	}
	cut_away(w->ix);
	OK(index_close(steal(&w->ix), true));
	OK(index_open(&w->o, &w->ix));
	assert_like_model(w->ix);
}

/* Single bytes: the rows of a slot outnumber any batch. */
static void slots_may_fall_into_many_rows(void **state)
{
	struct index *ix = ((struct world *)*state)->ix;
	struct extent_row e = chunk_row(1, 0, 8, 5, 0), rows[4];

	DO(ix, extent_put(ix, &e));
	begin(ix);
	for (unsigned i = 0; i < 300; i++)
		assert_int_equal(extent_cut(ix, 1, i * 3000 + 1, 1, 9), 1);
	end(ix);
	index_lock(ix);
	assert_int_equal(extent_count(ix, 1, 1000), 301);
	assert_int_equal(extent_count(ix, 1, 100), 100);
	assert_int_equal(extent_find(ix, 1, 2 * 3000 + 1, 1, rows, 4), 0);
	assert_int_equal(extent_find(ix, 1, 2 * 3000, 3, rows, 4), 2);
	assert_int_equal(rows[0].off + rows[0].len, 2 * 3000 + 1);
	assert_int_equal(rows[1].off, 2 * 3000 + 2);
	index_unlock(ix);
	DO(ix, extent_put(ix, &e)); /* over all of them */
	index_lock(ix);
	assert_int_equal(extent_count(ix, 1, 1000), 1);
	index_unlock(ix);
}

static void cutting_goes_on_from_the_end(void **state)
{
	struct index *ix = ((struct world *)*state)->ix;
	struct extent_row rows[64];
	unsigned rounds = 0;
	int rc;

	begin(ix);
	for (unsigned i = 0; i < 100; i++) {
		struct extent_row e = chunk_row(1, 8ull * i, 8, 5, 0);

		OK(extent_put(ix, &e));
	}
	assert_int_equal(extent_cut(ix, 1, 0, UINT64_MAX, 0), 0);
	assert_int_equal(extent_cut(ix, 2, 0, UINT64_MAX, 0), 1);
	end(ix);
	begin(ix);
	assert_int_equal(extent_cut(ix, 1, 10 * SLOT + 5, 80ull * SLOT, 30), 0);
	end(ix);
	index_lock(ix);
	/* trimmed: the one at 90; gone: 61..89 */
	assert_int_equal(
		extent_find(ix, 1, 60ull * SLOT, 31ull * SLOT, rows, 64), 2);
	assert_int_equal(rows[0].off, 60ull * SLOT);
	assert_int_equal(rows[1].off, 90ull * SLOT + 5);
	index_unlock(ix);
	do {
		begin(ix);
		rc = extent_cut(ix, 1, 10 * SLOT + 5, UINT64_MAX, 7);
		end(ix);
		assert_in_range(rc, 0, 1);
		rounds++;
	} while (!rc);
	assert_in_range(rounds, 8, 10);
	index_lock(ix);
	assert_int_equal(extent_count(ix, 1, 1000), 11);
	index_unlock(ix);
}

static void ill_formed_rows_are_refused(void **state)
{
	struct index *ix = ((struct world *)*state)->ix;
	const struct extent_row good = chunk_row(1, 2, 3, 5, 0);
	struct extent_row e = {0};

	begin(ix);
#define REFUSED(change)                                        \
	do {                                                   \
		e = good;                                      \
		change;                                        \
		assert_int_equal(extent_put(ix, &e), -EINVAL); \
	} while (0)
	REFUSED(e.n = 0);
	REFUSED(e.n = 9);
	REFUSED(e.len = 0);
	REFUSED(e.len++);
	REFUSED(e.len = 2 * CHUNK); /* last chunk not visible */
	REFUSED(e.skip = CHUNK);    /* first chunk not visible */
	REFUSED(e.skip = 1);	    /* runs over its chunks */
	REFUSED(e.off = 6 * CHUNK); /* crosses the slot's end */
	REFUSED(e.off = 5; e.skip = 6; e.len -= 6); /* begins before it */
	REFUSED(e.off = INT64_MAX - CHUNK);
	REFUSED(e.off = UINT64_MAX - CHUNK);
	REFUSED(e.ref[1].pos++);
	REFUSED(e.ref[1].plain_len = 0);
	REFUSED(e.ref[1].plain_len++);
	REFUSED(e.ref[2].stored_len = 0);
	REFUSED(e.ref[2].stored_len = UINT32_MAX);
	REFUSED(e.ref[0].codec = (enum codec)2);
	assert_int_equal(extent_cut(ix, 1, UINT64_MAX, 1, 1), -EINVAL);
	OK(extent_put(ix, &good));
	end(ix);
	memset(&e, 0, sizeof(e));
	index_lock(ix);
	assert_int_equal(extent_find(ix, 1, UINT64_MAX, 1, &e, 1), -EINVAL);
	assert_int_equal(extent_find(ix, 1, 0, 0, &e, 1), 0);
	assert_int_equal(extent_find(ix, 1, 0, UINT64_MAX, &e, 1), 1);
	index_unlock(ix);
	assert_memory_equal(&e, &good, sizeof(e));
}

static void offsets_go_to_the_end(void **state)
{
	struct index *ix = ((struct world *)*state)->ix;
	uint64_t slot = INT64_MAX / SLOT - 1;
	struct extent_row e = chunk_row(INT64_MAX, slot * 8, 8, 5, 0);
	struct extent_row got = {0};

	DO(ix, extent_put(ix, &e));
	index_lock(ix);
	assert_int_equal(extent_find(ix, INT64_MAX, slot * SLOT + 1, UINT64_MAX,
				     &got, 1),
			 1);
	index_unlock(ix);
	assert_memory_equal(&got, &e, sizeof(e));
	begin(ix);
	assert_int_equal(extent_cut(ix, INT64_MAX, 0, UINT64_MAX, 5), 1);
	end(ix);
}

/* ---- the blob ---- */

static void blobs_come_back(void **state)
{
	(void)state;
	rnd_seed(test_seed());
	for (unsigned i = 0; i < 2000; i++) {
		struct extent_row e = random_row(1), got = e;
		uint8_t blob[CHUNKS_BLOB_MAX];
		size_t len = chunks_encode(&e, SMALL_CHUNK, blob);

		memset(got.ref, 0, sizeof(got.ref));
		got.n = 0;
		OK(chunks_decode(blob, len, e.ref[0].pos, SMALL_CHUNK, &got));
		assert_memory_equal(&got, &e, sizeof(e));
		for (size_t cut_at = 0; cut_at < len; cut_at++) {
			int rc = chunks_decode(blob, cut_at, 0, SMALL_CHUNK,
					       &got);

			assert_true(rc == -ERR_CORRUPT || (!rc && got.n < e.n));
		}
	}
	rnd_unseed();
}

static void garbage_is_refused_or_valid(void **state)
{
	struct extent_row e = {0};

	(void)state;
	rnd_seed(test_seed());
	for (unsigned i = 0; i < 20000; i++) {
		uint8_t blob[64];
		size_t len = rnd_below(sizeof(blob));
		int rc;

		rnd_bytes(blob, len);
		rc = chunks_decode(blob, len, (uint32_t)rnd_u64(), SMALL_CHUNK,
				   &e);
		assert_true(rc == 0 || rc == -ERR_CORRUPT);
		if (rc)
			continue;
		assert_in_range(e.n, 1, EXTENT_CHUNKS_MAX);
		for (unsigned c = 0; c < e.n; c++) {
			assert_in_range(e.ref[c].plain_len, 1, SMALL_CHUNK);
			assert_true(e.ref[c].stored_len > 0);
		}
	}
	rnd_unseed();
}

/* A whole chunk is not spelled as a part that happens to be all of it. */
static void a_chunk_has_one_spelling(void **state)
{
	struct extent_row e = {0};
	uint8_t blob[16];
	struct writer w = writer_of(blob, sizeof(blob));

	(void)state;
	writer_varint(&w, 500 << 2 | 1);
	writer_varint(&w, SMALL_CHUNK - 1);
	OK(chunks_decode(blob, writer_len(&w), 0, SMALL_CHUNK, &e));
	w = writer_of(blob, sizeof(blob));
	writer_varint(&w, 500 << 2 | 1);
	writer_varint(&w, SMALL_CHUNK);
	assert_int_equal(
		chunks_decode(blob, writer_len(&w), 0, SMALL_CHUNK, &e),
		-ERR_CORRUPT);
}

/* What a column holds beyond 32 bits is not cut off silently. */
static void wide_numbers_are_damage(void **state)
{
	struct index *ix = ((struct world *)*state)->ix;
	const uint64_t wide = 1ULL << 32;
	uint8_t blob[CHUNKS_BLOB_MAX];
	struct extent_row e = chunk_row(1, 0, 1, 1, 0), got;
	size_t len = chunks_encode(&e, CHUNK, blob);

	for (uint64_t data = 1; data <= 4; data++) {
		begin(ix);
		assert_int_equal(
			OP_RUN(ix, STMT_EXTENT_INSERT, V_INT(data), V_INT(0),
			       V_INT(CHUNK + (data == 2 ? wide : 0)), V_INT(1),
			       V_INT(data == 3 ? wide : 0),
			       V_INT(data == 4 ? wide : 0), V_INT(1),
			       V_BLOB(blob, len)),
			1);
		end(ix);
		index_lock(ix);
		assert_int_equal(extent_find(ix, data, 0, CHUNK, &got, 1),
				 data == 1 ? 1 : -ERR_CORRUPT);
		index_unlock(ix);
	}
}

/* The largest numbers fit the buffer. */
static void the_largest_blob_fits(void **state)
{
	struct extent_row e = {.n = EXTENT_CHUNKS_MAX}, got = {0};
	uint8_t blob[CHUNKS_BLOB_MAX];
	size_t len;

	(void)state;
	for (unsigned i = 0; i < e.n; i++)
		e.ref[i] = (struct chunk_ref){.stored_len = UINT32_MAX / 8,
					      .plain_len = (4u << 20) - 1,
					      .codec = CODEC_ZSTD};
	len = chunks_encode(&e, 4u << 20, blob);
	OK(chunks_decode(blob, len, 0, 4u << 20, &got));
	assert_int_equal(got.n, e.n);
	assert_int_equal(got.ref[7].stored_len, UINT32_MAX / 8);
	assert_int_equal(got.ref[7].plain_len, (4u << 20) - 1);
}

/* ---- room ---- */

#define BUDGET_ROWS 20000

static void a_full_row_takes_little_room(void **state)
{
	struct index *ix = ((struct world *)*state)->ix;
	uint64_t before = index_bytes(ix);
	double each;

	begin(ix);
	for (unsigned i = 0; i < BUDGET_ROWS; i++) {
		/* beyond 2 GiB, in segments and positions of some size */
		struct extent_row e =
			chunk_row(100000, 20000 + 8ull * i, 8, 70000 + i / 14,
				  i % 14 * 8 * (CHUNK + 16));

		OK(extent_put(ix, &e));
	}
	end(ix);
	cut_away(ix);
	each = (double)(index_bytes(ix) - before) / BUDGET_ROWS;
	printf("bytes per full row: %.1f\n", each);
	assert_true(each <= 75);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD(rows_show_the_last_written_bytes),
		WITH_INDEX(slots_may_fall_into_many_rows),
		WITH_INDEX(cutting_goes_on_from_the_end),
		WITH_INDEX(ill_formed_rows_are_refused),
		WITH_INDEX(offsets_go_to_the_end),
		cmocka_unit_test(blobs_come_back),
		cmocka_unit_test(garbage_is_refused_or_valid),
		cmocka_unit_test(a_chunk_has_one_spelling),
		WITH_INDEX(wide_numbers_are_damage),
		cmocka_unit_test(the_largest_blob_fits),
		WITH_INDEX(a_full_row_takes_little_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
