/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judging fragments (C6: unknown is neither missing nor bad), and making them
 * anew.
 */
#include "unit/backend/store_fixture.h"

#include "backend/checksum.h"

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

/* Fragment i alone is in this state, however deep one looks. */
static void expect(struct fixture *f, const struct sample *s, unsigned i,
		   enum frag_state want)
{
	enum frag_state now[EC_TOTAL_MAX];

	for (int deep = 0; deep < 2; deep++) {
		unsigned n = fragment_count(&s->d);

		assert_int_equal(store_check(f->store, &s->d, deep, now),
				 n - 1);
		for (unsigned j = 0; j < n; j++)
			assert_int_equal(now[j], j == i ? want : FRAG_GOOD);
	}
}

static void only_proof_makes_it_missing(void **state)
{
	struct fixture *f = fixture_new(4, 2, 2);
	struct sample *s = sample_written(f, 8, CHUNK);

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		unsigned slot = s->d.home[i];
		struct buf *whole = frag_read(f, &s->d, i), *sb;

		frag_remove(f, &s->d, i);
		expect(f, s, i, FRAG_MISSING);
		/* the disk is not mounted: its folder is empty */
		fault(f, slot, FAULT_VANISH, FAULT_OP_ALL, 0);
		expect(f, s, i, FRAG_UNKNOWN);
		fault_clear(f->loc[slot]);
		/* another member is mounted there */
		sb = file_read(f, (slot + 1) % 4, "mendfs.super.0");
		file_write(f, slot, "mendfs.super.0", sb->data, sb->len);
		buf_unref(sb);
		expect(f, s, i, FRAG_UNKNOWN);
		/* one good slot is proof, whichever */
		file_write(f, slot, "mendfs.super.0", "torn", 4);
		expect(f, s, i, FRAG_UNKNOWN);
		file_remove(f, slot, "mendfs.super.0");
		put_superblock(f, slot);
		expect(f, s, i, FRAG_MISSING);
		frag_write(f, &s->d, i, whole, whole->len);
		buf_unref(whole);
	}
	assert_complete(f, &s->d);
	sample_free(s);
	fixture_free(f);
}

static void errors_are_unknown(void **state)
{
	static const int err[] = {EIO, EACCES, EMFILE, ESTALE, ENOTDIR};

	(void)state;
	for (size_t e = 0; e < ARRAY_LEN(err); e++) {
		struct fixture *f = fixture_new(3, 2, 1);
		struct sample *s = sample_written(f, 8, CHUNK);

		fault(f, s->d.home[1], FAULT_ERROR,
		      FAULT_OP_OPEN | FAULT_OP_READ, err[e]);
		expect(f, s, 1, FRAG_UNKNOWN);
		sample_free(s);
		fixture_free(f);
	}
}

static void absent_members_are_unknown(void **state)
{
	struct fixture *f = fixture_new(3, 2, 1);
	struct sample *s = sample_written(f, 8, CHUNK);

	(void)state;
	hide(f, 1u << s->d.home[2]);
	expect(f, s, 2, FRAG_UNKNOWN);
	hide(f, 0);
	backend_set_down(f->pool.member[s->d.home[0]].backend, true);
	expect(f, s, 0, FRAG_UNKNOWN);
	s->d.home[0] = 31; /* a member that the pool does not have */
	expect(f, s, 0, FRAG_UNKNOWN);
	sample_free(s);
	fixture_free(f);
}

static void hung_members_are_unknown(void **state)
{
	struct fixture *f = fixture_new(3, 2, 1);
	struct sample *s = sample_written(f, 8, CHUNK);

	(void)state;
	store_set_deadline(f->store, 200);
	fault(f, s->d.home[0], FAULT_HANG, FAULT_OP_OPEN, 0);
	expect(f, s, 0, FRAG_UNKNOWN);
	fault_clear(f->loc[s->d.home[0]]);
	sample_free(s);
	fixture_free(f);
}

