/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/pool.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "backend/pool_impl.h"

#define CLOSE_MS 2000 /* for all members together */

bool member_up(const struct member *m)
{
	return m->backend && backend_get_state(m->backend) != BACKEND_DOWN;
}

unsigned pool_up(const struct pool *p)
{
	unsigned up = 0;

	for (unsigned i = 0; i < p->n; i++)
		up += member_up(&p->member[i]);
	return up;
}

void pool_seg_context(const struct pool *p, struct seg_context *out)
{
	*out = (struct seg_context){
		.pool = p->id,
		.keys = p->keys,
		.cipher = p->geo.cipher,
		.key_epoch = 0,
		.verify = p->verify,
	};
}

int pool_candidate(const struct pool *p, unsigned i, struct superblock *out)
{
	const struct history *h = &pool_impl_of_const(p)->history;

	if (i >= h->n)
		return -ENOENT;
	*out = h->at[i]->sb;
	return 0;
}

static int index_of(const struct pool *p, const struct backend_id *id)
{
	for (unsigned i = 0; i < p->n; i++)
		if (!memcmp(&p->member[i].id, id, sizeof(*id)))
			return (int)i;
	return -1;
}

static void close_member(struct member *m, struct slot_turn *turn,
			 uint64_t wait_ms)
{
	for (unsigned s = 0; s < SB_SLOTS; s++)
		bio_unref(turn->late[s]);
	backend_close(m->backend, wait_ms);
	mem_free(m->path);
	*m = (struct member){0};
	*turn = (struct slot_turn){0};
}

static void close_members(struct pool_impl *impl)
{
	uint64_t until = clock_mono_ms() + CLOSE_MS;

	for (unsigned i = 0; i < POOL_MEMBERS_MAX; i++) {
		uint64_t now = clock_mono_ms();

		close_member(&impl->pub.member[i], &impl->turn[i],
			     now < until ? until - now : 0);
	}
}

void pool_close(struct pool *p)
{
	if (!p)
		return;
	pool_lease_drop(p->lease);
	lease_list_release(&pool_impl_of(p)->leases);
	close_members(pool_impl_of(p));
	seg_keys_forget(p->keys);
	keyring_free(p->keys);
	history_release(&pool_impl_of(p)->history);
	mem_free(pool_impl_of(p));
}

bool pool_cut(struct pool *p, uint64_t deadline_ms)
{
	uint64_t until = clock_mono_ms() + deadline_ms;
	bool still = true;

	/* All at once first, so that no member is seen to be without others. */
	for (unsigned i = 0; i < p->n; i++)
		if (p->member[i].backend)
			backend_cut(p->member[i].backend);
	for (unsigned i = 0; i < p->n; i++) {
		uint64_t now = clock_mono_ms();

		if (p->member[i].backend)
			still &= backend_still(p->member[i].backend,
					       now < until ? until - now : 0);
	}
	return still;
}

/* ---- another superblock in force ---- */

static int prepare_strangers(const struct pool *p, const struct superblock *sb,
			     struct pool_impl *next)
{
	for (unsigned i = 0; i < sb->n; i++) {
		struct member *m = &next->pub.member[i];

		if (index_of(p, &sb->member[i].id) >= 0)
			continue;
		m->id = sb->member[i].id;
		m->why = -ERR_BACKEND_DOWN;
		m->path = mem_strdup(sb->member[i].path);
		if (!m->path)
			return -ENOMEM;
	}
	return 0;
}

/* What must not go back with the rest: see pool_adopt in pool.h. */
static void merge(const struct pool *p, const struct superblock *sb,
		  struct superblock *out)
{
	*out = *sb;
	memcpy(out->slots, p->sb.slots, sizeof(out->slots));
	memcpy(out->epoch, p->sb.epoch, sizeof(out->epoch));
	out->epochs = p->sb.epochs;
	out->generation = MAX(sb->generation, p->sb.generation);
	for (unsigned i = 0; i < out->n; i++) {
		int was = index_of(p, &out->member[i].id);

		if (was >= 0)
			out->member[i] = p->sb.member[was];
	}
}

static void move_members(struct pool_impl *from, struct pool_impl *to)
{
	for (unsigned i = 0; i < to->pub.sb.n; i++) {
		int was = index_of(&from->pub, &to->pub.sb.member[i].id);

		if (was < 0)
			continue;
		to->pub.member[i] = from->pub.member[was];
		to->turn[i] = from->turn[was];
		from->pub.member[was] = (struct member){0};
		from->turn[was] = (struct slot_turn){0};
	}
}

int pool_adopt(struct pool *p, const struct superblock *sb)
{
	struct pool_impl *impl = pool_impl_of(p);
	struct pool_impl *next = mem_zalloc(sizeof(*next));
	int rc = next ? prepare_strangers(p, sb, next) : -ENOMEM;

	if (!rc) {
		merge(p, sb, &next->pub.sb);
		move_members(impl, next);
		close_members(impl);
		memcpy(p->member, next->pub.member, sizeof(p->member));
		memcpy(impl->turn, next->turn, sizeof(impl->turn));
		memset(next->pub.member, 0, sizeof(next->pub.member));
		p->sb = next->pub.sb;
		p->n = p->sb.n;
		p->geo = p->sb.geo;
	}
	for (unsigned i = 0; next && i < POOL_MEMBERS_MAX; i++)
		mem_free(next->pub.member[i].path);
	mem_free(next);
	return rc;
}
