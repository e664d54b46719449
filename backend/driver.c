/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dispatcher: every call of a driver passes here.
 *
 * 1. What only a programmer can get wrong (a name outside the alphabet, an
 *    unaligned direct write, a write to a file opened for reading, detaching
 *    with files open) ends the process.
 * 2. What a driver may not answer (a positive code, more bytes than asked
 *    for) ends it too: the caller would act on it.
 * 3. A failed sync, or a failed write to a DRV_DSYNC file, marks the file; no
 *    later sync of it reaches the driver (C7).
 */
#include "backend/driver.h"

#include <string.h>

#include "backend/driver_impl.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/mutant.h"

static const struct {
	const char *prefix;
	int (*attach)(const char *place, struct driver **out);
} kinds[] = {
	{"dir:", drv_dir_attach},
	{"mem:", drv_mem_attach},
	{"fault:", drv_fault_attach},
};

bool driver_name_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == '-';
}

/* One component: not empty, not "." or "..", of the alphabet. */
static bool part_ok(const char *p, size_t len)
{
	if (len == 0 || (len == 1 && p[0] == '.') ||
	    (len == 2 && p[0] == '.' && p[1] == '.'))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!driver_name_char(p[i]))
			return false;
	}
	return true;
}

/* At most `depth` components. */
static bool path_ok(const char *name, unsigned depth)
{
	if (name == NULL || strlen(name) > DRV_NAME_MAX)
		return false;
	for (const char *p = name; depth > 0; depth--) {
		size_t len = strcspn(p, "/");

		if (!part_ok(p, len))
			return false;
		if (p[len] == '\0')
			return true;
		p += len + 1;
	}
	return false;
}

bool driver_name_ok(const char *name)
{
	return path_ok(name, 3);
}

uint64_t driver_name_hash(const char *name, size_t len)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)name[i]) * 0x100000001b3u;
	return h;
}

size_t driver_folder_len(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash != NULL ? (size_t)(slash - name) : 0;
}

/* Index into kinds, or -EINVAL. A location without any kind is a folder. */
static int kind_of(const char *location, const char **place_out)
{
	*place_out = location;
	if (location[0] == '\0')
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		size_t len = strlen(kinds[i].prefix);

		if (strncmp(location, kinds[i].prefix, len) == 0) {
			*place_out = location + len;
			return location[len] != '\0' ? (int)i : -EINVAL;
		}
	}
	return location[0] != '/' && strchr(location, ':') ? -EINVAL : 0;
}

const char *driver_location_path(const char *location)
{
	const char *place;

	while (kind_of(location, &place) >= 0 && place != location)
		location = place;
	return location;
}

/* ---- counting ---- */

struct call {
	struct driver *d;
	uint64_t start_ns;
};

static struct call call_begin(struct driver *d)
{
	return (struct call){.d = d, .start_ns = clock_mono_ns()};
}

static void add(atomic_uint_least64_t *counter, uint64_t v)
{
	atomic_fetch_add_explicit(counter, v, memory_order_relaxed);
}

static void call_end(const struct call *c, int64_t rc)
{
	add(&c->d->calls, 1);
	add(&c->d->busy_ns, clock_mono_ns() - c->start_ns);
	if (rc < 0 && rc != -ENOENT && rc != -EEXIST)
		add(&c->d->errors, 1);
}

/* For methods whose only answers are 0 and errors. */
static int call_end_rc(const struct call *c, int rc)
{
	call_end(c, rc);
	MUST(rc <= 0);
	return rc;
}

void driver_get_stats(const struct driver *d, struct driver_stats *out)
{
	*out = (struct driver_stats){
		.calls = atomic_load(&d->calls),
		.errors = atomic_load(&d->errors),
		.read_bytes = atomic_load(&d->read_bytes),
		.written_bytes = atomic_load(&d->written_bytes),
		.syncs = atomic_load(&d->syncs),
		.busy_ns = atomic_load(&d->busy_ns),
	};
}

/* ---- places ---- */

int driver_attach(const char *location, struct driver **out)
{
	AUTO_FREE char *copy = NULL;
	const char *place;
	struct driver *d = NULL;
	int kind = kind_of(location, &place);
	int rc;

	*out = NULL;
	if (kind < 0)
		return kind;
	copy = mem_strdup(location);
	if (copy == NULL)
		return -ENOMEM;
	rc = kinds[kind].attach(place, &d);
	if (rc != 0)
		return rc;
	d->location = steal(&copy);
	*out = d;
	return 0;
}

void driver_detach(struct driver *d)
{
	char *location;

	if (d == NULL)
		return;
	MUST(atomic_load(&d->open_files) == 0);
	location = d->location;
	d->ops->detach(d);
	mem_free(location);
}

void driver_cut(struct driver *d)
{
	atomic_store(&d->cut, true);
}

static int refuse_cut(struct driver *d)
{
	return atomic_load(&d->cut) ? -EIO : 0;
}

