/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/journal_codec.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/must.h"
#include "meta/journal.h"

#define RECORD_HEAD sizeof(struct journal_record_header)
#define MAC_AT	    offsetof(struct journal_file_header, mac)

/* ---- names ---- */

void journal_codec_name(const struct journal_name *n, char out[JOURNAL_NAME])
{
	int len = snprintf(out, JOURNAL_NAME,
			   JOURNAL_FOLDER "/%016" PRIx64 "-%08" PRIx64,
			   n->epoch, n->file);

	if (n->attempt)
		(void)snprintf(out + len, JOURNAL_NAME - (size_t)len,
			       ".%" PRIx32, n->attempt);
}

/* `min` to 16 lower-case hex digits; moves *at behind them. */
static bool parse_hex(const char **at, unsigned min, uint64_t *out)
{
	const char *digits = "0123456789abcdef";
	unsigned n = 0;

	for (*out = 0; n < 16; n++, ++*at) {
		const char *d = **at ? strchr(digits, **at) : NULL;

		if (!d)
			break;
		*out = *out << 4 | (uint64_t)(d - digits);
	}
	return n >= min;
}

int journal_codec_parse(const char *name, struct journal_name *out)
{
	const size_t folder = strlen(JOURNAL_FOLDER "/");
	uint64_t attempt = 0;
	const char *at = name + folder;

	if (strncmp(name, JOURNAL_FOLDER "/", folder) != 0 ||
	    !parse_hex(&at, 16, &out->epoch) || *at++ != '-' ||
	    !parse_hex(&at, 8, &out->file))
		return -EINVAL;
	if (*at == '.' && (at++, !parse_hex(&at, 1, &attempt)))
		return -EINVAL;
	if (*at || attempt > UINT32_MAX)
		return -EINVAL;
	out->attempt = (uint32_t)attempt;
	return 0;
}

/* ---- file headers ---- */

static int head_mac(const struct pool *p, const uint8_t *block,
		    uint8_t mac[KEY_MAC])
{
	return keyring_mac(p->keys, "journal header", block, MAC_AT, mac);
}

int journal_codec_put_head(const struct pool *p, const struct journal_head *h,
			   uint8_t block[JOURNAL_BLOCK])
{
	struct writer w = writer_of(block, JOURNAL_BLOCK);

	writer_u64(&w, JOURNAL_MAGIC);
	writer_u32(&w, JOURNAL_VERSION);
	writer_u32(&w, 0);
	writer_bytes(&w, p->id.b, sizeof(p->id.b));
	writer_u64(&w, h->epoch);
	writer_bytes(&w, h->epoch_id, sizeof(h->epoch_id));
	writer_u64(&w, h->file);
	writer_u64(&w, h->size);
	writer_u64(&w, h->first_seq);
	writer_bytes(&w, h->chain, sizeof(h->chain));
	writer_bytes(&w, h->salt, sizeof(h->salt));
	MUST(writer_len(&w) == MAC_AT);
	memset(block + MAC_AT, 0, JOURNAL_BLOCK - MAC_AT);
	return head_mac(p, block, block + MAC_AT);
}

static bool head_in_range(const struct journal_head *h)
{
	return h->file > 0 && h->size % JOURNAL_BLOCK == 0 &&
	       h->size >= JOURNAL_BLOCK && h->size <= JOURNAL_SIZE_LIMIT &&
	       h->first_seq > 0;
}

static int check_head(const struct pool *p, const uint8_t *block, size_t len)
{
	struct reader r = reader_of(block, len);
	uint8_t mac[KEY_MAC];
	uint64_t magic = reader_u64(&r);
	uint32_t version = reader_u32(&r);
	int rc;

	if (len < sizeof(struct journal_file_header))
		return -ERR_TRUNCATED;
	if (magic != JOURNAL_MAGIC)
		return -ERR_FORMAT;
	if (version != JOURNAL_VERSION)
		return -ERR_FEATURE;
	(void)reader_u32(&r);
	if (memcmp(reader_take(&r, sizeof(p->id.b)), p->id.b,
		   sizeof(p->id.b)) != 0)
		return -ERR_FOREIGN;
	rc = head_mac(p, block, mac);
	if (rc)
		return rc;
	return mac_equal(mac, block + MAC_AT, KEY_MAC) ? 0 : -ERR_AUTH;
}

