/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rare interleavings and failures that once went wrong: each test is about one
 * of them and says which rule of ARCHITECTURE.md it is about.
 */
#include "posix_check.h"

#include <pthread.h>

#include "base/clock.h"

#define CHUNK (128u << 10)

/* ---- a chunk with many ranges ---- */

/* A write that has to fill the chunk first holds the inode's lock. */
static void scattered_writes(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644);
	uint8_t want[CHUNK];

	kit_write(k, ino, 0, CHUNK, 1);
	kit_reopen(k);
	kit_pattern(want, CHUNK, 0, 1);
	for (unsigned i = 0; i < 30; i++) {
		kit_write(k, ino, i * 4096, 10, 2);
		kit_pattern(want + i * 4096, 10, i * 4096, 2);
	}
	for (unsigned i = 0; i < 30; i++) {
		kit_expect(k, ino, i * 4096, 10, 2);
		kit_expect(k, ino, i * 4096 + 16, 4080, 1);
	}
	kit_sound(k);
}

/* ---- C11: nothing passes what was written again ---- */

static void later_chunks_wait(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644);
	struct cache_piece first[16], later[16];
	unsigned n, m;

	kit_write(k, ino, 0, CHUNK / 2, 1);
	n = cache_collect(k->v->cache, ino, UINT64_MAX, 1 << 20, first, 16);
	assert_int_equal(n, 1);
	/* Appending goes on while the first half is on its way. */
	kit_write(k, ino, CHUNK / 2, CHUNK * 2, 1);
	m = cache_collect(k->v->cache, ino, UINT64_MAX, 1 << 20, later, 16);
	assert_int_equal(m, 0);
	m = cache_collect(k->v->cache, CACHE_ANY, UINT64_MAX, 1 << 20, later,
			  16);
	assert_int_equal(m, 0);
	cache_complete(k->v->cache, first, n, -ESTALE);
	kit_fsync(k, ino);
	kit_recrash(k);
	kit_expect(k, ino, 0, CHUNK / 2 + CHUNK * 2, 1);
}

/* ---- a truncation overtakes a large write-back ---- */

struct syncer {
	pthread_t thread;
	struct kit *k;
	uint64_t ino; /* 0: all */
	int rc;
};

static void *sync_main(void *arg)
{
	struct syncer *s = arg;
	struct file *f;

	if (s->ino == 0) {
		s->rc = volume_sync(s->k->v);
		return NULL;
	}
	s->rc = posix_open(s->k->v, s->ino, O_RDWR, &f);
	if (s->rc == 0) {
		s->rc = posix_fsync(f, false);
		posix_close(f);
	}
	return NULL;
}

static void sync_start(struct syncer *s, struct kit *k, uint64_t ino)
{
	*s = (struct syncer){.k = k, .ino = ino};
	assert_int_equal(pthread_create(&s->thread, NULL, sync_main, s), 0);
}

static int sync_end(struct syncer *s)
{
	assert_int_equal(pthread_join(s->thread, NULL), 0);
	return s->rc;
}

static void await_load(struct kit *k, unsigned jobs)
{
	while (workq_load(k->v->encoders) < jobs)
		usleep(1000);
}

/* Both encoders are busy when the third job's file is cut to nothing. */
static void cut_before_encoding(void **state)
{
	struct kit *k = *state;
	uint64_t ino[3];
	struct syncer s[3];

	for (int i = 0; i < 3; i++) {
		char name[] = {(char)('a' + i), 0};

		ino[i] = kit_mk(k, ROOT_INO, name, S_IFREG | 0644);
	}
	for (int round = 0; round < 2; round++) {
		kit_fault_all(k, (struct fault_rule){.kind = FAULT_DELAY,
						     .ops = FAULT_OP_CREATE,
						     .prefix = "data/",
						     .ms = 400});
		for (unsigned i = 0; i < 3; i++) {
			kit_write(k, ino[i], 0, 2 << 20, 7 + i);
			sync_start(&s[i], k, ino[i]);
			await_load(k, i + 1);
		}
		OK(kit_set_size(k, ino[2], 0));
		for (int i = 0; i < 3; i++)
			OK(sync_end(&s[i]));
		kit_clear(k);
	}
	kit_sound(k);
	kit_recrash(k);
	assert_int_equal(kit_attr(k, ino[2]).size, 0);
	kit_expect(k, ino[0], 0, 2 << 20, 7);
	kit_sound(k);
}

