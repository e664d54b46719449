/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal at work: copies, files, failures. Inline mode; what needs threads
 * is in test_journal_threads.c. Numbers (J1, C2 ...) are those of journal.c.
 */
#include "unit/meta/journal_kit.h"

#include <sys/stat.h>

/* ---- round trips ---- */

static void roundtrip(unsigned n, unsigned m)
{
	struct kit *k = kit_new(n, m);
	struct journal_stats st;
	unsigned holders;

	kit_start(k);
	kit_append(k, 120);
	journal_get_stats(k->j, &st);
	assert_int_equal(st.copies, m + 1);
	assert_int_equal(st.copies_wanted, m + 1);
	assert_int_equal(st.records, 120);
	assert_int_equal(st.replaced, 0);
	assert_true(st.used_bytes >= st.bytes);
	holders = kit_holders(k);
	assert_int_equal(__builtin_popcount(holders), m + 1);
	kit_stop(k);
	for (unsigned set = 1; set < 1u << n; set++) {
		struct journal_scan_result r = kit_scan(k, set, 1);

		assert_int_equal(r.last_seq, set & holders ? 120 : 0);
		assert_int_equal(r.acked, set & holders ? 119 : 0);
		assert_int_equal(r.damaged, 0);
		assert_false(r.lost);
	}
	kit_free(k);
}

static void test_roundtrip(void **state)
{
	(void)state;
	roundtrip(1, 0);
	roundtrip(3, 0);
	roundtrip(2, 1);
	roundtrip(5, 1);
	roundtrip(5, 2);
	roundtrip(4, 3);
}

static void test_chacha(void **state)
{
	struct kit *k = kit_new(2, 1);

	(void)state;
	k->pool.geo.cipher = CIPHER_CHACHA20_POLY1305;
	kit_start(k);
	kit_append(k, 20);
	kit_check_each(k, 3);
	kit_free(k);
}

/* Files grow from the shortest to the longest, and there are many. */
static void test_files_grow(void **state)
{
	struct kit *k = kit_new(2, 1);
	static struct kit_dir d;
	uint64_t longest = 0;

	(void)state;
	k->max_len = 6000;
	kit_start(k);
	kit_list(k, 0, &d);
	assert_int_equal(d.n, 1);
	assert_int_equal(d.at[0].size, 16384);
	assert_string_equal(d.at[0].name, "journal/0000000000000007-00000001");
	kit_append(k, 150);
	kit_list(k, 0, &d);
	assert_true(d.n > 5);
	for (unsigned i = 0; i < d.n; i++) {
		assert_true(d.at[i].size >= longest);
		longest = d.at[i].size;
	}
	assert_int_equal(longest, 131072);
	kit_check_each(k, 3);
	kit_free(k);
}

/* A record longer than the file that was made ahead. */
static void test_large_record(void **state)
{
	const size_t len = 3u << 20;
	AUTO_FREE uint8_t *p = mem_zalloc(len);
	struct kit *k = kit_new(2, 1);
	struct journal_scan_result r;

	(void)state;
	assert_non_null(p);
	kit_start(k);
	kit_append(k, 3);
	assert_int_equal(journal_append(k->j, 4, 3, p,
					(size_t)JOURNAL_RECORD_MAX + 1),
			 -EFBIG);
	kit_append(k, 1);
	k->max_len = 0; /* the big one is not of the model */
	assert_int_equal(journal_append(k->j, 5, 4, p, len), 0);
	assert_int_equal(journal_append(k->j, 6, 5, p, len), 0);
	k->acked = 6;
	r = kit_scan(k, KIT_ALL, 7);
	assert_int_equal(r.acked, 5);
	assert_int_equal(r.last_seq, 6);
	k->max_len = 20000;
	kit_append(k, 5);
	k->covered = 6;
	kit_check_each(k, 3);
	kit_free(k);
}

