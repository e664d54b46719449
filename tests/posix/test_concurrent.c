/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several threads at once, with little memory: names in shared folders, data
 * in shared and in own files, beside commits, write-backs and checkpoints.
 * What a thread finds wrong aborts (MUST): cmocka's failures belong to its
 * own thread.
 */
#include "posix_check.h"

#include <stdatomic.h>
#include <sys/xattr.h>

#include "base/must.h"
#include "base/workq.h"

#define KIB   1024u
#define MIB   (1024u * KIB)
#define CHUNK (128 * KIB)

#define THREADS 5

struct party {
	struct kit *k;
	unsigned id;
	struct dice dice;
	unsigned ops, well;
	uint64_t dir[4];
	uint64_t ino;
	void (*fn)(struct party *p);
	atomic_bool stop;
};

static atomic_bool over; /* the workers are done */

static void party_run(void *arg)
{
	struct party *p = arg;

	p->fn(p);
}

/* What goes on by itself, but all the time. */
static void disturb(void *arg)
{
	struct kit *k = arg;
	struct volume *v = k->v;
	struct dice dice = {99};

	while (!atomic_load(&over)) {
		uint64_t what = dice_below(&dice, 6);
		int rc = 0;

		switch (what) {
		case 0:
			rc = service_checkpoint(v, NULL, NULL);
			break;
		case 1:
			rc = volume_sync(v);
			break;
		case 2:
			rc = jseg_rotate(v->js, false);
			break;
		case 3:
			rc = writeback_run(v, CACHE_ANY, UINT64_MAX);
			break;
		case 4:
			rc = service_run_queue(v);
			break;
		default:
			cache_drop_clean(v->cache, CACHE_ANY);
		}
		if (rc < 0)
			fprintf(stderr, "disturb %llu: %s\n",
				(unsigned long long)what, err_name(rc));
		MUST(rc == 0);
	}
}

static void run(struct kit *k, struct party *p, unsigned n)
{
	struct workq *q, *d;

	atomic_store(&over, false);
	OK(workq_new("disturb", 1, &d));
	OK(workq_submit(d, disturb, k));
	OK(workq_new("party", n, &q));
	for (unsigned i = 0; i < n; i++) {
		p[i].k = k;
		p[i].id = i;
		p[i].dice.state += 1000 * i + 1;
		OK(workq_submit(q, party_run, &p[i]));
	}
	workq_free(q);
	atomic_store(&over, true);
	workq_free(d);
}

static int little_memory(void **state)
{
	int rc = kit_start(state);
	struct kit *k = *state;

	kit_close(k);
	k->o.cache_bytes = 8 * MIB;
	kit_open(k);
	return rc;
}

#define WITH_LITTLE(test) \
	cmocka_unit_test_setup_teardown(test, little_memory, kit_stop)

/* ---- names ---- */

/* What may be the answer when others change the same names. */
static bool usual(int rc)
{
	return rc >= 0 || rc == -ENOENT || rc == -EEXIST || rc == -ENOTEMPTY ||
	       rc == -EISDIR || rc == -ENOTDIR || rc == -EINVAL ||
	       rc == -EPERM || rc == -ENODATA;
}

static int count_entry(void *arg, const struct dir_entry *e)
{
	unsigned *n = arg;

	MUST(e->ino != 0 && e->name[0]);
	return ++*n > 1000;
}

static int change_file(struct party *p, uint64_t ino)
{
	uint8_t buf[3000];
	struct file *f;
	int rc = posix_open(p->k->v, ino, O_RDWR, &f);

	if (rc < 0)
		return rc;
	memset(buf, (int)ino, sizeof(buf));
	rc = (int)posix_write(f, buf, sizeof(buf),
			      dice_below(&p->dice, 300000));
	if (dice_below(&p->dice, 8) == 0)
		MUST(posix_fsync(f, true) == 0);
	posix_close(f);
	return rc;
}

