/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest.c - encoding, checking and reading of manifests. The layout is in
 * manifest_format.h.
 *
 * One function says what a manifest may hold (check): the encoder refuses to
 * write what the decoder would refuse to read, before a superblock points to
 * it.
 */
#include "meta/manifest.h"

#include <string.h>

#include "base/mem.h"
#include "backend/keyring.h"
#include "meta/index.h"
#include "meta/manifest_format.h"

void manifest_release(struct manifest *m)
{
	mem_free(m->region);
	mem_free(m->segment);
	*m = (struct manifest){0};
}

int manifest_hash_region(const void *plain, uint8_t out[REGION_HASH])
{
	uint8_t full[32];
	int rc = sha256(plain, INDEX_REGION, full);

	memcpy(out, full, REGION_HASH);
	return rc;
}

/* ---- what a manifest may hold ---- */

static bool segment_valid(const struct seg_desc *d)
{
	return d->kind == SEG_INDEX && d->stripe.v != 0;
}

static bool chunk_valid(const struct chunk_ref *ref, const struct seg_desc *d)
{
	return ref->codec <= CODEC_ZSTD && ref->stored_len > AEAD_TAG &&
	       ref->stored_len <= ref->plain_len + AEAD_TAG &&
	       ref->pos <= d->table_pos &&
	       ref->stored_len <= d->table_pos - ref->pos;
}

/* Adds a region's bytes to its segment's account. */
static bool region_valid(const struct manifest *m, const struct region_entry *e,
			 uint64_t *live)
{
	if (e->segment >= m->segments || e->ref.plain_len != INDEX_REGION ||
	    !chunk_valid(&e->ref, &m->segment[e->segment].desc))
		return false;
	live[e->segment] += e->ref.stored_len;
	return true;
}

static bool kept_valid(const struct manifest_kept *k)
{
	const struct manifest_ref *r = &k->ref;

	return r->present && segment_valid(&r->segment) &&
	       r->chunk.plain_len > 0 && r->chunk.plain_len <= SEG_CHUNK_MAX &&
	       chunk_valid(&r->chunk, &r->segment);
}

/* 0, -ERR_RANGE or -ENOMEM. */
static int check(const struct manifest *m)
{
	AUTO_FREE uint64_t *live = mem_calloc(m->segments + 1, sizeof(*live));
	bool ok = m->seq > 0 && m->bytes_from > 0 &&
		  m->bytes_from - 1 <= m->seq && m->regions > 0 &&
		  m->kept <= MANIFEST_KEPT;

	if (!live)
		return -ENOMEM;
	for (uint32_t i = 0; ok && i < m->regions; i++)
		ok = region_valid(m, &m->region[i], live);
	for (uint32_t i = 0; ok && i < m->segments; i++)
		ok = segment_valid(&m->segment[i].desc) &&
		     live[i] == m->segment[i].live && live[i] > 0;
	for (unsigned i = 0; ok && i < m->kept; i++)
		ok = kept_valid(&m->keep[i]);
	return ok ? 0 : -ERR_RANGE;
}

/* ---- encoding ---- */

static int encode_head(const struct manifest *m, struct bytes *out)
{
	uint8_t raw[sizeof(struct manifest_head)];
	struct writer w = writer_of(raw, sizeof(raw));

	writer_u64(&w, MANIFEST_MAGIC);
	writer_u32(&w, MANIFEST_VERSION);
	writer_u32(&w, INDEX_REGION);
	writer_u64(&w, m->seq);
	writer_bytes(&w, m->epoch_id, sizeof(m->epoch_id));
	writer_u64(&w, m->bytes_from);
	writer_u64(&w, (uint64_t)m->created_ns);
	writer_u32(&w, m->regions);
	writer_u32(&w, m->segments);
	writer_u32(&w, m->kept);
	writer_u32(&w, 0);
	return bytes_add(out, raw, writer_len(&w));
}

static uint32_t pack_len(const struct chunk_ref *ref)
{
	return ref->stored_len << 1 | (uint32_t)ref->codec;
}

static void unpack_len(uint32_t v, struct chunk_ref *ref)
{
	ref->stored_len = v >> 1;
	ref->codec = v & 1 ? CODEC_ZSTD : CODEC_RAW;
}

static int encode_segments(const struct manifest *m, struct bytes *out)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < m->segments; i++) {
		rc = bytes_add_u32(out, m->segment[i].live);
		if (rc == 0)
			rc = seg_desc_encode(&m->segment[i].desc, out);
	}
	return rc;
}

