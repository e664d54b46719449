/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool of the atlas, its client and its model.
 *
 * A1  A cell begins with the number of its body, the version of the write and
 *     its own place; the rest follows from these.
 * A2  Versions of a cell: promised <= cell <= now. Live, what is read is from
 *     `cell` on; after a crash, from `promised` on.
 * A3  A file never holds zeros that were not written, nor does a size come
 *     before its data.
 * A4  A name is what it was promised to be, or what any later change made it.
 */
#include "atlas.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "backend/aead.h"
#include "base/log.h"
#include "base/mem.h"
#include "fs/inspect.h"

static const struct cred root = {.umask = 022};

void atlas_wrong(const struct atlas *a, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "atlas: seed %llu, %s: ", (unsigned long long)a->seed,
		a->doing);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	abort();
}

/* ---- the pool ---- */

static void make_pool(void *arg)
{
	struct atlas *a = arg;
	struct diag d = DIAG_INIT;
	struct pool_create_options po = {
		.n = a->n,
		.location = a->locations,
		.geo = {.k = (uint8_t)a->k,
			.m = (uint8_t)a->m,
			.chunk_bytes = 16 << 10,
			.segment_bytes = 1 << 20,
			.cipher = CIPHER_AES_256_GCM,
			.level = 1},
		.label = "atlas",
		.pass = "secret",
		.pass_len = 6,
	};
	int rc = volume_make(&po, 0, 0, NULL, &d);

	if (rc < 0)
		atlas_wrong(a, "volume_make: %s: %s", err_name(rc), d.text);
}

static void quiet(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	if (getenv("ATLAS_LOG"))
		fprintf(stderr, "%s\n", line);
}

void atlas_begin(struct atlas *a, uint64_t seed, const struct atlas_shape *s)
{
	static const struct kdf_cost cheap = {1, 8, 1};

	*a = (struct atlas){
		.seed = seed, .n = s->n, .k = s->k, .m = s->m, .strict = true};
	a->dice.state = dice_seed(seed, 1);
	kdf_override(&cheap);
	log_use_sink(quiet, NULL);
	sim_disks_reset(a->n);
	for (unsigned i = 0; i < a->n; i++) {
		snprintf(a->location[i], sizeof(a->location[i]), "fault:mem:%u",
			 i);
		a->locations[i] = a->given[i] = a->location[i];
		fault_clear(a->location[i]);
	}
	for (unsigned i = 0; i < ATLAS_FILES; i++)
		a->slot[i].n = 1;
	a->o = (struct volume_options){
		.location = a->given,
		.n = a->n,
		.pass = "secret",
		.pass_len = 6,
		.cache_dir = SIM_CACHE,
		.cache_bytes = 4 << 20,
		.journal_file_bytes =
			s->journal_bytes ? s->journal_bytes : 128 << 10,
		/* one of two halves is never mounted here without the other */
		.degraded = true,
	};
	strcpy(a->doing, "making the pool");
	sim_run(seed, make_pool, a);
}

static struct atlas_body *body_ref(struct atlas *a, struct atlas_body *b,
				   unsigned *refs)
{
	*refs = 0;
	for (unsigned i = 0; i < ATLAS_FILES; i++)
		for (unsigned j = 0; j < a->slot[i].n; j++)
			*refs += a->slot[i].may[j] == b;
	return b;
}

/* Frees it if no slot may hold it any more. */
static void body_gone(struct atlas *a, struct atlas_body *b)
{
	unsigned refs;

	if (b && (body_ref(a, b, &refs), refs == 0))
		free(b);
}

/* A slot holds exactly this. */
static void slot_set(struct atlas *a, struct atlas_slot *s,
		     struct atlas_body *b)
{
	struct atlas_slot old = *s;

	s->may[0] = b;
	s->n = 1;
	s->unsure = false;
	for (unsigned i = 0; i < old.n; i++) {
		bool again = old.may[i] == b;

		for (unsigned j = 0; j < i; j++)
			again = again || old.may[j] == old.may[i];
		if (!again)
			body_gone(a, old.may[i]);
	}
}

