/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/units.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

static const char letters[] = "KMGTPE";

/* strtoull takes blanks and signs; nobody means those. */
static int parse_whole(const char *text, uint64_t *out, const char **rest)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	*out = strtoull(text, &end, 10);
	*rest = end;
	return errno ? -ERANGE : 0;
}

/* What follows the number: "", "B", "K", "KB", "KiB". -EINVAL or the shift. */
static int parse_suffix(const char *s)
{
	const char *at;

	if (*s == '\0' || strcasecmp(s, "B") == 0)
		return 0;
	at = strchr(letters, toupper((unsigned char)*s));
	s++;
	if (!at || (*s && strcasecmp(s, "B") != 0 && strcasecmp(s, "iB") != 0))
		return -EINVAL;
	return 10 * (int)(at - letters + 1);
}

/* ".5"; digits only, as "1.5e3" is no size. */
static int parse_fraction(const char **at, double *out)
{
	double weight = 0.1;
	const char *p = *at + 1;

	if (!isdigit((unsigned char)*p))
		return -EINVAL;
	for (; isdigit((unsigned char)*p); p++, weight /= 10)
		*out += weight * (*p - '0');
	*at = p;
	return 0;
}

int units_parse_size(const char *text, uint64_t *bytes_out)
{
	const char *rest;
	uint64_t whole;
	double part = 0;
	int rc = parse_whole(text, &whole, &rest), shift;

	if (rc < 0)
		return rc;
	if (*rest == '.') {
		rc = parse_fraction(&rest, &part);
		if (rc < 0)
			return rc;
	}
	shift = parse_suffix(rest);
	if (shift < 0)
		return shift;
	if (whole > UINT64_MAX >> shift)
		return -ERANGE;
	whole <<= shift;
	if (__builtin_add_overflow(whole,
				   (uint64_t)(part * (double)(1ULL << shift)),
				   bytes_out))
		return -ERANGE;
	return 0;
}

int units_parse_duration(const char *text, uint64_t *seconds_out)
{
	static const struct {
		const char *name;
		uint64_t seconds;
	} unit[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
	const char *rest;
	uint64_t n;
	int rc = parse_whole(text, &n, &rest);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < ARRAY_LEN(unit); i++) {
		if (strcmp(rest, unit[i].name) != 0)
			continue;
		return __builtin_mul_overflow(n, unit[i].seconds, seconds_out)
			       ? -ERANGE
			       : 0;
	}
	return -EINVAL;
}

int units_parse_number(const char *text, uint64_t min, uint64_t max,
		       uint64_t *out)
{
	const char *rest;
	int rc = parse_whole(text, out, &rest);

	if (rc == 0 && *rest)
		rc = -EINVAL;
	if (rc == 0 && (*out < min || *out > max))
		rc = -ERANGE;
	return rc;
}

const char *units_size(uint64_t bytes, char buf[UNITS_TEXT])
{
	double v = (double)bytes;
	int i = -1;

	while (v >= 1024 && letters[i + 1]) {
		v /= 1024;
		i++;
	}
	if (i < 0)
		snprintf(buf, UNITS_TEXT, "%.0f", v);
	else if (v == (double)(uint64_t)v || v >= 100)
		snprintf(buf, UNITS_TEXT, "%.0f%c", v, letters[i]);
	else
		snprintf(buf, UNITS_TEXT, "%.1f%c", v, letters[i]);
	return buf;
}
