/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/cli.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define OPTIONS_MAX 32
#define LONG_BASE   256 /* getopt's value of option i: LONG_BASE + i */
#define HELP_COLUMN 30

/* ---- exit codes ---- */

static const struct {
	int rc;
	enum cli_exit code;
} exit_table[] = {
	{-ERR_USAGE, CLI_USAGE},	 {-ERR_PASSPHRASE, CLI_PASSPHRASE},
	{-ERR_REVOKED, CLI_PASSPHRASE},	 {-ERR_TOO_FEW, CLI_TOO_FEW},
	{-ERR_NO_MAJORITY, CLI_TOO_FEW}, {-ERR_IN_USE, CLI_IN_USE},
	{-ERR_FENCED, CLI_IN_USE},	 {-ERR_CORRUPT, CLI_DAMAGE},
	{-ERR_AUTH, CLI_DAMAGE},	 {-ERR_TRUNCATED, CLI_DAMAGE},
	{-ERR_FORMAT, CLI_DAMAGE},	 {-ERR_RANGE, CLI_DAMAGE},
	{-ERR_UNAVAILABLE, CLI_DAMAGE},	 {-ERR_REPLAY, CLI_DAMAGE},
	{-ERR_KEYSLOT, CLI_DAMAGE},	 {-ERR_KDF_LIMIT, CLI_DAMAGE},
	{-ERR_DIVERGED, CLI_ROLLBACK},	 {-ERR_ROLLBACK, CLI_ROLLBACK},
};

int cli_exit_code(int rc)
{
	if (rc >= 0)
		return CLI_OK;
	for (size_t i = 0; i < ARRAY_LEN(exit_table); i++)
		if (exit_table[i].rc == rc)
			return exit_table[i].code;
	return CLI_FAILED;
}

/* ---- messages ---- */

int cli_fail(const char *who, int rc, const struct diag *d)
{
	fprintf(stderr, "%s: %s\n", who, diag_text(d, rc));
	return cli_exit_code(rc);
}

void cli_warn(const char *who, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: warning: ", who);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

int cli_usage(const struct cli_command *c, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", c->name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "; '%s --help' tells more\n", c->name);
	return CLI_USAGE;
}

bool cli_colour(int fd)
{
	const char *no = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	return isatty(fd) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

/* ---- help ---- */

static const struct cli_option help_option = {
	.name = "help", .letter = 'h', .help = "show this help"};

static void print_option(const struct cli_option *o)
{
	char left[64];
	int n = snprintf(left, sizeof(left), "  %s%.1s%s%s%s%s%s",
			 o->letter ? "-" : "    ", o->letter ? &o->letter : "",
			 o->letter && o->name ? ", " : "", o->name ? "--" : "",
			 o->name ? o->name : "", o->value ? " " : "",
			 o->value ? o->value : "");

	if (n >= HELP_COLUMN)
		printf("%s\n%*s%s\n", left, HELP_COLUMN, "", o->help);
	else
		printf("%-*s%s\n", HELP_COLUMN, left, o->help);
}

static void print_help(const struct cli_command *c)
{
	printf("usage: %s%s %s\n%s\n\n", c->name, c->n ? " [OPTION]..." : "",
	       c->operands, c->summary);
	for (size_t i = 0; i < c->n; i++)
		print_option(&c->options[i]);
	print_option(&help_option);
	if (c->more_help)
		c->more_help();
}

/* ---- parsing ---- */

int cli_take_nothing(void *into, const char *value, struct diag *diag)
{
	(void)into;
	(void)value;
	(void)diag;
	return 0;
}

struct parser {
	char letters[2 * OPTIONS_MAX + 4];
	struct option longs[OPTIONS_MAX + 2];
};

static void add_option(struct parser *p, const struct cli_option *o, int value,
		       size_t *longs)
{
	size_t len = strlen(p->letters);

	if (o->letter) {
		p->letters[len++] = o->letter;
		if (o->value)
			p->letters[len++] = ':';
		p->letters[len] = '\0';
	}
	if (o->name)
		p->longs[(*longs)++] = (struct option){
			o->name, o->value ? required_argument : no_argument,
			NULL, value};
}

static void make_parser(const struct cli_command *c, struct parser *p)
{
	size_t longs = 0;

	*p = (struct parser){.letters = ":"};
	for (size_t i = 0; i < c->n; i++)
		add_option(p, &c->options[i], LONG_BASE + (int)i, &longs);
	add_option(p, &help_option, 'h', &longs);
}

/* The option that getopt returned, NULL: help, or none of ours. */
static const struct cli_option *find_option(const struct cli_command *c, int v)
{
	if (v >= LONG_BASE && v < LONG_BASE + (int)c->n)
		return &c->options[v - LONG_BASE];
	for (size_t i = 0; i < c->n; i++)
		if (c->options[i].letter && c->options[i].letter == v)
			return &c->options[i];
	return NULL;
}

/* 0, or the command is over with *exit_out. */
static int take_option(const struct cli_command *c, int v, void *into,
		       int *exit_out)
{
	const struct cli_option *o = find_option(c, v);
	struct diag diag = DIAG_INIT;
	int rc;

	if (!o) {
		print_help(c);
		*exit_out = CLI_OK;
		return -1;
	}
	rc = o->take(into, optarg, &diag);
	if (rc < 0) {
		*exit_out = cli_usage(c, "%s", diag_text(&diag, rc));
		return -1;
	}
	return 0;
}

static int fail_option(const struct cli_command *c, int v, char **argv)
{
	const char *word = argv[optind - 1];

	if (v == ':')
		return cli_usage(c, "option '%s' needs a value", word);
	if (optopt > 0 && optopt < LONG_BASE && strncmp(word, "--", 2) != 0)
		return cli_usage(c, "unknown option '-%c'", optopt);
	return cli_usage(c, "unknown or ambiguous option '%s'", word);
}

int cli_parse(const struct cli_command *c, int argc, char **argv, void *into,
	      int *exit_out)
{
	struct parser p;
	unsigned operands;
	int v;

	make_parser(c, &p);
	optind = 0;
	opterr = 0;
	while ((v = getopt_long(argc, argv, p.letters, p.longs, NULL)) != -1) {
		if (v == '?' || v == ':') {
			*exit_out = fail_option(c, v, argv);
			return -1;
		}
		if (take_option(c, v, into, exit_out) < 0)
			return -1;
	}
	operands = (unsigned)(argc - optind);
	if (operands < c->min)
		*exit_out = cli_usage(c, "%s is missing", c->operands);
	else if (operands > c->max)
		*exit_out = cli_usage(c, "'%s' is too much",
				      argv[optind + (int)c->max]);
	else
		return optind;
	return -1;
}
