/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests: making them, waiting for them, their results.
 *
 * Waiting. A waiter may wait for many requests of many backends, and requests
 * end on a path that has to be cheap, so no list of waiters is kept: there are
 * BUCKETS pairs of mutex and condition, a thread uses always the same one, and
 * a request has one bit per bucket that wants to know.
 *
 * W1  A waiter sets its bit first and looks at the states then; whoever ends a
 *     request sets DONE first and looks at the bits then. Both in the one
 *     order of seq_cst operations, so at least one of them sees the other.
 * W2  The waiter looks with the bucket's mutex held, and the waker takes it,
 *     so a wake-up cannot fall between looking and sleeping.
 * W3  Bits stay set. What follows is a wake-up too many, never one too few.
 *
 * Locks: backend.mu, then a bucket's mutex; nothing under the latter.
 */
#include "backend/backend_impl.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"

#define BUCKETS 64

static struct bucket {
	struct mutex mu;
	struct cond cv;
} bucket[BUCKETS];

static pthread_once_t bucket_once = PTHREAD_ONCE_INIT;
static atomic_uint next_bucket;
static _Thread_local unsigned my_bucket; /* index + 1; 0 = none yet */

static void init_buckets(void)
{
	for (unsigned i = 0; i < BUCKETS; i++) {
		mutex_init(&bucket[i].mu);
		cond_init(&bucket[i].cv);
	}
}

static unsigned bucket_index(void)
{
	MUST(pthread_once(&bucket_once, init_buckets) == 0);
	if (my_bucket == 0)
		my_bucket = 1 + atomic_fetch_add(&next_bucket, 1) % BUCKETS;
	return my_bucket - 1;
}

/* ---- making ---- */

static struct bio *bio_new(enum bio_op op, const char *name)
{
	struct bio *r = mem_zalloc(sizeof(*r));

	if (r == NULL)
		return NULL;
	atomic_init(&r->refs, 1);
	r->op = op;
	r->name = name != NULL ? mem_strdup(name) : NULL;
	if (name != NULL && r->name == NULL) {
		mem_free(r);
		return NULL;
	}
	return r;
}

struct bio *bio_new_put(const char *name, struct buf *content)
{
	struct bio *r = bio_new(BIO_PUT, name);

	if (r != NULL)
		r->buf = buf_ref(content);
	return r;
}

struct bio *bio_new_get(const char *name, uint64_t off, size_t len, bool direct)
{
	struct bio *r = bio_new(BIO_GET, name);

	if (r == NULL)
		return NULL;
	r->off = off;
	r->len = len;
	r->direct = direct;
	return r;
}

struct bio *bio_new_remove(const char *name)
{
	return bio_new(BIO_REMOVE, name);
}

struct bio *bio_new_rename(const char *from, const char *to)
{
	struct bio *r = bio_new(BIO_RENAME, from);

	if (r == NULL)
		return NULL;
	r->name2 = mem_strdup(to);
	if (r->name2 != NULL)
		return r;
	bio_unref(r);
	return NULL;
}

struct bio *bio_new_list(const char *folder)
{
	return bio_new(BIO_LIST, folder);
}

struct bio *bio_new_usage(void)
{
	return bio_new(BIO_USAGE, NULL);
}

struct bio *bio_new_lock(bool exclusive)
{
	struct bio *r = bio_new(BIO_LOCK, NULL);

	if (r != NULL)
		r->exclusive = exclusive;
	return r;
}

struct bio *bio_new_jopen(const char *name, uint64_t create_bytes)
{
	struct bio *r;

	MUST(create_bytes % DRV_BLOCK == 0);
	r = bio_new(BIO_JOPEN, name);
	if (r != NULL)
		r->off = create_bytes;
	return r;
}

struct bio *bio_new_jwrite(struct jfile *f, struct buf *content, uint64_t off)
{
	struct bio *r;

	MUST(off % DRV_BLOCK == 0 && content->len % DRV_BLOCK == 0);
	r = bio_new(BIO_JWRITE, NULL);
	if (r == NULL)
		return NULL;
	atomic_fetch_add(&f->refs, 1);
	r->jfile = f;
	r->buf = buf_ref(content);
	r->off = off;
	return r;
}

void bio_set_urgent(struct bio *r)
{
	if (r != NULL)
		r->urgent = true;
}

struct bio *bio_ref(struct bio *r)
{
	atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
	return r;
}

void bio_unref(struct bio *r)
{
	if (r == NULL)
		return;
	if (atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) > 1)
		return;
	if (r->jfile != NULL && !r->jfile_taken)
		jfile_unref(r->jfile);
	buf_unref(r->buf);
	bytes_release(&r->names);
	mem_free(r->item);
	mem_free(r->name);
	mem_free(r->name2);
	backend_unref(r->b);
	mem_free(r);
}

/* ---- submitting and ending ---- */

void bio_finish(struct bio *r)
{
	uint64_t bits;

	atomic_store(&r->state, BIO_DONE);
	bits = atomic_load(&r->waiters);
	while (bits != 0) {
		struct bucket *k = &bucket[__builtin_ctzll(bits)];

		mutex_lock(&k->mu);
		cond_broadcast(&k->cv);
		mutex_unlock(&k->mu);
		bits &= bits - 1;
	}
	bio_unref(r);
}

