// SPDX-License-Identifier: GPL-2.0
/*
 * What a variable with __free() holds is given back where its scope ends, unless
 * it was taken out of it before.
 */
#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/slab.h>

#include "gs_kunit.h"

static void gs_cleanup_object(struct kunit *test)
{
	struct gs_cache *c;
	void *kept;

	c = gs_test_cache(test, "gs_cleanup", 64, NULL, gs_param_flags(test));
	{
		void *obj __free(gs_object) = gs_cache_alloc(c, GFP_KERNEL);

		KUNIT_EXPECT_NOT_NULL(test, obj);
		KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).live, 1);
	}
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).live, 0);
	{
		void *obj __free(gs_object) = gs_cache_alloc(c, GFP_KERNEL);

		kept = no_free_ptr(obj);
	}
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).live, 1);
	gs_cache_free(c, kept);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* After a grace period: it is counted among the deferred frees. */
static void gs_cleanup_rcu(struct kunit *test)
{
	struct gs_cache *c;
	void *kept;

	c = gs_test_cache(test, "gs_cleanup", 64, NULL, gs_param_flags(test));
	{
		void *obj __free(gs_kvfree_rcu) = gs_cache_alloc(c, GFP_KERNEL);

		KUNIT_EXPECT_NOT_NULL(test, obj);
	}
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).queued, 1);
	{
		void *obj __free(gs_kvfree_rcu) = gs_cache_alloc(c, GFP_KERNEL);

		kept = no_free_ptr(obj);
	}
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).queued, 1);
	gs_cache_free(c, kept);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

static void gs_cleanup_cache(struct kunit *test)
{
	struct gs_cache *kept;

	{
		struct gs_cache *c __free(gs_cache_destroy) =
			gs_cache_create("gs_cleanup", 64, NULL,
					gs_param_flags(test));
		struct gs_cache *again __free(gs_cache_destroy) =
			gs_cache_create("gs_cleanup", 64, NULL,
					gs_param_flags(test));

		KUNIT_EXPECT_NOT_ERR_OR_NULL(test, c);
		KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(again), -EEXIST);
	}
	{
		struct gs_cache *c __free(gs_cache_destroy) =
			gs_cache_create("gs_cleanup", 64, NULL,
					gs_param_flags(test));

		/* The name was free. */
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, c);
		kept = no_free_ptr(c);
	}
	KUNIT_EXPECT_EQ(test, gs_cache_destroy(kept), 0);
}

/* A reference that went with its scope is not missed, nor given back twice. */
static void gs_cleanup_put(struct kunit *test)
{
	struct gs_cache *c;
	int i;

	c = gs_test_cache(test, "gs_cleanup", 64, NULL, gs_param_flags(test));
	for (i = 0; i < 100; i++) {
		struct gs_cache *held
			__free(gs_cache_put) = gs_cache_tryget(c) ? c : NULL;

		KUNIT_EXPECT_NOT_NULL(test, held);
	}
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* An error, or nothing, is nothing to give back. */
static void gs_cleanup_nothing(struct kunit *test)
{
	void *objs[] = { NULL, ERR_PTR(-ENOMEM) };
	int i;

	for (i = 0; i < ARRAY_SIZE(objs); i++) {
		void *obj __free(gs_object) = objs[i];
		void *pointer __free(gs_kvfree_rcu) = objs[i];
		struct gs_cache *cache __free(gs_cache_destroy) = objs[i];
		struct gs_cache *held __free(gs_cache_put) = objs[i];

		KUNIT_EXPECT_TRUE(test, IS_ERR_OR_NULL(obj));
		KUNIT_EXPECT_TRUE(test, IS_ERR_OR_NULL(pointer));
		KUNIT_EXPECT_TRUE(test, IS_ERR_OR_NULL(cache));
		KUNIT_EXPECT_TRUE(test, IS_ERR_OR_NULL(held));
	}
}

static struct kunit_case gs_cleanup_cases[] = {
	KUNIT_CASE_PARAM(gs_cleanup_object, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_cleanup_rcu, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_cleanup_cache, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_cleanup_put, gs_flags_gen_params),
	KUNIT_CASE(gs_cleanup_nothing),
	{ /* sentinel */ },
};

static struct kunit_suite gs_cleanup_suite = {
	.name = "gs_cleanup",
	.test_cases = gs_cleanup_cases,
};

kunit_test_suite(gs_cleanup_suite);
