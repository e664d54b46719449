/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "backend/compress.h"
#include "backend/fragment.h"
#include "backend/lease.h"
#include "backend/segment.h"
#include "backend/superblock.h"
#include "fuzz/seeds.h"
#include "meta/local_format.h"
#include "meta/stmt_log.h"

/* ---- chunks and tables ---- */

static void text(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t) "a line of text that repeats itself\n"[i % 35];
}

static void chunk_seed(uint32_t len)
{
	struct bytes packed = {0}, sealed = {0}, round = {0};
	AUTO_FREE uint8_t *plain = mem_alloc(len), *out = mem_alloc(len);
	char name[32];
	size_t n;

	MUST(plain && out);
	text(plain, len);
	n = compress_try(COMPRESS_LEVEL_DEF, plain, len, out);
	snprintf(name, sizeof(name), "%u", len);
	seed_u8(&packed, 0);
	seed_number(&packed, len);
	seed_raw(&packed, out, n);
	seed_write(&packed, "chunk", "packed-%s", name);
	seed_u8(&sealed, 1);
	seed_number(&sealed, len);
	seed_u8(&sealed, 1);
	seed_raw(&sealed, out, n);
	seed_write(&sealed, "chunk", "sealed-%s", name);
	seed_u8(&round, 2);
	seed_u8(&round, 3);
	seed_raw(&round, plain, len);
	seed_write(&round, "chunk", "round-%s", name);
}

static int add_entry(void *arg, uint64_t data_id, uint64_t offset,
		     const struct chunk_ref *ref)
{
	struct seg_table_entry e = {
		.data_id = htole64(data_id),
		.offset = htole64(offset),
		.position = htole32(ref->pos),
		.stored_len_codec =
			htole32(ref->stored_len << 1 | (uint32_t)ref->codec),
	};
	uint32_t plain = htole32(ref->plain_len - 1);

	memcpy(e.plain_len, &plain, sizeof(e.plain_len));
	seed_raw(arg, &e, sizeof(e));
	return 0;
}

static void table_seeds(void)
{
	static const uint8_t salt[KEY_SALT];
	struct bytes raw = {0}, sealed = {0};
	uint8_t plain[5000];
	struct seg_context cx;
	struct seg_build *b;
	struct chunk_ref ref;
	struct seg_desc d;
	uint32_t len;

	text(plain, sizeof(plain));
	fuzz_context(&cx);
	MUST(seg_build_new(&cx, SEG_DATA, (struct seg_id){3}, 64u << 10, salt,
			   &b) == 0);
	for (unsigned i = 0; i < 5; i++)
		MUST(seg_build_add(b, i, i * 4096, plain, 1000 * (i + 1),
				   i % 2 ? COMPRESS_NONE : 1, &ref) == 0);
	MUST(seg_build_finish(b) == 0);
	seg_build_describe(b, &d);
	len = d.payload_len - d.table_pos;
	seed_u8(&raw, 0);
	seed_number(&raw, d.table_pos);
	seed_raw(&raw, seg_build_at(b, d.table_pos, len), len);
	seed_write(&raw, "segtable", "raw");
	seed_u8(&sealed, 1);
	seed_number(&sealed, d.table_pos);
	MUST(seg_table_open(&cx, &d, seg_build_at(b, d.table_pos, len),
			    add_entry, &sealed) == 0);
	seed_write(&sealed, "segtable", "sealed");
	seg_build_free(b);
}

/* a superblock of numbers: n members, n epochs, with a label or without */
static void super_seed(unsigned n, bool label)
{
	struct bytes b = {0};

	seed_u8(&b, 3);
	seed_u8(&b, 1);
	seed_u8(&b, 0);
	seed_u8(&b, CIPHER_AES_256_GCM);
	seed_u8(&b, 0);
	seed_number(&b, 16u << 10);
	seed_number(&b, 1u << 20);
	seed_number(&b, 1);
	seed_u8(&b, n);
	seed_u8(&b, n);
	seed_u8(&b, label ? 3 : 0);
	seed_u8(&b, 0);
	for (unsigned i = 0; i < n; i++)
		seed_u8(&b, i % 4);
	for (unsigned i = 0; i < n; i++)
		seed_number(&b, i + 1);
	seed_write(&b, "superblock", "made-%u-%u", n, label);
}

static void fragment_file_seeds(void)
{
	for (unsigned k = 0; k < 4; k++) {
		struct bytes b = {0};

		seed_u8(&b, 2);
		seed_u8(&b, k); /* ranges - 1 */
		seed_u8(&b, k); /* parity */
		seed_u8(&b, 200);
		for (unsigned i = 0; i < k; i++)
			seed_u8(&b, 100);
		seed_u8(&b, k);	    /* which */
		seed_u8(&b, k % 3); /* not cut */
		seed_u16(&b, 4096);
		seed_u8(&b, k);
		seed_write(&b, "fragment", "file-%u", k);
	}
}

