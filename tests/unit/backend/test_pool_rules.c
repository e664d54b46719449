/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules that only count: geometry, who may write, how much fits.
 */
#include "unit/backend/pool_kit.h"

#define PLACE "mem:rules"

/* ---- geometry ---- */

static void test_defaults(void **state)
{
	static const unsigned want[][3] = {
		{1, 1, 0},  {2, 1, 1},	 {3, 2, 1},   {4, 2, 2},   {5, 3, 2},
		{6, 4, 2},  {7, 5, 2},	 {8, 6, 2},   {9, 6, 3},   {10, 7, 3},
		{12, 9, 3}, {13, 10, 3}, {14, 10, 3}, {32, 10, 3},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(want); i++) {
		struct geometry g;
		unsigned k, m;

		geometry_default(want[i][0], &k, &m);
		assert_int_equal(k, want[i][1]);
		assert_int_equal(m, want[i][2]);
		g = kit_geometry(k, m);
		assert_int_equal(geometry_check(&g, want[i][0], NULL), 0);
	}
}

static void test_counts(void **state)
{
	(void)state;
	for (unsigned n = 0; n <= 34; n++)
		for (unsigned k = 0; k <= 26; k++)
			for (unsigned m = 0; m <= 10; m++) {
				struct geometry g = kit_geometry(k, m);
				bool good = n >= 1 && n <= 32 && k >= 1 &&
					    k <= 24 && m <= 8 && k + m <= n;

				assert_int_equal(geometry_check(&g, n, NULL),
						 good ? 0 : -EINVAL);
			}
}

static void refuse(struct geometry g, const char *what)
{
	struct diag d = DIAG_INIT;

	assert_int_equal(geometry_check(&g, 3, &d), -EINVAL);
	if (!strstr(d.text, what))
		fail_msg("'%s' is not in: %s", what, d.text);
}

static void test_sizes(void **state)
{
	struct geometry g = kit_geometry(2, 1);

	(void)state;
	g.chunk_bytes = 8u << 10;
	refuse(g, "--chunk-size");
	g.chunk_bytes = 8u << 20;
	refuse(g, "--chunk-size");
	g.chunk_bytes = 96u << 10;
	refuse(g, "--chunk-size");
	g.chunk_bytes = 4u << 20;
	g.segment_bytes = 2u << 20;
	refuse(g, "--segment-size");
	g.segment_bytes = 64u << 20;
	refuse(g, "--segment-size");
	g.segment_bytes = 512u << 10;
	refuse(g, "--segment-size");
	g.segment_bytes = 12u << 20;
	assert_int_equal(geometry_check(&g, 3, NULL), 0);
	g.cipher = (enum cipher)3;
	refuse(g, "--cipher");
	g = kit_geometry(2, 1);
	g.level = 23;
	refuse(g, "--compression");
	g.level = COMPRESS_NONE;
	assert_int_equal(geometry_check(&g, 3, NULL), 0);
	refuse(kit_geometry(3, 1), "4 folders");
}

/* ---- who may write ---- */

/* A pool by the numbers: the first `up` of n members are there. */
static struct pool *pool_of(unsigned n, unsigned m, unsigned up,
			    struct backend *b)
{
	struct pool_impl *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->pub.n = p->pub.sb.n = n;
	p->pub.geo = kit_geometry(n - m, m);
	for (unsigned i = 0; i < n; i++) {
		char name[16];

		snprintf(name, sizeof(name), "/mnt/%u", i);
		p->pub.member[i].path = strdup(name);
		p->pub.member[i].backend = i < up ? b : NULL;
		p->pub.member[i].why = i < up ? 0 : -ERR_EMPTY_FOLDER;
	}
	return &p->pub;
}

static void pool_forget(struct pool *p)
{
	for (unsigned i = 0; i < p->n; i++)
		free(p->member[i].path);
	free(pool_impl_of(p));
}

struct judged {
	enum pool_access access;
	int rc;
	struct diag diag;
};

static struct judged judge(const struct pool *p, struct pool_rule_options o)
{
	struct judged j = {.diag = DIAG_INIT};

	j.access = pool_judge(p, &o, &j.diag, &j.rc);
	return j;
}

static void assert_judged(struct judged j, enum pool_access access, int rc)
{
	assert_int_equal(j.access, access);
	assert_int_equal(j.rc, rc);
	/* Less than asked for is explained; otherwise there is silence. */
	assert_int_equal(j.diag.text[0] != '\0', rc != 0);
}

