/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/backend/store_fixture.h"

#include "backend/checksum.h"

static struct seg_context cx;

static int setup(void **state)
{
	(void)state;
	rnd_bytes(&cx.pool, sizeof(cx.pool));
	cx.cipher = CIPHER_CHACHA20_POLY1305;
	aead_track_nonces(true);
	return keyring_new(&cx.keys);
}

static int teardown(void **state)
{
	(void)state;
	aead_track_nonces(false);
	seg_keys_forget(cx.keys);
	keyring_free(cx.keys);
	return 0;
}

/* A stripe in memory. */
struct stripe {
	struct sample *s;
	struct seg_desc d;
	struct buf *file[EC_TOTAL_MAX];
};

static struct stripe stripe_new(unsigned n, uint32_t chunk, unsigned k,
				unsigned m)
{
	struct stripe t = {.s = sample_of(&cx, SEG_DATA, n, chunk)};

	assert_int_equal(seg_build_finish(t.s->b), 0);
	seg_build_describe(t.s->b, &t.d);
	t.d.k = (uint8_t)k;
	t.d.m = (uint8_t)m;
	t.d.stripe.v = rnd_u64() | 1;
	seg_build_split(t.s->b, k, t.d.bound);
	assert_int_equal(
		fragment_build(&cx, &t.d,
			       seg_build_at(t.s->b, 0, t.d.payload_len),
			       t.file),
		0);
	return t;
}

static void stripe_free(struct stripe *t)
{
	for (unsigned i = 0; i < fragment_count(&t->d); i++)
		buf_unref(t->file[i]);
	sample_free(t->s);
}

static int check(const struct stripe *t, unsigned i)
{
	return fragment_file_check(&cx, &t->d, i, t->file[i]->data,
				   t->file[i]->len);
}

static void files_have_the_documented_shape(void **state)
{
	struct stripe t = stripe_new(20, 30000, 4, 2);
	uint32_t longest = 0;

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		const struct buf *f = t.file[i];
		uint32_t len = fragment_data_len(&t.d, i);

		assert_int_equal(f->len, fragment_file_len(&t.d, i));
		assert_int_equal(f->len % FRAG_ALIGN, 0);
		assert_int_equal((uintptr_t)f->data % FRAG_ALIGN, 0);
		assert_int_equal(get_le64(f->data), FRAG_MAGIC);
		assert_int_equal(memcmp(f->data, "MENDFRG1", 8), 0);
		if (i < 4) {
			assert_memory_equal(
				f->data + FRAG_HEADER,
				seg_build_at(t.s->b, fragment_start(&t.d, i),
					     len),
				len);
			longest = MAX(longest, len);
		} else {
			assert_int_equal(len, longest);
		}
		assert_int_equal(check(&t, i), 0);
	}
	assert_int_equal(fragment_longest(&t.d), longest);
	stripe_free(&t);
}

/* k x m data blocks of which some are short: parity is of padded ones. */
static void parity_is_of_zero_padded_ranges(void **state)
{
	struct stripe t = stripe_new(5, 40000, 3, 2);
	uint32_t longest = fragment_longest(&t.d);
	uint8_t *data[3], *parity[2];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		data[i] = calloc(1, longest);
		memcpy(data[i], t.file[i]->data + FRAG_HEADER,
		       fragment_data_len(&t.d, i));
	}
	for (unsigned i = 0; i < 2; i++)
		parity[i] = malloc(longest);
	assert_int_equal(erasure_encode(3, 2, longest,
					(const uint8_t *const *)data, parity),
			 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_memory_equal(t.file[3 + i]->data + FRAG_HEADER,
				    parity[i], longest);
		free(parity[i]);
	}
	for (unsigned i = 0; i < 3; i++)
		free(data[i]);
	stripe_free(&t);
}

static void empty_ranges_are_header_only(void **state)
{
	struct stripe t = stripe_new(1, 100, 5, 2);

	(void)state;
	for (unsigned i = 0; i < 7; i++) {
		if (fragment_data_len(&t.d, i) == 0)
			assert_int_equal(t.file[i]->len, FRAG_HEADER);
		assert_int_equal(check(&t, i), 0);
	}
	stripe_free(&t);
}

