/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a pool, step by step. Nothing is written before step 6, and there
 * only lock files.
 *
 *  1. Attach the given folders and read their superblock slots.
 *  2. They must be distinct folders of one pool. Some may be of no use; that
 *     is judged in step 5, when it is known what they should have been.
 *  3. Unlock with the key slots of the newest superblock; where that fails,
 *     with those of older ones. An opened key counts only if it authenticates
 *     a superblock: what a folder says in the clear may be a forgery.
 *  4. Find the other members (pool_find.c).
 *  5. A given folder that is of no use is an error, unless it is where a
 *     member was last seen: then that member is missing, as it would be had
 *     it not been named.
 *  6. Lock, wait until no other host is at work (pool_watch.c), and read
 *     again: what was read before may have been overtaken by a mount that
 *     ended in between.
 *  7. Put the newest superblock in force. Two that do not descend from each
 *     other: refused, or for reading only. The key slot that opened must
 *     still be in the newest one.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "backend/pool_impl.h"

#define SETS_MAX (2 * SB_SLOTS * POOL_MEMBERS_MAX)

struct opening {
	const struct pool_open_options *o;
	struct diag *diag;
	uint64_t deadline_ms;
	struct folders fs;
	struct history history;
	struct keyring *keys;
	struct pool_id pool;
	uint8_t opened[KEY_SLOT_BYTES]; /* the key slot that did */
	bool read_only;
	struct lease_list leases;
};

static void opening_release(struct opening *op)
{
	folders_release(&op->fs);
	history_release(&op->history);
	lease_list_release(&op->leases);
	keyring_free(op->keys);
}

/* ---- 1, 2: what was given ---- */

static int fail_overlap(struct opening *op, int rc, unsigned i, unsigned j)
{
	const char *a = folder_path(&op->fs.at[i]);
	const char *b = folder_path(&op->fs.at[j]);

	if (rc == -ERR_NESTED)
		return diag_fail(op->diag, rc,
				 "%s and %s: one lies inside the other; give "
				 "separate folders",
				 a, b);
	return diag_fail(op->diag, rc,
			 "%s is the same folder as %s; give each one once", a,
			 b);
}

static int fail_copy(struct opening *op, unsigned i, unsigned j)
{
	return diag_fail(op->diag, -ERR_DUPLICATE,
			 "%s and %s hold the same member of the pool: one is a "
			 "copy of the other; leave the older one out",
			 folder_path(&op->fs.at[i]),
			 folder_path(&op->fs.at[j]));
}

/* Two folders that say they are the same member. */
static int check_copies(struct opening *op)
{
	for (unsigned i = 0; i < op->fs.n; i++)
		for (unsigned j = 0; j < i; j++) {
			const struct slot_image *a, *b;

			if (op->fs.at[i].rc || op->fs.at[j].rc)
				continue;
			a = folder_best(&op->fs.at[i]);
			b = folder_best(&op->fs.at[j]);
			if (!memcmp(&a->clear.self, &b->clear.self,
				    sizeof(a->clear.self)))
				return fail_copy(op, i, j);
		}
	return 0;
}

/* The first usable folder says which pool is meant. */
static int check_one_pool(struct opening *op)
{
	const struct folder *first = NULL;

	for (unsigned i = 0; i < op->fs.n; i++) {
		struct folder *f = &op->fs.at[i];

		if (f->rc)
			continue;
		if (!first) {
			first = f;
			op->pool = folder_best(f)->clear.pool;
		}
		if (memcmp(&folder_best(f)->clear.pool, &op->pool,
			   sizeof(op->pool)))
			return folder_fail(f, -ERR_FOREIGN, op->diag);
	}
	if (!first)
		return folder_fail(&op->fs.at[0], op->fs.at[0].rc, op->diag);
	return 0;
}

static int look_at_given(struct opening *op)
{
	const struct pool_open_options *o = op->o;
	unsigned i, j;
	int rc = folders_attach(&op->fs, o->location, o->n, true,
				op->deadline_ms);

	if (rc)
		return rc;
	rc = folders_overlap(&op->fs, 0, &i, &j);
	if (rc)
		return fail_overlap(op, rc, i, j);
	rc = folders_read(&op->fs, 0, op->deadline_ms);
	if (!rc)
		rc = check_one_pool(op);
	return rc ? rc : check_copies(op);
}

/* ---- 3: the passphrase ---- */

struct slot_set {
	const uint8_t *slots; /* in a folder's image */
	uint64_t generation;
};

static bool set_known(const struct slot_set *set, unsigned n,
		      const uint8_t *slots)
{
	for (unsigned i = 0; i < n; i++)
		if (!memcmp(set[i].slots, slots, KEY_SLOTS * KEY_SLOT_BYTES))
			return true;
	return false;
}

