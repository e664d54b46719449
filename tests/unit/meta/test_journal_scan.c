/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery from what is left: torn tails, damage, strange files, members that
 * cannot be read. Inline mode.
 */
#include "unit/meta/journal_kit.h"

#define RECORDS 24

/* ---- a journal with a known place for each record ---- */

struct rig {
	struct kit *k;
	struct kit_place at[RECORDS + 1]; /* by seq; the same on both copies */
};

static void rig_start(struct rig *r, unsigned m, uint32_t max_len)
{
	r->k = kit_new(m + 2, m);
	r->k->max_len = max_len;
	r->k->file_max = r->k->file_min;
	kit_start(r->k);
	for (unsigned i = 1; i <= RECORDS; i++)
		r->at[i] = kit_append_at(r->k, 0);
	kit_stop(r->k);
}

static void spoil(struct kit *k, unsigned slot, const struct kit_place *at,
		  uint64_t from, uint64_t to, int byte)
{
	AUTO_FREE uint8_t *p = mem_alloc(to - from + 1);

	assert_non_null(p);
	memset(p, byte, to - from);
	kit_write(k, slot, at->name, p, to - from, at->pos + from);
}

/* The bytes of a record, to put it back. */
static uint8_t *keep(struct kit *k, unsigned slot, const struct kit_place *at)
{
	uint8_t *p = mem_alloc(at->end - at->pos);

	assert_non_null(p);
	kit_read(k, slot, at->name, p, at->end - at->pos, at->pos);
	return p;
}

static void put_back(struct kit *k, unsigned slot, const struct kit_place *at,
		     const uint8_t *p)
{
	kit_write(k, slot, at->name, p, at->end - at->pos, at->pos);
}

/* ---- tails ---- */

/* A torn write at any border of a sector, in one copy and in both. */
static void torn_tail(int byte)
{
	struct rig r;
	const struct kit_place *last = &r.at[RECORDS];
	AUTO_FREE uint8_t *whole = NULL;
	uint64_t room, used;

	rig_start(&r, 1, 9000);
	room = last->end - last->pos;
	used = 80 + kit_len(r.k, RECORDS);
	whole = keep(r.k, 1, last);
	for (uint64_t cut = 0; cut < room; cut += 512) {
		uint64_t expect = cut < used ? RECORDS - 1 : RECORDS;
		struct journal_scan_result s;

		put_back(r.k, 0, last, whole);
		put_back(r.k, 1, last, whole);
		spoil(r.k, 0, last, cut, room, byte);
		s = kit_scan(r.k, KIT_ALL, 1); /* the other has it */
		assert_int_equal(s.last_seq, RECORDS);
		s = kit_scan(r.k, 1, 1);
		assert_int_equal(s.last_seq, expect);
		spoil(r.k, 1, last, cut, room, byte);
		s = kit_scan(r.k, KIT_ALL, 1);
		assert_int_equal(s.last_seq, expect);
		assert_int_equal(s.damaged, 0);
		assert_false(s.lost);
	}
	kit_free(r.k);
}

static void test_torn_tail(void **state)
{
	(void)state;
	torn_tail(0);
	torn_tail(0xaa);
}

