/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/lease.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rnd.h"

#define SEALED_LEN (sizeof(struct lease_body) + AEAD_TAG)

_Static_assert(sizeof(struct lease_header) + SEALED_LEN <= 512,
	       "a slot's content fits into one sector");
_Static_assert(HOST_TEXT == sizeof(((struct lease_body *)0)->name),
	       "the name fits");

static const uint8_t none[LEASE_ID];

/* ---- hosts ---- */

static int keyed_id(const struct keyring *keys, const char *purpose,
		    const void *text, size_t len, uint8_t out[LEASE_ID])
{
	uint8_t mac[KEY_MAC];
	int rc = keyring_mac(keys, purpose, text, len, mac);

	if (!rc)
		memcpy(out, mac, LEASE_ID);
	return rc;
}

/* Images of one machine share its id, but hardly its name as well. */
int lease_set_host(struct lease *l, const struct host *h,
		   const struct keyring *keys)
{
	char text[2 * (HOST_TEXT + 1)] = "";
	size_t at = strlen(h->machine) + 1;
	int rc = 0;

	memcpy(text, h->machine, at);
	memcpy(text + at, h->name, strlen(h->name));
	memset(l->host, 0, sizeof(l->host));
	memset(l->boot, 0, sizeof(l->boot));
	if (h->machine[0])
		rc = keyed_id(keys, "lease host", text, at + strlen(h->name),
			      l->host);
	if (!rc && h->boot[0])
		rc = keyed_id(keys, "lease boot", h->boot, strlen(h->boot),
			      l->boot);
	l->pid = (uint64_t)h->pid;
	l->started = h->started;
	snprintf(l->name, sizeof(l->name), "%s", h->name);
	return rc;
}

static bool same_id(const uint8_t *a, const uint8_t *b)
{
	return memcmp(a, none, LEASE_ID) != 0 && !memcmp(a, b, LEASE_ID);
}

/* Unknown counts as running. */
static bool runs(const struct lease *l)
{
	struct host_process p;
	int rc = host_process((pid_t)l->pid, &p);

	if (rc)
		return rc != -ESRCH;
	return !l->started || p.started == l->started;
}

bool lease_may_live(const struct lease *l, const struct lease *self)
{
	if (l->state != LEASE_HELD)
		return false;
	if (!same_id(l->host, self->host))
		return true;
	if (!same_id(l->boot, self->boot))
		/* Started anew since, if both are known. */
		return !memcmp(l->boot, none, LEASE_ID) ||
		       !memcmp(self->boot, none, LEASE_ID);
	return l->pid != self->pid && runs(l);
}

void lease_describe(const struct lease *l, char *text, size_t len)
{
	snprintf(text, len, "host %s, process %llu",
		 l->name[0] ? l->name : "(unknown)",
		 (unsigned long long)l->pid);
}

/* ---- bytes ---- */

int lease_seal_init(struct lease_seal *s, const struct pool_id *pool,
		    const struct keyring *keys)
{
	s->pool = *pool;
	rnd_bytes(s->salt, sizeof(s->salt));
	return keyring_aead(keys, CIPHER_AES_256_GCM, "lease", s->salt, NULL, 0,
			    &s->aead);
}

void lease_seal_release(struct lease_seal *s)
{
	aead_free(s->aead);
	*s = (struct lease_seal){.aead = NULL};
}

uint64_t lease_offset(const struct lease *l)
{
	return (2 * (l->epoch % 2) + l->counter % 2) * LEASE_SLOT;
}

static void make_body(const struct lease *l, struct lease_body *b)
{
	size_t name_len = strlen(l->name);

	*b = (struct lease_body){
		.epoch = htole64(l->epoch),
		.pid = htole64(l->pid),
		.started = htole64(l->started),
		.state = (uint8_t)l->state,
		.name_len = (uint8_t)name_len,
	};
	memcpy(b->epoch_id, l->epoch_id, sizeof(b->epoch_id));
	memcpy(b->owner, l->owner, sizeof(b->owner));
	memcpy(b->host, l->host, sizeof(b->host));
	memcpy(b->boot, l->boot, sizeof(b->boot));
	memcpy(b->name, l->name, name_len);
}

int lease_encode(const struct lease_seal *s, const struct lease *l,
		 struct buf **out)
{
	struct lease_header h = {
		.magic = htole64(LEASE_MAGIC),
		.version = htole32(LEASE_VERSION),
		.body_len = htole32((uint32_t)SEALED_LEN),
		.counter = htole64(l->counter),
	};
	AUTO_BUF struct buf *b = buf_new(LEASE_SLOT);
	uint8_t nonce[AEAD_NONCE];
	struct lease_body body;
	int rc;

