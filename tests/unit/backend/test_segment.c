/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/backend/store_fixture.h"

#define CHUNK 4096u

static struct seg_context cx;

static int setup(void **state)
{
	(void)state;
	rnd_bytes(&cx.pool, sizeof(cx.pool));
	cx.cipher = CIPHER_AES_256_GCM;
	cx.key_epoch = 5;
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

static struct seg_build *build_new(uint32_t cap, const uint8_t *salt)
{
	struct seg_build *b;

	assert_int_equal(seg_build_new(&cx, SEG_DATA, (struct seg_id){9}, cap,
				       salt, &b),
			 0);
	return b;
}

/* ---- chunks ---- */

static void chunks_read_back_from_the_open_segment(void **state)
{
	struct sample *s = sample_of(&cx, SEG_DATA, 40, CHUNK);
	uint8_t plain[CHUNK], want[CHUNK];

	(void)state;
	for (unsigned i = 0; i < s->n; i++) {
		assert_int_equal(seg_build_read(s->b, SAMPLE_DATA_ID, i * CHUNK,
						&s->ref[i], plain),
				 0);
		sample_fill(i, CHUNK, want);
		assert_memory_equal(plain, want, CHUNK);
		assert_int_equal(s->ref[i].codec,
				 i % 3 == 2 ? CODEC_ZSTD : CODEC_RAW);
	}
	assert_int_equal(seg_build_count(s->b), 40);
	sample_free(s);
}

/* Stored and compressed ones; without the check it would be believed. */
static void a_flipped_bit_is_noticed(void **state)
{
	uint8_t plain[CHUNK], got[CHUNK];
	struct chunk_ref ref;

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct seg_build *b;

		cx.verify = true;
		b = build_new(16 * CHUNK, NULL);
		sample_fill(i, CHUNK, plain);
		seg_flip_at(2);
		assert_int_equal(seg_build_add(b, 1, 0, plain, CHUNK, 1, &ref),
				 0);
		assert_int_equal(seg_build_add(b, 1, CHUNK, plain, CHUNK, 1,
					       &ref),
				 -ERR_CORRUPT);
		assert_int_equal(seg_build_add(b, 1, CHUNK, plain, CHUNK, 1,
					       &ref),
				 -EIO);
		seg_build_free(b);

		cx.verify = false;
		b = build_new(16 * CHUNK, NULL);
		seg_flip_at(1);
		assert_int_equal(seg_build_add(b, 1, 0, plain, CHUNK, 1, &ref),
				 0);
		seg_flip_at(0);
		if (seg_build_read(b, 1, 0, &ref, got) == 0)
			assert_memory_not_equal(got, plain, CHUNK);
		seg_build_free(b);
	}
}

/* Readers use what was added while more is added; for TSan. */
struct reading {
	struct seg_build *b;
	unsigned until;
	unsigned wrong;
};

static void read_along(void *arg)
{
	struct reading *r = arg;
	uint8_t plain[CHUNK], want[CHUNK];
	unsigned seen = 0;

	while (seen < r->until) {
		struct chunk_ref ref;
		uint64_t data, offset;

		if (seg_build_count(r->b) == seen)
			continue;
		seg_build_entry(r->b, seen, &data, &offset, &ref);
		sample_fill(seen, CHUNK, want);
		r->wrong += data != SAMPLE_DATA_ID || offset != seen * CHUNK ||
			    ref.plain_len != CHUNK ||
			    seg_build_len(r->b) < ref.pos + ref.stored_len ||
			    seg_build_read(r->b, data, offset, &ref, plain) ||
			    memcmp(plain, want, CHUNK) != 0;
		seen++;
	}
}

static void readers_run_beside_the_adder(void **state)
{
	struct reading r[3];
	struct workq *q;
	struct seg_build *b = build_new(300 * CHUNK, NULL);
	uint8_t plain[CHUNK];

	(void)state;
	assert_int_equal(workq_new("readers", 3, &q), 0);
	for (unsigned i = 0; i < 3; i++) {
		r[i] = (struct reading){.b = b, .until = 300};
		assert_int_equal(workq_submit(q, read_along, &r[i]), 0);
	}
	for (unsigned i = 0; i < 300; i++) {
		struct chunk_ref ref;

		sample_fill(i, CHUNK, plain);
		assert_int_equal(seg_build_add(b, SAMPLE_DATA_ID, i * CHUNK,
					       plain, CHUNK, 1, &ref),
				 0);
	}
	workq_drain(q);
	workq_free(q);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(r[i].wrong, 0);
	seg_build_free(b);
}

