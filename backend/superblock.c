/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order in which a slot is believed:
 *
 *  1. magic, length, CRC: is it a whole slot at all? Anybody can make one.
 *  2. version and features: may this code read it?
 *  3. MAC and seal: was it written by somebody who has the master key, for
 *     this pool and this member? From here on every number is still checked
 *     (-ERR_RANGE), as a fault in memory is sealed as faithfully as the truth.
 */
#include "backend/superblock.h"

#include <endian.h>
#include <string.h>

#include "base/mem.h"
#include "base/rnd.h"
#include "backend/checksum.h"
#include "backend/pool.h"
#include "backend/super_format.h"

#define OVERHEAD (sizeof(struct super_header) + sizeof(struct super_trailer))

_Static_assert(sizeof(((struct super_header *)0)->key_slots) ==
		       sizeof(((struct superblock *)0)->slots),
	       "key slots fill their place in the header");
_Static_assert(OVERHEAD + 128 + SB_LABEL_MAX +
			       POOL_MEMBERS_MAX * (50 + SB_PATH_MAX) +
			       SB_EPOCHS * 40 + SEG_DESC_MAX + SB_ALIGN <
		       SB_MAX_BYTES,
	       "the largest superblock fits");

static void auto_aead(struct aead **a)
{
	aead_free(*a);
}

static bool is_zero(const uint8_t id[16])
{
	static const uint8_t zero[16];

	return !memcmp(id, zero, sizeof(zero));
}

/* ---- the body ---- */

static bool members_distinct(const struct superblock *sb)
{
	for (unsigned i = 0; i < sb->n; i++)
		for (unsigned j = 0; j < i; j++)
			if (!memcmp(&sb->member[i].id, &sb->member[j].id,
				    sizeof(struct backend_id)))
				return false;
	return true;
}

static bool epochs_rise(const struct superblock *sb)
{
	for (unsigned i = 0; i < sb->epochs; i++)
		if (!sb->epoch[i].number || is_zero(sb->epoch[i].id) ||
		    (i && sb->epoch[i].number < sb->epoch[i - 1].number))
			return false;
	return !sb->epochs || sb->epoch[sb->epochs - 1].number <= SB_NUMBER_MAX;
}

static bool manifest_sane(const struct manifest_ref *m)
{
	const struct chunk_ref *c = &m->chunk;

	if (!m->present)
		return true;
	return m->segment.kind == SEG_INDEX && c->codec <= CODEC_ZSTD &&
	       c->plain_len && c->stored_len <= m->segment.payload_len &&
	       c->pos <= m->segment.payload_len - c->stored_len;
}

/* The rules both ways: none is written that would not be read. */
static bool is_sane(const struct superblock *sb)
{
	return sb->n >= 1 && sb->n <= POOL_MEMBERS_MAX &&
	       sb->epochs <= SB_EPOCHS && sb->generation <= SB_NUMBER_MAX &&
	       !geometry_check(&sb->geo, sb->n, NULL) && members_distinct(sb) &&
	       epochs_rise(sb) && manifest_sane(&sb->manifest);
}

static int put_u16(struct bytes *b, size_t v)
{
	uint8_t le[2];

	put_le16(le, (uint16_t)v);
	return bytes_add(b, le, sizeof(le));
}

static int encode_fixed(const struct superblock *sb, struct bytes *b)
{
	const struct geometry *g = &sb->geo;
	uint8_t fixed[4 + 4 + 4 + 4 + 8 + 4];
	struct writer w = writer_of(fixed, sizeof(fixed));

	writer_u8(&w, g->k);
	writer_u8(&w, g->m);
	writer_u8(&w, (uint8_t)g->cipher);
	writer_u8(&w, 0);
	writer_u32(&w, g->chunk_bytes);
	writer_u32(&w, g->segment_bytes);
	writer_u32(&w, (uint32_t)(int32_t)g->level);
	writer_u64(&w, (uint64_t)sb->created_ns);
	writer_u8(&w, (uint8_t)sb->n);
	writer_u8(&w, (uint8_t)sb->epochs);
	writer_u8(&w, sb->manifest.present);
	writer_u8(&w, (uint8_t)strnlen(sb->label, SB_LABEL_MAX));
	return bytes_add(b, fixed, writer_len(&w));
}

static int encode_member(const struct sb_member *m, struct bytes *b)
{
	size_t len = strnlen(m->path, SB_PATH_MAX);
	int rc = bytes_add(b, m->id.b, sizeof(m->id.b));

	if (!rc)
		rc = bytes_add(b, m->epoch_had, sizeof(m->epoch_had));
	if (!rc)
		rc = bytes_add(b, m->epoch_sent, sizeof(m->epoch_sent));
	if (!rc)
		rc = put_u16(b, len);
	return rc ? rc : bytes_add(b, m->path, len);
}

