/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folders that are damaged, full, away, late, old, mixed up or in use: one case
 * for each that a whole volume must stand. Numbers are rows of FAULTS.md.
 */
#include "unit/base/base_test.h"

#include <errno.h>
#include <stdio.h>

#include "atlas.h"
#include "base/mem.h"
#include "base/osfile.h"

#define N      4
#define SECOND 1000000000ULL

static const struct atlas_shape shape = {.n = N, .k = 2, .m = 1};
static const struct atlas_shape wide = {.n = N, .k = 1, .m = 2};
static struct atlas a;
static struct sim_image *filled, *early;

static void fill(struct atlas *x)
{
	atlas_open(x);
	atlas_put(x, 0, 1);
	atlas_put(x, 1, 40);
	atlas_put(x, 2, 150);
	atlas_close(x);
}

/* More of it, and less: what an early folder missed. */
static void go_on(struct atlas *x)
{
	atlas_open(x);
	atlas_unlink(x, 1);
	atlas_put(x, 3, 60);
	atlas_write(x, 2, 10, 30);
	(void)atlas_fsync(x, 2);
	(void)atlas_sync_names(x);
	atlas_close(x);
}

static void begin(const struct atlas_shape *s, uint64_t seed)
{
	atlas_begin(&a, seed, s);
	strcpy(a.doing, "filling");
	atlas_run(&a, fill);
	early = sim_image_take();
	atlas_run(&a, go_on);
	filled = sim_image_take();
}

static void end(void)
{
	sim_image_unref(early);
	sim_image_unref(filled);
	for (unsigned i = 0; i < N; i++)
		sim_disk_hide(i, false);
	atlas_end(&a);
}

static uint64_t digest(void)
{
	struct sim_image *im = sim_image_take();
	uint64_t d = sim_image_digest(im);

	sim_image_unref(im);
	return d;
}

/* The usual way to see that all is well. */
static void look_and_work(struct atlas *x)
{
	atlas_open(x);
	atlas_look(x, LOOK_ALL, false);
	atlas_put(x, 5, 9);
	atlas_put(x, 6, 3);
	atlas_look(x, LOOK_ALL, true);
	atlas_close(x);
}

static void reset_to(const struct sim_image *im)
{
	sim_image_load(im);
	atlas_absent(&a, 5);
	atlas_absent(&a, 6);
}

static int wanted;

static void refuse(struct atlas *x)
{
	struct diag d = DIAG_INIT;
	int rc = atlas_try_open(x, &d);

	if (rc != wanted || !d.text[0])
		atlas_wrong(x, "volume_open: %s, not %s: %s", err_name(rc),
			    err_name(wanted), d.text);
}

/* A mount is refused with this error, and nothing is written. */
static void expect_refused(int rc)
{
	uint64_t before = digest();

	wanted = rc;
	atlas_run(&a, refuse);
	assert_true(digest() == before);
}

static uint64_t errors_found(bool stale_too)
{
	struct atlas_found *f = calloc(1, sizeof(*f));
	uint64_t n;

	atlas_check(&a, true, f);
	n = f->totals.findings[SEVERITY_ERROR];
	if (stale_too)
		n += f->n[FINDING_SUPER_STALE] +
		     f->n[FINDING_SUPER_SLOT_DAMAGED];
	free(f);
	return n;
}

static uint64_t found_errors;

static void count_errors(struct atlas *x)
{
	(void)x;
	found_errors = errors_found(true);
}

/* ---- 6: superblocks ---- */

static void row06_torn_slots_are_written_anew(void **state)
{
	(void)state;
	begin(&shape, 6);
	for (unsigned slot = 0; slot < 2; slot++) {
		reset_to(filled);
		sprintf(a.doing, "slot %u of every folder", slot);
		/* the newer one of one folder stays: that is enough */
		for (unsigned i = 0; i < N - 1; i++)
			atlas_flip(i,
				   slot ? "mendfs.super.1" : "mendfs.super.0",
				   777 * i + 99);
		atlas_run(&a, look_and_work);
		atlas_run(&a, look_and_work);
		atlas_run(&a, count_errors);
		assert_int_equal(found_errors, 0);
	}
	end();
}