/* What stood there before stays in the tail: records of an earlier life. */
static void test_torn_tail_of_a_recycled_file(void **state)
{
	struct kit *k = kit_new(1, 0);

	(void)state;
	k->max_len = 9000;
	k->file_max = k->file_min;
	kit_start(k);
	for (unsigned i = 0; i < 20; i++) {
		kit_append(k, 4);
		kit_release(k, k->acked);
	}
	for (unsigned i = 0; i < 30; i++) {
		struct kit_place at = {.pos = 0};
		AUTO_FREE uint8_t *before = NULL;
		AUTO_FREE uint8_t *after = NULL;
		struct journal_file *f = k->j->current;
		uint64_t room = journal_codec_room(kit_len(k, k->acked + 1));

		if (!f || f->head.size - f->used < room) {
			kit_append(k, 1);
			kit_release(k, k->acked);
			continue;
		}
		at.pos = f->used;
		at.end = f->used + room;
		journal_codec_name(&f->copy[0]->name, at.name);
		before = keep(k, 0, &at);
		kit_append(k, 1);
		after = keep(k, 0, &at);
		for (uint64_t cut = 0; cut < room; cut += 512) {
			struct journal_scan_result s;

			kit_write(k, 0, at.name, before + cut, room - cut,
				  at.pos + cut);
			s = kit_scan(k, 1, k->covered + 1);
			assert_in_range(s.last_seq, k->acked - 1, k->acked);
			assert_false(s.lost);
			put_back(k, 0, &at, after);
		}
		kit_check(k, 1);
	}
	kit_free(k);
}

/* The file ends early: in the middle of a record, or of its header. */
static void test_truncated_copy(void **state)
{
	struct rig r;
	static uint8_t all[16384 + 512];

	(void)state;
	rig_start(&r, 1, 3000);
	kit_read(r.k, 0, r.at[1].name, all, 16384, 0);
	for (size_t len = 0; len < 16384; len += 700) {
		struct driver *d = kit_driver(r.k, 0);
		struct journal_scan_result s;
		struct drv_file *f;

		assert_int_equal(driver_remove(d, r.at[1].name), 0);
		assert_int_equal(driver_open(d, r.at[1].name,
					     DRV_WRITE | DRV_CREATE, &f),
				 0);
		if (len)
			assert_int_equal(driver_write(f, all, len, 0), 0);
		driver_close(f);
		driver_detach(d);
		s = kit_scan(r.k, 1, 1);
		assert_true(s.last_seq <= 3);
		assert_true(s.lost); /* later files tell */
		s = kit_scan(r.k, KIT_ALL, 1);
		assert_int_equal(s.last_seq, RECORDS);
		assert_false(s.lost);
	}
	kit_free(r.k);
}

/* ---- damage ---- */

/* One bit anywhere in one copy: the other one helps; alone it is told. */
static void test_bit_flips(void **state)
{
	struct rig r;
	static struct kit_dir d;
	uint64_t step = 113;

	(void)state;
	rig_start(&r, 1, 5000);
	kit_list(r.k, 0, &d);
	for (unsigned i = 0; i < d.n; i++) {
		for (uint64_t off = i; off < d.at[i].size; off += step) {
			struct journal_scan_result s;
			uint8_t bit = (uint8_t)(1u << off % 8);

			kit_flip(r.k, 0, d.at[i].name, off, bit);
			s = kit_scan(r.k, KIT_ALL, 1);
			assert_int_equal(s.last_seq, RECORDS);
			assert_int_equal(s.acked, RECORDS - 1);
			assert_in_range(s.damaged, 0, 1);
			assert_false(s.lost);
			s = kit_scan(r.k, 1, 1);
			/* without its header a last file is not known of */
			if (off >= JOURNAL_BLOCK)
				assert_int_equal(s.lost,
						 s.last_seq < RECORDS - 1);
			assert_int_equal(s.lost, s.last_seq < s.acked);
			kit_flip(r.k, 0, d.at[i].name, off, bit);
		}
	}
	kit_free(r.k);
}

/* Every record is damaged in one of two copies, in turns. */
static void test_damage_in_turns(void **state)
{
	struct rig r;
	struct journal_scan_result s;

	(void)state;
	rig_start(&r, 1, 5000);
	for (unsigned i = 1; i <= RECORDS; i++)
		kit_flip(r.k, i % 2, r.at[i].name, r.at[i].pos + 20, 4);
	s = kit_scan(r.k, KIT_ALL, 1);
	assert_int_equal(s.last_seq, RECORDS);
	assert_true(s.damaged >= RECORDS / 2);
	assert_false(s.lost);
	kit_free(r.k);
}

