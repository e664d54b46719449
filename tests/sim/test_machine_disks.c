/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated machine's disks (sim_disk.c, sim_local.c) and what a power cut
 * leaves of them (sim_cut.c), without an engine. U1 to U3 and L1 to L3 are
 * rules of these files.
 */
#include "unit/base/base_test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "backend/driver.h"
#include "base/mem.h"
#include "base/osfile.h"
#include "sim.h"

#define OK(call) assert_int_equal((call), 0)

static struct driver *d; /* of mem:0, while a run lasts */

/* Runs fn with disk 0 attached. */
static void (*inner)(void);

static void with_disk(void *arg)
{
	(void)arg;
	OK(driver_attach("mem:0", &d));
	inner();
	driver_detach(d);
}

static void run(uint64_t seed, void (*fn)(void))
{
	inner = fn;
	sim_run(seed, with_disk, NULL);
}

static struct sim_trace *record(void (*fn)(void))
{
	struct sim_trace *t;

	sim_disks_reset(2);
	t = sim_record();
	run(1, fn);
	sim_record_end(t);
	return t;
}

/* ---- files in few words ---- */

static struct drv_file *open_file(const char *name, unsigned flags)
{
	struct drv_file *f;

	OK(driver_open(d, name, flags, &f));
	return f;
}

static void put(const char *name, const char *text, bool sync)
{
	struct drv_file *f = open_file(name, DRV_WRITE | DRV_CREATE);

	OK(driver_write(f, text, strlen(text), 0));
	if (sync)
		OK(driver_sync(f));
	driver_close(f);
}

/* Does the loaded disk hold name with exactly this? NULL: it does not exist. */
static bool holds(const char *name, const char *text)
{
	const uint8_t *data;
	size_t len;
	bool there = sim_disk_peek(0, name, &data, &len);

	if (!text || !there)
		return !text && !there;
	return len == strlen(text) && memcmp(data, text, len) == 0;
}

/* The disks become what a cut at p leaves. */
static void cut_at(const struct sim_trace *t, size_t p, enum sim_loss how,
		   uint64_t mask)
{
	struct sim_cut *c = sim_cut_new(t);
	struct sim_image *im;

	sim_cut_move(c, p);
	im = sim_cut_make(c, how, mask);
	sim_cut_free(c);
	sim_image_load(im);
	sim_image_unref(im);
}

static void cut_end(const struct sim_trace *t, enum sim_loss how, uint64_t mask)
{
	cut_at(t, sim_trace_len(t), how, mask);
}

/* ---- what lasts ---- */

static void two_files(void)
{
	put("synced", "kept", true);
	put("data/lazy", "lost", false);
}

static void unsynced_is_lost_or_kept(void **state)
{
	struct sim_trace *t = record(two_files);

	(void)state;
	assert_true(holds("data/lazy", "lost"));
	cut_end(t, SIM_LOSE_ALL, 0);
	assert_true(holds("synced", "kept"));
	assert_true(holds("data/lazy", NULL));
	cut_end(t, SIM_LOSE_NONE, 0);
	assert_true(holds("synced", "kept"));
	assert_true(holds("data/lazy", "lost"));
	sim_trace_free(t);
}

/* Pending are: the name and the content of "data/lazy". */
static void masks_choose(void **state)
{
	struct sim_trace *t = record(two_files);
	struct sim_cut *c = sim_cut_new(t);

	(void)state;
	sim_cut_move(c, sim_trace_len(t));
	assert_int_equal(sim_cut_pending(c), 2);
	sim_cut_free(c);
	cut_end(t, SIM_LOSE_MASK, 0);
	assert_true(holds("data/lazy", NULL));
	cut_end(t, SIM_LOSE_MASK, 1);
	assert_true(holds("data/lazy", ""));
	cut_end(t, SIM_LOSE_MASK, 2);
	assert_true(holds("data/lazy", NULL));
	cut_end(t, SIM_LOSE_MASK, 3);
	assert_true(holds("data/lazy", "lost"));
	sim_trace_free(t);
}

