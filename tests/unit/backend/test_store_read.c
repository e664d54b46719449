/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever happens to up to m fragments, all data comes back; beyond that an
 * error says which of the two it is, and never something else than was
 * written.
 */
#include "unit/backend/store_fixture.h"

#include "backend/checksum.h"
#include "base/clock.h"

#define CHUNK (64u << 10)

static const unsigned shapes[][2] = {{1, 1}, {2, 1}, {2, 2}, {4, 2}};

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

static struct store_stats stats(const struct fixture *f)
{
	struct store_stats st;

	store_get_stats(f->store, &st);
	return st;
}

static uint32_t homes(const struct seg_desc *d, uint32_t fragments)
{
	uint32_t slots = 0;

	for (unsigned i = 0; i < fragment_count(d); i++)
		if (fragments >> i & 1)
			slots |= 1u << d->home[i];
	return slots;
}

static void any_m_members_away(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		unsigned k = shapes[i][0], m = shapes[i][1];
		struct fixture *f = fixture_new(k + m, k, m);
		struct sample *s = sample_written(f, 9, CHUNK);

		for (uint32_t away = 0; away < 1u << (k + m); away++) {
			unsigned n = (unsigned)__builtin_popcount(away);

			hide(f, homes(&s->d, away));
			if (n <= m)
				sample_read_all(f, s);
			else
				for (unsigned c = 0; c < s->n; c++) {
					int rc = sample_read(f, s, c);
					int r = fragment_find(&s->d,
							      s->ref[c].pos, 1);

					assert_int_equal(
						rc, away >> r & 1
							    ? -ERR_UNAVAILABLE
							    : 0);
				}
		}
		assert_int_equal(stats(f).fragments_suspect, 0);
		sample_free(s);
		fixture_free(f);
	}
}

/* The same with files that are gone, or members that answer with errors. */
static void any_m_fragments_missing(void **state)
{
	struct fixture *f = fixture_new(6, 4, 2);

	(void)state;
	for (unsigned a = 0; a < 6; a++) {
		for (unsigned b = a + 1; b < 6; b++) {
			struct sample *s = sample_written(f, 9, CHUNK);

			frag_remove(f, &s->d, a);
			frag_remove(f, &s->d, b);
			sample_read_all(f, s);
			sample_free(s);
		}
	}
	assert_true(stats(f).fragments_suspect > 0);
	assert_true(stats(f).chunks_rebuilt > 0);
	fixture_free(f);
}

static void any_m_members_failing(void **state)
{
	static const struct {
		enum fault_kind kind;
		unsigned ops;
		int err;
	} way[] = {
		{FAULT_ERROR, FAULT_OP_OPEN, EACCES},
		{FAULT_ERROR, FAULT_OP_READ, EIO},
		{FAULT_ERROR, FAULT_OP_OPEN, EMFILE},
		{FAULT_VANISH, FAULT_OP_ALL, 0},
		{FAULT_BITROT, FAULT_OP_READ, 0},
	};

	(void)state;
	for (size_t w = 0; w < ARRAY_LEN(way); w++) {
		for (unsigned a = 0; a < 4; a++) {
			struct fixture *f = fixture_new(4, 2, 2);
			struct sample *s = sample_written(f, 9, CHUNK);

			fault(f, a, way[w].kind, way[w].ops, way[w].err);
			fault(f, (a + 1) % 4, way[w].kind, way[w].ops,
			      way[w].err);
			sample_read_all(f, s);
			sample_free(s);
			fixture_free(f);
		}
	}
}

/* ---- damage ---- */

