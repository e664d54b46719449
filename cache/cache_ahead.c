/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readahead: who reads an object in sequence finds the next chunks there.
 *
 * A sequence is a run of reads each of which begins near where the one before
 * ended (the kernel sends a stream's requests in parallel and out of order, so
 * there is slack for some of them). The window doubles with every read of the
 * run. A job looks at its chunk only when it runs: a reader that comes first
 * fills the chunk itself and never waits for a job that has not begun.
 *
 * A1  ahead_pending is the number of jobs submitted and not ended, and never
 *     more than AHEAD_PENDING_MAX: what a stream asks for in vain (it was
 *     evicted, or nobody reads on) is bounded.
 */
#include "cache/cache_impl.h"

#define AHEAD_PENDING_MAX 256

/* In requests, or in chunks where those are larger. */
#define AHEAD_SLACK 4

/* A stream may not flush the cache by what it has not read yet. */
#define AHEAD_BUDGET_PART 8

struct ahead_job {
	struct cache *c;
	uint64_t obj;
	uint64_t number;
};

int cache_ahead_start(struct cache *c, unsigned threads, unsigned chunks)
{
	size_t most = c->budget / AHEAD_BUDGET_PART / c->chunk_bytes;

	if (!threads || !chunks)
		return 0;
	c->ahead_chunks = (unsigned)MAX(MIN(chunks, most), 1);
	return workq_new("readahead", threads, &c->ahead_queue);
}

void cache_ahead_stop(struct cache *c)
{
	mutex_lock(&c->lock);
	c->stopping = true;
	mutex_unlock(&c->lock);
	workq_free(steal(&c->ahead_queue));
}

static bool worth_filling(const struct cache *c, const struct chunk *ch)
{
	return !ch->filling && !chunk_knows(ch, 0, c->chunk_bytes);
}

/* An error is left to the reader, who will meet it again. */
static void fill_ahead(struct cache *c, uint64_t obj, uint64_t number)
{
	struct chunk *ch = chunk_get(c, obj, number);

	if (!ch)
		return;
	if (worth_filling(c, ch) && chunk_fill(c, ch) == 0)
		c->readahead++;
	chunk_put(c, ch);
}

static void run_job(void *arg)
{
	AUTO_FREE struct ahead_job *job = arg;
	struct cache *c = job->c;

	MUTEX_GUARD(&c->lock);
	if (!c->stopping)
		fill_ahead(c, job->obj, job->number);
	c->ahead_pending--;
}

/* False: no more can be asked for. Drops the lock. */
static bool submit(struct cache *c, uint64_t obj, uint64_t number)
{
	struct ahead_job *job;
	int rc;

	if (c->ahead_pending >= AHEAD_PENDING_MAX)
		return false;
	job = mem_alloc(sizeof(*job));
	if (!job)
		return false;
	*job = (struct ahead_job){c, obj, number};
	c->ahead_pending++;
	mutex_unlock(&c->lock);
	rc = workq_submit(c->ahead_queue, run_job, job);
	mutex_lock(&c->lock);
	if (rc) {
		c->ahead_pending--;
		mem_free(job);
	}
	return rc == 0;
}

static bool is_wanted(const struct cache *c, uint64_t obj, uint64_t number)
{
	struct chunk *ch = chunk_from(c, obj, number);

	return !ch || chunk_number(ch) != number || worth_filling(c, ch);
}

void cache_ahead_ask(struct cache *c, uint64_t obj, uint64_t from, uint64_t to)
{
	if (!c->ahead_queue)
		return;
	for (uint64_t i = from; i < to; i++) {
		if (is_wanted(c, obj, i) && !submit(c, obj, i))
			return;
	}
}

static bool continues(const struct cache *c, const struct cache_object *o,
		      uint64_t off, uint64_t end)
{
	uint64_t slack = AHEAD_SLACK * MAX(c->chunk_bytes, end - off);

	return off <= o->next_off + slack && off + slack >= o->next_off;
}

/* How many chunks the reader should find ready, by the length of its run. */
static unsigned note_run(struct cache *c, struct cache_object *o, uint64_t off,
			 uint64_t end)
{
	if (!continues(c, o, off, end)) {
		o->run = 0;
		o->next_off = end;
		o->ahead_end = 0;
		return 0;
	}
	o->next_off = MAX(o->next_off, end);
	if (o->run < 16)
		o->run++;
	return o->run > 1 ? MIN(c->ahead_chunks, 1u << o->run) : 0;
}

void cache_ahead_note(struct cache *c, uint64_t obj, uint64_t obj_size,
		      uint64_t off, uint64_t end)
{
	struct cache_object *o = cache_object_find(c, obj);
	uint64_t from, to, all;
	unsigned window;

	if (!o || !c->ahead_queue)
		return;
	window = note_run(c, o, off, end);
	if (!window)
		return;
	from = MAX((end - 1) / c->chunk_bytes + 1, o->ahead_end);
	all = (obj_size - 1) / c->chunk_bytes + 1;
	to = MIN((end - 1) / c->chunk_bytes + 1 + window, all);
	if (from >= to)
		return;
	o->ahead_end = to;
	cache_ahead_ask(c, obj, from, to);
}
