/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The members: who is there, and what their superblock slots say. Both slots
 * are written alternately, so the older one tells nothing but must still be
 * whole: it is what remains when writing the other is cut off.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "backend/backend.h"
#include "repair/check_impl.h"

#define SLOTS 2

/* Written whole under another name and renamed, so bad ones are damage. */
static bool proves_slot_damage(int rc)
{
	return rc == -ERR_CORRUPT || rc == -ERR_AUTH || rc == -ERR_TRUNCATED ||
	       rc == -ERR_FORMAT || rc == -ERR_RANGE;
}

static bool proves_member_damage(int rc)
{
	return proves_slot_damage(rc) || rc == -ERR_NO_SUPERBLOCK ||
	       rc == -ERR_FEATURE;
}

struct slot {
	unsigned member;
	unsigned n;
	const char *subject;
	int rc; /* of reading and judging it */
	uint64_t generation;
};

/* Does it authenticate, and is it of this very member? */
static int judge(struct check *c, struct slot *s, const struct buf *data)
{
	const struct pool *p = c->t->pool;
	AUTO_FREE struct superblock *sb = mem_alloc(sizeof(*sb));
	unsigned self;
	int rc = sb ? superblock_decode(data->data, data->len, p->keys, sb,
					&self)
		    : -ENOMEM;

	if (rc)
		return rc;
	s->generation = sb->generation;
	if (memcmp(&sb->member[self].id, &p->member[s->member].id,
		   sizeof(sb->member[self].id)) != 0)
		return -ERR_OTHER_MEMBER;
	return 0;
}

/* 0, or an error that ends the check. */
static int read_slot(struct check *c, struct slot *s)
{
	struct backend *b = c->t->pool->member[s->member].backend;
	AUTO_BIO struct bio *bio = NULL;
	char name[32];

	(void)snprintf(name, sizeof(name), "mendfs.super.%u", s->n);
	bio = bio_new_get(name, 0, SB_MAX_BYTES, true);
	s->rc = bio_run(b, bio);
	if (s->rc == 0)
		s->rc = judge(c, s, bio_data(bio));
	return check_own_trouble(s->rc) ? s->rc : 0;
}

static void tell_slot(struct check *c, const struct slot *s, bool due)
{
	if (s->rc == 0 || (s->rc == -ENOENT && !due))
		return;
	if (s->rc == -ENOENT)
		check_tell(c, FINDING_SUPER_SLOT_MISSING, s->subject);
	else if (s->rc == -ERR_OTHER_MEMBER || proves_slot_damage(s->rc))
		check_report(c, FINDING_SUPER_SLOT_DAMAGED, s->subject, "%s",
			     err_text(s->rc));
	else
		check_report(c, FINDING_SUPER_SLOT_UNREAD, s->subject, "%s",
			     err_text(s->rc));
}

static void tell_stale(struct check *c, unsigned i)
{
	const struct pool *p = c->t->pool;
	const struct member *m = &p->member[i];

	if (m->sb_gen >= p->sb.generation)
		return;
	check_report(c, FINDING_SUPER_STALE, check_member_path(c, i),
		     "generation %" PRIu64 ", the newest is %" PRIu64,
		     m->sb_gen, p->sb.generation);
}

static int check_slots(struct check *c, unsigned i)
{
	struct slot s[SLOTS];
	uint64_t newest = 0;

	for (unsigned n = 0; n < SLOTS; n++) {
		int rc;

		s[n] = (struct slot){.member = i, .n = n};
		rc = read_slot(c, &s[n]);
		if (rc < 0)
			return rc;
		newest = MAX(newest, s[n].generation);
	}
	for (unsigned n = 0; n < SLOTS; n++) {
		AUTO_FREE char *subject =
			mem_printf("%s/mendfs.super.%u",
				   check_member_path(c, i), n);

		if (!subject)
			return -ENOMEM;
		s[n].subject = subject;
		/* mkfs writes the first slot only. */
		tell_slot(c, &s[n], newest > 1);
	}
	/* With a bad slot that is no wonder. */
	if (s[0].rc == 0 && s[1].rc == 0)
		tell_stale(c, i);
	return 0;
}

static void tell_absent(struct check *c, unsigned i)
{
	int why = c->t->pool->member[i].why;

	check_report(c,
		     proves_member_damage(why) ? FINDING_MEMBER_DAMAGED
					       : FINDING_MEMBER_MISSING,
		     check_member_path(c, i), "%s", err_text(why));
}

static void check_pool_wide(struct check *c)
{
	const struct pool *p = c->t->pool;
	const struct epoch *e = superblock_epoch(&p->sb);
	unsigned up = pool_up(p);

	if (p->diverged)
		check_report(c, FINDING_POOL_DIVERGED, "pool",
			     "looking at the side of epoch %" PRIu64,
			     e ? e->number : 0);
	c->unsure |= p->diverged || up + p->geo.m < p->n;
	if (up + p->geo.m < p->n)
		check_report(c, FINDING_POOL_TOO_FEW, "pool",
			     "%u of %u folders, %u are needed", up, p->n,
			     p->n - p->geo.m);
}

/* Has this machine seen an epoch that the pool does not know? */
static void check_local(struct check *c)
{
	const struct superblock *sb = &c->t->pool->sb;
	const struct local_state *s = c->t->local;
	const struct epoch *newest = superblock_epoch(sb);

	if (c->t->local_unreadable)
		check_tell(c, FINDING_LOCAL_UNREADABLE, "cache folder");
	if (!s || s->mark_epoch == 0)
		return;
	for (unsigned i = 0; i < sb->epochs; i++)
		if (memcmp(sb->epoch[i].id, s->mark_epoch_id, 16) == 0)
			return;
	/* So long ago that the list of epochs has moved on. */
	if (newest && newest->number > s->mark_epoch + SB_EPOCHS)
		return;
	c->unsure = true;
	check_report(c, FINDING_LOCAL_NEWER, "pool",
		     "epoch %" PRIu64 " was seen here, the pool is at %" PRIu64,
		     s->mark_epoch, newest ? newest->number : 0);
}

int check_super(struct check *c)
{
	const struct pool *p = c->t->pool;
	int rc = 0;

	check_pool_wide(c);
	for (unsigned i = 0; i < p->n && rc == 0; i++) {
		if (p->member[i].backend)
			rc = check_slots(c, i);
		else
			tell_absent(c, i);
	}
	check_local(c);
	return rc;
}