int journal_codec_get_head(const struct pool *p, const void *block, size_t len,
			   struct journal_head *out)
{
	struct reader r = reader_of(block, len);
	int rc = check_head(p, block, len);

	if (rc)
		return rc;
	(void)reader_take(&r, offsetof(struct journal_file_header, epoch));
	out->epoch = reader_u64(&r);
	reader_bytes(&r, out->epoch_id, sizeof(out->epoch_id));
	out->file = reader_u64(&r);
	out->size = reader_u64(&r);
	out->first_seq = reader_u64(&r);
	reader_bytes(&r, out->chain, sizeof(out->chain));
	reader_bytes(&r, out->salt, sizeof(out->salt));
	return !r.bad && head_in_range(out) ? 0 : -ERR_RANGE;
}

int journal_codec_key(const struct pool *p, const uint8_t salt[KEY_SALT],
		      struct aead **out)
{
	return keyring_aead(p->keys, p->geo.cipher, "journal", salt, NULL, 0,
			    out);
}

/* ---- records ---- */

uint64_t journal_codec_room(size_t len)
{
	uint64_t bytes = RECORD_HEAD + (uint64_t)len + AEAD_TAG;

	return (bytes + JOURNAL_BLOCK - 1) / JOURNAL_BLOCK * JOURNAL_BLOCK;
}

static void put_record_head(const struct journal_record *r, uint8_t *out)
{
	struct writer w = writer_of(out, RECORD_HEAD);

	writer_u32(&w, JOURNAL_RECORD_MAGIC);
	writer_u32(&w, r->len);
	writer_u64(&w, r->epoch);
	writer_u64(&w, r->file);
	writer_u64(&w, r->seq);
	writer_bytes(&w, r->chain, sizeof(r->chain));
	writer_u64(&w, r->acked);
	writer_zero(&w, 8);
	MUST(!w.full && writer_len(&w) == RECORD_HEAD);
}

int journal_codec_seal(struct aead *a, uint64_t pos, struct journal_record *r,
		       const void *payload, struct buf *into)
{
	struct aad aad = {.data = into->data, .len = RECORD_HEAD};
	uint8_t *sealed = into->data + RECORD_HEAD;
	uint8_t nonce[AEAD_NONCE];
	size_t end = RECORD_HEAD + r->len + AEAD_TAG;
	int rc;

	MUST(into->len == journal_codec_room(r->len));
	put_record_head(r, into->data);
	aead_nonce_position(nonce, pos);
	rc = aead_seal(a, nonce, aad, payload, r->len, sealed);
	if (rc)
		return rc;
	memcpy(r->tag, sealed + r->len, AEAD_TAG);
	memset(into->data + end, 0, into->len - end);
	return 0;
}

static bool all_zero(const uint8_t *p, size_t len)
{
	return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

int journal_codec_peek(const uint8_t *block, struct journal_record *out)
{
	struct reader r = reader_of(block, RECORD_HEAD);
	uint32_t magic = reader_u32(&r);

	if (magic != JOURNAL_RECORD_MAGIC)
		return all_zero(block, RECORD_HEAD) ? -ENOENT : -ERR_FORMAT;
	out->len = reader_u32(&r);
	out->epoch = reader_u64(&r);
	out->file = reader_u64(&r);
	out->seq = reader_u64(&r);
	reader_bytes(&r, out->chain, sizeof(out->chain));
	out->acked = reader_u64(&r);
	return out->len <= JOURNAL_RECORD_MAX ? 0 : -ERR_RANGE;
}

int journal_codec_open(struct aead *a, uint64_t pos, struct journal_record *r,
		       const uint8_t *bytes, void *plain)
{
	struct aad aad = {.data = bytes, .len = RECORD_HEAD};
	const uint8_t *sealed = bytes + RECORD_HEAD;
	uint8_t nonce[AEAD_NONCE];

	memcpy(r->tag, sealed + r->len, AEAD_TAG);
	aead_nonce_position(nonce, pos);
	return aead_open(a, nonce, aad, sealed, (size_t)r->len + AEAD_TAG,
			 plain);
}