static void test_largest_record(void **state)
{
	AUTO_FREE uint8_t *p = mem_zalloc(JOURNAL_RECORD_MAX);
	struct kit *k = kit_new(1, 0);

	(void)state;
	assert_non_null(p);
	kit_start(k);
	assert_int_equal(journal_append(k->j, 1, 0, p, JOURNAL_RECORD_MAX), 0);
	k->acked = k->covered = 1;
	kit_append(k, 2);
	kit_check_each(k, 1);
	kit_free(k);
}

/* ---- who holds copies ---- */

static void test_placement(void **state)
{
	struct kit *k = kit_new(5, 2);

	(void)state;
	kit_start(k);
	assert_int_equal(kit_holders(k), 7); /* all equal: by slot */
	assert_int_equal(kit_spare(k), 3);
	kit_free(k);

	k = kit_new(5, 2);
	kit_fault(k, 0, (struct fault_rule){.kind = FAULT_FULL});
	kit_fault(k, 2, (struct fault_rule){.kind = FAULT_FULL});
	kit_start(k);
	assert_int_equal(kit_holders(k), 26); /* those with free space */
	kit_free(k);
}

static void test_spare_is_empty(void **state)
{
	struct kit *k = kit_new(4, 1);
	static struct kit_dir d;

	(void)state;
	kit_start(k);
	kit_append(k, 30);
	assert_int_equal(kit_holders(k), 3);
	kit_list(k, 2, &d);
	assert_int_equal(d.n, 1);
	assert_string_equal(d.at[0].name, "journal/0000000000000007-00000000");
	assert_int_equal(kit_count_files(k, 3), 0);
	kit_free(k);
}

/* Places that fail together count as one as long as there are others. */
static void test_domains(void **state)
{
	struct kit *k = kit_new(3, 1);
	const char *tmp = getenv("TMPDIR");
	AUTO_FREE char *top =
		mem_printf("%s/journal-XXXXXX", tmp ? tmp : "/tmp");
	char *path[2];

	(void)state;
	assert_non_null(mkdtemp(top));
	for (unsigned i = 0; i < 2; i++) {
		path[i] = mem_printf("%s/%u", top, i);
		assert_int_equal(mkdir(path[i], 0700), 0);
		backend_close(k->pool.member[i].backend, KIT_CLOSE_MS);
		mem_driver_forget(k->loc[i] + strlen("fault:mem:"));
		snprintf(k->loc[i], sizeof(k->loc[i]), "fault:dir:%s", path[i]);
		kit_attach(k, i);
	}
	kit_start(k);
	assert_true(kit_holders(k) & 4); /* alone in its domain */
	kit_append(k, 5);
	kit_check_each(k, kit_holders(k));
	journal_free(steal(&k->j), true);
	kit_free(k);
	for (unsigned i = 0; i < 2; i++) {
		AUTO_FREE char *folder = mem_printf("%s/journal", path[i]);

		(void)!rmdir(folder); /* not on each */
		assert_int_equal(rmdir(path[i]), 0);
		mem_free(path[i]);
	}
	assert_int_equal(rmdir(top), 0);
}

/* A spare that is gone is no spare. */
static void test_spare_goes_down(void **state)
{
	struct kit *k = kit_new(5, 1);

	(void)state;
	kit_start(k);
	assert_int_equal(kit_spare(k), 2);
	backend_set_down(k->pool.member[2].backend, true);
	kit_append(k, 10);
	assert_int_equal(kit_spare(k), 3);
	kit_free(k);

	k = kit_new(5, 1);
	kit_start(k);
	backend_set_down(k->pool.member[2].backend, true);
	kit_fault(k, 0, (struct fault_rule){.kind = FAULT_ERROR, .err = EIO});
	kit_append(k, 1);
	assert_int_equal(kit_holders(k), 10);
	kit_clear(k, 0);
	kit_check_each(k, 10);
	kit_free(k);
}

