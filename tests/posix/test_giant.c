/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations with very many rows: they end at once, go on in the background in
 * small steps, hold up nobody, and fit into records whatever the journal does.
 */
#include "posix_check.h"

#include <stdatomic.h>

#include "base/must.h"
#include "base/workq.h"

#define ROW_STEP    KIT_SLOT
#define PER_SEG	    1000
#define FAR	    (1ULL << 50) /* numbers that are long in a record */
#define STALL_MS    20
#define LOG_LIMIT   ((2u << 20) + (64u << 10)) /* K5, and an operation */
#define PATIENCE_MS 20000

/* Timing is asserted if asked for: other things run on the machine, too. */
static bool times_count(void)
{
	return getenv("MENDFS_TEST_TIMES") != NULL;
}

static uint64_t rows_wanted(uint64_t usual)
{
	return getenv("MENDFS_TEST_ALL") ? 10 * usual : usual;
}

/* ---- files of very many rows, without the data ---- */

static struct extent_row one_row(uint64_t data, uint64_t off, uint64_t segment)
{
	struct extent_row row = {
		.data = data,
		.off = off,
		.len = 4096,
		.segment = {segment},
		.n = 1,
		.ref[0] = {.stored_len = 1000,
			   .plain_len = 4096,
			   .codec = CODEC_ZSTD},
	};

	return row;
}

static uint64_t fake_segment(struct kit *k)
{
	struct seg_desc d = {
		.id = {index_next(k->v->ix, COUNTER_SEGMENT)},
		.kind = SEG_DATA,
		.stripe = {77},
		.k = 4,
		.m = 2,
		.payload_len = 1 << 20,
		.table_pos = 1 << 20,
		.bound = {1 << 20, 1 << 20, 1 << 20, 1 << 20},
		.home = {0, 1, 2, 3, 4, 5},
	};

	OK(segment_insert(k->v->ix, &d, SEG_OPEN));
	return d.id.v;
}

static void put_rows(struct kit *k, uint64_t data, uint64_t from, uint64_t n,
		     uint64_t *segment)
{
	OK(index_begin(k->v->ix));
	for (uint64_t i = from; i < from + n; i++) {
		struct extent_row row;

		if (i % PER_SEG == 0)
			*segment = fake_segment(k);
		row = one_row(data, FAR + i * ROW_STEP, *segment);
		OK(extent_put(k->v->ix, &row));
	}
	OK(index_end(k->v->ix, 0));
	commit_maybe(k->v->commit);
}

/* Rows one step apart from FAR on; nobody reads them. */
static uint64_t giant(struct kit *k, const char *name, uint64_t rows)
{
	uint64_t ino = kit_new_file(k, name), segment = 0;
	struct node *n;

	OK(kit_set_size(k, ino, FAR + rows * ROW_STEP));
	OK(node_get(k->v, ino, &n));
	for (uint64_t i = 0; i < rows; i += 250)
		put_rows(k, n->row.data, i, MIN(250, rows - i), &segment);
	n->stored_known = false;
	node_put(n);
	OK(volume_sync(k->v));
	return ino;
}

static uint64_t count_rows(struct kit *k, uint64_t data)
{
	int n;

	index_lock(k->v->ix);
	n = extent_count(k->v->ix, data, 10000000);
	index_unlock(k->v->ix);
	OK(n);
	return (uint64_t)n;
}

static uint64_t data_of(struct kit *k, uint64_t ino)
{
	struct inode_row row;

	index_lock(k->v->ix);
	OK(inode_get(k->v->ix, ino, &row));
	index_unlock(k->v->ix);
	return row.data;
}

static void until_synced(struct kit *k)
{
	uint64_t end = clock_mono_ms() + PATIENCE_MS;
	int rc;

	while ((rc = volume_sync(k->v)) < 0) {
		if (clock_mono_ms() > end)
			fail_msg("still %s", err_name(rc));
		usleep(20000);
	}
}

/* ---- K5: in an outage of the journal ---- */

