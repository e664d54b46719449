/* SPDX-License-Identifier: Apache-2.0 */
/* A check of superblocks, journals and checkpoints that are not well. */
#include "unit/repair/check_kit.h"

#include "base/bytes.h"
#include "meta/journal_codec.h"

/* ---- superblocks ---- */

static void one_slot_damaged(void **state)
{
	struct kit k;
	struct seen *s;

	(void)state;
	kit_fill(&k);
	/* In the clear, in the sealed body, in the trailer. */
	object_flip(&k, 0, "mendfs.super.0", 50);
	object_flip(&k, 1, "mendfs.super.1", 2300);
	object_flip(&k, 2, "mendfs.super.0", 4090);
	s = kit_check(&k, false);
	EXPECT(s, SUPER_SLOT_DAMAGED, 3);
	EXPECT(s, MEMBER_DAMAGED, 0);
	assert_non_null(strstr(s->subject[FINDING_SUPER_SLOT_DAMAGED],
			       "mendfs.super."));
	assert_int_equal(s->totals.findings[SEVERITY_ERROR], 0);
	free(s);
	kit_end(&k);
}

/* All newest slots but one are gone: one folder is enough. */
static void the_newest_superblock_in_one_folder(void **state)
{
	struct kit k;
	struct seen *s;

	(void)state;
	kit_fill(&k);
	for (unsigned i = 1; i < KIT_FOLDERS; i++) {
		uint8_t a[8], b[8];

		/* The generation is at byte 64, in the clear. */
		object_read(&k, i, "mendfs.super.0", a, 8, 64);
		object_read(&k, i, "mendfs.super.1", b, 8, 64);
		object_flip(&k, i,
			    get_le64(a) > get_le64(b) ? "mendfs.super.0"
						      : "mendfs.super.1",
			    3000);
	}
	s = kit_check(&k, false);
	EXPECT(s, SUPER_SLOT_DAMAGED, 5);
	EXPECT(s, SUPER_STALE, 0);
	EXPECT(s, MANIFEST_OLDER_USED, 0);
	assert_int_equal(s->totals.findings[SEVERITY_ERROR], 0);
	free(s);
	kit_end(&k);
}

static void both_slots_damaged(void **state)
{
	struct kit k;
	struct seen *s;

	(void)state;
	kit_fill(&k);
	object_flip(&k, 3, "mendfs.super.0", 100);
	object_flip(&k, 3, "mendfs.super.1", 100);
	s = kit_check(&k, false);
	EXPECT(s, MEMBER_DAMAGED, 1);
	EXPECT(s, MEMBER_MISSING, 0);
	assert_true(s->n[FINDING_SEGMENT_DEGRADED] > 0);
	assert_int_equal(s->totals.findings[SEVERITY_ERROR], 0);
	free(s);
	kit_end(&k);
}

static void a_slot_is_missing(void **state)
{
	struct kit k;
	struct seen *s;

	(void)state;
	kit_fill(&k);
	object_remove(&k, 2, "mendfs.super.0");
	s = kit_check(&k, false);
	EXPECT(s, SUPER_SLOT_MISSING, 1);
	free(s);
	kit_end(&k);
}

/* Two folders' superblocks are swapped: each is authentic, in a wrong place. */
static void a_slot_of_another_member(void **state)
{
	struct kit k;
	struct seen *s;
	static uint8_t buf[SB_MAX_BYTES];
	struct objects *o;
	size_t len = 0;

	(void)state;
	kit_fill(&k);
	o = objects_below(&k, 1, "");
	for (unsigned i = 0; i < o->n; i++)
		if (strcmp(o->at[i].name, "mendfs.super.0") == 0)
			len = o->at[i].size;
	free(o);
	assert_true(len > 0);
	object_read(&k, 1, "mendfs.super.0", buf, len, 0);
	object_remove(&k, 0, "mendfs.super.0");
	object_write(&k, 0, "mendfs.super.0", buf, len, 0, DRV_CREATE);
	/* Given both, they would be refused as copies of one another. */
	k.o.location = &k.locations[3];
	k.o.n = 1;
	s = kit_check(&k, false);
	assert_true(s->n[FINDING_SUPER_SLOT_DAMAGED] +
			    s->n[FINDING_MEMBER_MISSING] >
		    0);
	free(s);
	kit_end(&k);
}