void atlas_absent(struct atlas *a, unsigned slot)
{
	slot_set(a, &a->slot[slot], NULL);
}

void atlas_forget(struct atlas *a)
{
	for (unsigned i = 0; i < ATLAS_FILES; i++)
		slot_set(a, &a->slot[i], NULL);
}

void atlas_end(struct atlas *a)
{
	atlas_forget(a);
	for (unsigned i = 0; i < a->n; i++)
		fault_clear(a->location[i]);
	sim_disks_reset(a->n);
}

/* ---- runs and volumes ---- */

struct run {
	struct atlas *a;
	void (*fn)(struct atlas *a);
};

static void run_inner(void *arg)
{
	struct run *r = arg;

	r->fn(r->a);
	if (r->a->v)
		atlas_crash(r->a);
	for (unsigned i = 0; i < r->a->n; i++)
		fault_clear(r->a->location[i]);
	sim_sleep_ns(300000000000ULL);
}

void atlas_run(struct atlas *a, void (*fn)(struct atlas *a))
{
	static const unsigned yields[] = {0, 20, 20, 150};
	struct run r = {a, fn};

	sim_set_yields(yields[dice_below(&a->dice, 4)]);
	sim_run(dice_roll(&a->dice), run_inner, &r);
	sim_set_yields(20);
}

int atlas_try_open(struct atlas *a, struct diag *d)
{
	struct diag scratch = DIAG_INIT;
	int rc = volume_open(&a->o, d ? d : &scratch, &a->v);

	if (rc < 0)
		a->v = NULL;
	return rc;
}

void atlas_open(struct atlas *a)
{
	struct diag d = DIAG_INIT;
	int rc = atlas_try_open(a, &d);

	if (rc < 0)
		atlas_wrong(a, "volume_open: %s: %s", err_name(rc), d.text);
}

/* Is it an error that a user may be shown for trouble below? */
static bool is_clean(int rc)
{
	switch (err_errno(rc)) {
	case EIO:
	case ENOSPC:
	case EROFS:
	case ENOMEM:
	case EMFILE:
	case ENFILE:
	case EAGAIN:
	case ETIMEDOUT:
		return true;
	default:
		return false;
	}
}

/* What is now is durable. */
static void promise_all(struct atlas *a)
{
	for (unsigned i = 0; i < ATLAS_FILES; i++) {
		struct atlas_slot *s = &a->slot[i];
		struct atlas_body *b = s->may[s->n - 1];

		if (s->unsure)
			continue;
		slot_set(a, s, b);
		if (!b)
			continue;
		memcpy(b->promised, b->cell, sizeof(b->cell));
		b->safe = b->sure;
	}
}

/* Notes it; true if the call did what it should. */
static bool went_well(struct atlas *a, const char *what, int64_t rc)
{
	if (rc >= 0)
		return true;
	a->errors++;
	if (a->strict || !is_clean((int)rc))
		atlas_wrong(a, "%s: %s", what, err_name((int)rc));
	return false;
}

void atlas_close(struct atlas *a)
{
	int rc = volume_close(a->v);

	a->v = NULL;
	if (went_well(a, "volume_close", rc) && !a->o.read_only)
		promise_all(a);
}

int atlas_sync(struct atlas *a)
{
	int rc = volume_sync(a->v);

	if (went_well(a, "sync", rc))
		promise_all(a);
	return rc;
}

void atlas_crash(struct atlas *a)
{
	volume_crash(a->v);
	a->v = NULL;
}

/* ---- cells: A1 ---- */

struct cell_head {
	uint32_t number, version, place, check;
};

