/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Single pieces of journal files: names, file headers, records.
 *
 * name     a file's name
 * head     a header block
 * maced    a header block whose MAC is made right
 * record   a position (number), then a record as it lies in a file
 * sealed   a position, epoch, file, seq, acked (numbers), payload: sealed, then
 *          opened, then opened again with one byte changed
 */
#include "fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "meta/journal.h"
#include "meta/journal_codec.h"

enum {
	MODE_NAME,
	MODE_HEAD,
	MODE_MACED,
	MODE_RECORD,
	MODE_SEALED,
	MODES
};

static struct pool pool;
static const uint8_t salt[KEY_SALT];

static struct aead *key(void)
{
	static struct aead *a;

	if (!a)
		MUST(journal_codec_key(&pool, salt, &a) == 0);
	return a;
}

static void try_name(struct reader *r)
{
	size_t len = reader_left(r);
	char *name = mem_alloc(len + 1), again[JOURNAL_NAME];
	struct journal_name n, back;
	int rc;

	MUST(name);
	memcpy(name, r->p, len);
	name[len] = '\0';
	rc = journal_codec_parse(name, &n);
	FUZZ_ONE_OF(rc, 0, -EINVAL);
	if (rc == 0) {
		journal_codec_name(&n, again);
		MUST(journal_codec_parse(again, &back) == 0);
		MUST(back.epoch == n.epoch && back.file == n.file &&
		     back.attempt == n.attempt);
	}
	mem_free(name);
}

static void get_head(const uint8_t *block, size_t len)
{
	uint8_t again[JOURNAL_BLOCK];
	struct journal_head h;
	int rc = journal_codec_get_head(&pool, block, len, &h);

	FUZZ_ONE_OF(rc, 0, -ERR_FORMAT, -ERR_FEATURE, -ERR_FOREIGN, -ERR_AUTH,
		    -ERR_TRUNCATED, -ERR_RANGE);
	if (rc)
		return;
	MUST(h.size <= JOURNAL_SIZE_LIMIT && h.size % JOURNAL_BLOCK == 0);
	MUST(h.file > 0 && h.first_seq > 0);
	MUST(journal_codec_put_head(&pool, &h, again) == 0);
	MUST(journal_codec_get_head(&pool, again, sizeof(again), &h) == 0);
}

static void try_maced(struct reader *r)
{
	const size_t mac_at = offsetof(struct journal_file_header, mac);
	uint8_t block[JOURNAL_BLOCK] = {0};

	memcpy(block, r->p, MIN(reader_left(r), mac_at));
	put_le64(block, JOURNAL_MAGIC);
	put_le32(block + 8, JOURNAL_VERSION);
	memcpy(block + 16, fuzz_pool_id.b, sizeof(fuzz_pool_id));
	MUST(keyring_mac(fuzz_keys(), "journal header", block, mac_at,
			 block + mac_at) == 0);
	get_head(block, sizeof(block));
}

static void try_record(struct reader *r)
{
	uint64_t pos = fuzz_number(r) * JOURNAL_BLOCK;
	struct journal_record rec;
	AUTO_FREE uint8_t *plain = NULL;
	int rc;

	if (reader_left(r) < sizeof(struct journal_record_header))
		return;
	rc = journal_codec_peek(r->p, &rec);
	FUZZ_ONE_OF(rc, 0, -ENOENT, -ERR_FORMAT, -ERR_RANGE);
	if (rc)
		return;
	MUST(rec.len <= JOURNAL_RECORD_MAX);
	/* the caller has read as much */
	if (journal_codec_room(rec.len) > reader_left(r))
		return;
	plain = mem_alloc(rec.len);
	MUST(plain);
	rc = journal_codec_open(key(), pos, &rec, r->p, plain);
	FUZZ_ONE_OF(rc, 0, -ERR_AUTH);
}

static void check_opens(const struct journal_record *made, uint64_t pos,
			const struct buf *b, const uint8_t *payload)
{
	AUTO_FREE uint8_t *plain = mem_alloc(made->len);
	struct journal_record got;

	MUST(plain && journal_codec_peek(b->data, &got) == 0);
	MUST(got.epoch == made->epoch && got.file == made->file &&
	     got.seq == made->seq && got.acked == made->acked &&
	     got.len == made->len);
	MUST(journal_codec_open(key(), pos, &got, b->data, plain) == 0);
	MUST(memcmp(plain, payload, made->len) == 0);
	MUST(memcmp(got.tag, made->tag, sizeof(got.tag)) == 0);
	MUST(journal_codec_open(key(), pos + 1, &got, b->data, plain) ==
	     -ERR_AUTH);
}

static void check_changed(uint64_t pos, struct buf *b, size_t at, uint8_t flip)
{
	AUTO_FREE uint8_t *plain = NULL;
	struct journal_record got;
	size_t used;

	b->data[at] ^= flip;
	if (journal_codec_peek(b->data, &got) ||
	    journal_codec_room(got.len) > b->len)
		return;
	used = sizeof(struct journal_record_header) + got.len + AEAD_TAG;
	plain = mem_alloc(got.len);
	MUST(plain);
	/* padding is nobody's */
	MUST((journal_codec_open(key(), pos, &got, b->data, plain) == 0) ==
	     (at >= used || !flip));
}

static void try_sealed(struct reader *r)
{
	uint64_t pos = fuzz_number(r) * JOURNAL_BLOCK;
	struct journal_record rec = {
		.epoch = fuzz_number(r),
		.file = fuzz_number(r),
		.seq = fuzz_number(r),
		.acked = fuzz_number(r),
	};
	size_t at = fuzz_number(r);
	uint8_t flip = (uint8_t)fuzz_pick(r, 256);
	AUTO_BUF struct buf *b = NULL;

	rec.len = (uint32_t)reader_left(r);
	b = buf_new(journal_codec_room(rec.len));
	MUST(b);
	MUST(journal_codec_seal(key(), pos, &rec, r->p, b) == 0);
	check_opens(&rec, pos, b, r->p);
	check_changed(pos, b, at % b->len, flip);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(data, size);

	fuzz_start();
	if (!pool.keys) {
		pool.id = fuzz_pool_id;
		pool.geo.cipher = CIPHER_AES_256_GCM;
		pool.keys = fuzz_keys();
	}
	switch (fuzz_pick(&r, MODES)) {
	case MODE_NAME:
		try_name(&r);
		break;
	case MODE_HEAD:
		get_head(r.p, reader_left(&r));
		break;
	case MODE_MACED:
		try_maced(&r);
		break;
	case MODE_RECORD:
		try_record(&r);
		break;
	default:
		try_sealed(&r);
	}
	return 0;
}
