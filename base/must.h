/* SPDX-License-Identifier: Apache-2.0 */
/*
 * must.h - what a correct program cannot do: MUST(condition).
 *
 * For programmer's errors only (a null mutex, a count below zero). Always on,
 * so the condition has to be cheap. What comes from a disk, a user or the
 * network is never checked with it: that gets an error code.
 */
#ifndef MENDFS_BASE_MUST_H
#define MENDFS_BASE_MUST_H

/* Aborts with the place and the condition's text when cond is false. */
#define MUST(cond)        \
	((cond) ? (void)0 \
		: must_fail_(__FILE_NAME__, __LINE__, __func__, #cond))

_Noreturn void must_fail_(const char *file, int line, const char *func,
			  const char *cond);

#endif