static int encode_regions(const struct manifest *m, struct bytes *out)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < m->regions; i++) {
		const struct region_entry *e = &m->region[i];
		uint8_t raw[sizeof(struct manifest_region)];
		struct writer w = writer_of(raw, sizeof(raw));

		writer_u32(&w, e->segment);
		writer_u32(&w, e->ref.pos);
		writer_u32(&w, pack_len(&e->ref));
		writer_bytes(&w, e->hash, REGION_HASH);
		rc = bytes_add(out, raw, writer_len(&w));
	}
	return rc;
}

static int encode_kept(const struct manifest *m, struct bytes *out)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < m->kept; i++) {
		const struct manifest_kept *k = &m->keep[i];
		uint8_t raw[64];
		struct writer w = writer_of(raw, sizeof(raw));

		writer_u64(&w, (uint64_t)k->created_ns);
		writer_u64(&w, k->ref.seq);
		writer_bytes(&w, k->ref.epoch_id, sizeof(k->ref.epoch_id));
		writer_u32(&w, k->ref.chunk.pos);
		writer_u32(&w, pack_len(&k->ref.chunk));
		writer_u32(&w, k->ref.chunk.plain_len);
		rc = bytes_add(out, raw, writer_len(&w));
		if (rc == 0)
			rc = seg_desc_encode(&k->ref.segment, out);
	}
	return rc;
}

int manifest_encode(const struct manifest *m, struct bytes *out)
{
	int rc = check(m);

	if (rc < 0)
		return rc == -ERR_RANGE ? -EINVAL : rc;
	rc = bytes_reserve(out,
			   sizeof(struct manifest_head) +
				   (size_t)m->segments * (4 + SEG_DESC_MAX) +
				   (size_t)m->regions *
					   sizeof(struct manifest_region));
	if (rc == 0)
		rc = encode_head(m, out);
	if (rc == 0)
		rc = encode_segments(m, out);
	if (rc == 0)
		rc = encode_regions(m, out);
	return rc < 0 ? rc : encode_kept(m, out);
}

/* ---- decoding ---- */

static int decode_head(struct reader *r, struct manifest *m)
{
	uint64_t magic = reader_u64(r);
	uint32_t version = reader_u32(r), region_bytes = reader_u32(r);

	if (r->bad)
		return -ERR_TRUNCATED;
	if (magic != MANIFEST_MAGIC)
		return -ERR_FORMAT;
	if (version != MANIFEST_VERSION || region_bytes != INDEX_REGION)
		return -ERR_FEATURE;
	m->seq = reader_u64(r);
	reader_bytes(r, m->epoch_id, sizeof(m->epoch_id));
	m->bytes_from = reader_u64(r);
	m->created_ns = (int64_t)reader_u64(r);
	m->regions = reader_u32(r);
	m->segments = reader_u32(r);
	m->kept = reader_u32(r);
	if (reader_u32(r) != 0)
		return -ERR_RANGE;
	if (r->bad)
		return -ERR_TRUNCATED;
	return m->kept <= MANIFEST_KEPT ? 0 : -ERR_RANGE;
}

/* Room for what the head announces, if the bytes to fill it can be there. */
static int make_room(const struct reader *r, struct manifest *m)
{
	uint64_t least = (uint64_t)m->regions * sizeof(struct manifest_region) +
			 (uint64_t)m->segments * (4 + SEG_DESC_MIN);

	if (least > reader_left(r))
		return -ERR_TRUNCATED;
	m->region = mem_calloc(m->regions, sizeof(*m->region));
	m->segment = mem_calloc(m->segments, sizeof(*m->segment));
	return m->region && m->segment ? 0 : -ENOMEM;
}

static int decode_segments(struct reader *r, struct manifest *m)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < m->segments; i++) {
		m->segment[i].live = reader_u32(r);
		rc = seg_desc_decode(r, &m->segment[i].desc);
	}
	return rc;
}

static void decode_regions(struct reader *r, struct manifest *m)
{
	for (uint32_t i = 0; i < m->regions; i++) {
		struct region_entry *e = &m->region[i];

		e->segment = reader_u32(r);
		e->ref.pos = reader_u32(r);
		unpack_len(reader_u32(r), &e->ref);
		e->ref.plain_len = INDEX_REGION;
		reader_bytes(r, e->hash, REGION_HASH);
	}
}

