/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the real pool: its own keys open what lies in the folders, the keys of
 * the targets seal it again, by the engine's own functions.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "backend/fragment.h"
#include "backend/super_format.h"
#include "backend/superblock.h"
#include "fs/control_status.h"
#include "fuzz/fuzz_kit_volume.h"
#include "fuzz/seeds.h"
#include "meta/journal.h"
#include "meta/journal_codec.h"
#include "meta/manifest.h"

static struct pool *real;

static bool starts(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* ---- superblocks ---- */

/* The plain body of a slot that the targets' keys have sealed. */
static void add_body(const struct bytes *slot, struct bytes *out)
{
	const struct super_header *h = (const void *)slot->data;
	const struct aad aad = {.data = h, .len = sizeof(*h)};
	size_t len = le32toh(h->body_len);
	AUTO_FREE uint8_t *plain = mem_alloc(len);
	struct aead *a;

	MUST(plain);
	MUST(keyring_aead(fuzz_keys(), CIPHER_AES_256_GCM, "superblock", NULL,
			  NULL, 0, &a) == 0);
	MUST(aead_open(a, h->nonce, aad, slot->data + sizeof(*h), len, plain) ==
	     0);
	aead_free(a);
	seed_raw(out, plain, len - AEAD_TAG);
}

static void super_seeds(const struct superblock *sb, unsigned self,
			const char *name)
{
	struct bytes slot = {0}, raw = {0}, sealed = {0};

	MUST(superblock_encode(sb, self, fuzz_keys(), &slot) == 0);
	for (unsigned mode = 0; mode < 2; mode++) {
		seed_u8(&raw, mode);
		seed_raw(&raw, slot.data, slot.len);
		seed_write(&raw, "superblock", "%s-%u", name, mode);
	}
	seed_u8(&sealed, 2);
	seed_u8(&sealed, self);
	seed_u8(&sealed, 0);
	seed_raw(&sealed, sb->member[self].id.b, 16);
	add_body(&slot, &sealed);
	seed_write(&sealed, "superblock", "%s-sealed", name);
	bytes_release(&slot);
}

static void plain_seeds(const struct superblock *sb)
{
	static struct superblock one;

	one = *sb;
	one.n = 1;
	one.geo.k = 1;
	one.geo.m = 0;
	one.epochs = 0;
	one.manifest.present = false;
	one.member[0].path[0] = '\0';
	memset(one.label, 'x', SB_LABEL_MAX);
	super_seeds(&one, 0, "plain");
}

static void super_slot(const struct fuzz_object *o)
{
	static struct superblock sb;
	unsigned self;
	char name[64];

	MUST(superblock_decode(o->data, o->len, real->keys, &sb, &self) == 0);
	sb.pool = fuzz_pool_id;
	snprintf(name, sizeof(name), "slot-%u-%c", o->folder,
		 o->name[strlen(o->name) - 1]);
	super_seeds(&sb, self, name);
	if (o->folder)
		return;
	/* as little of everything as there can be, and as much */
	plain_seeds(&sb);
	sb.n = POOL_MEMBERS_MAX;
	for (unsigned i = 0; i < sb.n; i++)
		fuzz_fill(sb.member[i].id.b, 16, (uint8_t)(i + 1));
	while (sb.epochs < SB_EPOCHS) {
		struct epoch e = {.number = sb.epoch[sb.epochs - 1].number + 1};

		fuzz_fill(e.id, 16, (uint8_t)(sb.epochs + 1));
		superblock_add_epoch(&sb, &e);
	}
	super_seeds(&sb, 31, "full");
}

/* ---- fragments ---- */

static void fragment_seeds(const struct fuzz_object *o, unsigned *n)
{
	AUTO_BUF struct buf *file = NULL;
	struct bytes raw = {0}, sealed = {0};
	struct seg_context from, to;
	struct frag_tags tags;
	struct seg_desc d;
	unsigned i;

	pool_seg_context(real, &from);
	fuzz_context(&to);
	MUST(fragment_header_parse(&from, o->data, o->len, &d, &i, &tags) == 0);
	file = fragment_new(&d, i);
	MUST(file);
	memset(file->data, 0, file->len);
	MUST(fragment_finish(&to, &d, i, &tags, file) == 0);
	seed_raw(&raw, "", 1);
	seed_raw(&raw, file->data, FRAG_HEADER);
	seed_write(&raw, "fragment", "raw-%u", *n);
	seed_u8(&sealed, 1);
	seed_raw(&sealed, file->data, sizeof(struct frag_header));
	seed_write(&sealed, "fragment", "sealed-%u", (*n)++);
}

/* ---- journals ---- */

static void journal_name(const struct fuzz_object *o)
{
	struct bytes b = {0};

	seed_u8(&b, 0);
	seed_raw(&b, o->name, strlen(o->name));
	seed_write(&b, "journal", "name-%u-%.8s", o->folder,
		   o->name + strlen(o->name) - 8);
}

static void journal_head(const struct fuzz_object *o)
{
	static struct pool as_target;
	uint8_t block[JOURNAL_BLOCK];
	struct journal_head h;

	as_target.id = fuzz_pool_id;
	as_target.keys = fuzz_keys();
	if (journal_codec_get_head(real, o->data, o->len, &h))
		return;
	MUST(journal_codec_put_head(&as_target, &h, block) == 0);
	for (unsigned mode = 1; mode <= 2; mode++) {
		struct bytes b = {0};

		seed_u8(&b, mode);
		seed_raw(&b, block, sizeof(block));
		seed_write(&b, "journal", "head-%u-%u-%u", o->folder,
			   (unsigned)h.file, mode);
	}
}

/* One record: its log, what it carries, and itself. */
static int record_seeds(void *arg, uint64_t seq, const void *payload,
			size_t len)
{
	struct reader r = reader_of(payload, len);
	uint64_t log_len = reader_varint(&r);
	struct bytes log = {0}, carried = {0}, record = {0};
	unsigned *n = arg;

	MUST(log_len <= reader_left(&r));
	seed_raw(&log, reader_take(&r, log_len), log_len);
	seed_write(&log, "replay", "record-%u", (unsigned)seq);
	seed_u8(&carried, 0);
	seed_bytes(&carried, r.p, reader_left(&r));
	seed_write(&carried, "jseg", "record-%u", (unsigned)seq);
	seed_u8(&record, 4);
	for (unsigned i = 1; i <= 5; i++)
		seed_number(&record, i);
	seed_u8(&record, 3);
	seed_u8(&record, 0x10);
	seed_raw(&record, payload, MIN(len, (size_t)8192));
	seed_write(&record, "journal", "record-%u", (unsigned)seq);
	(*n)++;
	return 0;
}

static void journal_records(const struct manifest *m)
{
	struct journal_scan_result res;
	unsigned n = 0;

	MUST(journal_scan(real, m->epoch_id, m->seq + 1, record_seeds, &n,
			  &res) == 0);
	MUST(n > 0);
}

/* ---- manifests ---- */

static void manifest_seed(struct manifest *m)
{
	struct bytes b = {0};
	uint32_t live = 0;

	MUST(manifest_encode(m, &b) == 0);
	seed_write(&b, "manifest", "real-%u", m->kept);
	if (m->regions == 0)
		return;
	/* without older ones, and of one region only */
	m->kept = 0;
	m->regions = 1;
	m->segments = 1;
	m->segment[0].desc = m->segment[m->region[0].segment].desc;
	m->region[0].segment = 0;
	live = m->region[0].ref.stored_len;
	m->segment[0].live = live;
	MUST(manifest_encode(m, &b) == 0);
	seed_write(&b, "manifest", "small");
}

/* ---- answers ---- */

static void answer_seed(struct volume *v)
{
	struct bytes b = {0};
	json_t *j;
	char *text;

	MUST(control_status_json(v, "/mnt", &j) == 0);
	text = json_dumps(j, JSON_COMPACT);
	MUST(text);
	seed_u16(&b, strlen(text) + 1);
	seed_raw(&b, text, strlen(text));
	seed_u8(&b, '\n');
	seed_write(&b, "answer", "status");
	free(text);
	json_decref(j);
}

static void status_seed(void)
{
	struct volume_options o;
	struct diag d = DIAG_INIT;
	struct volume *v;

	fuzz_volume_options(&o);
	MUST(volume_open(&o, &d, &v) == 0);
	answer_seed(v);
	volume_crash(v);
}

/* ---- all ---- */

static void object_seeds(const struct fuzz_volume *fv)
{
	unsigned fragments = 0;

	for (unsigned i = 0; i < fv->n; i++) {
		const struct fuzz_object *o = &fv->object[i];

		if (starts(o->name, "mendfs.super."))
			super_slot(o);
		else if (starts(o->name, "data/") || starts(o->name, "index/"))
			fragment_seeds(o, &fragments);
		else if (starts(o->name, JOURNAL_FOLDER "/")) {
			journal_name(o);
			journal_head(o);
		}
	}
	MUST(fragments > 0);
}

void seeds_real(void)
{
	const struct fuzz_volume *fv = fuzz_volume();
	struct pool_open_options po = {.read_only = true};
	struct volume_options vo;
	struct diag d = DIAG_INIT;
	struct manifest m;
	struct store *s;

	fuzz_volume_put(fv->object, fv->n);
	fuzz_volume_options(&vo);
	po.location = vo.location;
	po.n = vo.n;
	po.pass = vo.pass;
	po.pass_len = vo.pass_len;
	MUST(pool_open(&po, &d, &real) == 0);
	MUST(store_new(real, &s) == 0);
	MUST(manifest_load(s, &real->sb.manifest, &m, NULL) == 0);
	object_seeds(fv);
	journal_records(&m);
	manifest_seed(&m);
	manifest_release(&m);
	store_free(s);
	pool_close(real);
	status_seed();
}
