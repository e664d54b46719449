/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rename.c - rename(2) with NOREPLACE and EXCHANGE.
 *
 * Up to four inodes change: both parents, what moves, what is replaced or
 * exchanged. Moves of directories between parents are serialised
 * (rename_lock), so that the check "not into its own subtree" cannot be undone
 * by another move.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "fs/names.h"
#include "fs/volume_impl.h"

enum {
	FROM,
	TO,
	MOVED,
	OTHER,
	PARTIES
};

struct move {
	struct volume *v;
	const char *name[2];	    /* under FROM, under TO */
	struct dentry_row d[2];	    /* d[TO].id 0: the new name is free */
	struct node *node[PARTIES]; /* TO == FROM possible; OTHER NULL */
	struct change ch[PARTIES];
	unsigned flags;
};

/* Is `ino` the directory `dir` or below it? Climbs from dir. [op] */
static int is_above(struct volume *v, uint64_t ino, uint64_t dir)
{
	struct dentry_row d;
	int rc = 0;

	while (dir != ROOT_INO) {
		if (dir == ino)
			return 1;
		rc = dentry_of_inode(v->ix, dir, 0, &d);
		if (rc < 0)
			return rc;
		dir = d.parent;
	}
	return ino == ROOT_INO;
}

/* Names still say what they said when the nodes were found. [op] */
static int verify(struct move *m)
{
	uint64_t other = m->node[OTHER] ? m->node[OTHER]->hash.key : 0;
	int rc = dentry_get(m->v->ix, m->node[FROM]->hash.key, m->name[0],
			    strlen(m->name[0]), &m->d[0]);

	if (rc == 0 && m->d[0].ino != m->node[MOVED]->hash.key)
		return -EAGAIN;
	if (rc < 0)
		return rc == -ENOENT ? -EAGAIN : rc;
	m->d[1] = (struct dentry_row){0};
	rc = dentry_get(m->v->ix, m->node[TO]->hash.key, m->name[1],
			strlen(m->name[1]), &m->d[1]);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	return m->d[1].ino == other ? 0 : -EAGAIN;
}