/* Nothing before its change, everything after its sync, at every point. */
static void every_point_is_a_state(void **state)
{
	struct sim_trace *t = record(two_files);
	bool was_there = false, was_safe = false;

	(void)state;
	for (size_t p = 0; p <= sim_trace_len(t); p++) {
		bool there, safe;

		cut_at(t, p, SIM_LOSE_NONE, 0);
		there = holds("synced", "kept");
		cut_at(t, p, SIM_LOSE_ALL, 0);
		safe = holds("synced", "kept");
		assert_true(there >= was_there && safe >= was_safe);
		assert_true(there >= safe);
		was_there = there;
		was_safe = safe;
	}
	assert_true(was_there && was_safe);
	cut_at(t, 0, SIM_LOSE_NONE, 0);
	assert_true(holds("synced", NULL));
	sim_trace_free(t);
}

/* ---- torn writes ---- */

#define TORN_BYTES (8 * 512)

static void overwrite(void)
{
	static uint8_t old[TORN_BYTES], new[TORN_BYTES];
	struct drv_file *f = open_file("f", DRV_WRITE | DRV_CREATE);

	memset(old, 'o', sizeof(old));
	memset(new, 'n', sizeof(new));
	OK(driver_write(f, old, sizeof(old), 0));
	OK(driver_sync(f));
	OK(driver_write(f, new, sizeof(new), 0));
	driver_close(f);
}

static void torn_at_sectors_only(void **state)
{
	struct sim_trace *t = record(overwrite);
	unsigned whole = 0, none = 0, torn = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 300; seed++) {
		const uint8_t *data;
		size_t len, fresh = 0;

		cut_end(t, SIM_LOSE_SOME, seed);
		assert_true(sim_disk_peek(0, "f", &data, &len));
		assert_int_equal(len, TORN_BYTES);
		for (size_t i = 0; i < len; i++) {
			assert_true(data[i] == 'o' || data[i] == 'n');
			assert_int_equal(data[i], data[i / 512 * 512]);
			fresh += data[i] == 'n';
		}
		whole += fresh == len;
		none += fresh == 0;
		torn += fresh > 0 && fresh < len;
	}
	assert_true(whole > 10 && none > 10 && torn > 50);
	sim_trace_free(t);
}

static void append(void)
{
	static uint8_t first[512], more[TORN_BYTES];
	struct drv_file *f = open_file("f", DRV_WRITE | DRV_CREATE);

	memset(first, 'o', sizeof(first));
	memset(more, 'n', sizeof(more));
	OK(driver_write(f, first, sizeof(first), 0));
	OK(driver_sync(f));
	OK(driver_write(f, more, sizeof(more), sizeof(first)));
	driver_close(f);
}

/* What a grown file holds where nothing was written: zeros, or anything. */
static void grown_files_hold_anything(void **state)
{
	struct sim_trace *t = record(append);
	unsigned zeros = 0, junk = 0, shorter = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 300; seed++) {
		const uint8_t *data;
		size_t len;

		cut_end(t, SIM_LOSE_SOME, seed);
		assert_true(sim_disk_peek(0, "f", &data, &len));
		for (size_t i = 0; i < 512; i++)
			assert_int_equal(data[i], 'o');
		shorter += len == 512;
		assert_true(len == 512 || len == 512 + TORN_BYTES);
		for (size_t i = 512; i < len; i += 512) {
			zeros += data[i] == 0 && data[i + 1] == 0;
			junk += data[i] != 0 && data[i] != 'n';
		}
	}
	assert_true(zeros > 50 && junk > 50 && shorter > 50);
	sim_trace_free(t);
}

static void lossy_cuts_repeat(void **state)
{
	struct sim_trace *t = record(append);
	struct sim_cut *c = sim_cut_new(t);
	struct sim_image *a, *b;
	unsigned differ = 0;

	(void)state;
	sim_cut_move(c, sim_trace_len(t));
	for (uint64_t seed = 0; seed < 20; seed++) {
		a = sim_cut_make(c, SIM_LOSE_SOME, seed);
		b = sim_cut_make(c, SIM_LOSE_SOME, seed);
		assert_true(sim_image_digest(a) == sim_image_digest(b));
		sim_image_unref(b);
		b = sim_cut_make(c, SIM_LOSE_SOME, seed + 1);
		differ += sim_image_digest(a) != sim_image_digest(b);
		sim_image_unref(a);
		sim_image_unref(b);
	}
	assert_true(differ > 5);
	sim_cut_free(c);
	sim_trace_free(t);
}

