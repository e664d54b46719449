/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/fragment.h"

#include <string.h>

#include "base/mem.h"
#include "backend/checksum.h"

#define HEADER_PURPOSE "fragment header"
#define CRC_SIZE       4u

/* ---- shape ---- */

static uint32_t align_up(uint32_t n)
{
	return (n + FRAG_ALIGN - 1) / FRAG_ALIGN * FRAG_ALIGN;
}

static uint32_t range_len(const struct seg_desc *d, unsigned i)
{
	return d->bound[i] - fragment_start(d, i);
}

uint32_t fragment_longest(const struct seg_desc *d)
{
	uint32_t longest = 0;

	for (unsigned i = 0; i < d->k; i++)
		longest = MAX(longest, range_len(d, i));
	return longest;
}

uint32_t fragment_data_len(const struct seg_desc *d, unsigned i)
{
	return i < d->k ? range_len(d, i) : fragment_longest(d);
}

uint32_t fragment_padded_len(const struct seg_desc *d, unsigned i)
{
	return align_up(fragment_data_len(d, i));
}

static uint32_t block_count(uint32_t padded)
{
	return (padded + FRAG_CRC_BLOCK - 1) / FRAG_CRC_BLOCK;
}

uint32_t fragment_table_len(const struct seg_desc *d, unsigned i)
{
	return align_up(block_count(fragment_padded_len(d, i)) * CRC_SIZE);
}

uint32_t fragment_table_off(const struct seg_desc *d, unsigned i)
{
	return FRAG_HEADER + fragment_padded_len(d, i);
}

uint32_t fragment_file_len(const struct seg_desc *d, unsigned i)
{
	return fragment_table_off(d, i) + fragment_table_len(d, i);
}

int fragment_find(const struct seg_desc *d, uint32_t pos, uint32_t len)
{
	for (unsigned i = 0; i < d->k; i++) {
		if (pos >= fragment_start(d, i) && pos < d->bound[i])
			return len <= d->bound[i] - pos ? (int)i : -ERR_RANGE;
	}
	return -ERR_RANGE;
}

uint32_t fragment_block_len(const struct seg_desc *d, unsigned i, uint32_t b)
{
	uint32_t padded = fragment_padded_len(d, i);

	if (b >= block_count(padded))
		return 0;
	return MIN(padded - b * FRAG_CRC_BLOCK, (uint32_t)FRAG_CRC_BLOCK);
}

bool fragment_block_good(const struct seg_desc *d, unsigned i,
			 const uint8_t *table, uint32_t b, const uint8_t *block)
{
	return get_le32(table + b * CRC_SIZE) ==
	       crc32c(block, fragment_block_len(d, i, b));
}

/* ---- tags ---- */

static int tag_key(const struct seg_context *cx, const struct seg_desc *d,
		   struct aead **out)
{
	uint8_t stripe[8];

	put_le64(stripe, d->stripe.v);
	return keyring_aead(cx->keys, cx->cipher, "fragment", d->salt, stripe,
			    sizeof(stripe), out);
}

static int tag_all(const struct seg_context *cx, const struct seg_desc *d,
		   struct buf *const *file, struct frag_tags *tags)
{
	struct aead *key;
	int rc = tag_key(cx, d, &key);

	if (rc)
		return rc;
	for (unsigned i = 0; i < fragment_count(d) && rc == 0; i++) {
		uint8_t nonce[AEAD_NONCE];

		aead_nonce_position(nonce, i);
		rc = aead_tag(key, nonce, file[i]->data + FRAG_HEADER,
			      fragment_data_len(d, i), tags->tag[i]);
	}
	aead_free(key);
	return rc;
}

/*
 * The tag is that of an empty message with the data as associated data, so
 * opening such a message is the check, in constant time.
 */
