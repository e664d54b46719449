/* SPDX-License-Identifier: Apache-2.0 */
#include "base_test.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"

/* A number and its one spelling. */
struct varint_case {
	uint64_t value;
	size_t len;
	uint8_t code[10];
};

static const struct varint_case varints[] = {
	{0, 1, {0}},
	{1, 1, {1}},
	{0x7f, 1, {0x7f}},
	{0x80, 2, {0x80, 0x01}},
	{300, 2, {0xac, 0x02}},
	{0x3fff, 2, {0xff, 0x7f}},
	{0x4000, 3, {0x80, 0x80, 0x01}},
	{UINT32_MAX, 5, {0xff, 0xff, 0xff, 0xff, 0x0f}},
	{INT64_MAX, 9, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}},
	{UINT64_MAX,
	 10,
	 {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}},
};

static int seam_off(void **state)
{
	(void)state;
	mem_fail_at(0, 0);
	return 0;
}

static void numbers_are_little_endian(void **state)
{
	static const uint8_t want[] = {1, 2, 3, 4, 5, 6, 7, 8};
	uint8_t got[8];

	(void)state;
	assert_int_equal(get_le16(want), 0x0201);
	assert_int_equal(get_le32(want), 0x04030201);
	assert_true(get_le64(want) == 0x0807060504030201);
	put_le64(got, 0x0807060504030201);
	assert_memory_equal(got, want, 8);
	put_le32(got + 1, 0x04030201);
	assert_memory_equal(got + 1, want, 4);
	put_le16(got + 1, 0x0201);
	assert_memory_equal(got + 1, want, 2);
}

static void what_is_written_is_read(void **state)
{
	uint8_t mem[64], tail[3];
	struct writer w = writer_of(mem, sizeof(mem));
	struct reader r;

	(void)state;
	writer_u8(&w, 0xfe);
	writer_u16(&w, 0xfedc);
	writer_u32(&w, 0xfedcba98);
	writer_u64(&w, 0xfedcba9876543210);
	writer_varint(&w, 300);
	writer_zero(&w, 2);
	writer_bytes(&w, "abc", 3);
	assert_false(w.full);
	assert_int_equal(writer_len(&w), 1 + 2 + 4 + 8 + 2 + 2 + 3);

	r = reader_of(mem, writer_len(&w));
	assert_int_equal(reader_u8(&r), 0xfe);
	assert_int_equal(reader_u16(&r), 0xfedc);
	assert_int_equal(reader_u32(&r), 0xfedcba98);
	assert_true(reader_u64(&r) == 0xfedcba9876543210);
	assert_int_equal(reader_varint(&r), 300);
	assert_int_equal(reader_u16(&r), 0);
	reader_bytes(&r, tail, 3);
	assert_memory_equal(tail, "abc", 3);
	assert_false(r.bad);
	assert_int_equal(reader_left(&r), 0);
}

static void a_get_past_the_end_is_bad_for_ever(void **state)
{
	static const uint8_t mem[3] = {1, 2, 3};
	struct reader r = reader_of(mem, sizeof(mem));
	uint8_t dst[2] = {9, 9};

	(void)state;
	assert_int_equal(reader_u32(&r), 0);
	assert_true(r.bad);
	/* these would fit */
	assert_int_equal(reader_u8(&r), 0);
	assert_int_equal(reader_u16(&r), 0);
	assert_int_equal(reader_varint(&r), 0);
	assert_null(reader_take(&r, 1));
	assert_null(reader_take(&r, 0));
	reader_bytes(&r, dst, sizeof(dst));
	assert_int_equal(dst[0], 0);
	assert_int_equal(dst[1], 0);
	assert_true(r.bad);
}

static void every_width_is_checked(void **state)
{
	static const uint8_t mem[8] = {1, 1, 1, 1, 1, 1, 1, 1};

	(void)state;
	for (size_t len = 0; len <= 8; len++) {
		struct reader r8 = reader_of(mem, len), r16 = r8;
		struct reader r32 = r8, r64 = r8;

		assert_int_equal(reader_u8(&r8) == 0, len < 1);
		assert_int_equal(reader_u16(&r16) == 0, len < 2);
		assert_int_equal(reader_u32(&r32) == 0, len < 4);
		assert_int_equal(reader_u64(&r64) == 0, len < 8);
		assert_int_equal(r8.bad, len < 1);
		assert_int_equal(r16.bad, len < 2);
		assert_int_equal(r32.bad, len < 4);
		assert_int_equal(r64.bad, len < 8);
	}
}