/* Places in a file of fragment i, from each of its parts. */
static unsigned places(const struct seg_desc *d, unsigned i, size_t *at)
{
	uint32_t table = fragment_table_off(d, i);

	at[0] = 0;
	at[1] = offsetof(struct frag_header, stripe);
	at[2] = offsetof(struct frag_header, tag);
	at[3] = offsetof(struct frag_header, mac);
	at[4] = offsetof(struct frag_header, header_crc);
	at[5] = FRAG_HEADER - 1;
	at[6] = FRAG_HEADER;
	at[7] = FRAG_HEADER + fragment_data_len(d, i) / 2;
	at[8] = FRAG_HEADER + fragment_data_len(d, i) - 1;
	at[9] = table - 1;
	at[10] = table;
	at[11] = fragment_file_len(d, i) - 1;
	return 12;
}

static void one_flipped_byte_anywhere(void **state)
{
	struct fixture *f = fixture_new(3, 2, 1);
	struct sample *s = sample_written(f, 7, 30000);
	enum frag_state now[EC_TOTAL_MAX];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		size_t at[16];
		unsigned n = places(&s->d, i, at);

		for (unsigned p = 0; p < n; p++) {
			frag_flip(f, &s->d, i, at[p]);
			sample_read_all(f, s);
			assert_int_equal(
				store_check(f->store, &s->d, true, now), 2);
			for (unsigned j = 0; j < 3; j++)
				assert_int_equal(now[j],
						 j == i ? FRAG_BAD : FRAG_GOOD);
			frag_flip(f, &s->d, i, at[p]);
		}
	}
	assert_complete(f, &s->d);
	sample_free(s);
	fixture_free(f);
}

/* Rot in every fragment, but never in more than m at the same place. */
static void rot_all_over_is_rebuilt_block_by_block(void **state)
{
	struct fixture *f = fixture_new(4, 2, 2);
	struct sample *s = sample_written(f, 4, 512 << 10);
	struct store_stats st;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		uint32_t blocks = fragment_data_len(&s->d, i) / FRAG_CRC_BLOCK;

		for (uint32_t b = 0; b < blocks; b++)
			if (b % 4 == i || b % 4 == (i + 1) % 4)
				frag_flip(f, &s->d, i,
					  FRAG_HEADER + b * FRAG_CRC_BLOCK +
						  b * 100);
	}
	sample_read_all(f, s);
	st = stats(f);
	assert_true(st.chunks_rebuilt > 0);
	assert_true(st.fragments_suspect > 0);
	sample_free(s);
	fixture_free(f);
}

static void truncated_and_emptied_files(void **state)
{
	struct fixture *f = fixture_new(4, 2, 2);
	struct sample *s = sample_written(f, 7, CHUNK);
	enum frag_state now[EC_TOTAL_MAX];

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct buf *whole = frag_read(f, &s->d, i);
		size_t len[] = {0,
				1,
				FRAG_HEADER - 1,
				FRAG_HEADER,
				whole->len / 2,
				fragment_table_off(&s->d, i),
				whole->len - 1};

		for (size_t l = 0; l < ARRAY_LEN(len); l++) {
			for (int deep = 0; deep < 2; deep++) {
				frag_write(f, &s->d, i, whole, len[l]);
				sample_read_all(f, s);
				assert_int_equal(store_check(f->store, &s->d,
							     deep, now),
						 3);
				assert_int_equal(now[i], FRAG_BAD);
			}
		}
		frag_write(f, &s->d, i, whole, whole->len);
		buf_unref(whole);
	}
	assert_complete(f, &s->d);
	sample_free(s);
	fixture_free(f);
}

/* Files of one stripe change places, or come from another stripe. */
static void swapped_files(void **state)
{
	struct fixture *f = fixture_new(4, 2, 2);
	struct sample *s = sample_written(f, 8, CHUNK);
	struct seg_desc old = s->d;
	struct buf *a = frag_read(f, &s->d, 0), *b = frag_read(f, &s->d, 2);
	enum frag_state now[EC_TOTAL_MAX];

	(void)state;
	frag_write(f, &s->d, 0, b, b->len);
	frag_write(f, &s->d, 2, a, a->len);
	sample_read_all(f, s);
	for (int deep = 0; deep < 2; deep++) {
		assert_int_equal(store_check(f->store, &s->d, deep, now), 2);
		assert_int_equal(now[0], FRAG_BAD);
		assert_int_equal(now[2], FRAG_BAD);
	}
	buf_unref(a);
	buf_unref(b);
	assert_int_equal(store_write(f->store, s->b, &s->d), 0);
	a = frag_read(f, &old, 1);
	frag_write(f, &s->d, 1, a, a->len); /* a replay of the older stripe */
	sample_read_all(f, s);
	assert_int_equal(store_check(f->store, &s->d, false, now), 3);
	assert_int_equal(now[1], FRAG_BAD);
	buf_unref(a);
	sample_free(s);
	fixture_free(f);
}

