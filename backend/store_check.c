/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judging fragments, and making one anew.
 *
 * What is judged bad or missing will be replaced and then deleted, so both
 * need proof (C6): bad is only what was read without an error and is wrong;
 * missing is only what is absent from a folder that shows the superblock of
 * this very member - the folder of a disk that is not mounted answers too.
 */
#include "backend/store_impl.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define SUPER_SLOTS 2
#define PIECE	    SEG_CHUNK_MAX /* rebuilt at a time; whole CRC blocks */

/* ---- loading ---- */

static int load(struct store *s, const struct seg_desc *d, unsigned i,
		struct bio *bio, uint64_t deadline_ns)
{
	struct backend *b = store_home(s, d, i);

	if (!bio)
		return -ENOMEM;
	if (!b)
		return -ERR_BACKEND_DOWN;
	(void)bio_submit(b, bio);
	return bio_wait(bio, deadline_ns);
}

int store_load_header(struct store *s, const struct seg_desc *d, unsigned i,
		      uint64_t deadline_ns, struct frag_tags *tags_out)
{
	AUTO_BIO struct bio *bio = store_get(d, i, 0, FRAG_HEADER, true);
	struct seg_context cx;
	int rc = load(s, d, i, bio, deadline_ns);

	if (rc == 0)
		rc = store_got(bio, rc, FRAG_HEADER);
	if (rc)
		return rc;
	pool_seg_context(s->pool, &cx);
	return fragment_header_check(&cx, d, i, bio_data(bio)->data, tags_out);
}

int store_load_data(struct store *s, const struct seg_desc *d, unsigned i,
		    uint64_t deadline_ns, struct buf **out)
{
	uint32_t len = fragment_padded_len(d, i);
	AUTO_BIO struct bio *bio = store_get(d, i, FRAG_HEADER, len, true);
	int rc = load(s, d, i, bio, deadline_ns);

	if (rc == 0)
		rc = store_got(bio, rc, len);
	if (rc == 0)
		*out = buf_ref(bio_data(bio));
	return rc;
}

int store_load_tags(struct store *s, const struct seg_desc *d,
		    uint64_t deadline_ns, struct frag_tags *tags_out)
{
	for (unsigned i = 0; i < fragment_count(d); i++) {
		int rc = store_load_header(s, d, i, deadline_ns, tags_out);

		if (rc == 0 || rc == -ENOMEM)
			return rc;
	}
	return -ERR_UNAVAILABLE;
}

/* ---- checking ---- */

static bool shows_superblock(struct store *s, unsigned slot, unsigned n,
			     uint64_t deadline)
{
	struct backend *b = store_member(s, slot);
	AUTO_BIO struct bio *bio = NULL;
	char name[DRV_NAME_MAX + 1];
	struct sb_clear clear;

	snprintf(name, sizeof(name), "mendfs.super.%u", n);
	bio = bio_new_get(name, 0, SB_MAX_BYTES, true);
	if (!b || !bio)
		return false;
	(void)bio_submit(b, bio);
	if (bio_wait(bio, deadline) ||
	    superblock_peek(bio_data(bio)->data, bio_data(bio)->len, &clear))
		return false;
	return memcmp(&clear.pool, &s->pool->id, sizeof(clear.pool)) == 0 &&
	       memcmp(&clear.self, &s->pool->member[slot].id,
		      sizeof(clear.self)) == 0;
}

static bool is_really_there(struct store *s, unsigned slot, uint64_t deadline)
{
	for (unsigned n = 0; n < SUPER_SLOTS; n++) {
		if (shows_superblock(s, slot, n, deadline))
			return true;
	}
	return false;
}

/* What is read of a file: all of it, or its header and its last page. */
struct probe {
	struct bio *head;
	struct bio *tail; /* NULL: head is all */
	uint32_t tail_off;
};

/* Each read goes beyond the file's end, to see that it ends there. */
static int probe_start(struct store *s, const struct seg_desc *d, unsigned i,
		       bool read_data, struct probe *p)
{
	struct backend *b = store_home(s, d, i);
	uint32_t len = fragment_file_len(d, i);
	bool all = read_data || len == FRAG_HEADER;

	if (!b)
		return 0;
	p->tail_off = all ? 0 : len - FRAG_ALIGN;
	p->head =
		store_get(d, i, 0, all ? len + FRAG_ALIGN : FRAG_HEADER, true);
	if (!p->head)
		return -ENOMEM;
	(void)bio_submit(b, p->head);
	if (all)
		return 0;
	p->tail = store_get(d, i, p->tail_off, 2 * FRAG_ALIGN, true);
	if (!p->tail)
		return -ENOMEM;
	(void)bio_submit(b, p->tail);
	return 0;
}

static int probe_judge(const struct seg_context *cx, const struct seg_desc *d,
		       unsigned i, bool read_data, const struct probe *p)
{
	const struct buf *head = bio_data(p->head);
	size_t end = p->tail ? p->tail_off + bio_data(p->tail)->len : head->len;

	if (read_data)
		return fragment_file_check(cx, d, i, head->data, head->len);
	if (head->len < FRAG_HEADER || end < fragment_file_len(d, i))
		return -ERR_TRUNCATED;
	if (end > fragment_file_len(d, i))
		return -ERR_CORRUPT;
	return fragment_header_check(cx, d, i, head->data, NULL);
}

