/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing the superblock to the members.
 *
 * It is written under a name of its own, synced, and then renamed over the
 * older slot: at no instant is a slot half written, and the newer slot is not
 * touched. The two slots are there for rot, and for storage that tears a
 * rename apart.
 *
 * A rename that does not end in time may still happen at any later moment. As
 * long as it is under way its slot may fall back to what it carries, so
 * superblocks go to the other slot only; with both slots in that state the
 * member gets none.
 *
 * Between the two steps it is made sure that nobody has taken over: by the
 * lease, and by what lies in the slots. In this order: whoever takes over
 * later removes the new file before it writes its own superblock, and the
 * rename fails (L3 in pool_lease.c). Once more afterwards, as a writer that
 * was stopped in between must not believe that it has published.
 */
#include <string.h>

#include "backend/pool_impl.h"
#include "backend/pool_lease.h"

struct publication {
	struct pool_impl *p;
	struct buf *content[POOL_MEMBERS_MAX]; /* NULL: not for this one */
	unsigned slot[POOL_MEMBERS_MAX];
	struct fan fan[POOL_MEMBERS_MAX];
	unsigned reachable;
	char temp[SUPER_TEMP_MAX];
};

static bool is_late(struct slot_turn *turn, unsigned slot)
{
	int rc;

	if (!turn->late[slot])
		return false;
	if (!bio_done(turn->late[slot], &rc))
		return true;
	bio_unref(turn->late[slot]);
	turn->late[slot] = NULL;
	return false;
}

/* The slot to write, or -ETIMEDOUT: neither may be. */
static int pick_slot(struct slot_turn *turn)
{
	if (!is_late(turn, turn->next))
		return (int)turn->next;
	return is_late(turn, !turn->next) ? -ETIMEDOUT : (int)!turn->next;
}

static int encode(const struct superblock *sb, unsigned i,
		  const struct keyring *keys, struct buf **out)
{
	AUTO(bytes_release) struct bytes b = {0};
	int rc = superblock_encode(sb, i, keys, &b);

	if (rc)
		return rc;
	*out = buf_new(b.len);
	if (!*out)
		return -ENOMEM;
	memcpy((*out)->data, b.data, b.len);
	return 0;
}

/* What the members will be known to hold; see struct sb_member. */
static void note_sent(struct pool *p)
{
	const struct epoch *e = superblock_epoch(&p->sb);

	for (unsigned i = 0; e && i < p->n; i++)
		if (member_up(&p->member[i]))
			memcpy(p->sb.member[i].epoch_sent, e->id,
			       sizeof(e->id));
}

static int prepare(struct publication *pub)
{
	struct pool *p = &pub->p->pub;

	slot_temp_name(p->sb.generation, pub->temp);
	for (unsigned i = 0; i < p->n; i++) {
		struct fan *f = &pub->fan[i];
		int rc;

		if (!member_up(&p->member[i]))
			continue;
		pub->reachable++;
		rc = pick_slot(&pub->p->turn[i]);
		f->rc = MIN(rc, 0);
		if (rc < 0)
			continue;
		pub->slot[i] = (unsigned)rc;
		rc = encode(&p->sb, i, p->keys, &pub->content[i]);
		if (rc)
			return rc;
	}
	return 0;
}

/* Members that came this far with the result rc; are there any? */
static bool choose(const struct publication *pub, int rc, bool *on)
{
	bool any = false;

	for (unsigned i = 0; i < pub->p->pub.n; i++) {
		on[i] = pub->content[i] && pub->fan[i].rc == rc;
		any |= on[i];
	}
	return any;
}

/* One request to each chosen member; the others keep their results. */
static void step(struct publication *pub, const bool *on,
		 struct bio *(*make)(struct publication *pub, unsigned i))
{
	struct pool *p = &pub->p->pub;

	fan_release(pub->fan, p->n);
	for (unsigned i = 0; i < p->n; i++) {
		struct fan *f = &pub->fan[i];

		f->to = on[i] ? p->member[i].backend : NULL;
		f->bio = on[i] ? make(pub, i) : NULL;
	}
	fan_run(pub->fan, p->n, BACKEND_DEADLINE_MS);
}

static struct bio *make_put(struct publication *pub, unsigned i)
{
	return bio_new_put(pub->temp, pub->content[i]);
}

static struct bio *make_remove(struct publication *pub, unsigned i)
{
	(void)i;
	return bio_new_remove(pub->temp);
}

static struct bio *make_rename(struct publication *pub, unsigned i)
{
	return bio_new_rename(pub->temp, slot_name[pub->slot[i]]);
}

/* A crash may have left the same name behind: such a one is put once more. */
static void put_all(struct publication *pub)
{
	bool on[POOL_MEMBERS_MAX];

	choose(pub, 0, on);
	step(pub, on, make_put);
	if (choose(pub, -EEXIST, on)) {
		step(pub, on, make_remove);
		step(pub, on, make_put);
	}
}

