/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 1. The first `pages` pages are the database. The file may be longer: it is
 *    allocated in steps of GROW_STEP, so that an operation that was kept finds
 *    its blocks when the record is closed.
 * 2. changed: regions written since the last freeze. A checkpoint that fails
 *    gives its regions back (index_file_thaw).
 * 3. While frozen, page p <= frozen_pages has its frozen content in the live
 *    file as long as its bit in `copied` is clear, else in the .cow file at
 *    the same place. The bit is set after the copy is complete and before the
 *    live page is overwritten; so who reads the live file first and the bit
 *    afterwards knows what he has read. Single pages and not whole regions
 *    are copied: the writer holds the index lock, and a record touches many
 *    regions in a page or two each.
 * 4. A copy that fails sets cow_rc, breaks the freeze and nothing else: the
 *    checkpoint is tried again, the index goes on.
 *
 * `lock` guards everything of 2. to 4.; no I/O but the copying out happens
 * under it. `read_lock` serialises region readers (their cipher context) and
 * keeps a thaw out. Order: index lock, read_lock, lock.
 */
#include "meta/index_file.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "base/must.h"
#include "base/osfile.h"
#include "base/sync.h"
#include "meta/index_page.h"

#define GROW_STEP    (8u << 20)
#define GROW_AHEAD   64	 /* pages that are kept ready beyond the need */
#define CHANGED_STEP 512 /* bytes of the bitmap: 1 GiB of file */

struct index_file {
	int fd;
	char *path, *cow_path;
	struct page_seal *seal;
	atomic_uint_fast32_t pages;
	uint64_t allocated; /* bytes */
	uint8_t raw[INDEX_PAGE];

	struct mutex read_lock;
	struct page_seal *read_seal;

	struct mutex lock;
	uint8_t *changed;     /* bit per region */
	uint64_t *written;    /* word per region, bit per page: since settled */
	size_t changed_bytes; /* of the first bitmap */
	bool frozen;
	uint32_t frozen_pages;
	uint64_t *copied;	   /* word per region, bit per page */
	struct region_set in_copy; /* what the freeze handed out */
	int cow_fd;
	int cow_rc;
};
_Static_assert(PAGES_PER_REGION == 64, "a region's pages fill a uint64_t");

void region_set_release(struct region_set *s)
{
	mem_free(s->bits);
	*s = (struct region_set){0};
}

uint32_t index_file_pages(const struct index_file *f)
{
	return (uint32_t)atomic_load(&f->pages);
}

void index_file_set_pages(struct index_file *f, uint32_t pages)
{
	atomic_store(&f->pages, pages);
}

/* ---- opening and closing ---- */

static void file_free(struct index_file *f)
{
	os_close(f->fd);
	os_close(f->cow_fd);
	page_seal_free(f->seal);
	page_seal_free(f->read_seal);
	region_set_release(&f->in_copy);
	mem_free(f->changed);
	mem_free(f->written);
	mem_free(f->copied);
	mem_free(f->path);
	mem_free(f->cow_path);
	mutex_destroy(&f->lock);
	mutex_destroy(&f->read_lock);
	mem_free(f);
}

static int file_new(const struct index_options *o, struct index_file **out)
{
	struct index_file *f = mem_zalloc(sizeof(*f));
	int rc;

	if (!f)
		return -ENOMEM;
	f->fd = -1;
	f->cow_fd = -1;
	mutex_init(&f->lock);
	mutex_init(&f->read_lock);
	f->path = mem_strdup(o->path);
	f->cow_path = mem_printf("%s.cow", o->path);
	rc = f->path && f->cow_path ? 0 : -ENOMEM;
	if (!rc)
		rc = page_seal_new(o, &f->seal);
	if (!rc)
		rc = page_seal_new(o, &f->read_seal);
	if (rc)
		file_free(f);
	else
		*out = f;
	return rc;
}