/* A record gone in all copies: loud, and what was before it is kept. */
static void test_damage_in_all_copies(void **state)
{
	static const uint64_t where[] = {0, 5, 8, 16, 24, 30, 50, 63, 64};
	struct rig r;

	(void)state;
	rig_start(&r, 1, 5000);
	for (unsigned i = 1; i <= RECORDS; i++) {
		for (unsigned w = 0; w < ARRAY_LEN(where); w++) {
			struct journal_scan_result s;
			uint64_t off = r.at[i].pos + where[w];

			kit_flip(r.k, 0, r.at[i].name, off, 1);
			kit_flip(r.k, 1, r.at[i].name, off, 1);
			s = kit_scan(r.k, KIT_ALL, 1);
			assert_int_equal(s.last_seq, i - 1);
			/* The last one's acknowledgement is in no record. */
			assert_int_equal(s.lost, i < RECORDS);
			assert_int_equal(s.damaged, i < RECORDS ? 2 : 0);
			kit_flip(r.k, 0, r.at[i].name, off, 1);
			kit_flip(r.k, 1, r.at[i].name, off, 1);
		}
	}
	kit_free(r.k);
}

/* Damage before from_seq is covered by the checkpoint. */
static void test_damage_in_covered_records(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r, 1, 3000);
	for (unsigned i = 2; i <= RECORDS; i++) {
		struct journal_scan_result s;

		spoil(r.k, 0, &r.at[i - 1], 0, 4096, 0x55);
		spoil(r.k, 1, &r.at[i - 1], 0, 4096, 0);
		s = kit_scan(r.k, KIT_ALL, i);
		assert_int_equal(s.last_seq, RECORDS);
		assert_false(s.lost);
	}
	kit_free(r.k);
}

/* A whole file is gone everywhere. */
static void test_missing_file(void **state)
{
	struct rig r;
	struct journal_scan_result s;

	(void)state;
	rig_start(&r, 1, 3000);
	for (unsigned slot = 0; slot < 2; slot++) {
		struct driver *d = kit_driver(r.k, slot);

		assert_int_equal(driver_remove(d, r.at[10].name), 0);
		driver_detach(d);
	}
	s = kit_scan(r.k, KIT_ALL, 1);
	assert_true(s.last_seq < 10 && s.lost);
	s = kit_scan(r.k, KIT_ALL, 10);
	assert_int_equal(s.records, 0);
	assert_int_equal(s.last_seq, 9);
	assert_true(s.lost);
	s = kit_scan(r.k, KIT_ALL, 18);
	assert_int_equal(s.last_seq, RECORDS);
	assert_false(s.lost);
	kit_free(r.k);
}

/* ---- where a scan begins and ends ---- */

static void test_from_anywhere(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r, 1, 5000);
	for (uint64_t from = 1; from <= RECORDS + 3; from++) {
		struct journal_scan_result s = kit_scan(r.k, KIT_ALL, from);

		assert_int_equal(s.last_seq, MAX(from - 1, (uint64_t)RECORDS));
		assert_int_equal(s.acked, RECORDS - 1);
		assert_false(s.lost);
	}
	kit_free(r.k);
}

static void test_callback_ends_it(void **state)
{
	struct rig r;
	struct journal_scan_result s;
	struct kit_seen seen = {.next = 1, .stop_at = 7};

	(void)state;
	rig_start(&r, 1, 5000);
	seen.k = r.k;
	assert_int_equal(journal_scan(&r.k->pool, kit_epoch_id(r.k), 1,
				      kit_each, &seen, &s),
			 -ECANCELED);
	assert_int_equal(seen.next, 7);
	assert_int_equal(s.records, 6);
	kit_free(r.k);
}

