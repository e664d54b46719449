/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys on their way: the master key and what Argon2id makes live in secure
 * memory. A derived key stands on the stack for the time of one call and is
 * wiped before the call returns; then it is OpenSSL's key schedule.
 *
 * libargon2 starts a thread per lane by itself and joins them before it
 * returns: the one exception to the rule that only base/workq makes threads.
 * Where work queues run inline (simulation) it is told to use none; the number
 * of threads, other than that of lanes, does not change the result.
 */
#include "backend/keyring.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <argon2.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>

#include "backend/keyslot_format.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rnd.h"
#include "base/sync.h"
#include "base/workq.h"

#define MASTER_KEY	32
#define POOL_ID		16
#define DERIVE_MAX	64
#define DEFAULT_MS	700u
#define CALIBRATE_MEM	(256u * 1024)
#define CALIBRATE_LANES 4u
/* RFC 9106's second choice, for machines that are small or busy: a pool is
 * not protected any worse than that to save time, only to save memory. */
#define FLOOR_TIME 3u
#define FLOOR_MEM  (64u * 1024)
/* Trial runs double their memory from .. until they take .. */
#define TRIAL_MEM 4096u
#define TRIAL_NS  12000000u

_Static_assert(sizeof(struct keyslot_disk) == KEY_SLOT_BYTES, "slot size");
_Static_assert(sizeof(((struct keyslot_disk *)0)->salt) == KEY_SALT, "salt");
_Static_assert(sizeof(((struct keyslot_disk *)0)->wrapped) ==
		       MASTER_KEY + AEAD_TAG,
	       "wrapped key");

struct keyring {
	uint8_t master[MASTER_KEY];
};

/* What Argon2id makes of a passphrase, in this order. */
struct pass_keys {
	uint8_t wrap[AEAD_KEY];
	uint8_t commit[32];
};

struct passphrase {
	const char *text;
	size_t len;
};

static void pass_keys_free(struct pass_keys **k)
{
	if (*k)
		mem_secure_free(*k, sizeof(**k));
}

static void aead_auto_free(struct aead **a)
{
	aead_free(*a);
}

static void keyring_auto_free(struct keyring **k)
{
	keyring_free(*k);
}

/* OpenSSL's 1 for success; its error queue is of no use to us. */
static int ossl_rc(int ok)
{
	if (ok > 0)
		return 0;
	ERR_clear_error();
	return -EIO;
}

/* --- Argon2id --------------------------------------------------------- */

static struct mutex override_lock = {.m = PTHREAD_MUTEX_INITIALIZER};
static bool override_on;
static struct kdf_cost override_cost; /* by override_lock */

/* libargon2's own allocator would pass the seam in base/mem by. */
static int argon_alloc(uint8_t **p, size_t n)
{
	*p = mem_alloc(n);
	return *p ? ARGON2_OK : ARGON2_MEMORY_ALLOCATION_ERROR;
}

static void argon_free(uint8_t *p, size_t n)
{
	(void)n; /* libargon2 has wiped it */
	mem_free(p);
}

static uint64_t ram_kib(void)
{
	long pages = sysconf(_SC_PHYS_PAGES);
	long page = sysconf(_SC_PAGE_SIZE);

	if (pages <= 0 || page <= 0)
		return KDF_MEM_KIB_MAX;
	return (uint64_t)pages * (uint64_t)page / 1024;
}

/* Stored numbers decide over gigabytes and minutes: judged before they do. */
static int kdf_check(const struct kdf_cost *c)
{
	if (c->time < 1 || c->time > KDF_TIME_MAX || c->lanes < 1 ||
	    c->lanes > KDF_LANES_MAX)
		return -ERR_KDF_LIMIT;
	/* Argon2 wants 8 blocks of 1 KiB for each lane */
	if (c->mem_kib < KDF_MEM_KIB_MIN * c->lanes ||
	    c->mem_kib > KDF_MEM_KIB_MAX || c->mem_kib > ram_kib())
		return -ERR_KDF_LIMIT;
	return 0;
}

static int kdf_rc(int argon_rc)
{
	switch (argon_rc) {
	case ARGON2_OK:
		return 0;
	case ARGON2_MEMORY_ALLOCATION_ERROR:
		return -ENOMEM;
	case ARGON2_THREAD_FAIL:
		return -EAGAIN;
	default:
		return -EIO;
	}
}