static int name_op(struct party *p)
{
	static const unsigned flags[] = {0, 0, RENAME_NOREPLACE,
					 RENAME_EXCHANGE};
	struct volume *v = p->k->v;
	uint64_t a = p->dir[dice_below(&p->dice, 4)];
	uint64_t b = p->dir[dice_below(&p->dice, 4)];
	char x[2] = {(char)('a' + dice_below(&p->dice, 7)), '\0'};
	char y[2] = {(char)('a' + dice_below(&p->dice, 7)), '\0'};
	struct create_spec s = {.mode = S_IFREG | 0644};
	struct attr_change c = {.set = SET_MODE, .mode = 0600};
	unsigned n = 0;
	struct attr at;
	int rc;

	switch (dice_below(&p->dice, 12)) {
	case 0:
		s.mode = S_IFDIR | 0755;
		return posix_make(v, &kit_root, a, x, &s, &at);
	case 1:
		return posix_rmdir(v, a, x);
	case 2:
		return posix_unlink(v, a, x);
	case 3:
	case 4:
		return posix_rename(v, a, x, b, y,
				    flags[dice_below(&p->dice, 4)]);
	case 5:
		rc = posix_lookup(v, a, x, &at);
		return rc < 0 ? rc : posix_link(v, at.ino, b, y, &at);
	case 6:
		rc = posix_lookup(v, a, x, &at);
		return rc < 0 || !S_ISREG(at.mode) ? rc
						   : change_file(p, at.ino);
	case 7:
		rc = posix_lookup(v, a, x, &at);
		return rc < 0 ? rc : posix_setattr(v, at.ino, &c, &at);
	case 8:
		return posix_readdir(v, a, 0, dice_below(&p->dice, 2),
				     count_entry, &n);
	case 9:
		rc = posix_lookup(v, a, x, &at);
		return rc < 0 ? rc
			      : posix_setxattr(v, at.ino, "user.x", x, 1, 0);
	default:
		return posix_make(v, &kit_root, a, x, &s, &at);
	}
}

static void many_names(struct party *p)
{
	for (unsigned i = 0; i < p->ops; i++) {
		int rc = name_op(p);

		if (!usual(rc))
			fprintf(stderr, "unusual: %s\n", err_name(rc));
		MUST(usual(rc));
		p->well += rc >= 0;
	}
}

static void names_in_shared_folders(void **state)
{
	struct kit *k = *state;
	struct party p[THREADS] = {0};
	uint64_t dir[4] = {ROOT_INO}, seed = kit_seed(21);
	unsigned well = 0;

	dir[1] = kit_mk(k, ROOT_INO, "d1", S_IFDIR | 0755);
	dir[2] = kit_mk(k, dir[1], "d2", S_IFDIR | 0755);
	dir[3] = kit_mk(k, ROOT_INO, "d3", S_IFDIR | 0755);
	for (unsigned i = 0; i < THREADS; i++) {
		p[i].fn = many_names;
		p[i].ops = 1200;
		p[i].dice.state = seed;
		memcpy(p[i].dir, dir, sizeof(dir));
	}
	run(k, p, THREADS);
	for (unsigned i = 0; i < THREADS; i++)
		well += p[i].well;
	printf("%u of %u went well\n", well, THREADS * 1200);
	assert_true(well > THREADS * 300);
	kit_sound(k);
	kit_recrash(k);
	kit_sound(k);
}

/* A name is used by others as soon as it is there. */
static atomic_uint makers;

static void make_one(struct party *p)
{
	struct create_spec s = {.mode = S_IFREG | 0644};
	struct attr at;

	while (p->well < p->ops)
		p->well += posix_make(p->k->v, &kit_root, ROOT_INO, "x", &s,
				      &at) == 0;
	atomic_fetch_sub(&makers, 1);
}

