/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - one line per event, key=value, once, where it is detected.
 *
 * Never carries names, contents or keys of the user's data above LOG_DEBUG.
 * Sinks: standard error (default), syslog, or a callback (tests). Thread-safe.
 * A line longer than 1 KiB is cut.
 */
#ifndef MENDFS_BASE_LOG_H
#define MENDFS_BASE_LOG_H

enum log_level {
	LOG_LVL_ERROR,
	LOG_LVL_WARN,
	LOG_LVL_INFO,
	LOG_LVL_DEBUG
};

/* Lines above `level` are dropped. Default LOG_LVL_WARN. */
void log_set_level(enum log_level level);

/* "error", "warn", "info", "debug" -> level; -EINVAL for anything else. */
int log_level_parse(const char *text);

/* Sends lines to syslog(LOG_DAEMON) instead of standard error. */
void log_use_syslog(void);

/*
 * Sends lines to `sink` (no newline at their end); NULL: back to stderr. The
 * sink gets one line at a time, must not log itself, and is not called any
 * more once this has returned.
 */
void log_use_sink(void (*sink)(void *arg, enum log_level level,
			       const char *line),
		  void *arg);

/*
 * log_event(LOG_LVL_WARN, "backend_down", "backend=%u rc=%s", i, name) gives
 * level=warn event=backend_down backend=1 rc=EIO. fmt may be "". Control
 * characters become '?'. Keeps errno.
 */
void log_event(enum log_level level, const char *event, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