static void test_fewer_members_than_copies(void **state)
{
	struct kit *k = kit_new(4, 2);
	struct journal_stats st;
	struct backend *hidden[3] = {0};

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		hidden[i] = steal(&k->pool.member[i].backend);
	kit_start(k);
	kit_append(k, 10);
	journal_get_stats(k->j, &st);
	assert_int_equal(st.copies, 1);
	assert_int_equal(st.copies_wanted, 3);
	kit_check_each(k, 8);
	/* They come back, and get what they lack with the next record. */
	for (unsigned i = 0; i < 3; i++)
		k->pool.member[i].backend = hidden[i];
	kit_append(k, 1);
	journal_get_stats(k->j, &st);
	assert_int_equal(st.copies, 3);
	kit_check_each(k, kit_holders(k));
	kit_free(k);
}

static void test_no_member(void **state)
{
	struct kit *k = kit_new(2, 1);
	struct backend *hidden[2] = {steal(&k->pool.member[0].backend),
				     steal(&k->pool.member[1].backend)};

	(void)state;
	assert_int_equal(kit_try_start(k), -ERR_UNAVAILABLE);
	for (unsigned i = 0; i < 2; i++) {
		k->pool.member[i].backend = hidden[i];
		kit_fault(k, i, (struct fault_rule){.kind = FAULT_FULL});
	}
	assert_int_equal(kit_try_start(k), -ENOSPC);
	assert_int_equal(kit_count_files(k, 0), 0);
	kit_free(k);
}

/* ---- replacing a copy ---- */

static void replace(struct fault_rule rule, unsigned before)
{
	struct kit *k = kit_new(4, 1);
	struct journal_stats st;

	kit_start(k);
	kit_append(k, before);
	kit_fault(k, 0, rule);
	for (unsigned i = 0; i < 40 && kit_holders(k) == 3; i++)
		kit_append(k, 1);
	assert_int_equal(kit_holders(k), 6); /* the spare took over */
	journal_get_stats(k->j, &st);
	assert_int_equal(st.copies, 2);
	assert_int_equal(st.replaced, 1);
	assert_true(fault_hits(k->loc[0]) > 0);
	kit_check(k, 4); /* the new one alone */
	kit_check(k, 2);
	kit_append(k, 30);
	assert_int_equal(kit_spare(k), 3);
	kit_check_each(k, 6);
	kit_stop(k);
	kit_check(k, 4);
	kit_free(k);
}

static void test_replace(void **state)
{
	static const struct fault_rule rule[] = {
		{.kind = FAULT_ERROR, .err = EIO, .ops = FAULT_OP_WRITE},
		{.kind = FAULT_ERROR, .err = EROFS},
		{.kind = FAULT_ERROR, .err = EIO, .ops = FAULT_OP_CREATE},
		{.kind = FAULT_ERROR, .err = EIO, .ops = FAULT_OP_SYNC},
		{.kind = FAULT_TORN},
		{.kind = FAULT_VANISH},
		{.kind = FAULT_FULL},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rule); i++) {
		replace(rule[i], 0);
		replace(rule[i], 1);
		replace(rule[i], 25);
	}
}

/* One after the other fails; what was never released survives all moves. */
static void test_replace_again_and_again(void **state)
{
	struct kit *k = kit_new(6, 1);
	struct journal_stats st;

	(void)state;
	kit_start(k);
	for (unsigned i = 0; i < 4; i++) {
		kit_append(k, 15);
		kit_fault(k, i,
			  (struct fault_rule){.kind = FAULT_ERROR,
					      .err = EIO,
					      .ops = FAULT_OP_WRITE});
		kit_append(k, 1);
		kit_check_each(k, kit_holders(k));
	}
	journal_get_stats(k->j, &st);
	assert_int_equal(st.replaced, 4);
	assert_int_equal(kit_holders(k), 48);
	kit_free(k);
}

/* Its own member is taken again, in new files (C7, J7). */
static void test_replace_by_itself(void **state)
{
	struct kit *k = kit_new(2, 1);
	static struct kit_dir d;

	(void)state;
	kit_start(k);
	kit_append(k, 10);
	kit_fault(k, 1,
		  (struct fault_rule){.kind = FAULT_ERROR,
				      .err = EIO,
				      .ops = FAULT_OP_WRITE,
				      .times = 1});
	kit_append(k, 1);
	assert_int_equal(kit_holders(k), 3);
	kit_check_each(k, 3);
	kit_list(k, 1, &d);
	assert_non_null(strstr(d.at[d.n - 1].name, ".1"));
	/* The old one may still be of use until its records are covered. */
	assert_null(strstr(d.at[0].name, ".1"));
	kit_append(k, 30);
	kit_check_each(k, 3);
	/* The old attempt goes with the files it was a copy of. */
	kit_release(k, k->acked);
	kit_list(k, 1, &d);
	for (unsigned i = 0; i < d.n; i++)
		assert_non_null(strstr(d.at[i].name, ".1"));
	kit_free(k);
}