static void use_one(struct party *p)
{
	struct attr_change c = {.set = SET_ATIME | SET_MTIME, .mtime_ns = 7};
	struct attr at;
	int rc;

	while (atomic_load(&makers) > 0) {
		rc = posix_lookup(p->k->v, ROOT_INO, "x", &at);
		if (rc == 0)
			rc = posix_setattr(p->k->v, at.ino, &c, &at);
		MUST(rc == 0 || rc == -ENOENT);
	}
}

static void remove_one(struct party *p)
{
	while (atomic_load(&makers) > 0)
		p->well += posix_unlink(p->k->v, ROOT_INO, "x") == 0;
}

static void used_as_soon_as_made(void **state)
{
	struct kit *k = *state;
	struct party p[THREADS] = {{.fn = make_one},
				   {.fn = remove_one},
				   {.fn = use_one},
				   {.fn = remove_one},
				   {.fn = make_one}};

	atomic_store(&makers, 2);
	p[0].ops = p[4].ops = 1500;
	run(k, p, THREADS);
	assert_in_range(p[1].well + p[3].well, 2999, 3000);
	kit_sound(k);
}

/* Folders are moved to and fro; no move may make a circle. */
static void move_folders(struct party *p)
{
	for (unsigned i = 0; i < p->ops; i++) {
		char x[2] = {(char)('a' + dice_below(&p->dice, 5)), '\0'};
		char y[2] = {(char)('a' + dice_below(&p->dice, 5)), '\0'};
		uint64_t from = ROOT_INO, to = ROOT_INO;
		struct attr at;

		/* A random place some levels down. */
		for (uint64_t n = dice_below(&p->dice, 4); n > 0; n--)
			if (posix_lookup(p->k->v, from, x, &at) == 0)
				from = at.ino;
		for (uint64_t n = dice_below(&p->dice, 4); n > 0; n--)
			if (posix_lookup(p->k->v, to, y, &at) == 0)
				to = at.ino;
		p->well += posix_rename(p->k->v, from, x, to, y,
					dice_below(&p->dice, 2)
						? 0
						: RENAME_EXCHANGE) == 0;
	}
}

static void moving_folders_makes_no_circle(void **state)
{
	struct kit *k = *state;
	struct party p[THREADS] = {0};
	uint64_t seed = kit_seed(22), inodes;
	unsigned well = 0;

	for (char a = 'a'; a < 'f'; a++) {
		char name[2] = {a, '\0'};
		uint64_t at = kit_mk(k, ROOT_INO, name, S_IFDIR | 0755);

		for (char b = 'a'; b < 'd'; b++) {
			name[0] = b;
			kit_mk(k, kit_mk(k, at, name, S_IFDIR | 0755), "a",
			       S_IFDIR | 0755);
		}
	}
	inodes = kit_inodes(k);
	for (unsigned i = 0; i < THREADS; i++) {
		p[i].fn = move_folders;
		p[i].ops = 600;
		p[i].dice.state = seed;
	}
	run(k, p, THREADS);
	for (unsigned i = 0; i < THREADS; i++)
		well += p[i].well;
	printf("%u moves\n", well);
	assert_true(well > 100);
	assert_true(kit_inodes(k) <= inodes);
	kit_sound(k); /* each folder can be reached from the root */
}

/* ---- data ---- */

#define OWN_MAX (2 * MIB)

struct own {
	uint64_t ino;
	uint8_t *data;
	size_t size;
	char name[16];
};

static void own_make(struct party *p, struct own *o, unsigned i)
{
	struct create_spec s = {.mode = S_IFREG | 0644};
	struct attr at;

	snprintf(o->name, sizeof(o->name), "t%u-%u", p->id, i);
	MUST(posix_make(p->k->v, &kit_root, ROOT_INO, o->name, &s, &at) == 0);
	o->ino = at.ino;
	o->size = 0;
}