static void every_byte_of_the_context_is_bound(void **state)
{
	struct sample *s = sample_of(&cx, SEG_DATA, 3, CHUNK);
	uint8_t plain[CHUNK], sealed[CHUNK + AEAD_TAG];
	struct seg_desc good, d;
	struct seg_context other = cx;

	(void)state;
	seg_build_describe(s->b, &good);
	for (unsigned i = 1; i < 3; i++) { /* a raw and a packed one */
		const struct chunk_ref *ref = &s->ref[i];
		struct chunk_ref r = *ref;
		uint64_t off = i * CHUNK;

		memcpy(sealed, seg_build_at(s->b, ref->pos, ref->stored_len),
		       ref->stored_len);
#define OPEN(c, id, o, rf) chunk_open(c, &d, id, o, rf, sealed, plain)
		d = good;
		assert_int_equal(OPEN(&cx, SAMPLE_DATA_ID, off, ref), 0);
		assert_int_equal(OPEN(&cx, SAMPLE_DATA_ID + 1, off, ref),
				 -ERR_AUTH);
		assert_int_equal(OPEN(&cx, SAMPLE_DATA_ID, off + 1, ref),
				 -ERR_AUTH);
		r.pos++;
		assert_int_equal(OPEN(&cx, SAMPLE_DATA_ID, off, &r), -ERR_AUTH);
		r = *ref;
		r.codec = CODEC_ZSTD;
		r.plain_len = CHUNK + 1;
		assert_int_equal(OPEN(&cx, SAMPLE_DATA_ID, off, &r), -ERR_AUTH);
		d.id.v++;
		assert_int_equal(OPEN(&cx, SAMPLE_DATA_ID, off, ref),
				 -ERR_AUTH);
		d = good;
		d.kind = SEG_INDEX;
		assert_int_equal(OPEN(&cx, SAMPLE_DATA_ID, off, ref),
				 -ERR_AUTH);
		d = good;
		d.key_epoch++;
		assert_int_equal(OPEN(&cx, SAMPLE_DATA_ID, off, ref),
				 -ERR_AUTH);
		d = good;
		d.salt[31] ^= 1;
		assert_int_equal(OPEN(&cx, SAMPLE_DATA_ID, off, ref),
				 -ERR_AUTH);
		d = good;
		other.pool.b[0] ^= 1;
		assert_int_equal(OPEN(&other, SAMPLE_DATA_ID, off, ref),
				 -ERR_AUTH);
		other.pool.b[0] ^= 1;
		for (uint32_t at = 0; at < ref->stored_len;
		     at += at < 20 ? 1 : 97) {
			sealed[at] ^= 1;
			assert_int_equal(OPEN(&cx, SAMPLE_DATA_ID, off, ref),
					 -ERR_AUTH);
			sealed[at] ^= 1;
		}
#undef OPEN
	}
	sample_free(s);
}

static void impossible_refs_are_refused_before_use(void **state)
{
	static const struct chunk_ref bad[] = {
		{0, 0, 1, CODEC_RAW},
		{0, AEAD_TAG, 1, CODEC_RAW},
		{0, AEAD_TAG + 2, 1, CODEC_RAW},
		{0, AEAD_TAG + 1, 0, CODEC_RAW},
		{0, UINT32_MAX, UINT32_MAX - AEAD_TAG, CODEC_RAW},
		{0, SEG_CHUNK_MAX + 1 + AEAD_TAG, SEG_CHUNK_MAX + 1, CODEC_RAW},
		{0, AEAD_TAG + 1, 1, CODEC_ZSTD},
		{0, AEAD_TAG + 9, 1, CODEC_ZSTD},
		{0, AEAD_TAG + 1, 1, (enum codec)2},
	};
	struct seg_desc d = {.id.v = 1, .kind = SEG_DATA};
	uint8_t byte = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(chunk_open(&cx, &d, 1, 0, &bad[i], &byte,
					    &byte),
				 -ERR_CORRUPT);
}

