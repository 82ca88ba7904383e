// SPDX-License-Identifier: GPL-2.0
/*
 * __GFP_ZERO gives an object that is zero from its first byte to its last,
 * whatever was in it before.
 */
#include <linux/string.h>

#include "gs_kunit.h"

static const struct gs_zero_param {
	const char *name;
	unsigned int size;
	unsigned long flags;
} gs_zero_params[] = {
	/* clang-format off */
	{ "1", 1, 0 },
	{ "7_consistency", 7, GS_CONSISTENCY },
	{ "64", 64, 0 },
	{ "100_consistency", 100, GS_CONSISTENCY },
	{ "1000", 1000, 0 },
	{ "4096_consistency", 4096, GS_CONSISTENCY },
	{ "8192", 8192, 0 },
	/* clang-format on */
};

KUNIT_ARRAY_PARAM_DESC(gs_zero, gs_zero_params, name);

static unsigned int gs_zero_wrong(void **objs, unsigned int nr,
				  unsigned int size)
{
	unsigned int wrong = 0;

	while (nr--)
		wrong += !!memchr_inv(objs[nr], 0, size);
	return wrong;
}

static void gs_zero_whole(struct kunit *test)
{
	const struct gs_zero_param *param = test->param_value;
	unsigned int dirty = 0, wrong = 0, round, i;
	struct gs_cache *c;
	void *objs[40];

	c = gs_test_cache(test, "gs_zero", param->size, NULL, param->flags);
	for (round = 0; round < 4; round++) {
		/* Dirty everything, then ask for zeroes, then without. */
		for (i = 0; i < ARRAY_SIZE(objs); i++) {
			objs[i] = gs_cache_alloc(c, GFP_KERNEL);
			KUNIT_ASSERT_NOT_NULL(test, objs[i]);
			memset(objs[i], 0xff, param->size);
		}
		for (i = 0; i < ARRAY_SIZE(objs); i++) {
			if (round & 1)
				gs_cache_free_rcu(c, objs[i]);
			else
				gs_cache_free(c, objs[i]);
		}
		gs_cache_barrier(c);
		for (i = 0; i < ARRAY_SIZE(objs); i++) {
			objs[i] = gs_cache_alloc(c, GFP_KERNEL | __GFP_ZERO);
			KUNIT_ASSERT_NOT_NULL(test, objs[i]);
		}
		wrong += gs_zero_wrong(objs, ARRAY_SIZE(objs), param->size);
		for (i = 0; i < ARRAY_SIZE(objs); i++) {
			memset(objs[i], 0xff, param->size);
			gs_cache_free(c, objs[i]);
		}
		KUNIT_ASSERT_EQ(test,
				gs_cache_alloc_bulk(c, GFP_KERNEL | __GFP_ZERO,
						    ARRAY_SIZE(objs), objs),
				ARRAY_SIZE(objs));
		wrong += gs_zero_wrong(objs, ARRAY_SIZE(objs), param->size);
		for (i = 0; i < ARRAY_SIZE(objs); i++)
			memset(objs[i], 0xff, param->size);
		gs_cache_free_bulk(c, ARRAY_SIZE(objs), objs);
		for (i = 0; i < ARRAY_SIZE(objs); i++) {
			objs[i] = gs_cache_alloc(c, GFP_KERNEL);
			KUNIT_ASSERT_NOT_NULL(test, objs[i]);
		}
		dirty += gs_zero_wrong(objs, ARRAY_SIZE(objs), param->size);
		gs_cache_free_bulk(c, ARRAY_SIZE(objs), objs);
	}
	KUNIT_EXPECT_EQ(test, wrong, 0);
	/* Without the flag they are not: somebody did ask for the zeroes. */
	if (!IS_ENABLED(CONFIG_INIT_ON_ALLOC_DEFAULT_ON) &&
	    !IS_ENABLED(CONFIG_INIT_ON_FREE_DEFAULT_ON))
		KUNIT_EXPECT_GT(test, dirty, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* A sheaf does not know which of its objects were to be zero. */
static void gs_zero_sheaf(struct kunit *test)
{
	struct gs_sheaf *sheaf;
	struct gs_cache *c;

	c = gs_test_cache(test, "gs_zero", 100, NULL, gs_param_flags(test));
	KUNIT_EXPECT_NULL(test, gs_sheaf_prefill(c, GFP_KERNEL | __GFP_ZERO, 4));
	sheaf = gs_sheaf_prefill(c, GFP_KERNEL, 4);
	KUNIT_ASSERT_NOT_NULL(test, sheaf);
	KUNIT_EXPECT_EQ(test, -EINVAL,
			gs_sheaf_refill(c, GFP_KERNEL | __GFP_ZERO, &sheaf, 8));
	KUNIT_EXPECT_EQ(test, 0, gs_sheaf_refill(c, GFP_KERNEL, &sheaf, 8));
	gs_sheaf_return(c, GFP_KERNEL, sheaf);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

static struct kunit_case gs_zero_cases[] = {
	KUNIT_CASE_PARAM(gs_zero_whole, gs_zero_gen_params),
	KUNIT_CASE_PARAM(gs_zero_sheaf, gs_flags_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_zero_suite = {
	.name = "gs_zero",
	.test_cases = gs_zero_cases,
};

kunit_test_suite(gs_zero_suite);
