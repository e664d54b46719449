/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/index_page.h"

#include <string.h>

#include "backend/aead.h"
#include "base/mem.h"
#include "base/rnd.h"

#define NONCES	  256 /* drawn at a time: one system call for all of them */
#define AT_NONCE  (PAGE_USABLE + AEAD_TAG)
#define SPARE	  (PAGE_RESERVED - AEAD_TAG - AEAD_NONCE)
#define AAD_BYTES 24

struct page_seal {
	struct aead *aead;
	struct pool_id pool;
	unsigned nonces_left;
	uint8_t nonce[NONCES][AEAD_NONCE];
};

int page_seal_new(const struct index_options *o, struct page_seal **out)
{
	AUTO_FREE struct page_seal *s = mem_zalloc(sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	s->pool = o->pool;
	rc = keyring_aead(o->keys, CIPHER_AES_256_GCM, "index page", o->salt,
			  NULL, 0, &s->aead);
	if (rc)
		return rc;
	*out = steal(&s);
	return 0;
}

void page_seal_free(struct page_seal *s)
{
	if (!s)
		return;
	aead_free(s->aead);
	mem_free(s);
}

static struct aad page_aad(const struct page_seal *s, uint32_t pgno,
			   uint8_t out[AAD_BYTES])
{
	memcpy(out, s->pool.b, sizeof(s->pool.b));
	put_le64(out + sizeof(s->pool.b), pgno);
	return (struct aad){out, AAD_BYTES};
}

static const uint8_t *fresh_nonce(struct page_seal *s)
{
	if (!s->nonces_left) {
		rnd_bytes(s->nonce, sizeof(s->nonce));
		s->nonces_left = NONCES;
	}
	return s->nonce[--s->nonces_left];
}

int page_seal(struct page_seal *s, uint32_t pgno, const uint8_t *plain,
	      uint8_t *raw)
{
	const uint8_t *nonce = fresh_nonce(s);
	uint8_t aad[AAD_BYTES];

	memcpy(raw + AT_NONCE, nonce, AEAD_NONCE);
	memset(raw + INDEX_PAGE - SPARE, 0, SPARE);
	return aead_seal(s->aead, nonce, page_aad(s, pgno, aad), plain,
			 PAGE_USABLE, raw);
}

int page_open(struct page_seal *s, uint32_t pgno, uint8_t *page)
{
	uint8_t aad[AAD_BYTES];
	int rc = aead_open(s->aead, page + AT_NONCE, page_aad(s, pgno, aad),
			   page, PAGE_USABLE + AEAD_TAG, page);

	if (!rc)
		memset(page + PAGE_USABLE, 0, PAGE_RESERVED);
	return rc;
}

/* Overlapping compare: byte i equals byte i + 1, and the first is zero. */
bool page_is_blank(const uint8_t *page)
{
	return !page[0] && !memcmp(page, page + 1, INDEX_PAGE - 1);
}

uint32_t get_be32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return be32toh(v);
}

void put_be32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, 4);
}