int fragment_tag_check(const struct seg_context *cx, const struct seg_desc *d,
		       unsigned i, const struct frag_tags *tags,
		       const uint8_t *data)
{
	struct aad all = {data, fragment_data_len(d, i)};
	uint8_t nonce[AEAD_NONCE], none[1];
	struct aead *key;
	int rc = tag_key(cx, d, &key);

	if (rc)
		return rc;
	aead_nonce_position(nonce, i);
	rc = aead_open(key, nonce, all, tags->tag[i], AEAD_TAG, none);
	aead_free(key);
	return rc;
}

/* ---- making ---- */

static void header_fill(struct frag_header *h, const struct seg_context *cx,
			const struct seg_desc *d, unsigned i)
{
	*h = (struct frag_header){
		.magic = htole64(FRAG_MAGIC),
		.version = htole32(FRAG_VERSION),
		.key_epoch = htole32(d->key_epoch),
		.segment = htole64(d->id.v),
		.stripe = htole64(d->stripe.v),
		.kind = (uint8_t)d->kind,
		.k = d->k,
		.m = d->m,
		.index = (uint8_t)i,
		.payload_len = htole32(d->payload_len),
		.table_pos = htole32(d->table_pos),
		.data_len = htole32(fragment_data_len(d, i)),
	};
	memcpy(h->pool, cx->pool.b, sizeof(h->pool));
	memcpy(h->salt, d->salt, sizeof(h->salt));
	for (unsigned j = 0; j < d->k; j++)
		h->bound[j] = htole32(d->bound[j]);
}

static int header_write(const struct seg_context *cx, const struct seg_desc *d,
			unsigned i, const struct frag_tags *tags, uint8_t *at)
{
	struct frag_header h;
	int rc;

	header_fill(&h, cx, d, i);
	memcpy(h.tag, tags->tag, fragment_count(d) * sizeof(h.tag[0]));
	rc = keyring_mac(cx->keys, HEADER_PURPOSE, &h,
			 offsetof(struct frag_header, mac), h.mac);
	if (rc)
		return rc;
	h.header_crc =
		htole32(crc32c(&h, offsetof(struct frag_header, header_crc)));
	memcpy(at, &h, sizeof(h));
	memset(at + sizeof(h), 0, FRAG_HEADER - sizeof(h));
	return 0;
}

static void table_write(const struct seg_desc *d, unsigned i, uint8_t *file)
{
	uint8_t *data = file + FRAG_HEADER;
	uint8_t *table = file + fragment_table_off(d, i);
	uint32_t len = fragment_data_len(d, i), n;

	memset(data + len, 0, fragment_padded_len(d, i) - len);
	memset(table, 0, fragment_table_len(d, i));
	for (uint32_t b = 0; (n = fragment_block_len(d, i, b)) > 0; b++)
		put_le32(table + b * CRC_SIZE,
			 crc32c(data + b * FRAG_CRC_BLOCK, n));
}

struct buf *fragment_new(const struct seg_desc *d, unsigned i)
{
	return buf_new(fragment_file_len(d, i));
}

int fragment_finish(const struct seg_context *cx, const struct seg_desc *d,
		    unsigned i, const struct frag_tags *tags, struct buf *file)
{
	table_write(d, i, file->data);
	return header_write(cx, d, i, tags, file->data);
}

static int data_fill(const struct seg_desc *d, const uint8_t *payload,
		     struct buf **file)
{
	for (unsigned i = 0; i < fragment_count(d); i++) {
		file[i] = fragment_new(d, i);
		if (!file[i])
			return -ENOMEM;
		if (i < d->k)
			memcpy(file[i]->data + FRAG_HEADER,
			       payload + fragment_start(d, i),
			       fragment_data_len(d, i));
	}
	return 0;
}

/*
 * [off, off+len) of range i, padded with zeros: straight from the file where
 * all of it is there, else by way of scratch (len bytes).
 */
static const uint8_t *window(const struct seg_desc *d, unsigned i,
			     const struct buf *file, uint32_t off, uint32_t len,
			     uint8_t *scratch)
{
	uint32_t have = fragment_data_len(d, i);
	uint32_t part = have > off ? MIN(have - off, len) : 0;

	if (part == len)
		return file->data + FRAG_HEADER + off;
	memcpy(scratch, file->data + FRAG_HEADER + MIN(off, have), part);
	memset(scratch + part, 0, len - part);
	return scratch;
}

