/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/meta/index_test.h"

#include <stdatomic.h>

#include "base/workq.h"
#include "meta/index_page.h"

/* ---- what lies on the disk ---- */

static uint8_t *raw_file(const struct world *w, size_t *len_out)
{
	uint8_t *raw;

	OK(os_read_file(w->path, 64u << 20, &raw, len_out));
	return raw;
}

static void change_byte(const struct world *w, uint64_t off)
{
	AUTO_FD int fd = os_openat(AT_FDCWD, w->path, O_RDWR, 0);
	uint8_t byte;

	assert_int_equal(os_pread(fd, &byte, 1, off), 1);
	byte ^= 0x10;
	OK(os_pwrite(fd, &byte, 1, off));
}

/* Several regions of names and values. */
static void fill(struct index *ix)
{
	draw_to(ix, COUNTER_INO, 4000);
	draw_to(ix, COUNTER_DENTRY, 4000);
	begin(ix);
	for (uint64_t i = 0; i < 3000; i++) {
		struct inode_row row = file_row(10 + i);
		struct dentry_row d;
		char name[64];

		snprintf(name, sizeof(name), "a-name-that-is-secret-%" PRIu64,
			 i);
		d = name_row(10 + i, 1, name, 10 + i, DT_REG);
		OK(inode_insert(ix, &row));
		OK(dentry_insert(ix, &d));
		OK(xattr_set(ix, 10 + i, "user.secret", name, 40));
	}
	end(ix);
}

static void close_it(struct world *w)
{
	cut_away(w->ix);
	OK(index_close(steal(&w->ix), true));
}

static void nothing_is_on_the_disk_in_the_clear(void **state)
{
	struct world *w = *state;
	AUTO_FREE uint8_t *raw = NULL;
	size_t len;

	fill(w->ix);
	close_it(w);
	raw = raw_file(w, &len);
	assert_true(len > 2 * INDEX_REGION);
	assert_null(memmem(raw, len, "secret", 6));
	assert_null(memmem(raw, len, "SQLite", 6));
	assert_null(memmem(raw, len, "dentry", 6));
	for (size_t i = 0; i < len; i += INDEX_PAGE)
		assert_false(page_is_blank(raw + i));
	/* nor does a page look like another one */
	for (size_t i = INDEX_PAGE; i < len; i += INDEX_PAGE)
		assert_memory_not_equal(raw + i, raw, 16);
}

/* A page that was changed anywhere is noticed, at opening or when read. */
static void changed_pages_are_noticed(void **state)
{
	static const unsigned at[] = {0,    1,	  99,	2000, 4063,
				      4064, 4079, 4080, 4091};
	struct world *w = *state;

	fill(w->ix);
	close_it(w);
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		change_byte(w, at[i]);
		assert_int_equal(index_open(&w->o, &w->ix), -ERR_AUTH);
		change_byte(w, at[i]);
		change_byte(w, 70 * INDEX_PAGE + at[i]);
		OK(index_open(&w->o, &w->ix));
		assert_int_equal(index_check(w->ix, tell_finding, NULL),
				 -ERR_AUTH);
		OK(index_close(steal(&w->ix), false));
		change_byte(w, 70 * INDEX_PAGE + at[i]);
	}
	OK(index_open(&w->o, &w->ix));
}

static void pages_cannot_change_places(void **state)
{
	struct world *w = *state;
	uint8_t a[INDEX_PAGE], b[INDEX_PAGE];
	AUTO_FREE uint8_t *region = mem_alloc(INDEX_REGION);

	fill(w->ix);
	close_it(w);
	{
		AUTO_FD int fd = os_openat(AT_FDCWD, w->path, O_RDWR, 0);

		assert_int_equal(os_pread(fd, a, INDEX_PAGE, PAGE_OFFSET(70)),
				 INDEX_PAGE);
		assert_int_equal(os_pread(fd, b, INDEX_PAGE, PAGE_OFFSET(71)),
				 INDEX_PAGE);
		OK(os_pwrite(fd, a, INDEX_PAGE, PAGE_OFFSET(71)));
		OK(os_pwrite(fd, b, INDEX_PAGE, PAGE_OFFSET(70)));
	}
	OK(index_open(&w->o, &w->ix));
	OK(index_region_read(w->ix, 0, region));
	assert_int_equal(index_region_read(w->ix, 1, region), -ERR_AUTH);
}

