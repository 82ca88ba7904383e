// SPDX-License-Identifier: GPL-2.0
/*
 * Caches that could almost be shared, and are not: as many objects to a slab,
 * but not as large, or sheaves that are not as large.
 */
#include "gs_kunit.h"

static void gs_merge_close_apart(struct kunit *test)
{
	static const struct gs_cache_args few = { .sheaf_capacity = 7 };
	struct gs_cache *a, *larger, *small;
	struct gs_cache_stats stats, more;
	void *first, *second;

	a = gs_test_cache(test, "gs_merge_a", 2000, NULL, GS_MERGE);
	larger = gs_test_cache(test, "gs_merge_larger", 2008, NULL, GS_MERGE);
	small = gs_test_cache(test, "gs_merge_few", 2000, &few, GS_MERGE);
	KUNIT_EXPECT_PTR_NE(test, a, larger);
	KUNIT_EXPECT_PTR_NE(test, a, small);
	KUNIT_EXPECT_PTR_NE(test, larger, small);

	/* Or this would have shown nothing. */
	first = gs_cache_alloc(a, GFP_KERNEL);
	second = gs_cache_alloc(larger, GFP_KERNEL);
	stats = gs_test_stats(test, a);
	more = gs_test_stats(test, larger);
	/* Unless KASAN has bytes of its own behind each. */
	if (!IS_ENABLED(CONFIG_KASAN)) {
		KUNIT_EXPECT_EQ(test, stats.objects, more.objects);
		KUNIT_EXPECT_EQ(test, stats.object_size, 2000);
		KUNIT_EXPECT_EQ(test, more.object_size, 2008);
	}
	gs_cache_free(a, first);
	gs_cache_free(larger, second);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, small), 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, larger), 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, a), 0);
}

static struct kunit_case gs_merge_close_cases[] = {
	KUNIT_CASE(gs_merge_close_apart),
	{ /* sentinel */ },
};

static struct kunit_suite gs_merge_close_suite = {
	.name = "gs_merge_close",
	.test_cases = gs_merge_close_cases,
};

kunit_test_suite(gs_merge_close_suite);