static void wide_and_unprotected_stripes(void **state)
{
	static const unsigned shape[][2] = {
		{1, 0}, {1, 8}, {24, 8}, {24, 0}, {13, 3}};

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(shape); s++) {
		struct stripe t =
			stripe_new(30, 5000, shape[s][0], shape[s][1]);

		for (unsigned i = 0; i < fragment_count(&t.d); i++)
			assert_int_equal(check(&t, i), 0);
		stripe_free(&t);
	}
}

static void any_flipped_byte_is_found(void **state)
{
	struct stripe t = stripe_new(9, 30000, 2, 1);

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct buf *f = t.file[i];

		for (size_t at = 0; at < f->len; at += at < 800 ? 1 : 911) {
			f->data[at] ^= 0x10;
			assert_int_not_equal(check(&t, i), 0);
			f->data[at] ^= 0x10;
		}
		f->data[f->len - 1] ^= 1; /* padding of the table */
		assert_int_equal(check(&t, i), -ERR_CORRUPT);
		f->data[f->len - 1] ^= 1;
		f->data[FRAG_HEADER - 1] ^= 1; /* of the header */
		assert_int_equal(check(&t, i), -ERR_CORRUPT);
		f->data[FRAG_HEADER - 1] ^= 1;
		assert_int_equal(check(&t, i), 0);
	}
	stripe_free(&t);
}

static void any_other_length_is_found(void **state)
{
	struct stripe t = stripe_new(9, 30000, 2, 1);
	struct buf *f = t.file[0];

	(void)state;
	for (size_t len = 0; len < f->len; len += 1021) {
		uint8_t *exact = malloc(len ? len : 1); /* for ASan */

		memcpy(exact, f->data, len);
		assert_int_equal(fragment_file_check(&cx, &t.d, 0, exact, len),
				 -ERR_TRUNCATED);
		free(exact);
	}
	assert_int_equal(fragment_file_check(&cx, &t.d, 0, f->data, f->len + 1),
			 -ERR_CORRUPT);
	stripe_free(&t);
}

static void reseal_crc(struct buf *f)
{
	put_le32(f->data + offsetof(struct frag_header, header_crc),
		 crc32c(f->data, offsetof(struct frag_header, header_crc)));
}

/* Whoever has no key can fix the checksum, but not the MAC. */
static void forged_header_is_no_rot(void **state)
{
	struct stripe t = stripe_new(3, 1000, 1, 1);
	struct buf *f = t.file[0];

	(void)state;
	f->data[offsetof(struct frag_header, k)]++;
	assert_int_equal(check(&t, 0), -ERR_CORRUPT);
	reseal_crc(f);
	assert_int_equal(check(&t, 0), -ERR_AUTH);
	f->data[offsetof(struct frag_header, k)]--;
	f->data[0] ^= 1;
	reseal_crc(f);
	assert_int_equal(check(&t, 0), -ERR_FORMAT);
	f->data[0] ^= 1;
	f->data[offsetof(struct frag_header, version)]++;
	reseal_crc(f);
	assert_int_equal(check(&t, 0), -ERR_FEATURE);
	stripe_free(&t);
}

/* Data and table that fit each other, but not the tag. */
static void forged_data_fails_its_tag(void **state)
{
	struct stripe t = stripe_new(3, 1000, 1, 1);
	uint8_t *data = t.file[1]->data + FRAG_HEADER;

	(void)state;
	data[5] ^= 1;
	assert_int_equal(check(&t, 1), -ERR_CORRUPT);
	put_le32(t.file[1]->data + fragment_table_off(&t.d, 1),
		 crc32c(data, fragment_padded_len(&t.d, 1)));
	assert_int_equal(check(&t, 1), -ERR_AUTH);
	stripe_free(&t);
}