static void cut_in_an_outage(void **state)
{
	struct kit *k = *state;
	uint64_t rows = rows_wanted(250000), data, left, begun;
	uint64_t ino = giant(k, "giant", rows);
	int rc;

	data = data_of(k, ino);
	service_stop(k->v);
	kit_fault_all(k, (struct fault_rule){.kind = FAULT_FULL,
					     .ops = FAULT_OP_ALL,
					     .prefix = "journal/"});
	OK(kit_try_mk(k, ROOT_INO, "before", S_IFREG | 0644));
	assert_true(volume_sync(k->v) < 0);
	begun = clock_mono_ms();
	OK(kit_set_size(k, ino, FAR + 10 * ROW_STEP));
	printf("cut in %llu ms\n",
	       (unsigned long long)(clock_mono_ms() - begun));
	assert_int_equal(kit_attr(k, ino).size, FAR + 10 * ROW_STEP);
	kit_write(k, ino, FAR + 100 * ROW_STEP, 100, 1);
	/* Nobody who wants it to be finished can do so, but all get an answer.
	 */
	rc = service_run_queue(k->v);
	printf("then %s, %zu bytes wait\n", err_name(rc),
	       index_pending(k->v->ix));
	assert_true(rc < 0);
	assert_true(index_pending(k->v->ix) <= LOG_LIMIT);
	left = count_rows(k, data);
	assert_true(left > 10 && left < rows);
	assert_true(kit_set_size(k, ino, 0) < 0);
	assert_true(writeback_run(k->v, ino, UINT64_MAX) < 0);
	assert_true(index_pending(k->v->ix) <= LOG_LIMIT);
	assert_true(volume_error(k->v) != -ERR_STICKY);
	/* Above the border there is nothing but what was written since. */
	kit_expect_zero(k, ino, FAR + 50 * ROW_STEP, 5000);
	kit_expect(k, ino, FAR + 100 * ROW_STEP, 100, 1);
	kit_clear(k);
	until_synced(k);
	OK(service_run_queue(k->v));
	assert_int_equal(count_rows(k, data), 11);
	assert_true(kit_has(k, ROOT_INO, "before"));
	kit_expect(k, ino, FAR + 100 * ROW_STEP, 100, 1);
	kit_sound(k);
}

/* ---- above the border, before the worker is done ---- */

static void above_the_border(void **state)
{
	struct kit *k = *state;
	uint64_t ino, data, size;

	service_stop(k->v); /* nobody works the queue off */
	ino = giant(k, "giant", 5 * ROWS_PER_OP);
	data = data_of(k, ino);
	size = FAR + 5 * ROW_STEP;
	OK(kit_set_size(k, ino, size));
	assert_true(count_rows(k, data) > 5);
	assert_int_equal(kit_attr(k, ino).blocks, 5 * 4096 / 512);
	/* It grows again by a write, and is forgotten and loaded again. */
	kit_write(k, ino, size + 20 * ROW_STEP, 100, 1);
	kit_expect_zero(k, ino, size, 4096);
	kit_expect_zero(k, ino, size + 7 * ROW_STEP, 4096);
	OK(volume_sync(k->v));
	assert_int_equal(count_rows(k, data), 6);
	kit_expect_zero(k, ino, size + 7 * ROW_STEP, 4096);
	kit_expect(k, ino, size + 20 * ROW_STEP, 100, 1);
	OK(kit_set_size(k, ino, 100));
	assert_int_equal(kit_attr(k, ino).blocks, 0);
	OK(service_run_queue(k->v));
	assert_int_equal(count_rows(k, data), 0);
	kit_sound(k);
}

/* Nobody has the inode in memory while its rows are being cut. */
static void border_of_a_loaded_inode(void **state)
{
	struct kit *k = *state;
	uint64_t ino, size = FAR + 5 * ROW_STEP;
	struct node *n;

	service_stop(k->v);
	ino = giant(k, "giant", 3 * ROWS_PER_OP);
	OK(kit_set_size(k, ino, size));
	OK(volume_sync(k->v));
	/* Thousands of others push it out. */
	for (unsigned i = 0; i < 5000; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%u", i);
		(void)kit_new_file(k, name);
	}
	assert_null(node_peek(k->v, ino));
	OK(node_get(k->v, ino, &n));
	assert_int_equal(atomic_load(&n->cut_from), size);
	node_put(n);
	assert_int_equal(kit_attr(k, ino).blocks, 5 * 4096 / 512);
	OK(kit_set_size(k, ino, size + 50 * ROW_STEP));
	kit_expect_zero(k, ino, size + 7 * ROW_STEP, 4096);
	kit_sound(k);
	kit_recrash(k);
	kit_expect_zero(k, ino, size + 7 * ROW_STEP, 4096);
}

/* ---- nobody is held up ---- */

struct bystander {
	struct kit *k;
	uint64_t ino;
	atomic_bool stop;
	uint64_t worst_ns, looks;
};

static void look_on(void *arg)
{
	struct bystander *b = arg;
	struct create_spec spec = {.mode = S_IFREG | 0644};
	struct attr a;

	while (!atomic_load(&b->stop)) {
		uint64_t begun = clock_mono_ns();

		MUST(posix_lookup(b->k->v, ROOT_INO, "other", &a) == 0);
		MUST(posix_make(b->k->v, &kit_root, ROOT_INO, "x", &spec, &a) ==
		     0);
		MUST(posix_unlink(b->k->v, ROOT_INO, "x") == 0);
		b->worst_ns = MAX(b->worst_ns, clock_mono_ns() - begun);
		b->looks++;
		usleep(200);
	}
}

