/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fragment files: fragment_header_parse, fragment_file_check.
 *
 * raw      a header block
 * sealed   struct frag_header; magic, version, MAC and checksum are made right
 * file     k, m, fragment, payload; then patches (offset u16, xor u8) of the
 *          whole file of that fragment and a length to cut it to, or its
 *          checksums made right again: whatever was changed must be noticed
 */
#include "fuzz/fuzz.h"

#include <string.h>

#include "backend/checksum.h"
#include "backend/fragment.h"

enum {
	MODE_RAW,
	MODE_SEALED,
	MODE_FILE,
	MODES
};

#define PAYLOAD_MAX 8192u
#define RANGES_MAX  4u

static void check_shape(const struct seg_desc *d)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < fragment_count(d); i++) {
		uint32_t len = fragment_data_len(d, i), block, b = 0, all = 0;

		MUST(len <= fragment_longest(d) && len <= SEG_PAYLOAD_MAX);
		sum += i < d->k ? len : 0;
		while ((block = fragment_block_len(d, i, b)) > 0) {
			MUST(block <= FRAG_CRC_BLOCK);
			all += block;
			b++;
		}
		MUST(all == fragment_padded_len(d, i) && all >= len);
		MUST(b * 4 <= fragment_table_len(d, i));
		MUST(fragment_file_len(d, i) ==
		     FRAG_HEADER + all + fragment_table_len(d, i));
		if (i < d->k && len)
			MUST(fragment_find(d, fragment_start(d, i), len) ==
			     (int)i);
	}
	MUST(sum == d->payload_len);
	MUST(fragment_find(d, d->payload_len, 1) == -ERR_RANGE);
}

/* The header that we would write for it is the one that was read. */
static void check_same(const struct seg_context *cx, const struct seg_desc *d,
		       unsigned i, const struct frag_tags *tags)
{
	AUTO_BUF struct buf *file = NULL;
	struct frag_tags back;

	if (fragment_file_len(d, i) > 1u << 20)
		return;
	file = fragment_new(d, i);
	MUST(file);
	memset(file->data, 0, file->len);
	MUST(fragment_finish(cx, d, i, tags, file) == 0);
	MUST(fragment_header_check(cx, d, i, file->data, &back) == 0);
	MUST(memcmp(tags, &back, fragment_count(d) * sizeof(back.tag[0])) == 0);
}

static void parse(const uint8_t *header, size_t len)
{
	struct seg_context cx;
	struct frag_tags tags;
	struct seg_desc d;
	unsigned i;
	int rc;

	fuzz_context(&cx);
	rc = fragment_header_parse(&cx, header, len, &d, &i, &tags);
	FUZZ_ONE_OF(rc, 0, -ERR_TRUNCATED, -ERR_FORMAT, -ERR_FEATURE,
		    -ERR_CORRUPT, -ERR_AUTH, -ERR_RANGE);
	if (rc)
		return;
	MUST(i < fragment_count(&d));
	check_shape(&d);
	check_same(&cx, &d, i, &tags);
}

static void parse_sealed(struct reader *r)
{
	AUTO_FREE uint8_t *block = mem_zalloc(FRAG_HEADER);
	struct frag_header h = {0};

	MUST(block);
	memcpy(&h, r->p, MIN(reader_left(r), sizeof(h)));
	h.magic = htole64(FRAG_MAGIC);
	h.version = htole32(FRAG_VERSION);
	memcpy(h.pool, fuzz_pool_id.b, sizeof(h.pool));
	MUST(keyring_mac(fuzz_keys(), "fragment header", &h,
			 offsetof(struct frag_header, mac), h.mac) == 0);
	h.header_crc =
		htole32(crc32c(&h, offsetof(struct frag_header, header_crc)));
	memcpy(block, &h, sizeof(h));
	parse(block, FRAG_HEADER);
}

/* Splits the payload into k ranges where the input says. */
static void read_shape(struct reader *r, struct seg_desc *d)
{
	uint32_t end = 0;

	*d = (struct seg_desc){
		.id = {3},
		.stripe = {4},
		.kind = SEG_DATA,
		.k = (uint8_t)(1 + fuzz_pick(r, RANGES_MAX)),
		.m = (uint8_t)fuzz_pick(r, RANGES_MAX),
		.key_epoch = 1,
		.payload_len = (uint32_t)fuzz_pick(r, 256) * 32,
	};
	d->table_pos = d->payload_len;
	for (unsigned i = 0; i + 1 < d->k; i++) {
		end += (d->payload_len - end) * fuzz_pick(r, 256) / 255;
		d->bound[i] = end;
	}
	d->bound[d->k - 1] = d->payload_len;
}

/* Returns whether anything differs from what was made. */
static bool patch(struct reader *r, uint8_t *file, size_t len)
{
	bool changed = false;

	while (reader_left(r) >= 3) {
		size_t at = reader_u16(r);
		uint8_t flip = reader_u8(r);

		if (at >= len)
			continue;
		file[at] ^= flip;
		changed = true;
	}
	return changed;
}

/* As somebody who may write to the folder can. */
static void sum_again(const struct seg_desc *d, unsigned i, uint8_t *file)
{
	uint8_t *table = file + fragment_table_off(d, i);
	uint32_t len;

	for (uint32_t b = 0; (len = fragment_block_len(d, i, b)) > 0; b++)
		put_le32(table + 4 * b,
			 crc32c(file + FRAG_HEADER + b * FRAG_CRC_BLOCK, len));
}

static void check_file(const struct seg_context *cx, const struct seg_desc *d,
		       struct reader *r, struct buf *const *made)
{
	unsigned i = fuzz_pick(r, fragment_count(d)), how = fuzz_pick(r, 4);
	size_t len = made[i]->len;
	size_t cut = how == 3 ? len * fuzz_pick(r, 255) / 255 : len;
	AUTO_FREE uint8_t *file = fuzz_copy(made[i]->data, cut);
	bool changed = patch(r, file, cut);
	int rc;

	if (how == 2)
		sum_again(d, i, file);
	rc = fragment_file_check(cx, d, i, file, cut);
	if (changed && cut == len)
		changed = memcmp(file, made[i]->data, len) != 0;
	FUZZ_ONE_OF(rc, 0, -ERR_TRUNCATED, -ERR_FORMAT, -ERR_FEATURE,
		    -ERR_CORRUPT, -ERR_AUTH, -ERR_RANGE);
	MUST((rc == 0) == (cut == len && !changed));
}

static void try_file(struct reader *r)
{
	static uint8_t payload[PAYLOAD_MAX];
	struct buf *made[EC_TOTAL_MAX];
	struct seg_context cx;
	struct seg_desc d;

	fuzz_context(&cx);
	read_shape(r, &d);
	for (uint32_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 31 + (i >> 8));
	MUST(fragment_build(&cx, &d, payload, made) == 0);
	check_file(&cx, &d, r, made);
	for (unsigned i = 0; i < fragment_count(&d); i++)
		buf_unref(made[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(data, size);

	fuzz_start();
	switch (fuzz_pick(&r, MODES)) {
	case MODE_RAW:
		parse(r.p, reader_left(&r));
		break;
	case MODE_SEALED:
		parse_sealed(&r);
		break;
	default:
		try_file(&r);
	}
	return 0;
}