static void own_write(struct party *p, struct own *o, struct file *f)
{
	uint64_t off = dice_below(&p->dice, OWN_MAX);
	size_t len = 1 + dice_below(&p->dice,
				    dice_below(&p->dice, 3) ? 9000 : 300000);

	len = MIN(len, OWN_MAX - off);
	if (off > o->size)
		memset(o->data + o->size, 0, off - o->size);
	kit_pattern(o->data + off, len, off, dice_roll(&p->dice));
	MUST(posix_write(f, o->data + off, len, off) == (ssize_t)len);
	o->size = MAX(o->size, off + len);
}

static void own_read(struct party *p, struct own *o, struct file *f)
{
	uint64_t off = dice_below(&p->dice, OWN_MAX);
	size_t len = 1 + dice_below(&p->dice, 400000);
	size_t want = off < o->size ? MIN(len, o->size - off) : 0;
	uint8_t *got = malloc(len);

	MUST(posix_read(f, got, len, off) == (ssize_t)want);
	MUST(want == 0 || memcmp(got, o->data + off, want) == 0);
	free(got);
}

static void own_truncate(struct party *p, struct own *o)
{
	size_t size = dice_below(&p->dice, OWN_MAX);
	struct attr_change c = {.set = SET_SIZE, .size = size};
	struct attr at;

	MUST(posix_setattr(p->k->v, o->ino, &c, &at) == 0);
	MUST(at.size == size);
	if (size > o->size)
		memset(o->data + o->size, 0, size - o->size);
	o->size = size;
}

static void own_step(struct party *p, struct own *o, unsigned i)
{
	struct file *f;

	MUST(posix_open(p->k->v, o->ino, O_RDWR, &f) == 0);
	switch (dice_below(&p->dice, 14)) {
	case 0:
		own_truncate(p, o);
		break;
	case 1:
		MUST(posix_fsync(f, dice_below(&p->dice, 2)) == 0);
		break;
	case 2:
		if (dice_below(&p->dice, 4))
			break;
		/* Without a name, and then anew. */
		MUST(posix_unlink(p->k->v, ROOT_INO, o->name) == 0);
		own_write(p, o, f);
		own_read(p, o, f);
		posix_close(f);
		own_make(p, o, i);
		return;
	case 3:
	case 4:
	case 5:
	case 6:
	case 7:
		own_read(p, o, f);
		break;
	default:
		own_write(p, o, f);
	}
	posix_close(f);
}

static struct own owns[THREADS][2];

static void own_files(struct party *p)
{
	struct own *o = owns[p->id];

	for (unsigned i = 0; i < 2; i++) {
		o[i].data = malloc(OWN_MAX);
		own_make(p, &o[i], i);
	}
	for (unsigned i = 0; i < p->ops; i++) {
		unsigned n = (unsigned)dice_below(&p->dice, 2);

		own_step(p, &o[n], n);
	}
}

static void expect_owns(struct kit *k)
{
	for (unsigned i = 0; i < 2 * THREADS; i++) {
		struct own *o = &owns[i / 2][i % 2];
		struct file *f = kit_fopen(k, o->ino, O_RDONLY);
		uint8_t *got = malloc(OWN_MAX + 1);

		assert_int_equal(posix_read(f, got, OWN_MAX + 1, 0), o->size);
		assert_memory_equal(got, o->data, o->size);
		posix_close(f);
		free(got);
	}
}

static void files_of_their_own(void **state)
{
	struct kit *k = *state;
	struct party p[THREADS] = {0};
	uint64_t seed = kit_seed(23);
	struct cache_stats st;

	for (unsigned i = 0; i < THREADS; i++) {
		p[i].fn = own_files;
		p[i].ops = 250;
		p[i].dice.state = seed;
	}
	run(k, p, THREADS);
	cache_get_stats(k->v->cache, &st);
	printf("%llu evictions, %llu throttled\n",
	       (unsigned long long)st.evictions,
	       (unsigned long long)st.throttled);
	assert_true(st.evictions > 0);
	expect_owns(k);
	kit_sound(k);
	kit_recrash(k);
	expect_owns(k);
	kit_sound(k);
	for (unsigned i = 0; i < 2 * THREADS; i++)
		free(owns[i / 2][i % 2].data);
}