/* Keeps set[] sorted, highest generation first. */
static void insert_set(struct slot_set *set, unsigned n, struct slot_set s)
{
	for (; n > 0 && set[n - 1].generation < s.generation; n--)
		set[n] = set[n - 1];
	set[n] = s;
}

static unsigned collect_sets(const struct opening *op, struct slot_set *set)
{
	unsigned n = 0;

	for (unsigned i = 0; i < op->fs.n * SB_SLOTS && n < SETS_MAX; i++) {
		const struct folder *f = &op->fs.at[i / SB_SLOTS];
		const struct slot_image *im = &f->image[i % SB_SLOTS];

		if (f->rc || im->rc || set_known(set, n, im->clear.slots) ||
		    memcmp(&im->clear.pool, &op->pool, sizeof(op->pool)))
			continue;
		insert_set(set, n++,
			   (struct slot_set){im->clear.slots,
					     im->clear.generation});
	}
	return n;
}

/*
 * 0 with op->keys: the passphrase opens a slot of the set, and the key in it
 * authenticates at least one superblock.
 */
static int try_set(struct opening *op, const struct slot_set *set)
{
	unsigned slot;
	int rc = keyring_unlock(set->slots, op->pool.b, op->o->pass,
				op->o->pass_len, &op->keys, &slot);

	if (rc)
		return rc;
	memcpy(op->opened, set->slots + (size_t)slot * KEY_SLOT_BYTES,
	       KEY_SLOT_BYTES);
	for (unsigned i = 0; i < op->fs.n; i++)
		for (unsigned s = 0; s < SB_SLOTS; s++) {
			const struct folder *f = &op->fs.at[i];
			const struct slot_image *im = &f->image[s];
			AUTO_FREE struct superblock *sb = NULL;
			unsigned self;

			if (f->rc || im->rc)
				continue;
			sb = mem_alloc(sizeof(*sb));
			if (!sb)
				return -ENOMEM;
			if (!superblock_decode(im->data->data, im->data->len,
					       op->keys, sb, &self))
				return 0;
		}
	keyring_free(steal(&op->keys));
	return -ERR_AUTH;
}

static int fail_unlock(struct opening *op, int rc)
{
	const char *path = folder_path(&op->fs.at[0]);

	if (rc == -ERR_PASSPHRASE)
		return diag_fail(op->diag, rc,
				 "%s: no key slot opens with this passphrase; "
				 "try again (if it was changed while this "
				 "folder was away, name another folder of the "
				 "pool)",
				 path);
	if (rc == -ERR_KEYSLOT)
		return diag_fail(op->diag, rc,
				 "%s: a key slot is damaged and no other opens "
				 "with this passphrase; try again, name "
				 "another folder of the pool, or use another "
				 "passphrase of it",
				 path);
	return diag_fail(op->diag, rc,
			 "%s: %s; name another folder of the pool", path,
			 err_text(rc));
}

static int unlock(struct opening *op)
{
	struct slot_set set[SETS_MAX + 1];
	unsigned n = collect_sets(op, set);
	int worst = -ERR_PASSPHRASE;

	for (unsigned i = 0; i < n; i++) {
		int rc = try_set(op, &set[i]);

		if (!rc || rc == -ENOMEM)
			return rc;
		if (worst == -ERR_PASSPHRASE)
			worst = rc;
	}
	return fail_unlock(op, worst);
}

/* ---- 5: given, but of no use ---- */

/* The member that was last seen there, by the newest superblock. */
static const struct sb_member *member_seen_at(const struct opening *op,
					      const char *location)
{
	const struct superblock *sb = &op->history.at[0]->sb;

	for (unsigned i = 0; i < sb->n; i++)
		if (!strcmp(sb->member[i].path, location))
			return &sb->member[i];
	return NULL;
}

static bool is_member(const struct superblock *sb, const struct backend_id *id)
{
	for (unsigned i = 0; i < sb->n; i++)
		if (!memcmp(&sb->member[i].id, id, sizeof(*id)))
			return true;
	return false;
}

static int check_given(struct opening *op)
{
	const struct superblock *sb = &op->history.at[0]->sb;

	for (unsigned i = 0; i < op->fs.n; i++) {
		struct folder *f = &op->fs.at[i];

		if (!f->rc && !is_member(sb, &f->id)) {
			if (f->given)
				return diag_fail(op->diag, -ERR_FOREIGN,
						 "%s: was removed from this "
						 "pool; leave it out",
						 folder_path(f));
			folder_drop(f, -ERR_FOREIGN);
		}
		if (!f->rc || !f->given)
			continue;
		if (!member_seen_at(op, f->location))
			return folder_fail(f, f->rc, op->diag);
		log_event(LOG_LVL_WARN, "member_missing", "given=%u rc=%s", i,
			  err_name(f->rc));
	}
	return 0;
}

