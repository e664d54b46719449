/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status_text.h - a daemon's status (fs/control_status.h) for people.
 *
 * What the daemon says is shown, not judged; a key that is missing shows as 0
 * or "?". One thread.
 */
#ifndef MENDFS_TOOLS_STATUS_TEXT_H
#define MENDFS_TOOLS_STATUS_TEXT_H

#include <stdbool.h>

struct json_t; /* of jansson */

/* A mount, to standard output. */
void status_text_mount(const struct json_t *j, bool verbose);
/* A folder that is not mounted (cmd_status.c). */
void status_text_folder(const struct json_t *j);

#endif
