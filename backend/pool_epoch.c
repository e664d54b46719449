/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Beginning an epoch.
 *
 * E1  The number is above every number seen: in superblocks, leases, and the
 *     names of claims, whole or torn. So a claim file of that name on a member
 *     that was listed means that somebody else is beginning an epoch right now.
 * E2  It counts with a majority of all members, or, where no majority is
 *     there, of those that are; two cannot both have that. The first member
 *     that answers is asked first, so that of two the one wins all and the
 *     other none, and gives way. A number that only members had which could
 *     not be listed is an old one: the next is tried.
 * E3  A mount that died between claiming and publishing leaves a claim whose
 *     parent is our newest epoch, and perhaps its superblock on a member that
 *     is away now. With n-m members here it cannot have published on m+1, so
 *     it has acknowledged nothing: its epoch becomes an ancestor of ours, and
 *     that superblock, when it comes back, is old and not a divergence.
 * E4  Claims are authentic or ignored, but for their names (E1). A number too
 *     far ahead to be true is not believed either, or one forged name would
 *     use up all numbers.
 * E5  Removed are claims older than the last three, and never one that no
 *     superblock has covered yet (E3).
 */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/rnd.h"
#include "backend/driver.h"
#include "backend/pool_impl.h"
#include "backend/super_format.h"

#define CLAIM_PREFIX "epoch."
#define TRIES	     16
#define AHEAD_MAX    (1ULL << 32) /* E4 */
#define FILES_MAX    1024 /* of one member; more are for the next time */
#define ADOPTED_MAX  (SB_EPOCHS / 4)
#define CLAIMS_KEPT  3

/* A file of the top folder of a member that is ours to look at. */
struct top_file {
	unsigned member;
	uint64_t number; /* of a claim; 0: a superblock never renamed */
	char name[SUPER_TEMP_MAX];
};

struct top_files {
	struct top_file *at;
	unsigned n;
	unsigned cap;
	bool listed[POOL_MEMBERS_MAX];
};

static void top_files_release(struct top_files *t)
{
	mem_free(t->at);
}

static void claim_name(uint64_t number, char out[SUPER_TEMP_MAX])
{
	snprintf(out, SUPER_TEMP_MAX, CLAIM_PREFIX "%llu",
		 (unsigned long long)number);
}

/* The number of a claim's name, or 0. Only the spelling of claim_name. */
static uint64_t claim_number(const char *name)
{
	const size_t skip = strlen(CLAIM_PREFIX);
	char again[SUPER_TEMP_MAX];
	uint64_t number;

	if (strncmp(name, CLAIM_PREFIX, skip) != 0)
		return 0;
	number = strtoull(name + skip, NULL, 10);
	claim_name(number, again);
	return strcmp(name, again) ? 0 : number;
}

static bool is_temp(const char *name)
{
	return !strncmp(name, SUPER_TEMP, strlen(SUPER_TEMP)) &&
	       strlen(name) < SUPER_TEMP_MAX && driver_name_ok(name);
}

static int keep_file(struct top_files *t, const struct top_file *f)
{
	if (t->n == t->cap) {
		unsigned cap = t->cap ? t->cap * 2 : 32;
		struct top_file *at = mem_realloc(t->at, cap * sizeof(*at));

		if (!at)
			return -ENOMEM;
		t->at = at;
		t->cap = cap;
	}
	t->at[t->n++] = *f;
	return 0;
}

static int take_listing(struct top_files *t, unsigned member, struct bio *r)
{
	unsigned taken = 0;
	int rc = 0;

	for (unsigned i = 0; i < bio_list_count(r) && !rc; i++) {
		uint64_t size;
		const char *name = bio_list_at(r, i, &size);
		struct top_file f = {.member = member,
				     .number = claim_number(name)};

		if ((!f.number && !is_temp(name)) || taken == FILES_MAX)
			continue;
		taken++;
		strcpy(f.name, name);
		rc = keep_file(t, &f);
	}
	return rc;
}

/* Claims and unfinished superblocks on all members that answer. */
static int list_files(struct pool *p, struct top_files *t)
{
	struct fan fan[POOL_MEMBERS_MAX] = {{0}};
	int rc = 0;

	for (unsigned i = 0; i < p->n; i++)
		if (member_up(&p->member[i])) {
			fan[i].to = p->member[i].backend;
			fan[i].bio = bio_new_list("");
		}
	fan_run(fan, p->n, BACKEND_DEADLINE_MS);
	for (unsigned i = 0; i < p->n && !rc; i++) {
		if (fan[i].rc == -ENOMEM)
			rc = -ENOMEM;
		else if (fan[i].to && !fan[i].rc)
			rc = take_listing(t, i, fan[i].bio);
		t->listed[i] = fan[i].to && !fan[i].rc;
	}
	fan_release(fan, p->n);
	return rc;
}

