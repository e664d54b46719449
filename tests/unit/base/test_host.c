/* SPDX-License-Identifier: Apache-2.0 */
#include "base_test.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/host.h"
#include "base/osfile.h"

static int be_honest(void **state)
{
	(void)state;
	host_replace(NULL);
	os_fail_at(0, 0, 0);
	return 0;
}

static void says_the_same_twice(void **state)
{
	struct host a, b;

	(void)state;
	host_get(&a);
	host_get(&b);
	assert_string_equal(a.machine, b.machine);
	assert_string_equal(a.boot, b.boot);
	assert_string_equal(a.name, b.name);
	assert_int_equal(a.pid, getpid());
	assert_int_equal(strlen(a.boot), 36);
	assert_int_equal(a.started, b.started);
	assert_true(a.started > 0);
}

static void can_pretend(void **state)
{
	struct host other = {.machine = "m",
			     .boot = "b",
			     .name = "n",
			     .pid = 4711,
			     .started = 12};
	struct host got;

	(void)state;
	host_replace(&other);
	host_get(&got);
	assert_memory_equal(&got, &other, sizeof(got));
	host_replace(NULL);
	host_get(&got);
	assert_int_equal(got.pid, getpid());
}

static void a_child_is_another_process(void **state)
{
	struct host mine, its;
	int status;
	pid_t pid;

	(void)state;
	host_get(&mine);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		host_get(&its);
		_exit(its.pid == getpid() && its.pid != mine.pid &&
				      strcmp(its.boot, mine.boot) == 0
			      ? 0
			      : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void a_process_is_seen_to_end(void **state)
{
	struct host_process p = {.dead = true};
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0)
		for (;;)
			pause();
	assert_int_equal(host_process(pid, &p), 0);
	assert_false(p.dead);
	assert_false(p.stuck);
	assert_true(p.started > 0);
	assert_true(strlen(p.name) > 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	/* Ended, but its number is not free yet. */
	assert_int_equal(waitid(P_PID, (id_t)pid, NULL, WEXITED | WNOWAIT), 0);
	assert_int_equal(host_process(pid, &p), -ESRCH);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(host_process(pid, &p), -ESRCH);
}

static void strange_numbers(void **state)
{
	struct host_process p;

	(void)state;
	assert_int_equal(host_process(0, &p), -ESRCH);
	assert_int_equal(host_process(-1, &p), -ESRCH);
	assert_int_equal(host_process(0x7fffffff, &p), -ESRCH);
}

/* What is not known must not be taken for absence. */
static void trouble_is_not_absence(void **state)
{
	struct host_process p;

	(void)state;
	os_fail_at(1, EMFILE, 1);
	assert_int_equal(host_process(getpid(), &p), -EMFILE);
	os_fail_at(0, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(says_the_same_twice, be_honest),
		cmocka_unit_test_setup(can_pretend, be_honest),
		cmocka_unit_test_setup(a_child_is_another_process, be_honest),
		cmocka_unit_test_setup(a_process_is_seen_to_end, be_honest),
		cmocka_unit_test_setup(strange_numbers, be_honest),
		cmocka_unit_test_setup_teardown(trouble_is_not_absence,
						be_honest, be_honest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