/* Block by block, so that short ranges need no padded copy. */
static int parity_fill(const struct seg_desc *d, struct buf *const *file)
{
	uint32_t longest = fragment_longest(d), len;
	AUTO_FREE uint8_t *scratch = NULL;
	const uint8_t *data[EC_DATA_MAX];
	uint8_t *parity[EC_PARITY_MAX];
	int rc = 0;

	if (d->m == 0)
		return 0;
	scratch = mem_alloc((size_t)d->k * FRAG_CRC_BLOCK);
	if (!scratch)
		return -ENOMEM;
	for (uint32_t off = 0; off < longest && rc == 0; off += len) {
		len = MIN(longest - off, (uint32_t)FRAG_CRC_BLOCK);
		for (unsigned i = 0; i < d->k; i++)
			data[i] = window(d, i, file[i], off, len,
					 scratch + i * FRAG_CRC_BLOCK);
		for (unsigned i = 0; i < d->m; i++)
			parity[i] = file[d->k + i]->data + FRAG_HEADER + off;
		rc = erasure_encode(d->k, d->m, len, data, parity);
	}
	return rc;
}

static int build_all(const struct seg_context *cx, const struct seg_desc *d,
		     const uint8_t *payload, struct buf **file)
{
	struct frag_tags tags;
	int rc = data_fill(d, payload, file);

	if (rc == 0)
		rc = parity_fill(d, file);
	if (rc == 0)
		rc = tag_all(cx, d, file, &tags);
	for (unsigned i = 0; i < fragment_count(d) && rc == 0; i++)
		rc = fragment_finish(cx, d, i, &tags, file[i]);
	return rc;
}

int fragment_build(const struct seg_context *cx, const struct seg_desc *d,
		   const uint8_t *payload, struct buf **out)
{
	int rc;

	memset(out, 0, fragment_count(d) * sizeof(*out));
	rc = build_all(cx, d, payload, out);
	for (unsigned i = 0; rc && i < fragment_count(d); i++)
		buf_unref(steal(&out[i]));
	return rc;
}

/* ---- judging ---- */

static bool all_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (p[i])
			return false;
	}
	return true;
}

static int header_authentic(const struct seg_context *cx, const uint8_t *raw,
			    struct frag_header *h)
{
	uint8_t mac[KEY_MAC];
	int rc;

	memcpy(h, raw, sizeof(*h));
	if (le64toh(h->magic) != FRAG_MAGIC)
		return -ERR_FORMAT;
	if (le32toh(h->version) != FRAG_VERSION)
		return -ERR_FEATURE;
	if (le32toh(h->header_crc) !=
		    crc32c(h, offsetof(struct frag_header, header_crc)) ||
	    !all_zero(raw + sizeof(*h), FRAG_HEADER - sizeof(*h)))
		return -ERR_CORRUPT;
	rc = keyring_mac(cx->keys, HEADER_PURPOSE, h,
			 offsetof(struct frag_header, mac), mac);
	if (rc)
		return rc;
	if (!mac_equal(mac, h->mac, sizeof(mac)) ||
	    memcmp(h->pool, cx->pool.b, sizeof(h->pool)) != 0)
		return -ERR_AUTH;
	return 0;
}

static bool header_in_range(const struct frag_header *h)
{
	uint32_t end = 0, payload_len = le32toh(h->payload_len);

	if (h->kind != SEG_DATA && h->kind != SEG_INDEX)
		return false;
	if (h->k < 1 || h->k > EC_DATA_MAX || h->m > EC_PARITY_MAX ||
	    h->index >= h->k + h->m || h->stripe == 0 ||
	    payload_len > SEG_PAYLOAD_MAX ||
	    le32toh(h->table_pos) > payload_len)
		return false;
	for (unsigned i = 0; i < h->k; i++) {
		if (le32toh(h->bound[i]) < end)
			return false;
		end = le32toh(h->bound[i]);
	}
	return end == payload_len;
}

