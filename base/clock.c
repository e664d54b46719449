/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <stdatomic.h>
#include <stddef.h>
#include <time.h>

#include "base/must.h"

static _Atomic(const struct clock_source *) replacement;

static int64_t system_ns(clockid_t id)
{
	struct timespec ts;

	MUST(clock_gettime(id, &ts) == 0);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

uint64_t clock_mono_ns(void)
{
	const struct clock_source *s = atomic_load(&replacement);

	return s ? s->mono_ns(s->arg) : (uint64_t)system_ns(CLOCK_MONOTONIC);
}

uint64_t clock_boot_ns(void)
{
	const struct clock_source *s = atomic_load(&replacement);

	return s ? s->mono_ns(s->arg) : (uint64_t)system_ns(CLOCK_BOOTTIME);
}

int64_t clock_real_ns(void)
{
	const struct clock_source *s = atomic_load(&replacement);

	return s ? s->real_ns(s->arg) : system_ns(CLOCK_REALTIME);
}

void clock_replace(const struct clock_source *source)
{
	atomic_store(&replacement, source);
}

bool clock_is_replaced(void)
{
	return atomic_load(&replacement) != NULL;
}
