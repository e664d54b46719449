/* SPDX-License-Identifier: Apache-2.0 */
#include "stage.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "backend/aead.h"
#include "base/mem.h"
#include "dice.h"
#include "fs/inspect.h"
#include "fs/volume_impl.h"
#include "repair/check.h"

static const struct cred root = {.umask = 022};

void violated(const char *invariant, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "violated %s: ", invariant);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	exit(1);
}

void stage_ok_(long rc, const char *what)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "%s: %s\n", what, err_name((int)rc));
	exit(1);
}

/* ---- life of the pool ---- */

static void name_folders(struct stage *st, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		snprintf(st->location[i], sizeof(st->location[i]),
			 "fault:mem:%u", i);
		st->locations[i] = st->location[i];
	}
}

void stage_make(struct stage *st, const struct stage_shape *shape)
{
	static const struct kdf_cost cheap = {1, 8, 1};
	struct diag d = DIAG_INIT;
	struct pool_create_options po = {
		.location = st->locations,
		.n = shape->n,
		.geo = {.k = (uint8_t)shape->k,
			.m = (uint8_t)shape->m,
			.chunk_bytes = STAGE_CHUNK,
			.segment_bytes = STAGE_SEGMENT,
			.cipher = CIPHER_AES_256_GCM,
			.level = 1},
		.label = "stage",
		.pass = "secret",
		.pass_len = 6,
	};

	*st = (struct stage){0};
	name_folders(st, shape->n);
	sim_disks_reset(shape->n);
	aead_track_nonces(true);
	kdf_override(&cheap);
	STAGE_OK(volume_make(&po, 0, 0, NULL, &d));
	st->o = (struct volume_options){
		.location = st->locations,
		.n = shape->n,
		.pass = "secret",
		.pass_len = 6,
		.cache_dir = SIM_CACHE,
		.cache_bytes = shape->cache_bytes,
		.journal_file_bytes = shape->journal_file_bytes,
	};
	st->trace = sim_record();
}

int stage_try_open(struct stage *st)
{
	struct diag d = DIAG_INIT;
	int rc = volume_open(&st->o, &d, &st->v);

	if (rc < 0) {
		st->v = NULL;
		if (getenv("MENDFS_TEST_LOG"))
			fprintf(stderr, "open: %s: %s\n", err_name(rc), d.text);
	}
	return rc;
}

void stage_open(struct stage *st)
{
	int rc = stage_try_open(st);

	if (rc < 0)
		violated("A", "the pool cannot be mounted: %s", err_name(rc));
}

void stage_close(struct stage *st)
{
	STAGE_OK(volume_close(steal(&st->v)));
}

void stage_kill(struct stage *st)
{
	volume_crash(steal(&st->v));
}

void stage_power_cut_at(struct stage *st, size_t p, enum sim_loss how,
			uint64_t mask)
{
	struct sim_image *im;
	struct sim_cut *c;

	if (st->v)
		stage_kill(st);
	sim_record_end(st->trace);
	c = sim_cut_new(st->trace);
	sim_cut_move(c, p);
	im = sim_cut_make(c, how, mask);
	sim_image_load(im);
	sim_image_unref(im);
	sim_cut_free(c);
	sim_trace_free(st->trace);
	st->trace = sim_record();
}

void stage_power_cut(struct stage *st, enum sim_loss how, uint64_t mask)
{
	stage_power_cut_at(st, sim_trace_len(st->trace), how, mask);
}

void stage_end(struct stage *st)
{
	stage_clear(st);
	if (st->v)
		stage_kill(st);
	sim_record_end(st->trace);
	sim_trace_free(st->trace);
	stage_show_only(st, UINT32_MAX);
	aead_track_nonces(false);
}

void stage_show_only(struct stage *st, unsigned mask)
{
	for (unsigned i = 0; i < st->o.n; i++)
		sim_disk_hide(i, !(mask >> i & 1));
}

void stage_fault(struct stage *st, unsigned folder,
		 const struct fault_rule *rule)
{
	STAGE_OK(fault_add(st->location[folder], rule));
}

void stage_clear(struct stage *st)
{
	for (unsigned i = 0; i < st->o.n; i++)
		fault_clear(st->location[i]);
}

/* ---- checks ---- */

static void judge_finding(void *arg, const struct finding *f)
{
	if (finding_severity(f->id) >= SEVERITY_WARNING)
		violated(arg, "fsck: %s: %s: %s", finding_name(f->id),
			 f->subject, f->detail);
}