/* ---- 7: the local index ---- */

static void damage_cache(unsigned how)
{
	struct atlas_objects o;

	if (how == 0) {
		sim_cache_clear();
		return;
	}
	atlas_list(SIM_DISKS, "", &o);
	assert_true(o.n > 0);
	for (unsigned i = 0; i < o.n; i++) {
		const uint8_t *p;
		size_t len;

		if (how == 1)
			for (unsigned k = 0; k < 20; k++)
				atlas_flip(SIM_DISKS, o.at[i].name,
					   k * 7919 * 8 + k);
		if (how == 2 &&
		    sim_disk_peek(SIM_DISKS, o.at[i].name, &p, &len)) {
			uint8_t *half = malloc(len + 1);

			memcpy(half, p, len);
			sim_disk_poke(SIM_DISKS, o.at[i].name, half, len / 2);
			free(half);
		}
	}
	atlas_list_release(&o);
}

static void row07_a_bad_local_index_is_rebuilt(void **state)
{
	(void)state;
	begin(&shape, 7);
	for (unsigned how = 0; how < 3; how++) {
		reset_to(filled);
		sprintf(a.doing, "cache damage %u", how);
		damage_cache(how);
		atlas_run(&a, look_and_work);
	}
	/* of an older day */
	reset_to(filled);
	sim_image_mix(filled, SIM_DISKS, early);
	reset_to(filled);
	strcpy(a.doing, "old cache");
	atlas_run(&a, look_and_work);
	end();
}

static void open_without_local_room(struct atlas *x)
{
	struct diag d = DIAG_INIT;
	int rc;

	os_fail_at(6, ENOSPC, 1);
	rc = atlas_try_open(x, &d);
	os_fail_at(0, 0, 0);
	if (rc != -ENOSPC || !d.text[0])
		atlas_wrong(x, "volume_open: %s: %s", err_name(rc), d.text);
	atlas_open(x);
	atlas_look(x, LOOK_ALL, false);
}

static void row07_no_local_room_harms_nothing(void **state)
{
	(void)state;
	begin(&shape, 70);
	strcpy(a.doing, "no local room");
	sim_cache_clear();
	atlas_run(&a, open_without_local_room);
	end();
}

/* ---- 8: no room ---- */

static uint64_t used(unsigned folder)
{
	struct atlas_objects o;
	uint64_t sum = 0;

	atlas_list(folder, "", &o);
	for (unsigned i = 0; i < o.n; i++)
		sum += (o.at[i].len + 4095) / 4096 * 4096;
	atlas_list_release(&o);
	return sum;
}

static void row08_one_full_folder_fails_nothing(void **state)
{
	(void)state;
	begin(&shape, 8);
	for (unsigned i = 0; i < N; i++) {
		reset_to(filled);
		sprintf(a.doing, "folder %u is full", i);
		sim_disk_set_bytes(i, used(i));
		atlas_run(&a, look_and_work);
		sim_disk_set_bytes(i, 1ULL << 30);
		atlas_run(&a, look_and_work);
	}
	end();
}

static void fill_up(struct atlas *x)
{
	int rc = 0;

	atlas_open(x);
	x->strict = false;
	for (unsigned i = 0; i < 200 && rc == 0; i++) {
		atlas_write(x, 7, 400 * (i % 2), ATLAS_CELLS);
		rc = atlas_fsync(x, 7);
		atlas_look(x, LOOK_TRUE, true);
	}
	x->strict = true;
	/* removing is possible, and makes room */
	atlas_unlink(x, 2);
	atlas_unlink(x, 3);
	(void)atlas_sync_names(x);
	atlas_look(x, LOOK_ALL, true);
	atlas_crash(x);
	atlas_open(x);
	atlas_look(x, LOOK_ALL, false);
}

