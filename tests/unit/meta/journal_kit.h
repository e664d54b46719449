/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_kit.h - a pool made by hand over "fault:mem:" places, a journal in
 * it, and a model of what must be found: records are made from their seq, so
 * a scan is checked by comparing with what seq says.
 */
#ifndef MENDFS_TESTS_JOURNAL_KIT_H
#define MENDFS_TESTS_JOURNAL_KIT_H

#include "unit/base/base_test.h"

#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rnd.h"
#include "base/workq.h"
#include "backend/drv_fault.h"
#include "meta/journal_impl.h"

#define KIT_MEMBERS  6
#define KIT_CLOSE_MS 2000

struct kit {
	struct pool pool;
	struct journal *j;
	char loc[KIT_MEMBERS][512]; /* "fault:mem:..." */
	uint64_t acked;		    /* appended with success */
	uint64_t covered;	    /* released */
	uint32_t max_len;	    /* of payloads */
	uint32_t file_min, file_max;
};

static inline void kit_quiet(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

static inline void kit_epoch(struct kit *k, uint64_t number)
{
	struct epoch *e = &k->pool.sb.epoch[k->pool.sb.epochs++];

	e->number = number;
	rnd_bytes(e->id, sizeof(e->id));
}

static inline const uint8_t *kit_epoch_id(const struct kit *k)
{
	return k->pool.sb.epoch[k->pool.sb.epochs - 1].id;
}

static inline void kit_attach(struct kit *k, unsigned slot)
{
	assert_int_equal(backend_open(k->loc[slot], 5000,
				      &k->pool.member[slot].backend),
			 0);
}

/* Over "fault:<place><i>"; NULL: memory of its own. */
static inline struct kit *kit_new_at(unsigned n, unsigned m, const char *place)
{
	static unsigned made;
	struct kit *k = mem_zalloc(sizeof(*k));

	assert_non_null(k);
	assert_true(n <= KIT_MEMBERS);
	log_use_sink(kit_quiet, NULL);
	aead_track_nonces(true);
	rnd_bytes(&k->pool.id, sizeof(k->pool.id));
	k->pool.geo = (struct geometry){
		.k = (uint8_t)(n > m ? n - m : 1),
		.m = (uint8_t)m,
		.cipher = CIPHER_AES_256_GCM,
	};
	assert_int_equal(keyring_new(&k->pool.keys), 0);
	k->pool.n = n;
	made++;
	for (unsigned i = 0; i < n; i++) {
		if (place)
			snprintf(k->loc[i], sizeof(k->loc[i]), "fault:%s%u",
				 place, i);
		else
			snprintf(k->loc[i], sizeof(k->loc[i]),
				 "fault:mem:journal%u-%u", made, i);
		kit_attach(k, i);
	}
	kit_epoch(k, 7);
	k->max_len = 20000;
	k->file_min = 16384;
	k->file_max = 131072;
	return k;
}

static inline struct kit *kit_new(unsigned n, unsigned m)
{
	return kit_new_at(n, m, NULL);
}

static inline void kit_free(struct kit *k)
{
	for (unsigned i = 0; i < k->pool.n; i++)
		fault_clear(k->loc[i]);
	journal_free(k->j, false);
	for (unsigned i = 0; i < k->pool.n; i++) {
		backend_close(k->pool.member[i].backend, KIT_CLOSE_MS);
		if (strncmp(k->loc[i], "fault:mem:", 10) == 0)
			mem_driver_forget(k->loc[i] + 10);
	}
	keyring_free(k->pool.keys);
	aead_track_nonces(false);
	log_use_sink(NULL, NULL);
	mem_free(k);
}

static inline int kit_try_start(struct kit *k)
{
	const struct journal_options o = {
		.pool = &k->pool,
		.next_seq = k->acked + 1,
		.file_min = k->file_min,
		.file_max = k->file_max,
	};

	return journal_new(&o, &k->j);
}

static inline void kit_start(struct kit *k)
{
	assert_int_equal(kit_try_start(k), 0);
}

/* The daemon dies: nothing is removed. */
static inline void kit_stop(struct kit *k)
{
	journal_free(steal(&k->j), false);
}

/* ---- records ---- */

static inline uint64_t kit_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static inline size_t kit_len(const struct kit *k, uint64_t seq)
{
	uint64_t r = kit_mix(seq * 3 + 1);

	if (r % 7 == 0)
		return 0;
	if (r % 5 == 0) /* around the end of a block */
		return 4096 - 80 - 2 + (r >> 20) % 5;
	return (size_t)((r >> 8) % (k->max_len + 1));
}

/* With malloc: where a test lets mem.h fail, the model goes on. */
static inline uint8_t *kit_payload(uint64_t seq, size_t len)
{
	uint64_t r = kit_mix(seq + 77);
	uint8_t *p = malloc(len + 1);

	assert_non_null(p);
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(r + i * 7 + (i >> 8));
	return p;
}

static inline int kit_try_append(struct kit *k)
{
	uint64_t seq = k->acked + 1;
	size_t len = kit_len(k, seq);
	uint8_t *p = kit_payload(seq, len);
	int rc = journal_append(k->j, seq, k->acked, p, len);

	free(p);
	if (rc == 0)
		k->acked = seq;
	return rc;
}

static inline void kit_append(struct kit *k, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(kit_try_append(k), 0);
}

static inline void kit_release(struct kit *k, uint64_t covered)
{
	journal_release(k->j, covered);
	k->covered = covered;
}

/* ---- scanning ---- */

struct kit_seen {
	const struct kit *k;
	uint64_t next;
	uint64_t stop_at; /* 0: never */
};

static inline int kit_each(void *arg, uint64_t seq, const void *payload,
			   size_t len)
{
	struct kit_seen *s = arg;
	uint8_t *p;

	assert_int_equal(seq, s->next);
	assert_int_equal(len, kit_len(s->k, seq));
	p = kit_payload(seq, len);
	assert_memory_equal(payload, p, len);
	free(p);
	if (seq == s->stop_at)
		return -ECANCELED;
	s->next++;
	return 0;
}

#define KIT_ALL 0xffffffffu

static inline int kit_try_scan(struct kit *k, unsigned members,
			       uint64_t from_seq,
			       struct journal_scan_result *out)
{
	struct pool *p = malloc(sizeof(*p));
	struct kit_seen seen = {.k = k, .next = from_seq};
	int rc;

	assert_non_null(p);
	*p = k->pool;
	for (unsigned i = 0; i < p->n; i++) {
		if (!(members & 1u << i))
			p->member[i].backend = NULL;
	}
	rc = journal_scan(p, kit_epoch_id(k), from_seq, kit_each, &seen, out);
	free(p);
	if (rc == 0) {
		assert_int_equal(out->last_seq, seen.next - 1);
		assert_int_equal(out->records, seen.next - from_seq);
	}
	return rc;
}

static inline struct journal_scan_result
kit_scan(struct kit *k, unsigned members, uint64_t from_seq)
{
	struct journal_scan_result r;

	assert_int_equal(kit_try_scan(k, members, from_seq, &r), 0);
	return r;
}

/* Members that hold copies now, as bits. */
static inline unsigned kit_holders(struct kit *k)
{
	unsigned bits = 0;

	mutex_lock(&k->j->mu);
	for (unsigned i = 0; i < k->pool.n; i++) {
		if (k->j->member[i].role == JOURNAL_COPY)
			bits |= 1u << i;
	}
	mutex_unlock(&k->j->mu);
	return bits;
}

static inline int kit_spare(struct kit *k)
{
	int found = -1;

	mutex_lock(&k->j->mu);
	for (unsigned i = 0; i < k->pool.n; i++) {
		if (k->j->member[i].role == JOURNAL_SPARE)
			found = (int)i;
	}
	mutex_unlock(&k->j->mu);
	return found;
}

/*
 * The promise: these members have every acknowledged record that is not
 * covered, and at most one more.
 */
static inline void kit_check(struct kit *k, unsigned members)
{
	struct journal_scan_result r = kit_scan(k, members, k->covered + 1);

	assert_in_range(r.last_seq, k->acked, k->acked + 1);
	assert_false(r.lost);
}

/* Each of `holders` alone, and all together. */
static inline void kit_check_each(struct kit *k, unsigned holders)
{
	for (unsigned i = 0; i < k->pool.n; i++) {
		if (holders & 1u << i)
			kit_check(k, 1u << i);
	}
	kit_check(k, KIT_ALL);
}

/* ---- faults ---- */

static inline void kit_fault(struct kit *k, unsigned slot,
			     struct fault_rule rule)
{
	if (!rule.prefix)
		rule.prefix = "";
	if (!rule.ops)
		rule.ops = FAULT_OP_ALL;
	assert_int_equal(fault_add(k->loc[slot], &rule), 0);
}

static inline void kit_clear(struct kit *k, unsigned slot)
{
	fault_clear(k->loc[slot]);
}

/* ---- files, past the faults ---- */

struct kit_name {
	char name[DRV_NAME_MAX + 1];
	uint64_t size;
};
struct kit_dir {
	struct kit_name at[256];
	unsigned n;
};

static inline int kit_keep_name(void *arg, const char *name, uint64_t size)
{
	struct kit_dir *d = arg;

	assert_true(d->n < 256);
	snprintf(d->at[d->n].name, sizeof(d->at[0].name), "%s", name);
	d->at[d->n++].size = size;
	return 0;
}

static inline struct driver *kit_driver(struct kit *k, unsigned slot)
{
	struct driver *d;

	assert_int_equal(driver_attach(k->loc[slot] + strlen("fault:"), &d), 0);
	return d;
}

static inline int kit_by_name(const void *a, const void *b)
{
	return strcmp(((const struct kit_name *)a)->name,
		      ((const struct kit_name *)b)->name);
}

/* Sorted by name. */
static inline void kit_list(struct kit *k, unsigned slot, struct kit_dir *out)
{
	struct driver *d = kit_driver(k, slot);

	out->n = 0;
	assert_int_equal(driver_list(d, "journal", kit_keep_name, out), 0);
	driver_detach(d);
	if (out->n)
		qsort(out->at, out->n, sizeof(out->at[0]), kit_by_name);
}

static inline unsigned kit_count_files(struct kit *k, unsigned slot)
{
	static struct kit_dir d;

	kit_list(k, slot, &d);
	return d.n;
}

static inline void kit_read(struct kit *k, unsigned slot, const char *name,
			    void *buf, size_t len, uint64_t off)
{
	struct driver *d = kit_driver(k, slot);
	struct drv_file *f;

	assert_int_equal(driver_open(d, name, DRV_READ, &f), 0);
	assert_int_equal(driver_read(f, buf, len, off), len);
	driver_close(f);
	driver_detach(d);
}

static inline void kit_write(struct kit *k, unsigned slot, const char *name,
			     const void *buf, size_t len, uint64_t off)
{
	struct driver *d = kit_driver(k, slot);
	struct drv_file *f;

	assert_int_equal(driver_open(d, name, DRV_WRITE, &f), 0);
	assert_int_equal(driver_write(f, buf, len, off), 0);
	driver_close(f);
	driver_detach(d);
}

static inline void kit_flip(struct kit *k, unsigned slot, const char *name,
			    uint64_t off, uint8_t mask)
{
	uint8_t b;

	kit_read(k, slot, name, &b, 1, off);
	b ^= mask;
	kit_write(k, slot, name, &b, 1, off);
}

/* Where a record lies, learned from the journal while it is written. */
struct kit_place {
	char name[JOURNAL_NAME];
	uint64_t pos;
	uint64_t end;
};

/* Appends one record and tells where member `slot` has it. */
static inline struct kit_place kit_append_at(struct kit *k, unsigned slot)
{
	struct kit_place p = {.pos = 0};
	struct journal_file *f;

	kit_append(k, 1);
	f = k->j->current;
	journal_codec_name(&f->copy[slot]->name, p.name);
	p.end = f->used;
	p.pos = f->used - journal_codec_room(kit_len(k, k->acked));
	return p;
}

static inline void clear_all(struct kit *k)
{
	for (unsigned i = 0; i < k->pool.n; i++)
		kit_clear(k, i);
}

/* Only members the faults have left alone can be asked. */
static inline void check_healthy(struct kit *k)
{
	unsigned holders = kit_holders(k);

	clear_all(k);
	for (unsigned i = 0; i < k->pool.n; i++) {
		backend_set_down(k->pool.member[i].backend, false);
		while (backend_get_state(k->pool.member[i].backend) !=
		       BACKEND_UP)
			assert_int_equal(
				backend_probe(k->pool.member[i].backend, 1000),
				0);
	}
	kit_check_each(k, holders);
}

#endif
