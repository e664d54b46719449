/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base_test.h - what the tests of base/ share.
 */
#ifndef MENDFS_TESTS_BASE_TEST_H
#define MENDFS_TESTS_BASE_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

/* Longer than any machine needs, shorter than ctest's patience. */
#define PATIENCE_NS (20 * 1000000000ULL)

static inline uint64_t patience_deadline(void)
{
	return clock_mono_ns() + PATIENCE_NS;
}

/* MENDFS_TEST_SEED or a constant; printed, so that a failure can be redone. */
static inline uint64_t test_seed(void)
{
	const char *text = getenv("MENDFS_TEST_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : 20261120;

	printf("MENDFS_TEST_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

/* Does fn() end its process with SIGABRT? */
static inline bool aborts(void (*fn)(void))
{
	int status = 0;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		/* cmocka would turn the signal into a failed test. */
		signal(SIGABRT, SIG_DFL);
		if (!freopen("/dev/null", "w", stderr))
			_exit(2);
		fn();
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

#endif