int driver_remove(struct driver *d, const char *name)
{
	struct call c = call_begin(d);
	int rc = refuse_cut(d);

	MUST(driver_name_ok(name));
	return call_end_rc(&c, rc ? rc : d->ops->remove(d, name));
}

int driver_rename(struct driver *d, const char *from, const char *to)
{
	struct call c = call_begin(d);
	int rc = refuse_cut(d);

	MUST(driver_name_ok(from) && driver_name_ok(to));
	MUST(strcmp(from, to) != 0);
	return call_end_rc(&c, rc ? rc : d->ops->rename(d, from, to));
}

int driver_list(struct driver *d, const char *folder, drv_list_fn *each,
		void *arg)
{
	struct call c = call_begin(d);
	int rc;

	MUST(folder[0] == '\0' || path_ok(folder, 2));
	rc = d->ops->list(d, folder, each, arg);
	call_end(&c, rc);
	return rc;
}

int driver_usage(struct driver *d, struct drv_usage *out)
{
	struct call c = call_begin(d);
	int rc;

	*out = (struct drv_usage){0};
	rc = call_end_rc(&c, d->ops->usage(d, out));
	MUST(rc != 0 || out->free_bytes <= out->total_bytes);
	return rc;
}

int driver_identity(struct driver *d, struct drv_identity *out)
{
	struct call c = call_begin(d);

	*out = (struct drv_identity){0};
	return call_end_rc(&c, d->ops->identity(d, out));
}

int driver_lock(struct driver *d, bool exclusive)
{
	struct call c = call_begin(d);

	return call_end_rc(&c, d->ops->lock(d, exclusive));
}

void driver_unlock(struct driver *d)
{
	struct call c = call_begin(d);

	d->ops->unlock(d);
	call_end(&c, 0);
}

/* ---- objects ---- */

int driver_open(struct driver *d, const char *name, unsigned flags,
		struct drv_file **out)
{
	const unsigned known = DRV_WRITE | DRV_CREATE | DRV_DSYNC | DRV_DIRECT;
	struct call c = call_begin(d);
	int rc = flags & DRV_WRITE ? refuse_cut(d) : 0;

	MUST(driver_name_ok(name) && (flags & ~known) == 0);
	MUST((flags & DRV_WRITE) || !(flags & (DRV_CREATE | DRV_DSYNC)));
	*out = NULL;
	rc = call_end_rc(&c, rc ? rc : d->ops->open(d, name, flags, out));
	MUST((rc == 0) == (*out != NULL));
	if (rc != 0)
		return rc;
	(*out)->driver = d;
	(*out)->flags = flags;
	atomic_init(&(*out)->untrusted, false);
	atomic_fetch_add(&d->open_files, 1);
	return 0;
}

static bool aligned(uint64_t v)
{
	return v % DRV_BLOCK == 0;
}

int64_t driver_read(struct drv_file *f, void *buf, size_t len, uint64_t off)
{
	struct driver *d = f->driver;
	struct call c = call_begin(d);
	int64_t n;

	MUST(off <= INT64_MAX && len <= INT64_MAX - off);
	if (f->flags & DRV_DIRECT)
		MUST(aligned(off) && aligned((uintptr_t)buf));
	n = d->ops->read(f, buf, len, off);
	call_end(&c, n);
	MUST(n <= (int64_t)len);
	if (n > 0)
		add(&d->read_bytes, (uint64_t)n);
	return n;
}

int driver_write(struct drv_file *f, const void *buf, size_t len, uint64_t off)
{
	struct driver *d = f->driver;
	struct call c = call_begin(d);
	int rc = refuse_cut(d);

	MUST(f->flags & DRV_WRITE);
	MUST(off <= INT64_MAX && len <= INT64_MAX - off);
	if (f->flags & DRV_DIRECT)
		MUST(aligned(off | len) && aligned((uintptr_t)buf));
	rc = call_end_rc(&c, rc ? rc : d->ops->write(f, buf, len, off));
	if (rc == 0)
		add(&d->written_bytes, len);
	else if (f->flags & DRV_DSYNC)
		atomic_store(&f->untrusted, true);
	return rc;
}

int driver_sync(struct drv_file *f)
{
	struct driver *d = f->driver;
	struct call c = call_begin(d);
	int rc;

	MUST(f->flags & DRV_WRITE);
	add(&d->syncs, 1);
	rc = atomic_load(&f->untrusted) && !MUTANT(TRUST_SECOND_SYNC)
		     ? -EIO
		     : refuse_cut(d);
	if (rc == 0)
		rc = d->ops->sync(f);
	if (rc != 0)
		atomic_store(&f->untrusted, true);
	return call_end_rc(&c, rc);
}

int driver_size(struct drv_file *f, uint64_t *out)
{
	struct call c = call_begin(f->driver);

	*out = 0;
	return call_end_rc(&c, f->driver->ops->size(f, out));
}

void driver_close(struct drv_file *f)
{
	struct driver *d;
	struct call c;

	if (f == NULL)
		return;
	d = f->driver;
	c = call_begin(d);
	d->ops->close(f);
	call_end(&c, 0);
	atomic_fetch_sub(&d->open_files, 1);
}