	if (!b)
		return -ENOMEM;
	memset(b->data, 0, b->len);
	memcpy(h.pool, s->pool.b, sizeof(h.pool));
	memcpy(h.salt, s->salt, sizeof(h.salt));
	memcpy(b->data, &h, sizeof(h));
	make_body(l, &body);
	aead_nonce_position(nonce, l->counter);
	rc = aead_seal(s->aead, nonce, (struct aad){b->data, sizeof(h)}, &body,
		       sizeof(body), b->data + sizeof(h));
	if (!rc)
		*out = steal(&b);
	return rc;
}

static int take_body(const struct lease_body *b, struct lease *out)
{
	if (b->state < LEASE_HELD || b->state > LEASE_WITHDRAWN ||
	    b->name_len > HOST_TEXT || !b->epoch ||
	    memchr(b->name, '\0', b->name_len))
		return -ERR_RANGE;
	out->epoch = le64toh(b->epoch);
	memcpy(out->epoch_id, b->epoch_id, sizeof(out->epoch_id));
	memcpy(out->owner, b->owner, sizeof(out->owner));
	out->state = (enum lease_state)b->state;
	memcpy(out->host, b->host, sizeof(out->host));
	memcpy(out->boot, b->boot, sizeof(out->boot));
	out->pid = le64toh(b->pid);
	out->started = le64toh(b->started);
	memcpy(out->name, b->name, b->name_len);
	return 0;
}

static void auto_aead(struct aead **a)
{
	aead_free(*a);
}

int lease_decode(const void *data, size_t len, const struct pool_id *pool,
		 const struct keyring *keys, struct lease *out)
{
	AUTO(auto_aead) struct aead *a = NULL;
	uint8_t nonce[AEAD_NONCE];
	struct lease_header h;
	struct lease_body body;
	int rc;

	if (len < sizeof(h) + SEALED_LEN)
		return -ERR_TRUNCATED;
	memcpy(&h, data, sizeof(h));
	if (le64toh(h.magic) != LEASE_MAGIC ||
	    le32toh(h.version) != LEASE_VERSION ||
	    le32toh(h.body_len) != SEALED_LEN ||
	    memcmp(h.pool, pool->b, sizeof(h.pool)) != 0)
		return -ERR_FORMAT;
	rc = keyring_aead(keys, CIPHER_AES_256_GCM, "lease", h.salt, NULL, 0,
			  &a);
	if (rc)
		return rc;
	*out = (struct lease){.counter = le64toh(h.counter)};
	aead_nonce_position(nonce, out->counter);
	rc = aead_open(a, nonce, (struct aad){&h, sizeof(h)},
		       (const uint8_t *)data + sizeof(h), SEALED_LEN, &body);
	return rc ? rc : take_body(&body, out);
}

/* ---- lists ---- */

void lease_list_release(struct lease_list *list)
{
	mem_free(list->at);
	*list = (struct lease_list){.n = 0};
}

const struct lease *lease_list_find(const struct lease_list *list,
				    const uint8_t owner[LEASE_ID])
{
	for (unsigned i = 0; i < list->n; i++)
		if (!memcmp(list->at[i].owner, owner, LEASE_ID))
			return &list->at[i];
	return NULL;
}

static int grow(struct lease_list *list)
{
	unsigned cap = MAX(list->cap * 2, 8u);
	struct lease *at;

	if (list->n < list->cap)
		return 0;
	at = mem_realloc(list->at, cap * sizeof(*at));
	if (!at)
		return -ENOMEM;
	list->at = at;
	list->cap = cap;
	return 0;
}

int lease_list_add(struct lease_list *list, const struct lease *l)
{
	const struct lease *known = lease_list_find(list, l->owner);
	int rc;

	if (known) {
		if (l->counter > known->counter)
			list->at[known - list->at] = *l;
		return 0;
	}
	rc = grow(list);
	if (!rc)
		list->at[list->n++] = *l;
	return rc;
}

static bool is_known(const struct lease_reader *r, const uint8_t *slot,
		     size_t len)
{
	const struct lease_header *h = (const void *)slot;

	return r->known && len >= sizeof(*h) &&
	       !memcmp(h->salt, r->known, sizeof(h->salt));
}

int lease_list_read(struct lease_list *list, const struct buf *content,
		    const struct lease_reader *r)
{
	for (size_t at = 0; at < LEASE_FILE && at < content->len;
	     at += LEASE_SLOT) {
		size_t len = MIN(content->len - at, (size_t)LEASE_SLOT);
		struct lease l;
		int rc;

		if (is_known(r, content->data + at, len))
			continue;
		rc = lease_decode(content->data + at, len, r->pool, r->keys,
				  &l);
		if (!rc && l.epoch >= r->from)
			rc = lease_list_add(list, &l);
		if (rc == -ENOMEM || rc == -EIO)
			return rc; /* says nothing about the lease */
	}
	return 0;
}
