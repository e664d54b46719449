/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints while others work: each is the state after exactly one record
 * (C10).
 */
#include "unit/meta/checkpoint_kit.h"

#define THREADS 3
#define NOTES	60000

struct note {
	uint64_t ino;
	uint64_t seq; /* of the record its operation was in */
	uint64_t data;
};

struct busy {
	struct kit *k;
	struct workq *q;
	struct mutex mu;
	bool stop;
	int rc;
	struct note *note;
	unsigned notes;
	bool smalls;   /* with data in journaled segments */
	bool failures; /* some operations are undone */
	bool no_commits;
	char *copy; /* path of a second index */
};

static int make(void **state)
{
	struct busy *b = calloc(1, sizeof(*b));

	rnd_seed(test_seed());
	b->k = kit_new(4, 2);
	b->k->cache_bytes = 128 << 10; /* so that SQLite spills */
	mutex_init(&b->mu);
	b->note = calloc(NOTES, sizeof(*b->note));
	b->copy = in(b->k->place, "copy");
	OK(workq_new("busy", THREADS, &b->q));
	kit_make(b->k);
	kit_mount(b->k);
	*state = b;
	return 0;
}

static int drop(void **state)
{
	struct busy *b = *state;

	workq_free(b->q);
	kit_free(b->k);
	mutex_destroy(&b->mu);
	mem_free(b->copy);
	free(b->note);
	free(b);
	rnd_unseed();
	return 0;
}

#define BUSY(test) cmocka_unit_test_setup_teardown(test, make, drop)

static bool stopped(struct busy *b)
{
	MUTEX_GUARD(&b->mu);
	return b->stop || b->notes + THREADS > NOTES;
}

static void take_note(struct busy *b, struct note n)
{
	MUTEX_GUARD(&b->mu);
	b->note[b->notes++] = n;
}

static int one_file(struct busy *b, bool undo)
{
	struct kit *k = b->k;
	struct note n = {.ino = index_next(k->ix, COUNTER_INO)};
	int rc = index_begin(k->ix);

	if (rc < 0)
		return rc;
	n.seq = commit_open_seq(k->commit);
	rc = kit_insert_file(k, n.ino, 0);
	if (rc == 0 && undo)
		rc = -ECANCELED;
	rc = index_end(k->ix, rc);
	if (rc == 0)
		take_note(b, n);
	return rc == -ECANCELED ? 0 : rc;
}

/* As kit_add_small, with a note. */
static int one_small(struct busy *b)
{
	struct kit *k = b->k;
	struct note n = {.ino = index_next(k->ix, COUNTER_INO),
			 .data = index_next(k->ix, COUNTER_DATA)};
	struct extent_row e = {.data = n.data, .len = KIT_SMALL, .n = 1};
	uint8_t plain[KIT_SMALL];
	int rc;

	kit_fill(n.data, plain, sizeof(plain));
	rc = jseg_add(k->js, n.data, 0, plain, sizeof(plain), &e.segment,
		      &e.ref[0]);
	if (rc == 0)
		rc = index_begin(k->ix);
	if (rc < 0)
		return rc;
	n.seq = commit_open_seq(k->commit);
	rc = kit_insert_file(k, n.ino, n.data);
	if (rc == 0)
		rc = extent_put(k->ix, &e);
	rc = index_end(k->ix, rc);
	if (rc == 0)
		take_note(b, n);
	/* Sealed before anything referred to it: the caller seals anew. */
	return rc == -ESTALE ? 0 : rc;
}

static void work(void *arg)
{
	struct busy *b = arg;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && !stopped(b); i++) {
		rc = b->smalls && i % 4 == 0
			     ? one_small(b)
			     : one_file(b, b->failures && i % 5 == 0);
		if (rc == 0 && !b->no_commits && i % 16 == 0)
			rc = commit_all(b->k->commit);
	}
	MUTEX_GUARD(&b->mu);
	if (rc < 0)
		b->rc = rc;
}

