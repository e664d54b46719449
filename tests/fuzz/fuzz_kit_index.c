/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/fuzz_kit_index.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/osfile.h"
#include "fuzz/fuzz.h"
#include "meta/rows.h"

#define OK(call)     MUST((call) == 0)
#define PAYLOAD	     (1u << 20)
#define STORED	     1000u
#define FIRST_FILE   4 /* 1 root, 2 and 3 folders, .. 11 files, 12 symlink */
#define FINDINGS_MAX 100000

static uint8_t salt[KEY_SALT];
static struct fuzz_index made;

/* ---- rows ---- */

static struct inode_row inode(uint64_t ino, uint32_t mode)
{
	int64_t now = 1790000000000000000 + (int64_t)ino;

	return (struct inode_row){
		.ino = ino,
		.mode = mode,
		.uid = 1000,
		.gid = 100,
		.nlink = S_ISDIR(mode) ? 2 : 1,
		.generation = 1,
		.atime_ns = now,
		.mtime_ns = now,
		.ctime_ns = now + 5,
		.btime_ns = now - 5,
	};
}

static int name(struct index *ix, uint64_t parent, uint64_t ino, uint8_t type)
{
	struct dentry_row d = {.id = index_next(ix, COUNTER_DENTRY),
			       .parent = parent,
			       .ino = ino,
			       .type = type};

	d.name_len = (uint8_t)snprintf(d.name, sizeof(d.name), "name-%llu",
				       (unsigned long long)ino);
	return dentry_insert(ix, &d);
}

static struct seg_desc segment(uint64_t id, bool sealed)
{
	struct seg_desc d = {
		.id = {id},
		.kind = SEG_DATA,
		.key_epoch = 1,
		.payload_len = PAYLOAD,
		.table_pos = PAYLOAD - 100,
	};

	fuzz_fill(d.salt, sizeof(d.salt), (uint8_t)id);
	if (!sealed)
		return d;
	d.stripe.v = id + 1000;
	d.k = 2;
	d.m = 1;
	d.bound[0] = PAYLOAD / 2;
	d.bound[1] = PAYLOAD;
	d.home[1] = 1;
	d.home[2] = 2;
	return d;
}

/* n whole chunks from chunk `first` of the data on. */
static struct extent_row extent(uint64_t data, uint64_t first, uint32_t n,
				uint64_t seg)
{
	struct extent_row e = {.data = data,
			       .off = first * FUZZ_CHUNK,
			       .len = n * FUZZ_CHUNK,
			       .segment = {seg},
			       .n = n};

	for (uint32_t i = 0; i < n; i++)
		e.ref[i] = (struct chunk_ref){
			.pos = (uint32_t)data * 20000 + i * STORED,
			.stored_len = STORED,
			.plain_len = FUZZ_CHUNK,
			.codec = CODEC_ZSTD,
		};
	return e;
}

/* ---- filling ---- */

static int add_inode(struct index *ix, uint64_t parent, uint32_t mode)
{
	struct inode_row row =
		inode(parent ? index_next(ix, COUNTER_INO) : ROOT_INO, mode);
	int rc;

	if (S_ISREG(mode)) {
		row.data = index_next(ix, COUNTER_DATA);
		row.size = 10 * FUZZ_CHUNK;
	}
	if (S_ISLNK(mode))
		row.size = 6;
	rc = inode_insert(ix, &row);
	if (rc == 0 && parent)
		rc = name(ix, parent, row.ino, (uint8_t)IFTODT(mode));
	if (rc == 0 && S_ISLNK(mode))
		rc = symlink_insert(ix, row.ino, "target", 6);
	return rc;
}

static int fill_names(struct index *ix)
{
	int rc = add_inode(ix, 0, S_IFDIR | 0755);

	for (unsigned i = 2; rc == 0 && i < FIRST_FILE; i++)
		rc = add_inode(ix, i - 1, S_IFDIR | 0700);
	for (unsigned i = FIRST_FILE; rc == 0 && i < FUZZ_INODES; i++)
		rc = add_inode(ix, 1 + i % 3, S_IFREG | 0644);
	if (rc == 0)
		rc = add_inode(ix, 2, S_IFLNK | 0777);
	if (rc == 0)
		rc = xattr_set(ix, 5, "user.a", "value", 5);
	return rc;
}