static void zeroed_pages_are_noticed(void **state)
{
	struct world *w = *state;
	static const uint8_t zeros[INDEX_PAGE];
	AUTO_FREE uint8_t *region = mem_alloc(INDEX_REGION);

	fill(w->ix);
	close_it(w);
	{
		AUTO_FD int fd = os_openat(AT_FDCWD, w->path, O_RDWR, 0);

		OK(os_pwrite(fd, zeros, INDEX_PAGE, PAGE_OFFSET(70)));
	}
	OK(index_open(&w->o, &w->ix));
	assert_int_equal(index_region_read(w->ix, 1, region), -ERR_AUTH);
}

static void other_keys_do_not_open(void **state)
{
	struct world *w = *state;
	struct index_options o = w->o;
	uint8_t salt[KEY_SALT] = {0};
	struct keyring *keys;

	close_it(w);
	o.salt = salt;
	assert_int_equal(index_open(&o, &w->ix), -ERR_AUTH);
	o = w->o;
	o.pool.b[15] ^= 1;
	assert_int_equal(index_open(&o, &w->ix), -ERR_AUTH);
	OK(keyring_new(&keys));
	o = w->o;
	o.keys = keys;
	assert_int_equal(index_open(&o, &w->ix), -ERR_AUTH);
	keyring_free(keys);
}

static void short_and_missing_files_are_told(void **state)
{
	struct world *w = *state;
	struct index_options o = w->o;

	fill(w->ix);
	close_it(w);
	o.path = "/nonexistent/index";
	assert_int_equal(index_open(&o, &w->ix), -ENOENT);
	OK(truncate(w->path, 100 * INDEX_PAGE));
	assert_int_equal(index_open(&w->o, &w->ix), -ERR_CORRUPT);
	OK(truncate(w->path, INDEX_PAGE - 1));
	assert_int_equal(index_open(&w->o, &w->ix), -ERR_CORRUPT);
	OK(truncate(w->path, 0));
	assert_int_equal(index_open(&w->o, &w->ix), -ERR_CORRUPT);
}

static void the_file_grows_ahead_of_need(void **state)
{
	struct world *w = *state;
	struct stat st;

	fill(w->ix);
	OK(stat(w->path, &st));
	assert_int_equal(st.st_size, 8u << 20);
	assert_true(st.st_blocks * 512 >= 8 << 20);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true(index_bytes(w->ix) < 1u << 20); /* not yet written */
	cut_away(w->ix);
	assert_true(index_bytes(w->ix) > 600u << 10);
	assert_true(index_bytes(w->ix) < 4u << 20);
	uint64_t bytes = index_bytes(w->ix);
	OK(index_close(steal(&w->ix), true));
	OK(stat(w->path, &st));
	assert_int_equal(st.st_size, bytes);
	assert_int_equal(names_in(w->place), 1);
}

/* A page cache far smaller than a record: pages go to the file and back. */
static void a_small_cache_changes_nothing(void **state)
{
	struct world *w = *state;
	struct index *twin;
	struct bytes log;
	uint64_t spilled;

	w->o.cache_bytes = 64u << 10;
	OK(index_create(&w->o, &w->ix));
	w->o.cache_bytes = 0;
	twin = open_twin(w);
	for (unsigned i = 0; i < 3; i++) {
		begin(w->ix);
		for (uint64_t k = 0; k < 2000; k++) {
			struct inode_row row = file_row(2 + k * 3 + i);

			OK(inode_insert(w->ix, &row));
			OK(xattr_set(w->ix, k, "user.x", &row, sizeof(row)));
		}
		end(w->ix);
		begin(w->ix); /* spilled and taken back */
		for (uint64_t k = 10000; k < 13000; k++) {
			struct inode_row row = file_row(k);

			OK(inode_insert(w->ix, &row));
			OK(xattr_set(w->ix, k, "user.y", &row, sizeof(row)));
		}
		spilled = index_bytes(w->ix);
		assert_int_equal(index_end(w->ix, -EIO), -EIO);
		log = cut(w->ix);
		assert_true(index_bytes(w->ix) < spilled);
		OK(index_replay(twin, i + 1, log.data, log.len));
		bytes_release(&log);
		assert_same_regions(w->ix, twin);
	}
}

/* ---- freezing ---- */

