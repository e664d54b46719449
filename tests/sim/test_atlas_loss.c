/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fragments that are gone: up to m of a segment nobody notices; beyond, exactly
 * the bytes that were in them fail, and a check names exactly their files.
 * Numbers are rows of FAULTS.md.
 */
#include "unit/base/base_test.h"

#include <stdio.h>

#include "atlas.h"
#include "base/mem.h"
#include "fs/volume_impl.h"

#define N 5
#define K 3
#define M 2

static const struct atlas_shape shape = {.n = N, .k = K, .m = M};
static struct atlas a;
static struct sim_image *filled;

static void fill(struct atlas *x)
{
	atlas_open(x);
	atlas_put(x, 0, 1);
	atlas_put(x, 1, 40);
	atlas_put(x, 2, 250);
	atlas_put(x, 3, 5);
	atlas_put(x, 4, 120);
	atlas_close(x);
}

static int set_up(void **state)
{
	(void)state;
	atlas_begin(&a, 20, &shape);
	atlas_run(&a, fill);
	filled = sim_image_take();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	sim_image_unref(filled);
	atlas_end(&a);
	return 0;
}

static void load_filled(void)
{
	sim_image_load(filled);
	atlas_absent(&a, 5);
	atlas_absent(&a, 6);
}

static void look_at_all(struct atlas *x)
{
	atlas_open(x);
	atlas_look(x, LOOK_ALL, false);
	atlas_put(x, 5, 2);
	atlas_close(x);
}

static void drop_all_below(unsigned folder, const char *prefix)
{
	struct atlas_objects o;

	atlas_list(folder, prefix, &o);
	for (unsigned i = 0; i < o.n; i++)
		sim_disk_poke(folder, o.at[i].name, NULL, 0);
	atlas_list_release(&o);
}

/* ---- 3: up to m ---- */

static void row03_any_m_of_a_segment_may_go(void **state)
{
	(void)state;
	for (unsigned i = 0; i < N; i++)
		for (unsigned j = 0; j < i; j++) {
			load_filled();
			sprintf(a.doing, "without data of %u and %u", i, j);
			drop_all_below(i, "data/");
			drop_all_below(j, "data/");
			drop_all_below(i, "index/");
			drop_all_below(j, "index/");
			atlas_run(&a, look_at_all);
		}
}

/* ---- 3: beyond m, exactly ---- */

/* Fragments of a data segment, by folder and name. */
struct stripe {
	char stem[DRV_NAME_MAX + 1]; /* without the fragment's number */
	unsigned fragments;
	unsigned folder[N];
};

static unsigned list_stripes(struct stripe *out, unsigned max)
{
	unsigned n = 0;

	for (unsigned f = 0; f < N; f++) {
		struct atlas_objects o;

		atlas_list(f, "data/", &o);
		for (unsigned i = 0; i < o.n; i++) {
			char *dot = strrchr(o.at[i].name, '.');
			unsigned index = (unsigned)atoi(dot + 1), s = 0;

			*dot = 0;
			while (s < n && strcmp(out[s].stem, o.at[i].name) != 0)
				s++;
			assert_true(s < max && index < N);
			if (s == n) {
				out[n] = (struct stripe){.fragments = 0};
				strcpy(out[n++].stem, o.at[i].name);
			}
			out[s].folder[index] = f;
			out[s].fragments++;
		}
		atlas_list_release(&o);
	}
	return n;
}

static struct stripe stripes[64];
static unsigned dropped; /* bits: fragments of stripes[hurt] */
static unsigned hurt;
static bool maybe; /* the last answer of is_hit */

static void drop_fragments(void)
{
	for (unsigned i = 0; i < stripes[hurt].fragments; i++) {
		char name[DRV_NAME_MAX + 8];

		if (!(dropped >> i & 1))
			continue;
		snprintf(name, sizeof(name), "%s.%u", stripes[hurt].stem, i);
		sim_disk_poke(stripes[hurt].folder[i], name, NULL, 0);
	}
}

/* Data fragments that are gone and reach as far as this byte of theirs. */
static unsigned gone_at(const struct seg_desc *d, uint32_t offset)
{
	unsigned n = 0;

	for (unsigned i = 0; i < d->k; i++)
		n += (dropped >> i & 1) &&
		     d->bound[i] - (i ? d->bound[i - 1] : 0) > offset;
	return n;
}

/*
 * Is this chunk in a fragment that was dropped, and are the others that reach
 * as far too few? The ends of longer fragments need fewer others.
 */
