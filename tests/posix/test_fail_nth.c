/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fixed scenario, again and again, in which the i-th allocation, the i-th
 * call of the system or the i-th request to the folders fails: once, or that
 * and all later ones; in one folder or in all of them. However it ends, it
 * ends; and whatever was promised until then is there when the pool is opened
 * again without faults.
 *
 * Without threads, so that i means the same place each time. A part of the
 * places, chosen by the seed, or all of them with MENDFS_TEST_ALL.
 */
#include "posix_check.h"

#include <signal.h>

#include "base/osfile.h"
#include "base/workq.h"

#define SMALL	 3000
#define BIG	 (1500 * KIT_KIB)
#define MIDDLE	 (200 * KIT_KIB)
#define SAMPLES	 9 /* of each kind of fault, in a usual run */
#define HANG_SEC 120

/* ---- what was promised ---- */

enum state_of_name {
	UNKNOWN, /* perhaps it is there, perhaps not */
	THERE,
	GONE,
};

struct name {
	const char *name;
	uint64_t seed;
	size_t size;		 /* promised, when THERE */
	enum state_of_name is;	 /* promised */
	enum state_of_name next; /* what a sync would promise */
	size_t next_size;
};

enum {
	FIRST, /* small, renamed to SECOND */
	SECOND,
	LARGE,	/* streamed, unlinked */
	CUT,	/* truncated */
	FOLDER, /* a folder with INSIDE */
	INSIDE,
	LAST,
	NAMES
};

struct story {
	struct kit *k;
	struct name n[NAMES];
	uint64_t folder;
	bool closed;
	int open_rc, close_rc;
};

static void set_next(struct story *s, int i, enum state_of_name is, size_t size)
{
	s->n[i].next = is;
	s->n[i].next_size = size;
}

/* What was done before is durable now. */
static void promise(struct story *s, int rc)
{
	for (int i = 0; rc == 0 && i < NAMES; i++) {
		s->n[i].is = s->n[i].next;
		s->n[i].size = s->n[i].next_size;
	}
}

/* Until the next promise nothing is known about it. */
static void unsure(struct story *s, int i)
{
	s->n[i].is = s->n[i].next = UNKNOWN;
}

/* ---- the scenario ---- */

static uint64_t parent_of(const struct story *s, int i)
{
	return i == INSIDE ? s->folder : ROOT_INO;
}

/* Makes and writes it; promised with the next sync if that went well. */
static uint64_t put(struct story *s, int i, size_t size)
{
	struct create_spec spec = {.mode = S_IFREG | 0644};
	struct volume *v = s->k->v;
	uint8_t *p = malloc(size);
	struct file *f = NULL;
	struct attr a = {0};
	ssize_t n = 0;
	int rc;

	unsure(s, i);
	kit_pattern(p, size, 0, s->n[i].seed);
	rc = posix_make(v, &kit_root, parent_of(s, i), s->n[i].name, &spec, &a);
	if (rc == 0)
		rc = posix_open(v, a.ino, O_RDWR, &f);
	if (rc == 0)
		n = posix_write(f, p, size, 0);
	if (rc == 0 && n == (ssize_t)size)
		rc = posix_fsync(f, false);
	else
		rc = -1;
	if (rc == 0)
		set_next(s, i, THERE, size);
	if (f)
		posix_close(f);
	free(p);
	return a.ino;
}

static void sync_names(struct story *s)
{
	promise(s, posix_fsyncdir(s->k->v, ROOT_INO));
}

static void rename_first(struct story *s)
{
	int rc = posix_rename(s->k->v, ROOT_INO, s->n[FIRST].name, ROOT_INO,
			      s->n[SECOND].name, 0);

	/* Whichever it is, one of the two is there if it was before. */
	if (rc == 0 && s->n[FIRST].is == THERE) {
		set_next(s, SECOND, THERE, SMALL);
		set_next(s, FIRST, GONE, 0);
	} else {
		unsure(s, FIRST);
	}
	s->n[FIRST].is = s->n[SECOND].is = UNKNOWN;
}

