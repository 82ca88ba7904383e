// SPDX-License-Identifier: GPL-2.0
/*
 * The statistics add up: each object is in use, pending or free, and each
 * deferred free is counted once when it is queued and once when it comes back.
 */
#include "gs_kunit.h"

static void gs_stats_add_up(struct kunit *test)
{
	struct gs_node *kept, *freed, *queued;
	struct gs_cache_stats stats;
	struct gs_cache *c;

	gs_pin_self(test);
	c = gs_test_cache(test, "gs_stats", 100, NULL, gs_param_flags(test));
	stats = gs_test_stats(test, c);
	KUNIT_EXPECT_GE(test, stats.object_size, 100);
	KUNIT_EXPECT_EQ(test, stats.live, 0);
	KUNIT_EXPECT_EQ(test, stats.queued, 0);
	KUNIT_EXPECT_EQ(test, stats.done, 0);

	kept = gs_test_list(test, c, 100, NULL);
	freed = gs_test_list(test, c, 200, NULL);
	queued = gs_test_list(test, c, 300, NULL);
	stats = gs_test_stats(test, c);
	KUNIT_EXPECT_EQ(test, stats.live, 600);
	KUNIT_EXPECT_GE(test, stats.objects, 600);
	KUNIT_EXPECT_GE(test, stats.slabs, 1);
	KUNIT_EXPECT_LE(test, stats.live + stats.cached, stats.objects);

	gs_list_free(c, freed);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).live, 400);
	gs_list_free_rcu(c, queued);
	stats = gs_test_stats(test, c);
	KUNIT_EXPECT_EQ(test, stats.live, 100);
	KUNIT_EXPECT_EQ(test, stats.queued, 300);
	gs_cache_barrier(c);
	stats = gs_test_stats(test, c);
	KUNIT_EXPECT_EQ(test, stats.live, 100);
	KUNIT_EXPECT_EQ(test, stats.queued, 300);
	KUNIT_EXPECT_EQ(test, stats.done, 300);
	KUNIT_EXPECT_GE(test, stats.sealed, 1);
	KUNIT_EXPECT_LE(test, stats.live + stats.cached, stats.objects);
	gs_list_free(c, kept);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).live, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* A cache's figures are its own. */
static void gs_stats_apart(struct kunit *test)
{
	struct gs_cache *a, *b;

	a = gs_test_cache(test, "gs_stats", 100, NULL, gs_param_flags(test));
	b = gs_test_cache(test, "gs_stats2", 100, NULL, gs_param_flags(test));
	gs_list_free_rcu(a, gs_test_list(test, a, 50, NULL));
	gs_list_free_rcu(b, gs_test_list(test, b, 70, NULL));
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, a).queued, 50);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, b).queued, 70);
	gs_barrier();
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, a).done, 50);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, b).done, 70);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, a), 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, b), 0);
}

/* A deferred free without a sheaf is counted as one. */
static void gs_stats_no_sheaf(struct kunit *test)
{
	struct gs_cache_stats stats;
	struct gs_node *list;
	struct gs_cache *c;

	gs_pin_self(test);
	c = gs_test_cache(test, "gs_stats", 100, NULL, gs_param_flags(test));
	gs_inject(GS_INJECT_SHEAF, 1000);
	list = gs_test_list(test, c, 20, NULL);
	gs_list_free_rcu(c, list);
	gs_inject(GS_INJECT_SHEAF, 0);
	stats = gs_test_stats(test, c);
	KUNIT_EXPECT_EQ(test, stats.queued, 20);
	KUNIT_EXPECT_EQ(test, stats.queued_bits, 20);
	KUNIT_EXPECT_GE(test, stats.frees_bits, 20);
	gs_list_free_rcu(c, gs_test_list(test, c, 20, NULL));
	gs_cache_barrier(c);
	stats = gs_test_stats(test, c);
	KUNIT_EXPECT_EQ(test, stats.queued, 40);
	KUNIT_EXPECT_EQ(test, stats.done, 40);
	KUNIT_EXPECT_EQ(test, stats.queued_bits, 20);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* Memory is bounded: what comes back is used again before more is taken. */
static void gs_stats_bounded(struct kunit *test)
{
	struct gs_cache_stats stats;
	struct gs_cache *c;
	int i;

	c = gs_test_cache(test, "gs_stats", 100, NULL, gs_param_flags(test));
	for (i = 0; i < 12; i++) {
		gs_list_free_rcu(c, gs_test_list(test, c, 400, NULL));
		gs_cache_barrier(c);
	}
	stats = gs_test_stats(test, c);
	KUNIT_EXPECT_EQ(test, stats.done, 12 * 400);
	KUNIT_EXPECT_LT(test, stats.objects, 5 * 400);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

static struct kunit_case gs_stats_cases[] = {
	KUNIT_CASE_PARAM(gs_stats_add_up, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_stats_apart, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_stats_no_sheaf, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_stats_bounded, gs_flags_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_stats_suite = {
	.name = "gs_stats",
	.test_cases = gs_stats_cases,
};

kunit_test_suite(gs_stats_suite);
