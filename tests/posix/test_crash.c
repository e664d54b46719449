/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promises and crashes. Random work on a few names and files, with fsync,
 * fsyncdir and sync at random, is cut off at random: between two operations,
 * or by all folders failing from the n-th request on (with a torn write), in
 * the middle of whatever was under way; also during recovery. Or two folders
 * are away for a while (not both in one run: what is written while most folders
 * fail has less redundancy until it is repaired). Then
 *
 *   A  what was promised and not changed since is identical;
 *   B  other bytes are old or new, never garbage, and zero only where they
 *      were zero at some moment since the promise;
 *   C  the names are those of one moment at or after the last promise.
 *
 * Files consist of cells filled with the number of the write that made them.
 */
#include "posix_check.h"

#define CELL	512u
#define CELLS	4096u /* of the largest file */
#define DIRS	3
#define NAMES	8
#define SLOTS	(DIRS * NAMES)
#define INODES	600
#define WRITES	30000
#define MOMENTS 500
#define ROUNDS	18

/* An inode of the model, for ever: a crash may bring it back. */
struct thing {
	uint64_t ino;
	bool is_dir;
	uint32_t *cur, *stable; /* writes by cell; 0: a hole */
	uint8_t *zero_ok;
	uint32_t size, stable_size, min_size, max_size; /* cells */
	uint32_t promised; /* writes counted then */
	unsigned touched;  /* moment of its last change of names */
};

struct names {
	uint16_t at[SLOTS]; /* things; 0: free */
};

struct written {
	uint16_t thing;
	uint32_t first, n;
};

struct world {
	struct kit *k;
	struct dice dice;
	uint64_t dir[DIRS];
	struct thing thing[INODES];
	unsigned things;
	struct written written[WRITES];
	uint32_t writes;
	struct names moment[MOMENTS]; /* [0]: promised */
	unsigned moments;
	bool may_fail, may_hide;
	bool failing; /* folders fail: errors are expected */
	unsigned promises, crashes, refused, ro_looks, degraded, later[3];
};

static uint64_t roll(struct world *w, uint64_t bound)
{
	return dice_below(&w->dice, bound);
}

static struct names *now(struct world *w)
{
	return &w->moment[w->moments - 1];
}

static void next_moment(struct world *w)
{
	assert_true(w->moments < MOMENTS);
	w->moment[w->moments] = w->moment[w->moments - 1];
	w->moments++;
}

/* The names as of moment m are promised. */
static void names_promised(struct world *w, unsigned m)
{
	memmove(w->moment, &w->moment[m],
		(w->moments - m) * sizeof(w->moment[0]));
	w->moments -= m;
	for (unsigned i = 1; i < w->things; i++)
		w->thing[i].touched -= MIN(w->thing[i].touched, m);
}

static void thing_promised(struct world *w, struct thing *t)
{
	if (t->is_dir)
		return;
	memcpy(t->stable, t->cur, CELLS * sizeof(*t->cur));
	t->stable_size = t->min_size = t->max_size = t->size;
	t->promised = w->writes;
	for (uint32_t c = 0; c < CELLS; c++)
		t->zero_ok[c] = c < t->size && t->cur[c] == 0;
}

static uint16_t thing_new(struct world *w, uint64_t ino, bool is_dir)
{
	struct thing *t = &w->thing[w->things];

	assert_true(w->things < INODES);
	*t = (struct thing){.ino = ino, .is_dir = is_dir};
	if (!is_dir) {
		t->cur = calloc(CELLS, sizeof(*t->cur));
		t->stable = calloc(CELLS, sizeof(*t->stable));
		t->zero_ok = calloc(CELLS, 1);
	}
	t->promised = w->writes;
	t->touched = w->moments; /* the moment that is about to come */
	return (uint16_t)w->things++;
}

static const char *name_of(unsigned slot)
{
	static const char *const names[NAMES] = {"a", "b", "c", "d",
						 "e", "f", "g", "h"};

	return names[slot % NAMES];
}

