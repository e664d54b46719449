/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One EVP context per key: the key is expanded once, in aead_new; a call sets
 * only the direction and the nonce. The context keeps the key schedule, so no
 * second copy of the key is held.
 *
 * The nonce set (a debugging aid) is process-wide and keyed by a fingerprint
 * of the key, so a pair is also found when the same key was derived twice. It
 * is off unless a test asks, and then costs one relaxed load per call.
 */
#include "backend/aead.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/bytes.h"
#include "base/htab.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/sync.h"

/* EVP's lengths are int. */
#define STEP	    ((size_t)1 << 20)
#define FINGERPRINT 16

struct aead {
	EVP_CIPHER_CTX *ctx;
	uint8_t fingerprint[FINGERPRINT];
};

/* --- ciphers ---------------------------------------------------------- */

static const struct {
	enum cipher id;
	const char *name;
	const char *evp_name;
} ciphers[] = {
	{CIPHER_AES_256_GCM, "aes-256-gcm", "AES-256-GCM"},
	{CIPHER_CHACHA20_POLY1305, "chacha20-poly1305", "ChaCha20-Poly1305"},
};

/* Looking one up by name takes longer than sealing a page: done once. */
static _Atomic(EVP_CIPHER *) fetched[ARRAY_LEN(ciphers)];

int cipher_parse(const char *name, enum cipher *out)
{
	for (size_t i = 0; i < ARRAY_LEN(ciphers); i++) {
		if (strcmp(name, ciphers[i].name) == 0) {
			*out = ciphers[i].id;
			return 0;
		}
	}
	return -EINVAL;
}

const char *cipher_name(enum cipher c)
{
	for (size_t i = 0; i < ARRAY_LEN(ciphers); i++)
		if (ciphers[i].id == c)
			return ciphers[i].name;
	return "unknown";
}

/* -EINVAL: no such cipher; -EIO: OpenSSL does not offer it. */
static int cipher_fetch(enum cipher c, const EVP_CIPHER **out)
{
	size_t i = 0;

	while (i < ARRAY_LEN(ciphers) && ciphers[i].id != c)
		i++;
	if (i == ARRAY_LEN(ciphers))
		return -EINVAL;

	EVP_CIPHER *seen = atomic_load(&fetched[i]);
	if (!seen) {
		EVP_CIPHER *got =
			EVP_CIPHER_fetch(NULL, ciphers[i].evp_name, NULL);
		if (!got)
			return -EIO;
		if (atomic_compare_exchange_strong(&fetched[i], &seen, got))
			seen = got;
		else
			EVP_CIPHER_free(got);
	}
	*out = seen;
	return 0;
}

/* --- the nonce set ---------------------------------------------------- */

struct used_pair {
	struct hnode node;
	uint8_t fingerprint[FINGERPRINT];
	uint8_t nonce[AEAD_NONCE];
	uint8_t message[32]; /* digest of what was tagged; zero for a seal */
};

static atomic_bool tracking;
static struct mutex used_lock = {.m = PTHREAD_MUTEX_INITIALIZER};
static struct htab used; /* of struct used_pair, by used_lock */

static int digest(const void *data, size_t len, uint8_t out[32])
{
	return EVP_Digest(data, len, out, NULL, EVP_sha256(), NULL) ? 0 : -EIO;
}

static struct used_pair *used_find(const struct used_pair *like)
{
	struct hnode *n = htab_find(&used, like->node.key);

	for (; n; n = htab_find_next(n)) {
		struct used_pair *p = container_of(n, struct used_pair, node);

		if (memcmp(p->fingerprint, like->fingerprint, FINGERPRINT) ==
			    0 &&
		    memcmp(p->nonce, like->nonce, AEAD_NONCE) == 0)
			return p;
	}
	return NULL;
}

/*
 * Tagging the same bytes again is how a tag is checked and gives nothing away;
 * everything else that repeats a pair is what must never happen.
 */
static void used_judge(const struct used_pair *old, const struct used_pair *now)
{
	static const uint8_t none[sizeof(now->message)];

	if (memcmp(now->message, none, sizeof(none)) != 0 &&
	    memcmp(now->message, old->message, sizeof(none)) == 0)
		return;

	char hex[2 * AEAD_NONCE + 1];
	hex_encode(hex, now->nonce, AEAD_NONCE);
	log_event(LOG_LVL_ERROR, "nonce_repeated", "nonce=%s", hex);
	abort();
}

/* Notes the pair; aborts when it was used before. tagged NULL: a seal. */
static int nonce_note(const struct aead *a, const uint8_t nonce[AEAD_NONCE],
		      const struct aad *tagged)
{
	if (!atomic_load_explicit(&tracking, memory_order_relaxed))
		return 0;

	AUTO_FREE struct used_pair *p = mem_zalloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	memcpy(p->fingerprint, a->fingerprint, FINGERPRINT);
	memcpy(p->nonce, nonce, AEAD_NONCE);
	p->node.key = get_le64(a->fingerprint) ^ get_le64(nonce) ^
		      (uint64_t)get_le32(nonce + 8) << 32;
	if (tagged && digest(tagged->data, tagged->len, p->message))
		return -EIO;

	MUTEX_GUARD(&used_lock);
	if (!used.bucket)
		return 0; /* switched off meanwhile */
	const struct used_pair *old = used_find(p);
	if (old) {
		used_judge(old, p);
		return 0;
	}
	htab_insert(&used, &p->node, p->node.key);
	p = NULL; /* the set's now */
	return 0;
}

