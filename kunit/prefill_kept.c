// SPDX-License-Identifier: GPL-2.0
/*
 * What a sheaf has is not lost when it is given more than it has room for, nor
 * when there is not as much as it is to have.
 */
#include "gs_kunit.h"

static void gs_kept_larger(struct kunit *test)
{
	struct gs_sheaf *sheaf;
	unsigned int got = 0;
	struct gs_cache *c;
	void *obj;

	c = gs_test_cache(test, "gs_kept", 64, NULL, gs_param_flags(test));
	sheaf = gs_sheaf_prefill(c, GFP_KERNEL, 10);
	KUNIT_ASSERT_NOT_NULL(test, sheaf);
	KUNIT_ASSERT_EQ(test, 0, gs_sheaf_refill(c, GFP_KERNEL, &sheaf, 500));
	while ((obj = gs_sheaf_alloc(c, sheaf))) {
		gs_cache_free(c, obj);
		got++;
	}
	KUNIT_EXPECT_GE(test, got, 500);
	gs_sheaf_return(c, GFP_KERNEL, sheaf);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).live, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

static void gs_kept_memory_back(void *unused)
{
	gs_inject(GS_INJECT_SLAB, 0);
}

static void gs_kept_too_few(struct kunit *test)
{
	struct gs_cache *c;
	void *obj;

	c = gs_test_cache(test, "gs_kept", 64, NULL, gs_param_flags(test));
	/* One slab, and no other one. */
	obj = gs_cache_alloc(c, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, obj);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, gs_kept_memory_back,
						  NULL));
	gs_inject(GS_INJECT_SLAB, INT_MAX);
	KUNIT_EXPECT_NULL(test, gs_sheaf_prefill(c, GFP_KERNEL, 2000));
	gs_kept_memory_back(NULL);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).live, 1);
	gs_cache_free(c, obj);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

static struct kunit_case gs_kept_cases[] = {
	KUNIT_CASE_PARAM(gs_kept_larger, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_kept_too_few, gs_flags_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_kept_suite = {
	.name = "gs_prefill_kept",
	.test_cases = gs_kept_cases,
};

kunit_test_suite(gs_kept_suite);