static uint64_t dir_of(const struct world *w, unsigned slot)
{
	return w->dir[slot / NAMES];
}

/* Anything may fail while folders do; otherwise nothing may. */
static bool went_well(struct world *w, int rc, const char *what)
{
	if (rc >= 0)
		return true;
	if (!w->failing)
		fail_msg("%s: %s", what, err_name(rc));
	return false;
}

/* ---- names ---- */

static void do_make(struct world *w, unsigned slot)
{
	bool dir = roll(w, 5) == 0;
	struct create_spec s = {.mode = dir ? S_IFDIR | 0755 : S_IFREG | 0644};
	struct attr a;
	int rc = posix_make(w->k->v, &kit_root, dir_of(w, slot), name_of(slot),
			    &s, &a);

	if (now(w)->at[slot]) {
		assert_true(rc < 0);
		return;
	}
	if (!went_well(w, rc, "make"))
		return;
	{
		uint16_t t = thing_new(w, a.ino, dir);

		next_moment(w);
		now(w)->at[slot] = t;
	}
}

static void do_remove(struct world *w, unsigned slot)
{
	uint16_t t = now(w)->at[slot];
	bool dir = t && w->thing[t].is_dir;
	int rc = dir ? posix_rmdir(w->k->v, dir_of(w, slot), name_of(slot))
		     : posix_unlink(w->k->v, dir_of(w, slot), name_of(slot));

	if (!t) {
		assert_true(rc < 0);
		return;
	}
	if (!went_well(w, rc, "remove"))
		return;
	w->thing[t].touched = w->moments;
	next_moment(w);
	now(w)->at[slot] = 0;
}

static void do_link(struct world *w, unsigned from, unsigned to)
{
	uint16_t t = now(w)->at[from];
	struct attr a;
	int rc;

	if (!t || w->thing[t].is_dir || now(w)->at[to])
		return;
	rc = posix_link(w->k->v, w->thing[t].ino, dir_of(w, to), name_of(to),
			&a);
	if (!went_well(w, rc, "link"))
		return;
	w->thing[t].touched = w->moments;
	next_moment(w);
	now(w)->at[to] = t;
}

static void do_rename(struct world *w, unsigned from, unsigned to)
{
	unsigned flags = roll(w, 3) ? 0 : RENAME_EXCHANGE;
	uint16_t a = now(w)->at[from], b = now(w)->at[to];
	int rc;

	if (!a || (b && !flags && w->thing[a].is_dir != w->thing[b].is_dir) ||
	    (!b && flags))
		return;
	rc = posix_rename(w->k->v, dir_of(w, from), name_of(from),
			  dir_of(w, to), name_of(to), flags);
	if (!went_well(w, rc, "rename") || a == b)
		return;
	w->thing[a].touched = w->moments;
	if (b)
		w->thing[b].touched = w->moments;
	next_moment(w);
	now(w)->at[from] = flags ? b : 0;
	now(w)->at[to] = a;
}

/* ---- data ---- */

static void note_zero(struct thing *t, uint32_t from, uint32_t to)
{
	for (uint32_t c = from; c < to; c++) {
		t->cur[c] = 0;
		t->zero_ok[c] = 1;
	}
}

static void note_size(struct thing *t, uint32_t size)
{
	if (size > t->size)
		note_zero(t, t->size, size);
	t->size = size;
	t->min_size = MIN(t->min_size, size);
	t->max_size = MAX(t->max_size, size);
}

static uint16_t some_file(struct world *w)
{
	for (unsigned i = 0; i < 20; i++) {
		uint16_t t = now(w)->at[roll(w, SLOTS)];

		if (t && !w->thing[t].is_dir)
			return t;
	}
	return 0;
}

