/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole journals on several folders, damaged in any way: journal_scan.
 *
 * from_seq u8, then steps of one byte and what they need:
 *   FILE      number, first seq, members, flags: a file with a good header
 *   RECORD    length, flags: a good record behind the last one, or with a
 *             wrong seq, chain or position
 *   SKIP      blocks left out
 *   NOISE     bytes in the clear where a record would begin
 *   FLIP      one byte of one copy of one file
 *   CUT       one copy of one file is shorter
 *   OBJECT    anything under any name in journal/
 *
 * What is handed out is contiguous, begins at from_seq, and was sealed for
 * just that seq.
 */
#include "fuzz/fuzz.h"

#include <stdio.h>
#include <string.h>

#include "meta/journal.h"
#include "meta/journal_codec.h"

enum {
	FILE_,
	RECORD,
	SKIP,
	NOISE,
	FLIP,
	CUT,
	OBJECT,
	STEPS
};

#define MEMBERS	  3
#define FILES_MAX 6
#define FILE_SIZE (16u * JOURNAL_BLOCK)
#define SEALS_MAX 128
#define STEPS_MAX 200

static const uint8_t epoch_id[16] = {9, 9};

struct jfile {
	struct journal_head head;
	struct aead *key;
	uint64_t pos;
	size_t len[MEMBERS];
	bool at[MEMBERS];
	uint8_t *bytes[MEMBERS];
};

struct world {
	struct jfile file[FILES_MAX];
	unsigned files, seals;
	uint64_t seq; /* of the last record made */
	uint8_t chain[JOURNAL_CHAIN];
	uint64_t sealed[SEALS_MAX]; /* seqs, one bit pattern per payload */
	uint64_t from, next;
	unsigned got;
	unsigned object;
};

static struct pool pool;

/* A payload tells its seq and which of those with this seq it is. */
static void make_payload(uint64_t seq, unsigned number, uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(seq * 7 + number * 13 + i);
}

/* ---- making ---- */

static void add_file(struct world *w, struct reader *r)
{
	struct jfile *f = &w->file[w->files];
	unsigned number = 1 + fuzz_pick(r, 8), first = fuzz_pick(r, 64);
	unsigned members = fuzz_pick(r, 8), flags = fuzz_pick(r, 8);

	if (w->files == FILES_MAX)
		return;
	w->files++;
	*f = (struct jfile){.pos = JOURNAL_BLOCK};
	f->head = (struct journal_head){
		.epoch = 7,
		.file = number,
		.size = FILE_SIZE,
		.first_seq = flags & 1 ? 1 + first : w->seq + 1,
	};
	memcpy(f->head.epoch_id, epoch_id, sizeof(epoch_id));
	memcpy(f->head.chain, w->chain, sizeof(w->chain));
	f->head.chain[0] ^= flags & 2 ? 1 : 0;
	f->head.epoch_id[15] ^= flags == 7 ? 1 : 0;
	fuzz_fill(f->head.salt, KEY_SALT, (uint8_t)w->files);
	w->seq = f->head.first_seq - 1;
	MUST(journal_codec_key(&pool, f->head.salt, &f->key) == 0);
	for (unsigned i = 0; i < MEMBERS; i++) {
		f->at[i] = !(members & 1u << i);
		f->len[i] = FILE_SIZE;
		f->bytes[i] = mem_zalloc(FILE_SIZE);
		MUST(f->bytes[i]);
		MUST(journal_codec_put_head(&pool, &f->head, f->bytes[i]) == 0);
	}
}

static struct jfile *last_file(struct world *w)
{
	return w->files ? &w->file[w->files - 1] : NULL;
}

static void place(struct jfile *f, const void *p, size_t len)
{
	if (f->pos >= FILE_SIZE)
		return;
	for (unsigned i = 0; i < MEMBERS; i++)
		memcpy(f->bytes[i] + f->pos, p, MIN(len, FILE_SIZE - f->pos));
}

static void add_record(struct world *w, struct reader *r)
{
	struct jfile *f = last_file(w);
	size_t len = (size_t)fuzz_pick(r, 256) * 40;
	unsigned flags = fuzz_pick(r, 32);
	struct journal_record rec = {.epoch = 7, .acked = fuzz_pick(r, 64)};
	AUTO_FREE uint8_t *payload = mem_alloc(len);
	AUTO_BUF struct buf *b = buf_new(journal_codec_room(len));

	MUST(payload && b);
	if (!f || w->seals == SEALS_MAX)
		return;
	rec.file = f->head.file;
	rec.len = (uint32_t)len;
	rec.seq = w->seq + 1 + (flags & 4 ? 1 : 0) - (flags & 8 ? 1 : 0);
	memcpy(rec.chain, w->chain, sizeof(rec.chain));
	rec.chain[0] ^= flags & 2 ? 1 : 0;
	w->sealed[w->seals] = rec.seq;
	make_payload(rec.seq, w->seals++, payload, len);
	MUST(journal_codec_seal(f->key, f->pos + (flags & 16 ? 1 : 0), &rec,
				payload, b) == 0);
	place(f, b->data, b->len);
	f->pos += b->len;
	w->seq = rec.seq;
	memcpy(w->chain, rec.tag, sizeof(w->chain));
}

