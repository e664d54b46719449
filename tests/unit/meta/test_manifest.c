/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manifests: every byte of them, whatever a folder brings, and reading through
 * the store.
 */
#include "unit/meta/checkpoint_kit.h"

#include "meta/manifest_format.h"

#define SEGMENTS 3
#define REGIONS	 7

struct sample {
	struct manifest m;
	struct region_entry region[REGIONS];
	struct manifest_segment segment[SEGMENTS];
	struct bytes coded;
};

/* Bytes of a segment with this k and m, and of the list of all. */
#define DESC_BYTES(k, m) (63 + 4 * (k) + (k) + (m))
#define SEGMENTS_BYTES \
	(4 * SEGMENTS + DESC_BYTES(2, 2) + DESC_BYTES(3, 2) + DESC_BYTES(4, 2))

static struct seg_desc index_segment(uint64_t id, unsigned k, unsigned m)
{
	struct seg_desc d = {
		.id = {id},
		.stripe = {id * 77 + 1},
		.kind = SEG_INDEX,
		.k = (uint8_t)k,
		.m = (uint8_t)m,
		.key_epoch = 1,
		.payload_len = 900100,
		.table_pos = 900000,
	};

	memset(d.salt, (int)id, sizeof(d.salt));
	for (unsigned i = 0; i < k; i++)
		d.bound[i] = d.payload_len;
	for (unsigned i = 0; i < k + m; i++)
		d.home[i] = (uint8_t)i;
	return d;
}

static void fill(struct sample *s)
{
	struct manifest *m = &s->m;

	*m = (struct manifest){
		.seq = 41,
		.bytes_from = 40,
		.created_ns = 1800000000000000000,
		.regions = REGIONS,
		.region = s->region,
		.segments = SEGMENTS,
		.segment = s->segment,
		.kept = 2,
	};
	memset(m->epoch_id, 0xee, sizeof(m->epoch_id));
	for (uint32_t i = 0; i < SEGMENTS; i++)
		s->segment[i] = (struct manifest_segment){
			.desc = index_segment(10 + i, 2 + i, 2)};
	for (uint32_t i = 0; i < REGIONS; i++) {
		struct region_entry *e = &s->region[i];

		e->segment = i % SEGMENTS;
		e->ref = (struct chunk_ref){.pos = 1000 * i,
					    .stored_len = 500 + i,
					    .plain_len = INDEX_REGION,
					    .codec = CODEC_ZSTD};
		memset(e->hash, (int)i, sizeof(e->hash));
		s->segment[i % SEGMENTS].live += 500 + i;
	}
	for (uint32_t i = 0; i < m->kept; i++) {
		struct manifest_kept *k = &m->keep[i];

		k->created_ns = m->created_ns - 1 - i;
		k->ref = (struct manifest_ref){.present = true,
					       .seq = 30 - i,
					       .segment = index_segment(5 - i,
									1, 2),
					       .chunk = {.stored_len = 716,
							 .plain_len = 700,
							 .codec = CODEC_RAW}};
		memset(k->ref.epoch_id, 0xdd, sizeof(k->ref.epoch_id));
	}
}

static int make(void **state)
{
	struct sample *s = calloc(1, sizeof(*s));

	fill(s);
	if (manifest_encode(&s->m, &s->coded))
		return -1;
	*state = s;
	return 0;
}

static int drop(void **state)
{
	struct sample *s = *state;

	bytes_release(&s->coded);
	free(s);
	mem_fail_at(0, 0);
	return 0;
}

#define WITH_SAMPLE(test) cmocka_unit_test_setup_teardown(test, make, drop)

static int decode(const struct sample *s)
{
	struct manifest m;
	int rc = manifest_decode(s->coded.data, s->coded.len, &m);

	if (rc == 0)
		manifest_release(&m);
	else
		assert_null(m.region);
	return rc;
}

static void test_round_trip(void **state)
{
	struct sample *s = *state;
	struct manifest m;

	OK(manifest_decode(s->coded.data, s->coded.len, &m));
	assert_int_equal(m.seq, 41);
	assert_int_equal(m.bytes_from, 40);
	assert_int_equal(m.created_ns, s->m.created_ns);
	assert_memory_equal(m.epoch_id, s->m.epoch_id, 16);
	assert_int_equal(m.regions, REGIONS);
	assert_int_equal(m.segments, SEGMENTS);
	assert_int_equal(m.kept, 2);
	for (unsigned i = 0; i < REGIONS; i++)
		assert_memory_equal(&m.region[i], &s->region[i],
				    sizeof(s->region[i]));
	for (unsigned i = 0; i < SEGMENTS; i++)
		assert_memory_equal(&m.segment[i], &s->segment[i],
				    sizeof(s->segment[i]));
	for (unsigned i = 0; i < 2; i++)
		assert_memory_equal(&m.keep[i], &s->m.keep[i],
				    sizeof(m.keep[i]));
	manifest_release(&m);
}