/* ---- keys ---- */

static void key_seeds(void)
{
	uint8_t slots[KEY_SLOTS * KEY_SLOT_BYTES] = {0};

	MUST(keyring_wrap(fuzz_keys(), fuzz_pool_id.b, FUZZ_PASS,
			  strlen(FUZZ_PASS), slots + KEY_SLOT_BYTES) == 0);
	MUST(keyring_wrap(fuzz_keys(), fuzz_pool_id.b, "other", 5,
			  slots + 3 * KEY_SLOT_BYTES) == 0);
	for (unsigned mode = 0; mode < 2; mode++) {
		struct bytes b = {0};

		seed_u8(&b, mode);
		seed_raw(&b, slots, sizeof(slots));
		seed_write(&b, "keyslot", "slots-%u", mode);
	}
	for (unsigned at = 0; at < 3; at++) {
		struct bytes b = {0};

		seed_u8(&b, 3);
		for (unsigned i = 0; i < 3; i++) {
			seed_u8(&b, i == at ? 4 : 5); /* one too many */
			seed_number(&b, i == 1 ? 240 : 1);
		}
		seed_write(&b, "keyslot", "cost-%u", at);
	}
	for (unsigned at = 0; at < 152; at += 8) {
		struct bytes b = {0};

		seed_u8(&b, 2);
		seed_u8(&b, at);
		seed_u8(&b, 0xff);
		seed_write(&b, "keyslot", "patch-%u", at);
	}
}

/* ---- small things ---- */

static void local_seeds(void)
{
	struct local_file f = {
		.magic = htole64(LOCAL_MAGIC),
		.version = htole32(LOCAL_VERSION),
		.flags = htole32(LOCAL_CLEAN),
		.seq = htole64(7),
		.mark_epoch = htole64(3),
		.mark_seq = htole64(6),
	};
	struct bytes raw = {0}, maced = {0};

	MUST(keyring_mac(fuzz_keys(), LOCAL_PURPOSE, &f,
			 offsetof(struct local_file, mac), f.mac) == 0);
	seed_u8(&raw, 0);
	seed_raw(&raw, &f, sizeof(f));
	seed_write(&raw, "local", "raw");
	seed_u8(&maced, 1);
	seed_raw(&maced, &f, offsetof(struct local_file, mac));
	seed_write(&maced, "local", "maced");
}

static void lease_seeds(void)
{
	struct lease_body body = {
		.epoch = htole64(5),
		.pid = htole64(4711),
		.started = htole64(99),
		.state = LEASE_HELD,
		.name_len = 4,
		.name = "host",
	};
	struct lease l = {.epoch = 5,
			  .counter = 8,
			  .state = LEASE_RELEASED,
			  .name = "another host"};
	struct bytes raw = {0}, sealed = {0};
	struct lease_seal s;
	struct buf *b;

	MUST(lease_seal_init(&s, &fuzz_pool_id, fuzz_keys()) == 0);
	MUST(lease_encode(&s, &l, &b) == 0);
	seed_u8(&raw, 0);
	seed_raw(&raw, b->data, b->len);
	seed_write(&raw, "lease", "raw");
	buf_unref(b);
	lease_seal_release(&s);
	seed_u8(&sealed, 1);
	for (unsigned i = 0; i < LEASE_SLOTS; i++) {
		body.owner[0] = (uint8_t)(i / 2);
		seed_number(&sealed, i + 1);
		seed_raw(&sealed, &body, sizeof(body));
	}
	seed_write(&sealed, "lease", "sealed");
}

static void stmt_seeds(void)
{
	const struct value v[] = {
		V_INT(0),
		V_INT(-1),
		V_INT(31),
		V_INT(INT64_MIN),
		V_INT(INT64_MAX),
		V_BLOB("", 0),
		V_BLOB("abc", 3),
		{.type = VALUE_NULL},
		{.type = VALUE_TEXT, .p = "text", .len = 4},
	};
	struct bytes log = {0}, b = {0};

	MUST(stmt_log_add(&log, STMT_META_SET, 1, v, ARRAY_LEN(v)) == 0);
	seed_u8(&b, ARRAY_LEN(v));
	seed_raw(&b, log.data + 2, log.len - 2);
	seed_write(&b, "stmt", "values");
	bytes_release(&log);
}

static void history_seeds(void)
{
	/* two that descend, two that do not, one of the same epoch */
	static const uint8_t bodies[][9] = {
		{0, 1, 1, 1, 1, 0, 1, 0},
		{0, 2, 2, 1, 1, 0, 2, 2, 1},
		{0, 2, 2, 1, 1, 0, 3, 4, 1},
		{0, 3, 2, 1, 1, 0, 2, 2, 1},
	};
	struct bytes b = {0};

	for (unsigned i = 0; i < ARRAY_LEN(bodies); i++)
		seed_raw(&b, bodies[i], sizeof(bodies[i]));
	seed_write(&b, "history", "bodies");
}