static bool is_hit(const struct segment_row *seg, const struct chunk_ref *ref)
{
	const struct seg_desc *d = &seg->desc;
	char name[DRV_NAME_MAX + 1];
	unsigned range = 0, parity = d->m;
	uint32_t end;

	frag_name(d, 0, name);
	*strrchr(name, '.') = 0;
	if (strcmp(name, stripes[hurt].stem) != 0)
		return false;
	while (ref->pos >= d->bound[range])
		range++;
	for (unsigned i = 0; i < d->m; i++)
		parity -= dropped >> (d->k + i) & 1;
	end = ref->pos + ref->stored_len - (range ? d->bound[range - 1] : 0);
	if (!(dropped >> range & 1) || gone_at(d, 0) <= parity)
		return false;
	if (gone_at(d, end - 1) > parity)
		return true;
	maybe = true;
	return true;
}

/* By the index: a bit for each chunk of a file that cannot be read. */
static uint64_t expected_bad(struct atlas *x, unsigned slot, uint64_t *may)
{
	struct index *ix = x->v->ix;
	struct extent_row row[64];
	struct inode_row inode;
	struct segment_row seg;
	uint64_t bad = 0;
	int n;

	index_lock(ix);
	ATLAS_OK(x, inode_get(ix, x->slot[slot].may[0]->ino, &inode));
	n = extent_find(ix, inode.data, 0, inode.size, row, 64);
	ATLAS_MUST(x, n > 0 && n < 64);
	for (int i = 0; i < n; i++) {
		uint64_t off = row[i].off - row[i].skip;

		ATLAS_OK(x, segment_get(ix, row[i].segment, &seg));
		for (unsigned c = 0; c < row[i].n; c++) {
			maybe = false;
			if (is_hit(&seg, &row[i].ref[c]))
				*(maybe ? may : &bad) |= 1ULL
							 << (off / (16 << 10));
			off += row[i].ref[c].plain_len;
		}
	}
	index_unlock(ix);
	return bad;
}

static bool is_bad[ATLAS_FILES];
static uint64_t chunks_lost;

static void compare_with_index(struct atlas *x)
{
	atlas_open(x);
	for (unsigned i = 0; i < 5; i++) {
		uint64_t may = 0, want = expected_bad(x, i, &may);
		uint64_t got = atlas_bad_chunks(x, i);

		if (want != (got & ~may))
			atlas_wrong(x, "f%u: chunks %llx fail, not %llx", i,
				    (unsigned long long)got,
				    (unsigned long long)want);
		is_bad[i] = got != 0;
		for (; want; want &= want - 1)
			chunks_lost++;
	}
	/* nothing else is the matter */
	atlas_put(x, 6, 10);
	ATLAS_MUST(x, volume_error(x->v) == 0);
	ATLAS_MUST(x, !volume_read_only(x->v));
	ATLAS_MUST(x, atlas_bad_chunks(x, 6) == 0);
	atlas_close(x);
}

static void compare_with_check(struct atlas *x)
{
	struct atlas_found *f = calloc(1, sizeof(*f));
	bool any = false;

	atlas_check(x, false, f);
	for (unsigned i = 0; i < 5; i++) {
		any = any || is_bad[i];
		if (f->file[i] != is_bad[i])
			atlas_wrong(x, "a check %s f%u",
				    f->file[i] ? "names" : "passes", i);
	}
	ATLAS_MUST(x, any == (f->totals.files_hit > 0));
	free(f);
}

static void row03_beyond_m_the_range_and_its_file_are_named(void **state)
{
	unsigned n, cases = 0;

	(void)state;
	load_filled();
	n = list_stripes(stripes, ARRAY_LEN(stripes));
	assert_true(n >= 3);
	for (hurt = 0; hurt < n; hurt++)
		for (dropped = 0; dropped < 1u << stripes[hurt].fragments;
		     dropped++) {
			/* narrow stripes have k = 1: all must go */
			unsigned k = stripes[hurt].fragments - M;

			if ((unsigned)__builtin_popcount(dropped) <= M)
				continue;
			if (k == K && cases++ % 3)
				continue;
			load_filled();
			sprintf(a.doing, "segment %u without %x", hurt,
				dropped);
			drop_fragments();
			atlas_run(&a, compare_with_index);
			atlas_run(&a, compare_with_check);
			load_filled();
		}
	assert_true(chunks_lost > 100);
}

/* ---- 3, 4: anything beyond m, by dice ---- */

static bool unread[ATLAS_FILES];

static void read_what_can_be(struct atlas *x)
{
	atlas_open(x);
	atlas_look(x, LOOK_TRUE, true);
	for (unsigned i = 0; i < 5; i++)
		unread[i] = atlas_bad_chunks(x, i) != 0;
}

static void check_names_them(struct atlas *x)
{
	struct atlas_found *f = calloc(1, sizeof(*f));

	atlas_check(x, true, f);
	for (unsigned i = 0; i < 5; i++)
		if (f->file[i] != unread[i])
			atlas_wrong(x, "f%u: read %s, check %s it", i,
				    unread[i] ? "fails" : "is fine",
				    f->file[i] ? "names" : "passes");
	free(f);
}

