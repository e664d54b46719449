/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks: decompress, chunk_open, compress_try.
 *
 * packed   output length (number), then what is to be decompressed
 * sealed   plain length (number), codec, then the sealed content; flips of
 *          reference and bytes follow from the last ones of it
 * round    level u8, then plain bytes: compressed and back
 */
#include "fuzz/fuzz.h"

#include <string.h>

#include "backend/compress.h"
#include "backend/seg_impl.h"

enum {
	MODE_PACKED,
	MODE_SEALED,
	MODE_ROUND,
	MODES
};

/* No more and no less: not twice the same, not with an empty frame behind. */
static void check_alone(const uint8_t *in, size_t len, size_t out_len)
{
	static const uint8_t skipped[8] = {0x50, 0x2a, 0x4d, 0x18};
	AUTO_FREE uint8_t *more = mem_alloc(2 * len + sizeof(skipped));
	AUTO_FREE uint8_t *out = mem_alloc(2 * out_len);

	MUST(more && out);
	memcpy(more, in, len);
	memcpy(more + len, skipped, sizeof(skipped));
	MUST(decompress(more, len + sizeof(skipped), out, out_len) ==
	     -ERR_CORRUPT);
	memcpy(more + len, in, len);
	MUST(decompress(more, 2 * len, out, 2 * out_len) == -ERR_CORRUPT);
	MUST(decompress(in, len - 1, out, out_len) == -ERR_CORRUPT);
	MUST(decompress(in, len, out, out_len + 1) == -ERR_CORRUPT);
	if (out_len)
		MUST(decompress(in, len, out, out_len - 1) == -ERR_CORRUPT);
}

static void try_packed(struct reader *r)
{
	size_t len, out_len = fuzz_number(r) % (SEG_CHUNK_MAX + 1);
	AUTO_FREE uint8_t *a = mem_alloc(out_len), *b = mem_alloc(out_len);
	int rc;

	len = reader_left(r);
	MUST(a && b);
	rc = decompress(r->p, len, a, out_len);
	FUZZ_ONE_OF(rc, 0, -ERR_CORRUPT);
	if (rc)
		return;
	MUST(decompress(r->p, len, b, out_len) == 0);
	MUST(memcmp(a, b, out_len) == 0);
	check_alone(r->p, len, out_len);
}

struct sealed_chunk {
	struct seg_context cx;
	struct seg_desc d;
	struct chunk_ref ref;
	uint8_t *bytes;
};

static void seal(struct sealed_chunk *c, const uint8_t *content, size_t len)
{
	struct seg_sealed what = {5, 6, c->ref.pos, c->ref.plain_len,
				  c->ref.codec};
	uint8_t nonce[AEAD_NONCE];
	struct seg_aad aad;
	struct aead *key;

	MUST(keyring_aead(c->cx.keys, c->cx.cipher, "segment", c->d.salt, NULL,
			  0, &key) == 0);
	aead_nonce_position(nonce, c->ref.pos);
	seg_aad_fill(&aad, &c->cx, &c->d, &what);
	MUST(aead_seal(key, nonce, (struct aad){&aad, sizeof(aad)}, content,
		       len, c->bytes) == 0);
	aead_free(key);
}

/* Every number that is bound to a chunk, changed, keeps it shut. */
static void check_bound(struct sealed_chunk *c, uint8_t *plain)
{
	struct chunk_ref ref = c->ref;
	struct seg_desc d = c->d;

	ref.pos++;
	MUST(chunk_open(&c->cx, &d, 5, 6, &ref, c->bytes, plain) < 0);
	d.id.v++;
	MUST(chunk_open(&c->cx, &d, 5, 6, &c->ref, c->bytes, plain) < 0);
	d = c->d;
	MUST(chunk_open(&c->cx, &d, 4, 6, &c->ref, c->bytes, plain) < 0);
	MUST(chunk_open(&c->cx, &d, 5, 7, &c->ref, c->bytes, plain) < 0);
	d.kind = SEG_INDEX;
	MUST(chunk_open(&c->cx, &d, 5, 6, &c->ref, c->bytes, plain) < 0);
	c->bytes[c->ref.stored_len - 1] ^= 1;
	MUST(chunk_open(&c->cx, &c->d, 5, 6, &c->ref, c->bytes, plain) < 0);
}

static void try_sealed(struct reader *r)
{
	struct sealed_chunk c = {
		.d = {.id = {3}, .kind = SEG_DATA, .key_epoch = 1},
		.ref = {.pos = 4096,
			.plain_len = (uint32_t)fuzz_number(r),
			.codec = fuzz_pick(r, 2) ? CODEC_ZSTD : CODEC_RAW},
	};
	size_t len = reader_left(r);
	AUTO_FREE uint8_t *plain = NULL;
	int rc;

	/* what a caller gives: memory for what the reference says */
	if (c.ref.plain_len > SEG_CHUNK_MAX + 1)
		c.ref.plain_len = SEG_CHUNK_MAX + 1;
	plain = mem_alloc(c.ref.plain_len);
	fuzz_context(&c.cx);
	c.ref.stored_len = (uint32_t)len + AEAD_TAG;
	c.bytes = mem_alloc(c.ref.stored_len);
	MUST(plain && c.bytes);
	seal(&c, r->p, len);
	rc = chunk_open(&c.cx, &c.d, 5, 6, &c.ref, c.bytes, plain);
	FUZZ_ONE_OF(rc, 0, -ERR_CORRUPT);
	if (rc == 0 && c.ref.codec == CODEC_RAW)
		MUST(memcmp(plain, r->p, len) == 0);
	if (rc == 0)
		check_bound(&c, plain);
	mem_free(c.bytes);
}

static void try_round(struct reader *r)
{
	int level = (int)fuzz_pick(r, 8) - 2;
	size_t len = reader_left(r), packed;
	AUTO_FREE uint8_t *out = mem_alloc(len), *back = mem_alloc(len);

	MUST(out && back);
	packed = compress_try(level, r->p, len, out);
	if (!packed)
		return;
	MUST(packed < len - len / 16);
	MUST(decompress(out, packed, back, len) == 0);
	MUST(memcmp(back, r->p, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(data, size);

	fuzz_start();
	switch (fuzz_pick(&r, MODES)) {
	case MODE_PACKED:
		try_packed(&r);
		break;
	case MODE_SEALED:
		try_sealed(&r);
		break;
	default:
		try_round(&r);
	}
	return 0;
}