static uint32_t count_set(const struct region_set *s)
{
	uint32_t n = 0;

	for (uint32_t r = 0; r < s->regions; r++)
		n += region_is_set(s, r);
	return n;
}

static struct region_set freeze(struct index *ix)
{
	struct region_set set;

	index_lock(ix);
	OK(index_freeze(ix, &set));
	index_unlock(ix);
	return set;
}

/* All regions as they are now. */
static uint8_t *read_all(struct index *ix, uint32_t regions)
{
	uint8_t *all = mem_alloc((size_t)regions * INDEX_REGION);

	for (uint32_t r = 0; r < regions; r++)
		OK(index_region_read(ix, r, all + (size_t)r * INDEX_REGION));
	return all;
}

static void a_frozen_file_stays_as_it_was(void **state)
{
	struct world *w = *state;
	struct play p = {.ix = w->ix};

	rnd_seed(test_seed());
	add_root(w->ix);
	fill(w->ix);
	for (unsigned round = 0; round < 5; round++) {
		AUTO(region_set_release) struct region_set set = {0};
		AUTO_FREE uint8_t *before = NULL, *after = NULL;
		size_t bytes;

		for (unsigned i = 0; i < 100; i++)
			play_operation(&p);
		cut_away(w->ix);
		before = read_all(w->ix, regions_of(w->ix));
		set = freeze(w->ix);
		bytes = (size_t)set.regions * INDEX_REGION;
		for (unsigned i = 0; i < 300; i++) {
			play_operation(&p);
			if (i % 50 == 0)
				cut_away(w->ix);
		}
		cut_away(w->ix);
		after = read_all(w->ix, set.regions);
		assert_memory_equal(before, after, bytes);
		index_thaw(w->ix, true);
		mem_free(after);
		after = read_all(w->ix, set.regions);
		assert_true(memcmp(before, after, bytes) != 0);
		assert_int_equal(names_in(w->place), 1);
	}
	assert_sound(w->ix);
}

static void changed_regions_are_handed_out_once(void **state)
{
	struct world *w = *state;
	struct region_set set, again;

	fill(w->ix);
	cut_away(w->ix);
	set = freeze(w->ix);
	assert_int_equal(set.regions, regions_of(w->ix));
	assert_int_equal(count_set(&set), set.regions);
	index_lock(w->ix);
	assert_int_equal(index_freeze(w->ix, &again), -EBUSY);
	index_unlock(w->ix);
	region_set_release(&set);
	index_thaw(w->ix, false); /* it failed: all of them again */
	set = freeze(w->ix);
	assert_int_equal(count_set(&set), set.regions);
	region_set_release(&set);
	/* written while frozen: for the next time */
	DO(w->ix, xattr_set(w->ix, 1, "user.x", "1", 1));
	cut_away(w->ix);
	index_thaw(w->ix, true);
	set = freeze(w->ix);
	assert_in_range(count_set(&set), 1, 3);
	assert_true(region_is_set(&set, 0)); /* page 1 is always written */
	region_set_release(&set);
	index_thaw(w->ix, true);
	set = freeze(w->ix);
	assert_int_equal(count_set(&set), 0);
	region_set_release(&set);
	index_thaw(w->ix, true);
	/* a file that was opened is what its checkpoint holds */
	OK(index_close(steal(&w->ix), true));
	OK(index_open(&w->o, &w->ix));
	set = freeze(w->ix);
	assert_int_equal(count_set(&set), 0);
	region_set_release(&set);
	index_thaw(w->ix, true);
}

static void a_copy_that_fails_breaks_the_freeze_only(void **state)
{
	struct world *w = *state;
	struct region_set set;
	AUTO_FREE uint8_t *region = mem_alloc(INDEX_REGION);
	char *cow = in(w->place, "index.cow");
	int fd;

	fill(w->ix);
	cut_away(w->ix);
	set = freeze(w->ix);
	/* the next calls: read the page, write its copy */
	DO(w->ix, xattr_set(w->ix, 1, "user.x", "1", 1));
	os_fail_at(2, ENOSPC, 0);
	cut_away(w->ix);
	os_fail_at(0, 0, 0);
	assert_int_equal(index_region_read(w->ix, 0, region), -ENOSPC);
	assert_int_equal(index_region_read(w->ix, 1, region), -ENOSPC);
	DO(w->ix, xattr_set(w->ix, 1, "user.x", "2", 1));
	cut_away(w->ix);
	index_thaw(w->ix, false);
	region_set_release(&set);
	set = freeze(w->ix);
	assert_int_equal(count_set(&set), set.regions);
	OK(index_region_read(w->ix, 0, region));
	region_set_release(&set);
	/* closed while frozen; a stale copy is no harm */
	OK(index_close(steal(&w->ix), true));
	fd = os_openat(AT_FDCWD, cow, O_CREAT | O_WRONLY, 0600);
	OK(os_pwrite(fd, "stale", 5, 0));
	os_close(fd);
	OK(index_open(&w->o, &w->ix));
	assert_int_equal(names_in(w->place), 1);
	mem_free(cow);
}