static void a_folder_that_missed_a_mount(void **state)
{
	struct kit k;
	struct seen *s;

	(void)state;
	kit_fill(&k);
	kit_hide(&k, 5);
	kit_open(&k);
	kit_write(&k, kit_mk(&k, ROOT_INO, "late", S_IFREG | 0644), 0, 100, 9);
	kit_close(&k);
	fault_clear(k.location[5]);
	s = kit_check(&k, false);
	EXPECT(s, SUPER_STALE, 1);
	assert_int_equal(s->totals.findings[SEVERITY_ERROR], 0);
	free(s);
	kit_end(&k);
}

static void a_slot_that_cannot_be_read(void **state)
{
	struct fault_rule eio = {
		.kind = FAULT_ERROR,
		.ops = FAULT_OP_READ,
		.prefix = "mendfs.super.1",
		.err = EIO,
	};
	struct kit k;
	struct seen *s;

	(void)state;
	kit_fill(&k);
	OK(fault_add(k.location[4], &eio));
	s = kit_check(&k, false);
	EXPECT(s, SUPER_SLOT_UNREAD, 1);
	EXPECT(s, SUPER_SLOT_DAMAGED, 0);
	free(s);
	kit_end(&k);
}

/* ---- journal ---- */

/* Journal files of the crashed mount, not the spare. */
static unsigned holders(const struct kit *k, char name[KIT_FOLDERS][128])
{
	unsigned n = 0;

	for (unsigned i = 0; i < KIT_FOLDERS; i++) {
		struct objects *o = objects_below(k, i, "journal");

		name[i][0] = 0;
		for (unsigned j = 0; j < o->n; j++) {
			struct journal_name jn;

			OK(journal_codec_parse(o->at[j].name, &jn));
			if (jn.file > 0)
				strcpy(name[i], o->at[j].name);
		}
		n += name[i][0] != 0;
		free(o);
	}
	return n;
}

static void flip_in_copies(const struct kit *k, unsigned copies, uint64_t off)
{
	char name[KIT_FOLDERS][128];

	assert_int_equal(holders(k, name), 3);
	for (unsigned i = 0; i < KIT_FOLDERS && copies > 0; i++) {
		if (!name[i][0])
			continue;
		object_flip(k, i, name[i], off);
		copies--;
	}
}

/* The first of five records, in one and in two of three copies. */
static void a_record_is_damaged(void **state)
{
	for (unsigned copies = 1; copies <= 2; copies++) {
		struct kit k;
		struct seen *s;

		(void)state;
		kit_fill_and_crash(&k);
		flip_in_copies(&k, copies, 4096 + 100);
		s = kit_check(&k, false);
		EXPECT(s, JOURNAL_COPY_DAMAGED, copies);
		EXPECT(s, JOURNAL_COPIES_FEW, 1);
		EXPECT(s, JOURNAL_ACKED_LOST, 0);
		EXPECT(s, JOURNAL_REPLAYED, 1);
		assert_int_equal(s->totals.findings[SEVERITY_ERROR], 0);
		free(s);
		kit_end(&k);
	}
}

static void a_record_is_lost(void **state)
{
	struct kit k;
	struct seen *s;

	(void)state;
	kit_fill_and_crash(&k);
	flip_in_copies(&k, 3, 4096 + 100);
	s = kit_check(&k, false);
	EXPECT(s, JOURNAL_ACKED_LOST, 1);
	EXPECT(s, JOURNAL_COPY_DAMAGED, 3);
	free(s);
	kit_end(&k);
}