static void start_work(struct busy *b)
{
	b->stop = false;
	for (unsigned i = 0; i < THREADS; i++)
		OK(workq_submit(b->q, work, b));
}

static void stop_work(struct busy *b)
{
	mutex_lock(&b->mu);
	b->stop = true;
	mutex_unlock(&b->mu);
	workq_drain(b->q);
	OK(b->rc);
}

static bool has_inode(struct index *ix, const struct note *n)
{
	struct inode_row row;
	int rc;

	index_lock(ix);
	rc = inode_get(ix, n->ino, &row);
	index_unlock(ix);
	if (rc == 0)
		assert_int_equal(row.mtime_ns, n->seq);
	else
		assert_int_equal(rc, -ENOENT);
	return rc == 0;
}

/* All of the records up to the index's, and nothing else. */
static void judge(struct busy *b, struct index *ix, unsigned notes)
{
	uint64_t seq;
	unsigned wrong = 0;

	index_lock(ix);
	seq = index_seq(ix);
	index_unlock(ix);
	for (unsigned i = 0; i < notes; i++)
		wrong += has_inode(ix, &b->note[i]) != (b->note[i].seq <= seq);
	assert_int_equal(wrong, 0);
}

/* The checkpoint in force as an index of its own. */
static struct index *open_copy(struct busy *b)
{
	struct kit *k = b->k;
	struct index_options io = kit_index(k, b->copy);
	struct index *ix;
	uint32_t fetched;

	OK(checkpoint_restore_index(k->store, &k->ck->base, &io, false,
				    &fetched));
	OK(index_open(&io, &ix));
	return ix;
}

static void many_checkpoints(struct busy *b, unsigned n)
{
	struct kit *k = b->k;

	start_work(b);
	for (unsigned i = 0; i < n; i++) {
		struct index *ix;
		unsigned notes;

		kit_run(k);
		ix = open_copy(b);
		index_lock(ix);
		assert_int_equal(index_seq(ix), k->ck->base.seq);
		index_unlock(ix);
		OK(index_check(ix, kit_finding, NULL));
		mutex_lock(&b->mu);
		notes = b->notes;
		mutex_unlock(&b->mu);
		judge(b, ix, notes);
		OK(index_close(ix, false));
	}
	stop_work(b);
	printf("files: %u\n", b->notes);
}

/* After a crash: what was committed, and of the rest a prefix. */
static void recover_and_judge(struct busy *b)
{
	struct kit *k = b->k;

	OK(commit_all(k->commit));
	kit_crash(k);
	kit_lose_local(k);
	kit_mount(k);
	kit_check(k);
	kit_compare(k);
	judge(b, k->ix, b->notes);
	for (unsigned i = 0; i < b->notes; i++)
		if (b->note[i].data && (i % 17 == 0 || i + 500 > b->notes))
			OK(kit_read_small(k, b->note[i].data));
}

static void test_names(void **state)
{
	struct busy *b = *state;

	b->failures = true;
	many_checkpoints(b, 12);
	recover_and_judge(b);
}

static void test_names_and_data(void **state)
{
	struct busy *b = *state;

	b->smalls = true;
	many_checkpoints(b, 12);
	recover_and_judge(b);
}

/*
 * What is added between steps 1 and 2 of a run is only in the journal when the
 * checkpoint is made, and stays there (C3).
 */
static void test_carried_across_a_checkpoint(void **state)
{
	struct busy *b = *state;
	struct kit *k = b->k;
	unsigned carried = 0;

	b->smalls = true;
	b->no_commits = true;
	for (unsigned i = 0; i < 12; i++) {
		start_work(b);
		kit_run(k);
		stop_work(b);
		carried += k->ck->base.bytes_from <= k->ck->base.seq;
		recover_and_judge(b);
	}
	printf("carried: %u\n", carried);
	assert_true(carried > 0);
}

/* ---- byte for byte: the old checkpoint and the journal give the new one */

struct catch_up {
	struct index *ix;
	uint64_t to;
};