static void judge_one(unsigned n, unsigned m, unsigned up, struct backend *b)
{
	const struct pool_rule_options ro = {.read_only = true};
	const struct pool_rule_options degraded = {.degraded = true};
	const struct pool_rule_options both = {.degraded = true,
					       .accept_rollback = true};
	const struct pool_rule_options rollback = {.accept_rollback = true};
	struct pool *p = pool_of(n, m, up, b);
	bool enough = up + m >= n, majority = 2 * up > n;
	int rc = !enough ? -ERR_TOO_FEW : majority ? 0 : -ERR_NO_MAJORITY;
	enum pool_access plain = rc ? POOL_READ_ONLY : POOL_READ_WRITE;

	assert_judged(judge(p, ro), POOL_READ_ONLY, 0);
	assert_judged(judge(p, (struct pool_rule_options){0}), plain, rc);
	assert_judged(judge(p, rollback), plain, rc);
	assert_judged(judge(p, both), POOL_READ_WRITE, 0);
	if (enough)
		assert_judged(judge(p, degraded), POOL_READ_WRITE, 0);
	else
		assert_judged(judge(p, degraded), POOL_READ_ONLY, -ERR_TOO_FEW);
	pool_forget(p);
}

static void test_judge_all_counts(void **state)
{
	struct backend *b;

	(void)state;
	assert_int_equal(backend_open(PLACE, 5000, &b), 0);
	for (unsigned n = 1; n <= 10; n++)
		for (unsigned m = 0; m < n && m <= 8; m++) {
			struct pool *p = pool_of(n, m, 0, b);

			for (unsigned up = 1; up <= n; up++)
				judge_one(n, m, up, b);
			assert_judged(judge(p,
					    (struct pool_rule_options){
						    .read_only = true}),
				      POOL_REFUSED, -ERR_TOO_FEW);
			pool_forget(p);
		}
	backend_close(b, 5000);
}

static void assert_in(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("'%s' is not in: %s", part, text);
}

static void test_judge_says_what_to_do(void **state)
{
	const struct pool_rule_options plain = {0};
	struct backend *b;
	struct judged j;
	struct pool *p;

	(void)state;
	assert_int_equal(backend_open(PLACE, 5000, &b), 0);
	p = pool_of(4, 2, 2, b);
	j = judge(p, plain);
	assert_in(j.diag.text, "2 of 4");
	assert_in(j.diag.text, "/mnt/2 (folder is empty");
	assert_in(j.diag.text, "/mnt/3");
	assert_in(j.diag.text, "-o degraded");
	assert_null(strstr(j.diag.text, "/mnt/1"));
	pool_forget(p);
	p = pool_of(4, 1, 2, b);
	j = judge(p, plain);
	assert_in(j.diag.text, "writing needs 3");
	assert_in(j.diag.text, "-o ro");
	assert_in(j.diag.text, "accept_rollback");
	pool_forget(p);
	p = pool_of(4, 1, 0, b);
	j = judge(p, plain);
	assert_in(j.diag.text, "none of the 4");
	pool_forget(p);
	backend_close(b, 5000);
}

/* A member that is attached but DOWN is not there. */
static void test_down_does_not_count(void **state)
{
	struct backend *b;
	struct pool *p;

	(void)state;
	assert_int_equal(backend_open(PLACE, 5000, &b), 0);
	p = pool_of(3, 1, 3, b);
	assert_int_equal(pool_up(p), 3);
	backend_set_down(b, true);
	assert_int_equal(pool_up(p), 0);
	assert_judged(judge(p, (struct pool_rule_options){0}), POOL_REFUSED,
		      -ERR_TOO_FEW);
	pool_forget(p);
	backend_close(b, 5000);
}

static void test_frozen(void **state)
{
	const struct pool_rule_options plain = {0};
	const struct pool_rule_options force = {.degraded = true,
						.accept_rollback = true};
	struct backend *b;
	struct pool *p;

	(void)state;
	assert_int_equal(backend_open(PLACE, 5000, &b), 0);
	p = pool_of(3, 1, 3, b);
	p->read_only = true;
	assert_judged(judge(p, plain), POOL_READ_ONLY, -EROFS);
	p->diverged = true;
	assert_judged(judge(p, force), POOL_READ_ONLY, -ERR_DIVERGED);
	p->sb.ro_compat = 1ULL << 40;
	assert_judged(judge(p, force), POOL_READ_ONLY, -ERR_FEATURE);
	assert_judged(judge(p, (struct pool_rule_options){.read_only = true}),
		      POOL_READ_ONLY, 0);
	pool_forget(p);
	backend_close(b, 5000);
}