/* ---- syncs of one write ---- */

static void dsync_writes(void)
{
	struct drv_file *f = open_file("f", DRV_WRITE | DRV_CREATE), *g;

	OK(driver_write(f, "aaaaaaaa", 8, 0));
	OK(driver_sync(f));
	OK(driver_write(f, "b", 1, 0));
	driver_close(f);
	g = open_file("f", DRV_WRITE | DRV_DSYNC);
	OK(driver_write(g, "c", 1, 4));
	driver_close(g);
}

static void a_dsync_write_is_durable_alone(void **state)
{
	struct sim_trace *t = record(dsync_writes);

	(void)state;
	cut_end(t, SIM_LOSE_ALL, 0);
	assert_true(holds("f", "aaaacaaa"));
	cut_end(t, SIM_LOSE_NONE, 0);
	assert_true(holds("f", "baaacaaa"));
	sim_trace_free(t);
}

static void dsync_in_a_new_file(void)
{
	struct drv_file *g = open_file("f", DRV_WRITE | DRV_CREATE | DRV_DSYNC);

	OK(driver_write(g, "c", 1, 0));
	driver_close(g);
}

/* The name is another matter. */
static void a_dsync_write_does_not_save_the_name(void **state)
{
	struct sim_trace *t = record(dsync_in_a_new_file);

	(void)state;
	cut_end(t, SIM_LOSE_ALL, 0);
	assert_true(holds("f", NULL));
	cut_end(t, SIM_LOSE_MASK, 1);
	assert_true(holds("f", "c"));
	sim_trace_free(t);
}

/* ---- names ---- */

static void replace(void)
{
	put("slot", "old", true);
	put("slot.new", "new", true);
	OK(driver_rename(d, "slot.new", "slot"));
}

static void a_rename_is_atomic_and_durable(void **state)
{
	struct sim_trace *t = record(replace);
	size_t end = sim_trace_len(t);

	(void)state;
	cut_at(t, end, SIM_LOSE_ALL, 0);
	assert_true(holds("slot", "new"));
	assert_true(holds("slot.new", NULL));
	for (size_t p = 0; p <= end; p++)
		for (uint64_t seed = 0; seed < 6; seed++) {
			cut_at(t, p,
			       seed < 2 ? (enum sim_loss)seed : SIM_LOSE_SOME,
			       seed);
			if (holds("slot", "new"))
				assert_true(holds("slot.new", NULL));
			else if (holds("slot.new", "new"))
				assert_true(holds("slot", "old"));
		}
	sim_trace_free(t);
}

static void remove_one(void)
{
	put("gone", "old", true);
	put("kept", "x", true);
	OK(driver_remove(d, "gone"));
}

static void remove_one_and_rename(void)
{
	remove_one();
	OK(driver_rename(d, "kept", "moved"));
}

static void removed_names_may_come_back(void **state)
{
	struct sim_trace *t = record(remove_one);

	(void)state;
	cut_end(t, SIM_LOSE_ALL, 0);
	assert_true(holds("gone", "old"));
	cut_end(t, SIM_LOSE_NONE, 0);
	assert_true(holds("gone", NULL));
	sim_trace_free(t);
	/* whatever makes the folder's names durable ends that */
	t = record(remove_one_and_rename);
	cut_end(t, SIM_LOSE_ALL, 0);
	assert_true(holds("gone", NULL));
	assert_true(holds("moved", "x"));
	sim_trace_free(t);
}

static void same_name_twice(void)
{
	put("f", "first", true);
	OK(driver_remove(d, "f"));
	put("f", "second", false);
}

static void same_name_twice_synced(void)
{
	put("f", "first", true);
	OK(driver_remove(d, "f"));
	put("f", "second", true);
}