static int kdf_run(const struct kdf_cost *c, struct passphrase pass,
		   const uint8_t salt[KEY_SALT], struct pass_keys *out)
{
	int rc = kdf_check(c);
	if (rc)
		return rc;

	/* without flags libargon2 only reads the passphrase and the salt */
	argon2_context ctx = {
		.out = (uint8_t *)out,
		.outlen = sizeof(*out),
		.pwd = (uint8_t *)(uintptr_t)pass.text,
		.pwdlen = (uint32_t)pass.len,
		.salt = (uint8_t *)(uintptr_t)salt,
		.saltlen = KEY_SALT,
		.t_cost = c->time,
		.m_cost = c->mem_kib,
		.lanes = c->lanes,
		.threads = workq_is_inline() ? 1 : c->lanes,
		.version = ARGON2_VERSION_13,
		.allocate_cbk = argon_alloc,
		.free_cbk = argon_free,
		.flags = ARGON2_DEFAULT_FLAGS,
	};
	return kdf_rc(argon2id_ctx(&ctx));
}

/* ns of a run with these numbers; 0: it failed, or the clock stands still. */
static uint64_t kdf_time(uint32_t passes, uint32_t mem_kib, uint32_t lanes)
{
	static const uint8_t salt[KEY_SALT];
	struct kdf_cost trial = {passes, mem_kib, lanes};
	struct pass_keys keys; /* of no secret */
	uint64_t start = clock_mono_ns();

	if (kdf_run(&trial, (struct passphrase){"trial", 5}, salt, &keys))
		return 0;
	return clock_mono_ns() - start;
}

/* The better of two: what disturbs a run makes it longer, never shorter. */
static uint64_t kdf_best(uint32_t passes, uint32_t mem_kib, uint32_t lanes)
{
	uint64_t a = kdf_time(passes, mem_kib, lanes);
	uint64_t b = kdf_time(passes, mem_kib, lanes);

	return MIN(a, b);
}

/* A run over m MiB with t passes takes m * (once + t * pass) ns. */
struct kdf_speed {
	uint64_t once; /* the system hands out zeroed memory */
	uint64_t pass; /* 0: not known */
};

static struct kdf_speed kdf_measure(uint32_t mem_max, uint32_t lanes)
{
	struct kdf_speed s = {0, 0};
	uint32_t mem = MIN(TRIAL_MEM, mem_max);

	uint64_t one = kdf_best(1, mem, lanes);
	while (one && one < TRIAL_NS && mem <= mem_max / 2) {
		mem *= 2;
		one = kdf_best(1, mem, lanes);
	}
	uint64_t three = one ? kdf_best(3, mem, lanes) : 0;
	if (!three)
		return s;
	/* bounds what a disturbed `one` could make of the difference */
	uint64_t pass = three > one ? (three - one) / 2 : 0;
	pass = MAX(MAX(pass, three / 4), 1);
	s.once = three > 3 * pass ? (three - 3 * pass) * 1024 / mem : 0;
	s.pass = MAX(1, pass * 1024 / mem);
	return s;
}

void kdf_calibrate(uint32_t target_ms, struct kdf_cost *out)
{
	uint32_t mem_max = (uint32_t)MIN(CALIBRATE_MEM, ram_kib() / 4);
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	uint32_t lanes = (uint32_t)MAX(1, MIN(CALIBRATE_LANES, cores));

	mem_max = MAX(mem_max, KDF_MEM_KIB_MIN * lanes);
	*out = (struct kdf_cost){FLOOR_TIME, MIN(FLOOR_MEM, mem_max), lanes};

	struct kdf_speed s = kdf_measure(mem_max, lanes);
	if (s.pass == 0)
		return;
	/* the time buys memory first, then passes */
	uint64_t target = (uint64_t)target_ms * 1000000 * 1024;
	uint64_t mem = target / (s.once + FLOOR_TIME * s.pass);
	out->mem_kib = (uint32_t)MAX(out->mem_kib, MIN(mem, mem_max));
	uint64_t per_mib = target / out->mem_kib;
	uint64_t time = per_mib > s.once ? (per_mib - s.once) / s.pass : 0;
	out->time = (uint32_t)MAX(FLOOR_TIME, MIN(time, KDF_TIME_MAX));
}