static void row08_all_full_loses_nothing(void **state)
{
	(void)state;
	begin(&shape, 80);
	strcpy(a.doing, "everything is full");
	for (unsigned i = 0; i < N; i++)
		sim_disk_set_bytes(i, used(i) + (16 << 20));
	atlas_run(&a, fill_up);
	end();
}

/* ---- 9: failed syncs ---- */

static void sync_fails(struct atlas *x)
{
	struct fault_rule r = atlas_error(EIO);

	r.ops = FAULT_OP_SYNC | FAULT_OP_WRITE;
	atlas_open(x);
	for (unsigned i = 0; i < N; i++)
		atlas_rule(x, i, r);
	x->strict = false;
	atlas_write(x, 0, 0, 8);
	for (unsigned i = 0; i < 3; i++)
		ATLAS_MUST(x, atlas_fsync(x, 0) < 0);
	for (unsigned i = 0; i < N; i++)
		fault_clear(x->location[i]);
	atlas_look(x, LOOK_ALL, true);
	/* folders must be seen to be well several times first */
	for (unsigned i = 0; i < 60 && atlas_fsync(x, 0) < 0; i++)
		sim_sleep_ns(2 * SECOND);
	x->strict = true;
	atlas_crash(x);
	atlas_open(x);
	atlas_look(x, LOOK_ALL, false);
}

static void row09_fsync_fails_until_it_is_safe(void **state)
{
	(void)state;
	begin(&shape, 9);
	strcpy(a.doing, "no sync works");
	atlas_run(&a, sync_fails);
	end();
}

static void one_sync_fails(struct atlas *x)
{
	struct fault_rule r = atlas_error(EIO);

	atlas_open(x);
	r.ops = FAULT_OP_SYNC;
	r.times = 1;
	for (unsigned i = 0; i < N; i++)
		atlas_rule(x, i, r);
	atlas_put(x, 5, 300);
	atlas_put(x, 6, 3);
	atlas_crash(x);
}

/* The first sync of every folder fails: what it was about goes elsewhere. */
static void row09_what_was_not_synced_is_written_again(void **state)
{
	(void)state;
	begin(&shape, 90);
	for (unsigned i = 0; i < N; i++) {
		reset_to(filled);
		sprintf(a.doing, "syncs fail once, then %u is lost", i);
		atlas_run(&a, one_sync_fails);
		sim_disk_hide(i, true);
		atlas_run(&a, look_and_work);
		sim_disk_hide(i, false);
	}
	end();
}

/* ---- 10: a folder as a whole ---- */

static int folder_err;
static unsigned folder;

static void work_with_errors(struct atlas *x)
{
	atlas_open(x);
	atlas_put(x, 6, 3);
	if (folder_err)
		atlas_rule(x, folder, atlas_error(folder_err));
	else
		atlas_rule(x, folder,
			   (struct fault_rule){.kind = FAULT_VANISH});
	atlas_put(x, 5, 100);
	atlas_look(x, LOOK_ALL, true);
	atlas_close(x);
	look_and_work(x);
}

static void row10_a_failing_folder_is_done_without(void **state)
{
	static const int err[] = {EIO, EROFS, EACCES, ESTALE, 0};

	(void)state;
	begin(&shape, 10);
	for (unsigned e = 0; e < ARRAY_LEN(err); e++)
		for (folder = 0; folder < N; folder++) {
			reset_to(filled);
			folder_err = err[e];
			sprintf(a.doing, "folder %u: %d", folder, err[e]);
			atlas_run(&a, work_with_errors);
			/* another one may go meanwhile: it caught up, or it
			 * is not needed */
			atlas_run(&a, look_and_work);
		}
	end();
}

static void row10_an_empty_folder_is_never_written_to(void **state)
{
	struct atlas_objects o;

	(void)state;
	begin(&shape, 100);
	for (unsigned i = 0; i < N; i++) {
		reset_to(filled);
		sprintf(a.doing, "folder %u is empty", i);
		atlas_empty_folder(i);
		atlas_run(&a, look_and_work);
		atlas_list(i, "", &o);
		assert_int_equal(o.n, 0);
		atlas_list_release(&o);
	}
	end();
}

