/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replay on an index that is not the one the record was made on.
 */
#include "scenes.h"

#include <sys/stat.h>

#include "backend/keyring.h"
#include "base/mem.h"
#include "base/osfile.h"
#include "meta/rows.h"
#include "stage.h"

static struct index *make_index(const struct keyring *keys, const char *path)
{
	static const uint8_t salt[KEY_SALT];
	struct index_options o = {.path = path,
				  .keys = keys,
				  .salt = salt,
				  .chunk_bytes = STAGE_CHUNK};
	struct index *ix;

	STAGE_OK(index_create(&o, &ix));
	return ix;
}

/* A record that adds or removes one inode. */
static struct bytes record(struct index *ix, uint64_t ino, bool add)
{
	struct inode_row row = {.ino = ino, .mode = S_IFREG | 0644, .nlink = 1};
	struct bytes log = {0};

	STAGE_OK(index_begin(ix));
	STAGE_OK(index_end(ix, add ? inode_insert(ix, &row)
				   : inode_delete(ix, ino)));
	index_lock(ix);
	STAGE_OK(index_cut(ix, index_seq(ix) + 1, true, &log));
	index_unlock(ix);
	return log;
}

/*
 * Record 2 removes an inode; replayed where record 1 has made another one it
 * removes nothing, and has to say so.
 */
void scene_row_counts(void *arg)
{
	struct index *a, *b, *c;
	struct bytes log[3];
	struct keyring *keys;
	int rc;

	(void)arg;
	sim_disks_reset(1);
	STAGE_OK(os_mkdir_parents(SIM_CACHE, 0700));
	STAGE_OK(keyring_new(&keys));
	a = make_index(keys, SIM_CACHE "/a");
	b = make_index(keys, SIM_CACHE "/b");
	c = make_index(keys, SIM_CACHE "/c");
	log[0] = record(a, 2, true);
	log[1] = record(a, 2, false);
	log[2] = record(b, 3, true);
	STAGE_OK(index_replay(c, 1, log[2].data, log[2].len));
	rc = index_replay(c, 2, log[1].data, log[1].len);
	if (rc != -ERR_REPLAY)
		violated("C10", "a record of another history was replayed: %s",
			 err_name(rc));
	for (unsigned i = 0; i < ARRAY_LEN(log); i++)
		bytes_release(&log[i]);
	(void)index_close(a, false);
	(void)index_close(b, false);
	(void)index_close(c, false);
	keyring_free(keys);
}