void kdf_override(const struct kdf_cost *cost)
{
	MUTEX_GUARD(&override_lock);
	override_on = cost != NULL;
	if (cost)
		override_cost = *cost;
}

static struct kdf_cost kdf_choose(void)
{
	struct kdf_cost c;

	mutex_lock(&override_lock);
	bool given = override_on;
	c = override_cost;
	mutex_unlock(&override_lock);
	if (!given)
		kdf_calibrate(DEFAULT_MS, &c);
	return c;
}

/* --- the master key and its slots ------------------------------------- */

int keyring_new(struct keyring **out)
{
	struct keyring *k = mem_secure_alloc(sizeof(*k));

	if (!k)
		return -ENOMEM;
	rnd_bytes(k->master, sizeof(k->master));
	*out = k;
	return 0;
}

void keyring_free(struct keyring *k)
{
	if (k)
		mem_secure_free(k, sizeof(*k));
}

static int slot_keys(const struct keyslot_disk *s, struct passphrase pass,
		     struct pass_keys **out)
{
	AUTO(pass_keys_free)
	struct pass_keys *keys = mem_secure_alloc(sizeof(*keys));
	struct kdf_cost cost = {
		.time = get_le32(s->time),
		.mem_kib = get_le32(s->mem_kib),
		.lanes = get_le32(s->lanes),
	};

	if (!keys)
		return -ENOMEM;
	int rc = kdf_run(&cost, pass, s->salt, keys);
	if (rc == 0)
		*out = steal(&keys);
	return rc;
}

static int slot_commitment(const struct keyslot_disk *s,
			   const struct pass_keys *keys,
			   const uint8_t pool[POOL_ID], uint8_t out[KEY_MAC])
{
	const size_t label = sizeof(KEYSLOT_COMMIT_LABEL) - 1;
	uint8_t msg[sizeof(KEYSLOT_COMMIT_LABEL) - 1 + POOL_ID +
		    KEYSLOT_COMMIT_BYTES];

	memcpy(msg, KEYSLOT_COMMIT_LABEL, label);
	memcpy(msg + label, pool, POOL_ID);
	memcpy(msg + label + POOL_ID, s, KEYSLOT_COMMIT_BYTES);
	return ossl_rc(HMAC(EVP_sha256(), keys->commit, sizeof(keys->commit),
			    msg, sizeof(msg), out, NULL) != NULL);
}

struct slot_aad {
	uint8_t pool[POOL_ID];
	uint8_t head[KEYSLOT_AAD_BYTES];
};

static struct slot_aad slot_aad(const struct keyslot_disk *s,
				const uint8_t pool[POOL_ID])
{
	struct slot_aad a;

	memcpy(a.pool, pool, sizeof(a.pool));
	memcpy(a.head, s, sizeof(a.head));
	return a;
}

/* Fills in what depends on the passphrase: wrapped, commitment, checksum. */
static int slot_close(struct keyslot_disk *s, const struct keyring *k,
		      const struct pass_keys *keys, const uint8_t pool[POOL_ID])
{
	AUTO(aead_auto_free) struct aead *a = NULL;
	struct slot_aad bound = slot_aad(s, pool);

	int rc = aead_new(CIPHER_AES_256_GCM, keys->wrap, &a);
	if (rc == 0)
		rc = aead_seal(a, s->nonce, (struct aad){&bound, sizeof(bound)},
			       k->master, MASTER_KEY, s->wrapped);
	if (rc == 0)
		rc = slot_commitment(s, keys, pool, s->commitment);
	if (rc == 0)
		rc = sha256(s, KEYSLOT_SUMMED_BYTES, s->checksum);
	return rc;
}

