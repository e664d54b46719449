/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check_kit.h - a closed volume of posix_kit.h, hands to damage what lies in
 * its folders, and a check that proves that it has changed nothing there.
 */
#ifndef MENDFS_TESTS_CHECK_KIT_H
#define MENDFS_TESTS_CHECK_KIT_H

#include "unit/base/base_test.h"
#include "posix/posix_kit.h"

#include <inttypes.h>

#include "base/log.h"
#include "backend/aead.h"
#include "fs/inspect.h"
#include "repair/check.h"

#define MIB	    (1u << 20)
#define OBJECTS_MAX 512

static inline void kit_quiet(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

/* ---- objects in a folder, past its faults ---- */

struct objects {
	unsigned n;
	struct {
		char name[DRV_NAME_MAX + 1];
		uint64_t size;
	} at[OBJECTS_MAX];
	struct driver *d;
};

static inline struct driver *kit_driver(const struct kit *k, unsigned i)
{
	struct driver *d;

	OK(driver_attach(k->location[i] + strlen("fault:"), &d));
	return d;
}

static inline int objects_note(void *arg, const char *name, uint64_t size)
{
	struct objects *o = arg;

	if (size == UINT64_MAX)
		return driver_list(o->d, name, objects_note, o);
	assert_true(o->n < OBJECTS_MAX);
	snprintf(o->at[o->n].name, sizeof(o->at[0].name), "%s", name);
	o->at[o->n++].size = size;
	return 0;
}

static inline int objects_order(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* All below `top`, sorted by name; free it. */
static inline struct objects *objects_below(const struct kit *k, unsigned i,
					    const char *top)
{
	struct objects *o = calloc(1, sizeof(*o));

	assert_non_null(o);
	o->d = kit_driver(k, i);
	OK(driver_list(o->d, top, objects_note, o));
	driver_detach(o->d);
	qsort(o->at, o->n, sizeof(o->at[0]), objects_order);
	return o;
}

static inline void object_read(const struct kit *k, unsigned i,
			       const char *name, void *buf, size_t len,
			       uint64_t off)
{
	struct driver *d = kit_driver(k, i);
	struct drv_file *f;

	OK(driver_open(d, name, DRV_READ, &f));
	assert_int_equal(driver_read(f, buf, len, off), len);
	driver_close(f);
	driver_detach(d);
}

static inline void object_write(const struct kit *k, unsigned i,
				const char *name, const void *buf, size_t len,
				uint64_t off, unsigned flags)
{
	struct driver *d = kit_driver(k, i);
	struct drv_file *f;

	OK(driver_open(d, name, DRV_WRITE | flags, &f));
	OK(driver_write(f, buf, len, off));
	driver_close(f);
	driver_detach(d);
}

static inline void object_flip(const struct kit *k, unsigned i,
			       const char *name, uint64_t off)
{
	uint8_t b;

	object_read(k, i, name, &b, 1, off);
	b ^= 0x10;
	object_write(k, i, name, &b, 1, off, 0);
}

static inline void object_remove(const struct kit *k, unsigned i,
				 const char *name)
{
	struct driver *d = kit_driver(k, i);

	OK(driver_remove(d, name));
	driver_detach(d);
}

/* SHA-256 of all names, sizes and contents of all folders. */
static inline void kit_digest(const struct kit *k, uint8_t out[32])
{
	struct bytes all = {0};

	for (unsigned i = 0; i < KIT_FOLDERS; i++) {
		struct objects *o = objects_below(k, i, "");

		for (unsigned j = 0; j < o->n; j++) {
			size_t len = o->at[j].size;
			uint8_t *p = malloc(len + 1), hash[32];

			object_read(k, i, o->at[j].name, p, len, 0);
			OK(sha256(p, len, hash));
			OK(bytes_add(&all, o->at[j].name,
				     strlen(o->at[j].name) + 1));
			OK(bytes_add_u64(&all, len));
			OK(bytes_add(&all, hash, 32));
			free(p);
		}
		free(o);
	}
	OK(sha256(all.data, all.len, out));
	bytes_release(&all);
}

/* ---- checking ---- */

struct seen {
	uint64_t n[FINDING_COUNT];
	char subject[FINDING_COUNT][128]; /* of the last one */
	char detail[FINDING_COUNT][256];
	char hit[32][128]; /* files named */
	unsigned hits;
	struct check_totals totals;
	uint64_t done, total; /* progress */
	unsigned calls;	      /* of progress */
	uint64_t cancel_at;   /* call of cancelled that says so; 0: none */
	uint64_t asked;
};

static inline void seen_finding(void *arg, const struct finding *f)
{
	struct seen *s = arg;

	s->n[f->id]++;
	if (f->id == FINDING_FILE_UNREADABLE && s->hits < 32)
		snprintf(s->hit[s->hits++], sizeof(s->hit[0]), "%s",
			 f->subject);
	snprintf(s->subject[f->id], sizeof(s->subject[0]), "%s", f->subject);
	snprintf(s->detail[f->id], sizeof(s->detail[0]), "%s", f->detail);
	if (getenv("MENDFS_TEST_VERBOSE"))
		printf("%s %s %s: %s (%s)\n",
		       severity_name(finding_severity(f->id)),
		       finding_name(f->id), f->subject, finding_meaning(f->id),
		       f->detail);
}

static inline void seen_progress(void *arg, uint64_t done, uint64_t total)
{
	struct seen *s = arg;

	assert_true(done >= s->done);
	assert_true(done <= total);
	s->done = done;
	s->total = total;
	s->calls++;
}

static inline bool seen_cancelled(void *arg)
{
	struct seen *s = arg;

	return s->cancel_at && ++s->asked >= s->cancel_at;
}

/* What inspect.c found as the check wants it. */
static inline struct check_target target_of(const struct inspect *in)
{
	return (struct check_target){
		.pool = in->pool,
		.store = in->store,
		.manifest = in->manifest_rc == 0 ? &in->manifest : NULL,
		.ix = in->ix,
		.index_rc = in->index_rc,
		.js = in->js,
		.scanned = in->scanned,
		.scan_rc = in->scan_rc,
		.scan = in->scan,
		.local = in->local_rc == 0 ? &in->local : NULL,
		.local_unreadable =
			in->local_rc != 0 && in->local_rc != -ENOENT,
	};
}

static inline int kit_try_check(struct kit *k, bool read_data, struct seen *s)
{
	struct check_options co = {
		.read_data = read_data,
		.report = seen_finding,
		.progress = seen_progress,
		.cancelled = seen_cancelled,
		.arg = s,
	};
	struct diag d = DIAG_INIT;
	struct inspect *in;
	struct check_target t;
	int rc = inspect_open(&k->o, &d, &in);

	if (rc < 0)
		fail_msg("inspect_open: %s: %s", err_name(rc), d.text);
	t = target_of(in);
	rc = check_pool(&t, &co, &s->totals);
	inspect_close(in);
	return rc;
}

/* Checks; the folders are the same before and after. */
static inline struct seen *kit_check(struct kit *k, bool read_data)
{
	struct seen *s = calloc(1, sizeof(*s));
	uint8_t before[32], after[32];

	assert_non_null(s);
	kit_digest(k, before);
	OK(kit_try_check(k, read_data, s));
	kit_digest(k, after);
	assert_memory_equal(before, after, 32);
	return s;
}

static inline uint64_t seen_bad(const struct seen *s)
{
	return s->totals.findings[SEVERITY_ERROR] +
	       s->totals.findings[SEVERITY_WARNING];
}

static inline void expect_clean(struct kit *k, bool read_data)
{
	struct seen *s = kit_check(k, read_data);

	for (unsigned i = 0; i < FINDING_COUNT; i++)
		if (s->n[i] && finding_severity(i) != SEVERITY_INFO)
			fail_msg("%s %s: %s", finding_name(i), s->subject[i],
				 s->detail[i]);
	free(s);
}

#define EXPECT(s, name, count) assert_int_equal((s)->n[FINDING_##name], (count))

/* ---- volumes ---- */

static inline void kit_write_all(struct kit *k)
{
	uint64_t dir = kit_mk(k, ROOT_INO, "dir", S_IFDIR | 0755);

	kit_write(k, kit_mk(k, dir, "small", S_IFREG | 0644), 0, 1000, 1);
	kit_write(k, kit_mk(k, dir, "chunk", S_IFREG | 0644), 0, 200000, 2);
	kit_write(k, kit_mk(k, dir, "large", S_IFREG | 0644), 0, 9 * MIB, 3);
	kit_write(k, kit_mk(k, dir, "sparse", S_IFREG | 0644), 5 * MIB, 100, 4);
}

static inline void kit_begin(struct kit *k)
{
	log_use_sink(kit_quiet, NULL);
	kit_make(k);
}

static inline bool seen_named(const struct seen *s, const char *path)
{
	for (unsigned i = 0; i < s->hits; i++)
		if (strcmp(s->hit[i], path) == 0)
			return true;
	return false;
}

/* Reads all of a file: 0, or the error met first. */
static inline int kit_read_through(struct kit *k, uint64_t ino)
{
	static uint8_t buf[1u << 17];
	struct file *f;
	ssize_t n = 1;

	OK(posix_open(k->v, ino, O_RDONLY, &f));
	for (uint64_t off = 0; n > 0; off += (uint64_t)n)
		n = posix_read(f, buf, sizeof(buf), off);
	posix_close(f);
	return (int)n;
}

/* A file is named by the check if and only if it cannot be read. */
static inline void expect_named_truly(struct kit *k, const struct seen *s)
{
	static const char *const names[] = {"small", "chunk", "large",
					    "sparse"};
	uint64_t dir;

	k->o.read_only = true;
	kit_open(k);
	dir = kit_ino(k, ROOT_INO, "dir");
	for (unsigned i = 0; i < 4; i++) {
		char path[32];
		int rc = kit_read_through(k, kit_ino(k, dir, names[i]));

		snprintf(path, sizeof(path), "/dir/%s", names[i]);
		if ((rc < 0) != seen_named(s, path))
			fail_msg("%s: read gives %s, the check %s it", path,
				 err_name(rc),
				 seen_named(s, path) ? "names" : "passes");
	}
	kit_close(k);
	k->o.read_only = false;
}

/* Unmounted, with files in it. */
static inline void kit_fill(struct kit *k)
{
	kit_begin(k);
	kit_open(k);
	kit_write_all(k);
	kit_close(k);
}

/* Everything synced, then killed: the journal holds records. */
static inline void kit_fill_and_crash(struct kit *k)
{
	kit_begin(k);
	kit_open(k);
	for (unsigned i = 0; i < 5; i++) {
		char name[16];

		snprintf(name, sizeof(name), "file%u", i);
		kit_write(k, kit_mk(k, ROOT_INO, name, S_IFREG | 0644), 0, 3000,
			  i);
		OK(volume_sync(k->v));
	}
	kit_crash(k);
}

/* The folder behaves as one whose disk is not mounted at all. */
static inline void kit_hide(struct kit *k, unsigned i)
{
	struct fault_rule gone = {
		.kind = FAULT_VANISH, .ops = FAULT_OP_ALL, .prefix = ""};

	OK(fault_add(k->location[i], &gone));
}

/*
 * The first object below `top` that ends with `suffix`, in any folder.
 * Returns the folder.
 */
static inline unsigned kit_find(const struct kit *k, const char *top,
				const char *suffix, char *name_out)
{
	for (unsigned i = 0; i < KIT_FOLDERS; i++) {
		struct objects *o = objects_below(k, i, top);

		for (unsigned j = 0; j < o->n; j++) {
			const char *name = o->at[j].name;
			size_t len = strlen(name), end = strlen(suffix);

			if (len < end || strcmp(name + len - end, suffix))
				continue;
			strcpy(name_out, name);
			free(o);
			return i;
		}
		free(o);
	}
	fail_msg("no object *%s below %s", suffix, top);
	return 0;
}

#endif
