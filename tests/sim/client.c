/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.c - what one client does: operations on names and inodes of its own,
 * one after another, each told to the model when it begins and when it ends.
 */
#include "client.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/mem.h"
#include "fs/volume_impl.h"
#include "report.h"
#include "stuff.h"

static const struct cred nobody = {.umask = 0};

uint64_t client_roll(struct client *c, uint64_t bound)
{
	return dice_below(&c->dice, bound);
}

struct model *client_model(struct client *c)
{
	return c->l->model;
}

static struct client_log *log_of(struct client *c)
{
	return client_model(c)->log[c->thread];
}

struct event *client_begin(struct client *c, enum event_kind kind,
			   unsigned thing)
{
	report_tally()->events++;
	return model_begin(client_model(c), c->thread, kind, thing);
}

/*
 * Nothing may fail, but while a folder fails: then a promise is none, and an
 * operation on names has not happened.
 */
static bool excused(struct client *c, struct event *ev, int rc)
{
	if (!gremlin_excuses(c->l, rc))
		return false;
	report_tally()->refused++;
	if (ev->kind == EV_CHANGE)
		model_cancel(client_model(c), c->thread, ev);
	return ev->kind == EV_CHANGE || ev->kind == EV_PROMISE;
}

void client_end(struct client *c, struct event *ev, int64_t rc,
		const char *what)
{
	if (rc < 0 && excused(c, ev, (int)rc))
		return;
	if (rc < 0)
		report_fail("client %u: %s: %s", c->thread, what,
			    err_name((int)rc));
	model_end(client_model(c), c->thread, ev);
}

static uint64_t dir_of(struct client *c, unsigned slot)
{
	return c->l->h->dir[slot / NAMES];
}

unsigned client_at(struct client *c, unsigned slot)
{
	return log_of(c)->now[slot];
}

struct thing *client_thing(struct client *c, unsigned t)
{
	return &client_model(c)->thing[t];
}

static bool is_dir(struct client *c, unsigned t)
{
	return t && S_ISDIR(client_thing(c, t)->type);
}

/* A slot that is free, or one that is taken; SLOTS: none was found. */
static unsigned some_slot(struct client *c, bool taken)
{
	for (unsigned i = 0; i < 40; i++) {
		unsigned s = (unsigned)client_roll(c, SLOTS);

		if ((client_at(c, s) != 0) == taken)
			return s;
	}
	return SLOTS;
}

unsigned client_some_file(struct client *c)
{
	for (unsigned i = 0; i < 40; i++) {
		unsigned t = client_at(c, (unsigned)client_roll(c, SLOTS));

		if (t && S_ISREG(client_thing(c, t)->type))
			return t;
	}
	return 0;
}

/* ---- names ---- */

static uint32_t some_unit(struct client *c)
{
	static const uint32_t units[] = {1, 3, 100, 512, 512, 512, 4096};

	if (c->l->h->big && client_roll(c, 2))
		return STUFF_UNIT_MAX;
	return units[client_roll(c, ARRAY_LEN(units))];
}

static uint32_t some_type(struct client *c)
{
	switch (client_roll(c, 12)) {
	case 0:
	case 1:
		return S_IFDIR;
	case 2:
		return S_IFLNK;
	case 3:
		return S_IFIFO;
	default:
		return S_IFREG;
	}
}

static unsigned make_at(struct client *c, unsigned slot, uint32_t type)
{
	uint32_t mode =
		S_ISLNK(type) ? 0777 : 0600 + (uint32_t)client_roll(c, 64);
	char name[STUFF_NAME_MAX], target[STUFF_NAME_MAX];
	struct create_spec spec = {.mode = type | mode};
	unsigned t =
		model_thing(client_model(c), c->thread, type, some_unit(c));
	struct event *ev;
	struct attr a;
	int rc;

	if (!t)
		return 0;
	stuff_name(c->thread, slot, name);
	stuff_target(c->thread, target);
	if (S_ISLNK(type))
		spec.target = target;
	ev = client_begin(c, EV_CHANGE, t);
	event_set(ev, slot, t);
	event_set(ev, client_thing(c, t)->vars + VAR_MODE, mode);
	rc = posix_make(c->l->v, &nobody, dir_of(c, slot), name, &spec, &a);
	client_thing(c, t)->ino = rc < 0 ? 0 : a.ino;
	client_end(c, ev, rc, "make");
	return rc < 0 ? 0 : t;
}

