/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit.h - what must hold in a recovered pool whatever clients did.
 */
#ifndef MENDFS_TESTS_SIM_AUDIT_H
#define MENDFS_TESTS_SIM_AUDIT_H

#include "world.h"

/*
 * Of an open volume: D (each sealed segment has its fragments, all of them if
 * `whole`), E (epochs ascend, the newest is claimed by a majority). Fails the
 * run.
 */
void audit_volume(const struct history *h, struct volume *v, bool whole);
/* G: the index's own rules. */
void audit_index(struct volume *v);
/*
 * Of a pool that is not mounted, as fsck reads all of it: no finding of at
 * least an error, or of at least a warning if `whole`.
 */
void audit_pool(const struct history *h, bool whole);

#endif
