/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_fixture.h - one pool of five places (3+2) per test.
 */
#ifndef MENDFS_TESTS_POOL_FIXTURE_H
#define MENDFS_TESTS_POOL_FIXTURE_H

#include "unit/backend/pool_kit.h"

#include "base/workq.h"

struct fixture {
	struct kit kit;
	struct diag diag;
	struct pool *pool;
};

/* Five places, no pool yet. */
static inline int set_up_places(void **state, const char *prefix, unsigned n)
{
	static unsigned number;
	struct fixture *f = calloc(1, sizeof(*f));
	char name[32];

	assert_non_null(f);
	snprintf(name, sizeof(name), "pool%u", number++);
	kit_init(&f->kit, prefix, name, n);
	*state = f;
	return 0;
}

static inline int set_up_bare(void **state)
{
	return set_up_places(state, "", 5);
}

/* A pool of 5 with 3+2, closed. */
static inline int set_up(void **state)
{
	struct fixture *f;

	set_up_places(state, "", 5);
	f = *state;
	kit_make(&f->kit, 2);
	return 0;
}

/* The same behind the fault driver. */
static inline int set_up_fault(void **state)
{
	struct fixture *f;

	set_up_places(state, "fault:", 5);
	f = *state;
	kit_make(&f->kit, 2);
	return 0;
}

static inline void close_pool(struct fixture *f)
{
	pool_close(f->pool);
	f->pool = NULL;
}

static inline int tear_down(void **state)
{
	struct fixture *f = *state;

	mem_fail_at(0, 0);
	workq_inline(false);
	for (unsigned i = 0; i < f->kit.n; i++)
		if (!strncmp(f->kit.at[i], "fault:", 6))
			fault_clear(f->kit.at[i]);
	close_pool(f);
	kit_forget(&f->kit);
	free(f);
	return 0;
}

static inline int open_some(struct fixture *f, unsigned first, unsigned n)
{
	return kit_open_list(&f->kit.at[first], n, (struct kit_open){0},
			     &f->diag, &f->pool);
}

static inline int open_as(struct fixture *f, unsigned i, const char *pass)
{
	return kit_open_list(&f->kit.at[i], 1, (struct kit_open){.pass = pass},
			     &f->diag, &f->pool);
}

/* The message names what it is about and says what to do. */
static inline void assert_told(const struct fixture *f, const char *about)
{
	if (!strstr(f->diag.text, about))
		fail_msg("'%s' is not in: %s", about, f->diag.text);
	assert_non_null(strpbrk(f->diag.text, ";(:"));
}

static inline const char *path_of(const struct fixture *f, unsigned i)
{
	return driver_location_path(f->kit.at[i]);
}

#define T(f)	   cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define T_BARE(f)  cmocka_unit_test_setup_teardown(f, set_up_bare, tear_down)
#define T_FAULT(f) cmocka_unit_test_setup_teardown(f, set_up_fault, tear_down)

#endif
