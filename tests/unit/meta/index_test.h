/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_test.h - what the tests of the index share: a folder with a key, an
 * index in it, rows to put in, and a random workload.
 */
#ifndef MENDFS_TESTS_INDEX_TEST_H
#define MENDFS_TESTS_INDEX_TEST_H

#include "unit/base/base_place.h"

#include <dirent.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/rnd.h"
#include "meta/index_impl.h"

#define CHUNK (128u << 10)
#define SLOT  (8u * CHUNK)

struct world {
	struct place *place;
	struct keyring *keys;
	uint8_t salt[KEY_SALT];
	char *path;
	struct index_options o;
	struct index *ix;
	/* a second one, for comparisons; made by open_twin */
	char *twin_path;
	struct index_options twin_o;
	struct index *twin;
};

static inline int make_world(void **state)
{
	struct world *w = mem_zalloc(sizeof(*w));

	if (make_place((void **)&w->place) || keyring_new(&w->keys))
		return -1;
	memset(w->salt, 7, sizeof(w->salt));
	w->path = in(w->place, "index");
	w->o = (struct index_options){
		.path = w->path,
		.pool = {{1, 2, 3}},
		.keys = w->keys,
		.salt = w->salt,
		.chunk_bytes = CHUNK,
	};
	*state = w;
	return 0;
}

static inline int make_index(void **state)
{
	struct world *w;

	if (make_world(state))
		return -1;
	w = *state;
	return index_create(&w->o, &w->ix);
}

static inline int drop_world(void **state)
{
	struct world *w = *state;
	int rc;

	os_fail_at(0, 0, 0);
	mem_fail_at(0, 0);
	rnd_unseed();
	if (w->ix && w->ix->in_op) /* a failed test */
		printf("undone: %d\n", index_end(w->ix, -ECANCELED));
	(void)index_close(w->ix, false);
	(void)index_close(w->twin, false);
	mem_free(w->twin_path);
	keyring_free(w->keys);
	mem_free(w->path);
	rc = drop_place((void **)&w->place);
	mem_free(w);
	return rc;
}

static inline struct index *open_twin(struct world *w)
{
	w->twin_path = in(w->place, "twin");
	w->twin_o = w->o;
	w->twin_o.path = w->twin_path;
	assert_int_equal(index_create(&w->twin_o, &w->twin), 0);
	return w->twin;
}

#define IN_WORLD(test) \
	cmocka_unit_test_setup_teardown(test, make_world, drop_world)
#define WITH_INDEX(test) \
	cmocka_unit_test_setup_teardown(test, make_index, drop_world)

/* ---- operations and records ---- */

static inline void begin(struct index *ix)
{
	assert_int_equal(index_begin(ix), 0);
}

static inline void end(struct index *ix)
{
	assert_int_equal(index_end(ix, 0), 0);
}

#define OK(call) assert_int_equal(call, 0)
/* One statement as an operation of its own. */
#define DO(ix, call)       \
	do {               \
		begin(ix); \
		OK(call);  \
		end(ix);   \
	} while (0)

/* Cuts the next record; the log is the caller's. */
static inline struct bytes cut(struct index *ix)
{
	struct bytes log = {0};

	index_lock(ix);
	OK(index_cut(ix, index_seq(ix) + 1, true, &log));
	index_unlock(ix);
	assert_int_equal(index_pending(ix), 0);
	return log;
}

static inline void cut_away(struct index *ix)
{
	struct bytes log = cut(ix);

	bytes_release(&log);
}

static inline void tell_finding(void *arg, const char *code, const char *text)
{
	(void)arg;
	printf("finding %s: %s\n", code, text);
}

static inline void assert_sound(struct index *ix)
{
	assert_int_equal(index_check(ix, tell_finding, NULL), 0);
}

/* Lets numbers up to `last` count as drawn. */
static inline void draw_to(struct index *ix, enum index_counter which,
			   uint64_t last)
{
	while (index_peek(ix, which) <= last)
		(void)index_next(ix, which);
}

/* ---- rows ---- */

static inline struct inode_row file_row(uint64_t ino)
{
	int64_t now = 1790000000000000000 + (int64_t)ino * 1000;

	return (struct inode_row){
		.ino = ino,
		.mode = S_IFREG | 0644,
		.uid = 1000,
		.gid = 1000,
		.nlink = 1,
		.generation = 1,
		.atime_ns = now,
		.mtime_ns = now,
		.ctime_ns = now,
		.btime_ns = now,
	};
}