/* No other member, and it does not work: C2 asks for min(m+1, u). */
static void test_copy_lost_for_good(void **state)
{
	struct kit *k = kit_new(2, 1);
	struct journal_stats st;

	(void)state;
	kit_start(k);
	kit_append(k, 10);
	kit_fault(k, 0, (struct fault_rule){.kind = FAULT_ERROR, .err = EIO});
	kit_append(k, 20);
	journal_get_stats(k->j, &st);
	assert_int_equal(st.copies, 1);
	kit_check_each(k, 2);
	kit_free(k);
}

/* A member that is up but full counts in u. */
static void test_full_member_counts(void **state)
{
	struct kit *k = kit_new(2, 1);
	struct journal_stats st;

	(void)state;
	kit_start(k);
	kit_append(k, 10);
	kit_fault(k, 0, (struct fault_rule){.kind = FAULT_FULL});
	assert_int_equal(kit_try_append(k), -ENOSPC);
	assert_int_equal(kit_try_append(k), -ENOSPC);
	kit_check(k, KIT_ALL);
	kit_check(k, 2);
	/* It goes down: then it does not. */
	backend_set_down(k->pool.member[0].backend, true);
	kit_append(k, 5);
	journal_get_stats(k->j, &st);
	assert_int_equal(st.copies, 1);
	kit_check_each(k, 2);
	kit_free(k);
}

/* Copies there must be now: members that are up and those that hold one. */
static void check_enough(struct kit *k)
{
	unsigned holders = kit_holders(k), u = holders;

	for (unsigned i = 0; i < k->pool.n; i++) {
		struct backend *b = k->pool.member[i].backend;

		if (b && backend_get_state(b) != BACKEND_DOWN)
			u |= 1u << i;
	}
	assert_true((unsigned)__builtin_popcount(holders) >=
		    MIN(k->pool.geo.m + 1u, (unsigned)__builtin_popcount(u)));
}

/* Two members fail once each: that is no reason to do with one copy (C2). */
static void test_failing_once_is_no_excuse(void **state)
{
	static const struct fault_rule rule[] = {
		{.kind = FAULT_ERROR, .err = EIO, .ops = FAULT_OP_CREATE},
		{.kind = FAULT_ERROR, .err = EROFS, .ops = FAULT_OP_CREATE},
		{.kind = FAULT_ERROR, .err = EACCES, .ops = FAULT_OP_RENAME},
		{.kind = FAULT_ERROR, .err = EIO, .ops = FAULT_OP_WRITE},
		{.kind = FAULT_VANISH},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rule) * 3; i++) {
		struct fault_rule r = rule[i / 3];
		struct kit *k = kit_new(3, 1);

		r.times = 1;
		r.skip = i % 3;
		kit_start(k);
		kit_append(k, 10);
		assert_int_equal(kit_spare(k), 2);
		kit_fault(k, 1,
			  (struct fault_rule){.kind = FAULT_ERROR,
					      .err = EIO,
					      .ops = FAULT_OP_WRITE,
					      .times = 1});
		kit_fault(k, 1, r);
		kit_fault(k, 2, r);
		kit_append(k, 1);
		check_enough(k);
		assert_int_equal(__builtin_popcount(kit_holders(k)), 2);
		kit_check_each(k, kit_holders(k));
		kit_free(k);
	}
}

