/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volume.c - owns everything: opening, closing, making a pool.
 */
#include "fs/volume.h"

#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "fs/gaps.h"
#include "fs/volume_impl.h"

#define CACHE_DEFAULT	  (256u << 20)
#define COMMIT_DEFAULT_S  5
#define CLOSE_DEADLINE_MS 5000

static const struct cache_ops volume_cache_ops = {
	.fill = fill_chunk,
	.want_writeback = service_want_writeback,
};

int volume_make_cache(struct volume *v, const struct volume_options *o)
{
	/* A sixteenth is left for what the allocator adds. */
	size_t bytes = o->cache_bytes ? o->cache_bytes : CACHE_DEFAULT;
	struct cache_config cc = {
		.budget_bytes = MAX(bytes - bytes / 16, CACHE_BUDGET_MIN),
		.chunk_bytes = v->chunk_bytes,
		.readahead_threads = 2,
		.readahead_chunks = 16,
		.ops = &volume_cache_ops,
		.ctx = v,
	};

	return cache_new(&cc, &v->cache);
}

static void destroy_locks(struct volume *v)
{
	mutex_destroy(&v->ckpt_lock);
	mutex_destroy(&v->rename_lock);
	mutex_destroy(&v->reclaim_lock);
	mutex_destroy(&v->space_lock);
}

static int volume_init(struct volume *v, const struct volume_options *o)
{
	unsigned commit =
		o->commit_seconds ? o->commit_seconds : COMMIT_DEFAULT_S;
	int rc = node_table_init(v);

	if (rc < 0)
		return rc;
	v->local.lock_fd = -1;
	v->commit_ns = commit * 1000000000ULL;
	v->atime = o->atime;
	atomic_store(&v->cuts, true); /* the index may have some */
	mutex_init(&v->ckpt_lock);
	mutex_init(&v->rename_lock);
	mutex_init(&v->reclaim_lock);
	mutex_init(&v->space_lock);
	rc = writeback_init(v);
	if (rc < 0) {
		node_table_release(v);
		destroy_locks(v);
	}
	return rc;
}

/* Frees all there is; nothing is written by it but through index_close. */
static int volume_free(struct volume *v, bool sync, bool drop_journal)
{
	int rc;

	writeback_release(v);
	cache_free(v->cache);
	node_table_release(v);
	checkpoint_free(v->checkpoint);
	commit_free(v->commit); /* may hold bytes of the next */
	jseg_free(v->js);
	journal_free(v->journal, drop_journal);
	rc = index_close(v->ix, sync);
	store_free(v->store);
	destroy_locks(v);
	return rc;
}

/* The last steps, once the index file is closed. */
static void volume_let_go(struct volume *v)
{
	if (v->local.folder)
		local_close(&v->local);
	pool_close(v->pool);
	mem_free(v);
}

int volume_new(const struct volume_options *o, struct volume **out)
{
	struct volume *v = mem_zalloc(sizeof(*v));
	int rc = v ? volume_init(v, o) : -ENOMEM;

	if (rc < 0) {
		mem_free(v);
		return rc;
	}
	*out = v;
	return 0;
}

int volume_open(const struct volume_options *o, struct diag *diag,
		struct volume **out)
{
	struct volume *v;
	int rc = volume_new(o, &v);

	if (rc < 0)
		return rc;
	rc = recovery_open(v, o, diag);
	if (rc == 0 && !v->read_only)
		rc = service_start(v);
	if (rc < 0) {
		volume_crash(v);
		return rc;
	}
	*out = v;
	return 0;
}

void volume_crash(struct volume *v)
{
	service_stop(v);
	(void)volume_free(v, false, false);
	volume_let_go(v);
}

/* All that is only in memory gets into records, or all of it that can. */
static int write_all(struct volume *v)
{
	int rc, attrs;

	gaps_close_all(v, UINT64_MAX);
	rc = writeback_run(v, CACHE_ANY, UINT64_MAX);
	attrs = node_flush_attrs(v);
	return rc < 0 ? rc : attrs;
}

/* What can be made durable is, though others cannot. */
int volume_sync(struct volume *v)
{
	int rc = volume_alive(v), committed;

	if (rc < 0 || v->read_only)
		return rc;
	rc = write_all(v);
	committed = commit_all(v->commit);
	return rc < 0 ? rc : committed;
}

