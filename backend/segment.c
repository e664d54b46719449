/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The open segment.
 *
 * States:  OPEN -> ENDED (a seal failed) -> FINISHED
 *          OPEN -> RESTORED (seg_build_restore) -> FINISHED
 *          OPEN -> FINISHED
 *
 * Invariants:
 * (1) The memory of payload and entries never moves; bytes below len and
 *     entries below count never change while chunks are added. Both are raised
 *     last, so whoever knows a chunk or its number reads it without a lock.
 * (2) No position is sealed twice (C9): len passes a chunk's bytes whether its
 *     sealing succeeded or not, and the table has a key of its own for every
 *     sealing (seg_format.h).
 * (3) Memory: payload room is cap + a tag for each chunk + what may come
 *     behind, either the table or one chunk that is still being compressed.
 */
#include "backend/seg_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail_seam.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/rnd.h"
#include "backend/compress.h"

#define CHUNKS_BASE  1024u
#define BYTES_BEHIND 256u /* one more chunk for so many bytes of cap */

uint32_t seg_count_max(uint32_t cap)
{
	return cap / BYTES_BEHIND + CHUNKS_BASE;
}

static uint32_t table_room(uint32_t count)
{
	return SEG_TABLE_SALT + AEAD_TAG +
	       count * (uint32_t)sizeof(struct seg_table_entry);
}

_Static_assert(
	SEG_PAYLOAD_MAX / 2 +
			(SEG_PAYLOAD_MAX / 2 / BYTES_BEHIND + CHUNKS_BASE + 1) *
				(AEAD_TAG + sizeof(struct seg_table_entry)) +
			SEG_TABLE_SALT <
		SEG_PAYLOAD_MAX,
	"a full segment with its table is accepted by readers");

/* The end of the last chunk of a full segment. */
static uint32_t chunks_room(uint32_t cap)
{
	return cap + seg_count_max(cap) * AEAD_TAG;
}

static size_t payload_room(uint32_t cap)
{
	size_t chunk = MIN(cap, SEG_CHUNK_MAX) + AEAD_TAG;

	return chunks_room(cap) + MAX(chunk, table_room(seg_count_max(cap)));
}

int seg_build_new(const struct seg_context *cx, enum seg_kind kind,
		  struct seg_id id, uint32_t cap, const uint8_t *salt,
		  struct seg_build **out)
{
	struct seg_build *b;
	int rc;

	if (cap == 0 || cap > SEG_PAYLOAD_MAX / 2)
		return -EINVAL;
	b = mem_zalloc(sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->cx = *cx;
	b->kind = kind;
	b->id = id;
	b->cap = cap;
	if (salt)
		memcpy(b->salt, salt, KEY_SALT);
	else
		rnd_bytes(b->salt, KEY_SALT);
	b->payload_buf = buf_new(payload_room(cap));
	b->entry_buf = buf_new(seg_count_max(cap) * sizeof(*b->entry));
	if (b->payload_buf && b->entry_buf) {
		b->payload = b->payload_buf->data;
		b->entry = (void *)b->entry_buf->data;
	}
	rc = b->entry ? keyring_aead(cx->keys, cx->cipher, "segment", b->salt,
				     NULL, 0, &b->aead)
		      : -ENOMEM;
	if (rc) {
		seg_build_free(b);
		return rc;
	}
	*out = b;
	return 0;
}

void seg_build_free(struct seg_build *b)
{
	if (!b)
		return;
	aead_free(b->aead);
	buf_unref(b->payload_buf);
	buf_unref(b->entry_buf);
	mem_free(b);
}

/* ---- entries ---- */

/* There is room. */
static void entry_add(struct seg_build *b, uint64_t data_id, uint64_t offset,
		      const struct chunk_ref *ref)
{
	uint32_t plain = htole32(ref->plain_len - 1);
	struct seg_table_entry *e = &b->entry[b->count];

	e->data_id = htole64(data_id);
	e->offset = htole64(offset);
	e->position = htole32(ref->pos);
	e->stored_len_codec =
		htole32(ref->stored_len << 1 | (uint32_t)ref->codec);
	memcpy(e->plain_len, &plain, sizeof(e->plain_len));
	b->count++;
}

void seg_entry_get(const struct seg_table_entry *e, uint64_t *data_id,
		   uint64_t *offset, struct chunk_ref *ref)
{
	uint32_t plain = 0;

	memcpy(&plain, e->plain_len, sizeof(e->plain_len));
	*data_id = le64toh(e->data_id);
	*offset = le64toh(e->offset);
	*ref = (struct chunk_ref){
		.pos = le32toh(e->position),
		.stored_len = seg_entry_len(e),
		.plain_len = le32toh(plain) + 1,
		.codec = le32toh(e->stored_len_codec) & 1,
	};
}

void seg_build_entry(const struct seg_build *b, uint32_t i, uint64_t *data_id,
		     uint64_t *offset, struct chunk_ref *ref)
{
	MUST(i < b->count);
	seg_entry_get(&b->entry[i], data_id, offset, ref);
}

static int by_position(const void *a, const void *b)
{
	const struct seg_table_entry *x = a, *y = b;
	uint32_t at = le32toh(x->position), bt = le32toh(y->position);

	return at < bt ? -1 : at > bt;
}

/*
 * What recovery noted: sorted, once each. -ERR_RANGE: chunks overlap. What was
 * added is in order, and perhaps being read.
 */
static int settle(struct seg_build *b)
{
	uint32_t kept = 0, end = 0;

	if (b->state != BUILD_RESTORED || b->count == 0)
		return 0;
	qsort(b->entry, b->count, sizeof(*b->entry), by_position);
	for (uint32_t i = 0; i < b->count; i++) {
		const struct seg_table_entry *e = &b->entry[i];

		if (kept && e->position == b->entry[kept - 1].position &&
		    e->stored_len_codec == b->entry[kept - 1].stored_len_codec)
			continue; /* noted twice */
		if (le32toh(e->position) < end)
			return -ERR_RANGE;
		end = seg_entry_end(e);
		b->entry[kept++] = *e;
	}
	b->count = kept;
	return 0;
}

/* ---- adding ---- */

static struct seg_desc desc_of(const struct seg_build *b)
{
	struct seg_desc d = {
		.id = b->id, .kind = b->kind, .key_epoch = b->cx.key_epoch};