/* U3. Pending are: removal, name, content. */
static void a_name_made_twice(void **state)
{
	struct sim_trace *t = record(same_name_twice);

	(void)state;
	cut_end(t, SIM_LOSE_MASK, 0);
	assert_true(holds("f", "first"));
	cut_end(t, SIM_LOSE_MASK, 1);
	assert_true(holds("f", NULL));
	cut_end(t, SIM_LOSE_MASK, 2);
	assert_true(holds("f", ""));
	cut_end(t, SIM_LOSE_MASK, 7);
	assert_true(holds("f", "second"));
	sim_trace_free(t);
	t = record(same_name_twice_synced);
	for (uint64_t mask = 0; mask < 2; mask++) {
		cut_end(t, SIM_LOSE_MASK, mask);
		assert_true(holds("f", "second"));
	}
	sim_trace_free(t);
}

static void removed_while_open(void)
{
	struct drv_file *f = open_file("f", DRV_WRITE | DRV_CREATE);
	char c;

	OK(driver_write(f, "x", 1, 0));
	OK(driver_remove(d, "f"));
	assert_int_equal(driver_read(f, &c, 1, 0), 1);
	put("f", "other", true);
	OK(driver_write(f, "y", 1, 0));
	OK(driver_sync(f));
	driver_close(f);
}

static void an_open_file_outlives_its_name(void **state)
{
	struct sim_trace *t = record(removed_while_open);

	(void)state;
	cut_end(t, SIM_LOSE_NONE, 0);
	assert_true(holds("f", "other"));
	sim_trace_free(t);
}

/* ---- the cache folder: L2 ---- */

#define LOCAL SIM_CACHE "/f"

static void local_write(const char *text)
{
	int fd = os_openat(AT_FDCWD, LOCAL, O_RDWR | O_CREAT, 0600);

	assert_true(fd >= 0);
	OK(os_pwrite(fd, text, strlen(text), 0));
	OK(os_fsync(fd));
	os_close(fd);
}

static void local_new(void)
{
	local_write("abc");
}

static void sync_folder(void)
{
	int fd = os_openat(AT_FDCWD, SIM_CACHE, O_RDONLY | O_DIRECTORY, 0);

	assert_true(fd >= 0);
	OK(os_fsync(fd));
	os_close(fd);
}

static void local_new_and_folder(void)
{
	local_write("abc");
	sync_folder();
}

static void local_replaced(void)
{
	local_new_and_folder();
	OK(os_replace_file(LOCAL, "xyz", 3));
}

/* The content or NULL. */
static const char *local_read(void)
{
	static char text[64];
	int fd = os_openat(AT_FDCWD, LOCAL, O_RDONLY, 0);
	ssize_t n;

	if (fd < 0)
		return NULL;
	n = os_pread(fd, text, sizeof(text) - 1, 0);
	assert_true(n >= 0);
	text[n] = 0;
	os_close(fd);
	return text;
}

static void names_of_local_files_need_their_folder(void **state)
{
	struct sim_trace *t = record(local_new);

	(void)state;
	cut_end(t, SIM_LOSE_ALL, 0);
	assert_null(local_read());
	cut_end(t, SIM_LOSE_MASK, 1);
	assert_string_equal(local_read(), "abc");
	sim_trace_free(t);
	t = record(local_new_and_folder);
	cut_end(t, SIM_LOSE_ALL, 0);
	assert_string_equal(local_read(), "abc");
	sim_trace_free(t);
	t = record(local_replaced);
	cut_end(t, SIM_LOSE_ALL, 0);
	assert_string_equal(local_read(), "xyz");
	sim_trace_free(t);
}

static void local_calls_have_their_errors(void **state)
{
	struct stat st;
	int fd, other;

	(void)state;
	sim_disks_reset(1);
	assert_int_equal(os_openat(AT_FDCWD, LOCAL, O_RDONLY, 0), -ENOENT);
	assert_int_equal(os_openat(AT_FDCWD, SIM_CACHE "/no/f",
				   O_RDWR | O_CREAT, 0600),
			 -ENOENT);
	local_write("abc");
	assert_int_equal(os_openat(AT_FDCWD, LOCAL, O_CREAT | O_EXCL | O_RDWR,
				   0600),
			 -EEXIST);
	OK(os_lstat(LOCAL, &st));
	assert_int_equal(st.st_size, 3);
	assert_int_equal(os_lstat("/etc/passwd", &st), -ENOENT); /* L3 */
	fd = os_openat(AT_FDCWD, LOCAL, O_RDWR, 0);
	other = os_openat(AT_FDCWD, LOCAL, O_RDWR, 0);
	OK(os_flock(fd));
	OK(os_flock(fd));
	assert_int_equal(os_flock(other), -EWOULDBLOCK);
	os_close(fd);
	OK(os_flock(other));
	os_fail_at(2, ENOSPC, 0);
	OK(os_pwrite(other, "d", 1, 3));
	assert_int_equal(os_pwrite(other, "e", 1, 4), -ENOSPC);
	os_fail_at(0, 0, 0);
	OK(os_unlinkat(AT_FDCWD, LOCAL, 0));
	os_close(other);
	assert_null(local_read());
	sim_cache_clear();
}

