/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading: one request to the fragment that holds the bytes; when it fails, is
 * late or what it brings does not authenticate, store_gather.c asks the
 * others. A late one is not given up: whoever is first wins.
 */
#include "backend/store_impl.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define HEDGE_MIN_MS  50
#define HEDGE_MEDIANS 10

uint64_t store_hedge_ns(struct backend *b)
{
	uint64_t ms = b ? HEDGE_MEDIANS * backend_median_ms(b) : 0;

	return MAX(ms, (uint64_t)HEDGE_MIN_MS) * 1000000;
}

/* ---- one span ---- */

/* Does a result say that other fragments may do better? */
static bool worth_rebuilding(int rc)
{
	return rc < 0 && rc != -ENOMEM;
}

/*
 * 0: open() took it. -ETIMEDOUT: still under way, *late_out has it. Else why
 * the nearest fragment is of no use.
 */
static int read_nearest(struct store *s, const struct span *sp,
			struct bio **late_out)
{
	struct backend *b = store_home(s, sp->d, sp->index);
	AUTO_BIO struct bio *bio = NULL;
	int rc;

	if (!b)
		return -ERR_BACKEND_DOWN;
	bio = store_get(sp->d, sp->index, FRAG_HEADER + sp->off, sp->len,
			false);
	if (!bio)
		return -ENOMEM;
	(void)bio_submit(b, bio);
	bio_wait_some(&bio, 1, 1, clock_mono_ns() + store_hedge_ns(b));
	if (!bio_done(bio, &rc)) {
		*late_out = steal(&bio);
		return -ETIMEDOUT;
	}
	rc = store_got(bio, rc, sp->len);
	return rc ? rc : sp->open(sp->arg, bio_data(bio)->data);
}

/* Tells everybody who should know about bad fragments, once per read. */
static void report(struct store *s, const struct seg_desc *d, uint32_t suspect)
{
	for (unsigned i = 0; i < fragment_count(d); i++) {
		if (!(suspect >> i & 1))
			continue;
		s->count.fragments_suspect++;
		log_event(LOG_LVL_WARN, "fragment_suspect",
			  "segment=%llx stripe=%llx index=%u member=%u",
			  (unsigned long long)d->id.v,
			  (unsigned long long)d->stripe.v, i, d->home[i]);
		if (s->suspect_fn)
			s->suspect_fn(s->suspect_arg, d, i);
	}
}

/* From one backend if possible, else rebuilt: *rebuilt_out. */
static int read_span(struct store *s, const struct span *sp, bool *rebuilt_out)
{
	struct bio *late = NULL;
	uint32_t suspect = 0;
	int rc = read_nearest(s, sp, &late);

	*rebuilt_out = false;
	if (!worth_rebuilding(rc))
		return rc;
	if (store_proves_damage(rc))
		suspect |= 1u << sp->index;
	rc = store_gather(s, sp, late, &suspect);
	*rebuilt_out = rc == 0;
	report(s, sp->d, suspect);
	if (rc)
		log_event(
			LOG_LVL_ERROR, "segment_unreadable",
			"segment=%llx stripe=%llx index=%u off=%u len=%u rc=%s",
			(unsigned long long)sp->d->id.v,
			(unsigned long long)sp->d->stripe.v, sp->index, sp->off,
			sp->len, err_name(rc));
	return rc;
}

/* ---- chunks ---- */

/* Chunks back to back that are read at once. */
struct run {
	const struct seg_context *cx;
	const struct seg_desc *d;
	uint64_t data_id;
	uint64_t offset;
	const struct chunk_ref *ref;
	unsigned n;
	uint8_t *plain;
};

static int open_run(void *arg, const uint8_t *sealed)
{
	const struct run *r = arg;
	uint64_t offset = r->offset;
	uint8_t *plain = r->plain;
	int rc = 0;

	for (unsigned i = 0; i < r->n && rc == 0; i++) {
		const struct chunk_ref *ref = &r->ref[i];

		rc = chunk_open(r->cx, r->d, r->data_id, offset, ref, sealed,
				plain);
		sealed += ref->stored_len;
		plain += ref->plain_len;
		offset += ref->plain_len;
	}
	return rc;
}