static int check_types(struct move *m)
{
	const struct inode_row *a = &m->node[MOVED]->row;
	const struct inode_row *b =
		m->node[OTHER] ? &m->node[OTHER]->row : NULL;
	int rc;

	if (S_ISDIR(a->mode)) {
		rc = is_above(m->v, a->ino, m->node[TO]->hash.key);
		if (rc != 0)
			return rc < 0 ? rc : -EINVAL;
	}
	if (!b)
		return m->flags & RENAME_EXCHANGE ? -ENOENT : 0;
	if (m->flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (m->flags & RENAME_EXCHANGE) {
		if (!S_ISDIR(b->mode))
			return 0;
		rc = is_above(m->v, b->ino, m->node[FROM]->hash.key);
		return rc > 0 ? -EINVAL : rc;
	}
	if (S_ISDIR(a->mode) != S_ISDIR(b->mode))
		return S_ISDIR(b->mode) ? -EISDIR : -ENOTDIR;
	if (S_ISDIR(b->mode))
		return dentry_any(m->v->ix, b->ino) == 0 ? 0 : -ENOTEMPTY;
	return 0;
}

/* The change of a parent; both may be the same. */
static struct change *parent_change(struct move *m, unsigned which)
{
	return which == TO && !m->ch[TO].node ? &m->ch[FROM] : &m->ch[which];
}

/* Link counts that directories moving about bring with them. */
static void count_links(struct move *m)
{
	bool exchange = m->flags & RENAME_EXCHANGE;
	struct change *from = parent_change(m, FROM);
	struct change *to = parent_change(m, TO);

	if (S_ISDIR(m->ch[MOVED].row.mode)) {
		from->row.nlink--;
		to->row.nlink++;
	}
	if (!m->ch[OTHER].node)
		return;
	if (S_ISDIR(m->ch[OTHER].row.mode)) {
		to->row.nlink--;
		if (exchange)
			from->row.nlink++;
		else
			m->ch[OTHER].row.nlink = 0;
	} else if (!exchange) {
		m->ch[OTHER].row.nlink--;
	}
}

static int move_names(struct move *m)
{
	struct index *ix = m->v->ix;
	uint8_t type = names_type(m->ch[MOVED].row.mode);
	int rc;

	if (m->flags & RENAME_EXCHANGE) {
		rc = dentry_retarget(ix, m->d[1].id, m->d[0].ino, type);
		if (rc == 0)
			rc = dentry_retarget(ix, m->d[0].id, m->d[1].ino,
					     names_type(m->ch[OTHER].row.mode));
		return rc;
	}
	rc = dentry_delete(ix, m->d[0].id);
	if (rc < 0)
		return rc;
	if (m->d[1].id)
		return dentry_retarget(ix, m->d[1].id, m->d[0].ino, type);
	return names_enter(m->v, m->node[TO]->hash.key, m->name[1], m->d[0].ino,
			   type);
}

static void begin_changes(struct move *m)
{
	int64_t now = clock_real_ns();

	for (unsigned i = 0; i < PARTIES; i++) {
		m->ch[i].node = NULL;
		if (!m->node[i] || (i == TO && m->node[TO] == m->node[FROM]))
			continue;
		change_begin(&m->ch[i], m->node[i], now);
		if (i == FROM || i == TO)
			m->ch[i].row.mtime_ns = now;
	}
}

static int move_op(struct move *m)
{
	int rc = verify(m);

	/* Two names of one file: nothing happens. */
	if (rc == 0 && m->d[1].ino == m->d[0].ino)
		return m->flags & RENAME_NOREPLACE ? -EEXIST : 1;
	if (rc == 0)
		rc = check_types(m);
	if (rc < 0)
		return rc;
	begin_changes(m);
	count_links(m);
	rc = move_names(m);
	return rc < 0 ? rc : changes_store(m->ch, PARTIES);
}

static int move_locked(struct move *m)
{
	uint64_t seq;
	int rc = names_directory(m->node[FROM]);

	if (rc == 0)
		rc = names_directory(m->node[TO]);
	if (rc == 0 &&
	    (m->node[MOVED]->dead || (m->node[OTHER] && m->node[OTHER]->dead)))
		rc = -EAGAIN;
	if (rc == 0)
		rc = index_begin(m->v->ix);
	if (rc < 0)
		return rc;
	seq = commit_open_seq(m->v->commit);
	rc = index_end(m->v->ix, move_op(m));
	if (rc == 0)
		changes_done(m->ch, PARTIES, seq);
	return rc < 0 ? rc : 0;
}

static int find_parties(struct move *m, uint64_t from, uint64_t to)
{
	int rc = names_find(m->v, from, m->name[0], &m->d[0]);

	if (rc == 0)
		rc = node_get(m->v, from, &m->node[FROM]);
	if (rc == 0)
		rc = node_get(m->v, to, &m->node[TO]);
	if (rc < 0)
		return rc;
	rc = node_get(m->v, m->d[0].ino, &m->node[MOVED]);
	if (rc == 0) {
		rc = names_find(m->v, to, m->name[1], &m->d[1]);
		if (rc == -ENOENT)
			return 0;
		if (rc == 0)
			rc = node_get(m->v, m->d[1].ino, &m->node[OTHER]);
	}
	return rc == -ENOENT ? -EAGAIN : rc;
}

/* Of all that get another name. */
static int settle_data(struct move *m)
{
	int rc = names_settle_data(m->v, m->node[MOVED]->hash.key);

	if (rc == 0 && (m->flags & RENAME_EXCHANGE) && m->node[OTHER])
		rc = names_settle_data(m->v, m->node[OTHER]->hash.key);
	return rc;
}

static int move_once(struct move *m, uint64_t from, uint64_t to)
{
	struct node *sorted[PARTIES];
	int rc = find_parties(m, from, to);

	if (rc == 0)
		rc = settle_data(m);
	if (rc == 0) {
		memcpy(sorted, m->node, sizeof(sorted));
		nodes_lock(sorted, PARTIES);
		rc = move_locked(m);
		nodes_unlock(sorted, PARTIES);
	}
	for (unsigned i = 0; i < PARTIES; i++)
		if (m->node[i])
			node_put(steal(&m->node[i]));
	return rc;
}

int posix_rename(struct volume *v, uint64_t parent, const char *name,
		 uint64_t new_parent, const char *new_name, unsigned flags)
{
	struct move m = {.v = v, .name = {name, new_name}, .flags = flags};
	int rc = names_check(name);

	if (rc > 0)
		rc = names_check(new_name);
	if (rc > 0)
		rc = volume_writable(v);
	if (rc == 0 && flags != 0 && flags != RENAME_NOREPLACE &&
	    flags != RENAME_EXCHANGE)
		rc = -EINVAL;
	if (rc < 0)
		return rc;
	if (parent != new_parent)
		mutex_lock(&v->rename_lock);
	do {
		rc = move_once(&m, parent, new_parent);
	} while (rc == -EAGAIN);
	if (parent != new_parent)
		mutex_unlock(&v->rename_lock);
	commit_maybe(v->commit);
	return rc;
}
