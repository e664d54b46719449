/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recovery.c - from folders to a consistent volume.
 *
 *   1 find and unlock the pool                     pool_open
 *   2 the newest superblock whose manifest can be read is put in force
 *   3 judge what may be done                       pool_judge
 *   4 compare with this machine's high-water mark, again after 6
 *   5 begin an epoch (claims only), take the lease begin
 *   6 bring the local index to the manifest, replay the journal of the
 *     manifest's epoch
 *   7 stripe the journaled segments found open, finish cut jobs
 *   8 checkpoint: publishes epoch and manifest together; only records of the
 *     manifest's epoch ever count, so what an older writer still writes does
 *     not
 *   9 start a journal, remove the older ones
 *
 * Nothing is acknowledged before step 8 is durable (C2), and steps 1 to 7
 * change nothing a second run would miss: recovery may be cut off anywhere.
 * A read-only open ends after step 6 and writes in no folder of the pool.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "base/osfile.h"
#include "base/rnd.h"
#include "backend/pool_lease.h"
#include "backend/store.h"
#include "fs/gaps.h"
#include "fs/inspect.h"
#include "fs/volume_impl.h"
#include "meta/manifest.h"

struct recovery {
	struct volume *v;
	const struct volume_options *o;
	struct diag *diag;
	struct diag note; /* what is to be told though it goes well */
	struct manifest manifest;
	uint8_t manifest_hash[32];
	bool clean; /* the local index is exactly the manifest's state */
	struct index_options index;
	struct journal_scan_result scan;
};

/* ---- places that must not contain each other ---- */

static bool lies_in(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	return strncmp(path, folder, len) == 0 &&
	       (path[len] == '/' || path[len] == 0);
}

/*
 * A folder still to be made lies where the last one on its way that exists
 * does; *exists tells. false: nowhere.
 */
static bool resolve(const char *path, char out[PATH_MAX], bool *exists)
{
	AUTO_FREE char *part = mem_strdup(path);
	char *slash;
	int rc;

	*exists = true;
	while (part && (rc = os_realpath(part, out)) < 0) {
		*exists = false;
		slash = strrchr(part, '/');
		if (rc != -ENOENT || !part[0] || strcmp(part, ".") == 0)
			return false;
		if (!slash)
			strcpy(part, ".");
		else
			slash[slash == part] = 0;
	}
	return part != NULL;
}

static int check_place(const char *what, const char *path,
		       const struct member *m, struct diag *diag)
{
	char a[PATH_MAX], b[PATH_MAX];
	const char *folder = m->path ? driver_location_path(m->path) : NULL;
	bool exists;

	if (!path || !folder || !resolve(path, a, &exists) ||
	    os_realpath(folder, b) < 0)
		return 0;
	if (lies_in(a, b))
		return diag_fail(diag, -ERR_NESTED,
				 "%s %s lies inside the pool's folder %s; "
				 "choose a place outside of it",
				 what, path, folder);
	if (exists && lies_in(b, a))
		return diag_fail(diag, -ERR_NESTED,
				 "the pool's folder %s lies inside the %s %s; "
				 "choose another place",
				 folder, what, path);
	return 0;
}

static int check_places(struct recovery *r, const char *cache_dir)
{
	const struct pool *p = r->v->pool;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < p->n; i++) {
		rc = check_place("mount point", r->o->mountpoint, &p->member[i],
				 r->diag);
		if (rc == 0)
			rc = check_place("cache folder", cache_dir,
					 &p->member[i], r->diag);
	}
	return rc;
}

/* ---- steps 1 to 4 ---- */

static int find_pool(struct recovery *r)
{
	const struct volume_options *o = r->o;
	struct pool_open_options po = {
		.location = o->location,
		.n = o->n,
		.pass = o->pass,
		.pass_len = o->pass_len,
		.read_only = o->read_only,
	};
	int rc = pool_open(&po, &r->note, &r->v->pool);

	if (rc < 0)
		return diag_fail(r->diag, rc, "%s", diag_text(&r->note, rc));
	r->v->pool->verify = o->verify;
	return 0;
}

