/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/journal_view.h"

#include "base/mem.h"
#include "base/must.h"

#define RECORD_HEAD sizeof(struct journal_record_header)

bool journal_up(const struct pool *p, unsigned slot)
{
	struct backend *b = p->member[slot].backend;

	return b && backend_get_state(b) != BACKEND_DOWN;
}

void journal_view_release(struct journal_view *v)
{
	buf_unref(v->win);
	v->win = NULL;
}

static bool holds(const struct journal_view *v, uint64_t pos, size_t len)
{
	return v->win && pos >= v->win_pos &&
	       pos - v->win_pos + len <= v->win->len;
}

static int load(struct journal_view *v, uint64_t pos, size_t len)
{
	AUTO_BIO struct bio *r = bio_new_get(v->name, pos, len, true);
	int rc = bio_run(v->backend, r);

	journal_view_release(v);
	if (rc) {
		/* Our own lack of memory says nothing about the copy. */
		v->rc = rc == -ENOMEM ? 0 : rc;
		return rc;
	}
	v->win = buf_ref(bio_data(r));
	v->win_pos = pos;
	return 0;
}

int journal_view_get(struct journal_view *v, uint64_t pos, size_t len,
		     const uint8_t **out)
{
	uint64_t left = pos < v->end ? v->end - pos : 0;
	int rc = v->rc;

	MUST(pos % JOURNAL_BLOCK == 0);
	if (!rc && len > left)
		rc = -ERR_TRUNCATED;
	if (!rc && !holds(v, pos, len))
		rc = load(v, pos, MIN(left, MAX(len, (size_t)JOURNAL_WINDOW)));
	if (rc)
		return rc;
	if (!holds(v, pos, len))
		return -ERR_TRUNCATED;
	*out = v->win->data + (pos - v->win_pos);
	return 0;
}

/* One byte more, so that an empty payload has an address, too. */
static int grow(struct bytes *b, size_t len)
{
	b->len = 0;
	return bytes_reserve(b, len + 1);
}

/* The header of a record of this file, not yet authenticated. */
static int peek(const struct journal_key *k, const uint8_t *at,
		struct journal_record *r)
{
	int rc = journal_codec_peek(at, r);

	if (!rc && (r->epoch != k->epoch || r->file != k->file))
		rc = -ERR_FORMAT;
	return rc;
}

int journal_view_record(struct journal_view *v, const struct journal_key *k,
			uint64_t pos, struct journal_record *r,
			struct bytes *plain)
{
	const uint8_t *at;
	uint32_t len;
	int rc;

	*r = (struct journal_record){0};
	rc = journal_view_get(v, pos, RECORD_HEAD, &at);
	if (!rc)
		rc = peek(k, at, r);
	if (rc)
		return rc;
	len = r->len;
	rc = journal_view_get(v, pos, (size_t)journal_codec_room(len), &at);
	/* It may have been read again: only these bytes are authenticated. */
	if (!rc)
		rc = peek(k, at, r);
	if (!rc && r->len != len)
		rc = -ERR_FORMAT;
	if (!rc)
		rc = grow(plain, len);
	if (!rc)
		rc = journal_codec_open(k->aead, pos, r, at, plain->data);
	if (!rc)
		plain->len = len;
	return rc;
}
