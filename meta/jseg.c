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
#include "meta/jseg.h"

#include <sys/queue.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/mutant.h"
#include "base/sync.h"
#include "base/workq.h"
#include "meta/rows.h"

enum part_state {
	PART_OPEN,
	PART_SEALING,
	PART_SEALED,
	PART_WAITING
};

struct jpart {
	TAILQ_ENTRY(jpart) entry;
	struct jseg *js;
	struct seg_build *build;
	enum part_state state;
	unsigned refs;	   /* list, readers, carries */
	uint32_t carried;  /* chunks in records */
	uint64_t first;	   /* first record that carried chunks; 0: none */
	uint64_t seal_seq; /* record of segment_seal; 0: none yet */
	uint64_t round;	   /* of the last retry */
	bool restored;	   /* by recovery */
	int rc;		   /* why sealing failed */
};
TAILQ_HEAD(jpart_list, jpart);

struct jseg {
	struct jseg_options o;
	struct seg_context cx;
	struct workq *sealer;
	struct mutex adding;   /* J1 */
	struct jpart *current; /* under adding */
	struct mutex listing;
	struct jpart_list parts; /* oldest first */
	unsigned unsealed;	 /* parts SEALING */
	/* Sealed bytes not carried. Signed: a carry may take a chunk before its
	 * adder has counted it. */
	int64_t pending;
	uint64_t round;
};

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
static void part_unref_locked(struct jpart *p)
{
	if (--p->refs > 0)
		return;
	seg_build_free(p->build);
	mem_free(p);
}

static void part_unlist_locked(struct jseg *js, struct jpart *p)
{
	TAILQ_REMOVE(&js->parts, p, entry);
	part_unref_locked(p);
}

void jseg_free(struct jseg *js)
{
	struct jpart *p;

	if (!js)
		return;
	workq_free(js->sealer);
	while ((p = TAILQ_FIRST(&js->parts)))
		part_unlist_locked(js, p);
	mutex_destroy(&js->listing);
	mutex_destroy(&js->adding);
	mem_free(js);
}

size_t jseg_pending(struct jseg *js)
{
	MUTEX_GUARD(&js->listing);
	return js->pending > 0 ? (size_t)js->pending : 0;
}

static uint32_t chunks_bytes(const struct seg_build *b, uint32_t from,
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
			bytes += chunks_bytes(p->build, 0,
					      seg_build_count(p->build));
	return bytes;
}

static struct jpart *part_find_locked(struct jseg *js, struct seg_id id)
{
	struct jpart *p;

	TAILQ_FOREACH (p, &js->parts, entry)
		if (seg_build_id(p->build).v == id.v)
			return p;
	return NULL;
}

/* Makes a part around a build it takes over, and lists it. */
static int part_new(struct jseg *js, struct seg_build *build,
		    struct jpart **out)
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
	return part_new(js, b, &js->current);
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

		js->pending -= chunks_bytes(p->build, p->carried, count);
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
	p = part_find_locked(js, id);
	if (p)
		p->refs++;
	mutex_unlock(&js->listing);
	if (!p)
		return -ENOENT;
	rc = seg_build_read(p->build, data_id, offset, ref, plain);
	mutex_lock(&js->listing);
	part_unref_locked(p);
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
		part_unlist_locked(js, p);
	}
}

/* ---- carrying ---- */

struct carry_part {
	struct jpart *part;
	uint32_t from, to; /* chunks */
};
struct jseg_carry {
	struct jseg *js;
	unsigned n;
	struct carry_part part[];
};

static unsigned parts_count_locked(struct jseg *js)
{
	struct jpart *p;
	unsigned n = 0;

	TAILQ_FOREACH (p, &js->parts, entry)
		n++;
	return n;
}

static void carry_take_locked(struct jseg_carry *c, struct jpart *p,
			      uint64_t seq)
{
	uint32_t count = seg_build_count(p->build);

	if (p->restored || p->carried >= count ||
	    (MUTANT(FORGET_AT_SEAL) && p->state != PART_OPEN))
		return;
	c->part[c->n++] = (struct carry_part){p, p->carried, count};
	c->js->pending -= chunks_bytes(p->build, p->carried, count);
	p->carried = count;
	if (!p->first)
		p->first = seq;
	p->refs++;
}