static int read_raw(int fd, uint64_t off, void *buf, size_t len)
{
	ssize_t n = os_pread(fd, buf, len, off);

	if (n < 0)
		return (int)n;
	memset((uint8_t *)buf + n, 0, len - (size_t)n);
	return (size_t)n < len ? -ERR_TRUNCATED : 0;
}

/* How many pages there are, by the first one. */
static int learn_pages(struct index_file *f)
{
	uint64_t size;
	int rc = os_fsize(f->fd, &size);
	uint32_t pages;

	if (rc)
		return rc;
	rc = read_raw(f->fd, 0, f->raw, INDEX_PAGE);
	if (rc)
		return rc == -ERR_TRUNCATED ? -ERR_CORRUPT : rc;
	rc = page_open(f->seal, 1, f->raw);
	if (rc)
		return rc;
	pages = get_be32(f->raw + DB_PAGE_COUNT);
	if (!pages || size / INDEX_PAGE < pages)
		return -ERR_CORRUPT;
	index_file_set_pages(f, pages);
	f->allocated = size / INDEX_PAGE * INDEX_PAGE;
	return 0;
}

static int open_paths(struct index_file *f, bool fresh)
{
	int flags = fresh ? O_RDWR | O_CREAT | O_TRUNC : O_RDWR;
	int rc;

	f->fd = os_openat(AT_FDCWD, f->path, flags, 0600);
	if (f->fd < 0)
		return f->fd;
	rc = os_unlinkat(AT_FDCWD, f->cow_path, 0); /* of an earlier life */
	if (rc && rc != -ENOENT)
		return rc;
	return fresh ? 0 : learn_pages(f);
}

int index_file_open(const struct index_options *o, bool fresh,
		    struct index_file **out)
{
	struct index_file *f;
	int rc = file_new(o, &f);

	if (rc)
		return rc;
	rc = open_paths(f, fresh);
	if (!rc)
		rc = index_file_reserve(f, index_file_pages(f));
	if (rc)
		file_free(f);
	else
		*out = f;
	return rc;
}

int index_file_close(struct index_file *f, bool sync)
{
	int rc = 0;

	if (!f)
		return 0;
	if (f->frozen)
		index_file_thaw(f, false);
	if (sync) {
		rc = os_ftruncate(f->fd, PAGE_OFFSET(index_file_pages(f) + 1));
		if (!rc)
			rc = os_fsync(f->fd);
	}
	file_free(f);
	return rc;
}

/* ---- growth ---- */

static int grow_changed(struct index_file *f, uint32_t region)
{
	size_t need = (region / 8 / CHANGED_STEP + 1) * CHANGED_STEP;
	const size_t word = 8 * sizeof(*f->written); /* bytes for 8 regions */
	uint8_t *wide;
	void *words;

	if (need <= f->changed_bytes)
		return 0;
	words = mem_realloc(f->written, need * word);
	if (!words)
		return -ENOMEM;
	f->written = words;
	wide = mem_realloc(f->changed, need);
	if (!wide)
		return -ENOMEM;
	memset(wide + f->changed_bytes, 0, need - f->changed_bytes);
	memset(f->written + 8 * f->changed_bytes, 0,
	       (need - f->changed_bytes) * word);
	f->changed = wide;
	f->changed_bytes = need;
	return 0;
}

static int allocate(struct index_file *f, uint64_t bytes)
{
	uint64_t target = (bytes + GROW_STEP - 1) / GROW_STEP * GROW_STEP;
	int rc;

	if (bytes <= f->allocated)
		return 0;
	rc = os_fallocate(f->fd, f->allocated, target - f->allocated);
	if (rc == -EOPNOTSUPP)
		rc = os_ftruncate(f->fd, target);
	if (!rc)
		f->allocated = target;
	return rc;
}

