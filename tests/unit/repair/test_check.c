/* SPDX-License-Identifier: Apache-2.0 */
/* A check of pools that are well, of segments that are not, and of what is
 * left of the files then. */
#include "unit/repair/check_kit.h"

static void a_fresh_pool_is_clean(void **state)
{
	struct kit k;

	(void)state;
	kit_begin(&k);
	expect_clean(&k, false);
	expect_clean(&k, true);
	kit_end(&k);
}

static void a_pool_with_files_is_clean(void **state)
{
	struct kit k;
	struct seen *s;

	(void)state;
	kit_fill(&k);
	expect_clean(&k, false);
	s = kit_check(&k, true);
	assert_int_equal(seen_bad(s), 0);
	assert_true(s->totals.segments >= 2);
	assert_true(s->totals.index_segments >= 2);
	assert_true(s->totals.chunks_opened >= 9 * 8);
	assert_true(s->calls > 0);
	assert_int_equal(s->totals.orphans, 0);
	free(s);
	/* And again after another mount, and without a cache folder. */
	kit_open(&k);
	kit_close(&k);
	kit_lose_cache(&k);
	expect_clean(&k, false);
	kit_end(&k);
}

static void a_crashed_pool_is_clean(void **state)
{
	struct kit k;
	struct seen *s;

	(void)state;
	kit_fill_and_crash(&k);
	s = kit_check(&k, true);
	assert_int_equal(seen_bad(s), 0);
	EXPECT(s, JOURNAL_REPLAYED, 1);
	assert_int_equal(s->totals.chunks_opened, 5);
	free(s);
	kit_end(&k);
}

/* The fragments of one data segment, by folder. */
struct fragments {
	char name[KIT_FOLDERS][DRV_NAME_MAX + 1]; /* "" : has none of it */
	uint64_t size[KIT_FOLDERS];
	unsigned n;
};

/* Of the segment with the longest files below top. */
static struct fragments longest(const struct kit *k, const char *top)
{
	struct fragments f = {0};
	char key[64] = "";
	uint64_t most = 0;

	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i < KIT_FOLDERS; i++) {
			struct objects *o = objects_below(k, i, top);

			for (unsigned j = 0; j < o->n; j++) {
				const char *dot = strrchr(o->at[j].name, '.');
				int len = (int)(dot - o->at[j].name);

				if (pass == 0 && o->at[j].size > most) {
					most = o->at[j].size;
					snprintf(key, sizeof(key), "%.*s", len,
						 o->at[j].name);
				}
				if (pass == 0 ||
				    strncmp(o->at[j].name, key, (size_t)len) ||
				    key[len])
					continue;
				strcpy(f.name[i], o->at[j].name);
				f.size[i] = o->at[j].size;
				f.n++;
			}
			free(o);
		}
	assert_true(f.n > 0);
	return f;
}

static void header_rot_is_found(void **state)
{
	struct fragments f;
	struct kit k;
	struct seen *s;

	(void)state;
	kit_fill(&k);
	f = longest(&k, "data");
	assert_int_equal(f.n, 6);
	object_flip(&k, 0, f.name[0], 20);
	s = kit_check(&k, false);
	EXPECT(s, SEGMENT_FRAGMENT_BAD, 1);
	EXPECT(s, SEGMENT_DEGRADED, 1);
	assert_non_null(
		strstr(s->detail[FINDING_SEGMENT_FRAGMENT_BAD], f.name[0]));
	assert_int_equal(seen_bad(s), 2);
	assert_int_equal(s->totals.files_hit, 0);
	free(s);
	kit_end(&k);
}

static void data_rot_needs_read_data(void **state)
{
	struct fragments f;
	struct kit k;
	struct seen *s;

	(void)state;
	kit_fill(&k);
	f = longest(&k, "data");
	object_flip(&k, 3, f.name[3], f.size[3] / 2);
	s = kit_check(&k, false);
	assert_int_equal(seen_bad(s), 0);
	free(s);
	s = kit_check(&k, true);
	EXPECT(s, SEGMENT_FRAGMENT_BAD, 1);
	EXPECT(s, SEGMENT_DEGRADED, 1);
	assert_int_equal(seen_bad(s), 2);
	free(s);
	kit_end(&k);
}

