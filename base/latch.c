/* SPDX-License-Identifier: Apache-2.0 */
#include "base/must.h"
#include "base/sync.h"

void latch_init(struct latch *l, uint32_t count)
{
	mutex_init(&l->mu);
	cond_init(&l->cv);
	l->count = count;
}

void latch_destroy(struct latch *l)
{
	cond_destroy(&l->cv);
	mutex_destroy(&l->mu);
}

/* Wakes under the lock: a waiter may destroy the latch once it has it. */
void latch_down(struct latch *l)
{
	MUTEX_GUARD(&l->mu);
	MUST(l->count > 0);
	if (--l->count == 0)
		cond_broadcast(&l->cv);
}

void latch_wait(struct latch *l)
{
	MUTEX_GUARD(&l->mu);
	while (l->count)
		cond_wait(&l->cv, &l->mu);
}

bool latch_wait_until(struct latch *l, uint64_t deadline_ns)
{
	MUTEX_GUARD(&l->mu);
	while (l->count) {
		if (!cond_wait_until(&l->cv, &l->mu, deadline_ns))
			return l->count == 0;
	}
	return true;
}