/* ---- images ---- */

static void make_a(void)
{
	put("data/x", "one", true);
}

static void make_b(void)
{
	put("data/y", "two", true);
}

static void images_keep_swap_and_mix(void **state)
{
	struct sim_image *empty, *a, *b;
	uint64_t digest;

	(void)state;
	sim_disks_reset(2);
	empty = sim_image_take();
	run(1, make_a);
	a = sim_image_take();
	run(1, make_b);
	b = sim_image_take();
	digest = sim_image_digest(a);
	assert_true(digest != sim_image_digest(b));
	assert_true(digest != sim_image_digest(empty));
	sim_disk_poke(0, "data/x", "ONE", 3);
	assert_true(digest == sim_image_digest(a));
	sim_image_load(a);
	assert_true(holds("data/x", "one") && holds("data/y", NULL));
	sim_image_swap(b, 0, 1);
	sim_image_load(b);
	assert_true(holds("data/x", NULL));
	sim_image_mix(b, 0, a);
	sim_image_load(b);
	assert_true(holds("data/x", "one") && holds("data/y", NULL));
	sim_image_mix(a, 0, empty);
	assert_true(sim_image_digest(a) == sim_image_digest(empty));
	sim_image_unref(sim_image_ref(empty));
	sim_image_unref(empty);
	sim_image_unref(a);
	sim_image_unref(b);
	sim_image_unref(NULL);
}

static void count_object(void *arg, const char *name, size_t len)
{
	*(size_t *)arg += strlen(name) + len;
}

static void objects_can_be_damaged(void **state)
{
	size_t sum = 0;

	(void)state;
	sim_disks_reset(1);
	run(1, make_a);
	sim_disk_poke(0, "data/x", "other", 5);
	assert_true(holds("data/x", "other"));
	sim_disk_poke(0, "journal/z", "", 0);
	assert_true(holds("journal/z", ""));
	sim_disk_each(0, count_object, &sum);
	assert_int_equal(sum, 6 + 5 + 9);
	sim_disk_poke(0, "data/x", NULL, 0);
	sim_disk_poke(0, "data/none", NULL, 0);
	assert_true(holds("data/x", NULL));
}

/* ---- folders that are away, taken or full ---- */

static void hide_and_ask(void)
{
	struct drv_file *f = open_file("f", DRV_WRITE | DRV_CREATE);
	struct driver *other;
	struct drv_usage u;

	OK(driver_write(f, "x", 1, 0));
	sim_disk_hide(0, true);
	assert_int_equal(driver_write(f, "y", 1, 0), -ENOENT);
	assert_int_equal(driver_sync(f), -ENOENT);
	driver_close(f);
	assert_int_equal(driver_open(d, "f", DRV_READ, &f), -ENOENT);
	assert_int_equal(driver_usage(d, &u), -ENOENT);
	assert_int_equal(driver_attach("mem:0", &other), -ENOENT);
	sim_disk_hide(0, false);
	f = open_file("f", DRV_READ);
	driver_close(f);
	assert_int_equal(driver_attach("mem:7", &other), -ENOENT);
}

static void hidden_folders_answer_nothing(void **state)
{
	(void)state;
	sim_disks_reset(2);
	run(1, hide_and_ask);
	assert_true(holds("f", "x"));
}

static void take_locks(void)
{
	struct driver *e, *f;

	OK(driver_attach("mem:0", &e));
	OK(driver_attach("mem:0", &f));
	OK(driver_lock(d, true));
	assert_int_equal(driver_lock(e, true), -ERR_IN_USE);
	assert_int_equal(driver_lock(e, false), -ERR_IN_USE);
	OK(driver_lock(d, false));
	OK(driver_lock(e, false));
	assert_int_equal(driver_lock(f, true), -ERR_IN_USE);
	driver_unlock(d);
	assert_int_equal(driver_lock(f, true), -ERR_IN_USE);
	driver_detach(e);
	OK(driver_lock(f, true));
	driver_detach(f);
	OK(driver_lock(d, true));
}