/* What is on disk must not change by accident. */
static void test_layout(void **state)
{
	struct sample *s = *state;
	const uint8_t *p = s->coded.data;

	assert_memory_equal(p, "MENDMAN1", 8);
	assert_int_equal(get_le32(p + 8), 1);
	assert_int_equal(get_le32(p + 12), INDEX_REGION);
	assert_int_equal(get_le64(p + 16), 41);
	assert_int_equal(get_le64(p + 40), 40);
	assert_int_equal(get_le64(p + 48), 1800000000000000000);
	assert_int_equal(get_le32(p + 56), REGIONS);
	assert_int_equal(get_le32(p + 60), SEGMENTS);
	assert_int_equal(get_le32(p + 64), 2);
	assert_int_equal(get_le32(p + 72), s->segment[0].live);
	assert_int_equal(get_le64(p + 76), 10);
	p += 72 + SEGMENTS_BYTES;
	assert_int_equal(get_le32(p + 28), 1);
	assert_int_equal(get_le32(p + 32), 1000);
	assert_int_equal(get_le32(p + 36), 501 << 1 | 1);
	assert_int_equal(p[40], 1);
	p += REGIONS * 28;
	assert_int_equal(get_le64(p), s->m.keep[0].created_ns);
	assert_int_equal(get_le64(p + 8), 30);
	assert_int_equal(get_le32(p + 36), 716 << 1);
	assert_int_equal(get_le32(p + 40), 700);
	assert_int_equal(s->coded.len, 72 + SEGMENTS_BYTES + REGIONS * 28 +
					       2 * (44 + DESC_BYTES(1, 2)));
}

static void test_cut_anywhere(void **state)
{
	struct sample *s = *state;
	size_t len = s->coded.len;

	for (s->coded.len = 0; s->coded.len < len; s->coded.len++)
		assert_int_equal(decode(s), -ERR_TRUNCATED);
	OK(decode(s));
	OK(bytes_add_u8(&s->coded, 0));
	assert_int_equal(decode(s), -ERR_FORMAT);
}

static void test_head(void **state)
{
	struct sample *s = *state;
	uint8_t *p = s->coded.data;

	p[0] ^= 1;
	assert_int_equal(decode(s), -ERR_FORMAT);
	p[0] ^= 1;
	p[8] = 2;
	assert_int_equal(decode(s), -ERR_FEATURE);
	p[8] = 1;
	p[13] ^= 1;
	assert_int_equal(decode(s), -ERR_FEATURE);
	p[13] ^= 1;
	p[68] = 1;
	assert_int_equal(decode(s), -ERR_RANGE);
	p[68] = 0;
	p[64] = MANIFEST_KEPT + 1;
	assert_int_equal(decode(s), -ERR_RANGE);
	p[64] = 2;
	/* Huge counts are refused before memory is asked for. */
	put_le32(p + 56, UINT32_MAX);
	assert_int_equal(decode(s), -ERR_TRUNCATED);
	put_le32(p + 56, REGIONS);
	put_le32(p + 60, UINT32_MAX);
	assert_int_equal(decode(s), -ERR_TRUNCATED);
	/* So are more segments than can be described in so many bytes. */
	put_le32(p + 60, (uint32_t)(s->coded.len / 16));
	mem_fail_at(1, true);
	assert_int_equal(decode(s), -ERR_TRUNCATED);
	mem_fail_at(0, false);
	put_le32(p + 60, SEGMENTS);
	OK(decode(s));
}

/* Encoder and decoder know the same rules. */
static void refused(struct sample *s, const char *what)
{
	AUTO(bytes_release) struct bytes b = {0};

	if (manifest_encode(&s->m, &b) != -EINVAL)
		fail_msg("%s: not refused", what);
	fill(s);
}

