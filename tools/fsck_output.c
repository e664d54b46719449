/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fsck_output.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "fs/control_status.h"
#include "tools/units.h"

#define SHOWN_MAX   20 /* lines of one id without -v */
#define PROGRESS_NS 500000000ULL
#define NS	    1000000000ULL

int fsck_output_init(struct fsck_output *out, bool verbose, bool json)
{
	*out = (struct fsck_output){
		.verbose = verbose,
		.json = json,
		.progress = isatty(STDERR_FILENO),
		.begun_ns = clock_mono_ns(),
	};
	out->findings = json ? json_array() : NULL;
	return json && !out->findings ? -ENOMEM : 0;
}

void fsck_output_release(struct fsck_output *out)
{
	json_decref(out->findings);
	out->findings = NULL;
}

/* ---- progress ---- */

static void clear_line(struct fsck_output *out)
{
	if (out->line_open)
		fputs("\r\033[K", stderr);
	out->line_open = false;
}

/* Rate, share, time left; done is below total. */
static void show_line(struct fsck_output *out, uint64_t done, uint64_t total)
{
	double seconds = (double)(clock_mono_ns() - out->begun_ns) / (double)NS;
	double rate = seconds > 0 ? (double)done / seconds : 0;
	uint64_t left =
		rate > 0 ? (uint64_t)((double)(total - done) / rate) : 0;
	char a[UNITS_TEXT], b[UNITS_TEXT], c[UNITS_TEXT];

	clear_line(out);
	fprintf(stderr, "checked %s of %s (%u%%), %s/s", units_size(done, a),
		units_size(total, b),
		(unsigned)((double)done * 100 / (double)total),
		units_size((uint64_t)rate, c));
	if (rate > 0)
		fprintf(stderr, ", %" PRIu64 ":%02" PRIu64 " left", left / 60,
			left % 60);
	fflush(stderr);
	out->line_open = true;
}

void fsck_output_progress(void *arg, uint64_t done, uint64_t total)
{
	struct fsck_output *out = arg;
	uint64_t now = clock_mono_ns();

	if (!out->progress || done >= total ||
	    now - out->shown_ns < PROGRESS_NS)
		return;
	out->shown_ns = now;
	show_line(out, done, total);
}

/* ---- findings ---- */

/* Names are any bytes: none of them may steer a terminal or break a line. */
static void put_text(const char *text)
{
	for (const char *p = text; *p; p++) {
		unsigned char c = (unsigned char)*p;

		if (c < 0x20 || c == 0x7f || c == '\\')
			printf("\\x%02x", c);
		else
			putchar(c);
	}
}

static void show_finding(struct fsck_output *out, const struct finding *f)
{
	clear_line(out);
	printf("%s %s ", severity_name(finding_severity(f->id)),
	       finding_name(f->id));
	put_text(f->subject);
	printf(": %s", finding_meaning(f->id));
	if (f->detail[0]) {
		fputs(" (", stdout);
		put_text(f->detail);
		putchar(')');
	}
	putchar('\n');
}

static void keep_finding(struct fsck_output *out, const struct finding *f)
{
	enum severity s = finding_severity(f->id);
	json_t *j = json_pack("{s:s,s:s,s:o,s:s,s:o}", "severity",
			      severity_name(s), "id", finding_name(f->id),
			      "subject", control_status_text(f->subject),
			      "meaning", finding_meaning(f->id), "detail",
			      control_status_text(f->detail));

	if (!j || json_array_append_new(out->findings, j) < 0)
		out->failed = true;
}

static bool is_hidden(const struct fsck_output *out, enum finding_id id)
{
	return !out->verbose && (finding_severity(id) == SEVERITY_INFO ||
				 out->seen[id] > SHOWN_MAX);
}

void fsck_output_finding(void *arg, const struct finding *f)
{
	struct fsck_output *out = arg;

	out->seen[f->id]++;
	if (out->json)
		keep_finding(out, f);
	else if (is_hidden(out, f->id))
		out->hidden[f->id]++;
	else
		show_finding(out, f);
}

/* ---- the end ---- */

