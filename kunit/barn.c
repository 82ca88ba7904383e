// SPDX-License-Identifier: GPL-2.0
/*
 * What is freed is kept for the next allocations, but not all of it, and the
 * sheaves that it is kept in are used again.
 */
#include <linux/mm.h>
#include <linux/rcupdate.h>

#include "gs_kunit.h"

/* However much comes back at once, most of it goes to the slabs. */
static void gs_barn_bounded(struct kunit *test)
{
	struct gs_cache_args args = { .sheaf_capacity = 16 };
	struct gs_cache_stats stats;
	unsigned int nr = 8000, i;
	struct gs_cache *c;
	void **objs;

	c = gs_test_cache(test, "gs_barn", 64, &args, gs_param_flags(test));
	objs = gs_test_array(test, nr, sizeof(*objs));
	for (i = 0; i < nr; i++) {
		objs[i] = gs_cache_alloc(c, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, objs[i]);
	}
	for (i = 0; i < nr; i++)
		gs_cache_free(c, objs[i]);
	stats = gs_test_stats(test, c);
	KUNIT_EXPECT_EQ(test, stats.live, 0);
	KUNIT_EXPECT_GT(test, stats.cached, args.sheaf_capacity);
	KUNIT_EXPECT_LT(test, stats.cached, nr / 8);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* Sheaves go to and fro between CPU and barn, and none is lost on the way. */
static void gs_barn_memory(struct kunit *test)
{
	/* Where each stack is kept, or somebody told, that takes its time. */
	const bool slow = IS_ENABLED(CONFIG_KASAN) ||
			  IS_ENABLED(CONFIG_DEBUG_KMEMLEAK) ||
			  gs_param_flags(test) & GS_STORE_USER;
	const unsigned int rounds = slow ? 200 : 8000;
	const unsigned int nr = 240;
	struct gs_cache_args args = { .sheaf_capacity = 60 };
	unsigned int round, i;
	unsigned long before, allowed = rounds * 256 / PAGE_SIZE;
	struct gs_cache *c;
	void **objs;

	objs = gs_test_array(test, nr, sizeof(*objs));
	gs_barrier();
	rcu_barrier();
	before = gs_free_pages();
	c = gs_test_cache(test, "gs_barn", 64, &args, gs_param_flags(test));
	for (round = 0; round < rounds; round++) {
		for (i = 0; i < nr; i++) {
			objs[i] = gs_cache_alloc(c, GFP_KERNEL);
			KUNIT_ASSERT_NOT_NULL(test, objs[i]);
		}
		for (i = 0; i < nr; i++)
			gs_cache_free(c, objs[i]);
		cond_resched();
	}
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
	rcu_barrier();
	/* KASAN keeps what was freed for a while, the depot its stacks. */
	if (!slow)
		KUNIT_EXPECT_TRUE(test, gs_wait_until(gs_free_pages() + allowed >
						      before));
}

static struct kunit_case gs_barn_cases[] = {
	KUNIT_CASE_PARAM(gs_barn_bounded, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_barn_memory, gs_flags_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_barn_suite = {
	.name = "gs_barn",
	.test_cases = gs_barn_cases,
};

kunit_test_suite(gs_barn_suite);