/*
 * An older state than the newest known is only good for looking, unless the
 * user says so: a writer would make the loss of what is between final.
 */
static int go_back(struct recovery *r, const struct superblock *sb, int why)
{
	if (!r->o->read_only && !r->o->accept_rollback)
		return diag_fail(r->diag, -ERR_ROLLBACK,
				 "the newest checkpoint cannot be read (%s), "
				 "only an older one; attach the missing "
				 "folders, look with -o ro, or accept the loss "
				 "of what came after with -o accept_rollback",
				 err_text(why));
	return pool_adopt(r->v->pool, sb);
}

/* The newest; but for a deliberate bug, which counts folders. */
static unsigned first_candidate(struct pool *p, struct superblock *sb)
{
	unsigned first = 0, most = 0;

	for (unsigned i = 0;
	     MUTANT(SUPERBLOCK_BY_MAJORITY) && pool_candidate(p, i, sb) == 0;
	     i++) {
		unsigned n = 0;

		for (unsigned j = 0; j < p->n; j++)
			n += p->member[j].sb_gen == sb->generation;
		if (n > most)
			first = i;
		most = MAX(most, n);
	}
	return first;
}

static int load_manifest(struct recovery *r)
{
	struct pool *p = r->v->pool;
	struct superblock *sb = mem_alloc(sizeof(*sb));
	unsigned newest = sb ? first_candidate(p, sb) : 0;
	int rc = -ENOMEM, first = 0;

	for (unsigned i = newest; sb; i++) {
		rc = pool_candidate(p, i, sb);
		if (rc < 0)
			break;
		rc = sb->manifest.present
			     ? manifest_load(r->v->store, &sb->manifest,
					     &r->manifest, r->manifest_hash)
			     : -ERR_CORRUPT;
		if (rc == 0) {
			rc = i == newest ? pool_adopt(p, sb)
					 : go_back(r, sb, first);
			break;
		}
		log_event(LOG_LVL_WARN, "manifest_unreadable",
			  "generation=%llu rc=%s",
			  (unsigned long long)sb->generation, err_name(rc));
		if (first == 0)
			first = rc;
	}
	mem_free(sb);
	if (rc < 0 && first < 0)
		rc = first;
	return rc;
}

static int judge(struct recovery *r)
{
	struct pool_rule_options ro = {
		.read_only = r->o->read_only,
		.degraded = r->o->degraded,
		.accept_rollback = r->o->accept_rollback,
	};
	int rc = 0;
	enum pool_access a = pool_judge(r->v->pool, &ro, r->diag, &rc);

	/* Less than was asked for is refused: the user chooses, not we. */
	if (a == POOL_REFUSED || (a == POOL_READ_ONLY && !r->o->read_only))
		return rc < 0 ? rc : -ERR_TOO_FEW;
	r->v->read_only = a == POOL_READ_ONLY;
	return 0;
}

static int fail_older(struct recovery *r)
{
	return diag_fail(
		r->diag, -ERR_ROLLBACK,
		"the pool is older than what was acknowledged on this machine "
		"(epoch %llu): its folders were restored from a backup, or "
		"newer folders are missing; attach them, or accept the loss "
		"with -o accept_rollback",
		(unsigned long long)r->v->local_state.mark_epoch);
}

static bool is_marked(const struct recovery *r)
{
	return r->v->local_state.mark_epoch != 0 && !r->o->accept_rollback;
}

static bool is_mark_epoch(const struct recovery *r, const uint8_t id[16])
{
	return memcmp(id, r->v->local_state.mark_epoch_id, 16) == 0;
}

/*
 * Does the pool know the last mount that this machine knows of? What that one
 * acknowledged is in the checkpoint of each later one.
 */
