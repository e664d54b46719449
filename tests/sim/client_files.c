/* SPDX-License-Identifier: Apache-2.0 */
/* What clients do to contents of files, and what they have promised. */
#include "client.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/must.h"
#include "report.h"
#include "stuff.h"

/* ---- contents ---- */

static struct file *file_of(struct client *c, unsigned t, int flags)
{
	struct file *f;
	int rc = posix_open(c->l->v, client_thing(c, t)->ino, flags, &f);

	if (rc < 0)
		report_fail("client %u: open: %s", c->thread, err_name(rc));
	return f;
}

void client_let_go(struct client *c, struct file *f)
{
	if (f != c->held)
		posix_close(f);
}

struct file *client_open(struct client *c, unsigned t, int flags)
{
	if (t == c->held_thing && c->held && !flags)
		return c->held;
	return file_of(c, t, O_RDWR | flags);
}

static uint32_t cells_max(uint32_t unit, bool big)
{
	if (unit == 100)
		return 163; /* none lies across two chunks */
	if (unit == STUFF_UNIT_MAX && !big)
		return 100;
	return CELLS_MAX;
}

void client_fsync(struct client *c, unsigned t, struct file *f, bool datasync)
{
	struct event *ev = model_promise(client_model(c), c->thread, t);

	ev->times = !datasync;
	client_end(c, ev, posix_fsync(f, datasync), "fsync");
	report_tally()->promises++;
}

static void write_cells(struct client *c, unsigned t, uint32_t first,
			uint32_t n)
{
	struct thing *th = client_thing(c, t);
	bool sync = client_roll(c, 12) == 0;
	int flags = (sync ? O_DSYNC : 0) |
		    (first == th->cells && client_roll(c, 2) ? O_APPEND : 0);
	struct event *ev = model_write(client_model(c), c->thread, t, first, n);
	size_t len = (size_t)n * th->unit;
	struct file *f;
	uint8_t *p;
	int64_t rc;

	if (!ev)
		return;
	report_tally()->events++;
	p = malloc(len + 1);
	MUST(p != NULL);
	stuff_fill(p, th->ino, th->unit, first, n, ev->stamp);
	f = client_open(c, t, flags);
	rc = posix_write(f, p, len, (uint64_t)first * th->unit);
	/* The data was taken, or this would have been another error. */
	sync = sync && rc == (int64_t)len;
	if (flags & O_DSYNC && rc < 0 && gremlin_excuses(c->l, (int)rc))
		rc = (int64_t)len;
	client_end(c, ev, rc == (int64_t)len ? 0 : rc < 0 ? rc : -EIO, "write");
	if (sync) {
		ev = model_promise(client_model(c), c->thread, t);
		ev->times = false;
		client_end(c, ev, 0, "");
	}
	client_let_go(c, f);
	free(p);
}

void client_write_some(struct client *c, unsigned t)
{
	static const uint32_t longest[] = {1, 6, 40, 200, 800};
	struct thing *th = client_thing(c, t);
	bool big = c->l->h->big;
	uint32_t max = cells_max(th->unit, big), first, n;

	switch (client_roll(c, 3)) {
	case 0:
		first = (uint32_t)client_roll(c, max);
		break;
	case 1:
		first = (uint32_t)client_roll(c, MIN(th->cells + 3, max));
		break;
	default:
		first = th->cells;
	}
	first = MIN(first, max - 1);
	n = 1 + (uint32_t)client_roll(c, longest[client_roll(c, big ? 5 : 4)]);
	write_cells(c, t, first, MIN(n, max - first));
}

void client_write(struct client *c)
{
	unsigned t = client_some_file(c);

	if (c->held && client_roll(c, 3) == 0)
		t = c->held_thing;
	if (t)
		client_write_some(c, t);
}

