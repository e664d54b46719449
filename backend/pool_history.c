/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of several superblocks is the newest.
 *
 * 1. One whose newest epoch another one knows is that one's ancestor
 *    (superblock_descends). Neither numbers nor times decide that: two halves
 *    of a pool that were mounted apart have both counted on.
 * 2. Within one epoch there was one writer, so the generation decides.
 * 3. Two of the same epoch and generation that say different things were
 *    written by two: as diverged as two epochs.
 */
#include <stdio.h>
#include <string.h>

#include "backend/pool_impl.h"

#define SHORT_ID    4 /* bytes of an id that people are shown */
#define SIDES_SHOWN 4

static int reserve(struct history *h)
{
	unsigned cap = h->cap ? h->cap * 2 : 8;
	struct body **at;

	if (h->n < h->cap)
		return 0;
	at = mem_realloc(h->at, cap * sizeof(*at));
	if (!at)
		return -ENOMEM;
	h->at = at;
	h->cap = cap;
	return 0;
}

int history_add(struct history *h, const struct superblock *sb,
		struct body **out)
{
	AUTO_FREE struct body *b = mem_alloc(sizeof(*b));
	int rc = b ? superblock_digest(sb, b->digest) : -ENOMEM;

	if (rc)
		return rc;
	for (unsigned i = 0; i < h->n; i++)
		if (!memcmp(h->at[i]->digest, b->digest, sizeof(b->digest))) {
			*out = h->at[i];
			return 0;
		}
	rc = reserve(h);
	if (rc)
		return rc;
	b->sb = *sb;
	*out = h->at[h->n++] = steal(&b);
	return 0;
}

void history_release(struct history *h)
{
	for (unsigned i = 0; i < h->n; i++)
		mem_free(h->at[i]);
	mem_free(h->at);
	*h = (struct history){0};
}

bool history_newer(const struct body *a, const struct body *b)
{
	if (!superblock_descends(&a->sb, &b->sb))
		return false;
	return !superblock_descends(&b->sb, &a->sb) ||
	       a->sb.generation > b->sb.generation;
}

/* Has it no descendant among at[from..]? */
static bool is_tip(const struct history *h, unsigned from, unsigned i)
{
	for (unsigned j = from; j < h->n; j++)
		if (j != i && history_newer(h->at[j], h->at[i]))
			return false;
	return true;
}

/* The tip of at[from..] with the highest generation. */
static unsigned best_tip(const struct history *h, unsigned from)
{
	unsigned best = from;
	bool found = false;

	for (unsigned i = from; i < h->n; i++) {
		if (!is_tip(h, from, i))
			continue;
		if (!found ||
		    h->at[i]->sb.generation > h->at[best]->sb.generation)
			best = i;
		found = true;
	}
	return best;
}

void history_order(struct history *h)
{
	for (unsigned i = 0; i < h->n; i++) {
		unsigned tip = best_tip(h, i);
		struct body *b = h->at[tip];

		h->at[tip] = h->at[i];
		h->at[i] = b;
	}
}

bool history_diverged(const struct history *h)
{
	for (unsigned i = 1; i < h->n; i++)
		if (!history_newer(h->at[0], h->at[i]))
			return true;
	return false;
}

static size_t add_text(char *text, size_t len, size_t at, const char *add)
{
	int n = snprintf(text + at, len - at, "%s", add);

	return MIN(at + (size_t)MAX(n, 0), len - 1);
}

/* "epoch 7 (1a2b3c4d), generation 12, in /a, /b" */
static void describe(const struct body *b, const struct folders *fs, char *text,
		     size_t len)
{
	const struct epoch *e = superblock_epoch(&b->sb);
	char id[2 * SHORT_ID + 1] = "none";
	size_t at;
	const char *comma = "";

	if (e)
		hex_encode(id, e->id, SHORT_ID);
	at = (size_t)snprintf(text, len,
			      "epoch %llu (%s), generation %llu, in ",
			      (unsigned long long)(e ? e->number : 0), id,
			      (unsigned long long)b->sb.generation);
	for (unsigned i = 0; i < fs->n; i++) {
		if (fs->at[i].rc || fs->at[i].newest != b)
			continue;
		at = add_text(text, len, at, comma);
		at = add_text(text, len, at, folder_path(&fs->at[i]));
		comma = ", ";
	}
}

int history_fail_diverged(const struct history *h, const struct folders *fs,
			  struct diag *diag)
{
	char all[1400] = "";
	size_t at = 0;
	unsigned sides = 0;

	for (unsigned i = 0; i < h->n && sides < SIDES_SHOWN; i++) {
		char one[512], head[32];

		if (!is_tip(h, 0, i))
			continue;
		sides++;
		snprintf(head, sizeof(head), "%sside %u: ", at ? "; " : "",
			 sides);
		describe(h->at[i], fs, one, sizeof(one));
		at = add_text(all, sizeof(all), at, head);
		at = add_text(all, sizeof(all), at, one);
	}
	return diag_fail(diag, -ERR_DIVERGED,
			 "the pool's folders hold histories that went apart "
			 "(they were mounted without each other): %s. Look at "
			 "them with -o ro; to keep one side, detach the "
			 "folders of the other and mount with -o degraded",
			 all);
}

/* One slot's authentic content into the history. */
static int authenticate_image(struct folder *f, unsigned slot,
			      const struct keyring *keys, struct history *h)
{
	AUTO_FREE struct superblock *sb = mem_alloc(sizeof(*sb));
	const struct slot_image *im = &f->image[slot];
	struct body *b;
	unsigned self;
	int rc;

	if (!sb)
		return -ENOMEM;
	rc = superblock_decode(im->data->data, im->data->len, keys, sb, &self);
	if (rc)
		return rc;
	rc = history_add(h, sb, &b);
	if (rc)
		return rc;
	if (f->newest && !history_newer(b, f->newest))
		return 0;
	f->newest = b;
	f->newest_slot = slot;
	f->rank = self;
	f->id = sb->member[self].id;
	return 0;
}

static int authenticate(struct folder *f, const struct keyring *keys,
			struct history *h)
{
	int why = -ERR_AUTH;

	f->newest = NULL;
	for (unsigned s = 0; s < SB_SLOTS; s++) {
		int rc;

		if (f->image[s].rc)
			continue;
		rc = authenticate_image(f, s, keys, h);
		if (rc == -ENOMEM || rc == -EIO)
			return rc;
		if (rc == -ERR_RANGE)
			why = rc;
	}
	if (!f->newest)
		folder_drop(f, why);
	return 0;
}

int folders_authenticate(struct folders *fs, unsigned first,
			 const struct keyring *keys, struct history *h)
{
	int rc = 0;

	for (unsigned i = first; i < fs->n && !rc; i++)
		if (!fs->at[i].rc)
			rc = authenticate(&fs->at[i], keys, h);
	return rc;
}
