/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jseg.c - journaled segments (see jseg.h).
 *
 * States of one (struct jpart):
 *
 *   OPEN ----rotate----> SEALING ----stripe + segment_seal----> SEALED -->
 * freed |                                   (when the seal
 *                           +--- failed: stays, tried again       record is
 *                                at the next rotate               durable)
 *   RESTORED (recovery) --> SEALING
 *
 * Invariants:
 *   J1  only the current part is OPEN; chunks are added under `adding` only.
 *   J2  a part stays on the list, with its bytes, until the record of its
 *       segment_seal operation is durable (C4).
 *   J3  chunks [0, carried) of a part are in records [first, last]; a record
 *       names only chunks below what it and earlier ones carry, as chunks are
 *       sealed before the operation that enters them begins (C1).
 *   J4  no part is added to after rotation or restoration (C9).
 *
 * Locks: adding -> index lock -> listing. `listing` guards the list and the
 * numbers in the parts and is never held across I/O.
 */
#include "meta/jseg_impl.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/mutant.h"
#include "meta/rows.h"

/* Parts being striped at a time before adders wait for them. */
#define UNSEALED_MAX 2
/* Parts that could not be striped before adders are refused. */
#define FAILED_MAX 4

int jseg_new(const struct jseg_options *o, struct jseg **out)
{
	struct jseg *js = mem_zalloc(sizeof(*js));
	int rc;

	if (!js)
		return -ENOMEM;
	js->o = *o;
	pool_seg_context(o->pool, &js->cx);
	TAILQ_INIT(&js->parts);
	mutex_init(&js->adding);
	mutex_init(&js->listing);
	rc = workq_new("seal", 1, &js->sealer);
	if (rc < 0) {
		jseg_free(js);
		return rc;
	}
	*out = js;
	return 0;
}

/* Drops a reference; listing is held. */
void jseg_part_unref_locked(struct jpart *p)
{
	if (--p->refs > 0)
		return;
	seg_build_free(p->build);
	mem_free(p);
}

void jseg_part_unlist_locked(struct jseg *js, struct jpart *p)
{
	TAILQ_REMOVE(&js->parts, p, entry);
	jseg_part_unref_locked(p);
}

void jseg_free(struct jseg *js)
{
	struct jpart *p;

	if (!js)
		return;
	workq_free(js->sealer);
	while ((p = TAILQ_FIRST(&js->parts)))
		jseg_part_unlist_locked(js, p);
	mutex_destroy(&js->listing);
	mutex_destroy(&js->adding);
	mem_free(js);
}

size_t jseg_pending(struct jseg *js)
{
	MUTEX_GUARD(&js->listing);
	return js->pending > 0 ? (size_t)js->pending : 0;
}

uint32_t jseg_chunks_bytes(const struct seg_build *b, uint32_t from,
			   uint32_t to)
{
	uint32_t bytes = 0;

	for (uint32_t i = from; i < to; i++) {
		struct chunk_ref ref;
		uint64_t data, off;

		seg_build_entry(b, i, &data, &off, &ref);
		bytes += ref.stored_len;
	}
	return bytes;
}

uint64_t jseg_unstriped(struct jseg *js)
{
	struct jpart *p;
	uint64_t bytes = 0;

	MUTEX_GUARD(&js->listing);
	TAILQ_FOREACH (p, &js->parts, entry)
		if (p->state != PART_SEALED)
			bytes += jseg_chunks_bytes(p->build, 0,
						   seg_build_count(p->build));
	return bytes;
}

struct jpart *jseg_part_find_locked(struct jseg *js, struct seg_id id)
{
	struct jpart *p;

	TAILQ_FOREACH (p, &js->parts, entry)
		if (seg_build_id(p->build).v == id.v)
			return p;
	return NULL;
}

/* Makes a part around a build it takes over, and lists it. */
int jseg_part_new(struct jseg *js, struct seg_build *build, struct jpart **out)
{
	struct jpart *p = mem_zalloc(sizeof(*p));

	if (!p) {
		seg_build_free(build);
		return -ENOMEM;
	}
	p->js = js;
	p->build = build;
	p->refs = 1;
	mutex_lock(&js->listing);
	TAILQ_INSERT_TAIL(&js->parts, p, entry);
	mutex_unlock(&js->listing);
	*out = p;
	return 0;
}

