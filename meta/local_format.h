/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_format.h - the bytes of the state file in the cache folder (version
 * 1). It never leaves the machine and may be thrown away, so there are no
 * features: another version counts as absent.
 *
 * mac is of all before it, under the pool's key "local state"; so a file of
 * another pool does not authenticate. All integers little-endian.
 */
#ifndef MENDFS_META_LOCAL_FORMAT_H
#define MENDFS_META_LOCAL_FORMAT_H

#include <stdint.h>

#define LOCAL_MAGIC   0x31434f4c444e454dULL /* "MENDLOC1" */
#define LOCAL_VERSION 1
#define LOCAL_CLEAN   1u /* in flags */
#define LOCAL_PURPOSE "local state"

struct local_file {
	uint64_t magic;
	uint32_t version;
	uint32_t flags;
	uint8_t salt[32];
	uint8_t manifest_hash[32];
	uint64_t seq;
	uint64_t mark_epoch;
	uint8_t mark_epoch_id[16];
	uint64_t mark_seq;
	uint8_t mac[32];
} __attribute__((packed));
_Static_assert(sizeof(struct local_file) == 152, "local_file is on disk");

#endif