/* A message about 32 members with long paths is cut, not overrun. */
static void test_long_list(void **state)
{
	struct pool *p = pool_of(32, 8, 0, NULL);
	struct judged j;

	(void)state;
	for (unsigned i = 0; i < 32; i++) {
		char *path = malloc(SB_PATH_MAX + 1);

		assert_non_null(path);
		memset(path, 'p', SB_PATH_MAX);
		path[SB_PATH_MAX] = '\0';
		free(p->member[i].path);
		p->member[i].path = path;
	}
	j = judge(p, (struct pool_rule_options){0});
	assert_judged(j, POOL_REFUSED, -ERR_TOO_FEW);
	assert_in(j.diag.text, "try again");
	pool_forget(p);
}

/* ---- how much fits ---- */

/* Slots of one unit on each member, w distinct members per stripe: always
 * taking the fullest w is optimal. */
static uint64_t brute_force(const uint64_t *v, unsigned n, unsigned w)
{
	uint64_t left[POOL_MEMBERS_MAX], stripes = 0;

	memcpy(left, v, n * sizeof(v[0]));
	for (;; stripes++) {
		bool used[POOL_MEMBERS_MAX] = {false};

		for (unsigned j = 0; j < w; j++) {
			unsigned best = n;

			for (unsigned i = 0; i < n; i++)
				if (!used[i] && left[i] &&
				    (best == n || left[i] > left[best]))
					best = i;
			if (best == n)
				return stripes;
			used[best] = true;
			left[best]--;
		}
	}
}

static void test_space_by_brute_force(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 3000; round++) {
		unsigned n = 1 + (unsigned)rnd_below(8);
		unsigned k = 1 + (unsigned)rnd_below(n);
		unsigned m = (unsigned)rnd_below(n - k + 1);
		struct space_member s[8];
		struct geometry g = kit_geometry(k, m);
		struct pool_space got;
		uint64_t v[8], total[8];

		for (unsigned i = 0; i < n; i++) {
			v[i] = rnd_below(1 + rnd_below(60));
			total[i] = v[i] + rnd_below(20);
			s[i] = (struct space_member){v[i], total[i], i};
		}
		pool_space_of(s, n, &g, &got);
		assert_int_equal(got.free_bytes, k * brute_force(v, n, k + m));
		assert_int_equal(got.total_bytes,
				 k * brute_force(total, n, k + m));
	}
}

static void test_space_of_equals(void **state)
{
	struct geometry g = kit_geometry(4, 2);
	struct space_member s[8];
	struct pool_space got;

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		s[i] = (struct space_member){600, 1200, i};
	pool_space_of(s, 8, &g, &got);
	assert_int_equal(got.free_bytes, 8 * 600 / 6 * 4);
	assert_int_equal(got.total_bytes, 8 * 1200 / 6 * 4);
	assert_int_equal(got.raw_free, 4800);
	assert_int_equal(got.raw_total, 9600);
	assert_int_equal(got.smallest_total, 1200);
	/* One giant is worth no more than its partners. */
	s[0].free_bytes = 1u << 30;
	pool_space_of(s, 8, &g, &got);
	assert_int_equal(got.free_bytes, 7 * 600 / 5 * 4);
}

/* With fewer than k+m up, what is still written counts. */
static void test_space_degraded(void **state)
{
	struct geometry g = kit_geometry(4, 2);
	struct space_member s[5];
	struct pool_space got;

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		s[i] = (struct space_member){500, 500, i};
	pool_space_of(s, 5, &g, &got); /* 3+2 */
	assert_int_equal(got.free_bytes, 1500);
	pool_space_of(s, 2, &g, &got); /* 1+1 */
	assert_int_equal(got.free_bytes, 500);
	pool_space_of(s, 1, &g, &got); /* 1+0 */
	assert_int_equal(got.free_bytes, 500);
	pool_space_of(s, 0, &g, &got);
	assert_int_equal(got.free_bytes, 0);
	assert_int_equal(got.raw_total, 0);
}

