/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_page.h - one page of the local index file, sealed and opened.
 *
 * Plain, as SQLite sees it: 4064 bytes and 32 reserved ones, which are zero.
 * On disk: 4064 bytes of ciphertext, 16 of tag, 12 of random nonce, 4 zero.
 * Associated data: pool id and page number, so that a page moved to another
 * place or pool does not open. AES-256-GCM under the file's own key, HKDF
 * (master, file's salt, "index page").
 *
 * A page_seal may be used by one thread at a time.
 */
#ifndef MENDFS_META_INDEX_PAGE_H
#define MENDFS_META_INDEX_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "meta/index.h"

#define PAGE_RESERVED	   32
#define PAGE_USABLE	   (INDEX_PAGE - PAGE_RESERVED)
#define PAGES_PER_REGION   (INDEX_REGION / INDEX_PAGE)
#define PAGE_OFFSET(pgno)  ((uint64_t)((pgno)-1) * INDEX_PAGE)
#define REGION_FIRST(r)	   ((uint64_t)(r)*PAGES_PER_REGION + 1)
#define REGION_OF(pgno)	   (((pgno)-1) / PAGES_PER_REGION)
#define REGIONS_FOR(pages) (((pages) + PAGES_PER_REGION - 1) / PAGES_PER_REGION)

/* Where SQLite's file format keeps what we look at, all big-endian. */
#define DB_CHANGE_COUNTER 24 /* in page 1 */
#define DB_PAGE_COUNT	  28
#define DB_FREE_TRUNK	  32 /* first page of the free list, 0: none */
#define DB_VALID_FOR	  92
#define DB_WRITER_VERSION 96
/* SQLite never uses the page that holds this byte. */
#define DB_PENDING_BYTE 0x40000000u
#define DB_PENDING_PAGE (DB_PENDING_BYTE / INDEX_PAGE + 1)

struct page_seal;

/* 0, -ENOMEM or what keyring_aead says. */
int page_seal_new(const struct index_options *o, struct page_seal **out);
/* NULL is allowed. */
void page_seal_free(struct page_seal *s);

/* plain -> raw, INDEX_PAGE bytes each, not the same; pgno from 1. */
int page_seal(struct page_seal *s, uint32_t pgno, const uint8_t *plain,
	      uint8_t *raw) MUST_USE;
/* Opens in place. -ERR_AUTH: not this page of this file. */
int page_open(struct page_seal *s, uint32_t pgno, uint8_t *page) MUST_USE;

/* Nothing but zeros: never written. */
bool page_is_blank(const uint8_t *page);

uint32_t get_be32(const uint8_t *p);
void put_be32(uint8_t *p, uint32_t v);

#endif
