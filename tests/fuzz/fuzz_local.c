/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state file in the cache folder: local_load.
 *
 * raw      the file
 * maced    the file with its MAC made right
 */
#include "fuzz/fuzz.h"

#include <string.h>

#include "meta/local.h"
#include "meta/local_format.h"

enum {
	MODE_RAW,
	MODE_MACED,
	MODES
};

#define MAC_AT offsetof(struct local_file, mac)

/* What was loaded means the same as the bytes it came from. */
static void check(const struct local_state *s, const uint8_t *raw)
{
	const struct local_file *f = (const void *)raw;

	MUST(s->clean == (le32toh(f->flags) & LOCAL_CLEAN));
	MUST(memcmp(s->salt, f->salt, sizeof(f->salt)) == 0);
	MUST(memcmp(s->manifest_hash, f->manifest_hash,
		    sizeof(f->manifest_hash)) == 0);
	MUST(s->seq == le64toh(f->seq) && s->mark_seq == le64toh(f->mark_seq));
	MUST(s->mark_epoch == le64toh(f->mark_epoch));
	MUST(memcmp(s->mark_epoch_id, f->mark_epoch_id,
		    sizeof(f->mark_epoch_id)) == 0);
}

static void load(const uint8_t *raw, size_t len)
{
	char path[64];
	struct local l = {.state_path = path};
	struct local_state s;
	int rc;

	strcpy(path, fuzz_file(0));
	fuzz_file_write(0, raw, len, 0);
	rc = local_load(&l, fuzz_keys(), &s);
	FUZZ_ONE_OF(rc, 0, -ENOENT);
	if (rc)
		return;
	MUST(len == sizeof(struct local_file));
	check(&s, raw);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(data, size);
	uint8_t raw[sizeof(struct local_file)] = {0};

	fuzz_start();
	if (fuzz_pick(&r, MODES) == MODE_RAW) {
		load(r.p, reader_left(&r));
		return 0;
	}
	memcpy(raw, r.p, MIN(reader_left(&r), MAC_AT));
	put_le64(raw, LOCAL_MAGIC);
	put_le32(raw + 8, LOCAL_VERSION);
	MUST(keyring_mac(fuzz_keys(), LOCAL_PURPOSE, raw, MAC_AT,
			 raw + MAC_AT) == 0);
	load(raw, sizeof(raw));
	return 0;
}