int index_file_reserve(struct index_file *f, uint32_t pages)
{
	uint64_t need = (uint64_t)pages * INDEX_PAGE;
	uint64_t ahead = need + GROW_AHEAD * INDEX_PAGE;
	int rc;

	mutex_lock(&f->lock);
	rc = grow_changed(f, REGION_OF(pages + GROW_AHEAD));
	mutex_unlock(&f->lock);
	if (rc)
		return rc;
	rc = allocate(f, ahead);
	return rc && need <= f->allocated ? 0 : rc;
}

/* ---- pages ---- */

int index_file_read(struct index_file *f, uint32_t pgno, uint8_t *plain)
{
	int rc = read_raw(f->fd, PAGE_OFFSET(pgno), plain, INDEX_PAGE);

	return rc ? rc : page_open(f->seal, pgno, plain);
}

/* Its bit in the word of its region. */
static uint64_t page_bit(uint32_t pgno)
{
	return 1ULL << (pgno - 1) % PAGES_PER_REGION;
}

/* Saves the frozen content of a page that is about to be overwritten. */
static void copy_out(struct index_file *f, uint32_t pgno)
{
	uint64_t *word = f->copied + REGION_OF(pgno);
	uint64_t bit = page_bit(pgno);
	int rc;

	if (pgno > f->frozen_pages || f->cow_rc || *word & bit)
		return;
	rc = read_raw(f->fd, PAGE_OFFSET(pgno), f->raw, INDEX_PAGE);
	if (!rc)
		rc = os_pwrite(f->cow_fd, f->raw, INDEX_PAGE,
			       PAGE_OFFSET(pgno));
	if (rc)
		f->cow_rc = rc;
	else
		*word |= bit;
}

static int note_write(struct index_file *f, uint32_t pgno)
{
	uint32_t region = REGION_OF(pgno);
	int rc;

	MUTEX_GUARD(&f->lock);
	rc = grow_changed(f, region);
	if (rc)
		return rc;
	if (f->frozen)
		copy_out(f, pgno);
	f->changed[region / 8] |= (uint8_t)(1u << region % 8);
	f->written[region] |= page_bit(pgno);
	return 0;
}

int index_file_write(struct index_file *f, uint32_t pgno, const uint8_t *plain)
{
	uint64_t end = PAGE_OFFSET(pgno) + INDEX_PAGE;
	int rc = note_write(f, pgno);

	if (!rc)
		rc = page_seal(f->seal, pgno, plain, f->raw);
	if (rc)
		return rc;
	/* Without room for a whole step the page itself may still fit. */
	(void)allocate(f, end);
	rc = os_pwrite(f->fd, f->raw, INDEX_PAGE, PAGE_OFFSET(pgno));
	if (rc)
		return rc;
	f->allocated = MAX(f->allocated, end);
	if (pgno > index_file_pages(f))
		index_file_set_pages(f, pgno);
	return 0;
}

/* ---- the frozen view ---- */

/* Hands the changed set out and starts a new one. */
static int take_changed(struct index_file *f, struct region_set *out)
{
	uint32_t regions = REGIONS_FOR(f->frozen_pages);
	size_t bytes = (regions + 7) / 8;

	out->bits = mem_zalloc(bytes);
	f->in_copy.bits = mem_zalloc(bytes);
	if (!out->bits || !f->in_copy.bits)
		return -ENOMEM;
	out->regions = regions;
	f->in_copy.regions = regions;
	memcpy(out->bits, f->changed, MIN(bytes, f->changed_bytes));
	memcpy(f->in_copy.bits, out->bits, bytes);
	memset(f->changed, 0, f->changed_bytes);
	return 0;
}

static int freeze_locked(struct index_file *f, struct region_set *changed)
{
	int rc;

	f->frozen_pages = index_file_pages(f);
	f->copied =
		mem_calloc(REGIONS_FOR(f->frozen_pages), sizeof(*f->copied));
	if (!f->copied)
		return -ENOMEM;
	f->cow_rc = 0;
	f->cow_fd = os_openat(AT_FDCWD, f->cow_path, O_RDWR | O_CREAT | O_TRUNC,
			      0600);
	if (f->cow_fd < 0)
		return f->cow_fd;
	rc = take_changed(f, changed);
	if (!rc)
		f->frozen = true;
	return rc;
}

