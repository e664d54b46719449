/* SPDX-License-Identifier: Apache-2.0 */
/* Places, counts, failures (see report.h). */
#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define LINES 40
#define WIDTH 240

static struct report *mine;
static char lines[LINES][WIDTH];
static unsigned line_count;
static bool loud;

void report_use(struct report *r)
{
	mine = r;
}

struct tally *report_tally(void)
{
	return &mine->tally;
}

void report_at(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(mine->spec, sizeof(mine->spec), fmt, ap);
	va_end(ap);
	line_count = 0;
	if (loud)
		fprintf(stderr, "---- %s\n", mine->spec);
}

void report_fail(const char *fmt, ...)
{
	unsigned first = line_count > LINES ? line_count - LINES : 0;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(mine->failure, sizeof(mine->failure), fmt, ap);
	va_end(ap);
	for (unsigned i = first; i < line_count && !loud; i++)
		fprintf(stderr, "  log: %s\n", lines[i % LINES]);
	_exit(1);
}

static void keep_line(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	/* The process is about to abort. */
	if (strstr(line, "event=nonce_repeated"))
		snprintf(mine->failure, sizeof(mine->failure), "I %s", line);
	if (loud)
		fprintf(stderr, "  %s\n", line);
	snprintf(lines[line_count++ % LINES], WIDTH, "%s", line);
}

void report_log(bool verbose)
{
	loud = verbose;
	log_set_level(verbose ? LOG_LVL_DEBUG : LOG_LVL_INFO);
	log_use_sink(keep_line, NULL);
}

void report_print_tally(const struct tally *t)
{
#define TALLY_PRINT_(name, text) \
	printf("  %10llu %s\n", (unsigned long long)t->name, text);
	TALLY_TABLE(TALLY_PRINT_)
#undef TALLY_PRINT_
}

void report_add_tally(struct tally *sum, const struct tally *t)
{
#define TALLY_ADD_(name, text) sum->name += t->name;
	TALLY_TABLE(TALLY_ADD_)
#undef TALLY_ADD_
}
