/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/seg_key.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "base/sync.h"

#define KEYS_KEPT 64

struct kept {
	const struct keyring *keys;
	enum cipher cipher;
	uint8_t salt[KEY_SALT];
	struct aead *aead; /* NULL: free */
	uint64_t used;	   /* tick of the last use */
};

static struct mutex lock = {.m = PTHREAD_MUTEX_INITIALIZER};
static struct kept kept[KEYS_KEPT];
static uint64_t tick;

static bool matches(const struct kept *e, const struct seg_context *cx,
		    const uint8_t *salt)
{
	return e->aead && e->keys == cx->keys && e->cipher == cx->cipher &&
	       memcmp(e->salt, salt, KEY_SALT) == 0;
}

static struct aead *take(const struct seg_context *cx, const uint8_t *salt)
{
	MUTEX_GUARD(&lock);

	for (unsigned i = 0; i < KEYS_KEPT; i++) {
		if (matches(&kept[i], cx, salt))
			return steal(&kept[i].aead);
	}
	return NULL;
}

int seg_key_get(const struct seg_context *cx, const uint8_t salt[KEY_SALT],
		struct aead **out)
{
	*out = take(cx, salt);
	if (*out)
		return 0;
	return keyring_aead(cx->keys, cx->cipher, "segment", salt, NULL, 0,
			    out);
}

/* A free place, else that of the one used longest ago. */
static struct kept *victim(void)
{
	struct kept *best = &kept[0];

	for (unsigned i = 0; i < KEYS_KEPT; i++) {
		if (!kept[i].aead)
			return &kept[i];
		if (kept[i].used < best->used)
			best = &kept[i];
	}
	return best;
}

void seg_key_put(const struct seg_context *cx, const uint8_t salt[KEY_SALT],
		 struct aead *a)
{
	struct aead *old;
	struct kept *e;

	mutex_lock(&lock);
	e = victim();
	old = e->aead;
	*e = (struct kept){.keys = cx->keys,
			   .cipher = cx->cipher,
			   .aead = a,
			   .used = ++tick};
	memcpy(e->salt, salt, KEY_SALT);
	mutex_unlock(&lock);
	aead_free(old);
}

void seg_keys_forget(const struct keyring *keys)
{
	MUTEX_GUARD(&lock);

	for (unsigned i = 0; i < KEYS_KEPT; i++) {
		if (kept[i].keys == keys)
			aead_free(steal(&kept[i].aead));
	}
}