/*
 * How many of the n chunks go into one read: back to back, in the range of
 * the first, not too much. *range_out. -ERR_CORRUPT: impossible.
 */
static int group(const struct seg_desc *d, const struct chunk_ref *ref,
		 unsigned n, unsigned *range_out, uint32_t *len_out)
{
	uint32_t len = 0;
	unsigned i;
	int range = fragment_find(d, ref[0].pos, ref[0].stored_len);

	if (range < 0 || ref[0].stored_len > SPAN_MAX)
		return -ERR_CORRUPT;
	for (i = 0; i < n; i++) {
		if (ref[i].pos != ref[0].pos + len ||
		    ref[i].stored_len > SPAN_MAX - len ||
		    ref[i].stored_len > d->bound[range] - ref[i].pos)
			break;
		len += ref[i].stored_len;
	}
	*range_out = (unsigned)range;
	*len_out = len;
	return (int)i;
}

static int read_group(struct store *s, struct run *r, unsigned range,
		      uint32_t len)
{
	struct span sp = {
		r->d, range,	r->ref[0].pos - fragment_start(r->d, range),
		len,  open_run, r};
	bool rebuilt;
	int rc = read_span(s, &sp, &rebuilt);

	if (rc == 0) {
		s->count.chunks_read += r->n;
		s->count.chunks_rebuilt += rebuilt ? r->n : 0;
	}
	return rc;
}

int store_read_run(struct store *s, const struct seg_desc *d, uint64_t data_id,
		   uint64_t offset, const struct chunk_ref *ref, unsigned n,
		   void *plain)
{
	struct seg_context cx;
	struct run r = {&cx, d, data_id, offset, ref, 0, plain};
	uint32_t len;
	unsigned range;
	int rc;

	pool_seg_context(s->pool, &cx);
	for (; n > 0; n -= r.n, r.ref += r.n) {
		rc = group(d, r.ref, n, &range, &len);
		if (rc < 0)
			return rc;
		r.n = (unsigned)rc;
		rc = read_group(s, &r, range, len);
		if (rc)
			return rc;
		for (unsigned i = 0; i < r.n; i++) {
			r.plain += r.ref[i].plain_len;
			r.offset += r.ref[i].plain_len;
		}
	}
	return 0;
}

int store_read_chunk(struct store *s, const struct seg_desc *d,
		     uint64_t data_id, uint64_t offset,
		     const struct chunk_ref *ref, void *plain)
{
	return store_read_run(s, d, data_id, offset, ref, 1, plain);
}

/* ---- the table ---- */

struct table {
	const struct seg_context *cx;
	const struct seg_desc *d;
	int (*each)(void *arg, uint64_t data_id, uint64_t offset,
		    const struct chunk_ref *ref);
	void *arg;
	bool authentic;
	int rc; /* of the listing */
};

/* Entries are shown only after the whole table was authentic. */
static int table_entry(void *arg, uint64_t data_id, uint64_t offset,
		       const struct chunk_ref *ref)
{
	struct table *t = arg;

	t->authentic = true;
	return t->each(t->arg, data_id, offset, ref);
}

static int open_table(void *arg, const uint8_t *sealed)
{
	struct table *t = arg;

	t->rc = seg_table_open(t->cx, t->d, sealed, table_entry, t);
	return t->authentic ? 0 : t->rc;
}

int store_read_table(struct store *s, const struct seg_desc *d,
		     int (*each)(void *arg, uint64_t data_id, uint64_t offset,
				 const struct chunk_ref *ref),
		     void *arg)
{
	struct seg_context cx;
	struct table t = {.cx = &cx, .d = d, .each = each, .arg = arg};
	struct span sp = {.d = d,
			  .len = d->payload_len - d->table_pos,
			  .open = open_table,
			  .arg = &t};
	bool rebuilt;
	int rc = fragment_find(d, d->table_pos, sp.len);

	if (rc < 0 || sp.len > SPAN_MAX)
		return -ERR_CORRUPT;
	sp.index = (unsigned)rc;
	sp.off = d->table_pos - fragment_start(d, sp.index);
	pool_seg_context(s->pool, &cx);
	rc = read_span(s, &sp, &rebuilt);
	return rc ? rc : t.rc;
}