/* ---- 6: locks ---- */

/*
 * Did a mount go on from what was judged, or mkfs make something else of the
 * folder? 1: yes. Other differences are a disk's that reads the same
 * differently. 0, or -ENOMEM.
 */
static int has_changed(const struct opening *op, const struct buf *was,
		       const struct slot_image *is)
{
	AUTO_FREE struct superblock *sb = NULL;
	unsigned self;
	int rc;

	/* what cannot be read any more has not been seen to change */
	if (is->rc)
		return was && is->rc == -ENOENT;
	if (memcmp(&is->clear.pool, &op->pool, sizeof(op->pool)))
		return 1;
	sb = mem_alloc(sizeof(*sb));
	if (!sb)
		return -ENOMEM;
	rc = superblock_decode(is->data->data, is->data->len, op->keys, sb,
			       &self);
	if (rc)
		return rc == -ENOMEM ? rc : 0;
	return sb->generation > op->history.at[0]->sb.generation;
}

static int fail_changed(struct opening *op, const struct folder *f)
{
	return diag_fail(op->diag, -ERR_IN_USE,
			 "%s: another mount of the pool ended just now; try "
			 "again",
			 folder_path(f));
}

/* Keeps the images' buffers of the first reading until the second is there. */
static int confirm(struct opening *op)
{
	AUTO_FREE struct buf **old =
		mem_calloc((size_t)op->fs.n * SB_SLOTS, sizeof(struct buf *));
	int rc;

	if (!old)
		return -ENOMEM;
	for (unsigned i = 0; i < op->fs.n * SB_SLOTS; i++) {
		struct buf *b =
			op->fs.at[i / SB_SLOTS].image[i % SB_SLOTS].data;

		old[i] = b ? buf_ref(b) : NULL;
	}
	rc = folders_read(&op->fs, 0, op->deadline_ms);
	for (unsigned i = 0; i < op->fs.n * SB_SLOTS; i++) {
		const struct folder *f = &op->fs.at[i / SB_SLOTS];

		if (!rc && !f->rc)
			rc = has_changed(op, old[i], &f->image[i % SB_SLOTS]);
		if (rc > 0)
			rc = fail_changed(op, f);
		buf_unref(old[i]);
	}
	return rc;
}

static uint64_t published(const struct opening *op)
{
	const struct epoch *e = superblock_epoch(&op->history.at[0]->sb);

	return e ? e->number : 0;
}

static struct watch_options watch_options(const struct opening *op)
{
	return (struct watch_options){
		.keys = op->keys,
		.pool = &op->pool,
		.from = published(op),
		.deadline_ms = op->deadline_ms,
		.diag = op->diag,
	};
}

/* "; /a, /b: no answer", or nothing. */
static void tell_hung(const struct opening *op, char *text, size_t len)
{
	size_t at = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < op->fs.n && at < len; i++)
		if (op->fs.at[i].rc == -ETIMEDOUT)
			at += (size_t)snprintf(text + at, len - at, "%s%s",
					       at ? ", " : "; ",
					       folder_path(&op->fs.at[i]));
	if (at && at < len)
		snprintf(text + at, len - at, ": no answer");
}

static int fail_locked(struct opening *op, const struct diag *why)
{
	struct watch_options wo = watch_options(op);
	char who[160] = "", hung[512];

	folders_tell_owner(&op->fs, &wo, who, sizeof(who));
	tell_hung(op, hung, sizeof(hung));
	return diag_fail(op->diag, -ERR_IN_USE, "%s%s%s%s", why->text,
			 who[0] ? "; its lease says: " : "", who, hung);
}

static int lock(struct opening *op)
{
	struct diag why = DIAG_INIT;
	int rc = folders_lock(&op->fs, !op->read_only, op->deadline_ms, &why);

	if (rc == -ERR_IN_USE)
		return fail_locked(op, &why);
	return rc ? diag_fail(op->diag, rc, "%s", diag_text(&why, rc)) : 0;
}

static int keep_others_out(struct opening *op)
{
	struct watch_options wo = watch_options(op);
	int rc;

	op->read_only = op->o->read_only ||
			superblock_must_not_write(&op->history.at[0]->sb);
	rc = lock(op);
	if (!rc && !op->read_only)
		rc = folders_watch(&op->fs, &wo, &op->leases);
	return rc ? rc : confirm(op);
}

