// SPDX-License-Identifier: GPL-2.0
/*
 * A new slab's objects are handed out by address; in no order at all where the
 * kernel was configured to hide the order of its own.
 */
#include <linux/sort.h>

#include "gs_kunit.h"

#define GS_ORDER_NR	200

static int gs_order_cmp(const void *a, const void *b)
{
	void *x = *(void * const *)a, *y = *(void * const *)b;

	return x < y ? -1 : x > y;
}

/* Allocates, and gives how many objects come right behind the one before. */
static unsigned int gs_order_next(struct kunit *test, struct gs_cache *c,
				  void **objs)
{
	size_t stride = gs_test_stats(test, c).object_size;
	unsigned int i, next = 0;

	for (i = 0; i < GS_ORDER_NR; i++) {
		objs[i] = gs_cache_alloc(c, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, objs[i]);
		if (i && objs[i] == objs[i - 1] + stride)
			next++;
	}
	return next;
}

static void gs_order_new(struct kunit *test)
{
	struct gs_cache *c, *again;
	void **objs, **others;
	unsigned int i, next;

	gs_pin_self(test);
	objs = gs_test_array(test, GS_ORDER_NR, sizeof(*objs));
	others = gs_test_array(test, GS_ORDER_NR, sizeof(*others));
	c = gs_test_cache(test, "gs_order", 64, NULL, gs_param_flags(test));
	again = gs_test_cache(test, "gs_order2", 64, NULL, gs_param_flags(test));
	next = gs_order_next(test, c, objs);
	kunit_info(test, "%u of %u objects come right behind another\n", next,
		   GS_ORDER_NR);
	if (IS_ENABLED(CONFIG_SLAB_FREELIST_RANDOM))
		KUNIT_EXPECT_LT(test, next, GS_ORDER_NR / 5);
	else
		KUNIT_EXPECT_GT(test, next, GS_ORDER_NR / 2);
	/* Another cache's are in another order, if in any. */
	gs_order_next(test, again, others);
	for (i = next = 0; i < 16; i++)
		next += ((unsigned long)objs[i] & ~PAGE_MASK) ==
			((unsigned long)others[i] & ~PAGE_MASK);
	if (IS_ENABLED(CONFIG_SLAB_FREELIST_RANDOM))
		KUNIT_EXPECT_LT(test, next, 16);
	gs_cache_free_bulk(again, GS_ORDER_NR, others);
	/* No object twice. */
	sort(objs, GS_ORDER_NR, sizeof(*objs), gs_order_cmp, NULL);
	for (i = 1; i < GS_ORDER_NR; i++)
		KUNIT_EXPECT_PTR_NE(test, objs[i], objs[i - 1]);
	gs_cache_free_bulk(c, GS_ORDER_NR, objs);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, again), 0);
}

static struct kunit_case gs_order_cases[] = {
	KUNIT_CASE_PARAM(gs_order_new, gs_flags_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_order_suite = {
	.name = "gs_order",
	.test_cases = gs_order_cases,
};

kunit_test_suite(gs_order_suite);
