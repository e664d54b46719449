/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest_format.h - the bytes of a manifest and of index segments (disk
 * version 1).
 *
 * INDEX SEGMENTS are segments of kind SEG_INDEX (backend/seg_format.h). Two
 * sorts of chunks lie in them, told apart by their owner:
 *
 *     data id MANIFEST_DATA_REGION   one region of the index file; offset:
 *                                    region number * INDEX_REGION; plain
 *                                    length INDEX_REGION
 *     data id MANIFEST_DATA_SELF     a manifest; offset 0; the only chunk of
 *                                    its segment
 *
 * All regions have one owner with growing offsets so that neighbours in a
 * segment can be read as one run.
 *
 * A MANIFEST is
 *
 *     head      struct manifest_head
 *     segments  head.segments times: u32 live, then the segment as
 *               seg_desc_encode writes it
 *     regions   head.regions times: struct manifest_region
 *     kept      head.kept times: i64 created, u64 seq, epoch_id[16],
 *               u32 pos, u32 stored length << 1 | codec, u32 plain length,
 *               the segment as seg_desc_encode writes it    (newest first)
 *
 * and nothing behind. live is the sum of the stored lengths of the regions in
 * that segment; a segment without any is not listed. Being a sealed chunk, a
 * manifest is as authentic as all others; what is checked when it is read are
 * its numbers.
 *
 * All integers little-endian.
 */
#ifndef MENDFS_META_MANIFEST_FORMAT_H
#define MENDFS_META_MANIFEST_FORMAT_H

#include <stdint.h>

#define MANIFEST_MAGIC	 0x314e414d444e454dULL /* "MENDMAN1" */
#define MANIFEST_VERSION 1

#define MANIFEST_DATA_REGION 1
#define MANIFEST_DATA_SELF   UINT64_MAX

struct manifest_head {
	uint64_t magic;
	uint32_t version;
	uint32_t region_bytes; /* INDEX_REGION */
	uint64_t seq;
	uint8_t epoch_id[16];
	uint64_t bytes_from; /* 1..seq + 1 */
	int64_t created;     /* ns since 1970 */
	uint32_t regions;
	uint32_t segments;
	uint32_t kept;
	uint32_t zero;
} __attribute__((packed));
_Static_assert(sizeof(struct manifest_head) == 72, "manifest_head is on disk");

struct manifest_region {
	uint32_t segment; /* number in the list of segments */
	uint32_t pos;
	uint32_t stored_len_codec; /* stored length << 1 | codec */
	uint8_t hash[16];	   /* SHA-256 of the plain region, cut */
} __attribute__((packed));
_Static_assert(sizeof(struct manifest_region) == 28, "on disk");

#endif