static int row_insert(struct jseg *js, const struct seg_build *b)
{
	struct seg_desc d;
	int rc;

	seg_build_describe(b, &d);
	rc = index_begin(js->o.ix);
	if (rc < 0)
		return rc;
	return index_end(js->o.ix, segment_insert(js->o.ix, &d, SEG_OPEN));
}

/* Opens a fresh current segment; adding is held. */
static int open_current(struct jseg *js)
{
	struct seg_id id = {index_next(js->o.ix, COUNTER_SEGMENT)};
	struct seg_build *b;
	int rc = seg_build_new(&js->cx, SEG_DATA, id, js->o.cap, NULL, &b);

	if (rc < 0)
		return rc;
	rc = row_insert(js, b);
	if (rc < 0) {
		seg_build_free(b);
		return rc;
	}
	return jseg_part_new(js, b, &js->current);
}

/* ---- sealing ---- */

/* The stripe is durable: enter it. The part's seal record is the open one. */
static int enter_stripe(struct jpart *p, const struct seg_desc *d)
{
	struct index *ix = p->js->o.ix;
	int rc = index_begin(ix);

	if (rc < 0)
		return rc;
	rc = segment_seal(ix, d);
	if (rc == 0) {
		mutex_lock(&p->js->listing);
		p->seal_seq = index_seq(ix) + 1;
		mutex_unlock(&p->js->listing);
	}
	return index_end(ix, rc);
}

static int seal_part(struct jpart *p)
{
	struct seg_desc d;
	int rc = seg_build_finish(p->build);

	if (rc == 0)
		rc = store_write(p->js->o.store, p->build, &d);
	if (rc == 0)
		rc = enter_stripe(p, &d);
	return rc;
}

/* Job of the sealer. */
static void seal_job(void *arg)
{
	struct jpart *p = arg;
	struct jseg *js = p->js;
	int rc = seal_part(p);

	if (rc < 0)
		log_event(LOG_LVL_ERROR, "seal_failed", "segment=%llu rc=%s",
			  (unsigned long long)seg_build_id(p->build).v,
			  err_name(rc));
	MUTEX_GUARD(&js->listing);
	js->unsealed--;
	p->rc = rc;
	p->state = rc < 0 ? PART_WAITING : PART_SEALED;
	/* What a stripe holds needs no journal any more. */
	if (rc == 0 && !p->restored) {
		uint32_t count = seg_build_count(p->build);

		js->pending -= jseg_chunks_bytes(p->build, p->carried, count);
		p->carried = count;
	}
}

static int submit_seal(struct jseg *js, struct jpart *p)
{
	int rc;

	mutex_lock(&js->listing);
	p->state = PART_SEALING;
	js->unsealed++;
	mutex_unlock(&js->listing);
	rc = workq_submit(js->sealer, seal_job, p);
	if (rc < 0) {
		MUTEX_GUARD(&js->listing);
		js->unsealed--;
		p->rc = rc;
		p->state = PART_WAITING;
	}
	return rc;
}

/* Ends the current segment; adding is held. */
static int rotate_locked(struct jseg *js)
{
	struct jpart *p = steal(&js->current);

	return p ? submit_seal(js, p) : 0;
}

/* Never, but for a deliberate bug. */
static bool is_left_out(struct jpart *p)
{
	return MUTANT(REPROTECT_TAIL) && p->restored && TAILQ_NEXT(p, entry);
}

/* Queues those again whose sealing failed, each once; adding is held. */
static int retry_failed(struct jseg *js)
{
	struct jpart *p;
	int rc = 0;

	js->round++;
	do {
		mutex_lock(&js->listing);
		TAILQ_FOREACH (p, &js->parts, entry)
			if (p->state == PART_WAITING && p->round != js->round &&
			    !is_left_out(p))
				break;
		if (p)
			p->round = js->round;
		mutex_unlock(&js->listing);
		if (p)
			rc = submit_seal(js, p);
	} while (p && rc == 0);
	return rc;
}

static int first_failure(struct jseg *js)
{
	struct jpart *p;

	MUTEX_GUARD(&js->listing);
	TAILQ_FOREACH (p, &js->parts, entry)
		if (p->state == PART_WAITING)
			return p->rc;
	return 0;
}

