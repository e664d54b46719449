/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "meta/index_impl.h"

/* Columns id, state, dead_seq, descr. */
static int segment_from_query(struct index *ix, const struct query *q,
			      struct segment_row *out)
{
	int64_t state = query_int(q, 1);
	size_t len;
	const void *p = query_blob(q, 3, &len);
	struct reader r = reader_of(p, len);
	int rc = seg_desc_decode(&r, &out->desc);
	struct seg_counts counts;

	if (rc || reader_left(&r) || state < SEG_OPEN || state > SEG_DEAD ||
	    out->desc.id.v != (uint64_t)query_int(q, 0))
		return -ERR_CORRUPT;
	counts = refs_get(&ix->refs, out->desc.id);
	out->state = (enum seg_state)state;
	out->dead_seq = (uint64_t)query_int(q, 2);
	out->refs = counts.rows;
	out->live_bytes = counts.live;
	return 0;
}

int segment_get(struct index *ix, struct seg_id id, struct segment_row *out)
{
	AUTO(query_end) struct query q = {0};
	int rc = index_load_counts(ix);

	if (!rc)
		rc = QUERY(&q, ix, QUERY_SEGMENT_GET, V_INT(id.v));
	if (!rc)
		rc = query_one(&q);
	return rc ? rc : segment_from_query(ix, &q, out);
}

bool segment_usable(struct index *ix, struct seg_id id)
{
	unsigned state = refs_get(&ix->refs, id).state;

	return state == SEG_OPEN || state == SEG_SEALED;
}

int segment_insert(struct index *ix, const struct seg_desc *desc,
		   enum seg_state state)
{
	AUTO(bytes_release) struct bytes coded = {0};
	int rc;

	if (state != SEG_OPEN && state != SEG_SEALED)
		return -EINVAL;
	rc = seg_desc_encode(desc, &coded);
	if (!rc)
		rc = OP_RUN(ix, STMT_SEGMENT_INSERT, V_INT(desc->id.v),
			    V_INT(state), V_INT(0),
			    V_BLOB(coded.data, coded.len));
	if (rc < 0)
		return rc;
	return op_doubt(ix, refs_set_state(&ix->refs, desc->id, state,
					   desc->payload_len));
}

int segment_seal(struct index *ix, const struct seg_desc *desc)
{
	AUTO(bytes_release) struct bytes coded = {0};
	unsigned state = refs_get(&ix->refs, desc->id).state;
	int rc;

	if (!state)
		return -ENOENT;
	if (state == SEG_DEAD)
		return -ESTALE;
	rc = seg_desc_encode(desc, &coded);
	if (!rc)
		rc = OP_RUN_ONE(ix, STMT_SEGMENT_SEAL, V_INT(desc->id.v),
				V_BLOB(coded.data, coded.len));
	if (rc)
		return rc;
	return op_doubt(ix, refs_set_state(&ix->refs, desc->id, SEG_SEALED,
					   desc->payload_len));
}

int segment_delete(struct index *ix, struct seg_id id)
{
	int rc = OP_RUN_ONE(ix, STMT_SEGMENT_DELETE, V_INT(id.v));

	return rc ? rc : op_doubt(ix, refs_set_state(&ix->refs, id, 0, 0));
}

int segment_list(struct index *ix, enum seg_state state, struct seg_id after,
		 struct segment_row *out, unsigned max)
{
	AUTO(query_end) struct query q = {0};
	unsigned n = 0;
	int rc = index_load_counts(ix);

	if (!rc)
		rc = QUERY(&q, ix,
			   state == SEG_SEALED ? QUERY_SEGMENT_SEALED
					       : QUERY_SEGMENT_OTHER,
			   V_INT(state), V_INT(after.v), V_INT(max));
	while (!rc && (rc = query_row(&q)) == 1)
		rc = segment_from_query(ix, &q, &out[n++]);
	return rc < 0 ? rc : (int)n;
}

void segment_get_totals(struct index *ix, struct segment_totals *out)
{
	/* Without memory for newer numbers the last ones are answered. */
	int rc = index_load_counts(ix);

	(void)rc;
	*out = ix->refs.totals;
}