static void locks_are_exclusive_or_shared(void **state)
{
	(void)state;
	sim_disks_reset(1);
	run(1, take_locks);
	run(2, take_locks);
}

static void fill_up(void)
{
	static uint8_t block[8192];
	struct drv_file *f = open_file("f", DRV_WRITE | DRV_CREATE), *g;
	struct drv_usage u;

	OK(driver_write(f, block, 8192, 0));
	assert_int_equal(driver_write(f, block, 8192, 8192), -ENOSPC);
	OK(driver_write(f, block, 4096, 4096));
	OK(driver_usage(d, &u));
	assert_int_equal(u.total_bytes, 12288);
	assert_int_equal(u.free_bytes, 4096);
	OK(driver_write(f, block, 4096, 8192));
	assert_int_equal(driver_open(d, "g", DRV_WRITE | DRV_CREATE, &g),
			 -ENOSPC);
	OK(driver_sync(f));
	driver_close(f);
	OK(driver_remove(d, "f"));
	put("g", "fits", true);
}

static void folders_are_as_large_as_told(void **state)
{
	(void)state;
	sim_disks_reset(1);
	sim_disk_set_bytes(0, 12288);
	run(1, fill_up);
	assert_true(holds("g", "fits"));
	sim_disks_reset(1);
}

/* ---- contents that several images share: sim_blob.c ---- */

static uint8_t wanted[40000];

static void random_writes(void)
{
	struct drv_file *f = open_file("f", DRV_WRITE | DRV_CREATE);
	uint8_t buf[9000];

	for (unsigned i = 0; i < 200; i++) {
		size_t len = 1 + sim_dice(sizeof(buf));
		size_t off = sim_dice(sizeof(wanted) - len);

		memset(buf, (int)(1 + i), len);
		memset(wanted + off, (int)(1 + i), len);
		OK(driver_write(f, buf, len, off));
		if (sim_dice(5) == 0)
			OK(driver_sync(f));
		/* shares all pages until they are written to */
		if (sim_dice(5) == 0)
			sim_image_unref(sim_image_take());
	}
	OK(driver_sync(f));
	driver_close(f);
}

static void contents_are_what_was_written(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 5; round++) {
		struct sim_trace *t;
		const uint8_t *data;
		size_t len;

		memset(wanted, 0, sizeof(wanted));
		t = record(random_writes);
		for (unsigned how = 0; how < 2; how++) {
			if (how == 1)
				cut_end(t, SIM_LOSE_ALL, 0);
			assert_true(sim_disk_peek(0, "f", &data, &len));
			assert_true(len <= sizeof(wanted));
			assert_memory_equal(data, wanted, len);
		}
		sim_trace_free(t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unsynced_is_lost_or_kept),
		cmocka_unit_test(masks_choose),
		cmocka_unit_test(every_point_is_a_state),
		cmocka_unit_test(torn_at_sectors_only),
		cmocka_unit_test(grown_files_hold_anything),
		cmocka_unit_test(lossy_cuts_repeat),
		cmocka_unit_test(a_dsync_write_is_durable_alone),
		cmocka_unit_test(a_dsync_write_does_not_save_the_name),
		cmocka_unit_test(a_rename_is_atomic_and_durable),
		cmocka_unit_test(removed_names_may_come_back),
		cmocka_unit_test(a_name_made_twice),
		cmocka_unit_test(an_open_file_outlives_its_name),
		cmocka_unit_test(names_of_local_files_need_their_folder),
		cmocka_unit_test(local_calls_have_their_errors),
		cmocka_unit_test(images_keep_swap_and_mix),
		cmocka_unit_test(objects_can_be_damaged),
		cmocka_unit_test(hidden_folders_answer_nothing),
		cmocka_unit_test(locks_are_exclusive_or_shared),
		cmocka_unit_test(folders_are_as_large_as_told),
		cmocka_unit_test(contents_are_what_was_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
