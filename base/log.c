/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line is put together on the caller's stack and leaves in one write(2), so
 * that lines of several threads do not mix and a blocked terminal holds up
 * nobody but the one who logs. Only a test's callback runs under the lock: it
 * gets one line at a time, and none after log_use_sink has replaced it.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sync.h"

#define LINE_MAX_BYTES 1024

static const char *const level_name[] = {
	[LOG_LVL_ERROR] = "error",
	[LOG_LVL_WARN] = "warn",
	[LOG_LVL_INFO] = "info",
	[LOG_LVL_DEBUG] = "debug",
};

static const int level_priority[] = {
	[LOG_LVL_ERROR] = LOG_ERR,
	[LOG_LVL_WARN] = LOG_WARNING,
	[LOG_LVL_INFO] = LOG_INFO,
	[LOG_LVL_DEBUG] = LOG_DEBUG,
};

static atomic_int max_level = LOG_LVL_WARN;

static struct mutex target_lock = MUTEX_INIT;
static void (*target_sink)(void *arg, enum log_level level, const char *line);
static void *target_arg;
static bool target_syslog;

void log_set_level(enum log_level level)
{
	atomic_store(&max_level, (int)level);
}

int log_level_parse(const char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(level_name); i++) {
		if (strcmp(text, level_name[i]) == 0)
			return (int)i;
	}
	return -EINVAL;
}

void log_use_syslog(void)
{
	MUTEX_GUARD(&target_lock);
	openlog("mendfs", LOG_PID, LOG_DAEMON);
	target_sink = NULL;
	target_syslog = true;
}

void log_use_sink(void (*sink)(void *arg, enum log_level level,
			       const char *line),
		  void *arg)
{
	MUTEX_GUARD(&target_lock);
	target_sink = sink;
	target_arg = arg;
	target_syslog = false;
}

/* True: the callback has taken the line. */
static bool sent_to_sink(enum log_level level, const char *line,
			 bool *syslog_out)
{
	MUTEX_GUARD(&target_lock);
	*syslog_out = target_syslog;
	if (target_sink)
		target_sink(target_arg, level, line);
	return target_sink != NULL;
}

static void send_to_stderr(const char *line)
{
	static const char prefix[] = "mendfs: ";
	char out[sizeof(prefix) + LINE_MAX_BYTES + 1];
	int n = snprintf(out, sizeof(out), "%s%s\n", prefix, line);

	/* Nobody is left to be told that stderr is closed. */
	if (n > 0 && write(STDERR_FILENO, out, (size_t)n) < 0)
		return;
}

static void send_line(enum log_level level, const char *line)
{
	bool to_syslog;

	if (sent_to_sink(level, line, &to_syslog))
		return;
	if (to_syslog)
		syslog(level_priority[level], "%s", line);
	else
		send_to_stderr(line);
}

/* A value with a newline in it must not look like a second event. */
static void make_printable(char *line)
{
	for (unsigned char *p = (unsigned char *)line; *p; p++) {
		if (*p < 0x20 || *p == 0x7f)
			*p = '?';
	}
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES + 1];
	int saved_errno = errno;
	size_t used;
	va_list ap;
	int n;

	if ((int)level > atomic_load(&max_level))
		return;
	n = snprintf(line, sizeof(line), "level=%s event=%s%s",
		     level_name[level], event, *fmt ? " " : "");
	used = MIN((size_t)MAX(n, 0), sizeof(line) - 1);
	va_start(ap, fmt);
	if (vsnprintf(line + used, sizeof(line) - used, fmt, ap) < 0)
		line[used] = '\0';
	va_end(ap);
	make_printable(line);
	send_line(level, line);
	errno = saved_errno;
}