static int probe_end(const struct seg_context *cx, const struct seg_desc *d,
		     unsigned i, bool read_data, struct probe *p,
		     uint64_t deadline)
{
	int rc = p->head ? bio_wait(p->head, deadline) : -ERR_BACKEND_DOWN;

	if (rc == 0 && p->tail)
		rc = bio_wait(p->tail, deadline);
	if (rc == 0)
		rc = probe_judge(cx, d, i, read_data, p);
	bio_unref(steal(&p->head));
	bio_unref(steal(&p->tail));
	return rc;
}

static enum frag_state state_of(struct store *s, unsigned slot, int rc,
				uint64_t deadline)
{
	if (rc == 0)
		return FRAG_GOOD;
	if (rc == -ENOENT)
		return is_really_there(s, slot, deadline) ? FRAG_MISSING
							  : FRAG_UNKNOWN;
	return store_proves_damage(rc) ? FRAG_BAD : FRAG_UNKNOWN;
}

unsigned store_check(struct store *s, const struct seg_desc *d, bool read_data,
		     enum frag_state *state_out)
{
	uint64_t deadline = store_deadline_ns(s);
	struct probe probe[EC_TOTAL_MAX] = {0};
	struct seg_context cx;
	unsigned good = 0;
	int rc[EC_TOTAL_MAX];

	pool_seg_context(s->pool, &cx);
	for (unsigned i = 0; i < fragment_count(d); i++)
		rc[i] = probe_start(s, d, i, read_data, &probe[i]);
	for (unsigned i = 0; i < fragment_count(d); i++) {
		int end = probe_end(&cx, d, i, read_data, &probe[i], deadline);

		state_out[i] =
			state_of(s, d->home[i], rc[i] ? rc[i] : end, deadline);
		good += state_out[i] == FRAG_GOOD;
	}
	return good;
}

/* ---- making one anew ---- */

struct piece {
	uint8_t *to;
	uint32_t len;
};

static int take_piece(void *arg, const uint8_t *bytes)
{
	const struct piece *p = arg;

	memcpy(p->to, bytes, p->len);
	return 0;
}

static int gather_data(struct store *s, const struct seg_desc *d,
		       unsigned index, enum gather_way way, uint8_t *data)
{
	uint32_t len = fragment_data_len(d, index);
	int rc = 0;

	for (uint32_t off = 0; off < len && rc == 0; off += PIECE) {
		struct piece p = {data + off, MIN(len - off, PIECE)};
		struct span sp = {d, index, off, p.len, take_piece, &p};

		rc = store_gather_by(s, &sp, way);
	}
	return rc;
}

/* Wrong in the first way means that somebody forged checksums. */
static int gather_verified(struct store *s, const struct seg_desc *d,
			   unsigned index, const struct frag_tags *tags,
			   uint8_t *data)
{
	static const enum gather_way ways[] = {GATHER_CHECKED, GATHER_TAGGED};
	struct seg_context cx;
	int rc = -ERR_UNAVAILABLE;

	pool_seg_context(s->pool, &cx);
	for (unsigned w = 0; w < ARRAY_LEN(ways); w++) {
		rc = gather_data(s, d, index, ways[w], data);
		if (rc == 0)
			rc = fragment_tag_check(&cx, d, index, tags, data);
		if (rc != -ERR_AUTH && rc != -ERR_UNAVAILABLE)
			return rc;
	}
	return rc == -ERR_AUTH ? -ERR_CORRUPT : rc;
}

static int put_file(struct store *s, const struct seg_desc *d, unsigned index,
		    unsigned slot, struct buf *file)
{
	struct backend *b = store_member(s, slot);
	AUTO_BIO struct bio *bio = NULL;
	char name[DRV_NAME_MAX + 1];

	if (!b)
		return -ERR_UNAVAILABLE;
	frag_name(d, index, name);
	bio = bio_new_put(name, file);
	if (!bio)
		return -ENOMEM;
	(void)bio_submit(b, bio);
	return bio_wait(bio, store_deadline_ns(s));
}

int store_rebuild(struct store *s, const struct seg_desc *d, unsigned index,
		  unsigned slot)
{
	AUTO_BUF struct buf *file = fragment_new(d, index);
	struct seg_context cx;
	struct frag_tags tags;
	int rc;

	if (!file)
		return -ENOMEM;
	rc = store_load_tags(s, d, store_deadline_ns(s), &tags);
	if (rc == 0)
		rc = gather_verified(s, d, index, &tags,
				     file->data + FRAG_HEADER);
	if (rc)
		return rc;
	pool_seg_context(s->pool, &cx);
	rc = fragment_finish(&cx, d, index, &tags, file);
	return rc ? rc : put_file(s, d, index, slot, file);
}