static void test_rules(void **state)
{
	struct sample *s = *state;

	s->m.seq = 0;
	refused(s, "no record");
	s->m.bytes_from = 0;
	refused(s, "bytes from nowhere");
	s->m.bytes_from = 43;
	refused(s, "bytes from the future");
	s->m.regions = 0;
	refused(s, "no regions");
	s->m.kept = MANIFEST_KEPT + 1;
	refused(s, "too many kept");
	s->region[3].segment = SEGMENTS;
	refused(s, "no such segment");
	s->region[3].ref.plain_len--;
	refused(s, "short region");
	s->region[3].ref.stored_len = AEAD_TAG;
	refused(s, "nothing stored");
	s->region[3].ref.stored_len = INDEX_REGION + AEAD_TAG + 1;
	s->segment[0].live += INDEX_REGION + AEAD_TAG + 1 - 503;
	refused(s, "more stored than plain");
	s->region[3].ref.pos = 900000 - 502;
	refused(s, "beyond the chunks");
	s->region[3].ref.pos = UINT32_MAX - 100;
	refused(s, "far beyond");
	s->segment[1].live++;
	refused(s, "wrong account");
	s->segment[1].desc.kind = SEG_DATA;
	refused(s, "among the data");
	s->segment[1].desc.stripe.v = 0;
	refused(s, "no stripe");
	s->m.keep[1].ref.present = false;
	refused(s, "kept nothing");
	s->m.keep[1].ref.segment.kind = SEG_DATA;
	refused(s, "kept among the data");
	s->m.keep[1].ref.chunk.plain_len = SEG_CHUNK_MAX + 1;
	refused(s, "kept too large");
	s->m.keep[1].ref.chunk.pos = 900000;
	refused(s, "kept beyond");
	/* fits exactly */
	s->m.bytes_from = 42;
	s->region[3].ref.pos = 900000 - 503;
	s->coded.len = 0;
	OK(manifest_encode(&s->m, &s->coded));
	OK(decode(s));
}

static void test_stored_numbers(void **state)
{
	struct sample *s = *state;
	uint8_t *p = s->coded.data, *region = p + 72 + SEGMENTS_BYTES;

	put_le64(p + 40, 43);
	assert_int_equal(decode(s), -ERR_RANGE);
	put_le64(p + 40, UINT64_MAX);
	assert_int_equal(decode(s), -ERR_RANGE);
	put_le64(p + 40, 42);
	OK(decode(s));
	put_le32(region, SEGMENTS);
	assert_int_equal(decode(s), -ERR_RANGE);
	put_le32(region, 0);
	put_le32(region + 4, UINT32_MAX);
	assert_int_equal(decode(s), -ERR_RANGE);
	put_le32(region + 4, 0);
	put_le32(region + 8, UINT32_MAX);
	assert_int_equal(decode(s), -ERR_RANGE);
	put_le32(region + 8, 500 << 1 | 1);
	put_le32(p + 72, 0);
	assert_int_equal(decode(s), -ERR_RANGE);
}

/* Whatever the bytes: an error or a manifest that can be encoded again. */
static void test_random_bytes(void **state)
{
	struct sample *s = *state;
	AUTO_FREE uint8_t *p = mem_alloc(s->coded.len);
	unsigned good = 0;

	rnd_seed(test_seed());
	for (unsigned i = 0; i < 20000; i++) {
		AUTO(bytes_release) struct bytes again = {0};
		size_t len = s->coded.len - (i % 3 ? 0 : rnd_below(40));
		struct manifest m;

		memcpy(p, s->coded.data, s->coded.len);
		for (uint64_t n = 1 + rnd_below(4); n; n--)
			p[rnd_below(len)] ^= (uint8_t)(1u << rnd_below(8));
		if (manifest_decode(p, len, &m) < 0)
			continue;
		good++;
		OK(manifest_encode(&m, &again));
		assert_int_equal(again.len, len);
		assert_memory_equal(again.data, p, len);
		manifest_release(&m);
	}
	assert_true(good > 100);
	rnd_unseed();
}

static void test_without_memory(void **state)
{
	struct sample *s = *state;
	uint64_t i = 0;
	int rc;

	do {
		mem_fail_at(++i, 0);
		rc = decode(s);
		assert_true(rc == 0 || rc == -ENOMEM);
	} while (rc);
	assert_true(i > 2);
	i = 0;
	do {
		AUTO(bytes_release) struct bytes b = {0};

		mem_fail_at(++i, 0);
		rc = manifest_encode(&s->m, &b);
		assert_true(rc == 0 || rc == -ENOMEM);
	} while (rc);
	assert_true(i > 2);
}

/* ---- through the store ---- */

static int make_pool(void **state)
{
	struct kit *k = kit_new(4, 2);

	workq_inline(true);
	rnd_seed(test_seed());
	kit_make(k);
	kit_mount(k);
	kit_add_files(k, 2500);
	kit_run(k);
	*state = k;
	return 0;
}