static void cell_fill(uint8_t out[CELL], const struct atlas_body *b,
		      uint32_t version, uint32_t place)
{
	struct cell_head h = {b->number, version, place, 0};
	struct dice d = {dice_seed(b->number, (uint64_t)version << 32 | place)};
	uint64_t word = dice_roll(&d);

	h.check = (uint32_t)word;
	memcpy(out, &h, sizeof(h));
	for (size_t i = sizeof(h); i < CELL; i += 8) {
		if (version % 3 != 0)
			word = dice_roll(&d);
		memcpy(out + i, &word, 8);
	}
}

/* The version, or 0 if these bytes were never written there. */
static uint32_t cell_version(const uint8_t *p, const struct atlas_body *b,
			     uint32_t place)
{
	static uint8_t want[CELL];
	struct cell_head h;

	memcpy(&h, p, sizeof(h));
	if (h.number != b->number || h.place != place || h.version == 0 ||
	    h.version > b->version)
		return 0;
	cell_fill(want, b, h.version, place);
	return memcmp(p, want, CELL) == 0 ? h.version : 0;
}

/* ---- work ---- */

void atlas_name(unsigned slot, char out[16])
{
	snprintf(out, 16, "f%u", slot);
}

static struct atlas_body *slot_now(const struct atlas_slot *s)
{
	return s->may[s->n - 1];
}

/* A change of the name began, and ended well or not. */
static void slot_change(struct atlas *a, struct atlas_slot *s,
			struct atlas_body *b, bool well)
{
	ATLAS_MUST(a, s->n < ATLAS_NAMES);
	s->may[s->n++] = b;
	s->unsure = !well;
}

/* May more be done to this name? */
static bool slot_usable(const struct atlas_slot *s)
{
	return !s->unsure && s->n < ATLAS_NAMES;
}

static bool make(struct atlas *a, unsigned slot)
{
	struct atlas_slot *s = &a->slot[slot];
	struct create_spec spec = {.mode = S_IFREG | 0644};
	struct atlas_body *b = calloc(1, sizeof(*b));
	struct attr at = {0};
	char name[16];
	int rc;

	ATLAS_MUST(a, b);
	atlas_name(slot, name);
	b->number = ++a->bodies;
	rc = posix_make(a->v, &root, ROOT_INO, name, &spec, &at);
	b->ino = rc < 0 ? 0 : at.ino;
	slot_change(a, s, b, went_well(a, "make", rc));
	return rc >= 0;
}

static ssize_t write_cells(struct atlas *a, struct atlas_body *b,
			   unsigned first, unsigned n)
{
	uint8_t *buf = malloc((size_t)n * CELL);
	struct file *f;
	ssize_t rc = posix_open(a->v, b->ino, O_RDWR, &f);

	ATLAS_MUST(a, buf);
	for (unsigned i = 0; i < n; i++)
		cell_fill(buf + (size_t)i * CELL, b, b->version, first + i);
	if (rc == 0) {
		rc = posix_write(f, buf, (size_t)n * CELL,
				 (uint64_t)first * CELL);
		posix_close(f);
	}
	free(buf);
	return rc;
}

void atlas_write(struct atlas *a, unsigned slot, unsigned first, unsigned n)
{
	struct atlas_slot *s = &a->slot[slot];
	struct atlas_body *b;
	ssize_t took;

	if (!slot_usable(s) || (!slot_now(s) && !make(a, slot)))
		return;
	b = slot_now(s);
	first = MIN(first, b->sure); /* A3: nothing between */
	n = MIN(n, ATLAS_CELLS - first);
	if (n == 0)
		return;
	b->version++;
	for (unsigned i = first; i < first + n; i++)
		b->now[i] = b->version;
	b->cells = MAX(b->cells, first + n);
	took = write_cells(a, b, first, n);
	if (!went_well(a, "write", took))
		return;
	/* what was taken before memory or room ran out counts */
	ATLAS_MUST(a, took % CELL == 0 && took > 0);
	ATLAS_MUST(a, !a->strict || took == (ssize_t)n * CELL);
	n = (unsigned)(took / CELL);
	for (unsigned i = first; i < first + n; i++)
		b->cell[i] = b->version;
	b->sure = MAX(b->sure, first + n);
}