static void test_nothing_there(void **state)
{
	struct kit *k = kit_new(2, 1);
	struct journal_scan_result s = kit_scan(k, KIT_ALL, 5);

	(void)state;
	assert_int_equal(s.records, 0);
	assert_int_equal(s.last_seq, 4);
	assert_int_equal(s.acked, 0);
	assert_false(s.lost);
	kit_free(k);
}

/* ---- names, epochs, foreign files ---- */

/* Names are hints: identity is in the headers. */
static void test_renamed_files(void **state)
{
	struct rig r;
	static struct kit_dir d;
	struct driver *drv;

	(void)state;
	rig_start(&r, 1, 5000);
	kit_list(r.k, 0, &d);
	drv = kit_driver(r.k, 0);
	for (unsigned i = 0; i < d.n; i++) {
		char name[64];

		snprintf(name, sizeof(name), "journal/x%u", 99 - i);
		assert_int_equal(driver_rename(drv, d.at[i].name, name), 0);
	}
	driver_detach(drv);
	assert_int_equal(kit_scan(r.k, 1, 1).last_seq, RECORDS);
	kit_free(r.k);
}

/* Of another pool, another key, another epoch: never taken. */
static void test_foreign_files(void **state)
{
	struct rig r;
	struct keyring *other, *own;

	(void)state;
	rig_start(&r, 1, 5000);
	assert_int_equal(keyring_new(&other), 0);
	own = r.k->pool.keys;
	r.k->pool.keys = other;
	assert_int_equal(kit_scan(r.k, KIT_ALL, 1).records, 0);
	r.k->pool.keys = own;
	keyring_free(other);
	r.k->pool.id.b[3] ^= 1;
	assert_int_equal(kit_scan(r.k, KIT_ALL, 1).records, 0);
	r.k->pool.id.b[3] ^= 1;
	kit_epoch(r.k, 7); /* same number, another id */
	assert_int_equal(kit_scan(r.k, KIT_ALL, 1).records, 0);
	assert_int_equal(kit_scan(r.k, KIT_ALL, 1).acked, 0);
	r.k->pool.sb.epochs--;
	assert_int_equal(kit_scan(r.k, KIT_ALL, 1).last_seq, RECORDS);
	kit_free(r.k);
}

/* Two mounts with the same number on diverged halves share a folder. */
static void test_same_epoch_number_twice(void **state)
{
	struct rig r;
	uint8_t first[16];
	struct pool *p;
	struct kit_seen seen = {.next = 1};
	struct journal_scan_result s;

	(void)state;
	rig_start(&r, 1, 5000);
	memcpy(first, kit_epoch_id(r.k), sizeof(first));
	kit_epoch(r.k, 7);
	kit_start(r.k);
	kit_append(r.k, 30);
	r.k->covered = RECORDS;
	kit_check_each(r.k, kit_holders(r.k));
	kit_release(r.k, r.k->acked);
	kit_append(r.k, 30);
	kit_check_each(r.k, kit_holders(r.k));
	p = &r.k->pool;
	seen.k = r.k;
	assert_int_equal(journal_scan(p, first, 1, kit_each, &seen, &s), 0);
	assert_int_equal(s.last_seq, RECORDS); /* nothing was overwritten */
	journal_free(steal(&r.k->j), true);
	seen.next = 1;
	assert_int_equal(journal_scan(p, first, 1, kit_each, &seen, &s), 0);
	assert_int_equal(s.last_seq, RECORDS);
	kit_free(r.k);
}

