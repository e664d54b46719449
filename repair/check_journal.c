/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The copies of the journal. Reading it in took each record from the first
 * copy that had it; here every member is asked alone:
 *
 * 1. A copy whose chain ends before records that it holds itself is damaged.
 *    One that merely ends early may have been given up for another.
 * 2. Every record has to be on min(m+1, u) members (C2). The last one may never
 *    have been acknowledged, but nothing proves that: it is told.
 * 3. A file of this epoch whose header does not authenticate is passed over
 *    by a scan. When no other member has a good one of its number, nobody
 *    knows what was in it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "backend/backend.h"
#include "meta/journal_codec.h"
#include "repair/check_impl.h"

/* ---- records ---- */

static int count_only(void *arg, uint64_t seq, const void *payload, size_t len)
{
	(void)arg;
	(void)seq;
	(void)payload;
	(void)len;
	return 0;
}

static uint64_t from_seq(const struct check *c)
{
	const struct manifest *m = c->t->manifest;

	return MIN(m->bytes_from, m->seq + 1);
}

/* The journal as member i alone has it. */
static int scan_alone(struct check *c, unsigned i,
		      struct journal_scan_result *out)
{
	AUTO_FREE struct pool *alone = mem_alloc(sizeof(*alone));

	if (!alone)
		return -ENOMEM;
	*alone = *c->t->pool;
	for (unsigned j = 0; j < alone->n; j++)
		if (j != i)
			alone->member[j].backend = NULL;
	return journal_scan(alone, c->t->manifest->epoch_id, from_seq(c),
			    count_only, NULL, out);
}

/* 1: has all there is, 0: not, or an error. */
static int check_copy(struct check *c, unsigned i)
{
	struct journal_scan_result r;
	int rc = scan_alone(c, i, &r);

	if (check_own_trouble(rc))
		return rc;
	if (rc < 0) {
		check_report(c, FINDING_FOLDER_UNLISTED,
			     check_member_path(c, i), "journal: %s",
			     err_text(rc));
		return 0;
	}
	if (r.lost)
		check_report(c, FINDING_JOURNAL_COPY_DAMAGED,
			     check_member_path(c, i),
			     "it ends after record %" PRIu64
			     " and has later ones",
			     r.last_seq);
	return r.last_seq >= c->t->scan.last_seq;
}

static int check_copies(struct check *c)
{
	const struct pool *p = c->t->pool;
	unsigned want = MIN(p->geo.m + 1u, pool_up(p)), have = 0;

	for (unsigned i = 0; i < p->n; i++) {
		int rc = check_go_on(c);

		if (rc == 0 && p->member[i].backend)
			rc = check_copy(c, i);
		if (rc < 0)
			return rc;
		have += rc > 0;
	}
	if (have < want && c->t->scan.records > 0)
		check_report(c, FINDING_JOURNAL_COPIES_FEW, "journal",
			     "record %" PRIu64 " is in %u folders of %u",
			     c->t->scan.last_seq, have, want);
	return 0;
}

static void tell_scan(struct check *c)
{
	const struct journal_scan_result *r = &c->t->scan;
	int rc = c->t->scan_rc;

	c->unsure |= rc < 0 || r->lost;
	if (rc == -ERR_REPLAY || rc == -ERR_RANGE || rc == -ERR_TRUNCATED)
		check_report(c, FINDING_JOURNAL_REPLAY, "journal",
			     "after record %" PRIu64 ": %s", r->last_seq,
			     err_text(rc));
	else if (rc < 0)
		check_report(c, FINDING_JOURNAL_UNREADABLE, "journal", "%s",
			     err_text(rc));
	if (r->lost)
		check_report(c, FINDING_JOURNAL_ACKED_LOST, "journal",
			     "records %" PRIu64 " to %" PRIu64, r->last_seq + 1,
			     r->acked);
	if (r->records > 0)
		check_report(c, FINDING_JOURNAL_REPLAYED, "journal",
			     "%" PRIu64 " records", r->records);
}

/* ---- files ---- */

#define FILES_MAX 256 /* numbers told apart in one epoch */

struct file_state {
	uint64_t file;
	unsigned good, bad;
};

struct files {
	uint64_t epoch; /* the number of the manifest's */
	unsigned n;
	struct file_state at[FILES_MAX];
	uint64_t old; /* files of earlier epochs in the folder looked at */
};

