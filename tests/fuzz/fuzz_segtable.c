/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sealed table at a segment's end: seg_table_open.
 *
 * raw      table_pos (number), then the sealed tail
 * sealed   table_pos (number), then the entries in plain
 *
 * What is listed ascends, does not overlap, lies before the table, and is
 * spelled as in the bytes.
 */
#include "fuzz/fuzz.h"

#include <string.h>

#include "backend/seg_impl.h"

enum {
	MODE_RAW,
	MODE_SEALED,
	MODES
};

struct listing {
	const struct seg_desc *d;
	const uint8_t *entries; /* NULL: not known */
	uint32_t n, end;
};

static void check_entry(const struct listing *l, uint64_t data_id,
			uint64_t offset, const struct chunk_ref *ref)
{
	struct seg_table_entry e = {
		.data_id = htole64(data_id),
		.offset = htole64(offset),
		.position = htole32(ref->pos),
		.stored_len_codec =
			htole32(ref->stored_len << 1 | (uint32_t)ref->codec),
	};
	uint32_t plain = htole32(ref->plain_len - 1);

	memcpy(e.plain_len, &plain, sizeof(e.plain_len));
	MUST(memcmp(&e, l->entries + l->n * sizeof(e), sizeof(e)) == 0);
}

static int each(void *arg, uint64_t data_id, uint64_t offset,
		const struct chunk_ref *ref)
{
	struct listing *l = arg;

	MUST(ref->plain_len >= 1 && ref->plain_len <= SEG_CHUNK_MAX);
	MUST(ref->pos >= l->end && ref->stored_len > AEAD_TAG);
	MUST(ref->pos <= l->d->table_pos &&
	     ref->stored_len <= l->d->table_pos - ref->pos);
	if (l->entries)
		check_entry(l, data_id, offset, ref);
	l->end = ref->pos + ref->stored_len;
	l->n++;
	return 0;
}

static int list(struct listing *l, const uint8_t *sealed)
{
	struct seg_context cx;
	int rc;

	fuzz_context(&cx);
	rc = seg_table_open(&cx, l->d, sealed, each, l);
	FUZZ_ONE_OF(rc, 0, -ERR_AUTH, -ERR_CORRUPT);
	return rc;
}

static void read_desc(struct reader *r, size_t tail, struct seg_desc *d)
{
	*d = (struct seg_desc){
		.id = {3},
		.kind = SEG_DATA,
		.key_epoch = 1,
		.table_pos = (uint32_t)fuzz_number(r),
	};
	d->payload_len = d->table_pos + (uint32_t)(reader_left(r) + tail);
}

static void try_raw(struct reader *r)
{
	struct seg_desc d;
	struct listing l = {.d = &d};
	AUTO_FREE uint8_t *sealed = NULL;

	read_desc(r, 0, &d);
	sealed = fuzz_copy(r->p, reader_left(r));
	(void)list(&l, sealed);
}

static uint8_t *seal(const struct seg_desc *d, const uint8_t *plain, size_t len)
{
	struct seg_sealed what = {.data_id = SEG_TABLE_DATA_ID,
				  .position = d->table_pos,
				  .plain_len = (uint32_t)len,
				  .codec = CODEC_RAW};
	uint8_t *sealed = mem_zalloc(SEG_TABLE_SALT + len + AEAD_TAG);
	uint8_t nonce[AEAD_NONCE];
	struct seg_context cx;
	struct seg_aad aad;
	struct aead *key;

	MUST(sealed);
	fuzz_context(&cx);
	MUST(seg_table_key(&cx, d->salt, sealed, &key) == 0);
	aead_nonce_position(nonce, d->table_pos);
	seg_aad_fill(&aad, &cx, d, &what);
	MUST(aead_seal(key, nonce, (struct aad){&aad, sizeof(aad)}, plain, len,
		       sealed + SEG_TABLE_SALT) == 0);
	aead_free(key);
	return sealed;
}

static void try_sealed(struct reader *r)
{
	struct seg_desc d;
	struct listing l = {.d = &d};
	AUTO_FREE uint8_t *sealed = NULL;
	size_t len;

	read_desc(r, SEG_TABLE_SALT + AEAD_TAG, &d);
	len = reader_left(r);
	l.entries = r->p;
	sealed = seal(&d, r->p, len);
	if (list(&l, sealed) == 0)
		MUST(l.n * sizeof(struct seg_table_entry) == len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(data, size);

	fuzz_start();
	if (fuzz_pick(&r, MODES) == MODE_RAW)
		try_raw(&r);
	else
		try_sealed(&r);
	return 0;
}
