/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver_impl.h - what the drivers and their dispatcher share.
 *
 * Not for callers of driver.h.
 */
#ifndef MENDFS_BACKEND_DRIVER_IMPL_H
#define MENDFS_BACKEND_DRIVER_IMPL_H

#include "backend/driver.h"

/*
 * The ways in, one per kind. place: the location behind "kind:". They set ops;
 * the dispatcher sets location. Errors as driver_attach.
 */
int drv_dir_attach(const char *place, struct driver **out) MUST_USE;
int drv_mem_attach(const char *place, struct driver **out) MUST_USE;
int drv_fault_attach(const char *place, struct driver **out) MUST_USE;

/* Is this character one that names are made of ('/' is not)? */
bool driver_name_char(char c);
/* FNV-1a of len bytes, for tables of names. */
uint64_t driver_name_hash(const char *name, size_t len);
/* Length of the folder part of name without its '/'; 0 = top. */
size_t driver_folder_len(const char *name);

#endif