static int decode_kept(struct reader *r, struct manifest *m)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < m->kept; i++) {
		struct manifest_kept *k = &m->keep[i];

		k->created_ns = (int64_t)reader_u64(r);
		k->ref.present = true;
		k->ref.seq = reader_u64(r);
		reader_bytes(r, k->ref.epoch_id, sizeof(k->ref.epoch_id));
		k->ref.chunk.pos = reader_u32(r);
		unpack_len(reader_u32(r), &k->ref.chunk);
		k->ref.chunk.plain_len = reader_u32(r);
		rc = seg_desc_decode(r, &k->ref.segment);
	}
	return rc;
}

static int decode(struct reader *r, struct manifest *m)
{
	int rc = decode_head(r, m);

	if (rc == 0)
		rc = make_room(r, m);
	if (rc == 0)
		rc = decode_segments(r, m);
	if (rc < 0)
		return rc;
	decode_regions(r, m);
	rc = decode_kept(r, m);
	if (r->bad)
		return -ERR_TRUNCATED;
	if (rc < 0)
		return rc;
	return reader_left(r) ? -ERR_FORMAT : check(m);
}

int manifest_decode(const void *data, size_t len, struct manifest *out)
{
	struct reader r = reader_of(data, len);
	int rc;

	*out = (struct manifest){0};
	rc = decode(&r, out);
	if (rc < 0)
		manifest_release(out);
	return rc;
}

/* ---- reading from the pool ---- */

static int decode_for(const struct manifest_ref *ref, const void *data,
		      struct manifest *out)
{
	int rc = manifest_decode(data, ref->chunk.plain_len, out);

	if (rc < 0)
		return rc;
	if (out->seq == ref->seq &&
	    memcmp(out->epoch_id, ref->epoch_id, sizeof(ref->epoch_id)) == 0)
		return 0;
	manifest_release(out);
	return -ERR_CORRUPT;
}

int manifest_load(struct store *s, const struct manifest_ref *ref,
		  struct manifest *out, uint8_t hash_out[32])
{
	AUTO_FREE uint8_t *data = NULL;
	struct manifest_kept as_kept = {.ref = *ref};
	int rc;

	*out = (struct manifest){0};
	if (!kept_valid(&as_kept))
		return -ERR_RANGE;
	data = mem_alloc(ref->chunk.plain_len);
	if (!data)
		return -ENOMEM;
	rc = store_read_chunk(s, &ref->segment, MANIFEST_DATA_SELF, 0,
			      &ref->chunk, data);
	if (rc == 0 && hash_out)
		rc = sha256(data, ref->chunk.plain_len, hash_out);
	return rc < 0 ? rc : decode_for(ref, data, out);
}

bool manifest_adjoins(const struct manifest *m, uint32_t region)
{
	const struct region_entry *a = &m->region[region], *b = a + 1;

	return region + 1 < m->regions && a->segment == b->segment &&
	       a->ref.pos + a->ref.stored_len == b->ref.pos;
}

static int compare_hash(const struct region_entry *e, const uint8_t *plain)
{
	uint8_t hash[REGION_HASH];
	int rc = manifest_hash_region(plain, hash);

	if (rc < 0)
		return rc;
	return memcmp(hash, e->hash, REGION_HASH) == 0 ? 0 : -ERR_CORRUPT;
}

int manifest_read_regions(struct store *s, const struct manifest *m,
			  uint32_t first, unsigned n, void *out)
{
	struct chunk_ref ref[MANIFEST_RUN];
	int rc;

	if (n == 0 || n > MANIFEST_RUN || first >= m->regions ||
	    n > m->regions - first)
		return -EINVAL;
	for (unsigned i = 0; i < n; i++) {
		if (i + 1 < n && !manifest_adjoins(m, first + i))
			return -EINVAL;
		ref[i] = m->region[first + i].ref;
	}
	rc = store_read_run(s, &m->segment[m->region[first].segment].desc,
			    MANIFEST_DATA_REGION,
			    (uint64_t)first * INDEX_REGION, ref, n, out);
	for (unsigned i = 0; rc == 0 && i < n; i++)
		rc = compare_hash(&m->region[first + i],
				  (uint8_t *)out + (size_t)i * INDEX_REGION);
	return rc;
}

int manifest_read_region(struct store *s, const struct manifest *m,
			 uint32_t region, void *out)
{
	return manifest_read_regions(s, m, region, 1, out);
}