/* A folder that knows how checksums work: table and header stay right. */
static void forge(const struct fixture *f, const struct seg_desc *d, unsigned i)
{
	struct buf *file = frag_read(f, d, i);
	uint8_t *table = file->data + fragment_table_off(d, i);
	uint32_t n;

	for (uint32_t at = 0; at < fragment_data_len(d, i); at += 1000)
		file->data[FRAG_HEADER + at] ^= 0x55;
	for (uint32_t b = 0; (n = fragment_block_len(d, i, b)) > 0; b++)
		put_le32(table + 4 * b,
			 crc32c(file->data + FRAG_HEADER + b * FRAG_CRC_BLOCK,
				n));
	frag_write(f, d, i, file, file->len);
	buf_unref(file);
}

static void malicious_folders(void **state)
{
	(void)state;
	for (unsigned a = 0; a < 6; a++) {
		for (unsigned b = a + 1; b < 6; b++) {
			struct fixture *f = fixture_new(6, 4, 2);
			struct sample *s = sample_written(f, 9, CHUNK);
			enum frag_state now[EC_TOTAL_MAX];

			forge(f, &s->d, a);
			forge(f, &s->d, b);
			sample_read_all(f, s);
			assert_int_equal(
				store_check(f->store, &s->d, true, now), 4);
			assert_int_equal(now[a], FRAG_BAD);
			assert_int_equal(now[b], FRAG_BAD);
			sample_free(s);
			fixture_free(f);
		}
	}
}

static void more_than_m_forged_is_an_error(void **state)
{
	struct fixture *f = fixture_new(3, 2, 1);
	struct sample *s = sample_written(f, 8, CHUNK);

	(void)state;
	forge(f, &s->d, 0);
	forge(f, &s->d, 2);
	for (unsigned c = 0; c < s->n; c++) {
		int range = fragment_find(&s->d, s->ref[c].pos, 1);

		assert_int_equal(sample_read(f, s, c),
				 range == 0 ? -ERR_UNAVAILABLE : 0);
	}
	sample_free(s);
	fixture_free(f);
}

/* All fragments are good, but the index is wrong about the chunk. */
static void wrong_index_row_is_corrupt(void **state)
{
	struct fixture *f = fixture_new(4, 2, 2);
	struct sample *s = sample_written(f, 8, CHUNK);
	uint8_t *plain = malloc(CHUNK);
	struct chunk_ref bad = s->ref[0];

	(void)state;
	assert_int_equal(store_read_chunk(f->store, &s->d, SAMPLE_DATA_ID + 1,
					  0, &s->ref[0], plain),
			 -ERR_CORRUPT);
	assert_int_equal(store_read_chunk(f->store, &s->d, SAMPLE_DATA_ID,
					  CHUNK, &s->ref[0], plain),
			 -ERR_CORRUPT);
	bad.pos = s->d.bound[0] - 10; /* across two ranges */
	assert_int_equal(store_read_chunk(f->store, &s->d, SAMPLE_DATA_ID, 0,
					  &bad, plain),
			 -ERR_CORRUPT);
	bad.pos = UINT32_MAX - 5;
	assert_int_equal(store_read_chunk(f->store, &s->d, SAMPLE_DATA_ID, 0,
					  &bad, plain),
			 -ERR_CORRUPT);
	bad.pos = 0;
	bad.stored_len = UINT32_MAX;
	assert_int_equal(store_read_chunk(f->store, &s->d, SAMPLE_DATA_ID, 0,
					  &bad, plain),
			 -ERR_CORRUPT);
	free(plain);
	sample_free(s);
	fixture_free(f);
}