static void full_segment_says_enospc_and_stays_usable(void **state)
{
	struct seg_build *b = build_new(4 * CHUNK, NULL);
	uint8_t plain[CHUNK], got[CHUNK];
	struct chunk_ref ref, first;

	(void)state;
	sample_fill(0, CHUNK, plain);
	assert_int_equal(
		seg_build_add(b, 1, 0, plain, CHUNK, COMPRESS_NONE, &first), 0);
	/* cap / chunk of them fit, whatever their tags take */
	for (unsigned i = 1; i < 4; i++)
		assert_int_equal(seg_build_add(b, 1, i, plain, CHUNK,
					       COMPRESS_NONE, &ref),
				 0);
	assert_int_equal(seg_build_len(b), 4 * (CHUNK + AEAD_TAG));
	assert_int_equal(seg_build_add(b, 1, 9, plain, 1, COMPRESS_NONE, &ref),
			 -ENOSPC);
	assert_int_equal(seg_build_len(b), 4 * (CHUNK + AEAD_TAG));
	assert_int_equal(seg_build_count(b), 4);
	assert_int_equal(seg_build_read(b, 1, 0, &first, got), 0);
	assert_memory_equal(got, plain, CHUNK);
	assert_int_equal(seg_build_finish(b), 0);
	seg_build_free(b);
}

static void sizes_at_the_edges(void **state)
{
	struct seg_build *b;
	uint8_t *plain = calloc(1, SEG_CHUNK_MAX + 1);
	uint8_t *got = malloc(SEG_CHUNK_MAX);
	struct chunk_ref ref;
	struct seg_id id = {1};

	(void)state;
	assert_int_equal(seg_build_new(&cx, SEG_DATA, id, 0, NULL, &b),
			 -EINVAL);
	assert_int_equal(seg_build_new(&cx, SEG_DATA, id,
				       SEG_PAYLOAD_MAX / 2 + 1, NULL, &b),
			 -EINVAL);
	b = build_new(SEG_CHUNK_MAX, NULL);
	assert_int_equal(seg_build_add(b, 1, 0, plain, 0, 1, &ref), -EINVAL);
	assert_int_equal(seg_build_add(b, 1, 0, plain, SEG_CHUNK_MAX + 1, 1,
				       &ref),
			 -EINVAL);
	assert_int_equal(seg_build_len(b), 0);
	assert_int_equal(seg_build_add(b, 1, 0, plain, SEG_CHUNK_MAX,
				       COMPRESS_NONE, &ref),
			 0);
	assert_int_equal(seg_build_read(b, 1, 0, &ref, got), 0);
	assert_memory_equal(got, plain, SEG_CHUNK_MAX);
	seg_build_free(b);
	b = build_new(SEG_CHUNK_MAX, NULL);
	assert_int_equal(seg_build_add(b, 1, 0, plain, SEG_CHUNK_MAX, 1, &ref),
			 0);
	assert_true(ref.stored_len < 4096);
	assert_int_equal(seg_build_read(b, 1, 0, &ref, got), 0);
	assert_memory_equal(got, plain, SEG_CHUNK_MAX);
	seg_build_free(b);
	b = build_new(1, NULL);
	assert_int_equal(seg_build_add(b, 1, 0, "x", 1, 1, &ref), 0);
	assert_int_equal(seg_build_add(b, 1, 1, "x", 1, 1, &ref), -ENOSPC);
	seg_build_free(b);
	free(plain);
	free(got);
}

/* Tiny chunks fill the table before the payload. */
static void number_of_chunks_is_bounded(void **state)
{
	struct seg_build *b = build_new(1 << 20, NULL);
	struct chunk_ref ref;
	uint32_t n = 0;
	int rc;

	(void)state;
	aead_track_nonces(false); /* has no business with thousands */
	while ((rc = seg_build_add(b, 1, n, "x", 1, COMPRESS_NONE, &ref)) == 0)
		n++;
	aead_track_nonces(true);
	assert_int_equal(rc, -ENOSPC);
	assert_int_equal(n, (1 << 20) / 256 + 1024);
	assert_int_equal(seg_build_finish(b), 0);
	seg_build_free(b);
}

/* ---- C9 ---- */