static void do_make(struct client *c)
{
	unsigned slot = some_slot(c, false);

	if (slot < SLOTS)
		make_at(c, slot, some_type(c));
}

static void remove_at(struct client *c, unsigned slot)
{
	unsigned t = client_at(c, slot);
	char name[STUFF_NAME_MAX];
	struct event *ev = client_begin(c, EV_CHANGE, t);

	stuff_name(c->thread, slot, name);
	event_set(ev, slot, 0);
	if (is_dir(c, t))
		client_end(c, ev, posix_rmdir(c->l->v, dir_of(c, slot), name),
			   "rmdir");
	else
		client_end(c, ev, posix_unlink(c->l->v, dir_of(c, slot), name),
			   "unlink");
}

static void do_remove(struct client *c)
{
	unsigned slot = some_slot(c, true);

	if (slot < SLOTS)
		remove_at(c, slot);
}

/* O3, but for one that is open: more of it may be on its way (fs/gaps.h). */
static unsigned settled(struct client *c, unsigned t)
{
	return t == c->held_thing ? 0 : t;
}

static void do_link(struct client *c)
{
	unsigned from = some_slot(c, true), to = some_slot(c, false), t;
	char name[STUFF_NAME_MAX];
	struct event *ev;
	struct attr a;

	if (from == SLOTS || to == SLOTS || is_dir(c, client_at(c, from)))
		return;
	t = client_at(c, from);
	stuff_name(c->thread, to, name);
	ev = client_begin(c, EV_CHANGE, t);
	event_set(ev, to, t);
	ev->settled[0] = settled(c, t);
	client_end(c, ev,
		   posix_link(c->l->v, client_thing(c, t)->ino, dir_of(c, to),
			      name, &a),
		   "link");
}

static void rename_to(struct client *c, unsigned from, unsigned to,
		      unsigned flags)
{
	unsigned a = client_at(c, from), b = client_at(c, to);
	char name[STUFF_NAME_MAX], name_to[STUFF_NAME_MAX];
	bool exchange = flags & RENAME_EXCHANGE;
	struct event *ev;

	stuff_name(c->thread, from, name);
	stuff_name(c->thread, to, name_to);
	ev = client_begin(c, EV_CHANGE, a);
	if (a != b) {
		event_set(ev, from, exchange ? b : 0);
		event_set(ev, to, a);
		ev->settled[0] = settled(c, a);
		ev->settled[1] = exchange ? settled(c, b) : 0;
	}
	client_end(c, ev,
		   posix_rename(c->l->v, dir_of(c, from), name, dir_of(c, to),
				name_to, flags),
		   "rename");
}

static void do_rename(struct client *c)
{
	unsigned from = some_slot(c, true),
		 to = (unsigned)client_roll(c, SLOTS);
	unsigned flags = 0;

	if (from == SLOTS || from == to ||
	    client_at(c, from) == client_at(c, to))
		return;
	if (!client_at(c, to))
		flags = client_roll(c, 2) ? RENAME_NOREPLACE : 0;
	else if (is_dir(c, client_at(c, from)) != is_dir(c, client_at(c, to)) ||
		 !client_roll(c, 3))
		flags = RENAME_EXCHANGE;
	rename_to(c, from, to, flags);
}

/* ---- attributes ---- */

static void do_mode(struct client *c)
{
	unsigned slot = some_slot(c, true), t;
	struct attr_change change = {.set = SET_MODE};
	struct event *ev;
	struct attr a;

	if (slot == SLOTS)
		return;
	t = client_at(c, slot);
	change.mode = model_var(client_model(c), t, VAR_MODE) ^
		      (1 + (uint32_t)client_roll(c, 63));
	ev = client_begin(c, EV_CHANGE, t);
	event_set(ev, client_thing(c, t)->vars + VAR_MODE, change.mode);
	client_end(c, ev,
		   posix_setattr(c->l->v, client_thing(c, t)->ino, &change, &a),
		   "chmod");
}

