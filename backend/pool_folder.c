/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a place says before any passphrase: is it there, empty, foreign, one of
 * ours, twice here, in use.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "backend/driver.h"
#include "backend/pool_impl.h"

#define DROP_WAIT_MS 200 /* for requests that are about to end */

const char *const slot_name[SB_SLOTS] = {"mendfs.super.0", "mendfs.super.1"};

void slot_temp_name(uint64_t generation, char out[SUPER_TEMP_MAX])
{
	snprintf(out, SUPER_TEMP_MAX, SUPER_TEMP "%llu",
		 (unsigned long long)generation);
}

static void image_release(struct slot_image *im)
{
	buf_unref(im->data);
	im->data = NULL;
}

void folder_drop(struct folder *f, int rc)
{
	backend_close(f->backend, rc == -ETIMEDOUT ? 0 : DROP_WAIT_MS);
	f->backend = NULL;
	f->rc = rc;
}

void folders_release(struct folders *fs)
{
	for (unsigned i = 0; i < fs->n; i++) {
		struct folder *f = &fs->at[i];

		folder_drop(f, f->rc);
		for (unsigned s = 0; s < SB_SLOTS; s++)
			image_release(&f->image[s]);
		mem_free(f->location);
		mem_free(f->real);
	}
	mem_free(fs->at);
	*fs = (struct folders){0};
}

const char *folder_path(const struct folder *f)
{
	return driver_location_path(f->location);
}

/* ---- what people are told ---- */

static const struct {
	int rc;
	const char *advice;
} advice_table[] = {
	{-ENOENT, "check the path, or mount the disk it is on"},
	{-ENOTDIR, "a pool is made of folders: give the folder it is in"},
	{-EACCES, "give yourself permission (chown, chmod), or run as the "
		  "user who made the pool"},
	{-EROFS, "remount its file system writable, or use -o ro"},
	{-ETIMEDOUT, "check its disk or network; leave it out to go on "
		     "without it"},
	{-ERR_EMPTY_FOLDER, "mount the disk it is on, or make a new pool with "
			    "mkfs.mendfs"},
	{-ERR_NO_SUPERBLOCK, "check the path, or make a new pool with "
			     "mkfs.mendfs"},
	{-ERR_CORRUPT, "both copies of its superblock are damaged: give "
		       "another folder of the pool"},
	{-ERR_AUTH, "its superblock was not written with this pool's key: "
		    "give another folder of the pool"},
	{-ERR_RANGE, "its superblock makes no sense: give another folder of "
		     "the pool"},
	{-ERR_FEATURE, "it was written by a newer mendfs: update mendfs"},
	{-ERR_FOREIGN, "give folders of one pool only; 'mendfs status' shows "
		       "what belongs to a pool"},
	{-ERR_IN_USE, "'mendfs status' shows where it is mounted, 'mendfs "
		      "umount' ends that"},
};

int folder_fail(const struct folder *f, int rc, struct diag *diag)
{
	const char *advice = "check the disk and the system log";

	for (size_t i = 0; i < ARRAY_LEN(advice_table); i++)
		if (advice_table[i].rc == rc)
			advice = advice_table[i].advice;
	return diag_fail(diag, rc, "%s: %s; %s", folder_path(f), err_text(rc),
			 advice);
}

/* ---- slots ---- */

const struct slot_image *folder_best(const struct folder *f)
{
	const struct slot_image *best = NULL;

	for (unsigned s = 0; s < SB_SLOTS; s++) {
		const struct slot_image *im = &f->image[s];

		if (!im->rc &&
		    (!best || im->clear.generation > best->clear.generation))
			best = im;
	}
	return best;
}

static void take_image(struct slot_image *im, struct fan *fan)
{
	image_release(im);
	im->rc = fan->rc;
	if (fan->rc)
		return;
	im->data = buf_ref(bio_data(fan->bio));
	im->rc = superblock_peek(im->data->data, im->data->len, &im->clear);
}

static bool any_image(const struct folder *f, int rc)
{
	return f->image[0].rc == rc || f->image[1].rc == rc;
}

/*
 * Features count before anything else: the older slot of a folder that a newer
 * mendfs has written to is not to be believed. A storage error in one slot and
 * absence in the other is no absence.
 */
