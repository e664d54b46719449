/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control_status.h"

#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "backend/compress.h"

#define NS 1000000000

json_t *control_status_text(const char *text)
{
	AUTO_FREE char *plain = NULL;
	json_t *j = json_string(text);

	if (j)
		return j;
	plain = mem_strdup(text);
	for (char *p = plain; p && *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	return plain ? json_string(plain) : NULL;
}

static json_t *hex_text(const void *id, size_t len)
{
	char hex[2 * 16 + 1];

	hex_encode(hex, id, MIN(len, 16u));
	return json_string(hex);
}

/* null when well. */
static json_t *error_json(int rc)
{
	if (rc == 0)
		return json_null();
	return json_pack("{s:s,s:s}", "code", err_name(rc), "message",
			 err_text(rc));
}

/* ---- backends ---- */

static const char *state_name(const struct member *m)
{
	if (!m->backend)
		return "missing";
	switch (backend_get_state(m->backend)) {
	case BACKEND_UP:
		return "up";
	case BACKEND_SUSPECT:
		return "suspect";
	case BACKEND_DOWN:
		break;
	}
	return "down";
}

static int why_not(const struct member *m)
{
	if (!m->backend)
		return m->why ? m->why : -ERR_BACKEND_DOWN;
	return backend_get_state(m->backend) == BACKEND_DOWN ? -ERR_BACKEND_DOWN
							     : 0;
}

static json_t *backend_json(const struct member *m, unsigned slot)
{
	struct drv_usage usage = {0};
	struct driver_stats st = {0};
	uint64_t median_ms = 0;

	if (m->backend) {
		backend_usage(m->backend, &usage);
		backend_get_stats(m->backend, &st);
		median_ms = backend_median_ms(m->backend);
	}
	return json_pack("{s:i,s:o,s:o,s:s,s:o,s:I,s:I,s:I,s:I,s:I,s:I}",
			 "slot", (int)slot, "path",
			 control_status_text(m->path), "id",
			 hex_text(m->id.b, sizeof(m->id.b)), "state",
			 state_name(m), "why", error_json(why_not(m)),
			 "total_bytes", (json_int_t)usage.total_bytes,
			 "free_bytes", (json_int_t)usage.free_bytes,
			 "median_ms", (json_int_t)median_ms, "errors",
			 (json_int_t)st.errors, "read_bytes",
			 (json_int_t)st.read_bytes, "written_bytes",
			 (json_int_t)st.written_bytes);
}

static json_t *backends_json(const struct pool *p)
{
	json_t *list = json_array();

	for (unsigned i = 0; list && i < p->n; i++)
		if (json_array_append_new(list,
					  backend_json(&p->member[i], i)) < 0) {
			json_decref(list);
			list = NULL;
		}
	return list;
}

/* ---- parts ---- */

static json_t *pool_json(const struct pool *p)
{
	return json_pack("{s:o,s:o,s:I,s:b}", "id",
			 hex_text(p->id.b, sizeof(p->id.b)), "label",
			 control_status_text(p->sb.label), "created",
			 (json_int_t)(p->sb.created_ns / NS), "diverged",
			 (int)p->diverged);
}

static json_t *geometry_json(const struct geometry *g)
{
	json_t *codec = g->level == COMPRESS_NONE
				? json_string("none")
				: json_sprintf("zstd:%d", g->level);

	return json_pack("{s:i,s:i,s:I,s:I,s:s,s:o}", "data", (int)g->k,
			 "parity", (int)g->m, "chunk_bytes",
			 (json_int_t)g->chunk_bytes, "segment_bytes",
			 (json_int_t)g->segment_bytes, "cipher",
			 cipher_name(g->cipher), "compression", codec);
}

static json_t *space_json(const struct volume_status *s)
{
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I}", "total_bytes",
			 (json_int_t)s->space.total_bytes, "free_bytes",
			 (json_int_t)s->space.free_bytes, "raw_total_bytes",
			 (json_int_t)s->space.raw_total, "raw_free_bytes",
			 (json_int_t)s->space.raw_free, "stored_bytes",
			 (json_int_t)s->segments.payload_bytes, "live_bytes",
			 (json_int_t)s->segments.live_bytes);
}

static json_t *segments_json(const struct volume_status *s)
{
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "count",
			 (json_int_t)s->segments.segments, "open",
			 (json_int_t)s->segments.open, "dead",
			 (json_int_t)s->segments.dead, "written",
			 (json_int_t)s->store.segments_written, "restriped",
			 (json_int_t)s->store.restripes, "chunks_read",
			 (json_int_t)s->store.chunks_read, "chunks_rebuilt",
			 (json_int_t)s->store.chunks_rebuilt,
			 "fragments_suspect",
			 (json_int_t)s->store.fragments_suspect);
}