static void a_huge_length_does_not_wrap(void **state)
{
	static const uint8_t mem[4];
	struct reader r = reader_of(mem, sizeof(mem));
	uint8_t out[4];
	struct writer w = writer_of(out, sizeof(out));

	(void)state;
	assert_null(reader_take(&r, SIZE_MAX));
	assert_true(r.bad);
	writer_zero(&w, SIZE_MAX);
	assert_true(w.full);
	assert_int_equal(writer_len(&w), 0);
}

static void taking_nothing_is_no_error(void **state)
{
	struct reader r = reader_of(NULL, 0);

	(void)state;
	assert_non_null(reader_take(&r, 0));
	reader_bytes(&r, NULL, 0);
	assert_false(r.bad);
	assert_int_equal(reader_left(&r), 0);
	assert_null(reader_take(&r, 1));
	assert_true(r.bad);
}

static void varints_have_one_spelling(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(varints); i++) {
		const struct varint_case *v = &varints[i];
		struct reader r = reader_of(v->code, v->len);
		uint8_t got[10];
		struct writer w = writer_of(got, sizeof(got));

		assert_true(reader_varint(&r) == v->value);
		assert_false(r.bad);
		assert_int_equal(reader_left(&r), 0);
		writer_varint(&w, v->value);
		assert_int_equal(writer_len(&w), v->len);
		assert_memory_equal(got, v->code, v->len);
	}
}

static void a_cut_varint_is_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(varints); i++) {
		for (size_t len = 0; len < varints[i].len; len++) {
			struct reader r = reader_of(varints[i].code, len);

			assert_int_equal(reader_varint(&r), 0);
			assert_true(r.bad);
		}
	}
}