struct reader_job {
	struct index *ix;
	const uint8_t *want;
	uint32_t regions;
	atomic_bool stop;
	unsigned rounds, wrong;
};

static void read_frozen(void *arg)
{
	struct reader_job *j = arg;
	AUTO_FREE uint8_t *got = mem_alloc(INDEX_REGION);

	do {
		for (uint32_t r = 0; r < j->regions; r++) {
			int rc = index_region_read(j->ix, r, got);

			if (rc ||
			    memcmp(got, j->want + (size_t)r * INDEX_REGION,
				   INDEX_REGION))
				j->wrong++;
		}
		j->rounds++;
	} while (!atomic_load(&j->stop));
}

/* The reader takes no index lock; each page it gets is the frozen one. */
static void reading_and_writing_at_the_same_time(void **state)
{
	struct world *w = *state;
	struct play p = {.ix = w->ix};
	struct reader_job j = {.ix = w->ix};
	struct region_set set;
	struct workq *q;
	uint8_t *want;

	rnd_seed(test_seed());
	add_root(w->ix);
	fill(w->ix);
	cut_away(w->ix);
	want = read_all(w->ix, regions_of(w->ix));
	set = freeze(w->ix);
	j.want = want;
	j.regions = set.regions;
	OK(workq_new("reader", 1, &q));
	OK(workq_submit(q, read_frozen, &j));
	for (unsigned i = 0; i < 400; i++) {
		play_operation(&p);
		if (i % 8 == 0)
			cut_away(w->ix);
	}
	atomic_store(&j.stop, true);
	workq_free(q);
	assert_int_equal(j.wrong, 0);
	assert_true(j.rounds > 0);
	index_thaw(w->ix, true);
	region_set_release(&set);
	mem_free(want);
}

/* ---- images ---- */

/* Copies all regions of a closed-over index into a file of its own. */
static void copy_image(struct world *w, const char *path, bool fresh)
{
	struct index_options o = w->o;
	AUTO_FREE uint8_t *region = mem_alloc(INDEX_REGION);
	AUTO_FREE uint8_t *have = mem_alloc(INDEX_REGION);
	uint32_t regions = regions_of(w->ix);
	struct index_image *im;

	o.path = path;
	OK(index_image_open(&o, fresh, &im));
	for (uint32_t r = regions; r-- > 0;) { /* page 1 comes last */
		OK(index_region_read(w->ix, r, region));
		if (!fresh && !index_image_read(im, r, have) &&
		    !memcmp(have, region, INDEX_REGION))
			continue;
		OK(index_image_write(im, r, region));
	}
	OK(index_image_close(im, regions));
}

static void an_image_opens_as_the_index_it_was(void **state)
{
	struct world *w = *state;
	struct play p = {.ix = w->ix};
	struct index_options o = w->o;
	AUTO_FREE char *path = in(w->place, "image");

	rnd_seed(test_seed());
	add_root(w->ix);
	for (unsigned i = 0; i < 500; i++)
		play_operation(&p);
	cut_away(w->ix);
	copy_image(w, path, true);
	o.path = path;
	OK(index_open(&o, &w->twin));
	assert_same_regions(w->ix, w->twin);
	assert_sound(w->twin);
	/* both go on in the same way */
	for (unsigned i = 0; i < 3; i++) {
		struct bytes log;

		play_operation(&p);
		log = cut(w->ix);
		OK(index_replay(w->twin, i + 2, log.data, log.len));
		bytes_release(&log);
		assert_same_regions(w->ix, w->twin);
	}
}