static void fragments_of_others_are_told_apart(void **state)
{
	struct stripe a = stripe_new(4, 5000, 2, 1);
	struct stripe b = stripe_new(4, 5000, 2, 1);
	struct seg_context other = cx;
	struct keyring *stranger;
	struct seg_desc found;
	unsigned i;

	(void)state;
	assert_int_equal(fragment_header_check(&cx, &a.d, 1, a.file[0]->data,
					       NULL),
			 -ERR_AUTH); /* another index */
	assert_int_equal(fragment_header_check(&cx, &a.d, 0, b.file[0]->data,
					       NULL),
			 -ERR_AUTH); /* another segment */
	b.d = a.d;
	b.d.stripe.v++;
	assert_int_equal(fragment_header_check(&cx, &b.d, 0, a.file[0]->data,
					       NULL),
			 -ERR_AUTH); /* another stripe */
	b.d = a.d;
	b.d.bound[0]--;
	assert_int_equal(fragment_header_check(&cx, &b.d, 0, a.file[0]->data,
					       NULL),
			 -ERR_AUTH);
	other.pool.b[3]++;
	assert_int_equal(fragment_header_parse(&other, a.file[0]->data,
					       FRAG_HEADER, &found, &i, NULL),
			 -ERR_AUTH); /* another pool */
	assert_int_equal(keyring_new(&stranger), 0);
	other = cx;
	other.keys = stranger;
	assert_int_equal(fragment_header_parse(&other, a.file[0]->data,
					       FRAG_HEADER, &found, &i, NULL),
			 -ERR_AUTH); /* another key */
	keyring_free(stranger);
	stripe_free(&a);
	stripe_free(&b);
}

static void header_alone_tells_the_segment(void **state)
{
	struct stripe t = stripe_new(12, 5000, 4, 2);

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct frag_tags tags;
		struct seg_desc found;
		unsigned index;

		assert_int_equal(fragment_header_parse(&cx, t.file[i]->data,
						       FRAG_HEADER, &found,
						       &index, &tags),
				 0);
		assert_int_equal(index, i);
		assert_memory_equal(&found, &t.d, sizeof(found));
		for (unsigned j = 0; j < 6; j++)
			assert_int_equal(fragment_tag_check(
						 &cx, &t.d, j, &tags,
						 t.file[j]->data + FRAG_HEADER),
					 0);
		assert_int_equal(fragment_tag_check(&cx, &t.d, 4, &tags,
						    t.file[5]->data +
							    FRAG_HEADER),
				 -ERR_AUTH);
	}
	assert_int_equal(fragment_header_parse(&cx, t.file[0]->data,
					       FRAG_HEADER - 1, &t.d, NULL,
					       NULL),
			 -ERR_TRUNCATED);
	stripe_free(&t);
}

/* Even with the right key a header's numbers are checked. */
static void authentic_nonsense_is_refused(void **state)
{
	struct stripe t = stripe_new(12, 5000, 4, 2);
	struct {
		size_t at;
		uint8_t value;
	} bad[] = {
		{offsetof(struct frag_header, kind), 0},
		{offsetof(struct frag_header, kind), 3},
		{offsetof(struct frag_header, k), 0},
		{offsetof(struct frag_header, k), 25},
		{offsetof(struct frag_header, k), 255},
		{offsetof(struct frag_header, m), 9},
		{offsetof(struct frag_header, index), 6},
		{offsetof(struct frag_header, payload_len) + 3, 5},
		{offsetof(struct frag_header, table_pos) + 3, 1},
		{offsetof(struct frag_header, data_len), 1},
		{offsetof(struct frag_header, bound) + 3, 1},
	};
	uint8_t header[FRAG_HEADER];
	struct seg_desc found;
	unsigned index;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct frag_header *h = (struct frag_header *)header;

		memcpy(header, t.file[0]->data, FRAG_HEADER);
		header[bad[i].at] = bad[i].value;
		assert_int_equal(keyring_mac(cx.keys, "fragment header", h,
					     offsetof(struct frag_header, mac),
					     h->mac),
				 0);
		put_le32(&h->header_crc,
			 crc32c(h, offsetof(struct frag_header, header_crc)));
		assert_int_equal(fragment_header_parse(&cx, header, FRAG_HEADER,
						       &found, &index, NULL),
				 -ERR_RANGE);
	}
	stripe_free(&t);
}

