/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Points and rules: F1 and F2 of drv_fault.c.
 */
#include "backend/drv_fault_impl.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

static const unsigned kind_ops[FAULT_KINDS] = {
	[FAULT_ERROR] = FAULT_OP_ALL,
	[FAULT_DELAY] = FAULT_OP_ALL,
	[FAULT_HANG] = FAULT_OP_ALL,
	[FAULT_TORN] = FAULT_OP_WRITE,
	[FAULT_BITROT] = FAULT_OP_READ,
	[FAULT_LOST_SYNC] = FAULT_OP_SYNC,
	[FAULT_VANISH] = FAULT_OP_ALL & ~FAULT_OP_ATTACH,
	[FAULT_FULL] = FAULT_OP_WRITE | FAULT_OP_CREATE | FAULT_OP_USAGE,
};

static struct mutex points_mu = {PTHREAD_MUTEX_INITIALIZER};
static LIST_HEAD(fault_point_list,
		 fault_point) points = LIST_HEAD_INITIALIZER(points);

/* ---- points ---- */

static struct fault_point *point_find_locked(const char *location)
{
	struct fault_point *p;

	LIST_FOREACH (p, &points, link) {
		if (strcmp(p->location, location) == 0)
			return p;
	}
	return NULL;
}

struct fault_point *fault_point_find(const char *location)
{
	MUTEX_GUARD(&points_mu);
	return point_find_locked(location);
}

/* The point of the location, made if need be; NULL: no memory. */
struct fault_point *fault_point_get(const char *location)
{
	size_t size = strlen(location) + 1;
	struct fault_point *p;

	MUTEX_GUARD(&points_mu);
	p = point_find_locked(location);
	if (p != NULL)
		return p;
	p = mem_zalloc(sizeof(*p) + size);
	if (p == NULL)
		return NULL;
	memcpy(p->location, location, size);
	mutex_init(&p->mu);
	cond_init(&p->cleared);
	TAILQ_INIT(&p->rules);
	TAILQ_INIT(&p->undos);
	LIST_INSERT_HEAD(&points, p, link);
	return p;
}

/* ---- rules ---- */

int fault_add(const char *location, const struct fault_rule *rule)
{
	size_t size = strlen(rule->prefix) + 1;
	struct fault_point *p;
	struct fault_armed *r;

	if (strncmp(location, FAULT_PREFIX, strlen(FAULT_PREFIX)) != 0 ||
	    (unsigned)rule->kind >= FAULT_KINDS ||
	    (rule->ops & kind_ops[rule->kind]) == 0 ||
	    (rule->kind == FAULT_ERROR && rule->err <= 0))
		return -EINVAL;
	p = fault_point_get(location);
	r = mem_zalloc(sizeof(*r) + size);
	if (p == NULL || r == NULL) {
		mem_free(r);
		return -ENOMEM;
	}
	memcpy(r->prefix, rule->prefix, size);
	r->r = *rule;
	r->r.prefix = r->prefix;
	r->r.ops &= kind_ops[rule->kind];
	mutex_lock(&p->mu);
	TAILQ_INSERT_TAIL(&p->rules, r, link);
	mutex_unlock(&p->mu);
	return 0;
}

void fault_clear(const char *location)
{
	struct fault_point *p = fault_point_find(location);
	struct fault_armed *r;

	if (p == NULL)
		return;
	MUTEX_GUARD(&p->mu);
	while ((r = TAILQ_FIRST(&p->rules)) != NULL) {
		TAILQ_REMOVE(&p->rules, r, link);
		mem_free(r);
	}
	p->hits = 0;
	p->clears++;
	cond_broadcast(&p->cleared);
}

uint64_t fault_hits(const char *location)
{
	struct fault_point *p = fault_point_find(location);

	if (p == NULL)
		return 0;
	MUTEX_GUARD(&p->mu);
	return p->hits;
}

bool fault_covers(const struct fault_armed *r, const char *name)
{
	return name != NULL && strncmp(name, r->prefix, strlen(r->prefix)) == 0;
}

/* Is this call one of the rule's, and its turn? */
static bool rule_hits(struct fault_armed *r)
{
	uint64_t n = r->seen++;

	if (n < r->r.skip)
		return false;
	return r->r.times == 0 || n - r->r.skip < r->r.times;
}

static void add_effect(struct fault_effect *e, const struct fault_rule *r)
{
	int rc = 0;

	switch (r->kind) {
	case FAULT_ERROR:
		rc = -r->err;
		break;
	case FAULT_VANISH:
		rc = -ENOENT;
		break;
	case FAULT_DELAY:
		e->ms += r->ms;
		break;
	case FAULT_HANG:
		e->hang = true;
		break;
	case FAULT_TORN:
		e->torn = true;
		break;
	case FAULT_BITROT:
		e->bitrot = true;
		break;
	case FAULT_LOST_SYNC:
		e->lost = true;
		break;
	case FAULT_FULL:
		e->full = true;
		break;
	case FAULT_KINDS:
		break;
	}
	if (e->rc == 0)
		e->rc = rc;
}

static struct fault_effect collect(struct fault_point *p,
				   const struct fault_call *c)
{
	struct fault_effect e = {0};
	bool hit = false;
	struct fault_armed *r;

	MUTEX_GUARD(&p->mu);
	TAILQ_FOREACH (r, &p->rules, link) {
		if ((r->r.ops & c->op) == 0 ||
		    (!fault_covers(r, c->name) && !fault_covers(r, c->name2)) ||
		    (c->only_lost_sync && r->r.kind != FAULT_LOST_SYNC) ||
		    !rule_hits(r))
			continue;
		hit = true;
		add_effect(&e, &r->r);
	}
	p->hits += hit;
	e.clears = p->clears;
	return e;
}

/* On the clock of clock.h, as everybody's deadlines are. */
static void wait_ms(struct fault_point *p, uint64_t ms)
{
	uint64_t until = clock_mono_ns() + ms * 1000000;

	MUTEX_GUARD(&p->mu);
	while (cond_wait_until(&p->cleared, &p->mu, until))
		;
}

static void wait_cleared(struct fault_point *p, uint64_t clears)
{
	MUTEX_GUARD(&p->mu);
	while (p->clears == clears)
		cond_wait(&p->cleared, &p->mu);
}

struct fault_effect fault_consult_call(struct fault_point *p,
				       const struct fault_call *c)
{
	struct fault_effect e = collect(p, c);

	if (e.ms > 0)
		wait_ms(p, e.ms);
	if (e.hang)
		wait_cleared(p, e.clears);
	if (e.full && (c->op & (FAULT_OP_WRITE | FAULT_OP_CREATE)) && e.rc == 0)
		e.rc = -ENOSPC;
	return e;
}

struct fault_effect fault_consult(struct fault_point *p, unsigned op,
				  const char *name)
{
	return fault_consult_call(p,
				  &(struct fault_call){.op = op, .name = name});
}
