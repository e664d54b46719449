/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/base/base_test.h"

#include <string.h>

#include "base/rnd.h"
#include "backend/segment.h"

static struct seg_desc desc_sample(unsigned k, unsigned m)
{
	struct seg_desc d = {.id.v = 0x0102030405060708,
			     .stripe.v = 0xfffffffffffffffe,
			     .kind = SEG_INDEX,
			     .k = (uint8_t)k,
			     .m = (uint8_t)m,
			     .key_epoch = 3,
			     .payload_len = 1000000,
			     .table_pos = 999000};

	for (unsigned i = 0; i < k; i++)
		d.bound[i] = i + 1 == k ? d.payload_len : (i + 1) * 1000;
	for (unsigned i = 0; i < k + m; i++)
		d.home[i] = (uint8_t)(31 - i);
	memset(d.salt, 0xa5, sizeof(d.salt));
	return d;
}

static int decode(const void *p, size_t len, struct seg_desc *out)
{
	struct reader r = reader_of(p, len);

	return seg_desc_decode(&r, out);
}

static void desc_survives_the_round_trip(void **state)
{
	struct bytes enc = {0};
	struct seg_desc out;

	(void)state;
	for (unsigned k = 1; k <= EC_DATA_MAX; k++) {
		for (unsigned m = 0; m <= EC_PARITY_MAX; m++) {
			struct seg_desc d = desc_sample(k, m);
			struct reader r;

			enc.len = 0;
			assert_int_equal(seg_desc_encode(&d, &enc), 0);
			assert_true(enc.len <= SEG_DESC_MAX);
			assert_int_equal(bytes_add_u8(&enc, 0x77), 0);
			r = reader_of(enc.data, enc.len);
			assert_int_equal(seg_desc_decode(&r, &out), 0);
			assert_memory_equal(&out, &d, sizeof(d));
			assert_int_equal(reader_left(&r), 1);
		}
	}
	bytes_release(&enc);
}

static void desc_of_an_open_segment(void **state)
{
	struct bytes enc = {0};
	struct seg_desc d = {.id.v = 7, .kind = SEG_DATA}, out;

	(void)state;
	d.payload_len = d.table_pos = 4711;
	assert_int_equal(seg_desc_encode(&d, &enc), 0);
	assert_int_equal(decode(enc.data, enc.len, &out), 0);
	assert_memory_equal(&out, &d, sizeof(d));
	bytes_release(&enc);
}

static void desc_cut_short_is_truncated(void **state)
{
	struct seg_desc d = desc_sample(4, 2), out;
	struct bytes enc = {0};

	(void)state;
	assert_int_equal(seg_desc_encode(&d, &enc), 0);
	for (size_t len = 0; len < enc.len; len++) {
		uint8_t *exact = malloc(len ? len : 1); /* for ASan */

		memcpy(exact, enc.data, len);
		assert_int_equal(decode(exact, len, &out), -ERR_TRUNCATED);
		free(exact);
	}
	bytes_release(&enc);
}

static void refuse(struct seg_desc d)
{
	struct bytes enc = {0};
	struct seg_desc out;

	/* k, m as they are would make encode read too far: patch instead */
	struct seg_desc good = desc_sample(4, 2);

	assert_int_equal(seg_desc_encode(&good, &enc), 0);
	enc.data[16] = (uint8_t)d.kind;
	enc.data[17] = d.k;
	enc.data[18] = d.m;
	put_le64(enc.data + 8, d.stripe.v);
	put_le32(enc.data + 23, d.payload_len);
	put_le32(enc.data + 27, d.table_pos);
	for (unsigned i = 0; i < 4; i++)
		put_le32(enc.data + 63 + 4 * i, d.bound[i]);
	for (unsigned i = 0; i < 6; i++)
		enc.data[63 + 16 + i] = d.home[i];
	assert_int_equal(decode(enc.data, enc.len, &out), -ERR_RANGE);
	bytes_release(&enc);
}

static void desc_with_impossible_numbers_is_refused(void **state)
{
	const struct seg_desc good = desc_sample(4, 2);
	struct seg_desc d;

	(void)state;
#define BAD(change)        \
	do {               \
		d = good;  \
		change;    \
		refuse(d); \
	} while (0)
	BAD(d.kind = 0);
	BAD(d.kind = 3);
	BAD(d.k = 0);
	BAD(d.k = 25);
	BAD(d.m = 9);
	BAD(d.stripe.v = 0);
	BAD(d.payload_len = SEG_PAYLOAD_MAX + 1);
	BAD(d.payload_len = UINT32_MAX);
	BAD(d.table_pos = d.payload_len + 1);
	BAD(d.bound[1] = 999);
	BAD(d.bound[3] -= 1);
	BAD(d.bound[2] = UINT32_MAX);
	BAD(d.home[5] = EC_TOTAL_MAX);
#undef BAD
}

static void desc_of_noise_never_crashes(void **state)
{
	uint8_t noise[SEG_DESC_MAX];
	struct seg_desc out;

	(void)state;
	rnd_seed(test_seed());
	for (unsigned i = 0; i < 20000; i++) {
		rnd_bytes(noise, sizeof(noise));
		noise[16] = 1 + noise[16] % 2;
		noise[17] %= 26;
		noise[18] %= 10;
		if (decode(noise, rnd_below(sizeof(noise)), &out) == 0)
			assert_true(out.k <= EC_DATA_MAX);
	}
	rnd_unseed();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(desc_survives_the_round_trip),
		cmocka_unit_test(desc_of_an_open_segment),
		cmocka_unit_test(desc_cut_short_is_truncated),
		cmocka_unit_test(desc_with_impossible_numbers_is_refused),
		cmocka_unit_test(desc_of_noise_never_crashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