int keyring_wrap(const struct keyring *k, const uint8_t pool[16],
		 const char *pass, size_t len, uint8_t slot[KEY_SLOT_BYTES])
{
	AUTO(pass_keys_free) struct pass_keys *keys = NULL;
	struct keyslot_disk s = {
		.kdf = KEYSLOT_KDF_ARGON2ID,
		.wrap = KEYSLOT_WRAP_AES_GCM,
	};

	if (len < 1 || len > UINT32_MAX)
		return -EINVAL;
	struct kdf_cost cost = kdf_choose();
	memcpy(s.magic, KEYSLOT_MAGIC, sizeof(s.magic));
	put_le16(s.version, KEYSLOT_VERSION);
	put_le32(s.time, cost.time);
	put_le32(s.mem_kib, cost.mem_kib);
	put_le32(s.lanes, cost.lanes);
	rnd_bytes(s.salt, sizeof(s.salt));
	rnd_bytes(s.nonce, sizeof(s.nonce));

	int rc = slot_keys(&s, (struct passphrase){pass, len}, &keys);
	if (rc == 0)
		rc = slot_close(&s, k, keys, pool);
	if (rc == 0)
		memcpy(slot, &s, sizeof(s));
	return rc;
}

bool keyslot_used(const uint8_t slot[KEY_SLOT_BYTES])
{
	for (size_t i = 0; i < KEY_SLOT_BYTES; i++)
		if (slot[i])
			return true;
	return false;
}

/* 0, -ERR_KEYSLOT (damaged) or -ERR_FEATURE. */
static int slot_check(const struct keyslot_disk *s)
{
	uint8_t sum[sizeof(s->checksum)];

	int rc = sha256(s, KEYSLOT_SUMMED_BYTES, sum);
	if (rc)
		return rc;
	if (memcmp(sum, s->checksum, sizeof(sum)) != 0 ||
	    memcmp(s->magic, KEYSLOT_MAGIC, sizeof(s->magic)) != 0)
		return -ERR_KEYSLOT;
	if (get_le16(s->version) != KEYSLOT_VERSION ||
	    s->kdf != KEYSLOT_KDF_ARGON2ID || s->wrap != KEYSLOT_WRAP_AES_GCM)
		return -ERR_FEATURE;
	return 0;
}

static int slot_unwrap(const struct keyslot_disk *s,
		       const struct pass_keys *keys,
		       const uint8_t pool[POOL_ID], struct keyring **out)
{
	AUTO(aead_auto_free) struct aead *a = NULL;
	AUTO(keyring_auto_free)
	struct keyring *k = mem_secure_alloc(sizeof(*k));
	struct slot_aad bound = slot_aad(s, pool);

	if (!k)
		return -ENOMEM;
	int rc = aead_new(CIPHER_AES_256_GCM, keys->wrap, &a);
	if (rc == 0)
		rc = aead_open(a, s->nonce, (struct aad){&bound, sizeof(bound)},
			       s->wrapped, sizeof(s->wrapped), k->master);
	if (rc == 0)
		*out = steal(&k);
	/* its keys committed to these very bytes: nobody wrote this slot */
	return rc == -ERR_AUTH ? -ERR_KEYSLOT : rc;
}

static int slot_open(const struct keyslot_disk *s, const uint8_t pool[POOL_ID],
		     struct passphrase pass, struct keyring **out)
{
	AUTO(pass_keys_free) struct pass_keys *keys = NULL;
	uint8_t commitment[KEY_MAC];

	int rc = slot_check(s);
	if (rc == 0)
		rc = slot_keys(s, pass, &keys);
	if (rc == 0)
		rc = slot_commitment(s, keys, pool, commitment);
	if (rc)
		return rc;
	if (!mac_equal(commitment, s->commitment, sizeof(commitment)))
		return -ERR_PASSPHRASE;
	return slot_unwrap(s, keys, pool, out);
}

/*
 * Of the reasons why no slot opened the one that is told: what the system
 * lacked, then what the user can act upon first.
 */
static int worse(int a, int b)
{
	static const int order[] = {-ERR_KEYSLOT, -ERR_KDF_LIMIT, -ERR_FEATURE,
				    -ERR_PASSPHRASE};
	size_t i = 0;
	size_t j = 0;

	while (i < ARRAY_LEN(order) && order[i] != a)
		i++;
	while (j < ARRAY_LEN(order) && order[j] != b)
		j++;
	if (i == ARRAY_LEN(order))
		return a;
	return j == ARRAY_LEN(order) || j < i ? b : a;
}