static void unlink_large(struct story *s)
{
	int rc = posix_unlink(s->k->v, ROOT_INO, s->n[LARGE].name);

	if (rc == 0)
		set_next(s, LARGE, GONE, 0);
	else if (rc != -ENOENT)
		unsure(s, LARGE);
	if (rc == 0)
		s->n[LARGE].is = UNKNOWN;
}

static void cut(struct story *s, uint64_t ino)
{
	struct attr_change c = {.set = SET_SIZE, .size = 1000};
	struct attr a;
	int rc;

	/* A shorter one would become longer. */
	if (s->n[CUT].is != THERE)
		return;
	rc = posix_setattr(s->k->v, ino, &c, &a);
	if (rc == 0)
		set_next(s, CUT, THERE, 1000);
	else
		unsure(s, CUT);
	s->n[CUT].is = UNKNOWN;
}

static void make_folder(struct story *s)
{
	struct create_spec spec = {.mode = S_IFDIR | 0755};
	struct attr a = {0};
	int rc = posix_make(s->k->v, &kit_root, ROOT_INO, s->n[FOLDER].name,
			    &spec, &a);

	s->folder = a.ino;
	if (rc == 0)
		set_next(s, FOLDER, THERE, 0);
	else
		unsure(s, FOLDER);
}

static void read_some(struct story *s)
{
	struct attr a;
	struct file *f;
	static uint8_t buf[64 * 1024];

	cache_drop_clean(s->k->v->cache, CACHE_ANY);
	if (posix_lookup(s->k->v, ROOT_INO, s->n[LARGE].name, &a) < 0 ||
	    posix_open(s->k->v, a.ino, O_RDONLY, &f) < 0)
		return;
	if (posix_read(f, buf, sizeof(buf), 500 * KIT_KIB) ==
	    (ssize_t)sizeof(buf)) {
		static uint8_t want[sizeof(buf)];

		kit_pattern(want, sizeof(want), 500 * KIT_KIB,
			    s->n[LARGE].seed);
		assert_memory_equal(buf, want, sizeof(buf));
	}
	posix_close(f);
}

static void play(struct story *s)
{
	struct diag d = DIAG_INIT;
	struct kit *k = s->k;
	uint64_t ino;

	s->open_rc = volume_open(&k->o, &d, &k->v);
	if (s->open_rc < 0) {
		k->v = NULL;
		return;
	}
	(void)put(s, FIRST, SMALL);
	(void)put(s, LARGE, BIG);
	ino = put(s, CUT, SMALL);
	sync_names(s);
	make_folder(s);
	if (s->folder)
		(void)put(s, INSIDE, MIDDLE);
	rename_first(s);
	sync_names(s);
	read_some(s);
	(void)!service_checkpoint(k->v, NULL, NULL);
	cut(s, ino);
	unlink_large(s);
	promise(s, volume_sync(k->v));
	(void)put(s, LAST, MIDDLE);
	(void)!service_run_queue(k->v);
	s->close_rc = volume_close(k->v);
	k->v = NULL;
	s->closed = true;
	promise(s, s->close_rc);
}

/* ---- what is there ---- */

static int find(struct story *s, int i, struct attr *a)
{
	struct attr folder;

	if (i != INSIDE)
		return posix_lookup(s->k->v, ROOT_INO, s->n[i].name, a);
	if (posix_lookup(s->k->v, ROOT_INO, s->n[FOLDER].name, &folder) < 0)
		return -ENOENT;
	return posix_lookup(s->k->v, folder.ino, s->n[i].name, a);
}

static void judge_name(struct story *s, int i)
{
	const struct name *n = &s->n[i];
	struct attr a;
	int rc = find(s, i, &a);

	assert_true(rc == 0 || rc == -ENOENT);
	if (n->is == THERE && rc < 0)
		fail_msg("%s was promised", n->name);
	if (n->is == GONE && rc == 0)
		fail_msg("%s came back", n->name);
	if (rc < 0 || i == FOLDER)
		return;
	if (n->is == THERE)
		assert_int_equal(a.size, n->size);
	/* What is there is what was written. */
	if (a.size > 0)
		kit_expect(s->k, a.ino, 0, a.size,
			   i == SECOND ? s->n[FIRST].seed : n->seed);
}