static void build_without_memory_leaks_nothing(void **state)
{
	struct sample *s = sample_of(&cx, SEG_DATA, 9, 20000);
	struct buf *file[EC_TOTAL_MAX];
	struct seg_desc d;
	int rc;

	(void)state;
	assert_int_equal(seg_build_finish(s->b), 0);
	seg_build_describe(s->b, &d);
	d.k = 3;
	d.m = 2;
	seg_build_split(s->b, 3, d.bound);
	for (unsigned i = 1;; i++) {
		d.stripe.v = i; /* a new one for every try */
		mem_fail_at(i, 0);
		rc = fragment_build(&cx, &d,
				    seg_build_at(s->b, 0, d.payload_len), file);
		mem_fail_at(0, 0);
		if (rc == 0)
			break;
		assert_int_equal(rc, -ENOMEM);
		for (unsigned j = 0; j < 5; j++)
			assert_null(file[j]);
	}
	for (unsigned j = 0; j < 5; j++)
		buf_unref(file[j]);
	sample_free(s);
}

/*
 * What 256 MiB of incompressible data cost in segments of 16 MiB, for all
 * default geometries: at most 4 % above (k+m)/k.
 */
static void overhead_is_small(void **state)
{
	static const unsigned shape[][2] = {{1, 0}, {1, 1}, {2, 1}, {2, 2},
					    {3, 2}, {4, 2}, {5, 2}, {6, 2},
					    {6, 3}, {7, 3}, {8, 3}, {9, 3},
					    {10, 3}};
	const uint32_t chunk = 128 << 10, cap = 16 << 20;
	uint8_t *plain = malloc(chunk);
	uint64_t user = 0, raw[ARRAY_LEN(shape)] = {0};
	unsigned chunks = 0;

	(void)state;
	aead_track_nonces(false);
	rnd_bytes(plain, chunk);
	while (chunks < 2048) {
		struct seg_build *b;
		struct chunk_ref ref;
		struct seg_desc d;

		assert_int_equal(seg_build_new(&cx, SEG_DATA,
					       (struct seg_id){chunks}, cap,
					       NULL, &b),
				 0);
		/* sixteen equal segments: one is made, and counted for all */
		while (seg_build_add(b, 1, chunks, plain, chunk, 1, &ref) == 0)
			chunks++;
		assert_int_equal(seg_build_count(b), 128);
		assert_int_equal(seg_build_finish(b), 0);
		seg_build_describe(b, &d);
		for (size_t s = 0; s < ARRAY_LEN(shape); s++) {
			d.k = (uint8_t)shape[s][0];
			d.m = (uint8_t)shape[s][1];
			seg_build_split(b, d.k, d.bound);
			for (unsigned i = 0; i < fragment_count(&d); i++)
				raw[s] += 16ull * fragment_file_len(&d, i);
		}
		seg_build_free(b);
		user += 16ull * chunks * chunk;
		chunks *= 16;
	}
	assert_int_equal(user, 256ull << 20);
	for (size_t s = 0; s < ARRAY_LEN(shape); s++) {
		unsigned k = shape[s][0], m = shape[s][1];

		assert_true(raw[s] * k * 100 <= user * (k + m) * 104);
	}
	aead_track_nonces(true);
	free(plain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_have_the_documented_shape),
		cmocka_unit_test(parity_is_of_zero_padded_ranges),
		cmocka_unit_test(empty_ranges_are_header_only),
		cmocka_unit_test(wide_and_unprotected_stripes),
		cmocka_unit_test(any_flipped_byte_is_found),
		cmocka_unit_test(any_other_length_is_found),
		cmocka_unit_test(forged_header_is_no_rot),
		cmocka_unit_test(forged_data_fails_its_tag),
		cmocka_unit_test(fragments_of_others_are_told_apart),
		cmocka_unit_test(header_alone_tells_the_segment),
		cmocka_unit_test(authentic_nonsense_is_refused),
		cmocka_unit_test(build_without_memory_leaks_nothing),
		cmocka_unit_test(overhead_is_small),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