static int judge_images(const struct folder *f)
{
	static const int by_weight[] = {-ERR_FEATURE, 0, -ETIMEDOUT};

	for (unsigned s = 0; s < SB_SLOTS; s++)
		if (fan_own_trouble(f->image[s].rc))
			return f->image[s].rc;
	for (size_t i = 0; i < ARRAY_LEN(by_weight); i++)
		if (any_image(f, by_weight[i]))
			return by_weight[i];
	if (any_image(f, -ERR_CORRUPT) || any_image(f, -ERR_TRUNCATED))
		return -ERR_CORRUPT;
	for (unsigned s = 0; s < SB_SLOTS; s++) {
		int rc = f->image[s].rc;

		if (rc != -ENOENT && rc != -ERR_FORMAT)
			return rc;
	}
	return -ERR_NO_SUPERBLOCK;
}

/* What a fresh file system or a mkfs that failed leaves behind. */
static bool is_nothing(const char *name)
{
	return !strcmp(name, "lost+found") || !strcmp(name, "mendfs.lock");
}

static int has_something(struct bio *listing)
{
	uint64_t size;

	for (unsigned i = 0; i < bio_list_count(listing); i++)
		if (!is_nothing(bio_list_at(listing, i, &size)))
			return 1;
	return 0;
}

int folder_in_use(const struct folder *f, uint64_t deadline_ms)
{
	struct fan fan = {.to = f->backend, .bio = bio_new_list("")};
	int rc;

	fan_run(&fan, 1, deadline_ms);
	rc = fan.rc ? fan.rc : has_something(fan.bio);
	fan_release(&fan, 1);
	return rc;
}

/* Empty or just without superblock? Only for the places where it matters. */
static void tell_empty(struct folders *fs, unsigned first, struct fan *fan,
		       uint64_t deadline_ms)
{
	unsigned n = fs->n - first;

	for (unsigned i = 0; i < n; i++) {
		struct folder *f = &fs->at[first + i];

		fan[i] = (struct fan){0};
		if (!f->rc && judge_images(f) == -ERR_NO_SUPERBLOCK) {
			fan[i].to = f->backend;
			fan[i].bio = bio_new_list("");
		}
	}
	fan_run(fan, n, deadline_ms);
	for (unsigned i = 0; i < n; i++)
		if (fan[i].to && (fan[i].rc || !has_something(fan[i].bio)))
			folder_drop(&fs->at[first + i],
				    fan[i].rc ? fan[i].rc : -ERR_EMPTY_FOLDER);
	fan_release(fan, n);
}

static void read_images(struct folders *fs, unsigned first, struct fan *fan,
			uint64_t deadline_ms)
{
	unsigned n = (fs->n - first) * SB_SLOTS;

	for (unsigned i = 0; i < n; i++) {
		struct folder *f = &fs->at[first + i / SB_SLOTS];

		if (f->rc)
			continue;
		fan[i].to = f->backend;
		fan[i].bio = bio_new_get(slot_name[i % SB_SLOTS], 0,
					 SB_MAX_BYTES, false);
	}
	fan_run(fan, n, deadline_ms);
	for (unsigned i = 0; i < n; i++)
		if (fan[i].to)
			take_image(&fs->at[first + i / SB_SLOTS]
					    .image[i % SB_SLOTS],
				   &fan[i]);
	fan_release(fan, n);
}

int folders_read(struct folders *fs, unsigned first, uint64_t deadline_ms)
{
	AUTO_FREE struct fan *fan =
		mem_calloc((fs->n - first) * SB_SLOTS, sizeof(*fan));

	if (!fan)
		return -ENOMEM;
	read_images(fs, first, fan, deadline_ms);
	tell_empty(fs, first, fan, deadline_ms);
	for (unsigned i = first; i < fs->n; i++) {
		struct folder *f = &fs->at[i];
		int rc = f->rc ? f->rc : judge_images(f);

		if (fan_own_trouble(rc))
			return rc;
		if (rc && !f->rc)
			folder_drop(f, rc);
	}
	return 0;
}

/* ---- places that are one ---- */

static bool lies_in(const char *inner, const char *outer)
{
	size_t len = strlen(outer);

	if (!strcmp(outer, "/"))
		return true;
	return !strncmp(inner, outer, len) && inner[len] == '/';
}

