/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attaching many places at once.
 *
 * Anything that touches a place may hang for ever: attaching, asking who it
 * is, resolving its path. So each place has a job of its own, the caller
 * waits for all of them until one deadline, and a job that comes later finds
 * its batch over and closes what it got.
 *
 * A batch is freed by whoever drops the last of its references: one per job,
 * one of the caller. batch.mu guards refs, over and the results of the jobs;
 * a job works on its own variables and stores them at its end. Jobs that have
 * not ended are those that hold a reference, so the caller waits for its own
 * to be the last one.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/sync.h"
#include "base/workq.h"
#include "backend/driver.h"
#include "backend/pool_impl.h"

#define THREADS_MAX 64
#define GRACE_MS    250 /* what backend_open gets to report its own timeout */
#define LEAVE_MS    20	/* for workers that have nothing to do to end */

struct found {
	struct backend *backend;
	struct drv_identity identity;
	char *real;
	int rc;
};

struct batch;

struct attach_job {
	struct batch *batch;
	char *location;
	struct found found;
};

struct batch {
	struct mutex mu;
	struct cond ended;
	unsigned refs;
	bool over;
	uint64_t deadline_ms;
	unsigned n;
	struct attach_job job[];
};

static void found_release(struct found *f)
{
	backend_close(f->backend, 0);
	mem_free(f->real);
	*f = (struct found){.rc = -ETIMEDOUT};
}

static void batch_put(struct batch *b)
{
	unsigned left;

	mutex_lock(&b->mu);
	left = --b->refs;
	cond_broadcast(&b->ended);
	mutex_unlock(&b->mu);
	if (left)
		return;
	for (unsigned i = 0; i < b->n; i++)
		mem_free(b->job[i].location);
	cond_destroy(&b->ended);
	mutex_destroy(&b->mu);
	mem_free(b);
}

/* Places that are not folders have no path to resolve. */
static bool has_path(const char *location)
{
	const char *path = driver_location_path(location);

	return path - location < 4 || strncmp(path - 4, "mem:", 4) != 0;
}

static int resolve(const char *location, char **out)
{
	char real[PATH_MAX];

	if (!has_path(location))
		return 0;
	if (!realpath(driver_location_path(location), real))
		return -errno;
	*out = mem_strdup(real);
	return *out ? 0 : -ENOMEM;
}

static void attach(const char *location, uint64_t deadline_ms, struct found *f)
{
	int rc = backend_open(location, deadline_ms, &f->backend);

	if (!rc)
		rc = backend_identity(f->backend, deadline_ms, &f->identity);
	if (!rc)
		rc = resolve(location, &f->real);
	if (rc)
		found_release(f);
	f->rc = rc;
}

static void run_job(void *arg)
{
	struct attach_job *j = arg;
	struct batch *b = j->batch;
	struct found f = {0};
	bool late;

	attach(j->location, b->deadline_ms, &f);
	mutex_lock(&b->mu);
	late = b->over;
	if (!late)
		j->found = f;
	mutex_unlock(&b->mu);
	if (late)
		found_release(&f);
	batch_put(b);
}

static void cancel_job(void *arg)
{
	struct attach_job *j = arg;

	batch_put(j->batch);
}

/*
 * "dir:/a/" and "/a" are the same place under the same location. Without the
 * resolved path (the place cannot be attached) that is done by the letter.
 */
static char *plain_location(const char *location, const char *real)
{
	const char *path = driver_location_path(location);
	size_t kinds = (size_t)(path - location);
	size_t len = strlen(path);

	if (!has_path(location))
		return mem_strdup(location);
	while (len > 1 && path[len - 1] == '/')
		len--;
	if (kinds >= 4 && !strncmp(path - 4, "dir:", 4))
		kinds -= 4;
	if (real)
		return mem_printf("%.*s%s", (int)kinds, location, real);
	return mem_printf("%.*s%.*s", (int)kinds, location, (int)len, path);
}

static struct batch *batch_new(const char *const *location, unsigned n,
			       uint64_t deadline_ms)
{
	struct batch *b = mem_zalloc(sizeof(*b) + n * sizeof(b->job[0]));

	if (!b)
		return NULL;
	mutex_init(&b->mu);
	cond_init(&b->ended);
	b->refs = 1;
	b->deadline_ms = deadline_ms;
	b->n = n;
	for (unsigned i = 0; i < n; i++) {
		b->job[i].batch = b;
		b->job[i].found.rc = -ETIMEDOUT;
		b->job[i].location = mem_strdup(location[i]);
		if (!b->job[i].location) {
			batch_put(b);
			return NULL;
		}
	}
	return b;
}

static void submit_job(struct workq *q, struct attach_job *j)
{
	int rc;

	mutex_lock(&j->batch->mu);
	j->batch->refs++;
	mutex_unlock(&j->batch->mu);
	rc = workq_submit(q, run_job, j);
	if (rc) {
		j->found.rc = rc;
		batch_put(j->batch);
	}
}

static void batch_wait(struct batch *b)
{
	uint64_t until =
		clock_mono_ns() + (b->deadline_ms + GRACE_MS) * 1000000;

	MUTEX_GUARD(&b->mu);
	while (b->refs > 1 && cond_wait_until(&b->ended, &b->mu, until))
		;
	b->over = true;
}

static int batch_run(struct batch *b)
{
	struct workq *q;
	int rc = workq_new("attach", MIN(b->n, (unsigned)THREADS_MAX), &q);

	if (rc)
		return rc;
	for (unsigned i = 0; i < b->n; i++)
		submit_job(q, &b->job[i]);
	batch_wait(b);
	workq_abandon(q, LEAVE_MS, cancel_job);
	return 0;
}

static int reserve(struct folders *fs, unsigned more)
{
	unsigned cap = MAX(fs->cap * 2, fs->n + more);
	struct folder *at;

	if (fs->n + more <= fs->cap)
		return 0;
	at = mem_realloc(fs->at, cap * sizeof(*at));
	if (!at)
		return -ENOMEM;
	fs->at = at;
	fs->cap = cap;
	return 0;
}

/* The batch is over: its results are ours alone. */
static int append(struct folders *fs, struct attach_job *j, bool given)
{
	struct folder *f = &fs->at[fs->n];

	*f = (struct folder){
		.location = plain_location(j->location, j->found.real),
		.given = given,
		.rank = fs->n,
	};
	if (!f->location)
		return -ENOMEM;
	fs->n++;
	f->rc = j->found.rc;
	f->identity = j->found.identity;
	f->backend = steal(&j->found.backend);
	f->real = steal(&j->found.real);
	return fan_own_trouble(f->rc) ? f->rc : 0;
}

int folders_attach(struct folders *fs, const char *const *location, unsigned n,
		   bool given, uint64_t deadline_ms)
{
	struct batch *b;
	int rc;

	if (!n)
		return 0;
	rc = reserve(fs, n);
	if (rc)
		return rc;
	b = batch_new(location, n, deadline_ms);
	if (!b)
		return -ENOMEM;
	rc = batch_run(b);
	for (unsigned i = 0; !rc && i < n; i++)
		rc = append(fs, &b->job[i], given);
	for (unsigned i = 0; i < n; i++)
		found_release(&b->job[i].found);
	batch_put(b);
	return rc;
}
