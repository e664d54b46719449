/* SPDX-License-Identifier: Apache-2.0 */
/* The thin thread through everything: make, write, close, open, read; then
 * the same after crashes, without the local cache, without two folders. */
#include "posix_kit.h"

#define MIB (1u << 20)

static void write_all(struct kit *k)
{
	uint64_t dir = kit_mk(k, ROOT_INO, "dir", S_IFDIR | 0755);

	kit_write(k, kit_mk(k, dir, "small", S_IFREG | 0644), 0, 1000, 1);
	kit_write(k, kit_mk(k, dir, "chunk", S_IFREG | 0644), 0, 200000, 2);
	kit_write(k, kit_mk(k, dir, "large", S_IFREG | 0644), 0, 9 * MIB, 3);
	kit_write(k, kit_mk(k, dir, "sparse", S_IFREG | 0644), 5 * MIB, 100, 4);
}

static void expect_all(struct kit *k)
{
	uint64_t dir = kit_ino(k, ROOT_INO, "dir");

	kit_expect(k, kit_ino(k, dir, "small"), 0, 1000, 1);
	kit_expect(k, kit_ino(k, dir, "chunk"), 0, 200000, 2);
	kit_expect(k, kit_ino(k, dir, "large"), 0, 9 * MIB, 3);
	kit_expect(k, kit_ino(k, dir, "sparse"), 5 * MIB, 100, 4);
}

static void hide(struct kit *k, int i)
{
	struct fault_rule gone = {
		.kind = FAULT_VANISH, .ops = FAULT_OP_ALL, .prefix = ""};

	OK(fault_add(k->location[i], &gone));
}

static void test_clean(void **state)
{
	struct kit k;

	(void)state;
	kit_make(&k);
	kit_open(&k);
	write_all(&k);
	expect_all(&k);
	kit_close(&k);
	kit_open(&k);
	expect_all(&k);
	kit_close(&k);
	kit_lose_cache(&k);
	kit_open(&k);
	expect_all(&k);
	kit_close(&k);
	kit_end(&k);
}

static void test_crash(void **state)
{
	struct kit k;

	(void)state;
	kit_make(&k);
	kit_open(&k);
	write_all(&k);
	OK(volume_sync(k.v));
	kit_crash(&k);
	kit_open(&k);
	expect_all(&k);
	kit_crash(&k);
	kit_lose_cache(&k);
	kit_open(&k);
	expect_all(&k);
	kit_close(&k);
	kit_end(&k);
}

static void test_every_pair(void **state)
{
	struct kit k;

	(void)state;
	kit_make(&k);
	kit_open(&k);
	write_all(&k);
	OK(volume_sync(k.v));
	kit_crash(&k); /* some of it is only in the journal */
	for (int i = 0; i < KIT_FOLDERS; i++)
		for (int j = i + 1; j < KIT_FOLDERS; j++) {
			const char *given[1] = {
				k.location[i == 0 ? (j == 1 ? 2 : 1) : 0]};

			hide(&k, i);
			hide(&k, j);
			k.o.location = given;
			k.o.n = 1;
			k.o.read_only = true;
			kit_open(&k);
			expect_all(&k);
			kit_close(&k);
			fault_clear(k.location[i]);
			fault_clear(k.location[j]);
		}
	kit_end(&k);
}

static void test_degraded_writes(void **state)
{
	struct kit k;
	uint64_t ino;

	(void)state;
	kit_make(&k);
	kit_open(&k);
	write_all(&k);
	kit_close(&k);
	hide(&k, 1);
	hide(&k, 4);
	k.o.n = 1;
	kit_lose_cache(&k);
	kit_open(&k);
	expect_all(&k);
	ino = kit_mk(&k, ROOT_INO, "later", S_IFREG | 0600);
	kit_write(&k, ino, 0, 3 * MIB, 9);
	kit_fsync(&k, ino);
	kit_crash(&k);
	kit_open(&k);
	kit_expect(&k, ino, 0, 3 * MIB, 9);
	kit_close(&k);
	/* The two come back, stale; others go. */
	fault_clear(k.location[1]);
	fault_clear(k.location[4]);
	kit_open(&k);
	kit_expect(&k, ino, 0, 3 * MIB, 9);
	expect_all(&k);
	kit_close(&k);
	kit_end(&k);
}

/* The largest segments there are, filled to the brim. */
static void test_largest_segments(void **state)
{
	struct kit k;
	uint64_t ino;

	(void)state;
	kit_make_segments(&k, 32 * MIB);
	k.o.cache_bytes = 128 * MIB;
	kit_open(&k);
	ino = kit_mk(&k, ROOT_INO, "file", S_IFREG | 0644);
	kit_write(&k, ino, 0, 40 * MIB, 5);
	kit_fsync(&k, ino);
	kit_crash(&k);
	kit_open(&k);
	kit_expect(&k, ino, 0, 40 * MIB, 5);
	kit_close(&k);
	kit_end(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_crash),
		cmocka_unit_test(test_every_pair),
		cmocka_unit_test(test_degraded_writes),
		cmocka_unit_test(test_largest_segments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