/* ---- steps ---- */

/* 0: a file, 1: a record; as in the target */
static void scan_seeds(void)
{
	for (unsigned what = 0; what < 7; what++) {
		struct bytes b = {0};

		seed_u8(&b, 0);
		for (unsigned f = 0; f < 2; f++) {
			seed_u8(&b, 0);
			seed_u8(&b, f);
			seed_u8(&b, 0);
			seed_u8(&b, 0);
			seed_u8(&b, 0);
			for (unsigned i = 0; i < 4; i++) {
				seed_u8(&b, 1);
				seed_u8(&b, i * 50);
				seed_u8(&b, i == 3 && what == 1 ? 2 : 0);
			}
		}
		seed_u8(&b, what);
		for (unsigned i = 0; i < 8; i++)
			seed_u8(&b, 16 + i);
		seed_write(&b, "scan", "files-%u", what);
	}
}

static void pool_super(struct bytes *b, unsigned folder, unsigned slot,
		       unsigned generation, unsigned epochs)
{
	seed_u8(b, 0);
	seed_u8(b, folder);
	seed_u8(b, slot);
	seed_u8(b, folder);
	seed_number(b, generation);
	seed_u8(b, epochs);
	for (unsigned i = 0; i < epochs; i++) {
		seed_number(b, i + 1);
		seed_u8(b, i + 1);
		seed_u8(b, i);
	}
	for (unsigned i = 0; i < 6; i++)
		seed_u8(b, i % 2 ? epochs : 0);
}

/* slots of one age, of two ages, and a claim that came to nothing */
static void pool_seeds(void)
{
	for (unsigned what = 0; what < 4; what++) {
		struct bytes b = {0};

		for (unsigned i = 0; i < 3; i++) {
			pool_super(&b, i, 0, 7, 2);
			if (what & 1)
				pool_super(&b, i, 1, 8 + (i == 2), 3);
		}
		if (what & 2) {
			seed_u8(&b, 3);
			seed_u8(&b, 1); /* folder */
			seed_number(&b, 3 + (what & 1));
			seed_u8(&b, 5); /* id */
			seed_u8(&b, 2 + (what & 1));
			seed_u8(&b, 0);
		}
		seed_write(&b, "pool", "super-%u", what);
	}
}

static void jseg_seeds(void)
{
	for (unsigned id = 1; id <= 4; id++) {
		struct bytes b = {0};

		for (unsigned again = 0; again < 2; again++) {
			seed_u8(&b, 1);
			seed_u8(&b, id);
			seed_u8(&b, 3);		  /* chunks */
			seed_u8(&b, again * 250); /* first position */
			for (unsigned i = 0; i < 3; i++) {
				seed_u8(&b, 20 * i);
				seed_u8(&b, 0); /* no gap */
				seed_u8(&b, i);
				seed_u8(&b, i);
			}
		}
		seed_write(&b, "jseg", "made-%u", id);
	}
}

/* each kind of change, to objects here and there; all three ways to look */
static void mount_seeds(void)
{
	for (unsigned i = 0; i < 30; i++) {
		struct bytes b = {0};

		seed_u8(&b, i);
		seed_u8(&b, i % 6);
		seed_u8(&b, i * 3);
		seed_raw(&b, "\0\0\0\0\2\0\1\1", 8);
		seed_write(&b, "mount", "change-%u", i);
	}
}

static void control_seeds(void)
{
	static const char *const lines[] = {
		"{\"command\":\"ping\"}\n",
		"{\"command\":\"status\"}\n",
		"{\"command\":\"sync\", \"x\": [1, 2.5e3, null, true]}\n",
		"{\"command\":\"wait\"}\n",
		"{\"command\":\"ping\",\"command\":\"wait\"}\n",
		"{\"command\":\"\\u0000ping\"}\n",
		"[[[[{}]]]]\n",
		"{\"command\":\"ping\"}",
	};

	for (unsigned i = 0; i < ARRAY_LEN(lines); i++) {
		struct bytes b = {0};

		seed_raw(&b, lines[i], strlen(lines[i]));
		seed_write(&b, "control", "line-%u", i);
	}
}

void seeds_made(void)
{
	chunk_seed(500);
	chunk_seed(20000);
	table_seeds();
	super_seed(1, true);
	super_seed(5, false);
	super_seed(POOL_MEMBERS_MAX, true);
	fragment_file_seeds();
	key_seeds();
	local_seeds();
	lease_seeds();
	stmt_seeds();
	history_seeds();
	scan_seeds();
	pool_seeds();
	jseg_seeds();
	mount_seeds();
	control_seeds();
}