static uint64_t newest_number(const struct superblock *sb)
{
	const struct epoch *e = superblock_epoch(sb);

	return e ? e->number : 0;
}

/* E1 */
static uint64_t next_number(const struct pool *p, const struct top_files *t)
{
	const struct pool_impl *impl = pool_impl_of_const(p);
	uint64_t base = newest_number(&p->sb), max;

	for (unsigned i = 0; i < impl->history.n; i++)
		base = MAX(base, newest_number(&impl->history.at[i]->sb));
	for (unsigned i = 0; i < impl->leases.n; i++)
		base = MAX(base, impl->leases.at[i].epoch);
	max = base;
	for (unsigned i = 0; i < t->n; i++)
		if (t->at[i].number > max && t->at[i].number - base < AHEAD_MAX)
			max = t->at[i].number;
	return max + 1;
}

/* ---- claims ---- */

#define CLAIM_MACED offsetof(struct super_claim, mac)

static int claim_encode(const struct pool *p, const struct epoch *e,
			struct buf **out)
{
	struct super_claim c = {
		.magic = htole64(CLAIM_MAGIC),
		.version = htole32(CLAIM_VERSION),
		.number = htole64(e->number),
	};
	int rc;

	memcpy(c.pool, p->id.b, sizeof(c.pool));
	memcpy(c.id, e->id, sizeof(c.id));
	memcpy(c.parent, e->parent, sizeof(c.parent));
	rc = keyring_mac(p->keys, "epoch claim", &c, CLAIM_MACED, c.mac);
	if (rc)
		return rc;
	*out = buf_new(sizeof(c));
	if (!*out)
		return -ENOMEM;
	memcpy((*out)->data, &c, sizeof(c));
	return 0;
}

static int claim_decode(const struct pool *p, const struct buf *b,
			uint64_t number, struct epoch *out)
{
	struct super_claim c;
	uint8_t mac[KEY_MAC];
	int rc;

	if (b->len != sizeof(c))
		return -ERR_TRUNCATED;
	memcpy(&c, b->data, sizeof(c));
	if (le64toh(c.magic) != CLAIM_MAGIC ||
	    le32toh(c.version) != CLAIM_VERSION)
		return -ERR_FORMAT;
	rc = keyring_mac(p->keys, "epoch claim", &c, CLAIM_MACED, mac);
	if (rc)
		return rc;
	if (!mac_equal(mac, c.mac, sizeof(mac)) ||
	    memcmp(c.pool, p->id.b, sizeof(c.pool)) != 0 ||
	    le64toh(c.number) != number)
		return -ERR_AUTH;
	out->number = number;
	memcpy(out->id, c.id, sizeof(out->id));
	memcpy(out->parent, c.parent, sizeof(out->parent));
	return 0;
}

/* ---- E3 ---- */

static bool is_ours(const struct superblock *sb, const uint8_t id[16])
{
	static const uint8_t none[16];

	if (!memcmp(id, none, 16))
		return true; /* parent of the first epoch */
	for (unsigned i = 0; i < sb->epochs; i++)
		if (!memcmp(sb->epoch[i].id, id, 16))
			return true;
	return false;
}

static void adopt(struct pool *p, const struct epoch *e)
{
	static const uint8_t none[16];

	if (!memcmp(e->id, none, 16) || is_ours(&p->sb, e->id) ||
	    !is_ours(&p->sb, e->parent))
		return;
	log_event(LOG_LVL_INFO, "epoch_unfinished", "number=%llu",
		  (unsigned long long)e->number);
	superblock_add_epoch(&p->sb, e);
}

