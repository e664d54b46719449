/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver_kit.h - runs the same tests over every kind of driver.
 *
 * Each test gets an empty place of its own and nothing but its location.
 */
#ifndef MENDFS_TESTS_DRIVER_KIT_H
#define MENDFS_TESTS_DRIVER_KIT_H

#include "unit/base/base_place.h"

#include "backend/driver.h"
#include "base/buf.h"

struct fix {
	struct place *dir; /* for kinds that need one */
	char *location;
	struct driver *d;
};

/* The kind under test: what its locations begin with. */
static const char *kind;
static unsigned mem_number;

static inline bool on_disk(void)
{
	return strstr(kind, "dir:") != NULL;
}

static inline int set_up(void **state)
{
	struct fix *f = mem_zalloc(sizeof(*f));
	AUTO_FREE char *name = mem_printf("contract-%u", ++mem_number);
	void *place = NULL;

	*state = f;
	if (on_disk() && make_place(&place) != 0)
		return -1;
	f->dir = place;
	f->location = mem_printf("%s%s", kind, place ? f->dir->path : name);
	return driver_attach(f->location, &f->d);
}

static inline int tear_down(void **state)
{
	struct fix *f = *state;
	void *place = f->dir;
	int rc = 0;

	mem_fail_at(0, 0);
	driver_detach(f->d);
	if (place != NULL)
		rc = drop_place(&place);
	else
		mem_driver_forget(driver_location_path(f->location));
	mem_free(f->location);
	mem_free(f);
	return rc;
}

static inline struct drv_file *opened(struct driver *d, const char *name,
				      unsigned flags)
{
	struct drv_file *f = NULL;

	assert_int_equal(driver_open(d, name, flags, &f), 0);
	assert_non_null(f);
	return f;
}

static inline int open_rc(struct driver *d, const char *name, unsigned flags)
{
	struct drv_file *f = NULL;
	int rc = driver_open(d, name, flags, &f);

	driver_close(f);
	return rc;
}

static inline void put(struct driver *d, const char *name, const char *text)
{
	struct drv_file *f = opened(d, name, DRV_WRITE | DRV_CREATE);

	assert_int_equal(driver_write(f, text, strlen(text), 0), 0);
	assert_int_equal(driver_sync(f), 0);
	driver_close(f);
}

static inline void expect_text(struct driver *d, const char *name,
			       const char *text)
{
	struct drv_file *f = opened(d, name, DRV_READ);
	char got[256] = "";

	assert_int_equal(driver_read(f, got, sizeof(got), 0), strlen(text));
	assert_string_equal(got, text);
	driver_close(f);
}

static inline void fill(uint8_t *p, size_t len, uint64_t seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)((seed + i) * 2654435761u >> 13);
}

struct seen {
	unsigned count;
	unsigned stop_at; /* 0 = never */
	int stop_rc;
	char name[16][256];
	uint64_t size[16];
};

static inline int see(void *arg, const char *name, uint64_t size)
{
	struct seen *s = arg;

	assert_true(s->count < ARRAY_LEN(s->name));
	snprintf(s->name[s->count], sizeof(s->name[0]), "%s", name);
	s->size[s->count++] = size;
	return s->count == s->stop_at ? s->stop_rc : 0;
}

static inline struct seen list(struct driver *d, const char *folder)
{
	struct seen s = {0};

	assert_int_equal(driver_list(d, folder, see, &s), 0);
	return s;
}

/* The size listed for name; -1 (as a number) when it is not there. */
static inline int64_t listed(const struct seen *s, const char *name)
{
	for (unsigned i = 0; i < s->count; i++) {
		if (strcmp(s->name[i], name) == 0)
			return (int64_t)(s->size[i] & INT64_MAX);
	}
	return -1;
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

/* The sum of what failed, over all kinds. */
#define RUN_KINDS(tests)                                                    \
	({                                                                  \
		static const char *const kinds_[] = {                       \
			"dir:", "mem:", "fault:dir:", "fault:mem:"};        \
		int failed_ = 0;                                            \
		for (unsigned k_ = 0; k_ < ARRAY_LEN(kinds_); k_++) {       \
			kind = kinds_[k_];                                  \
			failed_ += cmocka_run_group_tests_name(kind, tests, \
							       NULL, NULL); \
		}                                                           \
		failed_;                                                    \
	})

#endif
