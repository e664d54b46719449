/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Superblock slots: superblock_peek, superblock_decode.
 *
 * raw      the slot file
 * crc      the same with the checksum at its end made right, which anybody can
 * sealed   self u8, feature u8, id[16] of the folder, then the body in plain
 * made     a body whose lengths fit its content, from numbers: k, m, cipher,
 *          chunk and segment bytes, level, members, epochs, label's length
 *          (an edge), then per member the path's length (an edge) and per
 *          epoch its number
 *
 * What decodes can be encoded, decodes again, and says the same.
 */
#include "fuzz/fuzz.h"

#include <string.h>

#include "backend/checksum.h"
#include "backend/super_format.h"
#include "backend/superblock.h"

enum {
	MODE_RAW,
	MODE_CRC,
	MODE_SEALED,
	MODE_MADE,
	MODES
};

#define PATHS_MAX 3000 /* a path longer than any that is read */

static void check_numbers(const struct superblock *sb, unsigned self)
{
	MUST(sb->n >= 1 && sb->n <= POOL_MEMBERS_MAX && self < sb->n);
	MUST(sb->epochs <= SB_EPOCHS);
	MUST(strnlen(sb->label, sizeof(sb->label)) <= SB_LABEL_MAX);
	for (unsigned i = 0; i < sb->n; i++)
		MUST(strnlen(sb->member[i].path, SB_PATH_MAX + 1) <=
		     SB_PATH_MAX);
	MUST(sb->geo.k >= 1 && sb->geo.k + sb->geo.m <= sb->n);
	MUST(superblock_descends(sb, sb));
}

static void check_again(const struct superblock *sb, unsigned self)
{
	static struct superblock again;
	AUTO(bytes_release) struct bytes out = {0};
	uint8_t a[32], b[32];
	unsigned back;

	MUST(superblock_encode(sb, self, fuzz_keys(), &out) == 0);
	MUST(out.len <= SB_MAX_BYTES);
	MUST(superblock_decode(out.data, out.len, fuzz_keys(), &again, &back) ==
	     0);
	MUST(back == self);
	MUST(superblock_digest(sb, a) == 0 &&
	     superblock_digest(&again, b) == 0);
	MUST(memcmp(a, b, sizeof(a)) == 0);
}

static void decode(const uint8_t *slot, size_t len)
{
	static struct superblock sb;
	static struct sb_clear clear;
	unsigned self;
	int peeked = superblock_peek(slot, len, &clear);
	int rc = superblock_decode(slot, len, fuzz_keys(), &sb, &self);

	FUZZ_ONE_OF(peeked, 0, -ERR_FORMAT, -ERR_TRUNCATED, -ERR_CORRUPT,
		    -ERR_FEATURE);
	FUZZ_ONE_OF(rc, peeked, peeked ? peeked : 0,
		    peeked ? peeked : -ERR_AUTH, peeked ? peeked : -ERR_RANGE);
	if (peeked == 0)
		MUST(clear.slot < POOL_MEMBERS_MAX);
	if (rc)
		return;
	check_numbers(&sb, self);
	check_again(&sb, self);
}

static void decode_summed(struct reader *r)
{
	size_t len = reader_left(r);
	AUTO_FREE uint8_t *slot = fuzz_copy(r->p, len);

	if (len >= 4)
		put_le32(slot + len - 4, crc32c(slot, len - 4));
	decode(slot, len);
}

static size_t total_of(size_t body_len)
{
	size_t len = sizeof(struct super_header) + body_len +
		     sizeof(struct super_trailer);

	return (len + SB_ALIGN - 1) / SB_ALIGN * SB_ALIGN;
}

static void seal_body(const struct super_header *h, struct reader *r,
		      uint8_t *slot)
{
	const struct aad aad = {.data = h, .len = sizeof(*h)};
	struct aead *a;

	MUST(keyring_aead(fuzz_keys(), CIPHER_AES_256_GCM, "superblock", NULL,
			  NULL, 0, &a) == 0);
	MUST(aead_seal(a, h->nonce, aad, r->p, reader_left(r),
		       slot + sizeof(*h)) == 0);
	aead_free(a);
}