static void a_light_check_sees_header_and_length(void **state)
{
	struct fixture *f = fixture_new(3, 2, 1);
	struct sample *s = sample_written(f, 8, CHUNK);
	enum frag_state now[EC_TOTAL_MAX];
	struct buf *whole = frag_read(f, &s->d, 0), *longer;

	(void)state;
	longer = buf_new(whole->len + 1);
	memcpy(longer->data, whole->data, whole->len);
	frag_write(f, &s->d, 0, longer, longer->len);
	expect(f, s, 0, FRAG_BAD);
	frag_write(f, &s->d, 0, whole, whole->len - 1);
	expect(f, s, 0, FRAG_BAD);
	frag_write(f, &s->d, 0, whole, whole->len);
	frag_flip(f, &s->d, 0, 17);
	expect(f, s, 0, FRAG_BAD);
	frag_flip(f, &s->d, 0, 17);
	frag_flip(f, &s->d, 0, FRAG_HEADER); /* that one is too deep */
	assert_int_equal(store_check(f->store, &s->d, false, now), 3);
	assert_int_equal(store_check(f->store, &s->d, true, now), 2);
	buf_unref(whole);
	buf_unref(longer);
	sample_free(s);
	fixture_free(f);
}

static void empty_fragments_can_be_judged(void **state)
{
	struct fixture *f = fixture_new(6, 4, 2);
	struct sample *s = sample_written(f, 1, 100000);
	unsigned empty = 0;

	(void)state;
	assert_int_equal(s->d.k, 4);
	for (unsigned i = 0; i < 6; i++)
		if (fragment_data_len(&s->d, i) == 0)
			empty = i;
	assert_int_equal(fragment_data_len(&s->d, empty), 0);
	assert_complete(f, &s->d);
	frag_flip(f, &s->d, empty, 700);
	expect(f, s, empty, FRAG_BAD);
	sample_read_all(f, s);
	sample_free(s);
	fixture_free(f);
}

/* ---- making them anew ---- */

/* A member without a part in the stripe. */
static unsigned spare_of(const struct fixture *f, const struct seg_desc *d)
{
	uint32_t used = 0;
	unsigned spare = 0;

	for (unsigned i = 0; i < fragment_count(d); i++)
		used |= 1u << d->home[i];
	while (used >> spare & 1)
		spare++;
	assert_true(spare < f->pool.n);
	return spare;
}

static void every_fragment_can_be_made_anew(void **state)
{
	static const unsigned shape[][2] = {{1, 1}, {2, 1}, {2, 2}, {4, 2}};

	(void)state;
	for (size_t g = 0; g < ARRAY_LEN(shape); g++) {
		unsigned k = shape[g][0], m = shape[g][1];
		struct fixture *f = fixture_new(k + m + 1, k, m);
		struct sample *s = sample_written(f, 20, CHUNK);

		for (unsigned i = 0; i < k + m; i++) {
			struct buf *old = frag_read(f, &s->d, i), *now;
			unsigned home = s->d.home[i];
			unsigned spare = spare_of(f, &s->d);

			/* at the same place */
			assert_int_equal(store_rebuild(f->store, &s->d, i,
						       home),
					 -EEXIST);
			frag_remove(f, &s->d, i);
			assert_int_equal(
				store_rebuild(f->store, &s->d, i, home), 0);
			now = frag_read(f, &s->d, i);
			assert_int_equal(now->len, old->len);
			assert_memory_equal(now->data, old->data, now->len);
			buf_unref(now);
			/* and at another, with m members away */
			hide(f, 1u << home);
			assert_int_equal(
				store_rebuild(f->store, &s->d, i, spare), 0);
			hide(f, 0);
			s->d.home[i] = (uint8_t)spare;
			now = frag_read(f, &s->d, i);
			assert_memory_equal(now->data, old->data, now->len);
			buf_unref(now);
			buf_unref(old);
			assert_complete(f, &s->d);
		}
		sample_free(s);
		fixture_free(f);
	}
}

static void forge(const struct fixture *f, const struct seg_desc *d, unsigned i)
{
	struct buf *file = frag_read(f, d, i);

	file->data[FRAG_HEADER + 3] ^= 0x55;
	put_le32(file->data + fragment_table_off(d, i),
		 crc32c(file->data + FRAG_HEADER, fragment_block_len(d, i, 0)));
	frag_write(f, d, i, file, file->len);
	buf_unref(file);
}