static void tell_hidden(const struct fsck_output *out)
{
	for (unsigned i = 0; i < FINDING_COUNT; i++)
		if (out->hidden[i] > 0 && finding_severity(i) != SEVERITY_INFO)
			printf("%s: %" PRIu64 " more (-v shows all)\n",
			       finding_name(i), out->hidden[i]);
}

static void tell_todo(const struct fsck_output *out)
{
	bool begun = false;

	for (unsigned i = 0; i < FINDING_COUNT; i++) {
		if (out->seen[i] == 0 || finding_severity(i) == SEVERITY_INFO)
			continue;
		if (!begun)
			puts("what to do:");
		begun = true;
		printf("  %s: %s\n", finding_name(i), finding_todo(i));
	}
}

static unsigned members_there(const struct pool *p)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->n; i++)
		n += p->member[i].backend != NULL;
	return n;
}

static const char *verdict(const struct fsck_summary *s)
{
	if (!s->complete)
		return "incomplete";
	if (s->totals.findings[SEVERITY_ERROR] > 0)
		return "errors";
	if (s->totals.findings[SEVERITY_WARNING] > 0)
		return "warnings";
	return "clean";
}

static void tell_counts(const struct fsck_summary *s)
{
	const uint64_t *n = s->totals.findings;

	if (!s->complete)
		fputs("the check did not come to its end", stdout);
	else if (n[SEVERITY_ERROR] + n[SEVERITY_WARNING] == 0)
		fputs("clean", stdout);
	else
		printf("%" PRIu64 " errors, %" PRIu64 " warnings",
		       n[SEVERITY_ERROR], n[SEVERITY_WARNING]);
	if (n[SEVERITY_INFO] > 0)
		printf(", %" PRIu64 " notes", n[SEVERITY_INFO]);
	putchar('\n');
}

static void end_text(struct fsck_output *out, const struct fsck_summary *s)
{
	const struct check_totals *t = &s->totals;

	clear_line(out);
	tell_hidden(out);
	tell_todo(out);
	printf("%u of %u folders, %" PRIu64 " segments and %" PRIu64
	       " of the index, %" PRIu64 " fragments: %s\n",
	       members_there(s->pool), s->pool->n, t->segments,
	       t->index_segments, t->fragments,
	       s->read_data ? "all data read"
			    : "headers only (--read-data reads all)");
	tell_counts(s);
}

static json_t *totals_json(const struct check_totals *t)
{
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "errors",
			 (json_int_t)t->findings[SEVERITY_ERROR], "warnings",
			 (json_int_t)t->findings[SEVERITY_WARNING], "infos",
			 (json_int_t)t->findings[SEVERITY_INFO], "segments",
			 (json_int_t)t->segments, "index_segments",
			 (json_int_t)t->index_segments, "fragments",
			 (json_int_t)t->fragments, "chunks_opened",
			 (json_int_t)t->chunks_opened, "files_hit",
			 (json_int_t)t->files_hit, "orphans",
			 (json_int_t)t->orphans);
}

static int end_json(struct fsck_output *out, const struct fsck_summary *s)
{
	char pool[2 * sizeof(s->pool->id) + 1];
	json_t *j;

	clear_line(out);
	hex_encode(pool, &s->pool->id, sizeof(s->pool->id));
	j = json_pack("{s:s,s:o,s:s,s:b,s:i,s:i,s:o,s:O,s:i}", "pool", pool,
		      "label", control_status_text(s->pool->sb.label),
		      "verdict", verdict(s), "read_data", s->read_data,
		      "folders", (int)s->pool->n, "folders_there",
		      (int)members_there(s->pool), "totals",
		      totals_json(&s->totals), "findings", out->findings,
		      "exit", s->exit_code);
	if (!j || out->failed ||
	    json_dumpf(j, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER) < 0)
		out->failed = true;
	else
		putchar('\n');
	json_decref(j);
	return out->failed ? -ENOMEM : 0;
}

int fsck_output_end(struct fsck_output *out, const struct fsck_summary *s)
{
	if (out->json)
		return end_json(out, s);
	end_text(out, s);
	return 0;
}
