/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thread.h - how workq.c and ticker.c start and end a thread; nobody else does.
 */
#ifndef MENDFS_BASE_THREAD_H
#define MENDFS_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Starts run(arg), shown by the system as the first 15 bytes of name, with
 * every signal blocked that the main thread may want to see. 0 or -EAGAIN.
 */
int thread_start(const char *name, void *(*run)(void *), void *arg,
		 pthread_t *out);

/* Waits for its end. Once, and not by itself. */
void thread_join(pthread_t t);
/* Nobody will join it. */
void thread_detach(pthread_t t);
bool thread_is_self(pthread_t t);

/*
 * Test seam: the n-th start from now on (1 = the next) is refused, with
 * `forever` all later ones too; n = 0: off. Process-wide.
 */
void thread_fail_at(uint64_t n, int forever);

#endif