/* ---- one file for all ---- */

#define BLOCK  4096u
#define BLOCKS 600u

/* Each writes blocks of its own; neighbours share chunks and pages. */
static void every_nth_block(struct party *p)
{
	struct file *f;
	uint8_t buf[BLOCK];

	MUST(posix_open(p->k->v, p->ino, O_RDWR, &f) == 0);
	for (unsigned round = 0; round < 3; round++)
		for (unsigned b = p->id; b < BLOCKS; b += THREADS) {
			uint64_t off = (uint64_t)b * BLOCK;

			kit_pattern(buf, BLOCK, off, round * 10 + p->id);
			MUST(posix_write(f, buf, BLOCK, off) == BLOCK);
			if (dice_below(&p->dice, 40) == 0)
				MUST(posix_fsync(f, false) == 0);
		}
	posix_close(f);
}

static void expect_blocks(struct kit *k, uint64_t ino)
{
	for (unsigned b = 0; b < BLOCKS; b++)
		kit_expect(k, ino, (uint64_t)b * BLOCK, BLOCK,
			   20 + b % THREADS);
}

static void blocks_of_one_file(void **state)
{
	struct kit *k = *state;
	struct party p[THREADS] = {0};
	uint64_t ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644);
	uint64_t seed = kit_seed(24);

	for (unsigned i = 0; i < THREADS; i++) {
		p[i].fn = every_nth_block;
		p[i].ino = ino;
		p[i].dice.state = seed;
	}
	run(k, p, THREADS);
	assert_int_equal(kit_attr(k, ino).size, BLOCKS * BLOCK);
	expect_blocks(k, ino);
	kit_sound(k);
	kit_recrash(k);
	expect_blocks(k, ino);
}

struct line {
	uint32_t thread, number;
	uint8_t fill[92];
};

static void append_lines(struct party *p)
{
	struct file *f;
	struct line l = {.thread = p->id};

	MUST(posix_open(p->k->v, p->ino, O_WRONLY | O_APPEND, &f) == 0);
	for (l.number = 0; l.number < 500; l.number++) {
		memset(l.fill, (int)(l.number + p->id), sizeof(l.fill));
		MUST(posix_write(f, &l, sizeof(l), 0) == sizeof(l));
	}
	MUST(posix_fsync(f, true) == 0);
	posix_close(f);
}

static void lines_appended_by_all(void **state)
{
	struct kit *k = *state;
	struct party p[THREADS] = {0};
	uint64_t ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644);
	uint32_t next[THREADS] = {0};
	struct file *f;
	struct line l;

	for (unsigned i = 0; i < THREADS; i++) {
		p[i].fn = append_lines;
		p[i].ino = ino;
	}
	run(k, p, THREADS);
	kit_crash(k); /* all was fsynced */
	kit_open(k);
	assert_int_equal(kit_attr(k, ino).size, THREADS * 500 * sizeof(l));
	f = kit_fopen(k, ino, O_RDONLY);
	for (unsigned i = 0; i < THREADS * 500; i++) {
		assert_int_equal(posix_read(f, &l, sizeof(l), i * sizeof(l)),
				 sizeof(l));
		assert_true(l.thread < THREADS);
		assert_int_equal(l.number, next[l.thread]);
		next[l.thread]++;
		for (unsigned j = 0; j < sizeof(l.fill); j++)
			assert_int_equal(l.fill[j],
					 (uint8_t)(l.number + l.thread));
	}
	posix_close(f);
	kit_sound(k);
}

/* Cells filled with a number of their own, or zero; cut and grown by all. */
#define CELL  512u
#define CELLS 3000u

static atomic_uint cells_written;

