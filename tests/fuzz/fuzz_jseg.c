/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a record carries of journaled segments: jseg_restore, then the sealing
 * of all that was restored.
 *
 * raw      carried parts, one record's after another's: length u16, bytes
 * made     segments with chunks whose bytes are right: segment, chunks, and per
 *          chunk data id, offset, gap and length, with whatever else
 */
#include "fuzz/fuzz.h"

#include <string.h>

#include "backend/seg_impl.h"
#include "fuzz/fuzz_kit_index.h"
#include "meta/jseg.h"
#include "meta/rows.h"

enum {
	MODE_RAW,
	MODE_MADE,
	MODES
};

#define MEMBERS	    3
#define CAP	    (64u << 10)
#define RECORDS_MAX 8
#define CHUNKS_MAX  32
#define CHUNK_BYTES 300u

static struct pool pool;

struct engine {
	struct index *ix;
	struct store *store;
	struct jseg *js;
	bool restored; /* one record at least was taken whole */
};

static void start(struct engine *e)
{
	struct jseg_options o = {.pool = &pool, .cap = CAP};

	fuzz_folders_clear();
	fuzz_pool_open(&pool, MEMBERS, 1);
	*e = (struct engine){.ix = fuzz_index_open()};
	MUST(store_new(&pool, &e->store) == 0);
	o.ix = e->ix;
	o.store = e->store;
	MUST(jseg_new(&o, &e->js) == 0);
}

static void stop(struct engine *e)
{
	jseg_free(e->js);
	(void)index_close(e->ix, false);
	store_free(e->store);
	fuzz_pool_close(&pool);
	fuzz_folders_clear();
}

static int restore(struct engine *e, const uint8_t *p, size_t len)
{
	AUTO_FREE uint8_t *copy = fuzz_copy(p, len);
	struct reader r = reader_of(copy, len);
	int rc = jseg_restore(e->js, &r);

	FUZZ_ONE_OF(rc, 0, -ERR_TRUNCATED, -ERR_RANGE, -ERR_REPLAY, -ENOSPC);
	e->restored |= rc == 0;
	return rc;
}

/* ---- records with right bytes ---- */

struct chunk {
	uint64_t data, off;
	struct chunk_ref ref;
};

static void seal_chunk(const struct chunk *c, uint64_t id, uint8_t *out)
{
	struct seg_desc d = {.id = {id}, .kind = SEG_DATA};
	struct seg_sealed what = {c->data, c->off, c->ref.pos, c->ref.plain_len,
				  c->ref.codec};
	uint8_t nonce[AEAD_NONCE], plain[CHUNK_BYTES] = {0};
	struct seg_context cx;
	struct seg_aad aad;
	struct aead *key;

	fuzz_context(&cx);
	fuzz_fill(d.salt, sizeof(d.salt), (uint8_t)id);
	MUST(keyring_aead(cx.keys, cx.cipher, "segment", d.salt, NULL, 0,
			  &key) == 0);
	aead_nonce_position(nonce, c->ref.pos);
	seg_aad_fill(&aad, &cx, &d, &what);
	MUST(aead_seal(key, nonce, (struct aad){&aad, sizeof(aad)}, plain,
		       c->ref.stored_len - AEAD_TAG, out) == 0);
	aead_free(key);
}

static unsigned read_chunks(struct reader *r, struct chunk *c)
{
	unsigned n = fuzz_pick(r, CHUNKS_MAX + 1);
	uint32_t pos = fuzz_pick(r, 256);

	for (unsigned i = 0; i < n; i++) {
		uint32_t len = 1 + fuzz_pick(r, 200);

		pos += fuzz_pick(r, 4) == 3 ? fuzz_pick(r, 256) : 0;
		c[i] = (struct chunk){
			.data = fuzz_pick(r, 4),
			.off = (uint64_t)fuzz_pick(r, 4) * FUZZ_CHUNK,
			.ref = {.pos = pos,
				.stored_len = len + AEAD_TAG,
				.plain_len = len,
				.codec = CODEC_RAW},
		};
		pos += c[i].ref.stored_len;
	}
	return n;
}

static void encode(const struct chunk *c, unsigned n, uint64_t id,
		   struct bytes *out)
{
	uint8_t sealed[CHUNK_BYTES];

	MUST(bytes_add_u64(out, id) == 0);
	MUST(bytes_add_varint(out, n) == 0);
	for (unsigned i = 0; i < n; i++) {
		MUST(bytes_add_varint(out, c[i].data) == 0);
		MUST(bytes_add_varint(out, c[i].off) == 0);
		MUST(bytes_add_u32(out, c[i].ref.pos) == 0);
		MUST(bytes_add_u32(out, c[i].ref.stored_len << 1) == 0);
		MUST(bytes_add_u32(out, c[i].ref.plain_len) == 0);
	}
	for (unsigned i = 0; i < n; i++) {
		seal_chunk(&c[i], id, sealed);
		MUST(bytes_add(out, sealed, c[i].ref.stored_len) == 0);
	}
}

/* What was taken can be read, and is what was sealed. */
static void check_chunks(struct engine *e, const struct chunk *c, unsigned n,
			 uint64_t id)
{
	uint8_t plain[CHUNK_BYTES];

	for (unsigned i = 0; i < n; i++) {
		int rc = jseg_read(e->js, (struct seg_id){id}, c[i].data,
				   c[i].off, &c[i].ref, plain);

		FUZZ_ONE_OF(rc, 0, id >= 1 && id <= 3 ? 0 : -ENOENT);
		for (uint32_t j = 0; rc == 0 && j < c[i].ref.plain_len; j++)
			MUST(plain[j] == 0);
	}
}

static void try_made(struct engine *e, struct reader *r)
{
	AUTO(bytes_release) struct bytes out = {0};
	struct chunk c[CHUNKS_MAX];
	uint64_t id = fuzz_pick(r, 8);
	unsigned n = read_chunks(r, c);

	MUST(bytes_add_varint(&out, 1) == 0);
	encode(c, n, id, &out);
	if (restore(e, out.data, out.len) == 0)
		check_chunks(e, c, n, id);
}

static void try_raw(struct engine *e, struct reader *r)
{
	size_t len;
	const uint8_t *p = fuzz_bytes(r, UINT16_MAX, &len);

	(void)restore(e, p, len);
}

/* As recovery does: stripes what was restored, or says what is missing. */
static void seal(struct engine *e)
{
	int rc = jseg_seal_restored(e->js);

	FUZZ_ONE_OF(rc, 0, -ERR_UNAVAILABLE, -ERR_RANGE, -ENOSPC);
	fuzz_index_read_all(e->ix);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(data, size);
	struct engine e;

	fuzz_start();
	(void)fuzz_index();
	start(&e);
	for (unsigned i = 0; i < RECORDS_MAX && reader_left(&r); i++) {
		if (fuzz_pick(&r, MODES) == MODE_RAW)
			try_raw(&e, &r);
		else
			try_made(&e, &r);
	}
	if (e.restored)
		seal(&e);
	stop(&e);
	return 0;
}