int keyring_unlock(const uint8_t *slots, const uint8_t pool[16],
		   const char *pass, size_t len, struct keyring **out,
		   unsigned *slot_out)
{
	int rc = -ERR_PASSPHRASE;

	if (len < 1 || len > UINT32_MAX)
		return rc; /* keyring_wrap makes no such slot */
	for (unsigned i = 0; i < KEY_SLOTS; i++) {
		const uint8_t *raw = slots + (size_t)i * KEY_SLOT_BYTES;
		struct keyslot_disk s;

		if (!keyslot_used(raw))
			continue;
		memcpy(&s, raw, sizeof(s));
		int one = slot_open(&s, pool, (struct passphrase){pass, len},
				    out);
		if (one == 0) {
			*slot_out = i;
			return 0;
		}
		rc = worse(rc, one);
	}
	return rc;
}

/* --- derived keys ----------------------------------------------------- */

/* NULL: OpenSSL has no HKDF, or no memory. */
static EVP_KDF *hkdf_get(void)
{
	static _Atomic(EVP_KDF *) fetched;

	EVP_KDF *seen = atomic_load(&fetched);
	if (seen)
		return seen;
	EVP_KDF *got = EVP_KDF_fetch(NULL, "HKDF", NULL);
	if (!got)
		return NULL;
	if (atomic_compare_exchange_strong(&fetched, &seen, got))
		return got;
	EVP_KDF_free(got);
	return seen;
}

static OSSL_PARAM octets(const char *key, const void *p, size_t len)
{
	/* OpenSSL only reads what a parameter of this use points to */
	return OSSL_PARAM_construct_octet_string(key, (void *)(uintptr_t)p,
						 len);
}

int keyring_derive(const struct keyring *k, const char *purpose,
		   const uint8_t salt[KEY_SALT], const void *context,
		   size_t context_len, uint8_t *out, size_t out_len)
{
	static char digest[] = "SHA256";
	OSSL_PARAM p[8];
	size_t n = 0;

	if (out_len < 1 || out_len > DERIVE_MAX)
		return -EINVAL;
	EVP_KDF *hkdf = hkdf_get();
	EVP_KDF_CTX *ctx = hkdf ? EVP_KDF_CTX_new(hkdf) : NULL;
	if (!ctx)
		return ossl_rc(0);

	p[n++] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest,
						  0);
	p[n++] = octets(OSSL_KDF_PARAM_KEY, k->master, MASTER_KEY);
	if (salt)
		p[n++] = octets(OSSL_KDF_PARAM_SALT, salt, KEY_SALT);
	/* several infos are put together; purpose with its zero byte */
	p[n++] = octets(OSSL_KDF_PARAM_INFO, "mendfs ", 7);
	p[n++] = octets(OSSL_KDF_PARAM_INFO, purpose, strlen(purpose) + 1);
	if (context_len)
		p[n++] = octets(OSSL_KDF_PARAM_INFO, context, context_len);
	p[n] = OSSL_PARAM_construct_end();

	int rc = ossl_rc(EVP_KDF_derive(ctx, out, out_len, p));
	EVP_KDF_CTX_free(ctx);
	return rc;
}

int keyring_aead(const struct keyring *k, enum cipher c, const char *purpose,
		 const uint8_t salt[KEY_SALT], const void *context,
		 size_t context_len, struct aead **out)
{
	uint8_t key[AEAD_KEY];

	int rc = keyring_derive(k, purpose, salt, context, context_len, key,
				sizeof(key));
	if (rc == 0)
		rc = aead_new(c, key, out);
	mem_wipe(key, sizeof(key));
	return rc;
}

int keyring_mac(const struct keyring *k, const char *purpose, const void *data,
		size_t len, uint8_t mac[KEY_MAC])
{
	uint8_t key[KEY_MAC];

	int rc = keyring_derive(k, purpose, NULL, NULL, 0, key, sizeof(key));
	if (rc == 0)
		rc = ossl_rc(HMAC(EVP_sha256(), key, sizeof(key), data, len,
				  mac, NULL) != NULL);
	mem_wipe(key, sizeof(key));
	return rc;
}

bool mac_equal(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

int sha256(const void *data, size_t len, uint8_t out[32])
{
	return ossl_rc(EVP_Digest(data, len, out, NULL, EVP_sha256(), NULL));
}