static void judge(struct story *s)
{
	struct kit *k = s->k;
	struct attr a;

	kit_open(k);
	for (int i = 0; i < NAMES; i++)
		judge_name(s, i);
	if (s->n[FIRST].next == GONE)
		assert_true(find(s, FIRST, &a) == 0 ||
			    find(s, SECOND, &a) == 0);
	kit_sound(k);
	(void)kit_new_file(k, "afterwards");
	OK(volume_close(k->v));
	k->v = NULL;
}

/* ---- one run ---- */

struct trial {
	void (*arm)(struct kit *k, uint64_t i);
	void (*disarm)(struct kit *k);
	uint64_t (*count)(
		struct kit *k); /* of places met, if it did not fail */
};

static void begin(struct story *s)
{
	static const char *const name[NAMES] = {
		"first", "second", "large", "cut", "folder", "inside", "last"};

	*s = (struct story){.k = calloc(1, sizeof(struct kit))};
	for (int i = 0; i < NAMES; i++) {
		s->n[i].name = name[i];
		s->n[i].seed = (uint64_t)i + 1;
		s->n[i].is = s->n[i].next = UNKNOWN;
	}
	kit_make(s->k);
}

/* Returns how many places there were. */
static uint64_t run(const struct trial *t, uint64_t i)
{
	struct story s;
	uint64_t places;

	alarm(HANG_SEC);
	begin(&s);
	t->arm(s.k, i);
	play(&s);
	places = t->count(s.k);
	t->disarm(s.k);
	if (i == 0) { /* nothing has failed */
		OK(s.open_rc);
		OK(s.close_rc);
		for (int n = 0; n < NAMES; n++)
			assert_true(s.n[n].is != UNKNOWN);
	}
	judge(&s);
	kit_end(s.k);
	free(s.k);
	alarm(0);
	return places;
}

static uint64_t seed;

static void all_places(const char *what, const struct trial *t)
{
	uint64_t places = run(t, 0), ran = 0, step, i;
	struct dice dice = {seed};

	step = getenv("MENDFS_TEST_ALL") ? 1 : MAX(places / SAMPLES, 1);
	for (i = 1 + dice_below(&dice, step); i <= places;
	     i += 1 + dice_below(&dice, 2 * step - 1)) {
		if (getenv("MENDFS_TEST_SAY"))
			fprintf(stderr, "%s %llu\n", what,
				(unsigned long long)i);
		(void)run(t, i);
		ran++;
	}
	printf("%s: %llu of %llu places\n", what, (unsigned long long)ran,
	       (unsigned long long)places);
}

/* ---- allocations ---- */

static void memory_once(struct kit *k, uint64_t i)
{
	(void)k;
	mem_fail_at(i, 0);
}

static void memory_from(struct kit *k, uint64_t i)
{
	(void)k;
	mem_fail_at(i, 1);
}

static void memory_off(struct kit *k)
{
	(void)k;
	mem_fail_at(0, 0);
}

static uint64_t memory_count(struct kit *k)
{
	(void)k;
	return mem_count();
}

static void allocations(void **state)
{
	static const struct trial once = {memory_once, memory_off,
					  memory_count};
	static const struct trial from = {memory_from, memory_off,
					  memory_count};

	(void)state;
	all_places("allocation i fails", &once);
	all_places("allocations from i on fail", &from);
}

/* ---- calls of the system: the local index and state ---- */

static void local_once(struct kit *k, uint64_t i)
{
	(void)k;
	os_fail_at(i, EIO, 0);
}

static void local_from(struct kit *k, uint64_t i)
{
	(void)k;
	os_fail_at(i, ENOSPC, 1);
}

static void local_off(struct kit *k)
{
	(void)k;
	os_fail_at(0, 0, 0);
}

static uint64_t local_count(struct kit *k)
{
	(void)k;
	return os_count();
}