	memcpy(d.salt, b->salt, KEY_SALT);
	return d;
}

/* Seals in (may be in place) to ref->pos; the position is used up anyway. */
static int seal_chunk(struct seg_build *b, uint64_t data_id, uint64_t offset,
		      const struct chunk_ref *ref, const void *in)
{
	struct seg_sealed what = {data_id, offset, ref->pos, ref->plain_len,
				  ref->codec};
	struct seg_desc d = desc_of(b);
	uint8_t nonce[AEAD_NONCE];
	struct seg_aad aad;
	int rc;

	MUST(ref->pos >= b->len); /* (2) */
	seg_aad_fill(&aad, &b->cx, &d, &what);
	aead_nonce_position(nonce, ref->pos);
	rc = aead_seal(b->aead, nonce, (struct aad){&aad, sizeof(aad)}, in,
		       ref->stored_len - AEAD_TAG, b->payload + ref->pos);
	if (rc)
		memset(b->payload + ref->pos, 0, ref->stored_len);
	b->len = ref->pos + ref->stored_len;
	return rc;
}

/* Is there room for so many bytes without their tag? */
static bool fits(const struct seg_build *b, uint32_t bytes)
{
	return b->len - b->count * AEAD_TAG + bytes <= b->cap &&
	       b->count < seg_count_max(b->cap);
}

static struct fail_seam flip_seam;

void seg_flip_at(uint64_t n)
{
	fail_seam_set(&flip_seam, n, EIO, 0);
}

/* What is to be sealed, with a bit flipped if a test wants it. */
static const void *maybe_flip(struct seg_build *b, const struct chunk_ref *ref,
			      const void *in)
{
	if (!fail_seam_hit(&flip_seam))
		return in;
	memmove(b->payload + ref->pos, in, ref->stored_len - AEAD_TAG);
	b->payload[ref->pos] ^= 1;
	return b->payload + ref->pos;
}

static int verify_chunk(struct seg_build *b, uint64_t data_id, uint64_t offset,
			const struct chunk_ref *ref, const void *plain)
{
	AUTO_FREE uint8_t *again = mem_alloc(ref->plain_len);
	int rc = again ? seg_build_read(b, data_id, offset, ref, again)
		       : -ENOMEM;

	if (rc == -ENOMEM ||
	    (rc == 0 && memcmp(again, plain, ref->plain_len) == 0))
		return rc;
	log_event(LOG_LVL_ERROR, "memory_fault", "segment=%llu rc=%s",
		  (unsigned long long)b->id.v, err_name(rc));
	return -ERR_CORRUPT;
}

int seg_build_add(struct seg_build *b, uint64_t data_id, uint64_t offset,
		  const void *plain, uint32_t len, int level,
		  struct chunk_ref *out)
{
	struct chunk_ref ref = {.pos = b->len, .plain_len = len};
	uint32_t packed;
	int rc;