/* ---- a journaled segment that dies before its first extent ---- */

static void *rotate_main(void *arg)
{
	struct syncer *s = arg;

	while (__atomic_load_n(&s->ino, __ATOMIC_RELAXED) && s->rc == 0)
		s->rc = jseg_rotate(s->k->v->js, true);
	return NULL;
}

/* Sealed chunks may lie in a segment that was striped, and found to be without
 * extents, before theirs could be entered. */
static void sealed_too_early(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644);
	struct file *f = kit_fopen(k, ino, O_RDWR);
	struct syncer s = {.k = k, .ino = 1};
	const size_t len = 512 << 10;
	int rc = 0;

	assert_int_equal(pthread_create(&s.thread, NULL, rotate_main, &s), 0);
	for (unsigned i = 0; i < 100 && rc == 0; i++) {
		kit_write(k, ino, 0, len, i);
		rc = posix_fsync(f, false);
	}
	__atomic_store_n(&s.ino, 0, __ATOMIC_RELAXED);
	OK(sync_end(&s));
	OK(rc);
	posix_close(f);
	kit_recrash(k);
	kit_expect(k, ino, 0, len, 99);
	kit_sound(k);
}

/* ---- K5: the log stays short while no journal takes it ---- */

static void log_is_bounded(void **state)
{
	struct kit *k = *state;
	static char value[60000];
	char name[32];
	int rc = 0, done = 0;

	memset(value, 'x', sizeof(value));
	kit_fault_all(k, (struct fault_rule){.kind = FAULT_ERROR,
					     .ops = FAULT_OP_WRITE |
						    FAULT_OP_CREATE |
						    FAULT_OP_OPEN,
					     .prefix = "journal/",
					     .err = EIO});
	(void)kit_mk(k, ROOT_INO, "first", S_IFREG | 0644);
	assert_true(volume_sync(k->v) < 0);
	for (int i = 0; rc >= 0 && i < 300; i++) {
		uint64_t ino;

		snprintf(name, sizeof(name), "f%d", i);
		rc = kit_try_mk(k, ROOT_INO, name, S_IFREG | 0644);
		if (rc < 0)
			break;
		ino = kit_ino(k, ROOT_INO, name);
		rc = posix_setxattr(k->v, ino, "user.x", value, sizeof(value),
				    0);
		done += rc == 0;
	}
	printf("%d accepted, then %s\n", done, err_name(rc));
	kit_clear(k);
	for (int i = 0; (rc = volume_sync(k->v)) < 0 && i < 40; i++) {
		printf("sync: %s\n", err_name(rc));
		usleep(500000);
	}
	OK(rc);
	kit_recrash(k);
	for (int i = 0; i < done; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		assert_true(kit_has(k, ROOT_INO, name));
	}
}

/* ---- leaving with a record that no journal took ---- */

static void crash_with_record_in_hand(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644);

	OK(volume_sync(k->v));
	kit_write(k, ino, 0, 5000, 3);
	kit_fault_all(k, (struct fault_rule){.kind = FAULT_ERROR,
					     .ops = FAULT_OP_WRITE |
						    FAULT_OP_CREATE |
						    FAULT_OP_OPEN,
					     .prefix = "journal/",
					     .err = EIO});
	assert_true(volume_sync(k->v) < 0);
	kit_crash(k);
	kit_clear(k);
	kit_open(k);
	assert_int_equal(kit_attr(k, ino).size, 0);
}

/* ---- a large cut that was broken off ---- */

/* What is written above the border later must not go with the rest. */
static void cut_is_finished_first(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644);
	struct node *n;

	/* As truncate leaves it when one operation cannot cut everything. */
	OK(node_get(k->v, ino, &n));
	OK(index_begin(k->v->ix));
	OK(index_end(k->v->ix,
		     queue_add(k->v->ix, QUEUE_TRIM_DATA, n->row.data, 4096)));
	atomic_store(&k->v->cuts, true);
	atomic_store(&n->cut_from, 4096);
	node_put(n);
	kit_write(k, ino, 0, 3 * CHUNK, 6);
	kit_fsync(k, ino);
	OK(service_run_queue(k->v));
	kit_recrash(k);
	kit_expect(k, ino, 0, 3 * CHUNK, 6);
	kit_sound(k);
}

/* ---- rename brings the size along ---- */

