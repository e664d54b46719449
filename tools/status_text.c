/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/status_text.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "tools/cli.h"
#include "tools/units.h"

#define RED    "\033[31m"
#define GREEN  "\033[32m"
#define YELLOW "\033[33m"
#define PLAIN  "\033[0m"

/* ---- reading ---- */

static const char *text(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "?";
}

static json_int_t number(const json_t *j, const char *key)
{
	return json_integer_value(json_object_get(j, key));
}

static const json_t *part(const json_t *j, const char *key)
{
	return json_object_get(j, key);
}

/* A size under its key; several can be in use in one statement. */
struct size_text {
	char buf[UNITS_TEXT];
};
#define SIZE(j, key)                             \
	units_size((uint64_t)number((j), (key)), \
		   (struct size_text){.buf = ""}.buf)

/* ---- words ---- */

static const struct {
	const char *state, *colour, *meaning;
} states[] = {
	{"healthy", GREEN, "healthy"},
	{"degraded", YELLOW, "degraded: works, with less redundancy"},
	{"unprotected", RED, "unprotected: the next loss may cost data"},
	{"error", RED, "error: read-only until mounted again"},
	{"fenced", RED, "fenced: another mount has taken over, unmount"},
	{"lapsed", RED, "lapsed: fsync fails until the lease is renewed"},
	{"diverged", RED, "diverged: two histories, one of them is shown"},
	{"up", GREEN, "up"},
	{"suspect", YELLOW, "suspect"},
	{"down", RED, "down"},
	{"missing", RED, "missing"},
};

static const char *paint(const char *state, bool meaning, char *buf,
			 size_t size)
{
	bool colour = cli_colour(STDOUT_FILENO);

	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		if (strcmp(states[i].state, state) != 0)
			continue;
		snprintf(buf, size, "%s%-8s%s", colour ? states[i].colour : "",
			 meaning ? states[i].meaning : state,
			 colour ? PLAIN : "");
		return buf;
	}
	return state;
}

/* ---- parts ---- */

static void print_backend(const json_t *b)
{
	const json_t *why = part(b, "why");
	char state[64];

	printf("    %2d %s %s", (int)number(b, "slot"),
	       paint(text(b, "state"), false, state, sizeof(state)),
	       text(b, "path"));
	if (number(b, "total_bytes"))
		printf("  %s free of %s", SIZE(b, "free_bytes"),
		       SIZE(b, "total_bytes"));
	if (number(b, "errors"))
		printf("  %lld errors", (long long)number(b, "errors"));
	if (json_is_object(why))
		printf("  (%s)", text(why, "message"));
	putchar('\n');
}

static void print_redundancy(const json_t *j)
{
	const json_t *r = part(j, "redundancy");
	int promised = (int)number(r, "promised");
	int current = (int)number(r, "current");

	printf("  redundancy  any %d folder%s may be lost", current,
	       current == 1 ? "" : "s");
	if (current != promised)
		printf(" (promised: %d)", promised);
	putchar('\n');
}

static void print_geometry(const json_t *j)
{
	const json_t *g = part(j, "geometry");

	printf("  geometry    %d+%d, chunks %s, segments %s, %s, %s\n",
	       (int)number(g, "data"), (int)number(g, "parity"),
	       SIZE(g, "chunk_bytes"), SIZE(g, "segment_bytes"),
	       text(g, "cipher"), text(g, "compression"));
}

static void print_counters(const json_t *j)
{
	const json_t *c = part(j, "cache"), *l = part(j, "journal");
	const json_t *k = part(j, "checkpoint"), *s = part(j, "segments");
	const json_t *i = part(j, "index"), *e = part(j, "lease");

	printf("  daemon      pid %d, mendfs %s, epoch %lld, record %lld\n",
	       (int)number(j, "pid"), text(j, "version"),
	       (long long)number(j, "epoch"),
	       (long long)number(j, "durable_seq"));
	printf("  cache       %s, %s dirty; %lld hits, %lld misses, "
	       "%lld throttled, %lld failed\n",
	       SIZE(c, "bytes"), SIZE(c, "dirty_bytes"),
	       (long long)number(c, "hits"), (long long)number(c, "misses"),
	       (long long)number(c, "throttled"),
	       (long long)number(c, "failed"));
	printf("  journal     %d of %d copies, %s of %s used, %lld records\n",
	       (int)number(l, "copies"), (int)number(l, "copies_wanted"),
	       SIZE(l, "used_bytes"), SIZE(l, "limit_bytes"),
	       (long long)number(l, "records"));
	printf("  checkpoint  record %lld, %lld made, %lld failed\n",
	       (long long)number(k, "seq"), (long long)number(k, "runs"),
	       (long long)number(k, "failed"));
	printf("  segments    %lld, %lld dead; %lld chunks read, %lld "
	       "rebuilt\n",
	       (long long)number(s, "count"), (long long)number(s, "dead"),
	       (long long)number(s, "chunks_read"),
	       (long long)number(s, "chunks_rebuilt"));
	printf("  index       %lld inodes, %s\n",
	       (long long)number(i, "inodes"), SIZE(i, "bytes"));
	if (json_is_object(e))
		printf("  lease       %d folders renewed, %d needed, "
		       "%lld ms ago\n",
		       (int)number(e, "members"), (int)number(e, "needed"),
		       (long long)number(e, "age_ms"));
}

/* ---- the whole ---- */

void status_text_mount(const json_t *j, bool verbose)
{
	const json_t *space = part(j, "space"), *error = part(j, "error");
	const char *label = text(part(j, "pool"), "label");
	const json_t *by = part(part(j, "lease"), "fenced_by");
	char state[128];
	const json_t *b;
	size_t i;

	printf("%s%s\n", text(j, "mountpoint"),
	       json_is_true(part(j, "read_only")) ? " (read-only)" : "");
	printf("  state       %s\n",
	       paint(text(j, "state"), true, state, sizeof(state)));
	if (json_is_object(error))
		printf("  error       %s (%s)\n", text(error, "message"),
		       text(error, "code"));
	if (json_is_string(by))
		printf("  taken over  by %s; unmount here\n",
		       json_string_value(by));
	printf("  pool        %s %s\n", text(part(j, "pool"), "id"), label);
	print_geometry(j);
	print_redundancy(j);
	printf("  space       %s free of %s, %s stored\n",
	       SIZE(space, "free_bytes"), SIZE(space, "total_bytes"),
	       SIZE(space, "stored_bytes"));
	if (verbose)
		print_counters(j);
	printf("  folders\n");
	json_array_foreach(part(j, "backends"), i, b) print_backend(b);
}

void status_text_folder(const json_t *j)
{
	int pid = (int)number(j, "lock_pid");

	printf("%s\n", text(j, "folder"));
	printf("  state       %s\n", text(j, "state"));
	printf("  pool        %s, folder %d\n", text(part(j, "pool"), "id"),
	       (int)number(j, "slot"));
	printf("  generation  %lld\n", (long long)number(j, "generation"));
	if (pid)
		printf("  in use by   process %d; 'ps -p %d' shows it, "
		       "'kill %d' unmounts it\n",
		       pid, pid, pid);
}