static void rename_all(struct publication *pub)
{
	bool on[POOL_MEMBERS_MAX];

	choose(pub, 0, on);
	step(pub, on, make_rename);
}

/* ---- who else was here ---- */

/* Does the slot hold something that ours is to replace? */
static int judge_slot(struct pool *p, const struct buf *slot)
{
	AUTO_FREE struct superblock *sb = mem_alloc(sizeof(*sb));
	unsigned self;
	int rc;

	if (!sb)
		return -ENOMEM;
	rc = superblock_decode(slot->data, slot->len, p->keys, sb, &self);
	if (rc == -ENOMEM || rc == -EIO)
		return rc;
	if (rc || superblock_descends(&p->sb, sb))
		return 0;
	pool_lease_fence(p, "a superblock of another epoch");
	return -ERR_FENCED;
}

static int judge_slots(struct publication *pub, struct fan *fan, unsigned n)
{
	struct pool *p = &pub->p->pub;
	int rc = 0;

	for (unsigned i = 0; i < n && !rc; i++) {
		if (fan[i].to && fan_own_trouble(fan[i].rc))
			rc = fan[i].rc;
		else if (fan[i].to && !fan[i].rc)
			rc = judge_slot(p, bio_data(fan[i].bio));
	}
	return rc;
}

static int look_into_slots(struct publication *pub)
{
	struct pool *p = &pub->p->pub;
	unsigned n = p->n * SB_SLOTS;
	AUTO_FREE struct fan *fan = mem_calloc(n, sizeof(*fan));
	bool on[POOL_MEMBERS_MAX];
	int rc;

	if (!fan)
		return -ENOMEM;
	choose(pub, 0, on);
	for (unsigned i = 0; i < n; i++)
		if (on[i / SB_SLOTS]) {
			fan[i].to = p->member[i / SB_SLOTS].backend;
			fan[i].bio = bio_new_get(slot_name[i % SB_SLOTS], 0,
						 SB_MAX_BYTES, false);
		}
	fan_run(fan, n, BACKEND_DEADLINE_MS);
	rc = judge_slots(pub, fan, n);
	fan_release(fan, n);
	return rc;
}

static void take_back(struct publication *pub)
{
	bool on[POOL_MEMBERS_MAX];

	choose(pub, 0, on);
	step(pub, on, make_remove);
}

static int write_all(struct publication *pub)
{
	struct pool *p = &pub->p->pub;
	int rc;

	put_all(pub);
	rc = look_into_slots(pub);
	if (!rc)
		rc = pool_lease_check(p);
	if (rc)
		take_back(pub);
	else
		rename_all(pub);
	return rc;
}

/* Books what came of it; the number of members that have it. */
static unsigned settle(struct publication *pub, int *first_error)
{
	struct pool *p = &pub->p->pub;
	const struct epoch *e = superblock_epoch(&p->sb);
	unsigned done = 0;

	for (unsigned i = 0; i < p->n; i++) {
		struct slot_turn *turn = &pub->p->turn[i];
		struct fan *f = &pub->fan[i];

		if (f->rc < 0 && !*first_error)
			*first_error = f->rc;
		if (pub->content[i] && f->rc == -ETIMEDOUT && f->bio)
			turn->late[pub->slot[i]] = bio_ref(f->bio);
		if (!pub->content[i] || f->rc)
			continue;
		done++;
		turn->next = !pub->slot[i];
		p->member[i].sb_gen = p->sb.generation;
		if (e)
			memcpy(p->sb.member[i].epoch_had, e->id, sizeof(e->id));
	}
	return done;
}

static void publication_release(struct publication *pub)
{
	fan_release(pub->fan, POOL_MEMBERS_MAX);
	for (unsigned i = 0; i < POOL_MEMBERS_MAX; i++)
		buf_unref(pub->content[i]);
}

int pool_publish(struct pool *p, bool *reached_all)
{
	AUTO(publication_release)
	struct publication pub = {.p = pool_impl_of(p)};
	unsigned done, need;
	int rc;

	*reached_all = false;
	if (p->read_only)
		return -EROFS;
	/* Also when nothing comes of it: a number never means two things. */
	p->sb.generation++;
	note_sent(p);
	rc = prepare(&pub);
	if (!rc)
		rc = write_all(&pub);
	if (rc)
		return rc;
	done = settle(&pub, &rc);
	need = MIN((unsigned)p->geo.m + 1, pub.reachable);
	if (!done || done < need)
		return rc ? rc : -ERR_UNAVAILABLE;
	rc = pool_lease_check(p);
	if (rc)
		return rc;
	*reached_all = done == pub.reachable;
	return (int)done;
}
