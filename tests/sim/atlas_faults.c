/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How folders of the atlas misbehave, and how they are damaged while nobody
 * looks.
 */
#include "atlas.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

/* ---- rules ---- */

struct fault_rule atlas_error(int err)
{
	return (struct fault_rule){.kind = FAULT_ERROR,
				   .ops = FAULT_OP_ALL,
				   .prefix = "",
				   .err = err};
}

void atlas_rule(struct atlas *a, unsigned folder, struct fault_rule r)
{
	if (!r.prefix)
		r.prefix = "";
	if (!r.ops)
		r.ops = FAULT_OP_ALL;
	ATLAS_OK(a, fault_add(a->location[folder], &r));
}

static enum fault_kind random_kind(struct dice *d, bool honest)
{
	static const enum fault_kind kinds[] = {
		FAULT_ERROR,  FAULT_ERROR,  FAULT_ERROR,     FAULT_DELAY,
		FAULT_HANG,   FAULT_TORN,   FAULT_VANISH,    FAULT_FULL,
		FAULT_BITROT, FAULT_BITROT, FAULT_LOST_SYNC,
	};

	return kinds[dice_below(d, honest ? 8 : ARRAY_LEN(kinds))];
}

static void random_rule(struct atlas *a, unsigned folder, bool honest)
{
	static const char *const prefixes[] = {
		"", "", "", "data/", "journal/", "index/", "mendfs.super"};
	static const int errors[] = {EIO,    EIO,    EIO,   EROFS,
				     EACCES, ESTALE, ENOSPC};
	static const uint64_t delays[] = {20, 300, 3000, 20000};
	struct dice *d = &a->dice;
	struct fault_rule r = {
		.kind = random_kind(d, honest),
		.ops = FAULT_OP_ALL,
		.prefix = prefixes[dice_below(d, ARRAY_LEN(prefixes))],
		.err = errors[dice_below(d, ARRAY_LEN(errors))],
		.ms = delays[dice_below(d, ARRAY_LEN(delays))],
	};

	if (dice_one_in(d, 2))
		r.skip = dice_below(d, 60);
	if (dice_one_in(d, 3))
		r.times = 1 + dice_below(d, 5);
	/* each of these costs a deadline */
	if (r.ms >= 20000 && r.times == 0)
		r.times = 5;
	if (r.kind == FAULT_ERROR && dice_one_in(d, 2))
		r.ops = 1u << dice_below(d, 11);
	if (getenv("ATLAS_LOG"))
		fprintf(stderr,
			"rule %u: kind %d ops %u \"%s\" skip %llu times %llu "
			"err %d ms %llu\n",
			folder, r.kind, r.ops, r.prefix,
			(unsigned long long)r.skip, (unsigned long long)r.times,
			r.err, (unsigned long long)r.ms);
	atlas_rule(a, folder, r);
}

void atlas_random_rules(struct atlas *a, unsigned folder, bool honest)
{
	for (uint64_t n = dice_below(&a->dice, 4); n > 0; n--)
		random_rule(a, folder, honest);
}

/* ---- objects ---- */

struct listing {
	const char *prefix;
	struct atlas_objects *out;
	unsigned cap;
};

static void list_one(void *arg, const char *name, size_t len)
{
	struct listing *l = arg;
	struct atlas_objects *o = l->out;

	if (strncmp(name, l->prefix, strlen(l->prefix)) != 0)
		return;
	if (o->n == l->cap) {
		l->cap = 2 * l->cap + 16;
		o->at = reallocarray(o->at, l->cap, sizeof(*o->at));
		if (!o->at)
			abort();
	}
	snprintf(o->at[o->n].name, sizeof(o->at[0].name), "%s", name);
	o->at[o->n++].len = len;
}

static int by_name(const void *a, const void *b)
{
	const struct atlas_object *x = a, *y = b;

	return strcmp(x->name, y->name);
}

void atlas_list(unsigned folder, const char *prefix, struct atlas_objects *out)
{
	struct listing l = {prefix, out, 0};

	*out = (struct atlas_objects){0};
	sim_disk_each(folder, list_one, &l);
	if (out->n)
		qsort(out->at, out->n, sizeof(*out->at), by_name);
}

void atlas_list_release(struct atlas_objects *o)
{
	free(o->at);
	*o = (struct atlas_objects){0};
}