struct heard {
	unsigned calls;
	uint32_t index;
};

static void hear(void *arg, const struct seg_desc *d, unsigned index)
{
	struct heard *h = arg;

	assert_true(index < fragment_count(d));
	h->calls++;
	h->index |= 1u << index;
}

static void suspects_are_reported_once_per_read(void **state)
{
	struct fixture *f = fixture_new(4, 2, 2);
	struct sample *s = sample_written(f, 8, CHUNK);
	struct heard h = {0};

	(void)state;
	store_on_suspect(f->store, hear, &h);
	assert_int_equal(sample_read(f, s, 0), 0);
	assert_int_equal(h.calls, 0);
	frag_flip(f, &s->d, 0, FRAG_HEADER + 10);
	assert_int_equal(sample_read(f, s, 0), 0);
	assert_int_equal(h.calls, 1);
	assert_int_equal(h.index, 1);
	frag_flip(f, &s->d, 2, FRAG_HEADER + 10);
	h = (struct heard){0};
	assert_int_equal(sample_read(f, s, 0), 0);
	assert_int_equal(h.index & 1, 1);
	assert_int_equal(h.calls, (unsigned)__builtin_popcount(h.index));
	assert_true(stats(f).fragments_suspect >= 2);
	/* a member that is away is no suspect */
	h = (struct heard){0};
	hide(f, 1u << s->d.home[1]);
	assert_int_equal(sample_read(f, s, 7), 0);
	assert_int_equal(h.index & 2, 0);
	sample_free(s);
	fixture_free(f);
}

/* ---- runs and tables ---- */

static void check_run(struct fixture *f, const struct sample *s, unsigned from,
		      unsigned n)
{
	uint8_t *plain = malloc(n * s->chunk), *want = malloc(s->chunk);

	assert_int_equal(store_read_run(f->store, &s->d, SAMPLE_DATA_ID,
					(uint64_t)from * s->chunk,
					&s->ref[from], n, plain),
			 0);
	for (unsigned i = 0; i < n; i++) {
		sample_fill(from + i, s->chunk, want);
		assert_memory_equal(plain + i * s->chunk, want, s->chunk);
	}
	free(plain);
	free(want);
}

static uint64_t reads_of(struct fixture *f)
{
	uint64_t calls = 0;

	for (unsigned i = 0; i < f->pool.n; i++) {
		struct driver_stats st;

		backend_get_stats(f->pool.member[i].backend, &st);
		calls += st.read_bytes > 0 ? st.calls : 0;
	}
	return calls;
}

static void runs_cross_ranges(void **state)
{
	struct fixture *f = fixture_new(6, 4, 2);
	struct sample *s = sample_written(f, 40, 16 << 10);

	(void)state;
	for (unsigned from = 0; from < 40; from += 3)
		for (unsigned n = 1; from + n <= 40; n += 5)
			check_run(f, s, from, n);
	check_run(f, s, 0, 40);
	assert_int_equal(store_read_run(f->store, &s->d, 0, 0, s->ref, 0, NULL),
			 0);
	for (unsigned away = 0; away < 6; away++) {
		hide(f, 1u << away | 1u << (away + 1) % 6);
		check_run(f, s, 0, 40);
	}
	sample_free(s);
	fixture_free(f);
}

static void a_run_in_one_range_is_one_read(void **state)
{
	struct fixture *f = fixture_new(1, 1, 0);
	struct sample *s = sample_written(f, 16, 16 << 10);
	uint64_t one, before;

	(void)state;
	check_run(f, s, 0, 1);
	before = reads_of(f);
	check_run(f, s, 0, 1);
	one = reads_of(f) - before;
	before = reads_of(f);
	check_run(f, s, 0, 16);
	assert_int_equal(reads_of(f) - before, one);
	sample_free(s);
	fixture_free(f);
}

