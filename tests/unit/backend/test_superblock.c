/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One slot: what goes in comes out, and nothing else does.
 */
#include "unit/backend/pool_kit.h"

#include "backend/checksum.h"
#include "backend/super_format.h"
#include "backend/superblock.h"

struct fixture {
	struct keyring *keys;
	struct superblock *sb;
	struct superblock *got;
	struct bytes slot;
};

static struct superblock *new_sb(void)
{
	struct superblock *sb = calloc(1, sizeof(*sb));

	assert_non_null(sb);
	return sb;
}

/* n members with paths of path_len, e epochs. */
static void fill_sb(struct superblock *sb, unsigned n, size_t path_len,
		    unsigned e)
{
	memset(sb, 0, sizeof(*sb));
	rnd_bytes(sb->pool.b, sizeof(sb->pool.b));
	rnd_bytes(sb->slots, sizeof(sb->slots));
	sb->generation = rnd_u64() >> 1;
	sb->geo = kit_geometry(1, 0);
	sb->geo.level = -7;
	strcpy(sb->label, "a label");
	sb->created_ns = -5;
	sb->n = n;
	for (unsigned i = 0; i < n; i++) {
		rnd_bytes(&sb->member[i].id, sizeof(struct backend_id));
		rnd_bytes(sb->member[i].epoch_had, 16);
		rnd_bytes(sb->member[i].epoch_sent, 16);
		memset(sb->member[i].path, 'p', path_len);
	}
	sb->epochs = e;
	for (unsigned i = 0; i < e; i++) {
		sb->epoch[i].number = i + 3;
		rnd_bytes(sb->epoch[i].id, 16);
		if (i)
			memcpy(sb->epoch[i].parent, sb->epoch[i - 1].id, 16);
	}
}