static void rename_brings_size(void **state)
{
	struct kit *k = *state;
	uint64_t tmp = kit_mk(k, ROOT_INO, "tmp", S_IFREG | 0644);

	kit_write(k, tmp, 0, 4096, 5);
	OK(kit_set_size(k, tmp, 8192));
	OK(posix_rename(k->v, ROOT_INO, "tmp", ROOT_INO, "new", 0));
	OK(commit_all(k->v->commit)); /* no attributes are flushed by it */
	kit_recrash(k);
	tmp = kit_ino(k, ROOT_INO, "new");
	assert_int_equal(kit_attr(k, tmp).size, 8192);
	kit_expect(k, tmp, 0, 4096, 5);
}

/* ---- a full pool ---- */

/* An open file without a name holds no room that a checkpoint would give. */
static void full_is_quick(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_mk(k, ROOT_INO, "gone", S_IFREG | 0644);
	uint64_t other = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644);
	struct file *f = kit_fopen(k, ino, O_RDWR);
	struct file *g = kit_fopen(k, other, O_RDWR);
	struct checkpoint_stats before, after;
	static char buf[1 << 20];

	OK(posix_unlink(k->v, ROOT_INO, "gone"));
	OK(service_checkpoint(k->v, NULL, NULL));
	kit_fault_all(k, (struct fault_rule){.kind = FAULT_FULL,
					     .ops = FAULT_OP_ALL,
					     .prefix = ""});
	/* Until the folders' figures are asked for again. */
	while (posix_write(g, buf, sizeof(buf), 0) != -ENOSPC)
		usleep(10000);
	checkpoint_get_stats(k->v->checkpoint, &before);
	assert_int_equal(posix_write(g, buf, sizeof(buf), 0), -ENOSPC);
	checkpoint_get_stats(k->v->checkpoint, &after);
	assert_int_equal(after.runs, before.runs);
	posix_close(f);
	posix_close(g);
}

/* ---- closing when not everything works ---- */

/* A journal without room, and a record that was refused by it. */
static void close_without_journal(void **state)
{
	struct kit *k = *state;

	kit_fault_all(k,
		      (struct fault_rule){.kind = FAULT_ERROR,
					  .ops = FAULT_OP_CREATE |
						 FAULT_OP_WRITE | FAULT_OP_OPEN,
					  .prefix = "journal/",
					  .err = ENOSPC});
	(void)kit_mk(k, ROOT_INO, "a", S_IFREG | 0644);
	assert_int_equal(volume_sync(k->v), -ENOSPC);
	(void)kit_mk(k, ROOT_INO, "b", S_IFREG | 0644);
	OK(service_checkpoint(k->v, NULL, NULL));
	assert_int_equal(volume_sync(k->v), -ENOSPC);
	(void)kit_mk(k, ROOT_INO, "c", S_IFREG | 0644);
	kit_close(k);
	kit_clear(k);
	kit_open(k);
	assert_true(kit_has(k, ROOT_INO, "a"));
	assert_true(kit_has(k, ROOT_INO, "b"));
	assert_true(kit_has(k, ROOT_INO, "c"));
}

/* Records that queued up while there was no room reach the journal in order. */
static void journal_gets_room(void **state)
{
	struct kit *k = *state;

	kit_fault_all(k,
		      (struct fault_rule){.kind = FAULT_ERROR,
					  .ops = FAULT_OP_CREATE |
						 FAULT_OP_WRITE | FAULT_OP_OPEN,
					  .prefix = "",
					  .err = ENOSPC});
	(void)kit_mk(k, ROOT_INO, "a", S_IFREG | 0644);
	assert_int_equal(volume_sync(k->v), -ENOSPC);
	for (int i = 0; i < 20; i++) {
		char name[] = {(char)('b' + i), 0};

		(void)kit_mk(k, ROOT_INO, name, S_IFREG | 0644);
		assert_true(service_checkpoint(k->v, NULL, NULL) < 0);
	}
	kit_clear(k);
	for (int rc = -1; rc < 0;)
		rc = volume_sync(k->v);
	kit_recrash(k);
	assert_true(kit_has(k, ROOT_INO, "a"));
	assert_true(kit_has(k, ROOT_INO, "u"));
	kit_sound(k);
}