/* ---- 7: in force ---- */

static int check_revoked(struct opening *op)
{
	const uint8_t *slots = op->history.at[0]->sb.slots;

	for (unsigned i = 0; i < KEY_SLOTS; i++)
		if (!memcmp(slots + (size_t)i * KEY_SLOT_BYTES, op->opened,
			    KEY_SLOT_BYTES))
			return 0;
	return diag_fail(op->diag, -ERR_REVOKED,
			 "%s: this passphrase has been revoked, only an old "
			 "copy of the pool's keys still knows it; use a "
			 "current one",
			 folder_path(&op->fs.at[0]));
}

static int check_diverged(struct opening *op)
{
	if (!history_diverged(&op->history) || op->o->read_only)
		return 0;
	return history_fail_diverged(&op->history, &op->fs, op->diag);
}

/* Why a member is not there, by what its last known place said. */
static int why_missing(const struct opening *op, const struct sb_member *m)
{
	const struct folder *f = pool_find_by_location(&op->fs, m->path);

	if (!f)
		return -ENOENT;
	/* The place is fine, or was until a better one: not this member's. */
	if (!f->rc || f->rc == -ERR_DUPLICATE)
		return -ERR_OTHER_MEMBER;
	return f->rc;
}

static int bind_member(struct opening *op, struct pool_impl *p, unsigned i)
{
	struct sb_member *sm = &p->pub.sb.member[i];
	struct member *m = &p->pub.member[i];
	struct folder *f = pool_find_by_id(&op->fs, &sm->id);
	const char *path = f ? f->location : sm->path;
	const struct epoch *e;

	m->id = sm->id;
	m->path = mem_strdup(path);
	if (!m->path)
		return -ENOMEM;
	if (!f) {
		m->why = why_missing(op, sm);
		return 0;
	}
	if (strlen(path) <= SB_PATH_MAX && path != sm->path)
		strcpy(sm->path, path);
	e = superblock_epoch(&f->newest->sb);
	if (e)
		memcpy(sm->epoch_had, e->id, sizeof(sm->epoch_had));
	m->backend = steal(&f->backend);
	m->sb_gen = f->newest->sb.generation;
	m->lease_unread = f->lease_unread;
	p->turn[i].next = !f->newest_slot;
	return 0;
}

static int put_in_force(struct opening *op, struct pool **out)
{
	AUTO_FREE struct pool_impl *p = mem_zalloc(sizeof(*p));
	const struct superblock *sb = &op->history.at[0]->sb;
	int rc = 0;

	if (!p)
		return -ENOMEM;
	p->pub.id = sb->pool;
	p->pub.geo = sb->geo;
	p->pub.n = sb->n;
	p->pub.sb = *sb;
	p->pub.read_only = op->read_only;
	p->pub.diverged = history_diverged(&op->history);
	p->pub.locked = true;
	for (unsigned i = 0; i < sb->n && !rc; i++)
		rc = bind_member(op, p, i);
	p->pub.keys = steal(&op->keys);
	p->leases = op->leases;
	p->leases_from = published(op);
	op->leases = (struct lease_list){.n = 0};
	p->history = op->history;
	op->history = (struct history){0};
	*out = &steal(&p)->pub;
	if (rc) {
		pool_close(*out);
		*out = NULL;
	}
	return rc;
}

static int open_steps(struct opening *op, struct pool **out)
{
	int rc = look_at_given(op);

	if (!rc)
		rc = unlock(op);
	if (!rc)
		rc = folders_authenticate(&op->fs, 0, op->keys, &op->history);
	if (!rc)
		rc = pool_find_members(&op->fs, &op->history, op->keys,
				       op->deadline_ms);
	if (rc)
		return rc;
	history_order(&op->history);
	rc = check_revoked(op);
	if (!rc)
		rc = check_given(op);
	if (!rc)
		rc = check_diverged(op);
	if (!rc)
		rc = keep_others_out(op);
	if (!rc)
		rc = put_in_force(op, out);
	/* Shown all the same: whoever looks must know. */
	if (!rc && (*out)->diverged)
		(void)history_fail_diverged(&pool_impl_of(*out)->history,
					    &op->fs, op->diag);
	return rc;
}

int pool_open(const struct pool_open_options *o, struct diag *diag,
	      struct pool **out)
{
	struct opening op = {
		.o = o,
		.diag = diag,
		.deadline_ms =
			o->deadline_ms ? o->deadline_ms : POOL_DEADLINE_MS,
	};
	int rc = -EINVAL;

	*out = NULL;
	if (o->n)
		rc = open_steps(&op, out);
	opening_release(&op);
	return rc;
}
