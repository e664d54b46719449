/* SPDX-License-Identifier: Apache-2.0 */
/*
 * make.c - a new pool: an index with one directory, checkpointed.
 *
 * It goes the way of every checkpoint, so that what mkfs leaves behind is what
 * an unmount leaves behind. Until the superblocks are published the folders
 * hold no pool.
 */
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rnd.h"
#include "backend/pool_lease.h"
#include "fs/volume_impl.h"

static int insert_root(struct index *ix, uint32_t uid, uint32_t gid)
{
	int64_t now = clock_real_ns();
	struct inode_row root = {
		.ino = ROOT_INO,
		.mode = S_IFDIR | 0755,
		.uid = uid,
		.gid = gid,
		.nlink = 2,
		.generation = 1,
		.atime_ns = now,
		.mtime_ns = now,
		.ctime_ns = now,
		.btime_ns = now,
	};
	int rc = index_begin(ix);

	return rc < 0 ? rc : index_end(ix, inode_insert(ix, &root));
}

static int first_checkpoint(struct volume *v)
{
	struct jseg_options js = {
		.ix = v->ix,
		.store = v->store,
		.pool = v->pool,
		.cap = v->pool->geo.segment_bytes,
	};
	struct checkpoint_options co = {
		.pool = v->pool, .store = v->store, .ix = v->ix};
	int rc = jseg_new(&js, &v->js);

	if (rc == 0)
		rc = commit_new(v->ix, v->js, NULL, &v->commit);
	co.js = v->js;
	co.commit = v->commit;
	if (rc == 0)
		rc = checkpoint_new(&co, &v->checkpoint);
	return rc < 0 ? rc : checkpoint_run(v->checkpoint, NULL, NULL);
}

static int make_index(struct volume *v, uint32_t uid, uint32_t gid,
		      struct diag *diag)
{
	AUTO_FREE char *dir = local_default_folder();
	struct index_options io = {
		.pool = v->pool->id,
		.keys = v->pool->keys,
		.salt = v->local_state.salt,
		.chunk_bytes = v->pool->geo.chunk_bytes,
	};
	int rc = dir ? local_open(dir, &v->pool->id, true, diag, &v->local)
		     : -ENOMEM;

	if (rc < 0)
		return rc;
	rnd_bytes(v->local_state.salt, KEY_SALT);
	io.path = v->local.index_path;
	rc = index_create(&io, &v->ix);
	return rc < 0 ? rc : insert_root(v->ix, uid, gid);
}

/* What a careful person would want to hear before trusting data to it. */
static void warn(const struct pool *p, struct diag *warning)
{
	uint64_t seen[POOL_MEMBERS_MAX];
	unsigned domains = 0;

	for (unsigned i = 0; i < p->n; i++) {
		struct drv_usage u;
		unsigned j = 0;

		backend_usage(p->member[i].backend, &u);
		while (j < domains && seen[j] != u.domain)
			j++;
		if (j == domains)
			seen[domains++] = u.domain;
	}
	if (p->geo.m == 0)
		diag_fail(warning, 0,
			  "no redundancy: the loss of any folder loses data");
	else if (domains < (unsigned)p->geo.m + 1)
		diag_fail(warning, 0,
			  "%u folders lie on %u disk(s): losing a disk loses "
			  "more than the %u folder(s) this pool can lose",
			  p->n, domains, p->geo.m);
}

int volume_make(const struct pool_create_options *o, uint32_t uid, uint32_t gid,
		struct diag *warning, struct diag *diag)
{
	struct volume *v = mem_zalloc(sizeof(*v));
	int rc = v ? pool_create(o, diag, &v->pool) : -ENOMEM;

	if (rc == 0)
		rc = store_new(v->pool, &v->store);
	if (rc == 0)
		rc = pool_begin_epoch(v->pool);
	/* So that its object is there also when a folder is full one day. */
	if (rc == 0)
		rc = pool_lease_begin(v->pool, false, diag);
	if (rc == 0)
		rc = make_index(v, uid, gid, diag);
	if (rc == 0)
		rc = first_checkpoint(v);
	if (rc == 0 && warning)
		warn(v->pool, warning);
	if (!v)
		return rc;
	checkpoint_free(v->checkpoint);
	commit_free(v->commit);
	jseg_free(v->js);
	(void)index_close(v->ix, false);
	store_free(v->store);
	if (v->local.folder)
		local_close(&v->local);
	if (v->pool)
		pool_lease_release(v->pool);
	pool_close(v->pool);
	mem_free(v);
	return rc;
}
