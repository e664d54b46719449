/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint_kit.h - a pool over "fault:mem:" places that is made, mounted,
 * used, crashed and recovered the way fs/make.c and fs/recovery.c do it, for
 * the tests of checkpoints.
 *
 * The workload makes files that say which record they belong to, so that a
 * recovered index can be judged.
 */
#ifndef MENDFS_TESTS_CHECKPOINT_KIT_H
#define MENDFS_TESTS_CHECKPOINT_KIT_H

#include "unit/base/base_place.h"

#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/rnd.h"
#include "base/workq.h"
#include "backend/compress.h"
#include "backend/drv_fault.h"
#include "backend/store.h"
#include "meta/checkpoint_impl.h"
#include "meta/index_page.h"
#include "meta/rows.h"

#define OK(call)    assert_int_equal(call, 0)
#define KIT_MEMBERS 6
#define KIT_CHUNK   (64u << 10)
#define KIT_SEGMENT (1u << 20)
#define KIT_SMALL   4096 /* bytes of a small file */

static const char kit_pass[] = "correct horse";

/* A real clock that tests set; the other one goes on. */
static int64_t kit_now;

static inline int64_t kit_real(void *arg)
{
	(void)arg;
	return kit_now;
}

static inline uint64_t kit_mono(void *arg)
{
	struct timespec ts;

	(void)arg;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline void kit_set_time(int64_t now_ns)
{
	static const struct clock_source source = {kit_mono, kit_real, NULL};

	kit_now = now_ns;
	clock_replace(&source);
}

struct kit {
	struct place *place; /* of local files */
	unsigned n, m;
	char loc[KIT_MEMBERS][64]; /* "fault:mem:..." */
	const char *at[KIT_MEMBERS];
	char *index_path;
	uint8_t salt[KEY_SALT];
	uint64_t mark;		/* highest record known to be durable */
	bool no_journal;	/* mounts have none */
	size_t cache_bytes;	/* of SQLite; 0: the usual */
	uint32_t segment_bytes; /* KIT_SEGMENT */

	/* while mounted */
	struct pool *pool;
	struct store *store;
	struct index *ix;
	struct jseg *js;
	struct journal *journal;
	struct commit *commit;
	struct checkpoint *ck;
	uint8_t hash[32]; /* of the manifest found by the last mount */
	uint32_t fetched; /* regions, by the last mount */
	struct journal_scan_result scan;
};

static inline void kit_quiet(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	if (getenv("MENDFS_TEST_LOG"))
		printf("%d %s\n", level, line);
}

static inline struct kit *kit_new(unsigned n, unsigned m)
{
	static const struct kdf_cost cheap = {
		.time = 1, .mem_kib = KDF_MEM_KIB_MIN, .lanes = 1};
	static unsigned made;
	struct kit *k = calloc(1, sizeof(*k));

	assert_non_null(k);
	OK(make_place((void **)&k->place));
	kdf_override(&cheap);
	log_use_sink(kit_quiet, NULL);
	k->n = n;
	k->m = m;
	k->segment_bytes = KIT_SEGMENT;
	made++;
	for (unsigned i = 0; i < n; i++) {
		snprintf(k->loc[i], sizeof(k->loc[i]), "fault:mem:ck%u-%u",
			 made, i);
		k->at[i] = k->loc[i];
	}
	k->index_path = in(k->place, "index");
	memset(k->salt, 7, sizeof(k->salt));
	return k;
}

static inline struct index_options kit_index(const struct kit *k,
					     const char *path)
{
	return (struct index_options){
		.path = path,
		.pool = k->pool->id,
		.keys = k->pool->keys,
		.salt = k->salt,
		.chunk_bytes = KIT_CHUNK,
		.cache_bytes = k->cache_bytes,
	};
}

/* Drops everything, as a crash does; nothing is synced or removed. */
static inline void kit_crash(struct kit *k)
{
	checkpoint_free(k->ck);
	commit_free(k->commit); /* may hold a carry of js */
	jseg_free(k->js);
	journal_free(k->journal, false);
	(void)!index_close(k->ix, false);
	store_free(k->store);
	pool_close(k->pool);
	k->pool = NULL;
	k->store = NULL;
	k->ix = NULL;
	k->js = NULL;
	k->journal = NULL;
	k->commit = NULL;
	k->ck = NULL;
}

static inline void kit_clear_faults(struct kit *k)
{
	for (unsigned i = 0; i < k->n; i++)
		fault_clear(k->loc[i]);
}

static inline void kit_free(struct kit *k)
{
	mem_fail_at(0, 0);
	os_fail_at(0, 0, 0);
	kit_clear_faults(k);
	kit_crash(k);
	for (unsigned i = 0; i < k->n; i++)
		mem_driver_forget(k->loc[i] + strlen("fault:mem:"));
	mem_free(k->index_path);
	OK(drop_place((void **)&k->place));
	kdf_override(NULL);
	log_use_sink(NULL, NULL);
	clock_replace(NULL);
	free(k);
}

/* ---- engine ---- */

static inline int kit_engine(struct kit *k)
{
	struct jseg_options jo = {
		.ix = k->ix,
		.store = k->store,
		.pool = k->pool,
		.cap = k->pool->geo.segment_bytes,
	};

	return jseg_new(&jo, &k->js);
}

static inline int kit_checkpointer(struct kit *k, const struct manifest *m)
{
	struct checkpoint_options co = {
		.pool = k->pool,
		.store = k->store,
		.ix = k->ix,
		.js = k->js,
		.manifest = m,
	};
	int rc = commit_new(k->ix, k->js, NULL, &k->commit);

	co.commit = k->commit;
	return rc < 0 ? rc : checkpoint_new(&co, &k->ck);
}

static inline int kit_root(struct kit *k)
{
	struct inode_row root = {.ino = ROOT_INO,
				 .mode = S_IFDIR | 0755,
				 .nlink = 2,
				 .generation = 1};
	int rc = index_begin(k->ix);

	return rc < 0 ? rc : index_end(k->ix, inode_insert(k->ix, &root));
}

/* What mkfs does up to the first checkpoint, which is the caller's. */
static inline void kit_make_most(struct kit *k)
{
	struct pool_create_options po = {
		.location = k->at,
		.n = k->n,
		.geo = {.k = (uint8_t)(k->n - k->m),
			.m = (uint8_t)k->m,
			.chunk_bytes = KIT_CHUNK,
			.segment_bytes = k->segment_bytes,
			.cipher = CIPHER_AES_256_GCM,
			.level = COMPRESS_LEVEL_DEF},
		.label = "kit",
		.pass = kit_pass,
		.pass_len = strlen(kit_pass),
	};
	struct diag d = DIAG_INIT;
	struct index_options io;

	if (pool_create(&po, &d, &k->pool))
		fail_msg("create: %s", d.text);
	OK(store_new(k->pool, &k->store));
	OK(pool_begin_epoch(k->pool));
	io = kit_index(k, k->index_path);
	OK(index_create(&io, &k->ix));
	OK(kit_root(k));
	OK(kit_engine(k));
	OK(kit_checkpointer(k, NULL));
}

static inline void kit_run(struct kit *k)
{
	OK(checkpoint_run(k->ck, NULL, &k->mark));
}

static inline void kit_make(struct kit *k)
{
	kit_make_most(k);
	kit_run(k);
	kit_crash(k);
}

/* ---- mounting ---- */

static inline int kit_find_manifest(struct kit *k, struct manifest *m,
				    uint8_t hash[32])
{
	struct superblock *sb = mem_alloc(sizeof(*sb));
	int rc = -ENOENT;

	for (unsigned i = 0; sb; i++) {
		rc = pool_candidate(k->pool, i, sb);
		if (rc < 0)
			break;
		rc = manifest_load(k->store, &sb->manifest, m, hash);
		if (rc < 0)
			continue;
		rc = pool_adopt(k->pool, sb);
		break;
	}
	mem_free(sb);
	return rc;
}

struct kit_replay {
	struct kit *k;
	uint64_t seq; /* the manifest's */
};

static inline int kit_replay_one(void *arg, uint64_t seq, const void *payload,
				 size_t len)
{
	struct kit_replay *r = arg;
	struct reader rd = reader_of(payload, len);
	uint64_t log_len = reader_varint(&rd);
	const uint8_t *log = reader_take(&rd, log_len);
	int rc = 0;

	if (rd.bad)
		return -ERR_TRUNCATED;
	if (seq > r->seq)
		rc = index_replay(r->k->ix, seq, log, log_len);
	return rc < 0 ? rc : jseg_restore(r->k->js, &rd);
}

static inline int kit_replay_all(struct kit *k, const struct manifest *m)
{
	struct kit_replay r = {k, m->seq};

	return journal_scan(k->pool, m->epoch_id,
			    MIN(m->bytes_from, m->seq + 1), kit_replay_one, &r,
			    &k->scan);
}

static inline int kit_start_journal(struct kit *k)
{
	struct journal_options jo = {.pool = k->pool};
	int rc;

	if (k->no_journal)
		return 0;
	index_lock(k->ix);
	jo.next_seq = index_seq(k->ix) + 1;
	index_unlock(k->ix);
	rc = journal_new(&jo, &k->journal);
	if (rc < 0)
		return rc;
	commit_set_journal(k->commit, k->journal);
	checkpoint_set_journal(k->ck, k->journal);
	return journal_remove_old(k->pool);
}

/* The pool, its newest manifest, the index brought to it and opened. */
static inline int kit_restore(struct kit *k, struct manifest *m, bool clean,
			      bool read_only)
{
	struct pool_open_options po = {
		.location = k->at,
		.n = k->n,
		.pass = kit_pass,
		.pass_len = strlen(kit_pass),
		.read_only = read_only,
	};
	struct diag d = DIAG_INIT;
	struct index_options io;
	int rc = pool_open(&po, &d, &k->pool);

	if (rc == 0)
		rc = store_new(k->pool, &k->store);
	if (rc == 0)
		rc = kit_find_manifest(k, m, k->hash);
	if (rc == 0 && !read_only)
		rc = pool_begin_epoch(k->pool);
	if (rc < 0)
		return rc;
	io = kit_index(k, k->index_path);
	rc = checkpoint_restore_index(k->store, m, &io, clean, &k->fetched);
	return rc < 0 ? rc : index_open(&io, &k->ix);
}

/*
 * All of a recovery. After an error kit_crash, and it may be tried again.
 */
static inline int kit_mount_try(struct kit *k, bool clean)
{
	struct manifest m = {0};
	int rc = kit_restore(k, &m, clean, false);

	if (rc == 0)
		rc = kit_engine(k);
	if (rc == 0)
		rc = kit_replay_all(k, &m);
	if (rc == 0)
		rc = kit_checkpointer(k, &m);
	if (rc == 0)
		rc = jseg_seal_restored(k->js);
	if (rc == 0)
		rc = checkpoint_run(k->ck, NULL, NULL);
	if (rc == 0)
		rc = kit_start_journal(k);
	manifest_release(&m);
	return rc;
}

static inline void kit_mount(struct kit *k)
{
	OK(kit_mount_try(k, false));
}

static inline void kit_lose_local(struct kit *k)
{
	(void)unlink(k->index_path);
}

/* ---- the workload ---- */

static inline uint64_t kit_seq(struct kit *k)
{
	uint64_t seq;

	index_lock(k->ix);
	seq = index_seq(k->ix);
	index_unlock(k->ix);
	return seq;
}

/* A name for a file, long so that the index grows. */
static inline void kit_name(struct dentry_row *d, uint64_t ino)
{
	d->name_len =
		(uint8_t)snprintf(d->name, sizeof(d->name), "%0200llu-%016llx",
				  (unsigned long long)ino,
				  (unsigned long long)rnd_u64());
}

/* [op] A file; its mtime says which record it belongs to. */
static inline int kit_insert_file(struct kit *k, uint64_t ino, uint64_t data)
{
	struct inode_row i = {.ino = ino,
			      .mode = S_IFREG | 0644,
			      .nlink = 1,
			      .size = data ? KIT_SMALL : 0,
			      .data = data,
			      .mtime_ns = (int64_t)commit_open_seq(k->commit),
			      .generation = 1};
	struct dentry_row d = {.id = index_next(k->ix, COUNTER_DENTRY),
			       .parent = ROOT_INO,
			       .ino = ino,
			       .type = 8};
	int rc = inode_insert(k->ix, &i);

	kit_name(&d, ino);
	return rc < 0 ? rc : dentry_insert(k->ix, &d);
}

/* One operation with one file; its number, or an error. */
static inline int64_t kit_add_file(struct kit *k)
{
	uint64_t ino = index_next(k->ix, COUNTER_INO);
	int rc = index_begin(k->ix);

	if (rc == 0)
		rc = index_end(k->ix, kit_insert_file(k, ino, 0));
	return rc < 0 ? rc : (int64_t)ino;
}

static inline void kit_add_files(struct kit *k, unsigned n)
{
	while (n--)
		assert_true(kit_add_file(k) > 0);
}

#define KIT_BLOB 3000 /* bytes of an attribute: more than half of a page */

/* A file's attribute gets a new value: its page changes, and few others. */
static inline int kit_set_blob(struct kit *k, uint64_t ino)
{
	uint8_t value[KIT_BLOB];
	int rc = index_begin(k->ix);

	rnd_bytes(value, sizeof(value));
	if (rc < 0)
		return rc;
	return index_end(k->ix, xattr_set(k->ix, ino, "user.blob", value,
					  sizeof(value)));
}

/* Inode numbers lo..hi get one. */
static inline void kit_set_blobs(struct kit *k, uint64_t lo, uint64_t hi)
{
	for (uint64_t ino = lo; ino < hi; ino++) {
		OK(kit_set_blob(k, ino));
		commit_maybe(k->commit);
	}
}

/* Plain content of a data id. */
static inline void kit_fill(uint64_t data, uint8_t *out, uint32_t len)
{
	uint64_t x = data * 0x9e3779b97f4a7c15u + 1;

	for (uint32_t i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		out[i] = (uint8_t)x;
	}
}

/* A file with one chunk in a journaled segment; its data id, or an error. */
static inline int64_t kit_add_small(struct kit *k)
{
	uint64_t ino = index_next(k->ix, COUNTER_INO);
	uint64_t data = index_next(k->ix, COUNTER_DATA);
	uint8_t plain[KIT_SMALL];
	struct extent_row e = {.data = data, .len = sizeof(plain), .n = 1};
	int rc;

	kit_fill(data, plain, sizeof(plain));
	rc = jseg_add(k->js, data, 0, plain, sizeof(plain), &e.segment,
		      &e.ref[0]);
	if (rc == 0)
		rc = index_begin(k->ix);
	if (rc < 0)
		return rc;
	rc = kit_insert_file(k, ino, data);
	if (rc == 0)
		rc = extent_put(k->ix, &e);
	rc = index_end(k->ix, rc);
	return rc < 0 ? rc : (int64_t)data;
}

static inline int kit_drop_data(struct kit *k, uint64_t data)
{
	int rc = index_begin(k->ix);

	if (rc < 0)
		return rc;
	rc = extent_cut(k->ix, data, 0, UINT64_MAX, 100);
	return index_end(k->ix, rc < 0 ? rc : 0);
}

/* Reads a small file's chunk back, from memory or from its stripe. */
static inline int kit_read_small(struct kit *k, uint64_t data)
{
	uint8_t plain[KIT_SMALL], want[KIT_SMALL];
	struct extent_row e;
	struct segment_row s = {0};
	int rc;

	index_lock(k->ix);
	rc = extent_find(k->ix, data, 0, sizeof(plain), &e, 1);
	if (rc == 1)
		rc = segment_get(k->ix, e.segment, &s);
	else
		rc = rc < 0 ? rc : -ENOENT;
	index_unlock(k->ix);
	if (rc == 0 && s.state == SEG_OPEN)
		rc = jseg_read(k->js, e.segment, data, 0, &e.ref[0], plain);
	else if (rc == 0)
		rc = store_read_chunk(k->store, &s.desc, data, 0, &e.ref[0],
				      plain);
	if (rc < 0)
		return rc;
	kit_fill(data, want, sizeof(want));
	return memcmp(plain, want, sizeof(want)) ? -ERR_CORRUPT : 0;
}

static inline void kit_finding(void *arg, const char *code, const char *text)
{
	(void)arg;
	printf("finding %s: %s\n", code, text);
}

static inline void kit_check(struct kit *k)
{
	OK(index_check(k->ix, kit_finding, NULL));
}

/* ---- looking at the pool ---- */

struct kit_usage {
	unsigned index_objects, data_objects;
	uint64_t index_bytes; /* raw */
};

static inline int kit_count(void *arg, const char *name, uint64_t size)
{
	struct kit_usage *u = arg;

	if (size == UINT64_MAX)
		return 0;
	if (name[0] == 'i') {
		u->index_objects++;
		u->index_bytes += size;
	} else {
		u->data_objects++;
	}
	return 0;
}

static inline struct kit_usage kit_usage(const struct kit *k)
{
	struct kit_usage u = {0};

	for (unsigned i = 0; i < k->n; i++) {
		struct driver *d;

		OK(driver_attach(k->loc[i] + strlen("fault:"), &d));
		for (unsigned x = 0; x < 256; x++) {
			char folder[16];

			snprintf(folder, sizeof(folder), "index/%02x", x);
			OK(driver_list(d, folder, kit_count, &u));
			snprintf(folder, sizeof(folder), "data/%02x", x);
			OK(driver_list(d, folder, kit_count, &u));
		}
		driver_detach(d);
	}
	return u;
}

static inline void kit_fault(struct kit *k, unsigned slot,
			     struct fault_rule rule)
{
	if (!rule.prefix)
		rule.prefix = "";
	if (!rule.ops)
		rule.ops = FAULT_OP_ALL;
	OK(fault_add(k->loc[slot], &rule));
}

static inline void kit_fault_all(struct kit *k, struct fault_rule rule)
{
	for (unsigned i = 0; i < k->n; i++)
		kit_fault(k, i, rule);
}

/* The content of all regions of the manifest in force; free(). */
static inline uint8_t *kit_pool_regions(struct kit *k, const struct manifest *m)
{
	uint8_t *all = malloc((size_t)m->regions * INDEX_REGION);

	assert_non_null(all);
	for (uint32_t r = 0; r < m->regions; r++)
		OK(manifest_read_region(k->store, m, r,
					all + (size_t)r * INDEX_REGION));
	return all;
}

/* The same of the live index; the number of regions must be this. */
static inline uint8_t *kit_live_regions(struct kit *k, uint32_t regions)
{
	uint8_t *all = malloc((size_t)regions * INDEX_REGION);

	assert_non_null(all);
	index_lock(k->ix);
	assert_int_equal(REGIONS_FOR(index_bytes(k->ix) / INDEX_PAGE), regions);
	for (uint32_t r = 0; r < regions; r++)
		OK(index_region_read(k->ix, r, all + (size_t)r * INDEX_REGION));
	index_unlock(k->ix);
	return all;
}

/* Are pool and live index the same, byte for byte? */
static inline void kit_compare(struct kit *k)
{
	const struct manifest *m = &k->ck->base;
	uint8_t *a = kit_pool_regions(k, m);
	uint8_t *b = kit_live_regions(k, m->regions);

	assert_memory_equal(a, b, (size_t)m->regions * INDEX_REGION);
	free(a);
	free(b);
}

#endif