/* The largest chunks there are, in runs longer than one read takes. */
static void chunks_of_4_mib(void **state)
{
	struct fixture *f = fixture_new(3, 2, 1);
	struct sample *s = sample_written(f, 3, SEG_CHUNK_MAX);

	(void)state;
	check_run(f, s, 0, 3);
	for (unsigned i = 0; i < 3; i++) {
		hide(f, 1u << i);
		check_run(f, s, 0, 3);
	}
	hide(f, 0);
	for (uint32_t at = 0; at + FRAG_CRC_BLOCK < fragment_data_len(&s->d, 0);
	     at += 2 * FRAG_CRC_BLOCK) {
		frag_flip(f, &s->d, 0, FRAG_HEADER + at);
		frag_flip(f, &s->d, 2, FRAG_HEADER + at + FRAG_CRC_BLOCK);
	}
	check_run(f, s, 0, 3);
	sample_free(s);
	fixture_free(f);
}

struct listing {
	const struct sample *s;
	unsigned seen;
	int answer;
};

static int list_entry(void *arg, uint64_t data_id, uint64_t offset,
		      const struct chunk_ref *ref)
{
	struct listing *l = arg;

	assert_int_equal(data_id, SAMPLE_DATA_ID);
	assert_int_equal(offset, (uint64_t)l->seen * l->s->chunk);
	assert_memory_equal(ref, &l->s->ref[l->seen], sizeof(*ref));
	l->seen++;
	return l->answer;
}

static void table_is_read_and_rebuilt(void **state)
{
	struct fixture *f = fixture_new(3, 2, 1);
	struct sample *s = sample_written(f, 30, 8192);
	struct listing l = {.s = s};

	(void)state;
	assert_int_equal(store_read_table(f->store, &s->d, list_entry, &l), 0);
	assert_int_equal(l.seen, 30);
	for (unsigned i = 0; i < 3; i++) {
		hide(f, 1u << i);
		l.seen = 0;
		assert_int_equal(
			store_read_table(f->store, &s->d, list_entry, &l), 0);
		assert_int_equal(l.seen, 30);
	}
	hide(f, 0);
	l = (struct listing){.s = s, .answer = 42};
	assert_int_equal(store_read_table(f->store, &s->d, list_entry, &l), 42);
	assert_int_equal(l.seen, 1);
	frag_flip(f, &s->d, 1, FRAG_HEADER + fragment_data_len(&s->d, 1) - 100);
	l = (struct listing){.s = s};
	assert_int_equal(store_read_table(f->store, &s->d, list_entry, &l), 0);
	assert_int_equal(l.seen, 30);
	sample_free(s);
	fixture_free(f);
}

/* ---- time ---- */

static void hung_member_is_hedged(void **state)
{
	struct fixture *f = fixture_new(4, 2, 2);
	struct sample *s = sample_written(f, 8, CHUNK);
	uint64_t began;

	(void)state;
	fault(f, s->d.home[0], FAULT_HANG, FAULT_OP_READ, 0);
	fault(f, s->d.home[2], FAULT_HANG, FAULT_OP_READ, 0);
	began = clock_mono_ms();
	assert_int_equal(sample_read(f, s, 0), 0);
	assert_true(clock_mono_ms() - began < 3000); /* of 10 s */
	assert_int_equal(stats(f).chunks_rebuilt, 1);
	assert_int_equal(stats(f).fragments_suspect, 0);
	fault_clear(f->loc[s->d.home[0]]);
	fault_clear(f->loc[s->d.home[2]]);
	sample_free(s);
	fixture_free(f);
}