static inline struct inode_row folder_row(uint64_t ino)
{
	struct inode_row row = file_row(ino);

	row.mode = S_IFDIR | 0755;
	row.nlink = 2;
	return row;
}

static inline struct dentry_row name_row(uint64_t id, uint64_t parent,
					 const char *name, uint64_t ino,
					 uint8_t type)
{
	struct dentry_row d = {
		.id = id,
		.parent = parent,
		.ino = ino,
		.type = type,
		.name_len = (uint8_t)strlen(name),
	};

	memcpy(d.name, name, strlen(name) + 1);
	return d;
}

static inline struct seg_desc segment_desc(uint64_t id, bool sealed)
{
	struct seg_desc d = {
		.id = {id},
		.kind = SEG_DATA,
		.key_epoch = 1,
		.payload_len = 16u << 20,
		.table_pos = 16u << 20,
	};

	memset(d.salt, (int)id, sizeof(d.salt));
	if (sealed) {
		d.stripe.v = id * 77 + 1;
		d.k = 2;
		d.m = 1;
		d.bound[0] = 8u << 20;
		d.bound[1] = 16u << 20;
		d.home[1] = 1;
		d.home[2] = 2;
	}
	return d;
}

/* Whole chunks from chunk `first` of the data on, stored bytes each. */
static inline struct extent_row chunk_row(uint64_t data, uint64_t first,
					  unsigned n, uint64_t segment,
					  uint32_t pos)
{
	struct extent_row e = {
		.data = data,
		.off = first * CHUNK,
		.len = n * CHUNK,
		.segment = {segment},
		.n = n,
	};

	for (unsigned i = 0; i < n; i++) {
		e.ref[i] = (struct chunk_ref){
			.pos = pos,
			.stored_len = CHUNK + 16,
			.plain_len = CHUNK,
			.codec = i & 1 ? CODEC_ZSTD : CODEC_RAW,
		};
		pos += e.ref[i].stored_len;
	}
	return e;
}

static inline void add_root(struct index *ix)
{
	struct inode_row root = folder_row(ROOT_INO);

	DO(ix, inode_insert(ix, &root));
}

/* ---- comparing two indexes by their regions ---- */

static inline uint32_t regions_of(struct index *ix)
{
	return (uint32_t)((index_bytes(ix) + INDEX_REGION - 1) / INDEX_REGION);
}

static inline void assert_same_regions(struct index *a, struct index *b)
{
	uint8_t *ra = mem_alloc(INDEX_REGION), *rb = mem_alloc(INDEX_REGION);

	assert_int_equal(index_bytes(a), index_bytes(b));
	for (uint32_t r = 0; r < regions_of(a); r++) {
		OK(index_region_read(a, r, ra));
		OK(index_region_read(b, r, rb));
		for (unsigned i = 0; i < INDEX_REGION; i++) {
			if (ra[i] != rb[i])
				fail_msg("region %u page %u byte %u", r,
					 i / INDEX_PAGE, i % INDEX_PAGE);
		}
	}
	mem_free(ra);
	mem_free(rb);
}

/* ---- a random workload ---- */

#define PLAY_FILES 120

/* Made once; remembers what there is, so that operations mostly succeed. */
struct play {
	struct index *ix;
	uint64_t ino[PLAY_FILES];    /* 0: none */
	uint64_t dentry[PLAY_FILES]; /* its name */
	uint64_t data[PLAY_FILES];
	uint64_t segment; /* the newest, open one */
	uint32_t pos;	  /* in it */
	unsigned kept, undone;
};

static inline int play_create(struct play *p, unsigned f, const char *extra)
{
	uint64_t ino = index_next(p->ix, COUNTER_INO);
	struct inode_row row = file_row(ino);
	struct dentry_row d;
	char name[256];
	int rc;

	row.data = index_next(p->ix, COUNTER_DATA);
	snprintf(name, sizeof(name), "file-%u-%" PRIu64 "%s", f, ino, extra);
	d = name_row(index_next(p->ix, COUNTER_DENTRY), ROOT_INO, name, ino,
		     DT_REG);
	rc = inode_insert(p->ix, &row);
	if (!rc)
		rc = dentry_insert(p->ix, &d);
	p->ino[f] = ino;
	p->dentry[f] = d.id;
	p->data[f] = row.data;
	return rc;
}

