/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commit_kit.h - an engine without a file system on top: pool, store, index,
 * journaled segments, journal and commit, over "fault:mem:" folders. It can
 * be crashed and brought back from its journal alone.
 */
#ifndef MENDFS_TESTS_COMMIT_KIT_H
#define MENDFS_TESTS_COMMIT_KIT_H

#include "unit/base/base_place.h"

#include <sys/stat.h>

#include "base/log.h"
#include "base/rnd.h"
#include "base/sync.h"
#include "base/workq.h"
#include "backend/drv_fault.h"
#include "backend/pool.h"
#include "backend/store.h"
#include "meta/commit.h"
#include "meta/journal.h"
#include "meta/rows.h"

#define ENGINE_FOLDERS 4
#define ENGINE_CHUNK   (16u << 10)
#define ENGINE_CAP     (256u << 10)
#define ENGINE_LARGE   (16u << 20)

struct engine {
	struct place *place;
	char loc[ENGINE_FOLDERS][64];
	struct pool *pool;
	struct store *store;
	uint8_t salt[KEY_SALT];
	char *path;
	struct index_options io;
	struct index *ix;
	struct jseg *js;
	uint32_t cap; /* of journaled segments */
	struct journal *journal;
	struct commit *commit;
};

#define OK(call) assert_int_equal(call, 0)

