/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crash.c - the program: histories, one seed after another, in several
 * processes side by side.
 */
#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/must.h"
#include "explore.h"
#include "report.h"

#define JOBS_MAX 16
/* States of one history, unless asked otherwise. */
#define PER_HISTORY 240

static const char usage[] =
	"usage: crash [options]\n"
	"  --seed N        first seed (1)\n"
	"  --histories N   seeds to run (until --states are done)\n"
	"  --states N      states in all (2000)\n"
	"  --per N         states of one history (240)\n"
	"  --time N        seconds at most\n"
	"  --jobs N        processes side by side (1)\n"
	"  --small         tiny histories; all cuts, subsets, ways to recover\n"
	"  --state SPEC    one state, as printed by a failure\n"
	"  --verbose       the engine's log\n";

struct options {
	uint64_t seed, histories, states, per, seconds;
	unsigned jobs;
	bool small, verbose;
	bool one;
	struct spec spec;
};

/* Histories that found something once: run first, every time. */
static const uint64_t regressions[] = {0};

static struct report *reports;

static uint64_t now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec;
}

/* ---- one process ---- */

static void work(const struct options *o, unsigned job)
{
	uint64_t until = now_s() + o->seconds, n = 0;
	struct explore_options eo = {
		.states = o->per,
		.small = o->small,
		.only = o->one ? &o->spec : NULL,
	};

	report_use(&reports[job]);
	report_log(o->verbose);
	if (o->one) {
		explore_history(o->spec.seed, &eo);
		return;
	}
	for (unsigned i = job; regressions[i]; i += o->jobs)
		explore_history(regressions[i], &eo);
	for (uint64_t i = job; !reports[job].stop; i += o->jobs) {
		if (o->histories && i >= o->histories)
			break;
		if (!o->histories &&
		    report_tally()->states >= o->states / o->jobs)
			break;
		if (o->seconds && now_s() >= until)
			break;
		explore_history(o->seed + i, &eo);
		n++;
	}
}

/* ---- all of them ---- */

static void tell_failure(const struct report *r, int status)
{
	printf("FAILED %s\n", r->spec);
	if (r->failure[0])
		printf("  %s\n", r->failure);
	else if (WIFSIGNALED(status))
		printf("  the process died: %s\n", strsignal(WTERMSIG(status)));
	else
		printf("  the process ended with %d\n", WEXITSTATUS(status));
}

static int run_jobs(const struct options *o)
{
	pid_t pid[JOBS_MAX];
	int bad = 0, status;

	fflush(stdout);
	for (unsigned i = 0; i < o->jobs; i++) {
		pid[i] = fork();
		MUST(pid[i] >= 0);
		if (pid[i] == 0) {
			work(o, i);
			_exit(0);
		}
	}
	for (unsigned left = o->jobs; left > 0; left--) {
		pid_t who = wait(&status);
		unsigned i = 0;

		while (i < o->jobs && pid[i] != who)
			i++;
		if (i == o->jobs || status == 0)
			continue;
		bad++;
		tell_failure(&reports[i], status);
		for (unsigned k = 0; k < o->jobs; k++)
			reports[k].stop = true;
	}
	return bad;
}

static void tell_all(const struct options *o, uint64_t began)
{
	struct tally sum = {0};
	uint64_t s = now_s() - began;

	for (unsigned i = 0; i < o->jobs; i++)
		report_add_tally(&sum, &reports[i].tally);
	report_print_tally(&sum);
	printf("%" PRIu64 " states, %" PRIu64 " histories, seeds from %" PRIu64
	       ", %" PRIu64 " s, %.2f ms each\n",
	       sum.states, sum.histories, o->seed, s,
	       sum.states ? 1000.0 * (double)(s * o->jobs) / (double)sum.states
			  : 0);
}

/* ---- options ---- */

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);

	if (!*text || *end) {
		fputs(usage, stderr);
		exit(2);
	}
	return n;
}

static void take_option(struct options *o, int c)
{
	switch (c) {
	case 's':
		o->seed = number(optarg);
		break;
	case 'h':
		o->histories = number(optarg);
		break;
	case 'n':
		o->states = number(optarg);
		break;
	case 'p':
		o->per = number(optarg);
		break;
	case 't':
		o->seconds = number(optarg);
		break;
	case 'j':
		o->jobs = (unsigned)number(optarg);
		break;
	case 'a':
		o->small = true;
		break;
	case 'v':
		o->verbose = true;
		break;
	case 'o':
		o->one = spec_parse(optarg, &o->spec);
		if (o->one)
			break;
		/* fall through */
	default:
		fputs(usage, stderr);
		exit(2);
	}
}

static void parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"seed", required_argument, NULL, 's'},
		{"histories", required_argument, NULL, 'h'},
		{"states", required_argument, NULL, 'n'},
		{"per", required_argument, NULL, 'p'},
		{"time", required_argument, NULL, 't'},
		{"jobs", required_argument, NULL, 'j'},
		{"small", no_argument, NULL, 'a'},
		{"verbose", no_argument, NULL, 'v'},
		{"state", required_argument, NULL, 'o'},
		{0},
	};
	int c;

	*o = (struct options){
		.seed = 1, .states = 2000, .per = PER_HISTORY, .jobs = 1};
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
		take_option(o, c);
	if (o->one)
		o->jobs = 1;
	if (optind < argc || o->jobs < 1 || o->jobs > JOBS_MAX || o->per < 1) {
		fputs(usage, stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct options o;
	uint64_t began = now_s();
	int bad;

	parse(argc, argv, &o);
	/* Each state wants the same memory again. */
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	reports =
		mmap(NULL, JOBS_MAX * sizeof(*reports), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(reports != MAP_FAILED);
	printf("seed %" PRIu64 "\n", o.one ? o.spec.seed : o.seed);
	bad = run_jobs(&o);
	tell_all(&o, began);
	return bad > 0;
}