static void local_calls(void **state)
{
	static const struct trial once = {local_once, local_off, local_count};
	static const struct trial from = {local_from, local_off, local_count};

	(void)state;
	all_places("local call i fails", &once);
	all_places("local calls from i on find no room", &from);
}

/* ---- the folders ---- */

static void fault(struct kit *k, unsigned from, unsigned to,
		  struct fault_rule rule)
{
	rule.ops = FAULT_OP_ALL & ~(unsigned)FAULT_OP_ATTACH;
	rule.prefix = "";
	for (unsigned i = from; i < to; i++)
		OK(fault_add(k->location[i], &rule));
}

/* Counts calls when there is nothing to fail. */
static void fault_or_count(struct kit *k, unsigned from, unsigned to,
			   uint64_t i, struct fault_rule rule)
{
	rule.skip = i - 1;
	if (i == 0)
		rule = (struct fault_rule){.kind = FAULT_DELAY};
	fault(k, from, to, rule);
}

static void one_error(struct kit *k, uint64_t i)
{
	fault_or_count(k, 0, KIT_FOLDERS, i,
		       (struct fault_rule){
			       .kind = FAULT_ERROR, .err = EIO, .times = 1});
}

static void errors_in_one(struct kit *k, uint64_t i)
{
	fault_or_count(k, 1, 2, i,
		       (struct fault_rule){.kind = FAULT_ERROR, .err = EIO});
}

static void errors_in_all(struct kit *k, uint64_t i)
{
	fault_or_count(k, 0, KIT_FOLDERS, i,
		       (struct fault_rule){.kind = FAULT_ERROR, .err = EIO});
}

static void one_is_full(struct kit *k, uint64_t i)
{
	fault_or_count(k, 2, 3, i, (struct fault_rule){.kind = FAULT_FULL});
}

static void all_are_full(struct kit *k, uint64_t i)
{
	fault_or_count(k, 0, KIT_FOLDERS, i,
		       (struct fault_rule){.kind = FAULT_FULL});
}

static void two_vanish(struct kit *k, uint64_t i)
{
	fault_or_count(k, 0, 2, i, (struct fault_rule){.kind = FAULT_VANISH});
}

static void one_tears(struct kit *k, uint64_t i)
{
	fault_or_count(k, 3, 4, i, (struct fault_rule){.kind = FAULT_TORN});
}

static void folders_off(struct kit *k)
{
	kit_clear(k);
}

static uint64_t folder_calls(struct kit *k)
{
	uint64_t most = 0;

	for (unsigned i = 0; i < KIT_FOLDERS; i++)
		most = MAX(most, fault_hits(k->location[i]));
	return most;
}

static void folder_errors(void **state)
{
	static const struct trial once = {one_error, folders_off, folder_calls};
	static const struct trial one = {errors_in_one, folders_off,
					 folder_calls};
	static const struct trial all = {errors_in_all, folders_off,
					 folder_calls};

	(void)state;
	all_places("request i fails in each folder", &once);
	all_places("requests from i on fail in one folder", &one);
	all_places("requests from i on fail in all folders", &all);
}

static void folders_full(void **state)
{
	static const struct trial one = {one_is_full, folders_off,
					 folder_calls};
	static const struct trial all = {all_are_full, folders_off,
					 folder_calls};

	(void)state;
	all_places("one folder is full from request i on", &one);
	all_places("all folders are full from request i on", &all);
}

static void folders_vanish_or_tear(void **state)
{
	static const struct trial two = {two_vanish, folders_off, folder_calls};
	static const struct trial torn = {one_tears, folders_off, folder_calls};

	(void)state;
	all_places("two folders vanish at request i", &two);
	all_places("one folder tears writes from request i on", &torn);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allocations),
		cmocka_unit_test(local_calls),
		cmocka_unit_test(folder_errors),
		cmocka_unit_test(folders_full),
		cmocka_unit_test(folders_vanish_or_tear),
	};

	seed = kit_seed(20261121);
	workq_inline(true);
	if (!getenv("MENDFS_TEST_LOG"))
		log_use_sink(kit_quiet, NULL);
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
