/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shutdown.c - an end as by power loss, while mounted (volume_shutdown).
 *
 * Order, and why nothing is acknowledged or written afterwards:
 *
 *   1  `shut` is set     operations that begin now answer -ERR_SHUT_DOWN, and
 *                        the services leave off
 *   2  commit_stop       no record becomes durable any more: an fsync under
 *                        way ends well only if its record already was
 *   3  pool_cut          no member is changed any more; what had begun ends
 *
 * 2 comes before 3: while members are cut one after another some would look
 * lost and the rest enough. Operations under way may still change what is in
 * memory, which nobody can look at any more.
 */
#include "base/log.h"
#include "fs/volume_impl.h"

/* A folder that hangs longer may end the one call it is in. */
#define STILL_MS 5000

int volume_alive(struct volume *v)
{
	return atomic_load(&v->shut) ? -ERR_SHUT_DOWN : 0;
}

static int keep(struct volume *v, enum shutdown_keeps keeps)
{
	int rc = 0;

	if (v->read_only || keeps == SHUTDOWN_KEEPS_NOTHING)
		return 0;
	if (keeps == SHUTDOWN_KEEPS_ALL)
		return volume_sync(v);
	rc = node_flush_attrs(v);
	return rc < 0 ? rc : commit_all(v->commit);
}

int volume_shutdown(struct volume *v, enum shutdown_keeps keeps)
{
	int rc = volume_alive(v);

	if (rc < 0)
		return 0;
	rc = keep(v, keeps);
	if (rc < 0)
		return rc;
	if (atomic_exchange(&v->shut, true))
		return 0;
	commit_stop(v->commit, -ERR_SHUT_DOWN);
	if (!pool_cut(v->pool, STILL_MS))
		log_event(LOG_LVL_WARN, "shutdown_unsettled", "wait_ms=%d",
			  STILL_MS);
	log_event(LOG_LVL_WARN, "shutdown", "keeps=%d", keeps);
	return 0;
}
