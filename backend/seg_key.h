/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seg_key.h - the keys of segments at work, kept for the next reader.
 *
 * A read of a small chunk would spend most of its time on deriving the
 * segment's key, so the contexts used last stay in a process-wide cache. A
 * context serves one thread at a time: taking it removes it from the cache.
 * Thread-safe.
 */
#ifndef MENDFS_BACKEND_SEG_KEY_H
#define MENDFS_BACKEND_SEG_KEY_H

#include "backend/segment.h"

/*
 * The context of the segment with this salt; the caller owns it until
 * seg_key_put. 0, or keyring_aead's errors.
 */
int seg_key_get(const struct seg_context *cx, const uint8_t salt[KEY_SALT],
		struct aead **out) MUST_USE;
/* Gives it back; the one not used for longest may be wiped for it. */
void seg_key_put(const struct seg_context *cx, const uint8_t salt[KEY_SALT],
		 struct aead *a);

#endif