/* ---- 11, 12: late ---- */

static uint64_t took;
static struct fault_rule lateness;

static void work_while_late(struct atlas *x)
{
	uint64_t at = clock_mono_ns();

	atlas_rule(x, folder, lateness);
	atlas_open(x);
	ATLAS_MUST(x, clock_mono_ns() - at < 60 * SECOND);
	atlas_look(x, LOOK_ALL, false);
	atlas_put(x, 5, 100);
	at = clock_mono_ns();
	for (unsigned i = 0; i < 5; i++) {
		atlas_write(x, 6, 0, 2);
		(void)atlas_fsync(x, 6);
	}
	took = clock_mono_ns() - at;
	at = clock_mono_ns();
	atlas_look(x, LOOK_ALL, true);
	ATLAS_MUST(x, clock_mono_ns() - at < 5 * SECOND);
	atlas_close(x);
}

static void row11_a_hung_folder_hangs_nothing_else(void **state)
{
	(void)state;
	begin(&shape, 11);
	lateness = (struct fault_rule){.kind = FAULT_HANG};
	for (folder = 0; folder < N; folder++)
		for (unsigned later = 0; later < 2; later++) {
			reset_to(filled);
			sprintf(a.doing, "folder %u hangs", folder);
			lateness.skip = later ? 60 : 0;
			atlas_run(&a, work_while_late);
			assert_true(took < 30 * SECOND);
		}
	end();
}

static void row12_a_slow_folder_is_gone_around(void **state)
{
	(void)state;
	begin(&shape, 12);
	lateness = (struct fault_rule){.kind = FAULT_DELAY, .ms = 3000};
	for (folder = 0; folder < N; folder++) {
		reset_to(filled);
		sprintf(a.doing, "folder %u is slow", folder);
		atlas_run(&a, work_while_late);
		assert_true(took < 15 * SECOND);
	}
	end();
}

/* ---- 13: flapping ---- */

static void work_while_flapping(struct atlas *x)
{
	atlas_open(x);
	for (unsigned i = 0; i < 12; i++) {
		if (i % 2)
			fault_clear(x->location[folder]);
		else
			atlas_rule(x, folder,
				   (struct fault_rule){.kind = FAULT_VANISH});
		atlas_put(x, i % 3, 20 + i);
		sim_sleep_ns(i * SECOND);
	}
	fault_clear(x->location[folder]);
	atlas_look(x, LOOK_ALL, true);
	atlas_crash(x);
}

static void row13_flapping_breaks_no_promise(void **state)
{
	(void)state;
	begin(&shape, 13);
	for (folder = 0; folder < N; folder++) {
		sprintf(a.doing, "folder %u flaps", folder);
		atlas_run(&a, work_while_flapping);
		atlas_run(&a, look_and_work);
		/* and once more without it */
		sim_disk_hide(folder, true);
		atlas_run(&a, look_and_work);
		sim_disk_hide(folder, false);
		/* nothing heals what it missed: begin anew */
		end();
		begin(&shape, 130 + folder);
	}
	end();
}

/* ---- 14, 15: old folders ---- */

static void row14_a_stale_folder_brings_nothing_back(void **state)
{
	struct sim_image *im;

	(void)state;
	begin(&shape, 14);
	for (unsigned i = 0; i < N; i++) {
		sprintf(a.doing, "folder %u is of an older day", i);
		im = sim_image_take();
		sim_image_load(filled);
		sim_image_unref(im);
		im = sim_image_take();
		sim_image_mix(im, i, early);
		reset_to(im);
		sim_image_unref(im);
		atlas_run(&a, count_errors);
		assert_true(found_errors > 0);
		atlas_run(&a, look_and_work);
		atlas_run(&a, count_errors);
		assert_int_equal(found_errors, 0);
	}
	end();
}

static void open_only(struct atlas *x)
{
	atlas_open(x);
}