/* A large file cannot be written: a small one, in the journal, can. */
static void close_saves_what_it_can(void **state)
{
	struct kit *k = *state;
	uint64_t big = kit_mk(k, ROOT_INO, "big", S_IFREG | 0644);
	uint64_t small = kit_mk(k, ROOT_INO, "small", S_IFREG | 0644);

	OK(volume_sync(k->v));
	kit_fault_all(k, (struct fault_rule){.kind = FAULT_ERROR,
					     .ops = FAULT_OP_CREATE |
						    FAULT_OP_WRITE,
					     .prefix = "data/",
					     .err = EIO});
	kit_write(k, big, 0, 4 << 20, 8);
	kit_write(k, small, 0, 4096, 9);
	assert_true(volume_close(k->v) < 0);
	kit_clear(k);
	kit_open(k);
	assert_int_equal(kit_attr(k, big).size, 0);
	kit_expect(k, small, 0, 4096, 9);
	kit_sound(k);
}

/* ---- journaled segments that cannot be striped ---- */

/* They take memory and journal: at some point no more is taken. */
static void unstriped_is_bounded(void **state)
{
	struct kit *k = *state;
	uint64_t ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644);
	const size_t len = 900 << 10;
	struct file *f = kit_fopen(k, ino, O_RDWR);
	unsigned n;
	int rc = 0;

	kit_fault_all(k, (struct fault_rule){.kind = FAULT_ERROR,
					     .ops = FAULT_OP_CREATE |
						    FAULT_OP_WRITE,
					     .prefix = "data/",
					     .err = ENOSPC});
	for (n = 0; n < 64 && rc == 0; n++) {
		kit_write(k, ino, n * len, len, 4);
		rc = posix_fsync(f, false);
	}
	assert_true(rc < 0);
	assert_true(n > 4);
	kit_clear(k);
	OK(posix_fsync(f, false));
	posix_close(f);
	kit_recrash(k);
	kit_expect(k, ino, 0, n * len, 4);
	kit_sound(k);
}

/* ---- a pool restored from a backup of the same epoch ---- */

/* A copy of the pool in dir, or back to it. */
static void backup(const char *dir, bool restore)
{
	const char *what =
		restore ? "rm -rf pool && mv backup pool" : "cp -a pool backup";
	char cmd[200];

	snprintf(cmd, sizeof(cmd), "cd %s && %s", dir, what);
	assert_int_equal(system(cmd), 0);
}

static void old_backup_is_refused(void **state)
{
	struct kit *k = *state;
	struct pool_create_options po = {
		.n = 1,
		.geo = {.k = 1,
			.chunk_bytes = CHUNK,
			.segment_bytes = 4 << 20,
			.cipher = CIPHER_AES_256_GCM,
			.level = 1},
		.label = "backup",
		.pass = "secret",
		.pass_len = 6,
	};
	char dir[] = "/tmp/mendfs-kit.XXXXXX", pool[64], cmd[64];
	const char *location = pool;
	struct volume_options o = k->o;
	struct diag d = DIAG_INIT;
	struct kit one = {0};

	assert_non_null(mkdtemp(dir));
	snprintf(pool, sizeof(pool), "%s/pool", dir);
	assert_int_equal(mkdir(pool, 0700), 0);
	po.location = o.location = &location;
	o.n = 1;
	OK(volume_make(&po, 0, 0, NULL, &d));
	OK(volume_open(&o, &d, &one.v));
	backup(dir, false);
	(void)kit_mk(&one, ROOT_INO, "f", S_IFREG | 0644);
	OK(service_checkpoint(one.v, NULL, NULL));
	kit_crash(&one);
	backup(dir, true);
	assert_int_equal(volume_open(&o, &d, &one.v), -ERR_ROLLBACK);
	o.accept_rollback = true;
	OK(volume_open(&o, &d, &one.v));
	kit_close(&one);
	o.accept_rollback = false;
	OK(volume_open(&o, &d, &one.v));
	kit_close(&one);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	assert_int_equal(system(cmd), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		WITH_KIT(scattered_writes),
		WITH_KIT(later_chunks_wait),
		WITH_KIT(cut_before_encoding),
		WITH_KIT(sealed_too_early),
		WITH_KIT(log_is_bounded),
		WITH_KIT(crash_with_record_in_hand),
		WITH_KIT(cut_is_finished_first),
		WITH_KIT(rename_brings_size),
		WITH_KIT(full_is_quick),
		WITH_KIT(close_without_journal),
		WITH_KIT(journal_gets_room),
		WITH_KIT(close_saves_what_it_can),
		WITH_KIT(unstriped_is_bounded),
		WITH_KIT(old_backup_is_refused),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
