/* SPDX-License-Identifier: Apache-2.0 */
/*
 * look.c - what a mounted volume shows (see look.h).
 */
#include "look.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/must.h"
#include "stuff.h"

struct looker {
	struct volume *v;
	const struct model *m;
	struct seen *out;
	unsigned dir;
	unsigned known; /* entries that are folders of ours */
};

static char names[THREADS][SLOTS][STUFF_NAME_MAX];

static void make_names(void)
{
	if (names[0][0][0])
		return;
	for (unsigned u = 0; u < THREADS; u++)
		for (unsigned s = 0; s < SLOTS; s++)
			stuff_name(u, s, names[u][s]);
}

/* ---- names ---- */

static unsigned inode_of(struct looker *l, uint64_t ino)
{
	struct seen *out = l->out;

	for (unsigned i = 0; i < out->inodes; i++)
		if (out->inode[i].ino == ino)
			return i;
	out->inode[out->inodes] =
		(struct seen_inode){.ino = ino, .thing = model_find(l->m, ino)};
	return out->inodes++;
}

static bool take_slot(struct looker *l, const struct dir_entry *e)
{
	for (unsigned u = 0; u < l->m->threads; u++)
		for (unsigned s = l->dir * NAMES; s < (l->dir + 1) * NAMES; s++)
			if (strcmp(names[u][s], e->name) == 0) {
				unsigned i = inode_of(l, e->ino);

				l->out->slot[u][s] = i + 1;
				l->out->inode[i].names++;
				return true;
			}
	return false;
}

static int take_entry(void *arg, const struct dir_entry *e)
{
	struct looker *l = arg;

	if (strcmp(e->name, ".") == 0 || strcmp(e->name, "..") == 0 ||
	    take_slot(l, e))
		return 0;
	for (unsigned d = 1; d < DIRS; d++)
		if (l->out->dir[d] == e->ino)
			return 0;
	snprintf(l->out->wrong, sizeof(l->out->wrong),
		 "C name '%.40s' in folder %u is nobody's", e->name, l->dir);
	return 0;
}

/* ---- attributes ---- */

static void say(struct seen_inode *si, const char *what, int rc)
{
	if (!si->wrong[0])
		snprintf(si->wrong, sizeof(si->wrong), "%s: %s", what,
			 rc < 0 ? err_name(rc) : "wrong");
}

static void look_at_xattrs(struct looker *l, struct seen_inode *si)
{
	uint8_t value[STUFF_XATTR_MAX];

	for (unsigned x = 0; x < XATTRS; x++) {
		ssize_t n = posix_getxattr(l->v, si->ino, stuff_xattr_name(x),
					   value, sizeof(value));

		if (n < 0 && n != -ENODATA)
			say(si, "getxattr", (int)n);
		si->xattr[x] = n < 0 ? 0 : stuff_xattr_read(value, (size_t)n);
		if (si->xattr[x] == CELL_GARBAGE)
			say(si, "xattr value", 0);
	}
}

static void look_at_target(struct looker *l, struct seen_inode *si,
			   unsigned thread)
{
	struct bytes target = {0};
	char want[STUFF_NAME_MAX];
	int rc = posix_readlink(l->v, si->ino, &target);

	stuff_target(thread, want);
	if (rc < 0 || target.len != strlen(want) ||
	    memcmp(target.data, want, target.len) != 0)
		say(si, "target", rc);
	bytes_release(&target);
}

/* ---- contents ---- */

static void parse(struct seen_inode *si, const struct thing *t,
		  const uint8_t *data)
{
	if (si->size % t->unit || si->size / t->unit > CELLS_MAX) {
		snprintf(si->wrong, sizeof(si->wrong),
			 "size %llu of cells of %u",
			 (unsigned long long)si->size, t->unit);
		return;
	}
	si->cells = (uint32_t)(si->size / t->unit);
	si->cell = malloc(si->cells * sizeof(*si->cell) + 1);
	MUST(si->cell != NULL);
	for (uint32_t c = 0; c < si->cells; c++) {
		const uint8_t *cell = data + (size_t)c * t->unit;

		si->cell[c] = stuff_read(cell, si->ino, t->unit, c);
		if (si->cell[c] == CELL_GARBAGE && !si->wrong[0])
			snprintf(si->wrong, sizeof(si->wrong),
				 "cell %u of %u (%u bytes) is garbage: %02x "
				 "%02x .. %02x",
				 c, si->cells, t->unit, cell[0], cell[1],
				 cell[t->unit - 1]);
	}
}

