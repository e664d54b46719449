/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scenarios [--seed S] [NAME...]: runs the scenarios, each with the seeds that
 * it takes and in a process of its own; with --seed with that one only, in this
 * process. Exit code 1: an invariant was violated; the last lines tell which,
 * and how to run just that. --list: their names; --mutants: the deliberate bugs
 * that MENDFS_MUTANT can name, and the invariants they break.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "scenes.h"
#include "sim.h"

struct scene {
	const char *name;
	void (*run)(void *arg);
	unsigned seeds;
};

static const struct scene scenes[] = {
#define SCENE_(name, seeds) {#name, scene_##name, seeds},
	SCENE_TABLE(SCENE_)
#undef SCENE_
};

/* Faults are expected, but for one event, after which the process aborts. */
static void hear(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	if (strstr(line, "event=nonce_repeated"))
		fprintf(stderr, "violated I: %s\n", line);
}

static int run_here(const struct scene *s, uint64_t seed)
{
	if (!getenv("MENDFS_TEST_LOG"))
		log_use_sink(hear, NULL);
	sim_run(seed, s->run, NULL);
	return 0;
}

/* 0: it went well. */
static int run_apart(const struct scene *s, uint64_t seed)
{
	int status = 0;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child == 0)
		exit(run_here(s, seed));
	if (child < 0 || waitpid(child, &status, 0) < 0)
		status = 1;
	if (status == 0)
		return 0;
	fprintf(stderr, "failed: scenarios --seed %llu %s\n",
		(unsigned long long)seed, s->name);
	return 1;
}

static int run_scene(const struct scene *s, const char *seed)
{
	if (seed)
		return run_here(s, strtoull(seed, NULL, 0));
	for (unsigned i = 0; i < s->seeds; i++)
		if (run_apart(s, i + 1))
			return 1;
	printf("%s: ok\n", s->name);
	return 0;
}

static bool is_named(const struct scene *s, char **name)
{
	for (; *name; name++)
		if (strcmp(*name, s->name) == 0)
			return true;
	return false;
}

static int run_all(char **name, const char *seed)
{
	unsigned failed = 0, found = 0;

	for (size_t i = 0; i < ARRAY_LEN(scenes); i++) {
		if (*name && !is_named(&scenes[i], name))
			continue;
		found++;
		failed += run_scene(&scenes[i], seed) != 0;
	}
	if (!found)
		fprintf(stderr, "there is no such scenario\n");
	return failed || !found;
}

static int list_scenes(void)
{
	for (size_t i = 0; i < ARRAY_LEN(scenes); i++)
		puts(scenes[i].name);
	return 0;
}

static int list_mutants(void)
{
	for (unsigned i = MUTANT_NONE + 1; i < MUTANTS; i++) {
		const struct mutant_info *m = mutant_info((enum mutant)i);

		printf("%s %s\n", m->name, m->breaks);
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"list", no_argument, NULL, 'l'},
		{"mutants", no_argument, NULL, 'm'},
		{"seed", required_argument, NULL, 's'},
		{0},
	};
	const char *seed = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'l')
			return list_scenes();
		if (c == 'm')
			return list_mutants();
		if (c != 's')
			return 2;
		seed = optarg;
	}
	return run_all(argv + optind, seed);
}