static inline void engine_quiet(void *arg, enum log_level level,
				const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

static inline void engine_pool(struct engine *e)
{
	static unsigned made;
	static const struct kdf_cost cheap = {
		.time = 1, .mem_kib = KDF_MEM_KIB_MIN, .lanes = 1};
	const char *at[ENGINE_FOLDERS];
	struct diag d = DIAG_INIT;
	struct pool_create_options o = {
		.location = at,
		.n = ENGINE_FOLDERS,
		.geo = {.k = 2,
			.m = 2,
			.chunk_bytes = ENGINE_CHUNK,
			.segment_bytes = 1u << 20,
			.cipher = CIPHER_AES_256_GCM,
			.level = 1},
		.label = "engine",
		.pass = "secret",
		.pass_len = 6,
	};

	made++;
	for (unsigned i = 0; i < ENGINE_FOLDERS; i++) {
		snprintf(e->loc[i], sizeof(e->loc[i]), "fault:mem:engine%u-%u",
			 made, i);
		at[i] = e->loc[i];
	}
	kdf_override(&cheap);
	if (pool_create(&o, &d, &e->pool))
		fail_msg("pool_create: %s", d.text);
	kdf_override(NULL);
	OK(pool_begin_epoch(e->pool));
	OK(store_new(e->pool, &e->store));
}

static inline void engine_jseg(struct engine *e)
{
	struct jseg_options o = {
		.ix = e->ix, .store = e->store, .pool = e->pool, .cap = e->cap};

	OK(jseg_new(&o, &e->js));
}

static inline void engine_index(struct engine *e)
{
	OK(index_create(&e->io, &e->ix));
}

static inline void engine_journal(struct engine *e)
{
	struct journal_options jo = {
		.pool = e->pool, .file_min = 64u << 10, .file_max = 4u << 20};

	index_lock(e->ix);
	jo.next_seq = index_seq(e->ix) + 1;
	index_unlock(e->ix);
	OK(journal_new(&jo, &e->journal));
	OK(commit_new(e->ix, e->js, e->journal, &e->commit));
}

static inline int engine_start_cap(void **state, uint32_t cap)
{
	struct engine *e = mem_zalloc(sizeof(*e));

	e->cap = cap;
	if (make_place((void **)&e->place))
		return -1;
	log_use_sink(engine_quiet, NULL);
	engine_pool(e);
	memset(e->salt, 9, sizeof(e->salt));
	e->path = in(e->place, "index");
	e->io = (struct index_options){.path = e->path,
				       .pool = e->pool->id,
				       .keys = e->pool->keys,
				       .salt = e->salt,
				       .chunk_bytes = ENGINE_CHUNK};
	engine_index(e);
	engine_jseg(e);
	engine_journal(e);
	*state = e;
	return 0;
}

static inline int engine_start(void **state)
{
	return engine_start_cap(state, ENGINE_CAP);
}

static inline int engine_start_large(void **state)
{
	return engine_start_cap(state, ENGINE_LARGE);
}

static inline void engine_clear(struct engine *e)
{
	for (unsigned i = 0; i < ENGINE_FOLDERS; i++)
		fault_clear(e->loc[i]);
}

/* All that is volatile is gone. */
static inline void engine_crash(struct engine *e)
{
	commit_free(steal(&e->commit));
	jseg_free(steal(&e->js));
	journal_free(steal(&e->journal), false);
	(void)index_close(steal(&e->ix), false);
}

static inline int engine_stop(void **state)
{
	struct engine *e = *state;
	int rc;

	mem_fail_at(0, 0);
	os_fail_at(0, 0, 0);
	engine_clear(e);
	engine_crash(e);
	store_free(e->store);
	pool_close(e->pool);
	for (unsigned i = 0; i < ENGINE_FOLDERS; i++)
		mem_driver_forget(e->loc[i] + strlen("fault:mem:"));
	mem_free(e->path);
	rc = drop_place((void **)&e->place);
	mem_free(e);
	log_use_sink(NULL, NULL);
	rnd_unseed();
	return rc;
}

#define WITH_ENGINE(test) \
	cmocka_unit_test_setup_teardown(test, engine_start, engine_stop)
#define WITH_LARGE(test) \
	cmocka_unit_test_setup_teardown(test, engine_start_large, engine_stop)

static inline int engine_replay(void *arg, uint64_t seq, const void *payload,
				size_t len)
{
	struct engine *e = arg;
	struct reader r = reader_of(payload, len);
	uint64_t log_len = reader_varint(&r);
	const uint8_t *log = reader_take(&r, log_len);

	assert_false(r.bad);
	OK(index_replay(e->ix, seq, log, log_len));
	OK(jseg_restore(e->js, &r));
	assert_int_equal(reader_left(&r), 0);
	return 0;
}

/* A fresh index from the journal; the restored segments are not sealed. */
static inline struct journal_scan_result engine_recover(struct engine *e)
{
	const struct superblock *sb = &e->pool->sb;
	struct journal_scan_result r;

	engine_index(e);
	engine_jseg(e);
	OK(journal_scan(e->pool, sb->epoch[sb->epochs - 1].id, 1, engine_replay,
			e, &r));
	return r;
}

/* ---- faults ---- */

static inline void engine_fault_all(struct engine *e, struct fault_rule rule)
{
	for (unsigned i = 0; i < ENGINE_FOLDERS; i++)
		OK(fault_add(e->loc[i], &rule));
}

/* No append goes well. Full folders are asked again after a second; those
 * with I/O errors are given up. */
static inline void engine_fail_journal(struct engine *e)
{
	engine_fault_all(e, (struct fault_rule){.kind = FAULT_ERROR,
						.ops = FAULT_OP_WRITE |
						       FAULT_OP_CREATE,
						.prefix = "journal/",
						.err = ENOSPC});
}

/* Waits until appends go well again. */
static inline void engine_heal(struct engine *e)
{
	uint64_t deadline = patience_deadline();

	engine_clear(e);
	while (commit_all(e->commit) < 0) {
		assert_true(clock_mono_ns() < deadline);
		usleep(20000);
	}
}

/* ---- operations ---- */

/* One file inode; the record that will make it durable. */
static inline uint64_t engine_touch(struct engine *e, uint64_t *ino_out)
{
	struct inode_row row = {
		.mode = S_IFREG | 0644, .nlink = 1, .generation = 1};
	uint64_t seq;

	row.ino = index_next(e->ix, COUNTER_INO);
	OK(index_begin(e->ix));
	seq = commit_open_seq(e->commit);
	OK(index_end(e->ix, inode_insert(e->ix, &row)));
	if (ino_out)
		*ino_out = row.ino;
	return seq;
}

static inline bool engine_has(struct engine *e, uint64_t ino)
{
	struct inode_row row;
	int rc;

	index_lock(e->ix);
	rc = inode_get(e->ix, ino, &row);
	index_unlock(e->ix);
	assert_true(rc == 0 || rc == -ENOENT);
	return rc == 0;
}

/* Bytes that depend on who owns them; every other owner's compress well. */
static inline void engine_bytes(uint8_t *p, uint32_t len, uint64_t data,
				uint64_t off)
{
	for (uint32_t i = 0; i < len; i++) {
		uint64_t x = (off + i) * 0x9e3779b97f4a7c15ULL + data;

		x ^= x >> 29;
		p[i] = data % 2 ? (uint8_t)(x * 0xbf58476d1ce4e5b9ULL >> 56)
				: (uint8_t)data;
	}
}

/* One sealed chunk that an extent names. */
struct sealed {
	uint64_t data, off;
	struct seg_id segment;
	struct chunk_ref ref;
};

static inline int engine_try_add(struct engine *e, uint64_t data, uint64_t off,
				 uint32_t len, struct sealed *out)
{
	uint8_t *p = malloc(len);
	int rc;

	engine_bytes(p, len, data, off);
	*out = (struct sealed){.data = data, .off = off};
	rc = jseg_add(e->js, data, off, p, len, &out->segment, &out->ref);
	free(p);
	return rc;
}

/* Adds a chunk and enters its extent; returns the record. */
static inline uint64_t engine_write(struct engine *e, uint64_t data,
				    uint64_t off, uint32_t len,
				    struct sealed *out)
{
	struct extent_row row = {.data = data, .off = off, .len = len, .n = 1};
	uint64_t seq;

	OK(engine_try_add(e, data, off, len, out));
	row.segment = out->segment;
	row.ref[0] = out->ref;
	OK(index_begin(e->ix));
	seq = commit_open_seq(e->commit);
	OK(index_end(e->ix, extent_put(e->ix, &row)));
	return seq;
}

/* Reads it from wherever the row says. */
static inline int engine_read(struct engine *e, const struct sealed *s,
			      uint8_t *plain)
{
	struct segment_row row;
	int rc;

	index_lock(e->ix);
	rc = segment_get(e->ix, s->segment, &row);
	index_unlock(e->ix);
	if (rc < 0)
		return rc;
	if (row.desc.stripe.v == 0)
		return jseg_read(e->js, s->segment, s->data, s->off, &s->ref,
				 plain);
	return store_read_chunk(e->store, &row.desc, s->data, s->off, &s->ref,
				plain);
}

static inline void engine_expect(struct engine *e, const struct sealed *s)
{
	uint8_t *want = malloc(s->ref.plain_len);
	uint8_t *got = malloc(s->ref.plain_len);

	engine_bytes(want, s->ref.plain_len, s->data, s->off);
	OK(engine_read(e, s, got));
	assert_memory_equal(want, got, s->ref.plain_len);
	free(want);
	free(got);
}

#endif