static json_t *cache_json(const struct cache_stats *c)
{
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "bytes",
			 (json_int_t)c->bytes, "dirty_bytes",
			 (json_int_t)c->dirty_bytes, "hits",
			 (json_int_t)c->hits, "misses", (json_int_t)c->misses,
			 "evictions", (json_int_t)c->evictions, "readahead",
			 (json_int_t)c->readahead, "throttled",
			 (json_int_t)c->throttled, "failed",
			 (json_int_t)c->failed);
}

static json_t *journal_json(const struct journal_stats *j)
{
	return json_pack("{s:i,s:i,s:I,s:I,s:I,s:I,s:I}", "copies",
			 (int)j->copies, "copies_wanted", (int)j->copies_wanted,
			 "used_bytes", (json_int_t)j->used_bytes, "limit_bytes",
			 (json_int_t)j->limit_bytes, "records",
			 (json_int_t)j->records, "bytes", (json_int_t)j->bytes,
			 "replaced", (json_int_t)j->replaced);
}

static json_t *checkpoint_json(const struct checkpoint_stats *c)
{
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "runs",
			 (json_int_t)c->runs, "failed", (json_int_t)c->failed,
			 "seq", (json_int_t)c->seq, "created",
			 (json_int_t)(c->created_ns / NS), "regions_written",
			 (json_int_t)c->regions_written, "regions_total",
			 (json_int_t)c->regions_total, "segments_removed",
			 (json_int_t)c->segments_removed);
}

/* null where there is none. */
static json_t *lease_json(const struct pool_lease_stats *l)
{
	if (!l->held)
		return json_null();
	return json_pack("{s:i,s:i,s:I,s:I,s:o}", "members", (int)l->members,
			 "needed", (int)l->needed, "age_ms",
			 (json_int_t)l->age_ms, "renewals",
			 (json_int_t)l->renewed, "fenced_by",
			 l->by[0] ? control_status_text(l->by) : json_null());
}

/* ---- the whole ---- */

/* How many more folders may be lost: of the parity, what is not missing. */
static unsigned redundancy(const struct pool *p)
{
	unsigned lost = p->n - pool_up(p);

	return lost < p->geo.m ? p->geo.m - lost : 0;
}

static bool journal_short(const struct volume_status *s)
{
	return !s->read_only && s->journal.copies < s->journal.copies_wanted;
}

/* The worst first. */
static const char *health(const struct volume_status *s)
{
	const struct pool *p = s->pool;

	if (s->error == -ERR_FENCED)
		return "fenced";
	if (s->error == -ERR_LEASE)
		return "lapsed";
	if (s->error)
		return "error";
	if (p->diverged)
		return "diverged";
	if (pool_up(p) < p->n && redundancy(p) == 0)
		return "unprotected";
	if (pool_up(p) < p->n || journal_short(s))
		return "degraded";
	return "healthy";
}

int control_status_json(struct volume *v, const char *mountpoint, json_t **out)
{
	struct volume_status s;
	const struct pool *p;
	int rc = volume_get_status(v, &s);

	if (rc < 0)
		return rc;
	p = s.pool;
	*out = json_pack(
		"{s:b,s:s,s:i,s:o,s:s,s:b,s:o,s:o,s:I,s:I,s:o,s:{s:i,s:i}}",
		"ok", 1, "version", MENDFS_VERSION, "pid", (int)getpid(),
		"mountpoint", control_status_text(mountpoint), "state",
		health(&s), "read_only", (int)s.read_only, "error",
		error_json(s.error), "pool", pool_json(p), "epoch",
		(json_int_t)s.epoch, "durable_seq", (json_int_t)s.durable_seq,
		"geometry", geometry_json(&p->geo), "redundancy", "promised",
		(int)p->geo.m, "current", (int)redundancy(p));
	if (!*out)
		return -ENOMEM;
	if (json_object_set_new(*out, "backends", backends_json(p)) < 0 ||
	    json_object_set_new(*out, "space", space_json(&s)) < 0 ||
	    json_object_set_new(*out, "segments", segments_json(&s)) < 0 ||
	    json_object_set_new(*out, "cache", cache_json(&s.cache)) < 0 ||
	    json_object_set_new(*out, "journal", journal_json(&s.journal)) <
		    0 ||
	    json_object_set_new(*out, "checkpoint",
				checkpoint_json(&s.checkpoint)) < 0 ||
	    json_object_set_new(*out, "lease", lease_json(&s.lease)) < 0 ||
	    json_object_set_new(*out, "index",
				json_pack("{s:I,s:I}", "inodes",
					  (json_int_t)s.inodes, "bytes",
					  (json_int_t)s.index_bytes)) < 0) {
		json_decref(*out);
		return -ENOMEM;
	}
	return 0;
}
