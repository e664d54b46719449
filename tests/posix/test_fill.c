/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading while segments leave memory: what a reader has looked up is out of
 * date at once, and it looks again as often as it takes.
 */
#include "posix_check.h"

#include "base/workq.h"

#define PIECE	    4096
#define DISTANCE    (3 * PIECE) /* pieces do not touch */
#define SLOW_MS	    400
#define PATIENCE_MS 20000

static void rule(struct kit *k, enum fault_kind kind, unsigned ops)
{
	struct fault_rule r = {
		.kind = kind, .ops = ops, .prefix = "data/", .ms = SLOW_MS};

	for (int i = 0; i < KIT_FOLDERS; i++)
		OK(fault_add(k->location[i], &r));
}

static uint64_t hits(struct kit *k)
{
	uint64_t n = 0;

	for (int i = 0; i < KIT_FOLDERS; i++)
		n += fault_hits(k->location[i]);
	return n;
}

static void clear(struct kit *k)
{
	for (int i = 0; i < KIT_FOLDERS; i++)
		fault_clear(k->location[i]);
}

static void await_more_hits(struct kit *k, uint64_t than)
{
	for (int ms = 0; hits(k) <= than; ms++) {
		assert_true(ms < PATIENCE_MS);
		(void)usleep(1000);
	}
}

/* The i-th piece of the file, in a segment that no other piece is in. */
static void write_piece(struct kit *k, uint64_t ino, unsigned i)
{
	kit_write(k, ino, (uint64_t)i * DISTANCE, PIECE, i);
	kit_fsync(k, ino);
	OK(jseg_rotate(k->v->js, false));
}

/* All stripes are durable, and so are the records that say so. */
static void leave_memory(struct kit *k)
{
	OK(jseg_rotate(k->v->js, true));
	OK(commit_all(k->v->commit));
}

struct filler {
	struct kit *k;
	uint64_t ino;
	ssize_t n;
	uint8_t buf[8 * DISTANCE];
};

static void read_it(void *arg)
{
	struct filler *r = arg;
	struct file *f;

	OK(posix_open(r->k->v, r->ino, O_RDONLY, &f));
	r->n = posix_read(f, r->buf, sizeof(r->buf), 0);
	posix_close(f);
}

static void expect_pieces(const struct filler *r, unsigned n)
{
	uint8_t want[PIECE];

	if (r->n < 0)
		fail_msg("reading: %s", err_name((int)r->n));
	assert_int_equal(r->n, (n - 1) * DISTANCE + PIECE);
	for (unsigned i = 0; i < n; i++) {
		kit_pattern(want, PIECE, (uint64_t)i * DISTANCE, i);
		assert_memory_equal(r->buf + i * DISTANCE, want, PIECE);
	}
}

/*
 * One segment after another leaves memory just before the reader comes to it:
 * while it waits for the one before, which has just left.
 */
static void segments_leave_memory(void **state)
{
	struct kit *k = *state;
	struct filler *r = calloc(1, sizeof(*r));
	uint64_t ino = kit_mk(k, ROOT_INO, "f", S_IFREG | 0644), before;
	struct workq *q;

	*r = (struct filler){.k = k, .ino = ino};
	write_piece(k, ino, 0);
	leave_memory(k);
	rule(k, FAULT_HANG, FAULT_OP_CREATE);
	rule(k, FAULT_DELAY, FAULT_OP_READ);
	write_piece(k, ino, 1);
	await_more_hits(k, 2); /* its three fragments hang */
	kit_write(k, ino, 2 * DISTANCE, PIECE, 2);
	kit_fsync(k, ino);
	cache_discard(k->v->cache, ino);

	before = hits(k);
	OK(workq_new("reader", 1, &q));
	OK(workq_submit(q, read_it, r));
	await_more_hits(k, before); /* it reads the first */
	clear(k);
	rule(k, FAULT_DELAY, FAULT_OP_READ);
	for (int i = 0; i < 20; i++) { /* until the second has left */
		(void)usleep(10000);
		OK(commit_all(k->v->commit));
	}
	(void)usleep(SLOW_MS * 1000); /* it reads the second */
	leave_memory(k);
	workq_free(q);
	expect_pieces(r, 3);
	free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_KIT(segments_leave_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