	if (b->state != BUILD_OPEN)
		return -EIO;
	if (len == 0 || len > MIN(b->cap, SEG_CHUNK_MAX))
		return -EINVAL;
	packed =
		(uint32_t)compress_try(level, plain, len, b->payload + ref.pos);
	ref.codec = packed ? CODEC_ZSTD : CODEC_RAW;
	ref.stored_len = (packed ? packed : len) + AEAD_TAG;
	if (!fits(b, ref.stored_len - AEAD_TAG))
		return -ENOSPC;
	rc = seal_chunk(b, data_id, offset, &ref,
			maybe_flip(b, &ref,
				   packed ? b->payload + ref.pos : plain));
	if (rc == 0 && b->cx.verify)
		rc = verify_chunk(b, data_id, offset, &ref, plain);
	if (rc) {
		b->state = BUILD_ENDED;
		return rc;
	}
	entry_add(b, data_id, offset, &ref);
	*out = ref;
	return 0;
}

/* ---- recovery ---- */

int seg_build_restore(struct seg_build *b, uint32_t pos, const void *sealed,
		      uint32_t len)
{
	uint32_t have = b->len;

	if (b->state != BUILD_RESTORED && (b->state != BUILD_OPEN || have))
		return -EINVAL;
	if (pos < have || pos > chunks_room(b->cap) ||
	    len > chunks_room(b->cap) - pos)
		return -ERR_RANGE;
	b->state = BUILD_RESTORED;
	memset(b->payload + have, 0, pos - have);
	memcpy(b->payload + pos, sealed, len);
	b->len = pos + len;
	return 0;
}

int seg_build_note(struct seg_build *b, uint64_t data_id, uint64_t offset,
		   const struct chunk_ref *ref)
{
	int rc;

	if (b->state != BUILD_RESTORED)
		return -EINVAL;
	if (!chunk_ref_possible(ref) || ref->pos > b->len ||
	    ref->stored_len > b->len - ref->pos)
		return -ERR_RANGE;
	if (b->count >= seg_count_max(b->cap)) {
		rc = settle(b);
		if (rc)
			return rc;
		if (b->count >= seg_count_max(b->cap))
			return -ENOSPC;
	}
	entry_add(b, data_id, offset, ref);
	return 0;
}

/* ---- finishing ---- */

static int seal_table(struct seg_build *b, uint8_t *at, uint32_t plain_len)
{
	struct seg_sealed what = {.data_id = SEG_TABLE_DATA_ID,
				  .position = b->len,
				  .plain_len = plain_len,
				  .codec = CODEC_RAW};
	struct seg_desc d = desc_of(b);
	uint8_t nonce[AEAD_NONCE];
	struct seg_aad aad;
	struct aead *key;
	int rc;

	rnd_bytes(at, SEG_TABLE_SALT);
	rc = seg_table_key(&b->cx, b->salt, at, &key);
	if (rc)
		return rc;
	seg_aad_fill(&aad, &b->cx, &d, &what);
	aead_nonce_position(nonce, what.position);
	rc = aead_seal(key, nonce, (struct aad){&aad, sizeof(aad)}, b->entry,
		       plain_len, at + SEG_TABLE_SALT);
	aead_free(key);
	return rc;
}

int seg_build_finish(struct seg_build *b)
{
	uint32_t plain_len;
	int rc;

	if (b->state == BUILD_FINISHED)
		return 0;
	rc = settle(b);
	if (rc)
		return rc;
	plain_len = b->count * (uint32_t)sizeof(*b->entry);
	rc = seal_table(b, b->payload + b->len, plain_len);
	if (rc)
		return rc;
	b->table_pos = b->len;
	b->len += SEG_TABLE_SALT + plain_len + AEAD_TAG;
	b->state = BUILD_FINISHED;
	return 0;
}

/* ---- looking ---- */

uint32_t seg_build_len(const struct seg_build *b)
{
	return b->len;
}

uint32_t seg_build_count(const struct seg_build *b)
{
	return b->count;
}

const uint8_t *seg_build_salt(const struct seg_build *b)
{
	return b->salt;
}

struct seg_id seg_build_id(const struct seg_build *b)
{
	return b->id;
}

const uint8_t *seg_build_at(const struct seg_build *b, uint32_t pos,
			    uint32_t len)
{
	MUST(pos <= b->len && len <= b->len - pos);
	return b->payload + pos;
}

int seg_build_read(struct seg_build *b, uint64_t data_id, uint64_t offset,
		   const struct chunk_ref *ref, void *plain)
{
	struct seg_desc d = desc_of(b);
	uint32_t len = b->len;

	if (ref->pos > len || ref->stored_len > len - ref->pos)
		return -ERR_CORRUPT;
	return chunk_open(&b->cx, &d, data_id, offset, ref,
			  b->payload + ref->pos, plain);
}

void seg_build_describe(const struct seg_build *b, struct seg_desc *out)
{
	*out = desc_of(b);
	out->payload_len = b->len;
	out->table_pos =
		b->state == BUILD_FINISHED ? b->table_pos : out->payload_len;
}
