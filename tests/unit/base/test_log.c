/* SPDX-License-Identifier: Apache-2.0 */
#include "base_test.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

#define WRITERS 4
#define LINES	50

struct caught {
	unsigned lines;
	enum log_level level;
	char text[4096];
};

static void catch_line(void *arg, enum log_level level, const char *line)
{
	struct caught *c = arg;

	errno = ERANGE;
	c->lines++;
	c->level = level;
	snprintf(c->text, sizeof(c->text), "%s", line);
}

static int reset_log(void **state)
{
	(void)state;
	log_use_sink(NULL, NULL);
	log_set_level(LOG_LVL_WARN);
	return 0;
}

static void line_names_level_and_event(void **state)
{
	struct caught c = {0};

	(void)state;
	log_use_sink(catch_line, &c);
	log_event(LOG_LVL_WARN, "backend_down", "backend=%u rc=%s", 3, "EIO");
	assert_int_equal(c.lines, 1);
	assert_int_equal(c.level, LOG_LVL_WARN);
	assert_string_equal(c.text,
			    "level=warn event=backend_down backend=3 rc=EIO");
	log_event(LOG_LVL_ERROR, "stopped", "%s", "");
	assert_string_equal(c.text, "level=error event=stopped ");
}

static void levels_above_the_limit_are_dropped(void **state)
{
	struct caught c = {0};

	(void)state;
	log_use_sink(catch_line, &c);
	log_event(LOG_LVL_INFO, "quiet", "a=1");
	assert_int_equal(c.lines, 0);
	log_set_level(LOG_LVL_DEBUG);
	log_event(LOG_LVL_DEBUG, "loud", "a=1");
	assert_int_equal(c.lines, 1);
	log_set_level(LOG_LVL_ERROR);
	log_event(LOG_LVL_WARN, "quiet", "a=1");
	assert_int_equal(c.lines, 1);
}

static void level_names_are_parsed(void **state)
{
	(void)state;
	assert_int_equal(log_level_parse("error"), LOG_LVL_ERROR);
	assert_int_equal(log_level_parse("warn"), LOG_LVL_WARN);
	assert_int_equal(log_level_parse("info"), LOG_LVL_INFO);
	assert_int_equal(log_level_parse("debug"), LOG_LVL_DEBUG);
	assert_int_equal(log_level_parse(""), -EINVAL);
	assert_int_equal(log_level_parse("warning"), -EINVAL);
	assert_int_equal(log_level_parse("WARN"), -EINVAL);
}

static void long_lines_are_cut_to_a_kibibyte(void **state)
{
	struct caught c = {0};
	char text[3000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_use_sink(catch_line, &c);
	log_event(LOG_LVL_WARN, "long", "%s", text);
	assert_int_equal(strlen(c.text), 1024);
	log_event(LOG_LVL_WARN, text, "a=1");
	assert_int_equal(strlen(c.text), 1024);
}

static void a_value_cannot_start_a_second_line(void **state)
{
	struct caught c = {0};

	(void)state;
	log_use_sink(catch_line, &c);
	log_event(LOG_LVL_WARN, "odd", "a=%s", "1\nevent=forged\x1b\x7f");
	assert_string_equal(c.text, "level=warn event=odd a=1?event=forged??");
}

static void errno_is_kept(void **state)
{
	struct caught c = {0};

	(void)state;
	log_use_sink(catch_line, &c);
	errno = EXDEV;
	log_event(LOG_LVL_WARN, "any", "a=1");
	assert_int_equal(errno, EXDEV);
	log_event(LOG_LVL_DEBUG, "dropped", "a=1");
	assert_int_equal(errno, EXDEV);
}

/* Everything stderr received while fn ran, as one string. */
static char *stderr_of(void (*fn)(void))
{
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO);
	char *text = mem_zalloc(1 << 16);

	assert_non_null(file);
	assert_non_null(text);
	assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
	fn();
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
	assert_true(pread(fileno(file), text, (1 << 16) - 1, 0) >= 0);
	fclose(file);
	return text;
}

static void log_one(void)
{
	log_event(LOG_LVL_WARN, "one", "a=%d", 1);
}

static void default_is_stderr(void **state)
{
	AUTO_FREE char *text = stderr_of(log_one);

	(void)state;
	assert_string_equal(text, "mendfs: level=warn event=one a=1\n");
}

static void syslog_leaves_stderr_alone(void **state)
{
	AUTO_FREE char *text = NULL;

	(void)state;
	log_use_syslog();
	text = stderr_of(log_one);
	assert_string_equal(text, "");
}

static void *log_many(void *arg)
{
	for (int i = 0; i < LINES; i++)
		log_event(LOG_LVL_WARN, "many", "a=%s", (const char *)arg);
	return NULL;
}

static char many_text[200];

static void log_from_threads(void)
{
	pthread_t thread[WRITERS];

	memset(many_text, 'y', sizeof(many_text) - 1);
	for (int i = 0; i < WRITERS; i++) {
		assert_int_equal(pthread_create(&thread[i], NULL, log_many,
						many_text),
				 0);
	}
	for (int i = 0; i < WRITERS; i++)
		pthread_join(thread[i], NULL);
}

static void lines_of_threads_do_not_mix(void **state)
{
	AUTO_FREE char *text = stderr_of(log_from_threads);
	char want[300];
	char *rest = NULL;
	int lines = 0;

	(void)state;
	snprintf(want, sizeof(want), "mendfs: level=warn event=many a=%s",
		 many_text);
	for (char *line = strtok_r(text, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		assert_string_equal(line, want);
		lines++;
	}
	assert_int_equal(lines, WRITERS * LINES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(line_names_level_and_event,
					  reset_log),
		cmocka_unit_test_teardown(levels_above_the_limit_are_dropped,
					  reset_log),
		cmocka_unit_test_teardown(level_names_are_parsed, reset_log),
		cmocka_unit_test_teardown(long_lines_are_cut_to_a_kibibyte,
					  reset_log),
		cmocka_unit_test_teardown(a_value_cannot_start_a_second_line,
					  reset_log),
		cmocka_unit_test_teardown(errno_is_kept, reset_log),
		cmocka_unit_test_teardown(default_is_stderr, reset_log),
		cmocka_unit_test_teardown(syslog_leaves_stderr_alone,
					  reset_log),
		cmocka_unit_test_teardown(lines_of_threads_do_not_mix,
					  reset_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
