/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.h - time. The monotonic clock drives every timer; the real clock only
 * becomes file time stamps and messages, never an order. Both can be replaced
 * by a test (process-wide).
 */
#ifndef MENDFS_BASE_CLOCK_H
#define MENDFS_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t clock_mono_ns(void);
static inline uint64_t clock_mono_ms(void)
{
	return clock_mono_ns() / 1000000;
}
/*
 * The same, but it also counts while the machine sleeps (CLOCK_BOOTTIME): for
 * what must not outlive a suspend. Conditions do not wait on it. Where a test
 * has replaced the clocks it is clock_mono_ns().
 */
uint64_t clock_boot_ns(void);
/* Nanoseconds since 1970, CLOCK_REALTIME; may jump, may be negative. */
int64_t clock_real_ns(void);

struct clock_source {
	uint64_t (*mono_ns)(void *arg);
	int64_t (*real_ns)(void *arg);
	void *arg;
};
/* NULL: back to the system's clocks. The struct must outlive its use. */
void clock_replace(const struct clock_source *source);
/* True while a source is in place: timed waits then look at it often. */
bool clock_is_replaced(void);

#endif