int jseg_rotate(struct jseg *js, bool wait)
{
	int rc;

	mutex_lock(&js->adding);
	rc = retry_failed(js);
	if (rc == 0)
		rc = rotate_locked(js);
	mutex_unlock(&js->adding);
	if (rc < 0 || !wait)
		return rc;
	workq_drain(js->sealer);
	return first_failure(js);
}

/* ---- adding and reading ---- */

/* Bounds the memory of segments on their way; adding is held. */
static void wait_for_sealer(struct jseg *js)
{
	bool many;

	mutex_lock(&js->listing);
	many = js->unsealed >= UNSEALED_MAX;
	mutex_unlock(&js->listing);
	if (many)
		workq_drain(js->sealer);
}

static int too_many_failed(struct jseg *js)
{
	struct jpart *p;
	unsigned n = 0;

	MUTEX_GUARD(&js->listing);
	TAILQ_FOREACH (p, &js->parts, entry)
		if (p->state == PART_WAITING && ++n == FAILED_MAX)
			return p->rc;
	return 0;
}

/*
 * Bounds the memory, and the journal, that failed ones take: they are tried
 * again first. adding is held.
 */
static int make_room(struct jseg *js)
{
	int rc = too_many_failed(js);

	if (rc == 0)
		return 0;
	rc = retry_failed(js);
	workq_drain(js->sealer);
	return rc < 0 ? rc : too_many_failed(js);
}

/*
 * A record has its limit, and many may add while one is being appended: what
 * has a stripe needs none. adding is held.
 */
static int limit_pending(struct jseg *js)
{
	int rc;

	if (jseg_pending(js) < JSEG_PENDING_MAX)
		return 0;
	rc = rotate_locked(js);
	workq_drain(js->sealer);
	if (rc == 0 && jseg_pending(js) >= JSEG_PENDING_MAX)
		rc = first_failure(js);
	return rc;
}

int jseg_add(struct jseg *js, uint64_t data_id, uint64_t offset,
	     const void *plain, uint32_t len, struct seg_id *segment_out,
	     struct chunk_ref *ref_out)
{
	int level = js->o.pool->geo.level;
	int rc;

	MUTEX_GUARD(&js->adding);
	rc = limit_pending(js);
	for (;;) {
		if (rc == 0 && !js->current) {
			wait_for_sealer(js);
			rc = make_room(js);
			if (rc == 0)
				rc = open_current(js);
		}
		if (rc < 0)
			return rc;
		MUST(!js->current->restored); /* J4 */
		rc = seg_build_add(js->current->build, data_id, offset, plain,
				   len, level, ref_out);
		if (rc == 0)
			break;
		/* Full, or ended by a failure (C9): go on in a fresh one. */
		if (rc != -ENOSPC || seg_build_count(js->current->build) == 0) {
			(void)rotate_locked(js);
			return rc;
		}
		rc = rotate_locked(js);
	}
	*segment_out = seg_build_id(js->current->build);
	mutex_lock(&js->listing);
	js->pending += ref_out->stored_len;
	mutex_unlock(&js->listing);
	return 0;
}

int jseg_read(struct jseg *js, struct seg_id id, uint64_t data_id,
	      uint64_t offset, const struct chunk_ref *ref, void *plain)
{
	struct jpart *p;
	int rc;

	mutex_lock(&js->listing);
	p = jseg_part_find_locked(js, id);
	if (p)
		p->refs++;
	mutex_unlock(&js->listing);
	if (!p)
		return -ENOENT;
	rc = seg_build_read(p->build, data_id, offset, ref, plain);
	mutex_lock(&js->listing);
	jseg_part_unref_locked(p);
	mutex_unlock(&js->listing);
	return rc;
}

uint64_t jseg_needed_from(struct jseg *js)
{
	struct jpart *p;
	uint64_t needed = UINT64_MAX;

	MUTEX_GUARD(&js->listing);
	TAILQ_FOREACH (p, &js->parts, entry)
		if (p->first && p->first < needed)
			needed = p->first;
	return needed;
}

void jseg_forget(struct jseg *js, uint64_t durable)
{
	struct jpart *p, *next;

	MUTEX_GUARD(&js->listing);
	for (p = TAILQ_FIRST(&js->parts); p; p = next) {
		next = TAILQ_NEXT(p, entry);
		if (p->state != PART_SEALED || p->seal_seq > durable)
			continue;
		MUST(p->seal_seq); /* J2 */
		jseg_part_unlist_locked(js, p);
	}
}