static void a_header_is_damaged(void **state)
{
	struct kit k;
	struct seen *s;

	(void)state;
	kit_fill_and_crash(&k);
	flip_in_copies(&k, 1, 30);
	s = kit_check(&k, false);
	EXPECT(s, JOURNAL_COPY_DAMAGED, 1);
	EXPECT(s, JOURNAL_COPIES_FEW, 1);
	EXPECT(s, JOURNAL_FILE_LOST, 0);
	free(s);
	kit_end(&k);

	kit_fill_and_crash(&k);
	flip_in_copies(&k, 3, 30);
	s = kit_check(&k, false);
	EXPECT(s, JOURNAL_COPY_DAMAGED, 3);
	EXPECT(s, JOURNAL_FILE_LOST, 1);
	free(s);
	kit_end(&k);
}

static void a_copy_is_gone(void **state)
{
	char name[KIT_FOLDERS][128];
	struct kit k;
	struct seen *s;
	unsigned i = 0;

	(void)state;
	kit_fill_and_crash(&k);
	assert_int_equal(holders(&k, name), 3);
	while (!name[i][0])
		i++;
	object_remove(&k, i, name[i]);
	s = kit_check(&k, false);
	EXPECT(s, JOURNAL_COPIES_FEW, 1);
	EXPECT(s, JOURNAL_COPY_DAMAGED, 0);
	assert_int_equal(seen_bad(s), 1);
	free(s);
	kit_end(&k);
}

/* Every copy is gone: nothing says that there ever was a journal, but what
 * the mount had striped shows as orphans. That is all that can be known. */
static void all_copies_are_gone(void **state)
{
	char name[KIT_FOLDERS][128];
	struct kit k;
	struct seen *s;

	(void)state;
	kit_fill_and_crash(&k);
	assert_int_equal(holders(&k, name), 3);
	for (unsigned i = 0; i < KIT_FOLDERS; i++)
		if (name[i][0])
			object_remove(&k, i, name[i]);
	s = kit_check(&k, false);
	EXPECT(s, JOURNAL_REPLAYED, 0);
	EXPECT(s, INDEX_UNREADABLE, 0);
	free(s);
	kit_end(&k);
}

/* A folder that was away for a mount still has the journal before it. */
static void an_old_journal_is_left(void **state)
{
	char name[KIT_FOLDERS][128];
	struct kit k;
	struct seen *s;
	unsigned i = 0;

	(void)state;
	kit_fill_and_crash(&k);
	assert_int_equal(holders(&k, name), 3);
	while (!name[i][0])
		i++;
	kit_hide(&k, i);
	kit_open(&k);
	kit_close(&k);
	fault_clear(k.location[i]);
	s = kit_check(&k, true);
	EXPECT(s, JOURNAL_OLD, 1);
	EXPECT(s, SUPER_STALE, 1);
	EXPECT(s, JOURNAL_REPLAYED, 0);
	assert_int_equal(seen_bad(s), 1);
	free(s);
	kit_end(&k);
}

/* ---- checkpoints ---- */

/* Every fragment whose name begins so, in folders from `first` on. */
static void remove_stripe(const struct kit *k, unsigned first, const char *key)
{
	for (unsigned i = first; i < KIT_FOLDERS; i++) {
		struct objects *o = objects_below(k, i, "index");

		for (unsigned j = 0; j < o->n; j++)
			if (strncmp(o->at[j].name, key, strlen(key)) == 0)
				object_remove(k, i, o->at[j].name);
		free(o);
	}
}

/* "index/xx/<segment>-<stripe>." of a segment. */
static void key_of(const struct seg_desc *d, char out[DRV_NAME_MAX + 1])
{
	frag_name(d, 0, out);
	*strrchr(out, '.') = 0;
}

static void keys_in_force(struct kit *k, char manifest[DRV_NAME_MAX + 1],
			  char region[DRV_NAME_MAX + 1])
{
	struct diag d = DIAG_INIT;
	struct inspect *in;

	OK(inspect_open(&k->o, &d, &in));
	key_of(&in->pool->sb.manifest.segment, manifest);
	key_of(&in->manifest.segment[in->manifest.region[0].segment].desc,
	       region);
	inspect_close(in);
}

