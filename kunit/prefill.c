// SPDX-License-Identifier: GPL-2.0
/*
 * Prefilled sheaves: as many objects as were asked for can be taken where
 * nothing may fail, whatever memory is doing; what is left comes back.
 */
#include <linux/irqflags.h>
#include <linux/limits.h>
#include <linux/preempt.h>
#include <linux/slab.h>

#include "gs_kunit.h"

#define GS_PREFILL_SIZE	64

static const struct gs_prefill_param {
	const char *name;
	unsigned int n;
	unsigned long flags;
} gs_prefill_params[] = {
	{ "none", 0, 0 },
	{ "1", 1, 0 },
	{ "1_consistency", 1, GS_CONSISTENCY },
	{ "33", 33, 0 },
	{ "capacity", 60, 0 },
	{ "capacity_consistency", 60, GS_CONSISTENCY },
	{ "oversize", 61, 0 },
	{ "oversize_consistency", 500, GS_CONSISTENCY },
	{ "oversize_5000", 5000, 0 },
};

KUNIT_ARRAY_PARAM_DESC(gs_prefill, gs_prefill_params, name);

static void gs_prefill_memory_back(void *unused)
{
	gs_inject(GS_INJECT_SHEAF, 0);
	gs_inject(GS_INJECT_SLAB, 0);
}

static void gs_prefill_no_memory(struct kunit *test)
{
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, gs_prefill_memory_back,
						  NULL));
	gs_inject(GS_INJECT_SHEAF, INT_MAX);
	gs_inject(GS_INJECT_SLAB, INT_MAX);
}

