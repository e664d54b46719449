/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folders of a pool as an attacker or an accident left them: pool_open,
 * pool_begin_epoch, pool_publish.
 *
 * Steps of one byte and what they need:
 *   SUPER    folder, slot, as whose folder, generation, epochs, members'
 * epochs: an authentic superblock BYTES    folder, name, bytes: anything under
 * a name of ours FOREIGN  folder, name, bytes: anything under any name CLAIM
 * folder, number, id, parent, spelled number: an authentic claim
 *
 * What opens can be written to, and what was written is what is found again.
 */
#include "fuzz/fuzz.h"

#include <stdio.h>
#include <string.h>

#include "backend/super_format.h"
#include "backend/superblock.h"

enum {
	SUPER,
	BYTES,
	FOREIGN,
	CLAIM,
	STEPS
};

#define MEMBERS	  3
#define STEPS_MAX 24
#define NAME_MAX_ 48

static void id_of(unsigned n, uint8_t out[16])
{
	fuzz_fill(out, 16, (uint8_t)n);
}

static const uint8_t *key_slot(void)
{
	static uint8_t slot[KEY_SLOT_BYTES];

	if (!keyslot_used(slot))
		MUST(keyring_wrap(fuzz_keys(), fuzz_pool_id.b, FUZZ_PASS,
				  strlen(FUZZ_PASS), slot) == 0);
	return slot;
}

static void fill_super(struct reader *r, struct superblock *sb)
{
	*sb = (struct superblock){
		.pool = fuzz_pool_id,
		.generation = fuzz_number(r),
		.geo = {.k = 2,
			.m = 1,
			.chunk_bytes = 16u << 10,
			.segment_bytes = 1u << 20,
			.cipher = CIPHER_AES_256_GCM,
			.level = 1},
		.label = "fuzz",
		.n = MEMBERS,
		.epochs = fuzz_pick(r, 5),
	};
	memcpy(sb->slots, key_slot(), KEY_SLOT_BYTES);
	for (unsigned i = 0; i < sb->epochs; i++) {
		sb->epoch[i].number = fuzz_number(r);
		id_of(fuzz_pick(r, 8), sb->epoch[i].id);
		id_of(fuzz_pick(r, 8), sb->epoch[i].parent);
	}
	for (unsigned i = 0; i < MEMBERS; i++) {
		struct sb_member *m = &sb->member[i];

		id_of(0x80 + i, m->id.b);
		id_of(fuzz_pick(r, 8), m->epoch_had);
		id_of(fuzz_pick(r, 8), m->epoch_sent);
		snprintf(m->path, sizeof(m->path), "%s", fuzz_location(i));
	}
}

static void put_super(struct reader *r)
{
	static struct superblock sb;
	AUTO(bytes_release) struct bytes out = {0};
	unsigned folder = fuzz_pick(r, MEMBERS), slot = fuzz_pick(r, 2);
	unsigned self = fuzz_pick(r, 8);

	fill_super(r, &sb);
	/* seldom somebody else's */
	if (superblock_encode(&sb, self < MEMBERS ? self : folder, fuzz_keys(),
			      &out) == 0)
		fuzz_put(folder, slot ? "mendfs.super.1" : "mendfs.super.0",
			 out.data, out.len);
}

static void put_bytes(struct reader *r)
{
	static const char *const names[] = {
		"mendfs.super.0", "mendfs.super.1", "mendfs.lock",
		"epoch.1",	  "epoch.2",	    "mendfs.super.new-7",
		"lease",	  "data/00/x",
	};
	unsigned folder = fuzz_pick(r, MEMBERS);
	const char *name = names[fuzz_pick(r, ARRAY_LEN(names))];
	size_t len;
	const uint8_t *p = fuzz_bytes(r, UINT16_MAX, &len);

	fuzz_put(folder, name, p, len);
}