int jseg_carry_begin(struct jseg *js, uint64_t seq, struct jseg_carry **out)
{
	struct jseg_carry *c;
	struct jpart *p;

	MUTEX_GUARD(&js->listing);
	c = mem_zalloc(sizeof(*c) +
		       parts_count_locked(js) * sizeof(c->part[0]));
	if (!c)
		return -ENOMEM;
	c->js = js;
	TAILQ_FOREACH (p, &js->parts, entry)
		carry_take_locked(c, p, seq);
	*out = c;
	return 0;
}

static int encode_entry(const struct seg_build *b, uint32_t i,
			struct bytes *out)
{
	struct chunk_ref ref;
	uint64_t data, off;
	int rc;

	seg_build_entry(b, i, &data, &off, &ref);
	rc = bytes_add_varint(out, data);
	if (rc == 0)
		rc = bytes_add_varint(out, off);
	if (rc == 0)
		rc = bytes_add_u32(out, ref.pos);
	if (rc == 0)
		rc = bytes_add_u32(out,
				   ref.stored_len << 1 | (uint32_t)ref.codec);
	if (rc == 0)
		rc = bytes_add_u32(out, ref.plain_len);
	return rc;
}

static int encode_part(const struct carry_part *cp, struct bytes *out)
{
	const struct seg_build *b = cp->part->build;
	int rc = bytes_add_u64(out, seg_build_id(b).v);

	if (rc == 0)
		rc = bytes_add_varint(out, cp->to - cp->from);
	for (uint32_t i = cp->from; rc == 0 && i < cp->to; i++)
		rc = encode_entry(b, i, out);
	for (uint32_t i = cp->from; rc == 0 && i < cp->to; i++) {
		struct chunk_ref ref;
		uint64_t data, off;

		seg_build_entry(b, i, &data, &off, &ref);
		rc = bytes_add(out, seg_build_at(b, ref.pos, ref.stored_len),
			       ref.stored_len);
	}
	return rc;
}

int jseg_carry_encode(const struct jseg_carry *c, struct bytes *out)
{
	int rc = bytes_add_varint(out, c->n);

	for (unsigned i = 0; rc == 0 && i < c->n; i++)
		rc = encode_part(&c->part[i], out);
	return rc;
}

/* Gives chunks back to a later record. */
static void carry_return_locked(struct jseg *js, const struct carry_part *cp)
{
	struct jpart *p = cp->part;

	if (p->state == PART_SEALED || cp->from >= p->carried)
		return;
	js->pending += chunks_bytes(p->build, cp->from, p->carried);
	p->carried = cp->from;
}

void jseg_carry_end(struct jseg_carry *c, bool ok)
{
	if (!c)
		return;
	mutex_lock(&c->js->listing);
	for (unsigned i = 0; i < c->n; i++) {
		if (!ok)
			carry_return_locked(c->js, &c->part[i]);
		part_unref_locked(c->part[i].part);
	}
	mutex_unlock(&c->js->listing);
	mem_free(c);
}

/* ---- recovery ---- */

/* The part that takes a restored segment's bytes; NULL with 0: not needed. */
static int restored_part(struct jseg *js, struct seg_id id, struct jpart **out)
{
	struct segment_row row;
	struct seg_build *b;
	int rc;

	*out = part_find_locked(js, id);
	if (*out)
		return 0;
	index_lock(js->o.ix);
	rc = segment_get(js->o.ix, id, &row);
	index_unlock(js->o.ix);
	if (rc == -ENOENT || (rc == 0 && row.state != SEG_OPEN))
		return 0;
	if (rc < 0)
		return rc;
	rc = seg_build_new(&js->cx, SEG_DATA, id, js->o.cap, row.desc.salt, &b);
	if (rc < 0)
		return rc;
	rc = part_new(js, b, out);
	if (rc == 0) {
		(*out)->restored = true;
		(*out)->state = PART_WAITING; /* not striped yet */
	}
	return rc;
}

static int restore_chunk(struct jpart *p, struct reader *r,
			 const uint8_t **sealed, size_t *left)
{
	uint64_t data = reader_varint(r), off = reader_varint(r);
	struct chunk_ref ref = {.pos = reader_u32(r)};
	uint32_t stored = reader_u32(r);
	int rc;

	ref.plain_len = reader_u32(r);
	ref.stored_len = stored >> 1;
	ref.codec = stored & 1 ? CODEC_ZSTD : CODEC_RAW;
	if (r->bad || ref.stored_len > *left)
		return -ERR_TRUNCATED;
	*left -= ref.stored_len;
	*sealed += ref.stored_len;
	if (!p)
		return 0;
	rc = seg_build_restore(p->build, ref.pos, *sealed - ref.stored_len,
			       ref.stored_len);
	if (rc == 0)
		rc = seg_build_note(p->build, data, off, &ref);
	return rc;
}

