/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key slots: keyring_unlock.
 *
 * raw      the slots as they are
 * summed   slots whose checksum is made right, which anybody can. Costs that
 *          are within bounds are made cheap: what they would cost is known,
 *          the point is that none beyond the bounds is ever tried.
 * patched  a good slot with (offset u8, byte u8) pairs written over it and a
 *          right checksum
 * cost     passes, KiB, lanes (edges) of a slot that is right otherwise
 */
#include "fuzz/fuzz.h"

#include <string.h>

#include "base/clock.h"
#include "backend/keyslot_format.h"

enum {
	MODE_RAW,
	MODE_SUMMED,
	MODE_PATCHED,
	MODE_COST,
	MODES
};

#define SLOTS_BYTES (KEY_SLOTS * KEY_SLOT_BYTES)
#define PASS_LEN    (sizeof(FUZZ_PASS) - 1)
#define SECOND_NS   1000000000u

static int unlock(const uint8_t *slots)
{
	uint64_t begun = clock_mono_ns();
	struct keyring *k = NULL;
	unsigned slot = KEY_SLOTS;
	uint8_t a[KEY_MAC], b[KEY_MAC];
	int rc = keyring_unlock(slots, fuzz_pool_id.b, FUZZ_PASS, PASS_LEN, &k,
				&slot);

	MUST(clock_mono_ns() - begun < 5ull * SECOND_NS);
	FUZZ_ONE_OF(rc, 0, -ERR_PASSPHRASE, -ERR_KEYSLOT, -ERR_KDF_LIMIT,
		    -ERR_FEATURE);
	if (rc) {
		MUST(!k);
		return rc;
	}
	/* nobody knows another key that these slots could hold */
	MUST(slot < KEY_SLOTS);
	MUST(keyring_mac(k, "x", "", 0, a) == 0);
	MUST(keyring_mac(fuzz_keys(), "x", "", 0, b) == 0);
	MUST(mac_equal(a, b, sizeof(a)));
	keyring_free(k);
	return 0;
}

static bool in_bounds(const struct keyslot_disk *s)
{
	uint32_t time = get_le32(s->time), lanes = get_le32(s->lanes);
	uint32_t mem = get_le32(s->mem_kib);

	return time >= 1 && time <= KDF_TIME_MAX && lanes >= 1 &&
	       lanes <= KDF_LANES_MAX && mem >= KDF_MEM_KIB_MIN * lanes &&
	       mem <= KDF_MEM_KIB_MAX;
}

/* True: the cost is out of bounds. */
static bool make_cheap(uint8_t *slot)
{
	struct keyslot_disk s;

	memcpy(&s, slot, sizeof(s));
	if (!in_bounds(&s))
		return true;
	put_le32(s.time, 1);
	put_le32(s.lanes, 1);
	put_le32(s.mem_kib, KDF_MEM_KIB_MIN);
	memcpy(slot, &s, sizeof(s));
	return false;
}

static void sum(uint8_t *slot)
{
	MUST(sha256(slot, KEYSLOT_SUMMED_BYTES, slot + KEYSLOT_SUMMED_BYTES) ==
	     0);
}

static void try_raw(struct reader *r)
{
	AUTO_FREE uint8_t *slots = mem_zalloc(SLOTS_BYTES);
	size_t len = MIN(reader_left(r), (size_t)SLOTS_BYTES);

	MUST(slots);
	memcpy(slots, r->p, len);
	for (unsigned i = 0; i < KEY_SLOTS; i++)
		(void)make_cheap(slots + (size_t)i * KEY_SLOT_BYTES);
	(void)unlock(slots);
}

static void try_summed(struct reader *r)
{
	AUTO_FREE uint8_t *slots = mem_zalloc(SLOTS_BYTES);
	size_t len = MIN(reader_left(r), (size_t)SLOTS_BYTES);
	bool known = true, beyond = false;
	unsigned used = 0;
	int rc;

	MUST(slots);
	memcpy(slots, r->p, len);
	for (unsigned i = 0; i < KEY_SLOTS; i++) {
		uint8_t *slot = slots + (size_t)i * KEY_SLOT_BYTES;
		struct keyslot_disk *s = (void *)slot;

		if (!keyslot_used(slot))
			continue;
		used++;
		memcpy(s->magic, KEYSLOT_MAGIC, sizeof(s->magic));
		known &= get_le16(s->version) == KEYSLOT_VERSION &&
			 s->kdf == KEYSLOT_KDF_ARGON2ID &&
			 s->wrap == KEYSLOT_WRAP_AES_GCM;
		beyond |= make_cheap(slot);
		sum(slot);
	}
	rc = unlock(slots);
	if (used && known && beyond)
		FUZZ_ONE_OF(rc, 0, -ERR_KDF_LIMIT, -ERR_KEYSLOT);
	if (!used)
		MUST(rc == -ERR_PASSPHRASE);
}

static const uint8_t *good_slot(void)
{
	static uint8_t good[KEY_SLOT_BYTES];

	if (!keyslot_used(good))
		MUST(keyring_wrap(fuzz_keys(), fuzz_pool_id.b, FUZZ_PASS,
				  PASS_LEN, good) == 0);
	return good;
}

static void try_patched(struct reader *r)
{
	AUTO_FREE uint8_t *slots = mem_zalloc(SLOTS_BYTES);
	bool same;
	int rc;

	MUST(slots);
	memcpy(slots, good_slot(), KEY_SLOT_BYTES);
	while (reader_left(r) >= 2) {
		uint8_t at = reader_u8(r);

		slots[at] = reader_u8(r);
	}
	(void)make_cheap(slots);
	sum(slots);
	/* zero3, before the checksum, is covered by the superblock's MAC */
	same = memcmp(slots, good_slot(),
		      offsetof(struct keyslot_disk, zero3)) == 0;
	rc = unlock(slots);
	MUST((rc == 0) == same);
}

/* Beyond the bounds: refused. Within: too dear to be tried each time. */
static void try_cost(struct reader *r)
{
	AUTO_FREE uint8_t *slots = mem_zalloc(SLOTS_BYTES);
	struct keyslot_disk s;

	MUST(slots);
	memcpy(&s, good_slot(), sizeof(s));
	put_le32(s.time, (uint32_t)fuzz_edge(r, KDF_TIME_MAX));
	put_le32(s.mem_kib, (uint32_t)fuzz_edge(r, KDF_MEM_KIB_MAX));
	put_le32(s.lanes, (uint32_t)fuzz_edge(r, KDF_LANES_MAX));
	if (in_bounds(&s))
		return;
	memcpy(slots, &s, sizeof(s));
	sum(slots);
	MUST(unlock(slots) == -ERR_KDF_LIMIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(data, size);

	fuzz_start();
	switch (fuzz_pick(&r, MODES)) {
	case MODE_RAW:
		try_raw(&r);
		break;
	case MODE_SUMMED:
		try_summed(&r);
		break;
	case MODE_PATCHED:
		try_patched(&r);
		break;
	default:
		try_cost(&r);
	}
	return 0;
}