void client_truncate(struct client *c)
{
	struct attr_change change = {.set = SET_SIZE};
	unsigned t = client_some_file(c);
	struct event *ev;
	struct attr a;
	uint32_t size;

	if (!t)
		return;
	size = (uint32_t)client_roll(c, cells_max(client_thing(c, t)->unit,
						  false));
	if (client_roll(c, 2))
		size = (uint32_t)client_roll(c, client_thing(c, t)->cells + 1);
	if (client_roll(c, 4) == 0)
		size = 0;
	ev = client_begin(c, EV_TRUNCATE, t);
	ev->first = size;
	if (size == 0 && client_roll(c, 2)) {
		posix_close(file_of(c, t, O_RDWR | O_TRUNC));
		client_end(c, ev, 0, "");
		return;
	}
	change.size = (uint64_t)size * client_thing(c, t)->unit;
	client_end(c, ev,
		   posix_setattr(c->l->v, client_thing(c, t)->ino, &change, &a),
		   "truncate");
}

static void compare(struct client *c, unsigned t, const uint8_t *data,
		    uint64_t len)
{
	const struct thing *th = client_thing(c, t);
	uint32_t cell[CELLS_MAX], is;
	uint32_t n = oracle_content(client_model(c), t, cell);

	if (len != (uint64_t)n * th->unit)
		report_fail("client %u: thing %u has %llu bytes, not %u cells "
			    "of %u",
			    c->thread, t, (unsigned long long)len, n, th->unit);
	for (uint32_t i = 0; i < n; i++) {
		is = stuff_read(data + (size_t)i * th->unit, th->ino, th->unit,
				i);
		if (is != cell[i])
			report_fail("client %u: thing %u cell %u of %u (%u "
				    "bytes each) reads as %u, not %u",
				    c->thread, t, i, n, th->unit, is, cell[i]);
	}
	report_tally()->reads++;
}

void client_read(struct client *c)
{
	unsigned t = client_some_file(c);
	size_t room;
	struct file *f;
	uint8_t *data;
	ssize_t n;

	if (c->held && client_roll(c, 3) == 0)
		t = c->held_thing;
	if (!t)
		return;
	room = (size_t)client_thing(c, t)->unit * CELLS_MAX + 1;
	data = malloc(room);
	MUST(data != NULL);
	f = client_open(c, t, 0);
	n = posix_read(f, data, room, 0);
	client_let_go(c, f);
	if (n >= 0)
		compare(c, t, data, (uint64_t)n);
	else if (!gremlin_excuses(c->l, (int)n))
		report_fail("client %u: read: %s", c->thread, err_name((int)n));
	free(data);
}

void client_hold(struct client *c)
{
	unsigned t = c->held ? 0 : client_some_file(c);

	if (c->held) {
		posix_close(steal(&c->held));
		c->held_thing = 0;
	} else if (t) {
		c->held = file_of(c, t, O_RDWR);
		c->held_thing = t;
	}
}

/* ---- promises ---- */

void client_fsyncdir(struct client *c, unsigned d)
{
	struct event *ev = model_promise(client_model(c), c->thread, 0);

	ev->data = d == 0;
	client_end(c, ev, posix_fsyncdir(c->l->v, c->l->h->dir[d]), "fsyncdir");
	report_tally()->promises++;
}

void client_promise(struct client *c)
{
	unsigned t = client_some_file(c);
	struct event *ev;
	struct file *f;

	switch (client_roll(c, 10)) {
	case 0:
		ev = model_promise(client_model(c), c->thread, 0);
		client_end(c, ev, volume_sync(c->l->v), "sync");
		report_tally()->promises++;
		break;
	case 1:
	case 2:
		client_fsyncdir(c, (unsigned)client_roll(c, DIRS));
		break;
	case 3:
		if (c->held)
			client_fsync(c, c->held_thing, c->held,
				     client_roll(c, 2));
		break;
	default:
		if (!t)
			break;
		f = client_open(c, t, 0);
		client_fsync(c, t, f, client_roll(c, 3) == 0);
		client_let_go(c, f);
	}
}