void stage_fsck(struct stage *st, const char *invariant)
{
	struct diag d = DIAG_INIT;
	struct check_totals totals;
	struct check_target t;
	char told[16];
	struct check_options o = {
		.read_data = true, .report = judge_finding, .arg = told};
	struct inspect *in;

	snprintf(told, sizeof(told), "%s", invariant);
	STAGE_OK(inspect_open(&st->o, &d, &in));
	t = (struct check_target){
		.pool = in->pool,
		.store = in->store,
		.manifest = in->manifest_rc == 0 ? &in->manifest : NULL,
		.ix = in->ix,
		.index_rc = in->index_rc,
		.js = in->js,
		.scanned = in->scanned,
		.scan_rc = in->scan_rc,
		.scan = in->scan,
	};
	STAGE_OK(check_pool(&t, &o, &totals));
	inspect_close(in);
}

static void judge_index(void *arg, const char *code, const char *text)
{
	(void)arg;
	violated("G", "index: %s: %s", code, text);
}

void stage_check_index(struct stage *st)
{
	STAGE_OK(index_check(st->v->ix, judge_index, NULL));
}

/* ---- files ---- */

void stage_pattern(uint8_t *out, size_t len, uint64_t off, uint64_t seed)
{
	for (size_t i = 0; i < len; i++) {
		uint64_t at = off + i, word = dice_seed(seed, at / 8);

		out[i] = (uint8_t)(word >> (8 * (at % 8)));
	}
}

uint64_t stage_ino(struct stage *st, const char *name)
{
	struct create_spec s = {.mode = S_IFREG | 0644};
	struct attr a;
	int rc = posix_lookup(st->v, ROOT_INO, name, &a);

	if (rc == -ENOENT)
		rc = posix_make(st->v, &root, ROOT_INO, name, &s, &a);
	stage_ok_(rc, name);
	return a.ino;
}

bool stage_has(struct stage *st, const char *name)
{
	struct attr a;
	int rc = posix_lookup(st->v, ROOT_INO, name, &a);

	if (rc < 0 && rc != -ENOENT)
		stage_ok_(rc, name);
	return rc == 0;
}

struct file *stage_file(struct stage *st, const char *name)
{
	struct file *f;

	STAGE_OK(posix_open(st->v, stage_ino(st, name), O_RDWR, &f));
	return f;
}

ssize_t stage_write(struct file *f, uint64_t off, size_t len, uint64_t seed)
{
	uint8_t *p = malloc(len);
	ssize_t n;

	stage_pattern(p, len, off, seed);
	n = posix_write(f, p, len, off);
	free(p);
	return n;
}

void stage_save(struct stage *st, const char *name, size_t len, uint64_t seed)
{
	struct file *f = stage_file(st, name);

	STAGE_OK(stage_write(f, 0, len, seed));
	STAGE_OK(posix_fsync(f, false));
	posix_close(f);
}

/* The whole file; its size or an error. */
static int64_t read_file(struct stage *st, const char *name, uint8_t **out)
{
	struct file *f;
	struct attr a;
	int64_t n;
	int rc = posix_lookup(st->v, ROOT_INO, name, &a);

	*out = NULL;
	if (rc < 0)
		return rc;
	STAGE_OK(posix_open(st->v, a.ino, O_RDONLY, &f));
	*out = malloc(a.size + 1);
	n = posix_read(f, *out, a.size, 0);
	posix_close(f);
	return n;
}

static size_t first_difference(const uint8_t *p, size_t len, uint64_t seed)
{
	uint8_t want[512];

	for (size_t at = 0; at < len; at += sizeof(want)) {
		size_t n = MIN(sizeof(want), len - at);

		stage_pattern(want, n, at, seed);
		for (size_t i = 0; i < n; i++)
			if (p[at + i] != want[i])
				return at + i;
	}
	return len;
}

void stage_expect(struct stage *st, const char *name, size_t len, uint64_t seed,
		  const char *invariant)
{
	uint8_t *p;
	int64_t n = read_file(st, name, &p);
	size_t at;

	if (n < 0)
		violated(invariant, "%s: %s", name, err_name((int)n));
	if ((size_t)n != len)
		violated(invariant, "%s has %lld bytes, not %zu", name,
			 (long long)n, len);
	at = first_difference(p, len, seed);
	if (at < len)
		violated(invariant, "%s is wrong from byte %zu on", name, at);
	free(p);
}

void stage_expect_no_garbage(struct stage *st, const char *name, uint64_t seed)
{
	uint8_t *p;
	int64_t n = read_file(st, name, &p);
	size_t at;

	if (n < 0 && n != -ENOENT)
		violated("B", "%s: %s", name, err_name((int)n));
	at = n > 0 ? first_difference(p, (size_t)n, seed) : 0;
	if (n > 0 && at < (size_t)n)
		violated("B", "%s: byte %zu of %lld was never written so", name,
			 at, (long long)n);
	free(p);
}