static void used_clear_locked(void)
{
	struct hnode *n, *next;

	if (!used.bucket)
		return;
	for (n = htab_first(&used); n; n = next) {
		next = htab_next(&used, n);
		htab_remove(&used, n);
		mem_free(container_of(n, struct used_pair, node));
	}
	htab_release(&used);
	memset(&used, 0, sizeof(used));
}

void aead_track_nonces(bool on)
{
	MUTEX_GUARD(&used_lock);
	used_clear_locked();
	/* a test that silently tests nothing would be worse */
	MUST(!on || htab_init(&used) == 0);
	atomic_store(&tracking, on);
}

/* --- sealing ---------------------------------------------------------- */

int aead_new(enum cipher c, const uint8_t key[AEAD_KEY], struct aead **out)
{
	const EVP_CIPHER *cipher;

	int rc = cipher_fetch(c, &cipher);
	if (rc)
		return rc;
	struct aead *a = mem_zalloc(sizeof(*a));
	if (!a)
		return -ENOMEM;

	uint8_t print[32];
	a->ctx = EVP_CIPHER_CTX_new();
	rc = a->ctx ? digest(key, AEAD_KEY, print) : -ENOMEM;
	if (rc == 0 && !EVP_CipherInit_ex2(a->ctx, cipher, key, NULL, 1, NULL))
		rc = -EIO;
	if (rc) {
		aead_free(a);
		return rc;
	}
	memcpy(a->fingerprint, print, FINGERPRINT);
	*out = a;
	return 0;
}

void aead_free(struct aead *a)
{
	if (!a)
		return;
	EVP_CIPHER_CTX_free(a->ctx); /* wipes the key schedule */
	mem_free(a);
}

void aead_nonce_position(uint8_t nonce[AEAD_NONCE], uint64_t position)
{
	put_le64(nonce, position);
	put_le32(nonce + 8, 0);
}

/* out NULL: in is associated data */
static bool update(EVP_CIPHER_CTX *ctx, uint8_t *out, const uint8_t *in,
		   size_t len)
{
	while (len > 0) {
		int n = (int)MIN(len, STEP);
		int done;

		if (!EVP_CipherUpdate(ctx, out, &done, in, n) || done != n)
			return false;
		in += n;
		out = out ? out + n : NULL;
		len -= (size_t)n;
	}
	return true;
}

static bool seal(EVP_CIPHER_CTX *ctx, const uint8_t *nonce, struct aad aad,
		 const void *in, size_t len, uint8_t *out, uint8_t *tag)
{
	uint8_t unused[AEAD_TAG];
	int n;

	return EVP_CipherInit_ex2(ctx, NULL, NULL, nonce, 1, NULL) &&
	       update(ctx, NULL, aad.data, aad.len) &&
	       update(ctx, out, in, len) &&
	       EVP_CipherFinal_ex(ctx, unused, &n) &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG, tag);
}

int aead_seal(struct aead *a, const uint8_t nonce[AEAD_NONCE], struct aad aad,
	      const void *in, size_t len, void *out)
{
	uint8_t *o = out;

	int rc = nonce_note(a, nonce, NULL);
	if (rc)
		return rc;
	if (!seal(a->ctx, nonce, aad, in, len, o, o + len)) {
		ERR_clear_error();
		mem_wipe(o, len + AEAD_TAG);
		return -EIO;
	}
	return 0;
}

int aead_tag(struct aead *a, const uint8_t nonce[AEAD_NONCE], const void *data,
	     size_t len, uint8_t tag[AEAD_TAG])
{
	struct aad all = {data, len};

	int rc = nonce_note(a, nonce, &all);
	if (rc)
		return rc;
	if (!seal(a->ctx, nonce, all, NULL, 0, NULL, tag)) {
		ERR_clear_error();
		return -EIO;
	}
	return 0;
}

static int open_to(EVP_CIPHER_CTX *ctx, const uint8_t *nonce, struct aad aad,
		   const uint8_t *in, size_t len, uint8_t *out)
{
	uint8_t tag[AEAD_TAG];
	uint8_t unused[AEAD_TAG];
	int n;

	memcpy(tag, in + len, AEAD_TAG); /* in may be out */
	if (!EVP_CipherInit_ex2(ctx, NULL, NULL, nonce, 0, NULL) ||
	    !EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG, tag) ||
	    !update(ctx, NULL, aad.data, aad.len) || !update(ctx, out, in, len))
		return -EIO;
	return EVP_CipherFinal_ex(ctx, unused, &n) ? 0 : -ERR_AUTH;
}

int aead_open(struct aead *a, const uint8_t nonce[AEAD_NONCE], struct aad aad,
	      const void *in, size_t len, void *out)
{
	if (len < AEAD_TAG)
		return -ERR_AUTH;

	size_t plain = len - AEAD_TAG;
	int rc = open_to(a->ctx, nonce, aad, in, plain, out);
	if (rc) {
		ERR_clear_error();
		if (plain)
			mem_wipe(out, plain);
	}
	return rc;
}