static int replay_one(void *arg, uint64_t seq, const void *payload, size_t len)
{
	struct catch_up *c = arg;
	struct reader r = reader_of(payload, len);
	uint64_t log_len = reader_varint(&r);

	if (seq > c->to)
		return 1;
	return index_replay(c->ix, seq, reader_take(&r, log_len), log_len);
}

static void compare_with(struct kit *k, struct index *ix)
{
	const struct manifest *m = &k->ck->base;
	uint8_t *pool = mem_alloc(INDEX_REGION), *own = mem_alloc(INDEX_REGION);

	index_lock(ix);
	assert_int_equal(index_seq(ix), m->seq);
	assert_int_equal(REGIONS_FOR(index_bytes(ix) / INDEX_PAGE), m->regions);
	for (uint32_t r = 0; r < m->regions; r++) {
		OK(index_region_read(ix, r, own));
		OK(manifest_read_region(k->store, m, r, pool));
		assert_memory_equal(own, pool, INDEX_REGION);
	}
	index_unlock(ix);
	mem_free(pool);
	mem_free(own);
}

static void test_replay_gives_the_same_bytes(void **state)
{
	struct busy *b = *state;
	struct kit *k = b->k;

	b->failures = true;
	checkpoint_set_journal(k->ck, NULL); /* nothing is released */
	start_work(b);
	for (unsigned i = 0; i < 8; i++) {
		struct journal_scan_result got;
		struct catch_up c = {.ix = open_copy(b)};
		uint64_t from = k->ck->base.seq + 1;
		int rc;

		kit_run(k);
		c.to = k->ck->base.seq;
		rc = journal_scan(k->pool, k->ck->base.epoch_id, from,
				  replay_one, &c, &got);
		assert_in_range(rc, 0, 1);
		compare_with(k, c.ix);
		OK(index_close(c.ix, false));
	}
	stop_work(b);
	checkpoint_set_journal(k->ck, k->journal);
}

/* ---- P6 ---- */

static void test_without_journal_nothing_is_carried(void **state)
{
	struct busy *b = *state;
	struct kit *k = b->k;
	unsigned refused = 0, made = 0;

	kit_crash(k);
	k->no_journal = true;
	kit_mount(k);
	b->smalls = true;
	start_work(b);
	for (unsigned i = 0; i < 30; i++) {
		int rc = checkpoint_run(k->ck, NULL, NULL);

		if (rc == 0)
			assert_int_equal(k->ck->base.bytes_from,
					 k->ck->base.seq + 1);
		else
			assert_int_equal(rc, -ERR_UNAVAILABLE);
		refused += rc != 0;
		made += rc == 0;
	}
	stop_work(b);
	kit_run(k);
	printf("refused: %u, made: %u\n", refused, made);
	recover_and_judge(b);
}

/* ---- many that want one ---- */

static void run_job(void *arg)
{
	struct busy *b = arg;
	uint8_t hash[32];
	uint64_t seq;
	struct checkpoint_stats st;
	int rc = checkpoint_run(b->k->ck, hash, &seq);

	(void)checkpoint_due(b->k->ck);
	(void)checkpoint_reserve(b->k->ck);
	checkpoint_get_stats(b->k->ck, &st);
	MUTEX_GUARD(&b->mu);
	if (rc < 0 || st.seq < seq)
		b->rc = rc < 0 ? rc : -EINVAL;
}

static void test_runs_are_serialised(void **state)
{
	struct busy *b = *state;
	struct checkpoint_stats st;

	for (unsigned i = 0; i < 20; i++)
		OK(workq_submit(b->q, run_job, b));
	workq_drain(b->q);
	OK(b->rc);
	checkpoint_get_stats(b->k->ck, &st);
	assert_int_equal(st.runs, 21);
	assert_int_equal(st.failed, 0);
	kit_compare(b->k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BUSY(test_names),
		BUSY(test_names_and_data),
		BUSY(test_carried_across_a_checkpoint),
		BUSY(test_replay_gives_the_same_bytes),
		BUSY(test_without_journal_nothing_is_carried),
		BUSY(test_runs_are_serialised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