static void the_newest_manifest_is_gone(void **state)
{
	char manifest[DRV_NAME_MAX + 1], region[DRV_NAME_MAX + 1];
	struct kit k;
	struct seen *s;

	(void)state;
	kit_fill(&k);
	keys_in_force(&k, manifest, region);
	remove_stripe(&k, 0, manifest);
	s = kit_check(&k, false);
	EXPECT(s, MANIFEST_UNREADABLE, 1);
	EXPECT(s, MANIFEST_OLDER_USED, 1);
	/* The lost checkpoint refers to what is no orphan therefore. */
	EXPECT(s, ORPHAN_OBJECT, 0);
	EXPECT(s, SEGMENT_LOST, 1);
	assert_non_null(
		strstr(s->subject[FINDING_SEGMENT_LOST], "index segment"));
	free(s);
	kit_end(&k);
}

static void a_region_is_gone(void **state)
{
	char manifest[DRV_NAME_MAX + 1], region[DRV_NAME_MAX + 1];
	struct kit k;
	struct seen *s;

	(void)state;
	kit_fill(&k);
	keys_in_force(&k, manifest, region);
	remove_stripe(&k, 0, region);
	s = kit_check(&k, false);
	EXPECT(s, INDEX_UNREADABLE, 1);
	assert_true(s->n[FINDING_REGION_UNREADABLE] > 0);
	assert_true(s->n[FINDING_SEGMENT_LOST] > 0);
	/* Nobody can tell what of the data is in use. */
	EXPECT(s, ORPHAN_OBJECT, 0);
	free(s);
	kit_end(&k);
}

static void no_manifest_at_all(void **state)
{
	struct kit k;
	struct seen *s;

	(void)state;
	kit_fill(&k);
	remove_stripe(&k, 0, "index/");
	s = kit_check(&k, false);
	assert_true(s->n[FINDING_MANIFEST_UNREADABLE] > 0);
	EXPECT(s, MANIFEST_OLDER_USED, 0);
	EXPECT(s, ORPHAN_OBJECT, 0);
	free(s);
	kit_end(&k);
}

/* ---- this machine ---- */

struct saved {
	struct objects *o[KIT_FOLDERS];
	uint8_t **data[KIT_FOLDERS];
};

static void save(const struct kit *k, struct saved *s)
{
	for (unsigned i = 0; i < KIT_FOLDERS; i++) {
		struct objects *o = objects_below(k, i, "");

		s->o[i] = o;
		s->data[i] = calloc(o->n + 1, sizeof(uint8_t *));
		for (unsigned j = 0; j < o->n; j++) {
			s->data[i][j] = malloc(o->at[j].size + 1);
			object_read(k, i, o->at[j].name, s->data[i][j],
				    o->at[j].size, 0);
		}
	}
}

static void put_back(const struct kit *k, struct saved *s)
{
	for (unsigned i = 0; i < KIT_FOLDERS; i++) {
		struct objects *now = objects_below(k, i, "");

		for (unsigned j = 0; j < now->n; j++)
			object_remove(k, i, now->at[j].name);
		free(now);
		for (unsigned j = 0; j < s->o[i]->n; j++) {
			if (s->o[i]->at[j].size > 0)
				object_write(k, i, s->o[i]->at[j].name,
					     s->data[i][j], s->o[i]->at[j].size,
					     0, DRV_CREATE);
			free(s->data[i][j]);
		}
		free(s->data[i]);
		free(s->o[i]);
	}
}

/* All folders come back from a backup. */
static void an_older_pool_is_noticed(void **state)
{
	struct saved saved;
	struct kit k;
	struct seen *s;

	(void)state;
	kit_fill(&k);
	save(&k, &saved);
	kit_open(&k);
	kit_write(&k, kit_mk(&k, ROOT_INO, "new", S_IFREG | 0644), 0, 10, 1);
	kit_close(&k);
	put_back(&k, &saved);
	s = kit_check(&k, false);
	EXPECT(s, LOCAL_NEWER, 1);
	assert_int_equal(seen_bad(s), 1);
	free(s);
	kit_lose_cache(&k);
	expect_clean(&k, false);
	kit_end(&k);
}

