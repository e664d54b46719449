/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend_kit.h - a place in memory that can be made to misbehave, and short
 * ways to ask it, for the tests of backend.h.
 */
#ifndef MENDFS_TESTS_BACKEND_KIT_H
#define MENDFS_TESTS_BACKEND_KIT_H

#include "unit/base/base_place.h"

#include <stdatomic.h>
#include <time.h>

#include "backend/backend.h"
#include "backend/drv_fault.h"
#include "base/log.h"
#include "base/workq.h"

#define PLACE	 "fault:mem:backend-test"
#define SHORT_MS 30    /* of something that never comes */
#define LONG_MS	 20000 /* of something that will come */

static inline uint64_t in_ms(uint64_t ms)
{
	return clock_mono_ns() + ms * 1000000;
}

static inline int set_up(void **state)
{
	struct backend *b = NULL;

	if (backend_open(PLACE, LONG_MS, &b) != 0)
		return -1;
	*state = b;
	return 0;
}

static inline void forget(void)
{
	fault_clear(PLACE);
	mem_driver_forget("backend-test");
}

static inline int tear_down(void **state)
{
	mem_fail_at(0, 0);
	fault_clear(PLACE);
	backend_close(*state, LONG_MS);
	forget();
	return 0;
}

static inline void add_rule(enum fault_kind kind, unsigned ops,
			    const char *prefix)
{
	struct fault_rule r = {
		.kind = kind, .ops = ops, .prefix = prefix, .err = EIO};

	assert_int_equal(fault_add(PLACE, &r), 0);
}

static inline struct buf *text_buf(const char *text)
{
	struct buf *b = buf_new(strlen(text));

	assert_non_null(b);
	memcpy(b->data, text, b->len);
	return b;
}

static inline struct buf *block_buf(uint8_t byte, size_t blocks)
{
	struct buf *b = buf_new(blocks * DRV_BLOCK);

	assert_non_null(b);
	memset(b->data, byte, b->len);
	return b;
}

static inline struct bio *new_put(const char *name, const char *text)
{
	AUTO_BUF struct buf *b = text_buf(text);
	struct bio *r = bio_new_put(name, b);

	assert_non_null(r);
	return r;
}

static inline int put(struct backend *b, const char *name, const char *text)
{
	AUTO_BIO struct bio *r = new_put(name, text);

	return bio_run(b, r);
}

static inline int get_rc(struct backend *b, const char *name)
{
	AUTO_BIO struct bio *r = bio_new_get(name, 0, 100, false);

	return bio_run(b, r);
}

static inline void expect_text(struct backend *b, const char *name,
			       const char *text)
{
	AUTO_BIO struct bio *r = bio_new_get(name, 0, 100, false);

	assert_int_equal(bio_run(b, r), 0);
	assert_int_equal(bio_data(r)->len, strlen(text));
	assert_memory_equal(bio_data(r)->data, text, strlen(text));
}

static inline int remove_rc(struct backend *b, const char *name)
{
	AUTO_BIO struct bio *r = bio_new_remove(name);

	return bio_run(b, r);
}

/* A submitted request; the caller unrefs it. */
static inline struct bio *submitted(struct backend *b, struct bio *r)
{
	assert_non_null(r);
	assert_int_equal(bio_submit(b, r), 0);
	return r;
}

static inline void wait_hits(uint64_t hits)
{
	uint64_t end = patience_deadline();
	struct timespec nap = {.tv_nsec = 200000};

	while (fault_hits(PLACE) < hits) {
		assert_true(clock_mono_ns() < end);
		nanosleep(&nap, NULL);
	}
}

static inline struct jfile *jopen(struct backend *b, const char *name,
				  uint64_t bytes)
{
	AUTO_BIO struct bio *r = bio_new_jopen(name, bytes);

	assert_int_equal(bio_run(b, r), 0);
	return bio_jfile(r);
}

static inline struct bio *new_jwrite(struct jfile *f, uint8_t byte,
				     uint64_t block)
{
	AUTO_BUF struct buf *b = block_buf(byte, 1);
	struct bio *r = bio_new_jwrite(f, b, block * DRV_BLOCK);

	assert_non_null(r);
	return r;
}

static inline int jwrite(struct backend *b, struct jfile *f, uint8_t byte,
			 uint64_t block)
{
	AUTO_BIO struct bio *r = new_jwrite(f, byte, block);

	return bio_run(b, r);
}

/* The first byte of a block of an object. */
static inline int byte_at(struct backend *b, const char *name, uint64_t block)
{
	AUTO_BIO struct bio *r =
		bio_new_get(name, block * DRV_BLOCK, DRV_BLOCK, true);

	assert_int_equal(bio_run(b, r), 0);
	return bio_data(r)->len > 0 ? bio_data(r)->data[0] : -1;
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

/* Runs them and leaves nothing behind. */
#define RUN_CASES(tests)                                             \
	({                                                           \
		int rc_ = cmocka_run_group_tests(tests, NULL, NULL); \
		forget();                                            \
		rc_;                                                 \
	})

#endif