/* Back to not frozen; also of a freeze that did not come about. */
static void melt_locked(struct index_file *f)
{
	f->frozen = false;
	if (f->cow_fd >= 0)
		(void)os_unlinkat(AT_FDCWD, f->cow_path, 0);
	os_close(f->cow_fd);
	f->cow_fd = -1;
	mem_free(f->copied);
	f->copied = NULL;
	region_set_release(&f->in_copy);
}

int index_file_freeze(struct index_file *f, struct region_set *changed)
{
	int rc;

	*changed = (struct region_set){0};
	MUTEX_GUARD(&f->lock);
	if (f->frozen)
		return -EBUSY;
	rc = freeze_locked(f, changed);
	if (rc) {
		melt_locked(f);
		region_set_release(changed);
	}
	return rc;
}

void index_file_thaw(struct index_file *f, bool done)
{
	MUTEX_GUARD(&f->read_lock);
	MUTEX_GUARD(&f->lock);
	MUST(f->frozen);
	/* The bitmap never shrinks: it reaches as far as at the freeze. */
	for (size_t i = 0; !done && i < (f->in_copy.regions + 7) / 8; i++)
		f->changed[i] |= f->in_copy.bits[i];
	melt_locked(f);
}

/*
 * After the live bytes were read (3.): which of the region's pages are to be
 * had from the .cow file. *pages_out: the length of what is read.
 */
static int look_at_copies(struct index_file *f, uint32_t region,
			  uint64_t *copied_out, uint32_t *pages_out)
{
	MUTEX_GUARD(&f->lock);
	*copied_out = 0;
	*pages_out = index_file_pages(f);
	if (!f->frozen)
		return 0;
	*pages_out = f->frozen_pages;
	if (region < REGIONS_FOR(f->frozen_pages))
		*copied_out = f->copied[region];
	return f->cow_rc;
}

static int open_region_page(struct index_file *f, uint32_t pgno, bool copied,
			    uint8_t *page)
{
	if (copied) {
		int rc = read_raw(f->cow_fd, PAGE_OFFSET(pgno), page,
				  INDEX_PAGE);

		if (rc)
			return rc;
	}
	if (pgno == DB_PENDING_PAGE && page_is_blank(page))
		return 0;
	return page_open(f->read_seal, pgno, page);
}

int index_file_region(struct index_file *f, uint32_t region, uint8_t *out)
{
	uint64_t first = REGION_FIRST(region), copied;
	uint32_t pages;
	int rc;

	MUTEX_GUARD(&f->read_lock);
	rc = read_raw(f->fd, (uint64_t)region * INDEX_REGION, out,
		      INDEX_REGION);
	if (rc && rc != -ERR_TRUNCATED)
		return rc;
	rc = look_at_copies(f, region, &copied, &pages);
	for (unsigned i = 0; !rc && i < PAGES_PER_REGION; i++) {
		uint8_t *page = out + (size_t)i * INDEX_PAGE;

		if (first + i > pages)
			memset(page, 0, INDEX_PAGE);
		else
			rc = open_region_page(f, (uint32_t)(first + i),
					      copied >> i & 1, page);
	}
	return rc;
}

/* ---- what was written since ---- */

bool index_file_written(struct index_file *f, uint32_t pgno)
{
	uint32_t region = REGION_OF(pgno);

	MUTEX_GUARD(&f->lock);
	return region / 8 < f->changed_bytes &&
	       f->written[region] & page_bit(pgno);
}

void index_file_forget_written(struct index_file *f)
{
	MUTEX_GUARD(&f->lock);
	if (f->written)
		memset(f->written, 0,
		       8 * f->changed_bytes * sizeof(*f->written));
}