static struct file_state *file_of(struct files *fs, uint64_t number)
{
	for (unsigned i = 0; i < fs->n; i++)
		if (fs->at[i].file == number)
			return &fs->at[i];
	if (fs->n == FILES_MAX)
		return NULL;
	fs->at[fs->n] = (struct file_state){.file = number};
	return &fs->at[fs->n++];
}

/* A header that was never written is none: the file was just being made. */
static bool is_zero(const struct buf *b)
{
	for (size_t i = 0; i < b->len; i++)
		if (b->data[i])
			return false;
	return true;
}

static int check_header(struct check *c, unsigned i, const char *name,
			struct file_state *f)
{
	AUTO_BIO struct bio *bio = bio_new_get(name, 0, JOURNAL_BLOCK, true);
	struct journal_head head;
	int rc = bio_run(c->t->pool->member[i].backend, bio);

	/* What cannot be read was told by check_copy. */
	if (rc < 0)
		return check_own_trouble(rc) ? rc : 0;
	if (is_zero(bio_data(bio)))
		return 0;
	rc = journal_codec_get_head(c->t->pool, bio_data(bio)->data,
				    bio_data(bio)->len, &head);
	if (check_own_trouble(rc))
		return rc;
	if (rc == 0) {
		f->good++;
		return 0;
	}
	f->bad++;
	check_report(c, FINDING_JOURNAL_COPY_DAMAGED, check_member_path(c, i),
		     "header of %s: %s", name, err_text(rc));
	return 0;
}

static int check_file(struct check *c, unsigned i, const char *name,
		      struct files *fs)
{
	struct journal_name n;
	struct file_state *f;

	if (journal_codec_parse(name, &n) < 0)
		return 0;
	fs->old += n.epoch < fs->epoch;
	/* Number 0 is a spare. */
	if (n.epoch != fs->epoch || n.file == 0)
		return 0;
	f = file_of(fs, n.file);
	return f ? check_header(c, i, name, f) : 0;
}

static int check_folder(struct check *c, unsigned i, struct files *fs)
{
	AUTO_BIO struct bio *list = bio_new_list(JOURNAL_FOLDER);
	int rc = bio_run(c->t->pool->member[i].backend, list);
	uint64_t size;

	if (rc < 0)
		return check_own_trouble(rc) ? rc : 0;
	fs->old = 0;
	for (unsigned n = 0; n < bio_list_count(list) && rc == 0; n++) {
		const char *name = bio_list_at(list, n, &size);

		if (size != UINT64_MAX && driver_name_ok(name))
			rc = check_file(c, i, name, fs);
	}
	if (rc == 0 && fs->old > 0)
		check_report(c, FINDING_JOURNAL_OLD, check_member_path(c, i),
			     "%" PRIu64 " files", fs->old);
	return rc;
}

/* The number of the manifest's epoch; 0: it has left the list. */
static uint64_t epoch_number(const struct check *c)
{
	const struct superblock *sb = &c->t->pool->sb;

	for (unsigned i = 0; i < sb->epochs; i++)
		if (memcmp(sb->epoch[i].id, c->t->manifest->epoch_id, 16) == 0)
			return sb->epoch[i].number;
	return 0;
}

static void tell_files(struct check *c, const struct files *fs)
{
	char subject[CHECK_SUBJECT];

	for (unsigned i = 0; i < fs->n; i++) {
		if (fs->at[i].good > 0 || fs->at[i].bad == 0)
			continue;
		(void)snprintf(subject, sizeof(subject),
			       "journal file %" PRIu64, fs->at[i].file);
		check_tell(c, FINDING_JOURNAL_FILE_LOST, subject);
		c->unsure = true;
	}
}

static int check_files_of_epoch(struct check *c)
{
	const struct pool *p = c->t->pool;
	AUTO_FREE struct files *fs = mem_zalloc(sizeof(*fs));
	int rc = fs ? 0 : -ENOMEM;

	if (fs)
		fs->epoch = epoch_number(c);
	for (unsigned i = 0; i < p->n && rc == 0; i++)
		if (p->member[i].backend && fs->epoch > 0)
			rc = check_folder(c, i, fs);
	if (rc == 0)
		tell_files(c, fs);
	return rc;
}

int check_journal(struct check *c)
{
	int rc = 0;

	if (!c->t->manifest)
		return 0;
	if (c->t->scanned) {
		tell_scan(c);
		rc = check_copies(c);
	}
	return rc < 0 ? rc : check_files_of_epoch(c);
}
