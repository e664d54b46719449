/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket: answers, ill requests, waiting for the end. */
#include "posix/posix_kit.h"

#include <dirent.h>
#include <jansson.h>
#include <pthread.h>
#include <sys/socket.h>

#include "fs/control.h"
#include "fs/control_path.h"
#include "fs/control_status.h"

#define MAJOR 4095 /* no mount has it */

struct world {
	struct kit kit;
	struct control *c;
	unsigned minor;
	int sync_calls;
	int sync_rc;
};

static int on_sync(void *arg)
{
	struct world *w = arg;

	w->sync_calls++;
	return w->sync_rc;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct control_options o = {.mountpoint = "/mnt/\xff point",
				    .major = MAJOR,
				    .sync = on_sync,
				    .arg = w};
	struct diag d = DIAG_INIT;

	assert_non_null(w);
	w->minor = (unsigned)getpid();
	kit_make(&w->kit);
	kit_open(&w->kit);
	o.v = w->kit.v;
	o.minor = w->minor;
	kit_ok(control_start(&o, &d, &w->c), d.text);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	control_quiesce(w->c);
	control_finish(w->c, 0);
	kit_close(&w->kit);
	kit_end(&w->kit);
	free(w);
	return 0;
}

static int dial(struct world *w)
{
	int fd = control_path_connect(MAJOR, w->minor, geteuid());

	kit_ok(fd, "connect");
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL),
			 (ssize_t)strlen(text));
}

/* The next line as JSON; NULL at the end of the connection. */
static json_t *hear(int fd)
{
	char line[1 << 14];
	size_t len = 0;

	while (len < sizeof(line) && recv(fd, line + len, 1, 0) == 1)
		if (line[len++] == '\n')
			return json_loadb(line, len, 0, NULL);
	return NULL;
}

static json_t *ask(struct world *w, const char *text)
{
	int fd = dial(w);
	json_t *j;

	say(fd, text);
	j = hear(fd);
	assert_non_null(j);
	assert_null(hear(fd)); /* one answer, and the end */
	close(fd);
	return j;
}

static void assert_error(json_t *j, const char *code)
{
	assert_true(json_is_false(json_object_get(j, "ok")));
	assert_string_equal(json_string_value(json_object_get(j, "error")),
			    code);
	assert_true(json_is_string(json_object_get(j, "message")));
	json_decref(j);
}

static void ping(void **state)
{
	json_t *j = ask(*state, "{\"command\":\"ping\"}\n");

	assert_true(json_is_true(json_object_get(j, "ok")));
	assert_int_equal(json_integer_value(json_object_get(j, "pid")),
			 getpid());
	json_decref(j);
}

