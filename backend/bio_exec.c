/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Doing what a request says. Runs on a lane, without a lock, and touches only
 * the request, its jfile and the driver: the waiter may be gone.
 */
#include "backend/backend_impl.h"

#include <string.h>

#include "base/mem.h"
#include "base/mutant.h"

#define ZERO_STEP (1u << 20) /* bytes written at a time to a new journal */

static unsigned direct_if_aligned(uint64_t len)
{
	return len > 0 && len % DRV_BLOCK == 0 ? DRV_DIRECT : 0;
}

static int sync_object(struct drv_file *f, const char *name)
{
	int rc;

	if (MUTANT(SKIP_DATA_SYNC) && strncmp(name, "data/", 5) == 0)
		return 0;
	if (MUTANT(PUBLISH_EARLY) && strncmp(name, "index/", 6) == 0)
		return 0;
	rc = driver_sync(f);
	return rc != 0 && MUTANT(TRUST_SECOND_SYNC) ? driver_sync(f) : rc;
}

static int exec_put(struct bio *r)
{
	unsigned flags =
		DRV_WRITE | DRV_CREATE | direct_if_aligned(r->buf->len);
	struct driver *d = r->b->driver;
	struct drv_file *f;
	int rc = driver_open(d, r->name, flags, &f);

	if (rc != 0)
		return rc;
	rc = driver_write(f, r->buf->data, r->buf->len, 0);
	if (rc == 0)
		rc = sync_object(f, r->name);
	driver_close(f);
	if (rc != 0)
		(void)!driver_remove(d, r->name); /* else an orphan */
	return rc;
}

/* The aligned range around what is asked for. */
struct span {
	uint64_t off;
	size_t len;
	size_t skip; /* bytes before what is asked for */
};

static int span_of(const struct bio *r, struct span *s)
{
	uint64_t end;

	if (__builtin_add_overflow(r->off, r->len, &end) ||
	    end > INT64_MAX - DRV_BLOCK)
		return -EINVAL;
	*s = (struct span){.off = r->off, .len = r->len};
	if (!r->direct)
		return 0;
	s->skip = r->off % DRV_BLOCK;
	s->off = r->off - s->skip;
	end = (end + DRV_BLOCK - 1) / DRV_BLOCK * DRV_BLOCK;
	s->len = (size_t)(end - s->off);
	return 0;
}

static int read_span(struct bio *r, struct drv_file *f, const struct span *s)
{
	AUTO_BUF struct buf *b = buf_new(s->len);
	int64_t n;
	size_t got;

	if (b == NULL)
		return -ENOMEM;
	n = driver_read(f, b->data, s->len, s->off);
	if (n < 0)
		return (int)n;
	got = (size_t)n > s->skip ? MIN((size_t)n - s->skip, r->len) : 0;
	if (s->skip > 0)
		memmove(b->data, b->data + s->skip, got);
	b->len = got;
	r->buf = steal(&b);
	return 0;
}

static int exec_get(struct bio *r)
{
	struct drv_file *f;
	struct span s;
	int rc = span_of(r, &s);

	if (rc != 0)
		return rc;
	rc = driver_open(r->b->driver, r->name, r->direct ? DRV_DIRECT : 0, &f);
	if (rc != 0)
		return rc;
	rc = read_span(r, f, &s);
	driver_close(f);
	return rc;
}

static int grow_items(struct bio *r)
{
	unsigned cap = MAX(r->items_cap * 2, 64u);
	struct list_item *item;

	if (r->items < r->items_cap)
		return 0;
	item = mem_realloc(r->item, cap * sizeof(*item));
	if (item == NULL)
		return -ENOMEM;
	r->item = item;
	r->items_cap = cap;
	return 0;
}

static int keep_item(void *arg, const char *name, uint64_t size)
{
	struct bio *r = arg;
	int rc = grow_items(r);

	if (rc != 0)
		return rc;
	r->item[r->items].at = r->names.len;
	r->item[r->items].size = size;
	rc = bytes_add(&r->names, name, strlen(name) + 1);
	if (rc == 0)
		r->items++;
	return rc;
}

static int write_zeros(struct drv_file *f, uint64_t bytes)
{
	AUTO_BUF struct buf *zero = buf_new(ZERO_STEP);
	int rc = 0;

	if (zero == NULL)
		return -ENOMEM;
	memset(zero->data, 0, ZERO_STEP);
	for (uint64_t off = 0; off < bytes && rc == 0; off += ZERO_STEP)
		rc = driver_write(f, zero->data,
				  MIN((uint64_t)ZERO_STEP, bytes - off), off);
	return rc != 0 ? rc : driver_sync(f);
}

/* Not with DRV_DSYNC: one sync at the end instead of one per step. */
static int create_zeros(struct driver *d, const char *name, uint64_t bytes)
{
	struct drv_file *f;
	int rc = driver_open(d, name, DRV_WRITE | DRV_CREATE | DRV_DIRECT, &f);

	if (rc != 0)
		return rc;
	rc = write_zeros(f, bytes);
	driver_close(f);
	if (rc != 0)
		(void)!driver_remove(d, name);
	return rc;
}

static struct jfile *jfile_new(struct backend *b)
{
	struct jfile *f = mem_zalloc(sizeof(*f));

	if (f == NULL)
		return NULL;
	atomic_init(&f->refs, 1);
	TAILQ_INIT(&f->queue);
	f->b = backend_ref(b);
	mutex_lock(&b->mu);
	TAILQ_INSERT_TAIL(&b->jfiles, f, link);
	mutex_unlock(&b->mu);
	return f;
}

static int exec_jopen(struct bio *r)
{
	const unsigned flags = DRV_WRITE | DRV_DSYNC | DRV_DIRECT;
	struct driver *d = r->b->driver;
	struct drv_file *file;
	int rc = r->off > 0 ? create_zeros(d, r->name, r->off) : 0;

	if (rc == 0)
		rc = driver_open(d, r->name, flags, &file);
	if (rc != 0)
		return rc;
	r->jfile = jfile_new(r->b);
	if (r->jfile == NULL) {
		driver_close(file);
		return -ENOMEM;
	}
	r->jfile->file = file;
	return 0;
}

int bio_exec(struct bio *r)
{
	struct driver *d = r->b->driver;

	switch (r->op) {
	case BIO_PUT:
		return exec_put(r);
	case BIO_GET:
		return exec_get(r);
	case BIO_REMOVE:
		return driver_remove(d, r->name);
	case BIO_RENAME:
		return driver_rename(d, r->name, r->name2);
	case BIO_LIST:
		return driver_list(d, r->name, keep_item, r);
	case BIO_USAGE:
		return driver_usage(d, &r->usage);
	case BIO_IDENTITY:
		return driver_identity(d, &r->identity);
	case BIO_LOCK:
		return driver_lock(d, r->exclusive);
	case BIO_JOPEN:
		return exec_jopen(r);
	case BIO_JWRITE:
		return driver_write(r->jfile->file, r->buf->data, r->buf->len,
				    r->off);
	}
	return -EINVAL;
}
