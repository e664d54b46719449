/* SPDX-License-Identifier: Apache-2.0 */
/* Long random sequences of file operations against a model in memory. */
#include "posix_check.h"

#define FILES	 6
#define FILE_MAX (2 * KIT_MIB + 300 * KIT_KIB)
#define OPS	 3000

struct model {
	struct kit *k;
	struct dice dice;
	uint64_t ino[FILES];
	uint8_t *data[FILES];
	size_t size[FILES];
	uint64_t seed;
};

/* Likes borders. */
static uint64_t some_offset(struct model *m, uint64_t max)
{
	static const uint64_t unit[] = {KIT_CHUNK, KIT_SLOT, 4096,
					4 * KIT_CHUNK};
	uint64_t off = dice_below(&m->dice, max);

	if (dice_below(&m->dice, 2)) {
		uint64_t u = unit[dice_below(&m->dice, ARRAY_LEN(unit))];

		off = off / u * u + dice_below(&m->dice, 3);
		off -= MIN(off, 1);
	}
	return MIN(off, max - 1);
}

static size_t some_length(struct model *m)
{
	static const uint64_t max[] = {
		10, 4096, 4096, 40 * KIT_KIB, KIT_CHUNK + 9, KIT_SLOT / 2};

	return 1 +
	       dice_below(&m->dice, max[dice_below(&m->dice, ARRAY_LEN(max))]);
}

static void model_write(struct model *m, unsigned i, uint64_t off, int flags)
{
	size_t len = some_length(m);
	struct file *f = kit_fopen(m->k, m->ino[i], O_RDWR | flags);

	len = MIN(len, FILE_MAX - off);
	if (off > m->size[i])
		memset(m->data[i] + m->size[i], 0, off - m->size[i]);
	/* Some of it compresses. */
	if (dice_below(&m->dice, 3))
		kit_pattern(m->data[i] + off, len, off, m->seed++);
	else
		memset(m->data[i] + off, (int)m->seed++, len);
	assert_int_equal(posix_write(f, m->data[i] + off, len, off), len);
	posix_close(f);
	m->size[i] = MAX(m->size[i], off + len);
}

static void model_truncate(struct model *m, unsigned i)
{
	uint64_t size = dice_below(&m->dice, 8) ? some_offset(m, FILE_MAX) : 0;

	OK(kit_set_size(m->k, m->ino[i], size));
	if (size > m->size[i])
		memset(m->data[i] + m->size[i], 0, size - m->size[i]);
	m->size[i] = size;
}

static void model_read(struct model *m, unsigned i, uint64_t off, size_t len)
{
	uint8_t *got = malloc(len + 1);
	struct file *f = kit_fopen(m->k, m->ino[i], O_RDONLY);
	size_t want = off < m->size[i] ? MIN(len, m->size[i] - off) : 0;

	assert_int_equal(posix_read(f, got, len, off), want);
	if (want && memcmp(got, m->data[i] + off, want)) {
		size_t at = 0;

		while (got[at] == m->data[i][off + at])
			at++;
		fail_msg("file %u differs at %llu of %zu", i,
			 (unsigned long long)(off + at), m->size[i]);
	}
	posix_close(f);
	free(got);
}

static void model_compare(struct model *m)
{
	for (unsigned i = 0; i < FILES; i++) {
		assert_int_equal(kit_attr(m->k, m->ino[i]).size, m->size[i]);
		model_read(m, i, 0, FILE_MAX);
	}
}

static void model_restart(struct model *m, bool crash)
{
	if (crash) {
		OK(volume_sync(m->k->v));
		kit_crash(m->k);
	} else {
		kit_close(m->k);
	}
	if (dice_below(&m->dice, 3) == 0)
		kit_lose_cache(m->k);
	kit_open(m->k);
	model_compare(m);
}

static void model_step(struct model *m)
{
	unsigned i = (unsigned)dice_below(&m->dice, FILES);
	uint64_t what = dice_below(&m->dice, 1000);

	if (what < 400)
		model_write(m, i, some_offset(m, FILE_MAX), 0);
	else if (what < 500)
		model_write(m, i, MIN(m->size[i], FILE_MAX - 1),
			    m->size[i] < FILE_MAX ? O_APPEND : 0);
	else if (what < 510)
		model_write(m, i, some_offset(m, FILE_MAX), O_SYNC);
	else if (what < 580)
		model_truncate(m, i);
	else if (what < 900)
		model_read(m, i, some_offset(m, FILE_MAX), some_length(m));
	else if (what < 950)
		kit_fsync(m->k, m->ino[i]);
	else if (what < 970)
		kit_drop_cache(m->k);
	else if (what < 986)
		cache_drop_clean(m->k->v->cache, m->ino[i]);
	else if (what < 993)
		OK(service_checkpoint(m->k->v, NULL, NULL));
	else
		model_restart(m, what < 997);
}

static void play(struct kit *k, uint64_t seed)
{
	struct model m = {.k = k, .dice = {kit_seed(seed)}, .seed = seed};

	for (unsigned i = 0; i < FILES; i++) {
		char name[8];

		snprintf(name, sizeof(name), "f%u", i);
		m.ino[i] = kit_new_file(k, name);
		m.data[i] = malloc(FILE_MAX);
	}
	for (unsigned i = 0; i < OPS; i++)
		model_step(&m);
	model_compare(&m);
	kit_sound(k);
	for (unsigned i = 0; i < FILES; i++)
		free(m.data[i]);
}

static void random_operations_1(void **state)
{
	play(*state, 1);
}

static void random_operations_2(void **state)
{
	play(*state, 2);
}

static void random_operations_3(void **state)
{
	struct kit *k = *state;

	/* With little memory. */
	kit_close(k);
	k->o.cache_bytes = 8 * KIT_MIB;
	kit_open(k);
	play(k, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_KIT(random_operations_1),
		WITH_KIT(random_operations_2),
		WITH_KIT(random_operations_3),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