static void held_up(struct kit *k, const char *what,
		    void (*fn)(struct kit *k, uint64_t ino), uint64_t ino)
{
	struct bystander b = {.k = k, .ino = ino};
	struct workq *q;

	index_forget_holds(k->v->ix);
	OK(workq_new("bystander", 1, &q));
	OK(workq_submit(q, look_on, &b));
	fn(k, ino);
	atomic_store(&b.stop, true);
	workq_free(q);
	printf("%-12s index held for %6.2f ms at most, others waited for "
	       "%6.2f ms, %llu looks\n",
	       what, (double)index_longest_hold_ns(k->v->ix) / 1e6,
	       (double)b.worst_ns / 1e6, (unsigned long long)b.looks);
	if (!times_count())
		return;
	assert_true(index_longest_hold_ns(k->v->ix) < STALL_MS * 1000000ULL);
	assert_true(b.worst_ns < STALL_MS * 1000000ULL);
}

static void do_stat(struct kit *k, uint64_t ino)
{
	(void)kit_attr(k, ino);
}

static void do_cut(struct kit *k, uint64_t ino)
{
	OK(kit_set_size(k, ino, FAR + 10 * ROW_STEP));
}

static void do_queue(struct kit *k, uint64_t ino)
{
	(void)ino;
	OK(service_run_queue(k->v));
	OK(volume_sync(k->v));
}

static void do_unlink(struct kit *k, uint64_t ino)
{
	(void)ino;
	OK(posix_unlink(k->v, ROOT_INO, "second"));
}

static void do_empty(struct kit *k, uint64_t ino)
{
	OK(kit_set_size(k, ino, 0));
}

static void do_checkpoint(struct kit *k, uint64_t ino)
{
	(void)ino;
	OK(service_checkpoint(k->v, NULL, NULL));
}

static void nobody_is_held_up(void **state)
{
	struct kit *k = *state;
	uint64_t rows = rows_wanted(60000), first, second, third;

	(void)kit_new_file(k, "other");
	service_stop(k->v);
	first = giant(k, "first", rows);
	second = giant(k, "second", rows);
	third = giant(k, "third", rows);
	held_up(k, "checkpoint", do_checkpoint, 0);
	held_up(k, "stat", do_stat, first);
	held_up(k, "truncate", do_cut, first);
	held_up(k, "its rows", do_queue, 0);
	held_up(k, "unlink", do_unlink, second);
	held_up(k, "to nothing", do_empty, third);
	held_up(k, "their rows", do_queue, 0);
	held_up(k, "checkpoint", do_checkpoint, 0);
	kit_sound(k);
}

/* ---- K5: many fsyncs of 1 MiB at once ---- */

#define WRITERS 24

struct syncer {
	struct kit *k;
	uint64_t ino;
	unsigned id;
	int rc;
};

static void write_and_sync(void *arg)
{
	struct syncer *w = arg;
	size_t len = KIT_MIB;
	uint8_t *p = malloc(len);
	struct file *f;

	w->rc = posix_open(w->k->v, w->ino, O_RDWR, &f);
	for (unsigned i = 0; i < 4 && w->rc >= 0; i++) {
		ssize_t n;

		kit_pattern(p, len, i * len, w->id);
		n = posix_write(f, p, len, i * len);
		w->rc = n < 0 ? (int)n : posix_fsync(f, false);
		MUST(jseg_pending(w->k->v->js) <= 5 * KIT_MIB + 65536);
	}
	posix_close(f);
	free(p);
}

/* slow: requests to the journal, or to segments. */
static void many_fsyncs(struct kit *k, const char *slow)
{
	struct syncer w[WRITERS];
	struct workq *q;
	char name[16];

	kit_fault_all(k, (struct fault_rule){.kind = FAULT_DELAY,
					     .ops = FAULT_OP_WRITE |
						    FAULT_OP_CREATE,
					     .prefix = slow,
					     .ms = 20});
	for (unsigned i = 0; i < WRITERS; i++) {
		snprintf(name, sizeof(name), "w%u", i);
		w[i] = (struct syncer){.k = k, .id = i};
		w[i].ino = kit_new_file(k, name);
	}
	OK(workq_new("writers", WRITERS, &q));
	for (unsigned i = 0; i < WRITERS; i++)
		OK(workq_submit(q, write_and_sync, &w[i]));
	workq_free(q);
	kit_clear(k);
	for (unsigned i = 0; i < WRITERS; i++)
		OK(w[i].rc);
	kit_recrash(k);
	for (unsigned i = 0; i < WRITERS; i++)
		kit_expect(k, w[i].ino, 0, 4 * KIT_MIB, i);
	kit_sound(k);
}

static void many_fsyncs_slow_journal(void **state)
{
	many_fsyncs(*state, "journal/");
}

static void many_fsyncs_slow_segments(void **state)
{
	many_fsyncs(*state, "data/");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		WITH_KIT(cut_in_an_outage),
		WITH_KIT(above_the_border),
		WITH_KIT(border_of_a_loaded_inode),
		WITH_KIT(nobody_is_held_up),
		WITH_KIT(many_fsyncs_slow_journal),
		WITH_KIT(many_fsyncs_slow_segments),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