/* An older file is brought up to date, whatever pages it lacks. */
static void an_old_image_is_brought_up_to_date(void **state)
{
	struct world *w = *state;
	struct index_options o = w->o;
	AUTO_FREE char *path = in(w->place, "image");
	AUTO_FREE uint8_t *region = mem_alloc(INDEX_REGION);

	o.path = path;
	add_root(w->ix);
	cut_away(w->ix);
	copy_image(w, path, true);
	fill(w->ix);
	cut_away(w->ix);
	/* leaves whole regions of free pages: zeros that are pages */
	begin(w->ix);
	for (uint64_t i = 0; i < 3000; i++) {
		OK(inode_delete(w->ix, 10 + i));
		OK(dentry_delete(w->ix, 10 + i));
	}
	end(w->ix);
	cut_away(w->ix);
	OK(index_region_read(w->ix, 2, region));
	assert_true(page_is_blank(region));
	assert_memory_equal(region, region + INDEX_PAGE,
			    INDEX_REGION - INDEX_PAGE);
	for (unsigned round = 0; round < 2; round++) {
		copy_image(w, path, false);
		OK(index_open(&o, &w->twin));
		assert_same_regions(w->ix, w->twin);
		OK(index_close(steal(&w->twin), true));
	}
}

static void damaged_images_are_not_readable(void **state)
{
	struct world *w = *state;
	AUTO_FREE uint8_t *region = mem_alloc(INDEX_REGION);
	struct index_image *im;
	struct index_options o = w->o;

	o.path = "/nonexistent/index";
	assert_int_equal(index_image_open(&o, false, &im), -ENOENT);
	fill(w->ix);
	close_it(w);
	change_byte(w, 70 * INDEX_PAGE + 11);
	OK(index_image_open(&w->o, false, &im));
	OK(index_image_read(im, 0, region));
	assert_int_equal(index_image_read(im, 1, region), -ERR_AUTH);
	OK(index_image_read(im, 1000, region)); /* beyond: zeros */
	assert_true(page_is_blank(region + INDEX_REGION - INDEX_PAGE));
	OK(index_image_close(im, 0));
	change_byte(w, 11); /* the length is not known either */
	OK(index_image_open(&w->o, false, &im));
	assert_int_equal(index_image_read(im, 0, region), -ERR_AUTH);
	assert_int_equal(index_image_read(im, 1000, region), -ERR_TRUNCATED);
	OK(index_image_close(im, 0));
	OK(truncate(w->path, 80 * INDEX_PAGE));
	change_byte(w, 11);
	OK(index_image_open(&w->o, false, &im));
	change_byte(w, 70 * INDEX_PAGE + 11);
	assert_int_equal(index_image_read(im, 1, region), -ERR_TRUNCATED);
	OK(index_image_close(im, 0));
}

static void a_failed_image_write_is_remembered(void **state)
{
	struct world *w = *state;
	AUTO_FREE uint8_t *region = mem_zalloc(INDEX_REGION);
	struct index_image *im;

	OK(index_image_open(&w->o, true, &im));
	os_fail_at(1, ENOSPC, 0);
	assert_int_equal(index_image_write(im, 0, region), -ENOSPC);
	os_fail_at(0, 0, 0);
	OK(index_image_write(im, 0, region));
	assert_int_equal(index_image_close(im, 1), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_INDEX(nothing_is_on_the_disk_in_the_clear),
		WITH_INDEX(changed_pages_are_noticed),
		WITH_INDEX(pages_cannot_change_places),
		WITH_INDEX(zeroed_pages_are_noticed),
		WITH_INDEX(other_keys_do_not_open),
		WITH_INDEX(short_and_missing_files_are_told),
		WITH_INDEX(the_file_grows_ahead_of_need),
		IN_WORLD(a_small_cache_changes_nothing),
		WITH_INDEX(a_frozen_file_stays_as_it_was),
		WITH_INDEX(changed_regions_are_handed_out_once),
		WITH_INDEX(a_copy_that_fails_breaks_the_freeze_only),
		WITH_INDEX(reading_and_writing_at_the_same_time),
		WITH_INDEX(an_image_opens_as_the_index_it_was),
		WITH_INDEX(an_old_image_is_brought_up_to_date),
		WITH_INDEX(damaged_images_are_not_readable),
		IN_WORLD(a_failed_image_write_is_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
