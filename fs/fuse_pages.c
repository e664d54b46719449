/* SPDX-License-Identifier: Apache-2.0 */
#define FUSE_USE_VERSION 314
#include "fs/fuse_pages.h"

#include <fuse_lowlevel.h>

#include "base/mem.h"
#include "base/sync.h"
#include "base/workq.h"
#include "fs/posix.h"

TAILQ_HEAD(handles, fuse_handle);

struct fuse_pages {
	struct fuse_session *se;
	struct workq *thread;
	struct mutex lock; /* over all below */
	struct handles open;
	size_t writers; /* of them */
	bool stopped;
};

struct request {
	struct fuse_pages *pages;
	void (*then)(void *arg, int rc);
	void *arg;
};

int fuse_pages_new(struct fuse_session *se, struct fuse_pages **out)
{
	AUTO_FREE struct fuse_pages *p = mem_zalloc(sizeof(*p));
	int rc;

	if (!p)
		return -ENOMEM;
	p->se = se;
	TAILQ_INIT(&p->open);
	rc = workq_new("collector", 1, &p->thread);
	if (rc < 0)
		return rc;
	mutex_init(&p->lock);
	*out = steal(&p);
	return 0;
}

void fuse_pages_free(struct fuse_pages *p)
{
	struct fuse_handle *h;

	if (!p)
		return;
	workq_free(p->thread);
	while ((h = TAILQ_FIRST(&p->open))) {
		TAILQ_REMOVE(&p->open, h, link);
		posix_abandon(h->file);
		mem_free(h);
	}
	mutex_destroy(&p->lock);
	mem_free(p);
}

/* ---- open files ---- */

void fuse_pages_add(struct fuse_pages *p, struct fuse_handle *h)
{
	MUTEX_GUARD(&p->lock);
	TAILQ_INSERT_TAIL(&p->open, h, link);
	p->writers += h->writes;
}

void fuse_pages_remove(struct fuse_pages *p, struct fuse_handle *h)
{
	mutex_lock(&p->lock);
	TAILQ_REMOVE(&p->open, h, link);
	p->writers -= h->writes;
	mutex_unlock(&p->lock);
	posix_close(h->file);
	mem_free(h);
}

/* ---- collecting ---- */

/* The inodes that are written to, once for each handle; mem_free. */
static int list_writers(struct fuse_pages *p, uint64_t **out, size_t *n_out)
{
	struct fuse_handle *h;
	size_t n = 0;

	MUTEX_GUARD(&p->lock);
	*out = mem_calloc(p->writers + 1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	TAILQ_FOREACH (h, &p->open, link)
		if (h->writes)
			(*out)[n++] = posix_file_ino(h->file);
	*n_out = n;
	return 0;
}

static int collect(struct fuse_pages *p)
{
	AUTO_FREE uint64_t *ino = NULL;
	size_t n = 0;
	int rc = list_writers(p, &ino, &n);

	for (size_t i = 0; rc == 0 && i < n; i++) {
		rc = fuse_lowlevel_notify_inval_inode(p->se, ino[i], 0, 0);
		if (rc == -ENOENT)
			rc = 0; /* forgotten meanwhile: nothing dirty is left */
	}
	return rc;
}

static void run_request(void *arg)
{
	AUTO_FREE struct request *r = arg;

	r->then(r->arg, collect(r->pages));
}

int fuse_pages_start(struct fuse_pages *p, void (*then)(void *arg, int rc),
		     void *arg)
{
	AUTO_FREE struct request *r = mem_alloc(sizeof(*r));
	int rc;

	if (!r)
		return -ENOMEM;
	*r = (struct request){p, then, arg};
	MUTEX_GUARD(&p->lock);
	if (p->stopped)
		return -ERR_STOPPED;
	rc = workq_submit(p->thread, run_request, r);
	if (rc == 0)
		(void)steal(&r);
	return rc;
}

struct waited {
	struct latch done;
	int rc;
};

static void note_done(void *arg, int rc)
{
	struct waited *w = arg;

	w->rc = rc;
	latch_down(&w->done);
}

int fuse_pages_collect(struct fuse_pages *p)
{
	struct waited w = {0};
	int rc;

	latch_init(&w.done, 1);
	rc = fuse_pages_start(p, note_done, &w);
	if (rc == 0) {
		latch_wait(&w.done);
		rc = w.rc;
	}
	latch_destroy(&w.done);
	return rc;
}

void fuse_pages_stop(struct fuse_pages *p)
{
	mutex_lock(&p->lock);
	p->stopped = true;
	mutex_unlock(&p->lock);
	workq_drain(p->thread);
}