int atlas_fsync(struct atlas *a, unsigned slot)
{
	struct atlas_slot *s = &a->slot[slot];
	struct atlas_body *b = slot_now(s);
	struct file *f;
	int rc;

	if (s->unsure || !b)
		return 0;
	rc = posix_open(a->v, b->ino, O_RDWR, &f);
	if (rc == 0) {
		rc = posix_fsync(f, false);
		posix_close(f);
	}
	if (!went_well(a, "fsync", rc))
		return rc;
	memcpy(b->promised, b->cell, sizeof(b->cell));
	b->safe = b->sure;
	return 0;
}

int atlas_sync_names(struct atlas *a)
{
	int rc = posix_fsyncdir(a->v, ROOT_INO);

	if (!went_well(a, "fsyncdir", rc))
		return rc;
	for (unsigned i = 0; i < ATLAS_FILES; i++)
		if (!a->slot[i].unsure)
			slot_set(a, &a->slot[i], slot_now(&a->slot[i]));
	return 0;
}

void atlas_unlink(struct atlas *a, unsigned slot)
{
	struct atlas_slot *s = &a->slot[slot];
	char name[16];

	if (!slot_usable(s) || !slot_now(s))
		return;
	atlas_name(slot, name);
	slot_change(a, s, NULL,
		    went_well(a, "unlink", posix_unlink(a->v, ROOT_INO, name)));
}

/* Dirty data goes before the new name: it is no promise, only an order. */
void atlas_rename(struct atlas *a, unsigned slot, unsigned to)
{
	struct atlas_slot *s = &a->slot[slot], *t = &a->slot[to];
	struct atlas_body *b = slot_now(s);
	char from_name[16], to_name[16];
	bool well;

	if (!slot_usable(s) || !slot_usable(t) || !b || s == t)
		return;
	atlas_name(slot, from_name);
	atlas_name(to, to_name);
	well = went_well(a, "rename",
			 posix_rename(a->v, ROOT_INO, from_name, ROOT_INO,
				      to_name, 0));
	slot_change(a, t, b, well);
	slot_change(a, s, NULL, well);
}

void atlas_put(struct atlas *a, unsigned slot, unsigned cells)
{
	atlas_write(a, slot, 0, cells);
	(void)atlas_fsync(a, slot);
	(void)atlas_sync_names(a);
}

static unsigned some_cells(struct dice *d)
{
	static const unsigned most[] = {1, 3, 8, 30, 30, 120, ATLAS_CELLS};

	return 1 + (unsigned)dice_below(d, most[dice_below(d, 7)]);
}

static void step(struct atlas *a)
{
	struct dice *d = &a->dice;
	unsigned slot = (unsigned)dice_below(d, ATLAS_FILES);

	switch (dice_below(d, 16)) {
	case 0:
		atlas_unlink(a, slot);
		break;
	case 1:
		atlas_rename(a, slot, (unsigned)dice_below(d, ATLAS_FILES));
		break;
	case 2:
	case 3:
	case 4:
		(void)atlas_fsync(a, slot);
		break;
	case 5:
	case 6:
		(void)atlas_sync_names(a);
		break;
	case 7:
		sim_sleep_ns(dice_below(d, 9) * 1000000000ULL);
		break;
	case 8:
		(void)atlas_sync(a);
		break;
	default:
		atlas_write(a, slot, (unsigned)dice_below(d, 200),
			    some_cells(d));
	}
}

void atlas_work(struct atlas *a, unsigned steps)
{
	for (unsigned i = 0; i < steps; i++)
		step(a);
}

/* ---- looking ---- */