static int overlap(const struct folder *a, const struct folder *b)
{
	if (a->identity.dev == b->identity.dev &&
	    a->identity.ino == b->identity.ino)
		return -ERR_DUPLICATE;
	if (a->real && b->real &&
	    (lies_in(a->real, b->real) || lies_in(b->real, a->real)))
		return -ERR_NESTED;
	return 0;
}

int folders_overlap(const struct folders *fs, unsigned first,
		    unsigned *index_out, unsigned *other_out)
{
	for (unsigned i = first; i < fs->n; i++)
		for (unsigned j = 0; j < i && !fs->at[i].rc; j++) {
			int rc = fs->at[j].rc ? 0
					      : overlap(&fs->at[i], &fs->at[j]);

			if (!rc)
				continue;
			*index_out = i;
			*other_out = j;
			return rc;
		}
	return 0;
}

/* ---- locks ---- */

/* The worse of two failures: what ends the attempt, then any. */
static int worse(int a, int b)
{
	if (!a || b == -ERR_IN_USE)
		return b;
	return a != -ERR_IN_USE && fan_own_trouble(b) ? b : a;
}

static int lock_range(struct folders *fs, const bool *chosen, bool exclusive,
		      uint64_t deadline_ms)
{
	AUTO_FREE struct fan *fan = mem_calloc(fs->n, sizeof(*fan));
	int rc = 0;

	if (!fan)
		return -ENOMEM;
	for (unsigned i = 0; i < fs->n; i++)
		if (chosen[i] && !fs->at[i].rc) {
			fan[i].to = fs->at[i].backend;
			fan[i].bio = bio_new_lock(exclusive);
		}
	fan_run(fan, fs->n, deadline_ms);
	for (unsigned i = 0; i < fs->n; i++)
		if (fan[i].to && fan[i].rc) {
			folder_drop(&fs->at[i], fan[i].rc);
			rc = worse(rc, fan[i].rc);
		}
	fan_release(fan, fs->n);
	return rc;
}

static int fail_in_use(const struct folders *fs, struct diag *diag)
{
	for (unsigned i = 0; i < fs->n; i++)
		if (fs->at[i].rc == -ERR_IN_USE)
			return folder_fail(&fs->at[i], -ERR_IN_USE, diag);
	return -ERR_IN_USE;
}

/* Index of the lowest rank that is not dropped; fs->n: none. */
static unsigned lowest(const struct folders *fs)
{
	unsigned best = fs->n;

	for (unsigned i = 0; i < fs->n; i++)
		if (!fs->at[i].rc &&
		    (best == fs->n || fs->at[i].rank < fs->at[best].rank))
			best = i;
	return best;
}

static void note_lock_failures(const struct folders *fs, const bool *chosen)
{
	for (unsigned i = 0; i < fs->n; i++)
		if (chosen[i] && fs->at[i].rc)
			log_event(LOG_LVL_WARN, "member_not_locked",
				  "member=%u rc=%s", fs->at[i].rank,
				  err_name(fs->at[i].rc));
}

int folders_lock(struct folders *fs, bool exclusive, uint64_t deadline_ms,
		 struct diag *diag)
{
	AUTO_FREE bool *chosen = mem_calloc(fs->n, sizeof(*chosen));
	AUTO_FREE bool *tried = mem_calloc(fs->n, sizeof(*tried));
	unsigned first = lowest(fs);
	int rc = 0;

	if (!chosen || !tried)
		return -ENOMEM;
	if (first == fs->n)
		return 0;
	for (unsigned i = 0; i < fs->n; i++)
		tried[i] = !fs->at[i].rc;
	chosen[first] = true;
	rc = lock_range(fs, chosen, exclusive, deadline_ms);
	if (rc != -ERR_IN_USE && !fan_own_trouble(rc)) {
		for (unsigned i = 0; i < fs->n; i++)
			chosen[i] = i != first;
		rc = lock_range(fs, chosen, exclusive, deadline_ms);
	}
	if (rc == -ERR_IN_USE)
		return fail_in_use(fs, diag);
	note_lock_failures(fs, tried);
	return fan_own_trouble(rc) ? rc : 0;
}