static void row15_all_folders_of_an_older_day_are_refused(void **state)
{
	struct sim_image *im;

	(void)state;
	begin(&shape, 15);
	strcpy(a.doing, "restored from a backup");
	im = sim_image_take();
	for (unsigned i = 0; i < N; i++)
		sim_image_mix(im, i, early);
	sim_image_load(im);
	sim_image_unref(im);
	expect_refused(-ERR_ROLLBACK);
	a.o.accept_rollback = true;
	atlas_run(&a, open_only);
	a.o.accept_rollback = false;
	end();
}

/* ---- 16: two mounts ---- */

static void mount_twice(struct atlas *x)
{
	struct diag d = DIAG_INIT;
	struct volume *second;
	int rc;

	atlas_open(x);
	rc = volume_open(&x->o, &d, &second);
	ATLAS_MUST(x, rc == -ERR_IN_USE && d.text[0]);
	x->o.read_only = true;
	rc = volume_open(&x->o, &d, &second);
	x->o.read_only = false;
	ATLAS_MUST(x, rc == -ERR_IN_USE);
	atlas_put(x, 5, 20);
	atlas_look(x, LOOK_ALL, true);
	atlas_close(x);
	atlas_open(x);
	atlas_look(x, LOOK_ALL, false);
}

static void row16_the_second_mount_is_refused(void **state)
{
	(void)state;
	begin(&shape, 16);
	strcpy(a.doing, "two mounts");
	atlas_run(&a, mount_twice);
	end();
}

/* ---- 18: mixed up ---- */

static void row18_all_folders_change_places(void **state)
{
	struct sim_image *im;

	(void)state;
	begin(&shape, 18);
	strcpy(a.doing, "folders in a circle");
	im = sim_image_take();
	for (unsigned i = 1; i < N; i++)
		sim_image_swap(im, 0, i);
	sim_image_load(im);
	sim_image_unref(im);
	atlas_run(&a, look_and_work);
	end();
}

static void row18_a_doubled_folder_is_refused(void **state)
{
	(void)state;
	begin(&shape, 180);
	strcpy(a.doing, "a folder and its copy");
	atlas_copy_folder(0, 1);
	expect_refused(-ERR_DUPLICATE);
	/* found from the good one, it is left out */
	a.given[0] = a.location[2];
	a.o.n = 1;
	atlas_run(&a, look_and_work);
	end();
}

static void row18_fragments_under_wrong_names(void **state)
{
	struct atlas_objects o;
	const uint8_t *p;
	size_t len;

	(void)state;
	begin(&shape, 181);
	for (unsigned f = 0; f < N; f++) {
		reset_to(filled);
		sprintf(a.doing, "fragments of %u in a circle", f);
		atlas_list(f, "data/", &o);
		for (unsigned i = 1; i < o.n; i++) {
			uint8_t *x = NULL;
			size_t n = 0;

			if (sim_disk_peek(f, o.at[i].name, &p, &len)) {
				x = malloc(len + 1);
				memcpy(x, p, len);
				n = len;
			}
			if (x && sim_disk_peek(f, o.at[0].name, &p, &len))
				sim_disk_poke(f, o.at[i].name, p, len);
			if (x)
				sim_disk_poke(f, o.at[0].name, x, n);
			free(x);
		}
		atlas_list_release(&o);
		atlas_run(&a, look_and_work);
	}
	end();
}

/* ---- 20: passphrase ---- */

static void row20_a_wrong_passphrase_writes_nothing(void **state)
{
	(void)state;
	begin(&shape, 20);
	strcpy(a.doing, "wrong passphrase");
	a.o.pass = "secreT";
	expect_refused(-ERR_PASSPHRASE);
	a.o.read_only = true;
	expect_refused(-ERR_PASSPHRASE);
	a.o.read_only = false;
	a.o.pass = "secret";
	atlas_run(&a, look_and_work);
	end();
}

/* ---- 25: a small journal ---- */

