/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Journal files of other epochs. A file goes only when it is known whose it
 * is (C6): by its header where that is good, else by its name.
 */
#include <string.h>

#include "base/log.h"
#include "meta/journal.h"
#include "meta/journal_view.h"

struct old {
	struct pool *pool;
	const struct epoch *newest;
	struct backend *backend;
};

static bool is_newest(const struct old *o, const struct journal_head *h)
{
	return memcmp(h->epoch_id, o->newest->id, sizeof(h->epoch_id)) == 0;
}

/*
 * May it go? 0: yes; -EEXIST: no; else its header could not be read. Files of
 * an epoch that begins later are not ours to judge. One with the newest's
 * number and no good header is a file made ahead.
 */
static int judge(const struct old *o, const char *name)
{
	struct journal_name n;
	struct journal_head h;
	AUTO_BIO struct bio *r = NULL;
	int rc;

	if (journal_codec_parse(name, &n) || n.epoch > o->newest->number)
		return -EEXIST;
	r = bio_new_get(name, 0, JOURNAL_BLOCK, true);
	rc = bio_run(o->backend, r);
	if (rc)
		return rc;
	rc = journal_codec_get_head(o->pool, bio_data(r)->data,
				    bio_data(r)->len, &h);
	if (!rc && (is_newest(o, &h) || h.epoch > o->newest->number))
		return -EEXIST;
	if (rc == -ERR_FOREIGN || rc == -ERR_FEATURE)
		return -EEXIST;
	if (rc && n.epoch == o->newest->number)
		return -EEXIST;
	return rc == -ENOMEM ? rc : 0;
}

static int remove_one(const struct old *o, const char *name)
{
	AUTO_BIO struct bio *r = NULL;
	int rc = driver_name_ok(name) ? judge(o, name) : -EEXIST;

	if (!rc) {
		r = bio_new_remove(name);
		rc = bio_run(o->backend, r);
	}
	return rc == -EEXIST || rc == -ENOENT ? 0 : rc;
}

static int remove_from(const struct old *o)
{
	AUTO_BIO struct bio *list = bio_new_list(JOURNAL_FOLDER);
	int rc = bio_run(o->backend, list), first = rc;

	for (unsigned i = 0; !rc && i < bio_list_count(list); i++) {
		uint64_t size;
		int one = remove_one(o, bio_list_at(list, i, &size));

		if (one && !first)
			first = one;
		/* A member that hangs is not asked for each of its files. */
		if (one == -ETIMEDOUT || one == -ERR_BACKEND_DOWN)
			break;
	}
	return first;
}

int journal_remove_old(struct pool *p)
{
	struct old o = {.pool = p, .newest = &p->sb.epoch[p->sb.epochs - 1]};
	int first = 0;

	for (unsigned i = 0; i < p->n; i++) {
		int rc;

		if (!journal_up(p, i))
			continue;
		o.backend = p->member[i].backend;
		rc = remove_from(&o);
		if (rc)
			log_event(LOG_LVL_WARN, "journal_old_kept",
				  "member=%u rc=%s", i, err_name(rc));
		if (rc && !first)
			first = rc;
	}
	return first;
}
