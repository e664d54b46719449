/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carrying: how sealed chunks get into records (J2, J3 of jseg.c).
 */
#include "meta/jseg_impl.h"

#include "base/mem.h"
#include "base/mutant.h"

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
	c->js->pending -= jseg_chunks_bytes(p->build, p->carried, count);
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
	js->pending += jseg_chunks_bytes(p->build, cp->from, p->carried);
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
		jseg_part_unref_locked(c->part[i].part);
	}
	mutex_unlock(&c->js->listing);
	mem_free(c);
}