static void slow_member_still_answers_if_alone(void **state)
{
	struct fixture *f = fixture_new(2, 1, 1);
	struct sample *s = sample_written(f, 4, CHUNK);
	struct fault_rule slow = {.kind = FAULT_DELAY,
				  .ops = FAULT_OP_READ,
				  .prefix = "",
				  .ms = 300};

	(void)state;
	assert_int_equal(fault_add(f->loc[s->d.home[0]], &slow), 0);
	hide(f, 1u << s->d.home[1]);
	sample_read_all(f, s);
	assert_int_equal(stats(f).fragments_suspect, 0);
	sample_free(s);
	fixture_free(f);
}

static void all_hung_ends_at_the_deadline(void **state)
{
	struct fixture *f = fixture_new(2, 1, 1);
	struct sample *s = sample_written(f, 4, CHUNK);
	uint64_t began;

	(void)state;
	fault(f, 0, FAULT_HANG, FAULT_OP_READ, 0);
	fault(f, 1, FAULT_HANG, FAULT_OP_READ, 0);
	store_set_deadline(f->store, 300);
	began = clock_mono_ms();
	assert_int_equal(sample_read(f, s, 0), -ERR_UNAVAILABLE);
	assert_in_range(clock_mono_ms() - began, 300, 3000);
	fault_clear(f->loc[0]);
	fault_clear(f->loc[1]);
	sample_free(s);
	fixture_free(f);
}

/* ---- memory ---- */

static void out_of_memory_leaks_nothing(void **state)
{
	struct fixture *f = fixture_new(4, 2, 2);
	struct sample *s = sample_written(f, 4, 30000);
	uint8_t *plain = malloc(s->chunk);

	(void)state;
	frag_flip(f, &s->d, 0, FRAG_HEADER + 100);
	forge(f, &s->d, 2); /* so that all ways are gone */
	for (unsigned c = 0; c < s->n; c++) {
		bool reached = true;

		for (unsigned i = 1; reached; i++) {
			int rc;

			mem_fail_at(i, 0);
			rc = store_read_chunk(f->store, &s->d, SAMPLE_DATA_ID,
					      c * s->chunk, &s->ref[c], plain);
			reached = mem_count() >= i;
			mem_fail_at(0, 0);
			assert_true(rc == 0 || (rc == -ENOMEM && reached));
			assert_int_equal(sample_read(f, s, c), 0);
		}
	}
	free(plain);
	sample_free(s);
	fixture_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(any_m_members_away, without_threads),
		cmocka_unit_test_setup(any_m_fragments_missing,
				       without_threads),
		cmocka_unit_test_setup(any_m_members_failing, without_threads),
		cmocka_unit_test_setup(any_m_members_failing, with_threads),
		cmocka_unit_test_setup(one_flipped_byte_anywhere,
				       without_threads),
		cmocka_unit_test_setup(rot_all_over_is_rebuilt_block_by_block,
				       without_threads),
		cmocka_unit_test_setup(truncated_and_emptied_files,
				       without_threads),
		cmocka_unit_test_setup(swapped_files, without_threads),
		cmocka_unit_test_setup(malicious_folders, without_threads),
		cmocka_unit_test_setup(more_than_m_forged_is_an_error,
				       without_threads),
		cmocka_unit_test_setup(wrong_index_row_is_corrupt,
				       without_threads),
		cmocka_unit_test_setup(suspects_are_reported_once_per_read,
				       without_threads),
		cmocka_unit_test_setup(runs_cross_ranges, without_threads),
		cmocka_unit_test_setup(runs_cross_ranges, with_threads),
		cmocka_unit_test_setup(a_run_in_one_range_is_one_read,
				       without_threads),
		cmocka_unit_test_setup(chunks_of_4_mib, without_threads),
		cmocka_unit_test_setup(table_is_read_and_rebuilt,
				       without_threads),
		cmocka_unit_test_setup(hung_member_is_hedged, with_threads),
		cmocka_unit_test_setup(slow_member_still_answers_if_alone,
				       with_threads),
		cmocka_unit_test_setup(all_hung_ends_at_the_deadline,
				       with_threads),
		cmocka_unit_test_setup(out_of_memory_leaks_nothing,
				       without_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