/*
 * Checkpoints until the index is exactly what the last one says: removing
 * dead segments after a checkpoint is itself a change of the index.
 */
static int final_checkpoint(struct volume *v, uint8_t hash[32], uint64_t *seq)
{
	int rc, rounds = 0;

	do {
		rc = service_checkpoint(v, hash, seq);
	} while (rc == 0 && index_pending(v->ix) > 0 && ++rounds < 4);
	return rc;
}

/* What is still only in memory when nothing more can be done. */
static void tell_lost(struct volume *v)
{
	AUTO_FREE uint64_t *ino = NULL;
	size_t n = 0;

	if (cache_list_dirty(v->cache, &ino, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		log_event(LOG_LVL_ERROR, "file_lost", "ino=%llu",
			  (unsigned long long)ino[i]);
}

int volume_close(struct volume *v)
{
	struct checkpoint_stats st;
	uint8_t hash[32];
	uint64_t seq = 0;
	bool clean;
	int lost, journaled, rc, closed;

	service_stop(v);
	if (v->read_only || volume_alive(v) < 0) {
		volume_crash(v);
		return 0;
	}
	lost = write_all(v);
	if (lost < 0)
		tell_lost(v);
	/* What is left of these waits for the next opening. */
	if (writeback_seal_late(v) < 0 || service_run_queue(v) < 0)
		log_event(LOG_LVL_WARN, "queue_stays", "pending=%zu",
			  index_pending(v->ix));
	/* Either will do: a checkpoint holds what a journal without room cannot
	 * take, and needs more of the members than that. */
	journaled = commit_all(v->commit);
	rc = final_checkpoint(v, hash, &seq);
	if (rc < 0 && lost == 0)
		lost = journaled;
	clean = rc == 0 && index_pending(v->ix) == 0;
	checkpoint_get_stats(v->checkpoint, &st);
	closed = volume_free(v, rc == 0, rc == 0 && st.everywhere);
	if (clean && closed == 0) {
		v->local_state.clean = true;
		v->local_state.seq = seq;
		memcpy(v->local_state.manifest_hash, hash, 32);
		closed = local_store(&v->local, v->pool->keys, &v->local_state);
	}
	if (closed < 0)
		log_event(LOG_LVL_WARN, "local_state", "rc=%s",
			  err_name(closed));
	pool_lease_release(v->pool);
	volume_let_go(v);
	return lost;
}

/* ---- state ---- */

bool volume_read_only(const struct volume *v)
{
	return v->read_only;
}

int volume_error(struct volume *v)
{
	int rc = volume_alive(v);

	if (rc < 0 || v->read_only)
		return rc;
	rc = pool_lease_error(v->pool);
	return rc < 0 ? rc : commit_error(v->commit);
}

int volume_writable(struct volume *v)
{
	int rc = volume_alive(v);

	if (rc < 0)
		return rc;
	if (v->read_only)
		return -EROFS;
	if (pool_lease_error(v->pool) == -ERR_FENCED)
		return -ERR_FENCED;
	service_make_room(v);
	/* Others may pass: a later append may go well again. */
	rc = commit_error(v->commit);
	return rc == -ERR_STICKY ? rc : commit_blocked(v->commit);
}

int volume_get_status(struct volume *v, struct volume_status *out)
{
	const struct superblock *sb = &v->pool->sb;
	int rc;

	*out = (struct volume_status){
		.pool = v->pool,
		.read_only = v->read_only,
		.error = volume_error(v),
		.epoch = sb->epochs ? sb->epoch[sb->epochs - 1].number : 0,
		.index_bytes = index_bytes(v->ix),
		.durable_seq = commit_durable(v->commit),
	};
	space_get(v, &out->space);
	cache_get_stats(v->cache, &out->cache);
	store_get_stats(v->store, &out->store);
	if (v->journal)
		journal_get_stats(v->journal, &out->journal);
	checkpoint_get_stats(v->checkpoint, &out->checkpoint);
	pool_lease_get_stats(v->pool, &out->lease);
	index_lock(v->ix);
	segment_get_totals(v->ix, &out->segments);
	rc = inode_count(v->ix, &out->inodes);
	index_unlock(v->ix);
	return rc;
}