static void do_write(struct world *w)
{
	static const uint32_t longest[] = {1, 8, 60, 300, 2600};
	uint16_t i = some_file(w);
	struct thing *t = &w->thing[i];
	uint32_t first, n, stamp;
	struct file *f;
	uint32_t *p;
	int64_t rc;

	if (!i)
		return;
	first = (uint32_t)(roll(w, 3) ? roll(w, CELLS) : t->size);
	n = 1 + (uint32_t)roll(w, longest[roll(w, ARRAY_LEN(longest))]);
	first = MIN(first, CELLS - 1);
	n = MIN(n, CELLS - first);
	stamp = ++w->writes;
	assert_true(w->writes < WRITES);
	w->written[stamp] = (struct written){i, first, n};
	p = malloc(n * CELL);
	for (uint32_t c = 0; c < n * CELL / 4; c++)
		p[c] = stamp;
	rc = posix_open(w->k->v, t->ino, O_RDWR, &f);
	if (went_well(w, (int)rc, "open")) {
		rc = posix_write(f, p, n * CELL, (uint64_t)first * CELL);
		posix_close(f);
		if (went_well(w, (int)rc, "write")) {
			assert_int_equal(rc, n * CELL);
			if (first + n > t->size)
				note_size(t, first + n);
			for (uint32_t c = first; c < first + n; c++)
				t->cur[c] = stamp;
		}
	}
	free(p);
}

static void do_truncate(struct world *w)
{
	uint16_t i = some_file(w);
	struct thing *t = &w->thing[i];
	uint32_t size = roll(w, 4) ? (uint32_t)roll(w, CELLS) : 0;

	if (i &&
	    went_well(w, kit_set_size(w->k, t->ino, size * CELL), "truncate"))
		note_size(t, size);
}

/* ---- promises ---- */

static void do_fsync(struct world *w)
{
	uint16_t i = some_file(w);
	struct thing *t = &w->thing[i];
	struct file *f;
	int rc;

	if (!i ||
	    !went_well(w, posix_open(w->k->v, t->ino, O_RDWR, &f), "open"))
		return;
	rc = posix_fsync(f, roll(w, 2));
	posix_close(f);
	if (!went_well(w, rc, "fsync"))
		return;
	thing_promised(w, t);
	names_promised(w, MIN(t->touched, w->moments - 1));
	w->promises++;
}

static void do_sync(struct world *w)
{
	bool all = roll(w, 2);
	int rc = all ? volume_sync(w->k->v)
		     : posix_fsyncdir(w->k->v, w->dir[1 + roll(w, DIRS - 1)]);

	if (!went_well(w, rc, "sync"))
		return;
	names_promised(w, w->moments - 1);
	if (all)
		for (unsigned i = 1; i < w->things; i++)
			thing_promised(w, &w->thing[i]);
	w->promises++;
}

/* What happens by itself at any time and promises nothing. */
static void do_background(struct world *w)
{
	struct volume *v = w->k->v;
	uint16_t i = some_file(w);
	int rc = 0;

	switch (roll(w, 7)) {
	case 0:
		rc = writeback_run(v, CACHE_ANY, UINT64_MAX);
		break;
	case 1:
		rc = i ? writeback_run(v, w->thing[i].ino, UINT64_MAX) : 0;
		break;
	case 2:
		rc = node_flush_attrs(v);
		break;
	case 3:
		rc = commit_all(v->commit);
		break;
	case 4:
		rc = service_checkpoint(v, NULL, NULL);
		break;
	case 5:
		rc = jseg_rotate(v->js, roll(w, 2));
		break;
	default:
		cache_drop_clean(v->cache, CACHE_ANY);
	}
	(void)went_well(w, rc, "background");
}

static void step(struct world *w)
{
	unsigned a = (unsigned)roll(w, SLOTS), b = (unsigned)roll(w, SLOTS);
	uint64_t what = roll(w, 100);

	if (what < 18)
		do_make(w, a);
	else if (what < 25)
		do_remove(w, a);
	else if (what < 29)
		do_link(w, a, b);
	else if (what < 37)
		do_rename(w, a, b);
	else if (what < 68)
		do_write(w);
	else if (what < 74)
		do_truncate(w);
	else if (what < 83)
		do_fsync(w);
	else if (what < 86)
		do_sync(w);
	else
		do_background(w);
}

