/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "meta/index_impl.h"

int queue_add(struct index *ix, enum queue_kind kind, uint64_t a, uint64_t b)
{
	uint64_t id = index_next(ix, COUNTER_QUEUE);
	int rc = OP_RUN(ix, STMT_QUEUE_ADD, V_INT(id), V_INT(kind), V_INT(a),
			V_INT(b));

	return rc < 0 ? rc : 0;
}

int queue_remove(struct index *ix, uint64_t id)
{
	return OP_RUN_ONE(ix, STMT_QUEUE_REMOVE, V_INT(id));
}

static int first_job(struct query *q, struct queue_row *out)
{
	int rc = query_one(q);

	if (rc)
		return rc;
	*out = (struct queue_row){
		.id = (uint64_t)query_int(q, 0),
		.kind = (enum queue_kind)query_int(q, 1),
		.a = (uint64_t)query_int(q, 2),
		.b = (uint64_t)query_int(q, 3),
	};
	return 0;
}

int queue_next(struct index *ix, uint64_t after, struct queue_row *out)
{
	AUTO(query_end) struct query q = {0};
	int rc = QUERY(&q, ix, QUERY_QUEUE_NEXT, V_INT(after));

	return rc ? rc : first_job(&q, out);
}

int queue_any(struct index *ix, enum queue_kind kind)
{
	AUTO(query_end) struct query q = {0};
	int rc = QUERY(&q, ix, QUERY_QUEUE_ANY, V_INT(kind));

	return rc ? rc : query_row(&q);
}

int queue_find(struct index *ix, enum queue_kind kind, uint64_t a,
	       struct queue_row *out)
{
	AUTO(query_end) struct query q = {0};
	int rc = QUERY(&q, ix, QUERY_QUEUE_FIND, V_INT(kind), V_INT(a));

	return rc ? rc : first_job(&q, out);
}