/* A copy to be changed; the caller frees. room: bytes more than it has. */
static uint8_t *grab(unsigned folder, const char *name, size_t room,
		     size_t *len)
{
	const uint8_t *data;
	uint8_t *copy;

	if (!sim_disk_peek(folder, name, &data, len))
		return NULL;
	copy = calloc(1, *len + room + 1);
	if (!copy)
		abort();
	memcpy(copy, data, *len);
	return copy;
}

void atlas_flip(unsigned folder, const char *name, uint64_t bit)
{
	size_t len;
	uint8_t *p = grab(folder, name, 0, &len);

	if (p && len > 0) {
		p[bit / 8 % len] ^= (uint8_t)(1u << (bit % 8));
		sim_disk_poke(folder, name, p, len);
	}
	free(p);
}

void atlas_copy_folder(unsigned from, unsigned to)
{
	struct sim_image *im = sim_image_take(), *swapped = sim_image_take();

	sim_image_swap(swapped, from, to);
	sim_image_mix(im, to, swapped);
	sim_image_load(im);
	sim_image_unref(im);
	sim_image_unref(swapped);
}

void atlas_empty_folder(unsigned folder)
{
	struct atlas_objects o;

	atlas_list(folder, "", &o);
	for (unsigned i = 0; i < o.n; i++)
		sim_disk_poke(folder, o.at[i].name, NULL, 0);
	atlas_list_release(&o);
}

/* ---- damage by dice ---- */

static void cut_or_grow(unsigned folder, const char *name, struct dice *d)
{
	size_t len, more = dice_below(d, 9000);
	uint8_t *p = grab(folder, name, more, &len);

	if (!p)
		return;
	if (dice_one_in(d, 2))
		len += more;
	else
		len = len ? dice_below(d, len) : 0;
	sim_disk_poke(folder, name, p, len);
	free(p);
}

static void zero_or_junk(unsigned folder, const char *name, struct dice *d)
{
	size_t len, from, n;
	uint8_t *p = grab(folder, name, 0, &len);
	bool zero = dice_one_in(d, 2);

	if (p && len > 0) {
		from = dice_below(d, len) / 512 * 512;
		n = 1 + dice_below(d, len - from);
		for (size_t i = from; i < from + n; i++)
			p[i] = zero ? 0 : (uint8_t)dice_roll(d);
		sim_disk_poke(folder, name, p, len);
	}
	free(p);
}

/* What was meant for one of them went to the other. */
static void exchange(unsigned folder, const char *x, const char *y)
{
	size_t x_len, y_len;
	uint8_t *px = grab(folder, x, 0, &x_len);
	uint8_t *py = grab(folder, y, 0, &y_len);

	if (px && py) {
		sim_disk_poke(folder, x, py, y_len);
		sim_disk_poke(folder, y, px, x_len);
	}
	free(px);
	free(py);
}

static void damage_one(unsigned folder, const struct atlas_objects *o,
		       struct dice *d)
{
	const char *name = o->at[dice_below(d, o->n)].name;

	switch (dice_below(d, 7)) {
	case 0:
	case 1:
		atlas_flip(folder, name, dice_roll(d) >> 1);
		break;
	case 2:
		cut_or_grow(folder, name, d);
		break;
	case 3:
		zero_or_junk(folder, name, d);
		break;
	case 4:
		exchange(folder, name, o->at[dice_below(d, o->n)].name);
		break;
	default:
		sim_disk_poke(folder, name, NULL, 0);
	}
}

static void damage_many(unsigned folder, struct dice *d)
{
	static const char *const prefixes[] = {
		"", "", "data/", "data/", "journal/", "index/", "mendfs."};
	struct atlas_objects o;
	uint64_t n;

	atlas_list(folder, prefixes[dice_below(d, ARRAY_LEN(prefixes))], &o);
	n = dice_one_in(d, 4) ? o.n : 1 + dice_below(d, 6);
	for (; o.n > 0 && n > 0; n--)
		damage_one(folder, &o, d);
	atlas_list_release(&o);
}

void atlas_random_damage(struct atlas *a, unsigned folder,
			 const struct sim_image *old)
{
	struct dice *d = &a->dice;
	struct sim_image *im;
	unsigned how = (unsigned)dice_below(d, 10);

	if (getenv("ATLAS_LOG"))
		fprintf(stderr, "damage %u: %u\n", folder, how);
	switch (how) {
	case 0:
		atlas_empty_folder(folder);
		break;
	case 1:
	case 2:
		im = sim_image_take();
		sim_image_mix(im, folder, old);
		sim_image_load(im);
		sim_image_unref(im);
		break;
	case 3:
		break;
	default:
		damage_many(folder, d);
	}
}