static int fill_segments(struct index *ix)
{
	int rc = 0;

	for (uint64_t id = 1; rc == 0 && id <= FUZZ_SEGMENTS; id++) {
		struct seg_desc d =
			segment(index_next(ix, COUNTER_SEGMENT), id > 3);
		struct extent_row e = extent(id, id, id == 1 ? 7 : 2, id);

		rc = segment_insert(ix, &d, id > 3 ? SEG_SEALED : SEG_OPEN);
		/* the last one has no rows: it is dead at once */
		if (rc == 0 && id < FUZZ_SEGMENTS)
			rc = extent_put(ix, &e);
	}
	if (rc == 0)
		rc = queue_add(ix, QUEUE_DROP_DATA, FUZZ_DATA, 0);
	return rc;
}

static int in_operation(struct index *ix, int (*what)(struct index *ix))
{
	int rc = index_begin(ix);

	return rc ? rc : index_end(ix, what(ix));
}

static void cut(struct index *ix)
{
	AUTO(bytes_release) struct bytes log = {0};

	index_lock(ix);
	OK(index_cut(ix, index_seq(ix) + 1, true, &log));
	index_unlock(ix);
}

/* ---- the file ---- */

static void keep_pages(void)
{
	struct page_seal *s;

	made.plain = fuzz_copy(made.sealed, (size_t)made.pages * INDEX_PAGE);
	OK(page_seal_new(&made.o, &s));
	for (uint32_t i = 0; i < made.pages; i++)
		OK(page_open(s, i + 1, made.plain + (size_t)i * INDEX_PAGE));
	page_seal_free(s);
}

static void make(void)
{
	struct index *ix;
	size_t len;

	made.o = (struct index_options){
		.path = fuzz_file(0),
		.pool = fuzz_pool_id,
		.keys = fuzz_keys(),
		.salt = salt,
		.chunk_bytes = FUZZ_CHUNK,
	};
	OK(index_create(&made.o, &ix));
	OK(in_operation(ix, fill_names));
	OK(in_operation(ix, fill_segments));
	cut(ix);
	made.seq = index_seq(ix);
	made.pages = (uint32_t)(index_bytes(ix) / INDEX_PAGE);
	OK(index_close(ix, true));
	OK(os_read_file(made.o.path, 64u << 20, &made.sealed, &len));
	MUST(len == (size_t)made.pages * INDEX_PAGE);
	keep_pages();
}

const struct fuzz_index *fuzz_index(void)
{
	if (!made.pages)
		make();
	return &made;
}

void fuzz_index_write(const uint8_t *sealed, size_t len)
{
	fuzz_file_write(0, sealed, len, 0);
}

void fuzz_index_restore(void)
{
	fuzz_index_write(fuzz_index()->sealed, (size_t)made.pages * INDEX_PAGE);
}

struct index *fuzz_index_open(void)
{
	struct index *ix;

	fuzz_index_restore();
	OK(index_open(&made.o, &ix));
	return ix;
}

/* ---- changes ---- */

static int update(struct index *ix)
{
	struct inode_row row;
	int rc = inode_get(ix, 6, &row);

	row.size += 1;
	row.mode ^= 0111;
	return rc ? rc : inode_update(ix, &row);
}

static int make_file(struct index *ix)
{
	return add_inode(ix, 3, S_IFREG | 0600);
}

static int make_symlink(struct index *ix)
{
	return add_inode(ix, 1, S_IFLNK | 0777);
}

static int remove_file(struct index *ix)
{
	struct dentry_row d;
	int rc = dentry_of_inode(ix, 7, 0, &d);

	if (rc == 0)
		rc = dentry_delete(ix, d.id);
	if (rc == 0)
		rc = inode_delete(ix, 7);
	return rc ? rc : queue_add(ix, QUEUE_DROP_DATA, 4, 0);
}

static int retarget(struct index *ix)
{
	struct dentry_row d;
	int rc = dentry_of_inode(ix, 8, 0, &d);

	return rc ? rc : dentry_retarget(ix, d.id, 9, DT_REG);
}

static int set_attribute(struct index *ix)
{
	return xattr_set(ix, 5, "user.b", "another value", 13);
}

static int drop_attribute(struct index *ix)
{
	return xattr_remove(ix, 5, "user.a");
}

static int put_extent(struct index *ix)
{
	struct extent_row e = extent(1, 3, 2, 2);

	return extent_put(ix, &e);
}