static void submit_inline(struct backend *b, struct bio *r)
{
	struct after a;

	after_init(&a);
	r->start_ns = r->submit_ns;
	r->rc = bio_exec(r);
	mutex_lock(&b->mu);
	backend_account_locked(b, r, &a);
	if (r->op == BIO_JWRITE)
		jfile_next_locked(r, &a);
	mutex_unlock(&b->mu);
	after_run(b, &a);
	bio_finish(r);
}

int bio_submit(struct backend *b, struct bio *r)
{
	struct after a;
	int rc;

	if (r == NULL)
		return -ENOMEM;
	MUST(atomic_load(&r->state) == BIO_NEW);
	r->b = backend_ref(b);
	r->submit_ns = clock_mono_ns();
	(void)bio_ref(r); /* the lane's */
	after_init(&a);
	mutex_lock(&b->mu);
	backend_overdue_locked(b, r->submit_ns, &a);
	rc = backend_admit_locked(b, r);
	mutex_unlock(&b->mu);
	after_run(b, &a);
	if (rc != 0) {
		r->rc = rc;
		bio_finish(r);
	} else if (b->is_inline) {
		submit_inline(b, r);
	}
	return rc;
}

bool bio_done(struct bio *r, int *rc_out)
{
	if (atomic_load(&r->state) != BIO_DONE)
		return false;
	*rc_out = r->rc;
	return true;
}

/* ---- waiting ---- */

/* Is the wait over? *ok_out counts those that ended with 0. */
static bool enough(struct bio **r, unsigned n, unsigned need, unsigned *ok_out)
{
	bool all = true;
	int rc;

	*ok_out = 0;
	for (unsigned i = 0; i < n; i++) {
		if (r[i] == NULL)
			continue;
		if (!bio_done(r[i], &rc))
			all = false;
		else if (rc == 0)
			++*ok_out;
	}
	return all || *ok_out >= need;
}

unsigned bio_wait_some(struct bio **r, unsigned n, unsigned need,
		       uint64_t deadline_ns)
{
	unsigned me = bucket_index();
	struct bucket *k = &bucket[me];
	unsigned ok;

	if (enough(r, n, need, &ok))
		return ok;
	if (deadline_ns == 0)
		deadline_ns = clock_mono_ns() + BACKEND_DEADLINE_MS * NS_PER_MS;
	for (unsigned i = 0; i < n; i++) {
		if (r[i] == NULL)
			continue;
		MUST(atomic_load(&r[i]->state) != BIO_NEW);
		atomic_fetch_or(&r[i]->waiters, 1ULL << me);
	}
	mutex_lock(&k->mu);
	while (!enough(r, n, need, &ok) &&
	       cond_wait_until(&k->cv, &k->mu, deadline_ns))
		;
	mutex_unlock(&k->mu);
	(void)enough(r, n, need, &ok);
	return ok;
}

/* The deadline passed: -ETIMEDOUT, or the result if it came just now. */
static int give_up(struct bio *r)
{
	struct backend *b = r->b;
	struct after a;
	int rc;

	after_init(&a);
	mutex_lock(&b->mu);
	backend_give_up_locked(b, r, &a);
	mutex_unlock(&b->mu);
	after_run(b, &a);
	return bio_done(r, &rc) ? rc : -ETIMEDOUT;
}

int bio_wait(struct bio *r, uint64_t deadline_ns)
{
	int rc;

	if (r == NULL)
		return -ENOMEM;
	if (bio_done(r, &rc))
		return rc;
	MUST(atomic_load(&r->state) != BIO_NEW);
	if (deadline_ns == 0)
		deadline_ns = r->submit_ns + BACKEND_DEADLINE_MS * NS_PER_MS;
	(void)bio_wait_some(&r, 1, 1, deadline_ns);
	return bio_done(r, &rc) ? rc : give_up(r);
}

int bio_run(struct backend *b, struct bio *r)
{
	int rc = bio_submit(b, r);

	return rc != 0 ? rc : bio_wait(r, 0);
}

/* ---- results ---- */

static void must_have(struct bio *r, enum bio_op op)
{
	int rc = 0;

	MUST(r->op == op && bio_done(r, &rc) && rc == 0);
}

struct buf *bio_data(struct bio *r)
{
	must_have(r, BIO_GET);
	return r->buf;
}

struct jfile *bio_jfile(struct bio *r)
{
	must_have(r, BIO_JOPEN);
	r->jfile_taken = true;
	return r->jfile;
}

unsigned bio_list_count(struct bio *r)
{
	must_have(r, BIO_LIST);
	return r->items;
}

const char *bio_list_at(struct bio *r, unsigned i, uint64_t *size_out)
{
	must_have(r, BIO_LIST);
	MUST(i < r->items);
	*size_out = r->item[i].size;
	return (const char *)r->names.data + r->item[i].at;
}

const struct drv_usage *bio_usage(struct bio *r)
{
	must_have(r, BIO_USAGE);
	return &r->usage;
}

int backend_identity(struct backend *b, uint64_t deadline_ms,
		     struct drv_identity *out)
{
	AUTO_BIO struct bio *r = bio_new(BIO_IDENTITY, NULL);
	int rc = bio_submit(b, r);

	if (rc == 0)
		rc = bio_wait(r, clock_mono_ns() + deadline_ms * NS_PER_MS);
	if (rc == 0)
		*out = r->identity;
	return rc;
}
