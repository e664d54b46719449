/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a manifest to the local index file.
 *
 * First every region of the file that is there is hashed and compared; then
 * those that differ are fetched in runs: some threads read and check, the
 * caller writes in order. The file may be torn, old or foreign: a region that
 * does not open differs.
 */
#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "base/osfile.h"
#include "base/sync.h"
#include "base/workq.h"
#include "meta/checkpoint.h"
#include "meta/manifest.h"

#define SLOTS 4 /* runs under way */

/* One run of regions on its way. */
struct fetch {
	struct store *store;
	const struct manifest *m;
	uint32_t first;
	unsigned n; /* 0: not under way */
	uint8_t *plain;
	struct latch done;
	int rc;
};

struct restore {
	struct store *store;
	const struct manifest *m;
	struct index_image *image;
	uint8_t *differs; /* a byte per region */
	uint8_t *plain;	  /* one region */
	uint32_t at;	  /* regions before it are under way or written */
	uint32_t fetched;
};

/* ---- comparing ---- */

/* Is the local region what the manifest says? */
static bool same(struct restore *rs, uint32_t region)
{
	uint8_t hash[REGION_HASH];

	return index_image_read(rs->image, region, rs->plain) == 0 &&
	       manifest_hash_region(rs->plain, hash) == 0 &&
	       (MUTANT(INDEX_WITHOUT_MARK) ||
		memcmp(hash, rs->m->region[region].hash, REGION_HASH) == 0);
}

static bool compare(struct restore *rs)
{
	bool equal = true;

	for (uint32_t i = 0; i < rs->m->regions; i++) {
		rs->differs[i] = !same(rs, i);
		equal &= !rs->differs[i];
	}
	return equal;
}

/* ---- fetching ---- */

static void fetch_job(void *arg)
{
	struct fetch *f = arg;

	f->rc = manifest_read_regions(f->store, f->m, f->first, f->n, f->plain);
	latch_down(&f->done);
}

/* Starts the next run in a free slot; none left: n stays 0. */
static void start_next(struct restore *rs, struct workq *q, struct fetch *f)
{
	const struct manifest *m = rs->m;

	f->n = 0;
	while (rs->at < m->regions && !rs->differs[rs->at])
		rs->at++;
	if (rs->at == m->regions)
		return;
	f->first = rs->at++;
	f->n = 1;
	while (f->n < MANIFEST_RUN && manifest_adjoins(m, rs->at - 1) &&
	       rs->differs[rs->at]) {
		rs->at++;
		f->n++;
	}
	latch_init(&f->done, 1);
	if (workq_submit(q, fetch_job, f) < 0)
		fetch_job(f);
}

/* Waits for a slot's run; writes it if all went well so far (rc). */
static int finish(struct restore *rs, struct fetch *f, int rc)
{
	latch_wait(&f->done);
	latch_destroy(&f->done);
	if (rc == 0 && f->rc < 0) {
		rc = f->rc;
		log_event(LOG_LVL_ERROR, "index_region_unreadable",
			  "region=%u count=%u rc=%s", f->first, f->n,
			  err_name(rc));
	}
	for (unsigned i = 0; rc == 0 && i < f->n; i++)
		rc = index_image_write(rs->image, f->first + i,
				       f->plain + (size_t)i * INDEX_REGION);
	rs->fetched += rc == 0 ? f->n : 0;
	return rc;
}

static int run_slots(struct restore *rs, struct workq *q,
		     struct fetch slot[SLOTS])
{
	int rc = 0;

	for (unsigned i = 0; i < SLOTS; i++)
		start_next(rs, q, &slot[i]);
	for (unsigned i = 0; slot[i].n > 0; i = (i + 1) % SLOTS) {
		rc = finish(rs, &slot[i], rc);
		if (rc == 0)
			start_next(rs, q, &slot[i]);
		else
			slot[i].n = 0;
	}
	return rc;
}

static int fetch_differing(struct restore *rs)
{
	struct fetch slot[SLOTS] = {0};
	struct workq *q = NULL;
	int rc = workq_new("restore", SLOTS, &q);

	for (unsigned i = 0; rc == 0 && i < SLOTS; i++) {
		slot[i].store = rs->store;
		slot[i].m = rs->m;
		slot[i].plain = mem_alloc((size_t)MANIFEST_RUN * INDEX_REGION);
		if (!slot[i].plain)
			rc = -ENOMEM;
	}
	if (rc == 0)
		rc = run_slots(rs, q, slot);
	workq_free(q);
	for (unsigned i = 0; i < SLOTS; i++)
		mem_free(slot[i].plain);
	return rc;
}

/* ---- the whole ---- */

/*
 * A file that cannot be opened for whatever reason is made anew; its name may
 * be taken by something that cannot be written to.
 */
static int open_image(struct restore *rs, const struct index_options *o)
{
	int rc = index_image_open(o, false, &rs->image);

	if (rc == 0 || rc == -ENOMEM)
		return rc;
	(void)os_unlinkat(AT_FDCWD, o->path, 0);
	return index_image_open(o, true, &rs->image);
}

/* What the clean mark promises, looked at where it is cheap. */
static bool ends_are_same(struct restore *rs)
{
	return same(rs, 0) && same(rs, rs->m->regions - 1);
}

static int restore(struct restore *rs, const struct index_options *o,
		   bool clean)
{
	int rc = open_image(rs, o);
	int closed;

	if (rc < 0)
		return rc;
	if (clean && ends_are_same(rs))
		return index_image_close(rs->image, 0);
	if (!compare(rs))
		rc = fetch_differing(rs);
	/* Without a number of regions it is given up and stays as it is. */
	closed = index_image_close(rs->image, rc == 0 ? rs->m->regions : 0);
	return rc < 0 ? rc : closed;
}

int checkpoint_restore_index(struct store *s, const struct manifest *m,
			     const struct index_options *o, bool clean,
			     uint32_t *fetched_out)
{
	struct restore rs = {.store = s, .m = m};
	int rc = -ENOMEM;

	*fetched_out = 0;
	rs.differs = mem_zalloc(m->regions);
	rs.plain = mem_alloc(INDEX_REGION);
	if (rs.differs && rs.plain)
		rc = restore(&rs, o, clean);
	*fetched_out = rs.fetched;
	mem_free(rs.differs);
	mem_free(rs.plain);
	return rc;
}