static int drop_pool(void **state)
{
	kit_free(*state);
	workq_inline(false);
	rnd_unseed();
	return 0;
}

#define WITH_POOL(test) \
	cmocka_unit_test_setup_teardown(test, make_pool, drop_pool)

static void test_load(void **state)
{
	struct kit *k = *state;
	struct manifest_ref ref = k->pool->sb.manifest;
	uint8_t hash[32], want[32];
	struct bytes coded = {0};
	struct manifest m;

	OK(manifest_load(k->store, &ref, &m, hash));
	OK(manifest_encode(&m, &coded));
	OK(sha256(coded.data, coded.len, want));
	assert_memory_equal(hash, want, 32);
	bytes_release(&coded);
	manifest_release(&m);
	OK(manifest_load(k->store, &ref, &m, NULL));
	manifest_release(&m);
}

/* A superblock that points to another manifest than it says. */
static void test_load_another(void **state)
{
	struct kit *k = *state;
	struct manifest_ref good = k->pool->sb.manifest, ref = good;
	struct manifest m;

	ref.seq++;
	assert_int_equal(manifest_load(k->store, &ref, &m, NULL), -ERR_CORRUPT);
	ref = good;
	ref.epoch_id[3] ^= 1;
	assert_int_equal(manifest_load(k->store, &ref, &m, NULL), -ERR_CORRUPT);
	ref = good;
	ref.present = false;
	assert_int_equal(manifest_load(k->store, &ref, &m, NULL), -ERR_RANGE);
	ref = good;
	ref.chunk.plain_len = 0;
	assert_int_equal(manifest_load(k->store, &ref, &m, NULL), -ERR_RANGE);
	ref = good;
	ref.chunk.plain_len = UINT32_MAX;
	assert_int_equal(manifest_load(k->store, &ref, &m, NULL), -ERR_RANGE);
	ref = good;
	ref.chunk.plain_len--;
	assert_true(manifest_load(k->store, &ref, &m, NULL) < 0);
	assert_null(m.region);
	ref = good;
	ref.segment.stripe.v ^= 1; /* not there */
	assert_int_equal(manifest_load(k->store, &ref, &m, NULL),
			 -ERR_UNAVAILABLE);
}

static void test_regions(void **state)
{
	struct kit *k = *state;
	struct manifest *m = &k->ck->base;
	uint8_t *one = malloc(INDEX_REGION);
	uint8_t *run = malloc((size_t)MANIFEST_RUN * INDEX_REGION);
	uint32_t r = 0;

	while (!manifest_adjoins(m, r))
		assert_true(++r + 1 < m->regions);
	OK(manifest_read_regions(k->store, m, r, 2, run));
	for (unsigned i = 0; i < 2; i++) {
		OK(manifest_read_region(k->store, m, r + i, one));
		assert_memory_equal(one, run + (size_t)i * INDEX_REGION,
				    INDEX_REGION);
	}
	assert_false(manifest_adjoins(m, m->regions - 1));
	assert_int_equal(manifest_read_region(k->store, m, m->regions, one),
			 -EINVAL);
	assert_int_equal(manifest_read_regions(k->store, m, r, 0, run),
			 -EINVAL);
	assert_int_equal(manifest_read_regions(k->store, m, r, MANIFEST_RUN + 1,
					       run),
			 -EINVAL);
	assert_int_equal(manifest_read_regions(k->store, m, m->regions - 1, 2,
					       run),
			 -EINVAL);
	m->region[r].hash[5] ^= 1;
	assert_int_equal(manifest_read_region(k->store, m, r, one),
			 -ERR_CORRUPT);
	m->region[r].hash[5] ^= 1;
	/* one region's chunk is no other region's */
	{
		struct chunk_ref ref = m->region[r].ref;

		m->region[r].ref = m->region[r + 1].ref;
		assert_int_equal(manifest_read_region(k->store, m, r, one),
				 -ERR_CORRUPT);
		m->region[r].ref = ref;
	}
	free(one);
	free(run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SAMPLE(test_round_trip),
		WITH_SAMPLE(test_layout),
		WITH_SAMPLE(test_cut_anywhere),
		WITH_SAMPLE(test_head),
		WITH_SAMPLE(test_rules),
		WITH_SAMPLE(test_stored_numbers),
		WITH_SAMPLE(test_random_bytes),
		WITH_SAMPLE(test_without_memory),
		WITH_POOL(test_load),
		WITH_POOL(test_load_another),
		WITH_POOL(test_regions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