static void test_remove_old(void **state)
{
	struct rig r;
	static struct kit_dir d;
	static const char junk[] = "not a journal";
	struct driver *drv;
	struct drv_file *f;

	(void)state;
	rig_start(&r, 1, 5000);
	kit_epoch(r.k, 9);
	kit_start(r.k);
	kit_append(r.k, 10);
	r.k->covered = RECORDS;
	drv = kit_driver(r.k, 0);
	assert_int_equal(driver_open(drv, "journal/readme",
				     DRV_WRITE | DRV_CREATE, &f),
			 0);
	assert_int_equal(driver_write(f, junk, sizeof(junk), 0), 0);
	driver_close(f);
	/* of a later epoch than ours: not ours to judge */
	assert_int_equal(driver_open(drv, "journal/000000000000000a-00000001",
				     DRV_WRITE | DRV_CREATE, &f),
			 0);
	driver_close(f);
	driver_detach(drv);
	kit_fault(r.k, 1,
		  (struct fault_rule){.kind = FAULT_ERROR,
				      .err = EIO,
				      .ops = FAULT_OP_REMOVE,
				      .times = 1});
	assert_int_equal(journal_remove_old(&r.k->pool), -EIO);
	assert_int_equal(journal_remove_old(&r.k->pool), 0);
	for (unsigned slot = 0; slot < 3; slot++) {
		kit_list(r.k, slot, &d);
		for (unsigned i = 0; i < d.n; i++)
			assert_true(strstr(d.at[i].name, "0009-") ||
				    strstr(d.at[i].name, "000a-") ||
				    strstr(d.at[i].name, "readme"));
	}
	assert_true(kit_count_files(r.k, 0) > 2);
	kit_check_each(r.k, kit_holders(r.k));
	kit_free(r.k);
}

static void test_names(void **state)
{
	static const char *const bad[] = {
		"journal/0000000000000007-0000001",
		"journal/0000000000000007-00000001.",
		"journal/0000000000000007-00000001.x",
		"journal/0000000000000007-00000001.1.1",
		"journal/0000000000000007-00000001.fffffffff",
		"journal/0000000000000007_00000001",
		"journal/000000000000000A-00000001",
		"journal/00000000000000007-00000001",
		"journal/",
		"jour",
		"",
	};
	struct journal_name n = {
		.epoch = UINT64_MAX, .file = 1ull << 40, .attempt = UINT32_MAX};
	struct journal_name back;
	char text[JOURNAL_NAME];

	(void)state;
	journal_codec_name(&n, text);
	assert_true(driver_name_ok(text));
	assert_int_equal(journal_codec_parse(text, &back), 0);
	assert_true(back.epoch == n.epoch && back.file == n.file &&
		    back.attempt == n.attempt);
	n = (struct journal_name){.epoch = 7, .file = 1};
	journal_codec_name(&n, text);
	assert_string_equal(text, "journal/0000000000000007-00000001");
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(journal_codec_parse(bad[i], &back), -EINVAL);
}

/* ---- members that cannot be read ---- */

/* Up to m of them: the others know everything. */
static void test_unreadable_member(void **state)
{
	static const unsigned op[] = {FAULT_OP_LIST, FAULT_OP_READ,
				      FAULT_OP_OPEN};
	struct rig r;

	(void)state;
	rig_start(&r, 1, 5000);
	for (unsigned i = 0; i < ARRAY_LEN(op); i++) {
		for (unsigned slot = 0; slot < 3; slot++) {
			kit_fault(r.k, slot,
				  (struct fault_rule){.kind = FAULT_ERROR,
						      .err = EIO,
						      .ops = op[i],
						      .times = 2});
			assert_int_equal(kit_scan(r.k, KIT_ALL, 1).last_seq,
					 RECORDS);
			kit_clear(r.k, slot);
			backend_set_down(r.k->pool.member[slot].backend, false);
		}
	}
	kit_free(r.k);
}

