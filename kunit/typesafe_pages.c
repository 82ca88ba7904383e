// SPDX-License-Identifier: GPL-2.0
/*
 * Pages of a type-safe cache that are given back are nobody's while a reader is
 * inside: whoever asks for pages of that very size right after, on that CPU,
 * does not get them.
 */
#include <linux/gfp.h>
#include <linux/mm.h>

#include "gs_kunit.h"

#define GS_PAGES_NR	400	/* objects */
#define GS_PAGES_EACH	32	/* pages of each order */
#define GS_PAGES_ORDERS	4

struct gs_pages {
	struct page *of[GS_PAGES_ORDERS][GS_PAGES_EACH];
	void *objs[GS_PAGES_NR];
};

static void gs_pages_give(void *data)
{
	struct gs_pages *pages = data;
	int order, i;

	for (order = 0; order < GS_PAGES_ORDERS; order++)
		for (i = 0; i < GS_PAGES_EACH; i++)
			if (pages->of[order][i])
				__free_pages(pages->of[order][i], order);
}

static bool gs_pages_have(struct page *page, int order, const void *obj)
{
	const void *base = page_address(page);

	return obj >= base && obj < base + (PAGE_SIZE << order);
}

/* How many of the objects lie in pages that can be had now. */
static unsigned int gs_pages_take(struct gs_pages *pages)
{
	unsigned int same = 0;
	int order, i, k;

	for (order = GS_PAGES_ORDERS - 1; order >= 0; order--)
		for (i = 0; i < GS_PAGES_EACH; i++) {
			struct page *page = alloc_pages(GFP_KERNEL, order);

			pages->of[order][i] = page;
			for (k = 0; page && k < GS_PAGES_NR; k++)
				same += gs_pages_have(page, order,
						      pages->objs[k]);
		}
	return same;
}

static const struct gs_pages_param {
	const char *name;
	unsigned long flags;
	bool destroy;
} gs_pages_params[] = {
	{ "shrink", 0, false },
	{ "shrink_consistency", GS_CONSISTENCY, false },
	{ "destroy", 0, true },
	{ "destroy_consistency", GS_CONSISTENCY, true },
};

KUNIT_ARRAY_PARAM_DESC(gs_pages, gs_pages_params, name);

static void gs_typesafe_pages(struct kunit *test)
{
	const struct gs_pages_param *param = test->param_value;
	struct gs_reader *reader;
	struct gs_pages *pages;
	unsigned int i, same;
	struct gs_cache *c;

	gs_need_reader(test);
	pages = gs_test_array(test, 1, sizeof(*pages));
	memset(pages, 0, sizeof(*pages));
	c = gs_test_cache(test, "gs_pages", 128, NULL,
			  GS_TYPESAFE_BY_RCU | param->flags);
	for (i = 0; i < GS_PAGES_NR; i++) {
		pages->objs[i] = gs_cache_alloc(c, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, pages->objs[i]);
	}
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, gs_pages_give, pages));
	reader = gs_reader_hold(test, NULL, NULL);
	for (i = 0; i < GS_PAGES_NR; i++)
		gs_cache_free(c, pages->objs[i]);
	if (param->destroy)
		KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
	else
		KUNIT_EXPECT_GT(test, gs_cache_shrink(c), 0);
	same = gs_pages_take(pages);
	KUNIT_EXPECT_TRUE(test, gs_reader_inside(reader));
	gs_reader_release(test, reader);
	KUNIT_EXPECT_EQ(test, same, 0);
	if (!param->destroy)
		KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

static struct kunit_case gs_typesafe_pages_cases[] = {
	KUNIT_CASE_PARAM(gs_typesafe_pages, gs_pages_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_typesafe_pages_suite = {
	.name = "gs_typesafe_pages",
	.test_cases = gs_typesafe_pages_cases,
};

kunit_test_suite(gs_typesafe_pages_suite);