static void check_cells(struct file *f, struct dice *dice)
{
	uint32_t got[64 * CELL / 4];
	uint64_t off = dice_below(dice, CELLS) * CELL;
	ssize_t n = posix_read(f, got, sizeof(got), off);

	MUST(n >= 0 && n % CELL == 0);
	for (unsigned c = 0; c < (size_t)n / CELL; c++) {
		uint32_t *cell = &got[c * CELL / 4];

		MUST(cell[0] <= atomic_load(&cells_written));
		for (unsigned i = 1; i < CELL / 4; i++)
			MUST(cell[i] == cell[0]);
	}
}

static void write_cells(struct party *p, struct file *f)
{
	uint32_t cell[16 * CELL / 4];
	uint64_t off = dice_below(&p->dice, CELLS) * CELL;
	size_t n = 1 + dice_below(&p->dice, 16);
	uint32_t stamp = atomic_fetch_add(&cells_written, 1) + 1;

	for (unsigned i = 0; i < n * CELL / 4; i++)
		cell[i] = stamp;
	MUST(posix_write(f, cell, n * CELL, off) == (ssize_t)(n * CELL));
}

static void cut_and_write(struct party *p)
{
	struct file *f;

	MUST(posix_open(p->k->v, p->ino, O_RDWR, &f) == 0);
	for (unsigned i = 0; i < p->ops; i++) {
		uint64_t what = dice_below(&p->dice, 20);
		struct attr_change c = {.set = SET_SIZE};
		struct attr at;

		c.size = dice_below(&p->dice, CELLS) * CELL;
		if (what < 2)
			MUST(posix_setattr(p->k->v, p->ino, &c, &at) == 0);
		else if (what < 3)
			MUST(posix_fsync(f, false) == 0);
		else if (what < 11)
			check_cells(f, &p->dice);
		else
			write_cells(p, f);
	}
	posix_close(f);
}

static void cutting_and_writing_one_file(void **state)
{
	struct kit *k = *state;
	struct party p[THREADS] = {0};
	uint64_t ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644);
	uint64_t seed = kit_seed(25), size;
	struct dice dice = {1};
	struct file *f;
	uint8_t *a, *b;

	atomic_store(&cells_written, 0);
	for (unsigned i = 0; i < THREADS; i++) {
		p[i].fn = cut_and_write;
		p[i].ino = ino;
		p[i].ops = 700;
		p[i].dice.state = seed;
	}
	run(k, p, THREADS);
	size = kit_attr(k, ino).size;
	a = malloc(size + 1);
	b = malloc(size + 1);
	f = kit_fopen(k, ino, O_RDONLY);
	for (unsigned i = 0; i < 200; i++)
		check_cells(f, &dice);
	assert_int_equal(posix_read(f, a, size, 0), size);
	posix_close(f);
	kit_sound(k);
	kit_recrash(k);
	f = kit_fopen(k, ino, O_RDONLY);
	assert_int_equal(posix_read(f, b, size + 1, 0), size);
	assert_memory_equal(a, b, size);
	posix_close(f);
	free(a);
	free(b);
	kit_sound(k);
}

/* ---- a file of many fsyncs ---- */

static void sync_own(struct party *p)
{
	uint8_t *buf = malloc(900 * KIB);
	struct create_spec s = {.mode = S_IFREG | 0644};
	char name[16];
	struct file *f;
	struct attr at;

	snprintf(name, sizeof(name), "s%u", p->id);
	MUST(posix_make(p->k->v, &kit_root, ROOT_INO, name, &s, &at) == 0);
	MUST(posix_open(p->k->v, at.ino, O_RDWR, &f) == 0);
	for (unsigned i = 0; i < p->ops; i++) {
		/* Just below what makes a segment of its own. */
		kit_pattern(buf, 900 * KIB, 0, i * 100 + p->id);
		MUST(posix_write(f, buf, 900 * KIB, 0) == 900 * KIB);
		MUST(posix_fsync(f, false) == 0);
	}
	posix_close(f);
	p->ino = at.ino;
	free(buf);
}