/* Which of those that the slot may hold has this inode? */
static struct atlas_body *slot_match(struct atlas *a, unsigned slot,
				     uint64_t ino, bool live)
{
	struct atlas_slot *s = &a->slot[slot];
	unsigned from = live && !s->unsure ? s->n - 1 : 0;

	if (live && s->unsure && s->n >= 2)
		from = s->n - 2;
	for (unsigned i = from; i < s->n; i++)
		if (ino ? s->may[i] && s->may[i]->ino == ino : !s->may[i])
			return s->may[i];
	/* a call that failed may have made it all the same */
	for (unsigned i = from; ino && i < s->n; i++)
		if (s->may[i] && !s->may[i]->ino) {
			s->may[i]->ino = ino;
			return s->may[i];
		}
	atlas_wrong(a, "f%u is inode %llu, %s", slot, (unsigned long long)ino,
		    live ? "live" : "found");
}

/* A change that failed was seen to have happened, or not. */
static void slot_resolve(struct atlas *a, struct atlas_slot *s,
			 struct atlas_body *b)
{
	struct atlas_body *last = slot_now(s);

	if (!s->unsure)
		return;
	s->unsure = false;
	if (last == b)
		return;
	s->n--;
	body_gone(a, last);
}

/* A2 */
static void judge_cell(struct atlas *a, unsigned slot, struct atlas_body *b,
		       uint32_t place, const uint8_t *p, bool live)
{
	uint32_t v = cell_version(p, b, place);
	uint32_t low = live ? b->cell[place] : b->promised[place];
	struct cell_head h;

	memcpy(&h, p, sizeof(h));
	if (v == 0)
		atlas_wrong(a,
			    "f%u cell %u of %u: bytes nobody wrote there "
			    "(%u.%u at %u)",
			    slot, place, b->sure, h.number, h.version, h.place);
	if (v < low || v > b->now[place])
		atlas_wrong(a, "f%u (%u) cell %u: version %u, not of %u to %u",
			    slot, b->number, place, v, low, b->now[place]);
	a->cells_read++;
	if (!live && !a->o.read_only)
		b->now[place] = b->cell[place] = b->promised[place] = v;
}

static void look_at_cells(struct atlas *a, unsigned slot, struct atlas_body *b,
			  unsigned cells, bool live)
{
	static uint8_t buf[4 * CELL];
	struct file *f;
	int rc = posix_open(a->v, b->ino, O_RDONLY, &f);

	if (!went_well(a, "open", rc))
		return;
	for (unsigned at = 0; at < cells; at += 4) {
		unsigned n = MIN(4u, cells - at);
		ssize_t got = posix_read(f, buf, (size_t)n * CELL,
					 (uint64_t)at * CELL);

		if (!went_well(a, "read", got)) {
			a->reads_failed++;
			continue;
		}
		if (got != (ssize_t)n * CELL)
			atlas_wrong(a, "f%u cell %u: read gives %zd", slot, at,
				    got);
		for (unsigned i = 0; i < n; i++)
			judge_cell(a, slot, b, at + i, buf + (size_t)i * CELL,
				   live);
	}
	posix_close(f);
}

static void look_at_body(struct atlas *a, unsigned slot, struct atlas_body *b,
			 uint64_t size, bool live)
{
	unsigned cells = (unsigned)(size / CELL);
	unsigned low = live ? b->sure : b->safe;

	if (size % CELL || cells < low || cells > b->cells)
		atlas_wrong(a, "f%u (%u): size %llu, not of %u to %u cells",
			    slot, b->number, (unsigned long long)size, low,
			    b->cells);
	look_at_cells(a, slot, b, cells, live);
	if (live || a->o.read_only)
		return;
	for (unsigned i = cells; i < ATLAS_CELLS; i++)
		b->now[i] = b->cell[i] = b->promised[i] = 0;
	b->cells = b->sure = b->safe = cells;
}