static void look_at_content(struct looker *l, struct seen_inode *si)
{
	const struct thing *t = &l->m->thing[si->thing];
	uint8_t *data = malloc(si->size + 2);
	struct file *f;
	ssize_t n;
	int rc = posix_open(l->v, si->ino, O_RDONLY, &f);

	MUST(data != NULL);
	if (rc < 0) {
		say(si, "open", rc);
	} else {
		n = posix_read(f, data, si->size, 0);
		posix_close(f);
		if (n < 0 || (uint64_t)n != si->size)
			say(si, "read", (int)n);
		else
			parse(si, t, data);
	}
	free(data);
}

static void look_at_inode(struct looker *l, struct seen_inode *si)
{
	const struct thing *t = &l->m->thing[si->thing];
	struct attr a;
	int rc = posix_getattr(l->v, si->ino, &a);

	if (rc < 0) {
		say(si, "getattr", rc);
		return;
	}
	si->mode = a.mode;
	si->nlink = a.nlink;
	si->size = a.size;
	si->mtime = a.mtime_ns;
	if (!si->thing)
		return;
	if ((a.mode & S_IFMT) != t->type)
		say(si, "type", 0);
	if (a.nlink != (S_ISDIR(a.mode) ? 2 : si->names))
		say(si, "link count", 0);
	look_at_xattrs(l, si);
	if (S_ISLNK(a.mode))
		look_at_target(l, si, t->thread);
	if (S_ISREG(a.mode))
		look_at_content(l, si);
}

/* G: as many inodes as names lead to. */
static void count_inodes(struct looker *l)
{
	struct space space;
	int rc = posix_statfs(l->v, &space);

	if (rc < 0 || space.inodes != l->out->inodes + DIRS)
		snprintf(l->out->wrong, sizeof(l->out->wrong),
			 "G statfs: %s, %llu inodes, not %u", err_name(rc),
			 (unsigned long long)space.inodes,
			 l->out->inodes + DIRS);
}

void look(struct volume *v, const struct model *m, const uint64_t dir[DIRS],
	  struct seen *out)
{
	struct looker l = {.v = v, .m = m, .out = out};
	int rc;

	make_names();
	memset(out, 0, sizeof(*out));
	memcpy(out->dir, dir, sizeof(out->dir));
	for (l.dir = 0; l.dir < DIRS; l.dir++) {
		rc = posix_readdir(v, dir[l.dir], 0, false, take_entry, &l);
		if (rc < 0)
			snprintf(out->wrong, sizeof(out->wrong),
				 "F readdir of folder %u: %s", l.dir,
				 err_name(rc));
	}
	for (unsigned i = 0; i < out->inodes; i++)
		look_at_inode(&l, &out->inode[i]);
	if (!out->wrong[0] && !volume_read_only(v))
		count_inodes(&l);
}

/* ---- two looks ---- */

void seen_free(struct seen *s)
{
	for (unsigned i = 0; i < s->inodes; i++)
		free(s->inode[i].cell);
	s->inodes = 0;
}

static bool inode_same(const struct seen_inode *a, const struct seen_inode *b)
{
	return a->ino == b->ino && a->mode == b->mode && a->nlink == b->nlink &&
	       a->size == b->size && a->mtime == b->mtime &&
	       a->cells == b->cells &&
	       memcmp(a->xattr, b->xattr, sizeof(a->xattr)) == 0 &&
	       (a->cells == 0 ||
		memcmp(a->cell, b->cell, a->cells * sizeof(*a->cell)) == 0);
}

bool seen_same(const struct seen *a, const struct seen *b, char *text,
	       unsigned len)
{
	for (unsigned u = 0; u < THREADS; u++)
		for (unsigned s = 0; s < SLOTS; s++) {
			unsigned i = a->slot[u][s], k = b->slot[u][s];

			if (!i && !k)
				continue;
			if (i && k &&
			    inode_same(&a->inode[i - 1], &b->inode[k - 1]))
				continue;
			snprintf(text, len,
				 "H thread %u slot %u is not what it was", u,
				 s);
			return false;
		}
	return true;
}