static void many_bytes_in_one_record(void **state)
{
	enum {
		SYNCERS = 16
	};
	struct kit *k = *state;
	struct party p[SYNCERS] = {0};

	/* Slow journals, so that all of them meet in the next record. */
	kit_fault_all(k, (struct fault_rule){.kind = FAULT_DELAY,
					     .ops = FAULT_OP_WRITE,
					     .prefix = "journal/",
					     .ms = 30});
	for (unsigned i = 0; i < SYNCERS; i++) {
		p[i].fn = sync_own;
		p[i].ops = 3;
	}
	run(k, p, SYNCERS);
	kit_clear(k);
	kit_recrash(k);
	for (unsigned i = 0; i < SYNCERS; i++)
		kit_expect(k, p[i].ino, 0, 900 * KIB, 2 * 100 + i);
	kit_sound(k);
}

/* ---- a size that is synced while others write ---- */

static void write_all_the_time(struct party *p)
{
	uint8_t buf[5000] = {1};
	struct file *f;

	MUST(posix_open(p->k->v, p->ino, O_RDWR, &f) == 0);
	while (!atomic_load(&p->stop))
		MUST(posix_write(f, buf, sizeof(buf),
				 dice_below(&p->dice, 50000)) == sizeof(buf));
	posix_close(f);
}

static uint64_t durable_size(struct kit *k, uint64_t ino)
{
	struct inode_row row;

	index_lock(k->v->ix);
	OK(inode_get(k->v->ix, ino, &row));
	index_unlock(k->v->ix);
	return row.size;
}

static void grow_and_sync(struct party *p)
{
	struct file *f;

	MUST(posix_open(p->k->v, p->ino, O_RDWR, &f) == 0);
	for (uint64_t i = 1; i <= 150; i++) {
		MUST(kit_set_size(p->k, p->ino, i * 100000) == 0);
		MUST(posix_fsync(f, i % 2) == 0);
		p->well += durable_size(p->k, p->ino) == i * 100000;
		p->ops++;
	}
	posix_close(f);
	atomic_store(&p[1].stop, true);
	atomic_store(&p[2].stop, true);
}

static void a_grown_size_is_synced(void **state)
{
	struct kit *k = *state;
	struct party p[3] = {{.fn = grow_and_sync},
			     {.fn = write_all_the_time},
			     {.fn = write_all_the_time}};
	uint64_t ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644);

	for (unsigned i = 0; i < 3; i++)
		p[i].ino = ino;
	run(k, p, 3);
	printf("%u of %u\n", p[0].well, p[0].ops);
	assert_int_equal(p[0].well, p[0].ops);
	kit_sound(k);
}

/* ---- nobody waits for ages ---- */

/* A few bytes each in many chunks fill the memory, not the count of dirty
 * bytes: write-back must begin all the same. */
static void small_writes_far_apart(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644);
	struct file *f = kit_fopen(k, ino, O_RDWR);
	uint64_t start = clock_mono_ms(), ms;
	uint8_t b[16] = {1};

	for (unsigned i = 0; i < 400; i++)
		assert_int_equal(posix_write(f, b, sizeof(b),
					     (uint64_t)(i + 1) * CHUNK - 20),
				 sizeof(b));
	ms = clock_mono_ms() - start;
	printf("%llu ms\n", (unsigned long long)ms);
	/* The oldest would be written after five seconds in any case. */
	assert_true(ms < 4000);
	posix_close(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_LITTLE(names_in_shared_folders),
		WITH_LITTLE(used_as_soon_as_made),
		WITH_LITTLE(moving_folders_makes_no_circle),
		WITH_LITTLE(files_of_their_own),
		WITH_LITTLE(blocks_of_one_file),
		WITH_LITTLE(lines_appended_by_all),
		WITH_LITTLE(cutting_and_writing_one_file),
		WITH_KIT(many_bytes_in_one_record),
		WITH_LITTLE(a_grown_size_is_synced),
		WITH_LITTLE(small_writes_far_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
