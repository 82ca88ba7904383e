// SPDX-License-Identifier: GPL-2.0
/*
 * Freeing needs no memory: where no sheaf is to be had, both kinds of free go
 * by the bits of the slab; where no page is to be had, the caller waits for
 * the grace period. Nothing is lost either way.
 */
#include <linux/limits.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "gs_kunit.h"

#define GS_LOW_OBJECTS	2000

static void gs_low_end(void *unused)
{
	gs_inject(GS_INJECT_SHEAF, 0);
	gs_inject(GS_INJECT_PAGE, 0);
	gs_inject(GS_INJECT_SLAB, 0);
}

static void gs_low_begin(struct kunit *test, unsigned int point)
{
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, gs_low_end, NULL));
	KUNIT_ASSERT_EQ(test, 0, gs_inject(point, INT_MAX));
}

/* No sheaf, ever: each free is a bit, and each object comes back. */
static void gs_low_sheaf(struct kunit *test)
{
	struct gs_cache_stats stats;
	struct gs_cache *c;
	void **objs;
	int i;

	gs_low_begin(test, GS_INJECT_SHEAF);
	c = gs_test_cache(test, "gs_low", 64, NULL, gs_param_flags(test));
	objs = gs_test_objects(test, c, 64, GS_LOW_OBJECTS);
	for (i = 0; i < GS_LOW_OBJECTS; i++) {
		if (i & 1)
			gs_cache_free(c, objs[i]);
		else
			gs_cache_free_rcu(c, objs[i]);
	}
	stats = gs_test_stats(test, c);
	KUNIT_EXPECT_EQ(test, stats.frees_bits, GS_LOW_OBJECTS);
	KUNIT_EXPECT_EQ(test, stats.cached, 0);
	KUNIT_EXPECT_EQ(test, stats.queued, GS_LOW_OBJECTS / 2);
	gs_cache_barrier(c);
	stats = gs_test_stats(test, c);
	KUNIT_EXPECT_EQ(test, stats.done, GS_LOW_OBJECTS / 2);
	KUNIT_EXPECT_EQ(test, stats.live, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* No slab: allocations fail, and go on where that has passed. */
static void gs_low_slab(struct kunit *test)
{
	struct gs_cache_stats stats;
	struct gs_cache *c;
	void *objs[8], *obj;

	gs_low_begin(test, GS_INJECT_SLAB);
	c = gs_test_cache(test, "gs_low", 64, NULL, gs_param_flags(test));
	KUNIT_EXPECT_NULL(test, gs_cache_alloc(c, GFP_KERNEL));
	KUNIT_EXPECT_NULL(test, gs_cache_alloc(c, 0));
	KUNIT_EXPECT_EQ(test, 0, gs_cache_alloc_bulk(c, GFP_KERNEL,
						     ARRAY_SIZE(objs), objs));
	stats = gs_test_stats(test, c);
	KUNIT_EXPECT_EQ(test, stats.objects, 0);
	gs_low_end(NULL);
	obj = gs_cache_alloc(c, GFP_KERNEL);
	KUNIT_EXPECT_NOT_NULL(test, obj);
	gs_cache_free(c, obj);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* No page: the call itself waits for the readers there are. */
static void gs_low_page(struct kunit *test)
{
	struct gs_reader *reader = NULL;
	u64 waited;

	gs_pin_self(test);
	/* The page that is open on this CPU goes on its way first. */
	gs_barrier();
	gs_low_begin(test, GS_INJECT_PAGE);
	waited = gs_pointers_waited();
	if (gs_can_hold_reader()) {
		reader = gs_reader_hold(test, NULL, NULL);
		gs_reader_leave_in(reader, 50);
	}
	gs_kvfree_rcu(kmalloc(100, GFP_KERNEL));
	if (reader) {
		KUNIT_EXPECT_FALSE(test, gs_reader_inside(reader));
		gs_reader_left(test, reader);
	}
	gs_kvfree_rcu(vmalloc(100));
	KUNIT_EXPECT_EQ(test, gs_pointers_waited(), waited + 2);
	gs_low_end(NULL);
	gs_kvfree_rcu(kmalloc(100, GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, gs_pointers_waited(), waited + 2);
	gs_barrier();
}

static struct kunit_case gs_low_cases[] = {
	KUNIT_CASE_PARAM(gs_low_sheaf, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_low_slab, gs_flags_gen_params),
	KUNIT_CASE(gs_low_page),
	{}
};

static struct kunit_suite gs_low_suite = {
	.name = "gs_low_memory",
	.test_cases = gs_low_cases,
};

kunit_test_suite(gs_low_suite);