static void torn_local_state_is_no_harm(void **state)
{
	char cmd[160];
	struct kit k;
	struct seen *s;

	(void)state;
	kit_fill(&k);
	snprintf(cmd, sizeof(cmd), "for f in %s/*/state; do : >$f; done",
		 k.cache);
	assert_int_equal(system(cmd), 0);
	s = kit_check(&k, false);
	EXPECT(s, LOCAL_UNREADABLE, 1);
	assert_int_equal(seen_bad(s), 0);
	free(s);
	kit_end(&k);
}

/* The check leaves nothing in the cache folder but what was there. */
static void the_private_folder_is_removed(void **state)
{
	char cmd[200];
	struct kit k;

	(void)state;
	kit_fill(&k);
	snprintf(cmd, sizeof(cmd), "cd %s && find . ! -name .was >.was",
		 k.cache);
	assert_int_equal(system(cmd), 0);
	expect_clean(&k, false);
	snprintf(cmd, sizeof(cmd), "cd %s && find . ! -name .was | cmp - .was",
		 k.cache);
	assert_int_equal(system(cmd), 0);
	kit_end(&k);
}

/* ---- a machine in trouble ---- */

/* Whatever allocation fails: an error of this process, or a whole check. */
static void memory_runs_out_anywhere(void **state)
{
	struct kit k;
	uint64_t at = 1;
	int rc;

	(void)state;
	kit_begin(&k);
	kit_open(&k);
	kit_write(&k, kit_mk(&k, ROOT_INO, "a", S_IFREG | 0644), 0, 5000, 1);
	kit_close(&k);
	do {
		struct check_options co = {.read_data = true,
					   .report = seen_finding,
					   .cancelled = seen_cancelled};
		struct seen *s = calloc(1, sizeof(*s));
		struct diag d = DIAG_INIT;
		struct inspect *in = NULL;
		struct check_target t;
		bool failed;

		co.arg = s;
		OK(inspect_open(&k.o, &d, &in));
		t = target_of(in);
		mem_fail_at(at, 0);
		rc = check_pool(&t, &co, &s->totals);
		failed = mem_count() >= at;
		mem_fail_at(0, 0);
		assert_true(rc == 0 || rc == -ENOMEM);
		/* Memory is no damage of the pool; SQLite's own check cannot
		 * tell the two apart. */
		assert_int_equal(s->totals.findings[SEVERITY_ERROR],
				 s->n[FINDING_INDEX_SQLITE]);
		inspect_close(in);
		free(s);
		at += 1 + at / 6;
		if (!failed)
			break;
	} while (at < 100000);
	assert_true(at > 20);
	kit_end(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_slot_damaged),
		cmocka_unit_test(the_newest_superblock_in_one_folder),
		cmocka_unit_test(both_slots_damaged),
		cmocka_unit_test(a_slot_is_missing),
		cmocka_unit_test(a_slot_of_another_member),
		cmocka_unit_test(a_folder_that_missed_a_mount),
		cmocka_unit_test(a_slot_that_cannot_be_read),
		cmocka_unit_test(a_record_is_damaged),
		cmocka_unit_test(a_record_is_lost),
		cmocka_unit_test(a_header_is_damaged),
		cmocka_unit_test(a_copy_is_gone),
		cmocka_unit_test(all_copies_are_gone),
		cmocka_unit_test(an_old_journal_is_left),
		cmocka_unit_test(the_newest_manifest_is_gone),
		cmocka_unit_test(a_region_is_gone),
		cmocka_unit_test(no_manifest_at_all),
		cmocka_unit_test(an_older_pool_is_noticed),
		cmocka_unit_test(torn_local_state_is_no_harm),
		cmocka_unit_test(the_private_folder_is_removed),
		cmocka_unit_test(memory_runs_out_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