/* It answers well but for this, so it is never DOWN: then it is an error. */
static void test_who_answers_counts(void **state)
{
	struct kit *k = kit_new(2, 1);

	(void)state;
	kit_start(k);
	kit_append(k, 10);
	kit_fault(k, 1,
		  (struct fault_rule){.kind = FAULT_ERROR,
				      .err = ENOTDIR,
				      .prefix = "journal/"});
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(kit_try_append(k), -EIO);
	kit_check(k, KIT_ALL);
	/* It goes down: then one copy is all there can be. */
	backend_set_down(k->pool.member[1].backend, true);
	kit_append(k, 3);
	kit_check_each(k, 1);
	/* It comes back, and is in order. */
	kit_clear(k, 1);
	backend_set_down(k->pool.member[1].backend, false);
	while (backend_get_state(k->pool.member[1].backend) != BACKEND_UP)
		assert_int_equal(backend_probe(k->pool.member[1].backend, 1000),
				 0);
	kit_append(k, 1);
	assert_int_equal(kit_holders(k), 3);
	kit_check_each(k, 3);
	kit_free(k);
}

/* Our own lack of memory is no reason to do with fewer copies either. */
static void test_no_memory_for_a_copy(void **state)
{
	(void)state;
	for (uint64_t i = 1; i < 60; i++) {
		struct kit *k = kit_new(3, 1);
		int rc;

		kit_start(k);
		kit_append(k, 5);
		kit_fault(k, 1,
			  (struct fault_rule){.kind = FAULT_ERROR,
					      .err = EIO,
					      .ops = FAULT_OP_WRITE,
					      .times = 1});
		mem_fail_at(i, 0);
		rc = kit_try_append(k);
		mem_fail_at(0, 0);
		if (rc == 0)
			check_enough(k);
		kit_append(k, 1);
		check_enough(k);
		kit_check_each(k, kit_holders(k));
		kit_free(k);
	}
}

/* ---- failed appends ---- */

static void fail_all(struct kit *k, struct fault_rule rule)
{
	for (unsigned i = 0; i < k->pool.n; i++)
		kit_fault(k, i, rule);
}

/* The same record again goes to a new file, and is found once (C9). */
static void test_failed_append(void **state)
{
	struct kit *k = kit_new(3, 1);

	(void)state;
	kit_start(k);
	for (unsigned round = 0; round < 6; round++) {
		kit_append(k, 1 + round * 3);
		fail_all(k, (struct fault_rule){.kind = round % 2 ? FAULT_TORN
								  : FAULT_ERROR,
						.err = EIO,
						.ops = FAULT_OP_WRITE,
						.times = 1});
		assert_int_not_equal(kit_try_append(k), 0);
		clear_all(k);
		kit_check(k, KIT_ALL);
		kit_append(k, 1);
		kit_check_each(k, kit_holders(k));
	}
	kit_free(k);
}

/* What an append failed on is not recycled: it takes no more writes (C7). */
static void test_spoiled_file_is_not_used_again(void **state)
{
	struct kit *k = kit_new(2, 1);

	(void)state;
	k->file_max = k->file_min;
	k->max_len = 2000;
	kit_start(k);
	for (unsigned round = 0; round < 10; round++) {
		kit_append(k, 1);
		fail_all(k, (struct fault_rule){.kind = FAULT_ERROR,
						.err = EIO,
						.ops = FAULT_OP_WRITE,
						.times = 1});
		assert_int_not_equal(kit_try_append(k), 0);
		clear_all(k);
		for (unsigned i = 0; i < 12; i++) {
			kit_append(k, 1);
			kit_release(k, k->acked);
			kit_check_each(k, 3);
		}
	}
	kit_free(k);
}

/* A file made ahead was late, and another took its place (J5). */
static void test_file_made_ahead_too_late(void **state)
{
	struct kit *k = kit_new(2, 1);
	struct journal_file *late;

	(void)state;
	kit_start(k);
	kit_append(k, 2);
	late = journal_file_new(k->j, k->file_min);
	for (unsigned round = 0; round < 2; round++) {
		fail_all(k, (struct fault_rule){.kind = FAULT_ERROR,
						.err = EIO,
						.ops = FAULT_OP_WRITE,
						.times = 1});
		assert_int_not_equal(kit_try_append(k), 0);
		clear_all(k);
		mutex_lock(&k->j->mu);
		journal_file_bury_locked(k->j, steal(&k->j->next));
		if (round == 1)
			k->j->next = late;
		mutex_unlock(&k->j->mu);
		kit_append(k, 1);
	}
	kit_append(k, 10);
	kit_check_each(k, 3);
	kit_free(k);
}