static int encode_epoch(const struct epoch *e, struct bytes *b)
{
	int rc = bytes_add_u64(b, e->number);

	if (!rc)
		rc = bytes_add(b, e->id, sizeof(e->id));
	return rc ? rc : bytes_add(b, e->parent, sizeof(e->parent));
}

static int encode_manifest(const struct manifest_ref *m, struct bytes *b)
{
	int rc = bytes_add_u64(b, m->seq);

	if (!rc)
		rc = bytes_add(b, m->epoch_id, sizeof(m->epoch_id));
	if (!rc)
		rc = bytes_add_u32(b, m->chunk.pos);
	if (!rc)
		rc = bytes_add_u32(b, m->chunk.stored_len);
	if (!rc)
		rc = bytes_add_u32(b, m->chunk.plain_len);
	if (!rc)
		rc = bytes_add_u8(b, (uint8_t)m->chunk.codec);
	return rc ? rc : seg_desc_encode(&m->segment, b);
}

static int encode_body(const struct superblock *sb, struct bytes *b)
{
	int rc = encode_fixed(sb, b);

	if (!rc)
		rc = bytes_add(b, sb->label, strnlen(sb->label, SB_LABEL_MAX));
	for (unsigned i = 0; !rc && i < sb->n; i++)
		rc = encode_member(&sb->member[i], b);
	for (unsigned i = 0; !rc && i < sb->epochs; i++)
		rc = encode_epoch(&sb->epoch[i], b);
	if (!rc && sb->manifest.present)
		rc = encode_manifest(&sb->manifest, b);
	return rc;
}

/* len bytes without a NUL into dst, which has room for max and the end. */
static void read_string(struct reader *r, size_t len, char *dst, size_t max)
{
	const uint8_t *p = len <= max ? reader_take(r, len) : NULL;

	if (!p || memchr(p, '\0', len)) {
		r->bad = true;
		return;
	}
	memcpy(dst, p, len);
	dst[len] = '\0';
}

static void decode_geometry(struct reader *r, struct geometry *g)
{
	int32_t level;

	g->k = reader_u8(r);
	g->m = reader_u8(r);
	g->cipher = (enum cipher)reader_u8(r);
	r->bad |= reader_u8(r) != 0;
	g->chunk_bytes = reader_u32(r);
	g->segment_bytes = reader_u32(r);
	level = (int32_t)reader_u32(r);
	g->level = (int16_t)level;
	r->bad |= g->level != level;
}

static void decode_members(struct reader *r, struct superblock *sb)
{
	for (unsigned i = 0; i < sb->n && !r->bad; i++) {
		struct sb_member *m = &sb->member[i];

		reader_bytes(r, m->id.b, sizeof(m->id.b));
		reader_bytes(r, m->epoch_had, sizeof(m->epoch_had));
		reader_bytes(r, m->epoch_sent, sizeof(m->epoch_sent));
		read_string(r, reader_u16(r), m->path, SB_PATH_MAX);
	}
}

static void decode_epochs(struct reader *r, struct superblock *sb)
{
	for (unsigned i = 0; i < sb->epochs && !r->bad; i++) {
		struct epoch *e = &sb->epoch[i];

		e->number = reader_u64(r);
		reader_bytes(r, e->id, sizeof(e->id));
		reader_bytes(r, e->parent, sizeof(e->parent));
	}
}

static int decode_manifest(struct reader *r, struct manifest_ref *m)
{
	m->seq = reader_u64(r);
	reader_bytes(r, m->epoch_id, sizeof(m->epoch_id));
	m->chunk.pos = reader_u32(r);
	m->chunk.stored_len = reader_u32(r);
	m->chunk.plain_len = reader_u32(r);
	m->chunk.codec = (enum codec)reader_u8(r);
	return r->bad ? -ERR_RANGE : seg_desc_decode(r, &m->segment);
}

static int decode_body(struct reader *r, struct superblock *sb)
{
	unsigned flag;
	size_t label_len;

	decode_geometry(r, &sb->geo);
	sb->created_ns = (int64_t)reader_u64(r);
	sb->n = reader_u8(r);
	sb->epochs = reader_u8(r);
	flag = reader_u8(r);
	label_len = reader_u8(r);
	if (r->bad || sb->n > POOL_MEMBERS_MAX || sb->epochs > SB_EPOCHS ||
	    flag > 1)
		return -ERR_RANGE;
	read_string(r, label_len, sb->label, SB_LABEL_MAX);
	decode_members(r, sb);
	decode_epochs(r, sb);
	sb->manifest.present = flag;
	if (flag && decode_manifest(r, &sb->manifest))
		return -ERR_RANGE;
	if (r->bad || reader_left(r) || !is_sane(sb))
		return -ERR_RANGE;
	return 0;
}