/* What was asked for is there with interrupts off and no memory at all. */
static void gs_prefill_exact(struct kunit *test)
{
	const struct gs_prefill_param *param = test->param_value;
	unsigned int i, missing = 0, wrong = 0, half = param->n / 2;
	struct gs_cache_stats stats;
	struct gs_sheaf *sheaf;
	unsigned long irqs;
	struct gs_cache *c;
	void **objs;

	objs = gs_test_array(test, param->n + 1, sizeof(*objs));
	c = gs_test_cache(test, "gs_prefill", GS_PREFILL_SIZE, NULL,
			  param->flags);
	sheaf = gs_sheaf_prefill(c, GFP_KERNEL, param->n);
	KUNIT_ASSERT_NOT_NULL(test, sheaf);
	gs_prefill_no_memory(test);
	local_irq_save(irqs);
	for (i = 0; i < param->n; i++) {
		objs[i] = gs_sheaf_alloc(c, sheaf);
		if (objs[i])
			gs_fill(objs[i], GS_PREFILL_SIZE, i);
		else
			missing++;
	}
	local_irq_restore(irqs);
	KUNIT_EXPECT_EQ(test, missing, 0);
	for (i = 0; i < param->n; i++)
		if (objs[i] && !gs_filled(objs[i], GS_PREFILL_SIZE, i))
			wrong++;
	KUNIT_EXPECT_EQ(test, wrong, 0);
	for (i = 0; i < half; i++)
		gs_cache_free(c, objs[i]);
	gs_sheaf_return(c, GFP_KERNEL, sheaf);
	for (; i < param->n; i++)
		gs_cache_free_rcu(c, objs[i]);
	gs_cache_barrier(c);
	gs_prefill_memory_back(NULL);
	stats = gs_test_stats(test, c);
	KUNIT_EXPECT_EQ(test, stats.live, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* An empty sheaf gives nothing; a filled one goes on after a refill. */
static void gs_prefill_refill(struct kunit *test)
{
	static const unsigned int wanted[] = { 10, 60, 61, 200, 7, 1000 };
	struct gs_cache_stats stats;
	struct gs_sheaf *sheaf;
	unsigned int i, k, got;
	struct gs_cache *c;
	void *obj;

	c = gs_test_cache(test, "gs_prefill", GS_PREFILL_SIZE, NULL,
			  gs_param_flags(test));
	sheaf = gs_sheaf_prefill(c, GFP_KERNEL, 1);
	KUNIT_ASSERT_NOT_NULL(test, sheaf);
	for (i = 0; i < ARRAY_SIZE(wanted); i++) {
		KUNIT_ASSERT_EQ(test, 0,
				gs_sheaf_refill(c, GFP_KERNEL, &sheaf,
						wanted[i]));
		for (k = 0; k < wanted[i]; k++) {
			obj = gs_sheaf_alloc(c, sheaf);
			KUNIT_ASSERT_NOT_NULL(test, obj);
			gs_cache_free(c, obj);
		}
	}
	/* It may have had more than was asked for, but comes to its end. */
	for (got = 0; got < 5000; got++) {
		obj = gs_sheaf_alloc(c, sheaf);
		if (!obj)
			break;
		gs_cache_free(c, obj);
	}
	KUNIT_EXPECT_LT(test, got, 5000);
	KUNIT_EXPECT_NULL(test, gs_sheaf_alloc(c, sheaf));
	gs_sheaf_return(c, GFP_KERNEL, sheaf);
	stats = gs_test_stats(test, c);
	KUNIT_EXPECT_EQ(test, stats.live, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* Without memory there is no sheaf, and one that there is keeps what it has. */
static void gs_prefill_fails(struct kunit *test)
{
	struct gs_sheaf *sheaf, *same;
	struct gs_cache_stats stats;
	struct gs_cache *c;
	void *obj[5];
	int i;

	c = gs_test_cache(test, "gs_prefill", GS_PREFILL_SIZE, NULL,
			  gs_param_flags(test));
	sheaf = gs_sheaf_prefill(c, GFP_KERNEL, ARRAY_SIZE(obj));
	KUNIT_ASSERT_NOT_NULL(test, sheaf);
	same = sheaf;
	gs_prefill_no_memory(test);
	KUNIT_EXPECT_NULL(test, gs_sheaf_prefill(c, GFP_KERNEL, 1000));
	KUNIT_EXPECT_NULL(test, gs_sheaf_prefill(c, GFP_KERNEL, 100000));
	KUNIT_EXPECT_NULL(test, gs_sheaf_prefill(c, 0, 1000));
	KUNIT_EXPECT_EQ(test, -ENOMEM,
			gs_sheaf_refill(c, GFP_KERNEL, &sheaf, 1000));
	KUNIT_EXPECT_PTR_EQ(test, sheaf, same);
	KUNIT_EXPECT_EQ(test, -ENOMEM, gs_sheaf_refill(c, 0, &sheaf, 1000));
	for (i = 0; i < ARRAY_SIZE(obj); i++) {
		obj[i] = gs_sheaf_alloc(c, sheaf);
		KUNIT_EXPECT_NOT_NULL(test, obj[i]);
	}
	gs_prefill_memory_back(NULL);
	for (i = 0; i < ARRAY_SIZE(obj); i++)
		gs_cache_free(c, obj[i]);
	gs_sheaf_return(c, GFP_KERNEL, sheaf);
	stats = gs_test_stats(test, c);
	KUNIT_EXPECT_EQ(test, stats.live, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* A sheaf that is out is a leak; returned after all, it takes the cache along. */
static void gs_prefill_zombie(struct kunit *test)
{
	unsigned int zombies = gs_cache_zombies();
	struct gs_sheaf *sheaf;
	struct gs_cache *c;

	c = gs_test_cache(test, "gs_prefill", GS_PREFILL_SIZE, NULL,
			  gs_param_flags(test));
	sheaf = gs_sheaf_prefill(c, GFP_KERNEL, 3);
	KUNIT_ASSERT_NOT_NULL(test, sheaf);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), -EBUSY);
	KUNIT_EXPECT_EQ(test, gs_cache_zombies(), zombies + 1);
	gs_sheaf_return(c, GFP_KERNEL, sheaf);
	KUNIT_EXPECT_TRUE(test, gs_wait_until(gs_cache_zombies() == zombies));
}

static void gs_prefill_null(struct kunit *test)
{
	struct gs_sheaf *none = NULL;
	struct gs_cache *c;

	c = gs_test_cache(test, "gs_prefill", GS_PREFILL_SIZE, NULL, 0);
	KUNIT_EXPECT_NULL(test, gs_sheaf_prefill(NULL, GFP_KERNEL, 1));
	KUNIT_EXPECT_EQ(test, -EINVAL, gs_sheaf_refill(c, GFP_KERNEL, NULL, 1));
	KUNIT_EXPECT_EQ(test, -EINVAL, gs_sheaf_refill(c, GFP_KERNEL, &none, 1));
	KUNIT_EXPECT_NULL(test, gs_sheaf_alloc(c, NULL));
	gs_sheaf_return(c, GFP_KERNEL, NULL);
	gs_sheaf_return(NULL, GFP_KERNEL, NULL);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

static struct kunit_case gs_prefill_cases[] = {
	KUNIT_CASE_PARAM(gs_prefill_exact, gs_prefill_gen_params),
	KUNIT_CASE_PARAM(gs_prefill_refill, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_prefill_fails, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_prefill_zombie, gs_flags_gen_params),
	KUNIT_CASE(gs_prefill_null),
	{ /* sentinel */ },
};

static struct kunit_suite gs_prefill_suite = {
	.name = "gs_prefill",
	.test_cases = gs_prefill_cases,
};

kunit_test_suite(gs_prefill_suite);
