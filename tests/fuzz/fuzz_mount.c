/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole pool whose folders are not what they were: opening it for reading,
 * for writing, and fsck.
 *
 * flags u8 (what to do with it), then changes of one byte and what they need:
 *   XOR, CUT, DROP   object u8, ...
 *   SWAP, COPY       two objects
 *   NAME             object, a digit of its name
 *
 * Whatever was done: what can be read is what was written. As long as only one
 * of the three folders was touched nothing is missing.
 */
#include "fuzz/fuzz.h"

#include <string.h>

#include "fs/inspect.h"
#include "fuzz/fuzz_kit_volume.h"
#include "repair/check.h"

enum {
	XOR,
	CUT,
	DROP,
	SWAP,
	COPY,
	NAME,
	CHANGES
};
enum {
	FLAG_WRITE = 1,
	FLAG_FSCK = 2,
	FLAG_READ_DATA = 4
};

#define CHANGES_MAX 16
#define OBJECTS_MAX 256

struct world {
	struct fuzz_object object[OBJECTS_MAX];
	bool own[OBJECTS_MAX]; /* data is a copy */
	unsigned n;
	bool touched[FUZZ_MEMBERS];
};

static void load(struct world *w)
{
	const struct fuzz_volume *fv = fuzz_volume();

	MUST(fv->n <= OBJECTS_MAX);
	w->n = fv->n;
	memcpy(w->object, fv->object, fv->n * sizeof(fv->object[0]));
	memset(w->own, 0, sizeof(w->own));
	memset(w->touched, 0, sizeof(w->touched));
}

static void unload(struct world *w)
{
	for (unsigned i = 0; i < w->n; i++)
		if (w->own[i])
			mem_free(w->object[i].data);
}

/* The object with data of its own. */
static struct fuzz_object *touch(struct world *w, unsigned i)
{
	struct fuzz_object *o = &w->object[i];

	w->touched[o->folder] = true;
	if (!w->own[i]) {
		o->data = fuzz_copy(o->data, o->len);
		w->own[i] = true;
	}
	return o;
}

static void change_bytes(struct world *w, unsigned i, struct reader *r)
{
	struct fuzz_object *o = touch(w, i);
	uint32_t at = reader_left(r) < 4 ? 0 : reader_u32(r);
	size_t len;
	const uint8_t *p = fuzz_bytes(r, 64, &len);

	for (size_t j = 0; j < len && o->len; j++)
		o->data[(at + j) % o->len] ^= p[j];
}

static void swap(struct world *w, unsigned i, unsigned j)
{
	struct fuzz_object *a = touch(w, i), *b = touch(w, j);
	struct fuzz_object was = *a;

	a->data = b->data;
	a->len = b->len;
	b->data = was.data;
	b->len = was.len;
}

static void copy(struct world *w, unsigned from, unsigned to)
{
	struct fuzz_object *o = touch(w, to);

	if (from == to)
		return;
	mem_free(o->data);
	o->len = w->object[from].len;
	o->data = fuzz_copy(w->object[from].data, o->len);
}

static void rename_it(struct world *w, unsigned i, struct reader *r)
{
	struct fuzz_object *o = touch(w, i);
	unsigned len = (unsigned)strlen(o->name), at;

	if (!len)
		return; /* dropped before */
	at = fuzz_pick(r, len);
	o->name[at] = "0123456789abcdef./-_"[fuzz_pick(r, 20)];
}

static void change(struct world *w, struct reader *r)
{
	unsigned what = fuzz_pick(r, CHANGES), i = fuzz_pick(r, w->n);
	struct fuzz_object *o;

	switch (what) {
	case XOR:
		change_bytes(w, i, r);
		break;
	case CUT:
		o = touch(w, i);
		o->len = o->len * fuzz_pick(r, 256) / 256;
		break;
	case DROP:
		touch(w, i)->name[0] = '\0'; /* no name: not put */
		break;
	case SWAP:
		swap(w, i, fuzz_pick(r, w->n));
		break;
	case COPY:
		copy(w, fuzz_pick(r, w->n), i);
		break;
	default:
		rename_it(w, i, r);
	}
}

/* ---- what is done with it ---- */

static bool look(const struct world *w, bool write)
{
	struct volume_options o;
	struct diag d = DIAG_INIT;
	struct volume *v;
	bool all;

	fuzz_volume_put(w->object, w->n);
	fuzz_volume_options(&o);
	o.read_only = !write;
	o.degraded = true;
	if (volume_open(&o, &d, &v) < 0)
		return false;
	all = fuzz_volume_check(v);
	if (write)
		(void)!volume_close(v);
	else
		volume_crash(v);
	return all;
}

static void report(void *arg, const struct finding *f)
{
	(void)arg;
	MUST(f->subject);
}

static void fsck(const struct world *w, bool read_data)
{
	struct check_options co = {.read_data = read_data, .report = report};
	struct check_totals totals;
	struct volume_options o;
	struct diag d = DIAG_INIT;
	struct check_target t;
	struct inspect *in;

	fuzz_volume_put(w->object, w->n);
	fuzz_volume_options(&o);
	if (inspect_open(&o, &d, &in) < 0)
		return;
	t = (struct check_target){
		.pool = in->pool,
		.store = in->store,
		.manifest = in->manifest_rc ? NULL : &in->manifest,
		.ix = in->ix,
		.index_rc = in->index_rc,
		.js = in->js,
		.scanned = in->scanned,
		.scan_rc = in->scan_rc,
		.scan = in->scan,
		.local = in->local_rc ? NULL : &in->local,
		.local_unreadable = in->local_rc && in->local_rc != -ENOENT,
	};
	MUST(check_pool(&t, &co, &totals) == 0);
	inspect_close(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world w;
	struct reader r = reader_of(data, size);
	unsigned flags, folders = 0;
	bool all;

	fuzz_start();
	load(&w);
	flags = fuzz_pick(&r, 8);
	for (unsigned i = 0; i < CHANGES_MAX && reader_left(&r); i++)
		change(&w, &r);
	for (unsigned i = 0; i < FUZZ_MEMBERS; i++)
		folders += w.touched[i];
	all = look(&w, flags & FLAG_WRITE);
	MUST(all || folders > 1);
	if (flags & FLAG_FSCK)
		fsck(&w, flags & FLAG_READ_DATA);
	unload(&w);
	return 0;
}