static void add_noise(struct world *w, struct reader *r)
{
	struct jfile *f = last_file(w);
	size_t len;
	const uint8_t *p = fuzz_bytes(r, JOURNAL_BLOCK, &len);

	if (!f)
		return;
	place(f, p, len);
	f->pos += JOURNAL_BLOCK;
}

static void damage(struct world *w, struct reader *r, bool cut)
{
	unsigned which = fuzz_pick(r, FILES_MAX), copy = fuzz_pick(r, MEMBERS);
	size_t at = reader_left(r) < 2 ? 0 : reader_u16(r);
	uint8_t flip = (uint8_t)fuzz_pick(r, 256);
	struct jfile *f = &w->file[which];

	if (which >= w->files)
		return;
	if (cut)
		f->len[copy] = MIN(f->len[copy], at);
	else if (at < f->len[copy])
		f->bytes[copy][at] ^= flip;
}

static void add_object(struct world *w, struct reader *r)
{
	char name[128] = JOURNAL_FOLDER "/";
	size_t n = strlen(name), want = fuzz_pick(r, 64), len;
	const uint8_t *p;

	while (want-- && reader_left(r))
		name[n++] = (char)fuzz_pick(r, 128);
	p = fuzz_bytes(r, 8192, &len);
	fuzz_put(w->object++ % MEMBERS, name, p, len);
}

static void step(struct world *w, struct reader *r)
{
	struct jfile *f = last_file(w);

	switch (fuzz_pick(r, STEPS)) {
	case FILE_:
		add_file(w, r);
		break;
	case RECORD:
		add_record(w, r);
		break;
	case SKIP:
		if (f)
			f->pos += fuzz_pick(r, 4) * JOURNAL_BLOCK;
		break;
	case NOISE:
		add_noise(w, r);
		break;
	case FLIP:
	case CUT:
		damage(w, r, fuzz_pick(r, 2));
		break;
	default:
		add_object(w, r);
	}
}

static void put_files(struct world *w)
{
	for (unsigned i = 0; i < w->files; i++) {
		struct jfile *f = &w->file[i];
		struct journal_name n = {7, f->head.file, i};
		char name[JOURNAL_NAME];

		journal_codec_name(&n, name);
		for (unsigned m = 0; m < MEMBERS; m++) {
			if (f->at[m])
				fuzz_put(m, name, f->bytes[m], f->len[m]);
			mem_free(f->bytes[m]);
		}
		aead_free(f->key);
	}
}

/* ---- checking ---- */

static bool was_sealed(const struct world *w, uint64_t seq, const void *payload,
		       size_t len)
{
	AUTO_FREE uint8_t *want = mem_alloc(len);

	MUST(want);
	for (unsigned i = 0; i < w->seals; i++) {
		if (w->sealed[i] != seq)
			continue;
		make_payload(seq, i, want, len);
		if (len == 0 || memcmp(want, payload, len) == 0)
			return true;
	}
	return false;
}

static int each(void *arg, uint64_t seq, const void *payload, size_t len)
{
	struct world *w = arg;

	MUST(seq == w->next++);
	MUST(was_sealed(w, seq, payload, len));
	w->got++;
	return 0;
}

static void scan(struct world *w)
{
	struct journal_scan_result res;
	int rc = journal_scan(&pool, epoch_id, w->from, each, w, &res);

	FUZZ_ONE_OF(rc, 0, -ERR_UNAVAILABLE);
	MUST(res.records == w->got && res.last_seq == w->from - 1 + w->got);
	MUST(rc || res.lost == (res.acked > res.last_seq));
	MUST(rc || res.heard <= MEMBERS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(data, size);
	struct world w = {0};

	fuzz_start();
	fuzz_folders_clear();
	fuzz_pool_open(&pool, MEMBERS, 1);
	w.from = w.next = 1 + fuzz_pick(&r, 64);
	for (unsigned i = 0; i < STEPS_MAX && reader_left(&r); i++)
		step(&w, &r);
	put_files(&w);
	scan(&w);
	fuzz_pool_close(&pool);
	fuzz_folders_clear();
	return 0;
}