/* Written on all copies, and still refused: the retry must win (C9). */
static void test_record_written_twice(void **state)
{
	struct kit *k = kit_new(2, 1);
	struct journal_scan_result r;

	(void)state;
	kit_start(k);
	kit_append(k, 4);
	/* durable on member 1 alone, and member 0 is full: an error */
	kit_fault(k, 0, (struct fault_rule){.kind = FAULT_FULL});
	assert_int_equal(kit_try_append(k), -ENOSPC);
	r = kit_scan(k, 2, 1);
	assert_int_equal(r.last_seq, 5);
	clear_all(k);
	k->j->member[0].retry_ns = 0; /* as if time had passed */
	kit_append(k, 6);
	assert_int_equal(kit_holders(k), 3);
	kit_check_each(k, 3);
	r = kit_scan(k, KIT_ALL, 1);
	assert_int_equal(r.last_seq, 10);
	assert_int_equal(r.damaged, 0);
	kit_free(k);
}

/* Every allocation of every step may fail; nothing acknowledged is lost. */
static void test_no_memory(void **state)
{
	struct kit *k = kit_new(4, 1);
	struct journal_scan_result r;
	unsigned failed = 0;
	int rc = -ENOMEM;

	(void)state;
	for (uint64_t i = 1; rc; i++) {
		mem_fail_at(i, 0);
		rc = kit_try_start(k);
		mem_fail_at(0, 0);
		assert_true(rc == 0 || rc == -ENOMEM || rc == -ERR_UNAVAILABLE);
	}
	for (uint64_t i = 1; i < 400; i++) {
		uint64_t acked = k->acked;

		mem_fail_at(i % 40 + 1, 0);
		failed += kit_try_append(k) != 0;
		mem_fail_at(0, 0);
		if (acked < k->acked && i % 16 == 0)
			kit_check_each(k, kit_holders(k));
	}
	assert_true(failed > 10 && k->acked > 50);
	kit_append(k, 1);
	kit_check_each(k, kit_holders(k));
	rc = -ENOMEM;
	for (uint64_t i = 1; rc; i++) {
		mem_fail_at(i, 0);
		rc = kit_try_scan(k, KIT_ALL, 1, &r);
		mem_fail_at(0, 0);
	}
	assert_int_equal(r.last_seq, k->acked);
	kit_free(k);
}

/* ---- sizes ---- */

static void test_limits(void **state)
{
	struct kit *k = kit_new(2, 1);
	struct journal_stats st;
	const struct journal_options o = {.pool = &k->pool, .next_seq = 9};

	(void)state;
	assert_int_equal(journal_new(&o, &k->j), 0);
	journal_get_stats(k->j, &st);
	assert_int_equal(st.limit_bytes, 4ull * JOURNAL_FILE_MAX);
	assert_int_equal(st.used_bytes, JOURNAL_BLOCK);
	assert_int_equal(k->j->file_min, JOURNAL_FILE_MIN);
	kit_free(k);
}

/* Of the usual sizes: the second file is twice the first, all of it zeros. */
static void test_default_sizes(void **state)
{
	const size_t len = 700000;
	AUTO_FREE uint8_t *p = mem_zalloc(len);
	struct kit *k = kit_new(2, 1);
	static struct kit_dir d;
	uint64_t seq;

	(void)state;
	assert_non_null(p);
	k->file_min = k->file_max = 0;
	kit_start(k);
	for (seq = 1; seq < 5; seq++)
		assert_int_equal(journal_append(k->j, seq, seq - 1, p, len), 0);
	kit_list(k, 0, &d);
	assert_int_equal(d.n, 2);
	assert_int_equal(d.at[0].size, JOURNAL_FILE_MIN);
	assert_int_equal(d.at[1].size, 2 * JOURNAL_FILE_MIN);
	for (; seq < 20; seq++)
		assert_int_equal(journal_append(k->j, seq, seq - 1, p, len), 0);
	k->acked = k->covered = seq - 1;
	kit_append(k, 3);
	kit_check_each(k, 3);
	kit_free(k);
}