static int check_mark(struct recovery *r)
{
	const struct local_state *s = &r->v->local_state;
	const struct superblock *sb = &r->v->pool->sb;
	bool known = false;

	if (!is_marked(r))
		return 0;
	for (unsigned i = 0; i < sb->epochs && !known; i++)
		known = is_mark_epoch(r, sb->epoch[i].id);
	if (sb->epochs > 0 &&
	    sb->epoch[sb->epochs - 1].number > s->mark_epoch + SB_EPOCHS)
		known = true;
	/* Numbers of records never fall, not from epoch to epoch either. */
	if (known && (is_mark_epoch(r, r->manifest.epoch_id) ||
		      r->manifest.seq >= s->mark_seq))
		return 0;
	return fail_older(r);
}

/*
 * The same within one mount, once the journal was read. A journal that itself
 * says that something is lost has been damaged, which is another matter.
 */
static int check_mark_seq(struct recovery *r)
{
	uint64_t last = MAX(r->manifest.seq, r->scan.last_seq);

	if (!is_marked(r) || !is_mark_epoch(r, r->manifest.epoch_id) ||
	    r->scan.lost || last >= r->v->local_state.mark_seq)
		return 0;
	return fail_older(r);
}

/* dir: the cache folder as chosen; place: where the pool's folder is made. */
static int try_local(struct recovery *r, const char *dir, const char *place,
		     bool private)
{
	struct volume *v = r->v;
	int rc = check_places(r, place);

	if (rc == 0)
		rc = local_open(place, &v->pool->id, private, r->diag,
				&v->local);
	if (rc < 0)
		return rc;
	/* A private folder has no memory: ask the one a writer would use. */
	if (private)
		rc = local_peek(dir, &v->pool->id, v->pool->keys,
				&v->local_state);
	else
		rc = local_load(&v->local, v->pool->keys, &v->local_state);
	if (rc < 0)
		v->local_state = (struct local_state){0};
	if (rc < 0 || private)
		rnd_bytes(v->local_state.salt, KEY_SALT);
	if (private)
		v->local_state.clean = false;
	return check_mark(r);
}

/* The cache folder's disk is full or cannot be written to. */
static bool lacks_room(int rc)
{
	return rc == -ENOSPC || rc == -EDQUOT || rc == -EROFS;
}

/*
 * The local index is only a cache: without room for it where it belongs it is
 * made anew somewhere else, for this mount. why: what failed, the answer if
 * there is nowhere else.
 */
static int open_elsewhere(struct recovery *r, const char *dir, int why)
{
	struct diag *diag = r->diag, scratch = DIAG_INIT;
	char *place;
	int rc = why, got;

	r->diag = &scratch;
	for (unsigned i = 0; rc == why && local_spare_folder(i, &place); i++) {
		got = place ? try_local(r, dir, place, true) : why;
		if (got == 0)
			diag_fail(&r->note, 0,
				  "the cache folder cannot be used (%s): the "
				  "index is in %s until the pool is unmounted",
				  err_text(why), r->v->local.folder);
		if (got == 0 || got == -ERR_ROLLBACK)
			rc = got;
		mem_free(place);
	}
	r->diag = diag;
	/* What it says is not what counts any more. */
	if (diag && rc != why)
		diag->text[0] = 0;
	if (rc == 0)
		log_event(LOG_LVL_WARN, "cache_folder", "rc=%s instead=%s",
			  err_name(why), r->v->local.folder);
	return rc < 0 ? diag_fail(diag, rc, "%s", scratch.text) : rc;
}

static int open_local(struct recovery *r)
{
	AUTO_FREE char *fallback = NULL;
	const char *dir = r->o->cache_dir;
	int rc;

	if (!dir)
		dir = fallback = local_default_folder();
	if (!dir)
		return -ENOMEM;
	rc = try_local(r, dir, dir, r->v->read_only);
	return lacks_room(rc) ? open_elsewhere(r, dir, rc) : rc;
}

/* ---- step 6 ---- */

