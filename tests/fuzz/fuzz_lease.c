/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases: lease_decode, lease_list_read.
 *
 * raw      the whole object
 * sealed   slots, each: counter (number), then struct lease_body, sealed
 */
#include "fuzz/fuzz.h"

#include <string.h>

#include "backend/lease.h"

enum {
	MODE_RAW,
	MODE_SEALED,
	MODES
};

static void check_lease(const struct lease *l)
{
	char text[160];

	MUST(l->state >= LEASE_HELD && l->state <= LEASE_WITHDRAWN);
	MUST(l->epoch > 0);
	MUST(strnlen(l->name, sizeof(l->name)) <= HOST_TEXT);
	lease_describe(l, text, sizeof(text));
	MUST(strnlen(text, sizeof(text)) < sizeof(text));
	MUST(lease_offset(l) + LEASE_SLOT <= LEASE_FILE);
}

/* What was read is written the same. */
static void check_again(const struct lease *l)
{
	struct lease_seal s;
	struct buf *b;
	struct lease back;

	MUST(lease_seal_init(&s, &fuzz_pool_id, fuzz_keys()) == 0);
	MUST(lease_encode(&s, l, &b) == 0);
	MUST(lease_decode(b->data, b->len, &fuzz_pool_id, fuzz_keys(), &back) ==
	     0);
	MUST(back.epoch == l->epoch && back.counter == l->counter &&
	     back.state == l->state && back.pid == l->pid &&
	     back.started == l->started);
	MUST(strcmp(back.name, l->name) == 0);
	MUST(memcmp(back.owner, l->owner, LEASE_ID) == 0);
	buf_unref(b);
	lease_seal_release(&s);
}

static void read_slots(const uint8_t *p, size_t len)
{
	const struct lease_reader reader = {
		.pool = &fuzz_pool_id, .keys = fuzz_keys(), .from = 1};
	struct lease_list list = {0};
	AUTO_BUF struct buf *b = buf_new(len);
	struct lease l;
	int rc = lease_decode(p, len, &fuzz_pool_id, fuzz_keys(), &l);

	MUST(b);
	FUZZ_ONE_OF(rc, 0, -ERR_TRUNCATED, -ERR_FORMAT, -ERR_AUTH, -ERR_RANGE);
	if (len)
		memcpy(b->data, p, len);
	MUST(lease_list_read(&list, b, &reader) == 0);
	MUST(list.n <= LEASE_SLOTS);
	for (unsigned i = 0; i < list.n; i++) {
		MUST(lease_list_find(&list, list.at[i].owner) == &list.at[i]);
		check_lease(&list.at[i]);
		check_again(&list.at[i]);
	}
	lease_list_release(&list);
}

static void seal_slot(struct reader *r, uint8_t *slot)
{
	struct lease_header h = {
		.magic = htole64(LEASE_MAGIC),
		.version = htole32(LEASE_VERSION),
		.body_len = htole32(sizeof(struct lease_body) + AEAD_TAG),
		.counter = htole64(fuzz_number(r)),
	};
	struct lease_body body = {0};
	uint8_t nonce[AEAD_NONCE];
	struct aead *a;
	size_t len = MIN(reader_left(r), sizeof(body));

	memcpy(&body, reader_take(r, len), len);
	memcpy(h.pool, fuzz_pool_id.b, sizeof(h.pool));
	MUST(keyring_aead(fuzz_keys(), CIPHER_AES_256_GCM, "lease", h.salt,
			  NULL, 0, &a) == 0);
	aead_nonce_position(nonce, le64toh(h.counter));
	memcpy(slot, &h, sizeof(h));
	MUST(aead_seal(a, nonce, (struct aad){slot, sizeof(h)}, &body,
		       sizeof(body), slot + sizeof(h)) == 0);
	aead_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(data, size);
	AUTO_FREE uint8_t *file = mem_zalloc(LEASE_FILE);

	fuzz_start();
	MUST(file);
	if (fuzz_pick(&r, MODES) == MODE_RAW) {
		read_slots(r.p, reader_left(&r));
		return 0;
	}
	for (unsigned i = 0; i < LEASE_SLOTS && reader_left(&r); i++)
		seal_slot(&r, file + (size_t)i * LEASE_SLOT);
	read_slots(file, LEASE_FILE);
	return 0;
}
