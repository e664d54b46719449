/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a pool. All that can be refused is checked on all folders before the
 * first of them is written to; then come the locks, then old superblocks are
 * made unreadable (a folder that was part of another pool must never be taken
 * for it again), and only pool_publish makes the folders a pool.
 */
#include <string.h>

#include "base/clock.h"
#include "base/rnd.h"
#include "backend/pool_impl.h"

#define PATIENCE_MS POOL_DEADLINE_MS
#define BLANK_BYTES 512

struct creation {
	const struct pool_create_options *o;
	struct diag *diag;
	struct folders fs;
};

static int check_options(const struct creation *c)
{
	const struct pool_create_options *o = c->o;
	int rc = geometry_check(&o->geo, o->n, c->diag);

	if (rc)
		return rc;
	if (strlen(o->label) > SB_LABEL_MAX)
		return diag_fail(c->diag, -EINVAL, "--label: at most %d bytes",
				 SB_LABEL_MAX);
	if (!o->pass_len)
		return diag_fail(c->diag, -EINVAL,
				 "the passphrase is empty; a pool is always "
				 "encrypted");
	return 0;
}

static int check_places(struct creation *c)
{
	unsigned i, j;
	int rc;

	for (unsigned f = 0; f < c->fs.n; f++)
		if (c->fs.at[f].rc)
			return folder_fail(&c->fs.at[f], c->fs.at[f].rc,
					   c->diag);
	rc = folders_overlap(&c->fs, 0, &i, &j);
	if (rc)
		return diag_fail(c->diag, rc,
				 "%s and %s %s; give separate folders",
				 folder_path(&c->fs.at[i]),
				 folder_path(&c->fs.at[j]),
				 rc == -ERR_NESTED ? "lie one inside the other"
						   : "are the same folder");
	for (unsigned f = 0; f < c->fs.n; f++)
		if (strlen(c->fs.at[f].location) > SB_PATH_MAX)
			return diag_fail(c->diag, -ENAMETOOLONG,
					 "%s: path is longer than %d bytes",
					 folder_path(&c->fs.at[f]),
					 SB_PATH_MAX);
	return 0;
}

/* Before the slots are read: a place without superblock is dropped by that. */
static int check_empty(struct creation *c)
{
	for (unsigned i = 0; i < c->fs.n; i++) {
		struct folder *f = &c->fs.at[i];
		int rc = folder_in_use(f, PATIENCE_MS);

		if (rc < 0)
			return folder_fail(f, rc, c->diag);
		if (rc)
			return diag_fail(
				c->diag, -ERR_NOT_EMPTY,
				"%s: folder is not empty; choose another one, "
				"or use --force to put the pool beside what is "
				"there (a mendfs pool in it is destroyed)",
				folder_path(f));
	}
	return 0;
}

/* ---- what was there ---- */

static struct buf *blank(void)
{
	struct buf *b = buf_new(BLANK_BYTES);

	if (b)
		memset(b->data, 0, b->len);
	return b;
}

/* One request, for its result. */
static int ask(struct folder *f, struct bio *r)
{
	struct fan fan = {.to = f->backend, .bio = r};

	fan_run(&fan, 1, PATIENCE_MS);
	fan_release(&fan, 1);
	return fan.rc;
}

static bool absent_or_ok(int rc)
{
	return !rc || rc == -ENOENT;
}

/*
 * Removing alone is not durable: after a power cut the old slot might be back,
 * beside the new pool's first one. A blank file that is renamed over it is.
 */
static int wipe_slot(struct folder *f, unsigned slot)
{
	AUTO_BUF struct buf *zero = blank();
	char temp[SUPER_TEMP_MAX];
	int rc;

	if (!zero)
		return -ENOMEM;
	slot_temp_name(0, temp);
	rc = ask(f, bio_new_remove(temp));
	if (absent_or_ok(rc))
		rc = ask(f, bio_new_put(temp, zero));
	if (!rc)
		rc = ask(f, bio_new_rename(temp, slot_name[slot]));
	if (!rc)
		rc = ask(f, bio_new_remove(slot_name[slot]));
	return absent_or_ok(rc) ? 0 : rc;
}

static int wipe(struct creation *c, struct folder *f)
{
	for (unsigned s = 0; s < SB_SLOTS; s++) {
		struct bio *r = bio_new_get(slot_name[s], 0, 1, false);
		int rc = ask(f, r);

		if (rc == -ENOENT)
			continue;
		if (!rc)
			rc = wipe_slot(f, s);
		if (rc)
			return folder_fail(f, rc, c->diag);
	}
	return 0;
}

/* ---- the new one ---- */

static int lock_all(struct creation *c)
{
	int rc = folders_lock(&c->fs, true, PATIENCE_MS, c->diag);

	for (unsigned i = 0; i < c->fs.n && !rc; i++)
		if (c->fs.at[i].rc)
			rc = folder_fail(&c->fs.at[i], c->fs.at[i].rc, c->diag);
	return rc;
}

static int bind_member(struct pool_impl *p, unsigned i, struct folder *f)
{
	struct member *m = &p->pub.member[i];

	m->path = mem_strdup(f->location);
	if (!m->path)
		return -ENOMEM;
	rnd_bytes(m->id.b, sizeof(m->id.b));
	m->backend = steal(&f->backend);
	p->pub.sb.member[i].id = m->id;
	strcpy(p->pub.sb.member[i].path, f->location);
	return 0;
}

static int fill(struct creation *c, struct pool_impl *p)
{
	const struct pool_create_options *o = c->o;
	struct superblock *sb = &p->pub.sb;
	int rc;

	p->pub.n = sb->n = o->n;
	p->pub.geo = sb->geo = o->geo;
	p->pub.locked = true;
	rnd_bytes(sb->pool.b, sizeof(sb->pool.b));
	p->pub.id = sb->pool;
	sb->created_ns = clock_real_ns();
	strcpy(sb->label, o->label);
	for (unsigned i = 0; i < o->n; i++) {
		rc = bind_member(p, i, &c->fs.at[i]);
		if (rc)
			return rc;
	}
	rc = keyring_new(&p->pub.keys);
	if (rc)
		return rc;
	return keyring_wrap(p->pub.keys, sb->pool.b, o->pass, o->pass_len,
			    sb->slots);
}

static int make(struct creation *c, struct pool **out)
{
	struct pool_impl *p = mem_zalloc(sizeof(*p));
	int rc = p ? fill(c, p) : -ENOMEM;

	if (!rc)
		*out = &p->pub;
	else if (p)
		pool_close(&p->pub);
	return rc;
}

static int create_steps(struct creation *c, struct pool **out)
{
	const struct pool_create_options *o = c->o;
	int rc = check_options(c);

	if (!rc)
		rc = folders_attach(&c->fs, o->location, o->n, true,
				    PATIENCE_MS);
	if (!rc)
		rc = check_places(c);
	if (!rc && !o->force)
		rc = check_empty(c);
	if (!rc)
		rc = lock_all(c);
	for (unsigned i = 0; i < c->fs.n && !rc && o->force; i++)
		rc = wipe(c, &c->fs.at[i]);
	return rc ? rc : make(c, out);
}

int pool_create(const struct pool_create_options *o, struct diag *diag,
		struct pool **out)
{
	struct creation c = {.o = o, .diag = diag};
	int rc;

	*out = NULL;
	rc = create_steps(&c, out);
	folders_release(&c.fs);
	return rc;
}