static void nothing_is_added_after_the_end(void **state)
{
	struct sample *s = sample_of(&cx, SEG_DATA, 2, CHUNK);
	struct chunk_ref ref;
	uint32_t len;

	(void)state;
	assert_int_equal(seg_build_finish(s->b), 0);
	len = seg_build_len(s->b);
	assert_int_equal(seg_build_add(s->b, 1, 0, "x", 1, 1, &ref), -EIO);
	assert_int_equal(seg_build_restore(s->b, len, "x", 1), -EINVAL);
	assert_int_equal(seg_build_finish(s->b), 0);
	assert_int_equal(seg_build_len(s->b), len);
	sample_free(s);
}

/* Whichever allocation fails: no position is used twice, the rest is there. */
static void failed_add_ends_the_segment(void **state)
{
	uint8_t plain[CHUNK], got[CHUNK];
	bool failed = true;

	(void)state;
	sample_fill(2, CHUNK, plain); /* packs */
	for (unsigned i = 1; failed; i++) {
		struct seg_build *b = build_new(64 * CHUNK, NULL);
		struct chunk_ref ref, first;
		uint32_t len;
		int rc;

		assert_int_equal(
			seg_build_add(b, 1, 0, plain, CHUNK, 1, &first), 0);
		mem_fail_at(i, 1);
		do {
			len = seg_build_len(b);
			rc = seg_build_add(b, 1, 1, plain, CHUNK, 1, &ref);
		} while (rc == 0);
		failed = rc != -ENOSPC;
		mem_fail_at(0, 0);
		assert_int_equal(seg_build_len(b) > len, failed);
		if (failed)
			assert_int_equal(seg_build_add(b, 1, 2, plain, CHUNK, 1,
						       &ref),
					 -EIO);
		assert_int_equal(seg_build_read(b, 1, 0, &first, got), 0);
		assert_memory_equal(got, plain, CHUNK);
		assert_int_equal(seg_build_finish(b), 0);
		seg_build_free(b);
		if (i > 200)
			failed = false; /* enough seen */
	}
}

static int count_entries(void *arg, uint64_t data_id, uint64_t offset,
			 const struct chunk_ref *ref)
{
	(void)data_id;
	(void)offset;
	(void)ref;
	++*(unsigned *)arg;
	return 0;
}

static unsigned table_entries(const struct seg_build *b)
{
	struct seg_desc d;
	unsigned n = 0;

	seg_build_describe(b, &d);
	assert_int_equal(
		seg_table_open(&cx, &d,
			       seg_build_at(b, d.table_pos,
					    d.payload_len - d.table_pos),
			       count_entries, &n),
		0);
	return n;
}

static void finishing_can_be_tried_again(void **state)
{
	struct sample *s = sample_of(&cx, SEG_DATA, 4, CHUNK);
	int rc;

	(void)state;
	for (unsigned i = 1;; i++) {
		mem_fail_at(i, 0);
		rc = seg_build_finish(s->b);
		mem_fail_at(0, 0);
		if (rc == 0)
			break;
		assert_int_equal(rc, -ENOMEM);
	}
	assert_int_equal(table_entries(s->b), 4);
	sample_free(s);
}

/* ---- recovery ---- */

static struct seg_build *restored(const struct sample *s, unsigned upto)
{
	struct seg_build *b = build_new(64 * CHUNK, seg_build_salt(s->b));

	for (unsigned i = 0; i < upto; i++)
		assert_int_equal(
			seg_build_restore(b, s->ref[i].pos,
					  seg_build_at(s->b, s->ref[i].pos,
						       s->ref[i].stored_len),
					  s->ref[i].stored_len),
			0);
	return b;
}

static struct sample *sample_with_id_9(unsigned n)
{
	struct sample *s = mem_zalloc(sizeof(*s));
	uint8_t plain[CHUNK];

	s->b = build_new(64 * CHUNK, NULL);
	s->n = n;
	for (unsigned i = 0; i < n; i++) {
		sample_fill(i, CHUNK, plain);
		assert_int_equal(seg_build_add(s->b, SAMPLE_DATA_ID, i * CHUNK,
					       plain, CHUNK, 1, &s->ref[i]),
				 0);
	}
	return s;
}

