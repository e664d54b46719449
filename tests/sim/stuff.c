/* SPDX-License-Identifier: Apache-2.0 */
/* What clients put into things (see stuff.h). */
#include "stuff.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "dice.h"
#include "seen.h"

#define TINY 16 /* cells below hold the stamp and nothing else */

/* ---- cells ---- */

static void fill_cell(uint8_t *out, uint64_t ino, uint32_t unit, uint32_t at,
		      unsigned stamp)
{
	struct dice d = {dice_seed(ino, (uint64_t)at << 8 | stamp)};
	uint64_t word = d.state;

	if (unit < TINY) {
		memset(out, (int)stamp, unit);
		return;
	}
	out[0] = (uint8_t)stamp;
	for (uint32_t i = 1; i < unit; i += 8) {
		uint32_t n = unit - i < 8 ? unit - i : 8;

		if (stamp % 3 == 0)
			word = dice_roll(&d);
		memcpy(out + i, &word, n);
	}
}

void stuff_fill(uint8_t *out, uint64_t ino, uint32_t unit, uint32_t first,
		uint32_t n, unsigned stamp)
{
	for (uint32_t i = 0; i < n; i++)
		fill_cell(out + (size_t)i * unit, ino, unit, first + i, stamp);
}

uint32_t stuff_read(const uint8_t *cell, uint64_t ino, uint32_t unit,
		    uint32_t at)
{
	uint8_t want[STUFF_UNIT_MAX];

	if (cell[0] == 0)
		memset(want, 0, unit);
	else
		fill_cell(want, ino, unit, at, cell[0]);
	return memcmp(cell, want, unit) == 0 ? cell[0] : CELL_GARBAGE;
}

/* ---- names ---- */

/* The last name of a folder is a long one. */
void stuff_name(unsigned thread, unsigned slot, char out[STUFF_NAME_MAX])
{
	unsigned i = slot % NAMES;

	snprintf(out, STUFF_NAME_MAX, "t%u-%c", thread, 'a' + (int)i);
	if (i == NAMES - 1) {
		size_t len = strlen(out);

		memset(out + len, 'x', 200 - len);
		out[200] = 0;
	}
}

void stuff_target(unsigned thread, char out[STUFF_NAME_MAX])
{
	snprintf(out, STUFF_NAME_MAX, "../target of thread %u", thread);
}

/* ---- attributes ---- */

const char *stuff_xattr_name(unsigned x)
{
	static const char *const name[XATTRS] = {"user.one", "user.other"};

	return name[x];
}

size_t stuff_xattr(uint32_t value, uint8_t out[STUFF_XATTR_MAX])
{
	struct dice d = {dice_seed(value, 77)};
	size_t len = 4 + dice_below(&d, value % 8 ? 60 : STUFF_XATTR_MAX - 4);

	put_le32(out, value);
	for (size_t i = 4; i < len; i++)
		out[i] = (uint8_t)dice_roll(&d);
	return len;
}

uint32_t stuff_xattr_read(const uint8_t *data, size_t len)
{
	uint8_t want[STUFF_XATTR_MAX];
	uint32_t value;

	if (len < 4)
		return CELL_GARBAGE;
	value = get_le32(data);
	if (stuff_xattr(value, want) != len || memcmp(want, data, len) != 0)
		return CELL_GARBAGE;
	return value;
}
