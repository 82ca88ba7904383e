// SPDX-License-Identifier: GPL-2.0
/*
 * Sheaves of a cache that nobody chose a capacity for grow with its use. How
 * large they are is seen from allocations: one that finds no object comes back
 * with a sheaf's full of others.
 */
#include <linux/delay.h>

#include "gs_kunit.h"

#define GS_GROWTH_SIZE	64
/* What sheaves of such objects have room for, at first and at most. */
#define GS_GROWTH_FIRST	60
#define GS_GROWTH_MOST	508
/* Turns to the node, with the first, that are enough for all of that. */
#define GS_GROWTH_NR	(160 * GS_GROWTH_FIRST)
/* More than are cached, and those that come with the next one. */
#define GS_GROWTH_LOOK	(6 * GS_GROWTH_MOST)

/* Prepends up to @nr objects to @list. */
static struct gs_node *gs_growth_take(struct gs_cache *c, u64 nr,
				      struct gs_node *list)
{
	while (nr--) {
		struct gs_node *node = gs_cache_alloc(c, GFP_KERNEL);

		if (!node)
			break;
		node->next = list;
		list = node;
	}
	return list;
}

/* The largest of the sheaves that @nr allocations come by. */
static u64 gs_growth_sheaf(struct kunit *test, struct gs_cache *c,
			   unsigned int nr)
{
	struct gs_node *list = NULL;
	bool used_up = false;
	u64 largest = 0;

	while (nr) {
		/* What is there, and the one that another sheaf comes with. */
		u64 some = gs_test_stats(test, c).cached + 1;

		if (used_up)
			largest = max(largest, some);
		used_up |= some <= nr;
		some = min(some, nr);
		list = gs_growth_take(c, some, list);
		nr -= some;
	}
	KUNIT_EXPECT_TRUE(test, used_up);
	gs_list_free(c, list);
	return largest;
}

static void gs_growth_burst(struct kunit *test, struct gs_cache *c)
{
	gs_list_free_rcu(c, gs_test_list(test, c, GS_GROWTH_NR, NULL));
	gs_cache_barrier(c);
}

static bool gs_growth_grow(struct kunit *test, struct gs_cache *c)
{
	return gs_wait_until(({
		gs_growth_burst(test, c);
		gs_growth_sheaf(test, c, GS_GROWTH_LOOK) > 2 * GS_GROWTH_FIRST;
	}));
}

/* Objects in use, so that slabs with free ones stay. */
static struct gs_node *gs_growth_pins;

static struct gs_cache *gs_growth_cache(struct kunit *test,
					const struct gs_cache_args *args)
{
	struct gs_node *list, *next;
	struct gs_cache *c;
	unsigned int i;

	gs_pin_self(test);
	c = gs_test_cache(test, "gs_growth", GS_GROWTH_SIZE, args,
			  gs_param_flags(test));
	gs_growth_pins = NULL;
	list = gs_test_list(test, c, GS_GROWTH_NR, NULL);
	for (i = 0; list; list = next, i++) {
		next = list->next;
		if (i % 8) {
			gs_cache_free(c, list);
		} else {
			list->next = gs_growth_pins;
			gs_growth_pins = list;
		}
	}
	gs_cache_shrink(c);
	return c;
}

static void gs_growth_end(struct kunit *test, struct gs_cache *c)
{
	gs_list_free(c, gs_growth_pins);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
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
	gs_growth_end(test, c);
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
	gs_growth_end(test, c);
}

/* What is used now and then keeps its small sheaves. */
static void gs_growth_seldom(struct kunit *test)
{
	enum { SHEAVES = 20 };
	struct gs_cache *c = gs_growth_cache(test, NULL);
	int i;

	for (i = 0; i < 3; i++) {
		KUNIT_EXPECT_EQ(test, GS_GROWTH_FIRST,
				gs_growth_sheaf(test, c,
						SHEAVES * GS_GROWTH_FIRST));
		msleep(60);
	}
	gs_growth_end(test, c);
}

/* Who chose a capacity has it, from the beginning or later. */
static void gs_growth_chosen(struct kunit *test)
{
	struct gs_cache_args args = { .sheaf_capacity = GS_GROWTH_FIRST };
	struct gs_cache *c = gs_growth_cache(test, &args);
	int i;

	for (i = 0; i < 5; i++)
		gs_growth_burst(test, c);
	KUNIT_EXPECT_EQ(test, GS_GROWTH_FIRST,
			gs_growth_sheaf(test, c, GS_GROWTH_LOOK));
	gs_growth_end(test, c);

	c = gs_growth_cache(test, NULL);
	KUNIT_EXPECT_TRUE(test, gs_growth_grow(test, c));
	KUNIT_EXPECT_EQ(test, 0,
			gs_cache_set_sheaf_capacity(c, GS_GROWTH_FIRST));
	for (i = 0; i < 5; i++)
		gs_growth_burst(test, c);
	KUNIT_EXPECT_EQ(test, GS_GROWTH_FIRST,
			gs_growth_sheaf(test, c, GS_GROWTH_LOOK));
	gs_cache_shrink(c);
	gs_growth_burst(test, c);
	KUNIT_EXPECT_EQ(test, GS_GROWTH_FIRST,
			gs_growth_sheaf(test, c, GS_GROWTH_LOOK));
	gs_growth_end(test, c);
}

/* Uses what is cached, and what comes with one object more. */
static void gs_growth_touch(struct kunit *test, struct gs_cache *c)
{
	u64 cached = gs_test_stats(test, c).cached;
	struct gs_node *list = gs_growth_take(c, cached + 1, NULL);

	gs_list_free(c, list);
}

/* What was used in bursts once starts again. */
static void gs_growth_forgotten(struct kunit *test)
{
	struct gs_cache *c = gs_growth_cache(test, NULL);

	KUNIT_EXPECT_TRUE(test, gs_growth_grow(test, c));
	msleep(10500);
	gs_growth_touch(test, c);
	msleep(60);
	KUNIT_EXPECT_EQ(test, GS_GROWTH_FIRST,
			gs_growth_sheaf(test, c, GS_GROWTH_LOOK));
	gs_growth_end(test, c);
}

static const struct gs_flags_param gs_growth_plain[] = { { "plain", 0 } };

KUNIT_ARRAY_PARAM_DESC(gs_growth_plain, gs_growth_plain, name);

static struct kunit_case gs_growth_cases[] = {
	KUNIT_CASE_PARAM(gs_growth_forgotten, gs_growth_plain_gen_params),
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