static void ill_varints_are_bad(void **state)
{
	static const struct varint_case ill[] = {
		/* overlong 0, 1 and 127 */
		{0, 2, {0x80, 0x00}},
		{0, 3, {0x81, 0x80, 0x00}},
		{0, 2, {0xff, 0x00}},
		/* overlong in the tenth byte */
		{0,
		 10,
		 {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00}},
		/* 2^64 */
		{0,
		 10,
		 {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02}},
		/* a tenth byte that goes on */
		{0,
		 10,
		 {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ill); i++) {
		struct reader r = reader_of(ill[i].code, ill[i].len);

		assert_int_equal(reader_varint(&r), 0);
		assert_true(r.bad);
		assert_int_equal(reader_u8(&r), 0);
	}
}

static void a_put_that_does_not_fit_writes_nothing(void **state)
{
	uint8_t mem[4] = {9, 9, 9, 9};
	struct writer w = writer_of(mem, 3);

	(void)state;
	writer_u8(&w, 1);
	writer_u32(&w, 0);
	assert_true(w.full);
	assert_int_equal(writer_len(&w), 1);
	/* this would fit, but what follows a hole is worth nothing */
	writer_u8(&w, 2);
	assert_int_equal(writer_len(&w), 1);
	assert_memory_equal(mem, "\1\11\11\11", 4);
}

static void a_varint_is_written_whole_or_not(void **state)
{
	uint8_t mem[2] = {9, 9};
	struct writer w = writer_of(mem, 2);

	(void)state;
	writer_varint(&w, UINT32_MAX);
	assert_true(w.full);
	assert_memory_equal(mem, "\11\11", 2);
	w = writer_of(mem, 2);
	writer_varint(&w, 300);
	assert_false(w.full);
	assert_memory_equal(mem, "\xac\x02", 2);
}

static void bytes_grow(void **state)
{
	AUTO(bytes_release) struct bytes b = {0};
	struct reader r;

	(void)state;
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(bytes_add_u32(&b, i), 0);
	assert_int_equal(b.len, 4000);
	r = reader_of(b.data, b.len);
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(reader_u32(&r), i);
	assert_false(r.bad);
}

static void bytes_hold_every_kind(void **state)
{
	static const uint8_t want[] = {7, 8, 0, 0, 0, 9,   0,	 0,
				       0, 0, 0, 0, 0, 'x', 0xac, 0x02};
	AUTO(bytes_release) struct bytes b = {0};

	(void)state;
	assert_int_equal(bytes_add_u8(&b, 7), 0);
	assert_int_equal(bytes_add_u32(&b, 8), 0);
	assert_int_equal(bytes_add_u64(&b, 9), 0);
	assert_int_equal(bytes_add(&b, "x", 1), 0);
	assert_int_equal(bytes_add(&b, NULL, 0), 0);
	assert_int_equal(bytes_add_varint(&b, 300), 0);
	assert_int_equal(b.len, sizeof(want));
	assert_memory_equal(b.data, want, sizeof(want));
}

static void without_memory_bytes_stay(void **state)
{
	AUTO(bytes_release) struct bytes b = {0};
	uint8_t *data;
	size_t cap;

	(void)state;
	assert_int_equal(bytes_add(&b, "old", 3), 0);
	data = b.data;
	cap = b.cap;
	mem_fail_at(1, 1);
	assert_int_equal(bytes_reserve(&b, 100000), -ENOMEM);
	while (b.len < cap)
		assert_int_equal(bytes_add_u8(&b, 'x'), 0);
	assert_int_equal(bytes_add_u8(&b, 'x'), -ENOMEM);
	assert_int_equal(bytes_add_u32(&b, 1), -ENOMEM);
	assert_int_equal(bytes_add_u64(&b, 1), -ENOMEM);
	assert_int_equal(bytes_add_varint(&b, 1), -ENOMEM);
	assert_ptr_equal(b.data, data);
	assert_int_equal(b.len, cap);
	assert_memory_equal(b.data, "old", 3);
}

static void a_length_that_overflows_is_no_memory(void **state)
{
	AUTO(bytes_release) struct bytes b = {0};

	(void)state;
	assert_int_equal(bytes_add_u8(&b, 1), 0);
	assert_int_equal(bytes_reserve(&b, SIZE_MAX), -ENOMEM);
	assert_int_equal(b.len, 1);
}

static void reserve_makes_room(void **state)
{
	AUTO(bytes_release) struct bytes b = {0};

	(void)state;
	assert_int_equal(bytes_reserve(&b, 1000), 0);
	assert_true(b.cap >= 1000);
	assert_int_equal(b.len, 0);
	mem_fail_at(1, 1);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(bytes_add_u8(&b, 1), 0);
}

static void hex_goes_both_ways(void **state)
{
	static const uint8_t raw[] = {0x00, 0x0f, 0xa5, 0xff};
	uint8_t back[4];
	char text[9];

	(void)state;
	hex_encode(text, raw, sizeof(raw));
	assert_string_equal(text, "000fa5ff");
	assert_int_equal(hex_decode(back, sizeof(back), text), 0);
	assert_memory_equal(back, raw, sizeof(raw));
	assert_int_equal(hex_decode(back, sizeof(back), "000FA5fF-rest"), 0);
	assert_memory_equal(back, raw, sizeof(raw));
	hex_encode(text, raw, 0);
	assert_string_equal(text, "");
}

static void ill_hex_is_refused(void **state)
{
	static const char *const ill[] = {"",	  "0",	  "00",	  "000",
					  "00g0", "000g", "0 00", "0x00",
					  "00:0", "00/0", "00@0", "00`0"};
	uint8_t out[2];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ill); i++) {
		/* on the heap, for the sanitizer to see a read past its end */
		AUTO_FREE char *text = mem_strdup(ill[i]);

		assert_int_equal(hex_decode(out, sizeof(out), text), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_little_endian),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(a_get_past_the_end_is_bad_for_ever),
		cmocka_unit_test(every_width_is_checked),
		cmocka_unit_test(a_huge_length_does_not_wrap),
		cmocka_unit_test(taking_nothing_is_no_error),
		cmocka_unit_test(varints_have_one_spelling),
		cmocka_unit_test(a_cut_varint_is_bad),
		cmocka_unit_test(ill_varints_are_bad),
		cmocka_unit_test(a_put_that_does_not_fit_writes_nothing),
		cmocka_unit_test(a_varint_is_written_whole_or_not),
		cmocka_unit_test(bytes_grow),
		cmocka_unit_test(bytes_hold_every_kind),
		cmocka_unit_test_teardown(without_memory_bytes_stay, seam_off),
		cmocka_unit_test(a_length_that_overflows_is_no_memory),
		cmocka_unit_test_teardown(reserve_makes_room, seam_off),
		cmocka_unit_test(hex_goes_both_ways),
		cmocka_unit_test(ill_hex_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