static void ill_requests(void **state)
{
	static const char *const ill[] = {
		"\n",
		"{\n",
		"[]\n",
		"{\"command\":7}\n",
		"{\"command\":\"\"}\n",
		"{\"command\":\"nonsense\"}\n",
		"{\"command\":\"ping\",\"command\":\"ping\"}\n",
		"ping\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(ill); i++)
		assert_error(ask(*state, ill[i]), "ERR_USAGE");
	ping(state);
}

static void long_line(void **state)
{
	char line[CONTROL_LINE_MAX + 1];
	int fd = dial(*state);

	memset(line, 'x', sizeof(line));
	(void)send(fd, line, sizeof(line), MSG_NOSIGNAL);
	assert_error(hear(fd), "EMSGSIZE");
	close(fd);
	ping(state);
}

/* Just short enough, and in two pieces. */
static void longest_line(void **state)
{
	char line[CONTROL_LINE_MAX + 1];
	int fd = dial(*state);
	json_t *j;

	snprintf(line, sizeof(line), "%-*s{\"command\":\"ping\"}\n",
		 CONTROL_LINE_MAX - 19, "");
	assert_int_equal(strlen(line), CONTROL_LINE_MAX);
	assert_int_equal(send(fd, line, 10, 0), 10);
	say(fd, line + 10);
	j = hear(fd);
	assert_true(json_is_true(json_object_get(j, "ok")));
	json_decref(j);
	close(fd);
}

static void half_a_line(void **state)
{
	for (int i = 0; i < 20; i++) {
		int fd = dial(*state);

		say(fd, "{\"comm");
		close(fd);
	}
	ping(state);
}

static void status_keys(void **state)
{
	static const char *const keys[] = {
		"ok",	    "version",	   "pid",      "mountpoint",
		"state",    "read_only",   "error",    "pool",
		"epoch",    "durable_seq", "geometry", "redundancy",
		"backends", "space",	   "segments", "cache",
		"journal",  "checkpoint",  "lease",    "index",
	};
	json_t *j = ask(*state, "{\"command\":\"status\"}\n"), *b, *r;

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		assert_non_null(json_object_get(j, keys[i]));
	assert_int_equal(json_object_size(j), ARRAY_LEN(keys));
	assert_string_equal(json_string_value(json_object_get(j, "state")),
			    "healthy");
	assert_string_equal(json_string_value(json_object_get(j, "mountpoint")),
			    "/mnt/? point");
	b = json_object_get(j, "backends");
	assert_int_equal(json_array_size(b), KIT_FOLDERS);
	r = json_object_get(j, "redundancy");
	assert_int_equal(json_integer_value(json_object_get(r, "promised")), 2);
	assert_int_equal(json_integer_value(json_object_get(r, "current")), 2);
	json_decref(j);
}

static void sync_and_its_error(void **state)
{
	struct world *w = *state;
	json_t *j = ask(w, "{\"command\":\"sync\"}\n");

	assert_true(json_is_true(json_object_get(j, "ok")));
	json_decref(j);
	w->sync_rc = -ERR_STICKY;
	assert_error(ask(w, "{\"command\":\"sync\"}\n"), "ERR_STICKY");
	assert_int_equal(w->sync_calls, 2);
}

/* Several clients at the same time, each with its own connections. */
static void *ask_often(void *arg)
{
	for (int i = 0; i < 50; i++)
		json_decref(ask(arg, i % 2 ? "{\"command\":\"ping\"}\n"
					   : "{\"command\":\"status\"}\n"));
	return NULL;
}

static void many_at_once(void **state)
{
	pthread_t t[8];

	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		assert_int_equal(pthread_create(&t[i], NULL, ask_often, *state),
				 0);
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		pthread_join(t[i], NULL);
}

/* Those who wait hold no thread: there may be more of them than threads. */
static void wait_for_the_end(void **state)
{
	struct world *w = *state;
	int fd[10];

	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		json_t *j;

		fd[i] = dial(w);
		say(fd[i], "{\"command\":\"wait\"}\n");
		j = hear(fd[i]);
		assert_true(json_is_true(json_object_get(j, "ok")));
		json_decref(j);
	}
	ping(state);
	control_quiesce(w->c);
	assert_true(control_path_connect(MAJOR, w->minor, geteuid()) < 0);
	control_finish(w->c, -EIO);
	w->c = NULL;
	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		json_t *j = hear(fd[i]);

		assert_true(json_is_true(json_object_get(j, "closed")));
		assert_string_equal(
			json_string_value(json_object_get(j, "error")), "EIO");
		json_decref(j);
		close(fd[i]);
	}
}

/* A client that is gone when it would be told keeps nobody. */
static void waiter_gone(void **state)
{
	struct world *w = *state;
	int fd = dial(w);

	say(fd, "{\"command\":\"wait\"}\n");
	json_decref(hear(fd));
	close(fd);
	control_quiesce(w->c);
	control_finish(w->c, 0);
	w->c = NULL;
}

static unsigned open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Many of them, one after another, take nothing away for good. */
static void gone_waiters_are_forgotten(void **state)
{
	unsigned before = open_files();

	for (int i = 0; i < 100; i++) {
		int fd = dial(*state);

		say(fd, "{\"command\":\"wait\"}\n");
		json_decref(hear(fd));
		close(fd);
	}
	ping(state);
	assert_in_range(open_files(), 0, before + 20);
}

int main(void)
{
#define WORLD(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		WORLD(ping),
		WORLD(ill_requests),
		WORLD(long_line),
		WORLD(longest_line),
		WORLD(half_a_line),
		WORLD(status_keys),
		WORLD(sync_and_its_error),
		WORLD(many_at_once),
		WORLD(wait_for_the_end),
		WORLD(waiter_gone),
		WORLD(gone_waiters_are_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
