/* SPDX-License-Identifier: Apache-2.0 */
#include "base_test.h"

#include <pthread.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

static int seam_off(void **state)
{
	(void)state;
	mem_fail_at(0, 0);
	return 0;
}

static void sizes_are_rounded_up_to_pages(void **state)
{
	static const size_t size[] = {0, 1, 4096, 4097, 131072};
	static const size_t cap[] = {4096, 4096, 4096, 8192, 131072};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(size); i++) {
		AUTO_BUF struct buf *b = buf_new(size[i]);

		assert_non_null(b);
		assert_int_equal(b->len, size[i]);
		assert_int_equal(b->cap, cap[i]);
		assert_int_equal((uintptr_t)b->data % 4096, 0);
		memset(b->data, 1, b->cap);
	}
}

static void no_memory_gives_null(void **state)
{
	volatile size_t huge = SIZE_MAX;

	(void)state;
	for (int i = 1; i <= 2; i++) {
		mem_fail_at(i, 0);
		assert_null(buf_new(100));
	}
	mem_fail_at(0, 0);
	assert_null(buf_new(huge));
}

static void content_lives_until_the_last_reference(void **state)
{
	struct buf *b = buf_new(10);
	struct buf *c = buf_ref(b);

	(void)state;
	assert_ptr_equal(b, c);
	memset(b->data, 7, 10);
	buf_unref(b);
	assert_int_equal(c->data[9], 7);
	buf_unref(c);
	buf_unref(NULL);
}

static void *use_and_drop(void *arg)
{
	struct buf *b = arg;
	uintptr_t seen;

	for (int i = 0; i < 1000; i++)
		buf_unref(buf_ref(b));
	seen = b->data[0];
	buf_unref(b);
	return (void *)seen;
}

static void threads_share_a_buffer(void **state)
{
	struct buf *b = buf_new(1);
	pthread_t t[4];

	(void)state;
	b->data[0] = 9;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_create(&t[i], NULL, use_and_drop,
						buf_ref(b)),
				 0);
	}
	buf_unref(b);
	for (int i = 0; i < 4; i++) {
		void *seen;

		assert_int_equal(pthread_join(t[i], &seen), 0);
		assert_int_equal((uintptr_t)seen, 9);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_rounded_up_to_pages),
		cmocka_unit_test_teardown(no_memory_gives_null, seam_off),
		cmocka_unit_test(content_lives_until_the_last_reference),
		cmocka_unit_test(threads_share_a_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