static void missing_and_short_fragments(void **state)
{
	struct fragments f;
	struct kit k;
	struct seen *s;
	uint8_t block[4096] = {0};

	(void)state;
	kit_fill(&k);
	f = longest(&k, "data");
	object_remove(&k, 1, f.name[1]);
	/* One block too long. */
	object_write(&k, 2, f.name[2], block, sizeof(block), f.size[2], 0);
	s = kit_check(&k, false);
	EXPECT(s, SEGMENT_FRAGMENT_MISSING, 1);
	EXPECT(s, SEGMENT_FRAGMENT_BAD, 1);
	EXPECT(s, SEGMENT_DEGRADED, 1);
	EXPECT(s, SEGMENT_LOST, 0);
	assert_int_equal(s->totals.files_hit, 0);
	free(s);
	kit_end(&k);
}

/* Beyond m: just the files are named that cannot be read. */
static void beyond_parity_files_are_named(void **state)
{
	struct fragments f;
	struct kit k;
	struct seen *s;

	(void)state;
	kit_fill(&k);
	f = longest(&k, "data");
	for (unsigned i = 0; i < 3; i++)
		object_remove(&k, i, f.name[i]);
	s = kit_check(&k, false);
	EXPECT(s, SEGMENT_FRAGMENT_MISSING, 3);
	EXPECT(s, SEGMENT_LOST, 1);
	EXPECT(s, CHUNK_DAMAGED, 0);
	assert_true(seen_named(s, "/dir/large"));
	assert_int_equal(s->totals.files_hit, s->hits);
	expect_named_truly(&k, s);
	free(s);
	kit_end(&k);
}

/* Three fragments damaged, but never the same blocks: all can be read. */
static void scattered_rot_names_no_file(void **state)
{
	struct fragments f;
	struct kit k;
	struct seen *s;

	(void)state;
	kit_fill(&k);
	f = longest(&k, "data");
	for (unsigned i = 0; i < 3; i++)
		object_flip(&k, i, f.name[i], 4096 + 70000 + i * 131072);
	s = kit_check(&k, true);
	EXPECT(s, SEGMENT_FRAGMENT_BAD, 3);
	EXPECT(s, SEGMENT_LOST, 1);
	EXPECT(s, FILE_UNREADABLE, 0);
	free(s);
	kit_end(&k);
}

static void damage_anything(const struct kit *k, unsigned times)
{
	for (unsigned n = 0; n < times; n++) {
		unsigned i = (unsigned)rand() % KIT_FOLDERS;
		struct objects *o = objects_below(k, i, "data");
		unsigned j = (unsigned)rand() % MAX(o->n, 1u);
		uint64_t off = (uint64_t)rand() * 4093;

		if (o->n > 0 && rand() % 3 == 0)
			object_remove(k, i, o->at[j].name);
		else if (o->n > 0)
			object_flip(k, i, o->at[j].name, off % o->at[j].size);
		free(o);
	}
}

static void any_damage_is_told_truly(void **state)
{
	(void)state;
	srand((unsigned)test_seed());
	for (unsigned round = 0; round < 5; round++) {
		struct kit k;
		struct seen *s;

		kit_fill(&k);
		damage_anything(&k, 5 + round * 3);
		s = kit_check(&k, true);
		expect_named_truly(&k, s);
		free(s);
		kit_end(&k);
	}
}

static void unreachable_is_not_lost(void **state)
{
	struct kit k;
	struct seen *s;

	(void)state;
	kit_fill(&k);
	kit_hide(&k, 0);
	kit_hide(&k, 4);
	s = kit_check(&k, true);
	EXPECT(s, MEMBER_MISSING, 2);
	EXPECT(s, SEGMENT_FRAGMENT_MISSING, 0);
	EXPECT(s, SEGMENT_FRAGMENT_BAD, 0);
	EXPECT(s, SEGMENT_FRAGMENT_UNREAD, 0);
	assert_true(s->n[FINDING_SEGMENT_DEGRADED] > 0);
	assert_int_equal(s->totals.findings[SEVERITY_ERROR], 0);
	free(s);
	kit_end(&k);
}