static inline int play_segment(struct play *p)
{
	struct seg_desc d;
	int rc = 0;

	if (p->segment) {
		d = segment_desc(p->segment, true);
		rc = segment_seal(p->ix, &d);
	}
	p->segment = index_next(p->ix, COUNTER_SEGMENT);
	p->pos = 0;
	d = segment_desc(p->segment, false);
	return rc ? rc : segment_insert(p->ix, &d, SEG_OPEN);
}

static inline int play_write(struct play *p, unsigned f)
{
	unsigned first = (unsigned)rnd_below(30), n;
	struct extent_row e;
	struct inode_row row;
	int rc = 0;

	if (!p->segment || p->pos > 256u << 10)
		rc = play_segment(p);
	if (rc)
		return rc;
	n = 1 + (unsigned)rnd_below(8 - first % 8);
	e = chunk_row(p->data[f], first, n, p->segment, p->pos);
	for (unsigned i = 0; i < n; i++) { /* as if compressed */
		e.ref[i].stored_len = 17 + (uint32_t)rnd_below(30000);
		e.ref[i].pos = p->pos;
		p->pos += e.ref[i].stored_len;
	}
	rc = inode_get(p->ix, p->ino[f], &row);
	if (rc)
		return rc;
	row.size = MAX(row.size, e.off + e.len);
	row.mtime_ns += 1000;
	rc = inode_update(p->ix, &row);
	return rc ? rc : extent_put(p->ix, &e);
}

static inline int play_punch(struct play *p, unsigned f)
{
	uint64_t off = rnd_below(30 * CHUNK), len = 1 + rnd_below(2 * SLOT);
	int rc = extent_cut(p->ix, p->data[f], off, len, 4096);

	return rc < 0 ? rc : 0;
}

static inline int play_remove(struct play *p, unsigned f)
{
	int rc = dentry_delete(p->ix, p->dentry[f]);

	if (!rc)
		rc = inode_delete(p->ix, p->ino[f]);
	if (!rc)
		rc = extent_cut(p->ix, p->data[f], 0, UINT64_MAX, 4096);
	if (rc == 1)
		rc = 0;
	p->ino[f] = 0;
	return rc;
}

static inline int play_xattr(struct play *p, unsigned f)
{
	uint8_t value[6000];
	size_t len = rnd_below(rnd_below(10) ? 40 : sizeof(value));

	rnd_bytes(value, len);
	return xattr_set(p->ix, p->ino[f], rnd_below(2) ? "user.a" : "user.b",
			 value, len);
}

static inline int play_any(struct play *p, unsigned f)
{
	char extra[101];

	if (!p->ino[f]) {
		memset(extra, 'x', sizeof(extra));
		extra[rnd_below(sizeof(extra))] = '\0';
		extra[100] = '\0';
		return play_create(p, f, extra);
	}
	switch (rnd_below(8)) {
	case 0:
		return play_remove(p, f);
	case 1:
		return play_xattr(p, f);
	case 2:
		return play_punch(p, f);
	case 3:
		return queue_add(p->ix, QUEUE_DROP_DATA, p->data[f], 0);
	default:
		return play_write(p, f);
	}
}

/* One operation of one to three steps; one in eight is taken back. */
static inline void play_operation(struct play *p)
{
	struct play before = *p;
	bool keep = rnd_below(8) != 0;
	int rc = 0;

	begin(p->ix);
	/* Every now and then what has changed is written before the cut. */
	if ((p->kept + p->undone) % 7 == 0)
		p->ix->unflushed = FLUSH_STATEMENTS;
	for (uint64_t i = 1 + rnd_below(3); !rc && i > 0; i--)
		rc = play_any(p, (unsigned)rnd_below(PLAY_FILES));
	OK(rc);
	rc = index_end(p->ix, keep ? 0 : -ECANCELED);
	assert_int_equal(rc, keep ? 0 : -ECANCELED);
	if (keep) {
		p->kept++;
	} else {
		*p = before;
		p->undone++;
	}
}

#endif