static void put_foreign(struct reader *r)
{
	unsigned folder = fuzz_pick(r, MEMBERS), n = 0;
	char name[NAME_MAX_ + 8] = "";
	unsigned want = fuzz_pick(r, NAME_MAX_);
	const uint8_t *p;
	size_t len;

	if (fuzz_pick(r, 2))
		n = (unsigned)snprintf(name, sizeof(name), "epoch.");
	while (want-- && reader_left(r))
		name[n++] = (char)reader_u8(r);
	name[n] = '\0';
	p = fuzz_bytes(r, 512, &len);
	fuzz_put(folder, name, p, len);
}

static void put_claim(struct reader *r)
{
	unsigned folder = fuzz_pick(r, MEMBERS);
	struct super_claim c = {
		.magic = htole64(CLAIM_MAGIC),
		.version = htole32(CLAIM_VERSION),
		.number = htole64(fuzz_number(r)),
	};
	char name[NAME_MAX_];

	id_of(fuzz_pick(r, 8), c.id);
	id_of(fuzz_pick(r, 8), c.parent);
	memcpy(c.pool, fuzz_pool_id.b, sizeof(c.pool));
	MUST(keyring_mac(fuzz_keys(), "epoch claim", &c,
			 offsetof(struct super_claim, mac), c.mac) == 0);
	snprintf(name, sizeof(name), "epoch.%llu",
		 (unsigned long long)(fuzz_pick(r, 4) == 3
					      ? fuzz_number(r)
					      : le64toh(c.number)));
	fuzz_put(folder, name, &c, sizeof(c));
}

static void step(struct reader *r)
{
	switch (fuzz_pick(r, STEPS)) {
	case SUPER:
		put_super(r);
		break;
	case BYTES:
		put_bytes(r);
		break;
	case FOREIGN:
		put_foreign(r);
		break;
	default:
		put_claim(r);
	}
}

static int open_pool(bool read_only, struct pool **out)
{
	const char *at[MEMBERS];
	struct diag d = DIAG_INIT;
	struct pool_open_options o = {
		.location = at,
		.n = MEMBERS,
		.pass = FUZZ_PASS,
		.pass_len = strlen(FUZZ_PASS),
		.read_only = read_only,
	};
	int rc;

	for (unsigned i = 0; i < MEMBERS; i++)
		at[i] = fuzz_location(i);
	rc = pool_open(&o, &d, out);
	MUST(strnlen(d.text, sizeof(d.text)) < sizeof(d.text));
	return rc;
}

static void check_candidates(const struct pool *p)
{
	static struct superblock sb;
	unsigned i = 0;

	while (pool_candidate(p, i, &sb) == 0) {
		MUST(memcmp(&sb.pool, &fuzz_pool_id, sizeof(sb.pool)) == 0);
		i++;
	}
	MUST(i >= 1 && i <= 2 * MEMBERS);
}

/* Found again: the epoch that was begun and published. */
static void check_published(const struct epoch *e, bool everywhere)
{
	struct pool *p;
	const struct epoch *found;
	int rc = open_pool(true, &p);

	if (rc)
		return;
	found = superblock_epoch(&p->sb);
	if (everywhere)
		MUST(!p->diverged && found && found->number == e->number &&
		     memcmp(found->id, e->id, sizeof(e->id)) == 0);
	pool_close(p);
}

static void write_to(struct pool *p)
{
	const struct epoch *before = superblock_epoch(&p->sb);
	uint64_t number = before ? before->number : 0;
	struct epoch e = {0};
	bool everywhere = false;
	int rc = pool_begin_epoch(p);

	if (rc == 0) {
		e = *superblock_epoch(&p->sb);
		MUST(e.number > number);
		rc = pool_publish(p, &everywhere);
	}
	pool_close(p);
	if (rc > 0)
		check_published(&e, everywhere && rc == MEMBERS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(data, size);
	struct pool *p;

	fuzz_start();
	fuzz_folders_clear();
	for (unsigned i = 0; i < STEPS_MAX && reader_left(&r); i++)
		step(&r);
	if (open_pool(true, &p) == 0) {
		check_candidates(p);
		pool_close(p);
	}
	if (open_pool(false, &p) == 0) {
		check_candidates(p);
		write_to(p);
	}
	fuzz_folders_clear();
	return 0;
}