static int by_number(const void *a, const void *b)
{
	const struct top_file *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

static int adopt_file(struct pool *p, const struct top_file *f)
{
	struct fan fan = {.to = p->member[f->member].backend,
			  .bio = bio_new_get(f->name, 0,
					     sizeof(struct super_claim) + 1,
					     false)};
	struct epoch e;

	fan_run(&fan, 1, BACKEND_DEADLINE_MS);
	if (!fan.rc && !claim_decode(p, bio_data(fan.bio), f->number, &e))
		adopt(p, &e);
	fan_release(&fan, 1);
	return fan.rc == -ENOMEM ? -ENOMEM : 0;
}

static int adopt_unfinished(struct pool *p, struct top_files *t)
{
	uint64_t covered = newest_number(&p->sb);
	uint64_t end = next_number(p, t);
	unsigned before = p->sb.epochs;
	int rc = 0;

	if (pool_up(p) + p->geo.m < p->n)
		return 0;
	for (unsigned i = 0, looked = 0; i < t->n && !rc; i++) {
		const struct top_file *f = &t->at[i];

		if (f->number <= covered || f->number >= end ||
		    looked == ADOPTED_MAX * POOL_MEMBERS_MAX ||
		    p->sb.epochs >= before + ADOPTED_MAX)
			continue;
		looked++;
		rc = adopt_file(p, f);
	}
	return rc;
}

/* ---- E2 ---- */

struct claiming {
	struct pool *p;
	const bool *listed;
	struct buf *content;
	char name[SUPER_TEMP_MAX];
	unsigned won;
	bool taken; /* the number, long ago */
	bool beaten;
	int rc; /* the first failure that is neither */
};

static void count(struct claiming *c, unsigned member, int rc)
{
	if (!rc)
		c->won++;
	else if (rc == -EEXIST)
		*(c->listed[member] ? &c->beaten : &c->taken) = true;
	else if (!c->rc)
		c->rc = rc;
}

/* Puts the claim on the members from first up to end, at the same time. */
static void put_claims(struct claiming *c, unsigned first, unsigned end)
{
	struct fan fan[POOL_MEMBERS_MAX] = {{0}};

	for (unsigned i = first; i < end; i++)
		if (member_up(&c->p->member[i])) {
			fan[i].to = c->p->member[i].backend;
			fan[i].bio = bio_new_put(c->name, c->content);
		}
	fan_run(fan, c->p->n, BACKEND_DEADLINE_MS);
	for (unsigned i = first; i < end; i++)
		if (fan[i].to)
			count(c, i, fan[i].rc);
	fan_release(fan, c->p->n);
}

static void put_all_claims(struct claiming *c)
{
	unsigned i = 0;

	while (i < c->p->n && !c->won && !c->beaten) {
		put_claims(c, i, i + 1);
		i++;
	}
	if (!c->beaten && i < c->p->n)
		put_claims(c, i, c->p->n);
}

/* 1: won, 0: the number is used up, or an error. */
static int try_claim(struct pool *p, const struct top_files *t,
		     const struct epoch *e)
{
	struct claiming c = {.p = p, .listed = t->listed};
	unsigned up = pool_up(p);
	int rc = claim_encode(p, e, &c.content);

	if (rc)
		return rc;
	claim_name(e->number, c.name);
	put_all_claims(&c);
	buf_unref(c.content);
	if (c.won >= (2 * up > p->n ? p->n : up) / 2 + 1)
		return 1;
	if (c.beaten)
		return -ERR_IN_USE;
	if (c.taken)
		return 0;
	return c.rc ? c.rc : -ERR_UNAVAILABLE;
}

static int claim(struct pool *p, const struct top_files *t)
{
	const struct epoch *newest = superblock_epoch(&p->sb);
	struct epoch e = {.number = next_number(p, t)};
	int rc = 0;

	if (newest)
		memcpy(e.parent, newest->id, sizeof(e.parent));
	for (unsigned i = 0; i < TRIES && !rc; i++, e.number++) {
		rnd_bytes(e.id, sizeof(e.id));
		rc = try_claim(p, t, &e);
		if (rc == 1)
			superblock_add_epoch(&p->sb, &e);
	}
	if (!rc)
		return -ERR_IN_USE;
	return MIN(rc, 0);
}

/* ---- E5 ---- */

/* Claims below this number go; t is sorted. */
static uint64_t keep_from(const struct top_files *t, uint64_t covered)
{
	uint64_t last = UINT64_MAX;
	unsigned kept = 1; /* the new one, which is not in t */

	for (unsigned i = t->n; i > 0 && kept < CLAIMS_KEPT; i--) {
		uint64_t number = t->at[i - 1].number;

		if (!number || number == last)
			continue;
		last = number;
		kept++;
	}
	return MIN(last, covered + 1);
}

/* Whether it works does not matter: what stays is removed the next time. */
static int remove_old(struct pool *p, const struct top_files *t,
		      uint64_t covered)
{
	AUTO_FREE struct fan *fan = mem_calloc(t->n, sizeof(*fan));
	uint64_t from = keep_from(t, covered);

	if (!fan)
		return -ENOMEM;
	for (unsigned i = 0; i < t->n; i++)
		if (t->at[i].number < from) {
			fan[i].to = p->member[t->at[i].member].backend;
			fan[i].bio = bio_new_remove(t->at[i].name);
		}
	fan_run(fan, t->n, BACKEND_DEADLINE_MS);
	fan_release(fan, t->n);
	return 0;
}

int pool_begin_epoch(struct pool *p)
{
	AUTO(top_files_release) struct top_files t = {0};
	uint64_t covered = newest_number(&p->sb);
	int rc;

	if (p->read_only)
		return -EROFS;
	rc = list_files(p, &t);
	if (rc)
		return rc;
	if (t.n)
		qsort(t.at, t.n, sizeof(t.at[0]), by_number);
	rc = adopt_unfinished(p, &t);
	if (!rc)
		rc = claim(p, &t);
	return rc ? rc : remove_old(p, &t, covered);
}
