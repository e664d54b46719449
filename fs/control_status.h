/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_status.h - the state of a volume as JSON.
 *
 * The keys are stable and documented in mendfs.1; new ones may be added.
 */
#ifndef MENDFS_FS_CONTROL_STATUS_H
#define MENDFS_FS_CONTROL_STATUS_H

#include "base/err.h"
#include "fs/volume.h"

struct json_t; /* of jansson */

/* A new object with "ok": true, to be given back with json_decref. 0, -ENOMEM
 * or what volume_get_status says. */
int control_status_json(struct volume *v, const char *mountpoint,
			struct json_t **out) MUST_USE;

/* A string of any bytes; those that are not UTF-8 become '?'. */
struct json_t *control_status_text(const char *text);

#endif