static void wrong_bytes_are_never_written(void **state)
{
	struct fixture *f = fixture_new(5, 2, 2);
	struct sample *s = sample_written(f, 20, CHUNK);
	unsigned spare = spare_of(f, &s->d);
	enum frag_state now[EC_TOTAL_MAX];

	(void)state;
	forge(f, &s->d, 1);
	assert_int_equal(store_rebuild(f->store, &s->d, 0, spare), 0);
	s->d.home[0] = (uint8_t)spare;
	assert_int_equal(store_check(f->store, &s->d, true, now), 3);
	assert_int_equal(now[1], FRAG_BAD);
	forge(f, &s->d, 2);
	forge(f, &s->d, 3);
	hide(f, 1u << spare);
	assert_int_equal(store_rebuild(f->store, &s->d, 0, s->d.home[1]),
			 -ERR_UNAVAILABLE);
	hide(f, 0);
	sample_free(s);
	fixture_free(f);
}

static void rebuild_that_cannot_work(void **state)
{
	struct fixture *f = fixture_new(4, 2, 1);
	struct sample *s = sample_written(f, 20, CHUNK);
	unsigned spare = spare_of(f, &s->d);

	(void)state;
	assert_int_equal(store_rebuild(f->store, &s->d, 0, 31),
			 -ERR_UNAVAILABLE);
	fault(f, spare, FAULT_FULL, FAULT_OP_ALL, 0);
	assert_int_equal(store_rebuild(f->store, &s->d, 0, spare), -ENOSPC);
	fault_clear(f->loc[spare]);
	hide(f, 1u << s->d.home[1] | 1u << s->d.home[0]);
	assert_int_equal(store_rebuild(f->store, &s->d, 0, spare),
			 -ERR_UNAVAILABLE);
	hide(f, 1u << s->d.home[1] | 1u << s->d.home[0] | 1u << s->d.home[2]);
	assert_int_equal(store_rebuild(f->store, &s->d, 0, spare),
			 -ERR_UNAVAILABLE);
	hide(f, 0);
	sample_free(s);
	fixture_free(f);
}

static void out_of_memory_leaks_nothing(void **state)
{
	struct fixture *f = fixture_new(4, 2, 1);
	struct sample *s = sample_written(f, 6, 30000);
	unsigned spare = spare_of(f, &s->d);
	enum frag_state now[EC_TOTAL_MAX];
	struct seg_desc d = s->d;
	bool reached = true;

	(void)state;
	d.home[1] = (uint8_t)spare;
	for (unsigned i = 1; reached; i++) {
		int rc;

		mem_fail_at(i, 0);
		rc = store_rebuild(f->store, &s->d, 1, spare);
		reached = mem_count() >= i;
		mem_fail_at(0, 0);
		assert_true(rc == 0 || (rc == -ENOMEM && reached));
		assert_int_equal(frag_exists(f, &d, 1), rc == 0);
		if (rc == 0)
			frag_remove(f, &d, 1);
	}
	reached = true;
	for (unsigned i = 1; reached; i++) {
		unsigned good;

		mem_fail_at(i, 0);
		good = store_check(f->store, &s->d, i & 1, now);
		reached = mem_count() >= i;
		mem_fail_at(0, 0);
		for (unsigned j = 0; j < 3; j++)
			assert_true(now[j] == FRAG_GOOD ||
				    now[j] == FRAG_UNKNOWN);
		assert_true(good == 3 || reached);
	}
	sample_free(s);
	fixture_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(only_proof_makes_it_missing,
				       without_threads),
		cmocka_unit_test_setup(errors_are_unknown, without_threads),
		cmocka_unit_test_setup(absent_members_are_unknown,
				       without_threads),
		cmocka_unit_test_setup(hung_members_are_unknown, with_threads),
		cmocka_unit_test_setup(a_light_check_sees_header_and_length,
				       without_threads),
		cmocka_unit_test_setup(empty_fragments_can_be_judged,
				       without_threads),
		cmocka_unit_test_setup(every_fragment_can_be_made_anew,
				       without_threads),
		cmocka_unit_test_setup(wrong_bytes_are_never_written,
				       without_threads),
		cmocka_unit_test_setup(rebuild_that_cannot_work,
				       without_threads),
		cmocka_unit_test_setup(out_of_memory_leaks_nothing,
				       without_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