/* ---- everything at random, against the model ---- */

static struct fault_rule random_rule(void)
{
	static const struct fault_rule rule[] = {
		{.kind = FAULT_ERROR, .err = EIO, .ops = FAULT_OP_WRITE},
		{.kind = FAULT_ERROR, .err = EIO, .ops = FAULT_OP_CREATE},
		{.kind = FAULT_ERROR, .err = EIO, .ops = FAULT_OP_RENAME},
		{.kind = FAULT_ERROR, .err = EIO, .ops = FAULT_OP_REMOVE},
		{.kind = FAULT_ERROR, .err = EIO, .ops = FAULT_OP_LIST},
		{.kind = FAULT_ERROR, .err = EACCES},
		{.kind = FAULT_TORN},
		{.kind = FAULT_FULL},
		{.kind = FAULT_VANISH},
	};
	struct fault_rule r = rule[rnd_below(ARRAY_LEN(rule))];

	r.skip = rnd_below(4);
	r.times = 1 + rnd_below(5);
	return r;
}

static void one_life(uint64_t seed)
{
	unsigned n = 1 + (unsigned)rnd_below(KIT_MEMBERS);
	struct kit *k = kit_new(n, (unsigned)rnd_below(MIN(n, 4u)));

	(void)seed;
	k->max_len = 1u << (8 + rnd_below(8));
	kit_start(k);
	for (unsigned step = 0; step < 60; step++) {
		uint64_t what = rnd_below(10);

		if (what < 7 && kit_try_append(k) == 0)
			check_enough(k);
		else if (what < 7)
			continue;
		else if (what == 7 && k->acked > k->covered)
			kit_release(k,
				    k->covered + 1 +
					    rnd_below(k->acked - k->covered));
		else if (what == 8)
			kit_fault(k, (unsigned)rnd_below(n), random_rule());
		else
			check_healthy(k);
	}
	check_healthy(k);
	kit_stop(k);
	kit_check(k, KIT_ALL);
	kit_free(k);
}

static void test_model(void **state)
{
	uint64_t seed = test_seed();

	(void)state;
	for (unsigned i = 0; i < 60; i++) {
		rnd_seed(seed + i);
		one_life(seed + i);
	}
	rnd_unseed();
}

static int inline_on(void **state)
{
	(void)state;
	workq_inline(true);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roundtrip),
		cmocka_unit_test(test_chacha),
		cmocka_unit_test(test_files_grow),
		cmocka_unit_test(test_large_record),
		cmocka_unit_test(test_largest_record),
		cmocka_unit_test(test_placement),
		cmocka_unit_test(test_spare_is_empty),
		cmocka_unit_test(test_domains),
		cmocka_unit_test(test_spare_goes_down),
		cmocka_unit_test(test_fewer_members_than_copies),
		cmocka_unit_test(test_no_member),
		cmocka_unit_test(test_replace),
		cmocka_unit_test(test_replace_again_and_again),
		cmocka_unit_test(test_replace_by_itself),
		cmocka_unit_test(test_copy_lost_for_good),
		cmocka_unit_test(test_full_member_counts),
		cmocka_unit_test(test_failing_once_is_no_excuse),
		cmocka_unit_test(test_who_answers_counts),
		cmocka_unit_test(test_no_memory_for_a_copy),
		cmocka_unit_test(test_failed_append),
		cmocka_unit_test(test_spoiled_file_is_not_used_again),
		cmocka_unit_test(test_file_made_ahead_too_late),
		cmocka_unit_test(test_record_written_twice),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_default_sizes),
		cmocka_unit_test(test_model),
	};

	return cmocka_run_group_tests(tests, inline_on, NULL);
}
