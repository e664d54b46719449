/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening sealed chunks and tables. All lengths come from outside and are
 * checked before memory is asked for.
 */
#include "backend/seg_impl.h"

#include <string.h>

#include "base/mem.h"
#include "base/mutant.h"
#include "backend/compress.h"
#include "backend/seg_key.h"

void seg_aad_fill(struct seg_aad *aad, const struct seg_context *cx,
		  const struct seg_desc *d, const struct seg_sealed *what)
{
	*aad = (struct seg_aad){
		.segment = htole64(d->id.v),
		.data_id = htole64(what->data_id),
		.offset = htole64(what->offset),
		.position = htole32(what->position),
		.plain_len = htole32(what->plain_len),
		.key_epoch = htole32(d->key_epoch),
		.codec = (uint8_t)what->codec,
		.kind = (uint8_t)d->kind,
	};
	memcpy(aad->pool, cx->pool.b, sizeof(aad->pool));
}

int seg_table_key(const struct seg_context *cx, const uint8_t salt[KEY_SALT],
		  const uint8_t table_salt[SEG_TABLE_SALT], struct aead **out)
{
	if (MUTANT(APPEND_RECOVERED))
		return keyring_aead(cx->keys, cx->cipher, "segment", salt, NULL,
				    0, out);
	return keyring_aead(cx->keys, cx->cipher, "segment table", salt,
			    table_salt, SEG_TABLE_SALT, out);
}

bool chunk_ref_possible(const struct chunk_ref *ref)
{
	if (ref->plain_len == 0 || ref->plain_len > SEG_CHUNK_MAX ||
	    ref->stored_len <= AEAD_TAG)
		return false;
	if (ref->codec == CODEC_RAW)
		return ref->stored_len == ref->plain_len + AEAD_TAG;
	return ref->codec == CODEC_ZSTD &&
	       ref->stored_len - AEAD_TAG < ref->plain_len;
}

/* A chunk on its way from sealed bytes to plain ones. */
struct opening {
	struct aead *key;
	uint8_t nonce[AEAD_NONCE];
	struct seg_aad aad;
};

static int open_raw(struct opening *o, const void *sealed, uint32_t len,
		    void *out)
{
	return aead_open(o->key, o->nonce,
			 (struct aad){&o->aad, sizeof(o->aad)}, sealed, len,
			 out);
}

static int open_packed(struct opening *o, const struct chunk_ref *ref,
		       const void *sealed, void *plain)
{
	AUTO_FREE uint8_t *packed = mem_alloc(ref->stored_len - AEAD_TAG);
	int rc;

	if (!packed)
		return -ENOMEM;
	rc = open_raw(o, sealed, ref->stored_len, packed);
	if (rc)
		return rc;
	return decompress(packed, ref->stored_len - AEAD_TAG, plain,
			  ref->plain_len);
}

int chunk_open(const struct seg_context *cx, const struct seg_desc *d,
	       uint64_t data_id, uint64_t offset, const struct chunk_ref *ref,
	       const void *sealed, void *plain)
{
	struct seg_sealed what = {data_id, offset, ref->pos, ref->plain_len,
				  ref->codec};
	struct opening o;
	int rc;

	if (!chunk_ref_possible(ref))
		return -ERR_CORRUPT;
	rc = seg_key_get(cx, d->salt, &o.key);
	if (rc)
		return rc;
	aead_nonce_position(o.nonce, ref->pos);
	seg_aad_fill(&o.aad, cx, d, &what);
	if (ref->codec == CODEC_RAW)
		rc = open_raw(&o, sealed, ref->stored_len, plain);
	else
		rc = open_packed(&o, ref, sealed, plain);
	seg_key_put(cx, d->salt, o.key);
	return rc;
}

/* ---- the table ---- */

typedef int table_fn(void *arg, uint64_t data_id, uint64_t offset,
		     const struct chunk_ref *ref);

static int list_entries(const struct seg_desc *d, const uint8_t *plain,
			uint32_t count, table_fn *each, void *arg)
{
	struct seg_table_entry e;
	uint32_t end = 0;
	int rc = 0;

	for (uint32_t i = 0; i < count && rc == 0; i++) {
		uint64_t data_id, offset;
		struct chunk_ref ref;

		memcpy(&e, plain + i * sizeof(e), sizeof(e));
		seg_entry_get(&e, &data_id, &offset, &ref);
		if (!chunk_ref_possible(&ref) || ref.pos < end ||
		    ref.pos > d->table_pos ||
		    ref.stored_len > d->table_pos - ref.pos)
			return -ERR_CORRUPT;
		end = ref.pos + ref.stored_len;
		rc = each(arg, data_id, offset, &ref);
	}
	return rc;
}

static int open_table(const struct seg_context *cx, const struct seg_desc *d,
		      const uint8_t *sealed, uint32_t plain_len, uint8_t *plain)
{
	struct seg_sealed what = {.data_id = SEG_TABLE_DATA_ID,
				  .position = d->table_pos,
				  .plain_len = plain_len,
				  .codec = CODEC_RAW};
	struct opening o;
	int rc = seg_table_key(cx, d->salt, sealed, &o.key);

	if (rc)
		return rc;
	aead_nonce_position(o.nonce, d->table_pos);
	seg_aad_fill(&o.aad, cx, d, &what);
	rc = open_raw(&o, sealed + SEG_TABLE_SALT, plain_len + AEAD_TAG, plain);
	aead_free(o.key);
	return rc;
}

int seg_table_open(const struct seg_context *cx, const struct seg_desc *d,
		   const void *sealed, table_fn *each, void *arg)
{
	uint32_t len = d->payload_len - d->table_pos;
	uint32_t plain_len = len - SEG_TABLE_SALT - AEAD_TAG;
	const uint32_t entry = sizeof(struct seg_table_entry);
	AUTO_FREE uint8_t *plain = NULL;
	int rc;

	if (d->payload_len > SEG_PAYLOAD_MAX || d->table_pos > d->payload_len ||
	    len < SEG_TABLE_SALT + AEAD_TAG || plain_len % entry)
		return -ERR_CORRUPT;
	plain = mem_alloc(plain_len);
	if (!plain)
		return -ENOMEM;
	rc = open_table(cx, d, sealed, plain_len, plain);
	if (rc)
		return rc;
	return list_entries(d, plain, plain_len / entry, each, arg);
}