static int cut_extent(struct index *ix)
{
	int rc = extent_cut(ix, 1, 5 * FUZZ_CHUNK + 100, 2 * FUZZ_CHUNK, 100);

	return rc < 0 ? rc : 0;
}

static int drop_data(struct index *ix)
{
	int rc = extent_cut(ix, 4, 0, UINT64_MAX, 100);

	return rc < 0 ? rc : 0;
}

static int seal(struct index *ix)
{
	struct seg_desc d = segment(2, true);

	return segment_seal(ix, &d);
}

static int finish_job(struct index *ix)
{
	struct queue_row q;
	int rc = queue_next(ix, 0, &q);

	if (rc == 0)
		rc = queue_remove(ix, q.id);
	return rc ? rc : segment_delete(ix, (struct seg_id){FUZZ_SEGMENTS});
}

int fuzz_index_change(struct index *ix, unsigned n)
{
	static int (*const change[FUZZ_CHANGES])(struct index * ix) = {
		update,	    make_file,	   make_symlink,   remove_file,
		retarget,   set_attribute, drop_attribute, put_extent,
		cut_extent, drop_data,	   seal,	   finish_job,
	};

	return in_operation(ix, change[n % FUZZ_CHANGES]);
}

/* ---- reading everything ---- */

static int see_dentry(void *arg, const struct dentry_row *d,
		      const struct inode_row *i)
{
	unsigned *left = arg;

	MUST(d->name_len > 0 &&
	     strnlen(d->name, sizeof(d->name)) == d->name_len);
	MUST(!memchr(d->name, '/', d->name_len));
	MUST(i->ino == d->ino);
	return --*left ? 0 : -ECANCELED;
}

static void read_inode(struct index *ix, uint64_t ino)
{
	AUTO(bytes_release) struct bytes b = {0};
	unsigned left = 1000;
	struct inode_row row;
	struct dentry_row d;

	(void)!inode_get(ix, ino, &row);
	(void)!symlink_get(ix, ino, &b);
	(void)!xattr_list(ix, ino, &b);
	(void)!xattr_get(ix, ino, "user.a", &b);
	(void)!dentry_of_inode(ix, ino, 0, &d);
	(void)!dentry_get(ix, ino, "name-5", 6, &d);
	(void)!dentry_list(ix, ino, 0, true, see_dentry, &left);
	left = 1000;
	(void)!dentry_list(ix, ino, 0, false, see_dentry, &left);
}

static void read_extents(struct index *ix, uint64_t data)
{
	struct extent_row row[16];
	uint64_t bytes;
	int n = extent_find(ix, data, 0, UINT64_MAX, row, 16);

	for (int i = 0; i < n; i++) {
		MUST(row[i].n >= 1 && row[i].n <= EXTENT_CHUNKS_MAX);
		MUST(row[i].len > 0 && row[i].skip < row[i].ref[0].plain_len);
	}
	(void)!extent_count(ix, data, 1000);
	(void)!extent_bytes(ix, data, &bytes);
}

static void read_segments(struct index *ix, enum seg_state state)
{
	struct segment_row row[8];
	struct segment_totals t;
	int n = segment_list(ix, state, (struct seg_id){0}, row, 8);

	for (int i = 0; i < n; i++)
		MUST(row[i].state == state &&
		     row[i].desc.payload_len <= SEG_PAYLOAD_MAX);
	segment_get_totals(ix, &t);
}

static void read_jobs(struct index *ix)
{
	struct queue_row job = {0};
	unsigned left = 1000;

	while (left-- && queue_next(ix, job.id, &job) == 0)
		;
}

void fuzz_index_read_all(struct index *ix)
{
	index_lock(ix);
	for (uint64_t i = 0; i <= FUZZ_INODES + 2; i++)
		read_inode(ix, i);
	for (uint64_t i = 0; i <= FUZZ_DATA + 2; i++)
		read_extents(ix, i);
	for (unsigned s = SEG_OPEN; s <= SEG_DEAD; s++)
		read_segments(ix, (enum seg_state)s);
	read_jobs(ix);
	index_unlock(ix);
}

static void count_finding(void *arg, const char *code, const char *text)
{
	unsigned *n = arg;

	MUST(code[0] && text[0]);
	(*n)++;
}

void fuzz_index_check(struct index *ix)
{
	unsigned findings = 0;
	int rc = index_check(ix, count_finding, &findings);

	MUST(rc < 0 || ((unsigned)rc == findings && rc < FINDINGS_MAX));
}