/* ---- after the crash ---- */

static void find_names(struct world *w, struct names *out)
{
	for (unsigned s = 0; s < SLOTS; s++) {
		struct attr a;
		int rc = posix_lookup(w->k->v, dir_of(w, s), name_of(s), &a);

		out->at[s] = 0;
		if (rc == -ENOENT)
			continue;
		OK(rc);
		for (unsigned i = 1; i < w->things; i++)
			if (w->thing[i].ino == a.ino)
				out->at[s] = (uint16_t)i;
		if (!out->at[s])
			fail_msg("slot %u has an unknown inode", s);
	}
}

/* C */
static void check_names(struct world *w, const struct names *found)
{
	for (unsigned m = w->moments; m-- > 0;)
		if (memcmp(&w->moment[m], found, sizeof(*found)) == 0) {
			w->later[m == 0 ? 0 : m < w->moments - 1 ? 1 : 2]++;
			return;
		}
	for (unsigned s = 0; s < SLOTS; s++)
		printf("slot %u: found %u promised %u last %u\n", s,
		       found->at[s], w->moment[0].at[s], now(w)->at[s]);
	fail_msg("these names were never there together");
}

/* A and B */
static bool cell_ok(const struct world *w, uint16_t i, uint32_t c, uint32_t v)
{
	const struct thing *t = &w->thing[i];
	const struct written *x;

	if (v == 0)
		return t->zero_ok[c];
	if (c < t->stable_size && v == t->stable[c])
		return true;
	if (v > w->writes || v <= t->promised)
		return false;
	x = &w->written[v];
	return x->thing == i && c >= x->first && c < x->first + x->n;
}

static void check_file(struct world *w, uint16_t i, bool settled)
{
	struct thing *t = &w->thing[i];
	uint64_t size = kit_attr(w->k, t->ino).size;
	uint32_t *got = malloc(size + 1);
	struct file *f = kit_fopen(w->k, t->ino, O_RDONLY);

	if (size % CELL || size / CELL < t->min_size ||
	    size / CELL > t->max_size)
		fail_msg("thing %u: size %llu, not %u..%u cells", i,
			 (unsigned long long)size, t->min_size, t->max_size);
	assert_int_equal(posix_read(f, got, size, 0), size);
	posix_close(f);
	if (settled) {
		t->size = (uint32_t)(size / CELL);
		memset(t->cur, 0, CELLS * sizeof(*t->cur));
	}
	for (uint32_t c = 0; c < size / CELL; c++) {
		uint32_t *cell = &got[c * (CELL / 4)];

		for (unsigned j = 1; j < CELL / 4; j++)
			if (cell[j] != cell[0])
				fail_msg("thing %u cell %u is mixed", i, c);
		if (!cell_ok(w, i, c, cell[0]))
			fail_msg("thing %u cell %u of %u: %u, promised %u "
				 "(of %u) by write %u, newest %u",
				 i, c, t->size, cell[0], t->stable[c],
				 t->stable_size, t->promised, t->cur[c]);
		if (settled)
			t->cur[c] = cell[0];
	}
	free(got);
}

static void check_all(struct world *w, bool settled)
{
	struct names found;

	find_names(w, &found);
	check_names(w, &found);
	for (unsigned i = 1; i < w->things; i++) {
		bool named = false;

		for (unsigned s = 0; s < SLOTS; s++)
			named |= found.at[s] == i;
		if (named && !w->thing[i].is_dir)
			check_file(w, (uint16_t)i, settled);
	}
	/* A read-only look settles nothing: what was not acknowledged is in
	 * some journal copies only, and others may be there next time. */
	if (!settled)
		return;
	w->moment[0] = found;
	w->moments = 1;
	for (unsigned i = 1; i < w->things; i++) {
		w->thing[i].touched = 0;
		thing_promised(w, &w->thing[i]);
	}
}