/* h: what the input says of it, the rest is filled in. */
static void decode_body(struct super_header *h, struct reader *r)
{
	AUTO_FREE uint8_t *slot = NULL;
	size_t total, mac_at;

	h->magic = htole64(SB_MAGIC);
	h->version = htole32(SB_VERSION);
	h->generation = htole64(7);
	memcpy(h->pool, fuzz_pool_id.b, sizeof(h->pool));
	total = total_of(reader_left(r) + AEAD_TAG);
	h->total_len = htole32((uint32_t)total);
	h->body_len = htole32((uint32_t)(reader_left(r) + AEAD_TAG));
	slot = mem_zalloc(total);
	MUST(slot);
	memcpy(slot, h, sizeof(*h));
	seal_body(h, r, slot);
	mac_at = total - sizeof(struct super_trailer);
	MUST(keyring_mac(fuzz_keys(), "superblock mac", slot, mac_at,
			 slot + mac_at) == 0);
	put_le32(slot + total - 4, crc32c(slot, total - 4));
	decode(slot, total);
}

static void decode_sealed(struct reader *r)
{
	struct super_header h = {.member = (uint8_t)fuzz_pick(r, 256)};

	h.ro_compat = htole64(fuzz_pick(r, 256));
	reader_bytes(r, h.self, sizeof(h.self));
	if (!r->bad)
		decode_body(&h, r);
}

/* n bytes of text, n / 8 of them zeros if asked for. */
static void add_text(struct bytes *b, size_t n, bool zeros)
{
	for (size_t i = 0; i < n; i++)
		MUST(bytes_add_u8(b, zeros && i % 8 == 7 ? 0 : 'x') == 0);
}

static void add_member(struct bytes *b, unsigned i, struct reader *r)
{
	size_t len = fuzz_edge(r, SB_PATH_MAX) % PATHS_MAX;
	uint8_t id[3 * 16] = {0};
	uint8_t le[2];

	fuzz_fill(id, 16, (uint8_t)(i + 1));
	put_le16(le, (uint16_t)len);
	MUST(bytes_add(b, id, sizeof(id)) == 0);
	MUST(bytes_add(b, le, sizeof(le)) == 0);
	add_text(b, len, false);
}

static void add_epoch(struct bytes *b, unsigned i, struct reader *r)
{
	uint8_t id[2 * 16] = {0};

	fuzz_fill(id, 16, (uint8_t)(i + 1));
	MUST(bytes_add_u64(b, fuzz_number(r)) == 0);
	MUST(bytes_add(b, id, sizeof(id)) == 0);
}

static void make_body(struct reader *r, struct bytes *b)
{
	unsigned members, epochs, label;

	for (unsigned i = 0; i < 4; i++) /* k, m, cipher, a zero */
		MUST(bytes_add_u8(b, (uint8_t)fuzz_pick(r, 256)) == 0);
	for (unsigned i = 0; i < 3; i++) /* chunk, segment, level */
		MUST(bytes_add_u32(b, (uint32_t)fuzz_number(r)) == 0);
	MUST(bytes_add_u64(b, 1) == 0);
	members = fuzz_pick(r, 40);
	epochs = fuzz_pick(r, 40);
	label = fuzz_edge(r, SB_LABEL_MAX) % 256;
	MUST(bytes_add_u8(b, (uint8_t)members) == 0);
	MUST(bytes_add_u8(b, (uint8_t)epochs) == 0);
	MUST(bytes_add_u8(b, 0) == 0);
	MUST(bytes_add_u8(b, (uint8_t)label) == 0);
	add_text(b, label, fuzz_pick(r, 8) == 7);
	for (unsigned i = 0; i < members; i++)
		add_member(b, i, r);
	for (unsigned i = 0; i < epochs; i++)
		add_epoch(b, i, r);
}

static void decode_made(struct reader *r)
{
	AUTO(bytes_release) struct bytes b = {0};
	struct super_header h = {0};
	struct reader body;

	fuzz_fill(h.self, sizeof(h.self), 1);
	make_body(r, &b);
	body = reader_of(b.data, b.len);
	if (total_of(b.len + AEAD_TAG) <= SB_MAX_BYTES)
		decode_body(&h, &body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(data, size);

	fuzz_start();
	switch (fuzz_pick(&r, MODES)) {
	case MODE_RAW:
		decode(r.p, reader_left(&r));
		break;
	case MODE_CRC:
		decode_summed(&r);
		break;
	case MODE_SEALED:
		decode_sealed(&r);
		break;
	default:
		decode_made(&r);
	}
	return 0;
}