/* ---- the slot ---- */

static size_t total_of(size_t body_len)
{
	size_t len = OVERHEAD + body_len;

	return (len + SB_ALIGN - 1) / SB_ALIGN * SB_ALIGN;
}

static void fill_header(const struct superblock *sb, unsigned self,
			size_t body_len, struct super_header *h)
{
	*h = (struct super_header){
		.magic = htole64(SB_MAGIC),
		.version = htole32(SB_VERSION),
		.total_len = htole32((uint32_t)total_of(body_len)),
		.incompat = htole64(sb->incompat),
		.ro_compat = htole64(sb->ro_compat),
		.generation = htole64(sb->generation),
		.body_len = htole32((uint32_t)body_len),
		.member = (uint8_t)self,
	};
	memcpy(h->pool, sb->pool.b, sizeof(h->pool));
	memcpy(h->self, sb->member[self].id.b, sizeof(h->self));
	memcpy(h->key_slots, sb->slots, sizeof(h->key_slots));
	rnd_bytes(h->nonce, sizeof(h->nonce));
}

static int body_aead(const struct keyring *keys, struct aead **out)
{
	return keyring_aead(keys, CIPHER_AES_256_GCM, "superblock", NULL, NULL,
			    0, out);
}

/* Header, sealed body, zeros and trailer into slot, which is zeroed. */
static int fill_slot(const struct keyring *keys, const struct super_header *h,
		     const struct bytes *plain, uint8_t *slot)
{
	AUTO(auto_aead) struct aead *a = NULL;
	const struct aad aad = {.data = h, .len = sizeof(*h)};
	size_t mac_at = le32toh(h->total_len) - sizeof(struct super_trailer);
	int rc = body_aead(keys, &a);

	if (rc)
		return rc;
	memcpy(slot, h, sizeof(*h));
	rc = aead_seal(a, h->nonce, aad, plain->data, plain->len,
		       slot + sizeof(*h));
	if (!rc)
		rc = keyring_mac(keys, "superblock mac", slot, mac_at,
				 slot + mac_at);
	put_le32(slot + mac_at + KEY_MAC, crc32c(slot, mac_at + KEY_MAC));
	return rc;
}

int superblock_encode(const struct superblock *sb, unsigned self,
		      const struct keyring *keys, struct bytes *out)
{
	AUTO(bytes_release) struct bytes plain = {0};
	struct super_header h;
	size_t total;
	int rc;

	if (!is_sane(sb) || self >= sb->n)
		return -EINVAL;
	rc = encode_body(sb, &plain);
	if (rc)
		return rc;
	fill_header(sb, self, plain.len + AEAD_TAG, &h);
	total = le32toh(h.total_len);
	rc = bytes_reserve(out, total);
	if (rc)
		return rc;
	memset(out->data, 0, total);
	rc = fill_slot(keys, &h, &plain, out->data);
	if (!rc)
		out->len = total;
	return rc;
}

/* Step 1 of the order above. */
static int check_whole(const void *data, size_t len,
		       const struct super_header *h)
{
	size_t total;

	if (len < sizeof(h->magic))
		return -ERR_TRUNCATED;
	if (get_le64(data) != SB_MAGIC)
		return -ERR_FORMAT;
	if (len < sizeof(*h))
		return -ERR_TRUNCATED;
	total = le32toh(h->total_len);
	if (total > SB_MAX_BYTES || total < SB_ALIGN || total % SB_ALIGN ||
	    total < len)
		return -ERR_CORRUPT;
	if (total > len)
		return -ERR_TRUNCATED;
	if (crc32c(data, len - 4) != get_le32((const uint8_t *)data + len - 4))
		return -ERR_CORRUPT;
	return 0;
}

int superblock_peek(const void *data, size_t len, struct sb_clear *out)
{
	const struct super_header *h = data;
	int rc = check_whole(data, len, h);
	size_t body_len;

	if (rc)
		return rc;
	if (le32toh(h->version) != SB_VERSION ||
	    (le64toh(h->incompat) & ~SB_INCOMPAT_KNOWN))
		return -ERR_FEATURE;
	body_len = le32toh(h->body_len);
	if (body_len < AEAD_TAG || body_len > len ||
	    total_of(body_len) != len || h->member >= POOL_MEMBERS_MAX)
		return -ERR_CORRUPT;
	memcpy(out->pool.b, h->pool, sizeof(out->pool.b));
	memcpy(out->self.b, h->self, sizeof(out->self.b));
	out->slot = h->member;
	out->generation = le64toh(h->generation);
	out->incompat = le64toh(h->incompat);
	out->ro_compat = le64toh(h->ro_compat);
	memcpy(out->slots, h->key_slots, sizeof(out->slots));
	return 0;
}

