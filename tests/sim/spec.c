/* SPDX-License-Identifier: Apache-2.0 */
/* How to get to a state, as text (see explore.h). */
#include "explore.h"

#include <inttypes.h>
#include <stdio.h>

static int cut_print(const struct cut *c, char *out, size_t len)
{
	return snprintf(out, len, ":%zu:%u:%" PRIx64 ":%u:%u", c->p,
			(unsigned)c->loss, c->mask, c->hidden, c->cache);
}

void spec_print(const struct spec *s, char out[SPEC_TEXT])
{
	int n = snprintf(out, SPEC_TEXT, "%" PRIu64 ":%u", s->seed, s->life);

	n += cut_print(&s->cut, out + n, SPEC_TEXT - (size_t)n);
	if (s->twice)
		cut_print(&s->again, out + n, SPEC_TEXT - (size_t)n);
}

static bool cut_parse(const char **text, struct cut *c)
{
	unsigned loss, cache;
	int n = 0;

	if (sscanf(*text, ":%zu:%u:%" SCNx64 ":%u:%u%n", &c->p, &loss, &c->mask,
		   &c->hidden, &cache, &n) != 5 ||
	    loss > SIM_LOSE_SOME)
		return false;
	c->loss = (enum sim_loss)loss;
	c->cache = cache != 0;
	*text += n;
	return true;
}

bool spec_parse(const char *text, struct spec *out)
{
	int n = 0;

	*out = (struct spec){0};
	if (sscanf(text, "%" SCNu64 ":%u%n", &out->seed, &out->life, &n) != 2)
		return false;
	text += n;
	if (!cut_parse(&text, &out->cut))
		return false;
	out->twice = *text && cut_parse(&text, &out->again);
	return !*text;
}