/* Full members cost width: what the others take in narrower stripes. */
static void test_space_narrow(void **state)
{
	struct geometry g = kit_geometry(4, 2);
	struct space_member s[6];
	struct pool_space got;

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		s[i] = (struct space_member){600, 1200, i};
	pool_space_of(s, 6, &g, &got);
	assert_int_equal(got.free_bytes, 4 * 600);
	assert_int_equal(got.narrow_bytes, 0);
	s[1].free_bytes = 0;
	pool_space_of(s, 6, &g, &got); /* 3+2 on five */
	assert_int_equal(got.free_bytes, 0);
	assert_int_equal(got.narrow_bytes, 3 * 600);
	s[4].free_bytes = 100;
	pool_space_of(s, 6, &g, &got); /* then 2+2 on four */
	assert_int_equal(got.narrow_bytes, 3 * 100 + 2 * 500);
	s[0].free_bytes = s[1].free_bytes = 0;
	s[2].free_bytes = s[3].free_bytes = 0;
	s[4].free_bytes = s[5].free_bytes = 600;
	pool_space_of(s, 6, &g, &got); /* two cannot be trusted with 1+2 */
	assert_int_equal(got.free_bytes, 0);
	assert_int_equal(got.narrow_bytes, 0);
}

static void test_space_shared(void **state)
{
	struct geometry g = kit_geometry(2, 1);
	struct pool_space got;
	/* Two folders on one disk, seen at slightly different times. */
	struct space_member s[3] = {
		{1000, 4000, 7}, {990, 4000, 7}, {800, 900, 8}};

	(void)state;
	pool_space_of(s, 3, &g, &got);
	assert_int_equal(got.raw_free, 495 + 495 + 800);
	assert_int_equal(got.raw_total, 2000 + 2000 + 900);
	assert_int_equal(got.free_bytes, 2 * 495);
	assert_int_equal(got.smallest_total, 900);
	/* One domain, but different sizes (quotas): not shared. */
	s[1].total_bytes = 3999;
	pool_space_of(s, 3, &g, &got);
	assert_int_equal(got.raw_free, 1000 + 990 + 800);
}

static void test_space_huge(void **state)
{
	struct geometry g = kit_geometry(24, 8);
	struct space_member s[32];
	struct pool_space got;

	(void)state;
	for (unsigned i = 0; i < 32; i++)
		s[i] = (struct space_member){UINT64_MAX / 32, UINT64_MAX / 32,
					     i};
	pool_space_of(s, 32, &g, &got);
	assert_int_equal(got.free_bytes, UINT64_MAX / 32 * 24);
	/* Nonsense from a driver saturates. */
	for (unsigned i = 0; i < 32; i++)
		s[i].free_bytes = UINT64_MAX;
	pool_space_of(s, 32, &g, &got);
	assert_int_equal(got.free_bytes, UINT64_MAX);
}

static void test_space_of_a_pool(void **state)
{
	struct kit k;
	struct pool *p;
	struct pool_space got;

	(void)state;
	kit_init(&k, "", "space", 3);
	kit_make(&k, 1);
	p = kit_must_open(k.at[0]);
	for (unsigned i = 0; i < 3; i++) {
		struct bio *r = bio_new_usage();

		assert_int_equal(bio_run(p->member[i].backend, r), 0);
		bio_unref(r);
	}
	pool_space(p, &got);
	assert_true(got.free_bytes > 0);
	assert_true(got.free_bytes <= got.total_bytes);
	assert_true(got.total_bytes <= got.raw_total);
	pool_close(p);
	kit_forget(&k);
}

static int stop(void **state)
{
	mem_driver_forget("rules");
	return kit_stop(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_judge_all_counts),
		cmocka_unit_test(test_judge_says_what_to_do),
		cmocka_unit_test(test_down_does_not_count),
		cmocka_unit_test(test_frozen),
		cmocka_unit_test(test_long_list),
		cmocka_unit_test(test_space_by_brute_force),
		cmocka_unit_test(test_space_of_equals),
		cmocka_unit_test(test_space_degraded),
		cmocka_unit_test(test_space_narrow),
		cmocka_unit_test(test_space_shared),
		cmocka_unit_test(test_space_huge),
		cmocka_unit_test(test_space_of_a_pool),
	};

	return cmocka_run_group_tests(tests, kit_start, stop);
}