static void do_times(struct client *c)
{
	unsigned t = client_some_file(c);
	struct attr_change change = {.set = SET_MTIME};
	struct event *ev;
	struct attr a;

	if (!t)
		return;
	change.mtime_ns = (int64_t)(1 + client_roll(c, 1000000000));
	ev = client_begin(c, EV_TIMES, t);
	ev->mtime = change.mtime_ns;
	client_end(c, ev,
		   posix_setattr(c->l->v, client_thing(c, t)->ino, &change, &a),
		   "utimens");
}

static void do_xattr(struct client *c)
{
	unsigned slot = some_slot(c, true),
		 x = (unsigned)client_roll(c, XATTRS), t;
	uint8_t value[STUFF_XATTR_MAX];
	uint32_t old, number;
	struct event *ev;
	int rc;

	if (slot == SLOTS)
		return;
	t = client_at(c, slot);
	old = model_var(client_model(c), t, VAR_XATTR + x);
	number = old && client_roll(c, 3) == 0 ? 0 : ++c->values;
	ev = client_begin(c, EV_CHANGE, t);
	event_set(ev, client_thing(c, t)->vars + VAR_XATTR + x, number);
	if (number)
		rc = posix_setxattr(c->l->v, client_thing(c, t)->ino,
				    stuff_xattr_name(x), value,
				    stuff_xattr(number, value),
				    old ? XATTR_REPLACE : XATTR_CREATE);
	else
		rc = posix_removexattr(c->l->v, client_thing(c, t)->ino,
				       stuff_xattr_name(x));
	client_end(c, ev, rc, "xattr");
}

/* ---- a client's life ---- */

/* As editors save: a file of another name, then the name. */
static void do_replace(struct client *c)
{
	unsigned from = some_slot(c, false),
		 to = (unsigned)client_roll(c, SLOTS), t;
	bool sync = client_roll(c, 2);
	struct file *f;

	if (from == SLOTS || from == to || is_dir(c, client_at(c, to)))
		return;
	t = make_at(c, from, S_IFREG);
	if (!t)
		return;
	client_write_some(c, t);
	if (sync) {
		f = client_open(c, t, 0);
		client_fsync(c, t, f, false);
		client_let_go(c, f);
	}
	if (client_at(c, from))
		rename_to(c, from, to, 0);
	if (sync && client_roll(c, 2))
		client_fsyncdir(c, (unsigned)client_roll(c, DIRS));
}

static void step(struct client *c)
{
	static const struct {
		unsigned weight;
		void (*fn)(struct client *c);
	} what[] = {
		{16, do_make},	  {7, do_remove},     {5, do_link},
		{8, do_rename},	  {5, do_mode},	      {4, do_times},
		{5, do_xattr},	  {26, client_write}, {7, client_truncate},
		{4, client_hold}, {8, do_replace},    {9, client_read},
	};
	uint64_t n = client_roll(c, 104);

	if (client_roll(c, 100) < c->promise_rate) {
		client_promise(c);
		return;
	}
	for (unsigned i = 0; i < ARRAY_LEN(what); i++) {
		if (n < what[i].weight) {
			what[i].fn(c);
			return;
		}
		n -= what[i].weight;
	}
}

static void pause_a_while(struct client *c)
{
	uint64_t n = client_roll(c, 100);

	if (c->l->hasty)
		sim_sleep_ns(client_roll(c, 4000000));
	else if (n < 70)
		sim_yield();
	else if (n < 95)
		sim_sleep_ns(client_roll(c, 20000000));
	else
		sim_sleep_ns(client_roll(c, 4000000000ULL));
}

void client_run(void *client)
{
	struct client *c = client;

	for (unsigned i = 0; i < c->steps; i++) {
		if (!model_has_room(client_model(c), c->thread))
			break;
		step(c);
		pause_a_while(c);
	}
	if (c->held)
		posix_close(steal(&c->held));
}