void atlas_look(struct atlas *a, enum atlas_look how, bool live)
{
	const struct atlas_body *found[ATLAS_FILES];
	bool was_strict = a->strict;

	a->strict = how == LOOK_ALL;
	a->reads_failed = a->cells_read = 0;
	memset(found, 0, sizeof(found));
	for (unsigned i = 0; i < ATLAS_FILES; i++) {
		struct atlas_body *b;
		struct attr at = {0};
		char name[16];
		int rc;

		atlas_name(i, name);
		rc = posix_lookup(a->v, ROOT_INO, name, &at);
		if (rc != -ENOENT && !went_well(a, "lookup", rc))
			continue;
		b = slot_match(a, i, rc == 0 ? at.ino : 0, live);
		found[i] = b;
		for (unsigned j = 0; b && j < i; j++)
			if (found[j] == b)
				atlas_wrong(a, "f%u is f%u as well", i, j);
		if (b)
			look_at_body(a, i, b, at.size, live);
		if (live)
			slot_resolve(a, &a->slot[i], b);
		else if (!a->o.read_only)
			slot_set(a, &a->slot[i], b);
	}
	a->strict = was_strict;
}

uint64_t atlas_bad_chunks(struct atlas *a, unsigned slot)
{
	static uint8_t buf[4 * CELL];
	struct atlas_body *b = slot_now(&a->slot[slot]);
	uint64_t bad = 0;
	struct file *f;

	ATLAS_MUST(a, b && b->sure <= 4 * 64);
	ATLAS_OK(a, posix_open(a->v, b->ino, O_RDONLY, &f));
	for (unsigned at = 0; at < b->sure; at += 4) {
		unsigned n = MIN(4u, b->sure - at);
		ssize_t got = posix_read(f, buf, (size_t)n * CELL,
					 (uint64_t)at * CELL);

		if (got < 0) {
			ATLAS_MUST(a, err_errno((int)got) == EIO);
			bad |= 1ULL << (at / 4);
			continue;
		}
		ATLAS_MUST(a, got == (ssize_t)n * CELL);
		for (unsigned i = 0; i < n; i++)
			judge_cell(a, slot, b, at + i, buf + (size_t)i * CELL,
				   true);
	}
	posix_close(f);
	return bad;
}

/* ---- a check without a mount ---- */

static void note_finding(void *arg, const struct finding *f)
{
	struct atlas_found *out = arg;
	unsigned slot;

	out->n[f->id]++;
	if (f->id == FINDING_FILE_UNREADABLE &&
	    sscanf(f->subject, "/f%u", &slot) == 1 && slot < ATLAS_FILES)
		out->file[slot] = true;
	if (getenv("ATLAS_LOG"))
		fprintf(stderr, "%s %s (%s)\n", finding_name(f->id), f->subject,
			f->detail);
}

void atlas_check(struct atlas *a, bool read_data, struct atlas_found *out)
{
	struct check_options co = {
		.read_data = read_data, .report = note_finding, .arg = out};
	struct sim_image *before = sim_image_take(), *after;
	struct diag d = DIAG_INIT;
	struct inspect *in;
	struct check_target t;
	int rc = inspect_open(&a->o, &d, &in);

	*out = (struct atlas_found){0};
	if (rc < 0)
		atlas_wrong(a, "inspect_open: %s: %s", err_name(rc), d.text);
	t = (struct check_target){
		.pool = in->pool,
		.store = in->store,
		.manifest = in->manifest_rc == 0 ? &in->manifest : NULL,
		.ix = in->ix,
		.index_rc = in->index_rc,
		.js = in->js,
		.scanned = in->scanned,
		.scan_rc = in->scan_rc,
		.scan = in->scan,
		.local = in->local_rc == 0 ? &in->local : NULL,
		.local_unreadable =
			in->local_rc != 0 && in->local_rc != -ENOENT,
	};
	ATLAS_OK(a, check_pool(&t, &co, &out->totals));
	inspect_close(in);
	after = sim_image_take();
	ATLAS_MUST(a, sim_image_digest(before) == sim_image_digest(after));
	sim_image_unref(before);
	sim_image_unref(after);
}