/* One of the data fragments, somehow. */
static void hurt_one(struct dice *d)
{
	unsigned f = (unsigned)dice_below(d, N);
	struct atlas_objects o;
	const char *name;
	const uint8_t *data;
	size_t len;

	atlas_list(f, "data/", &o);
	if (o.n == 0)
		return;
	name = o.at[dice_below(d, o.n)].name;
	switch (dice_below(d, 4)) {
	case 0:
		sim_disk_poke(f, name, NULL, 0);
		break;
	case 1:
		if (sim_disk_peek(f, name, &data, &len) && len > 0) {
			uint8_t *half = malloc(len);

			memcpy(half, data, len);
			sim_disk_poke(f, name, half, dice_below(d, len));
			free(half);
		}
		break;
	default:
		for (uint64_t i = dice_below(d, 6); i > 0; i--)
			atlas_flip(f, name, dice_roll(d) >> 1);
	}
	atlas_list_release(&o);
}

static void row04_rot_all_over_never_gives_wrong_bytes(void **state)
{
	unsigned some = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct dice d = {dice_seed(seed, 9)};

		load_filled();
		sprintf(a.doing, "rot %u", (unsigned)seed);
		for (uint64_t i = 4 + dice_below(&d, 60); i > 0; i--)
			hurt_one(&d);
		a.o.read_only = true;
		atlas_run(&a, read_what_can_be);
		atlas_run(&a, check_names_them);
		a.o.read_only = false;
		some += unread[0] || unread[1] || unread[2] || unread[3] ||
			unread[4];
	}
	assert_true(some > 5);
}

/* ---- 24: too many folders gone ---- */

static int want_rc;
static unsigned opened;

static void try_both(struct atlas *x)
{
	struct diag d = DIAG_INIT;
	int rc = atlas_try_open(x, &d);

	if (rc >= 0 || !d.text[0])
		atlas_wrong(x, "volume_open: %s: %s", err_name(rc), d.text);
	if (want_rc && rc != want_rc)
		atlas_wrong(x, "volume_open: %s, not %s", err_name(rc),
			    err_name(want_rc));
	x->o.read_only = true;
	d.text[0] = 0;
	rc = atlas_try_open(x, &d);
	x->o.read_only = false;
	if (rc < 0) {
		ATLAS_MUST(x, d.text[0]);
		return;
	}
	opened++;
	x->o.read_only = true;
	atlas_look(x, LOOK_ALL, false);
	atlas_crash(x);
	x->o.read_only = false;
}

static void with_only(unsigned visible)
{
	uint64_t digest;
	struct sim_image *im = sim_image_take();

	digest = sim_image_digest(im);
	sim_image_unref(im);
	for (unsigned i = 0; i < N; i++)
		sim_disk_hide(i, !(visible >> i & 1));
	a.o.location = a.locations;
	sprintf(a.doing, "with folders %x only", visible);
	atlas_run(&a, try_both);
	for (unsigned i = 0; i < N; i++)
		sim_disk_hide(i, false);
	im = sim_image_take();
	if (sim_image_digest(im) != digest)
		atlas_wrong(&a, "a refused mount has written");
	sim_image_unref(im);
}

static void row24_fewer_than_n_minus_m_never_write(void **state)
{
	(void)state;
	load_filled();
	a.o.degraded = true;
	want_rc = 0;
	opened = 0;
	for (unsigned visible = 1; visible < 1u << N; visible++)
		if ((unsigned)__builtin_popcount(visible) < N - M)
			with_only(visible);
	atlas_run(&a, look_at_all);
}

/* Below n-m, and every segment can still be read: for looking only. */
static void row24_what_can_be_read_may_be_looked_at(void **state)
{
	static const struct atlas_shape narrow = {.n = N, .k = 1, .m = M};
	struct atlas keep = a;

	(void)state;
	atlas_begin(&a, 24, &narrow);
	sprintf(a.doing, "narrow");
	atlas_run(&a, fill);
	opened = 0;
	want_rc = 0;
	for (unsigned visible = 1; visible < 1u << N; visible++)
		if (__builtin_popcount(visible) == 2)
			with_only(visible);
	atlas_end(&a);
	sim_disks_reset(N);
	a = keep;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(row03_any_m_of_a_segment_may_go),
		cmocka_unit_test(
			row03_beyond_m_the_range_and_its_file_are_named),
		cmocka_unit_test(row04_rot_all_over_never_gives_wrong_bytes),
		cmocka_unit_test(row24_fewer_than_n_minus_m_never_write),
		cmocka_unit_test(row24_what_can_be_read_may_be_looked_at),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