static int try_index(struct recovery *r)
{
	struct volume *v = r->v;
	struct local_state *s = &v->local_state;
	uint32_t fetched = 0;
	int rc;

	r->clean = s->clean && s->seq == r->manifest.seq &&
		   memcmp(s->manifest_hash, r->manifest_hash, 32) == 0;
	/* From here on the file may be anything until the next clean mark. */
	s->clean = false;
	rc = local_store(&v->local, v->pool->keys, s);
	if (rc < 0)
		return diag_fail(r->diag, rc, "%s: cannot be written: %s",
				 v->local.state_path, err_text(rc));
	r->index = (struct index_options){
		.path = v->local.index_path,
		.pool = v->pool->id,
		.keys = v->pool->keys,
		.salt = s->salt,
		.chunk_bytes = v->chunk_bytes,
	};
	rc = checkpoint_restore_index(v->store, &r->manifest, &r->index,
				      r->clean, &fetched);
	if (rc == 0)
		rc = index_open(&r->index, &v->ix);
	if (rc < 0)
		return diag_fail(r->diag, rc,
				 "the index cannot be restored from the pool: "
				 "%s; run fsck.mendfs -n on it",
				 err_text(rc));
	log_event(LOG_LVL_INFO, "index_restored", "clean=%d fetched=%u",
		  r->clean, fetched);
	return 0;
}

static int open_index(struct recovery *r)
{
	struct volume *v = r->v;
	int rc = try_index(r), again;

	if (!lacks_room(rc) || v->local.private)
		return rc;
	local_close(&v->local);
	again = open_elsewhere(r, r->o->cache_dir, rc);
	return again < 0 ? again : try_index(r);
}

static int replay_record(void *arg, uint64_t seq, const void *payload,
			 size_t len)
{
	struct recovery *r = arg;
	struct reader rd = reader_of(payload, len);
	uint64_t log_len = reader_varint(&rd);
	const uint8_t *log = reader_take(&rd, log_len);
	int rc = 0;

	if (rd.bad)
		return -ERR_TRUNCATED;
	/* Older ones are only read for the segment bytes they carry. */
	if (seq > r->manifest.seq)
		rc = index_replay(r->v->ix, seq, log, log_len);
	return rc < 0 ? rc : jseg_restore(r->v->js, &rd);
}

static int replay(struct recovery *r)
{
	struct volume *v = r->v;
	uint64_t from = MIN(r->manifest.bytes_from, r->manifest.seq + 1);
	int rc = journal_scan(v->pool, r->manifest.epoch_id, from,
			      replay_record, r, &r->scan);

	if (rc < 0)
		return diag_fail(r->diag, rc,
				 "the journal cannot be replayed: %s; mount "
				 "with -o ro to see what is there, or run "
				 "fsck.mendfs -n",
				 err_text(rc));
	/* Members may have died since judge() counted them: what they alone
	 * know must not be taken for never written (C6). */
	if (!v->read_only && !r->o->accept_rollback &&
	    r->scan.heard < v->pool->n - v->pool->geo.m &&
	    !MUTANT(EPOCH_WITH_TOO_FEW))
		return diag_fail(
			r->diag, -ERR_TOO_FEW,
			"the journal could be read on %u of %u folders "
			"only; try again, or mount with -o ro",
			r->scan.heard, v->pool->n);
	if (r->scan.lost)
		log_event(LOG_LVL_ERROR, "journal_lost",
			  "last=%llu acknowledged=%llu",
			  (unsigned long long)r->scan.last_seq,
			  (unsigned long long)r->scan.acked);
	return 0;
}

/*
 * Below n-m members even reading is only allowed while every segment can still
 * be read as a whole.
 */