/* Not even for reading is a pool opened of which segments are out of reach. */
static void expect_refused(struct kit *k)
{
	struct diag d = DIAG_INIT;

	k->o.read_only = true;
	assert_true(volume_open(&k->o, &d, &k->v) < 0);
	assert_true(d.text[0] != 0);
	k->v = NULL;
}

static void too_few_folders(void **state)
{
	struct kit k;
	struct seen *s;

	(void)state;
	kit_fill(&k);
	for (unsigned i = 0; i < 3; i++)
		kit_hide(&k, i);
	s = kit_check(&k, false);
	EXPECT(s, MEMBER_MISSING, 3);
	EXPECT(s, POOL_TOO_FEW, 1);
	EXPECT(s, SEGMENT_LOST, 0);
	/* Those of the index have three fragments, perhaps just in these. */
	if (s->n[FINDING_INDEX_UNREADABLE] +
	    s->n[FINDING_MANIFEST_UNREADABLE]) {
		assert_true(s->n[FINDING_REGION_UNREADABLE] +
				    s->n[FINDING_MANIFEST_UNREADABLE] >
			    0);
	} else {
		assert_true(s->n[FINDING_SEGMENT_UNAVAILABLE] > 0);
		assert_true(seen_named(s, "/dir/large"));
	}
	expect_refused(&k);
	free(s);
	kit_end(&k);
}

static void orphans_are_noted(void **state)
{
	static const char *const names[] = {
		"data/2a/000000000000002a-1122334455667788.0",
		"index/07/0000000000000007-1122334455667788.3",
		"data/2a/whatever",
		"data/stray",
	};
	struct kit k;
	struct seen *s;

	(void)state;
	kit_fill(&k);
	for (unsigned i = 0; i < 4; i++)
		object_write(&k, i, names[i], "x", 1, 0, DRV_CREATE);
	s = kit_check(&k, false);
	EXPECT(s, ORPHAN_OBJECT, 4);
	assert_int_equal(s->totals.orphans, 4);
	assert_int_equal(s->totals.orphan_bytes, 4);
	assert_int_equal(seen_bad(s), 0);
	free(s);
	kit_end(&k);
}

/* A fragment under its right name in the wrong folder is two findings. */
static void a_moved_fragment(void **state)
{
	struct fragments f;
	struct kit k;
	struct seen *s;
	uint8_t *p;

	(void)state;
	kit_fill(&k);
	f = longest(&k, "data");
	p = malloc(f.size[0]);
	object_read(&k, 0, f.name[0], p, f.size[0], 0);
	object_remove(&k, 0, f.name[0]);
	object_write(&k, 1, f.name[0], p, f.size[0], 0, DRV_CREATE);
	free(p);
	s = kit_check(&k, false);
	EXPECT(s, SEGMENT_FRAGMENT_MISSING, 1);
	EXPECT(s, ORPHAN_OBJECT, 1);
	EXPECT(s, SEGMENT_DEGRADED, 1);
	free(s);
	kit_end(&k);
}

static void it_can_be_cancelled_anywhere(void **state)
{
	struct kit k;
	uint64_t at = 1;
	int rc;

	(void)state;
	kit_fill(&k);
	do {
		struct seen *s = calloc(1, sizeof(*s));

		assert_non_null(s);
		s->cancel_at = at;
		rc = kit_try_check(&k, true, s);
		assert_true(rc == 0 || rc == -ECANCELED);
		free(s);
		at += at < 12 ? 1 : 5;
	} while (rc == -ECANCELED);
	assert_true(at > 10);
	kit_end(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fresh_pool_is_clean),
		cmocka_unit_test(a_pool_with_files_is_clean),
		cmocka_unit_test(a_crashed_pool_is_clean),
		cmocka_unit_test(header_rot_is_found),
		cmocka_unit_test(data_rot_needs_read_data),
		cmocka_unit_test(missing_and_short_fragments),
		cmocka_unit_test(beyond_parity_files_are_named),
		cmocka_unit_test(scattered_rot_names_no_file),
		cmocka_unit_test(any_damage_is_told_truly),
		cmocka_unit_test(unreachable_is_not_lost),
		cmocka_unit_test(too_few_folders),
		cmocka_unit_test(orphans_are_noted),
		cmocka_unit_test(a_moved_fragment),
		cmocka_unit_test(it_can_be_cancelled_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
