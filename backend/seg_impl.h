/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seg_impl.h - what the files of segment.h share. Not for other modules.
 */
#ifndef MENDFS_BACKEND_SEG_IMPL_H
#define MENDFS_BACKEND_SEG_IMPL_H

#include <stdatomic.h>

#include "base/buf.h"
#include "backend/segment.h"

enum build_state {
	BUILD_OPEN,	/* takes chunks */
	BUILD_RESTORED, /* recovered: takes what a journal carried */
	BUILD_ENDED,	/* a sealing failed: only to be finished */
	BUILD_FINISHED, /* the table is sealed: constant from here on */
};

struct seg_build {
	struct seg_context cx;
	enum seg_kind kind;
	struct seg_id id;
	uint8_t salt[KEY_SALT];
	struct aead *aead; /* the adder's own */
	enum build_state state;
	struct buf *payload_buf, *entry_buf;
	uint8_t *payload; /* seg_room(cap) bytes, never moves */
	uint32_t cap;
	_Atomic uint32_t len;	       /* payload bytes that are in place */
	uint32_t table_pos;	       /* once finished */
	struct seg_table_entry *entry; /* as on disk, seg_count_max(cap) */
	_Atomic uint32_t count;	       /* entries that are in place */
};

/* Chunks that a segment of this cap takes. */
uint32_t seg_count_max(uint32_t cap);
static inline uint32_t seg_entry_len(const struct seg_table_entry *e)
{
	return le32toh(e->stored_len_codec) >> 1;
}
/* One past the last byte of the chunk. */
static inline uint32_t seg_entry_end(const struct seg_table_entry *e)
{
	return le32toh(e->position) + seg_entry_len(e);
}

void seg_entry_get(const struct seg_table_entry *e, uint64_t *data_id,
		   uint64_t *offset, struct chunk_ref *ref);

/* Can these numbers describe any sealed chunk? */
bool chunk_ref_possible(const struct chunk_ref *ref);

/* What goes into the associated data besides id, kind and epoch. */
struct seg_sealed {
	uint64_t data_id;
	uint64_t offset;
	uint32_t position;
	uint32_t plain_len;
	enum codec codec;
};
/* d: id, kind and key_epoch are used. */
void seg_aad_fill(struct seg_aad *aad, const struct seg_context *cx,
		  const struct seg_desc *d, const struct seg_sealed *what);

/* Key of one sealing of the table. */
int seg_table_key(const struct seg_context *cx, const uint8_t salt[KEY_SALT],
		  const uint8_t table_salt[SEG_TABLE_SALT],
		  struct aead **out) MUST_USE;

#endif