static int check_reachable(struct recovery *r)
{
	struct volume *v = r->v;
	const struct pool *p = v->pool;
	struct segment_row row;
	struct seg_id after = {0};
	uint64_t lost = 0;
	int n;

	if (pool_up(p) + p->geo.m >= p->n)
		return 0;
	do {
		index_lock(v->ix);
		n = segment_list(v->ix, SEG_SEALED, after, &row, 1);
		index_unlock(v->ix);
		if (n == 1)
			lost += store_reachable(v->store, &row.desc) <
				row.desc.k;
		after = row.desc.id;
	} while (n == 1);
	if (n < 0 || lost == 0)
		return n;
	return diag_fail(r->diag, -ERR_TOO_FEW,
			 "%llu segments have too few fragments in the %u of %u "
			 "folders that are there; attach the missing ones "
			 "(mendfs status names them)",
			 (unsigned long long)lost, pool_up(p), p->n);
}

/* ---- steps 7 to 9 ---- */

/* Streaming segments whose entering was cut off: their stripe is durable. */
static int seal_entered(struct volume *v)
{
	struct segment_row row;
	struct seg_id after = {0};
	int n, rc = 0;

	for (;;) {
		index_lock(v->ix);
		n = segment_list(v->ix, SEG_OPEN, after, &row, 1);
		index_unlock(v->ix);
		if (n <= 0)
			return n;
		after = row.desc.id;
		if (row.desc.stripe.v == 0)
			continue;
		rc = index_begin(v->ix);
		if (rc == 0)
			rc = index_end(v->ix, segment_seal(v->ix, &row.desc));
		if (rc < 0)
			return rc;
	}
}

static int settle(struct recovery *r)
{
	struct volume *v = r->v;
	int rc = seal_entered(v);

	if (rc == 0)
		rc = jseg_seal_restored(v->js);
	if (rc == 0)
		rc = gaps_recover(v);
	if (rc == 0)
		rc = service_run_queue(v); /* orphans too: nothing is open */
	if (rc == 0)
		rc = service_checkpoint(v, NULL, NULL);
	if (rc < 0)
		return diag_fail(r->diag, rc,
				 "recovery cannot be completed: %s",
				 err_text(rc));
	return 0;
}

/* Nothing is acknowledged that a host might not find that has taken over. */
static int may_acknowledge(void *pool)
{
	return pool_lease_check(pool);
}

static int start_journal(struct recovery *r)
{
	struct volume *v = r->v;
	struct journal_options jo = {
		.pool = v->pool,
		.file_min = r->o->journal_file_bytes,
		.file_max = r->o->journal_file_bytes,
	};
	struct checkpoint_stats st;
	int rc;

	index_lock(v->ix);
	jo.next_seq = index_seq(v->ix) + 1;
	index_unlock(v->ix);
	rc = journal_new(&jo, &v->journal);
	if (rc < 0)
		return diag_fail(r->diag, rc, "no journal can be started: %s",
				 err_text(rc));
	commit_set_gate(v->commit, may_acknowledge, v->pool);
	commit_set_journal(v->commit, v->journal);
	checkpoint_set_journal(v->checkpoint, v->journal);
	checkpoint_get_stats(v->checkpoint, &st);
	rc = st.everywhere ? journal_remove_old(v->pool) : 0;
	if (rc < 0)
		log_event(LOG_LVL_WARN, "old_journal_stays", "rc=%s",
			  err_name(rc));
	return 0;
}

static int make_engine(struct recovery *r)
{
	struct volume *v = r->v;
	struct jseg_options js = {
		.ix = v->ix,
		.store = v->store,
		.pool = v->pool,
		.cap = v->pool->geo.segment_bytes,
	};

	return jseg_new(&js, &v->js);
}

static int make_commit(struct recovery *r)
{
	struct volume *v = r->v;
	struct checkpoint_options co = {
		.pool = v->pool,
		.store = v->store,
		.ix = v->ix,
		.js = v->js,
		.manifest = &r->manifest,
	};
	int rc = commit_new(v->ix, v->js, NULL, &v->commit);

	co.commit = v->commit;
	return rc < 0 ? rc : checkpoint_new(&co, &v->checkpoint);
}

/*
 * From here on the lease is renewed, however long recovery takes, and nobody
 * else begins.
 */