/* The entries say how long the bytes behind them are: find their sum. */
static int entries_total(struct reader r, uint64_t n, size_t *total_out,
			 size_t *entries_out)
{
	size_t before = reader_left(&r);
	uint64_t total = 0;

	for (uint64_t i = 0; i < n && !r.bad; i++) {
		reader_varint(&r);
		reader_varint(&r);
		reader_u32(&r);
		total += reader_u32(&r) >> 1;
		reader_u32(&r);
	}
	*entries_out = before - reader_left(&r);
	*total_out = (size_t)total;
	return r.bad || total > reader_left(&r) ? -ERR_TRUNCATED : 0;
}

static int restore_segment(struct jseg *js, struct reader *r)
{
	struct seg_id id = {reader_u64(r)};
	uint64_t n = reader_varint(r);
	size_t total, entries_len;
	struct reader entries;
	const uint8_t *sealed;
	struct jpart *p;
	int rc = r->bad ? -ERR_TRUNCATED
			: entries_total(*r, n, &total, &entries_len);

	if (rc < 0)
		return rc;
	entries = reader_of(reader_take(r, entries_len), entries_len);
	sealed = reader_take(r, total);
	rc = restored_part(js, id, &p);
	for (uint64_t i = 0; rc == 0 && i < n; i++)
		rc = restore_chunk(p, &entries, &sealed, &total);
	return rc;
}

int jseg_restore(struct jseg *js, struct reader *r)
{
	uint64_t n = reader_varint(r);
	int rc = r->bad ? -ERR_TRUNCATED : 0;

	for (uint64_t i = 0; rc == 0 && i < n; i++)
		rc = restore_segment(js, r);
	return rc;
}

/*
 * Later records may say that a stripe has it all: that one is to be believed.
 * What was restored may be less, as chunks that a stripe had in time were never
 * carried.
 */
static int drop_striped(struct jseg *js)
{
	struct jpart *p, *next;
	int rc = 0;

	for (p = TAILQ_FIRST(&js->parts); p; p = next) {
		struct segment_row row;

		next = TAILQ_NEXT(p, entry);
		index_lock(js->o.ix);
		rc = segment_get(js->o.ix, seg_build_id(p->build), &row);
		index_unlock(js->o.ix);
		if (rc == 0 && row.state == SEG_OPEN)
			continue;
		if (rc < 0 && rc != -ENOENT)
			return rc;
		mutex_lock(&js->listing);
		part_unlist_locked(js, p);
		mutex_unlock(&js->listing);
	}
	return 0;
}

/* A record was cut between a segment's row and its first chunk: it becomes
 * dead, having neither stripe nor extents, and goes. */
static int drop_empty(struct jseg *js, const struct segment_row *row)
{
	struct index *ix = js->o.ix;
	int rc = index_begin(ix);

	if (rc == 0)
		rc = index_end(ix, segment_seal(ix, &row->desc));
	if (rc == 0)
		rc = index_begin(ix);
	return rc < 0 ? rc : index_end(ix, segment_delete(ix, row->desc.id));
}

/* An OPEN row that extents point to must have its bytes. */
static int check_open_row(struct jseg *js, const struct segment_row *row)
{
	if (part_find_locked(js, row->desc.id))
		return 0;
	if (row->refs == 0)
		return drop_empty(js, row);
	log_event(LOG_LVL_ERROR, "open_segment_lost", "segment=%llu",
		  (unsigned long long)row->desc.id.v);
	return -ERR_UNAVAILABLE;
}

static int check_open_rows(struct jseg *js)
{
	struct segment_row row;
	struct seg_id after = {0};
	int n, rc = 0;

	do {
		index_lock(js->o.ix);
		n = segment_list(js->o.ix, SEG_OPEN, after, &row, 1);
		index_unlock(js->o.ix);
		if (n == 1)
			rc = check_open_row(js, &row);
		after = row.desc.id;
	} while (n == 1 && rc == 0);
	return rc < 0 ? rc : n;
}

int jseg_seal_restored(struct jseg *js)
{
	int rc = drop_striped(js);

	if (rc == 0)
		rc = check_open_rows(js);
	return rc < 0 ? rc : jseg_rotate(js, true);
}