static void restored_segment_reads_and_takes_no_adds(void **state)
{
	struct sample *s = sample_with_id_9(6);
	struct seg_build *b = restored(s, 5);
	uint8_t plain[CHUNK], want[CHUNK];
	struct chunk_ref ref;

	(void)state;
	assert_int_equal(seg_build_add(b, 1, 0, "x", 1, 1, &ref), -EIO);
	for (unsigned i = 5; i-- > 0;) /* in any order */
		assert_int_equal(seg_build_note(b, SAMPLE_DATA_ID, i * CHUNK,
						&s->ref[i]),
				 0);
	assert_int_equal(seg_build_note(b, SAMPLE_DATA_ID, CHUNK, &s->ref[1]),
			 0); /* and again */
	assert_int_equal(seg_build_note(b, SAMPLE_DATA_ID, 5 * CHUNK,
					&s->ref[5]),
			 -ERR_RANGE);
	assert_int_equal(seg_build_finish(b), 0);
	assert_int_equal(seg_build_note(b, 1, 0, &s->ref[0]), -EINVAL);
	assert_int_equal(table_entries(b), 5);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(seg_build_read(b, SAMPLE_DATA_ID, i * CHUNK,
						&s->ref[i], plain),
				 0);
		sample_fill(i, CHUNK, want);
		assert_memory_equal(plain, want, CHUNK);
	}
	seg_build_free(b);
	sample_free(s);
}

/*
 * The nonce set aborts if the table of a shorter recovery used the position
 * that a lost chunk had, or two recoveries sealed two tables with one key.
 */
static void recovering_twice_repeats_no_nonce(void **state)
{
	struct sample *s = sample_with_id_9(6);

	(void)state;
	for (unsigned upto = 0; upto <= 6; upto++) {
		struct seg_build *b = restored(s, upto);

		for (unsigned i = 0; i < upto; i++)
			assert_int_equal(seg_build_note(b, SAMPLE_DATA_ID,
							i * CHUNK, &s->ref[i]),
					 0);
		assert_int_equal(seg_build_finish(b), 0);
		assert_int_equal(table_entries(b), upto);
		seg_build_free(b);
	}
	sample_free(s);
}

static void gaps_are_kept_and_become_zeros(void **state)
{
	struct sample *s = sample_with_id_9(4);
	struct seg_build *b = build_new(64 * CHUNK, seg_build_salt(s->b));
	const struct chunk_ref *ref = &s->ref[2];
	uint32_t bound[3];

	(void)state;
	assert_int_equal(
		seg_build_restore(b, ref->pos,
				  seg_build_at(s->b, ref->pos, ref->stored_len),
				  ref->stored_len),
		0);
	for (uint32_t i = 0; i < ref->pos; i++)
		assert_int_equal(*seg_build_at(b, i, 1), 0);
	assert_int_equal(seg_build_note(b, SAMPLE_DATA_ID, 2 * CHUNK, ref), 0);
	assert_int_equal(seg_build_restore(b, ref->pos, "x", 1), -ERR_RANGE);
	assert_int_equal(seg_build_finish(b), 0);
	seg_build_split(b, 3, bound);
	assert_int_equal(bound[2], seg_build_len(b));
	assert_true(bound[1] == 0 || bound[1] == ref->pos + ref->stored_len);
	seg_build_free(b);
	sample_free(s);
}

static void restoring_beyond_the_cap_is_refused(void **state)
{
	struct seg_build *b = build_new(CHUNK, NULL);
	uint8_t bytes[64] = {0};
	struct chunk_ref ref;

	(void)state;
	assert_int_equal(seg_build_note(b, 1, 0, &(struct chunk_ref){0}),
			 -EINVAL);
	assert_int_equal(seg_build_restore(b, UINT32_MAX, bytes, 64),
			 -ERR_RANGE);
	assert_int_equal(seg_build_restore(b, UINT32_MAX - 32, bytes, 64),
			 -ERR_RANGE);
	assert_int_equal(seg_build_restore(b, 1 << 20, bytes, 64), -ERR_RANGE);
	assert_int_equal(seg_build_restore(b, 0, bytes, UINT32_MAX),
			 -ERR_RANGE);
	assert_int_equal(seg_build_len(b), 0);
	assert_int_equal(seg_build_add(b, 1, 0, "x", 1, 1, &ref), 0);
	assert_int_equal(seg_build_restore(b, 100, bytes, 64), -EINVAL);
	seg_build_free(b);
}

