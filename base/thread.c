/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "base/fail_seam.h"
#include "base/mem.h"
#include "base/must.h"

#define NAME_SIZE 16 /* of the kernel, with the zero */

/* A fault in a thread must still be reported where it happens. */
static const int never_blocked[] = {SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
				    SIGABRT, SIGTRAP, SIGSYS, SIGPROF};

static struct fail_seam seam;

void thread_fail_at(uint64_t n, int forever)
{
	fail_seam_set(&seam, n, EAGAIN, forever);
}

static void block_signals(sigset_t *old)
{
	sigset_t set;

	sigfillset(&set);
	for (size_t i = 0; i < ARRAY_LEN(never_blocked); i++)
		sigdelset(&set, never_blocked[i]);
	MUST(pthread_sigmask(SIG_BLOCK, &set, old) == 0);
}

int thread_start(const char *name, void *(*run)(void *), void *arg,
		 pthread_t *out)
{
	char shown[NAME_SIZE];
	sigset_t old;
	int err;

	if (fail_seam_hit(&seam))
		return -EAGAIN;
	/* The new thread inherits the mask: it never runs without it. */
	block_signals(&old);
	err = pthread_create(out, NULL, run, arg);
	MUST(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
	if (err)
		return -EAGAIN;
	snprintf(shown, sizeof(shown), "%s", name);
	(void)pthread_setname_np(*out, shown);
	return 0;
}

void thread_join(pthread_t t)
{
	MUST(pthread_join(t, NULL) == 0);
}

void thread_detach(pthread_t t)
{
	MUST(pthread_detach(t) == 0);
}

bool thread_is_self(pthread_t t)
{
	return pthread_equal(pthread_self(), t) != 0;
}