static void fill_manifest(struct manifest_ref *m)
{
	m->present = true;
	m->seq = 77;
	rnd_bytes(m->epoch_id, sizeof(m->epoch_id));
	m->segment = (struct seg_desc){
		.id = {12},
		.stripe = {34},
		.kind = SEG_INDEX,
		.k = 2,
		.m = 1,
		.payload_len = 5000,
		.table_pos = 4900,
		.bound = {3000, 5000},
		.home = {2, 0, 1},
	};
	rnd_bytes(m->segment.salt, sizeof(m->segment.salt));
	m->chunk = (struct chunk_ref){.pos = 100,
				      .stored_len = 500,
				      .plain_len = 2000,
				      .codec = CODEC_ZSTD};
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(keyring_new(&f->keys), 0);
	f->sb = new_sb();
	f->got = new_sb();
	fill_sb(f->sb, 3, 20, 4);
	fill_manifest(&f->sb->manifest);
	assert_int_equal(superblock_encode(f->sb, 1, f->keys, &f->slot), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	mem_fail_at(0, 0);
	keyring_free(f->keys);
	bytes_release(&f->slot);
	free(f->sb);
	free(f->got);
	free(f);
	return 0;
}

static void fix_crc(struct bytes *slot)
{
	put_le32(slot->data + slot->len - 4, crc32c(slot->data, slot->len - 4));
}

static int decode(struct fixture *f, unsigned *self)
{
	return superblock_decode(f->slot.data, f->slot.len, f->keys, f->got,
				 self);
}

static void assert_round_trip(struct fixture *f, unsigned self)
{
	uint8_t a[32], b[32];
	unsigned got_self = 99;

	bytes_release(&f->slot);
	assert_int_equal(superblock_encode(f->sb, self, f->keys, &f->slot), 0);
	assert_int_equal(f->slot.len % SB_ALIGN, 0);
	assert_true(f->slot.len <= SB_MAX_BYTES);
	assert_int_equal(decode(f, &got_self), 0);
	assert_int_equal(got_self, self);
	assert_int_equal(superblock_digest(f->sb, a), 0);
	assert_int_equal(superblock_digest(f->got, b), 0);
	assert_memory_equal(a, b, sizeof(a));
	/* The digest could be wrong in the same way, so fields, too. */
	assert_int_equal(f->got->geo.level, f->sb->geo.level);
	assert_int_equal(f->got->created_ns, f->sb->created_ns);
	assert_int_equal(f->got->generation, f->sb->generation);
	assert_string_equal(f->got->label, f->sb->label);
	assert_memory_equal(f->got->slots, f->sb->slots, sizeof(f->sb->slots));
	assert_memory_equal(f->got->member, f->sb->member,
			    sizeof(f->sb->member));
	assert_memory_equal(f->got->epoch, f->sb->epoch, sizeof(f->sb->epoch));
	assert_int_equal(f->got->manifest.seq, f->sb->manifest.seq);
	assert_memory_equal(f->got->manifest.segment.salt,
			    f->sb->manifest.segment.salt, KEY_SALT);
	assert_int_equal(f->got->manifest.chunk.stored_len,
			 f->sb->manifest.chunk.stored_len);
}

static void test_round_trip(void **state)
{
	static const unsigned members[] = {1, 2, 5, POOL_MEMBERS_MAX};
	static const size_t paths[] = {0, 1, SB_PATH_MAX};
	struct fixture *f = *state;

	for (unsigned i = 0; i < ARRAY_LEN(members); i++)
		for (unsigned j = 0; j < ARRAY_LEN(paths); j++) {
			fill_sb(f->sb, members[i], paths[j], j * SB_EPOCHS / 2);
			assert_round_trip(f, members[i] - 1);
			fill_manifest(&f->sb->manifest);
			memset(f->sb->label, 'l', SB_LABEL_MAX);
			assert_round_trip(f, 0);
		}
}

static void test_clear_part(void **state)
{
	struct fixture *f = *state;
	struct sb_clear c;

	assert_int_equal(superblock_peek(f->slot.data, f->slot.len, &c), 0);
	assert_memory_equal(&c.pool, &f->sb->pool, sizeof(c.pool));
	assert_memory_equal(&c.self, &f->sb->member[1].id, sizeof(c.self));
	assert_int_equal(c.slot, 1);
	assert_int_equal(c.generation, f->sb->generation);
	assert_memory_equal(c.slots, f->sb->slots, sizeof(c.slots));
}

/* Names, paths and sizes are not to be had without the passphrase. */
static void test_nothing_else_in_the_clear(void **state)
{
	struct fixture *f = *state;

	assert_null(memmem(f->slot.data, f->slot.len, "pppp", 4));
	assert_null(memmem(f->slot.data, f->slot.len, "a label", 7));
	assert_null(memmem(f->slot.data, f->slot.len, f->sb->epoch[3].id, 16));
}

static void test_fresh_nonce(void **state)
{
	struct fixture *f = *state;
	struct bytes other = {0};
	const size_t at = offsetof(struct super_header, nonce);

	assert_int_equal(superblock_encode(f->sb, 1, f->keys, &other), 0);
	assert_memory_not_equal(f->slot.data + at, other.data + at, AEAD_NONCE);
	bytes_release(&other);
}

static void test_every_byte_rots(void **state)
{
	struct fixture *f = *state;
	struct sb_clear c;

	for (size_t i = 0; i < f->slot.len; i++) {
		unsigned self;
		int want = i < 8 ? -ERR_FORMAT : -ERR_CORRUPT;
		int rc;

		f->slot.data[i] ^= (uint8_t)(1u << (i % 8));
		rc = superblock_peek(f->slot.data, f->slot.len, &c);
		if (rc != want && rc != -ERR_TRUNCATED)
			fail_msg("byte %zu: %d", i, rc);
		/* Only the length can make it look too short. */
		if (rc == -ERR_TRUNCATED)
			assert_true(i >= 12 && i < 16);
		assert_int_equal(decode(f, &self), rc);
		f->slot.data[i] ^= (uint8_t)(1u << (i % 8));
	}
}

static bool is_refusal(int rc)
{
	return rc == -ERR_AUTH || rc == -ERR_CORRUPT || rc == -ERR_FEATURE ||
	       rc == -ERR_FORMAT || rc == -ERR_TRUNCATED;
}

static void test_every_byte_forged(void **state)
{
	struct fixture *f = *state;
	const size_t end = f->slot.len - sizeof(struct super_trailer);
	unsigned self;

	for (size_t i = 0; i < end + KEY_MAC; i++) {
		f->slot.data[i] ^= 0x21;
		fix_crc(&f->slot);
		if (!is_refusal(decode(f, &self)))
			fail_msg("byte %zu is not authenticated", i);
		f->slot.data[i] ^= 0x21;
	}
	fix_crc(&f->slot);
	assert_int_equal(decode(f, &self), 0);
}

static void test_other_length(void **state)
{
	struct fixture *f = *state;
	struct sb_clear c;
	uint8_t *longer = calloc(2, f->slot.len);

	assert_non_null(longer);
	memcpy(longer, f->slot.data, f->slot.len);
	for (size_t len = 0; len < f->slot.len; len++) {
		/* A copy of its own: reading past its end is seen by ASan. */
		uint8_t *torn = malloc(len + !len);

		assert_non_null(torn);
		memcpy(torn, longer, len);
		assert_int_equal(superblock_peek(torn, len, &c),
				 -ERR_TRUNCATED);
		free(torn);
	}
	assert_int_equal(superblock_peek(longer, f->slot.len + 1, &c),
			 -ERR_CORRUPT);
	assert_int_equal(superblock_peek(longer, 2 * f->slot.len, &c),
			 -ERR_CORRUPT);
	free(longer);
}

/* Half of the new content, then what was there before. */
static void test_torn_write(void **state)
{
	struct fixture *f = *state;
	struct bytes next = {0};
	struct sb_clear c;

	f->sb->generation++;
	assert_int_equal(superblock_encode(f->sb, 1, f->keys, &next), 0);
	assert_int_equal(next.len, f->slot.len);
	for (size_t cut = 512; cut < next.len; cut += 512) {
		struct bytes torn = {0};

		assert_int_equal(bytes_add(&torn, next.data, cut), 0);
		assert_int_equal(bytes_add(&torn, f->slot.data + cut,
					   next.len - cut),
				 0);
		/* Both agree up to there: then it is simply the older one. */
		if (memcmp(torn.data, f->slot.data, torn.len) != 0)
			assert_int_equal(superblock_peek(torn.data, torn.len,
							 &c),
					 -ERR_CORRUPT);
		bytes_release(&torn);
	}
	bytes_release(&next);
}

static void set_feature(struct fixture *f, size_t off)
{
	f->slot.data[off] = 0x40;
	fix_crc(&f->slot);
}

static void test_features(void **state)
{
	struct fixture *f = *state;
	struct sb_clear c;

	set_feature(f, offsetof(struct super_header, incompat) + 7);
	assert_int_equal(superblock_peek(f->slot.data, f->slot.len, &c),
			 -ERR_FEATURE);
	f->slot.data[offsetof(struct super_header, incompat) + 7] = 0;
	set_feature(f, offsetof(struct super_header, version) + 1);
	assert_int_equal(superblock_peek(f->slot.data, f->slot.len, &c),
			 -ERR_FEATURE);
}

static void test_read_only_feature(void **state)
{
	struct fixture *f = *state;

	assert_false(superblock_must_not_write(f->sb));
	f->sb->ro_compat = 1ULL << 63;
	assert_round_trip(f, 2);
	assert_true(superblock_must_not_write(f->got));
}

static void test_other_key(void **state)
{
	struct fixture *f = *state;
	struct keyring *other;
	unsigned self;

	assert_int_equal(keyring_new(&other), 0);
	assert_int_equal(superblock_decode(f->slot.data, f->slot.len, other,
					   f->got, &self),
			 -ERR_AUTH);
	keyring_free(other);
}

/* An authentic slot of another member must not pass as this one's. */
static void test_self_is_sealed(void **state)
{
	struct fixture *f = *state;
	unsigned self;

	f->slot.data[offsetof(struct super_header, member)] = 2;
	fix_crc(&f->slot);
	assert_int_equal(decode(f, &self), -ERR_AUTH);
}

static void refuse(struct fixture *f, const char *what)
{
	struct bytes out = {0};

	if (superblock_encode(f->sb, 0, f->keys, &out) != -EINVAL)
		fail_msg("%s was encoded", what);
	assert_int_equal(out.len, 0);
	bytes_release(&out);
	fill_sb(f->sb, 3, 20, 4);
	fill_manifest(&f->sb->manifest);
}

static void test_rules(void **state)
{
	struct fixture *f = *state;

	f->sb->n = 0;
	refuse(f, "no member");
	f->sb->n = POOL_MEMBERS_MAX + 1;
	refuse(f, "too many members");
	f->sb->epochs = SB_EPOCHS + 1;
	refuse(f, "too many epochs");
	f->sb->geo.k = 4;
	refuse(f, "k above n");
	f->sb->geo.chunk_bytes = 100000;
	refuse(f, "odd chunk size");
	f->sb->geo.cipher = (enum cipher)9;
	refuse(f, "cipher 9");
	f->sb->member[2].id = f->sb->member[0].id;
	refuse(f, "a member twice");
	f->sb->epoch[3].number = 1;
	refuse(f, "epochs that fall");
	memset(f->sb->epoch[0].id, 0, 16);
	refuse(f, "an epoch without id");
	f->sb->epoch[3].number = SB_NUMBER_MAX + 1;
	refuse(f, "an epoch that leaves no room for later ones");
	f->sb->generation = SB_NUMBER_MAX + 1;
	refuse(f, "a generation that leaves no room for later ones");
	f->sb->manifest.chunk.pos = 4600;
	refuse(f, "a chunk behind its segment");
	f->sb->manifest.chunk.pos = UINT32_MAX;
	refuse(f, "a position that wraps");
	f->sb->manifest.segment.kind = SEG_DATA;
	refuse(f, "a manifest among the data");
	assert_int_equal(superblock_encode(f->sb, 3, f->keys, &f->slot),
			 -EINVAL);
}

static void test_descends(void **state)
{
	struct fixture *f = *state;
	struct superblock *a = f->sb, *b = f->got;

	*b = *a;
	assert_true(superblock_descends(a, b) && superblock_descends(b, a));
	superblock_add_epoch(b, &(struct epoch){.number = 50, .id = {1}});
	assert_true(superblock_descends(b, a));
	assert_false(superblock_descends(a, b));
	superblock_add_epoch(a, &(struct epoch){.number = 51, .id = {2}});
	assert_false(superblock_descends(b, a));
	assert_false(superblock_descends(a, b));
	/* Never mounted: everybody's ancestor. */
	a->epochs = 0;
	assert_true(superblock_descends(b, a));
	a->pool.b[3] ^= 1;
	assert_false(superblock_descends(b, a));
}

/* Zeros in "had" and "sent" are no epoch. */
static void test_descends_long_absence(void **state)
{
	struct fixture *f = *state;
	struct superblock *old = f->sb, *now = f->got;

	*now = *old;
	for (uint8_t i = 0; i < 2 * SB_EPOCHS; i++)
		superblock_add_epoch(now, &(struct epoch){.number = 100u + i,
							  .id = {9, i}});
	assert_int_equal(now->epochs, SB_EPOCHS);
	assert_int_equal(superblock_epoch(now)->number, 163);
	assert_int_equal(now->epoch[0].number, 132);
	assert_false(superblock_descends(now, old));
	memcpy(now->member[2].epoch_sent, superblock_epoch(old)->id, 16);
	assert_true(superblock_descends(now, old));
	memset(now->member[2].epoch_sent, 0, 16);
	memcpy(now->member[0].epoch_had, superblock_epoch(old)->id, 16);
	assert_true(superblock_descends(now, old));
}

static void test_digest_tells_apart(void **state)
{
	struct fixture *f = *state;
	uint8_t a[32], b[32];

	assert_int_equal(superblock_digest(f->sb, a), 0);
	f->sb->generation++;
	assert_int_equal(superblock_digest(f->sb, b), 0);
	assert_memory_not_equal(a, b, 32);
	f->sb->generation--;
	f->sb->slots[5] ^= 1;
	assert_int_equal(superblock_digest(f->sb, b), 0);
	assert_memory_not_equal(a, b, 32);
	f->sb->slots[5] ^= 1;
	f->sb->manifest.seq++;
	assert_int_equal(superblock_digest(f->sb, b), 0);
	assert_memory_not_equal(a, b, 32);
}

static void test_no_memory(void **state)
{
	struct fixture *f = *state;
	struct bytes out = {0};
	unsigned self, fails = 0;
	int rc;

	for (unsigned i = 1;; i++) {
		mem_fail_at(i, 0);
		rc = superblock_encode(f->sb, 0, f->keys, &out);
		mem_fail_at(0, 0);
		bytes_release(&out);
		if (!rc)
			break;
		assert_int_equal(rc, -ENOMEM);
		fails++;
	}
	assert_true(fails > 2);
	fails = 0;
	for (unsigned i = 1;; i++) {
		mem_fail_at(i, 0);
		rc = decode(f, &self);
		mem_fail_at(0, 0);
		if (!rc)
			break;
		assert_int_equal(rc, -ENOMEM);
		fails++;
	}
	assert_true(fails > 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_round_trip),
		T(test_clear_part),
		T(test_nothing_else_in_the_clear),
		T(test_fresh_nonce),
		T(test_every_byte_rots),
		T(test_every_byte_forged),
		T(test_other_length),
		T(test_torn_write),
		T(test_features),
		T(test_read_only_feature),
		T(test_other_key),
		T(test_self_is_sealed),
		T(test_rules),
		T(test_descends),
		T(test_descends_long_absence),
		T(test_digest_tells_apart),
		T(test_no_memory),
	};

	return cmocka_run_group_tests(tests, kit_start, kit_stop);
}