static void overlapping_notes_are_found(void **state)
{
	struct seg_build *b = build_new(CHUNK, NULL);
	uint8_t bytes[100] = {0};
	struct chunk_ref a = {0, 40, 24, CODEC_RAW};
	struct chunk_ref c = {39, 40, 24, CODEC_RAW};

	(void)state;
	assert_int_equal(seg_build_restore(b, 0, bytes, 100), 0);
	assert_int_equal(seg_build_note(b, 1, 0, &a), 0);
	assert_int_equal(seg_build_note(b, 1, 24, &c), 0);
	assert_int_equal(seg_build_finish(b), -ERR_RANGE);
	seg_build_free(b);
}

/* ---- the table ---- */

struct expect {
	const struct sample *s;
	unsigned seen;
};

static int expect_entry(void *arg, uint64_t data_id, uint64_t offset,
			const struct chunk_ref *ref)
{
	struct expect *e = arg;

	assert_int_equal(data_id, SAMPLE_DATA_ID);
	assert_int_equal(offset, e->seen * CHUNK);
	assert_memory_equal(ref, &e->s->ref[e->seen], sizeof(*ref));
	e->seen++;
	return e->seen == e->s->n ? 17 : 0;
}

static void table_round_trip(void **state)
{
	struct sample *s = sample_of(&cx, SEG_DATA, 50, CHUNK);
	struct expect e = {.s = s};
	uint8_t *sealed;
	struct seg_desc d;
	uint32_t len;

	(void)state;
	assert_int_equal(seg_build_finish(s->b), 0);
	seg_build_describe(s->b, &d);
	len = d.payload_len - d.table_pos;
	assert_int_equal(len, SEG_TABLE_SALT + 50 * 27 + AEAD_TAG);
	sealed = malloc(len);
	memcpy(sealed, seg_build_at(s->b, d.table_pos, len), len);
	assert_int_equal(seg_table_open(&cx, &d, sealed, expect_entry, &e), 17);
	assert_int_equal(e.seen, 50);
	for (uint32_t at = 0; at < len; at += 11) {
		sealed[at] ^= 2;
		assert_int_equal(seg_table_open(&cx, &d, sealed, count_entries,
						&e.seen),
				 -ERR_AUTH);
		sealed[at] ^= 2;
	}
	d.table_pos++; /* not a whole number of entries */
	assert_int_equal(seg_table_open(&cx, &d, sealed, count_entries,
					&e.seen),
			 -ERR_CORRUPT);
	d.table_pos = d.payload_len;
	assert_int_equal(seg_table_open(&cx, &d, sealed, count_entries,
					&e.seen),
			 -ERR_CORRUPT);
	d.table_pos = d.payload_len + 1;
	assert_int_equal(seg_table_open(&cx, &d, sealed, count_entries,
					&e.seen),
			 -ERR_CORRUPT);
	assert_int_equal(e.seen, 50);
	free(sealed);
	sample_free(s);
}

static void empty_segment_has_an_empty_table(void **state)
{
	struct seg_build *b = build_new(CHUNK, NULL);
	uint32_t bound[4];

	(void)state;
	assert_int_equal(seg_build_finish(b), 0);
	assert_int_equal(seg_build_len(b), SEG_TABLE_SALT + AEAD_TAG);
	assert_int_equal(table_entries(b), 0);
	seg_build_split(b, 4, bound);
	assert_int_equal(bound[2], 0);
	assert_int_equal(bound[3], seg_build_len(b));
	seg_build_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunks_read_back_from_the_open_segment),
		cmocka_unit_test(readers_run_beside_the_adder),
		cmocka_unit_test(every_byte_of_the_context_is_bound),
		cmocka_unit_test(impossible_refs_are_refused_before_use),
		cmocka_unit_test(full_segment_says_enospc_and_stays_usable),
		cmocka_unit_test(sizes_at_the_edges),
		cmocka_unit_test(number_of_chunks_is_bounded),
		cmocka_unit_test(nothing_is_added_after_the_end),
		cmocka_unit_test(failed_add_ends_the_segment),
		cmocka_unit_test(finishing_can_be_tried_again),
		cmocka_unit_test(restored_segment_reads_and_takes_no_adds),
		cmocka_unit_test(recovering_twice_repeats_no_nonce),
		cmocka_unit_test(gaps_are_kept_and_become_zeros),
		cmocka_unit_test(restoring_beyond_the_cap_is_refused),
		cmocka_unit_test(overlapping_notes_are_found),
		cmocka_unit_test(a_flipped_bit_is_noticed),
		cmocka_unit_test(table_round_trip),
		cmocka_unit_test(empty_segment_has_an_empty_table),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