static void much_work(struct atlas *x)
{
	atlas_open(x);
	for (unsigned i = 0; i < 400; i++) {
		atlas_write(x, i % ATLAS_FILES, i % 90, 1 + i % 30);
		if (i % 3 == 0)
			(void)atlas_fsync(x, i % ATLAS_FILES);
		if (i % 50 == 0)
			atlas_unlink(x, i % ATLAS_FILES);
		if (i % 7 == 0)
			(void)atlas_sync_names(x);
	}
	atlas_crash(x);
	look_and_work(x);
}

static void row25_a_small_journal_is_enough(void **state)
{
	static const struct atlas_shape tiny = {
		.n = N, .k = 2, .m = 1, .journal_bytes = 64 << 10};

	(void)state;
	begin(&tiny, 25);
	strcpy(a.doing, "a small journal");
	atlas_run(&a, much_work);
	end();
}

/* ---- 26: two halves ---- */

static void half_life(struct atlas *x)
{
	atlas_open(x);
	atlas_put(x, 8, 3);
	atlas_close(x);
}

/* Which half it is does not matter for what both have. */
static void look_read_only(struct atlas *x)
{
	x->o.read_only = true;
	atlas_open(x);
	ATLAS_MUST(x, volume_read_only(x->v));
	ATLAS_MUST(x, atlas_bad_chunks(x, 0) == 0);
	ATLAS_MUST(x, atlas_bad_chunks(x, 2) == 0);
	ATLAS_MUST(x, atlas_bad_chunks(x, 3) == 0);
	atlas_crash(x);
	x->o.read_only = false;
}

static void mount_half(bool first)
{
	for (unsigned i = 0; i < N; i++)
		sim_disk_hide(i, (i < N / 2) != first);
	/* as on another machine */
	sim_cache_clear();
	atlas_run(&a, half_life);
	for (unsigned i = 0; i < N; i++)
		sim_disk_hide(i, false);
}

static void row26_halves_that_went_apart_are_not_joined(void **state)
{
	struct sim_image *one, *other;

	(void)state;
	begin(&wide, 26);
	strcpy(a.doing, "two halves");
	mount_half(true);
	one = sim_image_take();
	sim_image_load(filled);
	atlas_absent(&a, 8);
	mount_half(false);
	other = sim_image_take();
	for (unsigned i = 0; i < N / 2; i++)
		sim_image_mix(other, i, one);
	sim_image_load(other);
	sim_cache_clear();
	expect_refused(-ERR_DIVERGED);
	atlas_run(&a, look_read_only);
	sim_image_unref(one);
	sim_image_unref(other);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(row06_torn_slots_are_written_anew),
		cmocka_unit_test(row07_a_bad_local_index_is_rebuilt),
		cmocka_unit_test(row07_no_local_room_harms_nothing),
		cmocka_unit_test(row08_one_full_folder_fails_nothing),
		cmocka_unit_test(row08_all_full_loses_nothing),
		cmocka_unit_test(row09_fsync_fails_until_it_is_safe),
		cmocka_unit_test(row09_what_was_not_synced_is_written_again),
		cmocka_unit_test(row10_a_failing_folder_is_done_without),
		cmocka_unit_test(row10_an_empty_folder_is_never_written_to),
		cmocka_unit_test(row11_a_hung_folder_hangs_nothing_else),
		cmocka_unit_test(row12_a_slow_folder_is_gone_around),
		cmocka_unit_test(row13_flapping_breaks_no_promise),
		cmocka_unit_test(row14_a_stale_folder_brings_nothing_back),
		cmocka_unit_test(row15_all_folders_of_an_older_day_are_refused),
		cmocka_unit_test(row16_the_second_mount_is_refused),
		cmocka_unit_test(row18_all_folders_change_places),
		cmocka_unit_test(row18_a_doubled_folder_is_refused),
		cmocka_unit_test(row18_fragments_under_wrong_names),
		cmocka_unit_test(row20_a_wrong_passphrase_writes_nothing),
		cmocka_unit_test(row25_a_small_journal_is_enough),
		cmocka_unit_test(row26_halves_that_went_apart_are_not_joined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
