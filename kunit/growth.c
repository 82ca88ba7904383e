// SPDX-License-Identifier: GPL-2.0
/*
 * Sheaves of a cache that nobody chose a capacity for grow with its use. How
 * large they are is seen from the batches: a batch is a sheaf.
 */
#include <linux/delay.h>

#include "gs_kunit.h"

#define GS_GROWTH_SIZE	64
/* What sheaves of such objects have room for, at first and at most. */
#define GS_GROWTH_FIRST	60
#define GS_GROWTH_MOST	508
#define GS_GROWTH_NR	(40 * GS_GROWTH_FIRST)

/* Allocates @nr objects and defers their frees; the batches that took. */
static u64 gs_growth_batches(struct kunit *test, struct gs_cache *c,
			     unsigned int nr)
{
	u64 sealed = gs_test_stats(test, c).sealed;

	gs_list_free_rcu(c, gs_test_list(test, c, nr, NULL));
	gs_cache_barrier(c);
	return gs_test_stats(test, c).sealed - sealed;
}

/*
 * Uses the cache until its batches are less than half as many as at first; where
 * that takes time, ticks seal some that are not full.
 */
static bool gs_growth_grow(struct kunit *test, struct gs_cache *c)
{
	return gs_wait_until(gs_growth_batches(test, c, GS_GROWTH_NR) <
			     GS_GROWTH_NR / GS_GROWTH_FIRST / 2);
}

static struct gs_cache *gs_growth_cache(struct kunit *test,
					const struct gs_cache_args *args)
{
	gs_pin_self(test);
	return gs_test_cache(test, "gs_growth", GS_GROWTH_SIZE, args,
			     gs_param_flags(test));
}

/* Bursts have it grow; gs_cache_shrink() has it start again. */
static void gs_growth_bursts(struct kunit *test)
{
	struct gs_cache *c = gs_growth_cache(test, NULL);
	void *obj;

	KUNIT_EXPECT_TRUE(test, gs_growth_grow(test, c));
	gs_cache_shrink(c);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).cached, 0);
	/* The first object comes with a sheaf's full of others. */
	obj = gs_cache_alloc(c, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, obj);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).cached,
			GS_GROWTH_FIRST - 1);
	gs_cache_free(c, obj);
	KUNIT_EXPECT_TRUE(test, gs_growth_grow(test, c));
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* A CPU keeps two sheaves, and a barn no more objects than it did. */
static void gs_growth_kept(struct kunit *test)
{
	struct gs_cache *c = gs_growth_cache(test, NULL);
	int i;

	for (i = 0; i < 3; i++) {
		KUNIT_EXPECT_TRUE(test, gs_growth_grow(test, c));
		gs_list_free(c,
			     gs_test_list(test, c, 10 * GS_GROWTH_MOST, NULL));
		KUNIT_EXPECT_LE(test, gs_test_stats(test, c).cached,
				4 * GS_GROWTH_MOST);
	}
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* What is used now and then keeps its small sheaves. */
static void gs_growth_seldom(struct kunit *test)
{
	enum { SHEAVES = 20 };
	struct gs_cache *c = gs_growth_cache(test, NULL);
	int i;

	for (i = 0; i < 5; i++) {
		KUNIT_EXPECT_GE(test,
				gs_growth_batches(test, c,
						  SHEAVES * GS_GROWTH_FIRST),
				SHEAVES);
		msleep(250);
	}
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* Who chose a capacity has it, from the beginning or later. */
static void gs_growth_chosen(struct kunit *test)
{
	struct gs_cache_args args = { .sheaf_capacity = GS_GROWTH_FIRST };
	struct gs_cache *c = gs_growth_cache(test, &args);
	int i;

	for (i = 0; i < 10; i++)
		KUNIT_EXPECT_GE(test, gs_growth_batches(test, c, GS_GROWTH_NR),
				GS_GROWTH_NR / GS_GROWTH_FIRST);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);

	c = gs_growth_cache(test, NULL);
	KUNIT_EXPECT_TRUE(test, gs_growth_grow(test, c));
	KUNIT_EXPECT_EQ(test, 0,
			gs_cache_set_sheaf_capacity(c, GS_GROWTH_FIRST));
	for (i = 0; i < 10; i++)
		KUNIT_EXPECT_GE(test, gs_growth_batches(test, c, GS_GROWTH_NR),
				GS_GROWTH_NR / GS_GROWTH_FIRST);
	gs_cache_shrink(c);
	KUNIT_EXPECT_GE(test, gs_growth_batches(test, c, GS_GROWTH_NR),
			GS_GROWTH_NR / GS_GROWTH_FIRST);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

static struct kunit_case gs_growth_cases[] = {
	KUNIT_CASE_PARAM(gs_growth_bursts, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_growth_kept, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_growth_seldom, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_growth_chosen, gs_flags_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_growth_suite = {
	.name = "gs_growth",
	.test_cases = gs_growth_cases,
};

kunit_test_suite(gs_growth_suite);