/* More: what they hold is unknown, not missing (C6). */
static void test_too_many_unreadable(void **state)
{
	struct rig r;
	struct journal_scan_result s;

	(void)state;
	rig_start(&r, 1, 5000);
	for (unsigned slot = 0; slot < 2; slot++)
		kit_fault(r.k, slot,
			  (struct fault_rule){.kind = FAULT_ERROR,
					      .err = EIO,
					      .ops = FAULT_OP_LIST,
					      .times = 1});
	assert_int_equal(kit_try_scan(r.k, KIT_ALL, 1, &s), -ERR_UNAVAILABLE);
	assert_int_equal(kit_scan(r.k, KIT_ALL, 1).last_seq, RECORDS);
	/* Once the user has accepted that folders are missing, it goes on. */
	kit_fault(r.k, 0,
		  (struct fault_rule){.kind = FAULT_ERROR,
				      .err = EIO,
				      .ops = FAULT_OP_LIST,
				      .times = 1});
	assert_int_equal(kit_scan(r.k, 1, 1).records, 0);
	kit_free(r.k);
}

/* The same when headers can be read and records cannot. */
static void test_records_unreadable(void **state)
{
	struct rig r;
	struct journal_scan_result s;

	(void)state;
	rig_start(&r, 1, 5000);
	for (unsigned slot = 0; slot < 2; slot++) {
		kit_fault(r.k, slot,
			  (struct fault_rule){.kind = FAULT_ERROR,
					      .err = EIO,
					      .ops = FAULT_OP_READ,
					      .skip = kit_count_files(r.k,
								      slot)});
		if (slot == 0) {
			s = kit_scan(r.k, KIT_ALL, 1);
			assert_int_equal(s.last_seq, RECORDS);
			kit_clear(r.k, slot);
			backend_set_down(r.k->pool.member[0].backend, false);
			kit_fault(r.k, slot,
				  (struct fault_rule){
					  .kind = FAULT_ERROR,
					  .err = EIO,
					  .ops = FAULT_OP_READ,
					  .skip = kit_count_files(r.k, slot)});
		}
	}
	assert_int_equal(kit_try_scan(r.k, KIT_ALL, 1, &s), -ERR_UNAVAILABLE);
	kit_free(r.k);
}

/* Rot that only a read shows. */
static void test_bit_rot_while_reading(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r, 1, 5000);
	for (unsigned skip = 0; skip < 20; skip++) {
		kit_fault(r.k, 0,
			  (struct fault_rule){.kind = FAULT_BITROT,
					      .skip = skip,
					      .times = 3});
		assert_int_equal(kit_scan(r.k, KIT_ALL, 1).last_seq, RECORDS);
		kit_clear(r.k, 0);
	}
	kit_free(r.k);
}

/* ---- anything at all ---- */

/* Both copies are damaged at random: a prefix, or the truth that it is lost. */
static void test_random_damage(void **state)
{
	uint64_t seed = test_seed();
	struct rig r;
	static struct kit_dir d;

	(void)state;
	rnd_seed(seed);
	for (unsigned round = 0; round < 8; round++) {
		rig_start(&r, 1, 5000);
		kit_list(r.k, 0, &d);
		for (unsigned i = 0; i < 40; i++) {
			const struct kit_name *n = &d.at[rnd_below(d.n)];
			uint8_t bytes[64];
			struct journal_scan_result s;

			rnd_bytes(bytes, sizeof(bytes));
			kit_write(r.k, i % 2, n->name, bytes,
				  1 + rnd_below(sizeof(bytes)),
				  rnd_below(n->size - sizeof(bytes)));
			s = kit_scan(r.k, KIT_ALL, 1 + rnd_below(5));
			assert_true(s.last_seq <= RECORDS);
			assert_int_equal(s.lost, s.last_seq < s.acked);
		}
		kit_free(r.k);
	}
	rnd_unseed();
}