/* Step 3: the plain body, body_len - AEAD_TAG bytes. */
static int open_body(const uint8_t *data, size_t len,
		     const struct keyring *keys, uint8_t *plain)
{
	AUTO(auto_aead) struct aead *a = NULL;
	const struct super_header *h = (const void *)data;
	const struct aad aad = {.data = h, .len = sizeof(*h)};
	size_t mac_at = len - sizeof(struct super_trailer);
	uint8_t mac[KEY_MAC];
	int rc = keyring_mac(keys, "superblock mac", data, mac_at, mac);

	if (rc)
		return rc;
	if (!mac_equal(mac, data + mac_at, KEY_MAC))
		return -ERR_AUTH;
	rc = body_aead(keys, &a);
	if (rc)
		return rc;
	return aead_open(a, h->nonce, aad, data + sizeof(*h),
			 le32toh(h->body_len), plain);
}

static void take_clear(const struct sb_clear *clear, struct superblock *out)
{
	memset(out, 0, sizeof(*out));
	out->pool = clear->pool;
	out->generation = clear->generation;
	out->incompat = clear->incompat;
	out->ro_compat = clear->ro_compat;
	memcpy(out->slots, clear->slots, sizeof(out->slots));
}

int superblock_decode(const void *data, size_t len, const struct keyring *keys,
		      struct superblock *out, unsigned *self_out)
{
	AUTO_FREE uint8_t *plain = NULL;
	const struct super_header *h = data;
	struct sb_clear clear;
	struct reader r;
	int rc = superblock_peek(data, len, &clear);

	if (rc)
		return rc;
	plain = mem_alloc(le32toh(h->body_len));
	if (!plain)
		return -ENOMEM;
	rc = open_body(data, len, keys, plain);
	if (rc)
		return rc;
	take_clear(&clear, out);
	r = reader_of(plain, le32toh(h->body_len) - AEAD_TAG);
	rc = decode_body(&r, out);
	if (rc)
		return rc;
	if (clear.slot >= out->n || memcmp(&out->member[clear.slot].id,
					   &clear.self, sizeof(clear.self)))
		return -ERR_RANGE;
	*self_out = clear.slot;
	return 0;
}

/* ---- features and history ---- */

bool superblock_must_not_write(const struct superblock *sb)
{
	return (sb->ro_compat & ~SB_RO_COMPAT_KNOWN) != 0;
}

const struct epoch *superblock_epoch(const struct superblock *sb)
{
	return sb->epochs ? &sb->epoch[sb->epochs - 1] : NULL;
}

void superblock_add_epoch(struct superblock *sb, const struct epoch *e)
{
	if (sb->epochs == SB_EPOCHS) {
		memmove(&sb->epoch[0], &sb->epoch[1],
			(SB_EPOCHS - 1) * sizeof(sb->epoch[0]));
		sb->epochs--;
	}
	sb->epoch[sb->epochs++] = *e;
}

static bool knows_epoch(const struct superblock *sb, const uint8_t id[16])
{
	for (unsigned i = 0; i < sb->epochs; i++)
		if (!memcmp(sb->epoch[i].id, id, 16))
			return true;
	for (unsigned i = 0; i < sb->n; i++)
		if (!memcmp(sb->member[i].epoch_had, id, 16) ||
		    !memcmp(sb->member[i].epoch_sent, id, 16))
			return true;
	return false;
}

bool superblock_descends(const struct superblock *b, const struct superblock *a)
{
	const struct epoch *newest = superblock_epoch(a);

	if (memcmp(&a->pool, &b->pool, sizeof(a->pool)))
		return false;
	return !newest || knows_epoch(b, newest->id);
}

int superblock_digest(const struct superblock *sb, uint8_t out[32])
{
	AUTO(bytes_release) struct bytes all = {0};
	int rc = bytes_add(&all, sb->pool.b, sizeof(sb->pool.b));

	if (!rc)
		rc = bytes_add_u64(&all, sb->generation);
	if (!rc)
		rc = bytes_add_u64(&all, sb->incompat);
	if (!rc)
		rc = bytes_add_u64(&all, sb->ro_compat);
	if (!rc)
		rc = bytes_add(&all, sb->slots, sizeof(sb->slots));
	if (!rc)
		rc = encode_body(sb, &all);
	return rc ? rc : sha256(all.data, all.len, out);
}