/* Read-only, with two folders away, from one of the others. */
static void look_read_only(struct world *w)
{
	struct kit *k = w->k;
	int a = (int)roll(w, KIT_FOLDERS);
	int b = (a + 1 + (int)roll(w, KIT_FOLDERS - 1)) % KIT_FOLDERS, c = 0;
	struct volume_options before = k->o;
	const char *given[1];

	while (c == a || c == b)
		c++;
	given[0] = k->location[c];
	kit_hide(k, a);
	kit_hide(k, b);
	k->o.location = given;
	k->o.n = 1;
	k->o.read_only = true;
	kit_open(k);
	check_all(w, false);
	kit_close(k);
	kit_clear(k);
	k->o = before;
	w->ro_looks++;
}

/* From the n-th request on each folder fails; the n-th is torn. */
static void fail_from_now_on(struct world *w, uint64_t within)
{
	for (int i = 0; i < KIT_FOLDERS; i++) {
		uint64_t n = roll(w, within);
		struct fault_rule torn = {.kind = FAULT_TORN,
					  .ops = FAULT_OP_WRITE,
					  .prefix = "",
					  .skip = n,
					  .times = 1};
		struct fault_rule dead = {.kind = FAULT_ERROR,
					  .ops = FAULT_OP_ALL &
						 ~FAULT_OP_ATTACH,
					  .prefix = "",
					  .skip = 2 * n + 1,
					  .err = EIO};

		if (roll(w, 2))
			OK(fault_add(w->k->location[i], &torn));
		OK(fault_add(w->k->location[i], &dead));
	}
	w->failing = true;
}

/* A crash inside recovery. */
static void open_and_fail(struct world *w)
{
	struct diag d = DIAG_INIT;
	int rc;

	fail_from_now_on(w, 25);
	rc = volume_open(&w->k->o, &d, &w->k->v);
	if (rc == 0)
		kit_crash(w->k);
	else
		w->refused++;
	kit_clear(w->k);
	w->failing = false;
}

/* Two folders are away until the next restart, and stale when they return. */
static void go_on_without_two(struct world *w)
{
	int a = (int)roll(w, KIT_FOLDERS);

	kit_hide(w->k, a);
	kit_hide(w->k, (a + 1 + (int)roll(w, KIT_FOLDERS - 1)) % KIT_FOLDERS);
	w->degraded++;
}

static void restart(struct world *w)
{
	kit_crash(w->k);
	kit_clear(w->k);
	w->failing = false;
	w->crashes++;
	if (roll(w, 3) == 0)
		kit_lose_cache(w->k);
	if (w->may_hide && roll(w, 3) == 0)
		look_read_only(w);
	if (w->may_fail && roll(w, 3) == 0)
		open_and_fail(w);
	if (w->may_hide && roll(w, 3) == 0)
		go_on_without_two(w);
	kit_open(w->k);
	check_all(w, true);
	kit_sound(w->k);
}

static struct world *world_new(struct kit *k, uint64_t seed)
{
	struct world *w = calloc(1, sizeof(*w));

	w->k = k;
	w->dice.state = kit_seed(seed);
	w->dir[0] = ROOT_INO;
	w->dir[1] = kit_mk(k, ROOT_INO, "dir-1", S_IFDIR | 0755);
	w->dir[2] = kit_mk(k, w->dir[1], "dir-2", S_IFDIR | 0755);
	w->things = 1;
	w->moments = 1;
	OK(volume_sync(k->v));
	return w;
}

static void world_free(struct world *w)
{
	for (unsigned i = 1; i < w->things; i++) {
		free(w->thing[i].cur);
		free(w->thing[i].stable);
		free(w->thing[i].zero_ok);
	}
	free(w);
}