static void header_to_desc(const struct frag_header *h, struct seg_desc *d)
{
	*d = (struct seg_desc){
		.id.v = le64toh(h->segment),
		.stripe.v = le64toh(h->stripe),
		.kind = h->kind,
		.k = h->k,
		.m = h->m,
		.key_epoch = le32toh(h->key_epoch),
		.payload_len = le32toh(h->payload_len),
		.table_pos = le32toh(h->table_pos),
	};
	memcpy(d->salt, h->salt, sizeof(d->salt));
	for (unsigned i = 0; i < h->k; i++)
		d->bound[i] = le32toh(h->bound[i]);
}

int fragment_header_parse(const struct seg_context *cx, const void *header,
			  size_t len, struct seg_desc *d_out, unsigned *i_out,
			  struct frag_tags *tags_out)
{
	struct frag_header h;
	int rc;

	if (len < FRAG_HEADER)
		return -ERR_TRUNCATED;
	rc = header_authentic(cx, header, &h);
	if (rc)
		return rc;
	if (!header_in_range(&h))
		return -ERR_RANGE;
	header_to_desc(&h, d_out);
	if (le32toh(h.data_len) != fragment_data_len(d_out, h.index))
		return -ERR_RANGE;
	*i_out = h.index;
	if (tags_out)
		memcpy(tags_out->tag, h.tag, sizeof(h.tag));
	return 0;
}

/* But for the homes, which a header does not know. */
static bool same_stripe(const struct seg_desc *a, const struct seg_desc *b)
{
	return a->id.v == b->id.v && a->stripe.v == b->stripe.v &&
	       a->kind == b->kind && a->k == b->k && a->m == b->m &&
	       a->key_epoch == b->key_epoch &&
	       a->payload_len == b->payload_len &&
	       a->table_pos == b->table_pos &&
	       memcmp(a->salt, b->salt, sizeof(a->salt)) == 0 &&
	       memcmp(a->bound, b->bound, a->k * sizeof(a->bound[0])) == 0;
}

int fragment_header_check(const struct seg_context *cx,
			  const struct seg_desc *d, unsigned i,
			  const void *header, struct frag_tags *tags_out)
{
	struct seg_desc found;
	unsigned index;
	int rc = fragment_header_parse(cx, header, FRAG_HEADER, &found, &index,
				       tags_out);

	if (rc)
		return rc;
	return index == i && same_stripe(d, &found) ? 0 : -ERR_AUTH;
}

static int table_check(const struct seg_desc *d, unsigned i,
		       const uint8_t *file)
{
	const uint8_t *data = file + FRAG_HEADER;
	const uint8_t *table = file + fragment_table_off(d, i);
	uint32_t len = fragment_data_len(d, i), used = 0;

	for (uint32_t b = 0; fragment_block_len(d, i, b) > 0; b++) {
		if (!fragment_block_good(d, i, table, b,
					 data + b * FRAG_CRC_BLOCK))
			return -ERR_CORRUPT;
		used += CRC_SIZE;
	}
	if (!all_zero(data + len, fragment_padded_len(d, i) - len) ||
	    !all_zero(table + used, fragment_table_len(d, i) - used))
		return -ERR_CORRUPT;
	return 0;
}

int fragment_file_check(const struct seg_context *cx, const struct seg_desc *d,
			unsigned i, const uint8_t *file, size_t len)
{
	struct frag_tags tags;
	int rc;

	if (len < fragment_file_len(d, i))
		return -ERR_TRUNCATED;
	if (len > fragment_file_len(d, i))
		return -ERR_CORRUPT;
	rc = fragment_header_check(cx, d, i, file, &tags);
	if (rc == 0)
		rc = table_check(d, i, file);
	if (rc == 0)
		rc = fragment_tag_check(cx, d, i, &tags, file + FRAG_HEADER);
	return rc;
}
