/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/fuzz_kit_volume.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/osfile.h"
#include "fs/posix.h"
#include "fuzz/fuzz.h"

#define OK(call)    MUST((call) >= 0)
#define CHUNK	    (16u << 10)
#define FILES	    (FUZZ_OLD + FUZZ_NEW)
#define SIZE_MAX_   200000u
#define JOURNAL_MIN (64u << 10)

static const struct cred root = {.umask = 022};
static struct fuzz_volume made;
static char cache_dir[64];

/* ---- the cache folder ---- */

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *where)
{
	(void)st;
	(void)type;
	return where->level ? remove(path) : 0;
}

static void empty_cache(void)
{
	(void)nftw(cache_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void remove_cache(void)
{
	empty_cache();
	(void)rmdir(cache_dir);
}

static void make_cache(void)
{
	const char *tmp = getenv("TMPDIR");

	/* a disk would have to sync it all the time */
	if (access("/dev/shm", W_OK) == 0)
		tmp = "/dev/shm";
	snprintf(cache_dir, sizeof(cache_dir), "%.40s/mendfs-fuzz-XXXXXX",
		 tmp ? tmp : "/tmp");
	MUST(mkdtemp(cache_dir));
	atexit(remove_cache);
	/* mkfs asks for the default one */
	setenv("XDG_CACHE_HOME", cache_dir, 1);
}

/* ---- making it ---- */

static const char *const *locations(void)
{
	static const char *at[FUZZ_MEMBERS];

	for (unsigned i = 0; i < FUZZ_MEMBERS; i++)
		at[i] = fuzz_location(i);
	return at;
}

void fuzz_volume_options(struct volume_options *out)
{
	empty_cache();
	*out = (struct volume_options){
		.location = locations(),
		.n = FUZZ_MEMBERS,
		.pass = FUZZ_PASS,
		.pass_len = strlen(FUZZ_PASS),
		.cache_dir = cache_dir,
		.cache_bytes = 8u << 20,
		.journal_file_bytes = JOURNAL_MIN,
	};
}

static size_t size_of(unsigned file)
{
	static const size_t sizes[] = {100, 0, 5000, 40000, SIZE_MAX_, 17000};

	return sizes[file % ARRAY_LEN(sizes)];
}

/* Every other one compresses well. */
static void fill(unsigned file, uint8_t *p, size_t len, uint64_t off)
{
	for (size_t i = 0; i < len; i++) {
		uint64_t x = (off + i + 1) * 0x9e3779b97f4a7c15u + file;

		p[i] = file % 2 ? (uint8_t)((off + i) / 64 + file)
				: (uint8_t)(x * 0xbf58476d1ce4e5b9u >> 56);
	}
}

static void make_file(struct volume *v, uint64_t parent, unsigned file)
{
	static uint8_t content[SIZE_MAX_];
	struct create_spec spec = {.mode = S_IFREG | 0644};
	size_t len = size_of(file);
	struct file *f;
	struct attr a;
	char name[16];

	snprintf(name, sizeof(name), "file-%u", file);
	OK(posix_make(v, &root, parent, name, &spec, &a));
	OK(posix_open(v, a.ino, O_RDWR, &f));
	fill(file, content, len, 0);
	MUST(posix_write(f, content, len, 0) == (ssize_t)len);
	OK(posix_fsync(f, false));
	posix_close(f);
}

static uint64_t make_folder(struct volume *v)
{
	struct create_spec spec = {.mode = S_IFDIR | 0755};
	struct create_spec link = {.mode = S_IFLNK | 0777, .target = "file-0"};
	struct attr a, b;

	OK(posix_make(v, &root, ROOT_INO, "folder", &spec, &a));
	OK(posix_make(v, &root, ROOT_INO, "link", &link, &b));
	OK(posix_setxattr(v, a.ino, "user.fuzz", "value", 5, 0));
	return a.ino;
}

static void make_pool(void)
{
	struct diag d = DIAG_INIT;
	struct pool_create_options o = {
		.location = locations(),
		.n = FUZZ_MEMBERS,
		.geo = {.k = 2,
			.m = 1,
			.chunk_bytes = CHUNK,
			.segment_bytes = 1u << 20,
			.cipher = CIPHER_AES_256_GCM,
			.level = 1},
		.label = "fuzz",
		.pass = FUZZ_PASS,
		.pass_len = strlen(FUZZ_PASS),
	};

	OK(volume_make(&o, 0, 0, NULL, &d));
}

static void use(void)
{
	struct volume_options o;
	struct diag d = DIAG_INIT;
	struct volume *v;
	uint64_t folder;

	fuzz_volume_options(&o);
	OK(volume_open(&o, &d, &v));
	folder = make_folder(v);
	for (unsigned i = 0; i < FUZZ_OLD; i++)
		make_file(v, i % 2 ? folder : ROOT_INO, i);
	OK(volume_close(v));
	fuzz_volume_options(&o);
	OK(volume_open(&o, &d, &v));
	for (unsigned i = FUZZ_OLD; i < FILES; i++)
		make_file(v, i % 2 ? folder : ROOT_INO, i);
	OK(posix_unlink(v, ROOT_INO, "file-0"));
	OK(volume_sync(v));
	volume_crash(v);
}

/* ---- keeping it ---- */

struct listing {
	struct driver *d;
	unsigned folder;
};

static int keep(void *arg, const char *name, uint64_t size)
{
	const struct listing *l = arg;
	struct fuzz_object *o;

	if (size == UINT64_MAX)
		return driver_list(l->d, name, keep, arg);
	made.object =
		mem_realloc(made.object, (made.n + 1) * sizeof(*made.object));
	MUST(made.object);
	o = &made.object[made.n++];
	o->folder = l->folder;
	snprintf(o->name, sizeof(o->name), "%s", name);
	o->data = fuzz_get(l->folder, name, &o->len);
	MUST(o->data);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct fuzz_object *x = a, *y = b;
	int rc = strcmp(x->name, y->name);

	return rc ? rc : (x->folder > y->folder) - (x->folder < y->folder);
}

static void keep_all(void)
{
	for (unsigned i = 0; i < FUZZ_MEMBERS; i++) {
		struct listing l = {.folder = i};

		MUST(driver_attach(fuzz_location(i), &l.d) == 0);
		MUST(driver_list(l.d, "", keep, &l) == 0);
		driver_detach(l.d);
	}
	qsort(made.object, made.n, sizeof(*made.object), by_name);
}

const struct fuzz_volume *fuzz_volume(void)
{
	if (made.n)
		return &made;
	make_cache();
	fuzz_folders_clear();
	make_pool();
	use();
	keep_all();
	fuzz_start();
	return &made;
}

void fuzz_volume_put(const struct fuzz_object *object, unsigned n)
{
	fuzz_folders_clear();
	for (unsigned i = 0; i < n; i++)
		fuzz_put(object[i].folder, object[i].name, object[i].data,
			 object[i].len);
}

/* ---- checking ---- */

struct walk {
	struct volume *v;
	uint64_t ino[FILES]; /* 0: not seen */
	uint64_t folder;
};

static int see(void *arg, const struct dir_entry *e)
{
	struct walk *w = arg;
	unsigned n;

	if (strcmp(e->name, "folder") == 0)
		w->folder = e->ino;
	else if (sscanf(e->name, "file-%u", &n) == 1 && n < FILES)
		w->ino[n] = e->ino;
	else
		MUST(!strcmp(e->name, ".") || !strcmp(e->name, "..") ||
		     !strcmp(e->name, "link"));
	return 0;
}

/* Old, new or absent, never garbage or zeros. */
static bool check_file(struct volume *v, uint64_t ino, unsigned n)
{
	static uint8_t want[SIZE_MAX_], got[SIZE_MAX_ + 1];
	struct file *f;
	ssize_t len;

	if (posix_open(v, ino, O_RDONLY, &f) < 0)
		return false;
	len = posix_read(f, got, sizeof(got), 0);
	posix_close(f);
	if (len < 0)
		return false;
	MUST((size_t)len == size_of(n) || len == 0);
	fill(n, want, (size_t)len, 0);
	MUST(memcmp(want, got, (size_t)len) == 0);
	return (size_t)len == size_of(n);
}

bool fuzz_volume_check(struct volume *v)
{
	struct walk w = {.v = v};
	AUTO(bytes_release) struct bytes target = {0};
	struct attr a;
	char value[16];
	bool all = posix_readdir(v, ROOT_INO, 0, true, see, &w) == 0;

	if (w.folder && posix_readdir(v, w.folder, 0, true, see, &w) < 0)
		all = false;
	if (posix_lookup(v, ROOT_INO, "link", &a) == 0 &&
	    posix_readlink(v, a.ino, &target) == 0)
		MUST(target.len == 6 && !memcmp(target.data, "file-0", 6));
	if (w.folder &&
	    posix_getxattr(v, w.folder, "user.fuzz", value, sizeof(value)) >= 0)
		MUST(memcmp(value, "value", 5) == 0);
	for (unsigned i = 0; i < FILES; i++)
		all &= w.ino[i] ? check_file(v, w.ino[i], i) : i == 0;
	return all;
}