static void play(struct kit *k, uint64_t seed, bool hide)
{
	struct world *w;

	/* While nothing can be written a full cache would hold up writers. */
	kit_close(k);
	k->o.cache_bytes = 256 << 20;
	kit_open(k);
	w = world_new(k, seed);
	w->may_hide = hide;
	w->may_fail = !hide;
	for (unsigned r = 0; r < ROUNDS; r++) {
		unsigned steps = 5 + (unsigned)roll(w, 90);
		unsigned fail_at = roll(w, 2) ? (unsigned)roll(w, steps) : 0;

		for (unsigned s = 0; s < steps; s++) {
			if (w->may_fail && s > 0 && s == fail_at)
				fail_from_now_on(w, 80);
			step(w);
		}
		restart(w);
	}
	printf("%u promises, %u crashes, %u refused, %u read-only looks, %u "
	       "degraded; names as promised %u, later %u, newest %u\n",
	       w->promises, w->crashes, w->refused, w->ro_looks, w->degraded,
	       w->later[0], w->later[1], w->later[2]);
	world_free(w);
}

static void folders_fail_1(void **state)
{
	play(*state, 11, false);
}

static void folders_fail_2(void **state)
{
	play(*state, 12, false);
}

static void folders_are_away(void **state)
{
	play(*state, 13, true);
}

/*
 * Two folders are away for one mount, which crashes; then they are back,
 * stale, and any two others are away: what was synced is there.
 */
static void with_two_away(struct kit *k, int a, int b)
{
	kit_clear(k);
	kit_hide(k, a);
	kit_hide(k, b);
}

static void any_two_after_any_two(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644), seed = 1;

	OK(volume_sync(k->v));
	for (int a = 0; a < KIT_FOLDERS; a++)
		for (int b = a + 1; b < KIT_FOLDERS; b++) {
			int c = a == 0 ? b == 1 ? 2 : 1 : 0;
			int d = KIT_FOLDERS - 1;

			while (d == a || d == b)
				d--;
			kit_crash(k);
			with_two_away(k, a, b);
			kit_open(k);
			seed++;
			kit_write(k, ino, 0, 100000 << seed % 5, seed);
			OK(volume_sync(k->v));
			kit_crash(k);
			with_two_away(k, c, d);
			k->o.read_only = true;
			kit_open(k);
			kit_expect(k, ino, 0, 100000, seed);
			kit_close(k);
			k->o.read_only = false;
			kit_open(k);
			kit_expect(k, ino, 0, 100000, seed);
		}
}

/*
 * Three folders, perhaps all that have the newest records, die while the pool
 * is being opened, perhaps after they were counted as reachable. No later open
 * may believe that these records were never there.
 */
static void die_in_recovery(struct kit *k, unsigned mask, uint64_t skip)
{
	struct fault_rule r = {.kind = FAULT_ERROR,
			       .ops = FAULT_OP_ALL & ~FAULT_OP_ATTACH,
			       .prefix = "",
			       .skip = skip,
			       .err = EIO};
	struct diag d = DIAG_INIT;

	for (int i = 0; i < KIT_FOLDERS; i++)
		if (mask >> i & 1)
			OK(fault_add(k->location[i], &r));
	if (volume_open(&k->o, &d, &k->v) == 0)
		kit_crash(k);
	kit_clear(k);
}

static void any_three_die_in_recovery(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644);

	for (unsigned mask = 0; mask < 1u << KIT_FOLDERS; mask++) {
		if (__builtin_popcount(mask) != 3)
			continue;
		kit_write(k, ino, 0, 5000, mask);
		kit_fsync(k, ino);
		kit_crash(k);
		die_in_recovery(k, mask, 6 + mask % 5);
		kit_open(k);
		kit_expect(k, ino, 0, 5000, mask);
	}
	kit_sound(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_KIT(any_two_after_any_two),
		WITH_KIT(any_three_die_in_recovery),
		WITH_KIT(folders_fail_1),
		WITH_KIT(folders_fail_2),
		WITH_KIT(folders_are_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