/* Records of one place are put at another: replay, reorder, other files. */
static void test_moved_records(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r, 0, 900); /* one block each */
	for (unsigned i = 2; i < RECORDS; i++) {
		AUTO_FREE uint8_t *own = keep(r.k, 0, &r.at[i]);
		AUTO_FREE uint8_t *other = keep(r.k, 0, &r.at[i - 1]);
		AUTO_FREE uint8_t *later = keep(r.k, 0, &r.at[i + 1]);
		struct journal_scan_result s;

		put_back(r.k, 0, &r.at[i], other);
		s = kit_scan(r.k, 1, 1);
		assert_int_equal(s.last_seq, i - 1);
		put_back(r.k, 0, &r.at[i], later);
		s = kit_scan(r.k, 1, 1);
		assert_int_equal(s.last_seq, i - 1);
		assert_int_equal(s.lost, i <= RECORDS - 2 || s.acked >= i);
		put_back(r.k, 0, &r.at[i], own);
	}
	kit_free(r.k);
}

/* A copy is made from one in which records are damaged: others help (J1). */
static void test_replacement_heals(void **state)
{
	struct kit *k = kit_new(4, 2);
	struct kit_place at[RECORDS + 1];

	(void)state;
	k->max_len = 5000;
	kit_start(k);
	for (unsigned i = 1; i <= RECORDS; i++)
		at[i] = kit_append_at(k, 0);
	for (unsigned i = 1; i <= RECORDS; i++)
		kit_flip(k, i % 2, at[i].name, at[i].pos + 70, 16);
	kit_fault(k, 2,
		  (struct fault_rule){.kind = FAULT_ERROR,
				      .err = EIO,
				      .ops = FAULT_OP_WRITE});
	kit_append(k, 1);
	assert_int_equal(kit_holders(k), 11);
	kit_check(k, 8); /* the new copy has all of them right */
	kit_free(k);
}

/* A record that no copy has right does not keep the later ones from theirs. */
static void test_replacement_of_the_damaged(void **state)
{
	struct kit *k = kit_new(3, 1);
	struct kit_place at[4];
	struct journal_scan_result s;

	(void)state;
	k->max_len = 1000;
	kit_start(k);
	for (unsigned i = 1; i <= 3; i++)
		at[i] = kit_append_at(k, 0);
	kit_flip(k, 0, at[2].name, at[2].pos + 70, 16);
	kit_fault(k, 1,
		  (struct fault_rule){.kind = FAULT_ERROR,
				      .err = EIO,
				      .ops = FAULT_OP_WRITE});
	kit_append(k, 10);
	assert_int_equal(kit_holders(k), 5);
	s = kit_scan(k, 4, 1);
	assert_int_equal(s.last_seq, 1);
	assert_true(s.lost);
	assert_int_equal(s.acked, 12);
	s = kit_scan(k, 4, 3);
	assert_int_equal(s.last_seq, 13);
	kit_free(k);
}

static int inline_on(void **state)
{
	(void)state;
	workq_inline(true);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_torn_tail),
		cmocka_unit_test(test_torn_tail_of_a_recycled_file),
		cmocka_unit_test(test_truncated_copy),
		cmocka_unit_test(test_bit_flips),
		cmocka_unit_test(test_damage_in_turns),
		cmocka_unit_test(test_damage_in_all_copies),
		cmocka_unit_test(test_damage_in_covered_records),
		cmocka_unit_test(test_missing_file),
		cmocka_unit_test(test_from_anywhere),
		cmocka_unit_test(test_callback_ends_it),
		cmocka_unit_test(test_nothing_there),
		cmocka_unit_test(test_renamed_files),
		cmocka_unit_test(test_foreign_files),
		cmocka_unit_test(test_same_epoch_number_twice),
		cmocka_unit_test(test_remove_old),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_unreadable_member),
		cmocka_unit_test(test_too_many_unreadable),
		cmocka_unit_test(test_records_unreadable),
		cmocka_unit_test(test_bit_rot_while_reading),
		cmocka_unit_test(test_random_damage),
		cmocka_unit_test(test_moved_records),
		cmocka_unit_test(test_replacement_heals),
		cmocka_unit_test(test_replacement_of_the_damaged),
	};

	return cmocka_run_group_tests(tests, inline_on, NULL);
}