static int begin(struct recovery *r)
{
	struct pool *p = r->v->pool;
	int rc = pool_begin_epoch(p);

	if (rc == -ERR_IN_USE)
		return diag_fail(r->diag, rc,
				 "the pool is being mounted by another host at "
				 "this moment; try again");
	if (rc < 0)
		return diag_fail(r->diag, rc,
				 "too few folders take the claim of a new "
				 "mount: %s; look at their disks and the log, "
				 "or mount with -o ro",
				 err_text(rc));
	return pool_lease_begin(p, r->o->degraded, r->diag);
}

static int recover(struct recovery *r)
{
	struct volume *v = r->v;
	int rc = find_pool(r);

	if (rc == 0)
		rc = store_new(v->pool, &v->store);
	if (rc == 0)
		rc = load_manifest(r);
	if (rc < 0)
		return diag_fail(r->diag, rc,
				 "no checkpoint of the pool can be read: %s; "
				 "attach the missing folders",
				 err_text(rc));
	v->chunk_bytes = v->pool->geo.chunk_bytes;
	rc = judge(r);
	if (rc == 0)
		rc = open_local(r);
	if (rc == 0 && !v->read_only)
		rc = begin(r);
	if (rc == 0)
		rc = open_index(r);
	if (rc == 0)
		rc = make_engine(r);
	if (rc == 0)
		rc = replay(r);
	if (rc == 0)
		rc = check_mark_seq(r);
	if (rc == 0)
		rc = check_reachable(r);
	return rc < 0 ? rc : make_commit(r);
}

int recovery_open(struct volume *v, const struct volume_options *o,
		  struct diag *diag)
{
	struct recovery r = {.v = v, .o = o, .diag = diag};
	int rc = recover(&r);

	if (rc == 0)
		rc = volume_make_cache(v, o);
	if (rc == 0 && !v->read_only)
		rc = settle(&r);
	if (rc == 0 && !v->read_only)
		rc = start_journal(&r);
	if (rc == 0 && r.note.text[0])
		diag_fail(diag, 0, "%s", r.note.text);
	manifest_release(&r.manifest);
	return rc;
}

/* ---- for checks ---- */

/* What is wrong with the pool has a code of ours; this is the machine's. */
static bool is_machines(int rc)
{
	return rc < 0 && rc > -ERR_FIRST_;
}

static int inspect_index(struct recovery *r, struct inspect *out)
{
	struct diag scratch = DIAG_INIT;
	struct diag *diag = r->diag;
	int rc = open_local(r);

	if (rc < 0)
		return rc;
	r->diag = &scratch;
	rc = open_index(r);
	r->diag = diag;
	if (is_machines(rc))
		return diag_fail(diag, rc, "%s: %s", r->v->local.folder,
				 err_text(rc));
	out->index_rc = rc;
	return 0;
}

static int inspect_journal(struct recovery *r, struct inspect *out)
{
	struct diag scratch = DIAG_INIT;
	int rc = make_engine(r);

	if (rc < 0)
		return rc;
	r->diag = &scratch;
	out->scan_rc = replay(r);
	out->scanned = true;
	out->scan = r->scan;
	return out->scan_rc == -ENOMEM ? -ENOMEM : 0;
}

int recovery_inspect(struct volume *v, const struct volume_options *o,
		     struct diag *diag, struct inspect *out)
{
	struct recovery r = {.v = v, .o = o, .diag = diag};
	int rc = find_pool(&r);

	if (rc == 0)
		rc = store_new(v->pool, &v->store);
	if (rc < 0)
		return rc;
	v->read_only = true;
	v->chunk_bytes = v->pool->geo.chunk_bytes;
	out->manifest_rc = load_manifest(&r);
	if (out->manifest_rc == 0)
		rc = inspect_index(&r, out);
	if (rc == 0 && v->ix)
		rc = inspect_journal(&r, out);
	out->manifest = r.manifest;
	return out->manifest_rc == -ENOMEM ? -ENOMEM : rc;
}
